"""Point clouds as files: there and back, the same bytes every day, files of other programs, and files that lie."""

from __future__ import annotations

import datetime
import io
import json
import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import laspy
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.core.errors import InputError
from pipelines.core.types import Cloud
from pipelines.mesh import cloud_las, cloud_ply, clouds, export, notes
from tests.mesh.shapes import box

TEXT = json.dumps({"a": "\\ é \u2028", "end": "ply\nend_header\n", "list": [1, 2.5, None]})
CORNERS = [[0.0, 0.0, 0.0], [1.0, 2.0, 3.0], [-4.0, 5.5, 6.25]]


def cloud(
    number: int = 300, *, coloured: bool = True, directed: bool = True, at: float = 0.0, size: float = 1.0
) -> Cloud:
    rng = np.random.default_rng(number)
    points = (rng.normal(size=(number, 3)) * size + at).astype(np.float32)
    directions = rng.normal(size=(number, 3))
    directions = (directions / np.linalg.norm(directions, axis=1, keepdims=True)).astype(np.float32)
    bytes_ = rng.integers(0, 256, (number, 3)).astype(np.uint8)
    return Cloud(points, bytes_ if coloured else None, directions if directed else None)


CLOUDS = {
    "places": cloud(coloured=False, directed=False),
    "colours": cloud(directed=False),
    "normals": cloud(coloured=False),
    "both": cloud(),
    "one": cloud(1),
    "black": Cloud(cloud().points, np.zeros((300, 3), np.uint8)),
    "far": cloud(at=5e5, size=20.0),
    "far, tiny": cloud(at=0.7, size=1e-5),
    "huge": cloud(size=1e15),
    "small": cloud(size=1e-20),
    "one place": Cloud(np.full((4, 3), 0.1, np.float32)),
    "flat": Cloud(cloud().points * np.array([1, 1, 0], np.float32)),
}


def same(one: np.ndarray | None, other: np.ndarray | None) -> bool:
    """Equal types and bits, or both missing."""
    if one is None or other is None:
        return one is other
    return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()


def colours(of: Cloud) -> np.ndarray:
    assert of.colours is not None
    return of.colours


def normals(of: Cloud) -> np.ndarray:
    assert of.normals is not None
    return of.normals


def refused(data: bytes, format: str) -> InputError:
    with pytest.raises(InputError) as caught:
        clouds.decode(data, format)
    return caught.value


@pytest.mark.parametrize("name", CLOUDS)
@pytest.mark.parametrize("format", ["ply", "xyz"])
def test_bit_for_bit(format: str, name: str) -> None:
    given = CLOUDS[name]
    data = clouds.encode(given, format)
    back = clouds.decode(data, format)
    assert same(back.points, given.points)
    assert same(back.colours, given.colours) and same(back.normals, given.normals)
    assert data == clouds.encode(back, format)


@pytest.mark.parametrize("name", CLOUDS)
@pytest.mark.parametrize("format", ["las", "laz"])
def test_within_the_step(format: str, name: str) -> None:
    given = CLOUDS[name]
    back = clouds.decode(clouds.encode(given, format), format)
    longest = np.ptp(given.points.astype(np.float64), axis=0).max()
    off = np.abs(back.points.astype(np.float64) - given.points).max()
    # Half of a step, and what float32 rounds at the largest coordinate, which no way around.
    assert off <= longest * 2.0**-25 * 1.5 and (off == 0) == (name in ("one", "far", "far, tiny", "one place"))
    assert same(back.colours, given.colours) and same(back.normals, given.normals)


@pytest.mark.parametrize("format", clouds.FORMATS)
def test_the_same_bytes_on_every_day(format: str, monkeypatch: pytest.MonkeyPatch) -> None:
    first = clouds.encode(CLOUDS["both"], format)

    class Later(datetime.date):
        @classmethod
        def today(cls) -> Later:
            return cls(2031, 7, 9)

    monkeypatch.setattr(laspy.header, "date", Later)
    assert laspy.LasHeader().creation_date == datetime.date(2031, 7, 9)
    assert clouds.encode(CLOUDS["both"], format) == first


