import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import rankdata

from empirical.data.features import Features
from empirical.difficulty import neighbours as module
from empirical.difficulty.assessment import Criteria, assess, doubts
from empirical.difficulty.neighbours import neighbourhoods
from empirical.difficulty.scores import doubt, largest
from empirical.profile.measurement import probe_outputs, smallest_gaps
from tests.empirical.test_profile import blobs
from theory.checks import ParameterError


def naive(features, labels, count):
    """Contrast and disagreement of each sample, one after the other."""
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    contrast, disagreement = [], []
    for i, x in enumerate(unit):
        others = sorted(((float(x @ unit[j]), j) for j in range(len(unit)) if j != i), reverse=True)[:count]
        contrast.append(np.mean([x @ z for z in unit]) - np.mean([s for s, _ in others]))
        disagreement.append(np.mean([labels[j] != labels[i] for _, j in others]))
    return np.array(contrast), np.array(disagreement)


def test_neighbourhoods_equal_the_double_loop(monkeypatch):
    monkeypatch.setattr(module, "BLOCK", 17)  # several blocks
    features, labels = blobs(n=20, classes=4, spread=1.0)
    found = neighbourhoods(Features(features), labels)
    contrast, disagreement = naive(features, labels, module.NEIGHBOURS)
    np.testing.assert_allclose(found.contrast, contrast, atol=1e-6)
    np.testing.assert_allclose(found.disagreement, disagreement)
    assert neighbourhoods(Features(features)).disagreement is None
    assert (neighbourhoods(Features(features)).contrast == found.contrast).all()


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 30), st.integers(1, 3), st.integers(0, 2**31))
def test_copies_change_nothing(samples, times, seed):
    """With every row several times, each is where it was: copies are no neighbours, and count once in the mean."""
    features = np.random.default_rng(seed).standard_normal((samples, 5))
    labels = np.arange(samples) % 2
    once = neighbourhoods(Features(features), labels)
    often = neighbourhoods(Features(np.tile(features, (times, 1))), np.tile(labels, times))
    np.testing.assert_allclose(often.contrast, np.tile(once.contrast, times), atol=1e-6)
    np.testing.assert_allclose(often.disagreement, np.tile(once.disagreement, times))


def test_a_copy_with_another_label_is_judged_by_its_own():
    features, labels = blobs(n=30, classes=2, spread=0.05)
    twins = neighbourhoods(Features(np.vstack([features, features[:1]])), np.append(labels, 1 - labels[0]))
    assert twins.disagreement[[0, -1]].tolist() == [0, 1]


def test_many_samples_are_compared_with_some(monkeypatch):
    features, labels = blobs(n=100, classes=4, spread=1.0)
    everyone = neighbourhoods(Features(features), labels)
    monkeypatch.setattr(module, "REFERENCES", 150)
    found = neighbourhoods(Features(features), labels)
    chosen = np.sort(np.random.default_rng(0).choice(400, 150, replace=False))
    some = neighbourhoods(Features(features[chosen]), labels[chosen])
    np.testing.assert_allclose(found.disagreement[chosen], some.disagreement)
    assert 0.5 < np.corrcoef(found.disagreement, everyone.disagreement)[0, 1] < 1
    again = neighbourhoods(Features(features), labels, seed=1)
    assert (again.disagreement != found.disagreement).any()


def test_copies_of_one_row_have_no_neighbours():
    with pytest.raises(ParameterError, match="features = copies of one row violates at least two rows that differ"):
        neighbourhoods(Features(np.ones((4, 3))))


def test_a_sample_between_two_classes_stands_out_least():
    generator = np.random.default_rng(0)
    centres = np.eye(8)[:2]
    labels = np.arange(60) % 2
    features = centres[labels] + 0.05 * generator.standard_normal((60, 8))
    between = centres.sum(axis=0) + 0.05 * generator.standard_normal(8)
    found = neighbourhoods(Features(np.vstack([features, between])), np.append(labels, 0))
    assert found.contrast.argmax() == 60
    assert found.disagreement.argmax() == 60
    assert (found.disagreement[:-1] <= 0.1).all()


# --- doubt -----------------------------------------------------------------------------------------


def test_doubt_is_the_mean_of_two_ranks():
    confidence, disagreement = np.array([0.9, 0.1, 0.5, 0.5]), np.array([0.0, 1.0, 0.5, 0.0])
    assert doubt(confidence, disagreement).tolist() == [(1 + 1.5) / 8, 1, (2.5 + 3) / 8, (2.5 + 1.5) / 8]


def test_by_default_the_most_doubtful_of_each_class_are_difficult():
    features, labels = blobs(spread=1.0)
    found = assess(Features(features), labels, Criteria(share=0.1))
    outputs = np.concatenate(list(probe_outputs(Features(features), labels))).astype(float)
    confidence = np.array([row[label] for row, label in zip(outputs, labels, strict=True)])
    disagreement = naive(features, labels, module.NEIGHBOURS)[1]
    np.testing.assert_allclose(found.scores["confidence"], confidence)
    np.testing.assert_allclose(found.scores["neighbours"], disagreement)
    expected = (rankdata(-confidence) + rankdata(disagreement)) / (2 * len(labels))
    np.testing.assert_allclose(found.scores["doubt"], expected)
    assert (found.difficult == smallest_gaps(-expected, labels, 0.1)).all()
    assert (doubts(Features(features), labels) == found.scores["doubt"]).all()


def test_without_labels_the_least_contrasting_are():
    features, labels = blobs(spread=1.0)
    found = assess(Features(features), None, Criteria(share=0.1))
    expected = naive(features, labels, module.NEIGHBOURS)[0]
    assert (found.difficult == largest(expected, 0.1)).all()
    assert not {"doubt", "gap", "confidence", "neighbours"} & set(found.scores)
    labelled = assess(Features(features), labels, Criteria(by="contrast", share=0.1))
    assert (labelled.difficult == found.difficult).all()
    partly = np.where(np.arange(len(labels)) % 5 == 0, -1, labels)  # all are scored, labelled or not
    some = assess(Features(features), partly, Criteria(by="contrast", share=0.1))
    np.testing.assert_allclose(some.scores["contrast"], found.scores["contrast"])
    assert np.isnan(some.scores["doubt"][::5]).all()
    assert np.isfinite(np.delete(some.scores["doubt"], np.s_[::5])).all()
