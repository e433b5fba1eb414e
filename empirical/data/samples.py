"""One's own samples as they come from files: features, labels, which are exact copies, and what was read.

Other formats than ``.npy``, and identities of samples, are to be read here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from empirical.data.arrays import find_files, read_labels
from empirical.data.copies import copy_notes
from empirical.data.features import Features, Mapper
from empirical.data.labels import UNLABELLED, small_classes
from empirical.data.reading import Reading, counted, note
from theory.checks import require


@dataclass(frozen=True)
class Samples:
    """Features with what is known of each.

    Parameters
    ----------
    features : Features
        Of N samples.
    labels : ndarray or None
        int64, shape (N,), −1 where there is none; None without labels.
    copies : ndarray
        Of which sample each is an exact copy, itself or an earlier one, shape (N,).
    source : str
        The files, shortened.
    reading : Reading
    """

    features: Features
    labels: NDArray[np.int64] | None
    copies: NDArray[np.int64]
    source: str
    reading: Reading


def read_samples(
    features: Sequence[str], labels: Sequence[str] | None, drop_small_classes: bool = False, mapper: Mapper = map
) -> Samples:
    """Read features and labels, and look for copies.

    Parameters
    ----------
    features, labels : sequence of str
        Paths or patterns of .npy files, which are one matrix and one vector.
    drop_small_classes : bool
        Take the label away from samples whose class has fewer than two that differ.
    mapper : callable
        ``map``, or that of a pool, whose workers go through the features.

    Raises
    ------
    ParameterError
        If a file cannot be read, or labels and features do not fit.
    """
    files = find_files("features", features)
    found = Features(files)
    given = None if labels is None else read_labels("labels", *find_files("labels", labels))
    if given is not None:
        require(len(given) == found.rows, "labels", f"{len(given)} labels", f"one for each of {found.rows} rows")
    copies = found.copies(mapper)
    source = files[0].name if len(files) == 1 else f"{files[0].name} … {files[-1].name} ({len(files)} files)"
    reading = Reading(source, found.rows)
    if given is None:
        return Samples(found, None, copies, source, reading.with_notes(noted=copy_notes(copies)))
    small = small_classes(given, copies) if drop_small_classes else given[:0]
    missing = int((given == UNLABELLED).sum())
    given = np.where(np.isin(given, small), UNLABELLED, given)
    names = tuple(str(label) for label in np.unique(given[given != UNLABELLED]))
    dropped = note(small, "class of a single sample or copies of one", "classes of a single sample or copies of one")
    noted = (counted(missing, "sample without a label", "samples without a label"), *copy_notes(copies, given))
    reading = Reading(source, found.rows, names).with_notes(skipped=[dropped], noted=noted)
    return Samples(found, given, copies, source, reading)
