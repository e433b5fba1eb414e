"""How the field judges features of graphs: a support vector machine's accuracy in ten folds, over several seeds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from empirical.data.copies import Rows
from theory.checks import require, require_integer

COSTS = (1e-3, 1e-2, 1e-1, 1.0, 1e1, 1e2, 1e3)
FOLDS, INNER, SEEDS = 10, 5, 5


@dataclass(frozen=True)
class Accuracies:
    """Accuracies of a classifier.

    Parameters
    ----------
    folds : ndarray
        Shares in [0, 1], shape (seeds, folds).
    """

    folds: NDArray[np.float64]

    @property
    def per_seed(self) -> NDArray[np.float64]:
        """The mean over folds, shape (seeds,)."""
        return np.asarray(self.folds.mean(axis=1))

    @property
    def mean(self) -> float:
        """Over seeds."""
        return float(self.per_seed.mean())

    @property
    def deviation(self) -> float:
        """Standard deviation over seeds, not folds, divided by their number (``numpy.std``) as the field does."""
        return float(self.per_seed.std())


def svc_accuracies(
    features: ArrayLike,
    labels: ArrayLike,
    seeds: int | Iterable[int] = SEEDS,
    folds: int = FOLDS,
    groups: ArrayLike | None = None,
) -> Accuracies:
    """Accuracy of a support vector machine with a Gaussian kernel on graphs that it was not trained on.

    For each seed the graphs are shuffled into folds with the classes' shares. For each fold a machine is trained on
    the others, with C of 10⁻³, 10⁻², …, 10³ by the accuracy in 5 folds of its training graphs, as in the code of
    InfoGraph, GraphCL and ADNCE: neither are features scaled there, nor are copies of a graph kept together.

    Parameters
    ----------
    features : array_like
        Shape (N, d), finite.
    labels : array_like
        Integers, shape (N,).
    seeds : int or iterable of int
        Of the folds: 0, 1, …, or these.
    folds : int
        At least 2.
    groups : array_like, optional
        Shape (N,); graphs with the same value stay in one fold, such as ``GraphSet.hashes()`` for exact copies.

    Raises
    ------
    ParameterError
        If shapes do not fit, a feature is not finite, or a class has fewer graphs (or groups) than there are folds.

    Notes
    -----
    The field trains once for each seed, and judges with the folds of that seed: ``seeds=[seed]`` for each training.
    The accuracy is optimistic where encoders were trained on all graphs without labels, as they are in the field.
    """
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    x, y = np.asarray(features, dtype=np.float64), np.asarray(labels)
    group = None if groups is None else np.asarray(groups)
    _require_fitting(x, y, folds, group)
    numbers = range(seeds) if isinstance(seeds, int) else list(seeds)
    require(len(numbers) > 0, "seeds", seeds, "at least one")
    splitter: Any = StratifiedKFold if group is None else StratifiedGroupKFold
    found = []
    for seed in numbers:
        accuracies = []
        for train, test in splitter(folds, shuffle=True, random_state=seed).split(x, y, group):
            inner = splitter(INNER).split(x[train], y[train], None if group is None else group[train])
            tried = [_scores(x, y, train[some], train[others]) for some, others in inner]
            best = COSTS[int(np.mean(tried, axis=0).argmax())]
            accuracies.append(_scores(x, y, train, test, [best])[0])
        found.append(accuracies)
    return Accuracies(np.array(found))


def _scores(
    x: NDArray[np.float64], y: Rows, train: Rows, test: Rows, costs: Sequence[float] = COSTS
) -> NDArray[np.float64]:
    """Accuracy on the rows ``test`` for each C, as of scikit-learn's ``SVC``, with one kernel for all of them."""
    from sklearn.metrics.pairwise import rbf_kernel
    from sklearn.svm import SVC

    gamma = 1 / (x.shape[1] * (x[train].var() or 1))
    among, towards = (rbf_kernel(x[rows], x[train], gamma) for rows in (train, test))
    machines = [SVC(C=cost, kernel="precomputed").fit(among, y[train]) for cost in costs]
    return np.array([machine.score(towards, y[test]) for machine in machines])


def _require_fitting(x: NDArray[np.float64], y: Rows, folds: int, group: NDArray[Any] | None) -> None:
    require(x.ndim == 2, "features", f"shape {x.shape}", "shape (N, d)")
    require(y.shape == (len(x),), "labels", f"shape {y.shape}", f"shape ({len(x)},)")
    if group is not None:
        require(group.shape == y.shape, "groups", f"shape {group.shape}", f"shape ({len(x)},)")
    finite = np.isfinite(x).all(axis=1)
    require(bool(finite.all()), "features", f"row {int(finite.argmin())}", "finite numbers")
    require_integer("folds", folds, 2)
    classes = np.unique(y)
    require(len(classes) > 1, "labels", f"{len(classes)} class", "at least two classes")
    for label in classes:
        count = int((y == label).sum()) if group is None else len(np.unique(group[y == label]))
        what = "graphs" if group is None else "groups"
        require(count >= folds, "labels", f"{count} {what} of class {label}", f"at least one for each of {folds} folds")
