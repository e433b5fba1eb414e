"""The paper's sensitivity curves on CIFAR-100 beside ours, as gains over the baseline.

    python -m figures.sensitivity

from results/evidence.csv; the paper's are in ``empirical.evidence.sweeps``.
"""

from __future__ import annotations

from math import nan

import pandas as pd
from matplotlib.figure import Figure

from empirical.evidence.sweeps import SWEEPS, gains, published_gains
from figures import style


def data() -> pd.DataFrame:
    """The runs."""
    return pd.read_csv(style.RESULTS / "evidence.csv")


@style.styled
def draw(runs: pd.DataFrame) -> Figure:
    """One panel a constant."""
    figure = style.figure(2.3)
    panels = figure.subplots(1, len(SWEEPS), sharey=True)
    for plot, sweep in zip(panels, SWEEPS, strict=True):
        found = gains(runs, sweep)
        ours = [nan if mean is None else 100 * mean.value for mean in found]
        ends = [0.0 if mean is None or mean.high is None else 100 * (mean.high - mean.value) for mean in found]
        places = range(len(sweep.values))
        plot.axhline(0, color=style.GREY, lw=0.8)
        plot.errorbar(places, ours, yerr=ends, marker="o", capsize=2, color=style.BASELINE, label="adapters")
        plot.plot(places, published_gains(sweep), marker="D", mfc="none", color=style.PUBLISHED, label="as published")
        plot.set_xticks(places, [f"{value:g}" for value in sweep.values], rotation=60)
        plot.set_title(f"{sweep.symbol}\n{sweep.where}")
    panels[0].set_ylabel("gain over the baseline, points")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


if __name__ == "__main__":
    from figures.__main__ import main

    raise SystemExit(main(["sensitivity"]))
