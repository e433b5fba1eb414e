"""Arms × seeds × ω on real images, and the report: ``python -m empirical.compare``."""

from __future__ import annotations

import textwrap
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from empirical.arms import ARM_NAMES
from empirical.choices import BEST, BEST_UNLABELLED, PROTOCOLS, SCORES
from empirical.compare.presets import DEFAULT, PRESETS, preset_for
from empirical.options import add_given, chosen_given
from empirical.recipes import RECIPES, check_recipe_fits, recipe
from empirical.train.options import add_arguments, given, require_alone
from empirical.train.settings import Running, settings_from_arguments, usual
from theory.checks import ParameterError
from theory.command import Parser, add_workers, chosen_workers, output, run
from theory.files import read_json
from theory.plan import THREE_LEVEL

WIDTH = 100  # of the sentences that end a comparison


def main(argv: Sequence[str] | None = None, prog: str = "python -m empirical.compare") -> int:
    """Entry point of ``python -m empirical.compare``."""
    return run(parser(prog), _command, argv, resumable=True)


def parser(prog: str) -> Parser:
    """The command's options; the defaults shown are those of the preset that is used where none is given."""
    found = Parser(
        prog,
        __doc__,
        "(--data DATA --out FOLDER | --report FOLDER) [options]",
        (
            "--data folder:photos --arms baseline,margin,combined --jobs 2 --out runs/photos",
            "--preset digits-demo --jobs 2 --out runs/demo",
        ),
    )
    preset = PRESETS[DEFAULT]
    add = found.group("experiment").add_argument
    shown = f"what is compared, and the defaults of everything below ({DEFAULT}'s are shown): {', '.join(PRESETS)}"
    add("--preset", choices=list(PRESETS), help=f"{shown} ({DEFAULT}; adapter for data views:PATH)")
    recipes = f"settings for a data set at full size, see docs/recipes.md: {', '.join(RECIPES)}"
    add("--recipe", choices=list(RECIPES), help=recipes)
    add("--arms", metavar="LIST", help=f"comma-separated: {', '.join(ARM_NAMES)} ({','.join(preset.arms)})")
    add("--seeds", type=int, help=f"runs per arm, >= 1 ({preset.seeds})")
    add("--omegas", metavar="LIST", help=f"comma-separated shares of mixed images, 0 to 1 ({_listed(preset.omegas)})")
    pairing = f"the three-level reading behind the plan: {', '.join(THREE_LEVEL)} ({preset.pairing})"
    add("--pairing", choices=THREE_LEVEL, help=pairing)
    best = f"{BEST}; {BEST_UNLABELLED} without labels"
    scores = f"what makes a sample difficult for sample removal: {', '.join(SCORES)} ({best})"
    add("--scores", choices=SCORES, help=scores)
    penalty = f"weight of SAS's penalty for similar samples, >= 0 ({preset.redundancy:g}: as released)"
    add("--redundancy", type=float, help=penalty)
    add = found.group("evaluation").add_argument
    named = f"how encoders are evaluated, see docs/evaluation.md: {', '.join(PROTOCOLS)} ({preset.protocol})"
    add("--protocol", choices=PROTOCOLS, help=named)
    add("--labels-per-class", type=int, help="labels per class that the probe sees, >= 1 (all)")
    add("--draws", type=int, help=f"label draws, >= 1 ({preset.draws})")
    add("--knn-neighbours", type=int, help=f"neighbours, >= 1 ({preset.knn_k})")
    add("--knn-tau", type=float, help="temperature of their votes, > 0 (0.1; under adnce each run's own τ)")
    add_given(found)
    add_arguments(found, preset.base, needed=["data"])
    add_arguments(found, Running())
    add_workers(found)
    place = found.group("output").add_mutually_exclusive_group(required=True)
    place.add_argument("--out", type=output, metavar="FOLDER", help="folder of the experiment")
    again = "write the report of a finished experiment again, from the files in its folder alone"
    place.add_argument("--report", type=Path, metavar="FOLDER", help=again)
    return found


def _listed(values: Sequence[float]) -> str:
    return ",".join(f"{value:g}" for value in values)


def _command(args: Namespace) -> None:
    if args.report is not None:
        require_alone(parser(""), args, "report")
        from empirical.compare.report import write_report

        _tell(write_report(args.report))
        return
    preset = PRESETS[args.preset or preset_for(args.data)]
    if args.modality is not None and args.preset is None:
        preset = replace(preset, base=usual(args.modality))
    base = preset.base if args.recipe is None else replace(preset.base, **recipe(args.recipe))
    chosen: dict[str, Any] = {"base": settings_from_arguments(args, base)}
    if args.data is None and args.recipe is None and args.preset != "digits-demo":
        raise ParameterError("--data is required: cifar10, cifar100, stl10, npz:PATH, folder:PATH or views:PATH")
    if args.recipe is not None:
        check_recipe_fits(args.recipe, chosen["base"].data_set().x_train.shape)
    if args.arms is not None:
        chosen["arms"] = tuple(args.arms.split(","))
    if args.omegas is not None:
        try:
            chosen["omegas"] = tuple(float(value) for value in args.omegas.split(","))
        except ValueError as error:
            raise ParameterError(f"--omegas {args.omegas}: not numbers separated by commas") from error
    chosen |= chosen_given(args)
    plain = ("seeds", "pairing", "scores", "redundancy", "labels_per_class", "draws", "protocol", "knn_tau")
    for name in plain:
        if getattr(args, name) is not None:
            chosen[name] = getattr(args, name)
    if args.knn_neighbours is not None:
        chosen["knn_k"] = args.knn_neighbours
    from empirical.compare.experiment import compare

    running = Running(**given(args, Running))
    _tell(compare(replace(preset, **chosen), args.out, running=running, **chosen_workers(args)))


def _tell(report: Path) -> None:
    """Print the answer, what limits it, and where the page is, which is the last line."""
    found = read_json(report.with_name("results.json"), "answer", "cautions")
    for sentence in (found["answer"], *found["cautions"]):
        print(textwrap.fill(sentence, WIDTH, break_long_words=False, break_on_hyphens=False))
    print(report)


if __name__ == "__main__":
    raise SystemExit(main())
