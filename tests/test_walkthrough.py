"""The guides to one's own embeddings and images run as they stand, on random ones and on their photographs."""

import contextlib
import importlib
import io
import json
import re
import shlex
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from empirical import pretrained
from empirical.data import load
from tests.empirical.sentences.conftest import TEXTS
from tests.empirical.sentences.test_sts import write_tasks
from tests.empirical.test_modalities import write_graphs

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared" / "data" / "trashnet.zip"
PAGE = (ROOT / "docs/howto/own-images.md").read_text(encoding="utf-8")
EMBEDDINGS = (ROOT / "docs/howto/own-embeddings.md").read_text(encoding="utf-8")
IMAGES, _, WASTE = PAGE.partition("## All of it")
CLASSES = ("cardboard", "glass", "metal", "paper", "plastic", "trash")
needs_weights = pytest.mark.skipif(pretrained.weights_path() is None, reason=f"{pretrained.PACKAGE} is not installed")


def blocks(page):
    """The kinds and texts of a guide's blocks."""
    return re.findall(r"^```(\w+)\n(.*?)^```$", page, flags=re.M | re.S)


def part_of(name, head):
    """One section of a page, or its beginning."""
    return (ROOT / "docs" / name).read_text(encoding="utf-8").partition(head)[2].partition("\n## ")[0]


def blocks_of(page, wanted):
    """The texts of a guide's blocks of one kind."""
    return [text for kind, text in blocks(page) if kind == wanted]


def commands(page):
    """Every command of a guide, in order, as words."""
    whole = (text.replace("\\\n", "") for kind, text in blocks(page) if kind == "sh")
    return [shlex.split(line) for text in whole for line in text.splitlines()]


def walk(page, folder, capsys, **more):
    """Do what a guide says in a folder with its files; what each command prints, by module.

    ``more`` are arguments added to those of a module.
    """
    load.cache_clear()  # of another folder of the same name
    printed = {}
    for _, _, module, *arguments in commands(page):
        if module == "zipfile":
            subprocess.run([sys.executable, "-m", module, *arguments], check=True, cwd=folder)
            continue
        if "timm:resnet50.a1_in1k" in arguments:
            continue  # downloads
        room = "" if "--report" in arguments else module.rpartition(".")[2]  # of which all is in the folder
        given = [*arguments, *more.get(room, ())]
        assert importlib.import_module(f"{module}.__main__").main(given) == 0, capsys.readouterr().err
        printed.setdefault(module, []).append(capsys.readouterr().out)
    return printed


def photograph(generator, side):
    """A picture of smooth random colours, as the bytes of a file."""
    content = io.BytesIO()
    colours = generator.integers(0, 256, (4, 4, 3), dtype=np.uint8)
    Image.fromarray(colours).resize((side, side), Image.Resampling.BICUBIC).save(content, "PNG")
    return content.getvalue()


def require_walked(folder, capsys, images):
    printed = walk(WASTE, folder, capsys)
    (program,), (expected,) = (blocks_of(WASTE, wanted) for wanted in ("python", "text"))
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown):
        exec(program, {})
    assert shown.getvalue() == expected
    import pyarrow.parquet as pq

    for name, width in (("trashnet.parquet", 1280), ("own.parquet", 64)):
        table = pq.read_table(name).to_pandas()
        assert len(table) == images
        assert set(table.label) == set(CLASSES)
        assert all(Path(image).is_file() for image in table.image)
        assert {len(row) for row in table.features} == {width}
        assert name in "".join(printed["empirical.embed"])
    assert list(Path("difficulty").glob("*.png"))  # of the look-alike pairs
    assert printed["empirical.compare"][0].endswith("\nruns/trashnet/report.html\n")
    assert "trashnet" in Path("runs/trashnet/report.html").read_text(encoding="utf-8")
    card = Path("models/trashnet/README.md").read_text(encoding="utf-8")
    assert f"{images:,} samples" in card
    assert "linear probe" in card
    assert "runs/trashnet/omega-0.0/pilot/checkpoint.pt" in card


def test_there_are_commands():
    assert [call[2].removeprefix("empirical.") for call in commands(WASTE)] == [
        *("zipfile", "embed", "profile", "difficulty", "compare", "train", "export", "embed")
    ]


def items(folder):
    """The files that the guide to embeddings names: 400 items of four categories, two of which overlap."""
    import pandas as pd

    generator = np.random.default_rng(0)
    labels = np.arange(400) % 4
    centres = 8 * np.eye(12)[:4]
    x = (centres[labels] + generator.standard_normal((400, 12))).astype(np.float32)
    x[:60:4] += (centres[1] - centres[0]) / 2  # cups that are halfway to mugs
    x[1:60:4] += (centres[0] - centres[1]) / 2
    names, skus = np.array(["cup", "mug", "jug", "bowl"])[labels], [f"sku-{row:03}" for row in range(400)]
    (folder / "photos").mkdir()
    paths = [f"photos/{sku}.png" for sku in skus]
    for path in paths:
        (folder / path).write_bytes(photograph(generator, 12))
    table = pd.DataFrame({"sku": skus, "vector": list(x), "category": names, "photo": paths})
    table.to_parquet(folder / "items.parquet")
    table[["category"]].to_csv(folder / "categories.csv", index=False)
    (folder / "skus.txt").write_text("\n".join(skus) + "\n", encoding="utf-8")
    for name, array in (("vectors", x), ("features", x), ("labels", labels)):
        np.save(folder / f"{name}.npy", array)
    (folder / "shards").mkdir()
    for part, rows in enumerate(np.array_split(np.arange(400), 3)):
        np.save(folder / "shards" / f"features-{part}.npy", x[rows])
        np.save(folder / "shards" / f"labels-{part}.npy", labels[rows])


