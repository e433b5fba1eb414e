import errno
import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from empirical.contest import __main__ as contest
from empirical.difficulty import __main__ as difficulty
from empirical.embed import __main__ as embed
from empirical.evaluate import __main__ as evaluate
from empirical.profile import __main__ as profile
from empirical.train.checkpoint import latest_checkpoint, load_network, read_checkpoint, save_checkpoint, tidy
from empirical.train.loop import train
from empirical.train.settings import Settings
from theory.checks import ParameterError

SETTINGS = Settings(encoder="convnet", width=4, dim=8)


def state(step):
    network = SETTINGS.network(1)
    return {"settings": SETTINGS.to_json(), "step": step, "network": network.state_dict(), "metrics": []}


def test_a_file_that_is_no_checkpoint_is_refused(tmp_path):
    path = Path(tmp_path / "checkpoint.pt")
    with pytest.raises(ParameterError, match="cannot read"):
        load_network(path)
    path.write_bytes(b"\x80nonsense")
    with pytest.raises(ParameterError, match="is not a checkpoint"):
        load_network(path)
    torch.save({"a": 1}, path)
    with pytest.raises(ParameterError, match="checkpoint"):
        load_network(path)


def perceptron():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 9), nn.ReLU())


def depthwise(channels):
    return nn.Sequential(
        nn.Conv2d(channels, 4 * channels, 3, groups=channels), nn.ReLU(), nn.Conv2d(4 * channels, 9, 1)
    )


@pytest.mark.parametrize(("encoder", "channels"), [("perceptron", 1), ("depthwise", 3)])
def test_checkpoints_of_encoders_of_ones_own_are_used(tmp_path, capsys, encoder, channels):
    pixels = np.random.default_rng(0).integers(0, 256, (60, 8, 8, channels), dtype=np.uint8)
    labels = np.arange(60) % 3
    np.savez(tmp_path / "data.npz", x_train=pixels, y_train=labels, x_test=pixels[:30], y_test=labels[:30])
    size = {"train": 60, "test": 30, "batch": 30, "epochs": 1, "dim": 4}
    train(Settings(data=f"npz:{tmp_path / 'data.npz'}", encoder=f"{__name__}:{encoder}", **size), tmp_path)
    arguments = ["--checkpoint", str(tmp_path / "checkpoint.pt"), "--trust-encoder", f"{__name__}:{encoder}"]
    for command in (evaluate, profile, difficulty):
        assert command.main([*arguments, "--json"]) == 0, capsys.readouterr().err
        json.loads(capsys.readouterr().out)
    named = ["--data", f"npz:{tmp_path / 'data.npz'}", "--components", "4", "--out", str(tmp_path / "views.npz")]
    assert embed.main([*named, *arguments, "--precision", "32-true"]) == 0


READERS = {  # every command that reads checkpoints, with what it needs besides
    evaluate: ["--checkpoint", "run/checkpoint.pt"],
    profile: ["--checkpoint", "run/checkpoint.pt", "--out", "profile.json"],
    difficulty: ["--checkpoint", "run/checkpoint.pt", "--out", "difficult"],
    embed: ["--checkpoint", "run/checkpoint.pt", "--data", "digits", "--out", "views.npz"],
    contest: ["--checkpoints", "run", "--data", "npz:images.npz", "--out", "contest"],
}


