"""What the study trains: its parts, each a question and the conditions that answer it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from empirical.arms import Given, NotApplicable, PairRemedy, pair_remedy
from empirical.compare.presets import PRESETS
from empirical.train.settings import Settings
from theory.plan import Plan

SCALES: dict[str, Settings] = {
    # The settings of the published results, whatever the presets have become.
    "cpu": Settings(
        train=5_000,
        encoder="resnet18",
        width=16,
        stem_stride=2,
        dim=32,
        tau=0.2,
        batch=256,
        epochs=30,
        lr=0.24,
        precision="bf16-mixed",
    ),
    "full": PRESETS["photos-gpu"].base,
}
FACTORS = (0.25, 0.5, 2.0, 4.0)  # on the σ and ρ that the plan has for the loss; until plan/3 the theorems'


@dataclass(frozen=True)
class Condition:
    """One way of training, run once for every seed.

    Parameters
    ----------
    name : str
        Also the name of its folder.
    arm : str
        A key of ``empirical.arms.ARMS``, or ``untrained``.
    omega : float
        Share of mixed training images.
    band : {"theory", "wide", "narrow"}
        The selector's band; ``narrow`` is half as wide as the theory's.
    sigma_factor, rho_factor : float
        Factors on the plan's σ and ρ.
    rho_power : float
        Power of the plan's ρ: a factor on the strength −log ρ.
    settings : mapping
        Changes to the base settings.
    """

    name: str
    arm: str
    omega: float = 0.0
    band: str = "theory"
    sigma_factor: float = 1.0
    rho_factor: float = 1.0
    rho_power: float = 1.0
    settings: dict[str, Any] = field(default_factory=dict)

    def remedy(self, plan: Plan, loss: str = "nt_xent") -> PairRemedy | None:
        """The remedy under a plan, of the size that the plan has for a loss.

        Raises
        ------
        NotApplicable
            If the plan has no value for the arm, or the changed one is outside the loss's range.
        """
        found = pair_remedy(self.arm, plan, Given("theory" if self.band == "narrow" else self.band), loss)
        if found is None:
            return None
        rho = found.rho**self.rho_power * self.rho_factor
        if rho > 1:
            raise NotApplicable(f"{self.rho_factor:g} ρ* = {rho:.4g} is above 1: it would weaken the repulsion")
        width = found.pos_low - found.pos_high
        low = found.pos_high + width / 2 if self.band == "narrow" else found.pos_low
        return replace(found, sigma=found.sigma * self.sigma_factor, rho=rho, pos_low=low)


def _arms(*names: str) -> list[Condition]:
    return [Condition(name, name) for name in names]


def _omega() -> list[Condition]:
    mixed = [Condition(f"omega-{omega:g}", "baseline", omega) for omega in (0.1, 0.2, 0.3)]
    return [*_arms("untrained", "baseline"), *mixed, Condition("omega-0.3-mixed_removal", "mixed_removal", 0.3)]


def _strength() -> list[Condition]:
    conditions = _arms("baseline", "margin", "temperature")
    conditions += [Condition(f"margin-x{f:g}", "margin", sigma_factor=f) for f in FACTORS]
    conditions += [Condition(f"temperature-x{f:g}", "temperature", rho_factor=f) for f in FACTORS]
    return conditions + [Condition(f"temperature-power{f:g}", "temperature", rho_power=f) for f in FACTORS]


def _controls() -> list[Condition]:
    return [
        *_arms("baseline", "combined", "margin_all", "temperature_all", "combined_random", "combined_projector"),
        Condition("combined-narrow_band", "combined", band="narrow"),
        Condition("combined-paper_band", "combined", band="wide"),
    ]


def _swept(name: str, values: Sequence[float]) -> list[Condition]:
    """Baseline and combined at other values of a setting than the base's."""
    return _arms("baseline", "combined") + [
        Condition(f"{name}-{value:g}-{arm}", arm, settings={name: value})
        for value in values
        for arm in ("baseline", "combined")
    ]


@dataclass(frozen=True)
class Part:
    """A part of the study.

    Parameters
    ----------
    question : str
    conditions : list of Condition
    seeds : int
        Runs per condition, with seeds 0, 1, …
    """

    question: str
    conditions: list[Condition]
    seeds: int


PARTS = {
    "omega": Part("mixed images as difficult examples, the paper's controlled test", _omega(), 3),
    "remedies": Part(
        "margin, temperature and both, as derived", _arms("baseline", "margin", "temperature", "combined"), 5
    ),
    "rivals": Part(
        "removal of pairs and of samples, and other losses",
        _arms(
            "baseline", "pair_removal", "sample_removal", "random_removal", "adnce", "hcl", "debiased", "combined_auto"
        ),
        5,
    ),
    "strength": Part("is the derived σ*, ρ* near the best?", _strength(), 3),
    "controls": Part("the paper's failure signatures", _controls(), 3),
    "batch": Part("batch size", _swept("batch", (64, 128, 512)), 3),
    "tau": Part("temperature of the loss", _swept("tau", (0.1, 0.5, 1.0)), 3),
    "headline": Part("baseline and combined, for other data or the full scale", _arms("baseline", "combined"), 2),
}
