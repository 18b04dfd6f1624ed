"""What a file says of its history: each trace where it is, none where it is not, and no bytes that break it."""

from __future__ import annotations

import io
import json
import re
import struct
import time
import tracemalloc
import zlib
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFilter

from studio import exif, jpeg_history, media, picture_files, traces

TWICE, MOVED, GRID = "trace.compressed-twice", "trace.compressed-before-crop", "trace.jpeg-grid"
ENDLESS = 60  # seconds of processor time: what takes quadratic time of such files takes hours


def photo(seed: int = 0, height: int = 400, width: int = 560) -> np.ndarray:
    """(H, W, 3) uint8 like a photograph in what counts here: blurred shapes under fine texture, nothing clipped."""
    rng = np.random.default_rng(seed)
    layers = []
    for side, weight in ((9, 60), (40, 40), (160, 25)):
        coarse = Image.fromarray(rng.integers(0, 256, (side, side, 3), dtype=np.uint8))
        layers.append(weight * (np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC)) / 127.5 - 1))
    grain = Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))
    layers.append(30 * (np.asarray(grain.filter(ImageFilter.GaussianBlur(1))) / 127.5 - 1))
    return np.clip(128 + sum(layers), 2, 253).astype(np.uint8)


def save(array: np.ndarray, format: str = "JPEG", **options: Any) -> bytes:
    """The bytes of a picture file."""
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, format, **options)
    return stream.getvalue()


def pixels(data: bytes) -> np.ndarray:
    """(H, W, 3) uint8 as the studio decodes it."""
    return media.decode(data, "x")[0]


def codes(data: bytes, name: str = "x.jpg", *, look: bool = False) -> set[str]:
    """Codes of what is found; with ``look``, in the pixels too."""
    told = traces.examine(data, name, pixels(data) if look else None)
    json.dumps(told.as_dict())
    assert all(each.severity in ("info", "warning") and each.message and each.remedy for each in told.anomalies)
    return {each.code for each in told.anomalies}


def segment(marker: int, body: bytes) -> bytes:
    """A JPEG segment."""
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body


def with_segment(data: bytes, marker: int, body: bytes) -> bytes:
    """A JPEG with one more segment at its beginning."""
    return data[:2] + segment(marker, body) + data[2:]


def tiff(
    tags: dict[int, Any], *, details: dict[int, Any] | None = None, gps: bool = False, thumb: bytes = b""
) -> bytes:
    """A little-endian EXIF block; texts and numbers only."""
    parts: list[tuple[dict[int, Any], int]] = [(dict(tags), 0)]
    if details:
        parts.append((details, 0x8769))
    if gps:
        parts.append(({1: "N", 2: "48 12 30"}, 0x8825))
    sizes = [
        2 + 12 * (len(part) + (len(parts) - 1 if number == 0 else 0)) + 4 for number, (part, _) in enumerate(parts)
    ]
    starts = [8 + sum(sizes[:number]) for number in range(len(parts))]
    for start, (_, pointer) in list(zip(starts, parts, strict=True))[1:]:
        parts[0][0][pointer] = start
    last_directory = 8 + sum(sizes)
    heap_at = last_directory + (2 + 24 + 4 if thumb else 0)
    heap = b""
    out = b"II*\0" + struct.pack("<I", 8)
    for number, (part, _) in enumerate(parts):
        out += struct.pack("<H", len(part))
        for tag, value in sorted(part.items()):
            if isinstance(value, int):
                out += struct.pack("<HHII", tag, 4, 1, value)
                continue
            text = value.encode() + b"\0"
            out += struct.pack("<HHI", tag, 2, len(text))
            out += text.ljust(4, b"\0") if len(text) <= 4 else struct.pack("<I", heap_at + len(heap))
            heap += text if len(text) > 4 else b""
        out += struct.pack("<I", last_directory if thumb and number == 0 else 0)
    if thumb:
        out += struct.pack("<H", 2) + struct.pack("<HHII", 0x0201, 4, 1, heap_at + len(heap))
        out += struct.pack("<HHII", 0x0202, 4, 1, len(thumb)) + struct.pack("<I", 0)
    return out + heap + thumb


