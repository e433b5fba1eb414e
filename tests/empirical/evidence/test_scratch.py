"""Instrument B: the settings of every entry, and runs of one small epoch."""

import json
from dataclasses import replace

import numpy as np
import pytest

from empirical.arms import ARMS
from empirical.evidence import running, scratch
from empirical.evidence.adapters import PILOT_SEED
from empirical.evidence.design import REMOVED, SCRATCH, SCRATCH_SEEDS
from empirical.evidence.published import Results, _right
from empirical.evidence.scratch import BASE, ScratchTask, execute, pilot_task, prepare, prepared, tasks
from empirical.paper import STATED
from theory.engine import HERE

CLASSES, IMAGES, TEST = 3, 120, 30
NAMES = ("baseline", "hardest_removed", "random_removed", "mixed20", "mixed20-removed")


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Bright, dark and grey noise, 120 images of 16 pixels."""
    path = tmp_path_factory.mktemp("source") / "images.npz"
    generator = np.random.default_rng(0)

    def images(labels):
        return (generator.integers(0, 96, (len(labels), 16, 16, 3)) + 70 * labels[:, None, None, None]).astype(np.uint8)

    y, y_test = np.arange(IMAGES) % CLASSES, np.arange(TEST) % CLASSES
    np.savez(path, x_train=images(y), y_train=y, x_test=images(y_test), y_test=y_test)
    return f"npz:{path}"


@pytest.fixture
def small(monkeypatch):
    """One epoch of three batches."""
    base = replace(
        BASE, encoder="convnet", width=4, dim=8, stem_stride=1, batch=32, epochs=1, resolutions="1", precision="32-true"
    )
    monkeypatch.setattr(scratch, "BASE", base)
    monkeypatch.setattr(scratch, "SNAPSHOT_ROWS", 12)
    monkeypatch.setattr(scratch, "SNAPSHOTS", (1,))
    return base


@pytest.mark.parametrize("name", [name for name, entry in SCRATCH.items() if entry.drop is None])
def test_settings_are_the_papers_but_for_what_the_name_says(name, tmp_path):
    entry, stated = SCRATCH[name], STATED["cifar10"]
    s = ScratchTask(name, entry, 2, "cifar10", tmp_path).settings
    assert (s.seed, s.arm, s.data) == (2, entry.arm, "cifar10")
    assert s.tau == (BASE.tau if "best_tau" in name else stated.tau)
    assert s.omega == (0.2 if "mixed20" in name else 0)
    assert replace(s, seed=0, arm="baseline", data=BASE.data, tau=BASE.tau, omega=0.0, remedy=None) == replace(
        BASE, seed=0
    )
    if entry.arm.startswith("paper"):
        assert s.remedy.as_printed
        assert (s.remedy.pos_high, s.remedy.pos_low, s.remedy.rho) == (stated.pos_high, stated.pos_low, stated.rho)
        assert s.remedy.sigma == (stated.sigma if "combined" in entry.arm else 0)
        assert s.remedy.select == ("random" if "random" in entry.arm else "rank")
    elif entry.arm == "oracle":
        assert (s.remedy.remove, s.remedy.select) == (True, "label")
    else:
        assert s.remedy is None


def test_the_base_is_the_presets_with_the_papers_batch():
    assert (BASE.batch, BASE.epochs, BASE.encoder, BASE.width) == (STATED["cifar10"].batch, 12, "resnet10", 48)
    assert BASE.tau == 0.2 != STATED["cifar10"].tau
    assert all(ARMS[entry.arm].loss is None for entry in SCRATCH.values())


def test_every_entry_has_a_seed_before_one_has_two(tmp_path):
    found = list(tasks("cifar10", tmp_path))
    assert [task.seed for task in found] == sorted(task.seed for task in found)
    assert {(task.name, task.seed) for task in found} == {(n, s) for n in SCRATCH for s in SCRATCH_SEEDS}
    assert len({task.path for task in found}) == len({task.folder for task in found}) == len(found)
    assert pilot_task("cifar10", tmp_path).seed == PILOT_SEED not in SCRATCH_SEEDS
    assert pilot_task("cifar10", tmp_path).folder not in {task.folder for task in found}


@pytest.fixture
def only_some(monkeypatch):
    chosen = {name: SCRATCH[name] for name in NAMES}
    monkeypatch.setattr(scratch, "SCRATCH", chosen)
    monkeypatch.setattr(scratch, "SCRATCH_SEEDS", range(1))


def test_from_scratch_end_to_end(source, tmp_path, small, only_some, monkeypatch, capsys):
    _right.cache_clear()
    running.run_scratch(source, tmp_path, HERE)
    assert f"read {source}: " in capsys.readouterr().err
    first = pilot_task(source, tmp_path)
    assert prepared(first)
    gaps = np.load(first.pilot / "gaps.npy")
    c = json.loads((first.pilot / "c.json").read_text())["c"]
    assert gaps.shape == (IMAGES,)
    runs = Results(tmp_path).runs()
    assert set(runs.entry) == set(NAMES)
    assert set(runs.bench) == {"scratch"}
    assert (runs.official == runs.accuracy).all()
    for name in NAMES:
        right = Results(tmp_path).right(f"scratch/{name}")
        assert {key: len(row) for key, row in right.items()} == {(0, 0): TEST}
        assert runs[runs.entry == name].accuracy.item() == pytest.approx(right[0, 0].mean())

    labels = np.arange(IMAGES) % CLASSES
    by_name = {task.name: task for task in tasks(source, tmp_path)}
    hardest = np.isin(np.arange(IMAGES), by_name["hardest_removed"].settings.drop)
    for c_number in range(CLASSES):
        mine = labels == c_number
        assert hardest[mine].sum() == round(REMOVED * mine.sum())
        assert gaps[mine & hardest].max() <= gaps[mine & ~hardest].min()
    random = by_name["random_removed"].settings.drop
    assert np.bincount(labels[list(random)]).tolist() == [round(REMOVED * IMAGES / CLASSES)] * CLASSES
    assert replace(by_name["random_removed"], seed=1).settings.drop != random
    mixed = by_name["mixed20-removed"].settings
    assert mixed.drop == tuple(np.flatnonzero(mixed.data_set().mixed.numpy()))
    assert len(mixed.drop) == round(0.2 * IMAGES)
    assert not mixed.original_data_set().mixed.any()  # which probes see

    with np.load(by_name["baseline"].folder / "snapshots.npz") as snapshots:
        assert snapshots.files
    # Resumed: finished runs stay; a lost result is made again from the checkpoint, with the same bits and C.
    before = by_name["baseline"].path.read_bytes()
    by_name["baseline"].path.unlink()
    execute(by_name["baseline"])
    with np.load(by_name["baseline"].path) as again:
        correct = again["correct"]
    by_name["baseline"].path.write_bytes(before)
    with np.load(by_name["baseline"].path) as once:
        assert np.array_equal(once["correct"], correct)
    monkeypatch.setattr(scratch, "_trained", lambda task: pytest.fail("ran again"))
    prepare(first)
    running.run_scratch(source, tmp_path, HERE)
    assert c is not None
