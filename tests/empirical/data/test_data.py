import hashlib
import pickle

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import datasets

from empirical.data import batches, imbalanced, load, mix, moved, sources, subset, take
from empirical.data.sources import ImageFiles, balanced_order
from empirical.train.settings import Settings
from theory.checks import ParameterError


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
    with pytest.raises(ParameterError, match="beside train there is no folder test"):
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
        ({"x_test": None}, "has no x_test .expected x_train, y_train, x_test, y_test"),
        ({"y_train": np.zeros(20, int), "y_test": np.zeros(8, int)}, "there is one class, two are needed"),
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
    with pytest.raises(ParameterError, match="there is no folder"):
        load(f"folder:{tmp_path / 'none'}")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ParameterError, match="there are no images in its subfolders"):
        load(f"folder:{tmp_path / 'empty'}")
    write_folder(tmp_path / "one", classes=("cat",))
    with pytest.raises(ParameterError, match="there is one class, two are needed"):
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


def test_unknown_data_suggest_the_nearest():
    with pytest.raises(ParameterError, match="did you mean cifar10"):
        load("cifar1")
    for spec in ("digits:here", "npz", "folder:", "cifar10:"):
        with pytest.raises(ParameterError, match=f"^data = {spec} violates one of"):
            load(spec)


@pytest.mark.parametrize(("train", "omega"), [(1201, 0), (5, 0), (None, 1.5), (None, float("nan"))])
def test_sizes_and_shares_are_checked(train, omega):
    with pytest.raises(ParameterError, match="train|omega"):
        mix(load("digits", train=train), omega)


# --- torchvision's data sets -----------------------------------------------------------------------


def with_checksums(monkeypatch, which, attribute, folder, names):
    """Let a torchvision class expect these files instead of the official ones."""
    sums = [[name, hashlib.md5((folder / name).read_bytes()).hexdigest()] for name in names]
    monkeypatch.setattr(which, attribute, sums)


@pytest.mark.parametrize(("kind", "which"), [("cifar10", datasets.CIFAR10), ("cifar100", datasets.CIFAR100)])
def test_cifar_is_read_as_torchvision_reads_it(tmp_path, monkeypatch, kind, which):
    folder = tmp_path / which.base_folder
    folder.mkdir()
    generator = np.random.default_rng(0)
    pixels = {name: generator.integers(0, 256, (12, 3, 32, 32), dtype=np.uint8) for name in ("train", "test")}
    for name, x in pixels.items():
        labels = (np.arange(12) % 3).tolist()
        (folder / name).write_bytes(pickle.dumps({"data": x.reshape(12, -1), "labels": labels}))
        with_checksums(monkeypatch, which, f"{name}_list", folder, [name])
    (folder / "meta").write_bytes(pickle.dumps({which.meta["key"]: ["a", "b", "c"]}))
    checksum = hashlib.md5((folder / "meta").read_bytes()).hexdigest()
    monkeypatch.setattr(which, "meta", {"filename": "meta", "key": which.meta["key"], "md5": checksum})
    images = load(f"{kind}:{tmp_path}", train=9)
    assert images.class_names == ("a", "b", "c")
    assert (images.x_train.numpy() == pixels["train"][:9]).all()
    assert (images.x_test.numpy() == pixels["test"]).all()
    assert images.y_train.tolist() == [0, 1, 2] * 3


def test_unlabelled_images_of_stl10_come_last_and_cannot_be_mixed(tmp_path, monkeypatch):
    which = datasets.STL10
    folder = tmp_path / which.base_folder
    folder.mkdir()
    generator = np.random.default_rng(0)
    for name, count in (("train", 6), ("unlabeled", 4), ("test", 6)):
        # The files hold columns first.
        (folder / f"{name}_X").write_bytes(generator.integers(0, 256, count * 3 * 96 * 96, dtype=np.uint8).tobytes())
        (folder / f"{name}_y").write_bytes((np.arange(count) % 2 + 1).astype(np.uint8).tobytes())
    (folder / "class_names.txt").write_text("cat\ndog\n")
    (folder / "fold_indices.txt").write_text("0 1\n")
    with_checksums(monkeypatch, which, "train_list", folder, ["train_X", "train_y", "unlabeled_X"])
    with_checksums(monkeypatch, which, "test_list", folder, ["test_X", "test_y"])
    images = load(f"stl10:{tmp_path}")
    assert images.y_train.tolist() == [0, 1, 0, 1, 0, 1, -1, -1, -1, -1]
    assert images.x_train.shape == (10, 3, 96, 96)
    assert images.class_names == ("cat", "dog")
    assert load(f"stl10:{tmp_path}", train=7).y_train.tolist() == [0, 1, 0, 1, 0, 1, -1]
    for change in (lambda: mix(images, 0.5), lambda: imbalanced(images, 2)):
        with pytest.raises(ParameterError, match="labels of all training images"):
            change()


