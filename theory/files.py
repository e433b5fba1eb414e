"""Files that are never half written, and JSON documents read with one clear error."""

from __future__ import annotations

import io
import json
import os
import tomllib
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from theory.checks import ParameterError, require

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Refusal = Callable[[str, str, str], ParameterError]  # of a setting's name, what it was and what it is now


def write_text(path: Path, text: str) -> None:
    """Write a text file, see ``write_bytes``."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes, keep: Path | None = None) -> None:
    """Write a file under a temporary name and rename it, so that a reader sees all of it or none.

    It is on the disk before it has its name, so that a power cut leaves all of it or none too. The file that
    it replaces stays under the name ``keep``, if that is given.
    """
    require_writable(path)
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if keep is not None and path.exists():
            os.replace(path, keep)
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise ParameterError(f"cannot write {path}: {error.strerror}") from error


def write_figure(path: Path, figure: Figure) -> None:
    """Write a figure in the format of the file's suffix, see ``write_bytes``."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format=path.suffix[1:], dpi=150)
    write_bytes(path, buffer.getvalue())


def _sync_folder(folder: Path) -> None:
    """Put a folder's names on the disk, where the platform and the file system can."""
    if hasattr(os, "O_DIRECTORY"):  # not on Windows
        with suppress(OSError):
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def require_writable(path: Path) -> None:
    """Fail early, and without writing, where a file could not be written."""
    path = Path(path)
    if path.is_dir() or path.name in ("", ".."):
        raise ParameterError(f"cannot write {path}: it is a folder")
    place = path.parent
    while not place.exists():
        place = place.parent
    if not place.is_dir() or not os.access(place, os.W_OK):
        raise ParameterError(f"cannot write {path}: {place} is no writable folder")


def write_json(path: Path, document: Any) -> None:
    """Write a JSON document; fractions become floats, NaN and infinity are refused, for they are not JSON."""
    write_text(path, json.dumps(document, indent=2, allow_nan=False, default=float) + "\n")


def missing(path: Path, kind: str = "file") -> str:
    """In words: which file, or which folder on the way to it, is missing, and where."""
    place = Path(path).absolute()
    while not place.parent.exists():
        place, kind = place.parent, "folder"
    return f"there is no {kind} {place.name} in {place.parent}"


def unreadable(path: Path, error: OSError) -> ParameterError:
    """The error for a file that cannot be opened."""
    if isinstance(error, FileNotFoundError):
        return ParameterError(f"cannot read {path}: {missing(path)}")
    if isinstance(error, IsADirectoryError):
        return ParameterError(f"cannot read {path}: it is a folder")
    return ParameterError(f"cannot read {path}: {error.strerror or error}")


def read_document(
    path: Path, schema: str, keys: set[str], earlier: Mapping[str, Mapping[str, Any]] | None = None
) -> dict[str, Any]:
    """Read a JSON document of one schema with exactly the given keys.

    Parameters
    ----------
    path : Path
    schema : str
    keys : set of str
    earlier : mapping, optional
        Earlier schemas that are read too, and what a document of each has in place of the keys that it lacks.

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
    check_keys(str(path), document, (keys | {"schema"}) - set(lacking))
    return {**document, **lacking, "schema": schema}


def has_schema(path: Path, schema: str) -> bool:
    """Whether a JSON document is of this schema; ParameterError if the file cannot be read or is not JSON."""
    return bool(_read(path, "JSON", json.loads).get("schema") == schema)


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML document; ParameterError if the file cannot be read or is not TOML."""
    return _read(path, "TOML", tomllib.loads)


def _read(path: Path, kind: str, parse: Callable[[str], Any]) -> dict[str, Any]:
    path = Path(path)
    try:
        document = parse(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise unreadable(path, error) from error
    except (ValueError, RecursionError) as error:
        raise ParameterError(f"{path} is not {kind}: {error}") from error
    require(isinstance(document, dict), str(path), type(document).__name__, f"a {kind} object")
    return dict(document)


def claim(path: Path, settings: Mapping[str, Any], refusal: Refusal, schema: str | None = None) -> None:
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

    Raises
    ------
    ParameterError
        If the folder holds one with other settings, naming the first difference; or the file is none of its kind.
    """
    require_writable(path)
    if path.exists():
        before = _read(path, "JSON", json.loads) if schema is None else read_document(path, schema, set(settings))
        before.pop("schema", None)
        require_unchanged(before, settings, refusal)
    else:
        write_json(path, settings if schema is None else {"schema": schema, **settings})


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
