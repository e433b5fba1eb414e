"""TU's raw format: what is read, against a plain loop and torch_geometric's reader, and what is refused."""

import sys
import urllib.request
import zipfile

import numpy as np
import pytest
import torch

from empirical.graphs import read_graphs
from tests.empirical.graphs.conftest import rings_and_paths, write
from theory.checks import ParameterError


def graph(data, i):
    """A graph as its features and its set of edges."""
    batch = data.graphs.take(torch.tensor([i]))
    return batch.x.tolist(), set(zip(*batch.edges.tolist(), strict=True))


def test_graphs_by_a_plain_loop(tmp_path, files):
    data = read_graphs(write(tmp_path / "TOY", files))
    assert data.class_names == ("5", "7")
    assert data.labels.tolist() == [1, 0]
    assert data.labels.dtype == np.int64
    assert data.graphs.shape == (2, 2)
    ring = {(0, 1), (1, 2), (0, 2), (2, 3)}
    ring |= {(b, a) for a, b in ring}
    assert graph(data, 0) == ([[1, 0], [0, 1], [1, 0], [0, 1]], ring)
    assert graph(data, 1) == ([[0, 1]] * 4, ring)
    assert data.reading.line == f"read {tmp_path / 'TOY'}: 2 classes (5, 7), 2 samples; " + (
        "converted 2 features of nodes from their one-hot labels"
    )


def test_the_same_as_torch_geometric(source, tmp_path):
    pytest.importorskip("torch_geometric")
    from torch_geometric.io import read_tu_data

    folder, name = source, "TOY"
    if source.suffix == ".zip":
        with zipfile.ZipFile(source) as archive:
            archive.extractall(tmp_path)
        folder, name = tmp_path / "MUTAG", "MUTAG"
    theirs, slices, _ = read_tu_data(str(folder), name)
    ours = read_graphs(source)
    assert torch.equal(ours.graphs.x, theirs.x)
    assert torch.equal(ours.graphs.edges, theirs.edge_index)
    assert torch.equal(ours.graphs.node_ends, slices["x"])
    assert torch.equal(ours.graphs.edge_ends, slices["edge_index"])
    assert ours.labels.tolist() == theirs.y.tolist()


def test_a_zip_is_read_as_its_folder_and_never_unpacked(tmp_path, files):
    folder = write(tmp_path / "TOY", files)
    with zipfile.ZipFile(tmp_path / "TOY.zip", "w") as archive:
        for file in folder.iterdir():
            archive.write(file, f"../../{file.name}")
    before = sorted(tmp_path.rglob("*"))
    assert read_graphs(tmp_path / "TOY.zip").graphs.digest() == read_graphs(folder).graphs.digest()
    assert sorted(tmp_path.rglob("*")) == before


def test_folders_as_torch_geometric_keeps_them(tmp_path, files):
    expected = read_graphs(write(tmp_path / "plain", files)).graphs.digest()
    for place in (tmp_path / "A" / "raw", tmp_path / "TOY" / "TOY"):
        write(place, files)
        assert read_graphs(place.parent).graphs.digest() == expected


def test_a_name_is_looked_for_in_data(tmp_path, files, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "data" / "TOY", files)
    assert len(read_graphs("TOY").graphs) == 2


def test_a_name_is_downloaded_and_kept(tmp_path, files, monkeypatch):
    pytest.importorskip("torch_geometric")
    monkeypatch.chdir(tmp_path)
    folder = write(tmp_path / "elsewhere" / "TOY", files)
    with zipfile.ZipFile(tmp_path / "packed.zip", "w") as archive:
        for file in folder.iterdir():
            archive.write(file, f"TOY/{file.name}")
    asked = []

    def urlopen(address, timeout):
        asked.append(address.rsplit("/", 1)[-1])
        return open(tmp_path / "packed.zip", "rb")

    monkeypatch.setattr(urllib.request, "urlopen", urlopen)
    for _ in range(2):
        assert len(read_graphs("TOY").graphs) == 2
    assert asked == ["TOY.zip"]
    assert [file.name for file in (tmp_path / "data").iterdir()] == ["TOY.zip"]


