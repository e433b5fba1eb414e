"""Everything that determines a file of cached views."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from empirical.choices import COUNT
from empirical.train.settings import Settings
from theory.checks import ParameterError, Range, require
from theory.files import require_writable

EFFICIENTNET = "efficientnet_lite0"
DEFAULT_SIDE = 128  # of what EfficientNet-Lite0 sees
OPTIONS = (  # of ``Settings``, as far as they determine the images and their views
    "data",
    "train",
    "test",
    "image_size",
    "skip_unreadable",
    "drop_small_classes",
    "imbalance",
    "omega",
    "smallest_crop",
    "jitter",
    "grey",
    "blur",
    "precision",
    "accelerator",
)
VIEWS, SIDE, COMPONENTS = Range(2, whole=True), Range(8, 1024, whole=True), Range(0, whole=True)
SUFFIX = ".npz"
CACHED = "images, not views that are cached already"


@dataclass(frozen=True)
class Embedding:
    """Everything that determines a file of cached views.

    Parameters
    ----------
    settings : Settings
        Whose data, mixing, imbalance, views, precision and seed (of the views) are meant; the rest is not.
    views : int
        V, views of each training image, >= 2.
    encoder : str
        ``efficientnet_lite0`` (weights of ImageNet, in the extra ``pretrained``) or ``MODULE:FACTORY``, see
        ``empirical.encoders.custom``.
    checkpoint : Path, optional
        Of ``empirical.train``: its encoder instead.
    side : int, optional
        Pixels a side, 8 to 1024, to which images and views are resized for the encoder; by default 128 for
        EfficientNet-Lite0 and their own for others.
    components : int
        Principal components that are kept, fitted on the training images; 0 keeps all features as they are.
    trusted : tuple of str
        Encoders of one's own that the checkpoint may name, see ``empirical.train.checkpoint.load_network``.
    sets : int
        Disjoint balanced training sets of ``settings.train`` images each.

    Raises
    ------
    ParameterError
        If a field is outside its range, or fields do not go together.
    """

    settings: Settings = field(default_factory=lambda: Settings(precision="bf16-mixed"))
    views: int = 8
    encoder: str = EFFICIENTNET
    checkpoint: Path | None = None
    side: int | None = None
    components: int = 128
    sets: int = 1
    trusted: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        require(not self.settings.on_views, "data", self.settings.data, CACHED)
        VIEWS.require("views", self.views)
        COMPONENTS.require("components", self.components)
        COUNT.require("sets", self.sets)
        if self.side is not None:
            SIDE.require("side", self.side)
        own = self.encoder == EFFICIENTNET or ":" in self.encoder
        require(own, "encoder", self.encoder, f"one of {EFFICIENTNET}, MODULE:FACTORY")
        if self.checkpoint is not None:
            require(self.encoder == EFFICIENTNET, "encoder", self.encoder, "no encoder beside a checkpoint")
            require(self.side is None, "side", self.side, "no side beside a checkpoint: images keep their size")
        if self.sets > 1 and self.settings.train is None:
            raise ParameterError("sets", self.sets, "1 where train, the images of each set, is not given")

    @property
    def resized(self) -> int | None:
        """The side to which images are resized; None where they keep their size."""
        pretrained = self.checkpoint is None and self.encoder == EFFICIENTNET
        return DEFAULT_SIDE if self.side is None and pretrained else self.side

    def to_json(self) -> dict[str, Any]:
        """As plain data, with what determines the file alone."""
        used = {name: value for name, value in self.settings.to_json().items() if name in OPTIONS}
        del used["accelerator"]  # how it is executed
        if self.checkpoint is None:
            encoder = {"encoder": self.encoder, "side": self.resized}
        else:
            encoder = {"encoder": str(self.checkpoint), "side": None}
        own = {"seed": self.settings.seed, "views": self.views, "components": self.components, "sets": self.sets}
        return {**used, **encoder, **own}

    def paths(self, out: Path) -> list[Path]:
        """The files, one for each set: OUT.npz, or OUT-0.npz, OUT-1.npz, … where there are several.

        Raises
        ------
        ParameterError
            If ``out`` has another suffix, or one of them could not be written.
        """
        require(
            out.suffix in ("", SUFFIX) and out.name not in ("", ".."), "out", out, f"a file name ending in {SUFFIX}"
        )
        stem = out.with_suffix("")
        names = [stem.name] if self.sets == 1 else [f"{stem.name}-{number}" for number in range(self.sets)]
        found = [stem.with_name(name + SUFFIX) for name in names]
        for path in found:
            require_writable(path)
        return found
