"""Conditions on input: one error that names the parameter, its value and the violated condition."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from numbers import Integral
from typing import Any, Self

LARGEST = 1e12  # no real parameter here means anything beyond it in magnitude; ρ = 10⁹ is the paper's
LONGEST, LONGEST_LINE = 200, 1000  # signs of a value that an error shows, and of the whole error


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
            return without_middle(printable(f"{self.name}{where}"))
        return without_middle(printable(f"{self.name} = {shortened(self.value)}{where} violates {self.condition}"))

    def at(self, place: str) -> Self:
        """The same error with its place."""
        return type(self)(self.name, self.value, self.condition, place)


def printable(text: str) -> str:
    """The text in one line: what would begin another, move the cursor or has no sign is escaped, such as ``\\n``."""
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)


def without_middle(text: str) -> str:
    """A message without the middle, where it is too long to be read."""
    return text if len(text) <= LONGEST_LINE else f"{text[: LONGEST_LINE // 2]} … {text[-LONGEST_LINE // 4 :]}"


def shortened(value: object) -> str:
    """A value as text that leaves room for what is wrong with it."""
    try:
        text = str(value)
    except ValueError:  # an integer of thousands of digits
        return "a number of thousands of digits"
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def require(holds: bool, name: str, value: object, condition: str) -> None:
    """Raise ParameterError naming the parameter, its value and the condition, unless it holds."""
    if not holds:
        raise ParameterError(name, value, condition)


@contextmanager
def sound(what: str) -> Iterator[None]:
    """Within it an error of a lookup or of arithmetic means that data are damaged: they may be anybody's.

    Parameters
    ----------
    what : str
        Which data, as errors call them.

    Raises
    ------
    ParameterError
    """
    try:
        yield
    except (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError) as error:
        if isinstance(error, ParameterError):
            raise
        lines = str(error).splitlines()
        reason = f" ({shortened(lines[0])})" if lines and "<" not in lines[0] else ""
        raise ParameterError(f"{what}: damaged, or of another version{reason}") from error


def require_known(name: str, value: object, known: Iterable[str]) -> None:
    """Raise ParameterError, suggesting the nearest name, unless ``value`` is one of ``known``."""
    names = known if isinstance(known, tuple) else tuple(known)
    if value not in names:
        raise ParameterError(name, value, "one of " + ", ".join(names) + nearest(str(value), names))


def nearest(value: str, known: Iterable[str]) -> str:
    """A question after the known name nearest to a wrong one, to end an error with; empty if none is near."""
    import difflib  # only errors need it

    found = difflib.get_close_matches(value, list(known), 1)
    return f" (did you mean {found[0]}?)" if found else ""


def require_integer(name: str, value: Any, low: int, high: float = math.inf, *, limit: str = "") -> int:
    """Return ``value`` as an int in [low, high]; ``limit`` says in words where ``high`` comes from."""
    whole = isinstance(value, Integral) or (isinstance(value, float) and value.is_integer())
    if not whole or isinstance(value, bool) or not low <= value <= high:
        condition = f"an integer >= {low}" if high == math.inf else f"an integer in [{low}, {high}]"
        raise ParameterError(name, value, condition + limit)
    return int(value)


@dataclass(frozen=True)
class Range:
    """The finite numbers, or integers, from ``low`` to ``high``: checked, and told in a command's help.

    Parameters
    ----------
    low, high : float
        Both ends belong to it.
    above, below : bool
        Leave the lower, the upper end out.
    whole : bool
        Only integers.
    """

    low: float = -math.inf
    high: float = math.inf
    above: bool = False
    below: bool = False
    whole: bool = False

    def require(self, name: str, value: Any) -> None:
        """Raise ParameterError unless ``value`` belongs to it."""
        if self.whole:
            require_integer(name, value, int(self.low), self.high)
            return
        if is_finite(value) and abs(value) > LARGEST and self.high == math.inf:
            raise ParameterError(name, value, f"a magnitude of at most {LARGEST:g}")
        inside = is_finite(value) and self.low <= value <= self.high
        ends = (self.above and value == self.low) or (self.below and value == self.high)
        require(inside and not ends, name, value, self._condition(name))

    def _condition(self, name: str) -> str:
        if self.low == -math.inf:
            return "a finite number"
        if self.high == math.inf:
            return f"{name} {'>' if self.above else '>='} {self.low:g}"
        left, right = ("<" if end else "<=" for end in (self.above, self.below))
        return f"{self.low:g} {left} {name} {right} {self.high:g}"

    def __str__(self) -> str:
        if self.low == -math.inf:
            return "any number"
        if self.high == math.inf:
            return f"{'>' if self.above else '>='} {self.low:g}"
        if not self.above and not self.below:
            return f"{self.low:g} to {self.high:g}"
        return f"{'above' if self.above else 'from'} {self.low:g} to {'below ' * self.below}{self.high:g}"


RUNS = Range(1, 10_000, whole=True)  # repetitions of an experiment: each is a task that is kept, and takes seconds
JOBS = Range(1, 1024, whole=True)  # processes


def require_share(name: str, value: Any) -> None:
    """Require a number in [0, 1]."""
    require(is_finite(value) and 0 <= value <= 1, name, value, "0 <= " + name + " <= 1")


def is_finite(value: Any) -> bool:
    """Whether a value is a number (not a boolean) that fits a float."""
    try:
        return not isinstance(value, bool | str) and value is not None and math.isfinite(value)
    except (TypeError, OverflowError):
        return False
