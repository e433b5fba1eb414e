"""−1, null and NaN: no label, everywhere."""

import json

import numpy as np
import pandas as pd
import pytest

from empirical.data import load
from empirical.data.features import Features
from empirical.data.identities import as_ids
from empirical.data.labels import as_labels, named_labels, small_classes
from empirical.data.samples import read_samples
from empirical.difficulty.assessment import assess
from empirical.prediction import predict
from empirical.profile.__main__ import main
from empirical.profile.measurement import measure
from tests.empirical.data.test_data import write_npz
from tests.empirical.test_profile import blobs
from theory.checks import ParameterError


@pytest.mark.parametrize(
    "values",
    [
        [3, None, 5, -1],
        [3, float("nan"), 5, float("nan")],
        np.array([3, np.nan, 5, -1]),
        np.array([3, -1, 5, -1], dtype=np.int8),
        np.ma.masked_array([3, 7, 5, 9], mask=[0, 1, 0, 1]),
        pd.Series([3, None, 5, None], dtype="Int64"),
        pd.Series([3, None, 5, None]),
        np.array([3, None, 5, np.nan], dtype=object),
    ],
)
def test_no_label_in_every_form(values):
    assert as_labels("labels", values).tolist() == [3, -1, 5, -1]


@pytest.mark.parametrize(
    "values",
    [
        [0.5, 1],
        ["a", "b"],
        [True, False],
        [np.inf, 1],
        [[1, 2], [2, 1]],
        np.array([2**63], np.uint64),
        [None, "a"],
        [1e300],
    ],
)
def test_what_is_no_label_is_refused(values):
    with pytest.raises(ParameterError, match="^labels = "):
        as_labels("labels", values)


def test_small_classes_are_those_without_two_samples_that_differ():
    labels = np.array([4, 4, 7, 7, 9, -1, -1])
    assert small_classes(labels).tolist() == [9]
    assert small_classes(labels, np.array([0, 1, 2, 2, 4, 5, 6])).tolist() == [7, 9]


@pytest.fixture
def partly():
    """Features, labels of which half are missing, and the rows with one."""
    x, labels = blobs(n=40)
    x = x.astype(np.float32)
    known = np.random.default_rng(0).random(len(labels)) < 0.5
    return x, np.where(known, labels, -1), np.flatnonzero(known)


def test_a_profile_leaves_out_what_has_no_label(partly):
    x, labels, rows = partly
    part = measure({"encoder": Features(x[rows])}, labels[rows], "test")
    for given in (labels, np.where(labels < 0, np.nan, labels), [None if c < 0 else int(c) for c in labels]):
        found = measure({"encoder": Features(x)}, given, "test")
        assert found.profile == part.profile
        assert (found.labels[rows] == part.labels).all()
        assert (found.difficult[rows] == part.difficult).all()
        assert found.difficult.sum() == part.difficult.sum()


def test_difficulty_and_prediction_too(partly):
    x, labels, rows = partly
    missing = np.where(labels < 0, np.nan, labels)
    first, second = (assess(Features(x), given) for given in (labels, missing))
    assert (first.difficult == second.difficult).all()
    assert not first.difficult[labels < 0].any()
    assert predict(x, missing) == predict(x[rows], labels[rows])


def test_the_command_reads_them_from_files_and_says_so(partly, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    x, labels, rows = partly
    labels[rows[0]] = 99
    np.save("x.npy", x)
    np.save("y.npy", np.where(labels < 0, np.nan, labels))
    assert main(["--features", "x.npy", "--labels", "y.npy"]) == 2
    refused = capsys.readouterr()
    assert refused.err.count("\n") == 1
    assert "class with a single sample or copies of one (99)" in refused.err
    assert main(["--features", "x.npy", "--labels", "y.npy", "--drop-small-classes", "--out", "p.json"]) == 0
    line = capsys.readouterr().err.strip()
    assert line.startswith("read x.npy: 4 classes (0, 1, 2, …), 160 samples; skipped 1 class of a single sample")
    assert f"{160 - len(rows)} samples without a label" in line
    assert json.loads((tmp_path / "p.json").read_text())["reading"]["line"] == line
    read = read_samples(["x.npy"], ["y.npy"], drop_small_classes=True)
    assert read.labels[rows[0]] == -1
    assert main(["--features", "x.npy", "--labels", "y.npy", "--drop-small-classes", "--json"]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    assert json.loads(printed.out)["reading"]["line"] == line


def test_arrays_of_images_without_a_label(tmp_path):
    y_train = np.where(np.arange(20) < 5, np.nan, np.arange(20) % 4)
    y_test = np.where(np.arange(8) < 2, -1, np.arange(8) % 4)
    images = load(write_npz(tmp_path / "a.npz", y_train=y_train, y_test=y_test))
    assert images.class_names == ("0", "1", "2", "3")
    assert images.y_train.tolist() == [-1] * 5 + [c % 4 for c in range(5, 20)]
    assert images.y_test.tolist() == [c % 4 for c in range(2, 8)]
    assert "skipped 2 test images without a label; noted 5 without a label" in images.reading.line


def test_names_of_any_number_of_digits_are_names():
    long = "9" * 5_000
    assert named_labels("labels", [long, "10", "9"]).names == tuple(sorted(["10", "9", long]))


def test_labels_of_half_precision():
    assert as_labels("labels", np.array([0, 2, np.nan], dtype=np.float16)).tolist() == [0, 2, -1]
    with pytest.raises(ParameterError, match="labels = inf"):
        as_labels("labels", np.array([0, np.inf], dtype=np.float16))


def test_text_that_no_file_takes_is_refused():
    for read in (lambda text: named_labels("labels", text), lambda text: as_ids("ids", text, 2)):
        with pytest.raises(ParameterError, match=r"'a\\udc80' violates text without lone surrogates"):
            read(np.array(["a\udc80", "b"], dtype=object))
