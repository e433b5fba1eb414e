"""Sampled training against the population: angle to the clean and to the difficult eigenspace, step by step.

    python figures/convergence.py --jobs 2

runs experiments/sampled.toml (resumable, in runs/sampled) and writes convergence.csv, .png and .svg here.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from empirical.simulate import load_experiment, run_experiment  # noqa: E402
from theory.cli import Parser, run, write_bytes, write_text  # noqa: E402

COLOURS = {"nothing": "#D55E00", "margin": "#0072B2", "temperature": "#009E73"}
SPACES = {"angle_clean": "clean eigenspace", "angle_difficult": "difficult eigenspace"}


def draw(results: pd.DataFrame) -> Any:
    """One panel an eigenspace: mean and range over the seeds against steps."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    for plot, (column, title) in zip(figure.subplots(1, 2, sharey=True), SPACES.items(), strict=True):
        for remedy, colour in COLOURS.items():
            angles = results[(results.remedy == remedy) & (results.step > 0)].groupby("step")[column]
            plot.plot(angles.mean().index, angles.mean(), color=colour, label=remedy)
            plot.fill_between(angles.mean().index, angles.min(), angles.max(), color=colour, alpha=0.2, lw=0)
        plot.set_xscale("log")
        plot.set_xlabel("steps of stochastic gradient")
        plot.set_title(title, fontsize="medium")
        plot.spines[["top", "right"]].set_visible(False)
    figure.axes[0].set_ylabel("largest principal angle, degrees")
    figure.axes[0].legend(frameon=False, title="remedy")
    return figure


def _command(argv: Sequence[str] | None) -> None:
    parser = Parser(prog="python figures/convergence.py", description="Regenerate the convergence picture.")
    parser.add_argument("--jobs", type=int, default=2, help="processes (2)")
    args = parser.parse_args(argv)
    results = run_experiment(load_experiment(ROOT / "experiments/sampled.toml"), ROOT / "runs/sampled", args.jobs)
    shown = results[["remedy", "seed", "step", *SPACES]]
    write_text(ROOT / "figures/convergence.csv", shown.to_csv(index=False, float_format="%.6g"))
    figure = draw(shown)
    for suffix in ("png", "svg"):
        buffer = io.BytesIO()
        figure.savefig(buffer, format=suffix, dpi=150)
        write_bytes(ROOT / f"figures/convergence.{suffix}", buffer.getvalue())


if __name__ == "__main__":
    raise SystemExit(run(_command, None, resumable=True))
