"""Class means and the within-class covariance of features: one pass over their chunks."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial, reduce
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from empirical.data.features import Chunk, Features, Mapper
from theory.checks import require

Array = NDArray[np.float64]
Labels = NDArray[np.int64]
ORIGIN_ROWS = 1_000  # whose mean is subtracted first, so that no variance is a difference of large numbers
CONSTANT = 1e-14  # of its squared mean, about single precision's rounding: a column of less variance does not vary
NULL = 1e-10  # of the largest eigenvalue of the within-class correlations: a direction below is dropped


@dataclass(frozen=True)
class Moments:
    """What the Gaussian equivalent needs to know of features.

    Parameters
    ----------
    counts : ndarray
        Samples of each class, shape (C,).
    means : ndarray
        Class means about ``origin``, shape (C, d).
    within : ndarray
        Pooled within-class covariance, shape (d, d), with N − C degrees of freedom.
    origin : ndarray
        Shape (d,).
    """

    counts: Labels
    means: Array
    within: Array
    origin: Array

    @property
    def samples(self) -> int:
        """N."""
        return int(self.counts.sum())

    @property
    def freedom(self) -> int:
        """N − C, the degrees of freedom of ``within``."""
        return self.samples - len(self.counts)

    @property
    def variances(self) -> Array:
        """Variance of each column over all samples, shape (d,)."""
        shares = self.counts / self.samples
        between = shares @ np.square(self.means - shares @ self.means)
        return np.asarray(np.diag(self.within) * self.freedom / self.samples + between)


SMALLEST_SIZE, LARGEST_SIZE = 1e-50, 1e50  # of the largest feature


class Sums(NamedTuple):
    """Sums over rows: how many, of what and of which products."""

    counts: Labels
    sums: Array
    products: Array


def measure_moments(features: Features, labels: Labels, mapper: Mapper = map) -> Moments:
    """Counts, means and pooled covariance in one pass, in double precision.

    Parameters
    ----------
    features : Features
        A chunk and two d × d matrices are in memory at a time.
    labels : ndarray
        0, 1, …, shape (N,).
    mapper : callable
        ``map``, or that of a pool, whose workers sum the chunks; the numbers are the same.

    Raises
    ------
    ParameterError
        If labels and rows are not equally many, there is one class, or a class has fewer than two samples; or, naming
        the row, if one is not finite.
    """
    require_classes(features, labels)
    classes, chunks = int(labels.max()) + 1, features.chunks()
    first = chunks[0].raw(slice(ORIGIN_ROWS))
    require_size(first)
    origin = first.mean(axis=0, dtype=np.float64)
    items = ((chunk, labels[chunk.start : chunk.stop]) for chunk in chunks)
    counts, sums, products = reduce(_added, mapper(partial(sum_rows, classes, origin), items))
    means = sums / counts[:, None]
    within = (products - (means.T * counts) @ means) / (len(labels) - classes)
    return Moments(counts, means, (within + within.T) / 2, origin)


def require_classes(features: Features, labels: Labels) -> None:
    """ParameterError unless there is a label for each row, and two or more classes of two or more samples."""
    require(len(labels) == features.rows, "labels", f"{len(labels)} labels", f"one for each of {features.rows} rows")
    sizes = np.bincount(labels)
    require(len(sizes) >= 2, "labels", f"{len(sizes)} class", "at least two classes")
    smallest = int(sizes.min())
    require(smallest >= 2, "labels", f"a class of {smallest} sample", "at least two samples in every class")


def sum_rows(classes: int, origin: Array, item: tuple[Chunk, Labels]) -> Sums:
    """The sums of a chunk: what a worker does."""
    chunk, labels = item
    rows = chunk.raw()
    require_size(rows)
    rows = rows - origin  # in double precision, as the origin
    return Sums(np.bincount(labels, minlength=classes), indicators(labels, classes) @ rows, rows.T @ rows)


def require_size(rows: NDArray[Any]) -> None:
    """ParameterError unless squares and fourth powers of the features fit a float: none above, not all below."""
    largest = float(np.abs(rows).max(initial=0))
    inside = largest == 0 or SMALLEST_SIZE <= largest <= LARGEST_SIZE
    require(inside, "features", f"{largest:.3g} in size", f"between {SMALLEST_SIZE:g} and {LARGEST_SIZE:g}")


def indicators(labels: Labels, classes: int) -> csr_array:
    """1 where a sample (column) belongs to a class (row), shape (C, N): it times rows sums these by class."""
    return csr_array((np.ones(len(labels)), (labels, np.arange(len(labels)))), shape=(classes, len(labels)))


def _added(first: Sums, second: Sums) -> Sums:
    for mine, more in zip(first, second, strict=True):
        np.add(mine, more, out=mine)
    return first
