"""The similarity graph as an augmentation: natural data whose views have the graph's weights, and their labels.

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
So **a graph of pairing block, matched or clean comes from an augmentation exactly if it is positive semidefinite**. For
the pairing any and for six levels that is necessary; ``theory.factor`` has natural data for most of these.

It comes from many. *Even* data, as above, hold one class or all alike. *Tilted* data replace those of single
classes and those of all: density u in the class that labels a datum and s in every other. Over the classes the two
make the matrix xI + yJ, and its square root (u − s)I + sJ, (u − s)² = x and (u + r·s)² = x + (r+1)·y, makes the
same one. But fewer views leave their datum's class: the graph does not fix the labelling error.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

from theory import formulas
from theory.checks import require, require_share
from theory.kinds import Number, Sqrt
from theory.params import GraphParameters, SixLevels
from theory.spectrum import ROUNDING, is_positive_semidefinite, require_augmentation_graph

MOST_CLASSES = 1000  # beyond, the number of groups has thousands of digits


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
        Number of such data; infinite for groups over more than ``MOST_CLASSES`` classes.
    weight : number
        Sum of their weights.
    span : number
        Views of a datum relative to those in its own class, its label: 1 if it has no others, r + 1 if all
        classes are alike to it, between for tilted data.
    difficult, easy : Part
        What it holds of its own class; of the others the same, thinned alike.
    """

    name: str
    count: float
    weight: Number
    span: Number
    difficult: Part
    easy: Part

    @property
    def size(self) -> Number:
        """Total density in its own class."""
        return sum(part.members * part.density for part in (self.difficult, self.easy))

    @property
    def mass(self) -> Number:
        """w·(Σv)² over all data of this kind: their share of the sum of all edge weights."""
        return self.weight * (self.span * self.span) * (self.size * self.size)

    def mass_of(self, part: Part) -> Number:
        """The share of its mass whose views are the difficult, or the easy, samples."""
        return self.mass * (part.members * part.density) / self.size

    def leaving(self, mass: Number) -> Number:
        """How much of a mass of views lies in other classes than its datum's."""
        return mass * (self.span - 1) / self.span


class Labels(NamedTuple):
    """How often the label of a view, that of its natural datum, is the view's class; else evenly another."""

    easy: Number
    difficult: Number


def natural_data(p: GraphParameters, tilt: Number = 0, sqrt: Sqrt = math.sqrt) -> tuple[Kind, ...]:
    """Natural data of positive mass whose views have the graph's weights.

    Parameters
    ----------
    p : GraphParameters
        A positive semidefinite graph; with fractions, weights and masses are exact.
    tilt : number
        Share of tilted data in [0, 1]: 0 gives the largest labelling error, φ, and 1 the smallest of these.
    sqrt : callable
        Square root for the number type.

    Raises
    ------
    ParameterError
        If the graph is not positive semidefinite (no augmentation produces it), it has the pairing ``any``
        (see ``theory.factor``), or tilt is outside its range.
    """
    require_augmentation_graph(p)
    require(_constructed(p), "pairing", p.pairing, "block, matched or clean (theory.factor has natural data for any)")
    require_share("tilt", tilt)
    even = [kind for kind in _even(p) if kind.mass > 0]
    if not tilt:
        return tuple(even)
    found = {kind.name: kind for kind in even}
    for names in (("class", "everything"), ("difficult", _group(p))):
        if all(name in found for name in names):
            single, spanning = (found[name] for name in names)
            found |= {name: replace(found[name], weight=(1 - tilt) * found[name].weight) for name in names}
            found[f"tilted_{names[1]}"] = _tilted(single, spanning, p.r, tilt, sqrt)
    return tuple(kind for kind in found.values() if kind.mass > 0)


def _constructed(p: GraphParameters) -> bool:
    return p.pairing != "any" or p.is_clean


def _group(p: GraphParameters) -> str:
    return "difficult_group" if p.pairing == "matched" else "difficult_transversal"


def _even(p: GraphParameters) -> tuple[Kind, ...]:
    n_d, n_e, m, classes = p.n_d, p.n - p.n_d, p.neighbours, p.classes
    g, a, own = p.gamma - p.beta, p.alpha - p.beta, 1 - p.alpha
    together = max(0, g - own / n_d) if n_d and m == n_d else 0  # h
    turned = together * (own + n_e * a) / (a * own)  # h/s
    aside = a / (own + n_e * a)
    none, difficult, easy = Part(0, 0), Part(n_d, 1), Part(n_e, 1)
    groups = n_d if p.pairing == "matched" else n_d**classes if classes <= MOST_CLASSES else math.inf
    return (
        Kind("easy", classes * n_e, classes * n_e * own * (1 - turned), 1, none, Part(1, 1)),
        Kind("easy_and_difficult", classes * n_e, classes * n_e * own * turned, 1, Part(n_d, aside), Part(1, 1)),
        Kind("difficult", classes * n_d, classes * n_d * (own - m * (g - together)), 1, Part(1, 1), none),
        Kind("class", classes, classes * a * (1 - turned), 1, difficult, easy),
        Kind("class_mostly_easy", classes, classes * a * turned, 1, Part(n_d, n_e * aside), easy),
        Kind("everything", 1, p.beta, classes, difficult, easy),
        Kind(_group(p), groups, n_d * m * (g - together), classes, Part(1, 1), none),
        Kind("all_difficult", 1, together, classes, difficult, none),
    )


