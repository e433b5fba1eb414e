"""Certified evaluation with arb balls (python-flint) and comparisons that never guess."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any, Literal

from theory import formulas
from theory.checks import ParameterError
from theory.kinds import degrees, paper_weights
from theory.params import GraphParameters

Truth = Literal["proved", "refuted", "undecided"]
PRECISIONS = (64, 128, 256, 512, 1024)


def _flint() -> Any:
    try:
        import flint
    except ImportError as error:
        raise ParameterError("arb balls need python-flint: install difficult-examples[certified]") from error
    return flint


class BallParameters:
    """A graph's parameters as balls, in the form that ``theory.formulas`` takes.

    Built from fractions, so that the ball holds the parameter itself and not its nearest float.
    """

    def __init__(self, p: GraphParameters) -> None:
        flint = _flint()

        def ball(value: Any) -> Any:
            exact = Fraction(value)
            return flint.arb(flint.fmpq(exact.numerator, exact.denominator))

        self.alpha, self.beta, self.gamma = ball(p.alpha), ball(p.beta), ball(p.gamma)
        self.n, self.r, self.n_d, self.neighbours = p.n, p.r, p.n_d, p.neighbours
        self.weights = paper_weights(self.alpha, self.beta, self.gamma, p.pairing)
        self.degrees = degrees(self.weights, p.n, p.r, p.n_d)


def is_less(p: GraphParameters, left: Callable[[Any], Any], right: Callable[[Any], Any]) -> Truth:
    """Whether left(p) < right(p), raising the precision until the balls separate.

    Parameters
    ----------
    p : GraphParameters
        With fractions, or floats taken at their exact value.
    left, right : callable
        Functions of the parameters, such as those of ``theory.formulas``.

    Returns
    -------
    {"proved", "refuted", "undecided"}
        ``undecided`` if the balls still overlap at 1024 bits: the values may be equal.
    """
    flint = _flint()
    before = flint.ctx.prec
    try:
        for bits in PRECISIONS:
            flint.ctx.prec = bits
            balls = BallParameters(p)
            difference = right(balls) - left(balls)
            if difference > 0:
                return "proved"
            if difference < 0:
                return "refuted"
        return "undecided"
    finally:
        flint.ctx.prec = before


def class_upper(balls: Any) -> Any:
    """The upper class mode as a ball (1 <= n_d < n)."""
    return formulas.class_modes(balls, lambda value: value.sqrt())[0]
