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
from theory import palette


def data() -> pd.DataFrame:
    """The runs."""
    return pd.read_csv(style.RESULTS / "evidence.csv")


def caption(runs: pd.DataFrame) -> str:
    """What to see."""
    ours = [100 * mean.value for sweep in SWEEPS for mean in gains(runs, sweep) if mean is not None]
    theirs = [gain for sweep in SWEEPS for gain in published_gains(sweep)]
    return (
        f"The published curves (open diamonds) rise and fall between {style.signed(min(theirs), 1)} and "
        f"{style.signed(max(theirs), 1)} points; ours stay between {style.signed(min(ours), 1)} and "
        f"{style.signed(max(ours), 1)}, whatever the constant."
    )


@style.styled
def draw(runs: pd.DataFrame) -> Figure:
    """One panel a constant."""
    figure = style.figure(3.5)
    panels = figure.subplots(1, len(SWEEPS), sharey=True)
    for plot, sweep in zip(panels, SWEEPS, strict=True):
        found = gains(runs, sweep)
        ours = [nan if mean is None else 100 * mean.value for mean in found]
        ends = [0.0 if mean is None or mean.high is None else 100 * (mean.high - mean.value) for mean in found]
        places = range(len(sweep.values))
        plot.axhline(0, color=palette.LINE, lw=1, zorder=0)
        plot.errorbar(places, ours, yerr=ends, marker="o", capsize=2, color=palette.BASELINE, label="ours, adapters")
        plot.plot(
            places,
            published_gains(sweep),
            marker="D",
            ls="--",
            lw=1.2,
            mfc=palette.GROUND,
            color=palette.PUBLISHED,
            label="as published",
        )
        plot.set_xticks(places, [_short(value) for value in sweep.values], rotation=60)
        plot.set_title(f"{sweep.symbol}\n{sweep.where}")
    panels[0].set_ylabel("gain over the baseline, points")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def _short(value: float) -> str:
    """A value of an axis: .013, 10, 10⁹."""
    return "10⁹" if value == 1e9 else f"{value:g}".removeprefix("0" if value else "")


if __name__ == "__main__":
    from figures.__main__ import main

    raise SystemExit(main(["sensitivity"]))
