"""Accuracy to expect of a linear probe on a noisy similarity graph: ``python -m theory.predict``."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from theory.bounds import DEFAULTS
from theory.checks import ParameterError, require, require_known
from theory.command import Parser, format_number, output, run
from theory.files import picture, require_writable, write_together
from theory.options import add_graph, given_six, graph_of_options, pairing_of
from theory.params import GraphParameters, SixLevels

SCHEMA = "difficult-examples/prediction/1"
REMEDIES = ("nothing", "clean", "margin", "temperature_unweighted", "removal", "random_removal")
PROBES = {"least_squares": 0.0, "logistic": 1.0}  # as in theory.predict.chain, which would have to be imported
FEWEST_NODES = 60
OF_SIX = ("nothing", "removal", "random_removal")
MEASURED = "of measured cosines this is indicative only: python -m empirical.prediction predicts from features"
PARTS = {
    "class_block": "class modes",
    "degrees": "degrees",
    "bridge": "bridges",
    "contrast": "contrast",
}


def main(argv: Sequence[str] | None = None, prog: str = "python -m theory.predict") -> int:
    """Entry point of ``python -m theory.predict``."""
    return run(parser(prog), _command, argv)


def parser(prog: str) -> Parser:
    """The command's options."""
    found = Parser(
        prog,
        __doc__,
        "(--alpha X --beta X --gamma X | --within EE ED DD --across EE ED DD | --profile FILE) --epsilon X [options]",
        (
            "--alpha .6 --beta .3 --gamma .34 --samples-per-class 100 --difficult 10 --epsilon .7 --dim 20",
            "--alpha .6 --beta .3 --epsilon 4 --sweep gamma=.3:.36:.002 --plot gamma.png",
        ),
    )
    add_graph(found)
    add = found.group("probe").add_argument
    add("--epsilon", type=float, metavar="X", help="standard deviation of the noise on a similarity, >= 0")
    add("--dim", type=int, help=f"k, number of eigenvectors, at least the classes ({DEFAULTS['dim']})")
    labels = found.group("probe").add_mutually_exclusive_group().add_argument
    labels("--labels-per-class", type=float, metavar="M", help="labelled samples per class, 2 to below n (n/2)")
    labels("--label-share", type=float, metavar="X", help="the same as a share of the samples, above 0 to below 1")
    add("--probe", choices=PROBES, default="least_squares", help="least_squares, or logistic as scikit-learn's")
    strength = "least squares: on the coefficients of eigenvectors of length 1, >= 0 (0); logistic: 1/C, above 0 (1)"
    add("--ridge", type=float, metavar="X", help=strength)
    add("--remedy", choices=REMEDIES, default="nothing", help=f"what is done to the graph: {', '.join(REMEDIES)}")
    add("--correlated", type=float, default=0.0, metavar="X", help="share of the noise that has low rank, 0 to 1")
    add = found.group("sweep").add_argument
    add(
        "--sweep",
        action="append",
        metavar="NAME=START:STOP:STEP",
        help="vary a number above, such as gamma, epsilon or labels_per_class; at most twice",
    )
    add("--out", type=output, help="write the sweep's table to this .csv or .json file")
    add("--plot", type=output, help="draw the predicted accuracy to this .png or .svg file")
    found.group("output").add_argument("--json", action="store_true", help="print JSON")
    return found


def _command(args: Namespace) -> None:
    six = given_six(args)
    for option in ("profile", "within") if args.sweep else ("out", "plot"):
        if getattr(args, option) is not None:
            why = "and --sweep exclude each other" if args.sweep else "needs --sweep"
            raise ParameterError(f"--{option} {why}")
    if args.sweep:
        _sweep(args)
        return
    if args.epsilon is None:
        raise ParameterError("--epsilon is required: the standard deviation of the noise on a similarity")
    graph, dim = _graph(args)
    report = _report(args, graph, dim, OF_SIX if isinstance(graph, SixLevels) else REMEDIES)
    if args.profile:
        report["warnings"].append(MEASURED)
    if graph.nodes < FEWEST_NODES:
        report["warnings"].append(f"fewer than {FEWEST_NODES} nodes, for which nothing was tested")
    print(json.dumps(report, indent=2, allow_nan=False, default=float) if args.json else _text(report, bool(six)))


