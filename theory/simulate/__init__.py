"""Simulation at population level: from a noisy similarity graph to the error of a linear probe, beside the bounds.

One cell of an experiment is one world at one noise level. For every seed it draws the noise and a train/test
split once, and for each remedy takes the k leading eigenvectors V of the normalised adjacency (with Wigner noise,
degrees of the population; of a sampled graph, its own), the features D^(−1/2)·V·√λ, and fits a linear probe on the
train nodes:

    nothing          the noisy graph as it is
    clean            the same noise on the graph with γ = β
    margin           Ā − M̄ with the margins that turn the population's Ā into the clean one
    temperature      the minimiser F of Σ (1/T²)(F·Fᵀ − T∘Ā)² with the temperatures that do so, next to the
                     leading eigenvectors of T∘Ā; T acts on the noise, too
    temperature_unweighted
                     those eigenvectors themselves, without the weights 1/T² of the temperature theorem
    removal          the graph without the difficult nodes
    random_removal   without as many random nodes of each class

Each row says whether the drawn graph lies in the domain of the theory: weights >= 0, positive semidefinite.
``error`` is over all test nodes that the remedy keeps; ``error_shared`` over the easy test nodes that random
removal keeps, the same for all remedies: compare remedies there. ``predicted`` is the error to expect, from
``theory.predict``, where it has a number. Run as ``python -m theory.simulate``.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from theory import formulas
from theory.checks import RUNS, ParameterError, is_finite, require, require_integer, require_share
from theory.code import OpenNames, is_spec
from theory.draws import (
    NOISES,
    ROWS,
    SAMPLED,
    Noise,
    is_positive_semidefinite,
    negative_share,
    population,
    require_channel,
)
from theory.files import claim, read_table, read_toml, write_text, write_together
from theory.kinds import PAIRINGS
from theory.mitigation import weighted_minimum
from theory.noise import noisy_eigenvalue
from theory.params import GraphParameters
from theory.spectrum import NotRealisable, nth_mode, spectrum
from theory.tables import csv_text
from theory.workers import workers
from theory.worlds import STRUCTURES, AnyWorld, Array, Indices, Mask, load_measured, own_world, synthetic

GRAPH_KEYS = ("pairing", "alpha", "beta", "gamma", "samples_per_class", "classes", "difficult")
USUAL_REMEDIES = ("nothing", "clean", "margin", "temperature", "removal", "random_removal")
REMEDIES = (*USUAL_REMEDIES, "temperature_unweighted")
ON_ALL_NODES = ("nothing", "clean", "margin", "temperature", "temperature_unweighted")
DENSE_NODES = 2000  # up to here all eigenvalues, with multiplicities exact; beyond, iteratively
NO_NOISE = Noise()
TOLERANCE = 1e-2  # relative residual of iterative eigenpairs
CONSTANT = 1e-6  # share of a feature's norm that single precision makes of nothing
ROUNDING = 1e-8  # singular values below this share of the largest are 0: a channel's draws span few directions
BY_DIFFICULTY = ("error_easy", "error_difficult")
PREDICTED = ("predicted", "predicted_easy", "predicted_difficult")
LOSS_TOLERANCE = 1e-9  # relative change of the temperature loss at which its minimisation ends

# --- eigenvectors ----------------------------------------------------------------------------------


class Eigenpairs(NamedTuple):
    """The leading eigenpairs of a symmetric matrix, largest first.

    Attributes
    ----------
    values : array, shape (k + 1,)
        The last one is the first that is left out.
    vectors : array, shape (N, k)
    """

    values: Array
    vectors: Array


def leading_eigenpairs(matrix: Array, dim: int, dense: bool | None = None) -> Eigenpairs:
    """The k leading eigenpairs with all copies of multiple eigenvalues, and the eigenvalue after them.

    Parameters
    ----------
    matrix : array, shape (N, N)
        Symmetric; Fortran or C order.
    dim : int
        k, 1 <= k <= N - 1.
    dense : bool, optional
        Exactly, or iteratively with relative residuals below 1e-2; by default according to N. Lanczos' method
        may drop copies of a multiple eigenvalue, so the iterative result is checked: the largest eigenvalue on
        the complement of the vectors must not exceed the last of theirs, or else it joins them and the check
        is repeated.

    Raises
    ------
    ParameterError
        If dim is outside its range, or exceeds the number of positive eigenvalues.
    """
    nodes = len(matrix)
    dim = require_integer("dim", dim, 1, nodes - 1, limit=", fewer than the N samples")
    if dense if dense is not None else nodes <= DENSE_NODES:
        # All of them: LAPACK's driver for a part fails on eigenvalues of high multiplicity.
        values, vectors = np.linalg.eigh(matrix.astype(np.float64))
        values, vectors = values[: -dim - 2 : -1], vectors[:, : -dim - 1 : -1]
    else:
        values, vectors = _iterative(matrix, dim)
    rank = int((values > 1e-6 * values[0]).sum())
    limit = f"dim <= {rank}, the number of positive eigenvalues"
    require(rank >= dim, "dim", dim, limit)
    return Eigenpairs(values, vectors)


def _iterative(matrix: Array, dim: int) -> tuple[Array, Array]:
    from scipy.linalg.blas import ssymv
    from scipy.sparse.linalg import LinearOperator, eigsh

    nodes = len(matrix)
    single = np.asarray(matrix, dtype=np.float32)
    columns = single if single.flags.f_contiguous else single.T  # symmetric: the transpose saves a copy
    rng = np.random.default_rng(0)  # a fixed start makes the result a function of the matrix

    def largest(product: Callable[[Array], Array], count: int, subspace: int, tol: float) -> tuple[Array, Array]:
        operator = LinearOperator((nodes, nodes), matvec=product, dtype=np.float32)
        start = rng.standard_normal(nodes).astype(np.float32)
        values, vectors = eigsh(operator, k=count, which="LA", ncv=min(subspace, nodes - 1), tol=tol, v0=start)
        order = np.argsort(-values)
        return values[order], vectors[:, order]

    def multiply(x: Array) -> Array:
        result: Array = ssymv(1.0, columns, np.asarray(x, dtype=np.float32).ravel())
        return result

    values, vectors = largest(multiply, dim, max(5 * dim, 40), TOLERANCE)
    for _ in range(nodes):
        held = vectors

        def complement(x: Array, held: Array = held) -> Array:
            x = np.asarray(x, dtype=np.float32).ravel()
            y = multiply(x - held @ (held.T @ x))
            result: Array = y - held @ (held.T @ y)
            return result

        extra, vector = largest(complement, 1, 20, TOLERANCE)
        if extra[0] <= values[-1] * (1 + TOLERANCE):
            break
        values, vectors = np.append(values[:-1], extra), np.column_stack([vectors[:, :-1], vector])
        order = np.argsort(-values)
        values, vectors = values[order], vectors[:, order]
    return np.append(values, min(extra[0], values[-1])), vectors


# --- targets ---------------------------------------------------------------------------------------


def _chunks(nodes: int) -> Iterator[Indices]:
    for start in range(0, nodes, ROWS):
        yield np.arange(start, min(start + ROWS, nodes))


def _row_sums(rows: Callable[[Indices], Array], nodes: int, kept: Mask | None = None) -> Array:
    """Sums over the kept columns, in double precision."""
    columns = slice(None) if kept is None else kept
    return np.concatenate([rows(chunk)[:, columns].sum(axis=1, dtype=np.float64) for chunk in _chunks(nodes)])


class Target(NamedTuple):
    """What the features of one remedy are made from.

    Attributes
    ----------
    matrix : array, shape (N', N'), of the precision of ``theory.draws.Noise.weights``
        Their inner products F·Fᵀ are fitted to it.
    degrees : array, shape (N',)
    weights : array, shape (N', N'), or None
        Of the squared errors; None stands for ones.
    negative_share : float
        Share of negative weights in the drawn graph.
    positive_semidefinite : bool or None
        Whether the drawn graph is; None beyond 2,000 nodes.
    """

    matrix: Array
    degrees: Array
    weights: Array | None
    negative_share: float
    positive_semidefinite: bool | None

    @property
    def in_domain(self) -> bool | None:
        """Whether the drawn graph has the properties that the theorems ask of one; None where it is not known."""
        return False if self.negative_share else self.positive_semidefinite


def target(
    world: AnyWorld,
    remedy: str,
    noise: Noise = NO_NOISE,
    seed: int = 0,
    kept: Mask | None = None,
) -> Target:
    """Draw the graph and apply a remedy.

    Parameters
    ----------
    world : World or MeasuredWorld
    remedy : str
        From ``REMEDIES``; for both removals the nodes that stay are in ``kept``.
    noise, seed
        See ``theory.draws.Noise``.
    kept : bool array, shape (N,), optional

    Raises
    ------
    ParameterError
        If a node's similarities do not sum to something positive, a temperature would have to be 0, or the noise
        does not exist in this world.
    """
    rows, every = world.clean_rows if remedy == "clean" else world.rows, np.arange(world.nodes)
    matrix = noise.weights(world, seed, remedy == "clean")
    of_degrees = matrix.__getitem__ if noise.own_degrees else lambda chunk: rows(chunk, every)
    degrees = _row_sums(of_degrees, world.nodes, kept)
    if kept is not None:
        matrix, degrees = matrix[np.ix_(kept, kept)], degrees[kept]
    require(bool((degrees > 0).all()), "degree", f"{degrees.min():.3g}", "positive sums of similarities")
    share = negative_share(matrix)
    definite = is_positive_semidefinite(matrix) if len(matrix) <= DENSE_NODES else None
    scale = (1 / np.sqrt(degrees)).astype(matrix.dtype)
    matrix *= scale[:, None]
    matrix *= scale
    weights = np.empty_like(matrix) if remedy == "temperature" else None
    if remedy in ("margin", "temperature", "temperature_unweighted"):
        for chunk, now, clean in _normalised(world, matrix.dtype):
            block = matrix[chunk[0] : chunk[-1] + 1]
            if remedy == "margin":
                block -= now - clean
                continue
            possible = (now > 0) & (clean > 0) | (now == clean)
            require(bool(possible.all()), "temperature", 0, "positive similarities, with and without difficulty")
            factors = np.divide(clean, now, out=np.ones_like(now), where=now != 0)
            block *= factors
            if weights is not None:
                weights[chunk] = factors**-2.0
    return Target(matrix, degrees, weights, share, definite)


def _normalised(world: AnyWorld, precision: np.dtype[Any]) -> Iterator[tuple[Indices, Array, Array]]:
    """Rows of the population's normalised adjacency and of the clean one's, some at a time."""
    every = np.arange(world.nodes)
    scale = (1 / np.sqrt(_row_sums(lambda chunk: world.rows(chunk, every), world.nodes))).astype(precision)
    goal = (1 / np.sqrt(_row_sums(lambda chunk: world.clean_rows(chunk, every), world.nodes))).astype(precision)
    for chunk in _chunks(world.nodes):
        now = world.rows(chunk, every) * scale[chunk][:, None] * scale
        clean = world.clean_rows(chunk, every) * goal[chunk][:, None] * goal
        yield chunk, now, clean


def embed(goal: Target, pairs: Eigenpairs, dim: int) -> Array:
    """The features of the nodes: of the best fit of rank k, each over the root of its degree."""
    factor = pairs.vectors[:, :dim] * np.sqrt(pairs.values[:dim])
    if goal.weights is not None:
        matrix, weights = goal.matrix.astype(np.float64), goal.weights.astype(np.float64)
        factor, _ = weighted_minimum(matrix, weights, factor, LOSS_TOLERANCE)
    return factor / np.sqrt(goal.degrees)[:, None]


# --- probe -----------------------------------------------------------------------------------------


def split(labels: Indices, difficult: Mask, test_share: float, seed: int) -> Mask:
    """The test nodes: the same share of the easy and of the difficult nodes of every class.

    Returns
    -------
    bool array, shape (N,)

    Raises
    ------
    ParameterError
        If a class has no easy test or no easy train node.
    """
    rng = np.random.default_rng([seed, 2])
    test = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        for kind in (False, True):
            nodes = np.flatnonzero((labels == label) & (difficult == kind))
            count = math.floor(test_share * len(nodes) + 0.5)
            why = f"test and train nodes among the {len(nodes)} easy nodes of class {label}"
            require(kind or 0 < count < len(nodes), "test_share", test_share, why)
            test[rng.permutation(nodes)[:count]] = True
    return test


def random_removal(labels: Indices, difficult: Mask, seed: int) -> Mask:
    """The nodes that stay when each class loses as many random nodes as it has difficult ones."""
    rng = np.random.default_rng([seed, 3])
    kept = np.ones(len(labels), dtype=bool)
    for label in np.unique(labels):
        nodes = np.flatnonzero(labels == label)
        kept[rng.permutation(nodes)[: difficult[nodes].sum()]] = False
    return kept


def least_squares(features: Array, labels: Indices, train: Mask) -> Indices:
    """Predicted labels: least squares with intercept on one-hot labels.

    The default probe: the bounds are proved through its squared error; it has no strength of regularisation to
    choose, takes a closed form and, where the train nodes determine it, does not depend on the features' scale.
    Directions in which the train nodes differ by rounding alone get no weight.
    """
    kept = _varying(features, train)
    centred = kept - kept[train].mean(axis=0)
    one_hot = np.eye(labels.max() + 1)[labels[train]]
    mean = one_hot.mean(axis=0)
    weights = np.linalg.lstsq(centred[train], one_hot - mean, rcond=ROUNDING)[0]
    predicted: Indices = (centred @ weights + mean).argmax(axis=1)
    return predicted


def logistic(features: Array, labels: Indices, train: Mask) -> Indices:
    """Predicted labels: scikit-learn's logistic regression on standardised features, as a second opinion."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    kept = _varying(features, train)
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(kept[train], labels[train])
    predicted: Indices = model.predict(kept)
    return predicted


def _varying(features: Array, train: Mask) -> Array:
    """The features, with zeros in place of those that are constant on the train nodes up to rounding.

    The first one of a graph with its own degrees is, and those of a sample that belong to test nodes alone.
    """
    centred = features[train] - features[train].mean(axis=0)
    varies = np.linalg.norm(centred, axis=0) > CONSTANT * np.linalg.norm(features, axis=0)
    return np.where(varies, features, 0.0)


PROBES = {"least_squares": least_squares, "logistic": logistic}

# --- bounds ----------------------------------------------------------------------------------------


class Bounded(NamedTuple):
    """The error bound of one remedy, 4δ/(1−λ) + 8δ, in three readings; NaN where there is none.

    Attributes
    ----------
    bound : float
        λ the population's exact (k+1)-th eigenvalue, δ the φ of the untreated graph: the paper compares at fixed δ.
    bound_own : float
        With the φ of the graph that the remedy leaves as its δ, the largest that its augmentations have.
    bound_noisy : float
        Like ``bound``, with λₖ₊₁ where it is to be expected under noise (``theory.noise.noisy_eigenvalue``).
    """

    bound: float
    bound_own: float
    bound_noisy: float


NO_BOUND = Bounded(math.nan, math.nan, math.nan)


def bounded(p: GraphParameters, dim: int, noise: Noise) -> dict[str, Bounded]:
    """The bounds by remedy on a three-level graph; ``bound_noisy`` with Wigner noise only.

    The temperature's carries what its theorem adds. Random removal leaves, in expectation, a graph with the same
    share of difficult samples; nothing is known where that is no whole number, so it is rounded.
    """
    delta = float(formulas.cross_mass(p))
    found = dict.fromkeys(REMEDIES, NO_BOUND)
    graphs = {"nothing": p, **dict.fromkeys(ON_ALL_NODES[1:], p.clean())}
    if p.n_d < p.n:
        left = p.n - p.n_d
        graphs["removal"] = p.without_difficult()
        graphs["random_removal"] = replace(p, samples_per_class=left, difficult=round(p.n_d * left / p.n))
    if p.beta == 0 and not p.is_clean:
        del graphs["temperature"], graphs["temperature_unweighted"]
    for remedy, graph in graphs.items():
        if not p.r < dim < graph.nodes:
            continue
        exact = float(nth_mode(spectrum(graph), dim + 1).eigenvalue)
        noisy = noisy_eigenvalue(graph, dim + 1, noise.epsilon) if noise.kind == "wigner" else math.nan
        own = delta if remedy in ON_ALL_NODES[2:] else float(formulas.cross_mass(graph))
        heated = remedy.startswith("temperature") and not p.is_clean
        extra = formulas.temperature_excess(p, delta) if heated else 0.0
        found[remedy] = Bounded(
            *(formulas.probing_bound(x, d) + extra for x, d in ((exact, delta), (exact, own), (noisy, delta)))
        )
    return found


def _bounded(world: AnyWorld, dims: Sequence[int], noise: Noise, remedies: Sequence[str]) -> Any:
    """``bounded`` by dim; where there is no closed form, from the population's matrix, ``bound`` only."""
    if world.graph is not None:
        return {dim: bounded(world.graph, dim, noise) for dim in dims}
    found = {dim: dict.fromkeys(REMEDIES, NO_BOUND) for dim in dims}
    if world.nodes > DENSE_NODES:
        return found
    weights = population(world)
    across = world.labels[:, None] != world.labels
    delta = float(weights[across].sum(dtype=np.float64) / weights.sum(dtype=np.float64))
    for remedy in remedies:
        if remedy.startswith("temperature") or remedy == "random_removal":  # no bound here; random
            continue
        goal = target(world, remedy, kept=~world.difficult if remedy == "removal" else None)
        values = np.linalg.eigvalsh(goal.matrix.astype(np.float64))[::-1]
        for dim in dims:
            if len(np.unique(world.labels)) <= dim < len(values):
                found[dim][remedy] = Bounded(formulas.probing_bound(values[dim], delta), math.nan, math.nan)
    return found


# --- experiments -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cell:
    """One world at one noise level; the fields are columns of the results."""

    world: str
    pairing: str | None
    alpha: float | None
    beta: float | None
    gamma: float | None
    samples_per_class: int | None
    classes: int | None
    difficult: int | None
    epsilon: float
    correlated: float
    noise: str = "wigner"
    draws: int | None = None

    @property
    def drawing(self) -> Noise:
        """How its graph is drawn."""
        return Noise(self.noise, self.epsilon, self.correlated, self.draws)

    def make(self, features: Path | None = None) -> AnyWorld:
        """Its world; ParameterError if no augmentation produces it."""
        if features is not None:
            return load_measured(features)
        graph: Any = {name: getattr(self, name) for name in GRAPH_KEYS}
        structure: Any = self.world
        if is_spec(self.world):
            return own_world(GraphParameters(**graph), self.world)
        return synthetic(GraphParameters(**graph), structure)


def simulate_cell(
    cell: Cell,
    dims: Sequence[int],
    remedies: Sequence[str],
    seeds: Sequence[int],
    test_share: float = 0.5,
    probe: str = "least_squares",
    features: Path | None = None,
) -> list[dict[str, Any]]:
    """All rows of one cell: for every seed, remedy and k the measured errors beside the bounds.

    Parameters
    ----------
    cell : Cell
    dims : sequence of int
        Values of k.
    remedies : sequence of str
        From ``REMEDIES``.
    seeds : sequence of int
        One draw of noise, split and random removal each, the same for all remedies.
    test_share, probe, features
        As in ``Experiment``.

    Returns
    -------
    list of dict
        The cell's fields, ``dim, seed, remedy``, ``nodes`` (N after the remedy), ``error`` and, over the easy and
        the difficult test nodes alone, ``error_easy`` and ``error_difficult``; ``error_shared``, ``shared`` (the
        number of nodes it is over), ``eigenvalue_next`` (λₖ₊₁ of the noisy matrix), ``gap``
        ((λ_k − λₖ₊₁)/λ_k: near 0 where k cuts through a multiple eigenvalue, so that the features are not
        unique), ``negative_share``, ``positive_semidefinite`` and ``in_domain`` of the drawn graph (see
        ``Target``) and the fields of ``Bounded`` and ``theory.simulate.expected.Expected``.

    Raises
    ------
    ParameterError
        If the world is not realisable, k exceeds a remedy's number of positive eigenvalues, or a class lacks
        test or train nodes.
    """
    from theory.simulate.expected import UNKNOWN, expected_errors  # half a second

    world = cell.make(features)
    bounds = _bounded(world, dims, cell.drawing, remedies)
    train = ~split(world.labels, world.difficult, test_share, 0)  # every seed has as many
    predicted = expected_errors(world, dims, cell.drawing, train, remedies) if probe == "least_squares" else {}
    rows = []
    for seed in seeds:
        test = split(world.labels, world.difficult, test_share, seed)
        survivors = random_removal(world.labels, world.difficult, seed)
        shared = test & ~world.difficult & survivors
        for remedy in remedies:
            kept = {"removal": ~world.difficult, "random_removal": survivors}.get(remedy)
            goal = target(world, remedy, cell.drawing, seed, kept)
            nodes = np.flatnonzero(kept) if kept is not None else np.arange(world.nodes)
            labels, on_test, on_shared = world.labels[nodes], test[nodes], shared[nodes]
            easy, difficult = on_test & ~world.difficult[nodes], on_test & world.difficult[nodes]
            pairs = leading_eigenpairs(goal.matrix, max(dims))
            for dim in dims:
                wrong = PROBES[probe](embed(goal, pairs, dim), labels, ~on_test) != labels
                rows.append(
                    {
                        **asdict(cell),
                        "dim": dim,
                        "seed": seed,
                        "remedy": remedy,
                        "nodes": len(nodes),
                        "error": _share(wrong, on_test),
                        "error_easy": _share(wrong, easy),
                        "error_difficult": _share(wrong, difficult),
                        "error_shared": _share(wrong, on_shared),
                        "shared": int(on_shared.sum()),
                        "eigenvalue_next": float(pairs.values[dim]),
                        "gap": float(1 - pairs.values[dim] / pairs.values[dim - 1]),
                        "negative_share": goal.negative_share,
                        "positive_semidefinite": goal.positive_semidefinite,
                        "in_domain": goal.in_domain,
                        **bounds[dim][remedy]._asdict(),
                        **predicted.get(dim, {}).get(remedy, UNKNOWN)._asdict(),
                    }
                )
    return rows


def _share(wrong: Mask, nodes: Mask) -> float:
    """The share of some nodes that is wrong; NaN of none."""
    return float(wrong[nodes].mean()) if nodes.any() else math.nan


INTEGERS = ("samples_per_class", "classes", "difficult", "dim", "draws")


@dataclass(frozen=True)
class Experiment:
    """A grid of cells. In the TOML file every value of the first part may be a number (or name) or a list.

    Parameters
    ----------
    world, pairing, alpha, beta, gamma, samples_per_class, classes, difficult, epsilon, dim, correlated : tuples
        The grid. In the file, ``excess`` (γ − β) may take gamma's place. ``correlated`` is the share of the noise's
        variance that a node's pairs have in common.
    excess : tuple
    noise, draws : tuples
        Kinds of noise, see ``theory.draws``; ``draws`` is the grid of those that have draws in place of epsilon.
    features : str or None
        An .npz with ``features`` and ``labels`` (or .npy, see ``theory.worlds.load_measured``) for the world
        ``measured``, which has no grid over the graph's parameters.
    remedies : tuple of str
    seeds : int
        Number of paired draws a cell.
    test_share : float
        Share of the nodes that the probe is tested on.
    probe : {"least_squares", "logistic"}
    skip_unrealisable : bool
        Leave out grid points that no augmentation produces, rather than refuse the experiment.
    """

    dim: tuple[int, ...]
    epsilon: tuple[float, ...] = ()
    world: tuple[str, ...] = ("three_level",)
    pairing: tuple[str, ...] = ("block",)
    alpha: tuple[float, ...] = ()
    beta: tuple[float, ...] = ()
    gamma: tuple[float, ...] = ()
    excess: tuple[float, ...] = ()
    samples_per_class: tuple[int, ...] = ()
    classes: tuple[int, ...] = ()
    difficult: tuple[int, ...] = ()
    correlated: tuple[float, ...] = (0.0,)
    noise: tuple[str, ...] = ("wigner",)
    draws: tuple[int, ...] = ()
    features: str | None = None
    remedies: tuple[str, ...] = USUAL_REMEDIES
    seeds: int = 10
    test_share: float = 0.5
    probe: str = "least_squares"
    skip_unrealisable: bool = False

    @classmethod
    def load(cls, path: Path) -> Experiment:
        """Read a TOML file, which may name no code; ParameterError names what is wrong in it."""
        document = read_toml(path)
        known = {field.name: field for field in fields(cls)}
        unknown = sorted(set(document) - set(known))
        if unknown:
            raise ParameterError(f"{path} has unknown {', '.join(unknown)}; known are {', '.join(known)}")
        values: dict[str, Any] = {}
        for name, value in document.items():
            many = str(known[name].type).startswith("tuple")
            require(many or not isinstance(value, list | dict), name, value, "a single value")
            values[name] = (tuple(value) if isinstance(value, list) else (value,)) if many else value
        require("dim" in values, "dim", "missing", f"a value in {path}")
        for name in values.get("world", ()):
            code = f"one of {', '.join((*STRUCTURES, 'measured'))}; code of your own is named as --world"
            require(not is_spec(str(name)), "world", name, code)
        if values.get("features") is not None:
            require(isinstance(values["features"], str), "features", values["features"], "a file name")
            values["features"] = str(Path(path).parent / values["features"])
        return cls(**values)

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, tuple):
                kind = str(field.type)
                for entry in value:
                    if field.name in INTEGERS:
                        require_integer(field.name, entry, 0 if field.name == "difficult" else 1)
                    elif "float" in kind:
                        require(is_finite(entry), field.name, entry, "a finite number")
                    else:
                        require(isinstance(entry, str), field.name, entry, "a name")
                require(len(set(value)) == len(value), field.name, list(value), "each value once")
        for name in ("dim", "world", "pairing", "correlated", "noise", "remedies"):
            require(len(getattr(self, name)) > 0, name, "[]", "at least one value")
        for entry in self.epsilon:
            require(entry >= 0, "epsilon", entry, "epsilon >= 0")
        for entry in self.correlated:
            require_share("correlated", entry)
        for name, allowed in (
            ("world", OpenNames((*STRUCTURES, "measured"))),
            ("pairing", PAIRINGS),
            ("noise", NOISES),
            ("remedies", REMEDIES),
        ):
            for entry in getattr(self, name):
                require(entry in allowed, name, entry, "one of " + ", ".join(allowed))
        for name, kinds in (("epsilon", {"wigner"}), ("draws", set(SAMPLED))):
            given, wanted = list(getattr(self, name)), sorted(kinds & set(self.noise))
            why = "a value with the noise" if wanted else "no value without the noise"
            require(
                bool(given) == bool(wanted), name, given or "missing", f"{why} {' or '.join(wanted or sorted(kinds))}"
            )
        RUNS.require("seeds", self.seeds)
        require(
            is_finite(self.test_share) and 0 < self.test_share < 1, "test_share", self.test_share, "0 < test_share < 1"
        )
        require(self.probe in PROBES, "probe", self.probe, "one of " + ", ".join(PROBES))
        require(isinstance(self.skip_unrealisable, bool), "skip_unrealisable", self.skip_unrealisable, "true or false")
        if "measured" in self.world:
            require(
                len(self.world) == 1, "world", list(self.world), "measured on its own: it has no graph's parameters"
            )
            require(self.features is not None, "features", "missing", "a file for the world measured")
            for name in (*GRAPH_KEYS[1:], "excess"):
                require(not getattr(self, name), name, list(getattr(self, name)), "no value in the world measured")
            return
        require(self.features is None, "features", self.features, "world = measured")
        require(bool(self.gamma) != bool(self.excess), "gamma", list(self.gamma), "either gamma or excess")
        for name in ("alpha", "beta", "samples_per_class", "classes", "difficult"):
            require(len(getattr(self, name)) > 0, name, "[]", "at least one value")

    def cells(self) -> list[Cell]:
        """The grid's cells, each checked to be realisable, with enough nodes for k and for the split.

        Raises
        ------
        ParameterError
            If one is not (unless ``skip_unrealisable`` and no augmentation produces it), or none is left.
        """
        if self.features is not None:
            nothing: Any = dict.fromkeys(GRAPH_KEYS)
            self._check(load_measured(Path(self.features)))
            return [Cell("measured", **nothing, **level) for level in self._levels()]
        cells = []
        names = ("world", "pairing", "alpha", "beta", "samples_per_class", "classes", "difficult")
        grid = [getattr(self, name) for name in names]
        for *point, level in itertools.product(*grid, self.gamma or self.excess):
            graph = dict(zip(names, point, strict=True))
            graph["gamma"] = level if self.gamma else graph["beta"] + level
            group = [Cell(**graph, **level) for level in self._levels()]
            try:
                world = group[0].make()
            except NotRealisable:
                if self.skip_unrealisable:
                    continue
                raise
            self._check(world)
            cells += group
        require(len(cells) > 0, "gamma", list(self.gamma or self.excess), "at least one graph that can be realised")
        return cells

    def _levels(self) -> list[dict[str, Any]]:
        """The noise of each cell of one graph."""
        independent = [{"epsilon": e, "correlated": c} for e in self.epsilon for c in self.correlated]
        sampled = [
            {"epsilon": 0.0, "correlated": 0.0, "noise": kind, "draws": draws}
            for kind in self.noise
            for draws in self.draws
            if kind in SAMPLED
        ]
        return independent + sampled

    def _check(self, world: AnyWorld) -> None:
        if "channel" in self.noise:
            require_channel(world)
        split(world.labels, world.difficult, self.test_share, 0)
        removes = {"removal", "random_removal"} & set(self.remedies)
        left = world.nodes - int(world.difficult.sum()) if removes else world.nodes
        for dim in self.dim:
            limit = ", fewer than the nodes that removal leaves" if removes else ", fewer than the N samples"
            require_integer("dim", dim, 1, left - 1, limit=limit)

    def run_cell(self, cell: Cell) -> list[dict[str, Any]]:
        """``simulate_cell`` with the experiment's settings."""
        path = None if self.features is None else Path(self.features)
        return simulate_cell(cell, self.dim, self.remedies, range(self.seeds), self.test_share, self.probe, path)

    def has(self, cell: Cell, path: Path) -> bool:
        """Whether a file holds all rows of a cell; of one that is there and does not, a warning says so."""
        if not path.exists():
            return False
        rows = list(itertools.product(range(self.seeds), self.remedies, self.dim))
        try:
            found = read_table(path, "seed", "dim", "error")
            require("remedy" in found, str(path), "no remedy", "a table with this column")
            there = list(zip(found.seed, found.remedy, found.dim, strict=True))
            require(there == rows and path.read_bytes().endswith(b"\n"), str(path), "other rows", "those of its cell")
            require(bool(found.error.between(0, 1).all()), str(path), "an error outside [0, 1]", "errors of a probe")
            for name, value in asdict(cell).items():
                same = name not in found or all(_same(entry, value) for entry in found[name].unique())
                require(same, f"{name} of {path}", "another", f"{name} = {value} of its cell")
        except ParameterError as error:
            warnings.warn(f"{error}; the cell is done again", stacklevel=2)
            return False
        return True

    def settings(self) -> dict[str, Any]:
        """What a resumed run must have in common: the fields, and the features' digest in place of their name."""
        document: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        if self.features is not None:
            document["features"] = "sha256:" + hashlib.sha256(Path(self.features).read_bytes()).hexdigest()
        return document


