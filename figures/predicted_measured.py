"""Predicted against measured: the bound and λ_{k+1} of each condition's own measured graph, and its probe error.

    python -m figures.predicted_measured

from results/cifar10_cpu.csv, which ``python -m empirical.study … --publish results/cifar10_cpu`` writes. Points are
means over seeds with 95 % t-intervals (where the points are; the longest go on outside), without the untrained encoder,
which is far off. Each panel has the runs with a value of its prediction. The rank correlation is the results page's.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from empirical.findings.claims import correlation
from figures import study, style

PREDICTIONS = {
    "bound_matched": "bound, matched pairs\n(an error is at most 1)",
    "lambda_measured": r"measured $\lambda_{k+1}$",
}
ROLES = {
    "margin": style.MARGIN,
    "temperature": style.TEMPERATURE,
    "combined": style.COMBINED,
    "removal": style.REMOVAL,
    "baseline": style.BASELINE,
}
LINE = 0.128  # inches from one label to the next


def data() -> pd.DataFrame:
    """The runs of trained encoders, with their error."""
    return table(study.runs())


def table(runs: pd.DataFrame) -> pd.DataFrame:
    """What ``data`` gives, from all runs."""
    chosen = runs[runs.arm != "untrained"]
    return chosen.assign(error=1 - chosen.encoder_probe)


@style.styled
def draw(runs: pd.DataFrame) -> Figure:
    """One panel a prediction; the labels beside the second belong to both."""
    conditions = runs.groupby("condition", sort=False)[["arm"]].first()
    height = max(2.6, LINE * len(conditions))
    figure = style.figure(height + 0.9)
    panels = figure.subplots(1, len(PREDICTIONS), sharey=True)
    errors = study.intervals(runs, "error").value
    for plot, (column, title) in zip(panels, PREDICTIONS.items(), strict=True):
        shown = runs.dropna(subset=column)
        x, y = study.intervals(shown, column), study.intervals(shown, "error")
        for condition in x.index:
            colour = _colour(conditions.arm[condition])
            study.points(plot, x.loc[[condition]], y.loc[[condition]], color=colour, ecolor=(colour, 0.35))
        found = correlation(shown, column)
        note = found.reason if found.rho is None else f"{found.rho:+.2f} [{found.low:+.2f}, {found.high:+.2f}]"
        plot.set(xlabel=title, title=f"rank correlation over {len(x)} conditions\n{note.replace('-', '−')}")
        plot.xaxis.set_major_locator(MaxNLocator(4))
        plot.set_xlim(_range(x.value))
    panels[0].set(ylabel="measured error of the linear probe", ylim=_range(errors))
    _label(panels[-1], x.value.reindex(conditions.index), errors, conditions.arm, height)
    return figure


def _label(plot: Any, x: pd.Series, y: pd.Series, arms: pd.Series, height: float) -> None:
    """Names at the right edge, each with a line to its point, or to the edge where there is no point."""
    bottom, top = plot.get_ylim()
    right = plot.get_xlim()[1]
    places = style.spread((y - bottom) / (top - bottom), LINE / height, 0, 1)
    for condition, place in zip(y.index, places, strict=True):
        colour = _colour(arms[condition])
        plot.annotate(
            condition.replace("_", " "),
            (x[condition] if np.isfinite(x[condition]) else right, y[condition]),
            (1.08, place),
            textcoords="axes fraction",
            fontsize=7.5,
            va="center",
            color=colour,
            arrowprops={"arrowstyle": "-", "color": colour, "alpha": 0.35, "lw": 0.7, "relpos": (0, 0.5)},
        )
    plot.set(xlim=(None, right), ylim=(bottom, top))


def _range(values: pd.Series) -> tuple[float, float]:
    """From the least to the greatest value, and a sixth more on both sides."""
    low, high = values.min(), values.max()
    room = (high - low) / 6 or 1e-3
    return low - room, high + room


def _colour(arm: str) -> str:
    return next((colour for role, colour in ROLES.items() if role in arm), style.OTHER)


if __name__ == "__main__":
    from figures.__main__ import main

    raise SystemExit(main(["predicted_measured"]))
