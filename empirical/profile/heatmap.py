"""The severities of a profile's pairs of classes as a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from theory.checks import ParameterError, printable
from theory.palette import BLACK, DIFFICULT, PALE, SHADE
from theory.plan import Profile

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = NDArray[np.float64]
MOST_CLASSES = 40  # that are drawn
WRITTEN = 12  # classes up to which severities are written into the cells
LONGEST = 24  # letters of a name


def heat_map(profile: Profile) -> Figure:
    """Severity by pair of classes, with a dot where a pair is a problem; alike classes stand side by side.

    Parameters
    ----------
    profile : Profile
        Of more than 40 classes those of the worst pairs are drawn; pairs that were not looked at are empty.

    Raises
    ------
    ParameterError
        If the profile has no pairs of classes.
    """
    from matplotlib.figure import Figure

    if not profile.pairs or profile.overlap is None:
        raise ParameterError("heatmap: the profile has no pairs of classes, which need labels")
    names, severity, flagged = table(profile)
    order = _order(severity)
    names, severity, flagged = [names[i] for i in order], severity[np.ix_(order, order)], flagged[np.ix_(order, order)]
    count = len(names)
    size = max(4.5, 0.26 * count + 2.4)
    figure = Figure(figsize=(size + 1.0, size), layout="constrained")
    axis = figure.add_subplot()
    most = max(0.5, float(np.nanmax(severity)))
    image = axis.imshow(np.ma.masked_invalid(severity), cmap="cividis", vmin=0, vmax=most)
    axis.set_facecolor(SHADE)
    row, column = np.nonzero(flagged)
    if count > WRITTEN:
        axis.plot(column, row, "o", color=DIFFICULT, markersize=4)
    for i, j in zip(*np.nonzero(np.isfinite(severity)), strict=True) if count <= WRITTEN else ():
        colour = BLACK if severity[i, j] > 0.6 * most else PALE
        weight = "bold" if flagged[i, j] else "normal"
        text = f"{severity[i, j]:.2f}"
        axis.text(j, i, text, ha="center", va="center", fontsize=8, weight=weight, color=colour)
    shown = [name if len(name) <= LONGEST else name[: LONGEST - 1] + "…" for name in map(printable, names)]
    axis.set_xticks(range(count), shown, rotation=90, fontsize=8, parse_math=False)
    axis.set_yticks(range(count), shown, fontsize=8, parse_math=False)
    of = f"{profile.overlap.flagged:,} of {profile.overlap.pairs:,} pairs flagged"
    part = f"; {count} of {profile.classes:,} classes" if count < profile.classes else ""
    marked = "bold" if count <= WRITTEN else "dots"
    axis.set_title(f"{of} ({marked}){part}", fontsize=10)
    figure.colorbar(image, ax=axis, label="severity: way from β to α", shrink=0.8)
    return figure


def table(profile: Profile) -> tuple[list[str], Array, NDArray[np.bool_]]:
    """Names of at most 40 classes, those of the worst pairs first, and severity (NaN: not known) and flag of pairs."""
    names: list[str] = []
    for pair in profile.pairs:
        names += [name for name in pair.classes if name not in names and len(names) < MOST_CLASSES]
    names = names[:MOST_CLASSES]
    place = {name: index for index, name in enumerate(names)}
    severity = np.full((len(names), len(names)), np.nan)
    flagged = np.zeros(severity.shape, dtype=bool)
    for pair in profile.pairs:
        if all(name in place for name in pair.classes):
            ends = [place[name] for name in pair.classes]
            severity[tuple(ends)] = severity[tuple(ends[::-1])] = pair.severity
            flagged[tuple(ends)] = flagged[tuple(ends[::-1])] = pair.flagged
    return names, severity, flagged


def _order(severity: Array) -> NDArray[np.int64]:
    """Classes in the order of a dendrogram, in which those of severe pairs are near each other."""
    from scipy.cluster.hierarchy import leaves_list, linkage

    apart = 1 - np.nan_to_num(severity, nan=0.0)
    distances = apart[np.triu_indices(len(apart), 1)]
    return np.asarray(leaves_list(linkage(distances, "average", optimal_ordering=True)), dtype=np.int64)
