"""What people see and what the selector flags: loops over pairs, identities, small runs, committed results."""

import json
from dataclasses import replace
from math import ceil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from empirical.evidence import adapters, people
from empirical.evidence.design import SPLITS, Split
from empirical.evidence.people import END, FROZEN, ORACLE, People, Raters
from tests.empirical.evidence.small import CHOICES, CLASSES, TEST, TRAIN, views_file
from theory.checks import ParameterError
from theory.engine import HERE

PUBLISHED = Path(__file__).parents[3] / "results" / "evidence"
REAL = Path(__file__).parents[4] / "shared" / "data" / "cifar10-human.npz"
HIGH, LOW = 0.25, 0.5  # of 552 ordered pairs even numbers: (i, j) and (j, i) are as alike


def judged(labels, classes, seed, wrong=0.3):
    """Three raters, each of whom errs now and then, and the first one's view as the majority's."""
    generator = np.random.default_rng(seed)
    raters = np.where(
        generator.random((len(labels), 3)) < wrong, generator.integers(classes, size=(len(labels), 3)), labels[:, None]
    )
    return Raters(raters, raters[:, 0])


def world(seed, samples=24, classes=3):
    generator = np.random.default_rng(seed)
    labels = np.arange(samples) % classes
    features = (generator.standard_normal((samples, 4)) + labels[:, None]).astype(np.float32)
    reference = generator.standard_normal((samples, 3)).astype(np.float32)
    return features, labels, judged(labels, classes, seed), reference


# --- the anatomy of flagged pairs ------------------------------------------------------------------


def naive(features, labels, said, reference):
    """The shares of flagged pairs where all samples are one batch, by loops over ordered pairs."""

    def ranks(x):
        """The place of each ordered pair among all, from the most alike on."""
        unit = x / np.linalg.norm(x, axis=1, keepdims=True)
        order = sorted((-float(unit[i] @ unit[j]), (i, j)) for i in range(len(x)) for j in range(len(x)) if i != j)
        return {pair: place for place, (_, pair) in enumerate(order)}

    own, other = ranks(features), ranks(reference)
    first, last, kept = ceil(HIGH * len(own)), ceil(LOW * len(own)), ceil(LOW * len(other))
    flagged = [pair for pair, place in own.items() if first - 1 < place < last]
    different = [(i, j) for i, j in flagged if labels[i] != labels[j]]

    def share(condition):
        return sum(condition(i, j) for i, j in different) / len(different)

    def off(i):
        return any(said.raters[i] != labels[i]) or said.majority[i] != labels[i]

    def confused(i, j):
        return labels[j] in said.raters[i] or labels[i] in said.raters[j]

    return {
        "different": len(different) / len(flagged),
        "ambiguous": share(lambda i, j: off(i) or off(j)),
        "misnamed": share(lambda i, j: said.majority[i] != labels[i] or said.majority[j] != labels[j]),
        "confused": share(confused),
        "unlearned_x": share(lambda i, j: other[i, j] >= kept),
        "plain_x": share(lambda i, j: other[i, j] < kept and not confused(i, j)),
    }


@pytest.mark.parametrize("seed", range(4))
def test_shares_are_those_of_a_loop_over_pairs(seed):
    features, labels, said, reference = world(seed)
    found = people.anatomy(features, labels, said, {"x": reference}, HIGH, LOW, batch=100, rounds=1)["flagged"]
    for name, value in naive(features, labels, said, reference).items():
        assert found[name] == pytest.approx(value), name


@given(st.integers(0, 10_000), st.integers(8, 30), st.integers(2, 4))
@settings(max_examples=25, deadline=None)
def test_pairs_of_different_classes_are_confused_unlearned_or_plain(seed, batch, classes):
    features, labels, said, reference = world(seed, 60, classes)
    found = people.anatomy(features, labels, said, {"x": reference}, HIGH, LOW, batch, rounds=2)
    for shares in found.values():
        if not np.isnan(shares["plain_x"]):
            assert max(shares["confused"], shares["unlearned_x"]) <= 1 - shares["plain_x"] + 1e-9
            assert shares["confused"] + shares["unlearned_x"] >= 1 - shares["plain_x"] - 1e-9
            assert shares["confused"] <= shares["ambiguous"] + 1e-9  # a rater who confuses is one who disagrees
    assert found["all"]["pairs"] == 1


