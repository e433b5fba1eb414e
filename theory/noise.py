"""Random noise on the similarities: noisy spectrum and bounds, and which modes still stand out.

The noisy graph has weights Ã = A + εW with W symmetric, zero on the diagonal, and independent entries of
mean 0 and variance 1 above it. Everything said about D^(−1/2) Ã D^(−1/2) here takes D from the *population*
graph A; ``noisy_adjacency`` can sample both conventions.

- Asymptotic (N → ∞): ``semicircle_quantile``, ``noisy_eigenvalue``, ``detection_constant``,
  ``detection_limits``. They take all degrees for equal; on positive semidefinite graphs with a fixed share
  of easy samples, or with none, c1/c2 = 1 + O(1/n) or c1 is the only degree.
- A guarantee at finite N, for the sampled W: λₖ₊₁(A) + ε‖W‖/c2 with ‖W‖ from ``operator_norm``.

Both come together in ``noisy_bounds``. Sampling needs numpy and scipy, the rest the standard library only.
"""

from __future__ import annotations

import cmath
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from theory import formulas
from theory.checks import require, require_integer, require_share
from theory.params import GraphParameters
from theory.spectrum import nth_mode, spectrum

if TYPE_CHECKING:
    import numpy as np

    from theory.graph import Array

DegreesOf = Literal["population", "noisy"]
QuantileEstimate = Literal["median", "cautious"]

SAMPLED_NODES = 5000
SEPARABLE = ("class_upper", "contrast", "bridge")

_Atoms = list[tuple[float, float]]


LARGEST_NOISE = 1e50  # similarities are at most 1, and squares must fit a float


def _require_level(epsilon: float) -> None:
    require(
        math.isfinite(epsilon) and 0 <= epsilon <= LARGEST_NOISE,
        "epsilon",
        epsilon,
        f"0 <= epsilon <= {LARGEST_NOISE:g}",
    )


def _root(increasing: Callable[[float], float], low: float, high: float) -> float:
    """Where an increasing function changes sign between two points that are never evaluated."""
    for _ in range(60):
        middle = (low + high) / 2
        if not low < middle < high:
            break
        if increasing(middle) < 0:
            low = middle
        else:
            high = middle
    return (low + high) / 2


# --- sampling --------------------------------------------------------------------------------------


def sample_noise(nodes: int, rng: np.random.Generator) -> Array:
    """One W: symmetric, zero diagonal, independent standard normal entries above it.

    Parameters
    ----------
    nodes : int
        N, between 1 and 5000 (a dense matrix is formed).
    rng : numpy.random.Generator

    Returns
    -------
    array, shape (N, N)

    Raises
    ------
    ParameterError
        If ``nodes`` is outside its range.
    """
    import numpy as np

    nodes = require_integer("nodes", nodes, 1, SAMPLED_NODES, limit=": the sampled matrix is dense")
    upper = np.triu(rng.standard_normal((nodes, nodes)), 1)
    return upper + upper.T


def noisy_weights(p: GraphParameters, epsilon: float, noise: Array) -> Array:
    """Ã = A + εW, shape (N, N).

    Parameters
    ----------
    p : GraphParameters
    epsilon : float
        ε >= 0, standard deviation of the similarities within a group.
    noise : array, shape (N, N)
        W from ``sample_noise``.

    Raises
    ------
    ParameterError
        If epsilon is outside its range or the noise is of another size.
    """
    from theory.graph import SimilarityGraph

    _require_level(epsilon)
    require(noise.shape == (p.nodes, p.nodes), "noise shape", noise.shape, f"(N, N) with N = {p.nodes}")
    return SimilarityGraph(p).weights() + epsilon * noise


