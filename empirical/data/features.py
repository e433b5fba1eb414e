"""Rows of a feature matrix in chunks, from memory or from files larger than memory.

Chunks are cut by the position of a row in the whole matrix, never by the files it lies in, so that what is summed
over chunks in their order is the same number for one file and for many, on one worker and on many (to the last bit
where BLAS runs as many threads).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from copy import copy
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from empirical.data.copies import first_copies, row_hashes
from empirical.data.formats import open_table, table_of
from empirical.data.tables import Arrays, Table, feature_columns
from empirical.data.unpacking import unpacked
from empirical.data.values import is_of, plain
from theory.archives import npy_header
from theory.checks import ParameterError, require, shortened
from theory.files import require_readable, unreadable
from theory.worlds import unit_rows

CHUNK_VALUES = 1 << 24
Mapper: TypeAlias = Callable[..., Iterable[Any]]  # applies a function to items in order: ``map``, or that of a pool


@dataclass(frozen=True, eq=False)
class Piece:
    """Neighbouring rows of one array or .npy file, not yet read.

    Parameters
    ----------
    name : str
        What errors call it.
    source : ndarray or Path
        Of these rows alone, or of the file.
    dtype : dtype
    width : int
    first, rows : int
        Position in the file, number of rows.
    offset : int
        Bytes before the file's first row.
    """

    name: str
    source: NDArray[Any] | Path
    dtype: np.dtype[Any]
    width: int
    first: int
    rows: int
    offset: int = 0

    def cut(self, start: int, stop: int) -> Piece:
        """Its rows in [start, stop), as far as there are any."""
        start, stop = max(0, start), min(self.rows, stop)
        source = self.source[start:stop] if isinstance(self.source, np.ndarray) else self.source
        return replace(self, source=source, first=self.first + start, rows=stop - start)

    def read(self) -> NDArray[Any]:
        """Shape (rows, width)."""
        if isinstance(self.source, np.ndarray):
            return self.source
        # Not memory-mapped: pages of the file would count as this process's memory.
        offset = self.offset + self.first * self.dtype.itemsize * self.width
        flat = np.fromfile(self.source, self.dtype, self.rows * self.width, offset=offset)
        require(len(flat) == self.rows * self.width, self.name, "cut short", "as many values as its header says")
        return flat.reshape(self.rows, self.width)


class Survey(NamedTuple):
    """What one look at all rows finds.

    Parameters
    ----------
    hashes : ndarray
        Of each row, uint64, shape (N,).
    infinite, zero : ndarray
        Which rows hold NaN or infinity, and which are all zero; bool, shape (N,).
    """

    hashes: NDArray[np.uint64]
    infinite: NDArray[np.bool_]
    zero: NDArray[np.bool_]

    def of(self, rows: NDArray[np.int64]) -> Survey:
        """These rows alone."""
        return Survey(self.hashes[rows], self.infinite[rows], self.zero[rows])


@dataclass(frozen=True, eq=False)
class Chunk:
    """Neighbouring rows of a matrix, not yet read: little to send to a worker, which reads them itself.

    Parameters
    ----------
    start, stop : int
        Its rows among all.
    pieces : tuple of Piece
        The rows, in order.
    kept : ndarray, optional
        Which rows of the pieces are its own, increasing; by default all.
    """

    start: int
    stop: int
    pieces: tuple[Piece, ...]
    kept: NDArray[np.int64] | None = None

    @property
    def survey(self) -> Survey:
        """A hash of each row as it is stored, and what is wrong with it."""
        stored = self._stored()
        largest = _largest(stored)
        return Survey(row_hashes(stored), ~np.isfinite(largest), largest == 0)

    def raw(self, chosen: NDArray[np.int64] | slice = slice(None)) -> NDArray[Any]:
        """Its rows, or those chosen of them, as they are, in single precision or better.

        Raises
        ------
        ParameterError
            If one of them is not finite.
        """
        raw = self._read(chosen)
        self._refuse(~np.isfinite(_largest(raw)), chosen, "is NaN or infinite")
        return raw

    def unit(self, chosen: NDArray[np.int64] | slice = slice(None)) -> NDArray[np.float32]:
        """Its rows, or those chosen of them, at unit length.

        Raises
        ------
        ParameterError
            If one of them is zero or not finite.
        """
        raw = self._read(chosen)
        largest = _largest(raw)
        bad = ~np.isfinite(largest) | (largest == 0)
        zero = bool(bad.any()) and largest[int(np.argmax(bad))] == 0
        self._refuse(bad, chosen, "is all zero, it has no direction" if zero else "is NaN or infinite")
        # In [−1, 1]: squares neither over- nor underflow.
        rows = (raw / largest[:, None]).astype(np.float32, copy=False)
        return unit_rows(rows)

    def _read(self, chosen: NDArray[np.int64] | slice) -> NDArray[Any]:
        raw = self._stored()[chosen]
        return raw.astype(np.promote_types(raw.dtype, np.float32), copy=False)

    def _stored(self) -> NDArray[Any]:
        read = [piece.read() for piece in self.pieces]
        rows: NDArray[Any] = read[0] if len(read) == 1 else np.concatenate(read)
        return rows if self.kept is None else rows[self.kept]

    def _refuse(self, bad: NDArray[np.bool_], chosen: NDArray[np.int64] | slice, problem: str) -> None:
        """Raise ParameterError about the first bad row, if there is one."""
        if bad.any():
            row = int(np.flatnonzero(bad)[0])
            raise ParameterError(f"{self._place(int(np.arange(self.stop - self.start)[chosen][row]))} {problem}")

    def _place(self, row: int) -> str:
        """The row's file, and where it is in there."""
        row = row if self.kept is None else int(self.kept[row])
        for piece in self.pieces:
            if row < piece.rows:
                break
            row -= piece.rows
        return f"{piece.name}: row {piece.first + row}"


