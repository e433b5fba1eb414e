"""Naive counterparts of the prediction's steps: dense matrices, drawn noise, drawn rows, least squares."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from theory.predict.structure import Structure, make

STANDARD_ERRORS = 4.0  # of a simulated mean; 1 in 16,000 draws of a right formula lies beyond


class Nodes(NamedTuple):
    """Class and type of every node, shape (N,)."""

    classes: np.ndarray
    types: np.ndarray


def nodes(s: Structure) -> Nodes:
    """Class by class and, in a class, type by type; with one space, every type is a class of its own."""
    counts, classes = s.counts[0].astype(int), int(s.copies[0].sum())
    types = np.tile(np.repeat(np.arange(len(counts)), counts), classes)
    return Nodes(np.repeat(np.arange(classes), counts.sum()), types)


def dense(s: Structure) -> np.ndarray:
    """The population's weights A of the first graph, shape (N, N)."""
    types = np.repeat(np.arange(s.counts.shape[1]), s.counts[0].astype(int))
    spaces = [np.diag(own[types]) + levels[np.ix_(types, types)] for own, levels in zip(s.own[0], s.levels[0])]  # noqa: B905
    if len(spaces) == 1:
        return spaces[0]
    classes = int(s.copies[0].sum())
    constant = np.full((classes, classes), 1 / classes)
    return np.kron(constant, spaces[0]) + np.kron(np.eye(classes) - constant, spaces[1])


def noise(s: Structure, rng: np.random.Generator) -> np.ndarray:
    """Independent entries, with the variance of the nodes' types, and those of low rank; zero on the diagonal."""
    types = nodes(s).types
    upper = np.triu(rng.standard_normal((len(types), len(types))), 1)
    drawn = np.sqrt(s.variance[0][np.ix_(types, types)]) * (upper + upper.T)
    if s.spike[0]:
        z = rng.standard_normal((len(types), int(s.rank[0])))
        common = s.spike[0] * (z @ z.T)
        drawn += common - np.diag(np.diag(common))
    return drawn


def leading(weights: np.ndarray, degrees: np.ndarray, dim: int) -> np.ndarray:
    """The k leading eigenvectors of D^{-1/2}·weights·D^{-1/2}, shape (N, k)."""
    root = np.sqrt(degrees)
    return np.linalg.eigh(weights / np.outer(root, root))[1][:, -dim:]


def units(s: Structure) -> np.ndarray:
    """Unit vectors of the spaces, one copy of each, by type; shape (S, T, N)."""
    classes, types = nodes(s)
    signs = [np.ones(len(types))]
    if s.copies.shape[1] == 2:
        signs.append(np.where(classes == 0, 1.0, 0.0) - np.where(classes == 1, 1.0, 0.0))
    found = np.array([[sign * (types == t) for t in range(s.counts.shape[1])] for sign in signs])
    return found / np.maximum(np.linalg.norm(found, axis=2, keepdims=True), 1e-300)


