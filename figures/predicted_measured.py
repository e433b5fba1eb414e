"""Predicted against measured: the bound and λₖ₊₁ of each condition's own measured graph, and its probe error.

    python -m figures.predicted_measured

from results/cifar10_cpu.csv, which ``python -m empirical.study … --publish results/cifar10_cpu`` writes. Points are
means over seeds with 95 % t-intervals (where the points are; the longest go on outside), without the untrained encoder,
which is far off. Each panel has the runs with a value of its prediction. The rank correlation is the results page's.
"""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from empirical.findings.claims import correlation
from figures import study, style
from theory import palette

PREDICTIONS = {
    "bound_matched": "bound, matched pairs\n(an error is at most 1)",
    "lambda_measured": r"measured $\lambda_{k+1}$",
}
ROLES = {  # words in an arm's name, and the name of its colour
    "random": "random control",
    "combined": "combined",
    "margin": "margin",
    "temperature": "temperature",
    "removal": "removal",
    "baseline": "baseline",
}
OTHER = "other losses"
NAMED = 8  # conditions of the largest error, whose settings are written beside them


LETTER, HIGH, MARK = 0.0135, 0.044, (0.016, 0.012)  # of the panel: half a letter, a line, half a point
SYMBOLS = {"tau-": "τ = ", "omega-": "ω = ", "batch-": "batch ", "temperature-x": "ρ × "}


def data() -> pd.DataFrame:
    """The runs of trained encoders, with their error."""
    return table(study.runs())


def table(runs: pd.DataFrame) -> pd.DataFrame:
    """What ``data`` gives, from all runs."""
    chosen = runs[runs.arm != "untrained"]
    return chosen.assign(error=1 - chosen.encoder_probe)


def caption(runs: pd.DataFrame) -> str:
    """What to see."""
    errors = study.intervals(runs, "error").value
    bound, eigenvalue = (correlation(runs, column).rho or 0.0 for column in PREDICTIONS)
    return (
        f"Each point is one of {len(errors)} conditions. The bound orders them as they came out "
        f"({style.signed(bound, 2)}, left), by its labelling error; the eigenvalue that the theory is about orders "
        f"them the other way round ({style.signed(eigenvalue, 2)}, right). What moves the error is the loss's "
        "temperature τ and the batch size, not the remedies, which lie in the cloud at the bottom."
    )


@style.styled
def draw(runs: pd.DataFrame) -> Figure:
    """One panel a prediction."""
    arms = runs.groupby("condition", sort=False).arm.first()
    figure = style.figure(5.8)
    panels = figure.subplots(1, len(PREDICTIONS), sharey=True)
    errors = study.intervals(runs, "error").value
    for plot, (column, title) in zip(panels, PREDICTIONS.items(), strict=True):
        shown = runs.dropna(subset=column)
        x, y = study.intervals(shown, column), study.intervals(shown, "error")
        for role in (*reversed(ROLES.values()), OTHER):
            of_role = [condition for condition in x.index if _role(arms[condition]) == role]
            colour = palette.of(role)
            if of_role:
                options = {
                    "color": colour,
                    "ecolor": (colour, 0.25),
                    "ls": "",
                    "mec": palette.GROUND,
                    "mew": 0.6,
                    "ms": 7,
                }
                study.points(plot, x.loc[of_role], y.loc[of_role], label=role, **options)
        found = correlation(shown, column)
        note = found.reason
        if found.rho is not None:
            note = f"{style.signed(found.rho, 2)} [{style.signed(found.low, 2)}, {style.signed(found.high, 2)}]"
        plot.set(xlabel=title, title=f"rank correlation {note}")
        plot.xaxis.set_major_locator(MaxNLocator(4))
        plot.set_xlim(_range(x.value))
        plot.set_ylim(_range(errors))
        _name(plot, x.value, errors)
    panels[0].set(ylabel="measured error of the linear probe")
    handles = {label: handle for handle, label in zip(*panels[0].get_legend_handles_labels(), strict=True)}
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=4)
    return figure


def _name(plot: Any, x: pd.Series, errors: pd.Series) -> None:
    """The settings of the conditions that err most, above their points, or where there is room."""
    (left, right), (bottom, top) = plot.get_xlim(), plot.get_ylim()
    largest = errors[x.index].nlargest(NAMED).index
    settings = [condition.removesuffix("-baseline").removesuffix("-combined") for condition in largest]
    across, up = (x[largest] - left) / (right - left), (errors[largest] - bottom) / (top - bottom)
    together = pd.DataFrame({"setting": settings, "x": across, "y": up})
    taken = [(point.x, point.y, *MARK) for point in together.itertuples()]
    for setting, points in together.groupby("setting", sort=False):
        words = str(setting).replace("_", " ")
        for name, symbol in SYMBOLS.items():
            words = words.replace(name, symbol)
        middle, wide = points.x.mean(), LETTER * len(words)
        places = [
            (middle, points.y.max() + HIGH),
            (middle, points.y.min() - HIGH),
            (points.x.max() + MARK[0] + wide, points.y.mean()),
            (points.x.min() - MARK[0] - wide, points.y.mean()),
        ]
        free = [place for place in places if not any(_meet((*place, wide, HIGH / 2), other) for other in taken)]
        place = (free or places)[0]
        plot.text(*place, words, transform=plot.transAxes, ha="center", va="center")
        taken.append((*place, wide, HIGH / 2))
    plot.set(xlim=(left, right), ylim=(bottom, top))


def _meet(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    """Whether two boxes overlap: middle across and up, half a width and half a height."""
    return abs(one[0] - other[0]) < one[2] + other[2] and abs(one[1] - other[1]) < one[3] + other[3]


def _range(values: pd.Series) -> tuple[float, float]:
    """From the least to the greatest value, and a sixth more on both sides."""
    low, high = values.min(), values.max()
    room = (high - low) / 6 or 1e-3
    return low - room, high + room


def _role(arm: str) -> str:
    return next((role for word, role in ROLES.items() if word in arm), OTHER)


if __name__ == "__main__":
    from figures.__main__ import main

    raise SystemExit(main(["predicted_measured"]))