def noisy_adjacency(p: GraphParameters, epsilon: float, noise: Array, degrees: DegreesOf = "population") -> Array:
    """D^(−1/2) Ã D^(−1/2), shape (N, N), with the degrees of the population or of the noisy graph.

    Parameters
    ----------
    p, epsilon, noise
        As for ``noisy_weights``.
    degrees : {"population", "noisy"}
        Row sums of A (the convention of the bounds) or of Ã.

    Raises
    ------
    ParameterError
        As ``noisy_weights``, and if a noisy degree is not positive.
    """
    import numpy as np

    from theory.graph import SimilarityGraph

    require(degrees in ("population", "noisy"), "degrees", degrees, "one of population, noisy")
    weights = noisy_weights(p, epsilon, noise)
    row_sums = SimilarityGraph(p).degrees() if degrees == "population" else weights.sum(axis=1)
    smallest = float(row_sums.min())
    require(smallest > 0, "epsilon", epsilon, f"positive noisy degrees (the smallest is {smallest:.3g})")
    scale = 1 / np.sqrt(row_sums)
    result: Array = weights * scale[:, None] * scale
    return result


def operator_norm(noise: Array) -> float:
    """An upper bound on ‖W‖, certified and tight to a millionth.

    Lanczos' method can only underestimate the norm, so its answer is a proposal; Cholesky
    decompositions of sI − W and sI + W prove ‖W‖ <= s.

    Parameters
    ----------
    noise : array, shape (N, N)
        Symmetric.

    Returns
    -------
    float
    """
    import numpy as np
    from scipy.linalg import LinAlgError, cholesky
    from scipy.sparse.linalg import eigsh

    def exceeds_norm(s: float) -> bool:
        try:
            for sign in (-1, 1):
                shifted = sign * noise
                shifted.flat[:: nodes + 1] += s
                cholesky(shifted, overwrite_a=True, check_finite=False)
        except LinAlgError:
            return False
        return True

    nodes = len(noise)
    if not noise.any():
        return 0.0
    # A fixed start makes the result a function of W alone.
    start = np.random.default_rng(0).standard_normal(nodes)
    largest = float(abs(eigsh(noise, k=1, v0=start, tol=1e-9, return_eigenvectors=False)[0]))
    slack = 1e-6
    while not exceeds_norm(s := largest * (1 + slack)):
        slack *= 2
    # What a Cholesky decomposition that went through in floating point may have missed (Demmel 1989).
    return s * (1 + nodes**2 * float(np.finfo(float).eps))


# --- asymptotic spectrum ---------------------------------------------------------------------------


def semicircle_quantile(j: int, nodes: int, estimate: QuantileEstimate = "median") -> float:
    """Asymptotic j-th largest eigenvalue of W: 2√N·cos(E/2) with Kepler's equation E − sin E = 2πp.

    Parameters
    ----------
    j, nodes : int
        1 <= j <= N.
    estimate : {"median", "cautious"}
        p = (j − ½)/N, exceeded by about half of the eigenvalues, or (j − 1)/N, exceeded by about a
        quarter. (j/N is exceeded by three quarters.)

    Raises
    ------
    ParameterError
        If an argument is outside its range.

    References
    ----------
    Wigner's semicircle law; Zhang et al., ICLR 2026, theorems B.4 and B.5, for its use.
    """
    nodes = require_integer("nodes", nodes, 1)
    j = require_integer("j", j, 1, nodes)
    require(estimate in ("median", "cautious"), "estimate", estimate, "one of median, cautious")
    share = (j - 0.5 if estimate == "median" else j - 1) / nodes
    anomaly = _root(lambda e: e - math.sin(e) - 2 * math.pi * share, 0, 2 * math.pi) if share else 0.0
    return 2 * math.sqrt(nodes) * math.cos(anomaly / 2)


def printed_quantile(share: float) -> float:
    """x0 in [0, 2] of theorems B.4 and B.5: ½x0·√(4 − x0²) + 2·asin(x0/2) = (1 − 2·share)π.

    The quantile of the semicircle law on [−2, 2] above which lies ``share`` = n_d/N of its mass; W's own edge is
    2√N, so that the printed ε stands for ε√N.

    Parameters
    ----------
    share : float
        n_d/N, in [0, ½].

    Raises
    ------
    ParameterError
        If the share is outside its range.
    """
    require(0 <= share <= 0.5, "share", share, "0 <= share <= 1/2")

    def excess(x: float) -> float:
        return x * math.sqrt(max(0.0, 4 - x * x)) / 2 + 2 * math.asin(x / 2) - (1 - 2 * share) * math.pi

    return _root(excess, 0.0, 2.0) if share else 2.0


