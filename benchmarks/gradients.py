"""How far the paper's arms and ours change a gradient, and whether in one direction.

On a network trained without a remedy, the gradient of a batch's loss is taken without remedy, with the paper's form of
it (equations 13–16) and with ours, at the same σ, ρ, band and τ. What is compared is what each adds to the gradient of
all weights. Run as ``python benchmarks/gradients.py [--checkpoint FILE] [--json FILE]``; half a minute on one core.
"""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # before this file's folder, whose theory.py is no package

import torch
from torch import Tensor

from benchmarks.theory import Rows, machine
from empirical.arms import PairRemedy, pair_remedy
from empirical.compare.presets import PRESETS
from empirical.data import take
from empirical.encoders import Network
from empirical.losses import NO_REMEDY, Objective, two_view_pairs
from empirical.paper import STATED
from empirical.selection import NO_FLAGS, Flags, flag
from empirical.statistics import mean_interval
from empirical.train.checkpoint import load_network
from empirical.train.loop import train
from empirical.train.settings import Settings
from theory.command import Parser, markdown_table, output, run
from theory.files import write_json

SCHEMA = "difficult-examples/benchmark-gradients/1"
ARMS = ("margin", "temperature", "combined", "removal")
DATA = ("cifar10", "cifar100")  # of the paper: its two bands
BATCHES = 20
QUANTITIES = {
    "positives": "positives in the band, %",
    "paper": "paper's change, % of the gradient",
    "ours": "ours, %",
    "cosine": "cosine of the changes",
    "spared": "with the paper's positives left alone",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    parser = Parser("python benchmarks/gradients.py", description=__doc__)
    parser.add_argument("--checkpoint", type=Path, help="of a run without a remedy (a network for digits, trained now)")
    parser.add_argument("--json", type=output, help="write everything to this file")
    return run(parser, _command, argv)


def _command(args: Namespace) -> None:
    if args.checkpoint is None:
        with TemporaryDirectory() as folder:
            settings = replace(PRESETS["digits-demo"].base, epochs=15)
            network = train(settings, Path(folder))
    else:
        settings, network = load_network(args.checkpoint)
    rows = compare(settings, network)
    document = {"schema": SCHEMA, "machine": machine(), "settings": settings.to_json(), "rows": rows}
    print(table(document))
    if args.json:
        write_json(args.json, document)


def compare(settings: Settings, network: Network, batches: int = BATCHES) -> Rows:
    """A row for each arm and each band of the paper's: means over batches with their 95 % intervals."""
    images, view = settings.data_set(), settings.augmentation
    generator = torch.Generator().manual_seed(0)
    network.train()  # as in training: batch norm with the batch's statistics
    measured: dict[tuple[str, str], list[dict[str, float]]] = {(data, arm): [] for data in DATA for arm in ARMS}
    for _ in range(batches):
        chosen = torch.randperm(len(images.y_train), generator=generator)[: settings.batch]
        x = take(images.x_train, chosen)
        h, z = network(torch.cat([view(x, generator), view(x, generator)]))
        similarities = two_view_pairs(h.detach())
        for data, arm in measured:
            remedy = pair_remedy(f"paper_{arm}", None, data=data)
            assert remedy is not None
            measured[data, arm].append(_changes(network, z, similarities, remedy, STATED[data].tau))
    return [
        {"band": data, "arm": arm} | {name: _interval([one[name] for one in found]) for name in QUANTITIES}
        for (data, arm), found in measured.items()
    ]


def _changes(
    network: Network, z: Tensor, similarities: tuple[Tensor, Tensor], printed: PairRemedy, tau: float
) -> dict[str, float]:
    ours = replace(printed, as_printed=False)
    flags = flag(*similarities, printed)
    negatives = Flags(negative=flags.negative)

    def gradient(remedy: PairRemedy = NO_REMEDY, chosen: Flags = NO_FLAGS) -> Tensor:
        loss = Objective(tau=tau)(*two_view_pairs(z), chosen.negative, remedy, chosen.positive)
        found = torch.autograd.grad(loss, list(network.parameters()), retain_graph=True)
        return torch.cat([g.double().flatten() for g in found])

    base = gradient()
    paper = gradient(printed, flags) - base
    spared, own = (gradient(remedy, negatives) - base for remedy in (printed, ours))
    assert flags.positive is not None
    return {
        "positives": 100 * flags.positive.float().mean().item(),
        "paper": 100 * (paper.norm() / base.norm()).item(),
        "ours": 100 * (own.norm() / base.norm()).item(),
        "cosine": torch.cosine_similarity(paper, own, dim=0).item(),
        "spared": torch.cosine_similarity(spared, own, dim=0).item(),
    }


def _interval(values: list[float]) -> dict[str, float]:
    found = mean_interval(values)
    return {"value": found.value, "low": found.low, "high": found.high}


def table(document: dict[str, Any]) -> str:
    """The rows of a document as markdown, as docs/methods.md shows them."""
    lines = []
    for row in document["rows"]:
        stated = STATED[row["band"]]
        band = f"{stated.pos_high:g} to {stated.pos_low:g}, τ = {stated.tau:g}"
        digits = {name: (2 if name in ("cosine", "spared") else 1) for name in QUANTITIES}
        cells = [f"{row[name]['value']:.{digits[name]}f}" for name in QUANTITIES]
        lines.append([f"`{row['arm']}`", band, *cells])
    return markdown_table(["remedy", "band", *QUANTITIES.values()], lines)


if __name__ == "__main__":
    raise SystemExit(main())
