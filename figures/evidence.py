"""The claims' differences with crossed intervals: primary ones, CIFAR-100, from scratch; the paper's beside them.

    python -m figures.evidence

from results/evidence.csv and .json, which ``python -m empirical.evidence … --publish results/evidence`` writes.
"""

from __future__ import annotations

import textwrap

from matplotlib.figure import Figure

from empirical.evidence.design import MARGIN
from empirical.evidence.published import Evidence, load_evidence
from empirical.evidence.tables import Judged, judged
from figures import style

FAMILIES = {
    "primary": "adapters, CIFAR-10: the primary claims",
    "cifar100": "adapters, CIFAR-100",
    "scratch": "from scratch, CIFAR-10",
}
COLOURS = {"supported": style.TEMPERATURE, "contradicted": style.DIFFICULT}  # by a verdict's first word


def data() -> dict[str, list[Judged]]:
    """The judged claims of each family that has been run."""
    evidence: Evidence = load_evidence(style.RESULTS / "evidence")
    found = {family: judged(evidence, family) for family in FAMILIES}
    return {family: claims for family, claims in found.items() if claims}


@style.styled
def draw(families: dict[str, list[Judged]]) -> Figure:
    """One panel a family, one row a claim."""
    sizes = [len(claims) for claims in families.values()]
    figure = style.figure(0.7 + 0.3 * sum(sizes) + 0.45 * len(sizes))
    panels = figure.subplots(len(sizes), 1, sharex=True, height_ratios=sizes, squeeze=False)[:, 0]
    for plot, (family, claims) in zip(panels, families.items(), strict=True):
        plot.axvspan(-100 * MARGIN, 100 * MARGIN, color=style.SHADE, zorder=0)
        plot.axvline(0, color=style.GREY, lw=0.8)
        for row, (claim, effect, judgement) in enumerate(claims):
            colour = COLOURS.get(judgement.word.partition(",")[0], style.BASELINE)
            ends = [[100 * effect.half_width]]
            plot.errorbar(100 * effect.value, row, xerr=ends, fmt="o", color=colour, capsize=2)
            if claim.published is not None:
                plot.plot(claim.published, row, "D", color=style.PUBLISHED, mfc="none")
        words = [textwrap.fill(claim.text, 46) for claim, _, _ in claims]
        plot.set_yticks(range(len(claims)), words)
        plot.set_ylim(len(claims) - 0.5, -0.5)
        plot.set_title(FAMILIES[family])
    figure.supxlabel("difference in accuracy, points; shaded: smaller than .2; open diamonds: as published", fontsize=9)
    return figure


if __name__ == "__main__":
    from figures.__main__ import main

    raise SystemExit(main(["evidence"]))
