"""Where tasks run: in this process, in worker processes or on a Dask cluster.

with workers(jobs=4) as pool:
    for result in pool.map(function, items):
        ...
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from pathlib import Path

from theory.checks import JOBS, ParameterError, require
from theory.engine import HERE, STOPPED, Pool, Processes
from theory.locks import locked


@contextmanager
def workers(jobs: int = 1, scheduler: str | None = None, out: Path | None = None) -> Iterator[Pool]:
    """A pool for the time of a ``with`` block; Ctrl-C and SIGTERM let its tasks save.

    Parameters
    ----------
    jobs : int
        Single-threaded worker processes on this machine; 1 is this process, with all its threads.
    scheduler : str, optional
        A Dask cluster instead: ``local:N`` starts one of N workers for the time of the block, an address
        (``tcp://host:8786``) or the name of a scheduler's file uses a running one. A task whose worker is lost
        is done again by another.
    out : Path, optional
        The folder into which tasks write, ``locked`` for the time of the block: all workers of the cluster must see it.

    Yields
    ------
    Pool

    Raises
    ------
    ParameterError
        If jobs is no integer from 1 to 1024, another process has the folder, there is no such cluster, or one of its
        workers has another version of this package or does not see the folder; later, if a worker is killed or the
        cluster is lost.
    SystemExit
        With code 143, on SIGTERM.
    """
    JOBS.require("jobs", jobs)
    require(scheduler is None or jobs == 1, "jobs", jobs, "no --jobs beside --scheduler")
    lock: AbstractContextManager[Path | None] = nullcontext() if out is None else locked(out)
    with _leaving_on_request(), lock as seen, _pool(jobs, scheduler, seen) as pool:
        try:
            yield pool
        except BaseException:
            pool.interrupt()
            raise


def _pool(jobs: int, scheduler: str | None, seen: Path | None) -> AbstractContextManager[Pool]:
    if scheduler is None:
        return nullcontext(HERE) if jobs == 1 else closing(Processes(jobs))
    try:
        from theory.cluster import connected
    except ModuleNotFoundError as error:
        missing = "an installed Dask: pip install 'difficult-examples[cluster]'"
        raise ParameterError("scheduler", scheduler, missing) from error
    return connected(scheduler, seen)


@contextmanager
def _leaving_on_request() -> Iterator[None]:
    def leave(*_: object) -> None:
        raise SystemExit(STOPPED)

    try:
        before = signal.signal(signal.SIGTERM, leave)
    except ValueError:  # not in the main thread: nobody can ask
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
