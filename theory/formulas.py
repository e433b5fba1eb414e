"""Every closed form of the similarity graph, written once.

The functions take a ``theory.kinds.Graph``, whose values are numbers of one type: floats, fractions, arrays,
symbols. Those about modes hold for any weights by kind of pair; bounds, conditions and remedies are the
three-level graph's, with its ``alpha, beta, gamma`` and ``neighbours``. Nothing here branches, so the
degenerate graphs (no difficult or no easy samples) are left to the callers. In the docstrings

    g = γ − β,  a = α − β,  b = α + rβ,  n_e = n − n_d,
    m = γ-neighbours per other class: 1 (matched) or n_d (block).

Where a mode or a remedy is described without a source, it follows from the graph's invariance under
permutations of the classes, of the difficult and of the easy samples (docs/theory.md derives it).
"""

from __future__ import annotations

from typing import Any

from theory.kinds import Degrees, Graph, Number, PerKind, Sqrt, own_levels, row_levels

# --- degrees ---------------------------------------------------------------------------------------


def easy_degree(p: Any) -> Number:
    """c2 = (1 − α) + n·b."""
    return (1 - p.alpha) + p.n * (p.alpha + p.r * p.beta)


def degrees(p: Graph) -> Degrees:
    """c2, and c1 = c2 + m·r·g."""
    return p.degrees


# --- eigenvalues of the normalised adjacency -------------------------------------------------------


def bulk(p: Graph) -> Number:
    """(1 − α)/c2: differences between easy samples of a class."""
    w = p.weights
    return (w.easy_diagonal - w.same_class_both_easy) / p.degrees.easy


def within_difficult(p: Graph) -> Number:
    """(1 − α)/c1: differences between difficult samples of a class, alike in all classes or not (unless matched)."""
    w = p.weights
    return (w.difficult_diagonal - w.same_class_both_difficult) / p.degrees.difficult


def bridge(p: Graph) -> Number:
    """((1 − α) + r·g)/c1: groups of matched difficult samples across the classes."""
    return _matched(p, p.r)


def anti_bridge(p: Graph) -> Number:
    """((1 − α) − g)/c1: differences inside a group of matched difficult samples."""
    return _matched(p, -1)


def _matched(p: Graph, across: Number) -> Number:
    w = p.weights
    group = across * (w.paired - w.unpaired_both_difficult)
    return (w.difficult_diagonal - w.same_class_both_difficult + group) / p.degrees.difficult


def block(p: Graph, across: Number) -> tuple[Number, Number, Number]:
    """Diagonal (difficult, easy) and squared off-diagonal entry of a 2×2 block of the normalised adjacency.

    It acts on vectors that are constant on the difficult and on the easy samples of each class, and over the
    classes constant (``across`` = r: the trivial mode and the contrast) or of sum zero (−1: the class modes).
    """
    w, (c_e, c_d) = p.weights, p.degrees
    n_e = p.n - p.n_d
    mixed = w.same_class_one_difficult + across * w.different_class_one_difficult
    easy = w.easy_diagonal - w.same_class_both_easy
    easy += n_e * (w.same_class_both_easy + across * w.different_class_both_easy)
    difficult = w.difficult_diagonal - w.same_class_both_difficult
    difficult += across * (w.paired - w.unpaired_both_difficult)
    difficult += p.n_d * (w.same_class_both_difficult + across * w.unpaired_both_difficult)
    return difficult / c_d, easy / c_e, p.n_d * n_e * mixed * mixed / (c_e * c_d)


def eigenvalues(of: tuple[Number, Number, Number], sqrt: Sqrt) -> tuple[Number, Number]:
    """Upper and lower eigenvalue of a ``block``."""
    difficult, easy, coupling = of
    middle, half = (difficult + easy) / 2, (difficult - easy) / 2
    spread = sqrt(half * half + coupling)
    return middle + spread, middle - spread