def _atoms(p: GraphParameters) -> _Atoms:
    """The population's eigenvalues with their shares of all N."""
    return [(float(mode.eigenvalue), mode.multiplicity / p.nodes) for mode in spectrum(p)]


def _spread(p: GraphParameters, epsilon: float) -> float:
    """ε√N/c2 (c1 if all samples are difficult): the semicircle of the normalised noise ends at ± twice that."""
    c2, c1 = p.degrees
    return epsilon * math.sqrt(p.nodes) / float(c1 if p.n_d == p.n else c2)


def noisy_eigenvalue(p: GraphParameters, j: int, epsilon: float) -> float:
    """Asymptotic j-th largest eigenvalue of D^(−1/2)(A + εW)D^(−1/2): a prediction, not a bound.

    It is the quantile (j − ½)/N of the free additive convolution of the population's spectrum, N atoms
    x_i of weight w_i, with the semicircle of variance s² = ε²N/c2². That law has the density v(u)/(πs²) at
    u + s²·Re G(u + iv(u)), where G(ω) = Σ w_i/(ω − x_i) and v(u) >= 0 is the least with
    Σ w_i/((u − x_i)² + v²) <= 1/s². Above that point lies the mass

        (1/π)·(Σ w_i·arg(ω − x_i) + s²·Im G(ω)²/2),   ω = u + iv(u),

    the integral of the law's Stieltjes transform. For a single atom this is Kepler's equation.

    Parameters
    ----------
    p : GraphParameters
    j : int
        1 <= j <= N.
    epsilon : float
        ε >= 0; at 0 the exact eigenvalue.

    Raises
    ------
    ParameterError
        If j or epsilon is outside its range.

    References
    ----------
    Biane, "On the free convolution with a semi-circular distribution", 1997, for the density.
    """
    _require_level(epsilon)
    j = require_integer("j", j, 1, p.nodes)
    sigma = _spread(p, epsilon)
    if sigma < 1e-16 * float(formulas.bulk(p)):  # below rounding
        return float(nth_mode(spectrum(p), j).eigenvalue)
    atoms, variance, share = _atoms(p), sigma * sigma, (j - 0.5) / p.nodes

    def boundary(u: float) -> tuple[complex, complex]:
        squares = [((u - x) ** 2, w) for x, w in atoms]
        v = _root(lambda v: 1 - variance * sum(w / (d + v * v) for d, w in squares), 0, sigma)
        omega = complex(u, v)
        return omega, sum(w / (omega - x) for x, w in atoms)

    def missing(u: float) -> float:
        omega, transform = boundary(u)
        angles = sum(w * cmath.phase(omega - x) for x, w in atoms)
        return share - (angles + variance * (transform * transform).imag / 2) / math.pi

    values = [x for x, _ in atoms]
    omega, transform = boundary(_root(missing, min(values) - sigma, max(values) + sigma))
    return (omega + variance * transform).real


# --- detectability ---------------------------------------------------------------------------------


def _gap_sum(atoms: _Atoms, low: float, high: float) -> float:
    """Minimum of Σ w_i/(v − x_i)² over low < v < high, two neighbouring atoms; convex in between."""
    v = _root(lambda v: sum(w / (x - v) ** 3 for x, w in atoms), low, high)
    return sum(w / (x - v) ** 2 for x, w in atoms) if low < v < high else math.inf


