"""Two processes against one: the same loss, gradients and statistics on the same global batch.

The processes are started once, do everything, and leave their findings in files.
"""

import contextlib
import io
import itertools
import json
import os
import signal
import subprocess
import sys
import time
import warnings
from dataclasses import replace

import pytest
import torch
from lightning_fabric import Fabric
from torch import nn

from empirical.arms import ARMS, Given, pair_remedy
from empirical.data import load
from empirical.data.augment import to_float
from empirical.losses import LOSSES
from empirical.train import loop, parts, run
from empirical.train.batchnorm import AllReduceBatchNorm, synchronised
from empirical.train.loop import batch_loss, train
from empirical.train.observers import Observer
from empirical.train.parts import make_framework
from empirical.train.selectors import make_selector
from empirical.train.settings import FRAMEWORKS, Running, Settings
from empirical.train.simclr import gather
from tests.theory.graphs import REFERENCE
from theory.plan import plan_from_parameters
from theory.sizes import Sizes

# Values at which every remedy flags pairs of so small a batch and removal leaves more than a batch.
STRONG = Sizes(0.2, 0.7, 0.2, 0.7)
PLAN = replace(plan_from_parameters(REFERENCE, 4, 0.01), theorem=STRONG, perfect=STRONG, pos_high=0.1, pos_low=0.6)
GIVEN = Given(".1,.6", 0.2, 0.7)  # for the paper's arms: it states nothing for digits
METHODS = [(framework, arm.loss or "nt_xent", name) for framework in FRAMEWORKS for name, arm in ARMS.items()]
METHODS += [(framework, loss, "combined") for framework in FRAMEWORKS for loss in LOSSES if loss != "nt_xent"]
STEPS = [method for method in METHODS if ARMS[method[2]].drop is None]  # images left out change no step
SETTINGS = Settings(
    data="digits",
    train=60,
    test=50,
    encoder="convnet",
    width=4,
    dim=6,
    batch=12,
    epochs=1,
    lr=0.1,
    queue=30,
    glofnd_start=0.0,
)
SETTINGS = replace(SETTINGS, accelerator="cpu")
RESUMED = replace(SETTINGS, epochs=2)
BATCH = 12
MOVED = 2  # steps of five after which a run goes on elsewhere, before rounding has moved a kink of a ReLU


def name(method):
    return "-".join(method)


def settings_of(method):
    framework, loss, arm = method
    drop = tuple(range(0, 60, 3)) if ARMS[arm].drop else ()
    remedy = pair_remedy(arm, PLAN, GIVEN if ARMS[arm].as_printed else Given(), loss)
    return replace(SETTINGS, framework=framework, loss=loss, arm=arm, remedy=remedy, drop=drop)


def views():
    generator = torch.Generator().manual_seed(3)
    return torch.rand(2, BATCH, 1, 8, 8, dtype=torch.float64, generator=generator)


def one_step(fabric, method):
    """Loss, gradients and statistics after one step on this process's share of the batch."""
    settings = settings_of(method)
    network = settings.network(1).double()
    if fabric.world_size > 1:
        network = synchronised(network, fabric.device)
    model = fabric.setup(network)
    framework = make_framework(settings, fabric, model, network)
    share = BATCH // fabric.world_size
    first, second = views()[:, fabric.global_rank * share :][:, :share]
    pairs = framework.pairs(first, second)
    selector = make_selector(settings, load("digits"), fabric.device)
    flags = selector.flags(pairs, torch.arange(BATCH), 0, seed=5)
    loss, flagged = batch_loss(pairs, settings.objective, settings.remedy, flags, seed=5)
    fabric.backward(loss)
    framework.after_step()
    found = {"loss": loss.detach(), "flagged": flagged}
    found |= {f"gradient of {key}": p.grad for key, p in network.named_parameters()}
    found |= {key: value for key, value in network.state_dict().items() if "running" in key or "tracked" in key}
    if settings.framework == "moco":
        found |= {f"queue {i}": queue for i, queue in enumerate(framework.queues)}
    return found


