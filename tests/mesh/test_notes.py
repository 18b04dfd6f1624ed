"""A text inside mesh files: there when it was put there, harmless to the mesh, and nowhere else."""

from __future__ import annotations

import json

import numpy as np
import pytest

from pipelines.core.errors import InputError
from pipelines.mesh import export, ifc, notes
from tests.mesh.shapes import ball, box

TEXT = json.dumps({"a": "*/ --> ]]> & <b> \\ é \u2028", "list": [1, 2.5, None], "end": "ply\nend_header\n"})
STEP = b"""ISO-10303-21;
HEADER;
ENDSEC;
DATA;
#1=IFCCARTESIANPOINT((0.,0.,0.));
#2=IFCCARTESIANPOINTLIST3D(((0.,0.,0.),(10.,0.,0.),(0.,1.E1,0.),(0.,0.,10.)));
#3=IFCTRIANGULATEDFACESET(#2,$,.T.,((1,3,2),(1,2,4),(2,3,4),(3,1,4)),$);
ENDSEC;
END-ISO-10303-21;
"""


@pytest.mark.parametrize("format", export.READABLE)
def test_there_and_back(format: str) -> None:
    body = export.encode(ball(), format)
    data = notes.attach(body, format, TEXT)
    before, after = export.decode(body, format), export.decode(data, format)
    assert np.array_equal(before.vertices, after.vertices) and np.array_equal(before.faces, after.faces)
    assert notes.attached(body) is None
    if format == "stl":
        assert data == body and notes.attached(data) is None
    else:
        assert json.loads(notes.attached(data) or "") == json.loads(TEXT)


def test_ifc() -> None:
    data = notes.attach(STEP, "ifc", TEXT)
    assert data.startswith(b"ISO-10303-21;\n/* ") and data.count(b"*/") == 1
    assert json.loads(notes.attached(data) or "") == json.loads(TEXT)
    mesh = ifc.read_own(data)
    assert mesh.vertices.tolist() == [[0, 0, 0], [10, 0, 0], [0, 10, 0], [0, 0, 10]]
    assert mesh.faces.tolist() == [[0, 2, 1], [0, 1, 3], [1, 2, 3], [2, 0, 3]]


@pytest.mark.parametrize(
    "data", [b"", b"ISO-10303-21;", STEP.replace(b"10.,", b"x,"), STEP.replace(b"(1,3,2)", b"(1,3)")]
)
def test_other_ifc_is_refused(data: bytes) -> None:
    with pytest.raises(InputError) as caught:
        ifc.read_own(data)
    assert caught.value.code == "mesh.unreadable"


@pytest.mark.parametrize(
    "data",
    [
        b"", b"glTF", b"glTF" + bytes(16), b"glTF\x02\0\0\0\x20\0\0\0\x04\0\0\0JSON[1]", b"# studio.sidecar [1]\n",
        b"ply\nformat ascii 1.0\ncomment studio.sidecar\nend_header\n", b"p", b"\x89PNG\r\n\x1a\n", bytes(84),
    ],
)  # fmt: skip
def test_files_that_carry_nothing(data: bytes) -> None:
    assert notes.attached(data) is None


def test_a_damaged_package_is_one_clear_error() -> None:
    data = export.encode(box(), "3mf")
    with pytest.raises(InputError) as caught:
        notes.attached(data[: len(data) // 2])
    assert caught.value.code == "mesh.unreadable"
