"""3MF, core specification 1.3: an own strict writer and a careful reader.

Slicers have left the transforms of files in other units unscaled, so what is written is millimetres with no transform:
one object, one item. The passport travels as metadata under a namespace of this project's own. The reader follows
components and transforms, also into other parts of the package (production extension), and refuses document types,
so that no entity can expand.
"""

from __future__ import annotations

import io
import json
import lzma
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

import numpy as np
from numpy.typing import NDArray

from pipelines.core.errors import InputError
from pipelines.core.types import Mesh
from pipelines.mesh.topology import joined

CORE = "http://schemas.microsoft.com/3dmanufacturing/core/2015/02"
PRODUCTION = "http://schemas.microsoft.com/3dmanufacturing/production/2015/06"
OWN = "https://creative-studio.invalid/print-passport/1"
MODEL = "3D/3dmodel.model"
RELATION = "http://schemas.microsoft.com/3dmanufacturing/2013/01/3dmodel"
PASSPORT = "passport:report"
MILLIMETRES = {"micron": 0.001, "millimeter": 1.0, "centimeter": 10.0, "inch": 25.4, "foot": 304.8, "meter": 1000.0}
LARGEST_PART = 1_500_000_000  # bytes of one unpacked model part
DEEPEST = 16  # components within components
MOST_FACES = 5_000_000

_TYPES = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    '<Default Extension="model" ContentType="application/vnd.ms-package.3dmanufacturing-3dmodel+xml"/></Types>'
)
_RELATIONS = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
    f'<Relationship Id="rel0" Target="/{MODEL}" Type="{RELATION}"/></Relationships>'
)

# What zipfile raises for a damaged, encrypted or oddly packed file: each was seen when bytes were changed at random.
# NotImplementedError is a RuntimeError; OSError comes from bz2 and from a seek beyond the end.
_DAMAGED = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, RuntimeError, EOFError, OSError, ValueError)


def write(mesh: Mesh, *, passport: Mapping[str, Any] | None = None, name: str = "") -> bytes:
    """Write a mesh in millimetres; the same mesh gives the same bytes.

    Triangles that name a corner twice have no area and are forbidden in 3MF: they are left out.

    Args:
        mesh: Checked, in the print frame.
        passport: JSON-ready fields, read back by ``read_passport``.
        name: Title of the model and of its object.
    """
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<model unit="millimeter" xml:lang="en-US" xmlns="{CORE}" xmlns:passport="{OWN}">',
    ]
    if name:
        lines.append(f'<metadata name="Title">{escape(name)}</metadata>')
    lines.append('<metadata name="Application">Creative Studio</metadata>')
    if passport is not None:
        lines.append(_metadata(PASSPORT, json.dumps(passport, ensure_ascii=False, sort_keys=True, allow_nan=False)))
    title = f" name={quoteattr(name)}" if name else ""
    lines.append(f'<resources><object id="1" type="model"{title}><mesh><vertices>')
    lines += [f'<vertex x="{x:.9g}" y="{y:.9g}" z="{z:.9g}"/>' for x, y, z in mesh.vertices.tolist()]
    lines.append("</vertices><triangles>")
    lines += [f'<triangle v1="{a}" v2="{b}" v3="{c}"/>' for a, b, c in mesh.faces.tolist() if a != b != c != a]
    lines.append('</triangles></mesh></object></resources><build><item objectid="1"/></build></model>')
    return _pack("\n".join(lines))


def _metadata(name: str, text: str) -> str:
    return f'<metadata name="{name}" preserve="1">{escape(text)}</metadata>'


