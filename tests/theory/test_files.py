import errno
import json
import os

import pytest

from theory.checks import ParameterError
from theory.files import belongs_to, claim, read_toml, require_unchanged, write_bytes

SETTINGS = {"seeds": 3, "base": {"tau": 0.5, "drop": [], "remedy": None}}


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


@pytest.fixture
def path(tmp_path):
    return tmp_path / "out" / "experiment.json"


@pytest.mark.parametrize("schema", [None, "schema/1"])
def test_a_folder_is_claimed_once(path, schema):
    claim(path, SETTINGS, belongs_to("run", path.parent), schema)
    before = path.stat().st_mtime_ns
    claim(path, SETTINGS, belongs_to("run", path.parent), schema)
    assert path.stat().st_mtime_ns == before
    found = json.loads(path.read_text())
    assert found.pop("schema", None) == schema
    assert found == SETTINGS


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seeds": 4}, "seeds = 4 violates seeds = 3 of the run in"),
        ({"base": {**SETTINGS["base"], "tau": 0.1}}, "tau = 0.1 violates tau = 0.5 of the run in"),
        ({"base": {**SETTINGS["base"], "remedy": {"sigma": 1}}}, "remedy = {'sigma': 1} violates remedy = None of"),
        ({"base": {"tau": 0.5, "drop": []}, "seeds": 4}, "seeds = 4"),
    ],
)
def test_another_setting_is_named(path, change, message):
    claim(path, SETTINGS, belongs_to("run", path.parent))
    before = path.read_bytes()
    with pytest.raises(ParameterError, match=message):
        claim(path, SETTINGS | change, belongs_to("run", path.parent))
    assert path.read_bytes() == before


def test_a_setting_that_is_no_more_is_named():
    with pytest.raises(ParameterError, match="old = None violates old = 1 of the run in x"):
        require_unchanged({"old": 1}, {}, belongs_to("run", "x"))


def test_long_values_are_cut():
    with pytest.raises(ParameterError) as caught:
        require_unchanged({"drop": list(range(10_000))}, {"drop": []}, belongs_to("run", "x"))
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "is not JSON"), (b"\xff\xfe\x00", "is not JSON"), (b"[1]", "violates a JSON object"), (b"{}", "seeds")],
)
def test_a_garbage_file_is_one_line(path, content, message):
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(ParameterError) as caught:
        claim(path, SETTINGS, belongs_to("run", path.parent))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("content", "message"), [("a =", "is not TOML"), (None, "cannot read")])
def test_a_garbage_toml_file_is_one_line(tmp_path, content, message):
    path = tmp_path / "a.toml"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ParameterError, match=message):
        read_toml(path)
    path.write_text("a = [1, 2]\n")
    assert read_toml(path) == {"a": [1, 2]}
