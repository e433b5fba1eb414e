"""Modalities by name. Nothing of theirs is imported before one is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from empirical.choices import is_code
from theory.checks import ParameterError, require_known
from theory.code import attribute, reason_of

if TYPE_CHECKING:
    from empirical.modalities.contract import Modality

_OURS = {"images": "Images", "graphs": "Graphs", "sentences": "Sentences"}
NAMES = tuple(_OURS)
IMAGES = NAMES[0]


def modality(name: str) -> Modality:
    """The modality of this name.

    Parameters
    ----------
    name : str
        One of ``NAMES``, or ``MODULE:CLASS`` of one's own, which is imported, and called without arguments.

    Raises
    ------
    ParameterError
        If there is none.
    """
    from empirical.modalities.contract import Modality

    if not is_code(name):
        require_known("modality", name, (*NAMES, "MODULE:CLASS"))
    made: Any = attribute("modality", name if is_code(name) else f"empirical.modalities.{name}:{_OURS[name]}")
    try:
        found = made()
    except ParameterError:
        raise
    except (Exception, SystemExit) as error:  # code of one's own can raise anything
        condition = f"a class that is called without arguments ({reason_of(error)})"
        raise ParameterError("modality", name, condition) from error
    if not isinstance(found, Modality):
        raise ParameterError("modality", name, "a class derived from empirical.modalities.contract.Modality")
    return found
