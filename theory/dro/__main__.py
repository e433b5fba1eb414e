"""Robust radius, worst-case weights and temperature of similarities: ``python -m theory.dro``."""

from __future__ import annotations

import json
import math
import re
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from theory.arrays import read_array
from theory.checks import ParameterError, require
from theory.command import Parser, format_number, run
from theory.dro import (
    Expansion,
    adnce,
    joint_temperature,
    kl_worst_case,
    radius_with_positive,
    robust_radius,
    robust_temperature,
    soft_maximum_expansion,
    temperature_accuracy,
    tilted,
)
from theory.dro.expansions import temperature_terms
from theory.dro.reference import reference
from theory.dro.weighting import effective

SCHEMA = "difficult-examples/dro/2"


def main(argv: Sequence[str] | None = None, prog: str = "python -m theory.dro") -> int:
    """Entry point of ``python -m theory.dro``."""
    return run(parser(prog), _command, argv)


def parser(prog: str) -> Parser:
    """The command's options."""
    found = Parser(
        prog,
        __doc__,
        "--similarities FILE (--tau X | --eta X) [options]",
        (
            "--similarities similarities.npy --tau .5",
            "--similarities similarities.npy --eta .1 --joint --mu .7 --width .5 --json",
        ),
    )
    add = found.group("similarities").add_argument
    add(
        "--similarities",
        type=Path,
        required=True,
        help=".npy of cosines: one anchor's negatives, or one anchor a row with NaN at itself and its positives",
    )
    add(
        "--positive",
        metavar="COLUMN|FILE",
        help="column (from 0) of the positive, or .npy of each anchor's cosine to it; gives the radius with the "
        "positive in the denominator too",
    )
    add = found.group("robustness").add_argument
    add("--tau", type=float, help="temperature, > 0; gives every anchor's robust radius")
    add("--eta", type=float, help="robust radius in nats, >= 0; gives every anchor's temperature")
    add("--joint", action="store_true", help="one temperature for all anchors: the radius is that of their mean KL")
    add = found.group("ADNCE").add_argument
    add("--mu", type=float, help="μ, centre of its weights, a cosine")
    add("--width", type=float, help="σₐ, width of its weights, > 0")
    found.group("output").add_argument("--json", action="store_true", help="print JSON")
    return found


def _command(args: Namespace) -> None:
    if (args.tau is None) == (args.eta is None):
        raise ParameterError("exactly one of --tau and --eta is required")
    if (args.mu is None) != (args.width is None):
        raise ParameterError("--mu and --width come together")
    similarities = _read("similarities", args.similarities)
    anchors, positives = _anchors(similarities, args.positive)
    one = similarities.ndim == 1
    tau = joint_temperature(anchors, args.eta) if args.joint and args.tau is None else args.tau
    rows = []
    for index, (negatives, positive) in enumerate(zip(anchors, positives, strict=True)):
        try:
            rows.append(_anchor(negatives, positive, tau, args))
        except ParameterError as error:
            raise error if one else ParameterError(f"row {index}: {error}") from None
    report = {
        "schema": SCHEMA,
        "parameters": {name: getattr(args, name) for name in ("tau", "eta", "mu", "width")},
        "similarities": str(args.similarities),
        "anchors": len(anchors),
        "summary": {name: _summary([row[name] for row in rows]) for name in rows[0]},
        "warnings": _warnings(similarities),
    }
    if args.positive is not None:
        report["positive"] = args.positive
    if args.joint:
        report["joint"] = _joint(anchors, rows)
    if args.mu is not None:
        report["adnce"] = _control(anchors, rows)
    print(json.dumps(report, indent=2, allow_nan=False) if args.json else _text(report))


def _read(name: str, path: Path) -> NDArray[Any]:
    array = read_array(path)
    require(array.dtype.kind in "fiu", name, f"array of {array.dtype}", "real numbers")
    shaped = array.ndim in (1, 2) and len(array) > 0
    require(shaped, name, f"array of shape {array.shape}", "a non-empty vector or matrix")
    return array


