"""What people see in CIFAR-10: their ambiguous images beside the paper's, and what the paper's selector flags.

The judgements (CIFAR-10H, CIFAR-10N) are for non-commercial use, are no part of the project and are given by path.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from empirical.choices import ROUNDS, SHARE
from empirical.data import take
from empirical.data.arrays import require_arrays
from empirical.data.features import Features
from empirical.encoders import extract
from empirical.evidence.adapters import PILOT_SEED, Task, settings_of, trained
from empirical.evidence.choices import Choices
from empirical.evidence.design import BENCHES, Entry
from empirical.evidence.epochs import epochs_of
from empirical.evidence.scratch import SNAPSHOTS
from empirical.evidence.theory import SEED
from empirical.paper import STATED
from empirical.profile.levels import measure_space
from empirical.profile.measurement import probe_gaps, smallest_gaps
from empirical.selection import in_half_open, percentile_band
from empirical.statistics import mean_interval
from theory.arrays import read_npz
from theory.checks import ParameterError, require
from theory.command import markdown_table
from theory.engine import Pool
from theory.files import read_json, write_json
from theory.plan import Estimate
from theory.worlds import unit_rows

BENCH = "cifar10"
AGREEMENT = 0.8  # of the people who choose the label; below, an image is ambiguous
LEAST_AGREEMENT = 0.7  # of the raters' majority with the labels, or rows are of other images (it is .91)
ENTRIES = {"baseline": Entry(), "paper_combined": Entry("paper_combined")}
BATCH = 256  # images among which pairs are ranked: as in training, but there are two views of each
FROZEN, ORACLE, END = "frozen", "oracle", "end"  # references
FILE = "_people.json"  # after the stem of published files
DEFINITIONS = {
    "people": f"fewer than {100 * AGREEMENT:.0f} % of people choose the label",
    "people_share": f"the {100 * SHARE:.0f} % of each class on which fewest people do",
    "gap": f"the paper's: the {100 * SHARE:.0f} % of each class with the smallest probe gap",
    "gap_matched": "the smallest probe gaps, as many of each class as people are of two minds on",
    "random": f"random {100 * SHARE:.0f} % of each class",
}
POPULATIONS = {"above": "pairs above the band", "flagged": "flagged pairs", "all": "all pairs"}

Labels = NDArray[np.int64]
Array = NDArray[np.float32]
Mask = NDArray[np.bool_]
Row = dict[str, Any]


# --- what people say -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Raters:
    """What three raters and their majority say of training images.

    Parameters
    ----------
    raters : ndarray
        Classes, shape (N, 3).
    majority : ndarray
        Shape (N,).
    """

    raters: Labels
    majority: Labels

    def take(self, rows: Labels) -> Raters:
        """Of some images."""
        return Raters(self.raters[rows], self.majority[rows])

    def named(self, classes: int) -> Mask:
        """Which classes some rater names, shape (N, classes)."""
        found = np.zeros((len(self.raters), classes), dtype=bool)
        np.put_along_axis(found, self.raters, True, axis=1)
        return found

    def ambiguous(self, labels: Labels) -> Mask:
        """Images on which the raters are not of one mind, or of another than the label."""
        return np.asarray((self.raters != labels[:, None]).any(axis=1) | (self.majority != labels))

    def misnamed(self, labels: Labels) -> Mask:
        """Images whose majority is of another mind than the label."""
        return np.asarray(self.majority != labels)


@dataclass(frozen=True)
class People:
    """Judgements of CIFAR-10's images.

    Parameters
    ----------
    counts : ndarray
        How many people choose each class of each test image, shape (10,000, 10).
    training : Raters
    """

    counts: Labels
    training: Raters

    def agreement(self, labels: Labels) -> NDArray[np.float64]:
        """Share of the people who choose the label of each test image."""
        own = self.counts[np.arange(len(labels)), labels]
        return np.asarray(own / self.counts.sum(axis=1))


def read_people(path: Path) -> People:
    """Judgements in an .npz of ``test_counts``, ``train_raters`` and ``train_aggregate``, in the data's order of rows.

    Raises
    ------
    ParameterError
        If the file is not one.
    """
    arrays = read_npz(path)
    absent = [name for name in ("test_counts", "train_raters", "train_aggregate") if name not in arrays]
    require(not absent, f"people {path}", f"no {', '.join(absent)}", "test_counts, train_raters and train_aggregate")
    counts, raters, majority = (
        arrays[name].astype(np.int64) for name in ("test_counts", "train_raters", "train_aggregate")
    )
    return People(counts, Raters(raters, majority))


def require_same_images(judged: Raters, labels: Labels) -> None:
    """ParameterError if the raters' majority is too seldom the label: they speak of other images."""
    share = float((judged.majority == labels).mean())
    require(share >= LEAST_AGREEMENT, "people", f"{share:.2f} of the labels", f"at least {LEAST_AGREEMENT} agreement")


