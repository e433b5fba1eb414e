import itertools
import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.theory.graphs import REFERENCE, graphs
from theory import formulas
from theory.bounds import error_bounds
from theory.channel import Channel, Kind, largest_useful_beta, own_bounds, vacuous_labelling_error
from theory.checks import ParameterError
from theory.graph import SimilarityGraph
from theory.params import GraphParameters
from theory.spectrum import is_positive_semidefinite, largest_gamma

UNIFORM = {"easy", "difficult", "class", "everything", "difficult_group", "difficult_transversal"}
# Graphs beyond the reach of uniform cliques, m·g > 1 − α, yet positive semidefinite.
BEYOND = [
    GraphParameters(Fraction(9, 10), Fraction(1, 10), Fraction(1, 4), 2, 3, 1),
    GraphParameters(Fraction(9, 10), Fraction(1, 10), Fraction(19, 100), 4, 3, 2, "block"),
    GraphParameters(Fraction(9, 10), Fraction(1, 10), Fraction(4, 5), 3, 3, 3, "block"),
]


@st.composite
def realisable(draw) -> GraphParameters:
    """Exact graphs that are positive semidefinite, those on the edge included."""
    p = draw(graphs(exact=True))
    return p if is_positive_semidefinite(p) else replace(p, gamma=largest_gamma(p))


@st.composite
def graphs_with_width(draw) -> tuple[GraphParameters, int]:
    p = draw(graphs().filter(lambda p: p.n > 1 and is_positive_semidefinite(p)))
    return p, draw(st.integers(p.classes, p.nodes - 1))


def exact_weights(p: GraphParameters) -> np.ndarray:
    """The table of weights in the parameters' own number type."""
    weights = np.empty((p.nodes, p.nodes), dtype=object)
    for u, v in itertools.product(range(p.nodes), repeat=2):
        (i, k), (j, m) = divmod(u, p.n), divmod(v, p.n)
        paired = k < p.n_d and m < p.n_d and (p.pairing == "block" or k == m)
        weights[u, v] = 1 if u == v else p.alpha if i == j else p.gamma if paired else p.beta
    return weights


def natural_data(p: GraphParameters, kind: Kind) -> list[dict[int, Fraction]]:
    """Every natural datum of a kind as its density over the nodes, by enumeration."""
    everyone = range(p.classes)
    spans = [everyone] if kind.classes > 1 else [[i] for i in everyone]
    data = []
    for classes in spans:
        difficult = [range(p.n_d)] if kind.difficult.members > 1 or p.n_d < 2 else [[k] for k in range(p.n_d)]
        if not kind.difficult.members:
            difficult = [[]]
        easy = [range(p.n_d, p.n)]
        if not kind.easy.members:
            easy = [[]]
        elif kind.easy.members == 1:
            easy = [[k] for k in range(p.n_d, p.n)]
        if p.pairing == "matched":
            choices = [[chosen] * len(classes) for chosen in difficult]
        else:
            choices = itertools.product(difficult, repeat=len(classes))
        for chosen, rest in itertools.product(list(choices), easy):
            density = {}
            for i, members in zip(classes, chosen, strict=True):
                density |= {i * p.n + k: kind.difficult.density for k in members}
                density |= {i * p.n + k: kind.easy.density for k in rest}
            data.append(density)
    return data


def sum_of_natural_data(channel: Channel) -> np.ndarray:
    p = channel.parameters
    total = np.full((p.nodes, p.nodes), Fraction(0))
    for kind in channel.kinds:
        data = natural_data(p, kind)
        assert len(data) == kind.count
        for density in data:
            for (u, x), (v, y) in itertools.product(density.items(), repeat=2):
                total[u, v] += kind.weight / kind.count * x * y
    return total


def small(p: GraphParameters) -> bool:
    return p.nodes <= 16 and (p.pairing == "matched" or p.n_d**p.classes <= 81)


@given(realisable().filter(small))
def test_natural_data_sum_to_the_weights_exactly(p):
    assert (sum_of_natural_data(Channel(p)) == exact_weights(p)).all()


