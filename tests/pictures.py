"""What a reader of a picture at 800 pixels could not read, measured from the figure."""

import re
from itertools import combinations
from unittest import mock

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

PIXELS, SMALLEST = 800, 7.0  # width of a page's picture, in points of 1/72 inch where 96 pixels are an inch
EXPONENT = 0.7  # of the size of the text, in matplotlib's formulas
SLACK = 1.0  # pixels by which boxes of text, which are larger than letters, may meet


def drawn_texts(figure):
    """Every text that drawing the figure draws, and the renderer."""
    found = []
    draw = Text.draw

    def record(text, renderer, *args, **kwargs):
        if text.get_visible() and text.get_text().strip():
            found.append(text)
        draw(text, renderer, *args, **kwargs)

    canvas = FigureCanvasAgg(figure)
    with mock.patch.object(Text, "draw", record):
        canvas.draw()
    return list(dict.fromkeys(found)), canvas.get_renderer()


def size(text, figure):
    """Points of its smallest letters where the picture is 800 pixels wide."""
    small = EXPONENT if re.search(r"\$[^$]*[_^]", text.get_text()) else 1.0
    return text.get_fontsize() * small * PIXELS / 96 / figure.get_figwidth()


def corners(text, renderer):
    """Of the box around it, turned as the text is, in pixels; shape (4, 2)."""
    box = Text.get_window_extent(text, renderer)
    middle, turned = np.array([box.x0 + box.x1, box.y0 + box.y1]) / 2, np.radians(text.get_rotation())
    text.set_rotation(0)
    flat = Text.get_window_extent(text, renderer)
    text.set_rotation(np.degrees(turned))
    half = np.maximum(np.array([flat.width, flat.height]) / 2 - SLACK, 0)
    signs = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
    turn = np.array([[np.cos(turned), np.sin(turned)], [-np.sin(turned), np.cos(turned)]])
    return middle + (signs * half) @ turn


def overlap(one, other):
    """Whether two rectangles have a point in common: no direction of their sides keeps them apart."""
    for box in (one, other):
        for side in (box[1] - box[0], box[2] - box[1]):
            first, second = one @ side, other @ side
            if first.max() <= second.min() or second.max() <= first.min():
                return False
    return True


def faults(figure):
    """A line for each text that is too small, clipped by the picture's edge, or lies on another."""
    texts, renderer = drawn_texts(figure)
    found = [f"{size(t, figure):.1f} pt: {t.get_text()!r}" for t in texts if size(t, figure) < SMALLEST - 1e-9]
    boxes = [corners(text, renderer) for text in texts]
    ends = np.array([figure.bbox.width, figure.bbox.height])
    found += [
        f"clipped: {text.get_text()!r}"
        for text, box in zip(texts, boxes, strict=True)
        if (box < 0).any() or (box > ends).any()
    ]
    pairs = combinations(zip(texts, boxes, strict=True), 2)
    found += [f"{a.get_text()!r} lies on {b.get_text()!r}" for (a, one), (b, other) in pairs if overlap(one, other)]
    return found
