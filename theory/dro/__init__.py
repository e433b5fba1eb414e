"""InfoNCE as distributionally robust optimisation over an anchor's negatives.

Run as ``python -m theory.dro``. With f the similarities of the negatives, Q0 their distribution and τ the
temperature,

    sup {E_Q f : KL(Q‖Q0) <= η} = min_{τ>0} τη + τ·log E_{Q0} e^{f/τ},

so the temperature of InfoNCE is the multiplier of a robust radius η. Everything is computed relative to
max f, so no exponential overflows, and divergences are sums of non-negative terms, so none cancels.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from theory.checks import require, require_integer

Array = NDArray[np.float64]
SCHEMA = "difficult-examples/dro/1"
LARGEST = 1e50  # squares and ratios of numbers up to here, and down to its inverse, stay finite
NO_WEIGHT = -740.0  # its exponential is the smallest float


class WorstCase(NamedTuple):
    """The distribution in a divergence ball that has the largest mean.

    Attributes
    ----------
    value : float
        sup E_Q f.
    tau : float
        The minimising multiplier; inf for η = 0, and 0 where the ball holds a distribution on the maxima.
    distribution : array
        Q*, shape (K,).
    limit : float
        The divergence of Q0 conditioned on f = max f: from this radius on the value is max f.
    """

    value: float
    tau: float
    distribution: Array
    limit: float


class Expansion(NamedTuple):
    """The first terms of a series beside what it approximates."""

    terms: tuple[float, ...]
    exact: float

    @property
    def value(self) -> float:
        """Sum of the terms."""
        return sum(self.terms)

    @property
    def error(self) -> float:
        """Value minus exact."""
        return self.value - self.exact


class _Reference(NamedTuple):
    """Similarities f under Q0: max f on the support, f − max f (0 off the support), Q0, −log Q0(f = max f)."""

    top: float
    below: Array
    weights: Array
    limit: float


def _reference(similarities: ArrayLike, weights: ArrayLike | None) -> _Reference:
    f = np.asarray(similarities, dtype=np.float64)
    require(f.ndim == 1 and f.size > 0, "similarities", f"array of shape {f.shape}", "a non-empty vector")
    q = np.ones(f.shape) if weights is None else np.asarray(weights, dtype=np.float64)
    for name, values in (("similarities", f), ("weights", q)):
        bad = ~(np.abs(values) <= LARGEST)
        require(not bad.any(), name, values[bad][:1], f"finite numbers (up to {LARGEST:g})")
    require(q.shape == f.shape, "weights", f"array of shape {q.shape}", f"the similarities' shape {f.shape}")
    require(bool(q.min() >= 0 and q.max() > 0), "weights", f"{q.min():g} to {q.max():g}", "weights >= 0, not all 0")
    top = f[q > 0].max()
    below = np.where(q > 0, f - top, 0.0)
    # from the raw weights, so that the limit of K equal weights is the float log K
    limit = math.log(q.sum() / q[below == 0].sum())
    return _Reference(float(top), below, q / q.sum(), limit)


def _varied(similarities: ArrayLike, weights: ArrayLike | None) -> _Reference:
    reference = _reference(similarities, weights)
    varies = bool(reference.below.any())
    require(varies, "similarities", f"all {reference.top:g}", "not constant: every temperature has radius 0")
    return reference


def _require_scale(name: str, value: float) -> None:
    require(1 / LARGEST <= value <= LARGEST, name, value, f"{name} > 0 ({1 / LARGEST:g} to {LARGEST:g})")


def _require_radius(eta: float) -> None:
    require(math.isfinite(eta) and eta >= 0, "eta", eta, "a finite number >= 0")


# --- the KL ball -----------------------------------------------------------------------------------


def _log_mean(reference: _Reference, tau: float) -> float:
    """log E_{Q0} e^{(f − max f)/τ}, accurate for all temperatures."""
    exponents = reference.below / tau
    shrinkage = float(reference.weights @ np.expm1(exponents))
    if shrinkage > -0.5:
        return math.log1p(shrinkage)
    return math.log(reference.weights @ np.exp(exponents))


def _log_ratio(reference: _Reference, tau: float) -> Array:
    """log dQ/dQ0 of the tilted distribution Q ∝ Q0·e^{f/τ}."""
    ratio: Array = reference.below / tau - _log_mean(reference, tau)
    return ratio


def _kl(log_ratio: Array, weights: Array) -> float:
    """KL(Q‖Q0) = E_{Q0} φ(log dQ/dQ0) with φ(x) = e^x(x − 1) + 1 = ½x²·₁F₁(2; 3; x) >= 0."""
    from scipy.special import hyp1f1  # half of this module's start-up, here and below

    x = np.maximum(log_ratio, NO_WEIGHT)
    return float(weights @ (x * x * hyp1f1(2, 3, x) / 2))


def _radius(reference: _Reference, tau: float) -> float:
    log_ratio = _log_ratio(reference, tau)
    below, weights = reference.below, reference.weights
    rest = below < 0
    # what is missing to the limit: log(1 + Q(rest)/Q(top)) + E_Q(max f − f)/τ
    odds = weights[rest] @ np.exp(below[rest] / tau) / weights[~rest].sum()
    missing = math.log1p(odds) - weights @ (np.exp(log_ratio) * below) / tau
    if missing < reference.limit / 2:
        return float(reference.limit - missing)
    return _kl(log_ratio, weights)


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
    return _reference(similarities, weights).limit


def tilted(similarities: ArrayLike, tau: float, weights: ArrayLike | None = None) -> Array:
    """The distribution Q ∝ Q0·e^{f/τ} with which InfoNCE weighs the negatives, shape (K,).

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
    _require_scale("tau", tau)
    reference = _reference(similarities, weights)
    distribution: Array = reference.weights * np.exp(_log_ratio(reference, tau))
    return distribution


