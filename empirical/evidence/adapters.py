"""Instrument A: adapters on cached views, one entry and training set at a time, ten seeds a task."""

from __future__ import annotations

import io
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from empirical.arms import ARMS, Given, PairRemedy, pair_remedy
from empirical.compare.presets import PRESETS
from empirical.data import DataSet, take
from empirical.data.arrays import save_array
from empirical.data.features import Features
from empirical.data.labels import Labels
from empirical.difficulty.scores import sas_scores
from empirical.encoders import Network, extract
from empirical.evaluate.probes import Array, choose_c, probe
from empirical.evidence.choices import Choices
from empirical.evidence.design import BENCHES, OWN, REMOVED, Bench, Entry
from empirical.prediction import predict
from empirical.profile.measurement import measure_network, probe_gaps, smallest_gaps
from empirical.runs import pilot_folder
from empirical.train.loop import train
from empirical.train.settings import Settings
from theory.arrays import read_array
from theory.engine import report
from theory.files import read_table, write_bytes
from theory.plan import Plan, plan_from_profile
from theory.temporary import in_temporary_folder

STEPS = 95  # at least, of every run: five epochs of 5,000 images
TUNING = -1  # number of the tuning set
PILOT_SEED = 1_000  # of the run behind plans and SAS scores; no compared run has it
LAST_EPOCH = ("loss", "flagged_share", "flagged_across", "negatives_across")  # columns of metrics.csv
MEMORY = Path("/dev/shm")  # where a run's checkpoints need not survive it
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Task:
    """Some seeds of an entry on one training set.

    Parameters
    ----------
    bench, name : str
        The entry's names.
    entry : Entry
    number : int
        Of the training set; −1 for the tuning set.
    views : Path
        Its cached views.
    seeds : tuple of int
    choices : Choices
    out : Path
        Folder of all results.
    """

    bench: str
    name: str
    entry: Entry
    number: int
    views: Path
    seeds: tuple[int, ...]
    choices: Choices
    out: Path

    @property
    def path(self) -> Path:
        """The result, written last."""
        return self.out / "runs" / self.bench / self.name / f"{self.label}-{self.seeds[0]}.npz"

    @property
    def label(self) -> str:
        """The training set in a file's name."""
        return "tuning" if self.number == TUNING else str(self.number)

    @property
    def extra(self) -> int:
        """Evaluated images, the last ones, that are no test images."""
        return 0 if self.number == TUNING else BENCHES[self.bench].split.extra


class Outcome(NamedTuple):
    """What a run gave: which images it got right, bool of shape (I,), and numbers by name."""

    correct: NDArray[np.bool_]
    numbers: dict[str, float]


def execute(task: Task) -> None:
    """Train and evaluate the seeds of a task, and write their accuracies and who was right."""
    if task.path.exists():
        return
    outcomes = []
    for seed in task.seeds:
        outcomes.append(outcome(task, seed))
        report(len(outcomes))
    save_outcomes(task.path, task.seeds, outcomes)


def outcome(task: Task, seed: int) -> Outcome:
    """Train one run and evaluate it on the original images."""
    entry = task.entry
    s = settings_of(task, seed)
    original = s.original_data_set()
    started, numbers = time.process_time(), dict[str, float]()
    if entry.frozen:
        everyone = torch.arange(len(original.y_train)), torch.arange(len(original.y_test))
        train_features, test_features = (
            take(x, rows).flatten(1) for x, rows in zip((original.x_train, original.x_test), everyone, strict=True)
        )
    else:
        network, numbers = trained(s) if not entry.untrained else (_fresh(s, original), {})
        train_features, test_features = (extract(network, x)[0] for x in (original.x_train, original.x_test))
    seconds = time.process_time() - started
    h, labels = train_features.numpy(), original.y_train.numpy()
    c = _c_of(task, h, labels)
    correct = probe(h, labels, c).predict(test_features.numpy()) == original.y_test.numpy()
    official = len(correct) - task.extra
    predicted = predict(h, labels, c=c).accuracy
    numbers |= {"accuracy": correct.mean(), "official": correct[:official].mean(), "seconds": seconds}
    numbers["predicted"] = np.nan if predicted is None else predicted
    if entry.c == OWN:
        numbers["c"] = c
    return Outcome(correct, {name: float(value) for name, value in numbers.items()})


def _c_of(task: Task, features: Array, labels: Labels) -> float:
    """C of a run's probe."""
    c = task.entry.c
    if c == OWN:
        c = choose_c(features, labels)
        assert c is not None  # every class has several rows
    return task.choices.c if c is None else float(c)


def settings_of(task: Task, seed: int) -> Settings:
    """The settings of one run."""
    bench, entry = BENCHES[task.bench], task.entry
    s = base_settings(bench, task.views, task.choices.tau if entry.tau == "best" else bench.tau)
    s = replace(s, seed=seed, arm=entry.arm, loss=ARMS[entry.arm].loss or s.loss, **entry.settings)
    if isinstance(entry.tau, float):
        s = replace(s, tau=entry.tau)
    return replace(s, remedy=remedy_of(task), drop=dropped(task, s, seed))


