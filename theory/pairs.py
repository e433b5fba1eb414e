"""Which pairs of classes overlap, and what to do about each: the part of a profile that its verdict follows from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

from theory.checks import is_finite, require, require_integer, require_known, require_share
from theory.files import check_keys

PROBLEM = 0.10  # of the way from β to α: below it, difficult pairs are told apart from others in name only
LEAST = 0.005  # of samples between two classes, and of accuracy that a remedy has to gain
LEVEL = 0.05  # false discovery rate among all pairs of classes
Advice = Literal["deduplicate", "merge", "relabel", "remedy", "collect", "nothing"]
ADVICE: tuple[Advice, ...] = get_args(Advice)


@dataclass(frozen=True)
class ClassPair:
    """Two classes, and what lies between them.

    Parameters
    ----------
    classes : tuple of str
        Their names, or their numbers.
    severity : float
        (γ − β)/(α − β), how far the pair's difficult samples are on the way from other samples of the two classes to
        one class; in [−1, 1], and 1 where α <= β.
    interval : tuple of float
        95 %, over resampled samples.
    flagged : bool
        Whether the pair is a problem.
    alpha, beta, gamma : float
        Mean cosines: within a class (of the two classes' means), between easy samples of the two, between difficult
        ones.
    between : int
        Samples of the two that lie between them.
    mislabelled : int
        Samples of either that a probe is as sure of in the other as of that one's own.
    p_value : float
        That at most ``LEAST`` of the samples lie between the classes or on the wrong side, adjusted for all pairs.
    duplicates : float or None
        Share of those samples that have a near-duplicate in the other class; None where nobody looked.
    advice : str
        From ``ADVICE``.
    """

    classes: tuple[str, str]
    severity: float
    interval: tuple[float, float]
    flagged: bool
    alpha: float
    beta: float
    gamma: float
    between: int
    mislabelled: int
    p_value: float
    duplicates: float | None
    advice: Advice

    @classmethod
    def from_json(cls, where: str, fields: Any) -> ClassPair:
        """Check and convert."""
        check_keys(where, fields, set(cls.__dataclass_fields__))
        names, ends = fields["classes"], fields["interval"]
        two = isinstance(names, list) and len(names) == 2 and all(isinstance(name, str) for name in names)
        require(two, f"{where}.classes", names, "the names of two classes")
        numbers = isinstance(ends, list) and len(ends) == 2 and all(map(is_finite, ends)) and ends[0] <= ends[1]
        require(numbers, f"{where}.interval", ends, "[low, high]")
        for name in ("severity", "alpha", "beta", "gamma"):
            require(is_finite(fields[name]), f"{where}.{name}", fields[name], "a finite number")
        for name in ("between", "mislabelled"):
            require_integer(f"{where}.{name}", fields[name], 0)
        require_share(f"{where}.p_value", fields["p_value"])
        if fields["duplicates"] is not None:
            require_share(f"{where}.duplicates", fields["duplicates"])
        require(isinstance(fields["flagged"], bool), f"{where}.flagged", fields["flagged"], "true or false")
        require_known(f"{where}.advice", fields["advice"], ADVICE)
        return cls(**{**fields, "classes": (names[0], names[1]), "interval": (ends[0], ends[1])})

    @property
    def undecided(self) -> bool:
        """Whether samples lie between the classes, and the severity may be 0 or ``PROBLEM``."""
        return self.advice == "nothing" and self.p_value <= LEVEL and self.interval[1] >= PROBLEM


@dataclass(frozen=True)
class Overlap:
    """All pairs of classes together.

    Parameters
    ----------
    pairs : int
        How many there are; a profile lists the worst.
    flagged : int
        How many of the listed ones are a problem.
    samples : int
        With a label.
    affected : int
        Samples that lie between the two classes of a flagged pair or on its wrong side, each counted once.
    between : int
        Samples that lie between their class and any other.
    mislabelled : int
        Samples that are probably mislabelled, other than of flagged pairs.
    gain : float or None
        Accuracy that the best remedy for the flagged pairs is predicted to add, a share; None where there is no
        prediction, or nothing to remedy.
    """

    pairs: int
    flagged: int
    samples: int
    affected: int
    between: int
    mislabelled: int
    gain: float | None

    @classmethod
    def from_json(cls, where: str, fields: Any) -> Overlap:
        """Check and convert."""
        check_keys(where, fields, set(cls.__dataclass_fields__))
        for name in set(fields) - {"gain"}:
            require_integer(f"{where}.{name}", fields[name], 0)
        gain = fields["gain"]
        require(gain is None or is_finite(gain), f"{where}.gain", gain, "a finite number or null")
        return cls(**fields)
