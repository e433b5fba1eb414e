"""Contrastive losses with a per-pair margin, temperature or removal, in log space.

A batch of pairs is two tensors of cosines, whatever they come from (``two_view_pairs`` of a batch,
``queue_pairs`` of MoCo): the positive of each of A anchors, shape (A,), and its negatives, shape (A, M), with −∞
where there is none. ``pair_logits`` turns them into logits; remedies change those of the pairs p that are flagged:

    NT-Xent        s/τ
    margin         (s + σ p)/τ
    temperature    s/(τ ρ^p)
    combined       (s + σ p)/(τ ρ^p)
    removal        −∞ where p = 1

A loss is then the mean of −log P/(P + N), P = e^positive, and losses differ in how they sum the negatives to N;
the spectral loss alone has another form. ``Objective`` is one of them with its parameters.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from empirical.arms import PairRemedy
from empirical.choices import LOSSES, OBJECTIVE
from empirical.selection import flag
from theory.checks import is_finite, require, require_known

SMALLEST_NORM = 1e-12
DIAGNOSED_ROWS = 1024  # anchors at a time
NO_REMEDY = PairRemedy()  # σ = 0, ρ = 1

Pairs = tuple[Tensor, Tensor]


# --- pairs -----------------------------------------------------------------------------------------


def cosine_similarities(a: Tensor, b: Tensor | None = None, radius: float = 0.0) -> Tensor:
    """Cosines of the rows of a with those of b (a itself by default), in float32 or better.

    Parameters
    ----------
    a, b : Tensor
        Shapes (M, k) and (N, k).
    radius : float
        Rows shorter than this count in proportion to their length, >= 0: v/max(‖v‖, radius) in place of v/‖v‖.

    Returns
    -------
    Tensor
        Shape (M, N).
    """
    unit = _unit(a, radius)
    return _product(unit, unit if b is None else _unit(b, radius))


def two_view_pairs(z: Tensor, radius: float = 0.0) -> Pairs:
    """Every view against all other views of the batch (SimCLR).

    Parameters
    ----------
    z : Tensor
        Shape (2B, k); rows i and i + B are the two views of image i.
    radius : float
        As in ``cosine_similarities``.

    Returns
    -------
    positive : Tensor
        Shape (2B,).
    negative : Tensor
        Shape (2B, 2B), −∞ at the anchor itself and at its positive.

    Raises
    ------
    ParameterError
        If z is not a matrix with an even number of rows.
    """
    require(z.ndim == 2 and len(z) % 2 == 0, "z", f"shape {tuple(z.shape)}", "shape (2B, k)")
    images = len(z) // 2
    unit = _unit(z, radius)
    positive = (unit[:images] * unit[images:]).sum(dim=1).repeat(2)
    negative = _product(unit, unit)
    with torch.no_grad():  # see ``_log_sum_exp``: no loss sends a gradient to where there is −∞
        for offset in (0, images, -images):
            negative.diagonal(offset).fill_(-torch.inf)
    return positive, negative


def queue_pairs(query: Tensor, key: Tensor, queue: Tensor, radius: float = 0.0) -> Pairs:
    """Queries against their keys and a queue of earlier keys, which get no gradient (MoCo, He et al. 2020).

    Parameters
    ----------
    query, key : Tensor
        Shape (B, k), two views of each image.
    queue : Tensor
        Shape (K, k), without the batch's own keys.
    radius : float
        As in ``cosine_similarities``.

    Returns
    -------
    positive : Tensor
        Shape (B,).
    negative : Tensor
        Shape (B, K).

    Raises
    ------
    ParameterError
        If the shapes do not fit.
    """
    require(query.ndim == 2, "query", f"shape {tuple(query.shape)}", "shape (B, k)")
    require(key.shape == query.shape, "key", f"shape {tuple(key.shape)}", f"the query's shape {tuple(query.shape)}")
    fits = queue.ndim == 2 and queue.shape[1] == query.shape[1]
    require(fits, "queue", f"shape {tuple(queue.shape)}", f"shape (K, {query.shape[1]})")
    unit = _unit(query, radius)
    positive = (unit * _unit(key.detach(), radius)).sum(dim=1)
    return positive, _product(unit, _unit(queue.detach(), radius))


def _unit(features: Tensor, radius: float) -> Tensor:
    wide = features if features.dtype == torch.float64 else features.float()
    return functional.normalize(wide, dim=1, eps=max(radius, SMALLEST_NORM))


def _product(a: Tensor, b: Tensor) -> Tensor:
    with torch.autocast(a.device.type, enabled=False):  # which would round the cosines to bf16
        return a @ b.T


# --- logits ----------------------------------------------------------------------------------------


def pair_logits(
    positive: Tensor,
    negative: Tensor,
    tau: float,
    flagged: Tensor | None = None,
    remedy: PairRemedy = NO_REMEDY,
    rectify: bool = True,
) -> Pairs:
    """Logits of the positives, shape (A,), and of the negatives, (A, M) with −∞ where there is none.

    Parameters
    ----------
    positive, negative : Tensor
        Cosines from ``two_view_pairs`` or ``queue_pairs``.
    tau : float
        Temperature, > 0.
    flagged : Tensor, optional
        Difficult pairs, bool of shape (A, M).
    remedy : PairRemedy
        Its margin, temperature factor or removal is for the flagged negatives; how they were selected does not
        matter here.
    rectify : bool
        Let rho act only where the cosine (with the margin) is positive: below zero a lower temperature would
        weaken the repulsion that it is meant to strengthen. Not for the spectral loss, see there.

    Raises
    ------
    ParameterError
        If tau is outside its range, or the mask's shape is not that of the negatives.

    References
    ----------
    Margin, temperature, combined, removal: Zhang et al., ICLR 2026, section 5.
    """
    _require_positive("tau", tau)
    if flagged is None:
        return positive / tau, negative / tau
    _require_mask(flagged, negative)
    p = flagged.view(torch.uint8)  # arithmetic is far faster than a boolean mask on a processor
    if remedy.remove:
        return positive / tau, (negative / tau).add_((p * -torch.inf).nan_to_num_(nan=0.0, neginf=-torch.inf))
    logits = negative.add(p, alpha=remedy.sigma)
    if remedy.rho == 1:
        return positive / tau, logits.div_(tau)
    with torch.no_grad():  # piecewise linear: the slopes are constants for the gradient
        steep = logits.sign().clamp_(min=0).mul_(p) if rectify else p.to(logits.dtype)
        slopes = steep.mul_((1 / remedy.rho - 1) / tau).add_(1 / tau)
    return positive / tau, logits.mul_(slopes)


def _require_mask(flagged: Tensor, negative: Tensor) -> None:
    fits = flagged.dtype == torch.bool and flagged.shape == negative.shape
    found, wanted = tuple(flagged.shape), tuple(negative.shape)
    require(fits, "flagged", f"{flagged.dtype} of shape {found}", f"torch.bool of the negatives' shape {wanted}")


def diagnostics(negative: Tensor) -> Tensor:
    """How an anchor's negatives are weighted: the robust radius and the effective number of negatives.

    InfoNCE weighs them by the softmax q of their logits. The radius is η = KL(q‖uniform), the one whose
    multiplier is the temperature (``theory.dro.robust_radius``); the effective number is e^entropy(q).

    Parameters
    ----------
    negative : Tensor
        Logits from ``pair_logits``, shape (A, M).

    Returns
    -------
    Tensor
        η and the effective number, each a mean over the anchors that have a negative (NaN if none has); shape
        (2,), without gradient.

    References
    ----------
    Wu et al. 2023, arXiv 2310.11048.
    """
    per_anchor = []
    for logits in negative.detach().split(DIAGNOSED_ROWS):
        entropy = torch.special.entr(logits.softmax(dim=1)).sum(dim=1)  # NaN without negatives
        per_anchor.append(torch.stack([_counts(logits).log() - entropy, entropy.exp()]))
    return torch.cat(per_anchor, dim=1).nanmean(dim=1)


# --- losses ----------------------------------------------------------------------------------------


def info_nce(positive: Tensor, negative: Tensor) -> Tensor:
    """NT-Xent, N = Σ e^negative: the mean of −log P/(P + N) over the anchors (Chen et al. 2020).

    Parameters
    ----------
    positive, negative : Tensor
        Logits from ``pair_logits``.
    """
    return _negative_log_share(positive, _log_sum_exp(negative))


def debiased(positive: Tensor, negative: Tensor, tau: float, prior: float) -> Tensor:
    """The debiased loss: negatives of the anchor's own class are subtracted in expectation (Chuang et al. 2020).

    N = max{(Σ e^negative − τ⁺·N⁻·P)/(1 − τ⁺), N⁻·e^{−1/τ}} with N⁻ negatives.

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
    return _debiased(positive, _log_sum_exp(negative), negative, tau, prior)


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
    _require_not_negative("concentration", concentration)
    if concentration == 0:  # 0·(−∞) is no number
        return debiased(positive, negative, tau, prior)
    tilted, weight = _log_sum_exp((1 + concentration) * negative), _log_sum_exp(concentration * negative)
    weight = weight.clamp(min=torch.finfo(weight.dtype).min)  # without negatives; −∞ − (−∞) is no number either
    return _debiased(positive, tilted - weight + _counts(negative).log(), negative, tau, prior)


