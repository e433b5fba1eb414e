"""What a study found: tables and a verdict on each claim.

Reads what ``python -m empirical.study … --publish STEM`` wrote.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from empirical.evaluate.protocol import Protocol
from empirical.published import read_published
from empirical.statistics import (
    WITHIN_NOISE,
    Mean,
    RankCorrelation,
    detectable_difference,
    judge,
    mean_interval,
    paired,
    rank_correlation,
)
from empirical.study.parts import PARTS
from empirical.study.study import SCHEMA, conditions_by_name
from theory.command import format_number, markdown_table
from theory.sizes import LABELS, OPTIMUM, PERFECT, THEOREM

PRIMARY = "encoder_probe"
FEWEST_SEEDS = 3  # two leave an interval of a dozen points
MIXED = {"baseline": 0.0, "omega-0.1": 0.1, "omega-0.2": 0.2, "omega-0.3": 0.3}
PAPER_MIXED = (88.3, 88.0, 87.7, 86.2)  # ω = 0, 10, 20, 30 % (P, Table 10)
PREDICTORS = {
    "bound_matched": "difficult bound of the run's own graph, matched",
    "bound_block": "the same, block",
    "lambda_matched": "λₖ₊₁ of its three-level model, matched",
    "lambda_measured": "λₖ₊₁ of its measured similarities",
    "delta": "labelling error δ̂ alone",
    "gap": "γ̂ − β̂ before the projector",
}
NUMBERS = ("seed", PRIMARY, "encoder_gamma", "encoder_beta", *(name for name in PREDICTORS if name != "gap"))
SWEPT = {"tau": "τ", "batch": "batch of"}  # settings, which are also parts of the study
REPRODUCED, CONTRADICTED, NOISE, UNTESTED = "reproduced", "not reproduced", WITHIN_NOISE, "not tested"


@dataclass(frozen=True)
class Claim:
    """A statement that one condition has a larger value than another.

    Parameters
    ----------
    text : str
    larger, smaller : str
        Conditions of ``empirical.study``.
    published : str
        What the source reports on CIFAR-10, in points of accuracy (P: Tables 1 to 4, 7, 10); empty if nothing. Its
        losses and settings are not those of the study: it flags positives too and removes a pair by a logit of 0.
    value : str
        The column that is compared; ``gap`` is γ̂ − β̂ before the projector.
    """

    text: str
    larger: str
    smaller: str
    published: str = ""
    value: str = PRIMARY


CLAIMS = (
    Claim("mixed images lower the accuracy (ω = 30 % against 0)", "baseline", "omega-0.3", "2.1"),
    Claim("removing the mixed images raises it again (ω = 30 %)", "omega-0.3-mixed_removal", "omega-0.3"),
    Claim("mixed images raise γ̂ − β̂", "omega-0.3", "baseline", value="gap"),
    Claim("mixed images raise λₖ₊₁ of the measured similarities", "omega-0.3", "baseline", value="lambda_measured"),
    Claim("the margin helps", "margin", "baseline", "0.90"),
    Claim("the temperature helps", "temperature", "baseline", "0.98"),
    Claim("margin and temperature together help", "combined", "baseline", "1.42"),
    Claim("removing difficult samples helps", "sample_removal", "baseline"),
    Claim("removing difficult samples beats removing random ones", "sample_removal", "random_removal"),
    Claim("removing difficult pairs helps", "pair_removal", "baseline", "0.77"),
    Claim("ADNCE beats InfoNCE (Wu et al.)", "adnce", "baseline"),
    Claim("HCL beats InfoNCE (Robinson et al.)", "hcl", "baseline"),
    Claim("the debiased loss beats InfoNCE (Chuang et al.)", "debiased", "baseline"),
    Claim("selection before the projector beats selection after it", "combined", "combined_projector", "1.82"),
    Claim("selected pairs beat random ones", "combined", "combined_random"),
    Claim("the margin on selected pairs beats that on all", "margin", "margin_all", "0.64"),
    Claim("the temperature on selected pairs beats that on all", "temperature", "temperature_all", "0.86"),
)

# --- numbers ---------------------------------------------------------------------------------------


def load(stem: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The table and the summary of a study; ParameterError if they are not there."""
    runs, summary = read_published(stem, SCHEMA, *NUMBERS)
    return runs.assign(gap=runs.encoder_gamma - runs.encoder_beta), summary


