"""Draw every figure again, from the closed forms and the committed results: ``python -m figures [NAME ...]``.

Each is followed by the caption that pages print below it.
"""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Sequence
from importlib import import_module

from figures.style import FOLDER, NotShipped, save
from theory.checks import require_known
from theory.command import Parser, output, run

NAMES = (
    "adjacency",
    "bound_gap",
    "damage_window",
    "domain_map",
    "phase_map",
    "phase_panel",
    "convergence",
    "similarity_histogram",
    "accuracy_omega",
    "strength",
    "sweeps",
    "predicted_measured",
    "prediction",
    "core_minutes",
    "evidence",
    "sensitivity",
    "difficult_pairs",
)


def main(argv: Sequence[str] | None = None) -> int:
    """Draw the figures; 1 if the data of one is missing that the project has."""
    missing: list[str] = []
    kept: list[str] = []
    parser = Parser("python -m figures", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="figures to draw (all): " + ", ".join(NAMES))
    parser.add_argument("--out", type=output, metavar="FOLDER", default=FOLDER, help="folder of the pictures (figures)")

    def command(args: Namespace) -> None:
        for name in args.names:
            require_known("name", name, NAMES)
        for name in args.names or NAMES:
            module = import_module(f"figures.{name}")
            try:
                shown = module.data()
            except NotShipped as error:
                kept.append(f"{name}: {error.filename} is not here, the committed picture stays")
            except FileNotFoundError as error:
                missing.append(f"{name}: {error.filename} is missing, figures/{name}.py tells what writes it")
            else:
                print(f"{name}:", *save(module.draw(shown), name, args.out), flush=True)
                print(f"*{module.caption(shown)}*", flush=True)

    code = run(parser, command, argv)
    for line in (*missing, *kept):
        print(line, file=sys.stderr)
    return code or int(bool(missing))


if __name__ == "__main__":
    raise SystemExit(main())
