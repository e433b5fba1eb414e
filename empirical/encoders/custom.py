"""Encoders of one's own: code that a user names as ``MODULE:FACTORY``."""

from __future__ import annotations

import copy
import inspect
from typing import Any

import torch
from torch import Tensor, nn

from empirical.encoders.architectures import Encoder
from theory.checks import ParameterError, require
from theory.code import attribute, reason_of


def custom(spec: str, channels: int, width: int, size: tuple[int, int] | None = None) -> Encoder:
    """An encoder of your own, ``MODULE:FACTORY``.

    The factory is called with those of ``channels=`` and ``width=`` that it names as parameters, and
    returns a module from images (B, C, H, W), pixels in [-1, 1], to features (B, features) or to maps
    (B, features, h, w), which are averaged. The width is found by encoding a black image of height and width
    ``size``; where that is not known, of 32 or else 224 pixels a side.

    Raises
    ------
    ParameterError
        If there is no such module or attribute, or it is not such a factory.
    """
    factory: Any = attribute("encoder", spec)
    offered = {"channels": channels, "width": width}
    try:
        signature = inspect.signature(factory)
        arguments = {name: value for name, value in offered.items() if name in signature.parameters}
        signature.bind(**arguments)
    except (TypeError, ValueError) as error:
        raise ParameterError("encoder", spec, f"a factory that needs at most channels and width ({error})") from error
    try:
        encoder = factory(**arguments)
    except ParameterError:
        raise
    except Exception as error:
        raise ParameterError("encoder", spec, f"a factory that makes an encoder ({reason_of(error)})") from error
    if not isinstance(encoder, nn.Module):
        raise ParameterError("encoder", spec, f"a factory of an nn.Module (found {type(encoder).__name__})")
    shape = output_shape(spec, encoder, channels, size)
    require(len(shape) in (2, 4), "encoder", spec, f"output (B, features) or (B, features, h, w), found {shape}")
    if len(shape) == 4:
        encoder = nn.Sequential(encoder, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return encoder, shape[1]


def output_shape(spec: str, encoder: nn.Module, channels: int, size: tuple[int, int] | None) -> tuple[int, ...]:
    """Shape of the encoder's output for two black images; the encoder and the random state stay as they are."""
    probe = copy.deepcopy(encoder).eval()
    # Small first; some encoders take large images only.
    shapes = [(channels, *s) for s in ([(32, 32), (224, 224)] if size is None else [size])]
    for shape in shapes:
        try:
            with torch.no_grad(), torch.random.fork_rng(devices=[]):
                out = probe(torch.zeros(2, *shape))
            break
        except Exception as error:  # an encoder can raise anything
            problem = error
    else:
        inputs = " or ".join(f"(B, {', '.join(map(str, shape))})" for shape in shapes)
        raise ParameterError("encoder", spec, f"input {inputs}: {reason_of(problem)}") from problem
    require(isinstance(out, Tensor), "encoder", spec, f"a tensor as output (found {type(out).__name__})")
    return tuple(out.shape)
