"""Arms × seeds × ω on real images, and the report: ``python -m empirical.compare``.

For every ω: a warm-up run → its profile → the theory's plan → one run per arm and seed with that plan.
Every finished run is kept; the same command goes on where it was interrupted.
"""

from __future__ import annotations

import multiprocessing
import os
import platform
import queue
import signal
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from empirical.arms import ARMS, BANDS, NotApplicable, pair_remedy
from empirical.train import Settings, add_run_arguments, make_fabric, settings_from_arguments
from theory.cli import Parser, read_document, require_writable, run, write_json
from theory.params import PAIRINGS, Pairing, ParameterError, require, require_integer, require_share
from theory.plan import Plan, Profile, plan_from_profile

EXPERIMENT_SCHEMA = "difficult-examples/experiment/1"
RESULT_SCHEMA = "difficult-examples/result/1"
WARMUP_SEED = 10_000  # of no compared run, so that the plan is not fitted to one of them
EVIDENCE_ROWS = 2_000
PACKAGES = ("difficult-examples", "torch", "torchvision", "lightning-fabric", "numpy", "scikit-learn")
REFERENCES = ("raw_pixels", "untrained")

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
    labels_per_class: int | None = None
    draws: int = 50

    def __post_init__(self) -> None:
        for arm in self.arms:
            require(arm in ARMS, "arms", arm, "one of " + ", ".join(ARMS))
        require(len(set(self.arms)) == len(self.arms), "arms", ",".join(self.arms), "no arm twice")
        require("baseline" in self.arms, "arms", ",".join(self.arms), "baseline among the arms")
        require_integer("seeds", self.seeds, 1)
        require_integer("draws", self.draws, 1)
        require(bool(self.omegas), "omegas", "", "at least one value")
        require(len(set(self.omegas)) == len(self.omegas), "omegas", self.omegas, "no value twice")
        for omega in self.omegas:
            require_share("omega", omega)
        require(self.band in BANDS, "band", self.band, "one of " + ", ".join(BANDS))

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
        arms=(*ARMS,),
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
    from empirical.data import load
    from empirical.evaluate import evaluate_features, evaluate_network
    from empirical.train import train

    started = time.perf_counter()
    s, e = task.settings, task.experiment
    # Every encoder is probed on the original images, whatever it was trained on.
    original = load(s.data, s.train, s.test, s.image_size)
    if task.kind == "raw_pixels":
        train_pixels, test_pixels = ((x.flatten(1).float() / 255).numpy() for x in (original.x_train, original.x_test))
        metrics = evaluate_features("encoder", train_pixels, test_pixels, original, e.labels_per_class, e.draws)
        if s.seed == 0:
            _profile_pixels(task)
    else:
        if task.kind == "untrained":
            network = s.network(original.x_train.shape[1]).eval()
        else:
            network = train(s, task.out, lambda done, _: report_progress(task, done)).eval()
        metrics = evaluate_network(network, original, e.labels_per_class, e.draws)
        if task.kind == "warmup" or (task.kind == "untrained" and s.seed == 0):
            _profile_network(task, network)
    document = {
        "schema": RESULT_SCHEMA,
        "kind": task.kind,
        "arm": s.arm if task.kind == "arm" else task.kind,
        "seed": s.seed,
        "omega": s.omega,
        "metrics": metrics,
        "seconds": time.perf_counter() - started,
        "settings": s.to_json(),
        "versions": {name: version(name) for name in PACKAGES},
        "machine": f"{platform.machine()}, Python {platform.python_version()}",
    }
    write_json(task.out / "result.json", document)
    report_progress(task, task.epochs)


def _profile_pixels(task: Task) -> None:
    from empirical.features import Features
    from empirical.profile import measure

    images = task.settings.images()
    # Centred at mid-grey, so that a cosine compares patterns rather than brightness.
    pixels = images.x_train.flatten(1).float().numpy() / 255 - 0.5
    found = measure({"encoder": Features(pixels)}, images.y_train.numpy(), f"{images.name}, raw pixels")
    _save_profile(task, replace(found.profile, dim=task.settings.dim))


def _profile_network(task: Task, network: Any) -> None:
    from empirical import augment
    from empirical.data import balanced_order
    from empirical.encoders import extract
    from empirical.files import save_array
    from empirical.profile import measure_network

    images, view = task.settings.images(), augment.for_data(task.settings.data)
    source = f"{images.name}, {task.kind} encoder"
    found = measure_network(network, images, source, view)
    _save_profile(task, found.profile)
    if task.kind == "warmup":
        labels = images.y_train.numpy()
        rows = np.sort(balanced_order(labels)[:EVIDENCE_ROWS])
        h, _ = extract(network, images.x_train[rows])
        save_array(task.out / "difficult.npy", np.flatnonzero(found.difficult))
        np.savez_compressed(
            task.out / "evidence.npz",
            rows=rows,
            features=h.numpy(),
            labels=labels[rows],
            difficult=found.difficult[rows],
            images=images.x_train[rows].numpy(),
            class_names=np.array(images.class_names),
        )


def _save_profile(task: Task, profile: Profile) -> None:
    profile.save(task.out / "profile.json")
    plan_from_profile(profile, task.experiment.pairing).save(task.out / "plan.json")


def report_progress(task: Task, done: int) -> None:
    """Tell the main process, if this is a worker, how many epochs of a task are done."""
    if _updates is not None:
        _updates.put((str(task.out), done))


