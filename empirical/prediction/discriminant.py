"""Samples in the discriminant space of a probe: whitened scores about the class means, from a second pass."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from empirical.data.features import Chunk, Features, Mapper
from empirical.prediction.moments import indicators
from empirical.prediction.resolvent import Resolvent

Array = NDArray[np.float64]
Labels = NDArray[np.int64]
MOST_DIRECTIONS = 128  # with a covariance of their own for each class
MOST_VALUES = 1 << 25  # of samples in memory: above, an equal number of each class, drawn at random
LEVERAGE_ROWS = 1_000  # of a class, over which the leverage is averaged
MOST_LEVERAGE = 0.95  # mean of a class; one near 1 has too few samples for its number of dimensions
FLAT = 1e-10  # of the largest eigenvalue of the scores' covariance


@dataclass(frozen=True)
class Axes:
    """Axes of the discriminant space.

    Parameters
    ----------
    vectors : ndarray
        Orthonormal, of the C scores, by falling variance, shape (C, q), q < C.
    deviations : ndarray
        Standard deviation of the scores of the measured samples along them, shape (q,).
    """

    vectors: Array
    deviations: Array


def axes(found: Resolvent) -> Axes:
    """Axes of M̂QSQM̂ᵀ, the within-class covariance of the scores M̂Qx."""
    scaled = found.basis.means * found.diagonal * np.sqrt(found.basis.variances)
    vectors, deviations, _ = np.linalg.svd(scaled, full_matrices=False)
    kept = deviations**2 > FLAT * max(float(deviations[0]) ** 2, np.finfo(float).tiny)
    return Axes(vectors[:, kept], deviations[kept])


@dataclass(frozen=True)
class Cloud:
    """Samples of all classes about their class means, in the leading whitened axes.

    Parameters
    ----------
    rows : ndarray
        Sorted by class, shape (kept, q).
    labels : ndarray
        Shape (kept,).
    factors : ndarray
        Shape (C,): what one over (1 − leverage), averaged over a class, is of the average over all. Rows times
        it over 1 − κ are the samples as a probe sees them that has not been fitted on them.
    share : float
        Kept samples among all.
    """

    rows: Array
    labels: Labels
    factors: Array
    share: float


def project(
    features: Features,
    labels: Labels,
    found: Resolvent,
    along: Axes,
    own: bool = True,
    seed: int = 0,
    mapper: Mapper = map,
) -> Cloud:
    """The cloud, in one pass over the features.

    Parameters
    ----------
    features : Features
    labels : ndarray
        0, 1, …, shape (N,).
    found : Resolvent
    along : Axes
        At most the ``MOST_DIRECTIONS`` leading ones are taken.
    own : bool
        Whether the factors are measured; otherwise they are 1.
    seed : int
        Of the samples that are kept where they are too many.
    mapper : callable
    """
    basis, classes = found.basis, len(found.counts)
    vectors, deviations = along.vectors[:, :MOST_DIRECTIONS], along.deviations[:MOST_DIRECTIONS]
    loadings = basis.directions @ (found.diagonal[:, None] * (basis.means.T @ vectors) / deviations)
    spread = basis.directions * np.sqrt(found.diagonal) if own else None
    chosen = _chosen(labels, MOST_VALUES // (classes * len(deviations)), seed)
    counted = _chosen(labels, LEVERAGE_ROWS, seed)
    items = ((c, *(of[c.start : c.stop] for of in (labels, chosen, counted))) for c in features.chunks())
    parts = list(mapper(partial(_project, basis.origin, loadings, spread, classes), items))
    rows, kept = np.concatenate([part[0] for part in parts]), labels[chosen]
    order = np.argsort(kept, kind="stable")
    rows, kept = rows[order], kept[order]
    means = indicators(kept, classes) @ rows / np.bincount(kept)[:, None]
    if spread is None:
        factors = np.ones(classes)
    else:
        around = np.square(basis.means * np.sqrt(found.diagonal)).sum(axis=1)  # of the class means themselves
        squares = sum(part[1] for part in parts) / np.bincount(labels[counted]) - around
        leverage = squares / found.freedom
        factors = (1 - found.dimensions / found.freedom) / (1 - np.minimum(leverage, MOST_LEVERAGE))
    return Cloud(rows - means[kept], kept, factors, len(kept) / len(labels))


def _project(
    origin: Array,
    loadings: Array,
    spread: Array | None,
    classes: int,
    item: tuple[Chunk, Labels, NDArray[np.bool_], NDArray[np.bool_]],
) -> tuple[Array, Array | float]:
    """Whitened scores of the chosen rows, and of the counted ones the sum of squares xᵀQx by class."""
    chunk, labels, chosen, counted = item
    rows = chunk.raw() - origin
    if spread is None:
        return rows[chosen] @ loadings, 0.0
    squares = np.square(rows[counted] @ spread).sum(axis=1)
    return rows[chosen] @ loadings, np.bincount(labels[counted], squares, classes).astype(np.float64)


def _chosen(labels: Labels, most: int, seed: int) -> NDArray[np.bool_]:
    """At most so many samples of each class, drawn at random."""
    if np.bincount(labels).max() <= most:
        return np.ones(len(labels), dtype=bool)
    shuffled = np.random.default_rng(seed).permutation(len(labels))
    order = shuffled[np.argsort(labels[shuffled], kind="stable")]
    sizes = np.bincount(labels)
    place = np.arange(len(labels)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    chosen = np.zeros(len(labels), dtype=bool)
    chosen[order[place < most]] = True
    return chosen
