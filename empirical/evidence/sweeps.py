"""The paper's sensitivity curves on CIFAR-100 beside ours: Table 9 and Figures 4 and 5."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from empirical.evidence.design import FIGURE_4_HIGH, FIGURE_4_LOW, FIGURE_5_RHO, FIGURE_5_SIGMA, RHOS, scanned
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


def _sweep(
    where: str, symbol: str, arm: str, constant: str, values: tuple[float, ...], published: tuple[float, ...]
) -> Sweep:
    return Sweep(where, symbol, values, published, scanned(arm, constant, values))


_BOTH, _ALONE = "paper_combined", "paper_temperature"
SWEEPS = (
    _sweep("P, Fig. 5a", "σ", _BOTH, "sigma", FIGURE_5_SIGMA, (61.28, 61.82, 62.86, 62.53, 62.05)),
    _sweep("P, Fig. 5b", "ρ", _BOTH, "rho", FIGURE_5_RHO, (61.66, 62.15, 62.47, 62.86, 61.89)),
    _sweep("P, Fig. 4a", "posHigh", _BOTH, "pos_high", FIGURE_4_HIGH, (62.9, 62.1, 61.8, 61.1)),
    _sweep("P, Fig. 4b", "posLow", _BOTH, "pos_low", FIGURE_4_LOW, (61.5, 62.1, 62.4, 62.9, 61.9)),
    _sweep("P, Table 9", "ρ alone", _ALONE, "rho", RHOS, (61.67, 59.95, 59.63, 59.82, 60.05, 60.31)),
)


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
