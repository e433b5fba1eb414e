"""Arms × seeds × ω on real images, and the report: ``python -m empirical.compare``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from empirical.arms import ARMS, BANDS
from empirical.compare.experiment import PRESETS, SCORES, compare
from empirical.recipes import check_recipe_fits, recipe
from empirical.train.options import add_arguments, given, require_alone
from empirical.train.settings import Running, Settings, settings_from_arguments
from theory.checks import ParameterError, require_known
from theory.command import Parser, run
from theory.kinds import PAIRINGS


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of ``python -m empirical.compare``."""
    return run(_command, argv, resumable=True)


def _command(argv: Sequence[str] | None) -> None:
    parser = Parser(prog="python -m empirical.compare", description=__doc__)
    add = parser.add_argument
    add("--preset", default="photos-cpu", help=f"the experiment: {', '.join(PRESETS)} (photos-cpu)")
    add("--recipe", help="settings for a data set at full size, see docs/recipes.md")
    add("--arms", help="comma-separated: " + ", ".join(ARMS))
    add("--seeds", type=int, help="runs per arm")
    add("--omegas", help="comma-separated shares of mixed images")
    add("--band", help="the selector's band: " + ", ".join(BANDS))
    add("--pairing", choices=PAIRINGS, help="the pairing behind the plan")
    add("--scores", help="what makes a sample difficult for sample removal: " + ", ".join(SCORES))
    add("--labels-per-class", type=int, help="labels per class that the probe sees (all)")
    add("--draws", type=int, help="label draws")
    add("--jobs", type=int, default=1, help="single-threaded workers (1: this process with all threads)")
    place = parser.add_mutually_exclusive_group(required=True)
    place.add_argument("--out", type=Path, help="folder of the experiment")
    again = "write the report of a finished experiment again, from the files in its folder alone"
    place.add_argument("--report", type=Path, metavar="OUT", help=again)
    add_arguments(parser, Settings)
    add_arguments(parser, Running)
    args = parser.parse_args(argv)
    if args.report is not None:
        require_alone(parser, args, "report")
        from empirical.compare.report import write_report  # pandas

        print(write_report(args.report))
        return
    require_known("preset", args.preset, PRESETS)
    preset = PRESETS[args.preset]
    base = preset.base if args.recipe is None else replace(preset.base, **recipe(args.recipe))
    chosen: dict[str, Any] = {"base": settings_from_arguments(args, base)}
    if args.data is None and args.recipe is None and args.preset != "digits-demo":
        raise ParameterError("--data is required (cifar10, cifar100, stl10, npz:PATH or folder:PATH)")
    if args.recipe is not None:
        check_recipe_fits(args.recipe, chosen["base"].images().x_train.shape)
    if args.arms is not None:
        chosen["arms"] = tuple(args.arms.split(","))
    if args.omegas is not None:
        try:
            chosen["omegas"] = tuple(float(value) for value in args.omegas.split(","))
        except ValueError as error:
            raise ParameterError("omegas", args.omegas, "comma-separated numbers") from error
    for name in ("seeds", "band", "pairing", "scores", "labels_per_class", "draws"):
        if getattr(args, name) is not None:
            chosen[name] = getattr(args, name)
    print(compare(replace(preset, **chosen), args.out, args.jobs, Running(**given(args, Running))))


if __name__ == "__main__":
    raise SystemExit(main())