def soft_maximum(similarities: ArrayLike, tau: float, weights: ArrayLike | None = None) -> float:
    """τ·log E_{Q0} e^{f/τ}, between the mean (τ → ∞) and the maximum (τ → 0); arguments as for ``tilted``."""
    _require_scale("tau", tau)
    reference = _reference(similarities, weights)
    return reference.top + tau * _log_mean(reference, tau)


def robust_radius(similarities: ArrayLike, tau: float, weights: ArrayLike | None = None) -> float:
    """η(τ) = KL(Q*‖Q0), Q* ∝ Q0·e^{f/τ}: the radius whose multiplier is the temperature τ.

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
    _require_scale("tau", tau)
    return _radius(_varied(similarities, weights), tau)


def robust_temperature(similarities: ArrayLike, eta: float, weights: ArrayLike | None = None) -> float:
    """τ*(η), the minimiser of τη + τ·log E_{Q0} e^{f/τ}: the inverse of ``robust_radius``.

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
    reference = _varied(similarities, weights)
    limit = reference.limit
    condition = f"0 < eta < {limit} = -log Q0(f = max f): no temperature has this radius"
    require(0 < eta < limit, "eta", eta, condition)
    return _temperature(reference, eta)


def _temperature(reference: _Reference, eta: float) -> float:
    from scipy.optimize import brentq  # slow to import, and the other direction does without

    # A variance is at most range²/4, so η(τ) <= range²/(8τ²); the factor 2 is for rounding.
    high = float(-reference.below.min()) / math.sqrt(2 * eta)
    low = high / 2
    while _radius(reference, low) <= eta:
        low /= 2
    exponent = brentq(
        lambda x: _radius(reference, math.exp(x)) - eta, math.log(low), math.log(high), xtol=1e-15, rtol=1e-15
    )
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
        For 0 < η < limit, Q* ∝ Q0·e^{f/τ*}; from the limit on Q0 conditioned on f = max f, with tau 0
        (constant similarities have limit 0).

    Raises
    ------
    ParameterError
        If an argument is outside its range.
    """
    _require_radius(eta)
    reference = _reference(similarities, weights)
    if not 0 < eta < reference.limit:
        return _extreme(reference, eta, reference.limit)
    tau = _temperature(reference, eta)
    value = reference.top + tau * (eta + _log_mean(reference, tau))
    return WorstCase(value, tau, reference.weights * np.exp(_log_ratio(reference, tau)), reference.limit)


def _extreme(reference: _Reference, eta: float, limit: float) -> WorstCase:
    """The worst case in a ball that is a point, or that reaches a distribution on the maxima."""
    if eta < limit:
        return WorstCase(_mean(reference), math.inf, reference.weights, limit)
    on_top = np.where(reference.below == 0, reference.weights, 0.0)
    return WorstCase(reference.top, 0.0, on_top / on_top.sum(), limit)


def _mean(reference: _Reference) -> float:
    return reference.top + float(reference.weights @ reference.below)


# --- the χ² ball -----------------------------------------------------------------------------------


def chi2_worst_case(similarities: ArrayLike, eta: float, weights: ArrayLike | None = None) -> WorstCase:
    """sup {E_Q f : χ²(Q‖Q0) <= η}, χ² = E_{Q0}(dQ/dQ0 − 1)², in closed form.

    The dual is min_{τ,ν} τη/2 + ν + (τ/2)·E_{Q0}[(1 + (f − ν)/τ)₊² − 1], and the worst case
    dQ*/dQ0 = (1 + (f − ν)/τ)₊. While no weight is cut off at 0, that is for
    η <= V/(E f − min f)², the value is E f + √(ηV) and τ* = √(V/η). As χ² ≈ 2·KL for small radii,
    this τ is comparable with the KL ball's at half the radius.

    Parameters
    ----------
    similarities, weights : array_like
        As for ``radius_limit``.
    eta : float
        Radius, >= 0.

    Returns
    -------
    WorstCase
        The limit is 1/Q0(f = max f) − 1. Unlike in the KL ball, tau does not tend to 0 there but to
        (max f − second largest f)·Q0(f = max f): at the limit itself every smaller tau is a minimiser too,
        beyond it none exists. From the limit on tau is given as 0, the limit of the minimising sequences.

    Raises
    ------
    ParameterError
        If an argument is outside its range.

    References
    ----------
    Duchi and Namkoong 2021, "Learning models with uniform performance via distributionally robust
    optimization" (Cressie–Read family, k = 2).
    """
    _require_radius(eta)
    reference = _reference(similarities, weights)
    limit = math.expm1(reference.limit)
    if not 0 < eta < limit:
        return _extreme(reference, eta, limit)
    support = np.flatnonzero(reference.weights)
    order = support[np.argsort(-reference.below[support])]
    f, q = reference.below[order], reference.weights[order]
    # Sample m has weight for τ > entry = Σ_{i<=m} q_i(f_i − f_m), that is for radii below that of the best
    # distribution on the m largest at this τ, rest/mass + scatter/entry². The two largest values always have.
    mass, first = np.cumsum(q), np.cumsum(q * f)
    rest = np.cumsum(q[::-1])[::-1] - q  # not 1 − mass, which rounds where it should be 0
    scatter = np.cumsum(q * f * f) - first * first / mass
    entry = first - mass * f
    inside = ((rest / mass - eta) * entry * entry + scatter > 0) | (f >= f[f < 0].max())
    last = np.flatnonzero(inside)[-1]
    order, f, q = order[: last + 1], f[: last + 1], q[: last + 1]
    mean = q @ f / q.sum()
    excess = q @ (f - mean) ** 2
    tau = math.sqrt(excess / (eta - rest[last] / mass[last]))
    distribution = np.zeros_like(reference.weights)
    distribution[order] = q * np.maximum(1 / q.sum() + (f - mean) / tau, 0)
    return WorstCase(reference.top + float(mean + excess / tau), tau, distribution, limit)


# --- expansions for small radius, large temperature ------------------------------------------------


def _cumulants(reference: _Reference) -> tuple[float, float]:
    """Variance and third cumulant of f under Q0."""
    centred = reference.below - reference.weights @ reference.below
    return float(reference.weights @ centred**2), float(reference.weights @ centred**3)


def _temperature_terms(reference: _Reference, eta: float) -> tuple[float, ...]:
    variance, third = _cumulants(reference)
    return math.sqrt(variance / (2 * eta)), third / (3 * variance)


def temperature_expansion(similarities: ArrayLike, eta: float, weights: ArrayLike | None = None) -> Expansion:
    """τ*(η) = √(V/2η) + κ3/(3V) + O(√η), beside the exact τ*; arguments as for ``robust_temperature``."""
    exact = robust_temperature(similarities, eta, weights)
    return Expansion(_temperature_terms(_reference(similarities, weights), eta), exact)


def soft_maximum_expansion(similarities: ArrayLike, tau: float, weights: ArrayLike | None = None) -> Expansion:
    """τ·log E e^{f/τ} = E f + V/(2τ) + κ3/(6τ²) + O(τ⁻³), beside the exact value; arguments as for ``tilted``."""
    exact = soft_maximum(similarities, tau, weights)
    reference = _reference(similarities, weights)
    variance, third = _cumulants(reference)
    return Expansion((_mean(reference), variance / (2 * tau), third / (6 * tau * tau)), exact)


# --- InfoNCE as an estimate of mutual information --------------------------------------------------


class MutualInformation(NamedTuple):
    """An InfoNCE estimate with its standard error, the truth, and log K, which it cannot exceed."""

    estimate: float
    standard_error: float
    true: float
    limit: float


def gaussian_infonce(
    rho: float, dimension: int = 1, samples: int = 128, batches: int = 100, seed: int = 0
) -> MutualInformation:
    """InfoNCE with the optimal critic on Gaussian pairs whose mutual information is known.

    x and y are standard normal in d dimensions, coordinates of equal index correlated by ρ, and the critic is
    f(x, y) = log p(y|x)/p(y). A batch of K pairs gives the estimate log K minus the InfoNCE loss,
    log K − (1/K)·Σ_i log Σ_j e^{f(x_i,y_j) − f(x_i,y_i)}, at most log K and on average at most the mutual
    information −(d/2)·log(1 − ρ²).

    Parameters
    ----------
    rho : float
        Correlation, |ρ| < 1.
    dimension : int
        d >= 1.
    samples : int
        K >= 2, one positive and K − 1 negatives to an anchor.
    batches : int
        Independent batches >= 2, whose spread gives the standard error.
    seed : int
        Of the simulation, >= 0.

    Raises
    ------
    ParameterError
        If an argument is outside its range.

    References
    ----------
    van den Oord et al. 2018, "Representation Learning with Contrastive Predictive Coding"; Poole et al. 2019,
    "On Variational Bounds of Mutual Information".
    """
    require(abs(rho) < 1, "rho", rho, "-1 < rho < 1")
    dimension = require_integer("dimension", dimension, 1)
    samples = require_integer("samples", samples, 2)
    batches = require_integer("batches", batches, 2)
    generator = np.random.default_rng(require_integer("seed", seed, 0))
    from scipy.special import logsumexp

    unexplained = (1 - rho) * (1 + rho)
    true = dimension / 2 * math.log(1 / unexplained)
    losses = np.empty(batches)
    for batch in range(batches):
        x = generator.standard_normal((samples, dimension))
        y = rho * x + math.sqrt(unexplained) * generator.standard_normal((samples, dimension))
        squares = (x * x).sum(axis=1)[:, None] + (y * y).sum(axis=1)
        critic = true - (rho * rho * squares - 2 * rho * (x @ y.T)) / (2 * unexplained)
        losses[batch] = logsumexp(critic - np.diagonal(critic)[:, None], axis=1).mean()
    limit = math.log(samples)
    error = float(losses.std(ddof=1)) / math.sqrt(batches)
    return MutualInformation(limit - float(losses.mean()), error, true, limit)


# --- ADNCE -----------------------------------------------------------------------------------------


class NegativeDistribution(NamedTuple):
    """How a loss weighs an anchor's negatives.

    Attributes
    ----------
    weights : array
        The factors on the negatives' exponentials, mean 1, shape (K,).
    distribution : array
        Weights times e^{f/τ}, normalised, shape (K,).
    divergence : float
        KL from the uniform distribution: the radius that is used.
    effective : float
        Effective number of negatives, the exponential of the distribution's entropy.
    peak : float
        The cosine that the distribution favours most, μ + σ²/τ.
    """

    weights: Array
    distribution: Array
    divergence: float
    effective: float
    peak: float


def adnce(cosines: ArrayLike, tau: float, mu: float, sigma: float) -> NegativeDistribution:
    """ADNCE's distribution over negatives, ∝ exp(−(f − μ)²/(2σ²))·e^{f/τ}.

    Completing the square, this is a Gaussian weight around μ + σ²/τ: where that is above the largest cosine,
    larger cosines still weigh more, as in InfoNCE.

    Parameters
    ----------
    cosines : array_like
        The raw cosines f of an anchor's negatives (not f/τ), shape (K,).
    tau : float
        Temperature, > 0.
    mu, sigma : float
        Centre and width of the weights, σ > 0, in cosine units.

    Raises
    ------
    ParameterError
        If an argument is outside its range.

    References
    ----------
    Wu et al. 2023, "Understanding Contrastive Learning via Distributionally Robust Optimization".
    """
    _require_scale("tau", tau)
    _require_scale("sigma", sigma)
    require(abs(mu) <= LARGEST, "mu", mu, "a finite number")
    reference = _reference(cosines, None)
    from scipy.special import softmax

    log_weights = -(((reference.top - mu + reference.below) / sigma) ** 2) / 2
    distribution = softmax(log_weights + reference.below / tau)
    count = len(distribution)
    with np.errstate(divide="ignore"):  # a weight of 0 has log ratio −∞
        divergence = _kl(np.log(count * distribution), reference.weights)
    return NegativeDistribution(
        count * softmax(log_weights), distribution, divergence, _effective(distribution), mu + sigma * sigma / tau
    )


def _effective(distribution: Array) -> float:
    from scipy.special import entr

    return math.exp(entr(distribution).sum())
