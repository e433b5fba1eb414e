import csv
import io
import json
import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.pictures import faults
from tests.theory.graphs import REFERENCE, graphs
from tests.theory.test_kinds import six_levels
from theory import sweep
from theory.augmentation import labelling_errors
from theory.bounds import error_bounds
from theory.bounds.__main__ import main
from theory.checks import ParameterError
from theory.kinds import PAIRINGS
from theory.params import GraphParameters, SixLevels
from theory.sharper import comparison, flipped_labels, sharper_bounds
from theory.spectrum import has_negative_weight, is_positive_semidefinite, nth_mode, spectrum

FIXED = {"alpha": 0.4, "beta": 0.1, "samples_per_class": 20, "classes": 4, "difficult": 3, "dim": 5, "delta": 0.01}


@st.composite
def points(draw, pairing):
    """A graph that has bounds, of up to some thousand samples per class, with k and δ."""
    p = replace(draw(graphs()), pairing=pairing)
    if draw(st.booleans()):
        n = p.n * draw(st.integers(1, 1000))
        p = replace(p, samples_per_class=n, difficult=draw(st.sampled_from([0, 1, n]) | st.integers(0, n)))
    dim = draw(st.integers(1, min(p.nodes - 1, 2 * p.classes)) | st.integers(1, p.nodes - 1))
    return p, dim, draw(st.sampled_from([0.0, 1.0]) | st.floats(0, 1, allow_subnormal=False))


def arguments(batch):
    """The points of a batch as the arrays that ``evaluate`` takes."""
    rows = [
        (p.alpha, p.beta, p.gamma, p.samples_per_class, p.classes, p.difficult, dim, delta) for p, dim, delta in batch
    ]
    return [np.array(column) for column in zip(*rows, strict=True)]


@st.composite
def batches(draw):
    pairing = draw(st.sampled_from(PAIRINGS))
    return pairing, draw(st.lists(points(pairing), min_size=1, max_size=6))


# --- closed forms over arrays ----------------------------------------------------------------------


@given(batches())
def test_every_point_agrees_with_the_scalar_functions(drawn):
    pairing, batch = drawn
    table = sweep.evaluate(*arguments(batch), pairing)
    names = {column.split(".")[1] for column in table if column.startswith("multiplicity.")}
    for i, (p, dim, delta) in enumerate(batch):
        for kind, degree in p.degrees._asdict().items():
            assert table[f"degree.{kind}"][i] == pytest.approx(degree, rel=1e-15)
        modes = {mode.mode: mode for mode in spectrum(p)}
        assert set(modes) <= names
        for name in names:
            if name in modes:
                assert table[f"eigenvalue.{name}"][i] == pytest.approx(modes[name].eigenvalue, abs=1e-15)
                assert table[f"multiplicity.{name}"][i] == modes[name].multiplicity
            else:
                assert np.isnan(table[f"eigenvalue.{name}"][i])
                assert table[f"multiplicity.{name}"][i] == 0
        assert table["realisable"][i] == is_positive_semidefinite(p)
        for name, bound in error_bounds(p, dim, delta).items():
            for field, value in bound.to_json().items():
                if field == "source":
                    continue
                found = table[f"{name}.{field}"][i]
                if isinstance(value, bool):
                    assert found.dtype == bool
                    assert found == value
                elif value is None:
                    assert np.isnan(found)
                else:
                    assert found == pytest.approx(value, rel=1e-15, abs=1e-15)


@given(batches())
def test_every_point_has_the_sharper_bounds_of_the_scalar_functions(drawn):
    pairing, batch = drawn
    table = sweep.evaluate(*arguments(batch), pairing)
    for i, (p, dim, delta) in enumerate(batch):
        interval = labelling_errors(p)
        assert table["delta.least"][i] == pytest.approx(interval.least, rel=1e-14)
        assert table["delta.most"][i] == pytest.approx(interval.most, rel=1e-14)
        for name, labels in (("given", flipped_labels(delta)), ("even", None)):
            found = sharper_bounds(p, dim, labels)
            for field in ("squared", "plug_in", "error"):
                value = getattr(found, field)
                assert table[f"{name}.{field}"][i] == pytest.approx(np.nan if value is None else value, nan_ok=True)


