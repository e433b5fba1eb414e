"""Non-negative factors of graphs of six levels, against the dense matrix."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.theory.graphs import REFERENCE, graphs
from theory import factor as module
from theory import formulas
from theory.augmentation import labelling_error, labelling_errors, least_labelling_error
from theory.checks import ParameterError
from theory.factor import Column, factor
from theory.params import GraphParameters, SixLevels
from theory.spectrum import NotRealisable, is_positive_semidefinite

ANY = replace(REFERENCE, pairing="any")
TURNED = GraphParameters(0.8, 0.01, 0.1, 4, 3, 2, "any")  # whose symmetric root has negative entries
SIX = SixLevels((0.5, 0.45, 0.6), (0.05, 0.2, 0.1), 5, 3, 2)
UNDECIDED = SixLevels((0.877, 0.086, 0.931), (0.435, 0.433, 0.433), 7, 5, 4)
Graph = GraphParameters | SixLevels


def random_graph(rng: np.random.Generator, six: bool) -> Graph:
    """A positive semidefinite graph of pairing any, or of six levels, with easy and difficult samples."""
    while True:
        n, classes = int(rng.integers(2, 13)), int(rng.integers(2, 7))
        sizes = n, classes, int(rng.integers(1, n))
        p: Graph
        if six:
            p = SixLevels(tuple(rng.uniform(size=3)), tuple(rng.uniform(size=3)), *sizes)
        else:
            beta, gamma, alpha = np.sort(rng.uniform(size=3))
            p = GraphParameters(alpha, beta, gamma, *sizes, "any")
        if is_positive_semidefinite(p):
            return p


def found(p: Graph) -> tuple[Column, ...] | None:
    try:
        return factor(p)
    except ParameterError as error:
        if "undecided" not in str(error):
            raise
        return None


def dense(p: Graph, columns: tuple[Column, ...]) -> np.ndarray:
    """B, entry by entry."""
    of = {column.name: column for column in columns}
    b = np.empty((p.nodes, p.nodes))
    for x in range(p.nodes):
        column = of["difficult" if x % p.n < p.n_d else "easy"]
        for v in range(p.nodes):
            where = column.own if v // p.n == x // p.n else column.other
            b[v, x] = (where.difficult if v % p.n < p.n_d else where.easy) + (column.itself if v == x else 0)
    return b


def require_factor(p: Graph) -> None:
    """B·Bᵀ = A, no entry is negative, the labels are those of most views; δ, masses and views are B's."""
    columns = factor(p)
    b, weights = dense(p, columns), p.weights.matrix(p)
    assert b.min() >= 0
    np.testing.assert_allclose(b @ b.T, weights, rtol=0, atol=1e-12)
    sums, label = b.sum(axis=0), np.arange(p.nodes) // p.n
    shares = np.array([b[label == c].sum(axis=0) for c in range(p.classes)]) / sums
    own = shares[label, np.arange(p.nodes)]
    np.testing.assert_allclose(own, shares.max(axis=0), rtol=0, atol=1e-9)
    delta = (sums**2 * (1 - own)).sum() / weights.sum()
    assert labelling_error(columns) == pytest.approx(delta, abs=1e-12)
    assert sum(column.mass for column in columns) == pytest.approx(weights.sum(), rel=1e-12)
    assert sum(column.count for column in columns) == p.nodes
    least, _, most = labelling_errors(p)
    assert least - 1e-12 <= delta <= most + 1e-12


@pytest.mark.parametrize(("six", "root", "search"), [(False, 0.791, 1), (True, 0.642, 0.83)])
def test_random_graphs_have_a_factor_as_often_as_stated(six, root, search, monkeypatch):
    """The table in the module's docstring, on the first 300 of its graphs; and what is found is a factor."""
    assert f"{100 * root:.1f} %" in module.__doc__
    rng = np.random.default_rng(int(six))
    drawn = [random_graph(rng, six) for _ in range(300)]
    factored = [p for p in drawn if found(p) is not None]
    for p in factored:
        require_factor(p)
    assert len(factored) / 300 == pytest.approx(search, abs=0.05)
    monkeypatch.setattr("theory.factor._search", lambda roots: np.zeros(2))
    assert np.mean([found(p) is not None for p in drawn]) == pytest.approx(root, abs=0.06)


@given(graphs().filter(lambda p: p.pairing != "matched" and is_positive_semidefinite(p)))
def test_three_level_graphs_the_degenerate_ones_included(p):
    """One sample or one kind of samples a class, pairs without weight; block, which has other data, too."""
    assume(found(p) is not None)
    require_factor(p)


