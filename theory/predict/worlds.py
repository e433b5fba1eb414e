"""Problems of the worlds that break one of the three-level graph's assumptions (``theory.worlds``)."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from theory.checks import require
from theory.predict.remedies import Problem
from theory.predict.structure import Array, Structure, make
from theory.worlds import Indices, World

BINS = 8  # types of a graded class


class Grouped(NamedTuple):
    """A problem and the class of each of its types; None where the classes are alike."""

    problem: Problem
    classes: Indices | None


def problem(world: World, epsilon: Any, correlated: Any = 0.0) -> Grouped:
    """The problem of a synthetic world.

    Parameters
    ----------
    world : World
        Any; with matched pairs only where the classes are alike.
    epsilon, correlated : number or array, shape (B,)

    Raises
    ------
    ParameterError
        For matched pairs in worlds whose classes differ: their bridges are of many kinds; and for a world of one's own
        with weights of its own, or with closeness other than 0 and 1.
    """
    if world.structure in ("three_level", "graded"):
        return Grouped(_alike(world, epsilon, correlated), None)
    pairing = world.parameters.pairing
    require(pairing != "matched", "pairing", pairing, f"block, any or clean to predict the world {world.structure}")
    known = type(world) is World and bool(np.isin(world.closeness, (0, 1)).all())
    require(known, "world", world.structure, "closeness 0 or 1, and the weights of theory.worlds")
    return _apart(world, epsilon, correlated)


def _alike(world: World, epsilon: Any, correlated: Any) -> Problem:
    """Types are bins of a class's samples, by their number; classes are exchangeable."""
    p = world.parameters
    closeness = world.closeness[: p.n]
    edges = np.unique(np.r_[0, _bins(closeness), p.n])
    bins = [closeness[low:high] for low, high in pairwise(edges)]
    counts = np.diff(edges).astype(float)
    shape = (len(bins), len(bins))
    within = np.full(shape, float(p.alpha))
    now, squares = _across(p, bins)
    clean = np.full(shape, float(p.beta))
    excess = float(p.gamma - p.beta)
    paired = np.array([excess * (bin_**2).mean() for bin_ in bins]) if p.pairing == "matched" else np.zeros(len(bins))
    own = 1 - float(p.alpha)

    def structure(across: Array, bridges: Array) -> Structure:
        levels = np.stack([within + p.r * across, within - across])
        alone = np.stack([own + p.r * bridges, own - bridges])
        return make(counts[None], np.array([[1.0, p.r]]), alone[None], levels[None], epsilon, correlated)

    before, after = structure(now, paired), structure(clean, 0 * paired)
    ratios = np.broadcast_to((1 + p.r * squares) / (1 + p.r), (len(before.nodes), *shape))
    return Problem(before, after, ratios, np.array([bin_.mean() >= 0.5 for bin_ in bins]))


def _bins(closeness: Array) -> Any:
    """Where bins of equal closeness begin; of a continuous one, ``BINS`` of equal share of its fall."""
    steps = np.flatnonzero(np.diff(closeness)) + 1
    if len(steps) < BINS:
        return steps
    fall = (closeness[0] - closeness) / (closeness[0] - closeness[-1])
    half = np.searchsorted(-closeness, -0.5, side="right")
    return np.r_[np.searchsorted(fall, np.arange(1, BINS) / BINS), half]


def _across(p: Any, bins: list[Array]) -> tuple[Array, Array]:
    """Mean weight across classes between the nodes of two bins, and the mean square of the clean over it."""
    beta, excess, types = float(p.beta), float(p.gamma - p.beta), len(bins)
    weights, squares = np.full((types, types), beta), np.ones((types, types))
    for i, first in enumerate(bins):
        for j, second in enumerate(bins):
            row, column = first[:, None], second[None]
            each = beta + excess * (row + column - row * column if p.pairing == "any" else row * column)
            if p.pairing == "matched":
                paired = beta + excess * first**2 if i == j else None
                squares[i, j] = 1.0 if paired is None else 1 + ((_square(beta, paired) - 1).mean() / len(first))
                continue
            weights[i, j] = each.mean()
            squares[i, j] = _square(beta, each).mean()
    return weights, squares


def _square(clean: Any, weights: Array) -> Array:
    """(clean/weight)²; 1 where they are equal."""
    with np.errstate(divide="ignore", invalid="ignore"):
        found: Array = np.where(weights == clean, 1.0, (clean / weights) ** 2)
    return found


def _apart(world: World, epsilon: Any, correlated: Any) -> Grouped:
    """Every group of a class's easy or difficult nodes is a type."""
    p = world.parameters
    codes = 2 * world.labels + (world.closeness > 0)
    groups, counts = np.unique(codes, return_counts=True)
    classes, difficult = groups // 2, groups % 2 == 1
    same = classes[:, None] == classes
    confused = world.confused[classes[:, None], classes]
    joined = difficult[:, None] | difficult if p.pairing == "any" else difficult[:, None] & difficult
    clean = np.where(same, float(p.alpha), float(p.beta))
    now = np.where(confused & joined, float(p.gamma), clean)
    own = np.full((1, 1, len(groups)), 1 - float(p.alpha))

    def structure(levels: Array) -> Structure:
        return make(counts[None].astype(float), np.ones((1, 1)), own, levels[None, None], epsilon, correlated)

    before, after = structure(now), structure(clean)
    ratios = np.broadcast_to(_square(clean, now), (len(before.nodes), *now.shape))
    return Grouped(Problem(before, after, ratios, difficult), classes)
