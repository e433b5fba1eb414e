"""What the leading eigenvectors of a sample covariance hold.

The sample covariance of ν Gaussian vectors, Ã = mean of x·xᵀ with x ~ N(0, A), is no sum of A and an independent
noise: the mean of (z − Ã)⁻¹ is (z − m·A)⁻¹ with one number m for all nodes. With λ the eigenvalues of A and w how often
each occurs, u = z/m solves

    z = u + (u/ν)·Σ w·λ/(u − λ),    Im u > 0,

and an eigenvector of A is held by the leading ones of Ã to the share that (u/z)/(u − λ), integrated around the spectrum
above a cut, says: the spaces keep their eigenvectors, nothing else is needed.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import elementwise

from theory.checks import require
from theory.predict.resolvent import ANGLES, MOST_STEPS, NEAR, STEPS, TOLERANCE, Captured, Complex, held_of, modes
from theory.predict.structure import Array, Structure

LOWEST = 1e-9  # cut, of the spectrum's width: eigenvalue 0 belongs to vectors that no draw reaches


def shifted(values: Array, many: Array, draws: Array, z: Complex) -> Complex:
    """u = z/m where the mean of (z − Ã)⁻¹ is (z − m·A)⁻¹ = (u/z)·(u − A)⁻¹.

    Newton's steps where they stay in the upper half plane, else the iteration that maps it into itself.

    Parameters
    ----------
    values, many : array, shape (B, M)
        Eigenvalues >= 0 of A, and how often each occurs.
    draws : array, shape (B,)
        ν >= 1.
    z : complex array, shape (B, Z)
        Above the real line.

    Raises
    ------
    FloatingPointError
        If the iteration does not converge.

    References
    ----------
    Marchenko and Pastur, "Distribution of eigenvalues for some sets of random matrices", 1967; Silverstein and Choi,
    "Analysis of the limiting spectral distribution of large dimensional random matrices", 1995.
    """
    share = (many / draws[:, None])[:, None]
    values = values[:, None]
    u = z + 1j * np.abs(z)
    for _ in range(MOST_STEPS):
        apart = u[..., None] - values
        missing = z - u - u * (share * values / apart).sum(axis=2)
        if (np.abs(missing) <= TOLERANCE * np.abs(z)).all():
            return u
        step = missing / (1 - (share * (values / apart) ** 2).sum(axis=2))
        newton = (np.abs(step) < np.abs(u) / 2) & ((u + step).imag > 0)
        u = u + np.where(newton, step, missing / 2)
    raise FloatingPointError("the equation of the sample covariance was not solved")


def shares(values: Array, many: Array, draws: Array, cut: Array, high: Array) -> Array:
    """How much of each eigenvalue's space the eigenvectors of Ã between ``cut`` and ``high`` hold; shape (B, M)."""
    middle, radius = ((high + cut) / 2)[:, None], ((high - cut) / 2)[:, None]
    turn = radius * np.exp(1j * ANGLES)
    z = middle + turn
    u = shifted(values, many, draws, z)
    each = (1j * turn * STEPS * u / z)[..., None] / (u[..., None] - values[:, None])
    found: Array = each.sum(axis=1).imag / np.pi
    return found


def wishart(s: Structure, dim: Array, draws: Array) -> Captured:
    """What the k leading eigenvectors of a sample covariance hold in expectation.

    Parameters
    ----------
    s : Structure
        Positive semidefinite; its noise is not read. The degrees are the population's.
    dim, draws : array, shape (B,)
        k and ν, 1 <= k < ν and k < N.

    Raises
    ------
    ParameterError
        If ν <= k: the other eigenvectors are any without a draw.
    """
    first = int(np.argmax(dim >= draws))
    require(bool((dim < draws).all()), "draws", draws[first], f"draws > {dim[first]:g}, the eigenvectors")
    found = modes(s)
    values = found.values.clip(0)
    high = 1.1 * values.max(axis=1) * (1 + np.sqrt(s.nodes / draws)) ** 2
    graphs = np.arange(len(dim))

    def surplus(share: Array, graph: Array, wanted: Array) -> Array:
        size = found.many[graph]
        held = shares(values[graph], size, draws[graph], high[graph] * share, high[graph])
        result: Array = (size * held).sum(axis=1) - wanted
        return result

    bracket = (np.full(2 * len(dim), LOWEST), np.full(2 * len(dim), 1 - 1e-9))
    arguments = (np.tile(graphs, 2), np.concatenate([dim - NEAR, dim + NEAR]))
    root = elementwise.find_root(surplus, bracket, args=arguments, tolerances={"xatol": 1e-9, "fatol": 1e-6})
    cut = root.x.reshape(2, -1).mean(axis=0) * high
    return held_of(s, found, shares(values, found.many, draws, cut, high), cut)
