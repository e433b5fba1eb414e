"""The claims' differences with crossed intervals: primary ones, CIFAR-100, from scratch; the paper's beside them.

    python -m figures.evidence

from results/evidence.csv and .json, which ``python -m empirical.evidence … --publish results/evidence`` writes.
"""

from __future__ import annotations

import textwrap

from matplotlib.figure import Figure
from matplotlib.patches import Patch

from empirical.evidence.design import MARGIN
from empirical.evidence.published import Evidence, load_evidence
from empirical.evidence.tables import Judged, judged
from figures import style
from theory import palette

FAMILIES = {
    "primary": "Adapters, CIFAR-10: the primary claims",
    "cifar100": "Adapters, CIFAR-100",
    "scratch": "From scratch, CIFAR-10",
}
OURS, PUBLISHED, SMALL = "measured, with its interval", "published", f"smaller than {100 * MARGIN:g} points"
ROW, HEAD, KEY = 0.38, 0.52, 0.75  # inches: of a claim, of a panel's title, below the panels


def data() -> dict[str, list[Judged]]:
    """The judged claims of each family that has been run."""
    evidence: Evidence = load_evidence(style.RESULTS / "evidence")
    found = {family: judged(evidence, family) for family in FAMILIES}
    return {family: claims for family, claims in found.items() if claims}


def caption(families: dict[str, list[Judged]]) -> str:
    """What to see."""
    primary = [claim for claim in families["primary"] if claim[0].published is not None]
    largest = max(abs(100 * effect.value) for _, effect, _ in primary)
    published = [claim.published for claim, _, _ in primary if claim.published is not None]
    small = sum(abs(effect.value) < MARGIN for _, effect, _ in families["primary"])
    scratch = sorted(families["scratch"], key=lambda claim: -claim[1].value)[:2]
    far = [f"{claim.text}, {style.signed(100 * effect.value, 2)}" for claim, effect, _ in scratch]
    return (
        f"On adapters {small} of {len(families['primary'])} differences lie within the shaded .2 points: the remedies' "
        f"are at most {largest:.2f}, where the paper prints {min(published):.2f} to {max(published):.2f} (open "
        f"diamonds). From scratch (below) the largest are: {'; '.join(far)}."
    )


@style.styled
def draw(families: dict[str, list[Judged]]) -> Figure:
    """One panel a family, one row a claim, its verdict at the right."""
    sizes = [len(claims) for claims in families.values()]
    figure = style.figure(ROW * sum(sizes) + HEAD * len(sizes) + KEY)
    panels = figure.subplots(len(sizes), 1, sharex=True, height_ratios=sizes, squeeze=False)[:, 0]
    for plot, (family, claims) in zip(panels, families.items(), strict=True):
        plot.axvspan(-100 * MARGIN, 100 * MARGIN, color=palette.SHADE, lw=0, zorder=0)
        plot.axvline(0, color=palette.GREY, lw=0.8)
        for row, (claim, effect, judgement) in enumerate(claims):
            ends = [[100 * effect.half_width]]
            plot.errorbar(100 * effect.value, row, xerr=ends, fmt="o", color=palette.MEASURED, capsize=3, label=OURS)
            if claim.published is not None:
                options = {"color": palette.PUBLISHED, "mfc": palette.GROUND, "ms": 7, "label": PUBLISHED}
                plot.plot(claim.published, row, "D", **options)
            word = judgement.word.partition(",")[0]
            edge = plot.get_yaxis_transform()
            plot.text(1.01, row, word, transform=edge, va="center", weight="normal" if word == "undecided" else "bold")
        words = [textwrap.fill(claim.text.replace(" %", "\N{NO-BREAK SPACE}%"), 42) for claim, _, _ in claims]
        plot.set_yticks(range(len(claims)), words)
        plot.set_ylim(len(claims) - 0.5, -0.5)
        plot.set_title(FAMILIES[family])
    panels[-1].set_xlabel("difference in accuracy, points")
    handles, labels = panels[0].get_legend_handles_labels()
    keys = {**dict(zip(labels, handles, strict=True)), SMALL: Patch(color=palette.SHADE, lw=0)}
    figure.legend(keys.values(), keys.keys(), loc="outside lower center", ncols=3, columnspacing=1.2)
    return figure


if __name__ == "__main__":
    from figures.__main__ import main

    raise SystemExit(main(["evidence"]))
