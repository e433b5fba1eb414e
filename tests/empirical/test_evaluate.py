import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier

from empirical.evaluate.__main__ import main
from empirical.evaluate.probes import (
    OnlineProbe,
    Protocol,
    alignment,
    describe,
    evaluate_features,
    evaluate_network,
    fingerprint,
    knn,
    linear_probe,
    sgd_probe,
    uniformity,
)
from empirical.prediction import predict
from empirical.train.loop import train
from tests.empirical.train.test_loop import TINY
from theory.checks import ParameterError


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


def test_sgd_probe_separates_what_is_separable_and_nothing_else():
    train_set, test_set = clusters(spread=0.01), clusters(spread=0.01, seed=1)
    assert sgd_probe(*train_set, *test_set, epochs=20, batch=16) == 1
    generator = np.random.default_rng(0)
    x, y = generator.standard_normal((400, 5)).astype(np.float32), np.arange(400) % 4
    accuracy = sgd_probe(x[:200], y[:200], x[200:], y[200:], epochs=20)
    assert accuracy == pytest.approx(0.25, abs=4 * np.sqrt(0.25 * 0.75 / 200))


def test_sgd_probe_agrees_with_lbfgs_where_features_say_enough():
    (x, y), (test_x, test_y) = clusters(600, spread=0.6), clusters(600, spread=0.6, seed=1)
    both = sgd_probe(x, y, test_x, test_y), linear_probe(x, y, test_x, test_y)
    assert both[0] == pytest.approx(both[1], abs=0.02)
    assert sgd_probe(x, y, test_x, test_y) == both[0]  # the same order of samples


def test_alignment_and_uniformity_in_closed_form():
    unit = torch.eye(3, dtype=torch.float64)
    assert alignment(unit, 5 * unit) == pytest.approx(0)
    assert alignment(unit, unit.roll(1, 0)) == pytest.approx(2)  # ‖u − v‖² of orthogonal unit vectors
    assert alignment(unit, -unit, power=1) == pytest.approx(2)
    assert uniformity(unit) == pytest.approx(-4)  # −t·2
    assert uniformity(torch.ones(5, 2)) == pytest.approx(0, abs=1e-6)
    assert uniformity(torch.tensor([[1.0, 0], [-1, 0]]), t=1) == pytest.approx(-4, abs=1e-5)


def test_alignment_and_uniformity_equal_a_double_loop(monkeypatch):
    monkeypatch.setattr("empirical.evaluate.probes.ROWS", 4)
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(9, 4, generator=generator, dtype=torch.float64) for _ in range(2))
    u, v = ([row / row.norm() for row in x] for x in (a, b))
    assert alignment(a, b) == pytest.approx(sum(float((p - q).square().sum()) for p, q in zip(u, v, strict=True)) / 9)
    terms = [math.exp(-2 * float((u[i] - u[j]).square().sum())) for i in range(9) for j in range(9) if i != j]
    assert uniformity(a) == pytest.approx(math.log(sum(terms) / len(terms)))


def test_online_probe_learns_and_sends_no_gradient_back():
    features, labels = (torch.from_numpy(part) for part in clusters(90, spread=0.1))
    features.requires_grad_()
    torch.manual_seed(0)
    probe = OnlineProbe(5, 3, lr=0.1)
    curve = [float(probe.update(features, labels)) for _ in range(60)]
    assert curve[-1] == 1
    assert curve[0] < 0.9
    assert features.grad is None
    ignored = labels.clone()
    ignored[:] = -1
    before = {key: value.clone() for key, value in probe.layer.state_dict().items()}
    probe.optimizer = torch.optim.SGD(probe.layer.parameters(), lr=1.0)
    assert float(probe.update(features, ignored)) == 0
    assert all(torch.equal(value, before[key]) for key, value in probe.layer.state_dict().items())


def test_evaluation_leaves_the_network_bit_identical(run):
    _, network = run
    before = fingerprint(network)
    scores = evaluate_network(network.train(), TINY.images(), Protocol("both"), TINY.augmentation)
    assert fingerprint(network) == before
    predicted = {f"predicted_probe{end}" for end in ("", "_low", "_high")}
    kinds = {"probe", "sgd_probe", "knn", "alignment", "uniformity", *predicted}
    assert set(scores) == {f"{space}_{kind}" for space in ("encoder", "projector") for kind in kinds}
    assert all(-8 <= score <= 4 for name, score in scores.items() if name.endswith(("alignment", "uniformity")))
    assert all(0.1 < score <= 1 for name, score in scores.items() if name.endswith(("probe", "knn")))


@pytest.mark.parametrize("few", [None, 5])
def test_the_predicted_accuracy_stands_beside_the_measured_one(few):
    images, (x, y) = TINY.images(), clusters(samples=100, classes=10)
    images = replace(images, y_train=torch.from_numpy(y), y_test=torch.from_numpy(y))
    scores = evaluate_features("encoder", x, x, images, Protocol(labels_per_class=few))
    found = predict(x, y, few, components=2)
    assert list(scores)[:2] == ["encoder_probe", "encoder_predicted_probe"]
    values = [scores[f"encoder_predicted_probe{end}"] for end in ("", "_low", "_high")]
    assert values == [found.accuracy, found.low, found.high]


def test_a_prediction_that_cannot_be_made_is_left_out_and_shown_as_a_dash(run):
    images = TINY.images()
    wide = np.random.default_rng(0).standard_normal((100, 95)).astype(np.float32)
    scores = evaluate_features("encoder", wide, wide, images)
    assert set(scores) == {"encoder_probe", "encoder_knn"}
    narrow = evaluate_features("projector", wide[:, :5], wide[:, :5], images)
    lines = describe({**scores, **narrow}).splitlines()
    assert lines[0].split() == ["linear", "probe", "predicted", "kNN", "(20)"]
    assert lines[1].split()[2] == "—"
    assert lines[2].split()[2] == f"{100 * narrow['projector_predicted_probe']:.2f}%"
    assert lines[-1] == "  predicted: the linear probe's accuracy, from the training features and their labels alone"
    assert "predicted" not in describe({**scores, "projector_probe": 0.5, "projector_knn": 0.5})


def test_unlabelled_images_are_not_probed(run):
    _, network = run
    images = TINY.images()
    few = replace(images, x_train=images.x_train[:50], y_train=images.y_train[:50])
    hidden = images.y_train.clone()
    hidden[50:] = -1
    expected = evaluate_network(network, few)
    assert evaluate_network(network, replace(images, y_train=hidden)) == expected


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
    assert "L-BFGS on standardised frozen features, 3 labels per class, 2 draws" in out
    assert main(["--checkpoint", str(path), "--json"]) == 0
    assert 0 < json.loads(capsys.readouterr().out)["encoder_probe"] <= 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--labels-per-class", "11"], "labels_per_class = 11"),
        (["--draws", "0"], "draws = 0"),
        (["--protocol", "sgdd"], "did you mean sgd?"),
        (["--protocol", "sgd", "--labels-per-class", "3"], "protocol = sgd"),
        (["--knn-k", "0"], "knn_k = 0"),
        (["--knn-tau", "0"], "knn_tau = 0"),
        (["--data", "npz:none.npz"], "cannot read none.npz"),
    ],
)
def test_bad_input(run, arguments, message, capsys):
    assert main(["--checkpoint", str(run[0]), *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert err.count("\n") == 1
