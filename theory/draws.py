"""Noisy draws of a world's graph: independent entries, or finite samples that keep it an augmentation graph.

    wigner    A + ε·W with independent entries (``theory.worlds.add_noise``). Its weights may be negative and its
              smallest eigenvalues, too: no augmentation then produces the drawn graph.
    channel   M natural data from the graph's augmentation channel, Ã = ΣA · mean of a·aᵀ with a the density of a
              datum's views over the nodes. Positive semidefinite with weights >= 0, always.
    wishart   Ã = mean of x·xᵀ over ν draws x ~ N(0, A). Positive semidefinite; the entries spread by
              √((A_ij² + A_ii·A_jj)/ν), so that weights are >= 0 with high probability where ν is large.

The expectation is A in each. A drawn graph with weights >= 0 that is positive semidefinite is ``in_domain``: the
bounds hold for it as they do for A, with its own degrees.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, get_args

import numpy as np

from theory.channel import Channel
from theory.checks import require, require_integer, require_share
from theory.worlds import ROUNDING, AnyWorld, Array, add_noise

NoiseKind = Literal["wigner", "channel", "wishart"]
NOISES: tuple[NoiseKind, ...] = get_args(NoiseKind)
SAMPLED = ("channel", "wishart")  # with a number of draws in place of ε
ROWS = 512  # of a matrix at a time


@dataclass(frozen=True)
class Noise:
    """How a graph is drawn.

    Parameters
    ----------
    kind : {"wigner", "channel", "wishart"}
    epsilon, correlated : float
        Of ``wigner``, see ``theory.worlds.add_noise``.
    draws : int, optional
        Of the others: M natural data, or ν Gaussian vectors.

    Raises
    ------
    ParameterError
        If a value is missing or outside its range, or belongs to another kind.
    """

    kind: str = "wigner"
    epsilon: float = 0.0
    correlated: float = 0.0
    draws: int | None = None

    def __post_init__(self) -> None:
        require(self.kind in NOISES, "noise", self.kind, "one of " + ", ".join(NOISES))
        if self.kind in SAMPLED:
            require_integer("draws", self.draws, 1)
            why = f"0 with the noise {self.kind}, which has draws"
            require(self.epsilon == 0, "epsilon", self.epsilon, why)
            require(self.correlated == 0, "correlated", self.correlated, why)
            return
        require(self.draws is None, "draws", self.draws, "no value with the noise wigner, which has epsilon")
        require(self.epsilon >= 0, "epsilon", self.epsilon, "epsilon >= 0")
        require_share("correlated", self.correlated)

    @property
    def own_degrees(self) -> bool:
        """Whether the drawn graph's degrees are used: a sample has no others. Under ``wigner`` A's are, as in B.4."""
        return self.kind in SAMPLED

    def weights(self, world: AnyWorld, seed: int, clean: bool = False) -> Array:
        """The drawn weights of a world, or of its clean graph; equal seeds share the random numbers.

        Samples are in 64 bits: they span fewer directions than there are nodes, many of whose rows are equal, and of
        rows that 32 bits make different least squares reads the rounding.

        Parameters
        ----------
        world : World
        seed : int
        clean : bool

        Returns
        -------
        array, shape (N, N), float32 under ``wigner``, else float64

        Raises
        ------
        ParameterError
            With ``channel``, if the world's augmentation is not known: all but three_level, and see ``theory.factor``.
        """
        if self.kind in SAMPLED:
            return _sampled(self, world, seed, clean).copy()
        weights = population(world, clean)
        add_noise(weights, self.epsilon, seed, self.correlated)
        return weights


def population(world: AnyWorld, clean: bool = False) -> Array:
    """A, or the clean graph's; shape (N, N), float32."""
    rows, every = world.clean_rows if clean else world.rows, np.arange(world.nodes)
    matrix = np.empty((world.nodes, world.nodes), dtype=np.float32)
    for start in range(0, world.nodes, ROWS):
        matrix[start : start + ROWS] = rows(every[start : start + ROWS], every)
    return matrix


def negative_share(weights: Array) -> float:
    """Share of the pairs of different nodes with a negative weight."""
    nodes = len(weights)
    negative = sum(int((weights[start : start + ROWS] < 0).sum()) for start in range(0, nodes, ROWS))
    return (negative - int((weights.diagonal() < 0).sum())) / (nodes * (nodes - 1))


def is_positive_semidefinite(weights: Array) -> bool:
    """Whether no eigenvalue is below −1e-6 times the largest row sum; by Cholesky's factorisation."""
    dense = weights.astype(np.float64)
    dense[np.diag_indices_from(dense)] += ROUNDING * np.abs(dense).sum(axis=0).max()
    try:
        np.linalg.cholesky(dense)
    except np.linalg.LinAlgError:
        return False
    return True


@lru_cache(maxsize=2)  # the remedies of one seed share two graphs
def _sampled(noise: Noise, world: AnyWorld, seed: int, clean: bool) -> Array:
    draws = int(noise.draws or 0)
    if noise.kind == "channel":
        return _sampled_channel(world, draws, seed, clean)
    return _wishart(population(world, clean), draws, seed)


# --- the sampled channel ---------------------------------------------------------------------------


def require_channel(world: AnyWorld, clean: bool = False) -> Channel:
    """The augmentation channel of a world, or of its clean graph; ParameterError if none is known."""
    require(world.structure == "three_level", "world", world.structure, "three_level with the noise channel")
    assert world.graph is not None
    return Channel(world.graph.clean() if clean else world.graph)


def _sampled_channel(world: AnyWorld, draws: int, seed: int, clean: bool) -> Array:
    channel = require_channel(world, clean)
    data, counts = channel.distinct(channel.draw(draws, np.random.default_rng([seed, 4])))
    views = channel.densities(data)
    total = sum(float(kind.mass) for kind in channel.kinds)  # ΣA
    root = np.sqrt(counts * (total / draws))[:, None] * views  # a product with its own transpose is symmetric
    weights: Array = root.T @ root
    return weights


def _wishart(population: Array, draws: int, seed: int) -> Array:
    values, vectors = np.linalg.eigh(population.astype(np.float64))
    root = (vectors * np.sqrt(values.clip(0))) @ vectors.T  # symmetric, so that near graphs share their noise
    gaussian = np.random.default_rng([seed, 5]).standard_normal((draws, len(population))) @ root
    weights: Array = gaussian.T @ gaussian / draws
    return weights
