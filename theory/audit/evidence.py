"""What a verdict rests on: certificates, symbolic identities and exact searches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from itertools import combinations
from math import gcd
from typing import Any, Literal, NamedTuple

from theory import certificates, formulas
from theory.audit import theorems
from theory.kinds import PAIRINGS, Pairing
from theory.params import GraphParameters
from theory.spectrum import is_positive_semidefinite

Word = Literal["true", "conditional", "refuted", "asymptotic", "undecided", "typo", "gap", "—"]
WORDS: dict[Word, str] = {
    "true": "holds as stated; proved, or for a table recomputed, in this run",
    "conditional": "holds under the condition named; without it a counterexample, or nothing known where that is said",
    "refuted": "fails within its own range, on the counterexample given",
    "asymptotic": "holds in a limit only, with the correction given if there is one",
    "undecided": "neither proved nor refuted here",
    "typo": "a slip of print that the rest of the text corrects",
    "gap": "of a proof: a step is false or missing",
    "—": "nothing of the kind is printed",
}
VERSIONS = "v2 read in full; v1 unread"


class Words(NamedTuple):
    """Verdicts on the formula as printed, on the statement for the paper's graph, and on the proof."""

    printed: Word
    theorem: Word = "—"
    proof: Word = "—"


@dataclass(frozen=True)
class Verdict:
    """One audited statement.

    Parameters
    ----------
    name, source, statement : str
        Our name, the number in the paper, and what it says in our words.
    verdict : Words
        On the formula as printed, on the statement for the paper's graph, on the proof; see ``WORDS``.
    counterexample, corrected : str or None
        The smallest graph on which it fails, and what holds instead or under which condition.
    evidence : str
        What was checked in this run.
    versions : str
        Which versions of the paper the row is about.
    """

    name: str
    source: str
    statement: str
    verdict: Words
    counterexample: str | None
    corrected: str | None
    evidence: str
    versions: str = VERSIONS


@cache
def proved(*names: str) -> bool:
    """Whether all these certificates are stored and prove their claims."""
    stored = certificates.load()
    return all(name in stored and certificates.check(stored[name]) for name in names)


# --- exact searches --------------------------------------------------------------------------------

Test = Callable[[GraphParameters, int], Any]


@cache
def small_graphs(
    nodes: int = 10,
    denominator: int = 6,
    smallest: int = 2,
    all_difficult: bool = False,
    semidefinite: bool = True,
    pairing: Pairing = "block",
) -> tuple[GraphParameters, ...]:
    """Graphs with difficult pairs and small fractions, the smallest first; positive semidefinite, n_d < n and n >= 2
    unless said otherwise."""
    graphs = (p for p in _graphs(nodes, denominator, smallest, all_difficult, pairing))
    return tuple(p for p in graphs if not semidefinite or is_positive_semidefinite(p))


def _graphs(
    nodes: int, denominator: int, smallest: int, all_difficult: bool, pairing: Pairing
) -> Iterator[GraphParameters]:
    sizes = [(n * (r + 1), r, n) for n in range(smallest, nodes) for r in range(1, nodes) if n * (r + 1) <= nodes]
    for _, r, n in sorted(sizes):
        for d in range(2, denominator + 1):
            for low, middle, top in combinations(range(d), 3):
                if gcd(top, low, middle, d) == 1:  # each graph once
                    levels = (Fraction(value, d) for value in (top, low, middle))
                    alpha, beta, gamma = levels
                    for n_d in range(1, n + all_difficult):
                        yield GraphParameters(alpha, beta, gamma, n, r + 1, n_d, pairing)


def beyond_classes(p: GraphParameters) -> range:
    """k from the classes to the samples less one."""
    return range(p.r + 1, p.nodes)


def at_classes(p: GraphParameters) -> tuple[int]:
    """k = r + 1."""
    return (p.r + 1,)


class Search(NamedTuple):
    """The first graph and k on which a statement fails, or None, and how many cases were tried."""

    failure: tuple[GraphParameters, int] | None
    cases: int

    @property
    def clean(self) -> bool:
        """Whether the statement held everywhere, and somewhere at all."""
        return self.failure is None and self.cases > 0

    @property
    def example(self) -> str | None:
        """The failure in words."""
        return None if self.failure is None else written(*self.failure)


def search(
    holds: Test,
    graphs: Iterable[GraphParameters] | None = None,
    dims: Callable[[GraphParameters], Iterable[int]] = at_classes,
) -> Search:
    """Look for a graph and k on which a statement fails."""
    count = 0
    for p in small_graphs() if graphs is None else graphs:
        for dim in dims(p):
            count += 1
            if not holds(p, dim):
                return Search((p, dim), count)
    return Search(None, count)


def written(p: GraphParameters, dim: int | None = None) -> str:
    """A graph in words."""
    text = f"α = {p.alpha}, β = {p.beta}, γ = {p.gamma}, n = {p.n}, r = {p.r}, n_d = {p.n_d}"
    return text if dim is None else f"{text}, k = {dim}"


# --- symbolic evidence -----------------------------------------------------------------------------


@cache
def blocks_are_symbolic() -> bool:
    """Whether every closed form is an eigenvalue of its symmetry-reduced block, as rational functions.

    A 2×2 block is compared with the formulas through its trace and determinant.
    """
    from theory.symbolic import blocks

    for pairing in ("block", "matched"):
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


@cache
def margins_are_exact() -> bool:
    """Whether Ā − M̄ is the clean Ā for every kind of pair, symbolically, in every pairing."""
    import sympy as sp

    from theory import symbolic

    return all(
        sp.simplify(entry - clean) == 0
        for p in map(symbolic.Symbols, PAIRINGS)
        for entry, clean in zip(*theorems.with_margins(p, sp.sqrt), strict=True)
    )


@cache
def temperatures_are_exact() -> bool:
    """Whether T∘Ā is the clean Ā for every kind of pair, symbolically; both are positive, so their squares decide."""
    import sympy as sp

    from theory import symbolic

    return all(
        sp.cancel(sp.together(entry**2 - clean**2)) == 0
        for p in map(symbolic.Symbols, PAIRINGS)
        for entry, clean in zip(*theorems.with_temperatures(p, sp.sqrt), strict=True)
    )


def is_factorisation(identity: Callable[..., theorems.PairTerm], **options: str) -> bool:
    """Whether the loss's and the factorisation's terms differ by something that does not depend on the features.

    ``options`` name the positive symbols to put in for the margin and the temperature.
    """
    import sympy as sp

    w, product = sp.symbols("w s", real=True)
    d, e = sp.symbols("d e", positive=True)
    chosen = {key: sp.Symbol(symbol, positive=True) for key, symbol in options.items()}
    loss, factorised = identity(w, (d, e), product, **chosen)
    return bool(sp.simplify(sp.diff(loss - factorised, product)) == 0)
