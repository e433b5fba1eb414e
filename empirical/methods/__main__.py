"""The table of methods in docs/methods.md: ``python -m empirical.methods``."""

from __future__ import annotations

from collections.abc import Sequence

from empirical.methods import table
from theory.command import Parser, run


def main(argv: Sequence[str] | None = None, prog: str = "python -m empirical.methods") -> int:
    """Entry point of ``python -m empirical.methods``."""
    return run(parser(prog), lambda _: print(table()), argv)


def parser(prog: str) -> Parser:
    """The command's options."""
    return Parser(prog, __doc__, "", ("", "> methods.md"))


if __name__ == "__main__":
    raise SystemExit(main())
