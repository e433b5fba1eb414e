import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.theory.graphs import REFERENCE, graphs
from theory.graph import SimilarityGraph
from theory.params import GraphParameters


def naive_weights(p: GraphParameters) -> np.ndarray:
    """The table of weights, pair by pair."""
    weights = np.empty((p.nodes, p.nodes))
    for u in range(p.nodes):
        for v in range(p.nodes):
            (i, k), (j, m) = divmod(u, p.n), divmod(v, p.n)
            both = k < p.n_d and m < p.n_d
            if u == v:
                weights[u, v] = 1
            elif i == j:
                weights[u, v] = p.alpha
            elif (p.pairing == "any" and (k < p.n_d or m < p.n_d)) or (
                both and (p.pairing == "block" or (p.pairing == "matched" and k == m))
            ):
                weights[u, v] = p.gamma
            else:
                weights[u, v] = p.beta
    return weights


@given(graphs())
def test_weights_degrees_and_adjacency_agree_with_the_definition(p):
    graph, weights = SimilarityGraph(p), naive_weights(p)
    np.testing.assert_array_equal(graph.weights(), weights)
    np.testing.assert_allclose(graph.degrees(), weights.sum(axis=1), rtol=1e-14)
    scale = np.diag(weights.sum(axis=1) ** -0.5)
    np.testing.assert_allclose(graph.normalized_adjacency(), scale @ weights @ scale, atol=1e-15)


@given(graphs(), st.integers(0, 2**32 - 1))
def test_operator_equals_the_dense_matrix(p, seed):
    graph = SimilarityGraph(p)
    vectors = np.random.default_rng(seed).standard_normal((p.nodes, 3))
    operator, dense = graph.linear_operator(), graph.normalized_adjacency()
    np.testing.assert_allclose(operator @ vectors, dense @ vectors, atol=1e-12)
    np.testing.assert_allclose(operator @ vectors[:, 0], dense @ vectors[:, 0], atol=1e-12)
    np.testing.assert_allclose(operator.T @ vectors, dense @ vectors, atol=1e-12)


def test_operator_leaves_its_argument_alone():
    x = np.ones(REFERENCE.nodes)
    SimilarityGraph(REFERENCE).linear_operator() @ x
    assert (x == 1).all()


def test_a_large_graph_never_becomes_a_matrix():
    p = GraphParameters(0.5, 0.05, 0.2, samples_per_class=100_000, classes=10, difficult=8_000)
    graph = SimilarityGraph(p)
    # √degree is the eigenvector of the eigenvalue 1.
    vector = np.sqrt(graph.degrees())
    np.testing.assert_allclose(graph.linear_operator() @ vector, vector, rtol=1e-10)
