"""A command called in this process, and the verdict on what it did."""

from __future__ import annotations

import errno
import importlib
import io
import itertools
import json
import os
import re
import resource
import shutil
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

SOON = 0.3  # seconds of CPU after which work that has begun is cut short
HANG = 20.0  # seconds of CPU after which a call that has not begun to work hangs
WAIT = 100.0  # the same on the clock: it waits for something
TICK = 0.1
PIPE = "pipe"
MEMORY = 3 << 30  # bytes that a call may take beside what the process has

# Where a command works on input that it has accepted: the rest of it would take its time, and is tested elsewhere.
WORK = (
    ("train/loop.py", "_train"),
    ("evaluate/scoring.py", "evaluate_network"),
    ("evaluate/scoring.py", "evaluate_features"),
    ("embed/embedding.py", "_encode"),
    ("theory/engine.py", "perform"),
    ("audit/__init__.py", "audit"),
    ("certificates/__init__.py", "store"),
    ("certificates/__init__.py", "check"),
)


class Begun(BaseException):
    """The work on accepted input, cut short."""


class Hang(BaseException):
    """Neither refused nor begun."""


@dataclass(frozen=True)
class Call:
    """A command, its arguments, and files in place of those that lie there."""

    module: str
    arguments: tuple[str, ...]
    files: Mapping[str, bytes | None] = field(default_factory=dict)  # None: the file is missing

    def __repr__(self) -> str:
        contents = {name: _shown(content) for name, content in self.files.items()}
        return f"{self.module} {list(self.arguments)}" + (f" with {contents}" if contents else "")


def _shown(content: bytes | None) -> str:
    return "nothing" if content is None else f"{content[:300]!r}" + "…" * (len(content) > 300)


@dataclass(frozen=True)
class Outcome:
    """What a call gave: ``kind`` is refused, done, begun or what is wrong; ``fault`` tells more of what is wrong."""

    kind: str
    out: str
    err: str
    fault: str = ""

    @property
    def right(self) -> bool:
        """Whether it is what the project promises."""
        return not self.fault


