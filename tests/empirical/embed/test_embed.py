"""Cached views: what they are of, which determines them, and how an interrupted embedding goes on."""

import json
import shutil
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from empirical import pretrained
from empirical.data import imbalanced, load
from empirical.data.augment import Photos, digits, to_float
from empirical.data.sources import balanced_order
from empirical.embed import Embedding, embed, embedding, frozen
from empirical.embed.__main__ import main
from empirical.encoders import extract
from empirical.train.loop import train
from empirical.train.parts import seed_of
from empirical.train.settings import Settings
from theory.checks import ParameterError

FAKE = f"{__name__}:encoder"
SMALL = Embedding(
    Settings(data="digits", train=100, test=30, precision="32-true", seed=5), views=3, encoder=FAKE, components=0
)
ARGUMENTS = ["--data", "digits", "--train", "100", "--test", "30", "--encoder", FAKE, "--components", "6"]


def encoder(channels):
    return nn.Sequential(nn.Conv2d(channels, 12, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())


def made():
    """The fake encoder with the weights that an embedding gives it."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return encoder(1)


def with_settings(e, **changes):
    return replace(e, settings=replace(e.settings, **changes))


def read(path):
    with np.load(path) as found:
        return dict(found)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Arrays of ``SMALL``."""
    (path,) = embed(SMALL, tmp_path_factory.mktemp("embed") / "small")
    return read(path)


# --- what is in a file -----------------------------------------------------------------------------


def test_features_are_those_of_each_image_and_its_views(small):
    """Image by image, without blocks or batches, and divided by one number."""
    images, net, generator = load("digits", None, 30), made(), torch.Generator()
    rows = balanced_order(images.y_train.numpy())[:100]
    clean, views = [], []
    for row in rows:
        generator.manual_seed(seed_of(5, int(row)))
        image = images.x_train[row]
        drawn = digits(torch.stack([image, image, image]), generator)
        both = torch.cat([to_float(image)[None], drawn])
        with torch.no_grad():
            features = net((both - 0.5) * 2)
        clean.append(features[0])
        views.append(features[1:])
    clean, views = torch.stack(clean).numpy(), torch.stack(views).numpy()
    scale = np.sqrt(np.mean(clean.astype(float) ** 2))
    np.testing.assert_allclose(small["x_train"], clean / scale, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(small["views"], views / scale, rtol=1e-3, atol=1e-3)
    with torch.no_grad():
        test = net((to_float(images.x_test) - 0.5) * 2).numpy()
    np.testing.assert_allclose(small["x_test"], test / scale, rtol=1e-5, atol=1e-6)
    assert small["views"].dtype == np.float16
    np.testing.assert_array_equal(small["rows"], rows)
    np.testing.assert_array_equal(small["y_train"], images.y_train.numpy()[rows])
    np.testing.assert_array_equal(small["y_test"], images.y_test.numpy())
    assert tuple(small["class_names"]) == images.class_names
    assert not small["mixed"].any()
    origin = json.loads(str(small["origin"]))
    assert origin["settings"]["views"] == 3
    assert origin["scale"] == pytest.approx(scale)
    assert origin["explained_variance"] is None


def test_principal_components(small, tmp_path):
    (path,) = embed(replace(SMALL, components=4), tmp_path / "pca.npz")
    found = read(path)
    x = small["x_train"].astype(float)
    centred = x - x.mean(axis=0)
    _, singular, directions = np.linalg.svd(centred, full_matrices=False)
    scale = np.sqrt(np.mean((centred @ directions[:4].T) ** 2))
    for name in ("x_train", "x_test", "views"):  # up to the directions' signs
        expected = (small[name].astype(float) - x.mean(axis=0)) @ directions[:4].T / scale
        np.testing.assert_allclose(np.abs(found[name]), np.abs(expected), atol=2e-2 if name == "views" else 1e-4)
    assert np.mean(found["x_train"].astype(float) ** 2) == pytest.approx(1, abs=1e-5)
    explained = json.loads(str(found["origin"]))["explained_variance"]
    assert explained == pytest.approx((singular[:4] ** 2).sum() / (singular**2).sum(), abs=1e-5)


def test_views_depend_on_seed_and_row_alone(small, tmp_path, monkeypatch):
    """Not on blocks, batches, or which other images there are."""
    monkeypatch.setattr(embedding, "BLOCK", 7)
    monkeypatch.setattr(frozen, "CPU_BATCH", 5)
    larger = read(embed(with_settings(SMALL, train=130), tmp_path / "larger")[0])
    there = np.searchsorted(np.sort(larger["rows"]), small["rows"])
    where = np.argsort(larger["rows"])[there]
    ratio = json.loads(str(larger["origin"]))["scale"] / json.loads(str(small["origin"]))["scale"]
    np.testing.assert_allclose(larger["views"][where] * ratio, small["views"], rtol=2e-3, atol=2e-3)
    other = read(embed(with_settings(SMALL, seed=6), tmp_path / "other")[0])
    np.testing.assert_allclose(other["x_train"], small["x_train"], atol=1e-6)
    assert (np.abs(other["views"].astype(float) - small["views"]).max(axis=(1, 2)) > 0.01).all()


def test_no_two_views_are_the_same(small):
    views = small["views"].astype(float)
    for first, second in ((0, 1), (0, 2), (1, 2)):
        assert (np.abs(views[:, first] - views[:, second]).max(axis=1) > 1e-3).all()


def test_mixing_changes_mixed_images_alone(small, tmp_path):
    e = with_settings(SMALL, omega=0.3)
    (path,) = embed(e, tmp_path / "mixed")
    found, mixed = read(path), read(path)["mixed"]
    assert mixed.sum() == 30
    for name in ("views", "x_train"):
        np.testing.assert_allclose(found[name][~mixed], small[name][~mixed], atol=1e-3)
        assert (np.abs(found[name][mixed].astype(float) - small[name][mixed]).reshape(30, -1).max(axis=1) > 1e-3).all()
    np.testing.assert_allclose(found["x_original"], small["x_train"], atol=1e-5)
    settings = Settings(data=f"views:{path}", encoder="adapter", dim=4)
    trained, original = settings.data_set(), settings.original_data_set()
    np.testing.assert_array_equal(trained.mixed.numpy(), mixed)
    assert not original.mixed.any()
    everything = torch.arange(100)
    np.testing.assert_array_equal(trained.x_train.take(everything)[:, :, 0, 0], found["x_train"])
    np.testing.assert_array_equal(original.x_train.take(everything)[:, :, 0, 0], found["x_original"])


def test_sets_are_disjoint_balanced_and_each_that_of_its_rows(tmp_path):
    paths = embed(replace(with_settings(SMALL, train=90), sets=3), tmp_path / "sets.npz")
    assert [path.name for path in paths] == ["sets-0.npz", "sets-1.npz", "sets-2.npz"]
    sets = [read(path) for path in paths]
    images = load("digits", None, 30)
    order = balanced_order(images.y_train.numpy())
    for number, found in enumerate(sets):
        np.testing.assert_array_equal(found["rows"], order[90 * number : 90 * (number + 1)])
        np.testing.assert_array_equal(found["y_train"], images.y_train.numpy()[found["rows"]])
        assert np.ptp(np.bincount(found["y_train"])) <= 1
        assert found["x_test"].shape == (30, 12)
    first = read(embed(with_settings(SMALL, train=90), tmp_path / "one")[0])
    np.testing.assert_array_equal(first["views"], sets[0]["views"])


def test_a_long_tail_keeps_the_images_that_training_would(tmp_path):
    found = read(embed(with_settings(SMALL, imbalance=5), tmp_path / "tail")[0])
    expected = imbalanced(load("digits", 100, 30), 5)
    np.testing.assert_array_equal(found["y_train"], expected.y_train.numpy())
    np.testing.assert_array_equal(load("digits").x_train[torch.from_numpy(found["rows"])], expected.x_train)


def test_the_encoder_of_a_checkpoint(tmp_path):
    tiny = Settings(data="digits", train=100, test=30, encoder="convnet", width=4, dim=8, batch=50, epochs=1)
    network = train(tiny, tmp_path / "run")
    e = replace(SMALL, encoder="efficientnet_lite0", checkpoint=tmp_path / "run" / "checkpoint.pt")
    found = read(embed(e, tmp_path / "own")[0])
    features, _ = extract(network.eval(), tiny.data_set().x_train)
    scale = json.loads(str(found["origin"]))["scale"]
    np.testing.assert_allclose(found["x_train"] * scale, features.numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.skipif(pretrained.weights_path() is None, reason=f"{pretrained.PACKAGE} is not installed")
@pytest.mark.parametrize(("precision", "error"), [("bf16-mixed", 0.15), ("16-mixed", 0.02)])
def test_efficientnet(tmp_path, precision, error):
    """In half precision nearly what the same network gives in float32."""
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (16, 32, 32, 3), dtype=np.uint8)
    data = tmp_path / "colours.npz"
    np.savez(data, x_train=pixels, y_train=np.arange(16) % 2, x_test=pixels[:4], y_test=np.arange(4) % 2)
    settings = Settings(data=f"npz:{data}", precision=precision)
    found = read(embed(Embedding(settings, views=2, side=64, components=0), tmp_path / "views")[0])
    expected = pretrained.EfficientNetLite0(64)(torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255)["17"].numpy()
    assert found["views"].shape == (16, 2, 1280)
    scaled = found["x_train"] * json.loads(str(found["origin"]))["scale"]
    assert np.linalg.norm(scaled - expected) < error * np.linalg.norm(expected)


def test_half_precision_has_features_of_ones_own_encoder_too(small, tmp_path):
    found = read(embed(with_settings(SMALL, precision="16-mixed"), tmp_path / "half")[0])
    assert not np.array_equal(found["x_train"], small["x_train"])
    np.testing.assert_allclose(found["x_train"], small["x_train"], atol=0.01)


# --- interrupted and finished ----------------------------------------------------------------------


class Stopped(Exception):
    pass


def stop_after(images):
    def progress(done, total):
        if done >= images:
            raise Stopped

    return progress


@pytest.mark.parametrize("images", [1, 8 * 4 * 5, 100 * 4 + 10])  # in the first set, a later block, the test part
def test_a_resumed_embedding_has_the_same_bits(tmp_path, monkeypatch, images):
    monkeypatch.setattr(embedding, "BLOCK", 8)
    e = replace(SMALL, components=4)
    (whole,) = embed(e, tmp_path / "whole")
    with pytest.raises(Stopped):
        embed(e, tmp_path / "parts.npz", stop_after(images))
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "parts.part").iterdir()}
    seen = []

    def progress(done, total):
        seen.append((done, total))
        assert all(path.stat().st_mtime_ns == when for path, when in kept.items())  # not made again

    (resumed,) = embed(e, tmp_path / "parts.npz", progress)
    assert resumed.read_bytes() == whole.read_bytes()
    assert seen[-1] == (430, 430)
    assert not (tmp_path / "parts.part").exists()


