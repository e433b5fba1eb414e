"""The published study, results/cifar10_cpu.csv with one row a run, as means over seeds."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pandas as pd
from matplotlib.container import ErrorbarContainer
from matplotlib.ticker import NullLocator

from empirical.statistics import mean_interval
from figures import style

TABLE = style.RESULTS / "cifar10_cpu.csv"
PUBLISHED = "published (ResNet-18, all of CIFAR-10)"  # label of what is only comparable in part


def runs() -> pd.DataFrame:
    """All runs of the study."""
    return pd.read_csv(TABLE)


def changes(runs: pd.DataFrame) -> pd.DataFrame:
    """The runs with ``accuracy`` in percent and its ``change`` from the baseline of the same seed in points."""
    accuracy = 100 * runs.encoder_probe
    reference = accuracy[runs.condition == "baseline"].set_axis(runs.seed[runs.condition == "baseline"])
    return runs.assign(accuracy=accuracy, change=accuracy - runs.seed.map(reference))


def intervals(runs: pd.DataFrame, column: str) -> pd.DataFrame:
    """Mean over a condition's runs with its 95 % t-interval: ``value``, ``low``, ``high``, by condition.

    Runs without a value are left out; one run alone has no interval.
    """
    values = runs.dropna(subset=column).groupby("condition", sort=False)[column]
    means = {condition: asdict(mean_interval(list(group))) for condition, group in values}
    return pd.DataFrame.from_dict(means, orient="index", columns=["value", "low", "high"], dtype=float)


def log_axis(plot: Any, values: Any) -> None:
    """A logarithmic x axis with marks at these values alone."""
    places = sorted(set(values))
    plot.set(xscale="log", xticks=places)
    plot.set_xticklabels([f"{value:.3g}" for value in places])
    plot.xaxis.set_minor_locator(NullLocator())


def points(plot: Any, x: Any, y: Any, **options: Any) -> ErrorbarContainer:
    """Points with intervals; x and y are numbers or tables of ``intervals``."""
    places, errors = {"x": x, "y": y}, {}
    for name, means in places.items():
        if isinstance(means, pd.DataFrame):
            places[name] = means.value
            errors[f"{name}err"] = [means.value - means.low, means.high - means.value]
    return plot.errorbar(**places, **errors, **{"marker": "o", "elinewidth": 1, **options})
