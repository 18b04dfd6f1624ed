"""Files: every format gives the mesh back, 3MF passes the strict reader, a slicer agrees, bad files say so."""

from __future__ import annotations

import io
import json
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from pipelines.core.errors import InputError, PipelineError
from pipelines.core.types import Mesh
from pipelines.mesh import export, topology
from pipelines.mesh.printability import PROFILES, passport
from pipelines.mesh.repair import repair
from tests.mesh import slicer
from tests.mesh.shapes import ball, box, together, tube, turned

SHAPES = {
    "box": box(at=(-10, -15, 0)),
    "ball": ball(detail=4),
    "hollow": together(ball(10), turned(ball(8))),
    "tube": tube(),
    "far": ball(10, at=(400.0, 300.0, 10.0)),
}


def corners(mesh: Mesh) -> np.ndarray:
    """(F, 3, 3) triangles, each starting at its smallest corner, sorted: equal for equal surfaces and winding."""
    triangles = np.round(mesh.vertices[mesh.faces], 2) + 0.0
    first = [min(range(3), key=lambda k: tuple(t[k])) for t in triangles]
    rolled = [np.roll(t, -k, axis=0).reshape(-1) for t, k in zip(triangles, first, strict=True)]
    return np.array(sorted(map(tuple, rolled)))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("format", export.READABLE)
def test_every_format_gives_the_mesh_back(format: str, shape: str) -> None:
    mesh = SHAPES[shape]
    back = export.decode(export.encode(mesh, format, name="A & <B>"), format)
    assert back.vertices.dtype == np.float64 and back.faces.dtype == np.int64
    assert back.vertices.shape == mesh.vertices.shape and back.faces.shape == mesh.faces.shape
    np.testing.assert_allclose(corners(back), corners(mesh), atol=0.011)
    np.testing.assert_allclose(back.vertices.min(0), mesh.vertices.min(0), atol=1e-4)
    assert topology.volume(back) == pytest.approx(topology.volume(mesh), rel=1e-4)
    assert topology.edge_report(back).closed


@pytest.mark.parametrize("shape", SHAPES)
def test_the_strict_3mf_reader_accepts_it_without_a_warning(shape: str) -> None:
    import lib3mf

    mesh = SHAPES[shape]
    report = passport(mesh, PROFILES["generic"])
    data = export.encode(mesh, "3mf", passport=report, name="A & <B>")
    model = lib3mf.get_wrapper().CreateModel()
    reader = model.QueryReader("3mf")
    reader.SetStrictModeActive(True)
    reader.ReadFromBuffer(data)
    assert [reader.GetWarning(k) for k in range(reader.GetWarningCount())] == []
    assert model.GetUnit() == lib3mf.ModelUnit.MilliMeter
    items = model.GetBuildItems()
    assert items.MoveNext()
    item = items.GetCurrent()
    assert not item.HasObjectTransform() and not items.MoveNext()
    read = model.GetMeshObjects()
    assert read.MoveNext()
    one = read.GetCurrentMeshObject()
    assert (one.GetVertexCount(), one.GetTriangleCount()) == (len(mesh.vertices), len(mesh.faces))
    assert one.IsManifoldAndOriented() and one.GetName() == "A & <B>"


def test_the_passport_travels_inside_3mf() -> None:
    mesh = SHAPES["hollow"]
    report = passport(mesh, PROFILES["prusa-mk4"], scale_source="height 20 mm")
    data = export.encode(mesh, "3mf", passport=report)
    assert export.read_passport(data) == json.loads(json.dumps(report.as_dict()))
    assert export.read_passport(export.encode(mesh, "3mf")) is None
    assert data == export.encode(mesh, "3mf", passport=report)


@pytest.mark.skipif(slicer.SLICER is None, reason="prusa-slicer is not installed")
@pytest.mark.parametrize("shape", ["box", "hollow", "tube"])
@pytest.mark.parametrize("format", ["stl", "3mf"])
def test_a_slicer_calls_it_manifold_and_of_this_size(tmp_path: Path, format: str, shape: str) -> None:
    mesh = SHAPES[shape]
    info = slicer_info(tmp_path, mesh, format)
    assert info["manifold"] == "yes" and int(info["number_of_facets"]) == len(mesh.faces)
    assert "open_edges" not in info and "facets_reversed" not in info
    size = [float(info[f"size_{axis}"]) for axis in "xyz"]
    np.testing.assert_allclose(size, np.ptp(mesh.vertices, axis=0), atol=1e-3)
    assert float(info["volume"]) == pytest.approx(topology.volume(mesh), rel=1e-4)


@pytest.mark.skipif(slicer.SLICER is None, reason="prusa-slicer is not installed")
def test_a_slicer_agrees_about_what_is_broken_and_repaired(tmp_path: Path) -> None:
    broken = together(turned(ball(10)), Mesh(box().vertices, box().faces[:, ::-1][:-1]))
    assert slicer_info(tmp_path, broken, "stl")["manifold"] == "no"
    fixed = repair(together(turned(ball(10)), box((5, 5, 5), at=(7, 0, 0)))).mesh
    for format in ("stl", "3mf"):
        info = slicer_info(tmp_path, fixed, format)
        assert info["manifold"] == "yes" and info["number_of_parts"] == "1"
        assert "open_edges" not in info and "facets_reversed" not in info


