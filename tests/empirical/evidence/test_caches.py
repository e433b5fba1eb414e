"""Which images are trained on, which choose, and which are evaluated; and their cached views."""

import json
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from empirical.data import load
from empirical.embed.settings import Embedding
from empirical.evidence import caches
from empirical.evidence.caches import JUDGED, cache, rows_of, tuning_cache
from empirical.evidence.design import BENCHES, SPLITS, Bench, Split
from empirical.pretrained import weights_path
from theory.checks import ParameterError


def counts(labels, rows, classes):
    return np.bincount(labels[rows], minlength=classes)


@given(st.integers(2, 7), st.integers(1, 4), st.integers(3, 30), st.integers(1, 20), st.integers(0, 2**32 - 1))
def test_rows_are_disjoint_and_balanced(classes, sets, train, extra, seed):
    judged = 12
    used = train * sets
    wanted = used + 2 * judged + extra
    labels = np.random.default_rng(seed).permutation(np.arange(wanted + 5) % classes)
    pool = Split(train, sets, extra)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(caches, "JUDGED", judged)
        trained, evaluated = rows_of(pool, labels, False)
        tune, judge = rows_of(pool, labels, True)
    parts = (trained, tune, judge, evaluated)
    assert [len(part) for part in parts] == [used, judged, judged, extra]
    together = np.concatenate(parts)
    assert len(set(together.tolist())) == len(together)
    for part in (*parts, *np.split(trained, sets)):
        found = counts(labels, part, classes)
        assert found.max() - found.min() <= 1


@given(st.lists(st.integers(4, 40), min_size=2, max_size=6), st.integers(0, 2**32 - 1))
def test_where_nothing_is_left_the_halves_hold_every_class(sizes, seed):
    """Of unequal classes, such as TrashNet's, too: the smallest one has images in both halves."""
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))
    pool = Split(len(labels))
    trained, evaluated = rows_of(pool, labels, False)
    tune, judge = rows_of(pool, labels, True)
    assert len(evaluated) == 0  # no training image is evaluated where the tuning set is trained on
    assert sorted([*tune, *judge]) == sorted(trained) == list(range(len(labels)))
    apart = counts(labels, tune, len(sizes)) - counts(labels, judge, len(sizes))
    assert set(apart.tolist()) <= {0, 1}


def test_the_protocols_pools_fit_their_data():
    assert SPLITS["cifar10"].train * SPLITS["cifar10"].sets + 2 * JUDGED + SPLITS["cifar10"].extra == 50_000
    labels = np.arange(50_000) % 10
    parts = (*rows_of(SPLITS["cifar10"], labels, False), *rows_of(SPLITS["cifar10"], labels, True))
    assert sorted(np.concatenate(parts).tolist()) == list(range(50_000))
    halves = rows_of(SPLITS["cifar100"], np.arange(10_000) % 100, True)
    assert [len(half) for half in halves] == [5_000, 5_000]


@pytest.mark.parametrize("images", [34_999, 49_999])
def test_too_few_images_are_refused_rather_than_reused(images):
    with pytest.raises(ParameterError, match="at least 50000 training images"):
        rows_of(SPLITS["cifar10"], np.arange(images) % 10, False)


# --- with the real encoder -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """36 training and 4 test images of two classes."""
    path = tmp_path_factory.mktemp("source") / "images.npz"
    generator = np.random.default_rng(0)
    arrays = {
        "x_train": generator.integers(0, 256, (36, 16, 16, 3), dtype=np.uint8),
        "y_train": np.arange(36) % 2,
        "x_test": generator.integers(0, 256, (4, 16, 16, 3), dtype=np.uint8),
        "y_test": np.arange(4) % 2,
    }
    np.savez(path, **arrays)
    return path