# --- γ − β with people's difficult images ----------------------------------------------------------


def gaps(features: Array, labels: Labels, agreement: NDArray[np.float64], seed: int = 0) -> list[Row]:
    """Levels of test images with difficult ones by each of ``DEFINITIONS``; intervals over the images.

    Parameters
    ----------
    features, labels : ndarray
        Shapes (N, d) and (N,).
    agreement : ndarray
        Share of people who choose the label, shape (N,).
    seed : int
        Of the probe's halves, the bootstrap and the random images.

    Returns
    -------
    list of dict
        ``definition``; ``share`` of the images that are difficult, ``ambiguous``, the share of these on which people
        disagree; ``beta``, ``gamma``, ``gap`` = γ̂ − β̂ (A.5), ``both``, the mean of pairs of two difficult images of
        different classes, each an Estimate as a dict.
    """
    drawn = np.random.default_rng(seed).random(len(labels))
    measured = Features(features)
    undecided, ambiguous = probe_gaps(measured, labels, seed), agreement < AGREEMENT
    scores = {"people_share": agreement, "gap": undecided, "random": drawn}
    difficult = {name: smallest_gaps(score, labels, SHARE) for name, score in scores.items()}
    difficult |= {"people": ambiguous, "gap_matched": _matched(undecided, labels, ambiguous)}
    rows = []
    for name in DEFINITIONS:
        chosen = difficult[name]
        space = measure_space(measured, labels, chosen, seed)
        row: Row = {"definition": name, "share": float(chosen.mean())}
        row["ambiguous"] = float(difficult["people"][chosen].mean())
        levels: dict[str, Estimate] = {"beta": space.beta, "gamma": space.gamma, "gap": space.gap}
        rows.append(row | {key: asdict(found) for key, found in (levels | {"both": space.across.difficult}).items()})
    return rows


def _matched(scores: NDArray[np.float64], labels: Labels, chosen: Mask) -> Mask:
    """The images with the smallest scores, of each class as many as are chosen."""
    found = np.zeros(len(labels), dtype=bool)
    for c in np.unique(labels):
        members = np.flatnonzero(labels == c)
        found[members[np.argsort(scores[members], kind="stable")[: chosen[members].sum()]]] = True
    return found


# --- what the selector flags -----------------------------------------------------------------------


