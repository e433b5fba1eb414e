"""The table of kinds of pairs against loops over the nodes; any six levels against dense eigenvalues."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.theory.graphs import graphs
from theory.checks import ParameterError
from theory.graph import SimilarityGraph
from theory.kinds import roots
from theory.params import Levels, SixLevels
from theory.spectrum import is_positive_semidefinite, spectrum


def naive_weights(p):
    """The graph as the paper describes it, node by node."""
    out = np.empty((p.nodes, p.nodes))
    for u in range(p.nodes):
        for v in range(p.nodes):
            (i, k), (j, m) = divmod(u, p.n), divmod(v, p.n)
            both = k < p.n_d and m < p.n_d
            if u == v:
                out[u, v] = 1
            elif i == j:
                out[u, v] = p.alpha
            elif (both and (p.pairing in ("block", "any") or (p.pairing == "matched" and k == m))) or (
                p.pairing == "any" and (k < p.n_d or m < p.n_d)
            ):
                out[u, v] = p.gamma
            else:
                out[u, v] = p.beta
    return out


@given(graphs())
def test_weights_are_those_of_the_definition(p):
    np.testing.assert_array_equal(SimilarityGraph(p).weights(), naive_weights(p))


@given(graphs(exact=True))
def test_degrees_are_row_sums_in_exact_arithmetic(p):
    easy, difficult = p.degrees
    clean = 1 + (p.n - 1) * p.alpha + p.r * p.n * p.beta
    partners = {"block": (0, p.n_d), "any": (p.n_d, p.n), "matched": (0, 1), "clean": (0, 0)}[p.pairing]
    gap = p.r * (p.gamma - p.beta)
    assert (easy, difficult) == tuple(clean + number * gap for number in partners)
    assert isinstance(difficult, Fraction)


@given(graphs())
def test_roots_are_those_of_the_degrees_of_both_nodes(p):
    c = np.sqrt(SimilarityGraph(p).degrees())
    np.testing.assert_allclose(roots(p.degrees, np.sqrt).matrix(p), c[:, None] * c, rtol=1e-14)


@st.composite
def six_levels(draw):
    """Any six levels with positive degrees, either kind of sample possibly missing."""
    n, r = draw(st.integers(1, 5)), draw(st.integers(1, 3))
    within, across = (draw(st.tuples(*[st.floats(low, 0.99)] * 3)) for low in (0.05, -0.01))
    return SixLevels(Levels(*within), Levels(*across), n, r + 1, draw(st.integers(0, n)))


@given(six_levels())
def test_six_levels_have_the_dense_spectrum(p):
    weights = p.weights.matrix(p)
    row_sums = weights.sum(axis=1)
    difficult = np.arange(p.nodes) % p.n < p.n_d
    np.testing.assert_allclose(np.where(difficult, p.degrees.difficult, p.degrees.easy), row_sums, rtol=1e-12)
    scale = 1 / np.sqrt(row_sums)
    dense = np.linalg.eigvalsh(weights * scale[:, None] * scale)[::-1]
    found = spectrum(p)
    values = np.repeat([mode.eigenvalue for mode in found], [mode.multiplicity for mode in found])
    np.testing.assert_allclose(values, dense, atol=1e-12)
    if abs(dense[-1]) > 1e-9:
        assert is_positive_semidefinite(p) == (dense[-1] > 0)


@given(six_levels())
def test_the_papers_levels_are_the_means_of_its_measurement(p):
    """A.5: α over same-class pairs, β over different-class pairs without a difficult sample, γ over the others."""
    weights = p.weights.matrix(p)
    label, difficult = np.arange(p.nodes) // p.n, np.arange(p.nodes) % p.n < p.n_d
    same, off = label[:, None] == label, ~np.eye(p.nodes, dtype=bool)
    touched = difficult[:, None] | difficult
    for level, pairs in ((p.alpha, same & off), (p.beta, ~same & ~touched), (p.gamma, ~same & touched)):
        if pairs.any():
            assert level == pytest.approx(weights[pairs].mean(), abs=1e-12)


@given(graphs(exact=True))
def test_three_levels_are_six_but_for_matched_pairs(p):
    if p.pairing == "matched":
        with pytest.raises(ParameterError, match="pairing = matched"):
            SixLevels.of(p)
        return
    general = SixLevels.of(p)
    assert general.weights == p.weights
    assert spectrum(general, lambda x: x) == spectrum(p, lambda x: x)
    assert general.beta == p.beta or p.n_d == p.n


@given(graphs(), st.integers(0, 2**32 - 1))
def test_averaging_a_gram_matrix_over_the_symmetries_keeps_it_positive_semidefinite(p, seed):
    """So every measured Gram matrix has six levels that are a legitimate graph."""
    vectors = np.random.default_rng(seed).standard_normal((p.nodes, 3))
    gram = vectors @ vectors.T / np.sqrt(np.outer(*[(vectors**2).sum(1)] * 2))
    label, difficult = np.arange(p.nodes) // p.n, np.arange(p.nodes) % p.n < p.n_d
    same, off = label[:, None] == label, ~np.eye(p.nodes, dtype=bool)
    count = difficult[:, None].astype(int) + difficult
    levels = [
        [gram[where].mean() if (where := pairs & (count == kind)).any() else 0.5 for kind in range(3)]
        for pairs in (same & off, ~same)
    ]
    averaged = np.select([~off, same], [1.0, np.take(levels[0], count)], np.take(levels[1], count))
    assert np.linalg.eigvalsh(averaged)[0] > -1e-9


@pytest.mark.parametrize(
    ("within", "across", "message"),
    [
        ((0.5, 0.5, 1.5), (0.1, 0.1, 0.1), "within.difficult = 1.5"),
        ((0.5, 0.5, float("nan")), (0.1, 0.1, 0.1), "within.difficult = nan"),
        ((0.1, 0.1, 0.1), (-0.9, -0.9, -0.9), "degree of easy samples = "),
    ],
)
def test_six_levels_outside_their_range(within, across, message):
    with pytest.raises(ParameterError, match=message):
        SixLevels(within, across, 5, 4, 2)


@pytest.mark.parametrize("digits", [9, 11])
def test_contrast_does_not_cancel_for_large_n(digits):
    """Against exact arithmetic, where the sum of the degrees' shares has lost all digits."""
    from theory.formulas import contrast
    from theory.params import GraphParameters

    n = 10**digits
    levels = [Fraction(1, 2), Fraction(1, 20), Fraction(1, 20) + Fraction(1, 10**digits)]
    exact = contrast(GraphParameters(*levels, n, 10, n // 12))
    found = contrast(GraphParameters(*map(float, levels), n, 10, n // 12))
    assert found == pytest.approx(float(exact), rel=1e-6)  # γ − β itself is rounded
