"""GloFND's thresholds against Adam on each image's own quantile loss, one image at a time; the oracle pair by pair."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from empirical.arms import Given, PairRemedy, pair_remedy
from empirical.data import load
from empirical.losses import Objective, opposite_pairs, queue_pairs, two_view_pairs
from empirical.selection import NO_FLAGS, flag
from empirical.train.labels import PairLabels
from empirical.train.loop import batch_loss, train
from empirical.train.observers import Observer
from empirical.train.selectors import BandSelector, KnownSelector, LabelSelector, Thresholds, make_selector
from empirical.train.settings import Settings
from empirical.train.simclr import Pairs
from theory.checks import ParameterError

CPU = torch.device("cpu")
GLOFND = pair_remedy("glofnd", None)
ORACLE = pair_remedy("oracle", None)


def randn(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def batch(seed, framework="two views"):
    z = randn(12, 4, seed=seed)
    found = two_view_pairs(z) if framework == "two views" else queue_pairs(z[:6], z[6:], randn(30, 4, seed=seed + 1))
    return Pairs(*found, found, z)


def naive(batches, orders, share, rate):
    """Thresholds and flags: each image's begins at its first batch's quantile and follows Adam."""
    state, flagged = {}, []
    for pairs, rows in zip(batches, orders, strict=True):
        negative = pairs.negative.numpy()
        views = len(negative) // len(rows)
        flags = np.zeros(negative.shape, dtype=bool)
        for position, image in enumerate(rows.tolist()):
            anchors = [position + view * len(rows) for view in range(views)]
            similarities = [sorted((s for s in negative[a] if s > -np.inf), reverse=True) for a in anchors]
            if image not in state:
                quantiles = [s[math.ceil(share * len(s) - 1e-9) - 1] for s in similarities]
                state[image] = [np.mean(quantiles), 0.0, 0.0, 0]
            else:
                threshold, m, v, t = state[image]
                gradient = share - np.mean([np.mean([s > threshold for s in line]) for line in similarities])
                m, v, t = 0.9 * m + 0.1 * gradient, 0.98 * v + 0.02 * gradient**2, t + 1
                step = rate * (m / (1 - 0.9**t)) / (math.sqrt(v / (1 - 0.98**t)) + 1e-8)
                state[image] = [min(1, max(-1, threshold - step)), m, v, t]
            for a in anchors:
                flags[a] = negative[a] > state[image][0]
        flagged.append(flags)
    return {image: values[0] for image, values in state.items()}, flagged


@pytest.mark.parametrize("framework", ["two views", "queue"])
def test_thresholds_follow_each_images_quantile(framework):
    batches = [batch(seed, framework) for seed in range(0, 24, 2)]
    orders = [torch.from_numpy(np.random.default_rng(seed).permutation(9)[:6]) for seed in range(12)]
    selector = Thresholds(9, 0.2, 0.05, 0, CPU)
    selector.table = selector.table.double()  # not to compare roundings
    found = [selector.flags(pairs, rows, 0, 0).negative.numpy() for pairs, rows in zip(batches, orders, strict=True)]
    expected, flagged = naive(batches, orders, 0.2, 0.05)
    for image, threshold in expected.items():
        assert selector.table[0, image].item() == pytest.approx(threshold, abs=1e-12)
    assert all((a == b).all() for a, b in zip(found, flagged, strict=True))
    assert np.mean([flags.mean() for flags in found]) == pytest.approx(0.2, abs=0.06)


def test_nothing_is_flagged_before_the_start_and_no_threshold_moves():
    selector = Thresholds(6, 0.2, 0.05, 3, CPU)
    assert not selector.flags(batch(0), torch.arange(6), 2, 0).negative.any()
    assert not selector.table.any()
    assert selector.flags(batch(0), torch.arange(6), 3, 0).negative.any()


def test_a_loaded_selector_goes_on():
    selectors = [Thresholds(6, 0.2, 0.05, 0, CPU) for _ in range(2)]
    selectors[0].flags(batch(0), torch.arange(6), 0, 0)
    selectors[1].load(selectors[0].state())
    here, there = (selector.flags(batch(2), torch.arange(6), 0, 0).negative for selector in selectors)
    assert torch.equal(here, there)


def test_what_is_left_weighs_as_much_as_all_did():
    """GloFND's loss: the mean of e^{s/τ} over the kept negatives, times their number before."""
    pairs, rows = batch(0), torch.arange(6)
    selector = Thresholds(6, 0.3, 0.05, 0, CPU)
    flags = selector.flags(pairs, rows, 0, 0)
    total = 0.0
    for i in range(12):
        there = [j for j in range(12) if pairs.negative[i, j] > -math.inf]
        kept = [math.exp(pairs.negative[i, j].item() / 0.4) for j in there if not flags.negative[i, j]]
        p = math.exp(pairs.positive[i].item() / 0.4)
        total -= math.log(p / (p + len(there) * sum(kept) / len(kept))) / 12
    loss, share = batch_loss(pairs, Objective(tau=0.4), GLOFND, flags)
    assert loss.item() == pytest.approx(total, rel=1e-12)
    assert share.item() == pytest.approx(flags.negative.sum().item() / 120)


