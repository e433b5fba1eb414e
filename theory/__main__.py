"""Similarity graph, bounds and proofs: ``python -m theory``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from theory.rooms import dispatch, rooms

COMMANDS = rooms("theory", Path(__file__).parent)


def main(argv: Sequence[str] | None = None, prog: str = "python -m theory") -> int:
    """Entry point of ``python -m theory``."""
    return dispatch(prog, __doc__, COMMANDS, argv)


if __name__ == "__main__":
    raise SystemExit(main())
