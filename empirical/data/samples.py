"""One's own samples as they come from files or objects: features, labels, ids, copies, and what was read."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from empirical.data.arrays import find_files
from empirical.data.copies import copy_notes, first_copies
from empirical.data.features import Features, Mapper
from empirical.data.formats import READERS, SAVED_DATASET, open_table, table_of
from empirical.data.identities import Ids, as_ids, as_pictures
from empirical.data.labels import UNLABELLED, Named, joined_labels, named_labels, small_classes
from empirical.data.reading import Note, Reading, counted, note, present
from empirical.data.tables import INDICES, Table, feature_columns, one_error, only_column
from theory.checks import ParameterError, require

NONE = "sample without a label", "samples without a label"
SMALL = "class of a single sample or copies of one", "classes of a single sample or copies of one"
INFINITE = "row that is NaN or infinite", "rows that are NaN or infinite"
ZERO = "row that is all zero", "rows that are all zero"


@dataclass(frozen=True)
class Columns:
    """What is what in a table, or a file of several arrays.

    Parameters
    ----------
    features : tuple of str
        Names or patterns; by default the only column of vectors, or all of floats.
    label, id, image : str, optional
        Columns of labels, of ids, and of paths of pictures relative to the table's folder.
    """

    features: tuple[str, ...] = ()
    label: str | None = None
    id: str | None = None
    image: str | None = None

    @property
    def named(self) -> tuple[str, ...]:
        """Those that are no features."""
        return tuple(name for name in (self.label, self.id, self.image) if name is not None)


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
    names : tuple of str
        Of the classes 0, 1, …; empty where labels are integers without names.
    ids : ndarray or None
        Text, shape (N,).
    pictures : list of Path or None
        N image files.
    rows : ndarray
        Of each sample in the files, shape (N,): where some rows were left out, others than 0, 1, ….
    digest : str
        SHA-256 of features and labels.
    """

    features: Features
    labels: NDArray[np.int64] | None
    copies: NDArray[np.int64]
    source: str
    reading: Reading
    names: tuple[str, ...]
    ids: Ids | None
    pictures: list[Path] | None
    rows: NDArray[np.int64]
    digest: str


def read_samples(
    features: Any,
    labels: Any = None,
    drop_small_classes: bool = False,
    mapper: Mapper = map,
    columns: Columns = Columns(),
    ids: Any = None,
    skip_unusable: bool = False,
) -> Samples:
    """Read features, labels and ids, and look for copies.

    Parameters
    ----------
    features : sequence of str, or object
        Paths, folders or patterns of files, which are one matrix; or what ``Features`` takes.
    labels, ids : sequence of str, or object, optional
        Likewise, a column. By default the columns that are named, of the table with the features.
    drop_small_classes : bool
        Take the label away from samples whose class has fewer than two that differ.
    mapper : callable
        ``map``, or that of a pool, whose workers go through the features.
    columns : Columns
        Labels, ids and pictures are looked for in the file of the labels or ids, if there is one, else with the
        features; ids and pictures with the labels too, where the features have no such column.
    skip_unusable : bool
        Leave out rows that are not finite or all zero, instead of refusing them.

    Raises
    ------
    ParameterError
        If something cannot be read, or features, labels and ids do not fit.
    """
    matrix, source = _tables("features", features)
    found = Features(matrix, columns.features, columns.named)
    tables = [part for part in matrix if isinstance(part, Table)]
    beside = [] if labels is None else _columns("labels", labels)
    given = _labels(tables, beside, columns, found.rows)
    known = _ids(tables, beside, None if ids is None else _columns("ids", ids), columns, found.rows)
    pictures = _pictures(tables, beside, columns, found.rows)
    survey, rows = found.survey(mapper), np.arange(found.rows)
    unusable = [
        note((found.place(int(row)) if known is None else known[row] for row in np.flatnonzero(bad)), *words)
        for bad, words in ((survey.infinite, INFINITE), (survey.zero, ZERO))
    ]
    bad = survey.infinite | survey.zero
    if bad.any():
        if not skip_unusable:
            told = ", ".join(map(str, present(*unusable)))
            raise ParameterError(f"features {source}: {told} (--skip-unusable leaves them out)")
        rows = np.flatnonzero(~bad)
        require(len(rows) >= 2, "features", f"{len(rows)} usable rows", f"at least two in {source}")
        found = found.only(rows)
        given = None if given is None else given._replace(labels=given.labels[rows])
        known = None if known is None else known[rows]
        pictures = None if pictures is None else [pictures[row] for row in rows]
    copies = first_copies(found.survey(mapper).hashes)
    skipped = [*unusable, _unread(tables, columns)]
    noted: list[Note] = [*copy_notes(copies)] if given is None else []
    if given is not None:
        small = small_classes(given.labels, copies) if drop_small_classes else given.labels[:0]
        missing = int((given.labels == UNLABELLED).sum())
        given = given._replace(labels=np.where(np.isin(given.labels, small), UNLABELLED, given.labels))
        skipped.append(note((given.names[c] if given.names else c for c in small), *SMALL))
        noted = [counted(missing, *NONE), *copy_notes(copies, given.labels)]
    classes = () if given is None else given.classes
    read = Reading(source, found.rows, classes).with_notes(skipped=skipped, noted=noted)
    return Samples(
        features=found,
        labels=None if given is None else given.labels,
        copies=copies,
        source=source,
        reading=read,
        names=() if given is None else given.names,
        ids=known,
        pictures=pictures,
        rows=rows,
        digest=_digest(found.survey(mapper).hashes, given),
    )


def _digest(hashes: NDArray[np.uint64], given: Named | None) -> str:
    found = hashlib.sha256(hashes.data)
    if given is not None:
        found.update(given.labels.data)
        found.update("\0".join(given.names).encode())
    return found.hexdigest()


