"""What is measured on a feature set, and what is foretold of it from its training features alone."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from empirical.contest.rivals import FEW, PREDICTIONS
from empirical.data.features import Features
from empirical.evaluate.probes import DRAWS_SEED, alignment, knn, linear_probe, probe
from empirical.evaluate.protocol import Protocol
from empirical.prediction import METRICS, Metric, predict
from empirical.profile.measurement import labelling_error, measure
from theory.bounds import error_bounds
from theory.checks import ParameterError
from theory.plan import LEVELS

Array = NDArray[np.float32]
Labels = NDArray[np.int64]
Row = dict[str, Any]
DRAWS = 20  # of few labels
PROTOCOL = Protocol("lbfgs-c1", k=20)  # the C that predictions are for by default; both are the committed results'


@dataclass(frozen=True)
class Data:
    """One feature set.

    Parameters
    ----------
    train, labels : ndarray
        Of the labelled training images, shapes (N, d) and (N,).
    test, test_labels : ndarray
        Shapes (M, d) and (M,).
    views : ndarray
        Of augmented views of the first V training images, shape (views, V, d).
    """

    train: Array
    labels: Labels
    test: Array
    test_labels: Labels
    views: Array


# --- measured --------------------------------------------------------------------------------------


def measured(data: Data) -> Row:
    """Test accuracies of the probes; ``probe``, with all labels, is what a prediction is compared with."""
    parts = data.train, data.labels, data.test, data.test_labels
    found, seconds = timed(lambda: linear_probe(*parts, c=PROTOCOL.c))
    return {
        "probe": found,
        "probe_seconds": seconds,
        "probe_few": linear_probe(*parts, labels_per_class=FEW, draws=DRAWS, c=PROTOCOL.c),
        "least_squares": least_squares(*parts),
        "least_squares_few": few_least_squares(*parts),
        "knn": knn(*parts, PROTOCOL.k, PROTOCOL.tau),
    }


def least_squares(features: Array, labels: Labels, test_features: Array, test_labels: Labels) -> float:
    """Test accuracy of least squares with an intercept on the classes' indicators; of least norm where several fit.

    Parameters
    ----------
    features, labels, test_features, test_labels : ndarray
        Shapes (N, d), (N,), (M, d), (M,).
    """
    from scipy.linalg import lstsq

    mean, spread = features.mean(axis=0, dtype=np.float64), features.std(axis=0, dtype=np.float64)
    spread[spread <= 1e-6 * spread.max(initial=0)] = np.inf  # a constant feature says nothing
    targets = np.eye(int(labels.max()) + 1)[labels]
    # Centred, so that the intercept is the mean of the targets.
    weights = lstsq((features - mean) / spread, targets - targets.mean(axis=0), lapack_driver="gelsy")[0]
    outputs = (test_features - mean) / spread @ weights + targets.mean(axis=0)
    return float((outputs.argmax(axis=1) == test_labels).mean())


def few_least_squares(features: Array, labels: Labels, test_features: Array, test_labels: Labels) -> float:
    """``least_squares`` on few labels per class, averaged over the draws of ``linear_probe``."""
    generator = np.random.default_rng(DRAWS_SEED)
    members = [np.flatnonzero(labels == c) for c in range(int(labels.max()) + 1)]
    scores = []
    for _ in range(DRAWS):
        chosen = np.concatenate([generator.choice(m, FEW, replace=False) for m in members])
        scores.append(least_squares(features[chosen], labels[chosen], test_features, test_labels))
    return float(np.mean(scores))


# --- foretold --------------------------------------------------------------------------------------


def foretold(data: Data) -> Row:
    """Predictions and metrics of the training features, each with its time; None where there is no number."""
    row: Row = {}
    for name, options in PREDICTIONS.items():
        found, seconds = timed(lambda: predict(data.train, data.labels, **options))  # noqa: B023
        row |= {name: found.accuracy, f"{name}_low": found.low, f"{name}_high": found.high}
        row |= {f"{name}_reason": found.reason, f"{name}_seconds": seconds}
        row |= {"kappa": found.kappa, "dimensions": found.dimensions} if not options else {}
    for name, metric in METRICS.items():
        row |= _metric(name, metric, data.train, data.labels)
    return row | _of_views(data.views)


def _of_views(views: NDArray[np.float32]) -> Row:
    """LiDAR and alignment as their papers have them: of the views of an image, so that no label is read."""
    count, images, width = views.shape
    row = _metric("lidar_views", METRICS["lidar"], views.reshape(-1, width), np.tile(np.arange(images), count))
    first, second = (torch.from_numpy(view) for view in views[:2])
    row["alignment_views"], row["alignment_views_seconds"] = timed(lambda: alignment(first, second))
    return row


def _metric(name: str, metric: Metric, features: Array, labels: Labels) -> Row:
    value, seconds = timed(lambda: metric.function(features, labels))
    return {name: value if value is not None and np.isfinite(value) else None, f"{name}_seconds": seconds}


def bounded(data: Data) -> Row:
    """δ̂, the levels and the bound of difficult examples on the set's own measured graph, matched pairing.

    As ``empirical.profile`` and ``empirical.study`` measure them: δ̂ is how often a probe that was fitted on one
    view of each image labels two other views differently; k is the features' width.
    """
    started = time.process_time()
    first, *others = data.views
    fitted = probe(first, data.labels[: len(first)])
    answers = [fitted.predict(view) for view in others[:2]]
    delta = labelling_error(answers[0] != answers[1]).value
    row: Row = {"delta": delta, "delta_seconds": time.process_time() - started, "bound": None, "bound_reason": None}
    try:
        profile = measure({"encoder": Features(data.train)}, data.labels, "contest").profile
        row |= {level: getattr(profile.spaces["encoder"], level).value for level in LEVELS}
        row["bound_reason"] = profile.violation("encoder", "matched")
        if row["bound_reason"] is None:
            graph = profile.graph("encoder", "matched")
            row["bound"] = error_bounds(graph, profile.dim, delta)["difficult"].bound
    except ParameterError as error:  # a feature vector without direction, k beyond the graph
        row["bound_reason"] = str(error)
    return row | {"bound_seconds": time.process_time() - started}


def timed(function: Callable[[], Any]) -> tuple[Any, float]:
    """A function's result and the processor's time for it in seconds, whatever else the machine does."""
    started = time.process_time()
    found = function()
    return found, time.process_time() - started
