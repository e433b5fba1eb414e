"""Graphs in the raw format of TU data sets (Morris et al., "TUDataset", 2020), from a folder or a .zip, or by name.

All is text. ``torch_geometric.io.read_tu_data`` reads the same, but loses a last line without an end, and last nodes
without edges where nodes have no features; what does not fit together is an error of a lookup there, or none. So the
files are read and checked here, and the tests compare the result with its.
"""

from __future__ import annotations

import io
import lzma
import re
import shutil
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from empirical.data.copies import Rows, copy_notes, first_copies
from empirical.data.reading import NAMED, Note, Reading, counted
from empirical.graphs.library import geometric
from empirical.graphs.sets import GraphSet, ends
from theory.archives import require_modest
from theory.checks import ParameterError, require, require_known, shortened
from theory.files import missing, require_readable, unreadable
from theory.temporary import in_temporary_folder

NODE_FEATURES = ("auto", "labels", "attributes", "labels+attributes", "degree", "constant")
HIGHEST_DEGREE = 256  # IMDB-BINARY's is 135; of REDDIT's threads 3,062
MOST_LABELS = 4_096  # different ones of nodes: each is a column
LARGEST = 2 << 30  # bytes of a file
DOWNLOADS = Path("data")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
SUFFIX = "_A.txt"
PATIENCE = 30.0  # seconds without an answer
# What zipfile raises beside OSError; RuntimeError for encrypted members, and for ways of packing that it does not know.
DAMAGED = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, RuntimeError, EOFError)

Numbers = NDArray[Any]


class LabelledGraphs(NamedTuple):
    """A data set of graphs.

    Parameters
    ----------
    graphs : GraphSet
        N graphs.
    labels : ndarray
        int64 in [0, C), shape (N,).
    class_names : tuple of str
        The values of the C labels in the files, in ascending order.
    reading : Reading
        What was read, and as what.
    """

    graphs: GraphSet
    labels: Rows
    class_names: tuple[str, ...]
    reading: Reading


def read_graphs(source: str | Path, node_features: str = "auto") -> LabelledGraphs:
    """A TU data set.

    Parameters
    ----------
    source : str or Path
        A folder or .zip with NAME_A.txt, NAME_graph_indicator.txt, NAME_graph_labels.txt, and, where there are some,
        NAME_node_labels.txt and NAME_node_attributes.txt; or a NAME, such as ``MUTAG``, which is looked for in ./data
        and downloaded there by the address that torch_geometric has for it.
    node_features : {"auto", "labels", "attributes", "labels+attributes", "degree", "constant"}
        What a node's features are: its labels, one-hot; its attributes; its degree, one-hot, where those above 256 are
        one; or 1. "auto" is labels, else attributes, else degree. GraphCL, InfoGraph and ADNCE take the labels, never
        attributes, and 1 where there are none.

    Raises
    ------
    ParameterError
        If there is no such data set, if it cannot be downloaded, or if its files do not fit together.
    """
    require_known("node_features", node_features, NODE_FEATURES)
    with _files(source) as files:
        return _read(files, node_features)


class Files(NamedTuple):
    """The files of one data set."""

    source: str
    name: str
    present: frozenset[str]
    read: Callable[[str], bytes]

    def file(self, part: str) -> str:
        """What the file of a part is called."""
        return f"{self.name}_{part}.txt"

    def has(self, part: str) -> bool:
        """Whether there is this file."""
        return self.file(part) in self.present

    def integers(self, part: str) -> Numbers:
        """A table of integers, shape (lines, columns)."""
        return self._numbers(part, np.int64, "integers")

    def floats(self, part: str) -> Numbers:
        """A table of numbers that are finite in float32, shape (lines, columns)."""
        with np.errstate(over="ignore"):
            found = self._numbers(part, np.float64, "numbers").astype(np.float32)
        bad = ~np.isfinite(found).all(axis=1)
        if bad.any():
            raise self.error(part, f"line {int(bad.argmax()) + 1} has a number that is not finite")
        return found

    def column(self, part: str) -> Numbers:
        """The integers of a file of one column."""
        found = self.integers(part)
        if found.shape[1] != 1:
            raise self.error(part, f"{found.shape[1]} columns, but one is expected")
        return found[:, 0]

    def error(self, part: str, what: str) -> ParameterError:
        """An error in one file."""
        return ParameterError(f"cannot read {self.source}: {self.file(part)}: {what}")

    def _numbers(self, part: str, kind: type, what: str) -> Numbers:
        content = self.read(self.file(part))
        if not content.strip():
            raise self.error(part, "it is empty")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")  # integers that numpy would round
                return np.loadtxt(io.BytesIO(content), dtype=kind, delimiter=",", comments=None, ndmin=2)
        except (ValueError, OverflowError, DeprecationWarning) as error:
            line = _first_bad_line(content, kind)
            reason = line or str(error).splitlines()[0]
            raise self.error(part, f"{reason}, but the same count of {what} is expected in each line") from error


