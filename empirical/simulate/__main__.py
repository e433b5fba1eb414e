"""Contrastive learning in the theory's own world, from samples: ``python -m empirical.simulate``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from empirical.simulate.sampled import (
    COLUMNS,
    LOSSES,
    REMEDIES,
    REQUIRED,
    Settings,
    load_experiment,
    run_experiment,
    settings_from,
    simulate,
)
from theory.checks import ParameterError
from theory.command import Parser, run
from theory.kinds import PAIRINGS


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of ``python -m empirical.simulate``."""
    return run(_command, argv, resumable=True)


def _command(argv: Sequence[str] | None) -> None:
    parser = Parser(prog="python -m empirical.simulate", description=__doc__)
    add = parser.add_argument
    add("experiment", nargs="?", type=Path, help="a TOML file with these options as keys, single values or lists")
    for name, text in (("alpha", "within a class"), ("beta", "across classes"), ("gamma", "of difficult pairs")):
        add(f"--{name}", type=float, help=f"similarity {text}")
    add("--samples-per-class", type=int, help="n")
    add("--classes", type=int, help="r + 1")
    add("--difficult", type=int, help="difficult samples per class")
    add("--pairing", choices=PAIRINGS, help="of the difficult samples (matched)")
    add("--dim", type=int, help="k, width of the embeddings")
    add("--loss", choices=LOSSES, help=f"({Settings.loss})")
    add("--remedy", choices=REMEDIES, help=f"({Settings.remedy})")
    for name, kind, text in (
        ("steps", int, "steps of stochastic gradient"),
        ("batch", int, "natural data in a step"),
        ("lr", float, "learning rate of the first step"),
        ("tau", float, "temperature of InfoNCE and ADNCE"),
        ("mu", float, "centre of ADNCE's weights"),
        ("sigma", float, "width of ADNCE's weights"),
        ("seeds", int, "runs"),
    ):
        add(f"--{name}", type=kind, help=f"{text} ({getattr(Settings, name)})")
    add("--jobs", type=int, default=1, help="processes, for an experiment (1)")
    add("--out", type=Path, required=True, help="folder of the results")
    fields = {name: value for name, value in vars(parser.parse_args(argv)).items() if value is not None}
    out, jobs, experiment = fields.pop("out"), fields.pop("jobs"), fields.pop("experiment", None)
    if experiment is not None:
        if fields:
            raise ParameterError(f"an experiment and --{next(iter(fields)).replace('_', '-')} exclude each other")
        results = run_experiment(load_experiment(experiment), out, jobs)
        last = results[results.step == results.steps]
        varying = [name for name in last.columns[: -len(COLUMNS) - 1] if last[name].nunique() > 1]
        shown = last.groupby(varying or ["loss_function"], sort=False)[list(COLUMNS[1:])].agg(["mean", "std"])
        print(shown.to_string(float_format="{:.4g}".format))
    else:
        missing = [name for name in REQUIRED if name not in fields]
        if missing:
            raise ParameterError(f"--{missing[0].replace('_', '-')} is required (or an experiment)")
        settings = settings_from(fields)
        results = simulate(settings, out)
        last = results[results.step == settings.steps].drop(columns=["seed", "step"])
        print(f"{settings.seeds} seeds after {settings.steps} steps, mean and standard deviation; angles in degrees:")
        for name in last:
            print(f"  {name:<16}{last[name].mean():>10.4f}{last[name].std(ddof=0):>10.4f}")
    print(f"results: {out / 'results.csv'}")


if __name__ == "__main__":
    from empirical.simulate.__main__ import (
        main as importable,  # worker processes look functions up by this module's name
    )

    raise SystemExit(importable())
