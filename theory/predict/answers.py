"""From a probe's scores to its accuracy, by type of node.

A new row's scores are Gaussian. Their variance has three parts: the row's own, which the coefficients multiply; that
of the labelled rows' mean, which the intercept takes away; and that of the mean score itself, as the labelled rows
of every group scatter about their mean (docs/prediction.md derives it): each by itself, along the means and off
them, and in pairs, by the products of what they have off the means.
"""

from __future__ import annotations

import numpy as np

from theory.predict import orthant
from theory.predict.probe import Scores
from theory.predict.structure import Array
from theory.worlds import Indices


def alike(scores: Scores, others: Array) -> Array:
    """Accuracy by type, shape (B, T), where classes are alike; ``others`` is r, shape (B,)."""
    r, signal = others[:, None], scores.response.sum(axis=2)
    length = scores.length.sum(axis=(1, 2))[:, None]
    weights = _weights(scores)[:, None, :]
    own_curvature = np.einsum("btt->bt", scores.curvature)[..., None]
    along = (scores.curvature @ scores.mass[..., None])[..., 0]
    square = (scores.mass * along).sum(axis=1)[:, None, None]
    missing, spread = 1 - signal[:, None, :], scores.spread[:, None, :]
    scatter = own_curvature * (missing**2 + spread * square) + scores.influence**2 * square
    common = along[..., None] * (2 * scores.influence * missing - spread * along[..., None])
    single, trace = _single(scores)[:, None, :], scores.square[:, None]
    pairs = trace * (single * scores.influence**2).sum(axis=2) * (single * missing**2).sum(axis=2)
    noise = length * (scores.spread + _centre(scores)) + r * ((weights * scatter).sum(axis=2) + pairs)
    crossing = trace * (single * scores.influence * missing).sum(axis=2) ** 2
    own = (r + 1) * ((weights * common).sum(axis=2) - crossing)
    return orthant.exchangeable(np.sqrt(r + 1) * signal, noise, own, r)


def _centre(scores: Scores) -> Array:
    """Variance of the labelled rows' mean in every direction, shape (B, 1)."""
    total = scores.counts.sum(axis=1, keepdims=True)
    found: Array = (scores.counts * scores.spread).sum(axis=1, keepdims=True) / total**2
    return found


def _single(scores: Scores) -> Array:
    """ω·n/L², shape (B, T)."""
    found: Array = scores.spread * scores.mass**2 / np.maximum(scores.counts, 1e-300)
    return found


def _weights(scores: Scores) -> Array:
    """How much the labelled rows of a group, each by itself, scatter the coefficients; shape (B, T)."""
    return _single(scores) * scores.inflation[:, None]


def apart(scores: Scores, classes: Indices) -> Array:
    """Accuracy by type, shape (B, T), where every type belongs to a class; ``classes``, shape (T,)."""
    one_hot = np.eye(int(classes.max()) + 1)[classes]
    total = scores.counts.sum(axis=1)[:, None, None]
    prior = (scores.counts[:, None, :] @ one_hot) / total  # (B, 1, C)
    labels = one_hot - prior
    mean = prior + scores.response @ labels
    length = np.swapaxes(labels, 1, 2) @ scores.length @ labels
    own = (scores.spread + _centre(scores))[..., None, None] * length[:, None]
    right = np.broadcast_to(classes, mean.shape[:2])
    return orthant.unlike(mean, own + _scatter(scores, labels, one_hot - mean), right)


def _scatter(scores: Scores, labels: Array, residuals: Array) -> Array:
    """Covariance of the mean scores, shape (B, T, C, C)."""
    pulled = scores.mass[..., None] * labels
    along = scores.curvature @ pulled  # (B, T, C)
    square = np.swapaxes(pulled, 1, 2) @ along
    weights = _weights(scores)
    own = np.einsum("btt->bt", scores.curvature)
    of_residuals = np.einsum("bg,bgc,bgd->bcd", weights, residuals, residuals)
    crossing = np.einsum("bg,btg,bgc->btc", weights, scores.influence, residuals)
    crossed = crossing[..., :, None] * along[..., None, :]
    found = own[..., None, None] * of_residuals[:, None]
    found = found + np.einsum("bg,btg->bt", weights, scores.influence**2)[..., None, None] * square[:, None]
    found = found - crossed - np.swapaxes(crossed, 2, 3)
    last = own[..., None, None] * square[:, None] + along[..., :, None] * along[..., None, :]
    found = found + (weights * scores.spread).sum(axis=1)[:, None, None, None] * last
    return np.asarray(found + _pairs(scores, residuals))


def _pairs(scores: Scores, residuals: Array) -> Array:
    """The part of the scatter that is due to pairs of labelled rows."""
    single = _single(scores)
    influence = np.einsum("bg,btg->bt", single, scores.influence**2)
    residual = np.einsum("bg,bgc,bgd->bcd", single, residuals, residuals)
    crossing = np.einsum("bg,btg,bgc->btc", single, scores.influence, residuals)
    found = influence[..., None, None] * residual[:, None] + crossing[..., :, None] * crossing[..., None, :]
    return np.asarray(scores.square[:, None, None, None] * found)
