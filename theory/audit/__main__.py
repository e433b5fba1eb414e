"""Verdicts on the paper's statements, re-derived at every run: ``python -m theory.audit``."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import asdict

from theory.audit import NAMES, PAPER, audit, is_assumption, matches_record
from theory.audit.evidence import WORDS, Verdict
from theory.command import Parser, run

STATED = tuple(word for word in WORDS if word != "—")
COLUMNS = "{:<22}{:<24}{:<12}{:<12}{:<10}{}"


def main(argv: Sequence[str] | None = None, prog: str = "python -m theory.audit") -> int:
    """Entry point of ``python -m theory.audit``."""
    agreed = True

    def command(args: Namespace) -> None:
        nonlocal agreed
        verdicts = audit(args.theorem)
        agreed = matches_record(verdicts)
        if args.json:
            print(json.dumps([_row(verdict) for verdict in verdicts], indent=2, ensure_ascii=False))
        elif args.brief:
            print(brief(verdicts))
        elif args.summary:
            print(summary(verdicts))
        else:
            print("\n\n".join(_text(verdict) for verdict in verdicts))

    return run(parser(prog), command, argv) or (0 if agreed else 1)


def parser(prog: str) -> Parser:
    """The command's options."""
    found = Parser(prog, __doc__, "[STATEMENT ...] [options]", ("--brief", "removal_condition"))
    listed = "statements to audit (all of the paper's): " + ", ".join(NAMES)
    found.group("statements").add_argument("theorem", nargs="*", metavar="STATEMENT", help=listed)
    form = found.group("output").add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON")
    form.add_argument("--brief", action="store_true", help="one line a statement")
    form.add_argument("--summary", action="store_true", help="how many have which verdict")
    return found


def _row(verdict: Verdict) -> dict[str, object]:
    return {**asdict(verdict), "verdict": verdict.verdict._asdict(), "assumed": is_assumption(verdict.name)}


def brief(verdicts: Sequence[Verdict]) -> str:
    """One line a statement; what is taken for granted comes last, under a line of its own."""
    lines = [PAPER, "", COLUMNS.format("name", "where", "as printed", "its graph", "proof", "statement")]
    for assumed in (False, True):
        rows = [v for v in verdicts if is_assumption(v.name) == assumed]
        if rows and assumed:
            lines += ["", "taken for granted"]
        lines += [COLUMNS.format(v.name, v.source, *v.verdict, v.statement) for v in rows]
    return "\n".join(lines)


def summary(verdicts: Sequence[Verdict]) -> str:
    """How many statements have which verdict, and which are refuted as printed."""
    stated = [v for v in verdicts if not is_assumption(v.name)]
    counted = {
        "as printed": [v.verdict.printed for v in stated],
        "on the paper's own graph": [v.verdict.theorem for v in stated],
        "proofs": [v.verdict.proof for v in stated],
        "taken for granted": [v.verdict.theorem for v in verdicts if is_assumption(v.name)],
    }
    said = {
        name: ", ".join(f"{words.count(word)} {word}" for word in STATED if word in words)
        for name, words in counted.items()
    }
    said["refuted as printed"] = ", ".join(v.name for v in stated if v.verdict.printed == "refuted")
    return "\n".join(f"{name:<26}{text}" for name, text in said.items() if text)


def _text(verdict: Verdict) -> str:
    assumed = is_assumption(verdict.name)
    subjects = ("printed", "taken for granted" if assumed else "on the paper's graph", "proof")
    lines = [f"{verdict.name} ({verdict.source}): {verdict.statement}"]
    for subject, word in zip(subjects, verdict.verdict, strict=True):
        if word != "—":
            lines.append(f"  {subject}: {word.upper()} ({WORDS[word]})")
    for field in ("counterexample", "corrected", "evidence", "versions"):
        value = getattr(verdict, field)
        if value:
            lines.append(f"  {field}: {value}")
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
