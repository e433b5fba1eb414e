"""Bars are drawn on a terminal; a file or a pipe gets a few lines, none of which goes back to its start."""

import subprocess
import sys
from pathlib import Path

import pytest
import tqdm
from hypothesis import given
from hypothesis import strategies as st

from theory.bars import SECONDS, SHARE, Bar
from theory.engine import HERE

ROOT = Path(__file__).parents[2]


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still unless it is moved."""
    now = [1000.0]
    monkeypatch.setattr("theory.bars.monotonic", lambda: now[0])
    return now


def test_a_file_gets_lines(clock, capsys):
    with Bar(total=4, desc="arms", unit="epoch") as bar:
        for _ in range(4):
            clock[0] += 11
            bar.update()
            bar.refresh()  # as the clock of tqdm, which stands still, does not
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert out == ""
    assert "\r" not in err
    assert [line.split()[1] for line in lines] == ["25%", "50%", "75%", "100%"]
    assert all(line.startswith("arms: ") and "epoch" in line for line in lines)


@given(st.lists(st.tuples(st.floats(0.1, 30), st.integers(1, 3)), min_size=1, max_size=60), st.booleans())
def test_lines_are_ten_seconds_and_a_hundredth_apart(steps, known):
    """Against a loop over the steps; tqdm looks no more often than a line is due."""
    total = sum(amount for _, amount in steps) if known else None
    expected, now, done, last = [], 0.0, 0, (0.0, 0)
    told: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        clock = [0.0]
        patch.setattr("theory.bars.monotonic", lambda: clock[0])
        patch.setattr("theory.bars.say", told.append)
        bar = Bar(total=total, miniters=1, leave=False)
        for seconds, amount in steps:
            clock[0] += seconds
            bar.update(amount)
            bar.refresh()
            now, done = now + seconds, done + amount
            if now - last[0] >= SECONDS and done - last[1] >= SHARE * (total or 0):
                last = now, done
                expected.append(done)
        bar.close()
    counts = [int(line.partition("it ")[0]) if total is None else int(line.split()[1].split("/")[0]) for line in told]
    assert counts == expected
    assert len(expected) <= 100 or total is None


def test_what_is_short_gets_one_line_and_nothing_gets_none(clock, capsys):
    with Bar(total=3) as bar:
        bar.update(3)
    assert capsys.readouterr().err.count("\n") == 1
    Bar(total=3, initial=2).close()
    list(Bar(range(3), leave=False))
    assert capsys.readouterr().err == ""


def test_a_message_between_lines_stands_alone(clock, capsys):
    with Bar(total=2) as bar:
        bar.update()
        tqdm.tqdm.write("a message", file=sys.stderr)
        bar.update()
    lines = capsys.readouterr().err.split("\n")
    assert lines[0] == "a message"
    assert lines[1].startswith("100% 2/2 [")
    assert lines[2:] == [""]


def test_a_terminal_has_a_bar(clock, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with Bar(total=2, desc="arms") as bar:
        bar.update(2)
    assert "\rarms: 100%|" in capsys.readouterr().err


def test_nobody_need_listen(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    assert list(Bar(range(3))) == [0, 1, 2]


def test_no_other_bar_is_drawn():
    """tqdm's own would write carriage returns into logs."""
    for package in ("theory", "empirical"):
        for path in (ROOT / package).rglob("*.py"):
            text = path.read_text(encoding="utf-8")
            assert path.name == "bars.py" or "tqdm(" not in text, path


def test_tasks_of_a_pool_are_told_in_lines(capsys):
    HERE.run(abs, [-1, -2], [3, 4], finished=1, desc="arms", unit="epoch")
    err = capsys.readouterr().err
    assert err.startswith("arms: 100% 8/8 [")
    assert (err.count("\n"), err.count("\r")) == (1, 0)


def test_the_log_of_a_command_holds_no_carriage_return(tmp_path):
    tiny = "--data digits --train 100 --test 50 --encoder convnet --width 4 --dim 6 --batch 50 --epochs 2"
    command = f"empirical.train {tiny} --accelerator cpu --out {tmp_path / 'out'}"
    with open(tmp_path / "log", "wb") as log:
        subprocess.run([sys.executable, "-m", *command.split()], stderr=log, stdout=log, check=True)
    written = (tmp_path / "log").read_bytes()
    assert b"\r" not in written
    assert b"baseline: 100% 4/4 [" in written
