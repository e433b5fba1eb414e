"""Removal, margin and temperature as operators on the graph, and which of them has the smallest bound.

Removal gives another graph. Margin and temperature leave the data alone and change the matrix that the
features factorise: the spectral loss with margins M and temperatures T is, up to a constant,

    Σ (1/T²)(F·Fᵀ − (T∘Ā − M̄))²,    M̄ = D^(1/2) M D^(1/2),

with Ā the normalised adjacency. Such a target is constant on each kind of pair, so permuting classes, or
difficult or easy samples, leaves it unchanged, and its spectrum is read off blocks of size two at most,
whatever the strength and order of the remedies.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from theory import formulas
from theory.bounds import error_bounds
from theory.checks import require, require_integer
from theory.graph import Array, SimilarityGraph
from theory.kinds import Degrees, PerKind, roots
from theory.params import GraphParameters
from theory.spectrum import SCALAR, Mode, Space, is_positive_semidefinite, one_or_two, present, spaces


@dataclass(frozen=True)
class Target:
    """The matrix that the inner products F·Fᵀ of the features are fitted to.

    Margin and temperature return new targets and can be chained: ``target(p).temperature().margin()`` is the
    loss with (s + m)/τ in place of the similarity s, the other order the one with s/τ + m.

    Parameters
    ----------
    parameters : GraphParameters
        The graph.
    entries : PerKind
        Values by kind of pair.
    """

    parameters: GraphParameters
    entries: PerKind

    def margin(self, scale: float = 1.0, margins: PerKind | None = None) -> Target:
        """Subtract ``scale`` times the normalised margins M̄.

        Parameters
        ----------
        scale : float
            1 turns Ā into the clean graph's, 0 leaves it.
        margins : PerKind, optional
            In units of unnormalised degrees; those of the margin theorem by default.

        Raises
        ------
        ParameterError
            If the graph has no difficult pair.
        """
        p = self.parameters
        _require_difficult_pairs("margins", p)
        table = formulas.margins(p, math.sqrt) if margins is None else margins
        normalised = roots(p.degrees, math.sqrt).combine(lambda root, m: scale * float(root * m), table)
        return replace(self, entries=self.entries.combine(operator.sub, normalised))

    def temperature(self, exponent: float = 1.0) -> Target:
        """Multiply by the temperature theorem's factors to the power ``exponent`` (1 turns Ā clean, 0 leaves it).

        Raises
        ------
        ParameterError
            If the graph has no difficult pair, or beta = 0.
        """
        table = _temperatures(self.parameters)
        return replace(self, entries=self.entries.combine(lambda entry, t: entry * t**exponent, table))

    @property
    def n(self) -> int:
        """Samples per class."""
        return self.parameters.n

    @property
    def r(self) -> int:
        """Other classes."""
        return self.parameters.r

    @property
    def n_d(self) -> int:
        """Difficult samples per class."""
        return self.parameters.n_d

    @property
    def weights(self) -> PerKind:
        """The entries, for ``theory.formulas``."""
        return self.entries

    @property
    def degrees(self) -> Degrees:
        """Ones: the target is normalised."""
        return Degrees(1, 1)

    def spectrum(self) -> tuple[Mode, ...]:
        """All eigenvalues, largest first, with multiplicities and the names of ``theory.spectrum``."""
        return present(
            mode
            for space in spaces(self.parameters.pairing)
            for mode in zip(space.modes, self._eigenvalues(space), space.multiplicities(self, SCALAR), strict=True)
        )

    def _eigenvalues(self, space: Space) -> tuple[float, ...]:
        """Of the space's block: here 1 need not be an eigenvalue."""
        block = space.block(self)
        return block if len(block) == 1 else one_or_two(block, self, SCALAR)

    def matrix(self) -> Array:
        """Dense matrix, shape (N, N), nodes ordered as in ``SimilarityGraph``."""
        return self.entries.matrix(self.parameters)


def target(p: GraphParameters) -> Target:
    """The normalised adjacency Ā: the target without margin or temperature."""
    return Target(p, p.weights.combine(lambda weight, root: float(weight / root), roots(p.degrees, math.sqrt)))


def remove(p: GraphParameters, samples: int | None = None) -> GraphParameters:
    """The graph without ``samples`` difficult samples of each class, by default all of them.

    Raises
    ------
    ParameterError
        If there are not as many, or no sample would be left.
    """
    samples = p.n_d if samples is None else require_integer("samples", samples, 0, p.n_d, limit=", the difficult ones")
    if samples == p.n_d:
        return p.without_difficult()
    return replace(p, samples_per_class=p.n - samples, difficult=p.n_d - samples)


def printed_margins(p: GraphParameters) -> PerKind:
    """Eq. 36 to the letter: for difficult pairs its denominator is [(1−α)+nα+nrβ+n_d(γ−β)]²·c2, without an r.

    Eq. 7 and the rest of the proof have the r; with it the target is the clean graph.
    """
    c1, c2, g = formulas.difficult_degree(p), formulas.easy_degree(p), p.gamma - p.beta
    paired = formulas.paired_margin(p) * (c1 / (c2 + p.n_d * g)) ** 2
    return formulas.margins(p, math.sqrt)._replace(paired=paired, unpaired_both_difficult=paired)


