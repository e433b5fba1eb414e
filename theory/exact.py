"""Exact square roots of fractions, so that point evaluations on fractions stay exact."""

from __future__ import annotations

import math
from fractions import Fraction
from functools import total_ordering
from typing import Any

from theory.checks import ParameterError


@total_ordering
class Surd:
    """A quadratic surd a + b·√q with rational a, b and rational q > 0 that is no square.

    Sums, differences and halves with rationals stay surds; comparison with a rational or with a surd of
    the same radicand is exact, by signs and squares.
    """

    __slots__ = ("a", "b", "q")

    def __init__(self, a: Fraction | int, b: Fraction | int, q: Fraction) -> None:
        self.a, self.b, self.q = Fraction(a), Fraction(b), q

    def __add__(self, other: Any) -> Any:
        if isinstance(other, Surd):
            other = _aligned(self, other)
            return _surd(self.a + other.a, self.b + other.b, self.q)
        return Surd(self.a + other, self.b, self.q)

    __radd__ = __add__

    def __neg__(self) -> Surd:
        return Surd(-self.a, -self.b, self.q)

    def __sub__(self, other: Any) -> Any:
        return self + (-other)

    def __rsub__(self, other: Any) -> Any:
        return -self + other

    def __mul__(self, other: Any) -> Any:
        if isinstance(other, Surd):
            other = _aligned(self, other)
            return _surd(self.a * other.a + self.b * other.b * self.q, self.a * other.b + self.b * other.a, self.q)
        return _surd(self.a * other, self.b * other, self.q)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Any:
        if isinstance(other, Surd):
            norm = other.a * other.a - other.b * other.b * other.q
            return self * Surd(other.a / norm, -other.b / norm, other.q)
        return self * (Fraction(1) / other)

    def __rtruediv__(self, other: Any) -> Any:
        return Surd(Fraction(other), 0, self.q) / self

    def sign(self) -> int:
        """−1, 0 or 1, without rounding."""
        a_sign, b_sign = _sign(self.a), _sign(self.b)
        if a_sign * b_sign >= 0:
            return a_sign or b_sign
        return a_sign if self.a * self.a > self.b * self.b * self.q else b_sign

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Surd | Fraction | int):
            return NotImplemented
        difference = self - other
        return difference.sign() == 0 if isinstance(difference, Surd) else difference == 0

    def __lt__(self, other: Any) -> bool:
        difference = self - other
        return difference.sign() < 0 if isinstance(difference, Surd) else bool(difference < 0)

    def __hash__(self) -> int:
        return hash((self.a, self.b > 0, self.b * self.b * self.q))

    def __float__(self) -> float:
        root = math.sqrt(self.q)
        if _sign(self.a) * _sign(self.b) >= 0:
            return float(self.a) + float(self.b) * root
        # a + b√q = (a² − b²q)/(a − b√q) where the sum would cancel
        return float(self.a * self.a - self.b * self.b * self.q) / (float(self.a) - float(self.b) * root)

    def __str__(self) -> str:
        return f"{self.a} {'+' if self.b > 0 else '-'} sqrt({self.b * self.b * self.q})"

    __repr__ = __str__


def sqrt(value: Fraction | int) -> Fraction | Surd:
    """The exact square root of a rational >= 0: a Fraction if it is one, else a Surd.

    Raises
    ------
    ParameterError
        If the value is negative.
    """
    value = Fraction(value)
    if value < 0:
        raise ParameterError("sqrt", value, "value >= 0")
    root = Fraction(math.isqrt(value.numerator), math.isqrt(value.denominator))
    return root if root * root == value else Surd(0, 1, value)


def _aligned(first: Surd, second: Surd) -> Surd:
    """The second surd over the first one's radicand."""
    if first.q == second.q:
        return second
    ratio = sqrt(second.q / first.q)
    if isinstance(ratio, Surd):
        raise ParameterError(f"surds with independent radicands, {first.q} and {second.q}, have no exact sum")
    return Surd(second.a, second.b * ratio, first.q)


def _surd(a: Fraction, b: Fraction, q: Fraction) -> Fraction | Surd:
    return Surd(a, b, q) if b else a


def _sign(value: Fraction) -> int:
    return (value > 0) - (value < 0)
