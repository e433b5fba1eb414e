"""Where difficult examples raise λₖ₊₁: exact eigenvalues with and without difficult pairs, and eq. 4's, over k.

    python -m figures.damage_window

Ten classes of 20 samples, five of each difficult. Theorem 3.4 is stated for r+1 ≤ k ≤ n_d+r. On the paper's graph
(block) only k = r+1 has a larger eigenvalue, and it is larger than printed; matched pairs, which the proof
decomposes, fill the range.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from figures import style
from theory import formulas, palette
from theory.bounds import difficult_range
from theory.params import GraphParameters
from theory.spectrum import spectrum

PAIRINGS = ("block", "matched")


def graph(pairing: str) -> GraphParameters:
    """The graph shown."""
    return GraphParameters(0.5, 0.1, 0.2, samples_per_class=20, classes=10, difficult=5, pairing=pairing)


def eigenvalues(parameters: GraphParameters) -> np.ndarray:
    """All eigenvalues with their multiplicities, largest first."""
    modes = spectrum(parameters)
    return np.repeat([mode.eigenvalue for mode in modes], [mode.multiplicity for mode in modes])


def data() -> pd.DataFrame:
    """One row a pairing and k: λₖ₊₁ of both graphs."""
    parts = []
    for pairing in PAIRINGS:
        difficult, k = graph(pairing), np.arange(1, graph(pairing).nodes)
        values = {"difficult": eigenvalues(difficult)[1:], "clean": eigenvalues(difficult.clean())[1:]}
        stated = np.isin(k, difficult_range(difficult))
        values["printed"] = np.where(stated, formulas.difficult(difficult), np.nan)
        parts.append(pd.DataFrame({"pairing": pairing, "k": k, **values}))
    return pd.concat(parts, ignore_index=True)


def caption(table: pd.DataFrame) -> str:
    """What to see."""
    raised = table[table.difficult - table.clean > 1e-12].groupby("pairing").k
    low, high = raised.min(), raised.max()
    return (
        "Shaded: where theorem 3.4 says that difficult pairs raise λ. On the paper's own graph (left) they do at k = "
        f"{low.block} alone, and by more than is printed (dashes); with matched pairs (right) from k = {low.matched} "
        f"to {high.matched}."
    )


@style.styled
def draw(table: pd.DataFrame) -> Figure:
    """One column a pairing: the two eigenvalues above, their difference below."""
    figure = style.figure(5.6)
    axes = figure.subplots(2, len(PAIRINGS), sharex=True, sharey="row")
    for (above, below), (pairing, rows) in zip(axes.T, table.groupby("pairing", sort=False), strict=True):
        window = difficult_range(graph(pairing))
        for plot in (above, below):
            plot.axvspan(window[0] - 0.5, window[-1] + 0.5, color=palette.SHADE, lw=0, label="range of theorem 3.4")
        above.step(rows.k, rows.clean, where="mid", color=palette.CLEAN, label="without difficult pairs")
        above.step(rows.k, rows.difficult, where="mid", color=palette.DIFFICULT, label="with difficult pairs")
        above.plot(rows.k, rows.printed, "_", ms=9, mew=2, color=palette.PUBLISHED, label="λ as printed (eq. 4)")
        below.plot(rows.k, rows.printed - rows.clean, "_", ms=9, mew=2, color=palette.PUBLISHED)
        below.axhline(0, color=palette.CLEAN, lw=0.8)
        below.step(rows.k, rows.difficult - rows.clean, where="mid", color=palette.DIFFICULT)
        above.set_title(f"{pairing} pairs" + " (the paper's graph)" * (pairing == "block"))
        above.set_yscale("log")
        below.set(xscale="log", xlabel="k", xlim=(1, rows.k.max()))
        below.xaxis.set_major_formatter("{x:g}")
        below.set_yscale("symlog", linthresh=1e-3)
    axes[0, 0].set_ylabel(r"$\lambda_{k+1}$")
    axes[1, 0].set_ylabel(r"$\lambda_{k+1}$, with − without")
    figure.align_ylabels(axes[:, 0])
    figure.legend(
        handles=axes[0, 0].get_legend_handles_labels()[0],
        loc="outside lower center",
        ncols=4,
        columnspacing=1.2,
        handlelength=1.5,
    )
    return figure


if __name__ == "__main__":
    from figures.__main__ import main

    raise SystemExit(main(["damage_window"]))
