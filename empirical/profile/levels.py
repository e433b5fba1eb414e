"""Six levels, α, β, γ and ε of a feature matrix: group means of the cosine, with bootstrap intervals."""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from empirical.data.copies import first_copies
from empirical.data.features import Chunk, Features, Mapper
from theory.memory import require_memory
from theory.plan import Estimate, Space, Triple

Array = NDArray[np.float64]
Labels = NDArray[np.int64]
REPLICATES = 200
PAIR_ROWS = 2_000  # rows whose pairs give the standard deviation ε
LARGEST_SUMS = 1 << 30  # bytes of the sums of classes that are held at once


def measure_space(
    features: Features,
    labels: Labels,
    difficult: NDArray[np.bool_],
    seed: int = 0,
    mapper: Mapper = map,
    copies: Labels | None = None,
) -> Space:
    """Group means of the cosine similarity with bootstrap intervals over the samples.

    Means over pairs follow from sums of unit vectors, |Σu|² − Σ|u|², so that no pair is ever formed. Where the sums of
    all replicates are more than 1 GiB, the features are read several times, for some of the replicates each time; the
    numbers are the same.

    Parameters
    ----------
    features : Features
    labels, difficult : ndarray
        Class and difficulty of each row, shape (N,).
    seed : int
        Of the bootstrap and of the rows that ε is measured on.
    mapper : callable
        ``map``, or that of a pool, whose workers sum the chunks.
    copies : ndarray, optional
        Of which row each is an exact copy, itself or an earlier one, shape (N,); by default as the features say.
        Copies are drawn together and are no pair: with every row twice, levels and intervals are as with each once.

    Raises
    ------
    ParameterError
        If the sums of one replicate do not fit into memory, or a row is not finite or zero.
    """
    return measure_levels(features, labels, difficult, NO_PAIRS, seed, mapper, copies)[0]


def measure_levels(
    features: Features,
    labels: Labels,
    difficult: NDArray[np.bool_],
    pairs: Labels,
    seed: int = 0,
    mapper: Mapper = map,
    copies: Labels | None = None,
) -> tuple[Space, PairLevels]:
    """``measure_space`` with the levels of some pairs of classes, shape (P, 2), from the same sums."""
    copies = features.copies(mapper) if copies is None else copies
    generator = np.random.default_rng(seed)
    repeated = Repeated(copies, labels, difficult)
    wanted = Chosen.of(pairs, labels, difficult)
    products = _products(features, labels, difficult, generator, repeated, wanted, mapper)
    within, across, three = products.levels(repeated.own_pairs().sum(axis=1))
    between = products.pair_levels(wanted, repeated.own_pairs(wanted.classes))
    chosen = np.sort(generator.permutation(features.rows)[:PAIR_ROWS])
    rows = features.take(chosen)
    spread = _spread(rows, labels[chosen], difficult[chosen], first_copies(copies[chosen]), generator)
    alpha, beta, gamma = (estimate(replicates) for replicates in three)
    space = Space(
        features.width,
        Triple(*map(estimate, within)),
        Triple(*map(estimate, across)),
        alpha,
        beta,
        gamma,
        gap=estimate(three[2] - three[1]),
        welch_t=_welch_t(rows, labels, difficult, chosen, gamma.value - beta.value),
        epsilon=estimate(spread),
    )
    return space, between


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

    ``order`` sorts the rows by group; ``weights``, shape (replicates summed, rows), are in that order.
    """

    chunk: Chunk
    order: Labels
    groups: Labels
    sizes: Labels
    weights: NDArray[np.uint8]


class Repeated:
    """The bootstrap weights of rows that have exact copies: one for all copies of a row, drawn with the first.

    Parameters
    ----------
    copies : ndarray
        Of which row each is a copy, shape (N,).
    labels, difficult : ndarray
        Shape (N,).
    """

    def __init__(self, copies: Labels, labels: Labels, difficult: NDArray[np.bool_]) -> None:
        sizes = np.bincount(copies, minlength=len(copies))
        self.firsts = np.flatnonzero(sizes > 1)
        self.copies = copies
        self.weights = np.zeros((REPLICATES + 1, len(self.firsts)), dtype=np.uint8)
        rows = np.flatnonzero(sizes[copies] > 1)
        place = np.searchsorted(self.firsts, copies[rows])
        # Rows of one class that are copies of each other: how many easy ones, how many difficult ones.
        keys, inverse = np.unique(place * (int(labels.max()) + 1) + labels[rows], return_inverse=True)
        hard = np.bincount(inverse, difficult[rows], len(keys))
        easy = np.bincount(inverse, minlength=len(keys)) - hard
        self.place, self.label = np.divmod(keys, int(labels.max()) + 1)
        self.pairs = np.stack([easy * (easy - 1), easy * hard, hard * (hard - 1)], axis=1)

    def shared(self, rows: Labels, drawn: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The weights drawn for some rows, shape (replicates + 1, rows), with those of copies in place of their own."""
        if not len(self.firsts):
            return drawn
        place = np.searchsorted(self.firsts, self.copies[rows]).clip(max=len(self.firsts) - 1)
        within = self.firsts[place] == self.copies[rows]
        first = within & (self.copies[rows] == rows)
        self.weights[:, place[first]] = drawn[:, first]
        drawn[:, within] = self.weights[:, place[within]]
        return drawn

    def own_pairs(self, classes: Labels | None = None) -> Array:
        """Weighted pairs of copies in a class (easy, mixed, difficult) once all is drawn.

        Parameters
        ----------
        classes : ndarray, optional
            Increasing, shape (K,); by default all are counted together.

        Returns
        -------
        ndarray
            Shape (replicates + 1, K or 1, 3).
        """
        found = np.zeros((len(self.weights), 1 if classes is None else len(classes), 3))
        kept, column = np.arange(len(self.place)), np.zeros(len(self.place), dtype=np.int64)
        if classes is not None:
            kept = np.flatnonzero(np.isin(self.label, classes))
            column = np.asarray(np.searchsorted(classes, self.label), dtype=np.int64)
        for start in range(0, len(kept), PAIR_ROWS):
            some = kept[start : start + PAIR_ROWS]
            squares = np.square(self.weights[:, self.place[some]], dtype=np.float64)
            for k in np.unique(column[some]).tolist():
                here = column[some] == k
                found[:, k] += squares[:, here] @ self.pairs[some[here]]
        return found


