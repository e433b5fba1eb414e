"""What the paper takes for granted, apart from what it states."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from theory import formulas
from theory.audit import theorems
from theory.audit.evidence import Search, Verdict, Words, proved, search, small_graphs, written
from theory.audit.statements import LOST, Formula
from theory.augmentation import natural_data
from theory.params import GraphParameters
from theory.spectrum import is_positive_semidefinite


def realisability(assumed: Callable[[GraphParameters], bool] = is_positive_semidefinite) -> Verdict:
    """That every 0 < β < γ < α < 1 is an augmentation graph."""
    every = small_graphs(9, semidefinite=False)
    found = search(lambda p, _: assumed(p), every)
    agree = search(lambda p, _: assumed(p) == (formulas.semidefinite_slack(p) >= 0), every)
    realised = search(lambda p, _: all(kind.weight > 0 for kind in natural_data(p)), small_graphs(8))
    known = agree.clean and realised.clean and proved("psd_class_modes", "psd_all_difficult")
    return Verdict(
        "realisability",
        "section 3.2",
        "every β < γ < α < 1 is the augmentation graph of some data",
        Words("—", "refuted" if found.failure and known else "undecided"),
        found.example,
        "exactly if n_d·g((1−α)+n_e·a) ≤ (1−α)((1−α)+n·a): then, and only then, the graph is positive semidefinite. "
        "The printed formulas need no semidefiniteness, the error bound's meaning does",
        f"certificates psd_class_modes, psd_all_difficult; theory.channel builds the augmentation of {realised.cases} "
        "small graphs",
    )


def equal_delta(assumed: Formula = formulas.cross_mass) -> Verdict:
    """That δ is one number in all bounds."""
    found = search(lambda p, _: assumed(p) == assumed(p.clean()))
    rises = search(lambda p, _: formulas.cross_mass(p) > formulas.cross_mass(p.clean()))
    known = found.failure is not None and rises.clean and proved("cross_mass_rises")
    return Verdict(
        "equal_delta",
        "sections 3.3, 4",
        "δ is the same with and without difficult examples, after removal, with margins and with temperatures",
        Words("—", "refuted" if known else "undecided"),
        found.failure
        and f"{written(found.failure[0])}: φ = {assumed(found.failure[0])}, clean {assumed(found.failure[0].clean())}",
        "φ, the share of edge weight between classes, rises with γ, and φ/2 ≤ δ; which δ in [φ/2, φ] depends on the "
        "augmentation, not on the graph",
        "certificate cross_mass_rises",
    )


def classes_lead(assumed: Callable[[GraphParameters, int], bool] = theorems.labels_survive) -> Verdict:
    """That the r+1 leading modes are the trivial one and the classes'."""

    def leading(p: GraphParameters, _: int) -> bool:
        return assumed(p, p.r + 1)

    found: Search = search(leading, (*small_graphs(), LOST))
    return Verdict(
        "classes_lead",
        "proofs of 3.3, 3.4",
        "the r+1 leading modes hold the classes",
        Words("—", "conditional" if found.failure else "undecided"),
        found.example,
        "exactly if the upper class mode exceeds the contrast; two more dimensions than other classes (k ≥ r+2) always "
        "suffice",
        f"exact on {found.cases} graphs up to the first failure",
    )


def divides(assumed: Callable[[int, int], bool] = lambda n, n_d: n % n_d == 0) -> Verdict:
    """That n is a multiple of n_d."""
    others = [p for p in small_graphs() if not assumed(p.n, p.n_d)]
    spectrum = search(
        lambda p, dim: theorems.kth_eigenvalue(p, dim) == min(formulas.contrast(p), theorems.class_upper(p)), others
    )
    return Verdict(
        "divides",
        "proof of 3.4",
        "n is a multiple of n_d",
        Words("—", "true" if spectrum.clean else "undecided"),
        None,
        "not needed: the spectrum is the same function of n and n_d without it",
        f"exact on {spectrum.cases} graphs with other n and n_d",
    )


def positive_gap(assumed: Formula = lambda p: p.gamma - p.beta) -> Verdict:
    """That difficult pairs are the more alike ones."""
    clean = GraphParameters(Fraction(1, 2), Fraction(1, 4), Fraction(1, 4), 4, 2, 2)
    needed = assumed(clean) == 0 and formulas.difficult(clean) == formulas.clean_bulk(clean)
    return Verdict(
        "positive_gap",
        "section 3.2, table 11",
        "γ > β on real data",
        Words("—", "undecided" if needed else "true"),
        None,
        "a matter of measurement: γ̂ − β̂ of .018 to .031 in table 11, with a test that treats pairs as independent "
        "(row gap_test); for γ = β all five bounds are one",
        "none here; empirical.profile gives an interval",
    )


def independent_noise(assumed: Callable[[int], int] = lambda samples: samples * (samples - 1) // 2) -> Verdict:
    """That the deviations of different pairs are independent; ``assumed``: how many of them there are."""
    samples, features = 10, (3, 5)
    enough = [samples * dim >= assumed(samples) for dim in features]
    return Verdict(
        "independent_noise",
        "B.3",
        "the deviations of different pairs' similarities are independent",
        Words("—", "conditional" if enough == [False, True] else "undecided"),
        f"{samples} samples with {features[0]} features each: {assumed(samples)} pairs, {samples * features[0]} "
        "numbers",
        "similarities are inner products of features and share samples: independence needs k ≥ (N−1)/2 features; the "
        "semicircle describes independent entries",
        "by counting",
    )
