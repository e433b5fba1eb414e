import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from empirical.arms import ARMS, NotApplicable
from empirical.data import load
from empirical.evaluate.protocol import Protocol
from empirical.study.__main__ import main
from empirical.study.parts import PARTS, Condition
from empirical.study.study import conditions_by_name, selection_stability
from theory.plan import Plan
from theory.sizes import Sizes

PLAN = Plan(Sizes(), Sizes(), Sizes(0.1, 0.4, 0.05, 0.7), pos_high=0.1, pos_low=0.2, removal_fraction=0.08)
SMALL = [
    "--data",
    "digits",
    "--encoder",
    "convnet",
    "--width",
    "4",
    "--dim",
    "8",
    "--batch",
    "50",
    "--epochs",
    "1",
    "--train",
    "200",
    "--test",
    "100",
    "--precision",
    "32-true",
]


def test_every_condition_has_one_meaning_and_a_known_arm():
    seen = {}
    for part in PARTS.values():
        for condition in part.conditions:
            assert seen.setdefault(condition.name, condition) == condition
            assert condition.arm in ARMS or condition.arm == "untrained"
    assert seen == conditions_by_name()
    assert all(name == condition.name for name, condition in seen.items())


@pytest.mark.parametrize(
    ("condition", "sigma", "rho", "pos_low"),
    [
        (Condition("a", "combined"), 0.05, 0.7, 0.2),
        (Condition("a", "margin", sigma_factor=4), 0.4, 1.0, 0.2),
        (Condition("a", "temperature", rho_factor=0.25), 0.0, 0.1, 0.2),
        (Condition("a", "temperature", rho_factor=2), 0.0, 0.8, 0.2),
        (Condition("a", "temperature", rho_power=2), 0.0, 0.16, 0.2),
        (Condition("a", "combined", band="narrow"), 0.05, 0.7, 0.15),
        (Condition("a", "combined", band="wide"), 0.05, 0.7, 1.0),
    ],
)
def test_remedy(condition, sigma, rho, pos_low):
    found = condition.remedy(PLAN)
    assert (found.sigma, found.rho, found.pos_low) == pytest.approx((sigma, rho, pos_low))


def test_a_factor_that_would_weaken_the_repulsion_is_not_applicable():
    with pytest.raises(NotApplicable, match="4 ρ\\* = 1.6 is above 1"):
        Condition("a", "temperature", rho_factor=4).remedy(PLAN)


def test_selection_stability_is_perfect_with_all_images_and_grows_with_the_batch():
    features = np.random.default_rng(0).normal(size=(512, 16))
    rows = selection_stability(features, 0.1, 0.2)
    assert [row["batch"] for row in rows] == [64, 128, 256, 512]
    assert rows[-1]["agreement"] == 1
    assert rows[-1]["low_spread"] == pytest.approx(0, abs=1e-6)
    agreement = [row["agreement"] for row in rows]
    assert agreement == sorted(agreement)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    out = tmp_path_factory.mktemp("study")
    assert main(["omega", *SMALL, "--seeds", "1", "--out", str(out / "runs"), "--publish", str(out / "table")]) == 0
    return out


def test_one_row_a_run_with_its_graph(study):
    table = pd.read_csv(study / "table.csv")
    assert table.condition.tolist() == [c.name for c in PARTS["omega"].conditions]
    assert table.encoder_probe.between(0, 1).all()
    assert table[["encoder_alpha", "encoder_beta", "encoder_gamma", "lambda_measured", "delta"]].notna().all(axis=None)
    removed = table.set_index("condition").dropped
    assert removed["omega-0.3-mixed_removal"] == 60
    assert removed["omega-0.3"] == 0


def test_the_measured_eigenvalue_is_that_of_the_normalised_similarities(study):
    from empirical.encoders import extract
    from empirical.train.checkpoint import load_network

    settings, network = load_network(study / "runs" / "baseline" / "0" / "checkpoint.pt")
    h, _ = extract(network, settings.data_set().x_train)
    unit = (h / h.norm(dim=1, keepdim=True)).double().numpy()
    weights = unit @ unit.T
    scale = 1 / np.sqrt(weights.sum(axis=1))
    exact = np.linalg.eigvalsh(weights * scale[:, None] * scale)[::-1]
    table = pd.read_csv(study / "table.csv").set_index("condition")
    assert table.lambda_measured["baseline"] == pytest.approx(exact[settings.dim], abs=1e-7)


