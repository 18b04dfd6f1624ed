"""A photo in; who is in it, what they wear and how they stand out.

The picture is searched for people on a small copy, then looked at closely in a window of at most `WORKING` pixels
around one person, so that the cost does not depend on the picture's size, nor the quality on the person's.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.core import hub
from pipelines.core.errors import InputError
from pipelines.core.types import Box, Finding, Image, Labels, OnStep, Pose, report
from pipelines.person import body as bodies
from pipelines.person import detection
from pipelines.person import layout as layouts
from pipelines.person.body import Body
from pipelines.person.detection import Evidence
from pipelines.person.parsing import network as parsing
from pipelines.person.parsing.pipeline import ParsingPipeline, field_of_view
from pipelines.vitpose.pipeline import VitPosePipeline

WORKING = 1024  # longest side of the window that is looked at closely
MARGIN = 0.16  # of the person's box, added on each side of the window
MAX_LOOKS = 4  # at one person, each time at more of it, when the box given was too small
MIN_SIDE = 48  # a person less high than this shows nothing that could be dressed


@dataclass(frozen=True)
class Person:
    """One person of a picture, at the picture's size.

    Attributes:
        labels: (H, W) uint8 of `PARSING_CLASSES`; other people are background.
        confidence: (H, W) float32 in [0, 1], of the labels; 0 outside the window that was looked at.
        layout: (H, W) uint8 of `LIP_NAMES`.
        pose: 17 COCO keypoints as the network found them.
        body: Joints checked against the silhouette.
        box: The person's box.
        boxes: Everybody's boxes, largest first.
        window: The part of the picture that was looked at closely.
        findings: What may spoil a result: side view, coat, bag in front, cut off, uncertain pose.
    """

    labels: Labels
    confidence: NDArray[np.float32]
    layout: Labels
    pose: Pose
    body: Body
    box: Box
    boxes: tuple[Box, ...]
    window: Box
    findings: tuple[Finding, ...]


class PersonPipeline:
    """Detection, parsing, pose and layout of one person."""

    def __init__(self, parser: ParsingPipeline, pose: VitPosePipeline) -> None:
        self.parser, self.pose = parser, pose

    @classmethod
    def from_pretrained(
        cls, parsing: str | Path = "parsing", pose: str | Path = "pose", *, device: str = "auto", dtype: str = "auto"
    ) -> PersonPipeline:
        """Load both networks by name or folder.

        Raises:
            WeightsError: if one is missing or does not fit.
        """
        return cls(
            ParsingPipeline.from_pretrained(hub.resolve(parsing), device=device, dtype=dtype),
            VitPosePipeline.from_pretrained(hub.resolve(pose), device=device, dtype=dtype),
        )

    def locate(self, image: Image) -> list[Box]:
        """Find everybody.

        Args:
            image: (H, W, 3) uint8 RGB of any size.

        Returns:
            Boxes in pixels of ``image``, largest first; empty if there is nobody.
        """
        small, scale = _shrunk(image, WORKING)
        boxes = [_scaled(box, 1 / scale) for box in self._search(small)]
        return [box for box in boxes if box.h >= MIN_SIDE]

    def _search(self, image: Image) -> list[Box]:
        """People in a picture of at most `WORKING` pixels: first the large ones, then, if there is none, small ones."""
        side = max(image.shape[:2])
        boxes: list[Box] = []
        for length in (320, 640):
            seen = self.parser.glance(image, length)
            factors = image.shape[1] / seen.labels.shape[1], image.shape[0] / seen.labels.shape[0]
            boxes = [_scaled(box, *factors) for box in detection.find_people(seen.labels, seen.confidence)]
            if (boxes and boxes[0].h > 0.45 * image.shape[0]) or length >= side:
                break
        return boxes

    def __call__(self, image: Image, person_index: int = 0, *, on_step: OnStep | None = None) -> Person:
        """Look at one person.

        Args:
            image: (H, W, 3) uint8 RGB of any size.
            person_index: Place in `locate`'s list; 0 is the largest person.
            on_step: Called after each of three steps.

        Raises:
            InputError: ``input.no-person`` or ``input.person-index``.
        """
        boxes = self.locate(image)
        report(on_step, 1, 3)
        if not boxes:
            raise _nobody("nothing that looks like a person")
        if not 0 <= person_index < len(boxes):
            raise InputError(
                "input.person-index",
                f"There {'is one person' if len(boxes) == 1 else f'are {len(boxes)} people'} in this picture",
                seen=f"person {person_index}",
                remedy=f"Choose a number from 0 (the largest) to {len(boxes) - 1}",
            )
        person = self.look(image, boxes[person_index], tuple(boxes))
        report(on_step, 3, 3)
        return person

    def look(self, image: Image, box: Box, boxes: tuple[Box, ...] = ()) -> Person:
        """Look closely at the person in ``box``, wherever the box came from.

        Raises:
            InputError: ``input.no-person`` if it is none.
        """
        height, width = image.shape[:2]
        near = self._close_up(image, box)
        for _ in range(MAX_LOOKS - 1):
            if not any(near.runs_out):
                break
            near = self._close_up(image, near.widened())
        pose = self.pose(near.crop, [near.box])[0]
        refuse_nobody(detection.evidence(near.labels, near.confidence, pose), near.box.h / near.scale)
        body = bodies.measure(near.labels, pose)
        layout = layouts.compose_on(near.labels, body)
        outer = near.to_picture(near.box)
        cut = (outer.y <= 0.01 * height, outer.y + outer.h >= 0.99 * height)

        def points(xy: NDArray[Any]) -> NDArray[Any]:
            return ((xy + 0.5) / near.scale - 0.5 + [near.left, near.top]).astype(xy.dtype)

        def plane(values: NDArray[Any]) -> NDArray[Any]:
            return _pasted(values, near, (height, width))

        return Person(
            labels=plane(near.labels),
            confidence=plane(near.confidence),
            layout=plane(layout),
            pose=replace(pose, xy=points(pose.xy), box=outer),
            body=replace(
                body,
                unit=body.unit / near.scale,
                joints=points(body.joints),
                head_top=points(body.head_top),
                chin=points(body.chin),
            ),
            box=outer,
            boxes=boxes or (outer,),
            window=Box(near.left, near.top, near.width, near.height),
            findings=tuple(examine(near.labels, layout, body, pose, cut)),
        )

    def _close_up(self, image: Image, box: Box) -> _CloseUp:
        """Parse the window around ``box`` and keep the person who fills it best."""
        height, width = image.shape[:2]
        across, down = MARGIN * max(box.w, 0.5 * box.h), MARGIN * box.h
        left, top = int(max(0, box.x - across)), int(max(0, box.y - down))
        right = int(min(width, np.ceil(box.x + box.w + across)))
        bottom = int(min(height, np.ceil(box.y + box.h + down)))
        crop, scale = _shrunk(image[top:bottom, left:right], WORKING)
        inner = _scaled(replace(box, x=box.x - left, y=box.y - top), scale)
        seen = self.parser(crop, inner)
        who, found = detection.people(seen.labels, seen.confidence)
        if not found:
            raise _nobody("the area found holds no parts of a person")
        chosen = int(np.argmax([_overlap(other, inner) for other in found]))
        labels = one_garment(np.where(who == chosen + 1, seen.labels, np.uint8(parsing.BACKGROUND)).astype(np.uint8))
        best, field = found[chosen], field_of_view(inner)
        slack = 0.015 * field.w, 0.015 * field.h
        beyond = (
            best.x < field.x + slack[0] or (best.x < 1 and left > 0),
            best.y < field.y + slack[1] or (best.y < 1 and top > 0),
            best.x + best.w > field.x + field.w - slack[0] or (best.x + best.w > labels.shape[1] - 1 and right < width),
            best.y + best.h > field.y + field.h - slack[1]
            or (best.y + best.h > labels.shape[0] - 1 and bottom < height),
        )
        outer = _scaled(best, 1 / scale)
        inside = (
            left + outer.x > 1,
            top + outer.y > 1,
            left + outer.x + outer.w < width - 1,
            top + outer.y + outer.h < height - 1,
        )
        runs_out = tuple(there and more for there, more in zip(beyond, inside, strict=True))
        return _CloseUp(crop, labels, seen.confidence, best, scale, left, top, right - left, bottom - top, runs_out)


@dataclass(frozen=True)
class _CloseUp:
    """A window of the picture, shrunk to working size, and the person in it (pixels of the shrunk copy).

    Attributes:
        crop: (h, w, 3) uint8.
        labels: (h, w) uint8, other people removed.
        confidence: (h, w) float32.
        box: The person.
        scale: Pixels of the copy per pixel of the picture.
        left: Place of the window in the picture, as are `top`, `width` and `height`.
        top: See `left`.
        width: See `left`.
        height: See `left`.
        runs_out: Whether the person goes on beyond what was looked at: left, top, right, bottom.
    """

    crop: Image
    labels: Labels
    confidence: NDArray[np.float32]
    box: Box
    scale: float
    left: int
    top: int
    width: int
    height: int
    runs_out: tuple[bool, ...]

    def to_picture(self, box: Box) -> Box:
        """A box of the copy in pixels of the picture."""
        outer = _scaled(box, 1 / self.scale)
        return replace(outer, x=outer.x + self.left, y=outer.y + self.top)

    def widened(self) -> Box:
        """Where to look next, in pixels of the picture: the person's box, half as large again where it runs out."""
        box = self.to_picture(self.box)
        left, top, right, bottom = (0.5 * float(side) for side in self.runs_out)
        return replace(
            box,
            x=box.x - left * box.w,
            y=box.y - top * box.h,
            w=box.w * (1 + left + right),
            h=box.h * (1 + top + bottom),
        )