def with_exif(data: bytes, tags: dict[int, Any] | None = None, **options: Any) -> bytes:
    """A JPEG with an EXIF block."""
    return with_segment(data, 0xE1, b"Exif\0\0" + tiff(tags or {0x010F: "Nikon"}, **options))


def with_xmp(data: bytes, packet: str) -> bytes:
    """A JPEG with an XMP packet."""
    return with_segment(data, 0xE1, b"http://ns.adobe.com/xap/1.0/\0" + packet.encode())


def with_chunk(data: bytes, kind: bytes, body: bytes) -> bytes:
    """A PNG with one more chunk after its header."""
    return (
        data[:33] + struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) + data[33:]
    )


@pytest.fixture(scope="module")
def plain() -> bytes:
    """A JPEG of a picture without a history."""
    return save(photo(), quality=90)


@pytest.fixture(scope="module")
def png() -> bytes:
    """A PNG of a picture without a history."""
    return save(photo(), "PNG")


def test_a_picture_without_a_history_says_nothing(plain: bytes, png: bytes) -> None:
    assert codes(plain, look=True) == set()
    assert codes(png, "x.png", look=True) == set()
    for format, suffix in (("WEBP", "webp"), ("GIF", "gif"), ("BMP", "bmp"), ("TIFF", "tif"), ("PPM", "ppm")):
        data = save(photo(), format)
        told = traces.examine(data, f"x.{suffix}", pixels(data))
        assert (told.format, told.anomalies, told.bytes_after_end) == (format, (), 0)


def test_facts(plain: bytes) -> None:
    data = with_exif(plain, {0x010F: "NIKON", 0x0110: "NIKON D90", 0x0131: "Ver.1.00", 0x0132: "2011:02:03 04:05:06"})
    told = traces.examine(data, "x.jpg").as_dict()
    assert told["camera"] == "NIKON D90" and told["software"] == ["Ver.1.00"] and told["anomalies"] == []
    assert (told["format"], told["width"], told["height"], told["bytes"]) == ("JPEG", 560, 400, len(data))
    assert (told["quality"], told["tables"], told["sampling"], told["progressive"]) == (90, "libjpeg", "4:2:0", False)
    assert told["modified"] == "2011:02:03 04:05:06"
    other = traces.examine(save(photo(), quality=30, subsampling=0, progressive=True), "x.jpg")
    assert (other.quality, other.sampling, other.progressive) == (30, "4:4:4", True)
    assert traces.examine(save(photo()[..., 0], quality=30), "x.jpg").sampling == "grey"


@pytest.mark.parametrize(
    ("packet", "code"),
    [
        ('<rdf:D xmp:CreatorTool="Adobe Photoshop 25.0 (Windows)"/>', "trace.editor"),
        ("<xmp:CreatorTool>GIMP 2.10</xmp:CreatorTool>", "trace.editor"),
        ('<rdf:li stEvt:action="saved" stEvt:when="2020"/><rdf:li stEvt:action="converted"/>', "trace.edit-history"),
        ('<x Iptc4xmpExt:DigitalSourceType="http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"/>',
         "trace.source-type"),
        ('<x xmp:CreatorTool="Adobe Firefly"/>', "trace.generator"),
        ('<x xmp:CreatorTool="Ver.1.00" xmp:Label="saved" dc:title="fireflies over a meadow"/>', ""),
    ],
)  # fmt: skip
def test_xmp(plain: bytes, packet: str, code: str) -> None:
    assert codes(with_xmp(plain, packet)) == ({code} if code else set())


