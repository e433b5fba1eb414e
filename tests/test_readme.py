"""The README's output is what its commands print."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
SESSIONS = [
    (command, output)
    for command, output in re.findall(r"\$ python -m (theory\.\S+ .*)\n((?:.+\n|\n(?!\$))*?)```", README)
    if output
]


def test_there_are_sessions():
    assert SESSIONS


@pytest.mark.parametrize(("command", "output"), SESSIONS)
def test_theory_sessions(command, output):
    result = subprocess.run(
        [sys.executable, "-m", *shlex.split(command)], capture_output=True, text=True, check=True, encoding="utf-8"
    )
    assert result.stdout == output
