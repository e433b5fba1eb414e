"""Exact copies among samples: rows or images that are the same to the last bit."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from empirical.data.reading import Note, counted

Rows = NDArray[np.int64]
Hashes = NDArray[np.uint64]
DIGEST_BYTES = 8  # of a million samples, two that differ have one digest with probability 3e-8


def row_hashes(rows: NDArray[Any]) -> Hashes:
    """A hash of each row, uint64 of shape (N,); 0 and −0 are the same."""
    if np.issubdtype(rows.dtype, np.floating):
        with np.errstate(invalid="ignore"):  # NaN that signals
            rows = rows + 0  # −0 becomes 0
    rows = np.ascontiguousarray(rows)
    found = b"".join(blake2b(row, digest_size=DIGEST_BYTES).digest() for row in rows)
    return np.frombuffer(found, dtype=np.uint64)


def first_copies(hashes: NDArray[Any]) -> Rows:
    """Of which sample each is a copy: the first with its hash, or other mark, which may be itself; shape (N,)."""
    _, first, inverse = np.unique(hashes, return_index=True, return_inverse=True)
    return np.asarray(first[inverse], dtype=np.int64)


def copied(first: Rows) -> NDArray[np.bool_]:
    """Which samples are copies of an earlier one; shape (N,)."""
    return np.asarray(first != np.arange(len(first)))


def copy_notes(first: Rows, labels: Rows | None = None) -> tuple[Note, Note]:
    """What a reading says of copies: how many, and how many of them have another label than what they copy."""
    copies = counted(int(copied(first).sum()), "exact copy of another sample", "exact copies of other samples")
    wrong = 0 if labels is None else int((labels != labels[first]).sum())
    return copies, counted(wrong, "of them with another label", "of them with other labels")
