"""All of it: the difficult samples, what else they are and the most alike pairs, as results, text and files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from empirical.choices import BEST, BEST_UNLABELLED, NEED_LABELS, NOT_NEGATIVE, ROUNDS, SCORES, SHARE
from empirical.data.arrays import array_bytes
from empirical.data.copies import first_copies
from empirical.data.features import Features, Mapper
from empirical.data.identities import NOTHING_KNOWN, Items
from empirical.data.labels import UNLABELLED, named_labels
from empirical.difficulty.neighbours import neighbourhoods
from empirical.difficulty.pairs import JUDGED, AlikePairs, alike_pairs, grid
from empirical.difficulty.progress import shown
from empirical.difficulty.scores import (
    Array,
    Enrichment,
    Flags,
    Labels,
    ambiguous,
    doubt,
    enrichment,
    flag_shares,
    largest,
    mislabelled,
    own,
    sas_scores,
)
from empirical.difficulty.trust import why_withheld
from empirical.profile.measurement import (
    Measurement,
    Probes,
    cluster,
    estimate_classes,
    gaps,
    measure,
    numbered,
    probe_outputs,
    smallest_gaps,
)
from theory.checks import RUNS, ParameterError, require, require_integer, require_known, require_share
from theory.files import json_text, read_json, write_together
from theory.plan import Plan, plan_from_profile
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
UNLABELLED_SCORES = "contrast, flags or sas where there are no labels"
SHOWN = 24  # pairs in the picture


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
    overlaps : tuple of Enrichment
        Empty without labels.
    plan : Plan
        Whose band was used.
    withheld : dict of str
        Columns that are not among the scores, and why.
    """

    scores: dict[str, NDArray[Any]]
    difficult: Flags
    pairs: AlikePairs
    overlaps: tuple[Enrichment, ...]
    plan: Plan
    withheld: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Criteria:
    """What counts as difficult, and how it is searched for.

    Parameters
    ----------
    by : {"doubt", "gap", "contrast", "flags", "sas"}, optional
        What makes a sample difficult: large ``doubt``, or the small gap between a probe's two largest outputs (the
        paper's), which need labels; a large contrast of ``neighbourhoods``, a large share of flagged pairs, or a small
        score of ``sas_scores`` (of projector features; without labels, clusters are its classes). By default doubt
        where there are labels and contrast where there are none: those that find best what people find ambiguous.
    share : float
        Share of the samples (by doubt, gap and SAS: of each class) that are difficult.
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
        require_integer("seed", self.seed, 0)
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
    probes: Probes | None = None,
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
    probes : Probes, optional
        Of the labelled samples, where ``measure`` has fitted them with the same seed.

    Raises
    ------
    ParameterError
        If labels, plan and features do not fit.
    """
    by = criteria.by or (BEST_UNLABELLED if labels is None else BEST)
    require(by not in NEED_LABELS or labels is not None, "by", by, UNLABELLED_SCORES)
    known_kinds = {} if known_wrong is None else {"known_mislabelled": _marked(known_wrong, features.rows)}
    labels = None if labels is None else named_labels("labels", labels).labels
    copies = features.copies(mapper) if copies is None else copies
    part = _labelled(features, labels, copies)
    if plan is None:
        measured = _measure(part, criteria, shown(mapper, "profile"))
        plan, probes = plan_from_profile(measured.profile), measured.probes
    band = plan.pos_high, plan.pos_low
    flagged = shown(mapper, "flagged pairs")
    scores = {"flag_share": flag_shares(features, *band, criteria.batch, criteria.rounds, criteria.seed, flagged)}
    near = neighbourhoods(part.features, part.labels, part.copies, shown(mapper, "neighbours"), criteria.seed)
    every = near if len(part.rows) == features.rows else neighbourhoods(features, None, copies, mapper, criteria.seed)
    scores["contrast"], of_part, kinds, withheld = every.contrast, {}, {}, {}
    classes = part.labels
    if classes is not None and near.disagreement is not None:
        scored = shown(mapper, "probe")
        found = probe_outputs(part.features, classes, criteria.seed, scored, copies=part.copies, probes=probes)
        outputs = np.concatenate(list(found)).astype(np.float64)
        confidence = own(outputs, classes)
        of_part = {"gap": gaps(outputs), "confidence": confidence, "neighbours": near.disagreement}
        of_part["doubt"] = doubt(confidence, near.disagreement)
        found_kinds = {"mislabelled": mislabelled(outputs, classes), "ambiguous": ambiguous(outputs, criteria.share)}
        if (reason := why_withheld(outputs, classes)) is not None:
            withheld["mislabelled"] = reason
        kinds = {k: part.among_all(chosen, False) for k, chosen in found_kinds.items() if k not in withheld}
    if by == "sas":
        classes = _classes(part, criteria, mapper) if classes is None else classes
        of_part["sas"] = sas_scores(part.features, classes, criteria.redundancy, shown(mapper, "SAS"))
    scores |= {name: part.among_all(values, np.nan) for name, values in of_part.items()}
    if by in of_part:
        assert classes is not None
        difficult = part.among_all(most_difficult(by, of_part[by], classes, criteria.share), False)
    else:
        difficult = largest(scores["flag_share" if by == "flags" else by], criteria.share)
    kinds |= known_kinds
    columns: dict[str, NDArray[Any] | None] = {"index": np.arange(features.rows), "label": labels, **scores}
    columns |= {kind: chosen.astype(np.int64) for kind, chosen in {"difficult": difficult, **kinds}.items()}
    alike = alike_pairs(part.features, criteria.pairs, part.labels, plan.pos_high, mapper)
    return Difficulty(
        scores={name: column for name, column in columns.items() if column is not None},
        difficult=difficult,
        pairs=replace(alike, rows=part.rows[alike.rows]),
        overlaps=tuple(enrichment(kind, difficult, chosen) for kind, chosen in kinds.items()),
        plan=plan,
        withheld=withheld,
    )


