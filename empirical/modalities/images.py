"""Images: pixels in memory or on disk, or cached views of a frozen encoder; photographs' views or those of digits."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from empirical.data import DataSet, load
from empirical.data.augment import Augmentation, Cached, Photos, digits
from empirical.encoders import ImageNetwork, begin_with
from empirical.modalities.contract import Modality, View
from theory.checks import require
from theory.files import add_input

if TYPE_CHECKING:
    from empirical.train.settings import Settings


class Images(Modality):
    """See the module."""

    sample = "image"

    def load(self, settings: Settings) -> DataSet:
        """The images of ``settings.data``, see ``empirical.data.load``."""
        s = settings
        return load(s.data, s.train, s.test, s.image_size, s.skip_unreadable, s.drop_small_classes)

    def network(self, settings: Settings, shape: tuple[int, ...]) -> ImageNetwork:
        """Encoder and projector for images of shape (C, H, W), or (C,) where their size is not known."""
        require(len(shape) in (1, 3), "shape", shape, "(C,) or (C, H, W) of images")
        s, (channels, *size) = settings, shape
        given = (size[0], size[1]) if size else None
        parameters = s.dim, s.width, s.stem_stride, s.hidden, s.layers
        network = ImageNetwork(s.encoder, channels, *parameters, size=given, pretrained=s.pretrained)
        if s.weights is not None:
            add_input(f"the weights {s.weights}", Path(s.weights))
            begin_with(network, Path(s.weights))
        return network

    def view(self, settings: Settings) -> Augmentation:
        """The random views that suit the data, at the images' own resolution."""
        return self._at(settings, None)

    def views(self, settings: Settings, shape: tuple[int, ...]) -> list[tuple[float, View]]:
        """At the resolutions that the settings say."""
        from empirical.train.settings import phases

        scheduled = phases(settings.resolutions)
        if all(share == 1 for share, _ in scheduled):
            return [(1.0, self.view(settings))]
        _, height, width = shape
        condition = f"1 where images are not square (found {height}×{width})"
        require(height == width, "resolutions", settings.resolutions, condition)
        return [(until, self._at(settings, max(1, round(share * height)))) for share, until in scheduled]

    @staticmethod
    def _at(s: Settings, side: int | None) -> Augmentation:
        if s.data == "digits":
            return digits
        if s.on_views:
            return Cached()
        return Photos(s.smallest_crop, s.jitter, s.grey, s.blur, side)
