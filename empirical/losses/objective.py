"""One of the losses with its parameters, as a function of cosines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from torch import Tensor

from empirical.arms import PairRemedy
from empirical.choices import LOSS_NAMES, OBJECTIVE, OPPOSITE, SPECTRAL
from empirical.losses.adnce import adnce, adnce_graph, adnce_sentence, equal_radius_temperature
from empirical.losses.logits import NO_REMEDY, pair_logits
from empirical.losses.nce import debiased, hard_negative, info_nce
from empirical.losses.own import own_loss
from empirical.losses.spectral import spectral
from theory.checks import require_known
from theory.code import is_spec


@dataclass(frozen=True)
class Objective:
    """A loss with its parameters, as a function of cosines.

    Parameters
    ----------
    loss : str
        One of ``empirical.choices.LOSSES``, whose formulas docs/losses.md has, or ``MODULE:FUNCTION`` of one's own
        (``empirical.losses.own_loss``), which is imported.
    tau : float
        Temperature, > 0. For ``spectral`` 1/μ, the inverse square of the embeddings' (largest) length. For
        ``equal_radius`` that of the ADNCE whose radius InfoNCE takes.
    prior : float
        τ⁺ of ``debiased`` and ``hcl``, 0 <= prior < 1.
    concentration : float
        βₕ of ``hcl``, >= 0: how much the most alike negatives weigh; its authors' β.
    adnce_mu, adnce_sigma : float
        Centre μ and width σₐ (> 0) of ADNCE's weights; its authors' μ and σ.
    mochi_share : float
        Share of the negatives that ``mochi`` mixes, 0 < mochi_share <= .5.

    Raises
    ------
    ParameterError
        If a parameter is outside its range.

    Examples
    --------
    >>> import torch
    >>> from empirical.losses import two_view_pairs
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
    mochi_share: float = 1 / 16
    _own: Callable[[Tensor, Tensor], Tensor] | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        require_known("loss", self.loss, LOSS_NAMES)
        for name, within in OBJECTIVE.items():
            within.require(name, getattr(self, name))
        own = own_loss(self.loss) if is_spec(self.loss) else None
        object.__setattr__(self, "_own", own)

    @property
    def opposite(self) -> bool:
        """Whether it compares first views with second ones alone: its pairs are those of ``opposite_pairs``."""
        return self.loss in OPPOSITE

    @property
    def mixes(self) -> bool:
        """Whether mixed negatives are appended to its pairs, as ``empirical.losses.mixing`` makes them."""
        return self.loss == "mochi"

    @property
    def averages(self) -> bool:
        """Whether it averages the negatives that there are, so that those left by a removal need no rescaling."""
        return self.loss in (*SPECTRAL, "adnce_graph")

    def temperature(self, cosines: Tensor) -> float | Tensor:
        """τ of the logits, given the negatives' cosines, shape (A, M)."""
        if self.loss == "equal_radius":
            return equal_radius_temperature(cosines, self.tau, self.adnce_mu, self.adnce_sigma)
        return self.tau

    def __call__(
        self,
        positive: Tensor,
        negative: Tensor,
        flagged: Tensor | None = None,
        remedy: PairRemedy = NO_REMEDY,
        flagged_positive: Tensor | None = None,
    ) -> Tensor:
        """The loss of a batch of pairs, with a remedy for the flagged ones; arguments as in ``pair_logits``."""
        if remedy.rescale and self.averages:
            remedy = replace(remedy, rescale=False)
        tau, rectify = self.temperature(negative), self.loss not in SPECTRAL
        p, n = pair_logits(positive, negative, tau, flagged, remedy, rectify, flagged_positive)
        weights = self.adnce_mu, self.adnce_sigma
        if self.loss == "debiased":
            return debiased(p, n, self.tau, self.prior)
        if self.loss == "hcl":
            return hard_negative(p, n, self.tau, self.prior, self.concentration)
        if self.loss == "adnce":
            return adnce(p, n, negative, *weights)
        if self.loss == "adnce_sentence":
            return adnce_sentence(p, n, (positive, negative), *weights)
        if self.loss == "adnce_graph":
            return adnce_graph(p, n, negative, *weights)
        if self._own is not None:
            return self._own(p, n)
        if not rectify:
            return spectral(p, n, self.tau)
        return info_nce(p, n)
