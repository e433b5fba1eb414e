"""Change of accuracy against the strength of the margin and of the temperature, in units of the derived strength.

    python -m figures.strength

from results/cifar10_cpu.csv, which ``python -m empirical.study strength … --publish results/cifar10_cpu`` writes. The
strength of a margin is σ/σ*, that of a temperature log ρ/log ρ*. Dots are seeds, bars 95 % t-intervals of their means.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from empirical.findings.claims import CLAIMS
from empirical.study.parts import PARTS
from figures import study, style
from theory import palette

ROLES = {
    "margin": (palette.MARGIN, "strength σ/σ*, 1 as derived"),
    "temperature": (palette.TEMPERATURE, "strength log ρ/log ρ*, 1 as derived"),
}
PUBLISHED = {c.larger: float(c.published) for c in CLAIMS if c.larger in ROLES and c.smaller == "baseline"}
ASIDE = 1.06  # of the strength, so that seeds are seen beside their mean


def data() -> pd.DataFrame:
    """The runs of the two remedies at every strength, with the change from the baseline of the same seed in points."""
    return table(study.runs())


def table(runs: pd.DataFrame) -> pd.DataFrame:
    """What ``data`` gives, from all runs."""
    names = {condition.name for condition in PARTS["strength"].conditions} - {"baseline"}
    chosen = study.changes(runs)[runs.condition.isin(names)]
    derived = chosen[chosen.condition == chosen.arm].groupby("arm")[["sigma", "rho"]].first()
    margin = chosen.sigma / chosen.arm.map(derived.sigma)
    temperature = np.log(chosen.rho) / np.log(chosen.arm.map(derived.rho))
    return chosen.assign(strength=np.where(chosen.arm == "margin", margin, temperature))


def caption(runs: pd.DataFrame) -> str:
    """What to see."""
    noise = [means.low <= 0 <= means.high for _, means in study.intervals(runs, "change").iterrows()]
    return (
        "From a quarter of the derived strength (1) to four times of it, and far beyond for the temperature, "
        f"{sum(noise)} of {len(noise)} intervals hold 0; the published gains (dashed) are of the size that these "
        "intervals cannot tell from nothing."
    )


@style.styled
def draw(runs: pd.DataFrame) -> Figure:
    """One panel a remedy."""
    figure = style.figure(4.4)
    for plot, (arm, (colour, words)) in zip(figure.subplots(1, 2, sharey=True), ROLES.items(), strict=True):
        plot.axvspan(1 / ASIDE, ASIDE, color=palette.SHADE, lw=0, zorder=0)
        plot.axhline(0, color=palette.GREY, lw=1, zorder=1)
        plot.axhline(PUBLISHED[arm], color=palette.PUBLISHED, lw=1.4, ls="--", zorder=1)
        shown = runs[runs.arm == arm].sort_values("strength")
        means = study.intervals(shown, "change")
        strength = shown.groupby("condition").strength.first()[means.index]
        study.points(plot, strength, means, color=colour, elinewidth=1.6)
        plot.plot(ASIDE * shown.strength, shown.change, ".", ms=6, color=colour, alpha=0.5)
        study.log_axis(plot, strength)
        plot.set(title=arm.capitalize(), xlabel=words, ylabel="probe − baseline, points")
        plot.label_outer()
    keys = [
        Line2D([], [], color=palette.PUBLISHED, ls="--", lw=1.4, label=study.PUBLISHED),
        Patch(color=palette.SHADE, lw=0, label="the derived strength"),
    ]
    figure.legend(handles=keys, loc="outside lower center", ncols=2)
    return figure


if __name__ == "__main__":
    from figures.__main__ import main

    raise SystemExit(main(["strength"]))
