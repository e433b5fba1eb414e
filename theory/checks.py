"""Conditions on input: one error that names the parameter, its value and the violated condition."""

from __future__ import annotations

import math
from collections.abc import Iterable
from numbers import Integral
from typing import Any, Self


class ParameterError(ValueError):
    """Input outside its range.

    Parameters
    ----------
    name : str
        Of the parameter; without a condition, the whole message.
    value : object
        What was given.
    condition : str, optional
        What it violates.
    place : str, optional
        Which of several inputs it was, such as a point of a sweep.
    """

    def __init__(self, name: str, value: object = None, condition: str | None = None, place: str | None = None) -> None:
        super().__init__(name, value, condition, place)  # all of them, for other processes unpickle from these
        self.name, self.value, self.condition, self.place = name, value, condition, place

    def __str__(self) -> str:
        where = "" if self.place is None else f" at {self.place}"
        if self.condition is None:
            return f"{self.name}{where}"
        return f"{self.name} = {self.value}{where} violates {self.condition}"

    def at(self, place: str) -> Self:
        """The same error with its place."""
        return type(self)(self.name, self.value, self.condition, place)


def require(holds: bool, name: str, value: object, condition: str) -> None:
    """Raise ParameterError naming the parameter, its value and the condition, unless it holds."""
    if not holds:
        raise ParameterError(name, value, condition)


def require_known(name: str, value: object, known: Iterable[str]) -> None:
    """Raise ParameterError, suggesting the nearest name, unless ``value`` is one of ``known``."""
    names = list(known)
    if value in names:
        return
    import difflib  # only errors need it

    nearest = difflib.get_close_matches(str(value), names, 1)
    hint = f" (did you mean {nearest[0]}?)" if nearest else ""
    raise ParameterError(name, value, "one of " + ", ".join(names) + hint)


def require_integer(name: str, value: Any, low: int, high: float = math.inf, *, limit: str = "") -> int:
    """Return ``value`` as an int in [low, high]; ``limit`` says in words where ``high`` comes from."""
    whole = isinstance(value, Integral) or (isinstance(value, float) and value.is_integer())
    if not whole or isinstance(value, bool) or not low <= value <= high:
        condition = f"an integer >= {low}" if high == math.inf else f"an integer in [{low}, {high}]"
        raise ParameterError(name, value, condition + limit)
    return int(value)


def require_share(name: str, value: Any) -> None:
    """Require a number in [0, 1]."""
    require(is_finite(value) and 0 <= value <= 1, name, value, "0 <= " + name + " <= 1")


def is_finite(value: Any) -> bool:
    """Whether a value is a number (not a boolean) that fits a float."""
    try:
        return not isinstance(value, bool | str) and value is not None and math.isfinite(value)
    except (TypeError, OverflowError):
        return False
