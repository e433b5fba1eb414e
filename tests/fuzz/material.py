"""Small valid inputs of every kind, under the names that calls give them."""

from __future__ import annotations

import os
import shutil
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

from tests.empirical.sentences.test_sts import write_tasks

ROOT = Path(__file__).parents[2]
GRAPH = "--alpha .5 --beta .05 --gamma .2"
WORDS = ("the ball", "water", "an apple", "a long film", "the old guitar", "a tree")
SMALL = "--batch 8 --encoder convnet --width 2 --dim 4"

WORLDS = """\
pairing = ["block", "matched"]
alpha = 0.5
beta = 0.05
gamma = [0.1, 0.2]
samples_per_class = 6
classes = 3
difficult = 2
epsilon = 0.1
dim = [3, 4]
seeds = 2
remedies = ["nothing", "clean", "margin", "removal"]
"""
SAMPLED = """\
alpha = 0.5
beta = 0.05
gamma = 0.2
samples_per_class = 4
classes = 3
difficult = 1
dim = 4
steps = 2
batch = 8
seeds = 2
loss = ["spectral", "infonce"]
"""


def make(folder: Path) -> None:
    """Fill a folder."""
    rng = np.random.default_rng(0)
    labels = np.arange(40) % 4
    features = 1 + rng.normal(0, 0.5, (40, 6)) + 2 * np.eye(6)[labels]
    np.save(folder / "features.npy", features.astype(np.float32))
    np.save(folder / "labels.npy", labels)
    np.save(folder / "indices.npy", np.array([1, 5, 8]))
    cosines = np.clip(rng.normal(0.2, 0.3, (5, 5)), -1, 1)
    np.fill_diagonal(cosines, np.nan)
    np.save(folder / "similarities.npy", cosines)
    np.save(folder / "positives.npy", np.linspace(0.5, 0.9, 5))
    np.savez(folder / "images.npz", **images(rng, 48, 8))
    for number in range(24):
        place = folder / "photos" / ("cat", "dog")[number % 2]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(place / f"{number:02d}.png")
    (folder / "worlds.toml").write_text(WORLDS)
    (folder / "sampled.toml").write_text(SAMPLED)
    (folder / "page.md").write_text("# Page\n\n<!-- claims -->\n\n<!-- /claims -->\n")
    (folder / "results").mkdir()
    for path in (*ROOT.glob("results/cifar100_cpu.*"), *ROOT.glob("results/evidence[._]*")):
        shutil.copy(path, folder / "results")
    graphs(folder / "graphs")
    with zipfile.ZipFile(folder / "graphs.zip", "w", zipfile.ZIP_LZMA) as archive:
        for path in sorted((folder / "graphs").iterdir()):
            archive.write(path, path.name)
    lines = [f"{who} {does} {what}" for who in ("a man", "a dog") for does in ("sees", "has") for what in WORDS]
    (folder / "sentences.txt").write_text("\n".join(lines) + "\n")
    write_tasks(folder / "judged")
    os.mkfifo(folder / "pipe")
    (folder / "null").symlink_to("/dev/null")
    (folder / "full").symlink_to("/dev/full")


def graphs(folder: Path) -> None:
    """Forty rings and paths of three to seven nodes in the raw format of TU data sets."""
    folder.mkdir()
    edges, owners, labels, first = [], [], [], 1
    for number in range(40):
        ring, size = number % 2, 3 + number // 2 % 5
        pairs = [(first + node, first + (node + 1) % size) for node in range(size - 1 + ring)]
        edges += [*pairs, *((b, a) for a, b in pairs)]
        owners += [number + 1] * size
        labels.append(ring)
        first += size
    kinds = [node % 3 for node in range(len(owners))]
    rows = {
        "graph_indicator": owners,
        "graph_labels": labels,
        "node_labels": kinds,
        "A": [f"{a}, {b}" for a, b in edges],
    }
    for part, values in rows.items():
        (folder / f"TOY_{part}.txt").write_text("".join(f"{value}\n" for value in values))


def images(rng: np.random.Generator, train: int, test: int) -> dict[str, np.ndarray]:
    """The arrays of a small data set of images."""
    return {
        "x_train": rng.integers(0, 256, (train, 8, 8, 3), dtype=np.uint8),
        "y_train": np.arange(train) % 2,
        "x_test": rng.integers(0, 256, (test, 8, 8, 3), dtype=np.uint8),
        "y_test": np.arange(test) % 2,
    }


# What the commands make themselves, each from what is there before.
CHECKPOINT = "--checkpoint runs/one/checkpoint.pt"
COMPARED = f"--data npz:images.npz --arms baseline,margin --seeds 2 --epochs 1 {SMALL} --out runs/compared"
MADE = (
    ("empirical.profile", "--features features.npy --labels labels.npy --out profile.json"),
    ("theory.bounds", f"{GRAPH} --plan plan.json"),
    ("empirical.train", f"--data npz:images.npz --epochs 1 {SMALL} --out runs/one"),
    ("empirical.embed", f"--data npz:images.npz --views 2 --components 4 {CHECKPOINT} --out views.npz"),
    ("empirical.compare", COMPARED),
)
