"""A Dask cluster as the engine's workers; needs the extra ``cluster``."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import pickle
import re
import signal
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import dask
from distributed import Client, KilledWorker, LocalCluster, Reschedule, Security, WorkerPlugin, get_worker, rpc

from theory.checks import JOBS, ParameterError, require
from theory.engine import PATIENCE, Caller, Remote, ask_to_stop, end_with_parent, perform
from theory.files import read_json

ANSWER = 10  # seconds that a scheduler has to answer
PACKAGE = "difficult-examples"
ADDRESS = re.compile(r"(tcp|tls|ws|wss|ucx)://\S+:\d{1,5}")
FORMS = "local:N with N >= 1, an address such as tcp://host:8786, or a scheduler's file"
T = TypeVar("T")
R = TypeVar("R")

# --- connecting ------------------------------------------------------------------------------------


@contextlib.contextmanager
def connected(scheduler: str, seen: Path | None = None) -> Iterator[Cluster]:
    """The cluster behind ``--scheduler``, its workers checked; see ``theory.workers.workers``.

    Parameters
    ----------
    scheduler : str
    seen : Path, optional
        A file in the folder of ``--out``, which all workers must see.
    """
    with _client(scheduler) as client:
        cluster = Cluster(client, scheduler, None if seen is None else seen.absolute())
        cluster.require_admitted()
        yield cluster


def _client(scheduler: str) -> contextlib.AbstractContextManager[Client]:
    if not scheduler.startswith("local:"):
        return _running(_address(scheduler), scheduler)
    number = scheduler.removeprefix("local:")
    require(bool(re.fullmatch(r"[1-9][0-9]{0,8}", number)), "scheduler", scheduler, FORMS)
    JOBS.require("workers of the scheduler", int(number))
    return _embedded(int(number))


def _address(scheduler: str) -> str:
    """The address that was given, or that stands in the scheduler's file that was given."""
    if ADDRESS.fullmatch(scheduler):
        return scheduler
    path = Path(scheduler)
    require(path.is_file(), "scheduler", scheduler, FORMS)
    try:
        address = read_json(path, "address")["address"]
    except ParameterError as error:
        raise ParameterError("scheduler", scheduler, "a scheduler's file: JSON with an address") from error
    require(bool(ADDRESS.fullmatch(str(address))), f"address in {path}", address, "an address such as tcp://host:8786")
    return str(address)


@contextlib.contextmanager
def _running(address: str, scheduler: str) -> Iterator[Client]:
    try:
        kind = asyncio.run(asyncio.wait_for(_identity(address), ANSWER))
    except Exception as error:  # sockets, names and protocols fail in many ways
        raise ParameterError("scheduler", scheduler, f"a scheduler that answers within {ANSWER} s") from error
    require(kind == "Scheduler", "scheduler", scheduler, f"the address of a scheduler, not of a {kind}")
    with Client(address, set_as_default=False) as client:
        yield client


async def _identity(address: str) -> str:
    """Who answers there. A client would wait for ever where a port is open but nobody speaks."""
    async with rpc(address, connection_args=Security().get_connection_args("client")) as other:
        return str((await other.identity())["type"])


@contextlib.contextmanager
def _embedded(workers: int) -> Iterator[Client]:
    # Not daemonic, so that a run may have processes that read images.
    quiet = {"silence_logs": logging.CRITICAL, "dashboard_address": ":0"}
    with (
        dask.config.set({"distributed.worker.daemon": False}),
        LocalCluster(n_workers=workers, threads_per_worker=1, memory_limit=0, **quiet) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        client.register_plugin(_LeaveToMain())
        yield client


class _LeaveToMain(WorkerPlugin):
    """Ctrl-C and SIGTERM reach every process of a terminal or job: the main one decides, the workers' runs save."""

    def setup(self, worker: Any) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, lambda *_: ask_to_stop())
        end_with_parent(saves=False)  # as Dask's own watch does, which a call that holds Python's lock keeps waiting


# --- on a worker -----------------------------------------------------------------------------------

