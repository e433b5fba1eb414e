"""Sentences: a transformer whose dropout makes the views (SimCSE), judged by people's similarity of pairs."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from empirical.choices import COUNT
from empirical.data import DataSet
from empirical.data.held import Held
from empirical.data.kept import kept_while_unchanged
from empirical.data.labels import UNLABELLED
from empirical.data.reading import Reading, counted
from empirical.encoders import Network, projected
from empirical.encoders.architectures import adapter
from empirical.modalities.contract import Modality, View, only_to_train_on
from empirical.sentences import (
    TASKS,
    DroppedFeatures,
    DroppedTokens,
    MaskedTokens,
    MiniLM,
    Pairs,
    SentenceSet,
    Tokenizer,
    Vocabulary,
    embed,
    library_tokenizer,
    read_pairs,
    read_sentences,
    same,
    similarity_levels,
    small_transformer,
    spearman,
    tasks_of,
    tokenized,
    train_tokenizer,
    transformer,
)
from empirical.sentences.encoder import POOLINGS, POSITIONS
from empirical.sentences.hub import PREFIX
from empirical.sentences.minilm import LONGEST
from empirical.sentences.sts import DEV, STSB, Encode
from empirical.sentences.views import SHARE
from empirical.train.options import option
from theory.checks import ParameterError, require
from theory.plan import SPACES

if TYPE_CHECKING:
    from empirical.evaluate.protocol import Protocol
    from empirical.evaluate.scoring import Progress
    from empirical.train.settings import Settings

ENCODER, MINILM = "transformer", "minilm"
DEVELOPMENT = f"{STSB} {DEV}"
LEVELS = {"alpha": "α", "beta": "β", "gamma": "γ", "severity": "severity"}


@dataclass(frozen=True)
class Options:
    """What sentences alone can be told."""

    sts: str | None = option(None, str, "evaluation", "folder of pairs whose similarity people judged")
    column: str | None = option(None, str, "data", "of a data set, which holds the sentences")
    longest: int = option(32, int, "data", "tokens after which a sentence is cut in training", COUNT)
    judged: int = option(128, int, "evaluation", "tokens after which a judged sentence is cut", COUNT)
    vocabulary: int = option(8000, int, "data", "tokens of the tokenizer that is trained on the sentences", COUNT)
    masked: float = option(0.0, float, "views", "share of the tokens that each view hides", SHARE)
    dropped: float = option(0.0, float, "views", "share of the tokens that each view leaves out", SHARE)
    pooling: str = option("mean", str, "encoder and projector", "of the tokens", names=POOLINGS)
    positions: str = option("learned", str, "encoder and projector", "of the small transformer", names=POSITIONS)
    dropout: float = option(0.1, float, "encoder and projector", "share", SHARE)
    depth: int = option(4, int, "encoder and projector", "layers of the small transformer", COUNT)
    heads: int = option(4, int, "encoder and projector", "of its attention", COUNT)


@dataclass(frozen=True)
class Tokens:
    """Sentences as tokens, and what made tokens of them."""

    held: Held
    reading: Reading
    tokenizer: Tokenizer

    def features(self, encoder: nn.Module, texts: Sequence[str], longest: int) -> Tensor:
        """What an encoder makes of any sentences, shape (N, features)."""
        return embed(encoder, self.tokenizer, texts, longest)

    def cut(self, texts: Sequence[str], longest: int) -> tuple[int, int]:
        """How many of them are cut, and after how many tokens."""
        return self.tokenizer.encode(texts, longest)[1], longest


@dataclass(frozen=True)
class Frozen:
    """Sentences as MiniLM's features, for an adapter."""

    held: Tensor
    reading: Reading

    def features(self, encoder: nn.Module, texts: Sequence[str], longest: int) -> Tensor:
        """What an adapter makes of any sentences, shape (N, features)."""
        training = encoder.training
        with torch.no_grad():
            found: Tensor = encoder.eval()(_minilm(tuple(texts))).float().cpu()
        encoder.train(training)
        return found

    def cut(self, texts: Sequence[str], longest: int) -> tuple[int, int]:
        """How many of them are cut, and after how many tokens."""
        return _minilm_model().cut(texts), LONGEST


