"""Any photo becomes upright 8-bit sRGB, or one clear error; nothing of it but its pixels goes on."""

from __future__ import annotations

import io
import pickle
import struct
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from pipelines.core.errors import InputError
from studio import media, pictures

H, W = 96, 80


def base() -> np.ndarray:
    """(96, 80, 3) uint8 that no turn or flip leaves as it is."""
    y, x = np.mgrid[0:H, 0:W]
    return np.stack([x * 3, y * 2, np.where((x < 20) & (y < 10), 255, 30)], 2).astype(np.uint8)


def save(picture: Image.Image, format: str, **options: Any) -> bytes:
    """The bytes of a picture file."""
    stream = io.BytesIO()
    picture.save(stream, format, **options)
    return stream.getvalue()


def png(array: np.ndarray, mode: str | None = None) -> bytes:
    """A PNG file."""
    picture = Image.fromarray(array)
    return save(picture.convert(mode) if mode else picture, "PNG")


def refused(data: bytes, name: str = "x.png", **options: Any) -> InputError:
    """The error of a file that cannot be decoded."""
    with pytest.raises(InputError) as caught:
        media.decode(data, name, **options)
    assert caught.value.what and caught.value.seen is not None
    return caught.value


def header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds next to nothing."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    body = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", body) + chunk(b"IDAT", zlib.compress(b"\0" * 64)) + chunk(b"IEND", b"")


# -- formats


@pytest.mark.parametrize("format", ["PNG", "TIFF", "BMP", "PPM"])
def test_lossless_formats_are_exact(format: str) -> None:
    pixels, info = media.decode(save(Image.fromarray(base()), format), "x")
    assert np.array_equal(pixels, base()) and pixels.dtype == np.uint8 and pixels.flags.c_contiguous
    assert (info.width, info.height, info.orientation, info.findings) == (W, H, 1, ())


@pytest.mark.parametrize(
    ("format", "options"), [("JPEG", {"quality": 95}), ("WEBP", {"quality": 95}), ("JPEG2000", {})]
)
def test_lossy_formats_are_close(format: str, options: dict[str, Any]) -> None:
    pixels, info = media.decode(save(Image.fromarray(base()), format, **options), "x")
    assert pixels.shape == base().shape and info.format == format
    assert np.abs(pixels.astype(int) - base()).mean() < 6


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(orientation: int) -> None:
    """Stored as a camera would: turned back by the inverse, so that the upright picture is always the same."""
    upright = base()
    stored = {
        1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1], 5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1), 7: np.rot90(upright, 2).transpose(1, 0, 2), 8: np.rot90(upright, -1),
    }[orientation]  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    pixels, info = media.decode(save(Image.fromarray(np.ascontiguousarray(stored)), "PNG", exif=exif), "x")
    assert np.array_equal(pixels, upright)
    assert (info.orientation, info.width, info.height) == (orientation, W, H)


