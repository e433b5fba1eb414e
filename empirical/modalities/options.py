"""What a modality can be told beside the settings that all have: NAME=VALUE, separated by commas."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, TypeVar

from empirical.train.options import check_options
from theory.checks import ParameterError, require, require_known

T = TypeVar("T")


def read_options(kind: type[T], text: str) -> T:
    """Options of a modality from text.

    Parameters
    ----------
    kind : type
        A dataclass whose fields are made by ``empirical.train.options.option``.
    text : str
        NAME=VALUE,…; a value holds no comma. Empty: the defaults.

    Raises
    ------
    ParameterError
        If a name is none of the fields or is given twice, or a value is not of its kind or outside its range.
    """
    known: dict[str, Any] = {f.name: f.metadata["kind"] for f in fields(kind)}  # type: ignore[arg-type]
    found: dict[str, Any] = {}
    for part in filter(None, text.split(",")):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        require(bool(equals and value), "modality_options", part, "NAME=VALUE")
        require_known("modality_options", name, known)
        require(name not in found, "modality_options", text, f"{name} given once")
        try:
            found[name] = known[name](value)
        except ValueError:
            kinds = {int: "an integer", float: "a number"}
            raise ParameterError(name, value, kinds.get(known[name], known[name].__name__)) from None
    made = kind(**found)
    check_options(made)
    return made
