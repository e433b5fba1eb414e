"""Labelled images as tensors: bundled digits, npz files, image folders; subsets and ω-mixing."""

from __future__ import annotations

import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from empirical.files import read_npz
from theory.params import ParameterError, require, require_integer, require_share

ARRAYS = ("x_train", "y_train", "x_test", "y_test")
IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif", ".tif", ".tiff", ".ppm", ".pgm"}
SMALLEST_SIDE, LARGEST_DEFAULT_SIDE = 8, 64
TEST_FOLDERS = ("test", "val", "valid", "validation")


@dataclass(frozen=True)
class Images:
    """A labelled data set.

    Parameters
    ----------
    name : str
        The specification it was loaded from.
    x_train, x_test : Tensor
        uint8 images, shape (N, channels, height, width).
    y_train, y_test : Tensor
        int64 labels in [0, classes), shape (N,).
    class_names : tuple of str
    mixed : Tensor
        Which training images were replaced by a mixture, bool of shape (N_train,).
    """

    name: str
    x_train: Tensor
    y_train: Tensor
    x_test: Tensor
    y_test: Tensor
    class_names: tuple[str, ...]
    mixed: Tensor

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)


@lru_cache(maxsize=2)
def load(spec: str, train: int | None = None, test: int | None = None, image_size: int | None = None) -> Images:
    """Load a data set.

    Parameters
    ----------
    spec : str
        ``digits`` (scikit-learn's handwritten digits), ``npz:PATH`` (arrays x_train, y_train, x_test,
        y_test; images (N, H, W) or (N, H, W, C)) or ``folder:PATH`` (PATH/train/CLASS/IMAGE and
        PATH/test/CLASS/IMAGE (or val, valid, validation); without train, PATH/CLASS/IMAGE, of which every
        fifth is for testing).
    train, test : int, optional
        Sizes of class-balanced subsets.
    image_size : int, optional
        Side to which folder images are resized and centre-cropped; by default the median of their
        shorter sides, between 8 and 64.

    Raises
    ------
    ParameterError
        If the data cannot be read, are inconsistent, or have fewer than two classes.
    """
    kind, _, path = spec.partition(":")
    if kind == "digits" and not path:
        arrays, names = _digits()
    elif kind == "npz" and path:
        arrays, names = _npz(Path(path))
    elif kind == "folder" and path:
        arrays, names = _folder(Path(path), image_size)
    else:
        raise ParameterError("data", spec, "one of digits, npz:PATH, folder:PATH")
    classes = len(names)
    require(classes >= 2, "data", spec, f"at least two classes (found {classes})")
    parts: list[Tensor] = []
    for which, limit in (("train", train), ("test", test)):
        x, y = arrays[f"x_{which}"], arrays[f"y_{which}"]
        if limit is not None:
            limit = require_integer(which, limit, classes, len(y), limit=f", the {which} images of {spec}")
            chosen = balanced_order(y)[:limit]
            x, y = x[chosen], y[chosen]
        parts += [torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2))), torch.from_numpy(y)]
    mixed = torch.zeros(len(parts[1]), dtype=torch.bool)
    return Images(spec, parts[0], parts[1], parts[2], parts[3], names, mixed)


