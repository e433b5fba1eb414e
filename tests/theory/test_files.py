import errno
import json
import os
import socket
import stat
import subprocess
import sys
from contextlib import suppress
from pathlib import Path, PureWindowsPath

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from theory import files
from theory.checks import ParameterError, printable
from theory.files import (
    add_input,
    belongs_to,
    claim,
    inputs,
    missing,
    nearest_folder,
    read_toml,
    remove_leftovers,
    require_unchanged,
    require_writable,
    write_bytes,
    write_together,
)

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


@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOTSUP, errno.ENOSYS])
def test_a_file_system_that_cannot_sync_at_all_is_no_error(tmp_path, monkeypatch, code):
    def unable(descriptor):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", unable)
    write_bytes(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["a"]


def test_a_name_on_another_device_is_one_line(tmp_path, monkeypatch):
    """The temporary name is in the file's own folder, but a file itself can be mounted."""

    def elsewhere(source, target):
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    (tmp_path / "a").write_bytes(b"old")
    monkeypatch.setattr(os, "replace", elsewhere)
    with pytest.raises(ParameterError, match=r"^cannot write .*a: Invalid cross-device link$"):
        write_bytes(tmp_path / "a", b"new")
    assert os.listdir(tmp_path) == ["a"]
    assert (tmp_path / "a").read_bytes() == b"old"


def test_an_interruption_leaves_no_temporary_file(tmp_path, monkeypatch):
    def interrupted(descriptor):
        raise SystemExit(143)

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(SystemExit):
        write_bytes(tmp_path / "a", b"new")
    assert os.listdir(tmp_path) == []


# --- what is never replaced ------------------------------------------------------------------------


def device(path):
    path.symlink_to("/dev/null")


def bound(path):
    with socket.socket(socket.AF_UNIX) as end:
        end.bind(str(path))


@pytest.mark.parametrize(
    ("make", "kind"),
    [(device, "device"), (os.mkfifo, "pipe"), (bound, "socket"), (Path.mkdir, "folder")],
    ids=lambda value: str(getattr(value, "__name__", value)),
)
@pytest.mark.parametrize("linked", [False, True], ids=["itself", "link"])
def test_what_is_no_regular_file_stays(tmp_path, monkeypatch, make, kind, linked):
    monkeypatch.chdir(tmp_path)  # a socket's name is short
    there = Path("there")
    make(there)
    before = there.stat()
    path = Path("link") if linked else there
    if linked:
        path.symlink_to(there)
    for write in (require_writable, lambda path: write_bytes(path, b"new"), lambda path: write_together({path: "x"})):
        with pytest.raises(ParameterError, match=f"^cannot write {path}: it is a {kind}$"):
            write(path)
    assert os.path.samestat(before, there.stat())
    assert set(os.listdir()) == {"there", *(["link"] if linked else [])}


def test_a_device_of_its_own_stays():
    before = os.stat("/dev/null")
    with pytest.raises(ParameterError, match="cannot write /dev/null: it is a device"):
        write_bytes(Path("/dev/null"), b"")
    assert os.path.samestat(before, os.stat("/dev/null"))
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


@pytest.mark.parametrize("depth", [1, 3])
def test_a_link_stays_and_the_file_behind_it_is_replaced(tmp_path, depth):
    target, folder = tmp_path / "far" / "target", tmp_path / "here"
    target.parent.mkdir()
    folder.mkdir()
    target.write_bytes(b"old")
    last = target
    for number in range(depth):
        link = folder / f"link{number}"
        link.symlink_to(os.path.relpath(last, folder))
        last = link
    write_bytes(last, b"new", keep=None)
    assert last.is_symlink()
    assert (target.read_bytes(), target.is_symlink()) == (b"new", False)
    assert os.listdir(target.parent) == ["target"]


def test_a_dangling_link_gets_its_file(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "new" / "target")
    write_bytes(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "new" / "target").read_bytes() == b"new"


def test_a_link_that_leads_to_itself_is_one_line(tmp_path):
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    for path in (tmp_path / "a", tmp_path / "a" / "inside"):
        with pytest.raises(ParameterError, match=r"^cannot write .*: Too many levels of symbolic links$"):
            write_bytes(path, b"new")
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]


