"""One temperature for all anchors, the positive among the samples, the accuracy of expansions, ADNCE's temperature."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import optimize

from theory import dro
from theory.checks import ParameterError

ROWS = [np.array([0.7, -0.2, 0.1, 0.35]), np.array([0.3, 0.2, -0.5]), np.array([0.9, 0.9, 0.1, -0.3, 0.4])]


@st.composite
def batches(draw):
    """Rows of integer similarities and weights, and weights of the anchors; not all rows constant."""
    rows, weights = [], []
    for _ in range(draw(st.integers(1, 4))):
        samples = draw(st.lists(st.tuples(st.integers(-20, 20), st.integers(1, 5)), min_size=1, max_size=6))
        f, q = zip(*samples, strict=True)
        rows.append(np.array(f))
        weights.append(np.array(q))
    assume(any(np.ptp(f) > 0 for f in rows))
    anchors = draw(st.lists(st.integers(1, 4), min_size=len(rows), max_size=len(rows)))
    return rows, weights, np.array(anchors)


def kl(q, q0):
    return sum(a * math.log(a / b) for a, b in zip(q, np.asarray(q0) / np.sum(q0), strict=True) if a > 0)


def naive_dual(rows, weights, anchors, tau, eta):
    total = 0.0
    for f, q0, p in zip(rows, weights, anchors / anchors.sum(), strict=True):
        mean = sum(q / q0.sum() * math.exp((value - f.max()) / tau) for value, q in zip(f, q0, strict=True))
        total += p * (f.max() + tau * math.log(mean))
    return tau * eta + total


def limit(rows, weights, anchors):
    return anchors / anchors.sum() @ [dro.radius_limit(f, q) for f, q in zip(rows, weights, strict=True)]


# --- one ball for the mean divergence --------------------------------------------------------------


@given(batches(), st.floats(1e-3, 0.999))
def test_joint_worst_case_attains_its_dual(batch, share):
    """Feasible for both, with equal values: that proves both optimal."""
    rows, weights, anchors = batch
    p = anchors / anchors.sum()
    eta = share * limit(*batch)
    worst = dro.joint_worst_case(rows, eta, weights, anchors)
    used = [kl(q, q0) for q, q0 in zip(worst.distributions, weights, strict=True)]
    np.testing.assert_allclose(worst.radii, used, rtol=1e-8, atol=1e-12)
    assert p @ used == pytest.approx(eta, rel=1e-9)
    assert p @ [q @ f for q, f in zip(worst.distributions, rows, strict=True)] == pytest.approx(worst.value, abs=1e-9)
    assert all(q.sum() == pytest.approx(1, abs=1e-12) and q.min() >= 0 for q in worst.distributions)
    assert worst.value == pytest.approx(naive_dual(*batch, worst.tau, eta), abs=1e-9)
    for factor in (0.5, 0.99, 1.01, 2):
        assert worst.value <= naive_dual(*batch, factor * worst.tau, eta) + 1e-9
    assert worst.tau == dro.joint_temperature(rows, eta, weights, anchors)
    assert worst.limit == pytest.approx(limit(*batch))


@given(batches(), st.floats(-2, 2))
def test_joint_radius_agrees_with_a_loop_and_has_an_inverse(batch, exponent):
    rows, weights, anchors = batch
    tau = 10**exponent * max(np.ptp(f) for f in rows)
    loop = 0.0
    for f, q0, p in zip(rows, weights, anchors, strict=True):
        tilted = [q * math.exp((value - f.max()) / tau) for value, q in zip(f, q0, strict=True)]
        loop += p / anchors.sum() * kl([t / sum(tilted) for t in tilted], q0)
    eta = dro.joint_radius(rows, tau, weights, anchors)
    assert eta == pytest.approx(loop, rel=1e-8, abs=1e-12)
    if eta < (1 - 1e-6) * limit(*batch):
        assert dro.joint_temperature(rows, eta, weights, anchors) == pytest.approx(tau, rel=1e-8)


@given(batches(), st.floats(0.01, 1.2))
def test_one_ball_for_all_holds_the_product_of_separate_balls(batch, share):
    rows, weights, anchors = batch
    eta = share * limit(*batch)
    separate = [dro.kl_worst_case(f, eta, q).value for f, q in zip(rows, weights, strict=True)]
    joint = dro.joint_worst_case(rows, eta, weights, anchors)
    assert joint.value >= anchors / anchors.sum() @ separate - 1e-9
    alike = dro.joint_worst_case([rows[0]] * 3, eta, [weights[0]] * 3)
    alone = dro.kl_worst_case(rows[0], eta, weights[0])
    assert (alike.value, alike.tau) == pytest.approx((alone.value, alone.tau), rel=1e-9)


def test_anchors_that_differ_share_a_ball_unequally():
    worst = dro.joint_worst_case(ROWS, 0.2)
    assert np.ptp(worst.radii) > 0.1
    separate = [dro.kl_worst_case(f, 0.2) for f in ROWS]
    assert worst.value > np.mean([one.value for one in separate]) + 0.002
    assert min(one.tau for one in separate) < worst.tau < max(one.tau for one in separate)


@pytest.mark.parametrize("eta", [0, 0.01, 0.3, 1.3, 5])
def test_one_anchor_reduces_to_its_own_ball(eta):
    f = ROWS[0]
    alone = dro.kl_worst_case(f, eta, [1, 2, 3, 1])
    for rows, weights in (([f], [[1, 2, 3, 1]]), (f, [1, 2, 3, 1])):
        joint = dro.joint_worst_case(rows, eta, weights)
        assert (joint.value, joint.tau, joint.limit) == pytest.approx((alone.value, alone.tau, alone.limit))
        np.testing.assert_allclose(joint.distributions[0], alone.distribution, rtol=1e-9)
        assert joint.radii == pytest.approx([min(eta, alone.limit)], rel=1e-9, abs=1e-15)
    assert dro.joint_radius([f], 0.3) == dro.robust_radius(f, 0.3)
    assert dro.joint_temperature([f], 0.3) == pytest.approx(dro.robust_temperature(f, 0.3), rel=1e-12)


@pytest.mark.parametrize("tau", [0.2, 1, 4])
def test_two_values_in_closed_form(tau):
    """f is 0 or 1 with Q0_x(1) = p_x: all logits rise by 1/τ."""
    shares = np.array([0.1, 0.3, 0.6])
    tilted = 1 / (1 + (1 / shares - 1) * math.exp(-1 / tau))
    radii = tilted * np.log(tilted / shares) + (1 - tilted) * np.log((1 - tilted) / (1 - shares))
    weights = np.stack([1 - shares, shares], axis=1)
    worst = dro.joint_worst_case([[0, 1]] * 3, radii.mean(), weights)
    assert worst.tau == pytest.approx(tau, rel=1e-9)
    assert worst.value == pytest.approx(tilted.mean(), rel=1e-9)
    np.testing.assert_allclose(worst.radii, radii, rtol=1e-8)


@pytest.mark.parametrize("seed", range(6))
def test_joint_worst_case_against_a_generic_optimiser(seed):
    generator = np.random.default_rng(seed)
    rows, q0 = generator.uniform(-1, 1, (3, 3)), generator.dirichlet(np.ones(3) * 3, 3)
    p = generator.dirichlet(np.ones(3) * 3)
    eta = (0.05, 0.3, 0.7)[seed % 3] * limit(rows, q0, p)
    for tolerance in (1e-12, 1e-10, 1e-8):  # the line search can fail at the finest that rounding allows
        found = optimize.minimize(
            lambda q: -(p @ (q.reshape(3, 3) * rows).sum(axis=1)),
            q0.ravel(),
            method="SLSQP",
            bounds=[(1e-12, 1)] * 9,
            constraints=[
                {"type": "eq", "fun": lambda q: q.reshape(3, 3).sum(axis=1) - 1},
                {"type": "ineq", "fun": lambda q: eta - p @ (q.reshape(3, 3) * np.log(q.reshape(3, 3) / q0)).sum(1)},
            ],
            options={"ftol": tolerance, "maxiter": 500},
        )
        if found.success:
            break
    assert found.success
    worst = dro.joint_worst_case(rows, eta, q0, p)
    assert worst.value == pytest.approx(-found.fun, abs=1e-6)
    np.testing.assert_allclose(np.concatenate(worst.distributions), found.x, atol=5e-4)


def test_joint_radius_falls_from_its_limit_to_zero():
    taus = np.geomspace(0.02, 1e8, 40)
    radii = [dro.joint_radius(ROWS, tau) for tau in taus]
    assert (np.diff(radii) < 0).all()
    assert dro.joint_radius(ROWS, 1e-40) == pytest.approx(np.mean([math.log(4), math.log(3), math.log(5 / 2)]))
    assert radii[-1] < 1e-16
    values = [dro.joint_worst_case(ROWS, eta).value for eta in np.linspace(0, 1.1, 20)]
    assert (np.diff(values) > 0).all()


def test_degenerate_balls():
    point = dro.joint_worst_case(ROWS, 0)
    assert point.tau == math.inf
    assert point.value == pytest.approx(np.mean([f.mean() for f in ROWS]))
    assert (point.radii == 0).all()
    whole = dro.joint_worst_case(ROWS, point.limit)
    assert whole.tau == 0
    assert whole.value == pytest.approx(np.mean([0.7, 0.3, 0.9]))
    np.testing.assert_array_equal(whole.distributions[2], [0.5, 0.5, 0, 0, 0])
    assert whole.radii.mean() == whole.limit


def test_constant_anchors_use_none_of_the_radius():
    worst = dro.joint_worst_case([ROWS[0], [0.3, 0.3]], 0.1)
    assert worst.radii == pytest.approx([0.2, 0])
    assert worst.tau == pytest.approx(dro.robust_temperature(ROWS[0], 0.2), rel=1e-9)


def test_weights_of_anchors_count_them():
    twice = dro.joint_worst_case([ROWS[0], ROWS[0], ROWS[1]], 0.2)
    weighted = dro.joint_worst_case(ROWS, 0.2, anchor_weights=[2, 1, 0])
    assert (weighted.value, weighted.tau) == pytest.approx((twice.value, twice.tau), rel=1e-9)


# --- the positive in the denominator ---------------------------------------------------------------


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=9), st.floats(-1, 1), st.floats(0.05, 5))
def test_radius_with_the_positive(f, positive, tau):
    assume(np.ptp(f) > 1e-3)
    found = dro.radius_with_positive(f, positive, tau)
    exponentials = np.exp(np.array([*f, positive]) / tau)
    softmax = exponentials / exponentials.sum()
    count = len(f) + 1
    assert found.share == pytest.approx(softmax[-1], rel=1e-9)
    assert found.all == pytest.approx(kl(softmax, np.ones(count)), rel=1e-8, abs=1e-12)
    assert found.negatives == dro.robust_radius(f, tau)
    coins = kl([found.share, 1 - found.share], [1, count - 1])
    assert found.all == pytest.approx(coins + (1 - found.share) * found.negatives, rel=1e-8, abs=1e-12)
    # NT-Xent is a soft maximum over all samples, the positive among them
    loss = -math.log(found.share)
    assert loss == pytest.approx(
        math.log(count) + (dro.soft_maximum([*f, positive], tau) - positive) / tau, rel=1e-8, abs=1e-9
    )


def test_a_similar_positive_makes_the_whole_radius_larger():
    """An example in numbers: the radius of the softmax over the denominator is not that over the negatives."""
    f = np.random.default_rng(0).normal(0, 0.125, 126)
    found = dro.radius_with_positive(f, 0.9, 0.2)
    assert found.negatives == pytest.approx(0.176, abs=0.02)
    assert found.all > 3 * found.negatives


# --- how accurate √(V/2η) is -----------------------------------------------------------------------


def test_accuracy_of_the_leading_term_agrees_with_its_definition():
    tau = 0.3
    found = dro.temperature_accuracy(ROWS, tau)
    radii = np.array([dro.robust_radius(f, tau) for f in ROWS])
    for error, f, eta in zip(found.anchors, ROWS, radii, strict=True):
        assert error == pytest.approx(dro.temperature_expansion(f, eta).errors[0] / tau, rel=1e-7)
        assert error == pytest.approx(math.sqrt(f.var() / (2 * eta)) / tau - 1, rel=1e-9)
    variance = np.mean([f.var() for f in ROWS])
    third = np.mean([((f - f.mean()) ** 3).mean() for f in ROWS])
    pooled = variance + np.var([f.mean() for f in ROWS])
    leading = math.sqrt(variance / (2 * radii.mean()))
    assert found.mean_variance == pytest.approx(leading / tau - 1)
    assert found.pooled_variance == pytest.approx(math.sqrt(pooled / (2 * radii.mean())) / tau - 1)
    assert found.two_terms == pytest.approx((leading + third / (3 * variance)) / tau - 1)
    same = dro.temperature_accuracy([ROWS[0]] * 2, tau)
    assert same.mean_variance == pytest.approx(same.anchors[0])
    assert same.pooled_variance == pytest.approx(same.anchors[0])


def test_the_pooled_variance_does_not_become_accurate():
    """The error of the anchors' own variances falls as 1/τ; that of a pooled one has a floor, the means' spread."""
    own, pooled = [], []
    for tau in (10, 20, 40):
        found = dro.temperature_accuracy(ROWS, tau)
        own.append(found.mean_variance)
        pooled.append(found.pooled_variance)
        assert abs(found.two_terms) < 0.2 * abs(found.mean_variance)
    assert own[0] / own[1] == pytest.approx(2, rel=0.05)
    assert own[1] / own[2] == pytest.approx(2, rel=0.05)
    spread = np.var([f.mean() for f in ROWS]) / np.mean([f.var() for f in ROWS])
    assert pooled[-1] == pytest.approx(math.sqrt(1 + spread) - 1, abs=0.01)
    assert pooled[-1] > 0.05


# --- ADNCE -----------------------------------------------------------------------------------------


@given(st.floats(-1, 1), st.floats(0.05, 2), st.floats(-1, 1), st.floats(0.1, 2))
def test_local_temperature_is_the_inverse_slope_of_the_log_weight(f, tau, mu, sigma):
    """The log weight is a parabola, of which central differences are exact."""
    step = 0.01
    low, high = np.log(dro.adnce([f - step, f + step], tau, mu, sigma).distribution)
    temperature = dro.local_temperature([f], tau, mu, sigma)
    assert 1 / temperature == pytest.approx((high - low) / (2 * step), rel=1e-8, abs=1e-9)
    assert 1 / temperature == pytest.approx(1 / tau + (mu - f) / sigma**2, rel=1e-9, abs=1e-9)


def test_local_temperature_at_its_landmarks():
    tau, mu, sigma = 0.25, 0.5, 0.5
    peak = dro.adnce_peak(tau, mu, sigma)
    assert peak == 1.5 == dro.adnce([0.1], tau, mu, sigma).peak
    below, centre, at, beyond = dro.local_temperature([0, mu, peak, 2], tau, mu, sigma)
    assert below < centre == tau
    assert at == math.inf
    assert beyond == -0.5
    wide = dro.local_temperature(ROWS[0], tau, mu, 1e6)
    np.testing.assert_allclose(wide, tau, rtol=1e-9)
    assert dro.local_temperature(np.zeros((2, 3)), tau, mu, sigma).shape == (2, 3)


@pytest.mark.parametrize(("tau", "mu", "sigma"), [(0.4, 0.7, 0.5), (0.3, 0.5, 1), (0.2, 0.8, 1)])
def test_at_the_authors_settings_the_local_temperature_is_positive_everywhere(tau, mu, sigma):
    cosines = np.linspace(-1, 1, 41)
    assert dro.adnce_peak(tau, mu, sigma) > 1
    temperatures = dro.local_temperature(cosines, tau, mu, sigma)
    assert (np.diff(temperatures) > 0).all()
    assert temperatures[0] > 0


def test_control_arm_has_adnces_radius():
    tau, mu, sigma = 0.4, 0.7, 0.5
    control = dro.equal_radius_temperature(ROWS, tau, mu, sigma)
    radius = np.mean([dro.adnce(f, tau, mu, sigma).divergence for f in ROWS])
    assert dro.joint_radius(ROWS, control) == pytest.approx(radius, rel=1e-9)
    assert control < tau  # at this setting ADNCE goes further than InfoNCE
    assert dro.equal_radius_temperature(ROWS, tau, mu, 1e6) == pytest.approx(tau, rel=1e-6)
    assert dro.equal_radius_temperature(ROWS[0], tau, mu, sigma) == pytest.approx(
        dro.robust_temperature(ROWS[0], dro.adnce(ROWS[0], tau, mu, sigma).divergence), rel=1e-9
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: dro.joint_radius([], 1), "rows = no anchors violates at least one anchor"),
        (lambda: dro.joint_radius(ROWS, 0), "tau = 0 violates tau > 0"),
        (lambda: dro.joint_radius([[1, 2], [1, math.nan]], 1), r"similarities = \[nan\] at row 1 violates finite"),
        (lambda: dro.joint_radius([[1, 2], []], 1), r"similarities = array of shape \(0,\) at row 1"),
        (lambda: dro.joint_radius(ROWS, 1, [[1] * 4]), "weights = 1 rows violates one row an anchor, 3"),
        (lambda: dro.joint_radius([[1, 2]], 1, [[1, -1]]), "weights = -1 to 1 at row 0 violates weights >= 0"),
        (lambda: dro.joint_radius(ROWS, 1, None, [1, 2]), r"anchor_weights = array of shape \(2,\) violates"),
        (lambda: dro.joint_radius(ROWS, 1, None, [1, -1, 1]), "anchor_weights = -1 to 1 violates finite weights >= 0"),
        (lambda: dro.joint_radius(ROWS, 1, None, [0, 0, 0]), "anchor_weights = 0 to 0 violates"),
        (lambda: dro.joint_radius(ROWS, 1, None, [1, math.nan, 1]), "anchor_weights = nan"),
        (lambda: dro.joint_radius(ROWS, 1, None, [1, math.inf, 1]), "anchor_weights = 1 to inf"),
        (lambda: dro.joint_temperature(ROWS, 0), r"eta = 0 violates 0 < eta < 1.13373"),
        (lambda: dro.joint_temperature(ROWS, 2), "no temperature has this radius"),
        (lambda: dro.joint_temperature([[1, 1], [2]], 0.1), "eta = 0.1 violates 0 < eta < 0.0"),
        (lambda: dro.joint_worst_case(ROWS, -1), "eta = -1 violates a finite number >= 0"),
        (lambda: dro.radius_with_positive([1, 2], math.nan, 1), "positive = nan violates a finite number"),
        (lambda: dro.radius_with_positive([1, 1], 0, 1), "similarities = all 1 violates not constant"),
        (lambda: dro.temperature_accuracy([[1, 2], [1, 1]], 1), r"rows\[1\] = all 1 violates not constant"),
        (lambda: dro.local_temperature([math.nan], 1, 0, 1), r"cosines = \[nan\] violates finite numbers"),
        (lambda: dro.local_temperature([1], 0, 0, 1), "tau = 0 violates"),
        (lambda: dro.adnce_peak(1, math.inf, 1), "mu = inf violates a finite number"),
        (lambda: dro.equal_radius_temperature([[1, 2]], 1, 0, 0), "width = 0 violates width > 0"),
        (lambda: dro.equal_radius_temperature([[0.5, 0.5, 0]], 1, 0, 0.01), "no temperature has this radius"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ParameterError, match=message):
        call()
