"""What is compared, and the presets of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any
from warnings import catch_warnings, simplefilter

from empirical.arms import ARM_NAMES, ARMS, Given, arm_named, pair_remedy
from empirical.choices import NOT_NEGATIVE, SCORES
from empirical.evaluate.protocol import Protocol
from empirical.train.settings import Settings
from theory.checks import RUNS, ParameterError, require, require_known, require_share
from theory.kinds import Pairing
from theory.plan import Plan
from theory.sizes import NO_REMEDY

ANY_PLAN = Plan(NO_REMEDY, NO_REMEDY, NO_REMEDY, pos_high=0.1, pos_low=0.2, removal_fraction=0.1)


@dataclass(frozen=True)
class Experiment:
    """What is compared.

    Parameters
    ----------
    base : Settings
        Settings that all runs share.
    arms : tuple of str
        Keys of ``empirical.arms.ARMS``, or ``MODULE:NAME`` of one's own; ``baseline`` is always among them.
    seeds : int
        Runs per arm, with seeds 0, 1, …
    omegas : tuple of float
        Shares of mixed training images, one condition each.
    band, sigma, rho, ranking, stated
        An arm's values in place of the plan's, see ``Given``.
    pairing : str
        The pairing behind the plan.
    scores : str or None
        What makes a sample difficult for sample removal, one of ``SCORES``, see ``empirical.difficulty.Criteria``;
        by default doubt where there are labels and contrast where there are none. The paper's is the gap.
    redundancy : float
        Weight of SAS's penalty for similar samples, >= 0; other than 0 only with scores "sas".
    labels_per_class : int or None
        Labels per class that the probe sees, over ``draws`` draws; None for all of them.
    draws : int
    protocol, knn_k, knn_tau : str, int, float or None
        How probe and kNN, with ``knn_k`` neighbours, are done, see ``empirical.evaluate.Protocol``.
    """

    base: Settings
    arms: tuple[str, ...]
    seeds: int = 3
    omegas: tuple[float, ...] = (0.0,)
    band: str | None = None
    sigma: float | None = None
    rho: float | None = None
    ranking: str = "batch"
    stated: str | None = None
    pairing: Pairing = "block"
    scores: str | None = None
    redundancy: float = 0.0
    labels_per_class: int | None = None
    draws: int = Protocol.draws
    protocol: str = Protocol.probe
    knn_k: int = Protocol.k
    knn_tau: float | None = None

    def __post_init__(self) -> None:
        for arm in self.arms:
            require_known("arms", arm, ARM_NAMES)
        require(len(set(self.arms)) == len(self.arms), "arms", ",".join(self.arms), "no arm twice")
        if "baseline" not in self.arms:
            raise ParameterError(
                f"arms {','.join(self.arms)}: baseline is missing, against which all others are compared"
            )
        RUNS.require("seeds", self.seeds)
        require(bool(self.omegas), "omegas", "", "at least one value")
        require(len(set(self.omegas)) == len(self.omegas), "omegas", self.omegas, "no value twice")
        for omega in self.omegas:
            require_share("omega", omega)
            replace(self.base, omega=omega)  # which cached views refuse
        self.require_arms([arm for arm in self.arms if arm in ARMS])  # a document may name code: that is not run
        if self.scores is not None:
            require_known("scores", self.scores, SCORES)
        NOT_NEGATIVE.require("redundancy", self.redundancy)
        require(self.scores == "sas" or self.redundancy == 0, "redundancy", self.redundancy, "0 unless scores = sas")
        self.protocol_of(self.base)

    def require_arms(self, arms: Sequence[str]) -> None:
        """Refuse values with which one of these arms could not be trained, whatever the plan will be."""
        with catch_warnings():
            simplefilter("ignore")
            for arm in arms:
                pair_remedy(arm, ANY_PLAN, self.given, arm_named(arm).loss or self.base.loss, self.base.data)

    @property
    def given(self) -> Given:
        """Values in place of the plan's."""
        return Given(self.band, self.sigma, self.rho, self.ranking, self.stated)

    def protocol_of(self, settings: Settings) -> Protocol:
        """How a run with these settings is evaluated."""
        few = self.labels_per_class, self.draws
        data = self.stated or settings.data
        return Protocol.named(self.protocol, data, settings.tau, *few, self.knn_k, self.knn_tau)

    def to_json(self) -> dict[str, Any]:
        """The experiment as plain data."""
        document = {**asdict(self), "base": self.base.to_json()}
        return {**document, "arms": list(self.arms), "omegas": list(self.omegas)}


PRESETS: dict[str, Experiment] = {
    "digits-demo": Experiment(
        base=Settings(data="digits", encoder="convnet", width=16, dim=16, batch=200, epochs=30, lr=0.12),
        arms=(
            "baseline",
            "margin",
            "temperature",
            "combined",
            "pair_removal",
            "sample_removal",
            "random_removal",
            "mixed_removal",
        ),
        seeds=4,
        omegas=(0.0, 0.2, 0.4),
        labels_per_class=5,
    ),
    "photos-cpu": Experiment(
        base=Settings(
            encoder="resnet10",
            width=48,
            stem_stride=2,
            dim=32,
            tau=0.2,
            batch=256,
            epochs=30,
            lr=0.24,
            resolutions=".5:.8,.75",
            precision="bf16-mixed",
        ),
        arms=("baseline", "margin", "temperature", "combined"),
    ),
    "photos-gpu": Experiment(
        base=Settings(encoder="resnet18", dim=128, batch=512, epochs=100, precision="bf16-mixed"),
        arms=("baseline", "margin", "temperature", "combined"),
    ),
    "adapter": Experiment(
        base=Settings(
            encoder="adapter",
            width=256,
            layers=1,
            dim=64,
            batch=256,
            epochs=5,
            optimizer="adamw",
            lr=5e-3,
            warmup=0.05,
        ),
        arms=("baseline", "margin", "temperature", "combined"),
        seeds=10,
    ),
}

DEFAULT = "photos-cpu"


def preset_for(data: str | None) -> str:
    """The preset of a comparison on these data where none is named."""
    return "adapter" if (data or "").startswith("views:") else DEFAULT
