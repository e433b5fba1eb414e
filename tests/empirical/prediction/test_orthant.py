import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ndtr

from empirical.prediction.orthant import directions, largest


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
