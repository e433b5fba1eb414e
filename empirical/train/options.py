"""Settings as options of the commands."""

from __future__ import annotations

from dataclasses import field, fields
from typing import Any

from theory.checks import require
from theory.command import Parser


def option(default: Any, kind: type, text: str) -> Any:
    """A field of a dataclass that is also an option of the commands."""
    return field(default=default, metadata={"kind": kind, "text": text})


def add_arguments(parser: Parser, kind: type) -> None:
    """One option for each ``option`` field of ``Settings`` or ``Running``."""
    for f in fields(kind):
        if "text" not in f.metadata:
            continue
        name = f"--{f.name.replace('_', '-')}"
        shown = f.metadata["text"] if f.default in (None, False, 0) else f"{f.metadata['text']} ({f.default})"
        if f.metadata["kind"] is bool:
            parser.add_argument(name, action="store_true", default=None, help=shown)
        else:
            parser.add_argument(name, type=f.metadata["kind"], help=shown.replace("%", "%%"))


def given(args: Any, kind: type) -> dict[str, Any]:
    """The fields of ``Settings`` or ``Running`` that were given on the command line."""
    names = {f.name for f in fields(kind) if "text" in f.metadata}
    return {name: value for name, value in vars(args).items() if name in names and value is not None}


def require_alone(parser: Parser, args: Any, name: str, *beside: str) -> None:
    """Refuse options beside ``--name``, which takes everything from a folder; those in ``beside`` may be given."""
    for other, value in vars(args).items():
        alone = other in (name, *beside) or value == parser.get_default(other)
        require(alone, other, value, f"nothing beside --{name}, which takes all from the folder")
