"""Pages whose tables come from published results, so that no number there is typed by hand."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from theory.checks import ParameterError
from theory.files import has_schema


def tables(stem: Path) -> dict[str, str]:
    """The tables of published results, of the evidence or of a study, in markdown by name.

    Raises
    ------
    ParameterError
        If STEM.csv and STEM.json are neither, or lack what a table needs.
    """
    from empirical.evidence.published import SCHEMA

    if not has_schema(stem.with_suffix(".json"), SCHEMA):
        from empirical.findings.claims import TABLES, load

        study = load(stem)
        return {name: _made(stem, name, partial(build, *study)) for name, build in TABLES.items()}
    from empirical.evidence import people, theory
    from empirical.evidence.published import load_evidence
    from empirical.evidence.tables import TABLES as EVIDENCE

    evidence = load_evidence(stem)
    found = {name: _made(stem, name, partial(build, evidence)) for name, build in EVIDENCE.items()}
    for part in (theory, people):
        if part.published(stem):
            found |= {name: _made(stem, name, partial(build, stem)) for name, build in part.TABLES.items()}
    return found


def _made(stem: Path, name: str, build: Callable[[], str]) -> str:
    """A table; the files are data of others, and what they lack, or have wrong, shows where it is needed."""
    try:
        return build()
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        if isinstance(error, ParameterError):
            raise
        lines = str(error).splitlines() or [type(error).__name__]
        raise ParameterError(
            f"{stem} is damaged or of another version: its table {name} cannot be made, {lines[0]}"
        ) from error


def filled(page: str, texts: Mapping[str, str], prefix: str = "") -> str:
    """A page with every table between its markers, ``<!-- PREFIXname -->`` and ``<!-- /PREFIXname -->``."""
    for name, text in texts.items():
        label = re.escape(prefix + name)
        block = re.compile(rf"(<!-- {label} -->\n).*?(<!-- /{label} -->)", re.DOTALL)
        escaped = text.replace("\\", r"\\")
        page = block.sub(rf"\1\n{escaped}\n\n\2", page)
    return page
