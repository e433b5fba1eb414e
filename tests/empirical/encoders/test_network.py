import os
import subprocess
import sys
import types

import pytest
import torch
import torchvision
from torch import nn
from torchvision.models.resnet import BasicBlock

from empirical.choices import ENCODERS
from empirical.encoders import ImageNetwork, extract, memory_format
from theory.checks import ParameterError


@pytest.mark.parametrize(
    ("name", "width", "features"),
    [
        ("convnet", 8, 32),
        ("resnet10", 8, 64),
        ("resnet18", 8, 64),
        ("resnet18", 64, 512),
        ("resnet50", 4, 128),
        ("vit", 8, 8),
    ],
)
@pytest.mark.parametrize("stride", [1, 2, 4])
def test_output_widths(name, width, features, stride):
    network = ImageNetwork(name, 3, dim=10, width=width, stem_stride=stride).eval()
    assert (network.features, network.dim) == (features, 10)
    h, z = network(torch.rand(2, 3, 32, 32))
    assert h.shape == (2, features)
    assert z.shape == (2, 10)


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_resnets_for_large_images_are_torchvisions(name):
    theirs = getattr(torchvision.models, name)()
    theirs.fc = nn.Identity()
    ours = ImageNetwork(name, 3, 8, stem_stride=4).encoder
    weights = zip(ours.state_dict(), theirs.state_dict().values(), strict=True)
    ours.load_state_dict(dict(weights))
    x = torch.rand(2, 3, 64, 64)
    assert torch.allclose(ours.eval()(x), theirs.eval()(x), atol=1e-5)


def test_resnet10_has_a_block_a_stage():
    ours = ImageNetwork("resnet10", 3, 8, width=64, stem_stride=4).encoder
    theirs = torchvision.models.ResNet(BasicBlock, [1, 1, 1, 1])
    theirs.fc = nn.Identity()
    ours.load_state_dict(dict(zip(ours.state_dict(), theirs.state_dict().values(), strict=True)))
    x = torch.rand(2, 3, 64, 64)
    assert torch.allclose(ours.eval()(x), theirs.eval()(x), atol=1e-5)


@pytest.mark.parametrize("side", [8, 7])
def test_shortcuts_are_strided_convolutions(side):
    shortcuts = [m.downsample[0] for m in ImageNetwork("resnet18", 3, 8, 4).modules() if getattr(m, "downsample", None)]
    assert len(shortcuts) == 3
    for ours in shortcuts:
        theirs = nn.Conv2d(ours.in_channels, ours.out_channels, 1, 2, bias=False)
        theirs.load_state_dict(ours.state_dict())
        x = torch.rand(2, ours.in_channels, side, side)
        assert torch.allclose(ours(x), theirs(x), atol=1e-6)


@pytest.mark.parametrize(("height", "stem_stride"), [(1, 1), (3, 1), (1, 2), (2, 4)])
def test_gradients_of_strided_convolutions_on_one_pixel_are_no_old_memory(height, stem_stride):
    """In bfloat16 oneDNN leaves those of the weights beyond the image as it finds them."""
    network = ImageNetwork("resnet10", 3, 4, 32, stem_stride=stem_stride)
    strided = [
        m for m in network.modules() if isinstance(m, nn.Conv2d) and m.stride != (1, 1) and m.weight.shape[2] > 1
    ]
    assert len(strided) == 3 + (stem_stride > 1)
    for ours in strided:
        x = torch.rand(32, ours.in_channels, height, 1)
        plain = nn.Conv2d(ours.in_channels, ours.out_channels, ours.kernel_size, ours.stride, ours.padding, bias=False)
        plain.load_state_dict(ours.state_dict())
        expected = plain(x)
        expected.sum().backward()
        assert torch.allclose(ours(x), expected, atol=1e-5)
        for _ in range(5):
            old = [torch.full((n,), torch.nan) for n in (1_000, 10_000, 100_000, 1_000_000)]
            del old
            ours.weight.grad = None
            with torch.autocast("cpu", torch.bfloat16):
                ours(x).float().sum().backward()
            scale = plain.weight.grad.abs().max()
            assert (ours.weight.grad - plain.weight.grad).abs().max() < 0.02 * scale