@pytest.mark.parametrize("compressed", [False, True])
def test_las_says_what_it_is(compressed: bool) -> None:
    for name, kind in (("both", 7), ("normals", 6)):
        las = laspy.read(io.BytesIO(clouds.encode(CLOUDS[name], "laz" if compressed else "las")))
        header: Any = las.header
        assert str(header.version) == "1.4" and header.point_format.id == kind
        assert header.generating_software == "creative-studio" and header.global_encoding.wkt
        assert header.are_points_compressed is compressed
        assert list(header.point_format.extra_dimension_names) == ["NormalX", "NormalY", "NormalZ"]
        assert set(np.asarray(las["return_number"])) == {1} and header.number_of_points_by_return[0] == 300
        np.testing.assert_allclose(header.mins, CLOUDS[name].points.min(0), atol=1e-6)
        np.testing.assert_allclose(header.maxs, CLOUDS[name].points.max(0), atol=1e-6)
        np.testing.assert_array_equal(
            [(one.min[0], one.max[0]) for one in header.vlrs.get("ExtraBytesVlr")[0].extra_bytes_structs],
            np.stack([normals(CLOUDS[name]).min(0), normals(CLOUDS[name]).max(0)], 1),
        )
        assert header.scales.max() < 1e-6 * np.ptp(CLOUDS[name].points, axis=0).max()
        if kind == 7:
            assert np.array_equal(np.asarray(las["red"]), colours(CLOUDS[name])[:, 0].astype(int) * 257)


def test_many_blocks_are_one_cloud(monkeypatch: pytest.MonkeyPatch) -> None:
    given = cloud(70_000)
    for format in ("las", "laz"):
        whole = clouds.encode(given, format)
        monkeypatch.setattr(cloud_las, "_BLOCK", 100_000)
        assert clouds.encode(given, format) == whole
        back = clouds.decode(whole, format)
        monkeypatch.undo()
        assert same(back.points, clouds.decode(whole, format).points) and same(back.normals, given.normals)
        np.testing.assert_allclose(back.points, given.points, atol=1e-6)


@pytest.mark.parametrize("name", ["places", "both"])
@pytest.mark.parametrize("text", [None, TEXT, json.dumps({"long": "x" * 200_000})], ids=["none", "short", "long"])
def test_open3d_reads_our_ply(tmp_path: Path, name: str, text: str | None) -> None:
    open3d = pytest.importorskip("open3d")
    given = CLOUDS[name]
    data = clouds.encode(given, "ply")
    path = tmp_path / "a.ply"
    path.write_bytes(data if text is None else clouds.attach(data, "ply", text))
    read = open3d.io.read_point_cloud(str(path))
    assert np.array_equal(np.asarray(read.points), given.points.astype(np.float64))
    assert read.has_colors() == read.has_normals() == (name == "both")
    if name == "both":
        assert np.array_equal(np.rint(np.asarray(read.colors) * 255), colours(given))
        assert np.array_equal(np.asarray(read.normals), normals(given))


def test_ours_reads_what_open3d_writes(tmp_path: Path) -> None:
    open3d = pytest.importorskip("open3d")
    given = CLOUDS["both"]
    made = open3d.geometry.PointCloud(open3d.utility.Vector3dVector(given.points))
    made.colors = open3d.utility.Vector3dVector(colours(given) / 255)
    made.normals = open3d.utility.Vector3dVector(normals(given))
    for name, format, text in (("a.ply", "ply", True), ("b.ply", "ply", False), ("c.xyzn", "xyz", False)):
        path = tmp_path / name
        assert open3d.io.write_point_cloud(str(path), made, write_ascii=text)
        back = clouds.decode(path.read_bytes(), format)
        np.testing.assert_allclose(back.points, given.points, atol=2e-5)
        np.testing.assert_allclose(normals(back), normals(given), atol=2e-5)
        assert format == "xyz" or same(back.colours, given.colours)


