import os
import subprocess
import sys
from contextlib import suppress

import pytest

from theory.temporary import PREFIX, in_temporary_folder, temporary_folder

ENDED = 2**22 + 7  # larger than any number that Linux gives


def test_leftovers_of_ended_processes_are_removed_and_only_those(tmp_path):
    kept = [f"{PREFIX}{os.getppid()}-x", f"{PREFIX}x-{ENDED}", f"other-{ENDED}-x", f"{PREFIX}{ENDED}"]
    for name in (*kept, f"{PREFIX}{ENDED}-x"):
        (tmp_path / name).mkdir()
    (tmp_path / f"{PREFIX}{ENDED}-file").touch()
    (tmp_path / f"{PREFIX}{ENDED}-link").symlink_to(tmp_path / kept[0])
    found = temporary_folder(tmp_path)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {*kept, found.name, f"{PREFIX}{ENDED}-file", f"{PREFIX}{ENDED}-link"}


def test_removed_afterwards_however_that_is(tmp_path):
    with suppress(KeyboardInterrupt), in_temporary_folder(tmp_path) as folder:
        (folder / "file").touch()
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(sys.platform == "win32", reason="there nothing can tell whether a process has ended")
def test_what_a_killed_process_leaves_is_removed_by_the_next(tmp_path):
    code = (
        "import os, sys, pathlib; from theory.temporary import temporary_folder;"
        "(temporary_folder(pathlib.Path(sys.argv[1])) / 'file').touch(); os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False).returncode == -9
    (left,) = tmp_path.iterdir()
    with in_temporary_folder(tmp_path) as folder:
        assert list(tmp_path.iterdir()) == [folder]
    assert not left.exists()
