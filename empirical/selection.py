"""Flag the difficult pairs of a batch without labels: a band of similarities.

Similarities are cosines, shape (A, M), with −∞ where an anchor has no pair: of a two-view batch
(``losses.two_view_pairs``), of a queue, of a batch gathered from all devices, before or after the projector.
Our band (low, high] excludes its lower end, the paper's [low, high) its upper one, see ``percentile_band``. Ends stay
tensors: nothing here waits for a GPU.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Generator, Tensor
from torch.nn import functional

from empirical.arms import PairRemedy, require_shares
from theory.checks import require_share

Band = tuple[Tensor, Tensor]

BINS = 1 << 16
CELLS = 512  # of the histogram in Fisher's z
BROAD, NARROW = 16, 4  # cells over which it is smoothed, to find its mode and to compare densities
LARGEST_COSINE = 0.9999  # beyond, Fisher's z has no use for a histogram
BULK_BELOW, BULK_ABOVE = 0.9, 0.5  # local false discovery rates at the ends of the band that sets itself
BLOCK = 1 << 19  # similarities at a time


def difficult_pairs(similarities: Tensor, pos_high: float, pos_low: float) -> Tensor:
    """Flag the pairs whose similarity ranks between two shares.

    Pairs are ranked from high to low; the top ``pos_high`` are taken for pairs of the same class, the next ones
    up to ``pos_low`` are flagged.

    Parameters
    ----------
    similarities : Tensor
        Cosines, shape (A, M), −∞ where there is no pair.
    pos_high, pos_low : float
        0 <= pos_high <= pos_low <= 1. The theory's band ends at pos_high plus the share of difficult
        pairs; the paper's wide one at 1.

    Returns
    -------
    Tensor
        bool, shape (A, M).

    Raises
    ------
    ParameterError
        If the shares are out of order or range.

    References
    ----------
    Zhang et al., ICLR 2026, section 5: the pair selector.
    """
    return in_band(similarities, rank_band(similarities, pos_high, pos_low))


class Flags(NamedTuple):
    """The difficult pairs of a batch.

    Attributes
    ----------
    positive : Tensor or None
        bool, shape (A,): the paper's equations and the spectral loss look at it, our arms leave positives alone.
    negative : Tensor or None
        bool, shape (A, M). None where nothing is selected.
    """

    positive: Tensor | None = None
    negative: Tensor | None = None

    def widened(self, width: int) -> Flags:
        """With negatives that are not flagged appended, up to ``width`` for each anchor."""
        if self.negative is None:
            return self
        return self._replace(negative=functional.pad(self.negative, (0, width - self.negative.shape[1])))


NO_FLAGS = Flags()


def flag(positive: Tensor, negative: Tensor, remedy: PairRemedy, seed: int = 0) -> Flags:
    """Flag pairs in the remedy's way.

    Parameters
    ----------
    positive, negative : Tensor
        Cosines of the anchors' positives, shape (A,), and negatives, (A, M), −∞ where there is no pair.
    remedy : PairRemedy
        ``select`` and the band; the space of the similarities is the caller's choice. ``as_printed`` ranks positives
        with the negatives and takes the paper's band; else the negatives make the band, in which a positive may lie.
    seed : int
        Of the random pairs, the same on every device.
    """
    if remedy.select == "all":
        return Flags(torch.ones_like(positive, dtype=torch.bool), negative > -torch.inf)
    if remedy.select == "random":
        generator = Generator(negative.device).manual_seed(seed)
        share = remedy.pos_low - remedy.pos_high
        chosen = random_pairs(negative, share, generator)
        return Flags(random_pairs(positive[:, None], share, generator)[:, 0], chosen)
    by_row = remedy.select == "row"
    if remedy.as_printed:
        everyone = torch.cat([positive[:, None], negative], dim=1)
        flagged = in_half_open(everyone, percentile_band(everyone, remedy.pos_high, remedy.pos_low, by_row))
        return Flags(flagged[:, 0], flagged[:, 1:])
    if remedy.select == "auto":
        band = self_set_band(negative)
    elif by_row:
        band = percentile_band(negative, remedy.pos_high, remedy.pos_low, by_row)
        return Flags(in_half_open(positive[:, None], band)[:, 0], in_half_open(negative, band))
    else:
        band = rank_band(negative, remedy.pos_high, remedy.pos_low)
    return Flags(in_band(positive, band), in_band(negative, band))


def percentile_band(similarities: Tensor, pos_high: float, pos_low: float, by_row: bool = False) -> Band:
    """Sim_posLow and Sim_posHigh, for ``in_half_open``: the paper's percentiles, exact.

    Of n similarities in descending order the ⌈share·n⌉-th is the one at the percentile ``share``; ∞ at 0.

    Parameters
    ----------
    similarities : Tensor
        Cosines, shape (A, M), −∞ where there is no pair. The paper ranks each view's similarity to the *other* views
        of the batch, so that a view's similarity to itself is none, and its positive's is one.
    pos_high, pos_low : float
        0 <= pos_high <= pos_low <= 1.
    by_row : bool
        Rank each anchor's pairs on their own, as the text's vector P_i could also mean, instead of the batch's.

    Returns
    -------
    low, high : Tensor
        Shape (A, 1) or (1, 1).

    Raises
    ------
    ParameterError
        If the shares are out of order or range.

    References
    ----------
    Zhang et al., ICLR 2026 (arXiv 2501.01317 v2), section 5.1 and equation 12.
    """
    require_shares(pos_high, pos_low)
    table = similarities.detach()
    ascending = _sorted(table if by_row else table.reshape(1, -1))
    number = (ascending > -torch.inf).sum(dim=1, keepdim=True)
    wide = torch.float32 if table.device.type == "mps" else torch.float64  # Apple's GPUs have no float64

    def at(share: float) -> Tensor:
        rank = (share * number.to(wide) - 1e-9).ceil().long()  # .15 · 20 pairs are 3, whatever the rounding
        found = ascending.gather(1, (ascending.shape[1] - rank).clamp(max=ascending.shape[1] - 1))
        return torch.where(rank > 0, found, torch.inf)

    return at(pos_low), at(pos_high)


def in_half_open(similarities: Tensor, band: Band) -> Tensor:
    """Flag the similarities in [low, high); bool, shape (A, M). Never −∞, which is no pair (equation 12)."""
    s, low, high = similarities.detach(), *band
    return (s >= low) & (s < high) & (s > -torch.inf)


def _sorted(rows: Tensor) -> Tensor:
    """Each row in ascending order; numpy is tens of times as fast on a processor."""
    if rows.device.type == "cpu":
        return torch.from_numpy(np.sort(rows.numpy(), axis=1))
    return rows.sort(dim=1).values


def in_band(similarities: Tensor, band: Band) -> Tensor:
    """Flag the similarities in (low, high]; bool, shape (A, M). None where low >= high or an end is NaN."""
    s, low, high = (fast(t.detach()) for t in (similarities, *band))
    flagged = s <= high
    flagged &= s > low
    return torch.as_tensor(flagged)


def rank_band(similarities: Tensor, pos_high: float, pos_low: float) -> Band:
    """The band of ``difficult_pairs``.

    A histogram replaces the order statistic: 67 million pairs take one pass, and ``torch.quantile`` refuses more
    than 16 million. A share is off by at most one of 65,536 bins' content; equal similarities are never split.
    """
    require_shares(pos_high, pos_low)
    similarities = similarities.detach()
    lowest, width = _range(similarities)
    above = _histogram(similarities, lowest, width, BINS).flip(0).cumsum(0)

    def above_which(share: float) -> Tensor:
        """The similarity above which the top share lies."""
        if share in (0, 1):
            return torch.full_like(lowest, math.inf if share == 0 else -math.inf)
        bins = torch.searchsorted(above, (share * above[-1]).ceil().long()) + 1
        return lowest + width * (1 - bins / BINS)

    return above_which(pos_low), above_which(pos_high)


def self_set_band(similarities: Tensor) -> Band:
    """A band that sets itself, without shares (experimental; docs/selection.md says how well it does).

    Most pairs are of different classes: around their most frequent similarity they make a bulk, taken for normal in
    Fisher's z = artanh s, with the spread of its lower half, where no pairs of one class are. The local false
    discovery rate f is the bulk's share of all pairs at a similarity. Low is where f falls below 9/10, high where
    it falls below 1/2: under low a pair is of the bulk, above high it is rather of one class, between them it
    could be either.

    Parameters
    ----------
    similarities : Tensor
        Cosines, shape (A, M), −∞ where there is no pair.

    Returns
    -------
    low, high : Tensor
        Ends for ``in_band``, 0-dimensional; ∞ where no pair is above.

    References
    ----------
    Efron, "Large-scale simultaneous hypothesis testing: the choice of a null hypothesis", JASA 2004, for the null
    distribution from the bulk and the local false discovery rate.
    """
    similarities = similarities.detach()
    lowest, width = _range(similarities)
    fine = _histogram(similarities, lowest, width, BINS).to(lowest.dtype)
    centres = lowest + width * (torch.arange(BINS, device=lowest.device) + 0.5) / BINS
    z = centres.clamp(-LARGEST_COSINE, LARGEST_COSINE).atanh()
    step = ((z[-1] - z[0]) / (CELLS - 1)).clamp(min=1e-9)
    cells = ((z - z[0]) / step).round().nan_to_num(0, 0, 0).long().clamp(0, CELLS - 1)
    counts = torch.zeros(CELLS, dtype=fine.dtype, device=fine.device).index_add_(0, cells, fine)
    x = torch.arange(CELLS, dtype=fine.dtype, device=fine.device)
    mode, smooth = _smooth(counts, BROAD).argmax(), _smooth(counts, NARROW)
    below = counts * (x <= mode)
    spread = ((below @ (x - mode) ** 2) / below.sum()).sqrt()
    bulk = 2 * below.sum() * torch.exp(-0.5 * ((x - mode) / spread) ** 2) / (spread * math.sqrt(2 * math.pi))
    exceptional = (smooth > 0) & (x > mode + spread)

    def end(rate: float) -> Tensor:
        """The first similarity above the bulk's spread with a lower rate."""
        found = exceptional & (bulk < rate * smooth)
        return torch.where(found.any(), (z[0] + step * (found.int().argmax() - 0.5)).tanh(), math.inf)

    return end(BULK_BELOW), end(BULK_ABOVE)


