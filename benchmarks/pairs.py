"""Profiles 200,000 features of 40 classes, where 80 of 780 pairs are siblings with look-alikes: is the verdict right?

Run as ``python benchmarks/pairs.py [--rows N] [--width D] [--json FILE]``; twenty seconds on an idle core. An eighth of
each class of eight families of five lies part of the way to a sibling. The mean over all pairs of classes says that
there is no problem.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from argparse import Namespace
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # before this file's folder, whose theory.py is no package

import numpy as np

from benchmarks.theory import Rows, machine, print_table
from theory.checks import require_integer
from theory.command import Parser, output, run
from theory.files import write_json

SCHEMA = "difficult-examples/benchmark-pairs/1"
FAMILIES, SIBLINGS = 8, 5
SHARE, WAY = 0.12, (0.4, 0.6)  # look-alikes of each class, and how far they are on the way to a sibling
FAMILY, SPREAD = 0.5, 1.1  # length of what a family shares, where a class's own direction has 1; length of the noise
ROOT = Path(__file__).parents[1]
# VmHWM is the process's own peak; ru_maxrss of a child starts at its parent's.
PROFILE = """
import re, sys
from pathlib import Path
from empirical.profile.__main__ import main
assert main(sys.argv[1:]) == 0
print(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1], file=sys.stderr)
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    parser = Parser("python benchmarks/pairs.py", description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000, help="features in all (200000)")
    parser.add_argument("--width", type=int, default=256, help="dimension (256)")
    parser.add_argument("--json", type=output, help="write everything to this file")
    return run(parser, _command, argv)


def _command(args: Namespace) -> None:
    classes = FAMILIES * SIBLINGS
    require_integer("rows", args.rows, 20 * classes)
    require_integer("width", args.width, 2)
    document: dict[str, Any] = {"schema": SCHEMA, "rows": args.rows, "width": args.width, "machine": machine()}
    with TemporaryDirectory() as folder:
        plant(Path(folder), args.rows // classes, args.width)
        document |= profiled(Path(folder))
    document["targets"] = targets(document)
    print(document["verdict"])
    print_table(document["targets"])
    if args.json:
        write_json(args.json, document)


def plant(folder: Path, each: int, width: int, seed: int = 0) -> None:
    """Write features and labels: names such as ``family 3 class 2``."""
    generator = np.random.default_rng(seed)
    family = generator.standard_normal((FAMILIES, width)) / np.sqrt(width)
    own = generator.standard_normal((FAMILIES * SIBLINGS, width)) / np.sqrt(width)
    centres = FAMILY * np.repeat(family, SIBLINGS, axis=0) + own
    scales = 1 / np.sqrt(np.arange(1, width + 1))  # a spectrum that falls, as those of encoders do
    rotation = np.linalg.qr(generator.standard_normal((width, width)))[0]
    noise = SPREAD * scales[:, None] / np.linalg.norm(scales) * rotation
    shape = (FAMILIES * SIBLINGS * each, width)
    features = np.lib.format.open_memmap(folder / "features.npy", "w+", np.float32, shape)
    labels = []
    for c, centre in enumerate(centres):
        means = np.tile(centre, (each, 1))
        others = [o for o in range(c - c % SIBLINGS, c - c % SIBLINGS + SIBLINGS) if o != c]
        towards = centres[generator.choice(others, round(SHARE * each))]
        means[: len(towards)] += generator.uniform(*WAY, (len(towards), 1)) * (towards - centre)
        features[c * each : (c + 1) * each] = means + generator.standard_normal((each, width)) @ noise
        labels += [name(c)] * each
    features.flush()
    np.save(folder / "labels.npy", np.array(labels))


def name(c: int) -> str:
    """Of a class."""
    return f"family {c // SIBLINGS + 1} class {c % SIBLINGS + 1}"


def profiled(folder: Path) -> dict[str, Any]:
    """What the command says, its seconds and its peak memory in GiB."""
    options = ["--features", "features.npy", "--labels", "labels.npy", "--json", "--heatmap", "pairs.png"]
    started, before = perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    call = [sys.executable, "-c", PROFILE, *options, "--out", "profile.json"]
    done = subprocess.run(call, cwd=folder, env=environment, capture_output=True, text=True, check=True)
    seconds, after = perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    profile = json.loads(done.stdout)
    from empirical.profile.reading import severity, verdict
    from theory.plan import Profile, plan_from_profile

    loaded = Profile.load(folder / "profile.json")
    siblings = {
        frozenset(map(name, pair))
        for first in range(0, FAMILIES * SIBLINGS, SIBLINGS)
        for pair in combinations(range(first, first + SIBLINGS), 2)
    }
    flagged = {frozenset(pair["classes"]) for pair in profile["pairs"] if pair["flagged"]}
    severities = [pair["severity"] for pair in profile["pairs"] if frozenset(pair["classes"]) in siblings]
    return {
        "seconds": seconds,
        "core_seconds": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "peak_gib": int(done.stderr.split()[-1]) / 2**20,
        "siblings": len(siblings),
        "found": len(flagged & siblings),
        "others_flagged": len(flagged - siblings),
        "mean_severity": mean(severities),
        "severity_over_all_pairs": severity(loaded.spaces["encoder"]).value,
        "overlap": profile["overlap"],
        "verdict": verdict(loaded, plan_from_profile(loaded)),
    }


def targets(document: dict[str, Any]) -> Rows:
    """What the project promises, beside what was measured."""
    rows = [
        ("share of the sibling pairs that are named", document["found"] / document["siblings"], ">=", 0.9),
        ("other pairs named", document["others_flagged"], "<=", 4),  # 5 % of what is named
        ("seconds of processor time, one thread", document["core_seconds"], "<=", 60),
        ("peak memory, GiB", document["peak_gib"], "<=", 3),
    ]
    return [
        {
            "target": target,
            "measured": value,
            "limit": f"{sign} {limit:g}",
            "met": value <= limit if sign == "<=" else value >= limit,
        }
        for target, value, sign, limit in rows
    ]


if __name__ == "__main__":
    raise SystemExit(main())