def anatomy(
    features: Array,
    labels: Labels,
    judged: Raters,
    references: Mapping[str, Array],
    pos_high: float,
    pos_low: float,
    batch: int = BATCH,
    rounds: int = ROUNDS,
    seed: int = 0,
) -> dict[str, dict[str, float]]:
    """Of what the pairs are that the paper's selector flags in random batches.

    A pair of different classes is

    - *confused* if one of the raters gives one of the two images the class of the other: alike to people;
    - *unlearned*, by a reference, if the reference no longer ranks it among the ``pos_low`` of the batch's pairs
      that are most alike: it is flagged because these features are not yet those. Nothing says that the reference
      is right: it may share the features' faults, and most pairs of random images of different classes are unlearned
      too (``all`` has their share, to compare with).

    Images are not augmented, and a pair is one of images: in training it is one of views, positives among them.

    Parameters
    ----------
    features, labels : ndarray
        By which pairs are ranked, shapes (N, d) and (N,).
    judged : Raters
        Of the same images.
    references : mapping of ndarray
        Features of the same images, any width.
    pos_high, pos_low : float
        The band (``empirical.selection.percentile_band``).
    batch : int
        Images of a batch; all that there are, where they are fewer.
    rounds : int
        Random partitions into batches.
    seed : int
        Of these.

    Returns
    -------
    dict of dict
        For the populations ``above`` (ranked above the band), ``flagged`` and ``all``, the shares: ``pairs`` of all;
        ``different`` of the population; of its pairs of different classes ``ambiguous``, ``misnamed`` (with an image
        on which raters disagree with each other or the label; whose majority does) and ``confused``; and for each
        reference ``unlearned_NAME`` of these pairs, ``plain_NAME``, the share that is neither unlearned nor confused.
        NaN where there is no pair.
    """
    generator = np.random.default_rng(seed)
    named = judged.named(int(labels.max()) + 1)
    ambiguous, misnamed = judged.ambiguous(labels), judged.misnamed(labels)
    unit = {name: unit_rows(np.asarray(x, dtype=np.float32)) for name, x in {"": features, **references}.items()}
    counts: dict[str, dict[str, int]] = {population: {} for population in POPULATIONS}
    for rows in _batches(len(labels), batch, rounds, generator):
        cosines = {name: _cosines(x[rows]) for name, x in unit.items()}
        y, own = labels[rows], cosines.pop("")
        band = percentile_band(own, pos_high, pos_low)
        pairs = ~np.eye(len(rows), dtype=bool)
        flagged = in_half_open(own, band).numpy()
        other = y[:, None] != y
        confused = named[rows][:, y]
        kinds = {
            "different": other,
            "ambiguous": other & (ambiguous[rows][:, None] | ambiguous[rows]),
            "misnamed": other & (misnamed[rows][:, None] | misnamed[rows]),
            "confused": (confused := other & (confused | confused.T)),
        }
        for name, found in cosines.items():
            unlearned = other & ~in_half_open(found, percentile_band(found, 0, pos_low)).numpy()
            kinds |= {f"unlearned_{name}": unlearned, f"plain_{name}": other & ~unlearned & ~confused}
        populations = {"above": pairs & (own >= band[1]).numpy(), "flagged": flagged, "all": pairs}
        for population, chosen in populations.items():
            for kind, members in {"pairs": pairs, **kinds}.items():
                before = counts[population].get(kind, 0)
                counts[population][kind] = before + int(np.count_nonzero(chosen & members))
    return {population: _shares(found, counts["all"]["pairs"]) for population, found in counts.items()}


def _batches(samples: int, size: int, rounds: int, generator: np.random.Generator) -> Iterator[Labels]:
    size = min(size, samples)
    for _ in range(rounds):
        order = generator.permutation(samples)
        yield from (order[start : start + size] for start in range(0, samples - size + 1, size))


def _cosines(unit: Array) -> torch.Tensor:
    """−∞ on the diagonal, where there is no pair."""
    return torch.from_numpy(unit @ unit.T).fill_diagonal_(-torch.inf)


def _shares(counts: Mapping[str, int], every: int) -> dict[str, float]:
    """Kinds of pairs of different classes as shares of these, these of the population, the population of all."""
    whole = {"pairs": every, "different": counts["pairs"]}
    found = {kind: (number, whole.get(kind, counts["different"])) for kind, number in counts.items()}
    return {kind: number / of if of else float("nan") for kind, (number, of) in found.items()}


