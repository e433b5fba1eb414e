"""SimCLR: the negatives of a view are the views of the batch's other images (Chen et al. 2020)."""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import torch
from lightning_fabric import Fabric
from torch import Tensor

from empirical.arms import PairRemedy
from empirical.losses import two_view_pairs

warnings.filterwarnings("ignore", "torch.distributed.nn.functional.all_gather is deprecated")  # Fabric's to mend


class Pairs(NamedTuple):
    """A batch as its cosines; −inf where there is no pair.

    Attributes
    ----------
    positive : Tensor
        Shape (A,), one for each anchor.
    negative : Tensor
        Shape (A, M).
    ranked : Tensor or None
        The similarities by which difficult pairs are selected, shape (A, M); None if nothing is selected.
    features : Tensor
        Pre-projector features of this device's first views, detached.
    """

    positive: Tensor
    negative: Tensor
    ranked: Tensor | None
    features: Tensor


class SimCLR:
    """Pairs of two views of a batch, over all devices.

    Parameters
    ----------
    fabric : Fabric
    model : module
        Set up by ``fabric``; returns features before and after the projector.
    remedy : PairRemedy or None
        Says in which space similarities are ranked, if at all.
    """

    def __init__(self, fabric: Fabric, model: Any, remedy: PairRemedy | None) -> None:
        self.fabric, self.model, self.remedy = fabric, model, remedy

    def pairs(self, first: Tensor, second: Tensor) -> Pairs:
        """Cosines of a batch of this device's views, shape (B, C, H, W) each."""
        h, z = self.model(torch.cat([first, second]).contiguous(memory_format=torch.channels_last))
        features = h[: len(first)].detach()
        positive, negative = two_view_pairs(gather(self.fabric, z, views=2))
        ranked = None
        if self.remedy is not None:
            with torch.no_grad():
                in_encoder = self.remedy.space == "encoder"
                ranked = (
                    two_view_pairs(gather(self.fabric, h.detach(), views=2))[1] if in_encoder else negative.detach()
                )
        return Pairs(positive, negative, ranked, features)

    def after_step(self) -> None:
        """Nothing is carried over to the next step."""

    def state(self) -> dict[str, Any]:
        """What a checkpoint must hold beside the network."""
        return {}

    def load(self, state: dict[str, Any]) -> None:
        """Inverse of ``state``."""


def gather(fabric: Fabric, features: Tensor, views: int) -> Tensor:
    """Features of all devices with their gradients, all first views before all second ones.

    Parameters
    ----------
    features : Tensor
        This device's, shape (views·B, ·).

    Returns
    -------
    Tensor
        Shape (views·B·devices, ·), the same on every device.
    """
    if fabric.world_size == 1:
        return features
    everywhere = fabric.all_gather(features, sync_grads=features.requires_grad)
    assert isinstance(everywhere, Tensor)
    devices, rows, width = everywhere.shape
    return everywhere.reshape(devices, views, rows // views, width).transpose(0, 1).reshape(-1, width)
