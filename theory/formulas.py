"""Every closed form of the similarity graph, written once.

The functions take a ``theory.kinds.Graph``, whose values are numbers of one type: floats, fractions, arrays,
symbols. Those about modes hold for any weights by kind of pair; what the paper prints (with the number of its
equation in the second version), conditions and remedies are the three-level graph's, with its ``alpha, beta,
gamma``. Nothing here branches, so the degenerate graphs (no difficult or no easy samples) are left to the callers.
In the docstrings

    g = γ − β,  a = α − β,  b = α + rβ,  n_e = n − n_d,  c2 = (1 − α) + n·b,  c1 = c2 + n_d·r·g,
    m = difficult γ-neighbours per other class: n_d (block), 1 (matched).

Where a mode or a remedy is described without a source, it follows from the graph's invariance under
permutations of the classes, of the difficult and of the easy samples (docs/theory.md derives it).
"""

from __future__ import annotations

from typing import Any

from theory.kinds import Degrees, Graph, Number, PerKind, Sqrt, has_gamma, own_levels, paper_weights, roots, row_levels

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
    (c_e, c_d), n_d, n_e = p.degrees, p.n_d, p.n - p.n_d
    own_easy, own_difficult = own_levels(p.weights, across)
    mixed, more_easy, more_difficult = row_levels(p.weights, across)
    return (
        (own_difficult + n_d * (mixed + more_difficult)) / c_d,
        (own_easy + n_e * (mixed + more_easy)) / c_e,
        n_d * n_e * mixed * mixed / (c_e * c_d),
    )


def determinant(p: Graph, across: Number) -> Number:
    """Determinant of ``block(p, across)`` times both degrees, without cancellation."""
    n_d, n_e = p.n_d, p.n - p.n_d
    own_easy, own_difficult = own_levels(p.weights, across)
    mixed, more_easy, more_difficult = row_levels(p.weights, across)
    easy = mixed + more_easy
    product = own_easy * (own_difficult + n_d * (mixed + more_difficult)) + own_difficult * n_e * easy
    return product + n_d * n_e * (easy * more_difficult + mixed * more_easy)


def eigenvalues(of: tuple[Number, Number, Number], sqrt: Sqrt) -> tuple[Number, Number]:
    """Upper and lower eigenvalue of a ``block``."""
    difficult, easy, coupling = of
    middle, half = (difficult + easy) / 2, (difficult - easy) / 2
    spread = sqrt(half * half + coupling)
    return middle + spread, middle - spread


def contrast(p: Graph) -> Number:
    """Bulk + n_e·n_d·r·b·g/(c1·c2) (block): easy against difficult samples.

    In general the determinant of ``block(p, r)``, whose other eigenvalue is 1; with matched pairs
    bulk + n_e·r·b·g/(c_e·c_d).
    """
    c_e, c_d = p.degrees
    return determinant(p, p.r) / (c_e * c_d)


def class_block(p: Graph) -> tuple[Number, Number, Number]:
    """((1−α) + n_d·a − m·g)/c1, ((1−α) + n_e·a)/c2 and n_d·n_e·a²/(c1·c2): ``block`` of the class modes."""
    return block(p, -1)


def class_modes(p: Graph, sqrt: Sqrt) -> tuple[Number, Number]:
    """Upper and lower eigenvalue of ``class_block``."""
    return eigenvalues(class_block(p), sqrt)


# --- what the paper prints: λ of each bound, and the bounds -------------------------------------------


def easy_degree(p: Any) -> Number:
    """c2 = (1 − α) + n·b."""
    return (1 - p.alpha) + p.n * (p.alpha + p.r * p.beta)


def difficult_degree(p: Any) -> Number:
    """c1 = c2 + n_d·r·g (eq. 34)."""
    return easy_degree(p) + p.n_d * p.r * (p.gamma - p.beta)


def clean_bulk(p: Any) -> Number:
    """(1 − α)/c2: λₖ₊₁ without difficult examples, k >= r + 1 (theorem 3.3, eq. 3)."""
    return (1 - p.alpha) / easy_degree(p)


def clean_class(p: Any) -> Number:
    """((1 − α) + n·a)/c2: the clean graph's class modes, its λ₂ to λᵣ₊₁."""
    return ((1 - p.alpha) + p.n * (p.alpha - p.beta)) / easy_degree(p)


def difficult(p: Any) -> Number:
    """((1 − α) + r·g)/c1: the λ of theorem 3.4 (eq. 4)."""
    return ((1 - p.alpha) + p.r * (p.gamma - p.beta)) / difficult_degree(p)


def removal(p: Any) -> Number:
    """(1 − α)/((1 − α) + (n − n_d)·b): the clean λ after n → n − n_d (corollary 4.1, eq. 5)."""
    return (1 - p.alpha) / ((1 - p.alpha) + (p.n - p.n_d) * (p.alpha + p.r * p.beta))