def anatomy_of_snapshots(path: Path, people: People, rows: Labels | None = None, batch: int = BATCH) -> list[Row]:
    """The selector's pairs over the training of a network from scratch; its reference is the last snapshot.

    Parameters
    ----------
    path : Path
        What ``empirical.train.observers.Snapshots`` wrote: rows, labels, epochs, features.
    people : People
    rows : ndarray, optional
        Of the judged images, for each training image of the run; by default they are the same.
    batch : int

    Returns
    -------
    list of dict
        ``epoch``, ``population`` and the shares of ``anatomy``.

    Raises
    ------
    ParameterError
        If the labels are those of other images.
    """
    found = read_npz(path)
    places = found["rows"] if rows is None else rows[found["rows"]]
    judged, labels = people.training.take(places), found["labels"]
    require_same_images(judged, labels)
    stated, last = STATED[BENCHES[BENCH].stated], found["features"][-1]
    return [
        {"epoch": int(epoch), "population": population, **shares}
        for epoch, features in zip(found["epochs"], found["features"], strict=True)
        for population, shares in anatomy(
            features, labels, judged, {END: last}, stated.pos_high, stated.pos_low, batch
        ).items()
    ]


# --- runs of instrument A --------------------------------------------------------------------------


@dataclass(frozen=True)
class PeopleTask:
    """An entry on a training set, with the files that say what people see.

    Parameters
    ----------
    task : Task
        Its first seed is trained again.
    people : Path
        See ``read_people``.
    pool : Path
        The .npz of the instrument's images, which says where they stand among all (``rows_train``).
    """

    task: Task
    people: Path
    pool: Path

    @property
    def path(self) -> Path:
        """The result."""
        return self.task.out / "people" / self.task.name / f"{self.task.label}.json"


def look(what: PeopleTask) -> None:
    """Write γ̂ − β̂ on the test images and the selector's pairs over training, with three references.

    The references are the frozen features, the adapter of the oracle, which knows the labels, and the run's own end.
    """
    task, people = what.task, read_people(what.people)
    if what.path.exists():
        return
    s = settings_of(task, task.seeds[0])
    images = s.data_set()
    labels, official = images.y_train.numpy(), len(people.counts)
    views, pool = read_npz(task.views), read_npz(what.pool)
    require_arrays(task.views, views, ("rows",))
    require_arrays(what.pool, pool, ("rows_train",))
    judged = people.training.take(pool["rows_train"][views["rows"]])
    require_same_images(judged, labels)
    test_labels = images.y_test.numpy()[:official]
    agreement = people.agreement(test_labels)
    x_test = take(images.x_test, torch.arange(official))
    frozen = take(images.x_train, torch.arange(len(labels))).flatten(1).numpy()
    network, _ = trained(s)
    tested = {FROZEN: x_test.flatten(1).numpy(), task.name: extract(network, x_test)[0].numpy()}
    found: dict[str, Any] = {"gaps": [], "pairs": []}
    for name, features in tested.items():
        found["gaps"] += [{"entry": name, "set": task.number, **row} for row in gaps(features, test_labels, agreement)]
    oracle = extract(trained(settings_of(replace(task, entry=Entry("oracle")), s.seed))[0], images.x_train)[0].numpy()
    epochs, stated = epochs_of(s), STATED[BENCHES[task.bench].stated]
    references = {FROZEN: frozen, ORACLE: oracle, END: epochs[-1].encoder}
    for epoch in epochs:
        shares = anatomy(epoch.encoder, labels, judged, references, stated.pos_high, stated.pos_low, s.batch)
        in_training = {name: epoch.row[name] for name in ("flagged_across", "negatives_across") if name in epoch.row}
        for population, values in shares.items():
            row = {"entry": task.name, "set": task.number, "epoch": epoch.number, "population": population}
            found["pairs"].append(row | values | (in_training if population == "flagged" else {}))
    write_json(what.path, found)


def run_people(views: Sequence[Path], people: Path, images: Path, choices: Choices, out: Path, pool: Pool) -> None:
    """Look at ``ENTRIES`` on every training set; what is there stays.

    Parameters
    ----------
    views : sequence of Path
        Cached views of CIFAR-10's training sets 0, 1, …
    people, images : Path
        See ``PeopleTask``.
    choices : Choices
    out : Path
    pool : Pool
    """
    read_people(people)
    tasks = [
        PeopleTask(Task(BENCH, name, entry, i, path, (SEED,), choices, out), people, images)
        for i, path in enumerate(views)
        for name, entry in ENTRIES.items()
    ]
    todo = [task for task in tasks if not task.path.exists()]
    pool.run(look, todo, [1] * len(todo), desc="people", unit="run")


