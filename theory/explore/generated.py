"""The closed forms as JavaScript: the functions of ``theory`` called with symbols, and what they return printed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from typing import Any

import sympy as sp
from sympy.printing.jscode import JavascriptCodePrinter

from theory import formulas, kinds
from theory.augmentation import least_labelling_error
from theory.bounds import Rule, rules
from theory.kinds import Pairing, PerKind
from theory.params import Levels, SixLevels
from theory.plan import THREE_LEVEL, band_of_sizes
from theory.sizes import SPLIT, joint
from theory.spectrum import Arithmetic, has_negative_weight, is_positive_semidefinite, largest_gamma, modes

alpha, beta, gamma, delta = sp.symbols("alpha beta gamma delta", real=True)
n, r, n_d, neighbours, dim = sp.symbols("n r n_d neighbours dim", real=True)
exact, phi, sigma, rho = sp.symbols("exact phi sigma rho", real=True)
WITHIN, ACROSS = (sp.symbols(f"{w}_ee {w}_ed {w}_dd", real=True) for w in ("within", "across"))
WEIGHTS = PerKind(*sp.symbols(" ".join(PerKind._fields), real=True))._replace(easy_diagonal=1, difficult_diagonal=1)


def _where(condition: Any, yes: Any, no: Any) -> Any:
    """A choice that JavaScript makes; Python makes it where it can."""
    if condition in (True, False):
        return yes if condition else no
    return sp.Piecewise((yes, condition), (no, True))


SYMBOLIC = Arithmetic(sp.sqrt, _where, lambda count: sp.sympify(count) > 0)


def graph(pairing: Pairing = "block", **replaced: Any) -> Any:
    """A graph whose levels, weights and sizes are symbols; six levels are those of ``block``."""
    found = SimpleNamespace(pairing=pairing, alpha=alpha, beta=beta, gamma=gamma, n=n, r=r, n_d=n_d)
    found.weights, found.neighbours = WEIGHTS, neighbours
    vars(found).update(replaced)
    found.degrees = kinds.degrees(found.weights, found.n, found.r, found.n_d)
    return found


# --- what the page computes, by name ---------------------------------------------------------------


def expressions() -> dict[str, Any]:
    """The closed forms by the names of their functions, nested in lists and mappings."""
    p = graph()
    return {
        **{f"weights_{pairing}": _weights(pairing) for pairing in THREE_LEVEL},
        "weights_six": kinds.six_weights(WITHIN, ACROSS)._asdict(),
        **{f"levels_{kind}": _levels(*sizes) for kind, sizes in _sizes().items()},
        **{f"largest_gamma_{pairing}": {"gamma": largest_gamma(graph(pairing), SYMBOLIC)} for pairing in THREE_LEVEL},
        **{f"shares_{pairing}": _shares(pairing) for pairing in THREE_LEVEL},
        "spectrum": _modes("block"),
        "spectrum_matched": _modes("matched"),
        "facts": {
            "degrees": p.degrees._asdict(),
            "cross_mass": formulas.cross_mass(p),
            "positive_semidefinite": is_positive_semidefinite(p),
            "negative": has_negative_weight(p),
        },
        "labelling": {"least": least_labelling_error(phi, r, lambda x: sp.sqrt(_where(x > 0, x, 0)))},
        "clean": {"lambda": formulas.clean_bulk(p)},
        "bounds": _bounds(p),
        "bounds_clean": _bounds(graph(gamma=beta)),  # Python compares γ with β, and symbols by what they are
        "sizes": {"margin_sigma": formulas.margin_sigma(p), "temperature_rho": formulas.temperature_rho(p)},
        "joint": dict(zip(("combined_sigma", "combined_rho"), joint(sigma, rho, SPLIT), strict=True)),
        "spaces": [_space(p, across) for across in (r, -1)],
    }


def _weights(pairing: Pairing) -> dict[str, Any]:
    weights = kinds.paper_weights(alpha, beta, gamma, pairing)._asdict()
    return {**weights, "neighbours": kinds.neighbours(n_d, pairing)}


def _sizes() -> dict[str, tuple[Any, Any]]:
    """n and n_d where classes have easy and difficult samples, only easy and only difficult ones."""
    easy, difficult = sp.symbols("n_e n_d", positive=True)
    return {"mixed": (easy + difficult, difficult), "easy": (easy, sp.Integer(0)), "difficult": (difficult, difficult)}


def _levels(size: Any, hard: Any) -> dict[str, Any]:
    """The paper's α, β, γ of six levels."""
    six = SimpleNamespace(n=size, n_d=hard, within=Levels(*WITHIN), across=Levels(*ACROSS))
    found = {}
    for name in ("beta", "alpha", "gamma"):
        found[name] = getattr(SixLevels, name).fget(six)
        setattr(six, name, found[name])
    return found


