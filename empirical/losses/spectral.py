"""The spectral contrastive loss, whose minimisers are the eigenvectors that the theory is about."""

from __future__ import annotations

import torch
from torch import Tensor

from empirical.losses.logits import require_positive


def spectral(positive: Tensor, negative: Tensor, tau: float = 1.0) -> Tensor:
    """The spectral contrastive loss τ·[−2·mean(positive) + mean(negative²)] (HaoChen et al. 2021).

    Logits s/τ are inner products of embeddings clipped onto the ball ‖z‖ <= √μ, μ = 1/τ, if ``radius`` = √μ was given
    for the pairs, and on its sphere if they are cosines. The mean of squares is over the negatives given: of
    ``opposite_pairs`` it is the estimate of the paper and of its authors' code, (z₁ᵢ·z₂ⱼ)² over different images'
    opposite views; of ``two_view_pairs`` it counts those of the same side too.

    ‖Ā − M̄ − F·Fᵀ‖² is the loss with (s + m)² for the negatives, and Σ (F·Fᵀ − T∘Ā)²/T² that with s/T for every pair,
    the positives too (``theory.mitigation``), as ``pair_logits`` gives them with ``rectify=False`` and
    ``flagged_positive``: with s/T for the negatives alone it would be T²∘Ā that is factorised. T holds for either sign
    of s, because a square pulls to 0 from both sides and ρ < 1 always strengthens it.

    Parameters
    ----------
    positive, negative : Tensor
        Logits from ``pair_logits``.
    tau : float
        The temperature of the logits, > 0: a factor on the loss.

    Raises
    ------
    ParameterError
        If tau is not positive.
    """
    require_positive("tau", tau)
    there = negative > -torch.inf
    squares = torch.where(there, negative, 0.0).square()
    return tau * (squares.sum() / there.sum().clamp(min=1) - 2 * positive.mean())
