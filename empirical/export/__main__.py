"""A run's encoder for use elsewhere, with a model card: ``python -m empirical.export``."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from empirical.export.formats import DEFAULT_FORMATS, FORMATS
from empirical.options import add_trust
from theory.command import Parser, output, run


def main(argv: Sequence[str] | None = None, prog: str = "python -m empirical.export") -> int:
    """Entry point of ``python -m empirical.export``."""
    return run(parser(prog), _command, argv)


def parser(prog: str) -> Parser:
    """The command's options."""
    found = Parser(
        prog,
        __doc__,
        "--checkpoint FILE --out FOLDER [options]",
        (
            "--checkpoint runs/one/checkpoint.pt --out models/one",
            "--checkpoint runs/one/checkpoint.pt --formats torchscript onnx --out models/one",
        ),
    )
    add = found.group("encoder").add_argument
    add("--checkpoint", type=Path, required=True, help="checkpoint.pt of empirical.train, or the run's folder")
    add_trust(found, "encoder")
    add = found.group("output").add_argument
    formats = f"beside the weights in safetensors: {', '.join(FORMATS[1:])} ({' '.join(DEFAULT_FORMATS[1:])})"
    add("--formats", nargs="+", choices=FORMATS, default=None, help=formats)
    add("--out", type=output, metavar="FOLDER", required=True, help="a new folder, or that of an export")
    return found


def _command(args: Namespace) -> None:
    from empirical.export.writing import export

    paths = export(args.checkpoint, args.out, args.formats or DEFAULT_FORMATS, tuple(args.trust_encoder))
    print("\n".join(map(str, paths)))


if __name__ == "__main__":
    raise SystemExit(main())
