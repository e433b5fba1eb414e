"""InfoNCE and the losses that correct its negatives: −log P/(P + N) with N summed from the negatives' logits."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from empirical.losses.logits import counts, require_positive
from theory.checks import is_finite, require


def info_nce(positive: Tensor, negative: Tensor) -> Tensor:
    """NT-Xent, N = Σ e^negative: the mean of −log P/(P + N) over the anchors (Chen et al. 2020).

    Parameters
    ----------
    positive, negative : Tensor
        Logits from ``pair_logits``.
    """
    return negative_log_share(positive, log_sum_exp(negative))


def debiased(positive: Tensor, negative: Tensor, tau: float, prior: float) -> Tensor:
    """The debiased loss: negatives of the anchor's own class are subtracted in expectation (Chuang et al. 2020).

    N = max{(Σ e^negative − τ⁺·N⁻·P)/(1 − τ⁺), N⁻·e^(−1/τ)} with N⁻ negatives.

    Parameters
    ----------
    positive, negative : Tensor
        Logits from ``pair_logits``.
    tau : float
        Temperature, > 0.
    prior : float
        τ⁺, the probability that a negative is of the anchor's class, 0 <= prior < 1; 0 is NT-Xent.

    Raises
    ------
    ParameterError
        If a parameter is outside its range.
    """
    return _debiased(positive, log_sum_exp(negative), negative, tau, prior)


def hard_negative(positive: Tensor, negative: Tensor, tau: float, prior: float, concentration: float) -> Tensor:
    """HCL: debiased, with negatives reweighted by N⁻·softmax(β·negative), not detached (Robinson et al. 2021).

    Parameters
    ----------
    positive, negative, tau, prior
        As in ``debiased``.
    concentration : float
        β >= 0; 0 is the debiased loss.

    Raises
    ------
    ParameterError
        If a parameter is outside its range.
    """
    require(is_finite(concentration) and concentration >= 0, "concentration", concentration, "concentration >= 0")
    if concentration == 0:  # 0·(−∞) is no number
        return debiased(positive, negative, tau, prior)
    tilted, weight = log_sum_exp((1 + concentration) * negative), log_sum_exp(concentration * negative)
    weight = weight.clamp(min=torch.finfo(weight.dtype).min)  # without negatives; −∞ − (−∞) is no number either
    return _debiased(positive, tilted - weight + counts(negative).log(), negative, tau, prior)


class _LogSumExp(torch.autograd.Function):
    """Row-wise log Σ e^logit that keeps the weights for its gradient; −∞, with gradient 0, for a row of −∞."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor) -> Tensor:
        top = logits.amax(dim=1, keepdim=True).clamp(min=torch.finfo(logits.dtype).min)
        weights = (logits - top).exp_()
        total = weights.sum(dim=1, keepdim=True)
        ctx.save_for_backward(weights.div_(total.clamp(min=1)))  # the largest term of a sum is 1
        return (top + total.log()).squeeze(1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (weights,) = ctx.saved_tensors
        return weights * gradient[:, None]  # type: ignore[no-any-return]


def log_sum_exp(logits: Tensor) -> Tensor:
    """log Σ e^logit of each row, shape (A,).

    torch's own gives NaN gradients for a row of −∞. Here the gradient at −∞ is exactly 0, which is why such
    entries may be written in place behind autograd's back.
    """
    return _LogSumExp.apply(logits)  # type: ignore[no-any-return]


def negative_log_share(positive: Tensor, log_sum: Tensor) -> Tensor:
    """Mean of −log P/(P + N), N = e^log_sum; softplus would round to seven digits here."""
    return (torch.logaddexp(positive, log_sum) - positive).mean()


def _debiased(positive: Tensor, log_sum: Tensor, negative: Tensor, tau: float, prior: float) -> Tensor:
    """Mean of −log P/(P + N) with N from log Σ e^negative, in log space."""
    require_positive("tau", tau)
    require(0 <= prior < 1, "prior", prior, "0 <= prior < 1")
    if prior == 0:
        return negative_log_share(positive, log_sum)  # e^(−1/τ) is the smallest term of a sum
    number = counts(negative)
    expected = math.log(prior) + number.log() + positive
    # log(e^a − e^b) where a > b; elsewhere the floor holds, and a constant keeps NaN out of the gradient
    above = expected < log_sum
    gap = torch.where(above, expected - log_sum, -1.0).clamp(max=-1e-12)
    corrected = log_sum + torch.log1p(-torch.exp(gap)) - math.log1p(-prior)
    floor = number.log() - 1 / tau
    return negative_log_share(positive, torch.where(above, torch.maximum(corrected, floor), floor))
