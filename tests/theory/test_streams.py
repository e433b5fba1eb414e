"""What commands print is readable whatever takes it, and whoever closes it."""

import errno
import io
import os
import re
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from theory import command, streams
from theory.checks import ParameterError
from theory.command import Parser, run
from theory.files import write_text
from theory.rooms import rooms
from theory.streams import SPELLED, spelled

ROOT = Path(command.__file__).parents[1]
BOUNDS = ["theory.bounds", "--alpha", ".5", "--beta", ".05", "--gamma", ".2"]
ROOMS = [room for package in ("theory", "empirical") for room in rooms(package, ROOT / package)]


def called(*arguments, **environment):
    known = {name: value for name, value in os.environ.items() if not name.startswith(("LC_", "LANG", "PYTHONIO"))}
    return subprocess.run(
        [sys.executable, "-m", *arguments], capture_output=True, cwd=ROOT, env={**known, **environment}, timeout=60
    )


# --- spelling --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("λ = (1−α)/((1−α)+nα)", "lambda = (1-alpha)/((1-alpha)+nalpha)"),
        ("σ² ≤ ½·10⁻⁸", "sigma^2 <= 1/2*10^-8"),
        ("α̂, ε̄, Ā, x₁, Γ, ς", "alpha^, epsilon_bar, A_bar, x_1, Gamma, sigma"),
        ("Zoë’s café — 3×3 … √2", "Zoe's cafe - 3x3 ... sqrt 2"),
        ("caf\udce9", "caf\\xe9"),
        ("木\ud800\0", "\\u6728\\ud800\0"),
    ],
)
def test_what_an_encoding_lacks_is_spelled(text, expected):
    assert text.encode("ascii", SPELLED).decode() == expected


def test_what_an_encoding_has_stays():
    assert "β × 2².".encode("cp1252", SPELLED).decode("cp1252") == "beta × 2²."
    assert "λ木".encode("utf-8", SPELLED).decode() == "λ木"


@settings(max_examples=100)
@given(st.text(st.characters(), max_size=20))
def test_any_text_is_spelled_in_ascii(text):
    for encoding in ("ascii", "cp1252", "utf-8"):
        text.encode(encoding, SPELLED).decode(encoding)


def test_every_character_of_the_project_has_a_readable_spelling():
    found = set()
    for package in ("theory", "empirical"):
        for file in (ROOT / package).rglob("*.py"):
            found |= set(re.sub("[\0-\x7f]", "", file.read_text(encoding="utf-8")))
    assert len(found) > 50
    assert {character: spelled(character) for character in found if "\\" in spelled(character)} == {}


def test_names_of_files_that_are_no_text_are_spelled_in_files(tmp_path):
    write_text(tmp_path / "a", "λ, caf\udce9\n")
    assert (tmp_path / "a").read_text(encoding="utf-8") == "λ, caf\\xe9\n"


# --- every command, on every terminal --------------------------------------------------------------


def encoded(monkeypatch, encoding):
    """Files in place of this process's output."""
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="strict"))
    return lambda: [stream.buffer.getvalue().decode(encoding) for stream in (sys.stdout, sys.stderr)]


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.module)
def test_help_and_errors_need_no_character_that_an_output_lacks(monkeypatch, room):
    shown = encoded(monkeypatch, "ascii")
    with pytest.raises(SystemExit):
        room.load().main(["--help"])
    assert room.load().main(["--λ", "木"]) == 2
    out, err = shown()
    assert "usage" in out
    assert err.startswith("error: there is no option --lambda")
    assert sys.stdout.errors == sys.stderr.errors == "strict"  # as before


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-16", "utf-8"])
def test_warnings_and_bars_too(monkeypatch, encoding):
    from theory.bars import Bar

    def noisy(_):
        print(warnings.formatwarning("γ < β", UserWarning, "", 1), end="", file=sys.stderr)  # pytest keeps warnings
        print("α̂", "→", "木")
        with Bar(total=2, desc="λ", unit="µ") as bar:
            bar.update()

    shown = encoded(monkeypatch, encoding)
    assert run(Parser("x"), noisy, []) == 0
    out, err = shown()
    assert out.replace("^", "̂").replace("alpha", "α").startswith("α̂ ")
    assert "γ < β" in err or "gamma < beta" in err
    assert "50%" in err


@pytest.mark.parametrize(
    "environment",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONIOENCODING": "cp1252"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    ],
    ids=str,
)
def test_a_command_of_its_own_process(environment):
    found = called(*BOUNDS, **environment)
    assert (found.returncode, found.stderr) == (0, b"")
    assert "alpha" in found.stdout.decode("cp1252")
    found = called(*BOUNDS, "--delta", "caf\N{LATIN SMALL LETTER E WITH ACUTE}", **environment)
    assert (found.returncode, found.stdout) == (2, b"")
    assert re.fullmatch(rb"error: --delta caf\S+: not a number\n", found.stderr)