def _pack(model: str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for part, text in (("[Content_Types].xml", _TYPES), ("_rels/.rels", _RELATIONS), (MODEL, model)):
            entry = zipfile.ZipInfo(part, (1980, 1, 1, 0, 0, 0))
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            archive.writestr(entry, text.encode("utf-8"))
    return packed.getvalue()


def with_metadata(data: bytes, name: str, text: str) -> bytes:
    """A file that ``write`` made, with one more text in it.

    Args:
        data: The file.
        name: ``passport:`` and a word; ``read_metadata`` finds it under this name.
        text: Without control characters, which XML cannot hold.
    """
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        before, mark, after = archive.read(MODEL).decode("utf-8").partition("<resources>")
    return _pack(f"{before}{_metadata(name, text)}\n{mark}{after}")


def read(data: bytes) -> Mesh:
    """Read every object that the file builds, in millimetres, side by side.

    Raises:
        InputError: ``mesh.unreadable`` or ``mesh.too-large``.
    """
    package = _Package(data)
    root = package.part(package.root())
    built = [package.object(item, item_transform, 0) for item, item_transform in root.items]
    parts = [part for parts in built for part in parts]
    if not parts:
        raise _unreadable("it builds no object with triangles")
    return joined([Mesh(part.vertices * root.unit, part.faces) for part in parts])


def read_passport(data: bytes) -> dict[str, Any] | None:
    """The passport inside a 3MF file that this project wrote, or None.

    Raises:
        InputError: ``mesh.unreadable``.
    """
    text = read_metadata(data, PASSPORT)
    if text is None:
        return None
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        raise _unreadable(f"its passport is damaged: {error}") from None
    return found if isinstance(found, dict) else None


def read_metadata(data: bytes, name: str) -> str | None:
    """The text that a file holds under this name, see ``with_metadata``; or None.

    Raises:
        InputError: ``mesh.unreadable``.
    """
    package = _Package(data)
    return package.part(package.root()).metadata.get(name)


def _unreadable(why: str) -> InputError:
    return InputError("mesh.unreadable", "The 3MF file cannot be read", seen=why, remedy="Export the mesh again")


class _Part:
    """What one model part says: unit, objects by id, items to build, metadata of this project."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.unit = 1.0
        self.items: list[tuple[tuple[str, str], NDArray[np.float64]]] = []
        self.meshes: dict[str, Mesh] = {}
        self.components: dict[str, list[tuple[tuple[str, str], NDArray[np.float64]]]] = {}
        self.metadata: dict[str, str] = {}
        self._name = ""
        self._object = ""
        self._vertices: list[tuple[float, float, float]] = []
        self._faces: list[tuple[int, int, int]] = []
        self._text: list[str] | None = None

    def start(self, tag: str, given: dict[str, str]) -> None:
        if tag == f"{CORE} vertex":
            self._vertices.append((float(given["x"]), float(given["y"]), float(given["z"])))
        elif tag == f"{CORE} triangle":
            if len(self._faces) == MOST_FACES:
                raise InputError("mesh.too-large", "The mesh has too many triangles", seen=f"more than {MOST_FACES}",
                                 remedy="Reduce it first")  # fmt: skip
            self._faces.append((int(given["v1"]), int(given["v2"]), int(given["v3"])))
        elif tag == f"{CORE} object":
            self._object = given["id"]
        elif tag in (f"{CORE} component", f"{CORE} item"):
            path = given.get(f"{PRODUCTION} path", self.name).lstrip("/")
            link = (path, given["objectid"]), _transform(given.get("transform"))
            if tag == f"{CORE} item":
                self.items.append(link)
            else:
                self.components.setdefault(self._object, []).append(link)
        elif tag == f"{CORE} model":
            unit = given.get("unit", "millimeter")
            if unit not in MILLIMETRES:
                raise _unreadable(f"unit {unit}")
            self.unit = MILLIMETRES[unit]
        elif tag == f"{CORE} metadata" and given.get("name", "").startswith("passport:"):
            self._name, self._text = given["name"], []

    def text(self, piece: str) -> None:
        if self._text is not None:
            self._text.append(piece)

    def end(self, tag: str) -> None:
        if tag == f"{CORE} mesh":
            faces = np.array(self._faces, dtype=np.int64).reshape(-1, 3)
            self.meshes[self._object] = Mesh(np.array(self._vertices, dtype=np.float64).reshape(-1, 3), faces)
            self._vertices, self._faces = [], []
        elif tag == f"{CORE} metadata" and self._text is not None:
            self.metadata[self._name], self._text = "".join(self._text), None


class _Package:
    """The ZIP file around the model parts; each part is parsed once."""

    def __init__(self, data: bytes) -> None:
        try:
            self._archive = zipfile.ZipFile(io.BytesIO(data))
        except _DAMAGED as error:
            raise _unreadable(str(error)) from None
        self._parts: dict[str, _Part] = {}
        self._faces = 0

    def _bytes(self, name: str) -> bytes:
        try:
            entry = self._archive.getinfo(name)
            if entry.file_size > LARGEST_PART:
                raise InputError("mesh.too-large", "The 3MF file unpacks to too much", seen=f"{entry.file_size} bytes",
                                 remedy="Reduce the mesh first")  # fmt: skip
            return self._archive.read(entry)
        except KeyError:
            raise _unreadable(f"no part {name}") from None
        except _DAMAGED as error:
            raise _unreadable(f"{name}: {error}") from None

    def root(self) -> str:
        """Name of the model part that the package starts with."""
        targets: list[str] = []

        def start(tag: str, given: dict[str, str]) -> None:
            if tag.endswith(" Relationship") and given.get("Type") == RELATION:
                targets.append(given.get("Target", "").lstrip("/"))

        _parse(self._bytes("_rels/.rels"), "_rels/.rels", start)
        if not targets:
            raise _unreadable("it names no model")
        return targets[0]

    def part(self, name: str) -> _Part:
        if name not in self._parts:
            part = _Part(name)
            _parse(self._bytes(name), name, part.start, part.text, part.end)
            self._parts[name] = part
        return self._parts[name]

    def object(self, link: tuple[str, str], transform: NDArray[np.float64], depth: int) -> list[Mesh]:
        """The triangles of an object and its components, placed by (4, 3) ``transform``, in the file's unit."""
        if depth > DEEPEST:
            raise _unreadable("its components contain each other")
        path, name = link
        part = self.part(path)
        found: list[Mesh] = []
        if name in part.meshes and len(part.meshes[name].faces):
            mesh = part.meshes[name]
            self._faces += len(mesh.faces)
            if self._faces > MOST_FACES:
                raise InputError("mesh.too-large", "The mesh has too many triangles", seen=f"more than {MOST_FACES}",
                                 remedy="Reduce it first")  # fmt: skip
            placed = mesh.vertices @ transform[:3] + transform[3]
            # A mirroring transform turns the surface inside out unless the winding follows.
            faces = mesh.faces[:, ::-1] if np.linalg.det(transform[:3]) < 0 else mesh.faces
            found.append(Mesh(placed, faces))
        for other, inner in part.components.get(name, []):
            whole = np.concatenate([inner[:3] @ transform[:3], (inner[3] @ transform[:3] + transform[3])[None]])
            found += self.object(other, whole, depth + 1)
        return found


def _transform(text: str | None) -> NDArray[np.float64]:
    """(4, 3) matrix of a transform attribute: three rows of a linear map, then the shift."""
    if text is None:
        return np.concatenate([np.eye(3), np.zeros((1, 3))])
    return np.array([float(number) for number in text.split()], dtype=np.float64).reshape(4, 3)


def _parse(data: bytes, name: str, start, text=None, end=None) -> None:
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True

    def refuse(*_: object) -> None:
        raise _unreadable(f"{name} declares a document type")

    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler = start
    if text:
        parser.CharacterDataHandler = text
    if end:
        parser.EndElementHandler = end
    try:
        parser.Parse(data, True)
    except (expat.ExpatError, KeyError, ValueError) as error:
        raise _unreadable(f"{name}: {error}") from None
