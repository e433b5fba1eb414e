"""How far each printed error bound lies above the clean one, against γ − β: at a realistic size and at a small one.

    python -m figures.bound_gap

The paper's graph (block), k in the range of the statements. Beyond the largest γ of a positive semidefinite graph no
augmentation produces it; the printed bounds are formulas and go on.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from figures import style
from theory import palette
from theory.params import GraphParameters
from theory.spectrum import largest_gamma
from theory.sweep import evaluate

LEVELS = {"alpha": 0.7, "beta": 0.1}
GRAPHS = {
    "n = 5000": {"samples_per_class": 5000, "classes": 10, "difficult": 400, "dim": 128, "delta": 0.01},
    "n = 20": {"samples_per_class": 20, "classes": 10, "difficult": 2, "dim": 10, "delta": 0.01},
}
BOUNDS = {
    "temperature": palette.TEMPERATURE,
    "difficult": palette.DIFFICULT,
    "removal": palette.REMOVAL,
    "margin": palette.MARGIN,
}
POINTS = 200
LINEAR = 1e-8  # below it the scale is linear, so that margin's 0 is on it


def data() -> pd.DataFrame:
    """One row a graph and γ: the excess of each bound over the clean one."""
    excess = np.geomspace(1e-4, 0.999 * (LEVELS["alpha"] - LEVELS["beta"]), POINTS)
    parts = []
    for name, graph in GRAPHS.items():
        table = evaluate(**LEVELS, gamma=LEVELS["beta"] + excess, **graph)
        values = {bound: table[f"{bound}.excess_over_clean"] for bound in BOUNDS}
        parts.append(pd.DataFrame({"graph": name, "excess": excess, "clean": table["clean.bound"], **values}))
    return pd.concat(parts, ignore_index=True)


def realisable(name: str) -> float:
    """The largest γ − β of a graph that an augmentation produces."""
    sizes = {key: GRAPHS[name][key] for key in ("samples_per_class", "classes", "difficult")}
    return float(largest_gamma(GraphParameters(**LEVELS, gamma=LEVELS["beta"], **sizes)) - LEVELS["beta"])


def caption(table: pd.DataFrame) -> str:
    """What to see."""
    worst = {}
    for name, rows in table.groupby("graph", sort=False):
        real = rows[rows.excess <= realisable(name)].iloc[-1]
        worst[name] = f"{real.difficult:.1g} on a bound of {real.clean:.2f} at {name}"
    return (
        "How far the printed bounds lie above the clean one. As far as an augmentation can have such a graph "
        f"(unshaded), difficult examples add at most {' and '.join(worst.values())}; margins take all of it away (0, "
        "at the bottom)."
    )


@style.styled
def draw(table: pd.DataFrame) -> Figure:
    """One panel a size."""
    figure = style.figure(4.5)
    axes = figure.subplots(1, len(GRAPHS), sharey=True)
    for plot, (name, rows) in zip(axes, table.groupby("graph", sort=False), strict=True):
        for bound, colour in BOUNDS.items():
            lines = plot.plot(rows.excess, rows[bound], color=colour, label=bound, clip_on=False)
            lines[0].set_zorder(3)
        graph, first, last = GRAPHS[name], rows.excess.min(), LEVELS["alpha"] - LEVELS["beta"]
        title = f"{name}, $n_d$ = {graph['difficult']}, k = {graph['dim']}\nclean bound {rows.clean.iloc[0]:.4f}"
        plot.set(xscale="log", xlim=(first, last), xlabel="γ − β", title=title)
        plot.axvspan(realisable(name), last, color=palette.SHADE, lw=0, label="not positive semidefinite")
        plot.grid(axis="y", color=palette.LINE, lw=0.6)
    axes[0].set_yscale("symlog", linthresh=LINEAR)
    axes[0].set_ylim(0, 0.02)
    axes[0].set_ylabel("bound − clean bound")
    figure.legend(
        handles=axes[0].get_legend_handles_labels()[0],
        loc="outside lower center",
        ncols=5,
        columnspacing=1.2,
        handlelength=1.5,
    )
    return figure


if __name__ == "__main__":
    from figures.__main__ import main

    raise SystemExit(main(["bound_gap"]))
