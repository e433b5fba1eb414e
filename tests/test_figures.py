"""Every figure is drawn from its data, the same each time; the committed numbers follow from the committed data."""

import re
import subprocess
import sys
from functools import cache
from importlib import import_module
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.style import context

from empirical.findings.claims import correlation
from figures import (
    accuracy_omega,
    adjacency,
    bound_gap,
    damage_window,
    difficult_pairs,
    domain_map,
    phase_map,
    predicted_measured,
    similarity_histogram,
    strength,
    study,
    style,
    sweeps,
)
from figures.__main__ import NAMES, main
from tests.pictures import drawn_texts, faults
from theory import palette
from theory.bounds import difficult_range, error_bounds
from theory.params import GraphParameters
from theory.plan import Plan, plan_from_parameters
from theory.predict import predict
from theory.simulate import Cell, simulate_cell

ROOT = Path(__file__).parents[1]
FIGURES = ROOT / "figures"
TEXT = (FIGURES / "phase_map.txt").read_text(encoding="utf-8")
DOMAIN_TEXT = (FIGURES / "domain_map.txt").read_text(encoding="utf-8")


@pytest.fixture
def runs():
    """A few runs of a study: one condition without a bound, one with one seed, one without λ."""
    rows = []
    for i, (condition, arm, omega, seeds) in enumerate(
        [
            ("untrained", "untrained", 0.0, 2),
            ("baseline", "baseline", 0.0, 3),
            ("omega-0.1", "baseline", 0.1, 3),
            ("omega-0.3", "baseline", 0.3, 1),
            ("omega-0.3-mixed_removal", "mixed_removal", 0.3, 2),
            ("margin", "margin", 0.0, 2),
            ("margin-x4", "margin", 0.0, 2),
            ("temperature", "temperature", 0.0, 2),
            ("temperature-power2", "temperature", 0.0, 1),
            ("combined", "combined", 0.0, 2),
            ("tau-0.5-baseline", "baseline", 0.0, 2),
            ("adnce", "adnce", 0.0, 2),
        ]
    ):
        for seed in range(seeds):
            rows.append(
                {
                    "condition": condition,
                    "arm": arm,
                    "omega": omega,
                    "seed": seed,
                    "batch": 256,
                    "tau": 0.5 if condition.startswith("tau") else 0.2,
                    "sigma": {"margin": 0.01, "margin-x4": 0.04}.get(condition, 0.0),
                    "rho": {"temperature": 0.9, "temperature-power2": 0.81}.get(condition, 1.0),
                    "encoder_probe": 0.4 + 0.01 * i + 0.002 * seed,
                    "encoder_alpha": 0.8,
                    "encoder_beta": 0.7,
                    "encoder_gamma": 0.71 + 0.001 * seed,
                    "bound_matched": None if condition == "margin" else 6 + 0.1 * i + 0.01 * seed,
                    "lambda_measured": None if condition == "adnce" else 1e-4 * (1 + i + 0.1 * seed),
                }
            )
    return pd.DataFrame(rows)


@pytest.fixture
def studied(runs, tmp_path, monkeypatch):
    """The study's table replaced by ``runs``."""
    path = tmp_path / "study.csv"
    runs.to_csv(path, index=False)
    monkeypatch.setattr(study, "TABLE", path)


def read(name):
    """A figure's module and what it shows."""
    module = import_module(f"figures.{name}")
    try:
        return module, module.data()
    except style.NotShipped as missing:
        pytest.skip(f"there is no {missing.filename}")


@cache
def drawn(name):
    """The committed figure, and the caption below it."""
    module, shown = read(name)
    return module.draw(shown), module.caption(shown)


def test_every_script_is_drawn():
    shared = {"__init__", "__main__", "style", "study"}
    assert {path.stem for path in FIGURES.glob("*.py")} - shared == set(NAMES)


@pytest.mark.usefixtures("studied")
@pytest.mark.parametrize("name", NAMES)
def test_the_same_files_each_time_whatever_the_users_settings(name, tmp_path):
    module, shown = read(name)
    if name == "phase_map":  # enough of it
        shown = shown[(shown.epsilon > 0.5) & (shown.difficult > 4)]
    here = module.draw(shown)
    assert here.get_figwidth() == style.WIDTH
    assert module.caption(shown)
    paths = style.save(here, name, tmp_path / "here")
    assert [path.name for path in paths] == [f"{name}.svg", f"{name}.png"]
    with mpl.rc_context({"font.size": 20, "axes.spines.top": True, "svg.fonttype": "none", "savefig.dpi": 30}):
        again = style.save(module.draw(shown), name, tmp_path / "there")
    for path, other in zip(paths, again, strict=True):
        assert path.read_bytes() == other.read_bytes()


