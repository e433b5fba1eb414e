"""Who foretells a probe's accuracy: our predictions and the metrics of the field, and how each is to be read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

FEW = 10  # labels per class
PREDICTIONS: dict[str, dict[str, Any]] = {  # arguments of ``empirical.prediction.predict``
    "gaussian": {},
    "gaussian_pooled": {"covariance": "pooled"},
    "gaussian_two": {"components": 2},
    "gaussian_few": {"labels_per_class": FEW},
    "gaussian_two_few": {"labels_per_class": FEW, "components": 2},
    "gaussian_pooled_few": {"labels_per_class": FEW, "covariance": "pooled"},
}
VIEW_METRICS = {"lidar_views": "lidar", "alignment_views": "alignment"}  # of an image's augmented views, not a class's


@dataclass(frozen=True)
class Rival:
    """A column that foretells another.

    Parameters
    ----------
    name, measured : str
        Columns of a contest's table.
    title : str
    uses_labels, larger_is_better : bool
    accuracy : bool
        Whether it foretells the accuracy itself, so that its error is a number of points.
    """

    name: str
    measured: str
    title: str
    uses_labels: bool
    larger_is_better: bool
    accuracy: bool = False


TITLES = {
    "gaussian": "Gaussian equivalent, own covariances",
    "gaussian_pooled": "Gaussian equivalent, pooled covariance",
    "gaussian_two": "Gaussian equivalent, two components",
    "rankme": "RankMe",
    "alpha_req": "α-ReQ",
    "lidar": "LiDAR, classes",
    "lidar_views": "LiDAR, views",
    "nesum": "NESum",
    "alignment": "alignment, classes",
    "alignment_views": "alignment, views",
    "uniformity": "uniformity",
    "logme": "LogME",
    "h_score": "H-score",
    "h_score_shrunk": "H-score, shrunk",
    "cdnv": "CDNV",
    "directional_cdnv": "directional CDNV",
    "bound": "the bound, matched pairs",
    "delta": "labelling error δ̂",
}


def rivals() -> list[Rival]:
    """Everyone who takes part, ours first."""
    from empirical.prediction.metrics import METRICS

    found = []
    for name, options in PREDICTIONS.items():
        few = "labels_per_class" in options
        title = TITLES[name.removesuffix("_few")]
        found.append(Rival(name, "probe_few" if few else "probe", title, True, True, accuracy=True))
    for name, metric in METRICS.items():
        title = TITLES.get(name, name)
        found.append(Rival(name, "probe", title, metric.uses_labels, metric.larger_is_better))
    for name, of in VIEW_METRICS.items():
        found.append(Rival(name, "probe", TITLES[name], False, METRICS[of].larger_is_better))
    return [*found, *(Rival(name, "probe", TITLES[name], True, False) for name in ("bound", "delta"))]
