"""Tasks for the engine's tests: functions that worker processes can import."""

import ctypes
import os
import signal
import sys
import time
from pathlib import Path

from theory.checks import ParameterError
from theory.engine import report, stoppable
from theory.workers import workers


def square(x):
    """The later items are done first."""
    time.sleep(0.1 / (1 + x))
    report(1)
    return x * x


def where(_):
    return os.getpid(), os.getcwd(), os.environ.get("OMP_NUM_THREADS")


def fail(x):
    raise ParameterError("x", x, "x < 0")


def die(_):
    os.kill(os.getpid(), signal.SIGKILL)


def die_once(item):
    """Kill the first process that gets the item 3."""
    x, marker = item
    if x == 3 and not marker.exists():
        marker.touch()
        die(item)
    return x


def save_when_asked(item):
    """Say that it has begun; a minute's work, saved when asked to stop."""
    x, out = item
    asked = []
    with stoppable(lambda: asked.append(True)):
        (out / f"begun-{x}").touch()
        for _ in range(600):
            time.sleep(0.1)
            if asked:
                (out / f"saved-{x}").touch()
                raise SystemExit(143)
    return x


def save_or_fail(item):
    """Item 1 fails once item 0 has begun."""
    x, out = item
    if x == 0:
        return save_when_asked(item)
    while not (out / "begun-0").exists():
        time.sleep(0.05)
    return fail(x)


def run_until_stopped(out, **where):
    """A main process that tests interrupt."""
    out = Path(out)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which what a shell runs in the background lacks
    with workers(**where) as pool:
        try:
            print(list(pool.map(save_when_asked, [(x, out) for x in range(6)])))
        except KeyboardInterrupt:
            sys.exit(130)


def call_c(item):
    """A minute within C, which may keep Python's lock all the time."""
    x, out, locked = item
    library = ctypes.PyDLL(None) if locked else ctypes.CDLL(None)
    (out / f"begun-{x}").touch()
    library.sleep(60)


def call_c_while_stoppable(item):
    """The same where a request to stop cannot be heard before its end."""
    with stoppable(lambda: None):
        call_c(item)


def run_c(out, function, locked, **where):
    """A main process that tests kill."""
    with workers(**where) as pool:
        list(pool.map(globals()[function], [(x, Path(out), locked) for x in range(4)]))
