"""Differences of accuracy with crossed errors: seeds within training sets, and the images that are evaluated.

A difference is to hold for new seeds, new training sets and new test images, so all three are sampled. An interval over
seeds alone speaks of these images and these sets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from empirical.statistics import holm
from theory.checks import require

LEVEL = 0.95


@dataclass(frozen=True)
class Paired:
    """Runs of two entries on the same training sets, seeds and images, as far as their difference needs them.

    Parameters
    ----------
    differences : ndarray
        Of the accuracies, larger minus smaller, shape (T, S): training sets and seeds, S >= 2.
    images : int
        I >= 2 images that both are evaluated on.
    image_variance : float
        Sample variance over the images of the mean difference over all runs.
    discordant : float
        Share of runs and images on which one of the two is right.
    """

    differences: NDArray[np.float64]
    images: int
    image_variance: float
    discordant: float

    @classmethod
    def of(cls, larger: NDArray[np.bool_], smaller: NDArray[np.bool_]) -> Paired:
        """From who was right, shape (T, S, I) each.

        Raises
        ------
        ParameterError
            If the shapes differ, or there are fewer than two seeds or images.
        """
        require(larger.shape == smaller.shape, "smaller", f"shape {smaller.shape}", f"shape {larger.shape}")
        require(min(larger.shape[1:]) >= 2, "larger", f"shape {larger.shape}", "two seeds and two images at least")
        by_image = larger.mean(axis=(0, 1)) - smaller.mean(axis=(0, 1))
        discordant = float(np.mean(larger != smaller))
        return cls(larger.mean(axis=2) - smaller.mean(axis=2), larger.shape[2], float(by_image.var(ddof=1)), discordant)


@dataclass(frozen=True)
class Effect:
    """A difference of accuracies, larger minus smaller, with its crossed error.

    Attributes
    ----------
    value : float
    error : float
        Its standard error over seeds, training sets and images.
    freedom : float
        Degrees of freedom of the error, by Satterthwaite.
    seed_error : float
        The standard error over seeds alone, for these training sets and images.
    sets, seeds, images : int
        How many there were.
    """

    value: float
    error: float
    freedom: float
    seed_error: float
    sets: int
    seeds: int
    images: int

    @property
    def half_width(self) -> float:
        """Of the 95 % interval."""
        return float(stats.t.ppf((1 + LEVEL) / 2, self.freedom) * self.error)

    @property
    def seed_half_width(self) -> float:
        """Of the 95 % interval over seeds alone."""
        return float(stats.t.ppf((1 + LEVEL) / 2, self.sets * (self.seeds - 1)) * self.seed_error)

    @property
    def low(self) -> float:
        """Lower end of the 95 % interval."""
        return self.value - self.half_width

    @property
    def high(self) -> float:
        """Upper end of the 95 % interval."""
        return self.value + self.half_width

    @property
    def p_difference(self) -> float:
        """Two-sided p-value of the hypothesis that there is no difference."""
        return min(1.0, 2 * self._upper(abs(self.value)))

    def p_equivalence(self, margin: float) -> float:
        """p-value of the hypothesis that the difference is at least ``margin``: the larger of two one-sided tests."""
        return float(self._upper(margin - abs(self.value)))

    def _upper(self, distance: float) -> float:
        if self.error == 0:
            return float(distance <= 0)
        return float(stats.t.sf(distance / self.error, self.freedom))


def crossed_effect(paired: Paired) -> Effect:
    """The difference of two entries, and how far new seeds, training sets and images would change it.

    The variance is that of the runs, which holds what is left at random between a run and an image, and that of the
    images beyond it. That of the runs is the larger one of two estimates, between the training sets and within them:
    few sets are often all alike by chance.

    Parameters
    ----------
    paired : Paired

    References
    ----------
    Searle, Casella, McCulloch, "Variance Components", Wiley 1992, for two crossed random factors; Satterthwaite, "An
    approximate distribution of estimates of variance components", Biometrics Bulletin 1946.
    """
    d, images = paired.differences, paired.images
    sets, seeds = d.shape
    runs = sets * seeds
    value = float(d.mean())
    within = float(d.var(axis=1, ddof=1).mean()) / runs
    between = float(d.mean(axis=1).var(ddof=1)) / sets if sets > 1 else 0.0
    parts = [(between, sets - 1) if between > within else (within, sets * (seeds - 1))]
    # Sums of squares of a table of runs and images, whose entries are -1, 0 and 1.
    total = runs * images * (paired.discordant - value**2)
    left = total - images * runs * float(d.var()) - runs * (images - 1) * paired.image_variance
    residual = max(0.0, left) / ((runs - 1) * (images - 1))
    parts.append((max(0.0, paired.image_variance - residual / runs) / images, images - 1))
    variance = sum(part for part, _ in parts)
    freedom = variance**2 / sum(part**2 / df for part, df in parts) if variance else float(images - 1)
    return Effect(value, variance**0.5, freedom, within**0.5, sets, seeds, images)


# --- words -----------------------------------------------------------------------------------------

SUPPORTED, SUPPORTED_SMALL = "supported", "supported, but small"
CONTRADICTED, CONTRADICTED_SMALL = "contradicted", "contradicted, but small"
ABSENT, UNDECIDED = "absent", "undecided"
WORDS = (SUPPORTED, SUPPORTED_SMALL, CONTRADICTED, CONTRADICTED_SMALL, ABSENT, UNDECIDED)


@dataclass(frozen=True)
class Judgement:
    """A verdict with the two p-values that it follows from, corrected for the family's size."""

    word: str
    p_difference: float
    p_equivalence: float


def judge(effects: Sequence[Effect], margin: float, level: float, size: int | None = None) -> list[Judgement]:
    """Judge the claims of a family, each that its effect is above zero.

    Both tests of every claim are corrected for the family's size: "supported" or "contradicted" where zero is rejected,
    "small" or "absent" where an effect of at least ``margin`` is.

    Parameters
    ----------
    effects : sequence of Effect
        The family.
    margin : float
        Equivalence margin, in accuracy.
    level : float
        Chance of any wrong rejection of a difference of zero, and of any of an effect of at least the margin.
    size : int, optional
        Claims of the family, where some have not been run.
    """
    different = holm([effect.p_difference for effect in effects], size)
    small = holm([effect.p_equivalence(margin) for effect in effects], size)
    return [
        Judgement(_word(effect.value, d <= level, s <= level), float(d), float(s))
        for effect, d, s in zip(effects, different, small, strict=True)
    ]


def _word(value: float, different: bool, small: bool) -> str:
    if not different:
        return ABSENT if small else UNDECIDED
    if value > 0:
        return SUPPORTED_SMALL if small else SUPPORTED
    return CONTRADICTED_SMALL if small else CONTRADICTED