def test_own_embeddings(tmp_path, monkeypatch, capsys):
    pytest.importorskip("pyarrow")
    monkeypatch.chdir(tmp_path)
    items(tmp_path)
    printed = walk(EMBEDDINGS, tmp_path, capsys)
    named, sharded, whole, as_json = printed["empirical.profile"]
    document = json.loads(as_json)
    assert document["pairs"][0]["classes"] == ["0", "1"]  # of labels.npy
    assert set(json.loads(blocks_of(EMBEDDINGS, "json")[0])) == set(document["pairs"][0])
    assert "cup" in named.splitlines()[0]
    assert "mug" in named.splitlines()[0]
    assert whole == sharded.replace("features-0.npy … features-2.npy (3 files)", "features.npy")
    written = [*("profile.json", "plan.json", "pairs.png", "levels.csv", "report.html"), "difficulty/summary.json"]
    assert all((tmp_path / name).stat().st_size > 0 for name in written)
    assert "sku-" in (tmp_path / "report.html").read_text(encoding="utf-8")


def own_images(folder, capsys, **more):
    generator = np.random.default_rng(0)
    for number in range(330):  # every fifth is for testing, and a batch has 256
        place = folder / "photos" / ("box", "disc")[number % 2] / f"{number}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(photograph(generator, 24))
    printed = walk(IMAGES, folder, capsys, **more)
    assert all(text.endswith("\nruns/photos/report.html\n") for text in printed["empirical.compare"])
    (program,) = blocks_of(IMAGES, "python")
    found = {}
    exec(program, found)
    assert found["encoder"].features > 0
    written = ["photos/difficulty/summary.json", "photos/report.html", "one/checkpoint.pt"]
    assert all((folder / "runs" / name).exists() for name in written)
    assert sorted(path.name for path in (folder / "models" / "one").iterdir()) == [
        *("README.md", "config.json", "encoder.onnx", "encoder.safetensors", "encoder.torchscript.pt")
    ]
    assert (folder / "photos.parquet").exists()


def test_own_images_in_few_epochs(tmp_path, monkeypatch, capsys):
    pytest.importorskip("onnx")
    monkeypatch.chdir(tmp_path)
    own_images(tmp_path, capsys, compare=("--epochs", "1", "--seeds", "1"), train=("--epochs", "1"))


@pytest.mark.slow
def test_own_images(tmp_path, monkeypatch, capsys):
    pytest.importorskip("onnx")
    monkeypatch.chdir(tmp_path)
    own_images(tmp_path, capsys)


@needs_weights
def test_on_random_photographs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    generator = np.random.default_rng(0)
    with zipfile.ZipFile("trashnet.zip", "w") as archive:
        for number in range(120):
            archive.writestr(f"trashnet/{CLASSES[number % 6]}/{number}.png", photograph(generator, 48))
    require_walked(tmp_path, capsys, 120)


@pytest.mark.slow
@needs_weights
@pytest.mark.skipif(not SHARED.exists(), reason="there is no ../shared/data/trashnet.zip")
def test_on_photographs_of_waste(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "trashnet.zip").symlink_to(SHARED)
    require_walked(tmp_path, capsys, 2527)


def test_graphs(tmp_path, monkeypatch, capsys):
    """On MUTAG, or on rings and stars under its name."""
    pytest.importorskip("torch_geometric")
    monkeypatch.chdir(tmp_path)
    shared = ROOT.parent / "shared" / "data" / "graphs" / "MUTAG.zip"
    if shared.exists():
        zipfile.ZipFile(shared).extractall(tmp_path / "data")
    else:
        write_graphs(tmp_path / "data" / "MUTAG")
    printed = walk(part_of("graphs.md", "## From graphs to a report"), tmp_path, capsys)
    assert "SVC" in printed["empirical.train"][0]
    assert printed["empirical.compare"][0].endswith("\nruns/graphs/report.html\n")
    assert len(pd.read_csv("runs/graphs/results.csv").query("arm == 'adnce_graph'")) == 2
    assert Path("runs/mutag/difficulty/pairs.csv").exists()


def test_sentences(tmp_path, monkeypatch, capsys):
    """On 500 sentences of Wikipedia, or on made ones, judged by a few made pairs."""
    pytest.importorskip("transformers")
    monkeypatch.chdir(tmp_path)
    shared = ROOT.parent / "shared" / "data" / "sentences" / "wiki-12k.zip"
    lines = [f"{one} {two}" for one in TEXTS[:25] for two in TEXTS[:20]]
    if shared.exists():
        lines = zipfile.ZipFile(shared).read("wiki1m_head_12k.txt").decode().splitlines()[:500]
    (tmp_path / "sentences.txt").write_text("\n".join(lines), encoding="utf-8")
    write_tasks(tmp_path / "STS")
    page = part_of("sentences.md", "# Sentences")
    small = ("--width", "16", "--dim", "8", "--epochs", "1")
    printed = walk(page, tmp_path, capsys, train=small, compare=small)
    assert "mean of all" in printed["empirical.train"][0]
    assert "severity" in printed["empirical.evaluate"][0]
    assert printed["empirical.compare"][0].endswith("\nruns/several/report.html\n")
    assert "Spearman" in Path("runs/several/report.html").read_text(encoding="utf-8")
