"""ADNCE's three forms and its control, MoCHi's mixtures, one direction of views: against their definitions."""

import math

import numpy as np
import pytest
import torch

from empirical.arms import PairRemedy
from empirical.losses import (
    ContrastiveLoss,
    Objective,
    adnce_graph,
    adnce_sentence,
    draw_mixture,
    equal_radius_temperature,
    info_nce,
    mixed_negatives,
    opposite_pairs,
    pair_logits,
    queue_pairs,
    spectral,
    two_view_pairs,
    unit_rows,
    with_mixed,
)
from empirical.selection import flag
from theory import dro
from theory.checks import ParameterError

TAU, MU, SIGMA = 0.4, 0.3, 0.35


def randn(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def gauss(cosine):
    return math.exp(-((cosine - MU) ** 2) / (2 * SIGMA**2))


# --- one direction ---------------------------------------------------------------------------------


def test_opposite_pairs_compare_first_views_with_second_ones():
    z = randn(10, 3)
    positive, negative = opposite_pairs(z)
    unit = (z / z.norm(dim=1, keepdim=True)).numpy()
    for i in range(5):
        assert positive[i].item() == pytest.approx(unit[i] @ unit[5 + i], abs=1e-14)
        for j in range(5):
            expected = -math.inf if i == j else unit[i] @ unit[5 + j]
            assert negative[i, j].item() == pytest.approx(expected, abs=1e-14)
    with pytest.raises(ParameterError, match="z"):
        opposite_pairs(z[:5])


def test_the_spectral_loss_of_opposite_views_is_haochens_estimate():
    z, mu = randn(12, 4), 1.7
    norms = z.norm(dim=1, keepdim=True)
    clipped = torch.where(norms < math.sqrt(mu), z, z / norms * math.sqrt(mu)).numpy()
    total = 0.0
    for i in range(6):
        total -= 2 / 6 * clipped[i] @ clipped[6 + i]
        total += sum((clipped[i] @ clipped[6 + j]) ** 2 for j in range(6) if j != i) / (6 * 5)
    positive, negative = opposite_pairs(z, radius=math.sqrt(mu))
    found = spectral(*pair_logits(positive, negative, 1 / mu), tau=1 / mu)
    assert found.item() == pytest.approx(total / mu, rel=1e-12)


# --- ADNCE -----------------------------------------------------------------------------------------


def test_adnce_for_sentences_is_its_definition():
    positive, negative = opposite_pairs(randn(12, 4))
    total = 0.0
    for i in range(6):
        cosines = [positive[i].item(), *(negative[i, j].item() for j in range(6) if j != i)]
        weights = [gauss(s) for s in cosines]
        mean = sum(weights) / len(weights)
        candidates = sum(w / mean * math.exp(s / TAU) for w, s in zip(weights, cosines, strict=True))
        total -= math.log(math.exp(cosines[0] / TAU) / candidates) / 6
    found = Objective("adnce_sentence", TAU, adnce_mu=MU, adnce_sigma=SIGMA)(positive, negative)
    assert found.item() == pytest.approx(total, rel=1e-12)


def test_adnce_for_graphs_is_its_definition():
    positive, negative = opposite_pairs(randn(12, 4))
    total = 0.0
    for i in range(6):
        cosines = [negative[i, j].item() for j in range(6) if j != i]
        weights = [gauss(s) for s in cosines]
        mean = sum(weights) / len(weights)
        ng = sum(w / mean * math.exp(s / TAU) for w, s in zip(weights, cosines, strict=True)) / len(cosines)
        total -= math.log(math.exp(positive[i].item() / TAU) / ng) / 6
    found = Objective("adnce_graph", TAU, adnce_mu=MU, adnce_sigma=SIGMA)(positive, negative)
    assert found.item() == pytest.approx(total, rel=1e-12)


def test_without_weights_sentences_have_info_nce_and_graphs_its_mean():
    positive, negative = opposite_pairs(randn(12, 4))
    p, n = pair_logits(positive, negative, TAU)
    sentence = adnce_sentence(p, n, (positive, negative), MU, 1e8)
    assert sentence.item() == pytest.approx(info_nce(p, n).item(), rel=1e-12)
    graph = adnce_graph(p, n, negative, MU, 1e8)
    assert graph.item() == pytest.approx((n.logsumexp(dim=1) - math.log(5) - p).mean().item(), rel=1e-12)


@pytest.mark.parametrize("loss", ["adnce_sentence", "adnce_graph"])
def test_weights_have_no_gradient(loss):
    """Against the loss with the weights of other, equal cosines, which are constants."""
    z = randn(12, 4).requires_grad_()
    positive, negative = opposite_pairs(z)
    p, n = pair_logits(positive, negative, TAU)
    constants = positive.detach(), negative.detach()
    by_hand = {
        "adnce_sentence": lambda: adnce_sentence(p, n, constants, MU, SIGMA),
        "adnce_graph": lambda: adnce_graph(p, n, constants[1], MU, SIGMA),
    }
    objective = Objective(loss, TAU, adnce_mu=MU, adnce_sigma=SIGMA)
    (found,) = torch.autograd.grad(objective(positive, negative), z, retain_graph=True)
    (expected,) = torch.autograd.grad(by_hand[loss](), z)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-14)


