"""Features and labels in the formats and objects that people have."""

import pickle
import subprocess
import sys
import tempfile

import datasets
import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import save_file

from empirical.data import formats, unpacking
from empirical.data.features import Features
from empirical.data.formats import open_table
from theory.checks import ParameterError
from theory.temporary import PREFIX

X = np.random.default_rng(0).standard_normal((50, 7)).astype(np.float32)
T, FRAME = torch.from_numpy(X), pd.DataFrame(X)
LABELS = np.arange(50) % 3
TABLE = pd.DataFrame({"name": [f"n{i}" for i in range(50)], "embedding": list(X), "label": LABELS})
BFLOAT = T.bfloat16().float().numpy()
HALF = X.astype(np.float16).astype(np.float32)


def write_hdf5(path, **arrays):
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            chunked = {"chunks": (8, 3), "compression": "gzip"} if np.ndim(array) == 2 else {}
            file.create_dataset(name, data=array, **chunked)


def dataset():
    return datasets.Dataset.from_dict({"e": X, "label": LABELS.tolist()})


WRITERS = {
    "only.npz": (lambda path: np.savez(path, X), X),
    "several.npz": (lambda path: np.savez_compressed(path, features=X, labels=LABELS), X),
    "tensor.pt": (lambda path: torch.save(T, path), X),
    "brain.pt": (lambda path: torch.save({"f": T.bfloat16(), "y": torch.tensor(LABELS), "n": ["a"]}, path), BFLOAT),
    "pair.pth": (lambda path: torch.save((T, torch.tensor(LABELS)), path), X),
    "rows.pt": (lambda path: torch.save(list(T), path), X),
    "old.pt": (lambda path: torch.save(T, path, _use_new_zipfile_serialization=False), X),
    "brain.safetensors": (lambda path: save_file({"f": T.bfloat16(), "y": torch.tensor(LABELS)}, path), BFLOAT),
    "half.safetensors": (lambda path: save_file({"f": T.half()}, path), HALF),
    "lists.parquet": (lambda path: TABLE.to_parquet(path), X),
    "groups.parquet": (lambda path: TABLE.to_parquet(path, row_group_size=9), X),
    "columns.parquet": (lambda path: FRAME.add_prefix("f").to_parquet(path), X),
    "index.parquet": (lambda path: FRAME.add_prefix("f")[::-1][::-1].to_parquet(path, index=True), X),
    "double.parquet": (lambda path: pd.DataFrame({"e": X.tolist()}).to_parquet(path), X),
    "half.parquet": (lambda path: pd.DataFrame({"e": list(X.astype(np.float16))}).to_parquet(path), HALF),
    "columns.csv": (lambda path: FRAME.to_csv(path, index=False), X),
    "index.csv": (lambda path: FRAME.to_csv(path), X),
    "headless.csv": (lambda path: FRAME.to_csv(path, header=False, index=False), X),
    "packed.csv.gz": (lambda path: FRAME.to_csv(path, index=False), X),
    "columns.tsv": (lambda path: FRAME.to_csv(path, index=False, sep="\t"), X),
    "lists.feather": (lambda path: TABLE.to_feather(path), X),
    "deep.h5": (lambda path: write_hdf5(path, **{"g/x": X, "y": LABELS, "t": ["a"] * 50}), X),
    "half.hdf5": (lambda path: write_hdf5(path, x=X.astype(np.float16)), HALF),
    "saved": (lambda path: dataset().save_to_disk(str(path)), X),
}


@pytest.mark.parametrize("held", [unpacking.LARGEST_HELD, 0])
@pytest.mark.parametrize("name", WRITERS)
def test_a_file_of_any_format_is_the_matrix(tmp_path, monkeypatch, name, held):
    monkeypatch.setattr(unpacking, "LARGEST_HELD", held)  # 0: all that is read by batches becomes a file
    monkeypatch.setattr(unpacking, "ROWS", 8)
    write, expected = WRITERS[name]
    write(tmp_path / name)
    found = Features(tmp_path / name)
    assert (found.rows, found.width) == X.shape
    np.testing.assert_allclose(np.concatenate([chunk.raw() for chunk in found.chunks()]), expected, rtol=2e-7)


@pytest.mark.parametrize(
    "source",
    [T, T.double(), FRAME, TABLE, pa.Table.from_pandas(TABLE), X.tolist(), list(X), list(T), {"x": X, "y": LABELS}],
    ids=lambda source: type(source).__name__,
)
def test_an_object_in_memory_is_the_matrix(source):
    np.testing.assert_array_equal(Features(source).chunks()[0].raw(), X)


