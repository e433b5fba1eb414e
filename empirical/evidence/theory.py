"""What the theory says of a run of instrument A beside what is measured: levels, bounds, the predicted probe."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from empirical.arms import NotApplicable
from empirical.data.features import Features
from empirical.data.sources import balanced_order
from empirical.encoders import extract
from empirical.evaluate.probes import probe
from empirical.evidence.adapters import Task, pilot, prepare, settings_of, trained
from empirical.evidence.choices import Choices
from empirical.evidence.design import PARTS, Entry
from empirical.evidence.epochs import epochs_of
from empirical.prediction import predict
from empirical.profile.levels import PAIR_ROWS
from empirical.profile.measurement import measure, measure_network
from empirical.statistics import mean_interval, rank_correlation
from empirical.train.settings import Settings
from theory.bounds import error_bounds
from theory.checks import ParameterError
from theory.command import format_number, markdown_table
from theory.engine import Pool
from theory.files import read_json, read_table, write_json, write_text, write_together
from theory.plan import LEVELS, SPACES, Estimate, Profile, Space
from theory.sharper import dense_spread
from theory.tables import csv_text
from theory.worlds import unit_rows

SEED = 10  # the first confirmatory one: these runs are trained again, and no number of theirs is chosen by it
KINDS = ("easy", "mixed", "difficult")  # of pairs
CONTROLS = ("frozen", "untrained", "adnce", "hcl", "paper_combined_projector")
ENTRIES: dict[str, Entry] = {
    **PARTS["primary"].entries,
    **{
        name: PARTS[part].entries[name]
        for part in ("tables", "rivals")
        for name in CONTROLS
        if name in PARTS[part].entries
    },
}
FOLLOWED = ("baseline", "paper_combined")  # over training
PREDICTORS = {
    "predicted": ("predicted accuracy, one Gaussian a class", 1),
    "predicted_two": ("predicted accuracy, two Gaussians a class", 1),
    "printed": ("eq. 4 with the run's own levels and δ̂", -1),
    "squared": ("squared bound of the clipped graph", -1),
    "plug_in": ("plug-in bound of the clipped graph", -1),
    "delta": ("labelling error δ̂ alone", -1),
    "encoder_gap": ("γ̂ − β̂ before the projector", -1),
    "projector_gap": ("γ̂ − β̂ after the projector", -1),
    "encoder_alpha": ("α̂ before the projector", 1),
}  # column: words, sign of the association with accuracy that the theory expects
TABLE, LEVELS_TABLE = "_theory.csv", "_levels.csv"  # after the stem of published files
RUN = ("set", "accuracy", "predicted", "predicted_two", "predicted_two_low", "predicted_two_high", *PREDICTORS)
EPOCH = ("epoch", *(f"{space}_gap{end}" for space in SPACES for end in ("", "_low", "_high")))

# --- one run ---------------------------------------------------------------------------------------


def result(task: Task) -> Path:
    """What ``examine`` writes."""
    return task.out / "theory" / task.bench / task.name / f"{task.label}.json"


def examine(task: Task) -> None:
    """Train a task's first seed again and write what is measured and foretold of its final encoder."""
    if not result(task).exists():
        write_json(result(task), examined(task))


