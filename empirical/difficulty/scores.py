"""Which samples and pairs of a data set are difficult, and what else they are: ``python -m empirical.difficulty``."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial, reduce
from itertools import chain
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from empirical.choices import NOT_NEGATIVE, ROUNDS, SCORES, SHARE
from empirical.data.arrays import array_bytes
from empirical.data.copies import first_copies
from empirical.data.features import Features, Mapper
from empirical.data.identities import NOTHING_KNOWN, Items
from empirical.data.labels import UNLABELLED, named_labels
from empirical.profile.measurement import (
    cluster,
    estimate_classes,
    gaps,
    measure,
    numbered,
    probe_outputs,
    smallest_gaps,
)
from empirical.selection import difficult_pairs, rank_band
from theory.checks import RUNS, ParameterError, require, require_integer, require_known, require_share
from theory.files import json_text, read_json, write_together
from theory.plan import Plan, Profile, plan_from_profile
from theory.tables import csv_text

SCHEMA = "difficult-examples/difficulty/1"
FILES = ("scores.csv", "difficult.npy", "pairs.csv", "grid.png", "summary.json")
INPUTS = (  # settings that say what is read
    "features",
    "labels",
    "feature_columns",
    "label_column",
    "drop_small_classes",
    "skip_unusable",
)
THRESHOLD_ROWS = 4_000  # whose pairs say how alike pairs of one class are
BLOCK = 1_024  # rows of the table of all pairs at a time
STRIPS = 16  # that the table's blocks of rows are shared out in
SHOWN = 24  # pairs in the picture
Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
Labels = NDArray[np.int64]
Candidates: TypeAlias = tuple[NDArray[np.float32], Labels]  # pairs: similarity, place in the table of all

# --- scores of samples -----------------------------------------------------------------------------


def flag_shares(
    features: Features,
    pos_high: float,
    pos_low: float,
    batch: int = 256,
    rounds: int = ROUNDS,
    seed: int = 0,
    mapper: Mapper = map,
) -> Array:
    """How often the pairs of a sample are flagged in random batches, without labels.

    Parameters
    ----------
    features : Features
    pos_high, pos_low : float
        The selector's band, see ``empirical.selection.difficult_pairs``.
    batch : int
        Samples in a batch (about: batches of one round differ by one at most), >= 2.
    rounds : int
        Random partitions into batches.
    seed : int
    mapper : callable
        ``map``, or that of a pool, whose workers count a round each.

    Returns
    -------
    ndarray
        Share of each sample's pairs that were flagged, shape (N,).
    """
    batch = require_integer("batch", batch, 2)
    RUNS.require("rounds", rounds)
    generator = np.random.default_rng(seed)
    orders = [generator.permutation(features.rows) for _ in range(rounds)]
    flagged, pairs = reduce(np.add, mapper(partial(_count_flagged, features, (pos_high, pos_low), batch), orders))
    return np.asarray(flagged / pairs)


def _count_flagged(features: Features, band: tuple[float, float], batch: int, order: Labels) -> Array:
    """Flagged pairs and all pairs of each sample in batches of this order, shape (2, N)."""
    counts = np.zeros((2, features.rows))
    unit = torch.from_numpy(features.unit)
    for rows in np.array_split(order, max(1, len(order) // batch)):
        similarities = unit[rows] @ unit[rows].T
        similarities.fill_diagonal_(-torch.inf)
        counts[0, rows] = difficult_pairs(similarities, *band).sum(dim=1).numpy()
        counts[1, rows] = len(rows) - 1
    return counts


def sas_scores(features: Features, classes: Labels, redundancy: float = 0.0, mapper: Mapper = map) -> Array:
    """What each sample adds to a subset by its similarity to its class, by SAS.

    Similarity is max(z_i·z_j, 0) of unit projector features of images as they are. In each class the sample with the
    largest gain is chosen, then the one with the largest gain given the first, and so on; the gain is the sum of a
    sample's similarities to its class (to itself too) less ``redundancy`` times those to the samples already chosen.
    It only falls from one chosen sample to the next, so that SAS keeps those with the largest scores.

    Parameters
    ----------
    features : Features
        After the projector.
    classes : ndarray
        Class, or approximate class, of each sample: 0, 1, …, shape (N,).
    redundancy : float
        >= 0. 0 is what the authors' code does: it sets a chosen sample's similarities to zero before it would subtract
        them. 1 is that code without this step (it would subtract negative cosines too), 2 is greedy search for the
        largest cut Σ similarity(i, j), i left out and j kept.
    mapper : callable
        ``map``, or that of a pool, whose workers take a class each.

    Returns
    -------
    ndarray
        The gain with which each sample is chosen, shape (N,). For n samples of d features in a class it takes n²·d
        operations, and memory for n·d numbers and 1,024 rows of the table of pairs.

    Raises
    ------
    ParameterError
        If ``redundancy`` is negative, or there is not one class for each sample.

    References
    ----------
    Joshi, Mirzasoleiman, "Data-Efficient Contrastive Self-supervised Learning: Most Beneficial Examples for Supervised
    Learning Contribute the Least", ICML 2023, and the code sjoshi804/sas-data-efficient-contrastive-learning.
    """
    NOT_NEGATIVE.require("redundancy", redundancy)
    given = f"{len(classes)} classes"
    require(len(classes) == features.rows, "classes", given, f"one for each of {features.rows} rows")
    members = [np.flatnonzero(classes == c) for c in np.unique(classes)]
    scores = np.empty(features.rows)
    for rows, gains in zip(members, mapper(partial(_gains, features, redundancy), members), strict=True):
        scores[rows] = gains
    return scores


def _gains(features: Features, redundancy: float, rows: Labels) -> Array:
    """Scores of the samples of one class."""
    unit = torch.from_numpy(features.take(rows))
    parts = [(block @ unit.T).clamp_(min=0).sum(dim=1, dtype=torch.float64) for block in unit.split(BLOCK)]
    gains = torch.cat(parts)
    if redundancy == 0:
        return gains.numpy()
    scores = torch.empty_like(gains)
    for _ in range(len(gains)):
        chosen = gains.argmax()
        scores[chosen] = gains[chosen]
        gains -= redundancy * (unit @ unit[chosen]).clamp_(min=0)
        gains[chosen] = -torch.inf
    return scores.numpy()


def largest(scores: Array, share: float) -> Flags:
    """Flag the share of the samples with the largest scores; shape (N,)."""
    chosen = np.zeros(len(scores), dtype=bool)
    chosen[np.argsort(-scores, kind="stable")[: round(share * len(scores))]] = True
    return chosen


def mislabelled(outputs: Array, labels: Labels) -> Flags:
    """Samples whose label is probably wrong, by confident learning.

    A class is likely where its probability reaches the mean that its own samples give it; a sample counts if the
    likeliest of these classes is not its label.

    Parameters
    ----------
    outputs : ndarray
        Probabilities from probes that have not seen the sample, shape (N, classes).
    labels : ndarray
        Shape (N,).

    References
    ----------
    Northcutt, Jiang, Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels", JAIR 2021.
    """
    thresholds = np.array([outputs[labels == c, c].mean() for c in range(outputs.shape[1])])
    likely = np.where(outputs >= thresholds, outputs, -1)
    return np.asarray((likely.max(axis=1) >= 0) & (likely.argmax(axis=1) != labels))


def ambiguous(outputs: Array, share: float) -> Flags:
    """The share of the samples whose probabilities have the largest entropy; shape (N,)."""
    entropy = -(outputs * np.log(np.maximum(outputs, np.finfo(float).tiny))).sum(axis=1)
    return largest(entropy, share)


@dataclass(frozen=True)
class Overlap:
    """How many difficult samples are of another kind too.

    Parameters
    ----------
    kind : str
    samples : int
        Of this kind, among all.
    both : int
        Of this kind, among the difficult ones.
    lift : float or None
        ``both`` over what independence lets expect; None if that is 0.
    p_value : float
        Probability of at least ``both`` under independence (hypergeometric).
    """

    kind: str
    samples: int
    both: int
    lift: float | None
    p_value: float


def overlap(kind: str, difficult: Flags, other: Flags) -> Overlap:
    """Compare the difficult samples with those of another kind."""
    from scipy.stats import hypergeom

    both, samples, hard = int((difficult & other).sum()), int(other.sum()), int(difficult.sum())
    expected = samples * hard / len(difficult)
    p_value = float(hypergeom.sf(both - 1, len(difficult), samples, hard))
    return Overlap(kind, samples, both, both / expected if expected else None, p_value)


# --- pairs -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class AlikePairs:
    """Pairs of samples, most alike first.

    Parameters
    ----------
    rows : ndarray
        Indices, shape (M, 2).
    similarity : ndarray
        Cosines, shape (M,).
    """

    rows: NDArray[np.int64]
    similarity: Array


def alike_pairs(
    features: Features, count: int, labels: Labels | None, pos_high: float = 0.0, mapper: Mapper = map
) -> AlikePairs:
    """The most alike pairs of different classes in the whole data set.

    Parameters
    ----------
    features : Features
    count : int
        Pairs, or as many as there are.
    labels : ndarray or None
        Shape (N,). Without labels, pairs whose similarity is in the top share ``pos_high`` are taken for pairs of one
        class, as the selector takes them.
    pos_high : float
    mapper : callable
        ``map``, or that of a pool, whose workers go through some rows of the table of all pairs each.

    Returns
    -------
    AlikePairs
    """
    ceiling = torch.inf if labels is not None else _ceiling(features, pos_high)
    starts = range(0, features.rows, BLOCK)
    # Later rows have fewer rows after them; strips of every sixteenth block have about the same to do.
    strips = [starts[first::STRIPS] for first in range(min(STRIPS, len(starts)))]
    found = mapper(partial(_alike_in_strip, features, count, labels, ceiling), strips)
    blocks = dict(chain.from_iterable(zip(strip, part, strict=True) for strip, part in zip(strips, found, strict=True)))
    best, where = reduce(partial(_best, count), (blocks[start] for start in starts))
    best, where = best[best > -np.inf], where[best > -np.inf]
    return AlikePairs(np.stack(np.divmod(where, features.rows), axis=1), best.astype(np.float64))


def _ceiling(features: Features, pos_high: float) -> float:
    """The similarity above which a pair is taken for one of one class."""
    rows = np.random.default_rng(0).permutation(features.rows)[:THRESHOLD_ROWS]
    some = torch.from_numpy(features.take(rows))
    return float(rank_band((some @ some.T).fill_diagonal_(-torch.inf), pos_high, 1.0)[1])


def _alike_in_strip(
    features: Features, count: int, labels: Labels | None, ceiling: float, starts: Sequence[int]
) -> list[Candidates]:
    """For each block of rows its most alike pairs with themselves and later ones."""
    unit = torch.from_numpy(features.unit)
    classes = None if labels is None else torch.from_numpy(labels)
    found = []
    for start in starts:
        similarities = unit[start : start + BLOCK] @ unit[start:].T
        excluded = torch.ones_like(similarities, dtype=torch.bool).tril()
        excluded |= similarities > ceiling
        if classes is not None:
            excluded |= classes[start : start + BLOCK, None] == classes[start:]
        similarities.masked_fill_(excluded, -torch.inf)
        best, flat = similarities.flatten().topk(min(count, similarities.numel()))
        width = len(unit) - start
        where = (start + flat // width) * len(unit) + start + flat % width
        found.append((best.numpy(), where.numpy()))
    return found


def _best(count: int, first: Candidates, second: Candidates) -> Candidates:
    """The most alike of two lists of pairs."""
    found, where = np.concatenate([first[0], second[0]]), np.concatenate([first[1], second[1]])
    best, kept = torch.from_numpy(found).topk(min(count, len(found)))
    return best.numpy(), where[kept.numpy()]


def grid(pairs: AlikePairs, pictures: Tensor, names: Sequence[str]) -> bytes:
    """The first pairs as pictures side by side, a PNG.

    Parameters
    ----------
    pairs : AlikePairs
    pictures : Tensor
        uint8 images of the pairs' samples, shape (2·M, C, H, W), first and second alternating.
    names : sequence of str
        What is written under each picture, 2·M.
    """
    from matplotlib.figure import Figure

    count = len(pictures) // 2
    columns = min(6, max(1, count))
    rows = -(-count // columns)
    figure = Figure(figsize=(2.3 * columns, 1.45 * rows), layout="constrained")
    for index, axis in enumerate(np.atleast_1d(np.array(figure.subplots(rows, columns))).flat):
        axis.axis("off")
        if index >= count:
            continue
        left, right = (picture.permute(1, 2, 0).numpy() for picture in pictures[2 * index : 2 * index + 2])
        between = np.full((left.shape[0], max(1, left.shape[1] // 16), left.shape[2]), 255, dtype=np.uint8)
        shown = np.concatenate([left, between, right], axis=1)
        axis.imshow(shown.squeeze(), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        text = f"{names[2 * index]} / {names[2 * index + 1]}\n{pairs.similarity[index]:.3f}"
        axis.set_title(text, fontsize=8)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()


# --- all of it -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Difficulty:
    """What is difficult in a data set.

    Parameters
    ----------
    scores : dict of ndarray
        Columns of scores.csv, shape (N,) each.
    difficult : ndarray
        bool, shape (N,).
    pairs : AlikePairs
    overlaps : tuple of Overlap
        Empty without labels.
    plan : Plan
        Whose band was used.
    """

    scores: dict[str, NDArray[Any]]
    difficult: Flags
    pairs: AlikePairs
    overlaps: tuple[Overlap, ...]
    plan: Plan


@dataclass(frozen=True)
class Criteria:
    """What counts as difficult, and how it is searched for.

    Parameters
    ----------
    by : {"gap", "flags", "sas"}, optional
        What makes a sample difficult: the small gap between a probe's two largest outputs (which needs labels), a
        large share of flagged pairs, or a small score of ``sas_scores`` (of projector features; without labels,
        clusters are its classes). By default the gap where there are labels.
    share : float
        Share of the samples (by gap and SAS: of each class) that are difficult.
    redundancy : float
        See ``sas_scores``; other than 0 only by SAS.
    classes : int, optional
        Number of classes where there are no labels; by default an estimate.
    batch, rounds : int
        See ``flag_shares``.
    pairs : int
        See ``alike_pairs``.
    seed : int

    Raises
    ------
    ParameterError
        If a field is outside its range.
    """

    by: str | None = None
    share: float = SHARE
    redundancy: float = 0.0
    classes: int | None = None
    batch: int = 256
    rounds: int = ROUNDS
    pairs: int = 200
    seed: int = 0

    def __post_init__(self) -> None:
        if self.by is not None:
            require_known("by", self.by, SCORES)
        require_share("share", self.share)
        NOT_NEGATIVE.require("redundancy", self.redundancy)
        require(self.by == "sas" or self.redundancy == 0, "redundancy", self.redundancy, "0 unless by = sas")
        require_integer("batch", self.batch, 2)
        RUNS.require("rounds", self.rounds)
        require_integer("pairs", self.pairs, 1)
        if self.classes is not None:
            require_integer("classes", self.classes, 2)


def assess(
    features: Features,
    labels: Labels | None,
    criteria: Criteria = Criteria(),
    plan: Plan | None = None,
    known_wrong: Labels | None = None,
    mapper: Mapper = map,
    copies: Labels | None = None,
) -> Difficulty:
    """Score all samples, find the difficult ones and the most alike pairs.

    Parameters
    ----------
    features : Features
        By SAS, those after the projector.
    labels : array_like or None
        Classes, integers or names, shape (N,), −1, null, NaN or empty for none; None if there are no labels.
    criteria : Criteria
    plan : Plan, optional
        With the band; by default that of the features' own profile.
    known_wrong : ndarray, optional
        Indices of samples known to be mislabelled.
    mapper : callable
        ``map``, or that of a pool, whose workers go through the features; the numbers are the same.
    copies : ndarray, optional
        Of which sample each is an exact copy, shape (N,); by default as the features say.

    Raises
    ------
    ParameterError
        If labels, plan and features do not fit.
    """
    by = criteria.by or ("flags" if labels is None else "gap")
    require(by != "gap" or labels is not None, "by", by, "flags where there are no labels")
    known_kinds = {} if known_wrong is None else {"known_mislabelled": _marked(known_wrong, features.rows)}
    labels = None if labels is None else named_labels("labels", labels).labels
    part = _labelled(features, labels, features.copies(mapper) if copies is None else copies)
    if plan is None:
        plan = plan_from_profile(_profile(part, criteria, mapper))
    band = plan.pos_high, plan.pos_low
    flags = flag_shares(features, *band, criteria.batch, criteria.rounds, criteria.seed, mapper)
    by_gap, between, kinds = _by_probe(part, _outputs(part, criteria, mapper), criteria.share)
    difficult, sas = largest(flags, criteria.share), None
    if by == "sas":
        difficult, sas = _by_sas(part, criteria, mapper)
    elif by == "gap" and by_gap is not None:
        difficult = by_gap
    kinds |= known_kinds
    columns = {"index": np.arange(features.rows), "label": labels, "flag_share": flags, "gap": between, "sas": sas}
    columns |= {kind: chosen.astype(np.int64) for kind, chosen in {"difficult": difficult, **kinds}.items()}
    alike = alike_pairs(part.features, criteria.pairs, part.labels, plan.pos_high, mapper)
    return Difficulty(
        scores={name: column for name, column in columns.items() if column is not None},
        difficult=difficult,
        pairs=AlikePairs(part.rows[alike.rows], alike.similarity),
        overlaps=tuple(overlap(kind, difficult, chosen) for kind, chosen in kinds.items()),
        plan=plan,
    )


@dataclass(frozen=True)
class _Labelled:
    """The labelled samples: their features, labels 0, 1, … (None: there are none, these are all), rows among all."""

    features: Features
    labels: Labels | None
    rows: Labels
    count: int
    copies: Labels

    def among_all(self, values: NDArray[Any], elsewhere: Any) -> NDArray[Any]:
        """Values of the labelled samples spread out over all samples."""
        everywhere = np.full(self.count, elsewhere, dtype=np.result_type(values, type(elsewhere)))
        everywhere[self.rows] = values
        return everywhere


def _labelled(features: Features, labels: Labels | None, copies: Labels) -> _Labelled:
    if labels is None:
        return _Labelled(features, None, np.arange(features.rows), features.rows, copies)
    require(len(labels) == features.rows, "labels", f"{len(labels)} labels", f"one for each of {features.rows} rows")
    rows = np.flatnonzero(labels != UNLABELLED)
    require(len(rows) > 0, "labels", "none", "labels of some samples")
    return _Labelled(features.only(rows), numbered(labels[rows]), rows, features.rows, first_copies(copies[rows]))


def _profile(part: _Labelled, criteria: Criteria, mapper: Mapper) -> Profile:
    c = criteria
    spaces, copies = {"encoder": part.features}, part.copies
    return measure(spaces, part.labels, "features", c.classes, c.share, c.seed, mapper, copies=copies).profile


def _outputs(part: _Labelled, criteria: Criteria, mapper: Mapper) -> Array | None:
    """A probe's outputs for the labelled samples; None without labels."""
    if part.labels is None:
        return None
    found = probe_outputs(part.features, part.labels, criteria.seed, mapper, copies=part.copies)
    return np.concatenate(list(found)).astype(np.float64)


