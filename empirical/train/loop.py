"""The training loop."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, cast

import torch
from lightning_fabric import Fabric
from torch import Tensor

from empirical.arms import PairRemedy
from empirical.data import batches, moved, take
from empirical.encoders import Network
from empirical.losses import Objective
from empirical.profile.measurement import append_levels, tracked_rows
from empirical.selection import flag
from empirical.train.batchnorm import synchronised
from empirical.train.checkpoint import CHECKPOINT, latest_checkpoint, save_checkpoint, tidy
from empirical.train.logs import Events, Progress, environment, write_csv
from empirical.train.meter import Meter, require_finite_network
from empirical.train.parts import (
    epoch_order,
    kept_rows,
    launch,
    make_fabric,
    make_framework,
    make_optimizer,
    make_probe,
    placed,
    require_fit,
    seed_of,
    stop_requests,
    warn_first,
    warn_of_empty_band,
)
from empirical.train.settings import ALONE, Running, Settings, learning_rate
from empirical.train.simclr import Pairs
from theory.checks import ParameterError
from theory.files import require_writable, write_json

DIAGNOSED = 8  # steps of an epoch whose pairs are diagnosed: the mean over an epoch's all costs a tenth of the loss


def train(
    settings: Settings,
    out: Path,
    progress: Progress | None = None,
    running: Running = ALONE,
    fabric: Fabric | None = None,
) -> Network:
    """Train one network; go on from the last checkpoint if ``out`` has one.

    Every arm takes as many steps as the whole training set gives, also where images are left out. Order and
    views are drawn from seeds of their own for every epoch and step, so a resumed run needs no generator's
    state, and ends with the same bits on a CPU.

    Parameters
    ----------
    settings : Settings
    out : Path
        Folder for settings.json, environment.json, metrics.csv, checkpoint.pt and, if asked for, profiles.csv and
        tensorboard/.
    progress : callable, optional
        Called with (steps done, steps, epoch) once the settings are checked and after every step.
    running : Running
    fabric : Fabric, optional
        Given by a caller that has launched the processes itself, as many as ``settings.devices``.

    Returns
    -------
    Network
        The network after the last epoch.

    Raises
    ------
    ParameterError
        If ``out`` holds a run with other settings, the data do not fit the settings, or the loss diverges.
    SystemExit
        With code 143, after saving a checkpoint, on SIGTERM.
    """
    images = settings.images()
    rows = kept_rows(settings, images)
    network = require_fit(settings, images)
    if running.track:
        try:
            tracked_rows(images)
        except ParameterError as error:
            raise ParameterError(f"track = {running.track} is not possible: {error}") from error
    require_writable(out / CHECKPOINT)
    if fabric is None:
        fabric = make_fabric(settings, running)
        launch(fabric, settings)
    device = fabric.device
    state, fell_back = latest_checkpoint(out, settings)
    fabric.barrier()
    if fabric.is_global_zero:
        tidy(out, fell_back)
        write_json(out / "settings.json", settings.to_json())
        write_json(out / "environment.json", environment(device))

    if fabric.world_size > 1:
        network = cast(Network, synchronised(network, device))
    network = cast(Network, network.to(device, memory_format=torch.channels_last))  # type: ignore[call-overload]
    optimizer = make_optimizer(settings, network)
    compiled: Any = torch.compile(network) if settings.compile else network
    model, optimizer = fabric.setup(compiled, optimizer)
    framework = make_framework(settings, fabric, model, network)
    per_epoch = len(images.y_train) // settings.batch
    steps = per_epoch * settings.epochs
    step, metrics, meter = 0, [], Meter(device)
    shape, few = tuple(images.x_train.shape[1:]), take(images.x_train, torch.arange(2))
    probe = make_probe(running, settings, network, images, device)
    if state is not None:
        # After setup, which may have converted the weights to another precision.
        network.load_state_dict(state["network"])
        optimizer.load_state_dict(state["optimizer"])
        framework.load(state["framework"])
        meter.load(state["meter"])
        step, metrics = state["step"], list(state["metrics"])
        if probe is not None and state["probe"] is not None:
            probe.load(state["probe"])

    def save() -> None:
        meter.require_finite(settings, out)
        require_finite_network(network, few, step, settings, out)
        if not fabric.is_global_zero:
            return
        if metrics:
            write_csv(out / "metrics.csv", metrics)
        checkpoint = {
            "settings": settings.to_json(),
            "step": step,
            "shape": shape,
            "network": network.state_dict(),
            "optimizer": optimizer.state_dict(),
            "framework": framework.state(),
            "meter": meter.state(),
            "metrics": metrics,
            "probe": None if probe is None else probe.state(),
        }
        save_checkpoint(out, checkpoint)

    warned = warn_of_empty_band(settings.remedy, fabric)
    objective, view = settings.objective, settings.augmentation
    x_train, y_train = placed(images.x_train, device), images.y_train.to(device)
    warmup = round(settings.warmup * steps)
    local = settings.batch // settings.devices
    events = Events(out, step, running.tensorboard and fabric.is_global_zero)
    views = torch.Generator(device)
    if progress is not None:
        progress(step, steps, step // per_epoch)
    with stop_requests() as stop:
        while step < steps:
            epoch, done = divmod(step, per_epoch)
            started, began = time.perf_counter(), step
            model.train()
            order = [
                part[fabric.global_rank * local :][:local]
                for part in epoch_order(settings, rows, epoch, per_epoch)[done:]
            ]
            diagnosed = set(range(0, per_epoch, max(1, per_epoch // DIAGNOSED)))
            for x, chosen in zip(batches(x_train, order, device, running.workers), order, strict=True):
                rate = learning_rate(step, steps, warmup, settings.peak_rate, settings.schedule)
                for group in optimizer.param_groups:
                    group["lr"] = rate
                views.manual_seed(seed_of(settings.seed, step, 1 + fabric.global_rank))
                # For encoders that draw numbers, such as dropout. The last one tells it from the views' seed; not 0,
                # with which a shorter sequence is padded.
                torch.manual_seed(seed_of(settings.seed, step, 1 + fabric.global_rank, 1))
                pairs = framework.pairs(view(x, views), view(x, views))
                loss, flagged = batch_loss(pairs, objective, settings.remedy, seed_of(settings.seed, step))
                optimizer.zero_grad()
                fabric.backward(loss)
                optimizer.step()
                meter.add(step, loss, flagged, pairs)
                if step % per_epoch in diagnosed:
                    meter.diagnose(pairs, settings.tau)
                if probe is not None:
                    meter.hit(probe.update(pairs.features, y_train[moved(chosen, device)]))
                framework.after_step()
                step += 1
                if device.type == "cpu":  # elsewhere reading the loss would wait for the device
                    meter.require_finite(settings, out)
                if step % per_epoch and running.checkpoint_every and step % running.checkpoint_every == 0:
                    save()
                if progress is not None:
                    progress(step, steps, epoch + 1)
                if stop.agreed(fabric, step) and step % per_epoch:
                    save()
                    stop.leave(fabric, step)
            row = {"epoch": epoch + 1, **meter.means(settings, out), "learning_rate": rate}
            seconds = time.perf_counter() - started  # reading the means has waited for the device
            row["views_per_second"] = 2 * (step - began) * settings.batch / seconds
            metrics.append(row)
            if settings.remedy is not None and row["flagged_share"] == 0 and not warned:
                warned = warn_first(
                    fabric, f"epoch {epoch + 1}: the selector's band holds no pair: training as the baseline"
                )
            meter.reset()
            events.write(row, step)
            save()
            if running.track and ((epoch + 1) % running.track == 0 or step == steps) and fabric.is_global_zero:
                append_levels(out / "profiles.csv", epoch + 1, network, images)
            if stop.agreed(fabric, 0) and step < steps:
                stop.leave(fabric, step)
    events.close()
    return network


def batch_loss(pairs: Pairs, objective: Objective, remedy: PairRemedy | None, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Loss of a batch and the share of its pairs that were flagged.

    Parameters
    ----------
    pairs : Pairs
    objective : Objective
    remedy : PairRemedy or None
    seed : int
        Of random selection.
    """
    if remedy is None:
        return objective(pairs.positive, pairs.negative), pairs.positive.new_zeros(())
    assert pairs.ranked is not None
    flagged = flag(pairs.ranked, remedy, seed)
    with torch.no_grad():
        share = flagged.sum() / (pairs.negative > -torch.inf).sum()
    return objective(pairs.positive, pairs.negative, flagged, remedy), share
