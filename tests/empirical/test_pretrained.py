"""The network that was trained on ImageNet."""

import pytest
import torch
from torch.nn import functional

from empirical import pretrained


def test_efficientnet_pads_and_adds_as_it_should():
    """With small weights of our own: sizes after strides, the residual, and padding on the right first."""
    net = object.__new__(pretrained.EfficientNetLite0)
    ones = torch.ones(1, 1, 3, 3)
    net.weights = {"c.weight": ones, "d.weight": torch.ones(1, 1, 5, 5)}
    x = torch.arange(16.0).view(1, 1, 4, 4)
    strided = net._convolved("c", x, stride=2)
    assert strided.shape == (1, 1, 2, 2)
    assert strided[0, 0, 0, 0] == x[0, 0, :3, :3].sum()  # nothing before the first row
    assert strided[0, 0, 1, 1] == x[0, 0, 2:, 2:].sum()
    assert net._convolved("c", x)[0, 0, 0, 0] == x[0, 0, :2, :2].sum()
    assert net._convolved("d", x, stride=2).shape == (1, 1, 2, 2)


@pytest.mark.skipif(pretrained.weights_path() is None, reason=f"{pretrained.PACKAGE} is not installed")
def test_efficientnet_has_the_widths_of_its_blocks():
    found = pretrained.EfficientNetLite0(64, (1, 5, 11, 16, 17))(torch.rand(2, 3, 32, 32))
    assert {depth: x.shape[1] for depth, x in found.items()} == {"1": 16, "5": 40, "11": 112, "16": 320, "17": 1280}
    assert all(bool(x.isfinite().all()) for x in found.values())


def test_a_convolution_with_its_batch_norm_is_one_convolution():
    torch.manual_seed(0)
    weights = {}
    for conv, norm, channels in (("_conv_stem", "_bn0", 3), ("_blocks.3._project_conv", "_blocks.3._bn2", 5)):
        weights[f"{conv}.weight"] = torch.randn(4, channels, 3, 3)
        for name in ("weight", "bias", "running_mean"):
            weights[f"{norm}.{name}"] = torch.randn(4)
        weights[f"{norm}.running_var"] = torch.rand(4)
    fused = pretrained._fused(weights)
    assert set(fused) == {f"{c}.{x}" for c in ("_conv_stem", "_blocks.3._project_conv") for x in ("weight", "bias")}
    for conv, norm, channels in (("_conv_stem", "_bn0", 3), ("_blocks.3._project_conv", "_blocks.3._bn2", 5)):
        x = torch.randn(2, channels, 6, 6)
        parts = (weights[f"{norm}.{name}"] for name in ("running_mean", "running_var", "weight", "bias"))
        expected = functional.batch_norm(functional.conv2d(x, weights[f"{conv}.weight"]), *parts, eps=1e-3)
        found = functional.conv2d(x, fused[f"{conv}.weight"], fused[f"{conv}.bias"])
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.skipif(pretrained.weights_path() is None, reason=f"{pretrained.PACKAGE} is not installed")
def test_features_do_not_depend_on_the_batch():
    images = torch.rand(6, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    network = pretrained.EfficientNetLite0(48, (3, 17))
    whole = network(images)
    for depth, x in whole.items():
        parts = torch.cat([network(part)[depth] for part in images.split(2)])
        torch.testing.assert_close(x, parts, rtol=1e-4, atol=1e-5)