def _first_bad_line(content: bytes, kind: type) -> str:
    """Which line is not like the first, or has no number, and what it is."""
    convert, columns = (int if kind is np.int64 else float), None
    for number, line in enumerate(content.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            found = len([convert(field) for field in line.split(b",")])
        except ValueError:
            found = -1
        columns = columns or found
        if found != columns or found < 0:
            return f"line {number} is {shortened(repr(line.decode(errors='replace')))}"
    return ""


@contextmanager
def _files(source: str | Path) -> Iterator[Files]:
    path = Path(source)
    named = isinstance(source, str) and bool(NAME.fullmatch(source)) and not source.endswith(".zip")
    if named and not path.exists():
        downloaded = [place for place in (DOWNLOADS / source, DOWNLOADS / f"{source}.zip") if place.exists()]
        path = downloaded[0] if downloaded else _download(str(source))
    if path.is_dir():
        yield _of_folder(path, str(source))
        return
    if not path.exists():
        raise ParameterError(f"cannot read {source}: {missing(path)}")
    require_readable(path)
    with _sound_archive(path):
        require_modest(path)
        archive = zipfile.ZipFile(path)
    with archive:
        yield _of_archive(archive, path, str(source))


@contextmanager
def _sound_archive(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise unreadable(path, error) from error
    except DAMAGED as error:
        raise ParameterError(f"cannot read {path}: {error or 'it is damaged'}") from error


def _of_folder(path: Path, source: str) -> Files:
    """The data set in a folder, or in its folder ``raw`` or that of its own name, as torch_geometric keeps it."""
    for place in (path, path / "raw", path / path.name):
        if place.is_dir() and any(place.glob(f"*{SUFFIX}")):
            break
    else:
        place = path
    present = frozenset(file.name for file in place.iterdir())
    inside = path.resolve()

    def read(name: str) -> bytes:
        file = place / name
        require_readable(file)
        require(file.resolve().is_relative_to(inside), "file", file, f"a file in {path}, not a link to another place")
        try:
            require(file.stat().st_size <= LARGEST, "file", file, f"at most {LARGEST >> 30} GiB")
            return file.read_bytes()
        except OSError as error:
            raise unreadable(file, error) from error

    return Files(source, _name(source, present), present, read)


def _of_archive(archive: zipfile.ZipFile, path: Path, source: str) -> Files:
    """The data set in a .zip, which is never unpacked: where its paths lead does not matter."""
    members: dict[str, zipfile.ZipInfo] = {}
    for member in archive.infolist():
        name = member.filename.rsplit("/", 1)[-1]
        if name.endswith(".txt") and not name.startswith("."):
            require(name not in members, "source", source, f"one file {name}")
            members[name] = member

    def read(name: str) -> bytes:
        member = members[name]
        require(member.file_size <= LARGEST, "file", f"{source}: {name}", f"at most {LARGEST >> 30} GiB")
        with _sound_archive(path):
            return archive.read(member)

    present = frozenset(members)
    return Files(source, _name(source, present), present, read)


def _name(source: str, present: frozenset[str]) -> str:
    names = sorted(name.removesuffix(SUFFIX) for name in present if name.endswith(SUFFIX))
    found = ", ".join(names) if names else "none"
    require(len(names) == 1, "source", source, f"one file NAME{SUFFIX}, as TU data sets have (found {found})")
    needed = [f"{names[0]}_{part}.txt" for part in ("graph_indicator", "graph_labels")]
    absent = [name for name in needed if name not in present]
    if absent:
        where = " (those of graph_attributes are no classes)" if f"{names[0]}_graph_attributes.txt" in present else ""
        raise ParameterError(f"cannot read {source}: there is no {absent[0]}{where}")
    return names[0]


def _download(name: str) -> Path:
    """The data set's .zip, in ./data."""
    from urllib.request import urlopen

    geometric()
    from torch_geometric.datasets import TUDataset

    place, there = DOWNLOADS / f"{name}.zip", DOWNLOADS.exists()
    try:
        DOWNLOADS.mkdir(exist_ok=True)
        # Not TUDataset's own way, which unpacks whatever paths an archive has, and loads a pickle.
        with (
            in_temporary_folder(DOWNLOADS) as folder,
            urlopen(f"{TUDataset.url}/{name}.zip", timeout=PATIENCE) as found,
        ):
            with open(folder / place.name, "wb") as file:
                shutil.copyfileobj(found, file)
            require(zipfile.is_zipfile(folder / place.name), "answer", f"of {TUDataset.url}", "a .zip")
            (folder / place.name).replace(place)
    except Exception as error:  # a download fails in many ways
        if not there:
            with suppress(OSError):
                DOWNLOADS.rmdir()
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
        raise ParameterError(
            f"there is no folder or .zip {name}, and no TU data set of this name can be downloaded: {reason}"
        ) from error
    return place


def _read(files: Files, node_features: str) -> LabelledGraphs:
    owner, labels, class_names = _owners_and_labels(files)
    sizes = np.bincount(owner, minlength=len(labels))
    edges, edge_notes = _edges(files, owner)
    x, feature_notes = _features(files, node_features, edges, len(owner))
    graph = owner[edges[0]]
    counts = np.bincount(graph, minlength=len(labels))
    require(bool(counts.any()), "source", files.source, "graphs with edges")
    first = np.cumsum(sizes) - sizes
    graphs = GraphSet(torch.from_numpy(x), torch.from_numpy(edges - first[graph]), ends(sizes), ends(counts))
    alone = np.flatnonzero(counts == 0) + 1
    names = tuple(f"graph {number}" for number in alone[:NAMED])
    bare = "graph without edges, kept as nodes alone", "graphs without edges, kept as nodes alone"
    noted = [Note(len(alone), bare[len(alone) != 1], names), *copy_notes(first_copies(graphs.hashes()), labels)]
    reading = Reading(files.source, len(labels), class_names)
    reading = reading.with_notes(_unused(files, node_features), [*feature_notes, *edge_notes], noted)
    return LabelledGraphs(graphs, labels, class_names, reading)


def _owners_and_labels(files: Files) -> tuple[Rows, Rows, tuple[str, ...]]:
    """The graph of each node, the label of each graph, and the labels' values."""
    given = files.column("graph_labels")
    owner = files.column("graph_indicator") - 1
    graphs = len(given)
    falls = np.flatnonzero(np.diff(owner) < 0)
    if len(falls):
        raise files.error("graph_indicator", f"line {falls[0] + 2} is of an earlier graph than the line before")
    if owner[0] < 0:
        raise files.error("graph_indicator", f"line 1 is of graph {owner[0] + 1}, but they begin at 1")
    if owner[-1] >= graphs:
        raise files.error("graph_labels", f"{graphs:,} labels, but there are {owner[-1] + 1:,} graphs")
    empty = np.flatnonzero(np.bincount(owner, minlength=graphs) == 0)
    if len(empty):
        raise files.error("graph_indicator", f"graph {empty[0] + 1} has no nodes")
    values, labels = np.unique(given, return_inverse=True)
    return owner, labels.astype(np.int64), tuple(str(value) for value in values)


def _edges(files: Files, owner: Rows) -> tuple[Rows, list[Note]]:
    """Both directions of each edge by the nodes' numbers, sorted, shape (2, E), and what was not so in the file."""
    pairs = files.integers("A")
    if pairs.shape[1] != 2:
        raise files.error("A", f"{pairs.shape[1]} columns, but two nodes are expected in each line")
    pairs, nodes = pairs - 1, len(owner)
    for bad, what in (
        (((pairs < 0) | (pairs >= nodes)).any(axis=1), f"a node outside 1 to {nodes:,}"),
        (owner[pairs[:, 0].clip(0, nodes - 1)] != owner[pairs[:, 1].clip(0, nodes - 1)], "nodes of two graphs"),
    ):
        if bad.any():
            raise files.error("A", f"line {int(bad.argmax()) + 1} has {what}")
    loops = pairs[:, 0] == pairs[:, 1]
    pairs = pairs[~loops]
    keys = np.unique(pairs[:, 0] * nodes + pairs[:, 1])
    both = np.unique(np.concatenate([keys, keys % nodes * nodes + keys // nodes]))
    notes = [
        counted(len(pairs) - len(keys), "edge given twice, taken once", "edges given twice, taken once"),
        counted(
            len(both) - len(keys),
            "edge given in one direction, taken in both",
            "edges given in one direction, taken in both",
        ),
        counted(int(loops.sum()), "edge from a node to itself left out", "edges from nodes to themselves left out"),
    ]
    return np.stack([both // nodes, both % nodes]), notes


def _features(files: Files, wanted: str, edges: Rows, nodes: int) -> tuple[NDArray[np.float32], list[Note]]:
    """Node features, shape (nodes, F), and what they were made of."""
    if wanted == "auto":
        wanted = next((part for part in ("labels", "attributes") if files.has(f"node_{part}")), "degree")
    if wanted == "constant":
        return np.ones((nodes, 1), dtype=np.float32), [
            counted(nodes, "node with the feature 1", "nodes with the feature 1")
        ]
    if wanted == "degree":
        degree = np.bincount(edges[0], minlength=nodes)
        found = _one_hot(np.minimum(degree, HIGHEST_DEGREE)[:, None])
        capped = counted(
            int((degree > HIGHEST_DEGREE).sum()), f"of them above {HIGHEST_DEGREE}", f"of them above {HIGHEST_DEGREE}"
        )
        return found, [counted(nodes, "node's degree as its features", "nodes' degrees as their features"), capped]
    columns, notes = [], []
    for part in wanted.split("+"):
        name = f"node_{part}"
        require(files.has(name), "node_features", wanted, f"a file {files.file(name)} in {files.source}")
        table = files.integers(name) if part == "labels" else files.floats(name)
        if len(table) != nodes:
            raise files.error(name, f"{len(table):,} lines, but there are {nodes:,} nodes")
        if part == "labels":
            different = sum(len(np.unique(column)) for column in table.T)
            if different > MOST_LABELS:
                raise files.error(name, f"{different:,} different labels, but at most {MOST_LABELS:,} can be features")
            table = _one_hot(table)
        columns.append(table)
        kind = "one-hot labels" if part == "labels" else "attributes"
        notes.append(Note(table.shape[1], f"features of nodes from their {kind}"))
    return np.concatenate(columns, axis=1), notes


def _one_hot(table: Numbers) -> NDArray[np.float32]:
    """Each column's values that occur, one-hot, side by side."""
    parts = []
    for column in table.T:
        values, places = np.unique(column, return_inverse=True)
        parts.append(np.eye(len(values), dtype=np.float32)[places])
    return np.concatenate(parts, axis=1)


def _unused(files: Files, node_features: str) -> list[Note]:
    """Files that say more than is used."""
    used = {"auto": ["labels"] if files.has("node_labels") else ["attributes"]}.get(
        node_features, node_features.split("+")
    )
    left = [part for part in ("node_labels", "node_attributes", "edge_labels", "edge_attributes") if files.has(part)]
    left = [part for part in left if part.removeprefix("node_") not in used]
    return [Note(len(left), "file" if len(left) == 1 else "files", tuple(files.file(part) for part in left))]
