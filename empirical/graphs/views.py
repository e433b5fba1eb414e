"""GraphCL's views of graphs: nodes dropped, edges perturbed, attributes masked, a subgraph.

Each changes a batch as a whole, with exact shares of every graph, which ``torch_geometric.utils.dropout_node`` and
``mask_feature`` do not have: they draw for each node of a batch alike, and may leave a graph without any.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from empirical.graphs.library import geometric
from empirical.graphs.sets import GraphBatch
from theory.checks import require, require_known

RATIO = 0.2
VIEWS = {
    "original": (),
    "nodes": ("nodes",),
    "edges": ("edges",),
    "attributes": ("attributes",),
    "subgraph": ("subgraph",),
    "random2": ("nodes", "subgraph"),
    "random3": ("nodes", "subgraph", "edges"),
    "random4": ("nodes", "subgraph", "edges", "attributes"),
}


@dataclass(frozen=True)
class GraphView:
    """A view of each graph of a batch.

    Parameters
    ----------
    name : str
        One of ``VIEWS``: ``original`` changes nothing; ``nodes``, ``edges``, ``attributes``, ``subgraph`` are the four
        of GraphCL; ``random2``, ``random3`` and ``random4`` draw one of them for each graph, nodes or subgraph, also
        edges, all four.
    ratio : float
        Which share of a graph's nodes, or edges, is changed, in [0, 1), rounded down; a subgraph keeps the others.

    References
    ----------
    You, Chen, Sui, Chen, Wang, Shen, "Graph Contrastive Learning with Augmentations", NeurIPS 2020, Table 1.

    Raises
    ------
    ParameterError
        If there is no such view, the ratio is none, or torch_geometric is not installed.
    """

    name: str = "random4"
    ratio: float = RATIO

    def __post_init__(self) -> None:
        require_known("view", self.name, VIEWS)
        number = isinstance(self.ratio, int | float) and not isinstance(self.ratio, bool)
        require(number and 0 <= self.ratio < 1, "ratio", self.ratio, "0 <= ratio < 1")
        geometric()

    def __call__(self, batch: GraphBatch, generator: torch.Generator) -> GraphBatch:
        """The batch as this view shows it; what is drawn depends on the generator alone.

        Parameters
        ----------
        batch : GraphBatch
        generator : torch.Generator
            Of any device.
        """
        kinds = VIEWS[self.name]
        if not kinds:
            return batch
        drawn = torch.randint(len(kinds), (len(batch),), generator=generator, device=generator.device)
        drawn = drawn.to(batch.x.device)
        for number, kind in enumerate(kinds):
            batch = KINDS[kind](batch, drawn == number, self.ratio, generator)
        return batch


def drop_nodes(batch: GraphBatch, chosen: Tensor, ratio: float, generator: torch.Generator) -> GraphBatch:
    """Graphs without ⌊ratio·n⌋ of their n nodes, uniformly drawn, and these nodes' edges.

    Parameters
    ----------
    batch : GraphBatch
    chosen : Tensor
        bool, shape (B,): which graphs to change; the others stay as they are.
    ratio : float
        In [0, 1).
    generator : torch.Generator
    """
    dropped = _share(batch.sizes, chosen, ratio)
    return _induced(batch, _ranks(batch.graph, batch.sizes, generator) >= dropped[batch.graph])


def mask_attributes(batch: GraphBatch, chosen: Tensor, ratio: float, generator: torch.Generator) -> GraphBatch:
    """Graphs with the features of ⌊ratio·n⌋ of their n nodes, uniformly drawn, at 0.

    Parameters as in ``drop_nodes``.
    """
    masked = _share(batch.sizes, chosen, ratio)
    hidden = _ranks(batch.graph, batch.sizes, generator) < masked[batch.graph]
    return replace(batch, x=batch.x.masked_fill(hidden[:, None], 0.0))


def perturb_edges(batch: GraphBatch, chosen: Tensor, ratio: float, generator: torch.Generator) -> GraphBatch:
    """Graphs of m edges without ⌊ratio·m⌋ of them, and with as many new ones, all uniformly drawn.

    Both directions of an edge are one. New edges are drawn among the pairs of nodes with replacement; a pair that was
    an edge before, or is drawn twice, adds none. Parameters as in ``drop_nodes``.
    """
    once = batch.edges[:, batch.edges[0] < batch.edges[1]]
    owner, nodes = batch.graph[once[0]], len(batch.x)
    counts = torch.bincount(owner, minlength=len(batch))
    changed = _share(counts, chosen, ratio)
    kept = once[:, _ranks(owner, counts, generator) >= changed[owner]]
    graph = torch.repeat_interleave(changed)
    sizes = batch.sizes[graph]
    first = _below(sizes, generator)
    second = _below(sizes - 1, generator)
    second += second >= first  # any node but the first
    ends = torch.stack([torch.minimum(first, second), torch.maximum(first, second)]) + batch.starts[graph]
    keys = (ends[0] * nodes + ends[1]).unique()
    keys = keys[~torch.isin(keys, once[0] * nodes + once[1])]
    edges = torch.cat([kept, torch.stack([keys // nodes, keys % nodes])], dim=1)
    return replace(batch, edges=torch.cat([edges, edges.flip(0)], dim=1))


def take_subgraph(batch: GraphBatch, chosen: Tensor, ratio: float, generator: torch.Generator) -> GraphBatch:
    """Connected parts of n − ⌊ratio·n⌋ of the graphs' n nodes, with the edges among them.

    A part begins with a node and grows by one neighbour of what it has, each uniformly drawn, until it is large enough
    or has no neighbour (GraphCL, appendix A). In continuous time that is a walk of all graphs at once: a node whose
    first neighbour is reached waits for an exponential time, and of those that wait each is the next with the same
    probability. So the first n − ⌊ratio·n⌋ nodes in the order of T_v = w_v + min_u∈N(v) T_u are the part. Parameters as
    in ``drop_nodes``.
    """
    kept = batch.sizes - _share(batch.sizes, chosen, ratio)
    wait = torch.empty(len(batch.x), dtype=torch.float64, device=generator.device)
    wait = wait.exponential_(generator=generator).to(batch.x.device)
    times = torch.full_like(wait, torch.inf)
    times[batch.starts + _below(batch.sizes, generator)] = 0.0
    source, target = batch.edges
    while True:
        through = torch.full_like(times, torch.inf).scatter_reduce_(0, target, times[source], "amin")
        earlier = torch.minimum(times, through + wait)
        if torch.equal(earlier, times):
            break
        times = earlier
    order = times.argsort()
    inside = _positions(batch.graph, order, batch.sizes) < kept[batch.graph]
    return _induced(batch, (inside & times.isfinite()) | ~chosen[batch.graph])


Kind = Callable[[GraphBatch, Tensor, float, torch.Generator], GraphBatch]
KINDS: dict[str, Kind] = {
    "nodes": drop_nodes,
    "edges": perturb_edges,
    "attributes": mask_attributes,
    "subgraph": take_subgraph,
}


def _share(counts: Tensor, chosen: Tensor, ratio: float) -> Tensor:
    """⌊ratio·counts⌋ where chosen, else 0; shape (B,)."""
    return (counts.double() * ratio).long() * chosen


def _below(limits: Tensor, generator: torch.Generator) -> Tensor:
    """A uniform integer in [0, limit) for each limit."""
    drawn = torch.rand(len(limits), dtype=torch.float64, generator=generator, device=generator.device)
    return torch.minimum((drawn.to(limits.device) * limits).long(), limits - 1)  # a product may round up


def _ranks(group: Tensor, counts: Tensor, generator: torch.Generator) -> Tensor:
    """A random order inside each group: the members' places from 0, shape of ``group``."""
    order = torch.randperm(len(group), generator=generator, device=generator.device).to(group.device)
    return _positions(group, order, counts)


def _positions(group: Tensor, order: Tensor, counts: Tensor) -> Tensor:
    """The place of each inside its group, where all are in this order."""
    order = order[group[order].argsort(stable=True)]
    places = torch.empty_like(order)
    places[order] = torch.arange(len(order), device=order.device)
    return places - (counts.cumsum(0) - counts)[group]


def _induced(batch: GraphBatch, kept: Tensor) -> GraphBatch:
    """These nodes, shape (nodes,), and the edges among them."""
    from torch_geometric.utils import subgraph

    edges, _ = subgraph(kept, batch.edges, relabel_nodes=True)
    graph = batch.graph[kept]
    return GraphBatch(batch.x[kept], edges, graph, torch.bincount(graph, minlength=len(batch)))
