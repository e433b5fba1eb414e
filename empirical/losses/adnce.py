"""ADNCE in the three forms of its authors' code, and the InfoNCE that goes as far from uniform: its control.

All weigh an anchor's negatives by a Gaussian of their raw cosine, normalised to mean 1 and detached:

    images       −log P/(P + Σ w e^n)
    sentences    −log P/(w⁺P + Σ w e^n): the positive is weighed too, and counts in the mean
    graphs       −log P/(mean of w e^n): no positive in the denominator

Sentences and graphs compare the first views with the second ones alone (``opposite_pairs``).

References
----------
Wu et al. 2023, "Understanding Contrastive Learning via Distributionally Robust Optimization", arXiv 2310.11048;
the forms as in their repository, junkangwu/ADNCE: image/model.py, sentence/simcse/models.py, graph/gsimclr_robust.py.
"""

from __future__ import annotations

import torch
from torch import Tensor

from empirical.losses.logits import counts, require_positive
from empirical.losses.nce import info_nce, log_sum_exp

RADIUS_ROWS = 128  # anchors from which a batch's radius is estimated
NEWTON_STEPS = 30
SHARPEST = 1e9  # 1/τ is looked for between its inverse and this


def adnce(positive: Tensor, negative: Tensor, cosines: Tensor, mu: float, width: float) -> Tensor:
    """ADNCE for images: negatives weighed with mean 1 for each anchor, the positive unweighed.

    Parameters
    ----------
    positive, negative : Tensor
        Logits from ``pair_logits``.
    cosines : Tensor
        Of the negatives, shape (A, M).
    mu, width : float
        Centre and width (> 0) of the Gaussian; σₐ → ∞ is NT-Xent.

    Raises
    ------
    ParameterError
        If width is not positive.
    """
    return info_nce(positive, negative + log_weights(cosines, negative, mu, width))


def adnce_sentence(
    positive: Tensor, negative: Tensor, cosines: tuple[Tensor, Tensor], mu: float, width: float
) -> Tensor:
    """ADNCE for sentences: all candidates weighed with mean 1 for each anchor, the positive among them.

    Parameters
    ----------
    positive, negative, mu, width
        As in ``adnce``.
    cosines : tuple of Tensor
        Of the positives, shape (A,), and of the negatives, (A, M).

    Raises
    ------
    ParameterError
        If width is not positive.
    """
    raw, logits = (torch.cat([p[:, None], n], dim=1) for p, n in (cosines, (positive, negative)))
    return (log_sum_exp(logits + log_weights(raw, logits, mu, width)) - positive).mean()


def adnce_graph(positive: Tensor, negative: Tensor, cosines: Tensor, mu: float, width: float) -> Tensor:
    """ADNCE for graphs: the negatives' weighed mean alone, so that the loss can be negative.

    Parameters
    ----------
    positive, negative, cosines, mu, width
        As in ``adnce``; an anchor without negatives has no loss.

    Raises
    ------
    ParameterError
        If width is not positive.
    """
    number = counts(negative)
    log_sum = log_sum_exp(negative + log_weights(cosines, negative, mu, width))
    return torch.where(number > 0, log_sum - number.clamp(min=1).log() - positive, 0.0).mean()


@torch.no_grad()
def log_weights(cosines: Tensor, there: Tensor, mu: float, width: float) -> Tensor:
    """Log of the weights of each anchor, shape (A, M): their mean is 1 over the pairs that are there, else −∞.

    Parameters
    ----------
    cosines : Tensor
        Shape (A, M).
    there : Tensor
        −∞ where there is no pair, shape (A, M).
    mu, width : float
        Centre and width (> 0) of the Gaussian.

    Raises
    ------
    ParameterError
        If width is not positive.
    """
    require_positive("width", width)
    found = (cosines - mu).square_().div_(-2 * width**2)
    found.masked_fill_(there == -torch.inf, -torch.inf)
    found -= found.logsumexp(dim=1, keepdim=True) - counts(there).log()[:, None]
    return found.nan_to_num_(nan=-torch.inf, neginf=-torch.inf)  # an anchor without negatives


@torch.no_grad()
def equal_radius_temperature(cosines: Tensor, tau: float, mu: float, width: float) -> Tensor:
    """The temperature at which InfoNCE goes as far from uniform as ADNCE does on the same cosines, a scalar.

    Both are compared by the mean over anchors of KL(q‖uniform), q the distribution that the loss gives an anchor's
    negatives (``theory.dro.equal_radius_temperature``). Without this control a comparison of ADNCE with InfoNCE at the
    same τ changes two things at once.

    Parameters
    ----------
    cosines : Tensor
        Of the negatives, shape (A, M), −∞ where there is none; of more than 128 anchors as many, evenly spaced, are
        used.
    tau, mu, width : float
        ADNCE's.

    Raises
    ------
    ParameterError
        If tau or width is not positive.
    """
    require_positive("tau", tau)
    rows = torch.linspace(0, len(cosines) - 1, min(len(cosines), RADIUS_ROWS), device=cosines.device).round().long()
    # Differences of similar cosines decide: with seven digits they can be lost. Apple's GPUs have no more.
    f = cosines[rows].to(torch.float32 if cosines.device.type == "mps" else torch.float64)
    wanted = _radius(f / tau + log_weights(f, f, mu, width))
    # Newton's steps in log 1/τ; a bracket keeps them where the radius, which grows with it, must be.
    log_sharpness = torch.full_like(wanted, 1 / tau).log()
    low, high = torch.full_like(wanted, 1 / SHARPEST).log(), torch.full_like(wanted, SHARPEST).log()
    there = f > -torch.inf
    for _ in range(NEWTON_STEPS):
        logits = f * log_sharpness.exp()
        excess = _radius(logits) - wanted
        q = logits.softmax(dim=1)
        squares = torch.where(there, logits, 0.0)
        variance = ((q * squares.square()).sum(dim=1) - (q * squares).sum(dim=1).square()).nanmean()
        low, high = torch.where(excess < 0, log_sharpness, low), torch.where(excess > 0, log_sharpness, high)
        step = log_sharpness - excess / variance
        inside = (step >= low) & (step <= high)  # false for NaN
        log_sharpness = torch.where(inside, step, (low + high) / 2)
    return (-log_sharpness).exp().to(cosines.dtype)


def _radius(logits: Tensor) -> Tensor:
    """Mean over anchors of KL(softmax‖uniform over their negatives), a scalar.

    As the mean of r·log r − r + 1 of the ratios r: a difference of entropies would lose what is left of nearly equal
    logits.
    """
    there, number = logits > -torch.inf, counts(logits)[:, None]
    centred = logits - torch.where(there, logits, 0.0).sum(dim=1, keepdim=True) / number
    near = torch.where(there, centred.clamp(max=1), 0.0).expm1().sum(dim=1, keepdim=True) / number
    far = centred.logsumexp(dim=1, keepdim=True) - number.log()
    log_ratio = centred - torch.where(centred.amax(dim=1, keepdim=True) < 1, near.log1p(), far)
    x = torch.where(there, log_ratio.clamp(min=-700), 0.0)
    radius: Tensor = ((x * x.exp() - x.expm1()).sum(dim=1, keepdim=True) / number).nanmean()
    return radius
