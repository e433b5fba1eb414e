"""Exports: every format gives the checkpoint's features; what the card says; what is refused."""

import json
import shutil
import sys

import pytest
import torch
from torch import nn

from empirical.encoders.weights import digest
from empirical.evaluate.protocol import Protocol
from empirical.export import export, load_encoder
from empirical.export.__main__ import main
from empirical.export.formats import FORMATS
from empirical.train.checkpoint import load_network
from empirical.train.logs import write_result
from empirical.train.settings import Settings
from theory.checks import ParameterError

SMALL = Settings(data="folder:photos", encoder="resnet10", width=4, dim=4, batch=8, epochs=2)
ALL = ["README.md", "config.json", "encoder.onnx", "encoder.safetensors", "encoder.torchscript.pt"]


def checkpoint(folder, settings=SMALL, channels=3, size=(24, 24)):
    """A checkpoint whose weights and statistics are none that a network begins with."""
    folder.mkdir(parents=True, exist_ok=True)
    network = settings.network(channels, *size).train()
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for _ in range(3):
            network(torch.rand(8, channels, *size, generator=generator))
        for p in network.parameters():
            p.add_(0.05 * torch.rand(p.shape, generator=generator))
    state = {"settings": settings.to_json(), "network": network.state_dict(), "metrics": [], "shape": (channels, *size)}
    torch.save(state, folder / "checkpoint.pt")
    return folder / "checkpoint.pt"


def features(path, images):
    with torch.no_grad():
        return load_encoder(path)(images)


ENCODERS = {
    "resnet10": (SMALL, 3, (24, 24)),
    "vit": (Settings(encoder="vit", width=8, dim=4, batch=8), 3, (16, 24)),
    "grey": (Settings(encoder="convnet", width=4, dim=4, batch=8), 1, (8, 8)),
    "torchvision": (Settings(encoder="torchvision:shufflenet_v2_x0_5", dim=4, batch=8), 3, (32, 32)),
    "timm": (Settings(encoder="timm:test_vit", dim=4, batch=8), 3, (160, 160)),
}


@pytest.mark.filterwarnings("ignore:.torch.jit.load. is deprecated")
@pytest.mark.parametrize("name", ENCODERS)
def test_every_format_gives_the_same_features(name, tmp_path):
    """Of a batch of another size than the one that it was made with."""
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    settings, channels, size = ENCODERS[name]
    if name == "timm":
        pytest.importorskip("timm")
    path = checkpoint(tmp_path / "run", settings, channels, size)
    export(path, tmp_path / "model", ("torchscript", "onnx"))
    images = torch.rand(5, channels, *size)
    with torch.no_grad():
        expected = load_network(path)[1](images)[0]
        traced = torch.jit.load(tmp_path / "model" / "encoder.torchscript.pt")(images)
    session = runtime.InferenceSession(tmp_path / "model" / "encoder.onnx")
    (ran,) = session.run(["features"], {"images": images.numpy()})
    found = {
        "checkpoint": features(path, images),
        "run": features(path.parent, images),
        "export": features(tmp_path / "model", images),
        "safetensors": features(str(tmp_path / "model" / "encoder.safetensors"), images),
        "torchscript": traced,
        "onnx": torch.from_numpy(ran),
    }
    assert expected.std() > 0
    for which, values in found.items():
        assert values.shape == expected.shape, which
        assert (values - expected).abs().max() <= 1e-4 * expected.abs().max(), which


def test_the_encoder_is_one_in_evaluation_mode_that_tells_its_images(tmp_path):
    encoder = load_encoder(checkpoint(tmp_path))
    assert isinstance(encoder, nn.Module)
    assert not any(module.training for module in encoder.modules())
    assert (encoder.channels, encoder.size, encoder.features) == (3, (24, 24), 32)
    assert encoder.mean_and_std == ([0.5] * 3, [0.5] * 3)
    x = torch.rand(2, 3, 24, 24)
    assert torch.allclose(encoder(x), encoder.encoder((x - 0.5) / 0.5))
    normalised = load_encoder(checkpoint(tmp_path / "t", *ENCODERS["torchvision"])).mean_and_std
    assert normalised[0] == pytest.approx([0.485, 0.456, 0.406])
    assert normalised[1] == pytest.approx([0.229, 0.224, 0.225])


def test_the_command_writes_everything_and_says_where(tmp_path, capsys):
    pytest.importorskip("onnx")
    path, out = checkpoint(tmp_path / "run"), tmp_path / "models" / "one"
    assert main(["--checkpoint", str(path), "--formats", *FORMATS, "--out", str(out)]) == 0
    assert sorted(capsys.readouterr().out.split()) == [str(out / name) for name in ALL]
    assert sorted(p.name for p in out.iterdir()) == ALL
    assert main(["--checkpoint", str(path.parent), "--formats", "safetensors", "--out", str(out)]) == 0  # fewer
    assert sorted(p.name for p in out.iterdir()) == ["README.md", "config.json", "encoder.safetensors"]


