"""What stem, width, precision, order in memory and compiling are worth on a CPU: one thing changed at a time.

Run as ``python benchmarks/cpu_parts.py --seconds 200 --data npz:cifar10.npz --out runs/parts
[--csv results/cpu_parts.csv]``. Each network trains on nine tenths of the *training* images for as many epochs as fit
into so many core-seconds, by the processor time of a few steps, and is scored on the last tenth; the test set is not
read. The same command goes on where it stood.
"""

from __future__ import annotations

import io
import json
import os
import sys
from argparse import Namespace
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # before this file's folder, whose theory.py is no package

import numpy as np
import pandas as pd
import torch

from benchmarks.cpu import RECIPES, our_seconds, train_ours
from benchmarks.tables import put_rows
from empirical.data import DataSet
from empirical.evaluate.protocol import DEFAULT
from empirical.evaluate.scoring import evaluate_network
from empirical.train.settings import Settings
from theory.checks import require
from theory.command import Parser, markdown_table, output, run
from theory.files import write_bytes, write_json

BASE = replace(RECIPES["photos-cpu"], width=32)  # twice the epochs of the preset's 48 in the same time
KEY = ["seconds", "changed", "seed"]
HELD_OUT = 0.1  # of the training images
ORDERED = ("empirical.train.parts", "empirical.train.simclr")  # which choose the order of images in memory


@dataclass(frozen=True)
class Trial:
    """A name, and what is another than the base's."""

    name: str
    changed: tuple[tuple[str, Any], ...] = ()
    contiguous: bool = False  # channel by channel, as PyTorch does by default: no setting of ours

    def settings(self, data: str, seed: int) -> Settings:
        """Of the run, but for its epochs."""
        return replace(BASE, data=data, seed=seed, accelerator="cpu", **dict(self.changed))


TRIALS = (
    Trial("the base"),
    Trial("stem stride 1", (("stem_stride", 1),)),
    Trial("stem stride 4", (("stem_stride", 4),)),
    Trial("width 48", (("width", 48),)),
    Trial("float32", (("precision", "32-true"),)),
    Trial("channels first in memory", contiguous=True),
    Trial("compiled", (("compile", True),)),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    parser = Parser("python benchmarks/cpu_parts.py", description=__doc__)
    parser.add_argument("--seconds", type=float, required=True, help="of one core a run, > 0")
    parser.add_argument("--data", required=True, help="cifar10 or npz:PATH")
    parser.add_argument("--seed", type=int, default=0, help="of the runs (0)")
    parser.add_argument("--out", type=output, required=True, metavar="FOLDER", help="folder of the runs")
    parser.add_argument("--csv", type=output, metavar="FILE", help="put the rows into this table, for older ones")
    parser.add_argument("--only", choices=[trial.name for trial in TRIALS], help="one of them (all)")
    return run(parser, _command, argv, resumable=True)


def _command(args: Namespace) -> None:
    require(args.seconds > 0, "seconds", args.seconds, "seconds > 0")
    args.out.mkdir(parents=True, exist_ok=True)
    path = args.out / "held_out.npz"
    if not path.exists():
        hold_out(replace(BASE, data=args.data).original_data_set(), path)
    trials = [trial for trial in TRIALS if args.only in (None, trial.name)]
    table = pd.DataFrame([measure(trial, f"npz:{path}", args.seconds, args.seed, args.out) for trial in trials])
    print(summary(put_rows(args.csv, table, KEY) if args.csv else table))


def hold_out(data: DataSet, path: Path) -> None:
    """The training images alone as an .npz: the last tenth, by labels in equal shares, to be scored on."""
    x, y = np.asarray(data.x_train).transpose(0, 2, 3, 1), data.y_train.numpy()
    held = np.zeros(len(y), dtype=bool)
    for label in np.unique(y):
        of_it = np.flatnonzero(y == label)
        held[of_it[len(of_it) - round(HELD_OUT * len(of_it)) :]] = True
    content = io.BytesIO()
    np.savez(content, x_train=x[~held], y_train=y[~held], x_test=x[held], y_test=y[held])
    write_bytes(path, content.getvalue())


def measure(trial: Trial, data: str, seconds: float, seed: int, out: Path) -> dict[str, Any]:
    """Train and score one trial in a folder of ``out``, which also gets point.json, the row returned."""
    torch.set_num_threads(1)
    folder = out / f"{trial.name.replace(' ', '-')}-{seconds:g}-{seed}"
    point = folder / "point.json"
    if point.exists():
        return dict(json.loads(point.read_text()))
    settings = trial.settings(data, seed)
    images = settings.original_data_set()
    with ExitStack() as patched:
        if trial.contiguous:
            for module in ORDERED:
                patched.enter_context(patch(f"{module}.memory_format", lambda *_: torch.contiguous_format))
        step = our_seconds(settings, images)
        epochs = max(1, round(seconds / step / (len(images.y_train) // settings.batch)))
        network, spent = train_ours(replace(settings, epochs=epochs), images, folder)
    scores = evaluate_network(network.eval(), images, DEFAULT)
    row = {
        "seconds": seconds,
        "changed": trial.name,
        "step_ms": round(1000 * step, 1),
        "epochs": epochs,
        "core_seconds": round(spent, 1),
        "probe": round(scores["encoder_probe"], 4),
        "knn": round(scores["encoder_knn"], 4),
        "seed": seed,
    }
    write_json(point, row)
    return row


def summary(table: pd.DataFrame) -> str:
    """The runs as a table in markdown, shorter ones first, in the order of the trials."""
    place = {trial.name: number for number, trial in enumerate(TRIALS)}
    rows = table.assign(place=table.changed.map(place)).sort_values(["seconds", "place"])
    header = ["changed", "ms a step", "epochs", "core-seconds", "probe, %", "kNN, %"]
    lines = [
        [
            r.changed,
            f"{r.step_ms:.0f}",
            f"{r.epochs}",
            f"{r.core_seconds:.0f}",
            f"{100 * r.probe:.1f}",
            f"{100 * r.knn:.1f}",
        ]
        for r in rows.itertuples()
    ]
    return markdown_table(header, lines)


if __name__ == "__main__":
    raise SystemExit(main())