BIG = (
    b"ply\r\nformat binary_big_endian 1.0\r\ncomment made by hand\r\nelement camera 2\r\nproperty short id\r\n"
    b"element vertex 3\r\nproperty uchar diffuse_blue\r\nproperty double z\r\nproperty uchar diffuse_red\r\n"
    b"property double x\r\nproperty ushort class\r\nproperty double y\r\nproperty uchar diffuse_green\r\n"
    b"element face 0\r\nproperty list uchar int vertex_indices\r\n"
    b"element edge 1\r\nproperty list uchar int ends\r\nend_header\r\n"
    + struct.pack(">2h", 7, 8)
    + b"".join(struct.pack(">BdBdHdB", 30 + k, z, 10 + k, x, 9, y, 20 + k) for k, (x, y, z) in enumerate(CORNERS))
    + struct.pack(">B2i", 2, 0, 1)
)
TEXTUAL = b"""ply
format ascii 1.0
obj_info by hand
element before 2
property list uchar int many
element vertex 3
property float nz
property float x
property float red
property float y
property int label
property float green
property float z
property float blue
property float nx
property float ny
element other 1
property float a
end_header
3 1 2 3
0
1 0 0.5 0 7 1 0 0 0 0

2.0 1.0 0.5 2 7 1 3.0 0 0 0
1 -4 .5 5.5e0 7 1.0 6.25 0 0 0
1.5
"""


def test_ply_of_others() -> None:
    back = clouds.decode(BIG, "ply")
    assert back.points.tolist() == CORNERS and back.normals is None
    assert colours(back).tolist() == [[10 + k, 20 + k, 30 + k] for k in range(3)]
    back = clouds.decode(TEXTUAL, "ply")
    assert back.points.tolist() == CORNERS and normals(back).tolist() == [[0, 0, 1]] * 3
    assert colours(back).tolist() == [[128, 255, 0]] * 3


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [("u1", 200, 200), ("u2", 200 * 257, 200), ("u2", 200, 200), ("i4", 300, 1), ("f4", 0.5, 128), ("f8", 200.0, 200),
     ("i1", -3, 0), ("f4", np.nan, 0)],
)  # fmt: skip
def test_colours_of_any_type(kind: str, value: float, expected: int) -> None:
    names = {code: name for name, code in cloud_ply._TYPES.items()}
    rows = np.zeros(2, [("x", "<f4"), ("y", "<f4"), ("z", "<f4"), *((name, "<" + kind) for name in "rgb")])
    rows["r"] = rows["g"] = value
    header = "ply\nformat binary_little_endian 1.0\nelement vertex 2\n"
    header += "".join(
        f"property {names[np.dtype(rows.dtype[name]).str[1:]]} {name}\n" for name in rows.dtype.names or ()
    )
    back = clouds.decode(f"{header}end_header\n".encode() + rows.tobytes(), "ply")
    assert colours(back).tolist() == [[expected, expected, 0]] * 2


def test_a_mesh_is_no_cloud() -> None:
    mesh = export.encode(box(), "ply")
    error = refused(mesh, "ply")
    assert error.code == "cloud.is-mesh" and "12 of face" in str(error.seen) and "meshes" in error.remedy
    assert not clouds.holds(mesh, "ply") and not clouds.holds(mesh[:40], "ply") and not clouds.holds(b"", "ply")
    for data in (BIG, TEXTUAL, clouds.encode(CLOUDS["both"], "ply")):
        assert clouds.holds(data, "ply")
    assert all(clouds.holds(b"", format) for format in ("xyz", "las", "laz")) and not clouds.holds(b"", "stl")


