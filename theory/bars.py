"""Bars of progress: on a terminal they are drawn in place, in a file or a pipe they are lines."""

from __future__ import annotations

import sys
from time import monotonic
from typing import Any

from tqdm import tqdm

from theory.streams import say

SECONDS = 10.0  # between two lines of a bar
SHARE = 0.01  # of the whole, between two lines of a bar that knows it


class Bar(tqdm):  # type: ignore[misc]  # tqdm has no types
    """A tqdm bar on the error stream, which where that is no terminal prints lines instead.

    A line comes no sooner than 10 seconds after the one before, nor before another hundredth of the whole is done,
    so that no log has more than about a hundred of a bar; and one when the bar is closed, if anything was done and
    the bar is to stay (``leave``). No line holds a carriage return.

    Parameters
    ----------
    iterable : iterable, optional
    desc : str, optional
    total : float, optional
    initial : float
    **kwargs
        As for tqdm, but for ``file``.
    """

    def __init__(
        self,
        iterable: Any = None,
        desc: str | None = None,
        total: float | None = None,
        initial: float = 0,
        **kwargs: Any,
    ) -> None:
        self.lines = sys.stderr is None or not sys.stderr.isatty()
        self._told = monotonic(), initial  # when the last line was, and how much was done
        if self.lines:
            kwargs |= {"ncols": 0, "mininterval": SECONDS}
        if sys.stderr is None:  # closed since the process began
            kwargs["disable"] = True
        super().__init__(iterable, desc, total, initial=initial, **kwargs)

    def display(self, msg: str | None = None, pos: int | None = None) -> bool:
        """Draw the bar, or print a line if it is time for one."""
        if not self.lines:
            return bool(super().display(msg, pos))
        (when, done), now = self._told, monotonic()
        if now - when >= SECONDS and self.n > done and self.n - done >= SHARE * (self.total or 0):
            self._tell()
        return False

    def clear(self, *args: Any, **kwargs: Any) -> None:
        """Take the bar away for a message; lines stay."""
        if not self.lines:
            super().clear(*args, **kwargs)

    def close(self) -> None:
        """Draw the bar for the last time, or print its last line."""
        if self.lines and not self.disable:
            if self.leave is not False and self.n > self._told[1]:
                self._tell()
            self.leave: bool | None = False  # tqdm would end the line
        super().close()

    def _tell(self) -> None:
        self._told = monotonic(), self.n
        say(str(self))