@given(batches())
def test_the_modes_sum_to_the_trace_and_hold_the_exact_eigenvalue(drawn):
    pairing, batch = drawn
    table = sweep.evaluate(*arguments(batch), pairing)
    names = [column.removeprefix("multiplicity.") for column in table if column.startswith("multiplicity.")]
    for i, (p, dim, _) in enumerate(batch):
        multiplicities = [table[f"multiplicity.{name}"][i] for name in names]
        eigenvalues = np.repeat([table[f"eigenvalue.{name}"][i] for name in names], multiplicities)
        assert eigenvalues.size == p.nodes
        trace = p.classes * ((p.n - p.n_d) / table["degree.easy"][i] + p.n_d / table["degree.difficult"][i])
        assert math.fsum(eigenvalues) == pytest.approx(trace, rel=1e-12)
        assert table["difficult.lambda_exact"][i] == np.sort(eigenvalues)[::-1][dim]


@given(st.lists(six_levels(), min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_six_levels_at_every_point_are_those_of_the_scalar_functions(drawn, random):
    dims = [random.randint(1, p.nodes - 1) for p in drawn]
    levels = np.array([(*p.within, *p.across) for p in drawn], dtype=float).T
    sizes = np.array([(p.n, p.classes, p.n_d) for p in drawn]).T
    table = sweep.evaluate_six(levels[:3], levels[3:], *sizes, dims)
    for at, (p, dim) in enumerate(zip(drawn, dims, strict=True)):
        floats = replace(p, within=tuple(map(float, p.within)), across=tuple(map(float, p.across)))
        found = {mode.mode: mode for mode in spectrum(floats)}
        for name in [column[11:] for column in table if column.startswith("eigenvalue.")]:
            count = found[name].multiplicity if name in found else 0
            assert table[f"multiplicity.{name}"][at] == count
            if count:
                assert table[f"eigenvalue.{name}"][at] == pytest.approx(found[name].eigenvalue, rel=1e-12, abs=1e-15)
        expected = nth_mode(spectrum(floats), dim + 1).eigenvalue
        assert table["lambda_exact"][at] == pytest.approx(expected, rel=1e-12, abs=1e-15)
        assert table["realisable"][at] == (is_positive_semidefinite(floats) and not has_negative_weight(floats))


@given(
    st.lists(six_levels(), min_size=1, max_size=4),
    st.floats(0, 1, allow_subnormal=False),
    st.randoms(use_true_random=False),
)
def test_six_levels_have_the_bounds_of_the_scalar_functions(drawn, delta, random):
    dims = [random.randint(1, p.nodes - 1) for p in drawn]
    levels = np.array([p.levels for p in drawn], dtype=float).T
    sizes = np.array([(p.n, p.classes, p.n_d) for p in drawn]).T
    table = sweep.evaluate_six(levels[:3], levels[3:], *sizes, dims, delta)
    for at, (p, dim) in enumerate(zip(drawn, dims, strict=True)):
        printed = scalar(lambda p=p, dim=dim: error_bounds(p, dim, delta))
        for name in sweep.BOUNDS:
            fields = dict.fromkeys(("lambda", "bound", "bound_exact", "excess_over_clean"))
            if printed is not None:
                fields = printed[name].to_json()
                assert table[f"{name}.applies"][at] == fields["applies"]
                assert table[f"{name}.vacuous"][at] == fields["vacuous"]
            for field in ("lambda", "bound", "bound_exact", "excess_over_clean"):
                value = np.nan if fields[field] is None else fields[field]
                assert table[f"{name}.{field}"][at] == pytest.approx(value, rel=1e-9, abs=1e-12, nan_ok=True)
        compared = scalar(lambda p=p, dim=dim: comparison(p, dim, delta))
        interval = dict.fromkeys(("least", "most")) if compared is None else compared["labelling_errors"]
        for end in ("least", "most"):
            value = np.nan if interval[end] is None else interval[end]
            assert table[f"delta.{end}"][at] == pytest.approx(value, rel=1e-9, abs=1e-12, nan_ok=True)
        for name in ("given", "even"):
            fields = dict.fromkeys(("squared", "plug_in", "error"))
            if compared is not None:
                found = sharper_bounds(p, dim, flipped_labels(delta) if name == "given" else None)
                fields = found._asdict()
            for field in ("squared", "plug_in", "error"):
                value = np.nan if fields[field] is None else fields[field]
                assert table[f"{name}.{field}"][at] == pytest.approx(value, rel=1e-6, abs=1e-9, nan_ok=True)


def scalar(function):
    """What a scalar function returns, None if it refuses the graph."""
    try:
        return function()
    except ParameterError:
        return None


def test_block_as_six_levels_has_the_same_table():
    gamma = np.array([0.1, 0.15, 0.2])
    expected = sweep.evaluate(**FIXED, gamma=gamma)
    a, b = FIXED["alpha"], FIXED["beta"]
    sizes = [FIXED[name] for name in ("samples_per_class", "classes", "difficult", "dim", "delta")]
    table = sweep.evaluate_six((a, a, a), (b, b, gamma), *sizes)
    assert set(table) == {*expected, "lambda_exact"}
    for name in expected:
        of_gamma = name.split(".")[0] in ("difficult", "temperature") and not name.endswith("lambda_exact")
        if not of_gamma:  # the printed ones see the paper's γ (A.5), a mean over the pairs with a difficult sample
            np.testing.assert_allclose(table[name], expected[name], rtol=1e-9, err_msg=name)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"within": (0.5, [0.4, 1.5], 0.4)}, "within.mixed = 1.5 at point 1 violates a number in [-1, 1]"),
        ({"across": (-1.0, -0.5, 0.1)}, "degree of easy samples = "),
        ({"dim": 60}, "dim = 60 violates an integer in [1, 59], fewer than the N samples"),
        ({"difficult": 2.5}, "difficult = 2.5 violates"),
        ({"dim": []}, "at least one point"),
        ({"delta": [0.1, 1.1]}, "delta = 1.1 at point 1 violates 0 <= delta <= 1"),
        ({"classes": [3, math.nan]}, "classes = nan at point 1 violates"),
    ],
)
def test_a_graph_of_six_levels_is_refused_as_the_scalar_one(change, message):
    arguments = {
        "within": (0.5, 0.45, 0.4),
        "across": (0.05, 0.06, 0.08),
        "samples_per_class": 20,
        "classes": 3,
        "difficult": 5,
        "dim": 4,
    }
    assert sweep.evaluate_six(**arguments)["realisable"].shape == ()
    with pytest.raises(ParameterError) as error:
        sweep.evaluate_six(**(arguments | change))
    assert message in str(error.value)