def collect_people(out: Path) -> dict[str, list[Row]]:
    """The rows of all runs: ``gaps`` and ``pairs``, and ``scratch`` where ``look_from_scratch`` has been."""
    paths = sorted((out / "people").glob("*/*.json"))
    if not paths:
        raise ParameterError("out", out, "a folder with results of run_people")
    found: dict[str, list[Row]] = {"gaps": [], "pairs": [], "scratch": []}
    for path in paths:
        for name, rows in read_json(path).items():
            found[name] += rows
    seen: dict[tuple[Any, ...], Row] = {(row["entry"], row["set"], row["definition"]): row for row in found["gaps"]}
    return found | {"gaps": list(seen.values())}  # every run has the frozen features of its set


def look_from_scratch(evidence: Path, people: Path, out: Path) -> None:
    """Look at the snapshots of instrument B's finished runs.

    Parameters
    ----------
    evidence : Path
        Folder of instrument B's results, which trained on all of CIFAR-10.
    people : Path
        See ``read_people``.
    out : Path
        Of what is seen, a file a run.
    """
    judged = read_people(people)
    for path in sorted((evidence / "scratch").glob("*/[0-9]*/snapshots.npz")):
        name, seed = path.parent.parent.name, int(path.parent.name)
        if int(read_npz(path)["epochs"][-1]) != SNAPSHOTS[-1] or seed == PILOT_SEED:
            continue
        rows = [{"entry": name, "seed": seed, **row} for row in anatomy_of_snapshots(path, judged)]
        write_json(out / "people" / "scratch" / f"{name}-{seed}.json", {"scratch": rows})


def publish_people(out: Path, stem: Path) -> Path:
    """Write ``stem``_people.json, means and intervals of the judgements but none of them; returns the path."""
    path = stem.with_name(stem.name + FILE)
    write_json(path, _rounded(collect_people(out)))
    return path


