import itertools
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.theory.graphs import REFERENCE, graphs
from theory import exact, formulas
from theory.augmentation import (
    Kind,
    labelling_error,
    labelling_errors,
    labels,
    least_labelling_error,
    natural_data,
)
from theory.checks import ParameterError
from theory.graph import SimilarityGraph
from theory.params import GraphParameters
from theory.sharper import even_labels
from theory.spectrum import is_positive_semidefinite, largest_gamma

UNIFORM = {"easy", "difficult", "class", "everything", "difficult_group", "difficult_transversal"}
# Graphs beyond the reach of uniform cliques, m·g > 1 − α, yet positive semidefinite.
BEYOND = [
    GraphParameters(Fraction(9, 10), Fraction(1, 10), Fraction(1, 4), 2, 3, 1),
    GraphParameters(Fraction(9, 10), Fraction(1, 10), Fraction(19, 100), 4, 3, 2, "block"),
    GraphParameters(Fraction(9, 10), Fraction(1, 10), Fraction(4, 5), 3, 3, 3, "block"),
]


def constructed() -> st.SearchStrategy[GraphParameters]:
    """Exact graphs of the pairings that have natural data."""
    return graphs(exact=True).filter(lambda p: p.pairing != "any" or p.is_clean)


@st.composite
def realisable(draw) -> GraphParameters:
    """Exact graphs that are positive semidefinite, those on the edge included."""
    p = draw(constructed())
    return p if is_positive_semidefinite(p) else replace(p, gamma=largest_gamma(p))


def exact_weights(p: GraphParameters) -> np.ndarray:
    """The table of weights in the parameters' own number type."""
    weights = np.empty((p.nodes, p.nodes), dtype=object)
    for u, v in itertools.product(range(p.nodes), repeat=2):
        (i, k), (j, m) = divmod(u, p.n), divmod(v, p.n)
        paired = k < p.n_d and m < p.n_d and (p.pairing != "matched" or k == m)
        weights[u, v] = 1 if u == v else p.alpha if i == j else p.gamma if paired else p.beta
    return weights


def enumerated(p: GraphParameters, kind: Kind) -> list[dict[int, Fraction]]:
    """Every natural datum of a kind as its density over the nodes."""
    spanned = range(p.classes)
    thinned = (kind.span - 1) / Fraction(p.r)
    if kind.span == 1:
        densities = [{i: 1} for i in spanned]
    elif kind.span == p.classes:
        densities = [dict.fromkeys(spanned, 1)]
    else:
        densities = [{i: 1 if i == label else thinned for i in spanned} for label in spanned]
    data = []
    for classes in densities:
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
            for (i, scale), members in zip(classes.items(), chosen, strict=True):
                density |= {i * p.n + k: kind.difficult.density * scale for k in members}
                density |= {i * p.n + k: kind.easy.density * scale for k in rest}
            data.append(density)
    return data


def sum_of(p: GraphParameters, kinds: tuple[Kind, ...]) -> np.ndarray:
    total = np.full((p.nodes, p.nodes), Fraction(0))
    for kind in kinds:  # each kind's roots cancel by themselves
        data, part = enumerated(p, kind), np.full((p.nodes, p.nodes), Fraction(0))
        assert len(data) == kind.count
        for density in data:
            for (u, x), (v, y) in itertools.product(density.items(), repeat=2):
                part[u, v] += kind.weight / kind.count * x * y
        total += part
    return total


def small(p: GraphParameters) -> bool:
    return p.nodes <= 12 and (p.pairing == "matched" or p.n_d**p.classes <= 32)


@given(realisable().filter(small), st.sampled_from([0, Fraction(1, 3), 1]))
def test_natural_data_sum_to_the_weights_exactly(p, tilt):
    """Even, mixed and tilted data: one graph, another labelling error each."""
    assert (sum_of(p, natural_data(p, tilt, exact.sqrt)) == exact_weights(p)).all()


@pytest.mark.parametrize("tilt", [0, 1])
@pytest.mark.parametrize("p", BEYOND)
def test_graphs_beyond_uniform_cliques_are_still_sums_of_natural_data(p, tilt):
    assert p.neighbours * (p.gamma - p.beta) > 1 - p.alpha
    kinds = natural_data(p, tilt, exact.sqrt)
    assert "all_difficult" in {kind.name for kind in kinds}
    assert (sum_of(p, kinds) == exact_weights(p)).all()


@given(constructed().filter(lambda p: p.n_d > 0 and p.pairing != "clean"))
def test_largest_gamma_is_where_positive_semidefiniteness_ends(p):
    assert is_positive_semidefinite(p) == (p.gamma <= largest_gamma(p))


@given(constructed())
def test_natural_data_exist_exactly_for_positive_semidefinite_graphs(p):
    if is_positive_semidefinite(p):
        assert all(kind.weight > 0 and kind.count > 0 for kind in natural_data(p))
    else:
        with pytest.raises(ParameterError, match="above which no augmentation"):
            natural_data(p)


@given(realisable().filter(lambda p: p.n_d > 0))
def test_uniform_cliques_suffice_exactly_up_to_the_own_similarity(p):
    names = {kind.name for kind in natural_data(p)}
    assert (names <= UNIFORM) == (p.neighbours * (p.gamma - p.beta) <= 1 - p.alpha)


