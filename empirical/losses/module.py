"""The losses with the pair selector as a module, for a training loop of one's own."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from empirical.arms import PairRemedy
from empirical.losses.mixing import with_mixed
from empirical.losses.objective import Objective
from empirical.losses.pairs import PairCosines, opposite_pairs, two_view_pairs, unit_rows
from empirical.selection import NO_FLAGS, Flags, flag
from theory.checks import require


class ContrastiveLoss(nn.Module):
    """An objective with a pair remedy as a module, for a training loop of one's own.

    Parameters
    ----------
    objective : Objective, optional
        NT-Xent with τ = 0.5 by default.
    sigma, rho, remove, pos_high, pos_low
        The remedy and its band, see ``empirical.arms.PairRemedy``; by default none and empty.
    as_printed : bool
        The paper's equations 12–16 to the letter: positives are flagged too, a removed pair has cosine 0, rho acts
        whatever the sign.

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
        as_printed: bool = False,
    ) -> None:
        super().__init__()
        self.objective = objective or Objective()
        self.remedy = PairRemedy(sigma, rho, remove, pos_high, pos_low, as_printed=as_printed)

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
        flags = NO_FLAGS
        if self.remedy.pos_low > self.remedy.pos_high:  # before the projections' cosines take their memory
            flags = self._select(z if h0 is None or h1 is None else torch.cat([h0, h1]))
        positive, negative = self._pairs(z)
        if self.objective.mixes:
            seed = int(torch.randint(2**62, ()))
            removed = flags.negative if self.remedy.remove else None
            unit = unit_rows(z)
            negative = with_mixed(unit, unit, negative, self.objective.mochi_share, seed, removed)
            flags = flags.widened(negative.shape[1])
        return self.objective(positive, negative, flags.negative, self.remedy, flags.positive)

    def _pairs(self, features: Tensor) -> PairCosines:
        return opposite_pairs(features) if self.objective.opposite else two_view_pairs(features)

    @torch.no_grad()
    def _select(self, features: Tensor) -> Flags:
        return flag(*self._pairs(features), self.remedy)

    def extra_repr(self) -> str:
        """What ``print`` shows."""
        return f"objective={self.objective}, remedy={self.remedy}"
