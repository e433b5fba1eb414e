"""Remedies as changes of a structure, against the remedies entry by entry on the dense graph."""

from dataclasses import replace

import numpy as np
import pytest

from tests.theory.graphs import MATCHED, REFERENCE
from tests.theory.predict.simulated import dense, nodes
from tests.theory.predict.test_structure import easy_first, matrix
from theory import mitigation
from theory.params import GraphParameters
from theory.predict.remedies import REMEDIES, three_levels, treated
from theory.predict.structure import Structure, of_graph, stack
from theory.simulate import REMEDIES as SIMULATED
from theory.sweep import Points

ANY = replace(REFERENCE, pairing="any")
GRAPHS = pytest.mark.parametrize("p", [REFERENCE, ANY, MATCHED], ids=["block", "any", "matched"])


def normalised(s: Structure) -> np.ndarray:
    root = np.sqrt(s.degrees[0][nodes(s).types])
    return dense(s) / np.outer(root, root)


def goal(p: GraphParameters, target: mitigation.Target) -> np.ndarray:
    order = easy_first(p)
    return target.matrix()[np.ix_(order, order)]


def test_remedies_are_some_of_the_simulated():
    assert set(REMEDIES) < set(SIMULATED)


@GRAPHS
def test_populations_are_the_targets_of_mitigation(p):
    problem = three_levels(p, 0.3)
    for remedy, expected in {
        "nothing": mitigation.target(p),
        "clean": mitigation.target(p.clean()),
        "margin": mitigation.target(p).margin(),
        "temperature_unweighted": mitigation.target(p).temperature(),
    }.items():
        s = treated(problem, remedy)
        np.testing.assert_allclose(normalised(s), goal(p, expected), atol=1e-14)
        own = three_levels(p.clean() if remedy == "clean" else p, 0.3).now.degrees
        np.testing.assert_allclose(s.row_degrees, own)


@GRAPHS
def test_removal_is_the_smaller_graph(p):
    s, rest = treated(three_levels(p, 0.3), "removal"), p.without_difficult()
    np.testing.assert_allclose(dense(s), matrix(rest), atol=1e-14)
    np.testing.assert_allclose(s.degrees[0, 0], float(rest.degrees.easy))
    np.testing.assert_allclose(s.counts, [[rest.n, 0]])


@GRAPHS
def test_random_removal_keeps_the_share_of_difficult_samples(p):
    s = treated(three_levels(p, 0.3), "random_removal")
    assert s.counts.sum() == p.n - p.n_d
    assert s.counts[0, 1] / s.counts.sum() == pytest.approx(p.n_d / p.n)
    # Where whole samples stay, the graph of that size.
    whole = replace(p, samples_per_class=9, difficult=3)
    s = treated(three_levels(whole, 0.3), "random_removal")
    np.testing.assert_allclose(dense(s), matrix(replace(p, samples_per_class=6, difficult=2)), atol=1e-14)


@GRAPHS
def test_variance_of_the_noise_under_temperatures(p):
    """(T·√(degrees of both)) squared, entry by entry, averaged over the nodes of the second type of a row."""
    problem, epsilon = three_levels(p, 0.3), 0.3
    s = treated(problem, "temperature_unweighted")
    now, clean = (goal(q, mitigation.target(q)) for q in (p, p.clean()))
    degrees = s.degrees[0][nodes(s).types]
    squares = (epsilon * clean / now) ** 2 * np.outer(degrees, degrees)
    of_rows = problem.now.degrees[0][nodes(s).types]
    squares /= np.outer(of_rows, of_rows)
    types = nodes(s).types
    for t in (0, 1):
        for u in (0, 1):
            row = squares[np.flatnonzero(types == t)[0], types == u]
            assert s.variance[0, t, u] == pytest.approx(row.mean(), rel=1e-12)
    for remedy in ("nothing", "clean", "margin", "removal", "random_removal"):
        assert (treated(problem, remedy).variance == epsilon**2).all()


@pytest.mark.parametrize("remedy", REMEDIES)
@GRAPHS
def test_on_a_clean_graph_nothing_but_removal_acts(p, remedy):
    clean = p.clean()
    s, now = treated(three_levels(clean, 0.3), remedy), of_graph(clean, 0.3)
    if "removal" not in remedy:
        for one, other in zip(vars(s).values(), vars(now).values(), strict=True):
            np.testing.assert_allclose(one, other, atol=1e-14)


@pytest.mark.parametrize("remedy", REMEDIES)
@pytest.mark.parametrize("pairing", ["block", "any", "matched"])
def test_arrays_of_graphs(pairing, remedy):
    found = [GraphParameters(0.5, b, g, 8, 3, n_d, pairing) for b, g, n_d in ((0, 0, 2), (0.1, 0.2, 0), (0.1, 0.4, 5))]
    columns = (np.array([float(getattr(p, x)) for p in found]) for x in ("alpha", "beta", "gamma", "n", "r", "n_d"))
    together = treated(three_levels(Points(*columns, pairing), 0.3), remedy)
    alone = stack([treated(three_levels(p, 0.3), remedy) for p in found])
    for one, other in zip(vars(together).values(), vars(alone).values(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-13)
        assert np.isfinite(one).all()
