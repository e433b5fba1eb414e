"""Arms × seeds × ω on real images, and the report: ``python -m empirical.compare``.

For every ω: a warm-up run → its profile → the theory's plan → one run per arm and seed with that plan.
Every finished run is kept; the same command goes on where it was interrupted.
"""

from __future__ import annotations

import math
import multiprocessing
import os
import queue
import signal
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from empirical.arms import ARMS, BANDS, NotApplicable, pair_remedy
from empirical.data import take, without
from empirical.recipes import check_recipe_fits, recipe
from empirical.settings import ALONE, Running, Settings, add_arguments, given, settings_from_arguments
from empirical.sources import balanced_order
from theory.cli import Parser, read_document, require_writable, run, write_json
from theory.params import PAIRINGS, Pairing, ParameterError, require, require_integer, require_known, require_share
from theory.plan import Plan, Profile, plan_from_profile

EXPERIMENT_SCHEMA = "difficult-examples/experiment/1"
WARMUP_SEED = 10_000  # of no compared run, so that the plan is not fitted to one of them
EVIDENCE_ROWS = 2_000
SAVED_EIGENVALUES = 256
PATIENCE = 60  # seconds that a worker has to save its run when the comparison is interrupted
REFERENCES = ("raw_pixels", "untrained")
SCORES = ("gap", "flags")
LARGEST_RAW = 1 << 28  # pixels times channels of all training images: a probe on more costs more than the runs

_updates: Any = None  # in a worker: the queue on which it reports finished epochs


@dataclass(frozen=True)
class Experiment:
    """What is compared.

    Parameters
    ----------
    base : Settings
        Settings that all runs share.
    arms : tuple of str
        Keys of ``empirical.arms.ARMS``; ``baseline`` is always among them.
    seeds : int
        Runs per arm, with seeds 0, 1, …
    omegas : tuple of float
        Shares of mixed training images, one condition each.
    band, pairing : str
        The selector's band and the pairing behind the plan.
    scores : {"gap", "flags"}
        What makes a sample difficult for sample removal: a probe's gap, or its number of flagged pairs (no labels).
    labels_per_class : int or None
        Labels per class that the probe sees, over ``draws`` draws; None for all of them.
    draws : int
    """

    base: Settings
    arms: tuple[str, ...]
    seeds: int = 3
    omegas: tuple[float, ...] = (0.0,)
    band: str = "theory"
    pairing: Pairing = "matched"
    scores: str = "gap"
    labels_per_class: int | None = None
    draws: int = 50

    def __post_init__(self) -> None:
        for arm in self.arms:
            require_known("arms", arm, ARMS)
        require(len(set(self.arms)) == len(self.arms), "arms", ",".join(self.arms), "no arm twice")
        require("baseline" in self.arms, "arms", ",".join(self.arms), "baseline among the arms")
        require_integer("seeds", self.seeds, 1)
        require_integer("draws", self.draws, 1)
        require(bool(self.omegas), "omegas", "", "at least one value")
        require(len(set(self.omegas)) == len(self.omegas), "omegas", self.omegas, "no value twice")
        for omega in self.omegas:
            require_share("omega", omega)
        require_known("band", self.band, BANDS)
        require_known("scores", self.scores, SCORES)

    def to_json(self) -> dict[str, Any]:
        """The experiment as plain data."""
        document = {**asdict(self), "base": self.base.to_json()}
        return {**document, "arms": list(self.arms), "omegas": list(self.omegas)}


@dataclass(frozen=True)
class Task:
    """One run: a warm-up, an arm with a seed, or a reference row."""

    kind: str  # "warmup", "arm", or one of REFERENCES
    settings: Settings
    out: Path
    experiment: Experiment
    running: Running = ALONE
    measured: bool = False  # whether the final encoder is profiled on the images that it was trained on

    @property
    def epochs(self) -> int:
        """Epochs of training, for the progress bar; references count as one."""
        return 1 if self.kind in REFERENCES else self.settings.epochs

    @property
    def finished(self) -> bool:
        """Whether its result is on disk."""
        return (self.out / "result.json").exists()


