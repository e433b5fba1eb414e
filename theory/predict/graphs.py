"""Predictions for three-level graphs and graphs of six levels, one or many."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from theory.checks import ParameterError, is_finite, require, require_known, require_share
from theory.kinds import PAIRINGS, Pairing
from theory.noise import LARGEST_NOISE
from theory.params import GraphParameters, SixLevels
from theory.predict.chain import PROBES, Accuracy, accuracy
from theory.predict.remedies import REMEDIES, Problem, three_levels, treated
from theory.predict.structure import Array, Structure, of_graph
from theory.sweep import Points, point_name

CHUNK = 256  # graphs at a time
FEWEST_LABELS = 2  # a class
LARGEST_RIDGE = 1e50  # its squares must fit a float
MOST_CLASSES = 200  # whose scores the logistic probe's 512 draws can average over
LABELLED = 0.5  # of all nodes, unless told otherwise
OPEN = "fewer: the labelled samples do not determine a probe on so many eigenvectors"

Place = Callable[[int], str | None]  # the name of a point, None of a single one


class Prediction(NamedTuple):
    """Predicted accuracy on the nodes without a label.

    Attributes
    ----------
    accuracy : float
        Of all.
    easy, difficult : float or None
        Of the easy and of the difficult ones; None where there are none.
    """

    accuracy: float
    easy: float | None
    difficult: float | None

    @property
    def gap(self) -> float | None:
        """How much better easy nodes are told apart than difficult ones."""
        return None if self.easy is None or self.difficult is None else self.easy - self.difficult


def predict(
    p: GraphParameters | SixLevels,
    epsilon: float,
    dim: int,
    labels_per_class: float | None = None,
    ridge: float | None = None,
    remedy: str = "nothing",
    correlated: float = 0.0,
    probe: str = "least_squares",
) -> Prediction:
    """The probe's expected accuracy on one noisy graph.

    Parameters
    ----------
    p : GraphParameters or SixLevels
        Positive semidefinite or not.
    epsilon : float
        ε >= 0, standard deviation of the similarities within a group; 0 is the limit of little noise.
    dim : int
        k, number of eigenvectors: at least the number of classes, and fewer than the labels.
    labels_per_class : float, optional
        Labelled samples a class, at least 2 and fewer than n, the same share of easy and difficult ones; by default
        half of them. Removal takes its share of them.
    ridge : float, optional
        λ >= 0 on the coefficients of least squares, for eigenvectors of length 1; by default 0. For the logistic
        probe λ > 0 on standardised features, the inverse of scikit-learn's C; by default 1.
    remedy : str
        From ``theory.predict.REMEDIES``; six levels have ``nothing``, ``removal`` and ``random_removal``.
    correlated : float
        Share of the noise's variance that is of low rank, in [0, 1], as in ``theory.worlds.add_noise``.
    probe : {"least_squares", "logistic"}
        As in ``theory.simulate``.

    Raises
    ------
    ParameterError
        If a parameter is outside its range, or removal leaves no sample.
    """
    require_known("remedy", remedy, REMEDIES)
    require_known("probe", probe, PROBES)
    _require_noise(epsilon, correlated)
    labels = LABELLED * p.n if labels_per_class is None else labels_per_class
    penalty = PROBES[probe] if ridge is None else ridge
    k, m, lam = (np.array([value], dtype=np.float64) for value in (dim, labels, penalty))
    asked = Probe(probe, k, m, lam, lambda _: None)
    found, s = _answer(_problem(p, epsilon, correlated, remedy), remedy, p, asked)
    present = s.counts[0] > 0
    easy, difficult = (float(x) if there else None for x, there in zip(found.by_type[0], present, strict=True))
    return Prediction(float(found.mean[0]), easy, difficult)


def evaluate(
    alpha: ArrayLike,
    beta: ArrayLike,
    gamma: ArrayLike,
    samples_per_class: ArrayLike,
    classes: ArrayLike,
    difficult: ArrayLike,
    dim: ArrayLike,
    epsilon: ArrayLike,
    labels_per_class: ArrayLike | None = None,
    ridge: ArrayLike | None = None,
    pairing: Pairing = "block",
    remedy: str = "nothing",
    probe: str = "least_squares",
    correlated: float = 0.0,
    name: Callable[[tuple[Any, ...]], str] = point_name,
) -> dict[str, Array]:
    """``predict`` for many three-level graphs at once.

    Parameters
    ----------
    alpha, beta, gamma, samples_per_class, classes, difficult, dim : array_like
        As in ``theory.sweep.evaluate``; all arguments broadcast against each other.
    epsilon, labels_per_class, ridge : array_like
        As in ``predict``.
    pairing : {"block", "any", "matched", "clean"}
    remedy : str
    probe : {"least_squares", "logistic"}
    correlated : float
        As in ``predict``, of all points.
    name : callable
        How errors call the point of an index.

    Returns
    -------
    dict of arrays, each of the broadcast shape
        ``accuracy``, ``easy`` and ``difficult``; NaN where a graph has no such node.

    Raises
    ------
    ParameterError
        If there is no point, or ``GraphParameters`` or ``predict`` refuses one; the first is named by its index.
    ValueError
        If the shapes do not broadcast.
    """
    require(pairing in PAIRINGS, "pairing", pairing, "one of " + ", ".join(PAIRINGS))
    require_known("remedy", remedy, REMEDIES)
    require_known("probe", probe, PROBES)
    labels = LABELLED * np.asarray(samples_per_class) if labels_per_class is None else labels_per_class
    penalty = PROBES[probe] if ridge is None else ridge
    given = (alpha, beta, gamma, samples_per_class, classes, difficult, dim, epsilon, labels, penalty)
    arrays = np.broadcast_arrays(*(np.asarray(value, dtype=np.float64) for value in given))
    shape = arrays[0].shape
    require(0 not in shape, "shape of the points", shape, "at least one point")
    flat = np.stack([array.reshape(-1) for array in arrays])

    parts = []
    for start in range(0, flat.shape[1], CHUNK):
        place = partial(_place, name, shape, start)
        columns = flat[:, start : start + CHUNK]
        points = _points(columns[:6], pairing, place)
        parts.append(_evaluate(points, columns[6:], correlated, remedy, place, probe))
    found = (np.concatenate(part).reshape(shape) for part in zip(*parts, strict=True))
    return dict(zip(("accuracy", "easy", "difficult"), found, strict=True))


def _place(name: Callable[[tuple[Any, ...]], str], shape: tuple[int, ...], start: int, index: int) -> str | None:
    """The name of a point; none for a single one."""
    return name(np.unravel_index(start + index, shape)) if shape else None


def _points(columns: Array, pairing: Pairing, place: Place) -> Points:
    """The graphs as arrays, each checked."""
    for index, (a, b, g, n, c, n_d) in enumerate(columns.T.tolist()):
        try:
            GraphParameters(a, b, g, n, c, n_d, pairing)
        except ParameterError as error:
            raise _at(error, place(index)) from None
    alpha, beta, gamma, n, c, n_d = columns
    return Points(alpha, beta, beta if pairing == "clean" else gamma, n, c - 1, n_d, pairing)


def _evaluate(
    p: Points, columns: Array, correlated: float, remedy: str, place: Place, probe: str
) -> tuple[Array, Array, Array]:
    dim, epsilon, labels, ridge = columns
    for index, level in enumerate(epsilon.tolist()):
        try:
            _require_noise(level, correlated)
        except ParameterError as error:
            raise _at(error, place(index)) from None
    found, s = _answer(three_levels(p, epsilon, correlated), remedy, p, Probe(probe, dim, labels, ridge, place))
    easy, difficult = (np.where(s.counts[:, kind] > 0, found.by_type[:, kind], np.nan) for kind in (0, 1))
    return found.mean, easy, difficult


def _at(error: ParameterError, place: str | None) -> ParameterError:
    return error if place is None else error.at(place)


def _require_noise(epsilon: Any, correlated: Any) -> None:
    inside = is_finite(epsilon) and 0 <= epsilon <= LARGEST_NOISE
    require(inside, "epsilon", epsilon, f"0 <= epsilon <= {LARGEST_NOISE:g}")
    require_share("correlated", correlated)


def _problem(p: GraphParameters | SixLevels, epsilon: float, correlated: float, remedy: str) -> Problem:
    if isinstance(p, GraphParameters):
        return three_levels(p, epsilon, correlated)
    kept = ("nothing", "removal", "random_removal")
    require(remedy in kept, "remedy", remedy, ", ".join(kept) + ": six levels have no clean graph")
    now = of_graph(p, epsilon, correlated)
    return Problem(now, now, np.ones_like(now.variance), np.array([False, True]))


class Probe(NamedTuple):
    """How many graphs are probed, one value each; ``place`` names a graph in errors."""

    kind: str
    dim: Array
    labels: Array
    ridge: Array
    place: Place

    def require(self, holds: Any, name: str, values: Any, condition: Callable[[int], str]) -> None:
        """ParameterError at the first graph for which a condition does not hold."""
        holds, values = np.broadcast_to(holds, self.dim.shape), np.broadcast_to(values, self.dim.shape)
        if not holds.all():
            first = int(np.argmin(holds))
            value = float(values[first])
            shown = int(value) if value.is_integer() else value
            raise ParameterError(name, shown, condition(first), self.place(first))


def _answer(problem: Problem, remedy: str, p: Any, probe: Probe) -> tuple[Accuracy, Structure]:
    """The accuracy under a remedy, and what the remedy leaves; ParameterError at the first graph without one."""
    n, n_d = (np.broadcast_to(size, probe.dim.shape) for size in (p.n, p.n_d))
    if remedy in ("removal", "random_removal"):
        probe.require(n_d < n, "difficult", n_d, lambda i: f"difficult < {n[i]:g}: all would go")
    s = treated(problem, remedy)
    after = " after the removal" * (s is not problem.now)
    for kind, degree, count in zip(("easy", "difficult"), s.degrees.T, s.counts.T, strict=True):
        name = f"degree of {kind} samples"
        probe.require((degree > 0) | (count == 0), name, degree, lambda _: f"degree > 0{after}")
    _require_settings(probe, n, np.broadcast_to(p.r + 1, n.shape), s)
    labelled = (probe.labels / n)[:, None] * s.totals
    try:
        return accuracy(s, probe.dim, labelled, probe.ridge, probe=probe.kind), s
    except FloatingPointError:
        first = next(i for i in range(len(n)) if not _solvable(s, labelled, probe, i))
        if probe.kind == "logistic":
            tested = "a ridge, such as 1, for which the mean-field equations are solved"
            raise ParameterError("ridge", float(probe.ridge[first]), tested, probe.place(first)) from None
        raise ParameterError("dim", int(probe.dim[first]), OPEN, probe.place(first)) from None


def _require_settings(probe: Probe, n: Array, classes: Array, s: Structure) -> None:
    """The conditions on labels, ridge and k for graphs of n samples a class, of which ``s`` is left."""
    kind, dim, labels, ridge, _ = probe
    left = s.counts.sum(axis=1)
    enough = np.isfinite(labels) & (labels * left / n >= FEWEST_LABELS)
    probe.require(enough, "labels_per_class", labels, _fewest(left, n))
    others = "others are to be predicted"
    probe.require(labels < n, "labels_per_class", labels, lambda i: f"labels_per_class < {n[i]:g}: {others}")
    positive, sign = ridge >= 0, "<="
    if kind == "logistic":
        most = f"classes <= {MOST_CLASSES} of a logistic probe"
        probe.require(classes <= MOST_CLASSES, "classes", classes, lambda _: most)
        positive, sign = ridge > 0, "<"
    probe.require(positive & (ridge <= LARGEST_RIDGE), "ridge", ridge, lambda _: f"0 {sign} ridge <= {LARGEST_RIDGE:g}")
    probe.require(np.isfinite(dim) & (dim == np.floor(dim)), "dim", dim, lambda _: "an integer")
    few = "the classes: fewer modes miss some of them"
    probe.require(dim >= classes, "dim", dim, lambda i: f"dim >= {classes[i]:g}, {few}")
    total = labels / n * s.nodes
    probe.require(dim < total - 1, "dim", dim, lambda i: f"dim < {total[i]:g} - 1, one less than the labels")


def _solvable(s: Structure, labelled: Array, probe: Probe, index: int) -> bool:
    one = [index]
    try:
        accuracy(s[one], probe.dim[one], labelled[one], probe.ridge[one], probe=probe.kind)
    except FloatingPointError:
        return False
    return True


def _fewest(left: Array, n: Array) -> Callable[[int], str]:
    return lambda i: (
        f"at least {FEWEST_LABELS} labels in each class of {left[i]:g} samples"
        + (f", of {n[i]:g} before the removal" if left[i] < n[i] else "")
    )
