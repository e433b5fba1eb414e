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
    copies = s.copies[:, -1]
    projector = captured.spaces[:, -1]
    totals, nodes = s.totals, s.nodes[:, None]
    shares = totals / nodes
    diagonal = np.einsum("btt->bt", projector)
    inside = captured.held - np.einsum("bs,bstt->bt", s.copies, captured.spaces)
    rest = totals - s.copies.sum(axis=1, keepdims=True)
    if s.copies.shape[1] == 1:
        projector = _without_trivial(s, projector)
        diagonal = np.einsum("btt->bt", projector)
    few = totals <= 2 * s.copies.sum(axis=1, keepdims=True)
    share = np.where(few, inside.sum(axis=1, keepdims=True), inside) / np.where(
        few, np.maximum(rest, 0).sum(axis=1, keepdims=True), np.maximum(rest, 1)
    )
    share = share.clip(0, FULLEST)  # a quadrature's error
    odds = share / (1 - share)
    delta = (shares * odds).sum(axis=1, keepdims=True)
    spread = np.where(delta > 0, odds / np.where(delta > 0, delta, 1), 1.0)  # without differences inside a group, none
    left = np.maximum(totals - copies[:, None], 0) * (1 - share) + copies[:, None] * (1 - diagonal) * (totals > 0)
    tau = (spread * left).sum(axis=1)
    one = np.eye(shares.shape[1])
    odd = np.linalg.inv(one - FULLEST * projector) - one - odds[..., None] * one
    roots = np.sqrt(np.where(shares > 0, shares, np.inf))
    means = odd * (tau / s.nodes)[:, None, None] / (roots[..., :, None] * roots[..., None, :])
    relative = s.row_degrees * (s.nodes / (totals * s.row_degrees).sum(axis=1))[:, None]
    scale = 1 / np.sqrt(relative)
    means = means * scale[..., :, None] * scale[..., None, :]
    if s.copies.shape[1] == 1:
        means = _centred(means, shares)
    return Rows(shares, spread / relative, means, copies, s.nodes)


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
