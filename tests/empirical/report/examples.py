"""Examinations of small and of large made-up sets."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from empirical.data.features import Features
from empirical.data.identities import as_pictures
from empirical.data.samples import read_samples
from empirical.difficulty import AlikePairs, Criteria
from empirical.difficulty.pairs import Search
from empirical.report import Examination, examine

HOSTILE = "<script>alert(1)</script>"
NAMES = np.array([HOSTILE, '$x_1$ & "q" \' 杯子', "</script><img src=x onerror=alert(1)>"], dtype=object)


def samples(n=40, seed=0):
    """Features of three classes, the first two of which have look-alikes, and labels."""
    rng = np.random.default_rng(seed)
    labels = np.arange(3 * n) % 3
    means = 2 * np.eye(3, 8)
    features = means[labels] + 0.3 * rng.standard_normal((3 * n, 8))
    between = (labels < 2) & (rng.random(3 * n) < 0.15)
    features[between] = means[:2].mean(axis=0) + 0.3 * rng.standard_normal((between.sum(), 8))
    return features.astype(np.float32), labels


@cache
def small() -> Examination:
    """120 samples with hostile names."""
    features, labels = samples()
    ids = np.array([f"<b id='{i}'>" for i in range(len(labels))], dtype=object)
    return examine(read_samples(features, NAMES[labels], ids=ids), Criteria(pairs=50))


def with_pictures(found: Examination, folder: Path) -> Examination:
    """With image files whose names look like addresses."""
    paths = []
    for row in range(len(found.samples.rows)):
        path = folder / f"javascript:alert({row})%20#?.png"
        colours = np.full((20, 30, 3), (row * 2, 100, 200), dtype=np.uint8)
        Image.fromarray(colours).save(path)
        paths.append(str(path))
    pictures = as_pictures("images", np.array(paths, dtype=object), Path(), len(paths))
    return replace(found, samples=replace(found.samples, pictures=pictures), images=pictures)


def large(rows: int) -> Examination:
    """Made-up scores of many samples, with the profile of the small set."""
    found, rng = small(), np.random.default_rng(0)
    labels = np.arange(rows) % 3
    samples = replace(
        found.samples,
        features=Features(rng.standard_normal((rows, 4)).astype(np.float32)),
        labels=labels,
        ids=np.array([f"sku-{i:09d}-of-a-shop" for i in range(rows)], dtype=object),
        rows=np.arange(rows),
    )
    scores = {name: rng.random(rows) for name in found.difficulty.scores}
    scores |= {"index": np.arange(rows), "label": labels}
    scores |= {name: (rng.random(rows) < 0.08).astype(np.int64) for name in found.flags}
    pairs = AlikePairs(np.empty((0, 2), np.int64), np.empty(0), Search(100, 7, 0.978))
    difficulty = replace(found.difficulty, scores=scores, difficult=scores["difficult"].astype(bool), pairs=pairs)
    return replace(found, samples=samples, difficulty=difficulty)
