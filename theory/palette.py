"""One colour a meaning, in every picture: figures, reports, notebooks and ``--plot``.

The hues are Okabe and Ito's, told apart by the colour-blind, and a few between them. A meaning has one colour
everywhere; two meanings share one only where a picture has no use for both. An SVG follows the page around it:
``adaptive`` gives every colour its twin on a dark ground.

References
----------
Okabe, Ito, "Color universal design", 2008.
"""

from __future__ import annotations

from collections.abc import Mapping

BLACK, PALE = "#000000", "#fefefe"  # on maps, whose colours are the same on both grounds
INK, GROUND = "#1a1a1a", "#ffffff"  # of text, and what it stands on
SOFT, LINE, PANEL = "#555555", "#d8d8d8", "#f4f6f8"  # of a page: minor text, rules, boxes
SHADE = "#e8e8e8"  # of areas: a range, what is not known
GREY, DARK_GREY = "#767676", "#666666"
ORANGE = "#E69F00"
SKY = "#56B4E9"
GREEN = "#009E73"
BLUE = "#0072B2"
VERMILION = "#D55E00"
PURPLE = "#CC79A7"
INDIGO, BROWN, OLIVE, WINE, SAND, RUST = "#4B3FA8", "#8C5A2B", "#7F7F1A", "#882255", "#E5D38A", "#a33a00"

BASELINE = CLEAN = MEASURED = INK  # as it is: nothing done, no difficult pairs, what was found
PREDICTED = BROWN
PUBLISHED = INDIGO  # what the paper prints, drawn open
MARGIN, TEMPERATURE, COMBINED, REMOVAL, ORACLE = BLUE, GREEN, PURPLE, ORANGE, WINE
RANDOM = EASY = GREY  # what chance gives: random controls, easy samples, pairs of no note
RIVAL = OLIVE  # other methods
DIFFICULT, SAME_CLASS, BAND = VERMILION, SKY, SAND  # kinds of pairs and samples; the band of selected pairs
ACCENT, WARNING = BLUE, RUST  # of a page
RAMP = ("#7ad151", "#22a884", "#2a788e", "#414487", "#8a3f9c", "#440154")  # kinds in an order, from little to much
SEQUENTIAL, DIVERGING = "viridis", "PuOr_r"  # colour maps: of amounts; of better (purple) and worse (orange)

DARK = {
    INK: "#e6e6e6",
    GROUND: "#1e2129",
    SOFT: "#a8adb3",
    LINE: "#3a4048",
    PANEL: "#2a2f38",
    SHADE: "#363c47",
    GREY: "#a0a6ae",
    DARK_GREY: "#b0b6be",
    ORANGE: "#f2b233",
    SKY: "#8cd0f7",
    GREEN: "#2cc79a",
    BLUE: "#4fa8e8",
    VERMILION: "#ff7f32",
    PURPLE: "#e09ac3",
    INDIGO: "#a99cff",
    BROWN: "#c99b66",
    OLIVE: "#bdbb4a",
    WINE: "#d15a8b",
    SAND: "#6e6232",
    RUST: "#ff9d6b",
    **dict(zip(RAMP, ("#4a6fa5", "#3f9a9c", "#45b87c", "#8fd04a", "#d3dc3a", "#fff3a0"), strict=True)),
}
ARMS = {  # words in names, the first that is there
    "random": RANDOM,
    "oracle": ORACLE,
    "combined": COMBINED,
    "margin": MARGIN,
    "temperature": TEMPERATURE,
    "removal": REMOVAL,
    "difficult": DIFFICULT,
    **dict.fromkeys(("baseline", "nothing", "clean", "untrained"), BASELINE),
}
VARIABLES = {
    "ink": INK,
    "ground": GROUND,
    "soft": SOFT,
    "line": LINE,
    "panel": PANEL,
    "accent": ACCENT,
    "warn": WARNING,
}


def of(name: str) -> str:
    """The colour of an arm, a remedy or a bound by its name: ``paper_combined_random`` is a random control."""
    return next((colour for word, colour in ARMS.items() if word in name), RIVAL)


def adaptive(svg: str) -> str:
    """An SVG file of matplotlib that is dark where the page, or else the reader's system, is.

    A reader of SVG that knows no media queries shows it light, as it was.

    Parameters
    ----------
    svg : str
        Colours as properties of ``style``; text in ``INK``, since of black text nothing is written.
    """
    start = svg.index(">", svg.index("<svg")) + 1
    return f"{svg[:start]}<style>{_in_the_dark(_twins(svg))}</style>{svg[start:]}"


def page_style(colours: Mapping[str, str] | None = None) -> str:
    """The colours of a page as CSS variables, light and dark: ``--ink`` to ``--warn``, and others by name.

    SVG elements that matplotlib wrote into the page have their dark colours, too.
    """
    variables = VARIABLES | dict(colours or {})
    light, dark = (
        ":root{" + "".join(f"--{name}:{shade(colour)};" for name, colour in variables.items()) + "}"
        for shade in (str, DARK.__getitem__)
    )
    return f":root{{color-scheme:light dark}}{light}{_in_the_dark(dark + _twins())}"


def _in_the_dark(rules: str) -> str:
    return f"@media (prefers-color-scheme:dark){{{rules}}}"


def _twins(svg: str | None = None) -> str:
    """Rules of CSS from each colour, or each that an SVG has, to its dark twin."""
    properties = {
        f"{name}: {light.lower()}": (name, dark) for light, dark in DARK.items() for name in ("fill", "stroke")
    }
    return "".join(
        f'[style*="{written}"]{{{name}:{dark}!important}}'
        for written, (name, dark) in properties.items()
        if svg is None or written in svg
    )
