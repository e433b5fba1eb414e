import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from empirical.arms import PairRemedy
from empirical.losses import (
    LOSSES,
    ContrastiveLoss,
    Objective,
    adnce,
    cosine_similarities,
    debiased,
    diagnostics,
    hard_negative,
    info_nce,
    pair_logits,
    queue_pairs,
    spectral,
    two_view_pairs,
)
from empirical.selection import difficult_pairs
from theory.checks import ParameterError
from theory.dro import robust_radius

REMEDIES = {
    "nothing": PairRemedy(),
    "margin": PairRemedy(sigma=0.3),
    "temperature": PairRemedy(rho=0.6),
    "combined": PairRemedy(sigma=0.3, rho=0.6),
    "removal": PairRemedy(remove=True),
}
OBJECTIVES = {
    "nt_xent": Objective("nt_xent", 0.4),
    "debiased": Objective("debiased", 0.4, prior=0.15),
    "debiased, mostly at its floor": Objective("debiased", 0.4, prior=0.9),
    "hcl": Objective("hcl", 0.4, prior=0.15, concentration=1.7),
    "adnce": Objective("adnce", 0.4, adnce_mu=0.3, adnce_sigma=0.4),
    "spectral": Objective("spectral", 0.4),
}


def randn(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def two_views(seed=0):
    positive, negative = two_view_pairs(randn(12, 4, seed=seed))
    flagged = torch.rand(negative.shape, generator=torch.Generator().manual_seed(seed)) < 0.4
    return positive, negative, flagged | flagged.T  # also true where there is no pair, to be ignored


def queue(seed=0):
    positive, negative = queue_pairs(randn(6, 4, seed=seed), randn(6, 4, seed=seed + 1), randn(9, 4, seed=seed + 2))
    return positive, negative, torch.rand(negative.shape, generator=torch.Generator().manual_seed(seed)) < 0.4


BATCHES = {"two views": two_views, "queue": queue}


# --- definitions, anchor by anchor and negative by negative -----------------------------------------


def naive_logits(row, flags, tau, rectify, remedy):
    """Logit and raw cosine of each negative of one anchor."""
    found = []
    for cosine, flag in zip(row, flags, strict=True):
        if cosine == -math.inf or (flag and remedy.remove):
            continue
        value = cosine + remedy.sigma if flag else cosine
        sharper = flag and (value > 0 or not rectify)
        found.append((value / (tau * remedy.rho) if sharper else value / tau, cosine))
    return found


def naive(objective, positive, negative, flagged, remedy):
    o, total, squares = objective, 0.0, []
    rows = zip(positive.tolist(), negative.tolist(), flagged.tolist(), strict=True)
    for cosine, row, flags in rows:
        found = naive_logits(row, flags, o.tau, o.loss != "spectral", remedy)
        p, n = math.exp(cosine / o.tau), [math.exp(logit) for logit, _ in found]
        if o.loss == "spectral":
            squares += [logit**2 for logit, _ in found]
            total -= 2 * cosine / o.tau
            continue
        weights = [1.0] * len(n)
        if o.loss == "hcl":
            weights = [math.exp(o.concentration * logit) for logit, _ in found]
        if o.loss == "adnce":
            weights = [math.exp(-((raw - o.adnce_mu) ** 2) / (2 * o.adnce_sigma**2)) for _, raw in found]
        repulsion = sum(len(n) * w / sum(weights) * e for w, e in zip(weights, n, strict=True))
        if o.loss in ("debiased", "hcl"):
            repulsion = max((repulsion - o.prior * len(n) * p) / (1 - o.prior), len(n) * math.exp(-1 / o.tau))
        total -= math.log(p / (p + repulsion))
    if o.loss == "spectral":
        return o.tau * (sum(squares) / max(1, len(squares)) + total / len(positive))
    return total / len(positive)


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("remedy", REMEDIES)
@pytest.mark.parametrize("loss", OBJECTIVES)
def test_every_loss_with_every_remedy_equals_its_definition(batch, remedy, loss):
    positive, negative, flagged = BATCHES[batch]()
    objective, applied = OBJECTIVES[loss], REMEDIES[remedy]
    expected = naive(objective, positive, negative, flagged, applied)
    assert objective(positive, negative, flagged, applied).item() == pytest.approx(expected, rel=1e-12)


def test_cosines_equal_their_definition():
    a, b = randn(5, 3), randn(4, 3, seed=1)
    for x, y in ((a, b), (a, a)):
        expected = [[np.dot(u, v) / math.sqrt(np.dot(u, u) * np.dot(v, v)) for v in y.numpy()] for u in x.numpy()]
        np.testing.assert_allclose(cosine_similarities(x, None if y is x else y).numpy(), expected, atol=1e-14)


def test_pairs_of_two_views_are_all_pairs_of_different_images():
    z = randn(10, 3)
    cosines = cosine_similarities(z)
    positive, negative = two_view_pairs(z)
    for i in range(10):
        assert positive[i] == pytest.approx(cosines[i, (i + 5) % 10].item(), abs=1e-14)
        for j in range(10):
            expected = -math.inf if i % 5 == j % 5 else cosines[i, j].item()
            assert negative[i, j].item() == pytest.approx(expected, abs=1e-14)


def test_pairs_of_a_queue_give_no_gradient_to_keys():
    query, key, keys = (x.requires_grad_() for x in (randn(3, 4), randn(3, 4, seed=1), randn(5, 4, seed=2)))
    positive, negative = queue_pairs(query, key, keys)
    assert torch.allclose(positive, cosine_similarities(query, key).diagonal())
    assert torch.allclose(negative, cosine_similarities(query, keys))
    info_nce(positive, negative).backward()
    assert query.grad.abs().sum() > 0
    assert key.grad is None
    assert keys.grad is None


def test_short_rows_count_in_proportion_within_the_radius():
    z = torch.tensor([[3.0, 0.0], [0.0, 1.0], [0.6, 0.8], [1.0, 0.0]])
    expected = torch.tensor([[1, 0, 0.3, 0.5], [0, 0.25, 0.2, 0], [0.3, 0.2, 0.25, 0.15], [0.5, 0, 0.15, 0.25]])
    assert torch.allclose(cosine_similarities(z, radius=2.0), expected)


# --- limits against each other ---------------------------------------------------------------------


@pytest.fixture(params=BATCHES)
def logits(request):
    positive, negative, flagged = BATCHES[request.param]()
    return (*pair_logits(positive, negative, 0.4, flagged, PairRemedy(sigma=0.2)), negative)


def test_without_prior_debiased_is_nt_xent(logits):
    positive, negative, _ = logits
    assert torch.equal(debiased(positive, negative, 0.4, 0.0), info_nce(positive, negative))


def test_without_concentration_hcl_is_debiased(logits):
    positive, negative, _ = logits
    expected = debiased(positive, negative, 0.4, 0.2)
    assert torch.equal(hard_negative(positive, negative, 0.4, 0.2, 0.0), expected)
    nearly = hard_negative(positive, negative, 0.4, 0.2, 1e-9)
    assert nearly.item() == pytest.approx(expected.item(), rel=1e-7)


def test_hcl_approaches_the_hardest_negative(logits):
    positive, negative, _ = logits
    count = (negative > -torch.inf).sum(dim=1)
    hardest = torch.logaddexp(positive, count.log() + negative.amax(dim=1)) - positive
    found = hard_negative(positive, negative, 0.4, 0.0, 1e5)
    assert found.item() == pytest.approx(hardest.mean().item(), rel=1e-6)


def test_a_wide_adnce_is_nt_xent(logits):
    positive, negative, cosines = logits
    expected = info_nce(positive, negative).item()
    assert adnce(positive, negative, cosines, 0.7, 1e8).item() == pytest.approx(expected, rel=1e-12)
    assert adnce(positive, negative, cosines, 0.7, 0.5).item() != pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("loss", OBJECTIVES)
def test_neutral_remedies_change_nothing(loss):
    positive, negative, flagged = two_views()
    plain = OBJECTIVES[loss](positive, negative)
    assert torch.allclose(OBJECTIVES[loss](positive, negative, flagged, PairRemedy()), plain, rtol=1e-14)
    nobody = torch.zeros_like(flagged)
    for remedy in REMEDIES.values():
        assert torch.allclose(OBJECTIVES[loss](positive, negative, nobody, remedy), plain, rtol=1e-14)


@pytest.mark.parametrize("loss", OBJECTIVES)
def test_removal_is_the_loss_without_these_negatives(loss):
    positive, negative, flagged = queue()
    flagged[:] = flagged[0]  # the same keys for everyone, so that they can be left out of the queue
    expected = OBJECTIVES[loss](positive, negative[:, ~flagged[0]])
    assert torch.allclose(OBJECTIVES[loss](positive, negative, flagged, REMEDIES["removal"]), expected, rtol=1e-13)


def test_identical_embeddings_give_the_log_of_the_candidates():
    assert info_nce(*two_view_pairs(torch.ones(12, 3))).item() == pytest.approx(math.log(11), rel=1e-6)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("tau", [1e-3, 1e3])
def test_extreme_temperatures_stay_finite(loss, tau):
    z = randn(8, 2, seed=1).float().requires_grad_()
    value = Objective(loss, tau)(*two_view_pairs(z))
    value.backward()
    assert value.isfinite()
    assert z.grad.isfinite().all()


# --- gradients -------------------------------------------------------------------------------------


@pytest.mark.parametrize("views", [True, False], ids=["two views", "queue"])
@pytest.mark.parametrize("remedy", REMEDIES)
@pytest.mark.parametrize("loss", OBJECTIVES)
def test_gradients_agree_with_finite_differences(views, remedy, loss):
    flagged = (two_views if views else queue)()[2]
    constants = randn(6, 3, seed=5), randn(9, 3, seed=6)

    def value(z):
        positive, negative = two_view_pairs(z) if views else queue_pairs(z, *constants)
        if loss == "adnce":  # its weights are constants for the gradient
            weighed = two_view_pairs(z0)[1] if views else queue_pairs(z0, *constants)[1]
            p, n = pair_logits(positive, negative, 0.4, flagged, REMEDIES[remedy])
            return adnce(p, n, weighed, 0.3, 0.4)
        return OBJECTIVES[loss](positive, negative, flagged, REMEDIES[remedy])

    z0 = randn(12 if views else 6, 3, seed=4)
    assert torch.autograd.gradcheck(value, (z0.clone().requires_grad_(),))


def test_weights_of_adnce_are_detached():
    z = randn(8, 3).requires_grad_()
    positive, negative = two_view_pairs(z)
    p, n = pair_logits(positive, negative, 0.4)
    (attached,) = torch.autograd.grad(adnce(p, n, negative, 0.3, 0.4), z, retain_graph=True)
    (detached,) = torch.autograd.grad(adnce(p, n, negative.detach(), 0.3, 0.4), z)
    assert torch.equal(attached, detached)


@pytest.mark.parametrize("loss", OBJECTIVES)
def test_anchors_without_negatives_have_no_loss_and_no_gradient(loss):
    z = randn(10, 3).requires_grad_()
    positive, negative = two_view_pairs(z)
    value = OBJECTIVES[loss](positive, negative, torch.ones(10, 10, dtype=torch.bool), REMEDIES["removal"])
    value.backward()
    assert z.grad.isfinite().all()
    if loss != "spectral":  # which still draws the positives together
        assert value.item() == pytest.approx(0, abs=1e-12)
        assert z.grad.abs().max() < 1e-12


# --- properties ------------------------------------------------------------------------------------


@given(seed=st.integers(0, 1000), loss=st.sampled_from(list(OBJECTIVES)), remedy=st.sampled_from(list(REMEDIES)))
def test_order_of_images_does_not_matter(seed, loss, remedy):
    z, order = randn(12, 4, seed=seed), np.random.default_rng(seed).permutation(6)
    order = torch.from_numpy(np.concatenate([order, order + 6]))
    values = []
    for batch in (z, z[order]):
        positive, negative = two_view_pairs(batch)
        values.append(OBJECTIVES[loss](positive, negative, negative > 0.3, REMEDIES[remedy]).item())
    assert values[0] == pytest.approx(values[1], rel=1e-10)


@given(
    seed=st.integers(0, 1000),
    loss=st.sampled_from(["nt_xent", "adnce", "debiased"]),
    sigmas=st.lists(st.floats(0, 2), min_size=2, max_size=2).map(sorted),
    rhos=st.lists(st.floats(0.1, 1), min_size=2, max_size=2).map(sorted),
)
def test_stronger_remedies_repel_more(seed, loss, sigmas, rhos):
    positive, negative, flagged = two_views(seed)
    weak = OBJECTIVES[loss](positive, negative, flagged, PairRemedy(sigmas[0], rhos[1]))
    strong = OBJECTIVES[loss](positive, negative, flagged, PairRemedy(sigmas[1], rhos[0]))
    assert strong >= weak - 1e-12


def test_a_lower_temperature_leaves_negative_cosines_alone():
    positive, negative, flagged = two_views()
    negative = torch.where(negative > -torch.inf, -negative.abs(), negative)
    plain = info_nce(*pair_logits(positive, negative, 0.4))
    assert torch.allclose(info_nce(*pair_logits(positive, negative, 0.4, flagged, PairRemedy(rho=0.5))), plain)
    _, sharpened = pair_logits(positive, negative, 0.4, flagged, PairRemedy(rho=0.5), rectify=False)
    assert torch.allclose(sharpened[flagged], negative[flagged] / 0.2)


# --- peers -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("tau", [0.1, 0.5])
def test_nt_xent_is_that_of_lightly(tau):
    from lightly.loss import NTXentLoss

    ours, theirs = randn(2, 16, 8).float(), randn(2, 16, 8).float()
    ours.requires_grad_()
    theirs.requires_grad_()
    value, expected = ContrastiveLoss(Objective(tau=tau))(*ours), NTXentLoss(temperature=tau)(*theirs)
    value.backward()
    expected.backward()
    assert value.item() == pytest.approx(expected.item(), rel=1e-6)
    assert torch.allclose(ours.grad, theirs.grad, atol=1e-7)


def test_nt_xent_is_that_of_pytorch_metric_learning():
    from pytorch_metric_learning.losses import NTXentLoss, SelfSupervisedLoss

    z = randn(2, 16, 8).float()
    expected = SelfSupervisedLoss(NTXentLoss(temperature=0.2))(*z)
    assert ContrastiveLoss(Objective(tau=0.2))(*z).item() == pytest.approx(expected.item(), rel=1e-5)


# --- diagnostics -----------------------------------------------------------------------------------


def test_diagnostics_equal_the_robust_radius_of_each_anchor():
    _, negative, _ = two_views()
    radii, numbers = [], []
    for row in negative.tolist():
        scores = np.array([value for value in row if value > -math.inf])
        weights = np.exp(scores / 0.4) / np.exp(scores / 0.4).sum()
        radii.append(robust_radius(scores, 0.4))
        numbers.append(math.exp(-(weights * np.log(weights)).sum()))
    assert diagnostics(negative / 0.4).tolist() == pytest.approx([np.mean(radii), np.mean(numbers)], rel=1e-10)


def test_diagnostics_at_their_limits():
    equal = torch.zeros(3, 7, dtype=torch.float64)
    assert diagnostics(equal).tolist() == pytest.approx([0, 7], abs=1e-12)
    one = torch.tensor([[0.0, *[-1e6] * 6]], dtype=torch.float64)
    assert diagnostics(one).tolist() == pytest.approx([math.log(7), 1])
    alone = torch.full((1, 7), -torch.inf, dtype=torch.float64)
    assert torch.equal(diagnostics(torch.cat([equal, alone])), diagnostics(equal))  # who has none does not count
    assert diagnostics(alone).isnan().all()


def test_diagnostics_of_many_anchors_equal_those_of_a_few(monkeypatch):
    negative = two_views()[1]
    whole = diagnostics(negative)
    monkeypatch.setattr("empirical.losses.logits.DIAGNOSED_ROWS", 5)
    assert torch.allclose(diagnostics(negative), whole)


# --- the module ------------------------------------------------------------------------------------


def test_module_equals_the_functions():
    z, h = randn(2, 20, 4), randn(2, 20, 6, seed=1).abs()
    module = ContrastiveLoss(Objective("hcl", 0.3), sigma=0.2, rho=0.7, pos_high=0.1, pos_low=0.3)
    assert list(module.parameters()) == []
    positive, negative = two_view_pairs(torch.cat([*z]))
    for features, arguments in ((h, (*z, *h)), (z, (*z,))):
        flagged = difficult_pairs(two_view_pairs(torch.cat([*features]))[1], 0.1, 0.3)
        expected = module.objective(positive, negative, flagged, PairRemedy(0.2, 0.7))
        assert torch.equal(module(*arguments), expected)
    assert "hcl" in repr(nn.Sequential(module))


def test_selection_sends_no_gradient_to_the_features():
    z, h = randn(2, 10, 4).requires_grad_(), randn(2, 10, 6).requires_grad_()
    ContrastiveLoss(sigma=0.2, pos_high=0.1, pos_low=0.5)(*z, *h).backward()
    assert z.grad.abs().sum() > 0
    assert h.grad is None


def test_cosines_are_not_rounded_under_autocast():
    z = randn(8, 4).float()
    exact = two_view_pairs(z)[1]
    with torch.autocast("cpu", torch.bfloat16):
        positive, negative = two_view_pairs(z)
        assert negative.dtype == positive.dtype == torch.float32
        assert torch.equal(negative, exact)
        assert cosine_similarities(z.bfloat16()).dtype == torch.float32


# --- bad input -------------------------------------------------------------------------------------


@pytest.mark.parametrize("tau", [0, float("nan")])
def test_the_temperature_of_logits_is_checked(tau):
    positive, negative, flagged = two_views()
    with pytest.raises(ParameterError, match=f"^tau = {tau} violates "):
        pair_logits(positive, negative, tau, flagged)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("loss", "spectrall"),
        ("tau", 0),
        ("tau", math.inf),
        ("prior", 1),
        ("prior", -0.1),
        ("concentration", -1),
        ("adnce_mu", math.nan),
        ("adnce_sigma", 0),
    ],
)
def test_parameters_of_objectives_are_checked(field, value):
    with pytest.raises(ParameterError, match=f"^{field} = {value} violates "):
        replace(Objective(), **{field: value})


