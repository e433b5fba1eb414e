"""Normalised adjacency without difficult pairs, with block pairs (the paper's) and with matched ones; their spectra.

    python -m figures.adjacency

Four classes of eight samples, the first three of each difficult. Bars are the closed forms of theory.spectrum with
their modes, circles a dense eigensolver.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from figures import style
from theory import palette
from theory.graph import SimilarityGraph
from theory.params import GraphParameters
from theory.spectrum import Mode, spectrum

LEVELS = {"alpha": 0.5, "beta": 0.1, "samples_per_class": 8, "classes": 4}
CASES = {
    "no difficult pairs": GraphParameters(**LEVELS, gamma=0.1, difficult=0),
    "block pairs (the paper's)": GraphParameters(**LEVELS, gamma=0.3, difficult=3),
    "matched pairs": GraphParameters(**LEVELS, gamma=0.3, difficult=3, pairing="matched"),
}
UNCHANGED = ("trivial", "class_upper", "bulk")  # modes of the graph without difficult pairs
LABEL_GAP = 0.095  # of the logarithm of an eigenvalue


class Case(NamedTuple):
    """One graph: dense matrix, its eigenvalues in falling order, and the closed forms."""

    parameters: GraphParameters
    adjacency: np.ndarray
    eigenvalues: np.ndarray
    modes: tuple[Mode, ...]


def data() -> dict[str, Case]:
    """The three graphs by name."""
    cases = {}
    for name, parameters in CASES.items():
        adjacency = SimilarityGraph(parameters).normalized_adjacency()
        cases[name] = Case(parameters, adjacency, np.linalg.eigvalsh(adjacency)[::-1], spectrum(parameters))
    return cases


def caption(cases: dict[str, Case]) -> str:
    """What to see."""
    count = len({mode.mode for case in cases.values() for mode in case.modes if mode.mode not in UNCHANGED})
    return (
        "Above, the graphs of 4 classes: bright blocks are classes, the fainter ones off the diagonal difficult "
        f"pairs. Below, their eigenvalues, closed forms on a numerical solver's: difficult pairs bring in {count} "
        "modes (orange), of which contrast and bridge lie above the bulk."
    )


@style.styled
def draw(cases: dict[str, Case]) -> Figure:
    """Matrices above, spectra below."""
    figure = style.figure(6.8)
    axes = figure.subplots(2, len(cases), sharey="row", height_ratios=[1, 1.15])
    largest = max(case.adjacency.max() for case in cases.values())
    for (name, case), matrix, plot in zip(cases.items(), *axes, strict=True):
        image = matrix.imshow(case.adjacency, cmap=palette.SEQUENTIAL, vmin=0, vmax=largest, interpolation="none")
        matrix.set_title(name)
        middles = (np.arange(case.parameters.classes) + 0.5) * case.parameters.n - 0.5
        for axis in (matrix.xaxis, matrix.yaxis):
            axis.set_ticks(middles, range(1, len(middles) + 1))
        matrix.tick_params(length=0)
        matrix.spines[:].set_visible(False)
        matrix.set_xlabel("class")
        _spectrum(plot, case)
    axes[0, 0].set_ylabel("class")
    axes[1, 0].set_ylabel("eigenvalue λ")
    figure.align_ylabels(axes[:, 0])
    figure.colorbar(image, ax=axes[0], label="entry of Ā", shrink=0.75, aspect=14, pad=0.01)
    keys = [
        Line2D([], [], color=palette.CLEAN, label="closed form"),
        Line2D([], [], color=palette.DIFFICULT, label="closed form, from difficult pairs"),
        Line2D([], [], ls="", marker="o", ms=4, mfc="none", color=palette.GREY, label="dense eigensolver"),
    ]
    figure.legend(handles=keys, loc="outside lower center", ncols=3)
    return figure


def _spectrum(plot, case: Case) -> None:
    """Eigenvalues by index; labels to the right of their modes, spread apart."""
    plot.plot(range(1, len(case.eigenvalues) + 1), case.eigenvalues, "o", ms=4, mfc="none", color=palette.GREY, mew=0.8)
    last = np.cumsum([mode.multiplicity for mode in case.modes])
    heights = 10 ** style.spread([np.log10(mode.eigenvalue) for mode in case.modes], LABEL_GAP)
    right = len(case.eigenvalues) + 3
    for mode, stop, height in zip(case.modes, last, heights, strict=True):
        changed = mode.mode not in UNCHANGED
        colour = palette.DIFFICULT if changed else palette.CLEAN
        plot.plot([stop - mode.multiplicity + 0.6, stop + 0.4], [mode.eigenvalue] * 2, color=colour)
        plot.annotate(
            mode.mode.replace("_", " ") + f" ×{mode.multiplicity}" * (mode.multiplicity > 1),
            (stop + 0.6, mode.eigenvalue),
            (right, height),
            fontsize=9,
            color=colour,
            va="center",
            arrowprops={"arrowstyle": "-", "color": palette.LINE, "lw": 0.8, "shrinkA": 1, "shrinkB": 1},
        )
    plot.set(yscale="log", ylim=(0.0095, 1.3))
    plot.set_xlim(0, right + 34)
    plot.set_xticks([1, 16, len(case.eigenvalues)])
    plot.set_xlabel("index")
    plot.spines.bottom.set_bounds(0, len(case.eigenvalues) + 1)


if __name__ == "__main__":
    from figures.__main__ import main

    raise SystemExit(main(["adjacency"]))