@pytest.mark.parametrize("value", [0, 9, 65535])
def test_impossible_orientation_is_ignored(value: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = value
    assert np.array_equal(media.decode(save(Image.fromarray(base()), "PNG", exif=exif), "x")[0], base())


def test_grey_becomes_three_equal_channels() -> None:
    grey = base()[..., 1]
    pixels, info = media.decode(png(grey), "x")
    assert info.mode == "L" and np.array_equal(pixels, np.repeat(grey[..., None], 3, 2))


def test_bilevel() -> None:
    pixels, _ = media.decode(save(Image.fromarray(base()[..., 2] > 100), "PNG"), "x")
    assert set(np.unique(pixels)) == {0, 255}


def test_sixteen_bit_grey_keeps_its_range() -> None:
    deep = (base()[..., 0].astype(np.uint16) * 257).copy()
    pixels, _ = media.decode(png(deep), "x")
    assert np.array_equal(pixels[..., 0], base()[..., 0])


def test_sixteen_bit_colour() -> None:
    done, data = cv2.imencode(".png", base()[..., ::-1].astype(np.uint16) * 257)
    assert done
    assert np.array_equal(media.decode(data.tobytes(), "x")[0], base())


def test_float_tiff_in_unit_range() -> None:
    values = base()[..., 0].astype(np.float32) / 255
    pixels, _ = media.decode(save(Image.fromarray(values), "TIFF"), "x")
    assert np.array_equal(pixels[..., 0], base()[..., 0])


def test_float_tiff_with_nan() -> None:
    values = np.full((H, W), 0.5, np.float32)
    values[3, 3] = np.nan
    assert refused(save(Image.fromarray(values), "TIFF")).code == "input.not-finite"


def test_cmyk_jpeg() -> None:
    pixels, info = media.decode(save(Image.fromarray(base()).convert("CMYK"), "JPEG", quality=98), "x")
    assert info.mode == "CMYK" and np.abs(pixels.astype(int) - base()).mean() < 3


def test_transparency_over_white() -> None:
    alpha = np.full((H, W), 255, np.uint8)
    alpha[:50] = 0
    alpha[50:60] = 128
    pixels, info = media.decode(png(np.dstack([base(), alpha])), "garment.png")
    assert (pixels[:50] == 255).all()
    assert np.array_equal(pixels[60:], base()[60:])
    half = (base()[50:60].astype(float) * 128 + 255 * 127) / 255
    assert np.abs(pixels[50:60] - half).max() <= 1
    assert [finding.code for finding in info.findings] == ["input.alpha-flattened"]


def test_opaque_alpha_changes_nothing() -> None:
    pixels, info = media.decode(png(np.dstack([base(), np.full((H, W), 255, np.uint8)])), "x")
    assert np.array_equal(pixels, base()) and info.findings == ()


def test_palette_with_transparency() -> None:
    picture = Image.fromarray(base()).quantize(16)
    index = np.asarray(picture)[0, 0]
    pixels, _ = media.decode(save(picture, "PNG", transparency=int(index)), "x")
    assert (pixels[np.asarray(picture) == index] == 255).all()


def test_fully_transparent() -> None:
    assert refused(png(np.dstack([base(), np.zeros((H, W), np.uint8)]))).code == "input.transparent"


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG"])
def test_animation_gives_its_first_frame(format: str) -> None:
    frames = [Image.fromarray(np.full((H, W, 3), value, np.uint8)) for value in (200, 20)]
    pixels, info = media.decode(save(frames[0], format, save_all=True, append_images=frames[1:], duration=50), "x")
    assert abs(int(pixels.mean()) - 200) < 3 and info.frames == 2
    assert [finding.code for finding in info.findings] == ["input.animated"]


# -- colour


def profile(name: str = "sRGB") -> bytes:
    """An ICC profile as bytes."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile(name)).tobytes()


def test_srgb_profile_leaves_the_pixels() -> None:
    pixels, info = media.decode(save(Image.fromarray(base()), "PNG", icc_profile=profile()), "x")
    assert np.array_equal(pixels, base()) and info.profile


def test_profile_is_applied() -> None:
    """A profile whose red and green primaries are exchanged must exchange the channels, whatever it calls itself."""
    data = profile().replace(b"rXYZ", b"tmp!").replace(b"gXYZ", b"rXYZ").replace(b"tmp!", b"gXYZ")
    pixels, _ = media.decode(save(Image.fromarray(base()), "PNG", icc_profile=data), "x")
    assert np.abs(pixels[..., [1, 0, 2]].astype(int) - base()).max() <= 2


def test_broken_profile_is_told() -> None:
    pixels, info = media.decode(save(Image.fromarray(base()), "PNG", icc_profile=b"no profile at all"), "x")
    assert np.array_equal(pixels, base())
    assert [finding.code for finding in info.findings] == ["input.profile-ignored"]


# -- refused


def test_empty(tmp_path: Path) -> None:
    (tmp_path / "x.png").touch()
    with pytest.raises(InputError) as caught:
        media.read_bytes(tmp_path / "x.png")
    assert caught.value.code == "input.empty"


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "TIFF", "GIF"])
@pytest.mark.parametrize("share", [0.3, 0.7])
def test_truncated(format: str, share: float) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (H, W, 3)).astype(np.uint8)
    data = save(Image.fromarray(noise), format)
    assert refused(data[: int(len(data) * share)]).code in ("input.damaged", "input.not-a-picture")


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"%PDF-1.7 ...", "PDF"),
        (b"PK\x03\x04 rest", "ZIP"),
        (b"<svg xmlns='...'/>", "SVG"),
        (b"%!PS-Adobe-3.0 EPSF-3.0", "PostScript"),
        (b"\0\0\0\x18ftypheic....", "HEIC"),
        (b"\0\0\0\x18ftypisom....", "video"),
        (b"just some text", "starts with"),
        (pickle.dumps({"a": 1}), "starts with"),
    ],
)
def test_wrong_type(data: bytes, word: str) -> None:
    error = refused(data)
    assert error.code == "input.not-a-picture" and word in str(error.seen)


@pytest.mark.parametrize("size", [(20_000, 20_000), (12_000, 11_000), (2**31 - 1, 2**31 - 1), (100_000, 100_000)])
def test_too_large_is_known_by_the_header(size: tuple[int, int]) -> None:
    assert refused(header(*size)).code == "input.too-large"


def test_limit_can_be_set() -> None:
    data = png(np.zeros((1000, 1100, 3), np.uint8))
    assert refused(data, max_megapixels=1.0).code == "input.too-large"
    assert media.decode(data, "x", max_megapixels=1.2)[0].shape == (1000, 1100, 3)


def test_bomb_of_text_is_refused() -> None:
    """A PNG whose compressed text chunk unpacks to 200 MB."""
    body = b"zTXt" + b"Comment\0\0" + zlib.compress(b"x" * 200_000_000, 9)
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    data = png(base())
    assert refused(data[:33] + chunk + data[33:]).code == "input.damaged"


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (63, 64)])
def test_too_small(size: tuple[int, int]) -> None:
    assert refused(png(np.zeros((*size, 3), np.uint8))).code == "input.too-small"


@pytest.mark.parametrize("name", ["missing.png", "folder", "a\0b"])
def test_unreadable_paths(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError) as caught:
        media.read_bytes(tmp_path / name)
    assert caught.value.code in ("input.missing", "input.unreadable")


SEEDS = {name: save(Image.fromarray(base()), name) for name in ("PNG", "JPEG", "WEBP", "TIFF", "GIF", "BMP")}


@settings(max_examples=250, deadline=None)
@given(
    st.sampled_from(sorted(SEEDS)),
    st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=12),
    st.floats(0, 2),
)
def test_hostile_bytes_give_a_picture_or_one_error(seed: str, edits: list[tuple[int, int]], share: float) -> None:
    mutable = bytearray(SEEDS[seed])
    for place, value in edits:
        mutable[place % len(mutable)] = value
    blob = bytes(mutable[: int(len(mutable) * share)])
    try:
        pixels, _ = media.decode(blob, "x", max_megapixels=4)
    except InputError as error:
        assert error.code.startswith("input.")
    else:
        assert pixels.ndim == 3 and pixels.dtype == np.uint8


# -- masks


def test_mask_forms_agree() -> None:
    mask = np.zeros((H, W), np.uint8)
    mask[10:40, 5:60] = 255
    stream = io.BytesIO()
    np.save(stream, mask > 0)
    unit = io.BytesIO()
    np.save(unit, (mask > 0).astype(np.float32))
    sheet = np.dstack([np.zeros((H, W, 3), np.uint8), mask])
    files = {"grey.png": png(mask), "rgb.png": png(np.dstack([mask] * 3)), "bool.npy": stream.getvalue(),
             "unit.npy": unit.getvalue(), "painted.png": png(sheet)}  # fmt: skip
    for name, data in files.items():
        assert np.array_equal(media.decode_mask(data, name, (H, W)), mask), name


def array(values: Any, **options: Any) -> bytes:
    """A .npy file."""
    stream = io.BytesIO()
    np.save(stream, values, **options)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("data", "name", "code"),
    [
        (array(np.full((H, W), np.nan, np.float32)), "m.npy", "mask.not-finite"),
        (array(np.full((H, W), np.inf)), "m.npy", "mask.not-finite"),
        (array(np.full((H, W), 300)), "m.npy", "mask.range"),
        (array(np.full((H, W), -1.0)), "m.npy", "mask.range"),
        (array(np.ones((H, W, 3))), "m.npy", "mask.unreadable"),
        (array(np.full((H, W), "a")), "m.npy", "mask.unreadable"),
        (array(np.full((H, W), None), allow_pickle=True), "m.npy", "mask.unreadable"),
        (array(np.ones((H, W)))[:90], "m.npy", "mask.unreadable"),
        (b"", "m.npy", "mask.unreadable"),
        (array(np.zeros((H, W))), "m.npy", "mask.empty"),
        (array(np.ones((H, W + 1))), "m.npy", "mask.size"),
        (png(np.full((H + 1, W), 255, np.uint8)), "m.png", "mask.size"),
        (png(np.zeros((H, W), np.uint8)), "m.png", "mask.empty"),
        (b"GIF89a", "m.gif", "input.not-a-picture"),
        (header(20_000, 20_000), "m.png", "input.too-large"),
    ],
)
def test_bad_masks(data: bytes, name: str, code: str) -> None:
    with pytest.raises(InputError) as caught:
        media.decode_mask(data, name, (H, W))
    assert caught.value.code == code


class Bait:
    """Unpickling this writes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_mask_runs_no_code(tmp_path: Path) -> None:
    trap = tmp_path / "ran"
    data = array(np.array([[Bait(trap)]], dtype=object), allow_pickle=True)
    with pytest.raises(InputError):
        media.decode_mask(data, "m.npy", (1, 1))
    assert not trap.exists()


# -- writing


@pytest.mark.parametrize("format", ["png", "webp"])
def test_written_without_loss_and_with_sidecar(format: str) -> None:
    data = pictures.encode(base(), format)
    text = '{"recipe": "<&>\\u00e4 ü 漢 ]]>"}'
    whole = pictures.embed(data, format, text)
    assert pictures.embedded_sidecar(whole) == text
    assert np.array_equal(pictures.pixels_of(whole), base())
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(whole)).convert("RGB")), base())


