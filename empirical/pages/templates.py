"""Templates of pages: everything in them is escaped, and all have one style."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from theory.command import format_number
from theory.palette import page_style

if TYPE_CHECKING:
    from jinja2 import Environment

HERE = Path(__file__).parent


def environment(folder: Path, **shown: Any) -> Environment:
    """An environment for the templates in a folder, which include ``style.css`` and its ``colours``.

    Parameters
    ----------
    folder : Path
    **shown
        What the templates use, beside ``number``.
    """
    from jinja2 import Environment, FileSystemLoader
    from markupsafe import Markup

    loader = FileSystemLoader([folder, HERE])
    found = Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    found.globals.update(number=format_number, colours=Markup(page_style()), **shown)
    return found