@pytest.mark.parametrize("pairing", ["matched", "block"])
def test_natural_data_at_the_edge_of_realisability(pairing):
    """At m·g = 1 − α nothing of a difficult sample is its own."""
    gamma = Fraction(1, 2) if pairing == "matched" else Fraction(2, 5)
    p = GraphParameters(Fraction(4, 5), Fraction(3, 10), gamma, 5, 3, 2, pairing)
    assert p.neighbours * (p.gamma - p.beta) == 1 - p.alpha
    assert "difficult" not in {kind.name for kind in natural_data(p)}
    more = GraphParameters(p.alpha, p.beta, p.gamma + Fraction(1, 100), 5, 3, 2, pairing)
    assert is_positive_semidefinite(more) == (pairing == "block")


@given(realisable())
def test_even_data_have_the_cross_class_edge_mass_as_labelling_error_exactly(p):
    data = natural_data(p)
    assert labelling_error(data) == formulas.cross_mass(p)
    easy, difficult = p.degrees
    assert sum(kind.mass for kind in data) == p.classes * (p.n_d * difficult + (p.n - p.n_d) * easy)
    found, expected = labels(data), even_labels(p)
    assert found.easy == expected.easy or p.n_d == p.n
    assert found.difficult == expected.difficult or p.n_d == 0


# --- the labelling error is an interval ------------------------------------------------------------


def test_tilted_data_by_hand():
    """Two classes of one sample, (u − s)² = 1/4 and (u + s)² = 9/16: u = 5/8, s = 1/8, and 1 − α of each its own."""
    p = GraphParameters(Fraction(13, 32), Fraction(5, 32), Fraction(5, 32), 1, 2, 0)
    data = {kind.name: kind for kind in natural_data(p, 1, exact.sqrt)}
    assert set(data) == {"easy", "tilted_everything"}
    assert data["tilted_everything"].weight == 2 * Fraction(5, 8) ** 2
    assert data["tilted_everything"].span == 1 + Fraction(1, 5)
    found = labelling_errors(p, exact.sqrt)
    assert found.most == Fraction(5, 32) / Fraction(37, 32)
    assert found.tilted == Fraction(1, 6) * 2 * Fraction(9, 16) / (2 * Fraction(37, 32))


@given(realisable(), st.floats(0, 1))
def test_the_interval_and_what_fills_it(p, tilt):
    least, tilted, most = labelling_errors(p)
    rounding = 1e-12
    assert most / 2 - rounding <= least <= tilted + rounding
    assert tilted <= most + rounding
    expected = (1 - tilt) * float(most) + tilt * float(tilted)
    assert labelling_error(natural_data(p, tilt)) == pytest.approx(expected, abs=1e-12)


@given(st.integers(0, 2**32 - 1))
def test_no_augmentation_leaves_the_interval(seed):
    """Any natural data, each with the label of most of its views; φ is the chance that two views differ in class."""
    rng = np.random.default_rng(seed)
    classes, data = int(rng.integers(2, 6)), int(rng.integers(1, 12))
    shares = rng.dirichlet(np.full(classes, rng.choice([0.1, 1.0, 10.0])), size=data)
    mass = rng.dirichlet(np.ones(data))
    cross_mass = sum(mass[x] * (1 - sum(s * s for s in shares[x])) for x in range(data))
    delta = sum(mass[x] * (1 - max(shares[x])) for x in range(data))
    least = least_labelling_error(cross_mass, classes - 1)
    assert cross_mass / 2 - 1e-12 <= least <= delta + 1e-12
    assert delta <= cross_mass + 1e-12


@pytest.mark.parametrize("classes", [2, 3, 7])
def test_equally_tilted_data_have_the_least_labelling_error(classes):
    r, delta = classes - 1, Fraction(1, 5)
    cross_mass = 1 - (1 - delta) ** 2 - delta**2 / r
    assert least_labelling_error(cross_mass, r, exact.sqrt) == delta
    assert least_labelling_error(cross_mass + Fraction(1, 100), r) > delta


@given(graphs(clean=True))
def test_on_clean_graphs_the_square_root_reaches_the_least(p):
    """Its columns are natural data: A = √A·√A without a negative entry, and all columns are tilted alike."""
    values, vectors = np.linalg.eigh(SimilarityGraph(p).weights())
    root = (vectors * np.sqrt(values)) @ vectors.T
    assert root.min() > -1e-12
    own = np.arange(p.nodes)[:, None] // p.n == np.arange(p.nodes) // p.n
    delta = 1 - (root.sum(axis=0) @ (root * own).sum(axis=0)) / (root.sum(axis=0) ** 2).sum()
    assert delta == pytest.approx(float(labelling_errors(p).least), abs=1e-12)


def test_reference_graph():
    least, tilted, most = labelling_errors(REFERENCE)
    assert (round(least, 3), round(tilted, 3), round(most, 3)) == (0.310, 0.322, 0.475)


def test_graphs_without_even_data_are_said():
    p = replace(REFERENCE, pairing="any")
    assert labelling_errors(p).tilted is None
    with pytest.raises(ParameterError, match=r"pairing = any violates block, matched or clean \(theory.factor"):
        natural_data(p)
    assert labelling_errors(GraphParameters(0.9, 0.1, 0.8, 8, 3, 4)).tilted is None
    with pytest.raises(ParameterError, match="tilt = 2 violates"):
        natural_data(REFERENCE, 2)


def test_a_million_classes_take_no_time():
    found = labelling_errors(GraphParameters(0.5, 1e-8, 1.1e-8, 5000, 10**6, 400))
    assert found.tilted == pytest.approx(found.least, rel=1e-3)
