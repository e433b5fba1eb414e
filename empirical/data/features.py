"""Rows of a feature matrix in chunks, from memory or from a file larger than memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from theory.checks import ParameterError, require
from theory.files import unreadable
from theory.worlds import unit_rows

CHUNK_VALUES = 1 << 24


class Features:
    """A matrix of features, shape (N, d).

    Parameters
    ----------
    source : ndarray or Path
        A float matrix, or an .npy file of one, which is read a chunk at a time.

    Raises
    ------
    ParameterError
        If it is not a float matrix with at least two rows, or (while reading) a row is not finite or
        zero.
    """

    def __init__(self, source: NDArray[Any] | Path) -> None:
        self.array = source if isinstance(source, np.ndarray) else None
        shape: tuple[int, ...]
        if isinstance(source, np.ndarray):
            self.path, shape, dtype = "features", source.shape, source.dtype
        else:
            self.path = str(source)
            shape, dtype, self._offset = _npy_header(source)
        self._dtype = dtype
        require(
            len(shape) == 2 and np.issubdtype(dtype, np.floating),
            self.path,
            f"{dtype} {shape}",
            "a float matrix",
        )
        require(shape[0] >= 2 and shape[1] >= 1, self.path, f"shape {shape}", "at least two rows and one column")
        self.rows, self.width = int(shape[0]), int(shape[1])

    def chunks(self) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """(index of the first row, rows of unit length as float32) in order."""
        step = max(1, CHUNK_VALUES // self.width)
        for start in range(0, self.rows, step):
            raw = self._read(start, min(step, self.rows - start))
            raw = raw.astype(np.promote_types(raw.dtype, np.float32), copy=False)
            largest = np.maximum(raw.max(axis=1, keepdims=True), -raw.min(axis=1, keepdims=True))
            bad = ~np.isfinite(largest[:, 0]) | (largest[:, 0] == 0)
            if bad.any():
                row = int(np.flatnonzero(bad)[0])
                problem = "is all zero, it has no direction" if largest[row, 0] == 0 else "is NaN or infinite"
                raise ParameterError(f"{self.path}: row {start + row} {problem}")
            rows = (raw / largest).astype(np.float32, copy=False)  # in [−1, 1]: squares neither over- nor underflow
            yield start, unit_rows(rows)

    def take(self, indices: NDArray[np.int64]) -> NDArray[np.float32]:
        """Unit rows at the given indices, in their order."""
        out = np.empty((len(indices), self.width), dtype=np.float32)
        for start, rows in self.chunks():
            inside = (indices >= start) & (indices < start + len(rows))
            out[inside] = rows[indices[inside] - start]
        return out

    def _read(self, start: int, count: int) -> NDArray[Any]:
        if self.array is not None:
            return self.array[start : start + count]
        # Not memory-mapped: pages of the file would count as this process's memory.
        item = self._dtype.itemsize * self.width
        flat = np.fromfile(self.path, self._dtype, count * self.width, offset=self._offset + start * item)
        require(len(flat) == count * self.width, self.path, "cut short", "as many values as its header says")
        return flat.reshape(count, self.width)


def _npy_header(path: Path) -> tuple[tuple[int, ...], np.dtype[Any], int]:
    try:
        with open(path, "rb") as file:
            version = np.lib.format.read_magic(file)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, fortran, dtype = read(file)
            offset = file.tell()
    except OSError as error:
        raise unreadable(path, error) from error
    except ValueError as error:
        raise ParameterError(f"{path} is not an .npy file: {error}") from error
    require(not fortran, str(path), "Fortran order", "C order (np.save(path, np.ascontiguousarray(x)))")
    return shape, dtype, offset
