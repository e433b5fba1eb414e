"""What is never trusted: pickles, names in pages and tables and paths, documents of any depth. See SECURITY.md."""

import ast
import csv
import importlib
import io
import os
import pickle
import sys
import zipfile
from contextlib import suppress
from functools import cache
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from theory.arrays import load_arrays
from theory.checks import ParameterError
from theory.files import read_json, read_table
from theory.tables import FORMULA, csv_text, neutral, original

ROOT = Path(__file__).parents[1]
SOURCES = sorted(path for package in ("theory", "empirical") for path in (ROOT / package).rglob("*.py"))


# --- no pickle is ever loaded ----------------------------------------------------------------------


@cache
def calls():
    """Every call in the packages: where it is, its whole name, and its arguments by name."""
    found = []
    for path in SOURCES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                keywords = {k.arg: ast.unparse(k.value) for k in node.keywords}
                found.append((path.relative_to(ROOT).as_posix(), ast.unparse(node.func), keywords))
    return found


LOADERS = {"np.load": ("allow_pickle", "False"), "torch.load": ("weights_only", "True")}
NEVER = (
    *("pickle.load", "pickle.loads", "pickle.Unpickler", "dill.", "joblib.load", "shelve.", "marshal.", "cloudpickle."),
    *("pd.read_pickle", "torch.jit.load", "torch.package.", "np.lib.format.read_array", "yaml.load", "eval", "exec"),
)
OWN_PROCESSES = {("theory/cluster.py", "pickle.loads")}  # what this program has pickled for its own Dask workers


def test_no_call_could_load_a_pickle():
    found = calls()
    loaders = [(place, name, keywords) for place, name, keywords in found if name in LOADERS]
    assert {name for _, name, _ in loaders} == set(LOADERS)
    for place, name, keywords in loaders:
        key, value = LOADERS[name]
        assert keywords.get(key) == value, (place, name)
    for place, name, keywords in found:
        forbidden = name in NEVER or name.startswith(tuple(never for never in NEVER if never.endswith(".")))
        assert not forbidden or (place, name) in OWN_PROCESSES, (place, name)
        assert keywords.get("allow_pickle") in (None, "False"), place
    imports = {
        (path.relative_to(ROOT).as_posix(), alias.name)
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
        if alias.name.partition(".")[0] in ("pickle", "dill", "joblib", "shelve", "marshal", "cloudpickle")
    }
    assert imports == {("theory/cluster.py", "pickle")}


class Mark:
    """Unpickled, it leaves a folder behind."""

    def __reduce__(self):
        return os.mkdir, ("unpickled",)


def poisoned(kind, path):
    """A file that does something when it is unpickled."""
    objects = np.array([Mark()], dtype=object)
    if kind == "npy":
        np.save(path, objects, allow_pickle=True)
    elif kind == "npz":
        np.savez(path, features=objects, labels=objects, x_train=objects, views=objects)
    elif kind == "pickle":
        path.write_bytes(pickle.dumps(Mark()))
    elif kind == "torch":
        import torch

        torch.save({"settings": {}, "network": Mark(), "metrics": []}, path)
    elif kind == "legacy torch":
        import torch

        torch.save({"settings": {}, "network": Mark(), "metrics": []}, path, _use_new_zipfile_serialization=False)
    elif kind == "pickle in a zip":
        with zipfile.ZipFile(path, "w") as file:
            file.writestr("features.npy", pickle.dumps(Mark()))
            file.writestr("data.pkl", pickle.dumps(Mark()))


READERS = [
    ("empirical.profile", "--features BAD --labels BAD"),
    ("empirical.profile", "--checkpoint BAD"),
    ("empirical.difficulty", "--features BAD --labels BAD"),
    ("empirical.difficulty", "--checkpoint BAD"),
    ("empirical.prediction", "--features BAD --labels BAD"),
    ("empirical.evaluate", "--checkpoint BAD"),
    ("empirical.embed", "--data npz:BAD --out new.npz"),
    ("empirical.embed", "--data digits --checkpoint BAD --out new.npz"),
    ("empirical.embed", "--data digits --checkpoint BAD --out new.parquet"),
    ("empirical.embed", "--data digits --encoder torchvision:shufflenet_v2_x0_5 --weights BAD --out new.parquet"),
    ("empirical.export", "--checkpoint BAD --out new"),
    ("empirical.train", "--data npz:BAD --out new"),
    ("empirical.train", "--data digits --weights BAD --out new"),
    ("empirical.train", "--data views:BAD --out new"),
    ("empirical.train", "--data digits --drop BAD --arm sample_removal --out new"),
    ("empirical.compare", "--data npz:BAD --out new"),
    ("empirical.evidence", "people --people BAD --cifar10 npz:BAD --out new"),
    ("theory.dro", "--similarities BAD --tau .5"),
    ("theory.simulate", "measured.toml --out new"),
]