def adnce(positive: Tensor, negative: Tensor, cosines: Tensor, mu: float, sigma: float) -> Tensor:
    """ADNCE: negatives weighted by a Gaussian of their raw cosine, mean 1 for each anchor, detached.

    Parameters
    ----------
    positive, negative : Tensor
        Logits from ``pair_logits``.
    cosines : Tensor
        Of the negatives, shape (A, M).
    mu, sigma : float
        Centre and width (> 0) of the Gaussian; σ → ∞ is NT-Xent.

    Raises
    ------
    ParameterError
        If sigma is not positive.

    References
    ----------
    Wu et al. 2023, arXiv 2310.11048.
    """
    _require_positive("sigma", sigma)
    with torch.no_grad():
        log_weight = (cosines - mu).square_().div_(-2 * sigma**2)
        log_weight.masked_fill_(negative == -torch.inf, -torch.inf)
        log_weight -= log_weight.logsumexp(dim=1, keepdim=True) - _counts(negative).log()[:, None]
        log_weight.nan_to_num_(nan=-torch.inf, neginf=-torch.inf)  # an anchor without negatives
    return info_nce(positive, negative + log_weight)


def spectral(positive: Tensor, negative: Tensor, tau: float = 1.0) -> Tensor:
    """The spectral contrastive loss τ·[−2·mean(positive) + mean(negative²)] (HaoChen et al. 2021).

    Logits s/τ are inner products of embeddings clipped onto the ball ‖z‖ <= √μ, μ = 1/τ, if ``radius`` = √μ was given
    for the pairs, and on its sphere if they are cosines. The paper's estimate averages (z₁ᵢ·z₂ⱼ)² over different
    images' *opposite* views; here the mean is over all negatives of the batch, those of the same side too.

    ‖Ā − M̄ − F·Fᵀ‖² is the loss with (s + m)² for the negatives, and Σ (F·Fᵀ − T∘Ā)²/T² that with (s/T)²
    (``theory.mitigation``), as ``pair_logits`` gives them with ``rectify=False``: T holds for either sign of s,
    because a square pulls to 0 from both sides and ρ < 1 always strengthens it.

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
    _require_positive("tau", tau)
    there = negative > -torch.inf
    squares = torch.where(there, negative, 0.0).square()
    return tau * (squares.sum() / there.sum().clamp(min=1) - 2 * positive.mean())


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


def _log_sum_exp(logits: Tensor) -> Tensor:
    """log Σ e^logit of each row, shape (A,).

    torch's own gives NaN gradients for a row of −∞. Here the gradient at −∞ is exactly 0, which is why such
    entries may be written in place behind autograd's back.
    """
    return _LogSumExp.apply(logits)  # type: ignore[no-any-return]


def _negative_log_share(positive: Tensor, log_sum: Tensor) -> Tensor:
    """Mean of −log P/(P + N), N = e^log_sum; softplus would round to seven digits here."""
    return (torch.logaddexp(positive, log_sum) - positive).mean()


def _counts(negative: Tensor) -> Tensor:
    """N⁻ of each anchor, shape (A,)."""
    return (negative > -torch.inf).sum(dim=1).to(negative.dtype)


def _debiased(positive: Tensor, log_sum: Tensor, negative: Tensor, tau: float, prior: float) -> Tensor:
    """Mean of −log P/(P + N) with N from log Σ e^negative, in log space."""
    _require_positive("tau", tau)
    require(0 <= prior < 1, "prior", prior, "0 <= prior < 1")
    if prior == 0:
        return _negative_log_share(positive, log_sum)  # e^{−1/τ} is the smallest term of a sum
    counts = _counts(negative)
    expected = math.log(prior) + counts.log() + positive
    # log(e^a − e^b) where a > b; elsewhere the floor holds, and a constant keeps NaN out of the gradient
    above = expected < log_sum
    gap = torch.where(above, expected - log_sum, -1.0).clamp(max=-1e-12)
    corrected = log_sum + torch.log1p(-torch.exp(gap)) - math.log1p(-prior)
    floor = counts.log() - 1 / tau
    return _negative_log_share(positive, torch.where(above, torch.maximum(corrected, floor), floor))


def _require_positive(name: str, value: float) -> None:
    require(is_finite(value) and value > 0, name, value, f"{name} > 0")


def _require_not_negative(name: str, value: float) -> None:
    require(is_finite(value) and value >= 0, name, value, f"{name} >= 0")


# --- one of them, with its parameters --------------------------------------------------------------


@dataclass(frozen=True)
class Objective:
    """A loss with its parameters, as a function of cosines.

    Parameters
    ----------
    loss : {"nt_xent", "debiased", "hcl", "adnce", "spectral"}
    tau : float
        Temperature, > 0. For ``spectral`` 1/μ, the inverse square of the embeddings' (largest) length.
    prior : float
        τ⁺ of ``debiased`` and ``hcl``, 0 <= prior < 1.
    concentration : float
        β of ``hcl``, >= 0.
    adnce_mu, adnce_sigma : float
        Centre and width (> 0) of ADNCE's weights.

    Raises
    ------
    ParameterError
        If a parameter is outside its range.

    Examples
    --------
    >>> positive, negative = two_view_pairs(torch.eye(4))
    >>> round(Objective("nt_xent")(positive, negative).item(), 4)  # log 3: all candidates alike
    1.0986
    """

    loss: str = "nt_xent"
    tau: float = 0.5
    prior: float = 0.1
    concentration: float = 1.0
    adnce_mu: float = 0.7
    adnce_sigma: float = 0.5

    def __post_init__(self) -> None:
        require_known("loss", self.loss, LOSSES)
        for name, within in OBJECTIVE.items():
            within.require(name, getattr(self, name))

    def __call__(
        self,
        positive: Tensor,
        negative: Tensor,
        flagged: Tensor | None = None,
        remedy: PairRemedy = NO_REMEDY,
    ) -> Tensor:
        """The loss of a batch of pairs, with a remedy for the flagged ones; arguments as in ``pair_logits``."""
        rectify = self.loss != "spectral"
        p, n = pair_logits(positive, negative, self.tau, flagged, remedy, rectify)
        if self.loss == "debiased":
            return debiased(p, n, self.tau, self.prior)
        if self.loss == "hcl":
            return hard_negative(p, n, self.tau, self.prior, self.concentration)
        if self.loss == "adnce":
            return adnce(p, n, negative, self.adnce_mu, self.adnce_sigma)
        if self.loss == "spectral":
            return spectral(p, n, self.tau)
        return info_nce(p, n)


class ContrastiveLoss(nn.Module):
    """An objective with a pair remedy as a module, for a training loop of one's own.

    Parameters
    ----------
    objective : Objective, optional
        NT-Xent with τ = 0.5 by default.
    sigma, rho, remove, pos_high, pos_low
        The remedy and its band, see ``empirical.arms.PairRemedy``; by default none and empty.

    Raises
    ------
    ParameterError
        If a parameter is outside its range.

    Examples
    --------
    >>> loss = ContrastiveLoss(Objective(tau=0.2), sigma=0.1, pos_high=0.1, pos_low=0.2)
    >>> views = torch.eye(4)
    >>> bool(loss(views, views) > 0)
    True
    """

    def __init__(
        self,
        objective: Objective | None = None,
        sigma: float = 0.0,
        rho: float = 1.0,
        remove: bool = False,
        pos_high: float = 0.0,
        pos_low: float = 0.0,
    ) -> None:
        super().__init__()
        self.objective = objective or Objective()
        self.remedy = PairRemedy(sigma, rho, remove, pos_high, pos_low)

    def forward(self, z0: Tensor, z1: Tensor, h0: Tensor | None = None, h1: Tensor | None = None) -> Tensor:
        """The loss of a batch, a scalar.

        Parameters
        ----------
        z0, z1 : Tensor
            Projections of the two views, shape (B, k).
        h0, h1 : Tensor, optional
            Features before the projector, shape (B, features), which rank the pairs better (Zhang et al.,
            ICLR 2026); without them the projections do.
        """
        require(z0.shape == z1.shape, "z1", f"shape {tuple(z1.shape)}", f"the shape of z0, {tuple(z0.shape)}")
        require((h0 is None) == (h1 is None), "h0, h1", "one of them", "both or none")
        z = torch.cat([z0, z1])
        flagged = None
        if self.remedy.pos_low > self.remedy.pos_high:  # before the projections' cosines take their memory
            flagged = self._select(z if h0 is None or h1 is None else torch.cat([h0, h1]))
        positive, negative = two_view_pairs(z)
        return self.objective(positive, negative, flagged, self.remedy)

    @torch.no_grad()
    def _select(self, features: Tensor) -> Tensor:
        _, similarities = two_view_pairs(features)
        return flag(similarities, self.remedy)

    def extra_repr(self) -> str:
        """What ``print`` shows."""
        return f"objective={self.objective}, remedy={self.remedy}"
