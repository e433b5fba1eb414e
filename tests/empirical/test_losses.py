import math

import pytest
import torch

from empirical.losses import adnce, contrastive_loss, cosine_similarities, debiased, hard_negative, pair_logits
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


# --- rivals ----------------------------------------------------------------------------------------


def naive_rivals(s, tau, prior, concentration, mu, width, flagged=None, sigma=0.0):
    """Debiased, HCL and ADNCE from their definitions, anchor by anchor."""
    anchors = len(s)
    totals = [0.0, 0.0, 0.0]
    for i in range(anchors):
        j = (i + anchors // 2) % anchors
        negatives = [s[i][k] + (sigma if flagged and flagged[i][k] else 0) for k in range(anchors) if k not in (i, j)]
        raw = [s[i][k] for k in range(anchors) if k not in (i, j)]
        positive, count = math.exp(s[i][j] / tau), len(negatives)
        floor = count * math.exp(-1 / tau)
        plain = sum(math.exp(v / tau) for v in negatives)
        tilt = [math.exp(concentration * v / tau) for v in negatives]
        hard = sum(count * t / sum(tilt) * math.exp(v / tau) for t, v in zip(tilt, negatives, strict=True))
        gauss = [math.exp(-((v - mu) ** 2) / (2 * width**2)) for v in raw]
        weighted = sum(count * g / sum(gauss) * math.exp(v / tau) for g, v in zip(gauss, negatives, strict=True))
        for index, total in enumerate((plain, hard)):
            corrected = max((total - prior * count * positive) / (1 - prior), floor)
            totals[index] -= math.log(positive / (positive + corrected))
        totals[2] -= math.log(positive / (positive + weighted))
    return [total / anchors for total in totals]


@pytest.mark.parametrize("tau", [0.07, 0.5])
@pytest.mark.parametrize("prior", [0.0, 0.1, 0.5])
@pytest.mark.parametrize("sigma", [0.0, 0.3])
def test_rivals_equal_their_double_loops_with_and_without_a_margin(batch, tau, prior, sigma):
    s, flagged = batch
    positive, negative = pair_logits(s, tau, flagged, sigma=sigma)
    found = [
        debiased(positive, negative, tau, prior),
        hard_negative(positive, negative, tau, prior, 0.8),
        adnce(positive, negative, s, 0.3, 0.6),
    ]
    expected = naive_rivals(s.tolist(), tau, prior, 0.8, 0.3, 0.6, flagged.tolist(), sigma)
    assert [float(loss) for loss in found] == pytest.approx(expected, rel=1e-10)


def test_rivals_have_their_limits(batch):
    s, _ = batch
    positive, negative = pair_logits(s, 0.5)
    plain = float(contrastive_loss(s, 0.5))
    assert float(debiased(positive, negative, 0.5, 0.0)) == pytest.approx(plain, rel=1e-12)
    assert float(hard_negative(positive, negative, 0.5, 0.0, 0.0)) == pytest.approx(plain, rel=1e-12)
    assert float(adnce(positive, negative, s, 0.3, 1e6)) == pytest.approx(plain, rel=1e-9)
    debiased_loss = float(debiased(positive, negative, 0.5, 0.2))
    assert float(hard_negative(positive, negative, 0.5, 0.2, 0.0)) == pytest.approx(debiased_loss, rel=1e-12)


@pytest.mark.parametrize("prior", [0.0, 0.1, 0.9])
def test_gradients_of_the_rivals_agree_with_finite_differences(batch, prior):
    s, flagged = batch

    def losses(x):
        positive, negative = pair_logits(x, 0.5, flagged, sigma=0.1, rho=0.8)
        return debiased(positive, negative, 0.5, prior) + hard_negative(positive, negative, 0.5, prior, 0.7)

    assert torch.autograd.gradcheck(losses, (s.clone().requires_grad_(),))


def test_weights_of_adnce_carry_no_gradient(batch):
    s = batch[0].clone().requires_grad_()
    positive, negative = pair_logits(s, 0.5)
    (gradient,) = torch.autograd.grad(adnce(positive, negative, s, 0.3, 0.5), s)
    log_weight = -((s.detach() - 0.3) ** 2) / 0.5
    log_weight = log_weight.masked_fill(negative.detach() == -torch.inf, -torch.inf)
    log_weight = log_weight - log_weight.logsumexp(1, keepdim=True) + math.log(12)
    probability = torch.softmax(torch.cat([positive[:, None], negative + log_weight], 1).detach(), 1)[:, 1:]
    off = negative.detach() > -torch.inf
    assert torch.allclose(gradient[off], (probability / 0.5 / 14)[off])


def test_no_negative_left_is_no_loss_for_every_rival(batch):
    s, flagged = batch
    positive, negative = pair_logits(s, 0.5, torch.ones_like(flagged), remove=True)
    assert float(adnce(positive, negative, s, 0.3, 0.5)) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(("prior", "concentration"), [(-0.1, 0), (1.0, 0), (0.1, -1)])
def test_rivals_check_their_parameters(batch, prior, concentration):
    positive, negative = pair_logits(batch[0], 0.5)
    with pytest.raises(ParameterError, match="prior|concentration"):
        hard_negative(positive, negative, 0.5, prior, concentration)
