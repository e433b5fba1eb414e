"""An examination as one self-contained HTML page, with a table of all samples beside it where they are many."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np

from empirical.pages import environment, style, svg
from empirical.report.examination import Examination
from empirical.report.pictures import gallery, histogram_figure, lay_out, map_figure
from theory.checks import require
from theory.command import DISTRIBUTION
from theory.files import require_writable, write_together
from theory.pairs import ADVICE, LEAST, Advice, ClassPair

if TYPE_CHECKING:
    import pandas as pd

HERE = Path(__file__).parent
TOP = 2_000  # samples in the page's table
LISTED = 20  # pairs of classes
NAMED = 5  # of them in a sentence
SUFFIXES = (".html", ".htm")
LIBRARIES = ("numpy", "scipy", "scikit-learn", "torch", "pandas", "matplotlib")
WHAT_TO_DO: dict[Advice, str] = {
    "deduplicate": "Remove near-duplicates across {}",
    "merge": "Merge {}, which a probe hardly tells apart, or say what tells them apart",
    "relabel": "Check the labels between {}",
    "remedy": "Train with the margin or the lower temperature of the plan for {}",
    "collect": "Collect samples, or use features, that tell {} apart; no remedy is predicted to be worth it",
}
COLUMNS = {  # what the page says of them
    "index": "row in the file",
    "id": "id",
    "label": "label",
    "class": "class",
    "doubt": "how little the label is borne out by a probe and by the neighbours, by rank: 1 is the least",
    "contrast": "mean cosine with all items less that with the nearest: large where these hardly stand out",
    "confidence": "probability of the label by a probe that has not seen the sample",
    "neighbours": "share of the nearest items with another label",
    "gap": "between the two largest outputs of a probe that has not seen the sample: small where it is undecided",
    "flag_share": "share of the sample's pairs that the selector flags",
    "sas": "what the sample adds to a subset by its similarity to its class, by SAS",
    "difficult": "whether it was taken for difficult",
    "mislabelled": "whether a probe is surer of another class, by confident learning",
    "ambiguous": "whether a probe's outputs have a large entropy",
}


def beside(out: Path) -> Path:
    """Where the table of all samples is written, where they are more than the page shows."""
    return out.with_name(f"{out.stem}.items.parquet")


def require_page(out: Path) -> None:
    """Raise ParameterError unless a page can be written there."""
    require(out.suffix.lower() in SUFFIXES, "out", out, f"a name that ends in {' or '.join(SUFFIXES)}")
    for path in (out, beside(out)):
        require_writable(path)


def write_report(found: Examination, out: Path, settings: Mapping[str, Any] | None = None) -> list[Path]:
    """Write the page and, of more than 2,000 samples, the table of all as ``STEM.items.parquet`` beside it.

    Parameters
    ----------
    found : Examination
    out : Path
        Ends in ``.html`` or ``.htm``.
    settings : mapping, optional
        What was asked for, as plain data, for the part on how it was computed; by default the criteria.

    Returns
    -------
    list of Path
        The files, the page first.

    Raises
    ------
    ParameterError
        If they cannot be written.
    """
    out = Path(out)
    require_page(out)
    table = found.frame()
    page, rest = render(found, out, settings, table), beside(out)
    if len(table) <= TOP:
        write_together({out: page}, gone=[rest])
        return [out]
    write_together({rest: _parquet(table), out: page})
    return [out, rest]


def _parquet(table: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    table.to_parquet(buffer, index=False)
    return buffer.getvalue()


def render(
    found: Examination,
    out: Path = Path("report.html"),
    settings: Mapping[str, Any] | None = None,
    table: pd.DataFrame | None = None,
) -> str:
    """The page as HTML.

    Parameters
    ----------
    found : Examination
    out : Path
        Where it will lie: links to pictures are relative to its folder.
    settings : mapping, optional
        See ``write_report``.
    table : DataFrame, optional
        ``found.frame()``, if it is at hand.
    """
    table = found.frame() if table is None else table
    figures: dict[str, Any] = {"heat_map": None}
    if found.profile.pairs:
        from empirical.profile.heatmap import heat_map

        with style("heat map"):
            figures["heat_map"] = svg(heat_map(found.profile))
    laid = lay_out(found)
    with style("map"):
        figures["map"] = map_figure(found, laid)
    with style("similarities"):
        histogram, band = histogram_figure(found)
    figures["similarities"] = histogram
    couples, failed = gallery(found)
    templates = environment(HERE)
    script = templates.get_template("page.js").render()  # as it is included: its hash is in the page
    probe = found.profile.predicted_probe
    return templates.get_template("page.html.jinja").render(
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        found=found,
        profile=found.profile,
        space=found.profile.spaces["encoder"],
        count=len(table),
        difficult=int(found.difficulty.difficult.sum()),
        actions=what_to_do(found),
        probe=probe,
        figures=figures,
        laid=laid,
        band=band,
        couples=couples,
        failed=failed,
        class_pairs=_listed(found.profile.pairs),
        items=_items(found, table, out),
        top=TOP,
        rest=beside(out).name if len(table) > TOP else None,
        settings=_settings(asdict(found.criteria) if settings is None else settings),
        versions=_versions(),
    )


def _listed(pairs: Sequence[ClassPair]) -> Sequence[ClassPair]:
    """Pairs about which there is something to say, or the worst few."""
    said = [pair for pair in pairs if pair.flagged or pair.undecided or pair.advice != "nothing"]
    return said[:LISTED] if len(said) >= NAMED else pairs[:NAMED]


def _settings(settings: Mapping[str, Any]) -> str:
    """Settings as they are shown; numpy's numbers are numbers too."""
    return json.dumps(settings, indent=2, ensure_ascii=False, default=lambda value: value.item())


