"""Error bounds that see how the labels lie in the graph, and the exact error that they bound.

With p(x) = P(y | x) for the label y of a view x, the views distributed as the degrees,

    δ   = 1 − E max p(x)                the least error of any prediction from views
    G   = 1 − E‖p(x)‖²                  the noise of the labels
    Dir = ½ Σ w_xx′ ‖p(x) − p(x′)‖²     how fast they change along the edges, Σ w = 1

the linear probe of width k that fits one-hot labels by least squares, with its largest output as its answer, errs
at most with the probability

    min{ 2·[G + Dir/(1 − λₖ₊₁)], δ + √(2·Dir/(1 − λₖ₊₁)) }

(docs/theory.md has the proof). Negative λₖ₊₁ count as 0, for the minimiser of the spectral loss does not use
them. *The probe's error* is computed as well: its features are the eigenvectors of the k leading positive
eigenvalues over √degree, views weigh as they occur, and ties are drawn evenly. An intercept changes nothing:
the trivial mode is a constant feature.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from theory import formulas
from theory.augmentation import Labels, labelling_errors
from theory.checks import require, require_integer, require_share
from theory.kinds import Graph, Number, Sqrt, own_levels, row_levels
from theory.params import GraphParameters, SixLevels
from theory.spectrum import ROUNDING, SCALAR, Arithmetic, modes, nth_mode, present

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

TIE = 1e-14  # eigenvalues and outputs that differ by less are equal
DENSE_NODES = 5000  # a dense eigendecomposition takes minutes beyond


class Spread(NamedTuple):
    """How labels lie in a graph: δ, G and Dir as above."""

    delta: Number
    noise: Number
    dirichlet: Number

    def bounds(self, eigenvalue: Number, sqrt: Sqrt = math.sqrt) -> tuple[Number, Number]:
        """2·[G + Dir/(1 − λ)] and δ + √(2·Dir/(1 − λ)) for λ = max(λₖ₊₁, 0) < 1."""
        distance = self.dirichlet / (1 - eigenvalue)
        return 2 * (self.noise + distance), self.delta + sqrt(2 * distance)


# --- graphs of kinds, in closed form -----------------------------------------------------------------


def even_labels(p: Graph) -> Labels:
    """Labels under even natural data, of error φ: the label of a view is the class of the datum's other view."""
    (c_e, c_d), across = p.degrees, formulas.cross_degrees(p)
    return Labels(1 - across.easy / c_e, 1 - across.difficult / c_d)


def flipped_labels(delta: Number) -> Labels:
    """The view's class, but with probability δ evenly one of the others, whether the view is easy or difficult."""
    return Labels(1 - delta, 1 - delta)


def _signals(p: Graph, labels: Labels) -> Labels:
    """t with p(x) = 1/(r+1) + t·(e_class − 1/(r+1)): 1 for sure labels, 0 for labels that say nothing."""
    return Labels(*(((p.r + 1) * own - 1) / p.r for own in labels))


def _mean(p: Graph, of: Sequence[Number]) -> Number:
    """Mean over the views of a value for easy and one for difficult ones."""
    easy, difficult = (p.n - p.n_d) * p.degrees.easy, p.n_d * p.degrees.difficult
    return (easy * of[0] + difficult * of[1]) / (easy + difficult)


def spread(p: Graph, labels: Labels, by: Arithmetic = SCALAR) -> Spread:
    """How labels lie in a graph of kinds.

    Parameters
    ----------
    p : Graph
        One graph or arrays of them.
    labels : Labels
        Alike in all classes.
    by : Arithmetic
        Of these numbers.
    """
    w, r, n_d, n_e = p.weights, p.r, p.n_d, p.n - p.n_d
    easy, difficult = _signals(p, labels)
    twin = n_d * w.unpaired_both_difficult + (w.paired - w.unpaired_both_difficult)
    alike = n_e * n_e * w.different_class_both_easy * easy * easy + n_d * twin * difficult * difficult
    same = w.same_class_one_difficult * (easy - difficult) * (easy - difficult)
    other = w.different_class_one_difficult * (r * (easy * easy + difficult * difficult) + 2 * easy * difficult)
    total = n_e * p.degrees.easy + n_d * p.degrees.difficult
    wrong = [by.where((r + 1) * own >= 1, 1 - own, 1 - (1 - own) / r) for own in labels]
    return Spread(
        _mean(p, wrong),
        (1 - _mean(p, [easy * easy, difficult * difficult])) * r / (r + 1),
        ((r + 1) * alike + n_e * n_d * (same + other)) / total * r / (r + 1),
    )


