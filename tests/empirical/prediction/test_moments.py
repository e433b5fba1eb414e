import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from empirical.data import features as module
from empirical.data.features import Features
from empirical.prediction.moments import measure_moments
from tests.empirical.prediction.worlds import gaussian
from theory.checks import ParameterError


def naive(x, labels):
    """Counts, means and pooled covariance, sample by sample."""
    classes = int(labels.max()) + 1
    means = [np.mean([row for row, c in zip(x, labels, strict=True) if c == k], axis=0) for k in range(classes)]
    within = sum(np.outer(row - means[c], row - means[c]) for row, c in zip(x, labels, strict=True))
    return np.bincount(labels), np.array(means), within / (len(x) - classes)


@pytest.mark.parametrize("values", [1 << 24, 60, 7])
def test_moments_equal_the_loop_however_the_rows_are_cut(values, monkeypatch):
    monkeypatch.setattr(module, "CHUNK_VALUES", values)
    x, labels = gaussian(width=5, per_class=[7, 2, 20, 11])
    order = np.random.default_rng(0).permutation(len(x))
    x, labels = x[order], labels[order]
    found = measure_moments(Features(x), labels)
    counts, means, within = naive(x, labels)
    assert found.counts.tolist() == counts.tolist()
    assert found.means + found.origin == pytest.approx(means, abs=1e-12)
    assert found.within == pytest.approx(within, abs=1e-12)
    assert found.variances == pytest.approx(x.var(axis=0), abs=1e-12)
    assert (found.samples, found.freedom) == (40, 36)


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e3))
def test_a_shift_leaves_the_covariance_and_a_scale_squares_it(shift, scale):
    x, labels = gaussian(width=3, per_class=5)
    moved = measure_moments(Features(x * scale + shift), labels).within
    assert moved == pytest.approx(measure_moments(Features(x), labels).within * scale**2, rel=1e-5, abs=1e-8)


def test_large_means_of_single_precision_do_not_swallow_the_variance():
    x, labels = gaussian(width=3, per_class=200)
    x = (x + 3000).astype(np.float32)
    found = measure_moments(Features(x), labels)
    assert found.within == pytest.approx(naive(x.astype(np.float64), labels)[2], rel=1e-9, abs=1e-9)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.zeros(6, dtype=int), "labels = 1 class violates at least two classes"),
        (np.array([0, 0, 0, 1, 1, 2]), "labels = a class of 1 sample violates at least two samples in every class"),
        (np.array([0, 1]), "labels = 2 labels violates one for each of 6 rows"),
    ],
)
def test_labels_that_do_not_do(labels, message):
    with pytest.raises(ParameterError, match=message):
        measure_moments(Features(np.eye(6)), labels)


def test_a_row_that_is_not_finite_is_named():
    x, labels = gaussian(width=3, per_class=3)
    x[7, 1] = np.nan
    with pytest.raises(ParameterError, match="features: row 7 is NaN or infinite"):
        measure_moments(Features(x), labels)