def _graph(args: Namespace) -> tuple[GraphParameters | SixLevels, int]:
    if not args.profile:
        return graph_of_options(args), DEFAULTS["dim"] if args.dim is None else args.dim
    from theory.plan import Profile, graph_of, plan_from_profile

    parameters = plan_from_profile(Profile.load(args.profile), pairing_of(args), args.dim).parameters
    return graph_of({**parameters, "pairing": pairing_of(args)}), int(parameters["dim"])


def _sweep(args: Namespace) -> None:
    """Write what the sweeps of ``args`` ask for, or print the table (as JSON with ``--json``)."""
    from theory.predict.sweep import NAMES, accuracy_figure, prediction_table
    from theory.sweep import parse_sweep, table_text

    for option, path, suffixes in (("out", args.out, (".csv", ".json")), ("plot", args.plot, (".png", ".svg"))):
        if path is not None and args.json:
            raise ParameterError(f"--{option} and --json exclude each other: the table is printed or written")
        allowed = "a name ending in " + " or ".join(suffixes)
        require(path is None or path.suffix in suffixes, f"--{option}", path, allowed)
    require(args.label_share is None, "--label-share", args.label_share, "--labels-per-class with --sweep")
    sweeps = [parse_sweep(text, NAMES) for text in args.sweep]
    fixed = {name: getattr(args, name) for name in NAMES}
    table = prediction_table(fixed, sweeps, pairing_of(args), args.remedy, args.probe, args.correlated)
    files = [path for path in (args.out, args.plot) if path]
    for path in files:
        require_writable(path)
    written: dict[Path, bytes | str] = {}
    if args.out:
        written[args.out] = table_text(table, args.out.suffix)
    if args.plot:
        written[args.plot] = picture(accuracy_figure(table, sweeps, args.remedy), args.plot.suffix)
    write_together(written)
    for path in files:
        print(f"{path}: {len(table['alpha'])} points")
    if not files:
        print(table_text(table, ".json" if args.json else ".csv"), end="")


def _report(args: Namespace, graph: GraphParameters | SixLevels, dim: int, remedies: Sequence[str]) -> dict[str, Any]:
    """The command's output as the documented JSON object."""
    from theory.predict import mechanism, predict, thresholds

    require_known("remedy", args.remedy, remedies)
    given = (args.epsilon, dim, _labels(args, graph.n), args.ridge)
    call = partial(predict, graph, *given, correlated=args.correlated, probe=args.probe)
    found = {args.remedy: call(remedy=args.remedy)}
    reasons: dict[str, str] = {}
    for remedy in remedies:
        try:
            found.setdefault(remedy, call(remedy=remedy))
        except ParameterError as error:
            reasons[remedy] = str(error)
    report: dict[str, Any] = {
        "schema": SCHEMA,
        **found[args.remedy]._asdict(),
        "parameters": _parameters(args, graph, dim),
        "remedies": {name: found[name]._asdict() if name in found else None for name in remedies},
        "mechanism": None,
        "thresholds": None,
        "reasons": reasons,
        "warnings": [],
    }
    if not isinstance(graph, GraphParameters) or args.correlated:
        reasons["mechanism"] = "a three-level graph with independent noise has one"
        return report
    try:
        report["mechanism"] = mechanism(graph, *given, args.probe)._asdict()
        if args.probe == "least_squares":
            report["thresholds"] = {name: where._asdict() for name, where in thresholds(graph, *given).items()}
        else:
            reasons["thresholds"] = "searched for the probe least_squares only"
    except (ParameterError, FloatingPointError) as error:
        reasons["thresholds" if report["mechanism"] else "mechanism"] = f"not everywhere in the range: {error}"
    return report


