"""Whether a probe is good enough for its doubts about labels to be worth reading."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

WEAK = 0.8
# Of ten Gaussian classes of 200 samples, or forty of 60, with 2 % of the labels wrong, of what confident learning
# doubts 2 to 11 % was wrong where a held-out probe was right on up to 71 % of a class's samples, 23 and 33 % at 81 and
# 83 %, 57 % at 91 % and 97 % at 96 %; with 10 % wrong, 65 % and more from 75 % on with ten classes.


def held_out_accuracy(outputs: NDArray[Any], labels: NDArray[np.int64]) -> float:
    """Mean over the classes of the share of samples that a probe, which has not seen them, gives their label.

    Parameters
    ----------
    outputs : ndarray
        The probe's probabilities, shape (N, classes).
    labels : ndarray
        0, 1, …, shape (N,).
    """
    right = outputs.argmax(axis=1) == labels
    sizes = np.bincount(labels)
    return float((np.bincount(labels, right) / np.maximum(sizes, 1))[sizes > 0].mean())


def why_withheld(outputs: NDArray[Any], labels: NDArray[np.int64]) -> str | None:
    """Why no sample is called mislabelled; None if a probe is good enough to say so.

    Parameters
    ----------
    outputs, labels
        See ``held_out_accuracy``.
    """
    accuracy = held_out_accuracy(outputs, labels)
    if accuracy >= WEAK:
        return None
    return f"a held-out probe is right on {accuracy:.0%} of a class's samples, below {WEAK:.0%}: its doubts are its own"
