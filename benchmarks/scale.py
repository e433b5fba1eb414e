"""How long ``difficult difficulty`` takes on very many features, and how much memory; which planted pairs it finds.

Run as ``python benchmarks/scale.py [--samples N] [--dim D] [--classes C] [--json FILE]``; a million take about ten
minutes of two cores, 5 GiB of memory and 3 GiB of disk (``TMPDIR``).
"""

from __future__ import annotations

import os
import subprocess
import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", str(os.cpu_count()))  # the command has the whole machine
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # before this file's folder, whose theory.py is no package

import numpy as np
from numpy.typing import NDArray

from benchmarks.theory import machine, print_table
from theory.command import Parser, output, run
from theory.files import read_json, write_json

SCHEMA = "difficult-examples/benchmark-scale/1"
HIDDEN = 32  # dimensions in which the features vary, the first ones most
PLANTED = 200  # pairs of different classes that are almost the same
BLOCK = 65_536
# Its own peak, not that of the process that starts it.
CHILD = """
import sys, resource
from empirical.difficulty.__main__ import main
code = main(sys.argv[2:])
used = resource.getrusage(resource.RUSAGE_SELF)
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
open(sys.argv[1], "w").write(f"{used.ru_utime + used.ru_stime} {int(peak.split()[1]) / 2**20}")
raise SystemExit(code)
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    parser = Parser("python benchmarks/scale.py", description=__doc__)
    parser.add_argument("--samples", type=int, default=1_000_000)
    parser.add_argument("--dim", type=int, default=256)
    parser.add_argument("--classes", type=int, default=100)
    parser.add_argument("--json", type=output, help="write everything to this file")
    return run(parser, _command, argv)


def _command(args: Namespace) -> None:
    document: dict[str, Any] = {"schema": SCHEMA, "machine": machine()}
    with TemporaryDirectory() as folder:
        document["rows"] = [measure(Path(folder), args.samples, args.dim, args.classes)]
    print_table(document["rows"])
    if args.json:
        write_json(args.json, document)


def world(path: Path, samples: int, dim: int, classes: int, seed: int = 0) -> tuple[NDArray[Any], NDArray[Any]]:
    """Write features as an encoder's are (rectified, of few effective dimensions); labels and planted pairs."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, classes, samples)
    means = generator.standard_normal((classes, HIDDEN))
    mixing = (generator.standard_normal((HIDDEN, dim)) / np.sqrt(HIDDEN)).astype(np.float32)
    spread = (1 / np.sqrt(1 + np.arange(HIDDEN))).astype(np.float32)
    features = np.lib.format.open_memmap(path, "w+", np.float32, (samples, dim))
    for start in range(0, samples, BLOCK):
        own = labels[start : start + BLOCK]
        hidden = (0.7 * means[own] + generator.standard_normal((len(own), HIDDEN))).astype(np.float32) * spread
        noise = generator.standard_normal((len(own), dim), dtype=np.float32)
        features[start : start + BLOCK] = np.maximum(hidden @ mixing + 0.2, 0) + 0.05 * noise
    planted = generator.choice(samples, (2 * PLANTED, 2), replace=False)
    planted = np.sort(planted[labels[planted[:, 0]] != labels[planted[:, 1]]][:PLANTED], axis=1)
    for first, second in planted:
        features[second] = features[first] + 0.01 * generator.standard_normal(dim)
    features.flush()
    return labels, planted


def measure(folder: Path, samples: int, dim: int, classes: int) -> dict[str, Any]:
    """One run of the command."""
    labels, planted = world(folder / "features.npy", samples, dim, classes)
    np.save(folder / "labels.npy", labels)
    sources = ["--features", str(folder / "features.npy"), "--labels", str(folder / "labels.npy")]
    arguments = [*sources, "--pairs", str(PLANTED), "--out", str(folder / "out")]
    started = perf_counter()
    subprocess.run([sys.executable, "-c", CHILD, str(folder / "used"), *arguments], check=True)
    wall = perf_counter() - started
    processor, peak = map(float, (folder / "used").read_text().split())
    pairs = np.loadtxt(folder / "out" / "pairs.csv", delimiter=",", skiprows=1, usecols=(0, 1), dtype=np.int64)
    found = {tuple(sorted(pair)) for pair in pairs.tolist()} & {tuple(pair) for pair in planted.tolist()}
    search = read_json(folder / "out" / "summary.json")["search"] or {"cells": None, "searched": None, "recall": None}
    return {
        "samples": samples,
        "dim": dim,
        "classes": classes,
        "seconds": wall,
        "processor seconds": processor,
        "peak GiB": peak,
        **search,
        "planted pairs found": len(found) / len(planted),
        "load average": os.getloadavg()[1],
    }


if __name__ == "__main__":
    raise SystemExit(main())
