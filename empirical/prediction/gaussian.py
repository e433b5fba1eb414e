"""The accuracy that a linear probe will have, from the Gaussian equivalent of its training features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from empirical.choices import POSITIVE
from empirical.data.features import Features, Mapper
from empirical.data.labels import UNLABELLED, named_labels
from empirical.prediction.discriminant import Axes, Cloud, axes, project
from empirical.prediction.mixture import Part, parts, split_class, whole
from empirical.prediction.moments import Labels, measure_moments
from empirical.prediction.resolvent import FEWEST_FREEDOM, Resolvent, centred, diagonalise, resolvent
from theory.checks import require, require_integer, require_known
from theory.predict.orthant import directions, largest

Array = NDArray[np.float64]
Covariance = Literal["own", "pooled"]
COVARIANCES = ("own", "pooled")
MOST_LABELS = 10**12  # a class
LARGEST_KAPPA = 0.9
FOLDS = 20  # of the jackknife
RAYS = 10_240  # over all classes, each with its opposite
FEWEST_RAYS, MOST_RAYS = 64, 1_024  # of a class
ROUGH = 8  # of so many rays, one for the interval, whose replicates all have the same


@dataclass(frozen=True)
class Prediction:
    """Predicted accuracy of a linear probe, or the reason why there is no number.

    Parameters
    ----------
    accuracy, low, high : float or None
        Expected accuracy on new samples of the same distribution, with a 95 % interval for the choice of the measured
        samples; it does not hold the error of the model.
    kappa : float
        Dimensions per degree of freedom of the probe's labels, tr(ΣRΣR)/(n − C); d/(n − C) without a ridge. Where
        there is no number: of all samples, d/(N − C).
    dimensions : int
        d, without dropped directions.
    reason : str or None
        Why there is no number.
    notes : tuple of str
        What a reader should know.
    easy, difficult : float or None
        Accuracy on the two parts, where some class has two; the difficult part of a class is the one that is right
        less often, and classes without a second part are easy.
    difficult_share : float or None
        Of all samples; None where only one part was asked for.
    """

    accuracy: float | None
    low: float | None
    high: float | None
    kappa: float
    dimensions: int
    reason: str | None = None
    notes: tuple[str, ...] = ()
    easy: float | None = None
    difficult: float | None = None
    difficult_share: float | None = None


def predict(
    features: Features | NDArray[Any],
    labels: Labels,
    labels_per_class: int | None = None,
    covariance: Covariance = "own",
    components: int = 1,
    mapper: Mapper = map,
    c: float = 1.0,
) -> Prediction:
    """Accuracy that ``empirical.evaluate.linear_probe`` will have, from its training features alone.

    Parameters
    ----------
    features : Features or ndarray
        Shape (N, d).
    labels : ndarray
        Integers, shape (N,).
    labels_per_class : int, optional
        Labels per class that the probe is trained on, >= 1; by default all N.
    covariance : {"own", "pooled"}
        Of the scores of each class: its own, or the one that all classes share, in about a quarter of the time.
    components : {1, 2}
        Gaussians in a class: one, or an easy and a difficult part where the samples tell them apart.
    mapper : callable
        ``map``, or that of a pool, whose workers go through the features.
    c : float
        The probe's inverse regularisation, scikit-learn's C, > 0.

    Raises
    ------
    ParameterError
        If labels and rows are not equally many, there is one class, a class has fewer than two samples, a row is not
        finite, or an argument is outside its range.
    """
    require_known("covariance", covariance, COVARIANCES)
    require(components in (1, 2), "components", components, "1 or 2")
    own = covariance == "own"
    require(own or components == 1, "components", components, "1 where covariance = pooled")
    if labels_per_class is not None:
        labels_per_class = require_integer("labels_per_class", labels_per_class, 1, MOST_LABELS)
    POSITIVE.require("c", c)
    x = features if isinstance(features, Features) else Features(features)
    given = named_labels("labels", labels).labels
    if len(given) == x.rows and (given == UNLABELLED).any():
        labelled = np.flatnonzero(given != UNLABELLED)
        require(len(labelled) > 0, "labels", "none", "labels of some samples")
        x, given = x.only(labelled), given[labelled]
    y = np.unique(given, return_inverse=True)[1].astype(np.int64)
    moments = measure_moments(x, y, mapper)
    basis = diagonalise(moments)
    d, classes = len(basis.variances), len(moments.counts)
    notes = tuple(_dropped(basis.constant, basis.null))
    kappa = d / moments.freedom
    if d == 0:
        return _none(0.0, 0, "features do not vary within the classes", notes)
    if kappa > LARGEST_KAPPA:
        reason = f"κ = {d}/({moments.samples} − {classes}) = {kappa:.3g} > {LARGEST_KAPPA}: too few samples to tell"
        return _none(kappa, d, reason, notes)
    counts = moments.counts if labels_per_class is None else np.full(classes, labels_per_class)
    found = resolvent(basis, moments, _freedom(counts), _ridge(counts, c))
    scores = score(found, counts)
    if scores.kappa > LARGEST_KAPPA:
        return _none(scores.kappa, d, f"κ = {scores.kappa:.3g} > {LARGEST_KAPPA}: too few labels to tell", notes)
    along = axes(found)
    if not len(along.deviations):
        return _none(scores.kappa, d, "all class means are equal", notes)
    cloud = project(x, y, found, along, own, mapper=mapper)
    if basis.separating:
        notes += ("class means differ along a dropped direction, which a probe may use: the accuracy is a low guess",)
    return _predict(found, scores, along, cloud, own, components, notes)


def _freedom(counts: NDArray[np.int64]) -> float:
    """Degrees of freedom of a probe's labels, n − C."""
    return max(float(counts.sum()) - len(counts), FEWEST_FREEDOM)


