"""Verdicts on the paper's statements, re-derived at every run: ``python -m theory.audit``.

The paper's own text was not available; verdicts are on the statements as secondary sources quote them.
Proofs are positivity certificates and symbolic identities, refutations are the smallest graphs found, in exact
fractions. The exit code is 1 if a verdict differs from the recorded one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from difflib import get_close_matches

from theory.audit.evidence import Verdict
from theory.audit.statements import (
    class_direction,
    clean,
    difficult,
    difficult_equality,
    difficult_range,
    labelling_error,
    loss_identity,
    margin,
    margin_constant,
    monotonicity,
    noisy_clean,
    noisy_difficult,
    realisability,
    removal,
    removal_condition,
    temperature,
    temperature_bound,
    temperature_condition,
)
from theory.checks import ParameterError

# --- one function per statement --------------------------------------------------------------------

RECORDED: dict[Callable[[], Verdict], str] = {
    clean: "proved",
    difficult: "proved",
    difficult_equality: "conditional",
    difficult_range: "conditional",
    monotonicity: "conditional",
    removal: "conditional",
    removal_condition: "refuted",
    margin: "proved",
    margin_constant: "refuted",
    temperature: "conditional",
    temperature_bound: "undecided",
    temperature_condition: "conditional",
    noisy_clean: "asymptotic",
    noisy_difficult: "asymptotic",
    loss_identity: "proved",
    realisability: "refuted",
    class_direction: "conditional",
    labelling_error: "refuted",
}
THEOREMS = {function.__name__: function for function in RECORDED}

# --- command line ----------------------------------------------------------------------------------


def audit(names: Sequence[str] = ()) -> list[Verdict]:
    """Verdicts on the named statements, by default all.

    Raises
    ------
    ParameterError
        If a name is unknown; the message suggests the nearest.
    """
    for name in names:
        if name not in THEOREMS:
            near = get_close_matches(name.lower(), THEOREMS, 1)
            hint = f"did you mean {near[0]}?" if near else "one of " + ", ".join(THEOREMS)
            raise ParameterError(f"theorem = {name} violates a known name; {hint}")
    return [THEOREMS[name]() for name in names or THEOREMS]


def matches_record(verdicts: Sequence[Verdict]) -> bool:
    """Whether all verdicts are the recorded ones."""
    return all(verdict.verdict == RECORDED[THEOREMS[verdict.name]] for verdict in verdicts)