def _tilted(single: Kind, spanning: Kind, r: int, tilt: Number, sqrt: Sqrt) -> Kind:
    """Data that make the weights of both: with a root, 1 − leaving·(r+1)/r is √(mass of the first/mass of both)."""
    mass = single.mass + spanning.mass
    span = (r + 1) / (1 + r * sqrt(single.mass / mass))
    weight = tilt * mass / (span * span) / (single.size * single.size)
    name, count = f"tilted_{spanning.name}", spanning.count * (r + 1)
    return Kind(name, count, weight, span, single.difficult, single.easy)


class Data(Protocol):
    """Natural data of one kind, of whatever construction."""

    @property
    def mass(self) -> Number:
        """Their share of the sum of all edge weights."""

    def leaving(self, mass: Number) -> Number:
        """How much of a mass of views lies in other classes than its datum's."""


def labelling_error(data: Sequence[Data]) -> Number:
    """δ: how often a view's class is not its datum's label."""
    return sum(kind.leaving(kind.mass) for kind in data) / sum(kind.mass for kind in data)


def labels(data: Sequence[Kind]) -> Labels:
    """The labels of the views of natural data; 1 for a kind of view that there is not."""

    def own(parts: list[Part]) -> Number:
        masses = [kind.mass_of(part) for kind, part in zip(data, parts, strict=True)]
        left = sum(kind.leaving(mass) for kind, mass in zip(data, masses, strict=True))
        return 1 - left / sum(masses) if any(masses) else 1

    return Labels(own([kind.easy for kind in data]), own([kind.difficult for kind in data]))


class LabellingErrors(NamedTuple):
    """The labelling errors δ that augmentations with one graph's weights can have.

    Every datum has the label of most of its views.

    Attributes
    ----------
    least : number
        No augmentation is below; at least φ/2. For clean graphs one reaches it.
    tilted : number or None
        Reached by the tilted data of ``natural_data``, and by mixtures with even ones everything from here to φ.
        None where neither are known: pairing any, six levels, and graphs that are not positive semidefinite. (Where
        ``theory.factor`` has natural data, they have a δ of the interval, but no even ones stand beside them.)
    most : number
        φ = ``formulas.cross_mass``, the share of edge weight that joins classes: reached by even data.
    """

    least: Number
    tilted: Number | None
    most: Number


def labelling_errors(p: GraphParameters | SixLevels, sqrt: Sqrt = math.sqrt) -> LabellingErrors:
    """The interval of δ that the graph leaves open: it fixes only φ.

    A datum with the share 1 − d of its views in its label's class lets two views differ in class with a probability of
    at most d·(2 − d(r+1)/r), if the others share d evenly. That is concave in d, its mean is φ, and so the mean of d is
    at least (r/(r+1))·(1 − √(1 − φ(r+1)/r)) >= φ/2. It is at most φ, for 1 − Σπ² >= 1 − max π for any shares π.

    Parameters
    ----------
    p : GraphParameters or SixLevels
        Of one that no augmentation produces, what its φ would leave open.
    sqrt : callable
        Square root for the number type.

    Raises
    ------
    ParameterError
        If φ is not that of any augmentation: between 0 and r/(r+1).
    """
    cross_mass = formulas.cross_mass(p)
    limit = f"0 <= cross_mass <= r/(r+1) = {p.r / (p.r + 1):.6g}"
    inside = cross_mass >= 0 and cross_mass * (p.r + 1) <= p.r * (1 + ROUNDING)
    require(inside, "cross_mass", float(cross_mass), limit)
    tilted = None
    if isinstance(p, GraphParameters) and _constructed(p) and is_positive_semidefinite(p):
        tilted = labelling_error(natural_data(p, 1, sqrt))
    least = least_labelling_error(cross_mass, p.r, lambda value: sqrt(max(value, 0)))
    return LabellingErrors(least, tilted, cross_mass)


def least_labelling_error(cross_mass: Number, r: Number, sqrt: Sqrt = math.sqrt) -> Number:
    """(r/(r+1))·(1 − √(1 − φ(r+1)/r)), written φ/(1 + √…) for small φ: below it, no augmentation with this φ is."""
    return cross_mass / (1 + sqrt(1 - cross_mass * (r + 1) / r))
