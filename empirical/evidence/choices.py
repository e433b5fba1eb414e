"""What the tuning seeds chose: committed before the confirmatory runs, ``choices.json``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from empirical.arms import Given
from theory.checks import ParameterError
from theory.files import read_json

TUNED = ("margin", "temperature", "combined")  # arms of ours whose σ and ρ are chosen
FILE = Path(__file__).parent / "choices.json"


@dataclass(frozen=True)
class Choices:
    """What the tuning seeds chose on a data set.

    Parameters
    ----------
    c : float
        Of the probe.
    tau : float
        The best temperature of all pairs.
    margin, temperature, combined : Given or None
        The best σ and ρ of our arms at the stated temperature.
    """

    c: float
    tau: float
    margin: Given | None = None
    temperature: Given | None = None
    combined: Given | None = None

    def to_json(self) -> dict[str, Any]:
        """As plain data, with σ and ρ of each arm that has been tuned."""
        given = {arm: getattr(self, arm) for arm in TUNED}
        tuned = {arm: {"sigma": g.sigma, "rho": g.rho} for arm, g in given.items() if g is not None}
        return {"c": self.c, "tau": self.tau, **tuned}

    @classmethod
    def from_json(cls, document: Mapping[str, Any], stated: str) -> Choices:
        """Inverse of ``to_json``; the band is that of the data set ``stated``."""
        tuned = {
            arm: Given("paper", stated=stated, **values)
            for arm, values in document.items()
            if isinstance(values, Mapping)
        }
        return cls(document["c"], document["tau"], **tuned)


def read_choices(data: str, stated: str, path: Path = FILE) -> Choices:
    """What was chosen on a data set.

    Raises
    ------
    ParameterError
        If nothing was.
    """
    documents = read_json(path) if path.exists() else {}
    if data not in documents:
        raise ParameterError(f"nothing has been chosen for {data} in {path}: difficult evidence tuning")
    return Choices.from_json(documents[data], stated)
