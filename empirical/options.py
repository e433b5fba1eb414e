"""What the commands that measure features share: from where these come, in files or by a checkpoint."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from theory.checks import ParameterError
from theory.command import Parser

SEVERAL = "several files or patterns, such as 'shards/*.npy', are one matrix sorted by name (part-10 after part-9)"


def add_source(parser: Parser, labels: str) -> None:
    """The options of the features, their labels and classes; ``labels`` says what each command makes of these."""
    add = parser.group("what is measured").add_argument
    add("--features", nargs="+", metavar="FILE", help=f".npy of features, floats of shape (N, d); {SEVERAL}")
    of_labels = f".npy of integer labels, shape (N,), or likewise several; {labels}"
    add("--labels", nargs="+", metavar="FILE", help=of_labels)
    add("--classes", type=int, help="number of classes, >= 2, where there are no labels (an estimate)")
    add("--checkpoint", type=Path, help="checkpoint.pt of empirical.train: its network on its training images")


def require_source(args: Namespace) -> None:
    """Raise ParameterError unless the options of ``add_source`` that were given go together."""
    if (args.checkpoint is None) == (args.features is None):
        raise ParameterError("one of --checkpoint and --features is required")
    if args.checkpoint is not None and (args.labels is not None or args.classes is not None):
        raise ParameterError("--checkpoint brings its own labels: --labels and --classes go with --features")
    if args.labels is not None and args.classes is not None:
        raise ParameterError("--classes and --labels exclude each other")