def test_the_summary_holds_settings_plan_and_questions(study):
    summary = json.loads((study / "table.json").read_text())
    assert summary["settings"]["encoder"] == "convnet"
    assert set(summary["plan"]) >= {"theorem", "optimum", "perfect"}
    assert set(summary["parts"]) == set(PARTS)
    assert summary["protocol"] == Protocol().to_json()
    assert set(pd.read_csv(study / "table.csv").protocol) == {"lbfgs"}
    assert str(study) not in (study / "table.json").read_text()


def test_finished_runs_are_not_repeated_and_parts_share_them(study, capsys):
    result = study / "runs" / "baseline" / "0" / "result.json"
    before = result.stat().st_mtime_ns
    command = ["tau", *SMALL, "--seeds", "1", "--out", str(study / "runs"), "--publish", str(study / "table")]
    assert main(command) == 0
    assert result.stat().st_mtime_ns == before
    table = pd.read_csv(study / "table.csv").set_index("condition")
    assert table.tau["tau-0.1-baseline"] == 0.1
    assert len(table) > len(PARTS["omega"].conditions)


def test_results_are_written_again_without_the_data(tmp_path, capsys):
    images, place = load("digits", 200, 100), tmp_path / "digits.npz"
    names = ("x_train", "y_train", "x_test", "y_test")
    np.savez(place, **{name: getattr(images, name).numpy().squeeze() for name in names})
    options = ["--data", f"npz:{place}", *SMALL[2:], "--seeds", "1", "--out", str(tmp_path / "runs")]
    assert main(["remedies", *options, "--publish", str(tmp_path / "table")]) == 0
    place.unlink()
    load.cache_clear()
    capsys.readouterr()
    assert main(["--report", str(tmp_path / "runs"), "--publish", str(tmp_path / "again")]) == 0
    assert capsys.readouterr().out.split() == [str(tmp_path / "again.csv"), str(tmp_path / "again.json")]
    for suffix in ("csv", "json"):
        assert (tmp_path / f"again.{suffix}").read_bytes() == (tmp_path / f"table.{suffix}").read_bytes()
    assert main(["remedies", "--report", str(tmp_path / "runs")]) == 2
    assert "PART and --report exclude each other" in capsys.readouterr().err
    assert main(["--report", str(tmp_path)]) == 2
    assert "cannot read" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--tau", "0.3"], "tau = 0.3 violates tau = 0.2 of the experiment"),
        (["--seeds", "0"], "seeds = 0 violates an integer in [1, 10000]"),
        (["--scale", "huge"], "--scale huge: not one of cpu, full"),
    ],
)
def test_bad_input_is_one_line(study, capsys, change, message):
    assert main(["omega", *SMALL, *change, "--out", str(study / "runs")]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--data", "npz:nowhere.npz"], "there is no file nowhere.npz"),
        (["--data", "digit"], "data = digit"),
        (["--dim", "300"], "dim = 300 violates dim < 200"),
        (["--train", "30"], "batch = 50 violates batch <= 30"),
        (["--smallest-crop", "2"], "smallest_crop"),
    ],
)
def test_a_folder_is_claimed_once_the_settings_are_checked(tmp_path, monkeypatch, capsys, change, message):
    monkeypatch.chdir(tmp_path)
    assert main(["batch", *SMALL, *change, "--out", "new/runs"]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert message in err
    assert list(tmp_path.iterdir()) == []


def test_unknown_part_and_missing_data(capsys, tmp_path):
    assert main(["omga", *SMALL, "--out", str(tmp_path / "x")]) == 2
    assert "omega" in capsys.readouterr().err
    assert main([*SMALL, "--out", str(tmp_path / "x")]) == 2
    assert "PART is required: one or more of omega" in capsys.readouterr().err
    assert main(["omega", "--out", str(tmp_path / "x")]) == 2
    assert "--data is required" in capsys.readouterr().err
    assert not Path(tmp_path / "x").exists()
