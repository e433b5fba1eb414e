"""Balls of any φ-divergence D(Q‖Q0) = E_Q0 φ(dQ/dQ0) around the distribution of an anchor's negatives.

sup {E_Q f : D(Q‖Q0) <= η} = min_(τ>0,λ) λ + τη + τ·E_Q0 φ*((f − λ)/τ), with the worst case dQ*/dQ0 = φ*′((f − λ)/τ).
Both minimisations are root searches along monotone functions: for a temperature, the density ratio at max f that
makes Q* a distribution; then the temperature at which its divergence is η.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from theory.checks import ParameterError, require_known
from theory.dro.expansions import Expansion
from theory.dro.kl import half_square, kl_integrand
from theory.dro.reference import Array, Reference, WorstCase, extreme, reference, require_radius, require_scale

SMALLEST_TEMPERATURE = 1e-150  # relative to the width of the similarities: beyond, ratios leave the floats


@dataclass(frozen=True)
class Divergence:
    """A convex φ with φ(1) = φ′(1) = 0, in terms of the log ratio l = log dQ/dQ0 so that nothing cancels near l = 0.

    Attributes
    ----------
    integrand : callable
        φ(e^l) for an array of l >= −∞.
    log_ratio : callable
        (a, d) ↦ log φ*′(φ′(e^a) + d) for a >= 0 and an array d: the log ratio where (f − λ)/τ is d higher than
        where the log ratio is a.
    conjugate : callable
        φ*(y) = sup_t {ty − φ(t)} for an array of y below the edge.
    edge : float
        φ′(∞), from which on φ* is infinite.
    curvature, third : float
        φ″(1) and φ‴(1).
    """

    integrand: Callable[[Array], Array]
    log_ratio: Callable[[float, Array], Array]
    conjugate: Callable[[Array], Array]
    edge: float
    curvature: float
    third: float


def _log1p(x: Array) -> Array:
    with np.errstate(divide="ignore"):  # a ratio of 0
        result: Array = np.log1p(x)
    return result


def _reverse_kl(log_ratio: Array) -> Array:
    """e^l − 1 − l = ½l²·₁F₁(1; 3; l)."""
    near = np.clip(log_ratio, -1, 1)
    return np.where(near == log_ratio, half_square(near, 1), np.expm1(log_ratio) - log_ratio)


def _jensen_shannon(log_ratio: Array) -> Array:
    """The mean of the divergences of Q and Q0 from their mixture, whose log ratio to Q0 is m."""
    m = np.log1p(np.expm1(log_ratio) / 2)
    integrand: Array = np.exp(m) * (kl_integrand(log_ratio - m) + kl_integrand(-m)) / 2
    return integrand


DIVERGENCES = {
    "kl": Divergence(  # φ(t) = t log t − t + 1
        integrand=kl_integrand,
        log_ratio=lambda a, d: a + d,
        conjugate=np.expm1,
        edge=math.inf,
        curvature=1.0,
        third=-1.0,
    ),
    "chi2": Divergence(  # φ(t) = (t − 1)²
        integrand=lambda log_ratio: np.expm1(log_ratio) ** 2,
        log_ratio=lambda a, d: _log1p(np.maximum(math.expm1(a) + d / 2, -1)),
        conjugate=lambda y: np.where(y > -2, y + y * y / 4, -1),
        edge=math.inf,
        curvature=2.0,
        third=0.0,
    ),
    "hellinger": Divergence(  # φ(t) = (√t − 1)²
        integrand=lambda log_ratio: np.expm1(log_ratio / 2) ** 2,
        log_ratio=lambda a, d: a - 2 * np.log1p(-math.exp(a / 2) * d),
        conjugate=lambda y: y / (1 - y),
        edge=1.0,
        curvature=0.5,
        third=-0.75,
    ),
    "reverse_kl": Divergence(  # φ(t) = −log t + t − 1
        integrand=_reverse_kl,
        log_ratio=lambda a, d: a - np.log1p(-math.exp(a) * d),
        conjugate=lambda y: -np.log1p(-y),
        edge=1.0,
        curvature=1.0,
        third=-2.0,
    ),
    "jensen_shannon": Divergence(  # φ(t) = ½[t log t − (t + 1) log((t + 1)/2)]
        integrand=_jensen_shannon,
        log_ratio=lambda a, d: a + 2 * d - np.log1p(-math.exp(a) * np.expm1(2 * d)),
        conjugate=lambda y: -np.log1p(-np.expm1(2 * y)) / 2,
        edge=math.log(2) / 2,
        curvature=0.25,
        third=-0.375,
    ),
}


def find(divergence: str) -> Divergence:
    """The divergence of this name."""
    require_known("divergence", divergence, DIVERGENCES)
    return DIVERGENCES[divergence]


def tilt(negatives: Reference, tau: float, phi: Divergence) -> Array:
    """log dQ/dQ0 of the Q that maximises E_Q f − τ·D(Q‖Q0)."""
    from scipy.optimize import brentq  # slow to import

    depth = negatives.below / tau
    # the largest ratio is that of Q0 conditioned on f = max f; more than that, for rounding
    top = brentq(
        lambda a: float(negatives.weights @ np.expm1(phi.log_ratio(a, depth))),
        0,
        negatives.limit + 1,
        xtol=1e-300,
        rtol=1e-15,
        maxiter=2000,
    )
    return phi.log_ratio(top, depth)


def _limit(negatives: Reference, phi: Divergence) -> float:
    """The divergence of Q0 conditioned on f = max f."""
    if negatives.limit == 0:
        return 0.0
    on_top, off = phi.integrand(np.array([negatives.limit, -np.inf]))
    return float(math.exp(-negatives.limit) * on_top - math.expm1(-negatives.limit) * off)


def phi_divergence(q: ArrayLike, q0: ArrayLike, divergence: str) -> float:
    """D(Q‖Q0) of two distributions on K outcomes, infinite where Q has mass outside of Q0.

    Parameters
    ----------
    q, q0 : array_like
        Weights up to a factor, >= 0, shape (K,).
    divergence : {"kl", "chi2", "hellinger", "reverse_kl", "jensen_shannon"}
        KL(Q‖Q0); χ² = E(w − 1)²; the squared Hellinger distance E(√w − 1)²; KL(Q0‖Q); Jensen–Shannon in nats,
        which is at most log 2. w is dQ/dQ0.

    Raises
    ------
    ParameterError
        If an argument is outside its range.
    """
    phi = find(divergence)
    outcomes = np.zeros(np.shape(q))
    top, bottom = reference(outcomes, q).weights, reference(outcomes, q0).weights
    inside = bottom > 0
    bounded = phi.edge * top[~inside].sum() if (top[~inside] > 0).any() else 0.0
    with np.errstate(divide="ignore"):  # a ratio of 0
        log_ratio = np.log(top[inside] / bottom[inside])
    return float(bottom[inside] @ phi.integrand(log_ratio)) + float(bounded)


def phi_worst_case(similarities: ArrayLike, eta: float, divergence: str, weights: ArrayLike | None = None) -> WorstCase:
    """sup {E_Q f : D(Q‖Q0) <= η} and where it is attained, for any of the divergences.

    Parameters
    ----------
    similarities, weights : array_like
        As for ``radius_limit``.
    eta : float
        Radius, >= 0, accurate above about 1e-14.
    divergence : str
        As for ``phi_divergence``.

    Returns
    -------
    WorstCase
        The limit is infinite for ``reverse_kl``. For ``chi2`` tau is half that of ``chi2_worst_case``, whose dual
        writes the same ball with τη/2.

    Raises
    ------
    ParameterError
        If an argument is outside its range, or a radius of ``reverse_kl`` so large that Q* leaves the floats.

    References
    ----------
    Ben-Tal et al. 2013, "Robust solutions of optimization problems affected by uncertain probabilities"; Wu et al.
    2023, arXiv 2310.11048, state it for contrastive learning (quoted; its full text was not at hand).
    """
    phi = find(divergence)
    require_radius(eta)
    negatives = reference(similarities, weights)
    limit = _limit(negatives, phi)
    if not 0 < eta < limit:
        return extreme(negatives, eta, limit)
    tau = _temperature(negatives, eta, phi)
    if tau is None:
        if limit < math.inf:
            return extreme(negatives, limit, limit)
        raise ParameterError("eta", eta, "a radius whose worst case fits floats")
    distribution = negatives.weights * np.exp(tilt(negatives, tau, phi))
    distribution /= distribution.sum()
    return WorstCase(negatives.top + float(distribution @ negatives.below), tau, distribution, limit)


def _temperature(negatives: Reference, eta: float, phi: Divergence) -> float | None:
    """Where the divergence has fallen to η; None if it stays below at the smallest temperature."""
    from scipy.optimize import brentq

    def beyond(log_tau: float) -> float:
        return float(negatives.weights @ phi.integrand(tilt(negatives, math.exp(log_tau), phi))) - eta

    smallest = math.log(negatives.width * SMALLEST_TEMPERATURE)
    low = high = math.log(negatives.cumulants[0] / (2 * phi.curvature * eta)) / 2
    while beyond(high) > 0:
        high += 1
    step = 1.0
    while beyond(low) <= 0:
        if low == smallest:
            return None
        low, step = max(low - step, smallest), 2 * step
    return math.exp(brentq(beyond, low, high, xtol=1e-15, rtol=1e-15))


def phi_soft_maximum(similarities: ArrayLike, tau: float, divergence: str, weights: ArrayLike | None = None) -> float:
    """max_Q E_Q f − τ·D(Q‖Q0) = min_λ λ + τ·E_Q0 φ*((f − λ)/τ), between the mean and the maximum.

    For ``kl`` it is ``soft_maximum``.

    Parameters
    ----------
    similarities, weights : array_like
        As for ``radius_limit``.
    tau : float
        Temperature, > 0.
    divergence : str
        As for ``phi_divergence``.

    Raises
    ------
    ParameterError
        If an argument is outside its range.
    """
    phi = find(divergence)
    require_scale("tau", tau)
    negatives = reference(similarities, weights)
    log_ratio = tilt(negatives, tau, phi)
    gain = np.exp(log_ratio) * negatives.below - tau * phi.integrand(log_ratio)
    return negatives.top + float(negatives.weights @ gain)


def phi_soft_maximum_expansion(
    similarities: ArrayLike, tau: float, divergence: str, weights: ArrayLike | None = None
) -> Expansion:
    """E f + V/(2τφ″(1)) − φ‴(1)κ3/(6φ″(1)³τ²) + O(τ⁻³), beside the exact value.

    ``errors`` of the result are those of E f, of the first two terms and of all three. To second order a divergence
    enters through its curvature only, to third through its asymmetry: κ3/(6τ²) has the factor 1 (KL), 0 (χ²),
    6 (Hellinger), 2 (reverse KL), 24 (Jensen–Shannon). Arguments as for ``phi_soft_maximum``.

    References
    ----------
    The first two terms: Wu et al. 2023, arXiv 2310.11048 (quoted; its full text was not at hand).
    """
    exact = phi_soft_maximum(similarities, tau, divergence, weights)
    phi = find(divergence)
    negatives = reference(similarities, weights)
    variance, third = negatives.cumulants
    skew = -phi.third * third / (6 * phi.curvature**3 * tau * tau)
    return Expansion((negatives.mean, variance / (2 * tau * phi.curvature), skew), exact)