def test_what_was_read_is_said_and_stored(source, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(SPLITS, "cifar10", Split(8, 2, 4))
    monkeypatch.setattr(caches, "JUDGED", 8)
    path = caches._pool(Bench("cifar10"), f"npz:{source}", tmp_path, False)
    with np.load(path) as pool:
        line = json.loads(str(pool["reading"]))["line"]
    assert line.startswith(f"read npz:{source}: ")
    assert line in capsys.readouterr().err


def test_images_of_a_source_that_has_changed_are_refused(source, tmp_path, monkeypatch):
    monkeypatch.setitem(SPLITS, "cifar10", Split(8, 2, 4))
    monkeypatch.setattr(caches, "JUDGED", 8)
    changed = tmp_path / "images.npz"
    changed.write_bytes(source.read_bytes())
    made = caches._pool(Bench("cifar10"), f"npz:{changed}", tmp_path, False)
    before = made.read_bytes()
    assert caches._pool(Bench("cifar10"), f"npz:{source}", tmp_path, False) == made  # elsewhere, the same
    arrays = dict(np.load(source))
    np.savez(changed, **(arrays | {"x_train": 255 - arrays["x_train"]}))
    load.cache_clear()
    with pytest.raises(ParameterError, match=r"^the training images are not those with which .*cifar10\.npz was begun"):
        caches._pool(Bench("cifar10"), f"npz:{changed}", tmp_path, False)
    assert made.read_bytes() == before
    arrays = dict(np.load(made))
    for entry in ("[", "3"):
        np.savez(made, **(arrays | {"source": np.array(entry)}))
        with pytest.raises(ParameterError, match="its source is no JSON object"):
            caches._pool(Bench("cifar10"), f"npz:{source}", tmp_path, False)
    del arrays["source"]  # as earlier versions wrote it
    np.savez(made, **arrays)
    assert caches._pool(Bench("cifar10"), f"npz:{changed}", tmp_path, False) == made


@pytest.mark.skipif(weights_path() is None, reason="the extra pretrained is not installed")
def test_caches_hold_disjoint_sets_and_the_evaluated_images(source, tmp_path, monkeypatch):
    monkeypatch.setitem(SPLITS, "cifar10", Split(8, 2, 4))
    monkeypatch.setattr(caches, "JUDGED", 8)
    monkeypatch.setattr(caches, "Embedding", partial(Embedding, views=2, components=4, side=32))
    seen = []
    bench, spec = Bench("cifar10"), f"npz:{source}"
    paths = cache(bench, spec, tmp_path, progress=lambda done, total: seen.append((done, total)))
    assert [path.name for path in paths] == ["cifar10-2sets-0.npz", "cifar10-2sets-1.npz"]
    assert seen[-1][0] == seen[-1][1] == 2 * 8 * 3 + 4 + 4
    mixed = cache(Bench("cifar10", omega=0.25, sets=1), spec, tmp_path)
    tuning = tuning_cache(bench, spec, tmp_path)
    before = paths[0].stat().st_mtime_ns
    assert cache(bench, spec, tmp_path) == paths
    assert paths[0].stat().st_mtime_ns == before

    with np.load(source) as file, np.load(tmp_path / "data" / "cifar10.npz") as pool:
        pixels = file["x_train"]
        assert np.array_equal(pool["x_train"], pixels[pool["rows_train"]])
        assert np.array_equal(pool["x_test"][:4], file["x_test"])  # test images first: official accuracy
        assert np.array_equal(pool["x_test"][4:], pixels[pool["rows_test"]])
        origins = pool["rows_train"]
    with np.load(tmp_path / "data" / "cifar10-tuning.npz") as other:
        kept = {*other["rows_train"], *other["rows_test"]}
        assert len(kept) == 16
    with np.load(tmp_path / "data" / "cifar10.npz") as pool:
        assert not kept & {*pool["rows_train"], *pool["rows_test"]}
    rows = [origins[np.load(path)["rows"]] for path in paths]
    assert not set(rows[0]) & set(rows[1])
    loaded = [load(f"views:{path}") for path in (*paths, *mixed, tuning)]
    assert [(len(x.y_train), len(x.y_test)) for x in loaded] == [(8, 8), (8, 8), (16, 8), (8, 8)]
    assert [int(x.mixed.sum()) for x in loaded] == [0, 0, 4, 0]


@pytest.mark.parametrize("name", BENCHES)
def test_benches_share_their_pools_and_mixed_ones_begin_with_the_same_sets(name, monkeypatch, tmp_path):
    """The names of the files say what determines them."""
    seen = []

    def spy(e, out, progress=None):
        seen.append((out.name, e.sets, e.settings.omega, e.settings.train, e.settings.imbalance))
        return e.paths(out)

    monkeypatch.setattr(caches, "embed", spy)
    monkeypatch.setattr(caches, "_pool", lambda bench, source, out, tuning: out / f"{bench.data}.npz")
    bench = BENCHES[name]
    sets = bench.sets or bench.split.sets
    assert len(cache(bench, "unused", tmp_path)) == sets
    ((file, found, omega, train, imbalance),) = seen
    assert (found, omega) == (sets, bench.omega)
    assert train == (bench.split.train if sets > 1 else None)
    assert imbalance == 1  # the tail is cut from the balanced cache, which probes see
    assert file.startswith(bench.data)
    assert ("mixed" in file) == (omega > 0)