def _anchors(similarities: NDArray[Any], positive: str | None) -> tuple[list[NDArray[Any]], Sequence[float | None]]:
    """Every anchor's negatives, and its positive if there is one."""
    one = similarities.ndim == 1
    matrix = similarities[None] if one else similarities
    positives: Sequence[float | None] = [None] * len(matrix)
    if positive is not None and re.fullmatch(r"[+-]?\d+", positive):
        column, count = int(positive), matrix.shape[1]
        require(0 <= column < count, "positive", column, f"a column, 0 to {count - 1}")
        matrix, positives = np.delete(matrix, column, axis=1), matrix[:, column].tolist()
    elif positive is not None:
        given = _read("positive", Path(positive))
        fits = given.shape == (len(matrix),)
        require(fits, "positive", f"array of shape {given.shape}", f"one cosine an anchor, {len(matrix)}")
        positives = given.tolist()
    return ([matrix[0]] if one else [row[~np.isnan(row)] for row in matrix]), positives


def _warnings(similarities: NDArray[Any]) -> list[str]:
    square = similarities.shape == similarities.shape[:1] * 2
    if square and np.diagonal(similarities).min() > 0.999:
        return ["the diagonal is 1: set each anchor's similarity to itself, and to its positives, to NaN"]
    return []


def _anchor(f: NDArray[Any], positive: float | None, tau: float | None, args: Any) -> dict[str, float]:
    """One anchor's numbers under their names in the report; without a temperature that of the radius."""
    if tau is None:
        tau, eta = robust_temperature(f, args.eta), args.eta
    else:
        eta = robust_radius(f, tau)
    negatives = reference(f)
    worst = tilted(f, tau)
    temperature = Expansion(temperature_terms(*negatives.cumulants, eta), tau)
    maximum = soft_maximum_expansion(f, tau)
    row = {
        "negatives": len(f),
        "tau": tau,
        "eta": eta,
        "eta_limit": negatives.limit,
        "effective_negatives": effective(worst),
        "mean": negatives.mean,
        "worst_case_mean": negatives.top + float(worst @ negatives.below),
        "largest": negatives.top,
        "temperature_leading_relative_error": temperature.errors[0] / tau,
        "temperature_expansion": temperature.value,
        "temperature_expansion_error": temperature.error,
        "soft_maximum": maximum.exact,
        "soft_maximum_expansion": maximum.value,
        "soft_maximum_expansion_error": maximum.error,
    }
    if positive is not None:
        both = radius_with_positive(f, positive, tau)
        row["positive"] = positive
        row["positive_share"] = both.share
        row["eta_with_positive"] = both.all
        row["effective_with_positive"] = (len(f) + 1) * math.exp(-both.all)
    if args.mu is not None:
        implied = adnce(f, tau, args.mu, args.width)
        row["adnce_divergence"] = implied.divergence
        row["adnce_effective_negatives"] = implied.effective
        row["adnce_mean"] = negatives.top + float(implied.distribution @ negatives.below)
        row["adnce_peak"] = implied.peak
    return row


def _joint(anchors: list[NDArray[Any]], rows: list[dict[str, float]]) -> dict[str, float]:
    """One ball for the mean KL, beside one of the same radius around every anchor's negatives."""
    tau, eta = rows[0]["tau"], _mean(rows, "eta")
    separate = [kl_worst_case(f, eta) for f in anchors]
    accuracy = temperature_accuracy(anchors, tau)
    return {
        "tau": tau,
        "eta": eta,
        "eta_limit": _mean(rows, "eta_limit"),
        "worst_case_mean": _mean(rows, "worst_case_mean"),
        "separate_tau": float(np.mean([one.tau for one in separate])),
        "separate_worst_case_mean": float(np.mean([one.value for one in separate])),
        "mean_variance_relative_error": accuracy.mean_variance,
        "pooled_variance_relative_error": accuracy.pooled_variance,
        "two_terms_relative_error": accuracy.two_terms,
    }


