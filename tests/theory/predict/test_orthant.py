"""How often the right score is the largest: closed forms, scipy's normal law, monotonicity."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ndtr
from scipy.stats import multivariate_normal

from theory.predict.orthant import directions, exchangeable, largest, unlike

signals, shares, many = st.floats(-4, 4), st.floats(0, 1), st.integers(1, 50)


@given(signals, st.floats(0.01, 100), shares)
def test_two_classes_have_the_normal_law(signal, noise, share):
    """The difference of the two scores has the variance 2·noise − own."""
    own = share * noise
    expected = ndtr(signal / np.sqrt(2 * noise - own))
    assert exchangeable(signal, noise, own, 1) == pytest.approx(expected, abs=1e-6)


@given(st.floats(0.01, 100), many)
def test_without_signal_chance(noise, others):
    assert exchangeable(0.0, noise, 0.0, others) == pytest.approx(1 / (others + 1), abs=1e-4)


@given(signals, many, shares)
def test_without_noise_the_sign(signal, others, share):
    expected = 1 / (others + 1) if signal == 0 else float(signal > 0)
    assert exchangeable(signal, 0.0, 0.0, others) == expected
    assert exchangeable(1.0, 1e-12, share * 1e-12, others) == pytest.approx(1)
    assert exchangeable(-1.0, 1e-12, share * 1e-12, others) == pytest.approx(0)


@given(signals, st.floats(0.01, 100), shares, many)
def test_a_right_score_that_does_not_vary(signal, noise, share, others):
    """All of the noise its own: Φ(signal/√noise)^r."""
    assert exchangeable(signal, noise, noise, others) == pytest.approx(
        ndtr(signal / np.sqrt(noise)) ** others, abs=1e-9
    )


@given(signals, st.floats(0.01, 4), shares, many, st.floats(0.5, 2))
def test_scale_and_monotonicity(signal, noise, share, others, factor):
    found = exchangeable(signal, noise, share * noise, others)
    assert 0 <= found <= 1 + 1e-12
    scaled = exchangeable(factor * signal, factor**2 * noise, factor**2 * share * noise, others)
    assert scaled == pytest.approx(found, abs=1e-12)
    assert exchangeable(signal + 0.1, noise, share * noise, others) >= found
    assert exchangeable(signal, noise, share * noise, others + 1) <= found


def test_against_draws():
    rng = np.random.default_rng(0)
    signal, noise, own, others, size = 1.1, 0.8, 0.3, 6, 400_000
    wrong = np.sqrt(noise) * rng.standard_normal((size, others))
    right = signal + np.sqrt(noise - own) * rng.standard_normal(size)
    share = (right > wrong.max(axis=1)).mean()
    assert exchangeable(signal, noise, own, others) == pytest.approx(share, abs=4 * np.sqrt(share * (1 - share) / size))


def test_arrays_broadcast():
    signal, others = np.linspace(-1, 1, 5)[:, None], np.array([1.0, 3, 9])
    found = exchangeable(signal, 0.5, 0.1, others)
    assert found.shape == (5, 3)
    assert found[3, 1] == exchangeable(signal[3, 0], 0.5, 0.1, 3)


# --- any covariance --------------------------------------------------------------------------------


def exact(mean: np.ndarray, covariance: np.ndarray, right: int) -> float:
    """P(every difference of the right score and another is positive)."""
    differences = np.delete(np.eye(len(mean))[right] - np.eye(len(mean)), right, axis=0)
    inside = differences @ covariance @ differences.T
    return float(multivariate_normal(np.zeros(len(inside)), inside).cdf(differences @ mean))


@pytest.mark.parametrize("classes", [2, 3])
def test_unlike_scores_against_the_normal_law(classes):
    rng = np.random.default_rng(1)
    means, roots = rng.standard_normal((20, classes)), rng.standard_normal((20, classes, classes))
    right = rng.integers(classes, size=20)
    covariance = roots @ np.swapaxes(roots, 1, 2)
    found = unlike(means, covariance, right)
    expected = [exact(*one) for one in zip(means, covariance, right, strict=True)]
    # Exact along each of 2,048 directions.
    np.testing.assert_allclose(found, expected, atol=5e-3)


@pytest.mark.parametrize("classes", [2, 3, 7, 20])
def test_unlike_scores_of_classes_that_are_alike(classes):
    signal, noise = 1.2, 0.7
    mean = signal * np.eye(classes)[0]
    found = unlike(mean[None], noise * np.eye(classes)[None], np.array([0]))
    assert found[0] == pytest.approx(exchangeable(signal, noise, 0.0, classes - 1), abs=0.005)


def test_probabilities_of_all_classes_sum_to_one():
    rng = np.random.default_rng(2)
    root = rng.standard_normal((4, 4))
    found = unlike(np.tile(rng.standard_normal(4), (4, 1)), np.tile(root @ root.T, (4, 1, 1)), np.arange(4))
    assert found.sum() == pytest.approx(1, abs=1e-12)


def test_negative_eigenvalues_count_as_none():
    """A covariance with rounding errors is one without."""
    covariance = np.diag([1.0, 0.0, 0.0])
    one = unlike(np.array([[0.3, 0, -1]]), covariance[None], np.array([0]))
    other = unlike(np.array([[0.3, 0, -1]]), (covariance - np.diag([0, 1e-12, 0]))[None], np.array([0]))
    assert one == other
    assert one[0] == pytest.approx(ndtr(0.3), abs=1e-3)


# --- along fixed directions -------------------------------------------------------------------------


@given(st.floats(-5, 5), st.floats(0.01, 5))
def test_two_scores_have_a_closed_form(lead, spread):
    found = largest(np.array([lead, 0.0]), np.array([[spread], [0.0]]), 0, directions(1, 64))
    assert found == pytest.approx(ndtr(lead / spread), abs=1e-12)


def test_equal_scores_are_each_the_largest_equally_often():
    along = directions(5, 4096)
    found = [largest(np.zeros(5), np.eye(5), c, along) for c in range(5)]
    assert found == pytest.approx([0.2] * 5, abs=3e-3)


@pytest.mark.parametrize(("classes", "rank"), [(3, 2), (10, 9), (10, 3)])
def test_it_agrees_with_sampling(classes, rank):
    generator = np.random.default_rng(0)
    mean, factor = generator.standard_normal(classes), generator.standard_normal((classes, rank))
    mean[2] += 2
    scores = mean + generator.standard_normal((200_000, rank)) @ factor.T
    along = directions(rank, 4096)
    chances = [largest(mean, factor, c, along) for c in range(classes)]
    counted = np.bincount(scores.argmax(axis=1), minlength=classes) / len(scores)
    assert chances == pytest.approx(counted, abs=0.005)
    assert sum(chances) == pytest.approx(1, abs=1e-9)  # every ray is shared out among the classes


def test_without_noise_the_mean_decides():
    along = directions(2, 64)
    assert largest(np.array([1.0, 0.0]), np.zeros((2, 2)), 0, along) == 1
    assert largest(np.array([1.0, 0.0]), np.zeros((2, 2)), 1, along) == 0


def test_next_to_no_noise_is_none():
    """The lead is so many spreads wide that its square is no number."""
    along = directions(2, 64)
    assert largest(np.array([1.0, 0.0]), 1e-200 * np.eye(2), 0, along) == 1
    assert largest(np.array([1.0, 0.0]), 1e-200 * np.eye(2), 1, along) == 0
