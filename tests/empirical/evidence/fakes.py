"""Small files of cached views, and a protocol that is trained on them in a second."""

import json
from dataclasses import replace

import numpy as np

from empirical.arms import Given
from empirical.evidence import adapters, choices, running
from empirical.evidence.choices import Choices
from empirical.evidence.design import BENCHES, PARTS, SPLITS, Entry, Part, Split
from empirical.evidence.published import _right
from theory.files import write_json

CLASSES, WIDTH, IMAGES, TEST, EXTRA = 3, 8, 390, 60, 20
BASELINE = Entry()
TUNED = Choices(
    0.1,
    0.2,
    margin=Given("paper", sigma=0.1, stated="cifar10"),
    temperature=Given("paper", rho=0.8, stated="cifar10"),
    combined=Given("paper", 0.2, 0.7, stated="cifar10"),
)


def write_views(path, seed=0, omega=0.0, images=IMAGES):
    """Noisy class means and four noisy views of each, as ``difficult embed`` writes them."""
    means = 1.5 * np.random.default_rng(99).standard_normal((CLASSES, WIDTH))
    generator = np.random.default_rng(seed + 1)

    def drawn(labels):
        return means[labels] + generator.standard_normal((len(labels), WIDTH))

    y, y_test = np.arange(images) % CLASSES, np.arange(TEST + EXTRA) % CLASSES
    original = drawn(y)
    mixed = np.zeros(images, dtype=bool)
    mixed[generator.permutation(images)[: round(omega * images)]] = True
    x = np.where(mixed[:, None], (original + original[::-1]) / 2, original)
    views = x[:, None] + 0.3 * generator.standard_normal((images, 4, WIDTH))
    arrays = {
        "views": views.astype(np.float16),
        "x_train": x.astype(np.float32),
        "y_train": y,
        "x_test": drawn(y_test).astype(np.float32),
        "y_test": y_test,
        "class_names": np.array([f"class {c}" for c in range(CLASSES)]),
        "mixed": mixed,
        "rows": np.arange(images),
        "origin": np.array(json.dumps({"settings": {}})),
    }
    if omega:
        arrays["x_original"] = original.astype(np.float32)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **arrays)
    return path


def shrink(monkeypatch, out):
    """Two training sets of 390 images, runs of five steps, parts of a few entries and two seeds."""
    small = Split(IMAGES, 2, EXTRA)
    monkeypatch.setitem(SPLITS, "cifar10", small)
    monkeypatch.setattr(adapters, "STEPS", 5)
    names = ("baseline", "oracle", "paper_temperature", "paper_combined", "random_removed", "frozen")
    entries = {name: {**PARTS["primary"].entries, **PARTS["tables"].entries}[name] for name in names}
    monkeypatch.setitem(PARTS, "primary", Part("?", "cifar10", entries, range(10, 13)))
    sizes = {name: PARTS["sizes"].entries[name] for name in ("margin-derived", "combined-tuned")}
    monkeypatch.setitem(PARTS, "sizes", Part("?", "cifar10", sizes, range(10, 12)))
    mixed = {name: PARTS["mixed20"].entries[name] for name in ("baseline", "mixed_removed")}
    monkeypatch.setitem(PARTS, "mixed20", Part("?", "cifar10-mixed20", mixed, range(10, 12)))
    monkeypatch.setitem(BENCHES, "cifar10-mixed20", replace(BENCHES["cifar10-mixed20"], sets=1))

    def views(bench, source, folder, sets=None, progress=None):
        sets = sets or bench.sets or bench.split.sets
        paths = [folder / f"{bench.data}-{bench.omega:g}-{number}.npz" for number in range(sets)]
        return [p if p.exists() else write_views(p, number, bench.omega) for number, p in enumerate(paths)]

    monkeypatch.setattr(running, "cache", views)
    monkeypatch.setattr(
        running,
        "tuning_cache",
        lambda bench, source, folder, progress=None: views(bench, source, folder / "tuning", 1)[0],
    )
    file = out / "committed.json"
    write_json(file, {"cifar10": TUNED.to_json()})
    monkeypatch.setattr(choices, "FILE", file)
    monkeypatch.setattr(running, "FILE", file)
    monkeypatch.setattr(running, "read_choices", lambda data, stated: choices.read_choices(data, stated, file))
    _right.cache_clear()


def task(out, entry=BASELINE, name="baseline", bench="cifar10", number=0, seeds=(10, 11), views=None):
    """A task on a training set whose views are written if they are not there."""
    path = views or out / "caches" / f"{number}.npz"
    return adapters.Task(
        bench, name, entry, number, path if path.exists() else write_views(path, number), seeds, TUNED, out
    )
