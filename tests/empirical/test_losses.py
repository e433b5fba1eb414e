import math

import pytest
import torch

from empirical.losses import contrastive_loss, cosine_similarities
from theory.params import ParameterError

VARIANTS = {
    "nt_xent": {},
    "margin": {"sigma": 0.3},
    "temperature": {"rho": 0.6},
    "combined": {"sigma": 0.3, "rho": 0.6},
    "pair_removal": {"remove": True},
}


def naive(s, tau, flagged, sigma=0.0, rho=1.0, remove=False):
    """The definition, anchor by anchor and negative by negative."""
    anchors = len(s)
    total = 0.0
    for i in range(anchors):
        j = (i + anchors // 2) % anchors
        positive = math.exp(s[i][j] / tau)
        denominator = positive
        for k in range(anchors):
            if k in (i, j):
                continue
            value = s[i][k]
            if flagged[i][k]:
                if remove:
                    continue
                value += sigma
                denominator += math.exp(value / (tau * rho) if value > 0 else value / tau)
            else:
                denominator += math.exp(value / tau)
        total -= math.log(positive / denominator)
    return total / anchors


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(14, 5, generator=generator, dtype=torch.float64)
    mask = torch.rand(14, 14, generator=generator) < 0.3
    return cosine_similarities(features), mask | mask.T  # also true on diagonal and positives, to be ignored


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("tau", [0.05, 0.5])
def test_every_variant_equals_its_double_loop(batch, variant, tau):
    s, flagged = batch
    options = VARIANTS[variant]
    expected = naive(s.tolist(), tau, flagged.tolist(), **options)
    assert float(contrastive_loss(s, tau, flagged, **options)) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("variant", VARIANTS)
def test_gradients_agree_with_finite_differences(batch, variant):
    s, flagged = batch
    s = s.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: contrastive_loss(x, 0.5, flagged, **VARIANTS[variant]), (s,))


def test_identical_embeddings_give_the_log_of_the_candidates():
    s = cosine_similarities(torch.ones(12, 3))
    assert float(contrastive_loss(s, 0.5)) == pytest.approx(math.log(11), rel=1e-6)


def test_neutral_remedies_change_nothing(batch):
    s, flagged = batch
    plain = contrastive_loss(s, 0.5)
    assert contrastive_loss(s, 0.5, flagged, sigma=0.0, rho=1.0) == plain
    assert contrastive_loss(s, 0.5, torch.zeros_like(flagged), sigma=1.0, rho=0.5, remove=True) == plain


def test_margin_and_temperature_repel_flagged_pairs_more_and_never_less(batch):
    s, flagged = batch
    for options in (VARIANTS["margin"], VARIANTS["temperature"], VARIANTS["combined"]):
        assert contrastive_loss(s, 0.5, flagged, **options) > contrastive_loss(s, 0.5)
    opposite = -s.abs()
    assert contrastive_loss(opposite, 0.5, flagged, rho=0.5) == contrastive_loss(opposite, 0.5)


def test_removing_every_negative_leaves_no_loss(batch):
    s, flagged = batch
    assert float(contrastive_loss(s, 0.5, torch.ones_like(flagged), remove=True)) == pytest.approx(0, abs=1e-12)


def test_extreme_logits_stay_finite():
    s = cosine_similarities(torch.randn(8, 2, generator=torch.Generator().manual_seed(1)))
    assert math.isfinite(contrastive_loss(s, 1e-3))


@pytest.mark.parametrize("bad", [{"tau": 0}, {"sigma": -0.1}, {"rho": 0}, {"rho": 1.5}])
def test_parameters_are_checked(batch, bad):
    with pytest.raises(ParameterError, match=next(iter(bad))):
        contrastive_loss(batch[0], **{"tau": 0.5, **bad})
