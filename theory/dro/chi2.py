"""The χ² ball around the distribution of an anchor's negatives, in closed form."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from theory.dro.reference import WorstCase, extreme, reference, require_radius


def chi2_worst_case(similarities: ArrayLike, eta: float, weights: ArrayLike | None = None) -> WorstCase:
    """sup {E_Q f : χ²(Q‖Q0) <= η}, χ² = E_Q0(dQ/dQ0 − 1)², in closed form.

    The dual is min_(τ,ν) τη/2 + ν + (τ/2)·E_Q0[(1 + (f − ν)/τ)₊² − 1], and the worst case
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
    require_radius(eta)
    negatives = reference(similarities, weights)
    limit = math.expm1(negatives.limit)
    if not 0 < eta < limit:
        return extreme(negatives, eta, limit)
    support = np.flatnonzero(negatives.weights)
    order = support[np.argsort(-negatives.below[support])]
    f, q = negatives.below[order], negatives.weights[order]
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
    distribution = np.zeros_like(negatives.weights)
    distribution[order] = q * np.maximum(1 / q.sum() + (f - mean) / tau, 0)
    return WorstCase(negatives.top + float(mean + excess / tau), tau, distribution, limit)
