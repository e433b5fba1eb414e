"""What of an image folder is read, and what is left out and named."""

import json
import os

import numpy as np
import pytest
from PIL import Image

from empirical.data import load, without
from empirical.data.folders import train_and_test
from theory.checks import ParameterError


def write(root, *names):
    generator = np.random.default_rng(len(names))
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        pixels = generator.integers(0, 256, (9, 9, 3), dtype=np.uint8)
        with open(root / name, "wb") as file:
            Image.fromarray(pixels).save(file, format="PNG")


def some(folder, count=5, suffix=".png"):
    return [f"{folder}/{i}{suffix}" for i in range(count)]


def found(root):
    """Relative names with their classes, and the notes by what they are about."""
    train, test, notes = train_and_test(root)
    names = sorted((str(file.relative_to(root)), name) for file, name in (*train, *test))
    return names, {note.what: (note.count, note.names) for note in notes if note.count}


@pytest.fixture
def folder(tmp_path):
    write(tmp_path, *some("a"), *some("b"))
    return tmp_path


PLAIN = sorted((name, name[0]) for name in (*some("a"), *some("b")))


def test_hidden_files_and_folders_are_no_data(folder):
    hidden = [".ipynb_checkpoints/0.png", "a/.cache/1.png", "a/._0.png", "__MACOSX/a/0.png", "b/Thumbs.db", ".DS_Store"]
    write(folder, *hidden)
    names, notes = found(folder)
    assert names == PLAIN
    assert notes.keys() == {"hidden files and folders"}
    assert notes["hidden files and folders"][0] == 6


def test_what_is_left_out_is_counted_and_named(folder):
    write(folder, *some("third", 20, ".heic"), "loose.png", "a/notes.txt", "b/noname")
    (folder / "later").mkdir()
    names, notes = found(folder)
    assert names == PLAIN
    assert notes == {
        "classes without an image": (2, ("later", "third")),
        "files ending in .heic": (20, ("third/0.heic", "third/1.heic", "third/10.heic")),
        "file ending in .txt": (1, ("a/notes.txt",)),
        "file without a suffix": (1, ("b/noname",)),
        "image outside the class folders": (1, ("loose.png",)),
    }


@pytest.mark.parametrize(("train", "test"), [("Training", "Testing"), ("TRAIN", "Val"), ("train", "VALIDATION")])
def test_splits_are_known_in_any_case(tmp_path, train, test):
    write(tmp_path, *some(f"{train}/a", 3), *some(f"{train}/b", 3), *some(f"{test}/a", 2), *some("extra/a", 2))
    first, second, notes = train_and_test(tmp_path)
    assert [name for _, name in first] == ["a"] * 3 + ["b"] * 3
    assert [name for _, name in second] == ["a"] * 2
    assert [(note.what, note.names) for note in notes if note.count] == [
        ("folder beside those to train and test on", ("extra",))
    ]


def test_half_a_split_is_refused_but_a_class_of_trains_is_none(tmp_path):
    write(tmp_path, *some("Test/a"), *some("Test/b"))
    with pytest.raises(ParameterError, match="beside Test there is no folder train"):
        train_and_test(tmp_path)
    os.rename(tmp_path / "Test", tmp_path / "Training")
    with pytest.raises(ParameterError, match="beside Training there is no folder test"):
        train_and_test(tmp_path)
    write(tmp_path / "vehicles", *some("train"), *some("bus"))
    assert {name for _, name in train_and_test(tmp_path / "vehicles")[0]} == {"train", "bus"}
    write(tmp_path / "both", *some("Train/a"), *some("train/a"), *some("test/a"))
    with pytest.raises(ParameterError, match="there are both Train and train"):
        train_and_test(tmp_path / "both")


