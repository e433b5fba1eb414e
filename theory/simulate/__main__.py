"""Graphs, noise and probes of an experiment at population level: ``python -m theory.simulate``."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from theory.checks import require
from theory.code import is_spec
from theory.command import Parser, add_workers, chosen_workers, output, run
from theory.simulate import Experiment, run_experiment, summary


def main(argv: Sequence[str] | None = None, prog: str = "python -m theory.simulate") -> int:
    """Entry point of ``python -m theory.simulate``."""
    return run(parser(prog), _command, argv, resumable=True)


def parser(prog: str) -> Parser:
    """The command's options."""
    found = Parser(
        prog,
        __doc__,
        "EXPERIMENT --out FOLDER [options]",
        ("experiments/worlds.toml --out runs/worlds", "experiments/removal.toml --out runs/removal --jobs 2"),
    )
    add = found.group("experiment").add_argument
    add("experiment", type=Path, metavar="EXPERIMENT", help="a TOML file, see docs/simulation.md")
    own = "a world of your own, a function of theory.params.GraphParameters, in place of the file's (docs/extend.md)"
    add("--world", metavar="MODULE:FUNCTION", help=own)
    add_workers(found)
    add = found.group("output").add_argument
    add("--out", type=output, metavar="FOLDER", required=True, help="folder for the results; a finished cell is kept")
    return found


def _command(args: Namespace) -> None:
    experiment = Experiment.load(args.experiment)
    if args.world is not None:
        require(is_spec(args.world), "world", args.world, "MODULE:FUNCTION; worlds of ours are named in the file")
        experiment = replace(experiment, world=(args.world,))
    table = run_experiment(experiment, args.out, **chosen_workers(args))
    means = summary(table)
    shown = means[["world", "pairing", "difficult", "gamma", "epsilon", "dim", "remedy"]].copy()
    for name in ("error", "predicted", "error_shared", "change", "predicted_change", "change_error", "bound"):
        if name in means:  # else every cell is from before the predictions
            shown[name] = means[name].map("{:.4g}".format).replace("nan", "—")
    print(shown.to_string(index=False) if len(shown) <= 60 else f"{len(table)} rows")
    print(args.out / "results.csv")


if __name__ == "__main__":
    raise SystemExit(main())