def _survey(chunk: Chunk) -> Survey:
    """For workers."""
    return chunk.survey


def _largest(rows: NDArray[Any]) -> NDArray[Any]:
    """Largest absolute value of each row; NaN if it holds one."""
    return np.asarray(np.maximum(rows.max(axis=1), -rows.min(axis=1)))


class Features:
    """A matrix of features, shape (N, d).

    Parameters
    ----------
    source : array_like, table, path or sequence of path
        A matrix of floats (numpy, torch, lists), a table (pandas, pyarrow, a data set of Hugging Face, a mapping of
        arrays), or files, or tables that have been opened, with its rows in this order. Of .npy files a chunk is read
        at a time; others are unpacked once, see ``empirical.data.unpacking``.
    columns : sequence of str
        Which columns of a table, or arrays of a file, are the features, see ``feature_columns``.
    taken : collection of str
        Which are something else.

    Raises
    ------
    ParameterError
        If it is not a float matrix with at least two rows, if a file has no rows or other columns or numbers than
        the first, or (while reading) if a row is not finite or zero.
    """

    def __init__(self, source: Any, columns: Sequence[str] = (), taken: Collection[str] = ()) -> None:
        self._pieces = [_opened(part, columns, taken) for part in _parts(source)]
        require(len(self._pieces) > 0, "features", "no file", "at least one")
        first = self._pieces[0]
        for piece in self._pieces:
            alike = piece.width == first.width and piece.dtype == first.dtype
            found, wanted = (f"{p.dtype} in {p.width} columns" for p in (piece, first))
            require(alike, piece.name, found, f"{wanted}, as in {first.name}")
        self.rows, self.width = sum(piece.rows for piece in self._pieces), first.width
        self._kept: NDArray[np.int64] | None = None  # all of them
        self._survey: Survey | None = None  # not looked at
        require(self.rows >= 2, first.name, f"shape ({self.rows}, {self.width})", "at least two rows and one column")

    @property
    def dtype(self) -> np.dtype[Any]:
        """The numbers as they are stored."""
        return self._pieces[0].dtype

    @property
    def stored(self) -> int:
        """Rows that there are, also those that were left out."""
        return sum(piece.rows for piece in self._pieces)

    def only(self, rows: NDArray[np.int64]) -> Features:
        """These rows alone, given by increasing indices, read as the others are: a chunk at a time."""
        if len(rows) == self.rows:
            return self
        found = copy(self)
        vars(found).pop("unit", None)
        found._survey = None if self._survey is None else self._survey.of(rows)
        found._kept, found.rows = rows if self._kept is None else self._kept[rows], len(rows)
        return found

    def copies(self, mapper: Mapper = map) -> NDArray[np.int64]:
        """Of which row each is an exact copy, itself or an earlier one; shape (N,)."""
        return first_copies(self.survey(mapper).hashes)

    def survey(self, mapper: Mapper = map) -> Survey:
        """Look at every row, once."""
        if self._survey is None:
            found = list(mapper(_survey, self.chunks()))
            hashes, infinite, zero = (np.concatenate(part) for part in zip(*found, strict=True))
            self._survey = Survey(hashes, infinite, zero)
        return self._survey

    def place(self, row: int) -> str:
        """The row, of which of several files it is, and where it is in there."""
        return self._chunk(row, row + 1)._place(0) if len(self._pieces) > 1 else f"row {row}"

    def chunks(self) -> list[Chunk]:
        """All rows in order, at most about 16.8 million values a chunk."""
        step, whole = max(1, CHUNK_VALUES // self.width), sum(piece.rows for piece in self._pieces)
        starts = range(0, whole, step)
        if self._kept is None:
            return [self._chunk(start, min(start + step, whole)) for start in starts]
        ends = np.searchsorted(self._kept, [*starts, whole])
        return [
            replace(
                self._chunk(start, min(start + step, whole)),
                start=int(first),
                stop=int(last),
                kept=self._kept[first:last] - start,
            )
            for start, (first, last) in zip(starts, pairwise(ends), strict=True)
            if last > first
        ]

    def take(self, indices: NDArray[np.int64]) -> NDArray[np.float32]:
        """Unit rows at the given indices, in their order."""
        out = np.empty((len(indices), self.width), dtype=np.float32)
        for chunk in self.chunks():
            inside = (indices >= chunk.start) & (indices < chunk.stop)
            if inside.any():
                out[inside] = chunk.unit(indices[inside] - chunk.start)
        return out

    @cached_property
    def unit(self) -> NDArray[np.float32]:
        """All unit rows, in memory."""
        return self.take(np.arange(self.rows))

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "unit"} | {"_survey": None}  # read again

    def _chunk(self, start: int, stop: int) -> Chunk:
        pieces, before = [], 0
        for piece in self._pieces:
            if before < stop and start < before + piece.rows:
                pieces.append(piece.cut(start - before, stop - before))
            before += piece.rows
        return Chunk(start, stop, tuple(pieces))


