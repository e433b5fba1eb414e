import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.theory.graphs import MATCHED, REFERENCE, graphs
from theory import formulas
from theory.bounds import error_bounds
from theory.checks import ParameterError
from theory.graph import SimilarityGraph
from theory.kinds import PerKind
from theory.mitigation import (
    REMEDIES,
    printed_margins,
    remedy_bounds,
    remedy_map,
    remove,
    target,
    weighted_factorisation,
)
from theory.params import GraphParameters
from theory.spectrum import is_positive_semidefinite, spectrum

BLOCK = REFERENCE


def difficult_graphs():
    return graphs().filter(lambda p: not p.is_clean)


def expand(modes) -> np.ndarray:
    return np.repeat([mode.eigenvalue for mode in modes], [mode.multiplicity for mode in modes])


def assert_spectrum_is_dense(target):
    dense = np.linalg.eigvalsh(target.matrix())[::-1]
    np.testing.assert_allclose(expand(target.spectrum()), dense, atol=1e-12 * max(1, abs(dense).max()), rtol=0)


# --- targets ---------------------------------------------------------------------------------------


@given(graphs())
def test_plain_target_is_the_normalised_adjacency(p):
    np.testing.assert_allclose(target(p).matrix(), SimilarityGraph(p).normalized_adjacency(), atol=1e-15)
    ours, theirs = target(p).spectrum(), spectrum(p)
    np.testing.assert_allclose(expand(ours), expand(theirs), atol=1e-13)
    assert {(mode.mode, mode.multiplicity) for mode in ours} == {(mode.mode, mode.multiplicity) for mode in theirs}


@given(difficult_graphs())
def test_full_margin_and_full_temperature_reach_the_clean_target(p):
    clean = target(p.clean()).matrix()
    np.testing.assert_allclose(target(p).margin().matrix(), clean, atol=1e-13)
    if p.beta > 0:
        np.testing.assert_allclose(target(p).temperature().matrix(), clean, atol=1e-13)


@given(difficult_graphs(), st.floats(-2, 3))
def test_margins_of_any_scale_interpolate_and_have_an_exact_spectrum(p, scale):
    plain, clean = (SimilarityGraph(q).normalized_adjacency() for q in (p, p.clean()))
    scaled = target(p).margin(scale)
    np.testing.assert_allclose(scaled.matrix(), (1 - scale) * plain + scale * clean, atol=1e-13)
    assert_spectrum_is_dense(scaled)


@given(difficult_graphs(), st.floats(-1, 2), st.floats(-2, 3))
def test_remedies_chain_in_either_order_with_exact_spectra(p, exponent, scale):
    assume(p.beta > 0)
    plain, clean = (SimilarityGraph(q).normalized_adjacency() for q in (p, p.clean()))
    factors, margins = (clean / plain) ** exponent, scale * (plain - clean)
    first_temperature = target(p).temperature(exponent).margin(scale)
    first_margin = target(p).margin(scale).temperature(exponent)
    size = max(1, factors.max())
    np.testing.assert_allclose(first_temperature.matrix(), factors * plain - margins, atol=1e-12 * size)
    np.testing.assert_allclose(first_margin.matrix(), factors * (plain - margins), atol=1e-12 * size)
    assert_spectrum_is_dense(first_temperature)
    assert_spectrum_is_dense(first_margin)


@given(st.tuples(*[st.floats(-1, 1)] * 9), graphs())
def test_spectrum_of_any_matrix_with_the_graphs_symmetry(values, p):
    entries = PerKind(*values)
    if p.pairing != "matched":  # which does not tell paired from other difficult samples
        entries = entries._replace(paired=entries.unpaired_both_difficult)
    assert_spectrum_is_dense(replace(target(p), entries=entries))


