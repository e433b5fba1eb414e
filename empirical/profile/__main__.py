"""Measure α, β, γ, ε and δ on real features: ``python -m empirical.profile``."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from empirical.data.arrays import FILES_HELP, find_files, read_integers, save_array
from empirical.data.features import Features, Mapper
from empirical.profile.measurement import SHARE, Measurement, measure, measure_network
from empirical.profile.reading import describe
from theory.checks import ParameterError
from theory.command import Parser, run
from theory.engine import workers
from theory.files import require_writable
from theory.plan import plan_from_profile


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of ``python -m empirical.profile``."""
    return run(_command, argv)


def _command(argv: Sequence[str] | None) -> None:
    parser = Parser(prog="python -m empirical.profile", description=__doc__)
    add = parser.add_argument
    add("--checkpoint", type=Path, help="checkpoint.pt of empirical.train")
    add("--features", nargs="+", help=f".npy of features, shape (N, d); {FILES_HELP}")
    add("--labels", nargs="+", help=".npy of integer labels, shape (N,), or several likewise; without it, clusters")
    add("--classes", type=int, help="number of clusters where there are no labels (an estimate)")
    add(
        "--difficult-share",
        type=float,
        default=SHARE,
        help=f"share of each class taken for difficult ({SHARE})",
    )
    add("--out", type=Path, help="write the profile to this file")
    add("--difficult-out", type=Path, help="write the indices of the difficult samples (.npy)")
    add("--json", action="store_true", help="print the profile as JSON")
    add("--jobs", type=int, default=1, help="worker processes that go through the features (1)")
    add("--scheduler", help="run on Dask workers instead: local:N or the address of a scheduler")
    args = parser.parse_args(argv)
    if (args.checkpoint is None) == (args.features is None):
        raise ParameterError("one of --checkpoint and --features is required")
    if args.labels is not None and args.classes is not None:
        raise ParameterError("--classes and --labels exclude each other")
    if args.checkpoint is not None and (args.labels is not None or args.classes is not None):
        raise ParameterError("--checkpoint brings its own labels: --labels and --classes go with --features")
    for path in (args.out, args.difficult_out):
        if path is not None:
            require_writable(path)
    with workers(args.jobs, args.scheduler) as pool:
        result = _measure(args, pool.map)
    plan = plan_from_profile(result.profile)
    text = describe(result.profile, plan)
    if args.out:
        result.profile.save(args.out)
    if args.difficult_out:
        save_array(args.difficult_out, np.flatnonzero(result.difficult))
    print(json.dumps(result.profile.to_json(), indent=2, allow_nan=False) if args.json else text)


def _measure(args: Namespace, mapper: Mapper) -> Measurement:
    if args.checkpoint is not None:
        from empirical.train.checkpoint import load_network

        settings, network = load_network(args.checkpoint)
        images = settings.images()
        source = f"{settings.data}, {settings.arm} seed {settings.seed}, {settings.epochs} epochs"
        return measure_network(network, images, source, settings.augmentation, args.difficult_share, mapper)
    labels = None if args.labels is None else read_integers("labels", *find_files("labels", args.labels))
    files = find_files("features", args.features)
    source = files[0].name if len(files) == 1 else f"{files[0].name} … {files[-1].name} ({len(files)} files)"
    spaces = {"encoder": Features(files)}
    return measure(spaces, labels, source, args.classes, args.difficult_share, mapper=mapper)


if __name__ == "__main__":
    raise SystemExit(main())
