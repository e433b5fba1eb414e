"""One page, for a browser, that shows what follows from a graph's parameters while they are moved.

It holds everything it needs and opens from a file. Its closed forms are those of ``theory``, printed as JavaScript when
the page is built (``generated``); predictions, which need roots and integrals, are computed by a port of
``theory.predict`` (``prediction.js``), compared with it in tests.

Run as ``python -m theory.explore``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from theory import palette

HERE = Path(__file__).parent
SCRIPTS = ("numbers.js", "prediction.js", "model.js", "page.js")
MOST_SAMPLES, MOST_CLASSES = 100_000, 1000  # beyond, small eigenvalues have few digits left beside 1
COLOURS = {
    "nothing": palette.DIFFICULT,
    "difficult": palette.DIFFICULT,
    "margin": palette.MARGIN,
    "temperature_unweighted": palette.TEMPERATURE,
    "removal": palette.REMOVAL,
    "random_removal": palette.RANDOM,
}


def page() -> str:
    """The page as HTML; takes about a second."""
    from theory.explore.generated import javascript

    constants = f"const constants = {json.dumps(_constants())};\n"
    parts = {
        "/*style*/": f"{palette.page_style(COLOURS)}\n{_text('page.css')}",
        "/*script*/": '"use strict";\n' + "\n".join([constants, javascript(), *map(_text, SCRIPTS)]),
    }
    found = _text("page.html")
    for place, content in parts.items():
        found = found.replace(place, content)
    return found


def _text(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")


def _constants() -> dict[str, Any]:
    """Numbers and words of the modules that the page's scripts repeat."""
    from theory.bounds import SOURCES
    from theory.noise import LARGEST_NOISE
    from theory.params import LARGEST_SIZE
    from theory.plan import THREE_LEVEL
    from theory.predict import graphs, orthant, probe, resolvent, rows
    from theory.predict.__main__ import FEWEST_NODES

    return {
        "points": orthant.POINTS.tolist(),
        "weights": (orthant.WEIGHTS / orthant.WEIGHTS.sum()).tolist(),
        "angles": resolvent.ANGLES.tolist(),
        "steps": resolvent.STEPS.tolist(),
        "dyson": resolvent.TOLERANCE,
        "most_dyson": resolvent.MOST_STEPS,
        "level": resolvent.LEVEL,
        "negligible": resolvent.NEGLIGIBLE,
        "near": resolvent.NEAR,
        "edge": resolvent.EDGE,
        "clearance": resolvent.CLEARANCE,
        "fullest": rows.FULLEST,
        "tolerance": probe.TOLERANCE,
        "most_steps": probe.MOST_STEPS,
        "smallest": probe.SMALLEST,
        "open": graphs.OPEN,
        "most_noise": LARGEST_NOISE,
        "fewest_nodes": FEWEST_NODES,
        "sources": SOURCES,
        "pairings": THREE_LEVEL,
        "largest_size": LARGEST_SIZE,
        "most_samples": MOST_SAMPLES,
        "most_classes": MOST_CLASSES,
    }
