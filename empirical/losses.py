"""InfoNCE with a per-pair margin, temperature or removal, in log space.

All variants are one function of the cosine similarities s, because they differ only in the logits of
the pairs flagged by the mask p:

    NT-Xent        s/τ
    margin         (s + σ p)/τ
    temperature    s/(τ ρ^p)
    combined       (s + σ p)/(τ ρ^p)
    removal        −∞ where p = 1
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from theory.params import require


def cosine_similarities(features: Tensor) -> Tensor:
    """Pairwise cosines of the rows, shape (M, M), in float32 or better."""
    unit = functional.normalize(features if features.dtype == torch.float64 else features.float(), dim=1)
    return unit @ unit.T


def contrastive_loss(
    similarities: Tensor,
    tau: float,
    flagged: Tensor | None = None,
    sigma: float = 0.0,
    rho: float = 1.0,
    remove: bool = False,
) -> Tensor:
    """Mean InfoNCE loss over the 2B anchors of a batch.

    Parameters
    ----------
    similarities : Tensor
        Cosines, shape (2B, 2B); rows i and i + B are the two views of image i.
    tau : float
        Temperature, > 0.
    flagged : Tensor, optional
        Difficult pairs, bool of shape (2B, 2B); entries at an anchor itself and at its positive are ignored.
    sigma : float
        Margin added to the cosine of flagged negatives, >= 0.
    rho : float
        Factor on the temperature of flagged negatives, 0 < rho <= 1. It acts where their cosine
        (with the margin) is positive: below zero a lower temperature would weaken the repulsion
        that it is meant to strengthen.
    remove : bool
        Leave flagged negatives out instead.

    Returns
    -------
    Tensor
        Scalar loss.

    Raises
    ------
    ParameterError
        If a parameter is outside its range.

    References
    ----------
    NT-Xent: Chen et al. 2020. Margin, temperature, combined, removal: Zhang et al., ICLR 2026, section 5.
    """
    require(tau > 0, "tau", tau, "tau > 0")
    require(sigma >= 0, "sigma", sigma, "sigma >= 0")
    require(0 < rho <= 1, "rho", rho, "0 < rho <= 1")
    anchors = len(similarities)
    logits = similarities / tau
    if flagged is not None:
        shifted = similarities + sigma
        sharpened = torch.where(shifted > 0, shifted / (tau * rho), shifted / tau)
        logits = torch.where(flagged, torch.full_like(logits, -torch.inf) if remove else sharpened, logits)
    row = torch.arange(anchors, device=similarities.device)
    positive_column = (row + anchors // 2) % anchors
    positive = similarities[row, positive_column] / tau
    logits = logits.clone()
    logits[row, row] = -torch.inf
    logits[row, positive_column] = positive
    return (logits.logsumexp(dim=1) - positive).mean()
