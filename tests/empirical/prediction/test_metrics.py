import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize

from empirical.prediction.evidence import largest_evidence, logme
from empirical.prediction.metrics import (
    METRICS,
    cdnv,
    class_alignment,
    directional_cdnv,
    h_score,
    h_score_shrunk,
    measure_metric,
    measure_metrics,
    spread_uniformity,
)
from empirical.prediction.spectra import alpha_req, lidar, nesum, rankme
from tests.empirical.prediction.worlds import gaussian
from theory.checks import ParameterError


def orthogonal(rows, columns, seed=0):
    return np.linalg.qr(np.random.default_rng(seed).standard_normal((rows, columns)))[0]


def with_covariance(values, rows=400):
    """Features whose covariance has exactly these eigenvalues."""
    x = np.random.default_rng(0).standard_normal((rows, len(values)))
    x -= x.mean(axis=0)
    u = np.linalg.svd(x, full_matrices=False)[0]
    return u * np.sqrt(np.multiply(values, rows - 1)) @ orthogonal(len(values), len(values)).T + 3


# --- spectra ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("rank", [1, 3, 8])
def test_rankme_of_equal_singular_values_is_the_rank(rank):
    assert rankme(orthogonal(20, rank) @ orthogonal(10, rank, 1).T) == pytest.approx(rank)


def test_rankme_equals_the_papers_sum():
    x = gaussian()[0]
    values = np.sqrt(np.linalg.eigvalsh(x.T @ x))
    shares = [value / sum(values) + 1e-7 for value in values]
    assert rankme(x) == pytest.approx(np.exp(-sum(p * np.log(p) for p in shares)), rel=1e-4)
    assert rankme(np.zeros((5, 3))) is None


@given(st.floats(0.2, 3))
def test_alpha_req_finds_the_exponent(alpha):
    assert alpha_req(with_covariance(np.arange(1, 13) ** -alpha)) == pytest.approx(alpha, abs=1e-6)


def test_alpha_req_is_numpys_straight_line():
    values = np.array([5.0, 4.0, 1.0, 0.5, 0.01])
    slope = np.polyfit(np.log(np.arange(1, 6)), np.log(values), 1)[0]
    assert alpha_req(with_covariance(values)) == pytest.approx(-slope)
    assert alpha_req(np.random.default_rng(0).standard_normal((20, 1))) is None


def test_nesum_is_the_sum_over_the_largest():
    assert nesum(with_covariance([4.0, 2.0, 1.0])) == pytest.approx(7 / 4)
    assert nesum(with_covariance([3.0] * 5)) == pytest.approx(5)
    assert nesum(np.ones((5, 3))) is None


def test_lidar_of_equally_discriminated_directions_is_their_number():
    """Means on a simplex, the same noise about each: all four directions count alike, whatever their scale."""
    simplex = (np.eye(5) - 1 / 5) @ np.linalg.svd(np.eye(5) - 1 / 5)[0][:, :4]
    noise = np.concatenate([np.eye(4), -np.eye(4)])
    x = np.concatenate([10 * mean + noise for mean in simplex])
    objects = np.repeat(np.arange(5), 8)
    assert lidar(x, objects) == pytest.approx(4)
    assert lidar(x * [1, 2, 5, 10], objects) == pytest.approx(4, rel=1e-3)


def test_lidar_equals_the_loop():
    x, objects = gaussian(classes=9, width=4, per_class=6)
    within, between, overall = (
        np.zeros((4, 4)),
        np.zeros((4, 4)),
        np.mean([x[objects == i].mean(0) for i in range(9)], 0),
    )
    for i in range(9):
        mean = x[objects == i].mean(axis=0)
        within += sum(np.outer(row - mean, row - mean) for row in x[objects == i]) / 5 / 9
        between += np.outer(mean - overall, mean - overall)
    values = np.linalg.eigvals(np.linalg.solve(within + 1e-4 * np.eye(4), between)).real
    shares = values / values.sum()
    assert lidar(x, objects) == pytest.approx(np.exp(-(shares * np.log(shares)).sum()))


