"""The paper's arms against equations 12 to 16, written again view by view and pair by pair."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from empirical.arms import PairRemedy, pair_remedy
from empirical.losses import NO_REMEDY, ContrastiveLoss, Objective, info_nce, pair_logits, queue_pairs, two_view_pairs
from empirical.paper import STATED
from empirical.selection import NO_FLAGS, flag, in_half_open, percentile_band
from theory.checks import ParameterError

TAU, SIGMA, RHO = 0.4, 0.3, 0.6
FORMS = {
    "margin": PairRemedy(sigma=SIGMA, as_printed=True),
    "temperature": PairRemedy(rho=RHO, as_printed=True),
    "combined": PairRemedy(sigma=SIGMA, rho=RHO, as_printed=True),
    "removal": PairRemedy(remove=True, as_printed=True),
}
EXPONENTS = {  # of equations 14, 15, 16 and 13
    "margin": lambda s, p: (s + p * SIGMA) / TAU,
    "temperature": lambda s, p: s / ((p * RHO + (1 - p)) * TAU),
    "combined": lambda s, p: (s + p * SIGMA) / ((p * RHO + (1 - p)) * TAU),
    "removal": lambda s, p: s * (1 - p) / TAU,
}


def randn(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def cosine(u, v):
    return (u * v).sum() / (u.norm() * v.norm())


def percentile(similarities, share):
    """The similarity at a percentile of the descending order."""
    rank = math.ceil(round(share * len(similarities), 9))
    return sorted(similarities, reverse=True)[rank - 1] if rank else math.inf


def indicators(h, high, low, by_row):
    """Equation 12: p_ij of every view i with every other view j, all views ranked together or each on its own."""
    views = range(len(h))
    s = {(i, j): cosine(h[i], h[j]).item() for i in views for j in views if i != j}
    p = {}
    for i, j in s:
        ranked = [s[pair] for pair in s if pair[0] == i] if by_row else list(s.values())
        p[i, j] = int(percentile(ranked, low) <= s[i, j] < percentile(ranked, high))
    return p


def printed(form, h, z, high, low, by_row):
    """Algorithm 1 with the images' views at i and i + N: the mean of the losses of both directions."""
    p, images, total = indicators(h, high, low, by_row), len(z) // 2, 0.0
    exponent = EXPONENTS[form]
    for i in range(len(z)):
        j = (i + images) % len(z)
        numerator = exponent(cosine(z[i], z[j]), p[i, j]).exp()
        terms = [exponent(cosine(z[i], z[k]), p[i, k]).exp() for k in range(len(z)) if k != i]
        total = total - torch.log(numerator / torch.stack(terms).sum())
    return total / len(z)


@pytest.mark.parametrize("by_row", [False, True], ids=["batch", "row"])
@pytest.mark.parametrize(("high", "low"), [(0.15, 0.22), (0.013, 0.5), (0.0, 1.0), (0.4, 0.9), (0.3, 0.3)])
@pytest.mark.parametrize("form", FORMS)
def test_the_papers_arms_are_its_equations(form, high, low, by_row):
    h, z = randn(12, 5, seed=1), randn(12, 4, seed=2)
    z[6:] += z[:6]  # positives that are alike, some of which the band holds
    expected_at, found_at = (z.clone().requires_grad_() for _ in range(2))
    expected = printed(form, h, expected_at, high, low, by_row)
    remedy = replace(FORMS[form], pos_high=high, pos_low=low, select="row" if by_row else "rank")
    flags = flag(*two_view_pairs(h), remedy)
    found = Objective(tau=TAU)(*two_view_pairs(found_at), flags.negative, remedy, flags.positive)
    assert found.item() == pytest.approx(expected.item(), rel=1e-12)
    (gradient,), (wanted,) = (torch.autograd.grad(*pair) for pair in ((found, found_at), (expected, expected_at)))
    torch.testing.assert_close(gradient, wanted, rtol=1e-10, atol=1e-12)


def test_the_band_holds_positives_and_they_count():
    """What tells the paper's arms from ours: with the positives left alone the loss is another."""
    h, z = randn(12, 5, seed=1), randn(12, 4, seed=2)
    remedy = replace(FORMS["combined"], pos_high=0.1, pos_low=0.9)
    flags = flag(*two_view_pairs(h), remedy)
    assert 0 < flags.positive.sum() < 12
    spared = Objective(tau=TAU)(*two_view_pairs(z), flags.negative, remedy)
    assert Objective(tau=TAU)(*two_view_pairs(z), flags.negative, remedy, flags.positive) != spared


def test_the_module_is_the_same_loss():
    h, z = randn(12, 5, seed=1), randn(12, 4, seed=2)
    criterion = ContrastiveLoss(Objective(tau=TAU), SIGMA, RHO, False, 0.1, 0.6, as_printed=True)
    expected = printed("combined", h, z, 0.1, 0.6, by_row=False)
    assert criterion(z[:6], z[6:], h[:6], h[6:]).item() == pytest.approx(expected.item(), rel=1e-12)