def _labels(args: Namespace, n: int) -> float | None:
    """Labelled samples per class, if they were given in one way or the other."""
    if args.label_share is None:
        return args.labels_per_class  # type: ignore[no-any-return]
    inside = 0 < args.label_share < 1
    require(inside, "--label-share", args.label_share, "0 < label_share < 1")
    return float(args.label_share * n)


def _parameters(args: Namespace, graph: GraphParameters | SixLevels, dim: int) -> dict[str, Any]:
    names = ("alpha", "beta", "gamma", "samples_per_class", "classes", "difficult")
    labels = graph.n / 2 if (given := _labels(args, graph.n)) is None else given
    six = {"within": list(graph.within), "across": list(graph.across)} if isinstance(graph, SixLevels) else {}
    return {
        **{name: getattr(graph, name) for name in names},
        **six,
        "pairing": "measured" if six else graph.pairing,
        "dim": dim,
        "epsilon": args.epsilon,
        "correlated": args.correlated,
        "labels_per_class": labels,
        "probe": args.probe,
        "ridge": PROBES[args.probe] if args.ridge is None else args.ridge,
        "remedy": args.remedy,
    }


def _text(report: dict[str, Any], six: bool) -> str:
    p = report["parameters"]
    kind = "six levels" if six else f"{p['pairing']} pairing"
    lines = [
        f"Noisy similarity graph, {kind}: {p['classes']} classes × {p['samples_per_class']} samples, "
        f"{p['difficult']} difficult per class",
        f"  α = {p['alpha']:g}   β = {p['beta']:g}   γ = {p['gamma']:g}   ε = {p['epsilon']:g}   k = {p['dim']}"
        f"   labels per class = {p['labels_per_class']:g}",
        *(f"  {warning}" for warning in report["warnings"]),
        "",
        f"Accuracy to expect of a linear probe ({p['probe'].replace('_', ' ')}; chance is {1 / p['classes']:.3g})",
        f"  {'remedy':<24}{'all':>9}{'easy':>9}{'difficult':>11}",
    ]
    for name, found in report["remedies"].items():
        if found is not None:
            values = (format_number(found[key], ".4f") for key in ("accuracy", "easy", "difficult"))
            lines.append("  {:<24}{:>9}{:>9}{:>11}".format(name.replace("_", " "), *values))
    lines += [f"  {name.replace('_', ' ')}: {reason}" for name, reason in report["reasons"].items()]
    if report["mechanism"] is not None:
        lines += _mechanism_lines(report["mechanism"])
    if report["thresholds"] is not None:
        lines += _threshold_lines(report["thresholds"])
    return "\n".join(lines)


def _mechanism_lines(found: dict[str, Any]) -> list[str]:
    parts = ", ".join(f"{PARTS[name]} {100 * value:+.2f}" for name, value in found["parts"].items())
    weakening, first_order = (f"{100 * found[name]:+.3g} %" for name in ("weakening", "first_order"))
    return [
        "",
        "What difficult pairs cost, in points of accuracy, and through what (each part switched on alone)",
        f"  all {100 * found['total']:+.2f}: {parts}",
        f"  the class modes change by {weakening} (first order {first_order})",
    ]


def _threshold_lines(found: dict[str, Any]) -> list[str]:
    lines = ["", "Where difficult pairs begin to cost one point, all else equal"]
    for name, symbol in (("excess", "γ − β"), ("difficult", "n_d"), ("epsilon", "ε")):
        value, low, high = (found[name][key] for key in ("value", "low", "high"))
        where = "nowhere" if value is None else f"at {value:.3g}"
        lines.append(f"  {symbol:<7} {where} between {low:g} and {high:.3g}")
    return lines


if __name__ == "__main__":
    sys.exit(main())
