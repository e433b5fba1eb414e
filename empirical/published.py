"""Published results: a table, STEM.csv, and a document, STEM.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd

from theory.checks import ParameterError, require
from theory.files import unreadable


def read_published(stem: Path, schema: str, what: str) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The table and the document of published results.

    Parameters
    ----------
    stem : Path
    schema : str
        Of the document.
    what : str
        Whose results they should be, for an error.

    Raises
    ------
    ParameterError
        If they are not there, cannot be read, or are of another kind.
    """
    try:
        runs = pd.read_csv(stem.with_suffix(".csv"))
        document = json.loads(stem.with_suffix(".json").read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise unreadable(Path(error.filename), error) from error
    except (OSError, ValueError) as error:
        raise ParameterError(f"{stem}.csv and .json are not the results of {what}: {error}") from error
    require(document.get("schema") == schema, f"schema of {stem}.json", document.get("schema"), f"schema == {schema}")
    return runs, document
