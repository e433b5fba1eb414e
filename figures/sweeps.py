"""Baseline and combined at other temperatures of the loss and other batch sizes.

    python -m figures.sweeps

from results/cifar10_cpu.csv, which ``python -m empirical.study tau batch … --publish results/cifar10_cpu`` writes. Dots
are seeds, bars 95 % t-intervals of their means. σ* and ρ* are those of the study's own τ and batch throughout.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from empirical.study.parts import PARTS
from figures import study, style
from theory import palette

SETTINGS = {"tau": "temperature τ of the loss", "batch": "images in a batch"}
ARMS = {"baseline": (palette.BASELINE, "o", 0.97), "combined": (palette.COMBINED, "D", 1.03)}


def data() -> pd.DataFrame:
    """The runs of both sweeps, accuracies in percent."""
    return table(study.runs())


def table(runs: pd.DataFrame) -> pd.DataFrame:
    """What ``data`` gives, from all runs."""
    names = {condition.name for setting in SETTINGS for condition in PARTS[setting].conditions}
    return study.changes(runs)[runs.condition.isin(names)]


def caption(runs: pd.DataFrame) -> str:
    """What to see."""
    tau = study.intervals(runs[(runs.arm == "baseline") & (runs.batch == 256)], "accuracy").value
    return (
        f"The loss's own temperature moves the accuracy by {tau.max() - tau.min():.1f} points; the remedy (diamonds) "
        "lies on the baseline (circles) at every temperature and every batch size, within its interval."
    )


@style.styled
def draw(runs: pd.DataFrame) -> Figure:
    """One panel a setting."""
    figure = style.figure(4.0)
    for plot, (setting, words) in zip(figure.subplots(1, 2, sharey=True), SETTINGS.items(), strict=True):
        names = [condition.name for condition in PARTS[setting].conditions]
        swept = runs[runs.condition.isin(names)].sort_values(setting)
        for arm, (colour, marker, aside) in ARMS.items():
            shown = swept[swept.arm == arm]
            means = study.intervals(shown, "accuracy")
            place = aside * shown.groupby("condition")[setting].first()[means.index]
            study.points(plot, place, means, color=colour, marker=marker, label=arm)
            plot.plot(aside**2 * shown[setting], shown.accuracy, ".", ms=5, color=colour, alpha=0.5)
        study.log_axis(plot, swept[setting])
        plot.set(xlabel=words, ylabel="accuracy of a linear probe, %")
        plot.label_outer()
    figure.legend(*plot.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


if __name__ == "__main__":
    from figures.__main__ import main

    raise SystemExit(main(["sweeps"]))
