import numpy as np
import pytest
import torch
from PIL import Image

from empirical.data import balanced_order, load, mix
from theory.params import ParameterError


def write_folder(root, classes=("cat", "dog"), images=5, size=(10, 12), seed=0):
    generator = np.random.default_rng(seed)
    for name in classes:
        (root / name).mkdir(parents=True)
        for index in range(images):
            pixels = generator.integers(0, 256, (*size, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / name / f"{index}.png")


def write_npz(path, **changes):
    generator = np.random.default_rng(0)
    arrays = {
        "x_train": generator.integers(0, 256, (20, 8, 8, 3), dtype=np.uint8),
        "y_train": np.arange(20) % 4,
        "x_test": generator.integers(0, 256, (8, 8, 8, 3), dtype=np.uint8),
        "y_test": np.arange(8) % 4,
    }
    np.savez(path, **{k: v for k, v in {**arrays, **changes}.items() if v is not None})
    return f"npz:{path}"


def test_digits_are_complete_and_nearly_balanced():
    images = load("digits")
    assert images.x_train.shape == (1200, 1, 8, 8)
    assert images.x_test.shape == (597, 1, 8, 8)
    assert (images.y_train.bincount() == 120).all()
    assert images.x_train.dtype == torch.uint8
    assert images.x_train.max() == 255


def test_npz_maps_labels_and_names(tmp_path):
    spec = write_npz(tmp_path / "a.npz", y_train=np.arange(20) % 4 * 10, y_test=np.arange(8) % 4 * 10)
    images = load(spec)
    assert images.class_names == ("0", "10", "20", "30")
    assert images.y_test.tolist() == [0, 1, 2, 3, 0, 1, 2, 3]
    named = load(write_npz(tmp_path / "b.npz", class_names=np.array(["a", "b", "c", "d"])))
    assert named.class_names == ("a", "b", "c", "d")


def test_grey_arrays_and_floats_in_the_unit_interval(tmp_path):
    x = np.linspace(0, 1, 20 * 64).reshape(20, 8, 8)
    images = load(write_npz(tmp_path / "a.npz", x_train=x, x_test=x[:8]))
    assert images.x_train.shape == (20, 1, 8, 8)
    assert images.x_train.flatten()[-1] == 255


def test_folder_with_train_and_test(tmp_path):
    write_folder(tmp_path / "train")
    write_folder(tmp_path / "test", images=2, size=(30, 20), seed=1)
    images = load(f"folder:{tmp_path}")
    assert images.class_names == ("cat", "dog")
    assert images.x_train.shape == (10, 3, 10, 10)  # the median of the shorter sides
    assert images.x_test.shape == (4, 3, 10, 10)
    assert load(f"folder:{tmp_path}", image_size=16).x_train.shape[-1] == 16


def test_val_is_a_test_folder_and_train_alone_is_refused(tmp_path):
    write_folder(tmp_path / "train")
    with pytest.raises(ParameterError, match="a folder beside train"):
        load(f"folder:{tmp_path}")
    write_folder(tmp_path / "val", images=2)
    assert len(load(f"folder:{tmp_path}").y_test) == 4


def test_folder_of_classes_is_split(tmp_path):
    write_folder(tmp_path)
    images = load(f"folder:{tmp_path}")
    assert (len(images.y_train), len(images.y_test)) == (8, 2)
    assert images.y_test.tolist() == [0, 1]


def test_subsets_are_balanced_prefixes():
    small = load("digits", train=50, test=20)
    assert (small.y_train.bincount() == 5).all()
    assert (small.y_test.bincount() == 2).all()
    assert torch.equal(load("digits", train=100).x_train[:50], small.x_train)


def test_balanced_order_of_unequal_classes():
    labels = np.array([2, 2, 2, 0, 1, 1])
    assert labels[balanced_order(labels)].tolist() == [0, 1, 2, 1, 2, 2]
    assert sorted(balanced_order(labels)) == list(range(6))


@pytest.mark.parametrize("omega", [0.0, 0.25, 1.0])
def test_mixing_averages_two_classes_and_keeps_a_label(omega):
    images = load("digits", train=200)
    mixed = mix(images, omega)
    assert int(mixed.mixed.sum()) == round(omega * 200)
    assert torch.equal(mixed.y_train, images.y_train)
    assert torch.equal(mixed.x_train[~mixed.mixed], images.x_train[~mixed.mixed])
    for index in mixed.mixed.nonzero().flatten().tolist()[:20]:
        # Some image of another class gives exactly this average.
        averages = (images.x_train[index].int() + images.x_train.int()) // 2
        equal = (averages.to(torch.uint8) == mixed.x_train[index]).all(dim=(1, 2, 3))
        assert (images.y_train[equal] != images.y_train[index]).any()
    assert torch.equal(mix(images, omega).x_train, mixed.x_train)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"y_train": np.arange(19) % 4}, "20 images violates as many as y_train has labels"),
        ({"x_test": None}, "arrays x_train, y_train, x_test, y_test"),
        ({"y_train": np.zeros(20, int), "y_test": np.zeros(8, int)}, "at least two classes"),
        ({"y_test": np.full(8, 9)}, "labels that occur in y_train"),
        ({"y_train": np.arange(20) / 3}, "integer labels"),
        ({"x_train": np.full((20, 8, 8), np.nan)}, "finite pixels"),
        ({"x_train": np.full((20, 8, 8), 3.0)}, r"floats in \[0, 1\]"),
        ({"x_train": np.zeros((20, 8, 8, 4), np.uint8)}, "violates shape"),
        ({"x_test": np.zeros((8, 9, 9, 3), np.uint8)}, "x_test"),
        ({"x_train": np.zeros((20, 8), np.uint8)}, "x_train"),
        ({"x_train": np.zeros((20, 1, 1), np.uint8)}, "at least 8 pixels a side"),
        ({"x_train": np.zeros((0, 8, 8)), "y_train": np.zeros(0, int)}, "at least one image"),
    ],
)
def test_unusable_arrays_are_refused(tmp_path, changes, message):
    with pytest.raises(ParameterError, match=message):
        load(write_npz(tmp_path / "bad.npz", **changes))


