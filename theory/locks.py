"""One process at a time in a folder of results, and which processes live."""

from __future__ import annotations

import json
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from theory.checks import ParameterError

if sys.platform != "win32":
    import fcntl

LOCK = ".lock"
BOOT = Path("/proc/sys/kernel/random/boot_id")  # the same in all containers of a machine, another after a restart
_held: set[str] = set()  # folders that this process has locked


def alive(pid: int) -> bool:
    """Whether there is a process with this number that has not ended, here; always where nothing can tell."""
    if sys.platform == "win32":
        return True  # signal 0 would end it
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    try:  # one that has ended, and whose parent has not asked how, is there too
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(") ")[2][:1] != "Z"
    except OSError:
        return True


@contextmanager
def locked(folder: Path) -> Iterator[Path]:
    """Have a folder, which is made, to oneself for the time of a ``with`` block.

    The operating system holds the lock, so that it ends with the process, however that ends. The file ``.lock`` says
    whose it is; it goes with the block, and so do folders that were made for it and are empty. A block within another
    one of the same process waits for nothing.

    Yields
    ------
    Path
        The file.

    Raises
    ------
    ParameterError
        If another process has the folder, naming it; if one of another machine had it and may still run, which
        file to remove; or if the file cannot be written.
    """
    place = Path(os.path.realpath(folder))
    path = place / LOCK
    shown = Path(folder).absolute() / LOCK
    if str(place) in _held:
        yield shown
        return
    made = [above for above in (place, *place.parents) if not os.path.lexists(above)]
    try:
        try:
            place.mkdir(parents=True, exist_ok=True)
            descriptor = _taken(Path(folder), path)
        except OSError as error:
            raise ParameterError(f"cannot write {Path(folder) / LOCK}: {error.strerror}") from error
        _held.add(str(place))
        try:
            yield shown
        finally:
            _held.discard(str(place))
            if _is(path, descriptor):
                path.unlink()
            os.close(descriptor)
    finally:
        for above in made:
            with suppress(OSError):  # it is not empty, or gone
                above.rmdir()


def _taken(folder: Path, path: Path) -> int:
    """The lock's file, open, ours and with our name in it."""
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    while True:
        descriptor = os.open(path, flags, 0o644)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise ParameterError(f"cannot write {path}: it is no regular file")
            certain = _system_lock(descriptor)
            if not _is(path, descriptor):  # the one before has just removed it
                os.close(descriptor)
                continue
            before = _read(descriptor)
            if certain is False or (certain is None and before and _same_machine(before) and alive(before["pid"])):
                name = _name(before)
                raise ParameterError(f"{folder} is in use by {name}: wait until that has ended, or use another --out")
            if before and not _same_machine(before):
                raise ParameterError(
                    f"{folder} is in use by {_name(before)}, or was when that was killed: remove {path} if it has ended"
                )
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, json.dumps(_myself()).encode(), 0)
            return descriptor
        except BaseException:
            with suppress(OSError):
                os.close(descriptor)
            raise


def _system_lock(descriptor: int) -> bool | None:
    """Whether the operating system has given us the lock; None if it or the file system has none."""
    if sys.platform == "win32":
        return None
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:
        return None
    return True


def _is(path: Path, descriptor: int) -> bool:
    """Whether this open file has that name."""
    try:
        return os.path.samestat(os.lstat(path), os.fstat(descriptor))
    except OSError:
        return False


def _myself() -> dict[str, Any]:
    import platform  # slow to import, and for this alone

    boot = ""
    with suppress(OSError):
        boot = BOOT.read_text(encoding="utf-8").strip()
    return {"pid": os.getpid(), "host": platform.node(), "boot": boot}


def _read(descriptor: int) -> dict[str, Any] | None:
    """What a lock's file says, None if it was not written to the end."""
    try:
        found = json.loads(os.pread(descriptor, 4096, 0))
        return {"pid": int(found["pid"]), "host": str(found["host"]), "boot": str(found["boot"])}
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _same_machine(owner: dict[str, Any]) -> bool:
    """Whether a lock that the system has given up is one of this machine: then its process has ended."""
    mine = _myself()
    return bool(owner["host"] == mine["host"] or (mine["boot"] and owner["boot"] == mine["boot"]))


def _name(owner: dict[str, Any] | None) -> str:
    return "another process" if owner is None else f"process {owner['pid']} on {owner['host']}"