@pytest.mark.parametrize("name", NAMES)
def test_pictures_are_committed(name):
    assert 10_000 < (FIGURES / f"{name}.svg").stat().st_size < 700_000
    assert 10_000 < (FIGURES / f"{name}.png").stat().st_size < 300_000


def test_missing_data_are_named(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(study, "TABLE", tmp_path / "none.csv")
    assert main(["accuracy_omega", "damage_window", "--out", str(tmp_path)]) == 1
    out, err = capsys.readouterr()
    assert err.count("\n") == 1
    assert err.startswith("accuracy_omega: ")
    assert "none.csv" in err
    first, caption = out.splitlines()
    files = [str(tmp_path / f"damage_window.{suffix}") for suffix in ("svg", "png")]
    assert first.split() == ["damage_window:", *files]
    assert caption == f"*{damage_window.caption(damage_window.data())}*"


def test_a_picture_of_what_is_not_shipped_stays(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(difficult_pairs, "PHOTOGRAPHS", tmp_path / "none.zip")
    assert main(["difficult_pairs", "--out", str(tmp_path)]) == 0
    assert capsys.readouterr().err == (
        f"difficult_pairs: {tmp_path / 'none.zip'} is not here, the committed picture stays\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_unknown_names_are_refused(capsys):
    assert main(["damage_windw"]) == 2
    assert "did you mean damage_window?" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["phase_map", "domain_map"])
def test_a_simulation_runs_from_anywhere(tmp_path, name):
    command = [sys.executable, str(FIGURES / f"{name}.py"), "--help"]
    assert "--jobs" in subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout


def test_spread():
    found = style.spread([0.5, 0.1, 0.12, 0.11], 0.1, 0, 1)
    assert list(np.argsort(found)) == [1, 3, 2, 0]
    assert found[[1, 3, 2, 0]] == pytest.approx([0.01, 0.11, 0.21, 0.5])
    assert style.spread([0.9, 0.95, 0.99], 0.2, 0, 1) == pytest.approx([0.6, 0.8, 1.0])


# --- what a reader can read ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_every_text_is_large_enough_inside_and_free(name):
    with context(["default", style.STYLE]):
        assert faults(drawn(name)[0]) == []


@pytest.mark.parametrize("name", NAMES)
def test_every_text_can_be_read_in_the_dark(name):
    """Text has a dark twin, or lies on a map or photograph, whose ground is the same there."""
    texts, _ = drawn_texts(drawn(name)[0])
    assert {mpl.colors.to_hex(text.get_color()) for text in texts} <= {colour.lower() for colour in palette.DARK}


def test_faults_of_a_bad_picture_are_found():
    figure = Figure(figsize=(2 * style.WIDTH, 4))
    for x, y, words, points in (
        (0.2, 0.8, "small", 13.9),
        (0.2, 0.2, "large", 14),
        (0.2, 0.5, "$x_i$", 19.9),
        (0.99, 0.5, "outside", 20),
        (0.6, 0.5, "one", 20),
        (0.61, 0.52, "other", 20),
        (0.6, 0.2, "above", 20),
        (0.6, 0.8, "below", 20),
    ):
        figure.text(x, y, words, fontsize=points)
    for x in (0.8, 0.82):  # side by side, though the boxes along the axes overlap
        figure.text(x, 0.6, "turned by much", fontsize=14, rotation=60)
    figure.text(0.4, 0.5, "hidden", fontsize=1).set_visible(False)
    figure.text(0.5, 0.5, " ", fontsize=1)
    assert faults(figure) == [
        "6.9 pt: 'small'",
        "7.0 pt: '$x_i$'",
        "clipped: 'outside'",
        "'one' lies on 'other'",
    ]


def test_ticks_beyond_the_limits_are_not_drawn():
    figure = Figure(figsize=(style.WIDTH, 4))
    plot = figure.subplots()
    plot.set(xlim=(0, 1), ylim=(0, 1), yticks=[])
    plot.set_xticks([0.5, 3], ["here", "outside"], fontsize=1, minor=False)
    plot.set_xlim(0, 1)
    assert faults(figure) == ["1.0 pt: 'here'"]


def shown_in(page):
    """Name of each figure that a page shows, and the paragraph below it."""
    parts = (ROOT / "docs" / page).read_text(encoding="utf-8").split("\n\n")
    for place, part in enumerate(parts):
        if found := re.search(r"^!\[[^]]+\]\([./]*figures/(\w+)\.(\w+)\)$", part.strip(), re.M):
            yield found[1], found[2], (*parts, "")[place + 1].strip()


PAGES = [path.relative_to(ROOT / "docs").as_posix() for path in ROOT.glob("docs/**/*.md")]


@pytest.mark.parametrize("page", [page for page in PAGES if "figures/" in (ROOT / "docs" / page).read_text("utf-8")])
def test_pages_show_the_picture_of_both_grounds_and_say_what_to_see(page):
    for name, suffix, below in shown_in(page):
        if name in NAMES:
            assert (suffix, below) == ("svg", f"*{drawn(name)[1]}*")


# --- what the figures show ---------------------------------------------------------------------------


def test_adjacency_has_the_closed_forms_spectrum():
    cases = adjacency.data()
    assert len(cases) == 3
    for case in cases.values():
        closed = np.repeat([mode.eigenvalue for mode in case.modes], [mode.multiplicity for mode in case.modes])
        assert case.eigenvalues == pytest.approx(closed, abs=1e-12)


def test_bound_gap_is_that_of_the_bounds():
    table = bound_gap.data()
    for row in table.iloc[[0, 150, 250, 399]].itertuples():
        graph = dict(bound_gap.GRAPHS[row.graph])
        dim, delta = graph.pop("dim"), graph.pop("delta")
        gamma = bound_gap.LEVELS["beta"] + row.excess
        bounds = error_bounds(GraphParameters(**bound_gap.LEVELS, gamma=gamma, **graph), dim, delta)
        for name in bound_gap.BOUNDS:
            assert bounds[name].applies
            assert getattr(row, name) == pytest.approx(bounds[name].excess_over_clean, rel=1e-9)


def test_damage_on_the_papers_graph_is_at_one_k_and_larger_than_printed():
    table = damage_window.data()
    stated = list(difficult_range(damage_window.graph("block")))
    raised = {name: rows[rows.difficult - rows.clean > 1e-12] for name, rows in table.groupby("pairing")}
    assert list(raised["matched"].k) == stated == list(raised["matched"].k[raised["matched"].printed.notna()])
    (row,) = raised["block"].itertuples()
    assert row.k == stated[0]
    assert row.difficult > row.printed > row.clean


def test_histograms_are_measured_on_the_reports_groups_and_band(tmp_path, monkeypatch):
    generator = np.random.default_rng(0)
    arrays = {
        "features": generator.normal(1, 1, (80, 6)).astype(np.float32),
        "labels": np.repeat([0, 1], 40),
        "difficult": np.arange(80) % 4 == 0,
    }
    np.savez(tmp_path / "evidence.npz", **arrays)
    plan = plan_from_parameters(GraphParameters(0.5, 0.1, 0.2, 40, 2, 10), 4, 0.1)
    Plan.save(plan, tmp_path / "plan.json")
    monkeypatch.setattr(similarity_histogram, "_project", lambda features, checkpoint: -features[:, :3])
    table = similarity_histogram.measure(tmp_path / "evidence.npz", tmp_path / "plan.json", tmp_path)

    unit = arrays["features"] / np.linalg.norm(arrays["features"], axis=1, keepdims=True)
    pairs = (unit @ unit.T)[np.triu_indices(80, 1)]
    band = table[table.group == "band"].iloc[0]
    assert (pairs > band.high).mean() == pytest.approx(plan.pos_high, abs=2e-3)
    assert (pairs > band.low).mean() == pytest.approx(plan.pos_low, abs=2e-3)

    groups = table[table.group != "band"]
    areas = (groups.density * (groups.high - groups.low)).groupby([groups.space, groups.group]).sum()
    assert areas.to_numpy() == pytest.approx(1)
    shares = groups[groups.group != similarity_histogram.FLAGGED].groupby(["space", "group"])[["of_all", "of_band"]]
    assert shares.first().groupby("space").sum().to_numpy() == pytest.approx(1)
    assert set(groups.space) == {"encoder", "projector"}


def test_changes_are_paired_by_seed(runs):
    table = accuracy_omega.table(runs)
    assert table.change[table.condition == "omega-0.1"].to_numpy() == pytest.approx(1.0)
    assert set(table.condition) == {*accuracy_omega.MIXED, accuracy_omega.REMOVED} - {"omega-0.2"}


def test_strengths_are_in_units_of_the_derived_one(runs):
    table = strength.table(runs)
    found = table.groupby("condition").strength.first().to_dict()
    assert found == pytest.approx({"margin": 1, "margin-x4": 4, "temperature": 1, "temperature-power2": 2})
    assert table.change[table.condition == "margin-x4"].to_numpy() == pytest.approx(5.0)  # row 6 minus row 1
    assert strength.PUBLISHED == {"margin": 0.90, "temperature": 0.98}


def test_sweeps_hold_both_arms_at_every_value(runs):
    table = sweeps.table(runs)
    assert set(table.condition) == {"baseline", "combined", "tau-0.5-baseline"}
    assert set(table.tau) == {0.2, 0.5}


def test_predictions_correlate_as_on_the_results_page():
    everything = study.runs()
    for column in predicted_measured.PREDICTIONS:
        assert correlation(predicted_measured.table(everything), column) == correlation(everything, column)


def test_intervals(runs):
    means = study.intervals(runs, "bound_matched")
    assert "margin" not in means.index
    assert means.value["baseline"] == pytest.approx(6.11)
    assert means.low["baseline"] < 6.1 < 6.12 < means.high["baseline"]
    assert np.isnan(means.low["omega-0.3"])


# --- the committed numbers ---------------------------------------------------------------------------


def test_agreement_follows_from_the_data():
    changes = phase_map.data()
    for reading in phase_map.READINGS:
        table = phase_map.agreement(changes, reading).to_string(index=False, float_format="{:.2f}".format)
        assert table in TEXT


def test_the_numbers_of_the_cells_follow_from_the_data():
    assert TEXT.endswith("\n\n" + phase_map.from_cells(phase_map.data()))


def test_predicted_changes_are_those_of_the_theory():
    changes = phase_map.data()
    some = changes.sample(24, random_state=0)
    assert set(some.comparison) == set(phase_map.COMPARISONS)
    assert phase_map.predicted(some).to_numpy() == pytest.approx(some.predicted.to_numpy(), abs=1e-6)
    (row,) = changes[
        (changes.pairing == "block")
        & (changes.difficult == 16)
        & (changes.excess == 0.05)
        & (changes.epsilon == 0.5)
        & (changes.dim == 16)
        & (changes.comparison == "removal")
    ].itertuples()
    p = GraphParameters(0.4, 0.1, 0.15, 40, 10, 16)
    before, after = (predict(p, 0.5, 16, 20, remedy=remedy).easy for remedy in ("nothing", "removal"))
    assert row.predicted == pytest.approx(before - after, abs=1e-6)


def test_predicted_changes_are_the_differences_of_the_rows_predicted_errors():
    p = GraphParameters(0.4, 0.1, 0.15, samples_per_class=20, classes=10, difficult=4)
    cell = Cell("three_level", **p.as_dict(), epsilon=0.4, correlated=0.0)
    table = pd.DataFrame(simulate_cell(cell, [12], phase_map.GRAPH["remedies"], [0, 1]))
    changes = phase_map.compare(table)
    found = phase_map.predicted(changes)
    arms = table.groupby("remedy")[["predicted", "predicted_easy"]].first()
    for row, value in zip(changes.itertuples(), found, strict=True):
        with_arm, without_arm, error = phase_map.COMPARISONS[row.comparison]
        errors = arms["predicted" if error == "error" else "predicted_easy"]
        assert value == pytest.approx(errors[with_arm] - errors[without_arm], abs=1e-9)


def test_signs_of_a_small_table():
    rows = [
        (0.02, 0.01, 0.03, 0.03, "right"),
        (0.02, 0.01, 0.03, -0.01, "silent"),
        (-0.02, -0.03, -0.01, -0.01, "wrong"),
        (0.01, -0.01, 0.03, 0.05, "within noise"),
    ]
    names = ["change", "low", "high", "predicted", "verdict_bound"]
    cells = pd.DataFrame(rows, columns=names).assign(pairing="block")
    changes = pd.concat([cells.assign(comparison=name) for name in phase_map.COMPARISONS])
    changes.index = range(len(changes))
    found = phase_map.signs(changes)
    assert len(found) == 2 * len(phase_map.COMPARISONS)
    for row in found.itertuples():
        assert (row.points, row.significant, row.right, row.bound_right) == (4, 3, 2, 1)
        assert (row.share_right, row.bound_share) == pytest.approx((2 / 3, 1 / 3))
        assert row.off == pytest.approx(1)  # of 1, 3 and 1 points
        assert row.off_all == pytest.approx(2)  # and 4
    assert set(found.pairing) == {"block", "both"}


def test_predictions_are_computed_anew_beside_the_same_measurements(tmp_path, capsys):
    changes = phase_map.data()
    some = changes[(changes.epsilon == 0.5) & (changes.difficult == 16) & changes.dim.isin([10, 12])]
    some.assign(predicted=7.0).to_csv(tmp_path / "phase_map.csv", index=False)
    (tmp_path / "phase_map.txt").write_text("Measured.\n\n" + phase_map.from_cells(changes), encoding="utf-8")
    phase_map._command(phase_map._parser().parse_args(["--predict", "--out", str(tmp_path)]))
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "phase_map.csv"), some.reset_index(drop=True), rtol=1e-4)
    text = (tmp_path / "phase_map.txt").read_text(encoding="utf-8")
    assert text == "Measured.\n\n" + phase_map.from_cells(pd.read_csv(tmp_path / "phase_map.csv"))
    assert text.strip() in capsys.readouterr().out
    assert (tmp_path / "phase_map.png").exists()


