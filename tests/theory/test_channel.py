import math
from fractions import Fraction

import numpy as np
import pytest

from tests.theory.graphs import MATCHED, REFERENCE
from tests.theory.test_augmentation import BEYOND
from tests.theory.test_factor import ANY, SIX, TURNED, UNDECIDED
from theory import formulas
from theory.augmentation import labels
from theory.channel import Channel
from theory.checks import ParameterError
from theory.factor import Column
from theory.params import GraphParameters, SixLevels


@pytest.mark.parametrize("tilt", [0, 0.5, 1])
@pytest.mark.parametrize(
    "p",
    [
        REFERENCE,
        MATCHED,
        GraphParameters(0.5, 0.2, 0.3, 3, 3, 2, "block"),
        GraphParameters(0.5, 0.2, 0.3, 2, 2, 0),
        GraphParameters(0.5, 0.2, 0.3, 2, 3, 2),
        *BEYOND,
    ],
)
def test_views_have_the_distribution_of_the_weights(p, tilt):
    channel = Channel(p, tilt)
    data, first = require_views(channel)
    expected = labels(channel.kinds)
    for share, difficult in ((expected.easy, False), (expected.difficult, True)):
        views = (first % p.n < p.n_d) == difficult
        if views.any():
            error = math.sqrt(float(share * (1 - share)) / views.sum())
            assert abs(np.mean((first // p.n == data.label)[views]) - float(share)) < 5 * error


def require_views(channel):
    """Pairs of views are distributed as the weights, labels evenly, and δ and φ are theirs; data and first views."""
    p, size, rng = channel.parameters, 200_000, np.random.default_rng(7)
    data = channel.draw(size, rng)
    first, second = channel.augment(data, rng), channel.augment(data, rng)
    weights = p.weights.matrix(p)
    expected = size * weights / weights.sum()
    counts = np.zeros_like(weights)
    np.add.at(counts, (first, second), 1)
    assert not counts[expected == 0].any()
    cells = np.count_nonzero(weights)
    statistic = ((counts - expected)[expected > 0] ** 2 / expected[expected > 0]).sum()
    assert abs(statistic - (cells - 1)) < 5 * math.sqrt(2 * (cells - 1))  # χ² has variance 2·(cells − 1)
    for found, share in (
        (first // p.n != data.label, float(channel.labelling_error)),
        (first // p.n != second // p.n, float(formulas.cross_mass(p))),
    ):
        assert abs(found.mean() - share) < 5 * math.sqrt(share * (1 - share) / size)
    assert abs(np.mean(data.label) - p.r / 2) < 5 * p.classes / math.sqrt(12 * size)
    return data, first


@pytest.mark.parametrize(
    "p",
    [
        *(ANY, TURNED, SIX),
        GraphParameters(0.5, 0.2, 0.2, 3, 3, 2, "any"),
        GraphParameters(0.5, 0.2, 0.3, 3, 3, 3, "any"),
        GraphParameters(Fraction(1, 2), 0, Fraction(1, 10), 6, 3, 2, "any"),
        SixLevels((0.5, 0, 0), (0.1, 0, 0), 4, 3, 0),
    ],
)
def test_views_of_columns_have_the_distribution_of_the_weights(p):
    channel = Channel(p)
    assert isinstance(channel.kinds[0], Column)
    data, first = require_views(channel)
    for easy in (False, True):  # the views of one datum, whose density the factor has
        mine = (data.label == 1) & (data.easy == p.n - 1 if easy else data.difficult[:, 0] == 0)
        mine &= np.array([column.name == ("easy" if easy else "difficult") for column in channel.kinds])[data.kind]
        if mine.any():
            expected = channel.densities(type(data)(*(column[mine][:1] for column in data)))[0]
            counts = np.bincount(first[mine], minlength=p.nodes)
            error = np.sqrt(mine.sum() * expected * (1 - expected))
            assert (abs(counts - mine.sum() * expected) <= 5 * error + 1e-9).all()


def test_columns_have_no_tilt():
    with pytest.raises(ParameterError, match=r"tilt = 0.5 violates 0 for the pairing any"):
        Channel(ANY, 0.5)


def test_a_graph_without_a_known_augmentation_is_refused():
    with pytest.raises(ParameterError, match="undecided"):
        Channel(UNDECIDED)


def test_views_of_one_datum_stay_in_its_support():
    p = GraphParameters(0.5, 0.2, 0.3, 6, 4, 3, "block")
    channel, rng = Channel(p), np.random.default_rng(0)
    data = channel.draw(2_000, rng)
    views = np.stack([channel.augment(data, rng) for _ in range(20)])
    for index, kind in enumerate(channel.kinds):
        seen = views[:, data.kind == index]
        distinct = np.array([len(set(column)) for column in seen.T])
        assert distinct.max() <= (p.classes if kind.span > 1 else 1) * (kind.difficult.members + kind.easy.members)
        if kind.span == 1:
            assert (seen // p.n == data.label[data.kind == index]).all()
        if kind.name == "difficult_transversal":
            assert distinct.min() > 1
            assert (seen % p.n < p.n_d).all()
