"""Which samples and pairs of a data set are difficult, and what else they are: ``python -m empirical.difficulty``."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from empirical.choices import ROUNDS, SCORES, SHARE
from empirical.data.arrays import save_array
from empirical.data.features import Features
from empirical.profile.measurement import Measurement, measure, probe_outputs, smallest_gaps
from empirical.selection import difficult_pairs, rank_band
from theory.checks import require, require_integer, require_known, require_share
from theory.files import write_bytes, write_json, write_text
from theory.plan import Plan, plan_from_profile

SCHEMA = "difficult-examples/difficulty/1"
FILES = ("scores.csv", "difficult.npy", "pairs.csv", "grid.png", "summary.json")
THRESHOLD_ROWS = 4_000  # whose pairs say how alike pairs of one class are
BLOCK = 1_024  # rows of the table of all pairs at a time
SHOWN = 24  # pairs in the picture
Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
Labels = NDArray[np.int64]

# --- scores of samples -----------------------------------------------------------------------------


def flag_shares(
    features: Features, pos_high: float, pos_low: float, batch: int = 256, rounds: int = ROUNDS, seed: int = 0
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

    Returns
    -------
    ndarray
        Share of each sample's pairs that were flagged, shape (N,).
    """
    batch = require_integer("batch", batch, 2)
    rounds = require_integer("rounds", rounds, 1)
    generator = np.random.default_rng(seed)
    flagged, pairs = np.zeros(features.rows), np.zeros(features.rows)
    unit = torch.from_numpy(features.take(np.arange(features.rows)))
    for _ in range(rounds):
        order = generator.permutation(features.rows)
        for rows in np.array_split(order, max(1, len(order) // batch)):
            similarities = unit[rows] @ unit[rows].T
            similarities.fill_diagonal_(-torch.inf)
            flagged[rows] += difficult_pairs(similarities, pos_high, pos_low).sum(dim=1).numpy()
            pairs[rows] += len(rows) - 1
    return np.asarray(flagged / pairs)


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


def alike_pairs(features: Features, count: int, labels: Labels | None, pos_high: float = 0.0) -> AlikePairs:
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

    Returns
    -------
    AlikePairs
    """
    unit = torch.from_numpy(features.take(np.arange(features.rows)))
    ceiling = torch.tensor(torch.inf)
    if labels is None:
        rows = torch.from_numpy(np.random.default_rng(0).permutation(len(unit))[:THRESHOLD_ROWS])
        some = (unit[rows] @ unit[rows].T).fill_diagonal_(-torch.inf)
        _, ceiling = rank_band(some, pos_high, 1.0)
    classes = None if labels is None else torch.from_numpy(labels)
    best, where = torch.empty(0), torch.empty(0, dtype=torch.int64)
    for start in range(0, len(unit), BLOCK):
        similarities = unit[start : start + BLOCK] @ unit[start:].T  # of rows with themselves and later ones
        similarities.masked_fill_(torch.ones_like(similarities, dtype=torch.bool).tril(), -torch.inf)
        if classes is None:
            similarities.masked_fill_(similarities > ceiling, -torch.inf)
        else:
            same = classes[start : start + BLOCK, None] == classes[start:]
            similarities.masked_fill_(same, -torch.inf)
        found, flat = similarities.flatten().topk(min(count, similarities.numel()))
        width = len(unit) - start
        places = (start + flat // width) * len(unit) + start + flat % width
        best, where = torch.cat([best, found]), torch.cat([where, places])
        best, kept = best.topk(min(count, len(best)))
        where = where[kept]
    where = where[best > -torch.inf]
    pairs = torch.stack([where // len(unit), where % len(unit)], dim=1)
    return AlikePairs(pairs.numpy(), best[best > -torch.inf].double().numpy())


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


def assess(
    features: Features,
    labels: Labels | None,
    *,
    classes: int | None = None,
    by: str | None = None,
    share: float = SHARE,
    plan: Plan | None = None,
    batch: int = 256,
    rounds: int = ROUNDS,
    pairs: int = 200,
    known_wrong: Labels | None = None,
    seed: int = 0,
) -> Difficulty:
    """Score all samples, find the difficult ones and the most alike pairs.

    Parameters
    ----------
    features : Features
    labels : ndarray or None
        Classes, shape (N,), −1 for samples without one; None if there are none.
    classes : int, optional
        Number of classes where there are no labels; by default an estimate.
    by : {"gap", "flags"}, optional
        What makes a sample difficult: the small gap between a probe's two largest outputs (which needs labels), or a
        large share of flagged pairs. By default the gap where there are labels.
    share : float
        Share of the samples (by gap: of each class) that are difficult.
    plan : Plan, optional
        With the band; by default that of the features' own profile.
    batch, rounds : int
        See ``flag_shares``.
    pairs : int
        See ``alike_pairs``.
    known_wrong : ndarray, optional
        Indices of samples known to be mislabelled.
    seed : int

    Raises
    ------
    ParameterError
        If labels, plan and features do not fit.
    """
    require_share("share", share)
    pairs = require_integer("pairs", pairs, 1)
    labelled = np.arange(features.rows)
    if labels is not None:
        require(
            len(labels) == features.rows, "labels", f"{len(labels)} labels", f"one for each of {features.rows} rows"
        )
        labelled = np.flatnonzero(labels >= 0)
    by = by or ("flags" if labels is None else "gap")
    require_known("by", by, SCORES)
    require(by == "flags" or labels is not None, "by", by, "flags where there are no labels")
    some = features if len(labelled) == features.rows else Features(features.take(labelled))
    known = None if labels is None else np.unique(labels[labelled], return_inverse=True)[1].astype(np.int64)
    if plan is None:
        plan = plan_from_profile(_measure(some, known, classes, share, seed).profile)

    scores: dict[str, NDArray[Any]] = {"index": np.arange(features.rows)}
    if labels is not None:
        scores["label"] = labels
    scores["flag_share"] = flag_shares(features, plan.pos_high, plan.pos_low, batch, rounds, seed)
    difficult = largest(scores["flag_share"], share)
    kinds: dict[str, Flags] = {}
    if known is not None:
        outputs = np.empty((len(known), int(known.max()) + 1))
        for rows, part in probe_outputs(some, known, seed):
            outputs[rows] = part
        top = np.partition(outputs, -2, axis=1)
        gaps = top[:, -1] - top[:, -2]
        scores["gap"] = _spread_out(gaps, labelled, features.rows, np.nan)
        if by == "gap":
            difficult = _spread_out(smallest_gaps(gaps, known, share), labelled, features.rows, False)
        for kind, flags in (("mislabelled", mislabelled(outputs, known)), ("ambiguous", ambiguous(outputs, share))):
            kinds[kind] = _spread_out(flags, labelled, features.rows, False)
    if known_wrong is not None:
        inside = not len(known_wrong) or (known_wrong.min() >= 0 and known_wrong.max() < features.rows)
        require(bool(inside), "mislabelled", "an index", f"indices in [0, {features.rows - 1}]")
        kinds["known_mislabelled"] = np.isin(np.arange(features.rows), known_wrong)
    scores["difficult"] = difficult.astype(np.int64)
    scores |= {kind: flags.astype(np.int64) for kind, flags in kinds.items()}
    alike = alike_pairs(some, pairs, known, plan.pos_high)
    alike = AlikePairs(labelled[alike.rows], alike.similarity)
    overlaps = tuple(overlap(kind, difficult, flags) for kind, flags in kinds.items())
    return Difficulty(scores, difficult, alike, overlaps, plan)


def _measure(features: Features, labels: Labels | None, classes: int | None, share: float, seed: int) -> Measurement:
    return measure({"encoder": features}, labels, "features", classes, share=share, seed=seed)


def _spread_out(values: NDArray[Any], rows: Labels, count: int, elsewhere: Any) -> NDArray[Any]:
    everywhere = np.full(count, elsewhere, dtype=np.result_type(values, type(elsewhere)))
    everywhere[rows] = values
    return everywhere


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
    labels: Labels | None = None,
    names: Sequence[str] = (),
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
    labels : ndarray, optional
        Shape (N,).
    names : sequence of str
        Of the classes.

    Returns
    -------
    list of Path
        The files.
    """
    first, second = found.pairs.rows.T if len(found.pairs.rows) else (np.empty(0, int), np.empty(0, int))
    columns: dict[str, NDArray[Any]] = {"first": first, "second": second, "similarity": found.pairs.similarity}
    if labels is not None:
        columns |= {"label_first": labels[first], "label_second": labels[second]}
    write_text(out / "scores.csv", _csv(found.scores))
    save_array(out / "difficult.npy", np.flatnonzero(found.difficult))
    write_text(out / "pairs.csv", _csv(columns))
    written = ["scores.csv", "difficult.npy", "pairs.csv"]
    if images is not None and len(first):
        from empirical.data import take

        rows = found.pairs.rows[:SHOWN].flatten()
        captions = [names[labels[row]] if labels is not None and labels[row] >= 0 else f"{row}" for row in rows]
        write_bytes(out / "grid.png", grid(found.pairs, take(images, torch.from_numpy(rows)), captions))
        written.append("grid.png")
    summary = {
        "schema": SCHEMA,
        "settings": settings,
        "samples": len(found.difficult),
        "difficult": int(found.difficult.sum()),
        "band": [found.plan.pos_high, found.plan.pos_low],
        "mean_flag_share": float(found.scores["flag_share"].mean()),
        "pairs": len(first),
        "overlaps": [asdict(o) for o in found.overlaps],
    }
    write_json(out / "summary.json", summary)
    return [out / name for name in (*written, "summary.json")]


def _csv(columns: dict[str, NDArray[Any]]) -> str:
    import pandas as pd

    return str(pd.DataFrame(columns).to_csv(index=False, float_format="%.6g", lineterminator="\n"))
