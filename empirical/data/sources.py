"""Where images come from: bundled digits, torchvision's data sets, npz files, image folders, cached views.

Each reader returns a ``Source``: the training and the test part, and the names of the classes.
"""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from empirical.data.folders import NO_CLASS, train_and_test
from empirical.data.held import Held
from empirical.data.labels import UNLABELLED, joined_labels, named_labels
from empirical.data.pixels import CONVERSIONS, USUAL, White, extremes, is_readable, read_pixels, size_of, white_of
from empirical.data.reading import Note, counted, note, present
from theory.arrays import read_npz
from theory.checks import ParameterError, require, require_integer
from theory.files import missing

VIEWS_ARRAYS = ("views", "x_train", "y_train", "x_test", "y_test", "class_names", "mixed", "rows", "origin")
ARRAYS = ("x_train", "y_train", "x_test", "y_test")
OTHER_ARRAYS = (  # what well-known data sets call them
    ("train_images", "train_labels", "test_images", "test_labels"),
    ("train_images", "train_labels", "val_images", "val_labels"),
    ("X_train", "y_train", "X_test", "y_test"),
)
SMALLEST_SIDE, LARGEST_DEFAULT_SIDE = 8, 64
LARGEST_LOADED = 4 << 30  # bytes of an image folder; a larger one is read while training
MEASURED_FILES = 2_000  # whose size sets the default side
READERS = 8  # threads


class ImageFiles:
    """Images on disk that are read, cut to a square, when they are asked for.

    Parameters
    ----------
    files : sequence of Path
    side : int
        Height and width to which every image is resized and centre-cropped.
    rows : ndarray, optional
        The file of each image, shape (N,); by default one image a file.
    partners : ndarray, optional
        Another file with which an image is averaged, −1 for none; shape (N,).
    white : White
        Of images of more than 8 bits.
    """

    def __init__(
        self,
        files: Sequence[Path],
        side: int,
        rows: NDArray[np.int64] | None = None,
        partners: NDArray[np.int64] | None = None,
        white: White = USUAL,
    ) -> None:
        self.files, self.side, self.white = files, side, white
        self.rows = np.arange(len(files)) if rows is None else rows
        self.partners = np.full(len(self.rows), -1) if partners is None else partners

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(N, C, H, W), as a tensor's."""
        return len(self), 3, self.side, self.side

    def take(self, indices: Tensor | NDArray[np.int64]) -> Tensor:
        """Read the images with these indices; uint8 of shape (len(indices), 3, side, side).

        Raises
        ------
        ParameterError
            Naming the file, if one cannot be read.
        """
        chosen = np.asarray(indices)
        pixels = self._read(self.rows[chosen])[0]
        mixed = np.flatnonzero(self.partners[chosen] >= 0)
        if len(mixed):
            other = self._read(self.partners[chosen[mixed]])[0]
            pixels[mixed] = average(pixels[mixed], other)
        return pixels

    def subset(self, indices: NDArray[np.int64]) -> ImageFiles:
        """The images with these indices, still on disk."""
        return ImageFiles(self.files, self.side, self.rows[indices], self.partners[indices], self.white)

    def mixed(self, chosen: NDArray[np.int64], partners: NDArray[np.int64]) -> ImageFiles:
        """With the chosen images averaged with their partners, all given as indices."""
        files = self.partners.copy()
        files[chosen] = self.rows[partners]
        return ImageFiles(self.files, self.side, self.rows, files, self.white)

    def read(self) -> tuple[Tensor, Counter[str]]:
        """All images without mixing, as ``take`` gives them, and how many were converted in which way."""
        return self._read(self.rows)

    def _read(self, files: NDArray[np.int64]) -> tuple[Tensor, Counter[str]]:
        found = _each(lambda file: read_pixels(self.files[file], self.side, self.white), files)
        if not found:
            return torch.empty(0, *self.shape[1:], dtype=torch.uint8), Counter()
        pixels = _channels_first(np.stack([image for image, _ in found]))
        return pixels, Counter(kind for _, done in found for kind in done)