@pytest.mark.parametrize(
    ("text", "coloured", "directed"),
    [
        (b"0 0 0\n1 2 3\n-4 5.5 6.25", None, None),
        (b"\xef\xbb\xbf// X Y Z\r\n# note\r\n0,0,0\r\n\r\n  1, 2,\t3\r\n-4,5.5,6.25\r\n", None, None),
        (b"0;0;0\n1,0;2;3\n-4;5,5;6,25\n", None, None),
        (b"0 0 0 10 20 30\n1 2 3 0 0 0\n-4 5.5 6.25 255.0 1 1\n", [[10, 20, 30], [0, 0, 0], [255, 1, 1]], None),
        (b"0 0 0 0 0 0\n1 2 3 0 0 0\n-4 5.5 6.25 0 0 0\n", [[0, 0, 0]] * 3, None),
        (b"0 0 0 0 0 1\n1 2 3 1 0 0\n-4 5.5 6.25 0 1 0\n", None, [[0, 0, 1], [1, 0, 0], [0, 1, 0]]),
        (b"0 0 0 0 0 -9\n1 2 3 0 0 0\n-4 5.5 6.25 0 3 0\n", None, [[0, 0, -1], [0, 0, 1], [0, 1, 0]]),
        (b"0 0 0 1 2 3 0 0 1\n1 2 3 4 5 6 0 0 1\n-4 5.5 6.25 7 8 9 0 0 2\n",
         [[1, 2, 3], [4, 5, 6], [7, 8, 9]], [[0, 0, 1]] * 3),
        (b"0 0 0 0 0 -1 1 2 3\n1 2 3 0 0 1 4 5 6\n-4 5.5 6.25 0 1 0 7 8 9\n",
         [[1, 2, 3], [4, 5, 6], [7, 8, 9]], [[0, 0, -1], [0, 0, 1], [0, 1, 0]]),
        (b"3\n0 0 0 -1800 1 2 3\n1 2 3 90 4 5 6\n-4 5.5 6.25 0 7 8 9\n", [[1, 2, 3], [4, 5, 6], [7, 8, 9]], None),
        (b"3\n0 0 0 .5\n1 2 3 .5\n-4 5.5 6.25 .5\n", None, None),
    ],
)  # fmt: skip
def test_xyz_of_others(text: bytes, coloured: Any, directed: Any) -> None:
    back = clouds.decode(text, "xyz")
    assert back.points.tolist() == CORNERS
    assert (None if back.colours is None else back.colours.tolist()) == coloured
    assert (None if back.normals is None else back.normals.tolist()) == directed


def las_of_others(kind: int, version: str, *, compressed: bool, deep: bool) -> bytes:
    header = laspy.LasHeader(point_format=kind, version=version)
    header.scales, header.offsets = np.full(3, 0.001), np.array([500_000.0, 5_000_000.0, 0.0])
    rows: Any = laspy.PackedPointRecord.zeros(200, header.point_format)
    for axis, name in enumerate("XYZ"):
        rows.array[name] = np.arange(200) * (axis + 1) * 1000 + 123
    for name in ("red", "green", "blue"):
        rows.array[name] = np.arange(200) * (257 if deep else 1)
    out = io.BytesIO()
    backend = laspy.LazBackend.Lazrs
    with laspy.LasWriter(out, header, do_compress=compressed, laz_backend=backend, closefd=False) as writer:
        writer.write_points(rows)
    return out.getvalue()


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize(("kind", "version"), [(2, "1.2"), (3, "1.3"), (7, "1.4"), (8, "1.4")])
def test_las_of_others(kind: int, version: str, compressed: bool, deep: bool) -> None:
    back = clouds.decode(las_of_others(kind, version, compressed=compressed, deep=deep), "laz" if compressed else "las")
    assert np.array_equal(colours(back), np.arange(200)[:, None].repeat(3, 1))
    moved = back.points.astype(np.float64) - np.arange(200)[:, None] * [1, 2, 3]
    # Near the origin now, all by one way, and that a round one: 597 long, so thousands.
    np.testing.assert_allclose(moved, moved[0][None].repeat(200, 0), atol=1e-4)
    np.testing.assert_allclose(moved[0], np.rint(moved[0] / 1000) * 1000 + 0.123, atol=1e-4)
    assert np.abs(back.points).max() < 1000


def test_laz_without_chunks() -> None:
    """As its first writers made it: one chunk, no table."""
    given = las_of_others(2, "1.2", compressed=True, deep=True)
    (start,) = struct.unpack_from("<I", given, 96)
    (table,) = struct.unpack_from("<q", given, start)
    record = given.index(b"laszip encoded") - 2 + 54
    made = _at(given, record, "H", 1)
    made = made[:start] + made[start + 8 : table]
    assert same(clouds.decode(made, "laz").points, clouds.decode(given, "laz").points)
    assert refused(made[:-20], "laz").code == "cloud.unreadable"


