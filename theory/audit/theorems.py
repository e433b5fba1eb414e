"""What the paper prints, beside what its graph really has.

One function per formula, for one graph (and k); with fractions all but what is sampled or minimised is exact.
The rows of ``theory.audit`` take the printed formulas as parameters, so that a test can put a wrong one in.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any, NamedTuple

from theory import exact, formulas
from theory.kinds import PerKind, Sqrt, paper_weights, roots
from theory.params import GraphParameters
from theory.spectrum import nth_mode, spectrum

# --- eigenvalues -----------------------------------------------------------------------------------


def kth_eigenvalue(p: GraphParameters, dim: int) -> Any:
    """λₖ₊₁ of a graph with fractions, exactly."""
    return nth_mode(spectrum(p, exact.sqrt), dim + 1).eigenvalue


def class_upper(p: GraphParameters) -> Any:
    """The upper class mode of a graph with fractions, exactly."""
    return next(mode.eigenvalue for mode in spectrum(p, exact.sqrt) if mode.mode == "class_upper")


def exceeds_printed(p: GraphParameters) -> bool:
    """Whether λᵣ₊₂ exceeds eq. 4's λ, by the certified polynomials; 1 <= n_d < n and γ > β."""
    above = formulas.class_over_printed(p) > 0 or formulas.strictly_worse(p) <= 0
    return bool(formulas.contrast_over_printed(p) > 0 and above)


def labels_survive(p: GraphParameters, dim: int) -> bool:
    """Whether the k leading modes hold all class modes, for 1 <= n_d < n and k >= r + 1."""
    return bool(dim > p.r + 1 or class_upper(p) > formulas.contrast(p))


# --- the paper's conditions and constants ----------------------------------------------------------


def removal_threshold(p: Any) -> Any:
    """γ − β beyond which eq. 5's bound is below eq. 4's: n_d(1−α)(α+rγ)/(r[(1−α)+(n−n_d)(α+rβ)])."""
    own, b = 1 - p.alpha, p.alpha + p.r * p.beta
    return p.n_d * own * (p.alpha + p.r * p.gamma) / (p.r * (own + (p.n - p.n_d) * b))


def temperature_wins(p: Any) -> Any:
    """Positive where n_d < √(r/((α+rβ)(γ+β)))·β·√n, squared: r·β²·n − n_d²(α+rβ)(γ+β)."""
    return p.r * p.beta * p.beta * p.n - p.n_d * p.n_d * (p.alpha + p.r * p.beta) * (p.gamma + p.beta)


def temperature_factor(p: Any) -> Any:
    """1 − (n_d/n)² + (γ/β)²(n_d/n)² of eq. 11."""
    share, ratio = p.n_d * p.n_d / (p.n * p.n) * Fraction(1), p.gamma / p.beta
    return 1 - share + ratio * ratio * share


def temperature_bound(p: Any, delta: Any) -> Any:
    """Eq. 11: 4·factor·δ/(1 − λ_clean) + 8δ."""
    return formulas.probing_bound(formulas.clean_bulk(p), delta) + formulas.temperature_excess(p, delta)


def lower_bound(p: Any, constant: Any) -> Any:
    """Eq. 66's right side, with φ for the labelling error and C for the sum of the |b_i|²."""
    c1, own, across = formulas.difficult_degree(p), 1 - p.alpha, p.r * (p.gamma - p.beta)
    bracket = formulas.cross_mass(p) / 2 - 1 + (own + across) / c1 * constant
    return bracket / (1 - (own - across) / c1)


def lower_bound_trend(p: Any) -> Any:
    """The factor that eq. 66's text says rises with γ − β: [(1−α)+r·g]/(c1 − (1−α) + r·g)."""
    own, across = 1 - p.alpha, p.r * (p.gamma - p.beta)
    return (own + across) / (formulas.difficult_degree(p) - own + across)


def noise_limit(p: Any, of: Any = formulas.difficult) -> Any:
    """Remark 2's largest x0·ε: (1 − λ)c2, with eq. 4's λ."""
    return (1 - of(p)) * formulas.easy_degree(p)


# --- remedies as identities ------------------------------------------------------------------------


def with_margins(p: Any, sqrt: Sqrt, margins: PerKind | None = None) -> tuple[PerKind, PerKind]:
    """Ā − M̄ and the clean Ā by kind of pair, in any type of numbers."""
    root, margins = roots(p.degrees, sqrt), formulas.margins(p, sqrt) if margins is None else margins
    return p.weights.combine(lambda weight, root, m: weight / root - m * root, root, margins), _clean_entries(p)


def with_temperatures(p: Any, sqrt: Sqrt, factors: PerKind | None = None) -> tuple[PerKind, PerKind]:
    """T∘Ā and the clean Ā by kind of pair, in any type of numbers; needs γ > 0."""
    root, factors = roots(p.degrees, sqrt), formulas.temperatures(p, sqrt) if factors is None else factors
    return p.weights.combine(lambda weight, root, t: t * weight / root, root, factors), _clean_entries(p)