def test_a_name_that_is_too_long_is_one_line(tmp_path):
    for path in (tmp_path / ("a" * 300), tmp_path / ("b" * 252), tmp_path / ("c" * 300) / "d"):
        with pytest.raises(ParameterError, match=r"^cannot write .*: File name too long$"):
            require_writable(path)
    assert os.listdir(tmp_path) == []


def test_a_path_with_a_zero_byte_is_one_line(tmp_path):
    with pytest.raises(ParameterError, match="embedded null byte"):
        require_writable(tmp_path / "a\0b")


def test_a_path_below_a_file_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ParameterError, match=r"file is no writable folder$"):
        require_writable(tmp_path / "file" / "sub" / "a")


def test_a_path_below_a_folder_that_cannot_be_searched_is_one_line(tmp_path):
    shut = tmp_path / "shut"
    (shut / "in").mkdir(parents=True)
    code = f"""
import os, sys
sys.path.insert(0, {str(Path(files.__file__).parents[1])!r})
from pathlib import Path
from theory.files import require_writable
os.chmod({str(shut)!r}, 0)
if os.getuid() == 0:
    os.setgid(65534), os.setuid(65534)
for path in ({str(shut / "a")!r}, {str(shut / "in" / "b")!r}):
    try:
        require_writable(Path(path))
    except ValueError as error:
        print(error)
"""
    tmp_path.chmod(0o755)
    for above in list(tmp_path.parents)[:3]:
        if above.stat().st_uid == os.getuid() and above.name.startswith("pytest"):
            above.chmod(0o755)
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    shut.chmod(0o755)
    assert found.stderr == ""
    assert [line.rpartition(": ")[2] for line in found.stdout.splitlines()] == ["Permission denied"] * 2


def test_a_missing_drive_ends_the_search(monkeypatch, tmp_path):
    monkeypatch.setattr(os.path, "lexists", lambda path: False)
    assert nearest_folder(Path("/a/b")) is None
    with pytest.raises(ParameterError, match=r"^cannot write /a/b: there is no /$"):
        require_writable(Path("/a/b"))
    monkeypatch.setattr(Path, "exists", lambda path: False)
    assert missing(Path("/a/b")) == "there is no /"


@pytest.mark.parametrize("path", ["Q:/a/b", "Q:", "//server/share/a/b", "a/b"])
def test_a_missing_drive_of_windows_ends_it_too(monkeypatch, path):
    """The end of all parents is a drive or a share, which is its own parent."""

    class Missing(PureWindowsPath):
        exists = property(lambda self: lambda: False)

        def absolute(self):
            return self if self.anchor else type(self)("Q:/") / self

    monkeypatch.setattr(os.path, "lexists", lambda place: False)
    assert nearest_folder(Missing(path)) is None
    monkeypatch.setattr(files, "Path", Missing)
    found = missing(Missing(path))
    assert found.startswith("there is no ")
    assert found.endswith("\\") or found.endswith(":")


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o755, 0o666])
def test_the_mode_stays(tmp_path, mode):
    path = tmp_path / "a"
    path.write_bytes(b"old")
    path.chmod(mode)
    write_bytes(path, b"new")
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (b"new", mode)
    write_together({path: "newer", tmp_path / "b": "x"})
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (b"newer", mode)


def test_a_new_file_has_the_usual_mode(tmp_path):
    before = os.umask(0o027)
    try:
        write_bytes(tmp_path / "a", b"new")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640


@pytest.mark.skipif(os.getuid() != 0, reason="only root may give files away")
def test_the_owner_stays(tmp_path):
    (tmp_path / "a").write_bytes(b"old")
    os.chown(tmp_path / "a", 1234, 4321)
    write_bytes(tmp_path / "a", b"new")
    found = (tmp_path / "a").stat()
    assert (found.st_uid, found.st_gid) == (1234, 4321)


