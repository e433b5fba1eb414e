"""Positivity certificates: inequalities proved for all parameters at once.

Every inequality that the theory rests on says that some expression E in α, β, γ, n_d, n_e, r has the sign
of a condition C (or is positive: C = 1). A certificate writes

    E = C · P/Q,   P and Q polynomials with positive coefficients only,

in variables that are free to be any non-negative numbers: β = b, γ = b + x, α = b + x + y, 1 = b + x + y + o
(all scaled by one factor), n_d = 1 + u, n_e = 1 + v, r = 1 + t or the shifts that the claim names. That is
a proof for all parameters, and re-checking it takes one polynomial identity. P and Q are stored in
``certificates.json``; ``check`` compares them with the formulas that the package computes with.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sympy import ZZ
from sympy.polys.fields import field

from theory import formulas
from theory.checks import ParameterError, require
from theory.files import write_json
from theory.kinds import Pairing, degrees, neighbours, paper_weights

STORE = Path(__file__).with_name("certificates.json")
SCHEMA = "difficult-examples/certificates/1"
VARIABLES = ["b", "x", "y", "o", "u", "v", "t", "s", "w"]
FIELD, b, x, y, o, u, v, t, s, w = field(VARIABLES, ZZ)  # rational functions: exact, and faster than expressions
SIZES = (1 + u, 1 + v, 1 + t)  # n_d, n_e, r: at least one each
Terms = tuple[tuple[int, tuple[int, ...]], ...]


class Free:
    """The graph's parameters in the free variables, in the form that ``theory.formulas`` takes.

    Parameters
    ----------
    pairing : {"block", "matched"}
    sizes : tuple of rational functions
        n_d, n_e and r in the free variables.
    raised : rational function
        Added to γ, in units of the common scale.
    """

    def __init__(self, pairing: Pairing, sizes: tuple[Any, Any, Any], raised: Any = 0) -> None:
        n_d, n_e, r = sizes
        scale = b + x + y + o
        self.pairing, self.sizes = pairing, sizes
        self.alpha, self.beta, self.gamma = (b + x + y) / scale, b / scale, (b + x + raised) / scale
        self.n, self.r, self.n_d = n_d + n_e, r, n_d
        self.neighbours = neighbours(n_d, pairing) * FIELD.one
        self.weights = paper_weights(self.alpha, self.beta, self.gamma, pairing)
        self.degrees = degrees(self.weights, self.n, self.r, self.n_d)

    def with_gamma_raised(self, amount: Any) -> Free:
        """The same graph with a larger γ."""
        return Free(self.pairing, self.sizes, amount)


@dataclass(frozen=True)
class Claim:
    """An inequality about the paper's graph (block), or about the one that its proof of theorem 3.4 takes (matched).

    Parameters
    ----------
    name, statement : str
    expression : callable
        From parameters (``Free``) to E.
    condition : callable or None
        From parameters to C; None means E > 0 itself.
    pairing : {"block", "matched"}
    sizes : tuple
        n_d, n_e and r in the free variables; by default 1 + u, 1 + v and 1 + t.
    """

    name: str
    statement: str
    expression: Callable[[Any], Any]
    condition: Callable[[Any], Any] | None = None
    pairing: Pairing = "block"
    sizes: tuple[Any, Any, Any] = SIZES

    def ratio(self) -> Any:
        """E/C as a rational function of the free variables, in lowest terms."""
        p = Free(self.pairing, self.sizes)
        value = self.expression(p)
        return value if self.condition is None else value / self.condition(p)


@dataclass(frozen=True)
class Certificate:
    """P and Q of a claim, as lists of (coefficient, exponents) over ``VARIABLES``."""

    name: str
    numerator: Terms
    denominator: Terms


def _gap(p: Any) -> Any:
    return p.gamma - p.beta


def _between(p: Any, value: Any) -> Any:
    """Positive exactly if ``value`` lies strictly between the lower and the upper class mode."""
    difficult, easy, coupling = formulas.class_block(p)
    return coupling - (difficult - value) * (easy - value)


def _class_determinant(p: Any) -> Any:
    difficult, easy, coupling = formulas.class_block(p)
    return difficult * easy - coupling


def _temperature_difference(p: Any, eigenvalue: Any) -> Any:
    """(bound with this eigenvalue − temperature bound)/(4δ)."""
    return (formulas.probing_excess(eigenvalue, formulas.clean_bulk(p), 1) - formulas.temperature_excess(p, 1)) / 4


ALL_DIFFICULT = (1 + u, FIELD.zero, 1 + t)

_BLOCK = (
    # the graph's order: λᵣ₊₂ = min(contrast, class_upper), and λₖ₊₁ <= bulk for k >= r + 2
    Claim("contrast_above_bulk", "contrast > bulk", lambda p: formulas.contrast(p) - formulas.bulk(p)),
    Claim(
        "bulk_above_within",
        "bulk > within-difficult",
        lambda p: formulas.clean_bulk(p) - formulas.within_difficult(p),
    ),
    Claim(
        "bulk_between_class_modes",
        "class_lower < bulk < class_upper",
        lambda p: _between(p, formulas.bulk(p)),
    ),
    Claim(
        "class_above_within_all_difficult",
        "n_d = n: class > within-difficult",
        lambda p: formulas.class_block(p)[0] - formulas.within_difficult(p),
        sizes=ALL_DIFFICULT,
    ),
    Claim(
        "printed_above_within",
        "eq. 4's λ > within-difficult, which is λᵣ₊₂ for n_d = n",
        lambda p: formulas.difficult(p) - formulas.within_difficult(p),
        sizes=ALL_DIFFICULT,
    ),
    # theorem 3.4 and its discussion
    Claim(
        "contrast_over_printed",
        "contrast > eq. 4's λ ⇔ b[(n_e − 1)(n_d − 1) − 1] + (n_d − 1)(1 − α) > 0",
        lambda p: formulas.contrast(p) - formulas.difficult(p),
        formulas.contrast_over_printed,
    ),
    Claim(
        "class_over_printed",
        "eq. 4's λ lies between the class modes ⇔ a[n_d·r·S + (n_d+r)·n_e·c1] > (n_d+r)·r·g·S, S = c2 − n_d(1−α)",
        lambda p: _between(p, formulas.difficult(p)),
        formulas.class_over_printed,
    ),
    Claim(
        "strictly_worse",
        "eq. 4's λ > eq. 3's λ ⇔ c2 > n_d(1 − α)",
        lambda p: formulas.difficult(p) - formulas.clean_bulk(p),
        formulas.strictly_worse,
    ),
    Claim(
        "printed_rises",
        "raising γ raises eq. 4's λ ⇔ c2 > n_d(1 − α)",
        lambda p: formulas.difficult(p.with_gamma_raised(w)) - formulas.difficult(p),
        formulas.strictly_worse,
    ),
    Claim(
        "contrast_rises",
        "raising γ raises the contrast",
        lambda p: formulas.contrast(p.with_gamma_raised(w)) - formulas.contrast(p),
    ),
    Claim(
        "cross_mass_rises",
        "raising γ raises φ, the share of edge weight between classes",
        lambda p: formulas.cross_mass(p.with_gamma_raised(w)) - formulas.cross_mass(p),
    ),
    # removal
    Claim(
        "removal_condition",
        "eq. 4's bound > eq. 5's ⇔ r·g[(1−α) + n_e·b] > n_d(1−α)(α + rγ)",
        lambda p: formulas.difficult(p) - formulas.removal(p),
        formulas.removal_gain,
    ),
    Claim(
        "removal_condition_at_contrast",
        "contrast > eq. 5's λ ⇔ n_e·r·g[(1−α) + n_e·b] > (1−α)c1",
        lambda p: formulas.contrast(p) - formulas.removal(p),
        formulas.removal_gain_at_contrast,
    ),
    Claim(
        "removal_loses_beyond",
        "for k >= r + 2 removal raises λ: eq. 5's λ > bulk",
        lambda p: formulas.removal(p) - formulas.clean_bulk(p),
    ),
    # margins and temperatures
    Claim("margin_positive", "σ* > 0", formulas.margin_sigma),
    Claim("margin_at_most_gap", "σ* ≤ γ − β", lambda p: _gap(p) - formulas.margin_sigma(p)),
    Claim("temperature_below_one", "ρ* < 1", lambda p: 1 - formulas.temperature_rho(p)),
    Claim(
        "temperature_condition",
        "eq. 4's bound > eq. 11's ⇔ r·β²·n²·(c2 − n_d(1−α)) > n_d²(γ+β)c2[n·b + (n_d−1)r·g]",
        lambda p: _temperature_difference(p, formulas.difficult(p)),
        formulas.temperature_gain,
    ),
    Claim(
        "temperature_condition_at_contrast",
        "the contrast's bound > eq. 11's ⇔ n_e·r·β²·n² > (γ+β)n_d(n·c2 + n_d²·r·g)",
        lambda p: _temperature_difference(p, formulas.contrast(p)),
        formulas.temperature_gain_at_contrast,
    ),
    # realisability
    Claim(
        "psd_class_modes",
        "the class modes' product has the sign of (1−α)((1−α)+n·a) − n_d·g((1−α)+n_e·a)",
        _class_determinant,
        formulas.semidefinite_slack,
    ),
    Claim(
        "psd_all_difficult",
        "n_d = n: the class modes have the sign of (1−α) + n(a − g)",
        lambda p: formulas.class_block(p)[0],
        lambda p: (1 - p.alpha) + p.n * (p.alpha - p.beta - _gap(p)),
        sizes=ALL_DIFFICULT,
    ),
)

_MATCHED = (
    # the graph that eq. 24 decomposes, with its own degree c = c2 + r·g
    Claim("bridge_above_bulk", "matched: bridge > bulk", lambda p: formulas.bridge(p) - formulas.bulk(p)),
    Claim("bridge_above_contrast", "matched: bridge > contrast", lambda p: formulas.bridge(p) - formulas.contrast(p)),
    Claim(
        "bulk_above_anti_bridge", "matched: bulk > anti-bridge", lambda p: formulas.bulk(p) - formulas.anti_bridge(p)
    ),
    Claim(
        "matched_bulk_between_class_modes",
        "matched: class_lower < bulk < class_upper",
        lambda p: _between(p, formulas.bulk(p)),
    ),
    Claim(
        "class_above_bridge",
        "matched: class_upper > bridge ⇔ a(n_d·n·r·b + (r+1)·n_e·c) > (r+1)·n·r·b·g",
        lambda p: _between(p, formulas.bridge(p)),
        formulas.class_over_bridge,
    ),
    Claim(
        "class_above_bridge_few_difficult",
        "matched: that condition holds for n ≥ r + 1 ≥ n_d",
        formulas.class_over_bridge,
        sizes=(1 + u, w + s, u + w),
    ),
    Claim(
        "class_above_bridge_many_difficult",
        "matched: that condition holds for n_d ≥ r + 1",
        formulas.class_over_bridge,
        sizes=(2 + t + u, v, 1 + t),
    ),
    Claim(
        "psd_anti_bridge",
        "matched: anti-bridge has the sign of (1 − α) − g",
        formulas.anti_bridge,
        lambda p: (1 - p.alpha) - _gap(p),
    ),
    Claim(
        "matched_psd_class_modes",
        "matched: the class modes' product has the sign of (1−α)((1−α)+n·a) − g((1−α)+n_e·a)",
        _class_determinant,
        formulas.semidefinite_slack,
    ),
    Claim(
        "psd_anti_bridge_decides",
        "matched: g ≤ 1 − α makes the class modes' condition hold",
        lambda p: (
            formulas.semidefinite_slack(p)
            - (1 - p.alpha - _gap(p)) * ((1 - p.alpha) + (p.n - p.n_d) * (p.alpha - p.beta))
        ),
    ),
    Claim(
        "matched_psd_all_difficult",
        "matched, n_d = n: the class modes have the sign of (1−α) + n·a − g",
        lambda p: formulas.class_block(p)[0],
        lambda p: (1 - p.alpha) + p.n * (p.alpha - p.beta) - _gap(p),
        sizes=ALL_DIFFICULT,
    ),
)

CLAIMS: dict[str, Claim] = {
    claim.name: claim for claim in (*_BLOCK, *(replace(claim, pairing="matched") for claim in _MATCHED))
}


def certify(name: str) -> Certificate:
    """Compute a claim's certificate.

    Raises
    ------
    ParameterError
        If the claim is unknown or its ratio has a negative coefficient: then this is no proof.
    """
    ratio = _claim(name).ratio()
    numerator, denominator = ratio.numer, ratio.denom
    if denominator.LC < 0:
        numerator, denominator = -numerator, -denominator
    certificate = Certificate(name, _terms(numerator), _terms(denominator))
    if not _all_positive(certificate):
        raise ParameterError(f"the claim {name} has no positivity certificate in these variables")
    return certificate


def check(certificate: Certificate) -> bool:
    """Whether a certificate proves its claim: positive coefficients, and E·Q = C·P identically."""
    if not _all_positive(certificate):
        return False
    ratio = _claim(certificate.name).ratio()
    proof = [
        FIELD.ring.from_dict({e: ZZ(c) for c, e in terms}) for terms in (certificate.numerator, certificate.denominator)
    ]
    return bool(ratio.numer * proof[1] == ratio.denom * proof[0])


def strict_at(certificate: Certificate, zero: set[str]) -> bool:
    """Whether P stays positive when the named variables vanish and all others are positive."""
    removed = [index for index, name in enumerate(VARIABLES) if name in zero]
    return any(all(exponents[index] == 0 for index in removed) for _, exponents in certificate.numerator)


def check_with_z3(certificate: Certificate, seconds: float = 10.0) -> bool | None:
    """The same claim by an SMT solver: no free variables >= 0, all positive, make E/C negative or zero.

    Returns
    -------
    bool or None
        True if proved, False if refuted, None if the solver gave up or is not installed.
    """
    try:
        import z3
    except ImportError:
        return None
    ratio = _claim(certificate.name).ratio()
    variables = [z3.Real(name) for name in VARIABLES]
    solver = z3.Solver()
    solver.set("timeout", int(1000 * seconds))
    solver.add([variable > 0 for variable in variables])

    def value(polynomial: Any) -> Any:
        total = z3.RealVal(0)
        for exponents, coefficient in polynomial.terms():
            term = z3.RealVal(str(coefficient))
            for variable, exponent in zip(variables, exponents, strict=True):
                for _ in range(exponent):
                    term = term * variable
            total = total + term
        return total

    solver.add(value(ratio.numer) * value(ratio.denom) <= 0)
    answer = solver.check()
    return True if answer == z3.unsat else False if answer == z3.sat else None


def load() -> dict[str, Certificate]:
    """The stored certificates by name."""
    document = json.loads(STORE.read_text(encoding="utf-8"))
    require(document["schema"] == SCHEMA, "schema", document["schema"], f"schema == {SCHEMA}")

    def terms(rows: list[str]) -> Terms:
        numbers = [tuple(int(number) for number in row.split()) for row in rows]
        return tuple((row[0], row[1:]) for row in numbers)

    return {
        name: Certificate(name, terms(entry["numerator"]), terms(entry["denominator"]))
        for name, entry in document["certificates"].items()
    }


def store() -> None:
    """Compute all certificates and write ``certificates.json``."""
    entries = {}
    for name, claim in CLAIMS.items():
        certificate = certify(name)
        entries[name] = {
            "statement": claim.statement,
            "numerator": _rows(certificate.numerator),
            "denominator": _rows(certificate.denominator),
        }
    write_json(STORE, {"schema": SCHEMA, "variables": VARIABLES, "certificates": entries})


def _claim(name: str) -> Claim:
    require(name in CLAIMS, "certificate", name, "one of " + ", ".join(CLAIMS))
    return CLAIMS[name]


def _terms(polynomial: Any) -> Terms:
    return tuple((int(coefficient), tuple(exponents)) for exponents, coefficient in polynomial.terms())


def _rows(terms: Terms) -> list[str]:
    """One line a term: the coefficient, then the exponents in the order of ``VARIABLES``."""
    return [" ".join(str(number) for number in (coefficient, *exponents)) for coefficient, exponents in terms]


def _all_positive(certificate: Certificate) -> bool:
    parts = (certificate.numerator, certificate.denominator)
    return all(parts) and all(c > 0 for terms in parts for c, _ in terms)
