"""α, β, γ, ε of a feature matrix: group means of the cosine similarity, with bootstrap intervals."""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from empirical.data.features import Chunk, Features, Mapper
from theory.plan import Estimate, Space

Array = NDArray[np.float64]
Labels = NDArray[np.int64]
REPLICATES = 200
PAIR_ROWS = 2_000  # rows whose pairs give the standard deviation ε


def measure_space(
    features: Features, labels: Labels, difficult: NDArray[np.bool_], seed: int = 0, mapper: Mapper = map
) -> Space:
    """Group means of the cosine similarity with bootstrap intervals over the samples.

    Means over pairs follow from sums of unit vectors, |Σu|² − Σ|u|², so that no pair is ever formed.
    γ is the mean over all different-class pairs of difficult samples (the block pairing's γ), β over
    the other different-class pairs; with no difficult pair γ = β.

    Parameters
    ----------
    features : Features
    labels, difficult : ndarray
        Class and difficulty of each row, shape (N,).
    seed : int
        Of the bootstrap and of the rows that ε is measured on.
    mapper : callable
        ``map``, or that of a pool, whose workers sum the chunks.
    """
    generator = np.random.default_rng(seed)
    total = Sums(int(labels.max()) + 1, features.width)
    weighted = _weighted(features.chunks(), 2 * labels + difficult, generator)
    levels = reduce(Sums.add, mapper(sum_groups, weighted), total).levels()
    chosen = np.sort(generator.permutation(features.rows)[:PAIR_ROWS])
    spread = _spread(features.take(chosen), labels[chosen], difficult[chosen], generator)
    return Space(features.width, *(estimate(replicates) for replicates in (*levels, spread)))


def poisson_weights(generator: np.random.Generator, samples: int) -> NDArray[np.float32]:
    """Bootstrap weights, shape (replicates + 1, samples); the first row is all ones: the data itself."""
    weights = generator.poisson(1.0, (REPLICATES + 1, samples)).astype(np.float32)
    weights[0] = 1
    return weights


def estimate(replicates: Array) -> Estimate:
    """The data's value with the percentile interval of its replicates, to six significant digits."""
    value = replicates[0]
    low, high = np.nanpercentile(replicates[1:], [2.5, 97.5])
    return Estimate(*(float(f"{number:.6g}") for number in (value, min(value, low), max(value, high))))


# --- sums over rows --------------------------------------------------------------------------------


class Weighted(NamedTuple):
    """A chunk with the group (2·class + difficulty) and the bootstrap weights of its rows.

    ``order`` sorts the rows by group; ``weights``, shape (replicates + 1, rows), are in that order.
    """

    chunk: Chunk
    order: Labels
    groups: Labels
    sizes: Labels
    weights: NDArray[np.uint8]


def _weighted(chunks: list[Chunk], group: Labels, generator: np.random.Generator) -> Iterator[Weighted]:
    """The weights are drawn here, from one stream in the order of the rows, whoever sums them."""
    for chunk in chunks:
        here = group[chunk.start : chunk.stop]
        groups, sizes = np.unique(here, return_counts=True)
        drawn = [poisson_weights(generator, int(size)).astype(np.uint8) for size in sizes]  # above 255 never
        yield Weighted(chunk, np.argsort(here, kind="stable"), groups, sizes, np.concatenate(drawn, axis=1))


class GroupSum(NamedTuple):
    """Weighted sums of one group's rows in a chunk, as the product of ``factors``, and of the weights."""

    group: int
    factors: tuple[NDArray[np.float32], ...]
    weight: Array
    weight_squared: Array


def sum_groups(item: Weighted) -> list[GroupSum]:
    """The sums of a chunk's groups: what a worker does."""
    rows, ends = item.chunk.unit(), np.cumsum(item.sizes)
    found = []
    for group, start, end in zip(item.groups, ends - item.sizes, ends, strict=True):
        w, members = item.weights[:, start:end].astype(np.float32), rows[item.order[start:end]]
        # Of many small groups the sums over all replicates are more than the rows themselves.
        factors = (w @ members,) if len(members) > len(w) else (w, members)
        squares = np.square(w, dtype=np.float64).sum(axis=1)
        found.append(GroupSum(int(group), factors, w.sum(axis=1, dtype=np.float64), squares))
    return found


