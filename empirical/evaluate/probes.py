"""Linear probes and kNN on frozen features: ``python -m empirical.evaluate``.

Two protocols for the probe: L-BFGS on the features of the original images (``linear_probe``), which has no
settings to tune, and SGD (``sgd_probe``), which many papers use. Both read the final weights and the final epoch.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from empirical.data import Images, take
from empirical.data.augment import Augmentation
from empirical.encoders import Network, extract
from empirical.evaluate.protocol import DEFAULT, Protocol
from theory.checks import ParameterError, require_integer
from theory.plan import SPACES

Array = NDArray[np.float32]
Labels = NDArray[np.int64]
DRAWS_SEED = 20250102
ROWS = 4096  # of a matrix of pairs held at a time


def probe(features: Array, labels: Labels) -> Any:
    """A fitted multinomial logistic regression (L-BFGS) on standardised features.

    Parameters
    ----------
    features, labels : ndarray
        Shapes (N, d) and (N,).
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    # Features whose spread is far above the others' would leave L-BFGS short of its optimum.
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=300, tol=1e-3)).fit(features, labels)


def linear_probe(
    features: Array,
    labels: Labels,
    test_features: Array,
    test_labels: Labels,
    labels_per_class: int | None = None,
    draws: int = 50,
) -> float:
    """Test accuracy of a linear probe.

    Parameters
    ----------
    features, labels, test_features, test_labels : ndarray
        Shapes (N, d), (N,), (M, d), (M,).
    labels_per_class : int, optional
        Train on so many labels per class instead of all, averaged over ``draws`` draws. The draws
        depend on the labels alone, so that they are the same for every encoder.

    Raises
    ------
    ParameterError
        If a class has fewer samples than ``labels_per_class``.
    """
    if labels_per_class is None:
        return float(probe(features, labels).score(test_features, test_labels))
    smallest = int(np.bincount(labels).min())
    labels_per_class = require_integer("labels_per_class", labels_per_class, 1, smallest)
    generator = np.random.default_rng(DRAWS_SEED)
    members = [np.flatnonzero(labels == c) for c in range(int(labels.max()) + 1)]
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    # The few labelled samples say little about the features' scales; all of them are there, unlabelled.
    scaler = StandardScaler().fit(features)
    features, test_features = scaler.transform(features), scaler.transform(test_features)
    scores = []
    for _ in range(draws):
        chosen = np.concatenate([generator.choice(m, labels_per_class, replace=False) for m in members])
        model = LogisticRegression(max_iter=300, tol=1e-3).fit(features[chosen], labels[chosen])
        scores.append(model.score(test_features, test_labels))
    return float(np.mean(scores))


