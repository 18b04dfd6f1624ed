"""A text that travels inside a mesh file, where readers of the format pass it by, and back out of it. No disk.

3MF takes metadata, GLB the extras of its asset, OBJ, PLY and IFC a comment. A binary STL has no room for text. In PLY a
long text is cut into several comments: rply, which reads PLY in open3d and other programs, knows no longer lines than
1,023 bytes, and open3d ends the process over one.
"""

from __future__ import annotations

import json
import re
import struct
from typing import Any

from pipelines.mesh import threemf

KEY = "studio.sidecar"
METADATA = "passport:sidecar"  # the namespace that threemf declares
MOST = 1_000_000  # characters that are looked at
JSON_CHUNK = 0x4E4F534A
LINE = 900  # characters of text in a comment of a PLY file


def attach(data: bytes, format: str, text: str) -> bytes:
    """Put a text into a mesh file that ``export.encode`` made; its mesh stays as it is.

    Args:
        data: The file.
        format: One of ``export.FORMATS``; STL is returned unchanged.
        text: One line of ASCII JSON.
    """
    if format == "3mf":
        return threemf.with_metadata(data, METADATA, text)
    if format == "glb":
        return _into_glb(data, text)
    if format == "obj":
        return f"# {KEY} {text}\n".encode("ascii") + data
    if format == "ply":  # after the line that must stay second
        pieces = [text[start : start + LINE] for start in range(0, len(text), LINE)]
        lines = "".join(f"comment {KEY}{'+' if number else ''} {piece}\n" for number, piece in enumerate(pieces))
        return re.sub(rb"\A(ply\s+format [^\n]*\n)", lambda m: m[1] + lines.encode("ascii"), data)
    if format == "ifc":  # an escaped slash is the same in JSON, and cannot end the comment
        line, rest = data.split(b"\n", 1)
        harmless = text.replace("*/", "*\\/")
        return line + f"\n/* {KEY} {harmless} */\n".encode("ascii") + rest
    return data


def attached(data: bytes) -> str | None:
    """The text that ``attach`` put into a file of any format, or None. Untrusted: whoever asks checks it.

    Raises:
        InputError: ``mesh.unreadable`` for a damaged 3MF file.
    """
    if data[:4] == b"PK\x03\x04":
        return threemf.read_metadata(data, METADATA)
    if data[:4] == b"glTF":
        return _out_of_glb(data)
    if data[:1] == b"p":
        return _out_of_ply(data[:MOST])
    mark = {b"#": b"# ", b"I": b"/* "}.get(data[:1])
    if mark is None:
        return None
    found = re.search(
        rb"^" + re.escape(mark + KEY.encode()) + rb" (\{[^\n]*\})(?: \*/)?\s*$", data[:MOST], re.MULTILINE
    )
    return found[1].decode("utf-8", "replace") if found else None


def _out_of_ply(data: bytes) -> str | None:
    mark = re.escape(f"comment {KEY}".encode())
    lines = data.replace(b"\r\n", b"\n")
    found = re.search(rb"^" + mark + rb" (\{[^\n]*)\n((?:" + mark + rb"\+ [^\n]*\n)*)", lines, re.MULTILINE)
    if found is None:
        return None
    text = found[1] + b"".join(re.findall(rb"^" + mark + rb"\+ ([^\n]*)$", found[2], re.MULTILINE))
    return text.decode("utf-8", "replace") if text.endswith(b"}") else None


def _glb_json(data: bytes) -> tuple[dict[str, Any], bytes]:
    """The JSON chunk of a GLB file, and the bytes of the chunks behind it."""
    size, kind = struct.unpack("<II", data[12:20])
    if kind != JSON_CHUNK:
        raise ValueError("the first chunk of a GLB is JSON")
    return json.loads(data[20 : 20 + size]), data[20 + size :]


def _into_glb(data: bytes, text: str) -> bytes:
    scene, rest = _glb_json(data)
    scene["asset"]["extras"] = {KEY: json.loads(text)}
    packed = json.dumps(scene, separators=(",", ":")).encode("ascii")
    packed += b" " * (-len(packed) % 4)
    total = 12 + 8 + len(packed) + len(rest)
    return struct.pack("<4sIIII", b"glTF", 2, total, len(packed), JSON_CHUNK) + packed + rest


def _out_of_glb(data: bytes) -> str | None:
    try:
        scene, _ = _glb_json(data)
        held = scene["asset"]["extras"][KEY]
    except (struct.error, ValueError, KeyError, TypeError, RecursionError):
        return None
    return json.dumps(held) if isinstance(held, dict) else None
