"""Intervals, paired differences and rank correlation over few seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy import stats

FEWEST_PREDICTIONS = 8
PERMUTATIONS, RESAMPLES = 4999, 2000


@dataclass(frozen=True)
class Mean:
    """A mean over seeds with its 95 % t-interval; None where one seed leaves it undefined."""

    value: float
    low: float | None
    high: float | None
    seeds: int

    def to_json(self) -> dict[str, Any]:
        """Fields by name."""
        return asdict(self)


def mean_interval(values: Sequence[float]) -> Mean:
    """Mean and 95 % t-interval of independent values (at least one)."""
    x = np.asarray(values, dtype=float)
    if len(x) < 2:
        return Mean(float(x.mean()), None, None, len(x))
    half = float(stats.t.ppf(0.975, len(x) - 1) * x.std(ddof=1) / math.sqrt(len(x)))
    return Mean(float(x.mean()), float(x.mean()) - half, float(x.mean()) + half, len(x))


def detectable_difference(differences: Sequence[float], seeds: int | None = None) -> float | None:
    """Smallest true difference that a paired two-sided 5 % t-test finds with probability about .8.

    (t_{.975} + t_{.8})·s/√seeds with s estimated from the differences at hand; None for one difference.

    Parameters
    ----------
    differences : sequence of float
    seeds : int, optional
        Of a study to be planned, >= 2; by default as many as there are differences.
    """
    x = np.asarray(differences, dtype=float)
    if len(x) < 2:
        return None
    planned = len(x) if seeds is None else seeds
    t = stats.t.ppf([0.975, 0.8], planned - 1).sum()
    return float(t * x.std(ddof=1) / math.sqrt(planned))


@dataclass(frozen=True)
class RankCorrelation:
    """Spearman's ρ with a permutation p-value and a bootstrap interval, or the reason for none."""

    rho: float | None
    low: float | None
    high: float | None
    p_value: float | None
    distinct: int
    reason: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Fields by name."""
        return asdict(self)


def rank_correlation(
    predicted: Sequence[float], measured: Sequence[float], groups: Sequence[float], seed: int = 0
) -> RankCorrelation:
    """Rank correlation over conditions; "too few" below eight distinct predictions.

    Conditions of one group (the arms at one ω) share their data and their profile. The p-value therefore
    permutes the measured values within the groups, and the interval resamples within them; only if every
    group has one member are all conditions exchanged.

    Parameters
    ----------
    predicted, measured, groups : sequence of float
        One value per condition.
    """
    x, y = np.asarray(predicted, dtype=float), np.asarray(measured, dtype=float)
    labels = np.unique(np.asarray(groups), return_inverse=True)[1]
    if len(np.unique(labels)) == len(labels):
        labels = np.zeros(len(labels), dtype=int)
    members = [np.flatnonzero(labels == g) for g in range(int(labels.max(initial=-1)) + 1)]
    distinct = len(np.unique(x))
    if distinct < FEWEST_PREDICTIONS:
        return RankCorrelation(None, None, None, None, distinct, f"too few: {distinct} distinct predictions")
    if len(np.unique(y)) < 2:
        return RankCorrelation(None, None, None, None, distinct, "all measured errors are equal")

    def spearman(a: Any, b: Any) -> float:
        ranks = stats.rankdata(a), stats.rankdata(b)
        return float(np.corrcoef(*ranks)[0, 1])

    generator = np.random.default_rng(seed)
    rho = spearman(x, y)
    as_extreme = 0
    for _ in range(PERMUTATIONS):
        shuffled = y.copy()
        for rows in members:
            shuffled[rows] = y[generator.permutation(rows)]
        as_extreme += abs(spearman(x, shuffled)) >= abs(rho) - 1e-12
    resampled: list[float] = []
    while len(resampled) < RESAMPLES:
        rows = np.concatenate([generator.choice(rows, len(rows)) for rows in members])
        if len(np.unique(x[rows])) > 1 and len(np.unique(y[rows])) > 1:
            resampled.append(spearman(x[rows], y[rows]))
    low, high = np.percentile(resampled, [2.5, 97.5])
    p_value = (1 + as_extreme) / (1 + PERMUTATIONS)
    return RankCorrelation(rho, float(low), float(high), float(p_value), distinct)
