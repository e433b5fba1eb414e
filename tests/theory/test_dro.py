import json
import math
import subprocess
import sys
from fractions import Fraction

import mpmath
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import optimize, stats

from theory.checks import ParameterError
from theory.dro import (
    adnce,
    chi2_worst_case,
    equal_radius_temperature,
    gaussian_infonce,
    joint_worst_case,
    kl_worst_case,
    radius_limit,
    radius_with_positive,
    robust_radius,
    robust_temperature,
    soft_maximum,
    soft_maximum_expansion,
    temperature_accuracy,
    temperature_expansion,
    tilted,
)
from theory.dro.__main__ import main

REAL = np.array([0.7, -0.2, 0.1, 0.35, 0.0, 0.35, -0.6])
TIED = [0.5, 0.5, 0.1, -0.3]


@st.composite
def problems(draw):
    """Integer similarities, not constant where the integer weights are positive."""
    samples = draw(st.lists(st.tuples(st.integers(-20, 20), st.integers(0, 5)), min_size=2, max_size=7))
    f, weights = zip(*samples, strict=True)
    assume(len({value for value, weight in samples if weight > 0}) > 1)
    return np.array(f), np.array(weights)


def normalised(weights):
    return np.asarray(weights) / np.sum(weights)


def kl(q, q0):
    return sum(a * math.log(a / b) for a, b in zip(q, q0, strict=True) if a > 0)


def chi2(q, q0):
    return sum((a - b) ** 2 / b for a, b in zip(q, q0, strict=True) if b > 0)


def check_primal(worst, divergence, f, weights, eta):
    """The reported distribution is feasible, on the sphere and has the reported value."""
    q0 = normalised(weights)
    assert worst.distribution.sum() == pytest.approx(1, abs=1e-12)
    assert (worst.distribution >= 0).all()
    assert (worst.distribution[q0 == 0] == 0).all()
    assert divergence(worst.distribution, q0) == pytest.approx(eta, rel=1e-9, abs=1e-12)
    assert worst.distribution @ f == pytest.approx(worst.value, abs=1e-10)


# --- the KL ball -----------------------------------------------------------------------------------


def naive_kl_dual(f, weights, tau, eta):
    return tau * eta + tau * math.log(normalised(weights) @ np.exp((f - f.max()) / tau)) + f.max()


@given(problems(), st.floats(1e-3, 0.999))
def test_kl_worst_case_attains_its_dual(problem, share):
    """Feasible for both, with equal values: that proves both optimal."""
    f, weights = problem
    eta = share * radius_limit(f, weights)
    worst = kl_worst_case(f, eta, weights)
    check_primal(worst, kl, f, weights, eta)
    assert worst.value == pytest.approx(naive_kl_dual(f, weights, worst.tau, eta), abs=1e-9)
    assert worst.limit == radius_limit(f, weights)
    for factor in (0.5, 0.99, 1.01, 2):
        assert worst.value <= naive_kl_dual(f, weights, factor * worst.tau, eta) + 1e-9


@given(problems(), st.floats(-3, 2))
def test_radius_and_temperature_are_inverse(problem, exponent):
    f, weights = problem
    tau = 10**exponent * np.ptp(f[weights > 0])
    eta = robust_radius(f, tau, weights)
    distribution = tilted(f, tau, weights)
    assert eta == pytest.approx(kl(distribution, normalised(weights)), rel=1e-8, abs=1e-12)
    expected = normalised(weights) * np.exp(np.minimum(f - f[weights > 0].max(), 0) / tau)
    np.testing.assert_allclose(distribution, expected / expected.sum(), rtol=1e-10, atol=1e-300)
    if eta < (1 - 1e-6) * radius_limit(f, weights):
        assert robust_temperature(f, eta, weights) == pytest.approx(tau, rel=1e-9)


@given(st.fractions(Fraction(1, 100), Fraction(1, 2)), st.fractions(Fraction(11, 20), Fraction(99, 100)))
def test_two_values_in_closed_form(share, tilted_share):
    """f is 0 or 1 with Q0(1) = p; Q*(1) = s > p has τ = 1/(logit s − logit p)."""
    p, s = float(share), float(tilted_share)
    eta = s * math.log(s / p) + (1 - s) * math.log((1 - s) / (1 - p))
    tau = 1 / (math.log(s / (1 - s)) - math.log(p / (1 - p)))
    worst = kl_worst_case([0, 1], eta, [1 - p, p])
    assert worst.value == pytest.approx(s, rel=1e-10)
    assert worst.tau == pytest.approx(tau, rel=1e-9)
    assert robust_radius([0, 1], tau, [1 - p, p]) == pytest.approx(eta, rel=1e-10)


