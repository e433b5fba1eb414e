import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.theory.graphs import REFERENCE, graphs
from theory.bounds import error_bounds
from theory.bounds.__main__ import main
from theory.checks import ParameterError
from theory.graph import SimilarityGraph
from theory.params import GraphParameters
from theory.spectrum import is_positive_semidefinite

COMMAND = ["--alpha", ".5", "--beta", ".05", "--gamma", ".2"]


@given(graphs(), st.integers(1, 40), st.floats(0, 1))
def test_exact_eigenvalues_are_those_of_the_dense_graphs(p, dim, delta):
    assume(dim < p.nodes and is_positive_semidefinite(p))
    bounds = error_bounds(p, dim, delta)

    def dense(graph):
        return np.linalg.eigvalsh(SimilarityGraph(graph).normalized_adjacency())[::-1][dim]

    assert bounds["difficult"].eigenvalue_exact == pytest.approx(dense(p), abs=1e-12)
    for name in ("clean", "margin"):
        assert bounds[name].eigenvalue_exact == pytest.approx(dense(p.clean()), abs=1e-12)
    if bounds["removal"].bound is not None:
        assert bounds["removal"].eigenvalue_exact == pytest.approx(dense(p.without_difficult()), abs=1e-12)
    else:
        assert p.n_d == p.n or dim >= p.classes * (p.n - p.n_d)


@given(graphs(), st.integers(1, 40), st.floats(0, 1))
def test_stated_bounds_hold_in_their_range(p, dim, delta):
    """The stated eigenvalue is the exact one for clean graphs and an upper bound for difficult ones."""
    assume(dim < p.nodes and is_positive_semidefinite(p))
    for name, bound in error_bounds(p, dim, delta).items():
        if bound.bound is None:
            continue
        assert bound.vacuous == (bound.bound > 1)
        if not bound.applies:
            continue
        if bound.eigenvalue is not None:
            assert bound.bound == pytest.approx(4 * delta / (1 - bound.eigenvalue) + 8 * delta)
            assert bound.eigenvalue_exact <= bound.eigenvalue + 1e-12
        if name in ("clean", "removal", "margin"):
            assert bound.eigenvalue == pytest.approx(bound.eigenvalue_exact, abs=1e-12)


@given(graphs(), st.integers(1, 40), st.floats(0, 0.5))
def test_excess_is_the_difference_of_the_bounds(p, dim, delta):
    assume(dim < p.nodes and is_positive_semidefinite(p))
    bounds = error_bounds(p, dim, delta)
    for bound in bounds.values():
        if bound.bound is not None:
            expected = bound.bound - bounds["clean"].bound
            assert bound.excess_over_clean == pytest.approx(expected, abs=1e-12 * max(1, bound.bound))


@given(graphs(clean=True), st.integers(1, 40))
def test_clean_graphs_have_one_bound(p, dim):
    assume(dim < p.nodes)
    bounds = error_bounds(p, dim, 0.05)
    for name in ("difficult", "margin", "temperature"):
        assert bounds[name].bound == bounds["clean"].bound
        assert bounds[name].excess_over_clean == 0
        assert bounds[name].applies == bounds["clean"].applies


def test_temperature_bound_follows_the_paper():
    share, ratio = (2 / 8) ** 2, (0.241 / 0.208) ** 2
    clean_lambda = 0.613 / 7.037
    expected = 4 * (1 - share + ratio * share) * 0.01 / (1 - clean_lambda) + 0.08
    assert error_bounds(REFERENCE, 4, 0.01)["temperature"].bound == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("dim", "applies"), [(2, False), (3, True), (4, True), (5, False)])
def test_range_of_the_difficult_bound(dim, applies):
    assert error_bounds(REFERENCE, dim, 0.01)["difficult"].applies == applies


@pytest.mark.parametrize(("dim", "delta"), [(0, 0.01), (24, 0.01), (4, -0.1), (4, 1.1), (4, float("nan"))])
def test_dimension_and_labelling_error_are_checked(dim, delta):
    with pytest.raises(ParameterError, match="dim|delta"):
        error_bounds(REFERENCE, dim, delta)


# --- command ---------------------------------------------------------------------------------------


