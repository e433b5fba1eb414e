"""Simulate an experiment at population level: ``python -m theory.simulate``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from theory.checks import require_integer
from theory.command import Parser, run
from theory.simulate import Experiment, run_experiment, summary


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of ``python -m theory.simulate``."""
    return run(_command, argv, resumable=True)


def _command(argv: Sequence[str] | None) -> None:
    parser = Parser(prog="python -m theory.simulate", description="Simulate an experiment at population level.")
    parser.add_argument("experiment", type=Path, help="a TOML file, see theory.simulate.Experiment")
    parser.add_argument("--out", type=Path, required=True, help="folder for the results; a finished cell is kept")
    parser.add_argument("--jobs", type=int, default=1, help="processes (1)")
    args = parser.parse_args(argv)
    require_integer("--jobs", args.jobs, 1)
    table = run_experiment(Experiment.load(args.experiment), args.out, args.jobs)
    shown = summary(table)[["world", "pairing", "difficult", "gamma", "epsilon", "dim", "remedy"]].copy()
    for name in ("error", "error_shared", "change", "change_error", "bound"):
        shown[name] = summary(table)[name].map("{:.4g}".format)
    print(shown.to_string(index=False) if len(shown) <= 60 else f"{len(table)} rows")
    print(args.out / "results.csv")


if __name__ == "__main__":
    raise SystemExit(main())