@pytest.mark.parametrize("width", [8, 16])
def test_narrow_resnets_in_channels_last_order_do_not_write_beyond_their_memory(width):
    """In a process of its own: oneDNN's strided 1×1 convolutions corrupt it, and it dies without a message."""
    program = f"""
import torch
from empirical.encoders import ImageNetwork
network = ImageNetwork("resnet18", 3, 4, {width}, stem_stride=2).to(memory_format=torch.channels_last)
for _ in range(3):
    x = torch.rand(28, 3, 128, 128).contiguous(memory_format=torch.channels_last)
    network(x)[1].sum().backward()
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def strided(width):
    return nn.Sequential(nn.Conv2d(3, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, 2 * width, 1, 2, bias=False))


@pytest.mark.parametrize("framework", ["simclr", "moco"])
def test_narrow_encoders_of_ones_own_train_without_writing_beyond_their_memory(tmp_path, framework):
    """As above: with channels last this process dies."""
    program = f"""
import numpy as np
from pathlib import Path
from empirical.train import Settings, train
pixels = np.random.default_rng(0).integers(0, 256, (56, 64, 64, 3), dtype=np.uint8)
labels = np.arange(56) % 2
np.savez("images.npz", x_train=pixels, y_train=labels, x_test=pixels, y_test=labels)
size = {{"width": 8, "dim": 4, "batch": 14, "epochs": 1, "queue": 14, "accelerator": "cpu"}}
own = Settings(data="npz:images.npz", encoder="{__name__}:strided", framework="{framework}", **size)
train(own, Path("run"))
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([os.getcwd(), *sys.path])}
    subprocess.run([sys.executable, "-c", program], check=True, cwd=tmp_path, env=environment)


CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.mark.parametrize(
    ("layer", "device", "expected"),
    [
        (nn.Conv2d(8, 16, 1, 2), CPU, torch.contiguous_format),
        (nn.Conv2d(16, 8, 1, (2, 1)), CPU, torch.contiguous_format),
        (nn.Conv2d(32, 32, 1, 2, groups=4), CPU, torch.contiguous_format),
        (nn.Conv2d(8, 16, 1, 2), GPU, torch.channels_last),
        (nn.Conv2d(16, 16, 1, 2), CPU, torch.channels_last),
        (nn.Conv2d(8, 16, 1), CPU, torch.channels_last),
        (nn.Conv2d(3, 8, 3, 2), CPU, torch.channels_last),
        (nn.Linear(8, 8), CPU, torch.channels_last),
    ],
)
def test_channels_are_last_but_for_narrow_strided_pointwise_convolutions_on_a_cpu(layer, device, expected):
    assert memory_format(nn.Sequential(nn.ReLU(), nn.Sequential(layer)), device) == expected


@pytest.mark.parametrize("name", ENCODERS)
def test_the_order_of_the_encoders_here_is_channels_last(name):
    assert memory_format(ImageNetwork(name, 3, 8, 8), CPU) == torch.channels_last


@pytest.mark.parametrize(("stride", "side"), [(1, 16), (2, 8), (4, 4)])
def test_stem_reduces_the_resolution(stride, side):
    encoder = ImageNetwork("resnet18", 3, 8, 4, stem_stride=stride).encoder
    first_block = next(layer for layer in encoder if isinstance(layer, BasicBlock))
    seen = []
    first_block.register_forward_hook(lambda *call: seen.append(call[2].shape[2:]))
    encoder(torch.rand(2, 3, 16, 16))
    assert seen == [(side, side)]


def test_initial_weights_of_earlier_versions():
    """Runs of earlier versions start from the same bits: same layers, drawn in the same order."""
    torch.manual_seed(0)
    convolutions = [nn.Conv2d(3, 4, 3, bias=False)]
    for before, after in ((4, 4), (4, 8), (8, 16), (16, 32)):
        shortcut = [nn.Conv2d(before, after, 1, bias=False)] if before != after else []
        block = [nn.Conv2d(width, after, 3, bias=False) for width in (before, after, after, after)]
        convolutions += [*block[:2], *shortcut, *block[2:]]
    for layer in convolutions:
        nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    projector = [nn.Linear(32, 32, bias=False), nn.Linear(32, 5)]
    torch.manual_seed(0)
    network = ImageNetwork("resnet18", 3, 5, 4)
    found = [p for p in network.parameters() if p.ndim > 1] + [network.projector[3].bias]
    expected = [layer.weight for layer in (*convolutions, *projector)] + [projector[1].bias]
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))

    torch.manual_seed(0)
    layers = [nn.Conv2d(widths[0], widths[1], 3, bias=False) for widths in ((1, 4), (4, 8), (8, 16))]
    layers += [nn.Linear(16, 16, bias=False), nn.Linear(16, 5)]
    torch.manual_seed(0)
    found = [p for p in ImageNetwork("convnet", 1, 5, 4).parameters() if p.ndim > 1]
    assert all(torch.equal(p, layer.weight) for p, layer in zip(found, layers, strict=True))


