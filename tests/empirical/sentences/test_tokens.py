"""Tokenizers: trained, of a transformer, as text."""

import json
import os
import subprocess
import sys

import pytest

from empirical.sentences import Tokenizer, library_tokenizer, train_tokenizer
from theory.checks import ParameterError

TRAIN = "from empirical.sentences import train_tokenizer; from tests.empirical.sentences.conftest import TEXTS;"


def test_a_sentence_becomes_pieces_between_a_beginning_and_an_end(tokenizer):
    names = tokenizer._backend.get_vocab()
    assert [names[name] for name in ("[PAD]", "[CLS]", "[SEP]", "[MASK]")] == [0, 1, 2, 3]
    assert (tokenizer.pad, tokenizer.mask) == (0, 3)
    (row, upper, new), cut = tokenizer.encode(["the guitar", "THE GUÍTAR", "☃"], 32)
    assert row == upper  # no case, no accents
    assert (row[0], row[-1], cut) == (1, 2, 0)
    assert len(new) > 3  # no sign is unknown
    assert tokenizer._backend.decode(row) == " the guitar"
    assert tokenizer.encode(["guitar the"], 32)[0][0][1] == row[2]  # a word is the same wherever it stands


def test_the_same_sentences_give_the_same_tokenizer_in_any_process(tokenizer):
    places = os.pathsep.join(p for p in sys.path if p)
    for threads in ("true", "false"):
        environment = {**os.environ, "TOKENIZERS_PARALLELISM": threads, "PYTHONPATH": places}
        command = [sys.executable, "-c", f"{TRAIN} print(train_tokenizer(TEXTS, 350).to_text())"]
        found = subprocess.run(command, capture_output=True, text=True, env=environment, check=True).stdout
        assert found.strip() == tokenizer.to_text()


def test_the_vocabulary_is_at_most_as_large_as_asked(texts):
    assert train_tokenizer(texts, 300).size == 300
    assert 300 < train_tokenizer(texts, 10**5).size < 1000


def test_a_tokenizer_as_text_is_the_same_tokenizer(texts, tokenizer):
    again = Tokenizer.from_text(tokenizer.to_text())
    assert again.to_text() == tokenizer.to_text()
    assert (again.pad, again.mask, again.size) == (tokenizer.pad, tokenizer.mask, tokenizer.size)
    assert again.encode(texts, 9) == tokenizer.encode(texts, 9)


@pytest.mark.parametrize("change", ["", "[]", "{}", '{"pad": 0, "mask": 1, "tokenizer": {}}', "pad", "mask"])
def test_a_damaged_text_is_refused(tokenizer, change):
    if change in ("pad", "mask"):
        change = json.dumps({**json.loads(tokenizer.to_text()), change: tokenizer.size})
    with pytest.raises(ParameterError, match="tokenizer") as error:
        Tokenizer.from_text(change)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("longest", "fits"), [(2, False), (3, True), (2.5, False)])
def test_there_must_be_room_for_one_token(tokenizer, longest, fits):
    if fits:
        assert len(tokenizer.encode(["a man plays"], longest)[0][0]) == longest
    else:
        with pytest.raises(ParameterError, match="longest = .* violates an integer >= 3"):
            tokenizer.encode(["a man plays"], longest)


@pytest.mark.parametrize("size", [299, 2**20 + 1, 350.5])
def test_a_vocabulary_of_another_size_is_refused(texts, size):
    with pytest.raises(ParameterError, match="vocabulary"):
        train_tokenizer(texts, size)


def test_the_tokenizer_of_a_transformer(saved_bert, texts, tokenizer):
    found, longest = library_tokenizer(f"hf:{saved_bert}")
    assert longest == 24
    assert (found.pad, found.mask) == (tokenizer.pad, tokenizer.mask)
    assert found.encode(texts, 24) == tokenizer.encode(texts, 24)
    assert Tokenizer.from_text(found.to_text()).encode(texts, 24) == tokenizer.encode(texts, 24)


def test_a_tokenizer_without_padding_is_refused(tmp_path, tokenizer):
    transformers = pytest.importorskip("transformers")
    backend = type(tokenizer._backend).from_str(tokenizer._backend.to_str())
    transformers.PreTrainedTokenizerFast(tokenizer_object=backend).save_pretrained(tmp_path)
    transformers.BertConfig().save_pretrained(tmp_path)
    with pytest.raises(ParameterError) as error:
        library_tokenizer(f"hf:{tmp_path}")
    assert str(error.value) == f"tokenizer = hf:{tmp_path} violates a tokenizer with a token for padding"


def test_without_the_library_the_extra_is_named(monkeypatch, texts):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(ParameterError) as error:
        train_tokenizer(texts, 350)
    extra = "pip install 'difficult-examples[sentences]'"
    assert str(error.value) == f"sentences need the library tokenizers: {extra}"
