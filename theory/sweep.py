"""Every closed form over arrays of parameters: a million graphs in a second, and tables over one or two ranges."""

from __future__ import annotations

import csv
import io
import json
import math
import textwrap
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from functools import partial, reduce
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import numpy as np
from numpy.typing import ArrayLike, NDArray

from theory import formulas, palette
from theory.augmentation import least_labelling_error
from theory.bounds import DEFAULTS, DIFFICULT_SHARE, error_bounds, rules
from theory.checks import ParameterError, nearest, require, require_integer, require_share
from theory.kinds import PAIRINGS, Pairing, degrees, neighbours, paper_weights, six_weights
from theory.params import LARGEST_SIZE, GraphParameters, Levels, SixLevels
from theory.plan import MEASURED
from theory.sharper import even_labels, flipped_labels, probe_error, spread
from theory.spectrum import ROUNDING, Arithmetic, above_zero, has_negative_weight, is_positive_semidefinite, modes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SCHEMA = "difficult-examples/sweep/2"
NAMES = ("alpha", "beta", "gamma", "samples_per_class", "classes", "difficult", "dim", "delta")
INTEGERS = ("samples_per_class", "classes", "difficult", "dim")
SIX = tuple(f"{where}.{kind}" for where in ("within", "across") for kind in Levels._fields)
SIX_NAMES = (*SIX, *NAMES[3:])
BOUNDS = ("clean", "difficult", "removal", "margin", "temperature")
MOST_POINTS = 1_000_000
SMALLEST = Decimal("1e-30")  # beside 0, in a range; beyond, its arithmetic is no longer exact, nor means anything
EXPONENTS = f"0, or magnitudes from {SMALLEST:.0e} to {LARGEST_SIZE:.0e}"
CHUNK = 8192  # points at a time: what is computed about them stays in the processor's cache
Array = NDArray[np.float64]
Table = dict[str, NDArray[Any]]

# --- closed forms over arrays ----------------------------------------------------------------------


def evaluate(
    alpha: ArrayLike,
    beta: ArrayLike,
    gamma: ArrayLike,
    samples_per_class: ArrayLike,
    classes: ArrayLike,
    difficult: ArrayLike,
    dim: ArrayLike,
    delta: ArrayLike,
    pairing: Pairing = "block",
) -> Table:
    """Degrees, spectrum and the five error bounds of many graphs at once.

    Parameters
    ----------
    alpha, beta, gamma, samples_per_class, classes, difficult : array_like
        As in ``theory.params.GraphParameters``; all arguments broadcast against each other.
    dim, delta : array_like
        As in ``theory.bounds.error_bounds``.
    pairing : {"block", "any", "matched", "clean"}
        The same for all points.

    Returns
    -------
    dict of arrays, each of the broadcast shape
        - ``degree.easy``, ``degree.difficult``;
        - ``eigenvalue.MODE`` and ``multiplicity.MODE`` for the modes of ``theory.spectrum.spectrum``; a mode
          that a graph lacks has multiplicity 0 and eigenvalue NaN;
        - ``realisable``, whether the graph is positive semidefinite without negative weights: whether an augmentation
          produces it, or, with the pairing ``any`` and six levels, may (``theory.factor``);
        - ``BOUND.lambda`` (as printed), ``.lambda_exact``, ``.bound``, ``.bound_exact``, ``.excess_over_clean`` (NaN
          where there is none), ``.applies`` and ``.vacuous`` for the bounds of ``theory.bounds.error_bounds``.

    Raises
    ------
    ParameterError
        If there is no point, or if one is outside the range that ``GraphParameters`` or ``error_bounds``
        accepts; the first such point (in C order) is named with its index.
    ValueError
        If the shapes do not broadcast.
    """
    arguments = (alpha, beta, gamma, samples_per_class, classes, difficult, dim, delta)
    return _evaluate(arguments, _three(pairing), point_name)


def point_name(index: tuple[Any, ...]) -> str:
    """A point of a sweep, as errors call it."""
    place = ", ".join(str(i) for i in index)
    return f"point {place if len(index) == 1 else f'({place})'}"


class Form(NamedTuple):
    """What the points of a table are; all but ``points`` take the columns of k and δ, too."""

    points: Callable[..., Any]  # a Graph of arrays with alpha, beta and gamma
    accepted: Callable[..., NDArray[np.bool_]]  # whether the scalar functions accept each
    refuse: Callable[[Sequence[float], str | None], NoReturn]  # their error for one that they refuse, with its place


