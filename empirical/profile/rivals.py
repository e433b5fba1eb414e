"""What a held-out probe makes of each sample, and how many lie between the classes of each pair.

A sample's *rival* is the class other than its own that a probe, which has not seen the sample, gives the largest
probability; its *margin* is the log of the two probabilities' ratio, linear in the features; its *way* is how far it is
on the way from the mean of its class to the mean of the rival. It is *suspect* where the margin is below a third of the
class's median. A suspect is probably *mislabelled* where the probe is as sure of the rival as of the rival's own
samples, by confident learning (Northcutt, Jiang, Chuang, JAIR 2021) as in ``empirical.difficulty``, and the way is
above three quarters; a probe that takes a quarter of the rival's own samples for others is too weak to say so. Other
suspects lie *between* the classes where the way is above a third: of two Gaussian classes that are told apart but for 3
samples in 100,000, 4 in 1,000 do; of look-alikes halfway to the rival, nearly all. Probe and way have to agree: a probe
bends about single samples with a wrong label, and means do not tell apart classes of several parts.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from empirical.data.features import CHUNK_VALUES, Chunk, Features, Mapper
from theory.pairs import LEAST

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
Labels = NDArray[np.int64]
THIRD = 1 / 3  # of a class's median margin, and of the way to the rival, from which on samples lie between
FAR = 0.75  # of the way, beyond which a sample may be mislabelled
STRONG = 0.75  # of a class's samples that a probe has to get right before it can say that one is mislabelled


class Rivals(NamedTuple):
    """What a held-out probe says of each sample.

    Parameters
    ----------
    gap : ndarray
        Between the two largest probabilities, shape (N,), in [0, 1].
    rival : ndarray
        The likeliest class but its own, shape (N,).
    own, other : ndarray
        Probabilities of the sample's class and of the rival, shape (N,).
    """

    gap: NDArray[Any]
    rival: Labels
    own: NDArray[Any]
    other: NDArray[Any]

    @property
    def margin(self) -> Array:
        """log(own/other), shape (N,): negative where the probe prefers the rival."""
        least = np.finfo(np.float32).tiny
        own, other = (np.maximum(x, least, dtype=np.float64) for x in (self.own, self.other))
        return np.asarray(np.log(own) - np.log(other))


def rivals_of(outputs: NDArray[Any], labels: Labels) -> Rivals:
    """The rivals of M samples from their class probabilities, shape (M, classes), which are changed."""
    everyone = np.arange(len(labels))
    largest = np.partition(outputs, -2, axis=1)[:, -2:]
    own = outputs[everyone, labels].copy()
    outputs[everyone, labels] = -1
    rival = outputs.argmax(axis=1)
    return Rivals(largest[:, 1] - largest[:, 0], rival, own, outputs[everyone, rival])


@dataclass(frozen=True)
class Standing:
    """Where each sample stands, shape (N,) each.

    Parameters
    ----------
    labels, rival : ndarray
    wrong : ndarray
        bool: nearer to the rival than to its class.
    between, mislabelled : ndarray
        bool, never both.
    """

    labels: Labels
    rival: Labels
    wrong: Flags
    between: Flags
    mislabelled: Flags

    @property
    def crowd(self) -> Flags:
        """Either of the two."""
        return self.between | self.mislabelled


def suspects(found: Rivals, labels: Labels) -> Flags:
    """Which samples may lie between their class and the rival, or be mislabelled; shape (N,)."""
    margin = found.margin
    order = np.argsort(labels, kind="stable")
    parts = np.split(margin[order], np.cumsum(np.bincount(labels))[:-1])
    typical = np.array([np.median(part) for part in parts])
    return np.asarray(margin <= THIRD * np.maximum(typical, 0)[labels])


def standing(found: Rivals, labels: Labels, suspect: Flags, way: Array) -> Standing:
    """Tell samples between two classes and mislabelled ones from the others.

    Parameters
    ----------
    found : Rivals
    labels : ndarray
        Shape (N,).
    suspect : ndarray
        bool, shape (N,), see ``suspects``.
    way : ndarray
        Of the suspects alone, shape (M,), see ``ways``.
    """
    sizes, margin = np.bincount(labels), found.margin
    everywhere = np.zeros(len(labels))
    everywhere[suspect] = way
    sure = np.bincount(labels, found.own) / sizes
    strong = np.bincount(labels, margin >= 0) >= STRONG * sizes
    certain = (margin < 0) & (found.other >= sure[found.rival]) & strong[found.rival]
    mislabelled = certain & (everywhere > FAR)
    return Standing(labels, found.rival, margin < 0, (everywhere > THIRD) & ~mislabelled, mislabelled)


def ways(features: Features, labels: Labels, sums: Array, chosen: Labels, rival: Labels, mapper: Mapper = map) -> Array:
    """How far samples are on the way from the mean of their class's other samples to the mean of another class.

    (u_i − μ_a)·(μ_b − μ_a)/|μ_b − μ_a|² without the pairs of a sample with itself: 0 at the own mean, ½ where both are
    as near, 1 at the other one. Where the means are no further apart than chance has it, all samples are halfway.

    Parameters
    ----------
    features : Features
    labels : ndarray
        Shape (N,).
    sums : ndarray
        Of the unit rows of each class, shape (classes, d).
    chosen : ndarray
        The samples, increasing, shape (M,).
    rival : ndarray
        The other class of each, shape (M,).
    mapper : callable
        ``map``, or that of a pool, whose workers go through the features.
    """
    if not len(chosen):
        return np.empty(0)
    own, sizes = labels[chosen], np.bincount(labels).astype(np.float64)
    items = []
    for chunk in features.chunks():
        here = slice(*np.searchsorted(chosen, [chunk.start, chunk.stop]))
        if here.start < here.stop:
            items.append((chunk, chosen[here] - chunk.start, own[here], rival[here]))
    cosines = np.concatenate(list(mapper(partial(_to_sums, sums), items)), axis=1)
    within = (np.square(sums).sum(axis=1) - sizes) / (sizes * np.maximum(sizes - 1, 1))
    across = np.concatenate(
        [np.einsum("md,md->m", sums[own[k]], sums[rival[k]]) for k in _blocks(len(chosen), sums.shape[1])]
    ) / (sizes[own] * sizes[rival])
    apart = within[own] + within[rival] - 2 * across
    there = cosines[1] / sizes[rival] - (cosines[0] - 1) / np.maximum(sizes[own] - 1, 1) + within[own] - across
    return np.where(apart > 0, there / np.maximum(apart, 1e-12), 0.5)


def _to_sums(sums: Array, item: tuple[Chunk, Labels, Labels, Labels]) -> Array:
    """Inner products of some of a chunk's rows with the sums of their class and of the other; shape (2, M)."""
    chunk, places, *classes = item
    found = []
    for k in _blocks(len(places), sums.shape[1]):
        rows = chunk.unit(places[k])
        found.append([np.einsum("md,md->m", rows, sums[c[k]], dtype=np.float64) for c in classes])
    return np.concatenate(found, axis=1)


