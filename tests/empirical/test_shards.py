"""Many files of features: the numbers are those of one file, whoever sums them."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from empirical.data import features as module
from empirical.data.arrays import find_files, read_integers
from empirical.data.features import Chunk, Features
from empirical.difficulty.__main__ import main as difficulty
from empirical.difficulty.pairs import alike_pairs
from empirical.difficulty.scores import flag_shares
from empirical.profile import levels
from empirical.profile.__main__ import main as profile
from empirical.profile.levels import REPLICATES, GroupSum, Sums, Weighted, measure_space, poisson_weights, sum_groups
from tests.empirical.test_difficulty import cosines
from tests.empirical.test_profile import blobs, naive_levels
from theory import memory
from theory.checks import ParameterError
from theory.workers import workers


def save_shards(folder, name, array, ends):
    """The rows up to each end, in files of their own, in place of earlier ones."""
    folder.mkdir(exist_ok=True)
    for earlier in folder.glob(f"{name}-*.npy"):
        earlier.unlink()
    for number, part in enumerate(np.split(array, ends), start=5):
        np.save(folder / f"{name}-{number}.npy", part)
    return find_files("features", [f"{folder}/{name}-*.npy"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("shards")


ENDS = st.sets(st.integers(1, 39), min_size=1, max_size=10).map(sorted)


# --- files -----------------------------------------------------------------------------------------


def test_files_are_sorted_by_their_numbers(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("part-10", "part-9", "part-1", "part-09", "other-2", "7"):
        Path(f"{name}.npy").touch()
    names = [path.stem for path in find_files("features", ["part-*.npy", "*-?.npy"])]
    assert names == ["other-2", "part-1", "part-09", "part-9", "part-10"]
    assert [path.stem for path in find_files("features", ["7.npy", "none.npy"])] == ["7", "none"]


def test_a_name_with_brackets_is_a_name(tmp_path):
    (tmp_path / "f[1].npy").touch()
    assert find_files("features", [str(tmp_path / "f[1].npy")]) == [tmp_path / "f[1].npy"]


def test_a_pattern_without_files_is_refused():
    with pytest.raises(ParameterError, match="^labels: no file matches none/"):
        find_files("labels", ["none/*.npy"])


def test_labels_of_many_files_follow_each_other(tmp_path):
    labels = np.arange(20)
    assert read_integers("labels", *save_shards(tmp_path, "labels", labels, [3, 4, 5, 6, 7, 11])).tolist() == [
        *range(20)
    ]


@given(ENDS, st.integers(1, 40))
def test_rows_do_not_depend_on_the_files(folder, ends, step):
    features, _ = blobs(n=10)
    whole, parts = Features(features), Features(save_shards(folder, "rows", features, ends))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "CHUNK_VALUES", 8 * step)
        assert (parts.rows, parts.width) == (40, 8)
        assert [(c.start, c.stop) for c in parts.chunks()] == [(c.start, c.stop) for c in whole.chunks()]
        np.testing.assert_array_equal(parts.unit, whole.unit)
        chosen = np.array([39, 0, 7, 7, 20])
        np.testing.assert_array_equal(parts.take(chosen), whole.unit[chosen])


def test_an_unusable_row_is_named_in_its_file(tmp_path, monkeypatch):
    features, _ = blobs(n=10)
    features[25, 3] = np.inf
    monkeypatch.setattr(module, "CHUNK_VALUES", 8 * 16)
    files = save_shards(tmp_path, "f", features, [10, 20, 30])
    with pytest.raises(ParameterError, match=r"f-7.npy: row 5 is NaN or infinite"):
        Features(files).take(np.arange(40))
    with pytest.raises(ParameterError, match=r"f-7.npy: row 5 is NaN or infinite"):
        Features(files).take(np.array([3, 25]))


# --- sums ------------------------------------------------------------------------------------------


@given(ENDS, st.integers(3, 40), st.integers(0, 2**32 - 1))
def test_levels_of_shards_equal_one_file_and_the_double_loop(folder, ends, step, seed):
    generator = np.random.default_rng(seed)
    features, _ = blobs(n=10, seed=seed)
    labels, difficult = np.arange(40) % 4, generator.random(40) < 0.4
    labels[4:], difficult[:2] = generator.permutation(labels[4:]), True  # every kind of pair occurs
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "CHUNK_VALUES", 8 * step)
        parts = measure_space(Features(save_shards(folder, "sums", features, ends)), labels, difficult, seed)
        assert parts == measure_space(Features(features), labels, difficult, seed)
    expected, spread, _ = naive_levels(features, labels, difficult)
    for name, value in expected.items():
        where, kind = name if isinstance(name, tuple) else (name, None)
        found = getattr(parts, where) if kind is None else getattr(getattr(parts, where), kind)
        assert found.value == pytest.approx(value, abs=2e-6)
    assert parts.epsilon.value == pytest.approx(spread, abs=2e-6)


@pytest.mark.parametrize("at_once", [7, 100, REPLICATES])
def test_replicates_that_are_summed_in_parts_have_the_same_numbers(monkeypatch, at_once):
    features, labels = blobs(n=6, classes=20)
    features[3] = features[9] = features[0]  # copies, whose weights are drawn once
    difficult = np.arange(len(labels)) % 3 == 0
    whole = measure_space(Features(features), labels, difficult)
    made = []

    class Watched(Sums):
        def __init__(self, replicates, classes, width):
            super().__init__(replicates, classes, width)
            made.append(self.vectors.nbytes + self.weight.nbytes + self.weight_squared.nbytes)
            assert made[-1] == Sums.bytes_of(replicates, classes, width)

    limit = Sums.bytes_of(at_once, 20, features.shape[1]) + 1
    monkeypatch.setattr(levels, "LARGEST_SUMS", limit)
    monkeypatch.setattr(levels, "Sums", Watched)
    assert measure_space(Features(features), labels, difficult) == whole
    assert len(made) == -(-(REPLICATES + 1) // at_once)
    assert max(made) <= limit


def test_sums_that_cannot_fit_are_refused_with_their_size(monkeypatch):
    features, labels = blobs(n=6, classes=20)
    monkeypatch.setattr(memory, "available", lambda: 1000)
    condition = r"^classes = 20 violates memory: .* KiB to sum 20 classes of .* features, 1000 bytes are available$"
    with pytest.raises(ParameterError, match=condition):
        measure_space(Features(features), labels, labels == 0)


@pytest.mark.parametrize("n", [5, 300])  # fewer rows than replicates travel as they are, more as their sums
def test_sums_of_a_group_are_weighted_sums(n):
    features, labels = blobs(n=n, classes=2)
    (chunk,) = Features(features).chunks()
    weights = poisson_weights(np.random.default_rng(0), 2 * n).astype(np.uint8)
    order = np.argsort(labels, kind="stable")
    found = sum_groups(Weighted(chunk, order, np.array([1, 2]), np.array([n, n]), weights))
    assert [len(group.factors) for group in found] == [1 if n > len(weights) else 2] * 2
    total = Sums(201, 2, 8).add(found).add([GroupSum(1, (np.ones((201, 8), np.float32),), np.ones(201), np.ones(201))])
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    for replicate in (0, 17):
        for place, group in enumerate([(0, 1), (1, 0)]):
            w = weights[replicate, place * n : (place + 1) * n].astype(float)
            extra = float(group == (0, 1))
            expected = sum(w[i] * unit[row] for i, row in enumerate(order[place * n : (place + 1) * n])) + extra
            np.testing.assert_allclose(total.vectors[replicate, *group], expected, rtol=1e-5)
            assert total.weight[replicate, *group] == w.sum() + extra
            assert total.weight_squared[replicate, *group] == (w**2).sum() + extra


@given(ENDS)
def test_flags_and_pairs_of_shards_equal_one_file_and_the_sorted_list(folder, ends):
    features, labels = blobs(n=10)
    whole, parts = Features(features), Features(save_shards(folder, "flags", features, ends))
    flags = flag_shares(parts, 0.1, 0.4, batch=20, rounds=2)
    assert (flags == flag_shares(whole, 0.1, 0.4, batch=20, rounds=2)).all()
    similarity = cosines(features)
    listed = [(similarity[i, j], i, j) for i in range(40) for j in range(i + 1, 40) if labels[i] != labels[j]]
    expected = [[i, j] for _, i, j in sorted(listed, reverse=True)[:20]]
    assert alike_pairs(parts, 20, labels).rows.tolist() == expected


# --- commands --------------------------------------------------------------------------------------


@pytest.fixture
def files(tmp_path, monkeypatch):
    """One file, and eight of other sizes with the same rows; several chunks, some across files."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(module, "CHUNK_VALUES", 8 * 331)
    features, labels = blobs(n=320, spread=1.0)
    ends = [7, 200, 400, 401, 731, 900, 1200]
    for name, array in (("features", features.astype(np.float32)), ("labels", labels)):
        np.save(f"{name}.npy", array)
        assert len(save_shards(tmp_path / "shards", name, array, ends)) == 8
    return tmp_path


