"""What every command shares: options and one-line errors with exit code 2."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from theory.checks import ParameterError


class Parser(argparse.ArgumentParser):
    """An ArgumentParser whose errors are one line, like every other error of the package."""

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        raise ParameterError(message)


def run(main: Callable[[Sequence[str] | None], None], argv: Sequence[str] | None, resumable: bool = False) -> int:
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
        print("interrupted" + "; the same command goes on from here" * resumable, file=sys.stderr)
        return 130
    return 0


def format_number(value: Any, pattern: str) -> str:
    """A number as text, a dash where there is none."""
    return "—" if value is None else format(float(value), pattern)


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in markdown."""
    return "\n".join("| " + " | ".join(line) + " |" for line in (header, ["---"] * len(header), *rows))
