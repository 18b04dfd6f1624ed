"""The few EXIF tags that say something of a picture's history, read from bytes that anybody may have written.

Pillow reads all tags of all directories, and writes to its log what it cannot; here only the tags below are looked at,
each directory once, so that neither a loop of directories nor a tag that claims a gigabyte costs anything.
Layout: TIFF 6.0, section 2; tags: Exif 2.32 (CIPA DC-008).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

LONGEST = 400  # bytes of a text
MOST_ENTRIES = 500  # of a directory
SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 7: 1}  # bytes of BYTE, ASCII, SHORT, LONG, UNDEFINED

# Directories that the first one points to.
DETAILS, PLACE = 0x8769, 0x8825
TEXTS = {
    0x000B: "processing_software", 0x010E: "description", 0x010F: "make", 0x0110: "model", 0x0131: "software",
    0x0132: "modified", 0x9003: "created", 0x9004: "digitized", 0x9286: "comment",
}  # fmt: skip
NUMBERS = {
    0x0100: "columns", 0x0101: "rows", 0x0103: "compression", 0x0112: "orientation", 0x8769: "details",
    0x8825: "place", 0xA002: "width", 0xA003: "height", 0x0201: "thumbnail_at", 0x0202: "thumbnail_bytes",
}  # fmt: skip
BLOCKS = {0x02BC: "xmp", 0x8649: "photoshop"}


@dataclass
class Exif:
    """What was found.

    Attributes:
        texts: By the names above.
        numbers: By the names above; of the first directory and its details.
        xmp: An XMP packet, as TIFF files hold it.
        photoshop: Whether it holds Photoshop's own block.
        located: Whether it holds a latitude or a longitude.
        thumbnail: The JPEG file of the second directory, or empty.
        damaged: Whether directories loop or lie outside.
    """

    texts: dict[str, str] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)
    xmp: bytes = b""
    photoshop: bool = False
    located: bool = False
    thumbnail: bytes = b""
    damaged: bool = False


def read(data: bytes, *, largest_block: int = 1 << 20) -> Exif:
    """Read an EXIF block, or a TIFF file; never raises.

    Args:
        data: From ``II*`` or ``MM*`` on.
        largest_block: Bytes of an XMP packet or a thumbnail that are read.
    """
    found = Exif()
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(bytes(data[:4]))
    if order is None or len(data) < 8:
        found.damaged = True
        return found
    reader = _Reader(data, order, largest_block, found)
    following = reader.directory(reader.number(4, 4), found.numbers)
    for pointer in ("details", "place"):
        if pointer in found.numbers:
            reader.directory(found.numbers[pointer], found.numbers, place=pointer == "place")
    second: dict[str, int] = {}
    if following:
        reader.directory(following, second)
        start, size = second.get("thumbnail_at", 0), second.get("thumbnail_bytes", 0)
        if 0 < size <= largest_block and 8 <= start <= len(data) - size:
            found.thumbnail = bytes(data[start : start + size])
    return found


@dataclass
class _Reader:
    data: bytes
    order: str
    largest_block: int
    found: Exif
    seen: set[int] = field(default_factory=set)

    def number(self, at: int, size: int) -> int:
        """An unsigned number of 1, 2 or 4 bytes; 0 where the data ends."""
        if at < 0 or at + size > len(self.data):
            return 0
        return struct.unpack_from(self.order + {1: "B", 2: "H", 4: "I"}[size], self.data, at)[0]

    def directory(self, at: int, numbers: dict[str, int], *, place: bool = False) -> int:
        """Read one directory, and return where the next is; 0 for none."""
        if at in self.seen or at < 8 or at + 2 > len(self.data):
            self.found.damaged = True
            return 0
        self.seen.add(at)
        count = self.number(at, 2)
        for entry in range(at + 2, at + 2 + 12 * min(count, MOST_ENTRIES), 12):
            if entry + 12 > len(self.data):
                self.found.damaged = True
                return 0
            self.entry(entry, numbers, place)
        following = self.number(at + 2 + 12 * count, 4)
        if following in self.seen:
            self.found.damaged, following = True, 0
        return following

    def entry(self, at: int, numbers: dict[str, int], place: bool) -> None:
        """Read one tag, if it is one of those above."""
        tag, kind, count = self.number(at, 2), self.number(at + 2, 2), self.number(at + 4, 4)
        if place:
            self.found.located |= tag in (2, 4) and count > 0  # GPSLatitude, GPSLongitude
            return
        if tag in NUMBERS and kind in (3, 4) and count == 1:
            numbers.setdefault(NUMBERS[tag], self.number(at + 8, SIZES[kind]))
        elif (tag in TEXTS or tag in BLOCKS) and kind in SIZES:
            size = count * SIZES[kind]
            start = at + 8 if size <= 4 else self.number(at + 8, 4)
            self.keep(tag, self.data[start : start + min(size, self.largest_block)])

    def keep(self, tag: int, value: bytes) -> None:
        """Keep the value of a text or of a block."""
        if tag in TEXTS:
            self.found.texts.setdefault(TEXTS[tag], _text(value[:LONGEST]))
        elif BLOCKS[tag] == "xmp":
            self.found.xmp = bytes(value)
        else:
            self.found.photoshop = True


def _text(value: bytes) -> str:
    """A text without its character code (of a user's comment), zero bytes and blanks around it."""
    for code, name in ((b"ASCII\0\0\0", "utf-8"), (b"UNICODE\0", "utf-16-be"), (b"\0" * 8, "utf-8")):
        if value.startswith(code):
            body = value[len(code) :]
            little = name == "utf-16-be" and body[1:2] == b"\0"
            return body.decode("utf-16-le" if little else name, "replace").strip("\0 \t\r\n")
    return value.split(b"\0")[0].decode("utf-8", "replace").strip()
