"""What a linear probe knows of the population: the resolvent of a sample covariance, and what it does to scores.

The derivations, with the sources, are in docs/prediction_features.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from empirical.prediction.moments import CONSTANT, NULL, Moments

Array = NDArray[np.float64]
FEWEST_FREEDOM = 1e-3  # of labelled samples within their classes: one label a class leaves none


@dataclass(frozen=True)
class Basis:
    """Coordinates in which standardised features have a diagonal within-class covariance.

    Parameters
    ----------
    origin : ndarray
        Mean of the class means, shape (d,).
    directions : ndarray
        Shape (d, k), of features as they are: column i has within-class variance ``variances[i]``.
    variances : ndarray
        Shape (k,), positive.
    means : ndarray
        Class means, shape (C, k); their mean is 0.
    constant : tuple of int
        Columns that do not vary.
    null : int
        Further directions without variance within the classes, dropped.
    separating : bool
        Whether class means differ along a dropped direction.
    """

    origin: Array
    directions: Array
    variances: Array
    means: Array
    constant: tuple[int, ...]
    null: int
    separating: bool


def diagonalise(moments: Moments) -> Basis:
    """The basis; directions below ``NULL`` of the largest eigenvalue, and constant columns, are dropped."""
    variances, tiny = moments.variances, np.finfo(float).tiny
    mean = moments.origin + moments.counts / moments.samples @ moments.means
    varying = variances > np.maximum(CONSTANT * np.square(mean), tiny)
    scale = np.sqrt(variances[varying])
    values, vectors = np.linalg.eigh(moments.within[np.ix_(varying, varying)] / np.outer(scale, scale))
    kept = values > NULL * values.max(initial=tiny)
    centre = moments.means.mean(axis=0)
    standardised = (moments.means - centre)[:, varying] / scale
    dropped = standardised @ vectors[:, ~kept]
    directions = np.zeros((len(variances), int(kept.sum())))
    directions[varying] = vectors[:, kept] / scale[:, None]
    return Basis(
        moments.origin + centre,
        directions,
        values[kept],
        standardised @ vectors[:, kept],
        tuple(int(i) for i in np.flatnonzero(~varying)),
        int((~kept).sum()),
        bool((np.abs(dropped) > np.sqrt(NULL)).any()),
    )


@dataclass(frozen=True)
class Resolvent:
    """Q = (S + ℓ)⁻¹ of the measured covariance S, where ℓ makes it a multiple of the probe's expected resolvent.

    Parameters
    ----------
    basis : Basis
    freedom : int
        Degrees of freedom of S.
    counts : ndarray
        Samples behind each measured mean, shape (C,).
    shift : float
        ℓ >= 0.
    """

    basis: Basis
    freedom: int
    counts: NDArray[np.int64]
    shift: float

    @property
    def diagonal(self) -> Array:
        """Q, shape (k,)."""
        return np.asarray(1 / (self.basis.variances + self.shift))

    @property
    def dimensions(self) -> float:
        """tr(ΣR), R = (Σ + λ*)⁻¹: dimensions that the ridge leaves, all of them without one."""
        return float((self.basis.variances * self.diagonal).sum())

    @property
    def ridge(self) -> float:
        """λ* of the population: ℓ/(1 − tr(ΣR)/(N − C))."""
        return self.shift / self._kept

    @property
    def _kept(self) -> float:
        return 1 - self.dimensions / self.freedom

    @cached_property
    def _slopes(self) -> tuple[float, float]:
        """Derivatives of tr(ΣR) by ℓ, and of λ* by ℓ."""
        slope = -float((self.basis.variances * self.diagonal**2).sum())
        return slope, 1 / self._kept + self.shift * slope / (self.freedom * self._kept**2)

    @property
    def squared_dimensions(self) -> float:
        """tr(ΣRΣR) = tr(ΣR) + λ*·d tr(ΣR)/dλ*."""
        slope, by_shift = self._slopes
        return self.dimensions + self.ridge * slope / by_shift

    def products(self) -> tuple[Array, Array]:
        """MRMᵀ and MRΣRMᵀ of the true class means M, unbiased: shape (C, C) each."""
        means, q = self.basis.means, self.diagonal
        noise = centred(1 / self.counts)
        slope, by_shift = self._slopes
        plain = (means * q) @ means.T
        first = self._kept * plain - self.dimensions * noise
        change = -slope / self.freedom * plain - self._kept * (means * q**2) @ means.T - slope * noise
        return first, first + self.ridge / by_shift * change


def centred(diagonal: Array) -> Array:
    """P·diag·P with P = I − 11ᵀ/C: covariance of independent errors of the class means about their mean."""
    projector = np.eye(len(diagonal)) - 1 / len(diagonal)
    return np.asarray((projector * diagonal) @ projector)


def resolvent(basis: Basis, moments: Moments, freedom: float, penalty: float) -> Resolvent:
    """The resolvent that stands for a probe with another number of labels.

    Parameters
    ----------
    basis : Basis
    moments : Moments
    freedom : float
        n − C of the probe's labels.
    penalty : float
        Ridge of the probe, as a multiple of the identity added to its covariance of standardised features.
    """
    measured = moments.freedom

    def at(shift: float) -> Resolvent:
        return Resolvent(basis, measured, moments.counts, shift)

    def excess(log_shift: float) -> float:
        found = at(float(np.exp(log_shift)))
        return found.ridge * (1 - found.dimensions / freedom) - penalty

    if freedom == measured:
        return at(penalty)  # the same factor on both sides
    largest = float(basis.variances[-1])
    low, high = np.log(1e-14 * largest), np.log(1e3 * largest)
    while excess(high) < 0:
        high += np.log(1e3)
    return at(float(np.exp(brentq(excess, low, high)))) if excess(low) < 0 else at(float(np.exp(low)))
