"""Tables as CSV files that a spreadsheet may open: no text in them is a formula there, and read back it is as it was.

A spreadsheet computes a cell that begins with one of ``= + - @``, a tab or a carriage return, and what it computes may
run a program or send the table away. Text of that kind, such as a class that is called ``=1+1``, gets an apostrophe in
front. Numbers are no text: -0.5 stays a number.

Reference: OWASP, "CSV Injection".
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pandas import DataFrame

FORMULA = re.compile(r"'*[=+\-@\t\r]")  # with the apostrophes before it, so that reading back is unique
ENDING = "\r\n"


def csv_text(table: DataFrame, float_format: str | None = None) -> str:
    """A table as CSV without an index, text in it neutralised.

    Parameters
    ----------
    table : DataFrame
    float_format : str, optional
        Such as ``%.6g``; by default all digits.
    """
    lines = _Lines()
    _mapped(table, neutral).to_csv(lines, index=False, float_format=float_format, lineterminator=ENDING)
    return lines.getvalue()


class _Lines(io.StringIO):
    """Takes the lines of a CSV writer, which quotes a carriage return only where it belongs to the lines' ending."""

    def write(self, line: str) -> int:
        return super().write(line.removesuffix(ENDING) + "\n")


def restored(table: DataFrame) -> DataFrame:
    """A table that ``csv_text`` has written and pandas has read, with its text as it was."""
    return _mapped(table, original)


def neutral(text: str) -> str:
    """Text that no spreadsheet takes for a formula."""
    return f"'{text}" if FORMULA.match(text) else text


def original(text: str) -> str:
    """Inverse of ``neutral``."""
    return text[1:] if text.startswith("'") and FORMULA.match(text) else text


def _mapped(table: DataFrame, change: Callable[[str], str]) -> DataFrame:
    def changed(value: Any) -> Any:
        return change(value) if isinstance(value, str) else value

    found = table.copy(deep=False)
    for name in table:
        if table[name].dtype.kind not in "biufcmM":
            found[name] = table[name].map(changed)
    return found
