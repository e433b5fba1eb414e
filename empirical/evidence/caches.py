"""The instrument's data: disjoint training sets, tuning rows, images to evaluate, and their cached views."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from empirical.data import load, take
from empirical.data.digests import digests
from empirical.data.sources import balanced_order
from empirical.embed import embed
from empirical.embed.settings import Embedding
from empirical.evidence.design import Bench, Split
from empirical.train.settings import Settings
from theory.arrays import read_npz
from theory.checks import ParameterError, require
from theory.files import require_same_data, write_bytes

JUDGED = 5_000  # images of the tuning set, and images that judge it, where so many are left
TRASHNET_SIDE = 96  # pixels of its photographs

Progress = Callable[[int, int], None]
Rows = NDArray[np.int64]


def cache(
    bench: Bench, source: str, out: Path, sets: int | None = None, progress: Progress | None = None
) -> list[Path]:
    """Files of cached views of a bench, one a training set, made unless they are there.

    Parameters
    ----------
    bench : Bench
    source : str
        The bench's data set, see ``empirical.data.load``.
    out : Path
        Folder of data and caches.
    sets : int, optional
        Fewer training sets than the bench has.
    progress : callable, optional
        See ``embed``.
    """
    sets = sets or bench.sets or bench.split.sets
    name = bench.data + (f"-mixed{100 * bench.omega:.0f}" if bench.omega else "") + (f"-{sets}sets" if sets > 1 else "")
    settings = replace(_settings(_pool(bench, source, out, False)), omega=bench.omega)
    if sets == 1:
        return embed(Embedding(settings), out / f"{name}.npz", progress)
    return embed(Embedding(replace(settings, train=bench.split.train), sets=sets), out / f"{name}.npz", progress)


def tuning_cache(bench: Bench, source: str, out: Path, progress: Progress | None = None) -> Path:
    """The same for the tuning set, judged on training images that are in no training set of the bench."""
    settings = _settings(_pool(bench, source, out, True))
    return embed(Embedding(settings), out / f"{bench.data}-tuning.npz", progress)[0]


def _settings(pool: Path) -> Settings:
    return Settings(data=f"npz:{pool}", precision="bf16-mixed")


def rows_of(split: Split, labels: Rows, tuning: bool) -> tuple[Rows, Rows]:
    """Rows of the training images that are trained on, and of those that are evaluated.

    Where training images are left over for it, the tuning set and the images that judge it are among them. Elsewhere
    they are the two halves of each class of the training set, and τ was chosen on images that are trained on later,
    never on those that are evaluated.

    Raises
    ------
    ParameterError
        If there are too few.
    """
    order, used = balanced_order(labels), split.train * split.sets
    wanted = used + (2 * JUDGED + split.extra if split.extra else 0)
    require(len(order) >= wanted, "data", f"{len(order)} training images", f"at least {wanted} training images")
    train, left = order[:used], order[used:wanted]
    if not tuning:
        return train, left[2 * JUDGED :]
    return (left[:JUDGED], left[JUDGED : 2 * JUDGED]) if split.extra else _halves(train, labels[train])


def _halves(rows: Rows, labels: Rows) -> tuple[Rows, Rows]:
    """The first and the second half of each class: of unequal classes, half of the rows would lack the smallest."""
    first = np.zeros(len(rows), dtype=bool)
    for c in np.unique(labels):
        members = np.flatnonzero(labels == c)
        first[members[: -(-len(members) // 2)]] = True
    return rows[first], rows[~first]


def _pool(bench: Bench, source: str, out: Path, tuning: bool) -> Path:
    """The images of a data set as they are used, an .npz file that is made unless it is there."""
    path = out / "data" / f"{bench.data}{'-tuning' if tuning else ''}.npz"
    if path.exists() and ":" not in source:  # which might have to be downloaded
        return path
    images = load(source, image_size=TRASHNET_SIDE if source.startswith("folder:") else None)
    data = digests(images)
    if path.exists():
        require_same_data(_origin(path), data, path)
        images.reading.announce()
        return path
    labels = images.y_train.numpy()
    train, evaluated = rows_of(bench.split, labels, tuning)
    images.reading.announce()
    x, y = _pixels(images.x_train, evaluated), labels[evaluated]
    if not tuning:
        x = np.concatenate([_pixels(images.x_test, np.arange(len(images.y_test))), x])
        y = np.concatenate([images.y_test.numpy(), y])
    content = io.BytesIO()
    np.savez(
        content,
        x_train=_pixels(images.x_train, train),
        y_train=labels[train],
        x_test=x,
        y_test=y,
        class_names=np.array(images.class_names),
        rows_train=train,  # in the source's training part
        rows_test=evaluated,
        source=np.array(json.dumps(data)),
        reading=np.array(json.dumps(images.reading.to_json())),
    )
    write_bytes(path, content.getvalue())
    return path


def _origin(path: Path) -> dict[str, str] | None:
    """The digests of the data that the images are of; None in a file of an earlier version."""
    found = read_npz(path)
    try:
        return dict(json.loads(str(found["source"]))) if "source" in found else None
    except (ValueError, TypeError) as error:
        raise ParameterError(f"cannot read {path}: its source is no JSON object") from error


def _pixels(x: Any, rows: Rows) -> NDArray[np.uint8]:
    found: NDArray[np.uint8] = take(x, torch.from_numpy(rows)).permute(0, 2, 3, 1).numpy()
    return found