def _ridge(counts: NDArray[np.int64], c: float) -> float:
    """Ridge of a probe.

    scikit-learn's logistic regression adds ½|W|²/c to the summed losses, whose curvature is 1/C at W = 0: with
    n·S + (C/c)·I in the normal equations, and n − C for n.
    """
    return len(counts) / (c * _freedom(counts))


def _none(kappa: float, dimensions: int, reason: str, notes: tuple[str, ...]) -> Prediction:
    return Prediction(None, None, None, float(kappa), dimensions, reason, notes)


def _dropped(constant: Sequence[int], null: int) -> list[str]:
    found = []
    if constant:
        named = ", ".join(map(str, constant[:5])) + ", …" * (len(constant) > 5)
        many = "columns that do" if len(constant) > 1 else "column that does"
        found.append(f"dropped {len(constant)} {many} not vary: {named}")
    if null:
        found.append(f"dropped {null} direction{'s' * (null > 1)} without variance within the classes")
    return found


# --- scores ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Scores:
    """Mean and covariance of a new sample's scores, with a pooled covariance.

    Parameters
    ----------
    gram, shrunk : ndarray
        MRMᵀ and MRΣRMᵀ of the true class means, positive semidefinite, shape (C, C).
    counts : ndarray
        Labels of each class, shape (C,).
    dimensions, squared : float
        tr(ΣR), tr(ΣRΣR).
    """

    gram: Array
    shrunk: Array
    counts: NDArray[np.int64]
    dimensions: float
    squared: float

    @property
    def freedom(self) -> float:
        """n − C."""
        return _freedom(self.counts)

    @property
    def kappa(self) -> float:
        """tr(ΣRΣR)/(n − C)."""
        return self.squared / self.freedom

    @property
    def _kept(self) -> float:
        return 1 - self.dimensions / self.freedom

    @property
    def means(self) -> Array:
        """Row c: expected scores of a sample of class c."""
        bias = (np.diag(self.gram) + self.dimensions / self.counts) / 2
        return np.asarray((self.gram - bias) / self._kept + np.log(self.counts / self.counts.sum()))

    @property
    def covariance(self) -> Array:
        """Of the scores of a sample, over samples and labels."""
        noisy = self.shrunk + self.squared * centred(1 / self.counts)
        return np.asarray(noisy / (self._kept**2 * (1 - self.kappa)))


