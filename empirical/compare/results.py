"""What the runs of an experiment gave, as tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from numpy.typing import NDArray

from empirical.arms import ARMS
from empirical.compare.presets import Experiment
from empirical.compare.saved import folder, read_reasons
from empirical.data.arrays import require_arrays
from empirical.evaluate.protocol import Protocol
from empirical.modalities.registry import NAMES
from empirical.runs import REFERENCES, pilot_folder
from empirical.statistics import (
    FEWEST_SEEDS,
    detectable_difference,
    holm,
    mean_interval,
    p_value,
    paired,
    rank_correlation,
)
from empirical.train.logs import read_result
from empirical.train.settings import Settings
from theory.arrays import read_npz
from theory.checks import require
from theory.plan import Plan, Profile

PRIMARY = "encoder_probe"
PREDICTED = "encoder_predicted_probe"  # from the training features; runs before it, or with too few labels, have none
METRICS = (PRIMARY, PREDICTED, "encoder_knn", "projector_probe", "projector_predicted_probe", "projector_knn")
EVIDENCE = ("rows", "features", "labels", "difficult", "images", "class_names")
CHOSEN = ("encoder_c", "projector_c")  # the probes' C


@dataclass(frozen=True)
class Condition:
    """Everything measured and predicted at one ω."""

    omega: float
    profiles: dict[str, Profile]  # raw_pixels, untrained, pilot
    plans: dict[str, Plan]
    inapplicable: dict[str, str]
    evidence: dict[str, NDArray[Any]]


def read_condition(out: Path, omega: float) -> Condition:
    """What an experiment left in its folder about one ω; ParameterError unless all of it is there."""
    place = folder(out, omega)
    folders = {"raw_pixels": "raw_pixels", "untrained": "untrained-0", "pilot": pilot_folder(place).name}
    folders = {name: where for name, where in folders.items() if (place / where).exists()}  # large images: no raw ones
    path = pilot_folder(place) / "evidence.npz"
    evidence = read_npz(path)
    require_arrays(path, evidence, EVIDENCE)
    return Condition(
        omega,
        {name: Profile.load(place / where / "profile.json") for name, where in folders.items()},
        {name: Plan.load(place / where / "plan.json") for name, where in folders.items()},
        read_reasons(out, omega),
        evidence,
    )


def load_runs(out: Path, experiment: Experiment) -> pd.DataFrame:
    """One row per finished run: omega, arm, seed, the accuracies, the probes' C, the protocol's name and seconds."""
    rows = []
    for omega in experiment.omegas:
        for path in sorted(folder(out, omega).glob("*/result.json")):
            result = read_result(path)
            row = {name: result["metrics"].get(name) for name in (*METRICS, *CHOSEN)}
            document = _document(experiment.base, result["protocol"])
            row |= {"protocol": document.get("probe", document["words"]), "seconds": result["seconds"]}
            rows.append({**{k: result[k] for k in ("omega", "arm", "seed")}, **row})
    return pd.DataFrame(rows, columns=["omega", "arm", "seed", *METRICS, *CHOSEN, "protocol", "seconds"])


def _document(base: Settings, protocol: Protocol) -> dict[str, Any]:
    """How scores were made. An experiment may be of anybody: code that it names is not run for a table."""
    return base.kind.document(protocol) if base.modality in NAMES else protocol.to_json()


def require_finished(out: Path, experiment: Experiment, conditions: Sequence[Condition], runs: pd.DataFrame) -> None:
    """Raise ParameterError, naming the first gap, unless every applicable arm has a run for every seed."""
    for condition in conditions:
        for arm in experiment.arms:
            done = ((runs.omega == condition.omega) & (runs.arm == arm)).sum()
            complete = arm in condition.inapplicable or done == experiment.seeds
            gap = f"{arm} at ω = {condition.omega:g} has {done} of {experiment.seeds} runs"
            require(complete, "out", out, f"a finished experiment: {gap}, the command that began it goes on")


def accuracies(runs: pd.DataFrame, omega: float, arm: str, metric: str = PRIMARY) -> pd.Series[float]:
    """Accuracies of an arm by seed."""
    chosen = runs[(runs.omega == omega) & (runs.arm == arm)]
    return chosen.set_index("seed")[metric].dropna().sort_index()


def paired_differences(runs: pd.DataFrame, omega: float, arm: str, reference: str = "baseline") -> list[float]:
    """Accuracy of an arm minus the reference's, seed by seed."""
    return paired(accuracies(runs, omega, arm), accuracies(runs, omega, reference))


