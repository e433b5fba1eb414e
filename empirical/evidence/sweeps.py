"""The paper's sensitivity curves on CIFAR-100 beside ours: Table 9 and Figures 4 and 5."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from empirical.evidence.design import RHOS
from empirical.statistics import Mean, mean_interval

BENCH = "cifar100"
PUBLISHED_BASELINE = 59.95  # P, Table 1


@dataclass(frozen=True)
class Sweep:
    """One constant that is varied while the others have the stated values.

    Parameters
    ----------
    where, symbol : str
    values : tuple of float
    published : tuple of float
        The paper's accuracies in percent; those of figures were read from the drawing.
    entries : tuple of str
        What we trained.
    """

    where: str
    symbol: str
    values: tuple[float, ...]
    published: tuple[float, ...]
    entries: tuple[str, ...]


def _named(prefix: str, values: tuple[float, ...], stated: float) -> tuple[str, ...]:
    arm = prefix.partition("-")[0]
    return tuple(arm if value == stated else f"{prefix}{value:g}" for value in values)


_SIGMA, _RHO = (0.0, 0.05, 0.1, 0.15, 0.2), (1.0, 0.9, 0.8, 0.7, 0.6)
_HIGH, _LOW, _FACTOR = (0.013, 0.025, 0.0375, 0.05), (0.13, 0.25, 0.38, 0.5, 0.63), (0.7, *RHOS)
SWEEPS = {
    "sigma": Sweep(
        "P, Fig. 5a",
        "σ",
        _SIGMA,
        (61.28, 61.82, 62.86, 62.53, 62.05),
        _named("paper_combined-sigma", _SIGMA, 0.1),
    ),
    "rho": Sweep("P, Fig. 5b", "ρ", _RHO, (61.66, 62.15, 62.47, 62.86, 61.89), _named("paper_combined-rho", _RHO, 0.7)),
    "high": Sweep(
        "P, Fig. 4a", "posHigh", _HIGH, (62.9, 62.1, 61.8, 61.1), _named("paper_combined-high", _HIGH, 0.013)
    ),
    "low": Sweep("P, Fig. 4b", "posLow", _LOW, (61.5, 62.1, 62.4, 62.9, 61.9), _named("paper_combined-low", _LOW, 0.5)),
    "factor": Sweep(
        "P, Table 9",
        "ρ alone",
        _FACTOR,
        (61.67, 59.95, 59.63, 59.82, 60.05, 60.31),
        _named("paper_temperature-rho", _FACTOR, 0.7),
    ),
}


def gains(runs: pd.DataFrame, sweep: Sweep) -> list[Mean | None]:
    """Our accuracy less the baseline's over the seeds, with intervals over seeds alone; None where nothing has run."""
    table = runs[runs.bench == BENCH].pivot(index="seed", columns="entry", values="accuracy")
    found: list[Mean | None] = []
    for entry in sweep.entries:
        there = entry in table and "baseline" in table
        found.append(mean_interval((table[entry] - table.baseline).dropna().tolist()) if there else None)
    return found


def published_gains(sweep: Sweep) -> list[float]:
    """The paper's accuracies less its baseline's, in points."""
    return [value - PUBLISHED_BASELINE for value in sweep.published]
