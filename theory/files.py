"""Files that are never half written, and JSON documents read with one clear error."""

from __future__ import annotations

import errno
import io
import json
import os
import stat
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from theory.checks import ParameterError, require, shortened
from theory.locks import alive
from theory.streams import SPELLED
from theory.tables import restored

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

LARGEST_JSON = 1 << 28  # bytes; documents that are written here have a thousandth of it
LARGEST_TOML = 1 << 15  # bytes; the time to read one grows with their square
DATA = "data_digests"  # key of the digests beside the settings that are recorded
Refusal = Callable[[str, str, str], ParameterError]  # of a setting's name, what it was and what it is now


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8, see ``write_bytes``."""
    write_bytes(path, _encoded(text))


def write_bytes(path: Path, content: bytes, keep: Path | None = None) -> None:
    """Write a file under a temporary name and rename it, so that a reader sees all of it or none.

    It is on the disk before it has its name, so that a power cut leaves all of it or none too. The file that
    it replaces stays under the name ``keep``, if that is given; else its mode and, where that is allowed, its owner
    are kept. A link stays, and the file that it points to is replaced.
    """
    found, staged = require_writable(path), None
    try:
        staged = _stage(found, content)
        if keep is not None and found.exists():
            os.replace(found, keep)
        os.replace(staged, found)
        _sync_folder(found.parent)
    except OSError as error:
        raise _refusal(path, error) from error
    finally:
        _discard(staged)


def write_together(files: Mapping[Path, bytes | str], gone: Iterable[Path] = ()) -> None:
    """Write files that belong together, so that nobody finds those of two runs side by side.

    All are on the disk under temporary names before anything is changed. Then the old ones go, the last first,
    and the new ones appear, the last of which says that they are complete.

    Parameters
    ----------
    files : mapping of Path to bytes or str
        Contents in the order in which they appear.
    gone : iterable of Path
        Files that belong to them too, and that this run has not.

    Raises
    ------
    ParameterError
        If one cannot be written (nothing has been changed if the disk was full), or two have one name.
    """
    found = {path: require_writable(path) for path in files}
    places = {path: os.path.realpath(found[path]) for path in files}
    for path, place in places.items():
        if list(places.values()).count(place) > 1:
            raise ParameterError(f"cannot write {path}: another output of this command has that name")
    staged: dict[Path, Path] = {}
    path, ordered = Path(), list(files)
    try:
        for path in ordered:
            content = files[path]
            staged[path] = _stage(found[path], _encoded(content) if isinstance(content, str) else content)
        for path in reversed(ordered) if len(ordered) > 1 else ():
            found[path].unlink(missing_ok=True)
        for path in gone:
            remove_leftovers(path)
            require_writable(path).unlink(missing_ok=True)
        for path in ordered:
            os.replace(staged[path], found[path])
        for folder in {one.parent for one in found.values()}:
            _sync_folder(folder)
    except OSError as error:
        raise _refusal(path, error) from error
    finally:
        for temporary in staged.values():
            _discard(temporary)


def _encoded(text: str) -> bytes:
    """UTF-8; bytes of a file's name that are no text are spelled."""
    return text.encode(errors=SPELLED)


def picture(figure: Figure, suffix: str) -> bytes:
    """A figure in the format of a file's suffix, such as ``.png``."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format=suffix[1:], dpi=150)
    return buffer.getvalue()


def _stage(path: Path, content: bytes) -> Path:
    """Put a file's content on the disk beside it, under a name that only this process gives."""
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(path)
    temporary = _temporary(path)
    before = path.stat() if path.exists() else None
    # A link that somebody has put there is neither followed nor replaced.
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(temporary, flags, 0o666 if before is None else 0o600)
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            if before is not None:
                _give(descriptor, before)
            _sync(descriptor)
    except BaseException:
        _discard(temporary)
        raise
    return temporary


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}")


def remove_leftovers(path: Path) -> None:
    """Remove what processes that have ended, killed while they wrote this file, have left of it."""
    start = f".{path.name}."
    try:
        names = os.listdir(path.parent)
    except OSError:
        return  # which whoever writes there is told
    for name in names:
        pid = name.removeprefix(start)
        ours = name.startswith(start) and pid.isascii() and pid.isdecimal()
        if ours and (int(pid) == os.getpid() or not alive(int(pid))):
            _discard(path.with_name(name))


