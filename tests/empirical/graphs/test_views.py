"""GraphCL's views, each graph of a batch against plain loops over it."""

from collections import Counter
from itertools import combinations

import pytest
import torch

from empirical.graphs import VIEWS, GraphBatch, GraphView, read_graphs
from empirical.graphs.views import KINDS, perturb_edges, take_subgraph
from tests.empirical.graphs.test_sets import singles
from theory.checks import ParameterError

pytest.importorskip("torch_geometric")


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def batch(source):
    """24 graphs whose nodes have their numbers as features too."""
    found = read_graphs(source).graphs.take(torch.arange(24))
    number = torch.arange(len(found.x)) - found.starts[found.graph]
    return GraphBatch(torch.column_stack([number.float(), found.x]), found.edges, found.graph, found.sizes)


def small(pairs, nodes, copies=1):
    """Some copies of one graph."""
    edges = torch.tensor([*pairs, *[(b, a) for a, b in pairs]], dtype=torch.int64).reshape(-1, 2).T
    numbers = torch.arange(copies)
    return GraphBatch(
        torch.arange(nodes).float().repeat(copies)[:, None],
        torch.cat([edges + nodes * i for i in numbers], dim=1),
        numbers.repeat_interleave(nodes),
        torch.full((copies,), nodes),
    )


def connected(nodes, pairs):
    reached, before = {nodes[0]}, set()
    while reached != before:
        before = set(reached)
        reached |= {b for a, b in pairs if a in before}
    return reached == set(nodes)


def induced(before, kept):
    """What is left of a graph with these nodes, in the order of the original."""
    x, pairs = before
    place = {v: i for i, v in enumerate(kept)}
    return [x[v] for v in kept], [(place[a], place[b]) for a, b in pairs if a in place and b in place]


@pytest.mark.parametrize("ratio", [0.0, 0.2, 0.5, 0.95])
@pytest.mark.parametrize("name", ["nodes", "subgraph"])
def test_parts_of_nodes(batch, name, ratio):
    for before, after in zip(singles(batch), singles(GraphView(name, ratio)(batch, seeded())), strict=True):
        size = len(before[0])
        kept = [int(row[0]) for row in after[0]]
        assert len(kept) == size - int(ratio * size) > 0
        assert after == induced(before, kept)
        if name == "subgraph":
            assert connected(range(len(kept)), after[1])


@pytest.mark.parametrize("ratio", [0.0, 0.2, 0.5, 0.95])
def test_masked_attributes(batch, ratio):
    for before, after in zip(singles(batch), singles(GraphView("attributes", ratio)(batch, seeded())), strict=True):
        assert after[1] == before[1]
        masked = [i for i, row in enumerate(after[0]) if not any(row)]
        assert len(masked) == int(ratio * len(before[0]))
        assert all(row == before[0][i] for i, row in enumerate(after[0]) if i not in masked)


@pytest.mark.parametrize("ratio", [0.0, 0.2, 0.5, 0.95])
def test_perturbed_edges(batch, ratio):
    for before, after in zip(singles(batch), singles(GraphView("edges", ratio)(batch, seeded())), strict=True):
        assert after[0] == before[0]
        old, new = ({frozenset(pair) for pair in pairs} for pairs in (before[1], after[1]))
        assert len(after[1]) == len(set(after[1])) == 2 * len(new)
        assert all(len(edge) == 2 for edge in new)
        changed = int(ratio * len(old))
        assert len(old - new) == changed
        assert len(new - old) <= changed


def test_new_edges_are_uniform_and_never_old():
    path, copies = [(0, 1), (1, 2), (2, 3), (3, 4)], 6_000
    before = small(path, 5, copies)
    after = perturb_edges(before, torch.ones(copies, dtype=torch.bool), 0.25, seeded())
    lost, found = Counter(), Counter()
    for _, pairs in singles(after):
        edges = {(a, b) for a, b in pairs if a < b}
        lost.update(set(path) - edges)
        found.update(edges - set(path))
    assert sum(lost.values()) == copies
    assert set(found) == set(combinations(range(5), 2)) - set(path)
    for counts, share in ((lost, 1 / 4), (found, 1 / 10)):
        for count in counts.values():
            assert abs(count - copies * share) < 5 * (copies * share * (1 - share)) ** 0.5


