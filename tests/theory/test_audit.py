import json
import math
from fractions import Fraction

import numpy as np
import pytest

from theory import audit, formulas, noise
from theory.audit import ASSUMED, RECORDED, THEOREMS, evidence, statements, theorems
from theory.audit.__main__ import main
from theory.audit.evidence import WORDS, small_graphs
from theory.audit.theorems import PairTerm, Probe
from theory.graph import SimilarityGraph
from theory.params import GraphParameters
from theory.spectrum import is_positive_semidefinite

F = Fraction


@pytest.fixture(scope="module")
def report():
    return {verdict.name: verdict for verdict in audit.audit()}


def test_every_verdict_is_the_recorded_one(report):
    assert set(report) == set(THEOREMS)
    for name, verdict in report.items():
        assert verdict.verdict == RECORDED[THEOREMS[name]], name
        assert set(verdict.verdict) <= set(WORDS)
        assert verdict.evidence
        assert verdict.versions.startswith("v2 read in full; v1 unread")


def test_what_fails_comes_with_a_counterexample_and_what_holds(report):
    for name, verdict in report.items():
        if {"refuted", "conditional"} & set(verdict.verdict):
            assert verdict.counterexample, name
        if {"refuted", "conditional", "typo", "undecided"} & set(verdict.verdict):
            assert verdict.corrected, name


# --- a check that cannot fail is a defect: each statement with a sign or a factor changed ------------


def lowered(p):
    return ((1 - p.alpha) - p.r * (p.gamma - p.beta)) / formulas.difficult_degree(p)


def identity_with(**changed):
    """``loss_identity`` whose loss takes another sign or factor than its factorisation."""

    def identity(weight, degrees, product, margin=0, tau=1):
        values = {"weight": weight, "margin": margin, "tau": tau}
        values |= {name: change(values[name]) for name, change in changed.items()}
        loss = theorems.loss_identity(values["weight"], degrees, product, values["margin"], values["tau"]).loss
        return PairTerm(loss, theorems.loss_identity(weight, degrees, product, margin, tau).factorised)

    return identity


def negative(value):
    return -value


def lenient(probes):
    return tuple(Probe(probe.left, 4 * probe.right) for probe in probes)


def with_minus_c(p, constant):
    c1, own, across = formulas.difficult_degree(p), 1 - p.alpha, p.r * (p.gamma - p.beta)
    bracket = formulas.cross_mass(p) / 2 - constant + (own + across) / c1 * constant
    return bracket / (1 - (own - across) / c1)


