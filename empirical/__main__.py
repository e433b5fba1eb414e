"""Difficult examples in contrastive learning, theory and measurements: ``python -m empirical``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import theory
from theory.rooms import dispatch, rooms

BOTH = {  # theory has a room of the same, or nearly the same, name
    "empirical.simulate": "sample",
    "empirical.prediction": "foretell",
}


def main(argv: Sequence[str] | None = None, prog: str = "python -m empirical") -> int:
    """Entry point of ``python -m empirical``: the commands of both packages."""
    own = [room._replace(name=BOTH.get(room.module, room.name)) for room in rooms("empirical", Path(__file__).parent)]
    return dispatch(prog, __doc__, [*rooms("theory", Path(theory.__file__).parent), *own], argv)


def difficult() -> int:
    """Entry point of ``difficult``."""
    return main(prog="difficult")


if __name__ == "__main__":
    raise SystemExit(main())
