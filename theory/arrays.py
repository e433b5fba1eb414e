"""Arrays in numpy's formats, read without running code and with one clear error for whatever is wrong with a file."""

from __future__ import annotations

import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from theory.archives import require_modest
from theory.checks import ParameterError, require
from theory.files import require_readable, unreadable


def load_arrays(path: Path) -> NDArray[Any] | dict[str, NDArray[Any]]:
    """The array of an .npy file, or all arrays of an .npz file by name.

    Raises
    ------
    ParameterError
        If the file cannot be read, is damaged or neither of the two, is too large (``require_modest``), or holds
        something else than arrays of plain data. Objects are never unpickled.
    """
    path = Path(path)
    require_readable(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of headers that numpy reads all the same
            require_modest(path)
            found = np.load(path, allow_pickle=False)
            arrays = found if isinstance(found, np.ndarray) else _members(found)
    except ParameterError:
        raise
    except OSError as error:
        raise unreadable(path, error) from error
    except Exception as error:  # numpy and zipfile raise many kinds for a damaged file
        raise ParameterError(f"cannot read {path}: {_reason(path, error)}") from error
    for name, array in {"": arrays}.items() if isinstance(arrays, np.ndarray) else arrays.items():
        member = f" ({name})" if name else ""
        if not isinstance(array, np.ndarray):
            raise ParameterError(f"cannot read {path}{member}: it is no array")
        require(array.dtype.names is None, f"{path}{member}", f"fields of {array.dtype}", "an array of plain values")
    return arrays


def read_npz(path: Path) -> dict[str, NDArray[Any]]:
    """All arrays of an .npz file; ParameterError if it is not one."""
    found = load_arrays(path)
    if isinstance(found, np.ndarray):
        raise ParameterError("file", path, "an .npz file of arrays")
    return found


def read_array(path: Path, *shape: int | None) -> NDArray[Any]:
    """The array of an .npy file; ParameterError if it is none, or of another shape (None: any length)."""
    found = load_arrays(path)
    if not isinstance(found, np.ndarray):
        raise ParameterError(f"cannot read {path}: it is no .npy file of one array")
    fits = len(found.shape) == len(shape) and all(n in (None, m) for n, m in zip(shape, found.shape, strict=True))
    expected = f"shape ({', '.join('any' if n is None else str(n) for n in shape)})"
    require(not shape or fits, str(path), f"shape {found.shape}", expected)
    return found


def _members(file: Any) -> dict[str, NDArray[Any]]:
    with file:
        return dict(file)


def _reason(path: Path, error: Exception) -> str:
    """What is wrong with a file that numpy refuses, in few words."""
    with path.open("rb") as file:
        ours = file.read(2) in (b"\x93N", b"PK")
    if not ours:
        return "it is no .npy or .npz file"
    if isinstance(error, MemoryError):
        return "it does not fit into memory"
    if "pickle" in str(error):
        return "it has Python objects, which are never loaded"
    words = str(error).strip().splitlines()
    if not words or "<" in words[0] or not isinstance(error, ValueError | EOFError | zipfile.BadZipFile):
        return "it is damaged"  # a parser's words on a header, among others
    return words[0][:200]
