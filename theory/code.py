"""Code of one's own: what a user names as ``MODULE:NAME``, which is imported."""

from __future__ import annotations

import importlib
import os
import sys

from theory.checks import ParameterError, require


class OpenNames(tuple[str, ...]):
    """Names of ours, and a last one that stands for code of one's own: ``MODULE:NAME`` is among them."""

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name) or (isinstance(name, str) and is_spec(name))


def is_spec(name: str) -> bool:
    """Whether a name is none of ours but ``MODULE:NAME``."""
    return ":" in name


def attribute(what: str, spec: str) -> object:
    """What ``MODULE:NAME`` names, which is imported, from the working folder too.

    Parameters
    ----------
    what : str
        The setting that names it, for errors.
    spec : str

    Raises
    ------
    ParameterError
        If it is no such name, or there is no such module or attribute.
    """
    module_name, _, name = spec.partition(":")
    dotted = all(part.isidentifier() for part in module_name.split("."))
    require(dotted and name.isidentifier(), what, spec, "MODULE:NAME, such as package.module:function")
    here = os.getcwd()
    if here not in sys.path and "" not in sys.path:  # it is there for python -m, not for an installed command
        sys.path.append(here)
    try:
        module = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:  # a module can raise anything
        raise ParameterError(what, spec, f"a module that can be imported ({reason_of(error)})") from error
    require(hasattr(module, name), what, spec, f"an attribute {name} of {module_name}")
    found: object = getattr(module, name)
    return found


def reason_of(error: BaseException) -> str:
    """An error's message on one line."""
    return " ".join(str(error).split()) or type(error).__name__
