"""What lies in a picture file beside its pixels: segments, chunks, and what follows the picture's end.

Files are untrusted. Nothing here raises, decodes a pixel, or keeps more than `LARGEST` bytes of one kind; compressed
texts are unpacked up to a limit, and walks end after `MOST_STEPS`.
Layouts: JPEG ISO/IEC 10918-1 annex B; PNG (Third Edition) section 11; WebP RFC 9649; GIF89a; XMP part 3; C2PA 2.1
section 11.3 (where each format holds a manifest).
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field

from studio import exif

LARGEST = 1 << 20
LONGEST_TEXT = 64 << 10
MOST_TEXTS = 64
MOST_STEPS = 100_000

XMP_HEAD, XMP_MORE = b"http://ns.adobe.com/xap/1.0/\0", b"http://ns.adobe.com/xmp/extension/\0"
C2PA_UUID = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")
FILLING = re.compile(rb"\xff+")
# In entropy-coded data, FF is followed by 00 or by a restart marker; anything else is the next segment.
MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
ZIGZAG = (
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21,
    28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54,
    47, 55, 62, 63,
)  # fmt: skip


@dataclass
class Parts:
    """What was found.

    Attributes:
        format: Pillow's name of the container, by its first bytes; empty if it is none of ours.
        width: As stored, before any turning; 0 if not known.
        height: As width.
        exif: The EXIF blocks, from their TIFF header on; the first three at most.
        exif_blocks: How many there are.
        xmp: The XMP packets, one after the other.
        texts: Keyword and text of PNG's text chunks, and comments.
        tables: JPEG's quantisation tables by number, 64 steps in reading order.
        components: Of a JPEG: identifier, horizontal and vertical sampling, table.
        progressive: Whether a JPEG is.
        photoshop: Whether there is a block of Photoshop's own.
        adobe: Whether there is Adobe's APP14 segment.
        several: Whether a JPEG announces further pictures (Multi-Picture Format).
        credentials: Whether there is a C2PA manifest.
        lossless: Whether the pixels are stored without loss, as far as the container says.
        end: Offset after the picture's last byte; None if it cannot be told.
        complete: Whether the picture's end was found where one is expected.
    """

    format: str = ""
    width: int = 0
    height: int = 0
    exif: list[bytes] = field(default_factory=list)
    exif_blocks: int = 0
    xmp: bytes = b""
    texts: list[tuple[str, str]] = field(default_factory=list)
    tables: dict[int, tuple[int, ...]] = field(default_factory=dict)
    components: list[tuple[int, int, int, int]] = field(default_factory=list)
    progressive: bool = False
    photoshop: bool = False
    adobe: bool = False
    several: bool = False
    credentials: bool = False
    lossless: bool = False
    end: int | None = None
    complete: bool = True

    def add_exif(self, block: bytes) -> None:
        """Keep an EXIF block."""
        self.exif_blocks += 1
        if len(self.exif) < 3:
            self.exif.append(bytes(block[:LARGEST]).removeprefix(b"Exif\0\0"))

    def add_xmp(self, packet: bytes) -> None:
        """Keep an XMP packet, as far as there is room."""
        self.xmp += bytes(packet[: LARGEST - len(self.xmp)])

    def add_text(self, keyword: bytes, text: bytes, encoding: str) -> None:
        """Keep a text."""
        if len(self.texts) < MOST_TEXTS:
            shown = bytes(text[:LONGEST_TEXT]).decode(encoding, "replace")
            self.texts.append((bytes(keyword[:79]).decode("latin-1"), shown))


def read(data: bytes) -> Parts:
    """Take a file apart; never raises."""
    for begins, walk in WALKS:
        if re.match(begins, data, re.DOTALL):
            parts = walk(data)
            if parts.end is not None and parts.end > len(data):
                parts.end, parts.complete = None, False
            return parts
    return Parts()


def _jpeg(data: bytes) -> Parts:
    parts, at = Parts("JPEG"), 2
    for _ in range(MOST_STEPS):
        filling = FILLING.match(data, at)
        if filling is None:
            break
        at = filling.end() - 1  # of the marker's own FF
        marker = data[at + 1] if at + 1 < len(data) else 0
        if marker == 0xD9:
            parts.end = at + 2
            return parts
        if at + 4 > len(data):
            break
        size = struct.unpack_from(">H", data, at + 2)[0]
        _jpeg_segment(parts, marker, data[at + 4 : at + 2 + size])
        at += 2 + max(2, size)
        if marker == 0xDA:
            found = MARKER.search(data, at)
            if found is None:
                break
            at = found.start()
    parts.complete = False
    return parts


def _jpeg_segment(parts: Parts, marker: int, body: bytes) -> None:
    if marker == 0xDB:
        _jpeg_tables(parts, body)
    elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC) and len(body) >= 6:
        parts.progressive = marker in (0xC2, 0xC6, 0xCA, 0xCE)
        parts.height, parts.width = struct.unpack_from(">HH", body, 1)
        triples = (body[index : index + 3] for index in range(6, min(len(body) - 2, 6 + 3 * 4), 3))
        parts.components = [(one[0], one[1] >> 4, one[1] & 15, one[2]) for one in triples]
    elif marker == 0xE1 and body.startswith(b"Exif\0"):
        parts.add_exif(body[6:])
    elif marker == 0xE1 and body.startswith(XMP_HEAD):
        parts.add_xmp(body[len(XMP_HEAD) :])
    elif marker == 0xE1 and body.startswith(XMP_MORE):
        parts.add_xmp(body[len(XMP_MORE) + 40 :])  # after a digest, the whole length and this piece's offset
    elif marker == 0xE2 and body.startswith(b"MPF\0"):
        parts.several = True
    elif marker == 0xEB and body.startswith(b"JP") and b"c2pa" in body[:200]:
        parts.credentials = True
    elif marker == 0xED and body.startswith(b"Photoshop 3.0\0"):
        parts.photoshop = True
    elif marker == 0xEE and body.startswith(b"Adobe"):
        parts.adobe = True
    elif marker == 0xFE:
        parts.add_text(b"Comment", body, "utf-8")


def _jpeg_tables(parts: Parts, body: bytes) -> None:
    at = 0
    while at < len(body):
        wide, number = body[at] >> 4, body[at] & 15
        values = body[at + 1 : at + 1 + (128 if wide else 64)]
        at += 1 + (128 if wide else 64)
        if len(values) == (128 if wide else 64) and number < 4:
            steps = struct.unpack(">64H" if wide else "64B", values)
            table = [0] * 64
            for place, step in zip(ZIGZAG, steps, strict=True):
                table[place] = max(1, step)
            parts.tables[number] = tuple(table)


def _png(data: bytes) -> Parts:
    parts, at = Parts("PNG", lossless=True), 8
    for _ in range(MOST_STEPS):
        if at + 12 > len(data):
            break
        size, kind = struct.unpack_from(">I4s", data, at)
        _png_chunk(parts, kind, data[at + 8 : at + 8 + min(size, LARGEST)] if kind != b"IDAT" else b"")
        at += 12 + size
        if kind == b"IEND":
            parts.end = at
            return parts
    parts.complete = False
    return parts


def _png_chunk(parts: Parts, kind: bytes, body: bytes) -> None:
    if kind == b"IHDR" and len(body) >= 13:
        parts.width, parts.height = struct.unpack_from(">II", body)
        parts.lossless = body[9] != 3  # a palette's colours are not what they were
    elif kind == b"eXIf":
        parts.add_exif(body)
    elif kind == b"caBX":
        parts.credentials = True
    elif kind in (b"tEXt", b"zTXt", b"iTXt"):
        keyword, _, rest = body.partition(b"\0")
        encoding = "utf-8" if kind == b"iTXt" else "latin-1"
        packed = kind == b"zTXt"
        if packed:
            rest = rest[1:]
        elif kind == b"iTXt":
            packed = rest[:1] == b"\x01"
            rest = rest[2:].split(b"\0", 2)[-1]  # after the language and the keyword in it
        limit = LARGEST if keyword == b"XML:com.adobe.xmp" else LONGEST_TEXT
        text = _unpacked(rest, limit) if packed else rest
        if keyword == b"XML:com.adobe.xmp":
            parts.add_xmp(text)
        else:
            parts.add_text(keyword, text, encoding)


def _unpacked(packed: bytes, limit: int) -> bytes:
    """The first ``limit`` bytes of a deflated text; empty if it is damaged."""
    try:
        return zlib.decompressobj().decompress(packed, limit)
    except zlib.error:
        return b""


def _webp(data: bytes) -> Parts:
    parts, at = Parts("WEBP"), 12
    parts.end = 8 + struct.unpack_from("<I", data, 4)[0]
    last = min(parts.end, len(data))
    for _ in range(MOST_STEPS):
        if at + 8 > last:
            break
        kind, size = struct.unpack_from("<4sI", data, at)
        body = data[at + 8 : at + 8 + min(size, LARGEST)] if kind not in (b"VP8 ", b"ANMF", b"ALPH") else b""
        if kind == b"VP8L":
            parts.lossless = True
        elif kind == b"VP8X" and len(body) >= 10:
            parts.width, parts.height = (1 + int.from_bytes(body[index : index + 3], "little") for index in (4, 7))
        elif kind == b"EXIF":
            parts.add_exif(body)
        elif kind == b"XMP ":
            parts.add_xmp(body)
        elif kind == b"C2PA":
            parts.credentials = True
        at += 8 + size + size % 2
    return parts


def _gif(data: bytes) -> Parts:
    parts, at = Parts("GIF"), 13
    if len(data) < 13:
        return Parts("GIF", complete=False)
    parts.width, parts.height = struct.unpack_from("<HH", data, 6)
    at += _colours(data[10])
    left = 10 * MOST_STEPS  # sub-blocks of at most 255 bytes
    while left > 0:
        kind = data[at : at + 1]
        if kind == b";":
            parts.end = at + 1
            return parts
        if kind == b"," and at + 10 < len(data):
            at, left = _sub_blocks(data, at + 10 + _colours(data[at + 9]) + 1, left)
        elif kind == b"!":
            begin = at
            at, left = _sub_blocks(data, at + 2, left)
            if data[begin + 1 : begin + 2] == b"\xfe":
                parts.add_text(b"Comment", data[begin + 3 : min(at - 1, begin + 258)], "latin-1")
            elif data[begin + 3 : begin + 14] == b"XMP DataXMP":
                parts.add_xmp(data[begin + 14 : at])
        else:
            break
    parts.complete = False
    return parts


def _colours(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _sub_blocks(data: bytes, at: int, left: int) -> tuple[int, int]:
    """Where a GIF's sub-blocks end, and how many of ``left`` are left; none if they do not end."""
    for taken in range(1, left + 1):
        if at >= len(data):
            break
        if data[at] == 0:
            return at + 1, left - taken
        at += 1 + data[at]
    return at, 0


