"""Measured levels, bounds and predictions of adapters, against their definitions and against the runs themselves."""

import json
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from empirical.encoders import extract
from empirical.evidence import adapters, theory
from empirical.evidence.design import PARTS, SPLITS, Entry, Split
from empirical.evidence.epochs import epochs_of
from empirical.statistics import mean_interval
from tests.empirical.evidence.small import CHOICES, TRAIN, WIDTH, task, views_file
from theory.checks import ParameterError
from theory.engine import HERE

PUBLISHED = Path(__file__).parents[3] / "results" / "evidence"
FEW_STEPS = 6


@pytest.fixture(autouse=True)
def few_steps(monkeypatch):
    monkeypatch.setattr(adapters, "STEPS", FEW_STEPS)


@pytest.fixture
def views(tmp_path):
    return views_file(tmp_path / "views.npz")


# --- the clipped graph -----------------------------------------------------------------------------


def test_the_clipped_graph_is_that_of_its_definition():
    generator = np.random.default_rng(1)
    x, labels, dim = generator.standard_normal((30, 5)).astype(np.float32), np.arange(30) % 3, 4
    found = theory.clipped(x, labels, dim)
    weights = np.zeros((30, 30))
    for i, j in product(range(30), repeat=2):
        weights[i, j] = max(0.0, float(x[i] @ x[j]) / float(np.linalg.norm(x[i]) * np.linalg.norm(x[j])))
    degrees = weights.sum(axis=1)
    eigenvalue = np.sort(np.linalg.eigvalsh(weights / np.sqrt(np.outer(degrees, degrees))))[-dim - 1]
    across = sum(weights[i, j] for i, j in product(range(30), repeat=2) if labels[i] != labels[j]) / weights.sum()
    assert found["lambda_clipped"] == pytest.approx(eigenvalue, abs=1e-6)
    assert found["cross"] == pytest.approx(across, abs=1e-6)
    assert found["squared"] == pytest.approx(2 * across / (1 - eigenvalue), abs=1e-5)
    assert found["plug_in"] == pytest.approx(np.sqrt(2 * across / (1 - eigenvalue)), abs=1e-5)


# --- one run ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("entry", [Entry(), Entry(untrained=True), Entry(frozen=True)], ids=str)
def test_a_run_is_the_one_that_the_evidence_evaluates(views, tmp_path, entry):
    own = task(views, tmp_path, "x", entry)
    row, evaluated = theory.examined(own), adapters.outcome(own, 10).numbers
    assert row["accuracy"] == evaluated["accuracy"]
    assert row["official"] == evaluated["official"]
    assert row["predicted"] == evaluated["predicted"]
    assert row["k"] == (WIDTH if entry.frozen else 64)


def test_levels_of_the_frozen_features_are_means_over_pairs(views, tmp_path):
    row = theory.examined(task(views, tmp_path, "frozen", Entry(frozen=True)))
    with np.load(views) as arrays:
        x, labels = arrays["x_train"], arrays["y_train"]
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    same = [unit[i] @ unit[j] for i in range(TRAIN) for j in range(i) if labels[i] == labels[j]]
    assert row["encoder_alpha"] == pytest.approx(np.mean(same), abs=1e-5)
    assert row["encoder_gap"] == pytest.approx(row["encoder_gamma"] - row["encoder_beta"], abs=2e-6)
    assert row["projector_alpha"] == row["encoder_alpha"]


def test_the_printed_bound_is_equation_4_of_the_runs_own_levels(tmp_path):
    row = theory.examined(task(views_file(tmp_path / "views.npz", shift=2.0), tmp_path, "frozen", Entry(frozen=True)))
    assert row["three_levels"] is None
    assert row["printed"] == pytest.approx(4 * row["delta"] / (1 - row["lambda"]) + 8 * row["delta"])
    assert row["printed_exact"] == pytest.approx(4 * row["delta"] / (1 - row["lambda_exact"]) + 8 * row["delta"])


