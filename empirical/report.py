"""The report of an experiment: one self-contained HTML page, with results.csv and results.json behind it."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from empirical.arms import ARMS
from empirical.compare import REFERENCES, Experiment, folder, load_experiment, planned
from empirical.logs import RESULT_SCHEMA
from empirical.profile import verdict
from empirical.statistics import Mean, RankCorrelation, detectable_difference, mean_interval, rank_correlation
from theory.cli import format_number, write_json, write_text
from theory.params import GraphParameters, ParameterError
from theory.plan import LEVELS, Plan, Profile
from theory.spectrum import spectrum

PRIMARY = "encoder_probe"
METRICS = ("encoder_probe", "encoder_knn", "projector_probe", "projector_knn")
TEMPLATE = Path(__file__).with_name("report.html.jinja")
BLUE, ORANGE, GREEN, PURPLE, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#666666"
GALLERY = 12
SHOWN_EIGENVALUES = 40


@dataclass(frozen=True)
class Condition:
    """Everything measured and predicted at one ω."""

    omega: float
    profiles: dict[str, Profile]  # raw_pixels, untrained, warmup
    plans: dict[str, Plan]
    inapplicable: dict[str, str]
    evidence: dict[str, NDArray[Any]]


def write_report(out: Path) -> Path:
    """Write report.html, results.csv and results.json of a finished experiment.

    Parameters
    ----------
    out : Path
        Folder of ``empirical.compare``.

    Returns
    -------
    Path
        The page.
    """
    out = Path(out)
    experiment = load_experiment(out)
    _, inapplicable = planned(experiment, out)
    conditions = [_condition(out, omega, inapplicable[omega]) for omega in experiment.omegas]
    runs = load_runs(out, experiment)
    write_text(out / "results.csv", runs.to_csv(index=False))
    summary = summarise(runs, experiment, conditions)
    write_json(out / "results.json", summary)
    write_text(out / "report.html", render(runs, experiment, conditions, summary))
    return out / "report.html"


def _condition(out: Path, omega: float, inapplicable: dict[str, str]) -> Condition:
    place = folder(out, omega)
    folders = {"raw_pixels": "raw_pixels", "untrained": "untrained-0", "warmup": "warmup"}
    folders = {name: where for name, where in folders.items() if (place / where).exists()}  # large images: no raw ones
    with np.load(place / "warmup" / "evidence.npz") as file:
        evidence = dict(file)
    return Condition(
        omega,
        {name: Profile.load(place / where / "profile.json") for name, where in folders.items()},
        {name: Plan.load(place / where / "plan.json") for name, where in folders.items()},
        inapplicable,
        evidence,
    )


def load_runs(out: Path, experiment: Experiment) -> pd.DataFrame:
    """One row per finished run: omega, arm, seed, the accuracies and seconds."""
    rows = []
    for omega in experiment.omegas:
        for path in sorted(folder(out, omega).glob("*/result.json")):
            result = json.loads(path.read_text(encoding="utf-8"))
            if result["schema"] != RESULT_SCHEMA:
                raise ParameterError(f"schema of {path}", result["schema"], f"schema == {RESULT_SCHEMA}")
            row = {name: result["metrics"].get(name) for name in METRICS}
            rows.append({**{k: result[k] for k in ("omega", "arm", "seed")}, **row, "seconds": result["seconds"]})
    return pd.DataFrame(rows)


def accuracies(runs: pd.DataFrame, omega: float, arm: str, metric: str = PRIMARY) -> pd.Series[float]:
    """Accuracies of an arm by seed."""
    chosen = runs[(runs.omega == omega) & (runs.arm == arm)]
    return chosen.set_index("seed")[metric].dropna().sort_index()


def paired_differences(runs: pd.DataFrame, omega: float, arm: str, reference: str = "baseline") -> list[float]:
    """Accuracy of an arm minus the reference's, seed by seed."""
    difference = accuracies(runs, omega, arm) - accuracies(runs, omega, reference)
    return [float(value) for value in difference.dropna()]


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
                    row[metric] = mean_interval(values.tolist()).to_json() if len(values) else None
                differences = paired_differences(runs, omega, arm)
                paired = arm not in (*REFERENCES, "baseline") and len(differences) > 0
                row["difference"] = mean_interval(differences).to_json() if paired else None
                row["detectable"] = detectable_difference(differences) if paired else None
            table.append(row)
            theorem = ARMS[arm].theorem if arm in ARMS else None
            predictions.append({"omega": omega, "arm": arm, "theorem": theorem, **_prediction(condition, theorem)})
            error = None if reason else 1 - float(accuracies(runs, omega, arm).mean())
            predictions[-1]["measured_error"] = error
    rows = [row for row in predictions if None not in (row["bound"], row["measured_error"])]
    correlation = rank_correlation(
        [row["bound"] for row in rows], [row["measured_error"] for row in rows], [row["omega"] for row in rows]
    )
    return {
        "experiment": experiment.to_json(),
        "table": table,
        "predicted_against_measured": predictions,
        "rank_correlation": correlation.to_json(),
        "profiles": {str(c.omega): {name: p.to_json() for name, p in c.profiles.items()} for c in conditions},
        "plans": {str(c.omega): {name: p.remedies for name, p in c.plans.items()} for c in conditions},
    }


