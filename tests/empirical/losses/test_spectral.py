"""The spectral loss with a remedy factorises the matrix that the theory says, over all pairs of a small graph."""

import pytest
import torch

from empirical.arms import PairRemedy
from empirical.losses import Objective
from theory.graph import SimilarityGraph
from theory.params import GraphParameters

RHO, SIGMA = 0.7, 0.3
GRAPH = GraphParameters(0.5, 0.1, 0.2, samples_per_class=3, classes=2, difficult=2)
WEIGHTS = torch.from_numpy(SimilarityGraph(GRAPH).weights())
DEGREES = WEIGHTS.sum(dim=1)
ADJACENCY = WEIGHTS / (DEGREES[:, None] * DEGREES).sqrt()
DIFFICULT = torch.arange(GRAPH.nodes) % 3 < 2
DIFFERENT = (torch.arange(GRAPH.nodes)[:, None] // 3) != (torch.arange(GRAPH.nodes) // 3)
FLAGGED = DIFFERENT & DIFFICULT[:, None] & DIFFICULT


def population_loss(table, remedy, with_positives=True):
    """The objective on a batch in which every pair of nodes is as often as in the population."""
    f = table / (DEGREES / DEGREES.sum()).sqrt()[:, None]
    cosines = f @ f.T  # the objective takes them for cosines; here they are inner products
    positives = (10 * WEIGHTS).round().long().flatten()
    negatives = (100 * DEGREES[:, None] * DEGREES).round().long().flatten()
    positive, flagged_positive = (x.flatten().repeat_interleave(positives) for x in (cosines, FLAGGED))
    negative, flagged = (x.flatten().repeat_interleave(negatives)[None] for x in (cosines, FLAGGED))
    flags = (flagged, remedy, flagged_positive) if with_positives else (flagged, remedy)
    return Objective("spectral", 1.0)(positive, negative, *flags)


def distances(targets, scales, remedy, with_positives=True):
    """Of several tables: the loss less the weighted distance of F·Fᵀ from a target."""
    found = []
    for seed in range(4):
        table = torch.randn(GRAPH.nodes, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
        gap = ((table @ table.T - targets) / scales).square().sum()
        found.append((population_loss(table, remedy, with_positives) - gap).item())
    return found


@pytest.fixture(scope="module")
def temperatures():
    return 1 + (RHO - 1) * FLAGGED.double()


def test_temperatures_on_all_pairs_factorise_their_product_with_the_adjacency(temperatures):
    found = distances(temperatures * ADJACENCY, temperatures, PairRemedy(rho=RHO))
    assert found == pytest.approx([found[0]] * 4, rel=1e-10)


def test_temperatures_on_negatives_alone_factorise_their_squares(temperatures):
    """What our spectral arm did before: ρ² in place of ρ."""
    alone = PairRemedy(rho=RHO)
    found = distances(temperatures**2 * ADJACENCY, temperatures, alone, with_positives=False)
    assert found == pytest.approx([found[0]] * 4, rel=1e-10)
    wrong = distances(temperatures * ADJACENCY, temperatures, alone, with_positives=False)
    assert wrong != pytest.approx([wrong[0]] * 4, rel=1e-3)


def test_margins_are_subtracted_from_the_adjacency():
    shares = DEGREES / DEGREES.sum()
    margins = SIGMA * FLAGGED.double() * (shares[:, None] * shares).sqrt()
    found = distances(ADJACENCY - margins, torch.ones_like(ADJACENCY), PairRemedy(sigma=SIGMA))
    assert found == pytest.approx([found[0]] * 4, rel=1e-10)
