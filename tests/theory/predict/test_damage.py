"""Which part of what difficult pairs change does the damage, and where it begins."""

from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given

from tests.theory.graphs import graphs
from tests.theory.predict.simulated import dense, units
from theory.params import GraphParameters
from theory.predict import mechanism, predict, thresholds
from theory.predict.damage import PARTS, WORTH, switched, weakening
from theory.predict.remedies import three_levels
from theory.spectrum import largest_gamma

BLOCK = GraphParameters(0.5, 0.1, 0.35, 40, 5, 10, "block")
MATCHED = GraphParameters(0.5, 0.1, 0.45, 40, 5, 20, "matched")


# --- parts -----------------------------------------------------------------------------------------


@given(graphs())
def test_all_parts_together_are_the_graph(p):
    """Each part leaves the others as in the clean graph."""
    problem = three_levels(p, 0.3)
    clean, parts = problem.clean, {part: switched(problem, part) for part in PARTS}
    whole = replace(
        clean,
        own=sum((s.own - clean.own for s in parts.values()), clean.own),
        levels=sum((s.levels - clean.levels for s in parts.values()), clean.levels),
        degrees=parts["degrees"].degrees,
        row_degrees=parts["degrees"].row_degrees,
    )
    for field in fields(whole):
        np.testing.assert_allclose(getattr(whole, field.name), getattr(problem.now, field.name), atol=1e-12)


@pytest.mark.parametrize("p", [BLOCK, MATCHED], ids=["block", "matched"])
def test_a_part_acts_on_its_space_alone(p):
    """Of A·u for the unit vectors of the spaces, and for differences inside the groups of difficult samples."""
    problem = three_levels(p, 0.3)
    clean = dense(problem.clean)
    trivial, of_classes = (u.T for u in units(problem.clean))
    inside = np.zeros((p.nodes, 2))
    for c in range(p.classes):
        inside[(c + 1) * p.n - 2 : (c + 1) * p.n, 0] = [1, -1]  # difficult ones come last
        inside[(c + 1) * p.n - 2 : (c + 1) * p.n, 1] = np.array([1, -1]) * (c == 0) - np.array([1, -1]) * (c == 1)
    moves = {
        part: [
            bool(np.abs((dense(switched(problem, part)) - clean) @ x).max() > 1e-9)
            for x in (trivial, of_classes, inside)
        ]
        for part in PARTS
    }
    assert moves["class_block"] == [False, True, False]
    assert moves["contrast"] == [True, False, False]
    assert moves["bridge"] == [False, False, p is MATCHED]
    assert moves["degrees"] == [False, False, False]


def test_parts_of_the_damage():
    """Each by a prediction of its own; most of the damage is that of the class block."""
    found = mechanism(BLOCK, 0.8, 10)
    assert found.total == predict(BLOCK, 0.8, 10).accuracy - predict(BLOCK.clean(), 0.8, 10).accuracy
    assert set(found.parts) == set(PARTS)
    assert found.total < found.parts["class_block"] < 0.5 * found.total
    assert abs(found.parts["bridge"]) < 1e-6  # there are none
    assert sum(found.parts.values()) == pytest.approx(found.total, abs=0.3 * abs(found.total))


@pytest.mark.parametrize("pairing", ["block", "any", "matched"])
def test_a_clean_graph_has_no_damage(pairing):
    found = mechanism(replace(BLOCK, gamma=0.1, pairing=pairing), 0.8, 10, 12, 0.1)
    assert [found.total, *found.parts.values(), found.weakening] == pytest.approx([0] * 6, abs=1e-9)
    assert found.first_order == 0


def test_options_are_those_of_a_prediction():
    found = mechanism(BLOCK, 0.8, 10, labels_per_class=8, ridge=0.5)
    clean, now = (predict(BLOCK, 0.8, 10, 8, 0.5, remedy).accuracy for remedy in ("clean", "nothing"))
    assert found.total == pytest.approx(now - clean)


# --- weakened modes --------------------------------------------------------------------------------


def class_strength(p: GraphParameters) -> float:
    """The largest eigenvalue of A among vectors of sum zero over the classes, less 1 − α."""
    weights = p.weights.matrix(p)
    classes = np.kron(np.eye(p.classes) - 1 / p.classes, np.eye(p.n))
    return float(np.linalg.eigvalsh(classes @ weights @ classes)[-1] - (1 - p.alpha))


@pytest.mark.parametrize(
    "p", [BLOCK, replace(BLOCK, gamma=0.2, pairing="any"), MATCHED], ids=["block", "any", "matched"]
)
def test_weakening_of_the_class_modes(p):
    expected = class_strength(p) / class_strength(p.clean()) - 1
    assert weakening(three_levels(p, 0.3))[0] == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("p", [BLOCK, MATCHED], ids=["block", "matched"])
def test_first_order_is_the_slope_of_the_weakening(p):
    little = replace(p, gamma=p.beta + 1e-6)
    found = mechanism(little, 0.5, 10)
    assert found.weakening == pytest.approx(found.first_order, rel=1e-3)


# --- thresholds ------------------------------------------------------------------------------------


# Small classes, where difficult pairs of any kind weaken the class modes by a tenth.
SMALL = GraphParameters(0.2, 0.05, 0.19, 12, 10, 4, "block")
SMALL_MATCHED = GraphParameters(0.5, 0.1, 0.45, 12, 10, 12, "matched")


def damage(p: GraphParameters, epsilon: float) -> float:
    clean, now = (predict(p, epsilon, 10, remedy=remedy).accuracy for remedy in ("clean", "nothing"))
    return clean - now


@pytest.mark.parametrize(
    ("p", "epsilon", "price"), [(SMALL, 0.13, WORTH), (SMALL_MATCHED, 0.35, 0.04)], ids=["block", "matched"]
)
def test_from_the_threshold_on_difficult_pairs_cost_that_much(p, epsilon, price):
    found = thresholds(p, epsilon, 10, cost=price)
    graphs = {
        "excess": lambda value: (replace(p, gamma=p.beta + value), epsilon),
        "difficult": lambda value: (replace(p, difficult=int(value)), epsilon),
        "epsilon": lambda value: (p, value),
    }
    assert set(found) == set(graphs)
    for name, (value, low, high) in found.items():
        assert low < value <= high
        assert damage(*graphs[name](value)) >= price - 1e-7
        below = value - (1 if name == "difficult" else 2e-3 * (high - low))
        assert damage(*graphs[name](below)) < price
    assert found["excess"].high == pytest.approx(min(float(largest_gamma(p)), p.alpha) - p.beta)
    assert (found["difficult"].low, found["difficult"].high) == (0, 12)
    assert found["epsilon"].high == pytest.approx(4 * 12 * (p.alpha - p.beta) / np.sqrt(120))


def test_no_threshold_where_nothing_costs_a_point():
    found = thresholds(SMALL, 0.13, 10, cost=0.99)
    assert [threshold.value for threshold in found.values()] == [None, None, None]
    assert found["excess"].high > 0
    without = thresholds(replace(SMALL, gamma=0.05, difficult=0), 0.0, 10)
    assert [threshold.value for threshold in without.values()] == [None, None, None]
    assert without["excess"] == (None, 0, 0)
