"""What a prediction reads of noisy graphs: their types of nodes and the invariant spaces that join them.

Nodes of one *type* are alike: easy, difficult, or the nodes of one group of a less regular world. A graph that
does not tell its classes apart has two spaces of vectors that are constant on the groups (the nodes of one type
and class): constant over the classes as well, or of sum zero over them. Only the second tells classes apart, so
that one T×T matrix stands for r equal copies. A world that does tell classes apart has a single space, with every
group a type of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from theory.kinds import Graph, PerKind, own_levels, row_levels

Array = NDArray[np.float64]

RANK = 5  # of the correlated noise, as in theory.worlds.add_noise


@dataclass(frozen=True, eq=False)
class Structure:
    """B noisy graphs of T types of nodes and S spaces, A + noise with independent entries.

    Parameters
    ----------
    counts : array, shape (B, T)
        Nodes of a type in one group.
    copies : array, shape (B, S)
        How many equal copies of each space there are; the groups of a type are as many as all copies together.
        The last space tells the classes apart.
    own : array, shape (B, S, T)
        Weight of a node with itself beyond that with others of its group.
    levels : array, shape (B, S, T, T)
        Weights between groups, summed over the classes with the space's signs.
    degrees : array, shape (B, T)
        Of the normalisation D^(−1/2)(A + noise)D^(−1/2).
    row_degrees : array, shape (B, T)
        By whose roots the rows of the eigenvectors are divided.
    variance : array, shape (B, T, T)
        Variance of the noise, averaged over the nodes of the second type.
    spike, rank : array, shape (B,)
        Noise of low rank beside that: ``spike``·ZZᵀ with ``rank`` columns of independent standard normals.
    """

    counts: Array
    copies: Array
    own: Array
    levels: Array
    degrees: Array
    row_degrees: Array
    variance: Array
    spike: Array
    rank: Array

    @property
    def totals(self) -> Array:
        """Nodes of a type, shape (B, T)."""
        found: Array = self.counts * self.copies.sum(axis=1, keepdims=True)
        return found

    @property
    def nodes(self) -> Array:
        """N, shape (B,)."""
        found: Array = self.totals.sum(axis=1)
        return found

    @property
    def blocks(self) -> Array:
        """The weights on the spaces' unit vectors, without ``own``; shape (B, S, T, T)."""
        roots = np.sqrt(self.counts)[:, None, :]
        return self.levels * roots[..., :, None] * roots[..., None, :]

    def __getitem__(self, chosen: Any) -> Structure:
        """Some of the graphs."""
        return Structure(*(getattr(self, field.name)[chosen] for field in fields(self)))


def stack(structures: Sequence[Structure]) -> Structure:
    """Graphs of as many types and spaces each, as one batch."""
    columns = ([getattr(one, field.name) for one in structures] for field in fields(Structure))
    return Structure(*(np.concatenate(column) for column in columns))


def of_graph(
    p: Graph, epsilon: Any, correlated: Any = 0.0, rank: int = RANK, weights: PerKind | None = None
) -> Structure:
    """Graphs of easy and difficult nodes with the noise of ``theory.worlds.add_noise``.

    Parameters
    ----------
    p : Graph
        One, or arrays of shape (B,) as in ``theory.sweep.Points``.
    epsilon, correlated : number or array, shape (B,)
    rank : int
        Of the correlated part.
    weights : PerKind, optional
        In place of the graph's own.
    """
    w = p.weights if weights is None else weights
    shape = np.broadcast_shapes(*(np.shape(x) for x in (p.n, p.r, p.n_d, epsilon, correlated, *w)), (1,))

    def column(*values: Any) -> Array:
        return np.stack([np.broadcast_to(np.asarray(value, dtype=np.float64), shape) for value in values], axis=-1)

    own, levels = [], []
    for across in (p.r, -1):
        mixed, more_easy, more_difficult = row_levels(w, across)
        own.append(column(*own_levels(w, across)))
        levels.append(column(mixed + more_easy, mixed, mixed, mixed + more_difficult).reshape(*shape, 2, 2))
    counts = column(p.n - p.n_d, p.n_d)
    copies = column(1, p.r)
    return make(counts, copies, np.stack(own, axis=1), np.stack(levels, axis=1), epsilon, correlated, rank)


def make(
    counts: Array, copies: Array, own: Array, levels: Array, epsilon: Any, correlated: Any = 0.0, rank: int = RANK
) -> Structure:
    """A structure with the degrees of its own weights.

    ``epsilon`` and ``correlated`` have shape () or (B,); a single graph, with a first axis of 1, is repeated.
    """
    batch = np.broadcast_shapes((len(counts),), np.shape(epsilon), np.shape(correlated))
    counts, copies, own, levels = (
        np.broadcast_to(part, batch + part.shape[1:]) for part in (counts, copies, own, levels)
    )
    variance = np.broadcast_to(np.asarray(epsilon, dtype=np.float64) ** 2, batch)
    common = np.broadcast_to(np.asarray(correlated, dtype=np.float64), batch)
    types = counts.shape[1]
    spike = np.sqrt(variance * common / rank)
    degrees = _degrees(own, levels, counts)
    independent = np.broadcast_to((variance * (1 - common))[:, None, None], (len(counts), types, types))
    return Structure(
        counts, copies, own, levels, degrees, degrees, independent, spike, np.where(spike > 0, float(rank), 0.0)
    )


def _degrees(own: Array, levels: Array, counts: Array) -> Array:
    """Row sums; the first space holds the vectors that are constant over the classes.

    A type without nodes has the mean degree of the others: its own, of no meaning, need not be positive.
    """
    found: Array = own[:, 0] + (levels[:, 0] @ counts[..., None])[..., 0]
    mean = (found * counts).sum(axis=1, keepdims=True) / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    return np.where(counts > 0, found, mean)


def recounted(s: Structure, counts: Array) -> Structure:
    """The same weights among other numbers of nodes; shape (B, T)."""
    degrees = _degrees(s.own, s.levels, counts)
    return replace(s, counts=counts, degrees=degrees, row_degrees=degrees)