MUTATIONS = [
    ("clean", lambda p: (1 - p.alpha) / (formulas.easy_degree(p) - 2 * p.r * p.beta)),
    ("difficult", lowered),
    ("difficult", lambda p: formulas.contrast(p)),
    ("strictly_worse", lowered),
    ("gap_hurts", lowered),
    ("reduces", lambda p: ((1 - p.alpha) + p.r * p.gamma) / formulas.difficult_degree(p)),
    ("removal", lambda p: (1 - p.alpha) / ((1 - p.alpha) + (p.n + p.n_d) * (p.alpha + p.r * p.beta))),
    ("removal_condition", lambda p: theorems.removal_threshold(p) / p.n),
    ("margin_loss", identity_with(margin=negative)),
    ("margin_constant", lambda p: formulas.paired_margin(p) * formulas.difficult_degree(p)),
    ("margin_cases", lambda p: formulas.margins(p, math.sqrt)),
    ("margin_cases", lambda p: formulas.margins(p, math.sqrt).combine(negative)),
    ("margin_others", lambda p: formulas.paired_margin(p) / p.n),
    ("margin", lambda p, sqrt: theorems.with_margins(p, sqrt, formulas.margins(p, sqrt).combine(negative))),
    ("temperature_loss", identity_with(tau=lambda tau: 2 * tau)),
    (
        "temperature_factors",
        lambda p, sqrt: theorems.with_temperatures(p, sqrt, formulas.temperatures(p, sqrt).combine(lambda t: 1 / t)),
    ),
    (
        "temperature",
        lambda p, delta: formulas.probing_bound(formulas.clean_bulk(p), delta) - formulas.temperature_excess(p, delta),
    ),
    ("temperature_orders", lambda p: formulas.contrast(p)),
    ("temperature_condition", lambda p: theorems.temperature_wins(p) * (1 - p.n_d) - 1),
    ("weighted_probing", lambda beta, tau: lenient(theorems.probing_two_nodes(beta, tau))),
    ("weighted_rayleigh", lambda tau: theorems.rayleigh_two_nodes(F(1))),
    ("weighted_cut", lambda tau: theorems.cut_two_nodes(F(1))),
    ("noisy_clean", lambda share: 2 - noise.printed_quantile(share)),
    ("noisy_difficult", lambda share: 2 - noise.printed_quantile(share)),
    ("noise_quantile", lambda share: noise.printed_quantile(2 * share)),
    ("noise_range", lambda p: theorems.noise_limit(p, formulas.clean_bulk)),
    ("noise_remedies", lambda p, scaled: formulas.removal(p) + scaled / formulas.easy_degree(p)),
    ("lower_bound", with_minus_c),
    ("lower_bound_trend", lambda p: -theorems.lower_bound_trend(p)),
    ("bound_trend", lowered),
    ("gap_test", lambda shared=1.0: theorems.pair_test_rejections(shared=0.0)),
    ("loss_factorisation", identity_with(weight=negative)),
    ("shared_minimum", lambda density: density * density),
    ("realisability", lambda p: True),
    ("equal_delta", lambda p: formulas.cross_mass(p.clean())),
    ("classes_lead", lambda p, dim: True),
    ("divides", lambda n, n_d: True),
    ("positive_gap", lambda p: 1),
    ("independent_noise", lambda samples: samples),
]


def test_every_statement_has_a_mutation():
    assert {name for name, _ in MUTATIONS} == set(THEOREMS)


@pytest.mark.parametrize(("name", "wrong"), MUTATIONS)
def test_a_changed_statement_gets_another_verdict(name, wrong):
    assert THEOREMS[name](wrong).verdict != RECORDED[THEOREMS[name]]


@pytest.mark.parametrize(
    ("name", "certificate"),
    [
        ("difficult", "class_over_printed"),
        ("difficult", "contrast_above_bulk"),
        ("strictly_worse", "strictly_worse"),
        ("gap_hurts", "contrast_rises"),
        ("removal_condition", "removal_loses_beyond"),
        ("margin", "cross_mass_rises"),
        ("temperature_condition", "temperature_condition_at_contrast"),
        ("realisability", "psd_class_modes"),
    ],
)
def test_a_certificate_that_fails_costs_the_verdict(monkeypatch, name, certificate):
    proved = evidence.proved.__wrapped__
    module = statements if hasattr(statements, name) else audit.assumptions
    monkeypatch.setattr(module, "proved", lambda *names: certificate not in names and proved(*names))
    assert THEOREMS[name]().verdict != RECORDED[THEOREMS[name]]


@pytest.mark.parametrize("name", ["class_over_printed", "contrast_over_printed"])
def test_a_wrong_condition_costs_the_verdict(monkeypatch, name):
    right = getattr(formulas, name)
    monkeypatch.setattr(formulas, name, lambda p: -right(p))
    assert statements.difficult().verdict.printed == "undecided"


