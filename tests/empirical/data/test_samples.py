"""Features, labels and ids as all commands read them."""

import csv
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from PIL import Image

from empirical.data.identities import Items, as_ids
from empirical.data.labels import joined_labels, named_labels
from empirical.data.samples import Columns, read_samples
from empirical.difficulty.__main__ import main as difficulty
from empirical.prediction.__main__ import main as prediction
from empirical.profile.__main__ import main as profile
from theory.checks import ParameterError

NAMES = np.array(["cello", "airliner", "barn", "drum"])
IDS = [f"item {number}" for number in range(80)]


@pytest.fixture
def table(tmp_path, monkeypatch):
    """A parquet file with everything, and its parts."""
    monkeypatch.chdir(tmp_path)
    generator = np.random.default_rng(0)
    y = np.arange(80) % 4
    x = (generator.standard_normal((4, 12))[y] + generator.standard_normal((80, 12)) + 1).astype(np.float32)
    pictures = [f"pictures/{row}.png" for row in range(80)]
    (tmp_path / "pictures").mkdir()
    for name in pictures:
        Image.fromarray(generator.integers(0, 256, (9, 9, 3), dtype=np.uint8)).save(name)
    found = pd.DataFrame({"sku": IDS, "e": list(x), "kind": NAMES[y], "picture": pictures, "price": y + 0.5})
    found.to_parquet("all.parquet")
    np.save("x.npy", x)
    np.save("y.npy", y)
    return found


