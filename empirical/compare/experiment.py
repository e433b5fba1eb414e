"""Arms × seeds × ω on real images, and the report: ``python -m empirical.compare``.

For every ω: a pilot run → its profile → the theory's plan → one run per arm and seed with that plan.
Every finished run is kept; the same command goes on where it was interrupted.
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np

from empirical.arms import NotApplicable, arm_named, pair_remedy
from empirical.choices import FEWEST_ROWS
from empirical.compare.presets import Experiment
from empirical.compare.report import write_report
from empirical.compare.saved import claim, folder, write_reasons
from empirical.data import sample_copies
from empirical.data.copies import first_copies
from empirical.modalities.registry import IMAGES
from empirical.runs import PILOT, Task, dropped, pilot_folder, run_tasks
from empirical.train.settings import ALONE, Running, Settings
from theory.checks import ParameterError, require, require_integer
from theory.plan import Plan
from theory.workers import workers

PILOT_SEED = 10_000  # of no compared run, so that the plan is not fitted to one of them
LARGEST_RAW = 1 << 28  # pixels times channels of all training images: a probe on more costs more than the runs


def compare(
    experiment: Experiment, out: Path, jobs: int = 1, running: Running = ALONE, scheduler: str | None = None
) -> Path:
    """Run an experiment and write its report.

    Parameters
    ----------
    experiment : Experiment
    out : Path
        Folder for the runs, results.csv, results.json and report.html.
    jobs, scheduler
        Where, see ``theory.workers.workers``.
    running : Running
        How each run is executed.

    Returns
    -------
    Path
        The report.

    Raises
    ------
    ParameterError
        If ``out`` holds another experiment, or the data do not fit; or as ``workers``.
    """
    devices = experiment.base.devices  # each of their processes would run the comparison
    require(devices == 1, "devices", devices, "devices = 1 in a comparison (empirical.train takes several)")
    experiment.base.kind.require_protocol(experiment.protocol_of(experiment.base))
    check_data(experiment, running)
    with workers(jobs, scheduler, out) as pool:
        claim(experiment, out)
        experiment.base.original_data_set().reading.tell(out)
        run_tasks(first_tasks(experiment, out, running), pool, "pilots, references")
        tasks, inapplicable = planned(experiment, out, running)
        for omega, reasons in inapplicable.items():
            write_reasons(out, omega, reasons)
        run_tasks(tasks, pool, "arms")
    return write_report(out)


def task(
    experiment: Experiment, kind: str, settings: Settings, out: Path, running: Running = ALONE, measured: bool = False
) -> Task:
    """One run of an experiment."""
    e = experiment
    protocol = e.protocol_of(settings)
    return Task(kind, settings, out, protocol, e.pairing, e.scores, e.redundancy, running, measured)


def first_tasks(experiment: Experiment, out: Path, running: Running = ALONE) -> list[Task]:
    """For each ω the pilot and the reference rows."""
    tasks: list[Task] = []
    for omega in experiment.omegas:
        base, place = replace(experiment.base, omega=omega), folder(out, omega)
        tasks.append(task(experiment, PILOT, replace(base, seed=PILOT_SEED), pilot_folder(place), running))
        probed = not experiment.protocol_of(base).on_views  # through a network, which raw pixels have not
        pixels = base.modality == IMAGES and math.prod(base.original_data_set().x_train.shape) <= LARGEST_RAW
        if probed and pixels:
            tasks.append(task(experiment, "raw_pixels", replace(base, seed=0), place / "raw_pixels", running))
        for seed in range(experiment.seeds):
            untrained = replace(base, seed=seed)
            tasks.append(task(experiment, "untrained", untrained, place / f"untrained-{seed}", running))
    return tasks


def planned(
    experiment: Experiment, out: Path, running: Running = ALONE
) -> tuple[list[Task], dict[float, dict[str, str]]]:
    """The arms' tasks after the pilots, seed by seed, and why some arms are not applicable, by ω."""
    tasks: list[Task] = []
    inapplicable: dict[float, dict[str, str]] = {}
    for omega in experiment.omegas:
        place = folder(out, omega)
        plan = Plan.load(pilot_folder(place) / "plan.json")
        inapplicable[omega] = {}
        for seed in range(experiment.seeds):
            for arm in experiment.arms:
                loss = arm_named(arm).loss or experiment.base.loss
                try:
                    remedy = pair_remedy(arm, plan, experiment.given, loss, experiment.base.data)
                    drop = dropped(arm, replace(experiment.base, omega=omega), pilot_folder(place), seed)
                    left = len(experiment.base.data_set().y_train) - len(drop)
                    if left < experiment.base.batch:
                        raise NotApplicable(f"removal leaves {left} images, fewer than a batch")
                except NotApplicable as reason:
                    inapplicable[omega][arm] = str(reason)
                    continue
                settings = replace(
                    experiment.base, omega=omega, arm=arm, seed=seed, loss=loss, remedy=remedy, drop=drop
                )
                tasks.append(task(experiment, "arm", settings, place / f"{arm.replace(':', '.')}-{seed}", running))
    return tasks, inapplicable


def check_data(experiment: Experiment, running: Running) -> None:
    """Fail on unusable data or sizes before anything is written."""
    from empirical.profile.measurement import require_measurable
    from empirical.train.parts import make_fabric, require_fit

    experiment.require_arms(experiment.arms)
    s = experiment.base
    for arm in experiment.arms:
        _ = replace(s, loss=arm_named(arm).loss or s.loss).objective
    data = s.data_set()
    require_fit(s, data)
    if reason := s.kind.unevaluated(s, data):
        raise ParameterError(reason)
    count, classes = len(data.y_train), data.classes
    require(s.dim < count, "dim", s.dim, f"dim < {count}, the training {s.kind.sample}s")
    require(s.batch <= count, "batch", s.batch, f"batch <= {count}, the training {s.kind.sample}s")
    make_fabric(s, running)
    if not data.labelled:  # which are judged by something else; clusters stand for classes in the plan
        require(
            experiment.labels_per_class is None, "labels_per_class", experiment.labels_per_class, "none without any"
        )
        return
    labels = data.y_train.numpy()
    sizes = np.bincount(labels[labels >= 0])
    enough = f"at least {FEWEST_ROWS} labelled {s.kind.sample}s, which the plan is measured on"
    require(int(sizes.sum()) >= FEWEST_ROWS, "train", int(sizes.sum()), enough)
    require(int(sizes.min()) >= 4, "train", count, f"at least 4 {s.kind.sample}s in each of the {classes} classes")
    labelled, copies = labels >= 0, sample_copies(data.x_train)
    require_measurable(labels[labelled], None if copies is None else first_copies(copies[labelled]), data.class_names)
    if experiment.labels_per_class is not None:
        require_integer("labels_per_class", experiment.labels_per_class, 1, int(sizes.min()))
