"""An adapter's features as it begins and after every epoch."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from empirical.data import DataSet
from empirical.encoders import Network, extract
from empirical.evidence.adapters import MEMORY
from empirical.train.loop import train
from empirical.train.observers import Observer, Row
from empirical.train.settings import Settings
from theory.temporary import in_temporary_folder


class Epoch(NamedTuple):
    """Features of the training images, not augmented, and the epoch's columns of ``metrics.csv``.

    Attributes
    ----------
    number : int
        0 as the run begins.
    encoder, projector : ndarray
        float32, shapes (N, d) and (N, k).
    row : dict of float
        Empty at 0.
    """

    number: int
    encoder: NDArray[np.float32]
    projector: NDArray[np.float32]
    row: Row


class Epochs(Observer):
    """Keeps the features of all training images; for data whose features fit into memory at every epoch."""

    def __init__(self) -> None:
        self.kept: list[Epoch] = []

    def begin(self, settings: Settings, network: Network, data: DataSet) -> None:
        """Look before the first step."""
        self.network, self.data = network, data
        self._look(0, {})

    def saved(self, row: Row) -> None:
        """Look after an epoch."""
        self._look(int(row["epoch"]), row)

    def _look(self, number: int, row: Row) -> None:
        h, z = extract(self.network, self.data.x_train)
        self.kept.append(Epoch(number, h.numpy(), z.numpy(), row))


def epochs_of(s: Settings) -> list[Epoch]:
    """Train a run and look at it as it begins and after every epoch."""
    watching = Epochs()
    with in_temporary_folder(MEMORY if MEMORY.is_dir() else None) as folder:
        train(s, folder / "run", observers=(watching,))
    return watching.kept
