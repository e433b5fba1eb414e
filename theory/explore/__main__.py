"""Spectrum, bounds, predictions and plan in the browser, while parameters move: ``python -m theory.explore``."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Sequence

from theory.command import Parser, output, run
from theory.files import write_text
from theory.streams import say


def main(argv: Sequence[str] | None = None, prog: str = "python -m theory.explore") -> int:
    """Entry point of ``python -m theory.explore``."""
    return run(parser(prog), _command, argv)


def parser(prog: str) -> Parser:
    """The command's options."""
    found = Parser(prog, __doc__, "[--out FILE]", ("", "--out explorer.html"))
    where = "write the page to this .html file and open no browser (a temporary file, opened)"
    found.group("output").add_argument("--out", type=output, help=where)
    return found


def _command(args: Namespace) -> None:
    from theory.checks import require
    from theory.explore import page

    if args.out is not None:
        require(args.out.suffix in (".html", ".htm"), "--out", args.out, "a name ending in .html or .htm")
        write_text(args.out, page())
        print(args.out)
        return
    import tempfile
    import webbrowser
    from pathlib import Path

    # One that stays, for the browser reloads it; new, for a known name could be a link that somebody else has made.
    path = Path(tempfile.mkdtemp(prefix="difficult-explorer-")) / "explorer.html"
    write_text(path, page())
    print(path, flush=True)
    if not webbrowser.open(path.as_uri()):
        say("no browser was found: open the file above in one")


if __name__ == "__main__":
    sys.exit(main())
