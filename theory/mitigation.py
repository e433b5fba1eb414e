"""Removal, margin and temperature as operators on the graph, and which of them has the smallest bound.

Removal gives another graph. Margin and temperature leave the data alone and change the matrix that the
features factorise: the spectral loss with margins M and temperatures T is, up to a constant,

    Σ (1/T²)(F·Fᵀ − (T∘Ā − M̄))²,    M̄ = D^{1/2} M D^{1/2},

with Ā the normalised adjacency. Such a target is constant on each kind of pair, so permuting classes, or
difficult or easy samples, leaves it unchanged, and its spectrum is read off blocks of size two at most,
whatever the strength and order of the remedies.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from theory import formulas
from theory.bounds import error_bounds
from theory.checks import require, require_integer
from theory.formulas import PerPair
from theory.graph import Array, SimilarityGraph
from theory.params import GraphParameters
from theory.spectrum import Mode, is_positive_semidefinite


class Entries(NamedTuple):
    """A symmetric matrix over the nodes that is constant on each kind of pair; kinds as in ``PerPair``."""

    paired: float
    difficult_diagonal: float
    same_class_both_difficult: float
    unpaired_both_difficult: float
    same_class_one_difficult: float
    different_class_one_difficult: float
    easy_diagonal: float
    same_class_both_easy: float
    different_class_both_easy: float

    def combine(self, operation: Callable[[float, float], float], table: PerPair) -> Entries:
        """Apply an operation to every entry and the table's value for its kind of pair."""
        per_kind = (*table[:6], *3 * (table.both_easy,))
        return Entries(*(operation(entry, value) for entry, value in zip(self, per_kind, strict=True)))

    def matrix(self, p: GraphParameters) -> Array:
        """Dense matrix, shape (N, N), nodes ordered as in ``SimilarityGraph``."""
        sample, label = np.arange(p.nodes) % p.n, np.arange(p.nodes) // p.n
        difficult, diagonal = sample < p.n_d, np.eye(p.nodes, dtype=bool)
        both, one = difficult[:, None] & difficult, difficult[:, None] ^ difficult
        same_class = label[:, None] == label
        paired = both if p.pairing == "block" else both & (sample[:, None] == sample)
        dense = np.full((p.nodes, p.nodes), self.different_class_both_easy)
        for pairs, value in (  # of those that apply, the last counts
            (one, self.different_class_one_difficult),
            (both, self.unpaired_both_difficult),
            (paired, self.paired),
            (same_class, self.same_class_both_easy),
            (same_class & one, self.same_class_one_difficult),
            (same_class & both, self.same_class_both_difficult),
            (diagonal, self.easy_diagonal),
            (diagonal & difficult, self.difficult_diagonal),
        ):
            dense[pairs] = value
        return dense


@dataclass(frozen=True)
class Target:
    """The matrix that the inner products F·Fᵀ of the features are fitted to.

    Margin and temperature return new targets and can be chained: ``target(p).temperature().margin()`` is the
    loss with (s + m)/τ in place of the similarity s, the other order the one with s/τ + m.

    Parameters
    ----------
    parameters : GraphParameters
        The graph.
    entries : Entries
        Values by kind of pair.
    """

    parameters: GraphParameters
    entries: Entries

    def margin(self, scale: float = 1.0, margins: PerPair | None = None) -> Target:
        """Subtract ``scale`` times the normalised margins M̄.

        Parameters
        ----------
        scale : float
            1 turns Ā into the clean graph's, 0 leaves it.
        margins : PerPair, optional
            In units of unnormalised degrees; those of the margin theorem by default.

        Raises
        ------
        ParameterError
            If the graph has no difficult pair.
        """
        p = self.parameters
        _require_difficult_pairs("margins", p)
        easy, difficult = formulas.degrees(p)
        mixed = math.sqrt(difficult * easy)
        roots = (*4 * (difficult,), mixed, mixed, easy)
        table = formulas.margins(p, math.sqrt) if margins is None else margins
        normalised = PerPair(*(root * margin for root, margin in zip(roots, table, strict=True)))
        return replace(self, entries=self.entries.combine(lambda entry, m: entry - scale * m, normalised))

    def temperature(self, exponent: float = 1.0) -> Target:
        """Multiply by the temperature theorem's factors to the power ``exponent`` (1 turns Ā clean, 0 leaves it).

        Raises
        ------
        ParameterError
            If the graph has no difficult pair, or beta = 0.
        """
        table = _temperatures(self.parameters)
        return replace(self, entries=self.entries.combine(lambda entry, t: entry * t**exponent, table))

    def spectrum(self) -> tuple[Mode, ...]:
        """All eigenvalues, largest first, with multiplicities and the names of ``theory.spectrum``."""
        p, e = self.parameters, self.entries
        r, n_d, n_e, m = p.r, p.n_d, p.n - p.n_d, p.neighbours
        # Sums over a row's entries in its own class, and in one other.
        difficult = e.difficult_diagonal + (n_d - 1) * e.same_class_both_difficult
        difficult_other = m * e.paired + (n_d - m) * e.unpaired_both_difficult
        easy = e.easy_diagonal + (n_e - 1) * e.same_class_both_easy
        easy_other = n_e * e.different_class_both_easy
        root = math.sqrt(n_d * n_e)
        mixed, mixed_other = root * e.same_class_one_difficult, root * e.different_class_one_difficult
        modes = []
        for (upper, lower), multiplicity, others in (
            (("trivial", "contrast"), 1, r),  # all classes alike
            (("class_upper", "class_lower"), r, -1),  # summing to 0 over the classes
        ):
            block = (difficult + others * difficult_other, easy + others * easy_other)
            if n_d == 0 or n_e == 0:
                modes.append(Mode(upper, block[n_d == 0], multiplicity))
                continue
            middle, half = (block[0] + block[1]) / 2, (block[0] - block[1]) / 2
            spread = math.hypot(half, mixed + others * mixed_other)
            modes += [Mode(upper, middle + spread, multiplicity), Mode(lower, middle - spread, multiplicity)]
        within = e.difficult_diagonal - e.same_class_both_difficult
        if n_d > 1 and p.pairing == "matched":
            group = e.paired - e.unpaired_both_difficult
            modes.append(Mode("bridge", within + r * group, n_d - 1))
            modes.append(Mode("anti_bridge", within - group, r * (n_d - 1)))
        elif n_d > 1:
            modes.append(Mode("within_difficult", within, p.classes * (n_d - 1)))
        if n_e > 1:
            modes.append(Mode("bulk", e.easy_diagonal - e.same_class_both_easy, p.classes * (n_e - 1)))
        return tuple(sorted(modes, key=lambda mode: -mode.eigenvalue))

    def matrix(self) -> Array:
        """Dense matrix, shape (N, N), nodes ordered as in ``SimilarityGraph``."""
        return self.entries.matrix(self.parameters)


