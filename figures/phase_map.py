"""The phase map: where difficult examples and remedies change the error, measured beside predicted.

Its independent entries take the graph outside the domain of the paper's bounds (negative weights, negative
eigenvalues), not of the prediction; ``figures/domain_map.py`` has the samples inside it.

    python figures/phase_map.py --coarse --jobs 2

runs the simulation (resumable, in runs/), computes the predictions, writes phase_map.csv and the numbers of
docs/simulation.md, phase_map.txt, and draws the map. ``--predict`` keeps the measured changes of phase_map.csv and
computes the predictions anew (minutes); ``python -m figures phase_map`` draws the committed map.
"""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from empirical.statistics import WITHIN_NOISE, half_width, judge  # noqa: E402
from figures import style  # noqa: E402
from theory import palette  # noqa: E402
from theory.command import Parser, output, run  # noqa: E402
from theory.files import write_text  # noqa: E402
from theory.predict import evaluate  # noqa: E402
from theory.simulate import Bounded, Experiment, run_experiment  # noqa: E402

GRAPH: dict[str, Any] = {
    "alpha": (0.4,),
    "beta": (0.1,),
    "classes": (10,),
    "pairing": ("matched", "block"),
    "remedies": ("nothing", "clean", "margin", "temperature_unweighted", "removal", "random_removal"),
}
COARSE = Experiment(
    **GRAPH,
    samples_per_class=(30,),
    difficult=(3, 6, 12),
    excess=(0.05, 0.15, 0.29),
    epsilon=(0.3, 0.4, 0.5, 0.6),
    dim=(10, 12, 16, 32, 64),
    seeds=20,
    skip_unrealisable=True,
)
FULL = Experiment(
    **GRAPH,
    samples_per_class=(40,),
    difficult=(2, 4, 8, 12, 16),
    excess=(0.02, 0.05, 0.1, 0.2, 0.29),
    epsilon=(0.2, 0.3, 0.4, 0.5, 0.6, 0.7),
    dim=(10, 12, 16, 24, 48, 96),
    seeds=40,
    skip_unrealisable=True,
)
# With which arm, without which, and on which test nodes: all, or the easy ones that every arm keeps.
COMPARISONS = {
    "difficult": ("nothing", "clean", "error"),
    "margin": ("margin", "nothing", "error"),
    "temperature_unweighted": ("temperature_unweighted", "nothing", "error"),
    "removal": ("removal", "nothing", "error_shared"),
    "random_removal": ("random_removal", "nothing", "error_shared"),
    "removal_or_random": ("removal", "random_removal", "error_shared"),
}
TITLES = {
    "difficult": "Difficult − clean",
    "margin": "Margin",
    "temperature_unweighted": "Temperature, unweighted",
    "removal": "Removal",
    "random_removal": "Random removal",
    "removal_or_random": "Removal − random removal",
}
PREDICTED = {"error": "accuracy", "error_shared": "easy"}  # of the nodes that an error is over
READINGS = Bounded._fields
READINGS_IN_WORDS = {
    "bound": "exact λ of the noise-free graph, δ fixed",
    "bound_own": "exact λ, δ = φ of each graph",
    "bound_noisy": "expected λ of the noisy graph, δ fixed",
}
NEGLIGIBLE = 1e-12  # difference between two bounds
HEADING = 11.5  # points
TALL, GAP, TOP, BOTTOM = 1.5, 0.5, 0.45, 1.45  # inches: of a map, above each, above and below all
TABLE = ROOT / "figures" / "phase_map.csv"
CELL = ["pairing", "difficult", "excess", "epsilon", "dim"]
POINT = [*CELL, "samples_per_class"]
FROM_CELLS = "Sign of the change"  # where the part of phase_map.txt begins that phase_map.csv alone gives