def _rounded(value: Any) -> Any:
    """To six digits."""
    if isinstance(value, Mapping):
        return {name: _rounded(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    if isinstance(value, float):
        return None if np.isnan(value) else float(f"{value:.6g}")
    return value


def published(stem: Path) -> bool:
    """Whether these results have been published."""
    return stem.with_name(stem.name + FILE).exists()


# --- tables ----------------------------------------------------------------------------------------


def _read(stem: Path) -> dict[str, list[Row]]:
    return read_json(stem.with_name(stem.name + FILE), "gaps", "pairs", "scratch")


def ambiguous_images(stem: Path) -> str:
    """γ̂ − β̂ by who says which images are difficult: means over the training sets, intervals over the test images."""
    rows = []
    runs = pd.json_normalize(_read(stem)["gaps"])
    for entry, of_entry in runs.groupby("entry", sort=False):
        for definition, words in DEFINITIONS.items():
            mean = of_entry[of_entry.definition == definition].mean(numeric_only=True)
            shares = [f"{100 * mean[name]:.1f}" for name in ("share", "ambiguous")]
            gap = f"{mean['gap.value']:.4f} [{mean['gap.low']:.4f}, {mean['gap.high']:.4f}]"
            levels = [f"{mean[f'{level}.value']:.4f}" for level in ("beta", "gamma", "both")]
            rows.append((f"`{entry}`", words, *shares, *levels, gap))
    header = ("features", "difficult images", "share, %", "ambiguous to people, %", "β̂", "γ̂", "two difficult", "γ̂ − β̂")
    return markdown_table(header, rows)


def _over_sets(runs: pd.DataFrame, column: str) -> str:
    """Mean over the sets in per cent, with its t-interval."""
    values = runs[column].dropna().tolist()
    if not values:
        return "—"
    mean = mean_interval(values)
    if mean.low is None or mean.high is None:
        return f"{100 * mean.value:.1f}"
    return f"{100 * mean.value:.1f} ± {100 * (mean.high - mean.value):.1f}"


def flagged_pairs(stem: Path) -> str:
    """What the flagged pairs are over the training of adapters, beside all pairs as they are at the end."""
    runs = pd.DataFrame(_read(stem)["pairs"])
    rows = []
    for entry, of_entry in runs.groupby("entry", sort=False):
        last = of_entry.epoch.max()
        groups = [("flagged", epoch) for epoch in range(last + 1)] + [("above", last), ("all", last)]
        for population, epoch in groups:
            chosen = of_entry[(of_entry.population == population) & (of_entry.epoch == epoch)]
            words = f"{POPULATIONS[population]}, epoch {epoch}" if population != "all" else POPULATIONS[population]
            columns = ("different", "ambiguous", "misnamed", "confused")
            references = [f"unlearned_{name}" for name in (FROZEN, ORACLE, END)]
            cells = [_over_sets(chosen, column) for column in (*columns, *references, f"plain_{ORACLE}")]
            rows.append((f"`{entry}`", words, *cells))
    of_these = ("an ambiguous image", "a misnamed one", "confused by a rater")
    unlearned = ("unlearned by frozen", "by the oracle", "by the end", "plain to people, alike to the oracle")
    return markdown_table(("run", "pairs", "different classes, %", *of_these, *unlearned), rows)


def from_scratch(stem: Path) -> str:
    """What the flagged pairs are over the training of networks from scratch, means over the seeds."""
    runs = pd.DataFrame(_read(stem)["scratch"])
    if runs.empty:
        return "Not run."
    runs = runs[runs.entry.isin((*ENTRIES, ORACLE))]  # the file has every entry, and they hardly differ
    rows = []
    for (entry, epoch), chosen in runs.groupby(["entry", "epoch"], sort=False):
        cells = []
        for population in ("flagged", "all"):
            part = chosen[chosen.population == population]
            columns = ("different", "ambiguous", "confused", f"unlearned_{END}", f"plain_{END}")
            cells.append([_over_sets(part, column) for column in columns])
        rows.append((f"`{entry}`", str(epoch), *(f"{a} ({b})" for a, b in zip(*cells, strict=True))))
    columns = ("different classes", "an ambiguous image", "confused", "unlearned by the end", "plain, alike at the end")
    return markdown_table(("run", "epoch", *(f"{column}, % (of all pairs)" for column in columns)), rows)


def finding(stem: Path) -> str:
    """What the paper's selector flags at the end of its combined arm, in two sentences."""
    runs = pd.DataFrame(_read(stem)["pairs"])
    runs = runs[runs.entry == "paper_combined"]
    last = runs.epoch.max()

    def share(column: str, population: str = "flagged", epoch: int = last) -> str:
        chosen = runs[(runs.population == population) & (runs.epoch == epoch)]
        return f"{100 * chosen[column].mean():.1f} %"

    return (
        f"Of the pairs that the paper's selector flags, {share('different', epoch=0)} are of different classes as an "
        f"adapter begins and {share('different')} at its end; of all pairs {share('different', 'all')} are. The paper "
        "reads a rise from 88 to 94 % off its Fig. 4c. Of the flagged pairs of different classes at the end, "
        f"{share('ambiguous')} have an image that raters disagree about (of all such pairs "
        f"{share('ambiguous', 'all')}), an adapter that knew the labels would part {share(f'unlearned_{ORACLE}')}, and "
        f"{share(f'plain_{ORACLE}')} are plain to people and alike even to that adapter."
    )


TABLES: dict[str, Callable[[Path], str]] = {
    "evidence-people-finding": finding,
    "evidence-people-images": ambiguous_images,
    "evidence-people-pairs": flagged_pairs,
    "evidence-people-scratch": from_scratch,
}
