"""One function per audited statement."""

from __future__ import annotations

from fractions import Fraction
from itertools import chain, product

from theory import formulas
from theory.audit import theorems
from theory.audit.evidence import (
    BLOCK,
    Verdict,
    agreement,
    blocks_are_symbolic,
    dims_beyond_classes,
    first_failure,
    is_realised,
    loss_is_factorisation,
    margins_are_exact,
    once,
    proved,
    refuses,
    small_graphs,
    temperatures_are_exact,
    written,
)
from theory.params import GraphParameters

# --- one function per statement --------------------------------------------------------------------


def clean() -> Verdict:
    """The clean bound's eigenvalue."""
    failure, count = first_failure(agreement(theorems.clean), small_graphs(), dims_beyond_classes)
    return Verdict(
        "clean",
        "without difficult examples λ_{k+1} = (1−α)/((1−α)+nα+nrβ) for k ≥ r+1",
        "proved" if failure is None and blocks_are_symbolic() else "refuted",
        "k ≤ N − 1",
        None,
        None,
        f"spectrum derived from the symmetry-reduced blocks; exact on {count} small cases",
    )


def difficult() -> Verdict:
    """The difficult bound."""

    def holds(p: GraphParameters, dim: int) -> bool:
        computed, stated = theorems.difficult(p, dim)
        return bool(computed <= stated)

    names = ("bridge_above_contrast", "difficult_above_clean", "bulk_above_anti_bridge", "bulk_between_class_modes")
    failure, count = first_failure(holds, small_graphs(), dims_beyond_classes)
    return Verdict(
        "difficult",
        "with n_d difficult samples per class λ_{k+1} ≤ ((1−α)+r(γ−β))/c1 for r+1 ≤ k < n_d+r+1",
        "proved" if proved(*names) and failure is None else "refuted",
        "matched pairing; as an upper bound it even holds for every k ≥ r+1",
        None,
        None,
        f"only the trivial and the class modes can exceed the bridge: certificates {', '.join(names)}; "
        f"exact on {count} small cases",
    )


def difficult_equality() -> Verdict:
    """Whether the difficult bound's eigenvalue is attained."""

    def dims(p: GraphParameters) -> range:
        return range(p.r + 1, min(p.n_d + p.r + 1, p.nodes))

    failure, _ = first_failure(agreement(theorems.difficult), small_graphs(), dims)

    def holds_under_condition(p: GraphParameters, dim: int) -> bool:
        if formulas.class_over_bridge(p) < 0:
            return True
        at_contrast = dim == p.n_d + p.r
        return bool(theorems.kth_eigenvalue(p, dim) == (formulas.contrast(p) if at_contrast else formulas.bridge(p)))

    rest, count = first_failure(holds_under_condition, (p for p in small_graphs() if p.n_d < p.n), dims)
    names = ("class_above_bridge", "class_above_bridge_few_difficult", "class_above_bridge_many_difficult")
    return Verdict(
        "difficult_equality",
        "on r+1 ≤ k < n_d+r+1 the difficult graph's λ_{k+1} equals ((1−α)+r(γ−β))/c1",
        "conditional" if failure and rest is None and proved(*names) else "undecided",
        "k ≤ n_d+r−1 and a[n_d·n·r·b+(r+1)n_e·c1] ≥ (r+1)n·r·b·g (the class modes above the bridge), "
        "automatic for n ≥ r+1",
        written(*failure) if failure else None,
        "under the same condition λ at k = n_d+r is the contrast mode 1 − n_e·b/c1 − n_d·b/c2",
        f"certificates {', '.join(names)}; exact on {count} small cases",
    )


def difficult_range() -> Verdict:
    """Where difficult examples hurt."""
    failure, _ = first_failure(agreement(theorems.difficult_hurts), small_graphs(), dims_beyond_classes)
    partly = (p for p in small_graphs() if p.n_d < p.n)
    rest, count = first_failure(agreement(theorems.difficult_hurts), partly, dims_beyond_classes)
    names = ("contrast_above_bulk", "difficult_above_clean", "bulk_above_anti_bridge", "bulk_between_class_modes")
    return Verdict(
        "difficult_range",
        "λ_{k+1} is larger than the clean graph's exactly on r+1 ≤ k < n_d+r+1",
        "conditional" if failure and rest is None and proved(*names) else "undecided",
        "γ > β and 1 ≤ n_d < n; for larger k difficult examples cost nothing",
        written(*failure) if failure else None,
        "for n_d = n it fails at k = n+r",
        f"certificates {', '.join(names)}; exact on {count} small cases with n_d < n",
    )


