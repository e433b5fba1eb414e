import pytest
import torch

from empirical.encoders import Network, extract
from theory.params import ParameterError


@pytest.mark.parametrize(
    ("name", "width", "features"), [("convnet", 8, 32), ("resnet18", 8, 64), ("resnet18", 64, 512)]
)
@pytest.mark.parametrize("stride", [1, 2])
def test_output_widths(name, width, features, stride):
    network = Network(name, 3, dim=10, width=width, stem_stride=stride).eval()
    h, z = network(torch.rand(2, 3, 32, 32))
    assert h.shape == (2, features)
    assert z.shape == (2, 10)


def test_resnet18_has_the_depth_and_size_of_the_original():
    encoder = Network("resnet18", 3, 128, 64).encoder
    weights = [p for p in encoder.parameters() if p.ndim == 4]
    assert len(weights) == 20  # 17 convolutions and 3 shortcuts
    # torchvision's ResNet-18 has 11,176,512 without its classifier and with a 7×7 stem.
    assert sum(p.numel() for p in encoder.parameters()) == 11_176_512 - 64 * 3 * (49 - 9)


def test_extraction_leaves_the_network_alone():
    network = Network("convnet", 1, 4, 4).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    images = torch.randint(0, 255, (7, 1, 8, 8), dtype=torch.uint8)
    h, z = extract(network, images, batch=3)
    assert h.shape == (7, 16)
    assert z.shape == (7, 4)
    assert network.training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    whole, _ = extract(network, images)
    assert torch.allclose(h, whole, atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "name"),
    [(("vgg", 3, 8, 8), "encoder"), (("convnet", 3, 0, 8), "dim"), (("convnet", 3, 8, 0), "width")],
)
def test_parameters_are_checked(arguments, name):
    with pytest.raises(ParameterError, match=name):
        Network(*arguments)
    with pytest.raises(ParameterError, match="stem_stride"):
        Network("resnet18", 3, 8, 8, stem_stride=3)
