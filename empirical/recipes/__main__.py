"""The table of recipes: ``python -m empirical.recipes``."""

from __future__ import annotations

from collections.abc import Sequence

from empirical.recipes import table
from theory.command import Parser, run


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of ``python -m empirical.recipes``."""
    return run(_command, argv)


def _command(argv: Sequence[str] | None) -> None:
    Parser(prog="python -m empirical.recipes", description=__doc__).parse_args(argv)
    print(table())


if __name__ == "__main__":
    raise SystemExit(main())