def probe_error(
    p: Graph, labels: Labels, dim: Number, found: Sequence[tuple[str, Any, Any]], by: Arithmetic = SCALAR
) -> tuple[Number, Number]:
    """The exact error of the least-squares probe, and whether it is ambiguous.

    The labels lie in the class modes. With all of these among the features the fit is p(x) itself and the error δ;
    with none the answer is a guess; with the upper ones only, it is their share of p(x), right or wrong by its sign.
    Where k cuts through the copies of one class mode, the features, and with them the error, are not unique.

    Parameters
    ----------
    p, labels, by
        As in ``spread``.
    dim : number or array
        k.
    found : sequence of (name, eigenvalue, multiplicity)
        ``theory.spectrum.modes`` of the graph.

    Returns
    -------
    error, ambiguous
    """
    (upper, all_upper, cut_upper), (lower, all_lower, cut_lower) = (
        _among(name, dim, found) for name in ("class_upper", "class_lower")
    )
    has_lower = by.positive(p.n_d) & by.positive(p.n - p.n_d)
    signals = _signals(p, labels)
    one = has_lower & (upper - lower <= TIE)
    error: list[Number] = []
    ambiguous: Any = False
    for own, whole, step in zip(labels, signals, _step(p, signals), strict=True):
        above, below = step - lower * whole, upper * whole - step  # (upper − lower) times the parts in both modes
        part = by.where(has_lower, above, whole)
        score = by.where(all_upper, by.where(all_lower, whole, part), 0 * whole)
        right = by.where(score > TIE, own, by.where(score < -TIE, (1 - own) / p.r, 1 / (p.r + 1)))
        error.append(1 - right)
        ambiguous = ambiguous | (cut_upper & (one | (abs(part) > TIE)))
        ambiguous = ambiguous | (cut_lower & has_lower & (one | (abs(below) > TIE)))
    return _mean(p, error), ambiguous


def _among(name: str, dim: Number, found: Sequence[tuple[str, Any, Any]]) -> tuple[Number, Number, Number]:
    """A mode's eigenvalue, whether it is among the features, and whether only some of its copies are."""
    value = next(value for mode, value, _ in found if mode == name)
    larger = sum(count * (other > value + TIE) for _, other, count in found)
    no_smaller = sum(count * (other >= value - TIE) for _, other, count in found)
    positive = value > TIE
    return value, positive & (no_smaller <= dim), positive & (larger < dim) & (dim < no_smaller)


def _step(p: Graph, t: Labels) -> tuple[Number, Number]:
    """The class block on t, as the mean of t over the neighbours of a view: 1 in its class, −1/r in another."""
    n_d, n_e = p.n_d, p.n - p.n_d
    own_easy, own_difficult = own_levels(p.weights, -1)
    mixed, more_easy, more_difficult = row_levels(p.weights, -1)
    easy = (own_easy + n_e * (mixed + more_easy)) * t.easy + n_d * mixed * t.difficult
    difficult = (own_difficult + n_d * (mixed + more_difficult)) * t.difficult + n_e * mixed * t.easy
    return easy / p.degrees.easy, difficult / p.degrees.difficult


class SharperBounds(NamedTuple):
    """The bounds and the error of one graph with labels of one error. Without a bound, for λₖ₊₁ = 1, None.

    Attributes
    ----------
    delta : number
        δ, the labels' error.
    eigenvalue : number
        The graph's exact λₖ₊₁.
    printed, tight : number or None
        4δ/(1 − λ) + 8δ, which holds for φ <= 2δ, and 2φ/(1 − λ) + 8δ, which it comes from.
    squared, plug_in : number or None
        2·[G + Dir/(1 − λ)] and δ + √(2·Dir/(1 − λ)).
    error : number or None
        Of the least-squares probe, exactly; None where k cuts through the copies of a class mode.
    """

    delta: Number
    eigenvalue: Number
    printed: Number | None
    tight: Number | None
    squared: Number | None
    plug_in: Number | None
    error: Number | None

    @property
    def bound(self) -> Number | None:
        """The smaller of the sharper two."""
        return None if self.squared is None else min(self.squared, self.plug_in)

    def to_json(self) -> dict[str, Any]:
        """Fields under their names in the bounds command's JSON."""
        return {
            "delta": self.delta,
            "printed": self.printed,
            "squared": self.squared,
            "plug_in": self.plug_in,
            "bound": self.bound,
            "vacuous": self.bound is not None and bool(self.bound > 1),
            "error": self.error,
        }