def detection_constant(r: int, p: float) -> float:
    """κ: bridges separate from the noise bulk when r·g > κ·ε√N.

    Bridges, anti-bridges and the rest have the eigenvalues r·g, −g and 0 (unnormalised, from 1 − α) with the
    shares p, r·p and 1 − p(r+1). The noise turns these atoms into a law whose support has a gap inside
    (0, r·g) exactly if Σ w_i/(v − x_i)² < 1/(ε²N) for a v in it; with v = u·r·g,

        κ² = min over 0 < u < 1 of p/(1 − u)² + r·p/(u + 1/r)² + (1 − p(r+1))/u².

    Asymptotic, N → ∞ with the share p held fixed; κ → 1, the threshold of a single spike, as p → 0.

    Parameters
    ----------
    r : int
        Other classes, at least 1.
    p : float
        n_d/N, difficult samples per class over all nodes; 0 <= p <= 1/(r+1).

    Raises
    ------
    ParameterError
        If an argument is outside its range.

    References
    ----------
    Biane 1997 for the support; Baik, Ben Arous, Péché, "Phase transition of the largest eigenvalue", 2005,
    and Capitaine, Donati-Martin, Féral, Février, "Free convolution with a semicircular distribution and
    eigenvalues of spiked deformations of Wigner matrices", 2011, for single spikes.
    """
    r = require_integer("r", r, 1)
    require(0 <= p <= 1 / (r + 1), "p", p, f"0 <= p <= 1/(r+1) = {1 / (r + 1):.6g}")
    if p == 0:
        return 1.0
    return math.sqrt(_gap_sum([(1.0, p), (-1 / r, r * p), (0.0, max(0.0, 1 - p * (r + 1)))], 0.0, 1.0))


def detection_limits(p: GraphParameters) -> dict[str, float]:
    """The ε below which each mode above the bulk is separated from the noise bulk.

    A mode is separated if the support of the noisy law (``noisy_eigenvalue``) has a gap between it and the
    bulk, that is if Σ w_i/(v − x_i)² < 1/s² for some v between the two, over *all* population eigenvalues x_i
    with their shares w_i of N, s = ε√N/c2. With the strengths c2(x − x_bulk), which for large n are

        bridge r·g,   contrast (n_e/n)·m·r·g,   class modes n·a,

    the limit is strength/(κ√N). For bridges κ is ``detection_constant``. For contrast and class modes, whose
    multiplicities 1 and r do not grow, κ → 1 as N → ∞; at finite N their shares give about
    ((1−s)^(1/3) + s^(1/3))^(3/2) with s = 1/N or r/N. A contrast mode (matched) lies just below the bridges
    and separates from the bulk together with them.

    Asymptotic: no guarantee at finite N. Beyond the limit a mode's eigenvectors fade gradually and may stay
    correlated with the noisy ones; what is lost at once is the gap.

    Parameters
    ----------
    p : GraphParameters

    Returns
    -------
    dict of float
        By mode, those of ``class_upper``, ``contrast``, ``bridge`` that the graph has above its bulk; empty
        if there is no bulk (n = 1).
    """
    graph = replace(p.clean(), difficult=0) if p.is_clean else p
    modes, atoms = {mode.mode: float(mode.eigenvalue) for mode in spectrum(graph)}, _atoms(graph)
    noise_bulk = [value for name, value in modes.items() if name not in ("trivial", *SEPARABLE)]
    if not noise_bulk:
        return {}
    low = max(noise_bulk)
    limits = {}
    for name in SEPARABLE:
        if modes.get(name, low) > low:
            stops = sorted({x for x, _ in atoms if low <= x <= modes[name]})
            smallest = min(_gap_sum(atoms, *ends) for ends in pairwise(stops))
            limits[name] = 1 / (math.sqrt(smallest) * _spread(graph, 1))
    return limits


class Separation(NamedTuple):
    """How far a mode stood out in simulated noise, one entry a draw.

    Attributes
    ----------
    gap : array, shape (draws,)
        Largest gap between consecutive eigenvalues from the mode down to the bulk, in units of ε√N/c2.
    overlap : array, shape (draws,)
        Share of the mode's eigenspace that lies in the span of the noisy graph's leading eigenvectors, as
        many as the population has down to the mode; between 0 and 1.
    """

    gap: Array
    overlap: Array