def _clean_entries(p: Any) -> PerKind:
    """The clean graph's Ā by kind of pair: its weights over c2."""
    c2 = formulas.easy_degree(p)
    return paper_weights(p.alpha, p.beta, p.beta, p.pairing).combine(lambda weight: weight / c2)


class PairTerm(NamedTuple):
    """One pair's term of the loss and of the factorisation."""

    loss: Any
    factorised: Any


def loss_identity(weight: Any, degrees: tuple[Any, Any], product: Any, margin: Any = 0, tau: Any = 1) -> PairTerm:
    """One pair's term of the loss and of the factorisation, which may differ by a constant only (eqs. 2, 6, 9).

    With pair weight w, degrees d, d' and inner product s of the features the loss has −2w·s/τ + d·d'(s/τ + m)²;
    the factorisation (τ·Ā − M̄ − F·Fᵀ)²/τ² has Ā = w/√(d·d'), M̄ = τ·m·√(d·d') and F·Fᵀ = √(d·d')·s. The product
    √(d·d')·Ā = w lets the square be written without a root.
    """
    d = degrees[0] * degrees[1]
    target = tau * weight - tau * margin * d
    loss = -2 * weight * product / tau + d * (product / tau + margin) ** 2
    return PairTerm(loss, (target - d * product) ** 2 / (d * tau**2))


def loss_as_41_begins(weight: Any, degrees: tuple[Any, Any], product: Any, tau: Any) -> Any:
    """One pair's term of the first line of eq. 41, which lacks the −2 of eq. 40."""
    return weight * product / tau + degrees[0] * degrees[1] * (product / tau) ** 2


# --- the temperature theorem's lemmas --------------------------------------------------------------


class Probe(NamedTuple):
    """Left and right side of an inequality."""

    left: Any
    right: Any


def rayleigh_two_nodes(tau: Any) -> Probe:
    """Lemma B.2 for two nodes of equal weights, L = ½[[1, −1], [−1, 1]], k = 1, temperatures (1, τ) and u = τ∘v_1.

    Left: the smallest of ‖u − b·v_1‖²_w over all b; right: R̃(u)‖u‖²/(1 − λ_2) = ũᵀLũ/(1 − λ_2), ũ = u/τ.
    """
    u, weights = (1, tau), (1, 1 / (tau * tau))  # in units of v_1 = (1, 1)/√2
    b = sum(w * x for w, x in zip(weights, u, strict=True)) / sum(weights)
    left = sum(w * (x - b) ** 2 for w, x in zip(weights, u, strict=True)) / 2
    scaled = (u[0], u[1] / tau)
    return Probe(left, (scaled[0] - scaled[1]) ** 2 / 4 / Fraction(1))


def cut_two_nodes(tau: Any) -> Probe:
    """Lemma B.3 for the same nodes, both with label i: R̃(u) beside ½φ̃, which is 0."""
    scaled = (1, 1 / tau)
    return Probe((scaled[0] - scaled[1]) ** 2 / 4, Fraction(0))


def probing_two_nodes(beta: Any, tau: Any) -> tuple[Probe, Probe, Probe]:
    """Lemma B.1 (eqs. 42, 44) and eq. 55 for two nodes of different classes, weights 1 and β, τ across, k = 1.

    Whatever the one feature is, the squared distance of the labels is ½: it leaves one of two equal singular
    values. Both features have the same sign, so the probe errs on one node: ½ as well. Half of the datum that
    both nodes share has each label: Δ = φ = β/(1 + β).
    """
    phi = beta / (1 + beta)
    cost = phi / (tau * tau) / (2 * phi)  # φ̃/(1 − λ_2)
    half = Fraction(1, 2)
    return Probe(half, cost + 4 * phi), Probe(half, 2 * cost + 8 * phi), Probe(half, cost / 2)


def weighted_share(p: Any) -> Any:
    """φ̃/φ for eq. 57's temperatures on the block graph, which eq. 60 takes for at most ``temperature_factor``."""
    c1, c2, n_e, ratio = formulas.difficult_degree(p), formulas.easy_degree(p), p.n - p.n_d, p.gamma / p.beta
    scale = c2 / c1
    weighted = (n_e * n_e + 2 * n_e * p.n_d * scale) * p.beta + p.n_d * p.n_d * p.gamma * (ratio * scale) ** 2
    return weighted / (p.n * p.n * p.beta + p.n_d * p.n_d * (p.gamma - p.beta))


class WeightedProbe(NamedTuple):
    """What the minimiser of the temperature loss does, beside eq. 11, with δ = φ/2: the smallest there can be."""

    error: float
    distance: float
    angle: float
    loss_factor: float


