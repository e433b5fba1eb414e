"""The arms of an experiment: which remedy each applies and which theorem speaks about it."""

from __future__ import annotations

from dataclasses import dataclass

from theory.checks import ParameterError, is_finite, require, require_known
from theory.plan import SPACES, Plan

BANDS = ("theory", "paper", "auto")
SELECTIONS = ("rank", "auto", "all", "random")


@dataclass(frozen=True)
class Arm:
    """One remedy.

    Parameters
    ----------
    sigma, rho, remove_pairs : bool
        Whether the loss uses the plan's margin, its temperature factor, or drops flagged pairs.
    drop : {"difficult", "random", "mixed"} or None
        Which training images are left out.
    loss : str or None
        The arm's own loss; None is the experiment's.
    select, space : str
        How pairs are flagged, see ``PairRemedy``.
    theorem : str or None
        The bound of ``theory.bounds`` that predicts the arm's error.
    """

    sigma: bool = False
    rho: bool = False
    remove_pairs: bool = False
    drop: str | None = None
    loss: str | None = None
    select: str = "rank"
    space: str = "encoder"
    theorem: str | None = None

    @property
    def selects(self) -> bool:
        """Whether the loss needs the pair selector."""
        return self.sigma or self.rho or self.remove_pairs


ARMS = {
    "baseline": Arm(theorem="difficult"),
    "margin": Arm(sigma=True, theorem="margin"),
    "temperature": Arm(rho=True, theorem="temperature"),
    "combined": Arm(sigma=True, rho=True),
    "pair_removal": Arm(remove_pairs=True),
    "sample_removal": Arm(drop="difficult", theorem="removal"),
    "random_removal": Arm(drop="random"),
    "mixed_removal": Arm(drop="mixed"),
    "debiased": Arm(loss="debiased"),
    "hcl": Arm(loss="hcl"),
    "adnce": Arm(loss="adnce"),
    "spectral": Arm(loss="spectral"),
    "combined_projector": Arm(sigma=True, rho=True, space="projector"),
    "combined_auto": Arm(sigma=True, rho=True, select="auto"),
    "combined_random": Arm(sigma=True, rho=True, select="random"),
    "margin_all": Arm(sigma=True, select="all"),
    "temperature_all": Arm(rho=True, select="all"),
}


@dataclass(frozen=True)
class PairRemedy:
    """What the loss does to the pairs that the selector flags.

    Parameters
    ----------
    sigma : float
        Margin added to the cosine, >= 0.
    rho : float
        Factor on the temperature, 0 < rho <= 1.
    remove : bool
        Leave the pairs out instead: they are no negatives.
    pos_high, pos_low : float
        The band of the ranking by similarity, 0 <= pos_high <= pos_low <= 1.
    select : {"rank", "auto", "all", "random"}
        The band of the ranking; a band that sets itself; every pair; as many random pairs as the band holds.
    space : {"encoder", "projector"}
        Whose similarities are ranked: features before or after the projector.

    Raises
    ------
    ParameterError
        If a parameter is outside its range.
    """

    sigma: float = 0.0
    rho: float = 1.0
    remove: bool = False
    pos_high: float = 0.0
    pos_low: float = 0.0
    select: str = "rank"
    space: str = "encoder"

    def __post_init__(self) -> None:
        require_known("select", self.select, SELECTIONS)
        require_known("space", self.space, SPACES)
        require(is_finite(self.sigma) and self.sigma >= 0, "sigma", self.sigma, "sigma >= 0")
        require(0 < self.rho <= 1, "rho", self.rho, "0 < rho <= 1")
        require_shares(self.pos_high, self.pos_low)


def require_shares(pos_high: float, pos_low: float) -> None:
    """Require 0 <= pos_high <= pos_low <= 1."""
    require(0 <= pos_high <= 1, "pos_high", pos_high, "0 <= pos_high <= 1")
    require(pos_high <= pos_low <= 1, "pos_low", pos_low, f"pos_high = {pos_high} <= pos_low <= 1")


class NotApplicable(Exception):
    """The plan has no value for an arm; the message says why."""


def pair_remedy(name: str, plan: Plan | None, band: str = "theory") -> PairRemedy | None:
    """The pair remedy of an arm under a plan; None if the arm's loss is plain NT-Xent.

    Parameters
    ----------
    name : str
        A key of ``ARMS``.
    plan : Plan or None
        Required by arms that select pairs or drop difficult samples.
    band : {"theory", "paper", "auto"}
        ``theory`` ends the band where the share of difficult pairs ends, ``paper`` at 1; ``auto`` sets itself.

    Raises
    ------
    ParameterError
        If the arm or band is unknown, or a plan is needed and there is none.
    NotApplicable
        If the plan's entry for the arm is null.
    """
    require_known("arm", name, ARMS)
    require_known("band", band, BANDS)
    arm = ARMS[name]
    removes = arm.drop in ("difficult", "random")
    if not arm.selects and not removes:
        return None
    if plan is None:
        raise ParameterError(f"arm {name} needs a plan, which holds its values: --plan FILE")
    wanted = (
        ("margin_sigma", arm.sigma),
        ("temperature_rho", arm.rho),
        ("removal_fraction", removes),
    )
    for entry, needed in wanted:
        if needed and getattr(plan, entry) is None:
            raise NotApplicable(plan.reasons.get(entry, f"the plan has no {entry}"))
    if not arm.selects:
        return None
    return PairRemedy(
        sigma=(plan.margin_sigma or 0.0) if arm.sigma else 0.0,
        rho=(plan.temperature_rho or 1.0) if arm.rho else 1.0,
        remove=arm.remove_pairs,
        pos_high=plan.pos_high,
        pos_low=1.0 if band == "paper" else plan.pos_low,
        select="auto" if band == "auto" and arm.select == "rank" else arm.select,
        space=arm.space,
    )
