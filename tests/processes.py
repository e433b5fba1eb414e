"""Processes that tests start and watch: what is below one, and whether it ends."""

import os
import time
from pathlib import Path

from theory.locks import alive


def below(pid):
    """All processes that a process has started, and those that these have."""
    parents = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                fields = (folder / "stat").read_text(errors="replace").rpartition(") ")[2].split()
            except OSError:  # it has ended meanwhile
                continue
            parents[int(folder.name)] = int(fields[1])
    found, new = set(), {pid}
    while new:
        new = {child for child, parent in parents.items() if parent in new} - found
        found |= new
    return found


def ended_within(seconds, pids):
    """Those of some processes that live after this time; as soon as none does, none."""
    until = time.monotonic() + seconds
    while time.monotonic() < until and any(map(alive, pids)):
        time.sleep(0.05)
    return {pid for pid in pids if alive(pid)}


def wait_for(condition, seconds=60):
    """Wait until something holds, and fail if it does not come to that."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)


def names(folder):
    """What is in a folder, hidden files too, by name."""
    return sorted(os.listdir(folder))
