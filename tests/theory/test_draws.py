"""Drawn graphs: their expectation, and whether they stay in the theory's domain."""

from dataclasses import replace

import numpy as np
import pytest

from tests.theory.graphs import REFERENCE
from theory.channel import Channel
from theory.checks import ParameterError
from theory.draws import Noise, is_positive_semidefinite, negative_share, population
from theory.params import GraphParameters
from theory.spectrum import largest_gamma
from theory.worlds import add_noise, synthetic

BLOCK = replace(REFERENCE, pairing="block")
LARGE = replace(BLOCK, alpha=0.5, beta=0.2, difficult=6)
LARGE = replace(LARGE, gamma=0.98 * largest_gamma(LARGE))  # where all difficult samples are a natural datum, too
MATCHED = GraphParameters(0.5, 0.1, 0.3, samples_per_class=5, classes=3, difficult=3, pairing="matched")
CLEAN = replace(BLOCK, difficult=0)
ANY = GraphParameters(0.5, 0.1, 0.16, samples_per_class=5, classes=3, difficult=2, pairing="any")
GRAPHS = {"block": BLOCK, "large": LARGE, "matched": MATCHED, "clean": CLEAN, "any": ANY}


def sums(values):
    """Largest distance of the mean from 0 in standard errors."""
    return np.abs(values.mean(axis=0)) / (values.std(axis=0, ddof=1) / np.sqrt(len(values)) + 1e-6)


@pytest.mark.parametrize("p", GRAPHS.values(), ids=GRAPHS)
@pytest.mark.parametrize(("kind", "draws"), [("channel", 3000), ("wishart", 50)])
def test_the_expectation_is_the_graph(p, kind, draws):
    world, noise = synthetic(p), Noise(kind, draws=draws)
    for clean in (False, True):
        drawn = np.array([noise.weights(world, seed, clean) for seed in range(200)], dtype=float)
        assert sums(drawn - population(world, clean)).max() < 5
        # The test sees an error of a few per cent in the weights: the graph's mean over all pairs is that well known.
        totals = drawn.mean(axis=(1, 2))
        assert totals.std() / np.sqrt(200) < 0.02 * totals.mean()


@pytest.mark.parametrize("p", GRAPHS.values(), ids=GRAPHS)
def test_densities_are_those_of_the_views(p):
    channel = Channel(p)
    assert (p is LARGE) == ("all_difficult" in [kind.name for kind in channel.kinds])
    data = channel.draw(40, np.random.default_rng(0))
    expected = channel.densities(data)
    np.testing.assert_allclose(expected.sum(axis=1), 1)
    repeated = type(data)(*(np.repeat(column, 2000, axis=0) for column in data))
    views = channel.augment(repeated, np.random.default_rng(1)).reshape(40, 2000)
    counts = np.array([np.bincount(row, minlength=p.nodes) for row in views])
    assert not counts[expected == 0].any()
    assert (np.abs(counts - 2000 * expected) <= 5.5 * np.sqrt(2000 * expected) + 1e-9).all()


