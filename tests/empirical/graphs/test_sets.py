"""Graphs in flat tensors, against lists of single graphs."""

import numpy as np
import pytest
import torch

from empirical.data.copies import first_copies
from empirical.graphs import GraphSet, read_graphs
from empirical.graphs.sets import ends


@pytest.fixture(scope="module")
def graphs(source):
    return read_graphs(source).graphs


def singles(batch):
    """Each graph as its features and its edges."""
    found, first = [([], []) for _ in range(len(batch))], {}
    graph = batch.graph.tolist()
    for v, (i, row) in enumerate(zip(graph, batch.x.tolist(), strict=True)):
        first.setdefault(i, v)
        assert v == first[i] + len(found[i][0])
        found[i][0].append(row)
    for a, b in batch.edges.T.tolist():
        assert graph[a] == graph[b]
        found[graph[a]][1].append((a - first[graph[a]], b - first[graph[a]]))
    assert [len(rows) for rows, _ in found] == batch.sizes.tolist()
    return found


def of_set(graphs, i):
    """Graph i by slices."""
    nodes = slice(*graphs.node_ends[i : i + 2].tolist())
    edges = slice(*graphs.edge_ends[i : i + 2].tolist())
    return graphs.x[nodes].tolist(), [tuple(pair) for pair in graphs.edges[:, edges].T.tolist()]


CHOSEN = [3, 0, 17, 3]


def test_take_by_a_plain_loop(graphs):
    batch = graphs.take(torch.tensor(CHOSEN))
    assert len(batch) == 4
    assert singles(batch) == [of_set(graphs, i) for i in CHOSEN]
    assert batch.starts.tolist() == [0, *batch.sizes.cumsum(0).tolist()[:-1]]


def test_joined_is_one_then_the_other(graphs):
    one, other = graphs.take(torch.tensor(CHOSEN)), graphs.take(torch.tensor([5, 1]))
    both = one.joined(other)
    assert singles(both) == singles(one) + singles(other)
    again = graphs.take(torch.tensor([*CHOSEN, 5, 1]))
    for part in ("x", "edges", "graph", "sizes"):
        assert torch.equal(getattr(both, part), getattr(again, part))


def test_subset_takes_what_the_set_takes(graphs):
    part = graphs.subset(np.array(CHOSEN))
    assert part.shape == (4, graphs.shape[1])
    assert len(part) == 4
    assert [of_set(part, i) for i in range(4)] == [of_set(graphs, i) for i in CHOSEN]
    assert singles(part.take(torch.tensor([2, 1]))) == [of_set(graphs, 17), of_set(graphs, 0)]
    assert len(graphs.subset(np.array([], dtype=np.int64))) == 0


def test_hashes_are_of_exact_copies(graphs):
    hashes = graphs.hashes()
    assert hashes.dtype == np.uint64
    assert hashes.shape == (len(graphs),)
    known = {}
    first = [known.setdefault(repr(of_set(graphs, i)), i) for i in range(len(graphs))]
    assert first_copies(hashes).tolist() == first
    assert graphs.subset(np.array(CHOSEN)).hashes().tolist() == hashes[CHOSEN].tolist()


def test_hashes_see_features_and_edges():
    def one(x, pairs):
        return GraphSet(
            torch.tensor(x),
            torch.tensor(pairs, dtype=torch.int64).reshape(-1, 2).T,
            ends(torch.tensor([2])),
            ends(torch.tensor([len(pairs)])),
        )

    both = [[0, 1], [1, 0]]
    known = [one([[0.0], [1.0]], both), one([[1.0], [0.0]], both), one([[0.0], [1.0]], [])]
    assert len({graphs.hashes()[0] for graphs in known}) == 3
    assert one([[-0.0], [1.0]], both).hashes() == known[0].hashes()


def test_digests_see_everything(graphs):
    assert graphs.digest() == graphs.subset(np.arange(len(graphs))).digest()
    other = GraphSet(graphs.x.clone(), graphs.edges, graphs.node_ends, graphs.edge_ends)
    other.x[-1, -1] += 1
    swapped = graphs.subset(np.array([1, 0, *range(2, len(graphs))]))
    fewer = graphs.subset(np.arange(len(graphs) - 1))
    assert len({part.digest() for part in (graphs, other, swapped, fewer)}) == 4


def test_to_keeps_all(graphs):
    batch = graphs.take(torch.tensor(CHOSEN))
    assert singles(batch.to("cpu")) == singles(batch)
    assert batch.to("meta", non_blocking=True).x.device.type == "meta"
