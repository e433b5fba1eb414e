import csv
import itertools
import json
import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from empirical.arms import PairRemedy, pair_remedy
from empirical.encoders import Network
from empirical.evaluate.protocol import Protocol
from empirical.train import loop, observers, parts
from empirical.train.__main__ import main
from empirical.train.checkpoint import load_network
from empirical.train.loop import train
from empirical.train.settings import Running, Settings
from tests.theory.graphs import REFERENCE
from theory.checks import ParameterError
from theory.plan import plan_from_parameters
from theory.sizes import Sizes

TINY = Settings(data="digits", train=100, test=100, encoder="convnet", width=4, dim=8, batch=50, epochs=3)
ARGUMENTS = ["--data", "digits", "--train", "100", "--test", "100", "--encoder", "convnet", "--width", "4"]
ARGUMENTS += ["--dim", "8", "--batch", "50", "--epochs", "1"]
PLAN = replace(plan_from_parameters(REFERENCE, 4, 0.01), perfect=Sizes(0.1, 0.8, 0.05, 0.9))


class Interrupted(Exception):
    pass


def weights(network):
    return {name: value.clone() for name, value in network.state_dict().items()}


def test_a_run_learns_and_records_itself(tmp_path):
    settings = Settings(**{**TINY.__dict__, "epochs": 8, "lr": 0.3, "tau": 0.2})
    train(settings, tmp_path)
    lines = (tmp_path / "metrics.csv").read_text().splitlines()
    losses = [float(line.split(",")[1]) for line in lines[1:]]
    assert len(losses) == 8
    assert losses[-1] < losses[0] - 0.2
    restored, network = load_network(tmp_path / "checkpoint.pt")
    assert restored == settings
    assert not network.training


METHODS = {
    "simclr": TINY,
    "simclr-combined": replace(TINY, remedy=PairRemedy(sigma=0.1, rho=0.9, pos_high=0.1, pos_low=0.3)),
    "simclr-random": replace(TINY, remedy=PairRemedy(sigma=0.1, pos_high=0.1, pos_low=0.3, select="random")),
    "simclr-glofnd": replace(TINY, remedy=pair_remedy("glofnd", None), glofnd_start=0.3),
    "simclr-oracle": replace(TINY, remedy=pair_remedy("oracle", None)),
    "moco-oracle": replace(TINY, framework="moco", queue=130, remedy=pair_remedy("oracle", None)),
    "simclr-mochi": replace(TINY, loss="mochi", mochi_share=0.1),
    "simclr-equal_radius": replace(TINY, loss="equal_radius"),
    "moco-adnce": replace(TINY, framework="moco", queue=130, loss="adnce", optimizer="adamw", lr=1e-3),
}


def interrupt():
    raise Interrupted


def train_until(settings, out, last):
    """Train, but die without a word in the call after step ``last``."""

    def die(step, steps, epoch):
        if step == last:
            raise Interrupted

    with pytest.raises(Interrupted):
        train(settings, out, die, Running(checkpoint_every=1))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("step", [1, 2, 3, 5])
def test_a_run_interrupted_at_any_step_ends_with_the_same_bits(tmp_path, method, step):
    settings = METHODS[method]
    whole = weights(train(settings, tmp_path / "whole"))
    train_until(settings, tmp_path / "parts", step)
    resumed = weights(train(settings, tmp_path / "parts"))
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    rows = [(tmp_path / part / "metrics.csv").read_text().splitlines() for part in ("whole", "parts")]
    without_speed = [[line.rsplit(",", 1)[0] for line in lines] for lines in rows]
    assert without_speed[0] == without_speed[1]


@pytest.fixture
def growing(tmp_path):
    """Settings of a run of six steps: two each on views of 4, 6 and 8 pixels a side."""
    pixels = np.random.default_rng(0).integers(0, 256, (100, 8, 8, 3), dtype=np.uint8)
    np.savez(
        tmp_path / "images.npz", x_train=pixels, y_train=np.arange(100) % 2, x_test=pixels, y_test=np.arange(100) % 2
    )
    changes = {"train": None, "test": None, "resolutions": ".5:.3,.75:.6,1"}
    return replace(TINY, data=f"npz:{tmp_path / 'images.npz'}", **changes)


