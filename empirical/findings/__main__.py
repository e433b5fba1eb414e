"""What the evidence and the studies found, as the tables of docs/results.md: ``python -m empirical.findings``."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from theory.checks import ParameterError
from theory.command import Parser, output, run
from theory.files import missing, read_text, require_writable, write_text

STEM = Path("results/evidence")


def main(argv: Sequence[str] | None = None, prog: str = "python -m empirical.findings") -> int:
    """Entry point of ``python -m empirical.findings``."""
    return run(parser(prog), _command, argv)


def parser(prog: str) -> Parser:
    """The command's options."""
    found = Parser(
        prog,
        __doc__,
        "[STEM] [options]",
        ("results/evidence --page docs/results.md", "results/cifar10_cpu --page docs/study.md"),
    )
    results = f"published results, STEM.csv and STEM.json, of the evidence or of a study ({STEM})"
    found.group("results").add_argument("stem", nargs="?", type=Path, default=STEM, metavar="STEM", help=results)
    add = found.group("output").add_argument
    add("--page", type=output, help="fill the tables of this markdown page in place of printing them")
    add("--prefix", default="", help="of the tables' names on the page (none)")
    return found


def _command(args: Namespace) -> None:
    from empirical.findings.pages import filled, tables

    found = tables(args.stem)
    if args.page is None:
        from empirical.evidence.tables import NOTHING

        print("\n\n".join(f"{name}\n\n{text}" for name, text in found.items() if text != NOTHING))
        return
    if not args.page.is_file():
        raise ParameterError(f"--page {args.page}: {missing(args.page)}")
    require_writable(args.page)
    write_text(args.page, filled(read_text(args.page), found, args.prefix))


if __name__ == "__main__":
    raise SystemExit(main())
