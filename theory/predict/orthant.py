"""How often the largest of several Gaussian scores is the right one."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.special import ndtr, ndtri, roots_hermitenorm

from theory.predict.structure import Array
from theory.worlds import Indices

NODES = 64
DRAWS = 8192
_POINTS, _WEIGHTS = roots_hermitenorm(NODES)


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
    right = signal[..., None] + np.sqrt(np.maximum(noise - own, 0))[..., None] * _POINTS
    with np.errstate(over="ignore"):
        inside = ndtr(right / scale) ** others[..., None]
    found = inside @ (_WEIGHTS / _WEIGHTS.sum())
    certain = np.where(signal > 0, 1.0, np.where(signal < 0, 0.0, 1 / (others + 1)))
    result: Array = np.where(noise > 0, found, certain)
    return result


def drawn(mean: Array, covariance: Array, right: Indices) -> Array:
    """P(the right class has the largest score) from fixed normal draws.

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
    draws = _draws(mean.shape[-1])
    found = np.empty(mean.shape[:-1])
    for index in np.ndindex(*found.shape):
        scores = mean[index] + draws @ root[index].T
        found[index] = (scores.argmax(axis=1) == right[index]).mean()
    return found


@lru_cache
def _draws(classes: int) -> Array:
    """Quasi-random standard normals, the same ones always."""
    from scipy.stats import qmc  # slow to import, and for worlds alone

    points = qmc.Sobol(classes, seed=0).random(DRAWS)
    found: Array = ndtri(points.clip(1e-12, 1 - 1e-12))
    return found
