"""The arms of an experiment: which remedy each applies and which theorem speaks about it."""

from __future__ import annotations

from dataclasses import dataclass

from theory.params import ParameterError, require
from theory.plan import Plan

BANDS = ("theory", "paper")


@dataclass(frozen=True)
class Arm:
    """One remedy.

    Parameters
    ----------
    sigma, rho, remove_pairs : bool
        Whether the loss uses the plan's margin, its temperature factor, or drops flagged pairs.
    drop : {"difficult", "random", "mixed"} or None
        Which training images are left out.
    theorem : str or None
        The bound of ``theory.bounds`` that predicts the arm's error.
    """

    sigma: bool = False
    rho: bool = False
    remove_pairs: bool = False
    drop: str | None = None
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
}


@dataclass(frozen=True)
class PairRemedy:
    """What the loss does to the pairs that the selector flags."""

    sigma: float = 0.0
    rho: float = 1.0
    remove: bool = False
    pos_high: float = 0.0
    pos_low: float = 0.0


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
    band : {"theory", "paper"}
        ``theory`` ends the band where the share of difficult pairs ends, ``paper`` at 1.

    Raises
    ------
    ParameterError
        If the arm or band is unknown, or a plan is needed and there is none.
    NotApplicable
        If the plan's entry for the arm is null.
    """
    require(name in ARMS, "arm", name, "one of " + ", ".join(ARMS))
    require(band in BANDS, "band", band, "one of " + ", ".join(BANDS))
    arm = ARMS[name]
    removes = arm.drop in ("difficult", "random")
    if not arm.selects and not removes:
        return None
    if plan is None:
        raise ParameterError("arm", name, "a plan (--plan FILE): it holds the arm's values")
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
        pos_low=plan.pos_low if band == "theory" else 1.0,
    )
