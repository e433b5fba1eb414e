"""How often the largest of several Gaussian scores is the right one: in closed form, or along fixed directions."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.special import gammainc, ndtr, ndtri, roots_hermitenorm

from theory.predict.structure import Array
from theory.worlds import Indices

NODES = 64
RAYS = 1024  # each with its opposite
FAR = 1e150  # of spreads from the mean: its square is still a number, and nothing lies beyond
POINTS, WEIGHTS = roots_hermitenorm(NODES)


def exchangeable(signal: Array, noise: Array, own: Array, others: Array) -> Array:
    """P(the right class has the largest score) where the wrong ones are alike.

    The right score is ``signal`` larger in the mean. Wrong ones vary independently with the variance ``noise``,
    the right one with ``noise`` − ``own``: ∫ φ(u)·Φ((signal + u·√(noise − own))/√noise)^r du.

    Parameters
    ----------
    signal, noise, own : array
        With own <= noise; without noise, the sign of the signal decides.
    others : array
        r >= 1, wrong classes.
    """
    signal, noise, own, others = np.broadcast_arrays(signal, noise, own, others)
    scale = np.sqrt(np.where(noise > 0, noise, 1))[..., None]
    right = signal[..., None] + np.sqrt(np.maximum(noise - own, 0))[..., None] * POINTS
    with np.errstate(over="ignore"):
        inside = ndtr(right / scale) ** others[..., None]
    found = inside @ (WEIGHTS / WEIGHTS.sum())
    certain = np.where(signal > 0, 1.0, np.where(signal < 0, 0.0, 1 / (others + 1)))
    result: Array = np.where(noise > 0, found, certain)
    return result


def unlike(mean: Array, covariance: Array, right: Indices) -> Array:
    """P(the right class has the largest score) for any Gaussian scores, by ``largest``.

    Parameters
    ----------
    mean : array, shape (…, C)
    covariance : array, shape (…, C, C)
        Its negative eigenvalues count as 0.
    right : int array, shape (…)
        The right class.
    """
    values, vectors = np.linalg.eigh(covariance)
    # The symmetric root: of an eigenvalue that is multiple, the vectors are a matter of rounding.
    root = (vectors * np.sqrt(np.maximum(values, 0))[..., None, :]) @ np.swapaxes(vectors, -1, -2)
    along, found = directions(mean.shape[-1], RAYS), np.empty(mean.shape[:-1])
    for index in np.ndindex(*found.shape):
        found[index] = largest(mean[index], root[index], int(right[index]), along)
    return found


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
    from scipy.stats import qmc  # slow to import

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
    others = np.arange(len(mean)) != index
    lead = mean[index] - mean[others]
    slope = along @ (factor[index] - factor[others]).T  # the lead grows by this along the ray
    with np.errstate(divide="ignore", invalid="ignore"):
        zero = -lead / slope  # where the lead is 0
    stays = np.where(slope < 0, zero, np.where((slope == 0) & (lead <= 0), -np.inf, np.inf)).min(axis=1)
    begins = np.where(slope > 0, zero, 0.0).max(axis=1)
    half = factor.shape[1] / 2
    ends, starts = (gammainc(half, np.square(np.clip(r, 0, FAR)) / 2) for r in (stays, begins))
    return float(np.maximum(ends - starts, 0).mean())
