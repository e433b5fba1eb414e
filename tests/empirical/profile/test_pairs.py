"""Pairs of classes: counts, levels and near-duplicates against double loops; documents, words and pictures."""

import io
import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, false_discovery_control

from empirical.data.features import Features
from empirical.profile import levels
from empirical.profile.__main__ import main
from empirical.profile.duplicates import near_duplicates
from empirical.profile.heatmap import MOST_CLASSES, heat_map, table
from empirical.profile.levels import Sums, measure_levels, measure_space
from empirical.profile.measurement import measure, probe_gaps, probe_rivals
from empirical.profile.overlap import MOST_PAIRS, with_gain
from empirical.profile.reading import LISTED, describe, pair_lines, severity, verdict
from empirical.profile.rivals import (
    Counts,
    Rivals,
    Standing,
    adjusted,
    count_pairs,
    rivals_of,
    standing,
    suspects,
    ways,
)
from tests.empirical.profile import planted
from tests.empirical.test_profile import blobs
from tests.theory.test_plan import profile as document
from theory.checks import ParameterError
from theory.pairs import LEAST, ClassPair, Overlap
from theory.plan import Estimate, PredictedProbe, Profile, plan_from_profile

ALL = np.stack(np.triu_indices(4, 1), axis=1)


# --- samples ---------------------------------------------------------------------------------------


def test_the_rival_is_the_likeliest_other_class():
    outputs = np.array([[0.5, 0.3, 0.2], [0.1, 0.2, 0.7], [0.6, 0.4, 0.0]])
    found = rivals_of(outputs.copy(), np.array([0, 0, 2]))
    assert found.rival.tolist() == [1, 2, 0]
    assert found.own.tolist() == [0.5, 0.1, 0.0]
    assert found.other.tolist() == [0.3, 0.7, 0.6]
    assert found.gap == pytest.approx([0.2, 0.5, 0.2])
    assert found.margin[:2] == pytest.approx(np.log([0.5 / 0.3, 0.1 / 0.7]))
    assert np.isfinite(found.margin).all()


def test_rivals_have_the_gaps_of_the_probe(monkeypatch):
    features, labels = blobs(spread=1.5)
    found, sums = probe_rivals(Features(features), labels)
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    assert sums == pytest.approx(np.stack([unit[labels == c].sum(axis=0) for c in range(4)]), abs=1e-4)
    assert found.gap == pytest.approx(probe_gaps(Features(features), labels), abs=1e-7)
    assert (found.rival != labels).all()
    monkeypatch.setattr("empirical.profile.measurement.CHUNK_VALUES", 12)  # three rows at a time
    few, _ = probe_rivals(Features(features), labels)
    assert (few.rival == found.rival).all()
    assert few.own == pytest.approx(found.own, abs=1e-6)


def told(margins, labels):
    """What a probe says of samples of two classes, with these margins."""
    own = 1 / (1 + np.exp(-np.array(margins)))
    return Rivals(own, 1 - labels, own, 1 - own)


def test_where_samples_stand():
    """A typical margin is 6: those below 2 are suspect, and of these the way decides."""
    labels = np.repeat([0, 1], 20)
    found = told([6.0] * 15 + [1, 1, 2.5, -1, -7] + [6.0] * 20, labels)
    suspect = suspects(found, labels)
    assert np.flatnonzero(suspect).tolist() == [15, 16, 18, 19]
    where = standing(found, labels, suspect, np.array([0.2, 0.5, 0.9, 0.9]))
    assert np.flatnonzero(where.wrong).tolist() == [18, 19]
    assert np.flatnonzero(where.between).tolist() == [16, 18]  # of 18 the probe is not sure
    assert np.flatnonzero(where.mislabelled).tolist() == [19]
    assert np.flatnonzero(where.crowd).tolist() == [16, 18, 19]
    halfway = standing(found, labels, suspect, np.array([0.2, 0.5, 0.9, 0.5]))
    assert np.flatnonzero(halfway.between).tolist() == [16, 18, 19]


def test_a_weak_probe_does_not_say_that_labels_are_wrong():
    labels, weak = np.repeat([0, 1], 20), [3.0, 3, 3, -3.5, -3.5] * 4
    for rest, count in (([3.0] * 20, 8), (weak, 0)):  # how well class 1 is told, where they would belong
        found = told(weak + rest, labels)
        suspect = suspects(found, labels)
        assert standing(found, labels, suspect, np.ones(suspect.sum())).mislabelled.sum() == count


