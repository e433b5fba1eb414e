"""Overlaps of classes that are known: the profile names them, counts what is affected and says what to do."""

import numpy as np
import pytest

from empirical.data.features import Features
from empirical.prediction import Prediction
from empirical.profile import measurement
from empirical.profile.measurement import measure
from empirical.profile.reading import verdict
from tests.empirical.profile import planted
from theory.plan import plan_from_profile

DRAWS = [pytest.param(range(1), id="a draw"), pytest.param(range(1, 20), id="19 draws", marks=pytest.mark.slow)]
PROBLEM, NONE = "Difficult-example problem: ", "No difficult-example problem"


def found(features, labels):
    profile = measure({"encoder": Features(features)}, labels, "planted").profile
    return profile, verdict(profile, plan_from_profile(profile))


def flagged(profile):
    return {pair.classes: pair.advice for pair in profile.pairs if pair.flagged}


@pytest.mark.parametrize("seeds", DRAWS)
def test_classes_that_do_not_overlap_are_no_problem(seeds):
    for seed in seeds:
        profile, text = found(*planted.no_overlap(seed))
        assert text.startswith(f"{NONE}: in none of the 45 pairs of classes"), text
        assert flagged(profile) == {}
        assert profile.overlap.affected == 0
        assert profile.overlap.between <= 3
        assert {pair.advice for pair in profile.pairs} == {"nothing"}


@pytest.mark.parametrize("seeds", DRAWS)
def test_one_pair_among_forty_classes_is_named(seeds):
    for seed in seeds:
        profile, text = found(*planted.one_pair(seed))
        assert flagged(profile) == {("3", "17"): "collect"}, text
        assert text.startswith(f"{PROBLEM}1 of 780 pairs of classes overlap (3 – 17)")
        assert 10 <= profile.overlap.affected <= 20  # of the 20 that are planted
        assert profile.pairs[0].severity > 0.3


@pytest.mark.parametrize("seeds", DRAWS)
def test_severity_and_affected_samples_rise_with_the_overlap(seeds):
    for seed in seeds:
        severities, counts = [], []
        for way in (0, 0.15, 0.3, 0.45):
            world = planted.clouds([300] * 6, spread=0.5, seed=seed)
            planted.look_alikes(world, 1, 4, 0.1, way)
            planted.look_alikes(world, 4, 1, 0.1, way)
            profile, _ = found(*world[1:])
            pair = next(pair for pair in profile.pairs if pair.classes == ("1", "4"))
            severities.append(pair.severity)
            counts.append(profile.overlap.affected)
        assert severities == sorted(severities)
        assert severities[-1] > severities[0] + 0.3
        assert counts == sorted(counts)
        assert counts[0] == 0
        assert counts[-1] > 30  # of 60


@pytest.mark.parametrize("seeds", DRAWS)
def test_mislabelled_samples_are_to_relabel_and_not_difficult(seeds):
    for seed in seeds:
        features, labels, wrong = planted.wrong_labels(seed)
        profile, text = found(features, labels)
        assert flagged(profile) == {}, text
        assert text.startswith(f"{NONE}, but ")
        assert "are probably mislabelled: check their labels" in text
        assert 0.5 * len(wrong) <= profile.overlap.mislabelled <= 1.1 * len(wrong)


@pytest.mark.parametrize("seeds", DRAWS)
def test_labels_swapped_between_two_classes_are_to_relabel(seeds):
    for seed in seeds:
        profile, text = found(*planted.swapped_labels(seed))
        assert flagged(profile) == {}, text
        assert (profile.pairs[0].classes, profile.pairs[0].advice) == (("2", "5"), "relabel")
        assert text.startswith(f"{NONE}, but ")
        assert "most between 2 – 5" in text


@pytest.mark.parametrize("seeds", DRAWS)
def test_near_duplicates_in_two_classes_are_to_deduplicate(seeds):
    for seed in seeds:
        profile, text = found(*planted.copied_items(seed))
        assert flagged(profile) == {("2", "5"): "deduplicate"}, text
        assert "remove near-duplicates across 2 – 5" in text
        assert profile.pairs[0].duplicates >= 0.5
        assert 6 <= profile.overlap.affected <= 24  # of twelve pairs


@pytest.mark.parametrize("seeds", DRAWS)
def test_a_hub_is_named(seeds):
    for seed in seeds:
        profile, text = found(*planted.one_hub(seed))
        pairs = flagged(profile)
        assert len(pairs) >= 5, text
        assert all("0" in classes for classes in pairs)
        assert "; all with 0)" in text


@pytest.mark.parametrize("seeds", DRAWS)
def test_unequal_classes(seeds):
    for seed in seeds:
        profile, text = found(*planted.unequal(seed, False))
        assert flagged(profile) == {}, text
        assert text.startswith(f"{NONE}:")
        profile, text = found(*planted.unequal(seed, True))
        assert flagged(profile) == {("1", "6"): "collect"}, text


@pytest.mark.parametrize("seeds", DRAWS)
def test_classes_that_are_one_are_to_merge(seeds):
    for seed in seeds:
        profile, text = found(*planted.merged(seed))
        assert flagged(profile) == {("1", "4"): "merge"}, text
        assert "merge 1 – 4" in text
        assert profile.pairs[0].severity == 1  # no way is left between the classes


@pytest.mark.parametrize("seeds", DRAWS)
def test_a_thousand_classes_of_twenty(seeds, monkeypatch):
    asked = Prediction(None, None, None, 1.0, 32, "left out: it takes as long as all else")
    monkeypatch.setattr(measurement, "_prediction", lambda *_: asked)
    for seed in seeds:
        profile, text = found(*planted.many_classes(seed))
        pairs = flagged(profile)
        assert set(pairs) <= {(str(2 * k), str(2 * k + 1)) for k in range(5)}, text
        assert len(pairs) >= 4
        assert f"{len(pairs)} of 499,500 pairs" in text
        assert len(profile.pairs) == 800
        assert profile.overlap.pairs == 499_500
        profile, text = found(*planted.many_classes(seed, pairs=0))
        assert flagged(profile) == {}, text


@pytest.mark.parametrize("seeds", DRAWS)
def test_siblings_that_the_mean_over_all_pairs_hides(seeds):
    for seed in seeds:
        features, labels, siblings = planted.siblings(3, 5, 1500, 0.16, 48, seed, spread=0.6)
        profile, text = found(features, labels)
        pairs = {tuple(map(int, classes)) for classes in flagged(profile)}
        assert pairs <= siblings, text
        assert len(pairs) >= 0.9 * len(siblings)
        assert profile.overlap.affected == pytest.approx(0.16 * 22_500, rel=0.25)


def test_features_that_tell_nothing_apart():
    generator = np.random.default_rng(0)
    labels = np.arange(800) % 20
    centres = generator.standard_normal((20, 24))
    features = 0.45 * centres[labels] + generator.standard_normal((800, 24))
    profile, text = found(features, labels)
    assert profile.overlap.between > 0.05 * 800
    assert not text.startswith(NONE), text
