"""Linear probe and kNN of a checkpoint: ``python -m empirical.evaluate``."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from empirical.choices import PROTOCOLS
from empirical.evaluate.protocol import STEPS, Protocol
from empirical.options import add_trust
from theory.checks import ParameterError
from theory.command import Parser, run


def main(argv: Sequence[str] | None = None, prog: str = "python -m empirical.evaluate") -> int:
    """Entry point of ``python -m empirical.evaluate``."""
    return run(parser(prog), _command, argv)


def parser(prog: str) -> Parser:
    """The command's options."""
    found = Parser(
        prog,
        __doc__,
        "--checkpoint FILE [options]",
        (
            "--checkpoint runs/digits/checkpoint.pt",
            "--checkpoint runs/digits/checkpoint.pt --labels-per-class 5 --draws 20 --json",
        ),
    )
    add = found.group("what is evaluated").add_argument
    add("--checkpoint", type=Path, required=True, help="checkpoint.pt of empirical.train")
    add_trust(found, "what is evaluated")
    add(
        "--data",
        help="other data than those of the run: digits, cifar10, cifar100, stl10, npz:PATH, folder:PATH or views:PATH",
    )
    add("--skip-unreadable", action="store_true", help="leave out images of a --data folder that cannot be read")
    add("--drop-small-classes", action="store_true", help="leave out classes of --data with one training image")
    add = found.group("linear probe").add_argument
    named = f"how it is fitted, see docs/evaluation.md: {', '.join(PROTOCOLS)}"
    add("--protocol", choices=PROTOCOLS, default=Protocol.probe, help=named)
    add("--labels-per-class", type=int, help="train on so few labels, >= 1, averaged over draws (all labels)")
    add("--draws", type=int, default=Protocol.draws, help="label draws, >= 1")
    add = found.group("nearest neighbours").add_argument
    add("--knn-k", type=int, default=Protocol.k, help="neighbours, >= 1, all images where there are fewer")
    add("--knn-tau", type=float, help="temperature of their votes, > 0 (0.1; under adnce the run's own τ)")
    found.group("output").add_argument("--json", action="store_true", help="print JSON")
    return found


def _command(args: Namespace) -> None:
    counted = args.labels_per_class, args.draws, args.knn_k, args.knn_tau
    Protocol.named(args.protocol, "", Protocol.tau, *counted)  # before anything is loaded
    from empirical.data import load
    from empirical.evaluate.scoring import describe, evaluate_network, fingerprint
    from empirical.train.checkpoint import load_network
    from empirical.train.logs import StepBar

    settings, network = load_network(args.checkpoint, args.trust_encoder)
    protocol = Protocol.named(args.protocol, args.data or settings.data, settings.tau, *counted)
    for name in ("skip_unreadable", "drop_small_classes"):
        if getattr(args, name) and args.data is None:
            raise ParameterError(f"--{name.replace('_', '-')} goes with --data: the run has its own")
    if args.data is None:
        images = settings.original_images()
    else:
        resized = args.data.startswith("folder:")
        size = settings.image_size if resized else None
        images = load(args.data, None, None, size, args.skip_unreadable, args.drop_small_classes)
    found = images.x_train.shape[1]
    if found != network.channels:
        raise ParameterError(f"--data {args.data}: images of {found} channels, the network takes {network.channels}")
    with StepBar("probe on views", STEPS["adnce"][0]) as bar:
        scores = evaluate_network(network, images, protocol, settings.augmentation, bar)
    if args.json:
        document: dict[str, Any] = {"checkpoint": str(args.checkpoint), "fingerprint": fingerprint(network)}
        document["reading"] = images.reading.to_json()
        print(json.dumps({**document, "protocol": protocol.to_json(), **scores}, indent=2))
        return
    images.reading.announce()
    print(f"{args.checkpoint}: {settings.arm}, {settings.epochs} epochs, final weights; {images.name}")
    print(describe(scores, protocol))
    print(f"  network unchanged by the evaluation: sha256 {fingerprint(network)[:16]}")


if __name__ == "__main__":
    raise SystemExit(main())