@pytest.mark.parametrize(("layers", "widths"), [(1, [(16, 5)]), (2, [(16, 7), (7, 5)]), (3, [(16, 7), (7, 7), (7, 5)])])
def test_projector(layers, widths):
    projector = ImageNetwork("convnet", 1, 5, 4, hidden=7, layers=layers).projector
    linear = [layer for layer in projector if isinstance(layer, nn.Linear)]
    assert [(layer.in_features, layer.out_features) for layer in linear] == widths
    between = [type(layer) for layer in projector if not isinstance(layer, nn.Linear)]
    assert between == [nn.BatchNorm1d, nn.ReLU] * (layers - 1)
    assert ImageNetwork("convnet", 1, 5, 4, layers=3).projector[3].in_features == 16


def test_vision_transformer_sees_positions_and_takes_every_size_that_patches_tile():
    torch.manual_seed(0)
    encoder = ImageNetwork("vit", 3, 8, 64).encoder.eval()
    x = torch.rand(2, 3, 32, 32)
    swapped = x.clone()
    swapped[:, :, :4], swapped[:, :, 28:] = x[:, :, 28:], x[:, :, :4]
    assert not torch.allclose(encoder(x), encoder(swapped), atol=1e-4)
    assert encoder(torch.rand(2, 3, 8, 64)).shape == (2, 64)
    # Every layer starts from weights of its own.
    assert not torch.equal(encoder.blocks[0].linear1.weight, encoder.blocks[1].linear1.weight)
    with pytest.raises(ParameterError, match="image size = 30×32 violates sides that are multiples of 4"):
        encoder(torch.rand(2, 3, 30, 32))


def test_every_encoder_learns():
    """Gradients reach every weight."""
    for name in ENCODERS:
        network = ImageNetwork(name, 3, 8, 8)
        side = 1 if name == "adapter" else 16
        network(torch.rand(4, 3, side, side))[1].square().sum().backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


class Maps(nn.Module):
    """An encoder with batch norm, dropout and maps as output."""

    def __init__(self, channels=3, width=6):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(channels, width, 3), nn.BatchNorm2d(width), nn.Dropout())
        self.layers[1].eval()

    def forward(self, x):
        return self.layers(x)


def failing():
    raise ValueError("two\nlines")


@pytest.fixture
def factories(monkeypatch):
    """A module ``mine`` of factories."""
    module = types.ModuleType("mine")
    module.Maps = Maps
    module.fixed = lambda: nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 9))
    module.digits = lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 9))
    module.large = lambda: nn.Sequential(nn.MaxPool2d(100), nn.Flatten())
    module.needs_depth = lambda depth: None
    module.text = "no factory"
    module.failing = failing
    module.number = lambda: 3
    module.recurrent = lambda: nn.Sequential(nn.Flatten(2), nn.LSTM(1024, 4))
    module.tokens = lambda: nn.Flatten(2)
    module.broken = lambda: nn.Linear(7, 7)
    monkeypatch.setitem(sys.modules, "mine", module)


def test_an_encoder_of_ones_own(factories):
    state = torch.random.get_rng_state()
    network = ImageNetwork("mine:Maps", 1, 5, 8)
    assert network.features == 8
    inner = network.encoder[0]
    norm = inner.layers[1]
    assert not norm.training  # left as the factory made it
    assert inner.training
    assert norm.num_batches_tracked == 0
    assert torch.equal(norm.running_mean, torch.zeros(8))
    assert not torch.equal(state, torch.random.get_rng_state())  # its weights were drawn
    x = torch.rand(4, 1, 16, 16)
    h, z = network.eval()(x)
    assert z.shape == (4, 5)
    assert torch.allclose(h, inner((x - 0.5) * 2).mean((2, 3)), atol=1e-6)

    assert ImageNetwork("mine:fixed", 3, 5).features == 9
    assert ImageNetwork("mine:large", 3, 5).features == 3 * 2 * 2
    assert ImageNetwork("torchvision.models:resnet18", 3, 5).features == 1000