@pytest.mark.parametrize("p", BEYOND)
def test_graphs_beyond_uniform_cliques_are_still_sums_of_natural_data(p):
    assert p.neighbours * (p.gamma - p.beta) > 1 - p.alpha
    channel = Channel(p)
    assert "all_difficult" in {kind.name for kind in channel.kinds}
    assert (sum_of_natural_data(channel) == exact_weights(p)).all()


@given(graphs(exact=True).filter(lambda p: p.n_d > 0))
def test_largest_gamma_is_where_positive_semidefiniteness_ends(p):
    assert is_positive_semidefinite(p) == (p.gamma <= largest_gamma(p))


@given(graphs(exact=True))
def test_a_channel_exists_exactly_for_positive_semidefinite_graphs(p):
    if is_positive_semidefinite(p):
        assert all(kind.weight > 0 and kind.count > 0 for kind in Channel(p).kinds)
    else:
        with pytest.raises(ParameterError, match="above which no augmentation"):
            Channel(p)


@given(realisable().filter(lambda p: p.n_d > 0))
def test_uniform_cliques_suffice_exactly_up_to_the_own_similarity(p):
    names = {kind.name for kind in Channel(p).kinds}
    assert (names <= UNIFORM) == (p.neighbours * (p.gamma - p.beta) <= 1 - p.alpha)


@pytest.mark.parametrize("pairing", ["matched", "block"])
def test_natural_data_at_the_edge_of_realisability(pairing):
    """At m·g = 1 − α nothing of a difficult sample is its own."""
    gamma = Fraction(1, 2) if pairing == "matched" else Fraction(2, 5)
    p = GraphParameters(Fraction(4, 5), Fraction(3, 10), gamma, 5, 3, 2, pairing)
    assert p.neighbours * (p.gamma - p.beta) == 1 - p.alpha
    assert "difficult" not in {kind.name for kind in Channel(p).kinds}
    more = GraphParameters(p.alpha, p.beta, p.gamma + Fraction(1, 100), 5, 3, 2, pairing)
    assert is_positive_semidefinite(more) == (pairing == "block")


@given(realisable())
def test_labelling_error_of_the_natural_data_is_the_cross_class_edge_mass_exactly(p):
    channel = Channel(p)
    assert channel.labelling_error == formulas.labelling_error(p)
    c2, c1 = formulas.degrees(p)
    assert sum(kind.mass for kind in channel.kinds) == p.classes * (p.n_d * c1 + (p.n - p.n_d) * c2)


