"""Worlds: similarity matrices against naive ones, realisability, noise."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given

from tests.theory.graphs import REFERENCE, graphs
from theory.checks import ParameterError
from theory.graph import SimilarityGraph
from theory.params import GraphParameters
from theory.spectrum import is_positive_semidefinite
from theory.worlds import STRUCTURES, MeasuredWorld, World, add_noise, load_measured, measured, synthetic, unit_rows

BLOCK = replace(REFERENCE, pairing="block")


def weights(world: World | MeasuredWorld, clean: bool = False) -> np.ndarray:
    every = np.arange(world.nodes)
    return (world.clean_rows if clean else world.rows)(every, every)


@given(graphs())
def test_three_level_world_is_the_paper_graph(p):
    if not is_positive_semidefinite(p):
        with pytest.raises(ParameterError, match="no augmentation produces"):
            synthetic(p)
        return
    world = synthetic(p)
    np.testing.assert_allclose(weights(world), SimilarityGraph(p).weights(), rtol=1e-6)
    np.testing.assert_allclose(weights(world, clean=True), SimilarityGraph(p.clean()).weights(), rtol=1e-6)
    assert world.difficult.sum() == p.n_d * p.classes
    assert world.graph == p


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("p", [REFERENCE, BLOCK], ids=["matched", "block"])
def test_weights_entry_by_entry(p, structure):
    world = synthetic(p, structure)
    dense = weights(world)
    for i in range(world.nodes):
        for j in range(world.nodes):
            expected = p.alpha if world.labels[i] == world.labels[j] else p.beta
            if world.labels[i] != world.labels[j] and world.confused[world.labels[i], world.labels[j]]:
                together = p.pairing == "block" or world.samples[i] == world.samples[j]
                expected += (p.gamma - p.beta) * world.closeness[i] * world.closeness[j] * together
            assert dense[i, j] == pytest.approx(1 if i == j else expected, rel=1e-6)
    assert np.linalg.eigvalsh(dense.astype(float))[0] > -1e-5


def test_rows_of_a_part():
    world = synthetic(BLOCK, "graded")
    nodes, columns = np.array([3, 0, 11]), np.array([11, 3, 5, 20])
    np.testing.assert_array_equal(world.rows(nodes, columns), weights(world)[np.ix_(nodes, columns)])


def test_graded_difficulty_is_half_way_at_n_d():
    world = synthetic(replace(BLOCK, difficult=4), "graded")
    own = world.closeness[world.labels == 0]
    assert (np.diff(own) < 0).all()
    assert own[3] > 0.5 > own[4]
    assert world.difficult.sum() == 4 * 3


def test_only_neighbouring_classes_are_confused():
    world = synthetic(replace(BLOCK, classes=4), "confusable")
    first = weights(world)[0].reshape(4, -1)[:, 0]  # to the first sample of each class
    np.testing.assert_allclose(first, [1, BLOCK.gamma, BLOCK.beta, BLOCK.beta], rtol=1e-6)


def test_imbalanced_classes_keep_the_difficult_share():
    world = synthetic(replace(BLOCK, samples_per_class=16, difficult=4, classes=4), "imbalanced")
    sizes = np.bincount(world.labels)
    np.testing.assert_array_equal(sizes, [16, 8, 4, 2])
    np.testing.assert_array_equal(np.bincount(world.labels, world.difficult), sizes // 4)


@pytest.mark.parametrize("structure", STRUCTURES)
def test_no_augmentation_produces_it(structure):
    p = GraphParameters(0.9, 0.1, 0.85, samples_per_class=6, classes=4, difficult=4, pairing="block")
    with pytest.raises(ParameterError, match=r"gamma = 0\.85 violates"):
        synthetic(p, structure)


# --- measured --------------------------------------------------------------------------------------


def features(rng, per_class=25, classes=3, dimensions=12):
    labels = np.repeat(np.arange(classes), per_class)
    return 2 + np.eye(classes, dimensions)[labels] + 0.5 * rng.standard_normal((len(labels), dimensions)), labels


def test_measured_world_against_its_dense_definition():
    x, labels = features(np.random.default_rng(0))
    world = measured(x, labels + 7)
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    cosine = unit @ unit.T
    np.testing.assert_allclose(weights(world), cosine, atol=1e-6)
    across = labels[:, None] != labels
    for label in range(3):
        inside = np.flatnonzero(labels == label)
        gaps = []
        for i in inside:
            own = cosine[i, [j for j in inside if j != i]].mean()
            gaps.append(own - max(cosine[i, labels == other].mean() for other in range(3) if other != label))
        assert set(inside[np.argsort(gaps)[:2]]) == set(np.flatnonzero(world.difficult & (labels == label)))
    both = across & np.outer(world.difficult, world.difficult)
    assert world.excess == pytest.approx(cosine[both].mean() - cosine[across & ~both].mean())
    np.testing.assert_allclose(weights(world, clean=True), cosine - world.excess * both, atol=1e-6)


def test_measured_files(tmp_path):
    x, labels = features(np.random.default_rng(0))
    np.savez(tmp_path / "x.npz", features=x, labels=labels)
    np.save(tmp_path / "y.npy", x)
    np.save(tmp_path / "y.labels.npy", labels)
    for name in ("x.npz", "y.npy"):
        np.testing.assert_array_equal(load_measured(tmp_path / name).labels, labels)
    np.savez(tmp_path / "z.npz", features=x)
    (tmp_path / "w.npz").write_text("no archive")
    for name, message in (("z.npz", "lacks labels"), ("w.npz", "w.npz"), ("none.npz", "cannot read")):
        with pytest.raises(ParameterError, match=message):
            load_measured(tmp_path / name)


@pytest.mark.parametrize(
    ("x", "labels", "message"),
    [
        (np.ones(4), np.arange(4), "features shape"),
        (np.ones((4, 2)), np.arange(3), "labels shape"),
        (np.ones((4, 2)), np.zeros(4), "at least two classes"),
        (np.zeros((4, 2)), np.arange(4), "nonzero rows"),
        (np.full((4, 2), np.nan), np.arange(4), "finite"),
        (np.full((4, 2), np.inf), np.arange(4), "finite"),
        (np.array([[1.0, 0], [-1, 0], [1, 0.1], [-1, 0.1]]), np.arange(4) // 2, "degree"),
    ],
)
def test_bad_features(x, labels, message):
    with pytest.raises(ParameterError, match=message):
        measured(x, labels)


def test_unit_rows_keep_zeros_and_precision():
    rows = np.array([[3, 4], [0, 0], [0, 1e-15]], dtype=np.float32)
    unit = unit_rows(rows)
    assert unit.dtype == np.float32
    assert unit == pytest.approx(np.array([[0.6, 0.8], [0, 0], [0, 1]]))
    assert rows[0, 0] == 3


# --- noise -----------------------------------------------------------------------------------------


def noise(nodes, **options):
    matrix = np.zeros((nodes, nodes), dtype=np.float32)
    add_noise(matrix, seed=3, **options)
    return matrix


@pytest.mark.parametrize("correlated", [0.0, 0.5, 1.0])
def test_noise_is_symmetric_with_the_stated_variance(correlated):
    nodes, rank = 700, 5  # more than a block of rows
    matrix = noise(nodes, epsilon=0.3, correlated=correlated, rank=rank)
    np.testing.assert_array_equal(matrix, matrix.T)
    assert not matrix.diagonal().any()
    upper = matrix[np.triu_indices(nodes, 1)].astype(float) / 0.3
    # The mean square has the variance 2/size from independent entries, and in the correlated part, where it is
    # ‖ZᵀZ‖²/(nodes²·rank), that of the squared lengths of Z's columns.
    error = np.sqrt(2 / upper.size + correlated**2 * 8 / (rank * nodes))
    assert np.mean(upper**2) == pytest.approx(1, abs=5 * error)


def test_correlated_noise_has_low_rank():
    values = np.abs(np.linalg.eigvalsh(noise(300, epsilon=1, correlated=1.0, rank=4)))
    assert (values > 0.5 * values.max()).sum() == 4


def test_equal_seeds_give_equal_noise():
    np.testing.assert_array_equal(noise(50, epsilon=0.1), noise(50, epsilon=0.1))
    np.testing.assert_allclose(noise(50, epsilon=0.2), 2 * noise(50, epsilon=0.1), rtol=1e-5)


def test_bad_noise():
    for options, name in (({"epsilon": -1.0}, "epsilon"), ({"epsilon": 1.0, "correlated": 2.0}, "correlated")):
        with pytest.raises(ParameterError, match=name):
            noise(4, **options)
