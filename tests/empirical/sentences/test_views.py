"""Views of sentences: as they are, with tokens hidden, or with tokens left out."""

import pytest
import torch

from empirical.data.augment import two_views
from empirical.sentences import DroppedFeatures, DroppedTokens, MaskedTokens, same
from theory.checks import ParameterError

PAD, MASK = 0, 3


def test_the_same_sentences_are_a_view():
    tokens = torch.arange(12).view(3, 4)
    assert same(tokens, torch.Generator()) is tokens


def test_tokens_are_hidden_but_the_first_and_the_padding():
    tokens = torch.randint(4, 50, (400, 20), generator=torch.Generator().manual_seed(1))
    tokens[:, 15:] = PAD
    before = tokens.clone()
    view = MaskedTokens(0.3, MASK, PAD)
    found = view(tokens, torch.Generator().manual_seed(0))
    assert torch.equal(tokens, before)
    hidden = found == MASK
    assert torch.equal(found[~hidden], tokens[~hidden])
    assert not hidden[:, 0].any()
    assert not hidden[:, 15:].any()
    share = hidden[:, 1:15].float().mean().item()
    assert share == pytest.approx(0.3, abs=4 * (0.3 * 0.7 / (400 * 14)) ** 0.5)
    assert torch.equal(found, view(tokens, torch.Generator().manual_seed(0)))
    assert not torch.equal(found, view(tokens, torch.Generator().manual_seed(1)))
    assert torch.equal(MaskedTokens(0, MASK, PAD)(tokens, torch.Generator()), tokens)


@pytest.mark.parametrize("share", [-0.1, 1, float("nan")])
def test_another_share_is_refused(share):
    with pytest.raises(ParameterError, match="masked tokens = .* violates"):
        MaskedTokens(share, MASK, PAD)


def test_tokens_are_left_out_and_the_others_move_together():
    generator = torch.Generator().manual_seed(1)
    tokens = torch.randint(4, 50, (400, 20), generator=generator)
    lengths = torch.randint(1, 21, (400,), generator=generator)
    tokens[torch.arange(20) >= lengths[:, None]] = PAD
    before, share = tokens.clone(), 0.4
    view = DroppedTokens(share, PAD)
    found = view(tokens, torch.Generator().manual_seed(0))
    assert torch.equal(tokens, before)
    kept = torch.rand(tokens.shape, generator=torch.Generator().manual_seed(0)) >= share  # as the view draws
    for row, after, chosen, length in zip(
        tokens.tolist(), found.tolist(), kept.tolist(), lengths.tolist(), strict=True
    ):
        expected = [row[i] for i in range(length) if chosen[i] or i in (0, length - 1)]
        assert after == expected + [PAD] * (20 - len(expected))
    assert torch.equal(DroppedTokens(0, PAD)(tokens, torch.Generator()), tokens)


def test_two_views_leave_out_empty_columns_together():
    tokens = torch.randint(4, 50, (6, 20), generator=torch.Generator().manual_seed(1))
    view = DroppedTokens(0.5, PAD)
    first, second = two_views(view, tokens, torch.Generator().manual_seed(0))
    generator = torch.Generator().manual_seed(0)
    whole = view(tokens, generator), view(tokens, generator)
    longest = max(int((one != PAD).sum(1).max()) for one in whole)
    assert longest < 20
    for one, all_columns in zip((first, second), whole, strict=True):
        assert torch.equal(one, all_columns[:, :longest])
        assert (all_columns[:, longest:] == PAD).all()


@pytest.mark.parametrize("share", [-0.1, 1, float("nan")])
def test_leaving_out_another_share_is_refused(share):
    with pytest.raises(ParameterError, match="dropped tokens = .* violates"):
        DroppedTokens(share, PAD)


def test_features_are_dropped_and_the_others_grow():
    features = torch.randn(200, 50, generator=torch.Generator().manual_seed(2))
    view = DroppedFeatures(0.2)
    found = view(features, torch.Generator().manual_seed(0))
    kept = found != 0
    torch.testing.assert_close(found[kept], features[kept] / 0.8)
    assert kept.float().mean().item() == pytest.approx(0.8, abs=4 * (0.8 * 0.2 / 10_000) ** 0.5)
    assert not torch.equal(found, view(features, torch.Generator().manual_seed(1)))


@pytest.mark.parametrize("share", [0, 1, -0.1, float("nan")])
def test_dropping_none_or_all_is_refused(share):
    with pytest.raises(ParameterError, match="dropout = .* violates 0 < dropout < 1"):
        DroppedFeatures(share)
