"""The graph isomorphism network, against its formula with dense matrices."""

import sys

import pytest
import torch

from empirical.graphs import gin, read_graphs
from theory.checks import ParameterError


@pytest.fixture(scope="module")
def graphs(source):
    pytest.importorskip("torch_geometric")
    return read_graphs(source).graphs


def dense(net, batch):
    """The network's formula, one matrix of all nodes, with the batch's own means and variances."""
    nodes = len(batch.x)
    adjacency = torch.zeros(nodes, nodes, dtype=torch.float64)
    for a, b in batch.edges.T.tolist():
        adjacency[b, a] += 1
    pooling = (batch.graph == torch.arange(len(batch))[:, None]).double()
    h, found = batch.x.double(), []
    for convolution, norm in zip(net.convolutions, net.norms, strict=True):
        first, _, second = convolution.nn
        h = (adjacency + torch.eye(nodes)) @ h
        h = (h @ first.weight.double().T + first.bias).relu() @ second.weight.double().T + second.bias
        h = h.relu()
        h = (h - h.mean(dim=0)) / (h.var(dim=0, correction=0) + norm.eps).sqrt() * norm.weight + norm.bias
        found.append(pooling @ h)
    return torch.cat(found, dim=1)


def test_the_formula(graphs):
    torch.manual_seed(0)
    net, features = gin(graphs.shape[1])
    assert features == 96
    for norm in net.norms:
        torch.nn.init.uniform_(norm.weight)
        torch.nn.init.uniform_(norm.bias)
    batch = graphs.take(torch.arange(12))
    found = net(batch)
    assert found.shape == (12, 96)
    torch.testing.assert_close(found.double(), dense(net, batch), rtol=1e-3, atol=1e-3)


def test_other_sizes_and_their_weights(graphs):
    net, features = gin(graphs.shape[1], width=5, layers=2)
    assert features == 10
    assert net(graphs.take(torch.arange(3))).shape == (3, 10)
    for convolution in net.convolutions:
        for layer in (convolution.nn[0], convolution.nn[2]):
            bound = (6 / sum(layer.weight.shape)) ** 0.5
            assert 0.5 * bound < layer.weight.abs().max() <= bound
            assert not layer.bias.any()


def test_the_others_of_a_batch_do_not_matter_when_evaluated(graphs):
    net, _ = gin(graphs.shape[1])
    net(graphs.take(torch.arange(24)))
    net.eval()
    together = net(graphs.take(torch.arange(8)))
    alone = torch.cat([net(graphs.take(torch.tensor([i]))) for i in range(8)])
    torch.testing.assert_close(together, alone)


def test_sums_over_nodes_are_in_full_precision(graphs):
    net, _ = gin(graphs.shape[1])
    batch, outputs = graphs.take(torch.arange(12)), []
    for norm in net.norms:
        norm.register_forward_hook(lambda *parts: outputs.append(parts[-1]))
    with torch.autocast("cpu", torch.bfloat16):
        found = net(batch)
    assert outputs[0].dtype == torch.bfloat16
    assert found.dtype == torch.float32
    expected = torch.stack([torch.cat(outputs, dim=1)[batch.graph == i].double().sum(dim=0) for i in range(12)])
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-4)


def test_numbers_of_nodes_do_not_matter(graphs):
    net, _ = gin(graphs.shape[1])
    net.eval()
    batch = graphs.take(torch.tensor([4]))
    order = torch.randperm(len(batch.x), generator=torch.Generator().manual_seed(0))
    place = torch.empty_like(order)
    place[order] = torch.arange(len(order))
    other = type(batch)(batch.x[order], place[batch.edges], batch.graph, batch.sizes)
    torch.testing.assert_close(net(batch), net(other))


def test_wrong_options(graphs):
    for wrong, message in (
        ({"width": 0}, "width = 0"),
        ({"layers": 1.5}, "layers = 1.5"),
        ({"layers": 65}, "layers = 65"),
    ):
        with pytest.raises(ParameterError, match=message):
            gin(3, **wrong)
    with pytest.raises(ParameterError, match="node_features = 0"):
        gin(0)


def test_without_the_library_one_line_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch_geometric", None)
    with pytest.raises(
        ParameterError, match=r"graphs need torch_geometric: pip install 'difficult-examples\[graphs\]'"
    ):
        gin(3)
