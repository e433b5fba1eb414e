"""Accuracy against core-minutes: train one recipe on one core for so many minutes, from scratch, and probe it.

Run as ``python benchmarks/cpu.py RECIPE --minutes 30 --data npz:cifar10.npz --out runs/cpu [--csv results/cpu.csv]``.
The epochs are those that fit, by the processor time of a few steps; the learning rate falls to zero over them. Only the
final epoch is probed, by the default protocol of ``empirical.evaluate``. Core-minutes are processor time of training
alone, views included. The same command goes on where it stood, and measures and probes a finished run again.

With ``--epochs``, what a budget is known to hold from a shorter run, the training itself may go on a GPU: the accuracy
belongs to these epochs, the row names the device, and its core-minutes stay empty, since none were spent.
"""

from __future__ import annotations

import io
import json
import os
import sys
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import process_time
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # before this file's folder, whose theory.py is no package

import pandas as pd
import torch

from benchmarks.tables import put_rows
from benchmarks.train import LightlyLoop
from empirical.compare.presets import PRESETS
from empirical.data import DataSet
from empirical.encoders import Network
from empirical.evaluate.protocol import DEFAULT
from empirical.evaluate.scoring import evaluate_network
from empirical.study.parts import SCALES
from empirical.train.logs import StepBar
from empirical.train.loop import train
from empirical.train.observers import Batch, Observer, Row
from empirical.train.parts import seed_of, set_rate
from empirical.train.settings import Settings, learning_rate, phases
from theory.checks import require
from theory.command import Parser, markdown_table, output, run
from theory.files import write_bytes, write_json

EARLIER = replace(SCALES["cpu"], train=None)  # photos-cpu until 2026-11
RECIPES = {"photos-cpu": PRESETS["photos-cpu"].base, "earlier": EARLIER, "lightly": EARLIER}
TITLES = {
    "photos-cpu": "`--preset photos-cpu`",
    "earlier": "`photos-cpu` until 2026-11: `resnet18`, width 16, whole views",
    "lightly": "the same network in lightly's loop",
}
KEY = ["recipe", "budget"]
BUDGETS = (10, 30, 60, 120)  # core-minutes
TIMED = 8  # steps, of which the first two warm up


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    parser = Parser("python benchmarks/cpu.py", description=__doc__)
    what = "our preset, the preset before it, or that with lightly's loop"
    parser.add_argument("recipe", choices=list(RECIPES), help=what)
    parser.add_argument("--minutes", type=float, required=True, help="of one core, > 0")
    parser.add_argument("--data", required=True, help="cifar10 or npz:PATH")
    parser.add_argument("--seed", type=int, default=0, help="of the run (0)")
    parser.add_argument("--epochs", type=int, help="train these, in place of those that fit by measurement")
    parser.add_argument("--accelerator", choices=["cpu", "gpu"], default="cpu", help="gpu needs --epochs (cpu)")
    parser.add_argument("--workers", type=int, default=0, help="processes of lightly's loader (0: none)")
    parser.add_argument("--out", type=output, required=True, metavar="FOLDER", help="folder of the runs")
    parser.add_argument(
        "--csv", type=output, metavar="FILE", help="put the row into this table, in place of an older one"
    )
    return run(parser, _command, argv, resumable=True)


def _command(args: Namespace) -> None:
    require(args.minutes > 0, "minutes", args.minutes, "minutes > 0")
    require(args.accelerator == "cpu" or args.epochs is not None, "epochs", None, "given where accelerator = gpu")
    require(args.workers >= 0, "workers", args.workers, "workers >= 0")
    torch.set_num_threads(1)
    settings = replace(RECIPES[args.recipe], data=args.data, seed=args.seed, accelerator=args.accelerator)
    if args.epochs is not None:
        settings = replace(settings, epochs=args.epochs)  # checked, before anything is written
    out = args.out / f"{args.recipe}-{args.minutes:g}-{args.seed}"
    row = measure(args.recipe, settings, args.minutes, out, args.epochs, args.workers)
    print("  ".join(f"{name}: {value}" for name, value in row.items()))
    if args.csv:
        put_rows(args.csv, pd.DataFrame([row]), [*KEY, "seed"])


def measure(
    recipe: str, settings: Settings, minutes: float, out: Path, epochs: int | None = None, workers: int = 0
) -> dict[str, Any]:
    """Train for a budget, or for given epochs, in ``out``, which also gets point.json, the row returned."""
    images, budget = settings.data_set(), out / "budget.json"
    if not budget.exists():
        write_json(budget, {"epochs": epochs or affordable(recipe, settings, images, minutes)})
    settings = replace(settings, epochs=json.loads(budget.read_text())["epochs"])
    if recipe == "lightly":
        network, seconds = train_lightly(settings, images, out, workers)
    else:
        network, seconds = train_ours(settings, images, out)
    scores = evaluate_network(network.eval(), images, DEFAULT)
    on_cpu = settings.accelerator == "cpu"
    row = {
        "recipe": recipe,
        "budget": minutes,
        "core_minutes": round(seconds / 60, 2) if on_cpu else None,
        "epochs": settings.epochs,
        "probe": round(scores["encoder_probe"], 4),
        "knn": round(scores["encoder_knn"], 4),
        "seed": settings.seed,
        "protocol": DEFAULT.probe,
        "knn_k": DEFAULT.k,
        "knn_tau": DEFAULT.tau,
        "device": "cpu" if on_cpu else torch.cuda.get_device_name(),
    }
    write_json(out / "point.json", row)
    return row


