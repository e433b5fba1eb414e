"""Worlds to simulate in: the paper's similarity graph, and graphs that break one of its assumptions each.

A world is a similarity matrix together with labels and the set of difficult nodes. The synthetic ones share

    A = 1 on the diagonal, α within a class, β + g·q(i, j)·s_i·s_j across classes,

g = γ − β, with a closeness to the boundary 0 <= s <= 1 for every node and a mask q of the pairs that may be
confused (pairing ``any``: 1 − (1 − s_i)(1 − s_j) in place of s_i·s_j):

    three_level   the paper's graph: s = 1 on the first n_d samples of a class, 0 on the others
    graded        s_l = 2^(−(l + ½)/n_d): difficulty fades with the distance to the boundary, half-way at n_d
    confusable    three_level, but only classes 2c and 2c + 1 are confused (cats with dogs, not with trucks)
    imbalanced    three_level with class sizes falling geometrically from n to n/8

The ``measured`` world takes cosine similarities of features instead. The remedies' goal in any world is its
``clean`` matrix, the one with g = 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from theory.arrays import read_array, read_npz
from theory.checks import ParameterError, require, require_share
from theory.code import attribute, reason_of
from theory.params import GraphParameters
from theory.spectrum import require_augmentation_graph

Array = NDArray[Any]
Indices = NDArray[np.int64]
Mask = NDArray[np.bool_]

Structure = Literal["three_level", "graded", "confusable", "imbalanced"]
STRUCTURES: tuple[Structure, ...] = get_args(Structure)
SMALLEST_CLASS = 1 / 8  # of the largest, in the imbalanced world
DIFFICULT_SHARE = 0.08  # of each class, in the measured world (Zhang et al.)
ROUNDING = 1e-6  # of the largest eigenvalue, in the numerical check of positive semidefiniteness


@dataclass(frozen=True, eq=False)
class World:
    """A synthetic world; ``synthetic`` makes one.

    Parameters
    ----------
    parameters : GraphParameters
        α, β, γ, pairing, and the n, n_d and classes that the world was made from.
    labels, samples : int array, shape (N,)
        Class of a node, and its number in the class, from the boundary inwards.
    closeness : array, shape (N,)
        s in [0, 1].
    confused : bool array, shape (classes, classes)
        Which classes are confused.
    structure : str
        The world's name.

    Raises
    ------
    ParameterError
        If a shape is not that of the labels, or s or the name of a class lies outside its range.
    """

    parameters: GraphParameters
    labels: Indices
    samples: Indices
    closeness: Array
    confused: Mask
    structure: str

    def __post_init__(self) -> None:
        shape, classes = np.shape(self.labels), self.parameters.classes
        for name in ("samples", "closeness"):
            found = np.shape(getattr(self, name))
            require(len(shape) == 1 and found == shape, f"{name} shape", found, f"(N,), as of the labels {shape}")
        require(
            np.shape(self.confused) == (classes, classes),
            "confused shape",
            np.shape(self.confused),
            f"({classes}, {classes})",
        )
        require(
            bool(np.isin(self.labels, range(classes)).all()), "labels", "given", f"integers from 0 to {classes - 1}"
        )
        require(
            bool(((self.closeness >= 0) & (self.closeness <= 1)).all()), "closeness", "given", "0 <= closeness <= 1"
        )

    @property
    def nodes(self) -> int:
        """N."""
        return len(self.labels)

    @property
    def difficult(self) -> Mask:
        """The difficult nodes, those at least half-way to the boundary; shape (N,)."""
        return self.closeness >= 0.5

    @property
    def graph(self) -> GraphParameters | None:
        """The three-level graph that the bounds are about, None in other worlds."""
        return self.parameters if self.structure == "three_level" else None

    def rows(self, nodes: Indices, columns: Indices) -> Array:
        """The weights A[nodes, columns], as float32."""
        p = self.parameters
        weights = self.clean_rows(nodes, columns)
        if p.is_clean:
            return weights
        either = p.pairing == "any"  # then one difficult node is enough
        close = np.arange(len(columns)) if either else np.flatnonzero(self.closeness[columns])
        other = columns[close]
        paired = self.confused[self.labels[nodes][:, None], self.labels[other]]
        if p.pairing == "matched":
            paired &= self.samples[nodes][:, None] == self.samples[other]
        row, column = self.closeness[nodes][:, None], self.closeness[other]
        excess = float(p.gamma - p.beta) * (row + column - row * column if either else row * column)
        weights[:, close] += (excess * paired).astype(np.float32)
        return weights

    def clean_rows(self, nodes: Indices, columns: Indices) -> Array:
        """Like ``rows``, with γ = β."""
        p = self.parameters
        same_class = self.labels[nodes][:, None] == self.labels[columns]
        weights = np.where(same_class, np.float32(p.alpha), np.float32(p.beta))
        weights[nodes[:, None] == columns] = 1
        return weights


@dataclass(frozen=True, eq=False)
class MeasuredWorld:
    """Cosine similarities of features; ``measured`` makes one.

    Parameters
    ----------
    features : float array, shape (N, dimensions)
        Unit vectors.
    labels : int array, shape (N,)
    difficult : bool array, shape (N,)
    excess : float
        ĝ = γ̂ − β̂: how much more similar difficult nodes of different classes are, on average, than all other
        nodes of different classes. The clean matrix lacks it, as after the margin that the theory derives.
    """

    features: Array
    labels: Indices
    difficult: Mask
    excess: float
    structure: str = "measured"
    graph: None = None

    @property
    def nodes(self) -> int:
        """N."""
        return len(self.labels)

    def rows(self, nodes: Indices, columns: Indices) -> Array:
        """The weights A[nodes, columns], as float32."""
        weights: Array = self.features[nodes] @ self.features[columns].T
        weights[nodes[:, None] == columns] = 1
        return weights

    def clean_rows(self, nodes: Indices, columns: Indices) -> Array:
        """Like ``rows``, less the excess on difficult pairs of different classes."""
        across = self.labels[nodes][:, None] != self.labels[columns]
        both = self.difficult[nodes][:, None] & self.difficult[columns]
        weights = self.rows(nodes, columns)
        weights[across & both] -= np.float32(self.excess)
        return weights


AnyWorld = World | MeasuredWorld


def synthetic(p: GraphParameters, structure: Structure = "three_level") -> World:
    """A world with the similarities of a graph and one structure from ``STRUCTURES``.

    Parameters
    ----------
    p : GraphParameters
        Nodes are numbered class by class, as in ``theory.graph.SimilarityGraph``. A class of another size than
        n has the same share of difficult samples.
    structure : str

    Raises
    ------
    ParameterError
        If the matrix is not positive semidefinite: no augmentation produces it. (Of the three-level graph of pairing
        block, matched or clean this condition is also sufficient, see ``theory.augmentation``.)
    """
    require(structure in STRUCTURES, "world", structure, "one of " + ", ".join(STRUCTURES))
    if structure == "three_level":
        require_augmentation_graph(p)
    sizes = np.full(p.classes, p.n)
    if structure == "imbalanced":
        sizes = np.maximum(1, np.rint(p.n * SMALLEST_CLASS ** (np.arange(p.classes) / p.r))).astype(int)
    labels = np.repeat(np.arange(p.classes), sizes)
    samples = np.concatenate([np.arange(size) for size in sizes])
    if structure == "graded":
        closeness = 2.0 ** (-(samples + 0.5) / p.n_d) if p.n_d else np.zeros(len(labels))
    else:
        closeness = (samples < np.rint(sizes * p.n_d / p.n)[labels]).astype(float)
    partner = np.arange(p.classes)
    confused = partner[:, None] != partner
    if structure == "confusable":
        confused &= partner[:, None] // 2 == partner // 2
    world = World(p, labels, samples, closeness, confused, structure)
    if structure != "three_level":
        _require_positive_semidefinite(world)
    return world


def own_world(p: GraphParameters, spec: str) -> World:
    """A world of one's own: what the function that ``MODULE:FUNCTION`` names makes of a graph's parameters.

    Raises
    ------
    ParameterError
        If there is no such function, it makes no ``World``, or no augmentation produces it.
    """
    function: Any = attribute("world", spec)
    try:
        found = function(p)
    except ParameterError:
        raise
    except Exception as error:  # code of one's own can raise anything
        raise ParameterError("world", spec, f"a function of a graph's parameters ({reason_of(error)})") from error
    require(isinstance(found, World), "world", spec, f"a function that makes a World (found {type(found).__name__})")
    require(found.structure not in STRUCTURES, "structure", found.structure, f"a name of its own in the world {spec}")
    _require_positive_semidefinite(found)
    return found  # type: ignore[no-any-return]


def measured(features: Array, labels: Array) -> MeasuredWorld:
    """The world of measured features.

    Difficult are the 8 % of each class whose mean similarity to their own class exceeds that to another class
    by the least: the share that the paper takes, with a gap that needs no trained probe.

    Parameters
    ----------
    features : array, shape (N, dimensions)
    labels : array, shape (N,)
        At least two classes.

    Raises
    ------
    ParameterError
        If shapes do not match, a feature is not finite or zero, there is one class only, or a node's
        similarities do not sum to something positive.
    """
    features, labels = np.asarray(features), np.asarray(labels)
    require(features.ndim == 2 and features.size > 0, "features shape", features.shape, "(N, dimensions)")
    require(labels.shape == (len(features),), "labels shape", labels.shape, f"(N,) with N = {len(features)}")
    names, codes = np.unique(labels, return_inverse=True)
    require(len(names) > 1, "labels", names[0], "at least two classes")
    try:
        vectors = features.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise ParameterError(f"features are no numbers: {error}") from error
    vectors = unit_rows(vectors)
    require(bool(np.isfinite(vectors).all() and vectors.any(axis=1).all()), "features", "given", "finite, nonzero rows")

    members = np.eye(len(names))[codes]
    counts = members.sum(axis=0)
    sums = members.T @ vectors  # group means come from class sums, never from the N² matrix
    own = np.arange(len(labels)), codes
    means = vectors @ sums.T / counts
    means[own] = (means[own] * counts[codes] - 1) / np.maximum(counts[codes] - 1, 1)
    others = means.copy()
    others[own] = -np.inf
    gap = means[own] - others.max(axis=1)
    difficult = np.zeros(len(labels), dtype=bool)
    for label, count in enumerate(counts):
        inside = np.flatnonzero(codes == label)
        difficult[inside[np.argsort(gap[inside], kind="stable")[: round(DIFFICULT_SHARE * count)]]] = True

    def across(group: Array, sizes: Array) -> tuple[float, float]:
        """Sum of the similarities across classes, and the number of those pairs, in a group given by class sums."""
        return float((group.sum(axis=0) ** 2).sum() - (group**2).sum()), float(sizes.sum() ** 2 - (sizes**2).sum())

    hard = members * difficult[:, None]
    (all_sum, all_pairs), (hard_sum, hard_pairs) = across(sums, counts), across(hard.T @ vectors, hard.sum(axis=0))
    excess = hard_sum / hard_pairs - (all_sum - hard_sum) / (all_pairs - hard_pairs) if hard_pairs else 0.0
    degrees = vectors @ vectors.sum(axis=0)
    require(bool((degrees > 0).all()), "degree", f"{degrees.min():.3g}", "positive sums of similarities")
    return MeasuredWorld(vectors.astype(np.float32), codes, difficult, excess)


def load_measured(path: Path) -> MeasuredWorld:
    """The world of an .npz file with ``features`` and ``labels``, or of FILE.npy beside FILE.labels.npy.

    Raises
    ------
    ParameterError
        If the files cannot be read, or as ``measured``.
    """
    path = Path(path)
    if path.suffix == ".npy":
        return measured(read_array(path), read_array(path.with_suffix(".labels.npy")))
    found = read_npz(path)
    missing = [name for name in ("features", "labels") if name not in found]
    if missing:
        raise ParameterError(f"{path} lacks {', '.join(missing)}")
    return measured(found["features"], found["labels"])


def unit_rows(rows: Array) -> Array:
    """Rows divided by their lengths, in the precision that they have; a row of zeros stays one.

    Parameters
    ----------
    rows : float array, shape (N, dimensions)
    """
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    lengths[lengths == 0] = 1
    with np.errstate(invalid="ignore"):  # a row that is not finite becomes NaN
        return np.asarray(rows / lengths)


# --- noise -----------------------------------------------------------------------------------------


def add_noise(weights: Array, epsilon: float, seed: int, correlated: float = 0.0, rank: int = 5) -> None:
    """Add ε·W to a symmetric float32 matrix in place.

    W is symmetric with zero diagonal and entries of mean 0 and variance 1 above it:
    √(1−ρ)·(independent normals) + √ρ·ZZᵀ/√rank with standard normal rows of Z and ρ = ``correlated``. Equal seeds
    and sizes give equal noise.

    Parameters
    ----------
    weights : float32 array, shape (N, N)
    epsilon : float
        ε >= 0.
    seed : int
    correlated : float
        ρ in [0, 1], the share of the variance that is common to a node's pairs.
    rank : int
        Rank of the correlated part.

    Raises
    ------
    ParameterError
        If epsilon or correlated is outside its range.
    """
    require(epsilon >= 0, "epsilon", epsilon, "epsilon >= 0")
    require_share("correlated", correlated)
    if epsilon == 0:
        return
    nodes, block = len(weights), 512
    rng, own = np.random.default_rng([seed, 0]), np.float32(epsilon * np.sqrt(1 - correlated))
    common = np.random.default_rng([seed, 1]).standard_normal((nodes, rank), dtype=np.float32)
    for start in range(0, nodes, block):  # never a second matrix of this size
        stop = min(start + block, nodes)
        noise = own * rng.standard_normal((stop - start, nodes - start), dtype=np.float32)
        if correlated:
            share = np.float32(epsilon * np.sqrt(correlated / rank))
            noise += share * (common[start:stop] @ common[start:].T)
        square = noise[:, : stop - start]
        square[:] = np.triu(square, 1)
        square += square.T.copy()
        weights[start:stop, start:] += noise
        weights[stop:, start:stop] += noise[:, stop - start :].T


def _require_positive_semidefinite(world: World) -> None:
    nodes = np.arange(world.nodes)
    dense = world.rows(nodes, nodes).astype(np.float64)
    if world.nodes > 2000:
        from scipy.sparse.linalg import eigsh

        smallest = float(eigsh(dense, k=1, which="SA", tol=1e-6, return_eigenvectors=False)[0])
    else:
        smallest = float(np.linalg.eigvalsh(dense)[0])
    if smallest < -ROUNDING * dense.sum(axis=0).max():
        raise ParameterError(
            "gamma",
            world.parameters.gamma,
            f"a positive semidefinite {world.structure} world (eigenvalue {smallest:.3g} < 0): "
            "no augmentation produces it; lower gamma or the number of difficult samples",
        )
