"""The statements of the paper, as quoted in secondary sources, beside what the graph really does.

One function per theorem returns ``(computed, stated)`` for one graph; with fractions both are exact.
``theory.audit`` turns them into verdicts.
"""

from __future__ import annotations

from typing import Any

from theory import exact, formulas
from theory.bounds import difficult_range
from theory.params import GraphParameters
from theory.spectrum import nth_mode, spectrum


def kth_eigenvalue(p: GraphParameters, dim: int) -> Any:
    """λ_{k+1} of a graph with fractions, exactly."""
    return nth_mode(spectrum(p, exact.sqrt), dim + 1).eigenvalue


def clean(p: GraphParameters, dim: int) -> tuple[Any, Any]:
    """λ_{k+1} of the clean graph: (1 − α)/c2 (P Thm 3.3)."""
    return kth_eigenvalue(p.clean(), dim), formulas.bulk(p)


def difficult(p: GraphParameters, dim: int) -> tuple[Any, Any]:
    """λ_{k+1} with difficult examples: ((1 − α) + r·g)/c1 (P Thm 3.4)."""
    return kth_eigenvalue(p, dim), formulas.bridge(p)


def difficult_hurts(p: GraphParameters, dim: int) -> tuple[bool, bool]:
    """Whether λ_{k+1} exceeds the clean graph's: stated for r+1 <= k < n_d+r+1 (P Thm 3.4)."""
    return kth_eigenvalue(p, dim) > kth_eigenvalue(p.clean(), dim), dim in difficult_range(p)


def removal(p: GraphParameters, dim: int) -> tuple[Any, Any]:
    """λ_{k+1} after removing the difficult samples: (1 − α)/((1 − α) + (n − n_d)b) (P Cor 4.1)."""
    return kth_eigenvalue(p.without_difficult(), dim), formulas.removal(p)


def removal_condition(p: GraphParameters, dim: int) -> tuple[bool, bool]:
    """Whether removal lowers the bound: quoted as γ − β > n_d(1 − α)/(n·r·(n − n_d)) (P Cor 4.1)."""
    stated = p.gamma - p.beta > p.n_d * (1 - p.alpha) / (p.n * p.r * (p.n - p.n_d))
    return formulas.bridge(p) > formulas.removal(p), stated


def margin_constant(p: GraphParameters, dim: int) -> tuple[Any, Any]:
    """The margin of paired samples: quoted as c0·g/(c1²c2), c0 = (1−α) + nα + (n − n_d)rβ (P Thm 4.3)."""
    c2, c1 = formulas.degrees(p)
    quoted = (1 - p.alpha) + p.n * p.alpha + (p.n - p.n_d) * p.r * p.beta
    return formulas.margins(p, exact.sqrt).paired, quoted * (p.gamma - p.beta) / (c1 * c1 * c2)


def temperature_condition(p: GraphParameters, dim: int) -> tuple[bool, bool]:
    """Whether the temperature bound is below the difficult one: quoted for n_d of the order √n, n_d² <= n."""
    clean_lambda = formulas.bulk(p)
    gain = formulas.probing_excess(formulas.bridge(p), clean_lambda, 1) - formulas.temperature_excess(p, 1)
    return gain > 0, p.n_d * p.n_d <= p.n


def realisability(p: GraphParameters, dim: int) -> tuple[bool, bool]:
    """Whether an augmentation produces the graph: taken for granted for 0 <= β < γ < α < 1 (P section 3)."""
    smallest = min(mode.eigenvalue for mode in spectrum(p, exact.sqrt))
    return smallest >= 0, True


def class_direction(p: GraphParameters, dim: int) -> tuple[bool, bool]:
    """Whether the r+1 leading modes are the trivial and the class modes: implied by k >= r+1 in P section 3."""
    leading = {mode.mode for mode in spectrum(p, exact.sqrt)[:2]}
    return leading == {"trivial", "class_upper"}, True
