"""What a verdict rests on: certificates, symbolic identities and exact searches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from itertools import product
from math import gcd
from typing import Any

from theory import certificates, formulas
from theory.audit import theorems
from theory.checks import ParameterError
from theory.kinds import PAIRINGS, Pairing
from theory.params import GraphParameters
from theory.spectrum import is_positive_semidefinite

Test = Callable[[GraphParameters, int], bool]


@dataclass(frozen=True)
class Verdict:
    """One audited statement.

    Parameters
    ----------
    name, statement : str
        The theorem's name and the statement as quoted.
    verdict : {"proved", "conditional", "refuted", "asymptotic", "undecided"}
        ``conditional``: true under the condition only.
    condition, counterexample, corrected : str or None
        When it holds; the smallest graph on which it fails; what holds instead.
    evidence : str
        What was checked in this run.
    """

    name: str
    statement: str
    verdict: str
    condition: str | None
    counterexample: str | None
    corrected: str | None
    evidence: str


# --- evidence --------------------------------------------------------------------------------------


@cache
def proved(*names: str) -> bool:
    stored = certificates.load()
    return all(name in stored and certificates.check(stored[name]) for name in names)


def small_graphs(
    pairing: Pairing = "matched", nodes: int = 12, denominator: int = 6, semidefinite: bool = True
) -> Iterator[GraphParameters]:
    """Graphs with difficult pairs and small fractions, positive semidefinite or all, the smallest first."""
    sizes = [(n * (r + 1), r, n) for n in range(1, nodes) for r in range(1, nodes) if n * (r + 1) <= nodes]
    for (_, r, n), d in product(sorted(sizes), range(2, denominator + 1)):
        for top, low, middle, n_d in product(range(d), range(d), range(d), range(1, n + 1)):
            if low < middle < top and gcd(top, low, middle, d) == 1:  # each graph once
                alpha, beta, gamma = (Fraction(value, d) for value in (top, low, middle))
                graph = GraphParameters(alpha, beta, gamma, n, r + 1, n_d, pairing)
                if is_positive_semidefinite(graph) or not semidefinite:
                    yield graph


def dims_beyond_classes(p: GraphParameters) -> range:
    return range(p.r + 1, p.nodes)


def first_failure(
    holds: Test, graphs: Iterable[GraphParameters], dims: Callable[[GraphParameters], Iterable[int]]
) -> Any:
    """The first graph and k on which a statement fails, or None; and how many were tried."""
    count = 0
    for p in graphs:
        for dim in dims(p):
            count += 1
            if not holds(p, dim):
                return (p, dim), count
    return None, count


def written(p: GraphParameters, dim: int | None = None) -> str:
    text = f"{p.pairing}, α = {p.alpha}, β = {p.beta}, γ = {p.gamma}, n = {p.n}, r = {p.r}, n_d = {p.n_d}"
    return text if dim is None else f"{text}, k = {dim}"


def agreement(theorem: Callable[[GraphParameters, int], tuple[Any, Any]]) -> Test:
    def holds(p: GraphParameters, dim: int) -> bool:
        computed, stated = theorem(p, dim)
        return bool(computed == stated)

    return holds


# --- one function per statement --------------------------------------------------------------------

BLOCK = GraphParameters(Fraction(1, 2), Fraction(9, 20), Fraction(49, 100), 20, 10, 5, "block")

# --- symbolic evidence -----------------------------------------------------------------------------


def refuses(p: GraphParameters) -> bool:
    try:
        p.without_difficult()
    except ParameterError:
        return True
    return False


def once(p: GraphParameters) -> tuple[int]:
    return (p.r,)


def is_realised(p: GraphParameters) -> bool:
    from theory.channel import Channel

    channel = Channel(p)
    nonnegative = all(kind.weight > 0 for kind in channel.kinds)
    return nonnegative and channel.labelling_error == formulas.cross_mass(p)


@cache
def blocks_are_symbolic() -> bool:
    """Whether every closed form is an eigenvalue of its symmetry-reduced block, as rational functions.

    A 2×2 block is compared with the formulas through its trace and determinant.
    """
    from theory.symbolic import blocks

    for pairing in ("matched", "block"):
        p = certificates.Free(pairing, certificates.SIZES)
        for names, (block, _) in blocks(p).items():
            if names == "class_upper, class_lower":
                same = block == formulas.class_block(p)
            elif names == "trivial, contrast":
                trace, determinant = block[0] + block[1], block[0] * block[1] - block[2]
                value = formulas.contrast(p)
                same = trace == 1 + value and determinant == value
            else:
                same = block == (getattr(formulas, names)(p),)
            if not same:
                return False
    return True


def margins_are_exact() -> bool:
    """Whether Ā − M̄ is the clean Ā for every kind of pair, symbolically."""
    import sympy as sp

    from theory import symbolic

    return all(
        sp.simplify(entry - clean) == 0
        for p in map(symbolic.Symbols, PAIRINGS)
        for entry, clean in zip(*theorems.with_margins(p, sp.sqrt), strict=True)
    )


def temperatures_are_exact() -> bool:
    """Whether T∘Ā is the clean Ā for every kind of pair, symbolically; both are positive, so their squares decide."""
    import sympy as sp

    from theory import symbolic

    return all(
        sp.cancel(sp.together(entry**2 - clean**2)) == 0
        for p in map(symbolic.Symbols, PAIRINGS)
        for entry, clean in zip(*theorems.with_temperatures(p, sp.sqrt), strict=True)
    )


@cache
def loss_is_factorisation() -> bool:
    """Whether the loss's and the factorisation's terms differ by something that does not depend on the features."""
    import sympy as sp

    w, product_ = sp.symbols("w s", real=True)
    d, e, m, tau = sp.symbols("d e m tau", positive=True)
    plain = theorems.loss_identity(w, (d, e), product_)
    with_margin = theorems.loss_identity(w, (d, e), product_, margin=m)
    with_temperature = theorems.loss_identity(w, (d, e), product_, tau=tau)
    pairs = (plain, with_margin, with_temperature)
    return all(sp.simplify(sp.diff(loss - factorised, product_)) == 0 for loss, factorised in pairs)
