"""Predicted against simulated accuracy on random noisy graphs: ``python -m benchmarks.prediction``.

Every graph is drawn at random, its noise, split and probe many times, without a formula of ``theory.predict``:
dense eigenvectors, rows over √degree, a probe on some of the nodes, its accuracy on the others. The prediction is
computed when the table is made, so that a finished simulation serves every later version of it.

    python -m benchmarks.prediction --out runs/prediction --jobs 2 --publish results/prediction.csv
"""

from __future__ import annotations

import io
import json
import math
import sys
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy.linalg import eigh

from theory.checks import ParameterError
from theory.command import Parser, add_workers, chosen_workers, markdown_table, output, run
from theory.draws import Noise
from theory.files import claim, write_json, write_text
from theory.params import GraphParameters
from theory.predict import predict, predict_sampled
from theory.predict.sampled import drawn
from theory.simulate import logistic
from theory.simulate.expected import expected_errors
from theory.spectrum import largest_gamma
from theory.workers import workers
from theory.worlds import Array, synthetic

SEED = 16
LARGEST = 1500  # nodes
NODES_DRAWN = 40_000  # over all draws of a graph
ROUNDING = 1e-8  # singular values below this share of the largest are 0: a channel's draws span few directions
KINDS = {
    "graph": 200,
    "graded": 24,
    "confusable": 24,
    "imbalanced": 24,
    "correlated": 24,
    "channel": 30,
    "logistic": 28,
    "gap": 30,
    "wishart": 30,
    "held": 30,
}
SAMPLES = ("channel", "wishart", "held")
SMALL = ("logistic", "gap", *SAMPLES)
PAIRINGS = {kind: ("block", "matched") for kind in KINDS} | {
    "graph": ("block", "matched", "any"),
    "confusable": ("block", "any"),
    "imbalanced": ("block", "any"),
}
PARTS = ("all", "easy", "hard")
HEADER = (
    *("graphs", "remedy", "number", "points with a prediction", "median error", "95th percentile", "largest", "bias"),
    *("standard error of the simulation", "rank correlation"),
)
GAP_HEADER = (
    *("graphs", "points", "median gap", "median error", "bias", "standard error of the simulation"),
    *("rank correlation", "of a perfect prediction"),
)
DRAWS = 200  # of the simulation's noise
REMEDIES = ("nothing", "clean", "margin", "temperature_unweighted", "removal")


@dataclass(frozen=True)
class Design:
    """One random graph: what is drawn of it, and how it is probed."""

    kind: str
    number: int
    pairing: str
    alpha: float
    beta: float
    gamma: float
    samples_per_class: int
    classes: int
    difficult: int
    epsilon: float
    correlated: float
    draws: int | None
    dims: tuple[int, ...]
    label_share: float
    seeds: int

    @property
    def parameters(self) -> GraphParameters:
        """The three-level graph behind it."""
        names = ("alpha", "beta", "gamma", "samples_per_class", "classes", "difficult", "pairing")
        return GraphParameters(**{name: getattr(self, name) for name in names})

    @property
    def structure(self) -> Any:
        """Name of its world."""
        return self.kind if self.kind in ("graded", "confusable", "imbalanced") else "three_level"

    @property
    def noise(self) -> Noise:
        """How it is drawn."""
        if self.draws:
            return Noise("wishart" if self.kind == "wishart" else "channel", draws=self.draws)
        return Noise("wigner", self.epsilon, self.correlated)


