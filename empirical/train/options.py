"""Settings as options of the commands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field, fields
from typing import Any

from theory.checks import ParameterError, Range, require_known
from theory.command import Parser

GROUPS = ("data", "views", "encoder and projector", "loss and remedy", "optimisation", "device", "output")


def option(
    default: Any, kind: type, group: str, text: str, within: Range | None = None, names: Sequence[str] = ()
) -> Any:
    """A field of a dataclass that is also an option of the commands.

    Parameters
    ----------
    default : object
    kind : type
        int, float, str, or bool for a flag.
    group : str
        One of ``GROUPS``, under which the help shows it.
    text : str
        What it means, with its unit.
    within : Range, optional
        The values that it may have; None is always one if it is the default.
    names : sequence of str
        The same for a str.
    """
    return field(
        default=default, metadata={"kind": kind, "group": group, "text": text, "within": within, "names": names}
    )


def check_options(settings: Any) -> None:
    """Raise ParameterError unless every ``option`` field of a dataclass is in its range."""
    for f in fields(settings):
        value = getattr(settings, f.name)
        within, names = f.metadata.get("within"), f.metadata.get("names")
        if names:
            require_known(f.name, value, names)
        if within is not None and not (value is None and f.default is None):
            within.require(f.name, value)


def add_arguments(parser: Parser, defaults: Any, needed: Sequence[str] = (), only: Sequence[str] | None = None) -> None:
    """One option for each ``option`` field of a ``Settings`` or ``Running``, or of those that are named alone.

    Its value is shown as the option's default, unless the option is ``needed``; parsed, what was not given is None.
    """
    chosen = [f for f in fields(defaults) if "text" in f.metadata and (only is None or f.name in only)]
    for f in sorted(chosen, key=lambda f: GROUPS.index(f.metadata["group"])):
        add = parser.group(f.metadata["group"]).add_argument
        name, text = (
            f"--{f.name.replace('_', '-')}",
            _help(f.metadata, None if f.name in needed else getattr(defaults, f.name)),
        )
        if f.metadata["kind"] is bool:
            add(name, action="store_true", default=None, help=text)
        else:
            free = f.metadata["kind"] is str and not f.metadata["names"]
            metavar = f.name.upper() if free else None
            add(name, type=f.metadata["kind"], choices=f.metadata["names"] or None, metavar=metavar, help=text)


def _help(metadata: Any, default: Any) -> str:
    text = str(metadata["text"])
    if metadata["names"]:
        text += f": {', '.join(metadata['names'])}"
    if metadata["within"] is not None:
        text += f", {metadata['within']}"
    if default is not None and metadata["kind"] is not bool:
        text += f" ({default:g})" if isinstance(default, float) else f" ({default})"
    return text.replace("%", "%%")


def given(args: Any, kind: type) -> dict[str, Any]:
    """The fields of ``Settings`` or ``Running`` that were given on the command line."""
    names = {f.name for f in fields(kind) if "text" in f.metadata}
    return {name: value for name, value in vars(args).items() if name in names and value is not None}


def require_alone(parser: Parser, args: Any, name: str, *beside: str) -> None:
    """Refuse options beside ``--name``, which takes everything from a folder; those in ``beside`` may be given."""
    for other, value in vars(args).items():
        if other not in (name, *beside) and value != parser.get_default(other):
            raise ParameterError(f"{parser.label(other)} and --{name} exclude each other: it takes all from the folder")
