"""Everything that determines a file of cached views, or one of features."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from empirical.choices import COUNT, is_code, of_library
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
VIEW_OPTIONS = ("smallest_crop", "jitter", "grey", "blur")
LARGEST_IMAGE = 512  # pixels a side at which photographs are read
VIEWS, SIDE, COMPONENTS = Range(2, 1000, whole=True), Range(8, 1024, whole=True), Range(0, whole=True)
SUFFIX, TABLE = ".npz", ".parquet"
CACHED = "images, not views that are cached already"


@dataclass(frozen=True)
class Embedding:
    """Everything that determines a file of cached views, or one of features, which has no views.

    Parameters
    ----------
    settings : Settings
        Whose data, mixing, imbalance, views, precision and seed (of the views) are meant; the rest is not.
    views : int
        V, views of each training image, 2 to 1,000.
    encoder : str
        ``efficientnet_lite0`` (weights of ImageNet, in the extra ``pretrained``); ``timm:NAME`` or
        ``torchvision:NAME``, see ``empirical.encoders.library_encoder``; or ``MODULE:FACTORY``, see
        ``empirical.encoders.custom``.
    pretrained : bool
        With the library's weights.
    weights : Path, optional
        A file of weights for a library's encoder or one's own, see ``empirical.encoders.begin_with``.
    checkpoint : Path, optional
        Of ``empirical.train``, or an export of ``empirical.export``: its encoder instead.
    side : int, optional
        Pixels a side, 8 to 1024, to which images and views are resized for the encoder; by default 128 for
        EfficientNet-Lite0, the library's for those of libraries, and the images' own for others.
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
    pretrained: bool = False
    weights: Path | None = None
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
        library, own = of_library(self.encoder), is_code(self.encoder)
        known = f"one of {EFFICIENTNET}, timm:NAME, torchvision:NAME, MODULE:FACTORY"
        require(library or own or self.encoder == EFFICIENTNET, "encoder", self.encoder, known)
        require(
            library or not self.pretrained, "encoder", self.encoder, "timm:NAME or torchvision:NAME with pretrained"
        )
        loads = self.weights is None or library or own
        require(loads, "encoder", self.encoder, "timm:NAME, torchvision:NAME or MODULE:FACTORY with weights")
        if self.pretrained and self.weights is not None:
            raise ParameterError("pretrained and weights exclude each other")
        trained = not library or self.pretrained or self.weights is not None
        require(trained, "encoder", self.encoder, "--pretrained or --weights FILE beside it, or it would be untrained")
        if self.checkpoint is not None:
            require(self.encoder == EFFICIENTNET, "encoder", self.encoder, "no encoder beside a checkpoint")
            require(self.side is None, "side", self.side, "no side beside a checkpoint: images keep their size")
        if self.sets > 1 and self.settings.train is None:
            raise ParameterError("sets", self.sets, "1 where train, the images of each set, is not given")

    def at_own_size(self, views: bool) -> Embedding:
        """With photographs of a folder read at the size that the encoder wants, if that is known and no other is given.

        Those that have ``views`` only for an encoder of a library; others have them at the folder's own size.

        Raises
        ------
        ParameterError
            If there is no such encoder.
        """
        s, decided = self.settings, views and not of_library(self.encoder)
        if decided or s.image_size is not None or not s.data.startswith("folder:"):
            return self
        from empirical.embed.frozen import wanted_side

        side = wanted_side(self)
        return self if side is None else replace(self, settings=replace(s, image_size=min(side, LARGEST_IMAGE)))

    def to_json_of_images(self) -> dict[str, Any]:
        """As plain data, with what determines a file of features alone."""
        found = self.to_json()
        views = ("views", "components", "sets", "seed", "imbalance", "omega", *VIEW_OPTIONS)
        return {name: value for name, value in found.items() if name not in views}

    @property
    def resized(self) -> int | None:
        """The side to which images are resized; None where they keep their size, or a library says it."""
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
            out.suffix in ("", SUFFIX) and out.name not in ("", ".."),
            "out",
            out,
            f"a file name ending in {SUFFIX} or {TABLE}",
        )
        stem = out.with_suffix("")
        names = [stem.name] if self.sets == 1 else [f"{stem.name}-{number}" for number in range(self.sets)]
        found = [stem.with_name(name + SUFFIX) for name in names]
        for path in found:
            require_writable(path)
        return found
