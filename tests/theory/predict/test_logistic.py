"""Logistic regression on rows of a mixture: each step against a naive one, the fit against scikit-learn's."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression

from theory.checks import ParameterError
from theory.params import GraphParameters
from theory.predict import answers, evaluate, logistic, orthant, predict
from theory.predict.chain import accuracy
from theory.predict.probe import scores
from theory.predict.remedies import three_levels
from theory.predict.rows import Rows
from theory.simulate import least_squares
from theory.simulate import logistic as fitted

GRAPH = GraphParameters(0.6, 0.3, 0.4, 40, 3, 10, "block")


def mixture(sizes, classes, spread, lengths):
    """Types whose means point the same way; ``sizes`` are nodes of a type in a class."""
    counts, along = np.array(sizes, dtype=float), np.array(lengths)
    shares = counts / counts.sum()
    means = np.outer(along, along)
    return Rows(
        shares[None], np.array([spread]), means[None], np.array([classes - 1.0]), np.array([counts.sum() * classes])
    )


def draw(rows, sizes, dim, rng):
    """Rows as eigenvectors would give them: orthonormal columns; their classes and types."""
    classes = int(rows.copies[0]) + 1
    lengths = np.sqrt(np.diag(rows.means[0]))
    directions = np.linalg.qr(rng.standard_normal((dim, classes)))[0].T * np.sqrt(classes)
    directions -= directions.mean(axis=0)
    labels = np.repeat(np.tile(np.arange(classes), len(sizes)), np.repeat(sizes, classes))
    types = np.repeat(np.arange(len(sizes)), np.array(sizes) * classes)
    noise = rng.standard_normal((len(labels), dim)) * np.sqrt(rows.spread[0, types])[:, None]
    x = directions[labels] * lengths[types][:, None] + noise
    return np.linalg.svd(x, full_matrices=False)[0], labels, types


def choose(labels, types, labelled):
    """The first rows of every type and class."""
    train = np.zeros(len(labels), dtype=bool)
    for kind, label in np.ndindex(len(labelled), int(labels.max()) + 1):
        train[np.flatnonzero((types == kind) & (labels == label))[: labelled[kind]]] = True
    return train


def simulated(rows, sizes, labelled, dim, draws):
    """Accuracy by draw, probe (logistic, least squares) and type."""
    found = []
    for seed in range(draws):
        x, labels, types = draw(rows, sizes, dim, np.random.default_rng(seed))
        train = choose(labels, types, labelled)
        right = [probe(x, labels, train) == labels for probe in (fitted, least_squares)]
        found.append([[part[~train & (types == kind)].mean() for kind in range(len(sizes))] for part in right])
    return np.array(found)


def expected(rows, labelled, dim, ridge=1.0):
    found = logistic.logits(rows, labelled[None], np.array([dim]), np.array([ridge]))
    others = rows.copies[:, None]
    return orthant.exchangeable(found.signal, found.noise, np.zeros_like(found.noise), others)[0]


# --- steps -----------------------------------------------------------------------------------------


@given(
    st.integers(2, 6).flatmap(lambda n: st.lists(st.floats(-30, 30), min_size=n, max_size=n)),
    st.floats(1e-3, 1e3),
    st.floats(-60, 1000),
)
@settings(max_examples=100, deadline=None)
def test_the_proximal_point_is_stationary_from_every_start(logits, step, start):
    h, v = np.array(logits), np.array(step)
    for begin in (None, np.array(start)):
        p, _ = logistic.proximal(h, v, right=1, start=begin)
        z = h + v * ((np.arange(len(h)) == 1) - p)
        np.testing.assert_allclose(softmax(z), p, atol=1e-5 * max(1, step) ** 0.5)


def test_averages_are_those_of_naive_loops_and_finite_differences():
    rng = np.random.default_rng(0)
    given_, step = 2 * rng.standard_normal((2, 30, 4)), np.array([0.3, 5.0])
    p, _ = logistic.proximal(given_, step[:, None])
    found = logistic.averages(p, given_, step)
    signal = np.array([1.0, 0, 0, 0]) - 1 / 4
    directions = np.linalg.qr(np.c_[np.ones(4), np.eye(4)[:, :3]])[0][:, 1:].T

    def g(h, t):
        probabilities, _ = logistic.proximal(h, step[t], start=None)
        return np.array([1.0, 0, 0, 0]) - probabilities

    for t in range(2):
        each = np.array([g(h, t) for h in given_[t]])
        mean = each.mean(axis=0) @ signal / (signal @ signal)
        slope, fall = 0.0, 0.0
        for h in given_[t]:
            for u in directions:
                slope -= u @ (g(h + 1e-4 * u, t) - g(h - 1e-4 * u, t)) / 2e-4 / 3 / 30
            unit = signal / np.linalg.norm(signal)
            fall -= unit @ (g(h + 1e-4 * unit, t) - g(h - 1e-4 * unit, t)) / 2e-4 / 30
        np.testing.assert_allclose(found.mean[t], mean, rtol=1e-5)
        np.testing.assert_allclose(found.square[t], (each**2).sum() / 30 / 3, rtol=1e-5)
        np.testing.assert_allclose(found.along[t], (each * given_[t]).sum() / 30 / 3, rtol=1e-5)
        np.testing.assert_allclose(found.slope[t], slope, rtol=1e-3)
        np.testing.assert_allclose(found.fall[t], fall, rtol=1e-3)


# --- the fit ---------------------------------------------------------------------------------------

CASES = {
    "few columns": ((60, 60), (30, 30), 3, 8, (0.8, 1.2), (0.9, 0.6)),
    "two classes": ((100, 50), (60, 30), 2, 60, (1.0, 1.0), (0.7, 0.7)),
    "many columns": ((40, 40), (25, 25), 6, 90, (1.0, 1.0), (0.9, 0.7)),
    "few labels": ((80,), (6,), 6, 8, (1.0,), (1.2,)),
    "more columns than half of the labels": ((80, 20), (28, 7), 3, 60, (0.9, 1.4), (1.5, 1.0)),
}


@pytest.mark.parametrize("name", CASES)
def test_accuracy_is_that_of_scikit_learn_on_the_mixture(name):
    sizes, labelled, classes, dim, spread, lengths = CASES[name]
    rows = mixture(sizes, classes, spread, lengths)
    measured = simulated(rows, sizes, labelled, dim, 60)[:, 0]
    error = measured.std(axis=0, ddof=1) / np.sqrt(len(measured))
    predicted = expected(rows, np.array(labelled) * float(classes), dim)
    np.testing.assert_array_less(np.abs(measured.mean(axis=0) - predicted), 3 * error + 0.005)


@pytest.mark.parametrize(("classes", "dim"), [(2, 100), (3, 60)])
def test_logits_are_those_of_scikit_learn(classes, dim):
    """Of two classes its ridge is on the difference of their coefficients: half as much would show."""
    rows = mixture((120,), classes, (1.0,), (1.0,))
    signals, noises = [], []
    for seed in range(30):
        x, labels, types = draw(rows, (120,), dim, np.random.default_rng(seed))
        train = choose(labels, types, (80,))
        x = (x - x[train].mean(axis=0)) / x[train].std(axis=0)
        found = LogisticRegression(max_iter=1000).fit(x[train], labels[train]).decision_function(x[~train])
        found = np.stack([-found / 2, found / 2], axis=1) if classes == 2 else found
        centred, right = found - found.mean(axis=1, keepdims=True), np.eye(classes)[labels[~train]] - 1 / classes
        signals.append((centred * right).sum(axis=1).mean() * classes / (classes - 1))
        noises.append(((centred - signals[-1] * right) ** 2).sum() / len(right) / (classes - 1))
    expectation = logistic.logits(rows, np.array([[80.0 * classes]]), np.array([float(dim)]), np.ones(1))
    error = np.std(signals, ddof=1) / np.sqrt(len(signals))
    assert expectation.signal.item() == pytest.approx(np.mean(signals), abs=3 * error)
    assert expectation.noise.item() == pytest.approx(np.mean(noises), rel=0.1)


def test_least_squares_would_be_points_better_where_logits_overfit():
    sizes, labelled, classes, dim, *_ = CASES["many columns"]
    rows = mixture(*[CASES["many columns"][i] for i in (0, 2, 4, 5)])
    measured = simulated(rows, sizes, labelled, dim, 20).mean(axis=(0, 2))
    counts = np.array([labelled]) * float(classes)
    found = scores(rows, counts, np.array([float(dim)]), np.zeros(1))
    gain = answers.alike(found, rows.copies).mean() - expected(rows, counts[0], dim).mean()
    assert gain > 0.02
    assert measured[1] - measured[0] == pytest.approx(gain, abs=0.015)


def test_the_strongest_ridge_gives_what_it_gives_least_squares():
    rows, labelled = mixture((200, 100), 3, (0.8, 1.4), (0.8, 0.6)), np.array([[180.0, 90.0]])
    found = scores(rows, labelled, np.array([80.0]), np.array([1e4]))
    strongest = expected(rows, labelled[0], 80, 1e7)
    np.testing.assert_allclose(strongest, answers.alike(found, rows.copies)[0], atol=3e-3, rtol=0)
    assert (strongest - expected(rows, labelled[0], 80)).min() > 0.01


def test_types_that_are_alike_are_one():
    two, one = mixture((30, 50), 4, (1.0, 1.0), (0.8, 0.8)), mixture((80,), 4, (1.0,), (0.8,))
    split = expected(two, np.array([60.0, 100.0]), 30)
    np.testing.assert_allclose(split, np.repeat(expected(one, np.array([160.0]), 30), 2), rtol=1e-4)


def test_the_scale_of_the_rows_does_not_matter():
    rows, labelled = mixture((30, 50), 4, (0.7, 1.3), (0.8, 0.5)), np.array([60.0, 100.0])
    larger = rows._replace(spread=9 * rows.spread, means=9 * rows.means)
    np.testing.assert_allclose(expected(larger, labelled, 30), expected(rows, labelled, 30), rtol=1e-4)


@pytest.mark.parametrize(("length", "right"), [(0.0, 1 / 5), (1e3, 1.0)])
def test_without_means_it_guesses_and_far_apart_it_is_right(length, right):
    rows = mixture((40, 20), 5, (1.0, 1.0), (length, length))
    np.testing.assert_allclose(expected(rows, np.array([100.0, 50.0]), 20), right, atol=1e-6)


# --- graphs ----------------------------------------------------------------------------------------


def test_a_graph_is_predicted_one_at_a_time_or_many():
    one = predict(GRAPH, 1.0, 12, probe="logistic")
    dims = np.array([3, 12])
    many = evaluate(0.6, 0.3, 0.4, 40, 3, 10, dims, 1.0, probe="logistic")
    np.testing.assert_allclose([many[name][1] for name in many], one, rtol=1e-9)
    assert one == predict(GRAPH, 1.0, 12, ridge=1.0, probe="logistic") != predict(GRAPH, 1.0, 12)
    assert predict(GRAPH, 1.0, 12) == predict(GRAPH, 1.0, 12, ridge=0.0, probe="least_squares")


def test_without_noise_or_signal_it_is_certain_or_guesses():
    assert predict(GRAPH, 0.0, 3, probe="logistic").accuracy == pytest.approx(1)
    assert predict(GRAPH, 60.0, 12, probe="logistic").accuracy == pytest.approx(1 / 3, abs=0.01)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"probe": "logit"}, "probe = logit violates one of least_squares, logistic"),
        ({"probe": "logistic", "ridge": 0.0}, "ridge = 0 violates 0 < ridge <= 1e+50"),
        ({"probe": "logistic", "ridge": np.nan}, "ridge = nan violates 0 < ridge <= 1e+50"),
        ({"ridge": -1.0}, "ridge = -1 violates 0 <= ridge <= 1e+50"),
    ],
)
def test_bad_input_is_named(options, message):
    with pytest.raises(ParameterError, match=re.escape(message)):
        predict(GRAPH, 1.0, 12, **options)
    with pytest.raises(ParameterError, match=re.escape(message)):
        evaluate(0.6, 0.3, 0.4, 40, 3, 10, 12, 1.0, **options)


def test_classes_that_differ_have_no_logistic_prediction():
    s = three_levels(GRAPH, 1.0).now
    with pytest.raises(ParameterError, match="probe = logistic violates least_squares where classes are not alike"):
        accuracy(s, 12, s.totals / 2, classes=np.array([0, 1]), probe="logistic")