def contrast(p: Graph) -> Number:
    """Bulk + n_e·n_d·r·b·g/(c1·c2) (block), bulk + n_e·r·b·g/(c1·c2) (matched): easy against difficult samples.

    In general the determinant of ``block(p, r)``, whose other eigenvalue is 1, without cancellation.
    """
    (c_e, c_d), n_d, n_e = p.degrees, p.n_d, p.n - p.n_d
    own_easy, own_difficult = own_levels(p.weights, p.r)
    mixed, more_easy, more_difficult = row_levels(p.weights, p.r)
    easy = mixed + more_easy
    product = own_easy * (own_difficult + n_d * (mixed + more_difficult)) + own_difficult * n_e * easy
    return (product + n_d * n_e * (easy * more_difficult + mixed * more_easy)) / (c_e * c_d)


def class_block(p: Graph) -> tuple[Number, Number, Number]:
    """((1−α) + n_d·a − m·g)/c1, ((1−α) + n_e·a)/c2 and n_d·n_e·a²/(c1·c2): ``block`` of the class modes."""
    return block(p, -1)


def class_modes(p: Graph, sqrt: Sqrt) -> tuple[Number, Number]:
    """Upper and lower eigenvalue of ``class_block``."""
    return eigenvalues(class_block(p), sqrt)


def clean_bulk(p: Any) -> Number:
    """(1 − α)/c2: the clean graph's λ_{k+1} for k >= r + 1."""
    return (1 - p.alpha) / easy_degree(p)


def clean_class(p: Any) -> Number:
    """((1 − α) + n·a)/c2: the clean graph's class modes, its λ_2 to λ_{r+1}."""
    return ((1 - p.alpha) + p.n * (p.alpha - p.beta)) / easy_degree(p)


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


def temperature_excess(p: Any, delta: Number, beta: Number = None) -> Number:
    """What the temperature bound adds to the clean one: 4·(n_d/n)²·((γ/β)² − 1)·δ/(1 − λ_clean).

    ``beta``, in place of the graph's, keeps the division possible where the graph's is 0 and the value of no use.
    """
    ratio = p.gamma / (p.beta if beta is None else beta)
    return 4 * (ratio * ratio - 1) * (p.n_d * p.n_d) / (p.n * p.n) * delta / (1 - clean_bulk(p))


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


def margins(p: Any, sqrt: Sqrt) -> PerKind:
    """Margins that turn the normalised adjacency into the clean one, (Ā − Ā_clean)/√(w w')."""
    c2, c1 = p.degrees
    both, mixed = (1 / c1 - 1 / c2) / c1, (1 / sqrt(c1 * c2) - 1 / c2) / sqrt(c1 * c2)
    paired = (p.gamma - p.beta) * (c2 - p.neighbours * p.r * p.beta) / (c1 * c1 * c2)
    return PerKind(
        paired=paired,
        difficult_diagonal=both,
        same_class_both_difficult=p.alpha * both,
        unpaired_both_difficult=p.beta * both if p.pairing == "matched" else paired,
        same_class_one_difficult=p.alpha * mixed,
        different_class_one_difficult=p.beta * mixed,
        easy_diagonal=0 * both,
        same_class_both_easy=0 * both,
        different_class_both_easy=0 * both,
    )


def temperatures(p: Any, sqrt: Sqrt) -> PerKind:
    """Temperature factors ρ with Ā∘ρ equal to the clean normalised adjacency; needs γ > 0."""
    c2, c1 = p.degrees
    both, mixed = c1 / c2, sqrt(c1 / c2)
    paired = both * (p.beta / p.gamma)
    return PerKind(
        paired=paired,
        difficult_diagonal=both,
        same_class_both_difficult=both,
        unpaired_both_difficult=both if p.pairing == "matched" else paired,
        same_class_one_difficult=mixed,
        different_class_one_difficult=mixed,
        easy_diagonal=both / both,
        same_class_both_easy=both / both,
        different_class_both_easy=both / both,
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
