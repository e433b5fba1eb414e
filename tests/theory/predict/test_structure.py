"""What is read of a graph, against the dense matrix."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.theory.graphs import MATCHED, REFERENCE, graphs
from tests.theory.predict.simulated import dense, units
from theory.graph import SimilarityGraph
from theory.kinds import paper_weights
from theory.params import GraphParameters, Levels, SixLevels
from theory.predict.structure import RANK, Structure, make, of_graph, recounted, stack
from theory.sweep import Points
from theory.worlds import add_noise

SIX = SixLevels(Levels(0.6, 0.4, 0.5), Levels(0.1, 0.15, 0.3), samples_per_class=7, classes=3, difficult=2)
FIELDS = ("counts", "copies", "own", "levels", "degrees", "row_degrees", "variance", "spike", "rank")


def easy_first(p: GraphParameters | SixLevels) -> np.ndarray:
    """Order of the nodes in which a class's easy ones come before its difficult ones."""
    inside = np.r_[p.n_d : p.n, : p.n_d]
    return np.concatenate([c * p.n + inside for c in range(p.r + 1)])


def matrix(p: GraphParameters | SixLevels) -> np.ndarray:
    order = easy_first(p)
    return p.weights.matrix(p)[np.ix_(order, order)]


@given(graphs())
def test_structure_is_the_dense_matrix(p):
    s = of_graph(p, 0.3)
    np.testing.assert_allclose(dense(s), matrix(p), atol=1e-14)
    degrees = np.repeat(s.degrees[0], s.counts[0].astype(int))
    np.testing.assert_allclose(np.tile(degrees, p.classes), SimilarityGraph(p).degrees()[easy_first(p)])
    np.testing.assert_array_equal(s.row_degrees, s.degrees)
    np.testing.assert_array_equal(s.totals, [[(p.n - p.n_d) * p.classes, p.n_d * p.classes]])
    assert s.nodes == p.nodes
    assert (s.variance == 0.09).all()
    assert s.spike == s.rank == 0


@pytest.mark.parametrize("n_d", [0, 2, 7])
def test_six_levels(n_d):
    p = replace(SIX, difficult=n_d)
    s = of_graph(p, 0.3)
    np.testing.assert_allclose(dense(s), matrix(p), atol=1e-14)
    np.testing.assert_allclose(s.degrees[0, s.counts[0] > 0], [x for x, n in zip(p.degrees, s.counts[0]) if n])  # noqa: B905


@pytest.mark.parametrize("p", [REFERENCE, MATCHED, SIX], ids=["block", "matched", "six levels"])
def test_blocks_are_the_matrix_between_unit_vectors(p):
    """A·u = Σ u′·(block + own) in each space."""
    s, weights = of_graph(p, 0.0), matrix(p)
    for u, own, block in zip(units(s), s.own[0], s.blocks[0], strict=True):
        np.testing.assert_allclose(weights @ u.T, u.T @ (block + np.diag(own)), atol=1e-14)


@pytest.mark.parametrize("space", [0, 1])
def test_matched_pairs_have_bridges(space):
    """Differences between two difficult samples of all classes alike, and of classes with opposite signs."""
    s, weights = of_graph(MATCHED, 0.0), matrix(MATCHED)
    first = int(s.counts[0, 0])
    x = np.zeros((MATCHED.classes, MATCHED.n))
    x[:, first : first + 2] = np.outer([[1, 1, 1], [1, -1, 0]][space], [1, -1])
    np.testing.assert_allclose(weights @ x.ravel(), s.own[0, space, 1] * x.ravel(), atol=1e-14)


@given(st.lists(graphs(), min_size=1, max_size=4), st.floats(0, 2), st.floats(0, 1))
def test_arrays_of_graphs_are_single_graphs(found, epsilon, correlated):
    pairing = found[0].pairing
    found = [replace(p, pairing=pairing) for p in found]
    columns = (
        np.array([float(getattr(p, name)) for p in found]) for name in ("alpha", "beta", "gamma", "n", "r", "n_d")
    )
    points = Points(*columns, pairing)
    levels = epsilon * (1 + np.arange(len(found)))
    batch = of_graph(points, levels, correlated)
    singles = [of_graph(p, level, correlated) for p, level in zip(found, levels, strict=True)]
    for field in FIELDS:
        np.testing.assert_allclose(getattr(batch, field), getattr(stack(singles), field), rtol=1e-13)
        for index, single in enumerate(singles):
            np.testing.assert_allclose(getattr(batch[index : index + 1], field), getattr(single, field), rtol=1e-13)


def test_one_graph_at_many_levels_of_noise():
    s = of_graph(REFERENCE, np.array([0.1, 0.2, 0.4]))
    np.testing.assert_allclose(s.variance[:, 0, 0], [0.01, 0.04, 0.16])
    assert s.counts.shape == (3, 2)
    assert (s.levels == s.levels[0]).all()


def test_other_weights_in_place_of_the_graph_s():
    w = paper_weights(0.387, 0.208, 0.208, "block")
    for field in FIELDS:
        np.testing.assert_allclose(
            getattr(of_graph(REFERENCE, 0.1, weights=w), field), getattr(of_graph(REFERENCE.clean(), 0.1), field)
        )


def test_noise_is_split_as_it_is_drawn():
    """Against the covariance of ``add_noise``: of low rank beside independent entries, together ε² a pair."""
    epsilon, correlated, nodes = 0.3, 0.4, 60
    s = of_graph(REFERENCE, epsilon, correlated)
    assert s.spike > 0
    assert s.rank == RANK
    np.testing.assert_allclose(s.variance + s.spike**2 * s.rank, epsilon**2)
    np.testing.assert_allclose(of_graph(REFERENCE, epsilon, 1.0).variance, 0)
    draws = []
    for seed in range(300):
        w = np.zeros((nodes, nodes), dtype=np.float32)
        add_noise(w, epsilon, seed, correlated)
        # w_ij·w_jk·w_ki: independent entries give 0, spike·ZZᵀ its cube's third cumulant, spike³·rank.
        draws.append(np.trace(w.astype(float) @ w @ w) / (nodes * (nodes - 1) * (nodes - 2)))
    error = np.std(draws) / np.sqrt(len(draws))
    assert np.mean(draws) == pytest.approx((s.spike**3 * s.rank).item(), abs=4 * error)
    assert 4 * error < 0.3 * s.spike.item() ** 3 * RANK


def test_fewer_nodes_of_the_same_weights():
    rest = recounted(of_graph(REFERENCE, 0.1), np.array([[6.0, 0.0]]))
    clean = of_graph(replace(REFERENCE, samples_per_class=6, difficult=0), 0.1)
    np.testing.assert_allclose(rest.degrees[0, 0], clean.degrees[0, 0])
    np.testing.assert_allclose(rest.row_degrees, rest.degrees)
    np.testing.assert_array_equal(rest.levels, of_graph(REFERENCE, 0.1).levels)


def test_structures_of_several_spaces_are_made_by_hand():
    s = make(np.array([[3.0, 2.0]]), np.ones((1, 1)), np.full((1, 1, 2), 0.5), np.full((1, 1, 2, 2), 0.2), 0.1)
    assert isinstance(s, Structure)
    np.testing.assert_allclose(np.repeat(s.degrees[0], [3, 2]), dense(s).sum(axis=0))
    np.testing.assert_allclose(dense(s), 0.2 + 0.5 * np.eye(5))
