"""The predicted accuracy of a probe: its time beside the probe's, its error on mixed images, its interval's coverage.

Run as ``python benchmarks/features.py [--quick] [--json FILE]``; all of it takes about ten minutes on one core.
"""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import mean, median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any
from warnings import catch_warnings, simplefilter

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # before this file's folder, whose theory.py is no package

import numpy as np
from numpy.typing import NDArray

from benchmarks.theory import Rows, machine, print_table
from empirical.compare.presets import PRESETS
from empirical.encoders import extract
from empirical.evaluate.probes import linear_probe
from empirical.prediction import predict
from empirical.train.loop import train
from theory.command import Parser, output, run
from theory.files import write_json

SCHEMA = "difficult-examples/benchmark-prediction/1"
VERSIONS: dict[str, dict[str, Any]] = {
    "pooled": {"covariance": "pooled"},
    "own": {},
    "two parts": {"components": 2},
}
SHARES = (0.0, 0.2, 0.4)  # of mixed images
PARTS = 5  # of the cross-validation that measures the probe
Array = NDArray[np.float64]


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    parser = Parser("python benchmarks/features.py", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one seed and few repetitions")
    parser.add_argument("--json", type=output, help="write everything to this file")
    return run(parser, _command, argv)


def _command(args: Namespace) -> None:
    document: dict[str, Any] = {"schema": SCHEMA, "quick": args.quick, "machine": machine()}
    print("  ".join(f"{name}: {value}" for name, value in document["machine"].items()))
    for title, measure in (
        ("Seconds on 5,000 × 512 features of 10 classes, median", speed),
        ("Digits with mixed images: accuracy of the probe in cross-validation, and predicted", mixed),
        ("Share of 95 % intervals that hold the accuracy of a probe on Gaussian features", coverage),
    ):
        rows = measure(args.quick)
        document[measure.__name__] = rows
        print(f"\n{title}")
        print_table(rows)
    document["mixed_errors"] = errors(document["mixed"])
    print("\nMean error, points")
    print_table(document["mixed_errors"])
    document["targets"] = targets(document)
    print("\nTargets")
    print_table(document["targets"])
    if args.json:
        write_json(args.json, document)


# --- measurements ----------------------------------------------------------------------------------


def speed(quick: bool) -> Rows:
    """The probe and the predictions, in turns, on ReLU features of overlapping Gaussian classes."""
    generator = np.random.default_rng(0)
    labels = np.arange(5_000) % 10
    points = generator.standard_normal((10, 256))[labels] * 0.2 + generator.standard_normal((5_000, 256))
    # Positive in the mean and of very different variance by direction, as an encoder's are.
    mixing = generator.standard_normal((256, 512)) / np.arange(1, 257)[:, None]
    features = np.maximum(points @ mixing + 0.5, 0).astype(np.float32)
    half = slice(0, 500)
    calls: dict[str, Callable[[], Any]] = {
        "probe": partial(linear_probe, features, labels, features[half], labels[half], c=1.0),
        **{name: partial(predict, features, labels, **version) for name, version in VERSIONS.items()},
    }
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(3 if quick else 9):
        for name, call in calls.items():
            started = perf_counter()
            with catch_warnings():
                simplefilter("ignore")  # of the steps that L-BFGS may take
                call()
            times[name].append(perf_counter() - started)
    probe = median(times["probe"])
    return [{"what": n, "seconds": median(t), "share of the probe's": median(t) / probe} for n, t in times.items()]


def mixed(quick: bool) -> Rows:
    """Features of mixed digits: what is predicted from all of them, and a probe in cross-validation."""
    rows = []
    for omega in SHARES:
        for seed in (0,) if quick else (0, 1, 2):
            for name, features, labels in feature_sets(omega, seed):
                accuracy = cross_validated(features, labels)
                row: dict[str, Any] = {"ω": omega, "seed": seed, "features": name, "measured": accuracy}
                share = (PARTS - 1) / PARTS  # of the labels, as the measured probe has them
                few = round(share * len(labels) / 10)
                for version, settings in VERSIONS.items():
                    row[version] = predict(features, labels, few, **settings).accuracy
                rows.append(row)
    return rows


def feature_sets(omega: float, seed: int) -> Iterator[tuple[str, Any, Any]]:
    """Names, features and labels of the digits' training images with a share ω of them mixed."""
    settings = replace(PRESETS["digits-demo"].base, omega=omega, seed=seed)
    images = settings.data_set()
    labels, x = images.y_train.numpy(), images.x_train
    if seed == 0:  # pixels have none
        yield "pixels", (x.flatten(1).float() / 255).numpy(), labels
    channels, height, width = x.shape[1:]
    with TemporaryDirectory() as folder:
        networks = {
            "untrained": settings.network(channels, height, width).eval(),
            "trained": train(settings, Path(folder)).eval(),
        }
    for name, network in networks.items():
        for space, found in zip(("encoder", "projector"), extract(network, x), strict=True):
            yield f"{name} {space}", found.numpy(), labels


def cross_validated(features: Any, labels: Any) -> float:
    """Mean accuracy of the probe over random fifths."""
    fold = np.random.default_rng(0).permutation(len(labels)) % PARTS
    found = []
    for k in range(PARTS):
        kept = fold != k
        found.append(linear_probe(features[kept], labels[kept], features[~kept], labels[~kept], c=1.0))
    return mean(found)


def errors(rows: Rows) -> Rows:
    """Mean absolute and mean error of each version, by ω."""
    table = []
    for omega in SHARES:
        chosen = [row for row in rows if row["ω"] == omega]
        row: dict[str, Any] = {"ω": omega, "sets": len(chosen)}
        for version in VERSIONS:
            differences = [100 * (r[version] - r["measured"]) for r in chosen]
            row[f"{version}, absolute"] = mean(map(abs, differences))
            row[f"{version}, signed"] = mean(differences)
        table.append(row)
    return table


WORLDS = (  # classes, dimensions, samples of each class, distance, how far the classes' spreads differ
    (5, 20, (60,) * 5, 3.0, 0.0),
    (5, 20, (60,) * 5, 3.0, 0.4),
    (5, 120, (60,) * 5, 4.0, 0.0),
    (5, 20, (20, 40, 60, 90, 150), 3.0, 0.0),
    (2, 10, (50, 50), 1.5, 0.0),
)


def coverage(quick: bool) -> Rows:
    """How often the interval holds the mean accuracy of discriminant analysis on fresh samples of the same world."""
    rows = []
    for classes, dimensions, sizes, distance, unequal in WORLDS:
        generator = np.random.default_rng(1)
        means = generator.standard_normal((classes, dimensions)) * distance / np.sqrt(2 * dimensions)
        spreads = 1 + unequal * (np.arange(classes) % 3 - 1)
        draw = partial(sampled, means, spreads, generator=generator)
        test = draw([round(20_000 * n / sum(sizes)) for n in sizes])
        truth = mean(discriminant(*draw(sizes), *test) for _ in range(10 if quick else 40))
        found = [predict(*draw(sizes)) for _ in range(20 if quick else 200)]
        values = [p.accuracy for p in found if p.accuracy is not None]
        held = [p.low <= truth <= p.high for p in found if p.low is not None and p.high is not None]
        row = {"classes": classes, "d": dimensions, "samples": sum(sizes), "unequal": unequal, "κ": found[0].kappa}
        rows.append({**row, "accuracy": truth, "predicted": mean(values), "coverage": mean(held)})
    return rows


def sampled(means: Array, spreads: Array, sizes: Sequence[int], generator: np.random.Generator) -> tuple[Array, Any]:
    """Gaussian features and their labels."""
    labels = np.repeat(np.arange(len(sizes)), sizes)
    noise = generator.standard_normal((len(labels), means.shape[1]))
    return means[labels] + spreads[labels][:, None] * noise, labels


def discriminant(x: Array, labels: Any, test: Array, test_labels: Any) -> float:
    """Test accuracy of linear discriminant analysis with the probe's ridge."""
    classes, sizes = int(labels.max()) + 1, np.bincount(labels)
    centre, scale = x.mean(axis=0), x.std(axis=0)
    x, test = (x - centre) / scale, (test - centre) / scale
    means = np.stack([x[labels == c].mean(axis=0) for c in range(classes)])
    freedom = len(x) - classes
    within = (x - means[labels]).T @ (x - means[labels]) / freedom + classes / freedom * np.eye(x.shape[1])
    weights = np.linalg.solve(within, means.T)
    bias = np.log(sizes / len(x)) - (means * weights.T).sum(axis=1) / 2
    return float(((test @ weights + bias).argmax(axis=1) == test_labels).mean())


def targets(document: dict[str, Any]) -> Rows:
    """What the project promises, beside what was measured."""
    share = next(row["share of the probe's"] for row in document["speed"] if row["what"] == "pooled")
    worst = document["mixed_errors"][-1]
    rows = [
        ("pooled covariance over the probe's time", share, "<=", 0.2),
        ("mixed images, ω = .4: error of two parts, points", worst["two parts, absolute"], "<=", 3.0),
        ("least coverage of 95 % intervals", min(row["coverage"] for row in document["coverage"]), ">=", 0.9),
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


if __name__ == "__main__":
    raise SystemExit(main())