def test_links_are_followed_once_and_loops_end(folder, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    write(elsewhere, *some("more"), *some("one", 1))
    os.symlink(elsewhere / "more", folder / "c")  # a class elsewhere
    os.symlink(elsewhere / "more", folder / "a" / "again")  # what is read as c already
    os.symlink(elsewhere / "one" / "0.png", folder / "a" / "linked.png")
    os.symlink(folder / "b" / "0.png", folder / "a" / "copy.png")  # read by its own name
    os.symlink(folder, folder / "b" / "loop")
    os.symlink(folder / "none.png", folder / "b" / "broken.png")
    os.symlink("circle", folder / "b" / "circle")
    names, notes = found(folder)
    assert sorted([*PLAIN, ("a/linked.png", "a"), *((name, "c") for name in some("c"))]) == names
    assert notes.keys() == {"links to what is read anyhow", "broken links"}
    assert set(notes["links to what is read anyhow"][1]) == {"b/loop", "a/again", "a/copy.png"}
    assert set(notes["broken links"][1]) == {"b/broken.png", "b/circle"}


def test_unreadable_images_refuse_the_folder_or_are_left_out_by_name(folder):
    whole = (folder / "a" / "1.png").read_bytes()
    (folder / "a" / "1.png").write_bytes(whole[: len(whole) // 2])
    (folder / "b" / "4.png").write_bytes(b"<html>")
    with pytest.raises(ParameterError, match="cannot read the image"):
        load(f"folder:{folder}")
    write(folder, *some("b", 10))
    (folder / "b" / "3.png").write_bytes(b"")
    images = load(f"folder:{folder}", skip_unreadable=True)
    assert len(images.y_train) + len(images.y_test) == 13
    assert "2 images that cannot be read (a/1.png, b/3.png)" in images.reading.line
    with pytest.raises(ParameterError, match="skip_unreadable = digits"):
        load("digits", skip_unreadable=True)


def test_small_classes_are_left_out_by_name(folder):
    write(folder, *some("rare", 1))
    kept = load(f"folder:{folder}", drop_small_classes=True)
    assert kept.class_names == ("a", "b")
    assert sorted(kept.y_train.tolist()) == [0] * 4 + [1] * 4
    assert "class of one training image (rare)" in kept.reading.line
    assert load(f"folder:{folder}").class_names == ("a", "b", "rare")


def test_a_folder_of_images_alone_has_no_classes(tmp_path):
    write(tmp_path, *(f"{i}.png" for i in range(7)), "notes.txt")
    (tmp_path / "later").mkdir()
    names, notes = found(tmp_path)
    assert names == [(f"{i}.png", "") for i in range(7)]
    assert notes == {"class without an image": (1, ("later",)), "file ending in .txt": (1, ("notes.txt",))}
    images = load(f"folder:{tmp_path}")
    assert images.class_names == ()
    assert images.y_train.tolist() == [-1] * 7
    assert len(images.x_test) == len(images.y_test) == 0
    assert images.ids.tolist() == [f"{i}.png" for i in range(7)]
    assert "7 samples (7 to train on, 0 to test on)" in images.reading.line
    assert "noted 7 without a label" in images.reading.line
    assert len(load(f"folder:{tmp_path}", train=5).y_train) == 5


def test_images_are_called_by_their_files(folder):
    images = load(f"folder:{folder}")
    assert images.ids.tolist() == [f"{name}/{i}.png" for name in "ab" for i in range(4)]  # every fifth is for testing
    assert without(images, [0, 2]).ids.tolist() == [images.ids[i] for i in range(8) if i not in (0, 2)]
    some = load(f"folder:{folder}", train=4)
    assert some.ids.tolist() == ["a/0.png", "b/0.png", "a/1.png", "b/1.png"]


def test_without_labels_all_but_the_evaluation_works(tmp_path, capsys):
    from empirical.difficulty.__main__ import main as difficulty
    from empirical.embed.__main__ import main as embed
    from empirical.evaluate.__main__ import main as evaluate
    from empirical.profile.__main__ import main as profile
    from empirical.report.__main__ import main as report
    from empirical.train.__main__ import main as train

    write(tmp_path / "photos", *(f"{i:02}.png" for i in range(48)))
    data, checkpoint = f"folder:{tmp_path / 'photos'}", str(tmp_path / "run" / "checkpoint.pt")
    narrow = ["--encoder", "convnet", "--width", "8", "--dim", "8", "--batch", "16", "--epochs", "1"]
    assert train(["--data", data, *narrow, "--out", str(tmp_path / "run")]) == 0
    assert f"not evaluated: no image of {data} has a label" in capsys.readouterr().out
    assert profile(["--checkpoint", checkpoint]) == 0
    assert "classes are k-means clusters" in capsys.readouterr().out
    assert profile(["--checkpoint", checkpoint, "--classes", "3", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["classes"] == 3
    page = tmp_path / "page.html"
    assert report(["--checkpoint", checkpoint, "--classes", "3", "--out", str(page)]) == 0
    assert "<b>3</b> clusters in place of classes" in page.read_text(encoding="utf-8")
    assert profile(["--checkpoint", checkpoint, "--heatmap", str(tmp_path / "pairs.png")]) == 2
    assert "violates labels, whose pairs of classes are drawn" in capsys.readouterr().err
    assert difficulty(["--checkpoint", checkpoint, "--pairs", "9", "--out", str(tmp_path / "out")]) == 0
    pairs = (tmp_path / "out" / "pairs.csv").read_text().splitlines()
    assert pairs[0] == "first,second,similarity,id_first,id_second"
    assert all(line.endswith(".png") for line in pairs[1:])
    assert (tmp_path / "out" / "grid.png").exists()
    views = str(tmp_path / "views.npz")
    assert embed(["--data", data, "--checkpoint", checkpoint, "--components", "4", "--out", views]) == 0
    assert load(f"views:{views}").x_train.shape == (48, 4, 1, 1)
    capsys.readouterr()
    for refused in (
        lambda: evaluate(["--checkpoint", checkpoint]),
        lambda: train(["--data", data, *narrow, "--online-probe", "--out", str(tmp_path / "other")]),
    ):
        assert refused() == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        assert len(captured.err.splitlines()) == 1
