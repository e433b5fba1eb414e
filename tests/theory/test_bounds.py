import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.theory.graphs import REFERENCE, graphs
from theory import formulas
from theory.bounds import error_bounds
from theory.bounds.__main__ import main
from theory.checks import ParameterError
from theory.graph import SimilarityGraph
from theory.params import GraphParameters, SixLevels
from theory.plan import SOURCES
from theory.predict import predict
from theory.sharper import comparison
from theory.sizes import NAMES
from theory.spectrum import is_positive_semidefinite

COMMAND = ["--alpha", ".5", "--beta", ".05", "--gamma", ".2"]


@given(graphs(), st.integers(1, 40), st.floats(0, 1))
def test_exact_eigenvalues_are_those_of_the_dense_graphs(p, dim, delta):
    assume(dim < p.nodes)
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
def test_bounds_are_those_of_their_eigenvalues(p, dim, delta):
    assume(dim < p.nodes)
    for name, bound in error_bounds(p, dim, delta).items():
        if bound.bound is None:
            continue
        assert bound.vacuous == (bound.bound > 1)
        if name != "temperature":
            assert bound.bound == pytest.approx(4 * delta / (1 - bound.eigenvalue) + 8 * delta)
            if bound.bound_exact is not None:
                assert bound.bound_exact == pytest.approx(4 * delta / (1 - bound.eigenvalue_exact) + 8 * delta)
        if name in ("clean", "removal", "margin") and bound.applies:
            assert bound.eigenvalue == pytest.approx(bound.eigenvalue_exact, abs=1e-12)


def test_printed_eigenvalues_are_the_papers():
    """Equations 3, 4 and 5 written out."""
    p, (a, b, g, n, r, n_d) = REFERENCE, (0.387, 0.208, 0.241, 8, 2, 2)
    clean = (1 - a) + n * a + n * r * b
    printed = {name: (bound.source, bound.eigenvalue) for name, bound in error_bounds(p, 4, 0.01).items()}
    assert printed["clean"] == ("eq. 3", pytest.approx((1 - a) / clean))
    assert printed["difficult"] == ("eq. 4", pytest.approx(((1 - a) + r * (g - b)) / (clean + n_d * r * (g - b))))
    assert printed["removal"] == ("eq. 5", pytest.approx((1 - a) / ((1 - a) + (n - n_d) * a + (n - n_d) * r * b)))
    assert printed["margin"] == ("eq. 8", printed["clean"][1])


@pytest.mark.parametrize(
    ("alpha", "beta", "gamma", "eigenvalue"),
    [(47.2, 19.1, 20.9, 2.93), (44.0, 19.5, 22.1, 3.36), (41.2, 20.1, 23.1, 3.58), (38.7, 20.8, 24.1, 3.72)],
)
def test_table_10(alpha, beta, gamma, eigenvalue):
    """With n = 10,700 and 8 % difficult samples the printed λ is the paper's to .3 %."""
    p = GraphParameters(alpha / 100, beta / 100, gamma / 100, 10_700, 10, 856)
    assert error_bounds(p, 128, 0.01)["difficult"].eigenvalue == pytest.approx(eigenvalue * 1e-5, rel=3e-3)


def test_six_levels_have_the_papers_printed_bounds_and_their_own_exact_eigenvalue():
    p = SixLevels((0.5, 0.45, 0.4), (0.05, 0.06, 0.08), 20, 3, 5)
    bound = error_bounds(p, 4, 0.01)["difficult"]
    assert bound.eigenvalue == pytest.approx(formulas.difficult(p))
    weights = p.weights.matrix(p)
    scale = 1 / np.sqrt(weights.sum(1))
    assert bound.eigenvalue_exact == pytest.approx(np.linalg.eigvalsh(weights * scale[:, None] * scale)[::-1][4])


@given(graphs(), st.integers(1, 40), st.floats(0, 0.5))
def test_excess_is_the_difference_of_the_bounds(p, dim, delta):
    assume(dim < p.nodes)
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
    assert set(report) == {
        *("schema", "parameters", "levels", "degrees", "cross_mass", "realisable", "largest_gamma"),
        *("spectrum", "bounds", "sharper", "plan", "reasons"),
    }
    assert report["realisable"] is False
    assert report["largest_gamma"] == pytest.approx(0.0513587, abs=1e-7)
    assert report["levels"]["across"] == {"easy": 0.05, "mixed": 0.05, "difficult": 0.2}
    assert set(report["degrees"]) == {"easy", "difficult"}
    assert set(report["spectrum"][0]) == {"mode", "eigenvalue", "multiplicity"}
    assert list(report["bounds"]) == ["clean", "difficult", "removal", "margin", "temperature"]
    for bound in report["bounds"].values():
        assert set(bound) == {
            *("source", "lambda", "lambda_exact", "bound", "bound_exact", "excess_over_clean", "applies", "vacuous")
        }
    assert set(report["plan"]) == {*SOURCES, "pos_high", "pos_low", "removal_fraction"}
    assert all(set(report["plan"][source]) == set(NAMES) for source in SOURCES)
    assert report["parameters"]["difficult"] == 400


