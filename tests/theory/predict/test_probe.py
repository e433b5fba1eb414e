"""Least squares on rows of a mixture, against least squares on drawn rows."""

import numpy as np
import pytest
from scipy.optimize import root

from tests.theory.predict.simulated import Mixture, labelled, least_squares, mean, mixture, nodes, units
from theory.predict.probe import Fit, Sample, fit, scores, slopes
from theory.predict.rows import Rows

MIXTURES = {
    "one type": mixture([50], 4, [[2.0]], [1.0], 30),
    "two types": mixture([40, 20], 4, [[3.0, 1.2], [1.2, 1.0]], [0.8, 1.4], 30),
    "three types": mixture([30, 20, 10], 3, [[2.0, 1.0, 0.3], [1.0, 1.5, 0.5], [0.3, 0.5, 0.6]], [1.3, 0.8, 0.5], 20),
    "two classes": mixture([60, 60], 2, [[1.0, 0.2], [0.2, 0.5]], [1.5, 0.5], 25),
}
DRAWS = 300


def as_rows(m: Mixture) -> Rows:
    s = m.s
    return Rows(s.totals / s.nodes, m.spread[None], m.products[None] / s.copies.sum(), s.copies[:, -1], s.nodes)


def sample(m: Mixture, weights: list[float] | None = None) -> Sample:
    own = np.ones_like(m.spread) if weights is None else np.array(weights)
    one = as_rows(m)
    return Sample(m.s.totals, own[None], one.spread, one.means, one.copies, np.array([float(m.dim)]))


# --- the equivalents -------------------------------------------------------------------------------


@pytest.mark.parametrize("weighed", [False, True], ids=["", "weighed"])
@pytest.mark.parametrize("name", MIXTURES)
def test_equivalents_of_drawn_rows(name, weighed):
    """Of (Σ a·xxᵀ)⁻¹: its value 1/τ in directions without a mean, its trace δ; and what a fit leaves of labels."""
    m = MIXTURES[name]
    weights = np.array([2.0, 0.5, 1.0][: len(m.spread)] if weighed else [1.0] * len(m.spread))
    found = fit(sample(m, list(weights)))
    types, directions = nodes(m.s).types, units(m.s)[-1]
    root_weight = np.sqrt(weights)[types][:, None]

    def one(seed: int) -> np.ndarray:
        x = root_weight * m.draw(np.random.default_rng([seed, 9]))
        inverse = np.linalg.inv(x.T @ x)
        rest = directions @ (directions.T - x @ (inverse @ (x.T @ directions.T)))
        return np.r_[np.diag(inverse)[-5:].mean(), np.trace(inverse), rest.ravel()]

    drawn = mean(one(seed) for seed in range(DRAWS))
    expected = np.r_[1 / found.tau, found.delta, found.residual.ravel()]
    # Four standard errors; the next order is 1/(rows − k).
    drawn.check(expected, 3 / (m.s.nodes[0] - m.dim) * np.abs(expected))


def test_without_means_the_known_law():
    """(XᵀX)⁻¹ of N standard normal rows is 1/(N − k − 1) in the mean: of the limit 1/(N − k)."""
    m = mixture([500], 4, [[0.0]], [2.0], 300)
    found = fit(sample(m))
    assert found.tau == pytest.approx(2 * (2000 - 300))
    assert found.delta == pytest.approx(300 / found.tau)
    np.testing.assert_allclose(found.residual, 1 - 300 / 2000)


def naive(given: Sample, ridge: float) -> Fit:
    """The two equations and a ridge, by a general solver."""
    counts, weights, spread, means = (part[0] for part in given[:4])
    r, dim, weighed = given.copies[0], given.dim[0], weights * spread
    roots = np.sqrt(counts * weights)

    def equations(logs: np.ndarray) -> np.ndarray:
        tau, delta = np.exp(logs)
        slack = 1 + weighed * delta
        kept = np.diag(np.linalg.inv(np.diag(slack) + means * np.outer(roots, roots) / tau))
        first = ridge + sum(a * ((n - r) / d + r * k) for a, n, d, k in zip(weighed, counts, slack, kept) if n > 0)  # noqa: B905
        second = dim - sum(r * (1 - d * k) for n, d, k in zip(counts, slack, kept) if n > 0)  # noqa: B905
        return np.array([first / tau - 1, second / (tau * delta) - 1])

    start = np.log([counts.sum() - dim, dim / (counts.sum() - dim)])
    tau, delta = np.exp(root(equations, start, tol=1e-13).x)
    slack = 1 + weighed * delta
    residual = np.linalg.inv(np.diag(slack) + means * np.outer(roots, roots) / tau)
    return Fit(np.array([tau]), np.array([delta]), slack[None], residual[None])


