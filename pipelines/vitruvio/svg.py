"""Strokes of an SVG drawing as a picture. Nothing is fetched, run or expanded: a document type ends the reading."""

from __future__ import annotations

import io
import re
from typing import Any, cast
from xml.etree import ElementTree

import cv2
import numpy as np
from svgelements import SVG, Close, Color, Line, Move, Path, Shape

from pipelines.core.errors import InputError
from pipelines.core.types import Image

_LARGEST = 8 << 20  # bytes
_ELEMENTS = 20_000  # after every use has been replaced by what it shows
_OUTLINE = 100  # characters of an outline that weigh as much as an element
_DEPTH = 64
_POINTS = 400_000  # of all strokes together
_FARTHEST = 1e100  # coordinate
_SIDE = 1024  # px of the picture's sides
_PEN = 6  # px of every dark stroke: thin enough to part neighbours
_FLAT = 24  # pieces per curve
_DOCTYPE = re.compile(rb"<!\s*(DOCTYPE|ENTITY)", re.IGNORECASE)
# Never drawn by themselves, or nothing that a drawing of lines needs; images could point to other files.
_DROPPED = {"script", "image", "foreignObject", "text", "marker", "pattern", "mask", "clipPath", "filter", "metadata"}
_CLEAR = re.compile(r"\s*0+(\.0*)?%?\s*$")
_CLEAR_STYLE = re.compile(r"(?:^|;)\s*opacity\s*:\s*0+(\.0*)?%?\s*(;|$)")
_REFERENCE = ("href", "{http://www.w3.org/1999/xlink}href")


def from_svg(data: bytes) -> Image:
    """Draw the strokes of an SVG: paths, lines, rectangles, circles, in groups, with transforms and a view box.

    Fills are left out, as faces of a line drawing are; so is what is hidden. A stroke that is nearly white rubs out
    what lies under it where others are darker.

    Args:
        data: The file, at most 8 MiB.

    Returns:
        (1024, 1024, 3) uint8, black on white, strokes of one width, cut to them with a border.

    Raises:
        InputError: ``sketch.svg-broken`` for what is no SVG, is too large, or has a document type; ``sketch.svg-empty``
            where no stroke can be seen.
    """
    root = _checked(data)
    try:
        drawing = SVG.parse(io.BytesIO(ElementTree.tostring(root)), reify=True)
        shapes = [element for element in drawing.elements() if isinstance(element, Shape)]
        seen = [shape for shape in shapes if _is_seen(shape)]
        strokes, count = [], 0
        for shape in seen:
            lines = _polylines(shape, _POINTS - count)
            count += sum(map(len, lines))
            strokes += [(points, _is_white(shape), _pen(shape)) for points in lines]
    except (ValueError, TypeError, AttributeError, IndexError, KeyError, ZeroDivisionError, OverflowError) as error:
        raise _broken(f"{type(error).__name__}: {error}"[:120]) from error
    if not strokes:
        raise InputError("sketch.svg-empty", "The SVG has no strokes to see", seen=f"{len(shapes)} shapes",
                         remedy="Give the lines a stroke colour, and show their layer")  # fmt: skip
    return _drawn(strokes)


def _broken(seen: str) -> InputError:
    return InputError("sketch.svg-broken", "The SVG cannot be read", seen=seen,
                      remedy="Save it again as plain SVG, or export a PNG")  # fmt: skip