def test_anchors_without_negatives_have_no_loss_for_graphs():
    positive, negative = opposite_pairs(randn(12, 4).requires_grad_())
    everyone = torch.ones_like(negative, dtype=torch.bool)
    value = Objective("adnce_graph")(positive, negative, everyone, PairRemedy(remove=True))
    assert value.item() == 0
    value.backward()


# --- the control: InfoNCE at ADNCE's radius ---------------------------------------------------------


@pytest.mark.parametrize(("tau", "mu", "sigma"), [(0.4, 0.7, 0.5), (0.3, 0.5, 1.0), (0.2, 0.8, 1.0), (0.05, 0.7, 1.0)])
@pytest.mark.parametrize("seed", range(3))
def test_the_controls_temperature_is_that_of_equal_radius(tau, mu, sigma, seed):
    _, negative = two_view_pairs(randn(40, 6, seed=seed))
    rows = [[s for s in row if s > -math.inf] for row in negative.tolist()]
    expected = dro.equal_radius_temperature(rows, tau, mu, sigma)
    assert equal_radius_temperature(negative, tau, mu, sigma).item() == pytest.approx(expected, rel=1e-10)


def test_the_control_is_nt_xent_at_that_temperature():
    positive, negative = two_view_pairs(randn(40, 6))
    tau = equal_radius_temperature(negative, 0.4, 0.7, 0.5).item()
    assert tau < 0.3  # around μ = .7 ADNCE prefers larger cosines: a lower temperature goes as far
    found = Objective("equal_radius", 0.4, adnce_mu=0.7, adnce_sigma=0.5)(positive, negative)
    assert found.item() == pytest.approx(Objective("nt_xent", tau)(positive, negative).item(), rel=1e-12)


def test_of_many_anchors_some_tell_the_radius():
    _, negative = two_view_pairs(randn(1000, 6))
    some = negative[torch.linspace(0, 999, 128).round().long()]
    found = equal_radius_temperature(negative, 0.4, 0.7, 0.5)
    assert found == equal_radius_temperature(some, 0.4, 0.7, 0.5)
    everyone = dro.equal_radius_temperature([row[row > -torch.inf].numpy() for row in negative], 0.4, 0.7, 0.5)
    assert found.item() == pytest.approx(everyone, rel=0.01)


@pytest.mark.parametrize("spread", [1, 1e-2, 1e-3])
def test_in_seven_digits_the_control_is_the_same(spread):
    """Cosines that are nearly alike, as early in training."""
    z = torch.ones(64) + spread * torch.randn(200, 64, generator=torch.Generator().manual_seed(0))
    _, negative = two_view_pairs(z)
    rows = [row[row > -torch.inf].double().numpy() for row in negative[torch.linspace(0, 199, 128).round().long()]]
    found = equal_radius_temperature(negative, 0.4, 0.7, 0.5)
    assert found.dtype == torch.float32
    assert found.item() == pytest.approx(dro.equal_radius_temperature(rows, 0.4, 0.7, 0.5), rel=1e-3)


def test_without_weights_the_control_is_its_own():
    _, negative = two_view_pairs(randn(20, 4))
    assert equal_radius_temperature(negative, 0.4, 0.7, 1e6).item() == pytest.approx(0.4, rel=1e-6)


# --- MoCHi -----------------------------------------------------------------------------------------


def mochi_batch(framework):
    z = randn(16, 5)
    if framework == "two views":
        unit = unit_rows(z)
        return unit, unit, two_view_pairs(z)[1]
    queue = randn(20, 5, seed=2)
    return unit_rows(z), unit_rows(queue), queue_pairs(z, randn(16, 5, seed=1), queue)[1]


