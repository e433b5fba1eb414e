"""The pictures of a report, in the colours of its style."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from empirical.arms import Given, band_shares
from empirical.compare.answer import score, stands_out
from empirical.compare.presets import Experiment
from empirical.compare.results import Condition
from empirical.pages import style, svg, thumbnail
from theory.checks import ParameterError
from theory.palette import BAND, DARK_GREY, DIFFICULT, EASY, GROUND, MEASURED, PREDICTED, SAME_CLASS, of
from theory.params import SixLevels
from theory.plan import Profile
from theory.spectrum import spectrum
from theory.worlds import unit_rows

if TYPE_CHECKING:
    from markupsafe import Markup

GALLERY = 12
SHOWN_EIGENVALUES = 40

# --- figures ---------------------------------------------------------------------------------------


def _figure(width: float, height: float) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axis = figure.add_subplot()
    axis.spines[["top", "right"]].set_visible(False)
    return figure, axis


def difference_figures(experiment: Experiment, summary: dict[str, Any]) -> dict[float, Markup]:
    """By ω, the differences to the baseline with their intervals, or each of one or two; filled beyond chance."""
    arms = [arm for arm in experiment.arms if arm != "baseline"]
    rows = {(row["omega"], row["arm"]): row for row in summary["table"]}
    seen = [row for row in rows.values() if row.get("difference")]
    ends = [end for row in seen for end in (row["difference"]["low"], row["difference"]["high"]) if end is not None]
    ends += [value for row in seen for value in row["differences"] if row["difference"]["low"] is None]
    reach = 110 * max(map(abs, ends), default=0.01) or 1
    found = {}
    for omega in experiment.omegas:
        with style(f"differences {omega!r}"):
            figure, axis = _figure(3.7, 0.29 * len(arms) + 0.85)
            for y, arm in enumerate(arms):
                row = rows[omega, arm]
                if not row.get("difference"):
                    axis.text(0.03 * reach, y, "not applicable", va="center", color=DARK_GREY, fontsize=9)
                    continue
                _draw_difference(axis, y, row, of(arm))
            axis.axvline(0, color=DARK_GREY, lw=1, ls="--", zorder=0)
            axis.set_yticks(range(len(arms)), [arm.replace("_", " ") for arm in arms])
            axis.set_ylim(len(arms) - 0.5, -0.5)
            axis.set_xlim(-reach, reach)
            if len(experiment.omegas) > 1:
                axis.set_title(f"ω = {omega:g}", fontsize=10)
            axis.set_xlabel(f"{score(experiment)} minus baseline, points")
            found[omega] = svg(figure)
    return found


def _draw_difference(axis: Any, y: int, row: dict[str, Any], colour: str) -> None:
    mean = row["difference"]
    filled = {"color": colour, "markerfacecolor": colour if stands_out(row) else GROUND}
    if mean["low"] is None:
        axis.plot([100 * value for value in row["differences"]], [y] * len(row["differences"]), "o", **filled)
        return
    axis.plot([100 * mean["low"], 100 * mean["high"]], [y, y], color=colour, lw=2)
    axis.plot(100 * mean["value"], y, "o", ms=7, mew=1.6, **filled)


def cosine_matrix(condition: Condition) -> NDArray[np.float64]:
    """Cosine similarities of the evidence rows."""
    features = condition.evidence["features"].astype(np.float64)
    unit = unit_rows(features)
    return np.asarray(unit @ unit.T)


def spectrum_figure(condition: Condition, similarities: NDArray[np.float64]) -> tuple[Markup | None, str]:
    """Leading eigenvalues of the measured normalised similarity matrix beside the model's."""
    degrees = similarities.sum(axis=1)
    if degrees.min() <= 0:
        return (
            None,
            "The measured similarity matrix has nodes of negative degree: it has no normalised adjacency.",
        )
    scale = 1 / np.sqrt(degrees)
    measured = np.linalg.eigvalsh(similarities * scale[:, None] * scale)[::-1]
    profile = condition.profiles["pilot"]
    note = f"On {len(degrees)} training samples."
    spectra = {"measured similarities": (measured, "o", MEASURED)}
    try:
        model = model_eigenvalues(profile, np.bincount(condition.evidence["labels"]))
        spectra["six-level model"] = (model, "x", PREDICTED)
        note += " " + _spectrum_note(measured, model, profile)
    except ParameterError as error:
        note += f" The measured levels make no graph: {error}."
    with style(f"spectrum {condition.omega!r}"):
        figure, axis = _figure(6.4, 3.4)
        for label, (values, marker, colour) in spectra.items():
            shown = np.clip(values[:SHOWN_EIGENVALUES], 1e-8, None)
            axis.plot(range(1, len(shown) + 1), shown, marker, color=colour, ms=4.5, label=label)
        axis.set_yscale("log")
        axis.set_xlabel("index j")
        axis.set_ylabel(r"eigenvalue $\lambda_j$")
        axis.legend(frameon=False, fontsize=9)
        return svg(figure), note


