"""Features that do not lie row by row in a file, such as those of a parquet file, as a matrix that does.

They are read once, some rows at a time: into memory, or, where they are larger, into an .npy file in the folder for
temporary files (``TMPDIR``), which goes when the process ends.
"""

from __future__ import annotations

import atexit
import os
import shutil
from collections.abc import Iterator
from functools import cache
from itertools import chain, count
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from empirical.data.tables import Arrays, Table, one_error
from theory.checks import ParameterError, require
from theory.temporary import temporary_folder

ROWS = 4_096  # that are read at a time
LARGEST_HELD = 512 << 20  # bytes of a matrix in memory
_numbers = count()


def unpacked(table: Table, names: tuple[str, ...]) -> NDArray[Any] | Path:
    """The matrix of these columns, shape (N, d), or the .npy file that it was written to.

    Raises
    ------
    ParameterError
        If rows have different lengths, or there is no room for the file.
    """
    if isinstance(table, Arrays) and (array := table.held(names)) is not None:
        return array
    with one_error(table.name):
        rows, batches = table.rows(names), table.batches(names, ROWS)
        first = next(batches, np.empty((0, len(names)), dtype=np.float32))
        shape, size = (rows, first.shape[1]), rows * first[:1].nbytes
        alike = _alike(table.name, first, batches, rows)
        if size <= LARGEST_HELD:
            matrix, place = np.empty(shape, dtype=first.dtype), 0
            for batch in alike:
                matrix[place : place + len(batch)] = batch
                place += len(batch)
            return matrix
        path = _place(table.name, size)
        try:
            with open(path, "wb") as file:
                described = {"descr": first.dtype.str, "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_2_0(file, described)
                for batch in alike:
                    file.write(np.ascontiguousarray(batch).data)
        except OSError as error:
            raise ParameterError(f"cannot unpack {table.name} into {path}: {error.strerror or error}") from error
        return path


def _alike(name: str, first: NDArray[Any], batches: Iterator[NDArray[Any]], rows: int) -> Iterator[NDArray[Any]]:
    """All batches, as wide as the first and with as many rows as there should be."""
    place, width = 0, first.shape[1]
    for batch in chain([first], batches):
        if batch.shape[1] != width:
            raise ParameterError(f"{name}: row {place} has {batch.shape[1]} numbers, others {width}")
        place += len(batch)
        yield batch.astype(first.dtype, copy=False)
    require(place == rows, name, f"{place} rows", f"{rows} rows, as it says")


def _place(name: str, size: int) -> Path:
    """Where to unpack so many bytes."""
    folder = _folder(os.getpid())
    free = shutil.disk_usage(folder).free
    if size > free:
        needed = f"{size / 2**30:.1f} GiB in {folder.parent}, where {free / 2**30:.1f} are free"
        raise ParameterError(f"unpacking {name} takes {needed} (TMPDIR names another folder)")
    return folder / f"{next(_numbers)}.npy"


@cache
def _folder(pid: int) -> Path:
    """This process's own, removed at its end."""
    found = temporary_folder()

    def remove() -> None:
        if os.getpid() == pid:  # not at the end of a copy of this process
            shutil.rmtree(found, ignore_errors=True)

    atexit.register(remove)
    return found