def test_in_a_clean_graph_gamma_has_no_effect():
    table = sweep.evaluate(0.4, 0.1, 0.3, 20, 4, 3, [3, 5, 30], 0.01, "clean")
    expected = sweep.evaluate(0.4, 0.1, 0.1, 20, 4, 3, [3, 5, 30], 0.01)
    for name in expected:
        np.testing.assert_array_equal(table[name], expected[name])
    assert table["difficult.applies"].tolist() == [False, True, True]


def test_arguments_broadcast_and_chunks_do_not_show(monkeypatch):
    gamma, difficult = np.linspace(0.1, 0.35, 13), np.arange(21)
    varied = {**FIXED, "gamma": gamma[:, None], "difficult": difficult}
    table = sweep.evaluate(**varied)
    monkeypatch.setattr(sweep, "CHUNK", 16)
    for name, column in sweep.evaluate(**varied).items():
        assert column.shape == (13, 21)
        np.testing.assert_array_equal(column, table[name])
    one = sweep.evaluate(**{**varied, "gamma": gamma[7], "difficult": 4})
    assert all(column.shape == () for column in one.values())
    for name, column in table.items():
        np.testing.assert_array_equal(column[7, 4], one[name])


def test_the_reference_graph():
    p = REFERENCE
    table = sweep.evaluate(p.alpha, p.beta, p.gamma, p.n, p.classes, p.n_d, dim=np.arange(1, p.nodes), delta=0.01)
    found = [round(float(value), 6) for value in table["difficult.lambda_exact"]]
    assert found[1:5] == [0.287109, 0.099717, 0.087111, 0.087111]
    assert list(table["difficult.applies"][:5]) == [False, False, True, True, False]


