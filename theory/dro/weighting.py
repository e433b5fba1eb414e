"""How losses weigh an anchor's negatives: ADNCE's Gaussian, its local temperature, and its control by InfoNCE."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from theory.checks import require
from theory.dro.joint import joint_temperature
from theory.dro.kl import kl_integrand
from theory.dro.reference import LARGEST, Array, reference, references, require_scale


class NegativeDistribution(NamedTuple):
    """How a loss weighs an anchor's negatives.

    Attributes
    ----------
    weights : array
        The factors on the negatives' exponentials, mean 1, shape (K,).
    distribution : array
        Weights times e^(f/τ), normalised, shape (K,).
    divergence : float
        KL from the uniform distribution: the radius that is used.
    effective : float
        Effective number of negatives, the exponential of the distribution's entropy.
    peak : float
        The cosine that the distribution favours most, μ + σₐ²/τ.
    """

    weights: Array
    distribution: Array
    divergence: float
    effective: float
    peak: float


def adnce(cosines: ArrayLike, tau: float, mu: float, width: float) -> NegativeDistribution:
    """ADNCE's distribution over negatives, ∝ exp(−(f − μ)²/(2σₐ²))·e^(f/τ).

    Completing the square, this is a Gaussian weight around μ + σₐ²/τ: where that is above the largest cosine,
    larger cosines still weigh more, as in InfoNCE.

    Parameters
    ----------
    cosines : array_like
        The raw cosines f of an anchor's negatives (not f/τ), shape (K,).
    tau : float
        Temperature, > 0.
    mu, width : float
        Centre and width of the weights, σₐ > 0, in cosine units.

    Raises
    ------
    ParameterError
        If an argument is outside its range.

    References
    ----------
    Wu et al. 2023, "Understanding Contrastive Learning via Distributionally Robust Optimization", arXiv 2310.11048; the
    weights as in the authors' code for images (mean 1 over the negatives, the positive unweighted).
    """
    from scipy.special import softmax  # slow to import

    peak = adnce_peak(tau, mu, width)
    negatives = reference(cosines)
    log_weights = -(((negatives.top - mu + negatives.below) / width) ** 2) / 2
    distribution = softmax(log_weights + negatives.below / tau)
    count = len(distribution)
    with np.errstate(divide="ignore"):  # a weight of 0 has log ratio −∞
        divergence = float(negatives.weights @ kl_integrand(np.log(count * distribution)))
    return NegativeDistribution(count * softmax(log_weights), distribution, divergence, effective(distribution), peak)


def effective(distribution: Array) -> float:
    """Effective number of samples, the exponential of the entropy."""
    from scipy.special import entr

    return math.exp(entr(distribution).sum())


def adnce_peak(tau: float, mu: float, width: float) -> float:
    """μ + σₐ²/τ, the cosine that ADNCE favours most; arguments as for ``adnce``.

    At the authors' settings for images it is above 1, so that no cosine reaches it.
    """
    require_scale("tau", tau)
    require_scale("width", width)
    require(abs(mu) <= LARGEST, "mu", mu, "a finite number")
    return mu + width * width / tau


def local_temperature(cosines: ArrayLike, tau: float, mu: float, width: float) -> Array:
    """1/(1/τ + (μ − f)/σₐ²): around each cosine f, ADNCE weighs negatives as InfoNCE with this temperature does.

    It is the inverse slope of the log weight −(f − μ)²/(2σₐ²) + f/τ. It is τ at f = μ, lower below and higher above;
    infinite at the peak μ + σₐ²/τ, and negative beyond, where more similar negatives weigh less.

    Parameters
    ----------
    cosines : array_like
        f, of any shape, finite.
    tau, mu, width : float
        As for ``adnce``.

    Returns
    -------
    array
        Of the same shape.

    Raises
    ------
    ParameterError
        If an argument is outside its range.
    """
    peak = adnce_peak(tau, mu, width)
    f = np.asarray(cosines, dtype=np.float64)
    bad = ~(np.abs(f) <= LARGEST)
    require(not bad.any(), "cosines", f[bad][:1], f"finite numbers (up to {LARGEST:g})")
    with np.errstate(divide="ignore"):
        temperature: Array = np.divide(width * width, peak - f)
    return temperature


def equal_radius_temperature(rows: Sequence[ArrayLike], tau: float, mu: float, width: float) -> float:
    """The temperature of the InfoNCE that goes as far from uniform as ADNCE: the control arm of a comparison.

    A loss has one temperature, so the radius is the mean over anchors of the divergences, as in ``joint_radius``.

    Parameters
    ----------
    rows : sequence of array_like
        Raw cosines, one vector an anchor; a single vector is one anchor.
    tau, mu, width : float
        As for ``adnce``.

    Raises
    ------
    ParameterError
        If an argument is outside its range, or if no InfoNCE has this radius: ADNCE leaves the negatives uniform, or
        keeps fewer of them than attain the largest cosines.
    """
    anchors, p = references(rows, None, None)
    cosines = [negatives.top + negatives.below for negatives in anchors]
    return joint_temperature(cosines, float(p @ [adnce(f, tau, mu, width).divergence for f in cosines]))
