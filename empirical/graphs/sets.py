"""Graphs in flat tensors, many in one: a data set, and a batch that an encoder takes as one graph of many components.

No graph is an object of its own, so that a batch is a few gathers however many graphs it has.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from empirical.data.copies import DIGEST_BYTES, Hashes, Rows


@dataclass(frozen=True)
class GraphBatch:
    """B graphs side by side.

    Parameters
    ----------
    x : Tensor
        Features of all nodes, shape (nodes, F), graph after graph.
    edges : Tensor
        int64, shape (2, E): both directions of each edge, by the nodes' rows in ``x``.
    graph : Tensor
        int64, shape (nodes,): the graph of each node, ascending.
    sizes : Tensor
        int64, shape (B,): how many nodes each graph has.
    """

    x: Tensor
    edges: Tensor
    graph: Tensor
    sizes: Tensor

    def __len__(self) -> int:
        return len(self.sizes)

    @property
    def starts(self) -> Tensor:
        """The first node of each graph, shape (B,)."""
        return self.sizes.cumsum(0) - self.sizes

    def to(self, device: torch.device | str, non_blocking: bool = False) -> GraphBatch:
        """The same on another device."""
        parts = (part.to(device, non_blocking=non_blocking) for part in (self.x, self.edges, self.graph, self.sizes))
        return GraphBatch(*parts)

    def joined(self, other: GraphBatch) -> GraphBatch:
        """This one's graphs, then the other's."""
        return GraphBatch(
            torch.cat([self.x, other.x]),
            torch.cat([self.edges, other.edges + len(self.x)], dim=1),
            torch.cat([self.graph, other.graph + len(self)]),
            torch.cat([self.sizes, other.sizes]),
        )


@dataclass(frozen=True)
class GraphSet:
    """N graphs, held in memory.

    Parameters
    ----------
    x : Tensor
        float32, features of all nodes, shape (nodes, F), graph after graph.
    edges : Tensor
        int64, shape (2, E), sorted inside each graph: both directions of each edge, by the nodes' numbers in their
        graph, which begin at 0.
    node_ends, edge_ends : Tensor
        int64, shape (N + 1,): graph i has nodes ``node_ends[i]`` to ``node_ends[i + 1]`` and edges likewise.
    """

    x: Tensor
    edges: Tensor
    node_ends: Tensor
    edge_ends: Tensor

    def __len__(self) -> int:
        return len(self.node_ends) - 1

    @property
    def shape(self) -> tuple[int, int]:
        """How many graphs, and how many features a node has."""
        return len(self), self.x.shape[1]

    @cached_property
    def sizes(self) -> Tensor:
        """How many nodes each graph has, shape (N,)."""
        return self.node_ends.diff()

    def take(self, indices: Tensor) -> GraphBatch:
        """Some graphs, in this order.

        Parameters
        ----------
        indices : Tensor
            Integers in [0, N), shape (B,).
        """
        rows, graph, sizes = _gathered(self.node_ends, indices)
        places, owner, _ = _gathered(self.edge_ends, indices)
        starts = sizes.cumsum(0) - sizes
        return GraphBatch(self.x[rows], self.edges[:, places] + starts[owner], graph, sizes)

    def subset(self, indices: Rows) -> GraphSet:
        """Some graphs, in this order, as a data set."""
        chosen = torch.from_numpy(np.ascontiguousarray(indices, dtype=np.int64))
        rows, _, sizes = _gathered(self.node_ends, chosen)
        places, _, counts = _gathered(self.edge_ends, chosen)
        return GraphSet(self.x[rows], self.edges[:, places], ends(sizes), ends(counts))

    def hashes(self) -> Hashes:
        """A hash of each graph, uint64 of shape (N,).

        The same for exact copies: the same nodes in the same order with the same features and edges. Isomorphic graphs
        with other orders have others. 0 and −0 are the same.
        """
        x: NDArray[Any] = (self.x + 0).numpy()
        edges: NDArray[Any] = np.ascontiguousarray(self.edges.T.numpy())
        nodes, places = self.node_ends.tolist(), self.edge_ends.tolist()
        found = bytearray()
        for i in range(len(self)):
            one = hashlib.blake2b(x[nodes[i] : nodes[i + 1]].data, digest_size=DIGEST_BYTES)
            one.update(edges[places[i] : places[i + 1]].data)
            found += one.digest()
        return np.frombuffer(bytes(found), dtype=np.uint64)

    def digest(self) -> str:
        """SHA-256 of all of it."""
        found = hashlib.sha256()
        for part in (self.x, self.edges, self.node_ends, self.edge_ends):
            found.update(f"{part.dtype}{tuple(part.shape)}".encode())
            found.update(np.ascontiguousarray(part.numpy()).data)
        return found.hexdigest()


def ends(sizes: Tensor | NDArray[np.int64]) -> Tensor:
    """Where each of several consecutive parts begins, and where the last one ends; shape (N + 1,)."""
    sizes = torch.as_tensor(sizes)
    return torch.cat([sizes.new_zeros(1), sizes.cumsum(0)])


def _gathered(bounds: Tensor, indices: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Rows of the parts with these indices, to which of the indices each belongs, and how many rows each part has."""
    first = bounds[indices]
    sizes = bounds[indices + 1] - first
    owner = torch.repeat_interleave(sizes)
    rows = torch.arange(len(owner), device=owner.device) + (first - sizes.cumsum(0) + sizes)[owner]
    return rows, owner, sizes
