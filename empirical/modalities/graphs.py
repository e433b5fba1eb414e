"""Graphs: TU data sets, GraphCL's views, a graph isomorphism network, a support vector machine in ten folds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from empirical.choices import COUNT
from empirical.data import DataSet
from empirical.data.kept import kept_while_unchanged
from empirical.encoders import Network, extract
from empirical.graphs import GraphView, gin, read_graphs, svc_accuracies
from empirical.graphs.evaluation import FOLDS
from empirical.modalities.contract import Modality, TwoViews, View, only_to_train_on
from empirical.train.options import option
from theory.checks import Range, require

if TYPE_CHECKING:
    from empirical.evaluate.protocol import Protocol
    from empirical.evaluate.scoring import Progress
    from empirical.train.settings import Settings

SOURCE = "tu:"
ENCODER = "gin"


@dataclass(frozen=True)
class Options:
    """What graphs alone can be told."""

    first: str = option("random4", str, "views", "the first view, one of empirical.graphs.views.VIEWS")
    second: str = option("random4", str, "views", "the second")
    ratio: float = option(0.2, float, "views", "share of nodes or edges that a view changes", Range(0, 1, below=True))
    nodes: str = option("auto", str, "data", "what a node's features are, see empirical.graphs.read_graphs")
    depth: int = option(3, int, "encoder and projector", "layers of the network", COUNT)


class Graphs(Modality):
    """See the module. All graphs are trained on, without their labels, and judged by cross-validation."""

    sample = "graph"
    titles = {"probe": "SVC"}  # noqa: RUF012 - a class variable of the contract
    Options = Options
    usual = {  # noqa: RUF012 - a class variable of the contract
        "data": "tu:MUTAG",
        "encoder": ENCODER,
        "width": 32,
        "dim": 96,
        "batch": 128,
        "epochs": 20,
        "optimizer": "adam",
        "schedule": "constant",
        "warmup": 0.0,
        "weight_decay": 0.0,
        "lr": 0.02,  # for 256 graphs: .01 for a batch of 128
        "tau": 0.2,
    }

    def load(self, settings: Settings) -> DataSet:
        """The graphs of ``tu:NAME_OR_PATH``, see ``empirical.graphs.read_graphs``; none is kept for testing."""
        require(settings.data.startswith(SOURCE), "data", settings.data, f"{SOURCE}NAME or {SOURCE}PATH of graphs")
        found = _read(settings.data.removeprefix(SOURCE), self.options(settings).nodes)
        return only_to_train_on(
            settings, found.graphs, torch.from_numpy(found.labels), found.class_names, found.reading
        )

    def network(self, settings: Settings, shape: tuple[int, ...]) -> Network:
        """A graph isomorphism network for nodes of shape[0] features, and the projector."""
        s = settings
        require(s.encoder == ENCODER, "encoder", s.encoder, f"{ENCODER} for graphs")
        require(s.weights is None, "weights", s.weights, "none for graphs")
        encoder, features = gin(shape[0], s.width, self.options(s).depth)
        return Network(encoder, features, s.dim, s.hidden, s.layers)

    def view(self, settings: Settings) -> View:
        """Two of GraphCL's views."""
        o = self.options(settings)
        return TwoViews(GraphView(o.first, o.ratio), GraphView(o.second, o.ratio))

    def unevaluated(self, settings: Settings, data: DataSet) -> str | None:
        """A class with fewer graphs than there are folds is in no test set of some of them."""
        counts = torch.bincount(data.y_train, minlength=data.classes)
        if data.classes < 2:
            return f"all graphs of {data.name} are of one class"
        fewest = int(counts.argmin())
        few = f"class {data.class_names[fewest]} of {data.name} has {int(counts[fewest])} graphs"
        return None if counts[fewest] >= FOLDS else f"{few}, fewer than the {FOLDS} folds"

    def evaluate(
        self,
        network: Network,
        settings: Settings,
        data: DataSet,
        protocol: Protocol,
        view: View | None = None,
        progress: Progress | None = None,
    ) -> dict[str, float]:
        """Accuracy of a support vector machine on the encoder's output, which alone the field judges."""
        features, _ = extract(network, data.x_train)
        found = svc_accuracies(features.numpy(), data.y_train.numpy(), seeds=[settings.seed])
        return {"encoder_probe": found.mean}

    def words(self, protocol: Protocol) -> tuple[str, str]:
        """What probe and kNN are."""
        return "a support vector machine, C by five inner folds, tested in ten folds that the run's seed shuffles", ""


_read = kept_while_unchanged(4)(read_graphs)
