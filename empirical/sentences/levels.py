"""α, β and γ of sentences: people's similarity of pairs in place of classes.

Judges of SemEval's pairs grade 5 and 4 for what means the same, 3 and 2 for what shares some of it but not what
matters, 0 for different topics. So pairs of grades 4 and 5 stand for those within a class, of grade 0 for those across
classes, and of grades 2 and 3 for difficult ones: alike, and not the same. There are no class sizes, and so no
spectrum; nor does a share of judged pairs, which were chosen to be judged, say how many are alike among any.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from empirical.sentences.sts import Encode, Pairs, cosines
from theory.checks import require
from theory.plan import Estimate

GRADES = 6  # 0, …, 5
SAME, ALIKE, OTHER = (4, 5), (2, 3), (0,)  # grades of α, γ and β
REPLICATES, INTERVAL = 1000, (2.5, 97.5)


@dataclass(frozen=True)
class SimilarityLevels:
    """Mean cosines of pairs by people's grades, with 95 % intervals over resampled pairs.

    Parameters
    ----------
    grades : tuple of Estimate or None
        Of pairs whose score rounds to 0, 1, …, 5; None where there are none.
    counts : tuple of int
        How many pairs these are.
    alpha, beta, gamma : Estimate
    severity : Estimate
        (γ − β)/(α − β), how far pairs that are alike are on the way to those that mean the same.
    """

    grades: tuple[Estimate | None, ...]
    counts: tuple[int, ...]
    alpha: Estimate
    beta: Estimate
    gamma: Estimate
    severity: Estimate


def similarity_levels(encode: Encode, pairs: Pairs, seed: int = 0) -> SimilarityLevels:
    """Levels of an encoder on judged pairs.

    Parameters
    ----------
    encode : callable
        See ``empirical.sentences.sts.cosines``.
    pairs : Pairs
    seed : int
        Of the resampling.

    Raises
    ------
    ParameterError
        If there is no pair of grade 0, of 2 and 3, or of 4 and 5.
    """
    cosine, grade = cosines(encode, pairs), np.floor(np.asarray(pairs.scores) + 0.5).astype(np.int64)
    parts = [cosine[np.isin(grade, chosen)] for chosen in (SAME, OTHER, ALIKE)]
    for name, part in zip(("4 and 5", "0", "2 and 3"), parts, strict=True):
        require(len(part) > 0, f"{pairs.task}, pairs of grade {name}", len(part), "at least one pair")
    generator = np.random.default_rng(seed)
    means = [_means(part, generator) for part in parts]
    alpha, beta, gamma = (np.concatenate([[part.mean()], drawn]) for part, drawn in zip(parts, means, strict=True))
    every = [cosine[grade == number] for number in range(GRADES)]
    return SimilarityLevels(
        tuple(_estimate(np.concatenate([[x.mean()], _means(x, generator)])) if len(x) else None for x in every),
        tuple(map(len, every)),
        *(_estimate(values) for values in (alpha, beta, gamma, _severity(alpha, beta, gamma))),
    )


def _severity(alpha: NDArray[np.float64], beta: NDArray[np.float64], gamma: NDArray[np.float64]) -> NDArray[np.float64]:
    """In [−1, 1], and 1 where α <= β, as of classes (``theory.pairs``)."""
    room = alpha - beta
    share = np.divide(gamma - beta, room, out=np.ones_like(room), where=room > 0)
    return np.asarray(np.clip(share, -1, 1))


def _means(values: NDArray[np.float64], generator: np.random.Generator) -> NDArray[np.float64]:
    """Means of resampled values, shape (REPLICATES,)."""
    return np.array([generator.choice(values, len(values)).mean() for _ in range(REPLICATES)])


def _estimate(values: NDArray[np.float64]) -> Estimate:
    """The first value, with the others' interval around it."""
    low, high = np.percentile(values[1:], INTERVAL)
    return Estimate(*(float(f"{x:.6g}") for x in (values[0], min(low, values[0]), max(high, values[0]))))