@pytest.mark.parametrize("loss", ["spectral", "adnce_graph"])
def test_losses_that_average_their_negatives_are_not_rescaled(loss):
    pairs = batch(0)
    flagged = pairs.negative > 0.3
    found = Objective(loss)(pairs.positive, pairs.negative, flagged, GLOFND)
    plain = Objective(loss)(pairs.positive, pairs.negative.masked_fill(flagged, -torch.inf))
    assert found.item() == pytest.approx(plain.item(), rel=1e-12)


def test_an_anchor_that_keeps_no_negative_has_no_loss():
    z = randn(8, 3).requires_grad_()
    positive, negative = two_view_pairs(z)
    value = Objective()(positive, negative, negative > -torch.inf, GLOFND)
    value.backward()
    assert value.item() == pytest.approx(0, abs=1e-12)
    assert z.grad.isfinite().all()


def test_the_settings_make_the_selector():
    images, settings = load("digits"), Settings()
    assert make_selector(settings, images, CPU).flags(batch(0), torch.arange(6), 0, 0) == NO_FLAGS
    remedy = PairRemedy(sigma=0.1, pos_high=0.1, pos_low=0.5)
    band = make_selector(Settings(remedy=remedy), images, CPU)
    assert isinstance(band, BandSelector)
    pairs = batch(0)
    assert torch.equal(band.flags(pairs, torch.arange(6), 0, 0).negative, flag(*pairs.ranked, remedy).negative)
    thresholds = make_selector(Settings(remedy=GLOFND, epochs=200), images, CPU)
    assert (thresholds.share, thresholds.start, thresholds.table.shape) == (1 / 10, 70, (4, len(images.y_train)))
    assert make_selector(Settings(remedy=GLOFND, glofnd_share=0.01), images, CPU).share == 0.01


# --- the oracle -------------------------------------------------------------------------------------

LABELS = torch.tensor([0, 1, 0, -1, 2, 0, -1, 1, 1])


@pytest.mark.parametrize("compare", [two_view_pairs, opposite_pairs])
def test_the_oracle_leaves_out_an_anchors_class(compare):
    z, rows = randn(12, 4), torch.tensor([8, 2, 0, 3, 6, 1])
    positive, negative = compare(z)
    found = LabelSelector(PairLabels(LABELS, 0, CPU)).flags(Pairs(positive, negative, None, z), rows, 0, 0)
    assert found.positive is None
    total = 0.0
    for i in range(len(negative)):
        terms = [positive[i]]
        for j in range(len(negative)):
            there = negative[i, j] > -math.inf
            own, other = (LABELS[rows[k % 6]].item() for k in (i, j))
            flagged = bool(there) and own == other != -1
            assert found.negative[i, j].item() == flagged
            terms += [negative[i, j]] * (bool(there) and not flagged)
        total -= (positive[i] / 0.4 - (torch.stack(terms) / 0.4).logsumexp(0)) / len(negative)
    loss, share = batch_loss(Pairs(positive, negative, None, z), Objective(tau=0.4), ORACLE, found)
    assert loss.item() == pytest.approx(total.item(), rel=1e-12)
    assert share.item() == pytest.approx(found.negative.sum().item() / (negative > -torch.inf).sum().item())


