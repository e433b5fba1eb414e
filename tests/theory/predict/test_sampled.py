"""Predictions on sampled graphs: every step against a simulation of exactly that step, or a known case."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.linalg import eigh

from theory.augmentation import natural_data
from theory.channel import Channel
from theory.checks import ParameterError
from theory.draws import Noise
from theory.params import GraphParameters
from theory.predict.covariance import shares, shifted, wishart
from theory.predict.resolvent import capture
from theory.predict.sampled import drawn, held_right, predict_sampled
from theory.predict.structure import of_graph
from theory.worlds import synthetic

WEAK = GraphParameters(0.6, 0.59, 0.594, samples_per_class=40, classes=3, difficult=16, pairing="block")
MATCHED = GraphParameters(0.5, 0.2, 0.4, samples_per_class=30, classes=2, difficult=12, pairing="matched")
BLOCK = GraphParameters(0.5, 0.2, 0.22, samples_per_class=30, classes=4, difficult=10, pairing="block")
TOGETHER = replace(BLOCK, gamma=0.26)  # where easy samples augment into difficult ones, too
ROUNDING = 1e-8


def standard_errors(values, expected):
    values = np.asarray(values, dtype=float)
    return abs(values.mean(axis=0) - expected) / (values.std(axis=0, ddof=1) / np.sqrt(len(values)) + 1e-12)


def normalised(weights):
    degrees = weights.sum(axis=1)
    return weights / np.sqrt(np.outer(degrees, degrees)), degrees


def simulated(p, noise, dim, labelled_share, seeds):
    """Accuracy of least squares on nodes without a label: all, easy, difficult; shape (seeds, 3)."""
    world = synthetic(p)
    one_hot, found = np.eye(p.classes)[world.labels], []
    for seed in range(seeds):
        matrix, degrees = normalised(noise.weights(world, seed).astype(float))
        rows = eigh(matrix, subset_by_index=(p.nodes - dim, p.nodes - 1))[1] / np.sqrt(degrees)[:, None]
        rng, labelled = np.random.default_rng([seed, 9]), np.zeros(p.nodes, dtype=bool)
        for label in range(p.classes):
            for hard in (False, True):
                nodes = np.flatnonzero((world.labels == label) & (world.difficult == hard))
                labelled[rng.permutation(nodes)[: round(labelled_share * len(nodes))]] = True
        centre, mean = rows[labelled].mean(axis=0), one_hot[labelled].mean(axis=0)
        fit = np.linalg.lstsq(rows[labelled] - centre, one_hot[labelled] - mean, rcond=ROUNDING)[0]
        right = ((rows - centre) @ fit + mean).argmax(axis=1) == world.labels
        parts = (~labelled, ~labelled & ~world.difficult, ~labelled & world.difficult)
        found.append([right[part].mean() for part in parts])
    return np.array(found)


# --- the sample covariance -------------------------------------------------------------------------


def test_equal_eigenvalues_give_marchenko_and_pasturs_law():
    z = np.array([[0.5 + 1e-3j, 1.0 + 1e-4j, 3.0 + 0.2j, 10 + 1j]])
    for share in (0.2, 1.0, 4.0):
        u = shifted(np.array([[1.0]]), np.array([[share * 50]]), np.array([50.0]), z)
        root = np.sqrt((z - share - 1) ** 2 - 4 * share + 0j)  # u² + (c − 1 − z)·u + z = 0
        candidates = np.stack([(z + 1 - share + root) / 2, (z + 1 - share - root) / 2])
        expected = np.where(candidates[0].imag > candidates[1].imag, *candidates)
        np.testing.assert_allclose(u, expected, rtol=1e-8)


def test_a_single_large_eigenvalue_is_held_as_the_spiked_model_says():
    nodes, draws, spike = 1e6, 2e6, 4.0
    ratio = nodes / draws
    top = spike * (1 + ratio / (spike - 1))
    edge = (1 + np.sqrt(ratio)) ** 2
    values, many = np.array([[spike, 1.0]]), np.array([[1.0, nodes - 1]])
    held = shares(values, many, np.array([draws]), np.array([(top + edge) / 2]), np.array([2 * top]))
    expected = (1 - ratio / (spike - 1) ** 2) / (1 + ratio / (spike - 1))
    assert held[0, 0] == pytest.approx(expected, abs=1e-4)
    assert (held * many).sum() == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("p", [WEAK, MATCHED], ids=["block", "matched"])
def test_what_a_sample_covariance_holds(p):
    draws, dim, world = 150, 25, synthetic(p)
    s = of_graph(p, 0.0)
    found = wishart(s, np.array([float(dim)]), np.array([float(draws)]))
    hard, matrices = world.difficult, []
    contrast = np.linalg.qr(np.c_[np.ones(p.classes), np.eye(p.classes)[:, 1:]])[0][:, 1:][world.labels]
    bases = [contrast * part[:, None] / np.sqrt(part.sum() / p.classes) for part in (~hard, hard)]
    for seed in range(60):
        weights = Noise("wishart", draws=draws).weights(world, seed)
        degrees = p.weights.matrix(p).sum(axis=1)
        matrix = weights / np.sqrt(np.outer(degrees, degrees))
        vectors = eigh(matrix, subset_by_index=(p.nodes - dim, p.nodes - 1))[1]
        spaces = [[np.sum((vectors.T @ a) * (vectors.T @ b)) / p.r for b in bases] for a in bases]
        matrices.append([*np.ravel(spaces), (vectors[hard] ** 2).sum()])
    expected = np.r_[found.spaces[0, 1].ravel(), found.held[0, 1]]
    assert found.held.sum() == pytest.approx(dim, abs=1e-3)
    assert (standard_errors(matrices, expected) < 5).all()
    np.testing.assert_allclose(np.mean(matrices, axis=0), expected, rtol=0.06, atol=0.006)


def test_many_draws_are_the_graph_itself():
    s, dim = of_graph(WEAK, 0.0), np.array([3.0])
    many, exact = wishart(s, dim, np.array([1e9])), capture(s, dim)
    np.testing.assert_allclose(many.spaces, exact.spaces, atol=1e-4)
    np.testing.assert_allclose(many.held, exact.held, atol=1e-3)


@pytest.mark.parametrize("dim", [5, 30])
def test_the_accuracy_on_a_sample_covariance(dim):
    noise, seeds = Noise("wishart", draws=400), 60
    measured = simulated(WEAK, noise, dim, 0.5, seeds)
    predicted = predict_sampled(WEAK, noise, dim)
    error = measured[:, 0].std(ddof=1) / np.sqrt(seeds)
    assert 0.5 < measured[:, 0].mean() < 0.95
    assert predicted.accuracy == pytest.approx(measured[:, 0].mean(), abs=0.02 + 2 * error)


# --- the channel -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("p", "draws"), [(MATCHED, 1500), (BLOCK, 2500), (TOGETHER, 700)], ids=["matched", "block", "h"]
)
def test_the_drawn_data_are_counted(p, draws):
    channel, expected = Channel(p), drawn(p, draws)
    names = [kind.name for kind in channel.kinds]
    ranks, classes, alone = [], [], []
    for seed in range(40):
        data = channel.draw(draws, np.random.default_rng(seed))
        views = channel.densities(data)
        values, vectors = np.linalg.eigh(views.T @ views)
        held = vectors[:, values > 1e-9 * values.max()]
        ranks.append(held.shape[1])
        classes.append(sum((data.kind == i).sum() for i, name in enumerate(names) if name.startswith("class")))
        own = (held**2).sum(axis=1) > 1 - 1e-6  # the graph has the direction of the node alone
        hard = np.arange(p.nodes) % p.n < p.n_d
        alone.append([own[~hard].mean(), own[hard].mean()])
    assert standard_errors(classes, expected.classes * p.classes) < 5
    np.testing.assert_allclose(np.mean(alone, axis=0), expected.alone, rtol=0.25, atol=0.01)
    assert np.mean(ranks) == pytest.approx(expected.directions, rel=0.05)


@pytest.mark.parametrize(("held", "deviation"), [(0.3, 0.0), (4.0, 0.0), (4.0, 0.02), (1.0, 0.2)])
@pytest.mark.parametrize("others", [1, 4])
def test_the_class_at_the_origin(held, deviation, others):
    nodes, rng, size = 80, np.random.default_rng(3), 40_000
    counts = rng.poisson(held, (size, others + 1))
    lead = np.log(nodes - counts) + deviation * rng.standard_normal(counts.shape)
    lead += 1e-9 * rng.standard_normal(counts.shape)  # ties
    winner = lead.argmax(axis=1)
    expected = counts[np.arange(size), winner].sum() / counts.sum()
    assert held_right(held, nodes, deviation, others) == pytest.approx(expected, abs=0.07)


@pytest.mark.parametrize(("p", "draws"), [(MATCHED, 500), (BLOCK, 900)], ids=["matched", "block"])
def test_the_accuracy_on_a_channel(p, draws):
    expected = drawn(p, draws)
    dim = round(expected.directions + 3 * expected.spread)
    noise, seeds = Noise("channel", draws=draws), 60
    measured = simulated(p, noise, dim, 0.5, seeds)
    predicted = predict_sampled(p, noise, dim)
    assert measured[:, 0].mean() < 0.985
    errors = measured.std(axis=0, ddof=1) / np.sqrt(seeds)
    for value, mean, error in zip(predicted[:3], measured.mean(axis=0), errors, strict=True):
        assert value == pytest.approx(mean, abs=0.006 + 3 * error)


def test_parts_that_there_are_not_have_no_accuracy():
    clean = replace(BLOCK, difficult=0)
    assert predict_sampled(clean, Noise("channel", draws=900), 50).difficult is None
    assert predict_sampled(clean, Noise("wishart", draws=2500), 30).difficult is None


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"noise": Noise("wigner", 0.1)}, "noise"),
        ({"dim": 3}, "dim"),
        ({"dim": 59}, "dim"),
        ({"dim": 5}, "dim"),  # not all of the data that are drawn
        ({"labels_per_class": 1}, "labels_per_class"),
        ({"labels_per_class": 30}, "labels_per_class"),
        ({"ridge": 0.1}, "ridge"),
        ({"ridge": -1.0, "noise": Noise("wishart", draws=500)}, "ridge"),
        ({"noise": Noise("channel", draws=20)}, "draws"),
        ({"noise": Noise("channel", draws=9000)}, "draws"),
        ({"noise": Noise("wishart", draws=40)}, "draws"),
        ({"p": replace(BLOCK, gamma=0.45)}, "gamma"),
    ],
)
def test_bad_input_is_named(changes, name):
    given = {"p": BLOCK, "noise": Noise("channel", draws=900), "dim": 50} | changes
    predict_sampled(BLOCK, Noise("channel", draws=900), 50)
    with pytest.raises(ParameterError) as error:
        predict_sampled(**given)
    assert error.value.name == name
    assert natural_data(BLOCK)