def _prediction(condition: Condition, theorem: str | None) -> dict[str, Any]:
    """The bound that the theory gives an arm, or why there is none."""
    plan = condition.plans["warmup"]
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
        change = accuracies(runs, high, "baseline") - accuracies(runs, low, "baseline")
        name = f"the baseline at ω = {high:g} − at ω = {low:g}"
        sentences.append("Mixed images: " + _effect(name, [float(v) for v in change.dropna()]))
    return sentences or ["No remedy was compared with the baseline."]


def _effect(name: str, differences: Sequence[float]) -> str:
    mean, smallest = mean_interval(differences), detectable_difference(differences)
    if mean.low is None or mean.high is None:
        return f"{name} = {points(mean.value)} points; one seed gives no interval."
    verdict_ = "within noise" if mean.low <= 0 <= mean.high else ("better" if mean.value > 0 else "worse")
    return (
        f"{name} = {points(mean.value)} points, 95 % interval [{points(mean.low)}, {points(mean.high)}] over "
        f"{mean.seeds} seeds: {verdict_}. The smallest difference this design could detect is about "
        f"{points(smallest, sign=False)} points."
    )


def disagreements(
    runs: pd.DataFrame, experiment: Experiment, conditions: Sequence[Condition], correlation: RankCorrelation
) -> list[str]:
    """Where the predicted order and the measured one agree, disagree, or cannot be told apart."""
    sentences = []
    for condition in conditions:
        baseline = _prediction(condition, "difficult")["bound"]
        for arm in experiment.arms:
            theorem = ARMS[arm].theorem
            if arm == "baseline" or theorem is None or arm in condition.inapplicable:
                continue
            bound = _prediction(condition, theorem)["bound"]
            if bound is None or baseline is None:
                continue
            mean = mean_interval(paired_differences(runs, condition.omega, arm))
            predicted = "a smaller" if bound < baseline else ("a larger" if bound > baseline else "the same")
            name = arm.replace("_", " ")
            text = f"ω = {condition.omega:g}, {name}: the bound predicts {predicted} error than the baseline's "
            text += f"({bound - baseline:+.2e}); measured accuracy changed by {points(mean.value)} points"
            if mean.low is None or mean.high is None:
                text += " (one seed: no verdict)."
            elif mean.low <= 0 <= mean.high:
                text += ": within noise, neither confirmed nor refuted."
            else:
                agree = (mean.value > 0) == (bound < baseline)
                text += ": agreement in sign." if agree else ": DISAGREEMENT."
            sentences.append(text)
    if correlation.rho is None:
        sentences.append(f"Rank correlation of predicted and measured error: {correlation.reason}.")
    return sentences


# --- pictures --------------------------------------------------------------------------------------


def _figure(width: float, height: float, columns: int = 1) -> tuple[Any, list[Any]]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = [figure.add_subplot(1, columns, i + 1) for i in range(columns)]
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _embed(figure: Any) -> str:
    """The figure as SVG in a data address, so that the page needs no other file."""
    import matplotlib as mpl

    buffer = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": "report"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return "data:image/svg+xml;base64," + base64.b64encode(buffer.getvalue()).decode()


