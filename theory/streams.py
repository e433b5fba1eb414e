"""Lines that any terminal, pipe or file can take: a character that it lacks is spelled, a closed one is left alone."""

from __future__ import annotations

import codecs
import os
import re
import sys
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO

SPELLED = "spelled"  # name of the error handler of encodings
SPELLINGS = {
    "−": "-",
    "–": "-",
    "—": "-",
    "·": "*",
    "⋅": "*",
    "×": "x",
    "±": "+/-",
    "≤": "<=",
    "≥": ">=",
    "≠": "!=",
    "≈": "~",
    "∝": "~",
    "∞": "inf",
    "√": "sqrt ",
    "‖": "|",
    "∘": "o",
    "∫": "int ",
    "∈": " in ",
    "⌈": "ceil(",
    "⌉": ")",
    "⌊": "floor(",
    "⌋": ")",
    "§": "section ",
    "→": "->",
    "↦": "->",
    "←": "<-",
    "⇔": "<=>",
    "′": "'",
    "‘": "'",
    "’": "'",
    "“": '"',
    "”": '"',
    "⁄": "/",
    "\u0302": "^",  # the hat of an estimate
    "\u0303": "~",
    "\u0304": "_bar",
}
MARKS = {"<super>": "^", "<sub>": "_"}  # of decompositions, such as that of ²


def spelled(character: str) -> str:
    """A character in ASCII: the name of a Greek letter, its parts, or else its number."""
    if character.isascii():
        return character
    if character in SPELLINGS:
        return SPELLINGS[character]
    if greek := re.fullmatch(r"GREEK (SMALL|CAPITAL) LETTER (?:FINAL )?([A-Z]+)", unicodedata.name(character, "")):
        letter = greek[2].lower().replace("lamda", "lambda")
        return letter if greek[1] == "SMALL" else letter.capitalize()
    parts = unicodedata.decomposition(character).split()
    if parts:
        mark = MARKS.get(parts[0], "")
        return mark + "".join(spelled(chr(int(part, 16))) for part in parts if not part.startswith("<"))
    if unicodedata.combining(character):
        return ""
    byte = ord(character) - 0xDC00  # what stands for a byte of a file's name that is no text
    if 0x80 <= byte <= 0xFF:
        return f"\\x{byte:02x}"
    return character.encode("ascii", "backslashreplace").decode()


def _spell(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    found = "".join(map(spelled, error.object[error.start : error.end]))
    return found.replace("^-^", "^-"), error.end  # ⁻⁸ is one exponent


codecs.register_error(SPELLED, _spell)


@contextmanager
def tolerant() -> Iterator[None]:
    """For the time of a command, spell what an output's encoding lacks."""
    before: list[tuple[Any, str]] = []
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # not in a notebook, which takes everything
            before.append((stream, stream.errors or "strict"))
            with suppress(OSError, ValueError):  # it is flushed, and may be closed
                stream.reconfigure(errors=SPELLED)
    try:
        yield
    finally:
        for stream, errors in before:
            with suppress(OSError, ValueError):
                stream.reconfigure(errors=errors)


def one_line(text: str) -> str:
    """A text on one line: what would break it, or move a terminal's cursor, is escaped."""
    return "".join(c if c.isprintable() or 0xD800 <= ord(c) <= 0xDFFF else repr(c)[1:-1] for c in text)


def say(line: str) -> None:
    """Print a line on stderr, if anybody listens."""
    if sys.stderr is not None:
        try:
            print(line, file=sys.stderr, flush=True)
        except (OSError, ValueError):
            _abandon(sys.stderr)


def finish() -> OSError | None:
    """Write what has been printed; the error, if that cannot be written and is dropped."""
    if sys.stdout is None:  # it was closed when the process began
        return None
    try:
        sys.stdout.flush()
    except OSError as error:
        _abandon(sys.stdout)
        return error
    except ValueError:  # it has been closed since
        return None
    return None


def _abandon(stream: TextIO) -> None:
    """Let nobody see what is still to come, nor an error of it when the process ends."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