def test_half_precision_is_computed_with_in_single():
    np.testing.assert_array_equal(Features(T.bfloat16()).chunks()[0].raw(), BFLOAT)
    assert Features(T.half()).chunks()[0].raw().dtype == np.float32


def test_a_data_set_is_read_in_its_own_order(monkeypatch):
    monkeypatch.setattr(unpacking, "ROWS", 8)
    order = np.random.default_rng(1).permutation(50)[:40]
    np.testing.assert_array_equal(Features(dataset().select(order)).unit, Features(X[order]).unit)
    with pytest.raises(ParameterError, match="of the splits train"):
        Features(datasets.DatasetDict({"train": dataset()}))
    with pytest.raises(ParameterError, match="once only"):
        Features(dataset().to_iterable_dataset())


def test_many_files_are_one_matrix(tmp_path):
    FRAME[:20].to_parquet(tmp_path / "part-9.parquet")
    FRAME[20:].to_parquet(tmp_path / "part-10.parquet")
    found = Features([tmp_path / "part-9.parquet", tmp_path / "part-10.parquet"])
    np.testing.assert_array_equal(found.unit, Features(X).unit)
    broken = FRAME[20:].copy()
    broken.iloc[3, 2] = None
    broken.to_parquet(tmp_path / "part-10.parquet")
    found = Features([tmp_path / "part-9.parquet", tmp_path / "part-10.parquet"])
    with pytest.raises(ParameterError, match=r"part-10\.parquet: row 3 is NaN"):
        _ = found.unit


class Evil:
    def __reduce__(self):
        return sys.exit, (99,)


@pytest.mark.parametrize("name", ["a.pkl", "a.pickle", "a.joblib", "a.pt", "a.pth", "a.npz", "a.npy"])
def test_no_pickle_is_loaded(tmp_path, name):
    path = tmp_path / name
    if name.startswith("a.np"):
        held = np.array([[Evil()] * 3] * 3, dtype=object)
        np.save(path, held, allow_pickle=True) if name == "a.npy" else np.savez(path, held)
    elif name in ("a.pt", "a.pth"):
        torch.save({"x": T, "meta": Evil()}, path)
    else:
        path.write_bytes(pickle.dumps(Evil()))
    with pytest.raises(ParameterError) as error:
        Features(path)
    assert "\n" not in str(error.value)
    assert name in str(error.value)


@pytest.mark.parametrize("suffix", [*(s for s in formats.READERS if s.startswith(".")), ".xyz"])
@pytest.mark.parametrize("content", [b"", b"nonsense", b"PK\x03\x04" + bytes(60), b"PAR1" + bytes(40), b"\xff\xfe\x00"])
def test_a_damaged_file_is_refused_in_one_line(tmp_path, suffix, content):
    path = tmp_path / f"x{suffix}"
    path.write_bytes(content)
    with pytest.raises(ParameterError) as error:
        Features(path)
    assert len(str(error.value).splitlines()) == 1
    assert f"x{suffix}" in str(error.value)


@pytest.mark.parametrize("name", [*WRITERS, "none"])
def test_a_file_cut_short_is_refused_in_one_line(tmp_path, name):
    path = tmp_path / name
    if name in WRITERS and name != "saved":
        WRITERS[name][0](path)
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) * 2 // 3])
    if path.suffix in (".csv", ".tsv"):
        return  # text that ends early is text
    with pytest.raises(ParameterError) as error:
        _ = Features(path).unit
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("frame", "columns", "message"),
    [
        ({"a": list(X), "b": list(X)}, (), "several matrices or list columns \\(a, b\\)"),
        ({"id": LABELS, "f": X[:, 0]}, (), "columns of integers \\(id\\)"),
        ({"t": ["a"] * 50}, (), "no matrix and no column of floats \\(its columns are t\\)"),
        ({"f0": X[:, 0]}, ("g*",), "feature_columns = g\\* violates"),
        ({"t": ["a"] * 50, "f": X[:, 0]}, ("t",), "columns of numbers"),
        ({"a": [[1.0, 2.0], [1.0]] * 25}, (), "row 1 has 1 numbers, others 2"),
        ({"a": [[1.0]] * 9 + [[1.0, 2.0]] + [[1.0]] * 40}, (), "row 9 has 2 numbers, others 1"),
    ],
)
def test_what_is_not_clear_is_refused(tmp_path, monkeypatch, frame, columns, message):
    monkeypatch.setattr(unpacking, "ROWS", 8)
    pd.DataFrame(frame).to_parquet(tmp_path / "x.parquet")
    with pytest.raises(ParameterError, match=message):
        Features(tmp_path / "x.parquet", columns)