def test_ways_equal_the_double_loop(monkeypatch):
    features, labels = blobs(n=12)
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    chosen = np.array([0, 1, 5, 20, 21, 47])
    rival = (labels[chosen] + [1, 2, 3, 1, 2, 3]) % 4
    sums = np.stack([unit[labels == c].sum(axis=0) for c in range(4)])

    def level(a, b):
        return np.mean(
            [unit[i] @ unit[j] for i in range(48) for j in range(48) if i != j and (labels[i], labels[j]) == (a, b)]
        )

    expected = []
    for i, b in zip(chosen, rival, strict=True):
        a = labels[i]
        own = np.mean([unit[i] @ unit[j] for j in range(48) if labels[j] == a and j != i])
        other = np.mean([unit[i] @ unit[j] for j in range(48) if labels[j] == b])
        expected.append((other - own + level(a, a) - level(a, b)) / (level(a, a) + level(b, b) - 2 * level(a, b)))
    monkeypatch.setattr("empirical.data.features.CHUNK_VALUES", 80)
    monkeypatch.setattr("empirical.profile.rivals.CHUNK_VALUES", 64)
    assert ways(Features(features), labels, sums, chosen, rival) == pytest.approx(expected, abs=1e-5)
    assert ways(Features(features), labels, sums, chosen[:0], rival[:0]).shape == (0,)


def test_the_way_is_one_at_the_other_mean_and_half_where_there_is_none():
    features = np.array([[1.0, 0]] * 18 + [[1, 1], [0, 1]] + [[0, 1]] * 20)
    labels = np.repeat([0, 1], 20)
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    sums = np.stack([unit[labels == c].sum(axis=0) for c in (0, 1)])
    found = ways(Features(features), labels, sums, np.array([0, 18, 19, 30]), np.array([1, 1, 1, 0]))
    assert found == pytest.approx([0, 0.5, 1, 0], abs=0.1)
    same, both = Features(np.tile([[1.0, 0], [0, 1]], (8, 1))), np.repeat([0, 1], 8)
    assert ways(same, both, np.full((2, 2), 4.0), np.array([0, 9]), np.array([1, 0])).tolist() == [0.5, 0.5]


def test_copies_in_a_class_are_one_sample_of_the_test():
    w = random_standing(3)
    twice = Standing(*(np.repeat(part, 2) for part in (w.labels, w.rival, w.wrong, w.between, w.mislabelled)))
    copies = np.repeat(2 * np.arange(len(w.labels)), 2)
    found, once = count_pairs(twice, 100, copies), count_pairs(w, 100)
    assert found.p_values == pytest.approx(once.p_values)
    assert (found.between == 2 * once.between).all()
    assert (count_pairs(twice, 100).p_values <= once.p_values + 1e-12).all()


def random_standing(seed, classes=5, samples=200):
    generator = np.random.default_rng(seed)
    labels = np.append(np.arange(classes), generator.integers(0, classes, samples))
    rival = (labels + generator.integers(1, classes, len(labels))) % classes
    kind = generator.integers(0, 6, len(labels))
    return Standing(labels, rival, generator.random(len(labels)) < 0.2, kind == 0, kind == 1)


@pytest.mark.parametrize("everyone", [0, 100])
def test_counts_of_pairs_equal_the_double_loop(everyone):
    w = random_standing(0)
    found = count_pairs(w, everyone)
    sizes = np.bincount(w.labels)
    expected, p_values = {}, {}
    for first in range(5):
        for second in range(first + 1, 5):
            there = [(w.labels == a) & (w.rival == b) for a, b in ((first, second), (second, first))]
            either = there[0] | there[1]
            kinds = (either, w.wrong, w.between, w.mislabelled)
            expected[first, second] = [int((either & kind).sum()) for kind in kinds]
            crowds = [int((side & (w.between | w.mislabelled)).sum()) for side in (*there, either)]
            totals = [sizes[first], sizes[second], sizes[first] + sizes[second]]
            tail = [float(binom.sf(k - 1, n, LEAST)) for k, n in zip(crowds, totals, strict=True)]
            p_values[first, second] = min(1, 3 * min(tail))
    assert found.all == 10
    columns = np.stack([found.rivals, found.wrong, found.between, found.mislabelled], axis=1)
    assert {tuple(pair): row for pair, row in zip(found.classes.tolist(), columns.tolist(), strict=True)} == expected
    whole = false_discovery_control(list(p_values.values()))
    assert found.p_values == pytest.approx(whole)
    worst = found.worst(3)
    assert len(worst.classes) == 3
    assert worst.p_values.max() <= np.sort(whole)[2]