def compare(table: pd.DataFrame) -> pd.DataFrame:
    """One row a cell, k and comparison: paired change with its 95 % interval, and the bound's predictions.

    ``verdict`` of each reading of the bound is "right", "wrong", "within noise" (the interval holds 0), "no verdict"
    (one seed has no interval) or "silent" (the bound predicts no change, or does not exist).
    """
    table = table.assign(excess=(table.gamma - table.beta).round(12))
    parts = []
    for name, (with_arm, without_arm, error) in COMPARISONS.items():
        keys = [*POINT, "seed"]
        wide = [table[table.remedy == arm].set_index(keys)[[error, *READINGS]] for arm in (with_arm, without_arm)]
        change = (wide[0] - wide[1]).dropna(subset=[error])
        grouped = change.groupby(keys[:-1], sort=False)
        part = grouped[list(READINGS)].first()
        part["change"], part["seeds"] = grouped[error].mean(), grouped[error].count()
        half = half_width(grouped[error].std(), part.seeds)
        part["low"], part["high"] = part.change - half, part.change + half
        for reading in READINGS:
            predicted = part[reading].where(part[reading].abs() > NEGLIGIBLE, 0.0)
            above, below = (np.where(expected, "right", "wrong") for expected in (predicted > 0, predicted < 0))
            verdict = judge(part.low, part.high, above, below)
            part[f"verdict_{reading}"] = np.where(predicted.isna() | (predicted == 0), "silent", verdict)
        part.insert(0, "comparison", name)
        parts.append(part.reset_index())
    return pd.concat(parts, ignore_index=True)


def predicted(changes: pd.DataFrame) -> pd.Series:
    """The change in error to expect at each row of ``compare``, from ``theory.predict``; 25 ms a point and arm."""
    found = pd.Series(np.nan, index=changes.index)
    labels = 1 - FULL.test_share
    for pairing in changes.pairing.unique():
        rows = changes[changes.pairing == pairing]
        points = rows[POINT].drop_duplicates()
        place = pd.MultiIndex.from_frame(points).get_indexer(pd.MultiIndex.from_frame(rows[POINT]))
        arms = {arm for comparison in rows.comparison.unique() for arm in COMPARISONS[comparison][:2]}
        answers = {
            arm: evaluate(
                GRAPH["alpha"][0],
                GRAPH["beta"][0],
                GRAPH["beta"][0] + points.excess.to_numpy(),
                points.samples_per_class.to_numpy(),
                GRAPH["classes"][0],
                points.difficult.to_numpy(),
                points.dim.to_numpy(),
                points.epsilon.to_numpy(),
                labels * points.samples_per_class.to_numpy(),
                pairing=pairing,
                remedy=arm,
            )
            for arm in sorted(arms)
        }
        for comparison, (with_arm, without_arm, error) in COMPARISONS.items():
            chosen = (rows.comparison == comparison).to_numpy()
            if chosen.any():
                right = [answers[arm][PREDICTED[error]][place[chosen]] for arm in (with_arm, without_arm)]
                found[rows.index[chosen]] = right[1] - right[0]
    return found


def significant(changes: pd.DataFrame) -> pd.Series:
    """Where the 95 % interval of the measured change excludes 0."""
    return (changes.low > 0) | (changes.high < 0)


def signs(changes: pd.DataFrame) -> pd.DataFrame:
    """By comparison and pairing: significant points, and how many of their signs are predicted and bounded right.

    ``off`` and ``off_all`` are the median distances of the predicted from the measured change, in points of accuracy,
    on the significant and on all points; ``rank_correlation`` is Spearman's, over all points.
    """
    from scipy.stats import spearmanr

    rows = []
    for comparison in [name for name in COMPARISONS if name in set(changes.comparison)]:
        of_both = changes[changes.comparison == comparison]
        for pairing in (*of_both.pairing.unique(), "both"):
            group = of_both if pairing == "both" else of_both[of_both.pairing == pairing]
            seen = group[significant(group)]
            right = np.sign(seen.predicted) == np.sign(seen.change)
            distance = 100 * (group.predicted - group.change).abs()
            row = {
                "comparison": comparison,
                "pairing": pairing,
                "points": len(group),
                "significant": len(seen),
                "right": int(right.sum()),
                "share_right": right.mean(),
                "bound_right": int((seen.verdict_bound == "right").sum()),
                "bound_share": (seen.verdict_bound == "right").mean(),
                "off": distance[seen.index].median(),
                "off_all": distance.median(),
                "rank_correlation": spearmanr(group.predicted, group.change)[0],
            }
            rows.append(row)
    return pd.DataFrame(rows)