def test_without_a_network_one_line_and_nothing_written(tmp_path, monkeypatch):
    pytest.importorskip("torch_geometric")
    monkeypatch.chdir(tmp_path)

    def urlopen(*_, **__):
        raise OSError("no network here")

    monkeypatch.setattr(urllib.request, "urlopen", urlopen)
    with pytest.raises(ParameterError, match="no TU data set of this name can be downloaded: no network here"):
        read_graphs("TOY")
    assert not list(tmp_path.iterdir())


def test_without_the_library_a_name_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "torch_geometric", None)
    with pytest.raises(ParameterError, match=r"pip install 'difficult-examples\[graphs\]'"):
        read_graphs("TOY")


def test_features_of_nodes(tmp_path, files):
    files["node_attributes"] = [f"{i}, {i / 2}" for i in range(8)]
    folder = write(tmp_path / "TOY", files)
    attributes = np.array([[i, i / 2] for i in range(8)])
    labels = np.array([[int(label == "0"), int(label == "4")] for label in files["node_labels"]])
    degree = np.array([[0, 1, 0], [0, 1, 0], [0, 0, 1], [1, 0, 0]] * 2)
    expected = {
        "auto": labels,
        "labels": labels,
        "attributes": attributes,
        "labels+attributes": np.hstack([labels, attributes]),
        "degree": degree,
        "constant": np.ones((8, 1)),
    }
    for name, x in expected.items():
        assert np.array_equal(read_graphs(folder, name).graphs.x, x), name
    assert "skipped 1 file (TOY_node_attributes.txt)" in read_graphs(folder).reading.line
    (folder / "TOY_node_labels.txt").unlink()
    assert np.array_equal(read_graphs(folder).graphs.x, attributes)
    (folder / "TOY_node_attributes.txt").unlink()
    data = read_graphs(folder)
    assert np.array_equal(data.graphs.x, degree)
    assert "converted 8 nodes' degrees as their features" in data.reading.line


def test_high_degrees_are_one(tmp_path):
    star = [f"1, {i}" for i in range(2, 302)]
    files = {"A": star, "graph_indicator": ["1"] * 301, "graph_labels": ["0"]}
    data = read_graphs(write(tmp_path / "TOY", files))
    assert data.graphs.shape == (1, 2)
    assert "1 of them above 256" in data.reading.line


def test_edges_are_put_in_order_and_it_is_said(tmp_path, files):
    clean = read_graphs(write(tmp_path / "clean", files)).graphs.digest()
    files["A"] = [*files["A"][:-1], "2, 2", files["A"][0], files["A"][0]]
    data = read_graphs(write(tmp_path / "TOY", files))
    assert data.graphs.digest() == clean
    for words in (
        "2 edges given twice, taken once",
        "1 edge given in one direction, taken in both",
        "1 edge from a node to itself left out",
    ):
        assert words in data.reading.line


def test_a_graph_without_edges_stays_and_is_named(tmp_path, files):
    files["A"] = [line for line in files["A"] if int(line.split(",")[0]) < 5]
    data = read_graphs(write(tmp_path / "TOY", files))
    assert graph(data, 1) == ([[0, 1]] * 4, set())
    assert "noted 1 graph without edges, kept as nodes alone (graph 2)" in data.reading.line


def test_copies_are_counted(tmp_path, files):
    files["node_labels"] = ["0"] * 8
    line = read_graphs(write(tmp_path / "TOY", files)).reading.line
    assert "noted 1 exact copy of another sample, 1 of them with another label" in line


def test_a_last_line_without_an_end_and_other_systems_ends(tmp_path, files):
    folder = write(tmp_path / "TOY", files)
    expected = read_graphs(folder).graphs.digest()
    for file in folder.iterdir():
        file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n").rstrip())
    assert read_graphs(folder).graphs.digest() == expected