class CachedViews:
    """Features of images and of some views of each, by an encoder that stays as it is.

    Parameters
    ----------
    features : Tensor
        Of the images themselves, float32, shape (N, d).
    cached : Tensor
        Of V >= 2 views of each, floats, shape (N, V, d).
    originals : Tensor, optional
        Of the images before some were mixed, shape (N, d); by default ``features``.
    """

    def __init__(self, features: Tensor, cached: Tensor, originals: Tensor | None = None) -> None:
        self.features, self.cached = features, cached
        self.originals = features if originals is None else originals

    def __len__(self) -> int:
        return len(self.features)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(N, d, 1, 1), as of images of one pixel."""
        return len(self), self.features.shape[1], 1, 1

    def take(self, indices: Tensor | NDArray[np.int64]) -> Tensor:
        """Features of the images with these indices; float32 of shape (len(indices), d, 1, 1)."""
        return self.features[torch.as_tensor(indices), :, None, None]

    def views(self, indices: Tensor | NDArray[np.int64]) -> Tensor:
        """Features of their views, shape (len(indices), V, d)."""
        return self.cached[torch.as_tensor(indices)]

    def subset(self, indices: NDArray[np.int64]) -> CachedViews:
        """The images with these indices."""
        rows = torch.from_numpy(indices)
        return CachedViews(self.features[rows], self.cached[rows], self.originals[rows])

    def unmixed(self) -> CachedViews:
        """With the features of the original images in place of those of mixtures; the views stay."""
        return CachedViews(self.originals, self.cached)


Pictures = Tensor | ImageFiles | CachedViews
AnySamples = Pictures | Held


class Part(NamedTuple):
    """Images, uint8 of shape (N, C, H, W), or features, and int64 labels, shape (N,), −1 where there is none.

    ``ids`` are what the images are called, text of shape (N,), if they have names.
    """

    x: Pictures
    y: NDArray[np.int64]
    ids: NDArray[np.object_] | None = None

    def subset(self, rows: NDArray[np.int64]) -> Part:
        """The images with these indices, where they are."""
        x = self.x[torch.from_numpy(rows)] if isinstance(self.x, Tensor) else self.x.subset(rows)
        return Part(x, self.y[rows], None if self.ids is None else self.ids[rows])


class Source(NamedTuple):
    """What a reader returns, and what it says of it; ``mixed`` are the training images that are mixtures (none)."""

    train: Part
    test: Part
    class_names: tuple[str, ...]
    mixed: NDArray[np.bool_] | None = None
    skipped: tuple[Note, ...] = ()
    converted: tuple[Note, ...] = ()


def average(a: Tensor, b: Tensor) -> Tensor:
    """Pixel-wise mean of uint8 images, rounded down."""
    return ((a.int() + b.int()) // 2).to(torch.uint8)


# --- readers ---------------------------------------------------------------------------------------


def digits() -> Source:
    """scikit-learn's handwritten digits, 8×8 pixels: 1,200 for training, 597 for testing."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    x = _channels_first(np.round(bunch.images * (255 / 16)).astype(np.uint8)[..., None])
    y = bunch.target.astype(np.int64)
    order = balanced_order(y)
    train, test = order[:1200], order[1200:]
    return Source(Part(x[train], y[train]), Part(x[test], y[test]), tuple(str(digit) for digit in range(10)))


