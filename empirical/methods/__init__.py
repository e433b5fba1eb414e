"""The table of methods in docs/methods.md, from the code itself: ``python -m empirical.methods``."""

from __future__ import annotations

from empirical.arms import ARMS, Arm
from theory.command import markdown_table

HEADER = ("arm", "loss", "flagged pairs", "flagged by", "images left out", "needs a plan", "theorem")
FLAGGED = {
    "rank": "rank of the {} similarity",
    "auto": "band that sets itself on the {} similarity",
    "all": "every pair",
    "random": "as many random pairs",
    "known": "labels: as many of the most alike pairs of different classes",
    "threshold": "each image's learned threshold on the {} similarity",
    "label": "labels: the negatives of the anchor's class",
}
SPACES = {"encoder": "pre-projector", "projector": "projector"}
LEFT_OUT = {None: "none", "difficult": "most difficult", "random": "as many random ones", "mixed": "mixed ones"}


def rows() -> list[tuple[str, ...]]:
    """One row of text for each arm, under ``HEADER``."""
    found: list[tuple[str, ...]] = []
    for name, arm in ARMS.items():
        found.append(
            (
                f"`{name}`",
                f"`{arm.loss}`" if arm.loss else "any",
                _treatment(arm),
                FLAGGED[arm.select].format(SPACES[arm.space]) if arm.selects else "—",
                LEFT_OUT[arm.drop],
                "yes" if arm.planned else "no",
                arm.theorem or "—",
            )
        )
    return found


def _treatment(arm: Arm) -> str:
    if arm.as_printed:
        printed = ["margin σ"] * arm.sigma + ["temperature ρ·τ"] * arm.rho + ["cosine 0"] * arm.remove_pairs
        return f"as printed, positives too: {', '.join(printed)}"
    removed = "removed, the others rescaled" if arm.rescale else "removed"
    parts = ["the plan's margin"] * arm.sigma + ["the plan's temperature"] * arm.rho + [removed] * arm.remove_pairs
    return ", ".join(parts) or "—"


def table() -> str:
    """The rows as markdown."""
    return markdown_table(HEADER, rows())
