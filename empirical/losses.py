"""Contrastive losses with a per-pair margin, temperature or removal, in log space.

A batch is its cosine similarities s. ``pair_logits`` turns them into one positive logit per anchor and the
logits of its negatives; the remedies differ only in the logits of the pairs flagged by the mask p:

    NT-Xent        s/τ
    margin         (s + σ p)/τ
    temperature    s/(τ ρ^p)
    combined       (s + σ p)/(τ ρ^p)
    removal        −∞ where p = 1

A loss is then −log P/(P + N), P = e^positive; the losses differ in how they sum the negatives to N.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from theory.params import require


def cosine_similarities(features: Tensor) -> Tensor:
    """Pairwise cosines of the rows, shape (M, M), in float32 or better."""
    unit = functional.normalize(features if features.dtype == torch.float64 else features.float(), dim=1)
    return unit @ unit.T


def pair_logits(
    similarities: Tensor,
    tau: float,
    flagged: Tensor | None = None,
    sigma: float = 0.0,
    rho: float = 1.0,
    remove: bool = False,
) -> tuple[Tensor, Tensor]:
    """Logits of the positives, shape (2B,), and of the negatives, (2B, 2B) with −∞ where there is none.

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

    Raises
    ------
    ParameterError
        If a parameter is outside its range.

    References
    ----------
    Margin, temperature, combined, removal: Zhang et al., ICLR 2026, section 5.
    """
    require(tau > 0, "tau", tau, "tau > 0")
    require(sigma >= 0, "sigma", sigma, "sigma >= 0")
    require(0 < rho <= 1, "rho", rho, "0 < rho <= 1")
    anchors = len(similarities)
    negative = similarities / tau
    if flagged is not None:
        shifted = similarities + sigma
        sharpened = torch.where(shifted > 0, shifted / (tau * rho), shifted / tau)
        negative = torch.where(flagged, torch.full_like(negative, -torch.inf) if remove else sharpened, negative)
    row = torch.arange(anchors, device=similarities.device)
    positive_column = (row + anchors // 2) % anchors
    negative = negative.clone()
    negative[row, row] = negative[row, positive_column] = -torch.inf
    return similarities[row, positive_column] / tau, negative


def info_nce(positive: Tensor, negative: Tensor) -> Tensor:
    """NT-Xent, N = Σ e^negative: the mean of −log P/(P + N) over the anchors (Chen et al. 2020).

    Parameters
    ----------
    positive, negative : Tensor
        From ``pair_logits``.
    """
    return _negative_log_share(positive, negative.logsumexp(dim=1))


def debiased(positive: Tensor, negative: Tensor, tau: float, prior: float) -> Tensor:
    """The debiased loss: negatives of the anchor's own class are subtracted in expectation (Chuang et al. 2020).

    N = max{(Σ e^negative − τ⁺·N⁻·P)/(1 − τ⁺), N⁻·e^{−1/τ}} with N⁻ negatives.

    Parameters
    ----------
    positive, negative : Tensor
        From ``pair_logits``.
    tau : float
        Temperature, > 0.
    prior : float
        τ⁺, the probability that a negative is of the anchor's class, 0 <= prior < 1; 0 is NT-Xent.
    """
    return _debiased(positive, negative.logsumexp(dim=1), _counts(negative), tau, prior)


def hard_negative(positive: Tensor, negative: Tensor, tau: float, prior: float, concentration: float) -> Tensor:
    """HCL: debiased, with negatives reweighted by N⁻·softmax(β·negative), not detached (Robinson et al. 2021).

    Parameters
    ----------
    positive, negative, tau, prior
        As in ``debiased``.
    concentration : float
        β >= 0; 0 is the debiased loss.
    """
    require(concentration >= 0, "concentration", concentration, "concentration >= 0")
    counts = _counts(negative)
    tilt = torch.where(negative > -torch.inf, concentration * negative, negative)  # 0·(−∞) is no number
    tilted = (tilt + negative).logsumexp(dim=1) - tilt.logsumexp(dim=1)
    return _debiased(positive, tilted + counts.log(), counts, tau, prior)


def adnce(positive: Tensor, negative: Tensor, similarities: Tensor, mu: float, sigma: float) -> Tensor:
    """ADNCE: negatives weighted by a Gaussian of their raw cosine, mean 1 for each anchor, detached.

    Parameters
    ----------
    positive, negative : Tensor
        From ``pair_logits``.
    similarities : Tensor
        The cosines, shape (2B, 2B).
    mu, sigma : float
        Centre and width (> 0) of the Gaussian; σ → ∞ is NT-Xent.

    References
    ----------
    Wu et al. 2023, arXiv 2310.11048.
    """
    require(sigma > 0, "sigma", sigma, "sigma > 0")
    with torch.no_grad():
        log_weight = -((similarities - mu) ** 2) / (2 * sigma**2)
        log_weight = log_weight.masked_fill(negative == -torch.inf, -torch.inf)
        log_weight -= log_weight.logsumexp(dim=1, keepdim=True) - _counts(negative).log()[:, None]
        log_weight = log_weight.nan_to_num(nan=-torch.inf, neginf=-torch.inf)  # an anchor without negatives
    return info_nce(positive, negative + log_weight)


def contrastive_loss(
    similarities: Tensor,
    tau: float,
    flagged: Tensor | None = None,
    sigma: float = 0.0,
    rho: float = 1.0,
    remove: bool = False,
) -> Tensor:
    """InfoNCE with a remedy for the flagged pairs: ``info_nce`` of ``pair_logits``."""
    return info_nce(*pair_logits(similarities, tau, flagged, sigma, rho, remove))


def _negative_log_share(positive: Tensor, log_sum: Tensor) -> Tensor:
    """Mean of −log P/(P + N), N = e^log_sum; softplus would round to seven digits here."""
    return (torch.logaddexp(positive, log_sum) - positive).mean()


def _counts(negative: Tensor) -> Tensor:
    """N⁻ of each anchor, shape (2B,)."""
    return (negative > -torch.inf).sum(dim=1).to(negative.dtype)


def _debiased(positive: Tensor, log_sum: Tensor, counts: Tensor, tau: float, prior: float) -> Tensor:
    """Mean of −log P/(P + N) with N from log Σ e^negative, in log space."""
    require(tau > 0, "tau", tau, "tau > 0")
    require(0 <= prior < 1, "prior", prior, "0 <= prior < 1")
    floor = counts.log() - 1 / tau
    if prior == 0:
        return _negative_log_share(positive, torch.maximum(log_sum, floor))
    expected = math.log(prior) + counts.log() + positive
    # log(e^a − e^b) where a > b; elsewhere the floor holds, and the clamp keeps its gradient finite
    difference = log_sum + torch.log1p(-torch.exp((expected - log_sum).clamp(max=-1e-12)))
    corrected = torch.where(expected < log_sum, difference - math.log1p(-prior), torch.full_like(floor, -torch.inf))
    return _negative_log_share(positive, torch.maximum(corrected, floor))