@pytest.mark.parametrize("command", READERS, ids=lambda command: command.__name__)
@pytest.mark.parametrize("trusted", [(), ("other:factory",)])
def test_a_checkpoint_does_not_choose_code_to_run(tmp_path, monkeypatch, capsys, command, trusted):
    """No command imports the encoder that a checkpoint names, but for the one that it is told by name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "planted.py").write_text("raise SystemError('imported')")
    images = np.zeros((60, 8, 8, 3), dtype=np.uint8)
    np.savez("images.npz", x_train=images, y_train=np.arange(60) % 2, x_test=images, y_test=np.arange(60) % 2)
    settings = {**SETTINGS.to_json(), "encoder": "planted:factory"}
    save_checkpoint(tmp_path / "run", {**state(1), "settings": settings, "shape": (1, 8, 8)})
    before = sorted(tmp_path.rglob("*"))
    more = ["--trust-encoder", *trusted] if trusted else []
    assert command.main([*READERS[command], *more]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err == (
        "error: run/checkpoint.pt has planted:factory as its encoder, which would be imported and called: "
        "--trust-encoder planted:factory allows that\n"
    )
    assert sorted(tmp_path.rglob("*")) == before
    assert command.main([*READERS[command], "--trust-encoder", "planted:factory"]) == 2
    assert "encoder = planted:factory violates a module that can be imported (imported)" in capsys.readouterr().err


@pytest.mark.parametrize("encoder", ["os:abort", "no\nline:\x1b[31m", ["os:abort", ":"], 5, None])
def test_an_encoder_that_is_no_name_of_code_is_refused_in_one_line(tmp_path, encoder):
    save_checkpoint(tmp_path, {**state(1), "settings": {**SETTINGS.to_json(), "encoder": encoder}})
    with pytest.raises(ParameterError) as caught:
        load_network(tmp_path / "checkpoint.pt")
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("command", "arguments", "option"),
    [
        (profile, ["--features", "f.npy"], "--checkpoint"),
        (difficulty, ["--features", "f.npy"], "--checkpoint"),
        (embed, ["--data", "digits", "--out", "x.npz"], "--checkpoint"),
        (contest, ["--data", "digits", "--out", "x"], "--checkpoints"),
    ],
)
def test_trust_without_a_checkpoint_is_refused(tmp_path, monkeypatch, capsys, command, arguments, option):
    monkeypatch.chdir(tmp_path)
    assert command.main([*arguments, "--trust-encoder", "mine:factory"]) == 2
    assert capsys.readouterr().err == f"error: --trust-encoder goes with {option}\n"
    assert not list(tmp_path.iterdir())


def test_checkpoints_of_earlier_versions_tell_the_channels_by_their_weights(tmp_path):
    save_checkpoint(tmp_path, state(1))
    assert load_network(tmp_path / "checkpoint.pt")[1].channels == 1


def test_the_checkpoint_before_is_kept(tmp_path):
    for step in (1, 2, 3):
        save_checkpoint(tmp_path, state(step))
    assert sorted(os.listdir(tmp_path)) == ["checkpoint.previous.pt", "checkpoint.pt"]
    assert read_checkpoint(tmp_path / "checkpoint.pt")["step"] == 3
    assert read_checkpoint(tmp_path / "checkpoint.previous.pt")["step"] == 2


@pytest.mark.parametrize("left", [0, 10, 1000, -1])
def test_a_checkpoint_cut_short_falls_back_saying_so(tmp_path, left):
    save_checkpoint(tmp_path, state(1))
    save_checkpoint(tmp_path, state(2))
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(path.read_bytes()[:left])
    with pytest.warns(UserWarning, match=r"checkpoint.pt is not a checkpoint .* going on from .*previous.pt, step 1"):
        found, fell_back = latest_checkpoint(tmp_path, SETTINGS)
    assert (found["step"], fell_back) == (1, True)
    tidy(tmp_path, fell_back)
    found, fell_back = latest_checkpoint(tmp_path, SETTINGS)
    assert (found["step"], fell_back) == (1, False)
    save_checkpoint(tmp_path, state(3))
    assert [read_checkpoint(tmp_path / f"checkpoint{name}.pt")["step"] for name in ("", ".previous")] == [3, 1]


def test_killed_between_two_renames_the_previous_one_is_found(tmp_path):
    save_checkpoint(tmp_path, state(1))
    os.rename(tmp_path / "checkpoint.pt", tmp_path / "checkpoint.previous.pt")
    with pytest.warns(UserWarning, match="going on from"):
        assert latest_checkpoint(tmp_path, SETTINGS)[0]["step"] == 1


def test_with_only_damaged_checkpoints_the_run_is_refused(tmp_path):
    (tmp_path / "checkpoint.pt").write_bytes(b"")
    with pytest.raises(ParameterError, match="is not a checkpoint"):
        latest_checkpoint(tmp_path, SETTINGS)
    assert latest_checkpoint(tmp_path / "nowhere", SETTINGS) == (None, False)


def test_a_full_disk_keeps_the_old_checkpoint(tmp_path, monkeypatch):
    save_checkpoint(tmp_path, state(1))

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ParameterError, match=r"cannot write .*checkpoint.pt: No space left on device"):
        save_checkpoint(tmp_path, state(2))
    monkeypatch.undo()
    assert os.listdir(tmp_path) == ["checkpoint.pt"]
    assert read_checkpoint(tmp_path / "checkpoint.pt")["step"] == 1


class Malicious:
    def __reduce__(self):
        return os.system, ("false",)


def test_a_checkpoint_runs_no_code(tmp_path):
    torch.save({**state(1), "metrics": Malicious()}, tmp_path / "checkpoint.pt")
    with pytest.raises(ParameterError, match="is not a checkpoint"):
        read_checkpoint(tmp_path / "checkpoint.pt")


def test_changed_settings_are_named(tmp_path):
    save_checkpoint(tmp_path, state(1))
    with pytest.raises(ParameterError, match=r"tau = 0.1 violates the settings of the run in .*: 0.5"):
        latest_checkpoint(tmp_path, Settings(encoder="convnet", width=4, dim=8, tau=0.1))


@pytest.mark.parametrize("shape", [(1, 8), (1, 8, 8, 8), ("a",), 5, {}, (1.5,), (None, 8, 8)])
@pytest.mark.parametrize("modality", ["images", "graphs", "sentences"])
def test_a_checkpoint_of_a_shape_that_none_has_is_refused(tmp_path, modality, shape):
    settings = {**SETTINGS.to_json(), "modality": modality}
    save_checkpoint(tmp_path, {**state(1), "settings": settings, "shape": shape})
    if (modality, shape) == ("images", {}):
        return  # as of earlier versions, which tell none
    with pytest.raises(ParameterError):
        load_network(tmp_path / "checkpoint.pt")