def agreement(changes: pd.DataFrame, reading: str = "bound") -> pd.DataFrame:
    """By pairing and comparison: cells with each verdict, the share of right signs, and Spearman's correlation.

    The share is among cells where the bound predicts a change and the measurement has one; the correlation is
    over all cells with a bound.
    """
    from scipy.stats import spearmanr

    rows = []
    for (pairing, comparison), group in changes.groupby(["pairing", "comparison"], sort=False):
        verdicts = group[f"verdict_{reading}"].value_counts()
        right, wrong, noise, silent = (int(verdicts.get(v, 0)) for v in ("right", "wrong", WITHIN_NOISE, "silent"))
        seen = judge(group.low, group.high, "hurts", "helps")
        with_bound = group.dropna(subset=[reading])
        varies = len(with_bound) > 2 and with_bound[reading].nunique() > 1 and with_bound.change.nunique() > 1
        rows.append(
            {
                "pairing": pairing,
                "comparison": comparison,
                "cells": len(group),
                "right": right,
                "wrong": wrong,
                "within_noise": noise,
                "silent": silent,
                "hurts": int((seen == "hurts").sum()),
                "helps": int((seen == "helps").sum()),
                "share_right": right / (right + wrong) if right + wrong else np.nan,
                "rank_correlation": spearmanr(with_bound[reading], with_bound.change)[0] if varies else np.nan,
            }
        )
    return pd.DataFrame(rows)


def mean_changes(table: pd.DataFrame) -> pd.DataFrame:
    """Change in error averaged over the cells, with its standard error over the seeds and its range over the cells."""
    table = table.assign(excess=(table.gamma - table.beta).round(12))
    rows = []
    for name, (with_arm, without_arm, error) in COMPARISONS.items():
        wide = table.pivot(index=[*CELL, "seed"], columns="remedy", values=error)
        change = (wide[with_arm] - wide[without_arm]).dropna()
        by_seed, by_cell = change.groupby("seed").mean(), change.groupby(CELL).mean()
        rows.append(
            {
                "comparison": name,
                "mean": by_seed.mean(),
                "standard_error": by_seed.sem(),
                "smallest": by_cell.min(),
                "largest": by_cell.max(),
            }
        )
    return pd.DataFrame(rows)


def smaller_eigenvalue_share(table: pd.DataFrame) -> float:
    """How often the noisy difficult graph's sampled λₖ₊₁ is below the noisy clean one's."""
    table = table.assign(excess=(table.gamma - table.beta).round(12))
    wide = table.pivot(index=[*CELL, "seed"], columns="remedy", values="eigenvalue_next")
    return float((wide["nothing"] < wide["clean"]).mean())


def from_runs(table: pd.DataFrame, changes: pd.DataFrame) -> str:
    """The part of phase_map.txt that takes all results."""
    cells = changes[changes.comparison == "difficult"]
    parts = [f"{len(cells)} points (realisable graph, ε, k), paired seeds a point: "]
    parts[0] += ", ".join(map(str, sorted(cells.seeds.unique())))
    parts.append("Change in error, mean over the points ± standard error over the seeds, and range over the points")
    parts.append(mean_changes(table).to_string(index=False, float_format="{:+.4f}".format))
    share = smaller_eigenvalue_share(table)
    parts.append(f"λₖ₊₁ of the noisy difficult graph is below the noisy clean graph's in {share:.1%} of the draws")
    return "\n\n".join(parts) + "\n\n"