def _evaluate(arguments: Sequence[ArrayLike], form: Form, place: Callable[[tuple[Any, ...]], str]) -> Table:
    """``evaluate``; ``place`` names the point of an index where one is refused."""
    arrays = [np.asarray(argument, dtype=np.float64) for argument in arguments]
    shape = np.broadcast_shapes(*(array.shape for array in arrays))
    require(0 not in shape, "shape of the points", shape, "at least one point")
    table: Table = {}
    chunks = np.nditer(
        arrays,
        flags=["external_loop", "buffered"],
        op_flags=[["readonly"]] * len(arrays),
        order="C",
        buffersize=CHUNK,
    )
    start = 0
    with np.errstate(all="ignore"):  # where a bound or a mode does not exist
        for chunk in chunks:
            accepted = form.accepted(*chunk)
            if not accepted.all():
                first = int(np.argmin(accepted))
                index = np.unravel_index(start + first, shape)
                form.refuse([float(column[first]) for column in chunk], place(index) if shape else None)
            *_, k, d = chunk
            stop = start + k.size
            for name, column in _columns(form.points(*chunk[:-2]), k, d).items():
                if name not in table:
                    table[name] = np.empty(shape, dtype=column.dtype)
                table[name].reshape(-1)[start:stop] = column
            start = stop
    return table


class Points:
    """Many graphs as arrays, in the form that ``theory.formulas`` reads."""

    def __init__(self, alpha: Array, beta: Array, gamma: Array, n: Array, r: Array, n_d: Array, pairing: Pairing):
        self.alpha, self.beta, self.gamma, self.n, self.r, self.n_d = alpha, beta, gamma, n, r, n_d
        self.pairing = pairing
        self.neighbours = neighbours(n_d, pairing)
        self.weights = paper_weights(alpha, beta, gamma, pairing)
        self.degrees = degrees(self.weights, n, r, n_d)


class SixPoints:
    """Many graphs of six levels as arrays; ``alpha``, ``beta`` and ``gamma`` as those of ``SixLevels``."""

    pairing: Pairing = "block"

    def __init__(self, within: Sequence[Array], across: Sequence[Array], n: Array, r: Array, n_d: Array):
        self.n, self.r, self.n_d = n, r, n_d
        self.weights = six_weights(within, across)
        self.degrees = degrees(self.weights, n, r, n_d)
        n_e = n - n_d
        pairs = n_e * (n_e - 1), 2 * n_e * n_d, n_d * (n_d - 1)
        self.alpha = np.where(n > 1, _weighted(pairs, within), within[0])
        self.beta = np.where(n_e > 0, across[0], across[2])
        self.gamma = np.where(n_d > 0, _weighted((2 * n_e * n_d, n_d * n_d), across[1:]), self.beta)


def _weighted(weights: Sequence[Array], values: Sequence[Array]) -> Array:
    sums: Any = sum(weight * value for weight, value in zip(weights, values, strict=True))
    mean: Array = sums / sum(weights)
    return mean


ARRAYS = Arithmetic(np.sqrt, np.where, above_zero)


def evaluate_six(
    within: Sequence[ArrayLike],
    across: Sequence[ArrayLike],
    samples_per_class: ArrayLike,
    classes: ArrayLike,
    difficult: ArrayLike,
    dim: ArrayLike,
    delta: ArrayLike = DEFAULTS["delta"],
) -> Table:
    """Degrees, spectrum and bounds of many graphs of six levels at once.

    Parameters
    ----------
    within, across : three array_like each
        As in ``theory.params.SixLevels``; all arguments broadcast against each other.
    samples_per_class, classes, difficult, dim : array_like of integers
    delta : array_like

    Returns
    -------
    dict of arrays, each of the broadcast shape
        The columns of ``evaluate``: as in ``theory.bounds.error_bounds`` the printed bounds see the paper's α, β and γ.
        They are NaN where that has no clean bound, the sharper ones where weights are negative. And ``lambda_exact``,
        λₖ₊₁ of the graph.

    Raises
    ------
    ParameterError
        If there is no point, or ``SixLevels`` refuses one, its dim is outside 1 to N − 1 or its delta outside 0 to 1;
        the first is named.
    ValueError
        If the shapes do not broadcast.
    """
    arguments = (*within, *across, samples_per_class, classes, difficult, dim, delta)
    table = _evaluate(arguments, SIX_LEVELS, point_name)
    return table | {"lambda_exact": table["difficult.lambda_exact"]}


