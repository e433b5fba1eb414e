"""What every command shares: one-line errors with exit code 2, and files that are never half written."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from theory.params import ParameterError, require


class Parser(argparse.ArgumentParser):
    """An ArgumentParser whose errors are one line, like every other error of the package."""

    def error(self, message: str) -> NoReturn:
        raise ParameterError(message)


def run(main: Callable[[Sequence[str] | None], None], argv: Sequence[str] | None) -> int:
    """Run a command; bad input becomes one line on stderr and exit code 2, Ctrl-C exit code 130."""
    try:
        main(argv)
        sys.stdout.flush()
    except ParameterError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from here", file=sys.stderr)
        return 130
    return 0


def write_text(path: Path, text: str) -> None:
    """Write a file under a temporary name and rename it, so that a reader sees all of it or none."""
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, path)
    except OSError as error:
        raise ParameterError(f"cannot write {path}: {error.strerror}") from error


def write_json(path: Path, document: Any) -> None:
    """Write a JSON document (NaN and infinity are refused, for they are not JSON)."""
    write_text(path, json.dumps(document, indent=2, allow_nan=False) + "\n")


def read_document(path: Path, schema: str, keys: set[str]) -> dict[str, Any]:
    """Read a JSON document of one schema with exactly the given keys.

    Raises
    ------
    ParameterError
        If the file cannot be read, is not JSON, has another schema, or lacks or exceeds the keys.
    """
    path = Path(path)
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ParameterError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise ParameterError(f"{path} is not JSON: {error}") from error
    require(isinstance(document, dict), str(path), type(document).__name__, "a JSON object")
    found = document.get("schema")
    require(found == schema, f"schema of {path}", found, f"schema == {schema}")
    check_keys(str(path), document, keys | {"schema"})
    return dict(document)


def format_number(value: float | None, pattern: str) -> str:
    """A number as text, a dash where there is none."""
    return "—" if value is None else format(value, pattern)


def check_keys(where: str, document: Any, keys: set[str]) -> None:
    """Raise ParameterError unless ``document`` is a dict with exactly these keys."""
    require(isinstance(document, dict), where, type(document).__name__, "a JSON object")
    missing, extra = sorted(keys - set(document)), sorted(set(document) - keys)
    if missing or extra:
        parts = [f"lacks {', '.join(missing)}"] * bool(missing) + [f"has unknown {', '.join(extra)}"] * bool(extra)
        raise ParameterError(f"{where} {' and '.join(parts)}")
