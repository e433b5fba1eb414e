"""The first terms for small radii and large temperatures, and how accurate they are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from theory.checks import require
from theory.dro.kl import radius, robust_temperature, soft_maximum
from theory.dro.reference import Array, reference, references, require_scale


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

    @property
    def errors(self) -> tuple[float, ...]:
        """The error after the first term, after the second, and so on."""
        return tuple(partial - self.exact for partial in accumulate(self.terms))


def temperature_terms(variance: float, third: float, eta: float) -> tuple[float, ...]:
    """√(V/2η) and κ3/(3V). Cumulants of several anchors enter as means, because η(τ) is linear in them.

    Raises
    ------
    ParameterError
        If the similarities, or the weights under the temperature, do not differ by more than rounding: V or η is 0.
    """
    differ = 0 < variance < math.inf and 0 < eta < math.inf
    require(differ, "similarities", f"of variance {variance:.3g} and radius {eta:.3g}", "both above 0")
    return math.sqrt(variance / (2 * eta)), third / (3 * variance)


def temperature_expansion(similarities: ArrayLike, eta: float, weights: ArrayLike | None = None) -> Expansion:
    """τ*(η) = √(V/2η) + κ3/(3V) + O(√η), beside the exact τ*; arguments as for ``robust_temperature``."""
    exact = robust_temperature(similarities, eta, weights)
    return Expansion(temperature_terms(*reference(similarities, weights).cumulants, eta), exact)


def soft_maximum_expansion(similarities: ArrayLike, tau: float, weights: ArrayLike | None = None) -> Expansion:
    """τ·log E e^(f/τ) = E f + V/(2τ) + κ3/(6τ²) + O(τ⁻³), beside the exact value; arguments as for ``tilted``."""
    exact = soft_maximum(similarities, tau, weights)
    negatives = reference(similarities, weights)
    variance, third = negatives.cumulants
    return Expansion((negatives.mean, variance / (2 * tau), third / (6 * tau * tau)), exact)


class TemperatureAccuracy(NamedTuple):
    """Relative errors of τ ≈ √(V/2η), positive where it is too large.

    Attributes
    ----------
    anchors : array
        With each anchor's own variance and radius, shape (B,).
    mean_variance : float
        With the mean over anchors of the variances and of the radii: the leading term for one τ and the mean KL.
    pooled_variance : float
        With the variance of all similarities together, which counts the spread of the anchors' means too.
    two_terms : float
        Of √(V/2η) + κ3/(3V) with means over anchors.
    """

    anchors: Array
    mean_variance: float
    pooled_variance: float
    two_terms: float


def temperature_accuracy(
    rows: Sequence[ArrayLike],
    tau: float,
    weights: Sequence[ArrayLike] | None = None,
    anchor_weights: ArrayLike | None = None,
) -> TemperatureAccuracy:
    """How far √(V/2η(τ)) is from the temperature τ that has the radius η(τ).

    Parameters
    ----------
    rows, weights, anchor_weights
        As for ``joint_radius``; no anchor's similarities may be constant.
    tau : float
        Temperature, > 0.

    Raises
    ------
    ParameterError
        If an argument is outside its range.

    References
    ----------
    Wu et al. 2023, arXiv 2310.11048, give τ ≈ √(V/2η) (quoted; its full text was not at hand).
    """
    require_scale("tau", tau)
    anchors, p = references(rows, weights, anchor_weights)
    for index, negatives in enumerate(anchors):
        require(bool(negatives.below.any()), f"rows[{index}]", f"all {negatives.top:g}", "not constant")
    radii = np.array([radius(negatives, tau) for negatives in anchors])
    means = np.array([negatives.mean for negatives in anchors])
    variances, thirds = np.array([negatives.cumulants for negatives in anchors]).T
    eta, variance, third = p @ radii, p @ variances, p @ thirds
    pooled = variance + p @ (means - p @ means) ** 2
    return TemperatureAccuracy(
        np.sqrt(variances / (2 * radii)) / tau - 1,
        math.sqrt(variance / (2 * eta)) / tau - 1,
        math.sqrt(pooled / (2 * eta)) / tau - 1,
        float(sum(temperature_terms(variance, third, eta))) / tau - 1,
    )