# --- running ---------------------------------------------------------------------------------------


def run_experiment(experiment: Experiment, out: Path, jobs: int = 1, scheduler: str | None = None) -> Any:
    """Run all cells that ``out`` does not hold yet, and collect ``results.csv``.

    Parameters
    ----------
    experiment : Experiment
    out : Path
        Folder for experiment.json, cells/ (one file each, written when complete) and the results.
    jobs, scheduler
        Where, see ``theory.workers.workers``.

    Returns
    -------
    pandas.DataFrame

    Raises
    ------
    ParameterError
        If ``out`` holds a simulation with other settings, or as ``simulate_cell`` or ``workers``.
    """
    import pandas as pd

    cells, out = experiment.cells(), Path(out)
    paths = [out / "cells" / f"{number:05d}.csv" for number in range(len(cells))]
    with workers(jobs, scheduler, out) as pool:
        claim(out / "experiment.json", experiment.settings(), partial(_another, out))
        missing = [task for task in zip(cells, paths, strict=True) if not experiment.has(*task)]
        finished = len(cells) - len(missing)
        pool.run(partial(_finish, experiment), missing, [1] * len(missing), finished, unit="cell")
    table = pd.concat([read_table(path) for path in paths], ignore_index=True)
    write_results(out, table)
    return table


