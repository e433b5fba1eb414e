"""The pictures of the page: figures that take the colours of its style, and thumbnails."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from empirical.data.labels import UNLABELLED
from empirical.data.sources import ImageFiles
from empirical.pages import svg, thumbnail
from empirical.report.examination import Examination
from theory.checks import ParameterError, printable
from theory.palette import BAND, BLACK, DIFFICULT, EASY, PALE, SAME_CLASS, WINE

MAP_POINTS = 4_000
NAMED_CLASSES = 20  # whose names are written into the map
HISTOGRAM_ROWS = 2_000  # whose pairs are counted
PAIRS = 24  # of the gallery
LONGEST = 24  # signs of a name in a figure


class Map(NamedTuple):
    """Samples in two dimensions.

    Parameters
    ----------
    rows : ndarray
        Which samples, shape (M,).
    points : ndarray
        Shape (M, 2).
    method : str
        How they were laid out, in words.
    """

    rows: NDArray[np.int64]
    points: NDArray[np.float64]
    method: str


def shortest(name: str) -> str:
    """A name in a figure: one line, and not too long."""
    name = printable(name)
    return name if len(name) <= LONGEST else name[: LONGEST - 1] + "…"


# --- the map ---------------------------------------------------------------------------------------


def lay_out(found: Examination) -> Map:
    """At most 4,000 random samples in two dimensions, by UMAP if it is installed, else by principal components."""
    generator = np.random.default_rng(found.criteria.seed)
    rows = np.sort(generator.permutation(found.samples.features.rows)[:MAP_POINTS])
    unit, seed = found.samples.features.take(rows), found.criteria.seed
    try:
        from umap import UMAP
    except ImportError:
        return Map(rows, *_components(unit))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the seed, which leaves one thread
        points = UMAP(metric="cosine", n_neighbors=min(15, len(rows) - 1), random_state=seed).fit_transform(unit)
    return Map(
        rows,
        np.asarray(points, dtype=np.float64),
        "UMAP of the cosines with 15 neighbours; distances between groups mean little",
    )


def _components(unit: NDArray[np.float32]) -> tuple[NDArray[np.float64], str]:
    """The first two principal components."""
    centred = (unit - unit.mean(axis=0)).astype(np.float64)
    values, vectors = np.linalg.eigh(centred.T @ centred)
    leading = vectors[:, ::-1][:, :2]
    leading = leading * np.sign(leading[np.abs(leading).argmax(axis=0), range(leading.shape[1])])
    points = np.zeros((len(unit), 2))
    points[:, : leading.shape[1]] = centred @ leading  # features of one dimension have one
    share = values[::-1][:2].sum() / max(values.sum(), np.finfo(float).tiny)
    method = f"the first two principal components, which hold {share:.0%} of the variance (UMAP is not installed: pip "
    return points, method + "install 'difficult-examples[umap]')"


def map_figure(found: Examination, laid: Map) -> str:
    """The map with difficult samples marked, and mislabelled ones where they are known."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 5.6), layout="constrained")
    axis = figure.add_subplot()
    x, y = laid.points.T
    hard = found.difficulty.difficult[laid.rows]
    axis.scatter(x[~hard], y[~hard], s=6, c=EASY, alpha=0.8, lw=0, label="others", rasterized=True)
    axis.scatter(x[hard], y[hard], s=12, c=DIFFICULT, alpha=0.9, lw=0, label="difficult", rasterized=True)
    wrong = found.difficulty.scores.get("mislabelled")
    if wrong is not None and wrong[laid.rows].any():
        there = wrong[laid.rows].astype(bool)
        axis.scatter(x[there], y[there], s=30, facecolors="none", edgecolors=WINE, lw=1.2, label="mislabelled?")
    labels = found.samples.labels
    for label in _few_classes(found):
        assert labels is not None
        members = labels[laid.rows] == label
        if members.any():
            across, up = np.median(laid.points[members], axis=0)
            name = shortest(found.samples.names[label] if found.samples.names else str(label))
            box = {"facecolor": PALE, "alpha": 0.75, "edgecolor": "none", "pad": 1.0}
            words: dict[str, Any] = {"parse_math": False, "bbox": box}
            axis.text(across, up, name, color=BLACK, fontsize=8, ha="center", va="center", **words)
    axis.set_xticks([])
    axis.set_yticks([])
    figure.legend(frameon=False, fontsize=8, loc="outside lower center", ncols=3)
    return svg(figure)