def test_a_negative_beta_leaves_no_graph_of_three_levels(views, tmp_path):
    row = theory.examined(task(views, tmp_path, "frozen", Entry(frozen=True)))
    assert row["encoder_beta"] < 0
    assert "violates beta >= 0" in row["three_levels"]


# --- over training ---------------------------------------------------------------------------------


def test_epochs_begin_untrained_and_end_with_the_run(views, tmp_path):
    s = adapters.settings_of(task(views, tmp_path), 10)
    epochs = epochs_of(s)
    images = s.data_set()
    assert [epoch.number for epoch in epochs] == list(range(s.epochs + 1))
    beginning = theory.network_of(Entry(untrained=True), s)
    for epoch, network in ((epochs[0], beginning), (epochs[-1], adapters.trained(s)[0])):
        for found, expected in zip((epoch.encoder, epoch.projector), extract(network, images.x_train), strict=True):
            np.testing.assert_allclose(found, expected.numpy(), atol=1e-6)
    assert epochs[0].row == {}
    assert epochs[-1].row["epoch"] == s.epochs


def test_levels_over_training_end_at_those_of_the_run(views, tmp_path):
    own = task(views, tmp_path, "paper_combined", Entry("paper_combined"))
    theory.follow(own)
    last, row = pd.read_csv(theory.followed(own)).iloc[-1], theory.examined(own)
    for column in ("encoder_alpha", "encoder_gap", "projector_across_difficult"):
        assert last[column] == pytest.approx(row[column], rel=1e-5)


# --- all runs --------------------------------------------------------------------------------------


def test_all_runs_are_examined_once_collected_and_published(views, tmp_path, monkeypatch):
    monkeypatch.setitem(SPLITS, "cifar10", Split(TRAIN))  # without further images, of which the small file has none
    entries = {name: theory.ENTRIES[name] for name in ("baseline", "frozen", "oracle")}
    theory.run_theory([views], CHOICES, tmp_path / "out", HERE, entries)
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*") if path.is_file()}
    theory.run_theory([views], CHOICES, tmp_path / "out", HERE, entries)
    assert kept == {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*") if path.is_file()}
    table, levels = theory.publish_theory(tmp_path / "out", tmp_path / "evidence")
    found = pd.read_csv(table)
    assert found.entry.tolist() == [name for name in theory.ENTRIES if name in entries]
    assert set(pd.read_csv(levels).entry) == {"baseline"}
    document = json.loads(theory.result(replace(task(views, tmp_path / "out"), number=0)).read_text())
    assert document["accuracy"] == pytest.approx(found[found.entry == "baseline"].accuracy.item(), rel=1e-5)
    for build in theory.TABLES.values():
        assert "baseline" in build(tmp_path / "evidence") or build is theory.rankings


def test_nothing_to_collect_is_one_clear_line(tmp_path):
    with pytest.raises(ParameterError, match="out = .* violates a folder with results of run_theory"):
        theory.collect(tmp_path)


def test_every_primary_entry_and_control_is_examined():
    assert set(theory.ENTRIES) == {*PARTS["primary"].entries, *theory.CONTROLS}


# --- rankings --------------------------------------------------------------------------------------


def rows_of(accuracy, column):
    names = [f"e{i}" for i in range(len(accuracy))]
    return pd.DataFrame({"entry": names * 2, "accuracy": accuracy * 2, "x": column * 2})


def test_a_column_in_the_order_of_the_accuracies_ranks_perfectly():
    accuracy = [0.1 * i for i in range(10)]
    assert theory.ranking(rows_of(accuracy, [a**3 for a in accuracy]), "x").rho == pytest.approx(1)
    assert theory.ranking(rows_of(accuracy, [-a for a in accuracy]), "x").rho == pytest.approx(-1)


def test_entries_that_are_left_out_do_not_rank():
    accuracy = [*(0.1 * i for i in range(9)), 5.0]
    column = [*(0.1 * i for i in range(9)), -5.0]
    runs = rows_of(accuracy, column)
    found = theory.ranking(runs, "x", ("e9",))
    assert (found.entries, found.rho) == (9, pytest.approx(1))
    assert theory.ranking(runs, "x").rho < 0.5


# --- the committed results -------------------------------------------------------------------------


def cells(table):
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]


