"""Linear probe and kNN on frozen features: ``python -m empirical.evaluate``."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from empirical.data import Images, load
from empirical.encoders import Network, extract
from empirical.train import channels_of, load_network
from theory.cli import Parser, run
from theory.params import require, require_integer

Array = NDArray[np.float32]
Labels = NDArray[np.int64]
DRAWS_SEED = 20250102


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
    space: str,
    features: Array,
    test_features: Array,
    images: Images,
    labels_per_class: int | None = None,
    draws: int = 50,
) -> dict[str, float]:
    """Probe and kNN accuracy of one feature space, keyed ``{space}_probe`` and ``{space}_knn``."""
    labels, test_labels = images.y_train.numpy(), images.y_test.numpy()
    accuracy = linear_probe(features, labels, test_features, test_labels, labels_per_class, draws)
    return {f"{space}_probe": accuracy, f"{space}_knn": knn(features, labels, test_features, test_labels)}


def evaluate_network(
    network: Network, images: Images, labels_per_class: int | None = None, draws: int = 50
) -> dict[str, float]:
    """Accuracies on the encoder's and the projector's output; the network is left bit-identical.

    Raises
    ------
    RuntimeError
        If evaluation changed a weight or a batch-norm statistic.
    """
    before = fingerprint(network)
    train, test = extract(network, images.x_train), extract(network, images.x_test)
    scores: dict[str, float] = {}
    for space, features, test_features in zip(("encoder", "projector"), train, test, strict=True):
        scores |= evaluate_features(space, features.numpy(), test_features.numpy(), images, labels_per_class, draws)
    if fingerprint(network) != before:
        raise RuntimeError("evaluation changed the network")
    return scores


def fingerprint(network: torch.nn.Module) -> str:
    """SHA-256 over all weights and statistics."""
    digest = hashlib.sha256()
    for name, value in network.state_dict().items():
        digest.update(name.encode() + value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


# --- command line ----------------------------------------------------------------------------------


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of ``python -m empirical.evaluate``."""
    return run(_command, argv)


def _command(argv: Sequence[str] | None) -> None:
    parser = Parser(prog="python -m empirical.evaluate", description=__doc__)
    add = parser.add_argument
    add("--checkpoint", type=Path, required=True, help="checkpoint.pt of empirical.train")
    add("--data", help="evaluate on other data (those of the run)")
    add("--labels-per-class", type=int, help="train the probe on so few labels, averaged over draws (all)")
    add("--draws", type=int, default=50, help="label draws (50)")
    add("--json", action="store_true", help="print JSON")
    args = parser.parse_args(argv)
    require_integer("draws", args.draws, 1)
    settings, network = load_network(args.checkpoint)
    if args.data is None:
        images = load(settings.data, settings.train, settings.test, settings.image_size)
    else:
        images = load(args.data, image_size=settings.image_size)
    channels = channels_of(network.state_dict())
    require(images.x_train.shape[1] == channels, "data", args.data, f"images of {channels} channels")
    scores = evaluate_network(network, images, args.labels_per_class, args.draws)
    if args.json:
        print(json.dumps({"checkpoint": str(args.checkpoint), "fingerprint": fingerprint(network), **scores}, indent=2))
        return
    protocol = "all labels" if args.labels_per_class is None else f"{args.labels_per_class} labels per class"
    print(f"{args.checkpoint}: {settings.arm}, {settings.epochs} epochs, final weights; {images.name}")
    print(f"  {'accuracy, %':<12}{'linear probe':>14}{'kNN (20)':>10}   ({protocol})")
    for space in ("encoder", "projector"):
        print(f"  {space:<12}{100 * scores[f'{space}_probe']:>14.2f}{100 * scores[f'{space}_knn']:>10.2f}")
    print(f"  network unchanged by the evaluation: sha256 {fingerprint(network)[:16]}")


if __name__ == "__main__":
    raise SystemExit(main())
