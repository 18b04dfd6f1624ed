"""The sample inputs in assets/ are what the generator draws now."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from pipelines.synthetic.samples import (
    GARMENTS,
    OBJECTS,
    PEOPLE,
    SKETCHES,
    garment_picture,
    object_picture,
    person_picture,
    sketch_picture,
)

DRAW = {"people": person_picture, "garments": garment_picture, "sketches": sketch_picture, "objects": object_picture}
ROOT = Path(__file__).parents[2] / "assets" / "samples"
CASES = [
    *(("people", name) for name in PEOPLE),
    *(("garments", name) for name in GARMENTS),
    *(("sketches", name) for name in SKETCHES),
    *(("objects", name) for name in OBJECTS),
]


@pytest.mark.parametrize(("kind", "name"), CASES)
def test_committed_picture_is_the_drawn_one(kind: str, name: str) -> None:
    committed = cv2.imread(str(ROOT / kind / f"{name}.jpg"))
    draw = DRAW[kind]
    drawn = draw(name)[..., ::-1]
    assert committed is not None and committed.shape == drawn.shape
    if kind in ("people", "garments"):
        assert drawn.shape == (1024, 768, 3)
    difference = cv2.absdiff(cv2.GaussianBlur(drawn, (0, 0), 1.5), cv2.GaussianBlur(committed, (0, 0), 1.5))
    assert difference.mean() < 1.5
    assert np.percentile(difference, 99.5) < 24


def test_no_other_picture_lies_there_and_all_are_small() -> None:
    files = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.jpg"))
    assert files == sorted(f"{kind}/{name}.jpg" for kind, name in CASES)
    assert sum((ROOT / file).stat().st_size for file in files) < 2_500_000
