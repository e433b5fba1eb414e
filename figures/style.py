"""The common style: sizes for a page 800 pixels wide, and files that come out the same every time."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.style import context
from PIL import Image
from scipy.optimize import isotonic_regression

from theory import palette
from theory.files import write_bytes

FOLDER = Path(__file__).parent
RESULTS = FOLDER.parent / "results"
WIDTH = 800 / 96  # inches, of every figure: 800 pixels of a page, on which a point here is a point there
DPI = 192  # of the PNG, and of what is rasterised inside an SVG

STYLE: dict[str, Any] = {
    "font.size": 10.5,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.labelsize": 10.5,
    "xtick.labelsize": 10,  # whose exponents are seven tenths of it
    "ytick.labelsize": 10,
    "legend.fontsize": 10,
    "legend.frameon": False,
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), palette.INK),
    **dict.fromkeys(("figure.facecolor", "axes.facecolor", "savefig.facecolor"), palette.GROUND),
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.9,
    "axes.formatter.limits": (-3, 4),
    "axes.formatter.use_mathtext": True,
    "lines.linewidth": 1.8,
    "lines.markersize": 6,
    "figure.constrained_layout.use": True,
    **dict.fromkeys(("figure.constrained_layout.h_pad", "figure.constrained_layout.w_pad"), 0.09),
    "savefig.dpi": DPI,
    "svg.hashsalt": "difficult-examples",
}


class NotShipped(FileNotFoundError):
    """What a figure is drawn from is not the project's to ship: the committed picture stays."""


def styled(draw: Callable[..., Figure]) -> Callable[..., Figure]:
    """Make a function draw in the common style, whatever the user's own settings."""

    @wraps(draw)
    def drawn(*args: Any) -> Figure:
        with context(["default", STYLE]):
            return draw(*args)

    return drawn


def figure(height: float) -> Figure:
    """An empty figure of the common width, in inches."""
    return Figure(figsize=(WIDTH, height))


def save(figure: Figure, name: str, folder: Path = FOLDER) -> list[Path]:
    """Write NAME.svg, light or dark as its page, and NAME.png, light; the same figure gives the same bytes."""
    vector, pixels, small = io.StringIO(), io.BytesIO(), io.BytesIO()
    with context(["default", STYLE]):
        _lay_out(figure)
        figure.savefig(vector, format="svg", metadata={"Date": None, "Creator": None})
        figure.savefig(pixels, format="png")
    Image.open(pixels).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(small, format="png", optimize=True)
    svg = palette.adaptive(vector.getvalue()).encode()
    paths = [folder / f"{name}.svg", folder / f"{name}.png"]
    for path, content in zip(paths, (svg, small.getvalue()), strict=True):
        write_bytes(path, content)
    return paths


def _lay_out(figure: Figure) -> None:
    # to ten millionths of the page: the layout's last bits change with addresses in memory, and the SVG's ids with them
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for axes in figure.axes:
        axes.set_position(tuple(np.round(axes.get_position(original=True).bounds, 7)))


def spread(positions: Any, gap: float, low: float = -np.inf, high: float = np.inf) -> np.ndarray:
    """The nearest positions, in least squares, in the same order, at least ``gap`` apart, from ``low`` to ``high``."""
    positions = np.asarray(positions, dtype=float)
    order, steps = np.argsort(positions, kind="stable"), gap * np.arange(len(positions))
    room = high - gap * (len(positions) - 1)
    found = np.empty_like(positions)
    found[order] = np.clip(isotonic_regression(positions[order] - steps).x, low, room) + steps
    return found


def signed(value: float, digits: int) -> str:
    """A number with its sign, for captions: −0.4."""
    return f"{value:+.{digits}f}".replace("-", "−")