@pytest.mark.parametrize("p", [BLOCK, ANY])
def test_the_channel_graph_is_the_mean_of_outer_products(p):
    world, channel = synthetic(p), Channel(p)
    data = channel.draw(500, np.random.default_rng([7, 4]))
    expected = np.zeros((p.nodes, p.nodes))
    for density in channel.densities(data):
        expected += np.outer(density, density) / 500
    expected *= population(world).sum(dtype=float)
    np.testing.assert_allclose(Noise("channel", draws=500).weights(world, 7), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("draws", [3, 40, 5000])
@pytest.mark.parametrize("p", GRAPHS.values(), ids=GRAPHS)
def test_a_sampled_channel_is_always_in_the_domain(p, draws):
    drawn = Noise("channel", draws=draws).weights(synthetic(p), 0)
    assert drawn.min() >= 0
    assert negative_share(drawn) == 0
    assert is_positive_semidefinite(drawn)
    np.testing.assert_array_equal(drawn, drawn.T)


def test_wishart_has_the_stated_variance_and_few_negative_weights():
    world, draws = synthetic(BLOCK), 60
    a = population(world).astype(float)
    drawn = np.array([Noise("wishart", draws=draws).weights(world, seed) for seed in range(600)], dtype=float)
    variance = (a**2 + np.outer(a.diagonal(), a.diagonal())) / draws
    np.testing.assert_allclose(drawn.var(axis=0) / variance, 1, atol=0.35)  # 6 standard errors
    assert np.mean(drawn.var(axis=0) / variance) == pytest.approx(1, abs=0.02)
    shares = [negative_share(Noise("wishart", draws=count).weights(world, 0)) for count in (5, 20, 2000)]
    assert shares[0] > shares[1] > shares[2] == 0
    assert is_positive_semidefinite(Noise("wishart", draws=5).weights(world, 0))  # of rank 5


def test_wigner_noise_is_that_of_the_worlds_and_leaves_the_domain():
    world = synthetic(BLOCK)
    expected = population(world)
    add_noise(expected, 0.3, 4, 0.5)
    drawn = Noise("wigner", 0.3, 0.5).weights(world, 4)
    np.testing.assert_array_equal(drawn, expected)
    across = world.labels[:, None] != world.labels
    assert (drawn[across] < 0).mean() == pytest.approx(negative_share(drawn) * (24 * 23) / across.sum(), rel=0.3)
    assert not is_positive_semidefinite(drawn)
    assert is_positive_semidefinite(population(world))


def test_negative_share_and_sign_of_the_smallest_eigenvalue():
    matrix = np.array([[1, -0.5, 0], [-0.5, 1, 2], [0, 2, 1]])
    assert negative_share(matrix) == pytest.approx(2 / 6)
    assert not is_positive_semidefinite(matrix)
    assert is_positive_semidefinite(matrix[:2, :2])
    assert negative_share(-np.eye(2)) == 0  # the diagonal does not count


def test_equal_seeds_and_graphs_share_their_noise():
    world = synthetic(BLOCK)
    for noise in (Noise("channel", draws=200), Noise("wishart", draws=50)):
        first = noise.weights(world, 1)
        first += 1  # a caller's own
        np.testing.assert_array_equal(noise.weights(world, 1), noise.weights(synthetic(BLOCK), 1))
        assert (noise.weights(world, 1) != noise.weights(world, 2)).any()
        shared = (noise.weights(world, 1) - population(world)).ravel()
        clean = (noise.weights(world, 1, clean=True) - population(world, clean=True)).ravel()
        other = (noise.weights(world, 2, clean=True) - population(world, clean=True)).ravel()
        assert np.corrcoef(shared, clean)[0, 1] > max(0.3, np.corrcoef(shared, other)[0, 1])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "loud"}, "noise = loud violates one of wigner, channel, wishart"),
        ({"kind": "channel"}, "draws = None"),
        ({"kind": "wishart", "draws": 0}, "draws = 0"),
        ({"kind": "wishart", "draws": 3, "epsilon": 0.1}, "epsilon = 0.1 violates 0 with the noise wishart"),
        ({"draws": 3}, "draws = 3 violates no value with the noise wigner"),
        ({"epsilon": -1.0}, "epsilon = -1"),
    ],
)
def test_bad_noise(options, message):
    with pytest.raises(ParameterError, match=message):
        Noise(**options)


def test_only_the_paper_world_has_a_known_channel():
    noise = Noise("channel", draws=10)
    with pytest.raises(ParameterError, match="with the noise channel"):
        noise.weights(synthetic(BLOCK, "graded"), 0)
    undecided = GraphParameters(0.136, 0, 0.1, samples_per_class=9, classes=5, difficult=1, pairing="any")
    with pytest.raises(ParameterError, match=r"gamma = 0\.1 violates a non-negative factor .* undecided"):
        noise.weights(synthetic(undecided), 0)


@pytest.mark.parametrize("kind", ["channel", "wishart"])
def test_a_sample_is_in_64_bits_and_has_no_more_directions_than_draws(kind):
    drawn = Noise(kind, draws=6).weights(synthetic(MATCHED), 0)
    assert drawn.dtype == np.float64
    values = np.abs(np.linalg.eigvalsh(drawn))
    assert (values > 1e-13 * drawn.sum()).sum() <= 6


def test_independent_entries_are_in_32_bits():
    assert Noise("wigner", 0.3).weights(synthetic(MATCHED), 0).dtype == np.float32