@pytest.mark.parametrize("format", ["ply", "xyz"])
def test_places_far_away_come_near(format: str) -> None:
    places = np.array(
        [[500_000.125, 5_000_000.5, 12.0], [500_010.25, 5_000_020.75, 13.5], [500_003.0, 5_000_001.0, 0.1]]
    )
    data = "\n".join(" ".join(map(str, place)) for place in places).encode()
    if format == "ply":
        header = "ply\nformat ascii 1.0\nelement vertex 3\n" + "".join(f"property float {name}\n" for name in "xyz")
        data = f"{header}end_header\n".encode() + data
    back = clouds.decode(data, format).points.astype(np.float64)
    np.testing.assert_allclose(back - back[0], places - places[0], atol=1e-5)
    moved = places[0] - back[0]
    np.testing.assert_allclose(moved, np.rint(moved / 100) * 100, atol=1e-5)
    assert np.abs(back).max() < 200


def test_checked() -> None:
    given = Cloud(
        np.array(CORNERS),
        np.ones((3, 3), np.uint8),
        np.array([[0, 0, 4], [0, 0, 0], [np.nan, 0, 1]]),  # type: ignore[arg-type]
    )
    found = clouds.checked(given)
    assert found.points.dtype == np.float32 and found.points.flags.c_contiguous
    assert normals(found).tolist() == [[0, 0, 1]] * 3 and normals(found).dtype == np.float32
    assert clouds.checked(Cloud(found.points, None, np.zeros((3, 3), np.float32))).normals is None
    nearly = CLOUDS["both"].normals
    assert same(clouds.checked(CLOUDS["both"]).normals, nearly)


@pytest.mark.parametrize(
    ("code", "change"),
    [
        ("cloud.shape", lambda c: Cloud(c.points[:, :2])),
        ("cloud.shape", lambda c: Cloud(c.points.reshape(-1))),
        ("cloud.shape", lambda c: Cloud(c.points, c.colours[:-1])),
        ("cloud.shape", lambda c: Cloud(c.points, c.colours / 255)),
        ("cloud.shape", lambda c: Cloud(c.points, None, c.normals[:, :2])),
        ("cloud.empty", lambda c: Cloud(c.points[:0], c.colours[:0], c.normals[:0])),
        ("cloud.not-finite", lambda c: Cloud(c.points * np.float32("nan"))),
        ("cloud.not-finite", lambda c: Cloud(c.points.astype(np.float64) * 1e300)),
        ("cloud.not-finite", lambda c: Cloud(c.points * np.float32(1e20))),
    ],
)
def test_clouds_that_cannot_be_used(code: str, change: Callable[[Any], Cloud]) -> None:
    for call in (clouds.checked, lambda c: clouds.encode(c, "las")):
        with pytest.raises(InputError) as caught:
            call(change(CLOUDS["both"]))
        assert caught.value.code == code


def test_formats_and_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    for call in (lambda: clouds.encode(CLOUDS["one"], "stl"), lambda: clouds.decode(b"", "PLY")):
        with pytest.raises(InputError) as caught:
            call()
        assert caught.value.code == "cloud.format"
    files = {format: clouds.encode(CLOUDS["both"], format) for format in clouds.FORMATS}
    for module in (clouds, cloud_las, cloud_ply):
        monkeypatch.setattr(module, "MOST_POINTS", 299)
    for format, data in files.items():
        assert refused(data, format).code == "cloud.too-large"
    with pytest.raises(InputError, match="too many points"):
        clouds.encode(CLOUDS["both"], "ply")
    monkeypatch.setattr(clouds, "MOST_BYTES", 100)
    assert "bytes" in str(refused(files["ply"], "ply").seen)


def _at(data: bytes, place: int, form: str, *values: float) -> bytes:
    """The bytes with some of them written over."""
    out = bytearray(data)
    struct.pack_into("<" + form, out, place, *values)
    return bytes(out)


