"""The table of recipes in docs/recipes.md, settings for whole data sets: ``python -m empirical.recipes``."""

from __future__ import annotations

from collections.abc import Sequence

from empirical.recipes import table
from theory.command import Parser, run


def main(argv: Sequence[str] | None = None, prog: str = "python -m empirical.recipes") -> int:
    """Entry point of ``python -m empirical.recipes``."""
    return run(parser(prog), lambda _: print(table()), argv)


def parser(prog: str) -> Parser:
    """The command's options."""
    return Parser(prog, __doc__, "", ("", "> recipes.md"))


if __name__ == "__main__":
    raise SystemExit(main())
