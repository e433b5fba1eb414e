"""Verdicts on the paper's statements, re-derived at every run: ``python -m theory.audit``."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import asdict

from theory.audit import THEOREMS, audit, matches_record
from theory.audit.evidence import Verdict
from theory.command import Parser, run


def main(argv: Sequence[str] | None = None, prog: str = "python -m theory.audit") -> int:
    """Entry point of ``python -m theory.audit``."""
    agreed = True

    def command(args: Namespace) -> None:
        nonlocal agreed
        verdicts = audit(args.theorem)
        agreed = matches_record(verdicts)
        if args.json:
            rows = [{**asdict(v), "statement": f"as quoted: {v.statement}"} for v in verdicts]
            print(json.dumps(rows, indent=2, ensure_ascii=False))
        elif args.brief:
            print("Verdicts on the statements as quoted in secondary sources\n")
            print("\n".join(f"{v.name:<22}{v.verdict:<13}{v.statement}" for v in verdicts))
        else:
            print("\n\n".join(_text(verdict) for verdict in verdicts))

    return run(parser(prog), command, argv) or (0 if agreed else 1)


def parser(prog: str) -> Parser:
    """The command's options."""
    found = Parser(prog, __doc__, "[STATEMENT ...] [options]", ("--brief", "removal_condition"))
    listed = "statements to audit (all): " + ", ".join(THEOREMS)
    found.group("statements").add_argument("theorem", nargs="*", metavar="STATEMENT", help=listed)
    form = found.group("output").add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON")
    form.add_argument("--brief", action="store_true", help="one line a statement")
    return found


def _text(verdict: Verdict) -> str:
    lines = [f"{verdict.name}: {verdict.verdict.upper()}", f"  as quoted: {verdict.statement}"]
    for field in ("condition", "counterexample", "corrected", "evidence"):
        value = getattr(verdict, field)
        if value:
            lines.append(f"  {field}: {value}")
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