def _products(
    features: Features,
    labels: Labels,
    difficult: NDArray[np.bool_],
    generator: np.random.Generator,
    repeated: Repeated,
    chosen: Chosen,
    mapper: Mapper,
) -> Products:
    """The products of all replicates, of as many at once as memory is meant for."""
    classes, drawn, found = int(labels.max()) + 1, generator.bit_generator.state, []
    each = Sums.bytes_of(1, classes, features.width)
    require_memory("classes", classes, each, f"to sum {classes} classes of {features.width} features")
    step = max(1, LARGEST_SUMS // each)
    for start in range(0, REPLICATES + 1, step):
        part = slice(start, min(start + step, REPLICATES + 1))
        generator.bit_generator.state = drawn  # the same weights each time, of which a part is summed
        weighted = _weighted(features.chunks(), 2 * labels + difficult, generator, repeated, part)
        total = Sums(part.stop - part.start, classes, features.width)
        found.append(reduce(Sums.add, mapper(sum_groups, weighted), total).products(chosen))
    return Products(*(np.concatenate(parts) for parts in zip(*found, strict=True)))


def _weighted(
    chunks: list[Chunk], group: Labels, generator: np.random.Generator, repeated: Repeated, part: slice
) -> Iterator[Weighted]:
    """The weights are drawn here, from one stream in the order of the rows, whoever sums them."""
    for chunk in chunks:
        here = group[chunk.start : chunk.stop]
        groups, sizes = np.unique(here, return_counts=True)
        drawn = [poisson_weights(generator, int(size)).astype(np.uint8) for size in sizes]  # above 255 never
        order = np.argsort(here, kind="stable")
        weights = repeated.shared(chunk.start + order, np.concatenate(drawn, axis=1))
        yield Weighted(chunk, order, groups, sizes, weights[part])


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
    """Sums over the rows so far, for each of some replicates, class and difficulty.

    Parameters
    ----------
    replicates, classes, width : int
    """

    def __init__(self, replicates: int, classes: int, width: int) -> None:
        self.vectors = np.zeros((replicates, classes, 2, width), dtype=np.float32)
        self.weight = np.zeros((replicates, classes, 2))
        self.weight_squared = np.zeros_like(self.weight)

    @staticmethod
    def bytes_of(replicates: int, classes: int, width: int) -> int:
        """How large they are."""
        return replicates * classes * 2 * (4 * width + 16)

    def add(self, chunk: list[GroupSum]) -> Self:
        """Add the sums of the next chunk."""
        for group, factors, weight, weight_squared in chunk:
            c, d = divmod(group, 2)
            self.vectors[:, c, d] += reduce(np.matmul, factors)
            self.weight[:, c, d] += weight
            self.weight_squared[:, c, d] += weight_squared
        return self

    def products(self, chosen: Chosen) -> Products:
        """What the levels follow from."""
        vectors, weight = self.vectors, self.weight
        same = np.stack([_dots(vectors, a, b) for a, b in KINDS], axis=2)
        return Products(
            same.sum(axis=1),
            np.stack([(weight[..., a] * weight[..., b]).sum(axis=1) for a, b in KINDS], axis=1),
            np.stack([_dots(vectors.sum(axis=1), a, b) for a, b in KINDS], axis=1),
            np.stack([weight[..., a].sum(axis=1) * weight[..., b].sum(axis=1) for a, b in KINDS], axis=1),
            self.weight_squared.sum(axis=1),
            same[:, chosen.classes],
            weight[:, chosen.classes],
            self.weight_squared[:, chosen.classes],
            np.stack([chosen.crossed(replicate) for replicate in vectors]),
        )


class Chosen(NamedTuple):
    """Pairs of classes whose levels are wanted.

    Parameters
    ----------
    classes : ndarray
        Those that occur, increasing, shape (K,).
    places : ndarray
        Which two of them each pair is, shape (2, P).
    kinds : ndarray
        Easy (0) or difficult (1): which samples of each class stand for the easy and for the difficult ones, which are
        these themselves unless there are none; shape (2, K).
    """

    classes: Labels
    places: Labels
    kinds: Labels

    @classmethod
    def of(cls, pairs: Labels, labels: Labels, difficult: NDArray[np.bool_]) -> Chosen:
        """Pairs of classes, shape (P, 2), of these samples."""
        classes, places = np.unique(pairs, return_inverse=True)
        there = [np.bincount(labels[kind], minlength=int(labels.max()) + 1) > 0 for kind in (~difficult, difficult)]
        kinds = np.stack([~there[0], there[1]]).astype(np.int64)[:, classes]
        return cls(classes.astype(np.int64), places.reshape(pairs.shape).T, kinds)

    def crossed(self, vectors: NDArray[np.float32]) -> Array:
        """Inner products of the two classes' easy and of their difficult samples; shape (2, P).

        ``vectors`` are one replicate's sums, shape (classes, 2, width).
        """
        found = []
        for kind in self.kinds:
            first, second = (vectors[self.classes[place], kind[place]] for place in self.places)
            found.append(np.einsum("pd,pd->p", first, second, dtype=np.float64))
        return np.stack(found)


NO_PAIRS = np.empty((0, 2), dtype=np.int64)


class PairLevels(NamedTuple):
    """Levels of pairs of classes for each replicate, the first of which is the data; shape (replicates + 1, P).

    Parameters
    ----------
    alpha : ndarray
        Mean of the two classes' mean cosines within the class.
    beta, gamma : ndarray
        Mean cosines between easy samples of the two classes, and between difficult ones. A class without such samples
        has the others in their place.
    """

    alpha: Array
    beta: Array
    gamma: Array

    @property
    def severity(self) -> Array:
        """(γ − β)/(α − β) in [−1, 1], and 1 where α <= β: no way is left; shape (replicates + 1, P)."""
        way = self.alpha - self.beta
        with np.errstate(divide="ignore", invalid="ignore"):
            found = np.clip((self.gamma - self.beta) / way, -1, 1)
        return np.asarray(np.where(way <= 0, 1.0, found))


class Products(NamedTuple):
    """Inner products of sums, and products of weights, of the ``KINDS`` of pairs, for each replicate.

    ``same`` and ``every`` are those within classes and of all samples, shape (replicates, 3); ``squared`` are the
    squared weights of easy and of difficult samples, shape (replicates, 2). ``own``, ``own_weight`` and
    ``own_squared`` are the inner products within, weights and squared weights of each chosen class, shape (replicates,
    K, 3) and (replicates, K, 2), ``crossed`` the inner products of the chosen pairs, shape (replicates, 2, P).
    """

    same: Array
    same_pairs: Array
    every: Array
    every_pairs: Array
    squared: Array
    own: Array
    own_weight: Array
    own_squared: Array
    crossed: Array

    def pair_levels(self, chosen: Chosen, copies: Array) -> PairLevels:
        """Levels of the chosen pairs; ``copies`` are weighted pairs of copies, shape (replicates + 1, K, 3)."""
        twice = np.array([1, 2, 1])  # either of the two may be the difficult one
        total = (self.own - copies) @ twice - self.own_squared.sum(axis=2)
        pairs = np.square(self.own_weight.sum(axis=2)) - copies @ twice - self.own_squared.sum(axis=2)
        alpha = _ratio(total, pairs)
        levels = []
        for sums, kind in zip(np.moveaxis(self.crossed, 1, 0), chosen.kinds, strict=True):
            weight = np.take_along_axis(self.own_weight, kind[None, :, None], axis=2)[..., 0]
            levels.append(_ratio(sums, weight[:, chosen.places[0]] * weight[:, chosen.places[1]]))
        return PairLevels(alpha[:, chosen.places].mean(axis=1), *levels)

    def levels(self, copies: Array) -> tuple[list[Array], list[Array], tuple[Array, Array, Array]]:
        """Levels within and across classes (easy, mixed, difficult), and α, β, γ (P, A.5), for each replicate.

        A sample is never paired with itself, its bootstrap copies or exact copies in its class; ``copies`` holds the
        weighted pairs of these (easy, mixed, difficult; shape (replicates + 1, 3)), all of cosine 1. A level without
        pairs in the data is that of the pairs nearest to it; a level without pairs in a replicate only has no value
        there.
        """
        own = copies + np.stack([self.squared[:, 0], np.zeros(len(copies)), self.squared[:, 1]], axis=1)
        across = list((self.every - self.same).T)
        across_pairs = list((self.every_pairs - self.same_pairs).T)
        same, same_pairs = list((self.same - own).T), list((self.same_pairs - own).T)
        for sums in (same, same_pairs, across, across_pairs):
            sums[1] = 2 * sums[1]  # either of the two may be the difficult one
        alpha = _ratio(sum(same), sum(same_pairs))
        within, other = _filled(same, same_pairs), _filled(across, across_pairs)
        touched, touched_pairs = across[1] + across[2], across_pairs[1] + across_pairs[2]
        gamma = _ratio(touched, touched_pairs) if touched_pairs[0] > 0 else other[0]
        return within, other, (alpha, other[0], gamma)


KINDS = ((0, 0), (0, 1), (1, 1))  # easy–easy, easy–difficult, difficult–difficult


def _dots(vectors: NDArray[Any], a: int, b: int) -> Array:
    """Inner products of the sums of two kinds of samples."""
    first, second = vectors[..., a, :], vectors[..., b, :]
    return np.asarray(np.einsum("...d,...d->...", first, second, dtype=np.float64))


def _filled(sums: list[Array], pairs: list[Array]) -> list[Array]:
    """Means over the pairs of each kind; a kind without pairs in the data has those of the nearest kind."""
    nearest = {0: (0, 1, 2), 1: (1, 0, 2), 2: (2, 1, 0)}
    present = [next((k for k in nearest[kind] if pairs[k][0] > 0), kind) for kind in range(3)]
    return [_ratio(sums[k], pairs[k]) for k in present]


def _welch_t(
    rows: NDArray[np.float32], labels: Labels, difficult: NDArray[np.bool_], chosen: Labels, gap: float
) -> float | None:
    """Welch's t of β against γ with all pairs of the data as independent samples; variances from ``rows``."""
    similarities, hard = rows @ rows.T, difficult[chosen]
    other = np.triu(labels[chosen][:, None] != labels[chosen], 1)
    touched = hard[:, None] | hard
    sizes, easy = np.bincount(labels), np.bincount(labels[~difficult], minlength=int(labels.max()) + 1)
    counts = [float(n.sum()) ** 2 - float((n.astype(float) ** 2).sum()) for n in (easy, sizes)]
    groups = (
        (similarities[other & ~touched], counts[0] / 2),
        (similarities[other & touched], (counts[1] - counts[0]) / 2),
    )
    if any(len(values) < 2 for values, _ in groups):
        return None
    error = sum(float(values.var(ddof=1)) / count for values, count in groups)
    return float(f"{-gap / error**0.5:.6g}") if error > 0 else None


def _ratio(total: Array, pairs: Array) -> Array:
    """Mean over pairs, NaN where there are none."""
    return np.asarray(np.divide(total, pairs, out=np.full_like(total, np.nan), where=pairs > 0.5))


def _spread(
    rows: NDArray[np.float32],
    labels: Labels,
    difficult: NDArray[np.bool_],
    copies: Labels,
    generator: np.random.Generator,
) -> Array:
    """Standard deviation of the similarities within the three groups, for each replicate; copies are no pair."""
    similarities = rows @ rows.T
    same = labels[:, None] == labels
    paired = ~same & difficult[:, None] & difficult
    off_diagonal = copies[:, None] != copies
    weights = poisson_weights(generator, len(rows))[:, copies]
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