# --- evidence --------------------------------------------------------------------------------------


def evidence_of_features(f, y, alpha, beta):
    """log N(y; 0, I/β + FFᵀ/α) per sample: the marginal itself."""
    covariance = np.eye(len(f)) / beta + f @ f.T / alpha
    _, determinant = np.linalg.slogdet(covariance)
    return -(len(f) * np.log(2 * np.pi) + determinant + y @ np.linalg.solve(covariance, y)) / (2 * len(f))


@pytest.mark.parametrize(("rows", "width"), [(40, 3), (40, 39), (10, 25)])
def test_evidence_is_the_marginal_and_its_maximum_that_of_a_search(rows, width):
    generator = np.random.default_rng(1)
    f = generator.standard_normal((rows, width)) * np.geomspace(2, 0.2, width)
    y = f[:, 0] - 0.5 * f[:, 1] + generator.standard_normal(rows)
    u, singular, _ = np.linalg.svd(f, full_matrices=False)
    along = (u.T @ y) ** 2
    found, alpha, beta = largest_evidence(singular**2, along, y @ y - along.sum(), rows, width)
    assert found == pytest.approx(evidence_of_features(f, y, alpha, beta))
    searched = [
        minimize(lambda p: -evidence_of_features(f, y, *np.exp(p)), start, method="Nelder-Mead", tol=1e-10).fun
        for start in ([0, 0], [3, -1], [-2, 2])
    ]
    assert found == pytest.approx(-min(searched), abs=1e-6)


def test_logme_is_the_mean_over_the_classes():
    x, labels = gaussian(classes=3, width=4, per_class=20)
    wanted = []
    for c in range(3):
        y = (labels == c).astype(float)
        search = minimize(
            lambda p, y=y: -evidence_of_features(x, y, *np.exp(p)), [0, 0], method="Nelder-Mead", tol=1e-10
        )
        wanted.append(-search.fun)
    assert logme(x, labels) == pytest.approx(np.mean(wanted), abs=1e-6)


def test_logme_stays_finite_where_labels_are_features():
    labels = np.repeat([0, 1], 10)
    assert np.isfinite(logme(np.eye(2)[labels], labels))
    assert np.isfinite(logme(np.zeros((20, 3)), labels))


# --- of labels -------------------------------------------------------------------------------------


def test_h_score_of_perfect_and_of_no_features():
    labels = np.arange(60) % 4
    assert h_score(np.eye(4)[labels], labels) == pytest.approx(3)  # C − 1
    noise = np.random.default_rng(0).standard_normal((60_000, 5))
    assert h_score(noise, np.arange(60_000) % 4) == pytest.approx(0, abs=0.002)


def test_h_scores_equal_their_definitions():
    from sklearn.covariance import ledoit_wolf

    x, labels = gaussian(per_class=[20, 30, 40, 50])
    means = np.array([x[labels == c].mean(axis=0) for c in labels])
    between = np.cov(means, rowvar=False)
    assert h_score(x, labels) == pytest.approx(np.trace(np.linalg.inv(np.cov(x, rowvar=False)) @ between))
    covariance, shrinkage = ledoit_wolf(x)
    shrunk = np.trace(np.linalg.inv(covariance) @ between) * (1 - shrinkage)
    assert h_score_shrunk(x, labels) == pytest.approx(shrunk)
    assert h_score(x[:, :1], labels) > 0  # one feature


def test_cdnv_of_known_classes():
    """Two points at distance 1 about means 10 apart: variance 1 over 100, and 0 or all of it along the way."""
    across = np.array([[0.0, 1], [0, -1], [10, 1], [10, -1]])
    along = np.array([[-1.0, 0], [1, 0], [9, 0], [11, 0]])
    labels = np.array([0, 0, 1, 1])
    assert cdnv(across, labels) == cdnv(along, labels) == pytest.approx(0.01)
    assert directional_cdnv(across, labels) == 0
    assert directional_cdnv(along, labels) == pytest.approx(0.01)