def _discard(temporary: Path | None) -> None:
    if temporary is not None:
        with suppress(OSError):
            temporary.unlink()


def _give(descriptor: int, before: os.stat_result) -> None:
    """Give a new file the owner, if we may, and the mode of the one that it replaces."""
    if hasattr(os, "fchown"):  # not on Windows
        with suppress(OSError):
            os.fchown(descriptor, before.st_uid, before.st_gid)
        os.fchmod(descriptor, stat.S_IMODE(before.st_mode))


def _sync(descriptor: int) -> None:
    """Put an open file on the disk, where the file system can."""
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS):
            raise


def _sync_folder(folder: Path) -> None:
    """Put a folder's names on the disk, where the platform and the file system can."""
    if hasattr(os, "O_DIRECTORY"):  # not on Windows
        with suppress(OSError):
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def require_writable(path: Path) -> Path:
    """Fail early, and without writing, where a file could not be written, or would destroy something else.

    Parameters
    ----------
    path : Path
        A new name or a regular file, or a link to one of these.

    Returns
    -------
    Path
        The file itself, behind all links.

    Raises
    ------
    ParameterError
        If it is a folder, a device, a pipe …; an input of the command that runs, whatever its name; the file into
        which the command prints; or in no folder that can be written to.
    """
    path = Path(path)
    if path.name in ("", ".."):
        raise ParameterError(f"cannot write {path}: it is a folder")
    try:
        there = _status(path)
        found = Path(os.path.realpath(path)) if path.is_symlink() else path
        _status(_temporary(found))  # whose name may be too long
    except (OSError, ValueError) as error:
        raise _refusal(path, error) from error
    if there is not None:
        _require_replaceable(path, found, there)
    place = nearest_folder(found.parent)
    if place is None:
        raise ParameterError(f"cannot write {path}: there is no {found.anchor or found}")
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        raise ParameterError(f"cannot write {path}: {place} is no writable folder")
    return found


def _status(path: Path) -> os.stat_result | None:
    try:
        return os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None


def _require_replaceable(path: Path, found: Path, there: os.stat_result) -> None:
    for kind, name in KINDS.items():
        if stat.S_IFMT(there.st_mode) == kind:
            raise ParameterError(f"cannot write {path}: it is a {name}")
    if not stat.S_ISREG(there.st_mode):
        raise ParameterError(f"cannot write {path}: it is no regular file")
    if not os.access(found, os.W_OK):
        raise ParameterError(f"cannot write {path}: it is write-protected")
    for name, source in (item for known in _inputs for item in known.items()):
        with suppress(OSError):
            if os.path.samestat(os.stat(source), there):
                raise ParameterError(f"cannot write {path}: it is an input of this command ({name})")
    for stream in (1, 2):
        with suppress(OSError):
            if os.path.samestat(os.fstat(stream), there):
                raise ParameterError(f"cannot write {path}: the command prints into it")


KINDS = {
    stat.S_IFDIR: "folder",
    stat.S_IFCHR: "device",
    stat.S_IFBLK: "device",
    stat.S_IFIFO: "pipe",
    stat.S_IFSOCK: "socket",
}

_inputs: list[dict[str, Path]] = []  # of the commands that run, files by what a user calls them


@contextmanager
def inputs(files: Mapping[str, Path]) -> Iterator[None]:
    """For the time of a command, refuse to write any of these files; the keys are what errors call them."""
    _inputs.append(dict(files))
    try:
        yield
    finally:
        _inputs.pop()


def add_input(name: str, path: Path) -> None:
    """Refuse to write this file too, if a command runs."""
    if _inputs:
        _inputs[-1][name] = path


def nearest_folder(path: Path) -> Path | None:
    """What there is of a path: itself or the nearest folder above it; None on a drive that is missing."""
    return next((place for place in (path, *path.parents) if os.path.lexists(place)), None)


def _refusal(path: Path, error: OSError | ValueError) -> ParameterError:
    return ParameterError(f"cannot write {path}: {getattr(error, 'strerror', None) or error}")


def json_text(document: Any) -> str:
    """A JSON document; fractions become floats, NaN and infinity are refused, for they are not JSON."""
    return json.dumps(document, indent=2, allow_nan=False, default=float) + "\n"