def _require_difficult_pairs(remedy: str, p: GraphParameters) -> None:
    why = f": {remedy} requested where there is no difficult pair"
    require(p.n_d > 0, "difficult", p.n_d, "difficult >= 1" + why)
    require(p.gamma > p.beta, "gamma", p.gamma, f"gamma > beta = {p.beta}{why}")


def _temperatures(p: GraphParameters) -> PerKind:
    _require_difficult_pairs("temperatures", p)
    require(p.beta > 0, "beta", p.beta, "beta > 0: no positive temperature turns gamma into beta")
    return formulas.temperatures(p, math.sqrt)


# --- the temperature theorem's weighted problem ----------------------------------------------------


@dataclass(frozen=True)
class Factorisation:
    """A minimiser of the temperature loss beside what the temperature bound makes of it.

    The bound multiplies the clean bound's first term by ``stated_factor``, as the cost of weighting pairs by
    1/T². Compare that with ``loss_factor``, what weighting costs in loss, and ``stated_first_term`` with
    ``first_term``, what the argument bounds by it: the distance of the labels from the span of the features.

    Parameters
    ----------
    features : array, shape (N, k)
        F; the features of a node are its row over the square root of its degree.
    losses : tuple of float
        Σ (1/T²)(F·Fᵀ − Ā_clean)² reached from each start, smallest first; ``features`` has the first.
    clean_loss : float
        Smallest unweighted Σ (F·Fᵀ − Ā_clean)², the sum of λ_j² of the clean graph over j > k.
    mean_weight : float
        Mean of 1/T² over all pairs.
    stated_factor : float
        1 − (n_d/n)² + (γ/β)²(n_d/n)².
    first_term, stated_first_term : float
        2·min_B ‖U − F·B‖², with the one-hot labels times √(degree/Σ degrees) as rows of U, and
        4·stated_factor·δ/(1−λ_clean), with δ = φ.
    """

    features: Array
    losses: tuple[float, ...]
    clean_loss: float
    mean_weight: float
    stated_factor: float
    first_term: float
    stated_first_term: float

    @property
    def loss_factor(self) -> float:
        """Smallest weighted over smallest unweighted loss.

        At most 1 for k >= r + 1: one of the clean graph's optima errs within classes only, where 1/T² <= 1.
        """
        return self.losses[0] / self.clean_loss


def weighted_minimum(goal: Array, weights: Array, start: Array, tolerance: float = 1e-14) -> tuple[Array, float]:
    """The F near ``start`` that minimises Σ weights·(F·Fᵀ − goal)², and its loss; L-BFGS.

    Parameters
    ----------
    goal, weights : array, shape (N, N)
        Symmetric.
    start : array, shape (N, k)
    tolerance : float
        Relative change of the loss below which to stop.
    """
    from scipy.optimize import minimize

    def loss(flat: Array) -> tuple[float, Array]:
        features = flat.reshape(start.shape)
        residual = features @ features.T - goal
        weighted = weights * residual
        return float((weighted * residual).sum()), (4 * weighted @ features).ravel()

    options = {"maxiter": 10_000, "maxfun": 20_000, "ftol": tolerance, "gtol": 1e-9}
    found = minimize(loss, start.ravel(), jac=True, method="L-BFGS-B", options=options)
    return found.x.reshape(start.shape), float(found.fun)


def weighted_factorisation(p: GraphParameters, dim: int, starts: int = 3, seed: int = 0) -> Factorisation:
    """Minimise Σ (1/T²)(F·Fᵀ − T∘Ā)² over the N×k matrices F, with the temperature theorem's T.

    Then T∘Ā = Ā_clean. L-BFGS on the dense problem, for N up to some hundreds.

    Parameters
    ----------
    p : GraphParameters
        With difficult pairs and beta > 0.
    dim : int
        k, 1 <= k <= N - 1.
    starts, seed : int
        Number of starts: the unweighted optimum and, from the seed, random ones.

    Raises
    ------
    ParameterError
        If the graph has no difficult pair, beta = 0, or dim or starts is outside its range.
    """
    dim = require_integer("dim", dim, 1, p.nodes - 1, limit=", fewer than the N samples")
    starts = require_integer("starts", starts, 1)
    weights = _temperatures(p).combine(lambda t: 1 / t**2).matrix(p)
    goal = target(p).temperature().matrix()
    shape = (p.nodes, dim)

    eigenvalues, vectors = np.linalg.eigh(goal)
    rng, scale = np.random.default_rng(seed), math.sqrt(np.trace(goal) / (p.nodes * dim))
    initial = [vectors[:, -dim:] * np.sqrt(eigenvalues[-dim:])]
    initial += [scale * rng.standard_normal(shape) for _ in range(starts - 1)]
    found = sorted((weighted_minimum(goal, weights, start) for start in initial), key=lambda minimum: minimum[1])
    features = found[0][0]

    degrees = SimilarityGraph(p).degrees()
    labels = np.repeat(np.eye(p.classes), p.n, axis=0) * np.sqrt(degrees / degrees.sum())[:, None]
    distance = labels - features @ np.linalg.lstsq(features, labels)[0]
    factor = 1 + (p.n_d / p.n) ** 2 * ((p.gamma / p.beta) ** 2 - 1)
    return Factorisation(
        features=features,
        losses=tuple(loss for _, loss in found),
        clean_loss=float((eigenvalues[:-dim] ** 2).sum()),
        mean_weight=float(weights.mean()),
        stated_factor=float(factor),
        first_term=2 * float((distance**2).sum()),
        stated_first_term=float(4 * factor * formulas.cross_mass(p) / (1 - formulas.clean_bulk(p))),
    )