def _few_classes(found: Examination) -> Sequence[int]:
    """Labels that are written into the map: all, or none of many."""
    labels = found.samples.labels
    if labels is None:
        return ()
    there = np.unique(labels[labels != UNLABELLED]).tolist()
    return there if len(there) <= NAMED_CLASSES else ()


# --- similarities ----------------------------------------------------------------------------------


def histogram_figure(found: Examination) -> tuple[str, str]:
    """Similarities of pairs by kind with the plan's band, and what lies in the band, in words."""
    from matplotlib.figure import Figure

    features, labels = found.samples.features, found.samples.labels
    everyone = np.arange(features.rows) if labels is None else np.flatnonzero(labels != UNLABELLED)
    rows = np.sort(np.random.default_rng(found.criteria.seed).permutation(everyone)[:HISTOGRAM_ROWS])
    unit = features.take(rows)
    first, second = np.triu_indices(len(rows), 1)
    similarities = (unit @ unit.T)[first, second]
    hard = found.difficulty.difficult[rows]
    both = hard[first] & hard[second]
    if labels is None:
        kinds = {"both difficult": both, "other pairs": ~both}
    else:
        same = labels[rows][first] == labels[rows][second]
        kinds = {"one class": same, "different classes": ~same & ~both, "different, both difficult": ~same & both}
    colours = dict(zip(kinds, (SAME_CLASS, EASY, DIFFICULT) if len(kinds) == 3 else (DIFFICULT, EASY), strict=True))
    high, low = np.quantile(similarities, [1 - found.plan.pos_high, 1 - found.plan.pos_low])
    bins = np.linspace(float(np.quantile(similarities, 5e-4)), float(similarities.max()), 80).tolist()
    figure = Figure(figsize=(7.2, 3.4), layout="constrained")
    axis = figure.add_subplot()
    axis.spines[["top", "right"]].set_visible(False)
    for name, members in kinds.items():
        if members.any() and bins[0] < bins[-1]:
            part = similarities[members]
            axis.hist(part, bins=bins, density=True, histtype="step", color=colours[name], lw=1.6, label=name)
    axis.axvspan(low, high, color=BAND, alpha=0.7, lw=0, label="band of the plan")
    axis.set_xlabel("cosine similarity")
    axis.set_ylabel("density")
    axis.legend(frameon=False, fontsize=8)
    inside = (similarities > low) & (similarities <= high)
    shares = [
        f"{(inside & members).sum() / max(1, inside.sum()):.1%} {name} ({members.mean():.1%} of all pairs are)"
        for name, members in kinds.items()
    ]
    held = f"The band holds cosines from {low:.3f} to {high:.3f}; of its pairs are "
    return svg(figure), held + ", ".join(shares) + "."


# --- pictures of one's own -------------------------------------------------------------------------


class Couple(NamedTuple):
    """A pair of look-alikes: two data addresses, two captions, and the cosine."""

    left: str
    right: str
    first: str
    second: str
    similarity: float


def gallery(found: Examination) -> tuple[list[Couple], list[str]]:
    """The most alike pairs of different classes, first those of samples not yet shown, and what could not be shown.

    Returns
    -------
    list of Couple
        At most 24.
    list of str
        Why a picture could not be read, a line each.
    """
    if found.images is None:
        return [], []
    rows, similarity = found.difficulty.pairs.rows.tolist(), found.difficulty.pairs.similarity
    shown: list[Couple] = []
    failed: dict[str, None] = {}  # in order, each once
    for place in _without_repetition(rows):
        i, j = rows[place]
        try:
            left, right = (thumbnail(_image(found.images, row)) for row in (i, j))
        except ParameterError as error:
            failed[str(error)] = None
            continue
        shown.append(Couple(left, right, _caption(found, i), _caption(found, j), float(similarity[place])))
        if len(shown) == PAIRS:
            break
    return shown, list(failed)


def _without_repetition(pairs: Sequence[Sequence[int]]) -> list[int]:
    """The order in which pairs are shown: those of which no sample was in one before come first."""
    used: set[int] = set()
    new: list[int] = []
    others: list[int] = []
    for place, pair in enumerate(pairs):
        (others if used & set(pair) else new).append(place)
        used |= set(pair)
    return new + others


def _image(images: Any, row: int) -> Any:
    return images.take(np.array([row]))[0] if isinstance(images, ImageFiles) else images[row]


def _caption(found: Examination, row: int) -> str:
    """Class and id of a sample."""
    caption = found.items.caption(row)
    name = found.items.columns(np.array([row])).get("id", found.samples.rows[[row]])[0]
    return caption if caption == str(name) else f"{caption} · {name}"
