"""The error to expect of the probe in a world, by remedy, where ``theory.predict`` has a number for it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from theory.checks import ParameterError
from theory.draws import Noise
from theory.predict.chain import accuracy
from theory.predict.graphs import FEWEST_LABELS
from theory.predict.remedies import REMEDIES, treated
from theory.predict.structure import Structure
from theory.predict.worlds import Grouped, problem
from theory.worlds import AnyWorld, Array, Indices, Mask, World


class Expected(NamedTuple):
    """The error to expect over the test nodes that a remedy keeps; NaN where there is no number or no such node.

    Attributes
    ----------
    predicted : float
        Over all of them.
    predicted_easy, predicted_difficult : float
        Over the easy and over the difficult ones.
    """

    predicted: float
    predicted_easy: float
    predicted_difficult: float


UNKNOWN = Expected(math.nan, math.nan, math.nan)


def expected_errors(
    world: AnyWorld, dims: Sequence[int], noise: Noise, labelled: Mask, remedies: Sequence[str]
) -> dict[int, dict[str, Expected]]:
    """The error of least squares by k and remedy.

    There are numbers for the synthetic worlds (those of one's own whose closeness is 0 or 1) with Wigner noise,
    correlated or not; for k from the number of classes to two fewer than the labels, of which every class has two.
    There are none for matched pairs in worlds whose classes differ, none where the equations' iteration does not
    converge, and none for the temperature with its theorem's weights: where γ is several times β these lower the error
    further than the prediction of ``temperature_unweighted`` has it.

    Parameters
    ----------
    world : AnyWorld
    dims : sequence of int
        Values of k.
    noise : Noise
    labelled : bool array, shape (N,)
        The train nodes before any removal; how many there are of each class and kind is all that counts.
    remedies : sequence of str
    """
    found = {dim: dict.fromkeys(remedies, UNKNOWN) for dim in dims}
    if not isinstance(world, World) or noise.kind != "wigner":
        return found
    try:
        grouped = problem(world, noise.epsilon, noise.correlated)
    except ParameterError:
        return found
    shares = _shares(world, labelled, grouped)
    for remedy in REMEDIES:
        if remedy in remedies:
            s = treated(grouped.problem, remedy)
            for dim in dims:
                found[dim][remedy] = _errors(s, dim, shares * s.totals, grouped)
    return found


def _shares(world: World, labelled: Mask, grouped: Grouped) -> Array:
    """Share of labelled nodes by type, shape (T,)."""
    found = []
    for number, difficult in enumerate(grouped.problem.difficult):
        nodes = world.difficult == difficult
        if grouped.classes is not None:
            nodes = nodes & (world.labels == grouped.classes[number])
        found.append(labelled[nodes].mean())
    return np.array(found)


def _errors(s: Structure, dim: int, labels: Array, grouped: Grouped) -> Expected:
    """The prediction for one graph and k; ``labels`` by type, shape (1, T)."""
    by_class = _by_class(s, labels, grouped.classes)
    if not len(by_class) <= dim < labels.sum() - 1 or by_class.min() < FEWEST_LABELS:
        return UNKNOWN
    try:
        right = accuracy(s, dim, labels, classes=grouped.classes)
    except FloatingPointError:
        return UNKNOWN
    difficult = grouped.problem.difficult.astype(np.float64)
    parts = (np.ones_like(difficult), 1 - difficult, difficult)
    return Expected(*(1 - float(right.over(part, s.totals - labels)[0]) for part in parts))


def _by_class(s: Structure, labels: Array, classes: Indices | None) -> Array:
    """Labels by class; where classes are alike, the same number for each."""
    if classes is not None:
        return np.bincount(classes, labels[0])
    count = int(s.copies.sum())
    return np.full(count, labels.sum() / count)
