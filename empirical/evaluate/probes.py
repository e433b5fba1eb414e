"""Linear probes and kNN on frozen features.

L-BFGS (``linear_probe``), whose one setting is chosen on its training rows, and SGD (``sgd_probe``), which many papers
use; the probe on augmented images is ``empirical.evaluate.augmented``'s.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from functools import cache
from math import ceil
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from empirical.data.copies import first_copies, row_hashes
from empirical.data.labels import UNLABELLED, Labels, as_labels
from empirical.evaluate.protocol import DEFAULT, EPOCHS
from theory.checks import require, require_integer

Array = NDArray[np.float32]
DRAWS_SEED = 20250102
ROWS = 4096  # of a matrix of pairs held at a time
GRID = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0, 3.0, 10.0)  # of C
FOLDS = 5
JUDGED = 5_000  # held-out rows that choose C: of more rows only as many folds are held out as have so many
CHOOSING = 5  # draws of few labels whose labels choose C


def labelled(features: Array, labels: Any) -> tuple[Array, Labels]:
    """The rows that have a label, with their labels: −1, null and NaN are none.

    Raises
    ------
    ParameterError
        If there is no label, or not one for each row.
    """
    numbers = as_labels("labels", labels)
    require(len(numbers) == len(features), "labels", f"{len(numbers)} labels", f"one for each of {len(features)} rows")
    kept = numbers != UNLABELLED
    require(bool(kept.any()), "labels", "none", "labels of some samples")
    return (features, numbers) if kept.all() else (features[kept], numbers[kept])


def probe(features: Array, labels: Labels, c: float = 1.0) -> Any:
    """A fitted multinomial logistic regression (L-BFGS) on standardised features.

    Parameters
    ----------
    features, labels : ndarray
        Shapes (N, d) and (N,); here and below, rows without a label (−1, null, NaN) are left out.
    c : float
        Inverse regularisation, scikit-learn's C, > 0: the summed losses are minimised with ½|W|²/c. It stays 1 where a
        probe is a means, as in profiles and gaps, and not what is measured (``choose_c``).
    """
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    features, labels = labelled(features, labels)
    # Features whose spread is far above the others' would leave L-BFGS short of its optimum.
    return make_pipeline(StandardScaler(), _logistic(c)).fit(features, labels)


def _logistic(c: float) -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=c, max_iter=300, tol=1e-3)


def choose_c(
    features: Array, labels: Labels, labels_per_class: int | None = None, copies: Labels | None = None
) -> float | None:
    """The C of ``GRID`` with the smallest held-out loss on a probe's training rows.

    Stratified five-fold cross-validation, fewer folds where a class has fewer rows; of more than 5,000 rows only so
    many folds are held out as have 5,000. From .1 on, by decades and then by half ones, as long as the loss falls:
    larger C take longer and are rarely wanted. The loss rather than the accuracy: over 25 subsets of CIFAR-10 features
    it chose .1 points below the best C, the accuracy .5, and C = 1 lay 2.1 below. Few labels choose once, over the
    first five draws of ``linear_probe``.

    Parameters
    ----------
    features, labels : ndarray
        Shapes (N, d) and (N,).
    labels_per_class : int, optional
        As in ``linear_probe``.
    copies : ndarray, optional
        Of which row each is an exact copy, shape (N,), by default as the features say: copies are in one fold.

    Returns
    -------
    float or None
        None where a class has one row, or copies of one, which cannot be both trained on and held out.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.preprocessing import StandardScaler

    copies = first_copies(row_hashes(features)) if copies is None else copies
    copies = copies[as_labels("labels", labels) != UNLABELLED]
    features, labels = labelled(features, labels)
    different = np.unique(np.stack([labels, copies], axis=1), axis=0)[:, 0]
    folds = min(FOLDS, labels_per_class or int(np.unique(different, return_counts=True)[1].min()))
    if folds < 2:
        return None
    x = StandardScaler().fit_transform(features)
    chosen = [np.arange(len(labels))]
    if labels_per_class is not None:
        chosen = list(label_draws(labels, labels_per_class, CHOOSING))

    @cache
    def loss(index: int) -> float:
        return sum(_held_out_loss(x[rows], labels[rows], copies[rows], folds, GRID[index]) for rows in chosen)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # of a C that loses
        index = GRID.index(0.1)
        for step in (2, -2, 1, -1):
            while 0 <= index + step < len(GRID) and loss(index + step) < loss(index):
                index += step
    return GRID[index]