class Sentences(Modality):
    """See the module. All sentences are trained on; they have no labels."""

    sample = "sentence"
    titles = {"probe": "mean of all", **{task: task for task in TASKS}, DEVELOPMENT: DEVELOPMENT, **LEVELS}  # noqa: RUF012
    Options = Options
    usual = {  # noqa: RUF012 - a class variable of the contract
        "data": "text:sentences.txt",
        "encoder": ENCODER,
        "width": 128,
        "dim": 128,
        "layers": 1,
        "batch": 64,
        "epochs": 3,
        "optimizer": "adamw",
        "lr": 8e-3,
        "weight_decay": 0.01,
        "tau": 0.05,
    }

    def load(self, settings: Settings) -> DataSet:
        """The sentences of ``text:FILE`` or ``hf:FOLDER``, see ``empirical.sentences.read_sentences``."""
        if (place := self.options(settings).sts) is not None:
            _judged(place)  # before anything is trained that they are to judge
        found = self._read(settings)
        y = torch.full((len(found.held),), UNLABELLED)
        return only_to_train_on(settings, found.held, y, (), found.reading)

    def _read(self, s: Settings) -> Tokens | Frozen:
        o = self.options(s)
        if s.encoder == MINILM:
            return _frozen(s.data, o.column)
        trained = s.encoder == ENCODER
        return _read(s.data, o.column, None if trained else s.encoder, o.vocabulary if trained else 0, o.longest)

    def network(self, settings: Settings, shape: tuple[int, ...]) -> Network:
        """A transformer for sentences of at most shape[0] of shape[1] tokens, or an adapter; and the projector."""
        s, o = settings, self.options(settings)
        require(s.weights is None, "weights", s.weights, "none for sentences (--encoder hf:PATH)")
        if s.encoder == ENCODER:
            encoder, features = small_transformer(
                Vocabulary(shape[1]),
                max(shape[0], o.judged),
                width=s.width,
                layers=o.depth,
                heads=o.heads,
                dropout=o.dropout,
                pooling=o.pooling,
                positions=o.positions,
            )
        elif s.encoder == MINILM:
            encoder, features = adapter(shape[0], s.width)
        elif s.encoder.startswith(PREFIX):
            encoder, features, longest = transformer(s.encoder, library_tokenizer(s.encoder)[0], o.pooling)
            for name, value in (("longest", shape[0]), ("judged", o.judged)):
                require(value <= longest, name, value, f"{name} <= {longest}, what {s.encoder} takes")
        else:
            raise ParameterError("encoder", s.encoder, f"{ENCODER}, {MINILM} or {PREFIX}NAME_OR_PATH for sentences")
        return Network(encoder, features, s.dim, s.hidden, s.layers)

    def view(self, settings: Settings) -> View:
        """The sentence itself, or with tokens hidden or left out; of MiniLM's features a part."""
        o, read = self.options(settings), self._read(settings)
        if isinstance(read, Frozen):
            for name, share in (("masked", o.masked), ("dropped", o.dropped)):
                require(share == 0, name, share, f"0 for {MINILM}, whose features are frozen")
            return DroppedFeatures(o.dropout)
        if o.dropped > 0:
            require(o.masked == 0, "masked", o.masked, "0 where tokens are left out (dropped)")
            return DroppedTokens(o.dropped, read.tokenizer.pad)
        if o.masked == 0:
            return same
        if read.tokenizer.mask is None:
            raise ParameterError("masked", o.masked, "0 for a tokenizer without a token that hides others")
        return MaskedTokens(o.masked, read.tokenizer.mask, read.tokenizer.pad)

    def texts(self, x: Held) -> Sequence[str]:
        """The sentences."""
        return x.texts if isinstance(x, SentenceSet) else ()

    def unevaluated(self, settings: Settings, data: DataSet) -> str | None:
        """Without a folder of judged pairs there is nothing to judge by."""
        known = self.options(settings).sts is not None
        return None if known else "there is no folder of judged pairs (--modality-options sts=FOLDER)"

    def evaluate(
        self,
        network: Network,
        settings: Settings,
        data: DataSet,
        protocol: Protocol,
        view: View | None = None,
        progress: Progress | None = None,
    ) -> dict[str, float]:
        """Spearman's correlations: the mean of the test sets that are there as ``probe``, each, and STS-B's dev set.

        And the levels α, β, γ on STS-B's test set with their severity, see ``empirical.sentences.levels``.
        """
        o = self.options(settings)
        if o.sts is None:
            raise ParameterError("sts", None, "a folder of judged pairs (--modality-options sts=FOLDER)")
        judged = _judged(o.sts)
        texts = list(dict.fromkeys(text for one in judged.values() for text in (*one.first, *one.second)))
        read = self._read(settings)
        cut, longest = read.cut(texts, o.judged)
        if cut:
            warnings.warn(f"{cut} of {len(texts)} judged sentences are cut after {longest} tokens", stacklevel=2)
        h = read.features(network.encoder, texts, o.judged)
        scores: dict[str, float] = {}
        for space, features in zip(SPACES, (h, projected(network, h)), strict=True):
            encode = partial(_rows, dict(zip(texts, features.numpy(), strict=True)))
            found = {name: spearman(encode, pairs) for name, pairs in judged.items()}
            found["probe"] = float(np.mean([found[task] for task in TASKS if task in found]))
            if STSB in judged:
                levels = similarity_levels(encode, judged[STSB])
                found |= {name: getattr(levels, name).value for name in LEVELS}
            scores |= {f"{space}_{name}": value for name, value in found.items()}
        return scores

    def encode(self, network: Network, settings: Settings) -> Encode:
        """The encoder as a function from sentences to features, as ``empirical.sentences.spearman`` takes it."""
        read, longest = self._read(settings), self.options(settings).judged
        return lambda texts: read.features(network.encoder, texts, longest).numpy()

    def words(self, protocol: Protocol) -> tuple[str, str]:
        """What probe and kNN are."""
        return "Spearman's correlation of cosines with people's scores, mean of the test sets that are there", ""


