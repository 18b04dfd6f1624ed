"""What a picture file says of its own history: hints where to look and whom to ask, never a verdict.

Nothing here needs a network or a model. What a file says can be forged or missing; most of what is found has an
innocent reason, and each finding names it. All input is hostile: nothing raises, texts are short and printable.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from pipelines.core.types import Finding, Image
from studio import exif, jpeg_history, makers, media, picture_files, thumbnails
from studio.exif import Exif
from studio.picture_files import Parts
from studio.provenance import plain

# Names that cameras and phones give; messengers' names (IMG-20240101-WA0001) are left out, since they drop EXIF.
CAMERA_NAME = re.compile(r"(IMG|_MG|_?DSCF?|DSCN|PXL|P|GOPR|GX|DJI|SAM|MVIMG|R00|CIMG)_?\d{4}[\d_~.a-z]*\.jpe?g", re.I)
MORE_SUFFIXES = {"JPEG": ("jpe", "jfif", "mpo")}
SLACK = timedelta(days=1)  # dates carry no time zone
# What follows a picture: its beginning, its name, and whether phones do that.
TAILS = (
    (rb"PK\x03\x04", "a ZIP archive", False), (rb"\s{0,64}<(!doctype|html|script|svg|\?)", "a web page", False),
    (rb"%PDF", "a PDF", False), (rb"MZ|\x7fELF", "a program", False), (rb"Rar!|7z\xbc\xaf", "an archive", False),
    (rb"\xff\xd8\xff|\x89PNG", "a second picture", True), (rb"....ftyp", "a video, as motion photos have", True),
    (rb".{0,64}MotionPhoto_Data|.{0,64}SEF[HT]", "data of a Samsung phone", True),
)  # fmt: skip
PADDING = re.compile(rb"[\0\xff\s]*")


@dataclass(frozen=True)
class Traces:
    """What the file says.

    Attributes:
        format: Pillow's name of the container, by its bytes; empty if unknown.
        width: As stored; 0 if the container does not say.
        height: As width.
        bytes: Size of the file.
        camera: Make and model, or empty.
        software: Programs that it names.
        created: When it was taken, as text, or empty.
        modified: When it was changed, as text, or empty.
        quality: About which of libjpeg's qualities its compression is worth, 1..100; None if it is no JPEG.
        tables: Whose quantisation tables: ``libjpeg``, ``mozjpeg``, ``photoshop``, ``own``; or empty.
        sampling: Chroma subsampling as ``4:2:0``, or ``grey``; or empty.
        progressive: Whether it is a progressive JPEG.
        bytes_after_end: How many bytes follow the picture's end.
        after_end: What they look like.
        thumbnail: Whether EXIF holds one.
        anomalies: What was noticed.
    """

    format: str
    width: int
    height: int
    bytes: int
    camera: str = ""
    software: tuple[str, ...] = ()
    created: str = ""
    modified: str = ""
    quality: int | None = None
    tables: str = ""
    sampling: str = ""
    progressive: bool = False
    bytes_after_end: int = 0
    after_end: str = ""
    thumbnail: bool = False
    anomalies: tuple[Finding, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready; every text is printable and short."""
        told = asdict(self)
        return {**told, "software": list(self.software), "anomalies": [each.as_dict() for each in self.anomalies]}


def examine(data: bytes, name: str, picture: Image | None = None) -> Traces:
    """Look at a picture file from outside, and at its pixels for an earlier compression; never raises.

    Args:
        data: The file's bytes.
        name: Its name, for its ending and for names that cameras give.
        picture: (H, W, 3) uint8, upright, as `media.decode` gives it; without it no pixel is looked at.
    """
    parts = picture_files.read(data)
    tags = exif.read(parts.exif[0]) if parts.exif else Exif()
    packet = parts.xmp.decode("utf-8", "replace")
    created, modified = _dates(tags, packet)
    tail = data[parts.end : parts.end + 4096] if parts.end is not None else b""
    after = 0 if parts.end is None else len(data) - parts.end
    kind, _ = _tail(tail) if after else ("", True)
    style, quality = _compression(parts)
    found = [
        *_container(parts, tags, name, after, tail), *makers.look(parts, tags, packet), *_when(created, modified),
        *_size(parts, tags, picture), *_tables(parts, tags, style),
    ]  # fmt: skip
    if picture is not None:
        found += [*_thumbnail(tags, picture), *_earlier(data, parts, picture)]
    return Traces(
        format=parts.format, width=parts.width, height=parts.height, bytes=len(data), camera=_camera(tags),
        software=tuple(makers.named(parts, tags, packet)), created=plain(created, 40), modified=plain(modified, 40),
        quality=quality, tables=style, sampling=_sampling(parts), progressive=parts.progressive, bytes_after_end=after,
        after_end=kind, thumbnail=bool(tags.thumbnail), anomalies=tuple(found),
    )  # fmt: skip


