"""Published results: a table, STEM.csv, and a document, STEM.json."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from theory.checks import require
from theory.files import read_json, read_table


def read_published(stem: Path, schema: str, *numbers: str) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The table and the document of published results.

    Parameters
    ----------
    stem : Path
    schema : str
        Of the document.
    *numbers : str
        Columns that the table has, of numbers.

    Raises
    ------
    ParameterError
        If they are not there, cannot be read, or are of another kind.
    """
    document = read_json(stem.with_suffix(".json"))
    require(document.get("schema") == schema, f"schema of {stem}.json", document.get("schema"), f"schema == {schema}")
    return read_table(stem.with_suffix(".csv"), *numbers), document