def by_seed(runs: pd.DataFrame, condition: str, value: str = PRIMARY) -> pd.Series[float]:
    """A column of a condition's runs, by seed."""
    chosen = runs[runs.condition == condition].set_index("seed")[value]
    return chosen.dropna().sort_index()


def differences(runs: pd.DataFrame, larger: str, smaller: str, value: str = PRIMARY) -> list[float]:
    """Paired differences over the seeds that both conditions have."""
    return paired(by_seed(runs, larger, value), by_seed(runs, smaller, value))


def verdict(claim: Claim, runs: pd.DataFrame) -> tuple[str, Mean | None, float | None]:
    """The verdict on a claim, the mean paired difference, and the smallest difference that could be seen."""
    found = differences(runs, claim.larger, claim.smaller, claim.value)
    if len(found) < FEWEST_SEEDS:
        return UNTESTED, None, None
    mean = mean_interval(found)
    return judge(mean.low, mean.high, REPRODUCED, CONTRADICTED), mean, detectable_difference(found)


def by_condition(runs: pd.DataFrame, prediction: str) -> pd.DataFrame:
    """Means over the seeds of a prediction and of the measured ``error``: one row a trained condition.

    Runs without the prediction are left out.
    """
    chosen = runs[runs.arm != "untrained"].dropna(subset=prediction)
    chosen = chosen.assign(error=1 - chosen[PRIMARY])
    return chosen.groupby("condition", sort=False)[[prediction, "error"]].mean()


def correlation(runs: pd.DataFrame, prediction: str) -> RankCorrelation:
    """Rank correlation of a prediction with the measured error; every condition has a measured graph of its own."""
    means = by_condition(runs, prediction)
    return rank_correlation(means[prediction].tolist(), means.error.tolist(), range(len(means)))


# --- tables ----------------------------------------------------------------------------------------


def interval(
    values: Sequence[float] | pd.Series[float], scale: float = 100, digits: int = 2, sign: bool = False
) -> str:
    """A mean with its 95 % interval; a dash without values."""
    if not len(values):
        return "—"
    mean = mean_interval(list(values))
    plus = "+" if sign else ""
    text = f"{scale * mean.value:{plus}.{digits}f}"
    if mean.low is None or mean.high is None:
        return text
    return f"{text} [{scale * mean.low:{plus}.{digits}f}, {scale * mean.high:{plus}.{digits}f}]"


def verdicts(runs: pd.DataFrame, _: dict[str, Any]) -> str:
    """Every claim with its verdict."""
    rows = []
    for claim in CLAIMS:
        word, mean, smallest = verdict(claim, runs)
        found = differences(runs, claim.larger, claim.smaller, claim.value)
        points = claim.value == PRIMARY
        scale, digits = (100, 2) if points else (1, 5)
        unit = " points" if points else ""
        seen = interval(found, scale, digits, sign=True) + unit if mean else "—"
        limit = f"{scale * smallest:.{digits}f}" if smallest is not None else "—"
        published = f"+{claim.published}" if claim.published else "—"
        if claim.published and mean and not _holds(mean, float(claim.published) / 100):
            published += ", outside the interval"
        rows.append((claim.text, f"**{word}**", seen, limit, str(len(found)), published))
    header = ("claim", "verdict", "difference", "smallest detectable", "seeds", "published, points")
    return markdown_table(header, rows)


def _holds(mean: Mean, value: float) -> bool:
    """Whether a value lies in the interval of a mean."""
    return mean.low is not None and mean.high is not None and mean.low <= value <= mean.high


def headline(runs: pd.DataFrame, _: dict[str, Any]) -> str:
    """The claims by verdict, one line each."""
    by_word: dict[str, list[str]] = {word: [] for word in (REPRODUCED, CONTRADICTED, NOISE, UNTESTED)}
    for claim in CLAIMS:
        by_word[verdict(claim, runs)[0]].append(claim.text)
    lines = [
        f"- **{word}** ({len(texts)} of {len(CLAIMS)}): {'; '.join(texts)}" for word, texts in by_word.items() if texts
    ]
    return "\n".join(lines)