def _smooth(counts: Tensor, cells: int) -> Tensor:
    """The histogram smoothed by a Gaussian whose standard deviation is this many cells."""
    offsets = torch.arange(-3 * cells, 3 * cells + 1, dtype=counts.dtype, device=counts.device)
    kernel = (-0.5 * (offsets / cells) ** 2).exp()
    return functional.conv1d(counts[None], (kernel / kernel.sum())[None, None], padding="same")[0]


def random_pairs(similarities: Tensor, share: float, generator: Generator) -> Tensor:
    """Flag random pairs: the control that a selector must beat.

    Parameters
    ----------
    similarities : Tensor
        Shape (A, M), −∞ where there is no pair.
    share : float
        Expected share of the pairs, 0 <= share <= 1.
    generator : Generator
        On the device of the similarities.

    Returns
    -------
    Tensor
        bool, shape (A, M); symmetric if A = M, as every selection in a two-view batch is.
    """
    require_share("share", share)
    draws = torch.rand(similarities.shape, generator=generator, device=similarities.device)
    if similarities.shape[0] == similarities.shape[1]:
        draws = draws.triu() + draws.triu(1).T
    return (draws < share) & (similarities > -torch.inf)


def fast(values: Tensor) -> Any:
    """The values as an array where numpy is faster, that is on a processor: the operators are the same."""
    return values.numpy() if values.device.type == "cpu" else values


