"""The order of a run's images: the same batches whatever is left out."""

from collections import Counter
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from empirical.train.loop import train
from empirical.train.observers import Observer
from empirical.train.parts import epoch_order, kept_samples, make_optimizer, seed_of
from empirical.train.settings import Running, Settings

SMALL = Settings(data="digits", train=100, test=50, encoder="convnet", width=4, dim=8, batch=20, epochs=2, seed=3)


@st.composite
def leavings(draw):
    """A batch, a number of images, and which of them are kept: at least a batch."""
    batch, seed = draw(st.integers(2, 12)), draw(st.integers(0, 1000))
    count = draw(st.integers(batch, 8 * batch))
    left = draw(st.integers(batch, count))
    kept = torch.zeros(count, dtype=torch.bool)
    kept[torch.randperm(count, generator=torch.Generator().manual_seed(seed))[:left]] = True
    return replace(SMALL, batch=batch, seed=seed), kept


@given(leavings(), st.integers(0, 3))
@settings(deadline=None, max_examples=150)
def test_batches_are_those_of_all_images_but_for_the_left_out_ones(leaving, epoch):
    s, kept = leaving
    per_epoch = len(kept) // s.batch
    order = epoch_order(s, kept, epoch, per_epoch)
    generator = torch.Generator().manual_seed(seed_of(s.seed, epoch, 0))
    whole = torch.randperm(len(kept), generator=generator)[: per_epoch * s.batch]
    everyone = epoch_order(s, torch.ones_like(kept), epoch, per_epoch)
    assert torch.equal(torch.cat(everyone), whole)  # as before there was anything to replace
    assert len(order) == per_epoch
    for batch, baseline in zip(order, everyone, strict=True):
        assert len(batch.unique()) == len(batch) == s.batch
        assert kept[batch].all()
        assert torch.equal(batch[kept[baseline]], baseline[kept[baseline]])
    again = epoch_order(s, kept, epoch, per_epoch)
    assert all(torch.equal(a, b) for a, b in zip(order, again, strict=True))


@given(leavings(), st.integers(0, 3))
@settings(deadline=None, max_examples=150)
def test_kept_samples_are_used_about_equally_often(leaving, epoch):
    s, kept = leaving
    per_epoch = len(kept) // s.batch
    order = torch.cat(epoch_order(s, kept, epoch, per_epoch))
    counts = order.bincount(minlength=len(kept))[kept]
    assert counts.max() - counts.min() <= 2
    if len(order) >= 2 * kept.sum():
        assert counts.min() >= 1


@pytest.mark.parametrize("left", [800, 950, 1200])
def test_an_epoch_shows_every_kept_image(left):
    """If its places suffice: the first replacements are the kept images that its batches lack."""
    kept = torch.zeros(1250, dtype=torch.bool)
    kept[torch.randperm(1250, generator=torch.Generator().manual_seed(1))[:left]] = True
    order = torch.cat(epoch_order(replace(SMALL, batch=200), kept, 0, 6))
    counts = order.bincount(minlength=1250)
    assert counts[kept].min() >= 1
    assert counts[kept].max() <= 2
    assert not counts[~kept].any()


def test_difficult_and_random_images_left_out_share_their_batches():
    """What two removals have in common is at the same places in both, and in the baseline."""
    masks = [torch.ones(200, dtype=torch.bool) for _ in range(2)]
    masks[0][:40], masks[1][30:70] = False, False
    orders = [torch.cat(epoch_order(SMALL, kept, 1, 10)) for kept in (*masks, torch.ones(200, dtype=torch.bool))]
    both = (masks[0] & masks[1])[orders[2]]
    assert both.sum() == 130
    assert all(torch.equal(order[both], orders[2][both]) for order in orders)


class Seen(Observer):
    """Rows of every step."""

    def __init__(self):
        self.rows = {}

    def step(self, batch):
        self.rows[batch.step] = batch.rows.tolist()


class Interrupted(Exception):
    pass


@pytest.mark.parametrize("last", [1, 4, 5, 7])
def test_a_run_resumed_from_any_step_sees_the_same_batches(tmp_path, last):
    s = replace(SMALL, drop=tuple(range(0, 100, 3)))
    whole, parts = Seen(), Seen()
    train(s, tmp_path / "whole", observers=[whole])

    def die(step, *_):
        if step == last:
            raise Interrupted

    with pytest.raises(Interrupted):
        train(s, tmp_path / "parts", die, Running(checkpoint_every=1), observers=[parts])
    train(s, tmp_path / "parts", observers=[parts])
    assert whole.rows == parts.rows
    uses = Counter(row for rows in whole.rows.values() for row in rows)
    assert set(uses) == set(range(100)) - set(s.drop)
    assert kept_samples(s, s.data_set()).nonzero().flatten().tolist() == sorted(uses)


def test_in_half_precision_momentum_begins_at_zero():
    """Of a first step that is left out PyTorch's fused SGD would keep the memory that it was given."""
    network = SMALL.network(1)
    state = make_optimizer(replace(SMALL, precision="16-mixed"), network).state
    assert all(torch.equal(state[p]["momentum_buffer"], torch.zeros_like(p)) for p in network.parameters())
    assert not make_optimizer(SMALL, network).state
