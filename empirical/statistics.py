"""Paired differences over few seeds, their intervals and the words for them, and rank correlation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

if TYPE_CHECKING:
    import pandas as pd

WITHIN_NOISE, NO_VERDICT = "within noise", "no verdict"
FEWEST_PREDICTIONS = 8
FEWEST_SEEDS = 3  # with an interval on a page: Student's factor of two values is 12.7
LEVEL = 0.05
PERMUTATIONS, RESAMPLES = 4999, 2000


@dataclass(frozen=True)
class Mean:
    """A mean over seeds with its 95 % t-interval; None where too few seeds leave it undefined."""

    value: float
    low: float | None
    high: float | None
    seeds: int

    def to_json(self) -> dict[str, Any]:
        """Fields by name."""
        return asdict(self)


def mean_interval(values: Sequence[float], fewest: int = 2) -> Mean:
    """Mean and 95 % t-interval of independent values (at least one); no interval of less than ``fewest``."""
    x = np.asarray(values, dtype=float)
    if len(x) < max(2, fewest):
        return Mean(float(x.mean()), None, None, len(x))
    half = float(half_width(x.std(ddof=1), len(x)))
    return Mean(float(x.mean()), float(x.mean()) - half, float(x.mean()) + half, len(x))


def half_width(deviation: Any, count: Any) -> Any:
    """Half the 95 % t-interval of a mean, elementwise; NaN for a count of 1.

    Parameters
    ----------
    deviation : array_like
        Standard deviation of the values.
    count : array_like
        How many there are.
    """
    return stats.t.ppf(0.975, np.maximum(count - 1, 1)) * deviation / np.sqrt(count)


def paired(values: pd.Series[float], reference: pd.Series[float]) -> list[float]:
    """Values minus the reference's, over the seeds (the index) that both have."""
    return [float(difference) for difference in (values - reference).dropna()]


def judge(low: ArrayLike | None, high: ArrayLike | None, above: ArrayLike, below: ArrayLike) -> Any:
    """The word for an interval of a difference, elementwise.

    Parameters
    ----------
    low, high : array_like or None
        Ends of the interval; NaN or None, as one seed has it, gives ``NO_VERDICT``.
    above, below : str or array_like of str
        The words for an interval above zero and for one below; one that holds zero is ``WITHIN_NOISE``.

    Returns
    -------
    str or ndarray of str
    """
    ends = np.asarray(low, dtype=float), np.asarray(high, dtype=float)
    holds_zero = (ends[0] <= 0) & (ends[1] >= 0)
    words = np.select([ends[0] > 0, ends[1] < 0, holds_zero], [above, below, WITHIN_NOISE], NO_VERDICT)
    return words if words.ndim else str(words)


def p_value(differences: Sequence[float]) -> float | None:
    """Of a two-sided t-test that the mean is zero; None of one value, or of equal ones, which show no spread."""
    x = np.asarray(differences, dtype=float)
    spread = float(x.std(ddof=1)) if len(x) > 1 else 0.0
    if spread <= 1e-12 * np.abs(x).max(initial=0):
        return None
    return float(2 * stats.t.sf(abs(x.mean()) * math.sqrt(len(x)) / spread, len(x) - 1))


def holm(p_values: ArrayLike, size: int | None = None) -> NDArray[np.float64]:
    """p-values adjusted for their number: all hypotheses below α are rejected with at most α of any error.

    Parameters
    ----------
    p_values : array_like
        Shape (m,).
    size : int, optional
        Hypotheses of the family, >= m; those without a p-value are not rejected. By default m.

    References
    ----------
    Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 1979.
    """
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p)
    adjusted = np.empty_like(p)
    most = len(p) if size is None else size
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * (most - np.arange(len(p)))), 1)
    return adjusted


def detectable_difference(differences: Sequence[float], seeds: int | None = None, level: float = LEVEL) -> float | None:
    """Smallest true difference that a paired two-sided t-test at a level finds with probability about .8.

    (t_(1−level/2) + t_.8)·s/√seeds with s estimated from the differences at hand; None for one difference.

    Parameters
    ----------
    differences : sequence of float
    seeds : int, optional
        Of a study to be planned, >= 2; by default as many as there are differences.
    level : float
        Of the test, in (0, 1); that of one among m, level/m, finds it at this level of all.
    """
    x = np.asarray(differences, dtype=float)
    if len(x) < 2:
        return None
    planned = len(x) if seeds is None else seeds
    t = stats.t.ppf([1 - level / 2, 0.8], planned - 1).sum()
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

    generator = np.random.default_rng(seed)
    x_ranks, y_ranks = stats.rankdata(x), stats.rankdata(y)
    rho = float(_correlation(x_ranks, y_ranks))
    shuffled = np.empty((PERMUTATIONS, len(y)), dtype=int)
    for row in shuffled:
        for rows in members:
            row[rows] = generator.permutation(rows)
    as_extreme = np.abs(_correlation(x_ranks, y_ranks[shuffled])) >= abs(rho) - 1e-12
    resampled = _bootstrap(x, y, members, generator)
    low, high = np.percentile(resampled, [2.5, 97.5])
    p_value = (1 + as_extreme.sum()) / (1 + PERMUTATIONS)
    return RankCorrelation(rho, float(low), float(high), float(p_value), distinct)


def _bootstrap(
    x: NDArray[np.float64], y: NDArray[np.float64], members: Sequence[NDArray[np.int_]], generator: np.random.Generator
) -> NDArray[np.float64]:
    """Spearman's ρ of RESAMPLES samples with replacement within the groups, none of them constant on a side.

    The draws are those of ``generator.choice(rows, len(rows))``, one sample and group after the other.
    """
    sizes = [len(rows) for rows in members]
    first, size = np.repeat(np.cumsum([0, *sizes[:-1]]), sizes), np.repeat(sizes, sizes)
    everyone, found = np.concatenate(members), np.empty(0)
    while missing := RESAMPLES - len(found):
        rows = everyone[first + generator.integers(size, size=(missing, len(x)))]
        a, b = x[rows], y[rows]
        varied = (a != a[:, :1]).any(axis=1) & (b != b[:, :1]).any(axis=1)
        a, b = (stats.rankdata(values[varied], axis=1) for values in (a, b))  # anew: a sample has ties
        found = np.append(found, _correlation(a, b))
    return found


def _correlation(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Pearson's correlation along the last axis, to the last digit that of ``np.corrcoef`` on ranks."""
    a, b = (values - values.mean(axis=-1, keepdims=True) for values in (a, b))
    weight = 1 / (a.shape[-1] - 1)
    both, first, second = ((u * v).sum(axis=-1) * weight for u, v in ((a, b), (a, a), (b, b)))
    return np.asarray(np.clip(both / np.sqrt(first) / np.sqrt(second), -1, 1))