def _by_probe(
    part: _Labelled, outputs: Array | None, share: float
) -> tuple[Flags | None, Array | None, dict[str, Flags]]:
    """The samples with the smallest gaps of a probe's outputs, the gaps, what samples else are; without, nothing."""
    if part.labels is None or outputs is None:
        return None, None, {}
    between = gaps(outputs)
    by_gap = part.among_all(smallest_gaps(between, part.labels, share), False)
    kinds = {"mislabelled": mislabelled(outputs, part.labels), "ambiguous": ambiguous(outputs, share)}
    everywhere = {kind: part.among_all(chosen, False) for kind, chosen in kinds.items()}
    return by_gap, part.among_all(between, np.nan), everywhere


def _by_sas(part: _Labelled, criteria: Criteria, mapper: Mapper) -> tuple[Flags, Array]:
    """The samples that SAS would leave out of each class, and its scores."""
    classes = part.labels
    if classes is None:
        count = criteria.classes
        if count is None:
            count = estimate_classes(part.features, criteria.seed).classes
        count = require_integer("classes", count, 2, part.features.rows // 2)
        classes = cluster(part.features, count, criteria.seed, mapper)
    scores = sas_scores(part.features, classes, criteria.redundancy, mapper)
    return part.among_all(smallest_gaps(scores, classes, criteria.share), False), part.among_all(scores, np.nan)


def _marked(indices: Labels, count: int) -> Flags:
    inside = not len(indices) or (indices.min() >= 0 and indices.max() < count)
    require(bool(inside), "mislabelled", "an index", f"indices in [0, {count - 1}]")
    return np.isin(np.arange(count), indices)


def describe(found: Difficulty) -> str:
    """The text report of the command."""
    hard, count = int(found.difficult.sum()), len(found.difficult)
    lines = [f"{hard} of {count} samples are difficult ({hard / count:.1%})"]
    for o in found.overlaps:
        lift = "" if o.lift is None else f", {o.lift:.2g} times as many as by chance (p = {o.p_value:.2g})"
        lines.append(f"  {o.both} of them are {o.kind.replace('_', ' ')} (of {o.samples} in all{lift})")
    flags = found.scores["flag_share"]
    lines.append(
        f"flagged pairs, band {found.plan.pos_high:.4g} to {found.plan.pos_low:.4g}: "
        f"{flags.mean():.2%} of a sample's on average, {flags.max():.2%} at most"
    )
    similarity = found.pairs.similarity
    if len(similarity):
        lines.append(f"the {len(similarity)} most alike pairs: cosine {similarity[0]:.3f} to {similarity[-1]:.3f}")
    return "\n".join(lines)


def export(
    found: Difficulty,
    out: Path,
    settings: dict[str, Any],
    images: Any = None,
    items: Items = NOTHING_KNOWN,
    reading: dict[str, Any] | None = None,
    digest: str | None = None,
) -> list[Path]:
    """Write scores, difficult samples, pairs and summary, and a picture of the pairs if there are images.

    Parameters
    ----------
    found : Difficulty
    out : Path
        A folder.
    settings : dict
        Stored in summary.json.
    images : Tensor or ImageFiles, optional
        All samples' pictures.
    items : Items, optional
        What all samples are called.
    reading : dict, optional
        What was read, stored in summary.json.
    digest : str, optional
        Of features and labels, stored there too.

    Returns
    -------
    list of Path
        The files.
    """
    first, second = found.pairs.rows.T if len(found.pairs.rows) else (np.empty(0, int), np.empty(0, int))
    difficult, everything = np.flatnonzero(found.difficult), np.arange(len(found.difficult))
    ends = items.columns(first, "first", "_first"), items.columns(second, "second", "_second")
    columns = {"first": ends[0]["first"], "second": ends[1]["second"], "similarity": found.pairs.similarity}
    columns |= {name: end[name] for pair in zip(*ends, strict=True) for end, name in zip(ends, pair, strict=True)}
    written: dict[Path, bytes | str] = {
        out / "scores.csv": _csv(items.columns(everything) | _without_indices(found.scores)),
        out / "difficult.npy": array_bytes(items.indices(difficult)),
        out / "pairs.csv": _csv(columns),
    }
    if images is not None and len(first):
        from empirical.data import take

        rows = found.pairs.rows[:SHOWN].flatten()
        captions = [items.caption(int(row)) for row in rows]
        written[out / "grid.png"] = grid(found.pairs, take(images, torch.from_numpy(rows)), captions)
    summary = {
        "schema": SCHEMA,
        "settings": settings,
        "reading": reading,
        "digest": digest,
        "samples": len(found.difficult),
        "difficult": int(found.difficult.sum()),
        "band": [found.plan.pos_high, found.plan.pos_low],
        "mean_flag_share": float(found.scores["flag_share"].mean()),
        "pairs": len(first),
        "overlaps": [asdict(o) for o in found.overlaps],
    }
    written[out / "summary.json"] = json_text(summary)
    write_together(written, gone={out / name for name in FILES} - set(written))
    return list(written)


def require_same_data(out: Path, settings: Mapping[str, Any], digest: str) -> None:
    """Raise ParameterError if a folder has results of files that have the same names, and that changed since.

    Parameters
    ----------
    out : Path
    settings : mapping
        ``features`` and ``labels``, and the columns.
    digest : str
        Of features and labels now.
    """
    path = out / "summary.json"
    if not path.exists():
        return
    before = read_json(path)
    known, used = before.get("digest"), before.get("settings")
    if known in (None, digest) or not isinstance(used, dict):
        return
    if all(used.get(name) == settings.get(name) for name in INPUTS):
        files = " ".join(map(str, settings["features"]))
        raise ParameterError(
            f"features {files}: they or the labels changed since {path} was written "
            f"({before.get('samples')} samples then): use another --out, or remove that file"
        )


def _without_indices(scores: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {name: column for name, column in scores.items() if name != "index"}


def _csv(columns: dict[str, NDArray[Any]]) -> str:
    import pandas as pd

    return csv_text(pd.DataFrame(columns), "%.6g")
