"""A small data set in the published layout, of rendered people beside the garment they wear."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image as PilImage

from pipelines.core.types import Box, Pose
from pipelines.synthetic.people import sample_pair
from pipelines.viton_hd.preprocess import LOAD_SIZE
from pipelines.vitpose.decoding import COCO_NAMES, coco_to_body25
from pipelines.vitpose.drawing import pose_map

DRAWN = (256, 192)  # rendering at load size takes long; enlarged four times it has the same layout
KEPT_NAMES = ("00001_00", "00003_00")  # crc32 puts neither into validation
HELD_OUT = "00015_00"


def write_layout(root: Path, names: tuple[str, ...] = (*KEPT_NAMES, HELD_OUT), *, mode: str = "train") -> Path:
    """Write ``names`` under ``root`` and return it; the person called ``names[i]`` is drawn from seed i."""
    folder = root / mode
    for part in ("image", "image-parse", "openpose-img", "openpose-json", "cloth", "cloth-mask"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    width, height = LOAD_SIZE[1], LOAD_SIZE[0]
    for seed, name in enumerate(names):
        pair = sample_pair(np.random.default_rng(seed), DRAWN)
        person, garment = pair.person, pair.garment

        def enlarge(picture: np.ndarray, how: PilImage.Resampling) -> PilImage.Image:
            return PilImage.fromarray(picture).resize((width, height), how)

        smooth, exact = PilImage.Resampling.BILINEAR, PilImage.Resampling.NEAREST
        enlarge(person.image, smooth).save(folder / "image" / f"{name}.jpg")
        enlarge(np.where(person.layout == 20, 0, person.layout).astype(np.uint8), exact).save(
            folder / "image-parse" / f"{name}.png"
        )
        joints = person.keypoints * (width / DRAWN[1])
        score = (person.visible > 0).astype(np.float32)
        pose = Pose(joints, score, COCO_NAMES, Box(0, 0, width, height))
        PilImage.fromarray(pose_map(pose, LOAD_SIZE)).save(folder / "openpose-img" / f"{name}_rendered.png")
        body, seen = coco_to_body25(joints, score)
        values = np.concatenate([np.where(seen[:, None] > 0, body, 0), seen[:, None]], 1).ravel().tolist()
        (folder / "openpose-json" / f"{name}_keypoints.json").write_text(
            json.dumps({"people": [{"pose_keypoints_2d": values}]})
        )
        enlarge(garment.image, smooth).save(folder / "cloth" / f"{name}.jpg")
        enlarge(garment.alpha, exact).save(folder / "cloth-mask" / f"{name}.jpg")
    (root / f"{mode}_pairs.txt").write_text("".join(f"{name}.jpg {name}.jpg\n" for name in names))
    return root
