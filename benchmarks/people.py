"""Scores of difficult samples against people: which find the images of CIFAR-10 on which people disagree?

Run as ``python benchmarks/people.py --features NAME=FILE … --images FILE --people FILE [--csv FILE]`` with features
of the 10,000 test images by several encoders. People's votes (CIFAR-10H) are for non-commercial use and no part of the
project; what is written are areas and shares. Scores are chosen on the first half of the images, reported on the other.
"""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # before this file's folder, whose theory.py is no package

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.stats import rankdata, spearmanr

from empirical.choices import ROUNDS, SHARE
from empirical.data.features import Features
from empirical.difficulty.neighbours import NEIGHBOURS, neighbourhoods
from empirical.difficulty.scores import doubt, entropy, flag_shares, largest, mean_rank, own
from empirical.evidence.people import AGREEMENT, read_people
from empirical.paper import STATED
from empirical.profile.measurement import cluster, gaps, probe_outputs
from empirical.selection import in_half_open, percentile_band
from theory.arrays import read_npz
from theory.checks import ParameterError, require
from theory.command import Parser, markdown_table, output, run

BATCH = 256
RESAMPLES = 500
WORDS = {  # what each score is; those that need labels, then the others
    "gap": "the paper's (A.5): small gap of a probe's two largest outputs",
    "entropy": "entropy of its outputs",
    "confidence": "small output for the label",
    "cleanlab": "cleanlab's confidence-weighted entropy of its outputs",
    "alike": "cosine with the most alike image of another class",
    "cross": "mean cosine with the 20 nearest of other classes less of its own",
    "cross_means": "cosine with the nearest other class's mean less with its own's",
    "neighbours": "share of the 20 nearest of another class",
    "doubt": "mean rank by `confidence` and `neighbours`",
    "confidence_cross": "mean rank by `confidence` and `cross`",
    "neighbours_cross": "mean rank by `neighbours` and `cross`",
    "entropy_neighbours": "mean rank by `entropy` and `neighbours`",
    "statistic": "the paper's: cosine at its row's percentile posHigh",
    "paper_flags": "share of pairs in the paper's band",
    "flags": "share of pairs in the theory's band",
    "density": "small mean cosine with the 20 nearest",
    "contrast": "mean cosine with all less with the 20 nearest",
    "clusters": "share of the 20 nearest in another of ten clusters",
    "density_statistic": "mean rank by `density` and `statistic`",
    "contrast_clusters": "mean rank by `contrast` and `clusters`",
}
UNLABELLED = ("statistic", "paper_flags", "flags", "density", "contrast", "clusters")
UNLABELLED += ("density_statistic", "contrast_clusters")
Array = NDArray[np.float64]
Labels = NDArray[np.int64]


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    parser = Parser("python benchmarks/people.py", description=__doc__)
    parser.add_argument("--features", nargs="+", required=True, metavar="NAME=FILE", help=".npy of each encoder")
    parser.add_argument("--images", type=Path, required=True, help="the .npz of the images, for y_test")
    parser.add_argument("--people", type=Path, required=True, help=".npz of judgements, in the images' order")
    parser.add_argument("--csv", type=output, help="write every number to this file")
    return run(parser, _command, argv)


def _command(args: Namespace) -> None:
    labels = read_npz(args.images)["y_test"].astype(np.int64)
    people = read_people(args.people)
    if any("=" not in given for given in args.features):
        raise ParameterError(f"--features {' '.join(args.features)}: not NAME=FILE each")
    encoders = dict(given.split("=", 1) for given in args.features)
    votes = people.counts / people.counts.sum(axis=1, keepdims=True)
    found = compare({name: Path(path) for name, path in encoders.items()}, labels, votes)
    if args.csv is not None:
        found.to_csv(args.csv, index=False, float_format="%.5g")
    print(table(found))
    print("chosen:", *chosen(found))


