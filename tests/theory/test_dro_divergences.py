"""Balls of any divergence against their definitions, and divergences estimated from poor critics."""

import math
from fractions import Fraction

import mpmath
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import optimize
from scipy.special import lambertw

from theory import dro
from theory.checks import ParameterError

REAL = np.array([0.7, -0.2, 0.1, 0.35, 0.0, 0.35, -0.6])
NAMES = ["kl", "chi2", "hellinger", "reverse_kl", "jensen_shannon"]
LOG = mpmath.log
PHI = {  # the definitions
    "kl": lambda t: t * LOG(t) - t + 1 if t else mpmath.mpf(1),
    "chi2": lambda t: (t - 1) ** 2,
    "hellinger": lambda t: (mpmath.sqrt(t) - 1) ** 2,
    "reverse_kl": lambda t: -LOG(t) + t - 1 if t else mpmath.inf,
    "jensen_shannon": lambda t: ((t * LOG(t) if t else 0) - (t + 1) * LOG((t + 1) / 2)) / 2,
}
SLOPE = {
    "kl": np.log,
    "chi2": lambda t: 2 * (t - 1),
    "hellinger": lambda t: 1 - 1 / np.sqrt(t),
    "reverse_kl": lambda t: 1 - 1 / t,
    "jensen_shannon": lambda t: np.log(2 * t / (t + 1)) / 2,
}

every_divergence = pytest.mark.parametrize("name", NAMES)


@st.composite
def problems(draw):
    """Integer similarities, not constant, and positive integer weights."""
    samples = draw(st.lists(st.tuples(st.integers(-20, 20), st.integers(1, 5)), min_size=2, max_size=7))
    f, weights = zip(*samples, strict=True)
    assume(len(set(f)) > 1)
    return np.array(f), np.array(weights)


def naive_divergence(q, q0, name):
    """With 40 digits, from the definition."""
    with mpmath.workdps(40):
        q0 = [mpmath.mpf(float(b)) for b in q0]
        total = sum(q0)
        return float(
            sum(b / total * PHI[name](mpmath.mpf(float(a)) * total / b) for a, b in zip(q, q0, strict=True) if b > 0)
        )


def naive_limit(f, weights, name):
    top = (f == f.max()) * weights
    return naive_divergence(top / top.sum(), weights, name)


# --- the divergences themselves --------------------------------------------------------------------


@every_divergence
def test_integrands_and_derivatives_agree_with_the_definitions(name):
    phi = dro.DIVERGENCES[name]
    with mpmath.workdps(40):
        for log_ratio in (-30, -2, -0.5, -1e-6, 1e-9, 0.3, 1, 5):
            exact = float(PHI[name](mpmath.exp(mpmath.mpf(log_ratio))))
            assert float(phi.integrand(np.array(float(log_ratio)))) == pytest.approx(exact, rel=1e-9)
        assert phi.curvature == pytest.approx(float(mpmath.diff(PHI[name], 1, 2)), rel=1e-9)
        assert phi.third == pytest.approx(float(mpmath.diff(PHI[name], 1, 3)), rel=1e-9, abs=1e-12)
        at_zero = float(PHI[name](mpmath.mpf(0)))
    assert float(phi.integrand(np.array(-np.inf))) == pytest.approx(at_zero)
    assert phi.edge == pytest.approx(SLOPE[name](1e14), rel=1e-6) or phi.edge == math.inf


@every_divergence
def test_conjugates_are_the_largest_differences(name):
    """φ*(y) = sup_t ty − φ(t), attained where φ′(t) = y."""
    phi = dro.DIVERGENCES[name]
    ratios = np.geomspace(1e-8, 200, 20000)
    values = phi.integrand(np.log(ratios))
    for share in (-1.5, -0.4, 0.1, 0.5, 0.9):
        y = share * min(phi.edge, 3)
        exact = float(phi.conjugate(np.array(y)))
        assert exact == pytest.approx((y * ratios - values).max(), abs=1e-4)
        assert exact >= (y * ratios - values).max() - 1e-12
        log_ratio = phi.log_ratio(0.0, np.array(y))
        assert y * math.exp(log_ratio) - phi.integrand(log_ratio) == pytest.approx(exact, rel=1e-9)


