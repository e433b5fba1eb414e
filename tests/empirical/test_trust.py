"""When a probe's doubts about labels are withheld."""

import json

import numpy as np
import pytest

from empirical.data.features import Features
from empirical.difficulty import assess, describe, mislabelled
from empirical.difficulty.__main__ import main
from empirical.difficulty.trust import WEAK, held_out_accuracy, why_withheld
from empirical.profile.measurement import probe_outputs


def gaussians(distance, wrong, classes=10, n=200, width=32, seed=0):
    """Features of Gaussian classes, given labels, and which of these are wrong."""
    rng = np.random.default_rng(seed)
    means = rng.standard_normal((classes, width))
    means *= distance / np.linalg.norm(means, axis=1, keepdims=True)
    labels = np.repeat(np.arange(classes), n)
    features = (means[labels] + rng.standard_normal((len(labels), width))).astype(np.float32)
    bad = rng.random(len(labels)) < wrong
    labels[bad] = (labels[bad] + rng.integers(1, classes, bad.sum())) % classes
    return features, labels, bad


def test_accuracy_is_the_mean_over_classes():
    rng = np.random.default_rng(0)
    outputs, labels = rng.dirichlet([0.5] * 4, 60), rng.choice([0, 1, 3], 60, p=[0.7, 0.2, 0.1])
    shares = []
    for c in (0, 1, 3):
        own = [p for p, label in zip(outputs.tolist(), labels.tolist(), strict=True) if label == c]
        shares.append(sum(p.index(max(p)) == c for p in own) / len(own))
    assert held_out_accuracy(outputs, labels) == pytest.approx(sum(shares) / 3)


@pytest.mark.parametrize("right", [0.79, 0.8])
def test_the_limit(right):
    outputs = np.zeros((200, 2))
    labels = np.arange(200) % 2
    said = labels.copy()
    said[: round(200 * (1 - right))] ^= 1
    outputs[np.arange(200), said] = 1
    reason = why_withheld(outputs, labels)
    assert (reason is None) == (right >= WEAK)
    assert reason is None or "79%" in reason


@pytest.mark.parametrize(("distance", "weak"), [(2.0, True), (4.0, False)])
def test_what_a_weak_probe_doubts_is_mostly_right(distance, weak):
    features, labels, bad = gaussians(distance, 0.02)
    outputs = np.concatenate(list(probe_outputs(Features(features), labels))).astype(float)
    doubted = mislabelled(outputs, labels)
    assert (bad & doubted).sum() / doubted.sum() < 0.15 if weak else (bad & doubted).sum() / doubted.sum() > 0.5
    assert (why_withheld(outputs, labels) is not None) == weak


def test_the_column_is_withheld_and_the_reason_told(tmp_path, capsys):
    features, labels, _ = gaussians(1.5, 0.02, classes=4, n=60)
    found = assess(Features(features), labels)
    assert "mislabelled" not in found.scores
    assert [o.kind for o in found.overlaps] == ["ambiguous"]
    assert f"how many are mislabelled is withheld: {found.withheld['mislabelled']}" in describe(found)
    np.save(tmp_path / "f.npy", features)
    np.save(tmp_path / "l.npy", labels)
    call = ["--features", str(tmp_path / "f.npy"), "--labels", str(tmp_path / "l.npy")]
    assert main([*call, "--out", str(tmp_path / "out"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["withheld"] == found.withheld
    assert json.loads((tmp_path / "out/summary.json").read_text())["withheld"] == found.withheld
    assert "mislabelled" not in (tmp_path / "out/scores.csv").read_text().splitlines()[0]


def test_a_good_probe_withholds_nothing():
    features, labels, _ = gaussians(6, 0.02, classes=4, n=60)
    found = assess(Features(features), labels)
    assert found.withheld == {}
    assert "mislabelled" in found.scores
