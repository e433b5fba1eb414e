import math
from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.theory.graphs import graphs
from theory import balls, exact, formulas
from theory.checks import ParameterError
from theory.exact import Surd, sqrt
from theory.params import GraphParameters
from theory.spectrum import nth_mode, spectrum

small = st.fractions(-3, 3, max_denominator=20)
irrational = st.fractions(Fraction(1, 20), 9, max_denominator=20).filter(lambda q: not isinstance(sqrt(q), Fraction))


@given(small, small, small, small, irrational)
def test_surd_arithmetic_and_order_agree_with_floats(a, b, c, d, q):
    x, y = Surd(a, b, q), Surd(c, d, q)
    fx, fy = float(a) + float(b) * math.sqrt(q), float(c) + float(d) * math.sqrt(q)
    assert float(x) == pytest.approx(fx, abs=1e-12)
    assert float(x + y) == pytest.approx(fx + fy, abs=1e-12)
    assert float(x - y) == pytest.approx(fx - fy, abs=1e-12)
    assert float(x * y) == pytest.approx(fx * fy, abs=1e-11)
    assert float(1 - x) == pytest.approx(1 - fx, abs=1e-12)
    if y != 0:
        assert float(x / y) == pytest.approx(fx / fy, rel=1e-9, abs=1e-12)
        assert (x / y) * y == x
    if abs(fx - fy) > 1e-9:
        assert (x < y) == (fx < fy)
        assert (x > c) == (fx > c) or abs(fx - c) < 1e-9


def test_order_is_exact_where_floats_cannot_tell():
    # 665857/470832 is above √2 by 1.6e-12, its continued-fraction successor by 3e-25
    assert sqrt(2) < Fraction(665857, 470832)
    below = Fraction(1572584048032918633353217, 1111984844349868137938112)
    assert float(below) == math.sqrt(2)
    assert (sqrt(2) < below) == (below * below > 2)
    assert sqrt(2) * sqrt(2) == 2
    assert sqrt(2) - sqrt(2) == 0


def test_square_roots_of_squares_are_fractions():
    assert sqrt(Fraction(9, 4)) == Fraction(3, 2)
    assert isinstance(sqrt(Fraction(9, 4)), Fraction)
    with pytest.raises(ParameterError, match="value >= 0"):
        sqrt(Fraction(-1, 2))


def test_different_radicands_do_not_mix():
    with pytest.raises(ParameterError, match="independent radicands"):
        sqrt(2) + sqrt(3)
    assert sqrt(8) == 2 * sqrt(2)
    assert hash(sqrt(8)) == hash(2 * sqrt(2))
    assert sqrt(8) > sqrt(2)


@given(graphs(exact=True))
def test_exact_spectra_are_the_rounded_ones_and_sum_to_the_trace(p):
    modes = spectrum(p, exact.sqrt)
    rounded = GraphParameters(float(p.alpha), float(p.beta), float(p.gamma), p.n, p.classes, p.n_d, p.pairing)
    approximate = {mode.mode: mode.eigenvalue for mode in spectrum(rounded)}
    for mode in modes:
        assert float(mode.eigenvalue) == pytest.approx(approximate[mode.mode], abs=1e-12)
    c2, c1 = p.degrees
    trace = sum(mode.eigenvalue * mode.multiplicity for mode in modes)
    assert trace == p.classes * (Fraction(p.n_d) / c1 + Fraction(p.n - p.n_d) / c2)


def exact_characteristic_polynomial(p):
    """Of D^{-1}A, which is rational and similar to the normalised adjacency."""
    flint = pytest.importorskip("flint")
    weights = [[_weight(p, divmod(u, p.n), divmod(v, p.n)) for v in range(p.nodes)] for u in range(p.nodes)]
    rows = [[flint.fmpq(*(w / sum(row)).as_integer_ratio()) for w in row] for row in weights]
    return flint, flint.fmpq_mat(rows).charpoly()


def _weight(p, first, second):
    (i, k), (j, m) = first, second
    if first == second:
        return Fraction(1)
    if i == j:
        return p.alpha
    both = k < p.n_d and m < p.n_d
    one = p.pairing == "any" and (k < p.n_d or m < p.n_d)
    return p.gamma if one or (both and (p.pairing == "block" or (p.pairing == "matched" and k == m))) else p.beta


@given(graphs(exact=True))
def test_independent_oracle_the_characteristic_polynomial_of_the_rational_matrix(p):
    """Π (x − λ)^multiplicity, class modes as a quadratic, equals the characteristic polynomial exactly."""
    assume(p.nodes <= 20)
    flint, expected = exact_characteristic_polynomial(p)

    def number(value):
        return flint.fmpq(*Fraction(value).as_integer_ratio())

    x = flint.fmpq_poly([0, 1])
    product = flint.fmpq_poly([1])
    for mode in spectrum(p, exact.sqrt):
        if isinstance(mode.eigenvalue, Surd):
            if mode.mode == "class_upper":
                difficult, easy, coupling = formulas.class_block(p)
                trace, determinant = difficult + easy, difficult * easy - coupling
                factor = x * x - number(trace) * x + number(determinant)
                product *= factor**mode.multiplicity
        else:
            product *= (x - number(mode.eigenvalue)) ** mode.multiplicity
    assert product == expected


@given(graphs(exact=True), st.integers(1, 30))
def test_floats_find_the_exact_mode(p, j):
    assume(j <= p.nodes)
    exactly = nth_mode(spectrum(p, exact.sqrt), j)
    rounded = GraphParameters(float(p.alpha), float(p.beta), float(p.gamma), p.n, p.classes, p.n_d, p.pairing)
    assert nth_mode(spectrum(rounded), j).eigenvalue == pytest.approx(float(exactly.eigenvalue), abs=1e-12)


# --- balls -----------------------------------------------------------------------------------------


@given(graphs(exact=True))
def test_balls_prove_what_fractions_say(p):
    pytest.importorskip("flint")
    if p.is_clean or p.n_d == p.n:
        return
    left, right = formulas.bulk(p), formulas.contrast(p)
    answer = balls.is_less(p, formulas.bulk, formulas.contrast)
    assert answer == ("proved" if left < right else "refuted" if left > right else "undecided")
    upper = formulas.class_modes(p, exact.sqrt)[0]
    answer = balls.is_less(p, formulas.bulk, balls.class_upper)
    assert answer == ("proved" if formulas.bulk(p) < upper else "refuted")


def test_equal_values_are_undecided_and_close_ones_need_more_bits():
    pytest.importorskip("flint")
    p = GraphParameters(Fraction(1, 2), Fraction(1, 3), Fraction(1, 3), 4, 3, 2)
    assert balls.is_less(p, formulas.bulk, formulas.contrast) == "undecided"
    close = GraphParameters(Fraction(1, 2), Fraction(1, 3), Fraction(1, 3) + Fraction(1, 10**60), 4, 3, 2)
    assert balls.is_less(close, formulas.bulk, formulas.contrast) == "proved"
    assert balls.is_less(close, formulas.contrast, formulas.bulk) == "refuted"