_alone = threading.Lock()  # a run has the process's signals, seeds and folder to itself


def _errand(expected: str, folder: str, probe: str | None) -> Callable[..., tuple[str | None, Any]]:
    """What a worker does with a task: complain, or do it; without a task it may only complain.

    A function within a function is sent as it is rather than by name: another version need not know it.
    """

    def complaint() -> str | None:
        from importlib.metadata import PackageNotFoundError, version
        from pathlib import Path

        try:
            found = version("difficult-examples")
        except PackageNotFoundError:
            found = "not installed"
        if found != expected:
            return f"has difficult-examples {found}, this is {expected}"
        for purpose, path in (("the working folder", folder), ("the folder of --out", probe)):
            if path is not None and not Path(path).exists():
                return f"does not see {purpose}: there is no {path}"
        return None

    def errand(*task: Any, dask_worker: Any = None) -> tuple[str | None, Any]:
        from distributed import get_worker

        found = complaint()
        if found is not None:
            return f"worker {(dask_worker or get_worker()).address} {found}", None
        if not task:
            return None, None
        from theory.cluster import perform_here

        return None, perform_here(*task)

    return errand


def perform_here(name: str, call: str, index: int, folder: str, content: bytes) -> Any:
    """Do a task on this worker; its relative paths are those of the main process.

    Parameters
    ----------
    name, call, index
        Of the cluster, of the call of ``unordered`` and of the item.
    folder : str
        Where the main process runs.
    content : bytes
        Function and item, pickled.
    """
    from threadpoolctl import threadpool_limits

    worker = get_worker()
    function, item = pickle.loads(content)
    caller = Caller(name, lambda done: worker.log_event(name, [call, index, done]))
    with _alone, threadpool_limits(1), contextlib.chdir(folder):
        try:
            return perform(function, item, caller)
        except SystemExit as stopped:  # it has saved, and goes on elsewhere, unless it has been cancelled
            raise Reschedule from stopped


# --- in the main process ---------------------------------------------------------------------------


class Cluster(Remote):
    """Workers of a Dask cluster.

    Parameters
    ----------
    client : Client
    scheduler : str
        What the user calls it.
    probe : Path or None
        A file that all workers must see.
    """

    lost = (KilledWorker, CancelledError)

    def __init__(self, client: Client, scheduler: str, probe: Path | None) -> None:
        super().__init__()
        self._client, self._scheduler = client, scheduler
        self._name, self._folder = f"{PACKAGE}-{uuid.uuid4().hex}", os.getcwd()
        self._errand = _errand(version(PACKAGE), self._folder, None if probe is None else str(probe))
        client.subscribe_topic(self._name, lambda event: self.deliver(*event[1]))

    def require_admitted(self) -> None:
        """Raise ParameterError unless every worker has this version and sees the folders."""
        for worker, answer in self._client.run(self._errand, on_error="return").items():
            if isinstance(answer, Exception):
                raise ParameterError(f"worker {worker} cannot be asked: {answer!r}")
            _require_no(answer[0])

    def submit(self, call: str, index: int, function: Callable[[T], R], item: T) -> Any:
        task = (self._name, call, index, self._folder, pickle.dumps((function, item)))
        return self._client.submit(self._errand, *task, key=f"{PACKAGE}-{call}-{index}", pure=False)

    def result(self, future: Any) -> Any:
        complaint, result = future.result()
        _require_no(complaint)
        return result

    def explain(self, error: BaseException) -> str:
        if isinstance(error, KilledWorker):
            lost = f"a task lost {error.allowed_failures + 1} workers, one after the other (out of memory?)"
        else:
            lost = f"the scheduler {self._scheduler} was lost"
        return f"{lost}; the same command goes on from here"

    def interrupt(self) -> None:
        if self._client.status != "running":
            return
        self._client.cancel(list(self.pending.values()))
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            if not any(self._client.run(ask_to_stop, self._name, on_error="ignore").values()):
                break
            time.sleep(0.1)


def _require_no(complaint: str | None) -> None:
    if complaint is not None:
        raise ParameterError(complaint)
