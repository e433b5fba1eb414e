"""Linear-probing error bounds, clean, with difficult examples and with each remedy.

Run as ``python -m theory.bounds``; it imports the standard library only.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from theory import formulas
from theory.checks import is_finite, require, require_integer, require_share
from theory.kinds import Number, Sqrt
from theory.params import GraphParameters, SixLevels
from theory.spectrum import SCALAR, Arithmetic, nth_mode, spectrum

SCHEMA = "difficult-examples/bounds/2"
DEFAULTS: dict[str, Any] = {"samples_per_class": 5000, "classes": 10, "dim": 128, "delta": 0.01}
DIFFICULT_SHARE = 0.08


class Bound(NamedTuple):
    """One linear-probing error bound.

    Attributes
    ----------
    source : str
        Number of its equation in the paper's second version.
    eigenvalue : float or None
        λₖ₊₁ as printed; None where the bound does not exist.
    eigenvalue_exact : float or None
        The (k+1)-th eigenvalue of the graph that the bound is about.
    bound : float or None
        Value of the printed bound, not clipped.
    bound_exact : float or None
        The same with the exact eigenvalue.
    excess_over_clean : float or None
        ``bound`` minus the clean bound, computed without cancellation.
    applies : bool
        Whether k lies in the statement's range.
    vacuous : bool
        Whether the printed bound exceeds 1.
    reason : str or None
        Why there is no bound.
    """

    source: str
    eigenvalue: float | None
    eigenvalue_exact: float | None
    bound: float | None
    bound_exact: float | None
    excess_over_clean: float | None
    applies: bool
    vacuous: bool
    reason: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Fields under their names in the JSON documents."""
        return {
            "source": self.source,
            "lambda": self.eigenvalue,
            "lambda_exact": self.eigenvalue_exact,
            "bound": self.bound,
            "bound_exact": self.bound_exact,
            "excess_over_clean": self.excess_over_clean,
            "applies": self.applies,
            "vacuous": self.vacuous,
        }


SOURCES = {
    "clean": "eq. 3",
    "difficult": "eq. 4",
    "removal": "eq. 5",
    "margin": "eq. 8",
    "temperature": "eq. 11",
}


class Rule(NamedTuple):
    """A bound 4δ/(1−λ) + 8δ, plus ``added``, in the numbers of the graph, one or many at once.

    ``eigenvalue`` is λ as printed and ``exact`` the (k+1)-th eigenvalue of the graph that the bound is about;
    ``applies``: whether k lies in the statement's range; ``exists``: where not, the values mean nothing.
    """

    eigenvalue: Any
    exact: Any
    applies: Any
    exists: Any = True
    added: Any = 0

    def bound(self, delta: Any) -> Any:
        """With λ as printed."""
        return formulas.probing_bound(self.eigenvalue, delta) + self.added

    def bound_exact(self, delta: Any) -> Any:
        """With the exact λ, where that is below 1."""
        scaled = self.added * ((1 - self.eigenvalue) / (1 - self.exact))
        return formulas.probing_bound(self.exact, delta) + scaled

    def excess_over_clean(self, clean: Any, delta: Any) -> Any:
        """``bound`` minus that of the clean λ, without cancellation."""
        return formulas.probing_excess(self.eigenvalue, clean, delta) + self.added


def rules(p: Any, dim: Any, delta: Any, exact: Any, by: Arithmetic) -> dict[str, Rule]:
    """The paper's five bounds, for one graph or arrays of them.

    Parameters
    ----------
    p : Graph with alpha, beta, gamma
        Single numbers or arrays.
    dim, delta : number or array
        k and the labelling error.
    exact : number or array
        λₖ₊₁ of the graph.
    by : Arithmetic
        Of these numbers.
    """
    clean = formulas.clean_bulk(p)
    left = p.n - p.n_d
    in_range = dim > p.r
    is_clean = (p.n_d == 0) | (p.gamma == p.beta)
    clean_exact = by.where(in_range, clean, formulas.clean_class(p))
    remains = dim < left * (p.r + 1)
    after = by.where(left > 0, formulas.removal(p), clean)
    tempered = is_clean | (p.beta > 0)
    excess = formulas.temperature_excess(p, delta, by.where(p.beta > 0, p.beta, 1))
    return {
        "clean": Rule(clean, clean_exact, in_range),
        "difficult": Rule(
            by.where(is_clean, clean, formulas.difficult(p)), exact, in_range & (is_clean | (dim <= p.n_d + p.r))
        ),
        "removal": Rule(after, by.where(in_range, after, formulas.removal_class(p)), in_range & remains, remains),
        "margin": Rule(clean, clean_exact, in_range),
        "temperature": Rule(clean, clean_exact, in_range & tempered, tempered, by.where(is_clean, 0 * clean, excess)),
    }