# --- sampling --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "p",
    [
        REFERENCE,
        GraphParameters(0.5, 0.2, 0.3, 3, 3, 2, "block"),
        GraphParameters(0.5, 0.2, 0.3, 2, 2, 0),
        GraphParameters(0.5, 0.2, 0.3, 2, 3, 2),
        *BEYOND,
    ],
)
def test_views_have_the_distribution_of_the_weights(p):
    size, rng = 200_000, np.random.default_rng(7)
    channel = Channel(p)
    data = channel.draw(size, rng)
    first, second = channel.augment(data, rng), channel.augment(data, rng)
    weights = SimilarityGraph(p).weights()
    expected = size * weights / weights.sum()
    counts = np.zeros_like(weights)
    np.add.at(counts, (first, second), 1)
    cells = weights.size
    statistic = ((counts - expected) ** 2 / expected).sum()
    assert abs(statistic - (cells - 1)) < 5 * math.sqrt(2 * (cells - 1))  # χ² has variance 2·(cells − 1)
    delta = float(formulas.labelling_error(p))
    error = math.sqrt(delta * (1 - delta) / size)
    assert abs(np.mean(first // p.n != data.label) - delta) < 5 * error
    assert abs(np.mean(first // p.n != second // p.n) - delta) < 5 * error
    assert abs(np.mean(data.label) - p.r / 2) < 5 * p.classes / math.sqrt(12 * size)


def test_views_of_one_datum_stay_in_its_support():
    p = GraphParameters(0.5, 0.2, 0.3, 6, 4, 3, "block")
    channel, rng = Channel(p), np.random.default_rng(0)
    data = channel.draw(2_000, rng)
    views = np.stack([channel.augment(data, rng) for _ in range(20)])
    for index, kind in enumerate(channel.kinds):
        seen = views[:, data.kind == index]
        distinct = np.array([len(set(column)) for column in seen.T])
        assert distinct.max() <= kind.classes * (kind.difficult.members + kind.easy.members)
        if kind.classes == 1:
            assert (seen // p.n == data.label[data.kind == index]).all()
        if kind.name == "difficult_transversal":
            assert distinct.min() > 1
            assert (seen % p.n < p.n_d).all()


# --- bounds with the graph's own labelling error ---------------------------------------------------


def test_reference_graph_is_far_inside_the_vacuous_region():
    bounds = own_bounds(REFERENCE, 3)
    assert bounds.delta == pytest.approx(0.474, abs=5e-4)
    assert bounds.printed == pytest.approx(5.9, abs=0.05)
    assert bounds.printed_is_vacuous


@given(graphs_with_width())
def test_printed_bound_is_the_one_of_the_bounds_module(case):
    p, dim = case
    bounds = own_bounds(p, dim)
    delta, exact = bounds.delta, error_bounds(p, dim, bounds.delta)["difficult"].eigenvalue_exact
    assert bounds.eigenvalue == exact
    assert bounds.printed == pytest.approx(4 * delta / (1 - exact) + 8 * delta)
    assert bounds.tight == pytest.approx(2 * delta / (1 - exact) + 8 * delta)
    assert bounds.printed_is_vacuous == (bounds.printed > 1)
    if abs(bounds.printed - 1) > 1e-9:
        assert bounds.printed_is_vacuous == (delta > vacuous_labelling_error(exact))


@given(graphs_with_width())
def test_every_graph_with_a_labelling_error_above_a_twelfth_is_vacuous(case):
    bounds = own_bounds(*case)
    if bounds.delta > 1 / 12 and bounds.eigenvalue >= 0:
        assert bounds.printed_is_vacuous


@given(graphs_with_width())
def test_the_first_term_without_delta_bounds_the_labels_distance_from_the_features(case):
    """The spectral argument: one-hot labels lie within φ/(1−λ_{k+1}) of the k leading eigenvectors."""
    p, dim = case
    graph, bounds = SimilarityGraph(p), own_bounds(p, dim)
    features = np.linalg.eigh(graph.normalized_adjacency())[1][:, -dim:]
    degrees = graph.degrees()
    labels = np.repeat(np.eye(p.classes), p.n, axis=0) * np.sqrt(degrees / degrees.sum())[:, None]
    distance = ((labels - features @ (features.T @ labels)) ** 2).sum()
    assert 2 * distance + 8 * bounds.delta <= bounds.tight + 1e-12


def test_vacuous_labelling_error_is_exact_for_fractions():
    for eigenvalue in (Fraction(0), Fraction(1, 3), Fraction(9, 10)):
        assert formulas.probing_bound(eigenvalue, vacuous_labelling_error(eigenvalue)) == 1
    assert vacuous_labelling_error(Fraction(0)) == Fraction(1, 12)


@given(st.floats(0.05, 0.95), st.integers(2, 1000), st.integers(1, 20))
def test_largest_useful_beta_is_where_the_clean_bound_reaches_one(alpha, n, r):
    beta = largest_useful_beta(alpha, n, r)

    def printed(beta):
        return own_bounds(GraphParameters(alpha, beta, beta, n, r + 1, 0), r + 1).printed

    assert 0 < beta < alpha
    assert printed(beta) == pytest.approx(1, rel=1e-10)
    assert printed(beta * 0.99) < 1 < printed(min(beta * 1.01, alpha * 0.999))


def test_largest_useful_beta_of_many_samples_is_an_eleventh():
    alpha, r = np.array([0.3, 0.9]), 9
    np.testing.assert_allclose(largest_useful_beta(alpha, 10**12, r, np.sqrt), alpha / (11 * r), rtol=1e-9)


@pytest.mark.parametrize("dim", [2, 24])
def test_dimension_is_checked(dim):
    with pytest.raises(ParameterError, match=rf"dim = {dim} violates an integer in \[3, 23\]"):
        own_bounds(REFERENCE, dim)
