"""The Kullback–Leibler ball around the distribution of an anchor's negatives.

sup {E_Q f : KL(Q‖Q0) <= η} = min_(τ>0) τη + τ·log E_Q0 e^(f/τ): the temperature of InfoNCE is the multiplier of a
robust radius η. Divergences are sums of non-negative terms, so none cancels.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from theory.checks import require
from theory.dro.reference import (
    LARGEST,
    Array,
    Reference,
    WorstCase,
    extreme,
    reference,
    require_radius,
    require_scale,
    varied,
)

NO_WEIGHT = -740.0  # its exponential is the smallest float


def log_mean(negatives: Reference, tau: float) -> float:
    """log E_Q0 e^((f − max f)/τ), accurate for all temperatures."""
    exponents = negatives.below / tau
    shrinkage = float(negatives.weights @ np.expm1(exponents))
    if shrinkage > -0.5:
        return math.log1p(shrinkage)
    return math.log(negatives.weights @ np.exp(exponents))


def log_ratio(negatives: Reference, tau: float) -> Array:
    """log dQ/dQ0 of the tilted distribution Q ∝ Q0·e^(f/τ)."""
    ratio: Array = negatives.below / tau - log_mean(negatives, tau)
    return ratio


def kl_integrand(log_ratio: Array) -> Array:
    """φ(x) = e^x(x − 1) + 1 = ½x²·₁F₁(2; 3; x) >= 0, of which KL(Q‖Q0) = E_Q0 φ(log dQ/dQ0)."""
    return half_square(np.maximum(log_ratio, NO_WEIGHT), 2)


def half_square(x: Array, order: int) -> Array:
    """½x²·₁F₁(order; 3; x), near 0 the part of an exponential that is left without its first terms."""
    from scipy.special import hyp1f1  # half of this module's start-up

    result: Array = x * x * hyp1f1(order, 3, x) / 2
    return result


def radius(negatives: Reference, tau: float) -> float:
    """η(τ), accurate relative to itself and, near its limit, relative to the distance from it."""
    log_weights = log_ratio(negatives, tau)
    below, weights = negatives.below, negatives.weights
    rest = below < 0
    # what is missing to the limit: log(1 + Q(rest)/Q(top)) + E_Q(max f − f)/τ
    odds = weights[rest] @ np.exp(below[rest] / tau) / weights[~rest].sum()
    missing = math.log1p(odds) - weights @ (np.exp(log_weights) * below) / tau
    if missing < negatives.limit / 2:
        return float(negatives.limit - missing)
    return float(weights @ kl_integrand(log_weights))


def radius_limit(similarities: ArrayLike, weights: ArrayLike | None = None) -> float:
    """−log Q0(f = max f): the radius from which on the robust value is max f.

    Parameters
    ----------
    similarities : array_like
        f, shape (K,).
    weights : array_like, optional
        Q0 up to a factor, >= 0, shape (K,); uniform by default. Samples of weight 0 do not count.

    Raises
    ------
    ParameterError
        If an array is empty, not finite or of the wrong shape.
    """
    return reference(similarities, weights).limit


def tilted(similarities: ArrayLike, tau: float, weights: ArrayLike | None = None) -> Array:
    """The distribution Q ∝ Q0·e^(f/τ) with which InfoNCE weighs the negatives, shape (K,).

    Parameters
    ----------
    similarities, weights : array_like
        As for ``radius_limit``.
    tau : float
        Temperature, > 0.

    Raises
    ------
    ParameterError
        If an argument is outside its range.
    """
    require_scale("tau", tau)
    negatives = reference(similarities, weights)
    distribution: Array = negatives.weights * np.exp(log_ratio(negatives, tau))
    return distribution


def soft_maximum(similarities: ArrayLike, tau: float, weights: ArrayLike | None = None) -> float:
    """τ·log E_Q0 e^(f/τ), between the mean (τ → ∞) and the maximum (τ → 0); arguments as for ``tilted``."""
    require_scale("tau", tau)
    negatives = reference(similarities, weights)
    return negatives.top + tau * log_mean(negatives, tau)


def robust_radius(similarities: ArrayLike, tau: float, weights: ArrayLike | None = None) -> float:
    """η(τ) = KL(Q*‖Q0), Q* ∝ Q0·e^(f/τ): the radius whose multiplier is the temperature τ.

    It falls from −log Q0(f = max f) at τ → 0 to 0 at τ → ∞.

    Parameters
    ----------
    similarities, weights : array_like
        As for ``radius_limit``; not constant.
    tau : float
        Temperature, > 0.

    Returns
    -------
    float
        η, accurate relative to itself and, near its limit, relative to the distance from it.

    Raises
    ------
    ParameterError
        If an argument is outside its range or the similarities are constant.

    References
    ----------
    Wu et al. 2023, "Understanding Contrastive Learning via Distributionally Robust Optimization".
    """
    require_scale("tau", tau)
    return radius(varied(similarities, weights), tau)


def robust_temperature(similarities: ArrayLike, eta: float, weights: ArrayLike | None = None) -> float:
    """τ*(η), the minimiser of τη + τ·log E_Q0 e^(f/τ): the inverse of ``robust_radius``.

    Parameters
    ----------
    similarities, weights : array_like
        As for ``radius_limit``; not constant.
    eta : float
        Radius, 0 < η < −log Q0(f = max f). At and beyond the limit the infimum is at τ → 0, at η = 0 at
        τ → ∞, and no minimiser exists.

    Raises
    ------
    ParameterError
        If an argument is outside its range; for η the message names the limit.
    """
    negatives = varied(similarities, weights)
    limit = negatives.limit
    condition = f"0 < eta < {limit} = -log Q0(f = max f): no temperature has this radius"
    require(0 < eta < limit, "eta", eta, condition)
    return solve_temperature(lambda tau: radius(negatives, tau), negatives.width, eta)


def solve_temperature(radius: Callable[[float], float], width: float, eta: float) -> float:
    """The temperature at which a radius has fallen to η, for similarities of at most this width."""
    from scipy.optimize import brentq  # slow to import, and the other direction does without

    # A variance is at most width²/4, so η(τ) <= width²/(8τ²); the factor 2 is for rounding.
    high = width / math.sqrt(2 * eta)
    low = high / 2
    while radius(low) <= eta:
        low /= 2
    exponent = brentq(lambda x: radius(math.exp(x)) - eta, math.log(low), math.log(high), xtol=1e-15, rtol=1e-15)
    return math.exp(exponent)


def kl_worst_case(similarities: ArrayLike, eta: float, weights: ArrayLike | None = None) -> WorstCase:
    """sup {E_Q f : KL(Q‖Q0) <= η} and where it is attained.

    Parameters
    ----------
    similarities, weights : array_like
        As for ``radius_limit``.
    eta : float
        Radius, >= 0.

    Returns
    -------
    WorstCase
        For 0 < η < limit, Q* ∝ Q0·e^(f/τ*); from the limit on Q0 conditioned on f = max f, with tau 0
        (constant similarities have limit 0).

    Raises
    ------
    ParameterError
        If an argument is outside its range.
    """
    require_radius(eta)
    negatives = reference(similarities, weights)
    if not 0 < eta < negatives.limit:
        return extreme(negatives, eta, negatives.limit)
    tau = solve_temperature(lambda tau: radius(negatives, tau), negatives.width, eta)
    value = negatives.top + tau * (eta + log_mean(negatives, tau))
    return WorstCase(value, tau, negatives.weights * np.exp(log_ratio(negatives, tau)), negatives.limit)


class WithPositive(NamedTuple):
    """The radius of an anchor's negatives, and of its whole denominator.

    Attributes
    ----------
    negatives : float
        η of the negatives alone.
    all : float
        η of the positive and the negatives together.
    share : float
        Weight of the positive in the tilted distribution of all, the softmax that NT-Xent's loss is −log of.
    """

    negatives: float
    all: float
    share: float


def radius_with_positive(similarities: ArrayLike, positive: float, tau: float) -> WithPositive:
    """The robust radius without and with the positive among the samples of Q0.

    NT-Xent has the positive in its denominator: −log softmax is log(K + 1) + log E_Q0 e^(f/τ) − f⁺/τ with Q0
    uniform on the positive and the K negatives. With share s of the positive, the two radii are related by
    η_all = KL(s‖1/(K + 1)) + (1 − s)·η_negatives, the first divergence being that of two coins.

    Parameters
    ----------
    similarities : array_like
        f of the negatives, shape (K,), not constant.
    positive : float
        f⁺, finite.
    tau : float
        Temperature, > 0.

    Raises
    ------
    ParameterError
        If an argument is outside its range.
    """
    require(bool(abs(positive) <= LARGEST), "positive", positive, f"a finite number (up to {LARGEST:g})")
    alone = robust_radius(similarities, tau)
    everything = np.append(similarities, positive)
    return WithPositive(alone, robust_radius(everything, tau), float(tilted(everything, tau)[-1]))