def test_unusable_files_are_refused(tmp_path):
    with pytest.raises(ParameterError, match="data = mnist violates one of"):
        load("mnist")
    with pytest.raises(ParameterError, match="cannot read"):
        load(f"npz:{tmp_path / 'none.npz'}")
    (tmp_path / "text.npz").write_text("no")
    with pytest.raises(ParameterError, match="cannot read"):
        load(f"npz:{tmp_path / 'text.npz'}")
    (tmp_path / "cut.npz").write_bytes(b"PK" + bytes(50))
    with pytest.raises(ParameterError, match="cannot read"):
        load(f"npz:{tmp_path / 'cut.npz'}")
    np.save(tmp_path / "array.npy", np.ones(3))
    with pytest.raises(ParameterError, match="an .npz file of arrays"):
        load(f"npz:{tmp_path / 'array.npy'}")
    with pytest.raises(ParameterError, match="an existing folder"):
        load(f"folder:{tmp_path / 'none'}")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ParameterError, match="found none"):
        load(f"folder:{tmp_path / 'empty'}")
    write_folder(tmp_path / "one", classes=("cat",))
    with pytest.raises(ParameterError, match="at least two classes"):
        load(f"folder:{tmp_path / 'one'}")


def test_one_unreadable_image_is_named(tmp_path):
    write_folder(tmp_path)
    (tmp_path / "dog" / "3.png").write_bytes(b"not an image")
    with pytest.raises(ParameterError, match=r"cannot read the image .*dog/3\.png"):
        load(f"folder:{tmp_path}")
    with pytest.raises(ParameterError, match=r"cannot read the image .*dog/3\.png"):
        load(f"folder:{tmp_path}", image_size=8)


def test_an_image_cut_short_is_named(tmp_path):
    write_folder(tmp_path)
    path = tmp_path / "cat" / "0.png"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ParameterError, match=r"cannot read the image .*cat/0\.png"):
        load(f"folder:{tmp_path}")


@pytest.mark.parametrize(("train", "omega"), [(1201, 0), (5, 0), (None, 1.5), (None, float("nan"))])
def test_sizes_and_shares_are_checked(train, omega):
    with pytest.raises(ParameterError, match="train|omega"):
        mix(load("digits", train=train), omega)
