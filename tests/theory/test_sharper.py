import itertools
import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.theory.graphs import MATCHED, REFERENCE, graphs
from theory import formulas
from theory.augmentation import Labels, labelling_error, labels, natural_data
from theory.bounds import error_bounds
from theory.checks import ParameterError
from theory.graph import SimilarityGraph
from theory.params import GraphParameters, Levels, SixLevels
from theory.sharper import (
    comparison,
    dense_probe,
    dense_spread,
    even_labels,
    flipped_labels,
    sharper_bounds,
    spread,
)
from theory.spectrum import is_positive_semidefinite

shares = st.fractions(0, 1, max_denominator=12)


@st.composite
def six_levels(draw) -> SixLevels:
    """Weights of any order, so that an easy sample may be more like the difficult ones of other classes."""
    levels = [Levels(*(draw(st.integers(0, 11)) / 12 for _ in range(3))) for _ in range(2)]
    n = draw(st.integers(1, 6))
    return SixLevels(*levels, n, draw(st.integers(2, 4)), draw(st.integers(0, n)))


@st.composite
def labelled(draw, exact=False) -> tuple[GraphParameters, Labels]:
    p = draw(graphs(exact=exact) if exact else graphs() | six_levels())
    given_labels = Labels(draw(shares), draw(shares))
    if not exact:
        given_labels = Labels(*map(float, given_labels))
    return p, draw(st.sampled_from([given_labels, even_labels(p)]))


def probabilities(p, of: Labels) -> np.ndarray:
    """p(x) for every node, by the definition of ``Labels``."""
    table = np.empty((p.nodes, p.classes), dtype=object)
    for node, label in itertools.product(range(p.nodes), range(p.classes)):
        own = of.difficult if node % p.n < p.n_d else of.easy
        table[node, label] = own if node // p.n == label else (1 - own) / p.r
    return table


def weights(p) -> np.ndarray:
    return SimilarityGraph(p).weights()


# --- how labels lie in a graph -----------------------------------------------------------------------


def naive_spread(w, p):
    """δ, G and Dir, as they are defined."""
    nodes, classes = p.shape
    total = sum(w[x, y] for x, y in itertools.product(range(nodes), repeat=2))
    views = [sum(w[x, y] for y in range(nodes)) / total for x in range(nodes)]
    delta = 1 - sum(views[x] * max(p[x]) for x in range(nodes))
    noise = 1 - sum(views[x] * sum(p[x, i] ** 2 for i in range(classes)) for x in range(nodes))
    distance = 0
    for x, y in itertools.product(range(nodes), repeat=2):
        distance += w[x, y] / total * sum((p[x, i] - p[y, i]) ** 2 for i in range(classes)) / 2
    return delta, noise, distance


@given(labelled(exact=True).filter(lambda case: case[0].nodes <= 8 and case[0].pairing != "matched"))
def test_closed_forms_are_the_definitions_exactly(case):
    p, of = case
    sample, label = np.arange(p.nodes) % p.n, np.arange(p.nodes) // p.n
    w = np.empty((p.nodes, p.nodes), dtype=object)
    for x, y in itertools.product(range(p.nodes), repeat=2):
        difficult = int(sample[x] < p.n_d) + int(sample[y] < p.n_d)
        joined = difficult == 2 or (difficult == 1 and p.pairing == "any")
        across = p.gamma if joined and p.pairing != "clean" else p.beta
        w[x, y] = Fraction(1) if x == y else p.alpha if label[x] == label[y] else across
    assert tuple(spread(p, of)) == naive_spread(w, probabilities(p, of))


@given(labelled())
def test_closed_forms_are_the_dense_ones(case):
    p, of = case
    found, dense = spread(p, of), dense_spread(weights(p), probabilities(p, of).astype(float))
    np.testing.assert_allclose(found, dense, atol=1e-12, rtol=0)


@given(labelled().filter(lambda case: case[0].nodes <= 6))
def test_dense_forms_are_the_definitions(case):
    p, of = case
    table = probabilities(p, of).astype(float)
    np.testing.assert_allclose(dense_spread(weights(p), table), naive_spread(weights(p), table), atol=1e-12, rtol=0)


