"""The training samples of a checkpoint as its network sees them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from empirical.data import DataSet, sample_copies
from empirical.data.features import Features
from empirical.data.samples import Samples
from empirical.data.sources import CachedViews, ImageFiles
from empirical.encoders import extract
from empirical.train.checkpoint import load_network
from empirical.train.settings import Settings
from theory.checks import ParameterError


class Trained(NamedTuple):
    """Samples, and the images they are features of.

    Parameters
    ----------
    samples : Samples
        Of the training images, without pictures or digest.
    images : Tensor, ImageFiles or None
        The images; None where it was trained on something of which there is no picture.
    """

    samples: Samples
    images: Tensor | ImageFiles | None


def trained_samples(
    path: Path, trusted: Sequence[str] = (), space: str = "encoder", classes: int | None = None
) -> Trained:
    """What a checkpoint's network makes of the samples it was trained on.

    Parameters
    ----------
    path : Path
        checkpoint.pt of ``empirical.train``.
    trusted : sequence of str
        See ``load_network``.
    space : str
        ``encoder`` or ``projector``.
    classes : int, optional
        Number of clusters that are asked for in place of labels.

    Raises
    ------
    ParameterError
        If the checkpoint, or its data, cannot be read, or clusters are asked for where there are labels.
    """
    settings, network = load_network(path, trusted)
    data = settings.data_set()
    require_unlabelled(data, classes)
    h, z = extract(network, data.x_train)
    features = Features((h if space == "encoder" else z).numpy())
    x = data.x_train
    images = x if isinstance(x, ImageFiles) or (isinstance(x, Tensor) and x.dtype == torch.uint8) else None
    copies = None if isinstance(x, CachedViews) else sample_copies(x)
    samples = Samples(
        features=features,
        labels=data.y_train.numpy() if data.labelled else None,
        copies=features.copies() if copies is None else copies,
        source=origin(settings),
        reading=data.reading,
        names=data.class_names,
        ids=data.ids,
        pictures=None,
        rows=np.arange(features.rows),
        digest="",
    )
    return Trained(samples, images)


def origin(settings: Settings) -> str:
    """What results say of a run."""
    return f"{settings.data}, {settings.arm} seed {settings.seed}, {settings.epochs} epochs"


def require_unlabelled(data: DataSet, classes: int | None) -> None:
    """Refuse a number of clusters for images that have labels."""
    if classes is not None and data.labelled:
        raise ParameterError(f"--classes {classes}: the checkpoint's images have labels, which are the classes")
