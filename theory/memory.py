"""How much memory there is, and what cannot fit into it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from theory.checks import ParameterError

PROC, CGROUPS = Path("/proc"), Path("/sys/fs/cgroup")
UNITS = ("KiB", "MiB", "GiB", "TiB", "PiB", "EiB")


def available() -> int | None:
    """Bytes that this process may still use: the machine's, its container's or its own limit; None if unknown."""
    return min(_bounds(), default=None)


def require_memory(name: str, value: object, needed: float, purpose: str) -> None:
    """Refuse what needs more memory than there is, before it is allocated.

    Parameters
    ----------
    name, value
        The parameter that makes it large.
    needed : float
        Bytes; infinity for more than any machine has.
    purpose : str
        What they are for, such as ``for the encoder's weights``.

    Raises
    ------
    ParameterError
        Naming the parameter, the memory that is needed, and what is available.
    """
    there = available()
    if there is not None and needed > there:
        raise ParameterError(name, value, f"memory: {in_words(needed)} {purpose}, {in_words(there)} are available")


def in_words(size: float) -> str:
    """A number of bytes, such as ``1.5 GiB``."""
    if size < 1024:
        return f"{size:.0f} bytes"
    for unit in UNITS:
        size /= 1024
        if size < 1024:
            return f"{size:.1f} {unit}"
    return f"more than 1024 {UNITS[-1]}"


def _bounds() -> Iterator[int]:
    """What each limit that there is leaves."""
    with suppress(OSError, KeyError, ValueError):
        yield 1024 * _table(PROC / "meminfo")["MemAvailable:"]
    if not (PROC / "meminfo").exists():
        with suppress(AttributeError, OSError, ValueError):  # Windows has no sysconf
            yield os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for folder in _cgroups():
        for limit, usage in (("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes")):
            with suppress(OSError, KeyError, ValueError):  # "max" is no number
                used = int((folder / usage).read_text()) - _table(folder / "memory.stat")["inactive_file"]
                yield max(0, int((folder / limit).read_text()) - used)
    if sys.platform != "win32":
        import resource

        with suppress(OSError, ValueError, IndexError):
            limit_of_process = resource.getrlimit(resource.RLIMIT_AS)[0]
            if limit_of_process != resource.RLIM_INFINITY:
                pages = int((PROC / "self" / "statm").read_text().split()[0])
                yield max(0, limit_of_process - pages * os.sysconf("SC_PAGE_SIZE"))


def _cgroups() -> Iterator[Path]:
    """The control groups of this process, of both kinds, and all above them, where they are mounted as usual."""
    with suppress(OSError, ValueError):
        for line in (PROC / "self" / "cgroup").read_text().splitlines():
            _, kinds, path = line.split(":", 2)
            if kinds in ("", "memory"):
                within = Path(path.lstrip("/"))
                yield from (CGROUPS / kinds / part for part in (within, *within.parents))


def _table(path: Path) -> dict[str, int]:
    """The numbers of a file of lines ``NAME NUMBER``."""
    return {words[0]: int(words[1]) for words in map(str.split, path.read_text().splitlines()) if len(words) > 1}
