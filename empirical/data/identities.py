"""What samples are called: ids that no two share, and the files that they are pictures in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from empirical.data.labels import UNLABELLED
from empirical.data.reading import note
from empirical.data.values import plain, require_writable_text
from theory.checks import ParameterError, require

Ids = NDArray[np.object_]  # text, shape (N,)


@dataclass(frozen=True)
class Items:
    """What results say of samples beside their scores.

    Parameters
    ----------
    rows : ndarray, optional
        Of each sample in its file, shape (N,); by default 0, 1, ….
    ids : ndarray, optional
        Text, shape (N,).
    labels : ndarray, optional
        int64, shape (N,), −1 for none.
    names : sequence of str
        Of the classes 0, 1, …; empty where labels have no names.
    """

    rows: NDArray[np.int64] | None = None
    ids: Ids | None = None
    labels: NDArray[np.int64] | None = None
    names: Sequence[str] = ()

    def indices(self, chosen: NDArray[np.int64]) -> NDArray[np.int64]:
        """Rows in the file of these samples."""
        return chosen if self.rows is None else self.rows[chosen]

    def columns(self, chosen: NDArray[np.int64], index: str = "index", end: str = "") -> dict[str, NDArray[Any]]:
        """Index, id, label and class of these samples, as far as they are known; ``end`` ends the columns' names."""
        found: dict[str, NDArray[Any]] = {index: self.indices(chosen)}
        if self.ids is not None:
            found[f"id{end}"] = self.ids[chosen]
        if self.labels is not None:
            labels = found[f"label{end}"] = self.labels[chosen]
            if self.names:
                found[f"class{end}"] = np.array([*self.names, ""], dtype=object)[labels]  # −1 is the last
        return found

    def caption(self, row: int) -> str:
        """A sample's class, or what it is called else."""
        if self.labels is not None and self.labels[row] != UNLABELLED:
            label = int(self.labels[row])
            return self.names[label] if self.names else str(label)
        return str(self.ids[row]) if self.ids is not None else str(self.indices(np.array([row]))[0])


NOTHING_KNOWN = Items()


def as_ids(name: str, values: Any, rows: int) -> Ids:
    """Ids as text.

    Parameters
    ----------
    name : str
        What errors call them.
    values : array_like
        Integers or text, shape (N,) or (N, 1).
    rows : int
        N, the samples there are.

    Raises
    ------
    ParameterError
        If there are more or fewer, one is missing or no integer or text, or two are the same.
    """
    import pandas as pd  # slow to import

    given = np.asarray(plain(values))
    given = given[:, 0] if given.ndim == 2 and given.shape[1] == 1 else given
    require(given.ndim == 1, name, f"shape {given.shape}", "shape (N,)")
    require(len(given) == rows, name, f"{len(given)} ids", f"one for each of {rows} rows")
    absent = np.asarray(pd.isna(given))
    if given.dtype.kind == "f":  # integers, some of which are missing
        require(bool(absent.any()), name, given.dtype, "ids of integers or text")
    else:
        kinds = {type(value) for value in given[~absent]} if given.dtype.kind == "O" else set()
        good = given.dtype.kind in "iuUS" or all(issubclass(kind, str | int | np.integer | bytes) for kind in kinds)
        require(good, name, given.dtype, "ids of integers or text")
    found = np.array([value.decode(errors="replace") if isinstance(value, bytes) else str(value) for value in given])
    found = found.astype(object)
    for text in found:
        require_writable_text(name, text)
    absent |= found == ""
    if absent.any():
        raise ParameterError(f"{name}: {note(np.flatnonzero(absent), 'row has none', 'rows have none')}")
    doubled = pd.Series(found).duplicated().to_numpy()
    if doubled.any():
        again = note(dict.fromkeys(found[doubled]), "id occurs more than once", "ids occur more than once")
        raise ParameterError(f"{name}: {again}")
    return found


def as_pictures(name: str, values: Any, folder: Path, rows: int) -> list[Path]:
    """The picture of each sample.

    Parameters
    ----------
    name : str
        What errors call them.
    values : array_like of str
        Paths, shape (N,).
    folder : Path
        To which they are relative.
    rows : int
        N.

    Raises
    ------
    ParameterError
        If some are missing, or no files.
    """
    given = np.asarray(plain(values))
    require(given.ndim == 1 and len(given) == rows, name, f"shape {given.shape}", f"a path for each of {rows} rows")
    lacking = [row for row, value in enumerate(given) if not isinstance(value, str | Path) or not str(value)]
    if lacking:
        raise ParameterError(f"{name}: {note(lacking, 'row has no path', 'rows have no path')}")
    paths = [folder / str(value) for value in given]
    absent = [str(value) for value, path in zip(given, paths, strict=True) if not path.is_file()]
    if absent:
        raise ParameterError(f"{name}: {note(absent, 'picture is not there', 'pictures are not there')}")
    return paths