def test_the_config_says_what_the_encoder_is(tmp_path):
    path = checkpoint(tmp_path / "run")
    export(path, tmp_path / "model", ())
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    _, network = load_network(path)
    assert config == {
        "schema": "difficult-examples/encoder/1",
        "encoder": "resnet10",
        "channels": 3,
        "size": [24, 24],
        "features": 32,
        "mean": [0.5] * 3,
        "std": [0.5] * 3,
        "weights": digest(network.encoder.state_dict()),
        "settings": json.loads(json.dumps(SMALL.to_json())),
    }


def test_the_card(tmp_path):
    """What it was trained on and how accurate it is, if that lies beside it and is of this run."""
    path = checkpoint(tmp_path / "run")
    plain = tmp_path / "plain" / "README.md"
    export(path, plain.parent, ())
    text = plain.read_text()
    for part in ("license: unknown", "| licence | unknown |", "not measured", "not recorded", "floats in [0, 1]"):
        assert part in text
    for part in ("(B, 3, 24, 24)", "less 0.5, divided by 0.5", "| features | 32 |", "`folder:photos`", '"epochs": 2'):
        assert part in text
    (tmp_path / "run" / "reading.json").write_text('{"line": "read folder:photos: 2 classes"}')
    scores = {"encoder_probe": 0.625, "encoder_knn": 0.5}
    write_result(tmp_path / "run", "arm", SMALL, scores, Protocol(), 1.0, torch.device("cpu"))
    export(path, plain.parent, ())
    text = plain.read_text()
    assert "    read folder:photos: 2 classes\n" in text
    assert "62.50%" in text
    other = Settings(**{**SMALL.__dict__, "seed": 1})
    write_result(tmp_path / "run", "arm", other, scores, Protocol(), 1.0, torch.device("cpu"))
    export(path, plain.parent, ())
    assert "62.50%" not in plain.read_text()


def test_names_are_no_markdown_in_the_card(tmp_path):
    nasty = "folder:`|<script>\n# Title"
    path = checkpoint(tmp_path / "run", Settings(**{**SMALL.__dict__, "data": nasty}))
    (tmp_path / "run" / "reading.json").write_text(json.dumps({"line": f"read\n\n<script>{nasty}"}))
    export(path, tmp_path / "model", ())
    lines = (tmp_path / "model" / "README.md").read_text().splitlines()
    assert not [line for line in lines if line.startswith("# Title")]
    inside = [line for line in lines if "<script>" in line]
    assert inside
    assert all(line.startswith("    ") or "| `folder:'\\|<script>\\n# Title` |" in line for line in inside)


def test_weights_that_are_not_those_of_the_config_are_refused(tmp_path):
    for name, seed in (("one", 0), ("two", 1)):
        export(
            checkpoint(tmp_path / name, Settings(**{**SMALL.__dict__, "seed": seed})), tmp_path / f"{name}-model", ()
        )
    shutil.copy(tmp_path / "two-model/encoder.safetensors", tmp_path / "one-model")
    with pytest.raises(ParameterError, match=r"encoder.safetensors = SHA-256 \w+ violates that of config.json"):
        load_encoder(tmp_path / "one-model")


@pytest.mark.parametrize(
    "damage",
    [
        lambda c: c.pop("settings"),
        lambda c: c.update(settings=3),
        lambda c: c.update(settings={}),
        lambda c: c.update(size=[24]),
        lambda c: c.update(size="large"),
        lambda c: c.update(channels="three"),
        lambda c: c.update(channels=0),
        lambda c: c.update(schema="other"),
        lambda c: c["settings"].update(width=10**9),
        lambda c: c["settings"].update(encoder="resnet1"),
    ],
)
def test_damaged_configs_are_one_line(damage, tmp_path):
    export(checkpoint(tmp_path / "run"), tmp_path / "model", ())
    path = tmp_path / "model" / "config.json"
    config = json.loads(path.read_text())
    damage(config)
    path.write_text(json.dumps(config))
    with pytest.raises(ParameterError) as error:
        load_encoder(tmp_path / "model")
    assert "\n" not in str(error.value)


