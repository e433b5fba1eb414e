"""What watches a run without changing it: means over an epoch, levels, events, warnings.

``train`` calls every observer in the same four places: after each step, at the end of an epoch for its columns of
``metrics.csv``, once that epoch is saved, and for what a checkpoint must hold.
"""

from __future__ import annotations

import io
import math
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor

from empirical.arms import PairRemedy
from empirical.data import DataSet, moved, subset
from empirical.data.labels import UNLABELLED
from empirical.data.sources import AnySamples
from empirical.encoders import Network, extract
from empirical.evaluate.probes import OnlineProbe
from empirical.losses import Objective, diagnostics
from empirical.profile.measurement import append_levels, recorded_epochs, tracked_rows
from empirical.selection import Flags, fast
from empirical.train.checkpoint import diverged
from empirical.train.labels import PairLabels
from empirical.train.logs import speaks
from empirical.train.parts import scaler_of
from empirical.train.settings import Running, Settings
from empirical.train.simclr import Pairs
from theory.checks import ParameterError, require
from theory.files import write_bytes

DIAGNOSED = 8  # steps of an epoch whose pairs are diagnosed: the mean over an epoch's all costs a tenth of the loss
HALF = torch.finfo(torch.float16).min, torch.finfo(torch.float16).max
Row = dict[str, float]


class Batch(NamedTuple):
    """What a step made of a batch.

    Attributes
    ----------
    step : int
        Steps of the run before this one.
    epoch : int
        From 0.
    rows : Tensor
        Indices of this device's training images.
    everyone : Tensor
        Those of all devices.
    pairs : Pairs
        Over all devices, but for the features.
    loss : Tensor
        A scalar.
    flagged : Tensor
        Share of the pairs that were flagged, a scalar.
    flags : Flags
        Which ones; none without a selector.
    """

    step: int
    epoch: int
    rows: Tensor
    everyone: Tensor
    pairs: Pairs
    loss: Tensor
    flagged: Tensor
    flags: Flags


class Observer:
    """Watches a run; does nothing until one of its methods is given something to do.

    Each of several devices has observers of its own; the first one's columns and state are written.
    """

    @property
    def name(self) -> str:
        """Under which a checkpoint holds the state."""
        return type(self).__name__

    def begin(self, settings: Settings, network: Network, data: DataSet) -> None:
        """See what is trained and refuse what does not fit, before the run begins or goes on: nothing is written."""

    def step(self, batch: Batch) -> None:
        """See a step, without gradients. Reading a value here makes a GPU wait."""

    def row(self) -> Row:
        """Columns of the epoch that ends; the next step begins a new one."""
        return {}

    def saved(self, row: Row) -> None:
        """See an epoch's whole row, once metrics and checkpoint are on disk."""

    def resumed(self, row: Row) -> None:
        """See that a run goes on from the end of an epoch, with its row, which ``saved`` may not have seen."""

    def state(self) -> dict[str, Any]:
        """What a resumed run must know: tensors and plain data."""
        return {}

    def load(self, state: dict[str, Any]) -> None:
        """Inverse of ``state``."""


class Means(Observer):
    """Means of ``columns`` over an epoch, summed on the device: only reading them waits for it."""

    columns: tuple[str, ...]

    def __init__(self) -> None:
        self.sums: Tensor | None = None  # of the columns, and the steps counted

    def add(self, *values: Tensor) -> None:
        """Count a step, with a scalar for each of the columns."""
        new = torch.stack([*values, torch.ones_like(values[0])]).to(_sums_dtype(values[0].device))
        self.sums = new if self.sums is None else self.sums.to(new.dtype).to(new.device) + new

    def row(self) -> Row:
        """The means; nothing if no step was counted."""
        if self.sums is None:
            return {}
        *totals, count = self.sums.tolist()
        self.sums = None
        return {name: total / count for name, total in zip(self.columns, totals, strict=True)}

    def state(self) -> dict[str, Any]:
        """The sums."""
        return {"sums": self.sums}

    def load(self, state: dict[str, Any]) -> None:
        """Inverse of ``state``."""
        self.sums = state["sums"]


