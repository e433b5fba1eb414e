"""Linear-probing error bounds, clean, with difficult examples and with each remedy.

Run as ``python -m theory.bounds``; it imports the standard library only.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from theory import formulas
from theory.cli import Parser, format_number, run
from theory.params import (
    PAIRINGS,
    GraphParameters,
    ParameterError,
    is_finite,
    require,
    require_integer,
    require_share,
)
from theory.spectrum import nth_mode, require_augmentation_graph, spectrum

SCHEMA = "difficult-examples/bounds/1"
DEFAULTS: dict[str, Any] = {"samples_per_class": 5000, "classes": 10, "dim": 128, "delta": 0.01}
DIFFICULT_SHARE = 0.08


class Bound(NamedTuple):
    """One linear-probing error bound.

    Attributes
    ----------
    eigenvalue : float or None
        λ_{k+1} as the statement has it; None where the bound has another form or does not exist.
    eigenvalue_exact : float or None
        The (k+1)-th eigenvalue of the graph that the bound is about.
    bound : float or None
        Value of the stated bound, not clipped.
    excess_over_clean : float or None
        ``bound`` minus the clean bound, computed without cancellation.
    applies : bool
        Whether k lies in the statement's range.
    vacuous : bool
        Whether the bound exceeds 1.
    reason : str or None
        Why there is no bound.
    """

    eigenvalue: float | None
    eigenvalue_exact: float | None
    bound: float | None
    excess_over_clean: float | None
    applies: bool
    vacuous: bool
    reason: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Fields under their names in the JSON documents."""
        return {
            "lambda": self.eigenvalue,
            "lambda_exact": self.eigenvalue_exact,
            "bound": self.bound,
            "excess_over_clean": self.excess_over_clean,
            "applies": self.applies,
            "vacuous": self.vacuous,
        }


def _absent(reason: str) -> Bound:
    return Bound(None, None, None, None, applies=False, vacuous=False, reason=reason)


def stated_difficult_eigenvalue(p: GraphParameters) -> Any:
    """λ_{k+1} of the difficult bound: the bridge (matched); for block its counterpart, max(contrast, bulk)."""
    if p.is_clean:
        return formulas.bulk(p)
    if p.pairing == "matched":
        return formulas.bridge(p)
    return max(formulas.contrast(p), formulas.bulk(p)) if p.n_d < p.n else formulas.within_difficult(p)


def difficult_range(p: GraphParameters) -> range:
    """The k for which the difficult bound is stated: r+1 <= k < n_d+r+1 (matched), k = r+1 (block)."""
    first = p.r + 1
    if p.is_clean:
        return range(first, p.nodes)
    last = p.n_d + first if p.pairing == "matched" else first + 1
    return range(first, min(last, p.nodes))


def error_bounds(p: GraphParameters, dim: int, delta: float) -> dict[str, Bound]:
    """The five bounds of the paper on one graph.

    Parameters
    ----------
    p : GraphParameters
        A positive semidefinite graph.
    dim : int
        k, output width of the network the loss is applied to; 1 <= k <= N - 1.
    delta : float
        Labelling error in [0, 1].

    Returns
    -------
    dict of Bound
        ``clean`` (Thm 3.3), ``difficult`` (3.4), ``removal`` (Cor 4.1), ``margin`` (4.3) and
        ``temperature`` (4.5); numbers of the paper's second version.

    Raises
    ------
    ParameterError
        If the graph is not positive semidefinite, or dim or delta is outside its range.
    """
    dim = require_integer("dim", dim, 1, p.nodes - 1, limit=", fewer than the N samples")
    require_share("delta", delta)
    require_augmentation_graph(p)

    clean_lambda = formulas.bulk(p)
    require(
        clean_lambda < 1, "alpha", p.alpha, "a clean eigenvalue below 1: n(alpha + r beta) vanishes beside 1 - alpha"
    )
    clean_exact = formulas.clean_class(p) if dim <= p.r else clean_lambda
    in_range = p.r + 1 <= dim

    def bound(eigenvalue: float, exact: float, applies: bool) -> Bound:
        value = formulas.probing_bound(eigenvalue, delta)
        excess = formulas.probing_excess(eigenvalue, clean_lambda, delta)
        return Bound(eigenvalue, exact, value, excess, applies, value > 1)

    return {
        "clean": bound(clean_lambda, clean_exact, in_range),
        "difficult": bound(
            stated_difficult_eigenvalue(p), nth_mode(spectrum(p), dim + 1).eigenvalue, dim in difficult_range(p)
        ),
        "removal": _removal(p, dim, bound),
        "margin": bound(clean_lambda, clean_exact, in_range),
        "temperature": _temperature(p, delta, clean_exact, in_range),
    }


