"""How difficult each sample is, by features and by a probe's outputs, and what else it is."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial, reduce

import numpy as np
import torch
from numpy.typing import NDArray

from empirical.choices import NOT_NEGATIVE, ROUNDS
from empirical.data.features import Features, Mapper
from empirical.selection import difficult_pairs
from theory.checks import RUNS, require, require_integer

BLOCK = 1_024  # rows of a table of pairs at a time
Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
Labels = NDArray[np.int64]


def flag_shares(
    features: Features,
    pos_high: float,
    pos_low: float,
    batch: int = 256,
    rounds: int = ROUNDS,
    seed: int = 0,
    mapper: Mapper = map,
) -> Array:
    """How often the pairs of a sample are flagged in random batches, without labels.

    Parameters
    ----------
    features : Features
    pos_high, pos_low : float
        The selector's band, see ``empirical.selection.difficult_pairs``.
    batch : int
        Samples in a batch (about: batches of one round differ by one at most), >= 2.
    rounds : int
        Random partitions into batches.
    seed : int
    mapper : callable
        ``map``, or that of a pool, whose workers count a round each.

    Returns
    -------
    ndarray
        Share of each sample's pairs that were flagged, shape (N,).
    """
    batch = require_integer("batch", batch, 2)
    RUNS.require("rounds", rounds)
    generator = np.random.default_rng(seed)
    orders = [generator.permutation(features.rows) for _ in range(rounds)]
    flagged, pairs = reduce(np.add, mapper(partial(_count_flagged, features, (pos_high, pos_low), batch), orders))
    return np.asarray(flagged / pairs)


def _count_flagged(features: Features, band: tuple[float, float], batch: int, order: Labels) -> Array:
    """Flagged pairs and all pairs of each sample in batches of this order, shape (2, N)."""
    counts = np.zeros((2, features.rows))
    unit = torch.from_numpy(features.unit)
    for rows in np.array_split(order, max(1, len(order) // batch)):
        similarities = unit[rows] @ unit[rows].T
        similarities.fill_diagonal_(-torch.inf)
        counts[0, rows] = difficult_pairs(similarities, *band).sum(dim=1).numpy()
        counts[1, rows] = len(rows) - 1
    return counts


def sas_scores(features: Features, classes: Labels, redundancy: float = 0.0, mapper: Mapper = map) -> Array:
    """What each sample adds to a subset by its similarity to its class, by SAS.

    Similarity is max(z_i·z_j, 0) of unit projector features of images as they are. In each class the sample with the
    largest gain is chosen, then the one with the largest gain given the first, and so on; the gain is the sum of a
    sample's similarities to its class (to itself too) less ``redundancy`` times those to the samples already chosen.
    It only falls from one chosen sample to the next, so that SAS keeps those with the largest scores.

    Parameters
    ----------
    features : Features
        After the projector.
    classes : ndarray
        Class, or approximate class, of each sample: 0, 1, …, shape (N,).
    redundancy : float
        >= 0. 0 is what the authors' code does: it sets a chosen sample's similarities to zero before it would subtract
        them. 1 is that code without this step (it would subtract negative cosines too), 2 is greedy search for the
        largest cut Σ similarity(i, j), i left out and j kept.
    mapper : callable
        ``map``, or that of a pool, whose workers take a class each.

    Returns
    -------
    ndarray
        The gain with which each sample is chosen, shape (N,). For n samples of d features in a class it takes n²·d
        operations, and memory for n·d numbers and 1,024 rows of the table of pairs.

    Raises
    ------
    ParameterError
        If ``redundancy`` is negative, or there is not one class for each sample.

    References
    ----------
    Joshi, Mirzasoleiman, "Data-Efficient Contrastive Self-supervised Learning: Most Beneficial Examples for Supervised
    Learning Contribute the Least", ICML 2023, and the code sjoshi804/sas-data-efficient-contrastive-learning.
    """
    NOT_NEGATIVE.require("redundancy", redundancy)
    given = f"{len(classes)} classes"
    require(len(classes) == features.rows, "classes", given, f"one for each of {features.rows} rows")
    members = [np.flatnonzero(classes == c) for c in np.unique(classes)]
    scores = np.empty(features.rows)
    for rows, gains in zip(members, mapper(partial(_gains, features, redundancy), members), strict=True):
        scores[rows] = gains
    return scores


def _gains(features: Features, redundancy: float, rows: Labels) -> Array:
    """Scores of the samples of one class."""
    unit = torch.from_numpy(features.take(rows))
    parts = [(block @ unit.T).clamp_(min=0).sum(dim=1, dtype=torch.float64) for block in unit.split(BLOCK)]
    gains = torch.cat(parts)
    if redundancy == 0:
        return gains.numpy()
    scores = torch.empty_like(gains)
    for _ in range(len(gains)):
        chosen = gains.argmax()
        scores[chosen] = gains[chosen]
        gains -= redundancy * (unit @ unit[chosen]).clamp_(min=0)
        gains[chosen] = -torch.inf
    return scores.numpy()


def doubt(confidence: Array, disagreement: Array) -> Array:
    """How little a label is borne out: the mean of a sample's ranks by a probe and by its neighbours, over N.

    Of the scores compared on what people find ambiguous (docs/selection.md) the best that uses labels.

    Parameters
    ----------
    confidence : ndarray
        Probability of the sample's label by a probe that has not seen it, shape (N,).
    disagreement : ndarray
        Share of its nearest neighbours with another label, shape (N,).

    Returns
    -------
    ndarray
        Shape (N,), in (0, 1]; 1 for the least borne out. Equal values share their mean rank.
    """
    return mean_rank(-confidence, disagreement)


def mean_rank(*scores: Array) -> Array:
    """The mean of the ranks by several scores, over N; shape (N,), in (0, 1]."""
    from scipy.stats import rankdata

    return np.asarray(np.mean([rankdata(score) for score in scores], axis=0) / len(scores[0]))


def own(outputs: Array, labels: Labels) -> Array:
    """The outputs for the samples' labels, shape (N,)."""
    return np.asarray(outputs[np.arange(len(labels)), labels])


