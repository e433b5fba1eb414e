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
    with mock.patch.object(answers.orthant, "drawn") as law:
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