@pytest.fixture
def published():
    return pd.read_csv(PUBLISHED.with_name("evidence_theory.csv"))


def test_the_committed_results_hold_every_entry_on_three_sets(published):
    assert published.groupby("entry").set.apply(list).to_dict() == {name: [0, 1, 2] for name in theory.ENTRIES}


def test_the_table_of_predictions_is_that_of_the_results(published):
    for (name, accuracy, one, _, error, *_), entry in zip(
        cells(theory.predictions(PUBLISHED)), theory.ENTRIES, strict=True
    ):
        chosen = published[published.entry == entry]
        assert name == f"`{entry}`"
        assert float(accuracy) == pytest.approx(100 * chosen.accuracy.sum() / 3, abs=0.006)
        assert float(one) == pytest.approx(100 * chosen.predicted.sum() / 3, abs=0.006)
        assert float(error) == pytest.approx(float(one) - float(accuracy), abs=0.011)


def test_the_table_of_differences_is_that_of_the_results(published):
    sets = published.set_index(["entry", "set"])
    table = cells(theory.differences(PUBLISHED))
    assert [row[0] for row in table] == [f"`{name}`" for name in theory.ENTRIES if name != "baseline"]
    for name, accuracy, one, _, gap, _ in table:
        for shown, column, factor in ((accuracy, "accuracy", 100), (one, "predicted", 100), (gap, "encoder_gap", 1e4)):
            found = [sets.loc[(name.strip("`"), i), column] - sets.loc[("baseline", i), column] for i in range(3)]
            assert float(shown) == pytest.approx(factor * sum(found) / 3, abs=0.006)


def test_predictions_rank_the_entries_and_the_bounds_do_not(published):
    """What the results say; a change here changes what is written about them."""
    trained = published[~published.entry.isin(["frozen", "untrained"])]
    means = trained.groupby("entry")[["accuracy", "predicted", "printed", "encoder_gap"]].mean().rank()
    own = theory.ranking(published, "predicted", ("frozen", "untrained"))
    assert own.rho == pytest.approx(np.corrcoef(means.accuracy, means.predicted)[0, 1])
    assert own.low > 0.7
    for column in ("printed", "encoder_gap"):
        found = theory.ranking(published, column, ("frozen", "untrained"))
        assert found.rho == pytest.approx(np.corrcoef(means.accuracy, means[column])[0, 1])
        assert found.low < 0 < found.high


def test_the_table_of_levels_is_that_of_the_results(published):
    for row in cells(theory.levels(PUBLISHED)):
        chosen = published[published.entry == row[0].strip("`")]
        assert float(row[1]) == pytest.approx(chosen.encoder_alpha.mean(), abs=6e-4)
        gap = mean_interval(chosen.encoder_gap.tolist())
        assert row[4] == f"{gap.value:.4f} ± {gap.high - gap.value:.4f}"
        assert float(row[-1]) == pytest.approx(1 - chosen.accuracy.mean(), abs=6e-4)


def test_printed_bounds_of_the_results_follow_from_their_numbers(published):
    expected = 4 * published.delta / (1 - published["lambda"]) + 8 * published.delta
    np.testing.assert_allclose(published.printed, expected, rtol=1e-4)
    np.testing.assert_allclose(published.squared, published.plug_in**2, rtol=1e-4)
    np.testing.assert_allclose(published.encoder_gap, published.encoder_gamma - published.encoder_beta, atol=2e-6)


def test_levels_over_training_go_from_no_epoch_to_the_last():
    found = pd.read_csv(PUBLISHED.with_name("evidence_levels.csv"))
    assert {name: part.epoch.tolist() for name, part in found.groupby("entry")} == {
        name: list(range(6)) for name in theory.FOLLOWED
    }
    assert len(cells(theory.over_training(PUBLISHED))) == len(found)