@pytest.mark.parametrize("framework", ["simclr", "moco"])
@pytest.mark.parametrize("step", [1, 3, 5])
def test_views_grow_and_resume_to_the_same_bits(tmp_path, monkeypatch, growing, framework, step):
    settings, sides, forward = replace(growing, framework=framework), [], Network.forward

    def recording(network, x):
        if network.training:
            sides.append(x.shape[-1])
        return forward(network, x)

    monkeypatch.setattr(Network, "forward", recording)
    whole = weights(train(settings, tmp_path / "whole"))
    calls = 2 if framework == "moco" else 1
    assert sides == [side for side in (4, 4, 6, 6, 8, 8) for _ in range(calls)]
    train_until(settings, tmp_path / "parts", step)
    sides.clear()
    resumed = weights(train(settings, tmp_path / "parts"))
    assert sides[0] == (4, 4, 6, 6, 8, 8)[step]
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_an_encoder_must_take_every_resolution(tmp_path, growing):
    settings = replace(growing, encoder="vit", resolutions=".5:.5,.75:.8,1")
    with pytest.raises(ParameterError, match="image size = 6×6 violates sides that are multiples of 4"):
        train(settings, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def dropping(channels, width):
    layers = [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(), nn.Dropout(0.3)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())


@pytest.mark.parametrize("framework", ["simclr", "moco"])
def test_an_encoder_that_draws_numbers_resumes_to_the_same_bits(tmp_path, framework):
    settings = replace(TINY, encoder=f"{__name__}:dropping", framework=framework)
    whole = weights(train(settings, tmp_path / "whole"))
    torch.manual_seed(7)  # another process has another generator
    train_until(settings, tmp_path / "parts", 3)
    torch.manual_seed(8)
    resumed = weights(train(settings, tmp_path / "parts"))
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_queue_and_keys_are_those_of_the_uninterrupted_run(tmp_path):
    settings = METHODS["moco-adnce"]
    train(settings, tmp_path / "whole")
    train_until(settings, tmp_path / "parts", 3)
    train(settings, tmp_path / "parts")
    whole, parts = (torch.load(tmp_path / name / "checkpoint.pt")["framework"] for name in ("whole", "parts"))
    assert whole["cursor"] == parts["cursor"] == 6 * 50 % 130
    assert all(torch.equal(a, b) for a, b in zip(whole["queues"], parts["queues"], strict=True))
    assert all(torch.equal(value, parts["keys"][name]) for name, value in whole["keys"].items())


EPOCHS = 200  # of two steps: enough of them that a signal finds the process at work


def start(out, *more):
    command = [sys.executable, "-m", "empirical.train", *ARGUMENTS, "--epochs", str(EPOCHS), "--out", str(out), *more]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    deadline = time.time() + 120
    while not (out / "checkpoint.pt").exists() and time.time() < deadline and process.poll() is None:
        time.sleep(0.05)
    return process


@pytest.mark.parametrize(("asked", "code"), [(signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_a_signalled_process_resumes_to_the_same_bits(tmp_path, asked, code):
    settings = replace(TINY, epochs=EPOCHS)
    process = start(tmp_path / "parts", "--checkpoint-every", "3")
    process.send_signal(asked)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code
    stopped = torch.load(tmp_path / "parts" / "checkpoint.pt")["step"]
    assert 0 < stopped < 2 * EPOCHS
    if asked == signal.SIGTERM:
        assert f"stopped at step {stopped}; the same command goes on from here" in err
    short = replace(settings, drop=())
    resumed = weights(train(short, tmp_path / "parts"))
    whole = weights(train(short, tmp_path / "whole"))
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_a_run_that_falls_back_keeps_the_good_checkpoint_and_cleans_up(tmp_path):
    train_until(TINY, tmp_path, 3)
    current = tmp_path / "checkpoint.pt"
    current.write_bytes(current.read_bytes()[:1000])
    (tmp_path / ".checkpoint.pt.4194305").write_bytes(b"half")
    with pytest.warns(UserWarning, match="going on from .* step 2"), pytest.raises(Interrupted):
        train(TINY, tmp_path, lambda step, *_: interrupt(), Running(checkpoint_every=1))
    assert torch.load(current)["step"] == 2
    assert not list(tmp_path.glob(".*"))


@pytest.fixture
def pixels(tmp_path):
    """A writer of small images as an .npz file, the settings of a run on them."""
    rng = np.random.default_rng(0)
    arrays = {f"x_{part}": rng.integers(0, 256, (n, 8, 8), dtype=np.uint8) for part, n in (("train", 60), ("test", 20))}
    arrays |= {"y_train": np.arange(60) % 2, "y_test": np.arange(20) % 2}
    path = tmp_path / "data.npz"

    def write(**changes):
        np.savez(path, **(arrays | changes))

    write()
    return arrays, write, replace(TINY, data=f"npz:{path}", train=None, test=None, batch=20)


@pytest.mark.parametrize(
    ("name", "change", "part"),
    [
        ("x_train", lambda x: 255 - x, "training images"),
        ("y_train", lambda y: 1 - y, "labels of the training images"),
        ("x_test", lambda x: x[::-1], "test images"),
        ("y_test", lambda y: y[::-1], "labels of the test images"),
    ],
)
@pytest.mark.parametrize("finished", [False, True])
def test_a_run_is_not_continued_on_other_data(tmp_path, pixels, name, change, part, finished):
    arrays, write, settings = pixels
    out = tmp_path / "run"
    if finished:
        train(replace(settings, epochs=1), out)
        settings = replace(settings, epochs=1)
    else:
        train_until(settings, out, 3)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    write(**{name: change(arrays[name])})
    with pytest.raises(ParameterError) as caught:
        train(settings, out)
    assert str(caught.value) == (
        f"the {part} are not those with which {out} was begun: use the data as they were, or another --out"
    )
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    write()
    train(settings, out)


def test_a_run_of_an_earlier_version_without_digests_goes_on(tmp_path, pixels):
    settings = pixels[2]
    train_until(settings, tmp_path / "run", 3)
    path = tmp_path / "run" / "checkpoint.pt"
    state = torch.load(path)
    del state["data_digests"]
    torch.save(state, path)
    train(settings, tmp_path / "run")
    assert "data_digests" in torch.load(path)


def test_a_second_run_in_the_same_folder_is_refused(tmp_path):
    code = f"""
import sys; from tests.empirical.train.test_loop import TINY, train; from pathlib import Path
train(TINY, Path({str(tmp_path)!r}), lambda *_: (print("trains", flush=True), sys.stdin.read()))
"""
    first = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert first.stdout.readline() == "trains\n"
        before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
        with pytest.raises(ParameterError, match=f"^{tmp_path} is in use by process {first.pid} on "):
            train(TINY, tmp_path)
        assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    finally:
        first.kill()
        first.communicate()
    train(replace(TINY, epochs=3), tmp_path)
    assert not list(tmp_path.glob(".*"))


def test_arms_start_from_the_same_weights_and_end_elsewhere(tmp_path):
    base = weights(train(TINY, tmp_path / "a"))
    remedy = PairRemedy(sigma=0.5, pos_high=0.0, pos_low=1.0)
    other = weights(train(Settings(**{**TINY.__dict__, "remedy": remedy}), tmp_path / "b"))
    assert any(not torch.equal(base[name], other[name]) for name in base)
    start, again = weights(TINY.network(1)), weights(TINY.network(1))
    assert all(torch.equal(start[name], again[name]) for name in start)


def test_the_flagged_share_is_the_bands(tmp_path):
    remedy = PairRemedy(sigma=0.1, pos_high=0.1, pos_low=0.25)
    train(Settings(**{**TINY.__dict__, "remedy": remedy, "epochs": 1}), tmp_path)
    share = float((tmp_path / "metrics.csv").read_text().splitlines()[1].split(",")[2])
    assert share == pytest.approx(0.15, abs=0.002)


def test_dropped_images_are_left_out(tmp_path):
    settings = Settings(**{**TINY.__dict__, "drop": tuple(range(51)), "epochs": 1})
    with pytest.raises(ParameterError, match="batch = 50 violates batch <= 49, the training images"):
        train(settings, tmp_path)


def test_arms_that_leave_images_out_take_as_many_steps(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(loop, "learning_rate", lambda step, *rest: seen.append(step) or 0.01)
    train(Settings(**{**TINY.__dict__, "drop": tuple(range(40)), "epochs": 2}), tmp_path)
    assert seen == [0, 1, 2, 3]  # 100 // 50 steps an epoch, though 60 images are left


def test_progress_is_reported_from_where_the_run_stands(tmp_path):
    calls = []
    settings = Settings(**{**TINY.__dict__, "epochs": 2})
    train(settings, tmp_path, lambda *call: calls.append(call))
    assert calls == [(0, 4, 0), (1, 4, 1), (2, 4, 1), (3, 4, 2), (4, 4, 2)]
    train(settings, tmp_path, lambda *call: calls.append(call))
    assert calls[5:] == [(4, 4, 2)]


def test_a_folder_with_another_run_is_refused_naming_the_difference(tmp_path):
    train(Settings(**{**TINY.__dict__, "epochs": 1}), tmp_path)
    with pytest.raises(ParameterError, match="tau = 0.1 violates the settings of the run"):
        train(Settings(**{**TINY.__dict__, "epochs": 1, "tau": 0.1}), tmp_path)


def test_bf16_runs_train(tmp_path):
    train(Settings(**{**TINY.__dict__, "precision": "bf16-mixed", "epochs": 1}), tmp_path)
    loss = float((tmp_path / "metrics.csv").read_text().splitlines()[1].split(",")[1])
    assert math.isfinite(loss)


HALF = replace(TINY, precision="16-mixed", accelerator="cpu")
SCALE = 65536.0  # GradScaler's first


def overflowing(monkeypatch, *steps):
    """Gradients that are infinite at these steps in half precision, of losses that are finite."""
    real, seeds = loop.batch_loss, {parts.seed_of(TINY.seed, step) for step in steps}

    def larger(pairs, objective, remedy, flags, seed):
        loss, flagged = real(pairs, objective, remedy, flags, seed)
        return loss * (1e9 if seed in seeds else 1), flagged

    monkeypatch.setattr(loop, "batch_loss", larger)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_half_precision_leaves_out_steps_of_infinite_gradients_and_goes_on(tmp_path, monkeypatch, optimizer):
    overflowing(monkeypatch, 2)
    settings = replace(HALF, optimizer=optimizer, lr=0.06 if optimizer == "sgd" else 1e-3)
    seen = [[p.clone() for p in settings.network(1).parameters()]]

    class Weights(observers.Observer):
        def begin(self, settings, network, images):
            self.network = network

        def step(self, batch):
            seen.append([p.detach().clone() for p in self.network.parameters()])

    train(settings, tmp_path, observers=[Weights()])
    changed = [any(not torch.equal(a, b) for a, b in zip(*pair, strict=True)) for pair in itertools.pairwise(seen)]
    assert changed[1:] == [True, False, True, True, True]  # the third step is left out; the first may be of itself
    left_out = [changed[: 2 * epoch].count(False) for epoch in (1, 2, 3)]
    assert [row["loss_scale"] for row in rows_of(tmp_path / "metrics.csv")] == [SCALE / 2**n for n in left_out]
    state = torch.load(tmp_path / "checkpoint.pt")
    assert state["precision"]["scale"] == SCALE / 2 ** left_out[-1]
    kept = [p for entry in state["optimizer"]["state"].values() for p in entry.values()]
    assert all(p.isfinite().all() for p in kept)


def test_half_precision_is_that_of_sixteen_bits(tmp_path, monkeypatch):
    """Not bfloat16, which Fabric takes instead on a CPU."""
    found, forward = set(), nn.Conv2d.forward

    def recording(layer, x):
        out = forward(layer, x)
        found.add(out.dtype)
        return out

    monkeypatch.setattr(nn.Conv2d, "forward", recording)
    half = weights(train(replace(HALF, epochs=1), tmp_path / "half"))
    assert torch.float16 in found
    assert torch.bfloat16 not in found
    whole = weights(train(replace(TINY, epochs=1), tmp_path / "whole"))
    assert any(not torch.equal(whole[name], half[name]) for name in whole)
    assert all(value.isfinite().all() for value in half.values())


@pytest.mark.parametrize("framework", ["simclr", "moco"])
@pytest.mark.parametrize("step", [1, 3, 4])
def test_half_precision_resumes_to_the_same_bits_and_scale(tmp_path, monkeypatch, framework, step):
    overflowing(monkeypatch, 1)
    settings = replace(HALF, framework=framework, queue=130)
    whole = weights(train(settings, tmp_path / "whole"))
    train_until(settings, tmp_path / "parts", step)
    resumed = weights(train(settings, tmp_path / "parts"))
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    scalers = [torch.load(tmp_path / name / "checkpoint.pt")["precision"] for name in ("whole", "parts")]
    assert scalers[0] == scalers[1]
    assert scalers[0]["scale"] <= SCALE / 2
    assert scalers[0]["_growth_tracker"] == 4  # steps since


def test_half_precision_whose_gradients_never_become_finite_is_divergence(tmp_path, monkeypatch):
    overflowing(monkeypatch, *range(2, 40))
    message = (
        r"gradients became infinite or NaN at step 1[78], also of the loss without a scale; lower lr = 0.06 or take "
        r"--precision 32-true, for 16 bits end at 65,504; .*/checkpoint.pt, of step 1[68], is kept$"
    )
    with pytest.raises(ParameterError, match=message):
        train(replace(HALF, epochs=20), tmp_path)
    assert all(value.isfinite().all() for value in torch.load(tmp_path / "checkpoint.pt")["network"].values())


def test_divergence_stops_at_its_step_and_keeps_the_last_good_checkpoint(tmp_path, monkeypatch):
    real = loop.learning_rate
    monkeypatch.setattr(loop, "learning_rate", lambda step, *rest: 1e30 if step == 2 else real(step, *rest))
    message = r"the loss became nan at step 3 \(mean positive cosine .*; .*/checkpoint.pt, of step 2, is kept$"
    with pytest.raises(ParameterError, match=message):
        train(replace(TINY, epochs=5), tmp_path)
    kept = torch.load(tmp_path / "checkpoint.pt")
    assert kept["step"] == 2
    assert kept["observers"]["Losses"] == {"sums": None}  # between two epochs there is nothing to sum


@pytest.mark.parametrize("rate", [math.inf, 1e38])
def test_what_is_not_finite_is_never_saved(tmp_path, monkeypatch, rate):
    real = loop.learning_rate
    monkeypatch.setattr(loop, "learning_rate", lambda step, *rest: rate if step == 3 else real(step, *rest))
    message = r"weights or features became infinite or NaN by step 4; .* 0.06; .*/checkpoint.pt, of step 3, is kept$"
    with pytest.raises(ParameterError, match=message):
        train(TINY, tmp_path, running=Running(checkpoint_every=1))
    assert torch.load(tmp_path / "checkpoint.pt")["step"] == 3


def test_without_a_checkpoint_none_is_said_to_be_kept(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(loop, "learning_rate", lambda *_: 1e38)
    last = ["--batch", "100", "--dim", "4", "--lr", ".25", "--out", str(tmp_path)]
    assert main([*ARGUMENTS, *last]) == 2
    lines = capsys.readouterr().err.replace("\r", "\n").splitlines()
    assert lines[-1] == "error: weights or features became infinite or NaN by step 1; lower lr = 0.25"
    assert not list(tmp_path.glob("*.pt"))


def test_an_empty_band_warns_and_trains_as_the_baseline(tmp_path):
    base = weights(train(TINY, tmp_path / "a"))
    with pytest.warns(UserWarning, match=r"the band 0.3 to 0.3 is empty: training as the baseline") as warned:
        other = weights(train(replace(TINY, remedy=PairRemedy(sigma=0.5, pos_high=0.3, pos_low=0.3)), tmp_path / "b"))
    assert len(warned) == 1
    assert all(torch.allclose(base[name], other[name], atol=1e-5) for name in base)


def rows_of(path):
    with open(path) as file:
        return [{key: float(value) for key, value in row.items() if value} for row in csv.DictReader(file)]


def test_metrics_hold_the_diagnostics_of_every_epoch(tmp_path):
    train(TINY, tmp_path)
    rows = rows_of(tmp_path / "metrics.csv")
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    for row in rows:
        assert row["robust_radius"] > 0
        assert 1 < row["effective_negatives"] <= 98
        assert 0 <= row["alignment"] <= 4
        assert -8 <= row["uniformity"] <= 0
        assert row["views_per_second"] > 0
    assert "online_probe" not in rows[0]


def test_probe_and_tracking_leave_the_weights_alone(tmp_path):
    bare = weights(train(TINY, tmp_path / "bare"))
    running = Running(online_probe=True, track=2, tensorboard=True, checkpoint_every=1)
    watched = weights(train(TINY, tmp_path / "watched", running=running))
    assert all(torch.equal(bare[name], watched[name]) for name in bare)
    assert all(0 <= row["online_probe"] <= 1 for row in rows_of(tmp_path / "watched" / "metrics.csv"))
    with open(tmp_path / "watched" / "profiles.csv") as file:
        rows = list(csv.DictReader(file))
    assert {row["epoch"] for row in rows} == {"2", "3"}
    assert {row["space"] for row in rows} == {"encoder", "projector"}
    assert all(float(row["alpha"]) <= 1 and float(row["epsilon"]) >= 0 for row in rows)
    assert list((tmp_path / "watched" / "tensorboard").glob("events*"))


def test_metrics_and_events_of_a_run_resumed_with_other_options(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    probing = Running(online_probe=True, tensorboard=True, checkpoint_every=1)
    with pytest.raises(Interrupted):
        train(TINY, tmp_path, lambda step, *_: step == 5 and interrupt(), Running(tensorboard=True, checkpoint_every=4))
    with pytest.raises(Interrupted):
        train(TINY, tmp_path, lambda step, *_: step == 5 and interrupt(), probing)
    train(TINY, tmp_path, running=Running(tensorboard=True))
    with open(tmp_path / "metrics.csv") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert all(None not in row and float(row["views_per_second"]) > 0 for row in rows)
    assert [bool(row["online_probe"]) for row in rows] == [False, False, True]
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [event.step for event in events.Scalars("loss")] == [2, 4, 6]


def test_levels_that_a_kill_kept_from_the_table_are_measured_on_resuming(tmp_path, monkeypatch):
    """Killed after the checkpoint of an epoch: before its levels are written, or after."""
    running = Running(track=1)
    train(TINY, tmp_path / "whole", running=running)
    whole = (tmp_path / "whole" / "profiles.csv").read_bytes()
    measure = observers.append_levels
    for after in (False, True):
        for killed in (1, 3):
            out = tmp_path / f"{after}-{killed}"

            def append(path, epoch, *rest, after=after, killed=killed):
                if after or epoch != killed:
                    measure(path, epoch, *rest)
                if epoch == killed:
                    raise Interrupted

            with monkeypatch.context() as patch:
                patch.setattr(observers, "append_levels", append)
                with pytest.raises(Interrupted):
                    train(TINY, out, running=running)
            train(TINY, out, running=running)
            assert (out / "profiles.csv").read_bytes() == whole
            train(TINY, out, running=running)  # once finished, nothing is measured again
            assert (out / "profiles.csv").read_bytes() == whole


@pytest.mark.parametrize("content", [b"\0\xff", b"epoch\nx,y\n"])
def test_a_damaged_table_of_levels_is_one_line(tmp_path, content):
    train(replace(TINY, epochs=1), tmp_path)
    (tmp_path / "profiles.csv").write_bytes(content)
    with pytest.raises(ParameterError, match=r"profiles\.csv is no table of levels; remove it"):
        train(replace(TINY, epochs=1), tmp_path, running=Running(track=1))


def test_images_that_cannot_be_tracked_are_refused_before_training(tmp_path, capsys):
    arguments = ["--data", "digits", "--encoder", "convnet", "--width", "4", "--dim", "8", "--batch", "50"]
    arguments += ["--epochs", "1", "--imbalance", "100", "--track", "1", "--out", str(tmp_path / "run")]
    assert main(arguments) == 2
    assert capsys.readouterr().err == (
        "error: track = 1 is not possible: labels = 1 class with a single sample or copies of one (9) violates at "
        "least two samples that differ in every class (--drop-small-classes leaves such classes out)\n"
    )
    assert not (tmp_path / "run").exists()


def test_an_epoch_is_saved_before_it_is_tracked(tmp_path, monkeypatch):
    monkeypatch.setattr(observers, "append_levels", lambda *_: interrupt())
    with pytest.raises(Interrupted):
        train(TINY, tmp_path, running=Running(track=1))
    assert torch.load(tmp_path / "checkpoint.pt")["step"] == 2


def test_speed_counts_until_the_device_has_finished(tmp_path, monkeypatch):
    row = observers.Means.row
    monkeypatch.setattr(observers.Means, "row", lambda *args: time.sleep(0.5) or row(*args))
    train(replace(TINY, epochs=1), tmp_path)
    assert rows_of(tmp_path / "metrics.csv")[0]["views_per_second"] <= 200 / 0.5


def test_resuming_keeps_the_online_probe(tmp_path):
    running = Running(online_probe=True, checkpoint_every=1)
    train(TINY, tmp_path / "whole", running=running)

    def die(step, steps, epoch):
        if step == 3:
            raise Interrupted

    with pytest.raises(Interrupted):
        train(TINY, tmp_path / "parts", die, running)
    train(TINY, tmp_path / "parts", running=running)
    curves = [[row["online_probe"] for row in rows_of(tmp_path / name / "metrics.csv")] for name in ("whole", "parts")]
    assert curves[0] == curves[1]


def test_no_sum_is_float64_where_the_device_has_none(tmp_path, monkeypatch):
    assert observers._sums_dtype(torch.device("mps")) == torch.float32
    assert observers._sums_dtype(torch.device("cpu")) == torch.float64
    monkeypatch.setattr(observers, "_sums_dtype", lambda device: torch.float32)
    monkeypatch.setattr(torch.Tensor, "double", lambda self: pytest.fail("float64"))
    train(replace(TINY, epochs=1), tmp_path, running=Running(online_probe=True, checkpoint_every=1))
    states = torch.load(tmp_path / "checkpoint.previous.pt")["observers"]
    assert [states[name]["sums"].dtype for name in ("Losses", "Diagnostics", "Probe")] == [torch.float32] * 3


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_every_optimiser_lowers_the_loss(tmp_path, optimizer):
    lr = 0.3 if optimizer == "sgd" else 0.03
    train(replace(TINY, optimizer=optimizer, lr=lr, epochs=8, schedule="constant"), tmp_path)
    rows = rows_of(tmp_path / "metrics.csv")
    assert rows[-1]["loss"] < rows[0]["loss"] - 0.05


def test_the_key_network_follows_and_gets_no_gradient(tmp_path):
    settings = replace(TINY, framework="moco", queue=100, momentum=1.0)
    train(settings, tmp_path)
    state = torch.load(tmp_path / "checkpoint.pt")
    start = settings.network(1).state_dict()
    parameters = {name for name, _ in settings.network(1).named_parameters()}
    assert all(torch.equal(state["framework"]["keys"][name], start[name]) for name in parameters)
    assert any(not torch.equal(state["network"][name], start[name]) for name in parameters)


def test_settings_environment_and_result_are_beside_the_checkpoint(tmp_path):
    assert main([*ARGUMENTS, "--out", str(tmp_path / "run")]) == 0
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["settings"] == json.loads((tmp_path / "run" / "settings.json").read_text())
    assert set(result["metrics"]) >= {"encoder_probe", "encoder_knn", "projector_probe", "projector_knn"}
    assert result["protocol"] == Protocol().to_json()
    assert result["schema"] == "difficult-examples/result/2"
    assert {"encoder_c", "projector_c"} < set(result["metrics"])
    assert result["device"] == "cpu"
    environment = json.loads((tmp_path / "run" / "environment.json").read_text())
    assert environment["versions"]["torch"] == torch.__version__.split("+")[0] or environment["versions"]["torch"]


# --- command ---------------------------------------------------------------------------------------


def test_command_trains_with_a_plan(tmp_path, capsys):
    PLAN.save(tmp_path / "plan.json")
    out = ["--arm", "combined", "--plan", str(tmp_path / "plan.json"), "--out", str(tmp_path / "run")]
    assert main([*ARGUMENTS, *out]) == 0
    assert "trained 1 epochs" in capsys.readouterr().out
    settings, _ = load_network(tmp_path / "run" / "checkpoint.pt")
    assert settings.remedy.sigma == 0.05
    assert main([*ARGUMENTS, *out]) == 0
    assert "resumed" in capsys.readouterr().out


def test_command_leaves_out_given_images(tmp_path):
    PLAN.save(tmp_path / "plan.json")
    np.save(tmp_path / "drop.npy", np.array([3, 1, 3]))
    out = ["--arm", "sample_removal", "--plan", str(tmp_path / "plan.json"), "--out", str(tmp_path / "run")]
    assert main([*ARGUMENTS, *out, "--drop", str(tmp_path / "drop.npy")]) == 0
    assert load_network(tmp_path / "run" / "checkpoint.pt")[0].drop == (1, 3)


def test_an_error_has_a_line_of_its_own_below_the_bar(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(loop, "batch_loss", lambda *_: (_ for _ in ()).throw(ParameterError("no such pair")))
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert main([*ARGUMENTS, "--out", str(tmp_path)]) == 2
    read, bar, message, rest = capsys.readouterr().err.split("\n")
    assert read.startswith("read digits: 10 classes")
    assert "baseline:   0%" in bar
    assert (message, rest) == ("error: no such pair", "")


@pytest.mark.parametrize("started", ["1", "4"])
def test_another_number_of_processes_than_devices_is_refused(tmp_path, capsys, monkeypatch, started):
    monkeypatch.setenv("WORLD_SIZE", started)
    assert main([*ARGUMENTS, "--devices", "2", "--out", str(tmp_path / "run")]) == 2
    assert f"devices = 2 violates devices = WORLD_SIZE = {started}: " in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.fixture
def unlaunched(monkeypatch):
    """Without the variables that runs on several devices leave in this process."""
    for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "NODE_RANK", "GROUP_RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)


WITHOUT = "a launcher such as torchrun sets it, without one unset it"


@pytest.mark.parametrize(
    ("environment", "devices", "message"),
    [
        ({"RANK": "3"}, 1, f"RANK = 3 violates an integer in [0, 0], for devices = 1: {WITHOUT}"),
        ({"RANK": "3"}, 2, f"RANK = 3 violates an integer in [0, 1], for devices = 2: {WITHOUT}"),
        ({"LOCAL_RANK": "1"}, 1, f"LOCAL_RANK = 1 violates an integer in [0, 0], for devices = 1: {WITHOUT}"),
        ({"LOCAL_RANK": "0"}, 2, f"LOCAL_RANK = 0 violates a MASTER_PORT beside it: {WITHOUT}"),
        ({"RANK": "1", "LOCAL_RANK": "1"}, 2, f"LOCAL_RANK = 1 violates a MASTER_PORT beside it: {WITHOUT}"),
        ({"WORLD_SIZE": "2"}, 1, f"devices = 1 violates devices = WORLD_SIZE = 2: {WITHOUT}"),
        ({"RANK": "one"}, 1, f"RANK = one violates an integer in [0, 0], for devices = 1: {WITHOUT}"),
        ({"RANK": ""}, 1, f"RANK = '' violates an integer in [0, 0], for devices = 1: {WITHOUT}"),
        ({"RANK": "-1"}, 1, f"RANK = -1 violates an integer in [0, 0], for devices = 1: {WITHOUT}"),
    ],
)
@pytest.mark.usefixtures("unlaunched")
def test_variables_that_a_launcher_left_are_named(tmp_path, capsys, monkeypatch, environment, devices, message):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    command = [*ARGUMENTS, "--devices", str(devices), "--accelerator", "cpu", "--out", str(tmp_path / "run")]
    assert main(command) == 2
    assert capsys.readouterr() == ("", f"error: {message}\n")
    assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("unlaunched")
def test_variables_of_a_launcher_of_one_process_are_taken(tmp_path, capsys, monkeypatch):
    for name, value in {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1"}.items():
        monkeypatch.setenv(name, value)
    assert main([*ARGUMENTS, "--out", str(tmp_path)]) == 0
    assert "trained 1 epochs" in capsys.readouterr().out
    assert (tmp_path / "result.json").exists()


def test_processes_that_cannot_be_started_are_one_line(tmp_path, capsys, monkeypatch):
    def fail(self):
        raise RuntimeError("no port is free\nat line 3")

    monkeypatch.setattr(parts.Fabric, "launch", fail)
    assert main([*ARGUMENTS, "--out", str(tmp_path / "run")]) == 2
    assert capsys.readouterr().err == "error: cannot start the processes of devices = 1: no port is free\n"
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--arm", "margin"], "arm margin needs a plan"),
        (["--arm", "mixed_removal"], "needs mixed images: --omega above 0"),
        (["--data", "folder:nowhere"], "data folder:nowhere: there is no folder nowhere in "),
        (["--batch", "101"], "batch = 101 violates batch <= 100"),
        (["--tau", "nan"], "tau = nan"),
        (["--omega", "2"], "omega = 2.0"),
        (["--drop", "none.npy"], "cannot read none.npy"),
        (["--plan", "none.json"], "cannot read none.json"),
        (["--precision", "int4"], "--precision int4: not one of"),
        (["--arm", "combind"], "did you mean combined?"),
        (["--image-size", "32"], "image_size = 32 violates 8×8, the size of digits: only a folder's images"),
        (["--data", "cifar11"], "did you mean cifar10?"),
        (["--recipe", "cifar11"], "did you mean cifar10?"),
        (["--recipe", "stl10", "--data", "digits"], "stl10"),
        (["--framework", "moko"], "did you mean moco?"),
        (["--loss", "adnc"], "did you mean adnce?"),
        (["--arm", "adnce", "--loss", "hcl"], "--loss hcl and --arm adnce exclude each other"),
        (["--framework", "moco", "--queue", "10"], "queue = 10"),
        (["--encoder", "nowhere:factory"], "nowhere"),
        (["--protocol", "sdg"], "did you mean sgd?"),
        (["--nodes", "2"], "devices = 1 violates a multiple of nodes = 2"),
        (["--dim", "100"], "dim = 100 violates dim < 100"),
        (["--accelerator", "abacus"], "--accelerator abacus: not one of"),
        (["--accelerator", "gpu", "--devices", "2"], "2 × gpu"),
        (["--stem-stride", "3"], "stem_stride = 3"),
        (["--devices", "3"], "batch = 50 violates a multiple of devices = 3"),
        (["--seed", "100000000000000000000"], "seed = 1000"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(arguments, message, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main([*ARGUMENTS, "--out", "run", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    lines = [line for line in err.replace("\r", "\n").splitlines() if line and "epoch" not in line]
    assert len(lines) == 1
    assert message in lines[0]
    assert os.listdir(tmp_path) == []


@pytest.mark.slow
def test_a_compiled_network_trains_like_the_plain_one(tmp_path):
    plain = weights(train(replace(TINY, epochs=1), tmp_path / "plain"))
    compiled = weights(train(replace(TINY, epochs=1, compile=True), tmp_path / "compiled"))
    assert compiled.keys() == plain.keys()
    for name, value in plain.items():
        torch.testing.assert_close(compiled[name], value, rtol=1e-3, atol=1e-4)


def test_a_checkpoint_that_does_not_fit_its_settings_is_one_line(tmp_path):
    train(TINY, tmp_path)
    path = tmp_path / "checkpoint.pt"
    state = torch.load(path, weights_only=True)
    state["network"]["odd"] = torch.zeros(1)
    for previous in tmp_path.glob("checkpoint.previous*"):
        previous.unlink()
    torch.save(state, path)
    with pytest.raises(ParameterError, match=r"checkpoint\.pt is damaged: it does not fit its settings"):
        train(TINY, tmp_path)
