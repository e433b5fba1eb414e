"""Remedies as changes of a structure: what they leave of the weights, the degrees and the noise."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from theory.kinds import Graph, PerKind, paper_weights
from theory.predict.structure import Array, Structure, of_graph, recounted

REMEDIES = ("nothing", "clean", "margin", "temperature_unweighted", "removal", "random_removal")


class Problem(NamedTuple):
    """Graphs with difficult nodes, and the same without difficulty.

    Attributes
    ----------
    now, clean : Structure
        The clean one has the same noise.
    ratios : array, shape (B, T, T)
        Mean square of the clean weight over the weight, between nodes of two types.
    difficult : array of bool, shape (T,)
        Which types are.
    """

    now: Structure
    clean: Structure
    ratios: Array
    difficult: NDArray[np.bool_]


def three_levels(p: Any, epsilon: Any, correlated: Any = 0.0) -> Problem:
    """The problem of a three-level graph, or of many (``theory.sweep.Points``)."""
    easy = paper_weights(p.alpha, p.beta, p.beta, p.pairing)
    now = of_graph(p, epsilon, correlated)
    clean = of_graph(p, epsilon, correlated, weights=easy)
    with np.errstate(divide="ignore", invalid="ignore"):
        squares = PerKind(*(np.where(x == y, 1.0, np.divide(x, y) ** 2) for x, y in zip(easy, p.weights, strict=True)))
    return Problem(now, clean, _ratios(p, squares, now), np.array([False, True]))


def _ratios(p: Graph, squares: PerKind, s: Structure) -> Array:
    """Averages over the nodes of the second type: in the row's own class the ratio is 1."""
    paired, unpaired = squares.paired, squares.unpaired_both_difficult
    n_d = np.maximum(p.n_d, 1)
    both = unpaired + (paired - unpaired) / n_d
    means = np.stack(
        [
            np.broadcast_to(np.asarray((1 + p.r * square) / (1 + p.r), dtype=np.float64), s.nodes.shape)
            for square in (squares.different_class_both_easy, squares.different_class_one_difficult, both)
        ]
    )
    return np.stack([means[[0, 1]].T, means[[1, 2]].T], axis=1)


def treated(problem: Problem, remedy: str) -> Structure:
    """The graphs under a remedy from ``REMEDIES``.

    The margin takes the difference of the two normalised populations from the noisy matrix. The temperatures
    multiply it, noise included, by their ratio. Both leave the rows over the roots of the difficult graph's degrees.
    Removals leave fewer nodes of the same weights, a random one as many as the removal of the difficult.
    """
    now, clean = problem.now, problem.clean
    if remedy == "nothing":
        return now
    if remedy == "clean":
        return clean
    if remedy == "margin":
        scale = np.sqrt(now.degrees / clean.degrees)[:, None]
        levels = clean.levels * scale[..., :, None] * scale[..., None, :]
        return replace(now, own=clean.own * scale**2, levels=levels)
    if remedy == "temperature_unweighted":
        return replace(clean, row_degrees=now.degrees, variance=clean.variance * problem.ratios)
    if remedy == "removal":
        return recounted(now, np.where(problem.difficult, 0.0, now.counts))
    left = (now.counts * ~problem.difficult).sum(axis=1) / now.counts.sum(axis=1)
    return recounted(now, now.counts * left[:, None])