def write_results(out: Path, table: Any) -> None:
    """Write a table to ``out``/results.csv and results.parquet."""
    buffer = io.BytesIO()
    table.to_parquet(buffer, index=False)
    write_together({out / "results.csv": csv_text(table), out / "results.parquet": buffer.getvalue()})


def _same(found: Any, value: Any) -> bool:
    """Whether an entry of a table, where nothing is NaN, is a value."""
    if value is None or isinstance(value, str):
        return bool(found == value or (value is None and found != found))
    return is_finite(found) and math.isclose(found, value, rel_tol=1e-12, abs_tol=1e-300)


def _another(out: Path, name: str, before: str, now: str) -> ParameterError:
    return ParameterError(f"{out} holds a run with {name} = {before}, not {now}: choose another folder")


def _finish(experiment: Experiment, task: tuple[Cell, Path]) -> None:
    import pandas as pd

    cell, path = task
    write_text(path, csv_text(pd.DataFrame(experiment.run_cell(cell))))


def summary(table: Any) -> Any:
    """Mean error by cell, k and remedy, and the paired difference to ``nothing`` on the shared nodes.

    Parameters
    ----------
    table : pandas.DataFrame
        From ``run_experiment``; an older one may lack the columns of the draws and of the predictions.

    Returns
    -------
    pandas.DataFrame
        With ``error``, ``error_shared``, ``change`` and ``change_error``, its standard error over the seeds; where
        the table has predictions, ``predicted`` and the errors of easy and of difficult nodes, both measured and
        predicted, and ``predicted_change``.
        For ``clean`` the change is over all test nodes, the difficult ones included.
    """
    columns = [field.name for field in fields(Cell) if field.name in table] + ["dim"]
    keys = [*columns, "seed"]
    errors = [name for name in ("error", *BY_DIFFICULTY, "error_shared", *PREDICTED) if name in table]
    base = table.loc[table.remedy == "nothing", [*keys, *errors]]
    joined = table.merge(base, on=keys, how="left", suffixes=("", "_nothing"))
    whole = joined.remedy.isin(ON_ALL_NODES)
    changes = {"change": ("error", "error_shared")}
    if "predicted" in table:
        changes["predicted_change"] = ("predicted", "predicted_easy")  # all shared nodes are easy
    for name, pair in changes.items():
        joined[name] = np.where(whole, *(joined[column] - joined[f"{column}_nothing"] for column in pair))
    grouped = joined.groupby([*columns, "remedy"], dropna=False, sort=False)
    result = grouped[[*errors, *changes, *Bounded._fields]].mean()
    result["change_error"] = grouped["change"].sem()
    return result.reset_index()