def _control(anchors: list[NDArray[Any]], rows: list[dict[str, float]]) -> dict[str, float | None]:
    """ADNCE's mean radius, and the temperature of the InfoNCE that has it, if there is one."""
    eta = _mean(rows, "adnce_divergence")
    try:
        return {"eta": eta, "equal_radius_tau": joint_temperature(anchors, eta)}
    except ParameterError:
        return {"eta": eta, "equal_radius_tau": None}


def _mean(rows: list[dict[str, float]], name: str) -> float:
    return float(np.mean([row[name] for row in rows]))


QUANTILES = {"q05": 0.05, "q25": 0.25, "median": 0.5, "q75": 0.75, "q95": 0.95}
LABELS = {
    "negatives": "negatives",
    "tau": "temperature τ",
    "eta": "robust radius η = KL(Q*‖Q0)",
    "eta_limit": "  its limit −log Q0(f = max f)",
    "effective_negatives": "effective number of negatives",
    "mean": "mean similarity",
    "worst_case_mean": "  in the worst case, E_Q* f",
    "largest": "  largest, max f",
    "temperature_leading_relative_error": "√(V/2η)/τ − 1",
    "temperature_expansion": "√(V/2η) + κ3/(3V)",
    "temperature_expansion_error": "  minus the exact τ",
    "soft_maximum": "τ·log E e^(f/τ)",
    "soft_maximum_expansion": "E f + V/(2τ) + κ3/(6τ²)",
    "soft_maximum_expansion_error": "  minus the exact value",
    "positive": "positive",
    "positive_share": "  its softmax",
    "eta_with_positive": "η with the positive among Q0",
    "effective_with_positive": "  effective number of samples",
    "adnce_divergence": "ADNCE: KL from uniform",
    "adnce_effective_negatives": "  effective number of negatives",
    "adnce_mean": "  mean similarity",
    "adnce_peak": "  favoured cosine μ + σₐ²/τ",
}

ONCE = {
    "joint": {
        "tau": "one τ for all anchors",
        "eta": "  mean radius η",
        "eta_limit": "  its limit",
        "worst_case_mean": "  worst mean over all anchors",
        "separate_tau": "mean τ of separate balls of this η",
        "separate_worst_case_mean": "  mean of their worst means",
        "mean_variance_relative_error": "√(V/2η)/τ − 1, V mean variance",
        "pooled_variance_relative_error": "  V pooled variance",
        "two_terms_relative_error": "  mean variance, + κ3/(3V)",
    },
    "adnce": {"eta": "ADNCE's mean radius", "equal_radius_tau": "  τ of the InfoNCE that has it"},
}


def _summary(values: list[float]) -> dict[str, float]:
    quantiles = np.quantile(values, list(QUANTILES.values()))
    return {"mean": float(np.mean(values)), **dict(zip(QUANTILES, quantiles.tolist(), strict=True))}


def _text(report: dict[str, Any]) -> str:
    given = [f"{name} = {value:g}" for name, value in report["parameters"].items() if value is not None]
    columns = ["mean", *QUANTILES] if report["anchors"] > 1 else ["mean"]
    lines = [
        f"InfoNCE's negatives as a KL ball: {report['similarities']}",
        "  " + "   ".join([f"anchors = {report['anchors']}", *given]),
        "",
        f"{'Over anchors':<34}" + "".join(f"{column:>11}" for column in columns),
    ]
    for name, summary in report["summary"].items():
        lines.append(f"  {LABELS[name]:<32}" + "".join(f"{summary[column]:>11.4g}" for column in columns))
    for part, labels in ONCE.items():
        once = [f"  {labels[name]:<34}{format_number(value, '>9.4g')}" for name, value in report.get(part, {}).items()]
        lines += [""] * bool(once) + once
    lines += [f"warning: {warning}" for warning in report["warnings"]]
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
