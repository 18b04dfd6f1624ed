"""A picture of our own: an array as a file, with the sidecar inside it, and back.

The sidecar goes into the finished file: PNG takes an iTXt chunk, JPEG and WebP an XMP packet. A chunk of metadata is
inserted and the compressed pixels stay as they are, byte for byte.
"""

from __future__ import annotations

import html
import io
import math
import re
import struct
import warnings
import zlib
from typing import TYPE_CHECKING, Any

from pipelines.core.types import Image

if TYPE_CHECKING:
    from PIL import Image as Pillow

SUFFIXES = {".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg", ".webp": "webp"}
SIDECAR_KEY = "studio.sidecar"
XMP_NAMESPACE = "urn:studio:sidecar:1"
MAX_SIDECAR = 60_000  # one JPEG segment holds 65,533 bytes; XMP's wrapping and escaping need the rest


def encode(pixels: Any, format: str, *, quality: int = 95, palette: list[int] | None = None) -> bytes:
    """Encode an array; PNG and WebP without loss.

    Args:
        pixels: (H, W, 3) uint8, or (H, W) uint8 grey or palette indices.
        format: ``png``, ``jpeg`` or ``webp``.
        quality: JPEG quality.
        palette: RGB values of the indices; PNG only.
    """
    return _save(_picture(pixels, palette), format, quality)


def _picture(pixels: Any, palette: list[int] | None) -> Pillow.Image:
    from PIL import Image as Pillow

    picture = Pillow.fromarray(pixels)
    if palette is not None:
        picture.putpalette(palette)
    return picture


def _save(picture: Pillow.Image, format: str, quality: int) -> bytes:
    stream = io.BytesIO()
    if format == "png":
        picture.save(stream, "PNG", compress_level=4)
    elif format == "jpeg":
        picture.save(stream, "JPEG", quality=quality, subsampling=0)
    else:
        picture.save(stream, "WEBP", lossless=True, quality=60, method=2)
    return stream.getvalue()


def pixels_of(data: bytes) -> Any:
    """The array in a file that `encode` made: (H, W, 3) or (H, W) uint8, palette indices as they are."""
    import numpy as np
    from PIL import Image as Pillow

    picture = Pillow.open(io.BytesIO(data))
    return np.asarray(picture if picture.mode in ("RGB", "L", "P") else picture.convert("RGB"), dtype=np.uint8)


def embed(data: bytes, format: str, sidecar: str) -> bytes:
    """Put a sidecar into an encoded picture without touching its pixels.

    PNG takes an iTXt chunk, JPEG and WebP an XMP packet: a segment or chunk of metadata is inserted, and the
    compressed pixels stay as they are, byte for byte.
    """
    if len(sidecar.encode()) > MAX_SIDECAR:
        raise ValueError(f"a sidecar of {len(sidecar)} characters does not fit into a picture's metadata")
    if format == "png":
        return _insert_png(data, sidecar)
    xmp = _xmp(sidecar).encode()
    return _insert_jpeg(data, xmp) if format == "jpeg" else _insert_webp(data, xmp)


def _insert_png(data: bytes, sidecar: str) -> bytes:
    body = b"iTXt" + SIDECAR_KEY.encode() + b"\0\0\0\0\0" + sidecar.encode()
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    end = 8 + 25  # signature and IHDR, which must stay first
    return data[:end] + chunk + data[end:]


def _insert_jpeg(data: bytes, xmp: bytes) -> bytes:
    body = b"http://ns.adobe.com/xap/1.0/\0" + xmp
    if len(body) > 65_533:
        raise ValueError(f"{len(body)} bytes of XMP do not fit into one JPEG segment")
    end = 2  # after the start marker, and after the JFIF segment that must follow it
    if data[2:4] == b"\xff\xe0":
        end += 2 + struct.unpack(">H", data[4:6])[0]
    return data[:end] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + data[end:]


def _insert_webp(data: bytes, xmp: bytes) -> bytes:
    from PIL import Image as Pillow

    picture = Pillow.open(io.BytesIO(data))
    chunks = data[12:]
    if chunks[:4] != b"VP8X":  # a plain file becomes an extended one; flag 0x04 announces XMP
        size = struct.pack("<I", picture.width - 1)[:3] + struct.pack("<I", picture.height - 1)[:3]
        chunks = b"VP8X" + struct.pack("<I", 10) + b"\x04\0\0\0" + size + chunks
    else:
        chunks = chunks[:8] + bytes([chunks[8] | 0x04]) + chunks[9:]
    chunks += b"XMP " + struct.pack("<I", len(xmp)) + xmp + b"\0" * (len(xmp) % 2)
    return b"RIFF" + struct.pack("<I", len(chunks) + 4) + b"WEBP" + chunks


def _xmp(sidecar: str) -> str:
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<rdf:Description rdf:about="" xmlns:studio="{XMP_NAMESPACE}">'
        f"<studio:sidecar>{html.escape(sidecar, quote=False)}</studio:sidecar>"
        '</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
    )


def embedded_sidecar(data: bytes) -> str | None:
    """The sidecar text inside a PNG, JPEG or WebP file, or None. Untrusted: parse it with studio.sidecar."""
    from PIL import Image as Pillow

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            picture = Pillow.open(io.BytesIO(data), formats=("PNG", "JPEG", "WEBP"))
        found = picture.info.get(SIDECAR_KEY)
        packet = picture.info.get("xmp", b"")
    except Exception:  # as in media.decode: whatever is wrong with the file, it carries no sidecar
        return None
    if isinstance(found, str):
        return found
    if not isinstance(packet, bytes) or len(packet) > 4 * MAX_SIDECAR:
        return None
    # A pattern instead of an XML parser: entities and external references have no meaning here and can do no harm.
    match = re.search(r"<studio:sidecar>([^<]*)</studio:sidecar>", packet.decode("utf-8", "replace"))
    return html.unescape(match.group(1)) if match else None


def thumbnail(pixels: Image, side: int = 512) -> bytes:
    """A small PNG of an (H, W, 3) uint8 array, for previews."""
    picture = _picture(pixels, None)
    scale = side / max(picture.size)
    if scale < 1:
        picture = picture.resize(
            (max(1, math.floor(picture.width * scale)), max(1, math.floor(picture.height * scale)))
        )
    return _save(picture, "png", 95)