def test_the_oracle_knows_the_labels_of_the_queue():
    """The queue against one written key by key, over more batches than it holds."""
    selector, z = LabelSelector(PairLabels(LABELS, 10, CPU)), randn(4, 3)
    queue = [-1] * 10
    for step in range(7):
        rows = torch.from_numpy(np.random.default_rng(step).permutation(9)[:4])
        pairs = Pairs(*queue_pairs(z, z, randn(10, 3, seed=step)), None, z)
        found = selector.flags(pairs, rows, 0, 0).negative
        own = LABELS[rows].tolist()
        assert found.tolist() == [[label == key != -1 for key in queue] for label in own]
        for k, label in enumerate(own):
            queue[(4 * step + k) % 10] = label
        resumed = LabelSelector(PairLabels(LABELS, 10, CPU))
        resumed.load(selector.state())
        selector = resumed


class Seen(Observer):
    def __init__(self):
        self.rows = []

    def step(self, batch):
        self.rows += batch.rows.tolist()


def test_the_queues_labels_are_those_of_its_keys(tmp_path):
    """The k-th image of a run is the key at k modulo the queue's size, in the framework and here."""
    settings = Settings(train=100, test=50, encoder="convnet", width=4, dim=8, batch=20, epochs=2, framework="moco")
    settings, seen = replace(settings, queue=70, remedy=ORACLE, arm="oracle"), Seen()
    train(settings, tmp_path, observers=[seen])
    state = torch.load(tmp_path / "checkpoint.pt")
    assert state["selector"]["cursor"] == state["framework"]["cursor"] == 200 % 70
    labels, last = settings.data_set().y_train, range(130, 200)
    expected = {k % 70: labels[seen.rows[k]].item() for k in last}
    assert state["selector"]["keys"].tolist() == [expected[place] for place in range(70)]


def test_an_oracle_without_labels_is_refused_before_anything_is_written(tmp_path):
    images = load("digits")
    blind = replace(images, y_train=torch.full_like(images.y_train, -1))
    settings = Settings(arm="oracle", remedy=ORACLE)
    with pytest.raises(ParameterError, match="^arm = oracle violates labels of training images, which digits lacks$"):
        make_selector(settings, blind, CPU)
    assert isinstance(make_selector(settings, images, CPU), LabelSelector)


# --- the perfect selector --------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_known_pairs_are_the_most_alike_of_different_classes(share):
    z, rows = randn(12, 4), torch.tensor([8, 2, 0, 3, 6, 1])
    positive, negative = two_view_pairs(z)
    remedy = replace(
        pair_remedy("paper_combined_known", None, Given(stated="cifar10")), pos_high=0.2, pos_low=0.2 + share
    )
    selector = KnownSelector(remedy, PairLabels(LABELS, 0, CPU))
    found = selector.flags(Pairs(positive, negative, (positive, negative), z), rows, 0, 0)
    assert not found.positive.any()
    across = []
    for i in range(12):
        for j in range(12):
            own, other = (LABELS[rows[k % 6]].item() for k in (i, j))
            if negative[i, j] > -math.inf and (own != other or own == -1):
                across.append((negative[i, j].item(), found.negative[i, j].item()))
            else:
                assert not found.negative[i, j]
    wanted = share * (negative > -math.inf).sum().item()
    flagged = [value for value, is_flagged in across if is_flagged]
    assert wanted <= len(flagged) < wanted + 3  # a pair stands twice
    assert min(flagged) > max(value for value, is_flagged in across if not is_flagged)
