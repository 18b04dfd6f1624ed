"""A stand-in for the try-on in tests of the page: pastes the garment into a box on the person, in plain numpy.

It is a real edit with a real mask, so receipt, difference and download have something true to show, and it takes a
second and no weights. `install` puts it into the registry of the calling process; as a script it is

    boxpaste.py worker --home DIR       the page's worker
    boxpaste.py page PORT SAMPLES       the page, with sample pictures from SAMPLES
"""

from __future__ import annotations

import dataclasses
import io
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from pipelines.core.errors import InputError
from pipelines.core.types import Finding
from studio import registry, worker
from studio.registry import Call, Edit, Product

STEP_SECONDS = 0.25


def figure(people: int = 1, size: tuple[int, int] = (240, 320)) -> np.ndarray:
    """A plain drawn figure, or several, on a light wall: (H, W, 3) uint8."""
    width, height = size
    image = Image.new("RGB", (width * people, height), (235, 232, 226))
    pen = ImageDraw.Draw(image)
    for number in range(people):
        scale = 1 - 0.2 * number
        x, y = width * number + width / 2, height * 0.95
        tall, wide = height * 0.85 * scale, width * 0.4 * scale
        pen.ellipse((x - wide / 4, y - tall, x + wide / 4, y - tall * 0.82), fill=(140, 90, 70))
        pen.rectangle((x - wide / 2, y - tall * 0.8, x + wide / 2, y - tall * 0.4), fill=(60, 90, 140))
        pen.rectangle((x - wide / 3, y - tall * 0.4, x + wide / 3, y), fill=(50, 50, 60))
    return np.asarray(image)


def png(pixels: np.ndarray) -> bytes:
    """The array as a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def write_samples(folder: Path) -> Path:
    """Two people and two garments as files, each different; returns ``folder``."""
    pictures = {
        "people/anna.png": figure(),
        "people/ben.png": figure(size=(280, 400)),
        "garments/red-shirt.png": np.full((120, 90, 3), (200, 40, 60), np.uint8),
        "garments/blue-top.png": np.full((120, 90, 3), (40, 90, 190), np.uint8),
    }
    for name, pixels in pictures.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(pixels))
    return folder


def install() -> None:
    """Register the stand-in for the kinds ``tryon`` and ``mask``, without weights."""
    for name, function in (("tryon", "run"), ("mask", "plan")):
        row = registry.KINDS[name]
        registry.KINDS[name] = dataclasses.replace(row, runner=f"boxpaste:{function}", weights=(), judges=())


def people(photo: np.ndarray) -> list[tuple[int, int, int, int]]:
    """Boxes (x, y, w, h) of whatever differs from the top left corner, split at empty columns, largest first."""
    figure = np.abs(photo.astype(int) - photo[0, 0].astype(int)).max(axis=2) > 40
    columns = np.flatnonzero(figure.any(axis=0))
    if not columns.size:
        raise InputError("input.no-person", "There is no person in this picture", remedy="Use a photo that shows one")
    boxes = []
    for group in np.split(columns, np.flatnonzero(np.diff(columns) > 1) + 1):
        rows = np.flatnonzero(figure[:, group].any(axis=1))
        boxes.append((int(group[0]), int(rows[0]), len(group), int(rows[-1] - rows[0] + 1)))
    return sorted(boxes, key=lambda box: -box[2] * box[3])


def torso(photo: np.ndarray, index: int) -> np.ndarray:
    """(H, W) uint8 mask of the middle of a person's box."""
    boxes = people(photo)
    if index >= len(boxes):
        raise InputError("input.person-index", "There are not so many people", seen=index, remedy="Choose another")
    x, y, w, h = boxes[index]
    mask = np.zeros(photo.shape[:2], np.uint8)
    mask[y + h // 5 : y + h // 2, x + w // 8 : x + w - w // 8] = 255
    return mask


def plan(call: Call) -> Product:
    """The mask, a protected head, and a warning."""
    photo = call.inputs["person"]
    mask = torso(photo, call.settings.person_index)
    _, y, _, h = people(photo)[call.settings.person_index]
    protected = np.zeros_like(mask)
    protected[y : y + h // 6] = np.where(mask.any(axis=0), 255, 0)
    _wait(call, 3)
    share = 100 * np.count_nonzero(mask) / mask.size
    return Product(
        pixels=mask,
        receipt={"people": [list(box) for box in people(photo)]},
        findings=(
            Finding("mask.stand-in", "warning", f"The mask is a plain box, {share:.0f} % of it", "Use the brush"),
        ),
        layers={"protected": protected},
    )


def run(call: Call) -> Product:
    """The garment, scaled into the mask's box and cut by the mask."""
    photo = call.inputs["person"]
    mask: Any = call.inputs.get("mask")
    mask = torso(photo, call.settings.person_index) if mask is None else mask
    ys, xs = np.nonzero(mask)
    top, left, height, width = ys.min(), xs.min(), np.ptp(ys) + 1, np.ptp(xs) + 1
    pasted = photo.copy()
    scaled = Image.fromarray(call.inputs["garment"]).resize((int(width), int(height)))
    pasted[top : top + height, left : left + width] = np.asarray(scaled)
    share = mask[:, :, None].astype(np.float32) / 255
    image = np.rint(photo * (1 - share) + pasted * share).astype(np.uint8)
    _wait(call, 7, image)
    return Product(pixels=image, edit=Edit(photo, mask), layers={"mask": mask}, timings={"paste": 0.1})


def _wait(call: Call, steps: int, preview: np.ndarray | None = None) -> None:
    for done in range(1, steps + 1):
        time.sleep(STEP_SECONDS)
        call.on_step(done, steps, preview)


if __name__ == "__main__":
    import boxhouse  # it needs this module

    from studio.runners import cloud

    install()
    boxhouse.install()
    cloud.PIPELINE = "tests.ui.ball_pipeline:BallPipeline"
    if sys.argv[1] == "worker":
        sys.exit(worker.main(sys.argv[2:]))
    from streamlit.web import cli

    from studio.page import page_file
    from studio.ui import inputs

    port, samples = sys.argv[2], Path(sys.argv[3])
    inputs._samples_folder = lambda: samples
    sys.argv = ["streamlit", "run", str(page_file()), "--server.port", port]
    sys.exit(cli.main())