def test_json_has_the_sharper_bounds(capsys):
    assert main([*COMMAND, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    sharper, p = report["sharper"], GraphParameters(0.5, 0.05, 0.2, 5000, 10, 400)
    assert sharper == json.loads(json.dumps(comparison(p, 128, 0.01)))
    assert list(sharper) == ["labelling_errors", "given", "even"]
    assert sharper["labelling_errors"]["most"] == report["cross_mass"]
    assert sharper["labelling_errors"]["tilted"] is None  # not realisable
    assert set(sharper["even"]["difficult"]) == {
        *("delta", "printed", "squared", "plug_in", "bound", "vacuous", "error")
    }


@pytest.mark.parametrize(
    ("delta", "said"),
    [
        (".01", "δ = 0.01 lies outside: no augmentation has it, and 4δ/(1−λ) + 8δ needs φ <= 2δ"),
        (".3", "δ = 0.3 lies outside: no augmentation has it\n"),
        (".31", None),
        (".475", None),
        (".5", "δ = 0.5 lies outside"),
    ],
)
def test_a_labelling_error_that_the_graph_excludes_is_one_line_not_an_error(delta, said, capsys):
    graph = ["--alpha", ".387", "--beta", ".208", "--gamma", ".241", "--samples-per-class", "8", "--classes", "3"]
    assert main([*graph, "--difficult", "2", "--dim", "3", "--delta", delta]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "an augmentation with φ = 0.475389 has δ between 0.309569 and φ; tilted natural data reach 0.322267" in out
    assert "(>1)" in out
    assert ("lies outside" in out) == (said is not None)
    assert said is None or said in out


def test_text_shows_the_excess_over_the_clean_bound(capsys):
    assert main(COMMAND) == 0
    out = capsys.readouterr().out
    assert "+9.78e-06" in out
    assert "eq. 4" in out
    assert "realisable: false" in out


def test_six_levels_on_the_command_line(capsys):
    six = ["--within", ".5", ".48", ".45", "--across", ".05", ".06", ".1", "--samples-per-class", "50", "--dim", "10"]
    assert main([*six, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["levels"]["across"] == {"easy": 0.05, "mixed": 0.06, "difficult": 0.1}
    assert report["realisable"] is True
    p = SixLevels((0.5, 0.48, 0.45), (0.05, 0.06, 0.1), 50, 10, 4)
    assert report["bounds"]["difficult"] == error_bounds(p, 10, 0.01)["difficult"].to_json()
    assert main(six) == 0
    out = capsys.readouterr().out
    assert "Similarity graph, six levels" in out
    assert "realisable: true, as far as is known (positive semidefinite, no negative weight)" in out
    for extra, message in (
        (["--alpha", ".5"], "--alpha and --within exclude each other"),
        (["--sweep", "gamma=.1:.2:.1"], "a sweep over gamma excludes --within and --across"),
        (["--profile", "profile.json"], "--within and --across go together, without --profile"),
        (["--noise", ".1"], "three-level graph"),
    ):
        assert main([*six, *extra]) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert message in err


def test_a_negative_weight_is_not_realisable(capsys):
    """A graph of six levels may be positive semidefinite then, but an augmentation has none."""
    six = ["--within", ".5", ".48", ".45", "--across", "-.01", "0", ".1", "--samples-per-class", "50", "--dim", "10"]
    assert main([*six, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["realisable"] is False
    assert main(six) == 0
    assert "realisable: false (not positive semidefinite or has negative weights, so no" in capsys.readouterr().out
    assert is_positive_semidefinite(SixLevels((0.5, 0.48, 0.45), (-0.01, 0, 0.1), 50, 10, 4))


@pytest.mark.parametrize(("pairing", "known"), [("block", "true\n"), ("any", "true, as far as is known (")])
def test_the_pairing_decides_what_realisable_means(pairing, known, capsys):
    assert main(["--alpha", ".5", "--beta", ".05", "--gamma", ".0501", "--pairing", pairing]) == 0
    assert f"realisable: {known}" in capsys.readouterr().out


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
        (["--alpha", ".5", "--beta", "0", "--gamma", ".2"], "theorem.temperature_rho", "beta = 0"),
        ([*COMMAND, "--difficult", "5000"], "removal_fraction", "every sample is difficult"),
    ],
)
def test_edges_that_are_not_errors_give_null_with_a_reason(arguments, null, reason, capsys):
    assert main([*arguments, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    source, _, entry = null.rpartition(".")
    assert (report["plan"][source] if source else report["plan"])[entry] is None
    assert reason in report["reasons"][null]
    assert main(arguments) == 0
    assert reason in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["--gamma", ".05"], ["--gamma", ".2", "--difficult", "0"]])
def test_clean_graphs_need_no_remedy(arguments, capsys):
    assert main(["--alpha", ".5", "--beta", ".05", *arguments, "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)["plan"]
    assert all(tuple(plan[source].values()) == (0, 1, 0, 1) for source in SOURCES)


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
    assert report["bounds"]["difficult"]["lambda"] == "8/59"  # (1/2 + 2·3/20)/(53/10 + 2·2·3/20)
    # 4δ/(1 − 8/59) + 8δ with δ = 1/100
    assert report["bounds"]["difficult"]["bound"] == "161/1275"
    assert report["plan"]["theorem"]["margin_sigma"] == "153/1060"  # 3/20 · (53/10 − 2/10)/(53/10)
    values = {mode["mode"]: mode["eigenvalue"] for mode in report["spectrum"]}
    assert values["class_upper"] == "2471/6254 + sqrt(4742469/39112516)"
    assert main(EXACT) == 0
    out = capsys.readouterr().out
    assert "0.126275" in out
    assert "161/1275" in out


def test_exact_plans_are_written_as_numbers(tmp_path):
    from theory.plan import Plan

    assert main([*EXACT, "--plan", str(tmp_path / "plan.json")]) == 0
    assert Plan.load(tmp_path / "plan.json").theorem.margin_sigma == pytest.approx(153 / 1060, rel=1e-15)


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


NOISY = ["--alpha", ".5", "--beta", ".1", "--gamma", ".2", "--samples-per-class", "40", "--classes", "4"]


def other_reasons(report):
    """Those that are not about a remedy's size."""
    return {name: why for name, why in report["reasons"].items() if name.partition(".")[0] not in SOURCES}


def test_noise_has_the_accuracy_to_expect(capsys):
    small = [*NOISY, "--difficult", "10", "--noise", ".8", "--dim", "6"]
    assert main([*small, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    p = GraphParameters(0.5, 0.1, 0.2, 40, 4, 10)
    assert list(report["prediction"]) == ["nothing", "clean", "margin", "removal"]
    for remedy, found in report["prediction"].items():
        assert found == predict(p, 0.8, 6, remedy=remedy)._asdict()
    assert report["prediction"]["removal"]["difficult"] is None
    assert other_reasons(report) == {}
    assert main(small) == 0
    accuracies = ", ".join(f"{name} {found['accuracy']:.4f}" for name, found in report["prediction"].items())
    assert f"expected accuracy of a linear probe on half of the nodes: {accuracies}" in capsys.readouterr().out
    assert main([*small, "--exact", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["prediction"] == report["prediction"]
    assert main([*NOISY, "--difficult", "10", "--dim", "6", "--json"]) == 0
    assert "prediction" not in json.loads(capsys.readouterr().out)


def test_noise_says_why_there_is_no_accuracy_to_expect(capsys):
    most = [*NOISY, "--difficult", "10", "--noise", ".8", "--dim"]
    assert main([*most, "79", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["prediction"] is None
    assert report["reasons"]["prediction"] == "dim = 79 violates dim < 80 - 1, one less than the labels"
    assert main([*most, "79"]) == 0
    out = capsys.readouterr().out
    assert "prediction: dim = 79" in out
    assert "expected accuracy" not in out
    assert main([*most, "70", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["prediction"]["removal"] is None
    assert report["prediction"]["nothing"]["accuracy"] > 0.25
    why = {"prediction with removal": "dim = 70 violates dim < 60 - 1, one less than the labels"}
    assert other_reasons(report) == why
    assert main([*most, "70"]) == 0
    assert "removal —" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([*EXACT, "--delta", "1/0"], "--delta 1/0: not a fraction such as 1/3"),
        ([*EXACT, "--alpha", "half"], "--alpha half: not a fraction"),
        ([*EXACT, "--sweep", "gamma=.1:.2:.1"], "--exact goes with parameters"),
        ([*COMMAND, "--noise", "-1"], "epsilon"),
        ([*COMMAND, "--noise", "1e160"], "noise = 1e160 violates a magnitude"),
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
