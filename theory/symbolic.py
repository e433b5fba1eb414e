"""The closed forms as sympy expressions, and the symmetry-reduced blocks they are derived from.

>>> from theory.symbolic import Symbols, eigenvalues
>>> eigenvalues(Symbols("matched"))["bulk"]  # doctest: +SKIP
(1 - α)/(n⋅(α + β⋅r) + 1 - α)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sympy as sp

from theory import formulas
from theory.checks import require
from theory.params import PAIRINGS, Pairing

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
        self.neighbours = sp.Integer(1) if pairing == "matched" else self.n_d


def blocks(p: Any) -> dict[str, tuple[tuple[Any, ...], Any]]:
    """The matrices by which Ā acts on its invariant spaces, written down from the weights.

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
        From the names of the modes in the space to (block, multiplicity); a block is its one entry, or
        (difficult, easy, squared off-diagonal entry).
    """
    c2, c1 = formulas.degrees(p)
    g, own, n_e = p.gamma - p.beta, 1 - p.alpha, p.n - p.n_d
    cross = p.n_d * p.beta + p.neighbours * g  # weight from a difficult sample to another class's difficult ones

    def both(across: Any) -> tuple[Any, ...]:
        """Vectors constant on difficult and on easy samples; ``across`` is r or −1, the classes' eigenvalue."""
        level = p.alpha + across * p.beta
        difficult = (own + p.n_d * p.alpha + across * cross) / c1
        return difficult, (own + n_e * level) / c2, level * level * p.n_d * n_e / (c1 * c2)

    paired = g if p.pairing == "matched" else 0
    found: dict[str, tuple[tuple[Any, ...], Any]] = {
        "trivial, contrast": (both(p.r), 1),
        "class_upper, class_lower": (both(-1), p.r),
        "bulk": ((own / c2,), (p.r + 1) * (n_e - 1)),
    }
    if p.pairing == "matched":
        found["bridge"] = (((own + p.r * paired) / c1,), p.n_d - 1)
        found["anti_bridge"] = (((own - paired) / c1,), p.r * (p.n_d - 1))
    else:
        found["within_difficult"] = ((own / c1,), (p.r + 1) * (p.n_d - 1))
    return found


def eigenvalues(p: Any) -> dict[str, Any]:
    """Eigenvalues by mode, for 1 <= n_d < n."""
    upper, lower = formulas.class_modes(p, sp.sqrt)
    found = {"trivial": sp.Integer(1), "class_upper": upper, "class_lower": lower}
    found |= {"contrast": formulas.contrast(p), "bulk": formulas.bulk(p)}
    if p.pairing == "matched":
        return found | {"bridge": formulas.bridge(p), "anti_bridge": formulas.anti_bridge(p)}
    return found | {"within_difficult": formulas.within_difficult(p)}


def multiplicities(p: Any) -> dict[str, Any]:
    """Multiplicities by mode, for 1 <= n_d < n."""
    return {mode: multiplicity for names, (_, multiplicity) in blocks(p).items() for mode in names.split(", ")}


def degrees(p: Any) -> formulas.Degrees:
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


def margins(p: Any) -> formulas.PerPair:
    """The optimal margins of the seven kinds of pairs."""
    return formulas.margins(p, sp.sqrt)


def temperatures(p: Any) -> formulas.PerPair:
    """The optimal temperature factors of the seven kinds of pairs."""
    return formulas.temperatures(p, sp.sqrt)


def labelling_error(p: Any) -> Any:
    """δ of the graph itself."""
    return formulas.labelling_error(p)