def weighted_probe(p: GraphParameters, dim: int) -> WeightedProbe:
    """The minimiser of the temperature loss, from more starts until its loss factor is at most 1.

    ``error``: share of samples whose class the least-squares probe misses, plus φ/2. ``distance``: 2·min‖U − F·B‖²,
    which the proof bounds by eq. 11's first term. ``angle``: sine of the largest angle to the clean graph's k
    leading eigenvectors.
    """
    import numpy as np

    from theory.graph import SimilarityGraph
    from theory.mitigation import target, weighted_factorisation

    for starts in (3, 12, 48):
        found = weighted_factorisation(p, dim, starts)
        if found.loss_factor <= 1 + 1e-6:
            break
    degrees = SimilarityGraph(p).degrees()
    weights = degrees / degrees.sum()
    classes = np.repeat(np.arange(p.classes), p.n)
    labels = np.eye(p.classes)[classes] * np.sqrt(weights)[:, None]
    fitted = found.features @ np.linalg.lstsq(found.features, labels)[0]
    wrong = float(weights[fitted.argmax(axis=1) != classes].sum())
    leading = np.linalg.eigh(target(p.clean()).matrix())[1][:, -dim:]
    span = np.linalg.qr(found.features)[0]
    angle = float(np.linalg.norm(span - leading @ (leading.T @ span), 2))
    return WeightedProbe(wrong + float(formulas.cross_mass(p)) / 2, found.first_term, angle, found.loss_factor)


def probe_misses(p: GraphParameters, dim: int) -> float:
    """Share of samples whose class a least-squares probe misses on the k leading modes of Ā."""
    import numpy as np

    from theory.graph import SimilarityGraph

    graph = SimilarityGraph(p)
    vectors = np.linalg.eigh(graph.normalized_adjacency())[1][:, -dim:]
    degrees = graph.degrees()
    classes = np.repeat(np.arange(p.classes), p.n)
    labels = np.eye(p.classes)[classes] * np.sqrt(degrees)[:, None]
    fitted = vectors @ (vectors.T @ labels)
    return float((fitted.argmax(axis=1) != classes).mean())


# --- noise -----------------------------------------------------------------------------------------


def noisy_gain(p: GraphParameters, dim: int, epsilon: float, seed: int) -> float:
    """(λₖ₊₁ of a sampled noisy graph − eq. 3's or eq. 4's λ)·c2/ε: what x0 is said to bound."""
    import numpy as np

    from theory import noise

    sample = noise.sample_noise(p.nodes, np.random.default_rng(seed))
    values = np.linalg.eigvalsh(noise.noisy_adjacency(p, epsilon, sample))[::-1]
    base = formulas.clean_bulk(p) if p.is_clean else formulas.difficult(p)
    return (float(values[dim]) - float(base)) * float(formulas.easy_degree(p)) / epsilon


# --- tables ----------------------------------------------------------------------------------------

TABLE_10 = (  # α, β, γ, eigenvalue, by mixing ratio 0, 10, 20, 30 %
    (0.472, 0.191, 0.209, 2.93e-5),
    (0.440, 0.195, 0.221, 3.36e-5),
    (0.412, 0.201, 0.231, 3.58e-5),
    (0.387, 0.208, 0.241, 3.72e-5),
)
TABLE_10_SIZE = 10_700  # n, not printed: the whole number of hundreds that fits best
REMARK_1 = {0.08 / 10: 1.894, 0.08 / 100: 1.976, 0.08 / 1000: 1.995}  # x0 by n_d/N


def table_10_graph(row: int, n: int = TABLE_10_SIZE) -> GraphParameters:
    """The three-level graph of one row: ten classes, 8 % difficult."""
    alpha, beta, gamma, _ = TABLE_10[row]
    return GraphParameters(alpha, beta, gamma, n, 10, round(0.08 * n))


def pair_test_rejections(draws: int = 40, samples: int = 80, difficult: int = 8, shared: float = 1.0) -> float:
    """How often Welch's t over pairs rejects at 5 % where the difficult samples were drawn by lot.

    The similarity of a pair is the mean of an effect of each of its samples, times ``shared``, plus an independent
    part; pairs with a difficult sample are compared with the others.
    """
    import numpy as np

    rng = np.random.default_rng(0)
    first, second = np.triu_indices(samples, 1)
    rejected = 0
    for _ in range(draws):
        effects = rng.standard_normal(samples)
        values = shared * (effects[first] + effects[second]) / 2 + rng.standard_normal(len(first))
        chosen = np.zeros(samples, dtype=bool)
        chosen[rng.permutation(samples)[:difficult]] = True
        hard = chosen[first] | chosen[second]
        groups = values[hard], values[~hard]
        spread = math.sqrt(sum(float(group.var(ddof=1)) / len(group) for group in groups))
        rejected += abs(float(groups[0].mean() - groups[1].mean())) > 1.96 * spread
    return rejected / draws


# --- InfoNCE ---------------------------------------------------------------------------------------


def infonce_gradient(weight: Any, degrees: tuple[Any, Any], exponential: Any, normaliser: Any) -> Any:
    """Derivative of the population InfoNCE in τ times one pair's similarity: −w + d·d'·e^(s/τ)/Z, Z of the anchor."""
    return -weight + degrees[0] * degrees[1] * exponential / normaliser
