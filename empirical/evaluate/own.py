"""One's own features as a probe's training and test set."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from empirical.data.copies import first_copies
from empirical.data.features import Features
from empirical.data.labels import UNLABELLED, Labels, Named, joined_labels
from empirical.data.reading import Reading, counted
from empirical.data.samples import Samples
from empirical.evaluate.probes import Array
from theory.checks import ParameterError, require

EVERY = 5  # of a class is for testing, as in a folder of images


@dataclass(frozen=True)
class Halves:
    """Labelled rows to train a probe on, and to test it on.

    Parameters
    ----------
    x, x_test : ndarray
        Features, shapes (N, d) and (M, d).
    y, y_test : ndarray
        Classes, shapes (N,) and (M,).
    copies : ndarray
        Of which row of ``x`` each is an exact copy, shape (N,).
    """

    x: Array
    y: Labels
    x_test: Array
    y_test: Labels
    copies: Labels


def halves(samples: Samples, test: Samples | None = None) -> Halves:
    """The labelled rows of two files; of one, every fifth row of a class is for testing.

    Copies of a row are where it is, so that no test row has been trained on.

    Raises
    ------
    ParameterError
        If labels are missing or a class has nothing to train on, or the files do not fit.
    """
    if test is None:
        x, y, copies = _labelled(samples)
        tested = _every_fifth(y, copies)
        require(bool(tested.any()), "features", f"{len(y)} labelled rows", f"{EVERY} of one class, which differ")
        return _checked(Halves(x[~tested], y[~tested], x[tested], y[tested], first_copies(copies[~tested])))
    count = len(samples.copies)
    labels = joined_labels([_named(samples, "labels"), _named(test, "test-labels")]).labels
    x, y, copies = _labelled(samples, labels[:count])
    x_test, y_test, _ = _labelled(test, labels[count:])
    require(x_test.shape[1] == x.shape[1], "test-features", f"{x_test.shape[1]} columns", f"{x.shape[1]}, as features")
    unknown = np.setdiff1d(y_test, y)
    if len(unknown):
        raise ParameterError(
            "test-labels", f"{len(unknown)} classes more", "classes that there are rows of to train on"
        )
    return _checked(Halves(x, y, x_test, y_test, copies))


def _checked(found: Halves) -> Halves:
    classes = len(np.unique(found.y))
    require(classes > 1, "labels", f"{classes} class to train on", "two or more, which a probe can tell apart")
    return found


def reading_of_test(samples: Samples, test: Samples) -> Reading:
    """What was read to test on, and how many of its rows are rows to train on."""
    hashes, tested = (part.features.survey().hashes for part in (samples, test))
    both = counted(
        int(np.isin(tested, hashes).sum()), "test row that is a training row", "test rows that are training rows"
    )
    return test.reading.with_notes(noted=[both])


def _named(samples: Samples, name: str) -> Named:
    if samples.labels is None:
        raise ParameterError(f"--{name} or --label-column is required: probe and kNN need labels")
    return Named(samples.labels, samples.names)


def _labelled(samples: Samples, labels: Labels | None = None) -> tuple[Array, Labels, Labels]:
    """Features, classes and copies of the rows that have a label."""
    found = _named(samples, "labels").labels if labels is None else labels
    rows = np.flatnonzero(found != UNLABELLED)
    require(len(rows) > 0, "labels", "none", "labels of some rows")
    return _matrix(samples.features.only(rows)), found[rows], first_copies(samples.copies[rows])


def _matrix(features: Features) -> Array:
    return np.concatenate([chunk.raw() for chunk in features.chunks()]).astype(np.float32, copy=False)


def _every_fifth(labels: Labels, copies: Labels) -> NDArray[np.bool_]:
    """Every fifth row of a class that is no copy of an earlier one, and all copies of these."""
    tested = np.zeros(len(labels), dtype=bool)
    first = copies == np.arange(len(labels))
    for c in np.unique(labels):
        tested[np.flatnonzero((labels == c) & first)[EVERY - 1 :: EVERY]] = True
    return tested[copies]
