"""Bounds, spectrum, plan and sweeps of a similarity graph: ``python -m theory.bounds``."""

from __future__ import annotations

import io
import json
import sys
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from theory import formulas
from theory.bounds import DEFAULTS, DIFFICULT_SHARE, SCHEMA
from theory.checks import ParameterError, require, require_integer
from theory.command import Parser, format_number, run
from theory.files import require_writable, write_bytes, write_text
from theory.kinds import PAIRINGS
from theory.params import GraphParameters
from theory.plan import Plan, Profile, plan_from_parameters, plan_from_profile
from theory.spectrum import spectrum

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def main(argv: Sequence[str] | None = None, prog: str = "python -m theory.bounds") -> int:
    """Entry point of ``python -m theory.bounds``."""
    argv = sys.argv[1:] if argv is None else argv
    return run(parser(prog, _fraction if "--exact" in argv else float), _command, argv)


def parser(prog: str, level: Any = float) -> Parser:
    """The command's options; ``level`` converts similarities and the labelling error to numbers."""
    found = Parser(
        prog,
        __doc__,
        "--alpha X --beta X --gamma X [options]",
        (
            "--alpha .5 --beta .05 --gamma .2 --plan plan.json",
            "--alpha .5 --beta .05 --sweep gamma=.05:.4:.01 --out gamma.csv",
        ),
    )
    add = found.group("graph").add_argument
    add("--alpha", type=level, metavar="X", help="similarity within a class; 0 <= beta <= gamma < alpha < 1")
    add("--beta", type=level, metavar="X", help="similarity across classes")
    add("--gamma", type=level, metavar="X", help="similarity of difficult pairs")
    add("--samples-per-class", type=int, help=f"n, >= 1 ({DEFAULTS['samples_per_class']})")
    add("--classes", type=int, help=f"r + 1, >= 2 ({DEFAULTS['classes']})")
    add("--difficult", type=int, help=f"difficult samples per class, 0 to n ({100 * DIFFICULT_SHARE:g} %% of n)")
    add("--pairing", choices=PAIRINGS, default="matched", help=f"which are paired: {', '.join(PAIRINGS)}")
    add("--profile", type=Path, help="take all these from a profile of measured features")
    add = found.group("bounds and plan").add_argument
    add("--dim", type=int, help=f"k, output width of the network the loss is applied to, >= 1 ({DEFAULTS['dim']})")
    add("--delta", type=level, metavar="X", help=f"labelling error, 0 to 1 ({DEFAULTS['delta']})")
    add("--exact", action="store_true", help="exact arithmetic: similarities as decimals or fractions, such as 1/3")
    add("--noise", type=float, metavar="EPSILON", help="also the bounds under noise of this standard deviation, >= 0")
    add("--noise-seed", type=int, metavar="SEED", help="sample the noise: a guarantee beside the asymptotic bounds")
    add = found.group("sweep").add_argument
    add(
        "--sweep",
        action="append",
        metavar="NAME=START:STOP:STEP",
        help="vary alpha, beta, gamma or any other number above; at most twice",
    )
    add("--out", type=Path, help="write the sweep's table to this .csv or .json file")
    add("--plot", type=Path, help="draw the excess over the clean bound to this .png or .svg file")
    add = found.group("output").add_argument
    add("--plan", type=Path, help="write the plan, for empirical.train, to this JSON file")
    add("--json", action="store_true", help="print JSON")
    return found


def _command(args: Namespace) -> None:
    given = ("alpha", "beta", "gamma", "samples_per_class", "classes", "difficult")
    if args.exact and (args.profile or args.sweep):
        raise ParameterError("--exact goes with parameters given on the command line")
    for option in ("profile", "plan", "noise", "noise_seed") if args.sweep else ("out", "plot"):
        if getattr(args, option) is not None:
            raise ParameterError(
                f"--{option.replace('_', '-')} " + ("and --sweep exclude each other" if args.sweep else "needs --sweep")
            )
    if args.sweep:
        _sweep(args, {name: getattr(args, name) for name in (*given, "dim", "delta", "pairing")})
        return
    if args.profile:
        for name in given:
            if getattr(args, name) is not None:
                raise ParameterError(f"--{name.replace('_', '-')} and --profile exclude each other")
        plan = plan_from_profile(Profile.load(args.profile), args.pairing, args.dim, args.delta)
    else:
        for name in given[:3]:
            if getattr(args, name) is None:
                raise ParameterError(f"--{name} is required (or --profile)")
        n, classes, dim, delta = (
            value if (value := getattr(args, name)) is not None else default for name, default in DEFAULTS.items()
        )
        difficult = round(DIFFICULT_SHARE * n) if args.difficult is None else args.difficult
        if args.exact:
            delta = _fraction(str(delta))
        graph = GraphParameters(args.alpha, args.beta, args.gamma, n, classes, difficult, args.pairing)
        plan = plan_from_parameters(graph, dim, delta)
    report = _report(plan)
    if args.noise is not None:
        report["noise"] = _noise(report, args.noise, args.noise_seed)
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
        require(
            path is None or path.suffix in suffixes, f"--{option}", path, "a name ending in " + " or ".join(suffixes)
        )
    sweeps = [parse_sweep(text) for text in args.sweep]
    table = sweep_table(fixed, sweeps)
    for path in filter(None, (args.out, args.plot)):
        require_writable(path)
    if args.out:
        write_text(args.out, table_text(table, args.out.suffix))
    if args.plot:
        _write_figure(args.plot, excess_figure(table, sweeps))
    for path in filter(None, (args.out, args.plot)):
        print(f"{path}: {len(table['alpha'])} points")
    if not args.out and not args.plot:
        print(table_text(table, ".json" if args.json else ".csv"), end="")


