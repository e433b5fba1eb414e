import json
import subprocess
import sys
from collections import defaultdict
from dataclasses import astuple

import numpy as np
import pytest
import torch

from empirical.data import take
from empirical.data.features import Features
from empirical.difficulty.__main__ import main as difficulty
from empirical.encoders import extract
from empirical.prediction import predict
from empirical.profile.__main__ import main
from empirical.profile.levels import REPLICATES, measure_space
from empirical.profile.measurement import (
    append_levels,
    estimate_classes,
    labelling_error,
    measure,
    probe_gaps,
    smallest_gaps,
    tracked_rows,
)
from empirical.profile.reading import describe, severity, verdict
from tests.empirical.train.test_loop import TINY
from tests.theory.test_plan import profile as document
from theory.plan import SPACES, Estimate, Profile, plan_from_profile


def blobs(n=40, classes=4, width=8, spread=0.5, seed=0):
    generator = np.random.default_rng(seed)
    labels = np.arange(n * classes) % classes
    centres = generator.standard_normal((classes, width)) + 0.5
    return centres[labels] + spread * generator.standard_normal((len(labels), width)), labels


def naive_levels(features, labels, difficult):
    """Six levels, the paper's three (A.5) and the within-group variance, pair by pair."""
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    six, three = defaultdict(list), {"alpha": [], "beta": [], "gamma": []}
    spread = defaultdict(list)
    for i in range(len(unit)):
        for j in range(i):
            same, kind = labels[i] == labels[j], int(difficult[i]) + int(difficult[j])
            cosine = float(unit[i] @ unit[j])
            six["within" if same else "across", ("easy", "mixed", "difficult")[kind]].append(cosine)
            three["alpha" if same else "gamma" if kind else "beta"].append(cosine)
            spread["same" if same else "both" if kind == 2 else "rest"].append(cosine)
    squares = sum(np.var(g) * len(g) for g in spread.values())
    means = {k: np.mean(g) if g else np.nan for k, g in {**six, **three}.items()}
    welch = [(np.mean(g), np.var(g, ddof=1) / len(g)) for g in (three["beta"], three["gamma"]) if len(g) > 1]
    t = (welch[0][0] - welch[1][0]) / np.sqrt(welch[0][1] + welch[1][1]) if len(welch) == 2 else None
    return means, np.sqrt(squares / sum(map(len, spread.values()))), t


def test_levels_equal_the_double_loop():
    features, labels = blobs()
    difficult = np.arange(len(labels)) < 20
    space = measure_space(Features(features), labels, difficult)
    levels, spread, t = naive_levels(features, labels, difficult)
    for name, value in levels.items():
        where, kind = name if isinstance(name, tuple) else (name, None)
        found = getattr(space, where) if kind is None else getattr(getattr(space, where), kind)
        assert found.value == pytest.approx(value, abs=2e-6)
    assert space.epsilon.value == pytest.approx(spread, abs=2e-6)
    assert space.gap.value == pytest.approx(levels["gamma"] - levels["beta"], abs=2e-6)
    assert space.welch_t == pytest.approx(t, rel=1e-3)


def test_resampling_samples_widens_what_the_papers_t_takes_for_certain():
    """Pairs share samples: |t| in the tens, while the interval over samples holds 0."""
    features, labels = blobs(n=100, spread=2.0)
    difficult = np.arange(len(labels)) < 40
    space = measure_space(Features(features), labels, difficult)
    error = (space.gap.high - space.gap.low) / (2 * 1.96)
    assert abs(space.welch_t) > 3 * abs(space.gap.value) / error


def test_levels_of_unequal_classes_and_of_no_difficult_sample():
    features, labels = blobs()
    keep = (labels != 2) | (np.arange(len(labels)) < 20)
    features, labels = features[keep], labels[keep]
    difficult = np.zeros(len(labels), dtype=bool)
    space = measure_space(Features(features), labels, difficult)
    difficult[0] = True
    expected, _, _ = naive_levels(features, labels, difficult)
    assert space.gamma == space.beta
    assert space.across.difficult == space.across.mixed == space.across.easy
    assert space.welch_t is None
    assert space.alpha.value == pytest.approx(expected["alpha"], abs=2e-6)
    one = measure_space(Features(features), labels, difficult)  # a single difficult sample
    assert one.gamma.value == pytest.approx(expected["gamma"], abs=2e-6)
    assert one.across.difficult.value == one.across.mixed.value


def test_all_samples_difficult():
    features, labels = blobs(n=10)
    space = measure_space(Features(features), labels, np.ones(len(labels), dtype=bool))
    assert space.gamma.value == pytest.approx(space.beta.value)


