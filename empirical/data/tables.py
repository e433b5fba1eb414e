"""Named columns of one file or object, of which some are features.

A column holds one value a row, or one vector a row: a list column of a table, a matrix among the arrays of a file.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from empirical.data.values import plain
from theory.checks import ParameterError, nearest, require
from theory.files import unreadable

if TYPE_CHECKING:
    import pyarrow as pa

VECTORS, INTEGER_VECTORS, FLOATS, INTEGERS, OTHER = "vectors", "integer vectors", "floats", "integers", "other"
NUMBERS = (VECTORS, INTEGER_VECTORS, FLOATS, INTEGERS)
INDICES = ("", "__index_level_")  # how the columns begin, or are called, that pandas makes of its row numbers
SHOWN = 5  # columns that an error names


@runtime_checkable
class Table(Protocol):
    """Columns of a file or object, read when they are asked for."""

    @property
    def name(self) -> str:
        """What errors call it."""

    @property
    def kinds(self) -> Mapping[str, str]:
        """What each column holds."""

    def rows(self, names: Sequence[str]) -> int:
        """Number of rows of these columns."""

    def column(self, name: str) -> Any:
        """All values of a column."""

    def batches(self, names: Sequence[str], rows: int) -> Iterator[NDArray[Any]]:
        """Numbers of these columns side by side, at most so many rows at a time, shape (n, d)."""


@dataclass(frozen=True)
class Array:
    """An array in a file or in memory, of which rows are read when they are asked for.

    Parameters
    ----------
    shape : tuple of int
    floats : bool or None
        Whether it holds floats; False for integers, None for anything else.
    read : callable
        Rows in [start, stop), as an array of numpy.
    held : ndarray, optional
        All of it, if it is in memory.
    """

    shape: tuple[int, ...]
    floats: bool | None
    read: Callable[[int, int], NDArray[Any]]
    held: NDArray[Any] | None = None

    @classmethod
    def of(cls, values: Any) -> Array:
        """One in memory."""
        held = np.asarray(plain(values))
        kind = {"f": True, "i": False, "u": False}.get(held.dtype.kind)
        return cls(held.shape, kind, lambda start, stop: held[start:stop], held)


@dataclass(frozen=True)
class Arrays:
    """A file of arrays by name; the name of an only array may be empty."""

    name: str
    arrays: Mapping[str, Array]

    @property
    def kinds(self) -> Mapping[str, str]:
        """What each array holds."""
        of = {(2, True): VECTORS, (2, False): INTEGER_VECTORS, (1, True): FLOATS, (1, False): INTEGERS}
        return {name: of.get((len(a.shape), bool(a.floats)), OTHER) for name, a in self.arrays.items()}

    def rows(self, names: Sequence[str]) -> int:
        """Number of rows, the same for all of these arrays."""
        counts = {name: self.arrays[name].shape[0] for name in names}
        for name, count in counts.items():
            first = counts[names[0]]
            require(count == first, f"{self.name}: {name}", f"{count} rows", f"{first} rows, as {names[0]} has")
        return counts[names[0]]

    def column(self, name: str) -> Any:
        """All values of an array."""
        array = self.arrays[name]
        require(len(array.shape) > 0, f"{self.name}: {name}", "a single value", "an array")
        return array.read(0, array.shape[0]) if array.held is None else array.held

    def batches(self, names: Sequence[str], rows: int) -> Iterator[NDArray[Any]]:
        """Numbers of these arrays side by side."""
        for start in range(0, self.rows(names), rows):
            read = [self.arrays[name].read(start, start + rows) for name in names]
            yield side_by_side([part if part.ndim == 2 else part[:, None] for part in read])

    def held(self, names: Sequence[str]) -> NDArray[Any] | None:
        """The only one of these arrays, if it is in memory, a matrix of floats by rows."""
        array = self.arrays[names[0]].held if len(names) == 1 else None
        fits = array is not None and array.ndim == 2 and array.dtype.kind == "f" and array.flags.c_contiguous
        return array if fits else None


@dataclass(frozen=True)
class Arrow:
    """A table that pyarrow reads.

    Parameters
    ----------
    name : str
    schema : pyarrow.Schema
    count : int
        Rows.
    read : callable
        Batches of these columns with at most so many rows.
    """

    name: str
    schema: pa.Schema
    count: int
    read: Callable[[list[str], int], Iterator[Any]]

    @property
    def kinds(self) -> Mapping[str, str]:
        """What each column holds."""
        return {field.name: _kind(field.type) for field in self.schema if not field.name.startswith(INDICES[1])}

    def rows(self, names: Sequence[str]) -> int:
        """Number of rows."""
        return self.count

    def column(self, name: str) -> Any:
        """All values of a column, as a series of pandas."""
        import pyarrow as pa

        return plain(pa.chunked_array([batch.column(0) for batch in _flat(self.read([name], max(1, self.count)))]))

    def batches(self, names: Sequence[str], rows: int) -> Iterator[NDArray[Any]]:
        """Numbers of these columns side by side."""
        start = 0
        for batch in _flat(self.read(list(names), rows)):
            columns = [batch.column(index) for index in map(batch.schema.get_field_index, names)]
            yield side_by_side([_numbers(f"{self.name}: {n}", c, start) for n, c in zip(names, columns, strict=True)])
            start += batch.num_rows


@contextmanager
def one_error(name: object) -> Iterator[None]:
    """One clear error for whatever a library says of a damaged file."""
    try:
        yield
    except ParameterError:
        raise
    except MemoryError as error:
        raise ParameterError(f"cannot read {name}: it does not fit into memory") from error
    except OSError as error:
        if error.errno is not None:
            raise unreadable(Path(str(name)), error) from error
        raise _damaged(name, error) from error
    except Exception as error:  # each library raises many kinds
        raise _damaged(name, error) from error


def _damaged(name: object, error: Exception) -> ParameterError:
    lines = str(error).strip().splitlines()
    return ParameterError(f"cannot read {name}: {lines[0][:200] if lines else 'it is damaged'}")


def feature_columns(table: Table, wanted: Sequence[str] = (), taken: Collection[str] = ()) -> tuple[str, ...]:
    """Which columns are features.

    Parameters
    ----------
    table : Table
    wanted : sequence of str
        Names or patterns (``f*``) of columns of numbers. By default the only column of vectors; without one, all
        columns of floats, beside which there must then be none of integers, for these are as likely labels.
    taken : collection of str
        Columns that are something else.

    Raises
    ------
    ParameterError
        If there are none, or it is not clear which.
    """
    kinds = {name: kind for name, kind in table.kinds.items() if name not in taken}
    if wanted:
        found = tuple(name for name in kinds if any(name == one or fnmatchcase(name, one) for one in wanted))
        for one in wanted:
            known = any(name == one or fnmatchcase(name, one) for name in found)
            require(known, "feature_columns", one, f"columns of {table.name}{nearest(one, kinds)}")
        for name in found:
            require(kinds[name] in NUMBERS, "feature_columns", name, f"columns of numbers in {table.name}")
        return found
    vectors = [name for name, kind in kinds.items() if kind == VECTORS]
    if len(vectors) > 1:
        raise ParameterError(f"{table.name} has several matrices or list columns ({listed(vectors)}): {CHOOSE}")
    if vectors:
        return tuple(vectors)
    floats = [name for name, kind in kinds.items() if kind == FLOATS and name != INDICES[0]]
    integers = [name for name, kind in kinds.items() if kind in (INTEGERS, INTEGER_VECTORS) and name != INDICES[0]]
    if integers:
        raise ParameterError(
            f"{table.name} has columns of integers ({listed(integers)}): name those that are labels or ids "
            "(--label-column, --id-column), or the features (--feature-columns)"
        )
    if not floats:
        columns = f"its columns are {listed(list(kinds))}" if kinds else "it has no columns"
        raise ParameterError(f"{table.name} has no matrix and no column of floats ({columns})")
    return tuple(floats)


CHOOSE = "choose by --feature-columns"


def only_column(table: Table, name: str, wanted: str | None, option: str) -> str:
    """The column of this name, or, if none is named, the only one.

    Parameters
    ----------
    table : Table
    name : str
        What the values are, for errors.
    wanted : str, optional
    option : str
        That names the column.
    """
    known = [column for column in table.kinds if column != INDICES[0] or len(table.kinds) == 1]
    if wanted is not None:
        require(wanted in table.kinds, option, wanted, f"a column of {table.name}{nearest(wanted, known)}")
        return wanted
    if len(known) != 1:
        raise ParameterError(
            f"{name} {table.name}: there are {len(known)} columns ({listed(known)}), choose by --{option}"
        )
    return known[0]


def listed(names: Sequence[str]) -> str:
    """The first names."""
    return ", ".join(names[:SHOWN]) + (", …" if len(names) > SHOWN else "")


def side_by_side(parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Matrices as one, of floats."""
    whole = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)
    return whole if whole.dtype.kind == "f" else whole.astype(np.float64)


