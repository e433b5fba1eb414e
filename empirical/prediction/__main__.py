"""Predicted accuracy of a linear probe from training features alone: ``python -m empirical.prediction``."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Literal

from empirical.options import add_samples, samples_of
from theory.checks import ParameterError, require
from theory.command import Parser, add_workers, chosen_workers, run
from theory.workers import workers


def main(argv: Sequence[str] | None = None, prog: str = "python -m empirical.prediction") -> int:
    """Entry point of ``python -m empirical.prediction``."""
    return run(parser(prog), _command, argv)


def parser(prog: str) -> Parser:
    """The command's options."""
    found = Parser(
        prog,
        __doc__,
        "--features FILE --labels FILE [options]",
        (
            "--features examples/features.npy --labels examples/labels.npy",
            "--features examples/features.npy --labels examples/labels.npy --labels-per-class 5 --metrics --json",
        ),
    )
    add_samples(found, "those of a probe's training set", required=True)
    add = found.group("what is predicted").add_argument
    add("--labels-per-class", type=int, help="labels per class that the probe is trained on, >= 1 (all labels)")
    add("--c", type=float, default=1.0, help="its inverse regularisation, scikit-learn's C, > 0")
    parts = "kinds of samples in a class: 1, or 2, an easy and a difficult one"
    add("--components", type=int, choices=(1, 2), help=f"{parts} (2; 1 with --pooled)")
    add("--pooled", action="store_true", help="one covariance for all classes: faster, one component, less accurate")
    add("--metrics", action="store_true", help="measure what the field ranks features by too (features in memory)")
    found.group("output").add_argument("--json", action="store_true", help="print JSON")
    add_workers(found)
    return found


def _command(args: Namespace) -> None:
    import numpy as np

    from empirical.data.labels import UNLABELLED
    from empirical.prediction import describe, describe_metrics, measure_metrics, predict

    if args.labels is None and args.label_column is None:
        raise ParameterError("one of --labels and --label-column is required")
    require(not args.pooled or args.components != 2, "--components", args.components, "1 with --pooled")
    components = args.components or (1 if args.pooled else 2)
    with workers(**chosen_workers(args)) as pool:
        read = samples_of(args, pool.map)
        assert read.labels is not None
        labelled = np.flatnonzero(read.labels != UNLABELLED)
        require(len(labelled) > 0, "labels", "none", "labels of some samples")
        features, labels = read.features.only(labelled), read.labels[labelled]
        covariance: Literal["own", "pooled"] = "pooled" if args.pooled else "own"
        found = predict(features, labels, args.labels_per_class, covariance, components, pool.map, args.c)
    metrics = None
    if args.metrics:
        metrics = measure_metrics(np.concatenate([chunk.raw() for chunk in features.chunks()]), labels)
    source = read.source
    if args.json:
        document: dict[str, Any] = {"source": source, "labels_per_class": args.labels_per_class, "c": args.c}
        document |= {"components": components, "covariance": covariance, **asdict(found)}
        document |= {"metrics": metrics} if metrics is not None else {}
        document["reading"] = read.reading.to_json()
        print(json.dumps(document, indent=2, allow_nan=False))
        return
    read.reading.announce()
    print(describe(source, found, args.labels_per_class, components))
    if metrics is not None:
        print(describe_metrics(metrics))


if __name__ == "__main__":
    raise SystemExit(main())