@pytest.mark.parametrize("tau", [1e9, 1e5, 1e3, 10, 1, 0.1, 0.02, 0.011])
def test_radius_against_high_precision(tau):
    """Relative to the radius at high temperatures, to the distance from the limit at low ones."""
    with mpmath.workdps(80):
        f = [mpmath.mpf(float(value)) for value in REAL]
        total = sum(mpmath.exp(value / mpmath.mpf(tau)) for value in f)
        q = [mpmath.exp(value / mpmath.mpf(tau)) / total for value in f]
        exact = sum(a * mpmath.log(a * len(f)) for a in q)
        missing = mpmath.log(len(f)) - exact
    eta = robust_radius(REAL, tau)
    assert eta == pytest.approx(float(exact), rel=1e-13)
    assert radius_limit(REAL) - eta == pytest.approx(float(missing), rel=1e-9, abs=4e-16)
    assert robust_temperature(REAL, eta) == pytest.approx(tau, rel=1e-8 if missing > 1e-6 else 1e-1)


def test_radius_falls_from_its_limit_to_zero():
    taus = np.geomspace(0.02, 1e8, 60)
    radii = [robust_radius(TIED, tau) for tau in taus]
    assert (np.diff(radii) < 0).all()
    assert radii[0] == pytest.approx(math.log(2), abs=1e-6)
    assert radii[-1] < 1e-16
    assert robust_radius(TIED, 1e-40) == radius_limit(TIED) == math.log(2)


def test_radii_up_to_their_limit_have_a_temperature():
    for count in (3, 49, 1000):
        f = np.linspace(-1, 1, count)
        assert radius_limit(f) == math.log(count)
        tau = robust_temperature(f, math.nextafter(math.log(count), 0))
        assert 0 < tau < 2 / (count - 1)
        assert robust_temperature(f, 1e-300) == pytest.approx(f.std() / math.sqrt(2e-300), rel=1e-9)


@pytest.mark.parametrize("f", [REAL, np.array(TIED)])
@pytest.mark.parametrize("excess", [0, 1e-12, 1, 1e9])
def test_at_and_beyond_the_limit_the_worst_case_is_the_maximum(f, excess):
    eta = radius_limit(f) + excess
    assert eta >= -math.log((f == f.max()).mean()) - 1e-15
    worst = kl_worst_case(f, eta)
    assert worst.value == f.max()
    assert worst.tau == 0
    np.testing.assert_array_equal(worst.distribution, (f == f.max()) / (f == f.max()).sum())
    with pytest.raises(ParameterError, match=rf"eta = .* violates 0 < eta < {worst.limit} = -log Q0"):
        robust_temperature(f, eta)


@pytest.mark.parametrize("solve", [kl_worst_case, chi2_worst_case])
def test_degenerate_balls(solve):
    point = solve(REAL, 0)
    assert point.value == pytest.approx(REAL.mean())
    assert point.tau == math.inf
    np.testing.assert_allclose(point.distribution, 1 / 7)
    for eta in (0, 0.1):
        constant = solve([0.3, 0.3, 0.3], eta)
        assert (constant.value, constant.tau, constant.limit) == (0.3, 0, 0)
        np.testing.assert_allclose(constant.distribution, 1 / 3)


def test_samples_of_weight_zero_do_not_count():
    weights = [1, 1, 0, 1]
    assert radius_limit([0.1, 0.2, 9, 0.2], weights) == pytest.approx(math.log(3 / 2))
    for solve in (kl_worst_case, chi2_worst_case):
        full, part = solve([0.1, 0.2, 9, -0.4], 0.3, weights), solve([0.1, 0.2, -0.4], 0.3)
        assert (full.value, full.tau) == pytest.approx((part.value, part.tau))
        np.testing.assert_allclose(full.distribution, np.insert(part.distribution, 2, 0))


def test_similarities_and_temperatures_far_apart_do_not_overflow():
    f = np.array([1e6, 0, -1e6])
    assert soft_maximum(f, 1e-3) == pytest.approx(1e6)
    assert soft_maximum(f, 1e30) == pytest.approx(0, abs=1e-4)
    assert robust_radius(f, 1e-3) == math.log(3)
    assert robust_radius(f, 1e30) == pytest.approx(f.var() / 2e60)


# --- the χ² ball -----------------------------------------------------------------------------------


def naive_chi2_dual(f, weights, tau, eta):
    """The dual minimised over ν by a root search for E w = 1."""
    q0 = normalised(weights)

    def density(nu):
        return np.maximum(1 + (f - nu) / tau, 0)

    low, high = f.min() - tau, f.max() + tau
    nu = optimize.brentq(lambda nu: q0 @ density(nu) - 1, low, high, xtol=1e-13)
    return tau * eta / 2 + nu + tau / 2 * (q0 @ (density(nu) ** 2 - 1))


@given(problems(), st.floats(1e-3, 0.999))
def test_chi2_worst_case_attains_its_dual(problem, share):
    f, weights = problem
    limit = 1 / normalised(weights)[f == f[weights > 0].max()].sum() - 1
    eta = share * limit
    worst = chi2_worst_case(f, eta, weights)
    check_primal(worst, chi2, f, weights, eta)
    assert worst.limit == pytest.approx(limit)
    assert worst.value == pytest.approx(naive_chi2_dual(f, weights, worst.tau, eta), abs=1e-8)
    for factor in (0.5, 0.99, 1.01, 2):
        assert worst.value <= naive_chi2_dual(f, weights, factor * worst.tau, eta) + 1e-8


