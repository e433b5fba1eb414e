"""What was read is kept while its file or folder stays as it is, and no longer."""

import os
from pathlib import Path

import pytest

from empirical.data import kept
from empirical.data.kept import kept_while_unchanged, state


@pytest.fixture
def reader():
    """A reader of a file or of a folder's files, and the sources that it has read."""
    calls = []

    @kept_while_unchanged(2)
    def read(source, ending=""):
        """The text."""
        calls.append(source)
        place = Path(source.partition(":")[2] or source)
        files = sorted(place.rglob("*.txt")) if place.is_dir() else [place]
        return "".join(file.read_text() for file in files) + ending

    return read, calls


def test_a_file_is_read_once(reader, tmp_path):
    read, calls = reader
    (tmp_path / "a.txt").write_text("one")
    source = f"text:{tmp_path / 'a.txt'}"
    assert [read(source), read(source), read(source, ending="!")] == ["one", "one", "one!"]
    assert len(calls) == 2
    read.cache_clear()
    assert read(source) == "one"
    assert len(calls) == 3
    assert read.__doc__ == "The text."


def test_a_changed_file_is_read_again(reader, tmp_path):
    read, _ = reader
    file = tmp_path / "a.txt"
    file.write_text("one")
    assert read(str(file)) == "one"
    file.write_text("three")
    assert read(str(file)) == "three"
    file.write_text("seven")  # as long
    os.utime(file, ns=(0, 0))
    assert read(str(file)) == "seven"


def test_the_same_relative_path_elsewhere_is_another_file(reader, tmp_path, monkeypatch):
    read, _ = reader
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.txt").write_text(name)
        monkeypatch.chdir(tmp_path / name)
        assert read("a.txt") == read("text:a.txt") == name


def test_a_folder_changes_with_any_of_its_files(reader, tmp_path):
    read, calls = reader
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.txt").write_text("a")
    (tmp_path / "sub" / "b.txt").write_text("b")
    assert read(str(tmp_path)) == read(str(tmp_path)) == "ab"
    (tmp_path / "sub" / "b.txt").write_text("bb")
    assert read(str(tmp_path)) == "abb"
    (tmp_path / "sub" / "b.txt").rename(tmp_path / "sub" / "c.txt")
    assert read(str(tmp_path)) == "abb"
    assert len(calls) == 3


def test_of_many_files_only_which_there_are(tmp_path, monkeypatch):
    monkeypatch.setattr(kept, "WATCHED", 2)
    (tmp_path / "a").write_text("one")
    states = [state(str(tmp_path))]
    (tmp_path / "a").write_text("three")
    states.append(state(str(tmp_path)))
    for name in "bc":
        (tmp_path / name).write_text(name)
        states.append(state(str(tmp_path)))
    (tmp_path / "a").write_text("one")
    assert state(str(tmp_path)) == states[-1]
    assert len(set(states)) == 4


@pytest.mark.parametrize("source", ["digits", "npz:", "npz:none.npz", "folder:a\0b", "x" * 5000, "text:~nobody/x"])
def test_what_is_not_there_has_a_state_of_its_own(source, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert state(source) == state(source) != state(f"{source}2")


def test_errors_are_not_kept(reader, tmp_path):
    read, _ = reader
    with pytest.raises(FileNotFoundError):
        read(str(tmp_path / "a.txt"))
    (tmp_path / "a.txt").write_text("one")
    assert read(str(tmp_path / "a.txt")) == "one"