def test_cdnv_equals_the_loop():
    x, labels = gaussian(per_class=[10, 20, 30], classes=3)
    groups = [x[labels == c] for c in range(3)]
    plain, directed = [], []
    for i in range(3):
        for j in range(3):
            if i != j:
                step = groups[i].mean(axis=0) - groups[j].mean(axis=0)
                spread = [np.mean([((row - g.mean(axis=0)) ** 2).sum() for row in g]) for g in (groups[i], groups[j])]
                plain.append(sum(spread) / 2 / (step @ step))
                directed.append(np.var(groups[i] @ step / np.linalg.norm(step)) / (step @ step))
    assert cdnv(x, labels) == pytest.approx(np.mean(plain))
    assert directional_cdnv(x, labels) == pytest.approx(np.mean(directed))
    assert cdnv(np.zeros((4, 2)), np.array([0, 0, 1, 1])) is None


def test_alignment_and_uniformity_equal_the_double_loop():
    x, labels = gaussian(classes=3, width=4, per_class=7)
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    pairs = [(i, j) for i in range(21) for j in range(21) if i != j]
    own = [((unit[i] - unit[j]) ** 2).sum() for i, j in pairs if labels[i] == labels[j]]
    assert class_alignment(x, labels) == pytest.approx(np.mean(own))
    every = [np.exp(-2 * ((unit[i] - unit[j]) ** 2).sum()) for i, j in pairs]
    assert spread_uniformity(x, labels) == pytest.approx(np.log(np.mean(every)))
    x[3] = 0
    assert class_alignment(x, labels) is spread_uniformity(x, labels) is None


# --- all of them -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", METRICS)
def test_each_says_whether_it_reads_labels_and_which_direction_is_better(name):
    """Classes drawn apart are better features; labels exchanged are another result only if they are read."""
    near, labels = gaussian(per_class=100, distance=4.0)
    far, _ = gaussian(per_class=100, distance=12.0)
    metric = METRICS[name]
    wrong = np.random.default_rng(0).permutation(labels)
    assert (metric.function(near, wrong) == metric.function(near, labels)) != metric.uses_labels
    if metric.uses_labels and name != "lidar":  # a share of directions, which does not grow with their distance
        assert (metric.function(far, labels) > metric.function(near, labels)) == metric.larger_is_better


def test_the_direction_of_measures_without_labels():
    flat, steep = with_covariance([1.0] * 8), with_covariance(np.geomspace(1, 1e-4, 8))
    labels = np.arange(400) % 2
    for name in ("rankme", "nesum", "alpha_req", "uniformity"):
        metric = METRICS[name]
        better, worse = (metric.function(x - x.mean(axis=0), labels) for x in (flat, steep))
        assert (better > worse) == metric.larger_is_better


def test_without_labels_only_those_that_need_none():
    x, labels = gaussian()
    found = measure_metrics(x, None)
    assert {name for name, value in found.items() if value is None} == {n for n, m in METRICS.items() if m.uses_labels}
    assert measure_metrics(x, labels * 3 + 1) == measure_metrics(x, labels)
    assert measure_metric("logme", x, labels) == logme(x, labels)


@pytest.mark.parametrize(
    ("x", "labels", "message"),
    [
        (np.array([[1.0], [np.nan]]), None, "features = NaN or infinity in row 1 violates finite numbers"),
        (np.ones((1, 3)), None, "features = shape .1, 3. violates a matrix of two or more rows"),
        (np.ones((4, 3)), np.arange(3), "labels = 3 labels violates one for each of 4 rows"),
    ],
)
def test_bad_input_is_refused_with_its_reason(x, labels, message):
    with pytest.raises(ParameterError, match=message):
        measure_metrics(x, labels)


def test_an_unknown_measure_suggests_the_nearest():
    with pytest.raises(ParameterError, match=r"metric = logm violates one of .*did you mean logme\?"):
        measure_metric("logm", np.eye(3), None)
