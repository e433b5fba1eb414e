"""Training on graphs against two other loops: views per second of processor time, the loops taking turns.

One is PyGCL's (Zhu et al. 2021), whose views are drawn for a whole batch at once; in the other views are made graph by
graph from a dense matrix, as in the code of GraphCL and ADNCE, written anew here. Encoder, projector, batch, optimiser
and temperature are the same. Run as ``python benchmarks/graphs_speed.py --data tu:MUTAG [--repeats 5] [--json FILE]``;
PyGCL is installed by hand, ``pip install --no-deps PyGCL==0.1.2``.
"""

from __future__ import annotations

import os
import sys
from abc import ABC, abstractmethod
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from random import choice
from statistics import median
from tempfile import TemporaryDirectory
from time import process_time
from types import ModuleType
from typing import Any, cast

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # before this file's folder, whose theory.py is no package

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from benchmarks.theory import machine, print_table
from empirical.graphs import GraphBatch, GraphSet
from empirical.train.loop import train
from empirical.train.observers import Observer, Row
from empirical.train.settings import Settings, usual
from theory.checks import ParameterError, require_integer
from theory.command import Parser, markdown_table, output, run
from theory.files import write_json

OURS, WHOLE, PEER, ONES = "ours", "ours, with the run's files", "PyGCL", "graph by graph"
SCHEMA = "difficult-examples/benchmark-graphs-speed/1"
EPOCHS = 60
RANDOM = np.random.default_rng(0)
SHARE = 0.2  # of nodes, edges or features that a view changes
SAME, MIXED = "nodes, edges", "one of several"
VIEWS = {SAME: "first=nodes,second=edges", MIXED: "first=random4,second=random4"}
UNUSED = {"torch_sparse": ("SparseTensor", "coalesce"), "torch_scatter": ("scatter",), "dgl": ("DGLGraph",)}


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    parser = Parser("python benchmarks/graphs_speed.py", description=__doc__)
    parser.add_argument("--data", default="tu:MUTAG", help="tu:NAME, tu:FOLDER or tu:FILE.zip (%(default)s)")
    parser.add_argument("--repeats", type=int, default=5, help="turns of each loop (%(default)s)")
    parser.add_argument("--json", type=output, metavar="FILE", help="write the figures to this file")
    return run(parser, _command, argv)


def _command(args: Namespace) -> None:
    require_integer("repeats", args.repeats, 1)
    torch.set_num_threads(1)
    settings = replace(usual("graphs"), data=args.data, epochs=EPOCHS)
    rows = speeds(settings, args.repeats)
    print_table(rows)
    if args.json:
        write_json(args.json, {"schema": SCHEMA, "machine": machine(), "data": args.data, "loops": rows})


def speeds(settings: Settings, repeats: int) -> list[dict[str, Any]]:
    """Views per second of each loop, the median of its turns, and its ratio to PyGCL's with the same views."""
    graphs = settings.data_set().x_train
    found: dict[tuple[str, str], list[float]] = {}
    for turn in range(repeats + 1):  # the first one warms up
        for views, options in VIEWS.items():
            speed = dict(zip((OURS, WHOLE), our_speeds(replace(settings, modality_options=options)), strict=True))
            speed |= {
                loop.name: loop.speed() for loop in (PyGCL(settings, graphs, views), Ones(settings, graphs, views))
            }
            for loop, value in speed.items() if turn else ():
                found.setdefault((views, loop), []).append(value)
    middle = {kind: median(values) for kind, values in found.items()}
    return [
        {"views": views, "loop": loop, "views/s": value, "ratio": value / middle[views, PEER]}
        for (views, loop), value in middle.items()
    ]


def summary(rows: Sequence[dict[str, Any]]) -> str:
    """The figures as a table."""
    lines = [[row["views"], row["loop"], f"{row['views/s']:,.0f}", f"{row['ratio']:.2f}"] for row in rows]
    return markdown_table(["views", "loop", "views/s", "of PyGCL's"], lines)


