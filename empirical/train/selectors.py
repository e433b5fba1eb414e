"""Who says which pairs of a batch are difficult: a band, a threshold that each image learns, or the labels."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor

from empirical.arms import PairRemedy
from empirical.data import DataSet, moved
from empirical.data.labels import UNLABELLED
from empirical.selection import NO_FLAGS, Flags, flag, in_half_open, percentile_band
from empirical.train.labels import PairLabels
from empirical.train.settings import Settings
from empirical.train.simclr import Pairs
from theory.checks import require

BETAS = (0.9, 0.98)  # of the thresholds' Adam, as in the authors' code
EPSILON = 1e-8


class Selector(Protocol):
    """Flags the pairs of a batch, the same on every device."""

    def flags(self, pairs: Pairs, rows: Tensor, epoch: int, seed: int) -> Flags:
        """The difficult pairs.

        Parameters
        ----------
        pairs : Pairs
        rows : Tensor
            Indices of the batch's training images, over all devices, shape (B,).
        epoch : int
            From 0.
        seed : int
            Of random pairs.
        """

    def state(self) -> dict[str, Any]:
        """What a checkpoint must hold."""

    def load(self, state: dict[str, Any]) -> None:
        """Inverse of ``state``."""


class BandSelector:
    """The remedy's band, anew in every batch; without a remedy no pair is flagged."""

    def __init__(self, remedy: PairRemedy | None) -> None:
        self.remedy = remedy

    def flags(self, pairs: Pairs, rows: Tensor, epoch: int, seed: int) -> Flags:
        """See ``empirical.selection.flag``."""
        if self.remedy is None:
            return NO_FLAGS
        assert pairs.ranked is not None
        return flag(*pairs.ranked, self.remedy, seed)

    def state(self) -> dict[str, Any]:
        """Nothing is carried over to the next step."""
        return {}

    def load(self, state: dict[str, Any]) -> None:
        """Inverse of ``state``."""


class Thresholds:
    """GloFND: negatives above a threshold that each training image learns are taken for its class's.

    The threshold λ of an image follows the quantile above which a share α of its negatives lies, over the whole data
    set: the gradient α − (share of this batch's negatives above λ) of a convex loss whose minimiser is that quantile,
    with Adam. It begins at the first batch's own quantile, as the authors' code can (their script begins at 1).

    Parameters
    ----------
    images : int
        Training images.
    share : float
        α, 0 < share < 1.
    rate : float
        Adam's learning rate, > 0.
    start : int
        Epochs before the first update; until then no pair is flagged.
    device : torch.device

    References
    ----------
    Balmaseda et al., "Discovering Global False Negatives On the Fly for Self-supervised Contrastive Learning", ICML
    2025, arXiv 2502.20612; vibalcam/GloFND, unimodal/sogclr/fnd.py.
    """

    def __init__(self, images: int, share: float, rate: float, start: int, device: torch.device) -> None:
        self.share, self.rate, self.start = share, rate, start
        # λ, Adam's two means of the gradient, and the updates so far, of each image.
        self.table = torch.zeros(4, images, device=device)

    @torch.no_grad()
    def flags(self, pairs: Pairs, rows: Tensor, epoch: int, seed: int) -> Flags:
        """Move the thresholds of the batch's images, then flag what lies above them."""
        similarities = pairs.negative.detach()
        if epoch < self.start:
            return Flags(negative=torch.zeros_like(similarities, dtype=torch.bool))
        rows = moved(rows, self.table.device)
        views = len(similarities) // len(rows)  # anchors of each image
        there = similarities > -torch.inf

        def share_above(thresholds: Tensor) -> Tensor:
            above = (similarities > thresholds.repeat(views)[:, None]).sum(dim=1).to(thresholds.dtype)
            return (above / there.sum(dim=1).clamp(min=1)).view(views, -1).mean(dim=0)

        threshold, mean, square, updates = self.table[:, rows]
        begin = percentile_band(similarities, self.share, self.share, by_row=True)[0].view(views, -1).mean(dim=0)
        gradient = self.share - share_above(threshold)
        moments = [torch.lerp(gradient, mean, BETAS[0]), torch.lerp(gradient.square(), square, BETAS[1])]
        steps = updates.clamp(min=1)
        mean, square = (m / (1 - beta**steps) for m, beta in zip(moments, BETAS, strict=True))
        learned = (threshold - self.rate * mean / (square.sqrt() + EPSILON)).clamp(-1, 1)
        begun = updates > 0  # the first update only begins
        found = torch.where(begun, learned, begin.to(learned.dtype))
        self.table[:, rows] = torch.stack([found, *(m * begun for m in moments), updates + 1])
        return Flags(negative=similarities > found.repeat(views)[:, None])

    def state(self) -> dict[str, Any]:
        """The table."""
        return {"table": self.table}

    def load(self, state: dict[str, Any]) -> None:
        """Inverse of ``state``."""
        self.table.copy_(state["table"])


