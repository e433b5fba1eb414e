"""Levels by people's grades against plain loops."""

import numpy as np
import pytest

from empirical.sentences.levels import GRADES, similarity_levels
from empirical.sentences.sts import Pairs
from theory.checks import ParameterError


def made(scores, seed=0):
    """Pairs of random unit vectors whose cosines rise with the score, and what encodes their names."""
    generator = np.random.default_rng(seed)
    vectors, first, second = {}, [], []
    for number, score in enumerate(scores):
        one = generator.standard_normal(16)
        two = score / 5 * one + (1 - score / 5) * generator.standard_normal(16)
        vectors |= {f"a{number}": one, f"b{number}": two}
        first.append(f"a{number}")
        second.append(f"b{number}")
    pairs = Pairs("made", tuple(first), tuple(second), np.array(scores, dtype=float), ("",) * len(scores))
    return pairs, lambda texts: np.array([vectors[text] for text in texts])


def test_means_by_a_plain_loop():
    scores = np.random.default_rng(1).uniform(0, 5, 300)
    pairs, encode = made(scores)
    found = similarity_levels(encode, pairs)
    sums = {grade: [] for grade in range(GRADES)}
    for one, two, score in zip(pairs.first, pairs.second, scores, strict=True):
        a, b = encode([one])[0], encode([two])[0]
        sums[int(score + 0.5)].append(float(a @ b / np.linalg.norm(a) / np.linalg.norm(b)))
    assert found.counts == tuple(len(sums[grade]) for grade in range(GRADES))
    assert [level.value for level in found.grades] == pytest.approx([np.mean(sums[g]) for g in range(GRADES)], rel=1e-5)
    alpha, beta, gamma = np.mean(sums[4] + sums[5]), np.mean(sums[0]), np.mean(sums[2] + sums[3])
    levels = found.alpha, found.beta, found.gamma, found.severity
    expected = [alpha, beta, gamma, (gamma - beta) / (alpha - beta)]
    assert [level.value for level in levels] == pytest.approx(expected, rel=1e-5)
    assert all(level.low <= level.value <= level.high for level in levels)
    assert found.beta.high < found.gamma.low < found.gamma.high < found.alpha.low


def test_the_interval_has_the_standard_error():
    scores = [0.0] * 200 + [2.5] * 200 + [5.0] * 200
    pairs, encode = made(scores)
    found = similarity_levels(encode, pairs)
    first, second = encode(pairs.first[:200]), encode(pairs.second[:200])
    cosine = (first * second).sum(1) / np.linalg.norm(first, axis=1) / np.linalg.norm(second, axis=1)
    width = 2 * 1.96 * cosine.std() / np.sqrt(200)
    assert found.beta.high - found.beta.low == pytest.approx(width, rel=0.15)
    assert found.grades[1] is None


def test_severity_is_1_where_nothing_is_told_apart():
    scores = [0.0, 2.0, 5.0]
    pairs, _ = made(scores)
    found = similarity_levels(lambda texts: np.ones((len(texts), 3)), pairs)
    assert found.severity.value == 1


def test_a_grade_that_is_needed_and_is_not_there():
    pairs, encode = made([3.0, 5.0, 4.0])
    with pytest.raises(ParameterError, match="made, pairs of grade 0 = 0 violates at least one pair"):
        similarity_levels(encode, pairs)