def accuracies(runs: pd.DataFrame, _: dict[str, Any]) -> str:
    """Every condition that has run: accuracies and the difference to the baseline."""
    rows = []
    for name in conditions_by_name():
        chosen = runs[runs.condition == name]
        if chosen.empty:
            continue
        cells = [interval(by_seed(runs, name, column)) for column in (PRIMARY, "encoder_knn", "projector_probe")]
        change = "—" if name == "baseline" else interval(differences(runs, name, "baseline"), sign=True)
        rows.append((f"`{name}`", str(len(chosen)), *cells, change))
    return markdown_table(
        ("condition", "seeds", "encoder probe, %", "kNN, %", "projector probe, %", "probe − baseline"), rows
    )


def variants(part: str) -> Callable[[pd.DataFrame, dict[str, Any]], str]:
    """A table of a part's variants of the remedies, each beside the baseline and beside the remedy as derived."""

    def build(runs: pd.DataFrame, _: dict[str, Any]) -> str:
        rows = []
        for condition in PARTS[part].conditions:
            chosen, derived = runs[runs.condition == condition.name], condition.arm.split("_")[0]
            if chosen.empty or condition.arm == "baseline":
                continue
            values = [format_number(chosen[name].iloc[0], ".4f") for name in ("sigma", "rho")]
            flagged = f"{100 * chosen.train_flagged_share.mean():.2f}"
            changes = [interval(differences(runs, condition.name, other), sign=True) for other in ("baseline", derived)]
            if condition.name == derived:
                changes[1] = "—"
            seeds = str(len(differences(runs, condition.name, "baseline")))
            rows.append((f"`{condition.name}`", *values, flagged, seeds, *changes))
        header = ("condition", "σ", "ρ", "flagged pairs, %", "seeds", "probe − baseline", "probe − as derived")
        return markdown_table(header, rows)

    return build


def sweeps(runs: pd.DataFrame, summary: dict[str, Any]) -> str:
    """Baseline and combined at other temperatures of the loss and other batch sizes."""
    rows = []
    for setting, words in SWEPT.items():
        arms = swept(setting, summary["settings"][setting])
        for value, (baseline, combined) in arms.items():
            change = differences(runs, combined, baseline)
            cells = [interval(by_seed(runs, name)) for name in (baseline, combined)]
            rows.append((f"{words} {value:g}", *cells, interval(change, sign=True), str(len(change))))
    return markdown_table(("setting", "baseline, %", "combined, %", "combined − baseline", "seeds"), rows)


def swept(setting: str, base: float) -> dict[float, tuple[str, str]]:
    """The conditions of baseline and combined by the setting's value, which is ``base`` in all other parts."""
    found: dict[float, dict[str, str]] = {}
    for condition in PARTS[setting].conditions:
        found.setdefault(condition.settings.get(setting, base), {})[condition.arm] = condition.name
    return {value: (found[value]["baseline"], found[value]["combined"]) for value in sorted(found)}


def mixed(runs: pd.DataFrame, _: dict[str, Any]) -> str:
    """Accuracy and the measured graph over ω."""
    rows = []
    for (name, omega), paper in zip(MIXED.items(), PAPER_MIXED, strict=True):
        levels = [interval(by_seed(runs, name, f"encoder_{level}"), 1, 3) for level in ("alpha", "beta", "gamma")]
        gap = interval(by_seed(runs, name, "gap"), 1, 4)
        eigenvalue = interval(by_seed(runs, name, "lambda_measured"), 1000, 3)
        delta = interval(by_seed(runs, name, "delta"), 1, 3)
        rows.append((f"{omega:.0%}", interval(by_seed(runs, name)), *levels, gap, eigenvalue, delta, f"{paper}"))
    header = ("ω", "encoder probe, %", "α̂", "β̂", "γ̂", "γ̂ − β̂", "10³·λₖ₊₁ measured", "δ̂", "published, %")
    return markdown_table(header, rows)


def bounds(runs: pd.DataFrame, _: dict[str, Any]) -> str:
    """Rank correlation of each prediction with the measured error over the conditions."""
    rows = []
    for column, words in PREDICTORS.items():
        found, conditions = correlation(runs, column), len(by_condition(runs, column))
        if found.rho is None:
            rows.append((words, str(conditions), found.reason or "—", "—"))
        else:
            text = f"{found.rho:+.2f} [{found.low:+.2f}, {found.high:+.2f}]"
            assert found.p_value is not None
            p = "< 0.001" if found.p_value < 0.001 else f"{found.p_value:.3f}"
            rows.append((words, str(conditions), text, p))
    return markdown_table(("prediction of the error", "conditions", "rank correlation", "p"), rows)


