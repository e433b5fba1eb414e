"""What every command does with names that it must not write: refused in one line, with nothing changed."""

import importlib
import os
from pathlib import Path

import numpy as np
import pytest

from theory.command import STEM, Parser, output, run
from theory.rooms import rooms

ROOT = Path(__file__).parents[1]
WRITES = ("--out", "--publish", "--plot", "--difficult-out", "--page")
ROOMS = [room for package in ("theory", "empirical") for room in rooms(package, ROOT / package)]
BOUNDS = ["--alpha", ".8", "--beta", ".1", "--gamma", ".3", "--samples-per-class", "4", "--difficult", "1"]


def parser_of(room):
    return room.load().parser(room.module)


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.module)
def test_every_option_that_names_an_output_says_so(room):
    for action in parser_of(room)._actions:
        writes = [name for name in action.option_strings if name in WRITES]
        if writes:
            assert action.type is output, (room.module, writes)
        if action.metavar == STEM and action.option_strings:
            assert action.type is output, room.module


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    np.save("f.npy", rng.standard_normal((40, 4)).astype(np.float32))
    np.save("l.npy", np.arange(40) % 2)
    Path("folder").mkdir()
    Path("d").mkdir()
    for name in ("scores.csv", "difficult.npy", "pairs.csv", "grid.png", "summary.json"):
        np.save("x.npy", rng.standard_normal((40, 4)).astype(np.float32))
        os.replace("x.npy", Path("d") / name)
    for name in ("p.json", "a.toml", "page.md", "results.csv", "results.json", "c.pt"):
        Path(name).write_text("{}")
    Path("link.npy").symlink_to("f.npy")
    os.link("f.npy", "hard.npy")
    os.mkfifo("pipe")
    Path("null").symlink_to("/dev/null")
    Path("loop").symlink_to("loop")
    return tmp_path


def contents(folder):
    """Every name below a folder with what it is, and the content of a regular file."""
    return {
        str(path.relative_to(folder)): (path.lstat().st_mode, path.read_bytes() if path.is_file() else None)
        for path in sorted(folder.rglob("*"))
    }


FEATURES = ["--features", "f.npy", "--labels", "l.npy"]
PAIRS = [
    ("empirical.profile", [*FEATURES, "--out", "f.npy"]),
    ("empirical.profile", [*FEATURES, "--out", "./d/../f.npy"]),
    ("empirical.profile", [*FEATURES, "--out", "link.npy"]),
    ("empirical.profile", [*FEATURES, "--out", "hard.npy"]),
    ("empirical.profile", [*FEATURES, "--difficult-out", "l.npy"]),
    ("empirical.profile", ["--features", "f*.npy", "--labels", "l.npy", "--out", "f.npy"]),
    ("empirical.profile", ["--checkpoint", "c.pt", "--out", "c.pt"]),
    ("empirical.profile", [*FEATURES, "--out", "new.json", "--difficult-out", "new.json"]),
    *(("empirical.difficulty", ["--features", f"d/{n}", "--out", "d"]) for n in ("difficult.npy", "scores.csv")),
    ("empirical.difficulty", ["--features", "f.npy", "--mislabelled", "d/pairs.csv", "--out", "d"]),
    ("theory.bounds", ["--profile", "p.json", "--plan", "p.json"]),
    ("theory.bounds", [*BOUNDS, "--sweep", "gamma=.2:.3:.1", "--out", "s.csv", "--plot", "s.csv"]),
    ("theory.predict", ["--profile", "p.json", "--out", "p.json"]),
    ("theory.simulate", ["a.toml", "--out", "a.toml"]),
    ("empirical.simulate", ["a.toml", "--out", "a.toml"]),
    ("empirical.train", ["--data", "folder:folder", "--out", "folder"]),
    ("empirical.compare", ["--data", "folder:folder", "--out", "folder"]),
    ("empirical.study", ["headline", "--data", "folder:folder", "--out", "folder"]),
    ("empirical.contest", ["--data", "folder:folder", "--out", "folder"]),
    ("empirical.contest", ["--data", "digits", "--checkpoints", "folder", "--out", "folder"]),
    ("empirical.evidence", ["primary", "--cifar10", "npz:f.npy", "--out", "f.npy"]),
    ("empirical.evidence", ["people", "--people", "f.npy", "--out", "link.npy"]),
    ("empirical.embed", ["--data", "npz:f.npy", "--out", "f.npy"]),
    ("empirical.embed", ["--data", "digits", "--checkpoint", "c.pt", "--out", "c.pt"]),
    ("empirical.embed", ["--data", "digits", "--encoder", "timm:resnet18", "--weights", "f.npy", "--out", "f.npy"]),
    ("empirical.train", ["--data", "digits", "--weights", "c.pt", "--out", "c.pt"]),
    ("empirical.export", ["--checkpoint", "c.pt", "--out", "c.pt"]),
    ("empirical.findings", ["results", "--page", "results.csv"]),
]


@pytest.mark.parametrize(("module", "arguments"), PAIRS, ids=lambda v: v if isinstance(v, str) else " ".join(v))
def test_an_output_that_is_an_input_is_refused(place, capsys, module, arguments):
    before = contents(place)
    assert importlib.import_module(f"{module}.__main__").main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert "it is an input of this command" in err or "it is another output of this command" in err
    assert contents(place) == before


NAMES = ["pipe", "null", "loop", "f.npy/new", "n" * 300]
WRITERS = [
    ("theory.bounds", [*BOUNDS, "--plan"]),
    ("theory.bounds", [*BOUNDS, "--sweep", "gamma=.2:.3:.1", "--out"]),
    ("empirical.profile", [*FEATURES, "--out"]),
    ("empirical.profile", [*FEATURES, "--difficult-out"]),
    ("empirical.difficulty", [*FEATURES, "--out"]),
    ("empirical.train", ["--data", "digits", "--epochs", "1", "--out"]),
]


@pytest.mark.parametrize("name", NAMES, ids=["pipe", "device", "loop", "below a file", "too long"])
@pytest.mark.parametrize(("module", "arguments"), WRITERS, ids=lambda v: v if isinstance(v, str) else v[-1])
def test_what_cannot_be_written_is_one_line(place, capsys, module, arguments, name):
    before = contents(place)
    if "--sweep" in arguments:
        name = f"{name}/s.csv"
    assert importlib.import_module(f"{module}.__main__").main([*arguments, name]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith("error: ")
    assert contents(place) == before


def test_names_that_mean_no_file_are_no_inputs(place, monkeypatch):
    """An arm and a folder may have the same name, and a run's folder is used again."""
    Path("combined").mkdir()
    found = Parser("x")
    found.add_argument("--arms")
    found.add_argument("--kind", choices=["combined"])
    found.add_argument("--report", type=Path)
    found.add_argument("--out", type=output, metavar="FOLDER")
    seen = []
    arguments = ["--arms", "combined", "--kind", "combined", "--report", "d", "--out", "combined"]
    assert run(found, seen.append, arguments) == 0
    assert seen[0].out == Path("combined")
    assert run(found, seen.append, ["--report", "combined", "--out", "combined"]) == 2
