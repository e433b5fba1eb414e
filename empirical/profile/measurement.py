"""Measure α, β, γ, ε and δ on real features: ``python -m empirical.profile``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from empirical.choices import SHARE
from empirical.data import Images, take
from empirical.data.features import Features
from empirical.data.sources import balanced_order
from empirical.evaluate.probes import probe
from theory.checks import require, require_integer
from theory.files import write_text
from theory.plan import LEVELS, SPACES, Estimate, Profile, Space
from theory.worlds import unit_rows

Array = NDArray[np.float64]
Labels = NDArray[np.int64]
FEWEST_ROWS = 20  # fewer leave the bootstrap without pairs
REPLICATES = 200
PROBE_ROWS = 10_000  # labels that each of the two probes sees
PAIR_ROWS = 2_000  # rows whose pairs give the standard deviation ε
CLUSTERED_ROWS, SILHOUETTE_ROWS, MOST_CLASSES = 5_000, 2_000, 200  # to estimate the number of classes


@dataclass(frozen=True)
class Measurement:
    """A profile and which samples it took for difficult.

    Parameters
    ----------
    profile : Profile
    labels : ndarray
        Class or cluster of each sample, shape (N,).
    difficult : ndarray
        bool, shape (N,).
    """

    profile: Profile
    labels: Labels
    difficult: NDArray[np.bool_]


def measure(
    spaces: dict[str, Features],
    labels: Labels | None,
    source: str,
    classes: int | None = None,
    delta: Estimate | None = None,
    share: float = SHARE,
    seed: int = 0,
) -> Measurement:
    """Measure a profile.

    Parameters
    ----------
    spaces : dict of Features
        ``encoder`` and possibly ``projector``, with the same rows.
    labels : ndarray or None
        Integer classes, shape (N,); None clusters the encoder's features.
    source : str
        What the profile says about its origin.
    classes : int, optional
        Number of clusters where there are no labels; by default ``estimate_classes``.
    delta : Estimate, optional
        Labelling error, if it could be measured.
    share : float
        Share of each class that counts as difficult, 0 <= share <= 1.
    seed : int
        Of the bootstrap and the subsamples.

    Raises
    ------
    ParameterError
        If labels and features do not fit, a class has fewer than two samples, or there is one class only.
    """
    encoder = spaces["encoder"]
    require(encoder.rows >= FEWEST_ROWS, "features", f"{encoder.rows} rows", f"at least {FEWEST_ROWS} rows")
    require(0 <= share <= 1, "difficult_share", share, "0 <= difficult_share <= 1")
    warnings: list[str] = []
    if labels is None:
        if classes is None:
            classes = estimate_classes(encoder, seed).classes
            warnings.append(f"the number of classes, {classes}, is an estimate by clustering")
        classes = require_integer("classes", classes, 2, encoder.rows // 2)
        labels = cluster(encoder, classes, seed)
        warnings.append("classes are k-means clusters, not labels: α and β are those of the clusters")
        kind = "clusters"
    else:
        kind = "given"
        require(
            len(labels) == encoder.rows,
            "labels",
            f"{len(labels)} labels",
            f"one for each of {encoder.rows} rows",
        )
        labels = np.unique(labels, return_inverse=True)[1].astype(np.int64)
    require_measurable(labels)
    sizes = np.bincount(labels)
    n = round(len(sizes) / float((1 / sizes).sum()))
    if sizes.max() > sizes.min():
        warnings.append(f"classes have {sizes.min()} to {sizes.max()} samples; n = {n} is their harmonic mean")

    difficult = smallest_gaps(probe_gaps(encoder, labels, seed), labels, share)
    measured = {name: measure_space(features, labels, difficult, seed) for name, features in spaces.items()}
    last = list(spaces.values())[-1]
    profile = Profile(
        source=source,
        labels=kind,
        samples_per_class=n,
        classes=len(sizes),
        difficult=min(n, round(share * n)),
        dim=last.width,
        delta=delta,
        spaces=measured,
        warnings=tuple(warnings),
    )
    return Measurement(profile, labels, difficult)


def require_measurable(labels: Labels) -> None:
    """ParameterError unless there are enough rows, classes, and samples in each class."""
    require(len(labels) >= FEWEST_ROWS, "features", f"{len(labels)} rows", f"at least {FEWEST_ROWS} rows")
    sizes = np.unique(labels, return_counts=True)[1]
    require(len(sizes) >= 2, "labels", f"{len(sizes)} class", "at least two classes")
    condition = "at least two samples in every class"
    require(int(sizes.min()) >= 2, "labels", f"a class of {sizes.min()} sample", condition)


def cluster(features: Features, classes: int, seed: int) -> Labels:
    """k-means clusters of the unit rows, fitted on a subsample; shape (N,)."""
    from sklearn.cluster import MiniBatchKMeans

    generator = np.random.default_rng(seed)
    rows = generator.permutation(features.rows)[: max(20_000, 20 * classes)]
    model = MiniBatchKMeans(classes, random_state=seed, n_init=5).fit(features.take(np.sort(rows)))
    labels = np.concatenate([model.predict(chunk) for _, chunk in features.chunks()]).astype(np.int64)
    return np.unique(labels, return_inverse=True)[1].astype(np.int64)


@dataclass(frozen=True)
class ClassEstimate:
    """A number of classes found by clustering.

    Parameters
    ----------
    classes : int
        The candidate with the highest silhouette.
    silhouettes : dict of float
        Mean silhouette by candidate, in [−1, 1].
    """

    classes: int
    silhouettes: dict[int, float]


def estimate_classes(features: Features, seed: int = 0) -> ClassEstimate:
    """Number of classes of unlabelled features: the k-means clustering with the highest mean silhouette.

    Clusters and silhouettes of 5,000 and 2,000 unit rows; candidates are 2, 3, … and from 10 on a fifth apart,
    up to 200 and to a tenth of the rows. It finds classes that are clusters; classes that overlap count as one.

    References
    ----------
    Rousseeuw, "Silhouettes: a graphical aid to the interpretation and validation of cluster analysis", 1987.
    """
    from sklearn.cluster import KMeans
    from sklearn.metrics import silhouette_score

    order = np.random.default_rng(seed).permutation(features.rows)
    rows = features.take(order[:CLUSTERED_ROWS])
    scored = rows[:SILHOUETTE_ROWS]
    candidates, largest = [2], min(MOST_CLASSES, len(scored) // 10)
    while (following := max(candidates[-1] + 1, round(1.2 * candidates[-1]))) <= largest:
        candidates.append(following)
    silhouettes = {}
    for k in candidates:
        clusters = KMeans(k, random_state=seed, n_init=3).fit(rows).labels_[: len(scored)]
        silhouettes[k] = float(silhouette_score(scored, clusters)) if len(np.unique(clusters)) > 1 else -1.0
    return ClassEstimate(max(silhouettes, key=lambda k: silhouettes[k]), silhouettes)


def probe_gaps(features: Features, labels: Labels, seed: int = 0) -> Array:
    """Gap between the two largest softmax outputs of a linear probe that has not seen the sample.

    Returns
    -------
    ndarray
        Shape (N,), in [0, 1]; small where the probe is undecided.
    """
    gaps = np.empty(len(labels))
    for rows, outputs in probe_outputs(features, labels, seed):
        largest = np.partition(outputs, -2, axis=1)
        gaps[rows] = largest[:, -1] - largest[:, -2]
    return gaps


def probe_outputs(features: Features, labels: Labels, seed: int = 0) -> Iterator[tuple[Labels, Array]]:
    """Softmax outputs of a linear probe for samples that it has not seen.

    Two probes, each fitted on (at most 10,000 samples of) one half of the data, score the other half.

    Yields
    ------
    rows, outputs : ndarray
        Indices of some samples, shape (M,), and their class probabilities, (M, classes); each sample comes once.
    """
    generator = np.random.default_rng(seed)
    # Alternating within each class of a shuffled order: both halves, and their subsamples, hold every class.
    shuffled = generator.permutation(len(labels))
    by_class = shuffled[np.argsort(labels[shuffled], kind="stable")]
    sizes = np.bincount(labels)
    half = np.empty(len(labels), dtype=np.int64)
    half[by_class] = (np.arange(len(labels)) - np.repeat(np.cumsum(sizes) - sizes, sizes)) % 2
    probes = []
    for part in (0, 1):
        candidates = shuffled[half[shuffled] == part]
        rows = np.sort(candidates[balanced_order(labels[candidates])][:PROBE_ROWS])
        probes.append(probe(features.take(rows), labels[rows]))
    for start, rows in features.chunks():
        for part in (0, 1):
            where = np.flatnonzero(half[start : start + len(rows)] == 1 - part)
            if len(where):
                yield start + where, probes[part].predict_proba(rows[where])


def smallest_gaps(gaps: Array, labels: Labels, share: float) -> NDArray[np.bool_]:
    """Flag the share of each class with the smallest gaps; shape (N,)."""
    difficult = np.zeros(len(labels), dtype=bool)
    for c in range(int(labels.max()) + 1):
        members = np.flatnonzero(labels == c)
        difficult[members[np.argsort(gaps[members], kind="stable")[: round(share * len(members))]]] = True
    return difficult


def measure_space(features: Features, labels: Labels, difficult: NDArray[np.bool_], seed: int = 0) -> Space:
    """Group means of the cosine similarity with bootstrap intervals over the samples.

    Means over pairs follow from sums of unit vectors, |Σu|² − Σ|u|², so that no pair is ever formed.
    γ is the mean over all different-class pairs of difficult samples (the block pairing's γ), β over
    the other different-class pairs; with no difficult pair γ = β.

    Parameters
    ----------
    features : Features
    labels, difficult : ndarray
        Class and difficulty of each row, shape (N,).
    """
    generator = np.random.default_rng(seed)
    classes = int(labels.max()) + 1
    sums = np.zeros((REPLICATES + 1, classes, 2, features.width), dtype=np.float32)
    weight = np.zeros((REPLICATES + 1, classes, 2))
    weight_squared = np.zeros_like(weight)
    group = 2 * labels + difficult
    for start, rows in features.chunks():
        here = group[start : start + len(rows)]
        order = np.argsort(here, kind="stable")
        for members in np.split(order, np.flatnonzero(np.diff(here[order])) + 1):
            c, d = divmod(int(here[members[0]]), 2)
            w = poisson_weights(generator, len(members))
            sums[:, c, d] += w @ rows[members]
            weight[:, c, d] += w.sum(axis=1, dtype=np.float64)
            weight_squared[:, c, d] += np.square(w, dtype=np.float64).sum(axis=1)
    levels = _levels(sums, weight, weight_squared)

    chosen = np.sort(generator.permutation(features.rows)[:PAIR_ROWS])
    spread = _spread(features.take(chosen), labels[chosen], difficult[chosen], generator)
    return Space(features.width, *(_estimate(replicates) for replicates in (*levels, spread)))


def poisson_weights(generator: np.random.Generator, samples: int) -> NDArray[np.float32]:
    """Bootstrap weights, shape (replicates + 1, samples); the first row is all ones: the data itself."""
    weights = generator.poisson(1.0, (REPLICATES + 1, samples)).astype(np.float32)
    weights[0] = 1
    return weights


def _levels(sums: NDArray[np.float32], weight: Array, weight_squared: Array) -> tuple[Array, Array, Array]:
    """α, β, γ for each replicate; a sample is never paired with itself or its bootstrap copies."""

    def norm2(vectors: NDArray[Any]) -> Array:
        return np.asarray(np.einsum("...d,...d->...", vectors, vectors, dtype=np.float64))

    own = weight_squared.sum(axis=(1, 2))
    class_sums, class_weight = sums.sum(axis=2), weight.sum(axis=2)
    same = norm2(class_sums).sum(axis=1) - own
    same_pairs = (class_weight**2).sum(axis=1) - own
    every = norm2(class_sums.sum(axis=1)) - own
    every_pairs = class_weight.sum(axis=1) ** 2 - own
    hard, hard_weight = sums[:, :, 1], weight[:, :, 1]
    paired = norm2(hard.sum(axis=1)) - norm2(hard).sum(axis=1)
    paired_pairs = hard_weight.sum(axis=1) ** 2 - (hard_weight**2).sum(axis=1)
    rest, rest_pairs = every - same - paired, every_pairs - same_pairs - paired_pairs
    alpha = _ratio(same, same_pairs)
    # A group that is empty in the data is the other one; empty in a replicate only, it has no value there.
    beta = _ratio(rest, rest_pairs) if rest_pairs[0] > 0 else _ratio(paired, paired_pairs)
    gamma = _ratio(paired, paired_pairs) if paired_pairs[0] > 0 else beta
    return alpha, beta, gamma


def _ratio(total: Array, pairs: Array) -> Array:
    """Mean over pairs, NaN where there are none."""
    return np.asarray(np.divide(total, pairs, out=np.full_like(total, np.nan), where=pairs > 0.5))


def _spread(
    rows: NDArray[np.float32], labels: Labels, difficult: NDArray[np.bool_], generator: np.random.Generator
) -> Array:
    """Standard deviation of the similarities within the three groups, for each replicate."""
    similarities = rows @ rows.T
    same = labels[:, None] == labels
    paired = ~same & difficult[:, None] & difficult
    off_diagonal = ~np.eye(len(rows), dtype=bool)
    weights = poisson_weights(generator, len(rows))
    squares, pairs = np.zeros(len(weights)), np.zeros(len(weights))
    for group in (same & off_diagonal, paired, ~same & ~paired):
        mask = group.astype(np.float32)
        if not group.any():
            continue
        count = ((weights @ mask) * weights).sum(axis=1, dtype=np.float64)
        # Centred on the group's mean, so that the small spread is not a difference of large numbers.
        centred = (similarities - similarities[group].mean()) * mask
        first = ((weights @ centred) * weights).sum(axis=1, dtype=np.float64)
        second = ((weights @ (centred * centred)) * weights).sum(axis=1, dtype=np.float64)
        squares += second - np.nan_to_num(_ratio(first**2, count))
        pairs += count
    return np.sqrt(np.maximum(_ratio(squares, pairs), 0))


def _estimate(replicates: Array) -> Estimate:
    """The data's value with the percentile interval of its replicates, to six significant digits."""
    value = replicates[0]
    low, high = np.nanpercentile(replicates[1:], [2.5, 97.5])
    return Estimate(*(float(f"{number:.6g}") for number in (value, min(value, low), max(value, high))))


def labelling_error(disagree: NDArray[np.bool_], seed: int = 0) -> Estimate:
    """δ̂: the share of images whose two views a probe labels differently, with a bootstrap interval."""
    generator = np.random.default_rng(seed)
    hits = generator.binomial(len(disagree), disagree.mean(), REPLICATES) / len(disagree)
    return _estimate(np.concatenate([[disagree.mean()], hits]))


def measure_network(network: Any, images: Images, source: str, view: Any, share: float = SHARE) -> Measurement:
    """Profile of a network on a data set's training images, in both spaces, with δ̂.

    Parameters
    ----------
    network : Network
    images : Images
    source : str
    view : callable
        The augmentation of ``empirical.augment`` under which δ̂ is measured.
    share : float
        Share of each class that counts as difficult.
    """
    from empirical.encoders import extract

    labelled = (images.y_train >= 0).nonzero().flatten()
    if len(labelled) < len(images.y_train):
        chosen = replace(images, x_train=take(images.x_train, labelled), y_train=images.y_train[labelled])
        found = measure_network(network, chosen, source, view, share)
        difficult = np.zeros(len(images.y_train), dtype=bool)
        difficult[labelled.numpy()] = found.difficult
        return replace(found, labels=images.y_train.numpy(), difficult=difficult)
    labels = images.y_train.numpy()
    h, z = extract(network, images.x_train)
    generator = torch.Generator(next(network.parameters()).device).manual_seed(0)
    rows = torch.from_numpy(np.random.default_rng(0).permutation(len(labels))[:PROBE_ROWS].copy())
    # The theory's samples are augmented views: one of each image fits the probe, two more test it.
    fit, first, second = (
        extract(network, take(images.x_train, rows), lambda part: view(part, generator))[0].numpy() for _ in range(3)
    )
    fitted = probe(fit, labels[rows])
    delta = labelling_error(fitted.predict(first) != fitted.predict(second))
    spaces = {"encoder": Features(h.numpy()), "projector": Features(z.numpy())}
    return measure(spaces, labels, source, delta=delta, share=share)


def tracked_rows(images: Images) -> Labels:
    """Indices of the training images that ``append_levels`` measures.

    Raises
    ------
    ParameterError
        If they are too few to be measured.
    """
    labels = images.y_train.numpy()
    labelled = np.flatnonzero(labels >= 0)
    rows = np.sort(labelled[balanced_order(labels[labelled])[:PAIR_ROWS]])
    require_measurable(labels[rows])
    return rows


def append_levels(path: Path, epoch: int, network: Any, images: Images) -> None:
    """Append α̂, β̂, γ̂, ε̂ of a subset of the training images to a CSV file, in place of the epoch's earlier rows.

    Parameters
    ----------
    path : Path
        One row for each epoch and space.
    epoch : int
    network : Network
        Left as it is.
    images : Images
        At most 2,000 labelled training images are measured, the same ones at every epoch.
    """
    from empirical.encoders import extract

    rows = tracked_rows(images)
    labels = images.y_train.numpy()
    both = extract(network, take(images.x_train, torch.from_numpy(rows)))
    spaces = {name: Features(x.numpy()) for name, x in zip(SPACES, both, strict=True)}
    found = measure(spaces, labels[rows], f"epoch {epoch}").profile.spaces
    columns = ["epoch", "space", *(f"{level}{end}" for level in LEVELS for end in ("", "_low", "_high"))]
    earlier = path.read_text().splitlines()[1:] if path.exists() else []
    lines = [",".join(columns), *(line for line in earlier if int(line.split(",")[0]) < epoch)]
    for name, space in found.items():
        estimates = [getattr(space, level) for level in LEVELS]
        cells = [f"{number:.6g}" for e in estimates for number in (e.value, e.low, e.high)]
        lines.append(",".join([str(epoch), name, *cells]))
    write_text(path, "\n".join(lines) + "\n")


def leading_eigenvalues(features: NDArray[np.float32], count: int | None = None) -> Array | None:
    """Largest eigenvalues of the measured similarity graph's normalised adjacency; None if a degree is not positive.

    Parameters
    ----------
    features : ndarray
        Shape (N, d); weights are the cosines of its rows.
    count : int, optional
        How many, from the largest on; by default all N.
    """
    unit = unit_rows(features.astype(np.float64))
    degrees = unit @ unit.sum(axis=0)
    if degrees.min() <= 0:
        return None
    scaled = unit / np.sqrt(degrees)[:, None]
    values = np.zeros(len(unit))
    found = np.linalg.svd(scaled, compute_uv=False) ** 2  # of rank d at most
    values[: len(found)] = found
    return values[:count]
