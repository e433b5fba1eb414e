"""Pages whose tables come from published results, so that no number there is typed by hand."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from empirical.evidence.published import SCHEMA
from theory.checks import sound
from theory.files import has_schema


def tables(stem: Path) -> dict[str, str]:
    """The tables of published results, of the evidence or of a study, in markdown by name.

    Raises
    ------
    ParameterError
        If STEM.csv and STEM.json are neither, or lack what a table needs.
    """
    with sound(f"{stem}.csv and {stem}.json"):
        return _of_evidence(stem) if has_schema(stem.with_suffix(".json"), SCHEMA) else _of_study(stem)


def _of_evidence(stem: Path) -> dict[str, str]:
    from empirical.evidence import people, theory
    from empirical.evidence.published import load_evidence
    from empirical.evidence.tables import TABLES

    evidence = load_evidence(stem)
    found = {name: build(evidence) for name, build in TABLES.items()}
    for part in (theory, people):
        if part.published(stem):
            found |= {name: build(stem) for name, build in part.TABLES.items()}
    return found


def _of_study(stem: Path) -> dict[str, str]:
    from empirical.findings.claims import TABLES, load

    study = load(stem)
    return {name: build(*study) for name, build in TABLES.items()}


def filled(page: str, texts: Mapping[str, str], prefix: str = "") -> str:
    """A page with every table between its markers, ``<!-- PREFIXname -->`` and ``<!-- /PREFIXname -->``."""
    for name, text in texts.items():
        label = re.escape(prefix + name)
        block = re.compile(rf"(<!-- {label} -->\n).*?(<!-- /{label} -->)", re.DOTALL)
        escaped = text.replace("\\", r"\\")
        page = block.sub(rf"\1\n{escaped}\n\n\2", page)
    return page
