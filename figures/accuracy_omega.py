"""Accuracy against ω, the share of mixed images, with the published changes; and α̂, β̂, γ̂ of the same runs.

    python -m figures.accuracy_omega

from results/cifar10_cpu.csv, which ``python -m empirical.study … --publish results/cifar10_cpu`` writes. Dots are
seeds, bars 95 % t-intervals of means over seeds. The published numbers (Zhang et al., ICLR 2026, Table 10) are a full
ResNet-18's on all of CIFAR-10, at ω = 0, .1, .2 and .3: only changes and differences are comparable.
"""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from empirical.findings import claims as findings
from figures import study, style
from theory import palette

MIXED = list(findings.MIXED)
REMOVED = "omega-0.3-mixed_removal"
LEVELS = {
    "alpha": (r"$\hat{\alpha}$", palette.SAME_CLASS),
    "beta": (r"$\hat{\beta}$", palette.EASY),
    "gamma": (r"$\hat{\gamma}$", palette.DIFFICULT),
}
PUBLISHED = pd.Series(findings.PAPER_MIXED, findings.MIXED.values())
PUBLISHED_GAP = pd.Series((0.018, 0.026, 0.030, 0.033), PUBLISHED.index)  # γ − β (P, Table 10)
ALL, REMOVAL = "trained on all images", "mixed images removed again"
ASIDE = 0.012  # of ω, so that two points at the same ω are seen


def data() -> pd.DataFrame:
    """The runs with mixed images, accuracies in percent, with the change from the baseline of the same seed."""
    return table(study.runs())


def table(runs: pd.DataFrame) -> pd.DataFrame:
    """What ``data`` gives, from all runs."""
    chosen = study.changes(runs)[runs.condition.isin([*MIXED, REMOVED])]
    return chosen.assign(gap=chosen.encoder_gamma - chosen.encoder_beta)


def caption(runs: pd.DataFrame) -> str:
    """What to see."""
    last = study.intervals(runs[runs.condition != "baseline"], "change").loc[MIXED[-1]]
    gaps = study.intervals(runs, "gap").value.reindex(MIXED).dropna()
    ratio = gaps.to_numpy() / PUBLISHED_GAP[[findings.MIXED[name] for name in gaps.index]].to_numpy()
    ours = f"{style.signed(last.value, 1)} [{style.signed(last.low, 1)}, {style.signed(last.high, 1)}]"
    return (
        f"With {100 * max(PUBLISHED.index):.0f} % of the images mixed the published accuracy falls by "
        f"{PUBLISHED.iloc[0] - PUBLISHED.iloc[-1]:.1f} points (open diamonds, upper right); ours changes by {ours}: "
        "within noise at this scale. Difficult pairs stand out from other pairs (lower right) by "
        f"{100 * ratio.min():.0f} to {100 * ratio.max():.0f} % of what is published."
    )


@style.styled
def draw(runs: pd.DataFrame) -> Figure:
    """Accuracy, its change, the levels, γ̂ − β̂."""
    figure = style.figure(7.0)
    (accuracy, change), (levels, gap) = axes = figure.subplots(2, 2, sharex=True)
    _curve(accuracy, runs, "accuracy", palette.BASELINE, label=ALL)
    _removed(accuracy, runs, "accuracy")
    accuracy.set(title="Accuracy of a linear probe, %")

    change.axhline(0, color=palette.LINE, lw=1, zorder=0)
    _published(change, PUBLISHED - PUBLISHED.iloc[0])
    _curve(change, runs[runs.condition != "baseline"], "change", palette.BASELINE)
    _removed(change, runs, "change")
    change.set(title="Its change from ω = 0, points")

    for level, (symbol, colour) in LEVELS.items():
        _curve(levels, runs, f"encoder_{level}", colour, label=symbol)
    levels.set(title="Mean cosine in the trained encoder", xlabel="ω, share of mixed images")
    gap.axhline(0, color=palette.LINE, lw=1, zorder=0)
    _published(gap, PUBLISHED_GAP)
    _curve(gap, runs, "gap", palette.DIFFICULT)
    gap.set(title=r"Difficult pairs above others, $\hat{\gamma}-\hat{\beta}$", xlabel="ω, share of mixed images")
    gap.set_xticks(PUBLISHED.index)
    keys = {label: key for plot in axes.flat for key, label in zip(*plot.get_legend_handles_labels(), strict=True)}
    order = [ALL, REMOVAL, study.PUBLISHED, *(symbol for symbol, _ in LEVELS.values())]
    figure.legend([keys[label] for label in order], order, loc="outside lower center", ncols=2)
    return figure


def _published(plot: Any, values: pd.Series) -> None:
    """The paper's points, on its own ω."""
    plot.plot(values.index, values, "D--", color=palette.PUBLISHED, mfc=palette.GROUND, lw=1.2, label=study.PUBLISHED)


def _curve(plot: Any, runs: pd.DataFrame, column: str, colour: str, **options: Any) -> None:
    """Means over ω with intervals, and the seeds."""
    shown = runs[runs.condition.isin(MIXED)].sort_values("omega")
    means = study.intervals(shown, column)
    omega = shown.groupby("condition").omega.first()[means.index]
    study.points(plot, omega, means, color=colour, **options)
    plot.plot(shown.omega + ASIDE, shown[column], ".", ms=5, color=colour, alpha=0.5)


def _removed(plot: Any, runs: pd.DataFrame, column: str) -> None:
    """The runs that leave the mixed images out again."""
    shown = runs[runs.condition == REMOVED]
    means = study.intervals(shown, column)
    omega = shown.groupby("condition").omega.first()[means.index] + 3 * ASIDE
    study.points(plot, omega, means, color=palette.REMOVAL, marker="s", ls="", label=REMOVAL)
    plot.plot(shown.omega + 4 * ASIDE, shown[column], ".", ms=5, color=palette.REMOVAL, alpha=0.5)


if __name__ == "__main__":
    from figures.__main__ import main

    raise SystemExit(main(["accuracy_omega"]))
