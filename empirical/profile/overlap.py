"""Which pairs of classes are a problem, how many samples that affects, and what to do about it.

How it is decided: the ``MOST_PAIRS`` pairs with the smallest p-values of ``empirical.profile.rivals`` (which every pair
has, adjusted for all of them) are looked at, and only these have intervals. Where a p-value is at most ``LEVEL``, more
than ``LEAST`` of the samples lie between the two classes or on the wrong side, and

* most of these have a near-duplicate in the other class: a problem, to *deduplicate*;
* or a held-out probe takes a third of the samples for the other class, where guessing is a half: a problem, to
  *merge*;
* or more of them are probably mislabelled than lie between: to *relabel*, and no problem of difficult samples;
* or the severity is ``PROBLEM`` or more, and its interval above 0: a problem, for which to use a *remedy* where one is
  predicted to gain ``LEAST``, and to *collect* more samples or better features where none is;
* or a third of them or more are probably mislabelled: to *relabel*.

Otherwise there is *nothing* to do about the pair.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from empirical.data.features import Features, Mapper
from empirical.profile.duplicates import near_duplicates
from empirical.profile.levels import PairLevels
from empirical.profile.rivals import Counts, Standing
from theory.checks import ParameterError
from theory.pairs import LEAST, LEVEL, PROBLEM, Advice, ClassPair, Overlap
from theory.params import GraphParameters
from theory.plan import Profile

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
Labels = NDArray[np.int64]
MOST_PAIRS = 800  # with intervals: all pairs of 40 classes
SUSPECTS, MOST_SUSPECTS = 20, 500  # samples of a pair, and of all, that near-duplicates are looked for of
CONFUSED = 1 / 3  # of two classes' samples that a probe takes for the other, where guessing is a half
WRONG = 1 / 3  # of the samples between two classes or on the wrong side that are mislabelled


class Found(NamedTuple):
    """Pairs of classes, the worst first, what they come to, and which samples are affected (bool, shape (N,))."""

    pairs: tuple[ClassPair, ...]
    overlap: Overlap
    affected: Flags


def judge_pairs(
    features: Features,
    where: Standing,
    counts: Counts,
    levels: PairLevels,
    names: Sequence[str] = (),
    mapper: Mapper = map,
    seed: int = 0,
) -> Found:
    """Judge the pairs of classes that were looked at.

    Parameters
    ----------
    features : Features
    where : Standing
        Of its samples.
    counts : Counts
        Of the pairs, P of them.
    levels : PairLevels
        Of the same pairs.
    names : sequence of str
        Of the classes; by default their numbers.
    mapper : callable
        ``map``, or that of a pool, whose workers go through the features.
    seed : int
        Of the samples that near-duplicates are looked for of.

    Returns
    -------
    Found
        Its gain is None: see ``with_gain``.
    """
    sizes = np.bincount(where.labels)
    crowded = counts.p_values <= LEVEL
    confused = counts.wrong >= CONFUSED * sizes[counts.classes].sum(axis=1)
    severity, low, high = _severities(levels)
    duplicates = _duplicates(features, where, counts, levels, crowded, mapper, seed)
    advice: list[Advice] = []
    for i in range(len(counts.classes)):
        if not crowded[i]:
            advice.append("nothing")
        elif duplicates[i] >= 0.5:
            advice.append("deduplicate")
        elif confused[i]:
            advice.append("merge")
        elif counts.mislabelled[i] > counts.between[i]:
            advice.append("relabel")
        elif severity[i] >= PROBLEM and low[i] > 0:
            advice.append("collect")
        else:
            crowd = counts.mislabelled[i] + counts.between[i]
            advice.append("relabel" if counts.mislabelled[i] >= WRONG * crowd else "nothing")
    called = [names[c] if len(names) else str(c) for c in range(len(sizes))]
    three = (_rounded(level[0]) for level in levels)
    alpha, beta, gamma = (np.where(np.isfinite(level), level, 0.0) for level in three)
    pairs = [
        ClassPair(
            classes=(called[first], called[second]),
            severity=float(severity[i]),
            interval=(float(low[i]), float(high[i])),
            flagged=advice[i] in ("deduplicate", "merge", "collect"),
            alpha=float(alpha[i]),
            beta=float(beta[i]),
            gamma=float(gamma[i]),
            between=int(counts.between[i]),
            mislabelled=int(counts.mislabelled[i]),
            p_value=float(f"{counts.p_values[i]:.6g}"),
            duplicates=None if np.isnan(duplicates[i]) else float(f"{duplicates[i]:.6g}"),
            advice=advice[i],
        )
        for i, (first, second) in enumerate(counts.classes)
    ]
    flagged = np.array([pair.flagged for pair in pairs], dtype=bool)
    in_flagged = np.append(flagged, False)[_places(where, counts)]
    overlap = Overlap(
        pairs=counts.all,
        flagged=int(flagged.sum()),
        samples=len(where.labels),
        affected=int((where.crowd & in_flagged).sum()),
        between=int(where.between.sum()),
        mislabelled=int((where.mislabelled & ~in_flagged).sum()),
        gain=None,
    )
    order = sorted(range(len(pairs)), key=lambda i: (not flagged[i], advice[i] == "nothing", -severity[i], i))
    return Found(tuple(pairs[i] for i in order), overlap, where.crowd & in_flagged)


def _places(where: Standing, counts: Counts) -> Labels:
    """Which of the pairs is the class and the rival of each sample; the number of pairs for none of them."""
    classes = int(where.labels.max()) + 1
    codes = counts.classes @ np.array([classes, 1])
    low, high = np.minimum(where.labels, where.rival), np.maximum(where.labels, where.rival)
    if not len(codes):
        return np.zeros(len(low), dtype=np.int64)
    order = np.argsort(codes)
    wanted = low * classes + high
    nearest = order[np.searchsorted(codes[order], wanted).clip(max=len(codes) - 1)]
    return np.where(codes[nearest] == wanted, nearest, len(codes))


def _duplicates(
    features: Features,
    where: Standing,
    counts: Counts,
    levels: PairLevels,
    crowded: Flags,
    mapper: Mapper,
    seed: int,
) -> Array:
    """Share of some suspects of each pair, where it is crowded, that have a near-duplicate in the other class."""
    share = np.full(len(counts.classes), np.nan)
    looked = np.flatnonzero(crowded)[: MOST_SUSPECTS // SUSPECTS]  # the pairs come by their p-values
    place = _places(where, counts)
    suspicious = np.flatnonzero(where.crowd & np.isin(place, looked))
    shuffled = np.random.default_rng(seed).permutation(suspicious)
    ordered = shuffled[np.argsort(place[shuffled], kind="stable")]
    _, first, count = np.unique(place[ordered], return_index=True, return_counts=True)
    chosen = np.sort(ordered[np.arange(len(ordered)) - np.repeat(first, count) < SUSPECTS])
    typical = levels.alpha[0][place[chosen]]
    near = near_duplicates(features, where.labels, chosen, where.rival[chosen], typical, mapper)
    for pair in looked:
        here = place[chosen] == pair
        if here.any():
            share[pair] = near[here].mean()
    return share


def _severities(levels: PairLevels) -> tuple[Array, Array, Array]:
    """Severity with a percentile interval; 1 where α is not certainly above β, so that no way is left. Shape (P,)."""
    replicates = levels.severity
    if not replicates.shape[1]:
        return replicates[0], replicates[0], replicates[0]
    way = _filled(levels.alpha - levels.beta, 0.0)
    value = np.where(np.percentile(way[1:], 2.5, axis=0) > 0, _filled(replicates[:1], 0.0)[0], 1.0)
    low, high = np.percentile(_filled(replicates, value)[1:], [2.5, 97.5], axis=0)
    return _rounded(value), _rounded(np.minimum(low, value)), _rounded(np.maximum(high, value))


def _filled(replicates: Array, value: Array | float) -> Array:
    """With a value where a replicate has none."""
    return np.asarray(np.where(np.isnan(replicates), value, replicates))


def _rounded(values: Array) -> Array:
    """To six significant digits."""
    return np.array([float(f"{value:.6g}") for value in values])


# --- what a remedy is worth ------------------------------------------------------------------------


def with_gain(profile: Profile, easy: float | None) -> Profile:
    """A profile whose overlap says what the best remedy is predicted to gain, and whose advice follows.

    The gain is that of ``theory.predict`` for two classes with the mean levels of the flagged pairs that are neither
    merged nor deduplicated, under the margin or the lower temperature, times the number of such pairs that a sample's
    class has on average; and not above what is lacking to the accuracy that ``empirical.prediction`` sees for easy
    samples. Removal is left out: what it leaves is not the same set of samples.

    Parameters
    ----------
    profile : Profile
    easy : float or None
        Predicted accuracy of a probe on the easy part of the classes; None where there is no prediction or no
        difficult part, and no remedy is advised.
    """
    open_pairs = [pair for pair in profile.pairs if pair.advice == "collect"]
    if profile.overlap is None or not open_pairs:
        return profile
    accuracy = None if profile.predicted_probe is None else profile.predicted_probe.accuracy
    best = _predicted_gain(profile, open_pairs)
    gain = None
    if best is not None and easy is not None and accuracy is not None:
        gain = float(f"{max(min(best, easy - accuracy.value), 0.0):.6g}")
    overlap = replace(profile.overlap, gain=gain)
    if gain is None or gain < LEAST:
        return replace(profile, overlap=overlap)
    pairs = tuple(replace(p, advice="remedy") if p.advice == "collect" else p for p in profile.pairs)
    return replace(profile, overlap=overlap, pairs=pairs)


def _predicted_gain(profile: Profile, pairs: Sequence[ClassPair]) -> float | None:
    """Of the best remedy for all samples; None where the levels are no graph."""
    from theory.predict import predict

    alpha, beta, gamma = np.mean([(pair.alpha, pair.beta, pair.gamma) for pair in pairs], axis=0).tolist()
    each = 2 * len(pairs) / profile.classes
    try:
        graph = GraphParameters(alpha, beta, gamma, profile.samples_per_class, 2, profile.difficult, "block")
        epsilon, dim = profile.spaces["encoder"].epsilon.value, min(profile.dim, profile.samples_per_class // 2)
        found = {
            remedy: predict(graph, epsilon, dim, remedy=remedy).accuracy
            for remedy in ("nothing", "margin", "temperature_unweighted")
        }
    except ParameterError:
        return None
    return each * (max(found.values()) - found["nothing"])