TRICKY = st.sampled_from([-math.inf, -1.0, 0.0, 0.1, 0.3, 0.5, 1.0, 1.5, 2.0, 3.0, 20.0, 40.0, math.inf, math.nan])


@given(st.dictionaries(st.integers(0, 7), TRICKY, max_size=4), st.sampled_from(PAIRINGS))
def test_a_point_is_refused_exactly_when_the_scalar_functions_refuse_it(changes, pairing):
    good = [0.5, 0.1, 0.3, 20, 4, 2, 5, 0.01]
    values = [changes.get(i, value) for i, value in enumerate(good)]
    whole = [
        int(v) if name in sweep.INTEGERS and v % 1 == 0 else v for name, v in zip(sweep.NAMES, values, strict=True)
    ]
    expected = found = None
    try:
        error_bounds(GraphParameters(*whole[:6], pairing), *whole[6:])
    except ParameterError as error:
        expected = str(error).replace(" violates ", " at point 1 violates ", 1)
    try:
        sweep.evaluate(*np.stack([good, values], axis=1), pairing)
    except ParameterError as error:
        found = str(error)
    assert found == expected


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"gamma": [0.2] * 36 + [0.41]}, "gamma = 0.41 at point 36 violates gamma < alpha = 0.4"),
        ({"gamma": 0.5}, "gamma = 0.5 violates gamma < alpha = 0.4"),
        ({"gamma": 0.2, "difficult": [[3], [21]], "dim": [5, 6]}, r"difficult = 21 at point \(1, 0\) violates"),
        ({"gamma": 0.2, "difficult": [1, 1.5]}, "difficult = 1.5 at point 1 violates an integer"),
        ({"gamma": [0.2, math.nan]}, "gamma = nan at point 1 violates a finite number"),
        ({"gamma": 0.2, "dim": np.arange(1, 100)}, r"dim = 80 at point 79 violates an integer in \[1, 79\]"),
        ({"gamma": 0.2, "delta": [0, 1, 1.01, -1]}, "delta = 1.01 at point 2 violates 0 <= delta <= 1"),
        ({"gamma": 0.2, "samples_per_class": [20, 0]}, "samples_per_class = 0 at point 1 violates"),
        ({"gamma": 0.2, "pairing": "random"}, "pairing = random violates one of block, any, matched, clean"),
        ({"gamma": []}, "violates at least one point"),
    ],
)
def test_the_first_offending_point_is_named(changes, message, monkeypatch):
    monkeypatch.setattr(sweep, "CHUNK", 8)
    with pytest.raises(ParameterError, match=message):
        sweep.evaluate(**{**FIXED, **changes})


# --- ranges ----------------------------------------------------------------------------------------


@given(st.integers(-1000, 1000), st.integers(1, 500), st.integers(0, 300), st.integers(0, 6), st.integers(0, 9))
def test_ranges_are_exact_and_include_their_end(start, step, count, digits, beyond):
    def text(value):
        return f"{value}e-{digits}"

    stop = start + count * step + min(beyond, step - 1)
    name, values = sweep.parse_sweep(f"gamma={text(start)}:{text(stop)}:{text(step)}")
    assert name == "gamma"
    assert list(values) == [float(Fraction(start + i * step, 10**digits)) for i in range(count + 1)]


