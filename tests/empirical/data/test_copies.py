"""Exact copies: found, counted, in one half, one in intervals."""

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from empirical.data import features as features_module
from empirical.data import load, sample_copies
from empirical.data.copies import first_copies, row_hashes
from empirical.data.features import Features
from empirical.evaluate.probes import choose_c, probe
from empirical.profile.levels import measure_space
from empirical.profile.measurement import _halves, measure, probe_gaps, probe_outputs
from tests.empirical.data.test_data import write_npz
from tests.empirical.test_profile import blobs


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=30), st.sampled_from([np.float32, np.float64, np.uint8]))
def test_first_copies_equal_the_double_loop(kinds, dtype):
    rows = np.random.default_rng(0).uniform(1, 255, (4, 3)).astype(dtype)[kinds]
    expected = [next(j for j in range(len(rows)) if (rows[j] == rows[i]).all()) for i in range(len(rows))]
    assert first_copies(row_hashes(rows)).tolist() == expected


def test_zeros_of_both_signs_are_the_same():
    assert len(np.unique(row_hashes(np.array([[0.0, 1.0], [-0.0, 1.0]])))) == 1


def test_a_nan_that_signals_is_hashed_without_a_word():
    signalling = np.array([[0x7F800001, 0x7FC00000]], dtype=np.uint32).view(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(row_hashes(signalling)) == 1


def test_copies_in_files_and_in_small_chunks(tmp_path, monkeypatch):
    x = np.random.default_rng(0).standard_normal((20, 4)).astype(np.float32)
    x[17], x[5] = x[2], x[0]
    np.save(tmp_path / "a.npy", x[:9])
    np.save(tmp_path / "b.npy", x[9:])
    monkeypatch.setattr(features_module, "CHUNK_VALUES", 12)
    expected = np.arange(20)
    expected[[17, 5]] = 2, 0
    for features in (Features(x), Features([tmp_path / "a.npy", tmp_path / "b.npy"])):
        assert (features.copies() == expected).all()
    rows = np.array([0, 2, 3, 5, 17, 19])
    part = Features([tmp_path / "a.npy", tmp_path / "b.npy"]).only(rows)
    assert (part.copies() == [0, 1, 2, 0, 1, 5]).all()
    assert (part.unit == Features(x).take(rows)).all()
    assert (np.concatenate([chunk.raw() for chunk in part.chunks()]) == x[rows]).all()
    assert (part.only(np.array([1, 4])).unit == Features(x).take(rows[[1, 4]])).all()


def test_a_bad_row_of_a_part_is_named_by_its_place_in_the_file(tmp_path):
    x = np.ones((20, 2), dtype=np.float32)
    x[13] = 0
    np.save(tmp_path / "a.npy", x)
    with pytest.raises(ValueError, match=r"a\.npy: row 13 is all zero"):
        Features(tmp_path / "a.npy").only(np.arange(7, 20)).take(np.arange(13))


def twice(x, labels, difficult, seed=1):
    order = np.random.default_rng(seed).permutation(2 * len(x))
    return np.repeat(x, 2, axis=0)[order], np.repeat(labels, 2)[order], np.repeat(difficult, 2)[order]


def test_with_every_row_twice_levels_stay_and_intervals_keep_their_width():
    x, labels = blobs(n=50)
    difficult = np.random.default_rng(0).random(len(labels)) < 0.2
    once = measure_space(Features(x), labels, difficult)
    x2, labels2, difficult2 = twice(x, labels, difficult)
    doubled = measure_space(Features(x2), labels2, difficult2)
    alone = measure_space(Features(x2), labels2, difficult2, copies=np.arange(len(x2)))
    for level in ("alpha", "beta", "gamma", "epsilon"):
        a, b = getattr(once, level), getattr(doubled, level)
        assert b.value == pytest.approx(a.value, abs=1e-5)
        assert (b.high - b.low) == pytest.approx(a.high - a.low, rel=0.35)
    assert alone.alpha.value > once.alpha.value + 1e-3  # pairs of a row with itself
    assert alone.beta.high - alone.beta.low < 0.85 * (once.beta.high - once.beta.low)


def test_copies_with_another_difficulty_are_no_pair_either():
    x, labels = blobs(n=20)
    difficult = np.zeros(2 * len(x), dtype=bool)
    difficult[: len(x)] = True  # of each row one is difficult, the other easy
    space = measure_space(Features(np.concatenate([x, x])), np.tile(labels, 2), difficult)
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    cosines, same = unit @ unit.T, labels[:, None] == labels
    expected = cosines[same & ~np.eye(len(x), dtype=bool)].mean()
    for kind in ("easy", "mixed", "difficult"):
        assert getattr(space.within, kind).value == pytest.approx(expected, abs=2e-6)


def test_copies_are_in_one_half_and_halves_without_copies_are_as_before():
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 3, 60)
    copies = np.arange(60)
    copies[40:] = np.arange(20)  # some with another label
    _, half = _halves(labels, copies, np.random.default_rng(1))
    assert (half[40:] == half[:20]).all()
    for c in range(3):
        own = half[:40][labels[:40] == c]
        assert abs(2 * own.sum() - len(own)) <= 1
    shuffled, plain = _halves(labels, np.arange(60), np.random.default_rng(1))
    for c in range(3):  # the first of a class in the shuffled order, the third …; counted on from class to class
        members = shuffled[labels[shuffled] == c]
        assert (plain[members] == np.arange(len(members)) % 2).all()


