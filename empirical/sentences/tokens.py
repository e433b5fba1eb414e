"""Tokens of sentences: a tokenizer trained on them, or that of a transformer, kept as JSON text."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from theory.checks import ParameterError, require, require_integer, sound

EXTRA = "pip install 'difficult-examples[sentences]'"
PAD, FIRST, LAST, MASK = "[PAD]", "[CLS]", "[SEP]", "[MASK]"
SPECIAL = (PAD, FIRST, LAST, MASK)  # with the numbers 0, 1, …; as BERT calls them
SMALLEST, LARGEST = 300, 1 << 20  # tokens in a vocabulary; 256 are single bytes


class Vocabulary(NamedTuple):
    """What an encoder has to know of a tokenizer.

    Parameters
    ----------
    size : int
        Tokens.
    pad : int
        The one that fills up.
    """

    size: int
    pad: int = SPECIAL.index(PAD)


class Tokenizer:
    """From sentences to rows of token numbers.

    Parameters
    ----------
    backend : tokenizers.Tokenizer
    pad : int
        The token that fills up.
    mask : int or None
        The token that stands for a hidden one, if there is one.
    """

    def __init__(self, backend: Any, pad: int, mask: int | None = None) -> None:
        backend.no_padding()
        backend.no_truncation()
        self._backend, self.pad, self.mask = backend, pad, mask

    @property
    def size(self) -> int:
        """Tokens in the vocabulary."""
        return int(self._backend.get_vocab_size())

    @property
    def vocabulary(self) -> Vocabulary:
        """Its size and what fills up."""
        return Vocabulary(self.size, self.pad)

    def encode(self, texts: Sequence[str], longest: int) -> tuple[list[list[int]], int]:
        """Tokens of each sentence, with those that begin and end it, and how many sentences were cut.

        Parameters
        ----------
        texts : sequence of str
        longest : int
            How many tokens a sentence may have; a longer one loses its end.

        Raises
        ------
        ParameterError
            If there would be no room for a token of the sentence.
        """
        least = int(self._backend.num_special_tokens_to_add(False)) + 1
        require_integer("longest", longest, least)
        self._backend.enable_truncation(longest)
        found = self._backend.encode_batch(list(texts))
        self._backend.no_truncation()
        return [one.ids for one in found], sum(bool(one.overflowing) for one in found)

    def to_text(self) -> str:
        """All of it as JSON text, which ``from_text`` reads."""
        return json.dumps({"pad": self.pad, "mask": self.mask, "tokenizer": json.loads(self._backend.to_str())})

    @classmethod
    def from_text(cls, text: str) -> Tokenizer:
        """The tokenizer of a JSON text.

        Raises
        ------
        ParameterError
            If the text is damaged.
        """
        library = _tokenizers()
        with sound("tokenizer"):
            document = json.loads(text)
            pad, mask = document["pad"], document["mask"]
            try:
                backend = library.Tokenizer.from_str(json.dumps(document["tokenizer"]))
            except Exception as error:  # the library raises Exception itself
                raise ValueError(str(error)) from error
            size = backend.get_vocab_size()
            sane = type(pad) is int and 0 <= pad < size and (mask is None or (type(mask) is int and 0 <= mask < size))
            require(sane, "tokenizer", f"pad {pad}, mask {mask}", f"tokens of the {size} in its vocabulary")
            return cls(backend, pad, mask)


def train_tokenizer(texts: Iterable[str], size: int = 8000) -> Tokenizer:
    """A tokenizer trained on sentences: pairs of bytes joined (Sennrich et al. 2016), lower case, without accents.

    The same sentences give the same one, which the library's trainer of BERT's word pieces does not; and no sign is
    unknown.

    Parameters
    ----------
    texts : iterable of str
    size : int
        Tokens in the vocabulary, in [300, 2²⁰]; few sentences give fewer.

    Raises
    ------
    ParameterError
        If the extra ``sentences`` is not installed or the size is out of range.
    """
    require_integer("vocabulary", size, SMALLEST, LARGEST)
    library = _tokenizers()
    backend = library.Tokenizer(library.models.BPE())
    plain = library.normalizers
    backend.normalizer = plain.Sequence([plain.NFD(), plain.StripAccents(), plain.Lowercase()])
    bytes_ = library.pre_tokenizers.ByteLevel
    backend.pre_tokenizer = bytes_(add_prefix_space=True)  # a word is the same wherever it stands
    backend.decoder = library.decoders.ByteLevel()
    trainer = library.trainers.BpeTrainer(
        vocab_size=size,
        min_frequency=2,
        special_tokens=list(SPECIAL),
        initial_alphabet=sorted(bytes_.alphabet()),
        show_progress=False,
    )
    backend.train_from_iterator(texts, trainer)
    ends = [(name, SPECIAL.index(name)) for name in (FIRST, LAST)]
    backend.post_processor = library.processors.TemplateProcessing(f"{FIRST} $A {LAST}", special_tokens=ends)
    return Tokenizer(backend, SPECIAL.index(PAD), SPECIAL.index(MASK))


def library_tokenizer(spec: str) -> tuple[Tokenizer, int]:
    """The tokenizer of a transformer, and how many tokens it says the transformer takes.

    Parameters
    ----------
    spec : str
        ``hf:NAME_OR_PATH``, as ``empirical.sentences.transformer`` takes it.

    Raises
    ------
    ParameterError
        If the extra ``sentences`` is not installed, the tokenizer cannot be loaded without code of its own, has no
        token for padding, or is none of the library ``tokenizers``.
    """
    from empirical.sentences.hub import load

    found = load(
        spec, "tokenizer", lambda library, place: library.AutoTokenizer.from_pretrained(place, trust_remote_code=False)
    )
    backend = getattr(found, "backend_tokenizer", None)
    require(backend is not None, "tokenizer", spec, "a tokenizer of the library tokenizers (tokenizer.json)")
    require(found.pad_token_id is not None, "tokenizer", spec, "a tokenizer with a token for padding")
    return Tokenizer(backend, int(found.pad_token_id), found.mask_token_id), int(found.model_max_length)


def _tokenizers() -> Any:
    try:
        import tokenizers
        from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers  # noqa: F401
    except ImportError as error:
        raise ParameterError(f"sentences need the library tokenizers: {EXTRA}") from error
    return tokenizers
