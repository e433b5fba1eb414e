import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from tests.theory.graphs import REFERENCE, graphs
from theory import formulas
from theory.checks import ParameterError
from theory.graph import SimilarityGraph
from theory.kinds import has_gamma
from theory.params import GraphParameters
from theory.sizes import (
    LABELS,
    NAMES,
    Cosines,
    Selector,
    Sizes,
    closed_gap,
    free_gap,
    joint,
    optimum,
    perfect,
    size_lines,
    temperature,
)

MEANS = Cosines(0.5, 0.3)
COSINES = st.tuples(st.floats(0.02, 0.95), st.floats(0.02, 0.95)).map(lambda two: Cosines(max(two), min(two)))
TAUS = st.floats(0.05, 2)


def treated(cosines, flagged, tau, sigma, rho):
    """NT-Xent's optimum pair by pair, c(x) held fixed: ρ(s + τ log ρ) − σ where a pair is flagged."""
    out = []
    for row, flags in zip(cosines, flagged, strict=True):
        out.append([rho * (s + tau * math.log(rho)) - sigma if p else s for s, p in zip(row, flags, strict=True)])
    return np.array(out)


@pytest.mark.parametrize("tau", [0.2, 0.5])
@pytest.mark.parametrize("split", [0.0, 0.3, 1.0])
def test_the_gap_of_an_explicit_matrix_closes(tau, split):
    """Pair by pair, with a mask that misses difficult pairs and flags others."""
    rng = np.random.default_rng(0)
    difficult = rng.random((30, 30)) < 0.3
    cosines = np.where(difficult, rng.uniform(0.5, 0.9, (30, 30)), rng.uniform(0.45, 0.8, (30, 30)))
    flagged = np.where(difficult, rng.random((30, 30)) < 0.8, rng.random((30, 30)) < 0.1)
    means = Cosines(cosines[difficult].mean(), cosines[~difficult].mean())
    selector = Selector(
        flagged[difficult].sum() / flagged.sum(),
        flagged[difficult].mean(),
        flagged[~difficult].mean(),
        cosines[difficult & flagged].mean(),
        cosines[~difficult & flagged].mean(),
    )
    sizes, reasons = optimum(means, selector, tau, split)
    assert reasons == {}
    pairs = {
        (sizes.margin_sigma, 1.0),
        (0.0, sizes.temperature_rho),
        (sizes.combined_sigma, sizes.combined_rho),
    }
    for sigma, rho in pairs:
        after = treated(cosines, flagged, tau, sigma, rho)
        assert after[flagged].min() > -1
        assert after[difficult].mean() == pytest.approx(after[~difficult].mean(), abs=1e-12)
        assert closed_gap(selector, tau, sigma, rho) == pytest.approx(means.gap, rel=1e-12)


@given(COSINES, TAUS, st.floats(0, 1))
@example(Cosines(0.195, 0.15625), 2.0, 1e-14)  # where both temperatures are the same but for rounding
def test_a_perfect_selector_needs_the_gap_itself(means, tau, split):
    assume(means.gap > 1e-6)
    sizes, reasons = optimum(means, perfect(means), tau, split)
    assert reasons == {}
    assert sizes.margin_sigma == means.gap
    rho = sizes.temperature_rho
    assert 0 < rho <= 1
    assert rho * (means.difficult + tau * math.log(rho)) == pytest.approx(means.reference, rel=1e-9)
    assert sizes.combined_sigma == split * means.gap
    assert rho * (1 - 1e-12) <= sizes.combined_rho <= 1
    assert closed_gap(perfect(means), tau, sizes.combined_sigma, sizes.combined_rho) == pytest.approx(means.gap)


@given(COSINES, TAUS)
def test_the_split_ends_at_one_remedy_alone(means, tau):
    assume(means.gap > 1e-6)
    margin, temperature_alone = (optimum(means, perfect(means), tau, split)[0] for split in (1.0, 0.0))
    assert (margin.combined_sigma, margin.combined_rho) == (margin.margin_sigma, 1.0)
    assert (temperature_alone.combined_sigma, temperature_alone.combined_rho) == (0.0, margin.temperature_rho)


@given(COSINES, TAUS, st.floats(0.01, 1), st.floats(0, 1))
def test_an_imperfect_selector_is_a_perfect_one_with_a_larger_gap(means, tau, q, share):
    """Where its choice says nothing about the cosine: σ = gap/(q − f)."""
    f = q * share
    assume(means.gap > 1e-6 and q - f > 1e-3)
    selector = Selector(0.5, q, f, means.difficult, means.reference)
    sizes, reasons = optimum(means, selector, tau)
    wanted = means.gap / (q - f)
    if wanted > 1 + means.difficult:
        assert sizes.margin_sigma is None
        assert "can fall by" in reasons["margin_sigma"]
    else:
        assert sizes.margin_sigma == pytest.approx(wanted)
    if sizes.temperature_rho is not None:
        assert closed_gap(selector, tau, rho=sizes.temperature_rho) == pytest.approx(means.gap, rel=1e-6)