def test_few_classes_are_all_listed_and_of_many_those_that_are_rivals():
    labels = np.arange(60) % 30
    w = Standing(labels, (labels + 1) % 30, *np.zeros((3, 60), dtype=bool))
    assert len(count_pairs(w, 435).classes) == 435
    few = count_pairs(w, 434)
    assert len(few.classes) == 30
    assert few.all == 435
    assert (few.p_values == 1).all()


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12), st.integers(0, 30))
def test_adjusted_p_values_count_the_tests_that_are_left_out(p_values, others):
    given = np.array(p_values)
    whole = false_discovery_control(np.append(given, np.ones(others)))
    assert adjusted(given, len(given) + others) == pytest.approx(whole[: len(given)])


# --- levels ----------------------------------------------------------------------------------------


def naive_pair(features, labels, difficult, first, second):
    """α, β and γ of two classes, pair by pair."""
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    within, beta, gamma = {first: [], second: []}, [], []
    for i in range(len(unit)):
        for j in range(i):
            ends = {int(labels[i]), int(labels[j])}
            cosine = float(unit[i] @ unit[j])
            if len(ends) == 1 and ends & {first, second}:
                within[int(labels[i])].append(cosine)
            elif ends == {first, second} and difficult[i] == difficult[j]:
                (gamma if difficult[i] else beta).append(cosine)
    return np.mean([np.mean(part) for part in within.values()]), np.mean(beta), np.mean(gamma)


def test_levels_of_pairs_equal_the_double_loop():
    features, labels = blobs(n=12)
    keep = (labels != 2) | (np.arange(48) < 30)  # an unequal class
    features, labels = features[keep], labels[keep]
    difficult = np.arange(len(labels)) < 12
    _, found = measure_levels(Features(features), labels, difficult, ALL)
    for index, (first, second) in enumerate(ALL):
        expected = naive_pair(features, labels, difficult, first, second)
        assert [level[0, index] for level in found] == pytest.approx(expected, abs=2e-6)
        alpha, beta, gamma = expected
        assert found.severity[0, index] == pytest.approx(np.clip((gamma - beta) / (alpha - beta), -1, 1), abs=1e-5)


def test_a_pairs_severity_is_that_of_its_classes_alone():
    features, labels = blobs(n=30, spread=1.0)
    difficult = np.arange(len(labels)) < 40
    _, found = measure_levels(Features(features), labels, difficult, ALL)
    for index, pair in enumerate(ALL):
        chosen = np.isin(labels, pair)
        alone = measure_space(Features(features[chosen]), (labels[chosen] == pair[0]).astype(int), difficult[chosen])
        assert found.severity[0, index] == pytest.approx(severity(alone).value, abs=1e-4)


def test_levels_of_the_space_are_as_without_pairs():
    features, labels = blobs()
    difficult = np.arange(len(labels)) < 20
    assert measure_levels(Features(features), labels, difficult, ALL)[0] == measure_space(
        Features(features), labels, difficult
    )


def test_copies_are_no_pair_and_are_drawn_together():
    features, labels = blobs(n=12)
    difficult = np.arange(len(labels)) < 12
    _, once = measure_levels(Features(features), labels, difficult, ALL)
    twice = np.repeat(np.arange(len(labels)), 2)
    _, found = measure_levels(Features(features[twice]), labels[twice], difficult[twice], ALL)
    assert found.severity[0] == pytest.approx(once.severity[0], abs=1e-5)
    spread = [np.nanstd(x.severity[1:], axis=0).mean() for x in (once, found)]
    assert spread[1] == pytest.approx(spread[0], rel=0.2)


