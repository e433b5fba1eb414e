"""Bounds, spectrum, plan and sweeps of a similarity graph: ``python -m theory.bounds``."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from theory import formulas
from theory.bounds import DEFAULTS, SCHEMA
from theory.checks import ParameterError, Range, require, require_integer, require_share
from theory.command import Parser, format_number, output, run
from theory.files import picture, require_writable, write_together
from theory.options import GIVEN, add_graph, given_six, graph_of_options, pairing_of
from theory.params import GraphParameters, SixLevels
from theory.plan import MEASURED, Plan, Profile, graph_of, grouped, plan_from_parameters, plan_from_profile
from theory.sharper import comparison
from theory.sizes import SPLIT, THEOREM, size_lines
from theory.spectrum import has_negative_weight, is_positive_semidefinite, largest_gamma, spectrum


def main(argv: Sequence[str] | None = None, prog: str = "python -m theory.bounds") -> int:
    """Entry point of ``python -m theory.bounds``."""
    argv = sys.argv[1:] if argv is None else argv
    return run(parser(prog, _fraction if "--exact" in argv else float), _command, argv)


def parser(prog: str, level: Any = float) -> Parser:
    """The command's options; ``level`` converts similarities and the labelling error to numbers."""
    found = Parser(
        prog,
        __doc__,
        "(--alpha X --beta X --gamma X | --within EE ED DD --across EE ED DD) [options]",
        (
            "--alpha .5 --beta .05 --gamma .2 --plan plan.json",
            "--alpha .5 --beta .05 --sweep gamma=.05:.4:.01 --out gamma.csv",
        ),
    )
    add_graph(found, level)
    add = found.group("bounds and plan").add_argument
    add("--dim", type=int, help=f"k, output width of the network the loss is applied to, >= 1 ({DEFAULTS['dim']})")
    add("--delta", type=level, metavar="X", help=f"labelling error, 0 to 1 ({DEFAULTS['delta']})")
    add("--tau", type=float, help="temperature of the loss, > 0: sizes for NT-Xent need it (that of the profile)")
    add("--split", type=float, default=SPLIT, help="share that the margin has where both remedies act, 0 to 1")
    add("--exact", action="store_true", help="exact arithmetic: similarities as decimals or fractions, such as 1/3")
    add("--noise", type=float, metavar="EPSILON", help="also the bounds under noise of this standard deviation, >= 0")
    add("--noise-seed", type=int, metavar="SEED", help="sample the noise: a guarantee beside the asymptotic bounds")
    add = found.group("sweep").add_argument
    add(
        "--sweep",
        action="append",
        metavar="NAME=START:STOP:STEP",
        help="vary alpha, beta, gamma, a level such as across.difficult (within. or across., then easy, mixed or "
        "difficult; it replaces the given one) or any other number above; at most twice",
    )
    add("--out", type=output, help="write the sweep's table to this .csv or .json file")
    add("--plot", type=output, help="draw the excess over the clean bound to this .png or .svg file")
    add = found.group("output").add_argument
    add("--plan", type=output, help="write the plan, for empirical.train, to this JSON file")
    add("--json", action="store_true", help="print JSON")
    return found


