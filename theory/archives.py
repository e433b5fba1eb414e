"""Files of arrays that would fill a memory, refused from their headers before anything is allocated."""

from __future__ import annotations

import math
import warnings
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from theory.checks import ParameterError
from theory.memory import in_words, require_memory

if TYPE_CHECKING:
    import numpy as np

SMALL = 1 << 29  # bytes to which any archive may unpack
LARGEST_RATIO = 100  # by how much a larger one may grow


def require_modest(path: Path) -> None:
    """Refuse a file whose content does not fit into memory, or is far larger than the file.

    Parameters
    ----------
    path : Path
        A zip archive (.npz, a checkpoint) or an .npy file; anything else is left to who reads it.

    Raises
    ------
    ParameterError
        Naming both sizes, if an archive unpacks to more than 512 MiB and 100 times its size, an .npy file is shorter
        than its header says, or there is less memory.
    OSError, ValueError, ...
        As ``zipfile`` and numpy raise them for a damaged file.
    """
    with path.open("rb") as file:
        kind = file.read(2)
    if kind == b"PK":
        _require_no_bomb(path)
    elif kind == b"\x93N":
        _require_whole(path)


def _require_no_bomb(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        unpacked = sum(member.file_size for member in archive.infolist())
    packed = path.stat().st_size
    if unpacked > SMALL and unpacked > LARGEST_RATIO * packed:
        sizes = f"{in_words(packed)} that unpack to {in_words(unpacked)}"
        raise ParameterError("file", path, f"at most {LARGEST_RATIO} times its size, found {sizes}")
    require_memory("file", path, unpacked, "for its content")


class Header(NamedTuple):
    """Of an .npy file: the array's shape, order and type, and where its values begin."""

    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype[Any]
    offset: int

    @property
    def needed(self) -> int:
        """Bytes of all values."""
        return self.dtype.itemsize * math.prod(self.shape)


def npy_header(path: Path) -> Header:
    """The header of an .npy file; errors are those of numpy and of the system."""
    import numpy as np  # slow to import

    with path.open("rb") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of headers that numpy reads all the same
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        return Header(*read(file), file.tell())


def _require_whole(path: Path) -> None:
    header = npy_header(path)
    needed, there = header.needed, path.stat().st_size - header.offset
    if not header.dtype.hasobject and needed > there:  # pickled objects are refused by numpy
        sizes = f"its header says {in_words(needed)}, found {in_words(there)}"
        raise ParameterError(f"cannot read {path}: cut short, {sizes}")
    require_memory("file", path, needed, "for its array")
