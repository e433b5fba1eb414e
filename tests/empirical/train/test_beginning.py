"""Runs that begin with weights: of another run, of an export, of a file; what is recorded, and what is refused."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from empirical.export import export
from empirical.train.__main__ import main
from empirical.train.checkpoint import load_network, read_checkpoint
from empirical.train.loop import train
from empirical.train.settings import Settings
from theory.checks import ParameterError

TINY = Settings(data="digits", train=100, test=30, encoder="convnet", width=4, dim=8, batch=50, epochs=1)


class Stopped(Exception):
    pass


def stop(step, *_):
    raise Stopped


@pytest.fixture(scope="module")
def before(tmp_path_factory):
    """A finished run."""
    out = tmp_path_factory.mktemp("before")
    train(TINY, out)
    return out


def same(one, other):
    return all(torch.equal(x, other[name]) for name, x in one.items()) and set(one) == set(other)


@pytest.mark.parametrize("kind", ["checkpoint", "run", "export", "safetensors"])
def test_a_run_begins_with_another_runs_encoder(kind, before, tmp_path):
    export(before, tmp_path / "model", ())
    named = {"checkpoint": before / "checkpoint.pt", "run": before, "export": tmp_path / "model"}
    path = named.get(kind, tmp_path / "model" / "encoder.safetensors")
    begun = replace(TINY, weights=str(path), seed=1).network(1, 8, 8)
    plain = replace(TINY, seed=1).network(1, 8, 8)
    assert same(begun.encoder.state_dict(), load_network(before / "checkpoint.pt")[1].encoder.state_dict())
    assert same(begun.projector.state_dict(), plain.projector.state_dict())  # as without, so that arms compare


def test_such_a_run_trains_records_it_and_is_resumed_with_the_same_bits(before, tmp_path):
    settings = replace(TINY, weights=str(before / "checkpoint.pt"), epochs=2)
    whole = train(settings, tmp_path / "whole")

    def die(step, *_):
        if step == 3:
            raise Stopped

    with pytest.raises(Stopped):
        train(settings, tmp_path / "parts", die)
    assert same(train(settings, tmp_path / "parts").state_dict(), whole.state_dict())
    found, network = load_network(tmp_path / "whole" / "checkpoint.pt")
    assert found == settings
    assert same(network.state_dict(), whole.state_dict())
    assert read_checkpoint(tmp_path / "whole" / "checkpoint.pt")["settings"]["weights"] == str(before / "checkpoint.pt")
    assert not same(whole.state_dict(), train(replace(settings, weights=None), tmp_path / "plain").state_dict())


def test_a_finished_run_is_read_without_the_file_that_it_began_with(before, tmp_path):
    shutil.copy(before / "checkpoint.pt", tmp_path / "source.pt")
    train(replace(TINY, weights=str(tmp_path / "source.pt")), tmp_path / "run")
    (tmp_path / "source.pt").unlink()
    load_network(tmp_path / "run" / "checkpoint.pt")
    with pytest.raises(ParameterError, match="cannot read .*source.pt"):
        train(replace(TINY, weights=str(tmp_path / "source.pt")), tmp_path / "run")


def test_other_weights_under_the_same_name_are_refused_on_resuming(before, tmp_path):
    shutil.copy(before / "checkpoint.pt", tmp_path / "source.pt")
    settings = replace(TINY, weights=str(tmp_path / "source.pt"), epochs=2)

    def die(step, *_):
        if step == 3:
            raise Stopped

    with pytest.raises(Stopped):
        train(settings, tmp_path / "run", die)
    state = read_checkpoint(before / "checkpoint.pt")
    name = next(iter(state["network"]))
    state["network"][name] = state["network"][name] + 1
    torch.save(state, tmp_path / "source.pt")
    with pytest.raises(ParameterError, match="^the weights to begin with are not those with which .*run was begun"):
        train(settings, tmp_path / "run")
    with pytest.raises(ParameterError, match="weights = .* violates the settings of the run in"):
        train(replace(settings, weights=str(before)), tmp_path / "run")
    with pytest.raises(ParameterError, match="weights = None violates the settings of the run in"):
        train(replace(settings, weights=None), tmp_path / "run")


def test_the_experiments_of_compare_know_their_weights_too(before, tmp_path):
    from empirical.compare.presets import Experiment
    from empirical.compare.saved import claim

    shutil.copy(before / "checkpoint.pt", tmp_path / "source.pt")
    experiment = Experiment(base=replace(TINY, weights=str(tmp_path / "source.pt")), arms=("baseline",), seeds=1)
    claim(experiment, tmp_path / "experiment")
    claim(experiment, tmp_path / "experiment")
    state = read_checkpoint(before / "checkpoint.pt")
    for name, value in state["network"].items():
        state["network"][name] = value + 1 if value.is_floating_point() else value
    torch.save(state, tmp_path / "source.pt")
    with pytest.raises(ParameterError, match="the weights to begin with are not those"):
        claim(experiment, tmp_path / "experiment")


def test_settings_without_weights_are_documents_as_before():
    assert not {"weights", "pretrained"} & set(TINY.to_json())
    begun = replace(TINY, weights="x.pt")
    assert Settings.from_json(begun.to_json()) == begun
    assert TINY.beginning((1, 8, 8)) == {}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"pretrained": True},
            "encoder = convnet violates timm:NAME or torchvision:NAME, whose weights are pretrained",
        ),
        (
            {"pretrained": True, "encoder": "torchvision:resnet18", "weights": "x.pt"},
            "pretrained and weights exclude each other",
        ),
        ({"data": "views:x.npz", "encoder": "torchvision:resnet18"}, "adapter or MODULE:FACTORY for cached views"),
    ],
)
def test_settings_that_do_not_go_together(changes, message):
    with pytest.raises(ParameterError, match=message):
        replace(TINY, **changes)


def test_weights_of_another_shape_are_refused_in_one_line_and_nothing_is_written(before, tmp_path, capsys):
    arguments = ["--data", "digits", "--train", "100", "--test", "30", "--encoder", "convnet", "--width", "8"]
    call = [*arguments, "--dim", "8", "--batch", "50", "--epochs", "1", "--out", str(tmp_path / "run")]
    assert main([*call, "--weights", str(before / "checkpoint.pt")]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(
        f"error: weights {before / 'checkpoint.pt'} do not fit the encoder: 15 tensors have other shapes"
    )
    assert err.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_the_file_that_a_run_begins_with_is_not_overwritten(before, tmp_path, capsys):
    shutil.copytree(before, tmp_path / "run")
    content = (tmp_path / "run" / "checkpoint.pt").read_bytes()
    arguments = ["--data", "digits", "--train", "100", "--test", "30", "--encoder", "convnet", "--width", "4"]
    call = [*arguments, "--dim", "8", "--batch", "50", "--epochs", "1", "--out", str(tmp_path / "run")]
    assert main([*call, "--weights", str(tmp_path / "run" / "checkpoint.pt")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert (tmp_path / "run" / "checkpoint.pt").read_bytes() == content


def test_a_networks_of_a_library_trains_on_grey_images_and_is_measured(tmp_path):
    settings = Settings(
        data="digits", train=40, test=20, encoder="torchvision:shufflenet_v2_x0_5", dim=4, batch=20, epochs=1
    )
    network = train(settings, tmp_path)
    restored, again = load_network(tmp_path / "checkpoint.pt")
    assert restored == settings
    x = torch.from_numpy(np.random.default_rng(0).random((2, 1, 8, 8), dtype=np.float32))
    assert torch.allclose(network.eval().encode(x), again.encode(x), atol=1e-6)


def test_batch_norms_that_do_more_are_refused_on_several_devices():
    """As timm's, which have the activation in them."""
    pytest.importorskip("timm")
    from empirical.train.parts import require_plain

    settings = Settings(encoder="timm:test_efficientnet", batch=8, dim=4, devices=2)
    with pytest.raises(
        ParameterError, match="devices = 2 violates 1 for encoder timm:test_efficientnet, whose BatchNormAct"
    ):
        require_plain(settings, settings.network(3, 32, 32))
    require_plain(settings, replace(settings, encoder="resnet10", width=4).network(3, 32, 32))
