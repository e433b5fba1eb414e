"""A small file of cached views, of classes that overlap."""

from pathlib import Path

import numpy as np

from empirical.evidence.adapters import Task
from empirical.evidence.choices import Choices
from empirical.evidence.design import Entry

CLASSES, TRAIN, TEST, VIEWS, WIDTH = 4, 260, 120, 3, 6
CHOICES = Choices(0.1, 0.2)


def views_file(path: Path, shift: float = 0.0) -> Path:
    """The file; ``shift`` moves all features, and with it the mean cosine."""
    generator = np.random.default_rng(0)
    centres = 1.5 * generator.standard_normal((CLASSES, WIDTH)) + shift
    y_train, y_test = np.arange(TRAIN) % CLASSES, np.arange(TEST) % CLASSES
    x_train, x_test = (centres[y] + generator.standard_normal((len(y), WIDTH)) for y in (y_train, y_test))
    views = x_train[:, None] + 0.3 * generator.standard_normal((TRAIN, VIEWS, WIDTH))
    np.savez(
        path,
        views=views.astype(np.float16),
        x_train=x_train.astype(np.float32),
        y_train=y_train,
        x_test=x_test.astype(np.float32),
        y_test=y_test,
        class_names=np.array(list("abcd")),
        mixed=np.zeros(TRAIN, dtype=bool),
        rows=np.arange(TRAIN),
        origin="",
    )
    return path


def task(path: Path, out: Path, name: str = "baseline", entry: Entry | None = None) -> Task:
    """An entry on the file as the tuning set, all of whose evaluated images count as test images."""
    return Task("cifar10", name, entry or Entry(), -1, path, (10,), CHOICES, out)