def _blocks(count: int, width: int) -> list[slice]:
    step = max(1, CHUNK_VALUES // 4 // width)
    return [slice(start, start + step) for start in range(0, count, step)]


@dataclass(frozen=True)
class Counts:
    """Samples by pair of classes, for the pairs that are some sample's class and rival and, of few classes, for all.

    Parameters
    ----------
    classes : ndarray
        Lower and higher class, shape (P, 2).
    rivals, wrong, between, mislabelled : ndarray
        Samples of either class whose rival is the other, and which of them are what, shape (P,).
    p_values : ndarray
        That at most ``LEAST`` of the samples of the two classes lie between them or are mislabelled, adjusted for all
        pairs of classes, shape (P,).
    all : int
        Pairs of classes that there are.
    """

    classes: NDArray[np.int64]
    rivals: Labels
    wrong: Labels
    between: Labels
    mislabelled: Labels
    p_values: Array
    all: int

    def __getitem__(self, chosen: NDArray[Any]) -> Counts:
        return Counts(
            self.classes[chosen],
            self.rivals[chosen],
            self.wrong[chosen],
            self.between[chosen],
            self.mislabelled[chosen],
            self.p_values[chosen],
            self.all,
        )

    def worst(self, count: int) -> Counts:
        """The pairs with the smallest p-values, of equal ones those with the most samples between them, mislabelled
        ones and rivals."""
        order = np.lexsort((-self.rivals, -(self.between + self.mislabelled), self.p_values))
        return self[order[:count]]


def count_pairs(found: Standing, everyone: int, copies: Labels | None = None) -> Counts:
    """Count samples by pair of classes.

    The null hypothesis of a pair is that a sample lies between the two classes or on the wrong side with probability
    ``LEAST`` at most: exact binomial tails for the samples of either class and of both, three times the smallest of
    which is the pair's p-value, and Benjamini and Hochberg's adjustment over all C(C − 1)/2 pairs, in which those
    without such a sample have a p-value of 1.

    Parameters
    ----------
    found : Standing
    everyone : int
        So many pairs are all listed, whether there is a sample or not.
    copies : ndarray, optional
        Of which sample each is an exact copy, shape (N,): copies in a class are one sample of the test.
    """
    classes = int(found.labels.max()) + 1
    once = np.ones(len(found.labels), dtype=bool)
    if copies is not None:
        once[:] = False
        once[np.unique(copies * classes + found.labels, return_index=True)[1]] = True
    sizes = np.bincount(found.labels[once], minlength=classes)
    low, high = np.minimum(found.labels, found.rival), np.maximum(found.labels, found.rival)
    codes, place = np.unique(low * classes + high, return_inverse=True)
    whole = classes * (classes - 1) // 2
    if whole <= everyone:
        first, second = np.triu_indices(classes, 1)
        code = first * classes + second
        place, codes = np.searchsorted(code, codes)[place], code
    pairs = np.stack(np.divmod(codes, classes), axis=1)

    def count(flags: Flags) -> Labels:
        return np.bincount(place[flags], minlength=len(pairs))

    sides = [count(found.crowd & once & (found.labels == side)) for side in (low, high)]
    return Counts(
        pairs,
        np.bincount(place, minlength=len(pairs)),
        count(found.wrong),
        count(found.between),
        count(found.mislabelled),
        adjusted(tails(np.stack(sides), sizes[pairs.T]), whole),
        whole,
    )


def tails(counts: NDArray[np.int64], sizes: NDArray[np.int64]) -> Array:
    """Three times the smallest binomial tail of either class and of both; counts and sizes have shape (2, P)."""
    from scipy.stats import binom

    k, n = (np.concatenate([x, x.sum(axis=0, keepdims=True)]) for x in (counts, sizes))
    return np.asarray(np.minimum(3 * binom.sf(k - 1, n, LEAST).min(axis=0), 1.0))


def adjusted(p_values: Array, tests: int) -> Array:
    """Benjamini and Hochberg's p-values of some tests, where the others, ``tests`` in all, have p = 1."""
    from scipy.stats import false_discovery_control

    if not len(p_values):
        return p_values
    return np.asarray(np.minimum(false_discovery_control(p_values) * (tests / len(p_values)), 1.0))
