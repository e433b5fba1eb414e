"""Crossed errors against double loops, a textbook table, explicit t tests, and simulated truth."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from empirical.evidence.crossed import (
    ABSENT,
    CONTRADICTED,
    CONTRADICTED_SMALL,
    SUPPORTED,
    SUPPORTED_SMALL,
    UNDECIDED,
    Effect,
    Paired,
    crossed_effect,
    judge,
)
from empirical.evidence.design import LEVEL, MARGIN
from theory.checks import ParameterError

SHAPES = [(3, 4, 11), (1, 2, 5), (7, 2, 6)]


def answers(shape, seed=0, ability=0.7):
    """Who is right, of two entries, with hard and easy images."""
    generator = np.random.default_rng(seed)
    difficulty = generator.normal(size=shape[2])
    right = (generator.normal(ability, 1, shape) > difficulty for _ in range(2))
    return tuple(right)


@pytest.mark.parametrize("shape", SHAPES)
def test_paired_against_double_loops(shape):
    larger, smaller = answers(shape)
    found = Paired.of(larger, smaller)
    sets, seeds, images = shape
    by_image = [0.0] * images
    discordant = 0
    for t in range(sets):
        for s in range(seeds):
            total = 0
            for i in range(images):
                d = int(larger[t, s, i]) - int(smaller[t, s, i])
                total += d
                by_image[i] += d / (sets * seeds)
                discordant += abs(d)
            assert found.differences[t, s] == pytest.approx(total / images)
    mean = sum(by_image) / images
    assert found.image_variance == pytest.approx(sum((x - mean) ** 2 for x in by_image) / (images - 1))
    assert found.discordant == pytest.approx(discordant / (sets * seeds * images))
    assert found.images == images


def test_paired_refuses_what_has_no_variance():
    larger, smaller = answers((2, 3, 4))
    with pytest.raises(ParameterError, match="shape"):
        Paired.of(larger, smaller[:1])
    for few in (larger[:, :1], larger[:, :, :1]):
        with pytest.raises(ParameterError, match="two seeds and two images"):
            Paired.of(few, few)


def analysis_of_variance(larger, smaller):
    """Variance of the mean and degrees of freedom from a textbook's table of runs and images, by its sums of squares.

    Runs are nested in sets: their mean squares between and within the sets are those of the runs' means.
    """
    table = larger.astype(float) - smaller
    sets, seeds, images = table.shape
    runs, mean = sets * seeds, table.mean()
    flat = table.reshape(runs, images)
    row, column = flat.mean(axis=1), flat.mean(axis=0)
    residual = sum((flat[r, i] - row[r] - column[i] + mean) ** 2 for r in range(runs) for i in range(images))
    ms_residual = residual / ((runs - 1) * (images - 1))
    ms_images = runs * sum((c - mean) ** 2 for c in column) / (images - 1)
    images_alone = max(0.0, (ms_images - ms_residual) / runs) / images

    means = table.mean(axis=2)
    ms_within = images * sum((means[t, s] - means[t].mean()) ** 2 for t in range(sets) for s in range(seeds))
    ms_within /= sets * (seeds - 1)
    of_runs, df = ms_within / (runs * images), sets * (seeds - 1)
    if sets > 1:
        ms_sets = images * seeds * sum((means[t].mean() - mean) ** 2 for t in range(sets)) / (sets - 1)
        if ms_sets > ms_within:
            of_runs, df = ms_sets / (runs * images), sets - 1
    variance = of_runs + images_alone
    freedom = variance**2 / (of_runs**2 / df + images_alone**2 / (images - 1))
    return mean, variance, freedom, ms_within / (runs * images)


@pytest.mark.parametrize("shape", [(3, 4, 11), (1, 3, 40), (7, 2, 20), (3, 20, 50)])
@pytest.mark.parametrize("seed", range(3))
def test_components_against_a_table_of_variances(shape, seed):
    larger, smaller = answers(shape, seed)
    found = crossed_effect(Paired.of(larger, smaller))
    mean, variance, freedom, within = analysis_of_variance(larger, smaller)
    assert found.value == pytest.approx(mean)
    assert found.error == pytest.approx(variance**0.5)
    assert found.freedom == pytest.approx(freedom)
    assert found.seed_error == pytest.approx(within**0.5)
    assert (found.sets, found.seeds, found.images) == shape


def test_the_sets_count_only_where_they_differ_more_than_seeds_explain():
    alike = Paired(np.array([[0.1, 0.2], [0.1, 0.2]]), 100, 0.0, 0.3)
    apart = Paired(np.array([[0.1, 0.1], [0.2, 0.2]]), 100, 0.0, 0.3)
    assert crossed_effect(alike).freedom == 2  # T (S − 1) of the seeds
    assert crossed_effect(apart).freedom == 1  # T − 1
    assert crossed_effect(apart).error == pytest.approx(0.05)  # of the means .1 and .2


def simulated(sets, seeds, sigmas, draws, images=300, truth=0.01, seed=0):
    """Effects of tables with effects of sets, runs and images and what is left, from their sufficient numbers.

    The entries are normal here, so that the true components are known; ``discordant`` is their mean square, as it is
    of entries −1, 0, 1.
    """
    generator = np.random.default_rng(seed)
    of_set, of_run, of_image, rest = sigmas
    found = []
    for _ in range(draws):
        table = (
            truth
            + of_image * generator.standard_normal(images)
            + rest * generator.standard_normal((sets, seeds, images))
        )
        table += of_set * generator.standard_normal((sets, 1, 1)) + of_run * generator.standard_normal((sets, seeds, 1))
        by_image = table.mean(axis=(0, 1))
        found.append(crossed_effect(Paired(table.mean(axis=2), images, by_image.var(ddof=1), np.square(table).mean())))
    return found


def true_error(sets, seeds, sigmas, images=300):
    of_set, of_run, of_image, rest = sigmas
    variance = of_set**2 / sets + of_run**2 / (sets * seeds) + of_image**2 / images + rest**2 / (sets * seeds * images)
    return variance**0.5


# Standard deviations of sets, runs, images, and the rest; the scale is that of .01 a run.
RATIOS = {
    "seeds alone": (0.0, 0.01, 0.0, 0.1),
    "images alone": (0.0, 0.0, 0.1, 0.1),
    "sets alone": (0.01, 0.0, 0.0, 0.1),
    "seeds and images": (0.0, 0.01, 0.05, 0.15),
    "all alike": (0.003, 0.008, 0.05, 0.1),
    "large sets": (0.02, 0.01, 0.05, 0.1),
}


@pytest.mark.parametrize("name", RATIOS)
@pytest.mark.parametrize(("sets", "seeds"), [(3, 8), (7, 6)])
def test_the_interval_covers_the_truth(name, sets, seeds):
    draws = 600
    effects = simulated(sets, seeds, RATIOS[name], draws)
    covered = np.mean([effect.low <= 0.01 <= effect.high for effect in effects])
    # Three sets that differ much cost Satterthwaite's approximation two points: .928 over 4,000 draws.
    assert covered >= (0.91 if (sets, name) == (3, "large sets") else 0.93)
    if RATIOS[name][0] == 0:  # twice as wide at most as if the true error were known
        half = np.median([effect.half_width for effect in effects])
        assert half <= 2 * 1.96 * true_error(sets, seeds, RATIOS[name])


def test_sets_that_differ_a_little_cost_three_sets_some_coverage():
    """The worst case, sets as different as makes the larger estimate err most: 93 % on three sets, 95 % on seven."""

    def coverage(sets, seeds, ratio, draws=50_000):
        generator = np.random.default_rng(1)
        within = generator.chisquare(sets * (seeds - 1), draws) / (sets * (seeds - 1))
        between = (1 + ratio) * generator.chisquare(sets - 1, draws) / (sets - 1)
        off = generator.normal(0, np.sqrt(1 + ratio), draws)
        df = np.where(between > within, sets - 1, sets * (seeds - 1))
        return np.mean(np.abs(off) <= stats.t.ppf(0.975, df) * np.sqrt(np.maximum(within, between)))

    worst = {sets: min(coverage(sets, 20, ratio) for ratio in (0, 0.5, 1, 2, 3, 5, 30)) for sets in (3, 7)}
    assert worst[3] >= 0.925
    assert worst[7] >= 0.945


def test_more_images_and_seeds_narrow_the_interval():
    few, many = (
        np.median([e.half_width for e in simulated(3, 6, RATIOS["seeds and images"], 100, n)]) for n in (100, 900)
    )
    assert many < few
    seeds = [np.median([e.half_width for e in simulated(7, s, RATIOS["seeds alone"], 100)]) for s in (2, 12)]
    assert seeds[1] < seeds[0]


# --- tests -----------------------------------------------------------------------------------------


def effect(value, error=0.001, freedom=50.0):
    return Effect(value, error, freedom, error, 3, 10, 1000)


@given(st.floats(-0.01, 0.01), st.floats(1e-4, 0.01), st.floats(1, 200), st.floats(1e-4, 0.02))
def test_equivalence_is_two_one_sided_tests(value, error, freedom, margin):
    above = stats.t.cdf((value - margin) / error, freedom)  # of "the difference is at least the margin"
    below = stats.t.sf((value + margin) / error, freedom)  # of "it is at most minus the margin"
    assert effect(value, error, freedom).p_equivalence(margin) == pytest.approx(max(above, below), abs=1e-12)


@given(st.floats(-0.01, 0.01), st.floats(1e-4, 0.01), st.floats(1, 200))
def test_no_difference_is_a_two_sided_test_that_agrees_with_the_interval(value, error, freedom):
    found = effect(value, error, freedom)
    assert found.p_difference == pytest.approx(2 * stats.t.sf(abs(value) / error, freedom))
    if abs(found.p_difference - 0.05) > 1e-9:
        assert (found.p_difference < 0.05) == (not found.low <= 0 <= found.high)


def test_of_seeds_it_is_the_t_test_on_one_set():
    """Without effects of images the interval over seeds is scipy's."""
    d = np.array([[0.01, 0.03, -0.01, 0.02]])
    found = crossed_effect(Paired(d, 10_000, 0.0, 0.1))
    expected = stats.ttest_1samp(d[0], 0)
    assert found.p_difference == pytest.approx(expected.pvalue)
    assert found.high == pytest.approx(expected.confidence_interval(0.95).high)
    assert found.seed_half_width == pytest.approx(found.half_width)