# --- the counterexamples, by hand -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "graph"),
    [
        ("difficult", "α = 2/5, β = 0, γ = 1/5, n = 3, r = 1, n_d = 2, k = 2: λₖ₊₁ = 37/99, printed 4/11"),
        ("strictly_worse", "α = 1/3, β = 0, γ = 1/6, n = 4, r = 1, n_d = 3"),  # equal there
        ("removal_condition", "α = 1/2, β = 0, γ = 1/3, n = 3, r = 1, n_d = 1, k = 2"),
        ("margin_cases", "α = 2/3, β = 0, γ = 1/3, n = 2, r = 2, n_d = 1"),
        ("temperature_condition", "α = 6/7, β = 4/7, γ = 5/7, n = 4, r = 2, n_d = 1, k = 3"),
        ("realisability", "α = 3/4, β = 0, γ = 1/2, n = 2, r = 1, n_d = 1"),
        ("classes_lead", "α = 7/10, β = 2/5, γ = 3/5, n = 2, r = 6, n_d = 1, k = 7"),
        ("equal_delta", "α = 2/3, β = 0, γ = 1/3, n = 2, r = 1, n_d = 1: φ = 1/11, clean 0"),
        ("weighted_rayleigh", "left side is 1/10, the right side 0"),
        ("weighted_probing", "squared distance 1/2 > 33/200, error 1/2 > 33/100"),
        ("lower_bound", "α = 3/4, β = 0, γ = 1/4, n = 4, r = 1, n_d = 3, C = 20"),
    ],
)
def test_the_counterexamples_found_are_those_checked_below(report, name, graph):
    assert graph in report[name].counterexample


@pytest.mark.parametrize(
    ("p", "computed", "printed"),
    [
        (GraphParameters(F(2, 5), F(0), F(1, 5), 3, 2, 2), F(37, 99), F(4, 11)),
        (statements.EXCEEDED, F(7, 45), F(3, 20)),
    ],
)
def test_the_difficult_eigenvalue_is_exceeded_on_the_papers_graph(p, computed, printed):
    # EXCEEDED: c2 = 2/5 + 4·4/5 = 18/5, c1 = 18/5 + 2/5 = 4; printed (2/5 + 1/5)/4 = 3/20;
    # contrast 1/9 + 2·2·(4/5)(1/5)/(4·18/5) = 1/9 + 2/45 = 7/45
    assert is_positive_semidefinite(p)
    assert p.r + 1 < p.n_d + p.r + 1 <= p.nodes
    assert (theorems.kth_eigenvalue(p, p.r + 1), formulas.difficult(p)) == (computed, printed)
    dense = np.linalg.eigvalsh(SimilarityGraph(p).normalized_adjacency())[::-1]
    assert dense[p.r + 1] == pytest.approx(float(computed), abs=1e-12)
    assert dense[-1] > -1e-12


def test_the_printed_value_may_lie_between_both_modes():
    """The contrast exceeds eq. 4's λ, the upper class mode does not: λᵣ₊₂ is the class mode, the printed λ holds."""
    p = statements.BETWEEN
    assert is_positive_semidefinite(p)
    assert formulas.contrast(p) > formulas.difficult(p) > theorems.class_upper(p) == theorems.kth_eigenvalue(p, p.r + 1)
    assert not theorems.exceeds_printed(p)
    assert theorems.exceeds_printed(statements.LOST_AND_EXCEEDED)


def random_graphs(count=2000):
    rng = np.random.default_rng(0)
    for _ in range(count):
        d = int(rng.integers(3, 30))
        low, middle, top = (int(v) for v in sorted(rng.choice(d, 3, replace=False)))
        n, r = int(rng.integers(2, 9)), int(rng.integers(1, 6))
        p = GraphParameters(F(top, d), F(low, d), F(middle, d), n, r + 1, int(rng.integers(1, n)))
        if is_positive_semidefinite(p):
            yield p


def test_the_condition_of_the_difficult_row_onrandom_graphs():
    for p in random_graphs():
        exceeded = theorems.kth_eigenvalue(p, p.r + 1) > formulas.difficult(p)
        assert exceeded == theorems.exceeds_printed(p)