@given(st.integers(0, 2**32 - 1))
def test_six_levels_of_any_factor_are_found_or_called_undecided(seed):
    """Random graphs that an augmentation does produce: none is called impossible."""
    rng = np.random.default_rng(seed)
    n, classes = int(rng.integers(2, 6)), int(rng.integers(2, 5))
    n_d = int(rng.integers(1, n))
    own, other = (module.Densities(*values) for values in rng.exponential(size=(2, 2)) * [[1], [0.3]])
    columns = tuple(
        Column(name, classes * count, float(rng.exponential(3)), own, other, (1, n - n_d, n_d, 0, 0))
        for name, count in (("easy", n - n_d), ("difficult", n_d))
    )
    sizes = SixLevels((0, 0, 0), (0, 0, 0), n, classes, n_d)
    b = dense(sizes, columns)
    weights = b @ b.T
    scale = np.sqrt(weights.diagonal())
    weights = weights / scale[:, None] / scale
    last = n - 1
    within = weights[n_d, last] if n - n_d > 1 else 0, weights[0, last], weights[0, n_d - 1] if n_d > 1 else 0
    p = SixLevels(within, (weights[last, n + last], weights[0, n + last], weights[0, n]), n, classes, n_d)
    np.testing.assert_allclose(p.weights.matrix(p), weights, atol=1e-12)
    if found(p) is not None:
        require_factor(p)


def test_clean_graphs_have_the_least_labelling_error():
    p = GraphParameters(0.5, 0.2, 0.2, 4, 3, 2, "any")
    assert labelling_error(factor(p)) == pytest.approx(least_labelling_error(formulas.cross_mass(p), p.r))


def test_one_sample_a_class_by_hand():
    """Two classes of one sample, (u − s)² = 3/4 and (u + s)² = 5/4."""
    (column,) = factor(SixLevels((0, 0, 0), (0, 0, Fraction(1, 4)), 1, 2, 1))
    u, s = (np.sqrt(1.25) + np.sqrt(0.75)) / 2, (np.sqrt(1.25) - np.sqrt(0.75)) / 2
    assert (column.name, column.count, column.itself) == ("difficult", 2, 0)
    assert (column.own.difficult, column.other.difficult) == (pytest.approx(u), pytest.approx(s))
    assert labelling_error((column,)) == pytest.approx(s / (u + s))


def test_pairs_without_weight_have_no_datum_in_common():
    """Pairing any with β = 0: where easy samples of two classes would meet, all entries must vanish."""
    p = GraphParameters(0.5, 0.0, 0.1, 6, 3, 2, "any")
    require_factor(p)
    assert factor(p)[0].other.easy == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("samples", [5000, 10**9])
def test_large_graphs_keep_their_weights(samples):
    """Two easy samples of a class, and of two classes, over all columns."""
    p = GraphParameters(0.5, 0.05, 0.05 + 0.05 / samples, samples, 10, samples // 10, "any")
    columns = factor(p)
    easy = columns[0]
    within, across = 2 * easy.itself * easy.own.easy, 2 * easy.itself * easy.other.easy
    for column, samples_of_kind in zip(columns, (p.n - p.n_d, p.n_d), strict=True):
        own, other = column.own.easy, column.other.easy
        within += samples_of_kind * (own * own + p.r * other * other)
        across += samples_of_kind * other * (2 * own + (p.r - 1) * other)
    assert within == pytest.approx(p.alpha, rel=1e-9)
    assert across == pytest.approx(p.beta, rel=1e-9)


@pytest.mark.parametrize("p", [ANY, TURNED, SIX])
def test_examples(p):
    require_factor(p)


def test_the_symmetric_root_comes_first(monkeypatch):
    monkeypatch.setattr("theory.factor._search", lambda roots: pytest.fail("searched"))
    p = GraphParameters(0.5, 0.2, 0.21, 6, 3, 2, "any")
    b = dense(p, factor(p))
    np.testing.assert_allclose(b, b.T, atol=1e-15)


@pytest.mark.parametrize(
    ("p", "error", "message"),
    [
        (UNDECIDED, ParameterError, "whether an augmentation produces it is undecided"),
        (replace(SIX, across=(0.05, 0.1, -0.1)), NotRealisable, "violates weights >= 0: no augmentation"),
        (replace(SIX, across=(0.05, 0.4, 0.1)), NotRealisable, "violates a positive semidefinite graph"),
        (replace(ANY, alpha=0.95, beta=0.01, gamma=0.9), NotRealisable, "gamma <= "),
        (replace(REFERENCE, pairing="matched"), ParameterError, "pairing = matched violates a graph of six levels"),
    ],
)
def test_what_has_no_factor_is_said_in_one_line(p, error, message):
    with pytest.raises(ParameterError, match=message) as raised:
        factor(p)
    assert type(raised.value) is error
    assert "\n" not in str(raised.value)


def test_levels_of_pairs_that_there_are_not_may_be_negative():
    p = SixLevels((0.5, 0.4, -0.9), (0.05, 0.05, 0.05), 4, 3, 1)
    require_factor(p)