@pytest.mark.skipif(slicer.SLICER is None, reason="prusa-slicer is not installed")
def test_a_slicer_prints_the_same_amount_from_stl_and_3mf(tmp_path: Path) -> None:
    """Infill and lines of a solid ball and of a hollow one: the G-code holds plastic, and less for the hollow."""
    used = {}
    for name, mesh in (("solid", ball(6)), ("hollow", together(ball(6), turned(ball(4))))):
        for format in ("stl", "3mf"):
            path = tmp_path / f"{name}.{format}"
            path.write_bytes(export.encode(mesh, format))
            used[name, format], text = slicer.sliced(path)
            assert "; estimated printing time (normal mode) = " in text
        assert used[name, "stl"] == pytest.approx(used[name, "3mf"], rel=0.02)
    volumes = {"solid": 4 / 3 * np.pi * 0.216, "hollow": 4 / 3 * np.pi * (0.216 - 0.064)}
    # Skirt and rounding to lines come on top.
    assert used["solid", "stl"] == pytest.approx(volumes["solid"], rel=0.15)
    assert used["hollow", "stl"] == pytest.approx(volumes["hollow"], rel=0.3)


def slicer_info(folder: Path, mesh: Mesh, format: str) -> dict[str, str]:
    path = folder / f"model.{format}"
    path.write_bytes(export.encode(mesh, format))
    return slicer.info(path)


def test_text_stl_is_read() -> None:
    lines = ["solid thing"]
    for triangle in box().vertices[box().faces]:
        lines += ["facet normal 0 0 0", "outer loop"]
        lines += ["vertex " + " ".join(f"{value:.6e}" for value in corner) for corner in triangle]
        lines += ["endloop", "endfacet"]
    back = export.decode("\n".join([*lines, "endsolid thing", ""]).encode(), "stl")
    assert len(back.vertices) == 8 and topology.volume(back) == pytest.approx(6000)


def test_a_binary_stl_may_begin_with_the_word_solid() -> None:
    data = export.encode(box(), "stl")
    back = export.decode(b"solid by someone".ljust(80) + data[80:], "stl")
    assert len(back.vertices) == 8 and topology.volume(back) == pytest.approx(6000)


def test_3mf_units_transforms_components_and_other_parts_count() -> None:
    core, production = export.threemf.CORE, export.threemf.PRODUCTION
    cube = "".join(f'<vertex x="{x}" y="{y}" z="{z}"/>' for x, y, z in box((1, 1, 1)).vertices)
    cube += "</vertices><triangles>"
    cube += "".join(f'<triangle v1="{a}" v2="{b}" v3="{c}"/>' for a, b, c in box((1, 1, 1)).faces)
    other = f'<model unit="inch" xmlns="{core}"><resources><object id="7"><mesh><vertices>{cube}</triangles></mesh>'
    other += "</object></resources><build/></model>"
    main = f'<model unit="inch" xmlns="{core}" xmlns:p="{production}"><resources><object id="1"><components>'
    main += '<component p:path="/3D/o.model" objectid="7" transform="-2 0 0 0 1 0 0 0 1 5 0 0"/></components></object>'
    main += '</resources><build><item objectid="1" transform="1 0 0 0 1 0 0 0 1 0 0 3"/></build></model>'
    back = export.decode(package(main, other), "3mf")
    np.testing.assert_allclose([back.vertices.min(0), back.vertices.max(0)], [[76.2, 0, 76.2], [127, 25.4, 101.6]])
    assert topology.volume(back) == pytest.approx(2 * 25.4**3)


def package(main: str, other: str = "") -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("_rels/.rels", export.threemf._RELATIONS)
        archive.writestr("3D/3dmodel.model", main)
        archive.writestr("3D/o.model", other)
    return packed.getvalue()


