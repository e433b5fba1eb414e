"""Change of accuracy against the strength of the margin and of the temperature, in units of the derived strength.

    python -m figures.strength

from results/cifar10_cpu.csv, which ``python -m empirical.study strength … --publish results/cifar10_cpu`` writes. The
strength of a margin is σ/σ*, that of a temperature log ρ/log ρ*. Dots are seeds, bars 95 % t-intervals of their means.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from empirical.findings.claims import CLAIMS
from empirical.study.parts import PARTS
from figures import study, style

ROLES = {"margin": (style.MARGIN, "margin, σ/σ*"), "temperature": (style.TEMPERATURE, "temperature, log ρ/log ρ*")}
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


@style.styled
def draw(runs: pd.DataFrame) -> Figure:
    """One panel a remedy."""
    figure = style.figure(3.0)
    for plot, (arm, (colour, words)) in zip(figure.subplots(1, 2, sharey=True), ROLES.items(), strict=True):
        plot.axhline(0, color=style.SHADE, lw=1, zorder=0)
        plot.axvline(1, color=style.SHADE, lw=1, zorder=0)
        plot.plot(1 / ASIDE**2, PUBLISHED[arm], "s", color=style.GREY, mfc="white", label=study.PUBLISHED)
        shown = runs[runs.arm == arm].sort_values("strength")
        means = study.intervals(shown, "change")
        strength = shown.groupby("condition").strength.first()[means.index]
        study.points(plot, strength, means, color=colour)
        plot.plot(ASIDE * shown.strength, shown.change, ".", ms=4, color=colour, alpha=0.5)
        study.log_axis(plot, strength)
        plot.set(xlabel=words, ylabel="probe − baseline, points")
        plot.label_outer()
    figure.legend(*plot.get_legend_handles_labels(), loc="outside lower center")
    return figure


if __name__ == "__main__":
    from figures.__main__ import main

    raise SystemExit(main(["strength"]))