def test_what_is_said_of_editors_is_honest(plain: bytes) -> None:
    (found,) = traces.examine(with_exif(plain, {0x0131: "Adobe Photoshop 25.0"}), "x.jpg").anomalies
    assert (found.code, found.severity) == ("trace.editor", "info")
    assert (
        found.message == "Adobe Photoshop 25.0 wrote this file"
        and "says nothing about what was changed" in found.remedy
    )
    assert codes(with_exif(plain, {0x0131: "HDR+ 1.0.345"})) == set()


def test_blocks_of_adobe(plain: bytes) -> None:
    assert codes(with_segment(plain, 0xED, b"Photoshop 3.0\x008BIM")) == {"trace.photoshop-block"}
    assert codes(with_segment(plain, 0xEE, b"Adobe\0d\0\0\0\0\x01")) == {"trace.adobe-marker"}
    assert codes(with_segment(plain, 0xED, b"other")) == set()


@pytest.mark.parametrize(
    ("kind", "body", "expected"),
    [
        (b"tEXt", b"parameters\0a cat\nSteps: 20, Sampler: Euler", {"trace.generator"}),
        (b"zTXt", b"workflow\0\0" + zlib.compress(b'{"nodes": []}'), {"trace.generator"}),
        (b"iTXt", b"invokeai_metadata\0\x01\0\0\0" + zlib.compress(b"{}"), {"trace.generator"}),
        (b"tEXt", b"Software\0NovelAI", {"trace.generator"}),
        (b"tEXt", b"Description\0a moon Job ID: 01234567-89ab-cdef-0123-456789abcdef", {"trace.generator"}),
        (b"tEXt", b"Software\0GIMP 2.10", {"trace.editor"}),
        (b"tEXt", b"Software\0gnome-screenshot", set()),
        (b"tEXt", b"Title\0My prompt garden", set()),
        (b"caBX", b"jumb", {"trace.credentials"}),
    ],
)
def test_png_chunks(png: bytes, kind: bytes, body: bytes, expected: set[str]) -> None:
    assert codes(with_chunk(png, kind, body), "x.png") == expected


def test_settings_of_a_generator_in_exif(plain: bytes) -> None:
    assert codes(with_exif(plain, {0x010E: "a cat. Steps: 20, Sampler: Euler a"})) == {"trace.generator"}
    assert codes(with_exif(plain, {0x010E: "Steps: down to the river"})) == set()


def test_texts_are_made_plain(png: bytes) -> None:
    evil = "Photoshop\x1b[31m\u202e\u0007" + "A" * 10_000
    told = traces.examine(with_chunk(png, b"iTXt", b"Software\0\0\0\0\0" + evil.encode()), "x.png")
    texts = [*told.software, *(each.message for each in told.anomalies)]
    assert told.anomalies and all(text.isprintable() and len(text) < 300 for text in texts)


