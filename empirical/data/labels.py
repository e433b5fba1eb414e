"""Labels of samples: integers, −1 where there is none. Null and NaN mean the same and become −1 here.

This is where other kinds of labels (names, categories) are to become integers.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from theory.checks import ParameterError, require

UNLABELLED = -1
FEWEST_SAMPLES = 2  # in a class that is measured: similarity is of pairs
LARGEST_EXACT = 2**53  # a float holds every integer up to it
INTEGERS = "integer labels; −1, null or NaN for none"

Labels = NDArray[np.int64]


def as_labels(name: str, values: Any, place: str = "") -> Labels:
    """Integer labels, −1 for −1, null (None, ``pandas.NA``, a masked entry) and NaN.

    Parameters
    ----------
    name : str
        What errors call them.
    values : array_like
        Shape (N,): integers, floats that are integers or NaN, a list or a series of these with nulls.
    place : str
        Where they are, such as `` in labels.npy``, for errors.

    Returns
    -------
    ndarray
        int64, shape (N,).

    Raises
    ------
    ParameterError
        If they are no vector of integers.
    """
    array = np.ma.asarray(values) if isinstance(values, np.ma.MaskedArray) else np.asarray(values)
    require(array.ndim == 1, name, f"shape {array.shape}", f"shape (N,){place}")
    absent = np.ma.getmaskarray(array) if isinstance(array, np.ma.MaskedArray) else np.zeros(len(array), dtype=bool)
    array = np.asarray(array)
    if array.dtype == object:
        absent = absent | np.array([_null(value) for value in array], dtype=bool)
        array = _plain(name, array, absent, place)
    if np.issubdtype(array.dtype, np.floating):
        absent = absent | np.isnan(array)
        given = array[~absent]
        whole = np.isfinite(given) & (np.abs(given) <= LARGEST_EXACT)
        whole[whole] = given[whole] == np.trunc(given[whole])
        if not whole.all():
            raise ParameterError(name, given[~whole][0], INTEGERS + place)
    else:
        require(bool(np.issubdtype(array.dtype, np.integer)), name, array.dtype, INTEGERS + place)
        largest = np.iinfo(np.int64).max
        require(not len(array) or int(array.max()) <= largest, name, array.max(initial=0), f"at most {largest}")
    found = np.full(len(array), UNLABELLED, dtype=np.int64)
    found[~absent] = array[~absent].astype(np.int64)
    return found


def _null(value: Any) -> bool:
    return value is None or type(value).__name__ in ("NAType", "NaTType") or value != value  # NaN alone


def _plain(name: str, array: NDArray[Any], absent: NDArray[np.bool_], place: str) -> NDArray[Any]:
    """The objects as one array of numbers, zeros where they are absent."""
    given = np.asarray(array[~absent].tolist() or [0])
    require(given.dtype.kind in "iuf", name, given.flat[0], INTEGERS + place)
    plain = np.zeros(len(array), dtype=given.dtype)
    plain[~absent] = given if len(array[~absent]) else 0
    return plain


def small_classes(labels: Labels, first: Labels | None = None) -> Labels:
    """Classes with fewer than two samples that differ; sorted.

    Parameters
    ----------
    labels : ndarray
        Shape (N,), −1 for none.
    first : ndarray, optional
        Of which sample each is an exact copy, see ``empirical.data.copies.first_copies``; by default none is.
    """
    rows = np.arange(len(labels)) if first is None else first
    different = np.unique(np.stack([labels, rows], axis=1)[labels != UNLABELLED], axis=0)
    classes, sizes = np.unique(different[:, 0], return_counts=True)
    return np.asarray(classes[sizes < FEWEST_SAMPLES], dtype=np.int64)