class Losses(Means):
    """Loss and share of flagged pairs; ParameterError at the first loss that is not finite.

    Other devices than a processor are asked for it only at the end of an epoch and for a checkpoint, which is then
    not written.
    """

    columns = ("loss", "flagged_share")

    def __init__(self, settings: Settings, out: Path, device: torch.device) -> None:
        super().__init__()
        self.settings, self.out = settings, out
        # Of the first loss that is not finite: step, loss, mean positive and largest negative cosine.
        self.failure = torch.full((4,), -1.0, dtype=_sums_dtype(device), device=device)

    def step(self, batch: Batch) -> None:
        """Count the loss."""
        self.add(batch.loss, batch.flagged)
        loss, (positive, negative, *_) = batch.loss.to(self.failure.dtype), batch.pairs
        now = torch.stack([torch.full_like(loss, batch.step), loss, positive.mean(), negative.amax()])
        self.failure = torch.where(~loss.isfinite() & (self.failure[0] < 0), now, self.failure)
        if loss.device.type == "cpu":
            self._require_finite()

    def row(self) -> Row:
        """The means."""
        self._require_finite()
        return super().row()

    def state(self) -> dict[str, Any]:
        """The sums."""
        self._require_finite()
        return super().state()

    def _require_finite(self) -> None:
        step, loss, positive, negative = self.failure.tolist()
        if step >= 0:
            cosines = f"mean positive cosine {positive:.3g}, largest negative cosine {negative:.3g}"
            raise diverged(f"the loss became {loss} at step {step:.0f} ({cosines})", self.settings, self.out)


class LossScale(Observer):
    """The factor by which the loss is multiplied before its gradients are taken in half precision.

    A step whose gradients are not finite is left out and halves it, which is no divergence; steps enough to bring it
    from its start, 65,536, below 1 are.
    """

    def __init__(self, scaler: torch.amp.GradScaler, settings: Settings, out: Path) -> None:
        self.scaler, self.settings, self.out = scaler, settings, out

    def step(self, batch: Batch) -> None:
        """Look, where that waits for no device."""
        if batch.loss.device.type == "cpu":
            self._require_steps(batch.step)

    def row(self) -> Row:
        """The factor."""
        return {"loss_scale": self._require_steps(None)}

    def _require_steps(self, step: int | None) -> float:
        scale = float(self.scaler.get_scale())
        if scale < 1:
            when = "" if step is None else f" at step {step}"
            what = f"gradients became infinite or NaN{when}, also of the loss without a scale"
            raise diverged(what, self.settings, self.out)
        return scale


class Classes(Means):
    """Which share of the flagged negatives, and of all, are of different classes, by the training labels.

    The second is the first's chance level. A pair with an unlabelled image, or with one of a queue's first keys,
    counts in neither.
    """

    columns = ("flagged_across", "negatives_across")

    def __init__(self, labels: PairLabels) -> None:
        super().__init__()
        self.labels = labels

    def step(self, batch: Batch) -> None:
        """Count the batch's pairs."""
        flagged, own = batch.flags.negative, 0
        if flagged is None:
            return
        anchors, negatives = self.labels.of(batch.pairs, batch.everyone)
        if not len(self.labels.keys):
            own = len(negatives) // len(batch.everyone)  # views of the anchor's own image, no negatives
        labelled, others = fast(anchors != UNLABELLED), fast(negatives != UNLABELLED)
        alike, chosen = fast(self.labels.alike(anchors, negatives)), fast(flagged)
        if not self.labels.complete:
            chosen = chosen & labelled[:, None]
            chosen &= others
        known = _count(labelled)
        negative = known * (_count(others) - own)
        self.add(_count(alike & chosen), _count(chosen), _count(alike) - own * known, negative)

    def row(self) -> Row:
        """The shares over all of the epoch's pairs, NaN where there is no pair."""
        if self.sums is None:
            return {}
        *sums, _ = self.sums.tolist()
        self.sums = None
        counts = zip(self.columns, sums[::2], sums[1::2], strict=True)
        return {name: 1 - alike / number if number else math.nan for name, alike, number in counts}

    def state(self) -> dict[str, Any]:
        """The sums and the queue's labels."""
        return {**super().state(), "labels": self.labels.state()}

    def load(self, state: dict[str, Any]) -> None:
        """Inverse of ``state``."""
        super().load(state)
        self.labels.load(state["labels"])


