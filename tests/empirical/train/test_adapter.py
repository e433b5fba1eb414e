"""Training an adapter on cached views."""

import csv
import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from empirical.arms import PairRemedy
from empirical.compare.presets import PRESETS, Experiment, preset_for
from empirical.encoders import ImageNetwork, adapter
from empirical.evaluate.protocol import Protocol
from empirical.evaluate.scoring import evaluate_network
from empirical.paper import stated
from empirical.profile.measurement import measure_network
from empirical.runs import Task, execute
from empirical.train.checkpoint import load_network
from empirical.train.loop import train
from empirical.train.parts import require_fit
from empirical.train.settings import Settings
from theory.checks import ParameterError
from theory.plan import Profile

D = 6


def write(path, views=4, noise=0.3, images=60):
    """Three classes around corners; views are the features and noise."""
    generator = np.random.default_rng(0)
    labels = np.arange(images) % 3
    x = 2 * np.eye(3, D)[labels] + 0.5 * generator.normal(size=(images, D))
    cached = x[:, None] + noise * generator.normal(size=(images, views, D))
    np.savez(
        path,
        views=cached.astype(np.float16),
        x_train=x.astype(np.float32),
        y_train=labels,
        x_test=(2 * np.eye(3, D)[labels] + 0.5 * generator.normal(size=(images, D))).astype(np.float32),
        y_test=labels,
        class_names=["a", "b", "c"],
        mixed=np.arange(images) < 6,
        rows=np.arange(images),
        origin=json.dumps({}),
    )
    return f"views:{path}"


@pytest.fixture
def settings(tmp_path):
    return Settings(
        data=write(tmp_path / "views.npz"), encoder="adapter", width=10, dim=4, layers=1, batch=20, epochs=3, lr=0.5
    )


def weights(network):
    return {name: value.clone() for name, value in network.state_dict().items()}


def same(a, b):
    return all(torch.equal(a[name], b[name]) for name in a | b)


class Interrupted(Exception):
    pass


def test_the_adapter_is_a_perceptron_of_features_as_they_are():
    network = ImageNetwork("adapter", D, 4, 10, layers=1, size=(1, 1))
    x = torch.randn(5, D, 1, 1)
    h, z = network(x)
    _, first, _, last = network.encoder
    expected = (x.flatten(1) @ first.weight.T + first.bias).clamp(min=0) @ last.weight.T + last.bias
    torch.testing.assert_close(h, expected)
    torch.testing.assert_close(z, network.projector(expected))
    assert (h < 0).any()  # no ReLU at the end
    assert [tuple(layer.weight.shape) for layer in (first, last, network.projector[0])] == [(10, D), (D, 10), (4, D)]
    assert adapter(128)[0][1].out_features == 256


def test_pixels_are_centred_as_before_and_refused_by_an_adapter():
    x = torch.rand(2, 3, 8, 8)
    network = ImageNetwork("convnet", 3, 4, 4, size=(8, 8)).eval()
    assert torch.equal(network(x)[0], network.encoder((x - 0.5) * 2))
    with pytest.raises(ParameterError, match="encoder = adapter violates an encoder of images"):
        require_fit(Settings(encoder="adapter", dim=4), Settings().data_set())


@pytest.mark.parametrize("remedy", [None, PairRemedy(sigma=0.1, rho=0.9, pos_high=0.1, pos_low=0.3)])
@pytest.mark.parametrize("step", [1, 3, 5])
def test_a_run_resumes_to_the_same_bits(tmp_path, settings, remedy, step):
    settings = replace(settings, remedy=remedy)
    whole = weights(train(settings, tmp_path / "whole"))

    def progress(done, steps, epoch):
        if done == step:
            raise Interrupted

    with pytest.raises(Interrupted):
        train(settings, tmp_path / "parts", progress)
    assert same(weights(train(settings, tmp_path / "parts")), whole)
    restored, network = load_network(tmp_path / "parts" / "checkpoint.pt")
    assert restored == settings
    assert same(weights(network), whole)


def test_views_of_an_image_come_together(tmp_path, settings):
    """The loss falls below that of cosines that are all the same, and classes stay apart."""
    settings = replace(settings, epochs=30, tau=0.2, optimizer="adam", lr=0.1)
    network = train(settings, tmp_path / "run")
    rows = list(csv.DictReader((tmp_path / "run" / "metrics.csv").open()))
    assert float(rows[-1]["loss"]) < float(rows[0]["loss"]) - 0.1
    assert float(rows[-1]["loss"]) < np.log(39) - 0.3
    scores = evaluate_network(network, settings.original_data_set(), Protocol("lbfgs-c1"), settings.augmentation)
    assert scores["encoder_probe"] > 0.8
    assert "encoder_alignment" not in scores  # test images have no views
    on_views = evaluate_network(network, settings.original_data_set(), Protocol("adnce", k=5), settings.augmentation)
    assert on_views["encoder_probe"] > 0.5