def test_chunks_do_not_change_the_value(monkeypatch):
    from empirical.data import features as features_module

    features, labels = blobs()
    difficult = np.arange(len(labels)) < 20
    whole = measure_space(Features(features), labels, difficult)
    monkeypatch.setattr(features_module, "CHUNK_VALUES", 100)
    parts = measure_space(Features(features), labels, difficult)
    assert parts.beta.value == pytest.approx(whole.beta.value, abs=2e-6)
    assert parts.gamma.value == pytest.approx(whole.gamma.value, abs=2e-6)


def test_intervals_cover_the_population_mean():
    """Of 60 samples from a known population, 95 % intervals for β cover about 57."""
    truth = measure_space(Features(blobs(n=2000)[0]), blobs(n=2000)[1], np.zeros(8000, dtype=bool)).beta.value
    covered = 0
    generator = np.random.default_rng(0)
    population, labels = blobs(n=2000)
    for trial in range(60):
        rows = np.concatenate([generator.choice(np.flatnonzero(labels == c), 40, replace=False) for c in range(4)])
        beta = measure_space(Features(population[rows]), labels[rows], np.zeros(160, dtype=bool), trial).beta
        covered += beta.low <= truth <= beta.high
    # Binomial(60, .95) is at least 52 with probability .99; bootstrap intervals of 160 samples run short.
    assert covered >= 50


def test_gaps_are_small_between_the_classes():
    generator = np.random.default_rng(0)
    x = generator.uniform(-1, 1, (400, 1))
    features = np.hstack([x, np.ones((400, 1))])
    labels = (x[:, 0] > 0).astype(np.int64)
    gaps = probe_gaps(Features(features), labels)
    assert ((gaps >= 0) & (gaps <= 1)).all()
    difficult = smallest_gaps(gaps, labels, 0.1)
    assert np.abs(x[difficult]).max() < np.median(np.abs(x))
    assert difficult.sum() == round(0.1 * labels.sum()) + round(0.1 * (1 - labels).sum())


def test_labelling_error_is_the_share_of_disagreement():
    estimate = labelling_error(np.arange(1000) < 100)
    assert estimate.value == 0.1
    assert 0.07 < estimate.low < 0.1 < estimate.high < 0.13


# --- profiles --------------------------------------------------------------------------------------


def test_classes_of_unequal_size_use_the_harmonic_mean_with_a_warning():
    features, labels = blobs(n=30, classes=2)
    keep = (labels == 0) | (np.arange(60) < 20)
    result = measure({"encoder": Features(features[keep])}, labels[keep], "test").profile
    assert result.samples_per_class == 15  # of 30 and 10
    assert "harmonic mean" in result.warnings[0]


def test_clusters_are_marked_as_such():
    features, labels = blobs(spread=0.05)
    result = measure({"encoder": Features(features)}, None, "test", classes=4)
    assert result.profile.labels == "clusters"
    assert "k-means" in result.profile.warnings[0]
    assert len({(a, b) for a, b in zip(labels, result.labels, strict=True)}) == 4


@pytest.mark.parametrize("classes", [3, 7, 12])
def test_number_of_classes_is_found_where_classes_are_clusters(classes):
    features, _ = blobs(n=50, classes=classes, width=16, spread=0.1)
    found = estimate_classes(Features(features))
    assert found.classes == classes
    assert found.silhouettes[classes] == max(found.silhouettes.values())
    assert found == estimate_classes(Features(features))
    profile = measure({"encoder": Features(features)}, None, "test").profile
    assert profile.classes == classes
    assert f"the number of classes, {classes}, is an estimate" in profile.warnings[0]


def test_fewer_samples_than_dimensions_leave_the_bounds_open():
    features, labels = blobs(n=10, width=64)
    result = measure({"encoder": Features(features)}, labels, "test").profile
    plan = plan_from_profile(result)
    assert plan.predictions["matched"] is None
    assert "dim = 64 violates an integer in [1, 39]" in plan.reasons["matched bounds"]
    assert describe(result, plan)


def test_very_unequal_classes_are_probed():
    features, labels = blobs(n=300, classes=2)
    keep = (labels == 0) | (np.arange(600) < 4)
    gaps = probe_gaps(Features(features[keep]), labels[keep])
    assert np.isfinite(gaps).all()


def test_a_rare_difficult_pair_does_not_pull_gamma_to_beta():
    """Replicates without any difficult pair say nothing about γ."""
    features, labels = blobs(n=20, classes=2)
    features[1] = features[0] + 1e-6
    difficult = np.arange(len(labels)) < 2
    space = measure_space(Features(features), labels, difficult)
    assert space.across.difficult.low > 0.999


