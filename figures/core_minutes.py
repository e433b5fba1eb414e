"""Accuracy on CIFAR-10's test set against core-minutes of training from scratch, by recipe.

    python -m figures.core_minutes

from results/cpu.csv, which ``python benchmarks/cpu.py RECIPE --minutes M … --csv results/cpu.csv`` writes, a row a run.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from figures import style
from theory import palette

TABLE = style.RESULTS / "cpu.csv"
RECIPES = {
    "photos-cpu": (palette.BASELINE, "o", "photos-cpu"),
    "earlier": (palette.GREY, "s", "photos-cpu until 2026-11"),
    "lightly": (palette.RIVAL, "^", "the same, lightly's loop"),
}
MEASURES = {"probe": "linear probe, test accuracy, %", "knn": "kNN, test accuracy, %"}


def data() -> pd.DataFrame:
    """The runs."""
    return pd.read_csv(TABLE)


def caption(runs: pd.DataFrame) -> str:
    """What to see."""
    now = runs[runs.recipe == "photos-cpu"].sort_values("budget")
    same = runs[runs.budget == now.budget.iloc[-1]].set_index("recipe").probe
    return (
        f"The preset's linear probe reaches {100 * now.probe.iloc[0]:.0f} % after {now.budget.iloc[0]:g} core-minutes "
        f"and {100 * now.probe.iloc[-1]:.0f} % after {now.budget.iloc[-1]:g}, where it is "
        f"{100 * (same['photos-cpu'] - same['earlier']):.0f} points above the earlier preset and "
        f"{100 * (same['photos-cpu'] - same['lightly']):.0f} above lightly's loop."
    )


@style.styled
def draw(runs: pd.DataFrame) -> Figure:
    """One panel for the probe, one for kNN."""
    figure = style.figure(3.8)
    for plot, (measure, words) in zip(figure.subplots(1, 2, sharey=True), MEASURES.items(), strict=True):
        for recipe, (colour, marker, label) in RECIPES.items():
            shown = runs[runs.recipe == recipe].sort_values("budget")
            spent = shown.core_minutes.fillna(shown.budget)  # a run elsewhere has its budget's epochs
            plot.plot(spent, 100 * shown[measure], marker=marker, color=colour, label=label)
        plot.set_xscale("log")
        budgets = sorted(set(runs.budget))
        plot.xaxis.set_major_locator(FixedLocator(budgets))
        plot.xaxis.set_minor_locator(NullLocator())
        plot.set_xticks(budgets, [f"{budget:g}" for budget in budgets])
        plot.set(xlabel="core-minutes of training", ylabel=words)
        plot.yaxis.set_tick_params(labelleft=True)
    figure.legend(*plot.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


if __name__ == "__main__":
    from figures.__main__ import main

    raise SystemExit(main(["core_minutes"]))
