"""The exact spectrum of the normalised adjacency, in constant time, with multiplicities."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import cache
from operator import itemgetter
from typing import Any, NamedTuple

from theory import formulas
from theory.checks import ParameterError, require_integer
from theory.kinds import Pairing, Sqrt, own_levels, row_levels
from theory.params import GraphParameters, SixLevels

ROUNDING = 1e-12  # 1 − .9 is not .2 − .1 in floats


class Mode(NamedTuple):
    """One eigenvalue with its multiplicity and the name of its eigenspace."""

    mode: str
    eigenvalue: Any
    multiplicity: int


class Arithmetic(NamedTuple):
    """How a type of numbers takes square roots, chooses between two values, and tells whether a count is positive."""

    sqrt: Sqrt
    where: Callable[[Any, Any, Any], Any]
    positive: Callable[[Any], Any]


def choose(condition: Any, yes: Any, no: Any) -> Any:
    """``where`` of single numbers."""
    return yes if condition else no


def above_zero(count: Any) -> Any:
    """Elementwise for arrays."""
    return count > 0


SCALAR = Arithmetic(math.sqrt, choose, above_zero)


class Space(NamedTuple):
    """An invariant space of the normalised adjacency: its modes, their eigenvalues and multiplicities.

    Both are functions of the graph and return one value a mode; ``block`` returns the matrix by which the adjacency
    acts on the space, as its one entry or as ``formulas.block`` does.
    """

    modes: tuple[str, ...]
    eigenvalues: Callable[[Any, Arithmetic], tuple[Any, ...]]
    multiplicities: Callable[[Any, Arithmetic], tuple[Any, ...]]
    block: Callable[[Any], tuple[Any, ...]]
    matched: bool | None = None  # whether it needs the matched pairing, or one without; None: either


def one_or_two(block: tuple[Any, Any, Any], p: Any, by: Arithmetic) -> tuple[Any, Any]:
    """Upper and lower eigenvalue of a block; where there is one kind of sample, its own entry is the upper one."""
    difficult, easy, _ = block
    upper, lower = formulas.eigenvalues(block, by.sqrt)
    has_difficult, has_easy = by.positive(p.n_d), by.positive(p.n - p.n_d)
    return by.where(has_difficult, by.where(has_easy, upper, difficult), easy), lower


def _mixed(p: Any, by: Arithmetic) -> Any:
    """1 if there are easy and difficult samples, else 0."""
    return by.where(by.positive(p.n_d) & by.positive(p.n - p.n_d), 1, 0)


def _others(count: Any, by: Arithmetic) -> Any:
    """Samples of one kind in a class besides the first."""
    return by.where(by.positive(count - 1), count - 1, 0)


def _entry(mode: Callable[[Any], Any]) -> dict[str, Any]:
    return {"eigenvalues": lambda p, _: (mode(p),), "block": lambda p: (mode(p),)}


SPACES = (
    Space(
        ("trivial", "contrast"),
        lambda p, _: (1 + 0 * p.weights.same_class_both_easy, formulas.contrast(p)),
        lambda p, by: (1 + 0 * p.n_d, _mixed(p, by)),
        lambda p: formulas.block(p, p.r),
    ),
    Space(
        ("class_upper", "class_lower"),
        lambda p, by: one_or_two(formulas.class_block(p), p, by),
        lambda p, by: (p.r, p.r * _mixed(p, by)),
        formulas.class_block,
    ),
    Space(("bridge",), **_entry(formulas.bridge), multiplicities=lambda p, by: (_others(p.n_d, by),), matched=True),
    Space(
        ("anti_bridge",),
        **_entry(formulas.anti_bridge),
        multiplicities=lambda p, by: (p.r * _others(p.n_d, by),),
        matched=True,
    ),
    Space(
        ("within_difficult",),
        **_entry(formulas.within_difficult),
        multiplicities=lambda p, by: ((p.r + 1) * _others(p.n_d, by),),
        matched=False,
    ),
    Space(("bulk",), **_entry(formulas.bulk), multiplicities=lambda p, by: ((p.r + 1) * _others(p.n - p.n_d, by),)),
)


@cache
def spaces(pairing: Pairing) -> tuple[Space, ...]:
    """The invariant spaces of graphs of this pairing."""
    return tuple(space for space in SPACES if space.matched in (None, pairing == "matched"))


def modes(p: Any, by: Arithmetic) -> list[tuple[str, Any, Any]]:
    """Name, eigenvalue and multiplicity of every mode that a graph of this pairing can have."""
    return [
        mode
        for space in spaces(p.pairing)
        for mode in zip(space.modes, space.eigenvalues(p, by), space.multiplicities(p, by), strict=True)
    ]


def present(found: Iterable[tuple[str, Any, Any]]) -> tuple[Mode, ...]:
    """The modes of positive multiplicity, largest eigenvalue first."""
    return tuple(sorted([Mode._make(mode) for mode in found if mode[2]], key=itemgetter(1), reverse=True))


def spectrum(p: GraphParameters | SixLevels, sqrt: Sqrt | None = None) -> tuple[Mode, ...]:
    """All eigenvalues of D^(−1/2) A D^(−1/2), largest first.

    Parameters
    ----------
    p : GraphParameters or SixLevels
        Any pairing or six levels, any n and n_d, the degenerate graphs included.
    sqrt : callable, optional
        Square root for the number type of ``p``; by default the exact one for fractions.

    Returns
    -------
    tuple of Mode
        Modes of positive multiplicity; the multiplicities sum to N. Names: trivial, contrast,
        class_upper, class_lower, bridge and anti_bridge (matched) or within_difficult (others), bulk.
    """
    if sqrt is None and isinstance(p.alpha, float):
        return present(modes(p, SCALAR))
    return present(modes(p, SCALAR._replace(sqrt=sqrt or _exact_root())))


def _exact_root() -> Sqrt:
    from theory.exact import sqrt

    return sqrt


def nth_mode(modes: tuple[Mode, ...], j: int) -> Mode:
    """The mode that holds the j-th largest eigenvalue (j = 1 is the trivial one).

    Raises
    ------
    ParameterError
        If j is not between 1 and the number of nodes.
    """
    total = sum(mode.multiplicity for mode in modes)
    j = require_integer("j", j, 1, total)
    for mode in modes:
        j -= mode.multiplicity
        if j <= 0:
            return mode
    raise AssertionError("multiplicities sum to the number of nodes")


def is_positive_semidefinite(p: Any) -> Any:
    """Whether the graph can be an augmentation graph; exact for fractions, elementwise for arrays.

    It is, if and only if on every invariant space the weights are: what a kind of sample has more with itself than
    with its kind, and for ``across`` = r and −1 the diagonal and the determinant of the 2×2 block.
    """
    zero = 0 if hasattr(p.degrees.easy, "numerator") else -ROUNDING
    n_d, n_e = p.n_d, p.n - p.n_d
    holds: Any = True
    for across in (p.r, -1):
        own_easy, own_difficult = own_levels(p.weights, across)
        mixed, more_easy, more_difficult = row_levels(p.weights, across)
        easy = own_easy + n_e * (mixed + more_easy)
        difficult = own_difficult + n_d * (mixed + more_difficult)
        of_easy = ((n_e < 2) | (own_easy >= zero)) & ((n_e < 1) | (easy >= zero))
        of_difficult = ((n_d < 2) | (own_difficult >= zero)) & ((n_d < 1) | (difficult >= zero))
        of_both = (n_e < 1) | (n_d < 1) | (formulas.determinant(p, across) >= zero * easy * difficult)
        holds = holds & of_easy & of_difficult & of_both
    return holds


def has_negative_weight(p: Any) -> Any:
    """Whether two samples that there are have a negative weight, as no augmentation gives; elementwise for arrays."""
    w, n_d, n_e = p.weights, p.n_d, p.n - p.n_d
    mixed = (w.same_class_one_difficult < 0) | (w.different_class_one_difficult < 0)
    easy = ((n_e > 1) & (w.same_class_both_easy < 0)) | ((n_e > 0) & (w.different_class_both_easy < 0))
    difficult = ((n_d > 1) & (w.same_class_both_difficult < 0)) | ((n_d > 0) & (w.unpaired_both_difficult < 0))
    return easy | difficult | ((n_e > 0) & (n_d > 0) & mixed)


def largest_gamma(p: Any, by: Arithmetic = SCALAR) -> Any:
    """The γ up to which the three-level graph is positive semidefinite; needs n_d >= 1.

    With o = 1 − α: block β + (o/n_d)·(o + n·a)/(o + n_e·a); matched β + o, for n_d = 1 as block. Any: the γ at which
    the contrast vanishes, n_e·n_d·y² + n_d·(n_e·b − o)·y = o·(o + n·b) for y = r·g; as block for n_e = 0.

    Parameters
    ----------
    p : Graph with alpha, beta and pairing
    by : Arithmetic
        Of its numbers.
    """
    a, own, n_e = p.alpha - p.beta, 1 - p.alpha, p.n - p.n_d
    of_block = p.beta + own * (own + p.n * a) / (p.neighbours * (own + n_e * a))
    if p.pairing == "matched":
        return by.where(p.n_d > 1, p.beta + own, of_block)
    if p.pairing != "any":
        return of_block
    b = p.alpha + p.r * p.beta
    half, square, constant = p.n_d * (n_e * b - own) / 2, n_e * p.n_d, own * (own + p.n * b)
    root = by.sqrt(half * half + square * constant)
    above, below = constant / by.where(half > 0, half + root, 1), (root - half) / by.where(square > 0, square, 1)
    return by.where(n_e > 0, p.beta + by.where(half > 0, above, below) / p.r, of_block)


class NotRealisable(ParameterError):
    """No augmentation produces the graph."""


def require_augmentation_graph(p: Any) -> None:
    """Raise NotRealisable, naming the largest γ, if the graph is not positive semidefinite."""
    if is_positive_semidefinite(p):
        return
    if hasattr(p, "levels"):
        raise NotRealisable("levels", p.levels, "a positive semidefinite graph: no augmentation produces others")
    condition = f"gamma <= {float(largest_gamma(p)):.6g}, above which no augmentation produces the {p.pairing} graph"
    raise NotRealisable("gamma", p.gamma, f"{condition} (it is not positive semidefinite)")
