"""Encoders that stay as they are: pretrained on ImageNet, of a checkpoint, or your own."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from empirical.embed.settings import EFFICIENTNET, Embedding
from empirical.encoders import custom
from empirical.train.checkpoint import load_network
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
    return Frozen(encode, found.shape[1], _digest(weights))


def _parts(
    e: Embedding, shape: tuple[int, int, int], device: torch.device
) -> tuple[dict[str, Tensor], Callable[[Tensor], Tensor]]:
    """The weights, and what makes features of images on the device."""
    channels, height, width = shape
    if e.checkpoint is not None:
        settings, network = load_network(e.checkpoint, e.trusted)
        require(not settings.on_views, "checkpoint", e.checkpoint, "a network of images, not an adapter")
        known = network.channels == channels
        require(known, "checkpoint", e.checkpoint, f"a network for images of {channels} channels")
        network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return network.state_dict(), lambda x: network(_channels_last(x))[0]
    if e.encoder == EFFICIENTNET:
        from empirical.pretrained import HEAD, EfficientNetLite0

        assert e.resized is not None
        require(
            channels == 3, "encoder", e.encoder, f"images of 3 channels (those of {e.settings.data} have {channels})"
        )
        net = EfficientNetLite0(e.resized, dtype=DTYPES[e.settings.precision], device=device)
        return net.weights, lambda x: net(x)[str(HEAD)]
    size = (height, width) if e.side is None else (e.side, e.side)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # of a factory that draws its weights: a resumed run has the same
        encoder, _ = custom(e.encoder, channels, width=64, size=size)
    encoder = encoder.to(device).eval()

    def own(x: Tensor) -> Tensor:
        if e.side is not None:
            x = functional.interpolate(x, size, mode="bilinear", align_corners=False)
        return _module(encoder, (x - 0.5) * 2)

    return encoder.state_dict(), own


def _module(encoder: nn.Module, x: Tensor) -> Tensor:
    found: Tensor = encoder(_channels_last(x))
    return found


def _channels_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)


def _digest(weights: dict[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name, value in weights.items():
        digest.update(name.encode() + value.detach().cpu().float().contiguous().numpy().tobytes())
    return digest.hexdigest()