class Diagnostics(Means):
    """Robust radius, effective negatives, alignment and uniformity (on the sphere) of some of an epoch's batches."""

    columns: tuple[str, ...] = ("robust_radius", "effective_negatives", "alignment", "uniformity")

    def __init__(self, objective: Objective, per_epoch: int) -> None:
        super().__init__()
        self.objective, self.per_epoch = objective, per_epoch
        if objective.loss == "equal_radius":
            self.columns = (*self.columns, "equal_radius_tau")

    def step(self, batch: Batch) -> None:
        """Diagnose about eight batches of an epoch."""
        if batch.step % self.per_epoch % max(1, self.per_epoch // DIAGNOSED):
            return
        positive, negative = batch.pairs.positive, batch.pairs.negative
        alignment = (2 - 2 * positive).mean()  # ‖u − v‖² of unit vectors
        count = (negative > -torch.inf).sum()
        uniformity = (4 * negative - 4).logsumexp(dim=(0, 1)) - count.log()  # log mean e^(−2‖u − v‖²)
        tau = self.objective.temperature(negative)
        found = tau if isinstance(tau, Tensor) else None
        self.add(*diagnostics(negative / tau), alignment, uniformity, *([] if found is None else [found]))


class Probe(Means):
    """Accuracy of a linear layer that is trained along.

    Parameters
    ----------
    learner : OnlineProbe or None
        None only reports what was counted before the run was resumed without it.
    labels : Tensor
        Of all training images.
    """

    columns = ("online_probe",)

    def __init__(self, learner: OnlineProbe | None, labels: Tensor) -> None:
        super().__init__()
        self.learner, self.labels = learner, labels

    def step(self, batch: Batch) -> None:
        """Learn from the batch."""
        if self.learner is not None:
            self.add(self.learner.update(batch.pairs.features, self.labels[moved(batch.rows, self.labels.device)]))

    def state(self) -> dict[str, Any]:
        """The sum and the layer."""
        return {**super().state(), "learner": None if self.learner is None else self.learner.state()}

    def load(self, state: dict[str, Any]) -> None:
        """Inverse of ``state``."""
        super().load(state)
        if self.learner is not None and state["learner"] is not None:
            self.learner.load(state["learner"])


class EmptyBand(Observer):
    """Warns, once, of a selector whose band holds no pair."""

    def __init__(self, remedy: PairRemedy) -> None:
        self.warned = False
        if remedy.select in ("rank", "random") and remedy.pos_high >= remedy.pos_low:
            self._warn(f"the band {remedy.pos_high} to {remedy.pos_low} is empty")

    def saved(self, row: Row) -> None:
        """Warn if nothing was flagged."""
        if row["flagged_share"] == 0 and not self.warned:
            self._warn(f"epoch {row['epoch']}: the selector's band holds no pair")

    def _warn(self, what: str) -> None:
        self.warned = True
        warnings.warn(f"{what}: training as the baseline", stacklevel=3)


class Events(Observer):
    """TensorBoard's event files: every epoch's row, once.

    Parameters
    ----------
    out : Path
        The run's folder.
    epochs, per_epoch : int
        Of the run; steps of an epoch.
    """

    def __init__(self, out: Path, epochs: int, per_epoch: int) -> None:
        self.folder, self.epochs, self.per_epoch = out / "tensorboard", epochs, per_epoch
        self._writer: Any = None

    def saved(self, row: Row) -> None:
        """Write the row, in place of what an interrupted run has written of this epoch and later ones."""
        from torch.utils.tensorboard import SummaryWriter

        epoch = int(row["epoch"])
        step = epoch * self.per_epoch
        if self._writer is None:
            self._wait_for_a_name()
            self._writer = SummaryWriter(str(self.folder), purge_step=step)
        for name, value in row.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()
        if epoch == self.epochs:
            self._writer.close()

    def resumed(self, row: Row) -> None:
        """Write the row unless all of it is there: a kill may have come before it, or within it."""
        if self._recorded(int(row["epoch"]) * self.per_epoch) != set(row):
            self.saved(row)

    def _recorded(self, step: int) -> set[str]:
        """Columns that have exactly one value at this step, if no step after it has any."""
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        if not self.folder.exists():
            return set()
        events = EventAccumulator(str(self.folder), size_guidance={"scalars": 0})
        events.Reload()
        steps = {name: [event.step for event in events.Scalars(name)] for name in events.Tags()["scalars"]}
        return {name for name, found in steps.items() if found[-1] == step and found.count(step) == 1}

    def _wait_for_a_name(self) -> None:
        """Files are read in the order of their names, which begin with the second: a new one's must be the last."""
        until = time.monotonic() + 2  # unless the clock has been put back
        stamp = len("events.out.tfevents.") + 10
        newest = max((path.name[:stamp] for path in self.folder.glob("events.out.tfevents.*")), default="")
        while f"events.out.tfevents.{int(time.time()):010d}" <= newest and time.monotonic() < until:
            time.sleep(0.05)


class Levels(Observer):
    """α̂, β̂, γ̂, ε̂ every few epochs, and after the last one, in profiles.csv."""

    def __init__(self, out: Path, every: int, epochs: int, network: Network, data: DataSet) -> None:
        self.path, self.every, self.epochs = out / "profiles.csv", every, epochs
        self.network, self.data = network, data

    def saved(self, row: Row) -> None:
        """Measure; the epoch is saved before, since this takes a while."""
        epoch = int(row["epoch"])
        if epoch % self.every == 0 or epoch == self.epochs:
            append_levels(self.path, epoch, self.network, self.data)

    def resumed(self, row: Row) -> None:
        """Measure if that was interrupted."""
        if int(row["epoch"]) not in recorded_epochs(self.path):
            self.saved(row)


class Snapshots(Observer):
    """Features of some training images over training, before the projector and of the images as they are.

    They are kept in the checkpoint too, so that a resumed run has them all. With several devices the first one has
    them.

    Parameters
    ----------
    path : Path
        An .npz of ``rows`` and ``labels``, shape (n,), ``epochs``, shape (E,), and ``features``, float16 of shape
        (E, n, d), written again whenever an epoch is added.
    rows : sequence of int
        Indices of the training images.
    epochs : sequence of int
        After which to look, from 1.
    """

    def __init__(self, path: Path, rows: Sequence[int], epochs: Sequence[int]) -> None:
        self.path, self.rows, self.epochs = Path(path), np.asarray(rows, dtype=np.int64), sorted(set(epochs))
        self.kept: dict[int, Tensor] = {}
        self.epoch = 0  # that is trained, from 1

    def begin(self, settings: Settings, network: Network, data: DataSet) -> None:
        """Look the images up."""
        count, last = len(data.y_train), settings.epochs
        inside = self.rows.ndim == 1 and len(self.rows) > 0 and 0 <= self.rows.min() <= self.rows.max() < count
        require(bool(inside), "rows", self.rows, f"one or more indices in [0, {count - 1}]")
        fits = len(self.epochs) > 0 and self.epochs[0] >= 1 and self.epochs[-1] <= last
        require(fits, "epochs", self.epochs, f"one or more epochs in [1, {last}]")
        self.network, self.labels = network, data.y_train.numpy()[self.rows]
        self.x: AnySamples = subset(data.x_train, self.rows)

    def step(self, batch: Batch) -> None:
        """Follow the epoch."""
        self.epoch = batch.epoch + 1

    def row(self) -> Row:
        """Look, before the epoch's checkpoint is written; no columns."""
        if self.epoch in self.epochs and speaks():
            features, _ = extract(self.network, self.x)
            self.kept[self.epoch] = features.clamp(*HALF).half()
        return {}

    def saved(self, row: Row) -> None:
        """Write what this epoch has added."""
        if int(row["epoch"]) in self.kept:
            self._write()

    def state(self) -> dict[str, Any]:
        """The features so far."""
        return {"rows": torch.from_numpy(self.rows), "kept": self.kept}

    def load(self, state: dict[str, Any]) -> None:
        """Inverse of ``state``; the file may have been lost since."""
        same = np.array_equal(state["rows"].numpy(), self.rows)
        require(same, "rows", self.rows, f"those of the run before, which wrote {self.path}")
        self.kept = dict(state["kept"])
        if self.kept:
            self._write()

    def _write(self) -> None:
        if not speaks():
            return
        buffer, epochs = io.BytesIO(), sorted(self.kept)
        features = torch.stack([self.kept[epoch] for epoch in epochs]).numpy()
        np.savez(buffer, rows=self.rows, labels=self.labels, epochs=np.array(epochs), features=features)
        write_bytes(self.path, buffer.getvalue())


def require_trackable(running: Running, data: DataSet) -> None:
    """Require images on which levels can be measured, if they are to be."""
    try:
        if running.track:
            tracked_rows(data)
    except ParameterError as error:
        raise ParameterError(f"track = {running.track} is not possible: {error}") from error


def make_observers(
    settings: Settings,
    running: Running,
    out: Path,
    fabric: Fabric,
    network: Network,
    data: DataSet,
    own: Sequence[Observer] = (),
) -> list[Observer]:
    """A run's observers, ``own`` among them, in the order of their columns; ParameterError if two have one name."""
    per_epoch = len(data.y_train) // settings.batch
    found = [
        Losses(settings, out, fabric.device),
        *([] if (scaler := scaler_of(fabric)) is None else [LossScale(scaler, settings, out)]),
        *_classes(settings, data, fabric.device),
        Diagnostics(settings.objective, per_epoch),
        Probe(_make_probe(running, settings, network, data), data.y_train.to(fabric.device)),
        *own,
    ]
    if fabric.is_global_zero:
        if settings.remedy is not None and settings.remedy.ranks:
            found.append(EmptyBand(settings.remedy))
        if running.tensorboard:
            found.append(Events(out, settings.epochs, per_epoch))
        if running.wandb:
            from empirical.train.dashboard import Dashboard

            found.append(Dashboard(settings, out, per_epoch))
        if running.track:
            found.append(Levels(out, running.track, settings.epochs, network, data))
    names = [observer.name for observer in found]
    require(len(set(names)) == len(names), "observers", ", ".join(names), "one name each")
    return found


def _classes(settings: Settings, data: DataSet, device: torch.device) -> list[Observer]:
    if settings.remedy is None or not (data.y_train != UNLABELLED).any():
        return []
    return [Classes(PairLabels.of_run(settings, data, device))]


def _make_probe(running: Running, settings: Settings, network: Network, data: DataSet) -> OnlineProbe | None:
    if not running.online_probe:
        return None
    require(data.labelled, "online_probe", True, f"labels of some training images, which {data.name} lacks")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        probe = OnlineProbe(network.features, data.classes)
    return probe.to(next(network.parameters()).device)


def _count(flags: Any) -> Tensor:
    """How many of a ``fast`` table are true, a scalar on its device."""
    return flags.sum() if isinstance(flags, Tensor) else torch.tensor(np.count_nonzero(flags))


def _sums_dtype(device: torch.device) -> torch.dtype:
    """Of sums over an epoch: Apple's GPUs have no float64."""
    return torch.float32 if device.type == "mps" else torch.float64