PRESETS: dict[str, Experiment] = {
    "digits-demo": Experiment(
        base=Settings(data="digits", encoder="convnet", width=16, dim=16, batch=200, epochs=30, lr=0.12),
        arms=(
            "baseline",
            "margin",
            "temperature",
            "combined",
            "pair_removal",
            "sample_removal",
            "random_removal",
            "mixed_removal",
        ),
        seeds=4,
        omegas=(0.0, 0.2, 0.4),
        labels_per_class=5,
    ),
    "photos-cpu": Experiment(
        base=Settings(
            encoder="resnet18",
            width=16,
            stem_stride=2,
            dim=32,
            tau=0.2,
            batch=256,
            epochs=30,
            lr=0.24,
            precision="bf16-mixed",
        ),
        arms=("baseline", "margin", "temperature", "combined"),
    ),
    "photos-gpu": Experiment(
        base=Settings(encoder="resnet18", dim=128, batch=512, epochs=100, precision="bf16-mixed"),
        arms=("baseline", "margin", "temperature", "combined"),
    ),
}


# --- what a worker does ----------------------------------------------------------------------------


def execute(task: Task) -> None:
    """Do one task and write its result.json last; a finished task is left alone."""
    if task.finished:
        return
    from empirical.evaluate import Protocol, evaluate_features, evaluate_network
    from empirical.logs import write_result
    from empirical.train import train

    started = time.perf_counter()
    s, e = task.settings, task.experiment
    device = torch.device("cpu")
    protocol = Protocol(labels_per_class=e.labels_per_class, draws=e.draws)
    # Every encoder is probed on the original images, whatever it was trained on.
    original = s.original_images()
    if task.kind == "raw_pixels":
        labelled = take(original.x_train, (original.y_train >= 0).nonzero().flatten())
        everything = torch.arange(len(original.y_test))
        pictures = (labelled, take(original.x_test, everything))
        train_pixels, test_pixels = ((x.flatten(1).float() / 255).numpy() for x in pictures)
        metrics = evaluate_features("encoder", train_pixels, test_pixels, original, protocol)
        if s.seed == 0:
            _profile_pixels(task)
    else:
        if task.kind == "untrained":
            channels, height, width = original.x_train.shape[1:]
            network = s.network(channels, (height, width)).eval()
        else:
            network = train(s, task.out, lambda *done: _report_epochs(task, *done), task.running).eval()
            device = next(network.parameters()).device
        metrics = evaluate_network(network, original, protocol)
        if task.measured:
            _measure_run(task, network)
        elif task.kind == "warmup" or (task.kind == "untrained" and s.seed == 0):
            _profile_network(task, network)
    write_result(task.out, task.kind, s, metrics, protocol, time.perf_counter() - started, device)
    report_progress(task, task.epochs)


def _profile_pixels(task: Task) -> None:
    from empirical.features import Features
    from empirical.profile import measure

    images = task.settings.images()
    labelled = (images.y_train >= 0).nonzero().flatten()
    # Centred at mid-grey, so that a cosine compares patterns rather than brightness.
    pixels = take(images.x_train, labelled).flatten(1).float().numpy() / 255 - 0.5
    found = measure({"encoder": Features(pixels)}, images.y_train[labelled].numpy(), f"{images.name}, raw pixels")
    _save_profile(task, replace(found.profile, dim=task.settings.dim))


def _profile_network(task: Task, network: Any) -> None:
    from empirical.difficulty import flag_shares, largest
    from empirical.encoders import extract
    from empirical.features import Features
    from empirical.files import save_array
    from empirical.profile import measure_network

    images, view = task.settings.images(), task.settings.augmentation
    source = f"{images.name}, {task.kind} encoder"
    found = measure_network(network, images, source, view)
    _save_profile(task, found.profile)
    if task.kind == "warmup":
        labels = images.y_train.numpy()
        labelled = np.flatnonzero(labels >= 0)
        rows = np.sort(labelled[balanced_order(labels[labelled])[:EVIDENCE_ROWS]])
        pictures = take(images.x_train, torch.from_numpy(rows))
        h, _ = extract(network, pictures)
        difficult = found.difficult
        if task.experiment.scores == "flags":
            plan = plan_from_profile(found.profile, task.experiment.pairing)
            everything, _ = extract(network, images.x_train)
            shares = flag_shares(Features(everything.numpy()), plan.pos_high, plan.pos_low, task.settings.batch)
            difficult = largest(shares, difficult.mean())
        save_array(task.out / "difficult.npy", np.flatnonzero(difficult))
        np.savez_compressed(
            task.out / "evidence.npz",
            rows=rows,
            features=h.numpy(),
            labels=labels[rows],
            difficult=found.difficult[rows],  # by the probe: the report's pairs
            images=pictures.numpy(),
            class_names=np.array(images.class_names),
        )