def _six_points(*columns: Array) -> SixPoints:
    n, c, n_d = columns[6:9]
    return SixPoints(columns[:3], columns[3:6], n, c - 1, n_d)


def _six_accepted(*columns: Array) -> NDArray[np.bool_]:
    n, c, n_d, k, d = columns[6:]
    easy, difficult = _six_points(*columns).degrees
    accepted: NDArray[np.bool_] = (
        ((easy > 0) | (n == n_d)) & ((difficult > 0) | (n_d == 0)) & _sizes_accepted(n, c, n_d, k, d)
    )
    for level in columns[:6]:
        accepted &= np.abs(level) <= 1
    return accepted


def _six_refuse(point: Sequence[float], place: str | None) -> NoReturn:
    n, classes, difficult, dim = (int(value) if value.is_integer() else value for value in point[6:10])
    try:
        graph = SixLevels(Levels(*point[:3]), Levels(*point[3:6]), n, classes, difficult)  # type: ignore[arg-type]
        require_integer("dim", dim, 1, graph.nodes - 1, limit=", fewer than the N samples")
        require_share("delta", point[10])
    except ParameterError as error:
        raise (error if place is None else error.at(place)) from None
    raise AssertionError(f"SixLevels accepts {point}")


SIX_LEVELS = Form(_six_points, _six_accepted, _six_refuse)


def _three(pairing: Pairing) -> Form:
    require(pairing in PAIRINGS, "pairing", pairing, "one of " + ", ".join(PAIRINGS))

    def points(a: Array, b: Array, g: Array, n: Array, c: Array, n_d: Array) -> Points:
        return Points(a, b, b if pairing == "clean" else g, n, c - 1, n_d, pairing)  # as in GraphParameters

    return Form(points, _accepted, lambda point, place: _refuse(point, pairing, place))


def _accepted(a: Array, b: Array, g: Array, n: Array, c: Array, n_d: Array, k: Array, d: Array) -> NDArray[np.bool_]:
    """Whether ``GraphParameters`` and ``error_bounds`` accept a point; NaN fails every comparison."""
    accepted: NDArray[np.bool_] = (b >= 0) & (b <= g) & (g < a) & (a < 1) & _sizes_accepted(n, c, n_d, k, d)
    return accepted


def _sizes_accepted(n: Array, c: Array, n_d: Array, k: Array, d: Array) -> NDArray[np.bool_]:
    accepted: NDArray[np.bool_] = (
        (n >= 1) & (n <= LARGEST_SIZE) & (c >= 2) & (c <= LARGEST_SIZE) & (n_d >= 0) & (n_d <= n)
    )
    accepted &= (k >= 1) & (k < n * c) & (d >= 0) & (d <= 1)
    for whole in (n, c, n_d, k):
        accepted &= whole == np.floor(whole)
    return accepted


def _refuse(point: Sequence[float], pairing: Pairing, place: str | None) -> NoReturn:
    """Raise the error of the scalar functions for this point, with its place."""
    values = {name: int(v) if name in INTEGERS and v.is_integer() else v for name, v in zip(NAMES, point, strict=True)}
    dim, delta = values.pop("dim"), values.pop("delta")
    try:
        error_bounds(GraphParameters(**values, pairing=pairing), dim, delta)  # type: ignore[arg-type]
    except ParameterError as error:
        raise (error if place is None else error.at(place)) from None
    raise AssertionError(f"the scalar functions accept {values}")


