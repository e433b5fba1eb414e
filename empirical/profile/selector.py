"""How well the pair selector tells difficult pairs from others, where labels say which these are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from empirical.choices import ROUNDS
from empirical.data.features import Features
from empirical.selection import difficult_pairs
from theory.kinds import Pairing
from theory.plan import SPACES, THREE_LEVEL, Profile, band
from theory.sizes import Selector

BATCH, ROWS = 256, 4_096  # samples in a batch where the training is not known, samples whose pairs are ranked

Labels = NDArray[np.int64]
Mask = NDArray[np.bool_]


def selectors(
    spaces: Mapping[str, Features],
    labels: Labels,
    difficult: Mask,
    profile: Profile,
    batch: int = BATCH,
    seed: int = 0,
) -> dict[str, Selector]:
    """What the selector flags in random batches, for the band of each three-level reading.

    Pairs are ranked by the encoder's cosines, as in training, but of unaugmented images. Which pairs are difficult
    depends on the reading: ``block`` and ``matched`` those of two difficult samples of different classes, ``any``
    those with one. All other pairs of different classes are the reference. Flagged pairs of one class are in neither:
    they count against the precision alone.

    Parameters
    ----------
    spaces : mapping of Features
        ``encoder`` and possibly ``projector``, with the same rows; at most 4,096 of them are used.
    labels, difficult : ndarray
        Class and difficulty of each row, shape (N,).
    profile : Profile
        Whose sizes set the band.
    batch : int
        Samples in a batch, >= 2; all that there are, where they are fewer.
    seed : int
        Of the batches.

    Returns
    -------
    dict of Selector
        By reading; without those of whose difficult or reference pairs no batch has one.
    """
    generator = np.random.default_rng(seed)
    rows = np.sort(generator.permutation(len(labels))[:ROWS])
    ranked = torch.from_numpy(spaces[SPACES[0]].take(rows))
    same = profile.loss_space == SPACES[0]  # which is then read once
    seen = ranked if same else torch.from_numpy(spaces[profile.loss_space].take(rows))
    counted = {reading: np.zeros((3, 3)) for reading in THREE_LEVEL}
    for chosen in _batches(len(rows), batch, generator):
        own, cosines = ranked[chosen] @ ranked[chosen].T, (seen[chosen] @ seen[chosen].T).numpy()
        own.fill_diagonal_(-torch.inf)
        for reading in THREE_LEVEL:
            flagged = difficult_pairs(own, *band(profile, reading)).numpy()
            places = rows[chosen]
            counted[reading] += _count(flagged, cosines, labels[places], difficult[places], reading)
    found = {reading: _selector(*counts) for reading, counts in counted.items()}
    return {reading: selector for reading, selector in found.items() if selector is not None}


def _batches(samples: int, size: int, generator: np.random.Generator) -> Iterator[Labels]:
    """Full batches of random partitions."""
    size = min(size, samples)
    for _ in range(ROUNDS):
        order = generator.permutation(samples)
        yield from (order[start : start + size] for start in range(0, samples - size + 1, size))


def _count(
    flagged: Mask, cosines: NDArray[np.float32], labels: Labels, difficult: Mask, reading: Pairing
) -> NDArray[np.float64]:
    """Pairs, flagged pairs and the sum of their cosines: difficult pairs, the reference, all; shape (3, 3)."""
    other = labels[:, None] != labels
    touched = difficult[:, None] | difficult if reading == "any" else difficult[:, None] & difficult
    groups = other & touched, other & ~touched, ~np.eye(len(labels), dtype=bool)
    return np.array([[group.sum(), (group & flagged).sum(), cosines[group & flagged].sum()] for group in groups])


def _selector(
    difficult: NDArray[np.float64], reference: NDArray[np.float64], every: NDArray[np.float64]
) -> Selector | None:
    if 0 in (difficult[0], reference[0]):
        return None

    def ratio(part: float, whole: float) -> float:
        return float(f"{part / whole:.6g}") if whole else 0.0

    return Selector(
        precision=ratio(difficult[1], every[1]),
        recall=ratio(difficult[1], difficult[0]),
        false_alarms=ratio(reference[1], reference[0]),
        difficult_cosine=ratio(difficult[2], difficult[1]),
        reference_cosine=ratio(reference[2], reference[1]),
    )
