"""torch_geometric, which only users of graphs install."""

from __future__ import annotations

import warnings
from types import ModuleType

from theory.checks import ParameterError


def geometric() -> ModuleType:
    """torch_geometric, imported when it is first needed: that takes seconds.

    Raises
    ------
    ParameterError
        If it is not installed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # torch's, about how it is written
            import torch_geometric
    except ImportError as error:
        raise ParameterError("graphs need torch_geometric: pip install 'difficult-examples[graphs]'") from error
    found: ModuleType = torch_geometric
    return found
