"""Views of sentences: as they are, or with tokens hidden."""

import pytest
import torch

from empirical.sentences import DroppedFeatures, MaskedTokens, same
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