def _columns(p: Points | SixPoints, k: Array, d: Array) -> Table:
    """The table for one chunk of accepted points."""
    columns, found = _spectrum(p, k)
    exact = _nth_largest([(eigenvalue, count) for _, eigenvalue, count in found], k + 1)
    clean: Array = formulas.clean_bulk(p)
    columns["realisable"] = is_positive_semidefinite(p) & ~has_negative_weight(p)
    for name, rule in rules(p, k, d, exact, ARRAYS).items():
        value, exists = rule.bound(d), rule.exists & (clean < 1) & np.isfinite(rule.added)
        numbers = {
            "lambda": rule.eigenvalue,
            "lambda_exact": rule.exact,
            "bound": value,
            "bound_exact": np.where(rule.exact < 1, rule.bound_exact(d), np.nan),
            "excess_over_clean": rule.excess_over_clean(clean, d),
        }
        columns |= {f"{name}.{field}": np.where(exists, column, np.nan) for field, column in numbers.items()}
        columns |= {f"{name}.applies": rule.applies & exists, f"{name}.vacuous": (value > 1) & exists}
    return columns | _sharper(p, k, d, exact, found)


def _spectrum(p: Points | SixPoints, k: Array) -> tuple[Table, list[tuple[str, Array, Array]]]:
    """Columns of degrees and modes, and the modes with their eigenvalues and multiplicities."""
    found = [
        (mode, np.where(count > 0, eigenvalue, np.nan), count + np.zeros_like(k))
        for mode, eigenvalue, count in modes(p, ARRAYS)
    ]
    columns: Table = {"degree.easy": p.degrees.easy, "degree.difficult": p.degrees.difficult}
    columns |= {f"eigenvalue.{mode}": eigenvalue for mode, eigenvalue, _ in found}
    columns |= {f"multiplicity.{mode}": count.astype(np.int64) for mode, _, count in found}
    return columns, found


def _sharper(
    p: Points | SixPoints, k: Array, d: Array, exact: Array, found: Sequence[tuple[str, Array, Array]]
) -> Table:
    """The columns of ``theory.sharper``."""
    cross_mass = formulas.cross_mass(p)
    possible = (reduce(np.minimum, p.weights) >= 0) & (cross_mass * (p.r + 1) <= p.r * (1 + ROUNDING))
    cross_mass = np.where(possible, cross_mass, np.nan)
    least = least_labelling_error(cross_mass, p.r, lambda value: np.sqrt(np.maximum(value, 0)))
    columns: Table = {"delta.least": least, "delta.most": cross_mass}
    eigenvalue = np.where(possible & (exact < 1 - ROUNDING), np.maximum(exact, 0), np.nan)
    for name, labels in (("given", flipped_labels(d)), ("even", even_labels(p))):
        squared, plug_in = spread(p, labels, ARRAYS).bounds(eigenvalue, np.sqrt)
        error, ambiguous = probe_error(p, labels, k, found, ARRAYS)
        error = np.where(possible & ~ambiguous, error, np.nan)
        columns |= {f"{name}.squared": squared, f"{name}.plug_in": plug_in, f"{name}.error": error}
    return columns


def _nth_largest(found: Sequence[tuple[Array, Array]], j: Array) -> Array:
    """The j-th largest eigenvalue: the largest with at least j eigenvalues that are no smaller."""
    result = np.full_like(j, -np.inf)
    for candidate, _ in found:
        count = sum(multiplicity * (eigenvalue >= candidate) for eigenvalue, multiplicity in found)
        np.copyto(result, candidate, where=(count >= j) & (candidate > result))
    return result


# --- ranges of one or two parameters ---------------------------------------------------------------

Sweep = tuple[str, Array]


def parse_sweep(text: str, known: Sequence[str] = (*NAMES[:3], *SIX_NAMES)) -> Sweep:
    """Read ``NAME=START:STOP:STEP``, for example ``gamma=.05:.4:.01``.

    Parameters
    ----------
    text : str
        STOP is included if it is a whole number of steps from START; decimal arithmetic keeps the steps exact.
    known : sequence of str
        What may be swept.

    Returns
    -------
    name : str
        One of them.
    values : array, shape (points,)

    Raises
    ------
    ParameterError
        If the form or the name is wrong, the step is not positive, the range is reversed, or it has more than
        ``MOST_POINTS`` points.
    """
    name, _, numbers = text.partition("=")
    name = name.strip().replace("-", "_")
    require(name in known, "sweep", text, "a name among " + ", ".join(known) + nearest(name, known))
    try:
        start, stop, step = (Decimal(number) for number in numbers.split(":"))
    except (ValueError, InvalidOperation):
        raise ParameterError("sweep", text, "the form NAME=START:STOP:STEP") from None
    require(all(number.is_finite() for number in (start, stop, step)), "sweep", text, "finite numbers")
    sizes = (number.copy_abs() for number in (start, stop, step) if number)
    require(all(SMALLEST <= size <= LARGEST_SIZE for size in sizes), "sweep", text, EXPONENTS)
    require(step > 0, f"step of {name}", step, "step > 0")
    require(start <= stop, f"stop of {name}", stop, f"stop >= start = {start}")
    points = (stop - start) / step + 1
    require(points < MOST_POINTS + 1, f"points of {name}", f"{points:.3g}", f"at most {MOST_POINTS}")
    return name, np.array([float(start + index * step) for index in range(int(points))])


