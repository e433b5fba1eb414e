"""A sample among its nearest neighbours: how many are of other classes, and how little they stand out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from empirical.data.copies import copied
from empirical.data.features import Chunk, Features, Mapper
from theory.checks import require

NEIGHBOURS = 20
REFERENCES = 20_000  # among which they are sought: with more they are no better at finding what people find difficult
BLOCK = 1_024  # rows of the table of pairs at a time
Array = NDArray[np.float64]
Labels = NDArray[np.int64]


@dataclass(frozen=True)
class Neighbourhoods:
    """What the neighbours of each sample say.

    Parameters
    ----------
    contrast : ndarray
        Mean cosine with all samples less that with the nearest ones, shape (N,), in [−2, 2]; large where the nearest
        ones hardly stand out. Needs no labels.
    disagreement : ndarray or None
        Share of the nearest samples that have another label, shape (N,); None without labels.
    """

    contrast: Array
    disagreement: Array | None


def neighbourhoods(
    features: Features,
    labels: Labels | None = None,
    copies: Labels | None = None,
    mapper: Mapper = map,
    seed: int = 0,
) -> Neighbourhoods:
    """Compare each sample with the 20 most alike of at most 20,000 random ones.

    Exact copies count as one sample, and are no neighbours of each other.

    Parameters
    ----------
    features : Features
    labels : ndarray, optional
        0, 1, …, shape (N,).
    copies : ndarray, optional
        Of which sample each is a copy, shape (N,); by default as the features say.
    mapper : callable
        ``map``, or that of a pool, whose workers take a chunk of the samples each; the numbers are the same.
    seed : int
        Of the samples that are compared with, where there are more.

    Raises
    ------
    ParameterError
        If all samples are copies of one.
    """
    copies = features.copies(mapper) if copies is None else copies
    originals = np.flatnonzero(~copied(copies))
    require(len(originals) >= 2, "features", "copies of one row", "at least two rows that differ, to be neighbours")
    kept = ~copied(copies)
    parts = [(chunk, kept[chunk.start : chunk.stop]) for chunk in features.chunks()]
    mean = np.sum(list(mapper(_summed, parts)), axis=0) / len(originals)
    chosen = originals
    if len(originals) > REFERENCES:
        chosen = np.sort(np.random.default_rng(seed).choice(originals, REFERENCES, replace=False))
    place = np.full(features.rows, -1)
    place[chosen] = np.arange(len(chosen))
    look = partial(_near, features.take(chosen), None if labels is None else labels[chosen], mean)
    items = []
    for chunk in features.chunks():
        rows = slice(chunk.start, chunk.stop)
        items.append((chunk, place[copies[rows]], None if labels is None else labels[rows]))
    contrast, disagreement = np.concatenate(list(mapper(look, items)), axis=1)
    return Neighbourhoods(contrast, None if labels is None else disagreement)


def _summed(item: tuple[Chunk, NDArray[np.bool_]]) -> Array:
    chunk, kept = item
    return np.asarray(chunk.unit()[kept].sum(axis=0, dtype=np.float64))


def _near(
    references: NDArray[np.float32],
    their_labels: Labels | None,
    mean: Array,
    item: tuple[Chunk, Labels, Labels | None],
) -> Array:
    """Contrast and disagreement of a chunk's samples, shape (2, M).

    ``item`` holds the chunk, where each of its samples is among the references (−1: nowhere), and their labels.
    """
    chunk, own_place, labels = item
    unit, others = chunk.unit(), torch.from_numpy(references)
    found = np.full((2, len(unit)), np.nan)
    found[0] = unit @ mean
    for rows in _blocks(len(unit)):
        cosines = torch.from_numpy(unit[rows]) @ others.T
        there = own_place[rows] >= 0
        cosines[np.flatnonzero(there), own_place[rows][there]] = -torch.inf
        best, where = cosines.topk(min(NEIGHBOURS, len(references) - 1), dim=1)
        found[0, rows] -= best.double().mean(dim=1).numpy()
        if labels is not None and their_labels is not None:
            found[1, rows] = (their_labels[where.numpy()] != labels[rows, None]).mean(axis=1)
    return found


def _blocks(count: int) -> Iterator[slice]:
    yield from (slice(start, min(start + BLOCK, count)) for start in range(0, count, BLOCK))
