"""Inside the theory's domain: change in measured error where finite samples are the only noise.

    python figures/domain_map.py

runs experiments/domain_channel.toml and experiments/domain_wishart.toml (resumable, in runs/; about a minute of
CPU), writes results/domain.csv and the numbers of docs/simulation.md, domain_map.txt, and draws the map;
``python -m figures domain_map`` draws the committed one.
"""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from figures import style  # noqa: E402
from theory import palette  # noqa: E402
from theory.command import Parser, run  # noqa: E402
from theory.files import write_text  # noqa: E402
from theory.simulate import Experiment, run_experiment  # noqa: E402

KINDS = ("channel", "wishart")
TABLE = ROOT / "results" / "domain.csv"
CELL = ["noise", "draws", "difficult", "excess", "dim"]
# With which arm, without which, and on which test nodes: all, or the easy ones that every arm keeps.
COMPARISONS = {
    "difficult": ("nothing", "clean", "error"),
    "margin": ("margin", "nothing", "error"),
    "temperature": ("temperature", "nothing", "error"),
    "temperature_weights": ("temperature", "temperature_unweighted", "error"),
    "margin_or_clean": ("margin", "clean", "error"),
    "removal": ("removal", "nothing", "error_shared"),
    "random_removal": ("random_removal", "nothing", "error_shared"),
    "removal_or_random": ("removal", "random_removal", "error_shared"),
}
TITLES = {
    "difficult": "difficult − clean",
    "margin": "margin − nothing",
    "temperature": "temperature − nothing",
    "removal": "removal − nothing",
}
WORDS = {"channel": "Sampled augmentations", "wishart": "Gaussian samples"}
LEVEL = 0.05


def compare(table: pd.DataFrame) -> pd.DataFrame:
    """One row a cell, k and comparison: paired change with its 95 % interval, p, and what λₖ₊₁ says.

    ``bound`` and ``eigenvalue`` are the differences of the bounds (exact λ of the population, δ fixed) and of the
    sampled graphs' mean λₖ₊₁; ``significant`` says whether p survives Holm's correction over all cells of the
    noise and comparison. ``before`` is the mean error without the arm, ``in_domain`` the share of drawn graphs.
    """
    from scipy.stats import t

    table = table.assign(excess=(table.gamma - table.beta).round(12))
    parts = []
    for name, (with_arm, without_arm, error) in COMPARISONS.items():
        columns = [error, "bound", "eigenvalue_next", "in_domain"]
        arms = [table[table.remedy == arm].set_index([*CELL, "seed"])[columns] for arm in (with_arm, without_arm)]
        both = arms[0].add_suffix("_with").join(arms[1].add_suffix("_without"))
        both["change"] = both[f"{error}_with"] - both[f"{error}_without"]
        both["bound"] = both["bound_with"] - both["bound_without"]
        both["eigenvalue"] = both["eigenvalue_next_with"] - both["eigenvalue_next_without"]
        both["before"], both["in_domain"] = both[f"{error}_without"], both["in_domain_without"].astype(float)
        grouped = both.dropna(subset=["change"]).groupby(CELL, sort=False)
        part = grouped[["change", "before", "bound", "eigenvalue", "in_domain"]].mean()
        part["seeds"], error_of_mean = grouped.change.count(), grouped.change.sem()
        half = t.ppf(0.975, part.seeds - 1) * error_of_mean
        part["low"], part["high"] = part.change - half, part.change + half
        statistic = (part.change / error_of_mean).abs().where(error_of_mean > 0, 0.0)
        part["p"] = 2 * t.sf(statistic, part.seeds - 1)
        part["significant"] = part.groupby("noise").p.transform(holm) <= LEVEL
        part.insert(0, "comparison", name)
        parts.append(part.reset_index())
    return pd.concat(parts, ignore_index=True)


def holm(p: pd.Series) -> pd.Series:
    """Adjusted p-values: all at or below a level are significant at it together."""
    order = np.argsort(p.to_numpy(), kind="stable")
    adjusted = np.maximum.accumulate(p.to_numpy()[order] * np.arange(len(p), 0, -1))
    found = np.empty(len(p))
    found[order] = adjusted.clip(max=1)
    return pd.Series(found, index=p.index)