class Bench:
    """A folder of small valid inputs, in which calls are made and after each of which all is as it was.

    Parameters
    ----------
    folder : Path
        The inputs; commands run in it. Beside it nothing is written either.
    accepted : callable, optional
        What a call that was not refused should not have been given.
    """

    def __init__(self, folder: Path, accepted: Callable[[Call], list[str]] = lambda call: []) -> None:
        self.folder, self.accepted = folder, accepted
        self.pristine = folder.with_name(folder.name + ".pristine")
        shutil.copytree(folder, self.pristine, symlinks=True, ignore=shutil.ignore_patterns(PIPE))
        self.counts: Counter[tuple[str, str]] = Counter()
        self.before = _listing(self.folder.parent)

    def call(self, call: Call) -> Outcome:
        """Call a command, and judge it."""
        for name, content in call.files.items():
            self._put(name, content)
        given = _listing(self.folder.parent) if call.files else self.before
        outcome = self._judged(call, given)
        self._restore()
        self.counts[call.module, outcome.kind] += 1
        return outcome

    def _judged(self, call: Call, given: Mapping[str, Any]) -> Outcome:
        kind, code, out, err, fault = _run(call, self.folder)
        if fault:
            return Outcome(kind, out, err, fault)
        now = _listing(self.folder.parent)
        changed = sorted(name for name in given.keys() | now.keys() if given.get(name) != now.get(name))
        if code in (0, None) and (nonsense := self.accepted(call)):
            return Outcome("nonsense accepted", out, err, f"accepted {'; '.join(nonsense)}")
        if kind == "begun":
            outside = [name for name in changed if not name.startswith(self.folder.name + os.sep)]
            return Outcome(kind, out, err, f"changed {outside}" if outside else "")
        if code == 2 and _denied and err.endswith("Permission denied\n"):  # told when it is written, for root may
            return Outcome("refused", out, err)
        if code == 2:
            if any(words in err.rstrip().rpartition("\n")[2] for words in LATE):
                return Outcome("ended at work", out, err)
            if place := _damaged_results(call):  # which is found where it is needed, after the data have been read
                err = err.rstrip("\n").rpartition("\n")[2] + "\n"
                changed = [name for name in changed if not name.startswith(os.path.join(self.folder.name, place))]
            wrong = _wrong_refusal(out, err)
            wrong += [f"changed {changed}"] if changed else []
            return Outcome("refused" if not wrong else "imperfect refusal", out, err, "; ".join(wrong))
        if code == 0:
            wrong = _wrong_output(call, out, err)
            return Outcome("done" if not wrong else "odd output", out, err, "; ".join(wrong))
        if code == 1 and call.module == "theory.audit":
            return Outcome("done", out, err)
        return Outcome("exit code", out, err, f"exit code {code}")

    def _put(self, name: str, content: bytes | None) -> None:
        path = self.folder / name
        with suppress(FileNotFoundError):
            path.unlink()
        if content is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)

    def _restore(self) -> None:
        now, root = _listing(self.folder.parent), self.folder.parent
        for name in sorted(set(now) - set(self.before), reverse=True):
            path = root / name
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                with suppress(FileNotFoundError):
                    path.unlink()
        for name in sorted(name for name, entry in self.before.items() if now.get(name) != entry):
            target = root / name
            source = self.pristine / target.relative_to(self.folder)
            if target.name == PIPE:
                os.mkfifo(target)
            elif source.is_dir() and not source.is_symlink():
                target.mkdir(parents=True, exist_ok=True)
            else:
                with suppress(FileNotFoundError):
                    target.unlink()
                shutil.copy2(source, target, follow_symlinks=False)
        if now != self.before:
            self.before = _listing(root)

    def table(self) -> str:
        """The counts, a row a command."""
        kinds = sorted({kind for _, kind in self.counts}, key=lambda kind: (kind not in GOOD, kind))
        rows = [["command", *kinds, "all"]]
        for module in sorted({module for module, _ in self.counts}):
            counts = [self.counts[module, kind] for kind in kinds]
            rows.append([module, *map(str, counts), str(sum(counts))])
        sums = [sum(count for (_, kind), count in self.counts.items() if kind == k) for k in kinds]
        rows.append(["all", *map(str, sums), str(sum(sums))])
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join("  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows)


GOOD = ("refused", "done", "begun", "ended at work")
LATE = ("diverged", "not enough memory")  # what only the work can tell


def _listing(folder: Path) -> dict[str, tuple[Any, ...]]:
    """Every name below a folder, without its pristine copy, and what tells whether it was changed."""
    found: dict[str, tuple[Any, ...]] = {}
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.endswith(".pristine")]
        relative = os.path.relpath(place, folder)
        for name in (*folders, *files):
            status = os.lstat(os.path.join(place, name))
            times = () if name in folders else (status.st_mtime_ns, status.st_size, status.st_ino)
            found[os.path.normpath(os.path.join(relative, name))] = (status.st_mode, *times)
    return found


def _damaged_results(call: Call) -> str | None:
    """The folder of a run that goes on, if something in it is damaged."""
    for before, value in itertools.pairwise(call.arguments):
        if before == "--out" and any(name.startswith(f"{value}/") for name in call.files):
            return value
    return None


def _wrong_refusal(out: str, err: str) -> list[str]:
    wrong = ["something on stdout"] if out else []
    lines = err.split("\n")
    if len(lines) != 2 or lines[1]:
        wrong.append(f"{len(lines) - 1} lines on stderr")
    if not err.startswith("error: ") or len(err) < 12:
        wrong.append("no error: line")
    if not lines[0].isprintable():
        wrong.append("a line that cannot be printed")
    if len(lines[0]) > 2000:
        wrong.append(f"a line of {len(lines[0])} characters")
    if re.search(r"\b\w*Error\(|Traceback|<class |<built-in|0x[0-9a-f]{8}", lines[0]):
        wrong.append("words of Python")
    return wrong


def _wrong_output(call: Call, out: str, err: str) -> list[str]:
    wrong = ["a traceback"] if "Traceback" in err else []
    if "--json" in call.arguments and not any(name in call.arguments for name in ("--help", "-h", "--version")):
        try:
            json.loads(out, parse_constant=_no_constant)
        except ValueError as error:
            wrong.append(f"no JSON: {error}")
    return wrong


def _no_constant(text: str) -> None:
    raise ValueError(text)


# --- running ---------------------------------------------------------------------------------------


