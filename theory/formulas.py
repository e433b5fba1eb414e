"""Every closed form of the three-level similarity graph, written once.

The functions take any object with the attributes ``alpha, beta, gamma, n, r, n_d, neighbours`` whose
values are numbers of one kind: floats, fractions, arrays, symbols. Nothing here branches, so the
degenerate graphs (no difficult or no easy samples) are left to the callers. In the docstrings

    g = γ − β,  a = α − β,  b = α + rβ,  n_e = n − n_d,
    m = γ-neighbours per other class: 1 (matched) or n_d (block).

Where a mode or a remedy is described without a source, it follows from the graph's invariance under
permutations of the classes, of the difficult and of the easy samples (docs/theory.md derives it).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

Number = Any
Sqrt = Callable[[Any], Any]


class Degrees(NamedTuple):
    """Row sums of the weight matrix, by kind of node."""

    easy: Number
    difficult: Number


class PerPair(NamedTuple):
    """A remedy's value for each kind of pair, in the order of the paper's case distinction."""

    paired: Number
    difficult_diagonal: Number
    same_class_both_difficult: Number
    unpaired_both_difficult: Number
    same_class_one_difficult: Number
    different_class_one_difficult: Number
    both_easy: Number


# --- degrees ---------------------------------------------------------------------------------------


def easy_degree(p: Any) -> Number:
    """c2 = (1 − α) + n·b."""
    return (1 - p.alpha) + p.n * (p.alpha + p.r * p.beta)


def degrees(p: Any) -> Degrees:
    """c2, and c1 = c2 + m·r·g."""
    easy = easy_degree(p)
    return Degrees(easy, easy + p.neighbours * p.r * (p.gamma - p.beta))


# --- eigenvalues of the normalised adjacency -------------------------------------------------------


def bulk(p: Any) -> Number:
    """(1 − α)/c2: differences between easy samples of a class; also the clean graph's λ_{k+1}."""
    return (1 - p.alpha) / easy_degree(p)


def clean_class(p: Any) -> Number:
    """((1 − α) + n·a)/c2: the clean graph's class modes, its λ_2 to λ_{r+1}."""
    return ((1 - p.alpha) + p.n * (p.alpha - p.beta)) / easy_degree(p)


def contrast(p: Any) -> Number:
    """1 − n_e·b/c1 − n_d·b/c2: easy against difficult samples."""
    c2, c1 = degrees(p)
    b = p.alpha + p.r * p.beta
    return 1 - (p.n - p.n_d) * b / c1 - p.n_d * b / c2


def bridge(p: Any) -> Number:
    """((1 − α) + r·g)/c1: groups of matched difficult samples across the classes."""
    return ((1 - p.alpha) + p.r * (p.gamma - p.beta)) / degrees(p).difficult


def anti_bridge(p: Any) -> Number:
    """((1 − α) − g)/c1: differences inside a group of matched difficult samples."""
    return ((1 - p.alpha) - (p.gamma - p.beta)) / degrees(p).difficult


def within_difficult(p: Any) -> Number:
    """(1 − α)/c1: differences between difficult samples of a class (block pairing)."""
    return (1 - p.alpha) / degrees(p).difficult


def class_block(p: Any) -> tuple[Number, Number, Number]:
    """Diagonal and squared off-diagonal entry of the 2×2 block that separates the classes.

    Returns ((1−α) + n_d·a − m·g)/c1, ((1−α) + n_e·a)/c2 and n_d·n_e·a²/(c1·c2).
    """
    c2, c1 = degrees(p)
    a, n_e = p.alpha - p.beta, p.n - p.n_d
    difficult = ((1 - p.alpha) + p.n_d * a - p.neighbours * (p.gamma - p.beta)) / c1
    easy = ((1 - p.alpha) + n_e * a) / c2
    return difficult, easy, p.n_d * n_e * a * a / (c1 * c2)


def class_modes(p: Any, sqrt: Sqrt) -> tuple[Number, Number]:
    """Upper and lower eigenvalue of ``class_block``."""
    difficult, easy, coupling = class_block(p)
    middle, half = (difficult + easy) / 2, (difficult - easy) / 2
    spread = sqrt(half * half + coupling)
    return middle + spread, middle - spread


# --- bounds on the linear-probing error ------------------------------------------------------------


def removal(p: Any) -> Number:
    """The clean graph's λ_{k+1} after n → n − n_d (the paper's removal corollary)."""
    return (1 - p.alpha) / ((1 - p.alpha) + (p.n - p.n_d) * (p.alpha + p.r * p.beta))


def removal_class(p: Any) -> Number:
    """The clean graph's class modes after n → n − n_d."""
    n_e = p.n - p.n_d
    return ((1 - p.alpha) + n_e * (p.alpha - p.beta)) / ((1 - p.alpha) + n_e * (p.alpha + p.r * p.beta))


def probing_bound(eigenvalue: Number, delta: Number) -> Number:
    """4δ/(1 − λ) + 8δ (HaoChen et al. 2021, theorem 3.8 as the paper uses it)."""
    return 4 * delta / (1 - eigenvalue) + 8 * delta