def grid(sweeps: Sequence[Sweep]) -> tuple[list[int], dict[str, Array]]:
    """The number of values of one or two sweeps, and the columns of their product; the last one varies fastest.

    Raises
    ------
    ParameterError
        If there are not one or two, over different parameters, or they have more than ``MOST_POINTS`` points together.
    """
    names = [name for name, _ in sweeps]
    require(1 <= len(sweeps) <= 2, "sweeps", len(sweeps), "one or two")
    require(len(set(names)) == len(names), "sweeps", " and ".join(names), "two different parameters")
    sizes = [values.size for _, values in sweeps]
    points = math.prod(sizes)
    require(points <= MOST_POINTS, "points", points, f"at most {MOST_POINTS}")
    columns = np.meshgrid(*(values for _, values in sweeps), indexing="ij")
    return sizes, {name: column.ravel() for name, column in zip(names, columns, strict=True)}


def grid_point(sweeps: Sequence[Sweep], index: tuple[Any, ...]) -> str:
    """A point of ``grid``, as errors call it."""
    if len(sweeps) == 1:
        return point_name(index)
    indices = np.unravel_index(index[0], [values.size for _, values in sweeps])
    return ", ".join(f"{name} = {values[i]:g}" for (name, values), i in zip(sweeps, indices, strict=True))


def sweep_table(fixed: Mapping[str, Any], sweeps: Sequence[Sweep]) -> Table:
    """Evaluate the product grid of one or two sweeps.

    Parameters
    ----------
    fixed : mapping
        The parameters that are not swept, by the names in ``NAMES``, and ``pairing``. None, or a name left out,
        means the default of the bounds command; alpha, beta and gamma have none. Or, in place of these and the
        pairing, ``within`` and ``across``, three levels each, of which those that are swept do not count.
    sweeps : sequence of (name, values)
        One or two; the last one varies fastest.

    Returns
    -------
    dict of arrays, each of shape (points,)
        The parameters, ``pairing``, and the columns of ``evaluate``. Of six levels the parameters include the
        paper's alpha, beta and gamma, which the printed bounds see, and ``pairing`` is measured, as in a plan.

    Raises
    ------
    ParameterError
        If a parameter is missing or both fixed and swept, there are not one or two sweeps, they have more than
        ``MOST_POINTS`` points together, or a point is outside its range.
    """
    given = {name: value for name, value in fixed.items() if value is not None}
    sizes, swept = grid(sweeps)
    levels = [level for where in ("within", "across") for level in given.pop(where, ())]
    pairing, names = given.pop("pairing", PAIRINGS[0]), SIX_NAMES if levels else NAMES
    for name in swept:
        if name in given:
            raise ParameterError(f"--{name.replace('_', '-')} and a sweep over it exclude each other")
        if name not in names:
            other = "excludes --within and --across" if levels else "needs --within and --across"
            raise ParameterError(f"a sweep over {name} {other}")
    for name in () if levels else NAMES[:3]:
        if name not in given and name not in swept:
            raise ParameterError(f"--{name} is required, or a sweep over it")
    points = int(np.prod(sizes))
    columns: dict[str, Any] = {
        **DEFAULTS,
        **dict(zip(SIX if levels else (), levels, strict=True)),
        **given,
        **swept,
    }
    columns.setdefault("difficult", np.rint(DIFFICULT_SHARE * np.asarray(columns["samples_per_class"])))

    place = partial(grid_point, sweeps)
    table = _evaluate([columns[name] for name in names], SIX_LEVELS if levels else _three(pairing), place)
    parameters = {
        name: np.broadcast_to(np.asarray(columns[name], dtype=np.int64 if name in INTEGERS else np.float64), points)
        for name in names
    }
    if levels:
        pairing, graphs = MEASURED, _six_points(*(parameters[name].astype(float) for name in names))
        parameters |= {name: getattr(graphs, name) for name in NAMES[:3]}
    return {**parameters, "pairing": np.broadcast_to(pairing, points), **table}


