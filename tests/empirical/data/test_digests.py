"""A digest changes with every part of the data, and with nothing else."""

import os
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from empirical.data import DataSet, load, mix
from empirical.data.digests import digests
from empirical.data.reading import Reading
from empirical.data.sources import CachedViews, ImageFiles
from theory.checks import ParameterError

PARTS = ["training images", "labels of the training images", "test images", "labels of the test images"]


def images(seed=0, n=12):
    rng = np.random.default_rng(seed)
    x = torch.from_numpy(rng.integers(0, 256, (n, 1, 4, 4), dtype=np.uint8))
    y = torch.from_numpy(np.arange(n) % 3)
    mixed = torch.zeros(n, dtype=torch.bool)
    return DataSet("x", x, y, x[:6].clone(), y[:6].clone(), ("a", "b", "c"), mixed, Reading("x", n + 6))


def changed(before, after):
    return [part for part in before if before[part] != after[part]]


@settings(max_examples=30, deadline=None)
@given(which=st.sampled_from(["x_train", "y_train", "x_test", "y_test"]), place=st.integers(0, 10_000), bit=st.data())
def test_a_bit_anywhere_changes_its_part_alone(which, place, bit):
    whole = images()
    array = getattr(whole, which).clone()
    flat = array.view(-1).view(torch.uint8)
    flat[place % len(flat)] ^= 1 << bit.draw(st.integers(0, 7))
    other = replace(whole, **{which: array})
    part = dict(zip(["x_train", "y_train", "x_test", "y_test"], PARTS, strict=True))[which]
    assert changed(digests(whole), digests(other)) == [part]


def test_inverted_pixels_other_shapes_and_names_are_noticed():
    whole = images()
    before = digests(whole)
    assert changed(before, digests(images())) == []
    assert changed(before, digests(replace(whole, name="other"))) == []
    assert changed(before, digests(replace(whole, x_train=255 - whole.x_train))) == ["training images"]
    assert changed(before, digests(replace(whole, x_train=whole.x_train.view(12, 1, 2, 8)))) == ["training images"]
    assert changed(before, digests(replace(whole, class_names=("a", "bc", "")))) == ["names of the classes"]
    assert changed(before, digests(mix(whole, 0.5))) == ["training images"]


def test_tensors_that_are_not_contiguous_count_by_value():
    whole = images()
    turned = whole.x_train.transpose(2, 3).contiguous().transpose(2, 3)
    assert not turned.is_contiguous()
    assert digests(replace(whole, x_train=turned)) == digests(whole)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_cached_views_count_with_views_and_originals(dtype):
    whole = images()
    features, cached = torch.randn(12, 4), torch.randn(12, 3, 4).to(dtype)
    first = digests(replace(whole, x_train=CachedViews(features, cached)))
    other = cached.clone()
    other[5, 1, 2] += 1
    assert changed(first, digests(replace(whole, x_train=CachedViews(features, other)))) == ["training images"]
    assert changed(first, digests(replace(whole, x_train=CachedViews(features, cached, features + 1)))) == [
        "training images"
    ]
    assert first == digests(replace(whole, x_train=CachedViews(features.clone(), cached.clone())))


def test_files_count_with_name_size_time_and_place(tmp_path):
    def made(folder):
        files = []
        for number in range(4):
            path = tmp_path / folder / "class" / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(bytes(10 + number))
            os.utime(path, ns=(0, 10**9 * number))
            files.append(path)
        return files

    def found(x):
        return digests(replace(images(), x_train=x))["training images"]

    files = made("a")
    before = found(ImageFiles(files, 8))
    assert found(ImageFiles(made("moved"), 8)) == before
    assert found(ImageFiles(files, 16)) != before
    assert found(ImageFiles(files, 8).subset(np.array([0, 1]))) != before
    assert found(ImageFiles(files, 8).subset(np.array([1, 0, 2, 3]))) != before
    assert found(ImageFiles(files, 8).mixed(np.array([0]), np.array([1]))) != before
    os.utime(files[2], ns=(0, 1))
    assert found(ImageFiles(files, 8)) != before
    os.utime(files[2], ns=(0, 2 * 10**9))
    assert found(ImageFiles(files, 8)) == before
    files[3].write_bytes(bytes(20))
    os.utime(files[3], ns=(0, 3 * 10**9))
    assert found(ImageFiles(files, 8)) != before
    files[0].unlink()
    with pytest.raises(ParameterError, match=r"cannot read the image .*0\.png: No such file"):
        found(ImageFiles(files, 8))


def test_digits_are_always_the_same():
    assert digests(load("digits")) == digests(load("digits"))
    assert changed(digests(load("digits")), digests(load("digits", 100))) == PARTS[:2]