def test_runs_without_any_difference():
    same = np.ones((2, 3, 4), dtype=bool)
    found = crossed_effect(Paired.of(same, same))
    assert (found.value, found.error, found.half_width, found.seed_half_width) == (0, 0, 0, 0)
    assert found.p_difference == 1
    assert found.p_equivalence(MARGIN) == 0
    assert judge([found], MARGIN, LEVEL)[0].word == ABSENT
    always = crossed_effect(Paired.of(same, ~same))  # everywhere and always right against wrong
    assert (always.value, always.error, always.p_difference, always.p_equivalence(MARGIN)) == (1, 0, 0, 1)
    assert judge([always], MARGIN, LEVEL)[0].word == SUPPORTED


# --- a family --------------------------------------------------------------------------------------


def test_words_and_correction():
    tight, wide = 0.0002, 0.02
    family = [
        effect(0.006, tight),
        effect(0.001, tight),
        effect(-0.006, tight),
        effect(-0.001, tight),
        effect(0.0, tight),
        effect(0.001, wide),
    ]
    words = [SUPPORTED, SUPPORTED_SMALL, CONTRADICTED, CONTRADICTED_SMALL, ABSENT, UNDECIDED]
    assert [found.word for found in judge(family, MARGIN, LEVEL)] == words


def test_a_larger_family_decides_less():
    """p = .02 counts alone, not among eight; so does an equivalence, and claims that have not run count too."""
    at = float(stats.t.isf(0.01, 50) * 0.001)
    (alone,) = judge([effect(at)], 0.1, LEVEL)
    assert alone.word == SUPPORTED_SMALL
    assert alone.p_difference == pytest.approx(0.02)
    among = judge([effect(at), *[effect(0.0, 0.01)] * 7], 0.1, LEVEL)
    assert among[0].word == ABSENT
    assert among[0].p_difference == pytest.approx(0.16)
    (unfinished,) = judge([effect(at)], 0.1, LEVEL, size=8)
    assert unfinished.p_difference == pytest.approx(0.16)
    nearly = effect(0.0, MARGIN / float(stats.t.isf(0.02, 50)))  # equivalent at p = .02
    assert judge([nearly], MARGIN, LEVEL)[0].word == ABSENT
    assert judge([nearly], MARGIN, LEVEL, size=8)[0].word == UNDECIDED