def test_a_probe_has_not_seen_what_it_scores_though_every_row_is_there_twice():
    generator = np.random.default_rng(0)
    x, labels = generator.standard_normal((60, 40)), np.arange(60) % 2  # by chance: who is right has seen the row

    def right(copies):
        outputs = np.concatenate(list(probe_outputs(Features(twins), labels2, copies=copies)))
        return (outputs.argmax(axis=1) == labels2).mean()

    twins, labels2 = np.repeat(x, 2, axis=0), np.repeat(labels, 2)
    assert right(None) < 0.62
    assert right(np.arange(120)) > right(None) + 0.1


def test_a_class_in_one_half_alone_has_probability_0_in_the_other():
    x, labels = blobs(n=20)
    x[labels == 3] = x[3]  # copies of one
    gaps = probe_gaps(Features(x), labels)
    assert ((gaps >= 0) & (gaps <= 1)).all()
    with pytest.raises(ValueError, match=r"class with a single sample or copies of one \(3\)"):
        measure({"encoder": Features(x)}, labels, "test")


def test_folds_do_not_part_copies():
    generator = np.random.default_rng(0)
    x, labels = generator.standard_normal((60, 40)).astype(np.float32), np.arange(60) % 2
    x2, labels2 = np.repeat(x, 3, axis=0), np.repeat(labels, 3)
    # Held-out copies would reward memory: large C.
    assert choose_c(x2, labels2) <= 0.1 < choose_c(x2, labels2, copies=np.arange(180))
    assert choose_c(np.repeat(x[:2], 5, axis=0), np.repeat([0, 1], 5)) is None
    assert probe(x, labels) is not None


def test_copies_among_images_and_test_images_that_are_training_images_are_counted(tmp_path):
    generator = np.random.default_rng(0)
    x = generator.integers(0, 256, (20, 8, 8, 3), dtype=np.uint8)
    x[4], x[5] = x[0], x[0]  # classes 0 and 1
    test = np.concatenate([x[:2], generator.integers(0, 256, (6, 8, 8, 3), dtype=np.uint8)])
    images = load(write_npz(tmp_path / "a.npz", x_train=x, x_test=test))
    assert "2 exact copies of other samples, 1 of them with another label" in images.reading.line
    assert "2 test images that are training images" in images.reading.line
    assert (sample_copies(images.x_train) == [*range(4), 0, 0, *range(6, 20)]).all()
    assert isinstance(images.x_train, torch.Tensor)