@given(graphs(exact=True, clean=True), shares)
def test_equal_degrees_have_the_short_form(p, flipped):
    """Dir = φ(1 − δ(r+1)/r)², with δ = φ for even data, and G = 1 − (1−δ)² − δ²/r."""
    r, cross_mass = p.r, formulas.cross_mass(p)
    for of, delta in ((flipped_labels(flipped), flipped), (even_labels(p), cross_mass)):
        found = spread(p, of)
        assert found.noise == 1 - (1 - delta) ** 2 - delta * delta / r
        assert found.dirichlet == cross_mass * (1 - delta * Fraction(r + 1, r)) ** 2
        assert found.delta == min(delta, 1 - delta / r)


@given(graphs(exact=True).filter(lambda p: p.pairing != "any" and is_positive_semidefinite(p)), st.floats(0, 1))
def test_the_labels_of_natural_data_have_their_labelling_error(p, tilt):
    data = natural_data(p, tilt)
    assert spread(p, labels(data)).delta == pytest.approx(float(labelling_error(data)), abs=1e-12)


# --- the probe's exact error -----------------------------------------------------------------------


@settings(max_examples=400)
@given(labelled(), st.integers(1, 30))
def test_the_exact_error_is_the_dense_probes(case, dim):
    p, of = case
    assume(dim < p.nodes)
    found = sharper_bounds(p, dim, of)
    probe = dense_probe(weights(p), probabilities(p, of).astype(float), dim)
    if found.error is None:
        assert probe.gap < 1e-12
    else:
        assert found.error == pytest.approx(probe.error, abs=1e-12)
    assert max(found.eigenvalue, 0) == pytest.approx(probe.eigenvalue, abs=1e-12)


@given(labelled().filter(lambda case: case[0].nodes > 2), st.data())
def test_the_probe_is_the_weighted_least_squares_fit_with_intercept(case, data):
    p, of = case
    w, table = weights(p), probabilities(p, of).astype(float)
    dim = data.draw(st.integers(1, p.nodes - 1))
    views = w.sum(axis=1) / w.sum()
    values, vectors = np.linalg.eigh(w / np.sqrt(np.outer(w.sum(axis=1), w.sum(axis=1))))
    kept = [v for value, v in list(zip(values, vectors.T, strict=True))[::-1][:dim] if value > 1e-12]
    assume(values[-1] - values[-2] > 1e-9)  # else the trivial mode need not be a feature
    assume(values[-dim] - values[-dim - 1] > 1e-9)  # else the features are not unique
    features = np.column_stack([np.ones(p.nodes), *(v / np.sqrt(views) for v in kept)])
    scale = np.sqrt(views)[:, None]
    fit = features @ np.linalg.lstsq(scale * features, scale * table, rcond=1e-10)[0]  # the constant is there twice
    np.testing.assert_allclose(dense_probe(w, table, dim).outputs, fit, atol=1e-9)


def test_with_all_class_modes_the_error_is_the_labels_own():
    for p in (REFERENCE, MATCHED):
        for dim in (3, 4, 10, 15):
            found = sharper_bounds(p, dim)
            assert found.error == found.delta == pytest.approx(formulas.cross_mass(p), abs=1e-15)


def test_without_class_modes_the_answer_is_a_guess_and_between_it_is_not_unique():
    assert sharper_bounds(REFERENCE, 1).error == pytest.approx(2 / 3, abs=1e-15)
    assert sharper_bounds(REFERENCE, 2).error is None
    contrast_leads = GraphParameters(0.5, 0.45, 0.49, 20, 10, 5, "block")
    assert sharper_bounds(contrast_leads, 2).error == pytest.approx(0.9, abs=1e-15)
    assert sharper_bounds(contrast_leads, 10).error is None  # one class direction is left out
    assert sharper_bounds(contrast_leads, 11).error == sharper_bounds(contrast_leads, 11).delta


def test_copies_of_a_mode_that_the_labels_do_not_use_may_be_cut():
    p = replace(REFERENCE.clean(), samples_per_class=5000, difficult=400)
    assert sharper_bounds(p, 128).error == sharper_bounds(p, 128).delta


def test_easy_samples_that_resemble_difficult_ones_of_other_classes_are_answered_wrongly():
    """α_ed < β_ed: the upper class mode has opposite signs on easy and difficult samples; labels are sure."""
    p = SixLevels(Levels(0.9, 0.0, 0.1), Levels(0.0, 0.2, 0.0), 4, 2, 2)
    found = sharper_bounds(p, 2, flipped_labels(0))
    easy, difficult = p.degrees
    assert found.error == pytest.approx(difficult / (easy + difficult))
    assert found.error == pytest.approx(dense_probe(weights(p), probabilities(p, Labels(1, 1)).astype(float), 2).error)