def _camera(tags: Exif) -> str:
    make, model = (plain(tags.texts.get(name, ""), 60).strip() for name in ("make", "model"))
    return model if model.lower().startswith(make.lower()) else f"{make} {model}".strip()


def _dates(tags: Exif, packet: str) -> tuple[str, str]:
    """When it was taken and when it was changed, as the file words it; EXIF before XMP."""
    wanted = ((("created", "digitized"), r"(?:CreateDate|DateCreated)"), (("modified",), "ModifyDate"))
    dates = []
    for names, xmp in wanted:
        texts = [tags.texts.get(name, "") for name in names] + makers.xmp_values(packet, xmp)
        dates.append(next((text for text in texts if _moment(text)), ""))
    return dates[0], dates[1]


def _moment(text: str) -> datetime | None:
    found = re.match(r"(\d{4})[:-](\d\d)[:-](\d\d)[T ](\d\d:\d\d)", text, re.ASCII)
    try:
        return datetime.fromisoformat(f"{found[1]}-{found[2]}-{found[3]} {found[4]}") if found else None
    except ValueError:  # a month 13, or the zeros of a camera whose clock was never set
        return None


def _when(created: str, modified: str) -> Iterator[Finding]:
    taken, changed = _moment(created), _moment(modified)
    if taken and changed and taken - changed > SLACK:
        text = f"It says that it was changed ({plain(modified, 40)}) before it was taken ({plain(created, 40)})"
        yield Finding("trace.date-order", "warning", text, "One of the dates was written later, or a clock was wrong")
    latest = max((moment for moment in (taken, changed) if moment), default=None)
    if latest and latest - datetime.now() > SLACK:
        text = f"It is dated in the future: {latest:%Y-%m-%d}"
        yield Finding("trace.date-future", "warning", text, "A clock was wrong, or the date was written by hand")


def _container(parts: Parts, tags: Exif, name: str, after: int, tail: bytes) -> Iterator[Finding]:
    yield from _suffix(parts, name)
    if after and not PADDING.fullmatch(tail):
        kind, usual = _tail(tail)
        meaning = "Phones append such data" if usual or parts.several else "Picture programs ignore it; look what it is"
        text = f"{after} bytes follow after the picture's end: {kind}"
        yield Finding("trace.bytes-after-end", "info" if usual else "warning", text, meaning)
    if not parts.complete:
        text = "The file ends before its picture does, or its parts do not add up"
        yield Finding("trace.cut-off", "info", text, "Usually a broken download; fetch it again")
    if parts.exif_blocks > 1:
        text = f"The file holds {parts.exif_blocks} EXIF blocks, and programs differ in which they believe"
        yield Finding("trace.several-exif", "warning", text, "Some program added its own; the first is read here")
    if tags.damaged:
        text = "Its EXIF block is damaged: directories loop or lie outside"
        yield Finding("trace.exif-damaged", "info", text, "Programs that edit EXIF cause this; what was read is shown")
    if tags.located:
        text = "The file says where it was taken (GPS)"
        yield Finding("trace.location", "info", text, "A matter of privacy, not of authenticity: think before sharing")
    if not parts.exif_blocks and parts.format == "JPEG" and CAMERA_NAME.fullmatch(name):
        text = "It is named as a camera names its files, but holds no EXIF, which cameras write"
        yield Finding("trace.no-exif", "info", text, "Messengers and web pages drop it; ask for the original file")
    if parts.credentials:
        text = "The file holds Content Credentials (C2PA)"
        yield Finding("trace.credentials", "info", text, "They tell its history: see what is said of its seal")


def _suffix(parts: Parts, name: str) -> Iterator[Finding]:
    suffix = name.lower().rpartition(".")[2] if "." in name else ""
    known = {ending: kind for kind, (_, endings) in media.FORMATS.items() for ending in endings}
    known |= {ending: kind for kind, endings in MORE_SUFFIXES.items() for ending in endings}
    if parts.format and known.get(suffix, parts.format) != parts.format:
        text = f"Its name ends in .{plain(suffix, 10)}, but its content is {media.FORMATS[parts.format][0]}"
        yield Finding("trace.wrong-suffix", "warning", text, "Renaming does this, and so do many web pages")