def _measure_run(task: Task, network: Any) -> None:
    """Profile and leading eigenvalues of a run's final encoder on the images that it was trained on."""
    from empirical.encoders import extract
    from empirical.profile import leading_eigenvalues, measure_network

    images = without(task.settings.images(), task.settings.drop)
    found = measure_network(network, images, f"{images.name}, {task.settings.arm}", task.settings.augmentation)
    found.profile.save(task.out / "profile.json")
    rows = balanced_order(found.labels)[:EVIDENCE_ROWS]
    h, _ = extract(network, take(images.x_train, torch.from_numpy(rows)))
    values = leading_eigenvalues(h.numpy(), SAVED_EIGENVALUES)
    document = {"rows": len(rows), "eigenvalues": None if values is None else values.tolist()}
    write_json(task.out / "spectrum.json", document)


def _save_profile(task: Task, profile: Profile) -> None:
    profile.save(task.out / "profile.json")
    plan_from_profile(profile, task.experiment.pairing).save(task.out / "plan.json")


def _report_epochs(task: Task, step: int, steps: int, epoch: int) -> None:
    """Report finished epochs, once each."""
    per_epoch = steps // task.settings.epochs
    if step % per_epoch == 0:
        report_progress(task, step // per_epoch)


def report_progress(task: Task, done: int) -> None:
    """Tell the main process, if this is a worker, how many epochs of a task are done."""
    if _updates is not None:
        _updates.put((str(task.out), done))


def _start_worker(updates: Any) -> None:
    global _updates
    _updates = updates
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the main process decides
    torch.set_num_threads(1)


# --- what the main process does --------------------------------------------------------------------


def run_tasks(tasks: Sequence[Task], jobs: int, description: str) -> None:
    """Run the tasks that are not finished, in ``jobs`` single-threaded workers (1: in this process)."""
    tasks = [task for task in tasks if not task.finished]
    if not tasks:
        return
    from tqdm import tqdm

    done: dict[str, int] = {}
    with tqdm(total=sum(task.epochs for task in tasks), desc=description, unit="epoch") as bar:

        def advance(update: tuple[str, int]) -> None:
            done[update[0]] = max(update[1], done.get(update[0], 0))
            bar.update(sum(done.values()) - bar.n)

        if jobs == 1:
            _run_here(tasks, advance)
        else:
            _run_in_workers(tasks, jobs, advance)


def _run_here(tasks: Sequence[Task], advance: Callable[[tuple[str, int]], None]) -> None:
    global _updates

    class Direct:
        put = staticmethod(advance)

    _updates = Direct()
    try:
        for task in tasks:
            execute(task)
    finally:
        _updates = None


def _run_in_workers(tasks: Sequence[Task], jobs: int, advance: Callable[[tuple[str, int]], None]) -> None:
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = "1"  # read when a worker imports its libraries
    context = multiprocessing.get_context("spawn")
    updates = context.Queue()
    pool = ProcessPoolExecutor(min(jobs, len(tasks)), context, _start_worker, (updates,))
    try:
        pending: set[Future[None]] = {pool.submit(execute, task) for task in tasks}
        while pending:
            finished, pending = wait(pending, timeout=0.3, return_when=FIRST_COMPLETED)
            while True:
                try:
                    advance(updates.get_nowait())
                except queue.Empty:
                    break
            for future in finished:
                future.result()
    except BrokenProcessPool as error:
        raise ParameterError("a worker was killed (out of memory?); the same command goes on from here") from error
    except BaseException:
        # A run in progress finishes its step, saves and leaves.
        processes = list((pool._processes or {}).values())
        for process in processes:
            process.terminate()
        for process in processes:
            process.join(PATIENCE)
            process.kill()
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    pool.shutdown()


def folder(out: Path, omega: float) -> Path:
    """Folder of one condition."""
    return out / f"omega-{float(omega)!r}"


def compare(experiment: Experiment, out: Path, jobs: int = 1, running: Running = ALONE) -> Path:
    """Run an experiment and write its report.

    Parameters
    ----------
    experiment : Experiment
    out : Path
        Folder for the runs, results.csv, results.json and report.html.
    jobs : int
        Worker processes, one thread each; 1 runs in this process with all threads.
    running : Running
        How each run is executed.

    Returns
    -------
    Path
        The report.

    Raises
    ------
    ParameterError
        If ``out`` holds another experiment, or the data do not fit.
    """
    jobs = require_integer("jobs", jobs, 1)
    devices = experiment.base.devices  # each of their processes would run the comparison
    require(devices == 1, "devices", devices, "devices = 1 in a comparison (empirical.train takes several)")
    _check_data(experiment, running)
    claim(experiment, out)
    run_tasks(first_tasks(experiment, out, running), jobs, "warm-up, references")
    tasks, _ = planned(experiment, out, running)
    run_tasks(tasks, jobs, "arms")
    from empirical.report import write_report

    return write_report(out)


def first_tasks(experiment: Experiment, out: Path, running: Running = ALONE) -> list[Task]:
    """For each ω the warm-up and the reference rows."""
    tasks: list[Task] = []
    for omega in experiment.omegas:
        base, place = replace(experiment.base, omega=omega), folder(out, omega)
        tasks.append(Task("warmup", replace(base, seed=WARMUP_SEED), place / "warmup", experiment, running))
        if math.prod(base.original_images().x_train.shape) <= LARGEST_RAW:
            tasks.append(Task("raw_pixels", replace(base, seed=0), place / "raw_pixels", experiment, running))
        for seed in range(experiment.seeds):
            untrained = replace(base, seed=seed)
            tasks.append(Task("untrained", untrained, place / f"untrained-{seed}", experiment, running))
    return tasks


def planned(
    experiment: Experiment, out: Path, running: Running = ALONE
) -> tuple[list[Task], dict[float, dict[str, str]]]:
    """The arms' tasks after the warm-ups, seed by seed, and why some arms are not applicable, by ω."""
    tasks: list[Task] = []
    inapplicable: dict[float, dict[str, str]] = {}
    for omega in experiment.omegas:
        place = folder(out, omega)
        plan = Plan.load(place / "warmup" / "plan.json")
        inapplicable[omega] = {}
        for seed in range(experiment.seeds):
            for arm in experiment.arms:
                try:
                    remedy = pair_remedy(arm, plan, experiment.band)
                    drop = dropped(arm, replace(experiment.base, omega=omega), place / "warmup", seed)
                    left = len(experiment.base.images().y_train) - len(drop)
                    if left < experiment.base.batch:
                        raise NotApplicable(f"removal leaves {left} images, fewer than a batch")
                except NotApplicable as reason:
                    inapplicable[omega][arm] = str(reason)
                    continue
                loss = ARMS[arm].loss or experiment.base.loss
                settings = replace(
                    experiment.base, omega=omega, arm=arm, seed=seed, loss=loss, remedy=remedy, drop=drop
                )
                tasks.append(Task("arm", settings, place / f"{arm}-{seed}", experiment, running))
    return tasks, inapplicable


def dropped(arm: str, settings: Settings, warmup: Path, seed: int) -> tuple[int, ...]:
    """Training images that an arm leaves out, after the warm-up in the folder ``warmup``."""
    kind = ARMS[arm].drop
    if kind is None:
        return ()
    if kind == "mixed":
        if settings.omega == 0:
            raise NotApplicable("no image is mixed at ω = 0")
        return tuple(settings.images().mixed.nonzero().flatten().tolist())
    difficult = np.load(warmup / "difficult.npy")
    if kind == "difficult":
        return tuple(int(i) for i in difficult)
    # As many of each class as the difficult ones, drawn anew for every seed.
    labels = settings.images().y_train.numpy()
    generator = np.random.default_rng(seed)
    counts = zip(*np.unique(labels[difficult], return_counts=True), strict=True)
    drawn = [generator.choice(np.flatnonzero(labels == c), count, replace=False) for c, count in counts]
    return tuple(sorted(int(i) for part in drawn for i in part))


def _check_data(experiment: Experiment, running: Running) -> None:
    """Fail on unusable data or sizes before anything is written."""
    from empirical.train import make_fabric, require_fit

    s = experiment.base
    images = s.images()
    require_fit(s, images)
    count, classes = len(images.y_train), images.classes
    labels = images.y_train.numpy()
    sizes = np.bincount(labels[labels >= 0])
    require(s.dim < count, "dim", s.dim, f"dim < {count}, the training images")
    require(s.batch <= count, "batch", s.batch, f"batch <= {count}, the training images")
    make_fabric(s, running)
    require(int(sizes.min()) >= 4, "train", count, f"at least 4 images in each of the {classes} classes")
    if experiment.labels_per_class is not None:
        require_integer("labels_per_class", experiment.labels_per_class, 1, int(sizes.min()))


def claim(experiment: Experiment, out: Path) -> None:
    """Record the experiment in its folder; refuse a folder that holds another one, naming the difference."""
    path, document = out / "experiment.json", experiment.to_json()
    require_writable(path)
    if path.exists():
        before = read_document(path, EXPERIMENT_SCHEMA, set(document))
        before.pop("schema")
        for key, value in _flat(document).items():
            old = _flat(before).get(key)
            require(old == value, key, value, f"{key} = {old} of the experiment in {out} (use another --out)")
    write_json(path, {"schema": EXPERIMENT_SCHEMA, **document})


def _flat(document: dict[str, Any]) -> dict[str, Any]:
    return {**{k: v for k, v in document.items() if k != "base"}, **document["base"]}


def load_experiment(out: Path) -> Experiment:
    """The experiment recorded in a folder."""
    keys = set(Experiment.__dataclass_fields__)
    fields = read_document(out / "experiment.json", EXPERIMENT_SCHEMA, keys)
    fields.pop("schema")
    lists = {"arms": tuple(fields["arms"]), "omegas": tuple(fields["omegas"])}
    return Experiment(**{**fields, **lists, "base": Settings.from_json(fields["base"])})


# --- command line ----------------------------------------------------------------------------------


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of ``python -m empirical.compare``."""
    return run(_command, argv, resumable=True)


def _command(argv: Sequence[str] | None) -> None:
    parser = Parser(prog="python -m empirical.compare", description=__doc__)
    add = parser.add_argument
    add("--preset", default="photos-cpu", help=f"the experiment: {', '.join(PRESETS)} (photos-cpu)")
    add("--recipe", help="settings for a data set at full size, see docs/recipes.md")
    add("--arms", help="comma-separated: " + ", ".join(ARMS))
    add("--seeds", type=int, help="runs per arm")
    add("--omegas", help="comma-separated shares of mixed images")
    add("--band", help="the selector's band: " + ", ".join(BANDS))
    add("--pairing", choices=PAIRINGS, help="the pairing behind the plan")
    add("--scores", help="what makes a sample difficult for sample removal: " + ", ".join(SCORES))
    add("--labels-per-class", type=int, help="labels per class that the probe sees (all)")
    add("--draws", type=int, help="label draws")
    add("--jobs", type=int, default=1, help="single-threaded workers (1: this process with all threads)")
    add("--out", type=Path, required=True, help="folder of the experiment")
    add_arguments(parser, Settings)
    add_arguments(parser, Running)
    args = parser.parse_args(argv)
    require_known("preset", args.preset, PRESETS)
    preset = PRESETS[args.preset]
    base = preset.base if args.recipe is None else replace(preset.base, **recipe(args.recipe))
    chosen: dict[str, Any] = {"base": settings_from_arguments(args, base)}
    if args.data is None and args.recipe is None and args.preset != "digits-demo":
        raise ParameterError("--data is required (cifar10, cifar100, stl10, npz:PATH or folder:PATH)")
    if args.recipe is not None:
        check_recipe_fits(args.recipe, chosen["base"].images().x_train.shape)
    if args.arms is not None:
        chosen["arms"] = tuple(args.arms.split(","))
    if args.omegas is not None:
        try:
            chosen["omegas"] = tuple(float(value) for value in args.omegas.split(","))
        except ValueError as error:
            raise ParameterError("omegas", args.omegas, "comma-separated numbers") from error
    for name in ("seeds", "band", "pairing", "scores", "labels_per_class", "draws"):
        if getattr(args, name) is not None:
            chosen[name] = getattr(args, name)
    print(compare(replace(preset, **chosen), args.out, args.jobs, Running(**given(args, Running))))


if __name__ == "__main__":
    raise SystemExit(main())
