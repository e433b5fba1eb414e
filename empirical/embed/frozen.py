"""Encoders that stay as they are: pretrained on ImageNet, of a library, of a checkpoint or export, or your own."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from empirical.choices import of_library
from empirical.embed.settings import EFFICIENTNET, Embedding
from empirical.encoders import ImageNetwork, begin_with
from empirical.encoders.libraries import LibraryEncoder
from empirical.encoders.weights import digest
from empirical.export.loading import is_export, load_any
from theory.checks import ParameterError, require

CPU_BATCH, GPU_BATCH = 16, 512  # images at a time: on a processor's core more do not stay in its cache

DTYPES = {"32-true": torch.float32, "bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}


class Frozen(NamedTuple):
    """A frozen encoder.

    Attributes
    ----------
    encode : callable
        From images in [0, 1], shape (B, C, H, W), to features, float32 on the CPU, shape (B, D).
    features : int
        D.
    digest : str
        SHA-256 over the weights.
    """

    encode: Callable[[Tensor], Tensor]
    features: int
    digest: str


def frozen(
    e: Embedding,
    shape: tuple[int, int, int],
    device: torch.device,
    precision: Callable[[], AbstractContextManager[None]],
) -> Frozen:
    """The encoder of an embedding for images of this shape, (C, H, W).

    Parameters
    ----------
    e : Embedding
    shape : tuple of int
    device : torch.device
    precision : callable
        The context within which an encoder runs, such as Fabric's ``autocast``.

    Raises
    ------
    ParameterError
        If the weights are not there, or the encoder takes no such images.
    """
    weights, forward = _parts(e, shape, device)
    batch = CPU_BATCH if device.type == "cpu" else GPU_BATCH

    @torch.no_grad()
    def encode(images: Tensor) -> Tensor:
        with precision():
            return torch.cat([forward(part.to(device)).float().cpu() for part in images.split(batch)])

    try:
        found = encode(torch.zeros(2, *shape))
    except ParameterError:
        raise
    except Exception as error:  # an encoder of one's own can raise anything
        reason = " ".join(str(error).split())
        raise ParameterError("encoder", e.to_json()["encoder"], f"images of shape {shape}: {reason}") from error
    require(bool(found.isfinite().all()), "encoder", e.to_json()["encoder"], "finite features")
    return Frozen(encode, found.shape[1], digest(weights))


def _parts(
    e: Embedding, shape: tuple[int, int, int], device: torch.device
) -> tuple[dict[str, Tensor], Callable[[Tensor], Tensor]]:
    """The weights, and what makes features of images on the device."""
    channels, height, width = shape
    if e.checkpoint is not None:
        settings, network = load_any(e.checkpoint, e.trusted)
        require(not settings.on_views, "checkpoint", e.checkpoint, "a network of images, not an adapter")
        known = network.channels == channels
        require(known, "checkpoint", e.checkpoint, f"a network for images of {channels} channels")
        network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        part = network.encoder if is_export(e.checkpoint) else network  # an export has no projector
        return part.state_dict(), lambda x: network.encode(_channels_last(x))
    if e.encoder == EFFICIENTNET:
        from empirical.pretrained import HEAD, EfficientNetLite0

        assert e.resized is not None
        require(
            channels == 3, "encoder", e.encoder, f"images of 3 channels (those of {e.settings.data} have {channels})"
        )
        net = EfficientNetLite0(e.resized, dtype=DTYPES[e.settings.precision], device=device)
        return net.weights, lambda x: net(x)[str(HEAD)]
    library = of_library(e.encoder)
    own = None if library else (height, width)
    network = _network(e, channels, own if e.side is None else (e.side, e.side)).to(device).eval()
    side = network.encoder.side if isinstance(network.encoder, LibraryEncoder) and e.side is None else e.side

    def encode(x: Tensor) -> Tensor:
        if side is not None:
            x = functional.interpolate(x, (side, side), mode="bilinear", align_corners=False, antialias=library)
        return network.encode(_channels_last(x))

    return network.encoder.state_dict(), encode


def wanted_side(e: Embedding) -> int | None:
    """The side of square images that an embedding's encoder wants; None if it takes them as they are."""
    if e.checkpoint is not None:
        size = load_any(e.checkpoint, e.trusted)[1].size
        return size[0] if size is not None and size[0] == size[1] else None
    if e.resized is None and of_library(e.encoder):
        network = ImageNetwork(e.encoder, 3, dim=1)  # without weights, which may be large
        assert isinstance(network.encoder, LibraryEncoder)
        return network.encoder.side
    return e.resized


def _network(e: Embedding, channels: int, size: tuple[int, int] | None) -> ImageNetwork:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # of a factory that draws its weights: a resumed run has the same
        network = ImageNetwork(e.encoder, channels, dim=1, size=size, pretrained=e.pretrained)
    if e.weights is not None:
        begin_with(network, e.weights)
    return network


def _channels_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)