def _removal(p: GraphParameters, dim: int, bound: Any) -> Bound:
    if p.n_d == p.n:
        return _absent("every sample is difficult: removal would leave none")
    left = p.nodes - p.classes * p.n_d
    if dim >= left:
        return _absent(f"removal leaves {left} samples, too few for k = {dim}")
    eigenvalue = formulas.removal(p)
    in_range = p.r + 1 <= dim
    result: Bound = bound(eigenvalue, eigenvalue if in_range else formulas.removal_class(p), in_range)
    return result


def _temperature(p: GraphParameters, delta: float, exact: float, applies: bool) -> Bound:
    if not p.is_clean and p.beta == 0:
        return _absent("beta = 0 < gamma: no positive temperature turns gamma into beta")
    excess = p.beta * 0 if p.is_clean else formulas.temperature_excess(p, delta)
    if not is_finite(excess):
        return _absent(f"gamma/beta = {p.gamma / p.beta} is too large for the bound")
    value = formulas.probing_bound(formulas.bulk(p), delta) + excess
    return Bound(None, exact, value, excess, applies, value > 1)


# --- command line ----------------------------------------------------------------------------------


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of ``python -m theory.bounds``."""
    return run(_command, argv)


def _parser(level: Any) -> Parser:
    """The command's options; ``level`` converts similarities and the labelling error to numbers."""
    parser = Parser(prog="python -m theory.bounds", description=__doc__)
    add = parser.add_argument
    add("--alpha", type=level, help="similarity within a class")
    add("--beta", type=level, help="similarity across classes")
    add("--gamma", type=level, help="similarity of difficult pairs")
    add("--samples-per-class", type=int, help="n (5000)")
    add("--classes", type=int, help="r + 1 (10)")
    add("--difficult", type=int, help="difficult samples per class (8 %% of n)")
    add("--dim", type=int, help="k, output width of the network the loss is applied to (128)")
    add("--delta", type=level, help="labelling error (.01)")
    add("--pairing", choices=PAIRINGS, default="matched", help="which difficult samples are paired (matched)")
    add("--profile", type=Path, help="take the parameters from a profile of measured features")
    add("--plan", type=Path, help="write the plan to this file")
    add("--sweep", action="append", metavar="NAME=START:STOP:STEP", help="vary a parameter; at most twice")
    add("--out", type=Path, help="write the sweep's table to this .csv or .json file")
    add("--plot", type=Path, help="draw the sweep's excess over the clean bound to this .png or .svg file")
    add("--exact", action="store_true", help="exact arithmetic: similarities as decimals or fractions, such as 1/3")
    add("--noise", type=float, metavar="EPSILON", help="also the bounds under noise of this standard deviation")
    add("--noise-seed", type=int, metavar="SEED", help="sample the noise: a guarantee beside the asymptotic bounds")
    add("--json", action="store_true", help="print JSON")
    return parser


def _command(argv: Sequence[str] | None) -> None:
    from theory.plan import Plan, Profile, plan_from_parameters, plan_from_profile  # plan imports bounds

    argv = sys.argv[1:] if argv is None else argv
    args = _parser(_fraction if "--exact" in argv else float).parse_args(argv)
    given = ("alpha", "beta", "gamma", "samples_per_class", "classes", "difficult")
    if args.exact and (args.profile or args.sweep):
        raise ParameterError("--exact goes with parameters given on the command line")
    for option in ("profile", "plan", "noise", "noise_seed") if args.sweep else ("out", "plot"):
        if getattr(args, option) is not None:
            raise ParameterError(
                f"--{option.replace('_', '-')} " + ("and --sweep exclude each other" if args.sweep else "needs --sweep")
            )
    if args.sweep:
        from theory.sweep import command  # imports numpy

        command(args, {name: getattr(args, name) for name in (*given, "dim", "delta", "pairing")})
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
        raise ParameterError("noise", epsilon, "a profile whose graph is in the model: there are no bounds")
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