def test_the_page_quotes_the_numbers():
    page = (ROOT / "docs" / "simulation.md").read_text(encoding="utf-8")
    assert TEXT.strip() in page
    assert DOMAIN_TEXT.strip() in page


def test_domain_numbers_follow_from_the_data():
    changes = domain_map.data()
    assert domain_map.from_cells(changes) in DOMAIN_TEXT
    assert domain_map.domain(changes).to_string(index=False, float_format="{:.3f}".format) in DOMAIN_TEXT


def test_holm_against_its_definition():
    p = pd.Series([0.02, 0.001, 0.9, 0.03, 0.02], index=list("abcde"))
    expected = {"b": 0.005, "a": 0.08, "e": 0.08, "d": 0.08, "c": 0.9}
    assert domain_map.holm(p).to_dict() == pytest.approx(expected)


def test_domain_comparison_of_a_small_table():
    rows = []
    for seed in range(6):
        for remedy in (
            "nothing",
            "clean",
            "margin",
            "temperature",
            "temperature_unweighted",
            "removal",
            "random_removal",
        ):
            error = 0.2 + 0.01 * seed - 0.1 * (remedy == "margin") + 0.001 * seed * (remedy == "clean")
            cell = {"noise": "channel", "draws": 9, "difficult": 2, "gamma": 0.3, "beta": 0.2, "dim": 4, "seed": seed}
            found = {"error": error, "error_shared": error, "eigenvalue_next": 0.1 + 0.1 * (remedy == "clean")}
            rows.append({**cell, **found, "remedy": remedy, "bound": 1.0, "in_domain": True})
    changes = domain_map.compare(pd.DataFrame(rows)).set_index("comparison")
    assert changes.change["margin"] == pytest.approx(-0.1)
    assert changes.change["difficult"] == pytest.approx(-0.0025)
    assert changes.eigenvalue["difficult"] == pytest.approx(-0.1)
    assert changes.high["difficult"] < 0
    assert changes.p["difficult"] == pytest.approx(0.022, abs=0.001)  # t = 3.27 with 5 degrees of freedom
    assert changes.p["removal"] == 1


def test_pairs_without_copies_and_each_photograph_once():
    rows = [("a", "b", 1.0), ("c", "d", 0.9), ("b", "e", 0.8), ("d", "f", 0.7), ("g", "h", 0.6)]
    columns = ["id_first", "id_second", "similarity"]
    pairs = pd.DataFrame(rows, columns=columns).assign(class_first="x", class_second="y", first=0)
    chosen = difficult_pairs.choose(pairs)
    assert list(chosen.id_first) == ["c", "g"]
    committed = pd.read_csv(difficult_pairs.TABLE)
    assert list(chosen) == list(committed)
    assert len(committed) == difficult_pairs.SHOWN
    assert committed[["id_first", "id_second"]].stack().is_unique
    assert (committed.class_first != committed.class_second).all()