def test_jpeg_keeps_its_pixels_when_the_sidecar_goes_in() -> None:
    data = pictures.encode(base(), "jpeg", quality=90)
    whole = pictures.embed(data, "jpeg", "{}")
    assert np.array_equal(pictures.pixels_of(whole), pictures.pixels_of(data))
    assert pictures.embedded_sidecar(whole) == "{}"


@pytest.mark.parametrize("format", ["png", "jpeg", "webp"])
def test_largest_sidecar_fits(format: str) -> None:
    text = '"' + "a" * (pictures.MAX_SIDECAR - 2) + '"'
    assert pictures.embedded_sidecar(pictures.embed(pictures.encode(base(), format), format, text)) == text
    with pytest.raises(ValueError, match="does not fit"):
        pictures.embed(pictures.encode(base(), format), format, text + " ")


@pytest.mark.parametrize("format", ["png", "jpeg", "webp"])
@pytest.mark.parametrize("size", [(64, 64), (65, 71), (127, 64)])
def test_odd_sizes(format: str, size: tuple[int, int]) -> None:
    pixels = np.random.default_rng(1).integers(0, 255, (*size, 3)).astype(np.uint8)
    whole = pictures.embed(pictures.encode(pixels, format), format, "{}")
    decoded, info = media.decode(whole, "x")
    assert decoded.shape == pixels.shape and info.findings == ()
    if format != "jpeg":
        assert np.array_equal(decoded, pixels)


def test_palette_indices_come_back() -> None:
    labels = (np.arange(H * W) % 9).reshape(H, W).astype(np.uint8)
    data = pictures.encode(labels, "png", palette=[channel for i in range(9) for channel in (i, 2 * i, 3 * i)])
    assert np.array_equal(pictures.pixels_of(data), labels)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=400))
def test_no_bytes_pass_for_a_sidecar(data: bytes) -> None:
    assert pictures.embedded_sidecar(data) is None


def test_metadata_bomb_in_xmp_is_not_read() -> None:
    whole = pictures.embed(pictures.encode(base(), "jpeg"), "jpeg", '{"a": "&lol;&lol;"}')
    assert pictures.embedded_sidecar(whole) == '{"a": "&lol;&lol;"}'  # entities of a document type have no meaning here
