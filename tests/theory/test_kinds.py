"""The table of kinds of pairs against loops over the nodes; any six levels against dense eigenvalues."""

from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.theory.graphs import graphs
from theory.graph import SimilarityGraph
from theory.kinds import PerKind, degrees, roots
from theory.spectrum import SCALAR, modes, present


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
            elif both and (p.pairing == "block" or k == m):
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
    own, other = p.alpha, p.beta
    assert easy == 1 + (p.n - 1) * own + p.r * p.n * other
    partners = 1 if p.pairing == "matched" else p.n_d
    extra = p.r * partners * (p.gamma - p.beta)
    assert difficult == easy + extra
    assert isinstance(difficult, Fraction)


@given(graphs())
def test_roots_are_those_of_the_degrees_of_both_nodes(p):
    c = np.sqrt(SimilarityGraph(p).degrees())
    np.testing.assert_allclose(roots(p.degrees, np.sqrt).matrix(p), c[:, None] * c, rtol=1e-14)


@st.composite
def six_levels(draw):
    """Any six levels with positive degrees, either kind of sample possibly missing."""
    n, r = draw(st.integers(1, 5)), draw(st.integers(1, 3))
    n_d = draw(st.integers(0, n))
    within, across = (draw(st.tuples(*[st.floats(low, 0.99)] * 3)) for low in (0.05, -0.01))
    w = PerKind(across[2], 1, within[2], across[2], within[1], across[1], 1, within[0], across[0])
    return SimpleNamespace(
        n=n, r=r, n_d=n_d, pairing="block", alpha=1.0, weights=w, degrees=degrees(w, n, r, n_d), nodes=n * (r + 1)
    )


@given(six_levels())
def test_six_levels_have_the_dense_spectrum(p):
    weights = p.weights.matrix(p)
    row_sums = weights.sum(axis=1)
    difficult = np.arange(p.nodes) % p.n < p.n_d
    np.testing.assert_allclose(np.where(difficult, p.degrees.difficult, p.degrees.easy), row_sums, rtol=1e-12)
    scale = 1 / np.sqrt(row_sums)
    dense = np.linalg.eigvalsh(weights * scale[:, None] * scale)[::-1]
    found = present(modes(p, SCALAR))
    values = np.repeat([mode.eigenvalue for mode in found], [mode.multiplicity for mode in found])
    np.testing.assert_allclose(values, dense, atol=1e-12)


@pytest.mark.parametrize("digits", [9, 11])
def test_contrast_does_not_cancel_for_large_n(digits):
    """Against exact arithmetic, where the sum of the degrees' shares has lost all digits."""
    from theory.formulas import contrast
    from theory.params import GraphParameters

    n = 10**digits
    levels = [Fraction(1, 2), Fraction(1, 20), Fraction(1, 20) + Fraction(1, 10**digits)]
    exact = contrast(GraphParameters(*levels, n, 10, n // 12, "block"))
    found = contrast(GraphParameters(*map(float, levels), n, 10, n // 12, "block"))
    assert found == pytest.approx(float(exact), rel=1e-6)  # γ − β itself is rounded