def one_garment(labels: Labels) -> Labels:
    """Call a top with some dress in it all top, and a dress with a little top in it all dress.

    On the average this scores worse than what the network says, but half a hem that counts as another garment would be
    left standing under a new one.

    Args:
        labels: (H, W) uint8 of one person.

    Returns:
        The same size, possibly the same array.
    """
    upper, dress = int((labels == parsing.UPPER).sum()), int((labels == parsing.DRESS).sum())
    if 0 < dress < 0.5 * upper:
        return np.where(labels == parsing.DRESS, np.uint8(parsing.UPPER), labels).astype(np.uint8)
    if 0 < upper < 0.12 * dress:
        return np.where(labels == parsing.UPPER, np.uint8(parsing.DRESS), labels).astype(np.uint8)
    return labels


def refuse_nobody(proof: Evidence, height: float) -> None:
    """Raise if what was found is no person, or too small a one.

    Raises:
        InputError: ``input.no-person``.
    """
    if height < MIN_SIDE:
        raise _nobody(f"somebody {height:.0f} pixels high")
    if proof.head < 0.04 or proof.skin + proof.head < 0.08:
        raise _nobody("clothes without a head or skin")
    if proof.confidence < 0.45 or proof.joints < 0.2:
        raise _nobody(f"an area of low confidence ({proof.confidence:.2f}, joints {proof.joints:.2f})")


