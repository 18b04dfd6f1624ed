"""A window as the data set of VITON-HD would hold it, for the published flow (flow.py)."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as PilImage

from pipelines.core.types import Image
from pipelines.person import layout as layouts
from pipelines.person.garment.pipeline import GarmentCut
from pipelines.viton_hd import preprocess
from pipelines.viton_hd.fitting import Fitted
from pipelines.vitpose.decoding import coco_to_body25
from pipelines.vitpose.drawing import pose_map

LEAST_SCORE = 0.15  # joints below count as not found, as the published preprocessing expects


def published_sample(fitted: Fitted, cut: GarmentCut, size: tuple[int, int]) -> preprocess.Sample:
    """What the data set would hold for this person and garment, at load size."""
    layout = np.where(fitted.layout == layouts.BAG, 0, fitted.layout).astype(np.uint8)
    pose = fitted.work_pose
    joints, score = coco_to_body25(pose.xy, pose.score)
    joints = np.where(score[:, None] > LEAST_SCORE, joints, 0).astype(np.float64)
    cloth, mask = _on_canvas(cut, size)
    return preprocess.Sample(
        person_name="person",
        cloth_name="cloth",
        image=fitted.work,
        agnostic=preprocess.agnostic_image(PilImage.fromarray(fitted.work), layout, joints),
        parse_agnostic=preprocess.agnostic_parse(layout, joints),
        pose=pose_map(pose, size),
        cloth=cloth,
        cloth_mask=mask,
    )


def _on_canvas(cut: GarmentCut, size: tuple[int, int]) -> tuple[Image, NDArray[np.uint8]]:
    """The garment on white, filling the load size the way the data set's product photos do."""
    x, y, w, h = cv2.boundingRect((cut.alpha > 127).astype(np.uint8))
    scale = 0.88 * min(size[0] / h, size[1] / w)
    matrix = np.array([[scale, 0, size[1] / 2 - scale * (x + w / 2)], [0, scale, size[0] / 2 - scale * (y + h / 2)]])
    flags = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    alpha = cv2.warpAffine(cut.alpha, matrix, (size[1], size[0]), flags=cv2.INTER_LINEAR)
    rgb = cv2.warpAffine(cut.image, matrix, (size[1], size[0]), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    share = alpha[..., None].astype(np.float32) / 255
    return np.round(rgb * share + 255 * (1 - share)).astype(np.uint8), (alpha > 127).astype(np.uint8)