def removal_class(p: Any) -> Number:
    """The clean graph's class modes after n → n − n_d."""
    n_e = p.n - p.n_d
    return ((1 - p.alpha) + n_e * (p.alpha - p.beta)) / ((1 - p.alpha) + n_e * (p.alpha + p.r * p.beta))


def probing_bound(eigenvalue: Number, delta: Number) -> Number:
    """4δ/(1 − λ) + 8δ (HaoChen et al. 2021, theorem B.3 with φ <= 2δ)."""
    return 4 * delta / (1 - eigenvalue) + 8 * delta


def probing_excess(eigenvalue: Number, reference: Number, delta: Number) -> Number:
    """``probing_bound(eigenvalue) - probing_bound(reference)`` without cancellation."""
    return 4 * delta * (eigenvalue - reference) / ((1 - eigenvalue) * (1 - reference))


def temperature_excess(p: Any, delta: Number, beta: Number = None) -> Number:
    """What the temperature bound adds to the clean one: 4·(n_d/n)²·((γ/β)² − 1)·δ/(1 − λ_clean) (eq. 11).

    ``beta``, in place of the graph's, keeps the division possible where the graph's is 0 and the value of no use.
    """
    ratio = p.gamma / (p.beta if beta is None else beta)
    return 4 * (ratio * ratio - 1) * (p.n_d * p.n_d) / (p.n * p.n) * delta / (1 - clean_bulk(p))


def cross_degrees(p: Graph) -> Degrees:
    """The part of each degree that joins classes: r·(n_e·w_ee + n_d·w_ed) and r·(n_e·w_ed + n_d·w_dd), w across.

    For a difficult sample also its partners' excess.
    """
    w, n_d, n_e = p.weights, p.n_d, p.n - p.n_d
    mixed, partners = w.different_class_one_difficult, w.paired - w.unpaired_both_difficult
    easy = n_e * w.different_class_both_easy + n_d * mixed
    return Degrees(p.r * easy, p.r * (n_e * mixed + n_d * w.unpaired_both_difficult + partners))


def cross_mass(p: Graph) -> Number:
    """φ, the share of all edge weight that joins classes; φ/2 <= δ <= φ for the labelling error δ of an augmentation.

    (n_e·x_e + n_d·x_d)/(n_e·c_e + n_d·c_d) with ``cross_degrees`` x.
    """
    across, n_d, n_e = cross_degrees(p), p.n_d, p.n - p.n_d
    return (n_e * across.easy + n_d * across.difficult) / (n_e * p.degrees.easy + n_d * p.degrees.difficult)


# --- conditions: each is positive exactly where the sentence holds -----------------------------------


def strictly_worse(p: Any) -> Number:
    """Eq. 4's λ exceeds eq. 3's, for g > 0 (discussion of theorem 3.4): c2 − n_d(1 − α)."""
    return easy_degree(p) - p.n_d * (1 - p.alpha)


def contrast_over_printed(p: Any) -> Number:
    """The contrast mode exceeds eq. 4's λ (block, g > 0): b[(n_e − 1)(n_d − 1) − 1] + (n_d − 1)(1 − α)."""
    b, others = p.alpha + p.r * p.beta, p.n_d - 1
    return b * ((p.n - p.n_d - 1) * others - 1) + others * (1 - p.alpha)


def class_over_printed(p: Any) -> Number:
    """The upper class mode exceeds eq. 4's λ (block, g > 0), if that exceeds the bulk (S = ``strictly_worse`` > 0).

    a·(n_d·r·S + (n_d + r)·n_e·c1) − (n_d + r)·r·g·S; for S <= 0 the upper class mode exceeds it anyhow.
    """
    above, worse, c1 = p.n_d + p.r, strictly_worse(p), difficult_degree(p)
    gain = (p.alpha - p.beta) * (p.n_d * p.r * worse + above * (p.n - p.n_d) * c1)
    return gain - above * p.r * (p.gamma - p.beta) * worse


def semidefinite_slack(p: Any) -> Number:
    """The lower class mode is not negative (block, matched): (1−α)((1−α)+n·a) − m·g((1−α)+n_e·a)."""
    own, a = 1 - p.alpha, p.alpha - p.beta
    return own * (own + p.n * a) - p.neighbours * (p.gamma - p.beta) * (own + (p.n - p.n_d) * a)


def class_over_bridge(p: Any) -> Number:
    """The upper class mode exceeds the bridge (1 <= n_d < n, matched): a[n_d·n·r·b + (r+1)n_e·c] − (r+1)n·r·b·g.

    Here c = c2 + r·g, the degree of a matched difficult sample.
    """
    a, n_e, c = p.alpha - p.beta, p.n - p.n_d, p.degrees.difficult
    rb = p.r * (p.alpha + p.r * p.beta)
    return a * (p.n_d * p.n * rb + (p.r + 1) * n_e * c) - (p.r + 1) * p.n * rb * (p.gamma - p.beta)


