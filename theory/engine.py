"""Where tasks run: in this process or in several."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from typing import Any, Protocol

from theory.checks import require, require_integer


class Pool(Protocol):
    """Applies a function to items; results come in the items' order."""

    def map(self, function: Callable[[Any], Any], items: Iterable[Any], /) -> Iterator[Any]: ...


class _Here:
    def map(self, function: Callable[[Any], Any], items: Iterable[Any], /) -> Iterator[Any]:
        return map(function, items)


@contextmanager
def workers(jobs: int = 1, scheduler: str | None = None) -> Iterator[Pool]:
    """A pool of ``jobs`` processes, this one alone for ``jobs=1``."""
    jobs = require_integer("jobs", jobs, 1)
    require(scheduler is None, "scheduler", scheduler, "no scheduler: local processes only")
    if jobs == 1:
        yield _Here()
        return
    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield pool