def base_settings(bench: Bench, views: Path, tau: float) -> Settings:
    """What all runs of a bench share: the adapter's preset, for as many epochs as make ``STEPS``."""
    s = replace(PRESETS["adapter"].base, data=f"views:{views}", tau=tau, imbalance=bench.imbalance)
    per_epoch = len(s.data_set().y_train) // s.batch
    return replace(s, epochs=max(s.epochs, -(-STEPS // per_epoch)))


def remedy_of(task: Task) -> PairRemedy | None:
    """The pair remedy of an entry.

    Raises
    ------
    NotApplicable
        If the plan has no value for a derived one.
    """
    entry, plan = task.entry, None
    given = replace(entry.given, stated=BENCHES[task.bench].stated)
    if entry.sizes == "derived":
        # With the paper's band, as what is stated and tuned: they differ by σ and ρ alone.
        plan, given = Plan.load(pilot(task) / "plan.json"), Given("paper", stated=given.stated)
    elif entry.sizes == "tuned":
        found = getattr(task.choices, entry.arm)
        assert isinstance(found, Given)
        given = found
    return pair_remedy(entry.arm, plan, given, ARMS[entry.arm].loss or "nt_xent")


def trained(s: Settings) -> tuple[Network, dict[str, float]]:
    """A trained network in evaluation mode, and the numbers of its last epoch."""
    with in_temporary_folder(MEMORY if MEMORY.is_dir() else None) as folder:
        network = train(s, folder / "run").eval()
        last = read_table(folder / "run" / "metrics.csv").iloc[-1]
    return network, {name: float(last[name]) for name in LAST_EPOCH if name in last}


def _fresh(s: Settings, images: DataSet) -> Network:
    """The network as it begins."""
    channels, height, width = images.x_train.shape[1:]
    return s.network(channels, height, width).eval()


# --- images that are left out ----------------------------------------------------------------------


def dropped(task: Task, s: Settings, seed: int) -> tuple[int, ...]:
    """Training images that an entry leaves out, as many of each class whichever the rule (but for mixed images).

    ``hardest`` and ``easiest`` by the paper's gap between a probe's two largest outputs, each image's by a probe on the
    frozen features of the other half; ``sas`` the images least like their class after the projector of the pilot
    run; ``random`` are drawn anew for each seed.
    """
    rule = task.entry.drop
    if rule is None:
        return ()
    images, bench = s.data_set(), BENCHES[task.bench]
    labels = images.y_train.numpy()
    if rule == "mixed":
        return tuple(images.mixed.nonzero().flatten().tolist())
    share = bench.omega or REMOVED
    if rule == "random":
        scores = np.random.default_rng([seed, PILOT_SEED]).random(len(labels))
    else:
        scores = read_array(pilot(task) / ("gaps.npy" if rule in ("hardest", "easiest") else f"{rule}.npy"), None)
    chosen = smallest_gaps(-scores if rule == "easiest" else scores, labels, share)
    return tuple(np.flatnonzero(chosen).tolist())


# --- pilot ---------------------------------------------------------------------------------------


def pilot(task: Task) -> Path:
    """The folder of the run behind plans and scores of a training set."""
    return pilot_folder(task.out) / f"{task.bench}-{task.number}"


def prepare(task: Task) -> None:
    """Train a training set's pilot run, whose seed no compared run has, and write its plan and the images' scores."""
    folder = pilot(task)
    if (folder / "plan.json").exists():
        return
    s = replace(base_settings(BENCHES[task.bench], task.views, BENCHES[task.bench].tau), seed=PILOT_SEED)
    images = s.data_set()
    labels = images.y_train.numpy()
    network, _ = trained(s)
    frozen = take(images.x_train, torch.arange(len(labels))).flatten(1).numpy()
    projected = extract(network, images.x_train)[1].numpy()
    scores = {"gaps": probe_gaps(Features(frozen), labels)}
    scores |= {f"sas{penalty}": sas_scores(Features(projected), labels, float(penalty)) for penalty in range(3)}
    for name, values in scores.items():
        save_array(folder / f"{name}.npy", values)
    found = measure_network(network, images, task.bench, s.augmentation, tau=s.tau, batch=s.batch)
    found.profile.save(folder / "profile.json")
    plan_from_profile(found.profile, "block").save(folder / "plan.json")


# --- files -----------------------------------------------------------------------------------------


def save_outcomes(path: Path, seeds: Sequence[int], outcomes: Sequence[Outcome]) -> None:
    """Write what some seeds gave: ``correct`` as bits of ``images`` a row, and an array a number."""
    correct = np.stack([o.correct for o in outcomes])
    arrays = {name: np.array([o.numbers[name] for o in outcomes]) for name in outcomes[0].numbers}
    arrays |= {"correct": np.packbits(correct, axis=1), "images": np.array(correct.shape[1]), "seeds": np.array(seeds)}
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)  # type: ignore[arg-type]
    write_bytes(path, content.getvalue())
