"""Dyson's equation and its projector: residual, closed forms, and eigenvectors of drawn matrices."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import semicircular

from tests.theory.graphs import graphs
from tests.theory.predict.simulated import Mean, dense, held, leading, mean, nodes, noise
from theory.params import GraphParameters, Levels, SixLevels
from theory.predict.remedies import three_levels, treated
from theory.predict.resolvent import Captured, above, capture, edges, resolvent
from theory.predict.structure import Structure, make, of_graph, stack

BLOCK = GraphParameters(0.6, 0.1, 0.4, samples_per_class=16, classes=4, difficult=6)
SIX = SixLevels(Levels(0.6, 0.4, 0.4), Levels(0.1, 0.15, 0.3), samples_per_class=16, classes=4, difficult=6)
GRAPHS = {
    "block": of_graph(BLOCK, 0.7),
    "any": of_graph(replace(BLOCK, gamma=0.2, pairing="any"), 0.7),
    "matched": of_graph(replace(BLOCK, pairing="matched"), 0.7),
    "six levels": of_graph(SIX, 0.7),
    "unequal variance": treated(three_levels(BLOCK, 0.7), "temperature_unweighted"),
    "low rank": of_graph(BLOCK, 0.5, correlated=0.3),
}


def pure_noise(count: float, epsilon: float) -> Structure:
    """The identity and noise."""
    one, empty = np.ones((1, 1, 1)), np.zeros((1, 1, 1, 1))
    return make(np.array([[count]]), np.ones((1, 1)), one, empty, epsilon)


def captured(s: Structure, dim: float) -> Captured:
    return capture(s, np.full(len(s.nodes), float(dim)))


# --- the equation ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in GRAPHS if name != "low rank"])
def test_self_energy_solves_the_dense_equation(name):
    """h_t = Σ_u V_tu·(trace of (zD − A − h)⁻¹ over the nodes of type u), by inverting the whole matrix."""
    s = GRAPHS[name]
    z = np.array([0.5 + 0.1j, 0.2 + 0.01j, 1.2 + 0.5j, -0.3 + 1e-3j])
    found = resolvent(s, z[None])
    types = nodes(s).types
    for index, point in enumerate(z):
        h = found.energy[0, index]
        inverse = np.linalg.inv(np.diag(point * s.degrees[0][types] - h[types]) - dense(s))
        trace, spaces = (held(s, part) for part in (inverse.real, inverse.imag))
        traces = trace[0] + 1j * spaces[0]
        np.testing.assert_allclose(found.traces[0, index], traces, rtol=1e-9)
        np.testing.assert_allclose(found.spaces[0, index], trace[1] + 1j * spaces[1], atol=1e-9)
        np.testing.assert_allclose(s.variance[0] @ traces, h, rtol=1e-8)
        assert (h.imag < 0).all()


@settings(max_examples=50)
@given(graphs(), st.floats(1e-3, 10), st.floats(-2, 2), st.floats(1e-3, 2))
def test_self_energy_of_any_graph(p, epsilon, real, imaginary):
    s = of_graph(p, epsilon)
    found = resolvent(s, np.array([[real + 1j * imaginary]]))
    np.testing.assert_allclose(np.einsum("btu,bzu->bzt", s.variance, found.traces), found.energy, rtol=1e-8)
    assert (found.energy.imag < 0).all()


def test_resolvent_of_pure_noise_is_the_semicircle_s():
    z, size, epsilon = np.array([[1.3 + 0.2j, 1 + 0.01j, -2 + 1j]]), 50.0, 0.2
    variance = epsilon**2 * size
    closed = (z - 1 - np.sqrt(z - 1 - 2 * np.sqrt(variance)) * np.sqrt(z - 1 + 2 * np.sqrt(variance))) / 2
    np.testing.assert_allclose(resolvent(pure_noise(size, epsilon), z).energy[..., 0], closed, rtol=1e-9)


@pytest.mark.parametrize("dim", [1, 7, 100, 199])
def test_cut_of_pure_noise_is_the_semicircle_s_quantile(dim):
    found = captured(pure_noise(200, 0.1), dim)
    assert found.cut == pytest.approx(1 + semicircular.isf(dim / 200, scale=0.2 * np.sqrt(200)), abs=1e-4)
    assert found.held == pytest.approx(dim, abs=1e-4)
    # No direction is special: the constant vector lies in the span by k/N.
    assert found.spaces == pytest.approx(dim / 200, abs=1e-6)


def test_a_spike_beyond_the_semicircle_has_the_known_overlap():
    """1 − σ²/θ² of a direction of strength θ, and its eigenvalue θ + σ²/θ (Baik, Ben Arous, Péché)."""
    size, epsilon, ratio = 10**6, 1.0, 1.7
    theta = ratio * epsilon * np.sqrt(size)
    levels = np.full((1, 1, 1, 1), theta / size)
    s = replace(make(np.array([[float(size)]]), np.ones((1, 1)), np.zeros((1, 1, 1)), levels, epsilon))
    found = captured(s, 1)
    assert found.spaces.item() == pytest.approx(1 - 1 / ratio**2, abs=1e-4)
    degree = s.degrees.item()
    edge, outlier = 2 * np.sqrt(size) * epsilon / degree, (theta + epsilon**2 * size / theta) / degree
    assert edge < found.cut.item() < outlier


# --- the projector ---------------------------------------------------------------------------------


def drawn(s: Structure, dim: int, draws: int) -> tuple[Mean, Mean]:
    weights, types = dense(s), nodes(s).types

    def one(seed: int) -> tuple[np.ndarray, np.ndarray]:
        vectors = leading(weights + noise(s, np.random.default_rng([seed, 3])), s.degrees[0][types], dim)
        return held(s, vectors @ vectors.T)

    traces, spaces = zip(*(one(seed) for seed in range(draws)), strict=True)
    return mean(traces), mean(spaces)


INSIDE = [(name, dim) for name in GRAPHS for dim in (4, 12, 33) if (name, dim) != ("low rank", 4)]


@pytest.mark.parametrize(("name", "dim"), INSIDE)
def test_projector_on_drawn_eigenvectors(name, dim):
    """Four standard errors, and 1/N of the whole for what the large-N equation leaves out."""
    s = GRAPHS[name]
    found = captured(s, dim)
    traces, spaces = drawn(s, dim, 150)
    assert found.held.sum() == pytest.approx(dim, abs=1e-3)
    traces.check(found.held[0], 1.0 * dim / s.nodes[0])
    spaces.check(found.spaces[0], 1 / s.nodes[0])


def test_projector_within_the_noise_of_low_rank():
    """Its eigenvectors differ in strength by chance, which their common mean does not show: 1 of 5 by then."""
    s = GRAPHS["low rank"]
    found = captured(s, 4)
    assert found.held.sum() == pytest.approx(4, abs=0.05)
    drawn(s, 4, 60)[0].check(found.held[0], 0.2)


@pytest.mark.parametrize("name", ["block", "matched"])
def test_in_a_gap_the_modes_of_the_classes_are_held(name):
    """With little noise the four leading eigenvectors are the modes of the classes; the cut lies after them."""
    strong = GRAPHS[name][:1]
    s = replace(strong, variance=strong.variance * 0.01)
    found = captured(s, 4)
    root = np.sqrt(s.degrees[0][nodes(s).types])
    values, vectors = np.linalg.eigh(dense(s) / np.outer(root, root))
    assert values[-5] < found.cut < values[-4]
    traces, spaces = held(s, vectors[:, -4:] @ vectors[:, -4:].T)
    # Noise turns them by σ²/gap² at most.
    np.testing.assert_allclose(found.held[0], traces, atol=0.03)
    np.testing.assert_allclose(found.spaces[0], spaces, atol=0.03)
    drawn(s, 4, 40)[1].check(found.spaces[0], 1e-3)


@pytest.mark.parametrize("dim", [1, 3, 4, 8, 20, 40, 63])
@pytest.mark.parametrize("name", ["block", "any", "matched", "six levels"])
def test_without_noise_the_limit_of_little(name, dim):
    """A random part of an eigenvalue that the cut meets: eigenvectors of drawn matrices with noise of 1e-7."""
    s = GRAPHS[name]
    still = replace(s, variance=0 * s.variance)
    found = captured(still, dim)
    assert found.held.sum() == pytest.approx(dim)
    traces, spaces = drawn(replace(s, variance=s.variance * 1e-14), dim, 60)
    traces.check(found.held[0], 1e-6)
    spaces.check(found.spaces[0], 1e-6)


@pytest.mark.parametrize("dim", [3, 4, 8, 20, 40])
@pytest.mark.parametrize("name", ["block", "any", "matched", "six levels"])
def test_little_noise_is_continuous(name, dim):
    s = GRAPHS[name]
    still, little = (captured(replace(s, variance=s.variance * scale), dim) for scale in (0.0, 3e-7))
    np.testing.assert_allclose(little.held, still.held, atol=2e-3 * dim)
    np.testing.assert_allclose(little.spaces, still.spaces, atol=0.01)


@settings(max_examples=50)
@given(graphs(), st.floats(0, 3), st.data())
def test_projector_of_any_graph(p, epsilon, data):
    """Trace k; between 0 and 1 on every space and inside every group."""
    dim = data.draw(st.integers(1, p.nodes - 1))
    s = of_graph(p, epsilon)
    found = captured(s, dim)
    assert found.held.sum() == pytest.approx(dim, abs=1e-2)
    values = np.linalg.eigvalsh(found.spaces)
    assert values.min() > -1e-2
    assert values.max() < 1 + 1e-2
    inside = found.held - np.einsum("bs,bstt->bt", s.copies, found.spaces)
    present = s.totals > 0
    assert (inside[present] > -1e-2).all()
    np.testing.assert_allclose(found.held[~present], 0, atol=1e-9)


def test_a_batch_is_its_graphs_with_noise_and_without():
    together = [GRAPHS["block"], replace(GRAPHS["any"], variance=0 * GRAPHS["any"].variance), GRAPHS["low rank"]]
    dims = np.array([8.0, 20, 12])
    found = capture(stack(together), dims)
    for index, (s, dim) in enumerate(zip(together, dims, strict=True)):
        for one, many in zip(captured(s, dim), found, strict=True):
            np.testing.assert_allclose(many[index], one[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", GRAPHS)
def test_edges_enclose_the_spectrum(name):
    s = GRAPHS[name]
    low, high = edges(s)
    root = np.sqrt(s.degrees[0][nodes(s).types])
    for seed in range(10):
        values = np.linalg.eigvalsh((dense(s) + noise(s, np.random.default_rng(seed))) / np.outer(root, root))
        assert low[0] < values[0]
        assert values[-1] < high[0]
    everything, spaces = above(s, low, high)
    assert everything.sum() == pytest.approx(s.nodes[0], abs=1e-3)
    np.testing.assert_allclose(spaces[0], np.broadcast_to(np.eye(2), (2, 2, 2)), atol=1e-4)


@pytest.mark.parametrize("dim", [6, 12, 33])
def test_noise_of_low_rank_alone(dim):
    """Nothing of it is independent: the spaces as they are drawn, and the limit of little that is.

    Equal eigenvalues differ by what the noise lacks on its diagonal, which the theory neglects: within .06.
    """
    s = of_graph(BLOCK, 0.5, correlated=1.0)
    found, nearly = captured(s, dim), captured(of_graph(BLOCK, 0.5, correlated=0.9999), dim)
    np.testing.assert_allclose(found.spaces, nearly.spaces, atol=0.01)
    without = captured(replace(s, spike=0 * s.spike), dim)
    drawn(s, dim, 60)[1].check(found.spaces[0], 0.06)
    assert dim > 6 or (np.abs(without.spaces - found.spaces) > 0.1).any()
