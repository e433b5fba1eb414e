"""Tasks of a comparison or study, and the engine that runs them."""

from __future__ import annotations

import multiprocessing
import os
import queue
import signal
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from empirical.arms import ARMS, NotApplicable
from empirical.data import take, without
from empirical.data.sources import balanced_order
from empirical.train.settings import ALONE, Running, Settings
from theory.checks import ParameterError
from theory.files import write_json
from theory.plan import Profile, plan_from_profile

if TYPE_CHECKING:
    from empirical.compare.presets import Experiment

EVIDENCE_ROWS = 2_000
SAVED_EIGENVALUES = 256
PATIENCE = 60  # seconds that a worker has to save its run when the comparison is interrupted
REFERENCES = ("raw_pixels", "untrained")
_updates: Any = None  # in a worker: the queue on which it reports finished epochs


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


# --- what a worker does ----------------------------------------------------------------------------


def execute(task: Task) -> None:
    """Do one task and write its result.json last; a finished task is left alone."""
    if task.finished:
        return
    from empirical.evaluate.probes import evaluate_features, evaluate_network
    from empirical.evaluate.protocol import Protocol
    from empirical.train.logs import write_result
    from empirical.train.loop import train

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
    from empirical.data.features import Features
    from empirical.profile.measurement import measure

    images = task.settings.images()
    labelled = (images.y_train >= 0).nonzero().flatten()
    # Centred at mid-grey, so that a cosine compares patterns rather than brightness.
    pixels = take(images.x_train, labelled).flatten(1).float().numpy() / 255 - 0.5
    found = measure({"encoder": Features(pixels)}, images.y_train[labelled].numpy(), f"{images.name}, raw pixels")
    _save_profile(task, replace(found.profile, dim=task.settings.dim))


def _profile_network(task: Task, network: Any) -> None:
    from empirical.data.arrays import save_array
    from empirical.data.features import Features
    from empirical.difficulty.scores import flag_shares, largest
    from empirical.encoders import extract
    from empirical.profile.measurement import measure_network

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
    from empirical.profile.measurement import leading_eigenvalues, measure_network

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
