"""The rows behind a projector: a Gaussian mixture whose hat matrix it is.

Rows x_i = m_group + √ω_t·(standard normal) have a hat matrix X(XᵀX)⁻¹Xᵀ that depends on the products of the means
alone. Its mean between groups is 1 − (L + N·Γ/τ)⁻¹ with L_t = 1 + ω_t·δ, and 1 − 1/L_t on the diagonal inside a
group. Read backwards, the projector of the leading eigenvectors gives ω and Γ: the eigenvectors' rows behave like
those of such a mixture.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from theory.predict.resolvent import Captured
from theory.predict.structure import Array, Structure

FULLEST = 1 - 1e-6  # of a projector's eigenvalue: the means of rows without noise stay finite


class Rows(NamedTuple):
    """A Gaussian mixture with one kind of mean a group.

    Attributes
    ----------
    shares : array, shape (B, T)
        p, of all nodes by type.
    spread : array, shape (B, T)
        ω, variance of a row in every direction; the mean over the nodes is 1.
    means : array, shape (B, T, T)
        Products of the groups' means in the space that tells classes apart, ×(nodes in a group)/(nodes of a type):
        times √(p·p′) they are Γ.
    copies : array, shape (B,)
        Of that space.
    nodes : array, shape (B,)
        N.
    """

    shares: Array
    spread: Array
    means: Array
    copies: Array
    nodes: Array


def rows(s: Structure, captured: Captured) -> Rows:
    """The mixture whose rows behave like the eigenvectors' over √(degree/mean degree)."""
    shares, leverage = s.totals / s.nodes[:, None], _leverage(s, captured)
    odds = leverage / (1 - leverage)
    delta = (shares * odds).sum(axis=1, keepdims=True)
    spread = np.where(delta > 0, odds / np.where(delta > 0, delta, 1), 1.0)  # without differences inside a group, none
    alone = s.copies.shape[1] == 1
    projector = _without_trivial(s, captured.spaces[:, -1]) if alone else captured.spaces[:, -1]
    means = _means(s, projector, leverage, spread)
    relative = s.row_degrees * (s.nodes / (s.totals * s.row_degrees).sum(axis=1))[:, None]
    means /= np.sqrt(relative[..., :, None] * relative[..., None, :])
    return Rows(shares, spread / relative, _centred(means, shares) if alone else means, s.copies[:, -1], s.nodes)


def _leverage(s: Structure, captured: Captured) -> Array:
    """Of a row inside its group, by type; the same for all types of so few nodes that there is hardly an inside."""
    groups = s.copies.sum(axis=1, keepdims=True)
    inside = captured.held - np.einsum("bs,bstt->bt", s.copies, captured.spaces)
    dimensions = np.maximum(s.totals - groups, 0)
    of_all = inside.sum(axis=1, keepdims=True) / dimensions.sum(axis=1, keepdims=True)
    found: Array = np.where(s.totals <= 2 * groups, of_all, inside / np.maximum(dimensions, 1))
    return found.clip(0, FULLEST)  # a quadrature's error


def _means(s: Structure, projector: Array, leverage: Array, spread: Array) -> Array:
    """Products of the groups' means: (τ/N)·[(1 − P)⁻¹ − diag(1 + d)] over √(p·p′)."""
    copies = s.copies[:, -1:]
    between = copies * (1 - np.einsum("btt->bt", projector)) * (s.totals > 0)
    left = np.maximum(s.totals - copies, 0) * (1 - leverage) + between
    tau = (spread * left).sum(axis=1)
    one = np.eye(leverage.shape[1])
    odd = np.linalg.inv(one - FULLEST * projector) - one / (1 - leverage)[..., None]
    totals = np.where(s.totals > 0, s.totals, np.inf)
    found: Array = odd * tau[:, None, None] / np.sqrt(totals[..., :, None] * totals[..., None, :])
    return found


def _without_trivial(s: Structure, projector: Array) -> Array:
    """The projector without its part on the population's leading eigenvector, √degree: the probe's intercept."""
    direction = np.sqrt(s.totals * s.degrees)
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    complement = np.eye(direction.shape[1]) - direction[:, :, None] * direction[:, None, :]
    return np.asarray(complement @ projector @ complement)


def _centred(means: Array, shares: Array) -> Array:
    """Products of the means less their average over the nodes."""
    centre: Array = np.eye(shares.shape[1]) - shares[:, None, :]
    return np.asarray(centre @ means @ np.swapaxes(centre, 1, 2))
