"""The pictures of a report."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from empirical.arms import ARMS, Given, band_shares
from empirical.compare.presets import Experiment
from empirical.compare.results import Condition
from theory.checks import ParameterError
from theory.palette import BAND, DARK_GREY, DIFFICULT, EASY, MEASURED, PREDICTED, RAMP, SAME_CLASS, of
from theory.params import SixLevels
from theory.plan import Profile
from theory.spectrum import spectrum
from theory.worlds import unit_rows

GALLERY = 12
SHOWN_EIGENVALUES = 40

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
                axis.text(0, y, "not applicable", ha="center", va="center", color=DARK_GREY, fontsize=8)
                continue
            d = row["difference"]
            if d["low"] is not None:
                axis.plot([100 * d["low"], 100 * d["high"]], [y, y], color=of(arm), lw=2)
            axis.plot(100 * d["value"], y, "o", color=of(arm))
        axis.axvline(0, color=DARK_GREY, lw=1, ls="--")
        axis.set_yticks(range(len(arms)), [arm.replace("_", " ") for arm in arms])
        axis.set_ylim(len(arms) - 0.5, -0.5)
        axis.set_title(f"ω = {omega:g}", fontsize=10)
        axis.set_xlabel("accuracy minus baseline, points")
    return _embed(figure)


def cosine_matrix(condition: Condition) -> NDArray[np.float64]:
    """Cosine similarities of the evidence rows."""
    features = condition.evidence["features"].astype(np.float64)
    unit = unit_rows(features)
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
    profile = condition.profiles["pilot"]
    note = f"On {len(degrees)} training images."
    spectra = {"measured similarities": (measured, "o", MEASURED)}
    try:
        model = model_eigenvalues(profile, np.bincount(condition.evidence["labels"]))
        spectra["six-level model"] = (model, "x", PREDICTED)
        note += " " + _spectrum_note(measured, model, profile)
    except ParameterError as error:
        note += f" The measured levels make no graph: {error}."
    for label, (values, marker, colour) in spectra.items():
        shown = np.clip(values[:SHOWN_EIGENVALUES], 1e-8, None)
        axis.plot(range(1, len(shown) + 1), shown, marker, color=colour, ms=4.5, label=label)
    axis.set_yscale("log")
    axis.set_xlabel("index j")
    axis.set_ylabel(r"eigenvalue $\lambda_j$")
    axis.legend(frameon=False, fontsize=9)
    return _embed(figure), note


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
) -> tuple[str, str]:
    """Similarity histograms of the three groups with the selected band; what the band contains."""
    groups = pair_groups(condition)
    high, low = band
    figure, (axis,) = _figure(6.4, 3.2)
    values = similarities[groups["other classes"] | groups["same class"] | groups["difficult pairs"]]
    bins = np.linspace(float(np.quantile(values, 0.0005)), float(values.max()), 80)
    colours = {"same class": SAME_CLASS, "other classes": EASY, "difficult pairs": DIFFICULT}
    for name, colour in colours.items():
        if groups[name].any():
            share = similarities[groups[name]]
            axis.hist(share, bins=bins, density=True, histtype="step", color=colour, lw=1.6, label=name)
    axis.axvspan(low, high, color=BAND, alpha=0.7, lw=0, label=f"band ({name})")
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


def gallery(condition: Condition, similarities: NDArray[np.float64], band: tuple[float, float]) -> list[dict[str, str]]:
    """The most similar pairs of different classes, no image twice."""
    labels, images = condition.evidence["labels"], condition.evidence["images"]
    names = condition.evidence["class_names"]
    if images.dtype != np.uint8:
        return []  # features, of which there is no picture
    high, low = band
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
    colours = dict(zip(sorted({r["omega"] for r in rows}), RAMP, strict=False))
    for r in rows:
        colour = colours.get(r["omega"], DARK_GREY)
        label = f"{r['arm'].replace('_', ' ')}, ω = {r['omega']:g}"
        axis.plot(r["bound"], r["measured_error"], markers[r["arm"]], color=colour, label=label, alpha=0.85)
    axis.set_xlabel("predicted bound (not clipped)")
    axis.set_ylabel("measured probe error")
    axis.ticklabel_format(axis="x", useOffset=False)
    axis.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return _embed(figure)
