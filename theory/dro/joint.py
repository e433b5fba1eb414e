"""One temperature for all anchors: one ball for the mean over anchors of the divergences.

sup {mean_x E_Qx f : mean_x KL(Qx‖Q0x) <= η} = min_(τ>0) τη + mean_x τ·log E_Q0x e^(f/τ). A loss has one τ for
all its anchors, so this is the ball that it stands for; a ball of the same radius around every anchor's own negatives
has a multiplier of its own for each.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from theory.checks import require
from theory.dro.kl import log_ratio, radius, solve_temperature
from theory.dro.reference import Array, Reference, on_maxima, references, require_radius, require_scale


class JointWorstCase(NamedTuple):
    """The distributions, one an anchor, in a ball for the mean divergence that have the largest mean.

    Attributes
    ----------
    value : float
        sup mean_x E_Qx f.
    tau : float
        The minimising multiplier; inf for η = 0, and 0 where the ball holds distributions on the maxima.
    distributions : list of array
        Q*_x, each of its anchor's length.
    radii : array
        KL(Q*_x‖Q0_x), shape (B,), of mean η up to the limit: what each anchor uses of the common radius.
    limit : float
        Mean over anchors of −log Q0_x(f = max f): from this radius on the value is the mean of the maxima.
    """

    value: float
    tau: float
    distributions: list[Array]
    radii: Array
    limit: float


def _radius(anchors: list[Reference], p: Array, tau: float) -> float:
    return float(p @ [radius(negatives, tau) for negatives in anchors])


def _limit(anchors: list[Reference], p: Array) -> float:
    return float(p @ [negatives.limit for negatives in anchors])


def _temperature(anchors: list[Reference], p: Array, eta: float) -> float:
    width = max(negatives.width for negatives in anchors)
    return solve_temperature(lambda tau: _radius(anchors, p, tau), width, eta)


def joint_radius(
    rows: Sequence[ArrayLike],
    tau: float,
    weights: Sequence[ArrayLike] | None = None,
    anchor_weights: ArrayLike | None = None,
) -> float:
    """The mean over anchors of η_x(τ): the radius for the mean KL whose multiplier is the temperature τ.

    Parameters
    ----------
    rows : sequence of array_like
        f_x, one vector of shape (K_x,) an anchor; lengths may differ. A single vector is one anchor.
    tau : float
        Temperature, > 0.
    weights : sequence of array_like, optional
        Q0_x up to a factor, >= 0, shaped as the rows; uniform by default.
    anchor_weights : array_like, optional
        Weights of the mean over anchors up to a factor, >= 0, shape (B,); uniform by default.

    Raises
    ------
    ParameterError
        If an argument is outside its range; for an anchor it names the row.
    """
    require_scale("tau", tau)
    anchors, p = references(rows, weights, anchor_weights)
    return _radius(anchors, p, tau)


def joint_temperature(
    rows: Sequence[ArrayLike],
    eta: float,
    weights: Sequence[ArrayLike] | None = None,
    anchor_weights: ArrayLike | None = None,
) -> float:
    """τ*(η), the minimiser of τη + mean_x τ·log E e^(f/τ): the inverse of ``joint_radius``.

    Parameters
    ----------
    rows, weights, anchor_weights
        As for ``joint_radius``; at least one anchor's similarities not constant.
    eta : float
        Radius, 0 < η < mean_x −log Q0_x(f = max f).

    Raises
    ------
    ParameterError
        If an argument is outside its range; for η the message names the limit.
    """
    anchors, p = references(rows, weights, anchor_weights)
    limit = _limit(anchors, p)
    condition = f"0 < eta < {limit} = mean of -log Q0(f = max f): no temperature has this radius"
    require(0 < eta < limit, "eta", eta, condition)
    return _temperature(anchors, p, eta)


def joint_worst_case(
    rows: Sequence[ArrayLike],
    eta: float,
    weights: Sequence[ArrayLike] | None = None,
    anchor_weights: ArrayLike | None = None,
) -> JointWorstCase:
    """sup {mean_x E_Qx f : mean_x KL(Qx‖Q0x) <= η} and where it is attained.

    At least the mean of the worst cases in balls of radius η around every anchor, because the product of those lies
    in this ball. For one anchor it is ``kl_worst_case``.

    Parameters
    ----------
    rows, weights, anchor_weights
        As for ``joint_radius``. Anchors of weight 0 do not count for the value; they are tilted like the others.
    eta : float
        Radius, >= 0.

    Raises
    ------
    ParameterError
        If an argument is outside its range.
    """
    require_radius(eta)
    anchors, p = references(rows, weights, anchor_weights)
    limit = _limit(anchors, p)
    if eta >= limit:
        tau, distributions = 0.0, [on_maxima(negatives) for negatives in anchors]
        radii = [negatives.limit for negatives in anchors]
    elif eta == 0:
        tau, distributions = math.inf, [negatives.weights for negatives in anchors]
        radii = [0.0] * len(anchors)
    else:
        tau = _temperature(anchors, p, eta)
        distributions = [negatives.weights * np.exp(log_ratio(negatives, tau)) for negatives in anchors]
        radii = [radius(negatives, tau) for negatives in anchors]
    means = [negatives.top + q @ negatives.below for negatives, q in zip(anchors, distributions, strict=True)]
    return JointWorstCase(float(p @ means), tau, distributions, np.array(radii), limit)
