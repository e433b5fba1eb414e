import math
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric

from empirical.arms import ARMS, NotApplicable, PairRemedy, pair_remedy
from empirical.train import Settings, batch_loss, gather, learning_rate, load_network, main, train
from tests.theory.graphs import REFERENCE
from theory.params import ParameterError
from theory.plan import Plan, plan_from_parameters

TINY = Settings(data="digits", train=100, test=100, encoder="convnet", width=4, dim=8, batch=50, epochs=3)
ARGUMENTS = ["--data", "digits", "--train", "100", "--test", "100", "--encoder", "convnet", "--width", "4"]
ARGUMENTS += ["--dim", "8", "--batch", "50", "--epochs", "1"]
PLAN = plan_from_parameters(REFERENCE, 4, 0.01)


class Interrupted(Exception):
    pass


def weights(network):
    return {name: value.clone() for name, value in network.state_dict().items()}


def test_schedule_rises_linearly_and_falls_to_zero():
    rates = [learning_rate(step, 100, 10, 2.0) for step in range(101)]
    assert rates[0] == pytest.approx(0.2)
    assert rates[9] == rates[10] == pytest.approx(2.0)
    assert rates[55] == pytest.approx(1.0)
    assert rates[100] == pytest.approx(0, abs=1e-12)
    assert learning_rate(0, 10, 0, 1.0) == 1.0


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


@pytest.mark.parametrize("remedy", [None, PairRemedy(sigma=0.1, rho=0.9, pos_high=0.1, pos_low=0.3)])
def test_an_interrupted_run_ends_with_the_same_bits(tmp_path, remedy):
    settings = Settings(**{**TINY.__dict__, "remedy": remedy, "arm": "combined" if remedy else "baseline"})
    whole = weights(train(settings, tmp_path / "whole"))

    def stop(done, _):
        if done == 2:
            raise Interrupted

    with pytest.raises(Interrupted):
        train(settings, tmp_path / "parts", stop)
    resumed = weights(train(settings, tmp_path / "parts"))
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    rows = [(tmp_path / part / "metrics.csv").read_text().splitlines() for part in ("whole", "parts")]
    without_speed = [[line.rsplit(",", 1)[0] for line in lines] for lines in rows]
    assert without_speed[0] == without_speed[1]


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
    import empirical.train as module

    seen = []
    monkeypatch.setattr(module, "learning_rate", lambda step, *rest: seen.append(step) or 0.01)
    train(Settings(**{**TINY.__dict__, "drop": tuple(range(40)), "epochs": 2}), tmp_path)
    assert seen == [0, 1, 2, 3]  # 100 // 50 steps an epoch, though 60 images are left


def test_progress_is_reported_from_where_the_run_stands(tmp_path):
    """Progress is reported before the first and after every epoch, from where the run stands."""
    calls = []
    settings = Settings(**{**TINY.__dict__, "epochs": 2})
    train(settings, tmp_path, lambda done, epochs: calls.append((done, epochs)))
    assert calls == [(0, 2), (1, 2), (2, 2)]
    train(settings, tmp_path, lambda done, epochs: calls.append((done, epochs)))
    assert calls[3:] == [(2, 2)]


def test_a_folder_with_another_run_is_refused_naming_the_difference(tmp_path):
    train(Settings(**{**TINY.__dict__, "epochs": 1}), tmp_path)
    with pytest.raises(ParameterError, match="tau = 0.1 violates the settings of the run"):
        train(Settings(**{**TINY.__dict__, "epochs": 1, "tau": 0.1}), tmp_path)


def test_bf16_runs_train(tmp_path):
    train(Settings(**{**TINY.__dict__, "precision": "bf16-mixed", "epochs": 1}), tmp_path)
    loss = float((tmp_path / "metrics.csv").read_text().splitlines()[1].split(",")[1])
    assert math.isfinite(loss)


def test_divergence_is_one_clear_error(tmp_path):
    with pytest.raises(ParameterError, match="the loss became"):
        train(Settings(**{**TINY.__dict__, "lr": 1e30, "warmup": 0.0}), tmp_path)


@pytest.mark.parametrize(
    "change",
    [{"tau": 0}, {"lr": -1}, {"batch": 1}, {"epochs": 0}, {"precision": "fp8"}, {"arm": "magic"}, {"warmup": 1}],
)
def test_settings_are_checked(change):
    with pytest.raises(ParameterError, match=next(iter(change))):
        Settings(**change)


# --- arms ------------------------------------------------------------------------------------------