def from_cells(changes: pd.DataFrame) -> str:
    """The part of phase_map.txt that phase_map.csv alone gives."""
    shown: dict[str, Any] = {"index": False, "float_format": "{:.3f}".format}
    parts = [
        f"{FROM_CELLS}, predicted against measured, on the points whose 95 % interval excludes 0",
        signs(changes).to_string(**shown),
    ]
    for reading, words in READINGS_IN_WORDS.items():
        table = agreement(changes, reading).to_string(index=False, float_format="{:.2f}".format)
        parts += [f"Sign of the bound against the measured sign: {words}", table]
    return "\n\n".join(parts) + "\n"


def data() -> pd.DataFrame:
    """The committed changes, as ``compare`` gives them, and the predicted ones."""
    return pd.read_csv(TABLE)


def caption(changes: pd.DataFrame) -> str:
    """What to see."""
    table = signs(changes)
    table = table[table.pairing == "both"].set_index("comparison")
    right, seen, bound = (int(table[column].sum()) for column in ("right", "significant", "bound_right"))
    return (
        f"The right half looks like the left: of {seen:,} measured changes that are beyond noise, {right:,} have the "
        f"predicted sign; the bound has the sign of {bound:,}. Difficult examples hurt (orange), margins and "
        "temperatures help (purple), removal costs more than it gives."
    )


@style.styled
def draw(changes: pd.DataFrame) -> Figure:
    """One row a comparison, the measured change beside the predicted; ε and k along x, the graphs along y."""
    return rows(changes, tuple(TITLES), TALL)


def rows(changes: pd.DataFrame, comparisons: tuple[str, ...], tall: float) -> Figure:
    """The rows of these comparisons, maps ``tall`` inches high, with what the axes mean below.

    Every place is given: a layout that is solved for may differ in the last digit from one run to the next.
    """
    step = tall + GAP
    height = step * len(comparisons) + TOP + BOTTOM
    figure = style.figure(height)
    figure.set_layout_engine("none")
    words = "orange: worse   purple: better   shaded: within noise   ×: sign predicted wrong"
    figure.text(0.5, 1 - 0.1 / height, f"Change in the probe's error\n{words}", ha="center", va="top")
    table = signs(changes)
    table = table[table.pairing == "both"].set_index("comparison")
    for number, comparison in enumerate(comparisons):
        found, bottom = table.loc[comparison], BOTTOM + (len(comparisons) - 1 - number) * step
        message = f"sign right at {found.right:,} of {found.significant:,} points (the bound: {found.bound_right:,})"
        title = f"{TITLES[comparison]}: {message}"
        figure.text(0.015, (bottom + tall + 0.08) / height, title, fontsize=HEADING)
        _row(figure, bottom, tall, changes[changes.comparison == comparison], last=number == len(comparisons) - 1)
    ks, excesses, shares = (
        ", ".join(f"{value:g}" for value in sorted(values.unique()))
        for values in (changes.dim, changes.excess, changes.difficult / changes.samples_per_class)
    )
    figure.text(
        0.015,
        0.1 / height,
        f"In each box, to the right: k = {ks}. For each pairing, upwards: $n_d/n$ = {shares},\n"
        f"and for each of these γ − β = {excesses}, as far as realisable.\n"
        "27 to 43 % of the weights are negative: OUTSIDE THE DOMAIN of the paper's bounds.",
        linespacing=1.35,
    )
    return figure


