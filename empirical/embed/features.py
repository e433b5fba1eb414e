"""Features of all images of a data set by a frozen encoder, with ids and labels, as a table in parquet."""

from __future__ import annotations

import io
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from empirical.data import DataSet
from empirical.data.digests import digests
from empirical.data.labels import UNLABELLED
from empirical.data.sources import AnySamples
from empirical.embed.embedding import Pass, Progress, encode_all, read_blocks
from empirical.embed.frozen import frozen
from empirical.embed.settings import TABLE, Embedding
from empirical.train.logs import environment
from empirical.train.parts import make_fabric
from theory.checks import ParameterError, require
from theory.files import DATA, belongs_to, claim, require_same_data, require_unchanged, require_writable, write_bytes
from theory.locks import locked
from theory.streams import SPELLED

SCHEMA = "difficult-examples/features/1"
ORIGIN = b"origin"  # key of the table's metadata
COLUMNS = ("id", "split", "label", "image", "features")


def embed_images(e: Embedding, out: Path, progress: Progress | None = None) -> Path:
    """Write the features of every image, to train and to test on; go on where an earlier call was interrupted.

    Parameters
    ----------
    e : Embedding
        Photographs of a folder are read at the encoder's own size, see ``Embedding.at_own_size``.
    out : Path
        A .parquet file of columns ``id`` (of a folder the file's name in it), ``split`` (train or test), ``label`` (the
        class's name, null without), ``image`` (the file of a folder's image, seen from the table's own folder) and
        ``features`` (a list of floats, single precision); what made it is in its metadata, under ``origin``.
    progress : callable, optional
        Called with (images done, all of them) at the start and after every block.

    Raises
    ------
    ParameterError
        If ``out`` or OUT.part is of other settings or data, or data, encoder and settings do not go together.
    """
    require(out.suffix == TABLE, "out", out, f"a file name ending in {TABLE}")
    require_writable(out)
    folder = out.with_name(f"{out.stem}.part")
    require_writable(folder / "settings.json")
    fabric, e = make_fabric(e.settings), e.at_own_size(views=False)
    images = e.settings.original_data_set()
    _, *shape = images.x_train.shape
    encoder = frozen(e, (shape[0], shape[1], shape[2]), fabric.device, fabric.autocast)
    settings, data = {**e.to_json_of_images(), "weights": encoder.digest}, digests(images)
    if _written(out, settings, data):
        return out
    parts: list[tuple[str, AnySamples]] = [("train", images.x_train), ("test", images.x_test)]
    with locked(folder):
        claim(folder / "settings.json", settings, belongs_to("interrupted embedding", folder), data=data)
        passes = [Pass(name, x, None) for name, x in parts]
        encode_all(e, encoder, passes, folder, progress or (lambda *_: None))
        origin = {"schema": SCHEMA, "settings": settings, DATA: data, **environment(fabric.device)}
        origin["reading"] = images.reading.to_json()
        root = Path(e.settings.data.partition(":")[2]) if e.settings.data.startswith("folder:") else None
        start = None if root is None else os.path.relpath(root, out.parent)
        write_bytes(out, _table(images, folder, origin, start))
        shutil.rmtree(folder)
    return out


def _table(images: DataSet, folder: Path, origin: dict[str, Any], start: str | None) -> bytes:
    kinds = [pa.string()] * (len(COLUMNS) - 1) + [pa.list_(pa.float32())]
    described = json.dumps(origin, allow_nan=False).encode()
    schema = pa.schema(list(zip(COLUMNS, kinds, strict=True)), {ORIGIN: described})
    content = io.BytesIO()
    with pq.ParquetWriter(content, schema) as writer:
        for batch in _batches(images, folder, schema, start):
            writer.write_batch(batch)
    return content.getvalue()


def _batches(images: DataSet, folder: Path, schema: pa.Schema, start: str | None) -> Iterator[pa.RecordBatch]:
    names = np.array([*images.class_names, None], dtype=object)  # −1 is the last
    for split, y, ids in (("train", images.y_train, images.ids), ("test", images.y_test, images.ids_test)):
        labels = names[np.where(y.numpy() == UNLABELLED, len(names) - 1, y.numpy())]
        called = np.array([f"{split}-{row}" for row in range(len(y))], dtype=object) if ids is None else ids
        done = 0
        for block in read_blocks(folder, split, len(y)):
            rows = slice(done, done + len(block))
            files = [None if start is None else os.path.join(start, name) for name in called[rows]]
            columns = [_texts(values) for values in (called[rows], [split] * len(block), labels[rows], files)]
            yield pa.record_batch([*columns, _lists(block[:, 0])], schema=schema)
            done += len(block)


def _texts(values: Iterable[str | None]) -> Any:
    """A column of text; bytes of a file's name that are no text are spelled."""
    return pa.array([None if value is None else value.encode(errors=SPELLED).decode() for value in values], pa.string())


def _lists(rows: NDArray[np.float32]) -> Any:
    count, width = rows.shape
    return pa.ListArray.from_arrays(np.arange(0, (count + 1) * width, width, dtype=np.int32), rows.ravel())


def _written(out: Path, settings: dict[str, Any], data: dict[str, str]) -> bool:
    """Whether the file is there; ParameterError if it is of other settings or data."""
    if not out.exists():
        return False
    try:
        origin = json.loads((pq.read_schema(out).metadata or {})[ORIGIN])
        before, known = dict(origin["settings"]), origin[DATA]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ParameterError("out", out, "a file name that is not taken") from error
    require_unchanged(before, settings, belongs_to("features", out))
    require_same_data(known, data, out)
    return True