# --- which remedy where ----------------------------------------------------------------------------

REMEDIES = ("nothing", "margin", "temperature", "removal")


class RemedyMap(NamedTuple):
    """The remedy with the smallest bound, over a grid of graphs.

    Attributes
    ----------
    best : array of str, shape (len(difficult), len(excess))
        A name from ``REMEDIES``, or "invalid" where no augmentation produces the graph.
    bounds : mapping of arrays of that shape
        The bound by remedy, NaN where there is none.
    """

    best: NDArray[np.str_]
    bounds: Mapping[str, Array]


def remedy_bounds(p: GraphParameters, dim: int, delta: float, *, exact: bool = False) -> dict[str, float]:
    """The error bound with each remedy, and with none.

    Parameters
    ----------
    p : GraphParameters
        A positive semidefinite graph.
    dim : int
        k, r + 1 <= k <= N - 1: there every stated eigenvalue is an upper bound of the exact one.
    delta : float
        Labelling error in [0, 1], whatever the remedy.
    exact : bool
        Whether to use exact eigenvalues in place of those stated; the temperature bound keeps its factor.

    Returns
    -------
    dict of float
        By the names in ``REMEDIES``; NaN where a remedy does not exist.

    Raises
    ------
    ParameterError
        If the graph is not positive semidefinite, or dim or delta is outside its range.
    """
    require_integer("dim", dim, p.classes, p.nodes - 1, limit=", from the classes to the samples less one")
    stated = error_bounds(p, dim, delta)
    values = {}
    for remedy in REMEDIES:
        bound = stated["difficult" if remedy == "nothing" else remedy]
        value, eigenvalue = bound.bound, bound.eigenvalue_exact
        if exact and eigenvalue is not None:
            value = formulas.probing_bound(eigenvalue, delta)
            if remedy == "temperature" and not p.is_clean:
                ratio = (1 - formulas.clean_bulk(p)) / (1 - eigenvalue)
                value += formulas.temperature_excess(p, delta) * ratio
        values[remedy] = math.nan if value is None else value
    return values


def remedy_map(
    p: GraphParameters,
    difficult: Sequence[int],
    excess: Sequence[float],
    dim: int,
    delta: float,
    *,
    exact: bool = False,
    remedies: Sequence[str] = REMEDIES,
) -> RemedyMap:
    """Which remedy has the smallest bound, by n_d and γ−β; of equal ones, the first in ``remedies``.

    The margin's stated bound is the clean one, so it is the best wherever there is a difficult pair; leave it
    out of ``remedies`` to rank the others.

    Parameters
    ----------
    p : GraphParameters
        α, β, n, classes and pairing; its n_d and γ are replaced.
    difficult, excess : sequence of int, of float
        The values of n_d and of γ−β.
    dim, delta, exact
        As for ``remedy_bounds``.
    remedies : sequence of str
        Candidates from ``REMEDIES``, "nothing" among them.

    Raises
    ------
    ParameterError
        If a range is empty or a value outside its range; the message names the first such value.
    """
    require(len(difficult) > 0, "difficult", difficult, "at least one value")
    require(len(excess) > 0, "excess", excess, "at least one value")
    known = "nothing" in remedies and set(remedies) <= set(REMEDIES)
    require(known, "remedies", remedies, "names among " + ", ".join(REMEDIES) + ', with "nothing"')
    shape = (len(difficult), len(excess))
    best = np.full(shape, "invalid", dtype="U11")
    bounds = {remedy: np.full(shape, math.nan) for remedy in remedies}
    for i, n_d in enumerate(difficult):
        for j, g in enumerate(excess):
            graph = replace(p, difficult=n_d, gamma=p.beta + g)
            if not is_positive_semidefinite(graph):
                continue
            values = remedy_bounds(graph, dim, delta, exact=exact)
            for remedy in remedies:
                bounds[remedy][i, j] = values[remedy]
            existing = [remedy for remedy in remedies if not math.isnan(values[remedy])]
            best[i, j] = min(existing, key=lambda remedy: values[remedy])
    return RemedyMap(best, bounds)
