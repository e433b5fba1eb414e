"""Linear-probing error bounds, clean, with difficult examples and with each remedy.

Run as ``python -m theory.bounds``; it imports the standard library only.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from theory import formulas
from theory.checks import is_finite, require, require_integer, require_share
from theory.params import GraphParameters
from theory.spectrum import SCALAR, Arithmetic, nth_mode, require_augmentation_graph, spectrum

SCHEMA = "difficult-examples/bounds/1"
DEFAULTS: dict[str, Any] = {"samples_per_class": 5000, "classes": 10, "dim": 128, "delta": 0.01}
DIFFICULT_SHARE = 0.08


class Bound(NamedTuple):
    """One linear-probing error bound.

    Attributes
    ----------
    eigenvalue : float or None
        λ_{k+1} as the statement has it; None where the bound has another form or does not exist.
    eigenvalue_exact : float or None
        The (k+1)-th eigenvalue of the graph that the bound is about.
    bound : float or None
        Value of the stated bound, not clipped.
    excess_over_clean : float or None
        ``bound`` minus the clean bound, computed without cancellation.
    applies : bool
        Whether k lies in the statement's range.
    vacuous : bool
        Whether the bound exceeds 1.
    reason : str or None
        Why there is no bound.
    """

    eigenvalue: float | None
    eigenvalue_exact: float | None
    bound: float | None
    excess_over_clean: float | None
    applies: bool
    vacuous: bool
    reason: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Fields under their names in the JSON documents."""
        return {
            "lambda": self.eigenvalue,
            "lambda_exact": self.eigenvalue_exact,
            "bound": self.bound,
            "excess_over_clean": self.excess_over_clean,
            "applies": self.applies,
            "vacuous": self.vacuous,
        }


class Rule(NamedTuple):
    """A bound 4δ/(1−λ) + 8δ + ``added`` in the numbers of the graph, one or many at once.

    ``eigenvalue`` is λ as the statement has it and ``exact`` the (k+1)-th eigenvalue of the graph that it is about;
    ``applies``: whether k lies in the statement's range; ``exists``: where not, the values mean nothing.
    """

    eigenvalue: Any
    exact: Any
    applies: Any
    exists: Any = True
    added: Any = 0


def rules(p: Any, dim: Any, delta: Any, exact: Any, by: Arithmetic) -> dict[str, Rule]:
    """The five bounds of the paper, for one graph or arrays of them.

    Parameters
    ----------
    p : GraphParameters, or the same with arrays
    dim, delta : number or array
        k and the labelling error.
    exact : number or array
        λ_{k+1} of the graph.
    by : Arithmetic
        Of these numbers.
    """
    clean = formulas.clean_bulk(p)
    left = p.n - p.n_d
    in_range = dim >= p.r + 1
    is_clean = (p.n_d == 0) | (p.gamma == p.beta)
    clean_exact = by.where(in_range, clean, formulas.clean_class(p))
    remains = dim < left * (p.r + 1)
    after = by.where(left > 0, formulas.removal(p), clean)
    tempered = is_clean | (p.beta > 0)
    excess = formulas.temperature_excess(p, delta, by.where(p.beta > 0, p.beta, 1))
    stated, last = stated_difficult(p, by)
    return {
        "clean": Rule(clean, clean_exact, in_range),
        "difficult": Rule(by.where(is_clean, clean, stated), exact, in_range & (is_clean | (dim <= last))),
        "removal": Rule(after, by.where(in_range, after, formulas.removal_class(p)), in_range & remains, remains),
        "margin": Rule(clean, clean_exact, in_range),
        "temperature": Rule(clean, clean_exact, in_range & tempered, tempered, by.where(is_clean, 0 * clean, excess)),
    }


def stated_difficult(p: Any, by: Arithmetic) -> tuple[Any, Any]:
    """λ of the difficult bound where there are difficult pairs, and the largest k that it is stated for.

    The bridge up to n_d + r (matched); for block its counterpart at k = r + 1, the larger of contrast and bulk.
    """
    if p.pairing == "matched":
        return formulas.bridge(p), p.r + p.n_d
    contrast, bulk = formulas.contrast(p), formulas.bulk(p)
    larger = by.where(contrast > bulk, contrast, bulk)
    return by.where(p.n > p.n_d, larger, formulas.within_difficult(p)), p.r + 1


def stated_difficult_eigenvalue(p: GraphParameters) -> Any:
    """λ_{k+1} of the difficult bound, see ``stated_difficult``; the clean one where no pair is difficult."""
    return formulas.clean_bulk(p) if p.is_clean else stated_difficult(p, SCALAR)[0]


def difficult_range(p: GraphParameters) -> range:
    """The k for which the difficult bound is stated: r+1 <= k < n_d+r+1 (matched), k = r+1 (block)."""
    last = p.nodes - 1 if p.is_clean else stated_difficult(p, SCALAR)[1]
    return range(p.r + 1, min(last + 1, p.nodes))


def error_bounds(p: GraphParameters, dim: int, delta: float) -> dict[str, Bound]:
    """The five bounds of the paper on one graph.

    Parameters
    ----------
    p : GraphParameters
        A positive semidefinite graph.
    dim : int
        k, output width of the network the loss is applied to; 1 <= k <= N - 1.
    delta : float
        Labelling error in [0, 1].

    Returns
    -------
    dict of Bound
        ``clean`` (Thm 3.3), ``difficult`` (3.4), ``removal`` (Cor 4.1), ``margin`` (4.3) and
        ``temperature`` (4.5); numbers of the paper's second version.

    Raises
    ------
    ParameterError
        If the graph is not positive semidefinite, or dim or delta is outside its range.
    """
    dim = require_integer("dim", dim, 1, p.nodes - 1, limit=", fewer than the N samples")
    require_share("delta", delta)
    require_augmentation_graph(p)
    clean = formulas.clean_bulk(p)
    require(clean < 1, "alpha", p.alpha, "a clean eigenvalue below 1: n(alpha + r beta) vanishes beside 1 - alpha")
    exact = nth_mode(spectrum(p), dim + 1).eigenvalue
    return {
        name: _bound(name, p, dim, delta, clean, rule) for name, rule in rules(p, dim, delta, exact, SCALAR).items()
    }


def _bound(name: str, p: GraphParameters, dim: int, delta: float, clean: Any, rule: Rule) -> Bound:
    if not rule.exists or not is_finite(rule.added):
        return Bound(None, None, None, None, applies=False, vacuous=False, reason=_reason(name, p, dim))
    value = formulas.probing_bound(rule.eigenvalue, delta) + rule.added
    excess = formulas.probing_excess(rule.eigenvalue, clean, delta) + rule.added
    stated = None if name == "temperature" else rule.eigenvalue
    return Bound(stated, rule.exact, value, excess, rule.applies, value > 1)


def _reason(name: str, p: GraphParameters, dim: int) -> str:
    """Why a bound does not exist."""
    if name == "removal":
        if p.n_d == p.n:
            return "every sample is difficult: removal would leave none"
        return f"removal leaves {p.nodes - p.classes * p.n_d} samples, too few for k = {dim}"
    if p.beta == 0:
        return "beta = 0 < gamma: no positive temperature turns gamma into beta"
    return f"gamma/beta = {p.gamma / p.beta} is too large for the bound"