def difficult_range(p: Any) -> range:
    """The k for which theorem 3.4 is stated: r+1 <= k < n_d+r+1; without difficult pairs theorem 3.3's k >= r+1."""
    last = p.nodes - 1 if p.is_clean else p.n_d + p.r
    return range(p.r + 1, min(last + 1, p.nodes))


def error_bounds(p: GraphParameters | SixLevels, dim: int, delta: float) -> dict[str, Bound]:
    """The five bounds of the paper on one graph, realisable by an augmentation or not.

    Parameters
    ----------
    p : GraphParameters or SixLevels
        Of six levels, the printed bounds see the paper's α, β, γ and the exact eigenvalue sees all.
    dim : int
        k, output width of the network the loss is applied to; 1 <= k <= N - 1.
    delta : float
        Labelling error in [0, 1].

    Returns
    -------
    dict of Bound
        ``clean`` (theorem 3.3), ``difficult`` (3.4), ``removal`` (corollary 4.1), ``margin`` (4.3) and
        ``temperature`` (4.5); numbers of arXiv 2501.01317v2.

    Raises
    ------
    ParameterError
        If dim or delta is outside its range, or the clean eigenvalue is not below 1.
    """
    dim = require_integer("dim", dim, 1, p.nodes - 1, limit=", fewer than the N samples")
    require_share("delta", delta)
    clean = formulas.clean_bulk(p)
    require(clean < 1, "alpha", p.alpha, "a clean eigenvalue below 1: n(alpha + r beta) vanishes beside 1 - alpha")
    exact = nth_mode(spectrum(p), dim + 1).eigenvalue
    return {
        name: _bound(name, p, dim, delta, clean, rule) for name, rule in rules(p, dim, delta, exact, SCALAR).items()
    }


def _bound(name: str, p: Any, dim: int, delta: float, clean: Any, rule: Rule) -> Bound:
    if not rule.exists or not is_finite(rule.added):
        return Bound(SOURCES[name], *5 * (None,), applies=False, vacuous=False, reason=_reason(name, p, dim))
    value, excess = rule.bound(delta), rule.excess_over_clean(clean, delta)
    exactly = rule.bound_exact(delta) if rule.exact < 1 else None
    return Bound(SOURCES[name], rule.eigenvalue, rule.exact, value, exactly, excess, rule.applies, value > 1)


def _reason(name: str, p: Any, dim: int) -> str:
    """Why a bound does not exist."""
    if name == "removal":
        if p.n_d == p.n:
            return "every sample is difficult: removal would leave none"
        return f"removal leaves {p.nodes - p.classes * p.n_d} samples, too few for k = {dim}"
    if p.beta == 0:
        return "beta = 0 < gamma: no positive temperature turns gamma into beta"
    return f"gamma/beta = {p.gamma / p.beta} is too large for the bound"


def vacuous_labelling_error(eigenvalue: Number) -> Number:
    """The δ at which the printed bound 4δ/(1−λ) + 8δ reaches 1: (1−λ)/(12−8λ), at most 1/12 for λ >= 0."""
    return (1 - eigenvalue) / (12 - 8 * eigenvalue)


def largest_useful_beta(alpha: Any, n: Any, r: Any, sqrt: Sqrt = math.sqrt) -> Number:
    """The β up to which the printed bound of the clean graph is at most 1 with even natural data, whose δ is φ.

    With x = rβ and e = α + (1−α)/n that bound is 4x/(α+x) + 8x/(e+x); it equals 1 at the positive root of
    11x² + (7α+3e)x − αe, which tends to α/11 for large n. So β must stay below about α/(11r), whatever k; with any
    natural data, whose δ is at least φ/2, below about α/(5r).

    Parameters
    ----------
    alpha, n, r : number or array
        Similarity within a class in (0, 1), samples per class, other classes.
    sqrt : callable
        Square root for the number type.
    """
    e = alpha + (1 - alpha) / n
    linear = 7 * alpha + 3 * e
    return (sqrt(linear * linear + 44 * alpha * e) - linear) / (22 * r)
