"""What pages share."""

import base64
import re

import jinja2
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from empirical.pages import environment, style, svg, thumbnail
from theory.checks import ParameterError


def test_figures_take_the_colour_of_the_text_around_them_and_no_id_twice():
    with style("one"):
        figure = Figure()
        axis = figure.add_subplot()
        axis.plot([1, 2], "o")
        axis.set_title("<b>")
        found = svg(figure)
    assert "currentColor" in found
    assert "#010203" not in found
    assert "<b>" not in found
    with style("another"):
        other = svg(figure)
    ids = re.findall(r'id="([^"]+)"', found), re.findall(r'id="([^"]+)"', other)
    assert ids[0]
    assert not set(ids[0]) & set(ids[1])


def test_templates_escape_and_have_the_common_style(tmp_path):
    (tmp_path / "page.jinja").write_text('{{ colours }}{% include "style.css" %}{{ text }}{{ mine }}')
    page = environment(tmp_path, mine="<i>").get_template("page.jinja").render(text="<b>")
    assert "prefers-color-scheme:dark" in page
    assert ".scroll" in page
    assert page.endswith("&lt;b&gt;&lt;i&gt;")
    with pytest.raises(jinja2.TemplateNotFound):
        environment(tmp_path).get_template("other.jinja")


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 1), (5, 7, 3), (3, 5, 7), (1, 5, 7)])
def test_thumbnails_of_arrays(shape, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, shape).astype(np.uint8)
    address = thumbnail(pixels)
    (tmp_path / "t.jpg").write_bytes(base64.b64decode(address.partition(",")[2]))
    with Image.open(tmp_path / "t.jpg") as image:
        assert image.size == (112, 80)
        shown = np.asarray(image.resize((7, 5), Image.Resampling.BOX).convert("L"), dtype=float)
    grey = pixels.reshape(5, 7) if 1 in shape or len(shape) == 2 else None
    assert grey is None or np.abs(shown - grey).mean() < 8


@pytest.mark.parametrize("bad", [np.zeros((5, 7)), np.zeros((2, 5, 7, 3), np.uint8), np.zeros((5, 7, 4), np.uint8)])
def test_what_is_no_picture_is_refused(bad):
    with pytest.raises(ParameterError, match="images = "):
        thumbnail(bad)