def test_the_features_themselves_have_learned_nothing_away():
    features, labels, said, _ = world(5, 200)
    found = people.anatomy(features, labels, said, {"x": features}, HIGH, LOW, batch=50)
    assert found["flagged"]["unlearned_x"] == found["above"]["unlearned_x"] == 0
    assert found["all"]["unlearned_x"] > 0


def test_separated_classes_leave_only_different_ones_below_their_share():
    """Of 4 classes a quarter of the pairs are of one class: beyond them the band has none of these."""
    labels = np.arange(80) % 4
    features = np.eye(4, dtype=np.float32)[labels] + 0.01 * np.random.default_rng(0).standard_normal((80, 4))
    found = people.anatomy(features.astype(np.float32), labels, judged(labels, 4, 0), {}, 0.3, 0.5, batch=80)
    assert found["flagged"]["different"] == 1
    assert found["all"]["different"] == pytest.approx(60 / 79)
    assert found["above"]["pairs"] == pytest.approx(0.3, abs=0.01)


def test_an_empty_band_has_no_shares():
    features, labels, said, _ = world(0)
    found = people.anatomy(features, labels, said, {}, 0.2, 0.2)
    assert found["flagged"]["pairs"] == 0
    assert np.isnan(found["flagged"]["different"])


# --- what people say -------------------------------------------------------------------------------


def test_raters_name_classes_and_disagree():
    said = Raters(np.array([[0, 0, 0], [1, 1, 2], [2, 2, 2]]), np.array([0, 1, 2]))
    labels = np.array([0, 1, 0])
    assert said.named(3).tolist() == [[True, False, False], [False, True, True], [False, False, True]]
    assert said.ambiguous(labels).tolist() == [False, True, True]
    assert said.misnamed(labels).tolist() == [False, False, True]


def test_agreement_is_the_share_that_chooses_the_label():
    found = People(np.array([[3, 1], [0, 4]]), judged(np.zeros(2, dtype=int), 2, 0))
    assert found.agreement(np.array([0, 0])).tolist() == [0.75, 0.0]


def test_a_file_without_judgements_is_named(tmp_path):
    np.savez(tmp_path / "x.npz", test_counts=np.ones((2, 2)))
    with pytest.raises(ParameterError, match="no train_raters, train_aggregate"):
        people.read_people(tmp_path / "x.npz")


def test_judgements_of_other_images_are_refused():
    labels = np.arange(100) % 10
    people.require_same_images(Raters(np.tile(labels[:, None], 3), labels), labels)
    with pytest.raises(ParameterError, match="agreement"):
        people.require_same_images(Raters(np.tile(labels[:, None], 3), labels[::-1]), labels)


@pytest.mark.skipif(not REAL.exists(), reason=f"{REAL} is missing")
def test_the_real_judgements_have_609_ambiguous_test_images():
    found = people.read_people(REAL)
    # The label is what most people choose on all but some dozens: enough to count.
    assert abs((found.agreement(found.counts.argmax(axis=1)) < people.AGREEMENT).sum() - 609) < 60
    assert found.training.raters.shape == (50_000, 3)


# --- γ − β -----------------------------------------------------------------------------------------


def test_gaps_are_means_over_pairs_with_an_ambiguous_image():
    features, labels, _, _ = world(3, 60)
    agreement = np.random.default_rng(3).random(60) * 0.5 + 0.5
    found = {row["definition"]: row for row in people.gaps(features, labels, agreement)}
    unit, hard = features / np.linalg.norm(features, axis=1, keepdims=True), agreement < people.AGREEMENT
    touched, easy = [], []
    for i in range(60):
        for j in range(i):
            if labels[i] != labels[j]:
                (touched if hard[i] or hard[j] else easy).append(float(unit[i] @ unit[j]))
    assert found["people"]["gap"]["value"] == pytest.approx(np.mean(touched) - np.mean(easy), abs=1e-5)
    assert found["people"]["share"] == pytest.approx(hard.mean())
    assert found["people"]["ambiguous"] == 1
    for name in ("people_share", "gap", "random"):
        assert found[name]["share"] == pytest.approx(6 / 60)  # 2 of each 20
    assert found["gap_matched"]["share"] == found["people"]["share"]


