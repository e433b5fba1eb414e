"""Images and their views through a frozen encoder, once: blocks of raw features, then files of cached views."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from empirical.data import DataSet, imbalanced, load, mix, subset, take
from empirical.data.arrays import save_array
from empirical.data.augment import Augmentation, to_float
from empirical.data.digests import digests
from empirical.data.sources import AnySamples, balanced_order
from empirical.embed.frozen import Frozen, frozen
from empirical.embed.settings import Embedding
from empirical.train.logs import environment
from empirical.train.parts import make_fabric, seed_of
from theory.arrays import read_array, read_npz
from theory.checks import ParameterError, require
from theory.files import DATA, belongs_to, claim, require_same_data, require_unchanged, require_writable, write_bytes
from theory.locks import locked

SCHEMA = "difficult-examples/views/1"
BLOCK = 64  # images whose raw features are in one file
Progress = Callable[[int, int], None]
Array = NDArray[Any]


class TrainingSet(NamedTuple):
    """Images to train on, as they are mixed and before, and their rows in the data set they come from."""

    images: DataSet
    original: DataSet
    rows: NDArray[np.int64]


class Pass(NamedTuple):
    """Images that go through the encoder; with the rows that seed their views, or without views."""

    name: str
    x: AnySamples
    rows: NDArray[np.int64] | None


@dataclass(frozen=True)
class Projection:
    """Principal components of the training images' features, with mean square entry 1.

    Parameters
    ----------
    mean, components : ndarray
        Shapes (D,) and (d, D); zeros and None where all features are kept.
    scale : float
        By which everything is divided.
    explained : float or None
        Share of the variance that the components have.
    """

    mean: Array
    components: Array | None
    scale: float
    explained: float | None

    @classmethod
    def fitted(cls, features: Array, components: int) -> Projection:
        """Fit on features of shape (N, D); 0 components keep them all.

        Raises
        ------
        ParameterError
            If all features are the same.
        """
        x, explained = features.astype(np.float64), None
        mean, directions = np.zeros(x.shape[1]), None
        if components:
            from sklearn.decomposition import PCA

            found = PCA(components, svd_solver="covariance_eigh").fit(x)
            mean, directions = found.mean_, found.components_
            explained = float(np.sum(found.explained_variance_ratio_))
        unscaled = cls(mean, directions, 1.0, explained)
        scale = float(np.sqrt(np.mean(np.square(unscaled(x)))))
        require(np.isfinite(scale) and scale > 0, "features", f"root mean square {scale}", "features that differ")
        return replace(unscaled, scale=scale)

    def __call__(self, features: Array) -> Array:
        """Features of shape (…, D) as float64 of shape (…, d)."""
        centred = features.astype(np.float64) - self.mean
        return np.asarray((centred if self.components is None else centred @ self.components.T) / self.scale)


def embed(e: Embedding, out: Path, progress: Progress | None = None) -> list[Path]:
    """Write cached views; go on where an earlier call was interrupted.

    Raw features of blocks of 64 images are kept in the folder OUT.part until the files are written. A view depends
    on the seed, the image's row in the data set and the number of views alone, so an image has the same views in
    every subset, and those of images that are not mixed are the same at every ω.

    Parameters
    ----------
    e : Embedding
    out : Path
        Name of the file, or of the files where there are several sets, see ``Embedding.paths``.
    progress : callable, optional
        Called with (images and views done, all of them) at the start and after every block.

    Returns
    -------
    list of Path
        The files, of ``--data views:FILE``.

    Raises
    ------
    ParameterError
        If ``out`` or OUT.part is of other settings, or data, encoder and settings do not go together.
    """
    paths = e.paths(out)
    folder = out.with_suffix("").with_name(out.with_suffix("").name + ".part")
    require_writable(folder / "settings.json")
    fabric, e = make_fabric(e.settings), e.at_own_size(views=True)
    sets = training_sets(e)
    shape = sets[0].images.x_train.shape
    encoder = frozen(e, (shape[1], shape[2], shape[3]), fabric.device, fabric.autocast)
    largest = min(encoder.features, *(len(s.rows) for s in sets))
    limit = f"components <= {largest}, the smaller one of features and training images"
    require(e.components <= largest, "components", e.components, limit)
    settings = {**e.to_json(), "weights": encoder.digest}
    data = digests(load(e.settings.data, None, e.settings.test, e.settings.image_size))
    if _written(paths, settings, data):
        return paths
    with locked(folder):
        _embed(e, encoder, sets, paths, folder, settings, data, environment(fabric.device), progress)
        shutil.rmtree(folder)
    return paths


def _embed(
    e: Embedding,
    encoder: Frozen,
    sets: list[TrainingSet],
    paths: list[Path],
    folder: Path,
    settings: dict[str, Any],
    data: dict[str, str],
    where: dict[str, Any],
    progress: Progress | None,
) -> None:
    claim(folder / "settings.json", settings, belongs_to("interrupted embedding", folder), data=data)
    test = sets[0].images.x_test
    passes = [p for number, s in enumerate(sets) for p in _passes(number, s)] + [Pass("test", test, None)]
    encode_all(e, encoder, passes, folder, progress or (lambda *_: None))
    for number, (path, s) in enumerate(zip(paths, sets, strict=True)):
        origin = {"schema": SCHEMA, "settings": settings, DATA: data, "set": number, **where}
        origin["reading"] = s.original.reading.to_json()
        write_bytes(path, _file(e, s, number, folder, origin))


def training_sets(e: Embedding) -> list[TrainingSet]:
    """The disjoint training sets; set s has rows s·train … (s + 1)·train of the balanced order."""
    s = e.settings
    whole = load(s.data, None, s.test, s.image_size, s.skip_unreadable, s.drop_small_classes)
    labels = whole.y_train.numpy()
    if s.train is None:
        orders = [np.arange(len(labels))]
    else:
        load(s.data, s.train, s.test, s.image_size, s.skip_unreadable, s.drop_small_classes)  # its conditions on train
        there = f"at most {len(labels)} images in all sets together, those of {s.data}"
        require(e.sets * s.train <= len(labels), "sets", e.sets, there)
        order = balanced_order(labels)
        orders = [order[number * s.train : (number + 1) * s.train] for number in range(e.sets)]
    found = []
    for rows in orders:
        chosen = torch.from_numpy(rows)
        part = replace(whole, y_train=whole.y_train[chosen], mixed=whole.mixed[chosen])
        numbered = imbalanced(replace(part, x_train=chosen[:, None, None, None]), s.imbalance)  # rows as images
        kept = np.asarray(take(numbered.x_train, torch.arange(len(numbered.y_train))).flatten().numpy())
        original = replace(numbered, x_train=subset(whole.x_train, kept))
        found.append(TrainingSet(mix(original, s.omega), original, kept))
    return found


def _passes(number: int, s: TrainingSet) -> Iterator[Pass]:
    yield Pass(f"train-{number}", s.images.x_train, s.rows)
    if s.images.mixed.any():
        yield Pass(f"original-{number}", subset(s.original.x_train, np.flatnonzero(s.images.mixed.numpy())), None)


def encode_all(e: Embedding, encoder: Frozen, passes: list[Pass], folder: Path, progress: Progress) -> None:
    """Write the raw features of every block that is not there yet."""
    view = e.settings.augmentation
    total = sum(len(p.x) * (1 if p.rows is None else 1 + e.views) for p in passes)
    done = 0
    progress(done, total)
    for p in passes:
        for path, chosen in _blocks(folder, p.name, len(p.x)):
            each = 1 if p.rows is None else 1 + e.views
            if not path.exists():
                pixels = take(p.x, chosen)
                x = to_float(pixels)[:, None]
                if p.rows is not None:
                    x = torch.cat([x, views_of(pixels, p.rows[chosen.numpy()], view, e.views, e.settings.seed)], dim=1)
                features = encoder.encode(x.flatten(0, 1)).view(len(chosen), each, -1)
                require(bool(features.isfinite().all()), "encoder", e.to_json()["encoder"], "finite features")
                save_array(path, features.numpy())
            done += each * len(chosen)
            progress(done, total)


def views_of(pixels: Tensor, rows: NDArray[np.int64], view: Augmentation, count: int, seed: int) -> Tensor:
    """Views of each image, drawn with a seed of its own.

    Parameters
    ----------
    pixels : Tensor
        uint8, shape (B, C, H, W).
    rows : ndarray
        Each image's row in the data set, shape (B,).
    view : callable
    count : int
        V.
    seed : int

    Returns
    -------
    Tensor
        Floats in [0, 1], shape (B, V, C, H, W).
    """
    generator, found = torch.Generator(), []
    for image, row in zip(pixels, rows, strict=True):
        generator.manual_seed(seed_of(seed, int(row)))
        found.append(view(image.expand(count, -1, -1, -1), generator))
    return torch.stack(found)


def _blocks(folder: Path, name: str, count: int) -> Iterator[tuple[Path, Tensor]]:
    for number, chosen in enumerate(torch.arange(count).split(BLOCK) if count else ()):
        yield folder / f"{name}-{number:05d}.npy", chosen


def read_blocks(folder: Path, name: str, count: int) -> Iterator[Array]:
    """The raw features of a pass, block by block, shape (BLOCK, 1 + V, D)."""
    for path, _ in _blocks(folder, name, count):
        yield read_array(path, None, None, None)


def _file(e: Embedding, s: TrainingSet, number: int, folder: Path, origin: dict[str, Any]) -> bytes:
    """An .npz file of cached views, from the raw features."""
    images, count = s.images, len(s.rows)
    clean = np.concatenate([block[:, 0] for block in read_blocks(folder, f"train-{number}", count)])
    originals, mixed = clean.copy(), images.mixed.numpy()
    if mixed.any():
        originals[mixed] = np.concatenate(list(read_blocks(folder, f"original-{number}", int(mixed.sum()))))[:, 0]
    # On the original images, so that it is the same at every ω.
    project = Projection.fitted(originals, e.components)
    views = np.concatenate(
        [project(block[:, 1:]).astype(np.float16) for block in read_blocks(folder, f"train-{number}", count)]
    )
    require(bool(np.isfinite(views).all()), "encoder", e.to_json()["encoder"], "features that fit float16")
    tested = read_blocks(folder, "test", len(images.y_test))
    test = np.concatenate([np.empty((0, views.shape[2])), *(project(block[:, 0]) for block in tested)])
    arrays = {
        "views": views,
        "x_train": project(clean).astype(np.float32),
        "y_train": images.y_train.numpy(),
        "x_test": test.astype(np.float32),
        "y_test": images.y_test.numpy(),
        "class_names": np.array(images.class_names, dtype=str),
        "mixed": mixed,
        "rows": s.rows,
        "origin": np.array(
            json.dumps({**origin, "explained_variance": project.explained, "scale": project.scale}, allow_nan=False)
        ),
    }
    if mixed.any():
        arrays["x_original"] = project(originals).astype(np.float32)
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def _written(paths: list[Path], settings: dict[str, Any], data: dict[str, str]) -> bool:
    """Whether all files are there; ParameterError if one of them is of other settings or data."""
    there = [path for path in paths if path.exists()]
    for path in there:
        arrays = read_npz(path)
        if "origin" not in arrays:
            raise ParameterError("out", path, "a file name that is not taken")
        origin = _origin(path, arrays["origin"])
        require_unchanged(origin["settings"], settings, belongs_to("views", path))
        require_same_data(origin.get(DATA), data, path)
    return len(there) == len(paths)


def _origin(path: Path, text: Array) -> dict[str, Any]:
    """What a file of cached views says of its making; ParameterError if that cannot be read."""
    try:
        found = json.loads(str(text))
        if isinstance(found["settings"], dict):
            return dict(found)
    except (ValueError, KeyError, TypeError):
        pass
    raise ParameterError("out", path, "a file name that is not taken")
