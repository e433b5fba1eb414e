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
        itself; ``time``, the median of its time over the probe's.
    """
    return [_line(rival, rows) for rival in rivals() if rival.name in rows]


def _line(rival: Rival, rows: pd.DataFrame) -> Line:
    chosen = rows.dropna(subset=[rival.name, rival.measured])
    foretold, truth = (chosen[name].to_numpy(dtype=float) for name in (rival.name, rival.measured))
    better = foretold if rival.larger_is_better else -foretold
    found = rank_correlation(better.tolist(), truth.tolist(), range(len(truth)))
    pairs, ordered = order(better, truth)
    line: Line = {"name": rival.name, "title": rival.title, "measured": rival.measured}
    line |= {"uses_labels": rival.uses_labels, "sets": len(chosen), "without": len(rows) - len(chosen)}
    line |= {"rho": found.rho, "low": found.low, "high": found.high, "reason": found.reason}
    line |= {"pairs": pairs, "ordered": ordered, **dict.fromkeys(("error", "error_low", "error_high"))}
    line |= dict.fromkeys(("bias", "largest", "covered"))
    if rival.accuracy and len(chosen):
        errors = 100 * (foretold - truth)
        low, high = resampled(np.abs(errors))
        line |= {"error": float(np.abs(errors).mean()), "error_low": low, "error_high": high}
        line |= {"bias": float(errors.mean()), "largest": float(np.abs(errors).max())}
        inside = (chosen[f"{rival.name}_low"] <= truth) & (truth <= chosen[f"{rival.name}_high"])
        line["covered"] = float(inside.mean())
    times = chosen[f"{rival.name}_seconds"] / chosen.probe_seconds
    return line | {"time": float(times.median()) if len(chosen) else None}


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
    """The lines as a table for people, the most correlated first; ours, which foretell the accuracy, above."""
    header = ("", "labels", "sets", "rank correlation", "error, points", "largest", "pairs in order, %", "time / probe")
    order = sorted(lines, key=lambda line: (line["measured"], line["error"] is None, -(line["rho"] or -1)))
    cells = []
    for line in order:
        rho = "—" if line["rho"] is None else f"{line['rho']:.2f} [{line['low']:.2f}, {line['high']:.2f}]"
        error = "—"
        if line["error"] is not None:
            error = f"{line['error']:.1f} [{line['error_low']:.1f}, {line['error_high']:.1f}]"
        ordered = None if line["ordered"] is None else 100 * line["ordered"]
        few = ", few labels" if line["measured"].endswith("_few") else ""
        sets = f"{line['sets']}" + f" ({line['without']} without a number)" * (line["without"] > 0)
        used = "yes" if line["uses_labels"] else "no"
        numbers = (
            format_number(line["largest"], ".1f"),
            format_number(ordered, ".1f"),
            format_number(line["time"], ".2f"),
        )
        cells.append((line["title"] + few, used, sets, rho.replace("-", "−"), error, *numbers))
    return markdown_table(header, cells)