def batch_norm_step(x, share):
    torch.manual_seed(1)
    layer = (AllReduceBatchNorm if len(x) != len(share) else nn.BatchNorm2d)(5, dtype=torch.float64)
    layer.weight.data.uniform_(0.5, 1.5)
    layer.bias.data.uniform_(-1, 1)
    x = x.clone().requires_grad_()
    weights = torch.randn(x.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    out = layer(x[share])
    (out * weights[share] + out.square()).sum().backward()
    return layer, out.detach(), x.grad


def batch_norm_input():
    return 3 + 2 * torch.randn(7, 5, 2, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(4))


def stopped(fabric, out, last, agree_every):
    """Train until SIGTERM, which the second process alone gets after step ``last``; the checkpoint then on disk."""

    def ask(step, steps, epoch):
        if step == last and fabric.global_rank == 1:
            os.kill(os.getpid(), signal.SIGTERM)

    def slow(*arguments):
        time.sleep(1)
        save(*arguments)

    save, before = run.save_checkpoint, parts.AGREE_EVERY
    run.save_checkpoint, parts.AGREE_EVERY = slow, agree_every
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            train(replace(RESUMED, devices=2), out, ask, fabric=fabric)
        code = 0
    except SystemExit as left:
        code = left.code
        if fabric.is_global_zero:
            time.sleep(0.5)  # the other one looks first
    finally:
        run.save_checkpoint, parts.AGREE_EVERY = save, before
    return {"code": code, "said": said.getvalue(), "step": torch.load(out / "checkpoint.pt")["step"]}


def interrupted(fabric, folder):
    """What a run leaves that is stopped within its first epoch and at the end of it, and one left alone."""
    found = {"within": stopped(fabric, folder / "parts", 1, 3), "between": stopped(fabric, folder / "parts", 4, 16)}
    for name in ("parts", "whole"):
        trained = train(replace(RESUMED, devices=2), folder / name, fabric=fabric)
        found[name] = {key: value.clone() for key, value in trained.state_dict().items()}
    return found


class Interrupted(Exception):
    pass


def steady(view, x, generator):
    """Two views that are the same on every device."""
    return to_float(x), to_float(x).flip(-1)


def moving(framework, devices):
    return replace(SETTINGS, framework=framework, devices=devices)


def trained_until(settings, out, last, fabric=None):
    """Train on steady views; die without a word in the call after step ``last``.

    Returns the weights, if the run ended, the images of every step, and what was said of where it goes on.
    """

    class Seen(Observer):
        def step(self, batch):
            seen.append((batch.step, batch.everyone.tolist()))

    def die(step, steps, epoch):
        if step == last:
            raise Interrupted

    seen, trained, views = [], None, loop.two_views
    loop.two_views = steady
    try:
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always")
            with contextlib.suppress(Interrupted):
                trained = train(settings, out, die, Running(checkpoint_every=1), fabric, [Seen()]).state_dict()
    finally:
        loop.two_views = views
    said = [str(one.message) for one in found if "goes on at" in str(one.message)]
    return {"weights": trained and {key: value.clone() for key, value in trained.items()}, "seen": seen, "said": said}


def work(fabric, folder):
    torch.set_num_threads(1)
    found = {name(method): one_step(fabric, method) if method in STEPS else {} for method in METHODS}
    share = torch.tensor([[0, 1], [2, 3, 4, 5, 6]][fabric.global_rank])
    layer, out, gradient = batch_norm_step(batch_norm_input(), share)
    found["batch norm"] = {"out": out, "gradient": gradient, **layer.state_dict()}
    found["batch norm"] |= {"weight.grad": layer.weight.grad, "bias.grad": layer.bias.grad}
    numbered = torch.arange(6.0)[:, None] + 10 * fabric.global_rank
    found["gathered"] = gather(fabric, numbered, views=2)
    for method in METHODS:
        settings = replace(settings_of(method), devices=2)
        trained = train(settings, folder / name(method), running=Running(checkpoint_every=2), fabric=fabric)
        found[name(method)] |= {f"trained {key}": value for key, value in trained.state_dict().items()}
    found["interrupted"] = interrupted(fabric, folder)
    for framework in FRAMEWORKS:
        from_one, from_two = folder / f"from-one-{framework}", folder / f"from-two-{framework}"
        found[f"from one {framework}"] = trained_until(moving(framework, 2), from_one, None, fabric)
        trained_until(moving(framework, 2), from_two, MOVED, fabric)
    torch.save(found, folder / f"{fabric.global_rank}.pt")


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    folder = tmp_path_factory.mktemp("two")
    for framework in FRAMEWORKS:
        trained_until(moving(framework, 1), folder / f"from-one-{framework}", MOVED)
    fabric = Fabric(accelerator="cpu", devices=2, strategy="ddp_spawn")
    fabric.launch(work, folder)
    found = [torch.load(folder / f"{rank}.pt") for rank in range(2)]
    for framework in FRAMEWORKS:
        again = trained_until(moving(framework, 1), folder / f"from-two-{framework}", None)
        found[0][f"from two {framework}"] = again
    for framework, start in itertools.product(FRAMEWORKS, ("one", "two")):
        state = torch.load(folder / f"from-{start}-{framework}" / "checkpoint.pt")
        found[0][f"from {start} {framework}"]["state"] = state
    return found


@pytest.mark.parametrize("method", STEPS, ids=name)
def test_two_processes_have_the_loss_and_gradients_of_one(two, method):
    fabric = Fabric(accelerator="cpu", devices=1)
    fabric.launch()
    expected = one_step(fabric, method)
    for rank in range(2):
        for key, value in expected.items():
            assert torch.allclose(two[rank][name(method)][key], value, rtol=1e-6, atol=1e-9), key
    arm = ARMS[method[2]]
    # The band that sets itself may be empty in so small a batch; a queue of random keys has no labels.
    if arm.selects and arm.select != "auto" and method[::2] != ("moco", "oracle"):
        assert 0 < float(expected["flagged"]) <= 1


@pytest.mark.parametrize("method", METHODS, ids=name)
def test_every_method_trains_on_two_processes_to_the_same_weights(two, method):
    here, there = ({k: v for k, v in found[name(method)].items() if k.startswith("trained")} for found in two)
    assert here.keys() == there.keys()
    for key, value in here.items():
        assert torch.equal(value, there[key]), key
        assert value.isfinite().all(), key
    start = settings_of(method).network(1).state_dict()
    assert any(not torch.equal(here[f"trained {key}"], value) for key, value in start.items())


@pytest.mark.parametrize("method", METHODS, ids=name)
def test_every_method_trains_on_one_process(tmp_path, method):
    settings = settings_of(method)
    trained = train(settings, tmp_path).state_dict()
    start = settings.network(1).state_dict()
    assert all(value.isfinite().all() for value in trained.values())
    assert any(not torch.equal(trained[key], value) for key, value in start.items())


@pytest.mark.parametrize(("moment", "step"), [("within", 3), ("between", 5)])
def test_a_signal_stops_two_processes_once_the_checkpoint_is_written(two, moment, step):
    first, second = (found["interrupted"][moment] for found in two)
    assert (first["code"], first["step"]) == (143, step)
    assert (second["code"], second["step"]) == (143, step)
    assert first["said"] == f"stopped at step {step}; the same command goes on from here\n"
    assert second["said"] == ""


def test_two_processes_resume_to_the_same_bits(two):
    for found in two:
        parts, whole = (found["interrupted"][name] for name in ("parts", "whole"))
        assert all(torch.equal(value, parts[key]) for key, value in whole.items())


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize(("start", "before", "now"), [("one", 1, 2), ("two", 2, 1)])
def test_a_run_goes_on_with_another_number_of_devices(two, tmp_path, framework, start, before, now):
    """With views that no device draws, to the weights, queue, batches and metrics of a run that stayed."""
    stayed, found = trained_until(moving(framework, 1), tmp_path, None), two[0][f"from {start} {framework}"]
    assert found["seen"] == stayed["seen"][MOVED:]
    for key, value in stayed["weights"].items():
        assert torch.allclose(found["weights"][key], value, rtol=1e-4, atol=1e-5), key
    state, alone = found["state"], torch.load(tmp_path / "checkpoint.pt")
    assert state["continued"] == [{"step": MOVED, "settings": {"devices": [before, now]}}]
    assert state["settings"]["devices"] == now
    assert state["framework"].get("cursor") == alone["framework"].get("cursor")
    for queue, other in zip(*(s["framework"].get("queues", ()) for s in (state, alone)), strict=True):
        assert torch.allclose(queue, other, atol=1e-4)
    for row, other in zip(state["metrics"], alone["metrics"], strict=True):
        assert row["learning_rate"] == other["learning_rate"]
        assert row["loss"] == pytest.approx(other["loss"], rel=1e-4)  # over all devices' pairs, before and after
        assert row["alignment"] == pytest.approx(other["alignment"], rel=1e-3)
    (said,) = found["said"]
    assert f" goes on at step {MOVED} with devices = {now} in place of {before}: weights, optimiser, queue and " in said
    if start == "one":
        assert two[1][f"from one {framework}"]["said"] == []  # the first process speaks for both


def test_all_reduce_batch_norm_is_batch_norm_on_the_joint_batch(two):
    x = batch_norm_input()
    layer, out, gradient = batch_norm_step(x, torch.arange(len(x)))
    shares = [two[rank]["batch norm"] for rank in range(2)]
    assert torch.allclose(torch.cat([s["out"] for s in shares]), out, atol=1e-12)
    assert torch.allclose(shares[0]["gradient"] + shares[1]["gradient"], gradient, atol=1e-10)
    for key, value in layer.state_dict().items():
        for share in shares:
            assert torch.allclose(share[key], value), key
    for key, parameter in (("weight.grad", layer.weight), ("bias.grad", layer.bias)):
        assert torch.allclose(shares[0][key] + shares[1][key], parameter.grad), key


def test_features_are_gathered_first_views_before_second_ones(two):
    expected = torch.tensor([0, 1, 2, 10, 11, 12, 3, 4, 5, 13, 14, 15.0])[:, None]
    assert torch.equal(two[0]["gathered"], expected)
    assert torch.equal(two[1]["gathered"], expected)


def test_keys_are_enqueued_after_the_loss_has_used_the_queue():
    """With a key network that is the query network, an image's own key in the queue would be at cosine 1."""
    fabric = Fabric(accelerator="cpu", devices=1)
    fabric.launch()
    settings = replace(SETTINGS, framework="moco", momentum=1.0, remedy=pair_remedy("margin", PLAN))
    network = settings.network(1)
    framework = make_framework(settings, fabric, fabric.setup(network), network)
    first, _ = views().float()
    before = [queue.clone() for queue in framework.queues]
    pairs = framework.pairs(first, first)
    assert torch.allclose(pairs.positive, torch.ones(BATCH))
    for similarities in (pairs.negative, pairs.ranked[1]):
        assert similarities.max() < 0.999
    assert all(torch.equal(queue, old) for queue, old in zip(framework.queues, before, strict=True))
    framework.after_step()
    following = framework.pairs(first, first)
    for similarities in (following.negative, following.ranked[1]):
        assert torch.allclose(similarities[:, :BATCH].diagonal(), torch.ones(BATCH), atol=1e-5)


def test_conversion_keeps_weights_statistics_and_mode():
    network = nn.Sequential(nn.Conv2d(1, 3, 1), nn.BatchNorm2d(3), nn.Sequential(nn.BatchNorm1d(4, affine=False)))
    network[1].running_mean.uniform_()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    converted = synchronised(network.eval(), torch.device("cpu"))
    kinds = [type(layer) for layer in converted.modules() if isinstance(layer, nn.modules.batchnorm._BatchNorm)]
    assert kinds == [AllReduceBatchNorm] * 2
    assert all(torch.equal(value, before[key]) for key, value in converted.state_dict().items())
    assert not any(layer.training for layer in converted.modules())
    x = torch.randn(2, 3, 4, 4)
    assert torch.equal(
        converted[1](x),
        nn.functional.batch_norm(x, *(before[f"1.{k}"] for k in ("running_mean", "running_var", "weight", "bias"))),
    )


def test_torchrun_trains_and_speaks_once(tmp_path):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    size = ["--train", "100", "--test", "100", "--batch", "50", "--epochs", "1", "--devices", "2"]
    options = ["--encoder", "convnet", "--width", "4", "--dim", "4", *size]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    result = subprocess.run(
        [*command, "-m", "empirical.train", *options, "--accelerator", "cpu", "--out", str(tmp_path)],
        capture_output=True,
        text=True,
        env=environment,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("trained 1 epochs") == 1
    assert result.stderr.count("baseline: 100%") == 1
    assert json.loads((tmp_path / "result.json").read_text())["settings"]["devices"] == 2
