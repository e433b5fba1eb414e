"""Where samples of any kind are before they are a batch."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor


class Held(Protocol):
    """N samples, wherever they are. A Tensor of shape (N, …) is one too."""

    @property
    def shape(self) -> tuple[int, ...]:
        """N, and what a network has to know of a sample: its channels, features, length."""

    def __len__(self) -> int: ...

    def take(self, indices: Tensor, /) -> Any:
        """The batch of the samples with these indices, which has a length, and ``to(device)``.

        Unless it is a Tensor it also has ``joined(other)``: its samples, then the other's.
        """

    def subset(self, indices: NDArray[np.int64], /) -> Held:
        """The samples with these indices, held as they are."""

    def hashes(self) -> NDArray[np.uint64]:
        """A number for each sample, shape (N,), the same for exact copies alone."""

    def digest(self) -> str:
        """SHA-256 of them all: a run is never continued on others."""
