"""What no command may take: values outside the range that its own help tells, and names that are no files."""

from __future__ import annotations

import math
import os
import re
from argparse import Action
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.fuzz.calling import Call
from theory.checks import LARGEST, ParameterError
from theory.command import Parser, output

HELP = re.compile(
    r"(?P<above>above )?(?P<from>from )?(?<![\w.])(?P<low>-?[\d.]+) to (?P<below>below )?(?P<high>-?[\d.]+)(?![\w.])"
    r"|>= (?P<least>[\d.e-]+)|> (?P<more>[\d.e-]+)"
)


def accepted(call: Call, parser: Parser, folder: Path) -> list[str]:
    """What a call that was not refused has taken and should not have."""
    try:
        args = parser.parse_args(list(call.arguments))
    except (ParameterError, SystemExit):
        return []
    return [text for action in parser._actions for text in _of(action, getattr(args, action.dest, None), folder)]


def _of(action: Action, given: Any, folder: Path) -> Iterator[str]:
    values = given if isinstance(given, list) else [given]
    name = action.option_strings[-1] if action.option_strings else action.dest
    for value in values:
        if value is None or value is action.default:
            continue
        if isinstance(value, int | float) and not isinstance(value, bool):
            if not math.isfinite(value) or (isinstance(value, float) and abs(value) > LARGEST):
                yield f"{name} {value}"
            elif not within(action)(value):
                yield f"{name} {value}, of which its help says: {action.help}"
            elif isinstance(value, int) and value < 0:
                yield f"{name} {value}, a negative count"
        if isinstance(value, str | Path) and "\0" in str(value):
            yield f"{name} with a sign of code 0"
        file = action.type is output and action.metavar in (None, "FILE", "FOLDER")  # not the start of a name
        if file and _no_file(folder / value):
            yield f"{name} {value}, which is no regular file"


def within(action: Action) -> Callable[[float], bool]:
    """Whether a number is in the range that the option's help tells; the first one, if it tells several."""
    found = HELP.search(action.help or "")
    if found is None:
        return lambda value: True
    part = found.groupdict()
    if part["least"]:
        return lambda value: value >= float(part["least"])
    if part["more"]:
        return lambda value: value > float(part["more"])
    low, high = float(part["low"]), float(part["high"])
    above, below = bool(part["above"]), bool(part["below"])
    return lambda value: (value > low if above else value >= low) and (value < high if below else value <= high)


def _no_file(path: Path) -> bool:
    try:
        return os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path)
    except ValueError:
        return True
