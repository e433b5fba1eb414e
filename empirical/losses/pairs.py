"""The pairs of a batch as cosines: the positive of each anchor and its negatives.

Two tensors, whatever they come from: shape (A,) and (A, M), with −∞ where there is no pair.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from theory.checks import require

SMALLEST_NORM = 1e-12

PairCosines = tuple[Tensor, Tensor]


def cosine_similarities(a: Tensor, b: Tensor | None = None, radius: float = 0.0) -> Tensor:
    """Cosines of the rows of a with those of b (a itself by default), in float32 or better.

    Parameters
    ----------
    a, b : Tensor
        Shapes (M, k) and (N, k).
    radius : float
        Rows shorter than this count in proportion to their length, >= 0: v/max(‖v‖, radius) in place of v/‖v‖.

    Returns
    -------
    Tensor
        Shape (M, N).
    """
    unit = unit_rows(a, radius)
    return _product(unit, unit if b is None else unit_rows(b, radius))


def two_view_pairs(z: Tensor, radius: float = 0.0) -> PairCosines:
    """Every view against all other views of the batch (SimCLR).

    Parameters
    ----------
    z : Tensor
        Shape (2B, k); rows i and i + B are the two views of image i.
    radius : float
        As in ``cosine_similarities``.

    Returns
    -------
    positive : Tensor
        Shape (2B,).
    negative : Tensor
        Shape (2B, 2B), −∞ at the anchor itself and at its positive.

    Raises
    ------
    ParameterError
        If z is not a matrix with an even number of rows.
    """
    _require_two_views(z)
    images = len(z) // 2
    unit = unit_rows(z, radius)
    positive = (unit[:images] * unit[images:]).sum(dim=1).repeat(2)
    negative = _product(unit, unit)
    with torch.no_grad():  # see ``nce.log_sum_exp``: no loss sends a gradient to where there is −∞
        for offset in (0, images, -images):
            negative.diagonal(offset).fill_(-torch.inf)
    return positive, negative


def opposite_pairs(z: Tensor, radius: float = 0.0) -> PairCosines:
    """Every first view against the second views of the batch, in this direction alone.

    So compare the spectral loss in its authors' code (HaoChen et al. 2021) and ADNCE for sentences and for graphs (Wu
    et al. 2023).

    Parameters
    ----------
    z : Tensor
        Shape (2B, k); rows i and i + B are the two views of image i.
    radius : float
        As in ``cosine_similarities``.

    Returns
    -------
    positive : Tensor
        Shape (B,).
    negative : Tensor
        Shape (B, B), −∞ at the positive.

    Raises
    ------
    ParameterError
        If z is not a matrix with an even number of rows.
    """
    _require_two_views(z)
    first, second = unit_rows(z, radius).tensor_split(2)
    negative = _product(first, second)
    with torch.no_grad():
        negative.diagonal().fill_(-torch.inf)
    return (first * second).sum(dim=1), negative


def _require_two_views(z: Tensor) -> None:
    require(z.ndim == 2 and len(z) % 2 == 0, "z", f"shape {tuple(z.shape)}", "shape (2B, k)")


def queue_pairs(query: Tensor, key: Tensor, queue: Tensor, radius: float = 0.0) -> PairCosines:
    """Queries against their keys and a queue of earlier keys, which get no gradient (MoCo, He et al. 2020).

    Parameters
    ----------
    query, key : Tensor
        Shape (B, k), two views of each image.
    queue : Tensor
        Shape (K, k), without the batch's own keys.
    radius : float
        As in ``cosine_similarities``.

    Returns
    -------
    positive : Tensor
        Shape (B,).
    negative : Tensor
        Shape (B, K).

    Raises
    ------
    ParameterError
        If the shapes do not fit.
    """
    require(query.ndim == 2, "query", f"shape {tuple(query.shape)}", "shape (B, k)")
    require(key.shape == query.shape, "key", f"shape {tuple(key.shape)}", f"the query's shape {tuple(query.shape)}")
    fits = queue.ndim == 2 and queue.shape[1] == query.shape[1]
    require(fits, "queue", f"shape {tuple(queue.shape)}", f"shape (K, {query.shape[1]})")
    unit = unit_rows(query, radius)
    positive = (unit * unit_rows(key.detach(), radius)).sum(dim=1)
    return positive, _product(unit, unit_rows(queue.detach(), radius))


def unit_rows(features: Tensor, radius: float = 0.0) -> Tensor:
    """The rows at length 1, in float32 or better; shorter ones than ``radius`` in proportion to their length."""
    wide = features if features.dtype == torch.float64 else features.float()
    return functional.normalize(wide, dim=1, eps=max(radius, SMALLEST_NORM))


def _product(a: Tensor, b: Tensor) -> Tensor:
    with torch.autocast(a.device.type, enabled=False):  # which would round the cosines to bf16
        return a @ b.T
