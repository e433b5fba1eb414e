"""Where images come from: bundled digits, torchvision's data sets, npz files, image folders, cached views.

Each reader returns a ``Source``: the training and the test part, and the names of the classes.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from empirical.data.arrays import read_npz
from theory.checks import ParameterError, require, require_integer
from theory.files import missing

VIEWS_ARRAYS = ("views", "x_train", "y_train", "x_test", "y_test", "class_names", "mixed", "rows", "origin")
ARRAYS = ("x_train", "y_train", "x_test", "y_test")
IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif", ".tif", ".tiff", ".ppm", ".pgm"}
SMALLEST_SIDE, LARGEST_DEFAULT_SIDE = 8, 64
LARGEST_LOADED = 4 << 30  # bytes of an image folder; a larger one is read while training
TEST_FOLDERS = ("test", "val", "valid", "validation")
ANNOTATIONS = "val_annotations.txt"  # in Tiny-ImageNet's val, whose images lie in no class folders
MEASURED_FILES = 2_000  # whose size sets the default side
READERS = 8  # threads
UNLABELLED = -1


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
    """

    def __init__(
        self,
        files: Sequence[Path],
        side: int,
        rows: NDArray[np.int64] | None = None,
        partners: NDArray[np.int64] | None = None,
    ) -> None:
        self.files, self.side = files, side
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
        pixels = self._read(self.rows[chosen])
        mixed = np.flatnonzero(self.partners[chosen] >= 0)
        if len(mixed):
            other = self._read(self.partners[chosen[mixed]])
            pixels[mixed] = average(pixels[mixed], other)
        return pixels

    def subset(self, indices: NDArray[np.int64]) -> ImageFiles:
        """The images with these indices, still on disk."""
        return ImageFiles(self.files, self.side, self.rows[indices], self.partners[indices])

    def mixed(self, chosen: NDArray[np.int64], partners: NDArray[np.int64]) -> ImageFiles:
        """With the chosen images averaged with their partners, all given as indices."""
        files = self.partners.copy()
        files[chosen] = self.rows[partners]
        return ImageFiles(self.files, self.side, self.rows, files)

    def _read(self, files: NDArray[np.int64]) -> Tensor:
        with warnings.catch_warnings(), ThreadPoolExecutor(READERS) as pool:
            warnings.simplefilter("ignore")  # an unreadable image is reported once, by the error
            images = list(pool.map(lambda file: _read_image(self.files[file], self.side), files))
        if not images:
            return torch.empty(0, *self.shape[1:], dtype=torch.uint8)
        return _channels_first(np.stack(images))


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


class Part(NamedTuple):
    """Images, uint8 of shape (N, C, H, W), or features, and int64 labels, shape (N,), −1 where there is none."""

    x: Pictures
    y: NDArray[np.int64]


class Source(NamedTuple):
    """What a reader returns; ``mixed`` are the training images that are mixtures, by default none."""

    train: Part
    test: Part
    class_names: tuple[str, ...]
    mixed: NDArray[np.bool_] | None = None


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

    which = {"cifar10": datasets.CIFAR10, "cifar100": datasets.CIFAR100, "stl10": datasets.STL10}[kind]
    choices = (
        ({"split": "train+unlabeled"}, {"split": "test"}) if kind == "stl10" else ({"train": True}, {"train": False})
    )
    parts = []
    for choice in choices:
        try:
            try:
                found = which(root, **choice)
            except RuntimeError:  # it is not there
                found = which(root, download=True, **choice)
        except Exception as error:  # a download fails in many ways
            reason = " ".join(str(error).split())
            raise ParameterError(f"cannot load {kind} from {root}, nor download it: {reason}") from error
        pixels = torch.from_numpy(found.data) if kind == "stl10" else _channels_first(found.data)
        labels = found.labels if kind == "stl10" else found.targets
        parts.append(Part(pixels, np.asarray(labels, dtype=np.int64)))
    return Source(parts[0], parts[1], tuple(found.classes))


