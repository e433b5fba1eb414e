"""The report of an experiment: one self-contained HTML page, with results.csv and results.json behind it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import pandas as pd

from empirical.arms import ARMS
from empirical.compare.pictures import (
    band_of,
    cosine_matrix,
    difference_figure,
    gallery,
    histogram_figure,
    scatter_figure,
    spectrum_figure,
)
from empirical.compare.presets import Experiment
from empirical.compare.results import (
    Condition,
    accuracies,
    load_runs,
    paired_differences,
    predicted,
    read_condition,
    require_finished,
    summarise,
)
from empirical.compare.saved import load_experiment
from empirical.evaluate.protocol import Protocol
from empirical.modalities.registry import IMAGES, NAMES
from empirical.profile.reading import verdict
from empirical.runs import PILOT, REFERENCES
from empirical.statistics import (
    NO_VERDICT,
    WITHIN_NOISE,
    Mean,
    RankCorrelation,
    detectable_difference,
    judge,
    mean_interval,
    paired,
)
from empirical.train.settings import Settings
from theory.checks import sound
from theory.command import format_number
from theory.files import json_text, write_together
from theory.kinds import Pairing
from theory.plan import LEVELS, MEASURED, THREE_LEVEL, Plan, Profile, grouped
from theory.sharper import SharperBounds, flipped_labels, sharper_bounds
from theory.sizes import LABELS as SIZE_LABELS
from theory.sizes import NAMES as SIZE_NAMES
from theory.tables import csv_text

UNDECIDED = {WITHIN_NOISE: ": within noise, neither confirmed nor refuted", NO_VERDICT: " (one seed: no verdict)"}
TEMPLATE = Path(__file__).with_name("report.html.jinja")


def write_report(out: Path) -> Path:
    """Write report.html, results.csv and results.json of a finished experiment, from its files alone.

    Parameters
    ----------
    out : Path
        Folder of ``empirical.compare``.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    ParameterError
        If the folder holds no experiment, or one that is not finished.
    """
    out = Path(out)
    with sound(f"results in {out}"):
        experiment = load_experiment(out)
        conditions = [read_condition(out, omega) for omega in experiment.omegas]
        runs = load_runs(out, experiment)
        require_finished(out, experiment, conditions, runs)
        summary = summarise(runs, experiment, conditions)
        table, page = csv_text(runs), render(runs, experiment, conditions, summary)
    write_together({out / "results.csv": table, out / "results.json": json_text(summary), out / "report.html": page})
    return out / "report.html"


# --- sentences -------------------------------------------------------------------------------------


def points(value: float | None, sign: bool = True) -> str:
    """A difference of accuracies in percentage points."""
    return format_number(None if value is None else 100 * value, "+.2f" if sign else ".2f")


def headline_arm(experiment: Experiment, conditions: Sequence[Condition]) -> str | None:
    """The arm that the report opens with: combined if it ran, else the first remedy that did."""
    order = ["combined", *(arm for arm in experiment.arms if arm not in ("baseline", "combined"))]
    for arm in order:
        if arm in experiment.arms and any(arm not in c.inapplicable for c in conditions):
            return arm
    return None


def headlines(runs: pd.DataFrame, experiment: Experiment, conditions: Sequence[Condition]) -> list[str]:
    """Effect size, interval and smallest detectable difference, one sentence per comparison."""
    sentences = []
    arm = headline_arm(experiment, conditions)
    for condition in conditions:
        if arm is None or arm in condition.inapplicable:
            if arm is not None:
                sentences.append(f"ω = {condition.omega:g}: {arm} is not applicable ({condition.inapplicable[arm]}).")
            continue
        differences = paired_differences(runs, condition.omega, arm)
        sentences.append(f"ω = {condition.omega:g}: {_effect(f'{arm} − baseline', differences)}")
    if len(conditions) > 1:
        low, high = min(experiment.omegas), max(experiment.omegas)
        change = paired(accuracies(runs, high, "baseline"), accuracies(runs, low, "baseline"))
        sentences.append(f"Mixed images: {_effect(f'the baseline at ω = {high:g} − at ω = {low:g}', change)}")
    return sentences or ["No remedy was compared with the baseline."]


def _effect(name: str, differences: Sequence[float]) -> str:
    mean, smallest = mean_interval(differences), detectable_difference(differences)
    if mean.low is None or mean.high is None:
        return f"{name} = {points(mean.value)} points; one seed gives no interval."
    word = judge(mean.low, mean.high, "better", "worse")
    return (
        f"{name} = {points(mean.value)} points, 95 % interval [{points(mean.low)}, {points(mean.high)}] over "
        f"{mean.seeds} seeds: {word}. The smallest difference this design could detect is about "
        f"{points(smallest, sign=False)} points."
    )


def disagreements(
    runs: pd.DataFrame, experiment: Experiment, conditions: Sequence[Condition], correlation: RankCorrelation
) -> list[str]:
    """Where the predicted order and the measured one agree, disagree, or cannot be told apart."""
    sentences = []
    for condition in conditions:
        baseline = predicted(condition, "difficult")["bound"]
        for arm in experiment.arms:
            theorem = ARMS[arm].theorem if arm in ARMS else None  # of one's own: a report runs no code
            if arm == "baseline" or theorem is None or arm in condition.inapplicable:
                continue
            bound = predicted(condition, theorem)["bound"]
            if bound is None or baseline is None:
                continue
            mean = mean_interval(paired_differences(runs, condition.omega, arm))
            expected = "a smaller" if bound < baseline else ("a larger" if bound > baseline else "the same")
            name = arm.replace("_", " ")
            text = f"ω = {condition.omega:g}, {name}: the bound predicts {expected} error than the baseline's "
            text += f"({bound - baseline:+.2e}); measured accuracy changed by {points(mean.value)} points"
            signs = (bound < baseline, bound > baseline)
            above, below = (": agreement in sign" if agrees else ": DISAGREEMENT" for agrees in signs)
            word = judge(mean.low, mean.high, above, below)
            sentences.append(f"{text}{UNDECIDED.get(word, word)}.")
    if correlation.rho is None:
        sentences.append(f"Rank correlation of predicted and measured error: {correlation.reason}.")
    return sentences


# --- the page --------------------------------------------------------------------------------------


def percent(mean: dict[str, Any] | None) -> str:
    """A mean accuracy with its interval, in percent."""
    if mean is None:
        return "—"
    m = Mean(**mean)
    if m.low is None or m.high is None:
        return f"{100 * m.value:.2f}"
    return f"{100 * m.value:.2f} ± {100 * (m.high - m.value):.2f}"


def render(runs: pd.DataFrame, experiment: Experiment, conditions: Sequence[Condition], summary: dict[str, Any]) -> str:
    """The page as HTML."""
    import jinja2

    correlation = RankCorrelation(**summary["rank_correlation"])
    sections = []
    for condition in conditions:
        similarities = cosine_matrix(condition)
        spectrum_picture, spectrum_note = spectrum_figure(condition, similarities)
        band = band_of(condition, similarities, experiment.given, experiment.base.data)
        histogram, histogram_note = histogram_figure(condition, similarities, band, experiment.band or "theory")
        sections.append(
            {
                "omega": condition.omega,
                "verdict": verdict(condition.profiles["pilot"], condition.plans["pilot"]),
                "profile_rows": _profile_rows(condition),
                "delta": condition.profiles["pilot"].delta,
                "warnings": condition.profiles["pilot"].warnings,
                "plan": condition.plans["pilot"],
                "size_reasons": grouped(
                    {
                        k: why
                        for k, why in condition.plans["pilot"].reasons.items()
                        if k.partition(".")[0] in SIZE_LABELS
                    }
                ),
                "bounds": {which: _bound_rows(condition, which) for which in (MEASURED, *THREE_LEVEL)},
                "bound_reasons": {
                    pairing: reason
                    for pairing in (MEASURED, *THREE_LEVEL)
                    if (reason := condition.plans["pilot"].reasons.get(f"{pairing} bounds"))
                },
                "spectrum": spectrum_picture,
                "spectrum_note": spectrum_note,
                "histogram": histogram,
                "histogram_note": histogram_note,
                "gallery": gallery(condition, similarities, band),
                "rows": [row for row in summary["table"] if row["omega"] == condition.omega],
                "predictions": [r for r in summary["predicted_against_measured"] if r["omega"] == condition.omega],
            }
        )
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.globals.update(percent=percent, points=points, number=format_number)
    environment.globals.update(size_labels=SIZE_LABELS, size_names=SIZE_NAMES)
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    arms = runs[~runs.arm.isin([*REFERENCES, PILOT])]
    protocol = experiment.protocol_of(experiment.base)
    shown = dict(
        experiment=experiment,
        protocol=protocol,
        words=_words(experiment.base, protocol),
        images=experiment.base.modality == IMAGES,
        settings=json.dumps(summary["experiment"], indent=2, ensure_ascii=False),
        headlines=headlines(runs, experiment, conditions),
        disagreements=disagreements(runs, experiment, conditions, correlation),
        sections=sections,
        differences=difference_figure(experiment, summary) if len(experiment.arms) > 1 else None,
        scatter=scatter_figure(summary),
        correlation=correlation,
        count=len(arms),
        minutes=runs.seconds.sum() / 60,
        levels=LEVELS,
        classes=conditions[0].profiles["pilot"].classes,
    )
    try:
        return template.render(shown)
    except jinja2.UndefinedError as error:  # an attribute that damaged results have not, as the template sees it
        raise AttributeError(error.message) from error


def _words(base: Settings, protocol: Protocol) -> tuple[str, str]:
    """What probe and kNN are. An experiment may be of anybody: code that it names is not run for a page."""
    ours = base.kind.words(protocol) if base.modality in NAMES else None
    return ours or (protocol.probe_words, protocol.knn_words)


def _profile_rows(condition: Condition) -> list[dict[str, Any]]:
    rows = []
    for name, profile in condition.profiles.items():
        for space, levels in profile.spaces.items():
            cells = [getattr(levels, level) for level in LEVELS]
            six = {where: getattr(levels, where) for where in ("within", "across")}
            rows.append({"name": _row_name(name, space), "cells": cells, "gap": levels.gap, "six": six})
    return rows


def _row_name(profile: str, space: str) -> str:
    """What a reader calls a feature space of one of the profiles."""
    if profile == "raw_pixels":
        return "raw pixels"
    return f"{'trained' if profile == 'pilot' else 'untrained'} {space}"


def _bound_rows(condition: Condition, pairing: str) -> list[dict[str, Any]]:
    rows = []
    for name, plan in condition.plans.items():
        reason = plan.reasons.get(f"{pairing} bounds")
        row = {"name": _row_name(name, "encoder"), "bounds": plan.predictions[pairing], "reason": reason}
        rows.append(row | {"sharper": _sharper(condition.profiles[name], plan, pairing)})
    return rows


def _sharper(profile: Profile, plan: Plan, pairing: str) -> SharperBounds | None:
    """Of the graph that the row's bounds are about; None where it has negative weights or there is no bound."""
    if plan.predictions[pairing] is None:
        return None
    graph = profile.measured("encoder") if pairing == MEASURED else profile.graph("encoder", cast(Pairing, pairing))
    if min(graph.weights) < 0:
        return None
    return sharper_bounds(graph, plan.parameters["dim"], flipped_labels(plan.parameters["delta"]))
