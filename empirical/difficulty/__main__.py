"""Which samples and pairs are difficult: ``python -m empirical.difficulty``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from empirical.data.arrays import FILES_HELP, find_files, read_integers
from empirical.data.features import Features
from empirical.difficulty.scores import FILES, ROUNDS, SCORES, Criteria, Labels, assess, describe, export
from empirical.profile.measurement import SHARE
from theory.checks import ParameterError, require, require_known
from theory.command import Parser, run
from theory.engine import workers
from theory.files import require_writable
from theory.plan import Plan


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of ``python -m empirical.difficulty``."""
    return run(_command, argv)


def _command(argv: Sequence[str] | None) -> None:
    parser = Parser(prog="python -m empirical.difficulty", description=__doc__)
    add = parser.add_argument
    add("--checkpoint", type=Path, help="checkpoint.pt of empirical.train: its network on its training images")
    add("--space", default="encoder", help="features of the checkpoint: encoder or projector (encoder)")
    add("--features", nargs="+", help=f".npy of features, shape (N, d); {FILES_HELP}")
    add("--labels", nargs="+", help=".npy of integer labels, shape (N,), −1 for none, or several likewise")
    add("--classes", type=int, help="number of classes where there are no labels (an estimate)")
    add("--by", help=f"what makes a sample difficult: {' or '.join(SCORES)} (gap where there are labels)")
    add("--share", type=float, default=SHARE, help=f"share of the samples that is difficult ({SHARE})")
    add("--plan", type=Path, help="plan whose band flags pairs (that of the features' own profile)")
    add("--batch", type=int, default=256, help="samples in a batch in which pairs are flagged (256)")
    add("--rounds", type=int, default=ROUNDS, help=f"random partitions into batches ({ROUNDS})")
    add("--pairs", type=int, default=200, help="most alike pairs to write (200)")
    add("--mislabelled", type=Path, help=".npy of indices of samples known to be mislabelled")
    add("--seed", type=int, default=0, help="seed of batches and probes (0)")
    add("--out", type=Path, help=f"folder for {', '.join(FILES)}")
    add("--json", action="store_true", help="print the overlaps and counts as JSON")
    add("--jobs", type=int, default=1, help="worker processes that go through the features (1)")
    add("--scheduler", help="run on Dask workers instead: local:N or the address of a scheduler")
    args = parser.parse_args(argv)
    if (args.checkpoint is None) == (args.features is None):
        raise ParameterError("one of --checkpoint and --features is required")
    if args.checkpoint is not None and (args.labels is not None or args.classes is not None):
        raise ParameterError("--checkpoint brings its own labels: --labels and --classes go with --features")
    if args.labels is not None and args.classes is not None:
        raise ParameterError("--classes and --labels exclude each other")
    require_known("space", args.space, ("encoder", "projector"))
    require(args.space == "encoder" or args.checkpoint is not None, "space", args.space, "encoder with --features")
    if args.out is not None:
        require_writable(args.out / FILES[0])
    criteria = Criteria(**{field.name: getattr(args, field.name) for field in fields(Criteria)})
    plan = None if args.plan is None else Plan.load(args.plan)
    known_wrong = None if args.mislabelled is None else read_integers("mislabelled", args.mislabelled)
    images: Any = None
    names: Sequence[str] = ()
    labels: Labels | None
    if args.checkpoint is not None:
        from empirical.encoders import extract
        from empirical.train.checkpoint import load_network

        settings, network = load_network(args.checkpoint)
        data = settings.images()
        images, labels, names = data.x_train, data.y_train.numpy(), data.class_names
        h, z = extract(network, images)
        features = Features((h if args.space == "encoder" else z).numpy())
    else:
        labels = None if args.labels is None else read_integers("labels", *find_files("labels", args.labels))
        features = Features(find_files("features", args.features))
    with workers(args.jobs, args.scheduler) as pool:
        found = assess(features, labels, criteria, plan, known_wrong, pool.map)
    # Who did the work is no setting: the files are the same.
    used = {name: value for name, value in vars(args).items() if name not in ("jobs", "scheduler")}
    settings_used = {name: str(value) if isinstance(value, Path) else value for name, value in used.items()}
    text = describe(found)
    if args.out is not None:
        written = export(found, args.out, settings_used, images, labels, names)
        text += "\nwritten: " + ", ".join(str(path) for path in written)
    if args.json:
        text = json.dumps({"difficult": int(found.difficult.sum()), "overlaps": [asdict(o) for o in found.overlaps]})
    print(text)


if __name__ == "__main__":
    raise SystemExit(main())
