"""Any photo in, one kind of array out; and one array into a file that carries its sidecar.

Every picture becomes (H, W, 3) uint8 sRGB, upright, first frame, without metadata: neither GPS nor serial numbers can
reach an output, because nothing of the input but its pixels is handed on. Pictures are untrusted: the container is one
of a short list (no PostScript, no PDF), its size is read from the header before a pixel is decoded.
"""

from __future__ import annotations

import io
import re
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.core.errors import InputError
from pipelines.core.types import Finding, Image, Mask

if TYPE_CHECKING:
    from PIL import Image as Pillow

# What is read, by Pillow's name: as people call it, and the endings of its files that an uploader lets through.
FORMATS = {
    "PNG": ("PNG", ("png",)),
    "JPEG": ("JPEG", ("jpg", "jpeg")),
    "WEBP": ("WebP", ("webp",)),
    "TIFF": ("TIFF", ("tif", "tiff")),
    "BMP": ("BMP", ("bmp",)),
    "GIF": ("GIF", ("gif",)),
    "PPM": ("PPM", ("ppm", "pgm", "pbm", "pnm")),
    "JPEG2000": ("JPEG 2000", ("jp2", "j2k")),
    "AVIF": ("AVIF", ("avif",)),
}
SUFFIXES = tuple(suffix for _, suffixes in FORMATS.values() for suffix in suffixes)
SMALLEST_SIDE = 64
MAX_FILE_BYTES = 512 * 1024 * 1024


@dataclass(frozen=True)
class MediaInfo:
    """What the file was before it became an array.

    Attributes:
        format: Pillow's name of the container.
        mode: Pillow's mode as stored, e.g. ``CMYK``.
        width: Of the upright picture.
        height: Of the upright picture.
        orientation: EXIF orientation, 1..8.
        profile: Description of the embedded ICC profile, or empty.
        frames: Number of frames.
        findings: What had to be changed and is worth knowing.
    """

    format: str
    mode: str
    width: int
    height: int
    orientation: int = 1
    profile: str = ""
    frames: int = 1
    findings: tuple[Finding, ...] = field(default=())


def read_bytes(path: Path) -> bytes:
    """The bytes of an input file.

    Raises:
        InputError: ``input.missing``, ``input.unreadable``, ``input.empty`` or ``input.too-large``.
    """
    try:
        if not path.exists():
            raise InputError("input.missing", "There is no such file", seen=path, remedy="Check the path")
        if not path.is_file():
            raise InputError("input.unreadable", "This is not a file", seen=path, remedy="Name one picture")
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise InputError(
                "input.too-large", "This file is too large", seen=f"{path.name}: {size >> 20} MB",
                remedy=f"The limit is {MAX_FILE_BYTES >> 20} MB: make a smaller picture, or thin out the mesh or cloud",
            )  # fmt: skip
        data = path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a path with a zero byte in it
        raise InputError("input.unreadable", "This file cannot be read", seen=f"{path}: {error}") from error
    if not data:
        raise InputError("input.empty", "This file is empty", seen=f"{path.name}, 0 bytes", remedy="Fetch it again")
    return data


def _too_large(seen: str, limit: str) -> InputError:
    return InputError(
        "input.too-large",
        "This picture is too large",
        seen=seen,
        remedy=f"The limit is {limit}; make it smaller, or raise max_megapixels in studio.toml",
    )


