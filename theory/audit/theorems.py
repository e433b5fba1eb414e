"""The statements of the paper, as quoted in secondary sources, beside what the graph really does.

One function per theorem returns ``(computed, stated)`` for one graph and one k; with fractions both are exact,
but for the temperature bound and the noise, which are computed numerically. ``theory.audit`` turns them into
verdicts.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from theory import exact, formulas
from theory.bounds import difficult_range
from theory.kinds import PerKind, Sqrt, paper_weights, roots
from theory.params import GraphParameters
from theory.spectrum import nth_mode, spectrum


def kth_eigenvalue(p: GraphParameters, dim: int) -> Any:
    """λ_{k+1} of a graph with fractions, exactly."""
    return nth_mode(spectrum(p, exact.sqrt), dim + 1).eigenvalue


def clean(p: GraphParameters, dim: int) -> tuple[Any, Any]:
    """λ_{k+1} of the clean graph: (1 − α)/c2 (P Thm 3.3)."""
    return kth_eigenvalue(p.clean(), dim), formulas.bulk(p)


def difficult(p: GraphParameters, dim: int) -> tuple[Any, Any]:
    """λ_{k+1} with difficult examples: ((1 − α) + r·g)/c1 (P Thm 3.4)."""
    return kth_eigenvalue(p, dim), formulas.bridge(p)


def difficult_hurts(p: GraphParameters, dim: int) -> tuple[bool, bool]:
    """Whether λ_{k+1} exceeds the clean graph's: stated for r+1 <= k < n_d+r+1 (P Thm 3.4)."""
    return kth_eigenvalue(p, dim) > kth_eigenvalue(p.clean(), dim), dim in difficult_range(p)


def removal(p: GraphParameters, dim: int) -> tuple[Any, Any]:
    """λ_{k+1} after removing the difficult samples: (1 − α)/((1 − α) + (n − n_d)b) (P Cor 4.1)."""
    return kth_eigenvalue(p.without_difficult(), dim), formulas.removal(p)


def removal_condition(p: GraphParameters, dim: int) -> tuple[bool, bool]:
    """Whether removal lowers the bound: quoted as γ − β > n_d(1 − α)/(n·r·(n − n_d)) (P Cor 4.1)."""
    stated = p.gamma - p.beta > p.n_d * (1 - p.alpha) / (p.n * p.r * (p.n - p.n_d))
    return formulas.bridge(p) > formulas.removal(p), stated


def margin_constant(p: GraphParameters, dim: int) -> tuple[Any, Any]:
    """The margin of paired samples: quoted as c0·g/(c1²c2), c0 = (1−α) + nα + (n − n_d)rβ (P Thm 4.3)."""
    c2, c1 = p.degrees
    quoted = (1 - p.alpha) + p.n * p.alpha + (p.n - p.n_d) * p.r * p.beta
    return formulas.margins(p, exact.sqrt).paired, quoted * (p.gamma - p.beta) / (c1 * c1 * c2)


def temperature_condition(p: GraphParameters, dim: int) -> tuple[bool, bool]:
    """Whether the temperature bound is below the difficult one: quoted for n_d of the order √n, n_d² <= n."""
    clean_lambda = formulas.bulk(p)
    gain = formulas.probing_excess(formulas.bridge(p), clean_lambda, 1) - formulas.temperature_excess(p, 1)
    return gain > 0, p.n_d * p.n_d <= p.n


def monotonicity(p: GraphParameters, dim: int) -> tuple[bool, bool]:
    """Whether the bridge rises when γ alone does (halfway to α): stated (P section 3)."""
    raised = replace(p, gamma=(p.gamma + p.alpha) / 2)
    return formulas.bridge(raised) > formulas.bridge(p), True


def margin(p: GraphParameters, dim: int) -> tuple[Any, Any]:
    """Entries of Ā − M̄ by kind of pair: those of the clean Ā (P Thm 4.2, 4.3)."""
    return with_margins(p, exact.sqrt)


