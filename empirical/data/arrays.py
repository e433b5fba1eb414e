"""Arrays in numpy's formats, read with one clear error for whatever is wrong with a file."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from theory.checks import ParameterError, require
from theory.files import unreadable, write_bytes

Vector = NDArray[np.int64]


def read_npz(path: Path) -> dict[str, NDArray[Any]]:
    """All arrays of an .npz file; ParameterError if it is not one."""
    found = _load(path)
    if not isinstance(found, dict):
        raise ParameterError(f"{path} is not an .npz file of arrays")
    return dict(found)


def read_integers(name: str, path: Path) -> Vector:
    """A vector of integers from an .npy file; ParameterError, naming the parameter, if it is none."""
    found = _load(path)
    if not isinstance(found, np.ndarray):
        raise ParameterError(f"{name} {path}: not an .npy file of one array")
    require(found.ndim == 1, name, f"shape {found.shape}", "shape (N,)")
    require(bool(np.issubdtype(found.dtype, np.integer)), name, found.dtype, "integers")
    return np.asarray(found, dtype=np.int64)


def save_array(path: Path, array: NDArray[Any]) -> None:
    """Write an .npy file under a temporary name and rename it."""
    buffer = io.BytesIO()
    np.save(buffer, array)
    write_bytes(path, buffer.getvalue())


def _load(path: Path) -> Any:
    try:
        found = np.load(path, allow_pickle=False)
        if isinstance(found, np.ndarray):
            return found
        with found:
            return dict(found)
    except OSError as error:
        raise unreadable(path, error) from error
    except Exception as error:  # numpy and zipfile raise many kinds for a damaged file
        raise ParameterError(f"cannot read {path}: {error}") from error