def entropy(outputs: Array) -> Array:
    """Entropy of each sample's probabilities, shape (N,)."""
    return np.asarray(-(outputs * np.log(np.maximum(outputs, np.finfo(float).tiny))).sum(axis=1))


def largest(scores: Array, share: float) -> Flags:
    """Flag the share of the samples with the largest scores; shape (N,)."""
    chosen = np.zeros(len(scores), dtype=bool)
    chosen[np.argsort(-scores, kind="stable")[: round(share * len(scores))]] = True
    return chosen


def mislabelled(outputs: Array, labels: Labels) -> Flags:
    """Samples whose label is probably wrong, by confident learning.

    A class is likely where its probability reaches the mean that its own samples give it; a sample counts if the
    likeliest of these classes is not its label.

    Parameters
    ----------
    outputs : ndarray
        Probabilities from probes that have not seen the sample, shape (N, classes).
    labels : ndarray
        Shape (N,).

    References
    ----------
    Northcutt, Jiang, Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels", JAIR 2021.
    """
    thresholds = np.array([outputs[labels == c, c].mean() for c in range(outputs.shape[1])])
    likely = np.where(outputs >= thresholds, outputs, -1)
    return np.asarray((likely.max(axis=1) >= 0) & (likely.argmax(axis=1) != labels))


def ambiguous(outputs: Array, share: float) -> Flags:
    """The share of the samples whose probabilities have the largest entropy; shape (N,)."""
    return largest(entropy(outputs), share)


@dataclass(frozen=True)
class Enrichment:
    """How many difficult samples are of another kind too.

    Parameters
    ----------
    kind : str
    samples : int
        Of this kind, among all.
    both : int
        Of this kind, among the difficult ones.
    lift : float or None
        ``both`` over what independence lets expect; None if that is 0.
    p_value : float
        Probability of at least ``both`` under independence (hypergeometric).
    """

    kind: str
    samples: int
    both: int
    lift: float | None
    p_value: float


def enrichment(kind: str, difficult: Flags, other: Flags) -> Enrichment:
    """Compare the difficult samples with those of another kind."""
    from scipy.stats import hypergeom

    both, samples, hard = int((difficult & other).sum()), int(other.sum()), int(difficult.sum())
    expected = samples * hard / len(difficult)
    p_value = float(hypergeom.sf(both - 1, len(difficult), samples, hard))
    return Enrichment(kind, samples, both, both / expected if expected else None, p_value)