def monotonicity() -> Verdict:
    """The difficult bound in γ − β."""
    failure, count = first_failure(agreement(theorems.monotonicity), small_graphs(), lambda p: (p.r + 1,))
    half = Fraction(1, 2)
    narrow = GraphParameters(half, Fraction(0), Fraction(1, 10), 2, 2, 1)
    wide = GraphParameters(half, Fraction(1, 10), Fraction(21, 100), 2, 2, 1)
    falls = formulas.bridge(wide) < formulas.bridge(narrow)
    return Verdict(
        "monotonicity",
        "the difficult bound grows with γ − β",
        "conditional" if failure is None and falls and proved("monotone_in_gap") else "undecided",
        "α, β, n, r, n_d and δ fixed, so that γ alone grows",
        f"{written(narrow)}: λ = {formulas.bridge(narrow)}; "
        f"β = {wide.beta}, γ = {wide.gamma}: λ = {formulas.bridge(wide)}",
        None,
        f"certificate monotone_in_gap; exact on {count} small graphs",
    )


def removal() -> Verdict:
    """The removal bound's eigenvalue."""

    def dims(p: GraphParameters) -> range:
        return range(p.r + 1, (p.n - p.n_d) * (p.r + 1))

    partly = (p for p in small_graphs() if p.n_d < p.n)
    failure, count = first_failure(agreement(theorems.removal), partly, dims)
    all_gone = GraphParameters(Fraction(1, 2), Fraction(0), Fraction(1, 3), 1, 2, 1)
    return Verdict(
        "removal",
        "removing the difficult samples gives the clean bound with n replaced by n − n_d",
        "conditional" if failure is None and blocks_are_symbolic() and refuses(all_gone) else "refuted",
        "n_d < n and k ≤ (n−n_d)(r+1) − 1; δ fixed; the removed samples still count in a test",
        written(all_gone),
        None,
        f"spectrum derived from the symmetry-reduced blocks; exact on {count} small cases",
    )


def removal_condition() -> Verdict:
    """When removal beats doing nothing."""
    partly = (p for p in small_graphs() if p.n_d < p.n)
    failure, _ = first_failure(agreement(theorems.removal_condition), partly, lambda p: (p.r + 1,))
    names = ("removal_condition", "removal_condition_at_contrast", "removal_loses_beyond")
    return Verdict(
        "removal_condition",
        "removal lowers the difficult bound if and only if γ−β > n_d(1−α)/(n·r·(n−n_d))",
        "refuted" if failure and proved(*names) else "undecided",
        None,
        written(failure[0]) if failure else None,
        "γ−β > n_d(1−α)/(r(n−n_d)), without the factor 1/n, where λ is the bridge (k < n_d+r); where it is the "
        "contrast mode (k = n_d+r): n_e·r·g((1−α)+n_e·b) > (1−α)n_d·c1; beyond, removal always loses",
        f"certificates {', '.join(names)}",
    )


def margin() -> Verdict:
    """Margins turn the graph into the clean one."""
    failure, count = first_failure(agreement(theorems.margin), small_graphs(nodes=8), lambda p: (p.r + 1,))
    return Verdict(
        "margin",
        "with the right margins the difficult bound equals the clean one",
        "proved" if failure is None and margins_are_exact() and loss_is_factorisation() else "refuted",
        "positive degrees; margins on all seven kinds of pairs, not only on difficult ones",
        None,
        None,
        "symbolic identity Ā − M̄ = Ā_clean for every kind of pair, both pairings; the loss with margins equals "
        f"‖Ā − M̄ − FFᵀ‖² + const entry by entry; exact on {count} small graphs",
    )


def margin_constant() -> Verdict:
    """The constant of the margin of paired samples."""
    failure, _ = first_failure(agreement(theorems.margin_constant), small_graphs(), lambda p: (p.r + 1,))

    def holds_under_condition(p: GraphParameters, dim: int) -> bool:
        return agreement(theorems.margin_constant)(p, dim) == (p.n_d == 1 or p.beta == 0)

    rest, count = first_failure(holds_under_condition, small_graphs(), lambda p: (p.r + 1,))
    return Verdict(
        "margin_constant",
        "the margin of paired samples is c0(γ−β)/(c1²c2) with c0 = (1−α)+nα+(n−n_d)rβ",
        "refuted" if failure and rest is None else "undecided",
        "true only for n_d = 1 or β = 0",
        written(failure[0]) if failure else None,
        "c0 = c2 − rβ (matched); the quoted c0 is the block pairing's numerator, beside the matched degree c1",
        f"exact on {count} small graphs",
    )


