import numpy as np
import pytest

from empirical.data.features import Features
from empirical.prediction.moments import measure_moments
from empirical.prediction.resolvent import Resolvent, centred, diagonalise, resolvent

CLASSES, WIDTH = 4, 30
SPREAD = np.linspace(0.3, 2.0, WIDTH)
MEANS = np.random.default_rng(3).standard_normal((CLASSES, WIDTH))
MEANS -= MEANS.mean(axis=0)


def moments(per_class, seed):
    labels = np.repeat(np.arange(CLASSES), per_class)
    noise = np.random.default_rng(seed).standard_normal((len(labels), WIDTH)) * np.sqrt(SPREAD)
    return measure_moments(Features(MEANS[labels] + noise), labels)


def unscaled(found):
    """The basis without the standardisation, so that the population is known exactly."""
    values, vectors = np.linalg.eigh(found.within)
    basis = diagonalise(found)
    means = (found.means - found.means.mean(axis=0)) @ vectors
    return type(basis)(basis.origin, vectors, values, means, (), 0, False)


@pytest.mark.parametrize("shift", [0.0, 0.4])
def test_products_and_traces_are_those_of_the_population(shift):
    """Means over samples of 60 rows in 30 dimensions: a plain plug-in is twice as large."""
    wanted, found, plain = [], [], []
    for seed in range(200):
        sample = moments(15, seed)
        r = Resolvent(unscaled(sample), sample.freedom, sample.counts, shift)
        first, second = r.products()
        population = 1 / (SPREAD + r.ridge)
        true = (MEANS * population) @ MEANS.T, (MEANS * population**2 * SPREAD) @ MEANS.T
        traces = (population * SPREAD).sum(), ((population * SPREAD) ** 2).sum()
        wanted.append([np.trace(true[0]), true[0][0, 1], np.trace(true[1]), true[1][0, 1], *traces])
        counted = r.dimensions, r.squared_dimensions
        found.append([np.trace(first), first[0, 1], np.trace(second), second[0, 1], *counted])
        plain.append(np.trace((r.basis.means * r.diagonal) @ r.basis.means.T))
    wanted, found = np.array(wanted), np.array(found)
    error = 4 * found.std(axis=0) / np.sqrt(len(found)) + 0.03 * np.abs(wanted.mean(axis=0))  # O(1/N) is left
    assert (np.abs(found.mean(axis=0) - wanted.mean(axis=0)) <= error).all()
    assert np.mean(plain) > 1.3 * wanted[:, 0].mean()


def test_without_ridge_both_products_are_the_papers_gram_matrix():
    """G = (1 − κ)H − d·P·diag(1/n)·P."""
    sample = moments(40, 0)
    r = Resolvent(unscaled(sample), sample.freedom, sample.counts, 0.0)
    m = sample.means - sample.means.mean(axis=0)
    gram = (1 - WIDTH / 156) * m @ np.linalg.solve(sample.within, m.T) - WIDTH / 40 * (np.eye(CLASSES) - 1 / CLASSES)
    for product in r.products():
        assert product == pytest.approx(gram)
    assert (r.dimensions, r.squared_dimensions, r.ridge) == pytest.approx((WIDTH, WIDTH, 0))


@pytest.mark.parametrize("labels", [2, 5, 20])
def test_the_shift_gives_the_ridge_of_a_probe_with_fewer_labels(labels):
    """λ*·(1 − tr(ΣR)/(n − C)) is the probe's ridge; and its resolvent on average is R over (1 − tr(ΣR)/(n − C))."""
    sample = moments(400, 1)
    freedom, penalty = CLASSES * (labels - 1), 0.5
    r = resolvent(unscaled(sample), sample, freedom, penalty)
    kept = 1 - r.dimensions / freedom
    assert r.ridge * kept == pytest.approx(penalty)
    inverse = []
    for seed in range(200):
        few = moments(labels, seed + 1000)
        inverse.append(np.linalg.inv(few.within + penalty * np.eye(WIDTH)).diagonal())
    assert np.mean(inverse, axis=0) == pytest.approx(1 / (SPREAD + r.ridge) / kept, rel=0.12)


def test_errors_of_means_about_their_mean():
    generator = np.random.default_rng(0)
    variances = np.array([1.0, 0.5, 0.1])
    errors = generator.standard_normal((200_000, 3)) * np.sqrt(variances)
    errors -= errors.mean(axis=1, keepdims=True)
    assert centred(variances) == pytest.approx(errors.T @ errors / len(errors), abs=0.01)
    assert centred(np.full(3, 2.0)) == pytest.approx(2 * (np.eye(3) - 1 / 3))


def test_dropped_columns_and_directions_are_counted_and_named():
    generator = np.random.default_rng(0)
    x, labels = generator.standard_normal((60, 5)), np.arange(60) % 3
    x[:, 1] = 4.0
    x[:, 4] = x[:, 0] - 2 * x[:, 2]
    basis = diagonalise(measure_moments(Features(x), labels))
    assert (basis.constant, basis.null, basis.separating) == ((1,), 1, False)
    assert len(basis.variances) == 3
    x[:, 4] = labels
    basis = diagonalise(measure_moments(Features(x), labels))
    assert (basis.constant, basis.null, basis.separating) == ((1,), 1, True)
