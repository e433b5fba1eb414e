"""The training loop."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor

from empirical.arms import PairRemedy
from empirical.data import DataSet, batches, some
from empirical.data.augment import two_views
from empirical.data.digests import digests
from empirical.data.reading import READING
from empirical.encoders import Network
from empirical.losses import NO_REMEDY, Objective, with_mixed
from empirical.selection import NO_FLAGS, Flags
from empirical.train.checkpoint import CHECKPOINT
from empirical.train.logs import Progress
from empirical.train.observers import Batch, Observer, Row, make_observers, require_trackable
from empirical.train.parts import (
    device_share,
    epoch_order,
    kept_samples,
    launched,
    make_fabric,
    make_framework,
    make_optimizer,
    on_device,
    placed,
    require_fit,
    seed_of,
    seed_step,
    set_rate,
    stop_requests,
)
from empirical.train.run import Run
from empirical.train.selectors import make_selector
from empirical.train.settings import ALONE, Running, Settings, learning_rate
from empirical.train.simclr import Pairs
from theory.checks import ParameterError
from theory.engine import in_task
from theory.files import require_writable, write_json
from theory.locks import locked


def train(
    settings: Settings,
    out: Path,
    progress: Progress | None = None,
    running: Running = ALONE,
    fabric: Fabric | None = None,
    observers: Sequence[Observer] = (),
) -> Network:
    """Train one network; go on from the last checkpoint if ``out`` has one.

    Every arm takes as many steps as the whole training set gives, also where images are left out, and on the same
    batches but for these images. Order and
    views are drawn from seeds of their own for every epoch and step, so a resumed run needs no generator's
    state, and ends with the same bits on a CPU.

    Parameters
    ----------
    settings : Settings
    out : Path
        Folder for settings.json, environment.json, reading.json, metrics.csv, checkpoint.pt and, if asked for,
        profiles.csv and tensorboard/.
    progress : callable, optional
        Called with (steps done, steps, epoch) once the settings are checked and after every step.
    running : Running
    fabric : Fabric, optional
        Given by a caller that has launched the processes itself, as many as ``settings.devices``.
    observers : sequence of Observer
        The caller's own, beside those that ``running`` asks for.

    Returns
    -------
    Network
        The network after the last epoch.

    Raises
    ------
    ParameterError
        If another process has ``out``, or it holds a run on other data or with other settings than can be gone on
        with, see ``empirical.train.continuing``; if the data do not fit the settings, or the loss diverges.
    SystemExit
        With code 143, after saving a checkpoint, on SIGTERM.
    """
    progress = progress or (lambda *_: None)
    data = settings.data_set()
    kept = kept_samples(settings, data)
    network = require_fit(settings, data)
    require_trackable(running, data)
    require_writable(out / CHECKPOINT)
    fabric = fabric or launched(make_fabric(settings, running), settings)
    with _alone(out, fabric):
        return _train(settings, out, progress, running, fabric, observers, data, kept, network)


@contextmanager
def _alone(out: Path, fabric: Fabric) -> Iterator[None]:
    """Have the run's folder to this run's processes; a task's is in a folder that its caller has."""
    refusal = None
    with ExitStack() as stack:
        if fabric.is_global_zero and not in_task():
            try:
                stack.enter_context(locked(out))
            except ParameterError as error:
                refusal = str(error)
        if fabric.world_size > 1:
            refusal = fabric.broadcast(refusal)
        if refusal is not None:
            raise ParameterError(refusal)
        yield