def test_replicates_in_parts_have_the_same_severities(monkeypatch):
    features, labels = blobs(n=12)
    features[4] = features[8] = features[0]
    difficult = np.arange(len(labels)) < 12
    _, whole = measure_levels(Features(features), labels, difficult, ALL)
    monkeypatch.setattr(levels, "LARGEST_SUMS", Sums.bytes_of(30, 4, features.shape[1]))
    _, parts = measure_levels(Features(features), labels, difficult, ALL)
    np.testing.assert_allclose(parts.severity, whole.severity, atol=1e-5)  # sums in single precision


def test_a_class_without_a_difficult_sample_has_its_easy_ones():
    features, labels = blobs(n=12)
    difficult = (np.arange(len(labels)) < 12) & (labels != 0)
    _, found = measure_levels(Features(features), labels, difficult, ALL[:1])
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    rows, columns = labels == 0, (labels == 1) & difficult
    assert found.gamma[0, 0] == pytest.approx((unit[rows] @ unit[columns].T).mean(), abs=2e-6)


def test_intervals_of_severity_cover_the_populations():
    """Of 40 samples from a known population, 95 % intervals cover about 38."""
    population, labels = blobs(n=3000, classes=2, spread=1.0)
    generator = np.random.default_rng(0)
    difficult = generator.random(len(labels)) < 0.3
    population[difficult] += 1  # difficult ones share something
    pair = np.array([[0, 1]])
    truth = measure_levels(Features(population), labels, difficult, pair)[1].severity[0, 0]
    covered = 0
    for trial in range(40):
        rows = generator.choice(len(labels), 200, replace=False)
        _, found = measure_levels(Features(population[rows]), labels[rows], difficult[rows], pair, trial)
        low, high = np.nanpercentile(found.severity[1:, 0], [2.5, 97.5])
        covered += low <= truth <= high
    assert abs(truth) > 0.05
    assert covered >= 33  # Binomial(40, .95) is at least 34 with probability .99; bootstrap intervals run short


# --- near-duplicates -------------------------------------------------------------------------------


def test_near_duplicates_equal_the_double_loop(monkeypatch):
    generator = np.random.default_rng(0)
    labels = np.arange(90) % 3
    features = generator.standard_normal((90, 6))
    for row, copied, noise in ((0, 1, 0.01), (3, 4, 0.5), (6, 8, 0.02), (9, 12, 0.01)):
        features[copied] = features[row] + noise * generator.standard_normal(6)
    suspects = np.array([0, 1, 3, 6, 9, 30])
    others = np.array([1, 0, 1, 2, 1, 2])
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    expected = []
    for row, other in zip(suspects, others, strict=True):
        same = [unit[row] @ unit[j] for j in range(90) if labels[j] == labels[row] and j != row]
        across = [unit[row] @ unit[j] for j in range(90) if labels[j] == other]
        apart = 1 - max(across)
        expected.append(apart <= 0.01 * (1 - 0.1) and apart <= 0.25 * (1 - max(same)))
    monkeypatch.setattr("empirical.data.features.CHUNK_VALUES", 60)
    found = near_duplicates(Features(features), labels, suspects, others, np.full(6, 0.1))
    assert found.tolist() == expected
    assert found.tolist() == [True, True, False, True, False, False]


# --- documents and words ---------------------------------------------------------------------------


def pair(classes=("a", "b"), severity=0.4, interval=(0.3, 0.5), flagged=True, **changes):
    fields = {"alpha": 0.7, "beta": 0.2, "gamma": 0.4, "between": 12, "mislabelled": 3, "p_value": 1e-6}
    fields |= {"duplicates": 0.0, "advice": "collect" if flagged else "nothing"} | changes
    return ClassPair(classes, severity, interval, flagged, **fields)


def overlapping(*pairs, **changes):
    fields = {"pairs": 10, "flagged": sum(p.flagged for p in pairs), "samples": 500, "affected": 15}
    overlap = Overlap(**{**fields, "between": 20, "mislabelled": 0, "gain": None, **changes})
    return document(pairs=pairs, overlap=overlap)


