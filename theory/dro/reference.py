"""Similarities of an anchor's negatives under their own distribution Q0, and what a ball around Q0 returns."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from theory.checks import ParameterError, require

Array = NDArray[np.float64]
LARGEST = 1e50  # squares and ratios of numbers up to here, and down to its inverse, stay finite


class WorstCase(NamedTuple):
    """The distribution in a divergence ball that has the largest mean.

    Attributes
    ----------
    value : float
        sup E_Q f.
    tau : float
        The minimising multiplier; inf for η = 0, and 0 where the ball holds a distribution on the maxima.
    distribution : array
        Q*, shape (K,).
    limit : float
        The divergence of Q0 conditioned on f = max f: from this radius on the value is max f.
    """

    value: float
    tau: float
    distribution: Array
    limit: float


class Reference(NamedTuple):
    """Similarities f under Q0: max f on the support, f − max f (0 off the support), Q0, −log Q0(f = max f).

    Everything is computed relative to max f, so no exponential overflows.
    """

    top: float
    below: Array
    weights: Array
    limit: float

    @property
    def mean(self) -> float:
        """E f."""
        return self.top + float(self.weights @ self.below)

    @property
    def width(self) -> float:
        """Max f − min f on the support."""
        return float(-self.below.min())

    @property
    def cumulants(self) -> tuple[float, float]:
        """Variance and third cumulant of f."""
        centred = self.below - self.weights @ self.below
        return float(self.weights @ centred**2), float(self.weights @ centred**3)


def reference(similarities: ArrayLike, weights: ArrayLike | None = None) -> Reference:
    """Checked similarities, shape (K,), under normalised weights (uniform by default)."""
    f = np.asarray(similarities, dtype=np.float64)
    require(f.ndim == 1 and f.size > 0, "similarities", f"array of shape {f.shape}", "a non-empty vector")
    q = np.ones(f.shape) if weights is None else np.asarray(weights, dtype=np.float64)
    for name, values in (("similarities", f), ("weights", q)):
        bad = ~(np.abs(values) <= LARGEST)
        require(not bad.any(), name, values[bad][:1], f"finite numbers (up to {LARGEST:g})")
    require(q.shape == f.shape, "weights", f"array of shape {q.shape}", f"the similarities' shape {f.shape}")
    require(bool(q.min() >= 0 and q.max() > 0), "weights", f"{q.min():g} to {q.max():g}", "weights >= 0, not all 0")
    top = f[q > 0].max()
    below = np.where(q > 0, f - top, 0.0)
    # from the raw weights, so that the limit of K equal weights is the float log K
    limit = math.log(q.sum() / q[below == 0].sum())
    return Reference(float(top), below, q / q.sum(), limit)


def varied(similarities: ArrayLike, weights: ArrayLike | None = None) -> Reference:
    """The same for similarities that must not be constant."""
    negatives = reference(similarities, weights)
    varies = bool(negatives.below.any())
    require(varies, "similarities", f"all {negatives.top:g}", "not constant: every temperature has radius 0")
    return negatives


def references(
    rows: Sequence[ArrayLike], weights: Sequence[ArrayLike] | None, anchor_weights: ArrayLike | None
) -> tuple[list[Reference], Array]:
    """Several anchors, checked one by one, and their normalised weights (uniform by default)."""
    require(len(rows) > 0, "rows", "no anchors", "at least one anchor")
    if np.ndim(rows[0]) == 0:  # a vector is one anchor
        rows, weights = [np.asarray(rows)], None if weights is None else [np.asarray(weights)]
    q = [None] * len(rows) if weights is None else weights
    require(len(q) == len(rows), "weights", f"{len(q)} rows", f"one row an anchor, {len(rows)}")
    anchors = []
    for index, row in enumerate(rows):
        try:
            anchors.append(reference(row, q[index]))
        except ParameterError as error:
            raise error.at(f"row {index}") from None
    p = np.ones(len(rows)) if anchor_weights is None else np.asarray(anchor_weights, dtype=np.float64)
    fits = p.shape == (len(rows),)
    require(fits, "anchor_weights", f"array of shape {p.shape}", f"one weight an anchor, {len(rows)}")
    positive = bool(p.min() >= 0 and 0 < p.max() <= LARGEST)
    require(positive, "anchor_weights", f"{p.min():g} to {p.max():g}", "finite weights >= 0, not all 0")
    return anchors, p / p.sum()


def require_scale(name: str, value: float) -> None:
    """Require a temperature or a width: positive and not so extreme that its square overflows."""
    require(1 / LARGEST <= value <= LARGEST, name, value, f"{name} > 0 ({1 / LARGEST:g} to {LARGEST:g})")


def require_radius(eta: float) -> None:
    """Require the radius of a ball."""
    require(math.isfinite(eta) and eta >= 0, "eta", eta, "a finite number >= 0")


def extreme(negatives: Reference, eta: float, limit: float) -> WorstCase:
    """The worst case in a ball that is a point, or that reaches a distribution on the maxima."""
    if eta < limit:
        return WorstCase(negatives.mean, math.inf, negatives.weights, limit)
    return WorstCase(negatives.top, 0.0, on_maxima(negatives), limit)


def on_maxima(negatives: Reference) -> Array:
    """Q0 conditioned on f = max f."""
    on_top = np.where(negatives.below == 0, negatives.weights, 0.0)
    conditioned: Array = on_top / on_top.sum()
    return conditioned