def difference_figure(experiment: Experiment, summary: dict[str, Any]) -> str:
    """Paired differences to the baseline with their intervals."""
    omegas = experiment.omegas
    arms = [arm for arm in experiment.arms if arm != "baseline"]
    figure, axes = _figure(4.4 * len(omegas) + 1, 0.42 * len(arms) + 1.3, len(omegas))
    rows = {(row["omega"], row["arm"]): row for row in summary["table"]}
    for axis, omega in zip(axes, omegas, strict=True):
        for y, arm in enumerate(arms):
            row = rows[omega, arm]
            if row["not_applicable"] or row["difference"] is None:
                axis.text(0, y, "not applicable", ha="center", va="center", color=GREY, fontsize=8)
                continue
            d = row["difference"]
            if d["low"] is not None:
                axis.plot([100 * d["low"], 100 * d["high"]], [y, y], color=BLUE, lw=2)
            axis.plot(100 * d["value"], y, "o", color=BLUE)
        axis.axvline(0, color=GREY, lw=1, ls="--")
        axis.set_yticks(range(len(arms)), [arm.replace("_", " ") for arm in arms])
        axis.set_ylim(len(arms) - 0.5, -0.5)
        axis.set_title(f"ω = {omega:g}", fontsize=10)
        axis.set_xlabel("accuracy minus baseline, points")
    return _embed(figure)


def cosine_matrix(condition: Condition) -> NDArray[np.float64]:
    """Cosine similarities of the evidence rows."""
    features = condition.evidence["features"].astype(np.float64)
    unit = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
    return np.asarray(unit @ unit.T)


def spectrum_figure(condition: Condition, similarities: NDArray[np.float64]) -> tuple[str | None, str]:
    """Leading eigenvalues of the measured normalised similarity matrix beside the model's."""
    degrees = similarities.sum(axis=1)
    if degrees.min() <= 0:
        return (
            None,
            "The measured similarity matrix has nodes of negative degree: it has no normalised adjacency.",
        )
    scale = 1 / np.sqrt(degrees)
    measured = np.linalg.eigvalsh(similarities * scale[:, None] * scale)[::-1]
    figure, (axis,) = _figure(6.4, 3.4)
    profile = condition.profiles["warmup"]
    note = f"On {len(degrees)} training images."
    spectra = {"measured similarities": (measured, "o", BLUE)}
    try:
        model = model_eigenvalues(profile, np.bincount(condition.evidence["labels"]))
        spectra["three-level model"] = (model, "x", ORANGE)
        note += " " + _spectrum_note(measured, model, profile)
    except ParameterError as error:
        note += f" The measured levels make no three-level graph: {error}."
    for label, (values, marker, colour) in spectra.items():
        shown = np.clip(values[:SHOWN_EIGENVALUES], 1e-8, None)
        axis.plot(range(1, len(shown) + 1), shown, marker, color=colour, ms=4.5, label=label)
    axis.set_yscale("log")
    axis.set_xlabel("index j")
    axis.set_ylabel("eigenvalue λ_j")
    axis.legend(frameon=False, fontsize=9)
    return _embed(figure), note


def model_eigenvalues(profile: Profile, sizes: NDArray[Any]) -> NDArray[np.float64]:
    """All eigenvalues of the three-level graph with the measured levels, on classes of these sizes."""
    level = profile.spaces["encoder"]
    n = round(len(sizes) / float((1 / sizes).sum()))
    n_d = min(n, round(n * profile.difficult / profile.samples_per_class))
    modes = spectrum(GraphParameters(level.alpha.value, level.beta.value, level.gamma.value, n, len(sizes), n_d))
    return np.repeat([float(mode.eigenvalue) for mode in modes], [mode.multiplicity for mode in modes])