LOOP = (
    f'<model xmlns="{export.threemf.CORE}"><resources><object id="1"><components><component objectid="1"/></components>'
    '</object></resources><build><item objectid="1"/></build></model>'
)
BAD = {
    "empty": (b"", "stl", "mesh.unreadable"),
    "not a zip": (b"hello", "3mf", "mesh.unreadable"),
    "cut stl": (export.encode(box(), "stl")[:-10], "stl", "mesh.unreadable"),
    "noise stl": (b"\x07" * 200, "stl", "mesh.unreadable"),
    "cut glb": (export.encode(box(), "glb")[:-100], "glb", "mesh.unreadable"),
    "noise glb": (b"\x07" * 200, "glb", "mesh.unreadable"),
    "noise ply": (b"\x07" * 200, "ply", "mesh.unreadable"),
    "cut ply": (export.encode(box(), "ply")[:-10], "ply", "mesh.unreadable"),
    "obj without faces": (b"v 0 0 0\nv 1 0 0\nv 0 1 0\n", "obj", "mesh.empty"),
    "no model": (package("<model/>").replace(b"3D/3dmodel.model", b"3D/3dmodel.mxdel"), "3mf", "mesh.unreadable"),
    "entities": (package('<!DOCTYPE m [<!ENTITY a "b">]><model>&a;</model>'), "3mf", "mesh.unreadable"),
    "loop": (package(LOOP), "3mf", "mesh.unreadable"),
    "ifc": (b"ISO-10303-21;", "ifc", "mesh.format"),
    "unknown": (b"x", "step", "mesh.format"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_is_one_clear_error(case: str) -> None:
    data, format, code = BAD[case]
    with pytest.raises(InputError) as caught:
        export.decode(data, format)
    assert caught.value.code == code and caught.value.seen is not None and caught.value.remedy


@pytest.mark.parametrize("format", export.READABLE)
def test_damaged_bytes_give_a_mesh_or_the_one_error(format: str) -> None:
    rng = np.random.default_rng(7)
    good = export.encode(ball(detail=1), format, passport=passport(ball(detail=1), PROFILES["generic"]))
    refused = 0
    for _ in range(150):
        data = bytearray(good)
        for at in rng.integers(0, min(len(data), 600), rng.integers(1, 6)):
            data[at] = rng.integers(0, 256)
        cut = bytes(data[: rng.integers(1, len(data))] if rng.random() < 0.3 else data)
        try:
            mesh = export.decode(cut, format)
        except InputError as error:
            refused += 1
            assert error.code.startswith("mesh.") and error.seen is not None
        else:
            assert np.isfinite(mesh.vertices[np.unique(mesh.faces)]).all()
    assert refused > 10


@pytest.mark.parametrize("packing", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_damaged_archive_is_one_error_however_it_is_packed(packing: int) -> None:
    good, packed = io.BytesIO(export.encode(box(), "3mf")), io.BytesIO()
    with zipfile.ZipFile(good) as source, zipfile.ZipFile(packed, "w", packing) as target:
        for name in source.namelist():
            target.writestr(name, source.read(name))
    assert topology.volume(export.decode(packed.getvalue(), "3mf")) == pytest.approx(6000)
    rng = np.random.default_rng(11)
    refused = 0
    for _ in range(400):
        data = bytearray(packed.getvalue())
        data[rng.integers(len(data))] = rng.integers(0, 256)
        try:
            export.decode(bytes(data), "3mf")
        except InputError as error:
            refused += 1
            assert error.code.startswith("mesh.")
    assert refused > 100


def test_too_many_bytes_are_refused_before_they_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "MOST_BYTES", 100)
    with pytest.raises(InputError, match="too large"):
        export.decode(export.encode(box(), "stl"), "stl")
    monkeypatch.undo()
    monkeypatch.setattr(export.threemf, "LARGEST_PART", 100)
    with pytest.raises(InputError, match="unpacks to too much"):
        export.decode(export.encode(box(), "3mf"), "3mf")


def test_no_other_file_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "secret.bin").write_bytes(b"\0" * 100)
    gltf = export.encode(box(), "glb")
    length = int.from_bytes(gltf[12:16], "little")
    tree = json.loads(gltf[20 : 20 + length])
    tree["buffers"][0]["uri"] = "secret.bin"
    text = json.dumps(tree).encode()
    text += b" " * (-len(text) % 4)
    chunk = len(text).to_bytes(4, "little") + b"JSON" + text
    with pytest.raises(InputError) as caught:
        export.decode(b"glTF" + (2).to_bytes(4, "little") + (12 + len(chunk)).to_bytes(4, "little") + chunk, "glb")
    assert caught.value.code == "mesh.unreadable"
    plain = export.decode(b"mtllib ../secret.mtl\nusemtl a\n" + export.encode(box(), "obj"), "obj")
    assert topology.volume(plain) == pytest.approx(6000)


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(InputError) as caught:
        export.encode(box(), "step")
    assert caught.value.code == "mesh.format"


def test_ifc_without_its_library_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ifcopenshell", None)
    with pytest.raises(PipelineError) as caught:
        export.encode(box(), "ifc")
    assert caught.value.code == "mesh.needs-extra" and "aec" in caught.value.remedy


def test_ifc_holds_the_body_in_millimetres() -> None:
    ifcopenshell = pytest.importorskip("ifcopenshell", reason="ifcopenshell (extra aec) is not installed")
    file = ifcopenshell.file.from_string(export.encode(box(), "ifc", name="House").decode())
    (element,) = file.by_type("IfcBuildingElementProxy")
    (surface,) = element.Representation.Representations[0].Items
    assert element.Name == "House" and surface.Closed
    back = Mesh(np.array(surface.Coordinates.CoordList), np.array(surface.CoordIndex, dtype=np.int64) - 1)
    assert topology.volume(back) == pytest.approx(6000)
    (unit,) = [unit for unit in file.by_type("IfcSIUnit") if unit.UnitType == "LENGTHUNIT"]
    assert (unit.Prefix, unit.Name) == ("MILLI", "METRE")