@pytest.mark.parametrize("name", ["same", "link", "hard"])
def test_an_input_is_not_written_whatever_its_name(tmp_path, name):
    source = tmp_path / "same"
    source.write_bytes(b"old")
    (tmp_path / "link").symlink_to(source)
    os.link(source, tmp_path / "hard")
    with inputs({f"--features {source}": source}):
        for write in (lambda path: write_bytes(path, b"new"), lambda path: write_together({path: b"new"})):
            with pytest.raises(ParameterError, match=r"it is an input of this command \(--features .*same\)$"):
                write(tmp_path / name)
        write_bytes(tmp_path / "other", b"new")
    assert source.read_bytes() == b"old"
    write_bytes(tmp_path / name, b"new")  # by another command
    assert (tmp_path / name).read_bytes() == b"new"


def test_inputs_that_are_found_later_are_kept_too(tmp_path):
    (tmp_path / "a").write_bytes(b"old")
    add_input("data", tmp_path / "a")
    write_bytes(tmp_path / "a", b"old")  # no command runs
    with inputs({}):
        add_input("data", tmp_path / "a")
        with pytest.raises(ParameterError, match=r"input of this command \(data\)"):
            write_bytes(tmp_path / "a", b"new")
    write_bytes(tmp_path / "a", b"new")


def test_the_file_that_takes_the_commands_lines_is_not_replaced(tmp_path):
    code = "from theory.files import write_bytes; from pathlib import Path; write_bytes(Path('out'), b'new')"
    path = [str(Path(files.__file__).parents[1])]
    with open(tmp_path / "out", "w") as stream:
        found = subprocess.run(
            [sys.executable, "-c", f"import sys; sys.path[:0] = {path}; {code}"],
            cwd=tmp_path,
            stdout=stream,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert "cannot write out: the command prints into it" in found.stderr
    assert (tmp_path / "out").read_bytes() == b""


# --- temporary names -------------------------------------------------------------------------------


@pytest.fixture
def ended():
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-S", "-c", ""])
    process.wait()
    return process.pid


def test_leftovers_of_ended_processes_are_removed_and_only_those(tmp_path, ended):
    kept = [
        ".a.1",
        ".a",
        ".a.x",
        f".a.b.{ended}",
        f".b.{ended}",
        f"a.{ended}",
        f".a.{ended}x",
        ".a.\N{SUPERSCRIPT TWO}",
    ]
    for name in (*kept, f".a.{ended}", f".a.{os.getpid()}"):
        (tmp_path / name).write_text("left")
    write_bytes(tmp_path / "a", b"new")
    assert sorted(os.listdir(tmp_path)) == sorted(["a", *kept])


def test_leftovers_of_a_killed_writer(tmp_path):
    path = [str(Path(files.__file__).parents[1])]
    code = f"""
import sys; sys.path[:0] = {path}
import os, signal
from pathlib import Path
from theory.files import write_bytes
os.fsync = lambda descriptor: os.kill(os.getpid(), signal.SIGKILL)
write_bytes(Path("a"), b"new")
"""
    process = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and nobody has asked how
    assert os.listdir(tmp_path) == [f".a.{process.pid}"]
    remove_leftovers(tmp_path / "b")
    assert os.listdir(tmp_path) == [f".a.{process.pid}"]
    remove_leftovers(tmp_path / "a")
    assert os.listdir(tmp_path) == []
    process.wait()


def test_a_planted_link_is_not_followed(tmp_path):
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    (tmp_path / f".a.{os.getpid()}").symlink_to(victim)
    write_bytes(tmp_path / "a", b"new")
    assert (victim.read_bytes(), (tmp_path / "a").read_bytes()) == (b"precious", b"new")
    assert not (tmp_path / "a").is_symlink()


def test_a_planted_link_that_cannot_be_removed_is_one_line(tmp_path, monkeypatch):
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    monkeypatch.setattr(files, "remove_leftovers", lambda path: None)
    monkeypatch.setattr(files, "_discard", lambda path: None)
    (tmp_path / f".a.{os.getpid()}").symlink_to(victim)
    with pytest.raises(ParameterError, match=r"cannot write .*a: File exists"):
        write_bytes(tmp_path / "a", b"new")
    assert victim.read_bytes() == b"precious"


def test_a_file_that_is_no_more_of_a_family_leaves_nothing(tmp_path, ended):
    for name in ("pairs", f".pairs.{ended}", ".pairs.1"):
        (tmp_path / name).write_text("left")
    write_together({tmp_path / "scores": "new"}, gone=[tmp_path / "pairs"])
    assert sorted(os.listdir(tmp_path)) == [".pairs.1", "scores"]


# --- files that belong together --------------------------------------------------------------------

FAMILY = ("scores", "pairs", "summary")


class Killed(BaseException):
    pass


def family(folder):
    return [(folder / name).read_text() if (folder / name).exists() else None for name in FAMILY]


@pytest.mark.parametrize("already", [False, True], ids=["first", "again"])
def test_killed_at_any_moment_a_family_is_of_one_run(tmp_path, monkeypatch, already):
    calls = ("open", "fsync", "replace", "unlink")
    originals = {name: getattr(os, name) for name in calls} | {"fsync": lambda descriptor: None}
    for fatal in range(40):
        folder = tmp_path / str(fatal)
        if already:
            write_together({folder / name: f"old {name}" for name in FAMILY})
        left = fatal

        def counted(name):
            def call(*args, **kwargs):
                nonlocal left
                if left == 0:
                    raise Killed
                left -= 1
                return originals[name](*args, **kwargs)

            return call

        with monkeypatch.context() as patch:
            for name in calls:
                patch.setattr(os, name, counted(name))
            patch.setattr(files, "_discard", lambda path: None)  # as a kill
            with suppress(Killed):
                write_together({folder / name: f"new {name}" for name in FAMILY})
        found = family(folder)
        assert len({text.partition(" ")[0] for text in found if text}) <= 1
        if found[-1] is not None:  # what is written last says that all are there
            assert None not in found
        write_together({folder / name: f"new {name}" for name in FAMILY})
        assert sorted(os.listdir(folder)) == sorted(FAMILY)
        if left:
            break
    assert 9 <= fatal < 39
    assert found == [f"new {name}" for name in FAMILY]


def test_a_full_disk_leaves_the_old_family(tmp_path, monkeypatch):
    write_together({tmp_path / name: f"old {name}" for name in FAMILY})
    fsync, count = os.fsync, 0

    def full(descriptor):
        nonlocal count
        count += 1
        if count == 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ParameterError, match=r"cannot write .*summary: No space left on device"):
        write_together({tmp_path / name: f"new {name}" for name in FAMILY})
    assert family(tmp_path) == [f"old {name}" for name in FAMILY]
    assert sorted(os.listdir(tmp_path)) == sorted(FAMILY)