@given(problems(), st.fractions(Fraction(1, 20), 200, max_denominator=20))
def test_chi2_worst_case_against_exact_fractions(problem, tau):
    """From τ, the density (1 + (f − ν)/τ)₊ and its χ² are rational; the solver must find τ back."""
    f, weights = problem
    samples = [(Fraction(int(v)), Fraction(int(w), int(weights.sum()))) for v, w in zip(f, weights, strict=True)]
    values = sorted({value for value, weight in samples if weight}, reverse=True)
    top = sum(weight for value, weight in samples if value == values[0])
    assume(tau > (values[0] - values[1]) * top)
    for smallest in values:  # the support is an upper set: try them all
        mass = sum(weight for value, weight in samples if value >= smallest)
        nu = tau * (1 - 1 / mass) + sum(weight * value for value, weight in samples if value >= smallest) / mass
        density = [max(Fraction(0), 1 + (value - nu) / tau) for value, _ in samples]
        if sum(weight * w for (_, weight), w in zip(samples, density, strict=True)) == 1:
            break
    else:
        raise AssertionError("some upper set is the support")
    eta = sum(weight * (w - 1) ** 2 for (_, weight), w in zip(samples, density, strict=True))
    value = sum(weight * w * value for (value, weight), w in zip(samples, density, strict=True))
    worst = chi2_worst_case(f, float(eta), weights)
    assert worst.value == pytest.approx(float(value), rel=1e-9, abs=1e-9)
    assert worst.tau == pytest.approx(float(tau), rel=1e-6)


def test_small_chi2_balls_have_the_variance_as_penalty():
    mean, variance = REAL.mean(), REAL.var()
    binding = variance / (mean - REAL.min()) ** 2
    for eta in (1e-8, 0.5 * binding, binding):
        worst = chi2_worst_case(REAL, eta)
        assert worst.value == pytest.approx(mean + math.sqrt(eta * variance), rel=1e-12)
        assert worst.tau == pytest.approx(math.sqrt(variance / eta), rel=1e-9)
    assert chi2_worst_case(REAL, 0.99 * binding).distribution.min() > 0
    beyond = chi2_worst_case(REAL, 1.01 * binding)
    assert beyond.distribution.min() == 0
    assert beyond.value < mean + math.sqrt(1.01 * binding * variance)


def test_chi2_reaches_the_maximum_at_a_positive_multiplier():
    """Unlike KL: the limit of τ is (max f − second)·Q0(max)."""
    near = chi2_worst_case(TIED, 1 - 1e-12)
    assert near.limit == 1
    assert near.tau == pytest.approx((0.5 - 0.1) / 2, rel=1e-5)
    assert near.value == pytest.approx(0.5, abs=1e-9)
    assert chi2_worst_case(TIED, math.nextafter(1, 0)).value == pytest.approx(0.5, abs=1e-9)
    assert chi2_worst_case(TIED, 1)[:2] == (0.5, 0)


def test_chi2_multiplier_is_that_of_half_the_kl_radius():
    for eta in (1e-4, 1e-6):
        ratio = chi2_worst_case(REAL, 2 * eta).tau / kl_worst_case(REAL, eta).tau
        assert ratio == pytest.approx(1, abs=5 * math.sqrt(eta))


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(("solve", "divergence"), [(kl_worst_case, kl), (chi2_worst_case, chi2)])
def test_worst_cases_against_a_generic_optimiser(solve, divergence, seed):
    generator = np.random.default_rng(seed)
    f, q0 = generator.uniform(-1, 1, 4), generator.dirichlet(np.ones(4))
    limit = solve(f, 0, q0).limit
    eta = limit * (0.05, 0.2, 0.5, 0.9)[seed % 4]
    for tolerance in (1e-12, 1e-10, 1e-8):  # the line search can fail at the finest that rounding allows
        found = optimize.minimize(
            lambda q: -(q @ f),
            q0,
            method="SLSQP",
            bounds=[(1e-12, 1)] * 4,
            constraints=[
                {"type": "eq", "fun": lambda q: q.sum() - 1},
                {"type": "ineq", "fun": lambda q: eta - divergence(q, q0)},
            ],
            options={"ftol": tolerance, "maxiter": 500},
        )
        if found.success:
            break
    assert found.success
    worst = solve(f, eta, q0)
    assert worst.value == pytest.approx(-found.fun, abs=1e-6)
    np.testing.assert_allclose(worst.distribution, found.x, atol=2e-4)


# --- expansions ------------------------------------------------------------------------------------


def cumulants(f, weights):
    q = normalised(weights)
    centred = f - q @ f
    second, third, fourth = (q @ centred**k for k in (2, 3, 4))
    return q @ f, second, third, fourth - 3 * second**2


