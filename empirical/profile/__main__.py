"""Measure α, β, γ, ε and δ on real features: ``python -m empirical.profile``."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from empirical.choices import SHARE
from empirical.options import add_source, require_source, samples_of
from empirical.profile.reading import describe
from theory.checks import is_finite, require
from theory.command import Parser, add_workers, chosen_workers, output, run
from theory.files import json_text, picture, require_writable, write_together
from theory.plan import plan_from_profile
from theory.workers import workers

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from empirical.data.features import Mapper
    from empirical.profile.measurement import Measurement


PICTURES = (".png", ".svg")
NEED_LABELS = "labels, whose pairs of classes are drawn"


def main(argv: Sequence[str] | None = None, prog: str = "python -m empirical.profile") -> int:
    """Entry point of ``python -m empirical.profile``."""
    return run(parser(prog), _command, argv)


def parser(prog: str) -> Parser:
    """The command's options."""
    found = Parser(
        prog,
        __doc__,
        "(--features FILE | --checkpoint FILE) [options]",
        (
            "--features examples/features.npy --labels examples/labels.npy --out profile.json --heatmap pairs.png",
            "--features examples/features.npy --classes 10",
        ),
    )
    add_source(found, "without, clusters")
    add = found.group("what is measured").add_argument
    add("--difficult-share", type=float, default=SHARE, help="share of each class taken for difficult, 0 to 1")
    add("--tau", type=float, help="temperature of the loss that trained the features, > 0 (that of the checkpoint)")
    add = found.group("output").add_argument
    add("--out", type=output, help="write the profile, for theory.bounds, to this JSON file")
    add("--difficult-out", type=output, help="write the indices of the difficult samples to this .npy file")
    add("--heatmap", type=output, help="draw the severity of pairs of classes to this .png or .svg file")
    add("--json", action="store_true", help="print the profile as JSON")
    add_workers(found)
    return found


def _command(args: Namespace) -> None:
    require_source(args)
    require(args.tau is None or (is_finite(args.tau) and args.tau > 0), "tau", args.tau, "tau > 0")
    for path in (args.out, args.difficult_out, args.heatmap):
        if path is not None:
            require_writable(path)
    if args.heatmap is not None:
        suffixes = "a name ending in " + " or ".join(PICTURES)
        require(args.heatmap.suffix in PICTURES, "--heatmap", args.heatmap, suffixes)
        labelled = args.checkpoint is not None or args.labels is not None or args.label_column is not None
        require(labelled, "--heatmap", args.heatmap, NEED_LABELS)
    from empirical.data.arrays import array_bytes

    with workers(**chosen_workers(args)) as pool:
        result, difficult = _measure(args, pool.map)
    if not args.json and result.profile.reading is not None:  # in JSON it is a part
        print(result.profile.reading["line"], file=sys.stderr)
    plan = plan_from_profile(result.profile)
    text = describe(result.profile, plan)
    written: dict[Path, bytes | str] = {}
    if args.difficult_out:
        written[args.difficult_out] = array_bytes(difficult)
    if args.out:
        written[args.out] = json_text(result.profile.to_json())
    if args.heatmap:
        from empirical.profile.heatmap import heat_map

        written[args.heatmap] = picture(heat_map(result.profile), args.heatmap.suffix)
    write_together(written)
    print(json.dumps(result.profile.to_json(), indent=2, allow_nan=False) if args.json else text)


def _measure(args: Namespace, mapper: Mapper) -> tuple[Measurement, NDArray[np.int64]]:
    """The measurement, and which rows of the files, or images, are difficult."""
    from empirical.profile.measurement import measure, measure_network

    if args.checkpoint is not None:
        from empirical.train.checkpoint import load_network
        from empirical.train.trained import origin, require_unlabelled

        settings, network = load_network(args.checkpoint, args.trust_encoder)
        data = settings.data_set()
        require_unlabelled(data, args.classes)
        if args.heatmap is not None:
            require(data.labelled, "--heatmap", args.heatmap, NEED_LABELS)
        source, view, share = origin(settings), settings.augmentation, args.difficult_share
        tau = settings.temperature if args.tau is None else args.tau
        found = measure_network(network, data, source, view, share, mapper, tau, settings.batch, args.classes)
        return found, found.difficult.nonzero()[0]
    read = samples_of(args, mapper)
    spaces, labels, share = {"encoder": read.features}, read.labels, args.difficult_share
    names = read.names
    found = measure(spaces, labels, read.source, args.classes, share, mapper=mapper, tau=args.tau, names=names)
    profile = replace(found.profile, reading=read.reading.to_json())
    return replace(found, profile=profile), read.rows[found.difficult]


if __name__ == "__main__":
    raise SystemExit(main())
