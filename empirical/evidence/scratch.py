"""Instrument B: networks from scratch on all training images, one run a task."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from empirical.arms import ARMS, pair_remedy
from empirical.compare.presets import PRESETS
from empirical.data import DataSet
from empirical.data.arrays import save_array
from empirical.data.features import Features
from empirical.data.sources import balanced_order
from empirical.encoders import Network, extract
from empirical.evaluate.probes import choose_c, probe
from empirical.evidence.adapters import LAST_EPOCH, PILOT_SEED, Outcome, save_outcomes
from empirical.evidence.design import REMOVED, SCRATCH, SCRATCH_SEEDS, Entry
from empirical.paper import STATED
from empirical.prediction import predict
from empirical.profile.measurement import probe_gaps, smallest_gaps
from empirical.runs import pilot_folder
from empirical.train.loop import train
from empirical.train.observers import Snapshots
from empirical.train.settings import Settings
from theory.arrays import read_array
from theory.engine import report
from theory.files import read_json, read_table, write_json

BASE = replace(PRESETS["photos-cpu"].base, batch=512, epochs=12)
CONSTANTS = "cifar10"  # of the paper
SNAPSHOT_ROWS, SNAPSHOTS = 2_000, (1, 2, 4, 8, 12)  # training images and epochs


@dataclass(frozen=True)
class ScratchTask:
    """One run of an entry.

    Parameters
    ----------
    name : str
    entry : Entry
    seed : int
    data : str
        See ``empirical.data.load``.
    out : Path
        Folder of all results.
    """

    name: str
    entry: Entry
    seed: int
    data: str
    out: Path

    @property
    def folder(self) -> Path:
        """Of its checkpoints."""
        return self.out / "scratch" / self.name / str(self.seed)

    @property
    def path(self) -> Path:
        """The result, written last."""
        return self.out / "runs" / "scratch" / self.name / f"0-{self.seed}.npz"

    @property
    def pilot(self) -> Path:
        """The folder of the run that chooses C and the hardest images."""
        return pilot_folder(self.out / "scratch")

    @property
    def settings(self) -> Settings:
        """Of the run."""
        entry = self.entry
        base = replace(BASE, data=self.data, seed=self.seed, arm=entry.arm, **entry.settings)
        tau = base.tau if entry.tau == "best" else STATED[CONSTANTS].tau
        remedy = pair_remedy(entry.arm, None, replace(entry.given, stated=CONSTANTS))
        s = replace(base, tau=tau, loss=ARMS[entry.arm].loss or base.loss, remedy=remedy)
        return replace(s, drop=self._dropped(s))

    def _dropped(self, s: Settings) -> tuple[int, ...]:
        rule = self.entry.drop
        if rule is None:
            return ()
        images = s.data_set()
        if rule == "mixed":
            return tuple(images.mixed.nonzero().flatten().tolist())
        labels = images.y_train.numpy()
        drawn = np.random.default_rng([self.seed, PILOT_SEED])
        scores = drawn.random(len(labels)) if rule == "random" else read_array(self.pilot / "gaps.npy", None)
        return tuple(np.flatnonzero(smallest_gaps(scores, labels, REMOVED)).tolist())


def tasks(data: str, out: Path) -> Iterator[ScratchTask]:
    """All runs, one seed of every entry before the next seed."""
    for seed in SCRATCH_SEEDS:
        for name, entry in SCRATCH.items():
            yield ScratchTask(name, entry, seed, data, out)


def pilot_task(data: str, out: Path) -> ScratchTask:
    """The task of ``prepare``."""
    return ScratchTask("baseline", SCRATCH["baseline"], PILOT_SEED, data, out)


def prepared(task: ScratchTask) -> bool:
    """Whether ``prepare`` has been done."""
    return (task.pilot / "c.json").exists()


def prepare(task: ScratchTask) -> None:
    """Train the pilot run, whose seed no compared run has; write its choice of C and the gaps of the images."""
    if prepared(task):
        return
    images, network = _trained(task)
    features, labels = extract(network, images.x_train)[0].numpy(), images.y_train.numpy()
    save_array(task.pilot / "gaps.npy", probe_gaps(Features(features), labels))
    write_json(task.pilot / "c.json", {"c": choose_c(features, labels)})


def execute(task: ScratchTask) -> None:
    """Train and evaluate a run on the original images, and write who was right."""
    if task.path.exists():
        return
    images, network = _trained(task)
    c = float(read_json(task.pilot / "c.json", "c")["c"])
    h, labels = extract(network, images.x_train)[0].numpy(), images.y_train.numpy()
    correct = probe(h, labels, c).predict(extract(network, images.x_test)[0].numpy()) == images.y_test.numpy()
    last = read_table(task.folder / "metrics.csv").iloc[-1]
    numbers = {name: float(last[name]) for name in LAST_EPOCH if name in last}
    predicted = predict(h, labels, c=c).accuracy
    numbers |= {"accuracy": float(correct.mean()), "official": float(correct.mean())}
    numbers["predicted"] = float("nan") if predicted is None else predicted
    save_outcomes(task.path, [task.seed], [Outcome(correct, numbers)])


def _trained(task: ScratchTask) -> tuple[DataSet, Network]:
    """The original images, and the network after the last epoch."""
    s = task.settings
    original = s.original_data_set()
    per_epoch = len(original.y_train) // s.batch
    rows = np.sort(balanced_order(original.y_train.numpy())[:SNAPSHOT_ROWS])
    seen = Snapshots(task.folder / "snapshots.npz", rows.tolist(), SNAPSHOTS)

    def progress(step: int, *_: int) -> None:
        if step % per_epoch == 0:
            report(step // per_epoch)

    return original, train(s, task.folder, progress, observers=[seen]).eval()
