"""Sentences of a text file or a data set of Hugging Face, and the set of their tokens to train on."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from empirical.data.copies import DIGEST_BYTES, copied, first_copies
from empirical.data.formats import SAVED_DATASET, open_table
from empirical.data.reading import Note, Reading, counted
from empirical.data.tables import SHOWN, Arrow, one_error
from empirical.sentences.tokens import Tokenizer
from theory.checks import ParameterError, nearest, require
from theory.files import read_text

TEXT, DATASET = "text:", "hf:"  # how a source of sentences begins
Hashes = NDArray[np.uint64]
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Sentences:
    """Sentences as they were read.

    Parameters
    ----------
    texts : tuple of str
        None is empty.
    reading : Reading
        Where from, and what was left out.
    """

    texts: tuple[str, ...]
    reading: Reading


@dataclass(frozen=True)
class SentenceSet:
    """Sentences as tokens, N of them with at most L tokens, of which batches are taken.

    Parameters
    ----------
    texts : tuple of str
        The sentences, N of them.
    tokens : ndarray of int32
        The tokens of all sentences, one after the other.
    ends : ndarray of int64, shape (N,)
        Where in ``tokens`` each sentence ends.
    longest : int
        L, how many tokens a sentence may have.
    pad : int
        The token that fills a batch's shorter sentences.
    vocabulary : int
        V, how many tokens there are.
    """

    texts: tuple[str, ...]
    tokens: NDArray[np.int32]
    ends: Rows
    longest: int
    pad: int
    vocabulary: int

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(N, L, V)."""
        return len(self), self.longest, self.vocabulary

    def take(self, indices: Tensor) -> Tensor:
        """Tokens of these sentences, int64 of shape (B, longest of them), padded on the right."""
        rows = self._rows(indices.cpu().numpy())
        found = torch.full((len(rows), max(map(len, rows), default=0)), self.pad)
        for place, row in enumerate(rows):
            found[place, : len(row)] = torch.from_numpy(row)
        return found

    def subset(self, indices: Rows) -> SentenceSet:
        """These sentences, in this order."""
        rows = self._rows(indices)
        return _packed([self.texts[int(index)] for index in indices], rows, self.longest, self.pad, self.vocabulary)

    def hashes(self) -> Hashes:
        """A hash of each sentence's text, shape (N,): equal for exact copies."""
        found = b"".join(hashlib.blake2b(t.encode(), digest_size=DIGEST_BYTES).digest() for t in self.texts)
        return np.frombuffer(found, dtype=np.uint64)

    def digest(self) -> str:
        """SHA-256 of the sentences, their tokens and how they are padded."""
        found = hashlib.sha256(f"{self.shape} {self.pad}".encode())
        for text in self.texts:
            found.update(f"{len(text)} {text}".encode())
        for array in (self.tokens, self.ends):
            found.update(np.ascontiguousarray(array).data)
        return found.hexdigest()

    def _rows(self, indices: NDArray[np.integer]) -> list[NDArray[np.int32]]:
        ends = self.ends[indices]
        starts = np.concatenate([[0], self.ends])[indices]
        return [self.tokens[start:end] for start, end in zip(starts, ends, strict=True)]


def read_sentences(source: str, column: str | None = None) -> Sentences:
    """Sentences of a file or data set; those without a sign are left out, and counted.

    Parameters
    ----------
    source : str
        ``text:FILE``, one sentence a line in UTF-8; or ``hf:FOLDER``, a data set that ``datasets`` saved there.
    column : str, optional
        Of the data set, which holds the sentences; by default the only one that holds text.

    Raises
    ------
    ParameterError
        If it cannot be read, no sentence is left, or the column is not there or not clear.
    """
    place = Path(source.removeprefix(TEXT).removeprefix(DATASET)).expanduser()
    if source.startswith(TEXT):
        require(column is None, "column", column, "a data set hf:FOLDER; a text file has none")
        found, empty = _lines(place), ("empty line", "empty lines")
    else:
        require(source.startswith(DATASET), "data", source, "text:FILE or hf:FOLDER")
        found, empty = _saved(place, column), ("row without text", "rows without text")
    texts = tuple(text.strip() for text in found if text is not None and text.strip())
    require(bool(texts), "data", source, "at least one sentence")
    skipped = counted(len(found) - len(texts), *empty)
    copies = int(copied(first_copies(np.unique(texts, return_inverse=True)[1])).sum())
    note = counted(copies, "exact copy of another sentence", "exact copies of other sentences")
    return Sentences(texts, Reading(source, len(texts)).with_notes(skipped=[skipped], noted=[note]))


def _lines(path: Path) -> list[str | None]:
    """Lines of a file, without what follows the last one's end."""
    lines: list[str | None] = [*read_text(path).removeprefix("\ufeff").split("\n")]
    return lines if lines[-1] else lines[:-1]


def _saved(folder: Path, column: str | None) -> list[str | None]:
    """The column of text of a saved data set."""
    require(folder.is_dir(), "data", f"{DATASET}{folder}", "a folder that there is")
    if not (folder / SAVED_DATASET).is_file():
        splits = sorted(place.parent.name for place in folder.glob(f"*/{SAVED_DATASET}"))
        advice = f": choose a split, {', '.join(splits)}" if splits else ""
        raise ParameterError("data", f"{DATASET}{folder}", f"a folder with {SAVED_DATASET}, of save_to_disk{advice}")
    table = open_table(folder)
    assert isinstance(table, Arrow)
    texts = [field.name for field in table.schema if str(field.type) in ("string", "large_string", "string_view")]
    held = f"a column of text ({folder} has {', '.join(texts[:SHOWN]) or 'none'})"
    if column is None:
        require(len(texts) == 1, "column", column, held)
    else:
        require(column in texts, "column", column, held + nearest(column, texts))
    with one_error(folder):
        values = table.column(column or texts[0])
        return [value if isinstance(value, str) else None for value in values]


def tokenized(texts: Sequence[str], tokenizer: Tokenizer, longest: int) -> tuple[SentenceSet, Note]:
    """Sentences as tokens, and a note of how many were longer than ``longest`` and lost their end."""
    rows, cut = tokenizer.encode(texts, longest)
    found = _packed(texts, [np.array(row, dtype=np.int32) for row in rows], longest, tokenizer.pad, tokenizer.size)
    what = f"longer than {longest} tokens, cut there"
    return found, counted(cut, f"sentence {what}", f"sentences {what}")


def _packed(
    texts: Sequence[str], rows: Sequence[NDArray[np.int32]], longest: int, pad: int, vocabulary: int
) -> SentenceSet:
    ends = np.cumsum([len(row) for row in rows], dtype=np.int64)
    tokens = np.concatenate(rows) if rows else np.empty(0, dtype=np.int32)
    return SentenceSet(tuple(texts), tokens, ends, longest, pad, vocabulary)
