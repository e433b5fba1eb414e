"""The labels of a batch's pairs: of the anchors, and of their negatives, which may be a queue's keys."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from empirical.data import DataSet, moved
from empirical.data.labels import UNLABELLED
from empirical.selection import fast
from empirical.train.settings import Settings
from empirical.train.simclr import Pairs


class PairLabels:
    """Labels of anchors and negatives, the same on every device.

    Parameters
    ----------
    labels : Tensor
        Of all training images, int64 of shape (N,), −1 for one without.
    queue : int
        Keys in MoCo's queue, whose labels are followed; 0 where the negatives are the batch's.
    device : torch.device

    Attributes
    ----------
    complete : bool
        Whether every pair has two labels.
    """

    def __init__(self, labels: Tensor, queue: int, device: torch.device) -> None:
        narrow = labels.amax() <= torch.iinfo(torch.int16).max  # which are compared in a fraction of the time
        self.labels = labels.to(device, torch.int16 if narrow else torch.int64)
        self.keys = torch.full((queue,), UNLABELLED, dtype=self.labels.dtype, device=device)  # random at first
        self.cursor = 0
        self.complete = queue == 0 and bool((labels != UNLABELLED).all())

    @classmethod
    def of_run(cls, settings: Settings, data: DataSet, device: torch.device) -> PairLabels:
        """The labels of a run's pairs."""
        return cls(data.y_train, settings.queue if settings.framework == "moco" else 0, device)

    def of(self, pairs: Pairs, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Labels of a batch's anchors, shape (A,), and of its negatives, (M,), −1 where there is none.

        To be asked once in every step: the batch's keys then enter the queue, as ``MoCo.after_step`` puts them there.

        Parameters
        ----------
        pairs : Pairs
        rows : Tensor
            Indices of the batch's training images, over all devices, shape (B,).
        """
        own = self.labels[moved(rows, self.labels.device)]
        anchors, negatives = pairs.negative.shape
        of_anchors = own.repeat(anchors // len(own))
        if not len(self.keys):
            return of_anchors, own.repeat(negatives // len(own))
        of_negatives = self.keys.clone()
        places = (self.cursor + torch.arange(len(own), device=own.device)) % len(self.keys)
        self.keys.index_copy_(0, places, own)
        self.cursor = (self.cursor + len(own)) % len(self.keys)
        return of_anchors, of_negatives

    def alike(self, anchors: Tensor, negatives: Tensor) -> Tensor:
        """Which pairs have one label, bool of shape (A, M); of those that are there and those that are not."""
        same = fast(anchors)[:, None] == fast(negatives)
        if not self.complete:
            same &= fast(anchors != UNLABELLED)[:, None]
        return torch.as_tensor(same)

    def state(self) -> dict[str, Any]:
        """The queue's labels."""
        return {"keys": self.keys, "cursor": self.cursor}

    def load(self, state: dict[str, Any]) -> None:
        """Inverse of ``state``."""
        self.keys.copy_(state["keys"])
        self.cursor = state["cursor"]
