"""Encoders of this project's own: convolutional networks, a small vision transformer, an adapter of features."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models.resnet import BasicBlock, Bottleneck

from theory.checks import require

Encoder = tuple[nn.Module, int]  # and the width of its features
NARROW = 16  # channels


def convnet(channels: int, width: int = 32) -> Encoder:
    """Three convolutions for very small images, such as 8×8 digits; 4·width features."""
    layers: list[nn.Module] = []
    before = channels
    for after in (width, 2 * width, 4 * width):
        layers += [
            nn.Conv2d(before, after, 3, padding=1, bias=False),
            nn.BatchNorm2d(after),
            nn.ReLU(inplace=True),
        ]
        before = after
        if after == width:
            layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten()), before


def resnet18(channels: int, width: int = 64, stem_stride: int = 1) -> Encoder:
    """ResNet-18; 8·width features.

    Parameters
    ----------
    channels : int
        Colour channels of the images.
    width : int
        Channels of the first stage (64 in the original).
    stem_stride : {1, 2, 4}
        By how much the stem reduces the resolution: 1 is SimCLR's 3×3 stem without max-pooling for
        small images, 2 the same with stride 2, 4 the original 7×7 stem with max-pooling.

    References
    ----------
    He, Zhang, Ren, Sun, "Deep Residual Learning for Image Recognition", CVPR 2016.
    """
    return _resnet(BasicBlock, (2, 2, 2, 2), channels, width, stem_stride)


def resnet10(channels: int, width: int = 64, stem_stride: int = 1) -> Encoder:
    """``resnet18`` with one block a stage instead of two; 8·width features."""
    return _resnet(BasicBlock, (1, 1, 1, 1), channels, width, stem_stride)


def resnet50(channels: int, width: int = 64, stem_stride: int = 1) -> Encoder:
    """ResNet-50; 32·width features. Parameters as in ``resnet18``."""
    return _resnet(Bottleneck, (3, 4, 6, 3), channels, width, stem_stride)


def vit(channels: int, width: int = 192, stem_stride: int = 1) -> Encoder:
    """A small vision transformer: depth 6, pre-norm, mean over the patches; ``width`` features.

    Position embeddings are fixed sines and cosines, so images of any size that patches tile will do.

    Parameters
    ----------
    channels : int
        Colour channels of the images.
    width : int
        Width of the embedding: a multiple of 64 (one attention head each), or of 4 below 64.
    stem_stride : {1, 2, 4}
        Patches are 4·stem_stride pixels a side: 4 for 32×32 images, 16 for 224×224.

    References
    ----------
    Dosovitskiy et al., "An Image is Worth 16x16 Words", ICLR 2021; Chen, Xie, He, "An Empirical Study of
    Training Self-Supervised Vision Transformers", ICCV 2021, for the fixed embeddings.
    """
    return _VisionTransformer(channels, width, patch=4 * stem_stride), width


def adapter(features: int, width: int = 256) -> Encoder:
    """A perceptron with one hidden layer on an encoder's features, to as many; there is no ReLU at its end.

    Parameters
    ----------
    features : int
        d of the features, shape (B, d, 1, 1).
    width : int
        Of the hidden layer.
    """
    return nn.Sequential(nn.Flatten(), nn.Linear(features, width), nn.ReLU(), nn.Linear(width, features)), features


def memory_format(module: nn.Module, device: torch.device) -> torch.memory_format:
    """The order of images and weights in memory with which a module trains fast: channels last, where that is safe.

    On a CPU the gradients of strided 1×1 convolutions of few channels in that order are written beyond their memory
    (oneDNN, PyTorch 2.14), and the process dies or goes on with other numbers. The networks here have none, see
    ``_Pointwise``; an encoder of one's own may.
    """
    broken = device.type == "cpu" and any(map(_is_narrow_pointwise, module.modules()))
    return torch.contiguous_format if broken else torch.channels_last


def _is_narrow_pointwise(layer: nn.Module) -> bool:
    if not isinstance(layer, nn.Conv2d) or isinstance(layer, _Pointwise):
        return False
    strided = set(layer.kernel_size) == {1} and set(layer.stride) != {1}
    return strided and min(layer.in_channels, layer.out_channels) // layer.groups < NARROW


def _resnet(
    block: type[BasicBlock] | type[Bottleneck], depths: tuple[int, ...], channels: int, width: int, stem_stride: int
) -> Encoder:
    size = 7 if stem_stride == 4 else 3
    layers: list[nn.Module] = [
        nn.Conv2d(channels, width, size, stride=min(stem_stride, 2), padding=size // 2, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(inplace=True),
    ]
    if stem_stride == 4:
        layers.append(nn.MaxPool2d(3, stride=2, padding=1))
    before = width
    for stage, depth in enumerate(depths):
        inner, stride = width * 2**stage, 1 if stage == 0 else 2
        after = inner * block.expansion
        shortcut = None
        if stride != 1 or before != after:
            shortcut = nn.Sequential(_Pointwise(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))
        layers += [block(before, inner, stride, shortcut), *(block(after, inner) for _ in range(depth - 1))]
        before = after
    for layer in nn.Sequential(*layers).modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
        if type(layer) is nn.Conv2d and layer.stride != (1, 1):
            layer.__class__ = _Strided  # a block makes its own
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten()), before


class _Pointwise(nn.Conv2d):
    """A 1×1 convolution that takes every stride-th pixel first.

    The result is a strided convolution's. oneDNN's own, of few channels in channels-last order, writes beyond its
    memory (PyTorch 2.14).
    """

    def forward(self, x: Tensor) -> Tensor:
        rows, columns = self.stride
        return functional.conv2d(x[:, :, ::rows, ::columns], self.weight)


class _Strided(nn.Conv2d):
    """A strided convolution of larger kernels, with stride 1 over the columns of an image that has one.

    The result is the same. oneDNN leaves some of the weights' gradients there as it finds the memory, in bfloat16
    (PyTorch 2.14).
    """

    def forward(self, x: Tensor) -> Tensor:
        stride = (self.stride[0], 1) if x.shape[3] == 1 else self.stride
        return functional.conv2d(x, self.weight, self.bias, stride, self.padding)


class _VisionTransformer(nn.Module):
    def __init__(self, channels: int, width: int, patch: int, depth: int = 6) -> None:
        super().__init__()
        require(
            width % (4 if width < 64 else 64) == 0,
            "width",
            width,
            "a multiple of 64, or of 4 below 64, for encoder vit",
        )
        self.patch = patch
        self.embed = nn.Conv2d(channels, width, patch, stride=patch)
        # Not nn.TransformerEncoder, which starts every layer from the same weights.
        self.blocks = nn.Sequential(
            *(
                nn.TransformerEncoderLayer(
                    width, max(1, width // 64), 4 * width, 0.0, "gelu", batch_first=True, norm_first=True
                )
                for _ in range(depth)
            )
        )
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[2:]
        require(
            height % self.patch == 0 and width % self.patch == 0,
            "image size",
            f"{height}×{width}",
            f"sides that are multiples of {self.patch}, the patch of encoder vit (4·stem_stride)",
        )
        patches = self.embed(x)
        patches = patches + _sines(patches)
        found: Tensor = self.norm(self.blocks(patches.flatten(2).transpose(1, 2))).mean(dim=1)
        return found


def _sines(patches: Tensor) -> Tensor:
    """Fixed position embeddings, shape (width, rows, columns): a quarter each sin, cos of row and column."""
    width, rows, columns = patches.shape[1:]
    quarter = torch.arange(width // 4, device=patches.device)
    frequency = 10000.0 ** -(quarter / len(quarter))[:, None]
    row = (frequency * torch.arange(rows, device=patches.device))[:, :, None].expand(-1, -1, columns)
    column = (frequency * torch.arange(columns, device=patches.device))[:, None, :].expand(-1, rows, -1)
    return torch.cat([row.sin(), row.cos(), column.sin(), column.cos()])