def _start_worker(updates: Any) -> None:
    global _updates
    _updates = updates
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the main process decides
    import torch

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
        # Shutting down would wait for the runs in progress; their checkpoints are on disk.
        for process in list((pool._processes or {}).values()):
            process.terminate()
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    pool.shutdown()


def folder(out: Path, omega: float) -> Path:
    """Folder of one condition."""
    return out / f"omega-{float(omega)!r}"


def compare(experiment: Experiment, out: Path, jobs: int = 1) -> Path:
    """Run an experiment and write its report.

    Parameters
    ----------
    experiment : Experiment
    out : Path
        Folder for the runs, results.csv, results.json and report.html.
    jobs : int
        Worker processes, one thread each; 1 runs in this process with all threads.

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
    _check_data(experiment)
    _claim(experiment, out)
    first: list[Task] = []
    for omega in experiment.omegas:
        base = replace(experiment.base, omega=omega)
        place = folder(out, omega)
        first.append(Task("warmup", replace(base, seed=WARMUP_SEED), place / "warmup", experiment))
        first.append(Task("raw_pixels", replace(base, seed=0), place / "raw_pixels", experiment))
        for seed in range(experiment.seeds):
            first.append(Task("untrained", replace(base, seed=seed), place / f"untrained-{seed}", experiment))
    run_tasks(first, jobs, "warm-up, references")
    tasks, _ = planned(experiment, out)
    run_tasks(tasks, jobs, "arms")
    from empirical.report import write_report

    return write_report(out)


def planned(experiment: Experiment, out: Path) -> tuple[list[Task], dict[float, dict[str, str]]]:
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
                    drop = _dropped(arm, replace(experiment.base, omega=omega), place, seed)
                    left = len(experiment.base.images().y_train) - len(drop)
                    if left < experiment.base.batch:
                        raise NotApplicable(f"removal leaves {left} images, fewer than a batch")
                except NotApplicable as reason:
                    inapplicable[omega][arm] = str(reason)
                    continue
                settings = replace(experiment.base, omega=omega, arm=arm, seed=seed, remedy=remedy, drop=drop)
                tasks.append(Task("arm", settings, place / f"{arm}-{seed}", experiment))
    return tasks, inapplicable


def _dropped(arm: str, settings: Settings, place: Path, seed: int) -> tuple[int, ...]:
    """Training images that an arm leaves out."""
    kind = ARMS[arm].drop
    if kind is None:
        return ()
    if kind == "mixed":
        if settings.omega == 0:
            raise NotApplicable("no image is mixed at ω = 0")
        return tuple(settings.images().mixed.nonzero().flatten().tolist())
    difficult = np.load(place / "warmup" / "difficult.npy")
    if kind == "difficult":
        return tuple(int(i) for i in difficult)
    # As many of each class as the difficult ones, drawn anew for every seed.
    labels = settings.images().y_train.numpy()
    generator = np.random.default_rng(seed)
    counts = np.bincount(labels[difficult], minlength=int(labels.max()) + 1)
    drawn = [generator.choice(np.flatnonzero(labels == c), count, replace=False) for c, count in enumerate(counts)]
    return tuple(int(i) for i in np.sort(np.concatenate(drawn)))


def _check_data(experiment: Experiment) -> None:
    """Fail on unusable data or sizes before anything is written."""
    from empirical.data import load

    s = experiment.base
    images = load(s.data, s.train, s.test, s.image_size)
    count, classes = len(images.y_train), images.classes
    sizes = np.bincount(images.y_train.numpy())
    require(s.dim < count, "dim", s.dim, f"dim < {count}, the training images")
    require(s.batch <= count, "batch", s.batch, f"batch <= {count}, the training images")
    make_fabric(s)
    require(int(sizes.min()) >= 4, "train", count, f"at least 4 images in each of the {classes} classes")
    if experiment.labels_per_class is not None:
        require_integer("labels_per_class", experiment.labels_per_class, 1, int(sizes.min()))


def _claim(experiment: Experiment, out: Path) -> None:
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
    add("--preset", choices=list(PRESETS), default="photos-cpu", help="defaults for all options (photos-cpu)")
    add("--arms", help="comma-separated: " + ", ".join(ARMS))
    add("--seeds", type=int, help="runs per arm")
    add("--omegas", help="comma-separated shares of mixed images")
    add("--band", choices=BANDS, help="the selector's band")
    add("--pairing", choices=PAIRINGS, help="the pairing behind the plan")
    add("--labels-per-class", type=int, help="labels per class that the probe sees (all)")
    add("--draws", type=int, help="label draws")
    add("--jobs", type=int, default=1, help="single-threaded workers (1: this process with all threads)")
    add("--out", type=Path, required=True, help="folder of the experiment")
    add_run_arguments(parser)
    args = parser.parse_args(argv)
    preset = PRESETS[args.preset]
    given: dict[str, Any] = {"base": settings_from_arguments(args, preset.base)}
    if args.data is None and args.preset != "digits-demo":
        raise ParameterError("--data is required (npz:PATH or folder:PATH)")
    if args.arms is not None:
        given["arms"] = tuple(args.arms.split(","))
    if args.omegas is not None:
        try:
            given["omegas"] = tuple(float(value) for value in args.omegas.split(","))
        except ValueError as error:
            raise ParameterError("omegas", args.omegas, "comma-separated numbers") from error
    for name in ("seeds", "band", "pairing", "labels_per_class", "draws"):
        if getattr(args, name) is not None:
            given[name] = getattr(args, name)
    print(compare(replace(preset, **given), args.out, args.jobs))


if __name__ == "__main__":
    raise SystemExit(main())
