"""Views of images through a frozen encoder, kept as training data for adapters: ``python -m empirical.embed``."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from empirical.embed.settings import CACHED, COMPONENTS, DEFAULT_SIDE, EFFICIENTNET, OPTIONS, SIDE, VIEWS, Embedding
from empirical.options import add_trust, require_trust_taken
from empirical.train.options import add_arguments
from empirical.train.settings import settings_from_arguments
from theory.checks import ParameterError, require
from theory.command import Parser, output, run


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
            "--data folder:photos --checkpoint runs/one/checkpoint.pt --out caches/photos.npz",
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
    add("--encoder", help=f"{EFFICIENTNET} (pretrained on ImageNet) or MODULE:FACTORY ({EFFICIENTNET})")
    add("--checkpoint", type=Path, help="checkpoint.pt of empirical.train: its encoder instead")
    add_trust(found, "frozen encoder")
    side = f"pixels a side to which images are resized for it, {SIDE} ({DEFAULT_SIDE}; your own: as they are)"
    add("--side", type=int, help=side)
    kept = f"principal components of its features that are kept, {COMPONENTS}; 0 for all features"
    add("--components", type=int, default=default.components, help=kept)
    add = found.group("output").add_argument
    add(
        "--out",
        type=output,
        metavar="NAME",
        required=True,
        help="an .npz file; -0, -1, … come before the suffix where --sets > 1",
    )
    return found


def _command(args: Namespace) -> None:
    if args.data is None:
        raise ParameterError("--data is required: digits, cifar10, cifar100, stl10, npz:PATH or folder:PATH")
    require(not args.data.startswith("views:"), "data", args.data, CACHED)
    if args.checkpoint is not None and args.encoder is not None:
        raise ParameterError("--encoder and --checkpoint exclude each other")
    require_trust_taken(args)
    default = Embedding()
    chosen: dict[str, Any] = {
        name: getattr(args, name)
        for name in ("views", "encoder", "checkpoint", "side", "components", "sets")
        if getattr(args, name) is not None
    }
    settings = replace(settings_from_arguments(args, default.settings), seed=args.seed)
    embedding = Embedding(settings, **chosen, trusted=tuple(args.trust_encoder))
    embedding.paths(args.out)
    from tqdm import tqdm

    from empirical.embed.embedding import embed

    with tqdm(desc="embed", unit="image", smoothing=0.05, delay=1e-3) as bar:  # delayed: nothing before an error

        def show(done: int, total: int) -> None:
            if bar.total is None:
                embedding.settings.original_images().reading.announce()
            bar.total = total
            bar.update(done - bar.n)

        paths = embed(embedding, args.out, show)
    print("\n".join(f"--data views:{path}" for path in paths))


if __name__ == "__main__":
    raise SystemExit(main())
