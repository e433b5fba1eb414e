import csv
import json

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.stats import hypergeom

from empirical.data.features import Features
from empirical.difficulty import assessment, pairs
from empirical.difficulty import scores as module
from empirical.difficulty.__main__ import main
from empirical.difficulty.assessment import Criteria, assess, export
from empirical.difficulty.pairs import alike_pairs, grid
from empirical.difficulty.scores import (
    ambiguous,
    enrichment,
    flag_shares,
    largest,
    mislabelled,
    sas_scores,
)
from empirical.profile.measurement import probe_gaps, smallest_gaps
from tests.empirical.test_profile import blobs
from theory.checks import ParameterError
from theory.plan import plan_from_profile


def cosines(features):
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    return unit @ unit.T


# --- scores ----------------------------------------------------------------------------------------


def test_flag_shares_equal_the_double_loop_over_batches():
    features, _ = blobs(n=15, classes=4)
    found = flag_shares(Features(features.astype(np.float32)), 0.1, 0.3, batch=20, rounds=2, seed=3)
    similarity = cosines(features)
    generator = np.random.default_rng(3)
    flagged, pairs = np.zeros(60), np.zeros(60)
    for _ in range(2):
        for batch in np.array_split(generator.permutation(60), 3):
            ranked = sorted((similarity[i, j] for i in batch for j in batch if i != j), reverse=True)
            high, low = ranked[round(0.1 * len(ranked))], ranked[round(0.3 * len(ranked))]
            for i in batch:
                flagged[i] += sum(low < similarity[i, j] <= high for j in batch if j != i)
                pairs[i] += len(batch) - 1
    # The selector's histogram may put a pair and its mirror image on the other side of an end.
    assert np.abs(found * pairs - flagged).sum() <= 2 * 2 * 2 * 3
    assert found.mean() == pytest.approx(0.2, abs=0.01)


def test_a_batch_larger_than_the_data_is_all_of_them():
    features, _ = blobs(n=10)
    assert flag_shares(Features(features), 0.0, 1.0, batch=1000, rounds=1).tolist() == [1.0] * 40


def naive_sas(unit, classes, redundancy):
    """In every class the sample with the largest gain, again and again; the gains."""
    similarity = [[max(float(a @ b), 0.0) for b in unit] for a in unit]
    scores = np.full(len(unit), np.nan)
    for c in set(classes.tolist()):
        left = [i for i in range(len(unit)) if classes[i] == c]
        members, chosen = list(left), []
        while left:
            gains = [
                sum(similarity[i][j] for j in members) - redundancy * sum(similarity[i][j] for j in chosen)
                for i in left
            ]
            best = int(np.argmax(gains))
            scores[left[best]] = gains[best]
            chosen.append(left.pop(best))
    return scores


@pytest.mark.parametrize("redundancy", [0, 0.5, 1, 2])
def test_sas_scores_equal_the_double_loop(monkeypatch, redundancy):
    monkeypatch.setattr(module, "BLOCK", 7)  # several blocks of rows
    features, classes = blobs(n=20, classes=3, spread=2.0)
    features = Features(features.astype(np.float32))
    expected = naive_sas(features.unit.astype(np.float64), classes, redundancy)
    assert (features.unit @ features.unit.T < 0).mean() > 0.1  # negative cosines count as zero
    found = sas_scores(features, classes, redundancy)
    if redundancy != 1:  # by which the last ones of a class gain the same: their similarity to each other
        np.testing.assert_allclose(found, expected, atol=1e-4)
    for c in range(3):
        np.testing.assert_allclose(np.sort(found[classes == c]), np.sort(expected[classes == c]), atol=1e-4)


def released_order(similarity):
    """The greedy search of the authors' code: a chosen row is set to zero, so that its penalty is."""
    similarity, chosen = similarity.copy(), []
    while len(chosen) < len(similarity):
        gains = [
            -np.inf if i in chosen else similarity[i][similarity[i] > 0].sum() - similarity[chosen, i].sum()
            for i in range(len(similarity))
        ]
        chosen.append(int(np.argmax(gains)))
        similarity[chosen[-1]] = 0
    return chosen


