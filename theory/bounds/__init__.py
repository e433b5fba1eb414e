"""Linear-probing error bounds, clean, with difficult examples and with each remedy.

Run as ``python -m theory.bounds``; it imports the standard library only.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from theory import formulas
from theory.checks import is_finite, require, require_integer, require_share
from theory.params import GraphParameters
from theory.spectrum import nth_mode, require_augmentation_graph, spectrum

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


def _absent(reason: str) -> Bound:
    return Bound(None, None, None, None, applies=False, vacuous=False, reason=reason)


def stated_difficult_eigenvalue(p: GraphParameters) -> Any:
    """λ_{k+1} of the difficult bound: the bridge (matched); for block its counterpart, max(contrast, bulk)."""
    if p.is_clean:
        return formulas.bulk(p)
    if p.pairing == "matched":
        return formulas.bridge(p)
    return max(formulas.contrast(p), formulas.bulk(p)) if p.n_d < p.n else formulas.within_difficult(p)


def difficult_range(p: GraphParameters) -> range:
    """The k for which the difficult bound is stated: r+1 <= k < n_d+r+1 (matched), k = r+1 (block)."""
    first = p.r + 1
    if p.is_clean:
        return range(first, p.nodes)
    last = p.n_d + first if p.pairing == "matched" else first + 1
    return range(first, min(last, p.nodes))


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

    clean_lambda = formulas.bulk(p)
    require(
        clean_lambda < 1, "alpha", p.alpha, "a clean eigenvalue below 1: n(alpha + r beta) vanishes beside 1 - alpha"
    )
    clean_exact = formulas.clean_class(p) if dim <= p.r else clean_lambda
    in_range = p.r + 1 <= dim

    def bound(eigenvalue: float, exact: float, applies: bool) -> Bound:
        value = formulas.probing_bound(eigenvalue, delta)
        excess = formulas.probing_excess(eigenvalue, clean_lambda, delta)
        return Bound(eigenvalue, exact, value, excess, applies, value > 1)

    return {
        "clean": bound(clean_lambda, clean_exact, in_range),
        "difficult": bound(
            stated_difficult_eigenvalue(p), nth_mode(spectrum(p), dim + 1).eigenvalue, dim in difficult_range(p)
        ),
        "removal": _removal(p, dim, bound),
        "margin": bound(clean_lambda, clean_exact, in_range),
        "temperature": _temperature(p, delta, clean_exact, in_range),
    }


def _removal(p: GraphParameters, dim: int, bound: Any) -> Bound:
    if p.n_d == p.n:
        return _absent("every sample is difficult: removal would leave none")
    left = p.nodes - p.classes * p.n_d
    if dim >= left:
        return _absent(f"removal leaves {left} samples, too few for k = {dim}")
    eigenvalue = formulas.removal(p)
    in_range = p.r + 1 <= dim
    result: Bound = bound(eigenvalue, eigenvalue if in_range else formulas.removal_class(p), in_range)
    return result


def _temperature(p: GraphParameters, delta: float, exact: float, applies: bool) -> Bound:
    if not p.is_clean and p.beta == 0:
        return _absent("beta = 0 < gamma: no positive temperature turns gamma into beta")
    excess = p.beta * 0 if p.is_clean else formulas.temperature_excess(p, delta)
    if not is_finite(excess):
        return _absent(f"gamma/beta = {p.gamma / p.beta} is too large for the bound")
    value = formulas.probing_bound(formulas.bulk(p), delta) + excess
    return Bound(None, exact, value, excess, applies, value > 1)
