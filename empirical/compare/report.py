"""The report of an experiment: one self-contained HTML page, with results.csv and results.json behind it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pandas as pd

from empirical.arms import ARMS
from empirical.compare.answer import (
    answer,
    called,
    cautions,
    compared,
    detectable,
    named,
    points,
    score,
    stands_out,
)
from empirical.compare.pictures import (
    Gallery,
    Shown,
    band_of,
    cosine_matrix,
    difference_figures,
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
from empirical.pages import environment
from empirical.paper import STATED, stated
from empirical.profile.reading import verdict
from empirical.runs import PILOT, REFERENCES
from empirical.statistics import (
    FEWEST_SEEDS,
    NO_VERDICT,
    WITHIN_NOISE,
    Mean,
    RankCorrelation,
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

UNDECIDED = {WITHIN_NOISE: ": within noise, neither confirmed nor refuted", NO_VERDICT: " (too few seeds: no verdict)"}
FEW = {
    1: "One run of each arm has no interval to judge by. Three seeds or more give one.",
    2: "Two runs of each arm have no interval worth its name: that of two values is nearly 13 times their distance. "
    "Three seeds or more give one.",
}
HERE = Path(__file__).parent


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
        summary |= {"answer": answer(summary, experiment), "cautions": cautions(summary, experiment)}
        table, page = csv_text(runs), render(runs, experiment, conditions, summary)
    write_together({out / "results.csv": table, out / "results.json": json_text(summary), out / "report.html": page})
    return out / "report.html"


# --- sentences -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Verdicts:
    """What measured differences say of the predicted order of arms, a sentence each."""

    disagree: list[str]
    agree: list[str]
    undecided: list[str]


def verdicts(runs: pd.DataFrame, experiment: Experiment, conditions: Sequence[Condition]) -> Verdicts:
    """Where the predicted order and the measured one agree, disagree, or cannot be told apart."""
    found = Verdicts([], [], [])
    for condition in conditions:
        baseline = predicted(condition, "difficult")["bound"]
        for arm in experiment.arms:
            theorem = ARMS[arm].theorem if arm in ARMS else None  # of one's own: a report runs no code
            if arm == "baseline" or theorem is None or arm in condition.inapplicable:
                continue
            bound = predicted(condition, theorem)["bound"]
            if bound is None or baseline is None:
                continue
            mean = mean_interval(paired_differences(runs, condition.omega, arm), FEWEST_SEEDS)
            expected = "a smaller" if bound < baseline else ("a larger" if bound > baseline else "the same")
            name = arm.replace("_", " ")
            text = f"ω = {condition.omega:g}, {name}: the bound predicts {expected} error than the baseline's "
            text += f"({bound - baseline:+.2e}); measured accuracy changed by {points(mean.value)} points"
            signs = (bound < baseline, bound > baseline)
            above, below = (": agreement in sign" if agrees else ": DISAGREEMENT" for agrees in signs)
            word = judge(mean.low, mean.high, above, below)
            lists = {": agreement in sign": found.agree, ": DISAGREEMENT": found.disagree}
            lists.get(word, found.undecided).append(f"{text}{UNDECIDED.get(word, word)}.")
    return found


def unseen(summary: dict[str, Any], experiment: Experiment, conditions: Sequence[Condition]) -> list[str]:
    """What so many seeds could not have shown, beside single comparisons, a sentence each."""
    rows, sentences = compared(summary), []
    alone, together = detectable(rows, 1), detectable(rows, len(rows) or 1)
    if rows and experiment.seeds in FEW:
        sentences.append(FEW[experiment.seeds])
    elif alone and together:
        text = f"A true difference of {_range(alone)} points is found four times in five by one comparison alone"
        sentences.append(f"{text}; by each of all {len(rows)}, corrected for their number, one of {_range(together)}.")
    predictions = [row for row in summary["predicted_against_measured"] if row["bound"] is not None]
    base = {row["omega"]: row["bound"] for row in predictions if row["arm"] == "baseline"}
    gaps = [abs(row["bound"] - base[row["omega"]]) for row in predictions if row["omega"] in base]
    if len(gaps) > len(base):
        less = ", less than any comparison here could find" if alone and max(gaps) < alone[0] else ""
        most = format_number(100 * max(gaps), ".2g")
        sentences.append(f"The paper's bounds differ from the baseline's by at most {most} points of error{less}.")
    gone: dict[str, list[str]] = {}
    for condition in conditions:
        for arm in condition.inapplicable:
            gone.setdefault(arm, []).append(f"{condition.omega:g}")
    if gone:
        names = "; ".join(f"{arm.replace('_', ' ')} at ω = {', '.join(where)}" for arm, where in gone.items())
        sentences.append(f"Not applicable and so not trained, for the reasons in the tables below: {names}.")
    correlation = RankCorrelation(**summary["rank_correlation"])
    if correlation.rho is None:
        sentences.append(f"Rank correlation of predicted and measured error: {correlation.reason}.")
    return sentences


def _range(ends: tuple[float, float]) -> str:
    low, high = (format_number(100 * end, ".2g") for end in ends)
    return low if low == high else f"{low} to {high}"


def mixing(runs: pd.DataFrame, experiment: Experiment) -> str | None:
    """What mixed images did to the baseline; None where ω has one value."""
    if len(experiment.omegas) < 2:
        return None
    low, high = min(experiment.omegas), max(experiment.omegas)
    differences = paired(accuracies(runs, high, "baseline"), accuracies(runs, low, "baseline"))
    return f"Mixed images: the baseline at ω = {high:g} minus at ω = {low:g} is {effect(differences)}."


def effect(differences: Sequence[float]) -> str:
    """Differences in points: mean, interval and the word for it, or each where they are too few for an interval."""
    mean = mean_interval(differences, FEWEST_SEEDS)
    if mean.low is None or mean.high is None:
        return " and ".join(map(points, differences)) + f" points ({mean.seeds} seed{'s' * (mean.seeds > 1)})"
    word = judge(mean.low, mean.high, "better", "worse")
    interval = f"95 % interval [{points(mean.low)}, {points(mean.high)}] over {mean.seeds} seeds"
    return f"{points(mean.value)} points, {interval}: {word}"


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

    several = len(experiment.arms) > 1
    differences = difference_figures(experiment, summary) if several else {}
    sections = [_section(condition, experiment, summary) for condition in conditions]
    templates = environment(HERE, percent=percent, points=points, size_labels=SIZE_LABELS, size_names=SIZE_NAMES)
    templates.globals.update(stands_out=stands_out, called=called)
    arms = runs[~runs.arm.isin([*REFERENCES, PILOT])]
    protocol = experiment.protocol_of(experiment.base)
    shown = dict(
        name=named(experiment),
        score=score(experiment),
        experiment=experiment,
        protocol=protocol,
        words=_words(experiment.base, protocol),
        images=experiment.base.modality == IMAGES,
        sample=experiment.base.kind.sample if experiment.base.modality in NAMES else "sample",
        settings=json.dumps(summary["experiment"], indent=2, ensure_ascii=False),
        summary=summary,
        few=experiment.seeds < FEWEST_SEEDS,
        references=[row for row in summary["table"] if row["omega"] == experiment.omegas[0]],
        comparisons=compared(summary),
        verdicts=verdicts(runs, experiment, conditions),
        unseen=unseen(summary, experiment, conditions),
        mixing=mixing(runs, experiment),
        sections=sections,
        papers=STATED.get(stated(experiment.stated or experiment.base.data) or ""),
        differences=differences,
        scatter=scatter_figure(summary),
        correlation=RankCorrelation(**summary["rank_correlation"]),
        count=len(arms),
        minutes=runs.seconds.sum() / 60,
        levels=LEVELS,
    )
    try:
        return templates.get_template("report.html.jinja").render(shown)
    except jinja2.UndefinedError as error:  # an attribute that damaged results have not, as the template sees it
        raise AttributeError(error.message) from error


def _section(condition: Condition, experiment: Experiment, summary: dict[str, Any]) -> dict[str, Any]:
    """What the page says about one ω."""
    similarities = cosine_matrix(condition)
    spectrum_picture, spectrum_note = spectrum_figure(condition, similarities)
    band = band_of(condition, similarities, experiment.given, experiment.base.data)
    histogram, histogram_note = histogram_figure(condition, similarities, band, experiment.band or "theory")
    profile, plan = condition.profiles["pilot"], condition.plans["pilot"]
    sizes = {name: why for name, why in plan.reasons.items() if name.partition(".")[0] in SIZE_LABELS}
    pairings = (MEASURED, *THREE_LEVEL)
    pairs = Gallery(condition, similarities, band)
    inside, alike = pairs.in_band(), pairs.most_alike()
    return {
        "omega": condition.omega,
        "verdict": verdict(profile, plan),
        "profile_rows": _profile_rows(condition),
        "delta": profile.delta,
        "warnings": profile.warnings,
        "plan": plan,
        "size_reasons": grouped(sizes),
        "bounds": {which: _bound_rows(condition, which) for which in pairings},
        "spectrum": spectrum_picture,
        "spectrum_note": spectrum_note,
        "histogram": histogram,
        "histogram_note": histogram_note,
        "shows": pairs.shows,
        "inside": inside,
        "alike": alike,
        "touching": touching(experiment, condition),
        "touched": touched(experiment, condition, inside, alike, band),
        "rows": [row for row in summary["table"] if row["omega"] == condition.omega],
        "predictions": [row for row in summary["predicted_against_measured"] if row["omega"] == condition.omega],
    }


def touching(experiment: Experiment, condition: Condition) -> list[str]:
    """The arms that treat the pairs of the plan's band: by rank of the encoder's similarity, and as the plan says."""
    return [
        name
        for name in experiment.arms
        if (arm := ARMS.get(name)) and arm.selects and arm.select in ("rank", "auto") and arm.space == "encoder"
        if name not in condition.inapplicable and not arm.as_printed
    ]


def touched(
    experiment: Experiment,
    condition: Condition,
    inside: Sequence[Shown],
    alike: Sequence[Shown],
    band: tuple[float, float],
) -> list[str]:
    """How many of the pairs that are shown the remedies touch, in sentences."""
    arms = touching(experiment, condition)
    who = f"the remedies ({', '.join(arms).replace('_', ' ')})" if arms else "a remedy of pairs, had one been trained,"
    if not inside:
        sentences = ["No pair of these samples lies in the band."]
    else:
        across, hard = sum(pair.across for pair in inside), sum(pair.difficult for pair in inside) or "none"
        sentences = [
            f"Shown are {len(inside)} pairs, evenly over the band by their rank of similarity: {who} touch"
            f"{'' if arms else 'es'} all of them, as all pairs whose rank within a batch is in the band. {across} of "
            f"the {len(inside)} are of different classes, as is meant, {hard} of these difficult at both ends; "
            f"{len(inside) - across or 'none'} of one class, and treated like the others."
        ]
    if alike:
        there, above = sum(pair.touched for pair in alike), sum(pair.cosine > band[0] for pair in alike)
        below = len(alike) - there - above
        sentences.append(
            f"Of the {len(alike)} most alike pairs of different classes the remedies touch {there or 'none'}: "
            f"{above or 'none'} are above the band, taken for pairs of one class, {below or 'none'} below."
        )
    return sentences


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