def test_a_profile_keeps_its_pairs(tmp_path):
    path = tmp_path / "profile.json"
    kept = overlapping(pair(), pair(("a", "c"), 0.05, (-0.1, 0.2), False, duplicates=None), gain=0.01)
    kept.save(path)
    assert Profile.load(path) == kept
    entry = json.loads(path.read_text())["pairs"][0]
    assert entry["classes"] == ["a", "b"]
    assert entry["interval"] == [0.3, 0.5]
    assert (entry["severity"], entry["flagged"]) == (0.4, True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"classes": ["a"]}, "classes"),
        ({"classes": "ab"}, "the names of two classes"),
        ({"interval": [0.5, 0.3]}, r"\[low, high\]"),
        ({"severity": None}, "a finite number"),
        ({"flagged": 1}, "true or false"),
        ({"between": -1}, "an integer >= 0"),
        ({"p_value": 2}, "p_value"),
        ({"duplicates": 2}, "duplicates"),
        ({"advice": "pray"}, "one of deduplicate, merge"),
        ({"extra": 1}, "has unknown extra"),
    ],
)
def test_pairs_that_are_none_are_refused(tmp_path, change, message):
    path = tmp_path / "profile.json"
    found = overlapping(pair()).to_json()
    found["pairs"][0] |= change
    path.write_text(json.dumps(found))
    with pytest.raises(ParameterError, match=message):
        Profile.load(path)


@pytest.mark.parametrize(
    ("change", "message"), [({"affected": -1}, "affected"), ({"gain": "x"}, "gain"), ({"more": 1}, "has unknown more")]
)
def test_an_overlap_that_is_none_is_refused(tmp_path, change, message):
    path = tmp_path / "profile.json"
    found = overlapping(pair()).to_json()
    found["overlap"] |= change
    path.write_text(json.dumps(found))
    with pytest.raises(ParameterError, match=message):
        Profile.load(path)


def said(profile):
    return verdict(profile, plan_from_profile(profile))


UNSURE = pair(("c", "d"), 0.15, (-0.05, 0.25), False)
HUB = [pair(("hub", name)) for name in "abcd"]


@pytest.mark.parametrize(
    ("profile", "parts"),
    [
        (
            overlapping(pair()),
            ["Difficult-example problem: ", "1 of 10 pairs of classes overlap (a – b), and 15 of 500"],
        ),
        (overlapping(pair()), ["there is no prediction for a remedy, so collect samples or features"]),
        (overlapping(pair(), gain=0.001), ["no remedy is predicted to gain 0.5 points (the best 0.1), so collect"]),
        (overlapping(pair(advice="remedy"), gain=0.012), ["try margin σ =", "predicted to gain 1.2 points"]),
        (overlapping(pair(advice="merge")), ["merge a – b, which a probe hardly tells apart."]),
        (overlapping(pair(advice="deduplicate")), ["remove near-duplicates across a – b."]),
        (overlapping(pair(), mislabelled=9), ["check the labels of 9 samples, which are probably wrong."]),
        (overlapping(*HUB), ["(hub – a, hub – b, hub – c, 1 more; all with hub)"]),
        (overlapping(*HUB, pair()), ["; 4 of them with hub)"]),
        (overlapping(mislabelled=9), ["No difficult-example problem, but 9 of 500 samples (1.8%) are probably"]),
        (
            overlapping(pair(flagged=False, advice="relabel"), mislabelled=9),
            ["No difficult-example problem, but", "most between a – b"],
        ),
        (overlapping(between=60), ["Cannot tell: 12% of the samples lie between their class and some other"]),
        (overlapping(UNSURE), ["Cannot tell: samples lie between", "the severity of c – d is between -5% and 25%"]),
        (overlapping(replace(UNSURE, p_value=0.06)), ["No difficult-example problem: in none of the 10 pairs"]),
        (overlapping(replace(UNSURE, interval=(-0.1, 0.09))), ["No difficult-example problem: in none of the 10"]),
    ],
)
def test_the_verdict_follows_from_the_pairs(profile, parts):
    text = said(profile)
    assert all(part in text for part in parts), text
    assert text.endswith(".")
    assert describe(profile, plan_from_profile(profile)).startswith(text)


def test_only_some_pairs_were_looked_at():
    assert "at least 1 of 10 pairs" in said(overlapping(pair()))
    assert "at least" not in said(overlapping(pair(), pair(("a", "c"), flagged=False)))
    assert "at least" not in said(overlapping(pair(), pairs=1))


