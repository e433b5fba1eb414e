"""Measure α, β, γ, ε and δ on real features: ``python -m empirical.profile``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array

from empirical.choices import FEWEST_ROWS, SHARE
from empirical.data import DataSet, sample_copies, several_sources, some, subset
from empirical.data.copies import copied, first_copies, row_hashes
from empirical.data.features import CHUNK_VALUES, Chunk, Features, Mapper
from empirical.data.labels import UNLABELLED, named_labels, small_classes
from empirical.data.reading import note
from empirical.data.sources import balanced_order
from empirical.evaluate.probes import probe
from empirical.profile.levels import PAIR_ROWS, REPLICATES, estimate, measure_levels, measure_space
from empirical.profile.overlap import MOST_PAIRS, judge_pairs, with_gain
from empirical.profile.rivals import Rivals, count_pairs, rivals_of, standing, suspects, ways
from empirical.profile.selector import BATCH, selectors
from theory.checks import ParameterError, require, require_integer
from theory.files import write_text
from theory.plan import LEVELS, SPACES, Estimate, PredictedProbe, Profile
from theory.worlds import unit_rows

if TYPE_CHECKING:
    from empirical.prediction import Prediction

Array = NDArray[np.float64]
Labels = NDArray[np.int64]
PROBE_ROWS = 10_000  # labels that each of the two probes sees
CLUSTERED_ROWS, SILHOUETTE_ROWS, MOST_CLASSES = 5_000, 2_000, 200  # to estimate the number of classes


class Probes(NamedTuple):
    """Two probes, each of one half of the samples.

    Parameters
    ----------
    fitted : list
        Of half 0 and of half 1.
    half : ndarray
        Of each sample, 0 or 1, shape (N,).
    """

    fitted: list[Any]
    half: Labels


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
    affected : ndarray
        Which samples lie between the two classes of a flagged pair, bool, shape (N,).
    probes : Probes or None
        Of the labelled samples in the encoder's space, for ``probe_outputs``; None without labels.
    """

    profile: Profile
    labels: Labels
    difficult: NDArray[np.bool_]
    affected: NDArray[np.bool_]
    probes: Probes | None = None


@dataclass(frozen=True)
class Classes:
    """Class or cluster of each sample.

    Parameters
    ----------
    labels : ndarray
        0, 1, …, shape (N,).
    kind : {"given", "clusters"}
    warnings : tuple of str
        What a reader should know of them.
    """

    labels: Labels
    kind: str
    warnings: tuple[str, ...] = ()