def examined(task: Task) -> dict[str, Any]:
    """One run as a row: accuracies, predictions, levels with intervals, δ̂ and bounds.

    Levels, δ̂ and bounds are those of the images that the run is trained on, those that it leaves out among them;
    predictions and accuracies those of a probe on the original images, as everywhere in the evidence.
    """
    started = time.process_time()
    s = settings_of(task, task.seeds[0])
    network = network_of(task.entry, s)
    original = s.original_data_set()
    h, labels = extract(network, original.x_train)[0].numpy(), original.y_train.numpy()
    fitted = probe(h, labels, task.choices.c)
    correct = fitted.predict(extract(network, original.x_test)[0].numpy()) == original.y_test.numpy()
    row: dict[str, Any] = {"bench": task.bench, "entry": task.name, "set": task.number, "seed": s.seed, "tau": s.tau}
    row |= {"c": task.choices.c, "accuracy": correct.mean(), "official": correct[: len(correct) - task.extra].mean()}
    for name, components in (("predicted", 1), ("predicted_two", 2)):
        found = predict(h, labels, c=task.choices.c, components=components)
        row |= {name: found.accuracy, f"{name}_low": found.low, f"{name}_high": found.high}
        row |= {"kappa": found.kappa} if components == 1 else {}
    images = s.data_set()
    profile = measure_network(network, images, task.bench, s.augmentation, tau=s.tau, batch=s.batch).profile
    row |= measured(profile)
    row |= clipped(extract(network, images.x_train)[0].numpy(), images.y_train.numpy(), profile.dim)
    return row | {"seconds": time.process_time() - started}


class Untouched(nn.Module):
    """The cached features themselves, in the place of both of a network's outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()), requires_grad=False)  # where the network is asked for its device

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Shapes (B, d) and (B, d)."""
        return x.flatten(1), x.flatten(1)

    def plain(self, x: Tensor) -> Tensor:
        """Features as they are."""
        return x


def network_of(entry: Entry, s: Settings) -> Any:
    """The network of an entry, trained where it is to be."""
    if entry.frozen:
        return Untouched().eval()
    if entry.untrained:
        channels, *size = s.data_set().x_train.shape[1:]
        return s.network(channels, *size).eval()
    return trained(s)[0]


def measured(profile: Profile) -> dict[str, Any]:
    """A profile as columns, with the printed bound of difficult examples.

    ``printed`` is equation 4 with the paper's α̂, β̂, γ̂ in its λₖ₊₁, ``printed_exact`` with the exact one of the
    graph of six levels. ``three_levels`` says why the paper's graph of three does not exist, where it does not.
    """
    assert profile.delta is not None
    row: dict[str, Any] = {"k": profile.dim, **_cells("delta", profile.delta)}
    for name, space in profile.spaces.items():
        row |= level_cells(name, space)
    row |= {"printed": None, "printed_exact": None, "lambda": None, "lambda_exact": None, "in_range": None}
    row["three_levels"] = profile.violation(SPACES[0], "any")
    try:
        found = error_bounds(profile.measured(SPACES[0]), profile.dim, profile.delta.value)["difficult"]
    except ParameterError as error:
        return row | {"six_levels": str(error)}
    row |= {"printed": found.bound, "printed_exact": found.bound_exact, "in_range": found.applies, "six_levels": None}
    return row | {"lambda": found.eigenvalue, "lambda_exact": found.eigenvalue_exact}


def level_cells(name: str, space: Space) -> dict[str, float]:
    """The levels of a space: the paper's three and ε with intervals, γ̂ − β̂, and six of kinds of pairs."""
    row: dict[str, float] = {}
    for level in LEVELS:
        row |= _cells(f"{name}_{level}", getattr(space, level))
    row |= _cells(f"{name}_gap", space.gap)
    for where in ("within", "across"):
        row |= {f"{name}_{where}_{kind}": getattr(getattr(space, where), kind).value for kind in KINDS}
    return row


def _cells(name: str, estimate: Estimate) -> dict[str, float]:
    return {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}


