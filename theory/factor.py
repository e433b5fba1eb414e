"""Natural data of a graph of six levels: the columns of a non-negative factor.

Where A = B·Bᵀ and no entry of B is negative, A = Σ b·bᵀ over the columns of B, and each is a natural datum whose views
have a density proportional to b (``theory.augmentation``). A does not tell apart the classes, nor the easy or the
difficult samples of a class, and B need not: it then has a column for each sample and acts on the spaces on which A
does (``theory.spectrum.SPACES``), as √(1 − w) on differences between samples of a kind and a class, and as M^½·R on
vectors that are constant on the easy and on the difficult samples of each class. There A is the 2×2 matrix M, one for
vectors that are constant over the classes and one for those of sum zero, and R any rotation. With T and C these two
factors, the column of a sample of kind j has at samples of kind i the entries

    in its own class    (T + r·C)_ij/((r+1)√(n_i·n_j)), for i = j less √(1 − w)/n_j, and √(1 − w) more at itself
    in another          (T − C)_ij/((r+1)√(n_i·n_j))

The symmetric root (no rotation) comes first, then a search over the two angles. Every datum shall also have at least as
many views in its own class, its label, as in any other. Of 1,000 random positive semidefinite graphs (uniform weights
>= 0, at most 6 classes of at most 12 samples; tests/theory/test_factor.py draws them) so many have such a factor:

                                    symmetric root    with the search
    three levels, pairing any            79.1 %            100.0 %
    six levels                           64.2 %             83.0 %

(Pairing any with β = 0: 94 %.) Reflections in place of rotations would add two points to the last, and taking some of
1 − w out as data of single samples none. So to be positive semidefinite with weights >= 0 is necessary, and **not known
to suffice: whether another augmentation produces the other graphs is undecided.**
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from theory import formulas
from theory.checks import ParameterError, require
from theory.kinds import own_levels, row_levels
from theory.params import GraphParameters, SixLevels
from theory.spectrum import ROUNDING, NotRealisable, has_negative_weight, require_augmentation_graph

Array = NDArray[np.float64]
GRID = 32  # angles in a turn
STARTS = 8  # of its points: the least of many functions has ridges, on which one would stop
HALVINGS = 50  # of the step between angles, to the last digit
AROUND = np.stack(np.meshgrid(np.linspace(-2, 2, 9), np.linspace(-2, 2, 9), indexing="ij"), axis=-1).reshape(-1, 2)


class Densities(NamedTuple):
    """One value for easy and one for difficult samples."""

    easy: float
    difficult: float


@dataclass(frozen=True)
class Column:
    """Natural data, one for each easy or each difficult sample: entries of its column of B.

    Parameters
    ----------
    name : {"easy", "difficult"}
    count : int
        Number of such data.
    itself : float
        What the sample itself has more than the others of its kind and class.
    own, other : Densities
        Of the samples of its class, and of those of others.
    members : tuple of int
        How many samples there are of these five: 1, easy and difficult ones of its class and of all others.
    """

    name: str
    count: int
    itself: float
    own: Densities
    other: Densities
    members: tuple[int, int, int, int, int]

    @property
    def views(self) -> Array:
        """Total density of these five."""
        found: Array = np.array([self.itself, *self.own, *self.other]) * np.array(self.members, dtype=float)
        return found

    @property
    def mass(self) -> float:
        """(Σb)² over all data of this kind: their share of the sum of all edge weights."""
        return float(self.count * self.views.sum() ** 2)

    def leaving(self, mass: float) -> float:
        """How much of a mass of views lies in other classes than its datum's."""
        return float(mass * self.views[3:].sum() / self.views.sum()) if mass else 0.0


class _Roots(NamedTuple):
    """What A and any of these factors have in common; kinds in the order easy, difficult."""

    others: int  # r
    sizes: Array  # samples of a kind in a class
    itself: Array  # √(1 − w), 0 where a kind has one sample
    trivial: Array  # symmetric roots, shape (2, 2)
    classes: Array

    def rotated(self, angles: Array) -> tuple[Array, Array]:
        """T and C for pairs of angles; shapes (..., 2, 2)."""
        cosine, sine = np.cos(angles)[..., None], np.sin(angles)[..., None]
        turns = np.stack([np.concatenate([cosine, -sine], -1), np.concatenate([sine, cosine], -1)], -2)
        return self.trivial @ turns[..., 0, :, :], self.classes @ turns[..., 1, :, :]

    def entries(self, trivial: Array, classes: Array) -> tuple[Array, Array]:
        """√(n_i·n_j) times the entries in a datum's own class, and r + 1 times those in another."""
        own = (trivial + self.others * classes) / (self.others + 1) - np.diag(self.itself)
        return own, trivial - classes

    def least(self, angles: Array) -> Array:
        """The least of what must not be negative, relative to the largest entry of T."""
        trivial, classes = self.rotated(angles)
        own, other = self.entries(trivial, classes)
        more = np.sqrt(self.sizes / self.sizes.sum()) @ classes  # views in the datum's class than in another
        smallest = np.minimum(np.minimum(own, other).min(axis=(-1, -2)), more.min(axis=-1))
        found: Array = smallest / self.trivial.max()
        return found


