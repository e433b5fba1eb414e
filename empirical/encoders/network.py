"""The networks that are trained: an encoder, whichever it is, and a projector; and features of many images."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from empirical.choices import ENCODERS, is_code, of_library
from empirical.data.augment import to_float
from empirical.encoders.architectures import Encoder, adapter, convnet, resnet10, resnet18, resnet50, vit
from empirical.encoders.custom import custom
from empirical.encoders.libraries import library_encoder
from theory.checks import require, require_integer, require_known
from theory.memory import require_memory


class Lazy(Protocol):
    """Samples that become a batch when they are asked for, such as ``empirical.data.ImageFiles``."""

    def __len__(self) -> int: ...

    def take(self, indices: Tensor, /) -> Any:
        """The batch of the samples with these indices."""


class Network(nn.Module):
    """An encoder, whatever its samples are, with a projector of output width k.

    Parameters
    ----------
    encoder : nn.Module
        From a batch of samples to features, shape (B, features).
    features : int
        Width of the encoder's output, >= 1.
    dim : int
        k, the projector's output width: the theory's dimension.
    hidden : int, optional
        Width of the projector's hidden layers; by default that of the encoder's features.
    layers : {1, 2, 3}
        Linear layers of the projector, with batch norm and ReLU between.

    Attributes
    ----------
    encoder, projector : nn.Module
    features : int
        Width of the encoder's output.
    dim : int
        Width of the projector's output.

    Raises
    ------
    ParameterError
        If a parameter is outside its range, or the weights do not fit into memory.
    """

    def __init__(self, encoder: nn.Module, features: int, dim: int, hidden: int | None = None, layers: int = 2) -> None:
        super().__init__()
        self.features, self.dim = features, require_integer("dim", dim, 1)
        widest = ("dim", dim) if hidden is None else max(("hidden", hidden), ("dim", dim), key=lambda given: given[1])
        _require_fitting(*widest, "projector", lambda: projector(self.features, self.dim, hidden, layers))
        self.encoder = encoder
        self.projector = projector(self.features, self.dim, hidden, layers)

    def forward(self, batch: Any) -> tuple[Tensor, Tensor]:
        """Features before and after the projector, shapes (B, features) and (B, k)."""
        features = self.encode(batch)
        return features, self.projector(features)

    def encode(self, batch: Any) -> Tensor:
        """Features before the projector, shape (B, features)."""
        found: Tensor = self.encoder(batch)
        return found

    def plain(self, batch: Any) -> Any:
        """Samples as they are held, without a view, as the encoder takes them."""
        return batch


class ImageNetwork(Network):
    """A network of images, or of features in their place.

    Parameters
    ----------
    name : str
        One of ``ENCODERS``, ``timm:NAME`` or ``torchvision:NAME``, see ``library_encoder``, or ``MODULE:FACTORY``, see
        ``custom``.
    channels : int
        Colour channels of the images.
    dim, hidden, layers
        See ``Network``.
    width, stem_stride : int
        See the encoders; ``convnet`` and encoders of your own have no ``stem_stride``, those of libraries neither.
    size : tuple of int, optional
        Height and width of the images, of which other encoders than ours need to know; (1, 1) of features, which
        reach the encoder as they are, while pixels are centred, or normalised as a library does.
    pretrained : bool
        Begin with the library's weights.

    Attributes
    ----------
    channels : int
    size : tuple of int or None

    Raises
    ------
    ParameterError
        If a parameter is outside its range, or the weights do not fit into memory.
    """

    def __init__(
        self,
        name: str,
        channels: int,
        dim: int,
        width: int = 64,
        stem_stride: int = 1,
        hidden: int | None = None,
        layers: int = 2,
        size: tuple[int, int] | None = None,
        pretrained: bool = False,
    ) -> None:
        require(stem_stride in (1, 2, 4), "stem_stride", stem_stride, "1, 2 or 4")
        width, dim = require_integer("width", width, 1), require_integer("dim", dim, 1)
        if of_library(name):
            encoder, features = library_encoder(name, channels, pretrained, size)
        else:
            if not is_code(name):  # which is made once
                shape = channels, width, stem_stride, size
                _require_fitting("width", width, "encoder", lambda: _encoder(name, *shape)[0])
            encoder, features = _encoder(name, channels, width, stem_stride, size)
        super().__init__(encoder, features, dim, hidden, layers)
        self.channels, self.size = channels, size
        self.centres = name != "adapter" and size != (1, 1) and not of_library(name)

    def encode(self, batch: Tensor) -> Tensor:
        """Features before the projector, shape (B, features)."""
        # Pixels arrive in [0, 1]; centring them keeps the first batch norm well conditioned in bf16.
        found: Tensor = self.encoder((batch - 0.5) * 2 if self.centres else batch)
        return found

    def plain(self, batch: Tensor) -> Tensor:
        """uint8 pixels as floats in [0, 1]; features as they are."""
        return to_float(batch)


def _require_fitting(name: str, value: int, part: str, make: Callable[[], nn.Module]) -> None:
    """Refuse a part of a network whose weights do not fit into memory, before they are allocated."""
    try:
        with torch.device("meta"):  # shapes alone
            needed: float = weights_of(make())
    except (RuntimeError, TypeError):  # more than PyTorch can count
        needed = math.inf
    require_memory(name, value, needed, f"for the weights of the {part}")


def weights_of(module: nn.Module) -> int:
    """Bytes of a module's weights and statistics."""
    return sum(x.nbytes for x in itertools.chain(module.parameters(), module.buffers()))


