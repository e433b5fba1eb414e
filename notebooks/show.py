"""How the notebooks show things: drawing style, equations, verdicts. No mathematics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import matplotlib.pyplot as plt
import sympy as sp
from cycler import cycler
from IPython.display import Markdown, Math, display
from ipywidgets import interact

from theory import palette
from theory.audit import audit

BLUE, ORANGE, GREEN, PINK, GREY = (
    palette.BLUE,
    palette.VERMILION,
    palette.GREEN,
    palette.PURPLE,
    palette.DARK_GREY,
)
CLEAN, DIFFICULT, EASY, REMOVAL = (
    palette.CLEAN,
    palette.DIFFICULT,
    palette.EASY,
    palette.REMOVAL,
)
MEASURED, PREDICTED, PUBLISHED = palette.MEASURED, palette.PREDICTED, palette.PUBLISHED
COLOURS = BLUE, ORANGE, GREEN, PINK, GREY
GREEK = {
    "alpha": "α",
    "beta": "β",
    "gamma": "γ",
    "epsilon": "ε",
    "tau": "τ",
    "mu": "μ",
    "sigma": "σ",
    "dim": "k",
    "difficult": "n_d",
}

plt.rcParams.update(
    {
        "figure.figsize": (6.5, 3),
        "figure.dpi": 100,
        "figure.constrained_layout.use": True,
        "font.size": 9,
        "axes.prop_cycle": cycler(color=COLOURS),
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.titlesize": "medium",
        "legend.frameon": False,
        "image.cmap": "Blues",
    }
)

ABBREVIATIONS = (
    "*(c2, c1: degrees of easy and difficult samples; a = α−β, b = α+rβ, g = γ−β, n_e = n−n_d; m: "
    "γ-neighbours of a difficult sample in each other class, 1 or, for block pairing, n_d.)*"
)


def equation(left: str, right: Any, note: str = "") -> None:
    """Display an equation from LaTeX and a sympy expression, with a remark in LaTeX."""
    display(Math(left + " = " + sp.latex(right) + (rf"\qquad {note}" if note else "")))


def verdicts(*names: str) -> None:
    """Audit statements of the paper now, and display what came out."""
    for verdict in audit(names):
        words = " · ".join(
            f"{what}: {word}"
            for what, word in verdict.verdict._asdict().items()
            if word != "—"
        )
        lines = [f"**{verdict.name}** ({verdict.source}) **{words}**", verdict.statement]
        for field in ("counterexample", "corrected", "evidence"):
            if text := getattr(verdict, field):
                lines.append(f"{field}: {text}")
        display(Markdown("\n- ".join(lines)))
    display(Markdown(ABBREVIATIONS))


def sliders(*frames: dict[str, Any], **ranges: Any) -> Callable[[Callable[..., None]], Any]:
    """Draw for some values now, and with sliders for others where the notebook runs: a decorator."""

    def show(draw: Callable[..., None]) -> Any:
        for frame in frames:
            display(
                Markdown(
                    "*"
                    + ", ".join(
                        f"{GREEK.get(name, name)} = {value}"
                        for name, value in frame.items()
                    )
                    + "*"
                )
            )
            draw(**frame)
            plt.show()
        return interact(draw, **ranges)

    return show
