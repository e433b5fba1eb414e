"""Random views of a batch, on its device, with parameters drawn per sample."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Generator, Tensor
from torch.nn import functional

from empirical.choices import COUNT, VIEWS

Augmentation = Callable[[Tensor, Generator], Tensor]
Sampler = Callable[..., Tensor]  # of one number per image, between two bounds; or of several, shape (…, B)

LUMA = (0.2989, 0.587, 0.114)  # torchvision's
TRIALS = 10  # crops drawn for each view


def to_float(images: Tensor) -> Tensor:
    """uint8 pixels as floats in [0, 1]; features, which are floats, as they are."""
    return images if images.is_floating_point() else images.float() / 255


def two_views(view: Callable[[Any, Generator], Any], batch: Any, generator: Generator) -> tuple[Any, Any]:
    """Two views of each sample: two independent draws, or the pair that a view makes, such as of those cached."""
    pair = getattr(view, "pair", None)
    return (view(batch, generator), view(batch, generator)) if pair is None else pair(batch, generator)


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
    their device, and returns floats in [0, 1], shape (B, 1 or 3, H, W) or (B, 1 or 3, side, side). Views are
    distributed as those of torchvision's RandomResizedCrop, RandomHorizontalFlip, ColorJitter, RandomGrayscale
    and GaussianBlur on float images, and equal theirs for equal draws; on uint8 images torchvision also rounds
    after each step. Crops are resized with its antialiased bilinear filter, to a smaller side too. Grey images
    keep their one channel: of the jitter they have brightness and contrast.

    Parameters
    ----------
    smallest_crop : float
        Smallest area of the crop as a share of the image, in (0, 1].
    jitter : float
        Strength of the colour jitter, >= 0: brightness, contrast and saturation change by up to
        0.4·jitter and the hue by up to 0.1·jitter of the colour circle, in random order, in 80 % of the
        images. 1 is SimCLR's setting for CIFAR-10, 2 its setting for ImageNet.
    grey : float
        Share of views without colour, in [0, 1].
    blur : float
        Share of blurred views, in [0, 1].
    side : int, optional
        Height and width of the views in pixels, >= 1; by default the images' own.

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
    side: int | None = None

    def __post_init__(self) -> None:
        for name, within in VIEWS.items():
            within.require(name, getattr(self, name))
        if self.side is not None:
            COUNT.require("side", self.side)

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        """One view of each image."""
        uniform = _uniform(images, generator)
        height, width = images.shape[2:]
        crops = _draw_crops(uniform, height, width, self.smallest_crop)
        flipped = uniform(0, 1).lt(0.5)
        x = _resized_crop(to_float(images), crops, flipped, self.side or height, self.side or width)
        if self.jitter:
            x = _jitter(x, *_draw_jitter(uniform, self.jitter))
        if self.grey and x.shape[1] == 3:
            x = _changed(x, uniform(0, 1).lt(self.grey), lambda chosen: _grey(chosen).expand_as(chosen))
        return _blur(x, uniform, self.blur) if self.blur else x


class Cached:
    """Views that are drawn from cached ones, V of each image, shape (B, V, d); they have shape (B, d, 1, 1).

    All objects of this class are equal.
    """

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Cached)

    def __hash__(self) -> int:
        return hash(Cached)

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        """One view of each image, each with the same probability; what is drawn already, (B, d, 1, 1), stays."""
        if images.ndim == 4:
            return images
        return _chosen(images, self._numbers(images, images.shape[1], generator))

    def pair(self, images: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        """Two different views of each image, each of the V(V − 1) ordered pairs with the same probability."""
        count = images.shape[1]
        first = self._numbers(images, count, generator)
        second = self._numbers(images, count - 1, generator)
        return _chosen(images, first), _chosen(images, second + (second >= first))

    @staticmethod
    def _numbers(images: Tensor, below: int, generator: Generator) -> Tensor:
        return torch.randint(below, (len(images),), generator=generator, device=images.device)


def _chosen(views: Tensor, numbers: Tensor) -> Tensor:
    """One view of each image by its number, as float32 of shape (B, d, 1, 1)."""
    return views[torch.arange(len(views), device=views.device), numbers].float()[:, :, None, None]


def _uniform(images: Tensor, generator: Generator) -> Sampler:
    """A sampler of numbers for each image."""

    def draw(low: float, high: float, *several: int) -> Tensor:
        unit = torch.rand(*several, len(images), generator=generator, device=images.device)
        return low + (high - low) * unit

    return draw


def _warp(x: Tensor, rows: Tensor) -> Tensor:
    """Resample each image on the affine grid whose matrix has the six entries ``rows``."""
    grid = functional.affine_grid(rows.view(-1, 2, 3), list(x.shape), align_corners=False)
    return functional.grid_sample(x, grid, align_corners=False)


@dataclass(frozen=True)
class _Crops:
    """A rectangle of pixels of each image, in whole numbers held as floats."""

    top: Tensor
    left: Tensor
    height: Tensor
    width: Tensor


def _draw_crops(uniform: Sampler, height: int, width: int, smallest: float) -> _Crops:
    """Rectangles as torchvision draws them: the first of ten that fits into the image, or else a central one."""
    low, high = 3 / 4, 4 / 3
    area = height * width * uniform(smallest, 1, TRIALS)
    ratio = uniform(math.log(low), math.log(high), TRIALS).exp()
    heights, widths = (area / ratio).sqrt().round(), (area * ratio).sqrt().round()
    fits = (heights >= 1) & (heights <= height) & (widths >= 1) & (widths <= width)
    central = torch.ones_like(fits[:1])  # comes last and always fits
    first = torch.cat([fits, central]).byte().argmax(dim=0, keepdim=True)

    def chosen(sizes: Tensor, whole: int) -> Tensor:
        return torch.cat([sizes, torch.full_like(sizes[:1], whole)]).gather(0, first)[0]

    crop_height = chosen(heights, min(height, round(width / low)))
    crop_width = chosen(widths, min(width, round(height * high)))

    def start(side: int, crop: Tensor) -> Tensor:
        room = side - crop
        anywhere = torch.minimum((uniform(0, 1) * (room + 1)).floor(), room)  # rounding may lead one too far
        return torch.where(first[0] < TRIALS, anywhere, (room / 2).floor())

    return _Crops(start(height, crop_height), start(width, crop_width), crop_height, crop_width)


def _resized_crop(x: Tensor, crops: _Crops, flipped: Tensor, height: int, width: int) -> Tensor:
    """The crops at another size, some of them mirrored: a product with the filters of the rows and of the columns."""
    rows, columns = x.shape[2:]
    vertical = _filters(crops.top, crops.height, torch.zeros_like(flipped), rows, height)
    horizontal = _filters(crops.left, crops.width, flipped, columns, width)
    return _separable(x, vertical, horizontal).clamp_(0, 1)  # from rounding


def _separable(x: Tensor, vertical: Tensor, horizontal: Tensor) -> Tensor:
    """Every image between a matrix on its rows, shape (B, H', H), and one on its columns, shape (B, W', W)."""
    batch, channels, rows, columns = x.shape
    lines = torch.bmm(x.reshape(batch, channels * rows, columns), horizontal.mT)
    return vertical[:, None] @ lines.view(batch, channels, rows, horizontal.shape[1])


def _filters(start: Tensor, length: Tensor, flipped: Tensor, pixels: int, side: int) -> Tensor:
    """What each of ``side`` pixels takes from a line of ``pixels``, ``length`` of them resized: (B, side, pixels).

    Triangles about the pixel's centre, as wide as the larger of the two grids' steps, cut off at the crop's ends.
    """
    step = (length / side)[:, None]
    centres = (torch.arange(side, device=start.device) + 0.5) * step
    centres = start[:, None] + torch.where(flipped[:, None], length[:, None] - centres, centres)
    points = torch.arange(pixels, device=start.device) + 0.5
    inside = (points > start[:, None]) & (points < (start + length)[:, None])
    weights = (centres[:, :, None] - points).abs_().div_(step.clamp(min=1)[:, :, None])
    weights = weights.neg_().add_(1).clamp_(min=0).mul_(inside[:, None])
    return weights.div_(weights.sum(dim=2, keepdim=True))


def _draw_jitter(uniform: Sampler, strength: float) -> tuple[Tensor, Tensor]:
    """Which operation comes when, and by how much each changes the image; both of shape (4, B)."""
    order = uniform(0, 1, len(OPERATIONS)).argsort(dim=0)
    low, high = max(0.0, 1 - 0.4 * strength), 1 + 0.4 * strength
    amounts = [uniform(low, high), uniform(low, high), uniform(low, high), uniform(-0.1 * strength, 0.1 * strength)]
    jittered = uniform(0, 1).lt(0.8)
    return order.where(jittered, -1), torch.stack(amounts)


def _jitter(x: Tensor, order: Tensor, amounts: Tensor) -> Tensor:
    """Every image after its operations, one after the other; ``x`` may be overwritten."""
    operations = OPERATIONS if x.shape[1] == 3 else OPERATIONS[:2]
    for at_this_turn in order:
        for index, operation in enumerate(operations):
            x = _changed(x, at_this_turn == index, operation, amounts[index].view(-1, 1, 1, 1))
    return x


def _changed(x: Tensor, chosen: Tensor, change: Callable[..., Tensor], *amount: Tensor) -> Tensor:
    """The chosen images changed; ``x`` may be overwritten."""
    if x.device.type != "cpu":  # change all, for asking which are chosen would wait for the device
        return torch.where(chosen.view(-1, 1, 1, 1), change(x, *amount), x)
    rows = chosen.nonzero()[:, 0]
    return x.index_copy_(0, rows, change(x.index_select(0, rows), *(a.index_select(0, rows) for a in amount)))


def _grey(x: Tensor) -> Tensor:
    """Luma, shape (B, 1, H, W)."""
    if x.shape[1] == 1:
        return x
    red, green, blue = (weight * x[:, i : i + 1] for i, weight in enumerate(LUMA))
    return red.add_(green).add_(blue)


def _brightness(x: Tensor, amount: Tensor) -> Tensor:
    return (x * amount).clamp_(0, 1)


def _contrast(x: Tensor, amount: Tensor) -> Tensor:
    return torch.lerp(_grey(x).mean(dim=(1, 2, 3), keepdim=True), x, amount).clamp_(0, 1)


def _saturation(x: Tensor, amount: Tensor) -> Tensor:
    return torch.lerp(_grey(x), x, amount).clamp_(0, 1)


def _hue(x: Tensor, amount: Tensor) -> Tensor:
    """Each pixel's colour moved on along the hexagon of hues by a share of its circumference.

    The largest and the smallest channel stay what they are, so that no conversion to HSV and back is needed.
    """
    red, green, blue = x.split(1, dim=1)
    high, low = torch.maximum(red, green).maximum(blue), torch.minimum(red, green).minimum(blue)
    chroma = high - low
    # Where the channel is the largest one: 0 at red, 2 at green, 4 at blue; of greys, anywhere.
    from_red, from_green, from_blue = (
        green - blue,
        (blue - red).add_(chroma, alpha=2),
        (red - green).add_(chroma, alpha=4),
    )
    sixth = from_green.lerp_(from_blue, (high - green).sign_())
    sixth = from_red.lerp_(sixth, (high - red).sign_())
    turn = sixth.div_(chroma.clamp(min=torch.finfo(x.dtype).tiny)).div_(6).add_(amount)
    hue = turn.sub_(turn.floor()).mul_(6)
    ramps = ((hue - 3).abs_().sub_(1), (hue - 2).abs_().neg_().add_(2), (hue - 4).abs_().neg_().add_(2))
    return torch.cat([torch.addcmul(low, chroma, ramp.clamp_(0, 1)) for ramp in ramps], dim=1)


OPERATIONS = (_brightness, _contrast, _saturation, _hue)


def _blur(x: Tensor, uniform: Sampler, share: float) -> Tensor:
    """Gaussian blur of a share of the images, deviation uniform in [0.1, 2] pixels, kernel a tenth of the side."""
    height, width = x.shape[2:]
    short = min(height, width)
    reach = min(max(3, short // 10 | 1) // 2, short - 1)  # of a kernel of odd size; one reflection serves
    sigma, blurred = uniform(0.1, 2), uniform(0, 1).lt(share)
    offsets = torch.arange(max(height, width) + reach, device=x.device)
    kernel = (-0.5 * (offsets / sigma[:, None]) ** 2).exp() * (offsets <= reach)
    kernel = kernel / (2 * kernel.sum(dim=1, keepdim=True) - kernel[:, :1])

    def blur(chosen: Tensor, kernel: Tensor) -> Tensor:
        return _separable(chosen, *(_convolution(kernel, side) for side in (height, width))).clamp_(0, 1)

    return _changed(x, blurred, blur, kernel)


def _convolution(kernel: Tensor, side: int) -> Tensor:
    """Matrices of a symmetric kernel on a line that is reflected at its first and last pixel, shape (B, side, side)."""
    to = torch.arange(side, device=kernel.device)
    at, last = to[:, None], side - 1
    farthest = kernel.shape[1] - 1  # where the kernel has ended
    matrix = kernel[:, (at - to).abs()]
    matrix += kernel[:, (at + to).clamp(max=farthest)] * (to > 0)
    matrix += kernel[:, (2 * last - at - to).clamp(max=farthest)] * (to < last)
    return matrix
