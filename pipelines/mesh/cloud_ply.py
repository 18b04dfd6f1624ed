"""Point clouds as PLY, by numpy: its library is GPL. And text of numbers in lines, which XYZ is too.

Elements before the points are passed over, and those behind them not looked at. Sizes that a header announces are held
against the bytes that are there before anything takes room for them.
"""

from __future__ import annotations

import io
import itertools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.core.errors import InputError
from pipelines.core.types import Cloud
from pipelines.mesh.cloud_las import MOST_POINTS, Raw, too_many

HEADER = 4_000_000  # bytes of the header, with its comments
LINE = 4096  # bytes of a line of text

_TYPES = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1", "short": "i2", "int16": "i2", "ushort": "u2",
    "uint16": "u2", "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4", "float": "f4", "float32": "f4",
    "double": "f8", "float64": "f8",
}  # fmt: skip
_ORDERS = {"binary_little_endian": "<", "binary_big_endian": ">", "ascii": ""}
_PLACES = [("x", "y", "z")]
_COLOURS = [("red", "green", "blue"), ("diffuse_red", "diffuse_green", "diffuse_blue"), ("r", "g", "b")]
_NORMALS = [("nx", "ny", "nz"), ("normal_x", "normal_y", "normal_z")]
_FACES = {"face", "tristrips"}


@dataclass
class _Element:
    """A kind of things in a PLY file, how many there are, and the names and types of their numbers."""

    name: str
    count: int
    fields: list[tuple[str, str]] = field(default_factory=list)
    lists: bool = False


def write(cloud: Cloud) -> bytes:
    """Write binary PLY, little endian.

    Args:
        cloud: As ``clouds.checked`` returns it.
    """
    parts = [(_PLACES[0], "float", cloud.points), (_NORMALS[0], "float", cloud.normals),
             (_COLOURS[0], "uchar", cloud.colours)]  # fmt: skip
    held = [(name, kind, values[:, axis]) for names, kind, values in parts if values is not None
            for axis, name in enumerate(names)]  # fmt: skip
    rows = np.zeros(len(cloud.points), [(name, "<" + _TYPES[kind]) for name, kind, _ in held])
    for name, _, values in held:
        rows[name] = values
    header = ["ply", "format binary_little_endian 1.0", f"element vertex {len(rows)}",
              *(f"property {kind} {name}" for name, kind, _ in held), "end_header", ""]  # fmt: skip
    return "\n".join(header).encode("ascii") + rows.tobytes()


def _header(data: bytes) -> tuple[str, list[_Element], int]:
    """Format, elements, and where the header ends. ValueError, KeyError or IndexError if this is no PLY file."""
    end = re.search(rb"^end_header[ \t]*\r?\n", data[:HEADER], re.MULTILINE)
    if end is None or data[:3] != b"ply":
        raise ValueError("no header of a PLY file")
    form, elements = "", []
    for line in data[3 : end.start()].decode("latin-1").split("\n"):
        match line.split():
            case [] | ["comment" | "obj_info", *_]:
                pass
            case ["format", form, _] if form in _ORDERS:
                pass
            case ["element", name, count] if count.isdecimal():
                elements.append(_Element(name, int(count)))
            case ["property", "list", _, _, _]:
                elements[-1].lists = True
            case ["property", kind, name]:
                elements[-1].fields.append((name, _TYPES[kind]))
            case _:
                raise ValueError(f"a header with the line {line[:80]!r}")
    if not form:
        raise ValueError("a header without a format")
    return form, elements, end.end()


def has_faces(data: bytes) -> bool:
    """Whether a PLY file is a mesh, by its header.

    Raises:
        ValueError, KeyError, IndexError: It is no PLY file.
    """
    return _faces(_header(data)[1])


def _faces(elements: list[_Element]) -> bool:
    return any(element.name in _FACES and element.count for element in elements)


