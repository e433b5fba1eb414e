"""What the leading eigenvectors of a noisy graph hold, by Dyson's equation.

For the normalised noisy adjacency D^(−1/2)(A + noise)D^(−1/2) and z in the upper half plane, the mean of
(zD − A − noise)⁻¹ is (zD − A − h)⁻¹, with one self-energy h for each type of node that solves

    h_t = Σ_u ε²_tu·g_u,    g_u = trace of (zD − A − h)⁻¹ over the nodes of type u,    Im h < 0,

ε²_tu the variance of the noise between two types. Integrated around the spectrum above a cut λ it gives the projector
on the eigenvectors above λ, and its trace counts them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import elementwise

from theory.predict.structure import Array, Structure

Complex = NDArray[np.complex128]

NODES = 48  # of the quadrature
TOLERANCE = 1e-10  # relative, of h
MOST_STEPS = 2000
LEVEL = 1e-12  # relative difference of eigenvalues that are equal
NEGLIGIBLE = 1e-4  # noise below this share of the spectrum's width is none
NEAR = 0.01  # eigenvectors
EDGE = 2.2  # semicircles end at 2 standard deviations
CLEARANCE = 0.5  # of the spectrum's width, from its upper end to where the contour begins
CLUSTER = 8.0  # e-foldings of the angle that the contour leaves to the spectrum

_LEGENDRE, _WEIGHTS = np.polynomial.legendre.leggauss(NODES)
_FALL, _LAST = np.exp(-CLUSTER * (_LEGENDRE + 1) / 2), np.exp(-CLUSTER)
# Angles from 0 to π, geometrically dense at π, where the contour meets a spectrum that may be narrow.
ANGLES, STEPS = np.pi * (1 - _FALL) / (1 - _LAST), np.pi * CLUSTER * _FALL / (1 - _LAST) * _WEIGHTS / 2


class Resolvent(NamedTuple):
    """The mean of (zD − A − noise)⁻¹ at Z points each.

    Attributes
    ----------
    energy : array, shape (B, Z, T)
        h.
    traces : array, shape (B, Z, T)
        g, over all nodes of a type.
    spaces : array, shape (B, Z, S, T, T)
        Between the unit vectors of a space.
    """

    energy: Complex
    traces: Complex
    spaces: Complex


class Captured(NamedTuple):
    """What the k leading eigenvectors hold.

    Attributes
    ----------
    cut : array, shape (B,)
        The eigenvalue λ above which they lie.
    held : array, shape (B, T)
        Trace of their projector over the nodes of a type; sums to k.
    spaces : array, shape (B, S, T, T)
        Their projector between the unit vectors of a space.
    """

    cut: Array
    held: Array
    spaces: Array


def _evaluate(s: Structure, z: Complex, h: Complex) -> tuple[Complex, Complex, Complex]:
    """Traces g, their derivatives by h, and the spaces, for a given h."""
    types = np.arange(s.counts.shape[1])
    x = (z[..., None] * s.degrees[:, None] - h)[:, :, None] - s.own[:, None]  # (B, Z, S, T)
    blocks = s.blocks
    matrix = np.broadcast_to(-blocks[:, None], (*x.shape, len(types))).astype(np.complex128)
    matrix[..., types, types] += x
    spaces = np.linalg.inv(matrix)
    copies = s.copies[:, None, :, None]
    alone = copies * (s.counts - 1)[:, None, None]  # differences between the nodes of a group
    traces = (alone / x + copies * spaces[..., types, types]).sum(axis=2)
    slopes = (copies[..., None] * spaces**2).sum(axis=2)
    slopes[..., types, types] += (alone / x**2).sum(axis=2)
    return traces, slopes, spaces.astype(np.complex128)


def resolvent(s: Structure, z: Complex) -> Resolvent:
    """Solve Dyson's equation: Newton's steps where they stay in the lower half plane, else damped iteration.

    Parameters
    ----------
    s : Structure
        With noise.
    z : complex array, shape (B, Z)
        Above the real line.

    Raises
    ------
    FloatingPointError
        If the iteration does not converge.
    """
    size = np.sqrt((s.variance * s.totals[:, None]).sum(axis=2))  # of h at the edge of the spectrum
    h = np.broadcast_to(-1j * size[:, None], (*z.shape, s.counts.shape[1])).astype(np.complex128)
    variance, one = s.variance[:, None], np.eye(s.counts.shape[1])
    for _ in range(MOST_STEPS):
        traces, slopes, spaces = _evaluate(s, z, h)
        wanted = np.einsum("btu,bzu->bzt", s.variance, traces)
        missing = wanted - h
        if (np.abs(missing).max(axis=2) <= TOLERANCE * np.abs(h).max(axis=2)).all():
            return Resolvent(h, *_with_spike(s, traces, slopes, spaces))
        step = np.linalg.solve(one - variance @ slopes, missing[..., None])[..., 0]
        newton = (np.abs(step).max(axis=2) < np.abs(h).max(axis=2) / 2) & ((h + step).imag < 0).all(axis=2)
        h = np.where(newton[..., None], h + step, h + missing / 2)
    raise FloatingPointError("Dyson's equation was not solved")


def _with_spike(s: Structure, traces: Complex, slopes: Complex, spaces: Complex) -> tuple[Complex, Complex]:
    """Add the noise of low rank, by Woodbury: R + R·Z(1/spike − ZᵀRZ)⁻¹ZᵀR with ZᵀRZ = (trace of R)·1."""
    if not s.spike.any():
        return traces, spaces
    spiked = s.spike > 0
    inverse = np.where(spiked, 1 / np.where(spiked, s.spike, 1), np.inf)[:, None]
    weight = s.rank[:, None] / (inverse - traces.sum(axis=2))
    return (
        traces + weight[..., None] * slopes.sum(axis=2),
        spaces + weight[..., None, None, None] * (spaces @ spaces),
    )


def edges(s: Structure) -> tuple[Array, Array]:
    """Points below and well above the whole spectrum: there the integrand is smooth; shape (B,) each."""
    scale = 1 / np.sqrt(s.degrees)[:, None]
    diagonal = s.own[..., None] * np.eye(s.counts.shape[1])
    values = np.linalg.eigvalsh((s.blocks + diagonal) * scale[..., :, None] * scale[..., None, :])
    bulk = s.own * scale**2
    noise = EDGE * _noise(s)
    low = np.minimum(values.min(axis=(1, 2)), bulk.min(axis=(1, 2)))
    high = np.maximum(values.max(axis=(1, 2)), bulk.max(axis=(1, 2)))
    low, high = low - noise, high + noise + EDGE * _common(s)
    return low, high + CLEARANCE * (high - low)


def _noise(s: Structure) -> Array:
    """Half the semicircle's radius, at most; shape (B,)."""
    variance = s.variance * s.totals[:, None] / (s.degrees[:, :, None] * s.degrees[:, None, :])
    found: Array = np.sqrt(variance.sum(axis=2).max(axis=1))
    return found