def npz(path: Path) -> Source:
    """Arrays x_train, y_train, x_test, y_test, and class_names if there are any."""
    arrays = read_npz(path)
    absent = [name for name in ARRAYS if name not in arrays]
    if absent:
        raise ParameterError(f"data npz:{path}: the file has no {', '.join(absent)} (expected {', '.join(ARRAYS)})")
    given = [str(name) for name in np.atleast_1d(arrays["class_names"])] if "class_names" in arrays else None
    for which in ("train", "test"):
        arrays[f"x_{which}"] = _as_uint8(f"x_{which}", arrays[f"x_{which}"])
        x, y = arrays[f"x_{which}"], arrays[f"y_{which}"]
        require(y.ndim == 1, f"y_{which}", f"shape {y.shape}", "shape (N,)")
        require(len(x) == len(y), f"x_{which}", f"{len(x)} images", f"as many as y_{which} has labels ({len(y)})")
        require(np.issubdtype(y.dtype, np.integer), f"y_{which}", y.dtype, "integer labels")
    shapes = [arrays[f"x_{which}"].shape[1:] for which in ("train", "test")]
    require(shapes[0] == shapes[1], "x_test", f"image shape {shapes[1]}", f"the shape in x_train, {shapes[0]}")
    values = np.unique(arrays["y_train"])
    unseen = np.setdiff1d(arrays["y_test"], values)
    require(not len(unseen), "y_test", f"label {unseen[:1]}", "labels that occur in y_train")
    in_range = given is not None and values.min() >= 0 and values.max() < len(given)
    names = tuple(given[int(v)] if given is not None and in_range else str(v) for v in values)
    train, test = (
        Part(_channels_first(arrays[f"x_{which}"]), np.searchsorted(values, arrays[f"y_{which}"]).astype(np.int64))
        for which in ("train", "test")
    )
    return Source(train, test, names)


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
        require(x.shape == wanted_shape and len(x) > 0, name, f"shape {x.shape}", f"shape {wanted_shape}")
        require(bool(np.issubdtype(x.dtype, np.floating)), name, x.dtype, "floats")
        require(bool(np.isfinite(x).all()), name, "NaN or infinity", "finite features")
    for which in ("train", "test"):
        y, count = arrays[f"y_{which}"], len(arrays[f"x_{which}"])
        require(y.shape == (count,), f"y_{which}", f"shape {y.shape}", f"shape ({count},)")
        require(bool(np.issubdtype(y.dtype, np.integer)), f"y_{which}", y.dtype, "integer labels")
        lowest = UNLABELLED if which == "train" else 0
        inside = y.min() >= lowest and y.max() < len(names)
        require(bool(inside), f"y_{which}", f"[{y.min()}, {y.max()}]", f"labels in [{lowest}, {len(names) - 1}]")
    mixed = arrays["mixed"]
    require(mixed.shape == shape[:1] and mixed.dtype == bool, "mixed", f"{mixed.dtype} {mixed.shape}", "bool, (N,)")
    x_train, x_original, x_test = (
        torch.from_numpy(np.asarray(x, dtype=np.float32)) for x in (arrays["x_train"], originals, arrays["x_test"])
    )
    train = Part(CachedViews(x_train, torch.from_numpy(cached), x_original), arrays["y_train"].astype(np.int64))
    return Source(train, Part(x_test[:, :, None, None], arrays["y_test"].astype(np.int64)), names, mixed)


Labelled = list[tuple[Path, str]]  # files with the names of their classes


