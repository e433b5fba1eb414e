"""Contrastive learning in the theory's own world, from samples: ``python -m empirical.simulate``."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from empirical.simulate.settings import LOSSES, REMEDIES, REQUIRED, Settings, load_experiment, settings_from
from theory.checks import ParameterError
from theory.command import Parser, add_workers, chosen_workers, output, run
from theory.kinds import PAIRINGS


def main(argv: Sequence[str] | None = None, prog: str = "python -m empirical.simulate") -> int:
    """Entry point of ``python -m empirical.simulate``."""
    return run(parser(prog), _command, argv, resumable=True)


def parser(prog: str) -> Parser:
    """The command's options; None where they are not given, for an experiment excludes them."""
    found = Parser(
        prog,
        __doc__,
        "(EXPERIMENT | --alpha X --beta X ...) --out FOLDER [options]",
        (
            "experiments/sampled.toml --out runs/sampled",
            "--alpha .5 --beta .05 --gamma .2 --samples-per-class 8 --classes 3 --difficult 2 --dim 5 --out runs/one",
        ),
    )
    add = found.group("experiment").add_argument
    add(
        "experiment",
        nargs="?",
        type=Path,
        metavar="EXPERIMENT",
        help="a TOML file with the options below as keys, single values or lists, in their place",
    )
    add = found.group("graph").add_argument
    add("--alpha", type=float, help="similarity within a class; 0 <= beta <= gamma < alpha < 1")
    add("--beta", type=float, help="similarity across classes")
    add("--gamma", type=float, help="similarity of difficult pairs")
    add("--samples-per-class", type=int, help="n, >= 2")
    add("--classes", type=int, help="r + 1, >= 2")
    add("--difficult", type=int, help="difficult samples per class, 0 to n")
    add("--pairing", choices=PAIRINGS, help=f"which are paired: {', '.join(PAIRINGS)} (matched)")
    add = found.group("loss and remedy").add_argument
    add("--dim", type=int, help="k, width of the embeddings, >= 1 and below the number of samples")
    add("--loss", choices=LOSSES, help=f"{', '.join(LOSSES)} ({Settings.loss})")
    add("--remedy", choices=REMEDIES, help=f"{', '.join(REMEDIES)} ({Settings.remedy})")
    add("--tau", type=float, help=f"temperature of InfoNCE and ADNCE, > 0 ({Settings.tau})")
    add("--mu", type=float, help=f"centre of ADNCE's weights, a cosine ({Settings.mu})")
    add("--sigma", type=float, help=f"width of ADNCE's weights, > 0 ({Settings.sigma})")
    add = found.group("optimisation").add_argument
    add("--steps", type=int, help=f"steps of stochastic gradient, >= 1 ({Settings.steps})")
    add("--batch", type=int, help=f"natural data in a step, >= 2 ({Settings.batch})")
    add("--lr", type=float, help=f"learning rate of the first step, falling linearly to 0, > 0 ({Settings.lr})")
    add("--seeds", type=int, help=f"runs, >= 1 ({Settings.seeds})")
    add_workers(found)
    add = found.group("output").add_argument
    check = "in place of training: does the plan's size of each remedy close the gap at the optimum of InfoNCE"
    add("--check-plan", action="store_true", help=check)
    add("--out", type=output, metavar="FOLDER", required=True, help="folder of the results")
    return found


def _command(args: Namespace) -> None:
    from empirical.simulate.sampled import COLUMNS, run_experiment, simulate

    out, experiment, where = args.out, args.experiment, chosen_workers(args)
    others = ("out", "experiment", "check_plan", *where)
    fields = {name: value for name, value in vars(args).items() if value is not None and name not in others}
    if args.check_plan:
        from empirical.simulate.closing import TABLE, check, summary

        if experiment is not None:
            _exclude(fields)
        runs = [_given({"loss": "infonce"} | fields)] if experiment is None else load_experiment(experiment)
        print(summary(check(runs, out, **where)), f"results: {out / TABLE}", sep="\n\n")
        return
    if experiment is not None:
        _exclude(fields)
        results = run_experiment(load_experiment(experiment), out, **where)
        last = results[results.step == results.steps]
        varying = [name for name in last.columns[: -len(COLUMNS) - 1] if last[name].nunique() > 1]
        shown = last.groupby(varying or ["loss_function"], sort=False)[list(COLUMNS[1:])].agg(["mean", "std"])
        print(shown.to_string(float_format="{:.4g}".format))
    else:
        settings = _given(fields)
        results = simulate(settings, out, **where)
        last = results[results.step == settings.steps].drop(columns=["seed", "step"])
        print(f"{settings.seeds} seeds after {settings.steps} steps, mean and standard deviation; angles in degrees:")
        for name in last:
            print(f"  {name:<16}{last[name].mean():>10.4f}{last[name].std(ddof=0):>10.4f}")
    print(f"results: {out / 'results.csv'}")


def _exclude(fields: dict[str, Any]) -> None:
    if fields:
        raise ParameterError(f"an experiment and --{next(iter(fields)).replace('_', '-')} exclude each other")


def _given(fields: dict[str, Any]) -> Settings:
    missing = [name for name in REQUIRED if name not in fields]
    if missing:
        raise ParameterError(f"--{missing[0].replace('_', '-')} is required (or an experiment)")
    return settings_from(fields)


if __name__ == "__main__":
    raise SystemExit(main())
