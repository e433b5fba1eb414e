"""Problems of the less regular worlds, against their dense matrices and simulations."""

from dataclasses import replace

import numpy as np
import pytest

from tests.theory.predict.simulated import STANDARD_ERRORS, Mean, least_squares, mean
from theory.checks import ParameterError
from theory.params import GraphParameters
from theory.predict.chain import accuracy
from theory.predict.remedies import three_levels, treated
from theory.predict.structure import Structure
from theory.predict.worlds import BINS, Grouped, problem
from theory.worlds import STRUCTURES, World, synthetic

GRAPH = GraphParameters(0.5, 0.1, 0.16, samples_per_class=40, classes=4, difficult=10)
APART = ("confusable", "imbalanced")


def weights(world: World, clean: bool = False) -> np.ndarray:
    every = np.arange(world.nodes)
    return (world.clean_rows if clean else world.rows)(every, every).astype(np.float64)


def types(world: World, grouped: Grouped) -> np.ndarray:
    """Type of every node: the number of its bin of samples, or of its group."""
    counts = grouped.problem.now.counts[0].astype(int)
    if grouped.classes is None:
        return np.repeat(np.arange(len(counts)), counts)[world.samples]
    found = np.empty(world.nodes, dtype=int)
    order = np.lexsort((world.closeness > 0, world.labels))
    found[order] = np.repeat(np.arange(len(counts)), counts)
    return found


