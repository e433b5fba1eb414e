"""LogME: the evidence of a Bayesian linear regression on the features."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
STEPS, CONVERGED = 500, 1e-10
SMALLEST, LARGEST = 1e-12, 1e12  # of the precisions: targets that are met exactly, or not at all, have none


def logme(features: NDArray[Any], labels: NDArray[np.int64]) -> float:
    """LogME: largest log-evidence per sample of y = Fw + noise, averaged over the classes' indicators y.

    w has precision α and the noise β, both fitted for each class. Features are neither centred nor scaled, as in
    the paper.

    Parameters
    ----------
    features : ndarray
        F, shape (N, d).
    labels : ndarray
        0, 1, …, shape (N,).

    References
    ----------
    You, Liu, Wang, Long 2021, LogME: practical assessment of pre-trained models for transfer learning, algorithm 1.
    """
    f = np.asarray(features, dtype=np.float64)
    u, singular, _ = np.linalg.svd(f, full_matrices=False)
    found = []
    for c in range(int(labels.max()) + 1):
        y = (labels == c).astype(np.float64)
        along = u.T @ y
        outside = max(float(y @ y - along @ along), 0.0)
        found.append(largest_evidence(singular**2, along**2, outside, len(y), f.shape[1])[0])
    return float(np.mean(found))


def largest_evidence(
    squares: Array, along: Array, outside: float, samples: int, width: int
) -> tuple[float, float, float]:
    """Largest log-evidence per sample and its precisions α and β, by MacKay's fixed point.

    Parameters
    ----------
    squares : ndarray
        Squared singular values of the features.
    along : ndarray
        Squared components of the target along the left singular vectors.
    outside : float
        Squared length of the rest of the target.
    samples, width : int
        N and d.
    """
    alpha = beta = 1.0
    for _ in range(STEPS):
        shrunk = beta * squares / (alpha + beta * squares)
        effective = float(shrunk.sum())
        size = float((beta**2 * squares * along / (alpha + beta * squares) ** 2).sum())
        error = float(((1 - shrunk) ** 2 * along).sum()) + outside
        new = (
            float(np.clip(effective / max(size, 1e-300), SMALLEST, LARGEST)),
            float(np.clip((samples - effective) / max(error, 1e-300), SMALLEST, LARGEST)),
        )
        settled = all(abs(np.log(now / before)) < CONVERGED for now, before in zip(new, (alpha, beta), strict=True))
        alpha, beta = new
        if settled:
            break
    return log_evidence(alpha, beta, squares, along, outside, samples, width), alpha, beta


def log_evidence(
    alpha: float, beta: float, squares: Array, along: Array, outside: float, samples: int, width: int
) -> float:
    """Log-evidence per sample: ½·[N log β + d log α − N log 2π − β|Fm − y|² − α|m|² − log|A|]/N, A = αI + βFᵀF."""
    total = alpha + beta * squares
    error = float((along * (alpha / total) ** 2).sum()) + outside
    size = float((beta**2 * squares * along / total**2).sum())
    determinant = float(np.log(total).sum()) + (width - len(squares)) * np.log(alpha)
    fit = samples * np.log(beta) + width * np.log(alpha) - samples * np.log(2 * np.pi)
    return float((fit - beta * error - alpha * size - determinant) / (2 * samples))
