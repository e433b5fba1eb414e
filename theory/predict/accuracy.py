"""The steps in order: what the eigenvectors hold, the rows behind them, the probe, its answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from theory.predict import answers
from theory.predict.probe import scores
from theory.predict.resolvent import Captured, capture
from theory.predict.rows import rows
from theory.predict.structure import Array, Structure
from theory.worlds import Indices

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
    ridge: ArrayLike = 0.0,
    classes: Indices | None = None,
    captured: Capture = capture,
) -> Accuracy:
    """Predicted accuracy of least squares on the k leading eigenvectors over √degree.

    Parameters
    ----------
    s : Structure
    dim : array_like, shape () or (B,)
        k, at least the number of classes.
    labelled : array, shape (B, T)
        Labelled nodes by type, more than k + 1 in all.
    ridge : array_like, shape () or (B,)
        λ >= 0, see ``theory.predict.probe.scores``.
    classes : int array, shape (T,), optional
        Class of each type, where a type is one group (``theory.predict.worlds``).
    captured : callable
        What the k leading eigenvectors hold; by default under noise with independent entries.
    """
    dims, ridges = (np.broadcast_to(np.asarray(value, dtype=np.float64), s.nodes.shape) for value in (dim, ridge))
    mixture = rows(s, captured(s, dims))
    found = scores(mixture, labelled, dims, ridges)
    by_type = answers.alike(found, s.copies[:, -1]) if classes is None else answers.apart(found, classes)
    by_type = by_type.clip(0, 1)  # rounding
    return Accuracy((by_type * mixture.shares).sum(axis=1), by_type)