def score(found: Resolvent, counts: NDArray[np.int64]) -> Scores:
    """The scores of a probe with so many labels of each class."""
    gram, shrunk = (positive(product) for product in found.products())
    return Scores(gram, shrunk, counts, found.dimensions, found.squared_dimensions)


def positive(matrix: Array) -> Array:
    """The nearest positive semidefinite matrix of the same trace; 0 where that is negative.

    Of an unbiased estimate the trace is unbiased too. Its positive part alone, in which noise that lowers eigenvalues
    is cut off and noise that raises them stays, is too large: with 100 classes by points of accuracy.
    """
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    falling = values[::-1]
    # All eigenvalues fall by the same amount, as in the projection onto a simplex.
    excess = (np.cumsum(falling) - max(float(values.sum()), 0.0)) / np.arange(1, len(values) + 1)
    fall = max(float(excess[falling > excess][-1]) if (falling > excess).any() else float(falling[0]), 0.0)
    return np.asarray((vectors * np.maximum(values - fall, 0)) @ vectors.T)


def _root(matrix: Array) -> Array:
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    return np.asarray((vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T)


# --- accuracy --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Right:
    """Chance of being right: over all samples, of the easy ones, of the difficult ones, and these ones' share."""

    all: float
    easy: float
    difficult: float
    difficult_share: float


def accuracy(
    scores: Scores, along: Axes, shares: Array, populations: Sequence[Sequence[Part]], thinned: int = 1
) -> Right:
    """Share of samples whose own score is the largest.

    Parameters
    ----------
    scores : Scores
    along : Axes
    shares : ndarray
        Of the classes, shape (C,).
    populations : sequence of sequences of Part
        Of each class, in the leading axes; in the others the pooled covariance holds.
    thinned : int
        A power of 2: one of so many directions is taken.
    """
    u = along.vectors
    from_axes = u @ _root(u.T @ scores.covariance @ u)
    leading = len(populations[0][0].mean)
    classes, means = len(shares), scores.means
    count = int(np.clip(RAYS // classes, FEWEST_RAYS, MOST_RAYS)) // thinned
    rays = directions(u.shape[1], 1 << (count.bit_length() - 1))
    right, weight = np.zeros((classes, 2)), np.zeros((classes, 2))
    for c, population in enumerate(populations):
        factors: dict[int, Array] = {}  # by group, whose parts share a covariance
        for part in population:
            if part.group not in factors:
                factors[part.group] = from_axes.copy()
                factors[part.group][:, :leading] = from_axes[:, :leading] @ _root(part.covariance)
            factor, mean = factors[part.group], means[c] + from_axes[:, :leading] @ part.mean
            share = shares[c] * part.share
            right[c, part.group] += share * largest(mean, factor, c, rays)
            weight[c, part.group] += share
    rates = np.divide(right, weight, out=np.full_like(right, np.inf), where=weight > 0)
    hard = np.argmin(rates, axis=1)  # the difficult part of a class is the one that is right less often
    split = np.flatnonzero((weight > 0).all(axis=1))
    difficult, share = float(right[split, hard[split]].sum()), float(weight[split, hard[split]].sum())
    total = float(right.sum())
    return Right(total, (total - difficult) / max(1 - share, 1e-300), difficult / max(share, 1e-300), share)


def _predict(
    found: Resolvent,
    scores: Scores,
    along: Axes,
    cloud: Cloud,
    own: bool,
    components: int,
    notes: tuple[str, ...],
) -> Prediction:
    classes, shares = len(found.counts), found.counts / found.counts.sum()
    rows = cloud.rows * cloud.factors[cloud.labels, None]
    ends = np.cumsum(np.bincount(cloud.labels, minlength=classes))
    members = [slice(end - size, end) for end, size in zip(ends, np.bincount(cloud.labels), strict=True)]
    splits = [whole(rows[place]) for place in members]
    if components == 2:
        means = _whitened_means(found, along)[:, : rows.shape[1]]
        splits = [
            split_class(rows[place], np.delete(means - means[c], c, axis=0) * cloud.factors[c])
            for c, place in enumerate(members)
        ]

    def populations(kept: NDArray[np.bool_]) -> list[list[Part]]:
        if not own:
            width = rows.shape[1]
            return [[Part(1.0, np.zeros(width), np.eye(width), 0)]] * classes
        return [parts(rows[place], split, kept[place]) for place, split in zip(members, splits, strict=True)]

    everyone = np.ones(len(rows), dtype=bool)
    right = accuracy(scores, along, shares, populations(everyone))
    fold = _folds(cloud.labels)
    replicates = []
    for k in range(FOLDS):
        kept = fold != k
        moved = _without(scores, found, along, cloud, members, kept)
        replicates.append(accuracy(moved, along, shares, populations(kept), ROUGH).all)
    half = _half_width(np.array(replicates), cloud.share)
    two = components == 2 and right.difficult_share > 0
    return Prediction(
        right.all,
        max(right.all - half, 0.0),
        min(right.all + half, 1.0),
        scores.kappa,
        len(found.basis.variances),
        None,
        notes,
        right.easy if two else None,
        right.difficult if two else None,
        right.difficult_share if components == 2 else None,
    )


def _whitened_means(found: Resolvent, along: Axes) -> Array:
    """Class means in the whitened axes, on the scale of samples that the probe has not seen."""
    scores = (found.basis.means * found.diagonal) @ found.basis.means.T
    kept = 1 - found.dimensions / found.freedom
    return np.asarray(kept * scores @ along.vectors / along.deviations)


# --- the interval ----------------------------------------------------------------------------------


def _folds(labels: Labels, seed: int = 0) -> Labels:
    """A fold for each sample, balanced within the classes."""
    shuffled = np.random.default_rng(seed).permutation(len(labels))
    order = shuffled[np.argsort(labels[shuffled], kind="stable")]
    fold = np.empty(len(labels), dtype=np.int64)
    fold[order] = np.arange(len(labels)) % FOLDS
    return fold


def _without(
    scores: Scores, found: Resolvent, along: Axes, cloud: Cloud, members: list[slice], kept: NDArray[np.bool_]
) -> Scores:
    """The scores' Gram matrices without a fold, to first order: G + dM·QM̂ᵀ + M̂Q·dMᵀ − M̂Q·dS·QM̂ᵀ.

    Samples that a probe has been fitted on lie closer together than new ones; one over 1 − κ undoes that.
    """
    to_scores = (along.vectors[:, : cloud.rows.shape[1]] * along.deviations[: cloud.rows.shape[1]]).T
    means = np.stack([cloud.rows[place][kept[place]].mean(axis=0) for place in members])
    rows = (cloud.rows - means[cloud.labels])[kept]
    covariance = rows.T @ rows / (len(rows) - len(means))
    before = cloud.rows.T @ cloud.rows / (len(cloud.rows) - len(means))
    moved = (means - means.mean(axis=0)) @ to_scores
    change = moved + moved.T - to_scores.T @ (covariance - before) @ to_scores
    gram = positive(scores.gram + change)  # (1 − κ)·change, over 1 − κ
    return replace(scores, gram=gram, shrunk=positive(scores.shrunk + gram - scores.gram))


def _half_width(replicates: Array, share: float) -> float:
    """Half the 95 % t-interval of a delete-a-group jackknife; of a share of the samples, scaled to all of them."""
    groups = len(replicates)
    variance = (groups - 1) / groups * float(np.square(replicates - replicates.mean()).sum()) * share
    return float(stats.t.ppf(0.975, groups - 1) * np.sqrt(variance))
