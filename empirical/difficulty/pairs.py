"""The most alike pairs of different classes: by all products, or of many samples by an index of cells (FAISS).

In a table of all pairs each is met once. The index meets it once too: samples are in the order of their classes, and
each is compared with those of later classes in the cells nearest to it.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial, reduce
from importlib import import_module
from importlib.util import find_spec
from itertools import chain
from math import sqrt
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from empirical.data.features import Features, Mapper
from empirical.difficulty.progress import bar, shown
from empirical.selection import rank_band
from theory.checks import printable

EXACT_ROWS = 50_000  # up to which all products are taken, whatever is installed
THRESHOLD_ROWS = 4_000  # whose pairs say how alike pairs of one class are
BLOCK = 1_024  # rows of the table of all pairs at a time
STRIPS = 16  # that the table's blocks of rows are shared out in
ASKED = 8_192  # rows that the index is asked about at a time
CELLS = 4  # of the index, times √N
LEARNT = 40  # rows a cell from which cells are learnt, in ROUNDS
ROUNDS = 8
FEWEST = 4  # cells that are looked into, then twice as many until RECALL is reached
JUDGED = 1_000  # rows whose most alike pairs say how many are found
RECALL = 0.95  # that is wanted of them
Array = NDArray[np.float64]
Labels = NDArray[np.int64]
Candidates: TypeAlias = tuple[NDArray[np.float32], Labels]  # pairs: similarity, place in the table of all


@dataclass(frozen=True)
class Search:
    """How the pairs were found.

    Parameters
    ----------
    cells, searched : int
        Of the index, and how many of them for each sample.
    recall : float
        Share of the most alike pairs of 1,000 random samples that it finds so.
    """

    cells: int
    searched: int
    recall: float


@dataclass(frozen=True)
class AlikePairs:
    """Pairs of samples, most alike first.

    Parameters
    ----------
    rows : ndarray
        Indices, shape (M, 2).
    similarity : ndarray
        Cosines, shape (M,).
    search : Search or None
        None where all pairs were compared.
    """

    rows: NDArray[np.int64]
    similarity: Array
    search: Search | None = None


def alike_pairs(
    features: Features, count: int, labels: Labels | None, pos_high: float = 0.0, mapper: Mapper = map, seed: int = 0
) -> AlikePairs:
    """The most alike pairs of different classes in the whole data set.

    Up to 50,000 samples by all products. Of more, with labels, by FAISS, which looks into as many cells as it takes to
    find 95 % of the most alike pairs of 1,000 samples; without FAISS by all products too, and a warning says so.
    Without labels among 50,000 random samples: just below a similarity there are as alike pairs among fewer.

    Parameters
    ----------
    features : Features
    count : int
        Pairs, or as many as there are.
    labels : ndarray or None
        Shape (N,). Without labels, pairs whose similarity is in the top share ``pos_high`` are taken for pairs of one
        class, as the selector takes them.
    pos_high : float
    mapper : callable
        ``map``, or that of a pool, whose workers go through some rows of the table of all pairs each.
    seed : int
        Of the random samples.
    """
    if features.rows > EXACT_ROWS and labels is None:
        rows = np.sort(np.random.default_rng(seed).choice(features.rows, EXACT_ROWS, replace=False))
        some = alike_pairs(features.only(rows), count, None, pos_high, mapper)
        return AlikePairs(rows[some.rows], some.similarity)
    if features.rows > EXACT_ROWS and labels is not None:
        if find_spec("faiss") is not None:
            return _by_cells(features, count, labels, seed)
        warnings.warn(
            f"all {features.rows:,}² products for the most alike pairs: pip install 'difficult-examples[faiss]' "
            "searches instead",
            stacklevel=2,
        )
    return _by_products(features, count, labels, pos_high, shown(mapper, "most alike pairs"))


# --- all products ----------------------------------------------------------------------------------


def _by_products(features: Features, count: int, labels: Labels | None, pos_high: float, mapper: Mapper) -> AlikePairs:
    ceiling = torch.inf if labels is not None else _ceiling(features, pos_high)
    starts = range(0, features.rows, BLOCK)
    # Later rows have fewer rows after them; strips of every sixteenth block have about the same to do.
    strips = [starts[first::STRIPS] for first in range(min(STRIPS, len(starts)))]
    found = mapper(partial(_alike_in_strip, features, count, labels, ceiling), strips)
    blocks = dict(chain.from_iterable(zip(strip, part, strict=True) for strip, part in zip(strips, found, strict=True)))
    best, where = reduce(partial(_best, count), (blocks[start] for start in starts))
    best, where = best[best > -np.inf], where[best > -np.inf]
    return AlikePairs(np.stack(np.divmod(where, features.rows), axis=1), best.astype(np.float64))


def _ceiling(features: Features, pos_high: float) -> float:
    """The similarity above which a pair is taken for one of one class."""
    rows = np.random.default_rng(0).permutation(features.rows)[:THRESHOLD_ROWS]
    some = torch.from_numpy(features.take(rows))
    return float(rank_band((some @ some.T).fill_diagonal_(-torch.inf), pos_high, 1.0)[1])


def _alike_in_strip(
    features: Features, count: int, labels: Labels | None, ceiling: float, starts: Sequence[int]
) -> list[Candidates]:
    """For each block of rows its most alike pairs with themselves and later ones."""
    unit = torch.from_numpy(features.unit)
    classes = None if labels is None else torch.from_numpy(labels)
    found = []
    for start in starts:
        similarities = unit[start : start + BLOCK] @ unit[start:].T
        excluded = torch.ones_like(similarities, dtype=torch.bool).tril()
        excluded |= similarities > ceiling
        if classes is not None:
            excluded |= classes[start : start + BLOCK, None] == classes[start:]
        similarities.masked_fill_(excluded, -torch.inf)
        best, flat = similarities.flatten().topk(min(count, similarities.numel()))
        width = len(unit) - start
        where = (start + flat // width) * len(unit) + start + flat % width
        found.append((best.numpy(), where.numpy()))
    return found


def _best(count: int, first: Candidates, second: Candidates) -> Candidates:
    """The most alike of two lists of pairs."""
    found, where = np.concatenate([first[0], second[0]]), np.concatenate([first[1], second[1]])
    best, kept = torch.from_numpy(found).topk(min(count, len(found)))
    return best.numpy(), where[kept.numpy()]


# --- an index of cells -----------------------------------------------------------------------------


def _by_cells(features: Features, count: int, labels: Labels, seed: int) -> AlikePairs:
    """By FAISS: float32 vectors in cells around 4·√N means, the nearest cells of a sample looked into in full."""
    generator = np.random.default_rng(seed)
    order = np.argsort(labels, kind="stable")
    ends = np.searchsorted(labels[order], labels[order], side="right")  # where each sample's later classes begin
    unit = features.unit
    cells = min(round(CELLS * sqrt(len(unit))), len(unit) // LEARNT)
    index = _index(unit, order, cells, generator, seed)
    judged = np.sort(generator.choice(len(unit), min(JUDGED, len(unit)), replace=False))
    truth = _exactly(unit, order, ends, judged, count)
    searched = FEWEST
    while True:
        found = _asked(index, unit, order, ends, judged, count, searched)
        recall = float(np.isin(truth[1], found[1]).mean()) if len(truth[1]) else 1.0
        if recall >= RECALL or searched == cells:
            break
        searched = min(2 * searched, cells)
    best: Candidates = (np.empty(0, np.float32), np.empty(0, np.int64))
    blocks = range(0, len(unit), ASKED)
    for start in bar(blocks, "most alike pairs", len(blocks)):
        places = np.arange(start, min(start + ASKED, len(unit)))
        best = _best(count, best, _asked(index, unit, order, ends, places, count, searched))
    rows = np.sort(order[np.stack(np.divmod(best[1], len(unit)), axis=1)], axis=1)
    return AlikePairs(rows, best[0].astype(np.float64), Search(cells, searched, recall))


def _index(unit: NDArray[np.float32], order: Labels, cells: int, generator: np.random.Generator, seed: int) -> Any:
    """An inverted file of the samples in this order."""
    faiss = _faiss()
    index = faiss.IndexIVFFlat(faiss.IndexFlatIP(unit.shape[1]), unit.shape[1], cells, faiss.METRIC_INNER_PRODUCT)
    index.cp.niter, index.cp.spherical, index.cp.seed = ROUNDS, True, seed
    index.cp.min_points_per_centroid, index.cp.max_points_per_centroid = 1, LEARNT
    index.train(unit[np.sort(generator.choice(len(unit), min(LEARNT * cells, len(unit)), replace=False))])
    blocks = range(0, len(unit), ASKED)
    for start in bar(blocks, "index", len(blocks)):
        index.add(unit[order[start : start + ASKED]])
    return index


def _faiss() -> Any:
    return import_module("faiss")  # whose annotations lack the arguments that its wrappers take


def _asked(
    index: Any, unit: NDArray[np.float32], order: Labels, ends: Labels, places: Labels, count: int, searched: int
) -> Candidates:
    """The most alike pairs of the samples at these places of the order with ones of later classes."""
    faiss = _faiss()
    best: Candidates = (np.empty(0, np.float32), np.empty(0, np.int64))
    for end in np.unique(ends[places]):
        asked = places[ends[places] == end]
        if end == len(unit):  # no later class
            continue
        later = faiss.IDSelectorRange(int(end), len(unit))
        parameters = faiss.SearchParametersIVF(sel=later, nprobe=searched)
        similarity, found = index.search(unit[order[asked]], min(count, len(unit) - int(end)), params=parameters)
        there = found >= 0
        where = (asked[:, None] * len(unit) + found)[there]
        best = _best(count, best, (similarity[there], where))
    return best


def _exactly(unit: NDArray[np.float32], order: Labels, ends: Labels, places: Labels, count: int) -> Candidates:
    """What ``_asked`` would find if it missed nothing."""
    best: Candidates = (np.empty(0, np.float32), np.empty(0, np.int64))
    mine = torch.from_numpy(unit[order[places]])
    blocks = range(0, len(unit), ASKED)
    for start in bar(blocks, "most alike pairs of some", len(blocks)):
        there = np.arange(start, min(start + ASKED, len(unit)))
        similarity = mine @ torch.from_numpy(unit[order[there]]).T
        similarity[torch.from_numpy(ends[places][:, None] > there)] = -torch.inf
        values, flat = similarity.flatten().topk(min(count, similarity.numel()))
        row, column = np.divmod(flat.numpy(), len(there))
        some = values.numpy() > -np.inf
        best = _best(count, best, (values.numpy()[some], (places[row] * len(unit) + there[column])[some]))
    return best


# --- a picture -------------------------------------------------------------------------------------


def grid(pairs: AlikePairs, pictures: Tensor, names: Sequence[str]) -> bytes:
    """The first pairs as pictures side by side, a PNG.

    Parameters
    ----------
    pairs : AlikePairs
    pictures : Tensor
        uint8 images of the pairs' samples, shape (2·M, C, H, W), first and second alternating.
    names : sequence of str
        What is written under each picture, 2·M.
    """
    from matplotlib.figure import Figure

    count = len(pictures) // 2
    columns = min(6, max(1, count))
    rows = -(-count // columns)
    figure = Figure(figsize=(2.3 * columns, 1.45 * rows), layout="constrained")
    for index, axis in enumerate(np.atleast_1d(np.array(figure.subplots(rows, columns))).flat):
        axis.axis("off")
        if index >= count:
            continue
        left, right = (picture.permute(1, 2, 0).numpy() for picture in pictures[2 * index : 2 * index + 2])
        between = np.full((left.shape[0], max(1, left.shape[1] // 16), left.shape[2]), 255, dtype=np.uint8)
        shown = np.concatenate([left, between, right], axis=1)
        axis.imshow(shown.squeeze(), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        text = f"{printable(names[2 * index])} / {printable(names[2 * index + 1])}\n{pairs.similarity[index]:.3f}"
        axis.set_title(text, fontsize=8, parse_math=False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()
