"""docs/losses.md: the table of logits is what the code computes, and every loss has its formula."""

import math
import re
from pathlib import Path

import pytest
import torch

from empirical.arms import PairRemedy
from empirical.losses import LOSSES, pair_logits

PAGE = (Path(__file__).parents[3] / "docs" / "losses.md").read_text(encoding="utf-8")
SIGMA, RHO, TAU = 0.3, 0.6, 0.4
REMEDIES = {
    "none": PairRemedy(),
    "margin": PairRemedy(sigma=SIGMA),
    "temperature": PairRemedy(rho=RHO),
    "combined": PairRemedy(sigma=SIGMA, rho=RHO),
    "removal": PairRemedy(remove=True),
}


def rows():
    """First word, our formula and the printed one of each row of the table of logits."""
    table = PAGE.split("| remedy of a flagged pair |")[1].split("\n\n")[0].splitlines()[2:]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in table]
    return {name.split()[0]: (ours, printed) for name, ours, printed, _ in cells}


def evaluated(formula, s):
    """A cell at a cosine: ``A where C, else B`` or one expression."""
    names = {"s": s, "σ": SIGMA, "ρ": RHO, "τ": TAU}

    def value(text):
        text = text.replace("τρ", "τ*ρ").replace("−∞", "-inf").strip()
        return eval(text, {"inf": math.inf}, names)  # the repository's own page

    found = re.fullmatch(r"(.+) where (.+), else ([^:]+)(:.*)?", formula)
    if not found:
        return value(formula)
    high, condition, low, _ = found.groups()
    return value(high if value(condition) else low)


@pytest.mark.parametrize("cosine", [0.7, -0.1, -0.6])
@pytest.mark.parametrize("name", REMEDIES)
def test_the_table_of_logits_is_the_code(name, cosine):
    assert list(rows()) == list(REMEDIES)
    pair, flagged = torch.tensor([[cosine]], dtype=torch.float64), torch.ones(1, 1, dtype=torch.bool)
    for formula, as_printed in zip(rows()[name], (False, True), strict=True):
        remedy = PairRemedy(**{**REMEDIES[name].__dict__, "as_printed": as_printed})
        _, logit = pair_logits(pair[0], pair, TAU, flagged, remedy)
        assert logit.item() == pytest.approx(evaluated(formula, cosine), rel=1e-12)


def test_every_loss_has_its_formula():
    assert set(LOSSES) <= set(re.findall(r"`(\w+)`", PAGE.split("## In your own loop")[0]))
