"""Flag the difficult pairs of a batch without labels: a band of the ranking by similarity."""

from __future__ import annotations

import torch
from torch import Tensor

from empirical.losses import cosine_similarities
from theory.params import require

BINS = 1 << 16


def difficult_pairs(features: Tensor, pos_high: float, pos_low: float) -> Tensor:
    """Flag the pairs of different images whose similarity ranks between two shares.

    Negatives are ranked by cosine from high to low; the top ``pos_high`` are taken for pairs of the
    same class, the next ones up to ``pos_low`` are flagged.

    Parameters
    ----------
    features : Tensor
        Pre-projector features of both views, shape (2B, features); rows i and i + B are views of image i.
    pos_high, pos_low : float
        0 <= pos_high <= pos_low <= 1. The theory's band ends at pos_high plus the share of difficult
        pairs; the paper's wide one at 1.

    Returns
    -------
    Tensor
        bool, shape (2B, 2B), symmetric, False at the anchor itself and its positive. Peak memory is
        below twice that of the float32 similarity matrix.

    Raises
    ------
    ParameterError
        If the shares are out of order or range.

    References
    ----------
    Zhang et al., ICLR 2026, section 5: the pair selector.
    """
    require(0 <= pos_high <= 1, "pos_high", pos_high, "0 <= pos_high <= 1")
    require(pos_high <= pos_low <= 1, "pos_low", pos_low, f"pos_high = {pos_high} <= pos_low <= 1")
    with torch.no_grad():
        similarities = cosine_similarities(features.detach())
        rows = torch.arange(len(features), device=features.device)
        for column in (rows, (rows + len(rows) // 2) % len(rows)):
            similarities[rows, column] = torch.nan  # NaN is in no band
        high, low = band_thresholds(similarities, pos_high, pos_low)
        flagged = similarities <= high
        flagged &= similarities > low
        return flagged


def band_thresholds(similarities: Tensor, pos_high: float, pos_low: float) -> tuple[float, float]:
    """Similarities above which the top ``pos_high`` and ``pos_low`` shares lie; NaN entries do not count.

    A histogram of 65,536 bins replaces the order statistic: 67 million pairs take one pass, and
    ``torch.quantile`` refuses more than 16 million. A share is off by at most one bin's content; pairs
    with equal similarity are never split.
    """
    # histc ignores NaN, min and max do not; a copy of some rows at a time replaces one of the matrix.
    blocks = similarities.split(256)
    smallest = min(float(block.nan_to_num(2.0).min()) for block in blocks)
    largest = max(float(block.nan_to_num(-2.0).max()) for block in blocks)
    if not largest > smallest:
        return (smallest, smallest - 1.0) if pos_low > pos_high else (smallest, smallest)
    counts = torch.histc(similarities, BINS, smallest, largest)
    above = counts.double().flip(0).cumsum(0)
    edges = torch.linspace(largest, smallest, BINS + 1, dtype=torch.float64)[1:]

    def threshold(share: float) -> float:
        if share <= 0:
            return largest
        if share >= 1:
            return smallest - 1.0
        return float(edges[int(torch.searchsorted(above, share * above[-1]).clamp(max=BINS - 1))])

    return threshold(pos_high), threshold(pos_low)
