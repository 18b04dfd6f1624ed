"""Point clouds as files and back. Everything here is z up; the unit is the caller's, and no file names it.

Coordinates are float32, but files hold more: LAS of a city has seven digits before the point. Where float32 would lose
more than a millionth of the longest side, ``decode`` moves the cloud near the origin first, by a round number on each
axis; how far is not kept.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.core.errors import InputError, PipelineError
from pipelines.core.types import Cloud
from pipelines.mesh import cloud_las, cloud_ply, notes
from pipelines.mesh.cloud_las import MOST_BYTES, MOST_POINTS, Raw

__all__ = ["FORMATS", "MOST_BYTES", "MOST_POINTS", "attach", "attached", "checked", "decode", "encode", "holds"]

FORMATS = ("ply", "xyz", "las", "laz")
FARTHEST = 1e18  # coordinate; squares of it are float32 numbers still
FINE = 1e-6  # of the longest side: what float32 may lose on reading
DIGITS = 5e-9  # of a coordinate: what the nine digits that stand for a float32 may be off


def encode(cloud: Cloud, format: str) -> bytes:
    """Write a cloud; the same cloud gives the same bytes.

    Args:
        cloud: z up, any unit.
        format: One of ``FORMATS``. PLY (binary) and XYZ (text) give float32 back bit for bit, LAS and LAZ within
            2**-25 of the longest side.

    Raises:
        InputError: ``cloud.format``, or what ``checked`` raises.
    """
    _known(format)
    cloud = checked(cloud)
    if format == "ply":
        return cloud_ply.write(cloud)
    if format == "xyz":
        return _write_xyz(cloud)
    return cloud_las.write(cloud, compressed=format == "laz")


def decode(data: bytes, format: str) -> Cloud:
    """Read a cloud of a user. Nothing outside of ``data`` is opened.

    Args:
        data: The whole file.
        format: One of ``FORMATS``. PLY may be text or binary, of either byte order; XYZ is any text of numbers in 3
            (places), 6 (and colours or normals) or 9 columns (and both, in either order), or PTS.

    Raises:
        InputError: ``cloud.format``, ``cloud.unreadable``, ``cloud.is-mesh``, or what ``checked`` raises.
    """
    _known(format)
    if len(data) > MOST_BYTES:
        raise InputError("cloud.too-large", "The cloud's file is too large", seen=f"{len(data)} bytes",
                         remedy=f"At most {MOST_BYTES} bytes: thin the cloud out first")  # fmt: skip
    if not data:
        raise InputError("cloud.unreadable", "The file is empty", seen="0 bytes", remedy="Export the cloud again")
    read: Callable[[bytes], Raw] = {"ply": cloud_ply.read, "xyz": _read_xyz}.get(format, cloud_las.read)
    try:
        with np.errstate(all="ignore"):
            places, colours, normals = read(data)
            return checked(Cloud(_near(places), None if colours is None else _as_bytes(colours), normals))
    except PipelineError:
        raise
    except Exception as error:  # the readers raise whatever numpy, struct or laspy do
        raise InputError("cloud.unreadable", f"The file is not a readable {format.upper()} cloud",
                         seen=f"{type(error).__name__}: {error}"[:160],
                         remedy="Export the cloud again") from None  # fmt: skip


def checked(cloud: Cloud) -> Cloud:
    """Return the cloud with contiguous float32 and uint8 arrays if it can be worked with at all.

    Normals become unit length; those that are within 1e-5 of it stay as they are. A normal without a direction (zero,
    or not finite) becomes (0, 0, 1), and where all are without one, there are none.

    Raises:
        InputError: ``cloud.shape``, ``cloud.empty``, ``cloud.too-large`` or ``cloud.not-finite``.
    """
    with np.errstate(all="ignore"):
        points = np.ascontiguousarray(cloud.points, dtype=np.float32)
        normals = None if cloud.normals is None else np.ascontiguousarray(cloud.normals, dtype=np.float32)
    colours = None if cloud.colours is None else np.ascontiguousarray(cloud.colours)
    others = [values.shape for values in (colours, normals) if values is not None]
    if points.ndim != 2 or points.shape[1] != 3 or any(shape != points.shape for shape in others):
        raise InputError("cloud.shape", "A cloud needs (N, 3) points, and colours and normals for each of them",
                         seen=f"points {points.shape}, others {others}")  # fmt: skip
    if colours is not None and colours.dtype != np.uint8:
        raise InputError("cloud.shape", "Colours of a cloud are bytes", seen=colours.dtype)
    if not len(points):
        raise InputError("cloud.empty", "The cloud has no points", seen="0 points", remedy="Export the cloud again")
    if len(points) > MOST_POINTS:
        raise cloud_las.too_many(len(points))
    _check_finite(points)
    return Cloud(points, colours, None if normals is None else _unit(normals))


def holds(data: bytes, format: str) -> bool:
    """Whether a file is a cloud and not a mesh, by its header: a PLY file has to be free of faces."""
    if format != "ply":
        return format in FORMATS
    try:
        return not cloud_ply.has_faces(data)
    except (ValueError, KeyError, IndexError):
        return False


def attach(data: bytes, format: str, text: str) -> bytes:
    """Put a text into a file that ``encode`` made; its points stay as they are.

    Args:
        data: The file.
        format: One of ``FORMATS``; XYZ has no room and is returned unchanged.
        text: One line of ASCII JSON.
    """
    if format in ("las", "laz"):
        return cloud_las.attach(data, text)
    return notes.attach(data, format, text) if format == "ply" else data


def attached(data: bytes, format: str) -> str | None:
    """The text that ``attach`` put into a file, or None. Untrusted: whoever asks checks it."""
    if format in ("las", "laz"):
        return cloud_las.attached(data)
    return notes.attached(data) if format == "ply" and data[:3] == b"ply" else None


def _known(format: str) -> None:
    if format not in FORMATS:
        raise InputError("cloud.format", "There is no such cloud format", seen=format,
                         remedy=f"Choose from {', '.join(FORMATS)}")  # fmt: skip


def _check_finite(points: NDArray[Any]) -> None:
    bad = int(np.count_nonzero(~(np.abs(points) < FARTHEST).all(1)))
    if bad:
        raise InputError("cloud.not-finite", "Points are not finite, or beyond all measure",
                         seen=f"{bad} of {len(points)} points",
                         remedy="Drop such points in the program that made the cloud")  # fmt: skip


def _unit(normals: NDArray[np.float32]) -> NDArray[np.float32] | None:
    lengths = np.linalg.norm(normals.astype(np.float64), axis=1)
    known = (lengths > 0) & np.isfinite(lengths)
    if not known.any():
        return None
    off = known & (np.abs(lengths - 1) > 1e-5)
    normals = normals.copy()
    normals[off] = normals[off] / lengths[off, None]
    normals[~known] = (0, 0, 1)
    return normals


def _near(places: NDArray[Any]) -> NDArray[np.float32]:
    """Coordinates as float32, moved near the origin where float32 would lose too much of them."""
    if not len(places):
        return np.zeros((0, 3), np.float32)
    _check_finite(places)
    places = places.astype(np.float64)
    plain = places.astype(np.float32)
    low, high = places.min(0), places.max(0)
    longest, largest = float((high - low).max()), float(np.abs([low, high]).max())
    if np.abs(plain - places).max() <= max(FINE * longest, DIGITS * largest):
        return plain
    unit = 10.0 ** math.ceil(math.log10(longest)) if longest else 1.0
    return (places - np.rint((low + high) / 2 / unit) * unit).astype(np.float32)


def _as_bytes(colours: NDArray[Any]) -> NDArray[np.uint8]:
    """Colours of any number type: floats up to 1 are shares of the whole, integers with one above 255 have 16 bits."""
    if colours.dtype == np.uint8:
        return colours
    values = np.nan_to_num(colours.astype(np.float64))
    most = values.max()
    if colours.dtype.kind == "f":
        values *= 255 if most <= 1 else 1
    elif most > 255:
        values /= 257
    return np.rint(np.clip(values, 0, 255)).astype(np.uint8)


def _write_xyz(cloud: Cloud) -> bytes:
    table = np.concatenate([values for values in (cloud.points, cloud.colours, cloud.normals) if values is not None], 1)
    line, out = " ".join(["%.9g"] * table.shape[1]) + "\n", []  # nine digits give a float32 back
    for start in range(0, len(table), 100_000):
        block = table[start : start + 100_000]
        out.append((line * len(block) % tuple(block.ravel().tolist())).encode("ascii"))
    return b"".join(out)


def _read_xyz(data: bytes) -> Raw:
    lines = cloud_ply.lines(data.removeprefix(b"\xef\xbb\xbf"))
    first = next(lines, b"")
    counted = len(first.split()) == 1 and first.isdigit()  # PTS: how many points there are, then the points
    if counted:
        first = next(lines, b"")
    # Where semicolons part the numbers, commas are decimal points.
    parted = bytes.maketrans(b";,", b" .") if b";" in first else bytes.maketrans(b",", b" ")
    if (columns := len(first.translate(parted).split())) > 9:
        raise _columns(columns)
    whole = (line.translate(parted) for line in itertools.chain([first] if first else [], lines))
    table = cloud_ply.numbers(itertools.islice(whole, MOST_POINTS + 1))
    if counted and table.shape[1] in (4, 7):  # PTS has an intensity before the colours
        table = np.delete(table, 3, axis=1)
    places, others = table[:, :3], [table[:, 3:6], table[:, 6:]]
    if table.shape[1] == 3:
        return places, None, None
    bytelike = [bool(((0 <= part) & (part <= 255) & (part == np.rint(part))).all()) for part in others]
    if table.shape[1] == 6:
        # Whole numbers up to 1 are normals along the axes, unless all are 0: black.
        coloured = bytelike[0] and (others[0].max() > 1 or not others[0].any())
        return (places, others[0].astype(np.uint8), None) if coloured else (places, None, others[0])
    if table.shape[1] != 9 or not any(bytelike):
        raise _columns(table.shape[1])
    colours, normals = others if bytelike[0] else others[::-1]
    return places, colours.astype(np.uint8), normals


def _columns(number: int) -> ValueError:
    return ValueError(f"{number} columns; places, and colours as bytes and normals make 3, 6 or 9")