def from_torchvision(kind: str, root: Path) -> Source:
    """CIFAR-10, CIFAR-100 or STL-10 from ``root``, downloaded if it is not there.

    STL-10's 100,000 unlabelled images follow the 5,000 labelled ones, with label −1.
    """
    from torchvision import datasets

    from theory.bars import Bar

    datasets.utils.tqdm = Bar  # of downloads: a log takes its lines
    which = {"cifar10": datasets.CIFAR10, "cifar100": datasets.CIFAR100, "stl10": datasets.STL10}[kind]
    choices = (
        ({"split": "train+unlabeled"}, {"split": "test"}) if kind == "stl10" else ({"train": True}, {"train": False})
    )
    parts, there = [], root.exists()
    for choice in choices:
        try:
            try:
                found = which(root, **choice)
            except RuntimeError:  # it is not there
                found = which(root, download=True, **choice)
        except Exception as error:  # a download fails in many ways
            if not there:
                with suppress(OSError):  # something of it has come
                    root.rmdir()
            reason = " ".join(str(error).split())
            raise ParameterError(f"cannot load {kind} from {root}, nor download it: {reason}") from error
        pixels = torch.from_numpy(found.data) if kind == "stl10" else _channels_first(found.data)
        labels = found.labels if kind == "stl10" else found.targets
        parts.append(Part(pixels, np.asarray(labels, dtype=np.int64)))
    return Source(parts[0], parts[1], tuple(found.classes))


def npz(path: Path) -> Source:
    """``x_train``, ``y_train``, ``x_test``, ``y_test``, or as MedMNIST calls them, and class_names if there are any."""
    arrays = read_npz(path)
    used = next((names for names in OTHER_ARRAYS if set(names) <= set(arrays)), ARRAYS)
    if not set(ARRAYS) <= set(arrays) and used != ARRAYS:
        arrays |= {name: arrays.pop(other) for name, other in zip(ARRAYS, used, strict=True)}
    left = note(sorted(set(arrays) - {*ARRAYS, "class_names"}), "other array", "other arrays")
    absent = [name for name in ARRAYS if name not in arrays]
    if absent:
        raise ParameterError(f"data npz:{path}: the file has no {', '.join(absent)} (expected {', '.join(ARRAYS)})")
    given = [str(name) for name in np.atleast_1d(arrays["class_names"])] if "class_names" in arrays else None
    scaled, labels = 0, []
    for which in ("train", "test"):
        x = arrays[f"x_{which}"]
        scaled += len(x) if x.ndim and x.dtype != np.uint8 else 0
        arrays[f"x_{which}"] = _as_uint8(f"x_{which}", x)
        labels.append(named_labels(f"y_{which}", arrays[f"y_{which}"]))
        count = len(labels[-1].labels)
        require(len(x) == count, f"x_{which}", f"{len(x)} images", f"as many as y_{which} has labels ({count})")
    shapes = [arrays[f"x_{which}"].shape[1:] for which in ("train", "test")]
    require(shapes[0] == shapes[1], "x_test", f"image shape {shapes[1]}", f"the shape in x_train, {shapes[0]}")
    joined = joined_labels(labels)
    y_train, y_test = np.split(joined.labels, [len(labels[0].labels)])
    given = list(joined.names) or given
    values, tested = np.unique(y_train[y_train != UNLABELLED]), y_test != UNLABELLED
    require(len(values) > 0, "y_train", "no label", "labels of some images")
    require(bool(tested.any()), "y_test", "no label", "labels of some images")
    unseen = np.setdiff1d(y_test[tested], values)
    require(not len(unseen), "y_test", f"label {unseen[:1]}", "labels that occur in y_train")
    in_range = given is not None and values.min() >= 0 and values.max() < len(given)
    names = tuple(given[int(v)] if given is not None and in_range else str(v) for v in values)
    numbered = np.where(y_train == UNLABELLED, UNLABELLED, np.searchsorted(values, y_train))
    train = Part(_channels_first(arrays["x_train"]), numbered.astype(np.int64))
    test = Part(_channels_first(arrays["x_test"][tested]), np.searchsorted(values, y_test[tested]).astype(np.int64))
    untested = counted(int((~tested).sum()), "test image without a label", "test images without a label")
    floats = counted(
        scaled, "image of floats in [0, 1], scaled to 8 bits", "images of floats in [0, 1], scaled to 8 bits"
    )
    return Source(train, test, names, skipped=present(untested, left), converted=present(floats))