def test_matched_images_are_the_smallest_of_each_class():
    scores, labels = np.array([3.0, 1, 2, 6, 5, 4]), np.array([0, 0, 0, 1, 1, 1])
    chosen = np.array([True, False, False, True, True, False])
    assert people._matched(scores, labels, chosen).tolist() == [False, True, False, False, True, True]


# --- runs ------------------------------------------------------------------------------------------


@pytest.fixture
def small(tmp_path, monkeypatch):
    """A file of views, of judgements, and of where the images stand among all, in reversed order."""
    monkeypatch.setattr(adapters, "STEPS", 4)
    monkeypatch.setitem(SPLITS, "cifar10", Split(TRAIN))
    views = views_file(tmp_path / "views.npz")
    with np.load(views) as arrays:
        labels, test = arrays["y_train"], arrays["y_test"]
    said = judged(labels, CLASSES, 1, wrong=0.1)
    np.savez(
        tmp_path / "people.npz",
        test_counts=10 * np.eye(CLASSES, dtype=int)[test] + np.random.default_rng(0).integers(4, size=(TEST, CLASSES)),
        train_raters=said.raters[::-1],
        train_aggregate=said.majority[::-1],
    )
    np.savez(tmp_path / "pool.npz", rows_train=np.arange(TRAIN)[::-1])
    return views, tmp_path / "people.npz", tmp_path / "pool.npz", said


def test_small_runs_are_looked_at_and_published(small, tmp_path):
    views, path, pool, _ = small
    people.run_people([views], path, pool, CHOICES, tmp_path, HERE)
    people.run_people([views], path, pool, CHOICES, tmp_path, HERE)
    found = json.loads(people.publish_people(tmp_path, tmp_path / "evidence").read_text())
    assert {(row["entry"], row["definition"]) for row in found["gaps"]} == {
        (entry, definition) for entry in (FROZEN, *people.ENTRIES) for definition in people.DEFINITIONS
    }
    pairs = pd.DataFrame(found["pairs"])
    last = pairs[(pairs.epoch == pairs.epoch.max()) & (pairs.population == "flagged")]
    assert last[f"unlearned_{END}"].tolist() == [0, 0]  # the end is its own reference
    # The oracle and both entries begin alike.
    first = pairs[(pairs.epoch == 0) & (pairs.population == "flagged")]
    assert first.different.nunique() == first[f"unlearned_{ORACLE}"].nunique() == 1
    trained = pairs[(pairs.entry == "paper_combined") & (pairs.population == "flagged") & (pairs.epoch > 0)]
    assert trained.flagged_across.between(0, 1).all()
    for build in people.TABLES.values():
        assert build(tmp_path / "evidence")


def test_snapshots_of_a_network_end_at_their_own_reference(small, tmp_path):
    views, path, _, said = small
    rows, generator = np.arange(5, 200), np.random.default_rng(0)
    with np.load(views) as arrays:
        labels, features = arrays["y_train"][rows], arrays["x_train"][rows]
    noise = generator.standard_normal(features.shape)
    np.savez(
        tmp_path / "snapshots.npz",
        rows=rows,
        labels=labels,
        epochs=np.array([1, 5]),
        features=np.stack([noise, features]).astype(np.float16),
    )
    order = np.arange(TRAIN)[::-1]
    found = people.anatomy_of_snapshots(tmp_path / "snapshots.npz", people.read_people(path), order)
    shares = {(row["epoch"], row["population"]): row for row in found}
    assert {epoch for epoch, _ in shares} == {1, 5}
    assert shares[5, "flagged"][f"unlearned_{END}"] == 0
    chance = shares[1, "all"]
    assert shares[1, "flagged"]["different"] == pytest.approx(chance["different"], abs=0.05)  # noise flags at random
    wrong = said.ambiguous(np.arange(TRAIN) % CLASSES)[rows]
    hit = np.array([wrong[i] or wrong[j] for i in range(len(rows)) for j in range(i) if labels[i] != labels[j]])
    assert chance["ambiguous"] == pytest.approx(hit.mean())


