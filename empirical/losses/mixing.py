"""MoCHi: harder negatives, mixed from the hardest ones of each anchor (Kalantidis et al., NeurIPS 2020)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Generator, Tensor
from torch.nn import functional

from theory.checks import require


class Mixture(NamedTuple):
    """Which of an anchor's hardest negatives are mixed, and how.

    Attributes
    ----------
    hardest : int
        Negatives of each anchor that are mixed at all.
    first, second : Tensor
        Ranks in [0, hardest) of the two negatives of a mixture, shape (A, S).
    share : Tensor
        Of the first one in it, in [0, 1), shape (A, S).
    with_anchor : Tensor
        Ranks of the negatives that are mixed with the anchor itself, shape (A, S′).
    anchor_share : Tensor
        Of the anchor in these, in [0, .5), shape (A, S′).
    """

    hardest: int
    first: Tensor
    second: Tensor
    share: Tensor
    with_anchor: Tensor
    anchor_share: Tensor


def draw_mixture(anchors: int, negatives: int, share: float, generator: Generator) -> Mixture:
    """Draw what ``mixed_negatives`` mixes.

    From the N = ``share``·M hardest of M negatives come N/2 mixtures of two of them and N/4 of one with the anchor:
    with the default 1/16 the paper's (1024, 512, 256) at its queue of 16,384 keys.

    Parameters
    ----------
    anchors, negatives : int
        A and M; M at least 4.
    share : float
        0 < share <= 1/2.
    generator : Generator
        Its device is that of the draws.

    Raises
    ------
    ParameterError
        If a parameter is outside its range.
    """
    require(0 < share <= 0.5, "mochi_share", share, "0 < mochi_share <= 0.5")
    require(negatives >= 4, "batch", negatives, "at least 4 negatives of an anchor, to mix them")
    hardest = max(2, round(share * negatives))
    mixtures = (anchors, max(1, hardest // 2)), (anchors, max(1, hardest // 4))

    def ranks(shape: tuple[int, int]) -> Tensor:
        return torch.randint(hardest, shape, generator=generator, device=generator.device)

    def shares(shape: tuple[int, int]) -> Tensor:
        return torch.rand(shape, generator=generator, device=generator.device)

    two, one = mixtures
    return Mixture(hardest, ranks(two), ranks(two), shares(two), ranks(one), shares(one) / 2)


def mixed_negatives(anchors: Tensor, others: Tensor, negative: Tensor, mixture: Mixture) -> Tensor:
    """Cosines of the anchors with their mixed negatives, shape (A, S + S′).

    Mixtures are normalised to length 1 and constants: a gradient reaches the anchors alone.

    Parameters
    ----------
    anchors : Tensor
        Unit vectors, shape (A, k).
    others : Tensor
        Unit vectors of the negatives, shape (M, k).
    negative : Tensor
        Their cosines, shape (A, M), −∞ where there is no pair. An anchor with fewer than ``mixture.hardest`` mixes
        those that it has, and one without any has −∞.
    mixture : Mixture
    """
    with torch.no_grad():
        top = negative.topk(mixture.hardest, dim=1)
        there = (top.values > -torch.inf).sum(dim=1, keepdim=True)
        first, second, single = (
            others[top.indices.gather(1, ranks % there.clamp(min=1))]
            for ranks in (mixture.first, mixture.second, mixture.with_anchor)
        )
        pairs = torch.lerp(second, first, mixture.share[:, :, None].to(first.dtype))
        harder = torch.lerp(single, anchors[:, None], mixture.anchor_share[:, :, None].to(first.dtype))
        mixed = functional.normalize(torch.cat([pairs, harder], dim=1), dim=2)
    with torch.autocast(anchors.device.type, enabled=False):
        cosines = torch.einsum("ak,ask->as", anchors, mixed)
    return torch.where(there > 0, cosines, -torch.inf)


def with_mixed(
    anchors: Tensor, others: Tensor, negative: Tensor, share: float, seed: int, removed: Tensor | None = None
) -> Tensor:
    """The negatives' cosines with those of mixed ones appended, shape (A, M + S + S′).

    Parameters
    ----------
    anchors, others, negative
        As in ``mixed_negatives``.
    share : float
        As in ``draw_mixture``.
    seed : int
        Of the draws, the same on every device.
    removed : Tensor, optional
        Negatives that a remedy takes out, bool of shape (A, M): they are not mixed.

    Raises
    ------
    ParameterError
        If share is outside its range, or an anchor has too few negatives.
    """
    generator = Generator(negative.device).manual_seed(seed)
    mixture = draw_mixture(len(anchors), len(others), share, generator)
    left = negative if removed is None else negative.masked_fill(removed, -torch.inf)
    return torch.cat([negative, mixed_negatives(anchors, others, left, mixture)], dim=1)