def _spectrum_note(measured: NDArray[np.float64], model: NDArray[np.float64], profile: Profile) -> str:
    classes, k = profile.classes, profile.dim
    note = (
        f"The classes' eigenvalues (2 to {classes}) average {measured[1:classes].mean():.3g} measured and "
        f"{model[1:classes].mean():.3g} in the model"
    )
    if k >= min(len(measured), len(model)):
        return f"{note}; k + 1 = {k + 1} exceeds the number of images shown."
    return f"{note}; λ at k + 1 = {k + 1} is {measured[k]:.2g} against {model[k]:.2g}."


def pair_groups(condition: Condition) -> dict[str, NDArray[np.bool_]]:
    """Masks over the upper triangle: same class, difficult pairs, other different-class pairs."""
    labels, hard = condition.evidence["labels"], condition.evidence["difficult"]
    upper = np.triu(np.ones((len(labels), len(labels)), dtype=bool), 1)
    same = labels[:, None] == labels
    both = hard[:, None] & hard & ~same
    return {
        "same class": upper & same,
        "difficult pairs": upper & both,
        "other classes": upper & ~same & ~both,
    }


def band_of(condition: Condition, similarities: NDArray[np.float64], band: str) -> tuple[float, float]:
    """Similarities between which the selector's band lies, from high to low."""
    plan = condition.plans["warmup"]
    values = similarities[np.triu_indices(len(similarities), 1)]
    if band == "auto":
        import torch

        from empirical.selection import self_set_band

        low, high = (end.item() for end in self_set_band(torch.from_numpy(values)[None]))
        return high, min(low, high)
    low_share = plan.pos_low if band == "theory" else 1.0
    high, low = np.quantile(values, [1 - plan.pos_high, 1 - low_share])
    return float(high), float(low)


def histogram_figure(condition: Condition, similarities: NDArray[np.float64], band: str) -> tuple[str, str]:
    """Similarity histograms of the three groups with the selected band; what the band contains."""
    groups = pair_groups(condition)
    high, low = band_of(condition, similarities, band)
    figure, (axis,) = _figure(6.4, 3.2)
    values = similarities[groups["other classes"] | groups["same class"] | groups["difficult pairs"]]
    bins = np.linspace(float(np.quantile(values, 0.0005)), float(values.max()), 80)
    colours = {"same class": GREEN, "other classes": BLUE, "difficult pairs": ORANGE}
    for name, colour in colours.items():
        if groups[name].any():
            share = similarities[groups[name]]
            axis.hist(share, bins=bins, density=True, histtype="step", color=colour, lw=1.6, label=name)
    axis.axvspan(low, high, color=PURPLE, alpha=0.25, lw=0, label=f"band ({band})")
    axis.set_xlabel("cosine similarity before the projector")
    axis.set_ylabel("density")
    axis.legend(frameon=False, fontsize=9)
    flagged = (similarities <= high) & (similarities > low)
    inside = {name: int((flagged & mask).sum()) for name, mask in groups.items()}
    total = max(1, sum(inside.values()))
    every = {name: int(mask.sum()) for name, mask in groups.items()}
    base = every["difficult pairs"] / max(1, sum(every.values()))
    note = (
        f"The band holds cosines from {low:.3f} to {high:.3f}: {inside['same class'] / total:.1%} of its pairs are of "
        f"one class, {inside['difficult pairs'] / total:.1%} are difficult by the probe ({base:.1%} of all pairs are)."
    )
    return _embed(figure), note


def gallery(condition: Condition, similarities: NDArray[np.float64], band: str) -> list[dict[str, str]]:
    """The most similar pairs of different classes, no image twice."""
    labels, images = condition.evidence["labels"], condition.evidence["images"]
    names = condition.evidence["class_names"]
    high, low = band_of(condition, similarities, band)
    rows, columns = np.nonzero(np.triu(labels[:, None] != labels, 1))
    values = similarities[rows, columns]
    candidates = np.argsort(-values)[: 200 * GALLERY]
    used: set[int] = set()
    shown = []
    for index in candidates:
        i, j = int(rows[index]), int(columns[index])
        if i in used or j in used:
            continue
        used |= {i, j}
        cosine = float(values[index])
        where = "taken for one class" if cosine > high else ("in the band" if cosine > low else "below the band")
        shown.append(
            {
                "left": _image(images[i]),
                "right": _image(images[j]),
                "names": f"{names[labels[i]]} / {names[labels[j]]}",
                "cosine": f"{cosine:.3f}",
                "where": where,
            }
        )
        if len(shown) == GALLERY:
            break
    return shown


