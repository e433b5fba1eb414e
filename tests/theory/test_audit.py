import json
from fractions import Fraction

import pytest

from theory import audit, formulas, theorems
from theory.audit import RECORDED, THEOREMS, main, small_graphs
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
    assert "PROVED" in capsys.readouterr().out


def test_unknown_names_get_a_suggestion(capsys):
    assert main(["margin_constnat"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "error: theorem = margin_constnat violates a known name; did you mean margin_constant?\n"
