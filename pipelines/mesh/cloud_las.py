"""Point clouds as LAS and LAZ, and a text inside of them. laspy (BSD-2) knows LAS, lazrs (MIT) the compression.

Written is LAS 1.4 with point format 7 where there are colours and 6 where there are none; normals are the extra bytes
NormalX, NormalY and NormalZ, as CloudCompare names them. Sizes that a file announces are held against its bytes before
laspy or lazrs believe them: both take room for what they are told, and lazrs ends the process where there is no room.
"""

from __future__ import annotations

import datetime
import io
import math
import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.core.errors import InputError
from pipelines.core.types import Cloud

MOST_POINTS = 20_000_000
MOST_BYTES = 1_000_000_000  # of a file, and of its points unpacked
NORMALS = ("NormalX", "NormalY", "NormalZ")
COLOURS = ("red", "green", "blue")
_CREATED = datetime.date(2026, 1, 1)  # a day that never changes: the same cloud gives the same bytes
_SOFTWARE = "creative-studio"
_OWNER, _RECORD = b"creative-studio\0", 1
_SHORT, _LONG = struct.Struct("<2x16sHH32x"), struct.Struct("<2x16sHQ32x")  # heads of a VLR and of an EVLR
_EXTRA = struct.Struct("<2xBB32s28xd16xd96x")  # kind (9 is float32), that there are bounds (6), name, least, most
_BLOCK = 32_000_000  # bytes of points that are unpacked at a time
# LASzip's items: bytes of a point by kind, and layers of a chunk by kind; 0 and 14 are extra bytes, of any size.
_SIZES = {6: 20, 7: 8, 8: 6, 9: 29, 10: 30, 11: 6, 12: 8, 13: 29}
_LAYERS = {10: 9, 11: 1, 12: 2, 13: 1}
_ANY_SIZE = 0xFFFFFFFF  # instead of a number of points: chunks differ

# Coordinates, then colours and normals of any number type if there are some.
Raw = tuple[NDArray[Any], NDArray[Any] | None, NDArray[Any] | None]


def write(cloud: Cloud, *, compressed: bool) -> bytes:
    """Write LAS or LAZ.

    Args:
        cloud: As ``clouds.checked`` returns it. Coordinates move by less than 2**-25 of the longest side, and not at
            all along an axis where the cloud is far from the origin: the steps are powers of two, as those of float32.
        compressed: Whether to write LAZ.
    """
    import laspy

    header = laspy.LasHeader(version="1.4", point_format=6 if cloud.colours is None else 7)
    header.creation_date, header.generating_software = _CREATED, _SOFTWARE
    header.global_encoding.wkt = True  # what formats 6 and 7 ask for, whether or not there is a reference system
    if cloud.normals is not None:
        header.add_extra_dims([laspy.ExtraBytesParams(name, "float32") for name in NORMALS])
        header.vlrs.extract("ExtraBytesVlr")  # laspy's takes the first point for the least and the most
        bounds = zip(NORMALS, cloud.normals.min(0).tolist(), cloud.normals.max(0).tolist(), strict=True)
        described = b"".join(_EXTRA.pack(9, 6, name.encode("ascii"), least, most) for name, least, most in bounds)
        header.vlrs.append(laspy.VLR("LASF_Spec", 4, "Extra Bytes Record", described))
    low, high = cloud.points.min(0).astype(np.float64), cloud.points.max(0).astype(np.float64)
    longest = float((high - low).max())
    step = math.ldexp(1.0, math.frexp(longest)[1] - 25) if longest else 1.0
    header.offsets, header.scales = low, np.full(3, step)
    out = io.BytesIO()
    backend = laspy.LazBackend.Lazrs
    with laspy.LasWriter(out, header, do_compress=compressed, laz_backend=backend, closefd=False) as writer:
        count = _BLOCK // header.point_format.size
        for start in range(0, len(cloud.points), count):
            part = slice(start, start + count)
            places = np.rint((cloud.points[part] - low) / step).astype(np.int32)
            block = laspy.PackedPointRecord.zeros(len(places), header.point_format)
            block["return_number"][:] = block["number_of_returns"][:] = 1  # counted from 1
            rows: Any = block.array
            for axis, name in enumerate("XYZ"):
                rows[name] = places[:, axis]
            for names, values, factor in ((COLOURS, cloud.colours, 257), (NORMALS, cloud.normals, 1)):
                if values is not None:
                    for axis, name in enumerate(names):
                        rows[name] = values[part, axis].astype(rows.dtype[name]) * factor
            writer.write_points(block)
    return out.getvalue()