@pytest.mark.parametrize("kind", ["npy", "npz", "pickle", "torch", "legacy torch", "pickle in a zip"])
def test_a_pickle_in_a_file_is_never_loaded(kind, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name in ("bad", "bad.npy", "bad.npz", "bad.pt"):
        with open(name, "wb") as file:  # numpy would add a suffix to a name
            poisoned(kind, file if kind in ("npy", "npz") else Path(name))
    (tmp_path / "measured.toml").write_text('world = "measured"\nfeatures = "bad.npz"\nepsilon = 0\ndim = 2\n')
    there = set(os.listdir())
    for module, arguments in READERS:
        for name in ("bad", "bad.npy", "bad.npz", "bad.pt"):
            code = importlib.import_module(f"{module}.__main__").main(arguments.replace("BAD", name).split())
            out, err = capsys.readouterr()
            assert (code, out, err.count("\n")) == (2, "", 1), (module, arguments, err)
            assert set(os.listdir()) == there, (module, arguments)


def test_a_data_set_of_pickles_is_loaded_only_if_it_is_the_published_one(tmp_path, monkeypatch, capsys):
    """CIFAR's own files are pickles, which torchvision loads after it has compared their digests."""
    monkeypatch.chdir(tmp_path)
    for folder, names in (
        ("cifar-10-batches-py", [*(f"data_batch_{n}" for n in range(1, 6)), "test_batch", "batches.meta"]),
        ("cifar-100-python", ["train", "test", "meta"]),
    ):
        (tmp_path / folder).mkdir()
        for name in names:
            (tmp_path / folder / name).write_bytes(pickle.dumps(Mark()))
    main = importlib.import_module("empirical.train.__main__").main
    with patch("socket.getaddrinfo", side_effect=OSError("no network here")):
        for data in ("cifar10", "cifar100"):
            assert main(["--data", f"{data}:{tmp_path}", "--out", "new"]) == 2
            out, err = capsys.readouterr()
            assert (out, err.count("\n")) == ("", 1)
    assert sorted(os.listdir()) == ["cifar-10-batches-py", "cifar-100-python"]


def test_the_poison_works(tmp_path, monkeypatch):
    """Or else the tests above would say nothing."""
    monkeypatch.chdir(tmp_path)
    np.save("bad.npy", np.array([Mark()], dtype=object), allow_pickle=True)
    np.load("bad.npy", allow_pickle=True)
    assert os.path.isdir("unpickled")


# --- names in pages --------------------------------------------------------------------------------

NASTY = ("<script>alert(1)</script>", '"><img src=x onerror=alert(1)>')


def photos(folder, names):
    """A data set of images with these class names."""
    rng = np.random.default_rng(0)
    arrays = {}
    for which, count in (("train", 48), ("test", 8)):
        arrays[f"x_{which}"] = rng.integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)
        arrays[f"y_{which}"] = np.arange(count) % 2
    path = folder / "<b>photos.npz"
    with open(path, "wb") as file:
        np.savez(file, class_names=np.array(names), **arrays)
    return path


TINY = [
    *("--arms", "baseline", "--seeds", "1", "--epochs", "1", "--batch", "16"),
    *("--encoder", "convnet", "--width", "4", "--dim", "4", "--out"),
]


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    path = photos(folder, NASTY)
    main = importlib.import_module("empirical.compare.__main__").main
    assert main(["--data", f"npz:{path}", *TINY, str(folder / "out")]) == 0
    return folder


def test_names_are_escaped_in_the_report(report):
    page = (report / "out/report.html").read_text(encoding="utf-8")
    assert "&lt;script&gt;alert(1)" in page  # the class names are there
    assert "&lt;b&gt;photos" in page
    for text in (*NASTY, "<script>alert", "<img src=x", "<b>photos"):
        assert text not in page


def test_templates_escape_all_and_mark_nothing_as_safe():
    for path in (ROOT / "empirical").rglob("*.jinja"):
        text = path.read_text(encoding="utf-8")
        assert "safe" not in text.replace("unsafe", "")
        assert "autoescape false" not in text
    environments = [keywords for _, name, keywords in calls() if name.endswith("Environment")]
    assert environments
    assert all(keywords.get("autoescape") == "True" for keywords in environments)
    # Figures, whose names matplotlib writes, which tests/empirical/report attacks; and the pages' own colours.
    assert [place for place, name, _ in calls() if name.endswith(("Markup", "mark_safe"))] == [
        "empirical/pages/pictures.py",
        "empirical/pages/templates.py",
    ]


# --- text in tables --------------------------------------------------------------------------------

FORMULAS = (
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "'=1",
    "''-1",
    '=HYPERLINK("http://x","y")',
    "-0.5",
    "'",
    "x",
)
texts = st.one_of(st.sampled_from(FORMULAS), st.text(st.characters(blacklist_categories=["Cs"]), max_size=8))


@given(text=texts)
@example(text="=cmd|' /C calc'!A0")
def test_text_is_no_formula_and_reads_back_as_it_was(text):
    assert neutral(text)[:1] not in tuple("=+-@\t\r")
    assert original(neutral(text)) == text
    if not FORMULA.match(text):
        assert neutral(text) == text