class Epochs(Observer):
    """Processor time of each epoch, without what is written after it."""

    def __init__(self) -> None:
        self.last, self.seconds = process_time(), list[float]()

    def row(self) -> Row:
        """Ends an epoch."""
        self.seconds.append(process_time() - self.last)
        return {}

    def saved(self, row: Row) -> None:
        """Begins the next one."""
        self.last = process_time()


def our_speeds(settings: Settings) -> tuple[float, float]:
    """Views per second of ``train``: of its epochs, and of the whole run with a checkpoint after each epoch."""
    views = 2 * settings.batch * (len(settings.data_set().y_train) // settings.batch) * settings.epochs
    with TemporaryDirectory() as folder:
        epochs, started = Epochs(), process_time()
        train(settings, Path(folder) / "run", observers=[epochs])
        return views / sum(epochs.seconds), views / (process_time() - started)


class Loop(ABC):
    """A plain loop over a loader of torch_geometric's, with our network.

    Parameters
    ----------
    settings : Settings
    graphs : GraphSet
    views : str
        Of ``VIEWS``. Of several, PyGCL draws one for a whole batch, of three; the others draw one for each graph.
    """

    name: str

    def __init__(self, settings: Settings, graphs: GraphSet, views: str) -> None:
        from torch_geometric.data import Data
        from torch_geometric.loader import DataLoader

        ones = (graphs.take(torch.tensor([row])) for row in range(len(graphs)))
        self.data = [Data(x=one.x, edge_index=one.edges, num_nodes=len(one.x)) for one in ones]
        self.loader = DataLoader(self.dataset(views), settings.batch, shuffle=True, drop_last=True)
        self.tau = settings.tau
        self.network = settings.network(*graphs.shape[1:])
        self.optimizer = torch.optim.Adam(self.network.parameters(), settings.lr)

    def dataset(self, views: str) -> Any:
        """What the loader draws from."""
        return self.data

    @abstractmethod
    def pair(self, loaded: Any) -> tuple[GraphBatch, GraphBatch]:
        """Both views of what was loaded."""

    @abstractmethod
    def loss(self, first: Tensor, second: Tensor) -> Tensor:
        """Of the projections of both views."""

    def speed(self) -> float:
        """Views per second of as many epochs as ours takes."""
        started, seen = process_time(), 0
        for loaded in (loaded for _ in range(EPOCHS) for loaded in self.loader):
            first, second = (self.network(view)[1] for view in self.pair(loaded))
            self.optimizer.zero_grad()
            self.loss(first, second).backward()
            self.optimizer.step()
            seen += len(first) + len(second)
        return seen / (process_time() - started)


class PyGCL(Loop):
    """With PyGCL's augmentors, sampler and loss, as its example of GraphCL; the graph itself is not encoded."""

    name = PEER

    def __init__(self, settings: Settings, graphs: GraphSet, views: str) -> None:
        super().__init__(settings, graphs, views)
        A, losses, contrast = _pygcl()
        kinds = [A.NodeDropping(SHARE), A.EdgeRemoving(SHARE)]
        mixed = A.RandomChoice([*kinds, A.FeatureMasking(SHARE)], 1)
        self.views = kinds if views == SAME else [mixed, mixed]
        self.contrast = contrast(loss=losses.InfoNCE(tau=settings.tau), mode="G2G")

    def pair(self, loaded: Any) -> tuple[GraphBatch, GraphBatch]:
        """Each of the whole batch at once."""
        one, two = (_batch(*view(loaded.x, loaded.edge_index)[:2], loaded) for view in self.views)
        return one, two

    def loss(self, first: Tensor, second: Tensor) -> Tensor:
        """PyGCL's InfoNCE."""
        return cast(Tensor, self.contrast(g1=first, g2=second))


class Ones(Loop):
    """Views graph by graph, each from a dense matrix."""

    name = ONES

    def dataset(self, views: str) -> Any:
        """Pairs of views, made when they are asked for."""
        kinds = [drop_nodes, drop_edges] if views == SAME else [drop_nodes, drop_edges, mask_features, cut]
        mixed = views != SAME
        return _Pairs(self.data, lambda one: [(choice(kinds) if mixed else kind)(one) for kind in kinds[:2]])

    def pair(self, loaded: Any) -> tuple[GraphBatch, GraphBatch]:
        """As they were loaded."""
        one, two = (_batch(view.x, view.edge_index, view) for view in loaded)
        return one, two

    def loss(self, first: Tensor, second: Tensor) -> Tensor:
        """InfoNCE, one way."""
        cosines = normalize(first) @ normalize(second).T
        return cross_entropy(cosines / self.tau, torch.arange(len(first)))


class _Pairs:
    def __init__(self, data: list[Any], pair: Any) -> None:
        self.data, self.pair = data, pair

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> Any:
        return self.pair(self.data[index])


def _batch(x: Tensor, edges: Tensor, loaded: Any) -> GraphBatch:
    return GraphBatch(x, edges, loaded.batch, torch.bincount(loaded.batch, minlength=loaded.num_graphs))


def drop_nodes(graph: Any) -> Any:
    """Without some nodes; those that are then without an edge go too, and one stays."""
    count = graph.num_nodes
    lost = RANDOM.choice(count, int(SHARE * count), replace=False)
    matrix = torch.zeros(count, count)
    matrix[graph.edge_index[0], graph.edge_index[1]] = 1
    matrix[lost] = 0
    matrix[:, lost] = 0
    edges = matrix.nonzero().T
    return _kept(graph, edges.unique() if edges.numel() else torch.tensor([0]), edges)


def drop_edges(graph: Any) -> Any:
    """Without some edges, one direction at a time."""
    count = graph.edge_index.shape[1]
    kept = RANDOM.choice(count, count - int(SHARE * count), replace=False)
    return type(graph)(x=graph.x, edge_index=graph.edge_index[:, kept], num_nodes=graph.num_nodes)


def mask_features(graph: Any) -> Any:
    """With noise for some nodes' features."""
    rows = RANDOM.choice(graph.num_nodes, int(SHARE * graph.num_nodes), replace=False)
    x = graph.x.clone()
    x[rows] = torch.as_tensor(RANDOM.normal(0.5, 0.5, (len(rows), x.shape[1])), dtype=x.dtype)
    return type(graph)(x=x, edge_index=graph.edge_index, num_nodes=graph.num_nodes)


def cut(graph: Any) -> Any:
    """A connected part, grown node by node."""
    rows, columns = graph.edge_index.numpy()
    kept = {int(RANDOM.integers(graph.num_nodes))}
    near = set(columns[rows == min(kept)].tolist())
    while len(kept) < graph.num_nodes - int(SHARE * graph.num_nodes) and near - kept:
        new = int(RANDOM.choice(sorted(near - kept)))
        kept.add(new)
        near |= set(columns[rows == new].tolist())
    nodes = torch.tensor(sorted(kept))
    inside = torch.isin(graph.edge_index, nodes).all(0)
    return _kept(graph, nodes, graph.edge_index[:, inside])


def _kept(graph: Any, nodes: Tensor, edges: Tensor) -> Any:
    place = torch.full((graph.num_nodes,), -1)
    place[nodes] = torch.arange(len(nodes))
    return type(graph)(x=graph.x[nodes], edge_index=place[edges], num_nodes=len(nodes))


def _pygcl() -> tuple[ModuleType, ModuleType, Any]:
    """PyGCL, with stand-ins for three libraries that it imports for what is not used here."""
    for module, names in UNUSED.items():
        stand_in = ModuleType(module)
        for name in names:
            setattr(stand_in, name, None)
        sys.modules.setdefault(module, stand_in)
    try:
        from GCL import augmentors, losses
        from GCL.models import DualBranchContrast
    except ImportError as error:
        raise ParameterError(f"PyGCL is missing ({error}): pip install --no-deps PyGCL==0.1.2") from error
    return augmentors, losses, DualBranchContrast


if __name__ == "__main__":
    raise SystemExit(main())
