"""Files of features, labels or ids in the formats of numpy, Arrow, torch, safetensors and HDF5, and objects in memory.

Each is opened as a ``Table`` by the library that keeps the format. Nothing is ever unpickled.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from empirical.data.tables import Array, Arrays, Arrow, Table, one_error
from empirical.data.values import is_of, plain
from theory.checks import ParameterError
from theory.files import unreadable

EXTRA = "pip install 'difficult-examples[formats]'"
PICKLES = (".pkl", ".pickle", ".joblib", ".dill")
BUFFER = 1 << 18  # bytes of a parquet column that are read at a time
SAVED_DATASET = "dataset_info.json"  # in a folder that a data set of Hugging Face was saved to
EXPONENT = re.compile(r"[+-]?\d(\.\d+)?e[+-]\d+|nan", re.IGNORECASE)  # of integers as numpy's savetxt writes them


def open_table(path: Path) -> Table:
    """The columns of a file, which its suffix says the format of.

    Raises
    ------
    ParameterError
        If the file cannot be read, is damaged, in none of the formats, a pickle, or needs a library that is missing.
    """
    suffixes = [suffix.lower() for suffix in path.suffixes]
    suffix = suffixes[-1] if suffixes else ""
    if suffix == ".gz" and len(suffixes) > 1:
        suffix = suffixes[-2] + suffix
    if suffix in PICKLES:
        raise ParameterError(f"{path} is a pickle, which may run code and is never loaded: save it as {KNOWN}")
    if path.is_dir():
        suffix = SAVED_DATASET if (path / SAVED_DATASET).exists() else suffix
    if suffix not in READERS:
        there = path.exists() or path.is_symlink()
        raise ParameterError(f"cannot read {path}: its suffix is none of {KNOWN}") if there else _absent(path)
    with one_error(path):
        if suffix != SAVED_DATASET:
            with open(path, "rb"):  # whose errors are clearer than those of libraries
                pass
        return READERS[suffix](path)


def _absent(path: Path) -> ParameterError:
    return unreadable(path, FileNotFoundError())


def table_of(name: str, values: Any) -> Table:
    """The columns of an object in memory.

    Parameters
    ----------
    name : str
        What errors call it.
    values : object
        A matrix or vector of numpy, torch or lists, a table of pandas or pyarrow, or a data set of Hugging Face.
    """
    import pyarrow as pa

    if is_of(values, "datasets", "Dataset"):
        return _dataset(name, values)
    if is_of(values, "datasets", "DatasetDict", "IterableDatasetDict"):
        raise ParameterError(f"{name}: a data set of the splits {', '.join(values)}, choose one of them")
    if is_of(values, "datasets", "IterableDataset"):
        raise ParameterError(f"{name}: a data set that can be read once only; load it without streaming")
    if is_of(values, "pandas", "DataFrame"):
        doubled = values.columns.astype(str)
        if not doubled.is_unique:
            raise ParameterError(f"{name}: two columns are called {doubled[doubled.duplicated()][0]}")
        with one_error(name):
            values = pa.Table.from_pandas(values.set_axis(doubled, axis=1), preserve_index=False)
    if isinstance(values, pa.Table):
        return _in_memory(name, values)
    if isinstance(values, Mapping):
        return Arrays(name, {str(key): Array.of(value) for key, value in values.items()})
    with one_error(name):
        return Arrays(name, {"": Array.of(values)})


def _in_memory(name: str, table: Any) -> Table:
    names = table.column_names
    if len(set(names)) < len(names):
        raise ParameterError(f"{name}: two columns are called {next(n for n in names if names.count(n) > 1)!r}")
    return Arrow(name, table.schema, table.num_rows, lambda chosen, rows: iter(table.select(chosen).to_batches(rows)))


def _needed(module: str, path: object) -> Any:
    """A library that is an extra."""
    try:
        return import_module(module)
    except ImportError as error:
        raise ParameterError(f"{path} needs the library {module.partition('.')[0]}: {EXTRA}") from error


# --- readers ---------------------------------------------------------------------------------------


def _numpy(path: Path) -> Table:
    from theory.arrays import read_array, read_npz

    if path.suffix.lower() == ".npy":
        return Arrays(str(path), {"": Array.of(read_array(path))})
    return Arrays(str(path), {name: Array.of(array) for name, array in read_npz(path).items()})


def _parquet(path: Path) -> Table:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        schema, count = file.schema_arrow, file.metadata.num_rows

    def read(names: list[str], rows: int) -> Iterator[Any]:
        # Neither all of a row group nor all of its columns at once: a group may be the whole file.
        with pq.ParquetFile(path, buffer_size=BUFFER, pre_buffer=False) as file:
            yield from file.iter_batches(min(rows, max(1, count)), columns=names, use_threads=False)

    return Arrow(str(path), schema, count, read)


def _feather(path: Path) -> Table:
    from pyarrow import feather

    return _in_memory(str(path), feather.read_table(path))


def _csv(path: Path, delimiter: str = ",") -> Table:
    from pyarrow import csv

    parse = csv.ParseOptions(delimiter=delimiter)
    table = csv.read_csv(path, parse_options=parse)
    single = table.num_columns == 1 and table.column_names[0] in set(map(str, table.column(0).to_pylist()))
    if _are_values(table.column_names) or (single and table.column_names != ["0"]):
        table = csv.read_csv(path, csv.ReadOptions(autogenerate_column_names=True), parse)
    return _in_memory(str(path), table)


def _are_values(names: Sequence[str]) -> bool:
    """Whether what stands in a table's first line are numbers, and not those of its columns."""
    try:
        [float(name) for name in names]
    except ValueError:
        return False
    return list(names) != [str(number) for number in range(len(names))]