@every_divergence
@given(st.floats(0, 4), st.floats(-3, 0))
def test_log_ratios_are_steps_along_the_slope(name, a, d):
    t = math.exp(dro.DIVERGENCES[name].log_ratio(a, np.array(d)))
    if t > 0:
        assert SLOPE[name](t) == pytest.approx(SLOPE[name](math.exp(a)) + d, rel=1e-8, abs=1e-8)


@every_divergence
def test_divergence_of_two_distributions(name):
    q, q0 = [0.2, 0.5, 0.3], [1, 1, 3]
    assert dro.phi_divergence(q, q0, name) == pytest.approx(naive_divergence(q, q0, name), rel=1e-12)
    assert dro.phi_divergence(q0, q0, name) == 0
    part = dro.phi_divergence([0, 1, 1], q0, name)
    assert part == pytest.approx(naive_divergence([0, 0.5, 0.5], q0, name))
    outside = dro.phi_divergence([1, 1, 0], [0, 1, 1], name)
    bounded = {"hellinger": 2 - 2 * 0.5, "jensen_shannon": math.log(2) / 2}
    assert outside == pytest.approx(bounded.get(name, math.inf))


@pytest.mark.parametrize(
    ("name", "exact"),
    [
        ("kl", lambda m: m * m / 2),
        ("reverse_kl", lambda m: m * m / 2),
        ("chi2", lambda m: math.exp(m * m) - 1),
        ("hellinger", lambda m: 2 - 2 * math.exp(-m * m / 8)),
    ],
)
def test_gaussians_in_closed_form(name, exact):
    x = np.linspace(-12, 14, 6001)
    for mean in (0.3, 1.5):
        p, q = np.exp(-((x - mean) ** 2) / 2), np.exp(-(x**2) / 2)
        assert dro.phi_divergence(p, q, name) == pytest.approx(exact(mean), rel=1e-9)


# --- worst cases -----------------------------------------------------------------------------------


@every_divergence
@given(problem=problems(), share=st.floats(1e-3, 0.999))
def test_worst_case_attains_its_dual(name, problem, share):
    """Feasible for both, with equal values: that proves both optimal."""
    f, weights = problem
    limit = naive_limit(f, weights, name)
    eta = share * min(limit, 3)
    worst = dro.phi_worst_case(f, eta, name, weights)
    assert worst.limit == pytest.approx(limit)
    q0 = weights / weights.sum()
    assert worst.distribution.sum() == pytest.approx(1, abs=1e-12)
    assert worst.distribution.min() >= 0
    assert naive_divergence(worst.distribution, q0, name) == pytest.approx(eta, rel=1e-7)
    assert worst.distribution @ f == pytest.approx(worst.value, abs=1e-10)
    top = f.argmax()
    shift = f.max() - worst.tau * SLOPE[name](worst.distribution[top] / q0[top])
    conjugate = dro.DIVERGENCES[name].conjugate((f - shift) / worst.tau)
    assert worst.value == pytest.approx(shift + worst.tau * (eta + q0 @ conjugate), abs=1e-7)


@given(problems(), st.floats(1e-3, 0.999))
def test_worst_cases_agree_with_the_solutions_of_their_own(problem, share):
    f, weights = problem
    eta = share * dro.radius_limit(f, weights)
    general, own = dro.phi_worst_case(f, eta, "kl", weights), dro.kl_worst_case(f, eta, weights)
    assert general[:2] == pytest.approx(own[:2], rel=1e-8, abs=1e-9)
    np.testing.assert_allclose(general.distribution, own.distribution, atol=1e-8)
    assert general.limit == pytest.approx(own.limit)
    eta = share * dro.chi2_worst_case(f, 0, weights).limit
    general, own = dro.phi_worst_case(f, eta, "chi2", weights), dro.chi2_worst_case(f, eta, weights)
    assert general.value == pytest.approx(own.value, abs=1e-9)
    assert 2 * general.tau == pytest.approx(own.tau, rel=1e-7)
    np.testing.assert_allclose(general.distribution, own.distribution, atol=1e-8)


