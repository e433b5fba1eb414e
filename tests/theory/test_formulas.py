import math

import numpy as np
import pytest
from hypothesis import assume, given

from tests.theory.graphs import REFERENCE, graphs
from theory import formulas
from theory.graph import SimilarityGraph
from theory.kinds import PerKind, degrees, paper_weights
from theory.params import GraphParameters


def per_pair(p: GraphParameters, table: PerKind) -> np.ndarray:
    """A remedy's values pair by pair, following the paper's case distinction."""
    out = np.empty((p.nodes, p.nodes))
    for u in range(p.nodes):
        for v in range(p.nodes):
            (i, k), (j, m) = divmod(u, p.n), divmod(v, p.n)
            hard = (k < p.n_d) + (m < p.n_d)
            if hard == 0:
                off_diagonal = table.same_class_both_easy if i == j else table.different_class_both_easy
                out[u, v] = table.easy_diagonal if u == v else off_diagonal
            elif u == v:
                out[u, v] = table.difficult_diagonal
            elif hard == 2 and i == j:
                out[u, v] = table.same_class_both_difficult
            elif hard == 2:
                paired = p.pairing != "matched" or k == m
                out[u, v] = table.paired if paired else table.unpaired_both_difficult
            else:
                out[u, v] = table.same_class_one_difficult if i == j else table.different_class_one_difficult
    return out


@given(graphs())
def test_margins_turn_the_graph_into_the_clean_one(p):
    graph, clean = SimilarityGraph(p), SimilarityGraph(p.clean())
    margins = per_pair(p, formulas.margins(p, math.sqrt))
    root = np.sqrt(graph.degrees())
    corrected = graph.normalized_adjacency() - margins * root[:, None] * root
    np.testing.assert_allclose(corrected, clean.normalized_adjacency(), atol=1e-13)


@given(graphs())
def test_temperatures_turn_the_graph_into_the_clean_one(p):
    assume(p.gamma > 0)
    factors = per_pair(p, formulas.temperatures(p, math.sqrt))
    corrected = factors * SimilarityGraph(p).normalized_adjacency()
    np.testing.assert_allclose(corrected, SimilarityGraph(p.clean()).normalized_adjacency(), atol=1e-13)


@given(graphs())
def test_cross_mass_is_that_of_the_edges_between_classes(p):
    weights = SimilarityGraph(p).weights()
    labels = np.repeat(np.arange(p.classes), p.n)
    cross = weights[labels[:, None] != labels].sum() / weights.sum()
    assert formulas.cross_mass(p) == pytest.approx(cross, abs=1e-12)


def test_reference_cross_mass():
    assert formulas.cross_mass(REFERENCE) == pytest.approx(0.475, abs=5e-4)


@given(graphs(exact=True))
def test_remedy_ranges(p):
    sigma = formulas.margin_sigma(p)
    assert 0 <= sigma <= p.gamma - p.beta or p.is_clean
    if p.gamma > 0:
        assert 0 <= formulas.temperature_rho(p) <= 1 or p.is_clean
    if p.beta == p.gamma > 0:
        assert sigma == 0
        assert formulas.temperature_rho(p) == 1


def test_excess_does_not_cancel():
    difference = formulas.probing_bound(0.5, 0.1) - formulas.probing_bound(0.25, 0.1)
    assert formulas.probing_excess(0.5, 0.25, 0.1) == pytest.approx(difference, rel=1e-12)
    assert formulas.probing_excess(1e-4 + 1e-18, 1e-4, 0.01) == pytest.approx(0, abs=1e-17)


def test_formulas_broadcast_over_arrays():
    class Arrays:
        alpha, beta, gamma = np.array([0.4, 0.5]), np.array([0.1, 0.05]), np.array([0.2, 0.2])
        n, r, n_d, neighbours = 50, 3, 5, 1
        weights = paper_weights(alpha, beta, gamma, "matched")
        degrees = degrees(weights, n, r, n_d)

    for index in range(2):
        p = GraphParameters(Arrays.alpha[index], Arrays.beta[index], Arrays.gamma[index], 50, 4, 5, "matched")
        assert formulas.bridge(Arrays)[index] == pytest.approx(formulas.bridge(p), rel=1e-14)
        assert formulas.class_modes(Arrays, np.sqrt)[0][index] == pytest.approx(
            formulas.class_modes(p, math.sqrt)[0], rel=1e-14
        )