def test_without_redundancy_sas_keeps_what_the_released_code_keeps():
    features, _ = blobs(n=30, classes=1, spread=2.0)
    scores = sas_scores(Features(features), np.zeros(30, dtype=np.int64))
    assert np.argsort(-scores).tolist() == released_order(cosines(features))


def test_with_redundancy_two_sas_searches_for_the_largest_cut():
    """Each score but for the sample itself is what the cut between kept and left-out samples gains."""
    features, _ = blobs(n=30, classes=1, spread=2.0)
    similarity = np.maximum(cosines(features), 0)
    scores = sas_scores(Features(features), np.zeros(30, dtype=np.int64), redundancy=2)
    kept, before = np.zeros(30, dtype=bool), 0.0
    for i in np.argsort(-scores):
        kept[i] = True
        cut = similarity[np.ix_(~kept, kept)].sum()
        assert scores[i] - 1 == pytest.approx(cut - before, abs=1e-4)
        before = cut


def test_redundancy_keeps_samples_apart():
    """Of five alike samples and two others SAS as released keeps the five, and with the penalty not them alone."""
    generator = np.random.default_rng(0)
    centres = np.repeat([[1.0, 0.2, 0], [0, 0.2, 1.0]], [5, 2], axis=0)
    features = Features(centres + 0.01 * generator.standard_normal((7, 3)))
    for redundancy, others in ((0, 0), (2, 1)):
        scores = sas_scores(features, np.zeros(7, dtype=np.int64), redundancy)
        assert (np.argsort(-scores)[:4] >= 5).sum() == others


@pytest.mark.parametrize(("redundancy", "rows", "message"), [(-1, 8, "redundancy = -1"), (0, 7, "classes = 7 classes")])
def test_sas_refuses_bad_input(redundancy, rows, message):
    features, classes = blobs(n=2)
    with pytest.raises(ParameterError, match=message):
        sas_scores(Features(features), classes[:rows], redundancy)


def test_largest_flags_the_share():
    assert largest(np.array([0.1, 0.9, 0.5, 0.8]), 0.5).tolist() == [False, True, False, True]
    assert not largest(np.ones(4), 0.0).any()


def naive_mislabelled(outputs, labels):
    classes = range(len(outputs[0]))
    thresholds = []
    for c in classes:
        own = [p[c] for p, label in zip(outputs, labels, strict=True) if label == c]
        thresholds.append(sum(own) / len(own))
    found = []
    for p, label in zip(outputs, labels, strict=True):
        likely = [c for c in classes if p[c] >= thresholds[c]]
        found.append(bool(likely) and max(likely, key=lambda c: p[c]) != label)
    return found


def test_mislabelled_equals_its_definition_and_finds_flipped_labels():
    generator = np.random.default_rng(0)
    outputs = generator.dirichlet([0.5] * 4, 200)
    labels = np.arange(200) % 4
    assert mislabelled(outputs, labels).tolist() == naive_mislabelled(outputs.tolist(), labels.tolist())

    features, true = blobs(n=100, spread=0.2)
    wrong = np.arange(0, 400, 23)
    given = true.copy()
    given[wrong] = (given[wrong] + 1) % 4
    found = assess(Features(features), given, known_wrong=wrong)
    caught = np.intersect1d(np.flatnonzero(found.scores["mislabelled"]), wrong)
    assert len(caught) >= 0.8 * len(wrong)
    assert found.scores["mislabelled"].sum() <= 1.2 * len(wrong)
    assert found.scores["known_mislabelled"].sum() == len(wrong)


