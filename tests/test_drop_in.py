"""The loops of docs/losses.md run, and train."""

import re
from pathlib import Path

import pytest

BLOCKS = re.findall(r"```python\n(.*?)```", (Path(__file__).parents[1] / "docs" / "losses.md").read_text(), re.S)


@pytest.mark.parametrize("code", BLOCKS, ids=["plain PyTorch", "lightly"])
def test_loops_of_the_docs_train(code):
    names: dict = {}
    before_training, training = re.split(r"(?=^losses = \[\]$)", code, flags=re.M)
    exec(before_training, names)
    start = [p.detach().clone() for group in names["optimizer"].param_groups for p in group["params"]]
    exec(training, names)
    end = [p for group in names["optimizer"].param_groups for p in group["params"]]
    assert all((a != b).any() for a, b in zip(start, end, strict=True))
    losses = names["losses"]
    assert sum(losses[-2:]) < sum(losses[:2])


def test_without_a_remedy_it_is_lightlys_number():
    import torch
    from lightly.loss import NTXentLoss

    from empirical.losses import ContrastiveLoss, Objective

    z = torch.randn(2, 8, 4, generator=torch.Generator().manual_seed(0))
    assert ContrastiveLoss(Objective(tau=0.2))(*z).item() == pytest.approx(NTXentLoss(0.2)(*z).item(), rel=1e-6)