class LabelSelector:
    """The oracle: the negatives of the anchor's own class, by the training labels.

    No method may know them: what the loss gains without its false negatives is what a selector could gain at most by
    finding them, and whether an experiment can see a gain at all.

    Parameters
    ----------
    labels : PairLabels
    """

    def __init__(self, labels: PairLabels) -> None:
        self.labels = labels

    def flags(self, pairs: Pairs, rows: Tensor, epoch: int, seed: int) -> Flags:
        """Flag an anchor's negatives that have its label; never its positive."""
        anchors, others = self.labels.of(pairs, rows)
        return Flags(negative=self.labels.alike(anchors, others) & (pairs.negative.detach() > -torch.inf))

    def state(self) -> dict[str, Any]:
        """The labels of MoCo's queue."""
        return self.labels.state()

    def load(self, state: dict[str, Any]) -> None:
        """Inverse of ``state``."""
        self.labels.load(state)


class KnownSelector:
    """A perfect selector: the pairs of different classes that are most alike, by the training labels.

    No method may know them: it says what a treatment of difficult pairs is worth when all of them, and no others, are
    treated. Positives are left alone. As many pairs are flagged as the remedy's band is wide.

    Parameters
    ----------
    remedy : PairRemedy
    labels : PairLabels
    """

    def __init__(self, remedy: PairRemedy, labels: PairLabels) -> None:
        self.share, self.labels = remedy.pos_low - remedy.pos_high, labels

    def flags(self, pairs: Pairs, rows: Tensor, epoch: int, seed: int) -> Flags:
        """Flag the most alike of the negatives with another label than the anchor's."""
        assert pairs.ranked is not None
        similarities = pairs.ranked[1].detach()
        anchors, others = self.labels.of(pairs, rows)
        number = (similarities > -torch.inf).sum()
        across = similarities.masked_fill(self.labels.alike(anchors, others), -torch.inf)
        share = min(1.0, float(self.share * number / (across > -torch.inf).sum().clamp(min=1)))
        flagged = in_half_open(across, percentile_band(across, 0, share))
        return Flags(torch.zeros_like(pairs.positive, dtype=torch.bool), flagged)

    def state(self) -> dict[str, Any]:
        """The labels of MoCo's queue."""
        return self.labels.state()

    def load(self, state: dict[str, Any]) -> None:
        """Inverse of ``state``."""
        self.labels.load(state)


def make_selector(settings: Settings, data: DataSet, device: torch.device) -> Selector:
    """The settings' selector; ParameterError if it needs labels and there are none."""
    remedy = settings.remedy
    if remedy is not None and remedy.select in ("label", "known"):
        labelled = bool((data.y_train != UNLABELLED).any())
        require(labelled, "arm", settings.arm, f"labels of training images, which {data.name} lacks")
        labels = PairLabels.of_run(settings, data, device)
        return LabelSelector(labels) if remedy.select == "label" else KnownSelector(remedy, labels)
    if remedy is None or remedy.ranks:
        return BandSelector(remedy)
    known = settings.glofnd_share is not None or data.classes > 0
    require(known, "glofnd_share", None, f"a share: there are no classes in {data.name}")
    share = 1 / data.classes if settings.glofnd_share is None else settings.glofnd_share
    start = round(settings.glofnd_start * settings.epochs)
    return Thresholds(len(data.y_train), share, settings.glofnd_rate, start, device)