def counts(changes: pd.DataFrame) -> pd.DataFrame:
    """By noise and comparison, over the cells with γ > β: signs of the change, and how λₖ₊₁ and the bound rank it.

    ``worse`` and ``better`` count the cells that survive Holm's correction, ``worse_alone`` and ``better_alone``
    those whose own interval excludes 0. ``rank_bound`` and ``rank_eigenvalue`` are Spearman's correlations of the
    change with the difference of the bounds and of the sampled λₖ₊₁.
    """
    from scipy.stats import spearmanr

    rows = []
    for (noise, comparison), group in changes[changes.excess > 0].groupby(["noise", "comparison"], sort=False):
        worse, better = group.low > 0, group.high < 0
        row = {
            "noise": noise,
            "comparison": comparison,
            "cells": len(group),
            "mean": group.change.mean(),
            "worse": int((worse & group.significant).sum()),
            "better": int((better & group.significant).sum()),
            "worse_alone": int(worse.sum()),
            "better_alone": int(better.sum()),
        }
        for name in ("bound", "eigenvalue"):
            known = group.dropna(subset=[name])
            varies = len(known) > 2 and known[name].abs().max() > 1e-12 and known.change.nunique() > 1
            row[f"rank_{name}"] = spearmanr(known[name].round(12), known.change)[0] if varies else np.nan
        rows.append(row)
    return pd.DataFrame(rows)


def by_dim(changes: pd.DataFrame) -> pd.DataFrame:
    """Mean change by noise, comparison and k, over the cells with γ > β."""
    shown = changes[changes.excess > 0]
    table = shown.pivot_table(index=["noise", "comparison"], columns="dim", values="change", sort=False)
    return table.rename(columns=lambda dim: f"k={dim}").reset_index()


def mean_changes(table: pd.DataFrame) -> pd.DataFrame:
    """Change averaged over the cells with γ > β, with its 95 % interval over the seeds, which the cells share."""
    from scipy.stats import t

    table = table.assign(excess=(table.gamma - table.beta).round(12))
    table = table[table.excess > 0]
    rows = []
    for noise in KINDS:
        for name, (with_arm, without_arm, error) in COMPARISONS.items():
            wide = table[table.noise == noise].pivot(index=[*CELL, "seed"], columns="remedy", values=error)
            seeds = (wide[with_arm] - wide[without_arm]).dropna().groupby("seed").mean()
            half = t.ppf(0.975, len(seeds) - 1) * seeds.sem()
            row = {"mean": seeds.mean(), "low": seeds.mean() - half, "high": seeds.mean() + half}
            rows.append({"noise": noise, "comparison": name, **row})
    return pd.DataFrame(rows)


def numbers(table: pd.DataFrame, changes: pd.DataFrame) -> str:
    """The text of domain_map.txt, from all results and from the contents of domain.csv."""
    cells = changes[changes.comparison == "difficult"]
    seeds = ", ".join(f"{count} ({noise})" for noise, count in cells.groupby("noise").seeds.max().items())
    parts = [f"{len(cells)} points (noise, draws, graph, k), paired seeds a point: {seeds}"]
    parts.append("Share of the drawn graphs inside the domain (weights >= 0, positive semidefinite)")
    parts.append(domain(changes).to_string(index=False, float_format="{:.3f}".format))
    parts.append("Change in error where γ > β: mean over the points, 95 % interval over the seeds")
    parts.append(mean_changes(table).to_string(index=False, float_format="{:+.4f}".format))
    return "\n\n".join(parts) + "\n\n" + from_cells(changes) + "\n"


def domain(changes: pd.DataFrame) -> pd.DataFrame:
    """Share of the drawn graphs inside the domain and mean errors, by noise and number of draws."""
    cells = changes[changes.comparison == "difficult"]
    grouped = cells.assign(clean=cells.before, difficult_graph=cells.before + cells.change)
    columns = {"in_domain": "in_domain", "clean": "error_clean", "difficult_graph": "error_difficult"}
    return grouped.groupby(["noise", "draws"])[list(columns)].mean().rename(columns=columns).reset_index()


def from_cells(changes: pd.DataFrame) -> str:
    """The part of domain_map.txt that domain.csv alone gives."""
    shown = "{:+.4f}".format
    return "\n\n".join(
        (
            "The same by k",
            by_dim(changes).to_string(index=False, float_format=shown),
            "Points with γ > β: worse or better after Holm's correction, alone, and rank correlations of the change",
            counts(changes).to_string(index=False, float_format="{:+.3f}".format),
        )
    )


def data() -> pd.DataFrame:
    """The committed changes, as ``compare`` gives them."""
    return pd.read_csv(TABLE)


def caption(changes: pd.DataFrame) -> str:
    """What to see."""
    found = counts(changes).set_index(["noise", "comparison"])
    hurt, points = found.worse.xs("difficult", level="comparison"), found.cells.iloc[0]
    shown = changes[
        (changes.comparison == "difficult") & (changes.excess > 0) & changes.significant & (changes.low > 0)
    ]
    helped = found.better.xs("margin", level="comparison")
    return (
        "Orange is a larger error, purple a smaller one; without a mark a change holds after correction. Difficult "
        f"examples (top row) hurt at {hurt.wishart} of {points} points with Gaussian samples and at {hurt.channel} "
        f"with sampled augmentations, all with {shown.difficult.min()} difficult samples a class or more; margins "
        f"(second row) take it back (better at {helped.wishart} and {helped.channel})."
    )