def _flat(batches: Iterator[Any]) -> Iterator[Any]:
    """Record batches, of which a table may have several."""
    import pyarrow as pa

    for batch in batches:
        yield from (batch.to_batches() if isinstance(batch, pa.Table) else [batch])


def _kind(kind: pa.DataType) -> str:
    from pyarrow import types

    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        inner = _kind(kind.value_type)
        return {FLOATS: VECTORS, INTEGERS: INTEGER_VECTORS}.get(inner, OTHER)
    return FLOATS if types.is_floating(kind) else INTEGERS if types.is_integer(kind) else OTHER


def _numbers(name: str, column: pa.Array, start: int) -> NDArray[Any]:
    """A column of numbers or lists of numbers as a matrix, NaN where there is none."""
    import pyarrow.compute as pc

    if _kind(column.type) in (FLOATS, INTEGERS):
        return np.asarray(column.to_numpy(zero_copy_only=False))[:, None]
    lengths = np.asarray(pc.list_value_length(column).fill_null(-1).to_numpy(zero_copy_only=False))
    given = lengths >= 0
    if not given.any():
        raise ParameterError(f"{name}: row {start} has no vector")
    width = int(lengths[given][0])
    ragged = given & (lengths != width)
    if ragged.any():
        row = int(np.flatnonzero(ragged)[0])
        raise ParameterError(f"{name}: row {start + row} has {lengths[row]} numbers, others {width}")
    values = np.asarray(column.flatten().to_numpy(zero_copy_only=False)).reshape(-1, width)
    if given.all():
        return values
    everywhere = np.full((len(column), width), np.nan, dtype=np.promote_types(values.dtype, np.float16))
    everywhere[given] = values
    return everywhere
