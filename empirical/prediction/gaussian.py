"""The Gaussian equivalent of features: the accuracy that a linear probe on them will have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
LARGEST_KAPPA = 0.9
DRAWS = 2048


@dataclass(frozen=True)
class Prediction:
    """Predicted accuracy of a linear probe, with its 95 % interval; None and the reason where there is no number."""

    accuracy: float | None
    low: float | None
    high: float | None
    kappa: float
    dimensions: int
    reason: str | None = None


def predict(
    features: NDArray[Any],
    labels: NDArray[np.int64],
    labels_per_class: int | None = None,
    covariance: str = "own",
    components: int = 1,
) -> Prediction:
    """Accuracy that a linear probe trained on these features will have on new samples."""
    from scipy.special import ndtri
    from scipy.stats import qmc

    x = np.asarray(features, dtype=np.float64)
    y = np.unique(labels, return_inverse=True)[1]
    sizes = np.bincount(y)
    classes, n = len(sizes), len(y)
    means = np.stack([x[y == c].mean(axis=0) for c in range(classes)])
    residual = x - means[y]
    within = residual.T @ residual / (n - classes)
    values, vectors = np.linalg.eigh(within)
    kept = values > 1e-10 * values[-1]
    white = vectors[:, kept] / np.sqrt(values[kept])
    d = int(kept.sum())
    kappa_all = d / (n - classes)
    counts = sizes if labels_per_class is None else np.full(classes, labels_per_class)
    kappa = d / (counts.sum() - classes) if labels_per_class is None else kappa_all
    if max(kappa, kappa_all) > LARGEST_KAPPA:
        return Prediction(None, None, None, float(kappa), d, f"κ = {kappa:.3g} > {LARGEST_KAPPA}")
    m = (means - means.mean(axis=0)) @ white
    centring = np.eye(classes) - 1 / classes
    gram = (1 - kappa_all) * m @ m.T - centring @ np.diag(d / sizes) @ centring
    w, u = np.linalg.eigh((gram + gram.T) / 2)
    gram = (u * np.clip(w, 0, None)) @ u.T
    noisy = gram + centring @ np.diag(d / counts) @ centring
    w, u = np.linalg.eigh(noisy / (1 - kappa) ** 3)
    root = u * np.sqrt(np.clip(w, 0, None))
    root = root[:, w > 1e-12 * w[-1]]
    normal = ndtri(qmc.Sobol(root.shape[1], seed=0).random(DRAWS))
    shares = sizes / n
    basis = np.linalg.svd(m, full_matrices=False)[2][: root.shape[1]]
    score_map = np.linalg.lstsq(m @ basis.T, np.eye(classes), rcond=None)[0]
    total = 0.0
    for c in range(classes):
        factor = root
        if covariance == "own":
            z = residual[y == c] @ white @ basis.T
            own = z.T @ z / max(sizes[c] - 1, 1)
            # the root in the discriminant basis
            scores = noisy / (1 - kappa) ** 3
            left = np.linalg.svd(m @ basis.T, full_matrices=False)
            half = left[0].T @ root
            sym = left[0] @ (half @ half.T) @ left[0].T
            ww, uu = np.linalg.eigh(left[0].T @ sym @ left[0])
            square = left[0] @ ((uu * np.sqrt(np.clip(ww, 0, None))) @ uu.T) @ left[2]
            factor = square @ np.linalg.cholesky(own + 1e-12 * np.eye(len(own)))
        mean = gram[c] / (1 - kappa) - np.diag(noisy) / (2 * (1 - kappa)) + np.log(shares)
        drawn = mean + normal @ factor.T
        total += shares[c] * float((drawn.argmax(axis=1) == c).mean())
    return Prediction(total, total, total, float(kappa), d)