BAD = {
    "no nodes": ({"graph_indicator": ["1"] * 4 + ["3"] * 4, "graph_labels": ["7", "5", "5"]}, "graph 2 has no nodes"),
    "no nodes at the end": ({"graph_labels": ["7", "5", "5"]}, "graph 3 has no nodes"),
    "no edges at all": ({"A": ["1, 1"]}, "violates graphs with edges"),
    "empty": ({"A": []}, "TOY_A.txt: it is empty"),
    "labels missing": ({"graph_labels": ["7"]}, "TOY_graph_labels.txt: 1 labels, but there are 2 graphs"),
    "blank label": ({"graph_labels": ["7", ""]}, "1 labels, but there are 2 graphs"),
    "fractions": (
        {"graph_labels": ["7.5", "5"]},
        "TOY_graph_labels.txt: line 1 is '7.5', but the same count of integers",
    ),
    "whole fractions": ({"graph_labels": ["7.0", "5"]}, "TOY_graph_labels.txt: line 1 is '7.0'"),
    "columns of labels": ({"graph_labels": ["7, 1", "5, 1"]}, "2 columns, but one is expected"),
    "node above": ({"A": ["1, 2", "1, 9"]}, "TOY_A.txt: line 2 has a node outside 1 to 8"),
    "node below": ({"A": ["1, 2", "1, 0"]}, "line 2 has a node outside 1 to 8"),
    "huge": ({"A": ["1, 2", "1, 99999999999999999999"]}, "TOY_A.txt: "),
    "lowest": ({"A": ["1, 2", "1, -9223372036854775808"]}, "line 2 has a node outside 1 to 8"),
    "two graphs": ({"A": ["1, 2", "4, 5"]}, "line 2 has nodes of two graphs"),
    "one column": ({"A": ["1", "2"]}, "1 columns, but two nodes are expected"),
    "truncated line": ({"A": ["1, 2", "2, 1", "2,"]}, "line 3 is '2,'"),
    "shorter line": ({"A": ["1, 2", "2, 1", "2"]}, "line 3 is '2'"),
    "text": ({"A": ["1, 2", "one, 2"]}, "line 2 is 'one, 2'"),
    "comment": ({"A": ["# edges", "1, 2"]}, "line 1 is '# edges'"),
    "indicator from 0": ({"graph_indicator": ["0"] * 4 + ["1"] * 4}, "line 1 is of graph 0, but they begin at 1"),
    "indicator falls": ({"graph_indicator": ["2"] * 4 + ["1"] * 4}, "line 5 is of an earlier graph"),
    "indicator truncated": ({"graph_indicator": ["1"] * 4 + ["2"] * 2}, "a node outside 1 to 6"),
    "node labels truncated": ({"node_labels": ["1"] * 7}, "TOY_node_labels.txt: 7 lines, but there are 8 nodes"),
    "node labels as text": ({"node_labels": ["C"] * 8}, "TOY_node_labels.txt: line 1 is 'C'"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_files(tmp_path, files, case):
    changed, message = BAD[case]
    folder = write(tmp_path / "TOY", files | changed)
    with pytest.raises(ParameterError) as error:
        read_graphs(folder)
    assert message in str(error.value)
    assert len(str(error.value).splitlines()) == 1


def test_attributes_that_are_not_finite(tmp_path, files):
    del files["node_labels"]
    files["node_attributes"] = ["1.0"] * 6 + ["nan", "1e300"]
    with pytest.raises(ParameterError, match="TOY_node_attributes.txt: line 7 has a number that is not finite"):
        read_graphs(write(tmp_path / "TOY", files))


def test_too_many_labels_of_nodes(tmp_path):
    nodes = 5_000
    files = {
        "A": [f"{i}, {i + 1}" for i in range(1, nodes)],
        "graph_indicator": ["1"] * nodes,
        "graph_labels": ["0"],
        "node_labels": [str(i) for i in range(nodes)],
    }
    with pytest.raises(ParameterError, match="5,000 different labels, but at most 4,096"):
        read_graphs(write(tmp_path / "TOY", files))


def test_files_that_are_not_there(tmp_path, files):
    folder = write(tmp_path / "TOY", files)
    with pytest.raises(ParameterError, match="a file TOY_node_attributes.txt in"):
        read_graphs(folder, "attributes")
    (folder / "TOY_graph_labels.txt").rename(folder / "TOY_graph_attributes.txt")
    with pytest.raises(
        ParameterError, match="there is no TOY_graph_labels.txt .those of graph_attributes are no classes"
    ):
        read_graphs(folder)
    with pytest.raises(ParameterError, match="there is no file nothing.zip"):
        read_graphs(tmp_path / "nothing.zip")
    (tmp_path / "images").mkdir()
    with pytest.raises(ParameterError, match="one file NAME_A.txt, as TU data sets have .found none"):
        read_graphs(tmp_path / "images")
    write(folder, files, "OTHER")
    with pytest.raises(ParameterError, match="found OTHER, TOY"):
        read_graphs(folder)


def test_a_wrong_option(source):
    with pytest.raises(ParameterError, match="node_features = degrees violates one of .* .did you mean degree"):
        read_graphs(source, "degrees")


def test_nothing_outside_the_folder_is_read(tmp_path, files):
    folder = write(tmp_path / "TOY", files)
    (folder / "TOY_node_labels.txt").rename(tmp_path / "elsewhere.txt")
    (folder / "TOY_node_labels.txt").symlink_to(tmp_path / "elsewhere.txt")
    with pytest.raises(ParameterError, match="not a link to another place"):
        read_graphs(folder)


def test_damaged_archives(tmp_path, files):
    folder = write(tmp_path / "TOY", files)
    path = tmp_path / "TOY.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.iterdir()):
            archive.write(file, f"TOY/{file.name}")
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], whole[:60] + bytes(20) + whole[80:], b"no archive"):
        path.write_bytes(damaged)
        with pytest.raises(ParameterError, match="cannot read"):
            read_graphs(path)
    with zipfile.ZipFile(path, "w") as archive:
        for place in ("a", "b"):
            archive.write(folder / "TOY_A.txt", f"{place}/TOY_A.txt")
    with pytest.raises(ParameterError, match="one file TOY_A.txt"):
        read_graphs(path)


