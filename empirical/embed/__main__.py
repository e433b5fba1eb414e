"""Features of images, or of views of them for adapters, through a frozen encoder: ``python -m empirical.embed``."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from empirical.embed.settings import (
    CACHED,
    COMPONENTS,
    DEFAULT_SIDE,
    EFFICIENTNET,
    OPTIONS,
    SIDE,
    TABLE,
    VIEW_OPTIONS,
    VIEWS,
    Embedding,
)
from empirical.options import add_trust, require_trust_taken
from empirical.train.options import add_arguments
from empirical.train.settings import settings_from_arguments
from theory.checks import ParameterError, require
from theory.command import Parser, output, run

OF_VIEWS = ("views", "components", "sets", "seed", "imbalance", "omega", *VIEW_OPTIONS)


def main(argv: Sequence[str] | None = None, prog: str = "python -m empirical.embed") -> int:
    """Entry point of ``python -m empirical.embed``."""
    return run(parser(prog), _command, argv, resumable=True)


def parser(prog: str) -> Parser:
    """The command's options."""
    found = Parser(
        prog,
        __doc__,
        "--data DATA --out FILE [options]",
        (
            "--data cifar10 --train 5000 --out caches/cifar10.npz",
            "--data folder:photos --encoder timm:resnet50.a1_in1k --pretrained --out photos.parquet",
        ),
    )
    default = Embedding()
    add_arguments(found, default.settings, needed=["data"], only=OPTIONS)
    add = found.group("data").add_argument
    add("--sets", type=int, default=default.sets, metavar="S", help="disjoint training sets of --train images, >= 1")
    add = found.group("views").add_argument
    add("--views", type=int, default=default.views, metavar="V", help=f"views of each training image, {VIEWS}")
    add("--seed", type=int, default=default.settings.seed, help="of the views, >= 0")
    add = found.group("frozen encoder").add_argument
    named = f"{EFFICIENTNET} (of ImageNet), timm:NAME, torchvision:NAME or MODULE:FACTORY ({EFFICIENTNET})"
    add("--encoder", help=named)
    add("--pretrained", action="store_true", help="with the weights of the library, of timm:NAME and torchvision:NAME")
    weights = "weights for --encoder: a state dict in .pt, .pth or .safetensors, or a run's checkpoint.pt"
    add("--weights", type=Path, help=weights)
    add("--checkpoint", type=Path, help="checkpoint.pt of empirical.train, or an export: its encoder instead")
    add_trust(found, "frozen encoder")
    side = f"pixels a side for it, {SIDE} ({DEFAULT_SIDE}, or the library's; your own and a checkpoint's: as they are)"
    add("--side", type=int, help=side)
    kept = f"principal components of its features that are kept, {COMPONENTS}; 0 for all features"
    add("--components", type=int, default=default.components, help=kept)
    add = found.group("output").add_argument
    add(
        "--out",
        type=output,
        metavar="NAME",
        required=True,
        help="a .parquet file of ids, labels and features of the images themselves (in 32-true), or an .npz file of "
        "views; -0, -1, … come before the suffix where --sets > 1",
    )
    return found


def _command(args: Namespace) -> None:
    if args.data is None:
        raise ParameterError("--data is required: digits, cifar10, cifar100, stl10, npz:PATH or folder:PATH")
    require(not args.data.startswith("views:"), "data", args.data, CACHED)
    if args.checkpoint is not None and args.encoder is not None:
        raise ParameterError("--encoder and --checkpoint exclude each other")
    require_trust_taken(args)
    table, default = args.out.suffix == TABLE, Embedding()
    if table:
        _require_no_views(args)
        default = replace(default, settings=replace(default.settings, precision="32-true"))
    chosen: dict[str, Any] = {
        name: getattr(args, name)
        for name in ("views", "encoder", "pretrained", "weights", "checkpoint", "side", "components", "sets")
        if getattr(args, name) is not None
    }
    of_images = Namespace(**{name: getattr(args, name) for name in OPTIONS})
    settings = replace(settings_from_arguments(of_images, default.settings), seed=args.seed)
    embedding = Embedding(settings, **chosen, trusted=tuple(args.trust_encoder))
    if not table:
        embedding.paths(args.out)
    from theory.bars import Bar

    embedding = embedding.at_own_size(views=not table)
    with Bar(desc="embed", unit="image", smoothing=0.05, delay=1e-3) as bar:  # delayed: nothing before an error

        def show(done: int, total: int) -> None:
            if bar.total is None:
                embedding.settings.original_data_set().reading.announce()
            bar.total = total
            bar.update(done - bar.n)

        if table:
            from empirical.embed.features import embed_images

            written = f"--features {embed_images(embedding, args.out, show)} --label-column label --id-column id"
            written += " --image-column image" * embedding.settings.data.startswith("folder:")
        else:
            from empirical.embed.embedding import embed

            written = "\n".join(f"--data views:{path}" for path in embed(embedding, args.out, show))
    print(written)


def _require_no_views(args: Namespace) -> None:
    """Refuse options of views, which a table has none of."""
    given = parser("").parse_args(["--out", "x"])
    for name in OF_VIEWS:
        if getattr(args, name) != getattr(given, name):
            raise ParameterError(f"--{name.replace('_', '-')} is of views: it goes with --out FILE.npz")


if __name__ == "__main__":
    raise SystemExit(main())