def test_data_that_cannot_be_downloaded_are_one_line(tmp_path, monkeypatch):
    def unreachable(*_, **__):
        raise OSError("no\nnetwork")

    monkeypatch.setattr(datasets.CIFAR10, "download", unreachable)
    with pytest.raises(ParameterError) as error:
        load(f"cifar10:{tmp_path}")
    assert str(error.value) == f"cannot load cifar10 from {tmp_path}, nor download it: no network"


# --- folders larger than memory --------------------------------------------------------------------


def test_annotated_validation_images_of_tiny_imagenet(tmp_path):
    write_folder(tmp_path / "train")
    write_folder(tmp_path / "val", classes=("images",), seed=1)
    write_folder(tmp_path / "test", classes=("images",))  # its labels are secret
    lines = [f"{i}.png\t{name}\t0\t0\t9\t9\n" for i, name in enumerate(["dog", "cat", "cat", "dog", "cat"])]
    (tmp_path / "val" / "val_annotations.txt").write_text("".join(lines))
    images = load(f"folder:{tmp_path}")
    assert images.y_test.tolist() == [1, 0, 0, 1, 0]
    first = Image.open(tmp_path / "val" / "images" / "0.png")
    assert torch.equal(images.x_test[0], torch.from_numpy(np.array(first)).permute(2, 0, 1)[:, :, 1:11])
    (tmp_path / "val" / "val_annotations.txt").write_text("0.png dog\n")
    with pytest.raises(ParameterError, match="lines of file name, tab, class"):
        load(f"folder:{tmp_path}")


@pytest.fixture
def both(tmp_path, monkeypatch):
    """The same folder in memory and on disk."""
    write_folder(tmp_path, classes=("a", "b", "c"), images=10)
    spec = f"folder:{tmp_path}"
    memory = load(spec)
    load.cache_clear()
    monkeypatch.setattr(sources, "LARGEST_LOADED", 0)
    disk = load(spec)
    load.cache_clear()
    assert isinstance(memory.x_train, torch.Tensor)
    assert isinstance(disk.x_train, ImageFiles)
    return memory, disk


def everything(x):
    return take(x, torch.arange(len(x)))


def test_files_hold_the_same_images_as_memory(both):
    memory, disk = both
    assert disk.x_train.shape == tuple(memory.x_train.shape)
    for change in (
        lambda i: i,
        lambda i: mix(i, 0.5),
        lambda i: imbalanced(i, 4),
        lambda i: imbalanced(mix(i, 1.0), 2),
    ):
        here, there = change(memory), change(disk)
        assert torch.equal(here.x_train, everything(there.x_train))
        assert torch.equal(here.y_train, there.y_train)
        assert torch.equal(here.mixed, there.mixed)
    rows = np.array([5, 0, 5])
    assert torch.equal(subset(memory.x_train, rows), everything(subset(disk.x_train, rows)))
    assert len(everything(subset(disk.x_train, rows[:0]))) == 0


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_come_in_the_given_order(both, workers):
    order = torch.randperm(24, generator=torch.Generator().manual_seed(0)).split(7)
    for images in both:
        found = list(batches(images.x_train, order, torch.device("cpu"), workers))
        assert len(found) == len(order)
        for batch, rows in zip(found, order, strict=True):
            assert torch.equal(batch, both[0].x_train[rows])


@pytest.mark.parametrize("workers", [0, 1])
def test_a_corrupt_image_met_while_training_is_named(both, tmp_path, workers):
    (tmp_path / "b" / "3.png").write_bytes(b"not an image")
    with pytest.raises(ParameterError, match=r"^cannot read the image .*b/3\.png: [^\n]*$"):
        list(batches(both[1].x_train, torch.arange(24).split(8), torch.device("cpu"), workers))


