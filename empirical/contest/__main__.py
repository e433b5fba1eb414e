"""Who foretells a probe's accuracy, over feature sets of very different quality: ``python -m empirical.contest``."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from empirical.contest.sets import FAMILIES, PHOTOS, Scale, recipes, scale
from empirical.options import add_trust
from theory.checks import ParameterError, require, require_integer
from theory.command import Parser, add_workers, chosen_workers, output, run
from theory.files import require_writable
from theory.workers import workers


def main(argv: Sequence[str] | None = None, prog: str = "python -m empirical.contest") -> int:
    """Entry point of ``python -m empirical.contest``."""
    return run(parser(prog), _command, argv, resumable=True)


def parser(prog: str) -> Parser:
    """The command's options."""
    found = Parser(
        prog,
        __doc__,
        "--data DATA --out FOLDER [options]",
        (
            "--data digits --out runs/contest",
            "--data npz:cifar10.npz --jobs 2 --out runs/contest --publish results/contest_cifar10",
        ),
    )
    add = found.group("data").add_argument
    add("--data", required=True, help="digits, cifar10, cifar100, stl10, npz:PATH or folder:PATH")
    own = f"digits: the command's own; {PHOTOS.labelled} and {PHOTOS.others} else"
    add("--labelled", type=int, help=f"training images whose labels probes and metrics see, >= 1 ({own})")
    add("--others", type=int, help="images after them, whose labels only the supervised networks see, >= 1")
    add("--test", type=int, help="test images, a balanced subset, >= the classes (all)")
    add = found.group("feature sets").add_argument
    families = "; ".join(f"{name}: {words}" for name, words in FAMILIES.items() if name != "checkpoint")
    add("--families", nargs="+", metavar="FAMILY", help=f"only these (all). {families}")
    checkpoints = "folders of runs of empirical.train, whose encoders and projectors take part too"
    add("--checkpoints", nargs="+", type=Path, default=[], metavar="FOLDER", help=checkpoints)
    add_trust(found, "feature sets")
    add_workers(found)
    add = found.group("output").add_argument
    add("--out", type=output, required=True, metavar="FOLDER", help="folder of networks, features and numbers")
    add("--publish", type=output, metavar="STEM", help="write the results to STEM.csv and STEM.json too")
    return found


def _scale(args: Namespace) -> Scale:
    require(not args.data.startswith("views:"), "data", args.data, "images, which the contest's encoders take")
    chosen = scale(args.data)
    labelled, others = (
        default if value is None else require_integer(name, value, 1)
        for name, value, default in (
            ("labelled", args.labelled, chosen.labelled),
            ("others", args.others, chosen.others),
        )
    )
    return replace(chosen, labelled=labelled, others=others)


def _command(args: Namespace) -> None:
    chosen = _scale(args)
    made = recipes(chosen, args.families, args.checkpoints)
    if args.trust_encoder and not args.checkpoints:
        raise ParameterError("--trust-encoder goes with --checkpoints")
    stem = args.publish or args.out / "contest_results"
    require_writable(stem.with_suffix(".csv"))
    from empirical.contest.contest import collect, publish, run_contest
    from empirical.contest.makers import Bench
    from empirical.contest.sets import UNLIKE
    from empirical.contest.table import markdown, table

    bench = Bench(args.data, chosen, args.test, args.out, tuple(args.trust_encoder))
    with workers(**chosen_workers(args), out=args.out) as pool:
        skipped = run_contest(bench, made, pool)
    paths = publish(bench, made, skipped, stem)
    rows = collect(bench, made)
    apart = rows.family.isin(UNLIKE)
    print(f"{len(rows)} feature sets, {int(apart.sum())} of them counted apart\n\n{markdown(table(rows[~apart]))}\n")
    for family, reason in skipped.items():
        print(f"left out: {family}, for {reason}")
    print(*paths, sep="\n")


if __name__ == "__main__":
    raise SystemExit(main())
