import errno
import os

import pytest

from theory.checks import ParameterError
from theory.files import write_bytes


@pytest.fixture
def calls(monkeypatch):
    """What is put on the disk ("folder" or a file's length) and what is renamed, in order."""
    found = []
    fsync, replace = os.fsync, os.replace

    def recorded_fsync(descriptor):
        status = os.fstat(descriptor)
        found.append("folder" if status.st_mode & 0o040000 else status.st_size)
        fsync(descriptor)

    def recorded_replace(source, target):
        found.append(f"rename to {os.path.basename(target)}")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", recorded_fsync)
    monkeypatch.setattr(os, "replace", recorded_replace)
    return found


def test_content_is_on_the_disk_before_it_has_its_name(tmp_path, calls):
    write_bytes(tmp_path / "a", b"12345")
    assert calls == [5, "rename to a", "folder"]
    write_bytes(tmp_path / "a", b"123", keep=tmp_path / "b")
    assert calls[3:] == [3, "rename to b", "rename to a", "folder"]
    assert ((tmp_path / "a").read_bytes(), (tmp_path / "b").read_bytes()) == (b"123", b"12345")


def test_a_full_disk_leaves_the_old_file(tmp_path, monkeypatch):
    write_bytes(tmp_path / "a", b"old")

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ParameterError, match=r"cannot write .*a: No space left on device"):
        write_bytes(tmp_path / "a", b"new", keep=tmp_path / "b")
    assert os.listdir(tmp_path) == ["a"]
    assert (tmp_path / "a").read_bytes() == b"old"


def test_a_file_system_that_cannot_sync_folders_is_no_error(tmp_path, monkeypatch):
    fsync = os.fsync

    def files_only(descriptor):
        if os.fstat(descriptor).st_mode & 0o040000:
            raise OSError(errno.EINVAL, "Invalid argument")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", files_only)
    write_bytes(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"new"