def grown(neighbours, size):
    """Probability of each part of ``size`` nodes that begins anywhere and grows by a uniformly drawn neighbour."""
    parts = Counter({frozenset([v]): 1 / len(neighbours) for v in neighbours})
    for _ in range(size - 1):
        larger = Counter()
        for part, probability in parts.items():
            border = {u for v in part for u in neighbours[v]} - part
            for u in border:
                larger[part | {u}] += probability / len(border)
        parts = larger
    return parts


def test_subgraphs_grow_by_uniform_neighbours():
    """A star with a tail, where drawing edges in place of neighbours, or weights of edges, gives other parts."""
    pairs, nodes, copies = [(0, 1), (0, 2), (0, 3), (3, 4), (1, 2), (2, 4)], 5, 20_000
    neighbours = {v: {b for a, b in [*pairs, *[(b, a) for a, b in pairs]] if a == v} for v in range(nodes)}
    after = take_subgraph(small(pairs, nodes, copies), torch.ones(copies, dtype=torch.bool), 0.4, seeded())
    found = Counter(frozenset(row) for row in after.x.view(copies, 3).int().tolist())
    expected = grown(neighbours, 3)
    assert set(found) == set(expected)
    for part, share in expected.items():
        assert abs(found[part] - copies * share) < 5 * (copies * share * (1 - share)) ** 0.5


def test_a_subgraph_ends_with_its_component():
    batch = small([(0, 1), (2, 3)], 4, 50)
    after = take_subgraph(batch, torch.ones(50, dtype=torch.bool), 0.2, seeded())
    assert {tuple(row) for row in after.x.view(50, 2).int().tolist()} == {(0, 1), (2, 3)}
    assert (after.sizes == 2).all()


def test_only_the_chosen_change(batch):
    chosen = torch.arange(len(batch)) % 3 == 0
    before = [(rows, set(pairs)) for rows, pairs in singles(batch)]
    for kind in KINDS.values():
        after = [(rows, set(pairs)) for rows, pairs in singles(kind(batch, chosen, 0.5, seeded()))]
        assert [one != other for one, other in zip(before, after, strict=True)] == chosen.tolist()


def test_views_of_isolated_nodes_and_single_ones():
    for batch in (small([], 4, 3), small([], 1, 2)):
        for name in VIEWS:
            after = GraphView(name, 0.5)(batch, seeded())
            assert len(after) == len(batch)
            assert (after.sizes >= 1).all()
            assert after.edges.shape == (2, 0)


@pytest.mark.parametrize("name", VIEWS)
def test_a_view_depends_on_its_generator_alone(batch, name):
    view = GraphView(name)
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = singles(view(batch, seeded(7)))
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    assert singles(view(batch, seeded(7))) == first
    assert (singles(view(batch, seeded(8))) == first) == (name == "original")
    generator = seeded(7)
    assert singles(view(batch, generator)) == first
    assert (singles(view(batch, generator)) == first) == (name == "original")


@pytest.mark.parametrize("name", ["random2", "random3", "random4"])
def test_a_kind_is_drawn_for_each_graph(name):
    copies = 4_000
    path = [(i, i + 1) for i in range(9)]
    before = small(path, 10, copies)
    before.x.add_(1)
    after = GraphView(name)(before, seeded())
    cut = after.sizes == 8
    pairs = torch.bincount(after.graph[after.edges[0]], minlength=copies) // 2
    pieces = cut & (pairs == 7)  # a path of 8: every subgraph, and dropped nodes at the ends (3 of 45)
    masked = torch.bincount(after.graph, weights=(after.x[:, 0] == 0).double(), minlength=copies) == 2
    kept = (after.sizes == 10) & ~masked
    share = 1 / len(VIEWS[name])
    expected = {"cut": 2 * share, "pieces": share * (1 + 3 / 45)}
    expected |= {"masked": share * ("attributes" in VIEWS[name]), "kept": share * ("edges" in VIEWS[name])}
    for key, found in (("cut", cut), ("pieces", pieces), ("masked", masked), ("kept", kept)):
        assert abs(float(found.double().mean()) - expected[key]) < 0.04, key


def test_wrong_options():
    with pytest.raises(ParameterError, match="view = random5 violates one of original, .* .did you mean random"):
        GraphView("random5")
    for ratio in (1, 1.5, -0.1, float("nan"), "0.2", True):
        with pytest.raises(ParameterError, match="violates 0 <= ratio < 1"):
            GraphView("nodes", ratio)