def read(data: bytes) -> Raw:
    """Read LAS or LAZ of any version: coordinates, colours as they are in the file, and normals.

    Raises:
        InputError: ``cloud.too-large``, ``cloud.empty`` or ``cloud.unreadable``.
        Exception: Whatever laspy raises when the file is damaged.
    """
    try:
        return _read(data)
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # of lazrs: no Exception, and its type cannot be imported
            raise
        raise _damaged(f"lazrs: {error}"[:160]) from None


def _read(data: bytes) -> Raw:
    import laspy

    header_size, start, records = struct.unpack_from("<HII", data, 94)
    if data[:4] != b"LASF" or records * _SHORT.size > start - header_size or start > len(data):
        raise _damaged(f"{len(data)} bytes, points from byte {start}, {records} records before them")
    backend = laspy.LazBackend.Lazrs
    reader = laspy.LasReader(io.BytesIO(data), closefd=False, laz_backend=backend, read_evlrs=False)
    header = reader.header
    count, size = header.point_count, header.point_format.size
    if count > MOST_POINTS or count * size > MOST_BYTES:
        raise too_many(count, size)
    if not count:
        raise InputError("cloud.empty", "The file holds no points", seen=f"{len(data)} bytes",
                         remedy="Export the cloud again")  # fmt: skip
    if header.are_points_compressed:
        _check_chunks(data, start, count, size, header.vlrs[header.vlrs.index("LasZipVlr")].record_data_bytes())
    elif start + count * size > len(data):
        raise _damaged(f"{len(data)} bytes, a header that announces {count} points of {size} bytes")
    names = set(header.point_format.dimension_names)
    points = np.zeros((count, 3))
    colours = np.zeros((count, 3), np.uint16) if names.issuperset(COLOURS) else None
    normals = np.zeros((count, 3), np.float32) if names.issuperset(NORMALS) else None
    done = 0
    while done < count:
        block: Any = reader.read_points(max(1, _BLOCK // size))
        if not len(block):
            raise _damaged(f"{done} of {count} points")
        part = slice(done, done + len(block))
        for axis, name in enumerate("XYZ"):
            points[part, axis] = block.array[name] * header.scales[axis] + header.offsets[axis]
        for known, values in ((COLOURS, colours), (NORMALS, normals)):
            if values is not None:
                for axis, name in enumerate(known):
                    values[part, axis] = np.asarray(block[name])
        done += len(block)
    return points, colours, normals


def _check_chunks(data: bytes, start: int, count: int, size: int, record: bytes) -> None:
    """Refuse a LAZ file whose chunks are not where, or not as large, as its table and the chunks themselves say.

    Args:
        data: The file.
        start: Where its points begin.
        count: How many there are.
        size: Bytes of a point.
        record: LASzip's own VLR.
    """
    import lazrs as compression

    lazrs: Any = compression  # without stubs
    compressor, points, kinds = struct.unpack_from("<H10xI16xH", record)
    items = [struct.unpack_from("<3H", record, 34 + 6 * number) for number in range(kinds)]
    if sum(item[1] for item in items) != size or any(item[1] != _SIZES.get(item[0], item[1]) for item in items):
        raise _damaged(f"compressed points made of {items}"[:160])
    layered = compressor == 3
    if layered != (items[0][2] > 2):  # of its versions of items, 3 and 4 have layers
        raise _damaged(f"compressor {compressor} for {items}"[:160])
    if compressor == 1:  # one chunk and no table; the decoder takes no more room than a point
        return
    (table,) = struct.unpack_from("<q", data, start)
    if table <= start:  # of a writer that could not go back
        (table,) = struct.unpack("<q", data[-8:])
    if not start + 8 <= table <= len(data) - 8 or struct.unpack_from("<4xI", data, table)[0] > count:
        raise _damaged(f"{len(data)} bytes, a table of chunks at byte {table}")
    stream = io.BytesIO(data)
    stream.seek(start)
    chunks = lazrs.read_chunk_table(stream, lazrs.LazVlr(record))
    held = sum(chunk[0] for chunk in chunks) if points == _ANY_SIZE else points * len(chunks)
    place, layers = start + 8, sum(_LAYERS.get(kind, width) for kind, width, _ in items)
    for _, length in chunks:
        # A layered chunk is one whole point, a number, the sizes of its layers, and these.
        sizes = struct.unpack_from(f"<{layers}I", data, place + size + 4) if layered else ()
        if layered and size + 4 + 4 * layers + sum(sizes) != length:
            raise _damaged(f"a chunk of {length} bytes at byte {place} whose layers do not fill it")
        place += length
    if held < count or place > table:
        raise _damaged(f"{len(chunks)} chunks for {count} points, the last one up to byte {place} of {table}")


def too_many(count: int, size: int | None = None) -> InputError:
    """The error for a cloud of so many points, of so many bytes each if that counts."""
    seen, most = str(count), str(MOST_POINTS)
    if size:
        seen, most = f"{count} points of {size} bytes", f"{MOST_POINTS}, and {MOST_BYTES} bytes unpacked"
    return InputError("cloud.too-large", "The cloud has too many points", seen=seen,
                      remedy=f"At most {most}: thin it out first")  # fmt: skip


def _damaged(seen: str) -> InputError:
    return InputError("cloud.unreadable", "The LAS file is cut short or damaged", seen=seen,
                      remedy="Copy or export it again")  # fmt: skip


def attach(data: bytes, text: str) -> bytes:
    """Put a text into a file that ``write`` made, as its first VLR, or as an EVLR where it is too long for one.

    Args:
        data: The file; its points stay the bytes that they are.
        text: One line of ASCII JSON.
    """
    body, out = text.encode("ascii"), bytearray(data)
    if len(body) > 65_535:
        first, number = struct.unpack_from("<QI", data, 235)
        struct.pack_into("<QI", out, 235, first if number else len(data), number + 1)
        return bytes(out) + _LONG.pack(_OWNER, _RECORD, len(body)) + body
    size, start, number = struct.unpack_from("<HII", data, 94)
    added = _SHORT.pack(_OWNER, _RECORD, len(body)) + body
    struct.pack_into("<II", out, 96, start + len(added), number + 1)
    if struct.unpack_from("<I", data, 243)[0]:
        struct.pack_into("<Q", out, 235, struct.unpack_from("<Q", data, 235)[0] + len(added))
    if data[104] & 0x80:  # LAZ: its points begin with the place of the table of chunks
        struct.pack_into("<q", out, start, struct.unpack_from("<q", data, start)[0] + len(added))
    return bytes(out[:size]) + added + bytes(out[size:])


def attached(data: bytes) -> str | None:
    """The text that ``attach`` put into a file, or None, whatever the bytes are."""
    if data[:4] != b"LASF" or len(data) < 227:
        return None
    size, _, number = struct.unpack_from("<HII", data, 94)
    found = _record(data, _SHORT, size, number)
    if found is None and data[25] >= 4 and len(data) >= 375:
        found = _record(data, _LONG, *struct.unpack_from("<QI", data, 235))
    try:
        text = (found or b"").decode("ascii")
    except UnicodeDecodeError:
        return None
    return text if text.startswith("{") and text.endswith("}") and "\n" not in text else None


def _record(data: bytes, head: struct.Struct, place: int, number: int) -> bytes | None:
    """What the first record of ours holds, of so many records from a place on."""
    for _ in range(number):
        if place + head.size > len(data):
            return None
        owner, record, length = head.unpack_from(data, place)
        place += head.size
        if (owner, record) == (_OWNER, _RECORD):
            return data[place : place + length] if place + length <= len(data) else None
        place += length
    return None
