"""Closed forms against dense and iterative eigensolvers, and the package's own targets.

Run as ``python benchmarks/theory.py [--quick] [--json FILE]``; quick takes below 50 seconds on two cores.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import timeit
import tracemalloc
from argparse import Namespace
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # everything on one core
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # before this file's folder: it is no package "theory"

import networkx as nx
import numpy as np
from scipy.sparse.linalg import eigsh

from theory.bounds import error_bounds
from theory.command import Parser, output, run
from theory.files import write_json
from theory.graph import SimilarityGraph
from theory.kinds import PAIRINGS
from theory.params import GraphParameters
from theory.spectrum import Mode, spectrum
from theory.sweep import NAMES, evaluate

ROOT = Path(__file__).resolve().parents[1]
SCHEMA = "difficult-examples/benchmark-theory/1"
Rows = list[dict[str, Any]]


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    parser = Parser("python benchmarks/theory.py", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smaller graphs and fewer repetitions")
    parser.add_argument("--json", type=output, help="write everything to this file")
    return run(parser, _command, argv)


def _command(args: Namespace) -> None:
    start = perf_counter()
    document: dict[str, Any] = {"schema": SCHEMA, "quick": args.quick, "machine": machine()}
    print("  ".join(f"{name}: {value}" for name, value in document["machine"].items()))
    for title, measure in (
        ("Full spectrum against dense eigensolvers", dense_solvers),
        ("Largest eigenvalues against scipy's eigsh on the LinearOperator", iterative_solver),
        ("Parameter points", parameter_points),
        ("LinearOperator", linear_operator),
        ("Start-up, median", start_up),
    ):
        rows = measure(args.quick)
        document[measure.__name__] = rows
        print(f"\n{title}")
        print_table(rows)
    document["targets"] = targets(document)
    print("\nTargets")
    print_table(document["targets"])
    print(f"\n{perf_counter() - start:.0f} s")
    if args.json:
        write_json(args.json, document)


# --- measurements ----------------------------------------------------------------------------------


def dense_solvers(quick: bool) -> Rows:
    """Time and accuracy of the closed forms and of numpy's and networkx's dense solvers on one graph."""
    rows = []
    for nodes in (1000, 2000) if quick else (1000, 2000, 4000):
        p = graph(nodes)
        modes, closed = spectrum(p), best_seconds(partial(spectrum, p))
        exact = np.repeat([mode.eigenvalue for mode in modes], [mode.multiplicity for mode in modes])
        matrix = SimilarityGraph(p).normalized_adjacency()
        solvers: dict[str, Callable[[], Any]] = {"numpy eigvalsh": partial(np.linalg.eigvalsh, matrix)}
        if nodes <= (1000 if quick else 2000):  # a gigabyte of edges at 2000 nodes
            network = nx.from_numpy_array(SimilarityGraph(p).weights())  # the diagonal becomes self-loops
            solvers["networkx"] = partial(nx.normalized_laplacian_spectrum, network)  # 1 - λ
        for name, solve in solvers.items():
            started = perf_counter()
            found = solve()
            seconds = perf_counter() - started
            expected = 1 - exact if name == "networkx" else exact[::-1]
            rows.append(
                {
                    "solver": name,
                    "N": nodes,
                    "seconds": seconds,
                    "closed form, s": closed,
                    "ratio": seconds / closed,
                    "largest difference": float(np.abs(np.sort(found) - expected).max()),
                }
            )
    return rows


def iterative_solver(quick: bool) -> Rows:
    """Eigsh with its default subspace from random starts: time, and the copies of multiple eigenvalues it drops."""
    sizes = {1000: 3, 10_000: 3, 100_000: 3, 1_000_000: 1} if quick else dict.fromkeys((10**3, 10**4, 10**5, 10**6), 5)
    rows = []
    for nodes, seeds in sizes.items():
        p = graph(nodes)
        modes, closed = spectrum(p), best_seconds(partial(spectrum, p))
        operator = SimilarityGraph(p).linear_operator()
        for count in (20,) if quick and nodes == 1_000_000 else (20, 32):
            exact = np.repeat([m.eigenvalue for m in modes], [min(m.multiplicity, count) for m in modes])[:count]
            times, errors, dropped = [], [], []
            for seed in range(seeds):
                v0 = np.random.default_rng(seed).standard_normal(nodes)
                started = perf_counter()
                found = eigsh(operator, k=count, which="LA", v0=v0, return_eigenvectors=False)
                times.append(perf_counter() - started)
                errors.append(float(np.abs(np.sort(found)[::-1] - exact).max()))
                dropped.append(dropped_copies(modes, exact, found))
            rows.append(
                {
                    "N": nodes,
                    "eigenvalues": count,
                    "seconds": median(times),
                    "ratio": median(times) / closed,
                    "seeds": seeds,
                    "of these wrong": sum(copies > 0 for copies, _ in dropped),
                    "largest difference": max(errors),
                    "copies dropped": max(dropped)[0],
                    "found": max(dropped)[1],
                }
            )
    return rows


def dropped_copies(modes: Sequence[Mode], exact: Any, found: Any) -> tuple[int, str]:
    """How many copies of the ``exact`` eigenvalues were not ``found``, and of which modes ("bridge 8 of 10")."""
    eigenvalues = np.array([mode.eigenvalue for mode in modes])

    def copies(values: Any) -> Any:
        nearest = np.abs(values[:, None] - eigenvalues).argmin(axis=1)
        return np.bincount(nearest, minlength=len(modes))

    missing = [
        (total - some, f"{mode.mode} {some} of {total}")
        for mode, some, total in zip(modes, copies(found), copies(exact), strict=True)
        if some < total
    ]
    return int(sum(count for count, _ in missing)), ", ".join(text for _, text in missing)


def parameter_points(quick: bool) -> Rows:
    """One point with plain numbers, and a million in one call; both with all eigenvalues and bounds."""
    rows = []
    for pairing in PAIRINGS:
        p = GraphParameters(0.5, 0.05, 0.2 if pairing == "matched" else 0.051, 5000, 10, 400, pairing)
        rows += [
            {"what": "one point", "pairing": pairing, "seconds": best_seconds(partial(error_bounds, p, 128, 0.01))},
            {
                "what": "one point, parameters checked",
                "pairing": pairing,
                "seconds": best_seconds(partial(checked_point, **p.as_dict())),
            },
        ]
        points = random_points(1_000_000, pairing)
        times, cores = [], []
        for _ in range(3 if quick else 7):
            wall, processor = perf_counter(), process_time()
            table = evaluate(**points, pairing=pairing)
            times.append(perf_counter() - wall)
            cores.append((process_time() - processor) / times[-1])
        rows.append(
            {
                "what": "a million points",
                "pairing": pairing,
                "seconds": median(times),
                "cores": max(cores),
                "largest difference": difference_to_scalar(points, table, pairing, 500 if quick else 5000),
            }
        )
    return rows


def checked_point(**fields: Any) -> Any:
    """The bounds from plain numbers."""
    return error_bounds(GraphParameters(**fields), 128, 0.01)


def difference_to_scalar(points: dict[str, Any], table: dict[str, Any], pairing: Any, sample: int) -> float:
    """Largest difference of bounds and eigenvalues to ``error_bounds`` on a sample of the points."""
    differences = []
    for i in np.random.default_rng(1).integers(points["alpha"].size, size=sample):
        values = {name: points[name][i].item() for name in NAMES}
        dim, delta = values.pop("dim"), values.pop("delta")
        for name, bound in error_bounds(GraphParameters(**values, pairing=pairing), dim, delta).items():
            numbers = bound.to_json()
            del numbers["source"]
            for field, value in numbers.items():
                found = table[f"{name}.{field}"][i].item()
                differences.append(float(not np.isnan(found)) if value is None else abs(found - value))
    return float(np.max(differences))


def linear_operator(quick: bool) -> Rows:
    """Time and additional memory of one product with the normalised adjacency."""
    rows = []
    for nodes in (10_000, 100_000, 1_000_000):
        operator = SimilarityGraph(graph(nodes)).linear_operator()
        vector = np.random.default_rng(0).standard_normal(nodes)
        times = timeit.repeat(partial(operator.matvec, vector), number=1, repeat=30)
        tracemalloc.start()
        operator.matvec(vector)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        rows.append({"N": nodes, "seconds": median(times), "peak bytes": peak, "bytes per node": peak / nodes})
    return rows


def start_up(quick: bool) -> Rows:
    """The bounds command against an interpreter that imports numpy, in turns."""
    commands = {
        "python -c 'import numpy'": ["-c", "import numpy"],
        "python -m theory.bounds": ["-m", "theory.bounds", "--alpha", ".5", "--beta", ".05", "--gamma", ".2"],
    }
    times: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(9 if quick else 25):
        for name, command in commands.items():
            started = perf_counter()
            subprocess.run([sys.executable, *command], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
            times[name].append(perf_counter() - started)
    return [{"command": name, "seconds": median(values)} for name, values in times.items()]


def targets(document: dict[str, Any]) -> Rows:
    """What the package promises, beside what was measured."""
    dense, points = document["dense_solvers"], document["parameter_points"]
    numpy_start, bounds_start = (row["seconds"] for row in document["start_up"])
    ratio = min(row["ratio"] for row in dense if row["N"] == 2000)
    operator = document["linear_operator"]

    def slowest(what: str) -> float:
        return max(float(row["seconds"]) for row in points if row["what"] == what)

    growth = operator[-1]["bytes per node"] / operator[0]["bytes per node"]
    rows = [
        ("closed forms against dense", max(row["largest difference"] for row in dense), "<=", 1e-12),
        ("ratio to dense at N = 2000", ratio, ">=", 10_000),
        ("a million points, s", slowest("a million points"), "<=", 2),
        ("one point, µs", 1e6 * slowest("one point"), "<=", 20),
        ("product at N = 1e6, ms", 1e3 * operator[-1]["seconds"], "<=", 10),
        ("its memory per node, N = 1e6 over 1e4", growth, "<=", 1.1),
        ("start-up over numpy's", bounds_start / numpy_start, "<=", 1.5),
    ]
    return [
        {
            "target": name,
            "measured": value,
            "limit": f"{sign} {limit:g}",
            "met": value <= limit if sign == "<=" else value >= limit,
        }
        for name, value, sign, limit in rows
    ]


# --- helpers ---------------------------------------------------------------------------------------


def graph(nodes: int) -> GraphParameters:
    """Ten classes, 8 % difficult."""
    return GraphParameters(0.5, 0.05, 0.2, nodes // 10, 10, round(0.08 * nodes / 10), "matched")


def random_points(count: int, pairing: str) -> dict[str, Any]:
    """Positive semidefinite graphs of all sizes, with and without difficult and easy samples."""
    rng = np.random.default_rng(0)
    n, classes = rng.integers(2, 5000, count), rng.integers(2, 100, count)
    difficult = np.where(rng.random(count) < 0.1, rng.choice([0, 1], count) * n, rng.integers(0, n + 1))
    alpha = rng.uniform(0.1, 0.9, count)
    beta = alpha * rng.uniform(0, 0.9, count)
    neighbours = 1 if pairing == "matched" else np.maximum(difficult, 1)
    gamma = beta + rng.uniform(0, 0.9, count) * np.minimum(alpha - beta, (1 - alpha) / neighbours)
    dim = rng.integers(1, np.where(rng.random(count) < 0.5, 2, n) * classes)  # half of them near the class modes
    delta = rng.uniform(0, 0.2, count)
    return dict(zip(NAMES, (alpha, beta, gamma, n, classes, difficult, dim, delta), strict=True))


def best_seconds(function: Callable[[], Any]) -> float:
    """The best of many short batches: what the code needs when nothing else runs."""
    return min(timeit.repeat(function, number=100, repeat=200)) / 100


def machine() -> dict[str, Any]:
    """Processor, versions, date and commit."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True)
    return {
        "processor": models[0] if models else platform.processor(),
        "cores": os.cpu_count(),
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS"),
        "system": platform.platform(),
        "python": platform.python_version(),
        **{package: version(package) for package in ("numpy", "scipy", "networkx")},
        "commit": commit.stdout.strip() or None,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def print_table(rows: Rows) -> None:
    """Rows of a table with the union of their columns."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    lines = [columns, *([_cell(row.get(name)) for name in columns] for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
    for line in lines:
        print("  " + "  ".join(f"{cell:>{width}}" for cell, width in zip(line, widths, strict=True)))


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "NO"
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 1e3 else f"{value:,.0f}"
    return "" if value is None else f"{value:,}" if isinstance(value, int) else str(value)


if __name__ == "__main__":
    raise SystemExit(main())
