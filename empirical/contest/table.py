"""How well each rival foretold the probes: rank correlation, error, order of pairs, time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from empirical.contest.rivals import Rival, rivals
from empirical.statistics import RESAMPLES, rank_correlation
from theory.command import format_number, markdown_table

APART = 0.02  # accuracies that are further apart should be ordered right
ERRORS = ("error", "error_low", "error_high", "bias", "largest", "error_least_squares", "covered")
Line = dict[str, Any]


def table(rows: pd.DataFrame) -> list[Line]:
    """One line a rival, over the sets for which it has a number.

    Parameters
    ----------
    rows : DataFrame
        Of ``contest.collect``, one row a feature set.

    Returns
    -------
    list of dict
        ``name``, ``title``, ``measured`` (the column that it foretells), ``uses_labels``; ``sets`` with a number and
        ``without`` one; ``rho`` with its 95 % bootstrap interval over sets ``low``, ``high``; ``pairs`` of sets more
        than two points apart and ``ordered``, the share of them that it orders right; ``error`` with its interval,
        ``bias`` and ``largest``, mean absolute, mean and largest error in points, for predictions of the accuracy
        itself, and ``error_least_squares``, the mean error against least squares on the same labels, whose
        accuracy the theory is of; ``covered``, the share of sets whose probe lies in the prediction's interval;
        ``time``, the median of its time over the probe's.
    """
    return [_line(rival, rows) for rival in rivals() if rival.name in rows]


def _line(rival: Rival, rows: pd.DataFrame) -> Line:
    chosen = rows.dropna(subset=[rival.name, rival.measured])
    foretold, truth = (chosen[name].to_numpy(dtype=float) for name in (rival.name, rival.measured))
    better = foretold if rival.larger_is_better else -foretold
    found = rank_correlation(better.tolist(), truth.tolist(), range(len(truth)))
    pairs, ordered = order(better, truth)
    times = chosen[f"{rival.name}_seconds"] / chosen.probe_seconds
    return {
        "name": rival.name,
        "title": rival.title,
        "measured": rival.measured,
        "uses_labels": rival.uses_labels,
        "sets": len(chosen),
        "without": len(rows) - len(chosen),
        "rho": found.rho,
        "low": found.low,
        "high": found.high,
        "reason": found.reason,
        "pairs": pairs,
        "ordered": ordered,
        **(_errors(rival, chosen) if rival.accuracy and len(chosen) else dict.fromkeys(ERRORS)),
        "time": float(times.median()) if len(chosen) else None,
    }


def _errors(rival: Rival, rows: pd.DataFrame) -> Line:
    """How far a foretold accuracy is from the measured one, in points."""
    errors = 100 * (rows[rival.name] - rows[rival.measured]).to_numpy(dtype=float)
    least_squares = rows[rival.measured.replace("probe", "least_squares")]
    low, high = (rows[f"{rival.name}_{end}"].astype(float) for end in ("low", "high"))
    found = (
        np.abs(errors).mean(),
        *resampled(np.abs(errors)),
        errors.mean(),
        np.abs(errors).max(),
        100 * (rows[rival.name] - least_squares).abs().mean(),
        rows[rival.measured].between(low, high).mean(),
    )
    return dict(zip(ERRORS, map(float, found), strict=True))


def order(better: NDArray[np.float64], truth: NDArray[np.float64]) -> tuple[int, float | None]:
    """Number of pairs with accuracies more than two points apart, and the share of them that is ordered right."""
    first, second = np.triu_indices(len(truth), 1)
    apart = np.abs(truth[first] - truth[second]) > APART
    if not apart.any():
        return 0, None
    signs = np.sign(better[first] - better[second]) * np.sign(truth[first] - truth[second])
    return int(apart.sum()), float((signs[apart] > 0).mean())


def resampled(values: NDArray[np.float64], seed: int = 0) -> tuple[float, float]:
    """95 % bootstrap interval of a mean over sets."""
    chosen = np.random.default_rng(seed).integers(len(values), size=(RESAMPLES, len(values)))
    low, high = np.percentile(values[chosen].mean(axis=1), [2.5, 97.5])
    return float(low), float(high)


def markdown(lines: list[Line]) -> str:
    """The lines as a table for people; predictions of the accuracy above, the most correlated first."""
    errors = "error, points", "largest", "against least squares"
    header = ("", "labels", "sets", "rank correlation", *errors, "pairs in order, %", "time / probe")
    cells = []
    for line in sorted(lines, key=_place):
        few = ", few labels" if line["measured"].endswith("_few") else ""
        sets = f"{line['sets']}" + f" ({line['without']} without a number)" * (line["without"] > 0)
        ordered = None if line["ordered"] is None else 100 * line["ordered"]
        cells.append(
            (
                line["title"] + few,
                "yes" if line["uses_labels"] else "no",
                sets,
                _interval(line, "rho", "low", "high", ".2f"),
                _interval(line, "error", "error_low", "error_high", ".1f"),
                *(format_number(line[name], ".1f") for name in ("largest", "error_least_squares")),
                format_number(ordered, ".1f"),
                format_number(line["time"], ".2g"),
            )
        )
    return markdown_table(header, cells)


def _place(line: Line) -> tuple[Any, ...]:
    return line["measured"], line["error"] is None, 1 if line["rho"] is None else -line["rho"]


def _interval(line: Line, value: str, low: str, high: str, pattern: str) -> str:
    if line[value] is None:
        return "—"
    texts = [format(line[name], pattern).replace("-", "−") for name in (value, low, high)]
    return f"{texts[0]} [{texts[1]}, {texts[2]}]"