def test_two_outputs_of_one_name_are_refused(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "a")
    with pytest.raises(ParameterError, match="another output of this command has that name"):
        write_together({tmp_path / "a": b"1", tmp_path / "link": b"2"})
    assert os.listdir(tmp_path) == ["link"]


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.text(min_size=1, max_size=90).filter(lambda text: text not in (".", "..") and text[0] != "/"),
    content=st.binary(max_size=50),
    kind=st.sampled_from(["new", "file", "link", "dangling", "folder", "pipe"]),
)
def test_any_name_is_written_whole_or_refused_in_one_line(tmp_path_factory, name, content, kind):
    folder = tmp_path_factory.mktemp("any")
    path = folder / name
    try:
        if kind == "file":
            path.write_bytes(b"old")
        elif kind in ("link", "dangling"):
            if kind == "link":
                (folder / "behind").write_bytes(b"old")
            path.symlink_to(folder / "behind")
        elif kind == "folder":
            path.mkdir()
        elif kind == "pipe":
            os.mkfifo(path)
    except (OSError, ValueError):
        kind = "new"
    refused = None
    try:
        write_bytes(path, content)
    except ParameterError as error:
        refused = str(error)
    assert refused is None or refused.startswith(printable(f"cannot write {path}: "))
    if refused is None:
        assert kind not in ("folder", "pipe")
        assert path.read_bytes() == content
        assert path.is_symlink() == (kind in ("link", "dangling"))
    assert not [one for one in folder.rglob(".*") if one.name.endswith(f".{os.getpid()}")]


# --- claims ----------------------------------------------------------------------------------------


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