def simulate_detection(
    p: GraphParameters, mode: str, epsilon: float, draws: int, rng: np.random.Generator
) -> Separation:
    """Draw noisy graphs and measure whether a mode separates from the noise bulk.

    Below the mode's limit (``detection_limits``) the gap is a fixed number of spreads, beyond it a spacing of
    order N^(−2/3).

    Parameters
    ----------
    p : GraphParameters
        At most 5000 nodes.
    mode : str
        A key of ``detection_limits(p)``.
    epsilon : float
        ε > 0.
    draws : int
        Number of noisy graphs, at least 1.
    rng : numpy.random.Generator

    Raises
    ------
    ParameterError
        If the graph has no such mode or another argument is outside its range.
    """
    import numpy as np
    from scipy.linalg import eigh

    separable = detection_limits(p)
    require(mode in separable, "mode", mode, "one of " + (", ".join(separable) or "none: the graph has no bulk"))
    require(math.isfinite(epsilon) and epsilon > 0, "epsilon", epsilon, "a finite number > 0")
    draws = require_integer("draws", draws, 1)

    modes = spectrum(p)
    names = [m.mode for m in modes]
    first = sum(m.multiplicity for m in modes[: names.index(mode)])
    last = first + modes[names.index(mode)].multiplicity
    outside = sum(m.multiplicity for m in modes if m.mode in ("trivial", *SEPARABLE))
    leading = (p.nodes - outside - 1, p.nodes - 1)

    def descending(matrix: Array) -> tuple[Array, Array]:
        values, vectors = eigh(matrix, subset_by_index=leading)
        return values[::-1], vectors[:, ::-1]

    population = noisy_adjacency(p, 0.0, np.zeros((p.nodes, p.nodes)))
    space = descending(population)[1][:, first:last]
    gaps, overlaps = np.empty(draws), np.empty(draws)
    for draw in range(draws):
        values, vectors = descending(noisy_adjacency(p, epsilon, sample_noise(p.nodes, rng)))
        gaps[draw] = -np.diff(values[last - 1 :]).min()
        overlaps[draw] = np.sum((vectors[:, :last].T @ space) ** 2) / (last - first)
    return Separation(gaps / _spread(p, epsilon), overlaps)


# --- bounds ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class NoisyBound:
    """A linear-probing error bound on a noisy graph.

    Bounds are None where their λ is missing or is not below 1.

    Parameters
    ----------
    eigenvalue_printed, bound_printed : float or None
        As printed, with ε√N in place of ε: eq. 3's or 4's λ plus x0·ε√N/c2, x0 from ``printed_quantile``; None for
        k < r + 1.
    eigenvalue_asymptotic, bound_asymptotic : float or None
        λᵣ₊₂ of the graph plus x0·ε/c2; None for k < r + 1.
    eigenvalue_guaranteed, bound_guaranteed : float or None
        λₖ₊₁(A) + ε‖W‖/c2 with the sampled norm; None if no norm was given.
    eigenvalue_predicted : float
        Where λₖ₊₁ of the noisy graph is to be expected (``noisy_eigenvalue``), not a bound.
    positive_semidefinite : bool
        Whether the smallest predicted eigenvalue is nonnegative. If not, no augmentation produces the noisy
        graph, and the bound's own premise fails.
    """

    eigenvalue_printed: float | None
    bound_printed: float | None
    eigenvalue_asymptotic: float | None
    bound_asymptotic: float | None
    eigenvalue_guaranteed: float | None
    bound_guaranteed: float | None
    eigenvalue_predicted: float
    positive_semidefinite: bool

    def to_json(self) -> dict[str, Any]:
        """Fields under their names in the JSON documents."""
        return {key.replace("eigenvalue", "lambda"): value for key, value in asdict(self).items()}


@dataclass(frozen=True)
class NoisyBounds:
    """The noisy versions of the clean and the difficult bound, and what remains detectable.

    Parameters
    ----------
    epsilon : float
        ε, standard deviation of the similarities within a group.
    x0 : float or None
        The quantile of W in the asymptotic bounds; None for k < r + 1.
    norm : float or None
        ‖W‖ of the sampled noise, if one was given.
    clean, difficult : NoisyBound
    detection_limits : mapping
        By mode, the ε below which it is separated from the noise bulk (asymptotic).
    """

    epsilon: float
    x0: float | None
    norm: float | None
    clean: NoisyBound
    difficult: NoisyBound
    detection_limits: dict[str, float]

    def to_json(self) -> dict[str, Any]:
        """The object under ``noise`` in the bounds command's document."""
        return {
            "epsilon": self.epsilon,
            "degrees": "population",
            "x0": self.x0,
            "norm": self.norm,
            "bounds": {"clean": self.clean.to_json(), "difficult": self.difficult.to_json()},
            "detectability": {
                mode: {"limit": limit, "detectable": self.epsilon < limit}
                for mode, limit in self.detection_limits.items()
            },
        }