def clipped(features: NDArray[np.float32], labels: NDArray[np.int64], dim: int) -> dict[str, float]:
    """The sharper bounds of the graph of measured cosines, negative ones as 0: a graph needs weights >= 0.

    Parameters
    ----------
    features, labels : ndarray
        Shapes (N, d) and (N,); at most 2,000 rows are used, as many of each class as can be.
    dim : int
        k.

    Returns
    -------
    dict
        ``lambda_clipped``, λₖ₊₁; ``cross``, the weight between classes; ``squared`` and ``plug_in``
        (``theory.sharper``), with labels that are sure, δ = G = 0.
    """
    from scipy.sparse.linalg import eigsh

    rows = balanced_order(labels)[:PAIR_ROWS]
    unit, y = unit_rows(features[rows].astype(np.float64)), labels[rows]
    weights = np.maximum(unit @ unit.T, 0)
    root = np.sqrt(weights.sum(axis=1))
    start = np.random.default_rng(0).standard_normal(len(rows))
    values = eigsh(weights / root[:, None] / root, dim + 1, which="LA", v0=start, return_eigenvectors=False)
    eigenvalue = float(values.min())
    spread = dense_spread(weights, np.eye(int(y.max()) + 1)[y])
    squared, plug_in = spread.bounds(max(eigenvalue, 0))
    return {
        "lambda_clipped": eigenvalue,
        "cross": float(spread.dirichlet),
        "squared": float(squared),
        "plug_in": float(plug_in),
    }


# --- over training ---------------------------------------------------------------------------------


def followed(task: Task) -> Path:
    """What ``follow`` writes."""
    return task.out / "levels" / task.bench / task.name / f"{task.label}.csv"


def follow(task: Task) -> None:
    """Measure the levels of a task's first seed as it begins and after every epoch, in both spaces.

    Which images are difficult is measured anew each time, by the paper's rule on the encoder's features of then.
    """
    if followed(task).exists():
        return
    s = settings_of(task, task.seeds[0])
    labels = s.data_set().y_train.numpy()
    rows = []
    for epoch in epochs_of(s):
        spaces = {name: Features(x) for name, x in zip(SPACES, (epoch.encoder, epoch.projector), strict=True)}
        found = measure(spaces, labels, task.bench, tau=s.tau, batch=s.batch).profile
        row: dict[str, Any] = {"bench": task.bench, "entry": task.name, "set": task.number, "epoch": epoch.number}
        for name, space in found.spaces.items():
            row |= level_cells(name, space)
        rows.append(row)
    write_text(followed(task), csv_text(pd.DataFrame(rows), "%.6g"))


# --- all runs --------------------------------------------------------------------------------------


def run_theory(
    views: Sequence[Path],
    choices: Choices,
    out: Path,
    pool: Pool,
    entries: Mapping[str, Entry] = ENTRIES,
    bench: str = "cifar10",
) -> None:
    """Examine every entry on every training set, and follow two over training on the first; what is there stays.

    Parameters
    ----------
    views : sequence of Path
        Cached views of the training sets 0, 1, …
    choices : Choices
    out : Path
        Folder of results; those of ``empirical.evidence`` may be there too, whose pilot runs are then used.
    pool : Pool
    entries : mapping of Entry
    bench : str
    """
    ready = [Task(bench, "pilot", Entry(), i, path, (), choices, out) for i, path in enumerate(views)]
    unready = [task for task in ready if not (pilot(task) / "plan.json").exists()]
    pool.run(prepare, unready, [1] * len(unready), desc="pilot", unit="run")
    found = [task for task in _tasks(ready, entries) if not result(task).exists()]
    pool.run(examine, found, [1] * len(found), desc="theory", unit="run")
    chosen = [task for task in _tasks(ready[:1], {name: entries[name] for name in FOLLOWED if name in entries})]
    pool.run(follow, chosen, [1] * len(chosen), desc="levels", unit="run")


def _tasks(ready: Sequence[Task], entries: Mapping[str, Entry]) -> Iterator[Task]:
    for base in ready:
        for name, entry in entries.items():
            task = Task(base.bench, name, entry, base.number, base.views, (SEED,), base.choices, base.out)
            try:
                settings_of(task, SEED)
            except NotApplicable:
                continue
            yield task