def _write_figure(path: Path, figure: Figure) -> None:
    """Write a figure in the format of the file's suffix."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format=path.suffix[1:], dpi=150)
    write_bytes(path, buffer.getvalue())


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
    levels = {name: float(fields[name]) for name in ("alpha", "beta", "gamma")}
    graph = GraphParameters(**{**{name: fields[name] for name in GraphParameters.__dataclass_fields__}, **levels})
    norm = None
    if seed is not None:
        import numpy as np

        norm = noise.operator_norm(
            noise.sample_noise(graph.nodes, np.random.default_rng(require_integer("noise_seed", seed, 0)))
        )
    return noise.noisy_bounds(graph, fields["dim"], float(fields["delta"]), epsilon, norm).to_json()


def _report(plan: Any) -> dict[str, Any]:
    """The command's output as the documented JSON object."""
    fields = {key: plan.parameters[key] for key in GraphParameters.__dataclass_fields__}
    pairing = fields["pairing"]
    bounds = plan.predictions[pairing]
    degrees: dict[str, float] | None = None
    modes: list[dict[str, Any]] = []
    if bounds is not None:
        graph = GraphParameters.from_dict(fields)
        degrees = formulas.degrees(graph)._asdict()
        modes = [mode._asdict() for mode in spectrum(graph)]
    return {
        "schema": SCHEMA,
        "parameters": dict(plan.parameters),
        "degrees": degrees,
        "spectrum": modes,
        "bounds": bounds,
        "plan": plan.remedies,
        "reasons": dict(plan.reasons),
    }


def _text(report: dict[str, Any]) -> str:
    p = report["parameters"]
    lines = [
        f"Similarity graph, {p['pairing']} pairing: {p['classes']} classes × {p['samples_per_class']} samples, "
        f"{p['difficult']} difficult per class",
        f"  α = {p['alpha']:g}   β = {p['beta']:g}   γ = {p['gamma']:g}   k = {p['dim']}   δ = {p['delta']:g}",
    ]
    bounds = report["bounds"]
    if bounds is not None:
        easy, difficult = report["degrees"]["easy"], report["degrees"]["difficult"]
        lines.append(f"  degrees: easy {easy:.8g}, difficult {difficult:.8g}")
        lines += [
            "",
            "Eigenvalues of the normalised adjacency",
            f"  {'mode':<18}{'eigenvalue':>14}{'multiplicity':>14}",
        ]
        lines += [f"  {m['mode']:<18}{m['eigenvalue']:>14.6g}{m['multiplicity']:>14}" for m in report["spectrum"]]
        lines += ["", "Linear-probing error bounds, 4δ/(1−λ) + 8δ with λ the (k+1)-th eigenvalue"]
        lines += [_row("bound", "λ stated", "λ exact", "value", "over clean", "relative", "k in range")]
        clean = bounds["clean"]["bound"]
        for name, bound in bounds.items():
            excess = bound["excess_over_clean"]
            lines.append(
                _row(
                    name,
                    format_number(bound["lambda"], ".6g"),
                    format_number(bound["lambda_exact"], ".6g"),
                    format_number(bound["bound"], ".6g") + " (>1)" * bound["vacuous"],
                    format_number(excess, "+.3g"),
                    format_number(excess / clean if excess is not None and clean else None, "+.2e"),
                    "yes" if bound["applies"] else "no",
                )
            )
        if any(bound["vacuous"] for bound in bounds.values()):
            lines.append("  (>1): vacuous, an error is at most 1")
    lines += ["", "Plan"]
    labels = {
        "margin_sigma": "margin σ* (cosine units)",
        "temperature_rho": "temperature factor ρ*",
        "pos_high": "difficult pairs from the top share",
        "pos_low": "to the top share",
        "removal_fraction": "share of each class to remove",
    }
    lines += [f"  {label:<36}{format_number(report['plan'][name], '.6g')}" for name, label in labels.items()]
    lines += [f"  {name.replace('_', ' ')}: {reason}" for name, reason in report["reasons"].items()]
    if "noise" in report:
        lines += _noise_lines(report["noise"])
    return "\n".join(lines)


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
    return lines + [f"  {name}".ljust(28) + str(report["plan"][name]) for name in remedies]


def _noise_lines(noise: dict[str, Any]) -> list[str]:
    lines = ["", f"With noise of standard deviation ε = {noise['epsilon']:g} (degrees of the population)"]
    lines.append(f"  {'bound':<13}{'λ asymptotic':>14}{'value':>12}{'λ guaranteed':>14}{'value':>12}{'λ expected':>14}")
    for name, bound in noise["bounds"].items():
        cells = [
            (bound[f"{key}_{kind}"], width)
            for kind in ("asymptotic", "guaranteed")
            for key, width in (("lambda", 14), ("bound", 12))
        ]
        row = "".join(f"{format_number(value, '.6g'):>{width}}" for value, width in cells)
        lines.append(f"  {name:<13}{row}{bound['lambda_predicted']:>14.6g}")
    if not all(bound["positive_semidefinite"] for bound in noise["bounds"].values()):
        lines.append("  the noisy graph is expected not to be positive semidefinite: then no augmentation produces it")
    for mode, found in noise["detectability"].items():
        verdict = "detectable" if found["detectable"] else "lost in the noise"
        lines.append(f"  {mode}: {verdict} (limit ε = {found['limit']:.4g}, asymptotic)")
    return lines


def _row(name: str, stated: str, exact: str, value: str, excess: str, relative: str, applies: str) -> str:
    return f"  {name:<13}{stated:>13}{exact:>13}{value:>13}{excess:>12}{relative:>12}{applies:>12}"


if __name__ == "__main__":
    raise SystemExit(main())
