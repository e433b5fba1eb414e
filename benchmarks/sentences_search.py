"""What was tried around the recipe of ``benchmarks/sentences.py`` that leaves tokens out, one setting at a time.

Run as ``python benchmarks/sentences_search.py --sts FOLDER --text FILE --out runs/search --jobs 2
[--csv results/sentences_search.csv]``, with folder and file of ``benchmarks/sentences.py``. Choices are by STS-B's
development set; the scores on its test set are in the table for what was compared there. The same command goes on where
it stood.
"""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # before this file's folder, whose theory.py is no package

import pandas as pd

from benchmarks.sentences import BAG, WIDE
from benchmarks.sentences import settings as settings_of
from benchmarks.tables import put_rows
from empirical.modalities.sentences import DEVELOPMENT, ENCODER, Options
from empirical.runs import Task, run_tasks
from empirical.sentences.sts import STSB
from empirical.train.logs import read_result
from empirical.train.settings import Settings
from theory.command import Parser, add_workers, chosen_workers, markdown_table, output, run
from theory.workers import workers

RECIPES = {"learned": WIDE, "none": BAG}  # by their positions
KEY = ["positions", "width", "setting", "value", "seed"]


@dataclass(frozen=True)
class Trial:
    """A recipe's positions and width, and the one setting that is another; the width itself where there is none."""

    positions: str
    width: int
    setting: str
    value: float
    seed: int = 0

    @property
    def name(self) -> str:
        """Of the run's folder."""
        return f"{self.positions}-{self.width}-{self.setting}-{self.value:g}-{self.seed}"

    def settings(self, text: Path, sts: Path) -> Settings:
        """Of the run."""
        base = settings_of(ENCODER, text, sts, RECIPES[self.positions])
        base = replace(base, width=self.width, dim=self.width, seed=self.seed)
        if self.setting in Options.__dataclass_fields__:
            return replace(base, modality_options=f"{base.modality_options},{self.setting}={self.value:g}")
        return replace(base, **{self.setting: self.value})


TRIALS = (
    *(Trial("learned", 128, "heads", heads) for heads in (1, 8)),
    Trial("learned", 128, "hidden", 1024),
    *(Trial("learned", 128, "longest", longest) for longest in (12, 16, 20, 24, 64)),
    *(Trial("learned", 128, "vocabulary", size) for size in (2000, 4000, 16000)),
    *(Trial("learned", 128, "weight_decay", decay) for decay in (0.05, 0.2)),
    *(Trial("learned", 256, "lr", rate) for rate in (1e-3, 2e-3)),
    *(Trial("learned", 256, "tau", 0.07, seed) for seed in range(3)),
    Trial("learned", 256, "tau", 0.1),
    *(Trial("learned", width, "width", width) for width in (384, 512)),
    Trial("none", 128, "longest", 64),
    *(Trial("none", width, "width", width) for width in (128, 384)),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    parser = Parser("python benchmarks/sentences_search.py", description=__doc__)
    parser.add_argument("--sts", type=Path, metavar="FOLDER", required=True, help="has STS/STSBenchmark")
    parser.add_argument("--text", type=Path, metavar="FILE", required=True, help="sentences to train on")
    parser.add_argument("--out", type=output, metavar="FOLDER", required=True, help="folder of the runs")
    parser.add_argument("--csv", type=output, metavar="FILE", help="put the scores into this table, for older ones")
    add_workers(parser)
    return run(parser, _command, argv, resumable=True)


def _command(args: Namespace) -> None:
    table = search(TRIALS, args.text, args.sts, args.out, **chosen_workers(args))
    print(summary(put_rows(args.csv, table, KEY) if args.csv else table))


def search(
    trials: Sequence[Trial], text: Path, sts: Path, out: Path, jobs: int = 1, scheduler: str | None = None
) -> pd.DataFrame:
    """Train and judge every trial: Spearman's correlations, in [−1, 1], on STS-B's two sets."""
    tasks = [Task("arm", one.settings(text, sts), out / one.name) for one in trials]
    with workers(jobs, scheduler, out) as pool:
        run_tasks(tasks, pool, "trials")
    found = [read_result(task.out / "result.json")["metrics"] for task in tasks]
    scores = [{"dev": one[f"encoder_{DEVELOPMENT}"], "test": one[f"encoder_{STSB}"]} for one in found]
    rows = [{**vars(one), **score} for one, score in zip(trials, scores, strict=True)]
    return pd.DataFrame(rows).round({"dev": 6, "test": 6})


def summary(table: pd.DataFrame) -> str:
    """Spearman's correlation on STS-B's development set, %, by the setting that is another."""
    rows = []
    for (positions, width, setting), runs in table.groupby(["positions", "width", "setting"]):
        tried = [f"{100 * found.dev.mean():.1f} ({value:g})" for value, found in runs.groupby("value")]
        rows.append([positions, str(width), f"`{setting}`", ", ".join(tried)])
    return markdown_table(["positions", "width", "setting", "STS-B dev (value)"], rows)


if __name__ == "__main__":
    raise SystemExit(main())