def test_ambiguous_are_the_most_uncertain():
    outputs = np.array([[1.0, 0.0], [0.5, 0.5], [0.9, 0.1], [0.4, 0.6]])
    assert ambiguous(outputs, 0.5).tolist() == [False, True, False, True]


def test_enrichment_counts_and_weighs():
    difficult, other = np.arange(100) < 10, (np.arange(100) >= 6) & (np.arange(100) < 26)
    found = enrichment("ambiguous", difficult, other)
    assert (found.samples, found.both) == (20, 4)
    assert found.lift == pytest.approx(4 / (10 * 20 / 100))
    assert found.p_value == pytest.approx(sum(hypergeom.pmf(k, 100, 20, 10) for k in range(4, 11)))
    assert enrichment("x", difficult, np.zeros(100, dtype=bool)).lift is None


# --- pairs -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("labelled", [True, False])
def test_alike_pairs_equal_the_sorted_list(monkeypatch, labelled):
    monkeypatch.setattr(pairs, "BLOCK", 17)  # several blocks
    features, labels = blobs(n=15, classes=4)
    similarity = cosines(features)
    every = [(similarity[i, j], i, j) for i in range(60) for j in range(i + 1, 60)]
    if labelled:
        every = [pair for pair in every if labels[pair[1]] != labels[pair[2]]]
    else:
        ceiling = sorted((s for s, _, _ in every), reverse=True)[round(0.25 * len(every))]
        every = [pair for pair in every if pair[0] <= ceiling]
    expected = [(i, j) for _, i, j in sorted(every, reverse=True)[:30]]
    found = alike_pairs(Features(features.astype(np.float32)), 30, labels if labelled else None, 0.25)
    pairs_found = [tuple(int(i) for i in row) for row in found.rows]
    if labelled:
        assert pairs_found == expected
    else:  # the selector's histogram may put one pair on the other side of an end
        assert len(set(pairs_found) ^ set(expected)) <= 2
    np.testing.assert_allclose(found.similarity, [similarity[pair] for pair in pairs_found], atol=1e-6)
    assert (np.diff(found.similarity) <= 0).all()


def test_fewer_pairs_than_wanted_are_all_of_them():
    features, labels = blobs(n=2, classes=2)
    assert len(alike_pairs(Features(features), 100, labels).rows) == 4


def test_grid_is_a_picture_of_every_pair(tmp_path):
    pictures = torch.randint(0, 256, (10, 3, 8, 8), dtype=torch.uint8)
    alike = pairs.AlikePairs(np.arange(10).reshape(5, 2), np.linspace(0.9, 0.8, 5))
    (tmp_path / "grid.png").write_bytes(grid(alike, pictures, ["a"] * 10))
    with Image.open(tmp_path / "grid.png") as image:
        pixels = np.asarray(image.convert("RGB"))
    assert pixels.shape[1] > 800
    for picture in pictures:
        colour = picture[:, 4, 4].numpy()
        assert (np.abs(pixels.astype(int) - colour).max(axis=2) <= 1).any()


# --- all of it -------------------------------------------------------------------------------------


def test_by_gap_the_difficult_are_those_of_the_profile():
    features, labels = blobs(spread=1.0)
    found = assess(Features(features), labels, Criteria(by="gap", share=0.1))
    gaps = probe_gaps(Features(features), labels)
    np.testing.assert_allclose(found.scores["gap"], gaps)
    assert (found.difficult == smallest_gaps(gaps, labels, 0.1)).all()
    assert [o.kind for o in found.overlaps] == ["ambiguous"]
    assert list(found.withheld) == ["mislabelled"]  # by a probe that is right on 76 %


def test_by_flags_they_are_the_most_flagged():
    features, labels = blobs(spread=1.0)
    found = assess(Features(features), labels, Criteria(by="flags", share=0.1))
    assert found.difficult.sum() == 16
    flags = found.scores["flag_share"]
    assert flags[found.difficult].min() >= flags[~found.difficult].max()


