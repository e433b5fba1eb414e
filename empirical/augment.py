"""Random views of a batch, on its device, with parameters drawn per sample."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Generator, Tensor
from torch.nn import functional

Augmentation = Callable[[Tensor, Generator], Tensor]

LUMA = (0.299, 0.587, 0.114)


def to_float(images: Tensor) -> Tensor:
    """uint8 pixels as floats in [0, 1]."""
    return images.float() / 255


def digits(images: Tensor, generator: Generator) -> Tensor:
    """Views of handwritten digits: small rotation, scale, shear and shift, contrast, pixel noise.

    Digits are told apart by orientation, so nothing is flipped; they have no colour.

    Parameters
    ----------
    images : Tensor
        uint8, shape (B, C, H, W).
    generator : Generator
        On the device of the images.

    Returns
    -------
    Tensor
        float in [0, 1], same shape.
    """
    uniform = _uniform(images, generator)
    angle = uniform(-20, 20) * (math.pi / 180)
    scale, shear = uniform(0.8, 1.25), uniform(-0.2, 0.2)
    cos, sin = angle.cos() / scale, angle.sin() / scale
    rows = torch.stack([cos, -sin + shear, uniform(-0.3, 0.3), sin, cos, uniform(-0.3, 0.3)], dim=1)
    x = _warp(to_float(images), rows)
    x = x * uniform(0.6, 1.4).view(-1, 1, 1, 1)
    noise = torch.randn(x.shape, generator=generator, device=x.device)
    return (x + 0.1 * noise).clamp(0, 1)


def photos(images: Tensor, generator: Generator, smallest_crop: float = 0.2) -> Tensor:
    """Views of photographs: random resized crop, flip, colour jitter, greyscale (SimCLR without blur).

    Parameters
    ----------
    images : Tensor
        uint8, shape (B, 1 or 3, H, W).
    generator : Generator
        On the device of the images.
    smallest_crop : float
        Smallest area of the crop as a share of the image.

    Returns
    -------
    Tensor
        float in [0, 1], same shape.
    """
    uniform = _uniform(images, generator)
    area, log_ratio = uniform(smallest_crop, 1), uniform(math.log(3 / 4), math.log(4 / 3))
    width = (area * log_ratio.exp()).sqrt().clamp(max=1)
    height = (area / log_ratio.exp()).sqrt().clamp(max=1)
    x_shift, y_shift = uniform(-1, 1) * (1 - width), uniform(-1, 1) * (1 - height)
    flip = uniform(0, 1).lt(0.5).float() * 2 - 1
    zero = torch.zeros_like(width)
    x = _warp(to_float(images), torch.stack([width * flip, zero, x_shift, zero, height, y_shift], dim=1))
    return _jitter(x, uniform) if x.shape[1] == 3 else x


def for_data(name: str) -> Augmentation:
    """The augmentation that suits a data set of ``empirical.data.load``."""
    return digits if name == "digits" else photos


def _uniform(images: Tensor, generator: Generator) -> Callable[[float, float], Tensor]:
    """A sampler of one number per image."""

    def draw(low: float, high: float) -> Tensor:
        unit = torch.rand(len(images), generator=generator, device=images.device)
        return low + (high - low) * unit

    return draw


def _warp(x: Tensor, rows: Tensor) -> Tensor:
    """Resample each image on the affine grid whose matrix has the six entries ``rows``."""
    grid = functional.affine_grid(rows.view(-1, 2, 3), list(x.shape), align_corners=False)
    return functional.grid_sample(x, grid, align_corners=False)


def _jitter(x: Tensor, uniform: Callable[[float, float], Tensor]) -> Tensor:
    """Brightness, contrast, saturation and hue as one affine colour map per image, for 80 % of them.

    All four are affine in the colour, so a single 3×3 product per pixel does; greyscale for 20 %.
    """
    batch, device = len(x), x.device
    luma = torch.tensor(LUMA, device=device)
    grey = luma.expand(3, 3)
    identity = torch.eye(3, device=device)

    def blend(amount: Tensor, one: Tensor, other: Tensor) -> Tensor:
        amount = amount.view(-1, 1, 1)
        return amount * one + (1 - amount) * other

    # A rotation of the colour cube about its grey axis is a change of hue.
    angle = uniform(-0.1, 0.1) * (2 * math.pi)
    cross = torch.tensor([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]], device=device) / math.sqrt(3)
    axis = torch.full((3, 3), 1 / 3, device=device)
    cos, sin = angle.cos().view(-1, 1, 1), angle.sin().view(-1, 1, 1)
    hue = cos * identity + (1 - cos) * axis + sin * cross
    saturation = blend(uniform(0.6, 1.4), identity, grey)
    brightness, contrast = uniform(0.6, 1.4), uniform(0.6, 1.4)
    jittered = uniform(0, 1).lt(0.8).view(-1, 1, 1)
    to_grey = uniform(0, 1).lt(0.2).view(-1, 1, 1)

    colour = hue @ saturation * (brightness * contrast).view(-1, 1, 1)
    colour = torch.where(jittered, colour, identity)
    mean_luma = torch.einsum("bchw,c->b", x, luma) / (x.shape[2] * x.shape[3])
    offset = mean_luma * brightness * (1 - contrast) * jittered.view(-1)
    colour = torch.where(to_grey, grey @ colour, colour)
    out = torch.bmm(colour, x.reshape(batch, 3, -1)) + offset.view(-1, 1, 1)
    return out.view_as(x).clamp(0, 1)