# --- the proof, step by step, and the bounds on channels ---------------------------------------------


def random_channel(rng):
    """Weights of edges and P(y | x) of random natural data: cliques, soft ones, nearly separate ones."""
    nodes, classes, count = int(rng.integers(2, 14)), int(rng.integers(2, 5)), int(rng.integers(2, 30))
    data = rng.random((count, nodes)) * (rng.random((count, nodes)) < rng.random())
    data[np.arange(count), rng.integers(nodes, size=count)] += rng.random(count)
    data[np.arange(nodes) % count, np.arange(nodes)] += 0.05  # no node without views
    data *= rng.exponential(size=(count, 1))
    label = rng.integers(classes, size=count) if rng.random() < 0.5 else data.argmax(axis=1) * classes // nodes
    mass = data * data.sum(axis=1, keepdims=True)
    table = np.array([mass[label == y].sum(axis=0) for y in range(classes)]).T
    return data.T @ data, table / table.sum(axis=1, keepdims=True)


def test_every_step_of_the_proof():
    rng = np.random.default_rng(0)
    loose = 0
    for _ in range(300):
        w, p = random_channel(rng)
        views = w.sum(axis=1) / w.sum()
        dim = int(rng.integers(1, len(w)))
        probe, lies = dense_probe(w, p, dim), dense_spread(w, p)
        distance = views @ ((p - probe.outputs) ** 2).sum(axis=1)
        loss = sum(
            views @ (p[:, y] * ((np.eye(p.shape[1])[y] - probe.outputs) ** 2).sum(axis=1)) for y in range(p.shape[1])
        )
        assert loss == pytest.approx(lies.noise + distance, abs=1e-12)  # the conditional mean splits the loss
        assert distance * (1 - probe.eigenvalue) <= lies.dirichlet + 1e-12  # Rayleigh
        assert probe.error <= 2 * loss + 1e-12
        assert lies.delta - 1e-12 <= probe.error <= lies.delta + math.sqrt(2 * distance) + 1e-12
        loose += probe.error > lies.delta + 1e-6
    assert loose > 30  # δ alone is no bound


def violations(seed: int, channels: int) -> tuple[int, int]:
    """Cases (channel, k), and those where the exact error exceeds the smaller bound."""
    rng, cases, violated = np.random.default_rng(seed), 0, 0
    for _ in range(channels):
        w, p = random_channel(rng)
        lies = dense_spread(w, p)
        for dim in range(1, len(w)):
            probe = dense_probe(w, p, dim)
            if probe.eigenvalue < 1 - 1e-9:
                cases += 1
                violated += probe.error > min(lies.bounds(probe.eigenvalue)) + 1e-9
    return cases, violated


def test_no_channel_violates_the_bounds():
    cases, violated = violations(1, 300)
    assert cases > 1500
    assert violated == 0


@pytest.mark.slow
def test_none_of_ten_thousand_channels_violates_the_bounds():
    cases, violated = violations(2, 10_000)
    assert cases > 50_000
    assert violated == 0


@given(labelled(), st.integers(1, 30))
def test_no_graph_of_kinds_violates_the_bounds(case, dim):
    p, of = case
    assume(dim < p.nodes)
    found = sharper_bounds(p, dim, of)
    probe = dense_probe(weights(p), probabilities(p, of).astype(float), dim)
    if found.bound is None:
        assert found.eigenvalue == pytest.approx(1, abs=1e-11)
    else:
        assert found.bound == min(found.squared, found.plug_in)
        assert probe.error <= found.bound + 1e-9


# --- beside the printed bounds -----------------------------------------------------------------------


def test_reference_graph():
    """The specification's: printed 5.89, these .770, exact error .474 with the matched pairs."""
    found = sharper_bounds(MATCHED, 3)
    assert found.printed == pytest.approx(5.89, abs=5e-3)
    assert found.bound == pytest.approx(0.770, abs=5e-4)
    assert found.error == pytest.approx(0.474, abs=5e-4)
    assert not found.to_json()["vacuous"]
    assert sharper_bounds(REFERENCE, 3).bound == pytest.approx(0.770, abs=5e-4)


