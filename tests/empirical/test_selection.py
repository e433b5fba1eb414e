import subprocess
import sys

import numpy as np
import pytest
import torch

from empirical.arms import PairRemedy
from empirical.losses import queue_pairs, two_view_pairs
from empirical.selection import (
    NO_FLAGS,
    difficult_pairs,
    flag,
    in_band,
    in_half_open,
    percentile_band,
    random_pairs,
    rank_band,
    self_set_band,
)
from theory.checks import ParameterError


def features(rows, width, seed=0):
    return torch.randn(rows, width, generator=torch.Generator().manual_seed(seed))


def similarities(rows, width, seed=0):
    return two_view_pairs(features(rows, width, seed))[1]


def naive(s, pos_high, pos_low):
    """Rank all pairs and flag those between the shares."""
    s = s.double().numpy()
    pairs = [tuple(pair) for pair in np.argwhere(s > -np.inf)]
    flagged = np.zeros(s.shape, dtype=bool)
    for rank, pair in enumerate(sorted(pairs, key=lambda pair: -s[pair])):
        flagged[pair] = pos_high <= rank / len(pairs) < pos_low
    return flagged


@pytest.mark.parametrize(("pos_high", "pos_low"), [(0.1, 0.2), (0.1, 0.106), (0.25, 1.0), (0.0, 0.3), (0.0, 1.0)])
@pytest.mark.parametrize("scale", [1.0, 0.1])
def test_band_equals_the_sorted_ranking(pos_high, pos_low, scale):
    s = two_view_pairs(1 + scale * features(80, 6))[1]  # the smaller the scale, the closer all cosines are to 1
    # The histogram may move a share by one bin's content: a pair and its mirror image.
    assert (difficult_pairs(s, pos_high, pos_low).numpy() != naive(s, pos_high, pos_low)).sum() <= 4


def test_band_of_a_queue_equals_the_sorted_ranking():
    _, s = queue_pairs(features(20, 5), features(20, 5, 1), features(70, 5, 2))
    flagged = difficult_pairs(s, 0.1, 0.3)
    assert flagged.shape == (20, 70)
    assert (flagged.numpy() != naive(s, 0.1, 0.3)).sum() <= 2


def test_mask_is_symmetric_and_spares_self_and_positive():
    flagged = difficult_pairs(similarities(40, 4), 0.0, 1.0)
    rows = torch.arange(40)
    assert (flagged == flagged.T).all()
    assert not flagged[rows, rows].any()
    assert not flagged[rows, (rows + 20) % 40].any()
    assert flagged.sum() == 40 * 38


def test_empty_band_flags_nothing():
    assert not difficult_pairs(similarities(20, 3), 0.3, 0.3).any()


def test_equal_similarities_are_never_split():
    for s in (two_view_pairs(torch.ones(20, 3))[1], torch.full((4, 4), 0.5)):
        assert int(difficult_pairs(s, 0.1, 0.2).sum()) in (0, int((s > -torch.inf).sum()))


def test_no_pair_at_all_and_no_number_flag_nothing():
    for value in (-torch.inf, torch.nan):
        s = torch.full((6, 5), value)
        assert not difficult_pairs(s, 0.1, 0.6).any()
        assert not in_band(s, self_set_band(s)).any()


@pytest.mark.parametrize(("pos_high", "pos_low"), [(-0.1, 0.5), (0.5, 0.4), (0.5, 1.1), (float("nan"), 0.5)])
def test_shares_are_checked(pos_high, pos_low):
    with pytest.raises(ParameterError, match="pos_"):
        difficult_pairs(similarities(8, 3), pos_high, pos_low)


def test_band_excludes_its_lower_end():
    s = torch.tensor([[0.1, 0.2, 0.3, -torch.inf]])
    ends = torch.tensor([0.1, 0.2, 0.3])
    assert in_band(s, (ends[0], ends[1])).tolist() == [[False, True, False, False]]
    assert not in_band(s, (ends[2], ends[0])).any()


def test_the_selection_carries_no_gradient():
    s = similarities(20, 4).requires_grad_()
    assert not any(end.requires_grad for end in (*rank_band(s, 0.1, 0.2), *self_set_band(s)))
    assert difficult_pairs(s, 0.1, 0.2).any()