def _row(figure: Figure, bottom: float, tall: float, cells: pd.DataFrame, last: bool) -> None:
    """Two maps on one scale, ``bottom`` inches up and ``tall`` inches high."""
    x_levels = sorted(set(zip(cells.epsilon, cells.dim, strict=True)))
    y_levels = sorted(set(zip(cells.pairing, cells.difficult, cells.excess, strict=True)))
    x = [x_levels.index(level) for level in zip(cells.epsilon, cells.dim, strict=True)]
    y = [y_levels.index(level) for level in zip(cells.pairing, cells.difficult, cells.excess, strict=True)]
    seen = significant(cells)
    largest = 100 * cells.change.abs().quantile(0.98) or 1.0
    height = figure.get_figheight()

    def place(left: float, width: float) -> Any:
        return figure.add_axes((left / style.WIDTH, bottom / height, width / style.WIDTH, tall / height))

    measured, predicted = 100 * cells.change.where(seen), 100 * cells.predicted
    for left, title, values in ((0.85, "measured", measured), (4.2, "predicted", predicted)):
        plot = place(left, 3.2)
        grid = np.full((len(y_levels), len(x_levels)), np.nan)
        grid[y, x] = values
        plot.set_facecolor(palette.SHADE)
        limits = {"vmin": -largest, "vmax": largest}
        mesh = plot.imshow(grid, origin="lower", aspect="auto", cmap=palette.DIVERGING, interpolation="none", **limits)
        _group(plot.xaxis, plot.axvline, [f"{epsilon:g}" for epsilon, _ in x_levels])
        _group(plot.yaxis, plot.axhline, [pairing for pairing, *_ in y_levels])
        plot.set_xlabel(f"noise ε ({title})" * last)
        plot.tick_params(labelsize="medium", length=0, labelbottom=last)
    plot.tick_params(labelleft=False)
    wrong = (seen & (np.sign(cells.predicted) != np.sign(cells.change))).to_numpy()
    plot.plot(np.array(x)[wrong], np.array(y)[wrong], "x", color=palette.BLACK, ms=6, mew=1.4)
    bar = figure.colorbar(mesh, cax=place(7.5, 0.12), extend="both")
    bar.set_label("points", labelpad=0)


def _group(axis: Any, line: Any, labels: list[str]) -> None:
    """One tick in the middle of each run of equal labels, lines between the runs."""
    starts = [i for i, label in enumerate(labels) if i == 0 or labels[i - 1] != label]
    ends = [*starts[1:], len(labels)]
    axis.set_ticks([(a + b - 1) / 2 for a, b in zip(starts, ends, strict=True)], [labels[i] for i in starts])
    for start in starts[1:]:
        line(start - 0.5, color=palette.GREY, lw=0.8)


def _parser() -> Parser:
    parser = Parser("python figures/phase_map.py", description="Regenerate the phase map, data and picture.")
    parser.add_argument("--coarse", action="store_true", help="a smaller grid, minutes on 2 cores")
    parser.add_argument("--predict", action="store_true", help="only the predictions, for the measured changes there")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument(
        "--out", type=output, metavar="FOLDER", default=ROOT / "figures", help="folder of the results (figures)"
    )
    parser.add_argument("--runs", type=Path, default=ROOT / "runs", help="folder of the finished cells (runs)")
    return parser


def _command(args: Namespace) -> None:
    path, text_path = args.out / "phase_map.csv", args.out / "phase_map.txt"
    if args.predict:
        changes = pd.read_csv(path)
        measured, _, _ = text_path.read_text(encoding="utf-8").partition(FROM_CELLS)
    else:
        experiment = COARSE if args.coarse else FULL
        table = run_experiment(experiment, args.runs / f"phase_map{'_coarse' * args.coarse}", args.jobs)
        changes = compare(table)
        measured = from_runs(table, changes)
    write_text(path, changes.assign(predicted=predicted(changes)).to_csv(index=False, float_format="%.6g"))
    committed = pd.read_csv(path)
    style.save(draw(committed), "phase_map", args.out)
    text = measured + from_cells(committed)
    write_text(text_path, text)
    print(text)


if __name__ == "__main__":
    raise SystemExit(run(_parser(), _command, None, resumable=True))
