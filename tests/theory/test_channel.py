import math

import numpy as np
import pytest

from tests.theory.graphs import MATCHED, REFERENCE
from tests.theory.test_augmentation import BEYOND
from theory import formulas
from theory.augmentation import labels
from theory.channel import Channel
from theory.graph import SimilarityGraph
from theory.params import GraphParameters


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
    size, rng = 200_000, np.random.default_rng(7)
    channel = Channel(p, tilt)
    data = channel.draw(size, rng)
    first, second = channel.augment(data, rng), channel.augment(data, rng)
    weights = SimilarityGraph(p).weights()
    expected = size * weights / weights.sum()
    counts = np.zeros_like(weights)
    np.add.at(counts, (first, second), 1)
    cells = weights.size
    statistic = ((counts - expected) ** 2 / expected).sum()
    assert abs(statistic - (cells - 1)) < 5 * math.sqrt(2 * (cells - 1))  # χ² has variance 2·(cells − 1)
    for found, share in (
        (first // p.n != data.label, float(channel.labelling_error)),
        (first // p.n != second // p.n, float(formulas.cross_mass(p))),
    ):
        assert abs(found.mean() - share) < 5 * math.sqrt(share * (1 - share) / size)
    expected = labels(channel.kinds)
    for share, difficult in ((expected.easy, False), (expected.difficult, True)):
        views = (first % p.n < p.n_d) == difficult
        if views.any():
            error = math.sqrt(float(share * (1 - share)) / views.sum())
            assert abs(np.mean((first // p.n == data.label)[views]) - float(share)) < 5 * error
    assert abs(np.mean(data.label) - p.r / 2) < 5 * p.classes / math.sqrt(12 * size)


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