def test_no_difficult_share_is_the_clean_graph():
    features, labels = blobs()
    result = measure({"encoder": Features(features)}, labels, "test", share=0.0).profile
    assert result.difficult == 0
    plan = plan_from_profile(result)
    assert plan.removal_fraction == 0
    assert verdict(result, plan).startswith("No difficult-example problem")


@pytest.mark.parametrize(
    ("encoder", "begins"),
    [
        ((0.7, 0.3, 0.5), "Difficult-example problem: difficult pairs are 50%"),
        ((0.9, 0.1, 0.12), "No difficult-example problem: difficult pairs are"),
        ((0.9, 0.1, 0.18), "Cannot tell: difficult pairs are 10%"),
        ((0.7, 0.3, 0.2), "No difficult-example problem: difficult pairs (0.2) are no more alike"),
        ((0.5, 0.3, 0.3), "Cannot tell: difficult pairs are 0%"),
        ((0.31, 0.3, 0.305), "Cannot tell: same-class pairs"),
    ],
)
def test_verdicts(encoder, begins):
    p = document(encoder=encoder)
    text = describe(p, plan_from_profile(p))
    assert text.startswith(begins)
    assert text.splitlines()[0].endswith(".")


def test_severity_interval_contains_its_value():
    space = document().spaces["encoder"]
    s = severity(space)
    assert s.value == pytest.approx(0.05 / 0.4)
    assert s.low < s.value < s.high
    assert isinstance(s, Estimate)


# --- command ---------------------------------------------------------------------------------------


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    features, labels = blobs()
    np.save("f.npy", features.astype(np.float32))
    np.save("l.npy", labels)
    return tmp_path


def test_command_writes_profile_and_difficult_samples(files, capsys):
    assert main(["--features", "f.npy", "--labels", "l.npy", "--out", "p.json", "--difficult-out", "d.npy"]) == 0
    out = capsys.readouterr().out
    result = Profile.load(files / "p.json")
    assert out.splitlines()[0] == verdict(result, plan_from_profile(result))
    assert len(np.load("d.npy")) == result.difficult * result.classes
    assert sorted(path.name for path in files.iterdir()) == ["d.npy", "f.npy", "l.npy", "p.json"]