@every_divergence
@given(st.fractions(Fraction(1, 50), Fraction(1, 2)), st.fractions(Fraction(11, 20), Fraction(49, 50)))
def test_two_values_in_closed_form(name, share, tilted):
    """f is 0 or 1 with Q0(1) = p: the only distribution on the sphere is that of s > p; τ is the slope difference."""
    p, s = float(share), float(tilted)
    eta = naive_divergence([1 - s, s], [1 - p, p], name)
    worst = dro.phi_worst_case([0, 1], eta, name, [1 - p, p])
    assert worst.value == pytest.approx(s, rel=1e-9)
    slope = SLOPE[name]
    assert worst.tau == pytest.approx(1 / (slope(s / p) - slope((1 - s) / (1 - p))), rel=1e-7)


@every_divergence
@pytest.mark.parametrize("seed", range(4))
def test_worst_case_against_a_generic_optimiser(name, seed):
    generator = np.random.default_rng(seed)
    f, q0 = generator.uniform(-1, 1, 4), generator.dirichlet(np.ones(4) * 2)
    eta = (0.05, 0.2, 0.5, 0.9)[seed] * min(naive_limit(f, q0, name), 2)

    def divergence(q):
        return q0 @ dro.DIVERGENCES[name].integrand(np.log(q / q0))

    for tolerance in (1e-12, 1e-10, 1e-8):  # the line search can fail at the finest that rounding allows
        found = optimize.minimize(
            lambda q: -(q @ f),
            q0,
            method="SLSQP",
            bounds=[(1e-12, 1)] * 4,
            constraints=[
                {"type": "eq", "fun": lambda q: q.sum() - 1},
                {"type": "ineq", "fun": lambda q: eta - divergence(q)},
            ],
            options={"ftol": tolerance, "maxiter": 500},
        )
        if found.success:
            break
    assert found.success
    worst = dro.phi_worst_case(f, eta, name, q0)
    assert worst.value == pytest.approx(-found.fun, abs=2e-6)
    np.testing.assert_allclose(worst.distribution, found.x, atol=1e-3)


@every_divergence
def test_degenerate_and_extreme_balls(name):
    point = dro.phi_worst_case(REAL, 0, name)
    assert (point.value, point.tau) == (pytest.approx(REAL.mean()), math.inf)
    constant = dro.phi_worst_case([0.3, 0.3], 0.1, name)
    assert (constant.value, constant.tau, constant.limit) == (0.3, 0, 0)
    limit = dro.phi_worst_case(REAL, 0, name).limit
    if name == "reverse_kl":
        assert limit == math.inf
        assert dro.phi_worst_case(REAL, 100, name).value == pytest.approx(0.7)
        with pytest.raises(ParameterError, match="eta = 1000.0 violates a radius whose worst case fits floats"):
            dro.phi_worst_case(REAL, 1000.0, name)
        return
    for eta in (limit, 2 * limit):
        assert dro.phi_worst_case(REAL, eta, name)[:2] == (0.7, 0)
    assert dro.phi_worst_case(REAL, math.nextafter(limit, 0), name).value == pytest.approx(0.7)


@every_divergence
def test_worst_means_grow_with_the_radius_like_its_root(name):
    """E f + √(2ηV/φ″(1)) for small radii."""
    curvature = dro.DIVERGENCES[name].curvature
    for eta in (1e-12, 1e-9):
        gain = dro.phi_worst_case(REAL, eta, name).value - REAL.mean()
        assert gain == pytest.approx(math.sqrt(2 * eta * REAL.var() / curvature), rel=1e-3)
    limit = min(naive_limit(REAL, np.ones(7), name), 4)
    values = [dro.phi_worst_case(REAL, eta, name).value for eta in np.linspace(0, 0.99 * limit, 20)]
    assert (np.diff(values) > 0).all()


def test_similarities_and_temperatures_far_apart_do_not_overflow():
    f = np.array([1e6, 0, -1e6])
    for name in NAMES:
        assert dro.phi_soft_maximum(f, 1e-3, name) == pytest.approx(1e6)
        assert dro.phi_soft_maximum(f, 1e30, name) == pytest.approx(0, abs=1e-4)


# --- soft maxima and their expansions --------------------------------------------------------------


