"""Features with known overlaps of classes: unit centres with Gaussian samples about them."""

from itertools import combinations

import numpy as np


def clouds(sizes, width=32, spread=0.7, seed=0):
    """Centres, features and labels of classes of these sizes; a sample's noise has length ``spread``."""
    generator = np.random.default_rng(seed)
    centres = generator.standard_normal((len(sizes), width))
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    labels = np.repeat(np.arange(len(sizes)), sizes)
    features = centres[labels] + spread / np.sqrt(width) * generator.standard_normal((len(labels), width))
    return centres, features, labels


def look_alikes(world, first, second, share=0.2, way=0.5, skip=0):
    """Move a share of the first class's samples this way to the second's centre; those from ``skip`` on."""
    centres, features, labels = world
    members = np.flatnonzero(labels == first)
    chosen = members[skip : skip + round(share * len(members))]
    features[chosen] += way * (centres[second] - centres[first])


def no_overlap(seed):
    _, features, labels = clouds([60] * 10, seed=seed)
    return features, labels


def one_pair(seed, way=0.5):
    """Classes 3 and 17 of 40."""
    world = clouds([50] * 40, seed=seed)
    look_alikes(world, 3, 17, way=way)
    look_alikes(world, 17, 3, way=way)
    return world[1:]


def wrong_labels(seed, share=0.05):
    """So many samples of each of ten classes have another label; which samples, too."""
    _, features, labels = clouds([60] * 10, seed=seed)
    generator = np.random.default_rng(seed)
    wrong = np.flatnonzero(generator.random(len(labels)) < share)
    labels[wrong] = (labels[wrong] + generator.integers(1, 10, len(wrong))) % 10
    return features, labels, wrong


def swapped_labels(seed, share=0.1):
    """So many samples of classes 2 and 5 of ten have each other's label."""
    _, features, labels = clouds([120] * 10, seed=seed)
    some = [np.flatnonzero(labels == c)[: round(share * 120)] for c in (2, 5)]
    labels[some[0]], labels[some[1]] = 5, 2
    return features, labels


def copied_items(seed, count=12):
    """Samples of class 2 of ten, copied with little noise, are in class 5 too."""
    _, features, labels = clouds([60] * 10, seed=seed)
    generator = np.random.default_rng(seed)
    copies = features[np.flatnonzero(labels == 2)[:count]]
    copies = copies + 0.002 * generator.standard_normal(copies.shape)
    return np.concatenate([features, copies]), np.append(labels, np.full(count, 5))


def one_hub(seed):
    """A seventh of every class looks like class 0 of twelve."""
    world = clouds([140] * 12, width=64, seed=seed)
    for c in range(1, 12):
        look_alikes(world, c, 0, share=1 / 7)
    return world[1:]


def unequal(seed, overlap):
    """Classes of 12 to 400 samples, of which 1 (300) and 6 (80) overlap or not."""
    world = clouds([400, 300, 200, 100, 60, 40, 80, 12], seed=seed)
    if overlap:
        look_alikes(world, 1, 6, share=0.1)
        look_alikes(world, 6, 1, share=0.3)
    return world[1:]


def merged(seed):
    """Classes 1 and 4 of ten are one."""
    world = clouds([60] * 10, seed=seed)
    look_alikes(world, 4, 1, share=1.0, way=1.0)
    return world[1:]


def many_classes(seed, pairs=5):
    """A thousand classes of 20, of which 0 and 1, 2 and 3, … overlap."""
    world = clouds([20] * 1000, width=32, spread=0.5, seed=seed)
    for k in range(pairs):
        look_alikes(world, 2 * k, 2 * k + 1, share=0.4)
        look_alikes(world, 2 * k + 1, 2 * k, share=0.4)
    return world[1:]


def siblings(families, members, n, share, width, seed=0, spread=0.7):
    """Families of classes, a share of each of which looks like its siblings, as many like each; and their pairs."""
    world = clouds([n] * (families * members), width, spread, seed)
    each = share / (members - 1)
    pairs = set()
    for f in range(families):
        family = range(f * members, (f + 1) * members)
        pairs |= set(combinations(family, 2))
        for c in family:
            for k, other in enumerate(o for o in family if o != c):
                look_alikes(world, c, other, each, 0.5, skip=k * round(each * n))
    return *world[1:], pairs