def collect(out: Path) -> pd.DataFrame:
    """One row a bench, entry and training set, in the order of ``ENTRIES``."""
    found = [read_json(path, "bench", "entry", "set") for path in (out / "theory").glob("*/*/*.json")]
    if not found:
        raise ParameterError("out", out, "a folder with results of run_theory")
    order = {name: place for place, name in enumerate(ENTRIES)}
    found.sort(key=lambda row: (row["bench"], order.get(row["entry"], len(order)), row["entry"], row["set"]))
    return pd.DataFrame(found)


def collect_levels(out: Path) -> pd.DataFrame:
    """One row a bench, entry, training set and epoch."""
    paths = sorted((out / "levels").glob("*/*/*.csv"))
    if not paths:
        raise ParameterError("out", out, "a folder with results of run_theory")
    return pd.concat([read_table(path) for path in paths], ignore_index=True)


def publish_theory(out: Path, stem: Path) -> tuple[Path, Path]:
    """Write ``stem``_theory.csv and ``stem``_levels.csv; returns the two paths."""
    table, levels = (stem.with_name(stem.name + end) for end in (TABLE, LEVELS_TABLE))
    found = {table: collect(out), levels: collect_levels(out)}
    write_together({path: csv_text(rows, "%.6g") for path, rows in found.items()})
    return table, levels


def published(stem: Path) -> bool:
    """Whether these results have been published."""
    return stem.with_name(stem.name + TABLE).exists()


# --- tables ----------------------------------------------------------------------------------------


def _read(stem: Path, end: str) -> pd.DataFrame:
    numbers = RUN if end == TABLE else EPOCH
    return read_table(stem.with_name(stem.name + end), *numbers)


class Ranking(NamedTuple):
    """How a column orders the entries by accuracy, over their means.

    Attributes
    ----------
    entries : int
    rho, low, high : float or None
        Spearman's rank correlation of column and accuracy, with its interval.
    reason : str or None
    """

    entries: int
    rho: float | None
    low: float | None
    high: float | None
    reason: str | None = None


def ranking(runs: pd.DataFrame, column: str, without: Sequence[str] = ()) -> Ranking:
    """Rank correlation of a column with the measured accuracy over the entries of one bench, each the mean of its sets.

    Parameters
    ----------
    runs : DataFrame
        Of ``collect``.
    column : str
    without : sequence of str
        Entries that are left out: frozen and untrained features lie far from all others.
    """
    chosen = runs[~runs.entry.isin(without)].dropna(subset=column)
    means = chosen.groupby("entry", sort=False)[[column, "accuracy"]].mean()
    found = rank_correlation(means[column].tolist(), means.accuracy.tolist(), range(len(means)))
    return Ranking(len(means), found.rho, found.low, found.high, found.reason)


def predictions(stem: Path) -> str:
    """Predicted beside measured accuracy of every entry: means over the training sets, and how often intervals hold."""
    runs = _read(stem, TABLE)
    rows = []
    for name, chosen in runs.groupby("entry", sort=False):
        cells = [f"{100 * chosen[column].mean():.2f}" for column in ("accuracy", "predicted", "predicted_two")]
        errors = [
            f"{100 * (chosen[column] - chosen.accuracy).mean():+.2f}" for column in ("predicted", "predicted_two")
        ]
        within = int(
            ((chosen.predicted_two_low <= chosen.accuracy) & (chosen.accuracy <= chosen.predicted_two_high)).sum()
        )
        rows.append((f"`{name}`", *cells, *errors, f"{within} of {len(chosen)}"))
    header = (
        "entry",
        "accuracy, %",
        "one Gaussian",
        "two Gaussians",
        "error of one",
        "of two",
        "in the interval of two",
    )
    return markdown_table(header, rows)