def what_to_do(found: Examination) -> list[str]:
    """What the pairs of classes and the samples ask for, a sentence each, the first first."""
    lines = []
    for advice in ADVICE:
        pairs = [pair for pair in found.profile.pairs if pair.advice == advice]
        if advice in WHAT_TO_DO and pairs:
            named = ", ".join(" – ".join(pair.classes) for pair in pairs[:NAMED])
            more = f" and {len(pairs) - NAMED:,} more pairs" if len(pairs) > NAMED else ""
            lines.append(WHAT_TO_DO[advice].format(named + more) + ".")
    wrong = found.difficulty.scores.get("mislabelled")
    if wrong is not None and wrong.sum() >= LEAST * len(wrong):
        rule = "the verdict's count has a rule of its own, for pairs of classes"
        lines.append(
            f"Check the labels of the {int(wrong.sum()):,} items that the table marks as mislabelled ({rule})."
        )
    return lines


def _items(found: Examination, table: pd.DataFrame, out: Path) -> dict[str, Any]:
    """The most difficult samples as plain data: columns, rows in order, and where their pictures are."""
    chosen = found.order[:TOP]
    left_out = {"image"} | ({"label"} if "class" in table else set())
    columns = [name for name in table if name not in left_out]
    rows = zip(*(_cells(table[name].to_numpy()[chosen]) for name in columns), strict=True)
    kinds = {name: "flag" if table[name].dtype == bool else _kind(table[name]) for name in columns}
    pictures = found.samples.pictures
    return {
        "columns": [{"name": name, "words": COLUMNS.get(str(name), ""), "kind": kinds[name]} for name in columns],
        "scored": found.scored,
        "rows": [list(row) for row in rows],
        "links": None if pictures is None else [link(pictures[row], out) for row in chosen],
    }


def _kind(column: pd.Series[Any]) -> str:
    return "number" if column.dtype.kind in "iuf" else "text"


def _cells(values: np.ndarray[Any, Any]) -> list[Any]:
    """Plain values, floats to four digits, None for NaN."""
    if values.dtype.kind == "f":
        return [None if np.isnan(value) else float(f"{value:.4g}") for value in values]
    return list(values.tolist())


def link(picture: Path, out: Path) -> str:
    """The address of a file relative to the page's folder; never of another scheme, whatever its name."""
    try:
        relative = os.path.relpath(picture, out.parent)
    except ValueError:  # on another drive
        return picture.absolute().as_uri()
    return quote(os.fsencode(relative.replace(os.sep, "/")), safe="/")


def _versions() -> dict[str, str]:
    from importlib.metadata import PackageNotFoundError, version

    found = {"Python": platform.python_version()}
    for name in (DISTRIBUTION, *LIBRARIES):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found
