"""Cosine similarities of same-class, difficult and other pairs before and after the projector, with the band.

    python -m figures.similarity_histogram --pilot runs/study/pilot

measures the pairs of a pilot folder of empirical.study or empirical.compare, writes
results/similarity_histogram.csv and draws it; ``python -m figures similarity_histogram`` draws the committed one.
"""

from __future__ import annotations

from argparse import Namespace
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from empirical.arms import Given
from figures import style
from theory import palette
from theory.command import Parser, run
from theory.files import write_text
from theory.plan import Plan

TABLE = style.RESULTS / "similarity_histogram.csv"
BINS = 50
FLAGGED = "pairs of the band"
GROUPS = {
    "same class": palette.SAME_CLASS,
    "other classes": palette.EASY,
    "difficult pairs": palette.DIFFICULT,
}
MERGED = 2  # bins of the table in one of the picture: of the difficult pairs there are few
TITLES = {"encoder": "before the projector", "projector": "after the projector"}


def measure(evidence: Path, plan: Path, checkpoint: Path | None = None) -> pd.DataFrame:
    """Histograms of the pairs that the report shows, and the band that the plan selects.

    Parameters
    ----------
    evidence, plan : Path
        evidence.npz and plan.json of a pilot folder.
    checkpoint : Path, optional
        checkpoint.pt of the same folder, for the projector's similarities.

    Returns
    -------
    DataFrame
        ``space``, ``group``, ``low``, ``high`` and ``density`` of each bin; ``mean`` of the group, its share ``of_all``
        pairs and ``of_band``'s pairs. Group ``band`` has the band's ends alone.
    """
    from empirical.compare.pictures import band_of, cosine_matrix, pair_groups
    from empirical.compare.results import Condition  # imports torch

    with np.load(evidence) as file:
        arrays = {name: file[name] for name in ("features", "labels", "difficult")}
    condition = Condition(0.0, {}, {"pilot": Plan.load(plan)}, {}, arrays)
    groups, similarities = pair_groups(condition), cosine_matrix(condition)
    high, low = band_of(condition, similarities, Given("theory"), "")
    flagged = np.logical_or.reduce(list(groups.values())) & (similarities > low) & (similarities <= high)
    band = pd.DataFrame({"space": "encoder", "group": "band", "low": [low], "high": [high]})
    parts = [*_histograms("encoder", similarities, groups, flagged), band]
    if checkpoint is not None:
        projected = replace(condition, evidence={"features": _project(arrays["features"], checkpoint)})
        parts += _histograms("projector", cosine_matrix(projected), groups | {FLAGGED: flagged}, flagged)
    return pd.concat(parts, ignore_index=True)


def _project(features: np.ndarray, checkpoint: Path) -> np.ndarray:
    import torch

    from empirical.train.checkpoint import load_network

    _, network = load_network(checkpoint)
    with torch.no_grad():
        return network.projector(torch.from_numpy(features)).numpy()


def _histograms(
    space: str, similarities: np.ndarray, groups: dict[str, np.ndarray], flagged: np.ndarray
) -> list[pd.DataFrame]:
    """The groups' rows of the table; groups and flagged pairs are masks over the upper triangle."""
    upper = np.triu_indices(len(similarities), 1)
    pairs, flagged = similarities[upper], flagged[upper]
    edges = np.linspace(np.quantile(pairs, 0.0005), pairs.max(), BINS + 1)
    parts = []
    for name, mask in groups.items():
        chosen = mask[upper]
        if chosen.any():
            bins = {"low": edges[:-1], "high": edges[1:]}
            bins["density"], _ = np.histogram(pairs[chosen], edges, density=True)
            shares = {"of_all": chosen.mean(), "of_band": chosen[flagged].mean()}
            parts.append(pd.DataFrame({"space": space, "group": name, **bins, "mean": pairs[chosen].mean(), **shares}))
    return parts


def data() -> pd.DataFrame:
    """The committed histograms, as ``measure`` gives them."""
    return pd.read_csv(TABLE)


def caption(table: pd.DataFrame) -> str:
    """What to see."""
    shares = table.dropna(subset="of_band").groupby("group")[["of_band", "of_all"]].first().reindex(GROUPS).fillna(0)
    same, hard = shares.loc["same class"], shares.loc["difficult pairs"]
    return (
        "Difficult pairs (orange) are hardly more alike than other pairs of different classes (grey), before the "
        "projector and after it. So the band of selected pairs, a thin line at the left, holds little of them: "
        f"{100 * hard.of_band:.2f} % of it are difficult, of all pairs {100 * hard.of_all:.2f} % are; "
        f"{100 * same.of_band:.0f} % of it are of one class ({100 * same.of_all:.0f} % of all)."
    )


@style.styled
def draw(table: pd.DataFrame) -> Figure:
    """One panel a space; ticks at the top are the means."""
    spaces = [space for space in TITLES if space in set(table.space)]
    figure = style.figure(4.6)
    for plot, space in zip(figure.subplots(1, len(spaces), squeeze=False)[0], spaces, strict=True):
        rows = table[table.space == space]
        for group, colour in {FLAGGED: palette.BAND, **GROUPS}.items():
            bins = rows[rows.group == group]
            if bins.empty:
                continue
            density, edges = _merged(bins)
            if group == FLAGGED:
                plot.stairs(density, edges, color=colour, fill=True, zorder=1, label=group)
                continue
            plot.stairs(density, edges, color=colour, lw=2, label=group, zorder=3)
            plot.axvline(bins["mean"].iloc[0], 0.96, 1, color=colour, lw=2.5)
        for band in rows[rows.group == "band"].itertuples():
            plot.axvspan(band.low, band.high, facecolor=palette.BAND, edgecolor=palette.BAND, lw=1.5)
            where = plot.get_xaxis_transform()
            plot.text(band.high + 0.012, 0.9, "the band", transform=where, va="top")
        plot.set(title=TITLES[space].capitalize(), xlabel="cosine similarity")
        plot.set_ylim(0, 1.12 * plot.dataLim.ymax)
    figure.axes[0].set_ylabel("density")
    keys = {label: key for plot in figure.axes for key, label in zip(*plot.get_legend_handles_labels(), strict=True)}
    order = [label for label in (*GROUPS, FLAGGED) if label in keys]
    figure.legend([keys[label] for label in order], order, loc="outside lower center", ncols=4)
    return figure


def _merged(bins: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Densities and edges with ``MERGED`` bins in one."""
    density = bins.density.to_numpy()
    whole = len(density) // MERGED * MERGED
    edges = np.append(bins.low.to_numpy()[:whole:MERGED], bins.high.to_numpy()[whole - 1])
    return density[:whole].reshape(-1, MERGED).mean(axis=1), edges


def _parser() -> Parser:
    parser = Parser("python -m figures.similarity_histogram", description="Measure and draw similarities.")
    parser.add_argument("--pilot", type=Path, required=True, help="folder of a finished pilot run")
    return parser


def _command(args: Namespace) -> None:
    folder = args.pilot
    table = measure(folder / "evidence.npz", folder / "plan.json", folder / "checkpoint.pt")
    write_text(TABLE, table.to_csv(index=False, float_format="%.6g"))
    print(TABLE, *style.save(draw(data()), "similarity_histogram"), sep="\n")


if __name__ == "__main__":
    raise SystemExit(run(_parser(), _command, None))
