"""Scores of feature spaces and networks under a protocol, and their table."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from empirical.data import DataSet, sample_copies, some
from empirical.data.augment import Augmentation
from empirical.data.labels import Labels
from empirical.data.sources import CachedViews
from empirical.encoders import Network, extract
from empirical.evaluate.augmented import augmented_probe
from empirical.evaluate.probes import (
    Array,
    alignment,
    choose_c,
    knn,
    linear_probe,
    sgd_probe,
    uniformity,
)
from empirical.evaluate.protocol import DEFAULT, Protocol
from theory.checks import ParameterError, require
from theory.plan import SPACES

Progress = Callable[[int, int, int], None]


def evaluate_features(
    space: str,
    features: Array,
    labels: Labels,
    test_features: Array,
    test_labels: Labels,
    protocol: Protocol = DEFAULT,
    copies: Labels | None = None,
) -> dict[str, float]:
    """Accuracies of one feature space: ``{space}_probe``, that of the protocol, and ``{space}_knn``.

    An L-BFGS probe also has ``{space}_c``, its C, and ``{space}_predicted_probe``, what the training features alone
    predict for that C, with ``_low`` and ``_high``; it is left out where there is no number. Under ``both``,
    ``{space}_sgd_probe`` comes too. A probe on augmented images needs the network, not its features.

    Parameters
    ----------
    space : str
    features, test_features : ndarray
        To train on and to test on, shapes (N, d) and (M, d).
    labels, test_labels : ndarray
        Their classes, shapes (N,) and (M,).
    protocol : Protocol
    copies : ndarray, optional
        Of which row to train on each is an exact copy, shape (N,); by default as the features say.
    """
    p, data = protocol, (features, labels, test_features, test_labels)
    scores: dict[str, float] = {}
    if p.probe in ("lbfgs", "lbfgs-c1", "both"):
        few = p.labels_per_class
        c = p.c or choose_c(features, labels, few, copies) or 1.0
        scores |= {f"{space}_probe": linear_probe(*data, few, p.draws, c), f"{space}_c": c}
        scores |= _predicted(f"{space}_predicted_probe", features, labels, few, c)
    if p.probe in ("sgd", "both", "paper"):
        assert p.steps is not None
        batch, lr = p.steps
        name = "sgd_probe" if p.probe == "both" else "probe"
        scores[f"{space}_{name}"] = sgd_probe(*data, lr=lr, batch=batch, standardised=p.probe != "paper")
    return {**scores, f"{space}_knn": knn(*data, p.k, p.tau)}


def _predicted(name: str, features: Array, labels: Labels, labels_per_class: int | None, c: float) -> dict[str, float]:
    """The predicted accuracy and its interval; empty where there is none."""
    from empirical.prediction import predict

    try:
        found = predict(features, labels, labels_per_class, components=2, c=c)
    except ParameterError:  # such as one sample in a class, with which a probe can be trained
        return {}
    ends = {name: found.accuracy, f"{name}_low": found.low, f"{name}_high": found.high}
    return {key: value for key, value in ends.items() if value is not None}


def evaluate_network(
    network: Network,
    data: DataSet,
    protocol: Protocol = DEFAULT,
    view: Augmentation | None = None,
    progress: Progress | None = None,
) -> dict[str, float]:
    """Accuracies on the encoder's and the projector's output; the network is left bit-identical.

    Parameters
    ----------
    network : Network
    data : DataSet
        Unlabelled training images (−1) are left out.
    protocol : Protocol
    view : callable, optional
        Also measure alignment and uniformity, on two such views of at most 2,000 test images, where views are not
        cached ones, which test images have not. A protocol that trains on views needs it.
    progress : callable, optional
        Called with (steps done, steps, epoch) while a probe is trained on views.

    Raises
    ------
    ParameterError
        If the protocol needs views and there are none.
    RuntimeError
        If evaluation changed a weight or a batch-norm statistic.
    """
    require_labelled(data)
    before = fingerprint(network)
    labelled = (data.y_train >= 0).nonzero().flatten()
    x_train = data.x_train if len(labelled) == len(data.y_train) else some(data.x_train, labelled)
    train, test = extract(network, x_train), extract(network, data.x_test)
    views = None if view is None or isinstance(data.x_train, CachedViews) else _two_views(network, data, view)
    on_views: dict[str, float] = {}
    if protocol.on_views:
        require(view is not None, "protocol", protocol.probe, "a protocol without views, where none is given")
        assert view is not None
        on_views = augmented_probe(network, data, view, progress=progress)
    y, copies = data.y_train[labelled].numpy(), sample_copies(x_train)
    scores: dict[str, float] = {}
    for index, space in enumerate(SPACES):
        scores |= {f"{space}_probe": on_views[space]} if space in on_views else {}
        x, x_test = train[index].numpy(), test[index].numpy()
        scores |= evaluate_features(space, x, y, x_test, data.y_test.numpy(), protocol, copies)
        if views is not None:
            scores[f"{space}_alignment"] = alignment(views[0][index], views[1][index])
            scores[f"{space}_uniformity"] = uniformity(test[index])
    if fingerprint(network) != before:
        raise RuntimeError("evaluation changed the network")
    return scores


def require_labelled(data: DataSet) -> None:
    """Raise ParameterError unless there are labels to evaluate with."""
    if not data.labelled:
        raise ParameterError(f"data {data.name}: no image has a label, which probe and kNN need")


def _two_views(network: Network, data: DataSet, view: Augmentation) -> list[tuple[Tensor, Tensor]]:
    generator = torch.Generator(next(network.parameters()).device).manual_seed(0)
    chosen = some(data.x_test, torch.arange(min(2_000, len(data.y_test))))
    return [extract(network, chosen, lambda part: view(part, generator)) for _ in range(2)]


def fingerprint(network: torch.nn.Module) -> str:
    """SHA-256 over all weights and statistics."""
    digest = hashlib.sha256()
    for name, value in network.state_dict().items():
        digest.update(name.encode() + value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


# --- command line ----------------------------------------------------------------------------------


MOST_COLUMNS = 8
PLAIN = ("alignment", "uniformity", "alpha", "beta", "gamma", "severity")  # no shares
TITLES = {"probe": "linear probe", "c": "C", "predicted_probe": "predicted", "sgd_probe": "SGD probe"}


def describe(
    scores: dict[str, float],
    protocol: Protocol = DEFAULT,
    titles: Mapping[str, str] | None = None,
    words: tuple[str, str] | None = None,
) -> str:
    """Scores of ``evaluate_network`` as a table, with the protocol; or others, by their titles and in these words."""
    ours = {**TITLES, "knn": f"kNN ({protocol.k})", "alignment": "alignment", "uniformity": "uniformity"}
    titles = titles or ours
    kinds = [kind for kind in titles if any(f"{space}_{kind}" in scores for space in SPACES)]
    spaces = [s for s in SPACES if any(f"{s}_{kind}" in scores for kind in kinds)]  # features are of one
    rows = [["", *(titles[kind] for kind in kinds)]]
    rows += [[space, *(_cell(kind, scores.get(f"{space}_{kind}")) for kind in kinds)] for space in spaces]
    if len(kinds) > MOST_COLUMNS:
        rows = [list(column) for column in zip(*rows, strict=True)]
    widest = max(12, *(len(row[0]) for row in rows))
    lines = [f"  {row[0]:<{widest}}" + "".join(f"{cell:>14}" for cell in row[1:]) for row in rows]
    usual = f"protocol {protocol.probe}: {protocol.probe_words}", protocol.knn_words
    lines += [f"  {line}" for line in words or usual if line]
    if "predicted_probe" in kinds:
        lines.append("  predicted: the probe's accuracy at this C, from the training features and their labels alone")
    return "\n".join(lines)


def _cell(kind: str, value: float | None) -> str:
    if value is None:
        return "—"
    if kind == "c":
        return f"{value:g}"
    return f"{value:.3f}" if kind in PLAIN else f"{100 * value:.2f}%"
