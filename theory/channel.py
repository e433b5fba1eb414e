"""The augmentation channel of a similarity graph: draws natural data and their views."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from theory.augmentation import Kind, labelling_error, natural_data
from theory.checks import require
from theory.factor import Column, factor
from theory.kinds import Number
from theory.params import GraphParameters, SixLevels

Indices = NDArray[np.int64]
Array = NDArray[np.float64]


class NaturalData(NamedTuple):
    """Natural data drawn from a channel.

    Attributes
    ----------
    kind : array of int, shape (size,)
        Index into ``Channel.kinds``.
    label : array of int, shape (size,)
        The class; a datum that spans all classes alike exists once with each label.
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
    parameters : GraphParameters or SixLevels
        A positive semidefinite graph; with fractions, the weights and masses of ``natural_data`` are exact.
    tilt : number
        Share of tilted data, in [0, 1]; the labelling error falls with it from φ. Only 0 for the pairing any and six
        levels, whose one augmentation known here is that of ``theory.factor``, with a labelling error of its own.

    Attributes
    ----------
    kinds : tuple of Kind, or of Column
        All natural data of positive mass, from ``theory.augmentation.natural_data`` or, for the pairing any and six
        levels, ``theory.factor.factor``.

    Raises
    ------
    ParameterError
        As these two: above all if no augmentation produces the graph, or none is found.

    References
    ----------
    HaoChen et al., "Provable Guarantees for Self-Supervised Deep Learning with Spectral Contrastive Loss",
    2021, section 3 (the augmentation graph); the decompositions are this package's.
    """

    def __init__(self, parameters: GraphParameters | SixLevels, tilt: Number = 0) -> None:
        self.parameters = parameters
        self._data: _Cliques | _Columns
        if isinstance(parameters, SixLevels) or parameters.pairing == "any":
            self._data = _Columns(parameters, tilt)
        else:
            self._data = _Cliques(parameters, tilt)
        self.kinds: tuple[Kind, ...] | tuple[Column, ...] = self._data.kinds

    @property
    def labelling_error(self) -> Number:
        """δ: how often a view's class is not its datum's label."""
        return labelling_error(self.kinds)

    def draw(self, size: int, rng: np.random.Generator) -> NaturalData:
        """Draw ``size`` natural data independently."""
        masses = np.array([float(kind.mass) for kind in self.kinds])
        kind = rng.choice(len(self.kinds), size=size, p=masses / masses.sum())
        return self._data.draw(kind, rng)

    def augment(self, data: NaturalData, rng: np.random.Generator) -> Indices:
        """One view of each natural datum, as nodes of the graph; shape (size,). Call twice for pairs."""
        return self._data.augment(data, rng)

    def densities(self, data: NaturalData) -> Array:
        """Over the nodes, the density of each datum's views; shape (size, N), every row sums to 1."""
        found = self._data.densities(data)
        found /= found.sum(axis=1, keepdims=True)
        return found

    def distinct(self, data: NaturalData) -> tuple[NaturalData, Indices]:
        """The different ones among the data, and how often each was drawn.

        Data that hold one difficult sample of every class are left as they are, once each: hardly two are equal.
        """
        _, first, counts = np.unique(self._data.codes(data), return_index=True, return_counts=True)
        return NaturalData(*(column[first] for column in data)), counts


