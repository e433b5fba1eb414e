"""Parameters of the similarity graph, validated once: the paper's three levels, or six."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from operator import mul
from typing import Any, NamedTuple

from theory.checks import is_finite, require, require_integer
from theory.kinds import PAIRINGS, Degrees, Pairing, PerKind, degrees, neighbours, paper_weights, six_weights

LARGEST_SIZE = 10**12  # of n and of the classes: their product stays exact in a float


class _Sizes:
    """Sizes under the names of the formulas, and degrees; for graphs of any levels."""

    samples_per_class: int
    classes: int
    difficult: int

    @cached_property
    def n(self) -> int:
        """Samples per class."""
        return self.samples_per_class

    @cached_property
    def r(self) -> int:
        """Other classes, that is classes - 1."""
        return self.classes - 1

    @cached_property
    def n_d(self) -> int:
        """Difficult samples per class."""
        return self.difficult

    @cached_property
    def nodes(self) -> int:
        """N = n (r + 1)."""
        return self.samples_per_class * self.classes

    @cached_property
    def degrees(self) -> Degrees:
        """Row sums of the weights, of an easy and of a difficult sample."""
        return degrees(self.weights, self.n, self.r, self.n_d)  # type: ignore[attr-defined]

    def as_dict(self) -> dict[str, Any]:
        """Return the fields by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]

    def _check_sizes(self) -> None:
        for name, low, high in (
            ("samples_per_class", 1, LARGEST_SIZE),
            ("classes", 2, LARGEST_SIZE),
            ("difficult", 0, self.samples_per_class),
        ):
            limit = ", the samples per class" if name == "difficult" else ""
            whole = require_integer(name, getattr(self, name), low, high, limit=limit)
            object.__setattr__(self, name, whole)


@dataclass(frozen=True)
class GraphParameters(_Sizes):
    """The paper's similarity graph with three levels of similarity.

    Parameters
    ----------
    alpha, beta, gamma : float or Fraction
        Similarity within a class, across classes, and across classes for difficult pairs;
        0 <= beta <= gamma < alpha < 1. ``gamma == beta`` is the clean graph.
    samples_per_class : int
        n >= 1.
    classes : int
        r + 1 >= 2.
    difficult : int
        n_d, difficult samples per class, 0 <= n_d <= n.
    pairing : {"block", "any", "matched", "clean"}
        Which pairs of different classes are difficult: all of difficult samples (the paper's definition), all
        with a difficult sample (the paper's measurement), those of difficult samples with the same index (its
        proof of theorem 3.4), or none, whatever gamma is. See ``theory.kinds.has_gamma``.

    Raises
    ------
    ParameterError
        If a parameter is outside its range.

    References
    ----------
    Zhang, Cui, Li, Wang, "Difficult Examples Hurt Unsupervised Contrastive Learning", ICLR 2026, arXiv
    2501.01317v2, section 3.2 and appendix B, eqs. 17-21 and 33.
    """

    alpha: Any
    beta: Any
    gamma: Any
    samples_per_class: int
    classes: int
    difficult: int
    pairing: Pairing = "block"

    def __post_init__(self) -> None:
        for name in ("alpha", "beta", "gamma"):
            value = getattr(self, name)
            require(is_finite(value), name, value, "a finite number")
        require(self.alpha < 1, "alpha", self.alpha, "alpha < 1")
        require(self.beta >= 0, "beta", self.beta, "beta >= 0")
        require(self.beta <= self.gamma, "gamma", self.gamma, f"gamma >= beta = {self.beta}")
        require(self.gamma < self.alpha, "gamma", self.gamma, f"gamma < alpha = {self.alpha}")
        self._check_sizes()
        require(self.pairing in PAIRINGS, "pairing", self.pairing, "one of " + ", ".join(PAIRINGS))
        if self.pairing == "clean":
            object.__setattr__(self, "gamma", self.beta)

    @property
    def neighbours(self) -> int:
        """m, the difficult gamma-neighbours that a difficult sample has in each other class."""
        return int(neighbours(self.difficult, self.pairing))

    @property
    def is_clean(self) -> bool:
        """Whether no pair of samples is difficult."""
        return self.difficult == 0 or self.gamma == self.beta

    @cached_property
    def weights(self) -> PerKind:
        """Weights by kind of pair."""
        return paper_weights(self.alpha, self.beta, self.gamma, self.pairing)

    def clean(self) -> GraphParameters:
        """Return the graph with every gamma turned into beta."""
        return replace(self, gamma=self.beta)

    def without_difficult(self) -> GraphParameters:
        """Return the graph with the difficult samples removed; ParameterError if that is all of them."""
        require(self.difficult < self.n, "difficult", self.difficult, f"difficult < {self.n}: all would go")
        return replace(self.clean(), samples_per_class=self.n - self.difficult, difficult=0)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> GraphParameters:
        """Inverse of ``as_dict``."""
        return cls(**fields)