def test_unknown_loss_suggests_the_nearest():
    with pytest.raises(ParameterError, match="did you mean spectral"):
        Objective("spectrall")


def test_parameters_of_functions_are_checked():
    positive, negative, _ = two_views()
    for call, message in (
        (lambda: debiased(positive, negative, 0.5, 1.0), "^prior = 1.0"),
        (lambda: debiased(positive, negative, 0, 0.1), "^tau = 0"),
        (lambda: hard_negative(positive, negative, 0.5, 0.1, -1), "^concentration = -1"),
        (lambda: adnce(positive, negative, negative, 0.5, 0), "^width = 0"),
        (lambda: spectral(positive, negative, -1), "^tau = -1"),
        (lambda: ContrastiveLoss(rho=2), "^rho = 2"),
        (lambda: ContrastiveLoss(sigma=-1), "^sigma = -1"),
        (lambda: ContrastiveLoss(pos_high=0.5, pos_low=0.1), "^pos_low = 0.1"),
    ):
        with pytest.raises(ParameterError, match=message):
            call()


def test_shapes_are_checked():
    positive, negative, flagged = two_views()
    for call, message in (
        (lambda: two_view_pairs(randn(5, 3)), r"^z = shape \(5, 3\)"),
        (lambda: two_view_pairs(randn(6)), "^z = "),
        (lambda: queue_pairs(randn(4), randn(4), randn(5, 3)), "^query = "),
        (lambda: queue_pairs(randn(4, 3), randn(5, 3), randn(5, 3)), "^key = "),
        (lambda: queue_pairs(randn(4, 3), randn(4, 3), randn(5, 2)), "^queue = "),
        (lambda: pair_logits(positive, negative, 0.5, flagged.float()), "^flagged = torch.float32"),
        (lambda: pair_logits(positive, negative, 0.5, flagged[:3]), "^flagged = torch.bool of shape"),
        (lambda: ContrastiveLoss()(randn(4, 3), randn(5, 3)), "^z1 = "),
        (lambda: ContrastiveLoss()(randn(4, 3), randn(4, 3), randn(4, 3)), "^h0, h1 = one"),
    ):
        with pytest.raises(ParameterError, match=message):
            call()