def test_the_lost_graph_loses_a_class_mode():
    p = statements.LOST
    assert is_positive_semidefinite(p)
    assert theorems.class_upper(p) < formulas.contrast(p)
    assert not theorems.labels_survive(p, p.r + 1)
    assert theorems.labels_survive(p, p.r + 2)


def test_eq_4_is_below_eq_3_where_the_difficult_are_many():
    p = GraphParameters(F(1, 3), F(0), F(1, 6), 5, 2, 4)
    # c2 = 2/3 + 5/3 = 7/3 < n_d(1 − α) = 8/3; c1 = 3: (2/3 + 1/6)/3 = 5/18 < (2/3)/(7/3) = 2/7
    assert (formulas.difficult(p), formulas.clean_bulk(p)) == (F(5, 18), F(2, 7))
    assert is_positive_semidefinite(p)


def test_removal_loses_on_the_graph_where_its_condition_holds():
    p = GraphParameters(F(1, 2), F(0), F(1, 3), 3, 2, 1)
    # c2 = 2, c1 = 7/3, contrast 1/4 + 2·(1/2)(1/3)/(14/3) = 1/4 + 1/14 = 9/28; removal (1/2)/(3/2) = 1/3;
    # printed (1/2 + 1/3)/(7/3) = 5/14 > 1/3
    assert (formulas.difficult(p), formulas.removal(p), theorems.kth_eigenvalue(p, 2)) == (F(5, 14), F(1, 3), F(9, 28))
    assert p.gamma - p.beta > theorems.removal_threshold(p)


def test_margins_of_eq_36_need_the_r():
    p = GraphParameters(F(2, 3), F(0), F(1, 3), 2, 3, 1)
    # c2 = 5/3, c1 = 5/3 + 2/3 = 7/3; with the r (5/3)(1/3)/((49/9)(5/3)) = 3/49, without (5/3)(1/3)/(4·5/3) = 1/12
    assert formulas.paired_margin(p) == F(3, 49)
    assert statements.printed_margins(p).paired == F(1, 12)


def test_lemma_b2_by_hand():
    v, tau = np.array([1, 1]) / np.sqrt(2), np.array([1, 2])
    u = tau * v
    laplacian = np.eye(2) - np.full((2, 2), 0.5)
    assert (u / tau) @ laplacian @ (u / tau) == pytest.approx(0)
    assert min(((u - b * v) ** 2 / tau**2).sum() for b in np.linspace(-3, 3, 6001)) == pytest.approx(0.1, abs=1e-6)


def test_lemma_b1_by_hand():
    """One feature of two nodes, whatever it is, leaves a squared distance of ½; eq. 55 without temperatures says ¼."""
    rng, beta = np.random.default_rng(0), 1 / 99
    delta = beta / (1 + beta)
    posterior = np.array([[1 - delta, delta], [delta, 1 - delta]])
    labels = np.eye(2) * np.sqrt(0.5)
    for feature in rng.standard_normal((20, 2)):
        unit = feature / np.linalg.norm(feature)
        assert ((labels - np.outer(unit, unit @ labels)) ** 2).sum() == pytest.approx(0.5)
        scaled = posterior * np.sqrt(0.5)
        within = ((scaled - np.outer(unit, unit @ scaled)) ** 2).sum()
        assert within + 1 - (scaled**2).sum() >= 0.5 - 1e-12


