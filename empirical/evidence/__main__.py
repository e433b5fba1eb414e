"""The evidence of docs/protocol.md: run its parts and publish their results: ``python -m empirical.evidence``."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from empirical.evidence.design import BENCHES, PARTS, SPLITS
from theory.checks import ParameterError, require_integer
from theory.command import Parser, add_workers, chosen_workers, output, run
from theory.files import require_writable
from theory.workers import workers

SCRATCH, THEORY, PEOPLE, TUNING = "scratch", "theory", "people", "tuning"
NAMES = (*PARTS, SCRATCH, THEORY, PEOPLE, TUNING)
TUNED = ("cifar10", "cifar100", "trashnet")  # benches, one a data set


def main(argv: Sequence[str] | None = None, prog: str = "python -m empirical.evidence") -> int:
    """Entry point of ``python -m empirical.evidence``."""
    return run(parser(prog), _command, argv, resumable=True)


def parser(prog: str) -> Parser:
    """The command's options."""
    found = Parser(
        prog,
        __doc__,
        "[PART ...] --out FOLDER [options]",
        (
            "primary --cifar10 npz:cifar10.npz --out runs/evidence --jobs 2",
            "--out runs/evidence --publish results/evidence",
        ),
    )
    add = found.group("evidence").add_argument
    parts = "; ".join(f"{name}: {part.question}" for name, part in PARTS.items())
    scratch = f"{SCRATCH}: the same from scratch, on all of CIFAR-10"
    theory = f"{THEORY}: levels, bounds and predictions beside measured accuracy; {PEOPLE}: what people see in them"
    what = f"{parts}; {scratch}; {theory}; {TUNING}: choose temperatures and constants, on other images"
    add("parts", nargs="*", default=[], choices=NAMES, metavar="PART", help=what)
    for data in SPLITS:
        default = "cifar10, downloaded if missing" if data == "cifar10" else "needed by its parts"
        add(
            f"--{data}",
            metavar="DATA",
            help=f"images of {data}: cifar10, cifar100, npz:PATH or folder:PATH ({default})",
        )
    what = "what people see in CIFAR-10, an .npz of test_counts, train_raters and train_aggregate (needed by people)"
    add("--people", type=Path, metavar="FILE", help=what)
    add("--sets", type=int, help="training sets, the first ones, >= 1 (each part's own number)")
    add_workers(found)
    add = found.group("output").add_argument
    add("--out", type=output, required=True, metavar="FOLDER", help="folder of caches and runs, shared by all parts")
    add("--publish", type=output, metavar="STEM", help="write the results to STEM.csv and STEM.json")
    return found


def _command(args: Namespace) -> None:
    if not args.parts and args.publish is None:
        raise ParameterError(f"PART is required: one or more of {', '.join(NAMES)}")
    sources = {data: getattr(args, data) for data in SPLITS if getattr(args, data) is not None}
    sources.setdefault("cifar10", "cifar10")
    if args.sets is not None:
        require_integer("sets", args.sets, 1)
    if PEOPLE in args.parts and args.people is None:
        raise ParameterError(f"part {PEOPLE} needs what people see in CIFAR-10: --people FILE")
    if args.publish is not None:
        require_writable(args.publish.with_suffix(".csv"))
    from empirical.evidence.running import look, require_sources, run_part, run_scratch, tune

    require_sources([part for part in args.parts if part in PARTS], sources)
    with workers(**chosen_workers(args), out=args.out if args.parts else None) as pool:
        for part in args.parts:
            if part == TUNING:
                benches = [name for name in TUNED if BENCHES[name].data in sources]
                tune(benches, sources, args.out, pool, _bar)
            elif part == SCRATCH:
                run_scratch(sources["cifar10"], args.out, pool)
            elif part in (THEORY, PEOPLE):
                look(part, sources, args.people, args.out, pool, _bar)
            else:
                run_part(part, sources, args.out, pool, _bar, args.sets)
    if args.publish is not None:
        from empirical.evidence.published import publish

        print(*publish(args.out, args.publish), sep="\n")


@contextmanager
def _bar(words: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar that appears with the first image."""
    from theory.bars import Bar

    with Bar(desc=words, unit="image", smoothing=0.05, delay=1) as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield show


if __name__ == "__main__":
    raise SystemExit(main())