def table_text(table: Table, suffix: str) -> str:
    """A table as CSV (an empty cell where there is no value) or as a JSON object of columns (null)."""
    if suffix == ".json":
        columns = {name: _cells(column) for name, column in table.items()}
        return json.dumps({"schema": SCHEMA, "columns": columns}, allow_nan=False) + "\n"
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table)
    for start in range(0, len(table["alpha"]), CHUNK):  # all cells at once would be ten times the text
        writer.writerows(zip(*(_cells(column[start : start + CHUNK]) for column in table.values()), strict=True))
    return text.getvalue()


def _cells(column: NDArray[Any]) -> list[Any]:
    if column.dtype != np.float64:
        return list(column.tolist())
    return [value if math.isfinite(value) else None for value in column.tolist()]


# --- plot ------------------------------------------------------------------------------------------

SYMBOLS = dict(zip(NAMES, ("α", "β", "γ", "n", "r + 1", "n_d", "k", "δ"), strict=True))
SYMBOLS |= dict(zip(SIX, ("w_ee", "w_ed", "w_dd", "w′_ee", "w′_ed", "w′_dd"), strict=True))  # as in docs/theory.md


def excess_figure(table: Table, sweeps: Sequence[Sweep]) -> Figure:
    """Draw the excess over the clean bound.

    Parameters
    ----------
    table, sweeps
        Result and argument of ``sweep_table``. One parameter: all five bounds against it. Two: a map of the
        difficult bound, with a line where removing the difficult samples gives the same bound. Where k lies
        outside a statement's range nothing is drawn.
    """
    from matplotlib.figure import Figure  # half a second

    axes = [sweep for sweep in sweeps if sweep[1].size > 1] or sweeps[:1]
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    plot = figure.add_subplot()
    plot.set_xlabel(SYMBOLS[axes[0][0]])
    excess = {name: np.where(table[f"{name}.applies"], table[f"{name}.excess_over_clean"], np.nan) for name in BOUNDS}
    if len(axes) == 1:
        x = axes[0][1]
        for name, values in excess.items():  # margin lies on clean
            options: dict[str, Any] = {"marker": "." if x.size < 40 else None, "color": palette.of(name), "label": name}
            plot.plot(x, values, "--" if name == "margin" else "-", **options)
        sizes = np.abs(np.stack(list(excess.values())))
        sizes = sizes[(sizes > 0) & np.isfinite(sizes)]
        if sizes.size:  # the bounds differ by orders of magnitude
            plot.set_yscale("symlog", linthresh=max(sizes.min(), 1e-9 * sizes.max()))
        plot.set_ylabel("bound − clean bound")
        figure.legend(loc="outside right upper")
    else:
        (_, x), (y_name, y) = axes
        difficult, removal = (excess[name].reshape(x.size, y.size).T for name in ("difficult", "removal"))
        plot.set_facecolor(palette.LINE)
        mesh = plot.pcolormesh(x, y, difficult, shading="nearest", rasterized=True)
        figure.colorbar(mesh, label="difficult bound − clean bound")
        cost = np.ma.masked_invalid(removal - difficult)
        if cost.count() and cost.min() < 0 < cost.max():
            lines = plot.contour(x, y, cost, levels=[0], colors=palette.PALE)
            plot.clabel(lines, fmt={0: "removal = difficult"})
        plot.set_ylabel(SYMBOLS[y_name])
    drawn = {name for name, _ in axes}
    names = SIX_NAMES if SIX[0] in table else NAMES
    constant = [name for name in names if name not in drawn and (table[name] == table[name][0]).all()]
    fixed = ", ".join(f"{SYMBOLS[name]} = {table[name][0]:g}" for name in constant)
    outside = np.isnan(excess["difficult"]).any() and len(axes) == 2
    note = "; grey: k outside the range" * bool(outside)
    kind = "" if names is SIX_NAMES else f", {table['pairing'][0]} pairing"
    figure.suptitle(textwrap.fill(fixed + kind + note, 90), fontsize="small")
    return figure
