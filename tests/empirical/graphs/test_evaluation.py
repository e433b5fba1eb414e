"""The field's evaluation, against a plain loop."""

import numpy as np
import pytest
from sklearn.model_selection import StratifiedKFold
from sklearn.svm import SVC

from empirical.graphs import svc_accuracies
from theory.checks import ParameterError


@pytest.fixture(scope="module")
def sample():
    random = np.random.default_rng(0)
    y = np.arange(60) % 3
    return random.normal(size=(60, 4)) + 1.2 * np.eye(4)[y], y


def plain(x, y, folds, seed):
    found = []
    for train, test in StratifiedKFold(folds, shuffle=True, random_state=seed).split(x, y):
        best = (-1.0, 0.0)
        for power in range(-3, 4):
            inner = []
            for fit, check in StratifiedKFold(5).split(x[train], y[train]):
                machine = SVC(C=10.0**power).fit(x[train][fit], y[train][fit])
                inner.append(np.mean(machine.predict(x[train][check]) == y[train][check]))
            if np.mean(inner) > best[0]:
                best = (np.mean(inner), 10.0**power)
        found.append(np.mean(SVC(C=best[1]).fit(x[train], y[train]).predict(x[test]) == y[test]))
    return found


def test_a_plain_loop(sample):
    found = svc_accuracies(*sample, seeds=[1, 4], folds=3)
    expected = np.array([plain(*sample, 3, seed) for seed in (1, 4)])
    assert np.array_equal(found.folds, expected)
    assert found.per_seed.tolist() == expected.mean(axis=1).tolist()
    assert found.mean == pytest.approx(expected.mean())
    assert found.deviation == pytest.approx(np.std(expected.mean(axis=1)))
    assert 0.5 < found.mean < 1
    assert np.array_equal(svc_accuracies(*sample, seeds=2, folds=3).folds[1], expected[0])


def test_groups_stay_in_one_fold():
    """Each sample is there four times, with labels that nothing else tells: only its copies know them."""
    random = np.random.default_rng(0)
    x, y = random.normal(size=(30, 8)), np.arange(30) % 2
    copies = np.repeat(np.arange(30), 4)
    x, y = x[copies], y[copies]
    apart = svc_accuracies(x, y, seeds=1, folds=3)
    together = svc_accuracies(x, y, seeds=1, folds=3, groups=copies)
    assert apart.mean > 0.9
    assert together.mean < 0.75


def test_bad_input(sample):
    x, y = sample
    wrong = x.copy()
    wrong[7, 1] = np.inf
    for arguments, message in (
        ((x[:, 0], y), "features = shape .60,. violates shape .N, d."),
        ((x, y[:-1]), "labels = shape .59,. violates shape .60,."),
        ((wrong, y), "features = row 7 violates finite numbers"),
        ((x, np.zeros(60)), "labels = 1 class violates at least two classes"),
        ((x, y, 1, 21), "labels = 20 graphs of class 0 violates at least one for each of 21 folds"),
        ((x, y, 1, 1), "folds = 1 violates an integer >= 2"),
        ((x, y, 0), "seeds = 0 violates at least one"),
        ((x, y, 1, 2, y[:5]), "groups = shape .5,. violates shape .60,."),
        ((x, y, 1, 2, y), "labels = 1 groups of class 0 violates at least one for each of 2 folds"),
    ):
        with pytest.raises(ParameterError, match=message):
            svc_accuracies(*arguments)


def test_features_that_are_all_alike_know_the_larger_class():
    y = np.array([0] * 12 + [1] * 18)
    assert svc_accuracies(np.ones((30, 3)), y, seeds=1, folds=3).mean == pytest.approx(0.6)