@kept_while_unchanged(4)
def _read(source: str, column: str | None, encoder: str | None, vocabulary: int, longest: int) -> Tokens:
    found = read_sentences(source, column)
    tokenizer = train_tokenizer(found.texts, vocabulary) if encoder is None else library_tokenizer(encoder)[0]
    held, cut = tokenized(found.texts, tokenizer, longest)
    return Tokens(held, found.reading.with_notes(converted=[cut]), tokenizer)


@kept_while_unchanged(1)
def _frozen(source: str, column: str | None) -> Frozen:
    found = read_sentences(source, column)
    what = f"longer than {LONGEST} tokens, cut there"
    cut = counted(_minilm_model().cut(found.texts), f"sentence {what}", f"sentences {what}")
    return Frozen(_minilm(found.texts), found.reading.with_notes(converted=[cut]))


@lru_cache(maxsize=4)
def _minilm(texts: tuple[str, ...]) -> Tensor:
    return torch.from_numpy(_minilm_model()(texts))


@lru_cache(maxsize=1)
def _minilm_model() -> MiniLM:
    return MiniLM()


@kept_while_unchanged(2)
def _judged(folder: str) -> dict[str, Pairs]:
    """The pairs of the test sets that are there, and those of STS-B's development set."""
    found = {task: read_pairs(Path(folder), task) for task in tasks_of(Path(folder))}
    return {**found, DEVELOPMENT: read_pairs(Path(folder), STSB, DEV)} if STSB in found else found


def _rows(row: dict[str, NDArray[np.float32]], texts: Sequence[str]) -> NDArray[np.float32]:
    return np.array([row[text] for text in texts])