@pytest.mark.parametrize("columns", ["20", "1", "0", "-3", "x", "100000"])
@pytest.mark.parametrize("room", ROOMS[:4] + ROOMS[-2:], ids=lambda room: room.module)
def test_any_width_of_a_terminal_will_do(monkeypatch, capsys, room, columns):
    monkeypatch.setenv("COLUMNS", columns)
    with pytest.raises(SystemExit) as ended:
        room.load().main(["--help"])
    assert ended.value.code == 0
    assert "usage" in capsys.readouterr().out


def test_a_narrow_terminal_shows_a_bar(monkeypatch, capsys):
    from theory.bars import Bar

    monkeypatch.setenv("COLUMNS", "20")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert run(Parser("x"), lambda _: list(Bar(range(3), desc="a long description of it")), []) == 0
    assert "a long desc" in capsys.readouterr().err


def test_no_colours_are_printed_at_all(monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")
    for room in ROOMS:
        with pytest.raises(SystemExit):
            room.load().main(["--help"])
    assert "\x1b" not in capsys.readouterr().out


# --- outputs that fail -----------------------------------------------------------------------------

FULL = pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
BUFFERED = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
SHUT = "import os, sys; os.close({0}); os.execv(sys.executable, [sys.executable, '-m', *{1}])"


@FULL
@pytest.mark.parametrize("lines", [1, 100_000])
def test_a_full_disk_under_the_output_is_one_line(lines):
    code = f"from theory.command import *; raise SystemExit(run(Parser('x'), lambda _: print('x\\n' * {lines}), []))"
    with open("/dev/full", "wb") as full:
        found = subprocess.run(
            [sys.executable, "-c", code], stdout=full, stderr=subprocess.PIPE, cwd=ROOT, env=BUFFERED
        )
    assert found.returncode == 2
    assert re.fullmatch(rb"error: (cannot print: )?No space left on device\n", found.stderr)


@FULL
def test_an_error_that_nobody_can_be_told_is_an_exit_code():
    with open("/dev/full", "wb") as full:
        found = subprocess.run([sys.executable, "-m", *BOUNDS, "--x"], stdout=subprocess.PIPE, stderr=full, cwd=ROOT)
    assert (found.returncode, found.stdout) == (2, b"")


@pytest.mark.parametrize(("closed", "extra", "code"), [(1, [], 0), (2, [], 0), (2, ["--x"], 2)])
def test_outputs_that_are_closed_from_the_start(closed, extra, code):
    found = subprocess.run(
        [sys.executable, "-c", SHUT.format(closed, [*BOUNDS, *extra])], capture_output=True, cwd=ROOT
    )
    assert (found.returncode, found.stderr) == (code, b"")


@pytest.mark.parametrize(("lines", "code"), [(1, 0), (100_000, 141)])
def test_a_reader_that_has_seen_enough(lines, code):
    """As `head` does; a command that has said everything has done its work."""
    program = f"from theory.command import *; raise SystemExit(run(Parser('x'), lambda _: print('x\\n' * {lines}), []))"
    reader, writer = os.pipe()
    os.close(reader)
    found = subprocess.run(
        [sys.executable, "-c", program], stdout=writer, stderr=subprocess.PIPE, cwd=ROOT, env=BUFFERED
    )
    os.close(writer)
    assert (found.returncode, found.stderr) == (code, b"")


@pytest.mark.parametrize("code", [errno.EACCES, errno.ENAMETOOLONG, errno.ELOOP, errno.EXDEV, errno.ENOSPC, errno.EIO])
def test_whatever_a_file_system_refuses_is_one_line(capsys, code):
    def refused(_):
        raise OSError(code, os.strerror(code), "a/b")

    assert run(Parser("x"), refused, []) == 2
    assert capsys.readouterr() == ("", f"error: a/b: {os.strerror(code)}\n")


@pytest.mark.parametrize(
    ("name", "shown"),
    [("a\nb", "a\\nb"), ("\x1b[31mred", "\\x1b[31mred"), ("a\u2028b\r", "a\\u2028b\\r"), ("木 λ", "木 λ")],
)
def test_names_do_not_break_the_line_of_an_error(capsys, name, shown):
    def refused(_):
        raise ParameterError("file", name, "a name")

    assert run(Parser("x"), refused, []) == 2
    assert capsys.readouterr().err == f"error: file = {shown} violates a name\n"


def test_two_names_are_both_told(capsys):
    def refused(_):
        raise OSError(errno.EXDEV, "Invalid cross-device link", "a", None, "b")

    assert run(Parser("x"), refused, []) == 2
    assert capsys.readouterr().err == "error: a and b: Invalid cross-device link\n"


def test_say_is_silent_where_nobody_listens(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    streams.say("x")
    monkeypatch.setattr(sys, "stdout", None)
    assert streams.finish() is None
