"""A page about the difficult examples of one's own embeddings: ``python -m empirical.report``."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from empirical.choices import SCORES, SHARE
from empirical.options import add_source, require_source, source_of
from theory.command import Parser, add_workers, chosen_workers, output, run
from theory.workers import workers

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
        samples, images = source_of(args, pool.map)
        found = examine(samples, criteria, pool.map, images)
        samples.reading.announce()
        written = write_report(found, args.out, settings)
    print(found.verdict + "\nwritten: " + ", ".join(str(path) for path in written))


if __name__ == "__main__":
    raise SystemExit(main())
