import os
import subprocess
import sys
from contextlib import suppress

import pytest

from theory.temporary import PREFIX, in_temporary_folder, temporary_folder

ENDED = 2**22 + 7  # larger than any number that Linux gives


def test_leftovers_of_ended_processes_are_removed_and_only_those(tmp_path):
    mine = temporary_folder(tmp_path).name.replace(f"-{os.getpid()}-", "-{}-")
    gone = mine.format(ENDED)
    kept = [
        mine.format(os.getppid()),
        f"difficult-{ENDED}-photos",  # a user's own
        f"{PREFIX}{ENDED}-abcdefgh",
        f"{PREFIX}00000000-{ENDED}-abcdefgh",  # of another machine
        f"{gone}-too",
    ]
    for name in (*kept, gone):
        (tmp_path / name).mkdir()
    (tmp_path / mine.format(ENDED + 1)).touch()
    (tmp_path / mine.format(ENDED + 2)).symlink_to(tmp_path / kept[0])
    before = {path.name for path in tmp_path.iterdir()}
    found = temporary_folder(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == (before - {gone}) | {found.name}


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