def _command(args: Namespace) -> None:
    six = given_six(args)
    if args.exact and (args.profile or args.sweep):
        raise ParameterError("--exact goes with parameters given on the command line")
    require_share("split", args.split)
    if args.tau is not None:
        Range(0, above=True).require("tau", args.tau)
    for option in ("profile", "plan", "noise", "noise_seed") if args.sweep else ("out", "plot"):
        if getattr(args, option) is not None:
            raise ParameterError(
                f"--{option.replace('_', '-')} " + ("and --sweep exclude each other" if args.sweep else "needs --sweep")
            )
    if args.sweep:
        fixed = {name: getattr(args, name) for name in (*GIVEN, *six, "dim", "delta")}
        _sweep(args, {**fixed, "pairing": pairing_of(args)})
        return
    if args.plan:
        require_writable(args.plan)
    if args.profile:
        profile = Profile.load(args.profile)
        plan = plan_from_profile(profile, pairing_of(args), args.dim, args.delta, args.tau, args.split)
    else:
        dim = DEFAULTS["dim"] if args.dim is None else args.dim
        delta = DEFAULTS["delta"] if args.delta is None else args.delta
        exact = _fraction(str(delta)) if args.exact and args.delta is None else delta
        plan = plan_from_parameters(graph_of_options(args), dim, exact, args.tau, args.split)
    report = _report(plan)
    if args.noise is not None:
        report["noise"] = _noise(report, args.noise, args.noise_seed)
        report["prediction"] = _prediction(report, args.noise)
    elif args.noise_seed is not None:
        raise ParameterError("--noise-seed needs --noise")
    if args.json:
        text = json.dumps(report, indent=2, allow_nan=False, default=str)
    else:
        text = "\n".join([_text(_rounded(report)), *(_exact_lines(report) if args.exact else [])])
    if args.plan:
        Plan.save(plan, args.plan)
    print(text)


def _sweep(args: Namespace, fixed: Mapping[str, Any]) -> None:
    """Evaluate the sweeps of ``args`` and write what it asks for, or print the table (as JSON with ``--json``)."""
    from theory.sweep import excess_figure, parse_sweep, sweep_table, table_text  # imports numpy

    for option, path, suffixes in (("out", args.out, (".csv", ".json")), ("plot", args.plot, (".png", ".svg"))):
        if path is not None and args.json:
            raise ParameterError(f"--{option} and --json exclude each other: the table is printed or written")
        require(
            path is None or path.suffix in suffixes, f"--{option}", path, "a name ending in " + " or ".join(suffixes)
        )
    sweeps = [parse_sweep(text) for text in args.sweep]
    table = sweep_table(fixed, sweeps)
    for path in filter(None, (args.out, args.plot)):
        require_writable(path)
    written: dict[Path, bytes | str] = {}
    if args.out:
        written[args.out] = table_text(table, args.out.suffix)
    if args.plot:
        written[args.plot] = picture(excess_figure(table, sweeps), args.plot.suffix)
    write_together(written)
    for path in filter(None, (args.out, args.plot)):
        print(f"{path}: {len(table['alpha'])} points")
    if not args.out and not args.plot:
        print(table_text(table, ".json" if args.json else ".csv"), end="")


def _fraction(text: str) -> Any:
    from fractions import Fraction

    _, _, exponent = text.lower().partition("e")
    if len(text) > 100 or abs(int(exponent or 0)) > 300:  # thousands of digits help nobody
        raise ValueError(text)
    try:
        return Fraction(text)
    except ZeroDivisionError as error:
        raise ValueError(text) from error


_fraction.__name__ = "fraction"  # argparse names the type in its errors


def _noise(report: dict[str, Any], epsilon: float, seed: int | None) -> dict[str, Any]:
    """The noisy bounds, as ``theory.noise.NoisyBounds.to_json``."""
    from theory import noise

    fields = report["parameters"]
    if report["bounds"] is None:
        raise ParameterError("--noise needs bounds, and this profile's graph has none: it is not in the model")
    if fields["pairing"] == MEASURED:
        raise ParameterError("noise", epsilon, "a three-level graph: the noisy bounds are not printed for six levels")
    graph = _three_levels(fields)
    norm = None
    if seed is not None:
        import numpy as np

        norm = noise.operator_norm(
            noise.sample_noise(graph.nodes, np.random.default_rng(require_integer("noise_seed", seed, 0)))
        )
    return noise.noisy_bounds(graph, fields["dim"], float(fields["delta"]), epsilon, norm).to_json()