def _blocks(similarities: Tensor) -> tuple[Tensor, ...]:
    blocks: tuple[Tensor, ...] = similarities.split(max(1, BLOCK // max(1, similarities.shape[1])))
    return blocks


def _range(similarities: Tensor) -> tuple[Tensor, Tensor]:
    """Lowest similarity and the distance from it to the highest, at least 1e-6."""
    lowest = torch.stack([block.nan_to_num(neginf=math.inf).amin() for block in _blocks(similarities)]).amin()
    return lowest, (similarities.amax() - lowest).clamp(min=1e-6)


def _histogram(similarities: Tensor, lowest: Tensor, width: Tensor, bins: int) -> Tensor:
    """Similarities in each of the equal bins from lowest to lowest + width, int64 of shape (bins,)."""
    scale = bins * (1 - 1e-6) / width  # the highest falls into the last bin
    counts = torch.zeros(bins + 1, dtype=torch.int64, device=similarities.device)
    for block in _blocks(similarities):
        codes = (block - lowest).mul_(scale).nan_to_num_(nan=bins, neginf=bins)  # an extra bin for what is no pair
        if codes.device.type == "cpu":
            counts += torch.bincount(codes.int().view(-1), minlength=bins + 1)  # six times as fast as histc
        else:
            counts += torch.histc(codes, bins + 1, 0, bins + 1).long()  # bincount would wait for the device
    return counts[:bins]
