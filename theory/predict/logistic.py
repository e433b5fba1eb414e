"""Multinomial logistic regression with a ridge on rows of a Gaussian mixture: the logits of a row without a label.

Weights W minimise Σ loss + ½λ‖W‖² on features of unit variance: of orthonormal columns, that is a loss of ½(λ/N)|z|²
at the logits z of each of the N rows, besides that of the n_t labelled rows of type t. The logits h of a row that the
fit has not seen are Gaussian, m_t·(e_y − 1/C) in the mean and of variance s_t; those of a row that it has seen are a
proximal point, h + v_t·g with g minus the slope of its loss there. Averages of g and of its own slope over both give
m, s and v back (mean-field equations; derived in docs/prediction.md, after Mai and Liao, arXiv:1911.02912, and
Loureiro et al., arXiv:2106.03791).
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy.special import logsumexp, ndtri, wrightomega

from theory.predict.rows import Rows
from theory.predict.structure import Array

DRAWS = 512
TOLERANCE = 1e-5  # relative
MOST_STEPS = 1000
NEWTON = 1e-7  # relative, of a sum of probabilities
MOST_NEWTON = 60


class Logits(NamedTuple):
    """The logits of a row without a label, by type.

    Attributes
    ----------
    signal : array, shape (B, T)
        By how much the right class's is larger in the mean.
    noise : array, shape (B, T)
        Variance of each, besides what all have in common.
    """

    signal: Array
    noise: Array


def logits(rows: Rows, labelled: Array, dim: Array, ridge: Array) -> Logits:
    """Train on some of the rows of classes that are alike.

    Parameters
    ----------
    rows : Rows
    labelled : array, shape (B, T)
        How many rows of a type have a label.
    dim : array, shape (B,)
        k.
    ridge : array, shape (B,)
        λ > 0 as in scikit-learn, where λ = 1/C on standardised features: of two classes it weighs one vector of
        coefficients, the difference of ours.

    Raises
    ------
    FloatingPointError
        If the iteration does not converge.
    """
    others = rows.shares * rows.nodes[:, None] - labelled
    each = ridge * np.where(rows.copies == 1, 2, 1) / rows.nodes
    parts = (rows.spread, rows.means, labelled, others, rows.copies, dim, each)
    found = [_solve(_Training(*one)) for one in zip(*parts, strict=True)]  # classes differ in number: one at a time
    return Logits(*(np.stack(column) for column in zip(*found, strict=True)))


def proximal(given: Array, step: Array, right: int = 0, start: Array | None = None) -> tuple[Array, Array]:
    """Softmax of the minimiser z of ½|z − h|² + v·(logsumexp(z) − z_right).

    At the minimum v·p_c + log(v·p_c) = h_c + v·[c is right] + log v − L with L = logsumexp(z), so that one number is
    to be found, the L at which the probabilities p sum to 1: a convex decreasing function, by Newton's steps.

    Parameters
    ----------
    given : array, shape (…, C)
        h.
    step : array, broadcasts to shape (…)
        v > 0.
    right : int
        The class.
    start : array, shape (…), optional
        Where L is sought from.

    Returns
    -------
    array, shape (…, C)
        p.
    array, shape (…)
        L.
    """
    width = np.asarray(step)[..., None]
    shifted = given + np.log(width)
    shifted[..., right] += step
    highest: Array = logsumexp(shifted, axis=-1) - np.log(step)  # beyond it a step may be too long for a number
    level = highest if start is None else np.minimum(start, highest)
    for _ in range(MOST_NEWTON):
        scaled = wrightomega(shifted - level[..., None])
        surplus = scaled.sum(axis=-1) - step
        level = level + surplus / (scaled / (1 + scaled)).sum(axis=-1)
        if (np.abs(surplus) <= NEWTON * step).all():
            break
    return scaled / scaled.sum(axis=-1, keepdims=True), level


class Averages(NamedTuple):
    """Of g = e_y − p over rows of a type; by symmetry five numbers tell all, on vectors of sum zero.

    Attributes
    ----------
    mean : array, shape (T,)
        The mean of g is this times e_y − 1/C.
    square : array, shape (T,)
        |g|²/(C − 1).
    along : array, shape (T,)
        g·h/(C − 1).
    slope : array, shape (T,)
        −dg/dh, averaged over directions.
    fall : array, shape (T,)
        −d mean/d signal: the slope along e_y − 1/C.
    """

    mean: Array
    square: Array
    along: Array
    slope: Array
    fall: Array


def averages(probabilities: Array, given: Array, step: Array) -> Averages:
    """Averages over draws, shape (T, draws, C), at proximal points of h; the right class is the first."""
    others = probabilities.shape[-1] - 1
    missing = -probabilities
    missing[..., 0] += 1
    mean = missing[..., 0].mean(axis=1) * (others + 1) / others
    square, along = ((missing * other).sum(axis=-1).mean(axis=1) / others for other in (missing, given))
    # (1 + v·H)⁻¹·H for the softmax's H = diag p − ppᵀ, by Sherman and Morrison's formula.
    damped = probabilities / (1 + step[:, None, None] * probabilities)
    slopes = (damped - damped**2 / damped.sum(axis=-1, keepdims=True)).mean(axis=1)
    return Averages(mean, square, along, slopes.sum(axis=-1) / others, slopes[:, 0] * (others + 1) / others)


class _Training(NamedTuple):
    """One fit; the arrays have shape (T,), ``means`` (T, T)."""

    spread: Array
    means: Array
    counts: Array
    others: Array
    copies: float
    dim: float
    ridge: float


class _State(NamedTuple):
    """Of the logits of a row outside the fit, shape (T,) each, and how far its own label would move them."""

    signal: Array
    noise: Array
    step: Array


def _solve(t: _Training) -> tuple[Array, Array]:
    normals = _draws(round(t.copies) + 1)
    step = t.dim * t.spread / (t.counts.sum() / (t.copies + 1)) + 1 / t.counts.sum()
    state = _State(np.zeros_like(step), 0.01 * t.spread, step)
    level = None
    for _ in range(MOST_STEPS):
        given = np.sqrt(state.noise)[:, None, None] * normals
        given[..., 0] += state.signal[:, None]
        kept = 1 / (1 + t.ridge * state.step)  # the row's own share of the ridge moves it first
        given, step = given * kept[:, None, None], state.step * kept
        probabilities, level = proximal(given, step[:, None], start=level)
        wanted = _next(t, state, averages(probabilities, given, step))
        settled = all(
            np.abs(new - old).max() <= TOLERANCE * np.abs(new).max() for new, old in zip(wanted, state, strict=True)
        )
        state = _State(*((new + old) / 2 for new, old in zip(wanted, state, strict=True)))
        if settled:
            return kept * state.signal, kept**2 * state.noise  # the ridge has seen the rows without a label, too
    raise FloatingPointError("the equivalents of logistic regression were not found")


def _next(t: _Training, now: _State, g: Averages) -> _State:
    """The logits that the averages of g imply."""
    r, classes, one = t.copies, t.copies + 1, np.eye(len(t.counts))
    kept = 1 / (1 + t.ridge * now.step)
    free = t.ridge * kept  # slope of the ridge on a row without a label
    slope = t.counts * (g.slope * kept + t.ridge) * kept + t.others * free
    alone = now.signal**2 / classes + now.noise  # |h|²/(C − 1)
    labelled = g.square * kept**2 - 2 * free * g.along + free**2 * alone
    square = t.counts * labelled + t.others * free**2 * alone
    mean = t.counts * (g.mean * kept - free * now.signal) ** 2 + t.others * (free * now.signal) ** 2

    values, vectors = np.linalg.eigh(t.means)
    modes = vectors * np.sqrt(np.maximum(values, 0))  # the means of the types in a space that they span

    def between(weights: Array) -> Array:
        found: Array = modes.T @ (weights[:, None] * modes)
        return found

    def lengths(matrix: Array) -> Array:
        found: Array = np.einsum("ti,ij,tj->t", modes, matrix, modes)
        return found

    stiff, pull = (t.spread * slope).sum(), (t.spread * square).sum()
    hessian = np.linalg.inv(stiff * one + between(slope))
    # A Newton's step: where classes are far apart, g falls so fast with the signal that plain iteration runs away.
    fall = t.counts * g.fall * kept**2
    driving = modes.T @ (t.counts * g.mean * kept + fall * now.signal)
    signal = np.linalg.solve(stiff * one + between(fall + (t.counts + t.others) * free), driving)
    # Around their means g varies by less: a class has as many labels in every draw.
    scatter = np.maximum(square - mean / classes, 0)
    covariance = hessian @ (pull * one + between(scatter)) @ hessian
    other = t.dim - r * len(one)  # directions of the features, besides those of the means
    response = other / stiff + r * np.trace(hessian)
    length = signal @ signal / classes + other * pull / stiff**2 + r * np.trace(covariance)
    curvature = (t.counts * g.slope).sum()  # of the intercept, which has no ridge
    intercept = (t.counts * np.maximum(g.square - g.mean**2 / classes, 0)).sum() / curvature**2
    return _State(
        modes @ signal,
        t.spread * length + r * lengths(covariance) + intercept,
        t.spread * response + r * lengths(hessian) + 1 / curvature,
    )


@lru_cache
def _draws(classes: int) -> Array:
    """Quasi-random standard normals with exactly their first two moments, the same ones always."""
    from scipy.stats import qmc  # slow to import

    points = ndtri(qmc.Sobol(classes, seed=0).random(DRAWS).clip(1e-12, 1 - 1e-12))
    points -= points.mean(axis=0)
    found: Array = points @ np.linalg.inv(np.linalg.cholesky(points.T @ points / DRAWS)).T
    return found
