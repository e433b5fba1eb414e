"""The phase map: where difficult examples and remedies change the measured error, beside the bound's sign.

Its independent entries take the graph outside the theory's domain (negative weights, negative eigenvalues);
``figures/domain_map.py`` has the samples inside it.

    python figures/phase_map.py --coarse --jobs 2

runs the simulation (resumable, in runs/), writes phase_map.csv and the numbers of docs/simulation.md, phase_map.txt,
and draws the map; ``python -m figures phase_map`` draws the committed one.
"""

from __future__ import annotations

import sys
from argparse import Namespace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from empirical.statistics import WITHIN_NOISE, half_width, judge  # noqa: E402
from figures import style  # noqa: E402
from theory.command import Parser, run  # noqa: E402
from theory.files import write_text  # noqa: E402
from theory.simulate import Experiment, Prediction, run_experiment  # noqa: E402

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
# Which error is compared: a remedy that removes nodes, on the easy test nodes that all arms keep.
COMPARISONS = {
    "difficult": ("difficult − clean", "error"),
    "margin": ("margin − nothing", "error"),
    "temperature_unweighted": ("temperature, unweighted − nothing", "error"),
    "removal": ("removal − nothing", "error_shared"),
    "random_removal": ("random removal − nothing", "error_shared"),
    "removal_or_random": ("removal − random removal", "error_shared"),
}
READINGS = Prediction._fields
READINGS_IN_WORDS = {
    "bound": "exact λ of the noise-free graph, δ fixed",
    "bound_own": "exact λ, δ = φ of each graph",
    "bound_noisy": "expected λ of the noisy graph, δ fixed",
}
NEGLIGIBLE = 1e-12  # difference between two bounds
TABLE = ROOT / "figures" / "phase_map.csv"
CELL = ["pairing", "difficult", "excess", "epsilon", "dim"]


def compare(table: pd.DataFrame) -> pd.DataFrame:
    """One row a cell, k and comparison: paired change with its 95 % interval, and the bound's predictions.

    ``verdict`` of each reading of the bound is "right", "wrong", "within noise" (the interval holds 0), "no verdict"
    (one seed has no interval) or "silent" (the bound predicts no change, or does not exist).
    """
    table = table.assign(excess=(table.gamma - table.beta).round(12))
    parts = []
    for name, (_, error) in COMPARISONS.items():
        arms = {"difficult": ("nothing", "clean"), "removal_or_random": ("removal", "random_removal")}
        with_arm, without_arm = arms.get(name, (name, "nothing"))
        keys = [*CELL, "samples_per_class", "seed"]
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
    arms = {"difficult": ("nothing", "clean"), "removal_or_random": ("removal", "random_removal")}
    for name, (_, error) in COMPARISONS.items():
        wide = table.pivot(index=[*CELL, "seed"], columns="remedy", values=error)
        with_arm, without_arm = arms.get(name, (name, "nothing"))
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
    """How often the noisy difficult graph's sampled λ_{k+1} is below the noisy clean one's."""
    table = table.assign(excess=(table.gamma - table.beta).round(12))
    wide = table.pivot(index=[*CELL, "seed"], columns="remedy", values="eigenvalue_next")
    return float((wide["nothing"] < wide["clean"]).mean())


def numbers(table: pd.DataFrame, changes: pd.DataFrame) -> str:
    """The text of phase_map.txt, from all results and from the contents of phase_map.csv."""
    cells = len(changes[changes.comparison == "difficult"])
    seeds = sorted(changes[changes.comparison == "difficult"].seeds.unique())
    parts = [f"{cells} points (realisable graph, ε, k), paired seeds a point: {', '.join(map(str, seeds))}"]
    parts.append("Change in error, mean over the points ± standard error over the seeds, and range over the points")
    parts.append(mean_changes(table).to_string(index=False, float_format="{:+.4f}".format))
    share = smaller_eigenvalue_share(table)
    parts.append(f"λ_{{k+1}} of the noisy difficult graph is below the noisy clean graph's in {share:.1%} of the draws")
    for reading, words in READINGS_IN_WORDS.items():
        table_ = agreement(changes, reading).to_string(index=False, float_format="{:.2f}".format)
        parts += [f"Sign of the bound against the measured sign: {words}", table_]
    return "\n\n".join(parts) + "\n"


def data() -> pd.DataFrame:
    """The committed changes, as ``compare`` gives them."""
    return pd.read_csv(TABLE)


