"""Encoders and the projector; ``Network`` returns the features before and after the projector."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock

from empirical.augment import to_float
from theory.params import require, require_integer

ENCODERS = ("convnet", "resnet18")


def convnet(channels: int, width: int = 32) -> tuple[nn.Module, int]:
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


def resnet18(channels: int, width: int = 64, stem_stride: int = 1) -> tuple[nn.Module, int]:
    """ResNet-18 for small images: a 3×3 stem without max-pooling; 8·width features.

    Parameters
    ----------
    channels : int
        Colour channels of the images.
    width : int
        Channels of the first stage (64 in the original).
    stem_stride : {1, 2}
        2 halves the resolution at the start, for speed on a CPU.
    """
    layers: list[nn.Module] = [
        nn.Conv2d(channels, width, 3, stride=stem_stride, padding=1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(inplace=True),
    ]
    before = width
    for stage in range(4):
        after, stride = width * 2**stage, 1 if stage == 0 else 2
        shortcut = None
        if stride != 1 or before != after:
            shortcut = nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))
        layers += [BasicBlock(before, after, stride, shortcut), BasicBlock(after, after)]
        before = after
    for layer in nn.Sequential(*layers).modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten()), before


class Network(nn.Module):
    """An encoder with a projector of output width k.

    Parameters
    ----------
    name : {"convnet", "resnet18"}
    channels : int
        Colour channels of the images.
    dim : int
        k, the projector's output width: the theory's dimension.
    width, stem_stride : int
        See the encoders.
    """

    def __init__(self, name: str, channels: int, dim: int, width: int, stem_stride: int = 1) -> None:
        super().__init__()
        require(name in ENCODERS, "encoder", name, "one of " + ", ".join(ENCODERS))
        require(stem_stride in (1, 2), "stem_stride", stem_stride, "1 or 2")
        width, dim = require_integer("width", width, 1), require_integer("dim", dim, 1)
        if name == "convnet":
            self.encoder, features = convnet(channels, width)
        else:
            self.encoder, features = resnet18(channels, width, stem_stride)
        self.projector = nn.Sequential(
            nn.Linear(features, features, bias=False),
            nn.BatchNorm1d(features),
            nn.ReLU(inplace=True),
            nn.Linear(features, dim),
        )

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Features before and after the projector, shapes (B, features) and (B, k)."""
        # Pixels arrive in [0, 1]; centring them keeps the first batch norm well conditioned in bf16.
        features = self.encoder((images - 0.5) * 2)
        return features, self.projector(features)


@torch.no_grad()
def extract(
    network: Network, images: Tensor, view: Callable[[Tensor], Tensor] | None = None, batch: int = 512
) -> tuple[Tensor, Tensor]:
    """Features of uint8 images in evaluation mode, float32 on the CPU.

    The network's mode is restored; its weights and statistics are untouched.

    Parameters
    ----------
    network : Network
        On any device.
    images : Tensor
        uint8, shape (N, C, H, W).
    view : callable, optional
        From uint8 images to float ones in [0, 1]; by default no augmentation.
    batch : int
        Images at a time.
    """
    was_training = network.training
    network.eval()
    device = next(network.parameters()).device
    encoded, projected = [], []
    for part in images.split(batch):
        h, z = network((view or to_float)(part.to(device)))
        encoded.append(h.float().cpu())
        projected.append(z.float().cpu())
    network.train(was_training)
    return torch.cat(encoded), torch.cat(projected)