def decode(
    data: bytes, name: str, *, max_megapixels: float = 120.0, keep_alpha: bool = False
) -> tuple[Image, MediaInfo]:
    """Decode a photograph.

    Args:
        data: The file's bytes.
        name: For messages.
        max_megapixels: Larger pictures are refused by their header.
        keep_alpha: Give a partly transparent picture a fourth channel, instead of laying it over white.

    Returns:
        (H, W, 3) uint8 sRGB, upright, alpha over white, or (H, W, 4) uint8; and what the file was.

    Raises:
        InputError: ``input.not-a-picture``, ``input.too-large``, ``input.too-small``, ``input.damaged`` or
            ``input.transparent``.
    """
    import numpy as np

    picture = _open(data, name, max_megapixels)
    if min(picture.size) < SMALLEST_SIDE:
        raise InputError(
            "input.too-small",
            "This picture is too small",
            seen=f"{name}: {picture.width} x {picture.height}",
            remedy=f"Both sides need at least {SMALLEST_SIDE} pixels",
        )
    stored, mode = picture.format or "?", picture.mode
    findings: list[Finding] = []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of crumbs in the metadata, which is not used
            frames = getattr(picture, "n_frames", 1)
            picture.load()
            orientation = _orientation(picture)
            upright, profile = _to_rgb(_turn(picture, orientation), name, findings, keep_alpha)
        array = np.ascontiguousarray(np.asarray(upright, dtype=np.uint8))
    except (InputError, MemoryError):
        raise
    except Exception as error:  # Pillow's decoders raise a dozen kinds of errors on hostile bytes; all mean the same
        raise _damaged(name, len(data), error) from error
    if frames > 1 and stored in ("GIF", "WEBP", "PNG", "AVIF"):
        findings.append(Finding("input.animated", "info", f"{name} is animated ({frames} frames): the first is used"))
    height, width = array.shape[:2]
    info = MediaInfo(stored, mode, width, height, orientation, profile, frames, tuple(findings))
    return array, info


def _open(data: bytes, name: str, max_megapixels: float) -> Pillow.Image:
    """Read the header only, and refuse what is no picture or too large."""
    from PIL import Image as Pillow
    from PIL import UnidentifiedImageError

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of sizes that our own limit decides on
        try:
            Pillow.init()
            known = [name for name in FORMATS if name in Pillow.OPEN]  # AVIF came late, JPEG 2000 may be left out
            picture = Pillow.open(io.BytesIO(data), formats=known)
        except Pillow.DecompressionBombError as error:
            raise _too_large(f"{name}: {error}", f"{max_megapixels:g} megapixels") from error
        except UnidentifiedImageError as error:
            raise InputError(
                "input.not-a-picture",
                "This file is not a picture that can be read",
                seen=f"{name}: {_looks_like(data)}",
                remedy=f"Use one of: {', '.join(title for title, _ in FORMATS.values())}",
            ) from error
        except MemoryError:
            raise
        except Exception as error:  # as in decode: damaged headers raise anything
            raise _damaged(name, len(data), error) from error
    if picture.width * picture.height > max_megapixels * 1e6:
        raise _too_large(f"{name}: {picture.width} x {picture.height}", f"{max_megapixels:g} megapixels")
    return picture


def is_svg(data: bytes, name: str) -> bool:
    """Whether a file is meant as an SVG drawing, by its suffix or its beginning."""
    head = data[:4096].removeprefix(b"\xef\xbb\xbf").lstrip()
    return name.lower().endswith(".svg") or (head[:1] == b"<" and re.search(rb"<(\w+:)?svg\b", head) is not None)


def _looks_like(data: bytes) -> str:
    kinds = {
        b"%PDF": "a PDF", b"%!PS": "PostScript", b"PK\x03\x04": "a ZIP archive", b"\x1f\x8b": "gzip data",
        b"<svg": "an SVG drawing", b"<?xm": "XML", b"<!DO": "a web page", b"<htm": "a web page",
    }  # fmt: skip
    if data[4:8] == b"ftyp" and data[8:12] in (b"heic", b"heix", b"mif1", b"hevc"):
        return "an HEIC photo; export it as JPEG first"
    if data[4:8] == b"ftyp":
        return "a video"
    return kinds.get(data[:4].lower() if data[:1] == b"<" else data[:4], f"starts with {data[:8].hex(' ')}")


def _damaged(name: str, size: int, error: Exception) -> InputError:
    return InputError(
        "input.damaged",
        "This picture is damaged or cut off",
        seen=f"{name}, {size} bytes: {(str(error).splitlines() or [type(error).__name__])[0][:120]}",
        remedy="Fetch or export it again",
    )


