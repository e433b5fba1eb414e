"""One row of the phase map, for pages that introduce it: what difficult examples do to the error.

    python -m figures.phase_panel

from phase_map.csv, which ``python figures/phase_map.py`` writes.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from figures import phase_map, style

SHOWN = "difficult"
TALL = 2.2  # inches, of the maps


def data() -> pd.DataFrame:
    """The changes of this comparison."""
    changes = phase_map.data()
    return changes[changes.comparison == SHOWN]


def caption(changes: pd.DataFrame) -> str:
    """What to see."""
    found = phase_map.signs(changes).set_index("pairing").loc["both"]
    return (
        "How much larger the error is with difficult examples, measured (left) and predicted (right): orange is "
        f"damage. It grows with the noise ε, and the prediction has the right sign at {found.right} of "
        f"{found.significant} points where a change is beyond noise."
    )


@style.styled
def draw(changes: pd.DataFrame) -> Figure:
    """Measured and predicted side by side."""
    return phase_map.rows(changes, (SHOWN,), TALL)


if __name__ == "__main__":
    from figures.__main__ import main

    raise SystemExit(main(["phase_panel"]))