@every_divergence
@given(problem=problems(), exponent=st.floats(-2, 2))
def test_soft_maximum_is_the_minimum_over_shifts(name, problem, exponent):
    f, weights = problem
    tau = 10**exponent * np.ptp(f)
    value = dro.phi_soft_maximum(f, tau, name, weights)
    q0 = weights / weights.sum()
    phi = dro.DIVERGENCES[name]

    def dual(shift):
        return shift + tau * (q0 @ phi.conjugate((f - shift) / tau))

    low = f.max() - tau * min(phi.edge, 30) * (1 - 1e-9)
    found = optimize.minimize_scalar(dual, bounds=(low, f.max() + 1e-9), method="bounded", options={"xatol": 1e-10})
    assert value == pytest.approx(found.fun, abs=1e-5 * np.ptp(f))
    assert value <= dual(found.x) + 1e-9 * (1 + abs(value))
    assert q0 @ f - 1e-9 <= value <= f.max() + 1e-9


def test_soft_maximum_of_kl_is_infonces():
    for tau in (0.05, 0.5, 50):
        assert dro.phi_soft_maximum(REAL, tau, "kl") == pytest.approx(dro.soft_maximum(REAL, tau), rel=1e-9)
        general, own = dro.phi_soft_maximum_expansion(REAL, tau, "kl"), dro.soft_maximum_expansion(REAL, tau)
        assert general.terms == pytest.approx(own.terms, rel=1e-12)


def test_expansions_have_the_documented_factors():
    third = ((REAL - REAL.mean()) ** 3).mean()
    factors = {"kl": 1, "chi2": 0, "hellinger": 6, "reverse_kl": 2, "jensen_shannon": 24}
    for name, factor in factors.items():
        terms = dro.phi_soft_maximum_expansion(REAL, 2, name).terms
        curvature = dro.DIVERGENCES[name].curvature
        assert terms == pytest.approx((REAL.mean(), REAL.var() / (4 * curvature), factor * third / 24), abs=1e-15)


@pytest.mark.parametrize("name", ["kl", "hellinger", "reverse_kl", "jensen_shannon"])
def test_expansion_errors_have_the_stated_orders(name):
    first, second, third = np.array([dro.phi_soft_maximum_expansion(REAL, 100 * 2**k, name).errors for k in range(3)]).T
    for errors, ratio in ((first, 2), (second, 4), (third, 8)):
        assert errors[0] / errors[1] == pytest.approx(ratio, rel=0.1)
        assert errors[1] / errors[2] == pytest.approx(ratio, rel=0.1)


def test_the_expansion_of_chi2_is_exact_until_a_weight_is_cut_off():
    binding = (REAL.mean() - REAL.min()) / 2  # φ*′ reaches 0 at (f − E f)/τ = −2
    for tau in (binding, 1, 10):
        assert dro.phi_soft_maximum_expansion(REAL, tau, "chi2").error == pytest.approx(0, abs=1e-15)
    assert abs(dro.phi_soft_maximum_expansion(REAL, 0.8 * binding, "chi2").error) > 1e-4


# --- estimates from poor critics -------------------------------------------------------------------


def gaussians(mean):
    """Two unit Gaussians on a grid: outcomes, P and Q."""
    x = np.linspace(-10, 12, 4001)
    return x, np.exp(-((x - mean) ** 2) / 2), np.exp(-(x**2) / 2)


@pytest.mark.parametrize("mean", [0.5, 1, 2])
def test_a_linear_critic_without_intercept_on_gaussians(mean):
    """log dP/dQ = mx − m²/2 has an intercept: restricted, a linear critic is exact at a = m; plain, a·e^(a²/2) = m."""
    x, p, q = gaussians(mean)
    found = dro.scaled_variational_estimate(x, x, "kl", p, q)
    assert found.restricted == pytest.approx(mean**2 / 2, rel=1e-8)
    assert found.restricted_scale == pytest.approx(mean, rel=1e-6)
    scale = math.sqrt(lambertw(mean**2).real)
    assert found.plain_scale == pytest.approx(scale, rel=1e-6)
    assert found.plain == pytest.approx(scale * mean - mean / scale + 1, rel=1e-8)
    assert found.plain < found.restricted * 0.95


@every_divergence
def test_the_best_critic_needs_no_restriction(name):
    """f = φ′(dP/dQ): both estimates are the divergence."""
    p, q = np.array([0.2, 0.5, 0.2, 0.1]), np.array([0.3, 0.2, 0.4, 0.1])
    critic = SLOPE[name](p / q)
    exact = naive_divergence(p, q, name)
    assert dro.variational_estimate(critic, critic, name, p, q) == pytest.approx((exact, exact), rel=1e-9)
    scaled = dro.scaled_variational_estimate(critic, critic, name, p, q)
    assert scaled == pytest.approx((exact, exact, 1, 1), rel=1e-6)


