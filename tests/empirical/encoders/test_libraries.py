"""Networks of timm and torchvision: normalisation, head, sizes, weights from where a library keeps them, and errors."""

import socket
import sys

import pytest
import torch
from torch import nn
from torchvision import models

from empirical import pretrained
from empirical.choices import is_code, of_library
from empirical.encoders import ImageNetwork, begin_with, library_encoder
from empirical.encoders.libraries import LibraryEncoder
from theory.checks import ParameterError

MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
TIMM, TORCHVISION = "timm:test_resnet.r160_in1k", "torchvision:resnet18"


@pytest.fixture
def offline(monkeypatch, tmp_path):
    """No network, and nothing that was downloaded before."""

    def refuse(*_, **__):
        raise OSError("no network here")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))
    return tmp_path


def test_what_is_code_and_what_a_library():
    assert of_library("timm:resnet50.a1_in1k")
    assert of_library("torchvision:resnet50")
    for name in ("resnet50", "timm", "torchvision.models:resnet18", "mine:timm", ":x"):
        assert not of_library(name)
    assert is_code("torchvision.models:resnet18")
    assert not is_code("timm:x")
    assert not is_code("resnet50")


def test_torchvision_is_normalised_as_its_weights_say_and_has_no_head():
    torch.manual_seed(0)
    network = ImageNetwork(TORCHVISION, 3, 4, size=(40, 40)).eval()
    theirs = models.resnet18()
    weights = network.encoder.net.state_dict()
    theirs.load_state_dict(weights, strict=False)
    theirs.fc = nn.Identity()
    x = torch.rand(3, 3, 40, 40)
    expected = theirs.eval()((x - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None])
    torch.testing.assert_close(network(x)[0], expected)
    torch.testing.assert_close(network.encode(x), expected)
    assert (network.features, network.encoder.side) == (512, 224)
    assert not any(name.startswith("fc") for name in weights)


@pytest.mark.parametrize(
    ("name", "features", "last"),
    [
        ("mobilenet_v3_small", 1024, "classifier.3"),
        ("shufflenet_v2_x0_5", 1024, "fc"),
        ("densenet121", 1024, "classifier"),
    ],
)
def test_heads_of_torchvision_of_other_names(name, features, last):
    encoder, width = library_encoder(f"torchvision:{name}", 3, size=(64, 64))
    assert width == features
    assert isinstance(encoder.net.get_submodule(last), nn.Identity)


def test_timm_is_normalised_by_its_own_config_and_has_no_head():
    timm = pytest.importorskip("timm")
    encoder, width = library_encoder(TIMM, 3, size=(64, 64))
    config = timm.data.resolve_model_data_config(encoder.net)
    assert encoder.mean.flatten().tolist() == pytest.approx(config["mean"])
    assert encoder.std.flatten().tolist() == pytest.approx(config["std"])
    assert encoder.side == config["input_size"][1] == 160
    whole = timm.create_model("test_resnet.r160_in1k", num_classes=0).eval()
    whole.load_state_dict(encoder.net.state_dict())
    x = torch.rand(2, 3, 64, 64)
    mean, std = (torch.tensor(config[name])[:, None, None] for name in ("mean", "std"))
    torch.testing.assert_close(encoder.eval()(x), whole((x - mean) / std))
    assert width == whole.num_features


def test_grey_images_are_taken_for_three_equal_colours():
    encoder = LibraryEncoder(nn.Sequential(nn.Conv2d(3, 2, 1), nn.Flatten()), MEAN, STD, 8)
    x = torch.rand(2, 1, 4, 4)
    torch.testing.assert_close(encoder(x), encoder(x.expand(-1, 3, -1, -1)))


def test_constants_of_normalisation_are_no_weights_and_move_with_the_network():
    encoder = LibraryEncoder(nn.Linear(1, 1), MEAN, STD, 8)
    assert set(encoder.state_dict()) == {"net.weight", "net.bias"}
    assert encoder.double().mean.dtype == torch.float64


def test_weights_of_torchvision_are_loaded_from_where_it_keeps_them(offline):
    """Nothing is downloaded if the file is there; it is the library's own way to it."""
    kept = models.resnet18()
    with torch.no_grad():
        kept.conv1.weight.fill_(0.25)
    name = models.get_model_weights("resnet18").DEFAULT.url.rpartition("/")[2]
    (offline / "checkpoints").mkdir()
    torch.save(kept.state_dict(), offline / "checkpoints" / name)
    encoder, _ = library_encoder(TORCHVISION, 3, pretrained=True, size=(32, 32))
    assert (encoder.net.conv1.weight == 0.25).all()


