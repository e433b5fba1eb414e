"""The scores of new rows: their law and how often they are right, against probes on drawn rows."""

from dataclasses import replace
from unittest import mock

import numpy as np
import pytest

from tests.theory.predict.simulated import (
    Mixture,
    accuracies,
    labelled,
    least_squares,
    mean,
    mixture,
    nodes,
)
from tests.theory.predict.test_probe import as_rows
from theory.params import GraphParameters
from theory.predict import answers
from theory.predict.chain import accuracy
from theory.predict.probe import Scores, scores
from theory.predict.rows import Rows
from theory.predict.structure import make
from theory.predict.worlds import _apart, problem
from theory.worlds import synthetic

MIXTURES = {
    "one type": mixture([50], 4, [[0.5]], [1.0], 30),
    "two types": mixture([40, 20], 4, [[0.7, 0.3], [0.3, 0.25]], [0.8, 1.4], 30),
    "three types": mixture([30, 20, 10], 3, [[0.5, 0.2, 0.1], [0.2, 0.4, 0.1], [0.1, 0.1, 0.2]], [1.3, 0.8, 0.5], 20),
    "two classes": mixture([60, 60], 2, [[0.4, 0.1], [0.1, 0.2]], [1.5, 0.5], 25),
    "strong means": mixture([40, 20], 4, [[4.0, 2.0], [2.0, 2.0]], [0.8, 1.4], 30),
}
DRAWS = 400


def of(m: Mixture, ridge: float = 0.0) -> Scores:
    return scores(as_rows(m), 0.5 * m.s.totals, np.array([float(m.dim)]), np.array([ridge]))


# --- classes that are alike ------------------------------------------------------------------------


@pytest.mark.parametrize("ridge", [0.0, 0.5])
@pytest.mark.parametrize("name", MIXTURES)
def test_law_of_the_scores(name, ridge):
    """Signal and variances, in units in which the probe's scores of C classes are multiplied by √C."""
    m = MIXTURES[name]
    classes, types = nodes(m.s)
    number = classes.max() + 1
    means = m.means()
    groups = [np.flatnonzero((types == t) & (classes == 0))[0] for t in range(len(m.spread))]
    with mock.patch.object(answers.orthant, "exchangeable") as law:
        answers.alike(of(m, ridge), m.s.copies[:, -1])
    signal, noise, own, others = (np.broadcast_to(part, (1, len(groups)))[0] for part in law.call_args.args)
    assert (others == number - 1).all()

    def one(seed: int) -> np.ndarray:
        rng = np.random.default_rng([seed, 11])
        x, chosen = m.draw(rng), labelled(m.s, 0.5, rng)
        new = means[groups] + np.sqrt(m.spread)[:, None] * rng.standard_normal((len(groups), m.dim))
        found = np.sqrt(number) * least_squares(x, classes, chosen, ridge * (x.T @ x)).scores(new)
        right = found[:, 0] - found[:, 1:].mean(axis=1)
        wrong = found[:, 1:].var(axis=1, ddof=1) if number > 2 else np.zeros(len(groups))
        return np.array([right, (right - signal) ** 2, wrong])

    drawn = mean(one(seed) for seed in range(DRAWS))
    # The mean of r wrong scores has 1/r of their variance.
    expected = np.array([signal, noise - own + noise / others, noise * (number > 2)])
    drawn.check(expected, 0.03 * np.abs(expected))