def small(array: np.ndarray, bars: bool = False) -> bytes:
    """An EXIF thumbnail, with a letterbox's bars if asked."""
    picture = Image.fromarray(array).resize((160, round(160 * array.shape[0] / array.shape[1])))
    if bars:
        sheet = Image.new("RGB", (160, 120))
        sheet.paste(picture, (0, (120 - picture.height) // 2))
        picture = sheet
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=80)
    return stream.getvalue()


def test_thumbnail() -> None:
    array = photo()
    changed = array.copy()
    changed[100:200, 200:300] = photo(1)[100:200, 200:300]
    base, edited = save(array, quality=92), save(changed, quality=92)
    for bars in (False, True):
        wide = array[:315]
        assert codes(with_exif(save(wide, quality=92), thumb=small(wide, bars)), look=True) == set()
    assert codes(with_exif(base, thumb=small(array)), look=True) == set()
    assert codes(with_exif(edited, thumb=small(array)), look=True) == {"trace.thumbnail-differs"}
    assert codes(with_exif(save(array[:, :300], quality=92), thumb=small(array)), look=True) == {
        "trace.thumbnail-shape"
    }
    assert codes(with_exif(base, thumb=b"\xff\xd8\xffnonsense"), look=True) == set()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_thumbnail_of_a_turned_picture(orientation: int) -> None:
    array = photo()
    for thumb in (small(array), small(pixels(with_exif(save(array, quality=92), {0x0112: orientation})))):
        data = with_exif(save(array, quality=92), {0x010F: "Nikon", 0x0112: orientation}, thumb=thumb)
        assert codes(data, look=True) == set()


def test_compressed_twice_on_one_grid(plain: bytes) -> None:
    for first, second in ((60, 75), (75, 90), (90, 95)):
        data = save(pixels(save(photo(2), quality=first)), quality=second)
        assert codes(data, look=True) == {TWICE}
    for quality in (60, 75, 90, 95, 100):
        assert codes(save(photo(3), quality=quality), look=True) == set()


def test_compressed_before_it_was_cropped() -> None:
    for (first, second), (top, left) in (((60, 85), (3, 5)), ((75, 90), (0, 2)), ((75, 95), (7, 0))):
        data = save(np.ascontiguousarray(pixels(save(photo(4), quality=first))[top:, left:]), quality=second)
        told = traces.examine(data, "x.jpg", pixels(data))
        (found,) = told.anomalies
        assert found.code == MOVED and found.severity == "info" and "no sign of a change" in found.remedy
        assert f"by {-left % 8} right and {-top % 8} down" in found.message


def test_jpeg_in_a_lossless_file(png: bytes) -> None:
    old = pixels(save(photo(5), quality=80))
    for format, options in (("PNG", {}), ("BMP", {}), ("WEBP", {"lossless": True, "method": 0}), ("TIFF", {})):
        assert codes(save(old[2:, 1:], format, **options), f"x.{format.lower()}", look=True) == {GRID}
    assert codes(png, "x.png", look=True) == set()


def test_drawn_patterns_raise_no_alarm() -> None:
    rng = np.random.default_rng(0)
    blocks = np.kron(rng.integers(20, 235, (60, 80, 3)), np.ones((8, 8, 1))).astype(np.uint8)
    y, x = np.mgrid[0:400, 0:560]
    checks = np.repeat((((x // 8 + y // 8) % 2) * 100 + 60).astype(np.uint8)[..., None], 3, 2)
    for array in (blocks, checks):
        assert codes(save(array, "PNG"), "x.png", look=True) == set()
        assert codes(save(array, quality=90), look=True) == set()


def test_tables(plain: bytes) -> None:
    table = [3 + number // 5 for number in range(64)]
    own = save(photo(), qtables=[table, table])
    assert codes(own) == {"trace.tables"}
    assert codes(with_exif(own)) == set()
    assert codes(save(photo(), quality="web_high")) == {"trace.tables"}
    for quality in (1, 25, 50, 75, 99, 100):
        assert jpeg_history.style(tuple(Image.open(io.BytesIO(save(photo(), quality=quality))).quantization[0])) == (
            "libjpeg", quality,
        )  # type: ignore[attr-defined]  # fmt: skip
    assert jpeg_history.style(jpeg_history.scaled(jpeg_history.MOZJPEG, 75)) == ("mozjpeg", 75)


def test_dates(plain: bytes) -> None:
    def dated(modified: str, created: str) -> set[str]:
        return codes(with_exif(plain, {0x0132: modified}, details={0x9003: created}))

    assert dated("2020:01:05 10:00:00", "2020:01:05 09:00:00") == set()
    assert dated("2020:01:05 03:00:00", "2020:01:05 09:00:00") == set()  # another time zone
    assert dated("2019:01:05 10:00:00", "2020:01:05 09:00:00") == {"trace.date-order"}
    assert dated("2020:13:45 10:00:00", "0000:00:00 00:00:00") == set()
    ahead = datetime.now() + timedelta(days=400)
    assert dated(f"{ahead:%Y:%m:%d %H:%M:%S}", "2020:01:05 09:00:00") == {"trace.date-future"}
    packet = '<x xmp:CreateDate="2021-05-01T10:00:00+02:00" xmp:ModifyDate="2020-05-01T10:00:00Z"/>'
    assert codes(with_xmp(plain, packet)) == {"trace.date-order"}


def test_size_place_and_blocks(plain: bytes) -> None:
    assert codes(with_exif(plain, details={0xA002: 560, 0xA003: 400})) == set()
    assert codes(with_exif(plain, details={0xA002: 400, 0xA003: 560})) == set()
    assert codes(with_exif(plain, details={0xA002: 4000, 0xA003: 3000})) == {"trace.size-differs"}
    assert codes(with_exif(plain, gps=True)) == {"trace.location"}
    assert codes(with_exif(with_exif(plain))) == {"trace.several-exif"}
    jumbf = b"JP\0\x01\0\0\0\x01" + struct.pack(">I", 60) + b"jumb" + struct.pack(">I", 38) + b"jumdc2pa"
    assert codes(with_segment(plain, 0xEB, jumbf)) == {"trace.credentials"}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("IMG_1234.JPG", {"trace.no-exif"}), ("DSC01234.jpg", {"trace.no-exif"}), ("DSC_0042.jpg", {"trace.no-exif"}),
        ("PXL_20240101_120000123.jpg", {"trace.no-exif"}), ("IMG-20240101-WA0001.jpg", set()), ("cat.jpg", set()),
        ("x.png", {"trace.wrong-suffix"}), ("x.jfif", set()), ("x", set()), ("x.data", set()),
    ],
)  # fmt: skip
def test_names(plain: bytes, name: str, expected: set[str]) -> None:
    assert codes(plain, name) == expected
    assert "trace.no-exif" not in codes(with_exif(plain), name)


@pytest.mark.parametrize(
    ("tail", "kind", "severity"),
    [
        (b"PK\x03\x04" + b"x" * 40, "a ZIP archive", "warning"), (b"\n<html><script>", "a web page", "warning"),
        (b"\0\0\0\x18ftypmp42", "a video, as motion photos have", "info"), (b"secret", "unknown", "warning"),
        (b"\xff\xd8\xff\xe1", "a second picture", "info"), (b"\0" * 100, "", ""),
    ],
)  # fmt: skip
def test_bytes_after_the_end(plain: bytes, png: bytes, tail: bytes, kind: str, severity: str) -> None:
    tiny = photo(0, 64, 64)
    files = [(plain, "jpg"), (png, "png"), (save(tiny, "GIF"), "gif"), (save(tiny, "WEBP"), "webp")]
    for data, suffix in [*files, (save(tiny, "BMP"), "bmp")]:
        told = traces.examine(data + tail, f"x.{suffix}")
        assert told.bytes_after_end == len(tail)
        assert [(each.code, each.severity) for each in told.anomalies] == (
            [("trace.bytes-after-end", severity)] if kind else []
        )
        assert told.after_end.startswith(kind or "padding")


def test_an_end_inside_a_segment_is_none(plain: bytes) -> None:
    assert codes(with_exif(plain, thumb=save(photo()[:96, :128]))) == set()
    assert codes(save(photo(), progressive=True)) == set()
    assert "trace.cut-off" in codes(plain[:-500])


def test_a_loop_of_directories_ends() -> None:
    looping = b"II*\0" + struct.pack("<IH", 8, 1) + struct.pack("<HHII", 0x8769, 4, 1, 8) + struct.pack("<I", 8)
    assert exif.read(looping).damaged
    assert "trace.exif-damaged" in codes(looping, "x.tif")
    many = b"II*\0" + struct.pack("<IH", 8, 65535) + struct.pack("<HHII", 0x0131, 2, 2**32 - 1, 8) * 65535
    assert len(exif.read(many).texts["software"]) <= exif.LONGEST


def test_bombs_cost_little(png: bytes) -> None:
    bomb = zlib.compress(b"\0" * (64 << 20), 9)
    data = png
    for _ in range(20):
        data = with_chunk(data, b"zTXt", b"parameters\0\0" + bomb)
    entities = (
        "<!DOCTYPE x [" + '<!ENTITY a "&b;&b;">' * 20_000 + "]>" + "<xmp:CreatorTool>&a;</xmp:CreatorTool>" * 9000
    )
    tracemalloc.start()
    begin = time.process_time()
    assert "trace.generator" in codes(data, "x.png")
    codes(with_chunk(png, b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + entities.encode()), "x.png")
    codes(b"\xff\xd8" + b"\xff" * 5_000_000, "x.jpg")
    codes(b"\xff\xd8" + segment(0xDA, b"\0") + b"\xff\x01\0\2" * 50_000, "x.jpg")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 64 << 20
    assert time.process_time() - begin < ENDLESS


def test_patterns_take_linear_time(png: bytes) -> None:
    begin = time.process_time()
    for hostile in ("CreatorTool " * 80_000, "CreatorTool" + " " * 900_000, "stEvt:action='" * 70_000, "a" * 1_000_000):
        codes(with_chunk(png, b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + hostile.encode()), "x.png")
        codes(with_chunk(png, b"tEXt", b"Comment\0" + hostile.encode()), "x.png")
    assert time.process_time() - begin < ENDLESS


def frames() -> bytes:
    """An animated GIF."""
    stream = io.BytesIO()
    pictures = [Image.fromarray(photo(seed, 64, 64)) for seed in range(3)]
    pictures[0].save(stream, "GIF", save_all=True, append_images=pictures[1:])
    return stream.getvalue()


def test_nothing_breaks_it() -> None:
    """Random corruption, truncation and nonsense in files of all kinds."""
    rng = np.random.default_rng(7)
    array = photo(0, 96, 128)
    rich = with_xmp(
        with_exif(save(array), {0x0131: "GIMP"}, gps=True, thumb=small(array)), '<x xmp:CreatorTool="GIMP"/>'
    )
    files = [rich, save(array, progressive=True), with_chunk(save(array, "PNG"), b"eXIf", tiff({0x0131: "GIMP"})),
             save(array, "WEBP", exif=b"Exif\0\0" + tiff({0x0131: "GIMP"})), frames(), save(array, "TIFF"),
             save(array, "BMP"), save(array[:1, :1], "PNG"), save(array, "JPEG2000"),
             tiff({0x0131: "GIMP"})]  # fmt: skip
    for data in [
        b"",
        b"\xff",
        b"\xff\xd8\xff",
        b"II*\0",
        b"GIF89a",
        b"BM",
        b"RIFF\0\0\0\0WEBP",
        b"\x89PNG\r\n\x1a\n",
        *files,
    ]:
        codes(data, "x\ud800\x1b.jpg")
        for cut in rng.integers(0, len(data) + 1, 12):
            traces.examine(data[:cut], "x.jpg", array)
        for _ in range(25):
            damaged = bytearray(data)
            for place in rng.integers(0, max(1, min(len(data), 600)), 8):
                damaged[place : place + 1] = bytes([rng.integers(0, 256)])
            traces.examine(bytes(damaged), "x.jpg", array)
    for _ in range(100):
        traces.examine(rng.bytes(int(rng.integers(0, 300))), "x.jpg", array)


def test_formats_are_those_that_are_read() -> None:
    named = {picture_files.read(save(photo(0, 64, 64), kind)).format for kind in ("PNG", "JPEG", "WEBP", "TIFF", "PPM")}
    assert named <= set(media.FORMATS) and re.fullmatch(r"[A-Z0-9]+", "".join(named))
    assert traces.examine(b"%PDF-1.7", "x.pdf").format == ""