def test_command_without_labels(files, capsys):
    assert main(["--features", "f.npy", "--classes", "4", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["labels"] == "clusters"
    assert report["delta"] is None


def test_command_on_a_checkpoint(tmp_path, capsys):
    from empirical.train.loop import train

    train(TINY, tmp_path)
    assert main(["--checkpoint", str(tmp_path / "checkpoint.pt"), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert set(report["spaces"]) == {"encoder", "projector"}
    assert report["dim"] == TINY.dim
    assert 0 < report["delta"]["value"] < 1
    assert {name for pair in report["pairs"] for name in pair["classes"]} <= set(TINY.data_set().class_names)
    for command in (main, difficulty):
        assert command(["--checkpoint", str(tmp_path / "checkpoint.pt"), "--classes", "4"]) == 2
        out, err = capsys.readouterr()
        assert (out, err.count("\n")) == ("", 1)
        assert "--classes 4: the checkpoint's images have labels" in err


def test_features_outside_the_model_are_a_finding(files, capsys):
    features, _ = blobs()
    np.save("f.npy", features - features.mean(axis=0))  # centred: different classes are opposite
    assert main(["--features", "f.npy", "--labels", "l.npy", "--out", "p.json"]) == 0
    report = json.loads((files / "p.json").read_text())
    assert report["spaces"]["encoder"]["across"]["easy"]["value"] < 0
    plan = plan_from_profile(Profile.load(files / "p.json"))
    assert plan.theorem.temperature_rho is None
    assert "beta >= 0" in plan.reasons["theorem.temperature_rho"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "one of --checkpoint and --features"),
        (["--features", "f.npy", "--labels", "short.npy"], "labels = 9 labels"),
        (["--features", "f.npy", "--labels", "one.npy"], "at least two classes"),
        (["--features", "f.npy", "--labels", "f.npy"], "labels = shape"),
        (["--features", "f.npy", "--labels", "real.npy"], "integer labels; −1, null or NaN for none in"),
        (["--features", "f.npy", "--classes", "1"], "classes = 1"),
        (["--features", "nan.npy", "--labels", "l.npy"], "nan.npy: 1 row that is NaN or infinite (row 3)"),
        (["--features", "none.npy", "--labels", "l.npy"], "cannot read none.npy"),
        (["--features", "f.npy", "--labels", "l.npy", "--difficult-share", "1.5"], "difficult_share = 1.5"),
        (["--features", "f.npy", "--labels", "l.npy", "--classes", "4"], "exclude each other"),
        (["--features", "f.npy", "--labels", "l.npy", "--difficult-out", "."], "it is a folder"),
        (["--features", "few.npy", "--labels", "l.npy"], "one for each of 5 rows"),
        (["--features", "few.npy"], "at least 20 rows"),
        (["--features", "f.npy", "--classes", "-1"], "classes = -1 violates an integer >= 2"),
        (["--features", "f.npy", "--drop-small-classes"], "goes with --labels"),
        (["--features", "f.npy", "--labels", "empty.npy"], "cannot read empty.npy"),
        (["--checkpoint", "none.pt"], "cannot read none.pt"),
    ],
)
def test_bad_input_is_one_line_and_nothing_written(files, arguments, message, capsys):
    features, labels = blobs()
    features[3, 1] = np.nan
    np.save("nan.npy", features)
    np.save("short.npy", labels[:9])
    np.save("few.npy", features[5:10])
    (files / "empty.npy").write_bytes(b"")
    np.save("one.npy", np.zeros(160, int))
    np.save("real.npy", labels / 2)
    assert main([*arguments, "--out", "p.json"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert err.count("\n") == 1
    assert not (files / "p.json").exists()


# VmHWM is this process's own peak; ru_maxrss of a child starts at its parent's.
PEAK = """
import re, sys
from pathlib import Path
from empirical.profile.__main__ import main
assert main(sys.argv[1:]) == 0
print(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")
def test_a_million_features_fit_into_4_gib(tmp_path):
    generator = np.random.default_rng(0)
    rows, width = 1_000_000, 768
    features = np.lib.format.open_memmap(tmp_path / "f.npy", "w+", np.float32, (rows, width))
    labels = generator.integers(0, 10, rows)
    centres = generator.standard_normal((10, width)).astype(np.float32) + 1
    for start in range(0, rows, 50_000):
        part = labels[start : start + 50_000]
        features[start : start + 50_000] = centres[part] + generator.standard_normal((50_000, width), np.float32)
    features.flush()
    np.save(tmp_path / "l.npy", labels)
    command = [sys.executable, "-c", PEAK, "--features", str(tmp_path / "f.npy")]
    for arguments in (["--labels", str(tmp_path / "l.npy")], ["--classes", "10"]):
        printed = subprocess.run([*command, *arguments], check=True, capture_output=True, text=True).stdout
        assert int(printed.split()[-1]) <= 4 * 2**20
    assert REPLICATES == 200


def test_a_profile_predicts_the_probe_where_labels_are_given():
    features, labels = blobs(spread=2.0)
    found = measure({"encoder": Features(features)}, labels, "blobs").profile
    expected = predict(features, labels, components=2)
    values = (expected.accuracy, expected.low, expected.high)
    assert astuple(found.predicted_probe.accuracy) == pytest.approx(values, rel=1e-5)
    assert "  predicted probe accuracy 0." in describe(found, plan_from_profile(found))
    clusters = measure({"encoder": Features(features)}, None, "blobs", 4).profile
    assert clusters.predicted_probe is None
    assert "predicted" not in describe(clusters, plan_from_profile(clusters))


def test_a_profile_says_why_there_is_no_prediction():
    features, labels = blobs(n=12, width=42)
    found = measure({"encoder": Features(features)}, labels, "blobs").profile
    assert found.predicted_probe.accuracy is None
    text = describe(found, plan_from_profile(found))
    assert "predicted probe accuracy: none, κ = 42/(48 − 4) = 0.955 > 0.9: too few samples to tell" in text


def test_levels_along_a_run_are_those_of_a_profile(tmp_path):
    images = TINY.data_set()
    network = TINY.network(*images.x_train.shape[1:]).eval()
    append_levels(tmp_path / "levels.csv", 3, network, images)
    rows = tracked_rows(images)
    both = extract(network, take(images.x_train, torch.from_numpy(rows)))
    spaces = {name: Features(x.numpy()) for name, x in zip(SPACES, both, strict=True)}
    expected = measure(spaces, images.y_train.numpy()[rows], "test").profile.spaces
    lines = (tmp_path / "levels.csv").read_text().splitlines()
    for line in lines[1:]:
        epoch, name, *cells = line.split(",")
        assert epoch == "3"
        levels = [getattr(expected[name], level) for level in ("alpha", "beta", "gamma", "epsilon")]
        assert list(map(float, cells)) == pytest.approx([number for e in levels for number in astuple(e)], rel=1e-5)
    assert len(lines) == 3
