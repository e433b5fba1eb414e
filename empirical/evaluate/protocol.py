"""How features are scored: named protocols, ours and others'. The table with their sources is docs/evaluation.md."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from empirical.choices import COUNT, POSITIVE, PROTOCOLS
from empirical.paper import STATED, stated
from theory.checks import RUNS, require, require_known

STEPS = {"sgd": (256, 0.1), "both": (256, 0.1), "adnce": (512, 1e-3)}  # batch, learning rate
ELSEWHERE = "cifar10"  # whose settings other data have under ``paper``
EPOCHS = 100  # of a layer that is trained by steps


@dataclass(frozen=True)
class Protocol:
    """How features are scored; what every result has beside its numbers.

    Parameters
    ----------
    probe : str
        One of ``empirical.choices.PROTOCOLS``.
    labels_per_class : int or None
        Labels per class that an L-BFGS probe sees, over ``draws`` draws; None for all of them.
    draws : int
    k, tau : int, float
        Neighbours of kNN (``k`` in documents; no dimension), and the temperature of their votes.
    settings_of : str or None
        The paper's data set whose settings ``paper`` has; None for CIFAR-10's.

    Raises
    ------
    ParameterError
        If a field is outside its range.
    """

    probe: str = "lbfgs"
    labels_per_class: int | None = None
    draws: int = 50
    k: int = 200
    tau: float = 0.1
    settings_of: str | None = None

    def __post_init__(self) -> None:
        require_known("protocol", self.probe, PROTOCOLS)
        RUNS.require("draws", self.draws)
        COUNT.require("knn_neighbours", self.k)
        POSITIVE.require("knn_tau", self.tau)
        if self.labels_per_class is not None:
            fitted = self.probe.startswith("lbfgs")
            require(fitted, "protocol", self.probe, "lbfgs or lbfgs-c1, where labels_per_class is given")
        if self.settings_of is not None:
            require_known("settings_of", self.settings_of, STATED)

    @property
    def c(self) -> float | None:
        """scikit-learn's C of an L-BFGS probe; None where cross-validation chooses it."""
        return 1.0 if self.probe == "lbfgs-c1" else None

    @property
    def steps(self) -> tuple[int, float] | None:
        """Samples a step and learning rate of a layer that is trained by steps; None where none is."""
        if self.probe != "paper":
            return STEPS.get(self.probe)
        found = STATED[self.settings_of or ELSEWHERE]
        return found.probe_batch, found.probe_rate

    @property
    def on_views(self) -> bool:
        """Whether the probe is trained on augmented images, through the encoder."""
        return self.probe == "adnce"

    def to_json(self) -> dict[str, Any]:
        """The protocol as plain data, and in words."""
        return {**asdict(self), "words": self.words}

    @property
    def words(self) -> str:
        """All of it in a line."""
        return f"{self.probe_words}; {self.knn_words}"

    @property
    def probe_words(self) -> str:
        """The linear probe in a line."""
        if self.steps is None:
            return self._fitted
        batch, rate = self.steps
        steps = f"batch {batch}, learning rate {rate:g}, {EPOCHS} epochs"
        sgd = f"SGD on standardised frozen features, all labels, {steps}"
        return {
            "sgd": sgd,
            "both": f"{self._fitted}; {sgd}",
            "paper": f"Zhang et al.'s for {self.settings_of or ELSEWHERE}: SGD on frozen features, all labels, {steps}",
            "adnce": f"Wu et al.'s: Adam on augmented images, encoder in training mode, all labels, {steps}",
        }[self.probe]

    @property
    def _fitted(self) -> str:
        few = self.labels_per_class
        used = "all labels" if few is None else f"{few} labels per class, {self.draws} draws"
        if self.c is not None:
            chosen = f"C = {self.c:g}"
        elif few == 1:
            chosen = "C = 1 (a label a class leaves none to choose it by)"
        else:
            chosen = "C by cross-validation on them"
        return f"L-BFGS on standardised frozen features, {used}, {chosen}"

    @property
    def knn_words(self) -> str:
        """The vote of the neighbours in a line."""
        return f"kNN: {self.k} neighbours, weights e^(cos/{self.tau:g})"

    @classmethod
    def named(
        cls,
        name: str,
        data: str = "",
        training_tau: float = 0.1,
        labels_per_class: int | None = None,
        draws: int = 50,
        k: int = 200,
        tau: float | None = None,
    ) -> Protocol:
        """A named protocol with the settings that it has on a data set.

        Parameters
        ----------
        name : str
            One of ``empirical.choices.PROTOCOLS``.
        data : str
            What ``empirical.data.load`` takes; its file or folder may be named like one of the paper's data sets.
        training_tau : float
            The loss's temperature: that of the votes under ``adnce``.
        labels_per_class, draws, k
            See ``Protocol``.
        tau : float, optional
            Of the votes; by default .1, and ``training_tau`` under ``adnce``.

        Raises
        ------
        ParameterError
            If a value is outside its range, or no protocol has that name.
        """
        if tau is None:
            tau = training_tau if name == "adnce" else cls.tau
        return cls(name, labels_per_class, draws, k, tau, stated(data) if name == "paper" else None)

    @classmethod
    def from_json(cls, document: Mapping[str, Any] | None) -> Protocol:
        """The protocol that a result names; results before protocols had names are by one with C = 1."""
        if document is None:
            return EARLIER
        fields = {name: value for name, value in document.items() if name != "words"}
        if "words" not in document and fields["probe"] != "sgd":
            fields["probe"] = EARLIER.probe
        return cls(**fields)


DEFAULT = Protocol()
EARLIER = Protocol("lbfgs-c1", k=20)  # of results that do not name theirs
