"""One engine for all runs: a function on many items, in this process or in others (``theory.workers`` chooses).

Function, items and results are pickled, so the function is one of a module. A task may tell how far it is
(``report``) and may be asked to save and leave (``stoppable``).
"""

from __future__ import annotations

import multiprocessing
import os
import queue
import signal
import sys
import threading
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import wait
from typing import Any, TypeVar

from theory.checks import ParameterError
from theory.streams import tolerant

PATIENCE = 60  # seconds that a run has to save when it is asked to leave
GRACE = 7  # the same where nobody waits for it: its main process has gone
ALONE = {name: "1" for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
STOPPED = 128 + signal.SIGTERM  # exit code of a process that was asked to leave
PR_SET_PDEATHSIG = 1  # of prctl(2): the signal that a process gets when its parent ends
T = TypeVar("T")
R = TypeVar("R")
Heard = Callable[[int, float], None]  # of which item how much is done

# --- inside a task ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Caller:
    """Who waits for the task that runs here: a name, and what takes its reports."""

    name: str
    heard: Callable[[float], None]


_caller: ContextVar[Caller | None] = ContextVar("caller", default=None)
_stoppable: list[tuple[str, Callable[[], None]]] = []
_stopped: set[str] = set()  # names of callers that have asked


def report(done: float) -> None:
    """Tell the main process how much of the task is done, in units of its bar."""
    caller = _caller.get()
    if caller is not None:
        caller.heard(done)


def in_task() -> bool:
    """Whether this is part of a task, which a pool does for a caller."""
    return _caller.get() is not None


@contextmanager
def stoppable(request: Callable[[], None]) -> Iterator[None]:
    """Within it a request to stop calls ``request``; without it, it ends the process.

    The task then saves and raises SystemExit. Requests are SIGTERM and, in a thread of a Dask worker,
    ``ask_to_stop``.
    """
    caller = _caller.get()
    name = "" if caller is None else caller.name
    entry = (name, request)
    try:
        before = signal.signal(signal.SIGTERM, lambda *_: request())
    except ValueError:  # not in the main thread
        before = None
    _stoppable.append(entry)
    if name in _stopped:
        request()
    try:
        yield
    finally:
        _stoppable.remove(entry)
        if before is not None:
            signal.signal(signal.SIGTERM, before)


def ask_to_stop(name: str | None = None) -> int:
    """Ask this process's stoppable tasks, those of one caller or all, to save and leave; how many there are."""
    if name is not None:
        _stopped.add(name)  # a task that is not stoppable yet will be told
    asked = [request for caller, request in list(_stoppable) if name in (None, caller)]
    for request in asked:
        request()
    return len(asked)


def perform(function: Callable[[T], R], item: T, caller: Caller) -> R:
    """Do one task for a caller."""
    token = _caller.set(caller)
    try:
        return function(item)
    finally:
        _caller.reset(token)


# --- pools -----------------------------------------------------------------------------------------


def _ignore(index: int, done: float) -> None:
    pass


class Pool(ABC):
    """Where tasks are done; see ``theory.workers``."""

    @abstractmethod
    def unordered(
        self, function: Callable[[T], R], items: Iterable[T], heard: Heard = _ignore
    ) -> Iterator[tuple[int, R]]:
        """Results with their items' indices, as they come; ``heard`` takes what tasks ``report``."""

    def map(self, function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        """Results in the order of the items, each as soon as it and all before it are there."""
        early: dict[int, R] = {}
        following = 0
        for index, result in self.unordered(function, items):
            early[index] = result
            while following in early:
                yield early.pop(following)
                following += 1

    def run(
        self, function: Callable[[T], object], items: Sequence[T], sizes: Sequence[int], finished: int = 0, **bar: Any
    ) -> None:
        """Do all tasks under one bar that counts over all workers.

        Parameters
        ----------
        function, items
        sizes : sequence of int
            Of the tasks, in the units in which they ``report``.
        finished : int
            What had been done before.
        **bar
            Of ``theory.bars.Bar``: ``desc``, ``unit``.
        """
        from theory.bars import Bar

        done: list[float] = [0] * len(items)
        with Bar(total=sum(sizes) + finished, initial=finished, **bar) as shown:

            def advance(index: int, amount: float) -> None:
                done[index] = max(amount, done[index])  # a task that begins again has been counted
                shown.update(sum(done) + finished - shown.n)

            for index, _ in self.unordered(function, items, advance):
                advance(index, sizes[index])

    def interrupt(self) -> None:
        """Let the tasks in progress save, and do no other."""
        return  # where tasks run in this process, the interruption has reached them


class Here(Pool):
    """This process, with all its threads."""

    def unordered(
        self, function: Callable[[T], R], items: Iterable[T], heard: Heard = _ignore
    ) -> Iterator[tuple[int, R]]:
        for index, item in enumerate(items):
            yield index, perform(function, item, Caller("", partial(heard, index)))


HERE = Here()


class Remote(Pool):
    """Other processes: what their tasks report and return comes through one queue for each call."""

    lost: tuple[type[BaseException], ...] = ()  # errors of the engine rather than of a task

    def __init__(self) -> None:
        self._inboxes: dict[str, queue.SimpleQueue[tuple[int, Any]]] = {}
        self.pending: dict[tuple[str, int], Any] = {}  # futures whose results have not been taken

    @abstractmethod
    def submit(self, call: str, index: int, function: Callable[[T], R], item: T) -> Any:
        """The future of one task."""

    def result(self, future: Any) -> Any:
        """What a finished future brings."""
        return future.result()

    @abstractmethod
    def explain(self, error: BaseException) -> str:
        """What a user needs to know about an error of the engine."""

    def deliver(self, call: str, index: int, event: Any) -> None:
        """Take a report or a finished future; those of a call that has ended are dropped."""
        inbox = self._inboxes.get(call)
        if inbox is not None:
            inbox.put((index, event))

    def unordered(
        self, function: Callable[[T], R], items: Iterable[T], heard: Heard = _ignore
    ) -> Iterator[tuple[int, R]]:
        call, left = uuid.uuid4().hex, 0
        inbox = self._inboxes.setdefault(call, queue.SimpleQueue())
        try:
            for index, item in enumerate(items):
                future = self.pending[call, index] = self.submit(call, index, function, item)
                future.add_done_callback(partial(self.deliver, call, index))
                left += 1
            while left:
                index, event = inbox.get()
                if isinstance(event, int | float):
                    heard(index, event)
                else:
                    left -= 1
                    yield index, self.result(self.pending.pop((call, index)))
        except self.lost as error:
            raise ParameterError(self.explain(error)) from error
        finally:
            del self._inboxes[call]


class Processes(Remote):
    """Single-threaded worker processes on this machine.

    Parameters
    ----------
    jobs : int
    """

    lost = (BrokenProcessPool,)

    def __init__(self, jobs: int) -> None:
        super().__init__()
        self._before = {name: os.environ.get(name) for name in ALONE}
        os.environ.update(ALONE)  # read when a worker imports its libraries
        context = multiprocessing.get_context("spawn")
        self._reports = context.Queue()
        self._executor = ProcessPoolExecutor(jobs, context, _start, (self._reports,))
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        for message in iter(self._reports.get, None):
            self.deliver(*message)

    def submit(self, call: str, index: int, function: Callable[[T], R], item: T) -> Any:
        return self._executor.submit(_perform_alone, call, index, function, item)

    def explain(self, error: BaseException) -> str:
        return "a worker was killed (out of memory?); the same command goes on from here"

    def interrupt(self) -> None:
        processes = list((self._executor._processes or {}).values())
        for process in processes:
            process.terminate()
        for process in processes:
            process.join(PATIENCE)
            process.kill()

    def close(self) -> None:
        """End the processes."""
        self._executor.shutdown(cancel_futures=True)
        self._reports.put(None)
        self._listener.join(1)  # in vain if a worker was killed while it reported
        _restore(self._before)


def _restore(variables: Mapping[str, str | None]) -> None:
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


# --- in a worker process ---------------------------------------------------------------------------

_reports: Any = None  # the queue to the main process


def _start(reports: Any) -> None:
    global _reports
    _reports = reports
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the main process decides
    end_with_parent()
    tolerant().__enter__()  # for as long as it lives


def end_with_parent(saves: bool = True) -> None:
    """Let this process end with the one that started it, however that ends, in 10 s at most.

    Linux tells it of that even within a call that holds Python's lock; elsewhere, and as well, a thread waits.

    Parameters
    ----------
    saves : bool
        It is asked, as by SIGTERM, and has 7 s to save; otherwise it ends at once.
    """
    kill = getattr(signal, "SIGKILL", signal.SIGTERM)  # Windows has one kind of end
    first = signal.SIGTERM if saves else kill
    if sys.platform == "linux":
        import ctypes

        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, first)
    threading.Thread(target=_leave_with_parent, args=(first, kill, os.getppid()), daemon=True).start()


def _leave_with_parent(first: int, last: int, parent: int) -> None:
    known = multiprocessing.parent_process()
    if known is not None:
        wait([known.sentinel])
    while known is None and os.getppid() == parent:
        time.sleep(1)
    os.kill(os.getpid(), first)
    time.sleep(GRACE)
    os.kill(os.getpid(), last)


def _perform_alone(call: str, index: int, function: Callable[[T], R], item: T) -> R:
    from threadpoolctl import threadpool_limits

    try:
        with threadpool_limits(1):
            return perform(function, item, Caller(call, lambda done: _reports.put((call, index, done))))
    except SystemExit:  # the task has saved; the executor would take the next one
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(STOPPED)