def _as_uint8(name: str, x: NDArray[Any]) -> NDArray[np.uint8]:
    if x.ndim == 3:
        x = x[..., None]
    require(
        x.ndim == 4 and x.shape[-1] in (1, 3),
        name,
        f"shape {x.shape}",
        "shape (N, H, W) or (N, H, W, 1 or 3)",
    )
    require(len(x) > 0, name, "0 images", "at least one image")
    side = min(x.shape[1:3])
    require(side >= SMALLEST_SIDE, name, f"shape {x.shape}", f"images of at least {SMALLEST_SIDE} pixels a side")
    if x.dtype == np.uint8:
        return x
    require(np.issubdtype(x.dtype, np.floating), name, x.dtype, "uint8, or floats in [0, 1]")
    require(bool(np.isfinite(x).all()), name, "NaN or infinity", "finite pixels")
    require(bool(x.min() >= 0 and x.max() <= 1), name, f"range [{x.min()}, {x.max()}]", "floats in [0, 1]")
    return np.round(x * 255).astype(np.uint8)


def views(path: Path) -> Source:
    """Cached views, as ``python -m empirical.embed`` writes them."""
    arrays = read_npz(path)
    absent = [name for name in VIEWS_ARRAYS if name not in arrays]
    if absent:
        wanted = "a file of difficult embed"
        raise ParameterError(f"data views:{path}: the file has no {', '.join(absent)} ({wanted} is expected)")
    cached, names = arrays["views"], tuple(str(name) for name in np.atleast_1d(arrays["class_names"]))
    shape = cached.shape
    require(cached.ndim == 3 and min(shape) >= 1 and shape[1] >= 2, "views", f"shape {shape}", "shape (N, V >= 2, d)")
    originals = arrays.get("x_original", arrays["x_train"])
    found = {"views": cached, "x_train": arrays["x_train"], "x_original": originals, "x_test": arrays["x_test"]}
    for name, x in found.items():
        wanted_shape = shape if name == "views" else (len(x) if name == "x_test" else shape[0], shape[2])
        fits = x.shape == wanted_shape and (len(x) > 0 or name == "x_test")  # without labels there is nothing to test
        require(fits, name, f"shape {x.shape}", f"shape {wanted_shape}")
        require(bool(np.issubdtype(x.dtype, np.floating)), name, x.dtype, "floats")
        require(bool(np.isfinite(x).all()), name, "NaN or infinity", "finite features")
    for which in ("train", "test"):
        y, count = arrays[f"y_{which}"], len(arrays[f"x_{which}"])
        require(y.shape == (count,), f"y_{which}", f"shape {y.shape}", f"shape ({count},)")
        require(bool(np.issubdtype(y.dtype, np.integer)), f"y_{which}", y.dtype, "integer labels")
        lowest = UNLABELLED if which == "train" else 0
        ends = (y.min(), y.max()) if count else (lowest, lowest)
        require(
            ends[0] >= lowest and ends[1] < max(len(names), lowest + 1),
            f"y_{which}",
            f"[{ends[0]}, {ends[1]}]",
            f"labels in [{lowest}, {len(names) - 1}]",
        )
    mixed = arrays["mixed"]
    require(mixed.shape == shape[:1] and mixed.dtype == bool, "mixed", f"{mixed.dtype} {mixed.shape}", "bool, (N,)")
    x_train, x_original, x_test = (
        torch.from_numpy(np.asarray(x, dtype=np.float32)) for x in (arrays["x_train"], originals, arrays["x_test"])
    )
    train = Part(CachedViews(x_train, torch.from_numpy(cached), x_original), arrays["y_train"].astype(np.int64))
    return Source(train, Part(x_test[:, :, None, None], arrays["y_test"].astype(np.int64)), names, mixed)


