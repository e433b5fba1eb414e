"""Re-check the stored certificates, or compute them anew: ``python -m theory.certificates``."""

from __future__ import annotations

from collections.abc import Sequence

from theory.certificates import CLAIMS, check, load, store
from theory.checks import ParameterError
from theory.command import Parser, run


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of ``python -m theory.certificates``: re-check all, or compute and store them anew."""

    def command(arguments: Sequence[str] | None) -> None:
        parser = Parser(prog="python -m theory.certificates", description="Re-check the stored certificates.")
        parser.add_argument("--store", action="store_true", help="compute them and rewrite certificates.json")
        if parser.parse_args(arguments).store:
            store()
        stored = load()
        for name, claim in CLAIMS.items():
            if name not in stored or not check(stored[name]):
                raise ParameterError(f"the stored certificate of {name} does not prove: {claim.statement}")
            print(f"{name:<36}proves  {claim.statement}")

    return run(command, argv)


if __name__ == "__main__":
    raise SystemExit(main())
