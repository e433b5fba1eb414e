"""What commands share: from where features come, in files or by a checkpoint; and an arm's values that are given."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from empirical.arms import BANDS, RANKINGS, Given, taken
from empirical.paper import STATED, stated
from theory.checks import ParameterError, require_integer
from theory.command import Parser

if TYPE_CHECKING:
    from torch import Tensor

    from empirical.data.features import Mapper
    from empirical.data.samples import Columns, Samples
    from empirical.data.sources import ImageFiles

FORMATS = ".npy, .npz, .parquet, .csv, .feather, .pt, .safetensors, .h5"
SEVERAL = "several files, folders or patterns, such as 'shards/*.npy', are one, sorted by name (part-10 after part-9)"


def add_samples(parser: Parser, labels: str, required: bool = False) -> None:
    """The options of ``read_samples``; ``labels`` says what each command makes of labels."""
    add = parser.group("what is measured").add_argument
    features = f"features, floats of shape (N, d), in {FORMATS}; {SEVERAL}"
    add("--features", nargs="+", metavar="FILE", required=required, help=features)
    of_labels = f"labels, integers or names, −1, null, NaN or empty for none, in such files or .txt; {labels}"
    add("--labels", nargs="+", metavar="FILE", help=of_labels)
    add("--drop-small-classes", action="store_true", help="leave out classes with fewer than two samples that differ")
    add("--skip-unusable", action="store_true", help="leave out rows that are NaN, infinite or all zero")
    add = parser.group("columns of a table, arrays of a file").add_argument
    of_features = "the features, names or patterns such as 'f*' (the only list column or matrix, or all floats)"
    add("--feature-columns", nargs="+", metavar="COLUMN", help=of_features)
    add("--label-column", metavar="COLUMN", help="labels, in the file of --labels or of --features")
    add("--id-column", metavar="COLUMN", help="ids, by which results call samples")
    add("--image-column", metavar="COLUMN", help="paths of pictures, relative to the table")
    add("--ids", nargs="+", metavar="FILE", help="a file of ids instead, in the order of the features")


def samples_of(args: Namespace, mapper: Mapper) -> Samples:
    """The samples that the options of ``add_samples`` name."""
    from empirical.data.samples import read_samples

    dropped = args.drop_small_classes
    return read_samples(args.features, args.labels, dropped, mapper, columns_of(args), args.ids, args.skip_unusable)


def columns_of(args: Namespace) -> Columns:
    """What the options of ``add_samples`` say of a table's columns."""
    from empirical.data.samples import Columns

    named = args.label_column, args.id_column, args.image_column
    return Columns(tuple(args.feature_columns or ()), *named)


def add_source(parser: Parser, labels: str) -> None:
    """The options of ``add_samples``, and the number of classes or a checkpoint in their place."""
    add_samples(parser, labels)
    add = parser.group("what is measured").add_argument
    add("--classes", type=int, help="number of classes, >= 2, where there are no labels (an estimate)")
    add("--checkpoint", type=Path, help="checkpoint.pt of empirical.train: its network on its training images")
    add_trust(parser, "what is measured")


def source_of(args: Namespace, mapper: Mapper, space: str = "encoder") -> tuple[Samples, Tensor | ImageFiles | None]:
    """The samples that the options of ``add_source`` name, and a checkpoint's images."""
    if args.checkpoint is None:
        return samples_of(args, mapper), None
    from empirical.train.trained import trained_samples

    return trained_samples(args.checkpoint, args.trust_encoder, space, args.classes)


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
    labelled = args.labels is not None or args.label_column is not None
    if args.checkpoint is not None and labelled:
        raise ParameterError("--checkpoint brings its own labels: --labels goes with --features")
    for name in ("feature_columns", "id_column", "image_column", "ids", "skip_unusable"):
        if args.checkpoint is not None and getattr(args, name):
            raise ParameterError(f"--{name.replace('_', '-')} goes with --features")
    if labelled and args.classes is not None:
        raise ParameterError("--classes and --labels exclude each other")
    if args.drop_small_classes and not labelled:
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
    add(
        "--stated",
        choices=list(STATED),
        help="the paper's data set whose values its arms and its protocol take (that of the data)",
    )


def chosen_given(args: Namespace) -> dict[str, Any]:
    """The fields of ``Given`` that were given; a recipe for one of the paper's data sets names it."""
    found = {name: getattr(args, name) for name in Given.__dataclass_fields__ if getattr(args, name) is not None}
    named = stated(args.data or "") or stated((args.recipe or "").removeprefix("paper-"))
    return ({} if named is None else {"stated": named}) | found


def require_taken(args: Namespace) -> None:
    """Refuse an option of ``Given`` that makes no difference to the arm."""
    for name in Given.__dataclass_fields__:
        probed = name == "stated" and args.protocol == "paper"  # whose probe has settings of its own for every data set
        if getattr(args, name) is not None and name not in taken(args.arm) and not probed:
            raise ParameterError(f"--{name} makes no difference to --arm {args.arm}")
