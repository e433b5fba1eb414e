"""Near-duplicates of samples in another class."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from empirical.data.features import Chunk, Features, Mapper

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
Labels = NDArray[np.int64]
NEAR = 0.01  # of the squared distance between two samples of one class
NEARER = 0.25  # of the squared distance to the nearest sample of the own class


def near_duplicates(
    features: Features, labels: Labels, suspects: Labels, others: Labels, typical: Array, mapper: Mapper = map
) -> Flags:
    """Which samples have a near-duplicate in another class.

    That is a sample at most a tenth as far as two samples of that class are on average, and at most half as far as
    the nearest sample of the own class: in features of few dimensions all samples have near neighbours.

    Parameters
    ----------
    features : Features
    labels : ndarray
        Class of each sample, shape (N,).
    suspects, others : ndarray
        The samples, increasing, and in which class to look, shape (M,).
    typical : ndarray
        Mean cosine within the classes ``others``, shape (M,).
    mapper : callable
        ``map``, or that of a pool, whose workers go through the features.

    Returns
    -------
    ndarray
        bool, shape (M,). Each suspect is compared with the samples of the two classes alone.
    """
    if not len(suspects):
        return np.zeros(0, dtype=bool)
    rows, own = features.take(suspects), labels[suspects]
    chunks = ((chunk, labels[chunk.start : chunk.stop]) for chunk in features.chunks())
    found: Iterable[Array] = mapper(partial(_nearest, rows, suspects, own, others), chunks)
    nearest = np.full((2, len(suspects)), -np.inf)
    for part in found:
        np.maximum(nearest, part, out=nearest)
    within, across = np.maximum(1 - nearest, 0)
    return np.asarray((across <= NEAR * (1 - typical)) & (across <= NEARER * within))


def _nearest(
    rows: NDArray[np.float32], suspects: Labels, own: Labels, others: Labels, item: tuple[Chunk, Labels]
) -> Array:
    """Largest cosines with a chunk's samples of the own class, without the suspect itself, and of the other; (2, M)."""
    chunk, labels = item
    unit = chunk.unit()
    found = np.full((2, len(rows)), -np.inf)
    for side, classes in enumerate((own, others)):
        for c in np.unique(classes):
            members, wanted = np.flatnonzero(labels == c), np.flatnonzero(classes == c)
            if not len(members):
                continue
            cosines = rows[wanted] @ unit[members].T
            if side == 0:
                cosines[suspects[wanted][:, None] == chunk.start + members] = -np.inf
            found[side, wanted] = cosines.max(axis=1)
    return found
