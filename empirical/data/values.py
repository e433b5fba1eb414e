"""Values in whatever Python object holds them, as numpy or pandas reads them."""

from __future__ import annotations

import sys
from typing import Any

from theory.checks import ParameterError


def is_of(value: Any, library: str, *kinds: str) -> bool:
    """Whether an object is of one of these classes of a library, which is not imported for that."""
    module = sys.modules.get(library)
    return module is not None and isinstance(value, tuple(getattr(module, kind) for kind in kinds))


def plain(values: Any) -> Any:
    """A tensor as an array (bfloat16 and the like in single precision), a column of pyarrow as a series of pandas.

    Anything else is returned as it is.
    """
    if is_of(values, "torch", "Tensor"):
        values = values.detach().cpu()
        try:
            return values.numpy()
        except TypeError:  # a kind of floats that numpy has not
            return values.float().numpy()
    if is_of(values, "pyarrow", "Array", "ChunkedArray"):
        return values.to_pandas()
    if is_of(values, "pandas", "DataFrame"):
        if values.shape[1] != 1:
            raise ParameterError("labels", f"{values.shape[1]} columns", "one column")
        return values.iloc[:, 0]
    return values


def require_writable_text(name: str, text: str) -> None:
    """Raise ParameterError for halves of characters (surrogates), which no file of text takes."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ParameterError(name, repr(text), "text without lone surrogates") from None