def test_a_batch_of_4096_stays_within_twice_the_similarity_matrix():
    code = """
import resource, torch
from empirical.losses import two_view_pairs
from empirical.selection import difficult_pairs
difficult_pairs(two_view_pairs(torch.randn(64, 128))[1], .1, .2)
features = torch.randn(8192, 128)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
flagged = difficult_pairs(two_view_pairs(features)[1], .1, .2)
used = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
assert abs(flagged.sum().item() / (8192 * 8190) - .1) < 1e-3
assert used <= 2 * 8192**2 * 4, used
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


# --- random pairs ----------------------------------------------------------------------------------


def test_random_pairs_have_the_share_are_symmetric_and_repeatable():
    s = similarities(400, 4)
    pairs = 400 * 398
    flagged = random_pairs(s, 0.1, torch.Generator().manual_seed(3))
    assert (flagged == flagged.T).all()
    assert not flagged[s == -torch.inf].any()
    assert abs(int(flagged.sum()) / pairs - 0.1) < 5 * (0.09 * 2 / pairs) ** 0.5
    assert (flagged == random_pairs(s, 0.1, torch.Generator().manual_seed(3))).all()
    assert (flagged != random_pairs(s, 0.1, torch.Generator().manual_seed(4))).any()


def test_random_pairs_of_a_queue_and_the_extreme_shares():
    s = torch.zeros(100, 300)
    generator = torch.Generator().manual_seed(0)
    assert abs(random_pairs(s, 0.3, generator).float().mean() - 0.3) < 0.02
    assert not random_pairs(s, 0.0, generator).any()
    assert random_pairs(s, 1.0, generator).all()
    with pytest.raises(ParameterError, match="share = 1.5"):
        random_pairs(s, 1.5, generator)


# --- the band that sets itself ---------------------------------------------------------------------


def mixture(same_share, alpha, beta, spread, rows=600, seed=0):
    generator = torch.Generator().manual_seed(seed)
    same = torch.rand(rows, rows, generator=generator) < same_share
    noise = spread * torch.randn(rows, rows, generator=generator)
    return torch.where(same, alpha, beta) + noise, same


def test_self_set_band_finds_where_the_bulk_ends():
    share, alpha, beta, spread = 0.1, 0.9, 0.3, 0.1  # of the normal distributions in Fisher's z
    z, _ = mixture(share, alpha, beta, spread)
    s = z.tanh()
    s.fill_diagonal_(-torch.inf)
    low, high = self_set_band(s)

    def crossing(odds):
        """Where (1 − share)·N(β) is ``odds`` times share·N(α)."""
        middle, slope = (alpha + beta) / 2, (alpha - beta) / spread**2
        return np.tanh(middle + (np.log((1 - share) / share) - np.log(odds)) / slope)

    assert float(high) == pytest.approx(crossing(1), abs=0.02)
    assert float(low) == pytest.approx(crossing(9), abs=0.06)  # where densities are close, a little noise moves it far


def test_self_set_band_is_between_the_classes():
    z, same = mixture(0.1, 0.9, 0.3, 0.1)
    low, high = self_set_band(z.tanh())
    assert same[z.tanh() > high].float().mean() > 0.95
    assert same[z.tanh() < low].float().mean() < 0.02


def test_self_set_band_of_one_normal_distribution_holds_next_to_nothing():
    z, _ = mixture(0.0, 0.9, 0.3, 0.1)
    assert in_band(z.tanh(), self_set_band(z.tanh())).float().mean() < 0.02


@pytest.mark.parametrize("s", [torch.full((8, 8), 0.3), torch.tensor([[0.1, 0.9]]), torch.full((2, 2), -torch.inf)])
def test_self_set_band_survives_degenerate_batches(s):
    assert in_band(s, self_set_band(s)).shape == s.shape


def test_flag_is_what_it_names():
    positive, s = two_view_pairs(features(40, 4))
    rank, auto, everyone, random, row = (
        PairRemedy(pos_high=0.1, pos_low=0.3, select=select) for select in ("rank", "auto", "all", "random", "row")
    )
    assert torch.equal(flag(positive, s, rank).negative, difficult_pairs(s, 0.1, 0.3))
    assert torch.equal(flag(positive, s, rank).positive, in_band(positive, rank_band(s, 0.1, 0.3)))
    assert torch.equal(flag(positive, s, auto).negative, in_band(s, self_set_band(s)))
    assert torch.equal(flag(positive, s, everyone).negative, s > -torch.inf)
    assert flag(positive, s, everyone).positive.all()
    expected = random_pairs(s, 0.3 - 0.1, torch.Generator().manual_seed(7))
    assert torch.equal(flag(positive, s, random, seed=7).negative, expected)
    assert 0 < flag(positive, s, random, seed=7).positive.sum() < 40
    assert not torch.equal(flag(positive, s, random, seed=8).negative, expected)
    by_row = flag(positive, s, row).negative
    assert torch.equal(by_row, torch.stack([difficult_pairs(line[None], 0.1, 0.3)[0] for line in s]))


def test_flags_are_widened_by_pairs_that_are_not_flagged():
    flags = flag(*two_view_pairs(features(8, 4)), PairRemedy(pos_high=0.1, pos_low=0.9))
    wide = flags.widened(11).negative
    assert torch.equal(wide[:, :8], flags.negative)
    assert not wide[:, 8:].any()
    assert NO_FLAGS.widened(11) == NO_FLAGS


def test_percentiles_are_those_of_the_sorted_similarities():
    s = torch.tensor([[0.5, -torch.inf, 0.1, 0.4], [0.3, 0.2, -torch.inf, -torch.inf]])
    low, high = percentile_band(s, 0.2, 0.6)  # the 1st and the 3rd of five
    assert (low.item(), high.item()) == pytest.approx((0.3, 0.5))
    assert in_half_open(s, (low, high)).tolist() == [[False, False, False, True], [True, False, False, False]]
    low, high = percentile_band(s, 0.0, 0.5, by_row=True)  # none and the 2nd of three, the 1st of two
    assert low.flatten().tolist() == pytest.approx([0.4, 0.3])
    assert high.isinf().all()
    assert in_half_open(s, (low, high)).tolist() == [[True, False, False, True], [True, False, False, False]]
    for band in (percentile_band(s, 0.0, 1.0), percentile_band(s, 0.0, 1.0, by_row=True)):
        assert torch.equal(in_half_open(s, band), s > -torch.inf)
    nothing = torch.full((2, 3), -torch.inf)
    assert not in_half_open(nothing, percentile_band(nothing, 0.0, 1.0)).any()
    with pytest.raises(ParameterError, match="pos_low"):
        percentile_band(s, 0.5, 0.4)