def with_margins(p: Any, sqrt: Sqrt) -> tuple[PerKind, PerKind]:
    """Ā − M̄ and the clean Ā by kind of pair, in any type of numbers."""
    root, margins = roots(p.degrees, sqrt), formulas.margins(p, sqrt)
    return p.weights.combine(lambda weight, root, m: weight / root - m * root, root, margins), _clean_entries(p)


def temperature(p: GraphParameters, dim: int) -> tuple[Any, Any]:
    """Entries of T∘Ā by kind of pair: those of the clean Ā; none for β = 0 < γ (P Thm 4.4)."""
    return (None, _clean_entries(p)) if p.beta == 0 else with_temperatures(p, exact.sqrt)


def with_temperatures(p: Any, sqrt: Sqrt) -> tuple[PerKind, PerKind]:
    """T∘Ā and the clean Ā by kind of pair, in any type of numbers; needs γ > 0."""
    root, factors = roots(p.degrees, sqrt), formulas.temperatures(p, sqrt)
    return p.weights.combine(lambda weight, root, t: t * weight / root, root, factors), _clean_entries(p)


def temperature_bound(p: GraphParameters, dim: int) -> tuple[float, float]:
    """What weighting pairs by 1/τ² costs: the loss's true factor beside 1−(n_d/n)²+(γ/β)²(n_d/n)² (P Thm 4.5)."""
    from theory.mitigation import weighted_factorisation

    found = weighted_factorisation(p, dim)
    return found.loss_factor, found.stated_factor


def noisy(p: GraphParameters, dim: int, epsilon: float, seed: int) -> tuple[float, float]:
    """λ_{k+1} of a sampled noisy graph beside λ + x0·ε/c2 (P Thm B.4 for a clean graph, B.5)."""
    import numpy as np

    from theory import noise

    sample = noise.sample_noise(p.nodes, np.random.default_rng(seed))
    values = np.linalg.eigvalsh(noise.noisy_adjacency(p, epsilon, sample))[::-1]
    stated = noise.noisy_bounds(p, dim, 0, epsilon).difficult.eigenvalue_asymptotic
    assert stated is not None, "k >= r + 1"
    return float(values[dim]), stated


def loss_identity(
    weight: Any, degrees: tuple[Any, Any], product: Any, margin: Any = 0, tau: Any = 1
) -> tuple[Any, Any]:
    """One pair's term of the loss and of the factorisation, which may differ by a constant only.

    With pair weight w, degrees d, d' and inner product s of the features the loss has −2w·s/τ + d·d'(s/τ + m)²;
    the factorisation (τ·Ā − M̄ − F·Fᵀ)²/τ² has Ā = w/√(d·d'), M̄ = τ·m·√(d·d') and F·Fᵀ = √(d·d')·s. The product
    √(d·d')·Ā = w lets the square be written without a root.
    """
    d = degrees[0] * degrees[1]
    target = tau * weight - tau * margin * d
    loss = -2 * weight * product / tau + d * (product / tau + margin) ** 2
    return loss, (target - d * product) ** 2 / (d * tau**2)


def labelling_error(p: GraphParameters, dim: int) -> tuple[Any, Any]:
    """δ of the graph and of the clean graph: taken for equal when the bounds are compared."""
    return formulas.cross_mass(p), formulas.cross_mass(p.clean())


def _clean_entries(p: Any) -> PerKind:
    """The clean graph's Ā by kind of pair: its weights over c2."""
    c2 = formulas.easy_degree(p)
    return paper_weights(p.alpha, p.beta, p.beta, p.pairing).combine(lambda weight: weight / c2)


def realisability(p: GraphParameters, dim: int) -> tuple[bool, bool]:
    """Whether an augmentation produces the graph: taken for granted for 0 <= β < γ < α < 1 (P section 3)."""
    smallest = min(mode.eigenvalue for mode in spectrum(p, exact.sqrt))
    return smallest >= 0, True


def class_direction(p: GraphParameters, dim: int) -> tuple[bool, bool]:
    """Whether the r+1 leading modes are the trivial and the class modes: implied by k >= r+1 in P section 3."""
    leading = {mode.mode for mode in spectrum(p, exact.sqrt)[:2]}
    return leading == {"trivial", "class_upper"}, True