def probing_excess(eigenvalue: Number, reference: Number, delta: Number) -> Number:
    """``probing_bound(eigenvalue) - probing_bound(reference)`` without cancellation."""
    return 4 * delta * (eigenvalue - reference) / ((1 - eigenvalue) * (1 - reference))


def temperature_excess(p: Any, delta: Number) -> Number:
    """What the temperature bound adds to the clean one: 4·(n_d/n)²·((γ/β)² − 1)·δ/(1 − λ_clean)."""
    ratio = p.gamma / p.beta
    return 4 * (ratio * ratio - 1) * (p.n_d * p.n_d) / (p.n * p.n) * delta / (1 - bulk(p))


def labelling_error(p: Any) -> Number:
    """r(n²β + n_d·m·g)/(n·c2 + n_d·m·r·g): the graph's own δ, equal to its cross-class edge mass."""
    extra = p.n_d * p.neighbours * (p.gamma - p.beta)
    return p.r * (p.n * p.n * p.beta + extra) / (p.n * easy_degree(p) + p.r * extra)


# --- conditions: each is positive exactly where the sentence holds -----------------------------------


def semidefinite_slack(p: Any) -> Number:
    """The lower class mode is not negative: (1−α)((1−α)+n·a) − m·g((1−α)+n_e·a) >= 0."""
    own, a = 1 - p.alpha, p.alpha - p.beta
    return own * (own + p.n * a) - p.neighbours * (p.gamma - p.beta) * (own + (p.n - p.n_d) * a)


def class_over_bridge(p: Any) -> Number:
    """The upper class mode exceeds the bridge (1 <= n_d < n, matched): a[n_d·n·r·b + (r+1)n_e·c1] − (r+1)n·r·b·g."""
    a, n_e, c1 = p.alpha - p.beta, p.n - p.n_d, degrees(p).difficult
    rb = p.r * (p.alpha + p.r * p.beta)
    return a * (p.n_d * p.n * rb + (p.r + 1) * n_e * c1) - (p.r + 1) * p.n * rb * (p.gamma - p.beta)


def removal_gain(p: Any) -> Number:
    """The difficult bound exceeds the removal bound: r(n − n_d)g − n_d(1 − α)."""
    return p.r * (p.n - p.n_d) * (p.gamma - p.beta) - p.n_d * (1 - p.alpha)


def removal_gain_at_contrast(p: Any) -> Number:
    """The contrast mode exceeds the removal bound's λ: n_e·r·g((1−α) + n_e·b) − (1−α)n_d·c1."""
    n_e, own, b = p.n - p.n_d, 1 - p.alpha, p.alpha + p.r * p.beta
    return n_e * p.r * (p.gamma - p.beta) * (own + n_e * b) - own * p.n_d * degrees(p).difficult


def temperature_gain(p: Any) -> Number:
    """The difficult bound exceeds the temperature bound (matched): r·β²·n² − n_d²(γ + β)c2."""
    return p.r * p.beta * p.beta * (p.n * p.n) - p.n_d * p.n_d * (p.gamma + p.beta) * easy_degree(p)


# --- remedies --------------------------------------------------------------------------------------


def margins(p: Any, sqrt: Sqrt) -> PerPair:
    """Margins that turn the normalised adjacency into the clean one, (Ā − Ā_clean)/√(w w')."""
    c2, c1 = degrees(p)
    both, mixed = (1 / c1 - 1 / c2) / c1, (1 / sqrt(c1 * c2) - 1 / c2) / sqrt(c1 * c2)
    return PerPair(
        paired=(p.gamma - p.beta) * (c2 - p.neighbours * p.r * p.beta) / (c1 * c1 * c2),
        difficult_diagonal=both,
        same_class_both_difficult=p.alpha * both,
        unpaired_both_difficult=p.beta * both,
        same_class_one_difficult=p.alpha * mixed,
        different_class_one_difficult=p.beta * mixed,
        both_easy=0 * both,
    )


def temperatures(p: Any, sqrt: Sqrt) -> PerPair:
    """Temperature factors ρ with Ā∘ρ equal to the clean normalised adjacency; needs γ > 0."""
    c2, c1 = degrees(p)
    both, mixed = c1 / c2, sqrt(c1 / c2)
    return PerPair(
        paired=both * (p.beta / p.gamma),
        difficult_diagonal=both,
        same_class_both_difficult=both,
        unpaired_both_difficult=both,
        same_class_one_difficult=mixed,
        different_class_one_difficult=mixed,
        both_easy=both / both,
    )


def margin_sigma(p: Any) -> Number:
    """σ* = g(c2 − m·r·β)/c2: the margin in cosine units that moves γ onto β."""
    c2 = easy_degree(p)
    return (p.gamma - p.beta) * (c2 - p.neighbours * p.r * p.beta) / c2


def temperature_rho(p: Any) -> Number:
    """ρ* = (c1/c2)(β/γ): the factor on the temperature of difficult pairs; needs γ > 0."""
    c2, c1 = degrees(p)
    return (c1 / c2) * (p.beta / p.gamma)


def difficult_pair_share(p: Any) -> Number:
    """(r/(r+1))·(n_d/n)²: the share of all pairs that join difficult samples of different classes."""
    share = p.n_d / p.n
    return share * share * p.r / (p.r + 1)