def test_other_data_are_refused(tmp_path):
    images, place = load("digits", 100, 30), tmp_path / "digits.npz"
    arrays = {name: getattr(images, name).numpy().squeeze() for name in ("x_train", "y_train", "x_test", "y_test")}
    e = with_settings(SMALL, data=f"npz:{place}", train=None, test=None)

    def write(**changes):
        np.savez(place, **(arrays | changes))
        load.cache_clear()

    for begin in (lambda: embed(e, tmp_path / "out", stop_after(1)), lambda: embed(e, tmp_path / "out")):
        write()
        with suppress(Stopped):
            begin()
        write(x_train=16 - arrays["x_train"])
        with pytest.raises(
            ParameterError, match=r"^the training images are not those with which .*out\.(part|npz) was"
        ):
            embed(e, tmp_path / "out")
    write()
    assert embed(e, tmp_path / "out") == [tmp_path / "out.npz"]


def test_other_settings_are_refused(tmp_path):
    with pytest.raises(Stopped):
        embed(SMALL, tmp_path / "out", stop_after(1))
    with pytest.raises(ParameterError, match="jitter = 2.0 violates jitter = 1.0 of the interrupted embedding"):
        embed(with_settings(SMALL, jitter=2.0), tmp_path / "out")
    (path,) = embed(SMALL, tmp_path / "out")
    written = path.stat().st_mtime_ns
    assert embed(SMALL, tmp_path / "out") == [path]  # finished, and left alone
    assert path.stat().st_mtime_ns == written
    assert not (tmp_path / "out.part").exists()
    with pytest.raises(ParameterError, match="views = 4 violates views = 3 of the views in"):
        embed(replace(SMALL, views=4), tmp_path / "out")
    shutil.copy(path, tmp_path / "taken.npz")
    np.savez(tmp_path / "taken.npz", x=np.zeros(3))
    with pytest.raises(ParameterError, match="out = .*taken.npz violates a file name that is not taken"):
        embed(SMALL, tmp_path / "taken")