def _piece(
    name: str, source: NDArray[Any] | Path, shape: tuple[int, ...], dtype: np.dtype[Any], offset: int = 0
) -> Piece:
    matrix = len(shape) == 2 and np.issubdtype(dtype, np.floating)
    require(matrix, name, f"{dtype} {shape}", "a float matrix")
    require(dtype.itemsize <= 8, name, str(dtype), "floats of 16, 32 or 64 bits, with which linear algebra computes")
    require(shape[0] >= 1 and shape[1] >= 1, name, f"shape {shape}", "at least one row and one column")
    return Piece(name, source, dtype, int(shape[1]), 0, int(shape[0]), offset)


def _parts(source: Any) -> list[Any]:
    """The source as matrices in memory, paths of .npy files and tables."""
    if isinstance(source, np.ndarray):
        return [source]
    if is_of(source, "torch", "Tensor"):
        return [plain(source)]
    several = source if isinstance(source, list | tuple) else [source]
    paths = [Path(one) if isinstance(one, str) else one for one in several]
    if all(isinstance(one, Path | Table) for one in paths):
        return [one if _is_npy(one) or isinstance(one, Table) else open_table(one) for one in paths]
    if isinstance(source, list | tuple) and any(isinstance(one, str | Path) for one in several):
        raise ParameterError("features: paths and something else in one list")
    if isinstance(source, list | tuple) and all(is_of(one, "torch", "Tensor") for one in several):
        source = [plain(one) for one in several]
    return [table_of("features", source)]


def _is_npy(path: Any) -> bool:
    return isinstance(path, Path) and (path.suffix.lower() == ".npy" and not path.is_dir())


def _opened(part: Any, columns: Sequence[str], taken: Collection[str]) -> Piece:
    if isinstance(part, Path):
        return _file(part)
    if isinstance(part, np.ndarray):
        return _piece("features", part, part.shape, part.dtype)
    if isinstance(part, Arrays) and set(part.arrays) == {""} and (array := part.arrays[""]).held is not None:
        return _piece(part.name, array.held, array.held.shape, array.held.dtype)  # whose shape is then what is wrong
    found = unpacked(part, feature_columns(part, columns, taken))
    if isinstance(found, Path):
        return replace(_file(found), name=part.name)
    return _piece(part.name, found, found.shape, found.dtype)


def _file(path: Path) -> Piece:
    """All rows of an .npy file, after reading its header only."""
    require_readable(path)
    try:
        header = npy_header(path)
    except OSError as error:
        raise unreadable(path, error) from error
    except Exception as error:  # numpy raises many kinds for a damaged header
        problem = "is not an .npy file" if path.stat().st_size else "is empty"
        raise ParameterError(f"{path} {problem}") from error
    there = path.stat().st_size - header.offset
    says = f"as many as its header says, {shortened(header.needed)}: it is cut short"
    require(header.needed <= there, str(path), f"{there:,} bytes of values", says)
    require(not header.fortran, str(path), "Fortran order", "C order (np.save(path, np.ascontiguousarray(x)))")
    return _piece(str(path), path, header.shape, header.dtype, header.offset)
