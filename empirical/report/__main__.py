"""A page about the difficult examples of one's own embeddings: ``python -m empirical.report``."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from empirical.choices import SCORES, SHARE
from empirical.options import add_source, require_source, samples_of
from theory.command import Parser, add_workers, chosen_workers, output, run
from theory.workers import workers

if TYPE_CHECKING:
    from empirical.data.samples import Samples

WAYS = [name for name in SCORES if name != "sas"]  # which compares features of the projector


def main(argv: Sequence[str] | None = None, prog: str = "python -m empirical.report") -> int:
    """Entry point of ``python -m empirical.report``."""
    return run(parser(prog), _command, argv)


def parser(prog: str) -> Parser:
    """The command's options."""
    found = Parser(
        prog,
        __doc__,
        "(--features FILE | --checkpoint FILE) --out FILE [options]",
        (
            "--features examples/features.npy --labels examples/labels.npy --out report.html",
            "--features items.parquet --label-column category --id-column sku --image-column photo --out report.html",
        ),
    )
    add_source(found, "without, clusters stand for classes in the profile")
    add = found.group("samples").add_argument
    add("--by", choices=WAYS, help=f"what makes one difficult: {', '.join(WAYS)} (as difficulty chooses)")
    add("--share", type=float, default=SHARE, help="share of the samples that is difficult, 0 to 1")
    add("--seed", type=int, default=0, help="seed of batches, probes and what is drawn, >= 0")
    page = "the page, .html; of more than 2,000 samples all are written to STEM.items.parquet beside it"
    found.group("output").add_argument("--out", type=output, required=True, help=page)
    add_workers(found)
    return found


def _command(args: Namespace) -> None:
    require_source(args)
    from empirical.difficulty import Criteria
    from empirical.report.examination import examine
    from empirical.report.page import require_page, write_report

    require_page(args.out)
    criteria = Criteria(by=args.by, share=args.share, classes=args.classes, seed=args.seed)
    used = {name: value for name, value in vars(args).items() if name not in ("jobs", "scheduler")}
    settings = {name: str(value) if isinstance(value, Path) else value for name, value in used.items()}
    with workers(**chosen_workers(args)) as pool:
        samples, images = (samples_of(args, pool.map), None) if args.checkpoint is None else _trained(args)
        found = examine(samples, criteria, pool.map, images)
        samples.reading.announce()
        written = write_report(found, args.out, settings)
    print(found.verdict + "\nwritten: " + ", ".join(str(path) for path in written))


def _trained(args: Namespace) -> tuple[Samples, Any]:
    """The training images of a checkpoint as its network sees them."""
    import numpy as np

    from empirical.data import image_copies
    from empirical.data.features import Features
    from empirical.data.samples import Samples
    from empirical.encoders import extract
    from empirical.train.checkpoint import load_network

    settings, network = load_network(args.checkpoint, args.trust_encoder)
    data = settings.images()
    features = Features(extract(network, data.x_train)[0].numpy())
    copies = image_copies(data.x_train)
    copies = features.copies() if settings.on_views or copies is None else copies
    labels = data.y_train.numpy() if data.labelled else None
    source = f"{settings.data}, {settings.arm} seed {settings.seed}, {settings.epochs} epochs"
    rows = np.arange(features.rows)
    samples = Samples(features, labels, copies, source, data.reading, data.class_names, data.ids, None, rows, "")
    return samples, None if settings.on_views else data.x_train


if __name__ == "__main__":
    raise SystemExit(main())