def removal_gain(p: Any) -> Number:
    """Eq. 4's bound exceeds eq. 5's: r·g·[(1−α) + n_e·b] − n_d(1−α)(α + rγ) (the condition after corollary 4.1)."""
    own, b, n_e = 1 - p.alpha, p.alpha + p.r * p.beta, p.n - p.n_d
    return p.r * (p.gamma - p.beta) * (own + n_e * b) - p.n_d * own * (p.alpha + p.r * p.gamma)


def removal_gain_at_contrast(p: Any) -> Number:
    """The contrast mode exceeds eq. 5's λ (block): n_e·r·g·((1−α) + n_e·b) − (1−α)·c1."""
    n_e, own, b = p.n - p.n_d, 1 - p.alpha, p.alpha + p.r * p.beta
    return n_e * p.r * (p.gamma - p.beta) * (own + n_e * b) - own * difficult_degree(p)


def temperature_gain(p: Any) -> Number:
    """Eq. 4's bound exceeds eq. 11's, for g > 0: r·β²·n²·(c2 − n_d(1−α)) − n_d²(γ + β)·c2·(n·b + (n_d − 1)·r·g)."""
    b, c2, g = p.alpha + p.r * p.beta, easy_degree(p), p.gamma - p.beta
    gain = p.r * p.beta * p.beta * (p.n * p.n) * strictly_worse(p)
    return gain - p.n_d * p.n_d * (p.gamma + p.beta) * c2 * (p.n * b + (p.n_d - 1) * p.r * g)


def temperature_gain_at_contrast(p: Any) -> Number:
    """The bound with the contrast for λ exceeds eq. 11's (block, g > 0): n_e·r·β²·n² − (γ+β)·n_d·(n·c2 + n_d²·r·g)."""
    gain = (p.n - p.n_d) * p.r * p.beta * p.beta * (p.n * p.n)
    lost = p.n * easy_degree(p) + p.n_d * p.n_d * p.r * (p.gamma - p.beta)
    return gain - (p.gamma + p.beta) * p.n_d * lost


# --- remedies --------------------------------------------------------------------------------------


def margins(p: Any, sqrt: Sqrt) -> PerKind:
    """Margins m that turn the normalised adjacency into the clean one: (w/√(c c′) − w_clean/c2)/√(c c′) (eq. 36)."""
    clean, c2 = paper_weights(p.alpha, p.beta, p.beta, p.pairing), easy_degree(p)
    weights: PerKind = p.weights
    return weights.combine(lambda w, root, other: (w / root - other / c2) / root, roots(p.degrees, sqrt), clean)


def temperatures(p: Any, sqrt: Sqrt) -> PerKind:
    """Factors τ with τ∘Ā the clean normalised adjacency: √(c c′)/c2, times β/γ where γ is (eq. 57); needs γ > 0."""
    c2, ratio = easy_degree(p), p.beta / p.gamma
    factors: PerKind = roots(p.degrees, sqrt).combine(
        lambda root, joined: root / c2 * ratio if joined else root / c2, has_gamma(p.pairing)
    )
    return factors


def paired_margin(p: Any) -> Number:
    """c0·g/(c1²·c2), c0 = (1−α) + nα + (n−n_d)rβ: the margin of difficult pairs as printed (eq. 7)."""
    c1, c2 = difficult_degree(p), easy_degree(p)
    return (c2 - p.n_d * p.r * p.beta) * (p.gamma - p.beta) / (c1 * c1 * c2)


def margin_sigma(p: Any) -> Number:
    """σ* = g(c2 − m·r·β)/c2: the margin of difficult pairs in units of the weights, eq. 7 times c1²."""
    c2 = easy_degree(p)
    return (p.gamma - p.beta) * (c2 - p.neighbours * p.r * p.beta) / c2


def temperature_rho(p: Any) -> Number:
    """ρ* = (c1/c2)(β/γ): the factor on the temperature of difficult pairs (eq. 10); needs γ > 0."""
    return (p.degrees.difficult / easy_degree(p)) * (p.beta / p.gamma)


def difficult_pair_share(p: Any) -> Number:
    """Share of all pairs that are difficult, (r/(r+1)) times (n_d/n)² (block), 1 − (n_e/n)² (any), n_d/n² (matched)."""
    share = p.n_d / p.n
    of_pairs = {"block": share * share, "any": share * (2 - share), "matched": share / p.n, "clean": 0 * share}
    return of_pairs[p.pairing] * p.r / (p.r + 1)