def test_the_documented_range():
    name, values = sweep.parse_sweep("gamma=.05:.4:.01")
    assert (name, list(values)) == ("gamma", [i / 100 for i in range(5, 41)])
    assert sweep.parse_sweep("samples-per-class=5:5:1")[0] == "samples_per_class"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gamma=.4:.05:.01", "stop of gamma = 0.05 violates stop >= start = 0.4"),
        ("gamma=.4:.05:-.01", "step of gamma = -0.01 violates step > 0"),
        ("gamma=.05:.4:0", "step of gamma = 0 violates step > 0"),
        ("gamma=.05:.4:1e-9", "points of gamma = 3.50e\\+8 violates at most 1000000"),
        ("gamma=.05:.4:1e-9999", "violates 0, or magnitudes from 1e-30"),
        ("gamma=.05:1e9999:1", "violates 0, or magnitudes from 1e-30"),
        ("gamma=nan:.4:.01", "violates finite numbers"),
        ("gamma=.05:.4", "sweep = gamma=.05:.4 violates the form NAME=START:STOP:STEP"),
        ("gamma=.05:.4:x", "violates the form"),
        ("gamma", "violates the form"),
        ("", "violates a name among alpha, beta"),
        ("gama=.05:.4:.01", "sweep = gama=.05:.4:.01 violates a name among alpha, beta, gamma"),
        ("gama=.05:.4:.01", r"difficult, dim, delta \(did you mean gamma\?\)"),
        ("pairing=.05:.4:.01", "violates a name among"),
        ("across.dificult=.05:.4:.01", r"\(did you mean across.difficult\?\)"),
    ],
)
def test_bad_ranges_are_named(text, message):
    with pytest.raises(ParameterError, match=message):
        sweep.parse_sweep(text)


def test_two_sweeps_give_the_product_grid():
    sweeps = [("gamma", np.array([0.1, 0.2, 0.3])), ("dim", np.array([4.0, 7.0]))]
    table = sweep.sweep_table({name: value for name, value in FIXED.items() if name != "dim"}, sweeps)
    assert list(table)[:9] == [*sweep.NAMES, "pairing"]
    assert list(table["gamma"]) == [0.1, 0.1, 0.2, 0.2, 0.3, 0.3]
    assert list(table["dim"]) == [4, 7, 4, 7, 4, 7]
    assert {column.shape for column in table.values()} == {(6,)}
    assert set(table["pairing"]) == {"block"}
    for i in range(6):
        p = GraphParameters(0.4, 0.1, float(table["gamma"][i]), 20, 4, 3)
        assert table["difficult.bound"][i] == error_bounds(p, int(table["dim"][i]), 0.01)["difficult"].bound


def test_what_is_not_given_has_the_defaults_of_the_bounds_command():
    fixed = {"alpha": 0.5, "beta": 0.05, "gamma": 0.2, "delta": None}
    table = sweep.sweep_table(fixed, [("samples_per_class", np.array([25.0, 5000.0]))])
    assert list(table["difficult"]) == [2, 400]
    assert [table[name][1] for name in ("classes", "dim", "delta")] == [10, 128, 0.01]


SIX = {"within": (0.5, 0.48, 0.45), "across": (0.05, 0.06, 0.1), "samples_per_class": 20, "classes": 4, "dim": 5}


def test_a_sweep_of_six_levels_replaces_those_that_are_given():
    sweeps = [("across.difficult", np.array([0.1, 0.2])), ("within.mixed", np.array([0.4, 0.45, 0.5]))]
    table = sweep.sweep_table(SIX, sweeps)
    assert list(table)[:15] == [*sweep.SIX_NAMES, "alpha", "beta", "gamma", "pairing"]
    assert list(table["across.difficult"]) == [0.1] * 3 + [0.2] * 3
    assert list(table["within.mixed"]) == [0.4, 0.45, 0.5] * 2
    assert set(table["across.easy"]) == {0.05}
    assert set(table["difficult"]) == {2}
    assert set(table["pairing"]) == {"measured"}
    for at in range(6):
        levels = [float(table[name][at]) for name in sweep.SIX]
        p = SixLevels(tuple(levels[:3]), tuple(levels[3:]), 20, 4, 2)
        for name in ("alpha", "beta", "gamma"):
            assert table[name][at] == pytest.approx(getattr(p, name))
        assert table["difficult.bound"][at] == pytest.approx(error_bounds(p, 5, 0.01)["difficult"].bound)
    figure = sweep.excess_figure(table, sweeps)
    assert (figure.axes[0].get_xlabel(), figure.axes[0].get_ylabel()) == ("w′_dd", "w_ed")
    assert figure.get_suptitle().startswith("w_ee = 0.5, w_dd = 0.45, w′_ee = 0.05")
    assert "pairing" not in figure.get_suptitle()