ONE = ["--features", "features.npy", "--labels", "labels.npy"]
SHARDS = ["--features", "shards/features-*.npy", "--labels", "shards/labels-*.npy"]


@pytest.mark.parametrize(
    ("one", "eight"),
    [
        (ONE, [*SHARDS, "--jobs", "2"]),
        ([*ONE[:2], "--classes", "4"], [*SHARDS[:2], "--classes", "4"]),
    ],
)
def test_profile_of_eight_shards_is_that_of_one_file(files, one, eight):
    for name, arguments in (("one", one), ("eight", eight)):
        assert profile([*arguments, "--out", f"{name}.json", "--difficult-out", f"{name}.npy"]) == 0
    documents = [json.loads(Path(f"{name}.json").read_text()) for name in ("one", "eight")]
    sources = [document.pop("source") for document in documents]
    assert [document.pop("reading")["source"] for document in documents] == sources
    assert sources == ["features.npy", "features-5.npy … features-12.npy (8 files)"]
    assert documents[0] == documents[1]
    assert Path("one.npy").read_bytes() == Path("eight.npy").read_bytes()


def test_difficulty_of_eight_shards_on_two_workers_is_that_of_one_file(files):
    assert difficulty([*ONE, "--out", "one"]) == 0
    assert difficulty([*SHARDS, "--jobs", "2", "--out", "eight"]) == 0
    for name in ("scores.csv", "difficult.npy", "pairs.csv"):
        assert Path("one", name).read_bytes() == Path("eight", name).read_bytes()
    summaries = [json.loads(Path(out, "summary.json").read_text()) for out in ("one", "eight")]
    settings = [summary.pop("settings") for summary in summaries]
    readings = [summary.pop("reading") for summary in summaries]
    assert [reading["samples"] for reading in readings] == [1280, 1280]
    assert summaries[0] == summaries[1]
    assert {key for key in settings[0] if settings[0][key] != settings[1][key]} == {"features", "labels", "out"}


