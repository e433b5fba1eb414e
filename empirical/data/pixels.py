"""One image file as eight-bit colours, as a viewer shows it, cut to a square."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from theory.checks import ParameterError, require

CONVERSIONS = {  # what may be done to an image, in words for one and for several
    "animated": ("animation of which the first frame was taken", "animations of which the first frame was taken"),
    "turned": ("image turned as its camera says", "images turned as their cameras say"),
    "deep": ("image of more than 8 bits, scaled to 8", "images of more than 8 bits, scaled to 8"),
    "transparent": ("transparent image laid on white", "transparent images laid on white"),
    "colours": ("image of other colours than RGB", "images of other colours than RGB"),
}
PLAIN = ("1", "L", "P", "RGB")  # what RGB holds as it is; any mode of more than 8 bits is deep
ORIENTATION = 0x0112
MOST_PIXELS = 89_478_485  # of which Pillow warns: with several readers at once they fill a memory
DEEP = ("I", "F")  # with I;16 and its like
WHITES = (255, 1023, 4095, 16383, 65535, 2**31 - 1)  # 8, 10, 12, 14, 16 and 31 bits
FLOAT_WHITES = (1.0, 255.0, 65535.0)


@dataclass(frozen=True)
class White:
    """The values that are white in images of more than 8 bits; black is 0.

    Of all images together, not of each: otherwise a dark image would become as bright as any other.

    Parameters
    ----------
    whole, real : float
        Of integers and of floats.
    """

    whole: float = 65535
    real: float = 1.0

    def scaled(self, values: NDArray[Any]) -> NDArray[np.uint8]:
        """Eight bits of an image's values; ParameterError if one is outside the range."""
        white = self.real if np.issubdtype(values.dtype, np.floating) else self.whole
        low, high = _range(values)
        require(low >= 0, "pixels", f"{low:g}", "pixels >= 0")
        require(high <= white, "pixels", f"{high:g}", f"pixels <= {white:g}, the white of the other images")
        return np.round(values * (255 / white)).astype(np.uint8)


USUAL = White()


def read_pixels(file: Path, side: int, white: White) -> tuple[NDArray[np.uint8], frozenset[str]]:
    """An image's colours, shape (side, side, 3), and what was done to it, of ``CONVERSIONS``.

    Its first frame, turned as its EXIF orientation says, transparent pixels on white, resized and cut at the centre.

    Parameters
    ----------
    file : Path
    side : int
        Height and width.
    white : White

    Raises
    ------
    ParameterError
        Naming the file, if it cannot be read.
    """
    from PIL import Image, ImageOps

    try:
        with _opened(file) as image:
            done = _conversions(image)
            shown = _colours(image, white, "transparent" in done)
            if "turned" in done:
                shown = shown.transpose(_turns()[image.getexif()[ORIENTATION]])
            fitted = ImageOps.fit(shown, (side, side), Image.Resampling.BICUBIC)
            return np.asarray(fitted, dtype=np.uint8), done
    except Exception as error:  # Pillow's decoders raise many kinds
        raise _unreadable(file, error) from error


def size_of(file: Path) -> tuple[int, int]:
    """Width and height of an image, from its header; ParameterError, naming the file, if it cannot be read."""
    try:
        with _opened(file) as image:
            width, height = image.size
            return width, height
    except Exception as error:
        raise _unreadable(file, error) from error


def is_readable(file: Path) -> bool:
    """Whether an image can be read to its end."""
    try:
        with _opened(file) as image:
            image.load()
            return True
    except Exception:
        return False


def extremes(file: Path) -> tuple[str, float] | None:
    """Kind, ``whole`` or ``real``, and largest value of an image of more than 8 bits; None for others."""
    try:
        with _opened(file) as image:
            if not _is_deep(image):
                return None
            values = np.asarray(image)
            low, high = _range(values)
            require(low >= 0, "pixels", f"{low:g}", "pixels >= 0")
    except Exception as error:
        raise _unreadable(file, error) from error
    return ("real" if np.issubdtype(values.dtype, np.floating) else "whole"), high


def white_of(found: Iterable[tuple[str, float] | None]) -> White:
    """The white of images whose ``extremes`` these are: the end of the narrowest usual range that holds them all."""
    largest: dict[str, float] = {}
    for kind, value in filter(None, found):
        largest[kind] = max(largest.get(kind, 0.0), value)
    whites = {"whole": WHITES, "real": FLOAT_WHITES}
    chosen = {
        kind: float(next((end for end in whites[kind] if value <= end), value)) for kind, value in largest.items()
    }
    return White(**chosen)


@contextmanager
def _opened(file: Path) -> Iterator[Any]:
    """An image of which the header is read; ParameterError if it has more pixels than any image for training."""
    from PIL import Image

    with Image.open(file) as image:
        width, height = image.size
        require(width * height <= MOST_PIXELS, "size", f"{width}×{height}", f"at most {MOST_PIXELS:,} pixels")
        yield image


def _unreadable(file: Path, error: Exception) -> ParameterError:
    reason = " ".join(str(error).split()) or type(error).__name__
    return ParameterError(f"cannot read the image {file}: {reason}")


def _range(values: NDArray[Any]) -> tuple[float, float]:
    require(bool(np.isfinite(values).all()), "pixels", "NaN or infinity", "finite pixels")
    return float(values.min()), float(values.max())


def _is_deep(image: Any) -> bool:
    return image.mode.partition(";")[0] in DEEP


def _conversions(image: Any) -> frozenset[str]:
    """What has to be done to an opened image; it is read for its transparency."""
    done = set()
    if getattr(image, "is_animated", False):
        done.add("animated")
        image.seek(0)
    if image.getexif().get(ORIENTATION, 1) in _turns():
        done.add("turned")
    if _is_deep(image):
        done.add("deep")
    elif image.has_transparency_data:
        if image.convert("RGBA").getchannel("A").getextrema()[0] < 255:
            done.add("transparent")
    elif image.mode not in PLAIN:
        done.add("colours")
    return frozenset(done)


def _colours(image: Any, white: White, transparent: bool) -> Any:
    """The image in RGB."""
    from PIL import Image

    if _is_deep(image):
        return Image.fromarray(white.scaled(np.asarray(image))).convert("RGB")
    if not transparent:
        # By way of RGBA, where every pixel is opaque all the same: some modes with alpha have no other way to RGB.
        return (image.convert("RGBA") if image.has_transparency_data else image).convert("RGB")
    paper = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(paper, image.convert("RGBA")).convert("RGB")


def _turns() -> dict[int, Any]:
    """What brings an image to the position in which it is shown, by EXIF orientation."""
    from PIL.Image import Transpose

    return {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }
