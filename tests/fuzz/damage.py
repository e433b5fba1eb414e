"""Strategies of damaged files, by their kind."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st

ODD = (
    None, True, False, 0, -1, 1, 2, 0.5, -0.5, 1e308, -1e308, 10**40, -(10**40), float("nan"), float("inf"),
    float("-inf"), "", "x", "1", "\n", "\x00", "=1+1", "../../x", [], {}, [[]], [None], {"x": None}, [1e308] * 3,
    "a" * 5000, [0] * 1000,
)  # fmt: skip
SCALARS = tuple(value for value in ODD if not isinstance(value, list | dict))


def damaged(name: str) -> st.SearchStrategy[bytes | None]:
    """What may lie in place of a file: damaged as bytes, or as what it is."""
    content = original(name)
    own = BY_SUFFIX.get(Path(name).suffix)
    strategies = [raw(content)]
    if own is not None:
        strategies += [own(content)] * 3
    return st.one_of(strategies)


FOLDER: list[Path] = []


@cache
def original(name: str) -> bytes:
    """A file's content in the material."""
    return (FOLDER[0].with_name(FOLDER[0].name + ".pristine") / name).read_bytes()


# --- any file --------------------------------------------------------------------------------------

WHOLE: tuple[bytes | None, ...] = (
    None, b"", b"\n", b"\x00" * 64, b"\xff\xfe", b"PK\x03\x04", b"PK\x05\x06" + b"\x00" * 18, b"\x93NUMPY",
    b"\x80\x04.", b"[" * 100_000, b"{" * 10, b'{"a":' * 50_000, b"a = " + b"[" * 20_000, b"a." * 20_000 + b"b = 1",
    b"null", b"[]", b"{}", b"1", b'"x"', b"NaN", b"1e400", b"9" * 5000, b"a = " + b"9" * 5000, b"a,b\n1,2\n", b"a\n\"",
    "ü".encode("latin-1"), b"\xef\xbb\xbf{}", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"<svg/>",
)  # fmt: skip


@st.composite
def raw(draw: Any, content: bytes) -> bytes | None:
    """Bytes that are cut, changed or added, or another file."""
    kind = draw(st.sampled_from(("whole", "cut", "flip", "flip", "add", "twice")))
    if kind == "whole":
        return draw(st.sampled_from(WHOLE))
    if kind == "twice":
        return content * 2
    at = draw(st.integers(0, max(0, len(content) - 1)))
    if kind == "cut":
        return content[:at]
    if kind == "add":
        return content[:at] + draw(st.binary(min_size=1, max_size=8)) + content[at:]
    found = bytearray(content)
    for _ in range(draw(st.integers(1, 4)) if content else 0):
        found[draw(st.integers(0, min(len(found) - 1, 400)))] = draw(st.integers(0, 255))
    return bytes(found)


# --- arrays ----------------------------------------------------------------------------------------

HEADERS = (
    "{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000, 6), }",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999999999, 6), }",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (-1, 6), }",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (), }",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (40.0, 6), }",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (True, 6), }",
    "{'descr': '|O', 'fortran_order': False, 'shape': (40,), }",
    "{'descr': '<f3', 'fortran_order': False, 'shape': (40, 6), }",
    "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (240,), }",
    "{'descr': '<f4', 'fortran_order': 'x', 'shape': (40, 6), }",
    "{'descr': None, 'fortran_order': False, 'shape': (40, 6), }",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (40, 6), 'x': 1}",
    "{'descr': '<f4', 'shape': (40, 6)}",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (40, 6)",
    "__import__('os').abort()",
    "(" * 3000,
    "[" * 100 + "]" * 100,
    "{1: " * 200,
    "-" * 5000 + "1",
    "",
    "\x00",
    "ü",
    "9" * 5000,
    "'" * 9000,
    "{'descr': '<f4', 'fortran_order': False, 'shape': (40, 6), }" + " " * 200_000,
)
VALUES: tuple[Callable[[np.ndarray], Any], ...] = (
    lambda a: a * np.nan,
    lambda a: np.where(np.arange(a.size).reshape(a.shape) == 0, np.nan, a),
    lambda a: np.where(np.arange(a.size).reshape(a.shape) == 0, np.inf, a),
    lambda a: np.where(np.arange(a.size).reshape(a.shape) == 0, -1, a),
    lambda a: np.where(np.arange(a.size).reshape(a.shape) == 0, 1e308, a.astype(np.float64)),
    lambda a: a.astype(np.float64) * 1e308,
    lambda a: a.astype(np.float64) * 1e-320,
    lambda a: a * 0,
    lambda a: a * 0 + 1,
    lambda a: a * 0 - 1,
    lambda a: a[:0],
    lambda a: a[:1],
    lambda a: a[:2],
    lambda a: a[:3],
    lambda a: a[:-1],
    lambda a: np.concatenate([a, a]),
    lambda a: a[None],
    lambda a: a[..., None],
    lambda a: a[..., :0],
    lambda a: a[..., 0],
    lambda a: a.T,
    lambda a: a.reshape(-1),
    lambda a: a.reshape(-1)[0],
    lambda a: a.astype(np.float16),
    lambda a: a.astype(np.complex128),
    lambda a: a.astype(bool),
    lambda a: a.astype(np.int8),
    lambda a: a.astype(np.uint64) + np.uint64(2**63),
    lambda a: a.astype(np.int64) * 2**40,
    lambda a: a.astype(str),
    lambda a: a.astype("S5"),
    lambda a: a.astype("datetime64[s]"),
    lambda a: a.astype(">f8"),
    lambda a: a.astype(np.longdouble),
    lambda a: np.asfortranarray(a),
    lambda a: np.zeros(a.shape[:1], dtype=[("x", "<f4")]),
    lambda a: np.broadcast_to(np.arange(a.shape[0] if a.ndim else 1).reshape(-1, *[1] * max(0, a.ndim - 1)), a.shape),
)


def changed(array: np.ndarray) -> st.SearchStrategy[np.ndarray]:
    """An array with something odd about it."""

    def apply(change: Callable[[np.ndarray], Any]) -> np.ndarray:
        with np.errstate(all="ignore"):
            try:
                return np.asarray(change(array))
            except (ValueError, TypeError, OverflowError):
                return array[:0] if array.ndim else array

    return st.sampled_from(VALUES).map(apply)


def npy_bytes(array: np.ndarray) -> bytes:
    """An .npy file's content; objects are pickled, which no reader may undo."""
    content = io.BytesIO()
    np.save(content, array, allow_pickle=True)
    return content.getvalue()


def with_header(header: str, content: bytes, version: int = 1) -> bytes:
    """An .npy file with any header."""
    encoded = header.encode("latin-1", "replace") + b"\n"
    length = struct.pack("<H", len(encoded) % 65536) if version == 1 else struct.pack("<I", len(encoded))
    return b"\x93NUMPY" + bytes([version, 0]) + length + encoded + content


def npy(content: bytes) -> st.SearchStrategy[bytes | None]:
    """An .npy file with a damaged header or odd values."""
    array = np.load(io.BytesIO(content))
    tail = array.tobytes()
    headers = st.builds(with_header, st.sampled_from(HEADERS), st.just(tail), st.sampled_from((1, 2, 3, 9)))
    return st.one_of(headers, changed(array).map(npy_bytes), st.just(npy_bytes(np.array([{}, None], dtype=object))))


@st.composite
def npz(draw: Any, content: bytes) -> bytes:
    """An .npz file with a member that is no array, is missing, or odd."""
    with zipfile.ZipFile(io.BytesIO(content)) as found:
        members = {name: found.read(name) for name in found.namelist()}
    name = draw(st.sampled_from(sorted(members)))
    kind = draw(st.sampled_from(("odd", "odd", "raw", "gone", "text", "more", "path", "twice", "object")))
    twice = kind == "twice"
    if kind == "odd":
        members[name] = draw(npy(members[name])) or b""
    elif kind == "raw":
        members[name] = draw(raw(members[name])) or b""
    elif kind == "gone":
        del members[name]
    elif kind == "text":
        members[name] = b"no array"
    elif kind == "more":
        members["more.txt"] = b"no array"
    elif kind == "path":
        members["../../x.npy"] = members[name]
    elif kind == "object":
        members[name] = npy_bytes(np.array([{}, None], dtype=object))
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as file:
        for member, data in members.items():
            file.writestr(member, data)
        if twice:
            file.writestr(name, members[name])
    return written.getvalue()


# --- documents -------------------------------------------------------------------------------------


@st.composite
def edited(draw: Any, document: Any, odd: tuple[Any, ...] = ODD) -> Any:
    """Plain data with one thing in it replaced, gone or added, at any depth."""
    if isinstance(document, dict) and document and draw(st.integers(0, 9)):
        key = draw(st.sampled_from(sorted(document)))
        if draw(st.integers(0, 9)):
            return {**document, key: draw(edited(document[key], odd))}
        return {name: value for name, value in document.items() if name != key}
    if isinstance(document, list) and document and draw(st.integers(0, 9)):
        at = draw(st.integers(0, min(len(document) - 1, 5)))
        if draw(st.integers(0, 9)):
            return [*document[:at], draw(edited(document[at], odd)), *document[at + 1 :]]
        return document[:at] + document[at + 1 :]
    if isinstance(document, dict) and draw(st.booleans()):
        return {**document, "odd": draw(st.sampled_from(odd))}
    return draw(st.sampled_from(odd))


def documents(content: bytes) -> st.SearchStrategy[bytes]:
    """A JSON document with something odd in it, NaN and infinity among it."""
    return edited(json.loads(content)).map(lambda found: json.dumps(found).encode())


@st.composite
def toml(draw: Any, content: bytes) -> bytes:
    """A TOML document with a line changed."""
    lines = content.decode().splitlines()
    at = draw(st.integers(0, len(lines) - 1))
    name = lines[at].partition(" = ")[0]
    value = draw(st.sampled_from(TOML))
    lines[at] = draw(
        st.sampled_from((f"{name} = {value}", f"{name} = [{value}, {value}]", "", f"[{name}]", f"odd = {value}"))
    )
    return "\n".join(lines).encode()


TOML = (
    "0", "-1", "1", "1.5", "-0.5", "nan", "inf", "-inf", "1e308", "1e-308", "9" * 18, "true", '""', '"x"', "[]", "{}",
    "[[]]", "2020-01-01", "1979-05-27T07:32:00Z", '"\\u0000"', "9" * 400, "{ a = 1 }", "[0, 1]", '"../../x"',
    '"/dev/zero"', "1e40", "10000000000", '"matched"', '"nothing"', "0.5",
)  # fmt: skip


@st.composite
def table(draw: Any, content: bytes) -> bytes:
    """A CSV table with a cell, a column or a row that is odd."""
    rows = [line.split(",") for line in content.decode().splitlines()]
    kind = draw(st.sampled_from(("cell", "cell", "cell", "name", "column", "row", "rows", "ragged", "filled")))
    column = draw(st.integers(0, len(rows[0]) - 1))
    row = draw(st.integers(1, max(1, min(len(rows) - 1, 9))))
    odd = draw(st.sampled_from(CELLS))
    if kind == "cell" and len(rows) > row:
        rows[row] = [odd if i == column else cell for i, cell in enumerate(rows[row])]
    elif kind == "name":
        rows[0][column] = odd
    elif kind == "column":
        rows = [[cell for i, cell in enumerate(line) if i != column] for line in rows]
    elif kind == "row":
        rows.insert(row, rows[row % len(rows)])
    elif kind == "rows":
        rows = rows[:row]
    elif kind == "ragged":
        rows[row % len(rows)] += [odd]
    elif kind == "filled":
        rows[1:] = [[odd if i == column else cell for i, cell in enumerate(line)] for line in rows[1:]]
    return "\n".join(map(",".join, rows)).encode("utf-8", "replace") + b"\n"


CELLS = (
    "", "x", "nan", "inf", "-inf", "1e308", "9" * 40, "-1", "0", "1.5", "True", "\x00", '"', "'", "=1+1", "ü", "a b",
)  # fmt: skip


# --- checkpoints and images ------------------------------------------------------------------------


@st.composite
def checkpoint(draw: Any, content: bytes) -> bytes:
    """A checkpoint with odd weights or settings, a key less or more."""
    import torch

    state = torch.load(io.BytesIO(content), weights_only=True)
    kind = draw(
        st.sampled_from(("weights", "weights", "settings", "settings", "gone", "odd", "more", "shape", "whole"))
    )
    if kind == "weights":
        name = draw(st.sampled_from(sorted(state["network"])))
        weight = state["network"][name]
        floats = weight.to(torch.float64)
        odd = [floats * torch.nan, floats * 0 + torch.inf, floats[:0] if weight.ndim else floats, weight.flatten()]
        odd += [floats.to(torch.complex64), weight.to(torch.int8), None, "x", floats * 1e300, weight.to(torch.float16)]
        state["network"][name] = draw(st.sampled_from(odd))
    elif kind == "settings":
        state["settings"] = draw(edited(state["settings"]))
    elif kind == "gone":
        del state[draw(st.sampled_from(sorted(state)))]
    elif kind == "odd":
        state[draw(st.sampled_from(sorted(state)))] = draw(st.sampled_from(ODD))
    elif kind == "more":
        state["network"]["odd"] = torch.zeros(3)
    elif kind == "shape":
        state["shape"] = draw(st.sampled_from(((), (1,), (3, 8), (3, 0, 0), (3, -1, 8), (1, 8, 8), (10**9, 8, 8), "x")))
    elif kind == "whole":
        state = draw(st.sampled_from((*ODD, torch.zeros(3), {"settings": {}, "network": {}, "metrics": []})))
    written = io.BytesIO()
    torch.save(state, written)
    return written.getvalue()


@st.composite
def image(draw: Any, content: bytes) -> bytes:
    """An image of another size, mode or format, or of a size that only its header has."""
    from PIL import Image

    kind = draw(st.sampled_from(("size", "mode", "format", "bomb")))
    with Image.open(io.BytesIO(content)) as opened:
        picture = opened.convert("RGB")
    if kind == "bomb":  # a huge size in IHDR, whose checksum fits
        import zlib

        side = draw(st.sampled_from((0, 1, 30_000, 2**31 - 1)))
        chunk = b"IHDR" + struct.pack(">II", side, side) + content[24:29]
        return content[:12] + chunk + struct.pack(">I", zlib.crc32(chunk)) + content[33:]
    suffix = "PNG"
    if kind == "size":
        picture = picture.resize(draw(st.sampled_from(((1, 1), (1, 64), (3, 3), (7, 8), (200, 2)))))
    elif kind == "mode":
        picture = picture.convert(draw(st.sampled_from(("1", "L", "P", "LA", "RGBA", "CMYK", "I", "F"))))
        suffix = "TIFF" if picture.mode in ("CMYK", "I", "F") else suffix
    else:
        suffix = draw(st.sampled_from(("JPEG", "GIF", "BMP", "TIFF", "WEBP", "ICO")))
    written = io.BytesIO()
    picture.save(written, suffix)
    return written.getvalue()


BY_SUFFIX: dict[str, Callable[[bytes], st.SearchStrategy[Any]]] = {
    ".npy": npy,
    ".npz": npz,
    ".json": documents,
    ".toml": toml,
    ".csv": table,
    ".pt": checkpoint,
    ".png": image,
}
