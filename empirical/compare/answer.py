"""What an experiment found, in sentences: the answer for a reader who knows nothing of it, and what limits it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from empirical.arms import ARMS
from empirical.compare.presets import Experiment
from empirical.modalities.registry import IMAGES, NAMES
from empirical.statistics import FEWEST_SEEDS, LEVEL, detectable_difference
from theory.checks import printable
from theory.command import format_number

Row = Mapping[str, Any]  # of the summary's table
WORDS = {
    "margin": "the margin",
    "temperature": "the lower temperature",
    "combined": "margin and temperature together",
    "pair_removal": "leaving difficult pairs out",
    "sample_removal": "leaving the most difficult samples out",
    "random_removal": "leaving random samples out",
    "mixed_removal": "leaving the mixed images out",
}
DATA = {
    "digits": "scikit-learn's handwritten digits",
    "cifar10": "CIFAR-10",
    "cifar100": "CIFAR-100",
    "stl10": "STL-10",
}
NUMBERS = ("no", "one", "two")
PLAIN = "plain contrastive learning"
LISTED = 3  # comparisons in a sentence
LONGEST = 40  # signs of a data set's name
SCORES = {"sentences": "score"}  # by the modality: what is judged is an accuracy everywhere else
METRICS = {"encoder_probe": "a linear probe", "encoder_knn": "nearest neighbours"}


def points(value: float | None, sign: bool = True) -> str:
    """A difference of accuracies in percentage points."""
    return format_number(None if value is None else 100 * value, "+.2f" if sign else ".2f")


def named(experiment: Experiment) -> str:
    """What a reader calls the data."""
    kind, _, place = experiment.base.data.partition(":")
    name = DATA.get(kind) or printable(Path(place).name or kind)
    return name if len(name) <= LONGEST else name[: LONGEST - 1] + "…"


def called(arm: str) -> str:
    """What an arm does, in words."""
    return WORDS.get(arm, arm.replace("_", " "))


def is_control(arm: str) -> bool:
    """Whether an arm is there to compare others with: by chance, for all pairs alike, or by what nobody knows."""
    if arm not in ARMS:  # of one's own: a report runs no code
        return False
    return ARMS[arm].drop in ("random", "mixed") or ARMS[arm].select in ("random", "all", "known", "label")


def compared(summary: Mapping[str, Any]) -> list[Row]:
    """The rows of arms that were compared with the baseline."""
    return [row for row in summary["table"] if row.get("difference")]


def stands_out(row: Row) -> bool:
    """Whether a difference is beyond chance, corrected for the number of comparisons."""
    return row["p_holm"] is not None and row["p_holm"] <= LEVEL


def answer(summary: Mapping[str, Any], experiment: Experiment) -> str:
    """Which remedy helped by how much, or what this experiment could not have seen.

    Parameters
    ----------
    summary : mapping
        Of ``empirical.compare.results.summarise``.
    experiment : Experiment
    """
    rows, place = compared(summary), f"On {named(experiment)}"
    if not rows:
        lonely = len(experiment.arms) == 1
        return f"{place} nothing was compared: {'only the baseline was trained' if lonely else 'no remedy applied'}."
    if experiment.seeds < FEWEST_SEEDS:
        return f"{place} {_too_few(rows, summary, experiment)}"
    if not any(map(stands_out, rows)):
        return f"{place} no remedy is shown to help or to harm: {_nothing(rows, summary, experiment)}"
    return f"{place}, over {experiment.seeds} seeds (repetitions), {_something(rows, summary, experiment)}"


def _too_few(rows: Sequence[Row], summary: Mapping[str, Any], experiment: Experiment) -> str:
    row = next((row for row in rows if row["arm"] == "combined"), rows[0])
    runs = f"{NUMBERS[experiment.seeds]} run{'s' * (experiment.seeds > 1)} of each arm"
    values = " and ".join(points(value) for value in row["differences"])
    return (
        f"{runs} cannot tell a remedy from chance: {_gave(row, experiment, values)} against {PLAIN} "
        f"({_baseline(summary, experiment)}); three seeds or more would give an interval."
    )


def _nothing(rows: Sequence[Row], summary: Mapping[str, Any], experiment: Experiment) -> str:
    over, base = f"over {experiment.seeds} seeds (repetitions)", f"{PLAIN} ({_baseline(summary, experiment)})"
    if len(rows) == 1:
        gave = _gave(rows[0], experiment, points(rows[0]["difference"]["value"]))
        return f"{over} {gave} against {base}, within chance{_unseen(rows, 1, ', and a true difference')}."
    return (
        f"{over} none of {len(rows)} differences from {base} stands out from chance"
        f"{_unseen(rows, len(rows), ', and true differences')}."
    )


def _something(rows: Sequence[Row], summary: Mapping[str, Any], experiment: Experiment) -> str:
    found = sorted(filter(stands_out, rows), key=lambda row: -abs(row["difference"]["value"]))
    up, down = (
        [row for row in found if not is_control(row["arm"]) and (row["difference"]["value"] > 0) == better]
        for better in (True, False)
    )
    parts = ["no remedy is shown to help"] if not up else [f"this helps: {_listed(up, experiment)}"]
    parts += [f"this harms: {_listed(down, experiment)}"] if down else []
    controls = [row for row in found if is_control(row["arm"])]
    parts += [f"of the controls, {_listed(controls, experiment)}"] if controls else []
    among = f" among {len(rows)} comparisons" if len(rows) > 1 else ""
    rest = [row for row in rows if not stands_out(row)]
    others = "the other one, a true difference" if len(rest) == 1 else f"the other {len(rest)}, true differences"
    unseen = _unseen(rest, len(rows), f"; in {others}")
    return f"{'; '.join(parts)}, against {PLAIN} ({_baseline(summary, experiment)}) and beyond chance{among}{unseen}."


def _listed(rows: Sequence[Row], experiment: Experiment) -> str:
    shown = [_gave(row, experiment, points(row["difference"]["value"]), "") for row in rows[:LISTED]]
    more = len(rows) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def _gave(row: Row, experiment: Experiment, values: str, verb: str = "gave ") -> str:
    where = f" at ω = {row['omega']:g}" if len(experiment.omegas) > 1 else ""
    return f"{called(row['arm'])} {verb}{values} points{where}"


def _unseen(rows: Sequence[Row], family: int, words: str) -> str:
    """That less than so much would have gone unseen in these of a family of comparisons; empty if that is not known."""
    found = detectable(rows, family)
    if found is None:
        return ""
    low, high = (format_number(100 * size, ".2g") for size in found)
    ends = f" (in the steadiest comparison; {high} in the least steady)" if low != high else ""
    return f"{words} of less than about {low} points{ends} would probably have gone unseen"


def detectable(rows: Sequence[Row], family: int) -> tuple[float, float] | None:
    """The smallest and the largest true difference that the comparisons find four times in five, each one of a family.

    Parameters
    ----------
    rows : sequence of Row
    family : int
        Comparisons among which one is not to be found by chance.
    """
    sizes = [detectable_difference(row["differences"], level=LEVEL / family) for row in rows if row["detectable"]]
    known = [size for size in sizes if size is not None]
    return (min(known), max(known)) if known else None


def score(experiment: Experiment) -> str:
    """What the probe gives: an accuracy, or what another kind of data is judged by."""
    modality = experiment.base.modality
    return SCORES.get(modality, "accuracy") if modality in NAMES else "score"


def _baseline(summary: Mapping[str, Any], experiment: Experiment) -> str:
    values = [100 * row["encoder_probe"]["value"] for row in summary["table"] if row["arm"] == "baseline"]
    ends = dict.fromkeys(f"{value:.1f}" for value in (min(values), max(values)))
    return f"{score(experiment)} {' to '.join(ends)} %"


def cautions(summary: Mapping[str, Any], experiment: Experiment) -> list[str]:
    """What keeps a reader from taking the answer for more than it is: references that do as well as the baseline."""
    by = {(row["omega"], row["arm"]): row for row in summary["table"]}
    judges = METRICS if experiment.base.modality == IMAGES else {"encoder_probe": f"the {score(experiment)}"}
    kinds = {
        "raw_pixels": ("raw pixels", "images too easy, or training too short, to say much about others"),
        "untrained": ("an untrained network", "training gained nothing here"),
    }
    found: dict[str, str] = {}
    for (omega, arm), row in by.items():
        for metric, judge in judges.items():
            reference, baseline = row.get(metric), by[omega, "baseline"].get(metric)
            if arm not in kinds or arm in found or not reference or not baseline:
                continue
            ends = reference["value"], baseline["value"]
            if ends[0] >= ends[1]:
                values = " against ".join(f"{100 * end:.1f}" for end in ends)
                words, so = kinds[arm]
                found[arm] = f"By {judge}, {words} did as well as the trained baseline, or better ({values} %): {so}."
    return list(found.values())
