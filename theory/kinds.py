"""Kinds of pairs of nodes: the graph's weights, degrees and roots of degrees, one value a kind.

A graph that does not tell apart the classes, the easy or the difficult samples of a class is constant on nine
kinds of pairs. All of ``theory`` reads the graph from this table: the matrix, the operator, the modes, the
remedies and the audit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, get_args

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Number = Any
Sqrt = Callable[[Any], Any]
Pairing = Literal["block", "any", "matched", "clean"]
PAIRINGS: tuple[Pairing, ...] = get_args(Pairing)


class PerKind(NamedTuple):
    """One value for each kind of pair: a symmetric matrix over the nodes that is constant on every kind.

    The difficult sample l of a class is ``paired`` with the difficult sample l of every other class, and
    ``unpaired_both_difficult`` with the others. Only the matched pairing tells the two apart; without that,
    the off-diagonal kinds are six levels: easy–easy, easy–difficult and difficult–difficult, within and
    across classes.
    """

    paired: Number
    difficult_diagonal: Number
    same_class_both_difficult: Number
    unpaired_both_difficult: Number
    same_class_one_difficult: Number
    different_class_one_difficult: Number
    easy_diagonal: Number
    same_class_both_easy: Number
    different_class_both_easy: Number

    def combine(self, operation: Callable[..., Number], *others: PerKind) -> PerKind:
        """Apply an operation kind by kind."""
        return PerKind(*map(operation, self, *others))

    def matrix(self, p: Graph) -> NDArray[np.float64]:
        """Dense matrix, shape (N, N); node ``i*n + l`` is sample l of class i, the first n_d are difficult."""
        import numpy as np

        nodes = p.n * (p.r + 1)
        sample, label = np.arange(nodes) % p.n, np.arange(nodes) // p.n
        difficult, diagonal = sample < p.n_d, np.eye(nodes, dtype=bool)
        both, one = difficult[:, None] & difficult, difficult[:, None] ^ difficult
        same_class = label[:, None] == label
        dense = np.full((nodes, nodes), float(self.different_class_both_easy))
        for pairs, value in (  # of those that apply, the last counts
            (one, self.different_class_one_difficult),
            (both, self.unpaired_both_difficult),
            (both & (sample[:, None] == sample), self.paired),
            (same_class, self.same_class_both_easy),
            (same_class & one, self.same_class_one_difficult),
            (same_class & both, self.same_class_both_difficult),
            (diagonal, self.easy_diagonal),
            (diagonal & difficult, self.difficult_diagonal),
        ):
            dense[pairs] = float(value)
        return dense


def neighbours(n_d: Number, pairing: Pairing) -> Number:
    """m, the difficult γ-neighbours that a difficult sample has in each other class."""
    return 1 if pairing == "matched" else n_d


class Degrees(NamedTuple):
    """Row sums of the weight matrix, by kind of node."""

    easy: Number
    difficult: Number


class Graph(Protocol):
    """What ``theory.formulas`` reads of a graph: numbers of one type (floats, fractions, arrays, symbols, balls)."""

    @property
    def n(self) -> Number:
        """Samples per class."""

    @property
    def r(self) -> Number:
        """Other classes."""

    @property
    def n_d(self) -> Number:
        """Difficult samples per class."""

    @property
    def weights(self) -> PerKind:
        """Weights by kind of pair."""

    @property
    def degrees(self) -> Degrees:
        """Row sums of the weights; of ones for a matrix that is normalised already."""


def has_gamma(pairing: Pairing) -> PerKind:
    """Which kinds of pairs have similarity γ in the three-level graph.

    ``block``, the paper's (eqs. 18–21, 33): every pair of difficult samples of different classes; ``any``, as the
    paper measures γ (A.5): also those of a difficult and an easy sample; ``matched``, what its proof of theorem
    3.4 decomposes (eq. 24): only the paired ones; ``clean``: none.
    """
    both = pairing in ("block", "any")
    return PerKind(pairing != "clean", False, False, both, False, pairing == "any", False, False, False)


def paper_weights(alpha: Number, beta: Number, gamma: Number, pairing: Pairing) -> PerKind:
    """The three-level graph: α within a class, β across classes, γ where ``has_gamma`` says so."""
    joined = has_gamma(pairing)
    return PerKind(
        gamma if joined.paired else beta,
        1,
        alpha,
        gamma if joined.unpaired_both_difficult else beta,
        alpha,
        gamma if joined.different_class_one_difficult else beta,
        1,
        alpha,
        beta,
    )


def six_weights(within: Sequence[Number], across: Sequence[Number]) -> PerKind:
    """The graph of six levels: similarity of easy–easy, easy–difficult and difficult–difficult pairs, by classes."""
    (same_easy, same_mixed, same_difficult), (easy, mixed, difficult) = within, across
    return PerKind(difficult, 1, same_difficult, difficult, same_mixed, mixed, 1, same_easy, easy)


class RowLevels(NamedTuple):
    """Sums w + s·w′ of a level within and the one across classes: between an easy and a difficult sample, and how
    much more between two easy and between two difficult ones. Differences of levels, so that equal ones leave 0."""

    mixed: Number
    more_easy: Number
    more_difficult: Number


def row_levels(w: PerKind, across: Number) -> RowLevels:
    """The sums for vectors that are constant over the classes (``across`` = s = r) or of sum zero (−1)."""
    same, other = w.same_class_one_difficult, w.different_class_one_difficult
    return RowLevels(
        same + across * other,
        (w.same_class_both_easy - same) + across * (w.different_class_both_easy - other),
        (w.same_class_both_difficult - same) + across * (w.unpaired_both_difficult - other),
    )


def own_levels(w: PerKind, across: Number) -> tuple[Number, Number]:
    """What an easy and a difficult sample have more with themselves than with others of their kind and class.

    A difficult one also with its partners more than with the other difficult samples of their classes.
    """
    partners = across * (w.paired - w.unpaired_both_difficult)
    return w.easy_diagonal - w.same_class_both_easy, w.difficult_diagonal - w.same_class_both_difficult + partners


def degrees(w: PerKind, n: Number, r: Number, n_d: Number) -> Degrees:
    """Row sums of the weights; the diagonal counts once."""
    easy, difficult = own_levels(w, r)
    mixed, more_easy, more_difficult = row_levels(w, r)
    return Degrees(easy + n * mixed + (n - n_d) * more_easy, difficult + n * mixed + n_d * more_difficult)


def roots(c: Degrees, sqrt: Sqrt) -> PerKind:
    """√(c·c′) of the degrees of the two nodes, by kind of pair."""
    mixed = sqrt(c.easy * c.difficult)
    return PerKind(*4 * (c.difficult,), mixed, mixed, *3 * (c.easy,))
