"""Linear probe and kNN of a checkpoint or of one's own features: ``python -m empirical.evaluate``."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from empirical.choices import PROTOCOLS
from empirical.evaluate.protocol import STEPS, Protocol
from empirical.options import add_samples, add_trust, columns_of, require_trust_taken, samples_of
from empirical.paper import STATED
from theory.checks import ParameterError
from theory.command import Parser, run

ONLY_CHECKPOINT = ("data", "skip_unreadable")
ONLY_FEATURES = (
    "labels",
    "skip_unusable",
    "feature_columns",
    "label_column",
    "id_column",
    "image_column",
    "ids",
    "test_features",
    "test_labels",
)


def main(argv: Sequence[str] | None = None, prog: str = "python -m empirical.evaluate") -> int:
    """Entry point of ``python -m empirical.evaluate``."""
    return run(parser(prog), _command, argv)


def parser(prog: str) -> Parser:
    """The command's options."""
    found = Parser(
        prog,
        __doc__,
        "(--checkpoint FILE | --features FILE --labels FILE) [options]",
        (
            "--features examples/features.npy --labels examples/labels.npy",
            "--checkpoint runs/digits/checkpoint.pt --labels-per-class 5 --draws 20 --json",
        ),
    )
    add = found.group("what is measured").add_argument
    add("--checkpoint", type=Path, help="checkpoint.pt of empirical.train")
    add_trust(found, "what is measured")
    add(
        "--data",
        help="other data than those of the run: digits, cifar10, cifar100, stl10, npz:PATH, folder:PATH or views:PATH",
    )
    add("--skip-unreadable", action="store_true", help="leave out images of a --data folder that cannot be read")
    add_samples(found, "needed with --features")
    add("--test-features", nargs="+", metavar="FILE", help="likewise, to test on (every fifth row of a class)")
    add("--test-labels", nargs="+", metavar="FILE", help="theirs (the column of --label-column in --test-features)")
    add = found.group("linear probe").add_argument
    named = f"how it is fitted, see docs/evaluation.md: {', '.join(PROTOCOLS)}"
    add("--protocol", choices=PROTOCOLS, default=Protocol.probe, help=named)
    add(
        "--stated",
        choices=list(STATED),
        help="the paper's data set whose settings --protocol paper has (that of the data)",
    )
    add("--labels-per-class", type=int, help="train on so few labels, >= 1, averaged over draws (all labels)")
    add("--draws", type=int, default=Protocol.draws, help="label draws, >= 1")
    add = found.group("nearest neighbours").add_argument
    add("--knn-neighbours", type=int, default=Protocol.k, help="neighbours, >= 1, all images where there are fewer")
    add("--knn-tau", type=float, help="temperature of their votes, > 0 (0.1; under adnce the run's own τ)")
    found.group("output").add_argument("--json", action="store_true", help="print JSON")
    return found


def _command(args: Namespace) -> None:
    counted = args.labels_per_class, args.draws, args.knn_neighbours, args.knn_tau
    Protocol.named(args.protocol, "", Protocol.tau, *counted)  # before anything is loaded
    _require_source(args)
    if args.features is None:
        _evaluate_checkpoint(args, counted)
    else:
        _evaluate_features(args, counted)


def _require_source(args: Namespace) -> None:
    if (args.checkpoint is None) == (args.features is None):
        raise ParameterError("one of --checkpoint and --features is required")
    require_trust_taken(args)
    other, options = ("--checkpoint", ONLY_CHECKPOINT) if args.checkpoint is None else ("--features", ONLY_FEATURES)
    for name in options:
        if getattr(args, name):
            raise ParameterError(f"--{name.replace('_', '-')} goes with {other}")
    for name in ("skip_unreadable", "drop_small_classes"):
        if getattr(args, name) and args.checkpoint is not None and args.data is None:
            raise ParameterError(f"--{name.replace('_', '-')} goes with --data: the run has its own")
    if args.test_labels is not None and args.test_features is None:
        raise ParameterError("--test-labels goes with --test-features")
    if args.stated is not None and args.protocol != "paper":
        raise ParameterError("--stated goes with --protocol paper")
    if args.features is not None and args.protocol == "adnce":
        raise ParameterError(
            "--protocol adnce trains on views of images, through the network: it goes with --checkpoint"
        )


def _evaluate_features(args: Namespace, counted: tuple[Any, ...]) -> None:
    from empirical.data.samples import read_samples
    from empirical.evaluate.own import halves, reading_of_test
    from empirical.evaluate.scoring import describe, evaluate_features

    protocol = Protocol.named(args.protocol, args.stated or " ".join(args.features), Protocol.tau, *counted)
    own, test = samples_of(args, map), None
    readings = {"reading": own.reading}
    if args.test_features is not None:
        test = read_samples(
            args.test_features, args.test_labels, False, map, columns_of(args), None, args.skip_unusable
        )
        readings["test_reading"] = reading_of_test(own, test)
    found = halves(own, test)
    scores = evaluate_features("encoder", found.x, found.y, found.x_test, found.y_test, protocol, found.copies)
    count = {"train": len(found.y), "test": len(found.y_test)}
    if args.json:
        document: dict[str, Any] = {"features": own.source, **count}
        document |= {name: reading.to_json() for name, reading in readings.items()}
        print(json.dumps({**document, "protocol": protocol.to_json(), **scores}, indent=2))
        return
    for reading in readings.values():
        reading.announce()
    print(f"{own.source}: {count['train']} rows to train on, {count['test']} to test on")
    print(describe(scores, protocol))


def _evaluate_checkpoint(args: Namespace, counted: tuple[Any, ...]) -> None:
    from empirical.encoders import ImageNetwork
    from empirical.evaluate.scoring import fingerprint
    from empirical.train.checkpoint import load_network
    from empirical.train.logs import StepBar

    settings, network = load_network(args.checkpoint, args.trust_encoder)
    source = args.stated or args.data or settings.data
    kind, protocol = settings.kind, Protocol.named(args.protocol, source, settings.tau, *counted)
    kind.require_protocol(protocol)
    if args.data is None:
        data = settings.original_data_set()
    else:
        resized = args.data.startswith("folder:")
        size = settings.image_size if resized else None
        left_out = {name: getattr(args, name) for name in ("skip_unreadable", "drop_small_classes")}
        given = replace(settings, data=args.data, train=None, test=None, image_size=size, **left_out)
        data = kind.load(given)
    found = data.x_train.shape[1]
    if isinstance(network, ImageNetwork) and found != network.channels:
        raise ParameterError(f"--data {args.data}: images of {found} channels, the network takes {network.channels}")
    with StepBar("probe on views", STEPS["adnce"][0]) as bar:
        scores = kind.evaluate(network, settings, data, protocol, settings.augmentation, bar)
    if args.json:
        document: dict[str, Any] = {"checkpoint": str(args.checkpoint), "fingerprint": fingerprint(network)}
        document["reading"] = data.reading.to_json()
        print(json.dumps({**document, "protocol": kind.document(protocol), **scores}, indent=2))
        return
    data.reading.announce()
    print(f"{args.checkpoint}: {settings.arm}, {settings.epochs} epochs, final weights; {data.name}")
    print(kind.describe(scores, protocol))
    print(f"  network unchanged by the evaluation: sha256 {fingerprint(network)[:16]}")


if __name__ == "__main__":
    raise SystemExit(main())