@given(graphs(), st.integers(0, 40))
def test_printed_and_tight_bound_have_the_exact_eigenvalue_and_phi(p, number):
    dim = 1 + number % (p.nodes - 1)
    found = sharper_bounds(p, dim)
    cross_mass, exact = formulas.cross_mass(p), error_bounds(p, dim, 0.1)["difficult"].eigenvalue_exact
    assert found.eigenvalue == exact
    assume(exact < 1 - 1e-11)
    assert found.delta == pytest.approx(min(cross_mass, found.delta), abs=1e-12)
    assert found.printed == pytest.approx(4 * found.delta / (1 - exact) + 8 * found.delta)
    assert found.tight == pytest.approx(2 * cross_mass / (1 - exact) + 8 * found.delta)


@given(graphs().filter(lambda p: p.n > 1 and is_positive_semidefinite(p)), st.data())
def test_the_first_term_without_delta_bounds_the_classes_distance_from_the_features(p, data):
    """The spectral argument: one-hot classes lie within φ/(1−λₖ₊₁) of the k leading eigenvectors."""
    dim = data.draw(st.integers(p.classes, p.nodes - 1))
    graph, bounds = SimilarityGraph(p), sharper_bounds(p, dim)
    assume(bounds.tight is not None)
    features = np.linalg.eigh(graph.normalized_adjacency())[1][:, -dim:]
    degrees = graph.degrees()
    classes = np.repeat(np.eye(p.classes), p.n, axis=0) * np.sqrt(degrees / degrees.sum())[:, None]
    distance = ((classes - features @ (features.T @ classes)) ** 2).sum()
    assert 2 * distance + 8 * bounds.delta <= bounds.tight + 1e-12


def test_labels_that_say_nothing_are_guessed_wherever_k_cuts():
    """All samples are difficult: there is one class mode, tied with one that the labels have no part in."""
    p = SixLevels((0.5, 0.5, 0.5), (0, 0, 0.5), 2, 2, 2)
    assert [sharper_bounds(p, dim, flipped_labels(0.5)).error for dim in (1, 2, 3)] == [0.5] * 3
    assert sharper_bounds(p, 2, flipped_labels(0.1)).error is None


def test_comparison_has_the_three_graphs_and_says_where_there_is_none():
    found = comparison(REFERENCE, 4, 0.4)
    assert list(found["given"]) == list(found["even"]) == ["difficult", "clean", "removal"]
    assert found["given"]["difficult"] == sharper_bounds(REFERENCE, 4, flipped_labels(0.4)).to_json()
    assert found["even"]["clean"] == sharper_bounds(REFERENCE.clean(), 4).to_json()
    assert found["even"]["removal"] == sharper_bounds(REFERENCE.without_difficult(), 4).to_json()
    assert comparison(REFERENCE, 18, 0.4)["even"]["removal"] is None
    assert comparison(replace(REFERENCE, difficult=8), 4, 0.4)["given"]["removal"] is None


@given(six_levels(), st.integers(1, 40))
def test_measured_levels_have_no_clean_graph_but_can_lose_their_difficult_samples(p, dim):
    assume(dim < p.nodes and formulas.cross_mass(p) <= p.r / p.classes)
    easy = None
    if (p.n - p.n_d) * p.classes > dim:
        easy = SixLevels(p.within, p.across, p.n - p.n_d, p.classes, 0)
    found = comparison(p, dim, 0.1)
    assert found["labelling_errors"]["tilted"] is None
    assert found["even"]["clean"] is None
    assert found["even"]["removal"] == (None if easy is None else sharper_bounds(easy, dim).to_json())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sharper_bounds(REFERENCE, 24), r"dim = 24 violates an integer in \[1, 23\]"),
        (lambda: sharper_bounds(REFERENCE, 3, Labels(1.5, 1)), "labels = 1.5 violates"),
        (
            lambda: sharper_bounds(SixLevels(Levels(0.5, 0.5, 0.5), Levels(-0.1, 0, 0), 4, 2, 1), 3),
            "weights = -0.1 violates weights >= 0",
        ),
        (
            lambda: comparison(SixLevels(Levels(0.1, 0.1, 0.1), Levels(0.9, 0.9, 0.9), 4, 2, 1), 3, 0.1),
            r"cross_mass = 0.73\d* violates 0 <= cross_mass <= r/\(r\+1\) = 0.5",
        ),
        (
            lambda: dense_probe(np.broadcast_to(1.0, (5001, 5001)), np.ones((5001, 1)), 3),
            r"nodes = 5001 violates an integer in \[2, 5000\]",
        ),
        (lambda: dense_probe(np.eye(5), np.eye(5), 5), r"dim = 5 violates an integer in \[1, 4\]"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ParameterError, match=message):
        call()