def mix(images: Images, omega: float, seed: int = 0) -> Images:
    """Replace a share of the training images by averages of two images of different classes.

    Parameters
    ----------
    images : Images
    omega : float
        Share of the training images, 0 <= omega <= 1; the label of the image that was replaced is kept.
    seed : int
        Draws which images are replaced and what they are mixed with.

    References
    ----------
    Zhang et al., ICLR 2026: the ω-mixed data sets.
    """
    require_share("omega", omega)
    labels = images.y_train.numpy()
    generator = np.random.default_rng([seed, 20250102])
    chosen = generator.permutation(len(labels))[: round(omega * len(labels))]
    if not len(chosen):
        return images
    partner = generator.integers(0, len(labels), len(chosen))
    while (same := labels[partner] == labels[chosen]).any():
        partner[same] = generator.integers(0, len(labels), int(same.sum()))
    mixed_images = images.x_train.clone()
    total = images.x_train[chosen].int() + images.x_train[partner].int()
    mixed_images[chosen] = (total // 2).to(torch.uint8)
    mixed = images.mixed.clone()
    mixed[chosen] = True
    return replace(images, x_train=mixed_images, mixed=mixed)


def balanced_order(labels: NDArray[Any]) -> NDArray[np.int64]:
    """An order in which every prefix is as balanced over the classes as it can be.

    Shape (N,): the first sample of each class, then the second of each, and so on.
    """
    order = np.argsort(labels, kind="stable")
    ordered = labels[order]
    starts = np.concatenate([[0], np.flatnonzero(np.diff(ordered)) + 1])
    rank = np.arange(len(labels)) - np.repeat(starts, np.diff(np.append(starts, len(labels))))
    return np.asarray(order[np.lexsort((ordered, rank))], dtype=np.int64)


# --- sources: each returns uint8 images (N, H, W, C), int64 labels from 0, and class names -----------


def _digits() -> tuple[dict[str, NDArray[Any]], tuple[str, ...]]:
    from sklearn.datasets import load_digits

    bunch = load_digits()
    x = np.round(bunch.images * (255 / 16)).astype(np.uint8)[..., None]
    order = balanced_order(bunch.target)
    train, test = order[:1200], order[1200:]
    arrays = {
        "x_train": x[train],
        "y_train": bunch.target[train].astype(np.int64),
        "x_test": x[test],
        "y_test": bunch.target[test].astype(np.int64),
    }
    return arrays, tuple(str(digit) for digit in range(10))


def _npz(path: Path) -> tuple[dict[str, NDArray[Any]], tuple[str, ...]]:
    arrays = read_npz(path)
    require(set(ARRAYS) <= set(arrays), "data", f"npz:{path}", "arrays " + ", ".join(ARRAYS) + " in the file")
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
    for which in ("train", "test"):
        arrays[f"y_{which}"] = np.searchsorted(values, arrays[f"y_{which}"]).astype(np.int64)
    in_range = given is not None and values.min() >= 0 and values.max() < len(given)
    names = tuple(given[int(v)] if given is not None and in_range else str(v) for v in values)
    return arrays, names


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


def _folder(path: Path, image_size: int | None) -> tuple[dict[str, NDArray[Any]], tuple[str, ...]]:
    require(path.is_dir(), "data", f"folder:{path}", "an existing folder")
    if image_size is not None:
        image_size = require_integer("image_size", image_size, SMALLEST_SIDE, 512)
    if (path / "train").is_dir():
        partner = next((path / name for name in TEST_FOLDERS if (path / name).is_dir()), None)
        if partner is None:
            raise ParameterError("data", f"folder:{path}", "a folder beside train: one of " + ", ".join(TEST_FOLDERS))
        files = {"train": _image_files(path / "train"), "test": _image_files(partner)}
    else:
        every = _image_files(path)
        files = {"train": [], "test": []}
        seen: dict[str, int] = {}
        for file, name in every:
            seen[name] = seen.get(name, 0) + 1
            files["test" if seen[name] % 5 == 0 else "train"].append((file, name))
        require(
            bool(files["test"]),
            "data",
            f"folder:{path}",
            "at least 5 images in some class (a fifth is for testing)",
        )
    names = tuple(sorted({name for _, name in files["train"]}))
    unseen = sorted({name for _, name in files["test"]} - set(names))
    require(not unseen, "data", f"folder:{path}", f"test classes that occur in train (not {', '.join(unseen)})")
    if image_size is None:
        with ThreadPoolExecutor(16) as pool:
            sides = list(pool.map(_shorter_side, [file for group in files.values() for file, _ in group]))
        image_size = int(np.clip(np.median(sides), SMALLEST_SIDE, LARGEST_DEFAULT_SIDE))
    side = image_size
    arrays: dict[str, NDArray[Any]] = {}
    for which, group in files.items():
        with warnings.catch_warnings(), ThreadPoolExecutor(16) as pool:
            warnings.simplefilter("ignore")  # an unreadable image is reported once, by the error
            arrays[f"x_{which}"] = np.stack(list(pool.map(lambda item: _read_image(item[0], side), group)))
        arrays[f"y_{which}"] = np.array([names.index(name) for _, name in group], dtype=np.int64)
    return arrays, names


def _image_files(folder: Path) -> list[tuple[Path, str]]:
    files = [
        (file, directory.name)
        for directory in sorted(folder.iterdir())
        if directory.is_dir()
        for file in sorted(directory.rglob("*"))
        if file.suffix.lower() in IMAGE_SUFFIXES
    ]
    require(bool(files), "data", f"folder:{folder}", "images in CLASS/IMAGE subfolders (found none)")
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
