"""Views of a sentence: itself, which dropout makes two, tokens hidden or left out, or its features in part."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from theory.checks import Range

SHARE = Range(0, 1, below=True)


def same(tokens: Tensor, generator: torch.Generator) -> Tensor:
    """The sentences as they are: two views differ by the encoder's dropout alone (SimCSE, Gao et al. 2021, §3)."""
    return tokens


@dataclass(frozen=True)
class DroppedFeatures:
    """Frozen features, each set to 0 with probability ``share`` and else divided by 1 − share: dropout as the view.

    Parameters
    ----------
    share : float
        In (0, 1): without it both views were one.
    """

    share: float

    def __post_init__(self) -> None:
        Range(0, 1, above=True, below=True).require("dropout", self.share)

    def __call__(self, features: Tensor, generator: torch.Generator) -> Tensor:
        """A view of a batch, shape (B, d)."""
        kept = torch.rand(features.shape, generator=generator).to(features.device) >= self.share
        return features * kept / (1 - self.share)


@dataclass(frozen=True)
class MaskedTokens:
    """Sentences of which each token, but the first and the padding, is hidden with probability ``share``.

    Parameters
    ----------
    share : float
        In [0, 1).
    mask : int
        The token in place of a hidden one.
    pad : int
        The token that fills up.
    """

    share: float
    mask: int
    pad: int

    def __post_init__(self) -> None:
        SHARE.require("masked tokens", self.share)

    def __call__(self, tokens: Tensor, generator: torch.Generator) -> Tensor:
        """A view of a batch, shape (B, L)."""
        hidden = torch.rand(tokens.shape, generator=generator).to(tokens.device) < self.share
        hidden &= tokens != self.pad
        hidden[:, 0] = False  # which may be what the sentence is read from
        return tokens.masked_fill(hidden, self.mask)


@dataclass(frozen=True)
class DroppedTokens:
    """Sentences of which each token, but the first and the last, is left out with probability ``share``.

    What is left moves together. Two dropouts of one sentence are of one length, by which alone a network can tell it
    from others (Wu et al. 2022, ESimCSE); these views are not. Deleting words at random is Wei & Zou's (2019).

    Parameters
    ----------
    share : float
        In [0, 1).
    pad : int
        The token that fills up.
    """

    share: float
    pad: int

    def __post_init__(self) -> None:
        SHARE.require("dropped tokens", self.share)

    def __call__(self, tokens: Tensor, generator: torch.Generator) -> Tensor:
        """A view of a batch, shape (B, L)."""
        inside = tokens != self.pad
        last = inside.sum(1, keepdim=True) - 1
        place = torch.arange(tokens.shape[1], device=tokens.device)
        kept = torch.rand(tokens.shape, generator=generator).to(tokens.device) >= self.share
        kept = inside & (kept | (place == 0) | (place == last))
        order = (~kept).int().argsort(dim=1, stable=True)
        return tokens.gather(1, order).masked_fill(~kept.gather(1, order), self.pad)

    def pair(self, tokens: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Two views, without the columns that both leave empty."""
        first, second = self(tokens, generator), self(tokens, generator)
        longest = max(int((view != self.pad).sum(1).max()) for view in (first, second))
        return first[:, :longest], second[:, :longest]