@pytest.mark.parametrize("ridge", [0.0, 0.5])
@pytest.mark.parametrize("name", MIXTURES)
def test_accuracy_of_probes_on_drawn_rows(name, ridge):
    m = MIXTURES[name]
    expected = answers.alike(of(m, ridge), m.s.copies[:, -1])[0]
    classes, types = nodes(m.s)

    def right(seed: int) -> np.ndarray:
        rng = np.random.default_rng([seed, 12])
        x, chosen = m.draw(rng), labelled(m.s, 0.5, rng)
        correct = least_squares(x, classes, chosen, ridge * (x.T @ x)).scores(x).argmax(axis=1) == classes
        return np.array([correct[~chosen & (types == t)].mean() for t in range(len(m.spread))])

    mean(right(seed) for seed in range(DRAWS // 2)).check(expected, 0.005)


def scattered(m: Mixture, share: float, draws: int) -> np.ndarray:
    """Mean rows' scores without the intercept, and the intercept's part, times √C; shape (draws, C + 1, T, C).

    Each class in turn is the first, the right one; the last of the C + 1 is the intercept's.
    """
    classes, types = nodes(m.s)
    means, number = m.means(), classes.max() + 1
    groups = [[np.flatnonzero((types == t) & (classes == c))[0] for t in range(len(m.spread))] for c in range(number)]
    found = []
    for seed in range(draws):
        rng = np.random.default_rng([seed, 17])
        x, chosen = m.draw(rng), labelled(m.s, share, rng)
        probe = least_squares(x, classes, chosen)
        own = [np.roll(means[groups[c]] @ probe.coefficients, -c, axis=1) for c in range(number)]
        centre = (probe.centre - means[chosen].mean(axis=0)) @ probe.coefficients
        found.append([*own, np.broadcast_to(centre, own[0].shape)])
    return np.sqrt(number) * np.array(found)


@pytest.mark.parametrize("name", ["two types", "three types", "strong means"])
def test_scatter_of_the_mean_score(name):
    """Of the right score against the mean of the others, and among the others, without a new row's own variance."""
    m, share, draws = MIXTURES[name], 0.3, 2000
    found = scores(as_rows(m), share * m.s.totals, np.array([float(m.dim)]), np.zeros(1))
    with mock.patch.object(answers.orthant, "exchangeable") as law:
        answers.alike(found._replace(length=0 * found.length), m.s.copies[:, -1])
    _, noise, own, others = (np.broadcast_to(part, (1, len(m.spread)))[0] for part in law.call_args.args)
    number = int(others[0]) + 1
    drawn = scattered(m, share, draws)
    rows, intercept = drawn[:, :number], drawn[:, number, 0]
    contrast = rows[..., 0] - rows[..., 1:].mean(axis=-1)
    right = ((contrast - contrast.mean(axis=(0, 1))) ** 2).mean(axis=1)
    wrong = rows[..., 1:].var(axis=-1, ddof=1).mean(axis=1)
    # Four standard errors; the next order is 1/(labels − k) times a few.
    mean(right).check(noise - own + noise / others, 0.06 * noise)
    mean(wrong).check(noise, 0.05 * noise)
    mean(wrong * (1 + 1 / others) - right).check(own, 0.02 * noise)
    # The intercept's part is the same for all types.
    centre = (intercept - intercept.mean(axis=1, keepdims=True)) ** 2
    expected = found.length.sum() * answers._centre(found)[0, 0]
    mean(centre.sum(axis=1) / (number - 1)).check(expected, 0.05 * expected)


def test_scatter_matters_where_labels_are_few():
    """Without the scatter of the mean score the prediction is too good."""
    m = MIXTURES["strong means"]
    found = of(m)
    mean_scores = found._replace(influence=0 * found.influence, curvature=0 * found.curvature)
    right = answers.alike(found, m.s.copies[:, -1]), answers.alike(mean_scores, m.s.copies[:, -1])
    assert (right[0] < right[1]).all()


# --- classes of their own --------------------------------------------------------------------------

SIZES = np.array([60, 40, 30, 20])  # two groups of the first class
CLASSES = np.array([0, 0, 1, 2])
POINTS = np.array([[1.0, 0, 0.2], [0.5, 0.3, 0], [-0.2, 0.9, 0], [-0.3, -0.4, 1.1]])
SPREAD = np.array([0.8, 1.2, 1.0, 1.3])
DIM = 20


def groups() -> tuple[Rows, np.ndarray, np.ndarray]:
    """A mixture of groups, the type of every node, and the means about their average."""
    shares = SIZES / SIZES.sum()
    points = np.zeros((4, DIM))
    points[:, :3] = POINTS - shares @ POINTS
    s = make(SIZES[None].astype(float), np.ones((1, 1)), np.ones((1, 1, 4)), np.zeros((1, 1, 4, 4)), 1.0)
    return Rows(shares[None], SPREAD[None], (points @ points.T)[None], np.ones(1), s.nodes), nodes(s).types, points


def halves(types: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    chosen = np.zeros(len(types), dtype=bool)
    for t in range(4):
        chosen[rng.permutation(np.flatnonzero(types == t))[: SIZES[t] // 2]] = True
    return chosen


def test_law_of_the_scores_of_groups():
    rows, types, points = groups()
    found = scores(rows, SIZES[None] / 2, np.array([float(DIM)]), np.zeros(1))
    with mock.patch.object(answers.orthant, "unlike") as law:
        answers.apart(found, CLASSES)
    center, covariance, right = (part[0] for part in law.call_args.args)
    np.testing.assert_array_equal(right, CLASSES)

    def one(seed: int) -> np.ndarray:
        rng = np.random.default_rng([seed, 13])
        x = points[types] + np.sqrt(SPREAD[types])[:, None] * rng.standard_normal((len(types), DIM))
        new = points + np.sqrt(SPREAD)[:, None] * rng.standard_normal((4, DIM))
        answer = least_squares(x, CLASSES[types], halves(types, rng)).scores(new)
        deviation = answer - center
        return np.concatenate([answer[..., None], deviation[..., None] * deviation[:, None, :]], axis=2)

    drawn = mean(one(seed) for seed in range(1500))
    expected = np.concatenate([center[..., None], covariance], axis=2)
    size = np.concatenate(
        [np.ones((4, 3, 1)), np.ones((4, 3, 3)) * np.trace(covariance, axis1=1, axis2=2)[:, None, None] / 3], 2
    )
    drawn.check(expected, 0.03 * size)


def test_scatter_of_the_mean_score_of_groups():
    """Of a group's mean row without the intercept, and without a new row's own variance."""
    rows, types, points = groups()
    found = scores(rows, SIZES[None] / 2, np.array([float(DIM)]), np.zeros(1))
    one_hot = np.eye(3)[CLASSES]
    labels = one_hot - SIZES @ one_hot / SIZES.sum()
    center = (found.response @ labels)[0]
    expected = answers._scatter(found, labels[None], (labels - center)[None])[0]

    def one(seed: int) -> np.ndarray:
        rng = np.random.default_rng([seed, 18])
        x = points[types] + np.sqrt(SPREAD[types])[:, None] * rng.standard_normal((len(types), DIM))
        return points @ least_squares(x, CLASSES[types], halves(types, rng)).coefficients

    drawn = np.array([one(seed) for seed in range(3000)])
    deviation = drawn - drawn.mean(axis=0)
    size = np.trace(expected, axis1=1, axis2=2)[:, None, None] / 3
    mean(deviation[..., None] * deviation[:, :, None, :]).check(expected, 0.05 * size)


@pytest.mark.parametrize("share", [0.25, 0.4, 0.7])
def test_scatter_of_one_type_in_closed_form(share):
    """With μ the signal and κ = k/n, by the fluctuations of a random projection and of the means on it."""
    m = mixture([25_000], 4, [[1.5]], [1.0], 20_000)
    count = share * 100_000
    found = scores(as_rows(m), share * m.s.totals, np.array([20_000.0]), np.zeros(1))
    with mock.patch.object(answers.orthant, "exchangeable") as law:
        answers.alike(found._replace(length=0 * found.length), m.s.copies[:, -1])
    _, noise, own, _ = (float(np.ravel(part)[0]) for part in law.call_args.args)
    mu, kappa = found.response.item(), 20_000 / count
    product = mu * (1 - mu)
    assert noise == pytest.approx(3 * product * (1 - (1 - kappa) * product) / (count - 20_000), rel=1e-2)
    assert own == pytest.approx(4 * product**2 / count, rel=1e-2)


def test_scatter_of_groups_is_that_of_types():
    """The scatter of classes that are alike, from that of groups: contrasts of the right score and among the wrong."""
    m = MIXTURES["strong means"]
    found, number, count = of(m), 4, 2
    one = np.kron(np.eye(number) - 1 / number, np.ones((count, count))) * number
    tiled = {name: one * np.tile(getattr(found, name)[0], (number, number)) for name in ("influence", "curvature")}
    each = found._replace(
        influence=tiled["influence"][None],
        curvature=tiled["curvature"][None],
        spread=np.tile(found.spread, number),
        counts=np.tile(found.counts, number) / number,
        mass=np.tile(found.mass, number) / number,
    )
    labels = np.repeat(np.eye(number) - 1 / number, count, axis=0)
    missing = (1 - found.response.sum(axis=2)[0])[np.tile(np.arange(count), number), None] * labels
    scatter = number * answers._scatter(each, labels[None], missing[None])[0, :count]
    with mock.patch.object(answers.orthant, "exchangeable") as law:
        answers.alike(found._replace(length=0 * found.length), m.s.copies[:, -1])
    _, noise, own, _ = (np.broadcast_to(part, (1, count))[0] for part in law.call_args.args)
    among, against = np.array([0, 1, -1, 0]) / np.sqrt(2), np.array([1, -1 / 3, -1 / 3, -1 / 3])
    np.testing.assert_allclose(among @ scatter @ among, noise, rtol=1e-9)
    np.testing.assert_allclose(against @ scatter @ against, noise - own + noise / 3, rtol=1e-9)


def test_accuracy_of_probes_on_drawn_groups():
    rows, types, points = groups()
    expected = answers.apart(scores(rows, SIZES[None] / 2, np.array([float(DIM)]), np.zeros(1)), CLASSES)[0]
    shares = SIZES / SIZES.sum()

    def draw(rng: np.random.Generator) -> np.ndarray:
        return points[types] + np.sqrt(SPREAD[types])[:, None] * rng.standard_normal((len(types), DIM))

    drawn = accuracies(draw, CLASSES[types], types, lambda rng: halves(types, rng), 400)
    drawn.check(np.r_[shares @ expected, expected], 0.01)


# --- both ------------------------------------------------------------------------------------------

GRAPH = GraphParameters(0.5, 0.1, 0.155, samples_per_class=40, classes=4, difficult=12)


@pytest.mark.parametrize("epsilon", [0.4, 0.7, 1.0])
@pytest.mark.parametrize("pairing", ["block", "any", "clean"])
def test_classes_that_are_alike_may_be_told_apart(pairing, epsilon):
    """The same graph with every group a type of its own: within the error of the quasi-random draws."""
    gamma = 0.118 if pairing == "any" else GRAPH.gamma
    world = synthetic(replace(GRAPH, gamma=gamma, pairing=pairing))
    alike, apart = problem(world, epsilon), _apart(world, epsilon, 0.0)
    assert alike.classes is None
    one, other = (
        accuracy(grouped.problem.now, 12, 0.5 * grouped.problem.now.totals, classes=grouped.classes)
        for grouped in (alike, apart)
    )
    assert other.mean == pytest.approx(one.mean, abs=0.01)
    difficult = apart.problem.difficult
    types = alike.problem.difficult
    for kind in (False, True):
        mine, theirs = one.by_type[0, types == kind], other.by_type[0, difficult == kind]
        assert len(theirs) == 4 * len(mine)
        np.testing.assert_allclose(theirs, mine[0], atol=0.015)
