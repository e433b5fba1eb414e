"""What commands share: from where features come, in files or by a checkpoint; and an arm's values that are given."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

from empirical.arms import BANDS, RANKINGS, Given, taken
from empirical.paper import STATED, stated
from theory.checks import ParameterError, require_integer
from theory.command import Parser

SEVERAL = "several files or patterns, such as 'shards/*.npy', are one matrix sorted by name (part-10 after part-9)"


def add_source(parser: Parser, labels: str) -> None:
    """The options of the features, their labels and classes; ``labels`` says what each command makes of these."""
    add = parser.group("what is measured").add_argument
    add("--features", nargs="+", metavar="FILE", help=f".npy of features, floats of shape (N, d); {SEVERAL}")
    of_labels = f".npy of integer labels, shape (N,), −1 or NaN for none, or likewise several; {labels}"
    add("--labels", nargs="+", metavar="FILE", help=of_labels)
    add("--drop-small-classes", action="store_true", help="leave out classes with fewer than two samples that differ")
    add("--classes", type=int, help="number of classes, >= 2, where there are no labels (an estimate)")
    add("--checkpoint", type=Path, help="checkpoint.pt of empirical.train: its network on its training images")
    add_trust(parser, "what is measured")


def add_trust(parser: Parser, group: str) -> None:
    """The option that lets a checkpoint's network be made by code, see ``empirical.train.checkpoint.load_network``."""
    code = "import and call this encoder of your own, if the checkpoint names it (none: a checkpoint runs no code)"
    parser.group(group).add_argument("--trust-encoder", nargs="+", default=[], metavar="MODULE:FACTORY", help=code)


def require_trust_taken(args: Namespace) -> None:
    """Refuse ``--trust-encoder`` without a checkpoint."""
    if args.trust_encoder and args.checkpoint is None:
        raise ParameterError("--trust-encoder goes with --checkpoint")


def require_source(args: Namespace) -> None:
    """Raise ParameterError unless the options of ``add_source`` that were given go together."""
    if (args.checkpoint is None) == (args.features is None):
        raise ParameterError("one of --checkpoint and --features is required")
    require_trust_taken(args)
    if args.checkpoint is not None and (args.labels is not None or args.classes is not None):
        raise ParameterError("--checkpoint brings its own labels: --labels and --classes go with --features")
    if args.labels is not None and args.classes is not None:
        raise ParameterError("--classes and --labels exclude each other")
    if args.drop_small_classes and args.labels is None:
        raise ParameterError("--drop-small-classes goes with --labels")
    if args.classes is not None:
        require_integer("classes", args.classes, 2)


def add_given(parser: Parser) -> None:
    """The options of ``Given``: an arm's values in place of the plan's, or of those that the paper states."""
    add = parser.group("loss and remedy").add_argument
    bands = f"the selector's band: {', '.join(BANDS)} (theory; paper for the paper's arms)"
    add("--band", metavar="BAND", help=f"{bands}; HIGH,LOW are two percentiles, such as .15,.22")
    add("--sigma", type=float, help="margin, >= 0 (the plan's; the paper's for its arms)")
    add("--rho", type=float, help="temperature factor, > 0, for our arms <= 1 (the plan's; the paper's for its arms)")
    ranking = f"rank the pairs of the whole batch or of each anchor: {', '.join(RANKINGS)} ({Given.ranking})"
    add("--ranking", choices=RANKINGS, help=ranking)
    add("--stated", choices=list(STATED), help="the paper's data set whose values its arms take (that of the data)")


def chosen_given(args: Namespace) -> dict[str, Any]:
    """The fields of ``Given`` that were given; a recipe for one of the paper's data sets names it."""
    found = {name: getattr(args, name) for name in Given.__dataclass_fields__ if getattr(args, name) is not None}
    named = stated(args.data or "") or stated((args.recipe or "").removeprefix("paper-"))
    return ({} if named is None else {"stated": named}) | found


def require_taken(args: Namespace) -> None:
    """Refuse an option of ``Given`` that makes no difference to the arm."""
    for name in Given.__dataclass_fields__:
        if getattr(args, name) is not None and name not in taken(args.arm):
            raise ParameterError(f"--{name} makes no difference to --arm {args.arm}")
