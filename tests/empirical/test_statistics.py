import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from empirical.statistics import (
    NO_VERDICT,
    PERMUTATIONS,
    RESAMPLES,
    WITHIN_NOISE,
    detectable_difference,
    half_width,
    holm,
    judge,
    mean_interval,
    p_value,
    paired,
    rank_correlation,
)


def test_interval_is_the_t_test():
    values = [0.1, -0.2, 0.4, 0.3]
    mean = mean_interval(values)
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert (mean.low, mean.high) == pytest.approx(tuple(expected))


def test_one_seed_has_no_interval():
    assert mean_interval([0.5]).low is None
    assert detectable_difference([0.5]) is None


def test_fewer_seeds_than_asked_for_have_no_interval():
    assert mean_interval([0.5, 0.7], 3).low is None
    assert mean_interval([0.5, 0.7, 0.6], 3) == mean_interval([0.5, 0.7, 0.6])
    assert mean_interval([0.5], 1).low is None


def test_the_p_value_is_the_t_tests():
    values = [0.1, -0.2, 0.4, 0.3]
    assert p_value(values) == pytest.approx(stats.ttest_1samp(values, 0).pvalue)
    assert p_value(values) == p_value([-value for value in values])
    assert [p_value(equal) for equal in ([], [0.5], [0.5, 0.5], [0.0, 0.0], [0.1 + 0.2, 0.3])] == [None] * 5


def naive_holm(p_values, size):
    """The smallest α at which each hypothesis is rejected, by the sequential rule itself."""

    def rejected(alpha):
        found = set()
        for step, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
            if p_values[index] > alpha / (size - step):
                break
            found.add(index)
        return found

    levels = sorted({min(1.0, p * k) for p in p_values for k in range(1, size + 1)} | {1.0})
    return [next((a for a in levels if i in rejected(a * (1 + 1e-12))), 1.0) for i in range(len(p_values))]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=7), st.integers(0, 3))
def test_holm_is_the_sequential_rule(p_values, more):
    size = len(p_values) + more
    assert holm(p_values, size) == pytest.approx(naive_holm(p_values, size))
    assert (holm(p_values) == holm(p_values, len(p_values))).all()


def test_holm_of_a_known_example():
    # 4 × .005, 3 × .01, then .03 × 2, which .04 × 1 does not go below.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == pytest.approx([1, 1])
    assert len(holm([])) == 0


def test_half_widths_of_many_means_are_those_of_each():
    values = np.random.default_rng(0).standard_normal((5, 4))
    half = half_width(values.std(axis=1, ddof=1), np.full(5, 4))
    each = [mean_interval(row) for row in values]
    assert half == pytest.approx([mean.high - mean.value for mean in each])
    assert np.isnan(half_width(np.array([np.nan]), np.array([1])))


def test_differences_are_paired_by_seed():
    values = pd.Series({0: 0.5, 2: 0.7, 3: 0.9})
    reference = pd.Series({3: 0.8, 0: 0.6, 1: 0.1})
    assert paired(values, reference) == pytest.approx([-0.1, 0.1])
    assert paired(values, reference[[1]]) == []


@pytest.mark.parametrize(
    ("low", "high", "word"),
    [
        (0.1, 0.2, "better"),
        (-0.2, -0.1, "worse"),
        (-0.1, 0.2, WITHIN_NOISE),
        (0.0, 0.2, WITHIN_NOISE),
        (-0.2, 0.0, WITHIN_NOISE),
        (None, None, NO_VERDICT),
        (np.nan, np.nan, NO_VERDICT),
    ],
)
def test_words(low, high, word):
    assert judge(low, high, "better", "worse") == word
    assert judge([low, 1.0], [high, 2.0], ["better", "up"], "worse").tolist() == [word, "up"]


def test_detectable_difference_is_found_four_times_in_five():
    """Simulated power of the paired test at the stated difference, with the spread known."""
    generator, seeds, sd = np.random.default_rng(0), 30, 1.0
    unit = generator.standard_normal(seeds)
    unit = (unit - unit.mean()) / unit.std(ddof=1)
    effect = detectable_difference(unit * sd)
    draws = effect + sd * generator.standard_normal((4000, seeds))
    found = (stats.ttest_1samp(draws, 0, axis=1).pvalue < 0.05).mean()
    assert found == pytest.approx(0.8, abs=0.03)


def test_few_predictions_are_too_few():
    result = rank_correlation([1, 2, 3, 4, 5, 6, 7, 7], range(8), range(8))
    assert result.rho is None
    assert result.reason == "too few: 7 distinct predictions"