def written(name):
    """Rows of a table that the command wrote."""
    with open(f"out/{name}", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


ALL = Columns(label="kind", id="sku", image="picture")
OPTIONS = ["--label-column", "kind", "--id-column", "sku", "--image-column", "picture"]


@pytest.mark.parametrize(
    ("values", "labels", "names"),
    [
        (["b", "a", None, "", "-1", "b"], [1, 0, -1, -1, -1, 1], ("a", "b")),
        (["b", float("nan"), pd.NA, " ", "a", "a"], [1, -1, -1, -1, 0, 0], ("a", "b")),
        (np.array([b"b", b"a", b"b"]), [1, 0, 1], ("a", "b")),
        (pd.Series(["x", "y", None], dtype="category").cat.set_categories(["y", "z", "x"]), [1, 0, -1], ("y", "x")),
        (pd.Series([7, 9, None], dtype="category"), [7, 9, -1], ()),
        (pa.chunked_array([["b", None], ["a"]]), [1, -1, 0], ("a", "b")),
        (pa.array(["b", "a", None]).dictionary_encode(), [0, 1, -1], ("b", "a")),
        (torch.tensor([[3], [1]]), [3, 1], ()),
        (np.array([[3], [1]], np.uint8), [3, 1], ()),
        ([True, False, None], [1, 0, -1], ("False", "True")),
        (["10", "9"], [1, 0], ("9", "10")),
        (pd.Series(["a", pd.NA], dtype="string"), [0, -1], ("a",)),
        (np.ma.masked_array(["a", "b"], mask=[True, False]), [-1, 0], ("b",)),
        ([None, None], [-1, -1], ()),
        (["", "-1"], [-1, -1], ()),
    ],
)
def test_labels_of_every_kind(values, labels, names):
    found = named_labels("labels", values)
    assert found.labels.tolist() == labels
    assert found.names == names


@pytest.mark.parametrize("values", [[1, "a"], ["a", 2.5], [1.5, 2], [[1, 2], [3, 4]], [b"\xff", b"a"], [{}, "a"]])
def test_mixtures_are_no_labels(values):
    with pytest.raises(ParameterError, match="^labels = "):
        named_labels("labels", values)


def test_names_of_several_files_are_numbered_together():
    parts = [named_labels("labels", ["b", "c"]), named_labels("labels", [None, None]), named_labels("labels", ["a"])]
    found = joined_labels(parts)
    assert found.names == ("a", "b", "c")
    assert found.labels.tolist() == [1, 2, -1, -1, 0]
    with pytest.raises(ParameterError, match="integers in one file, names in another"):
        joined_labels([named_labels("labels", ["b"]), named_labels("labels", [3])])


@pytest.mark.parametrize("source", ["file", "frame", "arrow"])
def test_a_table_has_everything(table, source):
    given = {"file": ["all.parquet"], "frame": table, "arrow": pa.Table.from_pandas(table)}[source]
    found = read_samples(given, columns=ALL)
    assert found.labels.tolist() == [sorted(NAMES).index(name) for name in table.kind]
    assert found.names == tuple(sorted(NAMES))
    assert found.ids.tolist() == IDS
    assert [path.name for path in found.pictures] == [f"{row}.png" for row in range(80)]
    assert "4 classes (airliner, barn, cello, …), 80 samples; skipped 1 column (price)" in found.reading.line
    np.testing.assert_array_equal(found.features.unit, read_samples(["x.npy"]).features.unit)


def test_labels_and_ids_may_lie_beside(table, tmp_path):
    table[["sku", "kind"]].to_csv("kinds.csv", index=False)
    (tmp_path / "kinds.txt").write_text("\n".join(table.kind) + "\n")
    table[["kind"]].to_csv("headless.csv", index=False, header=False)
    np.savetxt("numbers.txt", np.load("y.npy"))
    (tmp_path / "ids.txt").write_text("\n".join(IDS))
    expected = read_samples(["all.parquet"], columns=ALL)
    for labels, columns in (
        (["kinds.csv"], Columns(label="kind", id="sku")),
        (["kinds.csv"], Columns(id="sku")),
        (["kinds.txt"], Columns()),
        (["headless.csv"], Columns()),
        (table.kind, Columns()),
    ):
        found = read_samples(["x.npy"], labels, columns=columns, ids=None if columns.id else ["ids.txt"])
        assert (found.labels == expected.labels).all()
        assert found.names == expected.names
        assert found.ids.tolist() == IDS
        assert found.digest == expected.digest
    assert (read_samples(["x.npy"], ["numbers.txt"]).labels == np.load("y.npy")).all()
    assert read_samples(["x.npy"], ids=np.arange(80)).ids[7] == "7"


def test_a_folder_of_shards(table, tmp_path):
    (tmp_path / "shards").mkdir()
    (tmp_path / "shards" / "pictures").symlink_to(tmp_path / "pictures")
    table[:30].to_parquet("shards/part-9.parquet")
    table[30:].to_parquet("shards/part-10.parquet")
    (tmp_path / "shards" / "_SUCCESS").touch()
    found, whole = read_samples(["shards"], columns=ALL), read_samples(["all.parquet"], columns=ALL)
    assert found.digest == whole.digest
    assert found.ids.tolist() == IDS
    assert found.pictures[79].parent.parent.name == "shards"
    np.save("shards/x.npy", np.load("x.npy"))
    with pytest.raises(ParameterError, match=r"several formats \(\.npy, \.parquet\)"):
        read_samples(["shards"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sku": ["a"] * 80}, r"ids: 1 id occurs more than once \(a\)"),
        ({"sku": [None, *IDS[1:]]}, r"ids: 1 row has none \(0\)"),
        ({"sku": np.arange(80) + 0.5}, "ids = float64 violates ids of integers or text"),
        ({"kind": ["one"] * 80}, "labels = 1 class violates at least two classes"),
        ({"kind": [None] * 80}, "labels = none violates labels of some samples"),
        ({"picture": ["no.png"] * 80}, r"80 pictures are not there \(no.png, no.png, no.png, …\)"),
        ({"picture": [None] * 80}, "80 rows have no path"),
    ],
)
def test_bad_columns_are_refused_in_one_line(table, change, message, capsys):
    table.assign(**change).to_parquet("all.parquet")
    assert profile(["--features", "all.parquet", *OPTIONS, "--out", "p.json"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.splitlines()) == 1
    with pytest.raises(ParameterError, match=message):
        raise ParameterError(captured.err)


def test_what_does_not_fit_is_refused(table, tmp_path):
    (tmp_path / "ids.txt").write_text("\n".join(IDS[1:]))
    with pytest.raises(ParameterError, match="ids = 79 ids violates one for each of 80 rows"):
        read_samples(["x.npy"], ids=["ids.txt"])
    table[1:].to_csv("kinds.csv")
    with pytest.raises(ParameterError, match="labels = 79 labels violates one for each of 80 rows"):
        read_samples(["x.npy"], ["kinds.csv"], columns=Columns(label="kind"))
    with pytest.raises(ParameterError, match=r"label-column = kint violates a column of .*did you mean kind"):
        read_samples(["all.parquet"], columns=Columns(label="kint"))
    with pytest.raises(ParameterError, match="--label-column kind: the features are no table"):
        read_samples(["x.npy"], columns=Columns(label="kind"))
    with pytest.raises(ParameterError, match="choose by --label-column"):
        read_samples(["x.npy"], ["all.parquet"])
    table[::-1].to_csv("kinds.csv")
    with pytest.raises(ParameterError, match="item 0 with the features, item 79 with the labels"):
        read_samples(["all.parquet"], ["kinds.csv"], columns=Columns(label="kind", id="sku"))


def test_unusable_rows_are_named_counted_and_left_out(table, capsys):
    x = np.load("x.npy")
    x[[3, 17]], x[20], x[5, 2] = np.nan, 0, np.inf
    table.assign(e=list(x)).to_parquet("all.parquet")
    options = ["--features", "all.parquet", *OPTIONS]
    told = "3 rows that are NaN or infinite (item 3, item 5, item 17), 1 row that is all zero (item 20)"
    assert difficulty([*options, "--out", "out"]) == 2
    assert capsys.readouterr().err == f"error: features all.parquet: {told} (--skip-unusable leaves them out)\n"
    assert difficulty([*options, "--skip-unusable", "--pairs", "50", "--out", "out"]) == 0
    assert f"76 samples; skipped {told}, 1 column (price)" in capsys.readouterr().err
    rows = written("scores.csv")
    usable = [row for row in range(80) if row not in (3, 5, 17, 20)]
    assert [int(row["index"]) for row in rows] == usable
    assert [row["id"] for row in rows] == [IDS[row] for row in usable]
    assert [row["class"] for row in rows] == [table.kind[row] for row in usable]
    difficult = [int(row["index"]) for row in rows if row["difficult"] == "1"]
    assert np.load("out/difficult.npy").tolist() == difficult
    for pair in written("pairs.csv"):
        for end in ("first", "second"):
            assert pair[f"id_{end}"] == f"item {pair[end]}"
            assert pair[f"class_{end}"] == table.kind[int(pair[end])]
        assert pair["class_first"] != pair["class_second"]
    assert profile([*options, "--skip-unusable", "--difficult-out", "d.npy"]) == 0
    assert not np.isin(np.load("d.npy"), [3, 5, 17, 20]).any()
    np.save("wrong.npy", np.array([19, 20, 21]))
    assert difficulty([*options, "--skip-unusable", "--mislabelled", "wrong.npy", "--out", "out"]) == 0
    known = [int(row["index"]) for row in written("scores.csv") if row["known_mislabelled"] == "1"]
    assert known == [19, 21]


def test_unusable_rows_of_shards_are_found(table):
    x = np.load("x.npy")
    x[[33, 50]] = 0
    np.save("part-0.npy", x[:40])
    np.save("part-1.npy", x[40:])
    with pytest.raises(ParameterError, match=r"2 rows that are all zero \(part-0.npy: row 33, part-1.npy: row 10\)"):
        read_samples(["part-*.npy"])
    found = read_samples(["part-*.npy"], skip_unusable=True)
    assert found.rows.tolist() == [row for row in range(80) if row not in (33, 50)]


def test_all_commands_say_the_same_of_every_form(table, capsys):
    """Of the table, and of what is written from it in other formats."""
    torch.save(torch.from_numpy(np.load("x.npy")), "x.pt")
    table[["kind"]].to_csv("kinds.csv", index=False)
    forms = (
        ["--features", "all.parquet", "--label-column", "kind"],
        ["--features", "x.npy", "--labels", "all.parquet", "--label-column", "kind"],
        ["--features", "x.pt", "--labels", "kinds.csv"],
    )
    for command in (profile, prediction, difficulty):
        found = []
        for form in forms:
            assert command([*form, "--json"]) == 0
            document = json.loads(capsys.readouterr().out)
            document.pop("source", None)
            reading = document.pop("reading")
            assert reading["classes"] == 4
            found.append(document)
        assert found[0] == found[1] == found[2]


def test_features_that_changed_since_are_refused(table, capsys):
    options = ["--features", "x.npy", "--labels", "y.npy", "--pairs", "20", "--out", "out"]
    assert difficulty(options) == 0
    before = {path: Path("out", path).read_bytes() for path in ("scores.csv", "summary.json")}
    assert difficulty(options) == 0
    np.save("y.npy", np.load("y.npy")[:72])
    np.save("x.npy", np.load("x.npy")[:72])
    capsys.readouterr()
    assert difficulty(options) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "features x.npy: they or the labels changed since" in captured.err
    assert "(80 samples then)" in captured.err
    assert {path: Path("out", path).read_bytes() for path in before} == before
    assert difficulty([*options, "--labels", "y.npy", "--skip-unusable"]) == 0  # other settings: another question


def test_a_gallery_shows_ones_own_pictures(table):
    assert difficulty(["--features", "all.parquet", *OPTIONS, "--pairs", "6", "--out", "out"]) == 0
    with Image.open("out/grid.png") as grid:
        assert grid.size[0] > 100


def test_captions_say_what_is_known():
    items = Items(np.array([4, 6]), as_ids("ids", ["a", "b"], 2), np.array([1, -1]), ("x", "y"))
    assert [items.caption(row) for row in (0, 1)] == ["y", "b"]
    assert Items(np.array([4, 6])).caption(1) == "6"