@given(seed=st.integers(0, 10_000), high=st.floats(0, 1), width=st.floats(0, 1), by_row=st.booleans())
@settings(deadline=None, max_examples=40)
def test_the_band_holds_as_many_pairs_as_its_shares(seed, high, width, by_row):
    low = high + width * (1 - high)
    positive, negative = queue_pairs(*(randn(n, 4, seed=3 * seed + i) for i, n in enumerate((7, 7, 11))))
    table = torch.cat([positive[:, None], negative], dim=1)
    flagged = in_half_open(table, percentile_band(table, high, low, by_row))
    for rows in flagged if by_row else [flagged]:
        count = rows.numel()
        assert rows.sum() == math.ceil(low * count - 1e-9) - math.ceil(high * count - 1e-9)


def test_a_margin_on_every_pair_changes_nothing():
    """Equation 14 cancels: the paper's margin on all samples is its baseline."""
    positive, negative = two_view_pairs(randn(12, 4))
    everyone = replace(FORMS["margin"], select="all")
    flags = flag(positive, negative, everyone)
    found = Objective(tau=TAU)(positive, negative, flags.negative, everyone, flags.positive)
    assert found.item() == pytest.approx(Objective(tau=TAU)(positive, negative).item(), rel=1e-12)


def test_a_temperature_on_every_pair_is_another_temperature():
    positive, negative = two_view_pairs(randn(12, 4))
    everyone = replace(FORMS["temperature"], select="all")
    flags = flag(positive, negative, everyone)
    found = Objective(tau=TAU)(positive, negative, flags.negative, everyone, flags.positive)
    assert found.item() == pytest.approx(Objective(tau=RHO * TAU)(positive, negative).item(), rel=1e-12)


@pytest.mark.parametrize("data", ["cifar10", "cifar100"])
@pytest.mark.parametrize("framework", ["two views", "queue"])
@pytest.mark.parametrize(("arm", "factor"), [("paper_margin_all", 1.0), ("paper_temperature_all", None)])
def test_the_controls_on_every_pair_train_as_the_baseline_at_a_temperature(arm, factor, framework, data):
    """In value and gradient: τ for the margin, which cancels in equation 14, and ρτ for the temperature."""
    remedy, tau = pair_remedy(arm, None, data=data), STATED[data].tau
    losses, gradients = [], []
    for form, temperature in ((remedy, tau), (NO_REMEDY, tau * (factor or remedy.rho))):
        z = randn(24, 6, seed=4).requires_grad_()
        positive, negative = two_view_pairs(z) if framework == "two views" else queue_pairs(z, z.flip(0), randn(30, 6))
        flags = flag(positive, negative, form) if form is remedy else NO_FLAGS
        loss = Objective(tau=temperature)(positive, negative, flags.negative, form, flags.positive)
        losses.append(loss.item())
        gradients.append(torch.autograd.grad(loss, z)[0])
    assert losses[0] == pytest.approx(losses[1], abs=1e-10, rel=0)
    torch.testing.assert_close(*gradients, rtol=0, atol=1e-10)


@pytest.mark.parametrize("form", FORMS)
def test_random_pairs_are_changed_as_printed_positives_at_the_same_share(form):
    remedy = pair_remedy(f"paper_{form}_random", None, data="cifar10")
    z = randn(400, 6)
    positive, negative = two_view_pairs(z)
    flags = flag(positive, negative, remedy, seed=3)
    assert torch.equal(flags.negative, flags.negative.T)
    for flagged, there in ((flags.negative, negative > -torch.inf), (flags.positive, positive > -torch.inf)):
        share, number = remedy.pos_low - remedy.pos_high, there.sum()
        assert flagged.sum() / number == pytest.approx(share, abs=5 * math.sqrt(share / number))
    chosen = replace(remedy, sigma=remedy.sigma and SIGMA, rho=RHO if remedy.rho != 1 else 1.0)
    found = pair_logits(positive, negative, TAU, flags.negative, chosen, True, flags.positive)
    exponent = EXPONENTS[form]
    torch.testing.assert_close(found[0], exponent(positive, flags.positive.double()))
    there = negative > -torch.inf
    torch.testing.assert_close(found[1][there], exponent(negative, flags.negative.double())[there])


def test_an_infinite_temperature_removes_as_the_paper_removes():
    """Table 9 calls ρ = 1e9 discarding: a logit of 0, as in equation 13."""
    positive, negative = two_view_pairs(randn(12, 4))
    flags = flag(positive, negative, replace(FORMS["removal"], pos_high=0.2, pos_low=0.7))
    discarded, removed = (
        info_nce(*pair_logits(positive, negative, TAU, flags.negative, remedy, True, flags.positive)).item()
        for remedy in (PairRemedy(rho=1e9, as_printed=True), FORMS["removal"])
    )
    assert discarded == pytest.approx(removed, rel=1e-8)


def test_masks_of_the_wrong_shape_are_refused():
    positive, negative = two_view_pairs(randn(8, 3))
    with pytest.raises(ParameterError, match="flagged_positive"):
        pair_logits(positive, negative, TAU, negative > 0, FORMS["margin"], True, negative[0, :5] > 0)