def test_rank_correlation_agrees_with_scipy():
    generator = np.random.default_rng(1)
    x = generator.standard_normal(12)
    y = x + generator.standard_normal(12)
    result = rank_correlation(x, y, range(12))
    expected = stats.spearmanr(x, y)
    assert result.rho == pytest.approx(expected.statistic)
    assert result.p_value == pytest.approx(expected.pvalue, abs=0.02)
    assert result.low <= result.rho <= result.high


def naive(x, y, groups, seed):
    """ρ, its interval and p-value with every sample drawn, ranked and correlated by itself."""
    x, y, groups = (np.asarray(values) for values in (x, y, groups))
    members = [np.flatnonzero(groups == g) for g in np.unique(groups)]
    if len(members) == len(x):
        members = [np.arange(len(x))]

    def spearman(a, b):
        return np.corrcoef(stats.rankdata(a), stats.rankdata(b))[0, 1]

    generator, rho, extreme, resampled = np.random.default_rng(seed), spearman(x, y), 0, []
    for _ in range(PERMUTATIONS):
        shuffled = y.copy()
        for rows in members:
            shuffled[rows] = y[generator.permutation(rows)]
        extreme += abs(spearman(x, shuffled)) >= abs(rho) - 1e-12
    while len(resampled) < RESAMPLES:
        rows = np.concatenate([generator.choice(rows, len(rows)) for rows in members])
        if len(np.unique(x[rows])) > 1 and len(np.unique(y[rows])) > 1:
            resampled.append(spearman(x[rows], y[rows]))
    return rho, *np.percentile(resampled, [2.5, 97.5]), (1 + extreme) / (1 + PERMUTATIONS)


@pytest.mark.parametrize(
    "groups",
    [range(12), [0] * 12, [0, 1, 2] * 4, [0, 0, 0, 0, 0, 1, 1, 1, 2, 2, 2, 2]],
    ids=["alone", "one group", "interleaved", "unequal"],
)
@pytest.mark.parametrize("ties", ["none", "some", "two values"])
def test_rank_correlation_is_the_naive_loops_to_the_last_digit(groups, ties):
    generator = np.random.default_rng(2)
    x = generator.standard_normal(12)
    y = x + generator.standard_normal(12)
    if ties != "none":
        x[1], y = x[0], np.round(y)
    if ties == "two values":
        y = np.arange(12.0) == 5  # a third of the samples lack the one
    found = rank_correlation(x, y, groups, 3)
    assert (found.rho, found.low, found.high, found.p_value) == naive(x, y, groups, 3)


def test_rank_correlation_is_quick():
    x = np.random.default_rng(0).standard_normal(40)
    seconds = []
    for _ in range(5):
        start = time.process_time()
        rank_correlation(x, x**2, range(40))
        seconds.append(time.process_time() - start)
    assert min(seconds) < 0.05


def test_perfect_order_and_no_variation():
    assert rank_correlation(range(9), range(9), range(9)).p_value < 0.001
    assert rank_correlation(range(9), range(9), range(9)).rho == pytest.approx(1)
    assert rank_correlation(range(9), [1] * 9, range(9)).reason == "all measured errors are equal"


def test_agreement_between_groups_is_no_evidence():
    """Errors that depend on the group only must not give small p-values, however they order the groups."""
    generator = np.random.default_rng(0)
    groups = np.repeat([0, 1, 2], 4)
    small = 0
    for seed in range(20):
        error = generator.permutation([1.0, 2.0, 3.0])[groups] + 1e-3 * generator.standard_normal(12)
        predicted = groups + 1e-3 * generator.standard_normal(12)
        small += rank_correlation(predicted, error, groups, seed).p_value < 0.05
    # Binomial(20, .05) exceeds 4 with probability .003
    assert small <= 4


def test_one_test_among_many_detects_less():
    x = [0.1, -0.2, 0.4, 0.3]
    shares = [stats.t.ppf(1 - 0.05 / count / 2, 3) + stats.t.ppf(0.8, 3) for count in (1, 10)]
    found = [detectable_difference(x, level=0.05 / count) for count in (1, 10)]
    assert found[1] / found[0] == pytest.approx(shares[1] / shares[0])
    assert found[0] == detectable_difference(x)


def test_detectable_difference_of_a_planned_study():
    differences = [0.01, 0.02, -0.01, 0.03]
    assert detectable_difference(differences, 4) == detectable_difference(differences)
    # Many seeds: the normal quantiles, and the spread of a mean.
    expected = (1.95996 + 0.84162) * np.std(differences, ddof=1) / 100
    assert detectable_difference(differences, 10_000) == pytest.approx(expected, rel=1e-3)