def _orientation(picture: Pillow.Image) -> int:
    try:
        value = picture.getexif().get(0x0112, 1)
    except Exception:  # a broken EXIF block must not cost the picture, and Pillow raises anything on it
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _turn(picture: Pillow.Image, orientation: int) -> Pillow.Image:
    from PIL.Image import Transpose

    moves = {
        2: Transpose.FLIP_LEFT_RIGHT, 3: Transpose.ROTATE_180, 4: Transpose.FLIP_TOP_BOTTOM, 5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270, 7: Transpose.TRANSVERSE, 8: Transpose.ROTATE_90,
    }  # fmt: skip
    if orientation == 1:
        return picture
    turned = picture.transpose(moves[orientation])
    turned.info = picture.info
    return turned


def _to_rgb(picture: Pillow.Image, name: str, findings: list[Finding], keep_alpha: bool) -> tuple[Pillow.Image, str]:
    """Any mode to RGB in sRGB, alpha over white or, where it is to be kept and not all opaque, to RGBA."""
    from PIL import Image as Pillow

    profile_bytes = picture.info.get("icc_profile")
    if picture.mode in ("I", "F") or picture.mode.startswith("I;"):
        picture = _eight_bits(picture, name)
    alpha = None
    if picture.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        alpha = picture.getchannel("A")
        picture = picture.convert("RGB")
    elif picture.mode in ("P", "1"):
        picture = picture.convert("RGB")
    picture, profile = _to_srgb(picture, profile_bytes, name, findings)
    if alpha is not None:
        low, high = alpha.getextrema()
        if high == 0:
            raise InputError("input.transparent", "This picture is fully transparent", seen=name, remedy="Use another")
        if low < 255 and keep_alpha:  # type: ignore[operator]
            picture.putalpha(alpha)
        elif low < 255:  # type: ignore[operator]
            white = Pillow.new("RGB", picture.size, (255, 255, 255))
            white.paste(picture, mask=alpha)
            picture = white
            findings.append(Finding("input.alpha-flattened", "info", f"{name} is partly transparent: laid over white"))
    return picture, profile


def _eight_bits(picture: Pillow.Image, name: str) -> Pillow.Image:
    """16-bit, 32-bit and float greyscale to 8 bits."""
    import numpy as np
    from PIL import Image as Pillow

    values = np.asarray(picture).astype(np.float64)
    if not np.isfinite(values).all():
        raise InputError("input.not-finite", "This picture holds values that are not numbers", seen=name)
    top = values.max(initial=0.0)
    if picture.mode == "F" and top <= 1.0:
        scale = 255.0
    else:
        scale = 1.0 if picture.mode in ("I", "F") and top <= 255 else 255.0 / 65535.0
    return Pillow.fromarray(np.clip(np.rint(values * scale), 0, 255).astype(np.uint8))


def _to_srgb(
    picture: Pillow.Image, profile: bytes | None, name: str, findings: list[Finding]
) -> tuple[Pillow.Image, str]:
    if not profile:
        return picture.convert("RGB"), ""
    from PIL import ImageCms

    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        details: Any = source.profile  # Pillow's own type hints describe it as something else
        title = ImageCms.getProfileDescription(source).strip()[:80]
        fitting = {"GRAY": "L", "RGB": "RGB", "CMYK": "CMYK", "Lab": "LAB"}.get(details.xcolor_space.strip())
        if fitting is not None and fitting != picture.mode:
            picture = picture.convert(fitting)
        target = ImageCms.createProfile("sRGB")
        convert = ImageCms.buildTransform(source, target, picture.mode, "RGB", details.rendering_intent)
        if picture.mode == "RGB" and _is_identity(convert):
            return picture, title  # sRGB by any name: exactly the pixels that every other reader sees
        return ImageCms.applyTransform(picture, convert) or picture, title
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError) as error:
        findings.append(
            Finding("input.profile-ignored", "warning", f"{name}: its colour profile cannot be used ({error})"[:200])
        )
        return picture.convert("RGB"), ""