def _held_out_loss(features: Array, labels: Labels, copies: Labels, folds: int, c: float) -> float:
    """Mean cross-entropy of rows that a probe has not seen, nor exact copies of them."""
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    repeated = len(np.unique(copies)) < len(copies)
    splitter = (StratifiedGroupKFold if repeated else StratifiedKFold)(folds, shuffle=True, random_state=0)
    parts = splitter.split(features, labels, copies if repeated else None)
    held_out = ceil(JUDGED * folds / len(labels))
    losses = []
    for (fit, held), _ in zip(parts, range(held_out), strict=False):
        model = _logistic(c).fit(features[fit], labels[fit])
        outputs = model.predict_proba(features[held])
        place = np.searchsorted(model.classes_, labels[held]).clip(max=len(model.classes_) - 1)
        known = model.classes_[place] == labels[held]  # whole groups may leave a class out of the others
        right = np.where(known, outputs[np.arange(len(held)), place], 0)
        losses.append(-np.log(np.maximum(right, np.finfo(right.dtype).tiny)).mean())
    return float(np.mean(losses))


def label_draws(labels: Labels, labels_per_class: int, draws: int) -> Iterator[Labels]:
    """Rows with so many labels of each class; they depend on the labels alone, and more draws begin with the same."""
    labels_per_class = require_integer("labels_per_class", labels_per_class, 1, int(np.bincount(labels).min()))
    generator = np.random.default_rng(DRAWS_SEED)
    members = [np.flatnonzero(labels == c) for c in range(int(labels.max()) + 1)]
    for _ in range(draws):
        yield np.concatenate([generator.choice(m, labels_per_class, replace=False) for m in members])


def linear_probe(
    features: Array,
    labels: Labels,
    test_features: Array,
    test_labels: Labels,
    labels_per_class: int | None = None,
    draws: int = DEFAULT.draws,
    c: float | None = None,
) -> float:
    """Test accuracy of a linear probe.

    Parameters
    ----------
    features, labels, test_features, test_labels : ndarray
        Shapes (N, d), (N,), (M, d), (M,).
    labels_per_class : int, optional
        Train on so many labels per class instead of all, averaged over ``draws`` draws. The draws
        depend on the labels alone, so that they are the same for every encoder.
    c : float, optional
        See ``probe``; by default that of ``choose_c``, 1 where it has none.

    Raises
    ------
    ParameterError
        If a class has fewer samples than ``labels_per_class``.
    """
    features, labels = labelled(features, labels)
    test_features, test_labels = labelled(test_features, test_labels)
    c = c or choose_c(features, labels, labels_per_class) or 1.0
    if labels_per_class is None:
        return float(probe(features, labels, c).score(test_features, test_labels))
    from sklearn.preprocessing import StandardScaler

    # The few labelled samples say little about the features' scales; all of them are there, unlabelled.
    scaler = StandardScaler().fit(features)
    features, test_features = scaler.transform(features), scaler.transform(test_features)
    scores = []
    for chosen in label_draws(labels, labels_per_class, draws):
        scores.append(_logistic(c).fit(features[chosen], labels[chosen]).score(test_features, test_labels))
    return float(np.mean(scores))


def sgd_probe(
    features: Array,
    labels: Labels,
    test_features: Array,
    test_labels: Labels,
    epochs: int = EPOCHS,
    lr: float = 0.1,
    batch: int = 256,
    seed: int = 0,
    standardised: bool = True,
) -> float:
    """Test accuracy of a linear layer trained by SGD on frozen features, after its last epoch.

    Momentum .9, no weight decay, learning rate falling to zero by a cosine.

    Parameters
    ----------
    features, labels, test_features, test_labels : ndarray
        Shapes (N, d), (N,), (M, d), (M,).
    epochs, lr, batch : int, float, int
        Passes over the data, first learning rate, samples per step.
    seed : int
        Of the order of the samples; the layer starts at zero.
    standardised : bool
        Whether features get mean 0 and variance 1 first.
    """
    features, labels = labelled(features, labels)
    test_features, test_labels = labelled(test_features, test_labels)
    x, test, y = (torch.from_numpy(array) for array in (features, test_features, labels))
    if standardised:
        mean, spread = x.mean(dim=0), x.std(dim=0).clamp(min=1e-6)
        x, test = (x - mean) / spread, (test - mean) / spread
    layer = nn.Linear(x.shape[1], int(labels.max()) + 1)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    optimizer = torch.optim.SGD(layer.parameters(), lr=lr, momentum=0.9)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(epochs):
        for rows in torch.randperm(len(x), generator=generator).split(batch):
            optimizer.zero_grad()
            functional.cross_entropy(layer(x[rows]), y[rows]).backward()
            optimizer.step()
        schedule.step()
    with torch.no_grad():
        predicted = layer(test).argmax(dim=1)
    return float((predicted.numpy() == test_labels).mean())


