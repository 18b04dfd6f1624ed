"""Picture and person boxes in, keypoints out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pipelines.core import checkpoint, imagenet, runtime
from pipelines.core.errors import WeightsError
from pipelines.core.types import Box, Image, OnStep, Pose, report
from pipelines.vitpose import decoding
from pipelines.vitpose.network import VitPose, VitPoseConfig, config_of, from_published


class VitPosePipeline:
    """Top-down pose estimation: crop, heat-maps with flip test, UDP + DARK decoding."""

    def __init__(self, model: nn.Module, where: runtime.Runtime) -> None:
        self.model, self.runtime = model.to(where.device).eval(), where
        self.config: VitPoseConfig = model.config  # type: ignore[assignment]

    @classmethod
    def from_pretrained(cls, folder: str | Path, *, device: str = "auto", dtype: str = "auto") -> VitPosePipeline:
        """Load config.json and model.safetensors from ``folder``, ours or those of transformers.

        Raises:
            WeightsError: if the folder or its weights do not fit.
        """
        values = checkpoint.read_config(folder)
        if "backbone_config" in values:
            return cls(_from_transformers(Path(folder), values), runtime.choose(device, dtype))
        try:
            for name in ("image_size", "deconv_channels"):
                values[name] = tuple(values[name])
            model = VitPose(VitPoseConfig(**values))
        except (KeyError, TypeError) as error:
            raise _foreign(folder, error) from error
        checkpoint.load_component(folder, model)
        return cls(model, runtime.choose(device, dtype))

    def save_pretrained(self, folder: str | Path) -> None:
        """Write config.json and model.safetensors (float16)."""
        checkpoint.save_component(folder, self.model, asdict(self.config))

    def __call__(
        self, image: Image, boxes: Sequence[Box] | None = None, *, flip: bool = True, on_step: OnStep | None = None
    ) -> list[Pose]:
        """Find the 17 COCO keypoints of each person.

        Args:
            image: (H, W, 3) uint8 RGB.
            boxes: People; None takes the whole picture as one box.
            flip: Average with the mirrored crop.
            on_step: Called once per person.

        Returns:
            One pose per box, in order.
        """
        boxes = boxes if boxes is not None else [Box(0, 0, image.shape[1], image.shape[0])]
        poses = []
        for number, box in enumerate(boxes):
            centre, scale = decoding.box_to_centre_scale(box, self.config.image_size)
            matrix = decoding.udp_matrix(centre, scale, self.config.image_size)
            heatmaps = self.heatmaps(decoding.crop(image, matrix, self.config.image_size)[None], flip=flip)
            xy, score = decoding.decode_udp(heatmaps, centre[None], scale[None])
            poses.append(Pose(xy[0], np.clip(score[0], 0, 1), decoding.COCO_NAMES, box))
            report(on_step, number + 1, len(boxes))
        return poses

    @torch.inference_mode()
    def heatmaps(self, crops: NDArray[np.uint8], *, flip: bool) -> NDArray[np.float32]:
        """(N, H, W, 3) uint8 crops -> (N, K, H/4, W/4) float32 heat-maps."""
        x = torch.from_numpy(imagenet.normalised(crops)).to(self.runtime.device)
        with self.runtime.autocast():
            maps = flip_average(self.model, x) if flip else self.model(x)
        return maps.float().cpu().numpy()


def _from_transformers(folder: Path, values: dict[str, Any]) -> VitPose:
    backbone = values["backbone_config"]
    state = from_published(checkpoint.read_state_dict(folder / checkpoint.WEIGHTS))
    try:
        # What transformers' own config classes assume where a file leaves a value out.
        config = config_of(
            state,
            image_size=tuple(backbone.get("image_size", (256, 192))),
            heads=backbone.get("num_attention_heads", 12),
            eps=backbone.get("layer_norm_eps", 1e-12),
        )
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise _foreign(folder, error) from error
    model = VitPose(config)
    checkpoint.load_strict(model, {key: value.float() for key, value in state.items()}, source=str(folder))
    return model


def _foreign(folder: str | Path, error: Exception) -> WeightsError:
    return WeightsError(
        "weights.mismatch",
        "This folder does not describe a ViTPose network",
        seen=f"{folder}: {type(error).__name__}: {error}",
        remedy="Name a folder that this project wrote, or one of a VitPoseForPoseEstimation without experts",
    )


def flip_average(model: nn.Module, x: Tensor, pairs: Sequence[int] = decoding.COCO_FLIP) -> Tensor:
    """Mean of the heat-maps of ``x`` (B, 3, H, W) and of its mirror image, mirrored back and left swapped for right."""
    both = model(torch.cat([x, x.flip(3)])).float()
    straight, mirrored = both.chunk(2)
    return (straight + mirrored.flip(3)[:, list(pairs)]) / 2
