"""Arrays of integers and labels, and several files as one; the files themselves are read by ``theory.arrays``."""

from __future__ import annotations

import glob
import io
import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from theory.arrays import load_arrays
from theory.checks import ParameterError, require
from theory.files import write_bytes

Vector = NDArray[np.int64]


def require_arrays(path: Path, found: Mapping[str, NDArray[Any]], names: Collection[str]) -> None:
    """Raise ParameterError unless an .npz file that has been read has these arrays."""
    lacking = [name for name in names if name not in found]
    require(not lacking, str(path), f"no {', '.join(lacking)}", f"the arrays {', '.join(names)}")


def read_integers(name: str, *paths: Path) -> Vector:
    """The integers of .npy files, one after the other; ParameterError, naming the parameter, if one is no vector."""
    return np.concatenate([_integers(name, path) for path in paths])


def find_files(name: str, patterns: Iterable[str]) -> list[Path]:
    """Files of which each is a path or matches a glob pattern, each once, sorted by name.

    Numbers in names count as numbers: part-10 comes after part-9.

    Raises
    ------
    ParameterError
        If a pattern matches nothing. That a plain path exists is left to who reads it.
    """
    found: set[str] = set()
    for pattern in patterns:
        plain = glob.escape(pattern) == pattern or Path(pattern).exists()
        matching = [pattern] if plain else glob.glob(pattern, recursive=True)
        if not matching:
            raise ParameterError(f"{name}: no file matches {pattern}")
        found.update(matching)
    return [Path(path) for path in sorted(found, key=_natural)]


def save_array(path: Path, array: NDArray[Any]) -> None:
    """Write an .npy file under a temporary name and rename it."""
    write_bytes(path, array_bytes(array))


def array_bytes(array: NDArray[Any]) -> bytes:
    """An .npy file's content."""
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def _one_array(name: str, path: Path) -> NDArray[Any]:
    found = load_arrays(path)
    if not isinstance(found, np.ndarray):
        raise ParameterError(f"{name} {path}: not an .npy file of one array")
    return found


def _integers(name: str, path: Path) -> Vector:
    found = _one_array(name, path)
    require(found.ndim == 1, name, f"shape {found.shape}", f"shape (N,) in {path}")
    require(bool(np.issubdtype(found.dtype, np.integer)), name, found.dtype, f"integers in {path}")
    return np.asarray(found, dtype=np.int64)


def _natural(path: str) -> tuple[list[str | tuple[int, str]], str]:
    parts = re.split(r"([0-9]+)", path)  # text and numbers take turns
    return [_size(part.lstrip("0")) if index % 2 else part for index, part in enumerate(parts)], path


def _size(digits: str) -> tuple[int, str]:
    """What orders numbers of any length, which int does not take."""
    return len(digits), digits