class _Cliques:
    """Data of ``natural_data``."""

    def __init__(self, parameters: GraphParameters, tilt: Number) -> None:
        self.parameters = parameters
        self.kinds = natural_data(parameters, tilt)

    def draw(self, kind: Indices, rng: np.random.Generator) -> NaturalData:
        p, size = self.parameters, len(kind)
        label = rng.integers(p.classes, size=size)
        columns = p.classes if p.pairing == "block" else 1  # matched groups hold the same sample of every class
        difficult = np.broadcast_to(_difficult(p, (size, columns), rng), (size, p.classes))
        return NaturalData(kind, label, _easy(p, size, rng), difficult)

    def augment(self, data: NaturalData, rng: np.random.Generator) -> Indices:
        p, size = self.parameters, len(data.kind)
        one_difficult = np.array([kind.difficult.members == 1 for kind in self.kinds])[data.kind]
        one_easy = np.array([kind.easy.members == 1 for kind in self.kinds])[data.kind]
        share = np.array([float(kind.mass_of(kind.difficult) / kind.mass) for kind in self.kinds])[data.kind]
        label = np.where(self._anywhere(data, rng), rng.integers(p.classes, size=size), data.label)
        held = data.difficult[np.arange(size), label]
        difficult = np.where(one_difficult, held, _difficult(p, size, rng))
        easy = np.where(one_easy, data.easy, _easy(p, size, rng))
        nodes: Indices = label * p.n + np.where(rng.random(size) < share, difficult, easy)
        return nodes

    def _anywhere(self, data: NaturalData, rng: np.random.Generator) -> NDArray[np.bool_]:
        """Whether a view falls into every class alike, its datum's included, and does not stay in that for sure."""
        p = self.parameters
        shares = np.array([float((k.span - 1) * p.classes / (k.span * p.r)) for k in self.kinds])
        certain = bool(((shares == 0) | (shares == 1)).all())
        return shares[data.kind] > (0 if certain else rng.random(len(data.kind)))

    def densities(self, data: NaturalData) -> Array:
        p, kinds, sample = self.parameters, self.kinds, np.arange(self.parameters.n)
        spans = np.array([kind.span > 1 for kind in kinds])[data.kind]
        inside = spans[:, None] | (data.label[:, None] == np.arange(p.classes))

        def part(name: str, held: NDArray[Any], region: NDArray[Any]) -> Array:
            members, density = np.array([[float(x) for x in getattr(kind, name)] for kind in kinds])[data.kind].T
            chosen = (members > 1)[:, None, None] | (held[:, :, None] == sample)
            found: Array = density[:, None, None] * (chosen & region)
            return found

        difficult = part("difficult", data.difficult, sample < p.n_d)
        found: Array = difficult + part("easy", data.easy[:, None], sample >= p.n_d)
        found *= inside[:, :, None]
        return found.reshape(len(data.kind), p.nodes)

    def codes(self, data: NaturalData) -> Indices:
        """A number for each datum, equal for equal ones."""
        kinds, p = self.kinds, self.parameters
        spans, easy, difficult = (
            np.array(values)[data.kind]
            for values in (
                [kind.span > 1 for kind in kinds],
                [kind.easy.members == 1 for kind in kinds],
                [kind.difficult.members == 1 for kind in kinds],
            )
        )
        own = data.difficult[np.arange(len(spans)), data.label]
        parts = (data.kind, data.label * ~spans, data.easy * easy, own * difficult)
        code = np.ravel_multi_index(parts, (len(kinds), p.classes, p.n, p.n))
        codes: Indices = np.where(spans & difficult, -1 - np.arange(len(code)), code)
        return codes


class _Columns:
    """Data of ``theory.factor``: one for each node, which is its sample in the class of its label."""

    def __init__(self, parameters: GraphParameters | SixLevels, tilt: Number) -> None:
        require(not tilt, "tilt", tilt, "0 for the pairing any and six levels, of which one augmentation is known")
        self.parameters = parameters
        self.kinds = factor(parameters)
        self.easy = np.array([column.name == "easy" for column in self.kinds])

    def draw(self, kind: Indices, rng: np.random.Generator) -> NaturalData:
        p, size = self.parameters, len(kind)
        label, easy = rng.integers(p.classes, size=size), _easy(p, size, rng)
        return NaturalData(kind, label, easy, np.broadcast_to(_difficult(p, (size, 1), rng), (size, p.classes)))

    def augment(self, data: NaturalData, rng: np.random.Generator) -> Indices:
        p, size = self.parameters, len(data.kind)
        totals = np.array([column.views.cumsum() for column in self.kinds])[data.kind]
        group = (rng.random(size)[:, None] * totals[:, -1:] >= totals).sum(axis=1)
        another = (data.label + rng.integers(1, p.classes, size=size)) % p.classes
        samples = self._samples(data), _easy(p, size, rng), _difficult(p, size, rng)
        nodes: Indices = np.where(group < 3, data.label, another) * p.n + np.choose(group, (*samples, *samples[1:]))
        return nodes

    def densities(self, data: NaturalData) -> Array:
        p, size = self.parameters, len(data.kind)
        of_kind = (np.arange(p.n) < p.n_d).astype(int)
        own, other, itself = (
            np.array([getattr(column, name) for column in self.kinds])[data.kind] for name in ("own", "other", "itself")
        )
        mine = data.label[:, None, None] == np.arange(p.classes)[:, None]
        found: Array = np.where(mine, own[:, None, of_kind], other[:, None, of_kind]).reshape(size, p.nodes)
        found[np.arange(size), self.codes(data)] += itself
        return found

    def codes(self, data: NaturalData) -> Indices:
        """The nodes that the data belong to."""
        return data.label * self.parameters.n + self._samples(data)

    def _samples(self, data: NaturalData) -> Indices:
        return np.where(self.easy[data.kind], data.easy, data.difficult[:, 0])


def _difficult(p: GraphParameters | SixLevels, size: int | tuple[int, int], rng: np.random.Generator) -> Indices:
    return rng.integers(max(p.n_d, 1), size=size)


def _easy(p: GraphParameters | SixLevels, size: int, rng: np.random.Generator) -> Indices:
    return rng.integers(p.n_d, max(p.n, p.n_d + 1), size=size)
