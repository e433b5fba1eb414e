"""The closed forms as sympy expressions, and the symmetry-reduced blocks they are derived from.

>>> from theory.symbolic import Symbols, eigenvalues
>>> eigenvalues(Symbols("matched"))["bulk"]  # doctest: +SKIP
(1 - α)/(n⋅(α + β⋅r) + 1 - α)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sympy as sp

from theory import formulas, kinds
from theory.checks import require
from theory.kinds import PAIRINGS, Pairing, PerKind, neighbours, paper_weights
from theory.spectrum import Arithmetic, choose, modes, spaces

alpha, beta, gamma = sp.symbols("alpha beta gamma", nonnegative=True)
n, r, n_d = sp.symbols("n r n_d", positive=True, integer=True)
delta = sp.Symbol("delta", nonnegative=True)


class Symbols:
    """The graph's parameters as symbols, in the form that ``theory.formulas`` takes.

    Parameters
    ----------
    pairing : {"matched", "block"}
    replaced : mapping, optional
        Values or expressions for some of the symbols.
    """

    def __init__(self, pairing: Pairing = "matched", replaced: Mapping[Any, Any] | None = None) -> None:
        require(pairing in PAIRINGS, "pairing", pairing, "one of " + ", ".join(PAIRINGS))
        values = [sp.sympify(symbol).subs(replaced or {}) for symbol in (alpha, beta, gamma, n, r, n_d)]
        self.pairing = pairing
        self.alpha, self.beta, self.gamma, self.n, self.r, self.n_d = values
        self.neighbours = sp.sympify(neighbours(self.n_d, pairing))
        self.weights = paper_weights(self.alpha, self.beta, self.gamma, pairing)
        self.degrees = kinds.degrees(self.weights, self.n, self.r, self.n_d)


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


def degrees(p: Any) -> kinds.Degrees:
    """c2 of an easy and c1 of a difficult sample."""
    return formulas.degrees(p)


def bounds(p: Any) -> dict[str, Any]:
    """The five bounds as expressions in δ and the graph's parameters, for 1 <= n_d < n.

    The difficult bound's λ is the bridge (matched) or the contrast mode (block, its counterpart at k = r+1).
    """
    clean = formulas.probing_bound(formulas.bulk(p), delta)
    stated = formulas.bridge(p) if p.pairing == "matched" else formulas.contrast(p)
    return {
        "clean": clean,
        "difficult": formulas.probing_bound(stated, delta),
        "removal": formulas.probing_bound(formulas.removal(p), delta),
        "margin": clean,
        "temperature": clean + formulas.temperature_excess(p, delta),
    }


def conditions(p: Any) -> dict[str, Any]:
    """When a remedy's bound is below the difficult bound, as inequalities.

    ``removal`` compares with the bridge (k < n_d + r), ``removal_at_contrast`` with the contrast mode
    (k = n_d + r), ``temperature`` with the bridge.

    Raises
    ------
    ParameterError
        For the block pairing, which the paper's conditions do not cover.
    """
    require(p.pairing == "matched", "pairing", p.pairing, "matched")
    return {
        "removal": sp.Gt(formulas.removal_gain(p), 0),
        "removal_at_contrast": sp.Gt(formulas.removal_gain_at_contrast(p), 0),
        "temperature": sp.Gt(formulas.temperature_gain(p), 0),
    }


def margins(p: Any) -> PerKind:
    """The optimal margins of the seven kinds of pairs."""
    return formulas.margins(p, sp.sqrt)


def temperatures(p: Any) -> PerKind:
    """The optimal temperature factors of the seven kinds of pairs."""
    return formulas.temperatures(p, sp.sqrt)


def labelling_error(p: Any) -> Any:
    """δ of the graph itself."""
    return formulas.labelling_error(p)
