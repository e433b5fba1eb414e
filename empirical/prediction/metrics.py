"""The field's measures of features, each from its paper's definition."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Metric:
    """One measure: its function of (features, labels), whether it reads the labels, and which direction is better."""

    function: Callable[[NDArray[Any], NDArray[np.int64]], float | None]
    uses_labels: bool
    larger_is_better: bool


def rankme(features: NDArray[Any], labels: NDArray[np.int64] | None = None) -> float:
    """Exponential of the entropy of the normalised singular values (Garrido et al. 2023)."""
    values = np.linalg.svd(np.asarray(features, dtype=np.float64), compute_uv=False)
    shares = values / values.sum() + 1e-7
    return float(np.exp(-(shares * np.log(shares)).sum()))


METRICS: dict[str, Metric] = {"rankme": Metric(rankme, False, True)}
