"""Tables of results that several runs of a benchmark fill."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from theory.files import write_text


def put_rows(path: Path, rows: pd.DataFrame, key: Sequence[str]) -> pd.DataFrame:
    """Write rows into a table as CSV, in place of older ones with the same key, sorted by it; all rows then."""
    if path.exists():
        rows = pd.concat([pd.read_csv(path), rows])
    text = io.StringIO()
    rows.drop_duplicates(list(key), keep="last").sort_values(list(key)).to_csv(text, index=False)
    write_text(path, text.getvalue())
    return pd.read_csv(path)