@given(problems())
def test_expansions_miss_only_the_next_term(problem):
    f, weights = problem
    mean, second, third, fourth = cumulants(f, weights)
    width = np.ptp(f[weights > 0])
    tau = 3000 * width
    expansion = soft_maximum_expansion(f, tau, weights)
    assert expansion.terms == pytest.approx((mean, second / (2 * tau), third / (6 * tau**2)), rel=1e-9, abs=1e-12)
    assert expansion.error == pytest.approx(-fourth / (24 * tau**3), abs=1e-3 * width**4 / tau**3 + 1e-13)

    eta = 1e-6 * second / width**2
    leading = math.sqrt(second / (2 * eta))
    expansion = temperature_expansion(f, eta, weights)
    assert expansion.terms == pytest.approx((leading, third / (3 * second)), rel=1e-9, abs=1e-12)
    assert expansion.exact == robust_temperature(f, eta, weights)
    following = fourth / (8 * second) - third**2 / (6 * second**2)
    scale = width**4 / second  # bounds every coefficient; the next term is smaller by width/τ
    assert expansion.error == pytest.approx(-following / leading, abs=scale / leading * 0.05 + 1e-10 * leading)


def test_expansion_errors_have_the_stated_orders():
    errors = [temperature_expansion(REAL, 1e-4 / 4**k).error for k in range(3)]
    assert errors[0] / errors[1] == pytest.approx(2, rel=0.05)
    assert errors[1] / errors[2] == pytest.approx(2, rel=0.05)
    errors = [soft_maximum_expansion(REAL, 20 * 2**k).error for k in range(3)]
    assert errors[0] / errors[1] == pytest.approx(8, rel=0.05)
    assert errors[1] / errors[2] == pytest.approx(8, rel=0.05)


# --- InfoNCE and mutual information ----------------------------------------------------------------


def test_infonce_agrees_with_its_definition():
    rho, dimension, count = -0.6, 2, 5
    result = gaussian_infonce(rho, dimension, samples=count, batches=3, seed=4)
    generator = np.random.default_rng(4)
    joint = stats.multivariate_normal(np.zeros(2), [[1, rho], [rho, 1]])
    batches = []
    for _ in range(3):
        x = generator.standard_normal((count, dimension))
        y = rho * x + math.sqrt(1 - rho**2) * generator.standard_normal((count, dimension))
        terms = []
        for i in range(count):
            ratios = []
            for j in range(count):
                pairs = [joint.pdf([a, b]) / stats.norm.pdf(a) / stats.norm.pdf(b) for a, b in zip(x[i], y[j])]  # noqa: B905
                ratios.append(math.prod(pairs))
            terms.append(math.log(ratios[i] / np.mean(ratios)))
        batches.append(np.mean(terms))
    assert result.estimate == pytest.approx(np.mean(batches), rel=1e-10)
    assert result.standard_error == pytest.approx(np.std(batches, ddof=1) / math.sqrt(3), rel=1e-10)
    assert result.true == pytest.approx(-math.log(1 - rho**2))
    assert result.limit == math.log(5)


@pytest.mark.parametrize(("rho", "dimension", "samples"), [(0, 3, 16), (0.5, 1, 256), (-0.7, 1, 64), (0.3, 8, 256)])
def test_infonce_finds_a_small_mutual_information(rho, dimension, samples):
    """true − χ²/K <= E estimate <= true: Jensen's inequality given the positive pair, χ² = E w − 1."""
    result = gaussian_infonce(rho, dimension, samples, batches=60)
    bias = ((1 - rho**2) ** -dimension - 1) / samples
    noise = 5 * result.standard_error + 1e-12
    assert result.true - bias - noise <= result.estimate <= result.true + noise


def test_infonce_cannot_exceed_the_log_of_the_samples():
    results = [gaussian_infonce(0.95, 20, samples, batches=5) for samples in (2, 16, 128)]
    for result in results:
        assert result.true > 20
        assert result.estimate <= result.limit
        assert result.estimate == pytest.approx(result.limit, abs=0.01)
    short = gaussian_infonce(0.9, 3, samples=8, batches=200)
    assert short.true > short.limit > short.estimate + 5 * short.standard_error


def test_infonce_depends_on_nothing_but_its_arguments():
    first, same, other = (gaussian_infonce(0.5, 2, 16, 4, seed) for seed in (0, 0, 1))
    assert first == same
    assert first.estimate != other.estimate
    assert first.true == other.true


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rho": 1}, "rho = 1 violates -1 < rho < 1"),
        ({"rho": math.nan}, "rho = nan"),
        ({"dimension": 0}, "dimension = 0 violates an integer >= 1"),
        ({"samples": 1}, "samples = 1 violates an integer >= 2"),
        ({"batches": 1}, "batches = 1 violates an integer >= 2"),
        ({"seed": -1}, "seed = -1"),
    ],
)
def test_infonce_checks_its_arguments(change, message):
    with pytest.raises(ParameterError, match=message):
        gaussian_infonce(**{"rho": 0.5, **change})


