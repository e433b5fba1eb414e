"""Robust radius, worst-case weights and temperature of similarities: ``python -m theory.dro``."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
from numpy.typing import NDArray

from theory.checks import ParameterError, require
from theory.command import Parser, run
from theory.dro import (
    SCHEMA,
    Expansion,
    _effective,
    _mean,
    _reference,
    _temperature_terms,
    adnce,
    robust_radius,
    robust_temperature,
    soft_maximum_expansion,
    tilted,
)
from theory.files import unreadable


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
            "--similarities similarities.npy --eta .1 --mu .7 --sigma .5 --json",
        ),
    )
    add = found.group("similarities").add_argument
    add(
        "--similarities",
        type=Path,
        required=True,
        help=".npy of cosines: one anchor's negatives, or one anchor a row with NaN at itself and its positives",
    )
    add = found.group("robustness").add_argument
    add("--tau", type=float, help="temperature, > 0; gives every anchor's robust radius")
    add("--eta", type=float, help="robust radius in nats, >= 0; gives every anchor's temperature")
    add = found.group("ADNCE").add_argument
    add("--mu", type=float, help="centre of its weights, a cosine")
    add("--sigma", type=float, help="width of its weights, > 0")
    found.group("output").add_argument("--json", action="store_true", help="print JSON")
    return found


def _command(args: Namespace) -> None:
    if (args.tau is None) == (args.eta is None):
        raise ParameterError("exactly one of --tau and --eta is required")
    if (args.mu is None) != (args.sigma is None):
        raise ParameterError("--mu and --sigma come together")
    similarities = _read(args.similarities)
    anchors = [similarities] if similarities.ndim == 1 else [row[~np.isnan(row)] for row in similarities]
    rows = []
    for index, negatives in enumerate(anchors):
        try:
            rows.append(_anchor(negatives, args))
        except ParameterError as error:
            raise error if similarities.ndim == 1 else ParameterError(f"row {index}: {error}") from None
    report = {
        "schema": SCHEMA,
        "parameters": {name: getattr(args, name) for name in ("tau", "eta", "mu", "sigma")},
        "similarities": str(args.similarities),
        "anchors": len(anchors),
        "summary": {name: _summary([row[name] for row in rows]) for name in rows[0]},
        "warnings": _warnings(similarities),
    }
    print(json.dumps(report, indent=2, allow_nan=False) if args.json else _text(report))


def _read(path: Path) -> NDArray[Any]:
    try:
        with path.open("rb") as file:
            array = np.lib.format.read_array(file, allow_pickle=False)
    except OSError as error:
        raise unreadable(path, error) from error
    except (ValueError, TokenError) as error:  # numpy lets the second escape from a damaged header
        with path.open("rb") as file:
            reason = error if file.read(6) == b"\x93NUMPY" else "it is no .npy file"
        raise ParameterError(f"cannot read {path}: {reason}") from error
    require(array.dtype.kind in "fiu", "similarities", f"array of {array.dtype}", "real numbers")
    shaped = array.ndim in (1, 2) and len(array) > 0
    require(shaped, "similarities", f"array of shape {array.shape}", "a non-empty vector or matrix")
    return array


def _warnings(similarities: NDArray[Any]) -> list[str]:
    square = similarities.shape == similarities.shape[:1] * 2
    if square and np.diagonal(similarities).min() > 0.999:
        return ["the diagonal is 1: set each anchor's similarity to itself, and to its positives, to NaN"]
    return []


def _anchor(f: NDArray[Any], args: Any) -> dict[str, float]:
    """One anchor's numbers under their names in the report."""
    tau = robust_temperature(f, args.eta) if args.tau is None else args.tau
    eta = robust_radius(f, tau) if args.eta is None else args.eta
    reference = _reference(f, None)
    worst = tilted(f, tau)
    temperature = Expansion(_temperature_terms(reference, eta), tau)
    maximum = soft_maximum_expansion(f, tau)
    row = {
        "negatives": len(f),
        "tau": tau,
        "eta": eta,
        "eta_limit": reference.limit,
        "effective_negatives": _effective(worst),
        "mean": _mean(reference),
        "worst_case_mean": reference.top + float(worst @ reference.below),
        "largest": reference.top,
        "temperature_expansion": temperature.value,
        "temperature_expansion_error": temperature.error,
        "soft_maximum": maximum.exact,
        "soft_maximum_expansion": maximum.value,
        "soft_maximum_expansion_error": maximum.error,
    }
    if args.mu is not None:
        implied = adnce(f, tau, args.mu, args.sigma)
        row["adnce_divergence"] = implied.divergence
        row["adnce_effective_negatives"] = implied.effective
        row["adnce_mean"] = reference.top + float(implied.distribution @ reference.below)
        row["adnce_peak"] = implied.peak
    return row


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
    "temperature_expansion": "√(V/2η) + κ3/(3V)",
    "temperature_expansion_error": "  minus the exact τ",
    "soft_maximum": "τ·log E e^{f/τ}",
    "soft_maximum_expansion": "E f + V/(2τ) + κ3/(6τ²)",
    "soft_maximum_expansion_error": "  minus the exact value",
    "adnce_divergence": "ADNCE: KL from uniform",
    "adnce_effective_negatives": "  effective number of negatives",
    "adnce_mean": "  mean similarity",
    "adnce_peak": "  favoured cosine μ + σ²/τ",
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
    lines += [f"warning: {warning}" for warning in report["warnings"]]
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