def _shares(pairing: Pairing) -> dict[str, Any]:
    return dict(zip(("pos_high", "pos_low"), band_of_sizes(n, r + 1, n_d, pairing), strict=True))


def _modes(pairing: Pairing) -> list[Any]:
    return [
        {"mode": mode, "eigenvalue": value, "multiplicity": count}
        for mode, value, count in modes(graph(pairing), SYMBOLIC)
    ]


def _bounds(p: Any) -> dict[str, Any]:
    return {name: _bound(rule) for name, rule in rules(p, dim, delta, exact, SYMBOLIC).items()}


def _bound(rule: Rule) -> dict[str, Any]:
    return {
        **rule._asdict(),
        "bound": rule.bound(delta),
        "bound_exact": rule.bound_exact(delta),
        "excess": rule.excess_over_clean(formulas.clean_bulk(graph()), delta),
    }


def _space(p: Any, across: Any) -> dict[str, Any]:
    """What ``theory.predict.structure`` reads of a space."""
    mixed, more_easy, more_difficult = kinds.row_levels(p.weights, across)
    return {
        "own": kinds.own_levels(p.weights, across),
        "levels": [[mixed + more_easy, mixed], [mixed, mixed + more_difficult]],
    }


# --- their text ------------------------------------------------------------------------------------


def javascript() -> str:
    """``const formulas``: of each name a function from an object of numbers to what the theory's function returns."""
    functions = [f"{name}: {_function(tree)}" for name, tree in expressions().items()]
    return "const formulas = {\n" + ",\n".join(functions) + "\n};\n"


def _function(tree: Any) -> str:
    """An arrow function whose shared parts are computed once."""
    leaves = [sp.sympify(leaf) for leaf in _leaves(tree)]
    shared, left = sp.cse(leaves, sp.numbered_symbols("x"), order="none")
    given = sorted({str(symbol) for leaf in leaves for symbol in leaf.free_symbols})
    lines = [f"const {name} = {_PRINTER.doprint(value)};" for name, value in shared]
    body = _nested(tree, iter(left))
    return "({" + ", ".join(given) + "}) => {\n" + "\n".join([*lines, f"return {body};"]) + "\n}"


def _leaves(tree: Any) -> Iterator[Any]:
    """In the order of ``_nested``; names that are text already are none."""
    if isinstance(tree, Mapping):
        tree = tree.values()
    elif not isinstance(tree, list | tuple):
        if not isinstance(tree, str):
            yield tree
        return
    for branch in tree:
        yield from _leaves(branch)


def _nested(tree: Any, left: Iterator[Any]) -> str:
    """The tree in JavaScript, its leaves taken from ``left``."""
    if isinstance(tree, Mapping):
        return "{" + ", ".join(f"{name}: {_nested(branch, left)}" for name, branch in tree.items()) + "}"
    if isinstance(tree, list | tuple):
        return "[" + ", ".join(_nested(branch, left) for branch in tree) + "]"
    return json.dumps(tree) if isinstance(tree, str) else str(_PRINTER.doprint(next(left)))


class _Printer(JavascriptCodePrinter):  # type: ignore[misc]
    """With JavaScript's names of true and false."""

    def _print_BooleanTrue(self, _: Any) -> str:
        return "true"

    def _print_BooleanFalse(self, _: Any) -> str:
        return "false"


_PRINTER = _Printer()
