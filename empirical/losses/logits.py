"""From cosines to logits: what a remedy does to the flagged pairs, in two forms.

Ours changes negatives alone; the paper's, equations 13–16 to the letter, every flagged pair, the positive too:

    remedy         ours, of a flagged negative            the paper's, of any flagged pair
    margin         (s + σ)/τ                              (s + σ)/τ
    temperature    s/(τρ) where s > 0, else s/τ           s/(τρ)
    combined       (s + σ)/(τρ) where s + σ > 0, …        (s + σ)/(τρ)
    removal        −∞: no negative                        0: a negative of cosine 0
"""

from __future__ import annotations

import torch
from torch import Tensor

from empirical.arms import PairRemedy
from empirical.losses.pairs import PairCosines
from theory.checks import is_finite, require

DIAGNOSED_ROWS = 1024  # anchors at a time
NO_REMEDY = PairRemedy()  # σ = 0, ρ = 1


def pair_logits(
    positive: Tensor,
    negative: Tensor,
    tau: float | Tensor,
    flagged: Tensor | None = None,
    remedy: PairRemedy = NO_REMEDY,
    rectify: bool = True,
    flagged_positive: Tensor | None = None,
) -> PairCosines:
    """Logits of the positives, shape (A,), and of the negatives, (A, M) with −∞ where there is none.

    Parameters
    ----------
    positive, negative : Tensor
        Cosines from ``two_view_pairs``, ``opposite_pairs`` or ``queue_pairs``.
    tau : float or Tensor
        Temperature, > 0; a tensor is a scalar that is not checked.
    flagged : Tensor, optional
        Difficult negatives, bool of shape (A, M).
    remedy : PairRemedy
        What happens to the flagged pairs; how they were selected does not matter here. ``as_printed`` is the
        paper's form; ``rescale`` lets the negatives that a removal leaves weigh as much as all did.
    rectify : bool
        Let rho act only where the cosine (with the margin) is positive: below zero a lower temperature would
        weaken the repulsion that it is meant to strengthen. Not for the spectral loss, see there, and not as printed.
    flagged_positive : Tensor, optional
        Difficult positives, bool of shape (A,): for the paper's form, and for the spectral loss's temperatures.

    Raises
    ------
    ParameterError
        If tau is outside its range, or a mask's shape is not that of its pairs.

    References
    ----------
    Zhang et al., ICLR 2026 (arXiv 2501.01317 v2), equations 13–16.
    """
    require_positive("tau", tau)
    _require_mask("flagged_positive", flagged_positive, positive)
    if flagged is None:
        return positive / tau, negative / tau
    _require_mask("flagged", flagged, negative)
    if remedy.as_printed:
        as_printed = (_as_printed(s, p, tau, remedy) for s, p in ((positive, flagged_positive), (negative, flagged)))
        return next(as_printed), next(as_printed)
    if remedy.remove:
        return positive / tau, _removed(negative / tau, flagged, remedy.rescale)
    if not rectify and flagged_positive is not None:
        positive = torch.where(flagged_positive, positive / remedy.rho, positive)
    p = flagged.view(torch.uint8)  # arithmetic is far faster than a boolean mask on a processor
    logits = negative.add(p, alpha=remedy.sigma)
    if remedy.rho == 1:
        return positive / tau, logits.div_(tau)
    with torch.no_grad():  # piecewise linear: the slopes are constants for the gradient
        steep = logits.sign().clamp_(min=0).mul_(p) if rectify else p.to(logits.dtype)
        slopes = steep.mul_((1 / remedy.rho - 1) / tau).add_(1 / tau)
    return positive / tau, logits.mul_(slopes)


def _as_printed(cosines: Tensor, flagged: Tensor | None, tau: float | Tensor, remedy: PairRemedy) -> Tensor:
    """Equations 13–16 for a table of pairs; −∞ stays, whether flagged or not."""
    if flagged is None:
        return cosines / tau
    if remedy.remove:
        return torch.where(flagged & (cosines > -torch.inf), 0.0, cosines) / tau
    return torch.where(flagged, (cosines + remedy.sigma) / (remedy.rho * tau), cosines / tau)


def _removed(logits: Tensor, flagged: Tensor, rescale: bool) -> Tensor:
    """−∞ for the flagged ones; if asked for, the others' exponentials times all over those that are left."""
    kept = logits + (flagged.view(torch.uint8) * -torch.inf).nan_to_num_(nan=0.0, neginf=-torch.inf)
    if not rescale:
        return kept
    # An anchor that keeps none has −∞ everywhere, which no finite term changes.
    return kept + (counts(logits).log() - counts(kept).clamp(min=1).log()).nan_to_num(neginf=0.0)[:, None]


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
        per_anchor.append(torch.stack([counts(logits).log() - entropy, entropy.exp()]))
    return torch.cat(per_anchor, dim=1).nanmean(dim=1)


def counts(negative: Tensor) -> Tensor:
    """N⁻ of each anchor, the negatives that it has, shape (A,)."""
    return (negative > -torch.inf).sum(dim=1).to(negative.dtype)


def require_positive(name: str, value: float | Tensor) -> None:
    """Require a finite number > 0; looking into a tensor would wait for its device."""
    require(isinstance(value, Tensor) or (is_finite(value) and value > 0), name, value, f"{name} > 0")


def _require_mask(name: str, mask: Tensor | None, pairs: Tensor) -> None:
    if mask is None:
        return
    fits = mask.dtype == torch.bool and mask.shape == pairs.shape
    found, wanted = tuple(mask.shape), tuple(pairs.shape)
    kind = "negatives" if pairs.ndim == 2 else "positives"
    require(fits, name, f"{mask.dtype} of shape {found}", f"torch.bool of the {kind}' shape {wanted}")
