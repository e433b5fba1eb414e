"""Pages whose tables come from published results, so that no number there is typed by hand."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from empirical.evidence.published import SCHEMA
from theory.checks import ParameterError, shortened
from theory.files import has_schema


def tables(stem: Path) -> dict[str, str]:
    """The tables of published results, of the evidence or of a study, in markdown by name.

    Raises
    ------
    ParameterError
        If STEM.csv and STEM.json are neither, or lack what a table needs.
    """
    with _sound(stem):
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


@contextmanager
def _sound(stem: Path) -> Iterator[None]:
    """Within it an error of a lookup or of arithmetic is one of the files: they are data, and may be anybody's."""
    try:
        yield
    except (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError) as error:
        if isinstance(error, ParameterError):
            raise
        reason = shortened((str(error).splitlines() or [type(error).__name__])[0])
        raise ParameterError(f"{stem}.csv and {stem}.json are damaged or of another version: {reason}") from error


def filled(page: str, texts: Mapping[str, str], prefix: str = "") -> str:
    """A page with every table between its markers, ``<!-- PREFIXname -->`` and ``<!-- /PREFIXname -->``."""
    for name, text in texts.items():
        label = re.escape(prefix + name)
        block = re.compile(rf"(<!-- {label} -->\n).*?(<!-- /{label} -->)", re.DOTALL)
        escaped = text.replace("\\", r"\\")
        page = block.sub(rf"\1\n{escaped}\n\n\2", page)
    return page
