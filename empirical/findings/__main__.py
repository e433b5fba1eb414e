"""What the study found: ``python -m empirical.findings``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from empirical.findings.claims import TABLES, filled, load
from theory.checks import require
from theory.command import Parser, run
from theory.files import require_writable, write_text


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of ``python -m empirical.findings``."""
    return run(_command, argv)


def _command(argv: Sequence[str] | None) -> None:
    parser = Parser(prog="python -m empirical.findings", description=__doc__)
    parser.add_argument("stem", type=Path, help="the results, without .csv or .json")
    parser.add_argument("--page", type=Path, help="fill the tables of this page in place of printing them")
    parser.add_argument("--prefix", default="", help="of the tables' names on the page")
    args = parser.parse_args(argv)
    runs, summary = load(args.stem)
    if args.page is None:
        for name, build in TABLES.items():
            print(f"{name}\n\n{build(runs, summary)}\n")
        return
    require(args.page.is_file(), "page", args.page, "an existing file")
    require_writable(args.page)
    write_text(args.page, filled(args.page.read_text(encoding="utf-8"), runs, summary, args.prefix))


if __name__ == "__main__":
    raise SystemExit(main())
