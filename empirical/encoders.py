"""Encoders and the projector; ``Network`` returns the features before and after the projector."""

from __future__ import annotations

import copy
import importlib
import inspect
import itertools
import math
from collections.abc import Callable, Iterator
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models.resnet import BasicBlock, Bottleneck

from empirical.choices import ENCODERS
from empirical.data.augment import to_float
from theory.checks import ParameterError, require, require_integer, require_known
from theory.memory import require_memory

Encoder = tuple[nn.Module, int]  # and the width of its features


class LazyImages(Protocol):
    """Images that are read when they are asked for, such as ``empirical.data.ImageFiles``."""

    def __len__(self) -> int: ...

    def take(self, indices: Tensor, /) -> Tensor:
        """The uint8 images with these indices, shape (len(indices), C, H, W)."""


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
    factory = _attribute(spec)
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
        raise ParameterError("encoder", spec, f"a factory that makes an encoder ({_reason(error)})") from error
    if not isinstance(encoder, nn.Module):
        raise ParameterError("encoder", spec, f"a factory of an nn.Module (found {type(encoder).__name__})")
    shape = _output_shape(spec, encoder, channels, size)
    require(len(shape) in (2, 4), "encoder", spec, f"output (B, features) or (B, features, h, w), found {shape}")
    if len(shape) == 4:
        encoder = nn.Sequential(encoder, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return encoder, shape[1]


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


class Network(nn.Module):
    """An encoder with a projector of output width k.

    Parameters
    ----------
    name : str
        One of ``ENCODERS`` or ``MODULE:FACTORY``, see ``custom``.
    channels : int
        Colour channels of the images.
    dim : int
        k, the projector's output width: the theory's dimension.
    width, stem_stride : int
        See the encoders; ``convnet`` and encoders of your own have no ``stem_stride``.
    hidden : int, optional
        Width of the projector's hidden layers; by default that of the encoder's features.
    layers : {1, 2, 3}
        Linear layers of the projector, with batch norm and ReLU between.
    size : tuple of int, optional
        Height and width of the images, of which encoders of your own need to know; (1, 1) of features, which
        reach the encoder as they are, while pixels are centred.

    Attributes
    ----------
    encoder, projector : nn.Module
    channels : int
    features : int
        Width of the encoder's output.
    dim : int
        Width of the projector's output.

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
    ) -> None:
        super().__init__()
        self.channels, self.on_pixels = channels, name != "adapter" and size != (1, 1)
        require(stem_stride in (1, 2, 4), "stem_stride", stem_stride, "1, 2 or 4")
        width, self.dim = require_integer("width", width, 1), require_integer("dim", dim, 1)
        if ":" not in name:  # an encoder of one's own is made once
            _require_fitting("width", width, "encoder", lambda: _encoder(name, channels, width, stem_stride, size)[0])
        self.encoder, self.features = _encoder(name, channels, width, stem_stride, size)
        widest = ("dim", dim) if hidden is None else max(("hidden", hidden), ("dim", dim), key=lambda given: given[1])
        _require_fitting(*widest, "projector", lambda: projector(self.features, self.dim, hidden, layers))
        self.projector = projector(self.features, self.dim, hidden, layers)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Features before and after the projector, shapes (B, features) and (B, k)."""
        # Pixels arrive in [0, 1]; centring them keeps the first batch norm well conditioned in bf16.
        features = self.encoder((images - 0.5) * 2 if self.on_pixels else images)
        return features, self.projector(features)


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


NARROW = 16  # channels


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


@torch.no_grad()
def extract(
    network: Network, images: Tensor | LazyImages, view: Callable[[Tensor], Tensor] | None = None, batch: int = 512
) -> tuple[Tensor, Tensor]:
    """Features of uint8 images in evaluation mode, float32 on the CPU.

    The network's mode is restored; its weights and statistics are untouched.

    Parameters
    ----------
    network : Network
        On any device.
    images : Tensor or LazyImages
        uint8, shape (N, C, H, W).
    view : callable, optional
        From uint8 images to float ones in [0, 1]; by default no augmentation.
    batch : int
        Images at a time.

    Raises
    ------
    ParameterError
        If a feature is not finite.
    """
    was_training = network.training
    network.eval()
    device = next(network.parameters()).device
    encoded, projected = [], []
    for part in _parts(images, batch):
        h, z = network((view or to_float)(part.to(device)))
        encoded.append(h.float().cpu())
        projected.append(z.float().cpu())
    network.train(was_training)
    h, z = torch.cat(encoded), torch.cat(projected)
    finite = bool(h.isfinite().all() and z.isfinite().all())
    require(finite, "features", "NaN or infinity", "finite features: the network's weights are too large")
    return h, z


def _parts(images: Tensor | LazyImages, batch: int) -> Iterator[Tensor]:
    if isinstance(images, Tensor):
        yield from images.split(batch)
    else:
        yield from map(images.take, torch.arange(len(images)).split(batch))


def _encoder(name: str, channels: int, width: int, stem_stride: int, size: tuple[int, int] | None) -> Encoder:
    if ":" in name:
        return custom(name, channels, width, size)
    require_known("encoder", name, (*ENCODERS, "MODULE:FACTORY"))
    of_features = name == "adapter"
    require(not of_features or size in (None, (1, 1)), "encoder", name, "an encoder of images, which the data are")
    if name == "convnet":
        return convnet(channels, width)
    if name == "adapter":
        return adapter(channels, width)
    strided = {"resnet10": resnet10, "resnet18": resnet18, "resnet50": resnet50, "vit": vit}
    return strided[name](channels, width, stem_stride)


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


def _attribute(spec: str) -> Callable[..., object]:
    """What ``MODULE:NAME`` names."""
    module_name, _, name = spec.partition(":")
    dotted = all(part.isidentifier() for part in module_name.split("."))
    require(dotted and name.isidentifier(), "encoder", spec, "MODULE:FACTORY, such as package.module:function")
    try:
        module = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:  # a module can raise anything
        raise ParameterError("encoder", spec, f"a module that can be imported ({_reason(error)})") from error
    require(hasattr(module, name), "encoder", spec, f"an attribute {name} of {module_name}")
    found: Callable[..., object] = getattr(module, name)
    return found


def _reason(error: BaseException) -> str:
    """An error's message on one line."""
    return " ".join(str(error).split()) or type(error).__name__


def _output_shape(spec: str, encoder: nn.Module, channels: int, size: tuple[int, int] | None) -> tuple[int, ...]:
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
        raise ParameterError("encoder", spec, f"input {inputs}: {_reason(problem)}") from problem
    require(isinstance(out, Tensor), "encoder", spec, f"a tensor as output (found {type(out).__name__})")
    return tuple(out.shape)
