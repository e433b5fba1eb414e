"""Divergences estimated from a critic: the plain Fenchel bound and the one restricted to distributions.

For every critic f,  E_P f − E_Q φ*(f) <= E_P f − min_λ {λ + E_Q φ*(f − λ)} <= D(P‖Q).  The second takes the best shift
of the critic, which the first leaves to the critic itself; a good critic does not need it, a poor one does.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from theory.checks import require
from theory.dro.divergences import Divergence, find, phi_soft_maximum, tilt
from theory.dro.reference import LARGEST, Reference, reference


class Variational(NamedTuple):
    """Two lower bounds of D(P‖Q): the plain is −inf where φ* of the critic is infinite."""

    plain: float
    restricted: float


class ScaledVariational(NamedTuple):
    """The bounds at the best scales a >= 0 of a critic, and these scales."""

    plain: float
    restricted: float
    plain_scale: float
    restricted_scale: float


def variational_estimate(
    on_p: ArrayLike,
    on_q: ArrayLike,
    divergence: str,
    p: ArrayLike | None = None,
    q: ArrayLike | None = None,
) -> Variational:
    """The plain and the restricted estimate of D(P‖Q) from one critic.

    Parameters
    ----------
    on_p, on_q : array_like
        The critic on samples of P, shape (M,), and of Q, shape (K,).
    divergence : str
        As for ``phi_divergence``. For ``kl`` the plain estimate is Nguyen, Wainwright and Jordan's, the restricted
        one Donsker and Varadhan's.
    p, q : array_like, optional
        Weights of the samples up to a factor, >= 0; uniform by default. If both are distributions on the same
        outcomes, with P's among Q's, both estimates are lower bounds of D(P‖Q) exactly.

    Raises
    ------
    ParameterError
        If an argument is outside its range.

    References
    ----------
    Ruderman et al. 2012, "Tighter variational representations of f-divergences via restriction to probability
    measures"; Wu et al. 2023, arXiv 2310.11048, use the restricted one (quoted; its full text was not at hand).
    """
    phi = find(divergence)
    mean, negatives = reference(on_p, p).mean, reference(on_q, q)
    return Variational(mean - _conjugate_mean(negatives, phi), mean - phi_soft_maximum(on_q, 1.0, divergence, q))


def scaled_variational_estimate(
    on_p: ArrayLike,
    on_q: ArrayLike,
    divergence: str,
    p: ArrayLike | None = None,
    q: ArrayLike | None = None,
) -> ScaledVariational:
    """The estimates of D(P‖Q) from the class {a·f : a >= 0} of one critic, each at its best scale.

    Both are concave in a. The restricted one is largest where the tilted Q has the critic's mean under P.

    Parameters
    ----------
    on_p, on_q, divergence, p, q
        As for ``variational_estimate``. The critic's mean on P must be below its maximum on Q: otherwise the
        restricted estimate grows without bound with the scale.

    Raises
    ------
    ParameterError
        If an argument is outside its range.
    """
    phi = find(divergence)
    mean, negatives = reference(on_p, p).mean, reference(on_q, q)
    condition = f"mean < {negatives.top:g}, the largest on Q, or no scale is best"
    require(mean < negatives.top or mean <= negatives.mean, "critic", f"mean {mean:g} on P", condition)

    plain_scale = _plain_scale(negatives, mean, phi)
    restricted_scale = _root(lambda scale: mean - _tilted_mean(negatives, scale, phi), math.inf)
    plain = variational_estimate(plain_scale * np.asarray(on_p), plain_scale * np.asarray(on_q), divergence, p, q).plain
    restricted = variational_estimate(
        restricted_scale * np.asarray(on_p), restricted_scale * np.asarray(on_q), divergence, p, q
    ).restricted
    return ScaledVariational(plain, restricted, plain_scale, restricted_scale)


def _conjugate_mean(critic: Reference, phi: Divergence) -> float:
    """E_Q φ*(f)."""
    if critic.top >= phi.edge:
        return math.inf
    with np.errstate(over="ignore"):
        return float(critic.weights @ phi.conjugate(critic.top + critic.below))


def _tilted_mean(negatives: Reference, scale: float, phi: Divergence) -> float:
    if scale == 0:
        return negatives.mean
    ratio = np.exp(tilt(negatives, 1 / scale, phi))
    return negatives.top + float(negatives.weights @ (ratio * negatives.below))


def _plain_scale(negatives: Reference, mean: float, phi: Divergence) -> float:
    critic = negatives.top + negatives.below

    def slope(scale: float) -> float:
        ratio = np.exp(phi.log_ratio(0.0, np.minimum(scale * critic, 500.0)))  # as far as products with e^y go
        return mean - float(negatives.weights @ (critic * ratio))

    edge = phi.edge / negatives.top if negatives.top > 0 else math.inf
    return _root(slope, edge * (1 - 1e-12))


def _root(slope: Callable[[float], float], end: float) -> float:
    """Where a decreasing slope vanishes on [0, end]; the end nearest to it if it does not."""
    from scipy.optimize import brentq  # slow to import

    if slope(0.0) <= 0:
        return 0.0
    high = min(1.0, end)
    while slope(high) > 0:
        if high >= min(end, LARGEST):
            return high
        high = min(2 * high, end)
    return float(brentq(slope, 0.0, high, xtol=1e-15, rtol=1e-14))