# --- ADNCE -----------------------------------------------------------------------------------------


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=9), st.floats(0.05, 2), st.floats(-1, 1), st.floats(0.1, 2))
def test_adnce_agrees_with_its_definition(f, tau, mu, sigma):
    f = np.array(f)
    result = adnce(f, tau, mu, sigma)
    weights = np.exp(-((f - mu) ** 2) / (2 * sigma**2))
    weights /= weights.mean()
    np.testing.assert_allclose(result.weights, weights, rtol=1e-9)
    expected = weights * np.exp(f / tau)
    expected /= expected.sum()
    np.testing.assert_allclose(result.distribution, expected, rtol=1e-9)
    assert result.divergence == pytest.approx(kl(expected, np.full(len(f), 1 / len(f))), abs=1e-12)
    assert result.effective == pytest.approx(len(f) * math.exp(-result.divergence), rel=1e-9)
    centred = np.exp(-((f - result.peak) ** 2 - (f - result.peak).min() ** 2) / (2 * sigma**2))
    np.testing.assert_allclose(result.distribution / result.distribution.max(), centred / centred.max(), rtol=1e-9)
    np.testing.assert_allclose(result.distribution, tilted(f, tau, weights), rtol=1e-9)


@pytest.mark.parametrize(
    ("tau", "mu", "sigma", "peak"), [(0.4, 0.7, 0.5, 1.325), (0.3, 0.5, 1, 23 / 6), (0.2, 0.8, 1, 5.8)]
)
def test_the_authors_settings_still_favour_the_most_similar_negatives(tau, mu, sigma, peak):
    result = adnce(np.linspace(-1, 1, 21), tau, mu, sigma)
    assert result.peak == pytest.approx(peak)
    assert (np.diff(result.distribution) > 0).all()


def test_adnce_tends_to_infonce_for_wide_weights_and_to_one_negative_for_narrow_ones():
    wide = adnce(REAL, 0.3, 0.5, 1e6)
    np.testing.assert_allclose(wide.distribution, tilted(REAL, 0.3), rtol=1e-9)
    assert wide.divergence == pytest.approx(robust_radius(REAL, 0.3), rel=1e-9)
    narrow = adnce(REAL, 0.3, 0.1, 1e-6)
    assert narrow.effective == pytest.approx(1)
    assert narrow.divergence == pytest.approx(math.log(7))
    assert narrow.distribution @ REAL == pytest.approx(0.1)


# --- arguments -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: radius_limit([]), r"similarities = array of shape \(0,\) violates a non-empty vector"),
        (lambda: radius_limit([[1.0]]), r"similarities = array of shape \(1, 1\)"),
        (lambda: radius_limit([1, math.nan]), r"similarities = \[nan\] violates finite numbers"),
        (lambda: radius_limit([1, -math.inf]), r"similarities = \[-inf\]"),
        (lambda: radius_limit([1, 2], [1, 2, 3]), r"weights = array of shape \(3,\) violates the similarities' shape"),
        (lambda: radius_limit([1, 2], [1, -1]), "weights = -1 to 1 violates weights >= 0, not all 0"),
        (lambda: radius_limit([1, 2], [0, 0]), "weights = 0 to 0 violates"),
        (lambda: radius_limit([1, 2], [0, math.inf]), r"weights = \[inf\]"),
        (lambda: robust_radius(REAL, 0), "tau = 0 violates tau > 0"),
        (lambda: tilted(REAL, -1), "tau = -1 violates tau > 0"),
        (lambda: soft_maximum(REAL, math.nan), "tau = nan violates"),
        (lambda: soft_maximum(REAL, math.inf), "tau = inf violates"),
        (lambda: robust_radius([0.5, 0.5], 1), "similarities = all 0.5 violates not constant"),
        (lambda: robust_temperature([0.5], 1), "similarities = all 0.5 violates not constant"),
        (lambda: robust_temperature([1, 2], 0), "eta = 0 violates 0 < eta < 0.693"),
        (lambda: robust_temperature([1, 2], math.nan), "eta = nan violates"),
        (lambda: temperature_expansion([1, 2], 1), "eta = 1 violates 0 < eta < 0.693"),
        (lambda: kl_worst_case(REAL, -0.1), "eta = -0.1 violates a finite number >= 0"),
        (lambda: chi2_worst_case(REAL, math.inf), "eta = inf violates a finite number >= 0"),
        (lambda: adnce(REAL, 0, 0, 1), "tau = 0 violates"),
        (lambda: adnce(REAL, 1, 0, 0), "width = 0 violates width > 0"),
        (lambda: adnce(REAL, 1, math.nan, 1), "mu = nan violates"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ParameterError, match=message):
        call()


# --- command ---------------------------------------------------------------------------------------


@pytest.fixture
def matrix(tmp_path, monkeypatch):
    """Cosines of 12 unit vectors, NaN at each anchor itself and its positive, in the current folder."""
    monkeypatch.chdir(tmp_path)
    vectors = np.random.default_rng(0).standard_normal((12, 4))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = vectors @ vectors.T
    anchor = np.arange(12)
    cosines[anchor, anchor] = cosines[anchor, (anchor + 6) % 12] = np.nan
    np.save("F.npy", cosines)
    return cosines


