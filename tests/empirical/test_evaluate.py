import json

import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier

from empirical.evaluate import evaluate_network, fingerprint, knn, linear_probe, main
from empirical.train import train
from tests.empirical.test_train import TINY
from theory.params import ParameterError


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    out = tmp_path_factory.mktemp("run")
    return out / "checkpoint.pt", train(TINY, out)


def clusters(samples=60, classes=3, spread=0.3, seed=0):
    generator = np.random.default_rng(seed)
    labels = np.arange(samples) % classes
    centres = np.eye(classes, 5)
    features = centres[labels] + spread * generator.standard_normal((samples, 5))
    return features.astype(np.float32), labels.astype(np.int64)


def test_separable_classes_are_probed_perfectly():
    train_set, test_set = clusters(spread=0.01), clusters(spread=0.01, seed=1)
    assert linear_probe(*train_set, *test_set) == 1
    assert linear_probe(*train_set, *test_set, labels_per_class=15, draws=3) == 1


def test_features_of_noise_are_probed_at_chance():
    generator = np.random.default_rng(0)
    x, y = generator.standard_normal((400, 5)).astype(np.float32), np.arange(400) % 4
    accuracy = linear_probe(x[:200], y[:200], x[200:], y[200:])
    assert accuracy == pytest.approx(0.25, abs=4 * np.sqrt(0.25 * 0.75 / 200))


def test_knn_agrees_with_sklearn():
    (x, y), (test_x, test_y) = clusters(spread=0.8), clusters(spread=0.8, seed=1)
    unit, test_unit = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (x, test_x))
    model = KNeighborsClassifier(7, weights=lambda d: np.exp((1 - d**2 / 2) / 0.1)).fit(unit, y)
    assert knn(x, y, test_x, test_y, k=7) == pytest.approx(model.score(test_unit, test_y))


def test_label_draws_depend_on_the_labels_alone():
    (x, y), test_set = clusters(spread=1.0), clusters(spread=1.0, seed=1)
    first = linear_probe(x, y, *test_set, labels_per_class=2, draws=5)
    test_x, test_y = test_set
    assert linear_probe(x * 4, y, test_x * 4, test_y, labels_per_class=2, draws=5) == pytest.approx(first)
    assert linear_probe(x, y, test_x, test_y, labels_per_class=2, draws=6) != first


def test_too_many_labels_per_class_are_refused():
    data = clusters()
    with pytest.raises(ParameterError, match=r"labels_per_class = 21 violates an integer in \[1, 20\]"):
        linear_probe(*data, *data, labels_per_class=21)


def test_evaluation_leaves_the_network_bit_identical(run):
    _, network = run
    before = fingerprint(network)
    scores = evaluate_network(network.train(), TINY.images())
    assert fingerprint(network) == before
    assert set(scores) == {"encoder_probe", "encoder_knn", "projector_probe", "projector_knn"}
    assert all(0.1 < score <= 1 for score in scores.values())


def test_fingerprint_sees_batch_norm_statistics(run):
    _, network = run
    before = fingerprint(network)
    norm = next(m for m in network.modules() if isinstance(m, torch.nn.BatchNorm2d))
    norm.running_mean += 1e-3
    assert fingerprint(network) != before
    norm.running_mean -= 1e-3


def test_command(run, capsys):
    path, _ = run
    assert main(["--checkpoint", str(path), "--labels-per-class", "3", "--draws", "2"]) == 0
    out = capsys.readouterr().out
    assert "encoder" in out
    assert "3 labels per class" in out
    assert main(["--checkpoint", str(path), "--json"]) == 0
    assert 0 < json.loads(capsys.readouterr().out)["encoder_probe"] <= 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--labels-per-class", "11"], "labels_per_class = 11"),
        (["--draws", "0"], "draws = 0"),
        (["--data", "npz:none.npz"], "cannot read none.npz"),
    ],
)
def test_bad_input(run, arguments, message, capsys):
    assert main(["--checkpoint", str(run[0]), *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert err.count("\n") == 1
