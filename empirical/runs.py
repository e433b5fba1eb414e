"""What a task of a comparison or study is; ``theory.engine`` runs them."""

from __future__ import annotations

import io
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from empirical.arms import NotApplicable, arm_named
from empirical.choices import BEST, BEST_UNLABELLED, SHARE
from empirical.data import some, take, without
from empirical.data.arrays import read_integers
from empirical.data.augment import to_float
from empirical.data.sources import balanced_order
from empirical.evaluate.protocol import Protocol
from empirical.train.logs import read_result
from empirical.train.settings import ALONE, Running, Settings
from theory.checks import ParameterError, require
from theory.engine import Pool, report
from theory.files import write_bytes, write_json
from theory.kinds import Pairing
from theory.plan import Profile, plan_from_profile

if TYPE_CHECKING:
    from empirical.data import DataSet
    from empirical.profile.measurement import Measurement

EVIDENCE_ROWS = 2_000
SAVED_EIGENVALUES = 256
LONGEST_TEXT = 300  # signs of a sample that is a text
REFERENCES = ("raw_pixels", "untrained")
PILOT = "pilot"


@dataclass(frozen=True)
class Task:
    """One run: a pilot, an arm with a seed, or a reference row."""

    kind: str  # "pilot", "arm", or one of REFERENCES
    settings: Settings
    out: Path
    protocol: Protocol = field(default_factory=Protocol)  # how its encoder is probed
    pairing: Pairing = "matched"  # behind the plan
    scores: str | None = "gap"  # what makes a sample difficult: one of ``empirical.choices.SCORES``, or the best
    redundancy: float = 0.0  # of SAS
    running: Running = ALONE
    measured: bool = False  # whether the final encoder is profiled on the images that it was trained on

    @property
    def epochs(self) -> int:
        """Epochs of training, for the progress bar; references count as one."""
        return 1 if self.kind in REFERENCES else self.settings.epochs

    @property
    def finished(self) -> bool:
        """Whether its whole result is on disk; a damaged one counts as none."""
        try:
            read_result(self.out / "result.json")
        except ParameterError:
            return False
        return True


def pilot_folder(place: Path) -> Path:
    """The folder of the run that is measured before the plan: ``pilot``, or ``warmup`` where it was begun as such."""
    earlier = place / "warmup"
    return earlier if earlier.exists() else place / PILOT


# --- what a worker does ----------------------------------------------------------------------------


def execute(task: Task) -> None:
    """Do one task and write its result.json last; a finished task is left alone."""
    if task.finished:
        return
    from empirical.evaluate.scoring import evaluate_features
    from empirical.train.logs import write_result
    from empirical.train.loop import train

    started = time.perf_counter()
    s, protocol, device = task.settings, task.protocol, torch.device("cpu")
    # Every encoder is probed on the original images, whatever it was trained on.
    original = s.original_data_set()
    if task.kind == "raw_pixels":
        labelled = (original.y_train >= 0).nonzero().flatten()
        everything = torch.arange(len(original.y_test))
        pictures = (take(original.x_train, labelled), take(original.x_test, everything))
        x, x_test = (to_float(part).flatten(1).numpy() for part in pictures)
        y, y_test = original.y_train[labelled].numpy(), original.y_test.numpy()
        metrics = evaluate_features("encoder", x, y, x_test, y_test, protocol)
        if s.seed == 0:
            _profile_pixels(task)
    else:
        if task.kind == "untrained":
            network = s.network(*original.x_train.shape[1:]).eval()
        else:
            network = train(s, task.out, lambda *done: _report_epochs(task, *done), task.running).eval()
            device = next(network.parameters()).device
        view = s.augmentation if protocol.on_views else None
        metrics = s.kind.evaluate(network, s, original, protocol, view)
        if task.measured:
            _measure_run(task, network)
        elif task.kind == PILOT or (task.kind == "untrained" and s.seed == 0):
            _profile_network(task, network)
    write_result(task.out, task.kind, s, metrics, protocol, time.perf_counter() - started, device)


def _profile_pixels(task: Task) -> None:
    from empirical.data.features import Features
    from empirical.profile.measurement import measure

    data = task.settings.data_set()
    labelled = (data.y_train >= 0).nonzero().flatten()
    pixels = to_float(take(data.x_train, labelled)).flatten(1).numpy()
    if not task.settings.on_views:
        pixels = pixels - 0.5  # centred at mid-grey, so that a cosine compares patterns rather than brightness
    found = measure({"encoder": Features(pixels)}, data.y_train[labelled].numpy(), f"{data.name}, raw pixels")
    _save_profile(task, replace(found.profile, dim=task.settings.dim))


