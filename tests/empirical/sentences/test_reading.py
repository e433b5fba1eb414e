"""Sentences of files and data sets, what is left out of them, and batches of their tokens."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from empirical.modalities import modality
from empirical.sentences import read_sentences, tokenized
from theory.checks import ParameterError


@pytest.fixture
def held(texts, tokenizer):
    return tokenized(texts, tokenizer, 32)[0]


def test_a_text_file_is_read_line_by_line(tmp_path):
    path = tmp_path / "some.txt"
    path.write_bytes("\ufeffErste Zeile\r\n\r\n  second one \n \t\nErste Zeile\nlast".encode())
    found = read_sentences(f"text:{path}")
    assert found.texts == ("Erste Zeile", "second one", "Erste Zeile", "last")
    assert found.reading.line == (
        f"read text:{path}: 4 samples; skipped 2 empty lines; noted 1 exact copy of another sentence"
    )


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n"), max_size=8), min_size=1))
@settings(max_examples=40)
def test_no_sentence_is_lost_whatever_signs_it_has(tmp_path_factory, lines):
    path = tmp_path_factory.mktemp("lines") / "some.txt"
    path.write_text("\n".join(lines), encoding="utf-8", newline="")
    wanted = tuple(line.strip() for line in "\n".join(lines).removeprefix("\ufeff").split("\n") if line.strip())
    if wanted:
        assert read_sentences(f"text:{path}").texts == wanted
    else:
        with pytest.raises(ParameterError, match="at least one sentence"):
            read_sentences(f"text:{path}")


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "at least one sentence"), (b"\n \n\n", "at least one sentence"), (b"caf\xe9\n", "it is no text in UTF-8")],
)
def test_a_file_without_sentences_is_refused(tmp_path, content, message):
    path = tmp_path / "some.txt"
    path.write_bytes(content)
    with pytest.raises(ParameterError, match=message) as error:
        read_sentences(f"text:{path}")
    assert "\n" not in str(error.value)
    assert str(path) in str(error.value)


@pytest.mark.parametrize(
    ("source", "column", "message"),
    [
        ("text:{}/none.txt", None, "there is no file none.txt in"),
        ("text:{}", None, "it is a folder"),
        ("csv:{}/none.txt", None, "data = csv:{}/none.txt violates text:FILE or hf:FOLDER"),
        ("text:{}/none.txt", "text", "column = text violates a data set hf:FOLDER"),
        ("hf:{}/none", None, "a folder that there is"),
        ("hf:{}", None, "a folder with dataset_info.json, of save_to_disk"),
    ],
)
def test_what_is_no_source_of_sentences_is_refused(tmp_path, source, column, message):
    with pytest.raises(ParameterError) as error:
        read_sentences(source.format(tmp_path), column)
    assert message.format(tmp_path) in str(error.value)


def test_the_text_of_a_saved_data_set(tmp_path):
    datasets = pytest.importorskip("datasets")
    columns = {"text": ["one", "", None, "two", " "], "label": [0, 1, 0, 1, 0]}
    datasets.Dataset.from_dict(columns).save_to_disk(tmp_path / "one")
    found = read_sentences(f"hf:{tmp_path / 'one'}")
    assert found.texts == ("one", "two")
    assert "skipped 3 rows without text" in found.reading.line
    assert read_sentences(f"hf:{tmp_path / 'one'}", "text").texts == found.texts

    datasets.Dataset.from_dict({**columns, "title": ["x"] * 5}).save_to_disk(tmp_path / "two")
    assert read_sentences(f"hf:{tmp_path / 'two'}", "text").texts == found.texts
    for column, message in {
        None: r"column = None violates a column of text \(.*two has text, title\)",
        "titel": r"column = titel violates a column of text \(.*\) \(did you mean title\?\)",
        "label": "column = label violates a column of text",
    }.items():
        with pytest.raises(ParameterError, match=message):
            read_sentences(f"hf:{tmp_path / 'two'}", column)

    both = datasets.DatasetDict(train=datasets.Dataset.from_dict(columns), test=datasets.Dataset.from_dict(columns))
    both.save_to_disk(tmp_path / "splits")
    with pytest.raises(ParameterError, match="choose a split, test, train"):
        read_sentences(f"hf:{tmp_path / 'splits'}")


def test_a_batch_holds_the_tokens_of_its_sentences(texts, tokenizer, held):
    rows, _ = tokenizer.encode(texts, 32)
    assert held.shape == (len(texts), 32, tokenizer.size)
    indices = torch.tensor([7, 0, 149, 7])
    batch = held.take(indices)
    assert batch.dtype == torch.int64
    assert batch.shape == (4, max(len(rows[i]) for i in indices))
    for row, index in zip(batch.tolist(), indices.tolist(), strict=True):
        filled = rows[index] + [tokenizer.pad] * (batch.shape[1] - len(rows[index]))
        assert row == filled
    assert held.take(torch.tensor([], dtype=torch.int64)).shape == (0, 0)


def test_a_subset_is_those_sentences_in_that_order(held):
    chosen = np.array([5, 2, 140])
    part = held.subset(chosen)
    assert part.texts == tuple(held.texts[i] for i in chosen)
    assert torch.equal(part.take(torch.arange(3)), held.take(torch.from_numpy(chosen)))
    assert (part.hashes() == held.hashes()[chosen]).all()
    assert held.subset(np.array([], dtype=np.int64)).shape == (0, *held.shape[1:])


def test_sentences_that_are_too_long_are_cut_and_counted(texts, tokenizer):
    rows, cut = tokenizer.encode(texts, 1000)
    assert cut == 0
    held, note = tokenized(texts, tokenizer, 8)
    longer = sum(len(row) > 8 for row in rows)
    assert str(note) == f"{longer} sentences longer than 8 tokens, cut there"
    assert 0 < longer < len(texts)
    batch = held.take(torch.arange(len(texts)))
    assert batch.shape[1] == 8
    last = rows[0][-1]  # a sentence still ends as one
    assert ((batch == last).sum(1) == 1).all()


def test_copies_have_one_hash_and_every_change_another_digest(texts, tokenizer, held):
    changed = [*texts[:-1], texts[0]]
    other, _ = tokenized(changed, tokenizer, 32)
    assert other.hashes()[-1] == other.hashes()[0] == held.hashes()[0]
    assert len(np.unique(held.hashes())) == len(texts)
    assert held.digest() == tokenized(texts, tokenizer, 32)[0].digest()
    # "ab", "c" and "a", "bc" are not the same sentences
    different = [tokenized(given, tokenizer, 32)[0] for given in (["ab", "c"], ["a", "bc"])]
    found = {
        held.digest(),
        other.digest(),
        tokenized(texts, tokenizer, 31)[0].digest(),
        *(d.digest() for d in different),
    }
    assert len(found) == 5


def test_a_page_shows_sentences_as_they_are(texts, tokenizer):
    held = tokenized(texts, tokenizer, 8)[0]
    assert modality("sentences").texts(held.subset(np.array([2, 0]))) == (texts[2], texts[0])
    assert modality("images").texts(held) == ()
