"""Temporary folders: what a killed process has left of them, the next one removes."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from theory.locks import alive

PREFIX = "difficult-"


def temporary_folder(place: Path | None = None) -> Path:
    """A new folder that bears this process's number.

    Parameters
    ----------
    place : Path, optional
        Where, by default among the temporary files (``TMPDIR``). What this user's processes that have ended left there
        is removed first.
    """
    place = Path(tempfile.gettempdir()) if place is None else place
    _remove_leftovers(place)
    return Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=place))


@contextmanager
def in_temporary_folder(place: Path | None = None) -> Iterator[Path]:
    """A folder of ``temporary_folder`` that is removed afterwards."""
    folder = temporary_folder(place)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _remove_leftovers(place: Path) -> None:
    for one in place.glob(f"{PREFIX}*-*"):
        pid = one.name.removeprefix(PREFIX).partition("-")[0]
        with suppress(OSError):
            ours = not hasattr(os, "getuid") or one.lstat().st_uid == os.getuid()
            if pid.isdecimal() and ours and one.is_dir() and not one.is_symlink() and not alive(int(pid)):
                shutil.rmtree(one, ignore_errors=True)
