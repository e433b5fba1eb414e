"""What a kind of data must say of itself, so that everything else works on it.

Samples are *held* somewhere (``empirical.data.held``); a *batch* of them is what a view and then the encoder take.
Nothing but the modality knows what is inside of either.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Generator, Tensor

from empirical.data import DataSet, some
from empirical.data.held import Held
from empirical.data.reading import Reading
from empirical.modalities.options import read_options
from theory.checks import require

if TYPE_CHECKING:
    from empirical.encoders import Network
    from empirical.evaluate.protocol import Protocol as Evaluation
    from empirical.evaluate.scoring import Progress
    from empirical.train.settings import Settings

View = Callable[[Any, Generator], Any]  # from a batch as it is held to one that the encoder takes


@dataclass(frozen=True)
class NoOptions:
    """A modality that can be told nothing more."""


class Modality(ABC):
    """One kind of data.

    Attributes
    ----------
    usual : mapping
        Settings that suit it where none are given, by their names.
    Options : type
        Frozen dataclass of ``empirical.train.options.option`` fields: what ``settings.modality_options`` can say.
    sample : str
        What messages call one.
    titles : mapping or None
        What tables call its scores, by their names without ``encoder_`` or ``projector_``; None: as of images.
    """

    usual: ClassVar[Mapping[str, Any]] = {}
    Options: ClassVar[type] = NoOptions
    sample: ClassVar[str] = "sample"
    titles: ClassVar[Mapping[str, str] | None] = None

    @abstractmethod
    def load(self, settings: Settings) -> DataSet:
        """The samples of ``settings.data`` to train and to test on, with their labels as far as there are any."""

    @abstractmethod
    def network(self, settings: Settings, shape: tuple[int, ...]) -> Network:
        """Encoder and projector, with random weights, for samples of this shape: that of ``Held``, without N."""

    @abstractmethod
    def view(self, settings: Settings) -> View:
        """One random view of every sample of a batch."""

    def options(self, settings: Settings) -> Any:
        """The modality's ``Options`` as the settings say them; ParameterError if they cannot be."""
        return read_options(self.Options, settings.modality_options)

    def views(self, settings: Settings, shape: tuple[int, ...]) -> list[tuple[float, View]]:
        """The views while training, each with the share of the steps until which it holds; the last until 1."""
        return [(1.0, self.view(settings))]

    def texts(self, x: Held) -> Sequence[str]:
        """What a page shows of the samples, which have no picture: a text each, or nothing."""
        return ()

    def unevaluated(self, settings: Settings, data: DataSet) -> str | None:
        """Why a network cannot be evaluated on the data; None if it can."""
        return None if data.labelled else f"no {self.sample} of {data.name} has a label, which probe and kNN need"

    def evaluate(
        self,
        network: Network,
        settings: Settings,
        data: DataSet,
        protocol: Evaluation,
        view: View | None = None,
        progress: Progress | None = None,
    ) -> dict[str, float]:
        """Scores of a trained network, by name; by default those of probe and kNN."""
        from empirical.evaluate.scoring import evaluate_network

        return evaluate_network(network, data, protocol, view, progress)

    def words(self, protocol: Evaluation) -> tuple[str, str] | None:
        """What the scores ``probe`` and ``knn`` are, if they are not the protocol's."""
        return None

    def require_protocol(self, protocol: Evaluation) -> None:
        """Refuse settings of probe and kNN where samples are scored by something else."""
        from empirical.evaluate.protocol import DEFAULT

        words = self.words(protocol)
        if words is not None:
            where = f"the default where {self.sample}s are scored by {words[0]}"
            require(protocol == DEFAULT, "protocol", protocol.words, where)

    def document(self, protocol: Evaluation) -> dict[str, Any]:
        """How the scores were made, as plain data and in words, for what is stored."""
        words = self.words(protocol)
        return protocol.to_json() if words is None else {"words": words[0]}

    def describe(self, scores: dict[str, float], protocol: Evaluation) -> str:
        """Scores as a table."""
        from empirical.evaluate.scoring import describe

        return describe(scores, protocol, self.titles, self.words(protocol))


@dataclass(frozen=True)
class TwoViews:
    """Two views of a sample that are made in two ways; alone, the second.

    Parameters
    ----------
    first, second : callable
    """

    first: View
    second: View

    def __call__(self, batch: Any, generator: Generator) -> Any:
        """The second view of each sample."""
        return self.second(batch, generator)

    def pair(self, batch: Any, generator: Generator) -> tuple[Any, Any]:
        """Both views of each sample."""
        return self.first(batch, generator), self.second(batch, generator)


def only_to_train_on(
    settings: Settings, x: Tensor | Held, y: Tensor, names: tuple[str, ...], reading: Reading
) -> DataSet:
    """Samples of which none is kept for testing; ParameterError if the settings ask for a part of them.

    Parameters
    ----------
    settings : Settings
    x : Tensor or Held
        N samples.
    y : Tensor
        int64 labels, shape (N,), −1 for none.
    names : tuple of str
        Of the classes.
    reading : Reading
    """
    for name in ("train", "test", "image_size"):
        value = getattr(settings, name)
        require(value is None, name, value, f"none for {settings.modality}, which are all of {settings.data}")
    mixed = torch.zeros(len(y), dtype=torch.bool)
    return DataSet(settings.data, x, y, some(x, torch.arange(0)), y[:0], names, mixed, reading)


def joined(first: Any, second: Any) -> Any:
    """Two batches as one."""
    return torch.cat([first, second]) if isinstance(first, Tensor) else first.joined(second)
