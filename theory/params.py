"""The three-level similarity model's parameters, validated once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

from theory.checks import is_finite, require, require_integer
from theory.kinds import PAIRINGS, Degrees, Pairing, PerKind, degrees, neighbours, paper_weights

LARGEST_SIZE = 10**12  # of n and of the classes: their product stays exact in a float


@dataclass(frozen=True)
class GraphParameters:
    """A similarity graph with three levels of similarity.

    Parameters
    ----------
    alpha, beta, gamma : float or Fraction
        Similarity within a class, across classes, and across classes between difficult samples that
        are paired; 0 <= beta <= gamma < alpha < 1. ``gamma == beta`` is the clean graph.
    samples_per_class : int
        n >= 1.
    classes : int
        r + 1 >= 2.
    difficult : int
        n_d, difficult samples per class, 0 <= n_d <= n.
    pairing : {"matched", "block"}
        Whether a difficult sample is paired with one sample of every other class (the paper's model)
        or with all difficult samples of every other class.

    Raises
    ------
    ParameterError
        If a parameter is outside its range.

    References
    ----------
    Zhang, Cui, Li, Wang, "Difficult Examples Hurt Unsupervised Contrastive Learning", ICLR 2026, section 3.
    """

    alpha: Any
    beta: Any
    gamma: Any
    samples_per_class: int
    classes: int
    difficult: int
    pairing: Pairing = "matched"

    def __post_init__(self) -> None:
        for name in ("alpha", "beta", "gamma"):
            value = getattr(self, name)
            require(is_finite(value), name, value, "a finite number")
        require(self.alpha < 1, "alpha", self.alpha, "alpha < 1")
        require(self.beta >= 0, "beta", self.beta, "beta >= 0")
        require(self.beta <= self.gamma, "gamma", self.gamma, f"gamma >= beta = {self.beta}")
        require(self.gamma < self.alpha, "gamma", self.gamma, f"gamma < alpha = {self.alpha}")
        for name, low, high in (
            ("samples_per_class", 1, LARGEST_SIZE),
            ("classes", 2, LARGEST_SIZE),
            ("difficult", 0, self.samples_per_class),
        ):
            limit = ", the samples per class" if name == "difficult" else ""
            whole = require_integer(name, getattr(self, name), low, high, limit=limit)
            object.__setattr__(self, name, whole)
        require(self.pairing in PAIRINGS, "pairing", self.pairing, "one of " + ", ".join(PAIRINGS))

    @property
    def n(self) -> int:
        """Samples per class."""
        return self.samples_per_class

    @property
    def r(self) -> int:
        """Other classes, that is classes - 1."""
        return self.classes - 1

    @property
    def n_d(self) -> int:
        """Difficult samples per class."""
        return self.difficult

    @property
    def nodes(self) -> int:
        """N = n (r + 1)."""
        return self.samples_per_class * self.classes

    @property
    def neighbours(self) -> int:
        """m, the gamma-neighbours that a difficult sample has in each other class."""
        return int(neighbours(self.difficult, self.pairing))

    @property
    def is_clean(self) -> bool:
        """Whether no pair of samples is difficult."""
        return self.difficult == 0 or self.gamma == self.beta

    @cached_property
    def weights(self) -> PerKind:
        """Weights by kind of pair."""
        return paper_weights(self.alpha, self.beta, self.gamma, self.pairing)

    @cached_property
    def degrees(self) -> Degrees:
        """c2 of an easy and c1 of a difficult sample."""
        return degrees(self.weights, self.n, self.r, self.n_d)

    def clean(self) -> GraphParameters:
        """Return the graph with every gamma turned into beta."""
        return replace(self, gamma=self.beta)

    def without_difficult(self) -> GraphParameters:
        """Return the graph with the difficult samples removed; ParameterError if that is all of them."""
        require(self.difficult < self.n, "difficult", self.difficult, f"difficult < {self.n}: all would go")
        return replace(self.clean(), samples_per_class=self.n - self.difficult, difficult=0)

    def as_dict(self) -> dict[str, Any]:
        """Return the fields by name."""
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> GraphParameters:
        """Inverse of ``as_dict``."""
        return cls(**fields)