def test_weights_of_timm_are_loaded_from_where_it_keeps_them(offline, monkeypatch):
    timm = pytest.importorskip("timm")
    from huggingface_hub import constants
    from safetensors.torch import save_file

    kept = timm.create_model("test_resnet.r160_in1k").state_dict()
    first = next(name for name, value in kept.items() if value.ndim == 4)
    kept[first] = torch.full_like(kept[first], 0.25)
    place, revision = offline / "models--timm--test_resnet.r160_in1k", "0" * 40
    for folder in ("refs", f"snapshots/{revision}"):
        (place / folder).mkdir(parents=True)
    (place / "refs" / "main").write_text(revision)
    save_file(kept, place / "snapshots" / revision / "model.safetensors")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(offline))
    encoder, _ = library_encoder(TIMM, 3, pretrained=True, size=(64, 64))
    assert (encoder.net.state_dict()[first] == 0.25).all()
    assert not constants.HF_HUB_OFFLINE  # as it was


def test_pickled_weights_of_torchvision_are_not_loaded(offline):
    class Mark:
        def __reduce__(self):
            return open, (str(offline / "unpickled"), "w")

    name = models.get_model_weights("resnet18").DEFAULT.url.rpartition("/")[2]
    (offline / "checkpoints").mkdir()
    torch.save({"conv1.weight": Mark()}, offline / "checkpoints" / name)
    with pytest.raises(ParameterError, match="a network whose weights can be downloaded"):
        library_encoder(TORCHVISION, 3, pretrained=True)
    assert not (offline / "unpickled").exists()


@pytest.mark.parametrize("spec", [TORCHVISION, TIMM])
def test_without_a_network_it_is_one_line(offline, spec, capfd, monkeypatch):
    if spec == TIMM:
        pytest.importorskip("timm")
        constants = pytest.importorskip("huggingface_hub.constants")
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(offline))
    with pytest.raises(ParameterError) as error:
        library_encoder(spec, 3, pretrained=True)
    message = str(error.value)
    assert message.startswith(f"encoder = {spec} violates a network whose weights can be downloaded (")
    assert "\n" not in message
    out, err = capfd.readouterr()
    assert out == ""
    assert "Retry" not in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("torchvision:resnet17", "a name of torchvision.models (did you mean resnet1"),
        ("torchvision:", "a name of torchvision.models"),
        ("torchvision:raft_large", "a name of torchvision.models"),
        ("torchvision:squeezenet1_0", "a network with one linear head"),
        ("torchvision:googlenet", "a network with one linear head"),
        ("timm:resnet17", "a name of timm.list_models() (did you mean resnet1"),
        ("timm:hf-hub:somebody/model", "a name of timm.list_models()"),
        ("timm:local-dir:/tmp", "a name of timm.list_models()"),
        ("timm:../resnet18", "a name of timm.list_models()"),
        ("timm:resnet18.no_such_tag", "a network that can be made ("),
    ],
)
def test_what_is_no_network_of_a_library_is_one_line(spec, message):
    if spec.startswith("timm:"):
        pytest.importorskip("timm")
    with pytest.raises(ParameterError) as error:
        library_encoder(spec, 3)
    assert str(error.value).startswith(f"encoder = {spec} violates {message}")
    assert "\n" not in str(error.value)


def test_other_colours_are_refused():
    with pytest.raises(ParameterError, match="encoder = torchvision:resnet18 violates images of 1 or 3 channels"):
        library_encoder(TORCHVISION, 4)


def test_images_of_a_size_that_a_network_does_not_take():
    with pytest.raises(ParameterError, match="its own size is 224, such as by --image-size 224"):
        library_encoder("torchvision:vit_b_32", 3, size=(32, 32))


def test_without_timm_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(
        ParameterError, match="^encoder timm:resnet18 needs timm: pip install 'difficult-examples.timm.'$"
    ):
        library_encoder("timm:resnet18", 3)


# --- weights of ImageNet, without a network --------------------------------------------------------


@pytest.mark.skipif(pretrained.weights_path() is None, reason=f"{pretrained.PACKAGE} is not installed")
def test_timm_takes_the_weights_of_another_implementation_and_gives_its_features():
    """EfficientNet-Lite0 as ``empirical.pretrained`` computes it, and timm's with the same file: two programs."""
    pytest.importorskip("timm")
    network = ImageNetwork("timm:tf_efficientnet_lite0", 3, 4, size=(64, 64)).eval()
    expected = r"in their order; left out 2 tensors that the encoder has not \(_fc.weight, _fc.bias\)$"
    with pytest.warns(UserWarning, match=f"its names are others, so the tensors are taken {expected}"):
        begin_with(network, pretrained.weights_path())
    images = torch.rand(4, 3, 64, 64)
    theirs = pretrained.EfficientNetLite0(64)(images)["17"]
    # Its own normalisation is (255·x − 127) / 128, timm's 2·x − 1.
    with torch.no_grad():
        ours = network.encode(((255 * images - 127) / 128 + 1) / 2)
    assert (ours - theirs).abs().max() < 1e-4 * theirs.abs().max()
