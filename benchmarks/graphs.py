"""Arms on graphs, by the settings of ADNCE's authors: MUTAG, PROTEINS, IMDB-BINARY, NCI1 without isomorphic copies.

Run as ``python benchmarks/graphs.py --folder FOLDER --out runs/graphs --jobs 2 [--csv results/graphs.csv]
[--levels results/graphs_levels.csv]``, where FOLDER has the data sets in raw format, as folders or .zip. The same
command goes on where it stood.
"""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # before this file's folder, whose theory.py is no package

import pandas as pd

from benchmarks.tables import put_rows
from empirical.compare.experiment import compare
from empirical.compare.presets import Experiment
from empirical.compare.results import PRIMARY, read_condition
from empirical.graphs import read_graphs
from empirical.runs import PILOT
from empirical.statistics import mean_interval
from empirical.train.settings import usual
from theory.checks import require_known
from theory.command import Parser, add_workers, chosen_workers, markdown_table, output, run
from theory.plan import Estimate

ARMS = (
    *("baseline", "margin", "temperature", "combined", "combined_random", "pair_removal", "sample_removal"),
    *("random_removal", "debiased", "hcl", "mochi", "adnce", "adnce_graph", "equal_radius", "spectral", "oracle"),
)
SEEDS, EPOCHS, BATCH = 5, 20, 128  # the authors'
UNTRAINED = "untrained"
PARTS = ("easy", "mixed", "difficult")


@dataclass(frozen=True)
class Authors:
    """What junkangwu/ADNCE, graph/, sets for one data set: the second view, nodes' features, τ, μ; σ = 1."""

    file: str
    view: str
    nodes: str
    tau: float
    mu: float


