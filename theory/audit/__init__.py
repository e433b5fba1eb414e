"""Verdicts on the paper's statements, re-derived at every run: ``python -m theory.audit``.

The paper is arXiv 2501.01317v2, read in full; its first version is unread. Proofs are positivity certificates and
symbolic identities, refutations are the smallest graphs found, in exact fractions. The exit code is 1 if a verdict
differs from the recorded one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from difflib import get_close_matches
from typing import Any

from theory.audit import appendix, assumptions, statements
from theory.audit.evidence import WORDS, Verdict, Words
from theory.checks import ParameterError
from theory.code import OpenNames, attribute, reason_of

PAPER = "Zhang, Cui, Li, Wang, ICLR 2026, arXiv 2501.01317v2"

STATED: dict[Callable[[], Verdict], Words] = {
    statements.clean: Words("conditional", "conditional", "true"),
    statements.difficult: Words("refuted", "conditional", "gap"),
    statements.strictly_worse: Words("conditional", "conditional"),
    statements.gap_hurts: Words("conditional", "conditional"),
    statements.reduces: Words("true", "true"),
    statements.removal: Words("conditional", "conditional", "true"),
    statements.removal_condition: Words("true", "refuted"),
    statements.margin_loss: Words("true", "true", "true"),
    statements.margin_constant: Words("true", "true", "true"),
    statements.margin_cases: Words("typo", "true"),
    statements.margin_others: Words("conditional", "conditional"),
    statements.margin: Words("conditional", "conditional", "true"),
    statements.temperature_loss: Words("true", "true", "typo"),
    statements.temperature_factors: Words("conditional", "conditional", "true"),
    statements.temperature: Words("undecided", "undecided", "gap"),
    statements.temperature_orders: Words("asymptotic", "refuted"),
    statements.temperature_condition: Words("asymptotic", "refuted"),
    appendix.weighted_probing: Words("refuted", "undecided", "gap"),
    appendix.weighted_rayleigh: Words("refuted", "refuted", "gap"),
    appendix.weighted_cut: Words("refuted", "refuted", "gap"),
    appendix.noisy_clean: Words("refuted", "asymptotic", "gap"),
    appendix.noisy_difficult: Words("refuted", "asymptotic", "gap"),
    appendix.noise_quantile: Words("conditional"),
    appendix.noise_range: Words("conditional", "conditional"),
    appendix.noise_remedies: Words("conditional", "conditional"),
    appendix.lower_bound: Words("refuted", "refuted", "gap"),
    appendix.lower_bound_trend: Words("conditional"),
    appendix.bound_trend: Words("true", "undecided"),
    appendix.gap_test: Words("refuted", "undecided"),
    appendix.loss_factorisation: Words("true", "true"),
    appendix.shared_minimum: Words("conditional", "conditional"),
}
ASSUMED: dict[Callable[[], Verdict], Words] = {
    assumptions.realisability: Words("—", "refuted"),
    assumptions.equal_delta: Words("—", "refuted"),
    assumptions.classes_lead: Words("—", "conditional"),
    assumptions.divides: Words("—", "true"),
    assumptions.positive_gap: Words("—", "undecided"),
    assumptions.independent_noise: Words("—", "conditional"),
}
RECORDED = STATED | ASSUMED
THEOREMS = {function.__name__: function for function in RECORDED}
NAMES = OpenNames((*THEOREMS, "MODULE:FUNCTION"))


def audit(names: Sequence[str] = ()) -> list[Verdict]:
    """Verdicts on the named statements, by default all of the paper's.

    Parameters
    ----------
    names : sequence of str
        Keys of ``THEOREMS``, or ``MODULE:FUNCTION`` of statements of one's own: functions without parameters that
        return a ``Verdict``, which are imported and called.

    Raises
    ------
    ParameterError
        If a name is unknown; the message suggests the nearest.
    """
    for name in names:
        if name not in NAMES:
            near = get_close_matches(name.lower(), THEOREMS, 1)
            hint = f"did you mean {near[0]}?" if near else "one of " + ", ".join(NAMES)
            raise ParameterError(f"theorem = {name} violates a known name; {hint}")
    return [THEOREMS[name]() if name in THEOREMS else _own(name) for name in names or THEOREMS]


def _own(spec: str) -> Verdict:
    """The verdict of a function that ``MODULE:FUNCTION`` names."""
    function: Any = attribute("theorem", spec)
    try:
        found = function()
    except Exception as error:  # code of one's own can raise anything
        raise ParameterError("theorem", spec, f"a function without parameters ({reason_of(error)})") from error
    if not isinstance(found, Verdict) or not set(found.verdict) <= set(WORDS):
        raise ParameterError("theorem", spec, f"a Verdict with words among {', '.join(WORDS)}")
    if found.name in THEOREMS:
        raise ParameterError("theorem", spec, f"a name of its own, not the paper's {found.name}")
    return found


def is_assumption(name: str) -> bool:
    """Whether the paper takes this for granted rather than states it."""
    return THEOREMS.get(name) in ASSUMED


def matches_record(verdicts: Sequence[Verdict]) -> bool:
    """Whether the verdicts on the paper are the recorded ones; none is recorded of statements of one's own."""
    return all(verdict.verdict == RECORDED[THEOREMS[verdict.name]] for verdict in verdicts if verdict.name in THEOREMS)