def _hostile() -> dict[str, tuple[str, str, bytes]]:
    """Files that announce more than they hold: format, code, bytes."""
    ply, las, laz = (clouds.encode(CLOUDS["both"], format) for format in ("ply", "las", "laz"))
    (start,) = struct.unpack_from("<I", laz, 96)
    (table,) = struct.unpack_from("<q", laz, start)
    layers = start + 8 + laspy.read(io.BytesIO(laz)).point_format.size + 4
    record = laz.index(b"laszip encoded") - 2 + 54
    old = las_of_others(2, "1.2", compressed=True, deep=False)
    text = TEXTUAL.replace(b"vertex 3", b"vertex 19000000")
    return {
        "ply, billions": ("ply", "cloud.too-large", ply.replace(b"vertex 300", b"vertex 4000000000")),
        "ply, millions": ("ply", "cloud.unreadable", ply.replace(b"vertex 300", b"vertex 19000000")),
        "ply, one more": ("ply", "cloud.unreadable", ply.replace(b"vertex 300", b"vertex 301")),
        "ply, many digits": ("ply", "cloud.unreadable", ply.replace(b"vertex 300", b"vertex " + b"9" * 9000)),
        "ply, text": ("ply", "cloud.unreadable", text),
        "ply, one more line": ("ply", "cloud.unreadable", TEXTUAL.replace(b"vertex 3", b"vertex 5")),
        "ply, before": ("ply", "cloud.unreadable", BIG.replace(b"camera 2", b"camera 999999999999999999999")),
        "ply, before text": ("ply", "cloud.unreadable", TEXTUAL.replace(b"before 2", b"before 99999999999999999999")),
        "ply, lists": ("ply", "cloud.unreadable", BIG.replace(b"y short id", b"y list uchar short id")),
        "ply, list of points": ("ply", "cloud.unreadable", ply.replace(b"uchar red", b"list uchar uchar red")),
        "ply, no points": ("ply", "cloud.empty", ply.replace(b"vertex 300", b"vertex 0")),
        "ply, other things": ("ply", "cloud.empty", ply.replace(b"vertex 300", b"dots 300")),
        "ply, no z": ("ply", "cloud.unreadable", ply.replace(b"float z", b"float w")),
        "ply, twice": ("ply", "cloud.unreadable", ply.replace(b"float nx", b"float x")),
        "ply, endless header": ("ply", "cloud.unreadable", b"ply\n" + b"comment\n" * 600_000 + ply[4:]),
        "ply, type": ("ply", "cloud.unreadable", ply.replace(b"float nx", b"half nx")),
        "xyz, one line": ("xyz", "cloud.unreadable", b"1 " * 5_000_000),
        "xyz, words": ("xyz", "cloud.unreadable", b"x y z\n1 2 3\n"),
        "xyz, ragged": ("xyz", "cloud.unreadable", b"1 2 3\n1 2\n"),
        "xyz, five": ("xyz", "cloud.unreadable", b"1 2 3 4 5\n"),
        "xyz, nine of what": ("xyz", "cloud.unreadable", b"1 2 3 .5 .5 .5 .1 .2 .3\n"),
        "xyz, nothing": ("xyz", "cloud.empty", b"# nothing\n\n"),
        "xyz, nan": ("xyz", "cloud.not-finite", b"1 2 3\n1 nan 3\n"),
        "xyz, far": ("xyz", "cloud.not-finite", b"1 2 3\n1 1e300 3\n"),
        "xyz, utf-16": ("xyz", "cloud.unreadable", "1 2 3\n".encode("utf-16")),
        "las, billions": ("las", "cloud.too-large", _at(las, 247, "Q", 4_000_000_000)),
        "las, 2**63": ("las", "cloud.too-large", _at(las, 247, "Q", 2**63)),
        "las, one more": ("las", "cloud.unreadable", _at(las, 247, "Q", 301)),
        "las, none": ("las", "cloud.empty", _at(las, 247, "Q", 0)),
        "las, records": ("las", "cloud.unreadable", _at(las, 100, "I", 2**32 - 1)),
        "las, offset": ("las", "cloud.unreadable", _at(las, 96, "I", 2**32 - 1)),
        "las, scale": ("las", "cloud.not-finite", _at(las, 131, "d", float("inf"))),
        "laz, bomb": ("laz", "cloud.too-large", _at(laz, 247, "Q", clouds.MOST_POINTS + 1)),
        "laz, smaller bomb": ("laz", "cloud.unreadable", _at(laz, 247, "Q", clouds.MOST_POINTS)),
        "laz, wide bomb": ("laz", "cloud.too-large", _at(_at(laz, 247, "Q", 16_000_000), 105, "H", 65_000)),
        "laz, layer": ("laz", "cloud.unreadable", _at(laz, layers, "I", 2**32 - 1)),
        "laz, layers": ("laz", "cloud.unreadable", _at(laz, layers, "22I", *[2**32 - 1] * 22)),
        "laz, chunks": ("laz", "cloud.unreadable", _at(laz, table + 4, "I", 2**32 - 1)),
        "laz, no chunks": ("laz", "cloud.unreadable", _at(laz, table + 4, "I", 0)),
        "laz, no table": ("laz", "cloud.unreadable", _at(laz, start, "q", 2**62)),
        "laz, table before": ("laz", "cloud.unreadable", _at(laz, start, "q", -1)),
        "laz, chunk size": ("laz", "cloud.unreadable", _at(laz, record + 12, "I", 10)),
        "laz, chunk size 0": ("laz", "cloud.unreadable", _at(laz, record + 12, "I", 0)),
        "laz, any chunk size": ("laz", "cloud.unreadable", _at(laz, record + 12, "I", 2**32 - 1)),
        "laz, compressor": ("laz", "cloud.unreadable", _at(laz, record, "H", 1)),
        "laz, items": ("laz", "cloud.unreadable", _at(laz, record + 32, "H", 65_535)),
        "laz, no items": ("laz", "cloud.unreadable", _at(laz, record + 32, "H", 0)),
        "laz, item": ("laz", "cloud.unreadable", _at(laz, record + 34 + 14, "H", 65_535)),
        "laz, old bomb": ("laz", "cloud.unreadable", _at(old, 107, "I", 20_000_000)),
    }