@pytest.mark.parametrize("redundancy", [0, 1])
def test_by_sas_they_are_the_least_similar_of_each_class(redundancy):
    features, labels = blobs(spread=1.0)
    labels = labels.copy()
    labels[::10] = -1
    found = assess(Features(features), labels, Criteria(by="sas", share=0.1, redundancy=redundancy))
    labelled = labels >= 0
    expected = sas_scores(Features(features[labelled]), labels[labelled], redundancy)
    for c in range(4):  # sorted: the last two of a class may change places by rounding
        mine = labels[labelled] == c
        np.testing.assert_allclose(np.sort(found.scores["sas"][labels == c]), np.sort(expected[mine]), rtol=1e-5)
    assert np.isnan(found.scores["sas"][~labelled]).all()
    for c in range(4):
        scores, left_out = found.scores["sas"][labels == c], found.difficult[labels == c]
        assert left_out.sum() == round(0.1 * len(scores))
        assert scores[left_out].max() <= scores[~left_out].min()
    assert not found.difficult[~labelled].any()
    assert np.isfinite(found.scores["gap"][labelled]).all()


def test_by_sas_clusters_stand_for_classes_where_there_are_no_labels():
    features, labels = blobs(spread=0.05)
    found = assess(Features(features), None, Criteria(by="sas", classes=4))
    expected = sas_scores(Features(features), labels)  # the clusters are the classes
    np.testing.assert_allclose(found.scores["sas"], expected, rtol=1e-5)
    assert (found.difficult == assess(Features(features), labels, Criteria(by="sas")).difficult).all()
    assert (assess(Features(features), None, Criteria(by="sas")).difficult == found.difficult).all()  # estimated: four


def test_unlabelled_samples_are_scored_by_flags_only():
    features, labels = blobs(spread=1.0)
    labels = labels.copy()
    labels[::4] = -1
    found = assess(Features(features), labels)
    assert np.isnan(found.scores["gap"][::4]).all()
    assert np.isfinite(np.delete(found.scores["gap"], np.s_[::4])).all()
    assert not found.difficult[::4].any()
    assert (labels[found.pairs.rows] >= 0).all()


def test_without_labels_nothing_needs_them(tmp_path):
    features, _ = blobs(spread=0.05)
    found = assess(Features(features), None)
    assert found.overlaps == ()
    assert found.plan.pos_high == 1 / 4  # four clusters are found
    written = export(found, tmp_path, {})
    assert sorted(path.name for path in written) == ["difficult.npy", "pairs.csv", "scores.csv", "summary.json"]


def test_a_plan_sets_the_band():
    features, labels = blobs()
    plan = plan_from_profile(assessment.measure({"encoder": Features(features)}, labels, "test").profile)
    found = assess(Features(features), None, plan=plan)
    expected = flag_shares(Features(features), plan.pos_high, plan.pos_low)
    assert (found.scores["flag_share"] == expected).all()


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    features, labels = blobs()
    np.save("f.npy", features)
    np.save("l.npy", labels)
    np.save("bad.npy", np.array([5000]))
    return tmp_path


def test_command_on_a_checkpoint(tmp_path, capsys):
    from empirical.train.__main__ import read_indices
    from empirical.train.loop import train
    from tests.empirical.train.test_loop import TINY

    train(TINY, tmp_path / "run")
    out = tmp_path / "difficulty"
    arguments = ["--checkpoint", str(tmp_path / "run" / "checkpoint.pt"), "--space", "projector", "--out", str(out)]
    assert main(arguments) == 0
    text = capsys.readouterr().out
    assert "samples are difficult" in text
    assert sorted(path.name for path in out.iterdir()) == sorted(assessment.FILES)
    summary = json.loads((out / "summary.json").read_text())
    rows = list(csv.DictReader((out / "scores.csv").open()))
    assert len(rows) == summary["samples"] == 100
    marked = [int(row["index"]) for row in rows if row["difficult"] == "1"]
    assert list(read_indices(out / "difficult.npy", 100)) == marked  # what `empirical.train --drop` takes
    listed = list(csv.DictReader((out / "pairs.csv").open()))
    assert len(listed) == summary["pairs"] == 200
    assert all(pair["label_first"] != pair["label_second"] for pair in listed)


