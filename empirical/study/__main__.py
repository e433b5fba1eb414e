"""The study behind docs/results.md: ``python -m empirical.study PART``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from empirical.compare.experiment import PRESETS
from empirical.study.study import CPU_IMAGES, PARTS, SCALES, Study, load_study, publish, run_part
from empirical.train.options import add_arguments, given, require_alone
from empirical.train.settings import Running, Settings, settings_from_arguments
from theory.checks import ParameterError, require, require_known
from theory.command import Parser, run
from theory.files import require_writable


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of ``python -m empirical.study``."""
    return run(_command, argv, resumable=True)


def _command(argv: Sequence[str] | None) -> None:
    parser = Parser(prog="python -m empirical.study", description=__doc__)
    add = parser.add_argument
    add(
        "parts",
        nargs="*",
        default=[],
        metavar="PART",
        help="; ".join(f"{name}: {part.question}" for name, part in PARTS.items()),
    )
    add("--scale", default="cpu", help="cpu (narrow network, 5,000 images) or full (ResNet-18, all images, 100 epochs)")
    add("--seeds", type=int, help="runs per condition (each part's own number)")
    add("--jobs", type=int, default=1, help="single-threaded workers (1: this process with all threads)")
    place = parser.add_mutually_exclusive_group(required=True)
    place.add_argument("--out", type=Path, help="folder of the runs")
    again = "write the results of finished runs again, from the files in their folder alone"
    place.add_argument("--report", type=Path, metavar="OUT", help=again)
    add("--publish", type=Path, metavar="STEM", help="write the results to STEM.csv and STEM.json too")
    add_arguments(parser, Settings)
    add_arguments(parser, Running)
    args = parser.parse_args(argv)
    if args.report is not None:
        require_alone(parser, args, "report", "publish")
        print(*publish(load_study(args.report), args.publish or args.report / "study"), sep="\n")
        return
    require(bool(args.parts), "PART", "nothing", f"one or more of {', '.join(PARTS)}")
    require_known("scale", args.scale, SCALES)
    for part in args.parts:
        require_known("part", part, PARTS)
    if args.data is None:
        raise ParameterError("--data is required (cifar10, cifar100, stl10, npz:PATH or folder:PATH)")
    base = PRESETS[SCALES[args.scale]].base
    if args.scale == "cpu":
        base = replace(base, train=CPU_IMAGES)
    stem = args.publish or args.out / "study"
    require_writable(stem.with_suffix(".csv"))
    study = Study(settings_from_arguments(args, base), args.out, Running(**given(args, Running)))
    for part in args.parts:
        run_part(study, part, args.seeds, args.jobs)
        print(*publish(study, stem), sep="\n")


if __name__ == "__main__":
    raise SystemExit(main())