def output(capsys, *arguments):
    assert main(["--similarities", "F.npy", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_report_summarises_the_anchors(matrix, capsys):
    report = output(capsys, "--tau", ".5", "--mu", ".7", "--width", ".5")
    assert set(report) == {"schema", "parameters", "similarities", "anchors", "summary", "warnings", "adnce"}
    assert report["schema"] == "difficult-examples/dro/2"
    assert report["parameters"] == {"tau": 0.5, "eta": None, "mu": 0.7, "width": 0.5}
    assert (report["anchors"], report["warnings"]) == (12, [])
    rows = [row[~np.isnan(row)] for row in matrix]
    expected = {
        "negatives": [10] * 12,
        "tau": [0.5] * 12,
        "eta": [robust_radius(f, 0.5) for f in rows],
        "eta_limit": [math.log(10)] * 12,
        "effective_negatives": [math.exp(stats.entropy(tilted(f, 0.5))) for f in rows],
        "mean": [f.mean() for f in rows],
        "worst_case_mean": [kl_worst_case(f, robust_radius(f, 0.5)).value for f in rows],
        "largest": [f.max() for f in rows],
        "temperature_leading_relative_error": [
            temperature_expansion(f, robust_radius(f, 0.5)).errors[0] / 0.5 for f in rows
        ],
        "temperature_expansion": [temperature_expansion(f, robust_radius(f, 0.5)).value for f in rows],
        "temperature_expansion_error": [temperature_expansion(f, robust_radius(f, 0.5)).error for f in rows],
        "soft_maximum": [soft_maximum(f, 0.5) for f in rows],
        "soft_maximum_expansion": [soft_maximum_expansion(f, 0.5).value for f in rows],
        "soft_maximum_expansion_error": [soft_maximum_expansion(f, 0.5).error for f in rows],
        "adnce_divergence": [adnce(f, 0.5, 0.7, 0.5).divergence for f in rows],
        "adnce_effective_negatives": [adnce(f, 0.5, 0.7, 0.5).effective for f in rows],
        "adnce_mean": [adnce(f, 0.5, 0.7, 0.5).distribution @ f for f in rows],
        "adnce_peak": [0.7 + 0.25 / 0.5] * 12,
    }
    assert list(report["summary"]) == list(expected)
    for name, values in expected.items():
        summary = report["summary"][name]
        assert list(summary) == ["mean", "q05", "q25", "median", "q75", "q95"]
        quantiles = np.quantile(values, [0.05, 0.25, 0.5, 0.75, 0.95])
        assert list(summary.values()) == pytest.approx([np.mean(values), *quantiles], rel=1e-9, abs=1e-12), name


def test_both_directions_agree(matrix, capsys):
    np.save("F.npy", matrix[0][~np.isnan(matrix[0])].astype(np.float32))
    forward = output(capsys, "--tau", ".3")
    assert forward["anchors"] == 1
    back = output(capsys, "--eta", str(forward["summary"]["eta"]["mean"]))
    for name, summary in forward["summary"].items():
        assert back["summary"][name]["mean"] == pytest.approx(summary["mean"], rel=1e-8, abs=1e-12)
    assert "adnce_mean" not in forward["summary"]


def test_text_has_a_line_for_every_number_of_the_report(matrix, capsys):
    report = output(capsys, "--eta", ".2", "--mu", "-.1", "--width", "1")
    assert main(["--similarities", "F.npy", "--eta", ".2", "--mu", "-.1", "--width", "1"]) == 0
    out = capsys.readouterr().out
    assert "anchors = 12   eta = 0.2   mu = -0.1   width = 1" in out
    for summary in report["summary"].values():
        assert "".join(f"{value:>11.4g}" for value in summary.values()) in out


@pytest.fixture
def rows(matrix):
    return [row[~np.isnan(row)] for row in matrix]


def test_one_temperature_for_all_anchors(rows, capsys):
    report = output(capsys, "--eta", ".3", "--joint")
    joint, ball = report["joint"], joint_worst_case(rows, 0.3)
    separate = [kl_worst_case(f, 0.3) for f in rows]
    accuracy = temperature_accuracy(rows, ball.tau)
    assert joint == {
        "tau": pytest.approx(ball.tau),
        "eta": pytest.approx(0.3, rel=1e-9),
        "eta_limit": pytest.approx(ball.limit),
        "worst_case_mean": pytest.approx(ball.value),
        "separate_tau": pytest.approx(np.mean([one.tau for one in separate])),
        "separate_worst_case_mean": pytest.approx(np.mean([one.value for one in separate])),
        "mean_variance_relative_error": pytest.approx(accuracy.mean_variance),
        "pooled_variance_relative_error": pytest.approx(accuracy.pooled_variance),
        "two_terms_relative_error": pytest.approx(accuracy.two_terms),
    }
    tau, eta = report["summary"]["tau"], report["summary"]["eta"]
    assert tau["q05"] == tau["q95"] == joint["tau"]
    assert eta["q05"] < 0.29 < 0.31 < eta["q95"]
    assert eta["mean"] == joint["eta"]
    assert joint["worst_case_mean"] > joint["separate_worst_case_mean"]
    back = output(capsys, "--tau", str(joint["tau"]), "--joint")
    assert back["joint"] == pytest.approx(joint, rel=1e-8)
    assert back["summary"]["eta"] == pytest.approx(eta, rel=1e-8)


def test_a_vector_is_one_anchor_for_the_joint_ball_too(matrix, rows, capsys):
    np.save("F.npy", rows[0])
    joint, alone = output(capsys, "--eta", ".3", "--joint"), output(capsys, "--eta", ".3")
    tau = pytest.approx(alone["summary"]["tau"]["mean"])
    assert (joint["joint"]["tau"], joint["joint"]["separate_tau"]) == (tau, tau)


def test_positives_by_file_and_by_column(rows, capsys):
    positives = np.linspace(0.5, 0.9, 12)
    np.save("P.npy", positives)
    by_file = output(capsys, "--tau", ".3", "--positive", "P.npy")
    found = [radius_with_positive(f, positive, 0.3) for f, positive in zip(rows, positives, strict=True)]
    for name, values in {
        "eta": [one.negatives for one in found],
        "positive": positives,
        "positive_share": [one.share for one in found],
        "eta_with_positive": [one.all for one in found],
        "effective_with_positive": [
            math.exp(stats.entropy(tilted([*f, b], 0.3))) for f, b in zip(rows, positives, strict=True)
        ],
    }.items():
        assert by_file["summary"][name]["mean"] == pytest.approx(np.mean(values)), name
    np.save("F.npy", np.insert(np.array(rows), 3, positives, axis=1))
    by_column = output(capsys, "--tau", ".3", "--positive", "3")
    assert by_column["summary"] == by_file["summary"]
    assert (by_file["positive"], by_column["positive"]) == ("P.npy", "3")
    np.save("F.npy", np.insert(rows[0], 3, 0.5))
    one = output(capsys, "--tau", ".3", "--positive", "3")
    assert one["summary"]["eta_with_positive"]["mean"] == pytest.approx(found[0].all)


def test_control_arm_of_adnce(rows, capsys):
    report = output(capsys, "--tau", ".4", "--mu", ".7", "--width", ".5")
    assert report["adnce"] == {
        "eta": pytest.approx(report["summary"]["adnce_divergence"]["mean"]),
        "equal_radius_tau": pytest.approx(equal_radius_temperature(rows, 0.4, 0.7, 0.5)),
    }
    narrow = ["--tau", ".4", "--mu", "0", "--width", "1e-4"]
    np.save("F.npy", np.array([[0.5, 0.5, 0.0], [0.4, 0.4, 0.0]]))
    assert output(capsys, *narrow)["adnce"]["equal_radius_tau"] is None
    assert main(["--similarities", "F.npy", *narrow]) == 0
    assert capsys.readouterr().out.splitlines()[-1].split() == ["τ", "of", "the", "InfoNCE", "that", "has", "it", "—"]


def test_text_of_the_joint_ball_has_every_number(matrix, capsys):
    np.save("P.npy", np.full(12, 0.8))
    options = ["--eta", ".2", "--joint", "--positive", "P.npy", "--mu", ".7", "--width", ".5"]
    report = output(capsys, *options)
    assert main(["--similarities", "F.npy", *options]) == 0
    out = capsys.readouterr().out
    for summary in report["summary"].values():
        assert "".join(f"{value:>11.4g}" for value in summary.values()) in out
    for value in (*report["joint"].values(), *report["adnce"].values()):
        assert f"{value:>9.4g}\n" in out


@pytest.mark.parametrize(
    ("content", "positive", "message"),
    [
        (REAL, "7", "positive = 7 violates a column, 0 to 6"),
        (REAL, "-1", "positive = -1 violates a column, 0 to 6"),
        (np.array([TIED, [0.1, np.nan, 0.2, 0.3]]), "1", "row 1: positive = nan violates a finite number"),
        (np.array([[0.1], [0.2]]), "0", "row 0: similarities = array of shape (0,) violates a non-empty vector"),
        (REAL, "missing.npy", "cannot read missing.npy: there is no file missing.npy in "),
        (REAL, "F.npy", "positive = array of shape (7,) violates one cosine an anchor, 1"),
        (np.array([TIED, TIED]), "F.npy", "positive = array of shape (2, 4) violates one cosine an anchor, 2"),
        (REAL, "words.npy", "positive = array of <U1 violates real numbers"),
    ],
)
def test_bad_positives_are_one_line_and_exit_code_2(content, positive, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("F.npy", content)
    np.save("words.npy", np.array(["a"]))
    assert main(["--similarities", "F.npy", "--tau", ".5", "--positive", positive]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert err.count("\n") == 1


def test_self_similarities_are_noticed(matrix, capsys):
    np.fill_diagonal(matrix, 1)
    np.save("F.npy", matrix)
    assert "set each anchor's similarity to itself" in output(capsys, "--tau", ".5")["warnings"][0]
    assert main(["--similarities", "F.npy", "--tau", ".5"]) == 0
    assert "warning: the diagonal is 1" in capsys.readouterr().out


def test_extreme_temperatures_are_reported(matrix, capsys):
    assert output(capsys, "--tau", "1e-6")["summary"]["eta"]["mean"] == pytest.approx(math.log(10))
    assert 0 < output(capsys, "--tau", "1e12")["summary"]["eta"]["mean"] < 1e-20


@pytest.mark.parametrize(
    ("content", "arguments", "message"),
    [
        (REAL, [], "exactly one of --tau and --eta is required"),
        (REAL, ["--tau", ".5", "--eta", ".1"], "exactly one of --tau and --eta is required"),
        (REAL, ["--tau", ".5", "--mu", ".1"], "--mu and --width come together"),
        (REAL, ["--tau", ".5", "--mu", ".1", "--width", "0"], "width = 0.0 violates width > 0"),
        (REAL, ["--tau", ".5", "--mu", "nan", "--width", "1"], "mu = nan violates a finite number"),
        (REAL, ["--tau", "x"], "--tau x: not a number"),
        (REAL, ["--tau", "0"], "tau = 0.0 violates tau > 0"),
        (REAL, ["--tau", "-1"], "tau = -1.0 violates tau > 0"),
        (REAL, ["--tau", "nan"], "tau = nan violates a finite number"),
        (REAL, ["--tau", "inf"], "tau = inf violates a finite number"),
        (REAL, ["--eta", "0"], "eta = 0.0 violates 0 < eta < 1.945910"),
        (REAL, ["--eta", "2"], "eta = 2.0 violates 0 < eta < 1.945910149055313"),
        (REAL, ["--tau", ".5", "--frobnicate"], "there is no option --frobnicate"),
        (REAL, ["--eta", "2", "--joint"], "eta = 2.0 violates 0 < eta < 1.945910149055313"),
        (
            np.array([TIED, [0.3] * 4]),
            ["--eta", ".1", "--joint"],
            "row 1: similarities = all 0.3 violates not constant",
        ),
        (np.array([[0.1, 0.2], [0.1, np.inf]]), ["--eta", ".1", "--joint"], "similarities = [inf] at row 1 violates"),
        (np.array([TIED, [0.1, 0.1, 0.2, 0.2]]), ["--eta", "1"], "row 0: eta = 1.0 violates 0 < eta < 0.693147"),
        (np.array([0.1, np.nan]), ["--tau", ".5"], "similarities = [nan] violates finite numbers"),
        (np.array([[0.1, 0.2], [0.1, np.inf]]), ["--tau", ".5"], "row 1: similarities = [inf] violates finite"),
        (np.array([[0.1, 0.2], [np.nan] * 2]), ["--tau", ".5"], "row 1: similarities = array of shape (0,) violates"),
        (np.array([[0.1, 0.2], [0.3, 0.3]]), ["--tau", ".5"], "row 1: similarities = all 0.3 violates not constant"),
        (np.full(4, 0.3), ["--tau", ".5"], "similarities = all 0.3 violates not constant"),
        (np.empty(0), ["--tau", ".5"], "similarities = array of shape (0,) violates a non-empty vector or matrix"),
        (np.empty((0, 3)), ["--tau", ".5"], "similarities = array of shape (0, 3) violates"),
        (np.empty((3, 0)), ["--tau", ".5"], "row 0: similarities = array of shape (0,) violates"),
        (np.array(0.5), ["--tau", ".5"], "similarities = array of shape () violates"),
        (np.zeros((2, 2, 2)), ["--tau", ".5"], "similarities = array of shape (2, 2, 2) violates"),
        (np.array(["a", "b"]), ["--tau", ".5"], "similarities = array of <U1 violates real numbers"),
        (np.array([1j, 2]), ["--tau", ".5"], "similarities = array of complex128 violates real numbers"),
        (np.array([True, False]), ["--tau", ".5"], "similarities = array of bool violates real numbers"),
        (np.array([{}, 1]), ["--tau", ".5"], "cannot read F.npy: it has Python objects, which are never loaded"),
        (b"", ["--tau", ".5"], "cannot read F.npy"),
        (b"0.1,0.2\n", ["--tau", ".5"], "cannot read F.npy"),
        (b"\x93NUMPY\x01\x00\x06\x00{'a':(", ["--tau", ".5"], "cannot read F.npy"),
        (None, ["--tau", ".5"], "cannot read F.npy: there is no file F.npy in "),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(content, arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if isinstance(content, bytes):
        (tmp_path / "F.npy").write_bytes(content)
    elif content is not None:
        np.save("F.npy", content)
    assert main(["--similarities", "F.npy", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert err.count("\n") == 1


def test_a_folder_or_a_truncated_file_is_refused(matrix, capsys, tmp_path):
    data = (tmp_path / "F.npy").read_bytes()
    (tmp_path / "half.npy").write_bytes(data[: len(data) // 2])
    for path in (".", "half.npy"):
        assert main(["--similarities", path, "--tau", ".5"]) == 2
        assert capsys.readouterr().err.startswith(f"error: cannot read {path}: ")
    assert main(["--tau", ".5"]) == 2
    assert "--similarities" in capsys.readouterr().err


def test_module_runs_as_a_command_without_torch(matrix):
    code = "import runpy, sys; sys.argv[1:] = ['--similarities', 'F.npy', '--tau', '.5']\n"
    code += f"sys.path.insert(0, {sys.path[0]!r})\n" if sys.path[0] else ""
    code += (
        "try:\n    runpy.run_module('theory.dro', run_name='__main__')\n"
        "except SystemExit as end:\n    sys.exit(end.code or 'torch' in sys.modules)\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "robust radius" in result.stdout