ONE = np.array([0.2])


@pytest.mark.parametrize(
    ("fixed", "swept", "message"),
    [
        (SIX, "gamma", "a sweep over gamma excludes --within and --across"),
        (FIXED, "across.easy", "a sweep over across.easy needs --within and --across"),
        (SIX, "dim", "--dim and a sweep over it exclude each other"),
    ],
)
def test_sweeps_of_another_kind_of_graph_are_named(fixed, swept, message):
    with pytest.raises(ParameterError, match=message):
        sweep.sweep_table(fixed, [(swept, ONE)])


@pytest.mark.parametrize(
    ("changes", "sweeps", "message"),
    [
        ({}, [("gamma", ONE), ("gamma", ONE)], "gamma and gamma violates two different parameters"),
        ({}, [("gamma", ONE), ("dim", ONE), ("delta", ONE)], "sweeps = 3 violates one or two"),
        ({}, [("delta", ONE)], "--delta and a sweep over it exclude each other"),
        ({"samples_per_class": 20, "delta": None}, [("delta", ONE)], "--gamma is required, or a sweep over it"),
        ({"delta": None}, [("gamma", np.zeros(2000)), ("delta", np.zeros(501))], "points = 1002000 violates at most"),
    ],
)
def test_sweeps_that_make_no_grid_are_named(changes, sweeps, message):
    with pytest.raises(ParameterError, match=message):
        sweep.sweep_table({**FIXED, **changes}, sweeps)


# --- files -----------------------------------------------------------------------------------------

EDGES = {**FIXED, "beta": 0.0, "difficult": None}


@pytest.fixture
def edges():
    """Graphs without some bounds: beta = 0 has no temperature, difficult = n no removal."""
    sweeps = [("gamma", np.array([0.0, 0.2])), ("difficult", np.array([0.0, 3.0, 20.0]))]
    return sweep.sweep_table(EDGES, sweeps), sweeps


def test_csv_and_json_hold_the_table(edges, monkeypatch):
    table, _ = edges
    monkeypatch.setattr(sweep, "CHUNK", 4)
    rows = list(csv.DictReader(io.StringIO(sweep.table_text(table, ".csv"))))
    document = json.loads(sweep.table_text(table, ".json"))
    assert document["schema"] == sweep.SCHEMA
    assert list(document["columns"]) == list(rows[0]) == list(table)
    missing = 0
    for name, column in table.items():
        for i, value in enumerate(column.tolist()):
            absent = isinstance(value, float) and math.isnan(value)
            missing += absent
            assert document["columns"][name][i] == (None if absent else value)
            assert rows[i][name] == ("" if absent else str(value))
    assert missing > 10


def test_plot_of_one_parameter():
    table = sweep.sweep_table(FIXED, [("gamma", np.array([0.1, 0.2, 0.3]))])
    figure = sweep.excess_figure(table, [("gamma", np.array([0.1, 0.2, 0.3]))])
    assert faults(figure) == []
    (axis,) = figure.axes
    assert axis.get_xlabel() == "γ"
    assert [line.get_label() for line in axis.lines] == list(sweep.BOUNDS)
    for name, line in zip(sweep.BOUNDS, axis.lines, strict=True):
        np.testing.assert_array_equal(line.get_xdata(), [0.1, 0.2, 0.3])
        np.testing.assert_array_equal(line.get_ydata(), table[f"{name}.excess_over_clean"])


@pytest.mark.parametrize(("last", "lines"), [(19, 1), (2, 0)])
def test_map_of_two_parameters_shows_where_removal_starts_to_lose(last, lines):
    gamma, difficult = np.array([0.15, 0.2, 0.3, 0.39]), np.arange(1.0, last + 1)
    sweeps = [("gamma", gamma), ("difficult", difficult)]
    table = sweep.sweep_table({**EDGES, "beta": 0.1}, sweeps)
    figure = sweep.excess_figure(table, sweeps)
    assert faults(figure) == []
    axis = figure.axes[0]
    assert (axis.get_xlabel(), axis.get_ylabel()) == ("γ", "n_d")
    mesh = axis.collections[0].get_array()
    np.testing.assert_array_equal(np.ravel(mesh.T), table["difficult.excess_over_clean"])
    assert len(axis.collections) == 1 + lines