def folder(path: Path, image_size: int | None, skip_unreadable: bool = False) -> Source:
    """Images in class folders, in memory if all their pixels fit into 4 GiB."""
    if not path.is_dir():
        reason = f"{path} is a file" if path.exists() else missing(path, "folder")
        raise ParameterError(f"data folder:{path}: {reason}")
    if image_size is not None:
        image_size = require_integer("image_size", image_size, SMALLEST_SIDE, 512)
    train, test, left_out = train_and_test(path)
    skipped, tested = list(left_out), bool(test)
    if skip_unreadable:
        unreadable = set(_unreadable(file for file, _ in (*train, *test)))
        train, test = ([entry for entry in part if entry[0] not in unreadable] for part in (train, test))
        relative = [os.path.relpath(file, path) for file in sorted(unreadable)]
        skipped.append(note(relative, "image that cannot be read", "images that cannot be read"))
        for part, purpose, needed in ((train, "train", True), (test, "test", tested)):
            require(len(part) > 0 or not needed, "data", f"folder:{path}", f"an image to {purpose} on that can be read")
    names = tuple(sorted({name for _, name in train if name != NO_CLASS}))
    unseen = sorted({name for _, name in test} - {*names, NO_CLASS})
    if unseen:
        raise ParameterError(f"data folder:{path}: there are test images, but none to train on, of {', '.join(unseen)}")
    files = [file for part in (train, test) for file, _ in part]
    some = files[:: -(-len(files) // MEASURED_FILES)]
    side = image_size or _default_side(some)
    in_memory = 3 * side**2 * len(files) <= LARGEST_LOADED
    looked_at = files if in_memory else some
    white = white_of(_each(extremes, looked_at))
    numbers = {name: number for number, name in enumerate(names)}
    parts, done = [], Counter[str]()
    for group in (train, test):
        stored = ImageFiles([file for file, _ in group], side, white=white)
        x: Pictures = stored
        if in_memory:
            x, found = stored.read()
            done += found
        labels = np.array([numbers.get(name, UNLABELLED) for _, name in group], dtype=np.int64)
        called = np.array([os.path.relpath(file, path) for file, _ in group], dtype=object)
        parts.append(Part(x, labels, called))
    if not in_memory:
        done = ImageFiles(some, side, white=white).read()[1]
    converted = [counted(done[kind], *words) for kind, words in CONVERSIONS.items()]
    if not in_memory:
        looked = f"among the {len(some):,} that were looked at"
        converted = [replace(found, what=f"{found.what} {looked}") for found in converted]
    return Source(parts[0], parts[1], names, skipped=present(*skipped), converted=present(*converted))


def _each(function: Callable[[Any], Any], files: Iterable[Any]) -> list[Any]:
    """What a function of a file gives for each, by several threads."""
    with warnings.catch_warnings(), ThreadPoolExecutor(READERS) as pool:
        warnings.simplefilter("ignore")  # an unreadable image is reported once, by the error
        return list(pool.map(function, files))


def _unreadable(files: Iterable[Path]) -> list[Path]:
    every = list(files)
    return [file for file, good in zip(every, _each(is_readable, every), strict=True) if not good]


def _default_side(files: list[Path]) -> int:
    """The median shorter side of images, within bounds."""
    sides = [min(size) for size in _each(size_of, files)]
    return int(np.clip(np.median(sides), SMALLEST_SIDE, LARGEST_DEFAULT_SIDE))


# --- helpers ---------------------------------------------------------------------------------------


def balanced_order(labels: NDArray[Any]) -> NDArray[np.int64]:
    """An order in which every prefix is as balanced over the classes as it can be; unlabelled ones come last.

    Shape (N,): the first sample of each class, then the second of each, and so on.
    """
    order = np.argsort(labels, kind="stable")
    ordered = labels[order]
    starts = np.concatenate([[0], np.flatnonzero(np.diff(ordered)) + 1])
    rank = np.arange(len(labels)) - np.repeat(starts, np.diff(np.append(starts, len(labels))))
    return np.asarray(order[np.lexsort((ordered, rank, ordered == UNLABELLED))], dtype=np.int64)


def _channels_first(pixels: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)))