def _tiff(data: bytes) -> Parts:
    found = exif.read(data)
    numbers = found.numbers
    parts = Parts("TIFF", numbers.get("columns", 0), numbers.get("rows", 0), exif=[data], exif_blocks=1)
    parts.xmp, parts.photoshop = found.xmp, found.photoshop
    parts.lossless = numbers.get("compression", 1) in (1, 5, 8, 32773, 32946)  # none, LZW, Deflate, PackBits, Deflate
    return parts


def _bmp(data: bytes) -> Parts:
    if len(data) < 26:
        return Parts("BMP", complete=False)
    size, width, height = struct.unpack_from("<I", data, 2)[0], *struct.unpack_from("<ii", data, 18)
    return Parts("BMP", abs(width), abs(height), lossless=True, end=size if size >= 26 else None)


def _boxes(format: str) -> Callable[[bytes], Parts]:
    """Of AVIF and JPEG 2000, whose boxes nest: the few things that are looked for are searched by their beginning."""

    def walk(data: bytes) -> Parts:
        parts = Parts(format)
        parts.credentials = C2PA_UUID in data
        start = data.find(b"<x:xmpmeta")
        if start >= 0:
            parts.add_xmp(data[start : start + LARGEST])
        found = re.search(rb"Exif\0\0(?=II\*\0|MM\0\*)", data)
        if found:
            parts.add_exif(data[found.end() : found.end() + LARGEST])
        return parts

    return walk


WALKS: tuple[tuple[bytes, Callable[[bytes], Parts]], ...] = (
    (rb"\xff\xd8\xff", _jpeg),
    (rb"\x89PNG\r\n\x1a\n", _png),
    (rb"RIFF....WEBP", _webp),
    (rb"GIF8[79]a", _gif),
    (rb"II\*\0|MM\0\*", _tiff),
    (rb"BM", _bmp),
    (rb"P[1-6]\s", lambda data: Parts("PPM", lossless=True)),
    (rb"\0\0\0\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51", _boxes("JPEG2000")),
    (rb"....ftyp.{0,40}avi[fs]", _boxes("AVIF")),
)
