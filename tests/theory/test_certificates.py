from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.theory.graphs import graphs
from theory import certificates, formulas
from theory.certificates import CLAIMS, Certificate, certify, check, check_with_z3, load, strict_at
from theory.checks import ParameterError

STORED = load()


def test_every_claim_has_a_stored_certificate():
    assert set(STORED) == set(CLAIMS)


@pytest.mark.parametrize("name", CLAIMS)
def test_stored_certificates_prove_their_claims(name):
    assert check(STORED[name])


@pytest.mark.parametrize("name", ["bridge_above_bulk", "removal_condition", "psd_class_modes", "class_over_printed"])
def test_a_tampered_certificate_is_caught(name):
    good = STORED[name]
    (coefficient, exponents), *rest = good.numerator
    assert not check(replace(good, numerator=((coefficient + 1, exponents), *rest)))
    assert not check(replace(good, numerator=((-coefficient, exponents), *rest)))
    assert not check(replace(good, numerator=tuple(rest)))
    assert not check(replace(good, denominator=good.numerator))
    assert not check(replace(good, numerator=(), denominator=()))
    assert not check(replace(good, numerator=()))


def test_a_false_claim_has_no_certificate(monkeypatch):
    claim = CLAIMS["contrast_above_bulk"]
    false = replace(claim, name="false", expression=lambda p: -claim.expression(p))
    monkeypatch.setitem(CLAIMS, "false", false)
    with pytest.raises(ParameterError, match="has no positivity certificate"):
        certify("false")
    sometimes = replace(claim, name="sometimes", expression=lambda p: p.alpha - 2 * p.gamma)
    monkeypatch.setitem(CLAIMS, "sometimes", sometimes)
    with pytest.raises(ParameterError, match="has no positivity certificate"):
        certify("sometimes")


def test_unknown_certificates_are_refused():
    with pytest.raises(ParameterError, match="certificate = magic violates one of"):
        check(Certificate("magic", ((1, (0,) * 9),), ((1, (0,) * 9),)))


@given(graphs(exact=True))
def test_claims_hold_at_exact_points(p):
    """Every claim, evaluated on rational graphs, has the sign of its condition."""
    if p.is_clean:
        return
    of_sizes = certificates.SIZES if p.n_d < p.n else certificates.ALL_DIFFICULT
    for claim in CLAIMS.values():
        if claim.pairing != p.pairing or claim.sizes is not of_sizes:
            continue
        if claim.name in ("printed_rises", "contrast_rises", "cross_mass_rises"):
            continue  # these compare two graphs
        if p.beta == 0 and (claim.name.startswith("temperature") or not strict_at(STORED[claim.name], {"b"})):
            continue
        value = claim.expression(p)
        condition = Fraction(1) if claim.condition is None else claim.condition(p)
        assert (value > 0) == (condition > 0)
        assert (value == 0) == (condition == 0)


@given(graphs(exact=True), st.integers(1, 9))
def test_claims_about_a_larger_gamma_hold_at_exact_points(p, tenths):
    if p.is_clean or p.n_d == p.n or p.pairing != "block":
        return
    raised = replace(p, gamma=p.gamma + (p.alpha - p.gamma) * tenths / 10)
    assert (formulas.difficult(raised) > formulas.difficult(p)) == (formulas.strictly_worse(p) > 0)
    assert formulas.contrast(raised) > formulas.contrast(p)
    assert formulas.cross_mass(raised) > formulas.cross_mass(p)


@given(st.integers(1, 4), st.integers(0, 3), st.integers(0, 3), graphs(exact=True))
def test_class_modes_lie_above_the_bridge_for_as_many_samples_as_classes(n_d, more, r_less, p):
    """The two case distinctions of the certificate cover n >= r + 1."""
    r = max(1, n_d + more - r_less)
    n = max(r + 1, n_d) + more
    graph = replace(p, pairing="matched", samples_per_class=n, classes=r + 1, difficult=n_d)
    if not graph.is_clean:
        assert CLAIMS["class_above_bridge_few_difficult"].expression(graph) > 0


def test_strictness_at_beta_zero_is_read_off_the_terms():
    assert strict_at(STORED["contrast_above_bulk"], {"b"})
    assert not strict_at(STORED["margin_at_most_gap"], {"b"})  # σ* = γ − β at β = 0
    assert not strict_at(STORED["contrast_above_bulk"], {"x"})  # equality at γ = β


def test_an_smt_solver_agrees():
    pytest.importorskip("z3")
    for name in ("bridge_above_bulk", "psd_anti_bridge", "margin_at_most_gap"):
        assert check_with_z3(STORED[name], seconds=60) is True