def _profile_network(task: Task, network: Any) -> None:
    from empirical.data.arrays import save_array
    from empirical.encoders import extract
    from empirical.profile.measurement import measure_network

    data, view = task.settings.data_set(), task.settings.augmentation
    source = f"{data.name}, {task.kind} encoder"
    s = task.settings
    found = measure_network(network, data, source, view, tau=s.temperature, batch=s.batch)
    _save_profile(task, found.profile)
    if task.kind == PILOT:
        labels = data.y_train.numpy() if data.labelled else found.labels
        names = data.class_names if data.labelled else [f"cluster {number}" for number in np.unique(labels)]
        labelled = np.flatnonzero(labels >= 0)
        rows = np.sort(labelled[balanced_order(labels[labelled])[:EVIDENCE_ROWS]])
        shown = some(data.x_train, torch.from_numpy(rows))
        h, _ = extract(network, shown)
        save_array(task.out / "difficult.npy", np.flatnonzero(_difficult(task, network, data, found)))
        texts = [] if isinstance(shown, torch.Tensor) else [text[:LONGEST_TEXT] for text in s.kind.texts(shown)]
        content = io.BytesIO()
        np.savez_compressed(
            content,
            rows=rows,
            features=h.numpy(),
            labels=labels[rows],
            difficult=found.difficult[rows],  # by the probe: the report's pairs
            images=shown.numpy() if isinstance(shown, torch.Tensor) else np.empty((len(rows), 0)),
            class_names=np.array(names),
            texts=np.array(texts, dtype=str),
        )
        write_bytes(task.out / "evidence.npz", content.getvalue())


def _difficult(task: Task, network: Any, data: DataSet, found: Measurement) -> NDArray[np.bool_]:
    """The samples that are difficult by the task's scores, as many as by the probe."""
    from empirical.data.features import Features
    from empirical.difficulty.assessment import doubts, most_difficult
    from empirical.difficulty.neighbours import neighbourhoods
    from empirical.difficulty.scores import flag_shares, largest, sas_scores
    from empirical.encoders import extract
    from empirical.profile.measurement import numbered

    labels = data.y_train.numpy()
    rows = np.flatnonzero(labels >= 0)
    by, share = task.scores or (BEST if len(rows) else BEST_UNLABELLED), float(found.difficult.mean())
    if by == "gap":
        return found.difficult
    h, z = (Features(space.numpy()) for space in extract(network, data.x_train))
    if by == "flags":
        plan = plan_from_profile(found.profile, task.pairing)
        return largest(flag_shares(h, plan.pos_high, plan.pos_low, task.settings.batch), share)
    if by == "contrast":
        return largest(neighbourhoods(h).contrast, share)
    require(len(rows) > 0, "scores", by, "contrast or flags where there are no labels")
    classes = numbered(labels[rows])
    known = (z if by == "sas" else h).only(rows)
    scores = sas_scores(known, classes, task.redundancy) if by == "sas" else doubts(known, classes)
    difficult = np.zeros(len(labels), dtype=bool)
    difficult[rows] = most_difficult(by, scores, classes, SHARE)
    return difficult


def _measure_run(task: Task, network: Any) -> None:
    """Profile and leading eigenvalues of a run's final encoder on the images that it was trained on."""
    from empirical.encoders import extract
    from empirical.profile.measurement import leading_eigenvalues, measure_network

    data = without(task.settings.data_set(), task.settings.drop)
    s = task.settings
    source = f"{data.name}, {s.arm}"
    found = measure_network(network, data, source, s.augmentation, tau=s.temperature, batch=s.batch)
    found.profile.save(task.out / "profile.json")
    rows = balanced_order(found.labels)[:EVIDENCE_ROWS]
    h, _ = extract(network, some(data.x_train, torch.from_numpy(rows)))
    values = leading_eigenvalues(h.numpy(), SAVED_EIGENVALUES)
    document = {"rows": len(rows), "eigenvalues": None if values is None else values.tolist()}
    write_json(task.out / "spectrum.json", document)


def _save_profile(task: Task, profile: Profile) -> None:
    profile.save(task.out / "profile.json")
    plan_from_profile(profile, task.pairing).save(task.out / "plan.json")


def _report_epochs(task: Task, step: int, steps: int, epoch: int) -> None:
    """Report finished epochs, once each."""
    per_epoch = steps // task.settings.epochs
    if step % per_epoch == 0:
        report(step // per_epoch)


# --- what the main process does --------------------------------------------------------------------


def run_tasks(tasks: Sequence[Task], pool: Pool, description: str) -> None:
    """Do the tasks that are not finished, under a bar that counts epochs over all workers."""
    unfinished = [task for task in tasks if not task.finished]
    for task in unfinished:
        if (task.out / "result.json").exists():
            warnings.warn(f"{task.out / 'result.json'} is damaged: the run is done again", stacklevel=2)
    if unfinished:
        pool.run(execute, unfinished, [task.epochs for task in unfinished], desc=description, unit="epoch")


def dropped(arm: str, settings: Settings, pilot: Path, seed: int) -> tuple[int, ...]:
    """Training images that an arm leaves out, after the pilot in the folder ``pilot``."""
    kind = arm_named(arm).drop
    if kind is None:
        return ()
    if kind == "mixed":
        mixed = settings.data_set().mixed.nonzero().flatten().tolist()
        if not mixed:
            raise NotApplicable("no image is mixed at ω = 0")
        return tuple(mixed)
    difficult = read_integers("difficult", pilot / "difficult.npy")
    if kind == "difficult":
        return tuple(int(i) for i in difficult)
    # As many of each class as the difficult ones, drawn anew for every seed.
    labels = settings.data_set().y_train.numpy()
    generator = np.random.default_rng(seed)
    counts = zip(*np.unique(labels[difficult], return_counts=True), strict=True)
    drawn = [generator.choice(np.flatnonzero(labels == c), count, replace=False) for c, count in counts]
    return tuple(sorted(int(i) for part in drawn for i in part))
