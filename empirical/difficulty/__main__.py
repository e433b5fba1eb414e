"""Which samples and pairs are difficult: ``python -m empirical.difficulty``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from empirical.data.arrays import read_integers
from empirical.data.features import Features
from empirical.difficulty.scores import FILES, ROUNDS, SCORES, Labels, assess, describe, export
from empirical.profile.measurement import SHARE
from theory.checks import ParameterError, require, require_known
from theory.command import Parser, run
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
    add("--features", type=Path, help=".npy of features, shape (N, d)")
    add("--labels", type=Path, help=".npy of integer labels, shape (N,), −1 for none")
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
        labels = None if args.labels is None else read_integers("labels", args.labels)
        features = Features(args.features)
    options = {name: getattr(args, name) for name in ("classes", "by", "share", "batch", "rounds", "pairs", "seed")}
    found = assess(features, labels, plan=plan, known_wrong=known_wrong, **options)
    settings_used = {name: str(value) if isinstance(value, Path) else value for name, value in vars(args).items()}
    text = describe(found)
    if args.out is not None:
        written = export(found, args.out, settings_used, images, labels, names)
        text += "\nwritten: " + ", ".join(str(path) for path in written)
    if args.json:
        text = json.dumps({"difficult": int(found.difficult.sum()), "overlaps": [asdict(o) for o in found.overlaps]})
    print(text)


if __name__ == "__main__":
    raise SystemExit(main())
