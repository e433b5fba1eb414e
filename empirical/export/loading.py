"""Trained encoders, of checkpoints and of exports, as modules."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from empirical.encoders import ImageNetwork, LibraryEncoder, begin_with
from empirical.encoders.weights import EXPORTED, OURS, digest
from empirical.modalities.registry import IMAGES
from empirical.train.checkpoint import CHECKPOINT, load_image_network, require_trusted
from empirical.train.settings import Settings
from theory.checks import ParameterError, require, require_integer, sound
from theory.files import read_document

CONFIG = "config.json"
KEYS = {"encoder", "channels", "size", "features", "mean", "std", "weights", "settings"}


class ImageEncoder(nn.Module):
    """An encoder with its normalisation, without the projector.

    Parameters
    ----------
    network : ImageNetwork

    Attributes
    ----------
    channels, features : int
        Colours of an image, and values of its features.
    size : tuple of int or None
        Height and width of the images that it was trained on; None where that is not known.
    """

    def __init__(self, network: ImageNetwork) -> None:
        super().__init__()
        self.encoder, self.centres = network.encoder, network.centres
        self.channels, self.features, self.size = network.channels, network.features, network.size

    @property
    def mean_and_std(self) -> tuple[list[float], list[float]]:
        """With which images in [0, 1] are normalised, one number for each colour."""
        if isinstance(self.encoder, LibraryEncoder):
            return self.encoder.mean.flatten().tolist(), self.encoder.std.flatten().tolist()
        return ([0.5] * self.channels,) * 2 if self.centres else ([0.0] * self.channels, [1.0] * self.channels)

    def forward(self, images: Tensor) -> Tensor:
        """Features of floats in [0, 1]: of shape (B, channels, height, width), of shape (B, features)."""
        found: Tensor = self.encoder((images - 0.5) * 2 if self.centres else images)
        return found


def load_encoder(path: str | Path, trusted: Collection[str] = ()) -> ImageEncoder:
    """A trained encoder, in evaluation mode on the CPU.

    Parameters
    ----------
    path : str or Path
        A checkpoint of ``empirical.train``, an export of ``empirical.export``, or the folder of one of them.
    trusted : collection of str
        Encoders of one's own, ``MODULE:FACTORY``, that it may name: they are code, which is imported and called.

    Returns
    -------
    ImageEncoder
        From images, floats in [0, 1] of shape (B, C, H, W), to features, shape (B, D). Images are not resized: those
        that it knows best have its ``size``.

    Raises
    ------
    ParameterError
        If there is no such file, it is damaged, or it names an encoder that is not trusted.
    """
    return ImageEncoder(load_any(Path(path), trusted)[1]).eval()


def load_any(path: Path, trusted: Collection[str] = ()) -> tuple[Settings, ImageNetwork]:
    """Settings and network of a checkpoint or of an export, whose projector is one that was not trained."""
    if is_export(path):
        return load_export(path if path.is_dir() else path.parent, trusted)
    return load_image_network(path / CHECKPOINT if path.is_dir() else path, trusted)


def is_export(path: Path) -> bool:
    """Whether a path is of an export: its folder or its weights."""
    return path.suffix.lower() == ".safetensors" or (path / CONFIG).exists()


def load_export(folder: Path, trusted: Collection[str] = ()) -> tuple[Settings, ImageNetwork]:
    """Settings and network of an export; ParameterError as in ``load_encoder``."""
    document = read_config(folder)
    with sound(str(folder / CONFIG)):
        settings = Settings.from_json(document["settings"])
        channels = require_integer("channels", document["channels"], 1)
        size = document["size"]
        shape = None if size is None else (require_integer("size", size[0], 1), require_integer("size", size[1], 1))
    require(settings.modality == IMAGES, f"{folder / CONFIG}", settings.modality, f"an encoder of {IMAGES}")
    require_trusted(folder / CONFIG, settings.encoder, trusted)
    network = replace(settings, pretrained=False, weights=None).network(channels, *(shape or ()))
    assert isinstance(network, ImageNetwork)
    begin_with(network, folder / EXPORTED)
    found = digest(network.encoder.state_dict())
    require(found == document["weights"], f"{folder / EXPORTED}", f"SHA-256 {found}", f"that of {CONFIG}")
    return settings, network.eval()


def read_config(folder: Path) -> dict[str, Any]:
    """What an export says of itself; ParameterError if there is none, or it is damaged."""
    document = read_document(folder / CONFIG, OURS, KEYS)
    if not isinstance(document["settings"], dict):
        raise ParameterError(f"{folder / CONFIG}: damaged, or of another version")
    return document