def test_training_from_files_equals_training_from_memory(both, tmp_path, monkeypatch):
    from empirical.train.loop import train
    from empirical.train.settings import Running

    settings = Settings(
        data=both[0].name, omega=0.2, encoder="convnet", width=4, dim=4, batch=8, epochs=2, accelerator="cpu"
    )
    there = train(settings, tmp_path / "disk", running=Running(workers=1)).state_dict()
    load.cache_clear()
    monkeypatch.setattr(sources, "LARGEST_LOADED", 1 << 30)
    here = train(settings, tmp_path / "memory").state_dict()
    load.cache_clear()
    assert all(torch.equal(value, there[name]) for name, value in here.items())


# --- long tails ------------------------------------------------------------------------------------


@pytest.mark.parametrize("factor", [1.0, 3.0, 120.0])
def test_long_tails_have_the_factor_and_its_geometric_course(factor):
    images = load("digits")
    sizes = imbalanced(images, factor).y_train.bincount()
    for c, size in enumerate(sizes.tolist()):
        assert size == int(120 * factor ** (-c / 9) + 1e-9)
    assert sizes[0] / sizes[-1] == pytest.approx(factor, rel=0.05)


def test_long_tails_keep_first_images_with_their_labels():
    images = load("digits", train=100)
    found = imbalanced(images, 5)
    for label, x in zip(found.y_train.tolist(), found.x_train, strict=True):
        same = (images.x_train == x).flatten(1).all(dim=1)
        assert label in images.y_train[same].tolist()


@pytest.mark.parametrize("factor", [0.5, float("nan"), 121.0])
def test_factors_are_checked(factor):
    with pytest.raises(ParameterError, match=f"^imbalance = {factor}"):
        imbalanced(load("digits"), factor)


def test_what_moves_to_a_gpu_is_pinned_first():
    class Recorded:
        is_cuda = False

        def __init__(self, *calls):
            self.calls = calls

        def pin_memory(self):
            return Recorded("pinned")

        def to(self, device, non_blocking):
            return (*self.calls, device.type, non_blocking)

    assert moved(Recorded(), torch.device("cuda")) == ("pinned", "cuda", True)
    assert moved(Recorded(), torch.device("cpu")) == ("cpu", True)


MEDMNIST = {"x_train": "train_images", "y_train": "train_labels", "x_test": "test_images", "y_test": "test_labels"}


def test_arrays_as_well_known_sets_store_them(tmp_path):
    """Labels of shape (N, 1), MedMNIST's names and its part for validation, names of classes as labels."""
    generator = np.random.default_rng(0)
    x, y = generator.integers(0, 256, (40, 9, 9, 3), dtype=np.uint8), np.arange(40) % 4
    plain = {"x_train": x[:30], "y_train": y[:30], "x_test": x[30:], "y_test": y[30:]}
    np.savez(tmp_path / "plain.npz", **plain)
    columns = {name: array[:, None] if array.ndim == 1 else array for name, array in plain.items()}
    np.savez(tmp_path / "keras.npz", **columns)
    np.savez(tmp_path / "med.npz", **{MEDMNIST[name]: a for name, a in columns.items()}, val_images=x, val_labels=y)
    named = {name: np.array(["d", "a", "c", "b"])[array] if array.ndim == 1 else array for name, array in plain.items()}
    np.savez(tmp_path / "named.npz", **named)
    expected = load(f"npz:{tmp_path / 'plain.npz'}")
    for name in ("keras", "med"):
        found = load(f"npz:{tmp_path / name}.npz")
        assert torch.equal(found.x_train, expected.x_train)
        assert torch.equal(found.y_train, expected.y_train)
        assert torch.equal(found.x_test, expected.x_test)
        assert torch.equal(found.y_test, expected.y_test)
    assert "skipped 2 other arrays (val_images, val_labels)" in found.reading.line
    found = load(f"npz:{tmp_path / 'named.npz'}")
    assert found.class_names == ("a", "b", "c", "d")
    assert [found.class_names[c] for c in found.y_test] == named["y_test"].tolist()
    np.savez(tmp_path / "many.npz", **{**plain, "y_train": np.ones((30, 14), int)})
    with pytest.raises(ParameterError, match=r"y_train = shape \(30, 14\) violates shape \(N,\)"):
        load(f"npz:{tmp_path / 'many.npz'}")
