"""What the paper states for its five data sets: Zhang et al., ICLR 2026 (arXiv 2501.01317 v2), appendix A.3 and A.5."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath


@dataclass(frozen=True)
class Stated:
    """The paper's settings for one data set.

    Parameters
    ----------
    side : int
        Height and width of the images in pixels; for all but ImageNet the data set's own.
    encoder : str
    batch : int
        N, images a step.
    rate : float
        Learning rate at this batch.
    tau : float
        Base temperature.
    pos_high, pos_low : float
        Percentiles of the similarities in descending order, between which pairs are difficult.
    sigma, rho : float
        Margin and temperature factor.
    probe_batch : int
    probe_rate : float
        Of the linear probe.
    """

    side: int
    encoder: str
    batch: int
    rate: float
    tau: float
    pos_high: float
    pos_low: float
    sigma: float
    rho: float
    probe_batch: int
    probe_rate: float


STATED = {
    "cifar10": Stated(32, "resnet18", 512, 0.25, 0.5, 0.15, 0.22, 0.03, 0.6, 512, 1.0),
    "cifar100": Stated(32, "resnet18", 512, 0.5, 0.1, 0.013, 0.5, 0.1, 0.7, 512, 0.1),
    "stl10": Stated(96, "resnet18", 256, 0.5, 0.1, 0.15, 0.22, 0.1, 0.7, 256, 0.1),
    "tiny-imagenet": Stated(64, "resnet50", 512, 0.5, 0.5, 0.013, 0.5, 0.1, 0.7, 512, 0.1),
    "imagenet": Stated(96, "resnet18", 1024, 0.1, 0.07, 0.01, 0.5, 0.1, 0.7, 1024, 1.0),
}


def stated(data: str) -> str | None:
    """The key of ``STATED`` that a specification of data names; None for data that are not the paper's.

    Parameters
    ----------
    data : str
        A key itself, ``cifar10:FOLDER``, or a file or folder of that name, ``npz:PATH/cifar10.npz``; of cached views
        also one of several sets, ``views:PATH/cifar10-0.npz``.
    """
    kind, _, place = data.partition(":")
    name = PurePath(place).name.removesuffix(".npz").lower()
    names = (kind, name, name.rstrip("0123456789").removesuffix("-") if kind == "views" else name)
    return next((name for name in names if name in STATED), None)
