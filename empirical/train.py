"""One run of contrastive training: ``python -m empirical.train``."""

from __future__ import annotations

import logging
import os
import signal
import time
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor

from empirical.arms import ARMS, BANDS, NotApplicable, PairRemedy, pair_remedy
from empirical.batchnorm import synchronised
from empirical.checkpoint import CHECKPOINT, latest_checkpoint, read_checkpoint, save_checkpoint, tidy
from empirical.data import Images, batches, moved, take
from empirical.encoders import Network, extract
from empirical.evaluate import PROTOCOLS, OnlineProbe, Protocol, describe, evaluate_network
from empirical.files import read_integers
from empirical.logs import Events, Progress, StepBar, environment, say, write_csv, write_result
from empirical.losses import Objective, diagnostics
from empirical.moco import MoCo
from empirical.profile import append_levels, tracked_rows
from empirical.recipes import check_recipe_fits, recipe
from empirical.selection import flag
from empirical.settings import (
    ALONE,
    Running,
    Settings,
    add_arguments,
    given,
    learning_rate,
    settings_from_arguments,
)
from empirical.simclr import Pairs, SimCLR
from theory.cli import Parser, require_writable, run, write_json
from theory.params import ParameterError, require
from theory.plan import Plan

DIAGNOSED = 8  # steps of an epoch whose pairs are diagnosed: the mean over an epoch's all costs a tenth of the loss
AGREE_EVERY = 16  # steps after which several devices ask each other whether to stop


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
    rows = _kept_rows(settings, images)
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
    probe = _online_probe(running, settings, network, images, device)
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

    warned = _warn_of_empty_band(settings.remedy, fabric)
    objective, view = settings.objective, settings.augmentation
    x_train, y_train = _placed(images.x_train, device), images.y_train.to(device)
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
                warned = _warn(
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
    flagged = flag(pairs.ranked, remedy.select, remedy.pos_high, remedy.pos_low, seed)
    with torch.no_grad():
        share = flagged.sum() / (pairs.negative > -torch.inf).sum()
    loss = objective(pairs.positive, pairs.negative, flagged, remedy.sigma, remedy.rho, remedy.remove)
    return loss, share


class Meter:
    """Sums over an epoch, kept on the device: only reading them waits for it.

    Parameters
    ----------
    device : torch.device
    """

    SUMS = ("loss", "flagged_share", "steps")
    DIAGNOSED = ("robust_radius", "effective_negatives", "alignment", "uniformity", "diagnosed")
    FAILURE = ("step", "loss", "positive", "negative")

    def __init__(self, device: torch.device) -> None:
        self.device, self.dtype = device, _sums_dtype(device)
        self.failure = torch.full((len(self.FAILURE),), -1.0, dtype=self.dtype, device=device)
        self.reset()

    def reset(self) -> None:
        """Start a new epoch."""
        self.sums, self.diagnosed, self.hits = (
            torch.zeros(size, dtype=self.dtype, device=self.device) for size in (len(self.SUMS), len(self.DIAGNOSED), 2)
        )

    @torch.no_grad()
    def add(self, step: int, loss: Tensor, flagged: Tensor, pairs: Pairs) -> None:
        """Count one step, and remember the first whose loss is not finite."""
        loss = loss.to(self.dtype)
        self.sums += torch.stack([loss, flagged.to(self.dtype), torch.ones_like(loss)])
        now = torch.stack([torch.full_like(loss, step), loss, pairs.positive.mean(), pairs.negative.amax()])
        first = ~loss.isfinite() & (self.failure[0] < 0)
        self.failure = torch.where(first, now, self.failure)

    @torch.no_grad()
    def diagnose(self, pairs: Pairs, tau: float) -> None:
        """Add robust radius, effective negatives, alignment and uniformity (on the sphere) of a batch."""
        radius, negatives = diagnostics(pairs.negative / tau).to(self.dtype)
        alignment = (2 - 2 * pairs.positive).mean()  # ‖u − v‖² of unit vectors
        count = (pairs.negative > -torch.inf).sum()
        uniformity = (4 * pairs.negative - 4).logsumexp(dim=(0, 1)) - count.log()  # log mean e^{−2‖u − v‖²}
        self.diagnosed += torch.stack([radius, negatives, alignment, uniformity, torch.ones_like(alignment)])

    def hit(self, accuracy: Tensor) -> None:
        """Add the online probe's accuracy on a batch."""
        self.hits += torch.stack([accuracy.to(self.dtype), torch.ones_like(accuracy, dtype=self.dtype)])

    def require_finite(self, settings: Settings, out: Path) -> None:
        """Raise ParameterError if a loss was not finite: the step and what the loss was made of."""
        step, loss, positive, negative = self.failure.tolist()
        if step >= 0:
            cosines = f"mean positive cosine {positive:.3g}, largest negative cosine {negative:.3g}"
            raise _diverged(f"the loss became {loss} at step {step:.0f} ({cosines})", settings, out)

    def means(self, settings: Settings, out: Path) -> dict[str, float]:
        """The epoch's means by name."""
        self.require_finite(settings, out)
        found: dict[str, float] = {}
        for names, sums in ((self.SUMS, self.sums), (self.DIAGNOSED, self.diagnosed)):
            *totals, count = sums.tolist()
            found |= {name: total / count for name, total in zip(names, totals, strict=False)}
        right, count = self.hits.tolist()
        return found | ({"online_probe": right / count} if count else {})

    def state(self) -> dict[str, Tensor]:
        """The sums, for a checkpoint."""
        return {"sums": self.sums, "diagnosed": self.diagnosed, "hits": self.hits}

    def load(self, state: dict[str, Tensor]) -> None:
        """Inverse of ``state``."""
        saved = (state[name].to(self.dtype).to(self.device) for name in ("sums", "diagnosed", "hits"))
        self.sums, self.diagnosed, self.hits = saved


def _sums_dtype(device: torch.device) -> torch.dtype:
    """Of sums over an epoch: Apple's GPUs have no float64."""
    return torch.float32 if device.type == "mps" else torch.float64


def require_finite_network(network: Network, few: Tensor, step: int, settings: Settings, out: Path) -> None:
    """Raise ParameterError if weights, statistics or the features of a few images are not finite; waits for the device.

    The last loss says nothing about the last update, and finite weights may be large enough for infinite features.
    """
    weights = torch.stack([value.isfinite().all() for value in network.state_dict().values()]).all()
    if not (weights and all(features.isfinite().all() for features in extract(network, few))):
        raise _diverged(f"weights or features became infinite or NaN by step {step}", settings, out)


def _diverged(what: str, settings: Settings, out: Path) -> ParameterError:
    path = out / CHECKPOINT
    kept = f"; {path}, of step {read_checkpoint(path)['step']}, is kept" if path.exists() else ""
    return ParameterError(f"{what}; lower lr = {settings.lr}{kept}")


# --- parts of a run --------------------------------------------------------------------------------


def make_fabric(settings: Settings, running: Running = ALONE) -> Fabric:
    """Lightning Fabric for the settings; ParameterError if this machine has no such devices."""
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # it would write into the progress bar
    per_node, rest = divmod(settings.devices, running.nodes)
    require(rest == 0, "devices", settings.devices, f"a multiple of nodes = {running.nodes}")
    started = os.environ.get("WORLD_SIZE", str(settings.devices))  # by torchrun; with one device Fabric ignores it
    require(started == str(settings.devices), "devices", settings.devices, f"devices = WORLD_SIZE = {started}")
    try:
        return Fabric(
            accelerator=settings.accelerator,
            devices=per_node,
            num_nodes=running.nodes,
            precision=settings.precision,  # type: ignore[arg-type]
        )
    except Exception as error:  # Fabric raises many kinds, with messages of several lines
        reason = str(error).splitlines()[0]
        raise ParameterError(f"no {settings.devices} × {settings.accelerator} on this machine: {reason}") from error


def launch(fabric: Fabric, settings: Settings) -> None:
    """Start the other processes and connect to them; ParameterError if that fails."""
    try:
        fabric.launch()
    except Exception as error:  # sockets and process groups fail in many ways, with messages of several lines
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ParameterError(f"cannot start the processes of devices = {settings.devices}: {reason}") from error


def require_fit(settings: Settings, images: Images) -> Network:
    """The settings' network; ParameterError if it does not take images of this shape."""
    shape = tuple(images.x_train.shape[1:])
    channels, height, width = shape
    network = settings.network(channels, (height, width))
    try:
        with torch.no_grad():
            network.eval()(torch.zeros(2, *shape))
    except ParameterError:
        raise
    except Exception as error:  # an encoder of one's own can raise anything
        reason = " ".join(str(error).split())
        raise ParameterError("encoder", settings.encoder, f"images of shape {shape}: {reason}") from error
    network.train()
    return network


def make_optimizer(settings: Settings, network: Network) -> torch.optim.Optimizer:
    """The settings' optimiser; its learning rate is set at every step."""
    fused = next(network.parameters()).device.type in ("cpu", "cuda")
    options: dict[str, Any] = {"lr": settings.peak_rate, "weight_decay": settings.weight_decay, "fused": fused}
    if settings.optimizer == "sgd":
        return torch.optim.SGD(network.parameters(), momentum=0.9, nesterov=True, **options)
    if settings.optimizer == "adamw":
        return torch.optim.AdamW(network.parameters(), **options)
    return torch.optim.Adam(network.parameters(), **options)


def make_framework(settings: Settings, fabric: Fabric, model: Any, network: Network) -> SimCLR | MoCo:
    """The settings' way of making pairs."""
    if settings.framework == "simclr":
        return SimCLR(fabric, model, settings.remedy)
    seed = seed_of(settings.seed, settings.queue)
    return MoCo(fabric, model, network, settings.remedy, settings.queue, settings.momentum, seed)


def seed_of(*numbers: int) -> int:
    """One seed from several numbers."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1)


def epoch_order(settings: Settings, rows: Tensor, epoch: int, per_epoch: int) -> tuple[Tensor, ...]:
    """Training indices of an epoch's batches.

    Where images are left out, the epoch goes on with a new order, so that all arms take as many steps. No batch
    holds an image twice: it would be its own negative.
    """
    generator = torch.Generator().manual_seed(seed_of(settings.seed, epoch, 0))
    wanted = per_epoch * settings.batch
    order = rows[:0]
    while len(order) < wanted:
        following = rows[torch.randperm(len(rows), generator=generator)]
        begun = len(order) % settings.batch
        if begun:  # a batch that this pass completes, with the first of its images that are not yet there
            new = following[~torch.isin(following, order[-begun:])][: settings.batch - begun]
            following = torch.cat([new, following[~torch.isin(following, new)]])
        order = torch.cat([order, following])
    parts: tuple[Tensor, ...] = order[:wanted].split(settings.batch)
    return parts


def _kept_rows(settings: Settings, images: Images) -> Tensor:
    """Indices of the training images that are not left out; ParameterError if they do not fit the settings."""
    count = len(images.y_train)
    kept = np.setdiff1d(np.arange(count), np.array(settings.drop, dtype=np.int64))
    require(settings.batch <= len(kept), "batch", settings.batch, f"batch <= {len(kept)}, the training images")
    require(settings.dim < count, "dim", settings.dim, f"dim < {count}, the training images")
    return torch.from_numpy(kept)


def _placed(x: Any, device: torch.device) -> Any:
    """The images on the device, if they are a tensor and leave it half of its free memory."""
    if not isinstance(x, Tensor) or device.type != "cuda":
        return x
    free, _ = torch.cuda.mem_get_info(device)
    return x.to(device) if 2 * x.nbytes <= free else x


def _online_probe(
    running: Running, settings: Settings, network: Network, images: Images, device: torch.device
) -> OnlineProbe | None:
    if not running.online_probe:
        return None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        probe = OnlineProbe(network.features, images.classes)
    return probe.to(device)


def _warn(fabric: Fabric, message: str) -> bool:
    """Warn, in the first of several processes."""
    if fabric.is_global_zero:
        warnings.warn(message, stacklevel=2)
    return True


def _warn_of_empty_band(remedy: PairRemedy | None, fabric: Fabric) -> bool:
    if remedy is None or remedy.select not in ("rank", "random") or remedy.pos_high < remedy.pos_low:
        return False
    return _warn(fabric, f"the band {remedy.pos_high} to {remedy.pos_low} is empty: training as the baseline")


class stop_requests:
    """Within it, SIGTERM asks the loop to save and leave instead of killing the process."""

    def __init__(self) -> None:
        self.requested = False

    def __enter__(self) -> stop_requests:
        try:
            self._before = signal.signal(signal.SIGTERM, self._request)
        except ValueError:  # not in the main thread: nobody can ask
            self._before = None
        return self

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGTERM, self._before)

    def _request(self, *_: object) -> None:
        self.requested = True

    def agreed(self, fabric: Fabric, step: int) -> bool:
        """Whether to stop after this step; several devices ask each other, but not at every step."""
        if fabric.world_size == 1:
            return self.requested
        if step % AGREE_EVERY:
            return False
        asked = fabric.all_reduce(torch.tensor(float(self.requested), device=fabric.device), reduce_op="sum")
        assert isinstance(asked, Tensor)
        return bool(asked.item() > 0)

    def leave(self, fabric: Fabric, step: int) -> None:
        """End the process with the exit code of SIGTERM, once the checkpoint is written."""
        fabric.barrier()  # a process that left earlier would have its launcher kill the one that still writes
        if fabric.is_global_zero:
            say(f"stopped at step {step}; the same command goes on from here")
        raise SystemExit(128 + signal.SIGTERM)


# --- command line ----------------------------------------------------------------------------------


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of ``python -m empirical.train``."""
    return run(_command, argv, resumable=True)


def _command(argv: Sequence[str] | None) -> None:
    parser = Parser(prog="python -m empirical.train", description=__doc__)
    add_arguments(parser, Settings)
    add_arguments(parser, Running)
    parser.add_argument("--recipe", help="defaults for all options, see docs/recipes.md")
    parser.add_argument("--arm", default="baseline", help=", ".join(ARMS) + " (baseline)")
    parser.add_argument("--seed", type=int, default=0, help="seed (0)")
    parser.add_argument("--plan", type=Path, help="plan with the remedy's values (from theory.bounds)")
    parser.add_argument("--band", default="theory", help=f"the selector's band: {', '.join(BANDS)} (theory)")
    parser.add_argument("--drop", type=Path, help=".npy of training indices to leave out (from empirical.difficulty)")
    parser.add_argument("--protocol", default="lbfgs", help=f"the linear probe: {', '.join(PROTOCOLS)} (lbfgs)")
    parser.add_argument("--out", type=Path, required=True, help="folder of the run")
    args = parser.parse_args(argv)
    protocol = Protocol(args.protocol)
    running = Running(**given(args, Running))
    settings = _settings(args)
    resumed, started = (args.out / CHECKPOINT).exists(), time.perf_counter()
    first = int(os.environ.get("RANK", os.environ.get("LOCAL_RANK", "0"))) == 0  # which speaks for all
    with StepBar(settings.arm, 2 * settings.batch) as bar:
        network = train(settings, args.out, bar if first else None, running)
    if torch.distributed.is_initialized():
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()  # a connection closed at exit could abort the process
    if not first:
        return
    print(f"{'resumed and finished' if resumed else 'trained'} {settings.epochs} epochs: {args.out / CHECKPOINT}")
    device = next(network.parameters()).device
    scores = evaluate_network(network, settings.original_images(), protocol)
    write_result(args.out, "arm", settings, scores, protocol, time.perf_counter() - started, device)
    print(describe(scores, protocol))


def _settings(args: Any) -> Settings:
    """Settings from a recipe, the options, the arm and its plan."""
    base = Settings()
    if args.recipe is not None:
        base = replace(base, **recipe(args.recipe))
    settings = replace(settings_from_arguments(args, base), arm=args.arm, seed=args.seed)
    arm = ARMS[args.arm]
    if arm.loss is not None:
        require(args.loss in (None, arm.loss), "loss", args.loss, f"{arm.loss}, the loss of the arm {args.arm}")
        settings = replace(settings, loss=arm.loss)
    try:
        remedy = pair_remedy(args.arm, Plan.load(args.plan) if args.plan else None, args.band)
    except NotApplicable as reason:
        raise ParameterError(f"arm = {args.arm} is not applicable: {reason}") from reason
    images = settings.images()
    if args.recipe is not None:
        check_recipe_fits(args.recipe, images.x_train.shape)
    if arm.drop in ("difficult", "random"):
        require(args.drop is not None, "arm", args.arm, "the images to leave out (--drop FILE)")
    drop = read_indices(args.drop, len(images.y_train)) if args.drop else ()
    if arm.drop == "mixed":
        drop = tuple(images.mixed.nonzero().flatten().tolist())
        require(bool(drop), "omega", settings.omega, "omega > 0 for the arm mixed_removal")
    return replace(settings, remedy=remedy, drop=drop)


def read_indices(path: Path, count: int) -> tuple[int, ...]:
    """Training indices from an .npy file.

    Raises
    ------
    ParameterError
        If the file is not a vector of integers below ``count``.
    """
    indices = read_integers("drop", path)
    inside = not len(indices) or (indices.min() >= 0 and indices.max() < count)
    require(bool(inside), "drop", path, f"indices in [0, {count - 1}]")
    return tuple(int(i) for i in np.unique(indices))


if __name__ == "__main__":
    raise SystemExit(main())
