"""Options that describe a graph, for every command about one."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

from theory.bounds import DEFAULTS, DIFFICULT_SHARE
from theory.checks import ParameterError
from theory.command import Parser
from theory.kinds import PAIRINGS, Pairing
from theory.params import GraphParameters, Levels, SixLevels

LEVELS = ("alpha", "beta", "gamma")
GIVEN = (*LEVELS, "samples_per_class", "classes", "difficult")


def add_graph(parser: Parser, level: Any = float) -> None:
    """The group of options; ``level`` converts similarities to numbers."""
    add = parser.group("graph").add_argument
    add("--alpha", type=level, metavar="X", help="similarity within a class; 0 <= beta <= gamma < alpha < 1")
    add("--beta", type=level, metavar="X", help="similarity across classes")
    add("--gamma", type=level, metavar="X", help="similarity of difficult pairs")
    add("--samples-per-class", type=int, help=f"n, >= 1 ({DEFAULTS['samples_per_class']})")
    add("--classes", type=int, help=f"r + 1, >= 2 ({DEFAULTS['classes']})")
    add("--difficult", type=int, help=f"difficult samples per class, 0 to n ({100 * DIFFICULT_SHARE:g} %% of n)")
    pairings = "block: of two difficult samples, any: with a difficult sample, matched: of paired ones, clean: none"
    add("--pairing", choices=PAIRINGS, help=f"which pairs of different classes have γ; {pairings} ({PAIRINGS[0]})")
    six = "in place of alpha, beta, gamma: similarities of easy–easy, easy–difficult and difficult–difficult pairs"
    add("--within", type=level, nargs=3, metavar=("EE", "ED", "DD"), help=f"{six} within a class, -1 to 1")
    add("--across", type=level, nargs=3, metavar=("EE", "ED", "DD"), help="the same across classes")
    add("--profile", type=Path, help="take all these from a profile of measured features")


def given_six(args: Namespace) -> list[str]:
    """Which of --within and --across were given; ParameterError where the graph's options exclude each other."""
    six = [name for name in ("within", "across") if getattr(args, name) is not None]
    for name in LEVELS if six else ():
        if getattr(args, name) is not None:
            raise ParameterError(f"--{name} and --{six[0]} exclude each other")
    if six and args.pairing is not None:
        raise ParameterError(f"--pairing and --{six[0]} exclude each other: six levels say which pairs are similar")
    if len(six) == 1 or (six and args.profile):
        raise ParameterError("--within and --across go together, without --profile")
    for name in GIVEN if args.profile else ():
        if getattr(args, name) is not None:
            raise ParameterError(f"--{name.replace('_', '-')} and --profile exclude each other")
    return six


def pairing_of(args: Namespace) -> Pairing:
    """The pairing that was given, or the paper's."""
    given: Pairing | None = args.pairing
    return PAIRINGS[0] if given is None else given


def graph_of_options(args: Namespace) -> GraphParameters | SixLevels:
    """The graph that was given without a profile; ParameterError if a level is missing."""
    six = given_six(args)
    for name in () if six else LEVELS:
        if getattr(args, name) is None:
            raise ParameterError(f"--{name} is required (or --within and --across, or --profile)")
    n, classes = (getattr(args, name) for name in ("samples_per_class", "classes"))
    n = DEFAULTS["samples_per_class"] if n is None else n
    classes = DEFAULTS["classes"] if classes is None else classes
    difficult = round(DIFFICULT_SHARE * n) if args.difficult is None else args.difficult
    if six:
        return SixLevels(Levels(*args.within), Levels(*args.across), n, classes, difficult)
    return GraphParameters(args.alpha, args.beta, args.gamma, n, classes, difficult, pairing_of(args))
