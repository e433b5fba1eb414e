"""The README's output is what its commands print."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PREDICTION = (ROOT / "docs/prediction.md").read_text(encoding="utf-8")
SESSIONS = [
    (command, output)
    for command, output in re.findall(r"\$ python -m (theory\.\S+ .*)\n((?:.+\n|\n(?!\$))*?)```", README + PREDICTION)
    if output
]


NUMBER = re.compile(r"\d+(?:\.\d+)?")
FEATURES = (ROOT / "docs/prediction_features.md").read_text(encoding="utf-8")
MEASURED = re.findall(r"\$ python -m (empirical\.(?:profile|prediction) .*)\n((?:.+\n|\n)*?)```", README + FEATURES)


@pytest.mark.parametrize(("command", "output"), MEASURED)
def test_sessions_about_features(command, output):
    """Up to the last digits, which depend on the processor."""
    printed = subprocess.run(
        [sys.executable, "-m", *shlex.split(command)], capture_output=True, text=True, check=True, encoding="utf-8"
    ).stdout
    assert NUMBER.sub("", printed) == NUMBER.sub("", output)
    for found, shown in zip(NUMBER.findall(printed), NUMBER.findall(output), strict=True):
        tolerance = {"rel": 0.01} if "." in shown else {"abs": 2}  # whole percents
        assert float(found) == pytest.approx(float(shown), **tolerance)


def test_there_are_sessions():
    assert SESSIONS
    assert len(MEASURED) == 2


@pytest.mark.parametrize(("command", "output"), SESSIONS)
def test_theory_sessions(command, output):
    result = subprocess.run(
        [sys.executable, "-m", *shlex.split(command)], capture_output=True, text=True, check=True, encoding="utf-8"
    )
    assert result.stdout == output


@pytest.mark.parametrize("package", ["theory", "empirical"])
def test_the_layout_names_every_module(package):
    row = next(line for line in README.splitlines() if line.startswith(f"| `{package}/` |"))
    named = set(re.findall(r"`([a-z]+)/?`", row.split("|")[2]))
    root = Path(__file__).parents[1] / package
    found = {path.stem for path in root.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert named == {name for name in found if not name.startswith("__")}
