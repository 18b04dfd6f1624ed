"""Pose and parsing as results of their own."""

from __future__ import annotations

from typing import Any

from pipelines.core.errors import InputError
from pipelines.core.types import Pose
from studio.registry import Call, Product


def _pipeline(call: Call) -> Any:
    """Both networks as one `PersonPipeline`; they are loaded one by one so that each can be a user's own."""
    from pipelines.person.pipeline import PersonPipeline

    parser = call.load("pipelines.person.parsing.pipeline:ParsingPipeline", "parsing")
    return PersonPipeline(parser, call.load("pipelines.vitpose.pipeline:VitPosePipeline", "pose"))


def pose(call: Call) -> Product:
    """Joints of each person, in pixels of the upright photo.

    Raises:
        InputError: ``input.no-person``.
    """
    pipeline, image = _pipeline(call), call.inputs["person"]
    boxes = pipeline.locate(image)[: 1 if call.settings.people == "largest" else None]
    call.on_step(1, len(boxes) + 1, None)
    people = []
    for number, box in enumerate(boxes):
        try:
            people.append(pipeline.look(image, box, tuple(boxes)))
        except InputError:  # a box that turns out to be nobody; the first one's error stands if all of them are
            if number == len(boxes) - 1 and not people:
                raise
        call.on_step(number + 2, len(boxes) + 1, None)
    if not people:
        people = [pipeline(image)]  # raises, with what was seen
    poses = [_body25(person.pose) if call.settings.layout == "body25" else person.pose for person in people]
    height, width = image.shape[:2]
    return Product(
        document={
            "width": width,
            "height": height,
            "layout": call.settings.layout,
            "people": [_as_json(each) for each in poses],
        },
        findings=tuple(finding for person in people for finding in person.findings),
    )


def _as_json(pose: Pose) -> dict[str, Any]:
    box = pose.box
    return {
        "box": [round(float(v), 2) for v in (box.x, box.y, box.w, box.h)],
        "joints": [
            {"name": name, "x": round(float(x), 2), "y": round(float(y), 2), "score": round(float(score), 4)}
            for name, (x, y), score in zip(pose.names, pose.xy, pose.score, strict=True)
        ],
    }


def _body25(pose: Pose) -> Pose:
    from pipelines.vitpose import decoding

    xy, score = decoding.coco_to_body25(pose.xy, pose.score)
    return Pose(xy, score, decoding.BODY25_NAMES, pose.box)


def parse(call: Call) -> Product:
    """Label map of one person: palette indices are the class ids.

    Raises:
        InputError: ``input.no-person`` or ``input.person-index``.
    """
    import numpy as np

    from pipelines.person.layout import LIP_NAMES
    from pipelines.person.parsing.network import PARSING_CLASSES

    person = _pipeline(call)(call.inputs["person"], call.settings.person_index, on_step=call.on_step)
    nine = call.settings.layout == "nine"
    labels, names = (person.labels, PARSING_CLASSES) if nine else (person.layout, LIP_NAMES)
    counts = np.bincount(labels.reshape(-1), minlength=len(names))
    shares = {name: round(float(count) / labels.size, 6) for name, count in zip(names, counts, strict=True)}
    return Product(
        pixels=np.ascontiguousarray(labels, np.uint8),
        palette=_palette(len(names)),
        receipt={"classes": list(names), "shares": shares},
        findings=tuple(person.findings),
    )


def _palette(count: int) -> list[int]:
    """Black for the background, then colours far apart on the wheel."""
    import colorsys

    colours = [(0.0, 0.0, 0.0)]
    colours += [colorsys.hsv_to_rgb(i * 0.381966 % 1, 0.65, 0.95 - 0.3 * (i % 2)) for i in range(1, count)]
    return [round(255 * channel) for colour in colours for channel in colour]
