"""Random views of a batch, on its device, with parameters drawn per sample."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Generator, Tensor
from torch.nn import functional

from empirical.choices import VIEWS

Augmentation = Callable[[Tensor, Generator], Tensor]
Sampler = Callable[[float, float], Tensor]  # of one number per image, between two bounds

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


@dataclass(frozen=True)
class Photos:
    """Views of photographs: random resized crop, flip, colour jitter, greyscale, blur, as in SimCLR.

    ``Photos(...)(images, generator)`` takes uint8 images, shape (B, 1 or 3, H, W), and a generator on
    their device, and returns floats in [0, 1] of the same shape. Grey images keep their one channel.

    Parameters
    ----------
    smallest_crop : float
        Smallest area of the crop as a share of the image, in (0, 1].
    jitter : float
        Strength of the colour jitter, >= 0: brightness, contrast and saturation change by up to
        0.4·jitter and the hue by up to 0.1·jitter of the colour circle, in 80 % of the images. 1 is
        SimCLR's setting for CIFAR-10, 2 its setting for ImageNet.
    grey : float
        Share of views without colour, in [0, 1].
    blur : float
        Share of blurred views, in [0, 1].

    Raises
    ------
    ParameterError
        If a parameter is outside its range.

    References
    ----------
    Chen, Kornblith, Norouzi, Hinton, "A Simple Framework for Contrastive Learning of Visual
    Representations", ICML 2020, appendix A.
    """

    smallest_crop: float = 0.2
    jitter: float = 1.0
    grey: float = 0.2
    blur: float = 0.0

    def __post_init__(self) -> None:
        for name, within in VIEWS.items():
            within.require(name, getattr(self, name))

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        """One view of each image."""
        uniform = _uniform(images, generator)
        area, log_ratio = uniform(self.smallest_crop, 1), uniform(math.log(3 / 4), math.log(4 / 3))
        width = (area * log_ratio.exp()).sqrt().clamp(max=1)
        height = (area / log_ratio.exp()).sqrt().clamp(max=1)
        x_shift, y_shift = uniform(-1, 1) * (1 - width), uniform(-1, 1) * (1 - height)
        flip = uniform(0, 1).lt(0.5).float() * 2 - 1
        zero = torch.zeros_like(width)
        x = _warp(to_float(images), torch.stack([width * flip, zero, x_shift, zero, height, y_shift], dim=1))
        if x.shape[1] == 3:
            x = _jitter(x, uniform, self.jitter, self.grey)
        return _blur(x, uniform, self.blur) if self.blur else x


def _uniform(images: Tensor, generator: Generator) -> Sampler:
    """A sampler of one number per image."""

    def draw(low: float, high: float) -> Tensor:
        unit = torch.rand(len(images), generator=generator, device=images.device)
        return low + (high - low) * unit

    return draw


def _warp(x: Tensor, rows: Tensor) -> Tensor:
    """Resample each image on the affine grid whose matrix has the six entries ``rows``."""
    grid = functional.affine_grid(rows.view(-1, 2, 3), list(x.shape), align_corners=False)
    return functional.grid_sample(x, grid, align_corners=False)


@lru_cache
def _colours(device: torch.device) -> tuple[Tensor, Tensor]:
    """Luma's weights and the cross product with the grey axis: copied to a device once, for a copy waits for it."""
    cross = torch.tensor([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]], device=device) / math.sqrt(3)
    return torch.tensor(LUMA, device=device), cross


def _jitter(x: Tensor, uniform: Sampler, strength: float, grey_share: float) -> Tensor:
    """Brightness, contrast, saturation and hue as one affine colour map per image, for 80 % of them; then greyscale.

    All are affine in the colour, so a single 3×3 product per pixel does.
    """
    batch, device = len(x), x.device
    luma, cross = _colours(device)
    grey = luma.expand(3, 3)
    identity = torch.eye(3, device=device)

    def blend(amount: Tensor, one: Tensor, other: Tensor) -> Tensor:
        amount = amount.view(-1, 1, 1)
        return amount * one + (1 - amount) * other

    # A rotation of the colour cube about its grey axis is a change of hue.
    angle = uniform(-0.1 * strength, 0.1 * strength) * (2 * math.pi)
    axis = torch.full((3, 3), 1 / 3, device=device)
    cos, sin = angle.cos().view(-1, 1, 1), angle.sin().view(-1, 1, 1)
    hue = cos * identity + (1 - cos) * axis + sin * cross
    low, high = max(0.0, 1 - 0.4 * strength), 1 + 0.4 * strength
    saturation = blend(uniform(low, high), identity, grey)
    brightness, contrast = uniform(low, high), uniform(low, high)
    jittered = uniform(0, 1).lt(0.8).view(-1, 1, 1)
    to_grey = uniform(0, 1).lt(grey_share).view(-1, 1, 1)

    colour = hue @ saturation * (brightness * contrast).view(-1, 1, 1)
    colour = torch.where(jittered, colour, identity)
    mean_luma = torch.einsum("bchw,c->b", x, luma) / (x.shape[2] * x.shape[3])
    offset = mean_luma * brightness * (1 - contrast) * jittered.view(-1)
    colour = torch.where(to_grey, grey @ colour, colour)
    out = torch.bmm(colour, x.reshape(batch, 3, -1)) + offset.view(-1, 1, 1)
    return out.view_as(x).clamp(0, 1)


def _blur(x: Tensor, uniform: Sampler, share: float) -> Tensor:
    """Gaussian blur of a share of the images, σ uniform in [0.1, 2] pixels, kernel a tenth of the side."""
    batch, channels, height, width = x.shape
    size = max(3, min(height, width) // 10 | 1)  # odd
    sigma, blurred = uniform(0.1, 2), uniform(0, 1).lt(share)
    offsets = torch.arange(size, device=x.device) - size // 2
    kernel = torch.softmax(-0.5 * (offsets / sigma[:, None]) ** 2, dim=1).repeat_interleave(channels, dim=0)
    padded = functional.pad(x, [size // 2] * 4, mode="reflect").flatten(0, 1)[None]
    # Every image has a kernel of its own: all channels of all images are groups of one convolution.
    groups = batch * channels
    rows = functional.conv2d(padded, kernel.view(groups, 1, 1, size), groups=groups)
    out = functional.conv2d(rows, kernel.view(groups, 1, size, 1), groups=groups)
    return torch.where(blurred.view(-1, 1, 1, 1), out.view_as(x).clamp(0, 1), x)
