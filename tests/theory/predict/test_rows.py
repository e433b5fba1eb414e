"""The mixture behind a projector: drawn mixtures, whose hat matrix is averaged, come back."""

from dataclasses import replace

import numpy as np
import pytest

from tests.theory.predict.simulated import Mixture, held, mean, mixture, nodes
from theory.params import GraphParameters
from theory.predict.resolvent import Captured, capture
from theory.predict.rows import Rows, rows
from theory.predict.structure import make, of_graph

MIXTURES = {
    "one type": mixture([60], 4, [[2.0]], [1.0], 20),
    "two types": mixture([40, 20], 4, [[3.0, 1.2], [1.2, 1.0]], [0.8, 1.4], 24),
    "three types": mixture([30, 20, 10], 3, [[2.0, 1.0, 0.3], [1.0, 1.5, 0.5], [0.3, 0.5, 0.6]], [1.3, 0.8, 0.5], 30),
    "equal means": mixture([30, 30], 2, [[2.0, 2.0], [2.0, 2.0]], [0.5, 1.5], 10),
    "no means": mixture([30, 30], 3, [[0.0, 0.0], [0.0, 0.0]], [0.6, 1.4], 15),
}


def captured(m: Mixture, draws: int = 300) -> Captured:
    """From X(XᵀX)⁻¹Xᵀ, averaged over draws."""

    def one(seed: int) -> tuple[np.ndarray, np.ndarray]:
        x = m.draw(np.random.default_rng([seed, 7]))
        return held(m.s, x @ np.linalg.solve(x.T @ x, x.T))

    traces, spaces = zip(*(one(seed) for seed in range(draws)), strict=True)
    return Captured(np.zeros(1), mean(traces).value[None], mean(spaces).value[None])


def scaled(m: Mixture) -> tuple[np.ndarray, np.ndarray]:
    """Spreads and products of means in units of the mean spread; a group is 1 of C of its type."""
    size = (m.spread * m.s.totals[0] / m.s.nodes[0]).sum()
    return m.spread / size, m.products / size / m.s.copies[0].sum()


@pytest.mark.parametrize("name", MIXTURES)
def test_drawn_mixtures_come_back(name):
    """300 draws leave an error of .3 %; that of the large-N limit is of the order 1/n_t."""
    m = MIXTURES[name]
    found = rows(m.s, captured(m))
    spread, products = scaled(m)
    np.testing.assert_allclose(found.spread[0], spread, rtol=0.02)
    np.testing.assert_allclose(found.means[0], products, atol=0.04 * max(products.max(), 0.5))
    np.testing.assert_allclose(found.shares[0], m.s.counts[0] / m.s.counts[0].sum())
    assert found.copies == m.s.copies[0, 1]


def test_rows_are_divided_by_roots_of_degrees():
    m = MIXTURES["two types"]
    found = rows(m.s, captured(m, 5))
    degrees = np.array([[1.0, 4.0]])
    divided = rows(replace(m.s, row_degrees=degrees), captured(m, 5))
    relative = degrees[0] / (found.shares[0] @ degrees[0])
    np.testing.assert_allclose(divided.spread[0], found.spread[0] / relative)
    np.testing.assert_allclose(divided.means[0], found.means[0] / np.sqrt(np.outer(relative, relative)))


def test_classes_that_are_types_of_their_own():
    """One space: three classes of other sizes, beside a constant row; means come back about their average."""
    sizes = np.array([60, 40, 20])
    s = make(sizes[None].astype(float), np.ones((1, 1)), np.ones((1, 1, 3)), np.zeros((1, 1, 3, 3)), 1.0)
    types = nodes(s).types
    points, spread, dim = np.array([[2.0, 0], [0, 1.5], [-1, -1]]), np.array([0.7, 1.0, 1.6]), 20
    drawn = []
    for seed in range(300):
        rng = np.random.default_rng([seed, 8])
        x = np.sqrt(spread[types])[:, None] * rng.standard_normal((sizes.sum(), dim))
        x[:, :2] += points[types]
        x = np.c_[x, np.full(len(x), 3.0)]
        drawn.append(held(s, x @ np.linalg.solve(x.T @ x, x.T)))
    traces, spaces = (mean(part).value[None] for part in zip(*drawn, strict=True))
    found = rows(s, Captured(np.zeros(1), traces, spaces))
    shares = sizes / sizes.sum()
    centred = (points - shares @ points) / np.sqrt(shares @ spread)
    np.testing.assert_allclose(found.spread[0], spread / (shares @ spread), rtol=0.02)
    np.testing.assert_allclose(found.means[0], centred @ centred.T, atol=0.04 * 4)
    np.testing.assert_allclose(found.means[0] @ shares, 0, atol=1e-12)


def of(p: GraphParameters, epsilon: float, dim: int) -> Rows:
    s = of_graph(p, epsilon)
    return rows(s, capture(s, np.array([float(dim)])))


def test_types_that_are_alike_have_equal_rows():
    p = GraphParameters(0.5, 0.1, 0.1, samples_per_class=30, classes=4, difficult=12)
    found = of(p, 0.5, 10)
    np.testing.assert_allclose(found.spread, 1, rtol=1e-6)
    np.testing.assert_allclose(found.means, found.means[0, 0, 0], rtol=1e-6)


@pytest.mark.parametrize("difficult", [0, 1, 2, 29, 30])
def test_few_rows_of_a_type_and_none(difficult):
    """As many as two a class share the leverage of all; an absent type changes nothing."""
    p = GraphParameters(0.5, 0.1, 0.3, samples_per_class=30, classes=4, difficult=difficult)
    found = of(p, 0.5, 10)
    present = np.array([difficult < 30, difficult > 0])
    assert np.isfinite(found.spread).all()
    assert np.isfinite(found.means).all()
    assert (found.shares[0] @ found.spread[0]) == pytest.approx(1, rel=0.05)
    assert (found.means[0][~present] == 0).all()
    if difficult == 0:
        without = of(GraphParameters(0.5, 0.1, 0.1, 30, 4, 12), 0.5, 10)
        assert found.means[0, 0, 0] == pytest.approx(without.means[0, 0, 0], rel=1e-6)
    if difficult == 1:
        assert found.spread[0, 0] == pytest.approx(found.spread[0, 1], rel=0.05)
