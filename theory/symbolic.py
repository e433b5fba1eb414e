"""The closed forms as sympy expressions, and the symmetry-reduced blocks they are derived from.

>>> from theory.symbolic import Symbols, eigenvalues
>>> eigenvalues(Symbols())["bulk"]  # doctest: +SKIP
(1 - α)/(n⋅(α + β⋅r) + 1 - α)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sympy as sp

from theory import formulas, kinds
from theory.checks import require
from theory.kinds import PAIRINGS, Pairing, PerKind, neighbours, paper_weights, six_weights
from theory.spectrum import Arithmetic, choose, modes, spaces

alpha, beta, gamma = sp.symbols("alpha beta gamma", nonnegative=True)
n, r, n_d = sp.symbols("n r n_d", positive=True, integer=True)
delta = sp.Symbol("delta", nonnegative=True)


class Symbols:
    """The graph's parameters as symbols, in the form that ``theory.formulas`` takes.

    Parameters
    ----------
    pairing : {"block", "any", "matched", "clean"}
    replaced : mapping, optional
        Values or expressions for some of the symbols.
    """

    def __init__(self, pairing: Pairing = "block", replaced: Mapping[Any, Any] | None = None) -> None:
        require(pairing in PAIRINGS, "pairing", pairing, "one of " + ", ".join(PAIRINGS))
        values = [sp.sympify(symbol).subs(replaced or {}) for symbol in (alpha, beta, gamma, n, r, n_d)]
        self.pairing = pairing
        self.alpha, self.beta, self.gamma, self.n, self.r, self.n_d = values
        self.neighbours = sp.sympify(neighbours(self.n_d, pairing))
        self.weights = paper_weights(self.alpha, self.beta, self.gamma, pairing)
        self.degrees = kinds.degrees(self.weights, self.n, self.r, self.n_d)


class SixSymbols:
    """The general graph: six levels as symbols, ``within`` a class and ``across`` classes, for ``eigenvalues``.

    Attributes
    ----------
    within, across : tuple of sympy.Symbol
        Similarity of easy–easy, easy–difficult and difficult–difficult pairs.
    n, r, n_d : sympy.Symbol
        As those of ``Symbols``.
    """

    pairing: Pairing = "block"  # six levels do not tell paired difficult samples from others

    def __init__(self) -> None:
        self.within = sp.symbols("w_ee w_ed w_dd", real=True)
        self.across = sp.symbols("v_ee v_ed v_dd", real=True)
        self.n, self.r, self.n_d = n, r, n_d
        self.weights = six_weights(self.within, self.across)
        self.degrees = kinds.degrees(self.weights, n, r, n_d)


GENERIC = Arithmetic(sp.sqrt, choose, lambda count: True)  # 1 <= n_d < n


def blocks(p: Any) -> dict[str, tuple[tuple[Any, ...], Any]]:
    """The matrices by which Ā acts on its invariant spaces.

    A vector is a combination of (equal across the classes, or summing to zero over them) with (constant
    on difficult and on easy samples, or summing to zero within either). Between two such spaces Ā has
    no entries.

    Parameters
    ----------
    p : object
        Parameters of any number type, as ``theory.formulas`` takes them, with a ``pairing``.

    Returns
    -------
    dict
        From the names of the modes in the space to (block, multiplicity) for 1 <= n_d < n; a block is its one
        entry, or (difficult, easy, squared off-diagonal entry).
    """
    return {
        ", ".join(space.modes): (space.block(p), space.multiplicities(p, GENERIC)[0]) for space in spaces(p.pairing)
    }


def eigenvalues(p: Any) -> dict[str, Any]:
    """Eigenvalues by mode, for 1 <= n_d < n."""
    return {mode: eigenvalue for mode, eigenvalue, _ in modes(p, GENERIC)}


def multiplicities(p: Any) -> dict[str, Any]:
    """Multiplicities by mode, for 1 <= n_d < n."""
    return {mode: count for mode, _, count in modes(p, GENERIC)}


def bounds(p: Any) -> dict[str, Any]:
    """The five printed bounds (eqs. 3, 4, 5, 8, 11) in δ and the graph's parameters, for 1 <= n_d < n."""
    clean = formulas.probing_bound(formulas.clean_bulk(p), delta)
    return {
        "clean": clean,
        "difficult": formulas.probing_bound(formulas.difficult(p), delta),
        "removal": formulas.probing_bound(formulas.removal(p), delta),
        "margin": clean,
        "temperature": clean + formulas.temperature_excess(p, delta),
    }


def conditions(p: Any) -> dict[str, Any]:
    """When one printed bound is below another, and when the graph's contrast mode is above both, as inequalities.

    ``strictly_worse``: eq. 4 above eq. 3; ``removal`` and ``temperature``: eqs. 5 and 11 below eq. 4;
    ``removal_at_contrast``: eq. 5's λ below the contrast mode; ``printed_exceeded``: the contrast mode above
    eq. 4's λ; the last two are the block graph's.
    """
    return {
        "strictly_worse": sp.Gt(formulas.strictly_worse(p), 0),
        "removal": sp.Gt(formulas.removal_gain(p), 0),
        "removal_at_contrast": sp.Gt(formulas.removal_gain_at_contrast(p), 0),
        "temperature": sp.Gt(formulas.temperature_gain(p), 0),
        "printed_exceeded": sp.Gt(formulas.contrast_over_printed(p), 0),
    }


def margins(p: Any) -> PerKind:
    """The margins by kind of pair (eq. 36)."""
    return formulas.margins(p, sp.sqrt)


def temperatures(p: Any) -> PerKind:
    """The temperature factors by kind of pair (eq. 57)."""
    return formulas.temperatures(p, sp.sqrt)


def cross_mass(p: Any) -> Any:
    """φ, the share of edge weight between classes."""
    return formulas.cross_mass(p)