def test_lemma_b1_fails_with_as_many_features_as_classes_too():
    """n = 2, r = 1, k = 2: for large temperatures across the classes the minimiser gives both the same features."""
    from scipy.optimize import minimize

    p = GraphParameters(0.5, 0.01, 0.01, 2, 2, 0)
    adjacency, classes = SimilarityGraph(p).normalized_adjacency(), np.repeat([0, 1], 2)
    tau = np.where(classes[:, None] == classes, 1.0, 100.0)

    def loss(flat):
        features = flat.reshape(4, 2)
        residual = (features @ features.T - tau * adjacency) / tau**2
        return ((features @ features.T - tau * adjacency) ** 2 / tau**2).sum(), (4 * residual @ features).ravel()

    starts = np.random.default_rng(0).standard_normal((40, 8)) / 2
    best = min((minimize(loss, start, jac=True) for start in starts), key=lambda found: found.fun)
    features, labels = best.x.reshape(4, 2), np.eye(2)[classes] / 2
    distance = ((labels - features @ np.linalg.lstsq(features, labels)[0]) ** 2).sum()
    phi = formulas.cross_mass(p)
    assert distance == pytest.approx(0.5, abs=1e-4)
    assert distance > phi / 100**2 / (1 - formulas.clean_bulk(p)) + 4 * phi == pytest.approx(0.053, abs=1e-3)


def test_the_probe_errs_only_with_the_labels_where_the_class_modes_are_held():
    p = GraphParameters(0.6, 0.2, 0.4, 6, 4, 3)
    assert theorems.probe_misses(p, p.r) > 0
    assert theorems.probe_misses(p, p.r + 2) == 0


def test_table_10_is_eq_4():
    for row, (_, _, _, eigenvalue) in enumerate(theorems.TABLE_10):
        assert formulas.difficult(theorems.table_10_graph(row)) == pytest.approx(eigenvalue, rel=0.003)
        assert not is_positive_semidefinite(theorems.table_10_graph(row))


def test_the_temperature_comparison_can_refute():
    p, dim = statements.TEMPERED[0]
    found = theorems.weighted_probe(p, dim)
    delta = formulas.cross_mass(p) / 2
    assert found.error > delta / 2
    assert 0 < found.error < theorems.temperature_bound(p, delta)
    assert found.loss_factor <= 1 + 1e-6


def test_small_graphs_are_semidefinite_and_the_smallest_first():
    found = small_graphs(6, 4)
    assert found
    assert all(is_positive_semidefinite(p) and not p.is_clean and p.n_d < p.n for p in found)
    assert [p.nodes for p in found] == sorted(p.nodes for p in found)
    assert len(set(found)) == len(found)


# --- command ---------------------------------------------------------------------------------------


def test_json_has_the_documented_keys(capsys):
    assert main(["margin_constant", "equal_delta", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    keys = {"name", "source", "statement", "verdict", "counterexample", "corrected", "evidence", "versions", "assumed"}
    assert [set(row) for row in rows] == [keys, keys]
    assert rows[0]["verdict"] == {"printed": "true", "theorem": "true", "proof": "true"}
    assert [row["assumed"] for row in rows] == [False, True]


def test_text_explains_its_words(capsys):
    assert main(["lower_bound", "equal_delta"]) == 0
    out = capsys.readouterr().out
    assert "printed: REFUTED (fails within its own range" in out
    assert "taken for granted: REFUTED" in out


def test_brief_names_the_version_and_lists_assumptions_apart(capsys):
    assert main(["reduces", "divides", "--brief"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "arXiv 2501.01317v2" in lines[0]
    assert lines.index("taken for granted") < next(i for i, line in enumerate(lines) if line.startswith("divides"))


def test_assumptions_are_no_statements():
    assert {function.__name__ for function in ASSUMED} == set(name for name in THEOREMS if audit.is_assumption(name))


def test_a_verdict_that_differs_from_the_record_fails(capsys, monkeypatch):
    monkeypatch.setitem(RECORDED, statements.reduces, evidence.Words("refuted"))
    assert main(["reduces"]) == 1
    assert "TRUE" in capsys.readouterr().out


def test_unknown_names_get_a_suggestion(capsys):
    assert main(["CLEAN", "--brief"]) == 2
    assert "did you mean clean?" in capsys.readouterr().err
    assert main(["qqqq"]) == 2
    assert "one of clean, difficult" in capsys.readouterr().err
    assert main(["margin_constnat"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "error: theorem = margin_constnat violates a known name; did you mean margin_constant?\n"