def _lines(path: Path) -> Table:
    """One value a line."""
    lines: list[str] = path.read_text(encoding="utf-8").splitlines()
    given = [line for line in lines if line.strip()]
    values: Any = np.array(lines, dtype=object)
    if given and all(re.fullmatch(r"0|-?[1-9]\d*", line.strip()) for line in given):
        values = [int(line) if line.strip() else None for line in lines]
    elif given and all(EXPONENT.fullmatch(line.strip()) for line in given):
        values = [float(line) if line.strip() else None for line in lines]
    return Arrays(str(path), {"": Array.of(np.array(values, dtype=object))})


def _torch(path: Path) -> Table:
    import torch

    try:
        found = _load_torch(torch, path)
    except Exception as error:  # torch raises many kinds for a damaged file
        if "weights_only" in str(error) or "Unsupported" in str(error):
            raise ParameterError(f"{path} has Python objects, which are never loaded: save tensors alone") from error
        raise ParameterError(f"cannot read {path}: it is no file of torch.save, or it is damaged") from error
    if isinstance(found, list | tuple):
        vectors = bool(found) and all(is_of(one, "torch", "Tensor") and one.ndim == 1 for one in found)
        alike = vectors and len({len(one) for one in found}) == 1 and found[0].is_floating_point()
        found = torch.stack(list(found)) if alike else {str(number): one for number, one in enumerate(found)}
    members = found if isinstance(found, Mapping) else {"": found}
    return Arrays(str(path), {str(name): _tensor(one) for name, one in members.items()})


def _load_torch(torch: Any, path: Path) -> Any:
    load = partial(torch.load, path, map_location="cpu", weights_only=True)
    try:
        return load(mmap=True)
    except RuntimeError as error:
        if "mmap" not in str(error):
            raise
        return load()  # of torch before 1.6


def _tensor(value: Any) -> Array:
    """An array that is read from a tensor, which may lie in a file, as it is asked for."""
    if not is_of(value, "torch", "Tensor"):
        return Array.of(value if isinstance(value, list | tuple | np.ndarray) else str(value))
    floats = None if value.is_complex() else value.is_floating_point()
    whole = None if floats is False and str(value.dtype) == "torch.bool" else floats
    return Array(tuple(value.shape), whole, lambda start, stop: np.asarray(plain(value[start:stop])))


def _safetensors(path: Path) -> Table:
    library = _needed("safetensors", path)
    import torch  # noqa: F401  bfloat16 is read by it

    file = library.safe_open(path, framework="pt")
    arrays = {}
    for name in file.keys():  # noqa: SIM118  it is no mapping
        part = file.get_slice(name)
        kind = {"F": True, "B": True, "I": False, "U": False}.get(part.get_dtype()[0])
        kind = None if part.get_dtype() == "BOOL" else kind
        arrays[name] = Array(tuple(part.get_shape()), kind, partial(_slice, part))
    return Arrays(str(path), arrays)


def _slice(part: Any, start: int, stop: int) -> Any:
    return np.asarray(plain(part[start:stop]))


def _hdf5(path: Path) -> Table:
    h5py = _needed("h5py", path)
    file, arrays = h5py.File(path, "r"), {}

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            text = h5py.check_string_dtype(item.dtype) is not None
            kind = {"f": True, "i": False, "u": False}.get(item.dtype.kind)
            arrays[name] = Array(item.shape or (), kind, partial(_slice, item.asstr() if text else item))

    file.visititems(visit)
    return Arrays(str(path), arrays)


def _dataset_folder(path: Path) -> Table:
    datasets = _needed("datasets", path)
    return table_of(str(path), datasets.load_from_disk(str(path)))


def _dataset(name: str, values: Any) -> Table:
    """Read by slices, through the order and choice of rows that the data set has; its classes are known by name."""
    import pyarrow as pa

    classes = {key: list(kind.names) for key, kind in values.features.items() if hasattr(kind, "int2str")}
    plainly = values.with_format("arrow")

    def read(names: list[str], rows: int) -> Iterator[Any]:
        chosen = plainly.select_columns(names)
        for start in range(0, len(values), rows):
            found = pa.table(chosen[start : start + rows])
            for key in set(classes) & set(names):
                codes = found[key].combine_chunks().cast(pa.int32())
                codes = pa.array(np.asarray(codes.fill_null(-1)), mask=np.asarray(codes.fill_null(-1)) < 0)
                named = pa.DictionaryArray.from_arrays(codes, pa.array(classes[key]))
                found = found.set_column(found.column_names.index(key), key, named)
            yield found

    kinds = values.features.arrow_schema
    for key in classes:
        kinds = kinds.set(kinds.get_field_index(key), pa.field(key, pa.dictionary(pa.int32(), pa.string())))
    return Arrow(name, kinds, len(values), read)


READERS: dict[str, Callable[[Path], Table]] = {
    ".npy": _numpy,
    ".npz": _numpy,
    ".parquet": _parquet,
    ".pq": _parquet,
    ".feather": _feather,
    ".arrow": _feather,
    ".csv": _csv,
    ".csv.gz": _csv,
    ".tsv": partial(_csv, delimiter="\t"),
    ".txt": _lines,
    ".pt": _torch,
    ".pth": _torch,
    ".safetensors": _safetensors,
    ".h5": _hdf5,
    ".hdf5": _hdf5,
    SAVED_DATASET: _dataset_folder,
}
KNOWN = ", ".join(suffix for suffix in READERS if suffix != SAVED_DATASET)