def examine(labels: Labels, layout: Labels, body: Body, pose: Pose, cut: tuple[bool, bool]) -> list[Finding]:
    """What about this person may spoil a try-on.

    Args:
        labels: (H, W) uint8 of `PARSING_CLASSES`.
        layout: (H, W) uint8 of `LIP_NAMES`.
        body: The measured body.
        pose: The pose as found.
        cut: Whether the picture's upper and lower edge cut the person.
    """
    found = []
    shoulders = body.joints[list(bodies.SHOULDERS)]
    if body.trusted[list(bodies.SHOULDERS)].all() and np.ptp(shoulders[:, 0]) < 0.55 * body.unit:
        found.append(
            Finding(
                "person.side-view",
                "warning",
                f"Seen from the side (shoulders {np.ptp(shoulders[:, 0]) / body.unit:.0%} of full width)",
                "A garment fits best on somebody who faces the camera",
            )
        )
    elif body.facing < 0:
        found.append(
            Finding("person.back-view", "info", "Seen from behind", "A garment's front is laid on the person's back")
        )
    bag = detection.bag_share(labels)
    torso = _torso_share(layout, body, layouts.BAG)
    if torso > 0.06 or bag > 0.15:
        found.append(
            Finding(
                "person.bag-in-front",
                "warning",
                f"A bag covers {torso:.0%} of the trunk",
                "It stays in front of the garment; a photo without it comes out cleaner",
            )
        )
    if _long_top(layout, body):
        found.append(
            Finding(
                "person.coat",
                "info",
                "The upper garment reaches far below the hips, like a coat",
                "A shorter garment leaves its lower part to be painted; a photo without the coat comes out cleaner",
            )
        )
    names = ("shoulder", "elbow", "wrist", "hip")
    unsure = [name for name, pair in zip(names, (5, 7, 9, 11), strict=True) if not body.trusted[[pair, pair + 1]].any()]
    mean = float(pose.score[5:13].mean())
    if mean < 0.35 or len(unsure) > 1:
        found.append(
            Finding(
                "person.pose-uncertain",
                "warning",
                f"The joints are uncertain (mean score {mean:.2f}{', no ' + ' or '.join(unsure) if unsure else ''})",
                "Sleeves may not follow the arms; a photo with arms away from the body helps",
            )
        )
    head = np.isin(layout, layouts.HEAD).any()
    if not head or (cut[0] and (layout == layouts.FACE).sum() < 0.05 * body.unit**2):
        found.append(
            Finding("person.head-cut-off", "info", "The head is not in the picture", "Dressing works without it")
        )
    if cut[1] and body.pelvis[1] > layout.shape[0]:
        found.append(
            Finding(
                "person.cut-off",
                "info",
                "The picture ends above the hips",
                "The garment ends at the edge of the picture",
            )
        )
    return found