def test_arms_take_their_values_from_the_plan():
    assert pair_remedy("baseline", None) is None
    margin, temperature = pair_remedy("margin", PLAN), pair_remedy("temperature", PLAN)
    assert (margin.sigma, margin.rho) == (PLAN.margin_sigma, 1.0)
    assert (temperature.sigma, temperature.rho) == (0.0, PLAN.temperature_rho)
    combined = pair_remedy("combined", PLAN, "paper")
    assert (combined.sigma, combined.rho, combined.pos_low) == (PLAN.margin_sigma, PLAN.temperature_rho, 1.0)
    assert pair_remedy("pair_removal", PLAN).remove
    assert pair_remedy("sample_removal", PLAN) is None


@pytest.mark.parametrize(
    ("entry", "arms"),
    [
        ("margin_sigma", {"margin", "combined"}),
        ("temperature_rho", {"temperature", "combined"}),
        ("removal_fraction", {"sample_removal", "random_removal"}),
    ],
)
def test_null_entries_make_their_arms_inapplicable(entry, arms):
    plan = Plan(**{**PLAN.__dict__, entry: None, "reasons": {entry: "because"}})
    for arm in ARMS:
        if arm in arms:
            with pytest.raises(NotApplicable, match="because"):
                pair_remedy(arm, plan)
        else:
            pair_remedy(arm, plan)


# --- several devices -------------------------------------------------------------------------------

BATCH, WIDTH = 8, 6


def linear_model():
    torch.manual_seed(0)
    return torch.nn.Linear(WIDTH, 4, dtype=torch.float64)


def inputs():
    return torch.randn(2 * BATCH, WIDTH, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def two_process_gradients(fabric, out):
    model = fabric.setup(linear_model())
    local = BATCH // fabric.world_size
    rows = torch.arange(local) + fabric.global_rank * local
    features = model(inputs()[torch.cat([rows, rows + BATCH])])
    gathered = gather(fabric, features)
    loss, _ = batch_loss(gathered.detach(), gathered, 0.5, PairRemedy(sigma=0.2, pos_high=0.1, pos_low=0.6))
    fabric.backward(loss)
    if fabric.is_global_zero:
        torch.save({"loss": loss.detach(), "gradient": next(model.parameters()).grad}, out)


def test_two_devices_have_the_gradient_of_one(tmp_path):
    model = linear_model()
    features = model(inputs())
    loss, _ = batch_loss(features.detach(), features, 0.5, PairRemedy(sigma=0.2, pos_high=0.1, pos_low=0.6))
    loss.backward()
    fabric = Fabric(accelerator="cpu", devices=2, strategy="ddp_spawn")
    fabric.launch(two_process_gradients, str(tmp_path / "out.pt"))
    both = torch.load(tmp_path / "out.pt")
    assert float(both["loss"]) == pytest.approx(loss.item(), abs=1e-6)
    assert torch.allclose(both["gradient"], model.weight.grad, atol=1e-6)


# --- command ---------------------------------------------------------------------------------------


def test_command_trains_with_a_plan(tmp_path, capsys):
    PLAN.save(tmp_path / "plan.json")
    out = ["--arm", "combined", "--plan", str(tmp_path / "plan.json"), "--out", str(tmp_path / "run")]
    assert main([*ARGUMENTS, *out]) == 0
    assert "trained 1 epochs" in capsys.readouterr().out
    settings, _ = load_network(tmp_path / "run" / "checkpoint.pt")
    assert settings.remedy.sigma == PLAN.margin_sigma
    assert main([*ARGUMENTS, *out]) == 0
    assert "resumed" in capsys.readouterr().out


def test_command_leaves_out_given_images(tmp_path):
    PLAN.save(tmp_path / "plan.json")
    np.save(tmp_path / "drop.npy", np.array([3, 1, 3]))
    out = ["--arm", "sample_removal", "--plan", str(tmp_path / "plan.json"), "--out", str(tmp_path / "run")]
    assert main([*ARGUMENTS, *out, "--drop", str(tmp_path / "drop.npy")]) == 0
    assert load_network(tmp_path / "run" / "checkpoint.pt")[0].drop == (1, 3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--arm", "margin"], "a plan (--plan FILE)"),
        (["--arm", "mixed_removal"], "omega > 0"),
        (["--data", "folder:nowhere"], "an existing folder"),
        (["--batch", "101"], "batch = 101 violates batch <= 100"),
        (["--tau", "nan"], "tau = nan"),
        (["--omega", "2"], "omega = 2.0"),
        (["--drop", "none.npy"], "cannot read none.npy"),
        (["--plan", "none.json"], "cannot read none.json"),
        (["--precision", "int4"], "precision = int4"),
        (["--dim", "100"], "dim = 100 violates dim < 100"),
        (["--accelerator", "abacus"], "accelerator = abacus"),
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
