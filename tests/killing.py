"""Commands that are killed at a chosen write: a server that starts each in a process of its own, libraries loaded.

``python -m tests.killing`` reads calls from its input, one JSON object a line, and answers each with the process's
number, and then how it ended and the writes that it came to. What is killed is the product as it is: the functions of
``os`` by which it writes are replaced in the process before its ``main`` is called.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[1]
WRITES = ("replace", "fsync", "unlink", "mkdir", "rmdir", "open")
LIBRARIES = ("torch", "torchvision", "lightning_fabric", "pandas", "pyarrow", "scipy.stats", "sklearn.linear_model")
LIBRARIES += ("sklearn.cluster", "matplotlib.pyplot", "jinja2", "tqdm")


class Ended(NamedTuple):
    """How a command ended: its exit code, or minus the signal, what it had said, and the writes that it came to."""

    code: int
    said: str
    writes: list[str]


class Server:
    """Commands of this test, each in a process of its own.

    Parameters
    ----------
    modules : list of str
        Which are loaded before.
    """

    def __init__(self, modules: list[str]) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "TQDM_DISABLE": "1", "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", "tests.killing", *modules]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, text=True)

    @contextmanager
    def started(self, folder: Path, module: str, *arguments: object, fatal: int | None = None) -> Any:
        """A command that runs in a folder within the block, in which its process may be killed.

        Yields its number and a list to which its ``Ended`` is added.
        """
        call = {"folder": str(folder), "module": module, "arguments": list(map(str, arguments)), "fatal": fatal}
        self._say(call)
        ended: list[Ended] = []
        yield self._hear()["pid"], ended
        ended.append(Ended(**self._hear()))

    def run(self, folder: Path, module: str, *arguments: object, fatal: int | None = None) -> Ended:
        """Run a command in a folder to its end, or until it is about to write for the ``fatal``-th time."""
        with self.started(folder, module, *arguments, fatal=fatal) as (_, ended):
            pass
        return ended[0]

    def close(self) -> None:
        """End it."""
        self._process.communicate()

    def _say(self, call: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(call) + "\n")
        self._process.stdin.flush()

    def _hear(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        return dict(json.loads(self._process.stdout.readline()))


# --- in the server ---------------------------------------------------------------------------------


def _serve(answers: Any) -> None:
    for line in sys.stdin:
        call = json.loads(line)
        reader, writer = os.pipe()
        said = os.memfd_create("said")
        pid = os.fork()
        if pid == 0:
            os.close(reader)
            _call(writer, said, **call)
        os.close(writer)
        _answer(answers, {"pid": pid})
        with open(reader, encoding="utf-8") as pipe:
            heard = pipe.read()
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        os.lseek(said, 0, os.SEEK_SET)
        text = os.read(said, 1 << 20).decode(errors="replace")
        os.close(said)
        _answer(answers, {"code": code, "said": text, "writes": heard.splitlines()})


def _answer(answers: Any, document: dict[str, Any]) -> None:
    answers.write(json.dumps(document) + "\n")
    answers.flush()


def _call(writer: int, said: int, folder: str, module: str, arguments: list[str], fatal: int | None) -> None:
    """Never returns."""
    code = 70
    try:
        os.chdir(folder)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(said, 1)
        os.dup2(said, 2)
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115 - for good
        for name in WRITES:
            _watch(name, writer, fatal)
        code = importlib.import_module(f"{module}.__main__").main(arguments)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(code)


count = 0


def _watch(name: str, writer: int, fatal: int | None) -> None:
    """Tell of each call of a function of ``os`` that writes, and die before the ``fatal``-th of all."""
    original = getattr(os, name)

    def watched(*args: Any, **kwargs: Any) -> Any:
        global count
        if name != "open" or args[1] & os.O_CREAT:
            count += 1
            path = os.path.basename(str(args[0])).removesuffix(f".{os.getpid()}")
            os.write(writer, f"{name} {path}\n".encode())
            if count == fatal:
                os.kill(os.getpid(), signal.SIGKILL)
        return original(*args, **kwargs)

    setattr(os, name, watched)


if __name__ == "__main__":
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for library in (*LIBRARIES, *(f"{module}.__main__" for module in sys.argv[1:])):
        importlib.import_module(library)
    _serve(answers)