def summarise(runs: pd.DataFrame, experiment: Experiment, conditions: Sequence[Condition]) -> dict[str, Any]:
    """The numbers of the report as plain data."""
    table, predictions = [], []
    for condition in conditions:
        omega = condition.omega
        references = [name for name in REFERENCES if len(accuracies(runs, omega, name))]
        for arm in (*references, *experiment.arms):
            reason = condition.inapplicable.get(arm)
            row: dict[str, Any] = {"omega": omega, "arm": arm, "not_applicable": reason}
            if reason is None:
                for metric in METRICS:
                    values = accuracies(runs, omega, arm, metric)
                    row[metric] = mean_interval(values.tolist(), FEWEST_SEEDS).to_json() if len(values) else None
                differences = paired_differences(runs, omega, arm)
                comparable = arm not in (*REFERENCES, "baseline") and len(differences) > 0
                row |= _difference(differences) if comparable else dict.fromkeys(_difference([0.0]))
            table.append(row)
            theorem = ARMS[arm].theorem if arm in ARMS else None
            predictions.append({"omega": omega, "arm": arm, "theorem": theorem, **predicted(condition, theorem)})
            error = None if reason else 1 - float(accuracies(runs, omega, arm).mean())
            predictions[-1]["measured_error"] = error
    rows = [row for row in predictions if None not in (row["bound"], row["measured_error"])]
    _correct([row for row in table if row.get("difference")])
    correlation = rank_correlation(
        [row["bound"] for row in rows], [row["measured_error"] for row in rows], [row["omega"] for row in rows]
    )
    return {
        "experiment": experiment.to_json(),
        "protocol": _document(experiment.base, experiment.protocol_of(experiment.base)),
        "table": table,
        "predicted_against_measured": predictions,
        "rank_correlation": correlation.to_json(),
        "profiles": {str(c.omega): {name: p.to_json() for name, p in c.profiles.items()} for c in conditions},
        "plans": {str(c.omega): {name: p.remedies for name, p in c.plans.items()} for c in conditions},
    }


def _difference(differences: Sequence[float]) -> dict[str, Any]:
    """What differences to the baseline, one a seed, say; nothing of their spread where they are fewer than three."""
    enough = len(differences) >= FEWEST_SEEDS
    return {
        "difference": mean_interval(differences, FEWEST_SEEDS).to_json(),
        "differences": list(differences),
        "detectable": detectable_difference(differences) if enough else None,
        "p_value": p_value(differences) if enough else None,
        "p_holm": None,
    }


def _correct(rows: Sequence[dict[str, Any]]) -> None:
    """Give all comparisons of an experiment their p-values by Holm, for as many as there are."""
    known = [row for row in rows if row["p_value"] is not None]
    for row, adjusted in zip(known, holm([row["p_value"] for row in known], len(rows)), strict=True):
        row["p_holm"] = float(adjusted)


def predicted(condition: Condition, theorem: str | None) -> dict[str, Any]:
    """The bound that the theory gives an arm, or why there is none."""
    plan = condition.plans["pilot"]
    pairing = plan.parameters["pairing"]
    if theorem is None:
        return {"bound": None, "why": "no theorem"}
    by_name = plan.predictions[pairing]
    if by_name is None:
        return {"bound": None, "why": plan.reasons[f"{pairing} bounds"]}
    if by_name[theorem]["bound"] is None:
        return {"bound": None, "why": plan.reasons[f"{theorem} bound"]}
    if not by_name[theorem]["applies"]:
        return {"bound": None, "why": f"k = {plan.parameters['dim']} is outside the statement's range"}
    return {"bound": by_name[theorem]["bound"], "why": None}
