"""A prediction in words."""

from __future__ import annotations

from collections.abc import Mapping

from empirical.prediction.gaussian import Prediction
from empirical.prediction.metrics import METRICS
from theory.command import format_number

ASSUMPTION = (
    "It holds for new samples of the distribution of these features, not fitted on their labels, whose classes are "
    "{kinds} in the directions that tell classes apart."
)
KINDS = {1: "Gaussian", 2: "mixtures of two kinds of samples, Gaussian each,"}


def describe(source: str, found: Prediction, labels_per_class: int | None = None, components: int = 1) -> str:
    """Accuracy, κ and what is assumed, as text.

    Parameters
    ----------
    source : str
        Of the features.
    found : Prediction
    labels_per_class : int, optional
        Behind it; None for all labels.
    components : {1, 2}
    """
    labels = "all labels" if labels_per_class is None else f"{labels_per_class} labels a class"
    lines = [f"{source}: {found.dimensions} dimensions, κ = {found.kappa:.3g}, {labels}"]
    if found.accuracy is None or found.low is None or found.high is None:
        lines.append(f"  no number: {found.reason}")
    else:
        shown = (f"{100 * value:.2f} %" for value in (found.accuracy, found.low, found.high))
        lines.append("  predicted accuracy of a linear probe {} [{}, {}]".format(*shown))
        if found.easy is not None and found.difficult is not None and found.difficult_share is not None:
            lines.append(
                f"    easy samples {100 * found.easy:.2f} %, difficult ones {100 * found.difficult:.2f} % "
                f"({100 * found.difficult_share:.0f} % of all)"
            )
        lines.append("  " + ASSUMPTION.format(kinds=KINDS[components]))
    lines += [f"  note: {note}" for note in found.notes]
    return "\n".join(lines)


def describe_metrics(found: Mapping[str, float | None]) -> str:
    """The field's measures as a table: value, which direction is better, whether labels are read."""
    width = max(map(len, found))
    lines = ["", f"  {'measure':<{width}} {'value':>12}   better  labels"]
    for name, value in found.items():
        better = "larger" if METRICS[name].larger_is_better else "smaller"
        labels = "used" if METRICS[name].uses_labels else "not used"
        lines.append(f"  {name:<{width}} {format_number(value, '.5g'):>12}   {better:<7} {labels}")
    return "\n".join(lines)
