"""MoCo v2: the negatives are a queue of keys from a slowly moving copy of the network (Chen et al. 2020)."""

from __future__ import annotations

import copy
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor
from torch.nn import functional

from empirical.arms import PairRemedy
from empirical.encoders import Network, memory_format
from empirical.losses import Objective, queue_pairs, unit_rows
from empirical.train.simclr import Pairs, gather, ordered


class MoCo:
    """Pairs of queries with their keys and with a queue of earlier keys, over all devices.

    Batch norm is synchronised over devices, so keys are not shuffled between them.

    Parameters
    ----------
    fabric : Fabric
    model : module
        The query network set up by ``fabric``.
    network : Network
        The same network, bare; the key network starts as its copy.
    remedy : PairRemedy or None
        Says in which space similarities are ranked, if at all.
    objective : Objective
        Says whether negatives are mixed. Which views are compared is given: queries with keys.
    size : int
        Keys in the queue.
    momentum : float
        m of key ← m·key + (1 − m)·query.
    seed : int
        Of the random keys with which the queue begins.
    """

    def __init__(
        self,
        fabric: Fabric,
        model: Any,
        network: Network,
        remedy: PairRemedy | None,
        objective: Objective,
        size: int,
        momentum: float,
        seed: int,
    ) -> None:
        self.fabric, self.model, self.network = fabric, model, network
        self.order = memory_format(network, fabric.device)
        self.space = remedy.space if remedy is not None and remedy.ranks else None
        self.objective, self.momentum, self.cursor = objective, momentum, 0
        self.keys = copy.deepcopy(network).requires_grad_(False)
        reference = next(network.parameters())
        generator = torch.Generator().manual_seed(seed)
        self.queues = [
            functional.normalize(torch.randn(size, width, generator=generator), dim=1).to(reference)
            for width in (network.features, network.dim)
        ]
        self._enqueue: list[Tensor] = []

    def pairs(self, first: Any, second: Any) -> Pairs:
        """Cosines of a batch of this device's views, such as images of shape (B, C, H, W) each."""
        first, second = ordered(first, self.order), ordered(second, self.order)
        with torch.no_grad(), self.fabric.autocast():
            self._follow()
            dtype = next(self.keys.parameters()).dtype
            floats = isinstance(second, Tensor) and second.is_floating_point()
            h_key, z_key = self.keys(second.to(dtype) if floats else second)
            h_key, z_key = (gather(self.fabric, x.to(self.queues[0].dtype), views=1) for x in (h_key, z_key))
        h, z = self.model(first)
        z = gather(self.fabric, z, views=1)
        positive, negative = queue_pairs(z, z_key, self.queues[1])
        ranked = None
        if self.space == "encoder":
            with torch.no_grad():
                ranked = queue_pairs(gather(self.fabric, h.detach(), views=1), h_key, self.queues[0])
        elif self.space == "projector":
            ranked = positive.detach(), negative.detach()
        self._enqueue = [h_key, z_key]
        vectors = (unit_rows(z), unit_rows(self.queues[1])) if self.objective.mixes else None
        return Pairs(positive, negative, ranked, h.detach(), vectors)

    @torch.no_grad()
    def after_step(self) -> None:
        """Put the batch's keys into the queue, after the loss has used it, in place of the oldest."""
        for queue, keys in zip(self.queues, self._enqueue, strict=True):
            rows = (self.cursor + torch.arange(len(keys), device=queue.device)) % len(queue)
            queue.index_copy_(0, rows, functional.normalize(keys, dim=1))
        self.cursor = (self.cursor + len(self._enqueue[0])) % len(self.queues[0])

    def state(self) -> dict[str, Any]:
        """What a checkpoint must hold beside the network."""
        return {"keys": self.keys.state_dict(), "queues": self.queues, "cursor": self.cursor}

    def load(self, state: dict[str, Any]) -> None:
        """Inverse of ``state``."""
        self.keys.load_state_dict(state["keys"])
        for queue, saved in zip(self.queues, state["queues"], strict=True):
            queue.copy_(saved)
        self.cursor = state["cursor"]

    def _follow(self) -> None:
        """Move the key network's weights towards the query network's."""
        keys, queries = ([p.detach() for p in network.parameters()] for network in (self.keys, self.network))
        torch._foreach_lerp_(keys, queries, 1 - self.momentum)
