"""Transformers as encoders of sentences: a small one to train from scratch, and any of Hugging Face."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from empirical.encoders.architectures import Encoder
from empirical.sentences.hub import library, load
from empirical.sentences.tokens import Tokenizer, Vocabulary
from theory.checks import ParameterError, Range, require, require_integer, require_known
from theory.code import reason_of

MEAN, FIRST, ATTENTION = "mean", "first", "attention"
POOLINGS = (MEAN, FIRST, ATTENTION)
LEARNED, NONE = "learned", "none"
POSITIONS = (LEARNED, NONE)
DROPOUT = Range(0, 1, below=True)
BATCH = 128  # sentences of about one length that are embedded at a time


class SentenceEncoder(nn.Module):
    """From tokens of sentences, int64 of shape (B, L), to features, shape (B, features).

    Parameters
    ----------
    net : nn.Module
        A transformer: from tokens and the mask of those that are no padding to states (B, L, features).
    pad : int
        The token that fills up, which nothing depends on.
    pooling : {"mean", "first", "attention"}
        A sentence's feature: the mean of its tokens' states, the state of the first, or a mean with weights that are
        learned, the softmax of a linear score of each state (Lin et al. 2017), which begins as the mean.

    Raises
    ------
    ParameterError
        If the pooling is another, or is ``attention`` and the transformer's configuration does not say its width.
    """

    def __init__(self, net: nn.Module, pad: int, pooling: str = MEAN) -> None:
        super().__init__()
        require_known("pooling", pooling, POOLINGS)
        self.net, self.pad, self.pooling = net, pad, pooling
        self.score = _score(net) if pooling == ATTENTION else None

    def forward(self, tokens: Tensor) -> Tensor:
        """Features, shape (B, features)."""
        mask = tokens != self.pad
        states: Tensor = self.net(input_ids=tokens, attention_mask=mask.long()).last_hidden_state
        if self.pooling == FIRST:
            return states[:, 0]
        if self.score is not None:
            scores = self.score(states).masked_fill(~mask[:, :, None], -torch.inf)
            return torch.sum(states * scores.softmax(1), 1)
        weights = mask[:, :, None].to(states.dtype)
        return (states * weights).sum(1) / weights.sum(1).clamp(min=1)


def _score(net: nn.Module) -> nn.Linear:
    width = getattr(getattr(net, "config", None), "hidden_size", None)
    if width is None:
        raise ParameterError("pooling", ATTENTION, "mean or first for a transformer that does not say its width")
    score = nn.Linear(int(width), 1, bias=False)
    nn.init.zeros_(score.weight)
    return score


def small_transformer(
    vocabulary: Vocabulary,
    longest: int,
    *,
    width: int = 128,
    layers: int = 4,
    heads: int = 4,
    dropout: float = 0.1,
    pooling: str = MEAN,
    positions: str = LEARNED,
) -> Encoder:
    """A small BERT (Devlin et al. 2019) with weights drawn from torch's random state; ``width`` features.

    Parameters
    ----------
    vocabulary : Vocabulary
    longest : int
        Tokens of the longest sentence: as many positions are learned.
    width, layers, heads : int
        The width is a multiple of the heads; between a layer's two matrices it is four times as wide.
    dropout : float
        In [0, 1), of states and of attention; what makes two views of a sentence differ.
    pooling : {"mean", "first", "attention"}
    positions : {"learned", "none"}
        What tells the order of the tokens; with none a sentence is a bag of them.

    Raises
    ------
    ParameterError
        If the extra ``sentences`` is not installed, or a number is out of range.
    """
    require_known("positions", positions, POSITIONS)
    for name, value in {"longest": longest, "width": width, "layers": layers, "heads": heads}.items():
        require_integer(name, value, 1)
    require(width % heads == 0, "width", width, f"a multiple of the {heads} heads")
    DROPOUT.require("dropout", dropout)

    bert = library("transformer")
    config = bert.BertConfig(
        vocab_size=vocabulary.size,
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=4 * width,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
        max_position_embeddings=longest,
        pad_token_id=vocabulary.pad,
    )
    net = bert.BertModel(config, add_pooling_layer=False)
    if positions == NONE:
        net.embeddings.position_embeddings.weight.requires_grad_(False).zero_()
    return SentenceEncoder(net, vocabulary.pad, pooling), width


def transformer(spec: str, tokenizer: Tokenizer, pooling: str = FIRST) -> tuple[SentenceEncoder, int, int]:
    """A transformer of Hugging Face with its weights, its width, and how many tokens it takes.

    Parameters
    ----------
    spec : str
        ``hf:NAME_OR_PATH``: the folder of a saved model, or a name whose files are downloaded where they are not there.
        The weights are of safetensors; no pickle and no code of the model's own is loaded.
    tokenizer : Tokenizer
        Its own, of ``library_tokenizer``.
    pooling : {"first", "mean", "attention"}
        The first token's state without BERT's pooler is what SimCSE evaluates.

    Raises
    ------
    ParameterError
        If the extra ``sentences`` is not installed, the model cannot be loaded so, lacks weights, or does not turn
        this tokenizer's tokens into states.
    """

    def fetch(library: Any, place: str) -> tuple[Any, Any]:
        found: tuple[Any, Any] = library.AutoModel.from_pretrained(
            place, use_safetensors=True, trust_remote_code=False, output_loading_info=True, dtype=torch.float32
        )
        return found

    net, info = load(spec, "transformer", fetch)
    if getattr(net, "pooler", None) is not None:
        net.pooler = None  # a head that nothing here reads
    lacking = sorted(name for name in info["missing_keys"] if not name.startswith("pooler."))
    require(not lacking, "encoder", spec, f"weights for all of the transformer (without {', '.join(lacking[:3])})")
    known = getattr(net.config, "vocab_size", tokenizer.size)
    require(
        tokenizer.size <= known, "encoder", spec, f"a vocabulary of the tokenizer's {tokenizer.size} (found {known})"
    )
    encoder = SentenceEncoder(net, tokenizer.pad, pooling)
    return encoder, _width(spec, encoder, tokenizer), _positions(net.config)


def _width(spec: str, encoder: SentenceEncoder, tokenizer: Tokenizer) -> int:
    probe = torch.tensor(tokenizer.encode(["a"], 8)[0])
    training = encoder.training
    try:
        with torch.no_grad():
            found = encoder.eval()(probe)
    except Exception as error:  # a network can raise anything
        raise ParameterError("encoder", spec, f"states of tokens ({reason_of(error)})") from error
    encoder.train(training)
    return int(found.shape[1])


def _positions(config: Any) -> int:
    """Tokens that a transformer has positions for: RoBERTa and its kin count them from behind the padding's number."""
    positions = getattr(config, "max_position_embeddings", None)
    if positions is None:
        return 1 << 20
    shifted = config.model_type in ("camembert", "mpnet", "roberta", "xlm-roberta", "xmod")
    return int(positions) - (int(config.pad_token_id) + 1 if shifted else 0)