def compare(encoders: dict[str, Path], labels: Labels, votes: Array) -> pd.DataFrame:
    """Every score of every encoder against the votes, a row each.

    Parameters
    ----------
    encoders : dict of Path
        Features of the same images, by the encoder's name.
    labels : ndarray
        Shape (N,).
    votes : ndarray
        Share of the people who choose each class, shape (N, classes).

    Returns
    -------
    DataFrame
        On the second half of the images: ``area`` under the curve for those whose label fewer than 80 % of people
        choose, ``low`` and ``high`` over resampled images; ``precision``, the share of such images among the 8 % with
        the largest scores, and ``base`` among all; ``rank``, the rank correlation with the votes' entropy; ``issues``,
        the share of the 8 % that cleanlab takes for label issues, and ``issues_base`` of all. On the first half:
        ``chosen_area``, and ``behind``, how far its mean over the encoders lies behind the best with (or without)
        labels, with ``behind_error``.
    """
    half = len(labels) // 2
    halves = {"choose": np.arange(half), "report": np.arange(half, len(labels))}
    generator = np.random.default_rng(0)
    draws = {name: rows[generator.integers(len(rows), size=(RESAMPLES, len(rows)))] for name, rows in halves.items()}
    ambiguous, spread = own(votes, labels) < AGREEMENT, entropy(votes)
    report, rows, resampled = halves["report"], [], {}
    for encoder, path in encoders.items():
        features = Features(path)
        require(features.rows == len(labels), "features", f"{features.rows} rows", f"one for each of {len(labels)}")
        outputs = np.concatenate(list(probe_outputs(features, labels))).astype(np.float64)
        issues = _issues(outputs, labels)
        for name, values in scores(features, labels, outputs):
            areas = area(values[draws["report"]], ambiguous[draws["report"]])
            top = report[largest(values[report], SHARE)]
            resampled[encoder, name] = area(values[draws["choose"]], ambiguous[draws["choose"]])
            rows.append(
                {
                    "encoder": encoder,
                    "accuracy": float((outputs.argmax(axis=1) == labels).mean()),
                    "score": name,
                    "labels": name not in UNLABELLED,
                    "area": float(area(values[report], ambiguous[report])),
                    "low": float(np.percentile(areas, 2.5)),
                    "high": float(np.percentile(areas, 97.5)),
                    "precision": float(ambiguous[top].mean()),
                    "base": float(ambiguous[report].mean()),
                    "rank": float(spearmanr(values[report], spread[report])[0]),
                    "issues": float("nan") if issues is None else float(issues[top].mean()),
                    "issues_base": float("nan") if issues is None else float(issues[report].mean()),
                    "chosen_area": float(area(values[halves["choose"]], ambiguous[halves["choose"]])),
                }
            )
    return _behind(pd.DataFrame(rows), resampled)


def _behind(found: pd.DataFrame, resampled: dict[tuple[str, str], Array]) -> pd.DataFrame:
    """With how far each score lies behind the best of those that see as much, and the standard error of that."""
    means = found.groupby("score").chosen_area.mean()
    over = {name: np.mean([resampled[e, name] for e in found.encoder.unique()], axis=0) for name in means.index}
    for labelled, names in found.groupby("labels").score.unique().items():
        best = means[names].idxmax()
        for name in names:
            mine = (found.labels == labelled) & (found.score == name)
            found.loc[mine, "behind"] = means[best] - means[name]
            found.loc[mine, "behind_error"] = np.std(over[best] - over[name])
    return found


def area(values: Array, positive: NDArray[np.bool_]) -> Any:
    """Area under the curve along the last axis: how often a positive's value is larger than another's."""
    count = positive.sum(axis=-1)
    ranks = (rankdata(values, axis=-1) * positive).sum(axis=-1)
    return (ranks - count * (count + 1) / 2) / (count * (positive.shape[-1] - count))


def chosen(found: pd.DataFrame) -> tuple[str, str]:
    """The best score with labels and the best without, on the first half.

    The best single one, if it is less than a standard error behind; else the best mean of ranks.
    """
    names = []
    for labelled in (True, False):
        near = found[(found.labels == labelled) & (found.behind <= found.behind_error)].copy()
        near["parts"] = [2 if "mean rank" in WORDS[name] else 1 for name in near.score]
        names.append(str(near.sort_values(["parts", "behind"]).score.iloc[0]))
    return names[0], names[1]


# --- scores ----------------------------------------------------------------------------------------


def scores(features: Features, labels: Labels, outputs: Array) -> Iterator[tuple[str, Array]]:
    """Names and values of the candidates, large for a difficult image."""
    near, classes = neighbourhoods(features, labels), int(labels.max()) + 1
    clusters = neighbourhoods(features, cluster(features, classes, 0)).disagreement
    confidence = own(outputs, labels)
    assert near.disagreement is not None
    assert clusters is not None
    found = {"gap": -gaps(outputs), "entropy": entropy(outputs), "confidence": -confidence}
    if find_spec("cleanlab") is not None:
        from cleanlab.rank import get_label_quality_scores

        found["cleanlab"] = -get_label_quality_scores(labels, outputs, method="confidence_weighted_entropy")
    found |= _by_class(features, labels) | {"neighbours": near.disagreement}
    found["doubt"] = doubt(confidence, near.disagreement)
    for one, other in (("confidence", "cross"), ("neighbours", "cross"), ("entropy", "neighbours")):
        found[f"{one}_{other}"] = mean_rank(found[one], found[other])
    found |= _in_batches(features)
    share = 1 / classes
    found["flags"] = flag_shares(features, share, share + (1 - share) * SHARE**2, BATCH)
    found["contrast"], found["clusters"] = near.contrast, clusters
    found["density"] = near.contrast - features.unit @ features.unit.mean(axis=0)
    for one, other in (("density", "statistic"), ("contrast", "clusters")):
        found[f"{one}_{other}"] = mean_rank(found[one], found[other])
    yield from ((name, found[name]) for name in WORDS if name in found)