def differences(stem: Path) -> str:
    """Measured and foretold differences to the baseline on the same training set, means over the sets."""
    runs = _read(stem, TABLE).set_index(["entry", "set"])
    columns = {"accuracy": 100.0, "predicted": 100.0, "predicted_two": 100.0, "encoder_gap": 1e4, "delta": 100.0}
    rows = []
    for name in runs.index.unique("entry").drop("baseline"):
        changes = runs.loc[name, list(columns)] - runs.loc["baseline", list(columns)]
        cells = [f"{factor * changes[column].mean():+.2f}" for column, factor in columns.items()]
        rows.append((f"`{name}`", *cells))
    header = ("entry − baseline", "accuracy, points", "one Gaussian", "two Gaussians", "10⁴·(γ̂ − β̂)", "100·δ̂")
    return markdown_table(header, rows)


def levels(stem: Path) -> str:
    """Levels, δ̂ and bounds of every entry, means over the training sets."""
    runs = _read(stem, TABLE)
    rows = []
    for name, chosen in runs.groupby("entry", sort=False):
        mean = chosen.mean(numeric_only=True)
        cells = [f"{mean[f'encoder_{level}']:.3f}" for level in ("alpha", "beta", "gamma")]
        gap = _over_sets(chosen.encoder_gap)
        after = _over_sets(chosen.projector_gap)
        bounds = [
            format_number(None if np.isnan(mean[b]) else mean[b], ".2f") for b in ("printed", "squared", "plug_in")
        ]
        rows.append((f"`{name}`", *cells, gap, after, f"{mean.delta:.3f}", *bounds, f"{1 - mean.accuracy:.3f}"))
    header = ("entry", "α̂", "β̂", "γ̂", "γ̂ − β̂", "after the projector", "δ̂", "eq. 4", "squared", "plug-in", "error")
    return markdown_table(header, rows)


def _over_sets(values: pd.Series[float]) -> str:
    mean = mean_interval(values.tolist())
    if mean.low is None or mean.high is None:
        return f"{mean.value:.4f}"
    return f"{mean.value:.4f} ± {mean.high - mean.value:.4f}"


def rankings(stem: Path) -> str:
    """How every prediction ranks the entries by accuracy; with and without frozen and untrained features."""
    runs = _read(stem, TABLE)
    rows = []
    for column, (words, sign) in PREDICTORS.items():
        cells = []
        for without in ((), ("frozen", "untrained")):
            found = ranking(runs, column, without)
            if found.rho is None or found.low is None or found.high is None:
                cells.append(found.reason or "—")
            else:
                cells.append(f"{found.rho:+.2f} [{found.low:+.2f}, {found.high:+.2f}] ({found.entries})")
        rows.append((words, "+" if sign > 0 else "−", *cells))
    header = ("what ranks", "sign expected", "rank correlation with accuracy (entries)", "trained entries alone")
    return markdown_table(header, rows)


def over_training(stem: Path) -> str:
    """The six levels and the paper's three of two entries as they begin and after every epoch, before the projector."""
    rows = []
    for found in _read(stem, LEVELS_TABLE).to_dict("records"):
        six = [f"{found[f'encoder_{where}_{kind}']:.3f}" for where in ("within", "across") for kind in KINDS]
        three = [f"{found[f'encoder_{level}']:.3f}" for level in ("alpha", "beta", "gamma")]
        gaps = [f"{found[f'{s}_gap']:.4f} [{found[f'{s}_gap_low']:.4f}, {found[f'{s}_gap_high']:.4f}]" for s in SPACES]
        rows.append((f"`{found['entry']}`", str(found["epoch"]), *six, *three, *gaps))
    kinds = [f"{where}, {kind}" for where in ("same class", "different") for kind in KINDS]
    return markdown_table(("entry", "epoch", *kinds, "α̂", "β̂", "γ̂", "γ̂ − β̂", "after the projector"), rows)


TABLES: dict[str, Callable[[Path], str]] = {
    "evidence-theory-accuracies": predictions,
    "evidence-theory-differences": differences,
    "evidence-theory-levels": levels,
    "evidence-theory-rankings": rankings,
    "evidence-theory-training": over_training,
}