def _three_levels(fields: Mapping[str, Any]) -> GraphParameters:
    """The graph of a report's parameters, exact ones as floats."""
    levels = {name: float(fields[name]) for name in ("alpha", "beta", "gamma")}
    return GraphParameters(**{**{name: fields[name] for name in GraphParameters.__dataclass_fields__}, **levels})


def _prediction(report: dict[str, Any], epsilon: float) -> dict[str, Any] | None:
    """The accuracy to expect with half of the nodes labelled, by remedy; why one is None goes to the reasons."""
    from theory.predict import predict

    graph, found = _three_levels(report["parameters"]), dict[str, Any]()
    for remedy in ("nothing", "clean", "margin", "removal"):
        try:
            found[remedy] = predict(graph, epsilon, report["parameters"]["dim"], remedy=remedy)._asdict()
        except (ParameterError, FloatingPointError) as error:
            if remedy == "nothing":  # then there is none with a remedy either
                report["reasons"]["prediction"] = str(error)
                return None
            found[remedy] = None
            report["reasons"][f"prediction with {remedy}"] = str(error)
    return found


def _report(plan: Any) -> dict[str, Any]:
    """The command's output as the documented JSON object."""
    measured = plan.predictions.get(MEASURED)
    bounds = measured or plan.predictions[plan.parameters["pairing"]]
    report: dict[str, Any] = {"schema": SCHEMA, "parameters": dict(plan.parameters)}
    report |= dict.fromkeys(("levels", "degrees", "cross_mass", "realisable", "largest_gamma"))
    modes: list[dict[str, Any]] = []
    sharper, reasons = None, dict(plan.reasons)
    if bounds is not None:
        graph = graph_of({**plan.parameters, "pairing": MEASURED} if measured else plan.parameters)
        report |= {
            "levels": _levels(graph),
            "degrees": graph.degrees._asdict(),
            "cross_mass": formulas.cross_mass(graph),
            "realisable": bool(is_positive_semidefinite(graph) and not has_negative_weight(graph)),
        }
        if isinstance(graph, GraphParameters):
            report["largest_gamma"] = min(largest_gamma(graph), graph.alpha) if graph.n_d else graph.alpha
        modes = [mode._asdict() for mode in spectrum(graph)]
        try:
            sharper = comparison(graph, plan.parameters["dim"], plan.parameters["delta"])
        except ParameterError as error:  # a measured graph may have negative weights
            reasons["sharper bounds"] = str(error)
    return report | {
        "spectrum": modes,
        "bounds": bounds,
        "sharper": sharper,
        "plan": plan.remedies,
        "reasons": reasons,
    }


def _levels(graph: GraphParameters | SixLevels) -> dict[str, Any]:
    """The six levels, and that of the paired difficult samples where it is another (matched)."""
    w = graph.weights
    return {
        "within": {
            "easy": w.same_class_both_easy,
            "mixed": w.same_class_one_difficult,
            "difficult": w.same_class_both_difficult,
        },
        "across": {
            "easy": w.different_class_both_easy,
            "mixed": w.different_class_one_difficult,
            "difficult": w.unpaired_both_difficult,
        },
        "paired": w.paired,
    }


def _text(report: dict[str, Any]) -> str:
    p, bounds = report["parameters"], report["bounds"]
    lines = [
        f"Similarity graph, {_kind(report)}: {p['classes']} classes × {p['samples_per_class']} samples, "
        f"{p['difficult']} difficult per class",
        *_six_lines(report),
        f"  α = {p['alpha']:g}   β = {p['beta']:g}   γ = {p['gamma']:g}   k = {p['dim']}   δ = {p['delta']:g}",
    ]
    if bounds is not None:
        lines += _graph_lines(report) + _bound_lines(bounds)
        if report["sharper"] is not None:
            lines += _sharper_lines(report["sharper"], p["delta"])
    lines += ["", "Plan"]
    lines += [f"  {line}" for line in size_lines(report["plan"], ".6g")]
    labels = {
        "pos_high": "difficult pairs from the top share",
        "pos_low": "to the top share",
        "removal_fraction": "share of each class to remove",
    }
    lines += [f"  {label:<38}{format_number(report['plan'][name], '.6g')}" for name, label in labels.items()]
    lines += [f"  {names}: {reason}" for names, reason in grouped(report["reasons"]).items()]
    if "noise" in report:
        lines += _noise_lines(report["noise"])
        if report["prediction"] is not None:
            lines.append(_prediction_line(report["prediction"]))
    return "\n".join(lines)