def _train(
    settings: Settings,
    out: Path,
    progress: Progress,
    running: Running,
    fabric: Fabric,
    observers: Sequence[Observer],
    data: DataSet,
    kept: Tensor,
    network: Network,
) -> Network:
    device = fabric.device
    begun = digests(data) | settings.beginning(data.x_train.shape[1:], network)
    network = on_device(network, fabric)
    compiled: Any = torch.compile(network) if settings.compile else network
    model, optimizer = fabric.setup(compiled, make_optimizer(settings, network))
    framework = make_framework(settings, fabric, model, network)
    selector = make_selector(settings, data, device)
    watching = make_observers(settings, running, out, fabric, network, data, observers)
    for observer in watching:
        observer.begin(settings, network, data)
    few, per_epoch = some(data.x_train, torch.arange(2)), len(data.y_train) // settings.batch
    made = fabric, network, optimizer, framework, selector
    run = Run(settings, out, *made, watching, few, per_epoch, begun)
    run.resume()  # after setup, which may have converted the weights to another precision
    if fabric.is_global_zero:
        write_json(out / READING, data.reading.to_json())

    objective, views = settings.objective, torch.Generator(device)
    scheduled = settings.views(tuple(data.x_train.shape[1:]))
    x_train = placed(data.x_train, device)
    steps = per_epoch * settings.epochs
    warmup = round(settings.warmup * steps)
    if run.metrics and run.step == len(run.metrics) * per_epoch:
        for observer in watching:
            observer.resumed(run.metrics[-1])
    progress(run.step, steps, run.step // per_epoch)
    with stop_requests() as stop:
        while run.step < steps:
            epoch, done = divmod(run.step, per_epoch)
            started = time.perf_counter()
            if not network.training:
                model.train()
            whole = epoch_order(settings, kept, epoch, per_epoch)[done:]
            order = device_share(whole, fabric)
            loaded = batches(x_train, order, device, running.workers)
            for x, chosen, everyone in zip(loaded, order, whole, strict=True):
                rate = learning_rate(run.step, steps, warmup, settings.peak_rate, settings.schedule)
                set_rate(optimizer, rate)
                view = next(view for until, view in scheduled if run.step < until * steps)
                seed_step(settings, run.step, fabric.global_rank, views)
                pairs = framework.pairs(*two_views(view, x, views))
                seed = seed_of(settings.seed, run.step)
                flags = selector.flags(pairs, everyone, epoch, seed)
                loss, flagged = batch_loss(pairs, objective, settings.remedy, flags, seed)
                optimizer.zero_grad()
                fabric.backward(loss)
                optimizer.step()
                framework.after_step()
                with torch.no_grad():
                    for observer in watching:
                        observer.step(Batch(run.step, epoch, chosen, everyone, pairs, loss, flagged, flags))
                run.step += 1
                within = run.step % per_epoch > 0  # the end of an epoch is saved below, with its row
                if within and running.checkpoint_every and run.step % running.checkpoint_every == 0:
                    run.save()
                progress(run.step, steps, epoch + 1)
                if stop.agreed(fabric, run.step) and within:
                    run.save()
                    stop.leave(fabric, run.step)

            row: Row = {"epoch": epoch + 1}
            for observer in watching:
                row |= observer.row()
            seconds = time.perf_counter() - started  # reading the means has waited for the device
            speed = 2 * len(order) * settings.batch / seconds
            run.metrics.append(row | {"learning_rate": rate, "views_per_second": speed})
            run.save()
            for observer in watching:
                observer.saved(run.metrics[-1])
            if stop.agreed(fabric, 0) and run.step < steps:
                stop.leave(fabric, run.step)
    return network


def batch_loss(
    pairs: Pairs, objective: Objective, remedy: PairRemedy | None = None, flags: Flags = NO_FLAGS, seed: int = 0
) -> tuple[Tensor, Tensor]:
    """Loss of a batch and the share of its negatives that were flagged.

    Parameters
    ----------
    pairs : Pairs
    objective : Objective
    remedy : PairRemedy or None
        What happens to the flagged pairs.
    flags : Flags
        The difficult pairs.
    seed : int
        Of mixed negatives.
    """
    share = pairs.positive.new_zeros(())
    if flags.negative is not None:
        with torch.no_grad():
            share = flags.negative.sum() / (pairs.negative > -torch.inf).sum()
    negative = pairs.negative
    if pairs.vectors is not None:
        removed = flags.negative if remedy is not None and remedy.remove else None
        negative = with_mixed(*pairs.vectors, negative, objective.mochi_share, seed, removed)
        flags = flags.widened(negative.shape[1])
    loss = objective(pairs.positive, negative, flags.negative, remedy or NO_REMEDY, flags.positive)
    return loss, share