def design(kind: str, number: int) -> Design:
    """A random graph whose class modes lie between far above and far below the noise."""
    rng = np.random.default_rng([SEED, list(KINDS).index(kind), number])
    while True:
        r = round(float(np.exp(rng.uniform(0, np.log(20)))) - 0.5)
        r = max(1, 2 * (r // 2) + 1 if kind == "confusable" else r)
        n = round(float(np.exp(rng.uniform(np.log(30), np.log(400)))))
        nodes = n * (r + 1)
        if nodes > (600 if kind in SMALL else LARGEST) or nodes < 60:
            continue
        share = 0.0 if rng.random() < 0.1 else rng.random()
        share = rng.uniform(0.05, 0.5) if kind == "gap" else share
        n_d = round(share * n * (0.4 if kind == "graded" else 1))
        alpha = rng.uniform(0.3, 0.9)
        beta = alpha * rng.uniform(0.1, 0.9)
        draws = None
        if kind == "wishart":  # whose classes a probe mistakes near their transition alone
            draws = round(max(150.0, nodes * float(np.exp(rng.uniform(np.log(0.3), np.log(10))))))
            transition = (1 - alpha) * np.sqrt(nodes / draws) / n
            beta = alpha - float(transition * np.exp(rng.uniform(np.log(0.4), np.log(4))))
            if beta < 0.1 * alpha:
                continue
        pairing: Any = PAIRINGS[kind][rng.integers(len(PAIRINGS[kind]))]
        p = GraphParameters(alpha, beta, beta, n, r + 1, n_d, pairing)
        top = min(largest_gamma(p), alpha) if n_d else alpha
        gamma = float(beta + rng.uniform(0.7 if kind == "gap" else 0, 0.98) * (top - beta))
        transition = n * (alpha - beta) / np.sqrt(nodes)  # of the class modes
        epsilon = float(transition * np.exp(rng.uniform(np.log(0.25), np.log(1.5))))
        label_share = float(rng.uniform(0.2, 0.7))
        most = min(120.0, 0.7 * label_share * nodes * (1 - n_d / n if n_d < n else 1), nodes / 2)
        if most < r + 3:
            continue
        dims = sorted({round(float(np.exp(rng.uniform(np.log(r + 1), np.log(most))))) for _ in range(3)})
        seeds = int(np.clip((4 if kind == "gap" else 1) * NODES_DRAWN / nodes, 24, 60 if kind in SAMPLES else 600))
        correlated = float(rng.uniform(0.05, 0.9)) if kind == "correlated" else 0.0
        if kind == "channel":
            draws = round(nodes * float(np.exp(rng.uniform(np.log(0.5), np.log(30)))))
        if kind == "held":  # a channel whose data are all among the eigenvectors
            draws, dims = _held(replace(p, gamma=gamma), rng)
            if not draws or dims[-1] > 0.7 * label_share * nodes:
                continue
        epsilon = 0.0 if draws else epsilon
        found = Design(
            *(kind, number, pairing, alpha, beta, gamma, n, r + 1, n_d),
            *(epsilon, correlated, draws, tuple(dims), label_share, seeds),
        )
        try:
            synthetic(found.parameters, found.structure)
        except ParameterError:
            continue
        return found


def _held(p: GraphParameters, rng: np.random.Generator) -> tuple[int, list[int]]:
    """Draws, 1 to 40 % of the nodes themselves, and numbers k that hold them all; none if that is not predicted."""
    total = p.classes * ((p.n - p.n_d) * p.degrees.easy + p.n_d * p.degrees.difficult)
    draws = round(float(np.exp(rng.uniform(np.log(0.01), np.log(0.5))) * total / (1 - p.alpha)))
    try:
        found = drawn(p, draws)
    except ParameterError:
        return 0, []
    least = int(np.ceil(found.directions + 2 * found.spread)) + 1
    return (0 if p.classes * np.exp(-found.classes) > 0.05 else draws), [least, round(1.3 * least)]


def remedies(one: Design) -> tuple[str, ...]:
    """What is simulated besides the graph as it is."""
    if one.kind not in ("graph", "graded", "confusable", "imbalanced") or one.difficult == 0:
        return ("nothing",)
    return REMEDIES if one.difficult < one.samples_per_class else REMEDIES[:-1]


def measure(one: Design) -> list[dict[str, Any]]:
    """Accuracy of the probe by k and remedy: of all nodes without a label, the easy and the difficult ones."""
    world = synthetic(one.parameters, one.structure)
    every = np.arange(world.nodes)
    now, clean = (rows(every, every).astype(np.float64) for rows in (world.rows, world.clean_rows))
    difficult = world.difficult
    samples: dict[tuple[str, int], list[list[float]]] = {}
    for seed in range(one.seeds):
        drawn = one.noise.weights(world, seed).astype(np.float64)
        labelled = _split(world.labels, difficult, one.label_share, seed)
        for remedy in remedies(one):
            kept = ~difficult if remedy == "removal" else np.ones(world.nodes, dtype=bool)
            matrix, degrees = _treated(remedy, drawn, now, clean, kept, one.noise.own_degrees)
            _, vectors = eigh(matrix, subset_by_index=(len(matrix) - max(one.dims), len(matrix) - 1))
            rows = vectors[:, ::-1] / np.sqrt(degrees)[:, None]
            for dim in one.dims:
                right = _probe(rows[:, :dim], world.labels[kept], labelled[kept], one.kind == "logistic")
                test, hard = ~labelled[kept], difficult[kept]
                parts = (test, test & ~hard, test & hard)
                found = [float(right[part].mean()) if part.any() else np.nan for part in parts]
                samples.setdefault((remedy, dim), []).append(found)
    table = []
    for (remedy, dim), values in samples.items():
        row: dict[str, Any] = {**asdict(one), "dim": dim, "remedy": remedy}
        del row["dims"]
        for name, column in zip(PARTS, np.array(values).T, strict=True):
            known = not np.isnan(column).any()
            row[f"measured_{name}"] = float(column.mean()) if known else None
            row[f"error_{name}"] = float(column.std(ddof=1) / np.sqrt(len(column))) if known else None
        table.append(row)
    return table


def _split(labels: Array, difficult: Array, share: float, seed: int) -> Array:
    """The labelled nodes: the same share of the easy and of the difficult ones of every class."""
    rng = np.random.default_rng([seed, 2])
    chosen = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        for kind in (False, True):
            nodes = np.flatnonzero((labels == label) & (difficult == kind))
            chosen[rng.permutation(nodes)[: round(share * len(nodes))]] = True
    return chosen


def _treated(
    remedy: str, drawn: Array, now: Array, clean: Array, kept: Array, own_degrees: bool
) -> tuple[Array, Array]:
    """The normalised noisy matrix under a remedy, and the degrees of its rows."""
    population = clean if remedy == "clean" else now
    if remedy == "clean":
        drawn = drawn - now + clean
    degrees = drawn.sum(axis=1) if own_degrees else population[:, kept].sum(axis=1)
    degrees, drawn = degrees[kept], drawn[np.ix_(kept, kept)]
    matrix = drawn / np.sqrt(np.outer(degrees, degrees))
    if remedy in ("margin", "temperature_unweighted"):
        before = now / np.sqrt(np.outer(now.sum(axis=1), now.sum(axis=1)))
        after = clean / np.sqrt(np.outer(clean.sum(axis=1), clean.sum(axis=1)))
        matrix = matrix - (before - after) if remedy == "margin" else matrix * after / before
    return matrix, degrees


def _probe(rows: Array, labels: Array, labelled: Array, use_logistic: bool) -> Array:
    """Whether the probe's answer is right, for every node."""
    if use_logistic:
        return np.asarray(logistic(rows, labels, labelled) == labels)
    centred = rows - rows[labelled].mean(axis=0)
    one_hot = np.eye(labels.max() + 1)[labels]
    mean = one_hot[labelled].mean(axis=0)
    answer = centred @ np.linalg.lstsq(centred[labelled], one_hot[labelled] - mean, rcond=ROUNDING)[0] + mean
    return np.asarray(answer.argmax(axis=1) == labels)


def _finish(out: Path, one: Design) -> None:
    write_json(out / f"{one.kind}-{one.number:03d}.json", measure(one))


def main(argv: Sequence[str] | None = None, prog: str = "python -m benchmarks.prediction") -> int:
    """Entry point of ``python -m benchmarks.prediction``."""
    parser = Parser(prog, __doc__, "--out FOLDER [options]")
    parser.add_argument("--out", type=output, metavar="FOLDER", required=True, help="one file a graph; resumed")
    parser.add_argument("--kinds", nargs="+", choices=tuple(KINDS), default=list(KINDS), help="which graphs")
    parser.add_argument(
        "--publish", type=output, metavar="FILE", help="write all points, with their predictions, to this .csv"
    )
    add_workers(parser)
    return run(parser, _command, argv, resumable=True)


def _command(args: Namespace) -> None:
    designs = [design(kind, number) for kind in args.kinds for number in range(KINDS[kind])]
    files = [args.out / f"{one.kind}-{one.number:03d}.json" for one in designs]
    with workers(**chosen_workers(args), out=args.out) as pool:
        claim(args.out / "experiment.json", {"seed": SEED, "nodes": NODES_DRAWN}, _another)
        missing = [one for one, file in zip(designs, files, strict=True) if not file.exists()]
        sizes = [one.samples_per_class * one.classes for one in missing]
        pool.run(partial(_finish, args.out), missing, sizes, unit="node")
        measured = [json.loads(file.read_text(encoding="utf-8")) for file in files]
        rows = [row for found in pool.map(predicted, list(zip(designs, measured, strict=True))) for row in found]
    import pandas as pd

    text = pd.DataFrame(rows).to_csv(index=False, float_format="%.6g")
    if args.publish:
        write_text(args.publish, text)
    table = pd.read_csv(io.StringIO(text))  # so that the tables are those of the file
    print(markdown_table(HEADER, summary(table)))
    print()
    print(markdown_table(GAP_HEADER, gaps(table)))


def predicted(task: tuple[Design, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """The rows of ``measure`` with the accuracy that is predicted for each, None where there is no number."""
    one, rows = task
    world = synthetic(one.parameters, one.structure)
    labelled = _split(world.labels, world.difficult, one.label_share, 0)
    per_class = float(labelled.sum() / one.classes)
    noise = Noise("wigner", one.epsilon, one.correlated)
    errors = expected_errors(world, one.dims, noise, labelled, REMEDIES)
    found = []
    for row in rows:
        values: Sequence[float | None]
        if one.draws or one.kind == "logistic":
            values = _answered(one, row["dim"], per_class)
        else:
            values = [None if math.isnan(error) else 1 - error for error in errors[row["dim"]][row["remedy"]]]
        names = (f"predicted_{name}" for name in PARTS)
        found.append({**row, **dict(zip(names, values, strict=True))})
    return found


def _answered(one: Design, dim: int, labels: float) -> Sequence[float | None]:
    """The predictions that are not ``theory.simulate``'s: of sampled graphs, and of the logistic probe."""
    try:
        if one.kind == "logistic":
            return predict(one.parameters, one.epsilon, dim, labels, probe="logistic")
        return predict_sampled(one.parameters, one.noise, dim, labels)
    except ParameterError:
        return (None, None, None)


def summary(table: Any) -> list[list[str]]:
    """Lines of the table on docs/prediction.md: errors in points of accuracy, by kind of graph and remedy."""
    lines = []
    for (kind, remedy), rows in table.groupby(["kind", "remedy"], sort=False):
        known = rows.dropna(subset="predicted_all")
        if not len(known):
            continue
        off = 100 * (known.predicted_all - known.measured_all)
        numbers = (off.abs().median(), off.abs().quantile(0.95), off.abs().max(), off.mean())
        simulated = 100 * known.error_all.median()
        rank = known.predicted_all.rank().corr(known.measured_all.rank())
        lines.append(
            [
                *(kind, remedy.replace("_", " "), f"{known.number.nunique()}", f"{len(known)} of {len(rows)}"),
                *(f"{number:.2f}" for number in numbers),
                *(f"{simulated:.2f}", f"{rank:.4f}"),
            ]
        )
    return lines


def gaps(table: Any) -> list[list[str]]:
    """Lines of the table of the gap between easy and difficult nodes, in points, by kind of graph.

    The last column is the rank correlation that a perfect prediction would have, with the simulation's noise.
    """
    lines = []
    rng = np.random.default_rng(SEED)
    for kind, rows in table[table.remedy == "nothing"].groupby("kind", sort=False):
        known = rows.dropna(subset=["predicted_easy", "predicted_hard", "measured_easy", "measured_hard"])
        if len(known) < 10:
            continue
        found = known.predicted_easy - known.predicted_hard
        measured = known.measured_easy - known.measured_hard
        noise = np.hypot(known.error_easy, known.error_hard)
        perfect = [found.rank().corr((found + noise * rng.standard_normal(len(known))).rank()) for _ in range(DRAWS)]
        off = 100 * (found - measured)
        numbers = (100 * measured.median(), off.abs().median(), off.mean(), 100 * noise.median())
        ranks = (found.rank().corr(measured.rank()), np.mean(perfect))
        lines.append([str(kind), f"{len(known)}", *(f"{x:.2f}" for x in numbers), *(f"{x:.2f}" for x in ranks)])
    return lines


def _another(name: str, before: str, now: str) -> ParameterError:
    return ParameterError(f"the folder holds a run with {name} = {before}, not {now}: choose another")


if __name__ == "__main__":
    sys.exit(main())
