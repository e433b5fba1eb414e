"""Small data sets in TU's raw format, and MUTAG where it is there."""

from pathlib import Path

import numpy as np
import pytest

MUTAG = Path(__file__).resolve().parents[4] / "shared" / "data" / "graphs" / "MUTAG.zip"


def rings_and_paths(graphs=24, seed=0):
    """Files of a data set: rings of class 1 and paths of class −1, with labels of nodes."""
    random = np.random.default_rng(seed)
    files = {name: [] for name in ("A", "graph_indicator", "graph_labels", "node_labels")}
    first = 1
    for number in range(1, graphs + 1):
        size, ring = int(random.integers(4, 9)), number % 2
        pairs = [(first + i, first + i + 1) for i in range(size - 1)] + [(first + size - 1, first)] * ring
        files["A"] += [f"{a}, {b}" for a, b in pairs + [(b, a) for a, b in pairs]]
        files["graph_indicator"] += [str(number)] * size
        files["graph_labels"].append(str(2 * ring - 1))
        files["node_labels"] += [str(random.integers(3)) for _ in range(size)]
        first += size
    return files


def write(folder, files, name="TOY"):
    folder.mkdir(parents=True, exist_ok=True)
    for part, lines in files.items():
        (folder / f"{name}_{part}.txt").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return folder


@pytest.fixture
def files():
    """Two triangles with a tail, of classes 5 and 7: nodes 1–4 and 5–8."""
    edges = [(1, 2), (2, 3), (3, 1), (3, 4), (5, 6), (6, 7), (7, 5), (7, 8)]
    return {
        "A": [f"{a}, {b}" for a, b in edges + [(b, a) for a, b in edges]],
        "graph_indicator": ["1"] * 4 + ["2"] * 4,
        "graph_labels": ["7", "5"],
        "node_labels": ["0", "4", "0", "4", "4", "4", "4", "4"],
    }


@pytest.fixture(scope="session")
def source(tmp_path_factory):
    """MUTAG where it is there, else rings and paths."""
    return MUTAG if MUTAG.exists() else write(tmp_path_factory.mktemp("tu") / "TOY", rings_and_paths())
