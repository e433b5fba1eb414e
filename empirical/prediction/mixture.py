"""The easy and the difficult part of each class, from its samples in the discriminant space."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from sklearn.mixture import GaussianMixture

Array = NDArray[np.float64]
MOST_ROWS = 2_000  # of a class, that its parts are found with
MOST_RIVALS = 20  # nearest classes on the way to which difficult samples may lie
FEWEST_ROWS = 30  # of a class that may have two parts
ROWS_AN_AXIS = 4  # so many leading axes of the discriminant space tell the parts apart
SMALLEST = 1e-3  # variance of a part, of the pooled one
STEPS, CONVERGED = 200, 1e-6


@dataclass(frozen=True)
class Split:
    """Parts of a class and how much each of its samples belongs to each.

    Parameters
    ----------
    memberships : ndarray
        Rows sum to 1, shape (n, parts).
    groups : ndarray
        Parts of the same number, 0 or 1, share a covariance, shape (parts,).
    """

    memberships: Array
    groups: NDArray[np.int64]


@dataclass(frozen=True)
class Part:
    """A Gaussian part of a class, about the class mean: its share, mean, covariance and group, 0 or 1."""

    share: float
    mean: Array
    covariance: Array
    group: int


def whole(rows: Array) -> Split:
    """One part."""
    return Split(np.ones((len(rows), 1)), np.zeros(1, dtype=np.int64))


def parts(rows: Array, split: Split, kept: NDArray[np.bool_] | slice = slice(None)) -> list[Part]:
    """Shares, means and covariances of the parts, from the rows that are kept.

    Covariances are drawn to a multiple of the identity of the same trace, as if that had been seen on as many samples
    as there are dimensions: a part of few samples has no covariance of its own.
    """
    x, memberships = rows[kept], split.memberships[kept]
    size, width = memberships.sum(axis=0), rows.shape[1]
    means = memberships.T @ x / np.maximum(size, 1e-12)[:, None]
    centre, found = x.mean(axis=0), []
    for group in np.unique(split.groups):
        members = np.flatnonzero((split.groups == group) & (size > 1e-3))
        if not len(members):
            continue
        scatter = sum((memberships[:, [k]] * (x - means[k])).T @ (x - means[k]) for k in members)
        freedom = max(float(size[members].sum()) - 1, 1.0)
        sphere = np.trace(scatter) / freedom / width * np.eye(width)
        covariance = (scatter + width * sphere) / (freedom + width)
        found += [Part(float(size[k]) / len(x), means[k] - centre, covariance, int(group)) for k in members]
    total = sum(part.share for part in found)
    return [Part(part.share / total, part.mean, part.covariance, part.group) for part in found]


def split_class(rows: Array, others: Array, seed: int = 0) -> Split:
    """The easy and the difficult part of a class, or one part, whichever has the smallest BIC of three.

    One round Gaussian; two of them; or an easy one, and difficult samples that lie part of the way to some other
    class, as averages of two images do: Gaussians of one width about the same share of the way to each of them.
    Round ones have few parameters; the parts' covariances are measured afterwards.

    Parameters
    ----------
    rows : ndarray
        Whitened, about the class mean, shape (n, q); of few samples the leading axes are looked at.
    others : ndarray
        Means of the other classes about this one's, shape (C − 1, q).
    seed : int
        Of the starting points.

    References
    ----------
    Schwarz 1978, Estimating the dimension of a model.
    """
    from sklearn.mixture import GaussianMixture

    chosen = np.random.default_rng(seed).permutation(len(rows))[:MOST_ROWS]
    width = min(rows.shape[1], len(chosen) // ROWS_AN_AXIS)
    if len(chosen) < FEWEST_ROWS:
        return whole(rows)
    rows, others = rows[:, :width], others[:, :width]
    fitted = rows[chosen]
    one, two = (
        GaussianMixture(k, covariance_type="spherical", reg_covar=SMALLEST, n_init=k, random_state=seed).fit(fitted)
        for k in (1, 2)
    )
    nearest = others[np.argsort(np.square(others).sum(axis=1))[:MOST_RIVALS]]
    way = between(fitted, nearest, two)
    scores = [one.bic(fitted), two.bic(fitted), way.bic(fitted)]
    best = int(np.argmin(scores))
    if best == 0:
        return whole(rows)
    if best == 2:
        return Split(way.memberships(rows)[0], np.array([0] + [1] * len(nearest)))
    return Split(two.predict_proba(rows), np.array([0, 1]))


@dataclass
class Between:
    """An easy part, and difficult samples part of the way to other classes.

    Parameters
    ----------
    mean : ndarray
        Of the easy part, shape (q,).
    rivals : ndarray
        Means of the other classes, shape (R, q).
    way : float
        Share of the way from the easy mean to a rival's, 0 to 1; images averaged in the features would have ½.
    easy, difficult : float
        Variances of the parts.
    weights : ndarray
        Of the easy part and of each rival, shape (R + 1,).
    """

    mean: Array
    rivals: Array
    way: float
    easy: float
    difficult: float
    weights: Array

    def memberships(self, rows: Array) -> tuple[Array, float]:
        """Probabilities of the parts given the rows, shape (n, R + 1), and the log-likelihood."""
        centres = np.vstack([self.mean, self.mean + self.way * (self.rivals - self.mean)])
        variances = np.array([self.easy] + [self.difficult] * len(self.rivals))
        squares = (
            np.square(rows).sum(axis=1)[:, None] - 2 * rows @ centres.T + np.square(centres).sum(axis=1)
        ) / variances
        logs = np.log(np.maximum(self.weights, 1e-300)) - (squares + rows.shape[1] * np.log(2 * np.pi * variances)) / 2
        highest = logs.max(axis=1, keepdims=True)
        total = highest[:, 0] + np.log(np.exp(logs - highest).sum(axis=1))
        return np.exp(logs - total[:, None]), float(total.sum())

    def update(self, rows: Array, memberships: Array) -> None:
        """The step of EM that follows memberships: weights, mean, way and variances, each given those before it."""
        width, size = rows.shape[1], np.maximum(memberships.sum(axis=0), 1e-9)
        self.weights = size / size.sum()
        hard, left = memberships[:, 1:], 1 - self.way
        # The difficult samples tell about the easy mean too, from which their way begins.
        pulled = hard.sum(axis=1) @ rows - self.way * size[1:] @ self.rivals
        precision = size[0] / self.easy + left**2 * size[1:].sum() / self.difficult
        self.mean = (memberships[:, 0] @ rows / self.easy + left * pulled / self.difficult) / precision
        steps, about = self.rivals - self.mean, rows - self.mean
        lengths = np.square(steps).sum(axis=1)
        along = float((hard * (about @ steps.T)).sum())
        self.way = float(np.clip(along / float(size[1:] @ lengths), 0, 1))
        squares = np.square(about).sum(axis=1)
        shifted = squares[:, None] - 2 * self.way * about @ steps.T + self.way**2 * lengths
        self.easy = max(float(memberships[:, 0] @ squares) / size[0] / width, SMALLEST)
        self.difficult = max(float((hard * shifted).sum()) / float(size[1:].sum()) / width, SMALLEST)

    def bic(self, rows: Array) -> float:
        """Bayesian information criterion: −2·log-likelihood + parameters·log n."""
        parameters = rows.shape[1] + len(self.rivals) + 3
        return float(parameters * np.log(len(rows)) - 2 * self.memberships(rows)[1])


def between(rows: Array, rivals: Array, start: GaussianMixture) -> Between:
    """The maximum-likelihood ``Between``, by EM from either of two round Gaussians as the easy part.

    Parameters
    ----------
    rows : ndarray
        Shape (n, q).
    rivals : ndarray
        Shape (R, q).
    start : GaussianMixture
        Of two spherical components.
    """
    found = [_climbed(rows, rivals, start, easy) for easy in (0, 1)]
    return max(found, key=lambda model: model.memberships(rows)[1])


def _climbed(rows: Array, rivals: Array, start: GaussianMixture, easy: int) -> Between:
    weights, variances = start.weights_, start.covariances_
    hard = np.full(len(rivals), weights[1 - easy] / len(rivals))
    shares = np.append(weights[easy], hard)
    model = Between(start.means_[easy], rivals, 0.5, float(variances[easy]), float(variances[1 - easy]), shares)
    before = -np.inf
    for _ in range(STEPS):
        memberships, likelihood = model.memberships(rows)
        if likelihood - before < CONVERGED * abs(likelihood):
            break
        before = likelihood
        model.update(rows, memberships)
    return model
