"""What was read: the line that every command prints and stores about its data."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from theory.checks import printable
from theory.files import write_json

READING = "reading.json"  # beside the results of a run
NAMED = 3  # examples that a note gives


@dataclass(frozen=True)
class Note:
    """Something that happened to samples or files.

    Parameters
    ----------
    count : int
        To how many.
    what : str
        What they are, in words that follow the number.
    names : tuple of str
        Some of them.
    """

    count: int
    what: str
    names: tuple[str, ...] = ()

    def __str__(self) -> str:
        more = ", …" if self.count > len(self.names) else ""
        names = ", ".join(map(printable, self.names))
        return f"{self.count:,} {self.what}" + (f" ({names}{more})" if self.names else "")


def note(names: Iterable[object], one: str, many: str) -> Note:
    """A note about things with names: ``one`` in words for a single one, ``many`` for several."""
    found = [str(name) for name in names]
    return Note(len(found), one if len(found) == 1 else many, tuple(found[:NAMED]))


def counted(count: int, one: str, many: str) -> Note:
    """A note about things without names."""
    return Note(count, one if count == 1 else many)


def present(*notes: Note) -> tuple[Note, ...]:
    """Those that are about something."""
    return tuple(note for note in notes if note.count)


@dataclass(frozen=True)
class Reading:
    """What was read, what was not, and what became of it.

    Parameters
    ----------
    source : str
        Where from.
    samples : int
    classes : tuple of str
        Names of the classes; empty without labels.
    skipped : tuple of Note
        What was left out, and why.
    converted : tuple of Note
        What was read as something else.
    noted : tuple of Note
        What stayed and should be known, such as exact copies.
    parts : tuple of Note
        Of the samples, such as those to train and to test on.
    """

    source: str
    samples: int
    classes: tuple[str, ...] = ()
    skipped: tuple[Note, ...] = ()
    converted: tuple[Note, ...] = ()
    noted: tuple[Note, ...] = ()
    parts: tuple[Note, ...] = ()

    @property
    def line(self) -> str:
        """All of it in one line."""
        whole = f"{self.samples:,} samples" + (f" ({_joined(self.parts)})" if self.parts else "")
        kinds = note(self.classes, "class", "classes") if self.classes else None
        found = [f"read {self.source}: " + (f"{kinds}, " if kinds else "") + whole]
        for kind, notes in (("skipped", self.skipped), ("converted", self.converted), ("noted", self.noted)):
            found += [f"{kind} {_joined(notes)}"] if notes else []
        return printable("; ".join(found))

    def with_notes(
        self, skipped: Sequence[Note] = (), converted: Sequence[Note] = (), noted: Sequence[Note] = ()
    ) -> Reading:
        """With more notes; those about nothing are left out."""
        return replace(
            self,
            skipped=self.skipped + present(*skipped),
            converted=self.converted + present(*converted),
            noted=self.noted + present(*noted),
        )

    def to_json(self) -> dict[str, Any]:
        """All of it as plain data, and in words."""
        document = {name: _plain(value) for name, value in asdict(self).items()}
        return {**document, "classes": len(self.classes), "line": self.line}

    def announce(self) -> None:
        """Print the line where messages go."""
        print(self.line, file=sys.stderr)

    def tell(self, out: Path) -> None:
        """Print the line, and write everything to a file in a folder of results."""
        self.announce()
        write_json(out / READING, self.to_json())


def announced(reading: Reading, progress: Callable[[int, int, int], None]) -> Callable[[int, int, int], None]:
    """A progress callback that prints the reading's line once, when work has begun: not before an error."""
    waiting = [reading]

    def show(done: int, steps: int, epoch: int) -> None:
        if waiting:
            waiting.pop().announce()
        progress(done, steps, epoch)

    return show


def _joined(notes: Sequence[Note]) -> str:
    return ", ".join(map(str, notes))


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return {name: _plain(item) for name, item in value.items()} if isinstance(value, dict) else value