@pytest.mark.parametrize("size", [1, 2])
def test_a_range_of_one_value_is_no_axis(size):
    sweeps = [("gamma", np.array([0.2])), ("delta", np.linspace(0, 0.1, size))]
    table = sweep.sweep_table({**FIXED, "delta": None}, sweeps)
    (axis,) = sweep.excess_figure(table, sweeps).axes
    assert axis.get_xlabel() == ("γ" if size == 1 else "δ")


# --- command ---------------------------------------------------------------------------------------


def command(argv, **changes):
    """The bounds command on the fixed parameters."""
    fixed = {**FIXED, **changes}
    given = [f"--{name.replace('_', '-')}={value}" for name, value in fixed.items() if value is not None]
    return main([*given, *argv])


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_the_table_is_printed_unless_it_is_written(options, capsys):
    assert command(["--sweep", "gamma=.1:.3:.1", *options]) == 0
    expected = sweep.table_text(
        sweep.sweep_table(FIXED, [("gamma", np.array([0.1, 0.2, 0.3]))]), ".json" if options else ".csv"
    )
    assert capsys.readouterr().out == expected


@pytest.mark.parametrize(("out", "plot"), [("a.csv", "b.png"), ("a.json", "b.svg"), (None, "new/b.png")])
def test_files_by_suffix(out, plot, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    argv = ["--sweep", "gamma=.15:.35:.05", "--sweep", "difficult=1:12:1", "--plot", plot]
    assert command([*argv, *(["--out", out] if out else [])], difficult=None) == 0
    assert capsys.readouterr().out == "".join(f"{path}: 60 points\n" for path in (out, plot) if path)
    start = (tmp_path / plot).read_bytes()[:5]
    assert start == (b"\x89PNG\r" if plot.endswith("png") else b"<?xml")
    written = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())
    assert written == sorted(path for path in (out, plot) if path)
    if out:
        text = (tmp_path / out).read_text()
        rows = json.loads(text)["columns"]["gamma"] if out.endswith("json") else text.splitlines()[1:]
        assert len(rows) == 60


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--sweep", "gamma=.1:.41:.01"], "gamma = 0.4 at point 30 violates gamma < alpha = 0.4"),
        (["--sweep", "gamma=.1:.2:.1", "--out", "a.txt"], "--out = a.txt violates a name ending in .csv or .json"),
        (["--sweep", "gamma=.1:.2:.1", "--plot", "a.pdf"], "--plot = a.pdf violates a name ending in .png or .svg"),
        (["--sweep", "gamma=.3:.2:.1"], "stop of gamma = 0.2 violates stop >= start = 0.3"),
        (["--sweep", "delta=.3:.2:.1"], "stop of delta = 0.2"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(argv, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert command(["--out", "sweep.csv", "--plot", "sweep.png", *argv]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_the_command_sweeps_six_levels(capsys):
    given = ["--within", ".5", ".48", ".45", "--across", ".05", ".06", ".1", "--samples-per-class", "20"]
    argv = [*given, "--classes", "4", "--dim", "5"]
    assert main([*argv, "--sweep", "across.difficult=.1:.2:.05"]) == 0
    expected = sweep.table_text(sweep.sweep_table(SIX, [("across.difficult", np.array([0.1, 0.15, 0.2]))]), ".csv")
    assert capsys.readouterr().out == expected
    assert main([*argv, "--sweep", "across.difficult=.8:1.2:.2"]) == 2
    out, err = capsys.readouterr()
    assert (out, err) == ("", "error: across.difficult = 1.2 at point 2 violates a number in [-1, 1]\n")


@pytest.mark.parametrize("option", ["out", "plot"])
def test_a_place_that_cannot_be_written_is_named(option, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    path = tmp_path / "file" / ("a.csv" if option == "out" else "a.png")
    assert main(["--alpha", ".4", "--beta", ".1", "--sweep", "gamma=.1:.2:.1", f"--{option}", str(path)]) == 2
    assert "cannot write" in capsys.readouterr().err