def test_an_encoder_that_takes_only_the_images_own_size(factories):
    assert ImageNetwork("mine:digits", 1, 5, size=(8, 8)).features == 9
    assert ImageNetwork("mine:large", 3, 5, size=(100, 300)).features == 3 * 1 * 3
    with pytest.raises(ParameterError, match="encoder = mine:digits violates input .B, 1, 9, 8.: mat1"):
        ImageNetwork("mine:digits", 1, 5, size=(9, 8))


def test_finding_the_width_draws_nothing(factories):
    torch.manual_seed(0)
    expected = Maps(1, 8).layers[0].weight
    linear = nn.Linear(8, 8, bias=False).weight
    torch.manual_seed(0)
    network = ImageNetwork("mine:Maps", 1, 5, 8)
    assert torch.equal(network.encoder[0].layers[0].weight, expected)
    assert torch.equal(network.projector[0].weight, linear)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("missing_module:f", "a module that can be imported (No module named 'missing_module')"),
        ("mine:missing", "an attribute missing of mine"),
        ("mine:", "MODULE:NAME"),
        (".mine:Maps", "MODULE:NAME"),
        ("mine:text", "a factory that needs at most channels and width ('no factory' is not a callable object)"),
        ("mine:needs_depth", "a factory that needs at most channels and width (missing a required argument: 'depth')"),
        ("mine:failing", "a factory that makes an encoder (two lines)"),
        ("mine:number", "a factory of an nn.Module (found int)"),
        ("mine:tokens", "output (B, features) or (B, features, h, w), found (2, 3, 1024)"),
        ("mine:recurrent", "a tensor as output (found tuple)"),
        ("mine:broken", "input (B, 3, 32, 32) or (B, 3, 224, 224): "),
    ],
)
def test_what_is_no_encoder_is_refused_in_one_line(factories, spec, message):
    with pytest.raises(ParameterError) as error:
        ImageNetwork(spec, 3, 5)
    assert str(error.value).startswith(f"encoder = {spec} violates {message}")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("code", "reason"),
    [("1 / 0", "division by zero"), ("def f(:", "invalid syntax"), ("raise SystemExit", "SystemExit"), ("x", "'x'")],
)
def test_a_module_that_raises_anything_is_refused_in_one_line(tmp_path, monkeypatch, code, reason):
    name = f"broken_{len(code)}"
    (tmp_path / f"{name}.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ParameterError, match="a module that can be imported .*" + reason) as error:
        ImageNetwork(f"{name}:f", 3, 5)
    assert "\n" not in str(error.value)


def test_extraction_leaves_the_network_alone():
    network = ImageNetwork("convnet", 1, 4, 4).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    images = torch.randint(0, 255, (7, 1, 8, 8), dtype=torch.uint8)
    h, z = extract(network, images, batch=3)
    assert h.shape == (7, 16)
    assert z.shape == (7, 4)
    assert network.training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    whole, _ = extract(network, images)
    assert torch.allclose(h, whole, atol=1e-6)


def test_extraction_reads_lazy_images_a_batch_at_a_time():
    class Lazy:
        shape = (7, 1, 8, 8)
        asked = ()

        def __len__(self):
            return 7

        def take(self, indices):
            self.asked += (indices.tolist(),)
            return images[indices]

    images = torch.randint(0, 255, (7, 1, 8, 8), dtype=torch.uint8)
    network, lazy = ImageNetwork("convnet", 1, 4, 4), Lazy()
    assert torch.equal(extract(network, lazy, batch=3)[0], extract(network, images, batch=3)[0])
    assert lazy.asked == ([0, 1, 2], [3, 4, 5], [6])


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"name": "vgg"}, "encoder"),
        ({"name": "resnet81"}, "did you mean resnet18"),
        ({"name": "vit", "width": 100}, "width"),
        ({"name": "vit", "width": 6}, "width"),
        ({"dim": 0}, "dim"),
        ({"width": 0}, "width"),
        ({"hidden": 0}, "hidden"),
        ({"layers": 0}, "layers"),
        ({"layers": 4}, "layers"),
        ({"stem_stride": 3}, "stem_stride"),
    ],
)
def test_parameters_are_checked(change, name):
    with pytest.raises(ParameterError, match=name):
        ImageNetwork(**{"name": "resnet18", "channels": 3, "dim": 8, "width": 8, **change})
