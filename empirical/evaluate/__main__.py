"""Linear probe and kNN of a checkpoint: ``python -m empirical.evaluate``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from empirical.data import load
from empirical.evaluate.probes import PROTOCOLS, Protocol, describe, evaluate_network, fingerprint
from empirical.train.checkpoint import load_network
from theory.checks import require
from theory.command import Parser, run


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of ``python -m empirical.evaluate``."""
    return run(_command, argv)


def _command(argv: Sequence[str] | None) -> None:
    parser = Parser(prog="python -m empirical.evaluate", description=__doc__)
    add = parser.add_argument
    add("--checkpoint", type=Path, required=True, help="checkpoint.pt of empirical.train")
    add("--data", help="evaluate on other data (those of the run)")
    add("--protocol", default="lbfgs", help=f"the linear probe: {', '.join(PROTOCOLS)} (lbfgs)")
    add("--labels-per-class", type=int, help="train the probe on so few labels, averaged over draws (all)")
    add("--draws", type=int, default=50, help="label draws (50)")
    add("--knn-k", type=int, default=20, help="neighbours (20)")
    add("--knn-tau", type=float, default=0.1, help="temperature of their votes (0.1)")
    add("--json", action="store_true", help="print JSON")
    args = parser.parse_args(argv)
    protocol = Protocol(args.protocol, args.labels_per_class, args.draws, args.knn_k, args.knn_tau)
    settings, network = load_network(args.checkpoint)
    if args.data is None:
        images = settings.original_images()
    else:
        resized = args.data.startswith("folder:")
        images = load(args.data, image_size=settings.image_size if resized else None)
    channels = network.channels
    require(images.x_train.shape[1] == channels, "data", args.data, f"images of {channels} channels")
    scores = evaluate_network(network, images, protocol, settings.augmentation)
    if args.json:
        document = {"checkpoint": str(args.checkpoint), "fingerprint": fingerprint(network)}
        print(json.dumps({**document, "protocol": asdict(protocol), **scores}, indent=2))
        return
    print(f"{args.checkpoint}: {settings.arm}, {settings.epochs} epochs, final weights; {images.name}")
    print(describe(scores, protocol))
    print(f"  network unchanged by the evaluation: sha256 {fingerprint(network)[:16]}")


if __name__ == "__main__":
    raise SystemExit(main())
