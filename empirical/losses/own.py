"""Losses of one's own: a function of logits that a user names as ``MODULE:FUNCTION``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from theory.checks import ParameterError, require
from theory.code import attribute, reason_of


def own_loss(spec: str) -> Callable[[Tensor, Tensor], Tensor]:
    """The function that ``MODULE:FUNCTION`` names, tried on three anchors.

    It is called with the logits of ``empirical.losses.pair_logits``, the remedy in them: of the positives, shape (A,),
    and of the negatives, (A, M) with −∞ where there is none. It returns the loss, a scalar.

    Raises
    ------
    ParameterError
        If there is no such function, or it returns no finite scalar with finite gradients.
    """
    loss: Any = attribute("loss", spec)
    generator = torch.Generator().manual_seed(0)
    positive = torch.rand(3, generator=generator).requires_grad_()
    negative = torch.rand(3, 4, generator=generator).requires_grad_()
    none = torch.eye(3, 4, dtype=torch.bool)
    try:
        found = loss(positive, negative.masked_fill(none, -torch.inf))
    except Exception as error:  # code of one's own can raise anything
        raise ParameterError(
            "loss", spec, f"a function of positive and negative logits ({reason_of(error)})"
        ) from error
    scalar = isinstance(found, Tensor) and found.shape == () and found.requires_grad
    require(scalar, "loss", spec, f"a scalar tensor with a gradient (found {type(found).__name__})")
    slopes = torch.autograd.grad(found, (positive, negative), allow_unused=True, materialize_grads=True)
    finite = all(bool(part.isfinite().all()) for part in (found, *slopes))
    require(
        finite, "loss", spec, "a finite loss with finite gradients where an anchor lacks a negative (its logit is −∞)"
    )
    return loss  # type: ignore[no-any-return]
