"""Cached views as data: the file, what is taken from it, and random pairs of different views."""

import numpy as np
import pytest
import torch
from scipy import stats

from empirical.data import batches, imbalanced, load, mix, several_sources, take, take_source
from empirical.data.augment import Cached, Photos, to_float, two_views
from empirical.data.sources import CachedViews
from theory.checks import ParameterError

N, V, D = 12, 4, 5


def arrays(**changes):
    """Of a file whose view v of image i is 100·i + v in all its features."""
    numbers = 100.0 * np.arange(N)[:, None] + np.arange(V)
    return {
        "views": np.repeat(numbers[:, :, None], D, axis=2).astype(np.float16),
        "x_train": np.random.default_rng(0).normal(size=(N, D)).astype(np.float32),
        "y_train": np.arange(N) % 3,
        "x_test": np.random.default_rng(1).normal(size=(7, D)).astype(np.float32),
        "y_test": np.arange(7) % 3,
        "class_names": np.array(["a", "b", "c"]),
        "mixed": np.arange(N) % 4 == 1,
        "rows": np.arange(N),
        "origin": np.array("{}"),
    } | changes


@pytest.fixture
def write(tmp_path):
    numbers = iter(range(100))

    def written(**changes):
        path = tmp_path / f"{next(numbers)}.npz"
        found = arrays(**changes)
        np.savez(path, **{name: x for name, x in found.items() if x is not None})
        return f"views:{path}"

    return written


def test_a_file_is_read(write):
    spec = write()
    images, expected = load(spec), arrays()
    assert isinstance(images.x_train, CachedViews)
    assert images.x_train.shape == (N, D, 1, 1)
    assert images.x_test.shape == (7, D, 1, 1)
    assert images.class_names == ("a", "b", "c")
    np.testing.assert_array_equal(images.mixed.numpy(), expected["mixed"])
    chosen = torch.tensor([5, 0, 5])
    np.testing.assert_array_equal(take(images.x_train, chosen)[:, :, 0, 0].numpy(), expected["x_train"][chosen])
    np.testing.assert_array_equal(take_source(images.x_train, chosen).numpy(), expected["views"][chosen])
    assert take(images.x_train, chosen).dtype == torch.float32


def test_subsets_go_through_everything(write):
    spec = write()
    images, expected = load(spec, 6, 3), arrays()
    rows = np.concatenate([np.flatnonzero(expected["y_train"] == c)[:2] for c in range(3)]).reshape(3, 2).T.flatten()
    np.testing.assert_array_equal(images.mixed.numpy(), expected["mixed"][rows])
    everything = torch.arange(6)
    np.testing.assert_array_equal(images.x_train.views(everything).numpy(), expected["views"][rows])
    np.testing.assert_array_equal(images.x_train.take(everything)[:, :, 0, 0].numpy(), expected["x_train"][rows])
    np.testing.assert_array_equal(images.x_train.unmixed().take(everything).flatten(1), expected["x_train"][rows])
    tail = imbalanced(load(spec), 4)
    assert np.bincount(tail.y_train.numpy()).tolist() == [4, 2, 1]
    assert tail.x_train.shape == (7, D, 1, 1)


def test_batches_are_cached_views(write):
    images, order = load(write()), torch.tensor([7, 1, 3, 2, 0, 11]).split(4)
    found = list(batches(images.x_train, order, torch.device("cpu")))
    assert [part.shape for part in found] == [(4, V, D), (2, V, D)]
    np.testing.assert_array_equal(torch.cat(found).numpy(), arrays()["views"][[7, 1, 3, 2, 0, 11]])