def sgd_probe(
    features: Array,
    labels: Labels,
    test_features: Array,
    test_labels: Labels,
    epochs: int = 100,
    lr: float = 0.1,
    batch: int = 256,
    seed: int = 0,
) -> float:
    """Test accuracy of a linear layer trained by SGD on standardised features, after its last epoch.

    Momentum .9, no weight decay, learning rate falling to zero by a cosine.

    Parameters
    ----------
    features, labels, test_features, test_labels : ndarray
        Shapes (N, d), (N,), (M, d), (M,).
    epochs, lr, batch : int, float, int
        Passes over the data, first learning rate, samples per step.
    seed : int
        Of the order of the samples; the layer starts at zero.
    """
    x, y = torch.from_numpy(features), torch.from_numpy(labels)
    mean, spread = x.mean(dim=0), x.std(dim=0).clamp(min=1e-6)
    x = (x - mean) / spread
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
        predicted = layer((torch.from_numpy(test_features) - mean) / spread).argmax(dim=1)
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
    """log of the mean of e^{−t‖u − v‖²} over pairs of different rows' unit vectors, in [−4t, 0]; lower is better.

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
    features: Array, labels: Labels, test_features: Array, test_labels: Labels, k: int = 20, tau: float = 0.1
) -> float:
    """Test accuracy of a cosine-weighted vote of the k nearest training samples, weights e^{cos/τ}."""
    bank = torch.nn.functional.normalize(torch.from_numpy(features), dim=1)
    bank_labels = torch.from_numpy(labels)
    correct = 0
    for part, truth in zip(
        torch.from_numpy(test_features).split(1024), torch.from_numpy(test_labels).split(1024), strict=True
    ):
        cosines, nearest = (torch.nn.functional.normalize(part, dim=1) @ bank.T).topk(min(k, len(bank)))
        votes = torch.zeros(len(part), int(labels.max()) + 1)
        votes.scatter_add_(1, bank_labels[nearest], (cosines / tau).exp())
        correct += int((votes.argmax(dim=1) == truth).sum())
    return correct / len(test_labels)


def evaluate_features(
    space: str, features: Array, test_features: Array, images: Images, protocol: Protocol = DEFAULT
) -> dict[str, float]:
    """Accuracies of one feature space, keyed ``{space}_probe``, ``{space}_sgd_probe`` and ``{space}_knn``.

    Beside ``{space}_probe`` stands ``{space}_predicted_probe``, what the training features alone predict for it, with
    ``_low`` and ``_high``; it is left out where there is no number.

    Parameters
    ----------
    space : str
    features, test_features : ndarray
        Of the labelled training images and of the test images, shapes (N, d) and (M, d).
    images : Images
    protocol : Protocol
    """
    p, labels = protocol, images.y_train.numpy()
    data = features, labels[labels >= 0], test_features, images.y_test.numpy()
    scores: dict[str, float] = {}
    if p.probe in ("lbfgs", "both"):
        scores[f"{space}_probe"] = linear_probe(*data, p.labels_per_class, p.draws)
        scores |= _predicted(f"{space}_predicted_probe", features, data[1], p.labels_per_class)
    if p.probe in ("sgd", "both"):
        scores[f"{space}_sgd_probe"] = sgd_probe(*data)
    return {**scores, f"{space}_knn": knn(*data, p.k, p.tau)}


def _predicted(name: str, features: Array, labels: Labels, labels_per_class: int | None) -> dict[str, float]:
    """The predicted accuracy and its interval; empty where there is none."""
    from empirical.prediction import predict

    try:
        found = predict(features, labels, labels_per_class, components=2)
    except ParameterError:  # such as one sample in a class, with which a probe can be trained
        return {}
    ends = {name: found.accuracy, f"{name}_low": found.low, f"{name}_high": found.high}
    return {key: value for key, value in ends.items() if value is not None}


def evaluate_network(
    network: Network, images: Images, protocol: Protocol = DEFAULT, view: Augmentation | None = None
) -> dict[str, float]:
    """Accuracies on the encoder's and the projector's output; the network is left bit-identical.

    Parameters
    ----------
    network : Network
    images : Images
        Unlabelled training images (−1) are left out.
    protocol : Protocol
    view : callable, optional
        Also measure alignment and uniformity, on two such views of at most 2,000 test images.

    Raises
    ------
    RuntimeError
        If evaluation changed a weight or a batch-norm statistic.
    """
    before = fingerprint(network)
    labelled = (images.y_train >= 0).nonzero().flatten()
    x_train = images.x_train if len(labelled) == len(images.y_train) else take(images.x_train, labelled)
    train, test = extract(network, x_train), extract(network, images.x_test)
    views = None if view is None else _two_views(network, images, view)
    scores: dict[str, float] = {}
    for index, space in enumerate(SPACES):
        scores |= evaluate_features(space, train[index].numpy(), test[index].numpy(), images, protocol)
        if views is not None:
            scores[f"{space}_alignment"] = alignment(views[0][index], views[1][index])
            scores[f"{space}_uniformity"] = uniformity(test[index])
    if fingerprint(network) != before:
        raise RuntimeError("evaluation changed the network")
    return scores


def _two_views(network: Network, images: Images, view: Augmentation) -> list[tuple[Tensor, Tensor]]:
    generator = torch.Generator(next(network.parameters()).device).manual_seed(0)
    chosen = take(images.x_test, torch.arange(min(2_000, len(images.y_test))))
    return [extract(network, chosen, lambda part: view(part, generator)) for _ in range(2)]


def fingerprint(network: torch.nn.Module) -> str:
    """SHA-256 over all weights and statistics."""
    digest = hashlib.sha256()
    for name, value in network.state_dict().items():
        digest.update(name.encode() + value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


# --- command line ----------------------------------------------------------------------------------


def describe(scores: dict[str, float], protocol: Protocol = DEFAULT) -> str:
    """Scores of ``evaluate_network`` as a table, with the protocol."""
    titles = {"probe": "linear probe", "predicted_probe": "predicted", "sgd_probe": "SGD probe"}
    titles |= {"knn": f"kNN ({protocol.k})", "alignment": "alignment", "uniformity": "uniformity"}
    kinds = [kind for kind in titles if any(f"{space}_{kind}" in scores for space in SPACES)]
    few = protocol.labels_per_class
    used = "all labels" if few is None else f"{few} labels per class, {protocol.draws} draws"
    lines = [f"  {'':<12}" + "".join(f"{titles[kind]:>14}" for kind in kinds)]
    for space in SPACES:
        cells = (_cell(kind, scores.get(f"{space}_{kind}")) for kind in kinds)
        lines.append(f"  {space:<12}" + "".join(cells))
    probes = {"lbfgs": "L-BFGS", "sgd": "SGD", "both": "L-BFGS and SGD"}[protocol.probe]
    lines.append(f"  {probes} on standardised frozen features, {used}; kNN weights e^(cos/{protocol.tau})")
    if "predicted_probe" in kinds:
        lines.append("  predicted: the linear probe's accuracy, from the training features and their labels alone")
    return "\n".join(lines)


def _cell(kind: str, value: float | None) -> str:
    if value is None:
        return f"{'—':>14}"
    return f"{value:14.3f}" if kind in ("alignment", "uniformity") else f"{100 * value:13.2f}%"
