"""The augmentation channel of a similarity graph: draws natural data and their views."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from theory.augmentation import labelling_error, natural_data
from theory.kinds import Number
from theory.params import GraphParameters

Indices = NDArray[np.int64]


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
    tilt : number
        Share of tilted data, in [0, 1]; the labelling error falls with it from φ.

    Attributes
    ----------
    kinds : tuple of Kind
        All natural data of positive mass, from ``theory.augmentation.natural_data``.

    Raises
    ------
    ParameterError
        As ``natural_data``: above all if no augmentation produces the graph.

    References
    ----------
    HaoChen et al., "Provable Guarantees for Self-Supervised Deep Learning with Spectral Contrastive Loss",
    2021, section 3 (the augmentation graph); the decomposition is this package's.
    """

    def __init__(self, parameters: GraphParameters, tilt: Number = 0) -> None:
        self.parameters = parameters
        self.kinds = natural_data(parameters, tilt)

    @property
    def labelling_error(self) -> Number:
        """δ: how often a view's class is not its datum's label."""
        return labelling_error(self.kinds)

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


def _difficult(p: GraphParameters, size: int | tuple[int, int], rng: np.random.Generator) -> Indices:
    return rng.integers(max(p.n_d, 1), size=size)


def _easy(p: GraphParameters, size: int, rng: np.random.Generator) -> Indices:
    return rng.integers(p.n_d, max(p.n, p.n_d + 1), size=size)