def temperature() -> Verdict:
    """Temperatures turn the graph into the clean one."""
    failure, _ = first_failure(agreement(theorems.temperature), small_graphs(nodes=8), lambda p: (p.r + 1,))
    positive = (p for p in small_graphs(nodes=8) if p.beta > 0)
    rest, count = first_failure(agreement(theorems.temperature), positive, lambda p: (p.r + 1,))
    return Verdict(
        "temperature",
        "with the right temperatures the normalised adjacency becomes the clean one under a weighted norm",
        "conditional" if failure and rest is None and temperatures_are_exact() else "refuted",
        "β > 0: for β = 0 < γ no positive temperature exists",
        written(failure[0]) if failure else None,
        None,
        "symbolic identity T∘Ā = Ā_clean for every kind of pair, both pairings; weights 1/τ²; "
        f"exact on {count} small graphs with β > 0",
    )


def temperature_bound() -> Verdict:
    """The temperature bound."""
    graphs = [GraphParameters(0.5, beta, 0.2, 5, 3, n_d) for beta in (0.02, 0.05, 0.1) for n_d in (1, 2)]
    factors = [theorems.temperature_bound(p, dim) for p in graphs for dim in (p.r + 1, p.r + 2)]
    contradicted = any(computed > stated * (1 + 1e-9) for computed, stated in factors)
    return Verdict(
        "temperature_bound",
        "with these temperatures E ≤ 4[1−(n_d/n)²+(γ/β)²(n_d/n)²]δ/(1−λ_clean) + 8δ",
        "refuted" if contradicted else "undecided",
        "β > 0",
        None,
        None,
        f"weighted problem solved on {len(factors)} cases: its minimum is at most {max(f for f, _ in factors):.2f} "
        "times the unweighted one, stated factors "
        f"{min(f for _, f in factors):.2f} to {max(f for _, f in factors):.2f}; how the minimiser "
        "enters the error is not part of the quoted statement",
    )


def temperature_condition() -> Verdict:
    """When the temperature bound beats doing nothing."""
    positive = (p for p in small_graphs(nodes=16) if p.beta > 0)
    failure, _ = first_failure(agreement(theorems.temperature_condition), positive, lambda p: (p.r + 1,))
    return Verdict(
        "temperature_condition",
        "the temperature bound is below the difficult one for n_d of the order of √n (read as n_d² ≤ n)",
        "conditional" if failure and proved("temperature_condition") else "undecided",
        "n_d² < r·β²·n²/((γ+β)c2); for large n: n_d < √(n·rβ²/((γ+β)b))",
        written(failure[0]) if failure else None,
        "the constant in front of √n depends on β, γ and can be far below 1",
        "certificate temperature_condition",
    )


def noisy_clean() -> Verdict:
    """The noisy clean bound."""
    return _noisy("noisy_clean", "clean", "with noise ε the clean λ_{k+1} gains x0·ε/c2")


def noisy_difficult() -> Verdict:
    """The noisy difficult bound."""
    return _noisy("noisy_difficult", "difficult", "with noise ε the difficult λ_{k+1} gains x0·ε/c2")


def loss_identity() -> Verdict:
    """The spectral loss is a matrix factorisation."""
    return Verdict(
        "loss_identity",
        "L_spec(f) = ‖Ā − FFᵀ‖² + const with rows √w_x·f(x) of F",
        "proved" if loss_is_factorisation() else "refuted",
        "positive degrees",
        None,
        None,
        "symbolic, entry by entry, also with margins (Ā − M̄) and temperatures (weights 1/τ², target T∘Ā)",
    )


