"""Encoders of timm and torchvision, ``timm:NAME`` and ``torchvision:NAME``, with their normalisation and input size."""

from __future__ import annotations

import io
import logging
import socket
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, redirect_stdout
from typing import NamedTuple
from urllib.parse import urlsplit
from urllib.request import getproxies

import torch
from torch import Tensor, nn

from empirical.encoders.architectures import Encoder
from empirical.encoders.custom import output_shape
from theory.checks import ParameterError, nearest, require
from theory.code import reason_of


class LibraryEncoder(nn.Module):
    """A library's network without its head, from images in [0, 1]; grey ones are taken for three equal colours.

    Parameters
    ----------
    net : nn.Module
        From normalised images (B, 3, H, W) to features (B, features).
    mean, std : sequence of float
        With which the library normalises images, one for each colour.
    side : int
        Height and width of the images that the library gives it.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, net: nn.Module, mean: Sequence[float], std: Sequence[float], side: int) -> None:
        super().__init__()
        self.net, self.side = net, side
        self.register_buffer("mean", torch.tensor(mean)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(std)[:, None, None], persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Features, shape (B, features)."""
        found: Tensor = self.net((images - self.mean) / self.std)
        return found


class Input(NamedTuple):
    """What a library gives a network: normalised how, and how large."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    side: int


def library_encoder(spec: str, channels: int, pretrained: bool = False, size: tuple[int, int] | None = None) -> Encoder:
    """A network of timm or torchvision without its head.

    Parameters
    ----------
    spec : str
        ``timm:NAME``, with any name of ``timm.list_models()`` and its tag, or ``torchvision:NAME``, of
        ``torchvision.models``, if it ends in a linear layer.
    channels : {1, 3}
        Colour channels of the images.
    pretrained : bool
        With the library's weights (of torchvision the default ones), which are downloaded where they are not there.
    size : tuple of int, optional
        Height and width of the images; by default the library's own.

    Raises
    ------
    ParameterError
        If the library is not installed or has no such network; if there are no weights or they cannot be downloaded;
        or if the network does not take images of this size.
    """
    library, _, name = spec.partition(":")
    require(channels in (1, 3), "encoder", spec, f"images of 1 or 3 channels (found {channels})")
    with silent():
        net, needs = _timm(spec, name, pretrained) if library == "timm" else _torchvision(spec, name, pretrained)
    encoder = LibraryEncoder(net, *needs)
    try:
        shape = output_shape(spec, encoder, channels, size or (needs.side, needs.side))
    except ParameterError as error:
        if size in (None, (needs.side, needs.side)):
            raise
        advice = f"its own size is {needs.side}, such as by --image-size {needs.side}"
        raise ParameterError(f"{error}; {advice}") from error
    require(len(shape) == 2, "encoder", spec, f"output (B, features), found {shape}")
    return encoder, shape[1]


def _timm(spec: str, name: str, pretrained: bool) -> tuple[nn.Module, Input]:
    try:
        import timm
        from timm.data.config import resolve_model_data_config
    except ImportError as error:
        raise ParameterError(f"encoder {spec} needs timm: pip install 'difficult-examples[timm]'") from error
    # Names with a colon or slash are of hubs and folders, which would choose code and files by themselves.
    if ":" in name or "/" in name or not timm.is_model(name):
        known = nearest(name, timm.list_models())
        raise ParameterError("encoder", spec, f"a name of timm.list_models(){known}")
    try:
        with impatient() if pretrained else nullcontext():
            net = timm.create_model(name, pretrained=pretrained, num_classes=0)
    except Exception as error:  # a download fails in many ways
        raise _unloaded(spec, pretrained, error) from error
    config = resolve_model_data_config(net)
    _, height, width = config["input_size"]
    require(height == width, "encoder", spec, f"a network of square images (found {height}×{width})")
    return net, Input(tuple(config["mean"]), tuple(config["std"]), int(height))


def _torchvision(spec: str, name: str, pretrained: bool) -> tuple[nn.Module, Input]:
    from torchvision import models

    known = models.list_models(module=models)
    if name not in known:
        raise ParameterError("encoder", spec, f"a name of torchvision.models{nearest(name, known)}")
    weights = models.get_model_weights(name).DEFAULT
    try:
        net: nn.Module = models.get_model(name, weights=None)
        if pretrained:
            # Not get_model's own way, which would load a pickle.
            net.load_state_dict(weights.get_state_dict(progress=False, check_hash=True, weights_only=True))
    except Exception as error:  # a download fails in many ways
        raise _unloaded(spec, pretrained, error) from error
    linear = [place for place, layer in net.named_modules() if isinstance(layer, nn.Linear)]
    headed = bool(linear) and not hasattr(net, "aux_logits")  # those have several heads
    require(headed, "encoder", spec, "a network with one linear head")
    net.set_submodule(linear[-1], nn.Identity())
    shown = weights.transforms()
    return net, Input(tuple(shown.mean), tuple(shown.std), int(shown.crop_size[0]))


def _unloaded(spec: str, pretrained: bool, error: Exception) -> ParameterError:
    wanted = "a network whose weights can be downloaded" if pretrained else "a network that can be made"
    return ParameterError("encoder", spec, f"{wanted} ({reason_of(error)})")


@contextmanager
def silent() -> Iterator[None]:
    """Without the messages of libraries about downloads, which would stand beside the one line of an error."""
    level = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)


@contextmanager
def impatient() -> Iterator[None]:
    """Where timm's weights come from cannot be reached, take what is there at once: it would try for a minute."""
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    host = urlsplit(constants.ENDPOINT).hostname
    try:
        if not getproxies():
            socket.getaddrinfo(host, None)
    except OSError:
        constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before