@pytest.mark.parametrize("p", [MATCHED, REFERENCE])
@pytest.mark.parametrize("temperature_first", [True, False])
def test_targets_are_those_of_the_spectral_loss_with_margins_and_temperatures(p, temperature_first):
    """The loss in similarities and Σ (1/T²)(FFᵀ − target)² differ by a constant."""
    weights, degrees = SimilarityGraph(p).weights(), SimilarityGraph(p).degrees()
    plain, clean = (SimilarityGraph(q).normalized_adjacency() for q in (p, p.clean()))
    tau, root = clean / plain, np.sqrt(degrees)[:, None]
    margins = 0.3 * (plain - clean) / (root * root.T)
    chained = target(p).temperature().margin(0.3) if temperature_first else target(p).margin(0.3).temperature()

    def difference(seed):
        features = np.random.default_rng(seed).standard_normal((p.nodes, 4))
        similarity = features @ features.T
        logits = (similarity + margins) / tau if temperature_first else similarity / tau + margins
        spectral = (np.outer(degrees, degrees) * logits**2).sum() - 2 * (weights * logits).sum()
        fitted = ((root * root.T * similarity - chained.matrix()) ** 2 / tau**2).sum()
        return spectral - fitted, spectral

    (first, size), (second, _) = difference(0), difference(1)
    assert first == pytest.approx(second, abs=1e-12 * size)


@given(difficult_graphs())
def test_the_printed_margin_of_difficult_pairs_is_exact_on_the_papers_graph(p):
    """Eq. 7 on block; eq. 36 differs by the r that its denominator lacks."""
    exact, printed = formulas.margins(p, math.sqrt), printed_margins(p)
    if p.pairing == "block":
        assert formulas.paired_margin(p) == pytest.approx(exact.paired, rel=1e-9)
        lost = (formulas.difficult_degree(p) / (formulas.easy_degree(p) + p.n_d * (p.gamma - p.beta))) ** 2
        assert printed.paired == pytest.approx(lost * exact.paired, rel=1e-9)
        assert (lost > 1) == (p.r > 1)


@given(graphs(clean=True))
def test_remedies_for_difficult_pairs_need_one(p):
    with pytest.raises(ParameterError, match="margins requested where there is no difficult pair"):
        target(p).margin()
    with pytest.raises(ParameterError, match="temperatures requested where there is no difficult pair"):
        target(p).temperature()


def test_temperature_needs_a_positive_beta():
    p = GraphParameters(0.5, 0.0, 0.2, 4, 3, 2)
    with pytest.raises(ParameterError, match=r"beta = 0.0 violates beta > 0"):
        target(p).temperature()
    with pytest.raises(ParameterError, match=r"beta = 0.0 violates beta > 0"):
        weighted_factorisation(p, 3)
    assert_spectrum_is_dense(target(p).margin())


# --- removal ---------------------------------------------------------------------------------------


@given(graphs(), st.integers(0, 7))
def test_removal_keeps_the_induced_graph(p, samples):
    samples = min(samples, p.n_d, p.n - 1)
    rest = remove(p, samples)
    kept = np.arange(p.nodes) % p.n >= samples
    np.testing.assert_array_equal(SimilarityGraph(rest).weights(), SimilarityGraph(p).weights()[np.ix_(kept, kept)])
    assert rest.n_d == p.n_d - samples


def test_removal_takes_all_difficult_samples_by_default_and_chains_with_the_others():
    assert remove(REFERENCE) == REFERENCE.without_difficult()
    rest = remove(REFERENCE, 1)
    assert_spectrum_is_dense(target(rest).margin(0.5))
    np.testing.assert_allclose(expand(target(rest).margin().spectrum()), expand(spectrum(rest.clean())), atol=1e-13)
    with pytest.raises(ParameterError, match="no difficult pair"):
        target(remove(REFERENCE)).margin()


