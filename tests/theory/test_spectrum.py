import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.theory.graphs import MATCHED, REFERENCE, graphs
from theory import formulas
from theory.checks import ParameterError
from theory.graph import SimilarityGraph
from theory.params import GraphParameters
from theory.spectrum import is_positive_semidefinite, largest_gamma, nth_mode, require_augmentation_graph, spectrum


def expand(p: GraphParameters) -> np.ndarray:
    modes = spectrum(p)
    return np.repeat([m.eigenvalue for m in modes], [m.multiplicity for m in modes])


@settings(max_examples=400)
@given(graphs())
def test_spectrum_equals_the_dense_eigenvalues(p):
    dense = np.linalg.eigvalsh(SimilarityGraph(p).normalized_adjacency())[::-1]
    np.testing.assert_allclose(expand(p), dense, atol=1e-12, rtol=0)


@pytest.mark.parametrize("pairing", ["block", "any", "matched"])
@pytest.mark.parametrize("difficult", [0, 1, 6])
def test_degenerate_graphs_have_only_the_modes_they_should(pairing, difficult):
    p = GraphParameters(0.5, 0.1, 0.2, 6, 4, difficult, pairing)
    names = {mode.mode for mode in spectrum(p)}
    assert ("contrast" in names) == ("class_lower" in names) == (difficult == 1)
    assert ("bulk" in names) == (difficult != 6)
    assert ("bridge" in names) == (difficult == 6 and pairing == "matched")
    assert ("within_difficult" in names) == (difficult == 6 and pairing != "matched")


def test_reference_graph():
    values = {mode.mode: mode.eigenvalue for mode in spectrum(MATCHED)}
    assert values["class_upper"] == pytest.approx(0.288807, abs=5e-7)
    assert values["bridge"] == pytest.approx(0.095593, abs=5e-7)
    assert values["contrast"] == pytest.approx(0.093473, abs=5e-7)
    assert values["bulk"] == pytest.approx(0.087111, abs=5e-7)
    clean = {mode.mode: mode.eigenvalue for mode in spectrum(REFERENCE.clean())}
    assert clean["class_upper"] == pytest.approx(0.290607, abs=5e-7)


@given(graphs())
def test_multiplicities_sum_to_the_nodes_and_every_index_finds_its_eigenvalue(p):
    modes, values = spectrum(p), expand(p)
    assert len(values) == p.nodes
    for j in (1, 2, p.nodes):
        assert nth_mode(modes, j).eigenvalue == values[j - 1]
    with pytest.raises(ParameterError, match="j = "):
        nth_mode(modes, p.nodes + 1)


@given(graphs(exact=True))
def test_identities_between_the_modes_hold_exactly(p):
    g, b, n_e = p.gamma - p.beta, p.alpha + p.r * p.beta, p.n - p.n_d
    if p.pairing in ("any", "clean"):
        return
    c2, c1 = p.degrees
    bulk, contrast = formulas.bulk(p), formulas.contrast(p)
    unit = p.r * b * g / (c1 * c2)
    assert contrast - bulk == n_e * p.neighbours * unit
    if p.pairing == "matched":
        assert formulas.bridge(p) - bulk == p.n * unit
        assert formulas.bridge(p) - contrast == p.n_d * unit


@given(graphs(exact=True))
def test_the_trace_is_preserved_exactly(p):
    """Class modes are irrational one by one, but their sum is the trace of the 2×2 block."""
    c2, c1 = p.degrees
    trace = p.classes * (Fraction(p.n_d) / c1 + Fraction(p.n - p.n_d) / c2)
    difficult, easy, _ = formulas.class_block(p)
    rational = sum(
        m.multiplicity * m.eigenvalue for m in spectrum(p, lambda x: Fraction(0)) if not m.mode.startswith("class")
    )
    classes = p.r * ((difficult if p.n_d else 0) + (easy if p.n_d < p.n else 0))
    assert rational + classes == trace


@given(graphs())
def test_positive_semidefiniteness_equals_the_sign_of_the_smallest_dense_eigenvalue(p):
    smallest = np.linalg.eigvalsh(SimilarityGraph(p).normalized_adjacency())[0]
    if abs(smallest) > 1e-9:
        assert is_positive_semidefinite(p) == (smallest > 0)


@given(graphs(exact=True), st.integers(1, 6))
def test_matched_psd_condition_is_the_one_that_realises_the_graph(p, n_d):
    """With two difficult samples or more, the matched graph is PSD exactly if g <= 1 - alpha."""
    if p.n < 2:
        return
    p = GraphParameters(p.alpha, p.beta, p.gamma, p.n, p.classes, max(2, min(n_d, p.n)), "matched")
    assert is_positive_semidefinite(p) == (p.gamma - p.beta <= 1 - p.alpha)


def test_a_graph_that_no_augmentation_produces_is_refused_by_name():
    p = GraphParameters(0.9, 0.1, 0.8, 8, 3, 4, "matched")
    with pytest.raises(
        ParameterError,
        match=r"gamma = 0.8 violates gamma <= 0.2, above which no augmentation produces the matched graph",
    ):
        require_augmentation_graph(p)


@given(graphs())
def test_the_largest_gamma_is_where_positive_semidefiniteness_ends(p):
    if p.n_d == 0 or p.pairing == "clean":
        return
    limit = float(largest_gamma(p))
    for gamma, holds in ((limit - 1e-7, True), (limit + 1e-7, False)):
        if p.beta <= gamma < p.alpha:
            assert is_positive_semidefinite(replace(p, gamma=gamma)) == holds


def test_the_papers_own_numbers_are_no_augmentation_graph():
    """CIFAR-10 (Table 10, 0 %): with 8 % difficult samples γ − β could be at most .00067."""
    p = GraphParameters(0.472, 0.191, 0.209, 10_700, 10, 856)
    assert not is_positive_semidefinite(p)
    assert largest_gamma(p) - p.beta == pytest.approx(0.00067, abs=5e-6)


def test_block_pairing_can_lose_a_class_direction():
    """Spec, audit 4: the contrast mode lies above the class modes of a realisable graph."""
    p = GraphParameters(0.5, 0.45, 0.49, 20, 10, 5, "block")
    assert is_positive_semidefinite(p)
    values = {mode.mode: mode.eigenvalue for mode in spectrum(p)}
    assert values["contrast"] == pytest.approx(0.019855, abs=5e-7)
    assert values["class_upper"] == pytest.approx(0.015864, abs=5e-7)


def test_large_graphs_take_no_more_than_small_ones():
    p = GraphParameters(0.5, 0.05, 0.2, 10**9, 1000, 10**7)
    assert sum(mode.multiplicity for mode in spectrum(p)) == p.nodes
    assert math.isfinite(spectrum(p)[-1].eigenvalue)