class Sums:
    """Sums over the rows so far, for each replicate, class and difficulty.

    Parameters
    ----------
    classes, width : int
    """

    def __init__(self, classes: int, width: int) -> None:
        self.vectors = np.zeros((REPLICATES + 1, classes, 2, width), dtype=np.float32)
        self.weight = np.zeros((REPLICATES + 1, classes, 2))
        self.weight_squared = np.zeros_like(self.weight)

    def add(self, chunk: list[GroupSum]) -> Self:
        """Add the sums of the next chunk."""
        for group, factors, weight, weight_squared in chunk:
            c, d = divmod(group, 2)
            self.vectors[:, c, d] += reduce(np.matmul, factors)
            self.weight[:, c, d] += weight
            self.weight_squared[:, c, d] += weight_squared
        return self

    def levels(self) -> tuple[Array, Array, Array]:
        """α, β, γ for each replicate; a sample is never paired with itself or its bootstrap copies."""
        own = self.weight_squared.sum(axis=(1, 2))
        class_sums, class_weight = self.vectors.sum(axis=2), self.weight.sum(axis=2)
        same = _norm2(class_sums).sum(axis=1) - own
        same_pairs = (class_weight**2).sum(axis=1) - own
        every = _norm2(class_sums.sum(axis=1)) - own
        every_pairs = class_weight.sum(axis=1) ** 2 - own
        hard, hard_weight = self.vectors[:, :, 1], self.weight[:, :, 1]
        paired = _norm2(hard.sum(axis=1)) - _norm2(hard).sum(axis=1)
        paired_pairs = hard_weight.sum(axis=1) ** 2 - (hard_weight**2).sum(axis=1)
        rest, rest_pairs = every - same - paired, every_pairs - same_pairs - paired_pairs
        alpha = _ratio(same, same_pairs)
        # A group that is empty in the data is the other one; empty in a replicate only, it has no value there.
        beta = _ratio(rest, rest_pairs) if rest_pairs[0] > 0 else _ratio(paired, paired_pairs)
        gamma = _ratio(paired, paired_pairs) if paired_pairs[0] > 0 else beta
        return alpha, beta, gamma


def _norm2(vectors: NDArray[Any]) -> Array:
    return np.asarray(np.einsum("...d,...d->...", vectors, vectors, dtype=np.float64))


def _ratio(total: Array, pairs: Array) -> Array:
    """Mean over pairs, NaN where there are none."""
    return np.asarray(np.divide(total, pairs, out=np.full_like(total, np.nan), where=pairs > 0.5))


def _spread(
    rows: NDArray[np.float32], labels: Labels, difficult: NDArray[np.bool_], generator: np.random.Generator
) -> Array:
    """Standard deviation of the similarities within the three groups, for each replicate."""
    similarities = rows @ rows.T
    same = labels[:, None] == labels
    paired = ~same & difficult[:, None] & difficult
    off_diagonal = ~np.eye(len(rows), dtype=bool)
    weights = poisson_weights(generator, len(rows))
    squares, pairs = np.zeros(len(weights)), np.zeros(len(weights))
    for group in (same & off_diagonal, paired, ~same & ~paired):
        mask = group.astype(np.float32)
        if not group.any():
            continue
        count = ((weights @ mask) * weights).sum(axis=1, dtype=np.float64)
        # Centred on the group's mean, so that the small spread is not a difference of large numbers.
        centred = (similarities - similarities[group].mean()) * mask
        first = ((weights @ centred) * weights).sum(axis=1, dtype=np.float64)
        second = ((weights @ (centred * centred)) * weights).sum(axis=1, dtype=np.float64)
        squares += second - np.nan_to_num(_ratio(first**2, count))
        pairs += count
    return np.sqrt(np.maximum(_ratio(squares, pairs), 0))
