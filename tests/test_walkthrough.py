"""The walk-through of docs/howto/own-images.md runs as it stands, on its photographs or on random ones."""

import contextlib
import importlib
import io
import re
import shlex
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from empirical import pretrained
from empirical.data import load

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared" / "data" / "trashnet.zip"
PAGE = (ROOT / "docs/howto/own-images.md").read_text(encoding="utf-8")
CLASSES = ("cardboard", "glass", "metal", "paper", "plastic", "trash")
needs_weights = pytest.mark.skipif(pretrained.weights_path() is None, reason=f"{pretrained.PACKAGE} is not installed")


def blocks():
    """The kinds and texts of the walk-through's blocks."""
    return re.findall(r"^```(\w+)\n(.*?)^```$", PAGE.partition("## All of it")[2], flags=re.M | re.S)


def commands():
    return [
        shlex.split(line) for kind, text in blocks() if kind == "sh" for line in text.replace("\\\n", "").splitlines()
    ]


def walk(folder, capsys):
    """Do what the page says in a folder with trashnet.zip; what each command prints, by module."""
    load.cache_clear()  # of another folder of the same name
    printed = {}
    for _, _, module, *arguments in commands():
        if module == "zipfile":
            subprocess.run([sys.executable, "-m", module, *arguments], check=True, cwd=folder)
            continue
        assert importlib.import_module(f"{module}.__main__").main(arguments) == 0, capsys.readouterr().err
        printed.setdefault(module, []).append(capsys.readouterr().out)
    return printed


def require_walked(folder, capsys, images):
    printed = walk(folder, capsys)
    (program,), (expected,) = ([text for kind, text in blocks() if kind == wanted] for wanted in ("python", "text"))
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
    assert printed["empirical.compare"] == ["runs/trashnet/report.html\n"]
    assert "trashnet" in Path("runs/trashnet/report.html").read_text(encoding="utf-8")
    card = Path("models/trashnet/README.md").read_text(encoding="utf-8")
    assert f"{images:,} samples" in card
    assert "linear probe" in card
    assert "runs/trashnet/omega-0.0/warmup/checkpoint.pt" in card


def test_there_are_commands():
    assert [call[2].removeprefix("empirical.") for call in commands()] == [
        *("zipfile", "embed", "profile", "difficulty", "compare", "train", "export", "embed")
    ]


@needs_weights
def test_on_random_photographs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    generator = np.random.default_rng(0)
    with zipfile.ZipFile("trashnet.zip", "w") as archive:
        for number in range(120):
            content = io.BytesIO()
            colours = generator.integers(0, 256, (4, 4, 3), dtype=np.uint8)
            Image.fromarray(colours).resize((48, 48), Image.Resampling.BICUBIC).save(content, "PNG")
            archive.writestr(f"trashnet/{CLASSES[number % 6]}/{number}.png", content.getvalue())
    require_walked(tmp_path, capsys, 120)


@pytest.mark.slow
@needs_weights
@pytest.mark.skipif(not SHARED.exists(), reason="there is no ../shared/data/trashnet.zip")
def test_on_photographs_of_waste(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "trashnet.zip").symlink_to(SHARED)
    require_walked(tmp_path, capsys, 2527)