def _by_class(features: Features, labels: Labels) -> dict[str, Array]:
    """Scores from cosines with images of other classes and of the own one."""
    unit = torch.from_numpy(features.unit)
    same = torch.from_numpy(labels[:, None] == labels)
    found: dict[str, list[Array]] = {"alike": [], "cross": []}
    for rows in np.array_split(np.arange(len(labels)), 20):
        cosines = unit[rows] @ unit.T
        cosines[np.arange(len(rows)), rows] = -torch.inf
        others = cosines.masked_fill(same[rows], -torch.inf).topk(NEIGHBOURS, dim=1).values
        mine = cosines.masked_fill(~same[rows], -torch.inf).topk(NEIGHBOURS, dim=1).values
        found["alike"].append(others[:, 0].double().numpy())
        found["cross"].append((others.mean(dim=1) - mine.mean(dim=1)).double().numpy())
    means = np.stack([features.unit[labels == c].mean(axis=0) for c in range(int(labels.max()) + 1)])
    cosines_of_means = features.unit @ means.T
    mine_of_means = own(cosines_of_means, labels)
    cosines_of_means[np.arange(len(labels)), labels] = -np.inf
    joined = {name: np.concatenate(parts) for name, parts in found.items()}
    return joined | {"cross_means": cosines_of_means.max(axis=1) - mine_of_means}


def _in_batches(features: Features) -> dict[str, Array]:
    """The paper's statistic and how many pairs of an image its band flags, at its constants for CIFAR-10."""
    stated, generator = STATED["cifar10"], np.random.default_rng(0)
    statistic, flagged = np.zeros(features.rows), np.zeros(features.rows)
    unit = torch.from_numpy(features.unit)
    for _ in range(ROUNDS):
        for rows in np.array_split(generator.permutation(features.rows), features.rows // BATCH):
            cosines = (unit[rows] @ unit[rows].T).fill_diagonal_(-torch.inf)
            band = percentile_band(cosines, stated.pos_high, stated.pos_low)
            flagged[rows] += in_half_open(cosines, band).double().mean(dim=1).numpy() / ROUNDS
            own_band = percentile_band(cosines, stated.pos_high, stated.pos_low, by_row=True)
            statistic[rows] += own_band[1][:, 0].double().numpy() / ROUNDS
    return {"statistic": statistic, "paper_flags": flagged}


def _issues(outputs: Array, labels: Labels) -> NDArray[np.bool_] | None:
    """What cleanlab takes for label issues; None where it is not installed."""
    if find_spec("cleanlab") is None:
        return None
    from cleanlab.filter import find_label_issues

    return np.asarray(find_label_issues(labels, outputs, n_jobs=1))


# --- table -----------------------------------------------------------------------------------------


def table(found: pd.DataFrame) -> str:
    """A row a score: areas with intervals by encoder, and means over the encoders."""
    best, rows = chosen(found), []
    encoders = found.encoder.unique()
    for labelled in (True, False):
        for name in WORDS:
            mine = found[(found.score == name) & (found.labels == labelled)].set_index("encoder")
            if mine.empty:
                continue
            shown = f"**`{name}`**" if name in best else f"`{name}`"
            cells = [f"{mine.area[e]:.3f} [{mine.low[e]:.3f}, {mine.high[e]:.3f}]" for e in encoders]
            means = [f"{100 * mine.precision.mean():.0f}", f"{mine['rank'].mean():+.2f}"]
            issues = mine.issues.mean()
            means += ["—" if np.isnan(issues) else f"{100 * issues:.0f}", f"{mine.chosen_area.mean():.3f}"]
            rows.append((shown, WORDS[name], "yes" if labelled else "no", *cells, *means))
    accuracy = found.groupby("encoder").accuracy.first()
    header = ("score", "what", "labels", *(f"{e} ({100 * accuracy[e]:.0f} %)" for e in encoders))
    last = ("precision at 8 %", "rank correlation", "label issues, %", "where it was chosen")
    return markdown_table((*header, *last), rows)


if __name__ == "__main__":
    raise SystemExit(main())
