"""Which samples and pairs are difficult: ``python -m empirical.difficulty``."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path

from empirical.choices import BEST, BEST_UNLABELLED, ROUNDS, SCORES, SHARE
from empirical.options import add_source, require_source, source_of
from theory.checks import ParameterError, require
from theory.command import Parser, add_workers, chosen_workers, output, run
from theory.files import require_writable
from theory.locks import locked
from theory.plan import SPACES, Plan
from theory.workers import workers

PICTURE_SIDE = 96  # pixels of a picture of one's own in the grid


def main(argv: Sequence[str] | None = None, prog: str = "python -m empirical.difficulty") -> int:
    """Entry point of ``python -m empirical.difficulty``."""
    return run(parser(prog), _command, argv)


def parser(prog: str) -> Parser:
    """The command's options."""
    found = Parser(
        prog,
        __doc__,
        "(--features FILE | --checkpoint FILE) [options]",
        (
            "--features examples/features.npy --labels examples/labels.npy --out difficulty",
            "--checkpoint runs/digits/checkpoint.pt --by flags --json",
        ),
    )
    add_source(found, f"without any, {BEST_UNLABELLED} decides")
    add = found.group("what is measured").add_argument
    space = "features of the checkpoint, or with --by sas those in FILE, which must be the projector's: "
    add("--space", choices=SPACES, default="encoder", help=space + ", ".join(SPACES))
    add("--mislabelled", type=Path, help=".npy of indices of samples known to be mislabelled")
    add = found.group("samples").add_argument
    best = f"{BEST}; {BEST_UNLABELLED} where there are no labels"
    add(
        "--by",
        choices=SCORES,
        help=f"what makes one difficult: {', '.join(SCORES)} ({best}; the paper's are gap, flags)",
    )
    add(
        "--redundancy",
        type=float,
        default=0.0,
        help="weight of SAS's penalty for similar samples, >= 0; 0: as released",
    )
    add("--share", type=float, default=SHARE, help="share of the samples that is difficult, 0 to 1")
    add = found.group("pairs").add_argument
    add("--plan", type=Path, help="plan whose band flags pairs (that of the features' own profile)")
    add("--batch", type=int, default=256, help="samples in a batch in which pairs are flagged, >= 2")
    add("--rounds", type=int, default=ROUNDS, help="random partitions into batches, >= 1")
    add("--pairs", type=int, default=200, help="most alike pairs to write, >= 1")
    add("--seed", type=int, default=0, help="seed of batches and probes, >= 0")
    add = found.group("output").add_argument
    add("--out", type=output, metavar="FOLDER", help="folder for tables, indices and pictures")
    add("--json", action="store_true", help="print the overlaps and counts as JSON")
    add_workers(found)
    return found


def _command(args: Namespace) -> None:
    require_source(args)
    if args.by == "sas":
        require(args.space == "projector", "space", args.space, "projector with --by sas, which compares its features")
    elif args.space != "encoder" and args.checkpoint is None:
        raise ParameterError(f"--space {args.space} goes with --checkpoint: features are of one space")
    if args.out is not None:
        require_writable(args.out / "summary.json")
    plan = None if args.plan is None else Plan.load(args.plan)
    import numpy as np

    from empirical.data.arrays import read_integers
    from empirical.data.identities import Items
    from empirical.data.sources import ImageFiles
    from empirical.difficulty.assessment import FILES, Criteria, assess, describe, export, require_same_data

    for name in FILES if args.out is not None else ():
        require_writable(args.out / name)

    criteria = Criteria(**{field.name: getattr(args, field.name) for field in fields(Criteria)})
    known_wrong = None if args.mislabelled is None else read_integers("mislabelled", args.mislabelled)
    # Who did the work is no setting: the files are the same.
    used = {name: value for name, value in vars(args).items() if name not in ("jobs", "scheduler")}
    settings_used = {name: str(value) if isinstance(value, Path) else value for name, value in used.items()}
    with workers(**chosen_workers(args)) as pool:
        samples, images = source_of(args, pool.map, args.space)
        items = Items(samples.rows, samples.ids, samples.labels, samples.names)
        if args.checkpoint is None:
            images = None if samples.pictures is None else ImageFiles(samples.pictures, PICTURE_SIDE)
            if args.out is not None:
                require_same_data(args.out, settings_used, samples.digest)
        if known_wrong is not None:
            inside = (known_wrong >= 0) & (known_wrong < samples.features.stored)
            require(bool(inside.all()), "mislabelled", "an index", f"indices in [0, {samples.features.stored - 1}]")
            known_wrong = np.flatnonzero(np.isin(samples.rows, known_wrong))
        found = assess(samples.features, samples.labels, criteria, plan, known_wrong, pool.map, samples.copies)
    if not args.json:  # of which it is a part
        samples.reading.announce()
    text = describe(found)
    if args.out is not None:
        with locked(args.out):
            written = export(
                found, args.out, settings_used, images, items, samples.reading.to_json(), samples.digest or None
            )
        text += "\nwritten: " + ", ".join(str(path) for path in written)
    if args.json:
        document = {"difficult": int(found.difficult.sum()), "overlaps": [asdict(o) for o in found.overlaps]}
        text = json.dumps({**document, "withheld": found.withheld, "reading": samples.reading.to_json()})
    print(text)


if __name__ == "__main__":
    raise SystemExit(main())
