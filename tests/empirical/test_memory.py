"""What cannot fit into memory is refused from its header or its shape, in one line and before it is allocated."""

import resource
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch

from empirical.data.pixels import MOST_PIXELS, USUAL, extremes, is_readable, read_pixels, size_of
from empirical.encoders import ImageNetwork, weights_of
from empirical.train.__main__ import main as train
from empirical.train.checkpoint import read_checkpoint
from theory import memory
from theory.archives import LARGEST_RATIO, require_modest
from theory.arrays import read_array, read_npz
from theory.checks import ParameterError
from theory.command import LARGEST_INTEGER

MIB = 1 << 20
ABSURD = ["--width", "100000"], ["--hidden", str(10**12)], ["--dim", "1" + "0" * 12], ["--width", "1" + "0" * 30]


@pytest.fixture(autouse=True)
def modest():
    """A test that takes more than 400 MiB fails; the libraries that it loads take some."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 400 * 1024


# --- networks --------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoder", ["convnet", "resnet18"])
@pytest.mark.parametrize("absurd", ABSURD, ids=" ".join)
def test_an_absurd_size_of_a_network_is_one_line(tmp_path, capsys, encoder, absurd):
    arguments = ["--data", "digits", "--encoder", encoder, *absurd, "--out", str(tmp_path / "out")]
    assert train(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[-1].startswith("error: ")
    assert "Traceback" not in err
    if absurd[0] != "--dim":  # which is bounded by the images
        fits = int(absurd[1]) < LARGEST_INTEGER
        condition = "memory: " if fits else "an integer below "
        assert err.splitlines()[-1].startswith(f"error: {absurd[0][2:]} = {absurd[1]} violates {condition}")
        assert err.rstrip().endswith(" are available") or not fits
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("parameters", "named"),
    [({"dim": 10**12}, "dim"), ({"dim": 2 * 10**6, "hidden": 10**6}, "dim"), ({"dim": 2, "hidden": 10**20}, "hidden")],
)
def test_the_larger_size_is_named(parameters, named):
    with pytest.raises(ParameterError, match=rf"^{named} = \d+ violates memory: .* for the weights of the projector, "):
        ImageNetwork("convnet", 3, **parameters)


def test_the_size_is_that_of_the_weights_and_finding_it_draws_nothing(monkeypatch):
    torch.manual_seed(0)
    first = ImageNetwork("convnet", 3, 16, width=8)
    exact = sum(x.nbytes for x in first.encoder.state_dict().values())
    assert weights_of(first.encoder) == exact
    torch.manual_seed(0)
    reference = torch.nn.Conv2d(3, 8, 3, padding=1, bias=False)  # its first layer
    assert torch.equal(first.encoder[0].weight, reference.weight)
    monkeypatch.setattr(memory, "available", lambda: exact - 1)
    with pytest.raises(ParameterError, match=r"^width = 8 violates memory: .* for the weights of the encoder, "):
        ImageNetwork("convnet", 3, 1, width=8)
    monkeypatch.setattr(memory, "available", lambda: exact)
    ImageNetwork("convnet", 3, 1, width=8, hidden=1)


def test_an_absurd_queue_is_one_line(tmp_path, capsys):
    options = ["--encoder", "convnet", "--width", "8", "--dim", "8", "--framework", "moco", "--queue", "1" + "0" * 30]
    assert train(["--data", "digits", *options, "--out", str(tmp_path / "out")]) == 2
    assert "error: queue = 1" in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "out").exists()


def test_gradients_and_moments_count_too(tmp_path, capsys, monkeypatch):
    network = ImageNetwork("convnet", 1, 8, width=8)
    monkeypatch.setattr(memory, "available", lambda: 2 * weights_of(network))
    options = ["--encoder", "convnet", "--width", "8", "--dim", "8", "--optimizer", "adam"]
    assert train(["--data", "digits", *options, "--accelerator", "cpu", "--out", str(tmp_path / "out")]) == 2
    assert "for the gradients and moments of its weights" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


# --- archives --------------------------------------------------------------------------------------


def bomb(path, size, name="x_train.npy"):
    """An archive of zeros, of which one array is this many bytes."""
    header = np.lib.format.header_data_from_array_1_0(np.zeros(0, np.uint8)) | {"shape": (size,)}
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open(name, "w", force_zip64=True) as member,
    ):
        np.lib.format.write_array_header_1_0(member, header)
        for _ in range(size // MIB):
            member.write(bytes(MIB))
    return path


def test_a_zip_bomb_is_refused_from_its_header(tmp_path):
    path = bomb(tmp_path / "bomb.npz", 600 * MIB)
    assert path.stat().st_size < 4 * MIB
    with pytest.raises(
        ParameterError, match=rf"bomb.npz violates at most {LARGEST_RATIO} times .* unpack to 600.0 MiB"
    ):
        read_npz(path)
    with pytest.raises(ParameterError, match="unpack to"):
        read_checkpoint(path)


def test_archives_of_few_bytes_or_of_stored_arrays_are_read(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", x=np.zeros(10**7, np.uint8))
    assert read_npz(tmp_path / "a.npz")["x"].shape == (10**7,)
    np.savez(tmp_path / "b.npz", x=np.zeros(10))
    require_modest(tmp_path / "b.npz")


def test_an_archive_or_array_larger_than_memory_is_refused(tmp_path, monkeypatch):
    np.savez(tmp_path / "a.npz", x=np.zeros(1000))
    np.save(tmp_path / "a.npy", np.zeros(1000))
    monkeypatch.setattr(memory, "available", lambda: 4000)
    for name in ("a.npz", "a.npy"):
        with pytest.raises(ParameterError, match=rf"a.{name[2:]} violates memory: .*, 3.9 KiB are available"):
            (read_npz if name == "a.npz" else read_array)(tmp_path / name)


def test_an_array_that_is_shorter_than_its_header_says_is_refused_before_it_is_allocated(tmp_path):
    header = np.lib.format.header_data_from_array_1_0(np.zeros((1, 1))) | {"shape": (10**6, 10**6)}
    with open(tmp_path / "a.npy", "wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        file.write(bytes(800))
    with pytest.raises(ParameterError, match=r"cut short, its header says 7.3 TiB, found 800 bytes"):
        read_array(tmp_path / "a.npy")


def test_a_member_that_claims_more_than_the_archive_holds_is_one_line(tmp_path):
    header = np.lib.format.header_data_from_array_1_0(np.zeros(1)) | {"shape": (10**15,)}
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive, archive.open("x.npy", "w") as member:
        np.lib.format.write_array_header_1_0(member, header)
        member.write(bytes(800))
    with pytest.raises(ParameterError, match="^cannot read .*a.npz: "):
        read_npz(tmp_path / "a.npz")


# --- images ----------------------------------------------------------------------------------------


def huge_png(path, width, height):
    """A picture of a few bytes that claims to be this large."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + data)
    return path


@pytest.mark.parametrize("size", [(9460, 9460), (2**31 - 1, 2**31 - 1), (MOST_PIXELS + 1, 1)], ids=str)
def test_a_huge_image_is_refused_with_its_size(tmp_path, size):
    path = huge_png(tmp_path / "huge.png", *size)
    for read in (lambda: read_pixels(path, 32, USUAL), lambda: size_of(path), lambda: extremes(path)):
        with pytest.raises(ParameterError, match=r"^cannot read the image .*huge.png: .*\d{8}|×") as caught:
            read()
        assert "\n" not in str(caught.value)
    assert not is_readable(path)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_folder_with_a_huge_image_names_it(tmp_path, capsys):
    from PIL import Image

    for kind in ("a", "b"):
        (tmp_path / "data" / kind).mkdir(parents=True)
        for number in range(10):
            Image.new("RGB", (16, 16)).save(tmp_path / "data" / kind / f"{number}.png")
    huge_png(tmp_path / "data" / "a" / "huge.png", 20_000, 20_000)
    assert train(["--data", f"folder:{tmp_path / 'data'}", "--out", str(tmp_path / "out")]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert str(Path("a") / "huge.png") in err
    assert "400000000 pixels" in err or "20000×20000" in err