def read(data: bytes) -> Raw:
    """Read PLY, text or binary of either byte order: coordinates, and colours and normals of any number type.

    Raises:
        InputError: ``cloud.is-mesh``, ``cloud.empty`` or ``cloud.too-large``.
        Exception: Whatever numpy raises when the file is damaged.
    """
    form, elements, start = _header(data)
    if _faces(elements):
        raise InputError("cloud.is-mesh", "This PLY file holds a mesh, not a point cloud",
                         seen=", ".join(f"{element.count} of {element.name}" for element in elements)[:160],
                         remedy="Give it to the commands for meshes, or export its points alone")  # fmt: skip
    before = list(itertools.takewhile(lambda element: element.name != "vertex", elements))
    if len(before) == len(elements) or not elements[len(before)].count:
        raise InputError("cloud.empty", "The file holds no points", seen=f"{len(data)} bytes of PLY",
                         remedy="Export the cloud again")  # fmt: skip
    vertex = elements[len(before)]
    if vertex.count > MOST_POINTS:
        raise too_many(vertex.count)
    names = [name for name, _ in vertex.fields]
    places, colours, normals = (
        next((group for group in groups if set(group) <= set(names)), None) for groups in (_PLACES, _COLOURS, _NORMALS)
    )
    if places is None or vertex.lists:
        raise ValueError(f"points made of {', '.join(names)}")
    if form == "ascii":
        column = _text_columns(data[start:], before, vertex, [*places, *(colours or ()), *(normals or ())])
    else:
        rows = _binary_rows(data, start, _ORDERS[form], before, vertex)
        column = {name: rows[name] for name in names}
    return tuple(None if group is None else np.stack([column[name] for name in group], 1)
                 for group in (places, colours, normals))  # type: ignore[return-value]  # fmt: skip


def _binary_rows(data: bytes, start: int, order: str, before: list[_Element], vertex: _Element) -> NDArray[Any]:
    for element in before:
        if element.lists and element.count:
            raise ValueError(f"lists of {element.name} before the points")
        start += element.count * sum(int(kind[1]) for _, kind in element.fields)
    kinds = np.dtype([(name, order + kind) for name, kind in vertex.fields])
    if start + vertex.count * kinds.itemsize > len(data):
        raise ValueError(f"{len(data)} bytes, a header that announces {vertex.count} points of {kinds.itemsize} bytes")
    return np.frombuffer(data, kinds, vertex.count, start)


def _text_columns(body: bytes, before: list[_Element], vertex: _Element, wanted: list[str]) -> dict[str, NDArray[Any]]:
    skipped = sum(element.count for element in before)
    names, kinds = [name for name, _ in vertex.fields], dict(vertex.fields)
    rows = itertools.islice(lines(body), skipped, skipped + vertex.count)
    table = numbers(rows, [names.index(name) for name in wanted])
    if len(table) < vertex.count:
        raise ValueError(f"{len(table)} of {vertex.count} points")
    # Places keep the digits that the text has.
    whole = {name for name in wanted if kinds[name][0] != "f"}
    return {name: table[:, number].astype(np.int64 if name in whole else np.float64)
            for number, name in enumerate(wanted)}  # fmt: skip


def lines(text: bytes) -> Iterator[bytes]:
    """Lines that say something. A longer one comes in pieces: no line makes this take room for all of a file."""
    stream = io.BytesIO(text)
    for line in iter(lambda: stream.readline(LINE), b""):
        line = line.strip()
        if line and not line.startswith((b"#", b"//")):
            yield line


def numbers(rows: Iterable[bytes], columns: list[int] | None = None) -> NDArray[np.float64]:
    """(N, columns) numbers of text with blanks between them.

    Args:
        rows: Lines, all with as many numbers.
        columns: Which columns to take; all by default.

    Raises:
        ValueError: There is something else in them.
    """
    rows = iter(rows)
    first = next(rows, None)
    if first is None:  # numpy would warn
        return np.zeros((0, 3))
    whole = itertools.chain([first], rows)
    return np.loadtxt(whole, np.float64, comments=None, usecols=columns, ndmin=2, encoding="latin-1")