def folder(path: Path, image_size: int | None) -> Source:
    """Images in class folders, in memory if all their pixels fit into 4 GiB."""
    if not path.is_dir():
        reason = f"{path} is a file" if path.exists() else missing(path, "folder")
        raise ParameterError(f"data folder:{path}: {reason}")
    if image_size is not None:
        image_size = require_integer("image_size", image_size, SMALLEST_SIDE, 512)
    files = _train_and_test(path) if (path / "train").is_dir() else _every_fifth_for_testing(path)
    names = tuple(sorted({name for _, name in files[0]}))
    unseen = sorted({name for _, name in files[1]} - set(names))
    if unseen:
        raise ParameterError(f"data folder:{path}: there are test images, but none to train on, of {', '.join(unseen)}")
    side = image_size or _default_side([file for group in files for file, _ in group])
    in_memory = 3 * side**2 * sum(map(len, files)) <= LARGEST_LOADED
    numbers = {name: number for number, name in enumerate(names)}
    parts = []
    for group in files:
        x = ImageFiles([file for file, _ in group], side)
        y = np.array([numbers[name] for _, name in group], dtype=np.int64)
        parts.append(Part(x.take(np.arange(len(x))) if in_memory else x, y))
    return Source(parts[0], parts[1], names)


def _train_and_test(path: Path) -> tuple[Labelled, Labelled]:
    annotated = path / "val" / ANNOTATIONS
    if annotated.is_file():
        return _image_files(path / "train"), _annotated_files(annotated)
    for name in TEST_FOLDERS:
        if (path / name).is_dir():
            return _image_files(path / "train"), _image_files(path / name)
    raise ParameterError(f"data folder:{path}: beside train there is no folder {', '.join(TEST_FOLDERS)}")


def _every_fifth_for_testing(path: Path) -> tuple[Labelled, Labelled]:
    train: Labelled = []
    test: Labelled = []
    seen: dict[str, int] = {}
    for file, name in _image_files(path):
        seen[name] = seen.get(name, 0) + 1
        (test if seen[name] % 5 == 0 else train).append((file, name))
    if not test:
        raise ParameterError(f"data folder:{path}: no class has 5 images, of which a fifth would be for testing")
    return train, test


def _annotated_files(annotations: Path) -> Labelled:
    """Tiny-ImageNet's validation images: lines of file name, class, and a bounding box."""
    try:
        lines = [line.split("\t") for line in annotations.read_text(encoding="utf-8").splitlines() if line]
        return [(annotations.parent / "images" / line[0], line[1]) for line in lines]
    except (OSError, UnicodeDecodeError, IndexError) as error:
        raise ParameterError(f"cannot read {annotations}: lines of file name, tab, class are expected") from error


def _default_side(files: list[Path]) -> int:
    """The median shorter side of some of the images, within bounds."""
    chosen = files[:: -(-len(files) // MEASURED_FILES)]
    with ThreadPoolExecutor(READERS) as pool:
        sides = list(pool.map(_shorter_side, chosen))
    return int(np.clip(np.median(sides), SMALLEST_SIDE, LARGEST_DEFAULT_SIDE))


def _image_files(folder: Path) -> Labelled:
    files = [
        (file, directory.name)
        for directory in sorted(folder.iterdir())
        if directory.is_dir()
        for file in sorted(directory.rglob("*"))
        if file.suffix.lower() in IMAGE_SUFFIXES
    ]
    if not files:
        raise ParameterError(f"data folder:{folder}: there are no images in its subfolders (CLASS/IMAGE is expected)")
    return files


def _shorter_side(file: Path) -> int:
    from PIL import Image

    try:
        with Image.open(file) as image:
            return min(image.size)
    except Exception as error:  # Pillow's decoders raise many kinds
        raise ParameterError(f"cannot read the image {file}: {error}") from error


def _read_image(file: Path, side: int) -> NDArray[np.uint8]:
    from PIL import Image, ImageOps

    try:
        with Image.open(file) as image:
            fitted = ImageOps.fit(image.convert("RGB"), (side, side), Image.Resampling.BICUBIC)
            return np.asarray(fitted, dtype=np.uint8)
    except Exception as error:
        raise ParameterError(f"cannot read the image {file}: {error}") from error


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