def measure(
    spaces: dict[str, Features],
    labels: Labels | None,
    source: str,
    classes: int | None = None,
    share: float = SHARE,
    seed: int = 0,
    mapper: Mapper = map,
    tau: float | None = None,
    batch: int = BATCH,
    copies: Labels | None = None,
    names: Sequence[str] = (),
) -> Measurement:
    """Measure a profile.

    Parameters
    ----------
    spaces : dict of Features
        ``encoder`` and possibly ``projector``, with the same rows.
    labels : array_like or None
        Classes, integers or names, shape (N,), −1, null, NaN or empty for none: such samples are left out; None
        clusters the encoder's features.
    source : str
        What the profile says about its origin.
    classes : int, optional
        Number of clusters where there are no labels; by default ``estimate_classes``.
    share : float
        Share of each class that counts as difficult, 0 <= share <= 1.
    seed : int
        Of the bootstrap and the subsamples.
    mapper : callable
        ``map``, or that of a pool, whose workers go through the features; the numbers are the same.
    tau : float, optional
        Temperature of the loss that trained the features, > 0.
    batch : int
        Samples among which the selector ranks pairs, where labels say how well it does.
    copies : ndarray, optional
        Of which sample each is an exact copy, itself or an earlier one, shape (N,); by default as the encoder's
        features say. Copies stay in one half of every probe, and count as one sample in intervals.
    names : sequence of str
        What errors call the classes; by default their numbers.

    Returns
    -------
    Measurement
        Samples without a label have the label −1 and are not difficult.

    Raises
    ------
    ParameterError
        If labels and features do not fit, a class has fewer than two samples that differ, or there is one class only.
    """
    encoder = spaces["encoder"]
    if labels is not None:
        labels, called = named_labels("labels", labels)
        names = names or called
        given = f"{len(labels)} labels"
        require(len(labels) == encoder.rows, "labels", given, f"one for each of {encoder.rows} rows")
        rows = np.flatnonzero(labels != UNLABELLED)
        if len(rows) < len(labels):
            require(len(rows) > 0, "labels", "none", "labels of some samples")
            some = {name: x.only(rows) for name, x in spaces.items()}
            kept = None if copies is None else first_copies(copies[rows])
            part = measure(some, labels[rows], source, classes, share, seed, mapper, tau, batch, kept, names)
            everywhere = np.full(len(labels), UNLABELLED, dtype=np.int64)
            everywhere[rows] = part.labels
            return Measurement(
                part.profile,
                everywhere,
                among_all(part.difficult, rows, len(labels)),
                among_all(part.affected, rows, len(labels)),
                part.probes,
            )
    require(encoder.rows >= FEWEST_ROWS, "features", f"{encoder.rows} rows", f"at least {FEWEST_ROWS} rows")
    require(0 <= share <= 1, "difficult_share", share, "0 <= difficult_share <= 1")
    copies = encoder.copies(mapper) if copies is None else copies
    found = _clusters(encoder, classes, seed, mapper) if labels is None else Classes(numbered(labels), "given")
    require_measurable(found.labels if labels is None else labels, copies, names)
    labelled = found.kind == "given"
    probes = fit_probes(encoder, found.labels, seed, copies)
    seen, sums = probe_rivals(encoder, found.labels, seed, mapper, copies, probes)
    difficult = smallest_gaps(seen.gap, found.labels, share)
    suspect = suspects(seen, found.labels) if labelled else np.zeros(encoder.rows, dtype=bool)
    way = ways(encoder, found.labels, sums, np.flatnonzero(suspect), seen.rival[suspect], mapper)
    where = standing(seen, found.labels, suspect, way)
    counts = count_pairs(where, MOST_PAIRS, copies).worst(MOST_PAIRS if labelled else 0)
    space, between = measure_levels(encoder, found.labels, difficult, counts.classes, seed, mapper, copies)
    measured = {"encoder": space} | {
        name: measure_space(x, found.labels, difficult, seed, mapper, copies)
        for name, x in spaces.items()
        if name != "encoder"
    }
    sizes = np.bincount(found.labels)
    n = round(len(sizes) / float((1 / sizes).sum()))
    predicted = _prediction(encoder, found.labels, mapper) if labelled else None
    profile = Profile(
        source=source,
        labels=found.kind,
        samples_per_class=n,
        classes=len(sizes),
        difficult=min(n, round(share * n)),
        dim=list(spaces.values())[-1].width,
        delta=None,
        spaces=measured,
        warnings=(*found.warnings, *_unequal(sizes, n)),
        predicted_probe=None if predicted is None else predicted_probe(predicted),
        tau=tau,
        same_class=same_class_share(sizes),
    )
    if predicted is None:
        return Measurement(profile, found.labels, difficult, np.zeros(len(difficult), dtype=bool))
    numbers = np.unique(np.asarray(labels)) if labels is not None else found.labels
    own_names = [names[c] if names else str(c) for c in numbers]
    judged = judge_pairs(encoder, where, counts, between, own_names, mapper, seed)
    profile = with_gain(replace(profile, pairs=judged.pairs, overlap=judged.overlap), predicted.easy)
    if profile.difficult > 0:
        profile = replace(profile, selector=selectors(spaces, found.labels, difficult, profile, batch, seed))
    return Measurement(profile, found.labels, difficult, judged.affected, probes)


def among_all(flags: NDArray[np.bool_], rows: Labels, count: int) -> NDArray[np.bool_]:
    """Flags of some rows among so many; bool, shape (count,)."""
    found = np.zeros(count, dtype=bool)
    found[rows] = flags
    return found


def _prediction(features: Features, labels: Labels, mapper: Mapper) -> Prediction:
    from empirical.prediction import predict

    return predict(features, labels, components=2, mapper=mapper)