def projector(features: int, dim: int, hidden: int | None = None, layers: int = 2) -> nn.Sequential:
    """A perceptron from the encoder's features to k values, see ``Network``."""
    layers = require_integer("layers", layers, 1, 3)
    hidden = features if hidden is None else require_integer("hidden", hidden, 1)
    stack: list[nn.Module] = []
    before = features
    for _ in range(layers - 1):
        # The batch norm has a bias of its own.
        stack += [nn.Linear(before, hidden, bias=False), nn.BatchNorm1d(hidden), nn.ReLU(inplace=True)]
        before = hidden
    return nn.Sequential(*stack, nn.Linear(before, dim))


@torch.no_grad()
def extract(
    network: Network, samples: Tensor | Lazy, view: Callable[[Any], Any] | None = None, batch: int = 512
) -> tuple[Tensor, Tensor]:
    """Features of samples in evaluation mode, float32 on the CPU.

    The network's mode is restored; its weights and statistics are untouched.

    Parameters
    ----------
    network : Network
        On any device.
    samples : Tensor or Lazy
        Such as uint8 images, shape (N, C, H, W).
    view : callable, optional
        From samples as they are held to what the encoder takes; by default ``network.plain``.
    batch : int
        Samples at a time.

    Raises
    ------
    ParameterError
        If a feature is not finite.
    """
    was_training = network.training
    network.eval()
    device = next(network.parameters()).device
    encoded, projected = [], []
    for part in _parts(samples, batch):
        h, z = network((view or network.plain)(part.to(device)))
        encoded.append(h.float().cpu())
        projected.append(z.float().cpu())
    network.train(was_training)
    h, z = torch.cat(encoded), torch.cat(projected)
    finite = bool(h.isfinite().all() and z.isfinite().all())
    require(finite, "features", "NaN or infinity", "finite features: the network's weights are too large")
    return h, z


@torch.no_grad()
def projected(network: Network, features: Tensor) -> Tensor:
    """What the projector makes of the encoder's features in evaluation mode, float32 on the CPU."""
    was_training = network.training
    found: Tensor = network.eval().projector(features.to(next(network.parameters()).device))
    network.train(was_training)
    return found.float().cpu()


def _parts(samples: Tensor | Lazy, batch: int) -> Iterator[Any]:
    if isinstance(samples, Tensor):
        yield from samples.split(batch)
    else:
        yield from map(samples.take, torch.arange(len(samples)).split(batch))


def _encoder(name: str, channels: int, width: int, stem_stride: int, size: tuple[int, int] | None) -> Encoder:
    if is_code(name):
        return custom(name, channels, width, size)
    require_known("encoder", name, (*ENCODERS, "timm:NAME", "torchvision:NAME", "MODULE:FACTORY"))
    of_features = name == "adapter"
    require(not of_features or size in (None, (1, 1)), "encoder", name, "an encoder of images, which the data are")
    if name == "convnet":
        return convnet(channels, width)
    if name == "adapter":
        return adapter(channels, width)
    strided = {"resnet10": resnet10, "resnet18": resnet18, "resnet50": resnet50, "vit": vit}
    return strided[name](channels, width, stem_stride)
