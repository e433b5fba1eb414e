"""The similarity graph as an augmentation channel, and the labelling error that the graph itself fixes.

A natural datum x̄ with weight w augments into a view with density proportional to v, a vector over the
nodes; data are drawn in proportion to w·(Σv)². Two views of one datum then have the joint distribution
A/ΣA with A = Σ w·v·vᵀ. With g = γ−β, a = α−β, o = 1−α and m = γ-neighbours per other class, the
three-level graph is such a sum:

    a datum of each           weight        augments into
    easy sample               o             itself
    difficult sample          o − m·g       itself
    class                     a             its samples, evenly
    everything                β             all samples, evenly
    difficult group           g/n_d^(r−1)   one difficult sample per class (block; matched: g)

This needs m·g <= o. A matched graph with n_d >= 2 is not positive semidefinite beyond that. A graph whose
difficult samples are all paired (block, or n_d = 1) is until h := g − o/n_d reaches s := a·o/(o + n_e·a),
and other data realise it that far: the difficult groups keep g − h, all difficult samples together get h,
and the share h/s of the first and third row turns into easy samples that also augment into their class's
difficult ones, with density a/(o + n_e·a) each, and classes that hold these with density n_e·a/(o + n_e·a).
So **the graph comes from an augmentation exactly if it is positive semidefinite**.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from theory import formulas
from theory.checks import require_integer
from theory.kinds import Number, Sqrt
from theory.params import GraphParameters
from theory.spectrum import nth_mode, require_augmentation_graph, spectrum

Indices = NDArray[np.int64]


class Part(NamedTuple):
    """The difficult, or the easy, samples of a class in a natural datum: how many, with what density."""

    members: int
    density: Number


@dataclass(frozen=True)
class Kind:
    """Natural data that differ only by the names of the classes and samples.

    Parameters
    ----------
    name : str
    count : int
        Number of such data.
    weight : number
        Sum of their weights.
    classes : int
        How many classes a datum spans: one or all.
    difficult, easy : Part
        What it holds of each class that it spans.
    """

    name: str
    count: int
    weight: Number
    classes: int
    difficult: Part
    easy: Part

    @property
    def mass(self) -> Number:
        """w·(Σv)² over all data of this kind: their share of the sum of all edge weights."""
        size = sum(part.members * part.density for part in (self.difficult, self.easy))
        return self.weight * (self.classes * size) ** 2


class NaturalData(NamedTuple):
    """Natural data drawn from a channel.

    Attributes
    ----------
    kind : array of int, shape (size,)
        Index into ``Channel.kinds``.
    label : array of int, shape (size,)
        The class; a datum that spans all classes exists once with each label.
    easy, difficult : array of int, shapes (size,) and (size, classes)
        Which sample of a class a datum holds, where it holds a single one.
    """

    kind: Indices
    label: Indices
    easy: Indices
    difficult: Indices


class Channel:
    """Natural data and their augmentation into the nodes of a similarity graph.

    Parameters
    ----------
    parameters : GraphParameters
        A positive semidefinite graph; with fractions, weights and masses are exact.

    Attributes
    ----------
    kinds : tuple of Kind
        All natural data of positive mass.

    Raises
    ------
    ParameterError
        If the graph is not positive semidefinite: no augmentation produces it.

    References
    ----------
    HaoChen et al., "Provable Guarantees for Self-Supervised Deep Learning with Spectral Contrastive Loss",
    2021, section 3 (the augmentation graph); the decomposition is this module's.
    """

    def __init__(self, parameters: GraphParameters) -> None:
        require_augmentation_graph(parameters)
        self.parameters = parameters
        self.kinds = tuple(kind for kind in _kinds(parameters) if kind.mass > 0)

    @property
    def labelling_error(self) -> Number:
        """δ: how often a view's class is not its datum's label.

        Equal to ``formulas.cross_mass``, the share φ of edge mass between classes: views of a datum
        that spans all classes fall into each class equally often.
        """
        across = sum(kind.mass for kind in self.kinds if kind.classes > 1)
        return across * self.parameters.r / (self.parameters.classes * sum(kind.mass for kind in self.kinds))

    def draw(self, size: int, rng: np.random.Generator) -> NaturalData:
        """Draw ``size`` natural data independently."""
        p = self.parameters
        masses = np.array([float(kind.mass) for kind in self.kinds])
        kind = rng.choice(len(self.kinds), size=size, p=masses / masses.sum())
        label = rng.integers(p.classes, size=size)
        columns = p.classes if p.pairing == "block" else 1  # matched groups hold the same sample of every class
        difficult = np.broadcast_to(_difficult(p, (size, columns), rng), (size, p.classes))
        return NaturalData(kind, label, _easy(p, size, rng), difficult)

    def augment(self, data: NaturalData, rng: np.random.Generator) -> Indices:
        """One view of each natural datum, as nodes of the graph; shape (size,). Call twice for pairs."""
        p, size = self.parameters, len(data.kind)
        across = np.array([kind.classes > 1 for kind in self.kinds])[data.kind]
        one_difficult = np.array([kind.difficult.members == 1 for kind in self.kinds])[data.kind]
        one_easy = np.array([kind.easy.members == 1 for kind in self.kinds])[data.kind]
        share = np.array([_difficult_share(kind) for kind in self.kinds])[data.kind]
        label = np.where(across, rng.integers(p.classes, size=size), data.label)
        held = data.difficult[np.arange(size), label]
        difficult = np.where(one_difficult, held, _difficult(p, size, rng))
        easy = np.where(one_easy, data.easy, _easy(p, size, rng))
        nodes: Indices = label * p.n + np.where(rng.random(size) < share, difficult, easy)
        return nodes


def _kinds(p: GraphParameters) -> tuple[Kind, ...]:
    n_d, n_e, m, classes = p.n_d, p.n - p.n_d, p.neighbours, p.classes
    g, a, own = p.gamma - p.beta, p.alpha - p.beta, 1 - p.alpha
    together = max(0, g - own / n_d) if n_d and m == n_d else 0  # h
    turned = together * (own + n_e * a) / (a * own)  # h/s
    aside = a / (own + n_e * a)
    none, difficult, easy = Part(0, 0), Part(n_d, 1), Part(n_e, 1)
    group = "difficult_transversal" if p.pairing == "block" else "difficult_group"
    groups = n_d ** (classes if p.pairing == "block" else 1)
    return (
        Kind("easy", classes * n_e, classes * n_e * own * (1 - turned), 1, none, Part(1, 1)),
        Kind("easy_and_difficult", classes * n_e, classes * n_e * own * turned, 1, Part(n_d, aside), Part(1, 1)),
        Kind("difficult", classes * n_d, classes * n_d * (own - m * (g - together)), 1, Part(1, 1), none),
        Kind("class", classes, classes * a * (1 - turned), 1, difficult, easy),
        Kind("class_mostly_easy", classes, classes * a * turned, 1, Part(n_d, n_e * aside), easy),
        Kind("everything", 1, p.beta, classes, difficult, easy),
        Kind(group, groups, n_d * m * (g - together), classes, Part(1, 1), none),
        Kind("all_difficult", 1, together, classes, difficult, none),
    )


def _difficult_share(kind: Kind) -> float:
    difficult, easy = (float(part.members * part.density) for part in (kind.difficult, kind.easy))
    return difficult / (difficult + easy)


def _difficult(p: GraphParameters, size: int | tuple[int, int], rng: np.random.Generator) -> Indices:
    return rng.integers(max(p.n_d, 1), size=size)


def _easy(p: GraphParameters, size: int, rng: np.random.Generator) -> Indices:
    return rng.integers(p.n_d, max(p.n, p.n_d + 1), size=size)


# --- bounds with the graph's own labelling error ---------------------------------------------------


class OwnBounds(NamedTuple):
    """Error bounds of a graph with its own labelling error in place of a free δ.

    Attributes
    ----------
    delta : number
        δ = φ, labelling error and cross-class share of edge mass.
    eigenvalue : number
        The graph's exact λ_{k+1}.
    printed : number
        4δ/(1−λ) + 8δ, the bound as the paper has it.
    tight : number
        2φ/(1−λ) + 8φ: the first term before φ <= 2δ is used, which needs no δ.
    """

    delta: Number
    eigenvalue: Number
    printed: Number
    tight: Number

    @property
    def printed_is_vacuous(self) -> bool:
        """Whether the printed bound exceeds 1."""
        return bool(self.printed > 1)


def own_bounds(p: GraphParameters, dim: int, sqrt: Sqrt = math.sqrt) -> OwnBounds:
    """The error bounds that follow from the graph alone.

    Parameters
    ----------
    p : GraphParameters
        A positive semidefinite graph.
    dim : int
        k, output width of the network the loss is applied to; r + 1 <= k <= N - 1.

    Raises
    ------
    ParameterError
        If the graph is not positive semidefinite or dim is outside its range.
    """
    dim = require_integer("dim", dim, p.classes, p.nodes - 1, limit=", from the classes to the samples less one")
    require_augmentation_graph(p)
    eigenvalue = nth_mode(spectrum(p, sqrt), dim + 1).eigenvalue
    delta = formulas.cross_mass(p)
    tight = 2 * delta / (1 - eigenvalue) + 8 * delta
    return OwnBounds(delta, eigenvalue, formulas.probing_bound(eigenvalue, delta), tight)


def vacuous_labelling_error(eigenvalue: Number) -> Number:
    """The δ at which the printed bound 4δ/(1−λ) + 8δ reaches 1: (1−λ)/(12−8λ), at most 1/12 for λ >= 0."""
    return (1 - eigenvalue) / (12 - 8 * eigenvalue)


def largest_useful_beta(alpha: Any, n: Any, r: Any, sqrt: Sqrt = math.sqrt) -> Number:
    """The β up to which the printed bound of the clean graph, with the graph's own δ, is at most 1.

    With x = rβ and e = α + (1−α)/n that bound is 4x/(α+x) + 8x/(e+x); it equals 1 at the positive root of
    11x² + (7α+3e)x − αe, which tends to α/11 for large n. So β must stay below about α/(11r), whatever k.

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