def write_json(path: Path, document: Any) -> None:
    """Write a JSON document, see ``json_text`` and ``write_bytes``."""
    write_text(path, json_text(document))


def missing(path: Path, kind: str = "file") -> str:
    """In words: which file, or which folder on the way to it, is missing, and where."""
    place = Path(path).absolute()
    while not place.parent.exists():
        if place.parent == place.parent.parent:  # a drive of Windows
            return f"there is no {place.parent}"
        place, kind = place.parent, "folder"
    return f"there is no {kind} {place.name} in {place.parent}"


def require_readable(path: Path) -> None:
    """Refuse to read what is no regular file: a device may have no end, and a pipe no beginning.

    Raises
    ------
    ParameterError
        If it is not there, is a folder, device, pipe …, or cannot be looked at.
    """
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        raise unreadable(path, error) from error
    except ValueError as error:
        raise ParameterError(f"cannot read {path}: {error}") from error
    for kind, name in KINDS.items():
        if stat.S_IFMT(mode) == kind:
            raise ParameterError(f"cannot read {path}: it is a {name}")


def unreadable(path: Path, error: OSError) -> ParameterError:
    """The error for a file that cannot be opened."""
    if isinstance(error, FileNotFoundError):
        return ParameterError(f"cannot read {path}: {missing(path)}")
    if isinstance(error, IsADirectoryError):
        return ParameterError(f"cannot read {path}: it is a folder")
    return ParameterError(f"cannot read {path}: {error.strerror or error}")


def read_document(
    path: Path,
    schema: str,
    keys: set[str],
    earlier: Mapping[str, Mapping[str, Any]] | None = None,
    beside: Set[str] = frozenset(),
) -> dict[str, Any]:
    """Read a JSON document of one schema with exactly the given keys.

    Parameters
    ----------
    path : Path
    schema : str
    keys : set of str
    earlier : mapping, optional
        Earlier schemas that are read too, and what a document of each has in place of the keys that it lacks.
    beside : set of str, optional
        Keys that it may have too.

    Raises
    ------
    ParameterError
        If the file cannot be read, is not JSON, has another schema, or lacks or exceeds the keys.
    """
    document = _read(path, "JSON", json.loads)
    found, added = document.get("schema"), earlier or {}
    known = isinstance(found, str) and found in added
    require(found == schema or known, f"schema of {path}", found, f"schema == {schema}")
    lacking = added[str(found)] if known else {}
    check_keys(str(path), document, (keys | {"schema"} | (beside & set(document))) - set(lacking))
    return {**document, **lacking, "schema": schema}


def has_schema(path: Path, schema: str) -> bool:
    """Whether a JSON document is of this schema; ParameterError if the file cannot be read or is not JSON."""
    return bool(_read(path, "JSON", json.loads).get("schema") == schema)


def read_json(path: Path, *keys: str) -> dict[str, Any]:
    """Read a JSON object; ParameterError if the file cannot be read, is none, or lacks one of the keys."""
    document = _read(path, "JSON", json.loads)
    lacking = [key for key in keys if key not in document]
    require(not lacking, str(path), f"no {', '.join(lacking)}", f"a JSON object with {', '.join(keys)}")
    return document


def read_table(path: Path, *columns: str) -> DataFrame:
    """Read a CSV file with pandas; ParameterError if it cannot be read, has no rows, or lacks one of the columns.

    Of the columns that are named, all entries are numbers.
    """
    import pandas as pd  # slow to import

    path = Path(path)
    require_readable(path)
    try:
        found = restored(pd.read_csv(path))
    except OSError as error:
        raise unreadable(path, error) from error
    except (ValueError, OverflowError, MemoryError) as error:
        raise ParameterError(f"{path} is no table: {str(error).splitlines()[0] if str(error) else error!r}") from error
    lacking = [name for name in columns if name not in found]
    require(not lacking, str(path), f"no {', '.join(lacking)}", "a table with this column")
    require(len(found) > 0, str(path), "no rows", "a table with rows")
    for name in columns:
        numbers = pd.api.types.is_numeric_dtype(found[name]) and not pd.api.types.is_bool_dtype(found[name])
        require(numbers, str(path), f"text in {name}", "a table of numbers")
    return found