def test_code_is_called_only_if_it_is_trusted(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "called", [], raising=False)
    settings = Settings(**{**SMALL.__dict__, "encoder": f"{__name__}:code"})
    path = checkpoint(tmp_path / "run", settings)
    called.clear()
    trusted = (settings.encoder,)
    with pytest.raises(ParameterError, match="would be imported and called: --trust-encoder"):
        export(path, tmp_path / "model", ())
    with pytest.raises(ParameterError, match="--trust-encoder"):
        load_encoder(path)
    assert not called
    export(path, tmp_path / "model", ("torchscript",), trusted)
    called.clear()
    with pytest.raises(ParameterError, match=r"config.json has .*:code as its encoder, which would be imported"):
        load_encoder(tmp_path / "model")
    assert not called
    x = torch.rand(2, 3, 24, 24)
    assert torch.allclose(load_encoder(tmp_path / "model", trusted)(x), load_encoder(path, trusted)(x))
    assert called


def code(channels):
    called.append(channels)
    return nn.Sequential(nn.Conv2d(channels, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())


called: list[int] = []


class Changing(nn.Module):
    """Its way depends on the images, which a trace does not keep."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(3, 4, 3)

    def forward(self, x):
        return self.layer(x).mean((2, 3)) * (2 if len(x) > 2 else 1)


def test_a_program_with_other_features_is_refused(tmp_path):
    settings = Settings(**{**SMALL.__dict__, "encoder": f"{__name__}:Changing"})
    path = checkpoint(tmp_path / "run", settings)
    with pytest.raises(ParameterError, match="formats = torchscript violates features of the encoder within 0.0001"):
        export(path, tmp_path / "model", ("torchscript",), (settings.encoder,))
    assert not (tmp_path / "model").exists()


def test_a_runs_own_folder_is_refused(tmp_path):
    """A longer run would leave an old export beside it, which would be read in its place."""
    path = checkpoint(tmp_path / "run")
    with pytest.raises(ParameterError, match="out = .*run violates a folder of its own, not that of a run"):
        export(path, tmp_path / "run", ())
    assert [p.name for p in (tmp_path / "run").iterdir()] == ["checkpoint.pt"]


def test_a_folder_of_something_else_stays_as_it_is(tmp_path, capsys):
    path, out = checkpoint(tmp_path / "run"), tmp_path / "project"
    out.mkdir()
    (out / "README.md").write_text("mine")
    assert main(["--checkpoint", str(path), "--out", str(out)]) == 2
    expected = f"error: out = {out} violates a new folder, or that of an export (there is README.md)\n"
    assert capsys.readouterr() == ("", expected)
    assert [p.name for p in out.iterdir()] == ["README.md"]
    assert (out / "README.md").read_text() == "mine"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--formats", "tflite"], "--formats tflite: not one of safetensors, torchscript, onnx"),
        (["--checkpoint", "none.pt"], "cannot read none.pt: there is no file none.pt in "),
        (["--checkpoint", "empty"], "cannot read empty/checkpoint.pt: there is no file checkpoint.pt in "),
    ],
)
def test_errors_are_one_line_and_leave_nothing(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    assert main(["--checkpoint", str(checkpoint(tmp_path / "run")), *arguments, "--out", "model"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"error: {message}")
    assert err.count("\n") == 1
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(("name", "formats"), [("safetensors", ()), ("onnx", ("onnx",))])
def test_without_a_library_the_extra_is_named(name, formats, tmp_path, monkeypatch):
    from empirical.export import formats as known

    monkeypatch.setattr(known, "find_spec", lambda module: None if module == name else object())
    with pytest.raises(
        ParameterError, match=f"^the format {name} needs {name}: pip install 'difficult-examples.export"
    ):
        export(checkpoint(tmp_path / "run"), tmp_path / "model", formats)


def test_an_adapter_is_no_encoder_of_images(tmp_path):
    settings = Settings(data="views:x.npz", encoder="adapter", width=4, dim=4, batch=8)
    path = checkpoint(tmp_path / "run", settings, 6, (1, 1))
    with pytest.raises(ParameterError, match="violates a network of images, not an adapter"):
        export(path, tmp_path / "model", ())


def test_a_checkpoint_without_the_images_size_is_exported_as_weights(tmp_path):
    path = checkpoint(tmp_path / "run")
    state = torch.load(path, weights_only=True)
    del state["shape"]
    torch.save(state, path)
    with pytest.raises(ParameterError, match="does not tell the size of its images: --formats safetensors"):
        export(path, tmp_path / "model")
    export(path, tmp_path / "model", ())
    x = torch.rand(2, 3, 24, 24)
    assert torch.equal(features(tmp_path / "model", x), features(path, x))


def test_a_checkpoint_with_an_impossible_size_of_images_is_one_line(tmp_path):
    path = checkpoint(tmp_path / "run")
    state = torch.load(path, weights_only=True)
    torch.save({**state, "shape": (state["shape"][0], -8, 8)}, path)
    with pytest.raises(ParameterError, match="violates positive numbers"):
        export(path, tmp_path / "model", ("torchscript",))