def setup(runs: pd.DataFrame, summary: dict[str, Any]) -> str:
    """What all runs share, in words."""
    settings, environment = summary["settings"], summary["environment"]
    protocol = Protocol.from_json(summary.get("protocol"))
    images = {name: "all" if settings[name] is None else f"{settings[name]:,}" for name in ("train", "test")}
    return (
        f"{len(runs)} runs on {settings['data']}: {images['train']} training images, {images['test']} test images; "
        f"{settings['encoder']} of width {settings['width']}, stem stride {settings['stem_stride']}, "
        f"k = {settings['dim']}; {settings['loss']} at τ = {settings['tau']:g}; batches of {settings['batch']}, "
        f"{settings['epochs']} epochs of {settings['optimizer']}, learning rate {settings['lr']:g} "
        f"({settings['schedule']}), {settings['precision']}; "
        f"torch {environment['versions']['torch']} on {environment['device']}. "
        f"Protocol {protocol.probe}: {protocol.words}."
    )


def derived(_: pd.DataFrame, summary: dict[str, Any]) -> str:
    """What the theory derived from the pilot run, and the measurement behind it."""
    plan, profile = summary["plan"], summary["profile"]
    rows = []
    for space, levels in profile["spaces"].items():
        cells = [f"{levels[level]['value']:.4f}" for level in ("alpha", "beta", "gamma", "epsilon")]
        rows.append((space, *cells))
    names = {"margin_sigma": "σ*", "temperature_rho": "ρ*", "pos_high": "band from", "pos_low": "band to"}
    values = plan.get(THEOREM, {}) | plan  # before plan/3 the theorems' sizes were the only ones
    entries = [f"{words} {format_number(values[name], '.4g')}" for name, words in names.items()]
    for source in (OPTIMUM, PERFECT) if THEOREM in plan else ():
        sigma, rho = (format_number(plan[source][name], ".4g") for name in ("margin_sigma", "temperature_rho"))
        entries.append(f"{LABELS[source]} σ {sigma} and ρ {rho}")
    delta = profile["delta"]["value"]
    return markdown_table(("space", "α̂", "β̂", "γ̂", "ε̂"), rows) + f"\n\nδ̂ = {delta:.3f}; " + ", ".join(entries) + "."


def stability(_: pd.DataFrame, summary: dict[str, Any]) -> str:
    """How well a batch's band agrees with that of all pairs."""
    rows = [
        (str(row["batch"]), f"{row['low_spread']:.4f}", f"{row['agreement']:.2f}")
        for row in summary["selection_stability"]
    ]
    return markdown_table(("batch", "spread of the band's lower end", "agreement of the flagged pairs"), rows)


def open_parts(runs: pd.DataFrame, summary: dict[str, Any]) -> str:
    """How many runs of its own conditions, those of no earlier part, each part has; what is not applicable."""
    impossible: dict[str, str] = summary["not_applicable"]
    rows, seen = [], set(impossible)
    for name, part in PARTS.items():
        own = {condition.name for condition in part.conditions} - seen
        seen |= own
        done = int((runs.condition.isin(own) & (runs.seed < part.seeds)).sum())
        if own:
            rows.append((f"`{name}`", part.question, f"{done} of {part.seeds * len(own)}"))
    found = markdown_table(("part", "question", "runs of conditions that no part above has"), rows)
    reasons = "; ".join(f"`{name}`: {reason}" for name, reason in impossible.items())
    return f"{found}\n\nNot applicable: {reasons}." if reasons else found


TABLES: dict[str, Callable[[pd.DataFrame, dict[str, Any]], str]] = {
    "setup": setup,
    "headline": headline,
    "verdicts": verdicts,
    "derived": derived,
    "mixed": mixed,
    "accuracies": accuracies,
    "strength": variants("strength"),
    "controls": variants("controls"),
    "sweeps": sweeps,
    "bounds": bounds,
    "stability": stability,
    "parts": open_parts,
}
