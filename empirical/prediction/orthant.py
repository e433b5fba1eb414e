"""Probability that one Gaussian score exceeds all others, by radial integration along fixed directions."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@lru_cache(maxsize=8)
def directions(dimensions: int, count: int) -> Array:
    """Unit vectors spread over the sphere, the same at every call, each with its opposite; shape (2·count, dimensions).

    Normal scores of Sobol' points at unit length.

    Parameters
    ----------
    dimensions : int
    count : int
        A power of 2.
    """
    from scipy.special import ndtri
    from scipy.stats import qmc

    if dimensions == 1:
        return np.array([[1.0], [-1.0]])
    points = ndtri(qmc.Sobol(dimensions, seed=0).random(count))
    unit = points / np.linalg.norm(points, axis=1, keepdims=True)
    return np.concatenate([unit, -unit])


def largest(mean: Array, factor: Array, index: int, along: Array) -> float:
    """P(s_index > s_j for all other j) for s = mean + factor·z, z standard normal.

    On a ray r·v from the mean each condition bounds r from one side, so that the chance on it is the difference of two
    values of the χ distribution; only the direction v is left to average over.

    Parameters
    ----------
    mean : ndarray
        Shape (C,).
    factor : ndarray
        Shape (C, q).
    index : int
    along : ndarray
        ``directions`` of q dimensions, shape (V, q).
    """
    from scipy.special import gammainc

    others = np.arange(len(mean)) != index
    lead = mean[index] - mean[others]
    slope = along @ (factor[index] - factor[others]).T  # the lead grows by this along the ray
    with np.errstate(divide="ignore", invalid="ignore"):
        zero = -lead / slope  # where the lead is 0
    stays = np.where(slope < 0, zero, np.where((slope == 0) & (lead <= 0), -np.inf, np.inf)).min(axis=1)
    begins = np.where(slope > 0, zero, 0.0).max(axis=1)
    half = factor.shape[1] / 2
    ends, starts = (gammainc(half, np.square(np.maximum(r, 0)) / 2) for r in (stays, begins))
    return float(np.maximum(ends - starts, 0).mean())
