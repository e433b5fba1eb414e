"""Measures of features without labels, from the eigenvalues of their covariance."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import entr

Array = NDArray[np.float64]
ROUNDING = 1e-12  # of the largest eigenvalue: one below is 0


def rankme(features: NDArray[Any]) -> float | None:
    """RankMe: e to the entropy of the singular values' shares, from 1 to the rank; None if all features are 0.

    The paper adds 1e-7 to each share, so that none is 0; here 0·log 0 = 0, which needs no constant.

    Parameters
    ----------
    features : ndarray
        Not centred, shape (N, d).

    References
    ----------
    Garrido, Balestriero, Najman, LeCun 2023, RankMe: assessing the downstream performance of pretrained
    self-supervised representations by their rank, eq. 1.
    """
    return effective_rank(np.linalg.svd(np.asarray(features, dtype=np.float64), compute_uv=False))


def effective_rank(values: Array) -> float | None:
    """e to the entropy of non-negative values' shares; None if all are 0."""
    total = float(values.sum())
    return float(np.exp(entr(values / total).sum())) if total > 0 else None


def eigenvalues(features: NDArray[Any]) -> Array:
    """Eigenvalues of the covariance, falling, those of rounding left out."""
    x = np.asarray(features, dtype=np.float64)
    values = np.linalg.svd(x - x.mean(axis=0), compute_uv=False) ** 2 / max(len(x) - 1, 1)
    return np.asarray(values[values > ROUNDING * max(float(values[0]), np.finfo(float).tiny)])


def alpha_req(features: NDArray[Any]) -> float | None:
    """α-ReQ: α of the eigenvalues λ_j ∝ j^−α, by least squares of log λ_j on log j; None of fewer than two.

    Over all eigenvalues, each with the same weight. Smaller is flatter; the paper finds the best features near 1.

    Parameters
    ----------
    features : ndarray
        Shape (N, d).

    References
    ----------
    Agrawal, Mondal, Ghosh, Richards 2022, α-ReQ: assessing representation quality in self-supervised learning by
    measuring eigenspectrum decay.
    """
    values = eigenvalues(features)
    if len(values) < 2:
        return None
    position = np.log(np.arange(1, len(values) + 1))
    position -= position.mean()
    return -float(position @ np.log(values) / (position @ position))


def nesum(features: NDArray[Any]) -> float | None:
    """NESum: sum of the covariance's eigenvalues over the largest, from 1 to the rank; None if none is positive.

    Parameters
    ----------
    features : ndarray
        Shape (N, d).

    References
    ----------
    He & Ozay 2022, Exploring the gap between collapsed and whitened features in self-supervised learning.
    """
    values = eigenvalues(features)
    return float(values.sum() / values[0]) if len(values) else None


def lidar(features: NDArray[Any], objects: NDArray[np.int64], delta: float = 1e-4) -> float | None:
    """LiDAR: effective rank of Σ_w^−½ Σ_b Σ_w^−½, from 1 to the number of objects less one.

    Σ_b is the covariance of the objects' means, Σ_w = mean covariance within the objects + δ·I. An object is an image
    and its rows are views of it. Where there are no views, classes stand for the objects, and labels are used.

    Parameters
    ----------
    features : ndarray
        Shape (N, d).
    objects : ndarray
        0, 1, …, shape (N,); two or more rows each.
    delta : float

    References
    ----------
    Thilak et al. 2024, LiDAR: sensing linear probing performance in joint embedding SSL architectures, eqs. 1–4.
    """
    x = np.asarray(features, dtype=np.float64)
    sizes = np.bincount(objects)
    means = np.stack([x[objects == i].mean(axis=0) for i in range(len(sizes))])
    residual = x - means[objects]
    # Each object counts once, whatever its number of views.
    weighted = residual / np.sqrt(np.maximum(sizes - 1, 1) * len(sizes))[objects][:, None]
    within, vectors = np.linalg.eigh(weighted.T @ weighted)
    centred = (means - means.mean(axis=0)) @ (vectors / np.sqrt(np.maximum(within, 0) + delta))
    return effective_rank(np.linalg.svd(centred, compute_uv=False) ** 2)