def model_eigenvalues(profile: Profile, sizes: NDArray[Any]) -> NDArray[np.float64]:
    """All eigenvalues of the graph with the six measured levels, on classes of these sizes."""
    space = profile.spaces["encoder"]
    n = round(len(sizes) / float((1 / sizes).sum()))
    n_d = min(n, round(n * profile.difficult / profile.samples_per_class))
    modes = spectrum(SixLevels(space.within.values, space.across.values, n, len(sizes), n_d))
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


def band_of(condition: Condition, similarities: NDArray[np.float64], given: Given, data: str) -> tuple[float, float]:
    """Similarities between which the band of our arms lies, from high to low."""
    values = similarities[np.triu_indices(len(similarities), 1)]
    if given.band == "auto":
        import torch

        from empirical.selection import self_set_band

        low, high = (end.item() for end in self_set_band(torch.from_numpy(values)[None]))
        return high, min(low, high)
    shares = band_shares("of the report", condition.plans["pilot"], given, data)
    high, low = np.quantile(values, [1 - share for share in shares])
    return float(high), float(low)


def histogram_figure(
    condition: Condition, similarities: NDArray[np.float64], band: tuple[float, float], name: str
) -> tuple[Markup, str]:
    """Similarity histograms of the three groups with the selected band; what the band contains."""
    groups = pair_groups(condition)
    high, low = band
    values = similarities[groups["other classes"] | groups["same class"] | groups["difficult pairs"]]
    bins = np.linspace(float(np.quantile(values, 0.0005)), float(values.max()), 80)
    colours = {"same class": SAME_CLASS, "other classes": EASY, "difficult pairs": DIFFICULT}
    with style(f"similarities {condition.omega!r}"):
        figure, axis = _figure(6.4, 3.2)
        for kind, colour in colours.items():
            if groups[kind].any():
                share = similarities[groups[kind]]
                axis.hist(share, bins=bins, density=True, histtype="step", color=colour, lw=1.6, label=kind)
        axis.axvspan(low, high, color=BAND, alpha=0.7, lw=1, label=f"band ({name})")
        axis.set_xlabel("cosine similarity before the projector")
        axis.set_ylabel("density")
        axis.legend(frameon=False, fontsize=9)
        drawn = svg(figure)
    flagged = (similarities <= high) & (similarities > low)
    inside = {name: int((flagged & mask).sum()) for name, mask in groups.items()}
    total = max(1, sum(inside.values()))
    every = {name: int(mask.sum()) for name, mask in groups.items()}
    base = every["difficult pairs"] / max(1, sum(every.values()))
    note = (
        f"The band holds cosines from {low:.3f} to {high:.3f}: {inside['same class'] / total:.1%} of its pairs are of "
        f"one class, {inside['difficult pairs'] / total:.1%} are difficult by the probe ({base:.1%} of all pairs are)."
    )
    return drawn, note


# --- pairs -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Shown:
    """A pair of samples as the page shows it.

    Parameters
    ----------
    left, right : str or None
        Images in data addresses; None where there are none.
    texts : tuple of str
        Both samples, if they are texts.
    names : str
        The classes.
    cosine : float
    rank : float
        Share of all pairs that are more alike.
    across, difficult, touched : bool
        Whether the classes differ; whether they do and both samples are difficult by the probe; whether the pair lies
        in the band.
    """

    left: str | None
    right: str | None
    texts: tuple[str, ...]
    names: str
    cosine: float
    rank: float
    across: bool
    difficult: bool
    touched: bool


