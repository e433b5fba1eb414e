"""How features are scored."""

from __future__ import annotations

from dataclasses import dataclass

from empirical.choices import POSITIVE, PROTOCOLS
from theory.checks import require, require_integer, require_known


@dataclass(frozen=True)
class Protocol:
    """How features are scored.

    Parameters
    ----------
    probe : {"lbfgs", "sgd", "both"}
        ``linear_probe``, ``sgd_probe`` or both.
    labels_per_class : int or None
        Labels per class that ``linear_probe`` sees, over ``draws`` draws; None for all of them.
    draws : int
    k, tau : int, float
        Neighbours of kNN, and the temperature of their votes.

    Raises
    ------
    ParameterError
        If a field is outside its range.
    """

    probe: str = "lbfgs"
    labels_per_class: int | None = None
    draws: int = 50
    k: int = 20
    tau: float = 0.1

    def __post_init__(self) -> None:
        require_known("protocol", self.probe, PROTOCOLS)
        require_integer("draws", self.draws, 1)
        require_integer("knn_k", self.k, 1)
        POSITIVE.require("knn_tau", self.tau)
        if self.labels_per_class is not None:
            require(self.probe == "lbfgs", "protocol", self.probe, "lbfgs, where labels_per_class is given")


DEFAULT = Protocol()