@style.styled
def draw(changes: pd.DataFrame) -> Figure:
    """One panel a noise and comparison; draws and k along x, n_d/n and γ − β along y."""
    figure = style.figure(2.15 * len(TITLES) + 1.3)
    axes = figure.subplots(len(TITLES), len(KINDS), squeeze=False, sharey=True, sharex="col")
    changes = changes[changes.excess > 0]
    for number, (row, (comparison, title)) in enumerate(zip(axes, TITLES.items(), strict=True)):
        shown = changes[changes.comparison == comparison]
        largest = shown.change.abs().max()
        for plot, noise in zip(row, KINDS, strict=True):
            mesh = _panel(plot, shown[shown.noise == noise], largest)
            plot.set_title(f"{WORDS[noise]}\n{title}" if number == 0 else title)
        figure.colorbar(mesh, ax=list(row), label="change in error", pad=0.01)
        row[0].set_ylabel("$n_d$ / (γ − β)")
    for plot, name in zip(axes[-1], ("natural data $M$, and k", "Gaussian draws $ν$, and k"), strict=True):
        plot.set_xlabel(name)
    keys = [
        Line2D([], [], ls="", marker=".", color=palette.INK, label="95 % interval holds 0"),
        Line2D(
            [], [], ls="", marker="o", mfc="none", color=palette.INK, label="excludes 0, not after Holm's correction"
        ),
        Patch(facecolor=palette.GROUND, edgecolor=palette.INK, label="no mark: excludes 0 after the correction, too"),
    ]
    figure.legend(handles=keys, loc="outside lower center", ncols=2)
    figure.suptitle(
        "Inside the theory's domain: change in measured error\n"
        "(orange: worse, purple: better; each row has its own scale)",
        fontsize=11,
    )
    return figure


def _panel(plot: Any, cells: pd.DataFrame, largest: float) -> Any:
    """One map with its marks; grid lines between the numbers of draws."""
    x_levels = sorted(set(zip(cells.draws, cells.dim, strict=True)))
    y_levels = sorted(set(zip(cells.difficult, cells.excess, strict=True)))
    x = [x_levels.index(level) for level in zip(cells.draws, cells.dim, strict=True)]
    y = [y_levels.index(level) for level in zip(cells.difficult, cells.excess, strict=True)]
    cells = cells.assign(x=x, y=y)
    values = np.full((len(y_levels), len(x_levels)), np.nan)
    values[cells.y, cells.x] = cells.change
    limits = {"vmin": -largest, "vmax": largest}
    mesh = plot.imshow(values, origin="lower", aspect="auto", cmap=palette.DIVERGING, interpolation="none", **limits)
    noise = (cells.low <= 0) & (cells.high >= 0)
    dark = cells.change.abs() > 0.7 * largest
    for symbol, marked in ((".", noise), ("o", ~noise & ~cells.significant)):
        for colour, shade in ((palette.PALE, dark), (palette.BLACK, ~dark)):
            chosen = cells[marked & shade]
            fill = colour if symbol == "." else "none"
            plot.plot(chosen.x, chosen.y, symbol, color=colour, markerfacecolor=fill, ms=4, mew=0.9)
    plot.set_xticks(range(len(x_levels)), [_short(draws, dim) for draws, dim in x_levels], fontsize=9)
    plot.set_yticks(range(len(y_levels)), [f"{n_d} / {g:g}".replace("0.", ".") for n_d, g in y_levels])
    for place, (draws, _) in enumerate(x_levels):
        if place and x_levels[place - 1][0] != draws:
            plot.axvline(place - 0.5, color=palette.GREY, lw=0.8)
    plot.tick_params(length=0)
    return mesh


def _short(draws: int, dim: int) -> str:
    many = f"{draws // 1000}k" if draws >= 1000 else str(draws)
    return f"{many}\n{dim}"


def _parser() -> Parser:
    parser = Parser(prog="python figures/domain_map.py", description="Regenerate the map inside the domain.")
    parser.add_argument("--jobs", type=int, default=1, help="processes (1)")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs", help="folder of the finished cells (runs)")
    return parser


def _command(args: Namespace) -> None:
    experiments = {kind: Experiment.load(ROOT / "experiments" / f"domain_{kind}.toml") for kind in KINDS}
    tables = [run_experiment(found, args.runs / f"domain_{kind}", args.jobs) for kind, found in experiments.items()]
    table = pd.concat(tables, ignore_index=True)
    write_text(TABLE, compare(table).to_csv(index=False, float_format="%.6g"))
    style.save(draw(data()), "domain_map")
    text = numbers(table, data())
    write_text(ROOT / "figures" / "domain_map.txt", text)
    print(text)


if __name__ == "__main__":
    raise SystemExit(run(_parser(), _command, None, resumable=True))
