"""One colour a meaning, on light and on dark ground; no colours elsewhere."""

import re
from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree

import pytest

from theory import palette

ROOT = Path(__file__).parents[2]
LITERAL = re.compile(r"#(?:[0-9a-fA-F]{6}|[0-9a-fA-F]{3})\b(?!;)")
MEANINGS = ("BASELINE", "MARGIN", "TEMPERATURE", "COMBINED", "REMOVAL", "RANDOM", "ORACLE", "RIVAL", "PUBLISHED")
MEANINGS += ("PREDICTED", "DIFFICULT", "SAME_CLASS")
SVG = '<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"><path style="fill: {}; stroke: {}"/></svg>'


def luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one, other):
    """Of the Web Content Accessibility Guidelines, 1 to 21."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_contrast_of_the_guidelines_ends():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


def test_meanings_have_colours_of_their_own_on_both_grounds():
    colours = [getattr(palette, name) for name in MEANINGS]
    for shades in (colours, [palette.DARK[colour] for colour in colours]):
        for one, other in combinations(shades, 2):
            distance = sum((int(one[i : i + 2], 16) - int(other[i : i + 2], 16)) ** 2 for i in (1, 3, 5)) ** 0.5
            assert distance > 40, (one, other)


@pytest.mark.parametrize("name", [*MEANINGS, "RAMP"])
def test_marks_stand_out_from_both_grounds(name):
    colours = getattr(palette, name)
    for colour in [colours] if isinstance(colours, str) else colours:
        assert contrast(colour, palette.GROUND) > 1.8
        assert contrast(palette.DARK[colour], palette.DARK[palette.GROUND]) > 3


@pytest.mark.parametrize("name", ["INK", "SOFT", "ACCENT", "WARNING"])
@pytest.mark.parametrize("ground", ["GROUND", "PANEL"])
def test_text_can_be_read_on_both_grounds(name, ground):
    text, below = getattr(palette, name), getattr(palette, ground)
    assert contrast(text, below) > 4.5
    assert contrast(palette.DARK[text], palette.DARK[below]) > 4.5


@pytest.mark.parametrize(
    ("name", "meaning"),
    [
        ("paper_combined_random", "RANDOM"),
        ("random_removal", "RANDOM"),
        ("margin_all", "MARGIN"),
        ("temperature_unweighted", "TEMPERATURE"),
        ("combined_auto", "COMBINED"),
        ("mixed_removal", "REMOVAL"),
        ("oracle", "ORACLE"),
        ("baseline", "BASELINE"),
        ("hcl", "RIVAL"),
    ],
)
def test_arms_by_name(name, meaning):
    assert palette.of(name) == getattr(palette, meaning)


def test_a_picture_has_a_dark_twin_of_each_of_its_colours_and_is_else_the_same():
    light = SVG.format(palette.BLUE.lower(), palette.INK)
    both = palette.adaptive(light)
    style = ElementTree.fromstring(both)[0].text
    assert f'[style*="fill: {palette.BLUE.lower()}"]{{fill:{palette.DARK[palette.BLUE]}!important}}' in style
    assert f'[style*="stroke: {palette.INK}"]{{stroke:{palette.DARK[palette.INK]}!important}}' in style
    assert style.count("[style") == 2
    assert both.replace(f"<style>{style}</style>", "") == light


def test_colours_on_maps_stay():
    assert "[style" not in palette.adaptive(SVG.format(palette.BLACK, palette.PALE))


def test_a_page_has_every_variable_in_both_styles():
    own = {"margin": palette.MARGIN}
    light, dark = palette.page_style(own).split("@media (prefers-color-scheme:dark)")
    for name, colour in (palette.VARIABLES | own).items():
        assert f"--{name}:{colour};" in light
        assert f"--{name}:{palette.DARK[colour]};" in dark


def literals(folder, pattern):
    paths = (path for path in (ROOT / folder).rglob(pattern) if path != Path(palette.__file__))
    return [
        f"{path.relative_to(ROOT)}: {found}" for path in paths for found in LITERAL.findall(path.read_text("utf-8"))
    ]


@pytest.mark.parametrize("folder", ["theory", "empirical", "figures", "benchmarks"])
def test_no_other_module_has_a_colour_of_its_own(folder):
    stands_for_ink = "empirical/pages/pictures.py: #010203"
    assert [found for found in literals(folder, "*.py") if found != stands_for_ink] == []


@pytest.mark.parametrize("folder", ["empirical", "theory"])
@pytest.mark.parametrize("pattern", ["*.css", "*.html", "*.jinja", "*.js"])
def test_pages_take_their_colours_from_here(folder, pattern):
    assert literals(folder, pattern) == []


def test_colours_elsewhere_would_be_found():
    assert "#777777" in " ".join(literals("tests/theory", "test_palette.py"))
