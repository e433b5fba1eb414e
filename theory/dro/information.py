"""InfoNCE as an estimate of mutual information."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from theory.checks import require, require_integer


class MutualInformation(NamedTuple):
    """An InfoNCE estimate with its standard error, the truth, and log K, which it cannot exceed."""

    estimate: float
    standard_error: float
    true: float
    limit: float


def gaussian_infonce(
    rho: float, dimension: int = 1, samples: int = 128, batches: int = 100, seed: int = 0
) -> MutualInformation:
    """InfoNCE with the optimal critic on Gaussian pairs whose mutual information is known.

    x and y are standard normal in d dimensions, coordinates of equal index correlated by ρ, and the critic is
    f(x, y) = log p(y|x)/p(y). A batch of K pairs gives the estimate log K minus the InfoNCE loss,
    log K − (1/K)·Σ_i log Σ_j e^(f(x_i,y_j) − f(x_i,y_i)), at most log K and on average at most the mutual
    information −(d/2)·log(1 − ρ²).

    Parameters
    ----------
    rho : float
        Correlation, |ρ| < 1.
    dimension : int
        d >= 1.
    samples : int
        K >= 2, one positive and K − 1 negatives to an anchor.
    batches : int
        Independent batches >= 2, whose spread gives the standard error.
    seed : int
        Of the simulation, >= 0.

    Raises
    ------
    ParameterError
        If an argument is outside its range.

    References
    ----------
    van den Oord et al. 2018, "Representation Learning with Contrastive Predictive Coding"; Poole et al. 2019,
    "On Variational Bounds of Mutual Information".
    """
    require(abs(rho) < 1, "rho", rho, "-1 < rho < 1")
    dimension = require_integer("dimension", dimension, 1)
    samples = require_integer("samples", samples, 2)
    batches = require_integer("batches", batches, 2)
    generator = np.random.default_rng(require_integer("seed", seed, 0))
    from scipy.special import logsumexp  # slow to import

    unexplained = (1 - rho) * (1 + rho)
    true = dimension / 2 * math.log(1 / unexplained)
    losses = np.empty(batches)
    for batch in range(batches):
        x = generator.standard_normal((samples, dimension))
        y = rho * x + math.sqrt(unexplained) * generator.standard_normal((samples, dimension))
        squares = (x * x).sum(axis=1)[:, None] + (y * y).sum(axis=1)
        critic = true - (rho * rho * squares - 2 * rho * (x @ y.T)) / (2 * unexplained)
        losses[batch] = logsumexp(critic - np.diagonal(critic)[:, None], axis=1).mean()
    limit = math.log(samples)
    error = float(losses.std(ddof=1)) / math.sqrt(batches)
    return MutualInformation(limit - float(losses.mean()), error, true, limit)