def _torso_share(layout: Labels, body: Body, part: int) -> float:
    """Share of the trunk between shoulders and hips that shows ``part``."""
    trunk = np.zeros(layout.shape, np.uint8)
    shoulders, hips = body.joints[list(bodies.SHOULDERS)], body.joints[list(bodies.HIPS)]
    corners = np.array([shoulders[0], shoulders[1], hips[1], hips[0]])
    cv2.fillPoly(trunk, [np.rint(corners).astype(np.int32)], 1)
    return float(((layout == part) & (trunk > 0)).sum()) / max(1, int(trunk.sum()))


def _long_top(layout: Labels, body: Body) -> bool:
    """Whether the upper garment goes on well below the hips."""
    top = np.isin(layout, (layouts.UPPER, layouts.COAT))
    low = top[int(np.clip(body.pelvis[1] + 0.55 * body.unit, 0, layout.shape[0])) :]
    return bool(low.sum() > 0.12 * max(1, int(top.sum())))


def _nobody(seen: str) -> InputError:
    return InputError(
        "input.no-person",
        "No person was found in this picture",
        seen=seen,
        remedy="Use a photo of one person, upright, with the upper body in view and at least 200 pixels high",
    )


def _shrunk(image: Image, side: int) -> tuple[Image, float]:
    """A copy whose longest side is at most ``side``, and its scale."""
    scale = side / max(image.shape[:2])
    if scale >= 1:
        return np.ascontiguousarray(image), 1.0
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    if scale < 0.25:  # averaging every pixel of a huge picture is slow; every other one will do for looking
        step = int(0.5 / scale)
        image = np.ascontiguousarray(image[::step, ::step])
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8), scale


def _scaled(box: Box, across: float, down: float | None = None) -> Box:
    down = across if down is None else down
    return Box(box.x * across, box.y * down, box.w * across, box.h * down, box.score)


def _overlap(a: Box, b: Box) -> float:
    w = min(a.x + a.w, b.x + b.w) - max(a.x, b.x)
    h = min(a.y + a.h, b.y + b.h) - max(a.y, b.y)
    return max(0.0, w) * max(0.0, h)


def _pasted(values: NDArray[Any], near: _CloseUp, shape: tuple[int, int]) -> NDArray[Any]:
    """Put a close-up's plane back to the size and place it had, onto zeros of ``shape``."""
    out = np.zeros(shape, values.dtype)
    way = cv2.INTER_LINEAR if values.dtype == np.float32 else cv2.INTER_NEAREST
    if values.shape != (near.height, near.width):
        values = cv2.resize(values, (near.width, near.height), interpolation=way)
    out[near.top : near.top + near.height, near.left : near.left + near.width] = values
    return out