def between(matrix: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> float:
    return float(matrix[np.ix_(rows, columns)].mean())


def check_levels(world: World, grouped: Grouped, s: Structure, dense: np.ndarray, rtol: float) -> None:
    """Levels are averages of the pairs of two types: within a class and across, or of two groups."""
    group, copies = types(world, grouped), s.copies[0].sum()
    off = dense - np.diag(np.diag(dense))
    for t in range(s.counts.shape[1]):
        for u in range(s.counts.shape[1]):
            first, second = group == t, group == u
            if grouped.classes is not None:
                pairs = first.sum() * second.sum() - (t == u) * first.sum()
                if pairs:
                    average = off[np.ix_(first, second)].sum() / pairs
                    assert s.levels[0, 0, t, u] == pytest.approx(average, rel=rtol)
                continue
            same, other = world.labels == 0, world.labels == 1
            across = between(dense, first & same, second & other)
            if world.parameters.pairing == "matched" and t == u:  # less the bridges, which ``own`` has
                partner = np.diag(dense[np.ix_(first & same, second & other)]).mean()
                across -= (partner - world.parameters.beta) / (first & same).sum()
            np.testing.assert_allclose(
                s.levels[0, :, t, u],
                [world.parameters.alpha + (copies - 1) * across, world.parameters.alpha - across],
                rtol=rtol,
            )


PREDICTED = [(s, pairing) for s in STRUCTURES for pairing in ("block", "any", "matched")]
PREDICTED = [case for case in PREDICTED if case not in [(s, "matched") for s in APART]]


@pytest.mark.parametrize(("structure", "pairing"), PREDICTED)
def test_levels_and_degrees_are_averages_of_the_dense_matrix(structure, pairing):
    gamma = 0.12 if pairing == "any" else 0.16
    world = synthetic(replace(GRAPH, gamma=gamma, pairing=pairing), structure)
    grouped = problem(world, 0.3)
    group = types(world, grouped)
    for s, clean in ((grouped.problem.now, False), (grouped.problem.clean, True)):
        dense = weights(world, clean)
        check_levels(world, grouped, s, dense, 1e-5)
        assert s.totals.sum() == world.nodes
        for t in range(s.counts.shape[1]):
            assert s.totals[0, t] == (group == t).sum()
            assert s.degrees[0, t] == pytest.approx(dense[group == t].sum(axis=1).mean(), rel=1e-5)


@pytest.mark.parametrize("pairing", ["block", "any", "matched"])
def test_three_levels_are_the_graph_s(pairing):
    p = replace(GRAPH, gamma=0.115, pairing=pairing)
    grouped, expected = problem(synthetic(p), 0.3, 0.2), three_levels(p, 0.3, 0.2)
    assert grouped.classes is None
    for remedy in ("nothing", "clean", "margin", "temperature_unweighted", "removal"):
        one, other = treated(grouped.problem, remedy), treated(expected, remedy)
        for name in ("counts", "degrees", "row_degrees"):  # a world's difficult samples come first
            np.testing.assert_allclose(getattr(one, name)[:, ::-1], getattr(other, name), rtol=1e-12)
        np.testing.assert_allclose(one.own[..., ::-1], other.own, rtol=1e-12)
        for name in ("levels", "variance"):
            np.testing.assert_allclose(getattr(one, name)[..., ::-1, ::-1], getattr(other, name), rtol=1e-12)
    np.testing.assert_array_equal(grouped.problem.difficult, [True, False])


def test_bins_of_a_graded_class():
    """Alike inside, and whole: no bin has difficult and easy samples, or more than a share of the fall."""
    world = synthetic(GRAPH, "graded")
    grouped = problem(world, 0.3)
    group = types(world, grouped)
    own = world.labels == 0
    assert 2 < len(grouped.problem.difficult) <= BINS + 1
    closeness = world.closeness[own]
    for t, difficult in enumerate(grouped.problem.difficult):
        inside = group[own] == t
        assert (world.difficult[own][inside] == difficult).all()
        step = np.abs(np.diff(closeness)).max()
        assert np.ptp(closeness[inside]) <= np.ptp(closeness) / BINS + step
    assert (grouped.problem.now.counts[0] @ grouped.problem.difficult) == world.difficult[own].sum()


@pytest.mark.parametrize("structure", STRUCTURES)
def test_variance_under_temperatures(structure):
    """Squares of clean over now, averaged over the nodes of a type."""
    world = synthetic(GRAPH, structure)
    grouped = problem(world, 0.3)
    group, squares = types(world, grouped), (weights(world, clean=True) / weights(world)) ** 2
    for t in range(grouped.problem.ratios.shape[1]):
        for u in range(grouped.problem.ratios.shape[1]):
            assert grouped.problem.ratios[0, t, u] == pytest.approx(between(squares, group == t, group == u), rel=1e-5)


@pytest.mark.parametrize("structure", STRUCTURES)
def test_several_levels_of_noise(structure):
    grouped = problem(synthetic(GRAPH, structure), np.array([0.2, 0.4, 0.8]))
    s = grouped.problem.now
    np.testing.assert_allclose(s.variance[:, 0, 0], [0.04, 0.16, 0.64])
    found = accuracy(s, np.array([10.0, 10, 12]), 0.5 * s.totals, classes=grouped.classes)
    assert found.mean.shape == (3,)
    assert (np.diff(found.mean) < 0.003).all()


@pytest.mark.parametrize("structure", APART)
def test_bridges_of_many_kinds_are_refused(structure):
    world = synthetic(replace(GRAPH, pairing="matched"), structure)
    with pytest.raises(ParameterError, match=f"pairing = matched violates block, any or clean .*{structure}"):
        problem(world, 0.3)


@pytest.mark.parametrize("structure", STRUCTURES)
def test_a_world_without_difficult_nodes(structure):
    for p in (replace(GRAPH, difficult=0), replace(GRAPH, gamma=0.1), replace(GRAPH, pairing="clean")):
        grouped = problem(synthetic(p, structure), 0.3)
        now, clean = grouped.problem.now, grouped.problem.clean
        np.testing.assert_allclose(now.levels, clean.levels)
        assert (grouped.problem.ratios == 1).all()
        found = accuracy(now, 10, 0.5 * now.totals, classes=grouped.classes)
        assert np.isfinite(found.mean).all()


# --- simulations -----------------------------------------------------------------------------------

CASES = {
    "graded": (GraphParameters(0.4, 0.1, 0.17, 40, 4, 14), 0.7, 8),
    "confusable": (GraphParameters(0.4, 0.1, 0.16, 40, 4, 12), 0.7, 8),
    "imbalanced": (GraphParameters(0.5, 0.1, 0.13, 80, 4, 20), 0.7, 10),
}


def simulated(world: World, grouped: Grouped, epsilon: float, dim: int, remedy: str) -> Mean:
    """Accuracy of all nodes without a label, and by class."""
    now, clean, group = weights(world), weights(world, clean=True), types(world, grouped)
    codes = group if grouped.classes is not None else group + (group.max() + 1) * world.labels
    root, target = np.sqrt(now.sum(axis=1)), np.sqrt(clean.sum(axis=1))

    def one(seed: int) -> np.ndarray:
        rng = np.random.default_rng([seed, 15])
        upper = np.triu(rng.standard_normal(now.shape), 1)
        matrix = (now + epsilon * (upper + upper.T)) / np.outer(root, root)
        if remedy == "margin":
            matrix -= now / np.outer(root, root) - clean / np.outer(target, target)
        features = np.linalg.eigh(matrix)[1][:, -dim:] / root[:, None]
        train = np.zeros(world.nodes, dtype=bool)
        for code in range(codes.max() + 1):
            inside = rng.permutation(np.flatnonzero(codes == code))
            train[inside[: (len(inside) + rng.integers(2)) // 2]] = True
        found = []
        for chosen in (train, ~train):
            right = least_squares(features, world.labels, chosen).scores(features).argmax(axis=1) == world.labels
            found.append([right[~chosen].mean(), *(right[~chosen & (world.labels == c)].mean() for c in range(4))])
        return np.mean(found, axis=0)

    return mean(one(seed) for seed in range(80))


@pytest.mark.parametrize("remedy", ["nothing", "margin"])
@pytest.mark.parametrize("structure", CASES)
def test_simulated_worlds(structure, remedy):
    """Of all, four standard errors and a point; by class, with a class of 10 nodes, the theory errs by more."""
    p, epsilon, dim = CASES[structure]
    world = synthetic(p, structure)
    grouped = problem(world, epsilon)
    s = treated(grouped.problem, remedy)
    found = accuracy(s, dim, 0.5 * s.totals, classes=grouped.classes)
    drawn = simulated(world, grouped, epsilon, dim, remedy)
    assert 0.4 < drawn.value[0] < 0.97
    assert abs(drawn.value[0] - found.mean[0]) < 0.01 + STANDARD_ERRORS * drawn.error[0]
    if grouped.classes is not None:
        for c in range(4):
            value = found.over(grouped.classes == c, s.totals)[0]
            assert abs(drawn.value[1 + c] - value) < 0.03 + STANDARD_ERRORS * drawn.error[1 + c]