def predicted_probe(found: Prediction) -> PredictedProbe:
    """Accuracy that a linear probe on all labels will have, or why there is no number, as a profile says it."""
    if found.accuracy is None or found.low is None or found.high is None:
        return PredictedProbe(None, float(f"{found.kappa:.6g}"), found.reason)
    numbers = (float(f"{number:.6g}") for number in (found.accuracy, found.low, found.high))
    return PredictedProbe(Estimate(*numbers), float(f"{found.kappa:.6g}"))


def same_class_share(sizes: Labels) -> float | None:
    """Σp² of classes of these sizes, the share of pairs that are of one class; None where they are equal."""
    if sizes.max() == sizes.min():
        return None
    return float(f"{np.square(sizes / sizes.sum()).sum():.6g}")


def _clusters(features: Features, classes: int | None, seed: int, mapper: Mapper) -> Classes:
    warnings: tuple[str, ...] = ("classes are k-means clusters, not labels: α and β are those of the clusters",)
    if classes is None:
        classes = estimate_classes(features, seed).classes
        warnings = (f"the number of classes, {classes}, is an estimate by clustering", *warnings)
    classes = require_integer("classes", classes, 2, features.rows // 2)
    return Classes(cluster(features, classes, seed, mapper), "clusters", warnings)


def _unequal(sizes: Labels, mean: int) -> list[str]:
    if sizes.max() == sizes.min():
        return []
    same = f"the band starts at Σp² = {same_class_share(sizes):.3g}, the share of pairs that are of one class"
    return [f"classes have {sizes.min()} to {sizes.max()} samples; n = {mean} is their harmonic mean, {same}"]


def numbered(labels: Labels) -> Labels:
    """0, 1, … in place of the labels that occur."""
    return np.unique(labels, return_inverse=True)[1].astype(np.int64)


def require_measurable(labels: Labels, copies: Labels | None = None, names: Sequence[str] = ()) -> None:
    """ParameterError unless there are enough rows, classes, and samples that differ in each class, which it names.

    Parameters
    ----------
    labels : ndarray
        Shape (N,).
    copies : ndarray, optional
        Of which sample each is an exact copy, shape (N,); by default none is.
    names : sequence of str
        Of the classes; by default their numbers.
    """
    require(len(labels) >= FEWEST_ROWS, "features", f"{len(labels)} rows", f"at least {FEWEST_ROWS} rows")
    classes = len(np.unique(labels))
    require(classes >= 2, "labels", f"{classes} class", "at least two classes")
    small = [names[c] if names else str(c) for c in small_classes(labels, copies)]
    if small:
        found = note(
            small, "class with a single sample or copies of one", "classes with a single sample or copies of one"
        )
        condition = "at least two samples that differ in every class (--drop-small-classes leaves such classes out)"
        raise ParameterError("labels", str(found), condition)


def cluster(features: Features, classes: int, seed: int, mapper: Mapper = map) -> Labels:
    """k-means clusters of the unit rows, fitted on a subsample; shape (N,)."""
    from sklearn.cluster import MiniBatchKMeans

    generator = np.random.default_rng(seed)
    rows = generator.permutation(features.rows)[: max(20_000, 20 * classes)]
    model = MiniBatchKMeans(classes, random_state=seed, n_init=5).fit(features.take(np.sort(rows)))
    return numbered(np.concatenate(list(mapper(partial(_nearest, model), features.chunks()))))


def _nearest(model: Any, chunk: Chunk) -> Labels:
    return np.asarray(model.predict(chunk.unit()), dtype=np.int64)


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

    Raises
    ------
    ParameterError
        If all rows are the same.

    References
    ----------
    Rousseeuw, "Silhouettes: a graphical aid to the interpretation and validation of cluster analysis", 1987.
    """
    from sklearn.cluster import KMeans
    from sklearn.metrics import silhouette_score

    order = np.random.default_rng(seed).permutation(features.rows)
    rows = features.take(order[:CLUSTERED_ROWS])
    scored = rows[:SILHOUETTE_ROWS]
    different = len(np.unique(row_hashes(rows)))
    require(
        different >= 2, "features", "copies of one row", "at least two rows that differ, in which classes are sought"
    )
    candidates, largest = [2], min(MOST_CLASSES, len(scored) // 10, different)
    while (following := max(candidates[-1] + 1, round(1.2 * candidates[-1]))) <= largest:
        candidates.append(following)
    silhouettes = {}
    for k in candidates:
        clusters = KMeans(k, random_state=seed, n_init=3).fit(rows).labels_[: len(scored)]
        silhouettes[k] = float(silhouette_score(scored, clusters)) if len(np.unique(clusters)) > 1 else -1.0
    return ClassEstimate(max(silhouettes, key=lambda k: silhouettes[k]), silhouettes)


def probe_gaps(
    features: Features, labels: Labels, seed: int = 0, mapper: Mapper = map, copies: Labels | None = None
) -> Array:
    """Gap between the two largest softmax outputs of a linear probe that has not seen the sample.

    Returns
    -------
    ndarray
        Shape (N,), in [0, 1]; small where the probe is undecided.
    """
    return np.concatenate(list(probe_outputs(features, labels, seed, mapper, gaps, copies))).astype(np.float64)


def gaps(outputs: NDArray[Any]) -> NDArray[Any]:
    """Difference of each row's two largest values, shape (N,)."""
    largest = np.partition(outputs, -2, axis=1)
    return np.asarray(largest[:, -1] - largest[:, -2])


def probe_outputs(
    features: Features,
    labels: Labels,
    seed: int = 0,
    mapper: Mapper = map,
    score: Callable[[NDArray[Any]], NDArray[Any]] = np.asarray,
    copies: Labels | None = None,
    probes: Probes | None = None,
) -> Iterable[Array]:
    """Softmax outputs of a linear probe for samples that it has not seen.

    Two probes, each fitted on (at most 10,000 samples of) one half of the data, score the other half. Exact copies are
    in one half.

    Parameters
    ----------
    features : Features
    labels : ndarray
        0, 1, …, shape (N,).
    seed : int
        Of the halves.
    mapper : callable
        ``map``, or that of a pool, whose workers score the chunks.
    score : callable
        What is made of the class probabilities of M samples, shape (M, classes), where they are computed.
    copies : ndarray, optional
        Of which sample each is a copy, shape (N,); by default as the features say.
    probes : Probes, optional
        Of these features and labels, where they have been fitted before; then seed and copies say nothing.

    Returns
    -------
    iterable of ndarray
        ``score`` of the probabilities, for chunks of samples in order.
    """
    if probes is None:
        probes = fit_probes(features, labels, seed, features.copies(mapper) if copies is None else copies)
    fitted, half = probes
    halves = [(chunk, half[chunk.start : chunk.stop]) for chunk in features.chunks()]
    return mapper(partial(_score_half, fitted, int(labels.max()) + 1, score), halves)


def probe_rivals(
    features: Features,
    labels: Labels,
    seed: int = 0,
    mapper: Mapper = map,
    copies: Labels | None = None,
    probes: Probes | None = None,
) -> tuple[Rivals, Array]:
    """What the probes of ``probe_outputs`` say of each sample's class and its rival, and sums of each class's rows."""
    if probes is None:
        probes = fit_probes(features, labels, seed, features.copies(mapper) if copies is None else copies)
    fitted, half = probes
    parts = ((chunk, half[chunk.start : chunk.stop], labels[chunk.start : chunk.stop]) for chunk in features.chunks())
    classes, found = int(labels.max()) + 1, []
    sums = np.zeros((classes, features.width))
    for rivals, there, part in mapper(partial(_rivals_half, fitted, classes), parts):
        found.append(rivals)
        sums[there] += part
    return Rivals(*(np.concatenate(part) for part in zip(*found, strict=True))), sums


def fit_probes(features: Features, labels: Labels, seed: int, copies: Labels) -> Probes:
    """The probes of ``probe_outputs``."""
    shuffled, half = _halves(labels, copies, np.random.default_rng(seed))
    probes = []
    for part in (0, 1):
        candidates = shuffled[half[shuffled] == part]
        rows = np.sort(candidates[balanced_order(labels[candidates])][:PROBE_ROWS])
        seen = len(np.unique(labels[rows]))
        require(seen >= 2, "labels", f"{seen} class in one half of the samples", "two classes in each half")
        probes.append(probe(features.take(rows), labels[rows]))
    return Probes(probes, half)


def _halves(labels: Labels, copies: Labels, generator: np.random.Generator) -> tuple[Labels, Labels]:
    """A shuffled order, and the half, 0 or 1, of each sample, which is that of the sample that it is a copy of."""
    shuffled = generator.permutation(len(labels))
    # Alternating within each class of a shuffled order: both halves, and their subsamples, hold every class.
    own = shuffled[~copied(copies)[shuffled]]
    by_class = own[np.argsort(labels[own], kind="stable")]
    sizes = np.bincount(labels[own], minlength=int(labels.max()) + 1)
    half = np.empty(len(labels), dtype=np.int64)
    half[by_class] = (np.arange(len(own)) - np.repeat(np.cumsum(sizes) - sizes, sizes)) % 2
    return shuffled, half[copies]


def _score_half(
    probes: list[Any],
    classes: int,
    score: Callable[[NDArray[Any]], NDArray[Any]],
    item: tuple[Chunk, Labels],
) -> NDArray[Any]:
    """Scores of a chunk's rows, each by the probe that has not seen it; 0 for a class that this has not seen either."""
    chunk, half = item
    return score(_outputs(probes, classes, chunk.unit(), half))


def _outputs(probes: list[Any], classes: int, rows: NDArray[np.float32], half: Labels) -> NDArray[np.float32]:
    outputs = np.zeros((len(rows), classes), dtype=rows.dtype)
    for part, fitted in enumerate(probes):
        there = np.flatnonzero(half == 1 - part)
        if len(there):
            outputs[np.ix_(there, fitted.classes_)] = fitted.predict_proba(rows[there])
    return outputs


def _rivals_half(
    probes: list[Any], classes: int, item: tuple[Chunk, Labels, Labels]
) -> tuple[Rivals, Labels, NDArray[np.float32]]:
    """The rivals of a chunk's rows, which classes they are of, and the sum of each such class's rows."""
    chunk, half, labels = item
    rows, step, found = chunk.unit(), max(1, CHUNK_VALUES // classes), []
    for start in range(0, len(rows), step):
        part = slice(start, start + step)
        found.append(rivals_of(_outputs(probes, classes, rows[part], half[part]), labels[part]))
    there, place = np.unique(labels, return_inverse=True)
    ones = csr_array((np.ones(len(rows), np.float32), (place, np.arange(len(rows)))), shape=(len(there), len(rows)))
    return Rivals(*(np.concatenate(parts) for parts in zip(*found, strict=True))), there, ones @ rows


def smallest_gaps(gaps: Array, labels: Labels, share: float) -> NDArray[np.bool_]:
    """Flag the share of each class with the smallest gaps; shape (N,)."""
    difficult = np.zeros(len(labels), dtype=bool)
    for c in range(int(labels.max()) + 1):
        members = np.flatnonzero(labels == c)
        difficult[members[np.argsort(gaps[members], kind="stable")[: round(share * len(members))]]] = True
    return difficult


def labelling_error(disagree: NDArray[np.bool_], seed: int = 0) -> Estimate:
    """δ̂: the share of images whose two views a probe labels differently, with a bootstrap interval."""
    generator = np.random.default_rng(seed)
    hits = generator.binomial(len(disagree), disagree.mean(), REPLICATES) / len(disagree)
    return estimate(np.concatenate([[disagree.mean()], hits]))


def measure_network(
    network: Any,
    data: DataSet,
    source: str,
    view: Any,
    share: float = SHARE,
    mapper: Mapper = map,
    tau: float | None = None,
    batch: int = BATCH,
    classes: int | None = None,
) -> Measurement:
    """Profile of a network on a data set's training images, in both spaces, with δ̂.

    Without any label, clusters are the classes, and there is no δ̂.

    Parameters
    ----------
    network : Network
    data : DataSet
    source : str
    view : callable
        The augmentation of ``empirical.augment`` under which δ̂ is measured.
    share : float
        Share of each class that counts as difficult.
    mapper, tau, batch, classes
        See ``measure``.
    """
    from empirical.encoders import extract

    labelled = np.flatnonzero(data.y_train.numpy() != UNLABELLED)
    if not len(labelled):
        h, z = extract(network, data.x_train)
        spaces = {"encoder": Features(h.numpy()), "projector": Features(z.numpy())}
        found = measure(spaces, None, source, classes, share, 0, mapper, tau, batch, sample_copies(data.x_train))
        return replace(found, profile=replace(found.profile, reading=data.reading.to_json()))
    if len(labelled) < len(data.y_train):
        x_train = subset(data.x_train, labelled)
        part = replace(data, x_train=x_train, y_train=data.y_train[torch.from_numpy(labelled)])
        found = measure_network(network, part, source, view, share, mapper, tau, batch)
        count = len(data.y_train)
        difficult, affected = (among_all(flags, labelled, count) for flags in (found.difficult, found.affected))
        return Measurement(found.profile, data.y_train.numpy(), difficult, affected)
    labels = data.y_train.numpy()
    h, z = extract(network, data.x_train)
    generator = torch.Generator(next(network.parameters()).device).manual_seed(0)
    rows = torch.from_numpy(np.random.default_rng(0).permutation(len(labels))[:PROBE_ROWS].copy())
    # The theory's samples are augmented views: one of each image fits the probe, two more test it.
    fit, first, second = (
        extract(network, source, lambda part: view(part, generator))[0].numpy()
        for source in several_sources(data.x_train, rows, 3)
    )
    fitted = probe(fit, labels[rows])
    delta = labelling_error(fitted.predict(first) != fitted.predict(second))
    spaces = {"encoder": Features(h.numpy()), "projector": Features(z.numpy())}
    copies = sample_copies(data.x_train)
    found = measure(spaces, labels, source, None, share, 0, mapper, tau, batch, copies, data.class_names)
    return replace(found, profile=replace(found.profile, delta=delta, reading=data.reading.to_json()))


def tracked_rows(data: DataSet) -> Labels:
    """Indices of the training images that ``append_levels`` measures.

    Raises
    ------
    ParameterError
        If they are too few to be measured.
    """
    labels = data.y_train.numpy()
    labelled = np.flatnonzero(labels >= 0)
    require(len(labelled) > 0, "labels", "none", "labels of some training images")
    rows = np.sort(labelled[balanced_order(labels[labelled])[:PAIR_ROWS]])
    copies = sample_copies(data.x_train)
    require_measurable(labels[rows], None if copies is None else first_copies(copies[rows]), data.class_names)
    return rows


def append_levels(path: Path, epoch: int, network: Any, data: DataSet) -> None:
    """Append α̂, β̂, γ̂, ε̂ of a subset of the training images to a CSV file, in place of the epoch's earlier rows.

    Parameters
    ----------
    path : Path
        One row for each epoch and space.
    epoch : int
    network : Network
        Left as it is.
    data : DataSet
        At most 2,000 labelled training images are measured, the same ones at every epoch.
    """
    from empirical.encoders import extract

    rows = tracked_rows(data)
    labels = numbered(data.y_train.numpy()[rows])
    both = extract(network, some(data.x_train, torch.from_numpy(rows)))
    spaces = {name: Features(x.numpy()) for name, x in zip(SPACES, both, strict=True)}
    copies = spaces["encoder"].copies()
    difficult = smallest_gaps(probe_gaps(spaces["encoder"], labels, copies=copies), labels, SHARE)
    found = {name: measure_space(x, labels, difficult, copies=copies) for name, x in spaces.items()}
    columns = ["epoch", "space", *(f"{level}{end}" for level in LEVELS for end in ("", "_low", "_high"))]
    earlier = [line for before, line in _recorded(path) if before < epoch]
    lines = [",".join(columns), *earlier]
    for name, space in found.items():
        estimates = [getattr(space, level) for level in LEVELS]
        cells = [f"{number:.6g}" for e in estimates for number in (e.value, e.low, e.high)]
        lines.append(",".join([str(epoch), name, *cells]))
    write_text(path, "\n".join(lines) + "\n")


def recorded_epochs(path: Path) -> set[int]:
    """The epochs that are in the file of ``append_levels``; ParameterError if it is none."""
    return {epoch for epoch, _ in _recorded(path)}


def _recorded(path: Path) -> list[tuple[int, str]]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()[1:] if path.exists() else []
        return [(int(line.partition(",")[0]), line) for line in lines]
    except (OSError, ValueError) as error:
        raise ParameterError(f"{path} is no table of levels; remove it, and it is begun anew") from error


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
