import numpy as np
import pytest
from scipy import stats

from empirical.statistics import detectable_difference, mean_interval, rank_correlation


def test_interval_is_the_t_test():
    values = [0.1, -0.2, 0.4, 0.3]
    mean = mean_interval(values)
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert (mean.low, mean.high) == pytest.approx(tuple(expected))


def test_one_seed_has_no_interval():
    assert mean_interval([0.5]).low is None
    assert detectable_difference([0.5]) is None


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


def test_detectable_difference_of_a_planned_study():
    differences = [0.01, 0.02, -0.01, 0.03]
    assert detectable_difference(differences, 4) == detectable_difference(differences)
    # Many seeds: the normal quantiles, and the spread of a mean.
    expected = (1.95996 + 0.84162) * np.std(differences, ddof=1) / 100
    assert detectable_difference(differences, 10_000) == pytest.approx(expected, rel=1e-3)