def sharper_bounds(p: GraphParameters | SixLevels, dim: int, labels: Labels | None = None) -> SharperBounds:
    """Error bounds of one graph, with its exact eigenvalue, and the exact error.

    Parameters
    ----------
    p : GraphParameters or SixLevels
        Of weights >= 0.
    dim : int
        k, output width of the network the loss is applied to; 1 <= k <= N - 1.
    labels : Labels, optional
        By default those of even natural data, of error φ.

    Raises
    ------
    ParameterError
        If dim is outside its range, a label's probability is not in [0, 1], or a weight is negative.
    """
    dim = require_integer("dim", dim, 1, p.nodes - 1, limit=", fewer than the N samples")
    require(min(p.weights) >= 0, "weights", float(min(p.weights)), "weights >= 0")
    labels = even_labels(p) if labels is None else labels
    for value in labels:
        require_share("labels", value)
    found = modes(p, SCALAR)
    eigenvalue = nth_mode(present(found), dim + 1).eigenvalue
    lies = spread(p, labels)
    bounds: tuple[Number, Number, Number, Number] = (None, None, None, None)
    if eigenvalue < 1 - ROUNDING:
        tight = 2 * formulas.cross_mass(p) / (1 - eigenvalue) + 8 * lies.delta
        bounds = formulas.probing_bound(eigenvalue, lies.delta), tight, *lies.bounds(max(eigenvalue, 0))
    error, ambiguous = probe_error(p, labels, dim, found)
    return SharperBounds(lies.delta, eigenvalue, *bounds, None if ambiguous else error)


def comparison(p: GraphParameters | SixLevels, dim: int, delta: float) -> dict[str, Any]:
    """The sharper bounds of a graph, of it without difficult pairs, and of it without difficult samples.

    Returns
    -------
    dict
        ``labelling_errors``, the interval of δ that the graph leaves open; ``given``, by graph the fields of
        ``SharperBounds.to_json`` with labels flipped with probability ``delta``, and ``even``, with those of even
        natural data; None where removal leaves no graph of more than k nodes, and for a clean graph of six levels,
        which there is not.

    Raises
    ------
    ParameterError
        As ``sharper_bounds`` and ``labelling_errors``.
    """
    graphs: dict[str, Any] = {"difficult": p, "clean": None, "removal": None}
    remains = p.classes * (p.n - p.n_d) > dim
    if isinstance(p, SixLevels):
        graphs["removal"] = replace(p, samples_per_class=p.n - p.n_d, difficult=0) if remains else None
    else:
        graphs |= {"clean": p.clean(), "removal": p.without_difficult() if remains else None}
    return {
        "labelling_errors": labelling_errors(p)._asdict(),
        **{
            name: {
                which: None if graph is None else sharper_bounds(graph, dim, labels).to_json()
                for which, graph in graphs.items()
            }
            for name, labels in (("given", flipped_labels(delta)), ("even", None))
        },
    }


# --- any graph, densely ----------------------------------------------------------------------------


def dense_spread(weights: Array, probabilities: Array) -> Spread:
    """How labels lie in any graph.

    Parameters
    ----------
    weights : array, shape (N, N)
        Symmetric, >= 0, of positive row sums.
    probabilities : array, shape (N, classes)
        p(x), rows that sum to 1.
    """
    joint = weights / weights.sum()
    views = joint.sum(axis=1)
    squared = views @ (probabilities**2).sum(axis=1)
    # By differences, for Dir is often far smaller than the norms
    steps = sum((joint * (column[:, None] - column) ** 2).sum() for column in probabilities.T)
    return Spread(float(1 - views @ probabilities.max(axis=1)), float(1 - squared), float(steps / 2))


class DenseProbe(NamedTuple):
    """A probe on the population's features of any graph.

    Attributes
    ----------
    outputs : array, shape (N, classes)
        The least-squares fit.
    error : float
        Expected error of its largest output, ties drawn evenly.
    eigenvalue : float
        max(λₖ₊₁, 0), for the bounds.
    gap : float
        λ_k − λₖ₊₁; near 0 the features are not unique, nor is the error.
    """

    outputs: Array
    error: float
    eigenvalue: float
    gap: float


def dense_probe(weights: Array, probabilities: Array, dim: int) -> DenseProbe:
    """The least-squares probe of width ``dim`` on any graph of at most 5,000 nodes; arrays as in ``dense_spread``.

    Raises
    ------
    ParameterError
        If dim is outside its range, or there are more nodes.
    """
    import numpy as np

    nodes = require_integer("nodes", len(weights), 2, DENSE_NODES)
    dim = require_integer("dim", dim, 1, nodes - 1, limit=", fewer than the N nodes")
    views = weights.sum(axis=1) / weights.sum()
    root = np.sqrt(weights.sum(axis=1))
    values, vectors = np.linalg.eigh(weights / root[:, None] / root)
    features = vectors[:, ::-1][:, :dim][:, values[::-1][:dim] > ROUNDING] / root[:, None]
    outputs = features @ (features.T @ (weights.sum(axis=1)[:, None] * probabilities))
    largest = outputs >= outputs.max(axis=1, keepdims=True) - math.sqrt(ROUNDING)
    right = (largest * probabilities).sum(axis=1) / largest.sum(axis=1)
    following = values[-dim - 1]
    return DenseProbe(outputs, float(1 - views @ right), float(max(following, 0)), float(values[-dim] - following))