def test_rings_and_paths(tmp_path):
    data = read_graphs(write(tmp_path / "TOY", rings_and_paths()))
    assert np.bincount(data.labels).tolist() == [12, 12]
    edges = data.graphs.edge_ends.diff() // 2
    assert (edges == data.graphs.sizes - 1 + torch.from_numpy(data.labels)).all()


@pytest.mark.parametrize("kind", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_zip_with_any_changed_byte_is_read_or_refused(tmp_path, files, kind):
    """However its members are packed, each of which is damaged in a way of its own."""
    path, generator = tmp_path / "TOY.zip", np.random.default_rng(0)
    with zipfile.ZipFile(path, "w", kind) as archive:
        for file in sorted(write(tmp_path / "TOY", files).iterdir()):
            archive.write(file, file.name)
    content, refused = path.read_bytes(), 0
    for place in generator.integers(0, len(content), 150):
        path.write_bytes(content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :])
        try:
            read_graphs(path)
        except ParameterError:
            refused += 1
    assert refused > 50


def test_a_zip_that_unpacks_to_far_more_is_refused_unread(tmp_path):
    with (
        zipfile.ZipFile(tmp_path / "BOMB.zip", "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("B_A.txt", "w") as file,
    ):
        for _ in range(600):
            file.write(bytes(1 << 20))
    with pytest.raises(ParameterError, match="at most 100 times its size"):
        read_graphs(tmp_path / "BOMB.zip")
