"""Labels of samples: integers, −1 where there is none. Null and NaN mean the same and become −1 here.

Names (text, categories, booleans) become integers here too, and are kept; text that is empty or ``-1`` is no label.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from empirical.data.values import plain, require_writable_text
from theory.checks import ParameterError, require

UNLABELLED = -1
FEWEST_SAMPLES = 2  # in a class that is measured: similarity is of pairs
LARGEST_EXACT = 2**53  # a float holds every integer up to it
INTEGERS = "integer labels; −1, null or NaN for none"
NAMES = "integers, or names of classes alone; −1, null, NaN or empty for none"
NO_NAMES = ("", "-1")  # text that says that there is no label

LONGEST = 4_300  # digits that int takes
Labels = NDArray[np.int64]


class Named(NamedTuple):
    """Labels, and what they are called.

    Parameters
    ----------
    labels : ndarray
        int64, shape (N,), −1 for none.
    names : tuple of str
        Of the labels 0, 1, …; empty where the labels are integers, which have no other name.
    """

    labels: Labels
    names: tuple[str, ...] = ()

    @property
    def classes(self) -> tuple[str, ...]:
        """What the classes that occur are called, in the order of their labels."""
        there = np.unique(self.labels[self.labels != UNLABELLED])
        return tuple(self.names[label] if self.names else str(label) for label in there)


def named_labels(name: str, values: Any, place: str = "") -> Named:
    """Labels from integers or names.

    Parameters
    ----------
    name : str
        What errors call them.
    values : array_like
        Shape (N,) or (N, 1): what ``as_labels`` takes, or text, bytes in UTF-8, booleans, a categorical of pandas or a
        dictionary array of pyarrow. Names are numbered in their alphabetical order (numbers as text by their size),
        categories in their own.
    place : str
        Where they are, such as `` in labels.npy``, for errors.

    Raises
    ------
    ParameterError
        If they are neither all integers nor all names.
    """
    import pandas as pd  # slow to import

    given = plain(values)
    if isinstance(given, np.ma.MaskedArray):
        absent, given = np.ma.getmaskarray(given), given.data.astype(object)
        given[absent] = None
    categories = getattr(getattr(given, "dtype", None), "categories", None)
    array = _column(np.asarray(given))
    if array.dtype.kind in "US" and not hasattr(given, "dtype"):  # a list, in which numbers would become text
        array = _column(np.asarray(given, dtype=object))
    if array.dtype.kind not in "OUSb":
        return Named(as_labels(name, given, place))
    require(array.ndim == 1, name, f"shape {array.shape}", f"shape (N,){place}")
    try:
        codes, found = pd.factorize(array.astype(object))
    except TypeError as error:  # dicts, lists …
        raise ParameterError(name, "objects", NAMES + place) from error
    texts = [_text(value) for value in found]
    if all(text is None for text in texts):  # numbers, or nothing
        return Named(as_labels(name, array, place))
    for value, text in zip(found, texts, strict=True):
        require(text is not None, name, repr(value), NAMES + place)
        require_writable_text(name, text or "")
    order = None if categories is None else {_text(value): number for number, value in enumerate(categories)}
    real = [text for text in texts if text is not None and text.strip() not in NO_NAMES]
    names = sorted(set(real), key=order.__getitem__ if order else _by_size(real))
    numbers = {text: number for number, text in enumerate(names)}
    labels = np.array([*(numbers.get(text or "", UNLABELLED) for text in texts), UNLABELLED], dtype=np.int64)
    return Named(labels[codes], tuple(names))  # the code of null is −1, the last


def joined_labels(parts: Sequence[Named]) -> Named:
    """The labels of several files, whose names are numbered together."""
    if not any(part.names for part in parts):
        return Named(np.concatenate([part.labels for part in parts]))
    plain = [part for part in parts if not part.names and (part.labels != UNLABELLED).any()]
    require(not plain, "labels", "integers in one file, names in another", "the same in all files")
    names = tuple(dict.fromkeys(name for part in parts for name in part.names))
    same = all(part.names in ((), names) for part in parts)
    names = names if same else tuple(sorted(names))
    numbers = {name: number for number, name in enumerate(names)}
    tables = [np.array([*(numbers[name] for name in part.names), UNLABELLED], dtype=np.int64) for part in parts]
    return Named(np.concatenate([table[p.labels] for table, p in zip(tables, parts, strict=True)]), names)


def _text(value: Any) -> str | None:
    """A name; None for what is a number."""
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return None
    return str(value) if isinstance(value, str | bool | np.bool_) else None


def _by_size(texts: list[str]) -> Any:
    """The key that sorts names."""
    numbers = bool(texts) and all(text.strip().isdecimal() and len(text) <= LONGEST for text in texts)
    return (lambda text: (int(text), text)) if numbers else str


def _column(array: NDArray[Any]) -> NDArray[Any]:
    """A matrix of one column, as some data sets store their labels, as a vector."""
    return array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array


def as_labels(name: str, values: Any, place: str = "") -> Labels:
    """Integer labels, −1 for −1, null (None, ``pandas.NA``, a masked entry) and NaN.

    Parameters
    ----------
    name : str
        What errors call them.
    values : array_like
        Shape (N,) or (N, 1): integers, floats that are integers or NaN, a list or a series of these with nulls.
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
    values = plain(values)
    array = _column(np.ma.asarray(values) if isinstance(values, np.ma.MaskedArray) else np.asarray(values))
    require(array.ndim == 1, name, f"shape {array.shape}", f"shape (N,){place}")
    absent = np.ma.getmaskarray(array) if isinstance(array, np.ma.MaskedArray) else np.zeros(len(array), dtype=bool)
    array = np.asarray(array)
    if array.dtype == object:
        absent = absent | np.array([_null(value) for value in array], dtype=bool)
        array = _plain(name, array, absent, place)
    if np.issubdtype(array.dtype, np.floating):
        array = array.astype(np.promote_types(array.dtype, np.float64), copy=False)  # half precision has no 2⁵³
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