def _tables(name: str, source: Any) -> tuple[list[Path | Table], str]:
    """Files as opened tables, those of .npy as paths, and what they are called in short; or one table of an object."""
    files = _files(name, source)
    if files is None:
        return [table_of(name, source)], name
    called = files[0].name if len(files) == 1 else f"{files[0].name} … {files[-1].name} ({len(files)} files)"
    stays = [file.suffix.lower() == ".npy" and not file.is_dir() for file in files]
    return [file if npy else open_table(file) for file, npy in zip(files, stays, strict=True)], called


def _columns(name: str, source: Any) -> list[Table]:
    """Files of one value a row as opened tables, or one table of an object."""
    files = _files(name, source)
    return [table_of(name, source)] if files is None else [open_table(file) for file in files]


def _files(name: str, source: Any) -> list[Path] | None:
    """The files that a path or a sequence of paths, folders and patterns names; None for anything else."""
    paths = [source] if isinstance(source, str | Path) else source
    texts = isinstance(paths, list | tuple) and bool(paths) and all(isinstance(one, str | Path) for one in paths)
    if not texts:
        return None
    return [file for path in find_files(name, map(str, paths)) for file in _in_folder(name, path)]


def _in_folder(name: str, path: Path) -> list[Path]:
    """The files of one format in a folder, sorted as ``find_files`` does; a file, and a saved data set, itself."""
    if not path.is_dir() or (path / SAVED_DATASET).exists():
        return [path]
    with one_error(path):
        files = [one for one in path.iterdir() if one.is_file() and not one.name.startswith((".", "_"))]
    kinds = sorted({one.suffix.lower() for one in files} & set(READERS))
    if len(kinds) != 1:
        what = f"files of several formats ({', '.join(kinds)})" if kinds else "no file of features"
        raise ParameterError(f"{name} {path}: the folder holds {what}")
    return find_files(name, [str(one) for one in files if one.suffix.lower() == kinds[0]])


def _labels(tables: Sequence[Table], beside: Sequence[Any], columns: Columns, rows: int) -> Named | None:
    if not beside and columns.label is None:
        return None
    parts = []
    for table in beside or _having(tables, columns.label, "label-column"):
        wanted = columns.label
        if wanted is None and len(table.kinds) > 1:  # ids and pictures may be beside them
            left = [one for one in table.kinds if one not in columns.named and one != INDICES[0]]
            wanted = left[0] if len(left) == 1 else None
        column = only_column(table, "labels", wanted, "label-column")
        with one_error(table.name):
            parts.append((table.name, table.column(column)))
    if len(parts) == 1:
        name, values = parts[0]
        named = named_labels("labels", values, f" in {name}")
    else:
        named = joined_labels([named_labels("labels", values, f" in {name}") for name, values in parts])
    count = len(named.labels)
    require(count == rows, "labels", f"{count} labels", f"one for each of {rows} rows")
    return named


def _ids(
    tables: Sequence[Table], beside: Sequence[Table], own: Sequence[Table] | None, columns: Columns, rows: int
) -> Ids | None:
    if own is not None:
        with one_error("ids"):
            return as_ids("ids", _values([(t, only_column(t, "ids", columns.id, "id-column")) for t in own]), rows)
    if columns.id is None:
        return None
    both = [[t for t in part if columns.id in t.kinds] for part in (tables, beside)]
    whole = [part for part, every in zip(both, (tables, beside), strict=True) if part and len(part) == len(every)]
    if not whole:
        _having([*tables, *beside], columns.id, "id-column")
    found = [as_ids("ids", _values([(table, columns.id) for table in part]), rows) for part in whole]
    if len(found) == 2 and (found[0] != found[1]).any():
        row = int(np.flatnonzero(found[0] != found[1])[0])
        both_there = f"{found[0][row]} with the features, {found[1][row]} with the labels"
        raise ParameterError("ids", both_there, f"the same item in row {row} of both files")
    return found[0]


def _pictures(tables: Sequence[Table], beside: Sequence[Table], columns: Columns, rows: int) -> list[Path] | None:
    if columns.image is None:
        return None
    found = [table for table in tables if columns.image in table.kinds]
    found = found or _having([*tables, *beside], columns.image, "image-column")
    # Relative to the folder of each table; an object has none, so that the working one counts.
    counts = [len(table.column(columns.image)) for table in found]
    require(sum(counts) == rows, "image-column", f"{sum(counts)} paths", f"one for each of {rows} rows")
    pairs = zip(found, counts, strict=True)
    paths = [as_pictures("image-column", t.column(columns.image), Path(t.name).parent, n) for t, n in pairs]
    return [path for part in paths for path in part]


def _having(tables: Sequence[Table], column: str | None, option: str) -> list[Table]:
    """The tables that have a column; ParameterError if none has."""
    if not tables:
        raise ParameterError(f"--{option} {column}: the features are no table, and have no columns")
    found = [table for table in tables if column in table.kinds]
    if not found:
        only_column(tables[0], "", column, option)
    return found


def _values(parts: Sequence[tuple[Table, str]]) -> Any:
    """A column of several tables as one."""
    values = [np.asarray(table.column(column)) for table, column in parts]
    return values[0] if len(values) == 1 else np.concatenate(values)


def _unread(tables: Sequence[Table], columns: Columns) -> Note:
    """Columns of the first table that are nothing."""
    if not tables:
        return note((), "", "")
    chosen = {*feature_columns(tables[0], columns.features, columns.named), *columns.named}
    left = [name or "without a name" for name in tables[0].kinds if name not in chosen]
    return note(left, "column", "columns")
