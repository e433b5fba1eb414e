"""The common style: colours by role, sizes for a page 700 pixels wide, and files that come out the same every time."""

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
WIDTH = 7.0  # inches, of every figure

CLEAN = BASELINE = palette.BLACK
DIFFICULT = palette.VERMILION
MARGIN = PUBLISHED = palette.BLUE
TEMPERATURE = palette.GREEN
COMBINED = BAND = palette.PURPLE
REMOVAL = palette.ORANGE
OTHER = palette.SKY
GREY = palette.GREY
ALPHA, BETA, GAMMA = OTHER, GREY, DIFFICULT
SHADE = "#E8E8E8"  # of areas
SEQUENTIAL, DIVERGING = "viridis", "PuOr_r"

STYLE: dict[str, Any] = {
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.labelsize": 9,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "axes.formatter.limits": (-3, 4),
    "axes.formatter.use_mathtext": True,
    "lines.linewidth": 1.6,
    "lines.markersize": 5,
    "figure.constrained_layout.use": True,
    "savefig.dpi": 200,  # also of what is rasterised inside an SVG
    "svg.hashsalt": "difficult-examples",
}


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
    """Write NAME.svg and NAME.png; the same figure gives the same bytes."""
    vector, pixels, small = io.BytesIO(), io.BytesIO(), io.BytesIO()
    with context(["default", STYLE]):
        figure.savefig(vector, format="svg", metadata={"Date": None, "Creator": None})
        figure.savefig(pixels, format="png")
    Image.open(pixels).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(small, format="png", optimize=True)
    paths = [folder / f"{name}.svg", folder / f"{name}.png"]
    for path, content in zip(paths, (vector, small), strict=True):
        write_bytes(path, content.getvalue())
    return paths


def spread(positions: Any, gap: float, low: float = -np.inf, high: float = np.inf) -> np.ndarray:
    """The nearest positions, in least squares, in the same order, at least ``gap`` apart, from ``low`` to ``high``."""
    positions = np.asarray(positions, dtype=float)
    order, steps = np.argsort(positions, kind="stable"), gap * np.arange(len(positions))
    room = high - gap * (len(positions) - 1)
    found = np.empty_like(positions)
    found[order] = np.clip(isotonic_regression(positions[order] - steps).x, low, room) + steps
    return found