def _is_identity(convert: Any) -> bool:
    """Whether a colour transform moves no colour of a 9 x 9 x 9 grid by more than rounding."""
    import numpy as np
    from PIL import Image as Pillow
    from PIL import ImageCms

    axis = np.linspace(0, 255, 9).round().astype(np.uint8)
    grid = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(9, 81, 3)
    moved = np.asarray(ImageCms.applyTransform(Pillow.fromarray(grid), convert)).astype(int)
    return bool(np.abs(moved - grid).max() <= 2)


def decode_mask(data: bytes, name: str, size: tuple[int, int], *, max_megapixels: float = 120.0) -> Mask:
    """Decode an edit mask: a picture (white = edit) or a .npy array (bool, 0..255, or 0..1).

    Args:
        data: The file's bytes.
        name: For messages and for the suffix ``.npy``.
        size: (height, width) of the upright person photo.
        max_megapixels: As for photos.

    Returns:
        (H, W) uint8, 0 outside .. 255 inside.

    Raises:
        InputError: ``mask.not-finite``, ``mask.size``, ``mask.empty``, ``mask.range`` or those of `decode`.
    """
    import numpy as np

    if data[:6] == b"\x93NUMPY" or name.lower().endswith(".npy"):
        mask = _numpy_mask(data, name)
    else:
        picture = _open(data, name, max_megapixels)
        try:
            picture.load()
            picture = _turn(picture, _orientation(picture))
            if picture.mode in ("I", "F") or picture.mode.startswith("I;"):
                picture = _eight_bits(picture, name)
            if picture.mode in ("RGBA", "LA") and picture.getchannel("A").getextrema()[0] < 255:  # type: ignore[index]
                picture = picture.getchannel("A")  # painted on a transparent sheet, as drawing programs export
            mask = np.asarray(picture.convert("L"), dtype=np.uint8)
        except (InputError, MemoryError):
            raise
        except Exception as error:  # as in decode
            raise _damaged(name, len(data), error) from error
    if mask.shape != size:
        raise InputError(
            "mask.size",
            "The mask and the person photo differ in size",
            seen=f"{name}: {mask.shape[1]} x {mask.shape[0]}, photo {size[1]} x {size[0]} (upright)",
            remedy="Save the mask at the photo's size; `studio mask` writes one to start from",
        )
    if not mask.any():
        raise InputError("mask.empty", "The mask marks no pixel", seen=name, remedy="Paint what is to change white")
    return np.ascontiguousarray(mask)


def _numpy_mask(data: bytes, name: str) -> Any:
    import numpy as np

    try:
        values = np.load(io.BytesIO(data), allow_pickle=False)
    except (ValueError, OSError, EOFError, SyntaxError, MemoryError) as error:
        raise InputError(
            "mask.unreadable",
            "This mask cannot be read",
            seen=f"{name}: {(str(error).splitlines() or ['?'])[0][:120]}",
            remedy="Save it with numpy.save as a two-dimensional array of numbers",
        ) from error
    if not isinstance(values, np.ndarray) or values.ndim != 2 or values.dtype.kind not in "buif":
        raise InputError(
            "mask.unreadable",
            "A mask is a two-dimensional array of numbers",
            seen=f"{name}: {getattr(values, 'shape', '')} {getattr(values, 'dtype', type(values).__name__)}",
            remedy="Save it with numpy.save as (height, width) uint8, 255 where to edit",
        )
    if values.dtype.kind == "b":
        return values.astype(np.uint8) * 255
    wide = values.astype(np.float64)
    if not np.isfinite(wide).all():
        count = int((~np.isfinite(wide)).sum())
        raise InputError(
            "mask.not-finite",
            "The mask holds NaN or infinity",
            seen=f"{name}: {count} such values",
            remedy="Use 0..255",
        )
    if wide.size and (wide.min() < 0 or wide.max() > 255):
        raise InputError("mask.range", "Mask values lie outside 0..255", seen=f"{name}: {wide.min():g}..{wide.max():g}")
    if values.dtype.kind == "f" and wide.size and wide.max() <= 1.0:
        wide = wide * 255
    return np.rint(wide).astype(np.uint8)