class Levels(NamedTuple):
    """Similarity of two easy samples, of an easy and a difficult one, and of two difficult ones."""

    easy: Any
    mixed: Any
    difficult: Any


@dataclass(frozen=True)
class SixLevels(_Sizes):
    """The general graph: six levels of similarity.

    Averaging a positive semidefinite matrix with unit diagonal over the permutations of the classes, of the easy
    and of the difficult samples gives such a graph, positive semidefinite again: every measured Gram matrix has one.

    Parameters
    ----------
    within, across : Levels
        Similarity within a class and across classes, each in [-1, 1].
    samples_per_class, classes, difficult : int
        As in ``GraphParameters``.

    Raises
    ------
    ParameterError
        If a parameter is outside its range, or a degree is not positive.
    """

    within: Levels
    across: Levels
    samples_per_class: int
    classes: int
    difficult: int

    pairing = "block"  # it does not tell paired difficult samples from others

    def __post_init__(self) -> None:
        for where in ("within", "across"):
            levels = Levels(*getattr(self, where))
            object.__setattr__(self, where, levels)
            for kind, value in levels._asdict().items():
                require(is_finite(value) and -1 <= value <= 1, f"{where}.{kind}", value, "a number in [-1, 1]")
        self._check_sizes()
        easy, difficult = self.degrees
        require(easy > 0 or self.n == self.n_d, "degree of easy samples", easy, "degree > 0")
        require(difficult > 0 or self.n_d == 0, "degree of difficult samples", difficult, "degree > 0")

    @cached_property
    def weights(self) -> PerKind:
        """Weights by kind of pair."""
        return six_weights(self.within, self.across)

    @property
    def levels(self) -> tuple[Any, ...]:
        """The six, those within a class first."""
        return (*self.within, *self.across)

    @property
    def neighbours(self) -> int:
        """m, as for the block pairing."""
        return self.difficult

    @property
    def alpha(self) -> Any:
        """The paper's α (A.5): mean similarity of two samples of a class; that of easy ones for n = 1."""
        e, d = self.n - self.n_d, self.n_d
        pairs = e * (e - 1), 2 * e * d, d * (d - 1)
        return sum(map(mul, pairs, self.within)) / sum(pairs) if sum(pairs) else self.within.easy

    @property
    def beta(self) -> Any:
        """The paper's β (A.5): mean over different-class pairs without a difficult sample; of all if all are."""
        return self.across.easy if self.n > self.n_d else self.across.difficult

    @property
    def gamma(self) -> Any:
        """The paper's γ (A.5): mean over different-class pairs with one or two difficult samples; β if none is."""
        pairs = 2 * (self.n - self.n_d) * self.n_d, self.n_d * self.n_d
        return sum(map(mul, pairs, self.across[1:])) / sum(pairs) if self.n_d else self.beta

    @property
    def is_clean(self) -> bool:
        """Whether no pair of samples is difficult."""
        return self.difficult == 0

    @classmethod
    def of(cls, p: GraphParameters) -> SixLevels:
        """A three-level graph other than the matched one, which six levels do not hold."""
        require(p.pairing != "matched", "pairing", p.pairing, "a graph of six levels: block, any or clean")
        w = p.weights
        return cls(
            Levels(w.same_class_both_easy, w.same_class_one_difficult, w.same_class_both_difficult),
            Levels(w.different_class_both_easy, w.different_class_one_difficult, w.unpaired_both_difficult),
            *(p.samples_per_class, p.classes, p.difficult),
        )