def factor(p: GraphParameters | SixLevels) -> tuple[Column, ...]:
    """The columns of a non-negative factor of the weights, by the kind of their sample.

    Parameters
    ----------
    p : GraphParameters or SixLevels
        Of any pairing but matched; positive semidefinite, of weights >= 0.

    Raises
    ------
    NotRealisable
        If the graph is not positive semidefinite or has a negative weight: no augmentation produces it.
    ParameterError
        If no factor is found, which leaves open whether an augmentation produces the graph, or the pairing is matched.
    """
    require(p.pairing != "matched", "pairing", p.pairing, "a graph of six levels: block, any or clean")
    require_augmentation_graph(p)
    if has_negative_weight(p):
        raise NotRealisable(*_called(p), "weights >= 0: no augmentation produces negative ones")
    roots = _roots(p)
    angles = np.zeros(2)
    if roots.least(angles) < -ROUNDING and 0 < p.n_d < p.n:
        angles = _search(roots)
    if roots.least(angles) < -ROUNDING:
        condition = "a non-negative factor A = B·Bᵀ that can be found; whether an augmentation produces it is undecided"
        raise ParameterError(*_called(p), f"{condition} (the graph is positive semidefinite)")
    return _columns(p, roots, angles)


def _called(p: GraphParameters | SixLevels) -> tuple[str, object]:
    """What to name in an error about the graph as a whole."""
    return ("gamma", p.gamma) if isinstance(p, GraphParameters) else ("levels", p.levels)


def _roots(p: GraphParameters | SixLevels) -> _Roots:
    sizes = np.array([p.n - p.n_d, p.n_d], dtype=float)
    own = np.array([float(value) for value in own_levels(p.weights, -1)])
    itself = np.where(sizes > 1, np.sqrt(own.clip(0)), 0)
    return _Roots(p.r, sizes, itself, _root(p, p.r), _root(p, -1))


def _root(p: GraphParameters | SixLevels, across: int) -> Array:
    """The symmetric root (M + √det·I)/√(tr + 2√det) of a 2×2 matrix."""
    n_d, n_e = p.n_d, p.n - p.n_d
    own_easy, own_difficult = own_levels(p.weights, across)
    mixed, more_easy, more_difficult = row_levels(p.weights, across)
    easy, difficult = own_easy + n_e * (mixed + more_easy), own_difficult + n_d * (mixed + more_difficult)
    root = math.sqrt(max(0, formulas.determinant(p, across)))
    coupling = math.sqrt(n_e * n_d) * float(mixed)
    scale = math.sqrt(max(0, easy + difficult + 2 * root)) or 1
    return np.array([[float(easy) + root, coupling], [coupling, float(difficult) + root]]) / scale


def _search(roots: _Roots) -> Array:
    """The two angles at which the least of what must not be negative is largest: on a grid, then ever closer."""
    step = 2 * np.pi / GRID
    grid = np.stack(np.meshgrid(*2 * (step * np.arange(GRID),), indexing="ij"), axis=-1).reshape(-1, 2)
    best: Array = grid[np.argsort(-roots.least(grid))[:STARTS]]
    for _ in range(HALVINGS):
        step /= 2
        around = best[:, None] + step * AROUND
        best = around[np.arange(STARTS), roots.least(around).argmax(axis=1)]
    closest: Array = best[roots.least(best).argmax()]
    return closest


def _columns(p: GraphParameters | SixLevels, roots: _Roots, angles: Array) -> tuple[Column, ...]:
    own, other = (part.clip(0) for part in roots.entries(*roots.rotated(angles)))
    n_e, n_d = p.n - p.n_d, p.n_d
    sizes = np.maximum(roots.sizes, 1)  # of a kind that there is not, all entries count nothing
    scale = np.sqrt(np.outer(sizes, sizes))
    own, other = own / scale, other / scale / p.classes
    members = 1, n_e, n_d, p.r * n_e, p.r * n_d
    return tuple(
        Column(name, count * p.classes, float(roots.itself[j]), *_densities(own, other, j), members)
        for j, (name, count) in enumerate((("easy", n_e), ("difficult", n_d)))
        if count
    )


def _densities(own: Array, other: Array, j: int) -> tuple[Densities, Densities]:
    return Densities(*own[:, j].tolist()), Densities(*other[:, j].tolist())
