"""The most alike photographs of different classes: six pairs of TrashNet, by the features of a pretrained encoder.

    python -m figures.difficult_pairs --pairs difficulty/pairs.csv --photographs trashnet.zip

takes the first pairs of what ``python -m empirical.difficulty`` wrote of the photographs (the commands are in
docs/howto/own-images.md), writes difficult_pairs.csv and draws it. Photographs with an exact copy in another class are
mistakes of a label rather than difficult and are left out; none is shown twice. ``python -m figures difficult_pairs``
draws the committed pairs where the photographs are: the project does not ship them. TrashNet: Thung and Yang, 2016, MIT
licence.
"""

from __future__ import annotations

import io
from argparse import Namespace
from pathlib import Path
from typing import NamedTuple
from zipfile import ZipFile

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from figures import style
from theory.command import Parser, run
from theory.files import write_text

TABLE = style.FOLDER / "difficult_pairs.csv"
PHOTOGRAPHS = style.FOLDER.parents[1] / "shared" / "data" / "trashnet.zip"
SHOWN, COLUMNS = 6, 3  # pairs, in a row
COPY = 0.9999  # cosine from which a photograph is a copy


class Couple(NamedTuple):
    """Two photographs, their classes, and the cosine of their features."""

    pictures: tuple[NDArray[np.uint8], NDArray[np.uint8]]
    classes: tuple[str, str]
    similarity: float


def choose(pairs: pd.DataFrame) -> pd.DataFrame:
    """The first pairs without copies, no photograph twice, as in difficult_pairs.csv."""
    names = ["id_first", "id_second"]
    used = set(pairs.loc[pairs.similarity >= COPY, names].to_numpy().ravel())
    rows = []
    for row in pairs[pairs.similarity < COPY].itertuples():
        if len(rows) < SHOWN and not used & {row.id_first, row.id_second}:
            used |= {row.id_first, row.id_second}
            rows.append(row.Index)
    return pairs.loc[rows, [*names, "class_first", "class_second", "similarity"]]


def data() -> list[Couple]:
    """The committed pairs with their photographs.

    Raises
    ------
    NotShipped
        Without the photographs.
    """
    return read(PHOTOGRAPHS)


def read(photographs: Path) -> list[Couple]:
    """The committed pairs with their photographs out of a zip file."""
    if not photographs.exists():
        raise style.NotShipped(2, "no such file", str(photographs))
    with ZipFile(photographs) as archive:
        places = {"/".join(name.split("/")[-2:]): name for name in archive.namelist()}

        def picture(name: str) -> NDArray[np.uint8]:
            return np.asarray(Image.open(io.BytesIO(archive.read(places[name]))).convert("RGB"))

        return [
            Couple((picture(row.id_first), picture(row.id_second)), (row.class_first, row.class_second), row.similarity)
            for row in pd.read_csv(TABLE).itertuples()
        ]


def caption(couples: list[Couple]) -> str:
    """What to see."""
    low, high = (end(couple.similarity for couple in couples) for end in (min, max))
    return (
        f"Photographs of different classes that a pretrained encoder takes for alike (cosine {low:.2f} to {high:.2f}): "
        "difficult pairs. Photographs: TrashNet (Thung and Yang 2016), MIT licence."
    )


@style.styled
def draw(couples: list[Couple]) -> Figure:
    """Pairs side by side, their classes and cosine above."""
    rows = -(-len(couples) // COLUMNS)
    figure = style.figure(1.78 * rows)
    panels = np.atleast_2d(figure.subplots(rows, COLUMNS))
    for plot, couple in zip(panels.flat, couples, strict=False):
        left, right = couple.pictures
        plot.imshow(left, extent=(0, 1, 0, 1), interpolation="none")
        plot.imshow(right, extent=(1.04, 2.04, 0, 1), interpolation="none")
        plot.set(xlim=(0, 2.04), ylim=(0, 1), title=f"{' / '.join(couple.classes)}   {couple.similarity:.2f}")
    for plot in panels.flat:
        plot.set_axis_off()
    return figure


def _parser() -> Parser:
    parser = Parser("python -m figures.difficult_pairs", description="Choose the most alike photographs and draw them.")
    parser.add_argument("--pairs", type=Path, required=True, help="pairs.csv of empirical.difficulty")
    parser.add_argument("--photographs", type=Path, default=PHOTOGRAPHS, help="zip file, a folder a class")
    return parser


def _command(args: Namespace) -> None:
    write_text(TABLE, choose(pd.read_csv(args.pairs)).to_csv(index=False, float_format="%.6g"))
    print(TABLE, *style.save(draw(read(args.photographs)), "difficult_pairs"), sep="\n")


if __name__ == "__main__":
    raise SystemExit(run(_parser(), _command, None))
