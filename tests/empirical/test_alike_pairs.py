import importlib.util

import numpy as np
import pytest
import torch

from empirical.data.features import Features
from empirical.difficulty import pairs as module
from empirical.difficulty.assessment import Criteria, assess, describe
from empirical.difficulty.pairs import AlikePairs, alike_pairs, grid


def world(samples, width=24, classes=7, seed=0):
    """Features on a curved sheet, as an encoder's are rather than as noise is, and unequal classes."""
    generator = np.random.default_rng(seed)
    hidden = generator.standard_normal((samples, 6))
    features = np.maximum(hidden @ generator.standard_normal((6, width)) + 0.2, 0)
    features += 0.02 * generator.standard_normal(features.shape)
    labels = np.minimum(generator.geometric(0.3, samples) - 1, classes - 1)
    return Features(features.astype(np.float32)), labels


@pytest.fixture
def indexed(monkeypatch):
    pytest.importorskip("faiss")
    monkeypatch.setattr(module, "EXACT_ROWS", 1_000)


def test_the_index_finds_the_pairs_that_all_products_find(indexed, monkeypatch):
    features, labels = world(6_000)
    found = alike_pairs(features, 100, labels)
    assert found.search.recall >= module.RECALL
    assert 1 < found.search.searched < found.search.cells
    monkeypatch.setattr(module, "EXACT_ROWS", 10**6)
    expected = alike_pairs(features, 100, labels)
    assert expected.search is None
    both = {tuple(row) for row in found.rows.tolist()} & {tuple(row) for row in expected.rows.tolist()}
    assert len(both) >= 95
    assert (found.rows[:, 0] < found.rows[:, 1]).all()
    assert (labels[found.rows[:, 0]] != labels[found.rows[:, 1]]).all()
    assert (np.diff(found.similarity) <= 0).all()
    first, second = features.unit[found.rows[:, 0]], features.unit[found.rows[:, 1]]
    np.testing.assert_allclose(found.similarity, (first * second).sum(axis=1), atol=1e-5)


def test_one_sample_like_many_others_is_in_all_pairs(indexed):
    """No pair is lost to a limit on a sample's pairs."""
    features, labels = world(3_000)
    near = features.unit.copy()
    rows = np.flatnonzero(labels == 1)[:150]
    hub = np.flatnonzero(labels == 2)[0]
    near[rows] = near[hub] + 1e-3 * np.random.default_rng(0).standard_normal((150, near.shape[1]))
    found = alike_pairs(Features(near), 150, labels)
    assert (found.rows == hub).any(axis=1).all()


def test_few_pairs_are_all_of_them(indexed):
    features, labels = world(1_500)
    labels = (np.arange(1_500) == 7).astype(np.int64)  # a class of one
    found = alike_pairs(features, 5_000, labels)
    assert len(found.rows) == 1_499
    assert len(np.unique(found.rows, axis=0)) == 1_499
    assert len(alike_pairs(features, 10, np.zeros(1_500, dtype=np.int64)).rows) == 0


def test_the_recall_is_that_of_the_samples_pairs(indexed, monkeypatch):
    """Which is counted again here, with an index that is looked into too little."""
    monkeypatch.setattr(module, "RECALL", 0.0)
    monkeypatch.setattr(module, "FEWEST", 1)
    _, labels = world(3_000)
    features = Features(np.random.default_rng(1).standard_normal((3_000, 24)).astype(np.float32))
    found = alike_pairs(features, 50, labels)
    generator, order = np.random.default_rng(0), np.argsort(labels, kind="stable")
    index = module._index(features.unit, order, found.search.cells, generator, 0)
    judged = np.sort(generator.choice(3_000, 1_000, replace=False))
    unit, mine = features.unit[order], labels[order]
    cosines = np.where(mine > mine[judged, None], unit[judged] @ unit.T, -np.inf)
    best, other = np.divmod(np.argsort(-cosines, axis=None)[:50], 3_000)
    cell = index.quantizer.search(unit, 1)[1][:, 0]
    assert found.search.searched == 1
    assert found.search.recall == pytest.approx((cell[judged[best]] == cell[other]).mean(), abs=0.021)  # a tie
    assert 0.2 < found.search.recall < 0.95


def test_without_faiss_all_products_and_a_warning(monkeypatch):
    features, labels = world(1_200)
    expected = alike_pairs(features, 20, labels)
    monkeypatch.setattr(module, "EXACT_ROWS", 1_000)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.warns(UserWarning, match=r"pip install 'difficult-examples\[faiss\]'"):
        found = alike_pairs(features, 20, labels)
    assert (found.rows == expected.rows).all()


def test_without_labels_some_samples_are_compared(monkeypatch):
    features, _ = world(3_000)
    monkeypatch.setattr(module, "EXACT_ROWS", 1_000)
    found = alike_pairs(features, 20, None, 0.1)
    rows = np.sort(np.random.default_rng(0).choice(3_000, 1_000, replace=False))
    some = alike_pairs(features.only(rows), 20, None, 0.1)
    assert (found.rows == rows[some.rows]).all()
    ceiling = module._ceiling(features, 0.1)
    assert found.similarity == pytest.approx(ceiling, abs=5e-3)  # as alike as pairs can be below it


def test_the_report_says_how_pairs_were_searched(indexed):
    features, labels = world(1_500)
    found = assess(features, labels, Criteria(pairs=20))
    assert f"searched in {found.pairs.search.searched} of {found.pairs.search.cells} cells" in describe(found)


def test_names_under_pictures_are_no_formulas():
    pictures = torch.zeros((2, 3, 8, 8), dtype=torch.uint8)
    pairs = AlikePairs(np.array([[0, 1]]), np.array([0.5]))
    assert grid(pairs, pictures, ["10_$20", "$5 & $10"]).startswith(b"\x89PNG")