def _kind(report: dict[str, Any]) -> str:
    parameters = report["parameters"]
    return "six levels" if "within" in parameters else f"{parameters['pairing']} pairing"


def _six_lines(report: dict[str, Any]) -> list[str]:
    """The six levels where they were measured or given."""
    if "within" not in report["parameters"]:
        return []
    kinds = ("easy–easy", "easy–difficult", "difficult–difficult")
    rows = [f"  {'':<16}" + "".join(f"{kind:>22}" for kind in kinds)]
    for where in ("within", "across"):
        values = report["parameters"][where]
        rows.append(f"  {where + ' classes':<16}" + "".join(f"{value:>22.6g}" for value in values))
    return rows


def _graph_lines(report: dict[str, Any]) -> list[str]:
    easy, difficult = report["degrees"]["easy"], report["degrees"]["difficult"]
    lines = [f"  degrees: easy {easy:.8g}, difficult {difficult:.8g}"]
    lines.append(f"  realisable: {_realisable(report)}")
    lines += ["", "Eigenvalues of the normalised adjacency", f"  {'mode':<18}{'eigenvalue':>14}{'multiplicity':>14}"]
    return lines + [f"  {m['mode']:<18}{m['eigenvalue']:>14.6g}{m['multiplicity']:>14}" for m in report["spectrum"]]


def _realisable(report: dict[str, Any]) -> str:
    largest, six = report["largest_gamma"], report["largest_gamma"] is None
    if report["realisable"]:
        undecided = six or report["parameters"]["pairing"] == "any"
        return "true, as far as is known (positive semidefinite, no negative weight)" if undecided else "true"
    condition = " or has negative weights" if six else ""
    bound = "" if six else f"; the largest γ is {largest:.6g}"
    return f"false (not positive semidefinite{condition}, so no augmentation produces it{bound})"


def _bound_lines(bounds: dict[str, Any]) -> list[str]:
    lines = ["", "Linear-probing error bounds, 4δ/(1−λ) + 8δ: with λ as printed, and with the graph's exact λₖ₊₁"]
    lines += [_row("bound", "printed", "λ printed", "value", "λ exact", "value", "over clean", "k in range")]
    for name, bound in bounds.items():
        lines.append(
            _row(
                name,
                bound["source"],
                format_number(bound["lambda"], ".6g"),
                format_number(bound["bound"], ".6g") + " (>1)" * bound["vacuous"],
                format_number(bound["lambda_exact"], ".6g"),
                format_number(bound["bound_exact"], ".6g"),
                format_number(bound["excess_over_clean"], "+.3g"),
                "yes" if bound["applies"] else "no",
            )
        )
    if any(bound["vacuous"] for bound in bounds.values()):
        lines.append("  (>1): vacuous, an error is at most 1")
    return lines