class OnlineProbe(nn.Module):
    """A linear layer trained along with the encoder, on features that send no gradient back.

    Its accuracy is for curves only: it is measured on augmented training views with features that still move.

    Parameters
    ----------
    features, classes : int
        Width of the features; number of classes.
    lr : float
        Learning rate of Adam.
    """

    def __init__(self, features: int, classes: int, lr: float = 1e-3) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(features, affine=False)
        self.layer = nn.Linear(features, classes)
        self.optimizer = torch.optim.Adam(self.layer.parameters(), lr=lr)

    def update(self, features: Tensor, labels: Tensor) -> Tensor:
        """Learn from a batch; accuracy on it before learning, a scalar on the device (0 if nothing is labelled).

        Parameters
        ----------
        features : Tensor
            Shape (B, features).
        labels : Tensor
            Shape (B,); −1 is ignored.
        """
        labelled = (labels >= 0).sum().clamp(min=1)
        with torch.enable_grad():
            outputs = self.layer(self.norm(features.detach().float()))
            # A sum over the labelled, for a mean over none is no number.
            loss = functional.cross_entropy(outputs, labels, ignore_index=-1, reduction="sum") / labelled
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
        right: Tensor = (outputs.argmax(dim=1) == labels).sum() / labelled
        return right

    def state(self) -> dict[str, Any]:
        """Layer and optimiser, for a checkpoint."""
        return {"layer": self.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load(self, state: dict[str, Any]) -> None:
        """Inverse of ``state``."""
        self.load_state_dict(state["layer"])
        self.optimizer.load_state_dict(state["optimizer"])


def alignment(first: Tensor, second: Tensor, power: float = 2.0) -> float:
    """Mean distance^power of the unit vectors of two views of the same images; 0 is perfect.

    Parameters
    ----------
    first, second : Tensor
        Shape (N, d).

    References
    ----------
    Wang & Isola 2020, Understanding contrastive representation learning through alignment and uniformity.
    """
    gap = functional.normalize(first, dim=1) - functional.normalize(second, dim=1)
    return float(gap.norm(dim=1).pow(power).mean())


def uniformity(features: Tensor, t: float = 2.0) -> float:
    """log of the mean of e^(−t‖u − v‖²) over pairs of different rows' unit vectors, in [−4t, 0]; lower is better.

    Parameters
    ----------
    features : Tensor
        Shape (N, d), N >= 2.

    References
    ----------
    Wang & Isola 2020.
    """
    unit = functional.normalize(features, dim=1)
    total = torch.zeros((), dtype=torch.float64)
    for part in unit.split(ROWS):
        total += (2 * t * (part @ unit.T - 1)).exp().sum(dtype=torch.float64)
    pairs = len(unit) * (len(unit) - 1)
    return float(((total - len(unit)) / pairs).log())  # a row with itself has distance 0


def knn(
    features: Array,
    labels: Labels,
    test_features: Array,
    test_labels: Labels,
    k: int = DEFAULT.k,
    tau: float = DEFAULT.tau,
) -> float:
    """Test accuracy of a cosine-weighted vote of the k nearest training samples, weights e^(cos/τ).

    Parameters
    ----------
    features, labels, test_features, test_labels : ndarray
        Shapes (N, d), (N,), (M, d), (M,).
    k : int
        Neighbours, all samples where there are fewer.
    tau : float
        τ > 0.
    """
    features, labels = labelled(features, labels)
    test_features, test_labels = labelled(test_features, test_labels)
    bank, bank_labels = functional.normalize(torch.from_numpy(features), dim=1), torch.from_numpy(labels)
    correct = 0
    for part, truth in zip(
        torch.from_numpy(test_features).split(1024), torch.from_numpy(test_labels).split(1024), strict=True
    ):
        cosines, nearest = (functional.normalize(part, dim=1) @ bank.T).topk(min(k, len(bank)))
        votes = torch.zeros(len(part), int(labels.max()) + 1)
        # Against the nearest: the same vote, but e^(1/τ) overflows below τ = .0113.
        votes.scatter_add_(1, bank_labels[nearest], ((cosines - cosines[:, :1]) / tau).exp())
        correct += int((votes.argmax(dim=1) == truth).sum())
    return correct / len(test_labels)
