"""All steps together: invariances, and simulations of graphs that ``GraphParameters`` does not hold."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.theory.predict.simulated import accuracies, dense, labelled, leading, nodes, noise
from theory.params import GraphParameters, Levels, SixLevels
from theory.predict.chain import Accuracy, accuracy
from theory.predict.structure import Structure, make, of_graph, stack

GRAPH = GraphParameters(0.5, 0.1, 0.35, samples_per_class=40, classes=4, difficult=12)
SIX = SixLevels(Levels(0.6, 0.35, 0.4), Levels(0.1, 0.12, 0.3), samples_per_class=40, classes=4, difficult=16)


def equal(s: Structure, *others: Structure, atol: float = 2e-5) -> None:
    """The same accuracy by type, all at once."""
    found = predicted(stack([s, *others])).by_type
    np.testing.assert_allclose(found, np.broadcast_to(found[0], found.shape), atol=atol)


def predicted(s: Structure, dim: float = 8, share: float = 0.5, ridge: float = 0.0) -> Accuracy:
    return accuracy(s, dim, share * s.totals, ridge)


def random_graphs() -> st.SearchStrategy[GraphParameters]:
    return st.builds(
        lambda alpha, excess, gamma, n_d, pairing: GraphParameters(
            alpha, 0.1, 0.1 + gamma * (alpha - 0.1), 40, 4, n_d, pairing
        ),
        st.floats(0.2, 0.9),
        st.floats(0, 1),
        st.floats(0, 0.99),
        st.integers(0, 40),
        st.sampled_from(["block", "any", "matched"]),
    )


levels_of_noise = st.floats(0.05, 3)

# --- invariances -----------------------------------------------------------------------------------


@settings(max_examples=8)
@given(random_graphs(), levels_of_noise, st.floats(0.01, 100))
def test_weights_and_noise_times_a_number(p, epsilon, factor):
    """Degrees scale as well: A + ε·W and its normalisation say the same."""
    s = of_graph(p, epsilon)
    equal(s, make(s.counts, s.copies, factor * s.own, factor * s.levels, factor * epsilon))


@settings(max_examples=8)
@given(random_graphs(), levels_of_noise, st.floats(0.01, 100))
def test_units_of_the_degrees(p, epsilon, factor):
    """The normalisation, and the rows' division, each have a unit of their own."""
    s = of_graph(p, epsilon)
    equal(s, replace(s, degrees=factor * s.degrees), replace(s, row_degrees=factor * s.row_degrees))


@settings(max_examples=8)
@given(random_graphs(), levels_of_noise, st.floats(0.01, 5))
def test_a_shift_of_the_diagonal(p, epsilon, shift):
    """A + shift·D has the eigenvectors of A after the normalisation by the same degrees."""
    s = of_graph(p, epsilon)
    equal(s, replace(s, own=s.own + shift * s.degrees[:, None]), atol=1e-4)


@settings(max_examples=8)
@given(random_graphs(), levels_of_noise)
def test_order_of_the_types(p, epsilon):
    s = of_graph(p, epsilon)
    turned = make(s.counts[:, ::-1], s.copies, s.own[:, :, ::-1], s.levels[:, :, ::-1, ::-1], epsilon)
    mean, by_type = predicted(stack([s, turned]))
    np.testing.assert_allclose(by_type[1, ::-1], by_type[0], atol=2e-5)
    assert mean[1] == pytest.approx(mean[0], abs=2e-5)


@settings(max_examples=8)
@given(levels_of_noise, st.integers(6, 34))
def test_types_that_are_alike(epsilon, difficult):
    """A type in two parts is one type; with γ = β the number of difficult samples does not matter."""
    one, two = (of_graph(replace(GRAPH, gamma=0.1, difficult=n_d), epsilon) for n_d in (0, difficult))
    found = predicted(stack([one, two])).by_type
    np.testing.assert_allclose(found[1], found[0, 0], atol=1e-3)


@settings(max_examples=8)
@given(random_graphs(), levels_of_noise)
def test_more_labels_are_no_worse(p, epsilon):
    shares = np.array([0.2, 0.3, 0.5, 0.7, 0.9])
    s = stack([of_graph(p, epsilon)] * len(shares))
    found = accuracy(s, 8, shares[:, None] * s.totals).mean
    assert (np.diff(found) > -1e-3).all()
    assert ((found > 0.25 - 0.02) & (found <= 1)).all()


@settings(max_examples=8)
@given(random_graphs(), st.floats(0.2, 2))
def test_more_noise_is_no_better(p, epsilon):
    """With as many eigenvectors as classes."""
    s = of_graph(p, epsilon * np.array([1.0, 1.2, 1.5]))
    found = accuracy(s, 4, 0.5 * s.totals).mean
    assert (np.diff(found) < 1e-2).all()


def test_many_graphs_at_once():
    together = stack([of_graph(GRAPH, 0.5), of_graph(SIX, 0.0), of_graph(GRAPH, 0.7, 0.4), of_graph(SIX, 1.0)])
    dims, ridges = np.array([4.0, 9, 20, 6]), np.array([0.0, 0.1, 0.0, 2.0])
    found = accuracy(together, dims, 0.4 * together.totals, ridges)
    for index in range(4):
        part = together[index : index + 1]
        alone = accuracy(part, dims[index], 0.4 * part.totals, ridges[index])
        np.testing.assert_allclose(found.by_type[index], alone.by_type[0], atol=1e-4)
        np.testing.assert_allclose(found.mean[index], alone.mean[0], atol=1e-4)


def test_mean_over_some_types():
    found = Accuracy(np.array([0.7]), np.array([[0.9, 0.5, 0.3]]))
    totals = np.array([[10.0, 30.0, 0.0]])
    assert found.over(np.array([True, True, False]), totals) == pytest.approx(0.6)
    assert found.over(np.array([False, True, True]), totals) == pytest.approx(0.5)
    assert np.isnan(found.over(np.array([False, False, True]), totals))


# --- simulations -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "dim", "ridge"),
    [("six levels", 8, 0.0), ("ridge", 20, 0.2), ("much ridge", 20, 5.0), ("low rank", 14, 0.0), ("many", 60, 0.0)],
)
def test_simulated(name, dim, ridge):
    """100 seeds: a standard error of about .3 points; the prediction's own error is about half a point."""
    s = {"six levels": of_graph(SIX, 0.9), "low rank": of_graph(GRAPH, 0.9, 0.3)}.get(name, of_graph(GRAPH, 0.6))
    classes, types = nodes(s)
    weights, degrees = dense(s), s.degrees[0][types]

    def draw(rng: np.random.Generator) -> np.ndarray:
        return leading(weights + noise(s, rng), degrees, dim) / np.sqrt(degrees / degrees.mean())[:, None]

    drawn = accuracies(draw, classes, types, lambda rng: labelled(s, 0.5, rng), 100, ridge)
    found = predicted(s, dim, 0.5, ridge)
    assert 0.3 < drawn.value[0] < 0.97  # neither chance nor certain
    drawn.check(np.r_[found.mean, found.by_type[0]], np.array([0.005, 0.01, 0.01]))