@every_divergence
@given(
    critic=st.lists(st.floats(-2, 2), min_size=4, max_size=4),
    p=st.lists(st.integers(1, 9), min_size=4, max_size=4),
    q=st.lists(st.integers(1, 9), min_size=4, max_size=4),
)
def test_restriction_tightens_every_critic(name, critic, p, q):
    found = dro.variational_estimate(critic, critic, name, p, q)
    exact = naive_divergence(np.array(p) / sum(p), q, name)
    assert found.plain <= found.restricted + 1e-9
    assert found.restricted <= exact + 1e-9
    shifted = dro.variational_estimate(np.add(critic, 0.3), np.add(critic, 0.3), name, p, q)
    assert shifted.restricted == pytest.approx(found.restricted, abs=1e-9)  # it does not see shifts


@every_divergence
@pytest.mark.parametrize("mean", [0.5, 1.5])
def test_a_clipped_critic_gains_by_restriction(name, mean):
    """The log ratio, clipped and off by a constant: a critic that knows the order of outcomes, not the level."""
    x, p, q = gaussians(mean)
    critic = np.clip(mean * x - mean**2 / 2, -1, 1) + 0.5
    found = dro.scaled_variational_estimate(critic, critic, name, p, q)
    exact = dro.phi_divergence(p, q, name)
    assert 0 <= found.plain < found.restricted < exact
    assert found.restricted - found.plain > 0.002 * found.plain
    for scale in np.linspace(0.01, 3, 40) * max(found.restricted_scale, 0.1):
        other = dro.variational_estimate(scale * critic, scale * critic, name, p, q)
        assert other.plain <= found.plain + 1e-9
        assert other.restricted <= found.restricted + 1e-9


def test_critics_outside_the_domain_have_no_plain_estimate():
    found = dro.variational_estimate([2, 0], [2, 0], "hellinger", [9, 1], [1, 2])
    assert found.plain == -math.inf
    exact = naive_divergence([0.9, 0.1], [1, 2], "hellinger")
    assert 0.99 * exact < found.restricted < exact  # up to its level the critic is nearly the best


def test_a_critic_that_is_wrong_is_scaled_away():
    assert dro.scaled_variational_estimate([0, 1], [1, 0], "kl", [2, 1], [2, 1]) == (0, 0, 0, 0)


def test_samples_of_different_numbers():
    generator = np.random.default_rng(0)
    on_p, on_q = generator.normal(1, 1, 4000), generator.normal(0, 1, 6000)
    found = dro.scaled_variational_estimate(on_p, on_q, "kl")
    assert found.restricted == pytest.approx(0.5, abs=0.05)
    assert found.plain == pytest.approx(0.4248, abs=0.05)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: dro.phi_worst_case(REAL, 0.1, "kll"), r"divergence = kll violates one of .* \(did you mean kl\?\)"),
        (lambda: dro.phi_worst_case(REAL, -1, "kl"), "eta = -1 violates a finite number >= 0"),
        (lambda: dro.phi_worst_case([1, math.nan], 1, "kl"), r"similarities = \[nan\] violates finite"),
        (lambda: dro.phi_soft_maximum(REAL, 0, "kl"), "tau = 0 violates tau > 0"),
        (lambda: dro.phi_soft_maximum_expansion(REAL, math.nan, "chi2"), "tau = nan violates"),
        (lambda: dro.phi_divergence([1, 2], [1, 2, 3], "kl"), "weights = array of shape"),
        (lambda: dro.phi_divergence([1, -2], [1, 2], "kl"), "weights = -2 to 1 violates weights >= 0"),
        (lambda: dro.variational_estimate([1], [math.inf], "kl"), r"similarities = \[inf\] violates finite"),
        (lambda: dro.variational_estimate([1], [1], "tv"), "divergence = tv violates one of"),
        (lambda: dro.scaled_variational_estimate([2], [0, 1], "kl"), "critic = mean 2 on P violates mean < 1"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ParameterError, match=message):
        call()