def doubts(features: Features, classes: Labels, seed: int = 0) -> Array:
    """The ``doubt`` of each sample, shape (N,), for classes 0, 1, …."""
    disagreement = neighbourhoods(features, classes, seed=seed).disagreement
    outputs = np.concatenate(list(probe_outputs(features, classes, seed))).astype(np.float64)
    assert disagreement is not None
    return doubt(own(outputs, classes), disagreement)


def most_difficult(by: str, scores: Array, classes: Labels, share: float) -> Flags:
    """The share of each class that is most difficult by a score: by doubt the largest, by others the smallest.

    Parameters
    ----------
    by : {"doubt", "gap", "sas"}
    scores : ndarray
        Shape (N,).
    classes : ndarray
        0, 1, …, shape (N,).
    share : float
    """
    return smallest_gaps(-scores if by == "doubt" else scores, classes, share)


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


def _measure(part: _Labelled, criteria: Criteria, mapper: Mapper) -> Measurement:
    c = criteria
    spaces, copies = {"encoder": part.features}, part.copies
    return measure(spaces, part.labels, "features", c.classes, c.share, c.seed, mapper, copies=copies)


def _classes(part: _Labelled, criteria: Criteria, mapper: Mapper) -> Labels:
    """Clusters in the place of classes."""
    count = criteria.classes
    if count is None:
        count = estimate_classes(part.features, criteria.seed).classes
    count = require_integer("classes", count, 2, part.features.rows // 2)
    return cluster(part.features, count, criteria.seed, mapper)


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
    lines += [f"  how many are {kind} is withheld: {reason}" for kind, reason in found.withheld.items()]
    flags = found.scores["flag_share"]
    lines.append(
        f"flagged pairs, band {found.plan.pos_high:.4g} to {found.plan.pos_low:.4g}: "
        f"{flags.mean():.2%} of a sample's on average, {flags.max():.2%} at most"
    )
    similarity = found.pairs.similarity
    if len(similarity):
        lines.append(f"the {len(similarity)} most alike pairs: cosine {similarity[0]:.3f} to {similarity[-1]:.3f}")
    search = found.pairs.search
    if search is not None:
        lines.append(
            f"  searched in {search.searched} of {search.cells} cells for each sample, "
            f"which finds {search.recall:.1%} of the most alike pairs of {JUDGED:,} samples"
        )
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
        "search": None if found.pairs.search is None else asdict(found.pairs.search),
        "overlaps": [asdict(o) for o in found.overlaps],
        "withheld": found.withheld,
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
