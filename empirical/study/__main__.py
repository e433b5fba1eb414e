"""The study behind docs/study.md: ``python -m empirical.study PART``."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from empirical.choices import PROTOCOLS
from empirical.study.parts import PARTS, SCALES
from empirical.train.options import add_arguments, given, require_alone
from empirical.train.settings import Running, settings_from_arguments
from theory.checks import ParameterError
from theory.command import Parser, add_workers, chosen_workers, output, run
from theory.files import require_writable
from theory.workers import workers


def main(argv: Sequence[str] | None = None, prog: str = "python -m empirical.study") -> int:
    """Entry point of ``python -m empirical.study``."""
    return run(parser(prog), _command, argv, resumable=True)


def parser(prog: str) -> Parser:
    """The command's options; the defaults shown are those of the scale that is used where none is given."""
    found = Parser(
        prog,
        __doc__,
        "(PART ... --data DATA --out FOLDER | --report FOLDER) [options]",
        (
            "remedies rivals --data npz:cifar10.npz --jobs 2 --out runs/study",
            "headline --scale full --data cifar10 --out runs/full --publish results/cifar10_full",
        ),
    )
    add = found.group("study").add_argument
    parts = "; ".join(f"{name}: {part.question}" for name, part in PARTS.items())
    add("parts", nargs="*", default=[], choices=list(PARTS), metavar="PART", help=parts)
    scales = "cpu (narrow network, 5,000 images; its defaults are shown) or full (ResNet-18, all images, 100 epochs)"
    add("--scale", choices=list(SCALES), default="cpu", help=scales)
    add("--seeds", type=int, help="runs per condition, >= 1 (each part's own number)")
    named = f"how runs are evaluated, see docs/evaluation.md: {', '.join(PROTOCOLS)}"
    add("--protocol", choices=PROTOCOLS, default=PROTOCOLS[0], help=named)
    add("--knn-neighbours", type=int, default=200, help="neighbours of kNN, >= 1")
    add("--knn-tau", type=float, help="temperature of their votes, > 0 (0.1; under adnce each run's own τ)")
    add_arguments(found, SCALES["cpu"], needed=["data"])
    add_arguments(found, Running())
    add_workers(found)
    add = found.group("output").add_argument
    place = found.group("output").add_mutually_exclusive_group(required=True)
    place.add_argument("--out", type=output, metavar="FOLDER", help="folder of the runs")
    again = "write the results of finished runs again, from the files in their folder alone"
    place.add_argument("--report", type=Path, metavar="FOLDER", help=again)
    add("--publish", type=output, metavar="STEM", help="write the results to STEM.csv and STEM.json too")
    return found


def _command(args: Namespace) -> None:
    if args.report is not None:
        require_alone(parser(""), args, "report", "publish")
        from empirical.study.study import load_study, publish

        print(*publish(load_study(args.report), args.publish or args.report / "study"), sep="\n")
        return
    if not args.parts:
        raise ParameterError(f"PART is required: one or more of {', '.join(PARTS)}")
    if args.data is None:
        raise ParameterError("--data is required: cifar10, cifar100, stl10, npz:PATH or folder:PATH")
    stem = args.publish or args.out / "study"
    require_writable(stem.with_suffix(".csv"))
    settings, running = settings_from_arguments(args, SCALES[args.scale]), Running(**given(args, Running))
    from empirical.study.study import Study, check_part, publish, run_part

    study = Study(settings, args.out, running, args.protocol, args.knn_neighbours, args.knn_tau)
    for part in args.parts:  # before the first one runs for hours
        check_part(study, part, args.seeds)
    with workers(**chosen_workers(args), out=args.out) as pool:
        for part in args.parts:
            run_part(study, part, args.seeds, pool)
            print(*publish(study, stem), sep="\n")


if __name__ == "__main__":
    raise SystemExit(main())