def _checked(data: bytes) -> ElementTree.Element:
    if len(data) > _LARGEST:
        raise _broken(f"{len(data) / 2**20:.1f} MiB, more than {_LARGEST >> 20}")
    # in another encoding the bytes of a document type would be hidden from this search
    if data[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in data[:64]:
        raise _broken("not UTF-8")
    if match := _DOCTYPE.search(data):
        raise _broken(f"a document type or entity: {match[0].decode('ascii', 'replace')}")
    try:
        root = ElementTree.fromstring(data)
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise _broken(str(error)[:120]) from error
    if _name(root) != "svg":
        raise _broken(f"a document of <{_name(root)[:40]}>")
    targets: dict[str, ElementTree.Element] = {}
    _strip(root, targets, 0)
    _count(root, targets, {}, ())
    return root


def _name(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""


def _strip(element: ElementTree.Element, targets: dict[str, ElementTree.Element], depth: int) -> None:
    """Take out what is not drawn, and note what a use may point to."""
    if depth > _DEPTH:
        raise _broken(f"more than {_DEPTH} levels")
    if identity := element.get("id"):
        targets[identity] = element
    for child in list(element):
        clear = _CLEAR.match(child.get("opacity", "")) or _CLEAR_STYLE.search(child.get("style", ""))
        if clear or _name(child) in _DROPPED:
            element.remove(child)
            continue
        _strip(child, targets, depth + 1)
        if _name(child) == "symbol":
            # drawn where it is used, and nowhere else
            place = list(element).index(child)
            element.remove(child)
            holder = ElementTree.Element(child.tag.replace("symbol", "defs"))
            holder.append(child)
            element.insert(place, holder)


def _count(
    element: ElementTree.Element,
    targets: dict[str, ElementTree.Element],
    known: dict[ElementTree.Element, int],
    above: tuple[ElementTree.Element, ...],
) -> int:
    """Return how many elements are drawn when every use is replaced, long outlines as several; refuse bombs."""
    if element in above:
        raise _broken("a use that holds itself")
    if len(above) > 2 * _DEPTH:
        raise _broken("uses of uses, too deep")
    if element not in known:
        parts = list(element)
        if _name(element) == "use":
            link = next((element.get(key) for key in _REFERENCE if element.get(key)), "") or ""
            if link.startswith("#") and link[1:] in targets:
                parts.append(targets[link[1:]])
        outline = len(element.get("d", "")) + len(element.get("points", ""))
        known[element] = (
            1 + outline // _OUTLINE + sum(_count(part, targets, known, (*above, element)) for part in parts)
        )
    if known[element] > _ELEMENTS:
        raise _broken(f"more than {_ELEMENTS} elements, or as much in outlines")
    return known[element]


def _is_seen(shape: Shape) -> bool:
    values = cast("dict[str, Any]", shape.values)
    stroke = cast("Color | None", shape.stroke)
    if stroke is None or stroke.value is None or not stroke.alpha:
        return False
    if values.get("visibility") in ("hidden", "collapse") or values.get("display") == "none":
        return False
    return all(_number(values.get(key)) > 0.01 for key in ("opacity", "stroke-opacity"))


def _number(text: object) -> float:
    try:
        return float(str(text))
    except ValueError:
        return 1.0


def _is_white(shape: Shape) -> bool:
    stroke = cast("Any", shape.stroke)
    return min(stroke.red, stroke.green, stroke.blue) > 230


def _pen(shape: Shape) -> float:
    width = cast("float | None", shape.implicit_stroke_width)
    return 1.0 if width is None else float(width)


def _polylines(shape: Shape, most: int) -> list[np.ndarray]:
    """Return the outline of a shape as polylines (M, 2) in the units of the view, of at most so many points."""
    lines: list[list[tuple[float, float]]] = []
    count = 0
    for segment in Path(shape):
        count += 1 if isinstance(segment, (Move, Line, Close)) else _FLAT
        if count > most:
            raise ValueError(f"more than {_POINTS} points")
        if isinstance(segment, Move):
            lines.append([_at(segment.end)])
        elif isinstance(segment, (Line, Close)):
            if segment.start is not None and segment.end is not None:
                lines[-1].append(_at(segment.end))
        else:
            lines[-1] += [_at(segment.point(step / _FLAT)) for step in range(1, _FLAT + 1)]
    found = [np.array(line) for line in lines if len(line) > 1]
    # far below the largest number, as sums and products of them follow
    if not all((np.abs(line) < _FARTHEST).all() for line in found):
        raise ValueError("coordinates that are no numbers, or beyond all measure")
    return found


def _at(point: Any) -> tuple[float, float]:
    return float(point.x), float(point.y)


def _drawn(strokes: list[tuple[np.ndarray, bool, float]]) -> Image:
    # with nothing but white strokes, the page is dark and they are the drawing
    only_white = all(white for _, white, _ in strokes)
    inked = np.concatenate([points for points, white, _ in strokes if only_white or not white])
    low, high = inked.min(0), inked.max(0)
    extent = float((high - low).max())
    if extent <= 0:
        raise InputError("sketch.svg-empty", "The strokes of the SVG have no length", seen=extent,
                         remedy="Draw lines of a building")  # fmt: skip
    scale = 0.9 * _SIDE / extent
    canvas = np.full((_SIDE, _SIDE), 255, np.uint8)
    for points, white, pen in strokes:
        place = (points - (low + high) / 2) * scale + _SIDE / 2
        place = np.round(np.clip(place, -_SIDE, 2 * _SIDE) * 16).astype(np.int32)
        rubs = white and not only_white
        thick = round(min(max(pen * scale, 1), _SIDE / 4)) if rubs else _PEN
        cv2.polylines(canvas, [place], False, (255.0 if rubs else 0.0,), thick, cv2.LINE_AA, 4)
    return np.repeat(canvas[..., None], 3, axis=2)
