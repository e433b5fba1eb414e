"""The exact spectrum of the normalised adjacency, in constant time, with multiplicities."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from theory import formulas
from theory.checks import ParameterError, require_integer
from theory.formulas import Sqrt
from theory.params import GraphParameters

ROUNDING = 1e-12  # 1 − .9 is not .2 − .1 in floats


class Mode(NamedTuple):
    """One eigenvalue with its multiplicity and the name of its eigenspace."""

    mode: str
    eigenvalue: Any
    multiplicity: int


def spectrum(p: GraphParameters, sqrt: Sqrt | None = None) -> tuple[Mode, ...]:
    """All eigenvalues of D^{-1/2} A D^{-1/2}, largest first.

    Parameters
    ----------
    p : GraphParameters
        Either pairing, any n and n_d, the degenerate graphs included.
    sqrt : callable, optional
        Square root for the number type of ``p``; by default the exact one for fractions.

    Returns
    -------
    tuple of Mode
        Modes of positive multiplicity; the multiplicities sum to N. Names: trivial, contrast,
        class_upper, class_lower, bridge, anti_bridge (matched), within_difficult (block), bulk.

    Raises
    ------
    ParameterError
        If the graph has no edges at a node (alpha = 1 is excluded, so this cannot happen).
    """
    sqrt = sqrt or _square_root(p)
    r, n_d, n_e = p.r, p.n_d, p.n - p.n_d
    one = p.alpha * 0 + 1
    modes = [Mode("trivial", one, 1)]
    if n_d == 0:
        modes.append(Mode("class_upper", formulas.class_block(p)[1], r))
    elif n_e == 0:
        modes.append(Mode("class_upper", formulas.class_block(p)[0], r))
    else:
        upper, lower = formulas.class_modes(p, sqrt)
        modes += [Mode("class_upper", upper, r), Mode("class_lower", lower, r)]
        modes.append(Mode("contrast", formulas.contrast(p), 1))
    if n_d > 1 and p.pairing == "matched":
        modes.append(Mode("bridge", formulas.bridge(p), n_d - 1))
        modes.append(Mode("anti_bridge", formulas.anti_bridge(p), r * (n_d - 1)))
    elif n_d > 1:
        modes.append(Mode("within_difficult", formulas.within_difficult(p), (r + 1) * (n_d - 1)))
    if n_e > 1:
        modes.append(Mode("bulk", formulas.bulk(p), (r + 1) * (n_e - 1)))
    return tuple(sorted(modes, key=lambda mode: mode.eigenvalue, reverse=True))


def _square_root(p: GraphParameters) -> Sqrt:
    if isinstance(p.alpha, float):
        return math.sqrt
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

    The only eigenvalues that can be negative are the anti-bridge and the lower class mode; both
    conditions are stated without division or square root.
    """
    g, a, own = p.gamma - p.beta, p.alpha - p.beta, 1 - p.alpha
    slack = 1 if hasattr(own, "numerator") else 1 + ROUNDING
    class_lower = p.neighbours * g * (own + (p.n - p.n_d) * a) <= own * (own + p.n * a) * slack
    anti_bridge = (p.pairing == "block") | (p.n_d == 1) | (g <= own * slack)
    return (p.n_d == 0) | (class_lower & anti_bridge)


def largest_gamma(p: Any) -> Any:
    """The γ up to which the graph is positive semidefinite; needs n_d >= 1.

    β + o for a matched graph with n_d >= 2; β + (o/m)·(o + n·a)/(o + n_e·a) if all difficult samples are
    paired, o = 1 − α.
    """
    a, own = p.alpha - p.beta, 1 - p.alpha
    if p.pairing == "matched" and p.n_d > 1:
        return p.beta + own
    return p.beta + own * (own + p.n * a) / (p.neighbours * (own + (p.n - p.n_d) * a))


class NotRealisable(ParameterError):
    """No augmentation produces the graph."""


def require_augmentation_graph(p: Any) -> None:
    """Raise NotRealisable, naming the largest γ, if the graph is not positive semidefinite."""
    if is_positive_semidefinite(p):
        return
    condition = f"gamma <= {float(largest_gamma(p)):.6g}, above which no augmentation produces the {p.pairing} graph"
    raise NotRealisable("gamma", p.gamma, f"{condition} (it is not positive semidefinite)")
