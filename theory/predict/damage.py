"""How difficult pairs act: which of what they change carries the damage, and where it begins to matter."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from theory.params import GraphParameters
from theory.predict.chain import accuracy
from theory.predict.graphs import LABELLED, evaluate, predict
from theory.predict.remedies import Problem, three_levels
from theory.predict.structure import Array, Structure
from theory.spectrum import largest_gamma

PARTS = ("class_block", "degrees", "bridge", "contrast")
WORTH = 0.01  # of accuracy: the damage that is worth caring for
STEPS = 16  # of a search's first, coarse pass
FINEST = 1e-3  # of a threshold, relative
MOST_NOISE = 4.0  # times the ε at which the noise drowns the class modes


def switched(problem: Problem, part: str) -> Structure:
    """The clean graph with one part of what difficult pairs change.

    Parameters
    ----------
    problem : Problem
        Of graphs of easy and difficult nodes.
    part : str
        ``class_block``, the modes that tell classes apart; ``degrees``; ``bridge``, the modes inside the groups of
        difficult samples (matched pairs only); ``contrast``, easy against difficult samples.
    """
    now, clean = problem.now, problem.clean
    if part == "degrees":
        return replace(clean, degrees=now.degrees, row_degrees=now.row_degrees)
    moved = (now.own - clean.own) / np.maximum(now.counts, 1)[:, None]  # what a space has besides its levels
    one = np.eye(now.counts.shape[1])
    if part == "bridge":
        return replace(clean, own=now.own, levels=clean.levels - moved[..., None] * one)
    space = {"contrast": 0, "class_block": 1}[part]
    levels = clean.levels.copy()
    levels[:, space] = (now.levels + moved[..., None] * one)[:, space]
    return replace(clean, levels=levels)


class Mechanism(NamedTuple):
    """What difficult pairs cost, in accuracy, and through what.

    Attributes
    ----------
    total : float
        Accuracy of the graph less that of the clean one.
    parts : dict of float
        The same with only one part of the change switched on.
    weakening : float
        dθ/θ, by how much they weaken the class modes: θ is the largest class eigenvalue of A beyond 1 − α.
    first_order : float
        −m·n_d·(γ − β)/(n²(α − β)), its limit for small γ − β.
    """

    total: float
    parts: dict[str, float]
    weakening: float
    first_order: float


def mechanism(
    p: GraphParameters,
    epsilon: float,
    dim: int,
    labels_per_class: float | None = None,
    ridge: float | None = None,
    probe: str = "least_squares",
) -> Mechanism:
    """Switch on, one at a time, what difficult pairs change.

    Parameters
    ----------
    p, epsilon, dim, labels_per_class, ridge, probe
        As in ``theory.predict.predict``.
    """
    before, now = (
        predict(p, epsilon, dim, labels_per_class, ridge, remedy, probe=probe).accuracy
        for remedy in ("clean", "nothing")
    )
    problem = three_levels(p, epsilon)
    share = LABELLED if labels_per_class is None else labels_per_class / p.n
    labelled = share * problem.now.totals
    parts = {
        part: float(accuracy(switched(problem, part), dim, labelled, ridge, probe=probe).mean[0]) - before
        for part in PARTS
    }
    first = -p.neighbours * p.n_d * float(p.gamma - p.beta) / (p.n**2 * float(p.alpha - p.beta))
    return Mechanism(now - before, parts, float(weakening(problem)[0]), first)


def weakening(problem: Problem) -> Array:
    """dθ/θ, shape (B,): θ is the largest eigenvalue of A on the class space less 1 − α."""
    strengths = []
    for s in (problem.now, problem.clean):
        beyond = (s.own - problem.clean.own)[:, -1, :, None] * np.eye(s.counts.shape[1])
        strengths.append(np.linalg.eigvalsh(s.blocks[:, -1] + beyond)[:, -1])
    found: Array = strengths[0] / strengths[1] - 1
    return found


class Threshold(NamedTuple):
    """Where difficult pairs begin to cost a point.

    Attributes
    ----------
    value : float or None
        The smallest value of the parameter that does, the others as they are; None if none in the range does.
    low, high : float
        The range that was searched.
    """

    value: float | None
    low: float
    high: float


def thresholds(
    p: GraphParameters,
    epsilon: float,
    dim: int,
    labels_per_class: float | None = None,
    ridge: float | None = None,
    cost: float = WORTH,
) -> dict[str, Threshold]:
    """The smallest γ − β, n_d and ε at which the predicted accuracy is ``cost`` below the clean graph's.

    Parameters
    ----------
    p, epsilon, dim, labels_per_class, ridge
        As in ``theory.predict.predict``.
    cost : float
        Accuracy, > 0.

    Returns
    -------
    dict of Threshold
        ``excess`` (γ − β, up to the largest realisable one), ``difficult`` (n_d, up to n) and ``epsilon`` (up to four
        times n(α − β)/√N).
    """
    fixed: dict[str, Any] = {
        "alpha": float(p.alpha), "beta": float(p.beta), "gamma": float(p.gamma), "samples_per_class": p.n,
        "classes": p.classes, "difficult": p.n_d, "dim": dim, "epsilon": epsilon,
        "labels_per_class": labels_per_class, "ridge": ridge, "pairing": p.pairing,
    }  # fmt: skip

    clean = evaluate(**fixed, remedy="clean")["accuracy"]

    def surplus(**varied: Any) -> Array:
        return clean - evaluate(**{**fixed, **varied})["accuracy"] - cost

    def noisy(epsilon: Array) -> Array:
        arguments = {**fixed, "epsilon": epsilon}
        return evaluate(**arguments, remedy="clean")["accuracy"] - evaluate(**arguments)["accuracy"] - cost

    beta, transition = float(p.beta), p.n * float(p.alpha - p.beta) / float(np.sqrt(p.nodes))
    top = min(float(largest_gamma(p)), float(p.alpha) * (1 - 1e-9)) - beta if p.n_d else 0.0
    return {
        "excess": _first(lambda excess: surplus(gamma=beta + excess), 0.0, top),
        "difficult": _first_integer(lambda difficult: surplus(difficult=difficult), p.n),
        "epsilon": _first(noisy, 0.0, MOST_NOISE * transition),
    }


def _first(surplus: Callable[[Array], Array], low: float, high: float) -> Threshold:
    """The smallest argument at which a function reaches 0, on a grid that is made finer around it."""
    start, stop = low, high
    if high <= low:
        return Threshold(None, low, high)
    while True:
        grid = np.linspace(start, stop, STEPS + 1)
        reached = np.flatnonzero(surplus(grid) >= 0)
        if not len(reached):
            return Threshold(None, low, high)
        first = int(reached[0])
        start, stop = float(grid[max(first - 1, 0)]), float(grid[first])
        if first == 0 or stop - start <= FINEST * (high - low):
            return Threshold(stop, low, high)


def _first_integer(surplus: Callable[[Array], Array], high: int) -> Threshold:
    start, stop = 0, high
    while True:
        grid = np.unique(np.linspace(start, stop, STEPS + 1).round())
        reached = np.flatnonzero(surplus(grid) >= 0)
        if not len(reached):
            return Threshold(None, 0, high)
        first = int(reached[0])
        start, stop = int(grid[max(first - 1, 0)]), int(grid[first])
        if first == 0 or stop - start <= 1:
            return Threshold(float(stop), 0, high)
