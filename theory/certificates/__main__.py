"""Re-check the stored certificates, or compute them anew: ``python -m theory.certificates``."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence

from theory.certificates import CLAIMS, check, load, store
from theory.checks import ParameterError
from theory.command import Parser, run


def main(argv: Sequence[str] | None = None, prog: str = "python -m theory.certificates") -> int:
    """Entry point of ``python -m theory.certificates``."""
    return run(parser(prog), _command, argv)


def parser(prog: str) -> Parser:
    """The command's options."""
    found = Parser(prog, __doc__, "[options]", ("", "--store"))
    found.add_argument("--store", action="store_true", help="compute them and rewrite certificates.json")
    return found


def _command(args: Namespace) -> None:
    if args.store:
        store()
    stored = load()
    for name, claim in CLAIMS.items():
        if name not in stored or not check(stored[name]):
            raise ParameterError(f"the stored certificate of {name} does not prove: {claim.statement}")
        print(f"{name:<36}proves  {claim.statement}")


if __name__ == "__main__":
    raise SystemExit(main())