def test_moco_trains_on_cached_views(tmp_path, settings):
    settings = replace(settings, framework="moco", queue=40)
    before = weights(settings.network(D, 1, 1))
    assert not same(weights(train(settings, tmp_path)), before)


@pytest.mark.slow
def test_two_processes_are_one(tmp_path, settings):
    """With two views an image there is one pair of them, whoever draws it; its order does not matter to the loss."""
    data = write(tmp_path / "two.npz", views=2)
    settings = replace(settings, data=data, epochs=2, accelerator="cpu")
    train(settings, tmp_path / "one")
    command = [sys.executable, "-m", "empirical.train", "--data", data, "--width", "10", "--dim", "4", "--layers", "1"]
    command += ["--batch", "20", "--epochs", "2", "--lr", "0.5", "--optimizer", "sgd", "--warmup", "0.1"]
    command += ["--accelerator", "cpu", "--devices", "2", "--protocol", "lbfgs-c1", "--out", str(tmp_path / "both")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    one, both = (list(csv.DictReader((tmp_path / name / "metrics.csv").open())) for name in ("one", "both"))
    for a, b in zip(one, both, strict=True):
        assert float(a["loss"]) == pytest.approx(float(b["loss"]), rel=1e-5)
    nets = [load_network(tmp_path / name / "checkpoint.pt")[1] for name in ("one", "both")]
    for a, b in zip(*(net.parameters() for net in nets), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_a_profile_compares_different_views(tmp_path):
    """Views that are all the same are labelled the same; views far apart are not."""
    deltas = {}
    for noise in (0.0, 3.0):
        s = Settings(data=write(tmp_path / f"{noise}.npz", noise=noise), encoder="adapter", width=10, dim=4, batch=20)
        network = s.network(D, 1, 1)
        found = measure_network(network, s.data_set(), "views", s.augmentation, batch=20)
        assert found.profile.classes == 3
        deltas[noise] = found.profile.delta.value
    assert deltas[0.0] == 0
    assert deltas[3.0] > 0.2


def test_tasks_of_a_comparison(tmp_path, settings):
    """The pilot's profile and plan; and the frozen features themselves, as they are."""
    protocol = Protocol("lbfgs-c1", k=5)
    execute(Task("pilot", settings, tmp_path / "pilot", protocol))
    execute(Task("raw_pixels", settings, tmp_path / "raw", protocol))
    assert all((tmp_path / "pilot" / name).exists() for name in ("plan.json", "profile.json", "evidence.npz"))
    profile = Profile.load(tmp_path / "raw" / "profile.json")
    x = settings.data_set().x_train.take(torch.arange(60)).flatten(1).numpy().astype(float)
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    labels = np.arange(60) % 3
    across = (unit @ unit.T)[labels[:, None] != labels]
    assert profile.spaces["encoder"].beta.value == pytest.approx(across.mean(), abs=0.05)


def test_presets():
    assert preset_for("views:x.npz") == "adapter"
    assert preset_for("npz:x.npz") == preset_for(None) == "photos-cpu"
    base = PRESETS["adapter"].base
    assert 5_000 // base.batch * base.epochs == 95
    assert (base.width, base.layers, base.dim, base.peak_rate) == (256, 1, 64, 5e-3)


def test_what_views_cannot_have_is_refused(settings):
    for changes, message in (
        ({"omega": 0.1}, "omega = 0.1 violates omega = 0 for cached views"),
        ({"encoder": "resnet18"}, "encoder = resnet18 violates adapter or MODULE:FACTORY"),
        ({"grey": 0.3}, "grey = 0.3 violates its default 0.2"),
        ({"resolutions": ".5:.8,1"}, "resolutions = .5:.8,1 violates its default 1"),
    ):
        with pytest.raises(ParameterError, match=message):
            replace(settings, **changes)
    with pytest.raises(ParameterError, match=r"omega = 0.2 violates omega = 0"):
        Experiment(settings, ("baseline",), omegas=(0.0, 0.2))


def test_the_papers_data_set_of_one_of_several_sets():
    assert stated("views:caches/cifar10.npz") == stated("views:caches/cifar10-2.npz") == "cifar10"
    assert stated("views:caches/cifar100-0.npz") == "cifar100"
    assert stated("npz:cifar10-2.npz") is None