def _common(s: Structure) -> Array:
    """The largest eigenvalue of the noise of low rank, at most; shape (B,)."""
    found: Array = s.spike * (np.sqrt(s.nodes) + np.sqrt(s.rank)) ** 2 / s.degrees.min(axis=1)
    return found


def _stirred(s: Structure, least: Array) -> Structure:
    """Independent noise of a standard deviation ``least`` at least, where there is noise of low rank.

    That alone moves few of equal eigenvalues: without the other, the cut has to choose among the rest.
    """
    unit = _noise(replace(s, variance=np.ones_like(s.variance)))
    floor = np.where(_common(s) > least, (least / unit) ** 2, 0.0)
    return replace(s, variance=np.maximum(s.variance, floor[:, None, None]))


def above(s: Structure, cut: Array, high: Array) -> tuple[Array, Array]:
    """Trace by type and spaces of the projector on the eigenvectors between ``cut`` and ``high``, as ``Captured``."""
    middle, radius = ((high + cut) / 2)[:, None], ((high - cut) / 2)[:, None]
    turn = radius * np.exp(1j * ANGLES)
    found = resolvent(s, middle + turn)
    step = 1j * turn * STEPS
    held = np.einsum("bz,bzt->bt", step, found.traces).imag / np.pi * s.degrees
    roots = np.sqrt(s.degrees)
    spaces = np.einsum("bz,bzstu->bstu", step, found.spaces).imag / np.pi
    return held, spaces * (roots[:, None, :, None] * roots[:, None, None, :])


def capture(s: Structure, dim: Array) -> Captured:
    """What the k leading eigenvectors hold in expectation, for 1 <= k <= N − 1; without noise its limit.

    Parameters
    ----------
    s : Structure
    dim : array, shape (B,)
        k.
    """
    low, high = edges(s)
    least = NEGLIGIBLE * (high - low)
    s = _stirred(s, 2 * least)
    noisy = _noise(s) > least
    if noisy.all():
        return _capture_noisy(s, dim)
    if not noisy.any():
        return _capture_exact(s, dim)
    found = Captured(*(np.empty((len(noisy), *shape)) for shape in ((), s.counts.shape[1:], s.levels.shape[1:])))
    for some, function in ((noisy, _capture_noisy), (~noisy, _capture_exact)):
        for all_of, part in zip(found, function(s[some], dim[some]), strict=True):
            all_of[some] = part
    return found