def _image(pixels: NDArray[np.uint8]) -> str:
    from PIL import Image

    array = pixels.transpose(1, 2, 0)
    picture = Image.fromarray(array[..., 0] if array.shape[-1] == 1 else array)
    buffer = io.BytesIO()
    picture.resize((64, 64), Image.Resampling.NEAREST).save(buffer, format="PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def scatter_figure(summary: dict[str, Any]) -> str | None:
    """Measured error against the excess of the predicted bound over its clean value."""
    rows = [r for r in summary["predicted_against_measured"] if None not in (r["bound"], r["measured_error"])]
    if not rows:
        return None
    figure, (axis,) = _figure(6.4, 3.6)
    markers = dict(zip([name for name, arm in ARMS.items() if arm.theorem], "osD^v", strict=False))
    colours = dict(zip(sorted({r["omega"] for r in rows}), (BLUE, ORANGE, GREEN, PURPLE, GREY), strict=False))
    for r in rows:
        colour = colours.get(r["omega"], GREY)
        label = f"{r['arm'].replace('_', ' ')}, ω = {r['omega']:g}"
        axis.plot(r["bound"], r["measured_error"], markers[r["arm"]], color=colour, label=label, alpha=0.85)
    axis.set_xlabel("predicted bound (not clipped)")
    axis.set_ylabel("measured probe error")
    axis.ticklabel_format(axis="x", useOffset=False)
    axis.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return _embed(figure)


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
        histogram, histogram_note = histogram_figure(condition, similarities, experiment.band)
        sections.append(
            {
                "omega": condition.omega,
                "verdict": verdict(condition.profiles["warmup"], condition.plans["warmup"]),
                "profile_rows": _profile_rows(condition),
                "delta": condition.profiles["warmup"].delta,
                "violations": [
                    f"{_row_name(name, violation.partition(':')[0])}{violation[violation.index(':') :]}"
                    for name, profile in condition.profiles.items()
                    for violation in profile.violations
                ],
                "warnings": condition.profiles["warmup"].warnings,
                "plan": condition.plans["warmup"],
                "bounds": {pairing: _bound_rows(condition, pairing) for pairing in ("matched", "block")},
                "bound_reasons": {
                    pairing: reason
                    for pairing in ("matched", "block")
                    if (reason := condition.plans["warmup"].reasons.get(f"{pairing} bounds"))
                },
                "spectrum": spectrum_picture,
                "spectrum_note": spectrum_note,
                "histogram": histogram,
                "histogram_note": histogram_note,
                "gallery": gallery(condition, similarities, experiment.band),
                "rows": [row for row in summary["table"] if row["omega"] == condition.omega],
                "predictions": [r for r in summary["predicted_against_measured"] if r["omega"] == condition.omega],
            }
        )
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.globals.update(percent=percent, points=points, number=format_number)
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    arms = runs[~runs.arm.isin([*REFERENCES, "warmup"])]
    return template.render(
        experiment=experiment,
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
        classes=conditions[0].profiles["warmup"].classes,
    )


def _profile_rows(condition: Condition) -> list[dict[str, Any]]:
    rows = []
    for name, profile in condition.profiles.items():
        for space, levels in profile.spaces.items():
            cells = [getattr(levels, level) for level in LEVELS]
            gap = levels.gamma.value - levels.beta.value
            rows.append({"name": _row_name(name, space), "cells": cells, "gap": gap})
    return rows


def _row_name(profile: str, space: str) -> str:
    """What a reader calls a feature space of one of the profiles."""
    if profile == "raw_pixels":
        return "raw pixels"
    return f"{'trained' if profile == 'warmup' else 'untrained'} {space}"


def _bound_rows(condition: Condition, pairing: str) -> list[dict[str, Any]]:
    rows = []
    for name, plan in condition.plans.items():
        reason = plan.reasons.get(f"{pairing} bounds")
        rows.append({"name": _row_name(name, "encoder"), "bounds": plan.predictions[pairing], "reason": reason})
    return rows