def _run(call: Call, folder: Path) -> tuple[str, int | None, str, str, str]:
    """How a call ended, its exit code, output and errors, and its fault if it ended badly."""
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", errors, write_through=True) for errors in _ERRORS)
    place, environment, arguments = os.getcwd(), dict(os.environ), sys.argv
    kind, code, fault = "", None, ""
    os.chdir(folder)
    sys.argv = [call.module, *call.arguments]
    _forget()
    try:
        with redirect_stdout(out), redirect_stderr(err), NO_NETWORK, _confined(folder.parent), _limited(), _watched():
            code = importlib.import_module(f"{call.module}.__main__").main(list(call.arguments))
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except Begun:
        kind = "begun"
    except Hang:
        kind, fault = "hang", "hang: " + traceback.format_exc(limit=-6)
    except BaseException as error:
        kind, fault = "traceback", f"{type(error).__name__}: " + traceback.format_exc(limit=-6)
    finally:
        os.chdir(place)
        os.environ.clear()
        os.environ.update(environment)
        sys.argv = arguments
    texts = [stream.buffer.getvalue().decode("utf-8", "replace") for stream in (out, err)]  # type: ignore[attr-defined]
    return kind, code, *texts, fault


NO_NETWORK = patch("socket.getaddrinfo", side_effect=OSError("no network here"))
_ERRORS = ("strict", "backslashreplace")  # as Python opens the streams of a terminal


def _forget() -> None:
    """Forget what the process remembers of files, which a new process would read."""
    for name, module in list(sys.modules.items()):
        if name.startswith(("empirical.", "theory.")):
            for value in list(vars(module).values()):
                if hasattr(value, "cache_clear") and getattr(value, "__module__", "").startswith(_OF_FILES):
                    value.cache_clear()


_OF_FILES = ("empirical.data", "empirical.evidence.published")


_allowed: list[str] = []  # folders in which the process may write; none: everywhere
_denied: list[str] = []  # what it would have written elsewhere, were it let
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
CHANGES = ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.chmod", "os.truncate")


def _guard(event: str, arguments: tuple[Any, ...]) -> None:
    """An audit hook: what a nonsensical name would write elsewhere on this machine is forbidden, as to most users."""
    if not _allowed or not (event == "open" or event in CHANGES):
        return
    named = arguments[:2] if event in ("os.rename", "os.link") else arguments[:1]
    if event == "open" and not (isinstance(arguments[2], int) and arguments[2] & WRITES):
        return
    for name in named:
        if isinstance(name, str | bytes | os.PathLike):
            place = os.path.join(os.path.realpath(os.path.dirname(os.path.abspath(os.fsdecode(name)))), "")
            if not place.startswith(tuple(_allowed)):
                _denied.append(os.fsdecode(name))
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), os.fsdecode(name))


sys.addaudithook(_guard)


@contextmanager
def _confined(folder: Path) -> Iterator[None]:
    """Within it nothing is written outside a folder, but for devices and what libraries keep."""
    own = os.path.join(os.path.expanduser("~"), "")
    _denied.clear()
    _allowed[:] = [os.path.join(os.path.realpath(folder), ""), "/dev/shm/", f"{own}.cache/", f"{own}.config/"]
    try:
        yield
    finally:
        _allowed.clear()


@contextmanager
def _limited() -> Iterator[None]:
    """Within it memory is limited: a size that is absurd is an error, and no other process is killed for it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _stack(frame: Any) -> list[Any]:
    """The code of all frames from this one up."""
    found = []
    while frame is not None:
        found.append(frame.f_code)
        frame = frame.f_back
    return found


@contextmanager
def _watched() -> Iterator[None]:
    """Within it work that has begun is cut short, and a call that hangs ends."""
    started, worked = time.monotonic(), time.process_time()

    def look(_: int, frame: Any) -> None:
        used = time.process_time() - worked
        names = _stack(frame)
        if any(code.co_name in ("_find_and_load", "gc_callback", "__del__") for code in names):
            return  # a module that is imported by half stays so; an exception in the others is lost
        begun = any(code.co_name == name and code.co_filename.endswith(file) for code in names for file, name in WORK)
        holds = names[0].co_filename.endswith(("threading.py", "_base.py", "thread.py"))  # perhaps a lock, for good
        if begun and used > SOON and not holds:
            raise Begun
        if used > HANG or time.monotonic() - started > WAIT:
            raise Hang

    before = signal.signal(signal.SIGALRM, look)
    signal.setitimer(signal.ITIMER_REAL, TICK, TICK)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
