"""One process at a time in a folder; locks end with their process."""

import errno
import json
import os
import platform
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from theory import locks
from theory.checks import ParameterError
from theory.locks import LOCK, alive, locked
from theory.workers import workers

ROOT = str(Path(locks.__file__).parents[1])
HOLD = """
import sys; sys.path.insert(0, {root!r})
from pathlib import Path
from theory.locks import locked
with locked(Path({folder!r})):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def held(folder):
    """Another process that has the folder."""
    code = HOLD.format(root=ROOT, folder=str(folder))
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def own(**changes):
    boot = locks.BOOT.read_text().strip() if locks.BOOT.exists() else ""
    return json.dumps({"pid": os.getpid(), "host": platform.node(), "boot": boot, **changes})


def test_a_second_process_is_refused_and_the_first_is_named(tmp_path):
    with held(tmp_path / "out") as first:
        for folder in (tmp_path / "out", tmp_path / "link"):
            if folder.name == "link":
                folder.symlink_to(tmp_path / "out")
            name = f"{folder} is in use by process {first.pid} on {platform.node()}: "
            with pytest.raises(ParameterError) as caught, locked(folder):
                pass
            assert str(caught.value).startswith(name)
        with pytest.raises(ParameterError, match="is in use by process"), workers(out=tmp_path / "out"):
            pass
        assert os.listdir(tmp_path / "out") == [LOCK]
        first.communicate("")
    assert not (tmp_path / "out").exists()  # it was made for the lock
    with locked(tmp_path / "link"):
        pass


def test_a_lock_ends_with_its_process(tmp_path):
    with held(tmp_path) as first:
        first.send_signal(signal.SIGKILL)
        first.wait()
        assert os.listdir(tmp_path) == [LOCK]
        with locked(tmp_path):
            assert json.loads((tmp_path / LOCK).read_text())["pid"] == os.getpid()
    assert os.listdir(tmp_path) == []


def test_the_same_process_may_go_in_twice(tmp_path):
    with locked(tmp_path), locked(tmp_path):
        pass
    with locked(tmp_path) as path:
        with locked(Path(os.path.relpath(tmp_path))) as again:
            assert path.samefile(again)
        with pytest.raises(subprocess.CalledProcessError):
            subprocess.run(
                [sys.executable, "-c", HOLD.format(root=ROOT, folder=str(tmp_path))],
                check=True,
                stdin=subprocess.DEVNULL,
                capture_output=True,
            )
    assert os.listdir(tmp_path) == []


def test_an_error_leaves_nothing(tmp_path):
    with pytest.raises(KeyError), locked(tmp_path / "new" / "out"):
        raise KeyError
    assert os.listdir(tmp_path) == []
    with locked(tmp_path / "new" / "out") as path:
        path.with_name("result").write_text("")
    assert os.listdir(tmp_path / "new" / "out") == ["result"]


def test_a_folder_that_is_removed_meanwhile_is_no_error(tmp_path):
    with locked(tmp_path / "out") as path:
        path.unlink()
        path.parent.rmdir()
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"pid": "x", "host": 1, "boot": 2}', "\0" * 100])
def test_a_lock_that_says_nothing_is_taken(tmp_path, text):
    (tmp_path / LOCK).write_text(text)
    with locked(tmp_path):
        assert json.loads((tmp_path / LOCK).read_text())["pid"] == os.getpid()
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("stale", [{"host": "container"}, {"boot": "earlier"}], ids=["other container", "restarted"])
def test_a_lock_of_an_ended_process_of_this_machine_is_taken(tmp_path, stale):
    (tmp_path / LOCK).write_text(own(**stale))
    with locked(tmp_path):
        assert json.loads((tmp_path / LOCK).read_text())["pid"] == os.getpid()
    assert os.listdir(tmp_path) == []


def test_of_a_lock_of_another_machine_is_told_how_to_remove_it(tmp_path):
    (tmp_path / LOCK).write_text(own(pid=17, host="elsewhere", boot="other"))
    with pytest.raises(ParameterError) as caught, locked(tmp_path):
        pass
    message = str(caught.value)
    assert f"{tmp_path} is in use by process 17 on elsewhere, or was" in message
    assert f"remove {tmp_path / LOCK} if it has ended" in message
    assert "\n" not in message
    (tmp_path / LOCK).unlink()
    with locked(tmp_path):
        pass


def test_without_locks_of_the_system_the_process_is_looked_for(tmp_path, monkeypatch):
    def none(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(locks.fcntl, "lockf", none)
    with held(tmp_path) as first:
        with pytest.raises(ParameterError, match=f"in use by process {first.pid} on"), locked(tmp_path):
            pass
        first.kill()
        first.wait()
        with locked(tmp_path):
            pass
    assert os.listdir(tmp_path) == []


def test_a_planted_link_or_pipe_is_refused(tmp_path):
    (tmp_path / "victim").write_text("precious")
    (tmp_path / LOCK).symlink_to("victim")
    with pytest.raises(ParameterError, match=r"cannot write .*\.lock: "), locked(tmp_path):
        pass
    assert (tmp_path / "victim").read_text() == "precious"
    (tmp_path / LOCK).unlink()
    os.mkfifo(tmp_path / LOCK)
    with pytest.raises(ParameterError, match=r"cannot write .*\.lock: it is no regular file"), locked(tmp_path):
        pass


@pytest.mark.parametrize("name", ["file", "file/sub", "a" * 300, "loop"])
def test_a_folder_that_cannot_be_made_is_one_line(tmp_path, name):
    (tmp_path / "file").write_text("")
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(ParameterError, match=r"^cannot write .*\.lock: [A-Z]"), locked(tmp_path / name):
        pass
    assert sorted(os.listdir(tmp_path)) == ["file", "loop"]


def test_who_lives():
    assert alive(os.getpid())
    assert alive(1)
    assert not alive(2**31 - 1)
    assert not alive(10**30)
    process = subprocess.Popen([sys.executable, "-S", "-c", ""])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert not alive(process.pid)  # nobody has asked how it ended
    process.wait()
    assert not alive(process.pid)
