"""Accuracy against ω, the share of mixed images, with the published changes; and α̂, β̂, γ̂ of the same runs.

    python -m figures.accuracy_omega

from results/cifar10_cpu.csv, which ``python -m empirical.study … --publish results/cifar10_cpu`` writes. Dots are
seeds, bars 95 % t-intervals of means over seeds. The published accuracies (Zhang et al., ICLR 2026,
Table 10) are a full ResNet-18's on all of CIFAR-10: only their changes are comparable.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from empirical.findings import claims as findings
from figures import study, style

MIXED = list(findings.MIXED)
REMOVED = "omega-0.3-mixed_removal"
LEVELS = {
    "alpha": (r"$\hat{\alpha}$", style.ALPHA),
    "beta": (r"$\hat{\beta}$", style.BETA),
    "gamma": (r"$\hat{\gamma}$", style.GAMMA),
}
PUBLISHED = pd.Series(findings.PAPER_MIXED, findings.MIXED.values())
REMOVAL = "mixed images removed"
ASIDE = 0.012  # of ω, so that two points at the same ω are seen


def data() -> pd.DataFrame:
    """The runs with mixed images, accuracies in percent, with the change from the baseline of the same seed."""
    return table(study.runs())


def table(runs: pd.DataFrame) -> pd.DataFrame:
    """What ``data`` gives, from all runs."""
    chosen = study.changes(runs)[runs.condition.isin([*MIXED, REMOVED])]
    return chosen.assign(gap=chosen.encoder_gamma - chosen.encoder_beta)


@style.styled
def draw(runs: pd.DataFrame) -> Figure:
    """Accuracy, its change, the levels, γ̂ − β̂."""
    figure = style.figure(5.8)
    (accuracy, change), (levels, gap) = axes = figure.subplots(2, 2, sharex=True)
    _curve(accuracy, runs, "accuracy", style.BASELINE, label="trained on all images")
    _removed(accuracy, runs, "accuracy")
    accuracy.set(title="Linear probe of the encoder", ylabel="accuracy, %")

    change.axhline(0, color=style.SHADE, lw=1, zorder=0)
    published = PUBLISHED - PUBLISHED.iloc[0]
    change.plot(published.index - ASIDE, published, "s--", color=style.PUBLISHED, mfc="white", label=study.PUBLISHED)
    _curve(change, runs[runs.condition != "baseline"], "change", style.BASELINE)
    _removed(change, runs, "change")
    change.set(title="Change from ω = 0, paired by seed", ylabel="points")

    for level, (symbol, colour) in LEVELS.items():
        _curve(levels, runs, f"encoder_{level}", colour, label=symbol)
    levels.set(title="Similarities in the trained encoder", ylabel="mean cosine", xlabel="ω")
    gap.axhline(0, color=style.SHADE, lw=1, zorder=0)
    _curve(gap, runs, "gap", style.DIFFICULT)
    gap.set(title="Difficult above other pairs", ylabel=r"$\hat{\gamma}-\hat{\beta}$", xlabel="ω")
    gap.set_xticks(PUBLISHED.index)
    figure.align_ylabels()
    keys = {label: key for plot in axes.flat for key, label in zip(*plot.get_legend_handles_labels(), strict=True)}
    order = ["trained on all images", REMOVAL, study.PUBLISHED, *(symbol for symbol, _ in LEVELS.values())]
    figure.legend([keys[label] for label in order], order, loc="outside lower center", ncols=2)
    return figure


def _curve(plot, runs: pd.DataFrame, column: str, colour: str, **options) -> None:
    """Means over ω with intervals, and the seeds."""
    shown = runs[runs.condition.isin(MIXED)].sort_values("omega")
    means = study.intervals(shown, column)
    omega = shown.groupby("condition").omega.first()[means.index]
    study.points(plot, omega, means, color=colour, **options)
    plot.plot(shown.omega + ASIDE, shown[column], ".", ms=4, color=colour, alpha=0.5)


def _removed(plot, runs: pd.DataFrame, column: str) -> None:
    """The runs that leave the mixed images out again."""
    shown = runs[runs.condition == REMOVED]
    means = study.intervals(shown, column)
    omega = shown.groupby("condition").omega.first()[means.index] + 3 * ASIDE
    study.points(plot, omega, means, color=style.REMOVAL, marker="D", ls="", label=REMOVAL)
    plot.plot(shown.omega + 4 * ASIDE, shown[column], ".", ms=4, color=style.REMOVAL, alpha=0.5)


if __name__ == "__main__":
    from figures.__main__ import main

    raise SystemExit(main(["accuracy_omega"]))