DATA = {
    "MUTAG": Authors("MUTAG", "random2", "labels", 0.15, 0.7),
    "PROTEINS": Authors("PROTEINS", "random4", "labels", 0.05, 1.5),
    "IMDB-BINARY": Authors("IMDB-BINARY", "random2", "constant", 0.55, 0.7),
    "NCI1": Authors("NCI1_cleaned", "random3", "labels", 0.05, 0.7),
}
PUBLISHED = {  # mean and deviation of five runs; in the order of DATA; sources in docs/graphs.md
    "GraphCL": ((86.80, 1.34), (74.39, 0.45), (71.14, 0.44), (77.87, 0.41)),
    "InfoGraph": ((89.01, 1.13), (74.44, 0.31), (73.03, 0.87), (76.20, 1.06)),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    parser = Parser("python benchmarks/graphs.py", description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="of the data sets")
    parser.add_argument("--only", metavar="NAME", help=f"one of {', '.join(DATA)} (all)")
    parser.add_argument("--out", type=output, metavar="FOLDER", required=True, help="folder of the runs")
    parser.add_argument("--csv", type=output, metavar="FILE", help="put the accuracies into this table")
    parser.add_argument("--levels", type=output, metavar="FILE", help="put what was profiled into this table")
    add_workers(parser)
    return run(parser, _command, argv, resumable=True)


def _command(args: Namespace) -> None:
    if args.only is not None:
        require_known("only", args.only, DATA)
    tables, profiled = [], []
    for name in [args.only] if args.only else DATA:
        compare(experiment(name, args.folder), args.out / name, **chosen_workers(args))
        found = pd.read_csv(args.out / name / "results.csv")
        found = found[found.arm.isin([*ARMS, UNTRAINED])]
        tables.append(found.assign(data=name)[["data", "arm", "seed", PRIMARY, "seconds"]])
        profiled += levels(name, args.out / name)
    table = pd.concat(tables).rename(columns={PRIMARY: "accuracy"}).round({"accuracy": 6, "seconds": 2})
    found = pd.DataFrame(profiled)
    print(summary(table))
    print(level_table(found))
    if args.csv:
        put_rows(args.csv, table, ["data", "arm", "seed"])
    if args.levels:
        put_rows(args.levels, found, ["data", "encoder"])


def experiment(name: str, folder: Path) -> Experiment:
    """All arms on a data set, for as many steps as the authors take: our epochs leave out a last, smaller batch."""
    authors = DATA[name]
    place = folder / authors.file
    source = f"tu:{place if place.is_dir() else place.with_suffix('.zip')}"
    count = len(read_graphs(source.removeprefix("tu:"), authors.nodes).labels)
    epochs = round(EPOCHS * -(-count // BATCH) / (count // BATCH))
    base = replace(
        usual("graphs"),
        modality_options=f"first=original,second={authors.view},nodes={authors.nodes}",
        data=source,
        batch=BATCH,
        epochs=epochs,
        tau=authors.tau,
        adnce_mu=authors.mu,
        adnce_sigma=1.0,
    )
    return Experiment(base=base, arms=ARMS, seeds=SEEDS)


def levels(name: str, out: Path) -> list[dict[str, Any]]:
    """The six levels, the severest pair of classes and the predicted accuracy, untrained and after the pilot run."""
    condition = read_condition(out, 0.0)
    rows = []
    for encoder in (UNTRAINED, PILOT):
        profile, plan = condition.profiles[encoder], condition.plans[encoder]
        space, probe, worst = profile.spaces["encoder"], profile.predicted_probe, profile.pairs[0]
        row: dict[str, Any] = {"data": name, "encoder": encoder}
        for side in ("within", "across"):
            triple = getattr(space, side)
            row |= {f"{side}_{part}": getattr(triple, part).value for part in PARTS}
        row |= _estimate("gap", space.gap) | {"epsilon": space.epsilon.value}
        row |= {"severity": worst.severity, "severity_low": worst.interval[0], "severity_high": worst.interval[1]}
        row |= _estimate("predicted", probe.accuracy if probe is not None else None)
        rows.append(row | {"band_high": plan.pos_high, "band_low": plan.pos_low})
    return rows


def _estimate(name: str, found: Estimate | None) -> dict[str, float | None]:
    parts = (None, None, None) if found is None else (found.value, found.low, found.high)
    return dict(zip((name, f"{name}_low", f"{name}_high"), parts, strict=True))


def level_table(rows: pd.DataFrame) -> str:
    """``levels`` as a table: similarities are cosines, accuracies %."""
    lines = []
    by = rows.set_index(["data", "encoder"], drop=False)
    for key in [(name, encoder) for name in DATA for encoder in (UNTRAINED, PILOT) if (name, encoder) in by.index]:
        row = by.loc[key]
        cosines = [f"{row[f'{side}_{part}']:.2f}" for side in ("within", "across") for part in PARTS]
        gap = f"{row['gap']:+.2f} [{row['gap_low']:.2f}, {row['gap_high']:.2f}]"
        severity = f"{row['severity']:.2f} [{row['severity_low']:.2f}, {row['severity_high']:.2f}]"
        accuracy = [100 * row[name] for name in ("predicted", "predicted_low", "predicted_high")]
        predicted = "—" if pd.isna(row["predicted"]) else "{:.1f} [{:.1f}, {:.1f}]".format(*accuracy)
        band = f"{100 * row['band_high']:.1f}–{100 * row['band_low']:.1f}"
        lines.append([row["data"], row["encoder"], *cosines, gap, f"{row['epsilon']:.2f}", severity, predicted, band])
    header = ["data", "encoder", *(f"{side} {pair}" for side in ("within", "across") for pair in ("EE", "ED", "DD"))]
    return markdown_table([*header, "γ̂ − β̂", "ε̂", "severity", "predicted, %", "band, %"], lines)


def summary(table: pd.DataFrame) -> str:
    """Accuracies, %: mean ± standard deviation over seeds, with the 95 % interval of the difference to the baseline."""
    by = table.set_index(["data", "arm", "seed"]).accuracy
    rows = [
        [f"{key}, published", *(f"{mean:.1f} ± {deviation:.1f}" for mean, deviation in values)]
        for key, values in PUBLISHED.items()
    ]

    def cell(name: str, arm: str) -> str:
        if (name, arm) not in by.index.droplevel("seed"):
            return "—"
        values = 100 * by[name, arm]
        text = f"{values.mean():.1f} ± {values.std(ddof=0):.1f}"
        if arm in ("baseline", UNTRAINED):
            return text
        change = mean_interval((values - 100 * by[name, "baseline"]).dropna().tolist())
        return f"{text} ({change.value:+.1f} [{change.low:.1f}, {change.high:.1f}])"

    rows += [[f"`{arm}`", *(cell(name, arm) for name in DATA)] for arm in (UNTRAINED, *ARMS)]
    return markdown_table(["", *DATA], rows)


if __name__ == "__main__":
    raise SystemExit(main())
