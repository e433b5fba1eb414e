"""A bar over what takes long."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from empirical.data.features import Mapper

SECONDS = 5  # that something takes before its bar is shown
T = TypeVar("T")


def bar(items: Iterable[T], words: str, total: int, unit: str = "part") -> Iterator[T]:
    """The items, with a bar on the error stream once they have taken five seconds."""
    from theory.bars import Bar

    return iter(Bar(items, words, total, unit=unit, delay=SECONDS, leave=False))


def shown(mapper: Mapper, words: str) -> Mapper:
    """The mapper with a bar over its items, which says what is done."""

    def mapped(function: Any, items: Iterable[Any]) -> Iterator[Any]:
        everything = list(items)
        return bar(mapper(function, everything), words, len(everything))

    return mapped
