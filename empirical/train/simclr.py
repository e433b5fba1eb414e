"""SimCLR: the negatives of a view are the views of the batch's other images (Chen et al. 2020)."""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import torch
from lightning_fabric import Fabric
from torch import Tensor

from empirical.arms import PairRemedy
from empirical.encoders import memory_format
from empirical.losses import Objective, opposite_pairs, two_view_pairs, unit_rows
from empirical.modalities.contract import joined

warnings.filterwarnings("ignore", "torch.distributed.nn.functional.all_gather is deprecated")  # Fabric's to mend


class Pairs(NamedTuple):
    """A batch as its cosines; −inf where there is no pair.

    Attributes
    ----------
    positive : Tensor
        Shape (A,), one for each anchor.
    negative : Tensor
        Shape (A, M).
    ranked : pair of Tensor or None
        The similarities by which difficult pairs are selected, of positives and negatives; None if nothing is.
    features : Tensor
        Pre-projector features of this device's first views, detached.
    vectors : pair of Tensor or None
        Unit vectors of the anchors, shape (A, k), and of the negatives, (M, k); None if nothing is mixed.
    """

    positive: Tensor
    negative: Tensor
    ranked: tuple[Tensor, Tensor] | None
    features: Tensor
    vectors: tuple[Tensor, Tensor] | None = None


class SimCLR:
    """Pairs of two views of a batch, over all devices.

    Parameters
    ----------
    fabric : Fabric
    model : module
        Set up by ``fabric``; returns features before and after the projector.
    remedy : PairRemedy or None
        Says in which space similarities are ranked, if at all.
    objective : Objective
        Says which views are compared, and whether negatives are mixed.
    """

    def __init__(self, fabric: Fabric, model: Any, remedy: PairRemedy | None, objective: Objective) -> None:
        self.fabric, self.model, self.objective = fabric, model, objective
        self.order = memory_format(model, fabric.device)
        self.space = remedy.space if remedy is not None and remedy.ranks else None

    def pairs(self, first: Any, second: Any) -> Pairs:
        """Cosines of a batch of this device's views, such as images of shape (B, C, H, W) each."""
        h, z = self.model(ordered(joined(first, second), self.order))
        features = h[: len(first)].detach()
        z = gather(self.fabric, z, views=2)
        compare = opposite_pairs if self.objective.opposite else two_view_pairs
        positive, negative = compare(z)
        ranked = None
        if self.space == "encoder":
            with torch.no_grad():
                ranked = compare(gather(self.fabric, h.detach(), views=2))
        elif self.space == "projector":
            ranked = positive.detach(), negative.detach()
        unit = unit_rows(z) if self.objective.mixes else None
        return Pairs(positive, negative, ranked, features, None if unit is None else (unit, unit))

    def after_step(self) -> None:
        """Nothing is carried over to the next step."""

    def state(self) -> dict[str, Any]:
        """What a checkpoint must hold beside the network."""
        return {}

    def load(self, state: dict[str, Any]) -> None:
        """Inverse of ``state``."""


def ordered(batch: Any, order: torch.memory_format) -> Any:
    """Images in an order of memory; other batches as they are."""
    return batch.contiguous(memory_format=order) if isinstance(batch, Tensor) and batch.ndim == 4 else batch


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
