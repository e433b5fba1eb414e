"""The phase map: where difficult examples and remedies change the measured error, beside the bound's sign.

    python figures/phase_map.py --coarse --jobs 2

runs the simulation (resumable, in runs/), and writes phase_map.csv, phase_map.png, phase_map.svg and the
numbers of docs/simulation.md, phase_map.txt, here.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from theory.cli import Parser, run, write_bytes, write_text  # noqa: E402
from theory.simulate import Experiment, Prediction, run_experiment  # noqa: E402

GRAPH: dict[str, Any] = {"alpha": (0.4,), "beta": (0.1,), "classes": (10,), "pairing": ("matched", "block")}
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
    "temperature": ("temperature − nothing", "error"),
    "removal": ("removal − nothing", "error_shared"),
    "random_removal": ("random removal − nothing", "error_shared"),
    "removal_or_random": ("removal − random removal", "error_shared"),
}
READINGS = Prediction._fields
READINGS_IN_WORDS = {
    "bound": "exact λ of the noise-free graph, δ fixed",
    "bound_own": "exact λ, each graph's own δ",
    "bound_noisy": "expected λ of the noisy graph, δ fixed",
}
NEGLIGIBLE = 1e-12  # difference between two bounds
CELL = ["pairing", "difficult", "excess", "epsilon", "dim"]


def compare(table: pd.DataFrame) -> pd.DataFrame:
    """One row a cell, k and comparison: paired change with its 95 % interval, and the bound's predictions.

    ``verdict`` of each reading of the bound is "right", "wrong", "within noise" (the interval holds 0) or "silent"
    (the bound predicts no change, or does not exist).
    """
    from scipy.stats import t

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
        part["change"], spread = grouped[error].mean(), grouped[error].sem()
        part["seeds"] = grouped[error].count()
        half = t.ppf(0.975, np.maximum(part.seeds - 1, 1)) * spread
        part["low"], part["high"] = part.change - half, part.change + half
        noise = (part.low <= 0) & (part.high >= 0)
        for reading in READINGS:
            predicted = part[reading].where(part[reading].abs() > NEGLIGIBLE, 0.0)
            right = np.sign(predicted) == np.sign(part.change)
            verdict = np.where(noise, "within noise", np.where(right, "right", "wrong"))
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
        right, wrong, noise, silent = (int(verdicts.get(v, 0)) for v in ("right", "wrong", "within noise", "silent"))
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
                "hurts": int((group.low > 0).sum()),
                "helps": int((group.high < 0).sum()),
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


def draw(changes: pd.DataFrame) -> Any:
    """One panel a pairing and comparison; ε and k along x, n_d/n and γ − β along y."""
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    pairings = list(changes.pairing.unique())
    x_levels = sorted(set(zip(changes.epsilon, changes.dim, strict=True)))
    n = int(changes.samples_per_class.iloc[0])
    figure = Figure(figsize=(5 * len(pairings) + 2, 2.9 * len(COMPARISONS)), layout="constrained")
    axes = figure.subplots(len(COMPARISONS), len(pairings), squeeze=False)
    scales = changes.change.abs().groupby(changes.comparison).quantile(0.98)
    for column, pairing in enumerate(pairings):
        here = changes[changes.pairing == pairing]
        y_levels = sorted(set(zip(here.difficult, here.excess, strict=True)))
        for row, (name, (title, _)) in enumerate(COMPARISONS.items()):
            plot, cells, largest = axes[row, column], here[here.comparison == name], scales[name] or 1.0
            values = np.full((len(y_levels), len(x_levels)), np.nan)
            for cell in cells.itertuples():
                x, y = x_levels.index((cell.epsilon, cell.dim)), y_levels.index((cell.difficult, cell.excess))
                values[y, x] = cell.change
                symbol = {"wrong": "x", "within noise": ".", "silent": "_"}.get(cell.verdict_bound)
                if cell.verdict_bound == "silent" and cell.low <= 0 <= cell.high:
                    symbol = "."
                if symbol:
                    colour = "white" if abs(cell.change) > 0.7 * largest else "black"
                    plot.plot(x, y, symbol, color=colour, markersize=3 if symbol == "." else 5)
            plot.set_facecolor("lightgrey")
            mesh = plot.imshow(
                values, origin="lower", aspect="auto", cmap="PuOr_r", vmin=-largest, vmax=largest, interpolation="none"
            )
            plot.set_xticks(range(len(x_levels)), [str(k) for _, k in x_levels], fontsize=6, rotation=90)
            steps = [i for i in range(1, len(x_levels)) if x_levels[i][0] != x_levels[i - 1][0]]
            for i in steps:
                plot.axvline(i - 0.5, color="grey", linewidth=0.8)
            for first, last in zip([0, *steps], [*steps, len(x_levels)], strict=True):
                label = f"ε = {x_levels[first][0]:g}"
                plot.text((first + last - 1) / 2, len(y_levels) - 0.4, label, ha="center", va="bottom", fontsize=6)
            plot.set_title(f"{pairing}: {title}", fontsize="medium", pad=14)
            plot.set_yticks(range(len(y_levels)), [f"{n_d / n:.2g}, {g:g}" for n_d, g in y_levels], fontsize=7)
            if column == 0:
                plot.set_ylabel("n_d/n, γ − β")
            if column == len(pairings) - 1:
                figure.colorbar(mesh, ax=plot, extend="both", label="change in error")
            if row == len(COMPARISONS) - 1:
                plot.set_xlabel("k")
    figure.suptitle("Change in measured error (orange: worse, purple: better; each row has its own scale)")
    keys = [
        Line2D([], [], linestyle="", marker="x", color="black", label="the bound predicts the other sign"),
        Line2D([], [], linestyle="", marker="_", color="black", label="the bound predicts no change"),
        Line2D([], [], linestyle="", marker=".", color="black", label="within noise (95 % interval)"),
        Patch(facecolor="white", edgecolor="black", label="no mark: the bound's sign is right"),
        Patch(facecolor="lightgrey", label="no value"),
    ]
    figure.legend(handles=keys, loc="outside lower center", ncols=3, frameon=False)
    return figure


def _command(argv: Sequence[str] | None) -> None:
    parser = Parser(prog="python figures/phase_map.py", description="Regenerate the phase map, data and picture.")
    parser.add_argument("--coarse", action="store_true", help="a smaller grid, minutes on 2 cores")
    parser.add_argument("--jobs", type=int, default=2, help="processes (2)")
    parser.add_argument("--out", type=Path, default=ROOT / "figures", help="folder of the results (figures)")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs", help="folder of the finished cells (runs)")
    args = parser.parse_args(argv)
    experiment = COARSE if args.coarse else FULL
    table = run_experiment(experiment, args.runs / f"phase_map{'_coarse' * args.coarse}", args.jobs)
    changes = compare(table)
    write_text(args.out / "phase_map.csv", changes.to_csv(index=False, float_format="%.6g"))
    figure = draw(changes)
    for suffix in ("png", "svg"):
        buffer = io.BytesIO()
        figure.savefig(buffer, format=suffix, dpi=150)
        write_bytes(args.out / f"phase_map.{suffix}", buffer.getvalue())
    text = numbers(table, pd.read_csv(args.out / "phase_map.csv"))
    write_text(args.out / "phase_map.txt", text)
    print(text)


if __name__ == "__main__":
    raise SystemExit(run(_command, None, resumable=True))
