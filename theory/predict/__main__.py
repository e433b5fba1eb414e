"""Accuracy to expect of a linear probe on a noisy similarity graph: ``python -m theory.predict``."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from theory.checks import ParameterError, require
from theory.command import Parser, run
from theory.files import require_writable, write_figure, write_text
from theory.options import add_graph, read_graph
from theory.params import GraphParameters, SixLevels

if TYPE_CHECKING:
    from theory.predict import Mechanism, Prediction, Threshold

SCHEMA = "difficult-examples/prediction/1"
REMEDIES = ("nothing", "clean", "margin", "temperature_unweighted", "removal", "random_removal")
OF_SIX = ("nothing", "removal", "random_removal")
PROBES = ("least_squares", "logistic")
MEASURED = "of measured cosines this is indicative only: python -m empirical.prediction predicts from features"
PARTS = {
    "class_block": "class modes",
    "degrees": "degrees",
    "bridge": "bridges",
    "contrast": "contrast",
}


def main(argv: Sequence[str] | None = None, prog: str = "python -m theory.predict") -> int:
    """Entry point of ``python -m theory.predict``."""
    return run(parser(prog), _command, argv)


def parser(prog: str) -> Parser:
    """The command's options."""
    found = Parser(
        prog,
        __doc__,
        "(--alpha X --beta X --gamma X | --within EE ED DD --across EE ED DD | --profile FILE) --epsilon X [options]",
        (
            "--alpha .6 --beta .3 --gamma .345 --samples-per-class 100 --difficult 10 --epsilon .7 --dim 20",
            "--alpha .6 --beta .3 --gamma .3 --epsilon 1 --sweep gamma=.3:.36:.002 --plot gamma.png",
        ),
    )
    add_graph(found)
    add = found.group("probe").add_argument
    add("--epsilon", type=float, metavar="X", help="standard deviation of the noise on a similarity, >= 0")
    add("--labels-per-class", type=float, metavar="M", help="labelled samples per class, 2 to below n (n/2)")
    add("--ridge", type=float, default=0.0, metavar="X", help="on the coefficients of eigenvectors of length 1, >= 0")
    add("--remedy", choices=REMEDIES, default="nothing", help=f"what is done to the graph: {', '.join(REMEDIES)}")
    add("--correlated", type=float, default=0.0, metavar="X", help="share of the noise that has low rank, 0 to 1")
    add = found.group("sweep").add_argument
    add(
        "--sweep",
        action="append",
        metavar="NAME=START:STOP:STEP",
        help="vary a number above, such as gamma, epsilon or labels_per_class; at most twice",
    )
    add("--out", type=Path, help="write the sweep's table to this .csv or .json file")
    add("--plot", type=Path, help="draw the predicted accuracy to this .png or .svg file")
    found.group("output").add_argument("--json", action="store_true", help="print JSON")
    return found