def test_json_has_the_documented_keys(capsys):
    assert main([*COMMAND, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert set(report) == {"schema", "parameters", "degrees", "spectrum", "bounds", "plan", "reasons"}
    assert set(report["degrees"]) == {"easy", "difficult"}
    assert set(report["spectrum"][0]) == {"mode", "eigenvalue", "multiplicity"}
    assert list(report["bounds"]) == ["clean", "difficult", "removal", "margin", "temperature"]
    for bound in report["bounds"].values():
        assert set(bound) == {"lambda", "lambda_exact", "bound", "excess_over_clean", "applies", "vacuous"}
    assert report["bounds"]["temperature"]["lambda"] is None
    assert set(report["plan"]) == {"margin_sigma", "temperature_rho", "pos_high", "pos_low", "removal_fraction"}
    assert report["parameters"]["difficult"] == 400


def test_text_shows_the_excess_over_the_clean_bound(capsys):
    assert main(COMMAND) == 0
    out = capsys.readouterr().out
    assert "+1.14e-05" in out
    assert "bridge" in out


def test_command_imports_no_heavy_package():
    code = f"""
import sys
from theory.bounds.__main__ import main
main({COMMAND!r})
heavy = {{"numpy", "scipy", "torch", "sympy", "matplotlib", "pandas"}} & set(sys.modules)
sys.exit(f"imported {{heavy}}" if heavy else 0)
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--alpha", ".5", "--beta", ".3", "--gamma", ".2"], "gamma = 0.2 violates gamma >= beta = 0.3"),
        (["--alpha", ".5", "--beta", ".1", "--gamma", ".5"], "gamma = 0.5 violates gamma < alpha = 0.5"),
        (["--alpha", "1", "--beta", ".1", "--gamma", ".2"], "alpha = 1.0 violates alpha < 1"),
        (["--alpha", "nan", "--beta", ".1", "--gamma", ".2"], "alpha = nan violates a finite number"),
        (["--alpha", "x", "--beta", ".1", "--gamma", ".2"], "--alpha x: not a number"),
        (["--alpha", ".5"], "--beta is required"),
        ([*COMMAND, "--difficult", "5001"], "difficult = 5001 violates an integer in [0, 5000]"),
        ([*COMMAND, "--dim", "0"], "dim = 0 violates an integer in [1, 49999]"),
        ([*COMMAND, "--dim", "50000"], "dim = 50000 violates"),
        ([*COMMAND, "--delta", "1.5"], "delta = 1.5 violates 0 <= delta <= 1"),
        ([*COMMAND, "--delta", "-1"], "delta = -1.0 violates"),
        ([*COMMAND, "--pairing", "block"], "gamma = 0.2 violates gamma <= 0.0513"),
        ([*COMMAND, "--profile", "p.json"], "--alpha and --profile exclude each other"),
        (["--profile", "missing.json"], "cannot read missing.json"),
        (["--alpha", "1e-20", "--beta", "0", "--gamma", "0"], "a clean eigenvalue below 1"),
        ([*COMMAND, "--classes", "1" + "0" * 320], "classes = 1000"),
        ([*COMMAND, "--frobnicate"], "there is no option --frobnicate"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main([*arguments, "--plan", "plan.json"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "null", "reason"),
    [
        (["--alpha", ".5", "--beta", "0", "--gamma", ".2"], "temperature_rho", "beta = 0"),
        ([*COMMAND, "--difficult", "5000"], "removal_fraction", "every sample is difficult"),
    ],
)
def test_edges_that_are_not_errors_give_null_with_a_reason(arguments, null, reason, capsys):
    assert main([*arguments, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["plan"][null] is None
    assert reason in report["reasons"][null]
    assert main(arguments) == 0
    assert reason in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["--gamma", ".05"], ["--gamma", ".2", "--difficult", "0"]])
def test_clean_graphs_need_no_remedy(arguments, capsys):
    assert main(["--alpha", ".5", "--beta", ".05", *arguments, "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)["plan"]
    assert (plan["margin_sigma"], plan["temperature_rho"]) == (0, 1)


def test_a_ratio_beyond_floats_is_a_reason(capsys):
    assert main(["--alpha", ".5", "--beta", "1e-200", "--gamma", ".2", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["bounds"]["temperature"]["bound"] is None
    assert "too large" in report["reasons"]["temperature bound"]


def test_rounding_does_not_refuse_the_boundary():
    assert main(["--alpha", ".9", "--beta", ".1", "--gamma", ".2"]) == 0  # g = 1 − α exactly


@pytest.mark.parametrize("target", [".", "nowhere/../."])
def test_a_folder_is_no_plan_file(target, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main([*COMMAND, "--plan", target]) == 2
    assert "it is a folder" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


EXACT = ["--exact", "--alpha", "1/2", "--beta", ".05", "--gamma", "1/5", "--samples-per-class", "8"]
EXACT += ["--classes", "3", "--difficult", "2", "--dim", "4"]


def test_exact_output_is_in_fractions_and_surds(capsys):
    assert main([*EXACT, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["bounds"]["difficult"]["lambda"] == "1/7"
    # 4δ/(1 − 1/7) + 8δ with δ = 1/100
    assert report["bounds"]["difficult"]["bound"] == "19/150"
    assert report["plan"]["margin_sigma"] == "39/265"  # 3/20 · (53/10 − 1/10)/(53/10)
    values = {mode["mode"]: mode["eigenvalue"] for mode in report["spectrum"]}
    assert values["class_upper"] == "4909/11872 + sqrt(16642665/140944384)"
    assert main(EXACT) == 0
    out = capsys.readouterr().out
    assert "0.126667" in out
    assert "19/150" in out


def test_exact_plans_are_written_as_numbers(tmp_path):
    from theory.plan import Plan

    assert main([*EXACT, "--plan", str(tmp_path / "plan.json")]) == 0
    assert Plan.load(tmp_path / "plan.json").margin_sigma == pytest.approx(39 / 265, rel=1e-15)


def test_noise_is_reported_with_its_guarantee(capsys):
    small = ["--alpha", ".5", "--beta", ".1", "--gamma", ".2", "--samples-per-class", "40", "--classes", "4"]
    small += ["--difficult", "4", "--dim", "6", "--noise", ".1"]
    assert main([*small, "--noise-seed", "0", "--json"]) == 0
    noise = json.loads(capsys.readouterr().out)["noise"]
    assert noise["norm"] > 0
    for bound in noise["bounds"].values():
        assert bound["lambda_guaranteed"] > 0
    assert main(small) == 0
    out = capsys.readouterr().out
    assert "class_upper: detectable" in out
    assert "λ guaranteed" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([*EXACT, "--delta", "1/0"], "--delta 1/0: not a fraction such as 1/3"),
        ([*EXACT, "--alpha", "half"], "--alpha half: not a fraction"),
        ([*EXACT, "--sweep", "gamma=.1:.2:.1"], "--exact goes with parameters"),
        ([*COMMAND, "--noise", "-1"], "epsilon"),
        ([*COMMAND, "--noise", "1e160"], "epsilon"),
        ([*COMMAND, "--sweep", "gamma=sNaN:.4:.01"], "sweep"),
        (
            ["--alpha", ".5", "--beta", ".05", "--sweep", "gamma=.1:.4:.1", "--noise-seed", "1"],
            "--noise-seed and --sweep",
        ),
        (["--exact", "--alpha", "1e99999999", "--beta", "0", "--gamma", "0"], "not a fraction"),
        ([*COMMAND, "--noise-seed", "1"], "--noise-seed needs --noise"),
        ([*COMMAND, "--noise", ".1", "--noise-seed", "1"], "nodes = 50000"),
        ([*COMMAND, "--out", "t.csv"], "--out needs --sweep"),
        ([*COMMAND, "--sweep", "gamma=.4:.1:.1"], "gamma"),
    ],
)
def test_bad_combinations(arguments, message, capsys):
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert err.count("\n") == 1


def test_two_classes(capsys):
    assert main([*COMMAND, "--classes", "2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["plan"]["pos_high"] == 0.5


def test_one_sample_per_class_has_no_valid_dimension():
    p = GraphParameters(0.5, 0.1, 0.2, 1, 4, 0)
    assert not any(bound.applies for dim in (1, 2, 3) for bound in error_bounds(p, dim, 0.01).values())
