"""Predicted against measured accuracy of the linear probe, over feature sets of very different quality.

    python -m figures.prediction

from results/contest_cifar10.csv and results/contest_digits.csv, which ``python -m empirical.contest … --publish STEM``
writes. The prediction is the Gaussian equivalent of the training features, with an easy and a difficult part of each
class; bars are its 95 % intervals, the band is two points wide on both sides. Crosses are networks that were trained
on the labels that the probe sees, so that their training features are unlike those that are tested: neither number
counts them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from empirical.contest.sets import UNLIKE
from empirical.contest.table import table as ranked
from figures import style
from theory import palette

PREDICTION = "gaussian_two"
TABLES = {"CIFAR-10": "contest_cifar10", "digits": "contest_digits"}
MARKERS = {"CIFAR-10": "o", "digits": "^"}
FAMILIES = {
    "pixels": (palette.RAMP[0], "pixels and their principal components"),
    "pca": (palette.RAMP[0], "pixels and their principal components"),
    "random": (palette.RAMP[1], "untrained networks"),
    "patches": (palette.RAMP[2], "k-means patches"),
    "simclr": (palette.RAMP[3], "SimCLR"),
    "checkpoint": (palette.RAMP[3], "SimCLR"),
    "supervised": (palette.RAMP[4], "supervised on other images"),
    "pretrained": (palette.RAMP[5], "pretrained on ImageNet"),
    "seen": (palette.INK, "trained on the probe's own labels"),
}
BAND = 2  # points


def data() -> pd.DataFrame:
    """The feature sets of both data sets."""
    tables = {name: pd.read_csv(style.RESULTS / f"{stem}.csv") for name, stem in TABLES.items()}
    return pd.concat([rows.assign(data=name) for name, rows in tables.items()], ignore_index=True)


def like(rows: pd.DataFrame) -> pd.DataFrame:
    """Those whose training features are like the tested ones."""
    return rows[~rows.family.isin(UNLIKE)]


def summary(rows: pd.DataFrame) -> dict[str, Any]:
    """Rank correlation with its interval and mean error of one data set's predictions."""
    return next(line for line in ranked(like(rows)) if line["name"] == PREDICTION)


def numbers(rows: pd.DataFrame) -> str:
    """``summary`` in words."""
    line = summary(rows)
    interval = f"{line['rho']:.2f} [{line['low']:.2f}, {line['high']:.2f}]"
    return f"rank correlation {interval}, mean error {line['error']:.1f} points"


def caption(sets: pd.DataFrame) -> str:
    """What to see."""
    found = {name: summary(rows) for name, rows in sets.groupby("data", sort=False)}
    counts = " and ".join(f"{len(like(sets[sets.data == name]))} sets of features of {name}" for name in found)
    errors = " and ".join(f"{line['error']:.1f}" for line in found.values())
    return (
        "Each point is a set of features: what a linear probe will reach, predicted from the training features alone, "
        f"and what it does reach. The mean error is {errors} points over {counts}; the shaded band is {BAND} points to "
        "both sides. Crosses break the assumption: they were trained on the labels that the probe sees."
    )


@style.styled
def draw(sets: pd.DataFrame) -> Figure:
    """One panel."""
    figure = style.figure(6.6)
    plot = figure.subplots()
    shown = sets.dropna(subset=[PREDICTION])
    ends = 100 * shown[[PREDICTION, "probe"]].to_numpy()
    low, high = np.floor(ends.min() / 5) * 5 - 2, 101
    line = np.array([low, high])
    plot.fill_between(line, line - BAND, line + BAND, color=palette.SHADE, lw=0, zorder=0)
    plot.plot(line, line, color=palette.GREY, lw=1, zorder=1)
    for (name, family), part in shown.groupby(["data", "family"], sort=False):
        _points(plot, part, FAMILIES[family][0], "x" if family in UNLIKE else MARKERS[name])
    plot.set(xlim=(low, high), ylim=(low, high), xlabel="predicted accuracy, %", ylabel="measured accuracy, %")
    handles = [_mark(MARKERS[name], palette.GREY, f"{name}: {_count(shown[shown.data == name])}") for name in MARKERS]
    first = plot.legend(handles=handles, loc="upper left", borderpad=0.2)
    for text, name in zip(first.get_texts(), MARKERS, strict=True):
        text.set_text(f"{text.get_text()}\n{numbers(sets[sets.data == name])}")
    plot.add_artist(first)
    present = {FAMILIES[f]: "x" if f in UNLIKE else "s" for f in FAMILIES if (shown.family == f).any()}
    marks = [_mark(marker, *family) for family, marker in present.items()]
    plot.legend(handles=marks, loc="lower right")
    return figure


def _points(plot: Any, part: pd.DataFrame, colour: str, marker: str) -> None:
    x, y = 100 * part[PREDICTION], 100 * part.probe
    errors = np.clip([x - 100 * part[f"{PREDICTION}_low"], 100 * part[f"{PREDICTION}_high"] - x], 0, None)
    options = {"mec": colour if marker == "x" else palette.GROUND, "mew": 1.4 if marker == "x" else 0.6}
    plot.errorbar(x, y, xerr=errors, fmt=marker, ms=7, color=colour, ecolor=(colour, 0.4), elinewidth=1, **options)


def _mark(marker: str, colour: str, label: str) -> Line2D:
    return Line2D(
        [], [], ls="", marker=marker, ms=7, color=colour, mec=palette.GROUND if marker != "x" else colour, label=label
    )


def _count(rows: pd.DataFrame) -> str:
    return f"{len(like(rows))} sets of features"


if __name__ == "__main__":
    from figures.__main__ import main

    raise SystemExit(main(["prediction"]))
