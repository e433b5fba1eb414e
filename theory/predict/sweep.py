"""Predicted accuracy over ranges of one or two parameters, as a table and as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from theory import palette
from theory.bounds import DEFAULTS, DIFFICULT_SHARE
from theory.checks import ParameterError
from theory.predict.chain import PROBES
from theory.predict.graphs import LABELLED, evaluate
from theory.sweep import INTEGERS, Sweep, Table, grid, grid_point

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAMES = (
    *("alpha", "beta", "gamma", "samples_per_class", "classes", "difficult", "dim"),
    *("epsilon", "labels_per_class", "ridge"),
)
SHORTEST = 0.02  # range of an axis of accuracies
COLUMNS = ("accuracy", "easy", "difficult_accuracy", "clean_accuracy")
SYMBOLS = dict(zip(NAMES, ("α", "β", "γ", "n", "r + 1", "n_d", "k", "ε", "labels per class", "ridge"), strict=True))


def prediction_table(
    fixed: Mapping[str, Any],
    sweeps: Sequence[Sweep],
    pairing: Any,
    remedy: str,
    probe: str = "least_squares",
    correlated: float = 0.0,
) -> Table:
    """Evaluate the product grid of one or two sweeps.

    Parameters
    ----------
    fixed : mapping
        The parameters that are not swept, by the names in ``NAMES``; None or a name left out means the default of
        the command. Half of the samples are labelled unless told otherwise.
    sweeps : sequence of (name, values)
    pairing, remedy, probe, correlated
        As in ``theory.predict.evaluate``.

    Returns
    -------
    dict of arrays, each of shape (points,)
        The parameters, ``accuracy``, ``easy`` and ``difficult_accuracy`` under the remedy (NaN where there is no such
        sample), and ``clean_accuracy`` of the graph without difficult pairs.

    Raises
    ------
    ParameterError
        If a parameter is missing or both fixed and swept, or as ``theory.sweep.grid`` and ``theory.predict.evaluate``.
    """
    given = {name: value for name, value in fixed.items() if value is not None}
    _, swept = grid(sweeps)
    for name in swept:
        if name in given:
            raise ParameterError(f"--{name.replace('_', '-')} and a sweep over it exclude each other")
    for name in ("alpha", "beta", "gamma", "epsilon"):
        if name not in given and name not in swept:
            raise ParameterError(f"--{name} is required, or a sweep over it")
    columns: dict[str, Any] = {**DEFAULTS, "ridge": PROBES[probe], **given, **swept}
    columns.setdefault("difficult", np.rint(DIFFICULT_SHARE * np.asarray(columns["samples_per_class"])))
    columns.setdefault("labels_per_class", LABELLED * np.asarray(columns["samples_per_class"]))
    arrays = np.broadcast_arrays(*(np.asarray(columns[name], dtype=np.float64) for name in NAMES))
    given_by_name: dict[str, Any] = dict(zip(NAMES, arrays, strict=True))
    point = partial(grid_point, sweeps)
    call = partial(evaluate, **given_by_name, pairing=pairing, probe=probe, correlated=correlated, name=point)
    found, clean = call(remedy=remedy), call(remedy="clean")
    columns_found = (found["accuracy"], found["easy"], found["difficult"], clean["accuracy"])
    parameters: Table = {
        name: array.astype(np.int64) if name in INTEGERS else array for name, array in zip(NAMES, arrays, strict=True)
    }
    return {**parameters, **dict(zip(COLUMNS, columns_found, strict=True))}


def accuracy_figure(table: Table, sweeps: Sequence[Sweep], remedy: str) -> Figure:
    """The predicted accuracy over one parameter, or over two with a line for up to six values of the first."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.2), layout="constrained")
    plot = figure.subplots()
    (inner, values), several = sweeps[-1], len(sweeps) == 2
    shape = [each.size for _, each in sweeps]
    lines = table["accuracy"].reshape(shape).reshape(-1, values.size)
    if several:
        name, outer = sweeps[0]
        for index in np.unique(np.linspace(0, len(outer) - 1, 6).round().astype(int)):
            plot.plot(values, lines[index], label=f"{SYMBOLS[name]} = {outer[index]:g}")
    else:
        label = "with difficult pairs" if remedy == "nothing" else remedy.replace("_", " ")
        colour = palette.DIFFICULT if remedy == "nothing" else palette.of(remedy)
        plot.plot(values, lines[0], color=colour, label=label)
        plot.plot(values, table["clean_accuracy"], "--", color=palette.CLEAN, label="without difficult pairs")
    low, high = plot.get_ylim()
    spare = max(0.0, SHORTEST - (high - low)) / 2  # so that an effect of nothing looks like nothing
    plot.set(xlabel=SYMBOLS[inner], ylabel="predicted accuracy of the probe", ylim=(low - spare, high + spare))
    plot.ticklabel_format(useOffset=False)
    plot.spines[["top", "right"]].set_visible(False)
    plot.legend(frameon=False)
    return figure
