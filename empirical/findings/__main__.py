"""What the study found, as the tables of docs/results.md: ``python -m empirical.findings``."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from theory.checks import ParameterError
from theory.command import Parser, run
from theory.files import missing, require_writable, write_text


def main(argv: Sequence[str] | None = None, prog: str = "python -m empirical.findings") -> int:
    """Entry point of ``python -m empirical.findings``."""
    return run(parser(prog), _command, argv)


def parser(prog: str) -> Parser:
    """The command's options."""
    found = Parser(
        prog,
        __doc__,
        "STEM [options]",
        ("results/cifar10_cpu", "results/cifar10_cpu --page docs/results.md"),
    )
    results = "the study's results, STEM.csv and STEM.json"
    found.group("results").add_argument("stem", type=Path, metavar="STEM", help=results)
    add = found.group("output").add_argument
    add("--page", type=Path, help="fill the tables of this markdown page in place of printing them")
    add("--prefix", default="", help="of the tables' names on the page (none)")
    return found


def _command(args: Namespace) -> None:
    from empirical.findings.claims import TABLES, filled, load

    runs, summary = load(args.stem)
    if args.page is None:
        for name, build in TABLES.items():
            print(f"{name}\n\n{build(runs, summary)}\n")
        return
    if not args.page.is_file():
        raise ParameterError(f"--page {args.page}: {missing(args.page)}")
    require_writable(args.page)
    write_text(args.page, filled(args.page.read_text(encoding="utf-8"), runs, summary, args.prefix))


if __name__ == "__main__":
    raise SystemExit(main())
