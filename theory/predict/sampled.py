"""The probe on graphs drawn in the theory's domain: a sample covariance, or the augmentation channel.

``wishart`` is the chain of this room with ``theory.predict.covariance`` in place of Dyson's equation.

``channel`` has no noise to speak of. With M natural data, a node whose own datum was drawn, Poisson(λ) times, has a
direction of its own; all other nodes of a class and kind have the same row. Where the k eigenvectors hold every drawn
datum, those are told apart without an error, and so are members of difficult groups. Only nodes that are alone in a
direction *and* without a label are not (also the last of a group whose others are alone): their rows are orthogonal to
all labelled ones, so that the probe answers its value at the origin, the same class b for all of them. Least squares
of smallest norm makes that the class with the largest (n − u)·D, where u are its nodes of that sort and D the degree
of its nodes, which varies with the number of times that the class was drawn. So

    accuracy_t = 1 − P(alone)·(1 − P(b is the class of a node that is alone)),    P(alone) = 1 − exp(−λ_t) or more.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy.special import gammaln, pdtrc, xlogy

from theory.augmentation import Kind, natural_data
from theory.checks import ParameterError, is_finite, require
from theory.draws import SAMPLED, Noise
from theory.params import GraphParameters
from theory.predict.chain import accuracy
from theory.predict.covariance import wishart
from theory.predict.graphs import FEWEST_LABELS, LABELLED, LARGEST_RIDGE, OPEN, Prediction
from theory.predict.orthant import exchangeable
from theory.predict.structure import Array, of_graph
from theory.spectrum import require_augmentation_graph

DEVIATIONS = 2.0  # of the number of drawn directions, by which k is to exceed its mean
UNSEEN = 0.05  # classes without a datum, at most
TOLERANCE = 1e-9
FULL = 0.75  # groups a difficult node, at most: more of them span the nodes one by one
GROUPS = ("difficult_group", "difficult_transversal")
FEW = ("easy", "easy_and_difficult", "difficult", *GROUPS)
OF_CLASSES = ("class", "class_mostly_easy")


class Drawn(NamedTuple):
    """How often natural data are drawn from a channel.

    Attributes
    ----------
    alone : tuple of two floats
        Share of the easy and of the difficult nodes that have a direction of their own.
    classes : float
        Draws of a class.
    nodes : float
        Draws a node, M/N.
    directions, spread : float
        The different data, hence the rank of the graph: its mean and standard deviation.
    """

    alone: tuple[float, float]
    classes: float
    nodes: float
    directions: float
    spread: float


def drawn(p: GraphParameters, draws: int) -> Drawn:
    """The expected draws of the natural data of ``theory.augmentation``.

    Raises
    ------
    ParameterError
        As ``natural_data``: above all if no augmentation produces the graph; or if difficult groups are too many.
    """
    kinds = {kind.name: kind for kind in natural_data(p)}
    total = sum(float(kind.mass) for kind in kinds.values())

    def times(name: str) -> float:
        return draws * float(kinds[name].mass) / total if name in kinds else 0.0

    def each(name: str) -> float:
        return times(name) / float(kinds[name].count) if name in kinds else 0.0

    own, groups = -math.expm1(-each("difficult")), sum(map(times, GROUPS))
    if p.pairing == "block":
        most = FULL * p.n_d * p.classes
        require(groups <= most, "draws", draws, f"fewer draws: {groups:.3g} difficult groups are more than {most:.3g}")
    few = sum(
        _different(kinds[name], times(name)) * (1 - own**p.classes * (name in GROUPS)) for name in FEW if name in kinds
    )
    classes = sum(p.classes * -math.expm1(-each(name)) for name in OF_CLASSES)
    # Where easy samples augment into difficult ones, so do classes in another proportion: all directions are then held.
    easy = -math.expm1(-each("easy") - each("easy_and_difficult"))
    return Drawn(
        (easy, _alone(p, each("difficult"), groups / max(p.n_d, 1))),
        sum(map(times, OF_CLASSES)) / p.classes,
        draws / p.nodes,
        classes + few,  # which span the data that all classes share
        math.sqrt(few),
    )


def _alone(p: GraphParameters, own: float, groups: float) -> float:
    """Share of the difficult nodes whose own datum was drawn, or a group in which all the others are alone.

    Of ``own`` and ``groups`` draws a node. Matched nodes have one group; otherwise groups form trees.
    """
    alone = -math.expm1(-own)
    if p.pairing == "matched":
        return 1 - math.exp(-own) * (1 + math.expm1(-groups) * alone**p.r)
    while (more := -math.expm1(-own - groups * alone**p.r)) > alone + TOLERANCE:
        alone = more
    return alone


def _different(kind: Kind, times: float) -> float:
    """How many different ones are expected among data of one kind."""
    return times if math.isinf(kind.count) else float(kind.count) * -math.expm1(-times / float(kind.count))


def held_right(held: float, nodes: float, deviation: float, others: int) -> float:
    """P(the answer at the origin is the class of a held node without a label).

    Classes win by −u/n + log D: u ~ Poisson(``held``) nodes, one more in the held node's own class, and log D normal.

    Parameters
    ----------
    held : float
        Mean of u, held nodes of a class without a label.
    nodes : float
        n, nodes of a class.
    deviation : float
        Standard deviation of log D.
    others : int
        r, the other classes.
    """
    u = np.arange(math.ceil(held + 9 * math.sqrt(held) + 9))
    probability: Array = np.exp(xlogy(u, held) - held - gammaln(u + 1))
    probability[-1] += pdtrc(len(u) - 1, held)
    noise = deviation**2 + held / nodes**2
    lead = np.asarray((held - 1 - u) / nodes, dtype=np.float64)
    wins = exchangeable(lead, np.array([noise]), np.array([held / nodes**2]), np.array([others], dtype=np.float64))
    return float(probability @ wins)


def predict_sampled(
    p: GraphParameters, noise: Noise, dim: int, labels_per_class: float | None = None, ridge: float = 0.0
) -> Prediction:
    """The probe's expected accuracy on a graph drawn as ``channel`` or ``wishart`` from ``theory.draws``.

    Parameters
    ----------
    p : GraphParameters
        Positive semidefinite.
    noise : Noise
    dim : int
        k: at least the classes, fewer than the labels; with ``wishart`` fewer than the draws; with ``channel`` at
        least the number of different data, for which of them come first depends on the draw.
    labels_per_class : float, optional
        Labelled samples a class, at least 2 and fewer than n, by default half of them.
    ridge : float
        λ >= 0; 0 with ``channel``.

    Raises
    ------
    ParameterError
        If a value is outside its range, no augmentation produces the graph, or a class is likely not drawn.
    """
    require(noise.kind in SAMPLED, "noise", noise.kind, " or ".join(SAMPLED))
    labels = LABELLED * p.n if labels_per_class is None else labels_per_class
    enough = FEWEST_LABELS <= labels < p.n
    require(enough, "labels_per_class", labels, f"{FEWEST_LABELS} <= labels_per_class < {p.n}, the samples of a class")
    require(
        is_finite(dim) and dim == math.floor(dim) and dim >= p.classes,
        "dim",
        dim,
        f"an integer >= {p.classes}, the classes",
    )
    total = labels * p.classes
    require(dim < total - 1, "dim", dim, f"dim < {total:g} - 1, one less than the labels")
    require(is_finite(ridge) and 0 <= ridge <= LARGEST_RIDGE, "ridge", ridge, f"0 <= ridge <= {LARGEST_RIDGE:g}")
    draws = int(noise.draws or 0)
    if noise.kind == "channel":
        require(ridge == 0, "ridge", ridge, "0 with the noise channel")
        return _channel(p, draws, dim, labels / p.n)
    require_augmentation_graph(p)
    s = of_graph(p, 0.0)
    many = np.array([float(draws)])
    try:
        found = accuracy(s, dim, labels / p.n * s.totals, ridge, captured=lambda one, k: wishart(one, k, many))
    except FloatingPointError:
        raise ParameterError("dim", dim, OPEN) from None
    return _prediction(p, float(found.mean[0]), *found.by_type[0].tolist())


def _channel(p: GraphParameters, draws: int, dim: int, labelled: float) -> Prediction:
    found = drawn(p, draws)
    unseen = p.classes * math.exp(-found.classes)
    require(unseen <= UNSEEN, "draws", draws, f"more draws: {unseen:.3g} classes are expected to have none")
    least = math.ceil(found.directions + DEVIATIONS * found.spread)
    require(dim >= least, "dim", dim, f"dim >= {least}, all data that are drawn, to predict the noise channel")
    held = (1 - labelled) * ((p.n - p.n_d) * found.alone[0] + p.n_d * found.alone[1])
    deviation = math.sqrt(found.classes) / p.n / found.nodes
    wrong = 1 - held_right(held, p.n, deviation, p.r)
    easy, difficult = (1 - share * wrong for share in found.alone)
    return _prediction(p, ((p.n - p.n_d) * easy + p.n_d * difficult) / p.n, easy, difficult)


def _prediction(p: GraphParameters, mean: float, easy: float, difficult: float) -> Prediction:
    return Prediction(mean, easy if p.n_d < p.n else None, difficult if p.n_d else None)