def _capture_noisy(s: Structure, dim: Array) -> Captured:
    low, high = edges(s)
    spread = high - low
    graphs = np.arange(len(low))

    def surplus(share: Array, graph: Array, wanted: Array) -> Array:
        held, _ = above(s[graph], low[graph] + share * spread[graph], high[graph])
        found: Array = held.sum(axis=1) - wanted
        return found

    # In the gap after the k-th eigenvalue the count stays at k: its middle is far from both ends.
    bracket = (np.zeros(2 * len(low)), np.full(2 * len(low), 1 - 1e-9))
    arguments = (np.tile(graphs, 2), np.concatenate([dim - NEAR, dim + NEAR]))
    found = elementwise.find_root(surplus, bracket, args=arguments, tolerances={"xatol": 1e-8, "fatol": 1e-6})
    cut = low + found.x.reshape(2, -1).mean(axis=0) * spread
    return Captured(cut, *above(s, cut, high))


class Modes(NamedTuple):
    """Eigenvalues and eigenvectors of a graph without noise.

    Attributes
    ----------
    values : array, shape (B, M)
        Those of the spaces, then those of the differences between the nodes of a group.
    many : array, shape (B, M)
        How often each occurs, over all copies and groups; 0 where a type has no nodes.
    vectors : array, shape (B, S, T, T)
        Of the spaces, in columns.
    """

    values: Array
    many: Array
    vectors: Array


def modes(s: Structure) -> Modes:
    """Eigenvalues and eigenvectors of D^(−1/2)·A·D^(−1/2)."""
    roots, batch = np.sqrt(s.degrees)[:, None], len(s.counts)
    diagonal = s.own[..., None] * np.eye(s.counts.shape[1])
    values, vectors = np.linalg.eigh((s.blocks + diagonal) / (roots[..., :, None] * roots[..., None, :]))
    of_spaces = np.where(_support(vectors, s.counts), s.copies[..., None], 0.0)
    inside = np.where((s.counts > 0)[:, None], s.copies[..., None] * (s.counts - 1)[:, None], 0.0)
    return Modes(
        np.concatenate([values.reshape(batch, -1), (s.own / roots**2).reshape(batch, -1)], axis=1),
        np.concatenate([of_spaces.reshape(batch, -1), inside.reshape(batch, -1)], axis=1),
        vectors,
    )


def held_of(s: Structure, found: Modes, share: Array, cut: Array) -> Captured:
    """What k eigenvectors hold that have the ``share`` of every mode, shape (B, M)."""
    chosen, rest = (part.reshape(s.own.shape) for part in np.split(share, 2, axis=1))
    inside = np.split(found.many, 2, axis=1)[1].reshape(s.own.shape)
    spaces = (found.vectors * chosen[..., None, :]) @ np.swapaxes(found.vectors, 2, 3)
    present = (s.counts > 0)[:, None, :, None]
    held = np.einsum("bs,bstt->bt", s.copies, spaces * present) + (inside * rest).sum(axis=1)
    return Captured(cut, held, spaces)


def _capture_exact(s: Structure, dim: Array) -> Captured:
    """The limit of little noise: of an eigenvalue that the cut meets, noise chooses a random part of the space."""
    found = modes(s)
    share, cut = _filled(found.values, found.many, dim)
    return held_of(s, found, share, cut)


def _support(vectors: Array, counts: Array) -> NDArray[np.bool_]:
    """Which eigenvectors of the spaces live on types that have nodes."""
    weight = (vectors**2 * (counts > 0)[:, None, :, None]).sum(axis=2)
    found: NDArray[np.bool_] = weight > 0.5
    return found


def _filled(values: Array, many: Array, dim: Array) -> tuple[Array, Array]:
    """How much of each eigenvalue's space the k leading eigenvectors fill, and the eigenvalue where they end."""
    scale = np.abs(values).max(axis=1, keepdims=True)
    above = (values[:, None, :] > values[:, :, None] + LEVEL * scale[..., None]) * many[:, None, :]
    equal = (np.abs(values[:, None, :] - values[:, :, None]) <= LEVEL * scale[..., None]) * many[:, None, :]
    room, size = dim[:, None] - above.sum(axis=2), equal.sum(axis=2)
    share = np.clip(room / np.where(size > 0, size, 1), 0.0, 1.0)
    cut = np.where((share > 0) & (many > 0), values, np.inf).min(axis=1)
    return share, cut