@torch.no_grad()
def embed(encoder: nn.Module, tokenizer: Tokenizer, texts: Sequence[str], longest: int, batch: int = BATCH) -> Tensor:
    """Features of sentences without dropout, float32 on the CPU, shape (N, features).

    Parameters
    ----------
    encoder : nn.Module
        From tokens to features; it is as it was afterwards.
    tokenizer : Tokenizer
    texts : sequence of str
    longest : int
        Tokens after which a sentence is cut.
    batch : int
        Sentences at a time, those of about one length together; features depend on it by rounding only.
    """
    rows, _ = tokenizer.encode(texts, longest)
    order = np.argsort([len(row) for row in rows], kind="stable")
    device = next((one.device for one in encoder.parameters()), torch.device("cpu"))
    training, parts = encoder.training, []
    encoder.eval()
    try:
        for start in range(0, len(order), batch):
            chosen = [torch.tensor(rows[int(row)]) for row in order[start : start + batch]]
            tokens = nn.utils.rnn.pad_sequence(chosen, batch_first=True, padding_value=tokenizer.pad)
            parts.append(encoder(tokens.to(device)).float().cpu())
    finally:
        encoder.train(training)
    return torch.cat(parts)[torch.from_numpy(np.argsort(order))] if parts else torch.empty(0, 0)
