"""A graph isomorphism network as GraphCL, InfoGraph and ADNCE's authors use it."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from empirical.encoders.architectures import Encoder
from empirical.graphs.library import geometric
from empirical.graphs.sets import GraphBatch
from theory.checks import require_integer

WIDTH, LAYERS = 32, 3
WIDEST, DEEPEST = 8_192, 64


class GIN(nn.Module):
    """Layers of sums over neighbours, each followed by two linear layers, ReLU and batch normalisation.

    A layer is BN(ReLU(W₂·ReLU(W₁·((1 + ε)h_v + Σ_u∈N(v) h_u)))) with ε = 0. A graph's features are the sums over its
    nodes of all layers' outputs, side by side. Linear layers begin with Glorot's uniform weights and without bias, as
    in the code of GraphCL and of ADNCE, which moreover adds an edge from each node but the last to itself (ε = 1).

    Parameters
    ----------
    node_features : int
        F, features of a node.
    width : int
        Of each layer.
    layers : int

    References
    ----------
    Xu, Hu, Leskovec, Jegelka, "How Powerful are Graph Neural Networks?", ICLR 2019. Sun, Hoffmann, Verma, Tang,
    "InfoGraph", ICLR 2020.

    Raises
    ------
    ParameterError
        If a number is none, or torch_geometric is not installed.
    """

    def __init__(self, node_features: int, width: int = WIDTH, layers: int = LAYERS) -> None:
        super().__init__()
        geometric()
        from torch_geometric.nn import GINConv

        require_integer("node_features", node_features, 1)
        require_integer("width", width, 1, WIDEST)
        require_integer("layers", layers, 1, DEEPEST)
        self.features = width * layers
        self.convolutions, self.norms = nn.ModuleList(), nn.ModuleList()
        for before in [node_features] + [width] * (layers - 1):
            perceptron = nn.Sequential(nn.Linear(before, width), nn.ReLU(), nn.Linear(width, width))
            self.convolutions.append(GINConv(perceptron))
            self.norms.append(nn.BatchNorm1d(width))
        for module in self.modules():  # only now: GINConv draws the weights of what it is given again
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)

    def forward(self, batch: GraphBatch) -> Tensor:
        """Features, shape (B, width·layers)."""
        x, outputs = batch.x, []
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            x = norm(functional.relu(convolution(x, batch.edges)))
            outputs.append(x)
        nodes = torch.cat(outputs, dim=1).to(batch.x.dtype)  # a sum over many nodes is not for bf16
        return nodes.new_zeros(len(batch), self.features).index_add_(0, batch.graph, nodes)


def gin(node_features: int, width: int = WIDTH, layers: int = LAYERS) -> Encoder:
    """A ``GIN`` and the width of its features, width·layers."""
    net = GIN(node_features, width, layers)
    return net, net.features