HOSTILE = _hostile()


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    format, code, data = HOSTILE[name]
    clouds.decode(clouds.encode(CLOUDS["both"], format), format)  # imports
    if format == "laz":  # what lazrs takes is not traced, so it must not be asked
        monkeypatch.setattr(laspy.LasReader, "read_points", lambda *_: pytest.fail("unpacked"))
    tracemalloc.start()
    try:
        error = refused(data, format)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert error.code == code and len(str(error.seen)) <= 160
    assert most < 3 * len(data) + 3_000_000
    assert name != "ply, one more" or "announces 301 points of 27 bytes" in str(error.seen)


def test_a_bomb_is_refused_before_it_is_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    """200,000 equal points take a few kB of LAZ: the number has to be refused, as the size says nothing."""
    data = clouds.encode(Cloud(np.zeros((200_000, 3), np.float32)), "laz")
    assert len(data) < 8_000 and len(clouds.decode(data, "laz").points) == 200_000
    monkeypatch.setattr(cloud_las, "MOST_POINTS", 199_999)
    monkeypatch.setattr(laspy.LasReader, "read_points", lambda *_: pytest.fail("unpacked"))
    assert refused(data, "laz").code == "cloud.too-large"


def test_a_panic_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    data = clouds.encode(CLOUDS["both"], "laz")
    panic = type("PanicException", (BaseException,), {})

    def raises(error: BaseException) -> None:
        def read_points(*_: object) -> None:
            raise error

        monkeypatch.setattr(laspy.LasReader, "read_points", read_points)

    raises(panic("index out of bounds"))
    assert refused(data, "laz").code == "cloud.unreadable"
    raises(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        clouds.decode(data, "laz")


SEEDS = [
    *((format, clouds.encode(cloud(9, coloured=full, directed=full), format))
      for format in clouds.FORMATS for full in (False, True)),
    *((format, clouds.attach(clouds.encode(cloud(9), format), format, TEXT)) for format in clouds.FORMATS),
    ("ply", BIG), ("ply", TEXTUAL),
    *(("laz", las_of_others(kind, version, compressed=True, deep=True)) for kind, version in ((3, "1.2"), (8, "1.4"))),
]  # fmt: skip


@settings(max_examples=600, deadline=None)
@given(
    st.sampled_from(SEEDS),
    st.lists(st.tuples(st.integers(0, 900), st.binary(min_size=1, max_size=8)), max_size=6),
    st.floats(0, 2),
)
def test_hostile_bytes_give_a_cloud_or_one_error(
    seed: tuple[str, bytes], edits: list[tuple[int, bytes]], share: float
) -> None:
    format, data = seed[0], bytearray(seed[1])
    for place, value in edits:
        data[place % len(data) : place % len(data) + len(value)] = value
    damaged = bytes(data[: int(share * len(data))])
    try:
        back = clouds.decode(damaged, format)
    except InputError as error:
        assert error.code in ("cloud.unreadable", "cloud.empty", "cloud.too-large", "cloud.not-finite", "cloud.is-mesh")
    else:
        assert back.points.dtype == np.float32 and np.isfinite(back.points).all() and len(back.points)
        for others, kind in ((back.colours, np.uint8), (back.normals, np.float32)):
            assert others is None or (others.dtype == kind and others.shape == back.points.shape)
        assert back.normals is None or np.allclose(np.linalg.norm(back.normals, axis=1), 1, atol=1e-4)
    for format in clouds.FORMATS:
        found = clouds.attached(damaged, format)
        assert found is None or (found[0], found[-1]) == ("{", "}")
        assert clouds.holds(damaged, format) in (True, False)


@settings(max_examples=200, deadline=None)
@given(
    st.binary(max_size=300), st.sampled_from([b"", b"ply\nformat ascii 1.0\n", b"LASF", clouds.encode(cloud(1), "las")])
)
def test_any_bytes_are_read_or_refused(data: bytes, before: bytes) -> None:
    for format in clouds.FORMATS:
        try:
            clouds.decode(before + data, format)
        except InputError as error:
            assert error.code.startswith("cloud.")
        assert clouds.attached(before + data, format) is None


@pytest.mark.parametrize("size", [0, 65_000, 65_535, 65_536, 300_000])
@pytest.mark.parametrize("format", clouds.FORMATS)
def test_a_text_inside(format: str, size: int) -> None:
    text = json.dumps({"t": TEXT})
    text = text[:-2] + " " * max(0, size - len(text)) + text[-2:]
    assert size == 0 or len(text) == size
    given = CLOUDS["both"]
    body = clouds.encode(given, format)
    data = clouds.attach(body, format, text)
    assert clouds.attached(body, format) is None and clouds.attach(body, format, text) == data
    if format == "xyz":
        assert data == body and clouds.attached(data, format) is None
        return
    assert clouds.attached(data, format) == text
    before, after = clouds.decode(body, format), clouds.decode(data, format)
    assert same(before.points, after.points) and same(before.colours, after.colours)
    assert same(before.normals, after.normals)
    if format != "ply":
        las = laspy.read(io.BytesIO(data))
        records = list(las.header.vlrs) if size <= 65_535 else list(las.evlrs or [])
        (found,) = [record for record in records if record.user_id == "creative-studio"]
        assert found.record_id == 1 and found.record_data == text.encode("ascii")
        assert np.array_equal(las.points.array, laspy.read(io.BytesIO(body)).points.array)
        first = clouds.attach(data, format, TEXT)  # before the other one, wherever that is
        assert clouds.attached(first, format) == TEXT and same(clouds.decode(first, format).points, after.points)


def test_a_long_text_in_ply_is_cut_into_lines_that_readers_take() -> None:
    text = json.dumps({"long": "ab " * 1000})
    for body in (clouds.encode(CLOUDS["one"], "ply"), export.encode(box(), "ply")):
        data = notes.attach(body, "ply", text)
        header = data[: data.index(b"end_header")]
        assert max(map(len, header.split(b"\n"))) < 1000 and notes.attached(data) == text
        assert notes.attached(data.replace(b"\n", b"\r\n", 20)) == text
    one_line = body.replace(b"1.0\n", b"1.0\ncomment studio.sidecar " + text.encode() + b"\n", 1)
    assert notes.attached(one_line) == text  # as it was written before
    assert notes.attached(one_line.replace(b'"}', b'"', 1)) is None
