"""Pictures within a page: figures as SVG in its colours, and small images, so that it needs no other file."""

from __future__ import annotations

import base64
import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup

from empirical.data.pixels import USUAL, read_pixels
from empirical.data.values import plain
from theory.checks import require

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK = "#010203"  # stands for the page's colour of text, which no picture else uses
SIDE, QUALITY = 112, 80  # of a small image: pixels, of JPEG
STYLE: dict[str, Any] = {
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), INK),
    **dict.fromkeys(("figure.facecolor", "axes.facecolor", "savefig.facecolor", "legend.facecolor"), "none"),
    "svg.fonttype": "none",  # letters of any script by the reader's fonts
    "font.family": "sans-serif",
}


@contextmanager
def style(name: str) -> Iterator[None]:
    """Within it figures take the page's colours; ``name`` keeps the names inside of two of them apart."""
    import matplotlib as mpl

    settings: Any = {**STYLE, "svg.hashsalt": name}
    with mpl.rc_context(settings), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # which the reader's fonts have
        yield


def svg(figure: Figure) -> Markup:
    """A figure drawn within ``style`` as an SVG element, in which text has the colour of the text around it."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :].replace(INK, "currentColor")
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    return Markup(re.sub(r'<g id="[^"]*"', "<g", text))  # ids are the same in all figures, and nothing refers to them


def thumbnail(image: Any) -> str:
    """A picture as a small JPEG in a data address.

    Parameters
    ----------
    image : Path, str or array_like
        A file, or values of 8 bits, shape (H, W), (H, W, C) or (C, H, W) with C = 1 or 3.

    Raises
    ------
    ParameterError
        Naming the file, if it cannot be read, or if it is no picture of 8 bits.
    """
    from PIL import Image

    if isinstance(image, str | Path):
        picture = Image.fromarray(read_pixels(Path(image), SIDE, USUAL)[0])
    else:
        pixels = np.asarray(plain(image))
        if pixels.ndim == 3 and pixels.shape[0] in (1, 3) and pixels.shape[2] not in (1, 3):
            pixels = pixels.transpose(1, 2, 0)
        good = (
            pixels.dtype == np.uint8
            and pixels.size
            and (pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] in (1, 3)))
        )
        require(bool(good), "images", f"{pixels.dtype} {pixels.shape}", "files, or 8 bits of shape (H, W) or (H, W, 3)")
        picture = Image.fromarray(pixels[..., 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels)
        small = max(picture.size) <= SIDE // 2
        scale = SIDE / max(picture.size)
        width, height = (max(1, round(scale * length)) for length in picture.size)
        picture = picture.resize((width, height), Image.Resampling.NEAREST if small else Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.convert("RGB").save(buffer, format="JPEG", quality=QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