def _tail(tail: bytes) -> tuple[str, bool]:
    """What follows a picture, and whether phones and cameras do that."""
    if PADDING.fullmatch(tail):
        return "padding", True
    for begins, kind, usual in TAILS:
        if re.match(begins, tail, re.DOTALL | re.IGNORECASE):
            return kind, usual
    return f"unknown, starts with {tail[:8].hex(' ')}", False


def _size(parts: Parts, tags: Exif, picture: Image | None) -> Iterator[Finding]:
    """EXIF's size of the picture beside its own; turned by a quarter counts as equal."""
    width, height = tags.numbers.get("width", 0), tags.numbers.get("height", 0)
    own = (parts.width, parts.height) if picture is None else (picture.shape[1], picture.shape[0])
    if width and height and all(own) and sorted((width, height)) != sorted(own):
        text = f"Its EXIF says {width} x {height} pixels, but it has {own[0]} x {own[1]}"
        yield Finding("trace.size-differs", "warning", text, "It was cropped or made smaller after EXIF was written")


def _compression(parts: Parts) -> tuple[str, int | None]:
    table = _luminance_table(parts)
    return jpeg_history.style(table) if table else ("", None)


def _luminance_table(parts: Parts) -> tuple[int, ...] | None:
    return parts.tables.get(parts.components[0][3]) if parts.components else None


def _sampling(parts: Parts) -> str:
    if len(parts.components) == 1:
        return "grey"
    if len(parts.components) < 3:
        return ""
    (_, across, down, _), (_, less_across, less_down, _) = parts.components[:2]
    ratio = (across // max(1, less_across), down // max(1, less_down))
    known = {(1, 1): "4:4:4", (2, 1): "4:2:2", (2, 2): "4:2:0", (1, 2): "4:4:0", (4, 1): "4:1:1"}
    return known.get(ratio, f"{across}x{down}")


def _tables(parts: Parts, tags: Exif, style: str) -> Iterator[Finding]:
    known = [name for name in (tags.texts.get("make"), tags.texts.get("software")) if name]
    if style not in ("own", "photoshop") or known:
        return  # cameras and Photoshop bring their own tables, and this one says which it was
    whose = "as Photoshop has them" if style == "photoshop" else "of no common program"
    text = f"Its JPEG tables are {whose}, but it names neither a camera nor a program"
    yield Finding("trace.tables", "info", text, "Its EXIF was dropped, which is usual on the web")


def _thumbnail(tags: Exif, picture: Image) -> Iterator[Finding]:
    if not tags.thumbnail:
        return
    laid = thumbnails.compare(tags.thumbnail, picture, tags.numbers.get("orientation", 1))
    if laid is not None and not laid.same_shape:
        text = f"Its EXIF thumbnail has another shape ({laid.width} x {laid.height}) than the picture"
        yield Finding("trace.thumbnail-shape", "info", text, "It was cropped or turned after the thumbnail was made")
    elif laid is not None and laid.differs:
        text = f"Its EXIF thumbnail shows something else in one place at least (by {laid.difference:.0f} of 255)"
        yield Finding("trace.thumbnail-differs", "warning", text, "The picture was changed since; look at both")


def _earlier(data: bytes, parts: Parts, picture: Image) -> Iterator[Finding]:
    """Traces of an earlier compression in the pixels."""
    usual = "Usual on the web, where pictures are compressed again and again: no sign of a change by itself"
    table = _luminance_table(parts)
    try:
        if parts.format == "JPEG" and table and sorted((parts.width, parts.height)) == sorted(picture.shape[:2]):
            luminance = jpeg_history.luminance_of(data)
            own, moved = (None, None) if luminance is None else jpeg_history.earlier_in_jpeg(luminance, table)
            if own:
                text = f"It was compressed as JPEG before, more strongly ({own.clarity:.0f} standard deviations)"
                yield Finding("trace.compressed-twice", "info", text, usual)
            if moved:
                text = f"It was compressed as JPEG before, on a grid moved by {moved.x} right and {moved.y} down"
                yield Finding("trace.compressed-before-crop", "info", text, f"It was cropped or moved since. {usual}")
        elif parts.lossless:
            grid = jpeg_history.earlier_in_lossless(picture)
            if grid:
                text = f"Stored without loss, but its pixels were JPEG before (grid {grid.x} right, {grid.y} down)"
                yield Finding("trace.jpeg-grid", "info", text, f"The original is another file. {usual}")
    except Exception:  # Pillow's decoders raise anything on hostile bytes, and then nothing can be said
        return