def test_finished_runs_from_scratch_are_looked_at(small, tmp_path, monkeypatch):
    views, path, _, _ = small
    monkeypatch.setattr(people, "SNAPSHOTS", (1, 2))
    with np.load(views) as arrays:
        found = {"rows": np.arange(TRAIN)[::-1], "labels": arrays["y_train"]}  # as the judgements are
        features = np.stack([arrays["x_train"]] * 2).astype(np.float16)
    for folder, epochs in (("baseline/0", 2), ("baseline/1", 1), ("baseline/1000", 2), ("oracle/0", 2)):
        place = tmp_path / "b" / "scratch" / folder
        place.mkdir(parents=True)
        np.savez(place / "snapshots.npz", **found, epochs=np.arange(epochs) + 1, features=features[:epochs])
    people.look_from_scratch(tmp_path / "b", path, tmp_path)
    people.publish_people(tmp_path, tmp_path / "evidence")
    rows = cells(people.from_scratch(tmp_path / "evidence"))
    assert [row[:2] for row in rows] == [["`baseline`", "1"], ["`baseline`", "2"], ["`oracle`", "1"], ["`oracle`", "2"]]


def test_snapshots_with_other_labels_are_refused(small, tmp_path):
    _, path, _, _ = small
    found = {"rows": np.arange(20), "labels": (np.arange(20) + 1) % CLASSES, "epochs": np.array([1])}
    np.savez(tmp_path / "snapshots.npz", **found, features=np.ones((1, 20, 3), dtype=np.float16))
    with pytest.raises(ParameterError, match="agreement"):
        people.anatomy_of_snapshots(tmp_path / "snapshots.npz", people.read_people(path), np.arange(TRAIN)[::-1])


def test_a_finished_look_stays(small, tmp_path):
    views, path, pool, _ = small
    what = people.PeopleTask(
        replace(people_task(views, tmp_path), name="baseline"),
        path,
        pool,
    )
    what.path.parent.mkdir(parents=True)
    what.path.write_text("{}")
    people.look(what)
    assert what.path.read_text() == "{}"


def people_task(views, out):
    return adapters.Task("cifar10", "baseline", people.ENTRIES["baseline"], 0, views, (10,), CHOICES, out)


# --- the committed results -------------------------------------------------------------------------


@pytest.fixture
def published():
    return json.loads(PUBLISHED.with_name("evidence_people.json").read_text())


def cells(table):
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]


def test_the_table_of_ambiguous_images_is_that_of_the_results(published):
    runs = pd.DataFrame(published["gaps"])
    words = {text: name for name, text in people.DEFINITIONS.items()}
    for entry, definition, share, _, beta, gamma, _, gap in cells(people.ambiguous_images(PUBLISHED)):
        chosen = runs[(runs.entry == entry.strip("`")) & (runs.definition == words[definition])]
        assert float(share) == pytest.approx(100 * chosen.share.mean(), abs=0.06)
        mean = np.mean([found["value"] for found in chosen.gap])
        assert float(gap.split()[0]) == pytest.approx(mean, abs=6e-5)
        assert float(gamma) - float(beta) == pytest.approx(mean, abs=1.2e-4)


def test_the_table_of_flagged_pairs_is_that_of_the_results(published):
    runs = pd.DataFrame(published["pairs"])
    table = cells(people.flagged_pairs(PUBLISHED))
    for entry in people.ENTRIES:
        chosen = runs[(runs.entry == entry) & (runs.population == "flagged")]
        rows = [row for row in table if row[0] == f"`{entry}`" and row[1].startswith("flagged")]
        means = 100 * chosen.groupby("epoch").different.mean()
        assert [float(row[2].split()[0]) for row in rows] == pytest.approx(means.tolist(), abs=0.06)
        assert rows[-1][-2].startswith("0.0")


def test_609_test_images_are_ambiguous_in_the_results(published):
    shares = {row["share"] for row in published["gaps"] if row["definition"] == "people"}
    assert shares == {0.0609}