@pytest.mark.parametrize("framework", ["two views", "queue"])
def test_mixed_negatives_are_their_definition(framework):
    anchors, others, negative = mochi_batch(framework)
    mixture = draw_mixture(16, len(others), 0.4, torch.Generator().manual_seed(3))
    found = mixed_negatives(anchors, others, negative, mixture)
    n = mixture.hardest
    assert found.shape == (16, n // 2 + n // 4)
    for a in range(16):
        q, hardest = anchors[a].numpy(), sorted(range(len(others)), key=lambda j: -negative[a, j].item())[:n]
        vectors = []
        for i, j, share in zip(mixture.first[a], mixture.second[a], mixture.share[a], strict=True):
            vectors.append(share.item() * others[hardest[i]].numpy() + (1 - share.item()) * others[hardest[j]].numpy())
        for j, share in zip(mixture.with_anchor[a], mixture.anchor_share[a], strict=True):
            vectors.append(share.item() * q + (1 - share.item()) * others[hardest[j]].numpy())
        cosines = [q @ v / np.linalg.norm(v) for v in vectors]
        np.testing.assert_allclose(found[a].numpy(), cosines, rtol=1e-12)


def test_draws_are_within_their_ranges_and_of_the_papers_proportions():
    mixture = draw_mixture(3, 16_384, 1 / 16, torch.Generator().manual_seed(0))
    assert (mixture.hardest, mixture.first.shape[1], mixture.with_anchor.shape[1]) == (1024, 512, 256)
    for ranks in (mixture.first, mixture.second, mixture.with_anchor):
        assert 0 <= ranks.min() < 10
        assert 1000 < ranks.max() < 1024
    assert 0.98 < mixture.share.max() < 1
    assert 0.48 < mixture.anchor_share.max() < 0.5
    for share, negatives in ((0, 100), (0.6, 100), (0.1, 3)):
        with pytest.raises(ParameterError):
            draw_mixture(3, negatives, share, torch.Generator())


def test_mixtures_are_constants_for_all_but_the_anchor():
    anchors, others, negative = mochi_batch("queue")
    anchors, others = anchors.clone().requires_grad_(), others.clone().requires_grad_()
    mixture = draw_mixture(16, 20, 0.4, torch.Generator().manual_seed(3))
    mixed_negatives(anchors, others, negative, mixture).sum().backward()
    assert others.grad is None
    mixed = torch.autograd.functional.jacobian(lambda q: mixed_negatives(q, others, negative, mixture)[0, 0], anchors)
    assert mixed[0].norm().item() == pytest.approx(1, rel=1e-6)  # the mixture itself: of length 1


def test_the_module_mixes_and_leaves_mixtures_unflagged():
    z, objective = randn(16, 5), Objective("mochi", TAU, mochi_share=0.3)
    remedy = PairRemedy(sigma=0.2, pos_high=0.1, pos_low=0.4)
    torch.manual_seed(5)
    found = ContrastiveLoss(objective, sigma=0.2, pos_high=0.1, pos_low=0.4)(z[:8], z[8:])
    torch.manual_seed(5)
    seed = int(torch.randint(2**62, ()))
    positive, negative = two_view_pairs(z)
    wide = with_mixed(unit_rows(z), unit_rows(z), negative, 0.3, seed)
    assert wide.shape[1] == 16 + 2 + 1
    flagged = torch.zeros_like(wide, dtype=torch.bool)
    flagged[:, :16] = flag(positive, negative, remedy).negative
    assert flagged.any()
    expected = info_nce(*pair_logits(positive, wide, TAU, flagged, remedy))
    assert found.item() == pytest.approx(expected.item(), rel=1e-12)
    assert expected > info_nce(*pair_logits(positive, wide, TAU)) > Objective("nt_xent", TAU)(positive, negative)


def test_removed_negatives_are_not_mixed():
    anchors, others, negative = mochi_batch("queue")
    removed = negative > 0.2
    removed[3] = True  # which leaves this anchor nothing to mix
    removed[4] = torch.arange(20) != 7  # and this one a single negative
    found = with_mixed(anchors, others, negative, 0.4, 0, removed)[:, 20:]
    assert (found[3] == -torch.inf).all()
    mixture = draw_mixture(16, 20, 0.4, torch.Generator().manual_seed(0))
    expected = mixed_negatives(anchors, others, negative.masked_fill(removed, -torch.inf), mixture)
    assert torch.equal(found, expected)
    alone = mixture.first.shape[1]
    assert found[4, :alone].numpy() == pytest.approx(negative[4, 7].item(), rel=1e-6)
    assert found.isfinite().sum() == found.numel() - found.shape[1]