def _sharper_lines(sharper: dict[str, Any], delta: float) -> list[str]:
    """The sharper bounds, and where δ can lie."""
    lines = [
        "",
        "Sharper: 2·[G + Dir/(1−λ)] and δ + √(2·Dir/(1−λ)) with the exact λ, beside 4δ/(1−λ) + 8δ and the exact",
    ]
    lines += ["error of least squares on the population's features"]
    cells = ("δ", "4δ/(1−λ)+8δ", "squared", "plug-in", "exact error")
    lines += [f"  {'graph':<12}{'labels':<9}" + "".join(f"{cell:>14}" for cell in cells)]
    for labels in ("given", "even"):
        for graph, values in sharper[labels].items():
            row = f"  {graph:<12}{labels:<9}"
            if values is None:
                lines.append(row + f"{'—':>14}")
                continue
            shown = [values[key] for key in ("delta", "printed", "squared", "plug_in", "error")]
            row += "".join(f"{format_number(v, '.6g') + ' (>1)' * (v is not None and v > 1):>14}" for v in shown)
            lines.append(row)
    least, tilted, most = sharper["labelling_errors"].values()
    reached = "" if tilted is None else f"; tilted natural data reach {tilted:.6g}"
    lines.append(f"  an augmentation with φ = {most:.6g} has δ between {least:.6g} and φ{reached}")
    if not least <= delta <= most:
        unproved = "" if most <= 2 * delta else ", and 4δ/(1−λ) + 8δ needs φ <= 2δ"
        lines.append(f"  δ = {delta:g} lies outside: no augmentation has it{unproved}")
    return lines


def _rounded(value: Any) -> Any:
    """The report with exact numbers as floats."""
    if isinstance(value, dict):
        return {key: _rounded(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_rounded(entry) for entry in value]
    return value if value is None or isinstance(value, str | int | float) else float(value)


def _exact_lines(report: dict[str, Any]) -> list[str]:
    lines = ["", "Exactly"]
    lines += [f"  {name} degree".ljust(28) + str(value) for name, value in report["degrees"].items()]
    lines += [f"  {mode['mode']}".ljust(28) + str(mode["eigenvalue"]) for mode in report["spectrum"]]
    for name, bound in report["bounds"].items():
        lines += [
            f"  {name} {key}".ljust(28) + str(bound[key]) for key in ("lambda_exact", "bound") if bound[key] is not None
        ]
    remedies = ("margin_sigma", "temperature_rho")
    return lines + [f"  {THEOREM} {name}".ljust(28) + str(report["plan"][THEOREM][name]) for name in remedies]


def _noise_lines(noise: dict[str, Any]) -> list[str]:
    lines = ["", f"With noise of standard deviation ε = {noise['epsilon']:g} (degrees of the population)"]
    lines.append(
        f"  {'bound':<11}{'λ printed':>12}{'value':>10}{'λ asymptotic':>14}{'value':>10}"
        f"{'λ guaranteed':>14}{'value':>10}{'λ expected':>12}"
    )
    for name, bound in noise["bounds"].items():
        cells = [
            (bound[f"{key}_{kind}"], width)
            for kind, first in (("printed", 12), ("asymptotic", 14), ("guaranteed", 14))
            for key, width in (("lambda", first), ("bound", 10))
        ]
        row = "".join(f"{format_number(value, '.5g'):>{width}}" for value, width in cells)
        lines.append(f"  {name:<11}{row}{bound['lambda_predicted']:>12.5g}")
    if not all(bound["positive_semidefinite"] for bound in noise["bounds"].values()):
        lines.append("  the noisy graph is expected not to be positive semidefinite: then no augmentation produces it")
    for mode, found in noise["detectability"].items():
        verdict = "detectable" if found["detectable"] else "lost in the noise"
        lines.append(f"  {mode}: {verdict} (limit ε = {found['limit']:.4g}, asymptotic)")
    return lines


def _prediction_line(prediction: dict[str, Any]) -> str:
    accuracies = {name: None if found is None else found["accuracy"] for name, found in prediction.items()}
    shown = ", ".join(f"{name} {format_number(value, '.4f')}" for name, value in accuracies.items())
    return f"  expected accuracy of a linear probe on half of the nodes: {shown}"


def _row(name: str, source: str, *cells: str) -> str:
    return f"  {name:<12}{source:<9}" + "".join(f"{cell:>13}" for cell in cells)


if __name__ == "__main__":
    raise SystemExit(main())