def target(p: GraphParameters) -> Target:
    """The normalised adjacency Ā: the target without margin or temperature."""
    easy, difficult = (float(degree) for degree in formulas.degrees(p))
    alpha, beta, gamma, mixed = float(p.alpha), float(p.beta), float(p.gamma), math.sqrt(difficult * easy)
    both_difficult = (gamma / difficult, 1 / difficult, alpha / difficult, beta / difficult)
    return Target(p, Entries(*both_difficult, alpha / mixed, beta / mixed, 1 / easy, alpha / easy, beta / easy))


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


def quoted_margins(p: GraphParameters) -> PerPair:
    """The margins as the paper's theorem is quoted: c0·g/(c1²c2) for paired samples.

    c0 = (1−α) + nα + (n−n_d)rβ = c2 − n_d·rβ, where c2 − m·rβ makes the target clean: the same for the block
    pairing, for n_d = 1 and for β = 0.
    """
    c2, c1 = formulas.degrees(p)
    paired = (p.gamma - p.beta) * (c2 - p.n_d * p.r * p.beta) / (c1 * c1 * c2)
    return formulas.margins(p, math.sqrt)._replace(paired=paired)


def _require_difficult_pairs(remedy: str, p: GraphParameters) -> None:
    why = f": {remedy} requested where there is no difficult pair"
    require(p.n_d > 0, "difficult", p.n_d, "difficult >= 1" + why)
    require(p.gamma > p.beta, "gamma", p.gamma, f"gamma > beta = {p.beta}{why}")


def _temperatures(p: GraphParameters) -> PerPair:
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
        4·stated_factor·δ/(1−λ_clean), with the graph's own δ.
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
    from scipy.optimize import minimize

    dim = require_integer("dim", dim, 1, p.nodes - 1, limit=", fewer than the N samples")
    starts = require_integer("starts", starts, 1)
    weights = Entries(*9 * (1.0,)).combine(lambda one, t: one / t**2, _temperatures(p)).matrix(p)
    goal = target(p).temperature().matrix()
    shape = (p.nodes, dim)

    def loss(flat: Array) -> tuple[float, Array]:
        features = flat.reshape(shape)
        residual = features @ features.T - goal
        weighted = weights * residual
        return float((weighted * residual).sum()), (4 * weighted @ features).ravel()

    eigenvalues, vectors = np.linalg.eigh(goal)
    rng, scale = np.random.default_rng(seed), math.sqrt(np.trace(goal) / (p.nodes * dim))
    initial = [vectors[:, -dim:] * np.sqrt(eigenvalues[-dim:])]
    initial += [scale * rng.standard_normal(shape) for _ in range(starts - 1)]
    options = {"maxiter": 10_000, "maxfun": 20_000, "ftol": 1e-14, "gtol": 1e-9}
    found = [minimize(loss, start.ravel(), jac=True, method="L-BFGS-B", options=options) for start in initial]
    found.sort(key=lambda result: float(result.fun))
    features = found[0].x.reshape(shape)

    degrees = SimilarityGraph(p).degrees()
    labels = np.repeat(np.eye(p.classes), p.n, axis=0) * np.sqrt(degrees / degrees.sum())[:, None]
    distance = labels - features @ np.linalg.lstsq(features, labels)[0]
    factor = 1 + (p.n_d / p.n) ** 2 * ((p.gamma / p.beta) ** 2 - 1)
    return Factorisation(
        features=features,
        losses=tuple(float(result.fun) for result in found),
        clean_loss=float((eigenvalues[:-dim] ** 2).sum()),
        mean_weight=float(weights.mean()),
        stated_factor=float(factor),
        first_term=2 * float((distance**2).sum()),
        stated_first_term=float(4 * factor * formulas.labelling_error(p) / (1 - formulas.bulk(p))),
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
                ratio = (1 - formulas.bulk(p)) / (1 - eigenvalue)
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