@given(st.floats(1e-3, 1), st.floats(0, 1), st.floats(0.01, 5))
def test_the_temperature_solves_its_equation(level, share, tau):
    target = max(level * share, 1e-6)
    rho = temperature(level, target, tau)
    assert 0 < rho <= 1
    assert rho * (level + tau * math.log(rho)) == pytest.approx(target, rel=1e-6)


@pytest.mark.parametrize(
    ("means", "selector", "tau", "nulls", "reason"),
    [
        (MEANS, None, 0.5, set(NAMES), "were not measured"),
        (Cosines(0.3, 0.3), perfect(MEANS), 0.5, set(NAMES), "no gap to close"),
        (MEANS, Selector(0.01, 0.1, 0.1, 0.6, 0.5), 0.5, set(NAMES), "cannot tell them apart"),
        (MEANS, perfect(MEANS), None, set(NAMES) - {"margin_sigma"}, "--tau"),
        (MEANS, Selector(0.01, 0.02, 0.01, 0.6, 0.5), 0.5, set(NAMES), "at most"),
        (Cosines(0.1, -0.01), perfect(Cosines(0.1, -0.01)), 0.5, {"temperature_rho"}, "brings none below 0"),
        (Cosines(0.1, -0.2), perfect(Cosines(0.1, -0.2)), 0.5, set(NAMES) - {"margin_sigma"}, "brings none below 0"),
    ],
)
def test_what_cannot_be_is_null_with_its_reason(means, selector, tau, nulls, reason):
    sizes, reasons = optimum(means, selector, tau)
    assert {name for name in NAMES if getattr(sizes, name) is None} == nulls == set(reasons)
    assert any(reason in text for text in reasons.values())


def test_a_response_scales_the_correction():
    sizes, _ = optimum(MEANS, perfect(MEANS), 0.5, response=0.8)
    assert sizes.margin_sigma == pytest.approx(MEANS.gap / 0.8)
    assert closed_gap(perfect(MEANS), 0.5, rho=sizes.temperature_rho) == pytest.approx(MEANS.gap / 0.8)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"tau": 0}, "tau = 0 violates tau > 0"),
        ({"split": 1.5}, "split = 1.5 violates 0 <= split <= 1"),
        ({"response": 0}, "response = 0 violates response > 0"),
    ],
)
def test_parameters_are_checked(arguments, message):
    with pytest.raises(ParameterError, match=message):
        optimum(MEANS, perfect(MEANS), **{"tau": 0.5, **arguments})


@given(graphs(), st.floats(0, 1))
def test_the_theorems_remedies_together_make_one_correction(p, split):
    """(T∘Ā − M̄) of difficult pairs is that of the clean graph, whatever the split."""
    p = replace(p, pairing="block")
    assume(p.difficult > 0 and p.beta > 0)
    c1, c2 = p.degrees.difficult, p.degrees.easy
    sigma, rho = joint(formulas.margin_sigma(p), formulas.temperature_rho(p), split)
    assert rho * p.gamma - sigma == pytest.approx(p.beta * c1 / c2, abs=1e-12)


@pytest.mark.parametrize("pairing", ["block", "any", "matched"])
def test_the_free_gap_is_that_of_the_dense_matrix(pairing):
    p = replace(REFERENCE, pairing=pairing)
    graph = SimilarityGraph(p)
    degrees, weights = graph.degrees(), graph.weights()
    difficult = has_gamma(pairing).matrix(p) > 0
    label = np.arange(p.nodes) // p.n
    total, counts = [0.0, 0.0], [0, 0]
    for i in range(p.nodes):
        for j in range(p.nodes):
            if label[i] != label[j]:
                total[int(difficult[i, j])] += math.log(weights[i, j] / (degrees[i] * degrees[j]))
                counts[int(difficult[i, j])] += 1
    expected = 0.3 * (total[1] / counts[1] - total[0] / counts[0])
    assert free_gap(p, 0.3) == pytest.approx(expected, rel=1e-12)


def test_weights_of_zero_have_no_free_gap():
    assert free_gap(GraphParameters(0.5, 0, 0.2, 8, 3, 2), 0.5) is None


def test_every_line_of_the_table_is_labelled():
    sizes = {source: Sizes(0.1, 0.9, 0.05, None).__dict__ for source in LABELS}
    lines = size_lines(sizes)
    assert [line[:38].strip() for line in lines[1:]] == list(LABELS.values())
    assert lines[1].split()[-4:] == ["0.1", "0.9", "0.05", "—"]