# --- the command -----------------------------------------------------------------------------------


def test_command(tmp_path, capsys):
    assert main([*ARGUMENTS, "--views", "2", "--sets", "2", "--out", str(tmp_path / "caches" / "d.npz")]) == 0
    expected = "".join(f"--data views:{tmp_path / 'caches' / f'd-{number}.npz'}\n" for number in range(2))
    assert capsys.readouterr().out == expected
    assert sorted(path.name for path in (tmp_path / "caches").iterdir()) == ["d-0.npz", "d-1.npz"]


def nowhere(channels):
    return nn.Sequential(nn.Flatten(), nn.Linear(5, 5))


def endless(channels):
    class Endless(nn.Module):
        def forward(self, x):
            return torch.full((len(x), 4), torch.inf)

    return Endless()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--views", "0"], "views = 0 violates an integer in [2, 1000]"),
        (["--components", "-1"], "components = -1 violates an integer >= 0"),
        (["--components", "13"], "components = 13 violates components <= 12"),
        (["--sets", "0"], "sets = 0 violates an integer >= 1"),
        (["--sets", "13"], "sets = 13 violates at most 1200 images in all sets together"),
        (["--train", "5"], "train = 5 violates an integer in [10, 1200]"),
        (["--train", "2000"], "train = 2000 violates"),
        (["--test", "0"], "test = 0 violates"),
        (["--side", "4"], "side = 4 violates an integer in [8, 1024]"),
        (["--omega", "1.5"], "omega = 1.5 violates"),
        (["--imbalance", "0.5"], "imbalance = 0.5 violates"),
        (["--seed", "-1"], "seed = -1 violates"),
        (["--smallest-crop", "0"], "smallest_crop = 0.0 violates"),
        (["--blur", "nan"], "blur = nan violates"),
        (["--checkpoint", "none.pt"], "--encoder and --checkpoint exclude each other"),
        (["--encoder", "efficientnet_lite0"], "encoder = efficientnet_lite0 violates images of 3 channels"),
        (["--encoder", f"{__name__}:nowhere"], "encoder = "),
        (["--encoder", f"{__name__}:none"], "violates an attribute none of"),
        (["--encoder", f"{__name__}:endless"], "violates finite features"),
        (["--out", "somewhere/x.pt"], "out = somewhere/x.pt violates a file name ending in .npz"),
        (["--out", ".."], "out = .. violates"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main([*ARGUMENTS, "--out", "out", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert len(err.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_without_the_weights_the_extra_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(pretrained, "weights_path", lambda: None)
    pixels = np.zeros((4, 8, 8, 3), dtype=np.uint8)
    np.savez(tmp_path / "d.npz", x_train=pixels, y_train=[0, 1, 0, 1], x_test=pixels, y_test=[0, 1, 0, 1])
    assert main(["--data", f"npz:{tmp_path / 'd.npz'}", "--out", str(tmp_path / "out")]) == 2
    err = capsys.readouterr().err
    assert err.endswith("is not installed (pip install 'difficult-examples[pretrained]')\n")
    assert err.count("\n") == 1


def test_same_features_cannot_be_scaled(tmp_path):
    e = replace(SMALL, encoder=f"{__name__}:nothing")
    with pytest.raises(ParameterError, match="features = root mean square 0.0 violates features that differ"):
        embed(e, tmp_path / "out")


def nothing(channels):
    class Nothing(nn.Module):
        def forward(self, x):
            return torch.zeros(len(x), 4)

    return Nothing()


def test_photos_draw_nothing_that_depends_on_pixels():
    """Else mixing would change the views of an image beyond its pixels."""
    a, b = torch.zeros(1, 3, 8, 8, dtype=torch.uint8), torch.full((1, 3, 8, 8), 255, dtype=torch.uint8)
    for view in (Photos(blur=0.5), digits):
        states = []
        for image in (a, b):
            generator = torch.Generator()
            embedding.views_of(image, np.array([3]), view, 4, 0)
            generator.manual_seed(1)
            view(image.expand(4, -1, -1, -1), generator)
            states.append(generator.get_state())
        assert torch.equal(*states)