@pytest.mark.parametrize("main", [profile, difficulty])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--features", "shards/none-*.npy"], "features: no file matches shards/none-*.npy"),
        (["--features", "features.npy", "narrow.npy"], "narrow.npy = float32 in 7 columns violates float32 in 8"),
        (["--features", "features.npy", "double.npy"], "features.npy = float32 in 8 columns violates float64 in 8"),
        (["--features", "features.npy", "empty.npy"], "empty.npy is empty"),
        (["--features", "features.npy", "rowless.npy"], "rowless.npy = shape (0, 8) violates at least one row"),
        (["--features", "features.npy", "text.npy"], "text.npy is not an .npy file"),
        (["--features", "features.npy", "none.npy"], "cannot read none.npy"),
        ([*ONE[:2], "--labels", "shards/labels-?.npy"], "labels = 731 labels violates one for each of 1280 rows"),
        ([*ONE[:2], "--labels", "labels.npy", "empty.npy"], "cannot read empty.npy"),
        (
            [*ONE[:2], "--labels", "labels.npy", "real.npy"],
            "labels = 0.5 violates integer labels; −1, null or NaN for none in real.npy",
        ),
        ([*ONE, "--jobs", "0"], "jobs = 0"),
    ],
)
def test_unusable_files_are_one_line(files, capsys, main, arguments, message):
    features = np.load("features.npy")
    np.save("narrow.npy", features[:, :7])
    np.save("double.npy", features.astype(np.float64))
    np.save("rowless.npy", features[:0])
    np.save("real.npy", np.full(3, 0.5))
    Path("empty.npy").touch()
    Path("text.npy").write_text("nonsense")
    before = sorted(files.rglob("*"))
    assert main([*arguments, "--out", "out"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert err.count("\n") == 1
    assert sorted(files.rglob("*")) == before


def test_a_worker_names_the_unusable_row(files):
    features = np.load("shards/features-10.npy")
    features[3] = 0
    np.save("shards/features-10.npy", features)
    chunks = Features(find_files("features", SHARDS[1:2])).chunks()
    expected = "shards/features-10.npy: row 3 is all zero, it has no direction"
    with workers(2) as pool, pytest.raises(ParameterError, match=f"^{expected}$"):
        list(pool.map(Chunk.unit, chunks))


def test_numbers_in_names_may_be_of_any_length():
    long, longer = "9" * 5_000, "1" + "0" * 5_000
    given = [f"p{number}" for number in (longer, "10", long, "007", "8")]
    assert [path.name for path in find_files("features", given)] == ["p007", "p8", "p10", f"p{long}", f"p{longer}"]