def read_text(path: Path) -> str:
    """The text of a file in UTF-8; ParameterError if it cannot be read or is none."""
    path = Path(path)
    require_readable(path)
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise unreadable(path, error) from error
    except ValueError as error:
        raise ParameterError(f"cannot read {path}: it is no text in UTF-8") from error


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML document of at most 32 KiB; ParameterError if the file cannot be read or is not TOML."""
    return _read(path, "TOML", tomllib.loads, LARGEST_TOML)


def _read(path: Path, kind: str, parse: Callable[[str], Any], largest: int = LARGEST_JSON) -> dict[str, Any]:
    path = Path(path)
    require_readable(path)
    try:
        size = path.stat().st_size
        require(size <= largest, f"size of {path}", f"{size:,} bytes", f"at most {largest:,} bytes of {kind}")
        document = parse(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise unreadable(path, error) from error
    except (ValueError, RecursionError) as error:
        if isinstance(error, ParameterError):
            raise
        raise ParameterError(f"{path} is not {kind}: {shortened(error)}") from error
    require(isinstance(document, dict), str(path), type(document).__name__, f"a {kind} object")
    return dict(document)


def claim(
    path: Path,
    settings: Mapping[str, Any],
    refusal: Refusal,
    schema: str | None = None,
    data: Mapping[str, str] | None = None,
) -> None:
    """Record settings in a folder, so that what is in it is never mixed with results of others.

    Parameters
    ----------
    path : Path
        A JSON file in the folder.
    settings : mapping
        Plain data.
    refusal : callable
        The error for a setting that differs, such as ``belongs_to``.
    schema : str, optional
        Of the file.
    data : mapping of str to str, optional
        Digests of the data's parts, by what errors call them. A file of an earlier version has none, and is trusted.

    Raises
    ------
    ParameterError
        If the folder holds one with other settings or data, naming the first difference; or the file is none of its
        kind.
    """
    require_writable(path)
    if path.exists():
        keys = set(settings)
        before = _read(path, "JSON", json.loads) if schema is None else read_document(path, schema, keys, beside={DATA})
        before.pop("schema", None)
        known = before.pop(DATA, None)
        require_unchanged(before, settings, refusal)
        require_same_data(known, data, path.parent)
    else:
        found = settings if data is None else {**settings, DATA: dict(data)}
        write_json(path, found if schema is None else {"schema": schema, **found})


def require_same_data(before: Any, now: Mapping[str, str] | None, place: Path) -> None:
    """Refuse data of which a part is not as it was when what is in the folder was begun.

    Parameters
    ----------
    before : mapping of str to str or None
        Digests of the parts then, by what errors call them; None where they were not recorded.
    now : mapping of str to str or None
    place : Path
    """
    if now is None or not isinstance(before, Mapping):
        return
    for part, digest in now.items():
        if before.get(part) != digest:
            change = f"the {part} are not those with which {place} was begun"
            raise ParameterError(f"{change}: use the data as they were, or another --out")


def belongs_to(kind: str, place: Path) -> Refusal:
    """The error for a folder that holds an experiment, run … with another setting."""
    return lambda name, before, now: ParameterError(
        name, now, f"{name} = {before} of the {kind} in {place} (use another --out)"
    )


def require_unchanged(before: Mapping[str, Any], settings: Mapping[str, Any], refusal: Refusal) -> None:
    """Raise the refusal of the first setting, also within a group of settings, that differs from before."""
    for name in dict.fromkeys((*settings, *before)):
        old, new = before.get(name), settings.get(name)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            require_unchanged(old, new, refusal)
        elif old != new:
            raise refusal(name, _short(old), _short(new))


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:60]}…"


def check_keys(where: str, document: Any, keys: set[str]) -> None:
    """Raise ParameterError unless ``document`` is a dict with exactly these keys."""
    require(isinstance(document, dict), where, type(document).__name__, "a JSON object")
    missing, extra = sorted(keys - set(document)), sorted(set(document) - keys)
    if missing or extra:
        parts = [f"lacks {', '.join(missing)}"] * bool(missing) + [f"has unknown {', '.join(extra)}"] * bool(extra)
        raise ParameterError(f"{where} {' and '.join(parts)}")