def test_removal_is_limited_to_the_difficult_samples_and_leaves_some():
    with pytest.raises(ParameterError, match=r"samples = 3 violates an integer in \[0, 2\], the difficult ones"):
        remove(REFERENCE, 3)
    everyone = replace(REFERENCE, difficult=8)
    for samples in (None, 8):
        with pytest.raises(ParameterError, match="difficult = 8 violates difficult < 8: all would go"):
            remove(everyone, samples)
    assert remove(everyone, 7).n == 1


# --- the weighted problem --------------------------------------------------------------------------


@pytest.mark.parametrize(("p", "dim"), [(REFERENCE, 3), (REFERENCE, 6), (BLOCK, 4)])
def test_weighted_minimiser(p, dim):
    found = weighted_factorisation(p, dim)
    plain, clean = (SimilarityGraph(q).normalized_adjacency() for q in (p, p.clean()))
    weights = (plain / clean) ** 2

    def loss(features):
        return float((weights * (features @ features.T - clean) ** 2).sum())

    assert found.features.shape == (p.nodes, dim)
    assert found.losses[0] == pytest.approx(loss(found.features), rel=1e-12)
    assert found.losses == pytest.approx([found.losses[0]] * 3, rel=1e-6)  # random starts end there too
    for direction in np.random.default_rng(1).standard_normal((20, p.nodes, dim)):
        assert loss(found.features + 1e-3 * direction) > found.losses[0]
    assert found.mean_weight == pytest.approx(weights.mean(), rel=1e-12)
    assert found.clean_loss == pytest.approx((np.linalg.eigvalsh(clean)[:-dim] ** 2).sum(), rel=1e-12)


@pytest.mark.parametrize(
    ("p", "dim"), [(REFERENCE, 3), (REFERENCE, 5), (BLOCK, 5), (GraphParameters(0.5, 0.02, 0.2, 6, 3, 3), 4)]
)
def test_temperature_bound_is_far_above_its_minimiser(p, dim):
    """Weighting costs nothing in loss, whatever the stated factor; the labels stay close to the features."""
    found = weighted_factorisation(p, dim, starts=2)
    assert found.loss_factor < 1 < found.mean_weight < found.stated_factor
    assert 0 < found.first_term < found.stated_first_term
    delta = formulas.cross_mass(p)
    assert found.stated_first_term + 8 * delta == pytest.approx(error_bounds(p, dim, delta)["temperature"].bound)


