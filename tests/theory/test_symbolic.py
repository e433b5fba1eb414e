from fractions import Fraction

import numpy as np
import pytest
import sympy as sp
from hypothesis import given

from tests.theory.graphs import REFERENCE, graphs
from theory import exact, formulas, symbolic
from theory.bounds import error_bounds
from theory.checks import ParameterError
from theory.graph import SimilarityGraph
from theory.kinds import PAIRINGS
from theory.params import GraphParameters, SixLevels
from theory.spectrum import spectrum

POINT = GraphParameters(Fraction(387, 1000), Fraction(208, 1000), Fraction(241, 1000), 8, 3, 2)
VALUES = {
    symbolic.alpha: sp.Rational(387, 1000),
    symbolic.beta: sp.Rational(208, 1000),
    symbolic.gamma: sp.Rational(241, 1000),
    symbolic.n: 8,
    symbolic.r: 2,
    symbolic.n_d: 2,
    symbolic.delta: sp.Rational(1, 100),
}


@given(graphs(exact=True))
def test_blocks_have_the_dense_eigenvalues(p):
    """The blocks are written down from the weights; the closed forms play no part here."""
    if p.n_d in (0, p.n):
        return
    values = []
    for block, multiplicity in symbolic.blocks(p).values():
        if len(block) == 1:
            values += [float(block[0])] * multiplicity
        else:
            difficult, easy, coupling = (float(entry) for entry in block)
            matrix = [[difficult, coupling**0.5], [coupling**0.5, easy]]
            values += [v for v in np.linalg.eigvalsh(matrix) for _ in range(multiplicity)]
    dense = np.linalg.eigvalsh(SimilarityGraph(p).normalized_adjacency())
    np.testing.assert_allclose(sorted(values), dense, atol=1e-12)


@pytest.mark.parametrize("pairing", PAIRINGS)
def test_multiplicities_sum_to_the_number_of_nodes(pairing):
    p = symbolic.Symbols(pairing)
    assert sp.expand(sum(symbolic.multiplicities(p).values()) - p.n * (p.r + 1)) == 0
    assert set(symbolic.multiplicities(p)) == set(symbolic.eigenvalues(p))


def test_six_levels_take_the_numeric_values():
    six, p = symbolic.SixSymbols(), SixLevels((0.62, 0.58, 0.55), (0.05, 0.06, 0.09), 12, 3, 4)
    values = dict(zip((*six.within, *six.across), (*p.within, *p.across), strict=True))
    values |= {symbolic.n: p.n, symbolic.r: p.r, symbolic.n_d: p.n_d}
    counts = symbolic.multiplicities(six)
    found = {
        mode: (float(e.subs(values)), int(sp.sympify(counts[mode]).subs(values)))
        for mode, e in symbolic.eigenvalues(six).items()
    }
    assert found == {mode: (pytest.approx(eigenvalue, rel=1e-12), count) for mode, eigenvalue, count in spectrum(p)}


def test_expressions_take_the_numeric_values():
    p = symbolic.Symbols()
    bounds = error_bounds(REFERENCE, 4, 0.01)
    for name, expression in symbolic.bounds(p).items():
        assert float(expression.subs(VALUES)) == pytest.approx(bounds[name].bound, rel=1e-12)
    upper = symbolic.eigenvalues(p)["class_upper"].subs(VALUES)
    assert float(upper) == pytest.approx(float(formulas.class_modes(POINT, exact.sqrt)[0]), rel=1e-12)
    assert symbolic.cross_mass(p).subs(VALUES) == sp.Rational(*formulas.cross_mass(POINT).as_integer_ratio())


def test_block_bounds_take_the_numeric_values():
    p = GraphParameters(0.5, 0.05, 0.051, 20, 3, 5, "block")
    values = {symbolic.alpha: 0.5, symbolic.beta: 0.05, symbolic.gamma: 0.051, symbolic.n: 20, symbolic.r: 2}
    values |= {symbolic.n_d: 5, symbolic.delta: 0.01}
    bounds = error_bounds(p, 3, 0.01)
    for name, expression in symbolic.bounds(symbolic.Symbols("block")).items():
        assert float(expression.subs(values)) == pytest.approx(bounds[name].bound, rel=1e-12)


def test_conditions_at_the_reference_graph():
    found = {name: bool(condition.subs(VALUES)) for name, condition in symbolic.conditions(symbolic.Symbols()).items()}
    assert found == {
        "strictly_worse": True,
        "removal": False,
        "removal_at_contrast": False,
        "temperature": False,
        "printed_exceeded": True,
    }
    at_one = {**VALUES, symbolic.n_d: 1}
    assert bool(symbolic.conditions(symbolic.Symbols())["temperature"].subs(at_one))
    assert not bool(symbolic.conditions(symbolic.Symbols())["printed_exceeded"].subs(at_one))


@pytest.mark.parametrize("pairing", PAIRINGS)
def test_margins_and_temperatures_print(pairing):
    p = symbolic.Symbols(pairing)
    for table in (symbolic.margins(p), symbolic.temperatures(p)):
        assert len(table) == 9
        assert all(sp.latex(entry) for entry in table)


def test_margin_at_equal_levels_vanishes():
    p = symbolic.Symbols(replaced={symbolic.gamma: symbolic.beta})
    assert all(sp.sympify(entry).subs(VALUES) == 0 for entry in symbolic.margins(p))


def test_unknown_pairing():
    with pytest.raises(ParameterError, match="pairing = random"):
        symbolic.Symbols("random")
