"""What was read of a file or folder is kept for as long as that stays as it is."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import lru_cache, wraps
from hashlib import sha256
from typing import Any, TypeVar, cast

WATCHED = 10_001  # a folder and its files: to ask for more takes seconds
Reader = TypeVar("Reader", bound=Callable[..., Any])


def kept_while_unchanged(maxsize: int) -> Callable[[Reader], Reader]:
    """Make a reader, whose first argument is a source, remember its last ``maxsize`` results by the source's state.

    A file that has changed, or another one of the same relative path, is read again. The reader's ``cache_clear()``
    forgets all.
    """

    def decorated(read: Reader) -> Reader:
        @lru_cache(maxsize)
        def kept(_state: str, source: str, *args: Any, **options: Any) -> Any:
            return read(source, *args, **options)

        @wraps(read)
        def reader(source: str, *args: Any, **options: Any) -> Any:
            return kept(state(source), source, *args, **options)

        reader.cache_clear = kept.cache_clear  # type: ignore[attr-defined]
        return cast("Reader", reader)

    return decorated


def state(source: str) -> str:
    """A digest of the place, size and time of change of a file, or of a folder's files, links not followed.

    Parameters
    ----------
    source : str
        A path, relative to the working folder or not, or KIND:PATH. Where nothing is, the place alone counts; of a
        folder with more than 10,000 files which there are, but not whether one has other content.
    """
    place = os.path.abspath(os.path.expanduser(source.partition(":")[2] or source))
    within = os.walk(place) if os.path.isdir(place) else ()
    paths = [place, *sorted(os.path.join(folder, name) for folder, _, names in within for name in names)]
    found = sha256()
    for path in paths:
        found.update(os.fsencode(path) + b"\0")
        if len(paths) <= WATCHED and os.path.isfile(path):
            status = os.stat(path)
            found.update(f"{status.st_size} {status.st_mtime_ns}\0".encode())
    return found.hexdigest()