def test_label_distance_is_that_of_the_weighted_least_squares_probe():
    found = weighted_factorisation(REFERENCE, 4, starts=1)
    degrees = SimilarityGraph(REFERENCE).degrees()
    features = found.features / np.sqrt(degrees)[:, None]
    labels = np.eye(3)[np.arange(24) // 8]
    gram = features.T @ (degrees[:, None] * features)
    probe = np.linalg.solve(gram, features.T @ (degrees[:, None] * labels))
    error = (degrees[:, None] * (labels - features @ probe) ** 2).sum() / degrees.sum()
    assert found.first_term == pytest.approx(2 * error, rel=1e-6)


@pytest.mark.parametrize(("dim", "starts"), [(0, 1), (24, 1), (3, 0)])
def test_sizes_of_the_weighted_problem_are_checked(dim, starts):
    with pytest.raises(ParameterError, match=rf"{'starts' if starts == 0 else 'dim'} = "):
        weighted_factorisation(REFERENCE, dim, starts)


# --- which remedy where ----------------------------------------------------------------------------


@given(graphs().filter(lambda p: p.n > 1 and is_positive_semidefinite(p)), st.integers(0, 30), st.booleans())
def test_remedy_bounds_are_those_of_the_bounds_module(p, extra, exact):
    dim = min(p.classes + extra, p.nodes - 1)
    values, stated = remedy_bounds(p, dim, 0.05, exact=exact), error_bounds(p, dim, 0.05)
    assert tuple(values) == REMEDIES
    for remedy, value in values.items():
        bound = stated["difficult" if remedy == "nothing" else remedy]
        if bound.bound is None:
            assert math.isnan(value)
        elif not exact:
            assert value == bound.bound
        elif remedy != "temperature" or p.is_clean:
            assert value == pytest.approx(0.2 / (1 - bound.eigenvalue_exact) + 0.4)
        else:
            factor = 1 + (p.n_d / p.n) ** 2 * ((p.gamma / p.beta) ** 2 - 1)
            assert value == pytest.approx(factor * 0.2 / (1 - bound.eigenvalue_exact) + 0.4)


def test_map_picks_the_smallest_bound_of_every_valid_graph():
    p = GraphParameters(0.7, 0.2, 0.2, 12, 3, 0)
    difficult, excess = range(13), (0.0, 0.01, 0.1, 0.25, 0.4)
    without_margin = ("nothing", "temperature", "removal")
    found = remedy_map(p, difficult, excess, dim=4, delta=0.01, remedies=without_margin)
    seen = set()
    for i, n_d in enumerate(difficult):
        for j, g in enumerate(excess):
            graph = replace(p, difficult=n_d, gamma=p.beta + g)
            seen.add(found.best[i, j])
            if not is_positive_semidefinite(graph):
                assert found.best[i, j] == "invalid"
                assert all(math.isnan(bounds[i, j]) for bounds in found.bounds.values())
                continue
            smallest = np.nanmin([bounds[i, j] for bounds in found.bounds.values()])
            assert found.bounds[found.best[i, j]][i, j] == smallest
            if graph.is_clean:
                assert found.best[i, j] == "nothing"
    assert seen == {*without_margin, "invalid"}


def test_stated_bounds_prefer_the_margin_and_exact_ones_nothing_at_large_width():
    p = GraphParameters(0.5, 0.1, 0.1, 10, 4, 0)
    narrow = remedy_map(p, [1, 3], [0.1, 0.15], dim=4, delta=0.01)
    assert (narrow.best == "margin").all()
    wide = remedy_map(p, [1, 3], [0.1, 0.15], dim=8, delta=0.01, exact=True)
    assert (wide.best == "nothing").all()


@pytest.mark.parametrize(
    ("remedy", "condition"), [("temperature", formulas.temperature_gain), ("removal", formulas.removal_gain)]
)
def test_a_remedy_beats_nothing_where_the_comparison_of_the_printed_bounds_says(remedy, condition):
    p = GraphParameters(0.6, 0.3, 0.3, 60, 5, 1)
    difficult, excess = list(range(1, 30)), [i / 200 for i in range(1, 12)]
    found = remedy_map(p, difficult, excess, dim=5, delta=0.01, remedies=("nothing", remedy))
    for i, n_d in enumerate(difficult):
        for j, g in enumerate(excess):
            if found.best[i, j] != "invalid" and found.best[i, j] in ("nothing", remedy):
                gain = condition(replace(p, difficult=n_d, gamma=p.beta + g))
                assert (found.best[i, j] == remedy) == (gain > 0)
    assert {"nothing", remedy} <= set(found.best.ravel())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"difficult": []}, r"difficult = \[\] violates at least one value"),
        ({"excess": ()}, "excess"),
        ({"difficult": [1, 9]}, r"difficult = 9 violates an integer in \[0, 8\]"),
        ({"excess": [0.01, 0.3]}, "gamma = 0.508 violates gamma < alpha"),
        ({"excess": [-0.01]}, "violates gamma >= beta"),
        ({"dim": 2}, r"dim = 2 violates an integer in \[3, 23\]"),
        ({"delta": 2}, "delta = 2 violates"),
        ({"remedies": ["nothing", "prayer"]}, "remedies = "),
        ({"remedies": ["margin"]}, 'with "nothing"'),
    ],
)
def test_ranges_of_the_map_are_checked(change, message):
    given = {"difficult": [1, 2], "excess": [0.01], "dim": 3, "delta": 0.01}
    with pytest.raises(ParameterError, match=message):
        remedy_map(REFERENCE, **{**given, **change})
