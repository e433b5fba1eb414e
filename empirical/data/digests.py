"""What data are, as short text, so that a run is never continued on others."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from empirical.data import DataSet
from empirical.data.sources import AnySamples, CachedViews, ImageFiles
from theory.checks import ParameterError


def digests(data: DataSet) -> dict[str, str]:
    """SHA-256 of a data set's parts, by what errors call them.

    Arrays in memory count with every byte, some 2 GB a second; images that are read while training with their files'
    names, sizes and times of change.

    Raises
    ------
    ParameterError
        If such a file is no longer there.
    """
    return {
        "training images": _of_samples(data.x_train),
        "labels of the training images": _of_arrays(data.y_train),
        "test images": _of_samples(data.x_test),
        "labels of the test images": _of_arrays(data.y_test),
        "names of the classes": hashlib.sha256(json.dumps(data.class_names).encode()).hexdigest(),
    }


def _of_samples(x: AnySamples) -> str:
    if isinstance(x, ImageFiles):
        return _of_files(x)
    if isinstance(x, CachedViews):
        return _of_arrays(x.features, x.cached, x.originals)
    return _of_arrays(x) if isinstance(x, Tensor) else x.digest()


def _of_arrays(*arrays: Tensor) -> str:
    found = hashlib.sha256()
    for array in arrays:
        found.update(f"{array.dtype}{tuple(array.shape)}".encode())
        if array.numel():  # there may be no test images
            found.update(array.contiguous().flatten().view(torch.uint8).numpy().data)
    return found.hexdigest()


def _of_files(x: ImageFiles) -> str:
    used = np.unique(np.concatenate([x.rows, x.partners[x.partners >= 0]]))
    files = [Path(x.files[int(number)]) for number in used]
    found = hashlib.sha256(json.dumps([x.side, list(_described(files))]).encode())
    for numbers in (x.rows, x.partners):
        found.update(np.ascontiguousarray(numbers, dtype=np.int64).data)
    return found.hexdigest()


def _described(files: Iterable[Path]) -> Iterable[tuple[str, str, int, int]]:
    """Class folder, name, size and time of change of each file: where the folder of them all lies makes none."""
    for file in files:
        try:
            status = os.stat(file)
        except OSError as error:
            raise ParameterError(f"cannot read the image {file}: {error.strerror}") from error
        yield file.parent.name, file.name, status.st_size, status.st_mtime_ns
