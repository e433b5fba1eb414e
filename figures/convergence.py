"""Sampled training against the population: angle to the clean and to the difficult eigenspace, step by step.

    python figures/convergence.py --jobs 2

runs experiments/sampled.toml (resumable, in runs/sampled), writes convergence.csv and draws it; ``python -m figures
convergence`` draws the committed one.
"""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from figures import style  # noqa: E402
from theory import palette  # noqa: E402
from theory.command import Parser, run  # noqa: E402
from theory.files import write_text  # noqa: E402

COLOURS = {"nothing": palette.BASELINE, "margin": palette.MARGIN, "temperature": palette.TEMPERATURE}
SPACES = {"angle_clean": "clean eigenspace", "angle_difficult": "difficult eigenspace"}
TABLE = ROOT / "figures" / "convergence.csv"


def data() -> pd.DataFrame:
    """The committed angles, one row a remedy, seed and step."""
    return pd.read_csv(TABLE)


def caption(results: pd.DataFrame) -> str:
    """What to see."""
    last = results[results.step == results.step.max()].groupby("remedy").angle_clean.mean()
    return (
        f"Without a remedy training ends {last['nothing']:.0f} degrees from the clean eigenspace (left) and in the "
        f"difficult one (right); with the theorem's margins it ends {last['margin']:.0f} degrees from the clean one, "
        f"with its temperatures {last['temperature']:.0f}."
    )


@style.styled
def draw(results: pd.DataFrame) -> Figure:
    """One panel an eigenspace: mean and range over the seeds against steps."""
    figure = style.figure(4.0)
    for plot, (column, title) in zip(figure.subplots(1, 2, sharey=True), SPACES.items(), strict=True):
        for remedy, colour in COLOURS.items():
            angles = results[(results.remedy == remedy) & (results.step > 0)].groupby("step")[column]
            plot.plot(angles.mean().index, angles.mean(), color=colour, label=remedy)
            plot.fill_between(angles.mean().index, angles.min(), angles.max(), color=colour, alpha=0.2, lw=0)
        plot.set(xscale="log", xlabel="steps of stochastic gradient", title=f"to the {title}")
    figure.axes[0].set_ylabel("largest principal angle, degrees")
    figure.axes[0].legend(title="remedy")
    return figure


def _parser() -> Parser:
    parser = Parser("python figures/convergence.py", description="Regenerate the convergence picture.")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    return parser


def _command(args: Namespace) -> None:
    from empirical.simulate.sampled import run_experiment  # imports torch
    from empirical.simulate.settings import load_experiment

    results = run_experiment(load_experiment(ROOT / "experiments/sampled.toml"), ROOT / "runs/sampled", args.jobs)
    shown = results[["remedy", "seed", "step", *SPACES]]
    write_text(TABLE, shown.to_csv(index=False, float_format="%.6g"))
    style.save(draw(data()), "convergence")


if __name__ == "__main__":
    raise SystemExit(run(_parser(), _command, None, resumable=True))