def affordable(recipe: str, settings: Settings, images: DataSet, minutes: float) -> int:
    """Epochs that fit into core-minutes, by the processor time of a few steps."""
    seconds = lightly_seconds(settings, images) if recipe == "lightly" else our_seconds(settings, images)
    steps = len(images.y_train) // settings.batch
    return max(1, int(60 * minutes / (steps * seconds)))


def summary(runs: pd.DataFrame) -> str:
    """The probe's accuracy (kNN's; epochs) of every recipe at every budget, as a table in markdown."""
    found = runs.groupby(KEY)[["probe", "knn", "epochs"]].mean()

    def cell(recipe: str, budget: int) -> str:
        if (recipe, budget) not in found.index:
            return "—"
        probe, knn, epochs = found.loc[(recipe, budget)]
        return f"{100 * probe:.1f} ({100 * knn:.1f}; {epochs:.0f})"

    header = ["recipe", *(f"{budget} core-minutes" for budget in BUDGETS)]
    lines = [[title, *(cell(recipe, budget) for budget in BUDGETS)] for recipe, title in TITLES.items()]
    return markdown_table(header, lines)


def search_summary(runs: pd.DataFrame) -> str:
    """The short runs by which the preset was chosen, as a table in markdown."""
    header = ["encoder", "width", "`--resolutions`", "batch", "learning rate", "epochs", "probe, %", "kNN, %"]
    lines = [
        [
            f"`{run.encoder}`",
            str(run.width),
            run.resolutions + ("" if run.views == "torchvision" else " (earlier views)"),
            str(run.batch),
            f"{run.lr:g}",
            f"{run.epochs:.1f}",
            f"{100 * run.probe:.1f}",
            f"{100 * run.knn:.1f}",
        ]
        for run in runs.itertuples()
    ]
    return markdown_table(header, lines)


# --- our loop --------------------------------------------------------------------------------------


class CoreTime(Observer):
    """Processor time of a run, its own column of metrics.csv, over interruptions."""

    def __init__(self) -> None:
        self.seconds, self.last, self.steps = 0.0, process_time(), list[float]()

    def step(self, batch: Batch) -> None:
        """Count the time since the step before."""
        now = process_time()
        self.steps.append(now - self.last)
        self.seconds, self.last = self.seconds + self.steps[-1], now

    def row(self) -> Row:
        """Seconds so far."""
        return {"core_seconds": self.seconds}

    def state(self) -> dict[str, Any]:
        """Seconds so far."""
        return {"seconds": self.seconds}

    def load(self, state: dict[str, Any]) -> None:
        """Inverse of ``state``."""
        self.seconds = state["seconds"]


def our_seconds(settings: Settings, images: DataSet) -> float:
    """Processor time of a step, mean over the resolutions as long as they are used."""
    total, before = 0.0, 0.0
    for share, until in phases(settings.resolutions):
        few = replace(settings, train=TIMED * settings.batch, epochs=1, resolutions=f"{share}")
        clock = CoreTime()
        with TemporaryDirectory() as folder:
            train(few, Path(folder) / "run", observers=[clock])
        total, before = total + (until - before) * median(clock.steps[2:]), until
    return total


def train_ours(settings: Settings, images: DataSet, out: Path) -> tuple[Network, float]:
    """The trained network and its processor time."""
    clock = CoreTime()
    with StepBar("training", 2 * settings.batch) as bar:
        network = train(settings, out, bar, observers=[clock])
    return network, clock.seconds


# --- lightly's loop --------------------------------------------------------------------------------


def lightly_seconds(settings: Settings, images: DataSet) -> float:
    """Processor time of a step of lightly's loop."""
    assert isinstance(images.x_train, torch.Tensor)
    loop = LightlyLoop(settings, images.x_train[: TIMED * settings.batch])
    times, last = list[float](), process_time()
    for batch in loop.loader:
        loop.step(batch)
        now = process_time()
        times, last = [*times, now - last], now
    return median(times[2:])


def train_lightly(settings: Settings, images: DataSet, out: Path, workers: int = 0) -> tuple[Network, float]:
    """The network that lightly's loop trains, by our schedule of the learning rate, and its processor time."""
    assert isinstance(images.x_train, torch.Tensor)
    loop = LightlyLoop(settings, images.x_train, workers)
    path, epoch, seconds = out / "lightly.pt", 0, 0.0
    if path.exists():
        state = torch.load(path, map_location=loop.device, weights_only=True)
        loop.network.load_state_dict(state["network"])
        loop.optimizer.load_state_dict(state["optimizer"])
        epoch, seconds = state["epoch"], state["seconds"]
    per_epoch = len(loop.loader)
    steps = per_epoch * settings.epochs
    rate = partial(learning_rate, steps=steps, warmup=round(settings.warmup * steps), peak=settings.peak_rate)
    while epoch < settings.epochs:
        torch.manual_seed(seed_of(settings.seed, epoch))
        started = process_time()
        for step, batch in enumerate(loop.loader, start=epoch * per_epoch):
            set_rate(loop.optimizer, rate(step))
            loop.step(batch)
        epoch, seconds = epoch + 1, seconds + process_time() - started
        content, weights = io.BytesIO(), loop.network.state_dict()
        state = {"network": weights, "optimizer": loop.optimizer.state_dict(), "epoch": epoch, "seconds": seconds}
        torch.save(state, content)
        write_bytes(path, content.getvalue())
        print(f"epoch {epoch} of {settings.epochs}, {seconds:.0f} core-seconds", file=sys.stderr, flush=True)
    return loop.network, seconds


if __name__ == "__main__":
    raise SystemExit(main())