def realisability() -> Verdict:
    """Which graphs are augmentation graphs."""
    every = small_graphs(nodes=9, semidefinite=False)
    failure, _ = first_failure(agreement(theorems.realisability), every, lambda p: (p.r,))
    names = (
        *("psd_anti_bridge", "psd_class_modes", "psd_anti_bridge_decides", "block_psd_class_modes"),
        *("matched_psd_all_difficult", "block_psd_all_difficult"),
    )
    realised, count = first_failure(
        lambda p, _: is_realised(p), chain(small_graphs(nodes=8), small_graphs("block", 8)), once
    )
    return Verdict(
        "realisability",
        "every 0 ≤ β < γ < α < 1 is the similarity graph of some augmentation",
        "refuted" if failure and realised is None and proved(*names) else "undecided",
        None,
        written(failure[0]) if failure else None,
        "if and only if the graph is positive semidefinite: matched, n_d ≥ 2: γ−β ≤ 1−α; matched, n_d = 1: "
        "g((1−α)+(n−1)a) ≤ (1−α)((1−α)+n·a); block: n_d·g((1−α)+n_e·a) ≤ (1−α)((1−α)+n·a)",
        f"certificates {', '.join(names)}; theory.channel builds the augmentation of {count} "
        "small semidefinite graphs, with the graph's labelling error",
    )


def class_direction() -> Verdict:
    """Whether the classes are the leading modes."""
    failure, _ = first_failure(agreement(theorems.class_direction), small_graphs(nodes=24, denominator=5), once)
    many = (p for p in small_graphs() if p.n >= p.classes)
    rest, count = first_failure(agreement(theorems.class_direction), many, once)
    names = (
        *("class_above_bridge", "class_above_bridge_few_difficult", "class_above_bridge_many_difficult"),
        *("bridge_above_contrast", "bulk_between_class_modes", "block_bulk_between_class_modes"),
    )
    return Verdict(
        "class_direction",
        "the leading r+1 modes are the trivial one and the classes'",
        "conditional" if failure and rest is None and proved(*names) else "undecided",
        "matched: n ≥ r+1 suffices (see difficult_equality); block: contrast below the class modes",
        written(failure[0]) if failure else None,
        "a realisable graph can lose a class direction, in either pairing",
        f"certificates {', '.join(names)}; exact on {count} small graphs with n ≥ r+1; {written(BLOCK)} "
        + ("does" if not agreement(theorems.class_direction)(BLOCK, 9) else "does not"),
    )


def labelling_error() -> Verdict:
    """δ held fixed."""
    p = GraphParameters(Fraction(1, 2), Fraction(0), Fraction(1, 3), 1, 2, 1)
    computed, stated = theorems.labelling_error(p, 2)
    rises = computed > stated
    return Verdict(
        "labelling_error",
        "δ is a constant when the bounds are compared",
        "refuted" if rises and proved("labelling_error_rises", "block_labelling_error_rises") else "undecided",
        None,
        f"{written(p)}: δ = {computed}, clean {stated}",
        "the graph fixes δ = r(n²β+n_d·m·g)/(n·c2+n_d·m·r·g), which grows with γ",
        "certificates labelling_error_rises, block_labelling_error_rises; theory.channel samples it",
    )


# --- symbolic evidence -----------------------------------------------------------------------------


def _noisy(name: str, which: str, statement: str) -> Verdict:
    """The stated noisy eigenvalue beside sampled graphs of two sizes, at the same ε√N/c2."""
    errors, below, total = [], 0, 0
    for n in (30, 120):
        p = GraphParameters(0.5, 0.1, 0.15, n, 5, max(1, n // 10))
        p = p if which == "difficult" else p.clean()
        epsilon, dims = 0.02 * n**0.5, (8, n, 2 * n)
        c2 = formulas.easy_degree(p)
        gaps = []
        for seed, dim in product(range(3), dims):
            computed, stated = theorems.noisy(p, dim, epsilon, seed)
            gaps.append((stated - computed) * c2 / (epsilon * p.nodes**0.5))
        errors.append(max(abs(gap) for gap in gaps))
        below += sum(gap < 0 for gap in gaps)
        total += len(gaps)
    shrinks = errors[1] < errors[0]
    return Verdict(
        name,
        statement,
        "asymptotic" if shrinks and errors[1] < 0.5 else "refuted",
        "N → ∞ and x0 ≥ 0 (c1 for x0 < 0), x0 the semicircle quantile of index k−r; the noisy graph must stay "
        "positive semidefinite, about 2ε√N ≤ 1−α, for the error bound itself",
        None,
        "at finite N: λ_{k+1} + ε‖W‖/c2 with the sampled norm",
        f"sampled at N = 150 and 600: largest distance {errors[0]:.2f} and {errors[1]:.2f} of the noise's half-width "
        f"ε√N/c2; λ_{{k+1}} lies above the stated value in {below} of {total} cases",
    )
