"""The table of methods: ``python -m empirical.methods``."""

from __future__ import annotations

from collections.abc import Sequence

from empirical.methods import table
from theory.command import Parser, run


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of ``python -m empirical.methods``."""
    return run(_command, argv)


def _command(argv: Sequence[str] | None) -> None:
    Parser(prog="python -m empirical.methods", description=__doc__).parse_args(argv)
    print(table())


if __name__ == "__main__":
    raise SystemExit(main())