def held(s: Structure, projector: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Trace by type and spaces of a projector on the nodes; averaged over the copies of the last space."""
    classes, types = nodes(s)
    several, count = s.copies.shape[1] == 2, s.counts.shape[1]
    trace = np.bincount(types, np.diag(projector), count)
    if not several:
        u = units(s)[0]
        return trace, (u @ projector @ u.T)[None]
    groups = np.array([(classes == c) & (types == t) for t in range(count) for c in range(classes.max() + 1)])
    sizes = np.maximum(groups.sum(axis=1), 1)
    between = (groups @ projector @ groups.T / np.sqrt(np.outer(sizes, sizes))).reshape(
        count, -1, count, len(groups) // count
    )
    constant = between.mean(axis=(1, 3)) * between.shape[1]
    everything = np.einsum("tcuc->tu", between)
    return trace, np.array([constant, (everything - constant) / (between.shape[1] - 1)])


class Mean(NamedTuple):
    """A simulated mean and its standard error."""

    value: np.ndarray
    error: np.ndarray

    def check(self, expected: np.ndarray, allowed: float = 0.0) -> None:
        """Within ``STANDARD_ERRORS``, and what the step neglects."""
        difference, limit = np.abs(self.value - expected), STANDARD_ERRORS * self.error + allowed
        assert (difference <= limit).all(), f"{self.value} ± {self.error} against {expected}"


def mean(draws: Iterator[np.ndarray] | list[np.ndarray]) -> Mean:
    found = np.array(list(draws))
    return Mean(found.mean(axis=0), found.std(axis=0, ddof=1) / np.sqrt(len(found)))


# --- mixtures --------------------------------------------------------------------------------------


class Mixture(NamedTuple):
    """Rows m + √ω·(standard normal): a structure for the sizes, products of means within the class space, spreads."""

    s: Structure
    products: np.ndarray  # (T, T): of the groups' means, (δ_cc′ − 1/C) times this between two classes
    spread: np.ndarray  # (T,)
    dim: int

    def means(self) -> np.ndarray:
        """Of every node's row, shape (N, k)."""
        classes, types = nodes(self.s)
        number = classes.max() + 1
        values, vectors = np.linalg.eigh(self.products)
        root = vectors * np.sqrt(np.maximum(values, 0))
        signs = np.eye(number) - 1 / number
        found = np.zeros((len(types), self.dim))
        coordinates = np.einsum("nt,nc->ntc", root[types], signs[classes]).reshape(len(types), -1)
        found[:, : coordinates.shape[1]] = coordinates
        return found

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        types = nodes(self.s).types
        drawn = rng.standard_normal((len(types), self.dim))
        return np.asarray(self.means() + np.sqrt(self.spread[types])[:, None] * drawn)


def mixture(counts: list[int], classes: int, products: list[list[float]], spread: list[float], dim: int) -> Mixture:
    sizes, types = np.array([counts], dtype=float), len(counts)
    empty = np.zeros((1, 2, types, types))
    s = make(sizes, np.array([[1.0, classes - 1]]), np.ones((1, 2, types)), empty, 1.0)
    return Mixture(s, np.array(products), np.array(spread), dim)


# --- probe -----------------------------------------------------------------------------------------


def labelled(s: Structure, share: float, rng: np.random.Generator) -> np.ndarray:
    """The same share of every type in every class; bool, shape (N,)."""
    classes, types = nodes(s)
    chosen = np.zeros(len(types), dtype=bool)
    for c in range(classes.max() + 1):
        for t in range(s.counts.shape[1]):
            group = np.flatnonzero((classes == c) & (types == t))
            chosen[rng.permutation(group)[: round(share * len(group))]] = True
    return chosen


class Probe(NamedTuple):
    """Coefficients, shape (k, C); the labelled rows' mean, shape (k,); the labels' mean, shape (C,)."""

    coefficients: np.ndarray
    centre: np.ndarray
    prior: np.ndarray

    def scores(self, features: np.ndarray) -> np.ndarray:
        return np.asarray((features - self.centre) @ self.coefficients + self.prior)


def least_squares(
    features: np.ndarray, classes: np.ndarray, train: np.ndarray, ridge: np.ndarray | float = 0.0
) -> Probe:
    """With an intercept; ``ridge`` on the coefficients, a number or a matrix."""
    centre = features[train].mean(axis=0)
    one_hot = np.eye(classes.max() + 1)[classes[train]]
    x, y = features[train] - centre, one_hot - one_hot.mean(axis=0)
    penalty = ridge * np.eye(x.shape[1]) if np.ndim(ridge) == 0 else ridge
    return Probe(np.linalg.solve(x.T @ x + penalty, x.T @ y), centre, one_hot.mean(axis=0))


def accuracies(
    draw: Callable[[np.random.Generator], np.ndarray],
    classes: np.ndarray,
    types: np.ndarray,
    train: Callable[[np.random.Generator], np.ndarray],
    seeds: int,
    ridge: float = 0.0,
) -> Mean:
    """Accuracy on the nodes without label: of all and by type, over drawn features."""

    def one(seed: int) -> np.ndarray:
        rng = np.random.default_rng([seed, 16])
        features, chosen = draw(rng), train(rng)
        right = least_squares(features, classes, chosen, ridge).scores(features).argmax(axis=1) == classes
        count = types.max() + 1
        tested = [~chosen & (types == t) for t in range(count)]
        return np.array([right[~chosen].mean(), *(right[t].mean() if t.any() else 0.0 for t in tested)])

    return mean(one(seed) for seed in range(seeds))