def test_the_report_lists_the_worst_pairs():
    many = [pair(("a", str(k))) for k in range(LISTED + 3)]
    lines = pair_lines(overlapping(*many, UNSURE))
    assert lines[0] == f"  pairs of classes, the worst {LISTED} of 10:"
    assert len(lines) == 1 + LISTED
    assert lines[1] == "    a – 0  severity  40% [30%, 50%]  12 between, 3 mislabelled: collect"
    assert pair_lines(overlapping(UNSURE))[1].endswith(": cannot tell")
    assert pair_lines(overlapping(replace(UNSURE, p_value=1.0))) == []


def test_an_unprintable_name_stays_in_its_line():
    assert "a\\nb – c" in said(overlapping(pair(("a\nb", "c"))))


# --- what a remedy is worth ------------------------------------------------------------------------


def worth(gamma, easy, epsilon=2.0, accuracy=0.9):
    """A profile of ten small classes, whose only open pair has these levels and this noise."""
    p = document(encoder=(0.6, 0.2, 0.25), classes=10, samples_per_class=60, difficult=12)
    space = replace(p.spaces["encoder"], epsilon=Estimate(epsilon, epsilon, epsilon))
    pairs = tuple(pair(("a", str(k)), alpha=0.6, beta=0.2, gamma=gamma) for k in range(5))
    predicted = PredictedProbe(Estimate(accuracy, accuracy, accuracy), 0.1)
    overlap = Overlap(45, 5, 600, 20, 20, 0, None)
    spaces = {**p.spaces, "encoder": space}
    return with_gain(replace(p, spaces=spaces, pairs=pairs, overlap=overlap, predicted_probe=predicted), easy)


def test_a_remedy_is_advised_where_both_predictions_say_so():
    found = worth(0.55, 0.95)
    assert found.overlap.gain >= LEAST
    assert found.overlap.gain <= 0.05 + 1e-9
    assert {p.advice for p in found.pairs} == {"remedy"}


@pytest.mark.parametrize(
    ("gamma", "easy", "epsilon"),
    [
        (0.55, 0.901, 2.0),  # difficult samples are predicted as well as others
        (0.55, None, 2.0),  # no difficult part
        (0.55, 0.95, 0.01),  # noise that hides nothing
        (0.65, 0.95, 2.0),  # γ > α: no graph
    ],
)
def test_no_remedy_is_advised_where_one_does_not(gamma, easy, epsilon):
    found = worth(gamma, easy, epsilon)
    assert found.overlap.gain is None or found.overlap.gain < LEAST
    assert {p.advice for p in found.pairs} == {"collect"}


def test_without_an_open_pair_nothing_is_predicted():
    merged = overlapping(pair(advice="merge"))
    assert with_gain(merged, 0.99) == merged


# --- profiles, command and picture -----------------------------------------------------------------


def test_pairs_are_called_by_their_labels_or_names():
    features, labels = blobs(n=20)
    numbers = np.array([3, 7, 30, 31])[labels]
    found = measure({"encoder": Features(features)}, numbers, "test").profile
    assert {name for p in found.pairs for name in p.classes} == {"3", "7", "30", "31"}
    named = measure({"encoder": Features(features)}, np.array(["cat", "dog", "cow", "pig"])[labels], "test").profile
    assert {name for p in named.pairs for name in p.classes} == {"cat", "dog", "cow", "pig"}
    assert (len(found.pairs), found.overlap.pairs, found.overlap.samples) == (6, 6, 80)
    numbers[:4] = -1
    assert measure({"encoder": Features(features)}, numbers, "test").profile.overlap.samples == 76


def test_affected_samples_are_those_that_are_counted():
    features, labels = planted.merged(0)
    labels[::60] = -1
    found = measure({"encoder": Features(features)}, labels, "test")
    assert found.affected.sum() == found.profile.overlap.affected > 0
    assert set(labels[found.affected]) == {1, 4}


def test_clusters_have_no_pairs():
    features, _ = blobs(spread=0.1)
    found = measure({"encoder": Features(features)}, None, "test", classes=4)
    assert (found.profile.pairs, found.profile.overlap) == ((), None)
    assert not found.affected.any()


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    features, labels = planted.merged(0)
    np.save("f.npy", features.astype(np.float32))
    np.save("l.npy", np.array([f"class {c}" for c in labels]))
    return ["--features", "f.npy", "--labels", "l.npy"]


