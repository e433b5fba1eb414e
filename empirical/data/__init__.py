"""Labelled images to train on: data sets, subsets, long tails, ω-mixing, and batches of them on a device."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from empirical.data import sources
from empirical.data.copies import copy_notes, first_copies, row_hashes
from empirical.data.held import Held
from empirical.data.kept import kept_while_unchanged
from empirical.data.labels import UNLABELLED, small_classes
from empirical.data.reading import Note, Reading, counted, note
from empirical.data.sources import AnySamples, CachedViews, ImageFiles, Pictures, balanced_order
from theory.checks import ParameterError, is_finite, require, require_integer, require_known, require_share
from theory.engine import end_with_parent

SPECIFICATIONS = ("digits", "cifar10", "cifar100", "stl10", "npz:PATH", "folder:PATH", "views:PATH")


@dataclass(frozen=True)
class DataSet:
    """A data set, of whatever kind.

    Parameters
    ----------
    name : str
        The specification it was loaded from.
    x_train, x_test : Tensor, ImageFiles, CachedViews or Held
        uint8 images, shape (N, channels, height, width), in memory or on disk; or features in their place, float32 of
        shape (N, d, 1, 1), those for training with cached views; or samples of another modality.
    y_train, y_test : Tensor
        int64 labels in [0, classes), shape (N,); −1 for training images without one.
    class_names : tuple of str
    mixed : Tensor
        Which training images were replaced by a mixture, bool of shape (N_train,).
    reading : Reading
        What was read when it was loaded.
    ids, ids_test : ndarray, optional
        What the images are called, such as their files in a folder; text, shapes (N_train,) and (N_test,).
    """

    name: str
    x_train: AnySamples
    y_train: Tensor
    x_test: AnySamples
    y_test: Tensor
    class_names: tuple[str, ...]
    mixed: Tensor
    reading: Reading
    ids: NDArray[np.object_] | None = None
    ids_test: NDArray[np.object_] | None = None

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    @property
    def labelled(self) -> bool:
        """Whether any training image has a label."""
        return bool((self.y_train != UNLABELLED).any())


@kept_while_unchanged(2)
def load(
    spec: str,
    train: int | None = None,
    test: int | None = None,
    image_size: int | None = None,
    skip_unreadable: bool = False,
    drop_small_classes: bool = False,
) -> DataSet:
    """Load a data set.

    Parameters
    ----------
    spec : str
        ``digits`` (scikit-learn's handwritten digits); ``cifar10``, ``cifar100`` or ``stl10`` (torchvision's,
        with STL-10's unlabelled images; in ./data, or ``cifar10:FOLDER``, and downloaded if missing);
        ``npz:PATH`` (arrays ``x_train``, ``y_train``, ``x_test``, ``y_test``; images (N, H, W) or (N, H, W, C));
        ``views:PATH`` (features of images and their views, written by ``python -m empirical.embed``) or
        ``folder:PATH`` (PATH/train/CLASS/IMAGE and PATH/test/CLASS/IMAGE (or training; testing, val, valid,
        validation, in any case; also Tiny-ImageNet's val); without these, PATH/CLASS/IMAGE, of which every fifth is
        for testing). Folders of more than 4 GiB of pixels are read while training.
    train, test : int, optional
        Sizes of class-balanced subsets.
    image_size : int, optional
        Side to which folder images are resized and centre-cropped; by default the median of their
        shorter sides, between 8 and 64. Other images keep their size, so it can only be theirs.
    skip_unreadable : bool
        Leave out a folder's images that cannot be read to their end, instead of refusing the folder; each is read once
        more to find them.
    drop_small_classes : bool
        Leave out classes with fewer than two training images that differ.

    Raises
    ------
    ParameterError
        If the data cannot be read, are inconsistent, or have fewer than two classes.
    """
    kind, colon, path = spec.partition(":")
    known = [name.partition(":")[0] for name in SPECIFICATIONS]
    if kind in ("digits", "npz", "folder", "views") and (kind == "digits") == bool(path):
        raise ParameterError("data", spec, "one of " + ", ".join(SPECIFICATIONS))
    if kind not in known or (colon and not path):
        require_known("data", spec, SPECIFICATIONS)
    require(kind == "folder" or not skip_unreadable, "skip_unreadable", spec, "folder:PATH, whose images are files")
    if kind == "digits":
        source = sources.digits()
    elif kind == "npz":
        source = sources.npz(Path(path))
    elif kind == "views":
        source = sources.views(Path(path))
    elif kind == "folder":
        source = sources.folder(Path(path), image_size, skip_unreadable)
    else:
        source = sources.from_torchvision(kind, Path(path or "data"))
    height, width = source.train.x.shape[2:]
    fits = image_size is None or (height, width) == (image_size, image_size)
    require(fits, "image_size", image_size, f"{height}×{width}, the size of {spec}: only a folder's images are resized")
    if drop_small_classes:
        source = _without_small_classes(source)
    classes = len(source.class_names)
    if classes == 1:
        raise ParameterError(f"data {spec}: there is one class, two are needed")
    parts: list[Any] = []
    mixed = np.zeros(len(source.train.y), dtype=bool) if source.mixed is None else source.mixed
    ids = []
    for which, part, limit in (("train", source.train, train), ("test", source.test, test)):
        if limit is not None:
            every = len(part.y)
            limit = require_integer(which, limit, max(1, classes), every, limit=f", the {which} images of {spec}")
            chosen = balanced_order(part.y)[:limit]
            part = part.subset(chosen)
            mixed = mixed[chosen] if which == "train" else mixed
        parts += [part.x, torch.from_numpy(part.y)]
        ids.append(part.ids)
    reading, mixtures = _reading(spec, source, *parts), torch.from_numpy(mixed)
    return DataSet(spec, parts[0], parts[1], parts[2], parts[3], source.class_names, mixtures, reading, *ids)


def _without_small_classes(source: sources.Source) -> sources.Source:
    """The source without classes that have fewer than two training images that differ."""
    y, y_test = source.train.y, source.test.y
    small = small_classes(y, sample_copies(source.train.x))
    if not len(small):
        return source
    kept, kept_test = (np.flatnonzero(~np.isin(labels, small)) for labels in (y, y_test))
    left = np.setdiff1d(np.arange(len(source.class_names)), small)
    require(len(left) >= 2, "drop_small_classes", f"{len(left)} classes left", "two classes with two different images")
    numbers = np.full(len(source.class_names) + 1, UNLABELLED)  # the last: of no label
    numbers[left] = np.arange(len(left))
    train, test = source.train.subset(kept), source.test.subset(kept_test)
    train, test = (part._replace(y=numbers[part.y]) for part in (train, test))
    names = [source.class_names[c] for c in small]
    dropped = note(names, "class of one training image", "classes of one training image")
    return source._replace(
        train=train,
        test=test,
        class_names=tuple(source.class_names[c] for c in left),
        mixed=None if source.mixed is None else source.mixed[kept],
        skipped=(*source.skipped, dropped),
    )


def _reading(
    spec: str, source: sources.Source, x_train: Pictures, y_train: Tensor, x_test: Pictures, y_test: Tensor
) -> Reading:
    """What was read, with the exact copies among it."""
    parts = (Note(len(y_train), "to train on"), Note(len(y_test), "to test on"))
    labels = y_train.numpy()
    noted = [counted(int((labels == UNLABELLED).sum()), "without a label", "without a label")]
    if isinstance(x_train, ImageFiles):
        noted.append(Note(len(labels), "not compared for copies, for they stay on disk"))
    else:
        hashes = sample_hashes(x_train)
        seen = counted(
            int(np.isin(sample_hashes(x_test), hashes).sum()),
            "test image that is a training image",
            "test images that are training images",
        )
        noted += [*copy_notes(first_copies(hashes), labels), seen]
    reading = Reading(spec, len(y_train) + len(y_test), source.class_names, source.skipped, source.converted, (), parts)
    return reading.with_notes(noted=noted)


def sample_hashes(x: AnySamples) -> NDArray[np.uint64]:
    """A hash of each sample in memory, shape (N,)."""
    assert not isinstance(x, ImageFiles)
    if isinstance(x, CachedViews):
        x = x.features
    return row_hashes(x.flatten(1).numpy()) if isinstance(x, Tensor) else x.hashes()


def sample_copies(x: AnySamples) -> NDArray[np.int64] | None:
    """Of which sample each is an exact copy, itself or an earlier one, shape (N,); None for images on disk."""
    return None if isinstance(x, ImageFiles) else first_copies(sample_hashes(x))


def take(x: AnySamples, indices: Tensor) -> Any:
    """The batch of the samples with these indices: of images in memory, shape (len(indices), C, H, W)."""
    return x[indices] if isinstance(x, Tensor) else x.take(indices)


def some(x: AnySamples, indices: Tensor) -> Tensor | Held:
    """The samples with these indices as samples again, images in memory."""
    return take(x, indices) if isinstance(x, Tensor | ImageFiles | CachedViews) else x.subset(indices.numpy())


def take_source(x: AnySamples, indices: Tensor) -> Any:
    """What views of the samples with these indices are drawn from: the samples, or the views that are cached."""
    return x.views(indices) if isinstance(x, CachedViews) else take(x, indices)


def several_sources(x: AnySamples, indices: Tensor, count: int) -> list[Tensor | Held]:
    """From what each of several views is drawn: the samples, or one after the other of the cached views."""
    if not isinstance(x, CachedViews):
        return [some(x, indices)] * count
    views = x.views(indices).float()
    return [views[:, number % views.shape[1], :, None, None] for number in range(count)]


def subset(x: AnySamples, indices: NDArray[np.int64]) -> AnySamples:
    """The samples with these indices, where they are."""
    return x[torch.from_numpy(indices)] if isinstance(x, Tensor) else x.subset(indices)


def unmixed(data: DataSet) -> DataSet:
    """The data set with the original images in place of mixtures that it was loaded with."""
    if not isinstance(data.x_train, CachedViews):
        return data
    return replace(data, x_train=data.x_train.unmixed(), mixed=torch.zeros_like(data.mixed))


def without(data: DataSet, drop: Sequence[int]) -> DataSet:
    """The data set without the training images that have these indices."""
    if not len(drop):
        return data
    return _only(data, np.setdiff1d(np.arange(len(data.y_train)), np.array(drop, dtype=np.int64)))


def _only(data: DataSet, kept: NDArray[np.int64]) -> DataSet:
    """The data set with these training images alone."""
    rows, ids = torch.from_numpy(kept), None if data.ids is None else data.ids[kept]
    x, y, mixed = subset(data.x_train, kept), data.y_train[rows], data.mixed[rows]
    return replace(data, x_train=x, y_train=y, mixed=mixed, ids=ids)


def imbalanced(data: DataSet, factor: float) -> DataSet:
    """A long-tailed training set: of the c-th of C classes factor^(−c/(C − 1)) of the largest size is kept.

    Parameters
    ----------
    data : DataSet
        With labels.
    factor : float
        Size of the largest class over that of the smallest, >= 1. Classes keep their first images.

    Raises
    ------
    ParameterError
        If the factor leaves a class empty, or some images have no label.

    References
    ----------
    Cui et al., "Class-Balanced Loss Based on Effective Number of Samples", CVPR 2019.
    """
    require(is_finite(factor) and factor >= 1, "imbalance", factor, "imbalance >= 1")
    if factor == 1:
        return data
    labels = _labels("imbalance", factor, data)
    sizes = np.bincount(labels, minlength=data.classes)
    shares = factor ** -(np.arange(data.classes) / (data.classes - 1))
    wanted = np.minimum(np.floor(sizes.max() * shares + 1e-9).astype(np.int64), sizes)
    require(int(wanted.min()) >= 1, "imbalance", factor, f"at most {sizes.max()}, the images of the largest class")
    kept = np.sort(np.concatenate([np.flatnonzero(labels == c)[:count] for c, count in enumerate(wanted)]))
    return _only(data, kept)


def mix(data: DataSet, omega: float, seed: int = 0) -> DataSet:
    """Replace a share of the training images by averages of two images of different classes.

    Parameters
    ----------
    data : DataSet
        With labels.
    omega : float
        Share of the training images, 0 <= omega <= 1; the label of the image that was replaced is kept.
    seed : int
        Draws which images are replaced and what they are mixed with.

    Raises
    ------
    ParameterError
        If omega is no share, or some images have no label.

    References
    ----------
    Zhang et al., ICLR 2026: the ω-mixed data sets.
    """
    require_share("omega", omega)
    if omega == 0:
        return data
    if isinstance(data.x_train, CachedViews):
        raise ParameterError("omega", omega, "omega = 0 for cached views: images are mixed when they are embedded")
    labels = _labels("omega", omega, data)
    generator = np.random.default_rng([seed, 20250102])
    chosen = generator.permutation(len(labels))[: round(omega * len(labels))]
    if not len(chosen):
        return data
    partner = generator.integers(0, len(labels), len(chosen))
    while (same := labels[partner] == labels[chosen]).any():
        partner[same] = generator.integers(0, len(labels), int(same.sum()))
    if isinstance(data.x_train, ImageFiles):
        mixture: Pictures = data.x_train.mixed(chosen, partner)
    else:
        pixels = isinstance(data.x_train, Tensor) and data.x_train.dtype == torch.uint8
        require(pixels, "omega", omega, "omega = 0 for samples that are no images")
        assert isinstance(data.x_train, Tensor)
        mixture = data.x_train.clone()
        mixture[chosen] = sources.average(data.x_train[chosen], data.x_train[partner])
    mixed = data.mixed.clone()
    mixed[chosen] = True
    return replace(data, x_train=mixture, mixed=mixed)


def _labels(name: str, value: float, data: DataSet) -> NDArray[np.int64]:
    labels = np.asarray(data.y_train.numpy())
    require(bool((labels != UNLABELLED).all()), name, value, f"labels of all training images, which {data.name} lacks")
    return labels


# --- batches ---------------------------------------------------------------------------------------


def batches(x: AnySamples, order: Sequence[Tensor], device: torch.device, workers: int = 0) -> Iterator[Any]:
    """Batches of samples on a device, in exactly the given order.

    A tensor on the device is indexed there; of one in the computer's memory each batch is copied when it is
    asked for, without waiting for the device; files are read by worker processes, a few batches ahead.

    Parameters
    ----------
    x : Tensor, ImageFiles, CachedViews or Held
        Images are uint8, shape (N, C, H, W); of cached views, batches are those of shape (B, V, d).
    order : sequence of Tensor
        Indices of each batch, int64.
    device : torch.device
    workers : int
        Processes that read files; 0 reads them here.

    Raises
    ------
    ParameterError
        Naming the file, if one cannot be read.
    """
    if isinstance(x, Tensor):
        for indices in order:
            yield moved(x[moved(indices, x.device)], device)
        return
    if isinstance(x, CachedViews):
        for indices in order:
            yield moved(x.views(indices), device)
        return
    if not isinstance(x, ImageFiles):
        for indices in order:
            yield x.take(indices).to(device)
        return
    # One item is one batch; the default collation would add a dimension.
    loader = DataLoader(
        _FileBatches(x, order),
        batch_size=None,
        num_workers=workers,
        worker_init_fn=_end_with_main if workers else None,
        pin_memory=device.type == "cuda",
        prefetch_factor=4 if workers else None,
    )
    for found in loader:
        if isinstance(found, str):
            raise ParameterError(found)
        yield found.to(device, non_blocking=True)


def _end_with_main(_: int) -> None:
    end_with_parent(saves=False)


def moved(x: Tensor, device: torch.device) -> Tensor:
    """A tensor on a device, copied there, if it is elsewhere, without waiting for the device."""
    if device.type == "cuda" and not x.is_cuda:
        x = x.pin_memory()  # a copy from other memory waits
    return x.to(device, non_blocking=True)


class _FileBatches(Dataset[Tensor | str]):
    """Batches of files; an error comes as its message, since a worker's exception would arrive as a traceback."""

    def __init__(self, x: ImageFiles, order: Sequence[Tensor]) -> None:
        self.x, self.order = x, order

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, index: int) -> Tensor | str:
        try:
            return self.x.take(self.order[index])
        except ParameterError as error:
            return str(error)