@pytest.mark.parametrize("weights", [None, [2.0, 0.5, 1.0]])
@pytest.mark.parametrize("name", MIXTURES)
def test_slope_is_the_difference_by_a_ridge(name, weights):
    m = MIXTURES[name]
    given = sample(m, None if weights is None else weights[: len(m.spread)])
    found = fit(given)
    for one, other in zip(found, naive(given, 0.0), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-8, atol=1e-10)
    step = 1e-4 * found.tau[0]
    above, below = naive(given, step), naive(given, -step)
    by_ridge = slopes(given, found)
    for name in ("tau", "delta", "residual"):
        difference = (getattr(above, name) - getattr(below, name)) / (2 * step)
        np.testing.assert_allclose(getattr(by_ridge, name), difference, rtol=1e-4, atol=1e-8 / found.tau[0])


def test_a_type_without_rows_changes_nothing():
    m = MIXTURES["two types"]
    given = sample(m)
    padded = Sample(
        np.c_[given.counts, 0.0],
        np.c_[given.weights, 1.0],
        np.c_[given.spread, 1.7],
        np.pad(given.means, ((0, 0), (0, 1), (0, 1))),
        given.copies,
        given.dim,
    )
    one, other = fit(given), fit(padded)
    np.testing.assert_allclose(one.tau, other.tau)
    np.testing.assert_allclose(one.delta, other.delta)
    np.testing.assert_allclose(one.residual, other.residual[:, :2, :2])
    np.testing.assert_allclose(slopes(given, one).residual, slopes(padded, other).residual[:, :2, :2])


def test_two_halves_of_a_type_are_the_type():
    """Splitting rows into two types that are alike leaves the equivalents as they are."""
    whole = sample(mixture([60], 4, [[2.0]], [1.3], 30))
    parts = sample(mixture([20, 40], 4, [[2.0, 2.0], [2.0, 2.0]], [1.3, 1.3], 30))
    one, other = fit(whole), fit(parts)
    np.testing.assert_allclose(one.tau, other.tau, rtol=1e-6)
    np.testing.assert_allclose(one.delta, other.delta, rtol=1e-6)
    direction = np.sqrt([1 / 3, 2 / 3])
    np.testing.assert_allclose(direction @ other.residual[0] @ direction, one.residual[0, 0, 0], rtol=1e-6)


# --- the probe -------------------------------------------------------------------------------------


@pytest.mark.parametrize("ridge", [0.0, 0.05, 1.0])
@pytest.mark.parametrize("name", MIXTURES)
def test_answers_of_probes_on_drawn_rows(name, ridge):
    """Mean score of a group's mean row, and squared length of the coefficients.

    Trained on half of the rows, with the ridge on columns that are orthonormal over all of them.
    """
    m = MIXTURES[name]
    share, number = 0.5, int(m.s.copies[0].sum())
    found = scores(as_rows(m), share * m.s.totals, np.array([float(m.dim)]), np.array([ridge]))
    classes, types = nodes(m.s)
    means = m.means()
    groups = [np.flatnonzero((types == t) & (classes == 0))[0] for t in range(len(m.spread))]

    def one(seed: int) -> np.ndarray:
        rng = np.random.default_rng([seed, 10])
        x, chosen = m.draw(rng), labelled(m.s, share, rng)
        probe = least_squares(x, classes, chosen, ridge * (x.T @ x))
        answers = means[groups] @ probe.coefficients  # of class 0: (1 − 1/C) and −1/C times the response
        response = answers[:, 0] - answers[:, 1:].mean(axis=1)
        lengths = (probe.coefficients**2).sum()  # r/C times
        return np.r_[response, lengths * number / (number - 1)]

    drawn = mean(one(seed) for seed in range(DRAWS))
    expected = np.r_[found.response[0].sum(axis=1), found.length[0].sum()]
    assert (np.abs(drawn.value - expected) < 0.5 * np.abs(expected)).all()
    # Four standard errors; the next order is 1/(labels − k).
    drawn.check(expected, 3 / (share * m.s.nodes[0] - m.dim) * np.abs(expected))
    np.testing.assert_allclose(found.counts[0], share * m.s.totals[0] * (1 - 1 / (share * m.s.nodes[0])))


@pytest.mark.parametrize("name", MIXTURES)
def test_little_ridge_is_continuous(name):
    m = MIXTURES[name]
    without, little = (
        scores(as_rows(m), 0.5 * m.s.totals, np.array([float(m.dim)]), np.array([ridge])) for ridge in (0.0, 1e-7)
    )
    for one, other in zip(without, little, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-9)


def test_many_probes_at_once():
    m = MIXTURES["two types"]
    rows = Rows(*(np.repeat(part, 3, axis=0) for part in as_rows(m)))
    labels, dims, ridges = np.array([[80.0, 40], [40, 20], [60, 20]]), np.array([30.0, 20, 30]), np.array([0, 0.1, 2.0])
    together = scores(rows, labels, dims, ridges)
    for index in range(3):
        part = slice(index, index + 1)
        alone = scores(Rows(*(column[part] for column in rows)), labels[part], dims[part], ridges[part])
        for one, many in zip(alone, together, strict=True):
            np.testing.assert_allclose(many[part], one, rtol=1e-9)