def test_the_command_prints_pairs_and_draws_them(files, tmp_path, capsys):
    assert main([*files, "--json", "--heatmap", "pairs.png", "--out", "p.json"]) == 0
    report = json.loads(capsys.readouterr().out)
    first = report["pairs"][0]
    assert first["classes"] == ["class 1", "class 4"]
    assert first["flagged"] is True
    assert first["interval"][0] <= first["severity"] <= first["interval"][1]
    assert len(report["pairs"]) == report["overlap"]["pairs"] == 45
    assert (tmp_path / "pairs.png").read_bytes().startswith(b"\x89PNG")
    assert Profile.load(tmp_path / "p.json").pairs[0].advice == "merge"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["--heatmap", "pairs.txt"], ".png or .svg"), (["--heatmap", "pairs.png", "--classes", "4"], "labels")],
)
def test_a_heat_map_that_cannot_be_is_refused(files, arguments, message, capsys, tmp_path):
    options = files if "--classes" not in arguments else files[:2]
    assert main([*options, *arguments]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert message in err
    assert not (tmp_path / "pairs.png").exists()


def squares(count):
    """A profile of so many classes, each of which is alike to the next."""
    names = [f"class {k}" for k in range(count)]
    pairs = [pair((names[i], names[i + 1]), severity=0.9 - 0.5 * i / count) for i in range(count - 1)]
    pairs += [pair((names[i], names[j]), 0.0, (-0.1, 0.1), False) for i in range(count) for j in range(i + 2, count)]
    return replace(overlapping(*pairs, pairs=count * (count - 1) // 2), classes=count)


@pytest.mark.parametrize("count", [2, 3, 12, 40, 45])
def test_heat_map(count):
    found = squares(count)
    figure = heat_map(found)
    axis = figure.axes[0]
    shown = min(count, MOST_CLASSES)
    labels = [tick.get_text() for tick in axis.get_xticklabels()]
    assert len(set(labels)) == shown
    drawn = np.ma.filled(axis.images[0].get_array().astype(float), np.nan)
    names, values, _ = table(found)
    for i, first in enumerate(labels):
        for j, second in enumerate(labels):
            np.testing.assert_equal(drawn[i, j], values[names.index(first), names.index(second)])
    assert np.isnan(np.diag(drawn)).all()
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=60)
    assert buffer.getvalue().startswith(b"\x89PNG")


def test_alike_classes_stand_side_by_side_in_the_heat_map():
    names = [f"{family}{k}" for k in range(5) for family in "xyz"]
    pairs = [
        pair((a, b), *((0.5, (0.4, 0.6), True) if a[0] == b[0] else (0.0, (0.0, 0.0), False)))
        for i, a in enumerate(names)
        for b in names[i + 1 :]
    ]
    figure = heat_map(overlapping(*pairs))
    families = [tick.get_text()[0] for tick in figure.axes[0].get_yticklabels()]
    assert sum(a != b for a, b in pairwise(families)) == 2


def test_a_profile_without_pairs_has_no_heat_map():
    with pytest.raises(ParameterError, match="no pairs of classes"):
        heat_map(document())


def test_all_pairs_of_forty_classes_have_intervals():
    assert MOST_PAIRS >= 40 * 39 // 2
    assert isinstance(count_pairs(random_standing(1), MOST_PAIRS), Counts)


def test_pairs_of_classes_too_small_to_have_a_difficult_share_speak_first():
    """Two classes of 400 that overlap, and a long tail of classes of five."""
    generator = np.random.default_rng(0)
    centres = generator.standard_normal((152, 32))
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    labels = np.concatenate([np.repeat([0, 1], 400), np.repeat(np.arange(2, 152), 5)])
    x = centres[labels] + 0.5 / np.sqrt(32) * generator.standard_normal((len(labels), 32))
    for c in (0, 1):
        rows = np.flatnonzero(labels == c)[:80]
        x[rows] += 0.5 * (centres[1 - c] - centres[c])
    profile = measure({"encoder": Features(x)}, labels, "tail").profile
    assert profile.difficult == 0
    text = verdict(profile, plan_from_profile(profile))
    assert text.startswith("Difficult-example problem: 1 of"), text