def test_numbers_stay_numbers_and_names_come_back(tmp_path):
    table = pd.DataFrame({"name": FORMULAS, "value": np.linspace(-0.5, 1, len(FORMULAS)), "count": -1, "yes": True})
    (tmp_path / "t.csv").write_text(csv_text(table, "%.6g"), newline="")
    with open(tmp_path / "t.csv", newline="") as file:
        rows = list(csv.reader(file))
    assert all(row[0][:1] not in tuple("=+-@\t\r") for row in rows)
    assert [row[1] for row in rows[1:3]] == ["-0.5", "-0.363636"]
    assert {row[2] for row in rows[1:]} == {"-1"}
    found = read_table(tmp_path / "t.csv", "value", "count")
    assert found.name.tolist() == list(FORMULAS)
    np.testing.assert_allclose(found.value, table.value, rtol=1e-5)


def test_every_table_is_written_so():
    assert not [(place, name) for place, name, _ in calls() if name.endswith("to_csv") and place != "theory/tables.py"]
    readers = {place for place, name, _ in calls() if name.endswith("read_csv")}
    # The second reads what it has just written, the third other people's tables.
    assert readers == {"theory/files.py", "empirical/contest/contest.py", "empirical/data/formats.py"}
    writers = {place for place, name, _ in calls() if name == "csv.writer"}
    assert writers == {"theory/sweep.py"}  # numbers, and names of its own


# --- names and paths -------------------------------------------------------------------------------

PATHS = ("../../escaped", "/tmp/escaped-absolute", "a\x00b", "..", ".", "con", "x" * 400, "a/b", "C:\\x")


def everything(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def test_names_never_become_paths_outside(tmp_path, monkeypatch):
    inner = tmp_path / "a/b/c"
    inner.mkdir(parents=True)
    monkeypatch.chdir(inner)
    names = PATHS[:2]
    path = photos(inner, names)
    before = everything(tmp_path)
    for module, arguments in [
        ("empirical.compare", ["--data", f"npz:{path}", *TINY, "out"]),
        ("empirical.difficulty", ["--checkpoint", "out/omega-0.0/baseline-0/checkpoint.pt", "--out", "out/difficulty"]),
    ]:
        assert importlib.import_module(f"{module}.__main__").main(arguments) == 0
    assert all(name.startswith("a/b/c/out") for name in everything(tmp_path) - before)
    assert not os.path.exists("/tmp/escaped-absolute")
    assert not [name for name in everything(tmp_path) if "escaped" in name]


@pytest.mark.parametrize("name", PATHS)
def test_members_of_an_archive_are_no_paths(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    content = io.BytesIO()
    np.save(content, np.arange(3))
    with zipfile.ZipFile("x.npz", "w") as file:
        file.writestr(f"{name}.npy", content.getvalue())
    with suppress(ParameterError):
        assert len(load_arrays(Path("x.npz"))) == 1
    assert os.listdir() == ["x.npz"]


# --- documents of any depth or size ----------------------------------------------------------------

DEEP = 200_000
DOCUMENTS = {
    "lists.json": "[" * DEEP,
    "closed.json": "[" * DEEP + "]" * DEEP,
    "objects.json": '{"a":' * DEEP + "1" + "}" * DEEP,
    "digits.json": "9" * 10_000,
    "number.json": '{"schema": ' + "9" * 10_000 + "}",
    "lists.toml": "a = " + "[" * DEEP,
    "tables.toml": "a = " + "{ a = " * 20_000,
    "keys.toml": "a." * 20_000 + "b = 1",
    "digits.toml": "a = " + "9" * 10_000,
    "long.toml": "a = '" + "x" * 5_000_000 + "'",
}
TAKERS = {
    ".json": [
        ("theory.bounds", "--profile FILE"),
        ("theory.predict", "--profile FILE --epsilon .5"),
        ("empirical.difficulty", "--features f.npy --plan FILE"),
        ("empirical.train", "--arm margin --plan FILE --out new"),
        ("empirical.findings", "STEM"),
    ],
    ".toml": [("theory.simulate", "FILE --out new"), ("empirical.simulate", "FILE --out new")],
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_documents_of_any_depth_and_size_are_one_line(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    np.save("f.npy", np.eye(8, dtype=np.float32))
    Path(name).write_text(DOCUMENTS[name])
    there = sorted(os.listdir())
    for module, arguments in TAKERS[Path(name).suffix]:
        call = arguments.replace("FILE", name).replace("STEM", Path(name).stem).split()
        code = importlib.import_module(f"{module}.__main__").main(call)
        out, err = capsys.readouterr()
        assert (code, out, err.count("\n")) == (2, "", 1), (module, err[:500])
        assert len(err) < 2000
        assert sorted(os.listdir()) == there


def test_a_stack_that_is_nearly_full_is_one_line_too(tmp_path):
    """Documents are read deep inside a program, where fewer levels are left."""
    (tmp_path / "x.json").write_text("[" * 2000 + "]" * 2000)

    def at(depth):
        if depth:
            return at(depth - 1)
        return read_json(tmp_path / "x.json")

    with pytest.raises(ParameterError):
        at(sys.getrecursionlimit() // 2)
