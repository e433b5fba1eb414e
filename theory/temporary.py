"""Temporary folders: what a killed process has left of them, the next one removes."""

from __future__ import annotations

import os
import platform
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from hashlib import blake2b
from pathlib import Path

from theory.locks import BOOT, alive

PREFIX = "difficult-examples-"


def temporary_folder(place: Path | None = None) -> Path:
    """A new folder that bears this process's number, and where that is one.

    Parameters
    ----------
    place : Path, optional
        Where, by default among the temporary files (``TMPDIR``). What this user's processes that have ended left there
        is removed first.
    """
    place = Path(tempfile.gettempdir()) if place is None else place
    _remove_leftovers(place)
    return Path(tempfile.mkdtemp(prefix=f"{PREFIX}{_here()}-{os.getpid()}-", dir=place))


@contextmanager
def in_temporary_folder(place: Path | None = None) -> Iterator[Path]:
    """A folder of ``temporary_folder`` that is removed afterwards."""
    folder = temporary_folder(place)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@cache
def _here() -> str:
    """A mark of this machine since its start and of this container: elsewhere the numbers of processes are others."""
    parts = [platform.node()]
    with suppress(OSError):
        parts += [BOOT.read_text(encoding="utf-8"), os.readlink("/proc/self/ns/pid")]
    return blake2b("\0".join(parts).encode(), digest_size=4).hexdigest()


def _remove_leftovers(place: Path) -> None:
    """What processes of this user, machine and container have left that have ended, and nothing else."""
    named = re.compile(rf"{PREFIX}{_here()}-(\d{{1,10}})-[a-z0-9_]{{8}}")
    for one in place.glob(f"{PREFIX}*"):
        found = named.fullmatch(one.name)
        with suppress(OSError):
            ours = not hasattr(os, "getuid") or one.lstat().st_uid == os.getuid()
            if found and ours and one.is_dir() and not one.is_symlink() and not alive(int(found[1])):
                shutil.rmtree(one, ignore_errors=True)
