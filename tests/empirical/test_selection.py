import subprocess
import sys

import numpy as np
import pytest
import torch

from empirical.losses import cosine_similarities
from empirical.selection import band_thresholds, difficult_pairs
from theory.params import ParameterError


def naive(features, pos_high, pos_low):
    """Rank all pairs of different images and flag those between the shares."""
    s = cosine_similarities(features).numpy().astype(np.float64)
    m = len(s)
    pairs = [(i, j) for i in range(m) for j in range(m) if i != j and i != (j + m // 2) % m]
    ranked = sorted(pairs, key=lambda pair: -s[pair])
    flagged = np.zeros((m, m), dtype=bool)
    for rank, pair in enumerate(ranked):
        flagged[pair] = pos_high <= rank / len(pairs) < pos_low
    return flagged


@pytest.mark.parametrize(("pos_high", "pos_low"), [(0.1, 0.2), (0.1, 0.106), (0.25, 1.0), (0.0, 0.3), (0.0, 1.0)])
def test_band_equals_the_sorted_ranking(pos_high, pos_low):
    features = torch.randn(80, 6, generator=torch.Generator().manual_seed(0))
    flagged, expected = difficult_pairs(features, pos_high, pos_low).numpy(), naive(features, pos_high, pos_low)
    # The histogram may move a share by one bin's content: a pair and its mirror image.
    assert (flagged != expected).sum() <= 4


def test_mask_is_symmetric_and_spares_self_and_positive():
    flagged = difficult_pairs(torch.randn(40, 4, generator=torch.Generator().manual_seed(1)), 0.0, 1.0)
    rows = torch.arange(40)
    assert (flagged == flagged.T).all()
    assert not flagged[rows, rows].any()
    assert not flagged[rows, (rows + 20) % 40].any()
    assert flagged.sum() == 40 * 38


def test_empty_band_flags_nothing():
    assert not difficult_pairs(torch.randn(20, 3), 0.3, 0.3).any()


def test_equal_similarities_are_never_split():
    flagged = difficult_pairs(torch.ones(20, 3), 0.1, 0.2)
    assert int(flagged.sum()) in (0, 20 * 18)
    assert band_thresholds(torch.full((4, 4), 0.5), 0.2, 0.2)[0] == pytest.approx(0.5)


def test_bf16_features_are_compared_in_float32():
    features = torch.randn(64, 16, generator=torch.Generator().manual_seed(2)).bfloat16()
    assert (difficult_pairs(features, 0.1, 0.3) == difficult_pairs(features.float(), 0.1, 0.3)).all()


@pytest.mark.parametrize(("pos_high", "pos_low"), [(-0.1, 0.5), (0.5, 0.4), (0.5, 1.1), (float("nan"), 0.5)])
def test_shares_are_checked(pos_high, pos_low):
    with pytest.raises(ParameterError, match="pos_"):
        difficult_pairs(torch.randn(8, 3), pos_high, pos_low)


def test_a_batch_of_4096_stays_within_twice_the_similarity_matrix():
    code = """
import resource, torch
from empirical.selection import difficult_pairs
difficult_pairs(torch.randn(64, 128), .1, .2)
features = torch.randn(8192, 128)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
flagged = difficult_pairs(features, .1, .2)
used = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
assert abs(flagged.sum().item() / (8192 * 8190) - .1) < 1e-3
assert used <= 2 * 8192**2 * 4, used
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
