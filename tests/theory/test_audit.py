import json
from fractions import Fraction

import pytest

from theory import audit, formulas
from theory.audit import RECORDED, THEOREMS, statements, theorems
from theory.audit.__main__ import main
from theory.audit.evidence import small_graphs
from theory.params import GraphParameters
from theory.spectrum import is_positive_semidefinite

F = Fraction


@pytest.fixture(scope="module")
def report():
    return {verdict.name: verdict for verdict in audit.audit()}


def test_every_verdict_is_the_recorded_one(report):
    assert set(report) == set(THEOREMS)
    for name, verdict in report.items():
        assert verdict.verdict == RECORDED[THEOREMS[name]]
        assert verdict.verdict in ("proved", "conditional", "refuted", "asymptotic", "undecided")
        assert (verdict.counterexample is not None) or verdict.verdict not in ("refuted",)


@pytest.mark.parametrize(
    ("name", "graph"),
    [
        ("difficult_equality", "α = 2/3, β = 0, γ = 1/3, n = 2, r = 1, n_d = 1, k = 2"),
        ("difficult_range", "α = 2/3, β = 0, γ = 1/3, n = 2, r = 1, n_d = 2, k = 3"),
        ("removal_condition", "α = 2/3, β = 0, γ = 1/3, n = 2, r = 1, n_d = 1"),
        ("margin_constant", "α = 3/4, β = 1/4, γ = 1/2, n = 2, r = 1, n_d = 2"),
        ("realisability", "α = 3/4, β = 0, γ = 1/2, n = 2, r = 1, n_d = 1"),
        ("temperature_condition", "α = 3/4, β = 1/4, γ = 1/2, n = 1, r = 1, n_d = 1"),
        ("class_direction", "α = 3/5, β = 0, γ = 2/5, n = 2, r = 3, n_d = 2"),
        ("labelling_error", "α = 1/2, β = 0, γ = 1/3, n = 1, r = 1, n_d = 1: δ = 1/4, clean 0"),
        ("monotonicity", "n = 2, r = 1, n_d = 1: λ = 3/8; β = 1/10, γ = 21/100: λ = 61/181"),
    ],
)
def test_the_counterexamples_found_are_those_checked_below(report, name, graph):
    assert graph in report[name].counterexample


@pytest.mark.parametrize("broken", ["class_above_bridge_few_difficult", "block_bulk_between_class_modes"])
def test_a_certificate_that_fails_costs_the_verdict(monkeypatch, broken):
    proved = statements.proved.__wrapped__
    monkeypatch.setattr(statements, "proved", lambda *names: broken not in names and proved(*names))
    assert statements.class_direction().verdict == "undecided"


def test_a_wrong_noise_formula_is_refuted(monkeypatch):
    noisy = theorems.noisy
    monkeypatch.setattr(theorems, "noisy", lambda *a: (noisy(*a)[0], noisy(*a)[1] - 0.05))
    assert statements.noisy_clean().verdict == "refuted"


# The counterexamples of the audit, as exact fractions, checked here by hand-written arithmetic.


def test_difficult_equality_fails_at_the_contrast_mode():
    p = GraphParameters(F(2, 3), F(0), F(1, 3), 2, 2, 1)
    computed, stated = theorems.difficult(p, 2)
    # c2 = 1/3 + 2·2/3 = 5/3, c1 = 2: bridge (1/3 + 1/3)/2, contrast 1 − (2/3)/2 − (2/3)/(5/3)
    assert (computed, stated) == (F(4, 15), F(1, 3))


def test_difficult_range_ends_earlier_without_easy_samples():
    p = GraphParameters(F(2, 3), F(0), F(1, 3), 2, 2, 2)
    assert theorems.difficult_hurts(p, 3) == (False, True)
    assert theorems.difficult_hurts(p, 2) == (True, True)


def test_removal_condition_has_a_factor_too_much():
    p = GraphParameters(F(2, 3), F(0), F(1, 3), 2, 2, 1)
    # g = 1/3 is not above n_d(1−α)/(r(n−n_d)) = 1/3, but above half of it
    assert theorems.removal_condition(p, 2) == (False, True)
    assert formulas.bridge(p) == formulas.removal(p) == F(1, 3)


def test_margin_constant_mixes_two_pairings():
    p = GraphParameters(F(3, 4), F(1, 4), F(1, 2), 2, 2, 2)
    computed, stated = theorems.margin_constant(p, 2)
    # c2 = 1/4 + 2(3/4 + 1/4) = 9/4, c1 = 5/2; exact numerator c2 − β = 2, quoted 1/4 + 3/2 + 0 = 7/4
    assert computed == F(1, 4) * 2 / (F(25, 4) * F(9, 4))
    assert stated == F(1, 4) * F(7, 4) / (F(25, 4) * F(9, 4))
    block = GraphParameters(F(3, 4), F(1, 4), F(1, 2), 2, 2, 2, "block")
    c2, c1 = formulas.degrees(block)
    assert formulas.margins(block, lambda x: x).paired == F(1, 4) * F(7, 4) / (c1 * c1 * c2)


def test_realisability_needs_semidefiniteness():
    p = GraphParameters(F(3, 4), F(0), F(1, 2), 2, 2, 1)
    # class block [[(1/4 + 3/4 − 1/2)/c1, ·], [·, 1/c2]] with determinant ∝ 1/2·1 − 9/16 < 0
    assert theorems.realisability(p, 1) == (False, True)
    assert not is_positive_semidefinite(p)


def test_temperature_condition_fails_for_a_single_difficult_sample():
    p = GraphParameters(F(3, 4), F(1, 4), F(1, 2), 1, 2, 1)
    # n_d² (γ+β) c2 = 3/4·5/4 is not below rβ²n² = 1/16
    assert theorems.temperature_condition(p, 2) == (False, True)


def test_a_realisable_matched_graph_loses_a_class_direction():
    p = GraphParameters(F(3, 5), F(0), F(2, 5), 2, 4, 2)
    assert p.gamma - p.beta <= 1 - p.alpha
    assert theorems.class_direction(p, 3) == (False, True)


def test_labelling_error_depends_on_gamma():
    p = GraphParameters(F(1, 2), F(0), F(1, 3), 1, 2, 1)
    assert formulas.labelling_error(p) == F(1, 4)
    assert formulas.labelling_error(p.clean()) == 0


def test_small_graphs_are_semidefinite_and_the_smallest_first():
    found = list(small_graphs(nodes=6, denominator=4))
    assert found
    assert all(is_positive_semidefinite(p) and not p.is_clean for p in found)
    assert [p.nodes for p in found] == sorted(p.nodes for p in found)
    assert len(set(found)) == len(found)


# --- command ---------------------------------------------------------------------------------------


def test_json_has_the_documented_keys(capsys):
    assert main(["margin_constant", "monotonicity", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    keys = {"name", "statement", "verdict", "condition", "counterexample", "corrected", "evidence"}
    assert [set(row) for row in rows] == [keys, keys]


def test_a_verdict_that_differs_from_the_record_fails(capsys, monkeypatch):
    monkeypatch.setitem(RECORDED, audit.monotonicity, "refuted")
    assert main(["monotonicity"]) == 1
    assert "CONDITIONAL" in capsys.readouterr().out


def test_unknown_names_get_a_suggestion(capsys):
    assert main(["CLEAN", "--brief"]) == 2
    assert "did you mean clean?" in capsys.readouterr().err
    assert main(["qqqq"]) == 2
    assert "one of clean, difficult" in capsys.readouterr().err
    assert main(["margin_constnat"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "error: theorem = margin_constnat violates a known name; did you mean margin_constant?\n"