@style.styled
def draw(changes: pd.DataFrame) -> Figure:
    """One panel a pairing and comparison; ε and k along x, n_d/n and γ − β along y."""
    pairings = list(changes.pairing.unique())
    figure = style.figure(1.75 * len(COMPARISONS) + 1.2)
    axes = figure.subplots(len(COMPARISONS), len(pairings), squeeze=False, sharex=True, sharey="col")
    for row, (comparison, (title, _)) in zip(axes, COMPARISONS.items(), strict=True):
        shown = changes[changes.comparison == comparison]
        largest = shown.change.abs().quantile(0.98) or 1.0
        for plot, pairing in zip(row, pairings, strict=True):
            mesh = _panel(plot, shown[shown.pairing == pairing], largest)
            plot.set_title(f"{pairing}: {title}")
        figure.colorbar(mesh, ax=list(row), extend="both", label="change in error", pad=0.01)
    for plot in axes[:, 0]:
        plot.set_ylabel("$n_d/n$")
    ks, excesses = (sorted(changes[name].unique()) for name in ("dim", "excess"))
    for plot in axes[-1]:
        plot.set_xlabel("ε")
    keys = [
        Line2D([], [], ls="", marker="x", color="black", label="the bound predicts the other sign"),
        Line2D([], [], ls="", marker="_", color="black", label="the bound predicts no change"),
        Line2D([], [], ls="", marker=".", color="black", label=f"{WITHIN_NOISE} (95 % interval)"),
        Patch(facecolor="white", edgecolor="black", label="no mark: the bound's sign is right"),
        Patch(facecolor=style.SHADE, label="no value"),
    ]
    figure.legend(handles=keys, loc="outside lower center", ncols=2)
    figure.suptitle(
        "OUTSIDE THE THEORY'S DOMAIN (27 to 43 % of the weights are negative, and eigenvalues, too)\n"
        "Change in measured error (orange: worse, purple: better; each row has its own scale)\n"
        f"in each box of the grid k = {', '.join(map(str, ks))} to the right,\n"
        f"and γ − β = {', '.join(f'{g:g}' for g in excesses)} upwards, as far as realisable",
        fontsize="medium",
    )
    return figure


def _panel(plot: Any, cells: pd.DataFrame, largest: float) -> Any:
    """One map with its marks; grid lines between the values of ε and of n_d."""
    x_levels = sorted(set(zip(cells.epsilon, cells.dim, strict=True)))
    y_levels = sorted(set(zip(cells.difficult, cells.excess, strict=True)))
    x = [x_levels.index(level) for level in zip(cells.epsilon, cells.dim, strict=True)]
    y = [y_levels.index(level) for level in zip(cells.difficult, cells.excess, strict=True)]
    cells = cells.assign(x=x, y=y)
    values = np.full((len(y_levels), len(x_levels)), np.nan)
    values[cells.y, cells.x] = cells.change
    plot.set_facecolor(style.SHADE)
    limits = {"vmin": -largest, "vmax": largest}
    mesh = plot.imshow(values, origin="lower", aspect="auto", cmap=style.DIVERGING, interpolation="none", **limits)
    noise = judge(cells.low, cells.high, "worse", "better") == WITHIN_NOISE
    marks = {".": noise, "_": (cells.verdict_bound == "silent") & ~noise, "x": cells.verdict_bound == "wrong"}
    dark = cells.change.abs() > 0.7 * largest
    for (symbol, marked), (colour, shade) in product(marks.items(), (("white", dark), ("black", ~dark))):
        chosen = cells[marked & shade]
        many = symbol == "."  # most of the marks: as pixels in the SVG too
        plot.plot(chosen.x, chosen.y, symbol, color=colour, ms=1.5 if many else 3, mew=0.6, rasterized=many)
    n = cells.samples_per_class.iloc[0]
    _group(plot.xaxis, plot.axvline, [f"{epsilon:g}" for epsilon, _ in x_levels])
    _group(plot.yaxis, plot.axhline, [f"{n_d / n:.2g}" for n_d, _ in y_levels])
    return mesh


def _group(axis: Any, line: Any, labels: list[str]) -> None:
    """One tick in the middle of each run of equal labels, lines between the runs."""
    starts = [i for i, label in enumerate(labels) if i == 0 or labels[i - 1] != label]
    ends = [*starts[1:], len(labels)]
    axis.set_ticks([(a + b - 1) / 2 for a, b in zip(starts, ends, strict=True)], [labels[i] for i in starts])
    axis.set_tick_params(length=0)
    for start in starts[1:]:
        line(start - 0.5, color=style.GREY, lw=0.8)


def _parser() -> Parser:
    parser = Parser("python figures/phase_map.py", description="Regenerate the phase map, data and picture.")
    parser.add_argument("--coarse", action="store_true", help="a smaller grid, minutes on 2 cores")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--out", type=Path, default=ROOT / "figures", help="folder of the results (figures)")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs", help="folder of the finished cells (runs)")
    return parser


def _command(args: Namespace) -> None:
    experiment = COARSE if args.coarse else FULL
    table = run_experiment(experiment, args.runs / f"phase_map{'_coarse' * args.coarse}", args.jobs)
    changes = compare(table)
    write_text(args.out / "phase_map.csv", changes.to_csv(index=False, float_format="%.6g"))
    committed = pd.read_csv(args.out / "phase_map.csv")
    style.save(draw(committed), "phase_map", args.out)
    text = numbers(table, committed)
    write_text(args.out / "phase_map.txt", text)
    print(text)


if __name__ == "__main__":
    raise SystemExit(run(_parser(), _command, None, resumable=True))
