"""The field's measures of features, each from its paper: what they are called, whether they read labels, their sign."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from empirical.prediction.evidence import logme
from empirical.prediction.moments import require_size
from empirical.prediction.spectra import alpha_req, lidar, nesum, rankme
from theory.checks import require, require_known

Array = NDArray[np.float64]
Labels = NDArray[np.int64]


@dataclass(frozen=True)
class Metric:
    """One measure.

    Parameters
    ----------
    function : callable
        Of features, shape (N, d), and labels 0, 1, …, shape (N,); None where it has no value.
    uses_labels : bool
    larger_is_better : bool
    """

    function: Callable[[NDArray[Any], Labels], float | None]
    uses_labels: bool
    larger_is_better: bool


def measure_metrics(features: NDArray[Any], labels: Labels | None) -> dict[str, float | None]:
    """All measures by name; those that read labels are None without.

    Raises
    ------
    ParameterError
        If the features are no matrix of finite numbers, or the labels are not as many.
    """
    x = np.asarray(features)
    require(x.ndim == 2 and len(x) >= 2, "features", f"shape {x.shape}", "a matrix of two or more rows")
    bad = ~np.isfinite(x).all(axis=1)
    require(not bad.any(), "features", f"NaN or infinity in row {int(bad.argmax())}", "finite numbers")
    if labels is not None:
        require(len(labels) == len(x), "labels", f"{len(labels)} labels", f"one for each of {len(x)} rows")
        labels = np.unique(labels, return_inverse=True)[1].astype(np.int64)
    require_size(x)
    unlabelled = np.zeros(len(x), dtype=np.int64)
    found = {}
    for name, metric in METRICS.items():
        known = labels is not None or not metric.uses_labels
        found[name] = metric.function(x, unlabelled if labels is None else labels) if known else None
    return found


def measure_metric(name: str, features: NDArray[Any], labels: Labels | None) -> float | None:
    """One measure by its name."""
    require_known("metric", name, METRICS)
    return measure_metrics(features, labels)[name]


# --- of labels -------------------------------------------------------------------------------------


def class_moments(features: NDArray[Any], labels: Labels) -> tuple[Array, Array, Labels]:
    """Rows in double precision, class means, shape (C, d), and sizes, shape (C,)."""
    x, sizes = np.asarray(features, dtype=np.float64), np.bincount(labels)
    return x, np.stack([x[labels == c].mean(axis=0) for c in range(len(sizes))]), sizes


def h_score(features: NDArray[Any], labels: Labels) -> float:
    """H-score: tr(Σ⁺·Σ_b) of the covariance Σ and that of each sample's class mean, from 0 to C − 1.

    The plain one, with a pseudo-inverse; it grows with the number of dimensions for chance alone.

    References
    ----------
    Bao et al. 2019, An information-theoretic approach to transferability in task transfer learning, definition 2.
    """
    x, means, _ = class_moments(features, labels)
    return _h_score(np.cov(x, rowvar=False), means[labels])


def h_score_shrunk(features: NDArray[Any], labels: Labels) -> float:
    """H-score with Ledoit and Wolf's covariance: tr(Σ_α⁻¹·(1 − α)Σ_b), Σ_α = (1 − α)Σ + α·(tr Σ/d)·I.

    References
    ----------
    Ibrahim, Ponomareva, Mazumder 2021, Newer is not always better: rethinking transferability metrics, their
    peculiarities, stability and performance; Ledoit & Wolf 2004.
    """
    from sklearn.covariance import LedoitWolf

    x, means, _ = class_moments(features, labels)
    fitted = LedoitWolf().fit(x)
    return (1 - float(fitted.shrinkage_)) * _h_score(fitted.covariance_, means[labels])


def _h_score(covariance: Array, expected: Array) -> float:
    inverse = np.linalg.pinv(np.atleast_2d(covariance), rcond=1e-12, hermitian=True)
    return float((inverse * np.atleast_2d(np.cov(expected, rowvar=False))).sum())


def cdnv(features: NDArray[Any], labels: Labels) -> float | None:
    """Class-distance normalised variance: mean over pairs of classes of (V_i + V_j)/(2|μ_i − μ_j|²).

    V_i is the mean squared distance to the class mean; None if two class means are equal.

    References
    ----------
    Galanti, György, Hutter 2022, On the role of neural collapse in transfer learning, definition 1.
    """
    x, means, sizes = class_moments(features, labels)
    spread = np.bincount(labels, np.square(x - means[labels]).sum(axis=1)) / sizes
    return _over_pairs(np.repeat(spread[:, None], len(means), axis=1), _distances(means))


def directional_cdnv(features: NDArray[Any], labels: Labels) -> float | None:
    """Directional CDNV: mean over ordered pairs of classes of Var_i(uᵀx)/|μ_i − μ_j|², u along μ_i − μ_j.

    Variance across the direction between two classes does not hurt a probe; this leaves it out.

    References
    ----------
    Luthra, Yang, Galanti 2025, Self-supervised contrastive learning is approximately supervised contrastive learning.
    """
    x, means, _ = class_moments(features, labels)
    along = np.stack([np.square((x[labels == c] - m) @ (m - means).T).mean(axis=0) for c, m in enumerate(means)])
    distances = _distances(means)
    return _over_pairs(along / np.where(distances > 0, distances, 1), distances)


def _distances(means: Array) -> Array:
    """Squared distances of the class means, shape (C, C)."""
    return np.stack([np.square(means - mean).sum(axis=1) for mean in means])


def _over_pairs(spread: Array, distances: Array) -> float | None:
    """Mean of spread over squared distance for all ordered pairs of classes; None without pairs or if one is 0."""
    pairs = ~np.eye(len(distances), dtype=bool)
    if not pairs.any() or distances[pairs].min() == 0:
        return None
    return float((spread[pairs] / distances[pairs]).mean())


def class_alignment(features: NDArray[Any], labels: Labels) -> float | None:
    """Mean squared distance of the unit vectors of two samples of one class; None if a row is 0.

    ``empirical.evaluate.alignment`` is that of two views of an image; where there are none, the pairs of a class
    stand for them, and labels are used: 2 − 2·mean cosine over all pairs of different samples of a class.

    References
    ----------
    Wang & Isola 2020, Understanding contrastive representation learning through alignment and uniformity on the
    hypersphere.
    """
    x = np.asarray(features, dtype=np.float64)
    lengths = np.linalg.norm(x, axis=1, keepdims=True)
    if lengths.min() == 0:
        return None
    sizes = np.bincount(labels)
    sums = np.stack([(x / lengths)[labels == c].sum(axis=0) for c in range(len(sizes))])
    pairs = float((sizes * (sizes - 1.0)).sum())
    return float(2 - 2 * (np.square(sums).sum() - len(x)) / pairs) if pairs else None


def spread_uniformity(features: NDArray[Any], labels: Labels) -> float | None:
    """``empirical.evaluate.uniformity`` of the features; None if a row is 0."""
    import torch

    from empirical.evaluate.probes import uniformity

    x = np.asarray(features, dtype=np.float64)
    return float(uniformity(torch.from_numpy(x))) if np.linalg.norm(x, axis=1).min() > 0 else None


METRICS: dict[str, Metric] = {
    "logme": Metric(logme, True, True),
    "h_score": Metric(h_score, True, True),
    "h_score_shrunk": Metric(h_score_shrunk, True, True),
    "cdnv": Metric(cdnv, True, False),
    "directional_cdnv": Metric(directional_cdnv, True, False),
    "alignment": Metric(class_alignment, True, False),
    "lidar": Metric(lidar, True, True),
    "rankme": Metric(lambda features, labels: rankme(features), False, True),
    "nesum": Metric(lambda features, labels: nesum(features), False, True),
    "alpha_req": Metric(lambda features, labels: alpha_req(features), False, False),
    "uniformity": Metric(spread_uniformity, False, False),
}