def noisy_bounds(
    p: GraphParameters,
    dim: int,
    delta: float,
    epsilon: float,
    norm: float | None = None,
    estimate: QuantileEstimate = "cautious",
) -> NoisyBounds:
    """The noisy clean and noisy difficult bound, asymptotic and, with a sampled norm, guaranteed.

    Weyl: λₖ₊₁(X + Y) <= λᵣ₊₂(X) + λₖ₋ᵣ(Y) with X = D^(−1/2) A D^(−1/2), Y = ε·D^(−1/2) W D^(−1/2) and
    D the population's degrees. By Ostrowski's theorem
    λ_j(Y) lies between ελ_j(W)/c1 and ελ_j(W)/c2, so λ gains x0·ε/c2 for x0 >= 0 and x0·ε/c1 otherwise, x0
    the ``semicircle_quantile`` of index k − r: asymptotic, and an estimate rather than a bound, for the sampled
    λₖ₋ᵣ(W) exceeds even the cautious x0 at a quarter of the indices.

    The guarantee λₖ₊₁(X) + ε‖W‖/c2 holds for the graph whose noise W was sampled, at every k.

    Parameters
    ----------
    p : GraphParameters
    dim : int
        k, output width of the network the loss is applied to; 1 <= k <= N - 1.
    delta : float
        Labelling error in [0, 1].
    epsilon : float
        ε >= 0.
    norm : float, optional
        ‖W‖ of a sample, from ``operator_norm``; it must not be underestimated.
    estimate : {"cautious", "median"}
        Estimate of x0.

    Raises
    ------
    ParameterError
        If an argument is outside its range.

    References
    ----------
    Zhang et al., ICLR 2026, arXiv 2501.01317v2, theorems B.4 and B.5.
    """
    dim = require_integer("dim", dim, 1, p.nodes - 1, limit=", fewer than the N samples")
    require_share("delta", delta)
    _require_level(epsilon)
    require(norm is None or (math.isfinite(norm) and norm >= 0), "norm", norm, "a finite number >= 0")
    x0 = semicircle_quantile(dim - p.r, p.nodes, estimate) if dim > p.r else None
    printed_x0, clean = printed_quantile(p.n_d / p.nodes) * math.sqrt(p.nodes), formulas.clean_bulk(p)

    def bound(graph: GraphParameters) -> NoisyBound:
        c2, c1 = (graph.clean() if graph.is_clean else graph).degrees

        def value(eigenvalue: float | None) -> float | None:
            possible = eigenvalue is not None and eigenvalue < 1
            return formulas.probing_bound(eigenvalue, delta) if possible else None

        printed = asymptotic = guaranteed = None
        modes = spectrum(graph)
        if x0 is not None:
            asymptotic = nth_mode(modes, p.r + 2).eigenvalue + x0 * epsilon / (c2 if x0 >= 0 else c1)
            printed = (clean if graph.is_clean else formulas.difficult(graph)) + printed_x0 * epsilon / c2
        if norm is not None:
            guaranteed = nth_mode(modes, dim + 1).eigenvalue + epsilon * norm / c2
        return NoisyBound(
            printed,
            value(printed),
            asymptotic,
            value(asymptotic),
            guaranteed,
            value(guaranteed),
            noisy_eigenvalue(graph, dim + 1, epsilon),
            noisy_eigenvalue(graph, p.nodes, epsilon) > -1e-9 * formulas.bulk(graph),  # rounding
        )

    return NoisyBounds(epsilon, x0, norm, bound(p.clean()), bound(p), detection_limits(p))
