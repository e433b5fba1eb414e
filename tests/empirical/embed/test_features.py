"""Tables of features: which image has which id, label and features, by which encoder; going on; what is refused."""

import json
import os
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from torch import nn

from empirical import pretrained
from empirical.data.samples import Columns, read_samples
from empirical.embed import Embedding, embed_images, embedding, frozen
from empirical.embed.__main__ import main
from empirical.encoders import ImageNetwork
from empirical.export import export, load_encoder
from empirical.train.settings import Settings
from tests.empirical.export.test_export import checkpoint
from theory.checks import ParameterError

FAKE = f"{__name__}:encoder"
DIGITS = Embedding(Settings(data="digits", train=100, test=30), encoder=FAKE)


def encoder(channels):
    return nn.Sequential(nn.Conv2d(channels, 5, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())


@pytest.fixture
def photos(tmp_path):
    """Two classes, ten and seven, the second of which has a name that is no file's; images of one colour each."""
    for name, count in (("cat", 10), ("a dog", 7)):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(count):
            colour = (20 * number, 255 - 20 * number, 100 * (name == "cat"))
            Image.new("RGB", (40, 30), colour).save(tmp_path / "photos" / name / f"{number}.png")
    return tmp_path / "photos"


def read(path):
    return pq.read_table(path).to_pandas()


def colours(path, side):
    """Images of one colour, from their files, in [0, 1]."""
    pixels = np.asarray(Image.open(path).convert("RGB"))[0, 0] / 255
    return torch.tensor(pixels, dtype=torch.float32)[None, :, None, None].expand(1, 3, side, side)


def test_every_photograph_has_its_own_features(photos, tmp_path, monkeypatch):
    """File by file, whatever the blocks and batches."""
    monkeypatch.setattr(embedding, "BLOCK", 4)
    monkeypatch.setattr(frozen, "CPU_BATCH", 3)
    path = checkpoint(tmp_path / "run", Settings(encoder="resnet10", width=4, dim=4, batch=8), size=(24, 24))
    table = read(embed_images(Embedding(Settings(data=f"folder:{photos}"), checkpoint=path), tmp_path / "f.parquet"))
    assert list(table.columns) == ["id", "split", "label", "image", "features"]
    assert sorted(table.id) == sorted(str(p.relative_to(photos)) for p in photos.rglob("*.png"))
    assert (table.label == table.id.str.partition("/")[0]).all()
    assert table.split.value_counts().to_dict() == {"train": 14, "test": 3}
    load = load_encoder(path)
    for name, found in zip(table.id, table.features, strict=True):
        with torch.no_grad():
            expected = load(colours(photos / name, 24))[0].numpy()
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_checkpoint_and_export_give_the_same_table(photos, tmp_path):
    path = checkpoint(tmp_path / "run", Settings(encoder="resnet10", width=4, dim=4, batch=8), size=(24, 24))
    export(path, tmp_path / "model", ())
    settings = Settings(data=f"folder:{photos}")
    tables = [
        read(embed_images(Embedding(settings, checkpoint=p), tmp_path / f"{p.stem}.parquet"))
        for p in (path, tmp_path / "model")
    ]
    assert (tables[0].id == tables[1].id).all()
    np.testing.assert_array_equal(np.stack(tables[0].features), np.stack(tables[1].features))


def test_photographs_are_read_at_the_size_of_a_librarys_network(photos, tmp_path):
    torch.manual_seed(1)
    net = ImageNetwork("torchvision:shufflenet_v2_x0_5", 3, 1)
    torch.save(net.encoder.net.state_dict(), tmp_path / "w.pt")
    e = Embedding(
        Settings(data=f"folder:{photos}"), encoder="torchvision:shufflenet_v2_x0_5", weights=tmp_path / "w.pt"
    )
    assert e.at_own_size(views=False).settings.image_size == 224
    assert e.at_own_size(views=True).settings.image_size == 224
    small = replace(e, settings=replace(e.settings, image_size=64), side=64)
    assert small.at_own_size(views=False) == small
    table = read(embed_images(small, tmp_path / "f.parquet"))
    net.eval()
    for name, found in zip(table.id, table.features, strict=True):
        with torch.no_grad():
            expected = net.encode(colours(photos / name, 64))[0].numpy()
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


def test_those_without_labels_have_none(photos, tmp_path):
    flat = tmp_path / "flat"
    flat.mkdir()
    for number, path in enumerate(sorted(photos.rglob("*.png"))):
        path.rename(flat / f"{number}.png")
    e = Embedding(Settings(data=f"folder:{flat}"), encoder=FAKE)
    table = read(embed_images(e, tmp_path / "f.parquet"))
    assert table.label.isna().all()
    assert sorted(table.id) == sorted(p.name for p in flat.iterdir())
    assert set(table.split) == {"train"}


def test_names_that_are_no_text_are_spelled(photos, tmp_path):
    name = os.fsencode(photos / "cat") + b"/\xff\xe9.png"
    os.rename(photos / "cat" / "3.png", name)
    table = read(embed_images(Embedding(Settings(data=f"folder:{photos}"), encoder=FAKE), tmp_path / "f.parquet"))
    assert len(table) == table.id.nunique() == 17
    assert not set(table.id) & {"cat/3.png"}


def test_images_without_names_are_numbered(tmp_path):
    table = read(embed_images(DIGITS, tmp_path / "d.parquet"))
    assert list(table.id) == [*(f"train-{n}" for n in range(100)), *(f"test-{n}" for n in range(30))]
    assert set(table.label) == set("0123456789")
    assert table.image.isna().all()


def test_the_table_is_what_other_commands_read(photos, tmp_path):
    path = embed_images(Embedding(Settings(data=f"folder:{photos}"), encoder=FAKE), tmp_path / "f.parquet")
    found, table = read_samples(path, columns=Columns(label="label", id="id", image="image")), read(path)
    assert list(found.ids) == list(table.id)
    assert found.names == ("a dog", "cat")
    rows = np.stack(table.features)
    units = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    np.testing.assert_allclose(found.features.take(np.arange(len(table))), units, rtol=1e-5)


def test_what_made_it_is_in_its_metadata(tmp_path):
    path = embed_images(DIGITS, tmp_path / "d.parquet")
    origin = json.loads(pq.read_schema(path).metadata[b"origin"])
    assert origin["schema"] == "difficult-examples/features/1"
    assert origin["settings"]["encoder"] == FAKE
    assert len(origin["settings"]["weights"]) == 64
    assert not {"views", "components", "jitter", "seed"} & set(origin["settings"])
    assert origin["reading"]["samples"] == 130


class Stopped(Exception):
    pass


def test_it_goes_on_where_it_was_with_the_same_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(embedding, "BLOCK", 16)
    whole = embed_images(DIGITS, tmp_path / "whole.parquet")

    def stop(done, total):
        if done >= 48:
            raise Stopped

    with pytest.raises(Stopped):
        embed_images(DIGITS, tmp_path / "parts.parquet", stop)
    kept = {p: p.stat().st_mtime_ns for p in (tmp_path / "parts.part").glob("*.npy")}
    assert len(kept) == 3
    seen = []

    def progress(done, total):
        seen.append((done, total))
        assert all(p.stat().st_mtime_ns == when for p, when in kept.items())

    parts = embed_images(DIGITS, tmp_path / "parts.parquet", progress)
    assert seen[-1] == (130, 130)
    assert parts.read_bytes() == whole.read_bytes()
    assert not (tmp_path / "parts.part").exists()
    written = parts.stat().st_mtime_ns
    assert embed_images(DIGITS, parts).stat().st_mtime_ns == written  # finished, and left alone


def test_a_file_of_something_else_is_refused(tmp_path):
    def stop(done, total):
        raise Stopped

    with suppress(Stopped):
        embed_images(DIGITS, tmp_path / "d.parquet", stop)
    other = replace(DIGITS, settings=replace(DIGITS.settings, train=90))
    with pytest.raises(ParameterError, match="train = 90 violates train = 100 of the interrupted embedding"):
        embed_images(other, tmp_path / "d.parquet")
    path = embed_images(DIGITS, tmp_path / "d.parquet")
    with pytest.raises(ParameterError, match="train = 90 violates train = 100 of the features in"):
        embed_images(other, path)
    path.write_bytes(b"anything")
    with pytest.raises(ParameterError, match="d.parquet violates a file name that is not taken"):
        embed_images(DIGITS, path)
    assert path.read_bytes() == b"anything"


@pytest.mark.skipif(pretrained.weights_path() is None, reason=f"{pretrained.PACKAGE} is not installed")
def test_efficientnet_of_the_package_and_of_timm_give_the_same_table(photos, tmp_path):
    """The shipped weights by the project's own program, and by timm's: their normalisations differ by half a grey."""
    pytest.importorskip("timm")
    settings = Settings(data=f"folder:{photos}", image_size=64)
    package = read(embed_images(Embedding(settings, side=64), tmp_path / "one.parquet"))
    e = Embedding(settings, encoder="timm:tf_efficientnet_lite0", weights=pretrained.weights_path(), side=64)
    with pytest.warns(UserWarning, match="in their order"):
        other = read(embed_images(e, tmp_path / "two.parquet"))
    first, second = np.stack(package.features), np.stack(other.features)
    assert first.shape == (17, 1280)
    assert np.linalg.norm(first - second) < 0.05 * np.linalg.norm(first)


# --- the command -----------------------------------------------------------------------------------


def test_command(photos, tmp_path, capsys):
    out = tmp_path / "features" / "photos.parquet"
    arguments = ["--data", f"folder:{photos}", "--encoder", FAKE, "--side", "16", "--out", str(out)]
    assert main(arguments) == 0
    found = capsys.readouterr()
    assert found.out == f"--features {out} --label-column label --id-column id --image-column image\n"
    assert f"read folder:{photos}: 2 classes (a dog, cat), 17 samples" in found.err
    table = read(out)
    assert len(table) == 17
    assert all((out.parent / image).samefile(photos / name) for image, name in zip(table.image, table.id, strict=True))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--views", "3"], "--views is of views: it goes with --out FILE.npz"),
        (["--components", "3"], "--components is of views"),
        (["--sets", "2"], "--sets is of views"),
        (["--seed", "1"], "--seed is of views"),
        (["--omega", "0.1"], "--omega is of views"),
        (["--imbalance", "2"], "--imbalance is of views"),
        (["--smallest-crop", "0.1"], "--smallest-crop is of views"),
        (["--blur", "0.1"], "--blur is of views"),
        (["--encoder", "timm:resnet18"], "encoder = timm:resnet18 violates --pretrained or --weights FILE beside it"),
        (
            ["--encoder", "mine:f", "--pretrained"],
            "encoder = mine:f violates timm:NAME or torchvision:NAME with pretrained",
        ),
        (["--pretrained"], "encoder = efficientnet_lite0 violates timm:NAME or torchvision:NAME with pretrained"),
        (["--weights", "w.pt"], "encoder = efficientnet_lite0 violates timm:NAME, torchvision:NAME or MODULE:FACTORY"),
        (
            ["--encoder", "resnet18"],
            "encoder = resnet18 violates one of efficientnet_lite0, timm:NAME, torchvision:NAME",
        ),
        (
            ["--encoder", "torchvision:resnet18", "--pretrained", "--weights", "w.pt"],
            "pretrained and weights exclude each other",
        ),
        (["--encoder", "torchvision:resnet18", "--weights", "w.pt"], "cannot read w.pt: there is no file w.pt"),
        (["--encoder", "torchvision:resnet1", "--weights", "w.pt"], "encoder = torchvision:resnet1 violates a name of"),
        (["--checkpoint", "model"], "cannot read model: there is no file model"),
        (["--checkpoint", "model.safetensors"], "cannot read config.json: there is no file config.json"),
    ],
)
def test_errors_are_one_line_and_leave_nothing(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["--data", "digits", *arguments, "--out", "new.parquet"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"error: {message}")
    assert err.count("\n") == 1
    assert not list(tmp_path.iterdir())
