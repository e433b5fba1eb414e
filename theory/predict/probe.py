"""Least squares with an intercept on rows of a Gaussian mixture: scores of a new row, their mean and variance.

With n labelled rows, n_t of them of type t and weighing a_t, and k columns, the matrix Σ a·xxᵀ acts on a direction
that holds no mean like a number τ, and (deterministic equivalents, L_t = 1 + a_t·ω_t·δ, M the products of the means)

    τ = Σ_t a_t·ω_t·[(n_t − r)/L_t + r·K_tt],     τδ = k − r·Σ_t (1 − L_t·K_tt),
    K = (L + √(n·a)·M·√(n·a)/τ)⁻¹.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from theory.predict.rows import Rows
from theory.predict.structure import Array

TOLERANCE = 1e-9  # relative: rows almost without noise leave a rounding error of 1e-10
MOST_STEPS = 5000
SMALLEST = 1e-100  # τ, which falls to 0 where the rows leave a direction open


class Sample(NamedTuple):
    """Rows that enter the sum of squares, by type.

    Attributes
    ----------
    counts : array, shape (B, T)
    weights : array, shape (B, T)
    spread : array, shape (B, T)
    means : array, shape (B, T, T)
    copies, dim : array, shape (B,)
        r of the space that tells classes apart, and k.
    """

    counts: Array
    weights: Array
    spread: Array
    means: Array
    copies: Array
    dim: Array


class Fit(NamedTuple):
    """The equivalents of a sample.

    Attributes
    ----------
    tau, delta : array, shape (B,)
    slack : array, shape (B, T)
        L.
    residual : array, shape (B, T, T)
        K, what a fit leaves of a group's label.
    """

    tau: Array
    delta: Array
    slack: Array
    residual: Array


def _residual(sample: Sample, tau: Array, delta: Array) -> tuple[Array, Any]:
    slack: Array = 1 + sample.weights * sample.spread * delta[:, None]
    root = np.sqrt(sample.counts * sample.weights)
    between = sample.means * root[..., :, None] * root[..., None, :]
    diagonal = slack[..., None] * np.eye(slack.shape[1])
    return slack, np.linalg.inv(diagonal + between / tau[:, None, None])


def fit(sample: Sample) -> Fit:
    """Solve for τ and δ.

    Raises
    ------
    FloatingPointError
        If the iteration does not converge: above all where the labelled rows leave a direction of the columns open.
    """
    weighed = sample.weights * sample.spread
    present = sample.counts > 0
    r = sample.copies[:, None]
    rows = (sample.counts * (weighed > 0)).sum(axis=1)
    tau = np.maximum(rows - sample.dim, 1.0) * (weighed * sample.counts).sum(axis=1) / rows
    delta = sample.dim / tau
    for _ in range(MOST_STEPS):
        if not (np.isfinite(delta) & (tau > SMALLEST)).all():
            break
        slack, residual = _residual(sample, tau, delta)
        kept = np.einsum("btt->bt", residual)
        next_tau: Array = (present * weighed * ((sample.counts - r) / slack + r * kept)).sum(axis=1)
        next_tau = np.maximum(next_tau, tau / 2)
        next_delta = np.maximum((sample.dim - (present * r * (1 - slack * kept)).sum(axis=1)) / next_tau, delta / 2)
        change = max(np.abs(next_tau / tau - 1).max(), np.abs(next_delta / delta - 1).max())
        tau, delta = (tau + next_tau) / 2, (delta + next_delta) / 2
        if change <= TOLERANCE:
            return Fit(tau, delta, *_residual(sample, tau, delta))
    raise FloatingPointError("the equivalents of least squares were not found")


class Slopes(NamedTuple):
    """Derivatives by a ridge ρ in every direction, which adds to τ; at ρ = 0.

    Attributes
    ----------
    tau, delta : array, shape (B,)
        The latter is −(trace of the squared inverse of the sum of squares).
    residual : array, shape (B, T, T)
    """

    tau: Array
    delta: Array
    residual: Array


def slopes(sample: Sample, found: Fit) -> Slopes:
    """Differentiate both equations and solve for the derivatives of τ and δ."""
    weighed, r, present = sample.weights * sample.spread, sample.copies[:, None], sample.counts > 0
    tau, delta, slack, residual = found
    by_delta = -(residual * weighed[:, None]) @ residual
    by_tau = (residual - residual @ (slack[..., None] * residual)) / tau[:, None, None]
    kept, kept_by_tau, kept_by_delta = (np.einsum("btt->bt", matrix) for matrix in (residual, by_tau, by_delta))
    inside = (sample.counts - r) * weighed / slack**2
    a = 1 - (present * weighed * r * kept_by_tau).sum(axis=1)
    b = (present * weighed * (inside - r * kept_by_delta)).sum(axis=1)
    c = delta - (present * r * slack * kept_by_tau).sum(axis=1)
    d = tau - (present * r * (weighed * kept + slack * kept_by_delta)).sum(axis=1)
    of_tau, of_delta = d / (a * d - b * c), -c / (a * d - b * c)
    return Slopes(of_tau, of_delta, by_tau * of_tau[:, None, None] + by_delta * of_delta[:, None, None])


class Scores(NamedTuple):
    """Least squares on labels, as it answers new rows.

    Between groups, in the space that tells classes apart; with m the mean of a group's rows, n its labelled ones,
    Q the mean inverse of the sum of squares and L as above:

    Attributes
    ----------
    response : array, shape (B, T, T)
        m·Q·m′·n′/L′: what the labels of another group give to the mean score of a new row.
    length : array, shape (B, T, T)
        What the labels of two groups give to the squared length of the coefficients.
    influence, curvature : array, shape (B, T, T)
        m·Q·m′ and m·Q²·m′.
    spread : array, shape (B, T)
        ω.
    counts, mass : array, shape (B, T)
        n less the intercept's share, and n/L.
    inflation, square : array, shape (B,)
        dτ/dρ for a ridge ρ, by which the other rows enlarge a row's share in the scatter; and the trace of Q².
    """

    response: Array
    length: Array
    influence: Array
    curvature: Array
    spread: Array
    counts: Array
    mass: Array
    inflation: Array
    square: Array


def scores(rows: Rows, labelled: Array, dim: Array, ridge: Array) -> Scores:
    """Train on some of the rows.

    Parameters
    ----------
    rows : Rows
    labelled : array, shape (B, T)
        How many rows of a type have a label; more than k + 1 in all.
    dim : array, shape (B,)
        k.
    ridge : array, shape (B,)
        λ >= 0 on the coefficients, whose columns have length 1 over all nodes. Since the columns are orthonormal,
        that is as if the labelled rows weighed 1 + λ and all the others λ, without a label.
    """
    types = labelled.shape[1]
    total = labelled.sum(axis=1, keepdims=True)
    counts = labelled * (total - 1) / total  # one degree of freedom is the intercept's
    weights = np.repeat(1 + ridge[:, None], types, axis=1)
    sample = Sample(counts, weights, rows.spread, rows.means, rows.copies, dim)
    if ridge.any():
        others = rows.shares * rows.nodes[:, None] - labelled
        sample = Sample(
            np.concatenate([counts, others], axis=1),
            np.concatenate([weights, np.repeat(ridge[:, None], types, axis=1)], axis=1),
            np.tile(rows.spread, 2),
            np.tile(rows.means, (1, 2, 2)),
            rows.copies,
            dim,
        )
    found = fit(sample)
    pull = sample.counts * sample.weights / found.slack
    inner = np.linalg.inv(found.tau[:, None, None] * np.eye(pull.shape[1]) + sample.means * pull[:, None, :])
    influence = inner @ sample.means
    curvature = inner @ influence
    mass = counts / found.slack[:, :types]
    roots = np.sqrt(counts)
    by_ridge = slopes(sample, found)
    length = by_ridge.residual[:, :types, :types] * roots[..., None] * roots[:, None, :] / weights[..., None]
    part = np.s_[:, :types, :types]
    response = influence[part] * mass[:, None, :]
    return Scores(
        response, length, influence[part], curvature[part], rows.spread, counts, mass, by_ridge.tau, -by_ridge.delta
    )