def test_columns_are_chosen():
    table = pd.DataFrame({"a": list(X), "b": list(2 * X), "n": LABELS, "f": X[:, 0]})
    np.testing.assert_array_equal(Features(table, ["b"]).chunks()[0].raw(), 2 * X)
    both = np.concatenate([X, 2 * X, LABELS[:, None]], axis=1)
    np.testing.assert_array_equal(Features(table, ["a", "b", "n"]).chunks()[0].raw(), both)
    np.testing.assert_array_equal(Features(table.drop(columns=["a", "b"]), taken=["n"]).chunks()[0].raw(), X[:, :1])


def test_null_in_a_table_is_nan():
    lists = pa.table({"e": pa.array([None if i == 4 else row.tolist() for i, row in enumerate(X)])})
    single = FRAME.copy()
    single.iloc[4, 2] = None
    for table in (lists, single):
        with pytest.raises(ParameterError, match="row 4 is NaN"):
            _ = Features(table).unit


def test_a_missing_library_names_the_extra(tmp_path, monkeypatch):
    for name, library in (("x.h5", "h5py"), ("x.safetensors", "safetensors")):
        (tmp_path / name).write_bytes(b"")
        monkeypatch.setitem(sys.modules, library, None)
        with pytest.raises(ParameterError, match=f"needs the library {library}: pip install"):
            open_table(tmp_path / name)


def test_what_is_unpacked_is_removed(tmp_path, monkeypatch):
    monkeypatch.setattr(unpacking, "LARGEST_HELD", 0)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    unpacking._folder.cache_clear()
    removals = []
    monkeypatch.setattr(unpacking.atexit, "register", removals.append)
    found = Features(FRAME)
    assert [path.name.startswith(PREFIX) for path in tmp_path.iterdir()] == [True]
    np.testing.assert_array_equal(found.unit, Features(X).unit)
    removals[0]()
    assert not list(tmp_path.iterdir())
    unpacking._folder.cache_clear()
    monkeypatch.setattr(unpacking.shutil, "disk_usage", lambda _: type("", (), {"free": 10}))
    with pytest.raises(ParameterError, match="TMPDIR names another folder"):
        Features(FRAME)
    unpacking._folder.cache_clear()


def test_a_large_parquet_file_is_read_a_batch_at_a_time(tmp_path, monkeypatch):
    """Also if it is a single row group: no more than one batch of its rows is decoded at once."""
    monkeypatch.setattr(unpacking, "ROWS", 8)
    pq.write_table(pa.Table.from_pandas(TABLE), tmp_path / "x.parquet", row_group_size=50)
    table = open_table(tmp_path / "x.parquet")
    assert [len(batch) for batch in table.batches(["embedding"], 8)] == [8] * 6 + [2]


# The peak of a process of its own, before and after reading.
PEAKS = """
import re, sys
from pathlib import Path
from empirical.data.samples import Columns, read_samples
from empirical.data.unpacking import LARGEST_HELD
def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) << 10
before = peak()
read = read_samples([sys.argv[1]], columns=Columns(label="y"))
assert read.features.rows * read.features.width * 4 > LARGEST_HELD
print(read.digest, peak() - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")
def test_what_does_not_fit_into_memory_is_unpacked_on_disk(tmp_path):
    """A parquet file that is one row group, and HDF5: less than half of the matrix, 819 MB, is in memory."""
    rows, width = 400_000, 512
    matrix = np.random.default_rng(0).standard_normal((rows, width), dtype=np.float32)
    offsets = np.arange(0, rows * width + 1, width, dtype=np.int32)
    table = pa.table({"e": pa.ListArray.from_arrays(offsets, matrix.ravel()), "y": np.arange(rows) % 10})
    pq.write_table(table, tmp_path / "x.parquet", row_group_size=rows)
    del table
    write_plain(tmp_path / "x.h5", matrix)
    size, digests = matrix.nbytes, set()
    del matrix
    for name in ("x.parquet", "x.h5"):
        run = [sys.executable, "-c", PEAKS, str(tmp_path / name)]
        digest, grown = subprocess.run(run, check=True, capture_output=True, text=True).stdout.split()
        digests.add(digest)
        assert int(grown) < size / 2
    assert len(digests) == 1


def write_plain(path, matrix):
    with h5py.File(path, "w") as file:
        file["e"], file["y"] = matrix, np.arange(len(matrix)) % 10