def test_mixing_is_refused_and_where_it_is_possible_said(write):
    with pytest.raises(ParameterError, match="omega = 0.2 violates omega = 0 for cached views: images are mixed when"):
        mix(load(write()), 0.2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"views": None}, "the file has no views (a file of difficult embed is expected)"),
        ({"origin": None, "rows": None}, "the file has no rows, origin"),
        ({"views": np.zeros((N, 1, D))}, f"views = shape ({N}, 1, {D}) violates shape (N, V >= 2, d)"),
        ({"views": np.zeros((N, D))}, "violates shape (N, V >= 2, d)"),
        ({"views": np.zeros((N, V, D), dtype=int)}, "views = int64 violates floats"),
        ({"views": np.full((N, V, D), np.nan)}, "views = NaN or infinity violates finite features"),
        ({"x_train": np.zeros((N, D + 1))}, f"x_train = shape ({N}, {D + 1}) violates shape ({N}, {D})"),
        ({"x_train": np.zeros((N - 1, D))}, f"x_train = shape ({N - 1}, {D}) violates shape ({N}, {D})"),
        ({"x_test": np.zeros((7, D + 1))}, f"x_test = shape (7, {D + 1}) violates shape (7, {D})"),
        ({"x_original": np.zeros((1, D))}, "x_original = shape"),
        ({"y_train": np.zeros(N + 1, dtype=int)}, f"y_train = shape ({N + 1},) violates shape ({N},)"),
        ({"y_train": np.zeros(N)}, "y_train = float64 violates integer labels"),
        ({"y_test": np.full(7, 3)}, "y_test = [3, 3] violates labels in [0, 2]"),
        ({"y_test": np.full(7, -1)}, "y_test = [-1, -1] violates labels in [0, 2]"),
        ({"mixed": np.zeros(N)}, "mixed = float64"),
    ],
)
def test_a_wrong_file_is_one_clear_line(write, changes, message):
    with pytest.raises(ParameterError) as error:
        load(write(**changes))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_other_files_are_refused(tmp_path):
    with pytest.raises(ParameterError, match="cannot read .*none.npz"):
        load(f"views:{tmp_path / 'none.npz'}")
    (tmp_path / "text.npz").write_text("text")
    with pytest.raises(ParameterError, match="no .npy or .npz file"):
        load(f"views:{tmp_path / 'text.npz'}")
    with pytest.raises(ParameterError, match="data = views: violates one of"):
        load("views:")


# --- views of a step -------------------------------------------------------------------------------


def numbered(images, views):
    """Cached views that say which they are."""
    return torch.arange(views, dtype=torch.float16).expand(images, views)[:, :, None].repeat(1, 1, D)


def test_pairs_are_different_and_uniform_over_ordered_pairs():
    draws = 40_000
    first, second = Cached().pair(numbered(draws, V), torch.Generator().manual_seed(0))
    assert first.shape == second.shape == (draws, D, 1, 1)
    assert first.dtype == torch.float32
    a, b = first[:, 0, 0, 0].long(), second[:, 0, 0, 0].long()
    assert not (a == b).any()
    counts = torch.bincount(V * a + b, minlength=V * V).view(V, V)
    assert counts.diagonal().sum() == 0
    assert stats.chisquare(counts[~torch.eye(V, dtype=torch.bool)].numpy()).pvalue > 1e-3


@pytest.mark.parametrize("views", [2, 8])
def test_both_views_are_of_the_image(views):
    cached = torch.randn(50, views, D)
    first, second = Cached().pair(cached, torch.Generator().manual_seed(1))
    for i in range(50):
        found = [next(v for v in range(views) if torch.equal(cached[i, v], x[i, :, 0, 0])) for x in (first, second)]
        assert found[0] != found[1]


def test_single_views_are_uniform_and_what_is_drawn_stays():
    drawn = Cached()(numbered(20_000, V), torch.Generator().manual_seed(0))
    assert stats.chisquare(torch.bincount(drawn[:, 0, 0, 0].long(), minlength=V).numpy()).pvalue > 1e-3
    assert Cached()(drawn, torch.Generator()) is drawn
    assert Cached() == Cached()


def test_pairs_of_two_draws_are_what_they_were():
    """Ordinary views: one call after the other, to the bit."""
    images, view = torch.randint(0, 256, (6, 3, 16, 16), dtype=torch.uint8), Photos()
    one, two = torch.Generator().manual_seed(3), torch.Generator().manual_seed(3)
    first, second = two_views(view, images, one)
    assert torch.equal(first, view(images, two))
    assert torch.equal(second, view(images, two))


def test_several_sources_are_different_views(write):
    images, rows = load(write()).x_train, torch.tensor([3, 1])
    found = several_sources(images, rows, 3)
    assert [x[:, 0, 0, 0].tolist() for x in found] == [[300, 100], [301, 101], [302, 102]]
    pixels = torch.zeros(4, 1, 8, 8, dtype=torch.uint8)
    assert all(torch.equal(x, pixels[rows]) for x in several_sources(pixels, rows, 3))


def test_features_are_no_pixels():
    x = torch.randn(3, D, 1, 1)
    assert to_float(x) is x
