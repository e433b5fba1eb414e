"""The steps in order: what the eigenvectors hold, the rows behind them, the probe, its answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from theory.checks import require, require_known
from theory.predict import answers, logistic, orthant
from theory.predict.probe import scores
from theory.predict.resolvent import Captured, capture
from theory.predict.rows import Rows, rows
from theory.predict.structure import Array, Structure
from theory.worlds import Indices

PROBES = {"least_squares": 0.0, "logistic": 1.0}  # and the ridge of each in theory.simulate
Capture = Callable[[Structure, Array], Captured]


class Accuracy(NamedTuple):
    """Accuracy of the probe on nodes without a label.

    Attributes
    ----------
    mean : array, shape (B,)
        Over all nodes.
    by_type : array, shape (B, T)
        Of no meaning where a graph has no node of a type.
    """

    mean: Array
    by_type: Array

    def over(self, chosen: Array, totals: Array) -> Array:
        """Mean over the nodes of some types, shape (B,); NaN where there are none."""
        weights = totals * chosen
        size = weights.sum(axis=1)
        found: Array = np.where(size > 0, (weights * self.by_type).sum(axis=1) / np.where(size > 0, size, 1), np.nan)
        return found


def accuracy(
    s: Structure,
    dim: ArrayLike,
    labelled: Array,
    ridge: ArrayLike | None = None,
    classes: Indices | None = None,
    probe: str = "least_squares",
    captured: Capture = capture,
) -> Accuracy:
    """Predicted accuracy of a probe on the k leading eigenvectors over √degree.

    Parameters
    ----------
    s : Structure
    dim : array_like, shape () or (B,)
        k, at least the number of classes.
    labelled : array, shape (B, T)
        Labelled nodes by type, more than k + 1 in all.
    ridge : array_like, shape () or (B,), optional
        λ, see ``theory.predict.probe.scores`` and ``theory.predict.logistic.logits``; by default 0 for least squares
        and 1 for logistic regression.
    classes : int array, shape (T,), optional
        Class of each type, where a type is one group (``theory.predict.worlds``); for least squares.
    probe : {"least_squares", "logistic"}
        As in ``theory.simulate``.
    captured : callable
        What the k leading eigenvectors hold; by default under noise with independent entries.

    Raises
    ------
    ParameterError
        For another probe, or the logistic one where classes are not alike.
    """
    require_known("probe", probe, PROBES)
    require(classes is None or probe == "least_squares", "probe", probe, "least_squares where classes are not alike")
    dims, ridges = (
        np.broadcast_to(np.asarray(value, dtype=np.float64), s.nodes.shape)
        for value in (dim, PROBES[probe] if ridge is None else ridge)
    )
    mixture = rows(s, captured(s, dims))
    train = _logistic if probe == "logistic" else _least_squares
    by_type = train(mixture, labelled, dims, ridges, classes).clip(0, 1)  # rounding
    return Accuracy((by_type * mixture.shares).sum(axis=1), by_type)


def _least_squares(mixture: Rows, labelled: Array, dim: Array, ridge: Array, classes: Indices | None) -> Array:
    found = scores(mixture, labelled, dim, ridge)
    return answers.alike(found, mixture.copies) if classes is None else answers.apart(found, classes)


def _logistic(mixture: Rows, labelled: Array, dim: Array, ridge: Array, _: Indices | None) -> Array:
    found = logistic.logits(mixture, labelled, dim, ridge)
    return orthant.exchangeable(found.signal, found.noise, np.zeros_like(found.noise), mixture.copies[:, None])
