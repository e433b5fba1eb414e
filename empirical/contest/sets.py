"""Which feature sets take part: families of encoders of very different quality, known before torch is imported."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from theory.checks import ParameterError, require, require_known
from theory.files import missing

FAMILIES = {
    "pixels": "pixels, averaged to VALUE × VALUE",
    "pca": "the VALUE leading principal components of the pixels",
    "random": "an untrained network of width VALUE",
    "patches": "VALUE k-means clusters of whitened patches, pooled in quadrants",
    "supervised": "a network after VALUE epochs on the labels of other images",
    "simclr": "a network after VALUE epochs of SimCLR, before and after its projector",
    "pretrained": "EfficientNet-Lite0 of ImageNet on images of VALUE pixels a side, at several depths",
    "seen": "a network after VALUE epochs on the labels that the probe sees",
    "checkpoint": "a checkpoint of empirical.train, before and after its projector",
}
UNLIKE = ("seen",)  # whose training features follow another law than the test features: counted apart


@dataclass(frozen=True)
class Recipe:
    """How one encoder is made; it gives one feature set, or one for each of its spaces.

    Parameters
    ----------
    family : str
        A key of ``FAMILIES``.
    value : int or str
        What the family varies; of a checkpoint its folder.
    path : Path, optional
        Of a checkpoint.
    """

    family: str
    value: int | str
    path: Path | None = None

    @property
    def name(self) -> str:
        """Also the name of its folder."""
        return f"{self.family}-{self.value}"


@dataclass(frozen=True)
class Scale:
    """Data and networks of a contest.

    Parameters
    ----------
    labelled : int
        Training images whose labels probes and metrics see: the first of a balanced order.
    others : int
        The images after them, whose labels only ``supervised`` sees.
    recipes : dict of tuple of int
        Values by family.
    networks : dict
        Settings of ``empirical.train`` for the networks that are trained here.
    """

    labelled: int
    others: int
    recipes: dict[str, tuple[int, ...]]
    networks: dict[str, Any]


DIGITS = Scale(
    labelled=600,
    others=298,
    recipes={
        "pixels": (2, 4, 8),
        "pca": (2, 4, 8, 16, 32),
        "random": (4, 16, 64),
        "patches": (4, 16, 48),
        "supervised": (3, 10, 30, 100),
        "simclr": (1, 5, 30),
        "seen": (10, 30),
    },
    networks={"encoder": "convnet", "width": 16, "dim": 16, "batch": 100, "lr": 0.12, "tau": 0.5},
)
PHOTOS = Scale(
    labelled=5_000,
    others=10_000,
    recipes={
        "pixels": (4, 8, 16, 32),
        "pca": (8, 32, 128, 512),
        "random": (8, 16, 32, 64),
        "patches": (25, 100, 400),
        "supervised": (1, 2, 5, 15),
        "simclr": (1, 3, 10, 30),
        "pretrained": (128,),
        "seen": (5, 15),
    },
    networks={
        "encoder": "resnet18",
        "width": 16,
        "stem_stride": 2,
        "dim": 32,
        "batch": 256,
        "lr": 0.24,
        "tau": 0.2,
        "precision": "bf16-mixed",
    },
)


def scale(data: str) -> Scale:
    """Data and networks that suit a data set."""
    return DIGITS if data == "digits" else PHOTOS


def recipes(scale: Scale, families: Sequence[str] | None, checkpoints: Sequence[Path] = ()) -> list[Recipe]:
    """The recipes of some families, or of all that the scale has, and of the checkpoints in some folders.

    Raises
    ------
    ParameterError
        If a family is not the scale's, or a folder holds no checkpoint.
    """
    for family in families or ():
        require_known("families", family, scale.recipes)
    chosen = [family for family in scale.recipes if families is None or family in families]
    found = [Recipe(family, value) for family in chosen for value in scale.recipes[family]]
    for folder in checkpoints:
        if not folder.is_dir():
            raise ParameterError(f"--checkpoints {folder}: {missing(folder, 'folder')}")
        paths = sorted(folder.rglob("checkpoint.pt"))
        require(bool(paths), "checkpoints", folder, "a folder with a checkpoint.pt of empirical.train in it")
        for path in paths:
            place = "-".join(path.parent.relative_to(folder.parent).parts)
            found.append(Recipe("checkpoint", place, path))
    names = [recipe.name for recipe in found]
    for name in names:
        require(names.count(name) == 1, "checkpoints", name, "folders with different names")
    return found
