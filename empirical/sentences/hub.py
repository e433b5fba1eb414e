"""What transformers loads, ``hf:NAME_OR_PATH``: never code of its own, never a pickle, and one clear error."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from empirical.encoders.libraries import impatient, silent
from empirical.sentences.tokens import EXTRA
from theory.checks import ParameterError, require
from theory.code import reason_of
from theory.files import missing

PREFIX = "hf:"
NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")  # NAME or OWNER/NAME


def place_of(spec: str) -> str:
    """The folder, or the name, of ``hf:NAME_OR_PATH``: a folder comes before a name.

    Raises
    ------
    ParameterError
        If it is a folder that is not there, or no name.
    """
    given = spec.removeprefix(PREFIX)
    path = Path(given).expanduser()
    if given and path.is_dir():
        return str(path.resolve())
    if given.startswith((".", "/", "~")) or given.count("/") > 1:
        raise ParameterError(f"encoder {spec}: {missing(path, 'folder')}")
    require(bool(NAME.fullmatch(given)), "encoder", spec, "hf:NAME, hf:OWNER/NAME or hf:FOLDER")
    return given


def load(spec: str, what: str, how: Callable[[Any, str], Any]) -> Any:
    """What a function loads with transformers, in silence and without waiting for a network that is not there.

    Parameters
    ----------
    spec : str
        ``hf:NAME_OR_PATH``.
    what : str
        Which part is loaded, for errors.
    how : callable
        From the library and the place to what it loads.

    Raises
    ------
    ParameterError
        If the library is not installed, the place is none, or whatever the library says where it cannot load.
    """
    place, found = place_of(spec), library(spec)
    with silent(), nullcontext() if Path(place).is_dir() else impatient(), _without_bars(found):
        try:
            return how(found, place)
        except Exception as error:  # loading fails in many ways
            condition = f"a {what} that can be loaded, without a pickle or code of its own ({reason_of(error)})"
            raise ParameterError("encoder", spec, condition) from error


def library(spec: str) -> Any:
    """The library transformers; ParameterError if it is not installed."""
    try:
        import transformers
    except ImportError as error:
        raise ParameterError(f"encoder {spec} needs transformers: {EXTRA}") from error
    return transformers


@contextmanager
def _without_bars(library: Any) -> Iterator[None]:
    """Without bars of progress, which would stand beside the one line of an error."""
    messages = library.utils.logging
    shown = messages.is_progress_bar_enabled()
    messages.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            messages.enable_progress_bar()