class Gallery:
    """Pairs of an experiment's evidence by their rank of similarity.

    Parameters
    ----------
    condition : Condition
    similarities : ndarray
        Cosines of its samples, shape (n, n).
    band : tuple of float
        Cosines at which the band of selected pairs begins and ends, from high to low.
    """

    def __init__(self, condition: Condition, similarities: NDArray[np.float64], band: tuple[float, float]) -> None:
        self.evidence, self.similarities, self.band = condition.evidence, similarities, band
        self.first, self.second = np.triu_indices(len(similarities), 1)
        self.values = similarities[self.first, self.second]
        self.sorted = np.sort(self.values)
        labels = self.evidence["labels"]
        self.across = labels[self.first] != labels[self.second]

    @property
    def shows(self) -> str | None:
        """What there is to show of a sample: its image, its text, or nothing."""
        if self.evidence["images"].dtype == np.uint8:
            return "image"
        texts = self.evidence.get("texts")  # of earlier experiments none
        return "text" if texts is not None and len(texts) else None

    def in_band(self) -> list[Shown]:
        """Pairs of the band, evenly by rank, none of whose samples is in two of them."""
        high, low = self.band
        inside = np.flatnonzero((self.values <= high) & (self.values > low))
        order = inside[np.argsort(-self.values[inside], kind="stable")]
        parts = np.array_split(order, min(GALLERY, len(order)) or 1)
        return self._chosen([part[np.argsort(abs(np.arange(len(part)) - len(part) // 2))] for part in parts])

    def most_alike(self) -> list[Shown]:
        """The most alike pairs of different classes, none of whose samples is in two of them."""
        across = np.flatnonzero(self.across)
        order = across[np.argsort(-self.values[across], kind="stable")]
        return self._chosen([order[: 200 * GALLERY]] * GALLERY)

    def _chosen(self, parts: list[NDArray[Any]]) -> list[Shown]:
        """Of each part the first pair whose samples are new."""
        used: set[int] = set()
        found = []
        for part in parts:
            for place in part.tolist():
                ends = {int(self.first[place]), int(self.second[place])}
                if not used & ends:
                    used |= ends
                    found.append(self._shown(place))
                    break
        return found

    def _shown(self, place: int) -> Shown:
        evidence, (high, low) = self.evidence, self.band
        i, j = int(self.first[place]), int(self.second[place])
        cosine, across = float(self.values[place]), bool(self.across[place])
        left, right = (thumbnail(evidence["images"][row]) if self.shows == "image" else None for row in (i, j))
        above = len(self.sorted) - np.searchsorted(self.sorted, cosine, side="right")
        names = evidence["class_names"][evidence["labels"][[i, j]]]
        return Shown(
            left,
            right,
            tuple(str(evidence["texts"][row]) for row in (i, j)) if self.shows == "text" else (),
            " / ".join(map(str, names)),
            cosine,
            float(above / len(self.sorted)),
            across,
            across and bool(evidence["difficult"][i] and evidence["difficult"][j]),
            low < cosine <= high,
        )


# --- bounds ----------------------------------------------------------------------------------------


def scatter_figure(summary: dict[str, Any]) -> Markup | None:
    """Measured error against the predicted bound."""
    rows = [r for r in summary["predicted_against_measured"] if None not in (r["bound"], r["measured_error"])]
    if not rows:
        return None
    markers = dict(zip(sorted({r["omega"] for r in rows}), "osD^vP*X<>", strict=False))
    with style("scatter"):
        figure, axis = _figure(6.4, 3.6)
        for r in rows:
            label = f"{r['arm'].replace('_', ' ')}, ω = {r['omega']:g}"
            shape = {"marker": markers.get(r["omega"], "."), "color": of(r["arm"]), "alpha": 0.85}
            axis.plot(r["bound"], r["measured_error"], ls="", label=label, **shape)
        axis.set_xlabel("predicted bound (not clipped)")
        axis.set_ylabel("measured probe error")
        axis.ticklabel_format(axis="x", useOffset=False)
        axis.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
        return svg(figure)