def test_command_by_sas(files, capsys):
    arguments = ["--features", "f.npy", "--labels", "l.npy", "--space", "projector", "--by", "sas", "--out", "out"]
    assert main([*arguments, "--redundancy", "2"]) == 0
    assert "samples are difficult" in capsys.readouterr().out
    rows = list(csv.DictReader((files / "out" / "scores.csv").open()))
    expected = sas_scores(Features(np.load("f.npy")), np.load("l.npy"), 2)
    np.testing.assert_allclose([float(row["sas"]) for row in rows], expected, rtol=1e-4)
    assert json.loads((files / "out" / "summary.json").read_text())["settings"]["redundancy"] == 2


def test_command_on_features(files, capsys):
    assert main(["--features", "f.npy", "--labels", "l.npy", "--json"]) == 0
    assert [o["kind"] for o in json.loads(capsys.readouterr().out)["overlaps"]] == ["mislabelled", "ambiguous"]
    assert main(["--features", "f.npy", "--classes", "4", "--out", "out"]) == 0
    assert not (files / "out" / "grid.png").exists()
    assert len(np.load("out/difficult.npy")) == round(0.08 * 160)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "one of --checkpoint and --features is required"),
        (
            ["--features", "f.npy", "--labels", "l.npy", "--by", "sas"],
            "space = encoder violates projector with --by sas",
        ),
        (["--checkpoint", "c.pt", "--by", "sas"], "space = encoder violates projector with --by sas"),
        (["--features", "f.npy", "--redundancy", "1"], "redundancy = 1.0 violates 0 unless by = sas"),
        (["--features", "f.npy", "--seed", "-1"], "seed = -1"),
        (
            ["--features", "f.npy", "--space", "projector", "--by", "sas", "--redundancy", "-1"],
            "redundancy = -1.0 violates redundancy >= 0",
        ),
        (
            ["--features", "f.npy", "--space", "projector", "--by", "sas", "--classes", "1"],
            "classes = 1 violates an integer >= 2",
        ),
        (["--features", "f.npy", "--by", "gap"], "by = gap violates contrast, flags or sas where there are no labels"),
        (["--features", "f.npy", "--labels", "l.npy", "--by", "gaps"], "did you mean gap"),
        (["--features", "f.npy", "--labels", "bad.npy"], "labels = 1 labels violates one for each of 160"),
        (["--features", "f.npy", "--space", "projector"], "--space projector goes with --checkpoint"),
        (["--features", "f.npy", "--labels", "l.npy", "--mislabelled", "bad.npy"], "indices in [0, 159]"),
        (["--features", "f.npy", "--labels", "l.npy", "--share", "2"], "share = 2.0"),
        (["--features", "f.npy", "--labels", "l.npy", "--pairs", "0"], "pairs = 0"),
        (["--features", "f.npy", "--labels", "l.npy", "--batch", "1"], "batch = 1"),
        (["--features", "f.npy", "--labels", "l.npy", "--rounds", "0"], "rounds = 0"),
        (["--features", "f.npy", "--labels", "l.npy", "--plan", "none.json"], "cannot read none.json"),
        (["--checkpoint", "c.pt", "--labels", "l.npy"], "--checkpoint brings its own labels"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(files, capsys, arguments, message):
    before = sorted(files.rglob("*"))
    assert main([*arguments, "--out", "out"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert err.count("\n") == 1
    assert sorted(files.rglob("*")) == before


def test_labels_must_fit():
    features, labels = blobs()
    with pytest.raises(ParameterError, match="^labels = 3 labels"):
        assess(Features(features), labels[:3])
